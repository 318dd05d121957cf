"""Which axes of a sweep vary, and can be axes of a figure; its measures, as figures need them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


MEASURES = (
    "error",
    "rate",
    "rate_uncertainty",
    "predicted_rate",
    "alignment",
    "welfare",
    "best_welfare",
)
"""Columns of a sweep's table that figures and the report show."""


def with_all_measures(table: pd.DataFrame) -> pd.DataFrame:
    """The table with empty columns of numbers for measures that it does not have."""
    missing = [name for name in MEASURES if name not in table]
    return table.assign(**dict.fromkeys(missing, np.nan))


def axes_that_vary(table: pd.DataFrame, axes: Sequence[str]) -> tuple[list[str], list[str]]:
    """The axes with several values, apart: those of finite numbers, and all others."""
    numbers: list[str] = []
    others: list[str] = []
    for axis in axes:
        values = table[axis]
        if values.nunique(dropna=False) > 1:
            finite = values.dtype.kind in "if" and bool(np.isfinite(values).all())
            (numbers if finite else others).append(axis)
    return numbers, others
