"""The test bed: a real control plane and data plane as plain processes. Start at README.md."""
