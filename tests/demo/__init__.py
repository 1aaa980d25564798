"""The demo: a good and a bad version released on the real bed, watched live."""
