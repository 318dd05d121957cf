"""Three relative prices: the path of a run, and where the market, and each part of it, moves them.

Prices are drawn in the triangle of their parts of the sum; a corner is a good whose price is all of
it. The market's moves are a gradient and a rotation (``analysis/price_field.py``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Polygon
from matplotlib.tri import Triangulation

from market_abm.analysis.price_field import PriceField
from market_abm.views.palette import FAINT, GREY, INK, OKABE_ITO
from market_abm.views.plots.lettering import all_fitted
from market_abm.views.plots.style import LEFT, Title, new_figure
from market_abm.views.words.figures import convergence_title
from market_abm.views.words.rotation import SIMPLEX_NOTE, SIMPLEX_PANELS, STEP, simplex_share

if TYPE_CHECKING:
    from market_abm.runs.result import Result

WIDTH, PANEL, GAP, BELOW, ABOVE = 9.6, 2.78, 0.42, 0.36, 0.4
"""Inches: the figure's width, a triangle's side, and what is between, below and above triangles."""

HIGH = np.sqrt(3.0) / 2.0
"""The height of a triangle of side 1."""

CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, HIGH]])
"""Where the first, the second and the third price are all of the sum."""

ARROWS, LONGEST = 10, 0.082
"""Arrows along a side, and the length of the longest, of a side."""

INSIDE = 0.6
"""The distance of the first arrow from a side, of that between arrows."""

FAST = 0.8
"""The part of the market's arrows that are not cut to the longest."""

NEAR = 0.004
"""A path has come to its end where it stays this near to it, of a side."""

LEVELS = np.array([0.02, 0.06, 0.12, 0.2, 0.3, 0.42, 0.56, 0.72, 0.9])
"""Contours of the potential, between its lowest and highest value drawn."""

CONTOURED, PALE = 40, "#b9d3e6"
"""Points along a side of which contours are made, and their colour."""

TIME = LinearSegmentedColormap.from_list("time", ["#f3d27a", "#E69F00", "#a0522d", "#3b1e08"])
"""From the first step to the last."""

PARTS = (GREY, OKABE_ITO[0], OKABE_ITO[1])
"""The colours of the market's moves, their gradient part, and their rotation part."""


def price_simplex(result: Result) -> Figure | None:
    """The path of three relative prices, and the gradient and the rotation that make it.

    None unless the market quotes three prices, which matter only up to scale, and its equilibrium
    is known.
    """
    field = result.price_field
    if field is None:
        return None
    places = [result.recorded.index(good) for good in field.goods if good in result.recorded]
    path = result.prices[:, places] if len(places) == 3 else np.zeros((0, 3))
    share = None if result.rotation is None else result.rotation.gradient_share
    details = f"{convergence_title(result)}\n{simplex_share(share)}{SIMPLEX_NOTE}"
    return draw(field, path, result.times, Title(result.experiment.question, details, WIDTH))


def draw(field: PriceField, path: np.ndarray, times: np.ndarray, title: Title) -> Figure:
    """Three triangles: all moves with the path, their gradient part, and their rotation part.

    Parameters
    ----------
    field
        The market's moves.
    path
        Quoted prices, money per unit, shape (records, 3).
    times
        The steps, shape (records,).
    title
        Of this width.
    """
    top = title.height + ABOVE
    height = top + PANEL * HIGH + BELOW
    figure = new_figure(WIDTH, height)
    points = _lattice(ARROWS)
    directions = points / np.linalg.norm(points, axis=-1, keepdims=True)
    apart = np.linalg.norm(directions - field.rest, axis=-1) > 1e-6
    points, directions = points[apart], directions[apart]
    gradient, rotation = field.parts(directions)
    parts = (gradient + rotation, gradient, rotation)
    moves = [_in_plane(points, directions, part) for part in parts]
    fast = float(np.nanquantile(np.linalg.norm(moves[0], axis=-1), FAST))
    for k, (move, color) in enumerate(zip(moves, PARTS, strict=True)):
        left = LEFT + 0.15 + k * (PANEL + GAP)
        box = (left / WIDTH, BELOW / height, PANEL / WIDTH, PANEL * HIGH / height)
        axes = figure.add_axes(box)
        _triangle(axes, field, SIMPLEX_PANELS[k], color)
        if k == 1:
            _contours(axes, field)
        _arrows(axes, _place(points), move / fast, color, faint=k == 0 and len(path) > 0)
        axes.plot(*_place(field.rest[None]).T, marker="o", ms=5, mfc="white", mec=INK, zorder=6)
        if k == 0 and len(path) > 1:
            _path(axes, path, times)
        if k > 0:
            middle = (left - GAP / 2) / WIDTH, (BELOW + PANEL * HIGH / 3) / height
            figure.text(*middle, "=+"[k - 1], ha="center", va="center", fontsize=15, color=GREY)
    title.draw(figure)
    return figure


