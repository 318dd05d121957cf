"""Running one experiment, its result, and the folder that keeps it."""
