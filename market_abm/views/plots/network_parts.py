"""Boxes, arrows and labels of drawings of networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path

from market_abm.views.layout import BOX, Layout, Point
from market_abm.views.palette import GREY, INK
from market_abm.views.plots.lettering import Title
from market_abm.views.plots.style import new_figure

MARGIN, TITLE = 0.35, 0.22
"""Units of the layout around the network, and above and below it for text."""

MIN_WIDTH, MAX_SIZE = 6.4, 20.0
"""Inches."""

KINDS = {
    "raw": ("#FFF4DC", "#E69F00"),
    "made": ("#EEF1F6", "#7A8699"),
    "final": ("#DDF3EA", "#009E73"),
    "household": ("#FBEAF3", "#CC79A7"),
}

FLOW, BID = "#0062A3", "#B84300"
"""Colours of units and of money."""


def canvas(plan: Layout) -> tuple[Figure, Axes, float]:
    """A figure filled by axes with room for the network and text, and inches a unit of them."""
    curves = [point for route in plan.routes.values() for point in route]
    corners = np.array(
        [(x + i * BOX[0] / 2, y + i * BOX[1] / 2) for x, y in plan.boxes.values() for i in (-1, 1)]
        + curves
    )
    low = corners.min(axis=0) - MARGIN - np.array([0.0, TITLE])
    high = corners.max(axis=0) + MARGIN + np.array([0.0, TITLE])
    slack = max(0.0, MIN_WIDTH - (high - low)[0]) / 2
    low, high = low - np.array([slack, 0.0]), high + np.array([slack, 0.0])
    width, height = high - low
    scale = min(1.0, MAX_SIZE / max(width, height))
    figure = new_figure(width * scale, height * scale)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])
    return figure, axes, scale


def captions(axes: Axes, title: str, note: str) -> None:
    """The title above the network, and below it what is drawn."""
    left, bottom, top = axes.get_xlim()[0] + 0.12, axes.get_ylim()[0], axes.get_ylim()[1]
    axes.text(left, top - 0.1, title, fontsize=10, fontweight="bold", color=INK, va="top")
    axes.text(left, bottom + 0.1, note, fontsize=8, color=GREY, va="bottom")


def box(
    axes: Axes,
    kind: str,
    title: Title,
    centre: Point,
    scale: float,
    rows: Sequence[tuple[str, str, str]],
) -> None:
    """A box with a title, and below it rows: what, its number, and the number's colour; or text."""
    face, edge = KINDS[kind]
    (x, y), (width, height) = centre, BOX
    axes.add_patch(
        FancyBboxPatch(
            (x - width / 2, y - height / 2),
            width,
            height,
            zorder=3,
            lw=1.3 * scale,
            boxstyle="round,pad=0,rounding_size=0.09",
            facecolor=face,
            edgecolor=edge,
        )
    )
    text, size = title
    few = len(rows) <= 3
    options: dict[str, Any] = {"va": "center", "zorder": 4}
    axes.text(
        x,
        y + (0.26 if few else 0.3) * bool(rows),
        text,
        fontsize=size,
        fontweight="bold",
        ha="center",
        color=INK,
        **options,
    )
    for n, (what, shown, color) in enumerate(rows):
        line = y + (0.06 - 0.175 * n if few else 0.115 - 0.155 * n)
        axes.text(x - 0.06, line, what, ha="right", color=GREY, fontsize=8 * scale, **options)
        place: dict[str, Any] = (
            {"ha": "left", "color": color} if what else {"ha": "center", "color": GREY}
        )
        axes.text(x + 0.02 * bool(what), line, shown, fontsize=8 * scale, **place, **options)


def arrow(axes: Axes, route: list[Point], scale: float, width: float = 1.1) -> None:
    """An arrow along a curve, so many points wide."""
    codes = [Path.MOVETO] + [Path.CURVE4] * (len(route) - 1)
    axes.add_patch(
        FancyArrowPatch(
            path=Path(np.array(route), codes),
            arrowstyle="-|>",
            mutation_scale=(7 + 3 * width / 1.1) * scale,
            lw=width * scale,
            facecolor="#6b7280",
            edgecolor="#6b7280",
            zorder=2,
            joinstyle="miter",
        )
    )


def label(
    axes: Axes,
    lines: Sequence[tuple[str, str]],
    spot: Point,
    scale: float,
    *,
    above: float = 2.0,
) -> None:
    """One number ``above`` a spot, in points, or two around it, each with its colour."""
    box = {"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
    for (text, color), offset, va in zip(lines, (above, -above), ("bottom", "top"), strict=False):
        axes.annotate(
            text,
            spot,
            (0, offset),
            textcoords="offset points",
            fontsize=7.5 * scale,
            color=color,
            ha="center",
            va=va,
            bbox=box,
            zorder=2.5,
        )
