"""The parts of `penstock simulate`: its setting, its runs, and what is printed of them."""
