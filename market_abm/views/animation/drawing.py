"""The network of a film: boxes of goods, roads between them, dots of goods and pulses of prices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch
from matplotlib.text import Text

from market_abm.economy.economy import Economy
from market_abm.views.animation.colours import GOODS, PRICES, shade, tint
from market_abm.views.layout import BOX, Diagram, layout
from market_abm.views.numbers import format_label
from market_abm.views.palette import FAINT, GREY, INK
from market_abm.views.plots.lettering import LiteralFigure, box_titles
from market_abm.views.words import figures as words

WIDTH = 800
"""Pixels; all lengths of the figure are pixels too."""

DPI = 100
"""Pixels an inch."""

POINTS = 72 / DPI
"""Points a pixel."""

MARGIN, HEADER, PANEL = 26, 58, 158
"""Pixels around the network, of the title and legend above it, and of the errors below it."""

MAX_SCALE = 92.0
"""Pixels a unit of the layout, at most."""

SMALL_SCALE = 70.0
"""Pixels a unit below which the words at numbers are abbreviated to letters."""

LANE = 0.075
"""The distance of the lanes of goods and prices from the middle of a road, in layout units."""


class Road:
    """The curve of an arrow with two lanes; places on it are parts of its length.

    Parameters
    ----------
    route
        The points of cubic Bezier curves, end to end.
    """

    def __init__(self, route: Sequence[tuple[float, float]]) -> None:
        points = np.array(route, float)
        t = np.linspace(0.0, 1.0, 40)[:, None]
        parts = [
            (1 - t) ** 3 * a + 3 * (1 - t) ** 2 * t * b + 3 * (1 - t) * t**2 * c + t**3 * d
            for a, b, c, d in (points[n : n + 4] for n in range(0, len(points) - 1, 3))
        ]
        self.line = np.concatenate(parts)
        pieces = np.hypot(*np.diff(self.line, axis=0).T)
        self.way = np.concatenate([[0.0], np.cumsum(pieces)])
        self.length = float(self.way[-1])
        along = np.gradient(self.line, axis=0)
        self.normal = np.column_stack([-along[:, 1], along[:, 0]])
        self.normal /= np.maximum(np.hypot(*along.T), 1e-12)[:, None]

    def at(self, parts: np.ndarray, lane: float) -> np.ndarray:
        """Points at ``parts`` of the length, ``lane`` to the left; shape (parts, 2)."""
        line = self.line + lane * self.normal
        return np.column_stack(
            [np.interp(parts * self.length, self.way, line[:, k]) for k in (0, 1)]
        )


class Drawing:
    """The figure of a film without its panel of errors.

    ``uses`` are (maker, slot, good) of each arrow, in the order of ``roads``. ``boxes`` and
    ``numbers`` (price and gradient) are by good. ``dots`` and ``pulses`` are set at each frame.
    """

    def __init__(self, economy: Economy) -> None:
        self.plan = layout(Diagram.of_goods(economy))
        self.uses = [
            (industry.good, slot, good)
            for industry in economy.topological_order
            for slot, good in enumerate(industry.technology.inputs)
        ]
        self._begin()
        self.roads = [Road(self.plan.routes[(maker, slot)]) for maker, slot, _ in self.uses]
        for road in self.roads:
            self._draw_road(road)
        names, width = dict.fromkeys(economy.goods, ""), BOX[0] * self.scale / DPI
        self.titles = box_titles(names, width, self.points(14))
        self.boxes = {good: self._draw_box(good) for good in economy.goods}
        self.numbers = {good: self._draw_numbers(good) for good in economy.goods}
        self.dots = self.network.scatter([], [], color=GOODS, lw=0, zorder=2.2)
        self.pulses = self.network.scatter([], [], color=PRICES, lw=0, zorder=2.4)

    # --- for the frames -------------------------------------------------------------------------

    @property
    def is_small(self) -> bool:
        """Whether words at numbers are abbreviated."""
        return self.scale < SMALL_SCALE

    def write(self, x: float, y: float, text: str, *, size: float, **options: Any) -> Text:
        """Write text at a distance from the left and the top, all lengths in pixels."""
        place = (x / WIDTH, 1 - y / self.height)
        return self.figure.text(*place, text, fontsize=size * POINTS, va="center", **options)

    def points(self, pixels: float) -> float:
        """Pixels as points, smaller where the network is drawn smaller."""
        return POINTS * pixels * min(1.0, 0.35 + 0.65 * self.scale / 75)

    def show_number(self, text: Text, what: str, value: float) -> None:
        """Show a labelled number in a box; in small ones with one letter and fewer digits."""
        if self.is_small:
            text.set_text(f"{what[0]} {format_label(value, 2)}")
        else:
            text.set_text(f"{what} {format_label(value)}")

    # --- what stays -----------------------------------------------------------------------------

    def _begin(self) -> None:
        """The figure, its size and its axes."""
        curves = np.array([point for route in self.plan.routes.values() for point in route])
        centres = np.array(list(self.plan.boxes.values()))
        half = np.array(BOX) / 2
        corners = np.concatenate([curves, centres - half, centres + half])
        low, high = corners.min(axis=0), corners.max(axis=0)
        self.scale = min(MAX_SCALE, (WIDTH - 2 * MARGIN) / (high - low)[0])
        across = WIDTH / self.scale
        tall = (high - low)[1] * self.scale + 2 * MARGIN
        height = 2 * math.ceil((HEADER + tall + PANEL) / 2)  # MP4 needs an even height
        self.height = height
        self.figure = LiteralFigure(figsize=(WIDTH / DPI, height / DPI), dpi=DPI, facecolor="white")
        self.network = self.figure.add_axes((0.0, PANEL / height, 1.0, tall / height))
        self.network.set_axis_off()
        middle = (low + high) / 2
        self.network.set_xlim(middle[0] - across / 2, middle[0] + across / 2)
        edge = MARGIN / self.scale
        self.network.set_ylim(low[1] - edge, low[1] - edge + tall / self.scale)
        self.title = self.write(MARGIN, 24, "", size=11, weight="bold", color=INK)
        self._legend()

    def _legend(self) -> None:
        x, y = MARGIN, 46.0
        for color, text, width in (
            (GOODS, words.FILM_GOODS, 180),
            (PRICES, words.FILM_PRICES, 252),
        ):
            self._mark(x + 4, y, color, 7.0)
            self.write(x + 14, y, text, size=11.5, color=GREY)
            x += width
        self.write(x, y, words.FILM_ERRORS, size=11.5, color=GREY)
        x += 72
        for error, text in words.FILM_ERROR_STEPS.items():
            self._mark(x + 6, y, shade(error), 12.0, marker="s", edge=FAINT)
            self.write(x + 17, y, text, size=11.5, color=GREY)
            x += 30 + 7 * len(text)

    def _mark(
        self, x: float, y: float, color: Any, size: float, marker: str = "o", edge: str = "none"
    ) -> None:
        self.figure.add_artist(
            Line2D(
                [x / WIDTH],
                [1 - y / self.height],
                marker=marker,
                ms=size * POINTS,
                color=color,
                mec=edge,
                mew=0.6,
                ls="",
            )
        )

    def _draw_road(self, road: Road) -> None:
        """Two lanes, each with the head of an arrow."""
        for lane, color, end in ((-LANE, GOODS, 1.0), (LANE, PRICES, 0.0)):
            line = road.at(np.linspace(0.0, 1.0, 60), lane)
            pale = tint(color, 0.3)
            self.network.plot(*line.T, color=pale, lw=self.points(1.3), zorder=1)
            tip, back = road.at(np.array([end, abs(end - 0.09 / road.length)]), lane)
            along = (tip - back) / (np.hypot(*(tip - back)) or 1.0)
            normal = np.array([-along[1], along[0]])
            wings = np.array([tip, tip - 0.1 * along + 0.05 * normal])
            wings = np.vstack([wings, tip - 0.1 * along - 0.05 * normal])
            self.network.fill(*wings.T, color=pale, lw=0, zorder=1.1)

    def _draw_box(self, good: str) -> FancyBboxPatch:
        (x, y), (width, height) = self.plan.boxes[good], BOX
        box = FancyBboxPatch(
            (x - width / 2, y - height / 2),
            width,
            height,
            boxstyle="round,pad=0,rounding_size=0.09",
            lw=self.points(1.5),
            edgecolor=GREY,
            zorder=3,
        )
        self.network.add_patch(box)
        title, size = self.titles[good]
        self._in_box(x, y + 0.25, title, size, weight="bold")
        return box

    def _draw_numbers(self, good: str) -> tuple[Text, Text]:
        x, y = self.plan.boxes[good]
        size = self.points(12.5)
        return self._in_box(x, y - 0.03, "", size), self._in_box(x, y - 0.27, "", size)

    def _in_box(self, x: float, y: float, text: str, size: float, **options: Any) -> Text:
        return self.network.text(
            x, y, text, fontsize=size, color=INK, ha="center", va="center", zorder=4, **options
        )
