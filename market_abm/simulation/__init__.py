"""The loop that steps a market, how runs end, what is recorded."""
