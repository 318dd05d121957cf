"""Which axes of a sweep vary, and can be axes of a figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


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
