"""Published models, for comparison: one folder each."""
