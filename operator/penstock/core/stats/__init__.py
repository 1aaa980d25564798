"""Sequential tests on counts: arrays in, small frozen results out. numpy and scipy only."""
