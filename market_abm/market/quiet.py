"""Mesa, imported without the word of its progress bar on notebooks that lack widgets."""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "IProgress not found")
    import mesa


__all__ = ["mesa"]
