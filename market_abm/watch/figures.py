"""What all figures of the page have in common.

A figure is constructed when the market starts. Its later data are columns of numbers, sent for all
figures in one message and put into their sources by the browser (``frame.js``). Colours of axes and
text are those of the theme (``theme.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from bokeh.plotting import figure

from market_abm.views.convergence import FLOOR_POWER, error_powers
from market_abm.views.numbers import format_power_of_ten
from market_abm.watch.session import Session

MAX_POINTS = 400
"""Number of last steps that the path figures show."""

INK = "#222222"
"""Colour of lines and text on light colours, in any theme."""


def blank(name: str, title: str, height: int, **options: Any) -> Any:
    """An empty figure of the available width, without tools that would catch scrolling."""
    return figure(
        name=name,
        title=title,
        height=height,
        sizing_mode="stretch_width",
        tools="",
        toolbar_location=None,
        styles={"flex": "1 1 24rem", "min-width": "0"},
        **options,
    )


def tick_labels(exponents: Sequence[float]) -> dict[float, str]:
    """Labels of powers of ten by exponent; errors at the floor are 0."""
    return {e: "0" if e == FLOOR_POWER else format_power_of_ten(10.0**e) for e in exponents}


def log_errors(session: Session) -> np.ndarray:
    """log10 of the relative error of each price, shape (goods,); 0 is at the floor."""
    return error_powers(session.errors)
