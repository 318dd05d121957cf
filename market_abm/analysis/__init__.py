"""Comparison of markets with the exact gradient: alignment, measures, stability, predictions."""
