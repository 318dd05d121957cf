"""What all figures share: size and axes."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from market_abm.views.palette import FAINT
from market_abm.views.plots.lettering import DPI, LiteralFigure


def new_figure(width: float, height: float, **options: Any) -> Figure:
    """An empty white figure; its size is in inches."""
    return LiteralFigure(figsize=(width, height), dpi=DPI, facecolor="white", **options)


def tidy(axes: Axes) -> None:
    """Two thin spines and small tick labels."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8, color=FAINT)
    axes.spines[["left", "bottom"]].set_color(FAINT)
