"""The benchmarks: what the README claims, measured on the real bed."""
