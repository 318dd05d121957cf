"""Studies of many runs: sweeps, comparisons, phase planes."""
