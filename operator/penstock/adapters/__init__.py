"""I/O. One module per outside system, each behind a protocol in `penstock.ports`."""
