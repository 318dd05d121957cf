"""What all figures share: size, axes, shortened labels."""

from __future__ import annotations

import io
import textwrap
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from market_abm.views.palette import FAINT


class NotebookFigure(Figure):
    """A figure that a notebook displays, though pyplot does not manage it."""

    def _repr_png_(self) -> bytes:
        from market_abm.runs.folders import draw

        picture = io.BytesIO()
        draw(self, picture, dpi=100)
        return picture.getvalue()


def new_figure(width: float, height: float, **options: Any) -> Figure:
    """An empty white figure; its size is in inches."""
    return NotebookFigure(figsize=(width, height), dpi=150, facecolor="white", **options)


def tidy(axes: Axes) -> None:
    """Two thin spines and small tick labels."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8, color=FAINT)
    axes.spines[["left", "bottom"]].set_color(FAINT)


def shortened(name: str, most: int) -> str:
    """``name``, cut in the middle if it is longer than ``most`` characters."""
    half = max(1, (most - 1) // 2)
    return name if len(name) <= most else f"{name[:half]}…{name[-half:]}"


def worded(label: str, most: int) -> str:
    """``label``, cut after a word if it is longer than ``most`` characters."""
    return textwrap.shorten(label, most, placeholder=" …")


def in_lines(label: str, width: int) -> str:
    """``label`` in lines of at most ``width`` characters; longer words are not broken."""
    return textwrap.fill(label, width, break_long_words=False)