def _lattice(count: int) -> np.ndarray:
    """Points inside the triangle, parts of the sum, shape (points, 3)."""
    first, second = np.meshgrid(np.arange(count + 1), np.arange(count + 1))
    third = count - first - second
    whole = np.stack([first, second, third], axis=-1)[third >= 0]
    points: np.ndarray = (whole + INSIDE) / (count + 3.0 * INSIDE)
    return points


def _place(prices: np.ndarray) -> np.ndarray:
    """Where prices are in the plane, shape (points, 2)."""
    place: np.ndarray = (prices / prices.sum(axis=-1, keepdims=True)) @ CORNERS
    return place


def _in_plane(points: np.ndarray, directions: np.ndarray, moves: np.ndarray) -> np.ndarray:
    """Moves on the sphere as moves in the plane, shape (points, 2)."""
    total = directions.sum(axis=-1, keepdims=True)
    of_parts = (moves - points * moves.sum(axis=-1, keepdims=True)) / total
    moved: np.ndarray = of_parts @ CORNERS
    return moved


def _triangle(axes: Axes, field: PriceField, name: str, color: str) -> None:
    """The triangle, its corners' names, and what is drawn in it."""
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, HIGH + 0.01)
    axes.set_aspect("equal")
    axes.axis("off")
    axes.add_patch(Polygon(CORNERS, fc="none", ec=FAINT, lw=0.8, zorder=2))
    shown = all_fitted(field.goods, 0.8, 8)
    sides = (("left", "top", -0.03), ("right", "top", -0.03), ("center", "bottom", 0.02))
    for good, (x, y), (ha, va, off) in zip(field.goods, CORNERS, sides, strict=True):
        axes.text(x, y + off, shown[good], ha=ha, va=va, fontsize=8, color=GREY)
    axes.text(0.0, HIGH, name, ha="left", va="top", fontsize=9, color=color)


def _arrows(axes: Axes, at: np.ndarray, moves: np.ndarray, color: str, *, faint: bool) -> None:
    """Arrows, as long as the root of moves, relative to a fast one: no longer than that."""
    speed = np.linalg.norm(moves, axis=-1, keepdims=True)
    moving = speed > 0.0
    arrows = moves * LONGEST * np.minimum(1.0, np.sqrt(speed)) / np.where(moving, speed, 1.0)
    axes.quiver(
        *at.T,
        *arrows.T,
        angles="xy",
        scale_units="xy",
        scale=1.0,
        color=color,
        alpha=0.5 if faint else 0.9,
        width=0.006,
        headwidth=3.6,
        headlength=4.2,
        headaxislength=3.8,
        minlength=0.4,
        pivot="mid",
        zorder=3,
    )


def _contours(axes: Axes, field: PriceField) -> None:
    """Contours of the potential."""
    points = _lattice(CONTOURED)
    values = field.potential(points / np.linalg.norm(points, axis=-1, keepdims=True))
    known = np.isfinite(values)
    if np.count_nonzero(known) < 3 or np.ptp(values[known]) == 0.0:
        return
    levels = values[known].min() + np.ptp(values[known]) * LEVELS
    across, up = _place(points[known]).T
    style: dict[str, Any] = {"colors": PALE, "linewidths": 0.7, "zorder": 1}
    axes.tricontour(Triangulation(across, up), values[known], levels=levels, **style)


def _path(axes: Axes, path: np.ndarray, times: np.ndarray) -> None:
    """The path until it comes to its end, if it does; its colour is the step, by a key."""
    at = _place(path)
    away = np.flatnonzero(np.linalg.norm(at - at[-1], axis=-1) > NEAR)
    last = min(int(away[-1]) + 1 if len(away) else 1, len(at) - 1)
    pieces = list(np.stack([at[:last], at[1 : last + 1]], axis=1))
    lines = LineCollection(pieces, cmap=TIME, array=times[1 : last + 1], lw=1.4, zorder=5)
    lines.set_capstyle("round")
    lines.set_clim(times[0], times[last])
    axes.add_collection(lines)
    axes.plot(*at[0], marker="s", ms=4.5, color=TIME(0.0), mec=INK, mew=0.7, zorder=6)
    key = axes.inset_axes((0.8, 0.86, 0.24, 0.025))
    bar = axes.figure.colorbar(lines, cax=key, orientation="horizontal")
    bar.ax.set_title(STEP, fontsize=8, color=GREY, pad=3)
    bar.ax.tick_params(labelsize=7.5, color=FAINT, labelcolor=GREY, length=2, pad=1)
    bar.set_ticks([times[0], times[last]])
    bar.outline.set_visible(False)
