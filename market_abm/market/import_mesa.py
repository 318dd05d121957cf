"""Imports Mesa without the warning of its progress bar in notebooks that lack widgets."""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "IProgress not found")
    import mesa


__all__ = ["mesa"]
