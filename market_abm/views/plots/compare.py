"""Figures of comparisons: of a market with its twin, and of several mechanisms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from market_abm.runs.result import Result
from market_abm.views.convergence import FLOOR, intermediate_goods
from market_abm.views.numbers import format_power_of_ten
from market_abm.views.palette import FAINT, GREY, INK, OKABE_ITO, welfare_shades
from market_abm.views.plots.lettering import all_fitted
from market_abm.views.plots.style import LEFT, Title, new_figure, scale_axis, tidy
from market_abm.views.ranges import last_above, settled_record, shown_until
from market_abm.views.words.figures import (
    CONTOURS_TITLE,
    FEWEST_STEPS,
    IDENTICAL_UNTIL,
    ROUNDING_BAND,
    TEXTBOOK_LABEL,
    WELFARE_GAP,
    does_it_follow,
    mechanisms_title,
    optimizer_title,
    step_label,
    within,
)
from market_abm.views.words.lines import shortened

if TYPE_CHECKING:
    from market_abm.studies.comparisons import MechanismComparison
    from market_abm.studies.optimizers import OptimizerComparison
    from market_abm.twins.base import TwinPath

DASHES = (0, (3, 3))
"""The line of a twin."""

CONVERGED = 1e-6
"""The relative distance from the optimum that is marked."""

ROUNDED = 1e-13
"""Relative distances below this are rounding."""

WIDTH = 8.2
"""Inches."""

LEGEND: dict[str, Any] = {
    "loc": "lower left",
    "bbox_to_anchor": (0.0, 1.0),
    "ncols": 2,
    "fontsize": 7.5,
    "frameon": False,
    "borderpad": 0.2,
    "handlelength": 1.6,
    "columnspacing": 1.0,
}

NAME_WIDTH = 1.15
"""Inches of a name in a legend."""


def optimizer_figure(comparison: OptimizerComparison) -> Figure:
    """A market and its twin: prices, shares or quantities, welfare, and their distance.

    For two free variables also both paths over the contours of welfare.
    """
    result, land = comparison.result, comparison.landscape
    market = result.experiment.market.mechanism
    details = optimizer_title(shortened(result.experiment.name, 40), comparison)
    title = Title(does_it_follow(market, comparison.twin_name), details, WIDTH)
    map_height = 0.0 if land is None else 3.9
    height = title.height + 5.7 + map_height
    figure = new_figure(WIDTH, height)
    grid = figure.add_gridspec(
        2,
        2,
        left=0.1,
        right=0.985,
        top=1 - (title.height + 0.6) / height,
        bottom=(map_height + 0.55) / height,
        hspace=0.62,
        wspace=0.28,
    )
    draw = _prices, _amounts, _objective, _distances
    for k, each in enumerate(draw):
        axes = figure.add_subplot(grid[k // 2, k % 2])
        until = each(axes, comparison)
        tidy(axes)
        axes.set_xlim(-0.02 * until, until)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.set_xlabel(step_label(until, result.steps), fontsize=8.5)
    if land is not None:
        box = (0.1, 0.5 / height, 0.885, (map_height - 0.8) / height)
        _contours(figure.add_axes(box), comparison)
    title.draw(figure)
    return figure


def _until(times: np.ndarray, *paths: np.ndarray) -> float:
    """The step up to which these paths, (records, ...), are worth drawing."""
    ends = (settled_record(each[:, None] if each.ndim == 1 else each) for each in paths)
    return max(1.0, shown_until(times, max(ends)))


def _objective(axes: Axes, comparison: OptimizerComparison) -> float:
    """What the optimiser maximises, welfare; or the dual potential, if it minimises that."""
    if comparison.potential is None:
        times: np.ndarray = comparison.result.times
        market, twin = comparison.result.path.welfare, comparison.welfare
        axes.set_ylabel("welfare", fontsize=8.5)
        until = _until(times, market, twin)
    else:
        times, market, twin = comparison.potential
        axes.set_yscale("log")
        least = min(np.nanmin(market), np.nanmin(twin))
        size = np.nanmax(np.abs(market))
        market, twin = (np.clip((each - least) / size, ROUNDED, None) for each in (market, twin))
        until = max(1.0, shown_until(times, last_above(market[:, None], ROUNDED)))
        axes.set_ylabel("dual potential\nabove its minimum", fontsize=8.5)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: format_power_of_ten(v)))
    axes.plot(times, market, color=GREY, lw=2.4)
    axes.plot(times[: len(twin)], twin, color=INK, lw=1.0, ls=DASHES)
    return until


def _prices(axes: Axes, comparison: OptimizerComparison) -> float:
    """Prices of intermediate goods, relative to their last gradients."""
    result = comparison.result
    goods = intermediate_goods(result.goods, result.experiment.economy)
    places = [result.goods.index(good) for good in goods]
    with np.errstate(all="ignore"):
        scale = np.abs(result.last_gradients)
        scale = np.where(scale > 0.0, scale, 1.0)
        twin = comparison.twin.prices / scale
        until = _both(axes, result.prices / scale, twin, places, goods)
    axes.set_ylabel("price ÷ last\ngradient", fontsize=8.5)
    return until


def _amounts(axes: Axes, comparison: OptimizerComparison) -> float:
    """The shares of goods with several buyers; quantities, if there are none or none recorded."""
    result, twin = comparison.result, comparison.twin
    path, buyers = result.trajectory, result.experiment.economy.buyers
    shared = [b for pool in buyers.shared_pools for b in range(pool.buyers.start, pool.buyers.stop)]
    if shared and len(path.shares) == len(path.prices):
        names = [
            f"{result.goods[buyers.good[b]]} → {result.goods[buyers.maker[b]]}" for b in shared
        ]
        axes.set_ylabel("shares", fontsize=8.5)
        return _both(axes, path.shares, twin.shares, shared, names)
    axes.set_ylabel("quantities", fontsize=8.5)
    places = range(len(result.goods))
    return _both(axes, path.quantities, twin.quantities, places, result.goods)


def _both(
    axes: Axes,
    market: np.ndarray,
    twin: np.ndarray,
    places: Sequence[int],
    names: Sequence[str],
) -> float:
    """The first few of these columns of market and twin, with their names."""
    labels = all_fitted(names[: len(OKABE_ITO)], NAME_WIDTH, LEGEND["fontsize"])
    for k, name, color in zip(places, names, OKABE_ITO, strict=False):
        axes.plot(market[:, k], color=color, lw=2.4, label=labels[name])
        axes.plot(twin[:, k], color=INK, lw=1.0, ls=DASHES)
    axes.legend(**LEGEND)
    shown = list(places)[: len(OKABE_ITO)]
    return _until(np.arange(len(market)), market[:, shown], twin[:, shown])


def _distances(axes: Axes, comparison: OptimizerComparison) -> float:
    """The largest distance of any good, relative to its largest size, at each step.

    The axis always has room up to 1, so that rounding is seen to be small.
    """
    steps = comparison.result.steps
    gaps = []
    axes.set_yscale("log")
    for n, name in enumerate(comparison.distances):
        gap = _gap(comparison, comparison.twin, name)
        color = OKABE_ITO[n]
        axes.plot(np.clip(gap, FLOOR, None), color=color, lw=0, marker=".", ms=3.0, label=name)
        gaps.append(_gap(comparison, comparison.textbook, name))
    if comparison.textbook_name != comparison.twin_name:
        gap = np.where(np.isfinite(gaps), gaps, np.nan).max(axis=0)
        axes.plot(np.clip(gap, FLOOR, None), color=GREY, lw=1.2, label=TEXTBOOK_LABEL)
    if comparison.identical_until < steps:
        here: dict[str, Any] = {"color": FAINT, "lw": 1.0, "ls": ":", "label": IDENTICAL_UNTIL}
        axes.axvline(comparison.identical_until, **here)
    axes.set_ylim(FLOOR, max(1.0, axes.get_ylim()[1]))
    axes.axhspan(FLOOR, ROUNDED, color="#ededed", lw=0, zorder=0, label=ROUNDING_BAND)
    axes.set_yticks([FLOOR, *(10.0**e for e in range(-12, 1, 4))])
    axes.set_yticks([], minor=True)
    axes.yaxis.set_major_formatter(
        FuncFormatter(lambda v, _: "0" if v <= FLOOR else format_power_of_ten(v))
    )
    axes.set_ylabel("relative distance", fontsize=8.5)
    axes.legend(**LEGEND | {"ncols": 3})
    return float(max(1, steps))


@np.errstate(all="ignore")
def _gap(comparison: OptimizerComparison, other: TwinPath, name: str) -> np.ndarray:
    """The distance of the market from an optimiser at each step that both made."""
    one, path = getattr(comparison.result.trajectory, name), getattr(other, name)
    largest = np.abs(one).max(axis=0)
    difference = np.abs(one[: len(path)] - path)
    return (difference / np.where(largest > 0.0, largest, 1.0)).max(axis=1)


def _contours(axes: Axes, comparison: OptimizerComparison) -> None:
    """Both paths over the contours of welfare, in the plane of the two free variables."""
    land, result = comparison.landscape, comparison.result
    assert land is not None
    best = result.equilibrium
    assert best is not None
    finite = land.welfare[np.isfinite(land.welfare)]
    gap = best.welfare - land.welfare
    levels = best.welfare - np.geomspace(1.0, 1e-3, 13) * (best.welfare - finite.min())
    filled = np.where(np.isfinite(gap), land.welfare, finite.min())
    bands = [*levels, best.welfare + 1e-9]
    axes.contourf(land.x, land.y, filled, levels=bands, colors=welfare_shades(len(bands) - 1))
    axes.contour(land.x, land.y, filled, levels=levels, colors="white", linewidths=0.5)
    path = result.trajectory
    market = land.route(path.quantities, path.shares)
    twin = land.route(comparison.twin.quantities, comparison.twin.shares)
    axes.plot(*market.T, color=OKABE_ITO[0], lw=2.4, marker="o", ms=3, zorder=3)
    axes.plot(*twin.T, color=INK, lw=1.0, ls=DASHES, zorder=4)
    ((x, y),) = land.route(best.quantities[None], best.shares[None])
    axes.plot(x, y, "*", color=OKABE_ITO[4], ms=13, mec="white", mew=0.8, zorder=5)
    axes.set_xlim(land.x[0], land.x[-1])
    axes.set_ylim(land.y[0], land.y[-1])
    axes.set_xlabel(land.names[0], fontsize=9)
    axes.set_ylabel(land.names[1], fontsize=9)
    axes.set_title(CONTOURS_TITLE, fontsize=9, loc="left", color=INK)
    tidy(axes)


def mechanism_figure(comparison: MechanismComparison) -> Figure:
    """The distance of welfare from the optimum on a log axis, with a line a mechanism.

    A line is the largest distance from its step on, and ends where only rounding is left; the
    distance at each step is thin behind it. A dot is where a line stays below ``CONVERGED``.
    """
    done = [each for each in comparison.results.values() if isinstance(each, Result)]
    name = shortened(done[0].experiment.name, 40) if done else ""
    title = Title(FEWEST_STEPS, mechanisms_title(name), WIDTH)
    height = 4.0 + title.height
    figure = new_figure(WIDTH, height)
    axes = figure.add_axes((0.1, 0.53 / height, 0.87, 3.0 / height))
    axes.set_yscale("log")
    ends, gaps = [], _gaps(comparison, done)
    for label, times, gap, color, style in gaps:
        ahead = np.maximum.accumulate(gap[::-1])[::-1]
        end = min(last_above(gap[:, None], ROUNDED) + 2, len(gap))
        axes.plot(times[:end], gap[:end], color=color, lw=0.7, alpha=0.4, zorder=2)
        axes.plot(times[:end], ahead[:end], color=color, lw=1.9, ls=style, label=label, zorder=3)
        reached = np.flatnonzero(ahead <= CONVERGED)
        if reached.size:
            place = times[reached[0]], ahead[reached[0]]
            axes.plot(*place, "o", color=color, ms=6, mec="white", mew=0.8, zorder=4)
        ends.append(float(times[end - 1]))
    if not any(np.any(gap > 0.0) for _, _, gap, _, _ in gaps):
        axes.autoscale(False, axis="y")  # of no positive number, which matplotlib warns of
        axes.set_ylim(ROUNDED, 1.0)
    _steps_of_gaps(axes, ends or [1.0])
    axes.set_ylim(bottom=ROUNDED)
    axes.set_yticks([10.0**e for e in range(-12, 5, 3) if 10.0**e <= axes.get_ylim()[1]])
    axes.set_yticks([], minor=True)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: format_power_of_ten(v)))
    axes.axhline(CONVERGED, color=FAINT, lw=0.8, ls=":", label=within(CONVERGED))
    handles = [each for each in axes.get_lines() if not str(each.get_label()).startswith("_")]
    axes.set_ylabel(WELFARE_GAP, fontsize=9)
    options: dict[str, Any] = {"loc": "upper left", "ncols": 6, "fontsize": 8, "frameon": False}
    options["bbox_to_anchor"] = (LEFT / WIDTH, 1 - (title.height + 0.04) / height)
    figure.legend(handles=handles, borderpad=0.0, columnspacing=1.4, **options)
    title.draw(figure)
    tidy(axes)
    return figure


Gap = tuple[str, np.ndarray, np.ndarray, str, str]
"""The name of a path, its steps and relative distances from the optimum, its colour and line."""


def _gaps(comparison: MechanismComparison, done: Sequence[Result]) -> list[Gap]:
    """The paths of the mechanisms and of gradient ascent; none if there is no optimum."""
    best = next((each.equilibrium for each in done if each.equilibrium is not None), None)
    if best is None:
        return []
    paths = [
        (each.experiment.market.mechanism, each.times, each.path.welfare, color, "-")
        for each, color in zip(done, OKABE_ITO, strict=False)
    ]
    if comparison.ascent is not None:
        welfare = comparison.ascent.welfare
        paths.append(("gradient ascent", np.arange(len(welfare)), welfare, INK, "--"))
    with np.errstate(all="ignore"):
        return [
            (name, times, np.abs(best.welfare - welfare) / abs(best.welfare), color, style)
            for name, times, welfare, color, style in paths
        ]


def _steps_of_gaps(axes: Axes, ends: Sequence[float]) -> None:
    """The axis of steps: logarithmic where lines end at very different ones."""
    last = max([1.0, *ends])
    if last > 5 * max(1.0, min(ends)):
        scale_axis(axes.xaxis, axes.set_xscale, np.array([1.0, last]), log=True)
        axes.set_xlim(1, last)
    else:
        axes.set_xlim(0, last)
        axes.xaxis.set_major_locator(MaxNLocator(9, integer=True))
    axes.set_xlabel("step", fontsize=9)
