"""Experiment files: settings, reading, overrides, shocks."""
