"""The weights of households over time, and moves along the gradient at these weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from market_abm.views.convergence import line_style
from market_abm.views.palette import FAINT, GREY, INK, OKABE_ITO
from market_abm.views.plots.convergence import DASHED, LEGEND
from market_abm.views.plots.lettering import all_fitted
from market_abm.views.plots.style import Title, new_figure, tidy
from market_abm.views.ranges import settled_record, shown_until
from market_abm.views.words import weights as words
from market_abm.views.words.figures import convergence_title, step_label

if TYPE_CHECKING:
    from market_abm.runs.result import Result
    from market_abm.runs.weights import Weights

WIDTH, PANEL, GAP, BELOW, KEYS, ROW = 8.2, 2.1, 0.45, 0.5, 0.4, 0.18
"""Inches: the width of the figure, the height of a panel, what is between, below and above, and a
row of keys."""

KEYS_A_ROW, NAME = 4, 1.2
"""Keys of weights beside each other, and the width of their names, inches."""

MAX_LINES = len(OKABE_ITO)
"""Households that are drawn; of more, the first."""

DOTTED: dict[str, Any] = {"lw": 1.4, "ls": ":"}
"""A weight in equilibrium."""

MANY = 30.0
"""The ratio of the largest to the least weight from which on their axis is logarithmic."""


def weights(result: Result) -> Figure | None:
    """A line for each household, dotted its weight in equilibrium; below, moves and the gradient.

    None without households, and if their weights were not recorded.
    """
    found = result.weights
    if found is None or not np.isfinite(found.path).any():
        return None
    note = words.figure_note(result, MAX_LINES)
    drawn = min(len(found.households), MAX_LINES) + (found.equilibrium is not None)
    keys = KEYS + ROW * ((drawn - 1) // KEYS_A_ROW)
    title = Title(result.experiment.question, f"{convergence_title(result)}\n{note}", WIDTH)
    height = title.height + keys + 2 * PANEL + GAP + BELOW
    figure = new_figure(WIDTH, height)
    below = figure.add_axes((0.115, BELOW / height, 0.85, PANEL / height))
    above = figure.add_axes((0.115, (BELOW + PANEL + GAP) / height, 0.85, PANEL / height))
    until = shown_until(found.times, settled_record(found.path))
    _weights(above, found)
    _along_gradient(below, result, found.times <= until)
    for axes in (above, below):
        axes.set_xlim(float(found.times[0]), max(until, float(found.times[0]) + 1.0))
        axes.xaxis.set_major_locator(MaxNLocator(9, integer=True))
        for step, _ in result.experiment.changes:
            axes.axvline(step, color=INK, zorder=0.5, **DASHED)
        tidy(axes)
    above.tick_params(labelbottom=False)
    below.set_xlabel(step_label(until, float(found.times[-1])), fontsize=9)
    title.draw(figure)
    return figure


def _weights(axes: Axes, found: Weights) -> None:
    """The weights, and dotted those of the equilibrium."""
    names = found.households[:MAX_LINES]
    shown, handles = all_fitted(names, NAME, 8), []
    for n, name in enumerate(names):
        color = OKABE_ITO[line_style(n)[0]]
        handles += axes.plot(found.times, found.path[:, n], color=color, lw=2.0, label=shown[name])
        if found.equilibrium is not None:
            axes.axhline(found.equilibrium[n], color=color, **DOTTED)
    if found.equilibrium is not None:
        handles.append(Line2D([], [], color=GREY, label=words.EQUILIBRIUM, **DOTTED))
    values = found.path[np.isfinite(found.path)]
    if values.min() > 0.0 and values.max() > MANY * values.min():
        axes.set_yscale("log")
    axes.set_ylabel(words.LABEL, fontsize=9)
    axes.legend(handles=handles, ncols=min(len(handles), KEYS_A_ROW), **LEGEND)


def _along_gradient(axes: Axes, result: Result, shown: np.ndarray) -> None:
    """How far each of the ``shown`` moves went along the gradient, at the weights before it."""
    path, lowest = result.path, -0.05
    for values, label, color in (
        (path.alignment, words.COSINE, GREY),
        (path.gain_fractions, words.GAIN, OKABE_ITO[2]),
    ):
        drawn = np.clip(values[shown], -1.0, 1.0)
        if not np.isfinite(drawn).any():  # where goods are only planned
            continue
        lowest = np.nanmin([lowest, *(drawn - 0.05)])
        axes.plot(result.times[shown], drawn, color=color, lw=2.0, label=label)
    axes.axhline(0.0, color=FAINT, lw=0.8, zorder=1)
    axes.set_ylim(lowest, 1.05)
    axes.set_ylabel(words.ALONG, fontsize=9)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(ncols=2, **LEGEND)
