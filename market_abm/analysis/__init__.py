"""The exact gradient beside the market: alignment, measures, stability, predictions."""
