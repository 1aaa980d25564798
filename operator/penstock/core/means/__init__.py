"""Means: from the counters behind them to what is said of a version that is judged by one."""
