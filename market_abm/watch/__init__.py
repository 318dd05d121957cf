"""A running market in the browser."""
