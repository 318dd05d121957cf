"""What all figures share: size, title and axes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from market_abm.views.numbers import format_plain, format_power_of_ten
from market_abm.views.palette import FAINT, GREY, INK
from market_abm.views.plots.lettering import DPI, LiteralFigure, fitted_lines

BOLD = 1.2
"""The most by which bold letters are wider than others."""

HINTED = 1.03
"""The most by which letters that are fitted to pixels are wider than by their outlines."""

LEFT = 0.1
"""Inches from the left edge to a title or legend."""


def new_figure(width: float, height: float, **options: Any) -> Figure:
    """An empty white figure; its size is in inches."""
    return LiteralFigure(figsize=(width, height), dpi=DPI, facecolor="white", **options)


def tidy(axes: Axes) -> None:
    """Two thin spines and small tick labels."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8, color=FAINT)
    axes.spines[["left", "bottom"]].set_color(FAINT)


# --- axes of values -------------------------------------------------------------------------------


def is_logarithmic(values: np.ndarray) -> bool:
    """Whether the spacing of values is more even on a logarithmic scale."""
    values = np.unique(values[np.isfinite(values)])
    if len(values) < 3 or values[0] <= 0 or values[-1] < 4 * values[0]:
        return False
    gaps, ratios = np.diff(values), np.diff(np.log(values))
    return bool(np.ptp(ratios) / ratios.mean() < np.ptp(gaps) / gaps.mean())


def is_whole(values: np.ndarray) -> bool:
    """Whether all values are whole numbers."""
    finite = values[np.isfinite(values)]
    return finite.size > 0 and bool(np.all(finite == np.round(finite)))


def scale_axis(
    axis: Axis, scale: Callable[[str], None], values: np.ndarray, *, log: bool | None = None
) -> None:
    """Scale and ticks for these values; of whole numbers, no ticks between them.

    A log axis has plain numbers at 1, 2 and 5 of each decade, or at 1 if there are many.
    """
    whole = is_whole(values)
    if is_logarithmic(values) if log is None else log:
        scale("log")
        span = np.nanmax(values) / np.nanmin(values)
        steps = LogLocator(subs=(1.0, 2.0, 5.0) if span < 500 else (1.0,))
        axis.set_major_locator(steps)
        if whole:
            ticks = steps.tick_values(1.0, float(np.nanmax(values)))
            axis.set_major_locator(FixedLocator([tick for tick in ticks if tick >= 1.0]))
        axis.set_minor_locator(NullLocator())
        long = span >= 500 and (np.nanmax(values) >= 1e5 or np.nanmin(values) < 1e-4)
        shown = format_power_of_ten if long else format_plain
        axis.set_major_formatter(FuncFormatter(lambda v, _: shown(v)))
    elif whole:
        axis.set_major_locator(MaxNLocator(9, integer=True))


def cell_edges(values: np.ndarray) -> np.ndarray:
    """The ends of cells around ascending values, half-way to the next, in logarithms if even there.

    Parameters
    ----------
    values
        Shape (cells,), at least two.

    Returns
    -------
    numpy.ndarray
        Shape (cells + 1,).
    """
    log = is_logarithmic(values)
    at = np.log(values) if log else values
    inner = (at[1:] + at[:-1]) / 2
    ends = np.concatenate([[2 * at[0] - inner[0]], inner, [2 * at[-1] - inner[-1]]])
    edges: np.ndarray = np.exp(ends) if log else ends
    return edges


# --- titles ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Title:
    """The question that a figure answers, and below it what was run and is drawn.

    Parameters
    ----------
    question
        May be empty.
    details
        One paragraph, or several apart by line breaks.
    width
        That of the figure, inches: lines are broken to fit it.
    """

    question: str
    details: str
    width: float

    @cached_property
    def parts(self) -> list[tuple[str, float, str, str]]:
        """Text, size in points, weight and colour of the question and of the details."""
        shown = []
        given = ((self.question, 10.0, "bold", INK), (self.details, 9.0, "normal", GREY))
        for text, size, weight, color in given:
            room = (self.width - 2 * LEFT) / (BOLD if weight == "bold" else HINTED)
            lines = [fitted_lines(line, room, size) for line in text.splitlines()]
            if text:
                shown.append(("\n".join(lines), size, weight, color))
        return shown

    @property
    def height(self) -> float:
        """Inches from the upper edge of the figure to the lower edge of the title."""
        return LEFT + sum(1.3 * size / 72 * (t.count("\n") + 1) for t, size, *_ in self.parts)

    def draw(self, figure: Figure) -> None:
        """Put it at the top left; the question is the figure's ``suptitle``, if there is one."""
        width, height = figure.get_size_inches()
        below = LEFT
        for n, (text, size, weight, color) in enumerate(self.parts):
            place: dict[str, Any] = {"ha": "left", "va": "top", "linespacing": 1.2, "color": color}
            place |= {"fontsize": size, "fontweight": weight}
            at = LEFT / width, 1 - below / height
            if n == 0:
                figure.suptitle(text, x=at[0], y=at[1], **place)
            else:
                figure.text(*at, text, **place)
            below += 1.3 * size / 72 * (text.count("\n") + 1)
