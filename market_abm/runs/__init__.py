"""Running experiments, their results, and the files that keep them."""
