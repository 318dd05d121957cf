"""Figures (Matplotlib)."""
