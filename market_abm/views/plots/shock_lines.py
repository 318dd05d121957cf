"""The path of a few prices after a shock: a line a good."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from market_abm.views.convergence import line_style
from market_abm.views.palette import FAINT, INK, OKABE_ITO
from market_abm.views.plots.lettering import all_fitted
from market_abm.views.plots.style import Title, new_figure, tidy
from market_abm.views.words.lines import shortened
from market_abm.views.words.shock import (
    PRICE_CHANGE,
    line_label,
    shock_lines_note,
    shock_title,
    shocked_goods,
    step_label,
)

if TYPE_CHECKING:
    from market_abm.runs.result import Result

WIDTH, PANEL, BELOW = 8.2, 2.8, 0.5
"""Inches: the width of the figure, and the height of the panel and of what is below it."""

MAX_MARKED_STEPS = 40
"""Steps up to which each has a marker."""

STILL = 1e-6
"""Relative changes up to this one are none."""

LEAD = 0.15
"""Steps before the first shock that are drawn, as a part of those after it."""

INVISIBLE_PART, MIN_STEPS = 3e-3, 8
"""The part of the axis below which a move cannot be seen, and the least steps after a shock."""

DASHES = ("-", (0, (6, 1.5)))


def shock_lines(result: Result) -> Figure:
    """Prices since shortly before the first shock, in per cent of those in the step before it.

    Dashed are the exact gradients, dotted vertical lines the shocks; at the right are the prices of
    the new equilibrium, found without a market.
    """
    shocks = [step for step, _ in result.experiment.changes if step <= result.steps]
    before = result.prices[np.flatnonzero(result.times < shocks[0])[-1]]
    times, rest = result.times, result.steady_state_prices
    prices, gradients = _change(result.prices, before), _change(result.gradients, before)
    ends = None if rest is None else _change(rest[result.trajectory.goods], before)
    after = times >= shocks[0]
    goods = _moving(prices[after], gradients[after])
    shown = _last_shown(times[after], prices[after][:, goods], shocks)
    start = shocks[0] - max(2, round(LEAD * (shown - shocks[0])))
    rows = (times >= start) & (times <= shown)

    title = _title(result, equilibrium=ends is not None)
    height = title.height + 0.15 + PANEL + BELOW
    figure = new_figure(WIDTH, height)
    axes = figure.add_axes((0.085, BELOW / height, 0.62, PANEL / height))
    axes.axhline(0.0, color=FAINT, lw=0.8, zorder=1)
    for step in shocks:
        axes.axvline(step, color=INK, lw=0.8, ls=(0, (1, 2)), zorder=0.5)
    names = all_fitted((result.recorded[k] for k in goods), 1.05, 8)
    handles = []
    for n, k in enumerate(goods):
        color, dash = line_style(n)
        line: dict[str, Any] = {"color": OKABE_ITO[color], "ls": DASHES[min(dash, 1)]}
        _draw(axes, times[rows], prices[rows, k], gradients[rows, k], line)
        if ends is not None:
            mark: dict[str, Any] = {"ms": 5, "color": line["color"], "clip_on": False, "zorder": 5}
            axes.plot(1.02, ends[k], "D", transform=axes.get_yaxis_transform(), **mark)
        label = line_label(names[result.recorded[k]], prices[-1, k])
        handles.append(Line2D([], [], lw=2.0, label=label, **line))
    axes.set_xlim(start, max(shown, start + 1))
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.set_xlabel(step_label(shown, result.steps), fontsize=9)
    axes.set_ylabel(PRICE_CHANGE, fontsize=9)
    tidy(axes)
    middle = (BELOW + PANEL / 2) / height
    beside: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (0.735, middle)}
    figure.legend(handles=handles, fontsize=8, frameon=False, borderaxespad=0.0, **beside)
    title.draw(figure)
    return figure


def _change(values: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Values in per cent above those ``before``; NaN where those are 0."""
    with np.errstate(all="ignore"):
        change: np.ndarray = 100.0 * (values - before) / np.abs(before)
    return np.where(np.isfinite(change), change, np.nan)


def _moving(prices: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """The columns that move, if any does, the highest last price first."""
    moved = np.nan_to_num(np.abs([prices, gradients])).max(axis=(0, 1)) > 100.0 * STILL
    goods = np.flatnonzero(moved) if moved.any() else np.arange(len(moved))
    return goods[np.argsort(-np.nan_to_num(prices[-1, goods]), kind="stable")]


def _draw(
    axes: Axes, times: np.ndarray, prices: np.ndarray, gradients: np.ndarray, line: dict[str, Any]
) -> None:
    """The price of a good, and its gradient."""
    marker = "o" if len(times) <= MAX_MARKED_STEPS else ""
    axes.plot(times, prices, lw=2.0, marker=marker, ms=3.5, zorder=3, **line)
    axes.plot(times, gradients, color=INK, lw=0.9, ls="--", dashes=(4, 2.5), zorder=4)


def _last_shown(times: np.ndarray, prices: np.ndarray, shocks: list[int]) -> int:
    """The last step on the axis: half as long again as it takes until no move can be seen."""
    off = np.nan_to_num(np.abs(prices - prices[-1])).max(axis=1)
    seen = np.flatnonzero(off > INVISIBLE_PART * (np.ptp(np.nan_to_num(prices)) or 1.0))
    moving = int(times[seen[-1]]) if seen.size else shocks[-1]
    since = max(moving - shocks[-1], MIN_STEPS)
    return int(min(shocks[-1] + 1.5 * since, times[-1]))


def _title(result: Result, *, equilibrium: bool) -> Title:
    experiment = result.experiment
    shocks = experiment.configuration.get("shocks", [])
    what = shock_title(shortened(experiment.name, 30), shocks)
    unseen = [good for good in shocked_goods(result) if good not in result.recorded]
    note = shock_lines_note(unseen, equilibrium=equilibrium)
    return Title(experiment.question, f"{what}\n{note}", WIDTH)
