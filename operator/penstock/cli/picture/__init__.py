"""Pictures of `--plot`: in a file with matplotlib, or as blocks in the terminal."""
