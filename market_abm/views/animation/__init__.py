"""Animations of a run (GIF, MP4)."""
