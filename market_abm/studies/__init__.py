"""Many runs: sweeps, comparisons, phase planes."""
