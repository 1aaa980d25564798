"""What people run by hand: `penstock`."""
