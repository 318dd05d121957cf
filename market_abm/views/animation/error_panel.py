"""The panel of a film below the network, where the errors of prices grow step by step."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, MaxNLocator

from market_abm.views.animation.drawing import MARGIN, PANEL, WIDTH, Drawing
from market_abm.views.convergence import (
    FLOOR,
    error_axis,
    error_ticks,
    intermediate_goods,
)
from market_abm.views.palette import FAINT, GREY, INK
from market_abm.views.plots.convergence import error_label
from market_abm.views.plots.style import tidy
from market_abm.views.words.figures import film_error_note
from market_abm.views.words.lines import shortened

if TYPE_CHECKING:
    from market_abm.runs.result import Result

MAX_ERROR = 1e30
"""Errors beyond are drawn at this one: the run diverged."""

LEFT, BOTTOM, TOP = 84, 40, 20
"""Pixels between the axes and the ends of the panel."""


class ErrorPanel:
    """Each good's error in grey, and the largest in black, on a logarithmic axis.

    Parameters
    ----------
    drawing
        The figure to draw in.
    result
        The run.
    errors
        The errors of the first steps, shape (steps + 1, goods).
    """

    def __init__(self, drawing: Drawing, result: Result, errors: np.ndarray) -> None:
        self.errors = np.clip(errors, FLOOR, MAX_ERROR)
        self.steps = len(errors) - 1
        intermediate = intermediate_goods(result.goods, result.experiment.economy)
        self.places = [result.goods.index(good) for good in intermediate]
        self.axes = self._begin(drawing)
        self.lines = [_line(self.axes, color=FAINT, lw=1.0, zorder=2) for _ in self.places]
        self.largest = _line(self.axes, color=INK, lw=1.8, zorder=3)
        self.arrivals = self._name_arrivals(result)

    def show(self, step: int, part: float) -> None:
        """Show the errors until a ``part`` of the time from ``step`` to the next."""
        time = np.append(np.arange(step + 1), step + part)
        columns = [*self.errors[:, self.places].T, self.errors.max(axis=1)]
        for line, path in zip([*self.lines, self.largest], columns, strict=True):
            line.set_data(time, np.append(path[: step + 1], path[step]))
        for when, text in self.arrivals:
            text.set_visible(step >= when)

    def _begin(self, drawing: Drawing) -> Axes:
        height = drawing.height
        box = (
            LEFT / WIDTH,
            BOTTOM / height,
            (WIDTH - LEFT - MARGIN) / WIDTH,
            (PANEL - BOTTOM - TOP) / height,
        )
        axes = drawing.figure.add_axes(box)
        axis = error_axis(self.errors, None)
        axes.set_yscale("log")
        axes.set_ylim(axis.limits)
        axes.set_xlim(0, max(1, self.steps))
        axes.set_yticks(error_ticks(axis, 4))
        axes.set_yticks([], minor=True)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: error_label(v)))
        axes.xaxis.set_major_locator(MaxNLocator(9, integer=True))
        axes.set_xlabel("step", fontsize=8, labelpad=1)
        drawing.write(
            MARGIN,
            height - PANEL + 6,
            film_error_note(axis.label),
            size=11.5,
            color=GREY,
        )
        tidy(axes)
        return axes

    def _name_arrivals(self, result: Result) -> list[tuple[int, Text]]:
        """Each good's name at the step from which its price is exact, if these are far apart."""
        first = [int(result.first_steps[k]) for k in self.places]
        apart = min((abs(a - b) for a, b in pairwise(sorted(first))), default=self.steps)
        if min(first) < 0 or max(first) > self.steps or 6 * apart < self.steps:
            return []
        low, high = self.axes.get_ylim()
        arrivals: list[tuple[int, Text]] = []
        for step, k in zip(first, self.places, strict=True):
            last = step == self.steps
            text = self.axes.annotate(
                shortened(result.goods[k], 16),
                (step, math.sqrt(low * high)),
                (-5 if last else 5, 0),
                textcoords="offset points",
                ha="right" if last else "left",
                va="center",
                fontsize=8,
                color=INK,
                visible=False,
            )
            arrivals.append((step, text))
        return arrivals


def _line(axes: Axes, **options: Any) -> Line2D:
    (line,) = axes.plot([], [], drawstyle="steps-post", clip_on=False, **options)
    return line
