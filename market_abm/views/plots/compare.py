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
from market_abm.views.palette import FAINT, GREY, INK, OKABE_ITO
from market_abm.views.plots.lettering import all_fitted
from market_abm.views.plots.style import new_figure, tidy
from market_abm.views.words.figures import (
    CONTOURS_TITLE,
    TEXTBOOK_LABEL,
    WELFARE_GAP,
    mechanisms_title,
    optimizer_title,
)
from market_abm.views.words.lines import shortened

if TYPE_CHECKING:
    from market_abm.studies.comparisons import MechanismComparison, OptimizerComparison
    from market_abm.twins.base import TwinPath

DASHES = (0, (3, 3))
"""The line of a twin."""

CONVERGED = 1e-6
"""The relative distance from the optimum that is marked."""

LEGEND: dict[str, Any] = {
    "loc": "upper left",
    "bbox_to_anchor": (1.0, 1.05),
    "fontsize": 7.5,
    "frameon": False,
}


NAME_WIDTH = 1.2
"""Inches of a name in a legend."""


def optimizer_figure(comparison: OptimizerComparison) -> Figure:
    """A market and its twin: prices, shares or quantities, welfare, and their distance.

    For two free variables also both paths over the contours of welfare.
    """
    result, land = comparison.result, comparison.landscape
    figure = new_figure(8.2 if land is None else 11.6, 7.6)
    grid = figure.add_gridspec(
        4,
        1 if land is None else 2,
        left=0.11 if land is None else 0.075,
        right=0.8 if land is None else 0.985,
        top=0.885,
        bottom=0.07,
        hspace=0.28,
        width_ratios=None if land is None else (1.0, 0.82),
        wspace=0.42,
    )
    panels = [figure.add_subplot(grid[k, 0]) for k in range(4)]
    _prices(panels[0], comparison)
    _amounts(panels[1], comparison)
    _objective(panels[2], comparison)
    _distances(panels[3], comparison)
    for panel in panels:
        tidy(panel)
        panel.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        panel.tick_params(labelbottom=panel is panels[3])
    panels[3].set_xlabel("step", fontsize=9)
    figure.align_ylabels(panels)
    if land is not None:
        _contours(figure.add_subplot(grid[:, 1]), comparison)
    figure.suptitle(
        optimizer_title(shortened(result.experiment.name, 40), comparison),
        fontsize=9.5,
        x=0.01,
        ha="left",
        color=INK,
    )
    return figure


def _objective(axes: Axes, comparison: OptimizerComparison) -> None:
    """What the optimiser maximises, welfare; or the dual potential, if it minimises that."""
    if comparison.potential is None:
        times: np.ndarray = comparison.result.times
        market, twin = comparison.result.path.welfare, comparison.welfare
        axes.set_ylabel("welfare", fontsize=8.5)
    else:
        times, market, twin = comparison.potential
        axes.set_yscale("log")
        least = min(np.nanmin(market), np.nanmin(twin))
        size = np.nanmax(np.abs(market))
        market, twin = (np.clip((each - least) / size, FLOOR, None) for each in (market, twin))
        axes.set_ylabel("dual potential\nabove its minimum", fontsize=8.5)
    axes.plot(times, market, color=GREY, lw=2.4)
    axes.plot(times[: len(twin)], twin, color=INK, lw=1.0, ls=DASHES)


def _prices(axes: Axes, comparison: OptimizerComparison) -> None:
    """Prices of intermediate goods, relative to their last gradients."""
    result = comparison.result
    goods = intermediate_goods(result.goods, result.experiment.economy)
    places = [result.goods.index(good) for good in goods]
    with np.errstate(all="ignore"):
        scale = np.abs(result.last_gradients)
        scale = np.where(scale > 0.0, scale, 1.0)
        _both(axes, result.prices / scale, comparison.twin.prices / scale, places, goods)
    axes.set_ylabel("price ÷ last\ngradient", fontsize=8.5)


def _amounts(axes: Axes, comparison: OptimizerComparison) -> None:
    """The shares of goods with several buyers; quantities, if there are none or none recorded."""
    result, twin = comparison.result, comparison.twin
    path, buyers = result.trajectory, result.experiment.economy.buyers
    shared = [b for pool in buyers.shared_pools for b in range(pool.buyers.start, pool.buyers.stop)]
    if shared and len(path.shares) == len(path.prices):
        names = [
            f"{result.goods[buyers.good[b]]} → {result.goods[buyers.maker[b]]}" for b in shared
        ]
        _both(axes, path.shares, twin.shares, shared, names)
        axes.set_ylabel("shares", fontsize=8.5)
    else:
        places = range(len(result.goods))
        _both(axes, path.quantities, twin.quantities, places, result.goods)
        axes.set_ylabel("quantities", fontsize=8.5)


def _both(
    axes: Axes,
    market: np.ndarray,
    twin: np.ndarray,
    places: Sequence[int],
    names: Sequence[str],
) -> None:
    """The first few of these columns of market and twin, with their names."""
    labels = all_fitted(names[: len(OKABE_ITO)], NAME_WIDTH, LEGEND["fontsize"])
    for k, name, color in zip(places, names, OKABE_ITO, strict=False):
        axes.plot(market[:, k], color=color, lw=2.4, label=labels[name])
        axes.plot(twin[:, k], color=INK, lw=1.0, ls=DASHES)
    axes.legend(**LEGEND)


def _distances(axes: Axes, comparison: OptimizerComparison) -> None:
    """The largest distance of any good, relative to its largest size, at each step."""
    gaps = []
    axes.set_yscale("log")
    for n, name in enumerate(comparison.distances):
        gap = _gap(comparison, comparison.twin, name)
        color = OKABE_ITO[n]
        axes.plot(np.clip(gap, FLOOR, None), color=color, lw=0, marker=".", ms=3.5, label=name)
        gaps.append(_gap(comparison, comparison.textbook, name))
    if comparison.textbook_name != comparison.twin_name:
        gap = np.where(np.isfinite(gaps), gaps, np.nan).max(axis=0)
        axes.plot(np.clip(gap, FLOOR, None), color=GREY, lw=1.2, label=TEXTBOOK_LABEL)
    axes.set_ylim(FLOOR, max(1e-14, 10 * axes.get_ylim()[1]))
    ticks = [10.0**e for e in range(-16, 3, 2) if 10.0**e < axes.get_ylim()[1]]
    axes.set_yticks([FLOOR, *ticks[:: max(1, len(ticks) // 4)]])
    axes.set_yticks([], minor=True)
    axes.yaxis.set_major_formatter(
        FuncFormatter(lambda v, _: "0" if v <= FLOOR else format_power_of_ten(v))
    )
    axes.set_ylabel("distance", fontsize=8.5)
    axes.legend(**LEGEND)


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
    axes.contourf(land.x, land.y, filled, levels=[*levels, best.welfare + 1e-9], cmap="Greys_r")
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
    """The distance of welfare from the optimum on a log axis, with a line a mechanism."""
    figure = new_figure(8.2, 4.4)
    axes = figure.add_axes((0.1, 0.12, 0.87, 0.68))
    axes.set_yscale("log")
    done = [each for each in comparison.results.values() if isinstance(each, Result)]
    best = next((each.equilibrium for each in done if each.equilibrium is not None), None)
    paths = {
        each.experiment.market.mechanism: (each.times, each.path.welfare, color, "-")
        for each, color in zip(done, OKABE_ITO, strict=False)
    }
    if comparison.ascent is not None:
        welfare = comparison.ascent.welfare
        paths["gradient ascent"] = (np.arange(len(welfare)), welfare, INK, "--")
    for name, (times, welfare, color, style) in paths.items():
        if best is None:
            break
        with np.errstate(all="ignore"):
            gap = np.clip(np.abs(best.welfare - welfare) / abs(best.welfare), FLOOR, None)
        axes.plot(times, gap, color=color, lw=1.8, ls=style, label=name)
    lengths = [times[-1] for times, *_ in paths.values()] or [1]
    if max(lengths) > 10 * max(1, min(lengths)):
        axes.set_xscale("log")
        axes.set_xlim(1, max(lengths))
    else:
        axes.set_xlim(0, max(lengths))
        axes.xaxis.set_major_locator(MaxNLocator(9, integer=True))
    ticks = [10.0**e for e in range(-16, 3, 4)]
    axes.set_yticks(ticks)
    axes.set_yticks([], minor=True)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: format_power_of_ten(v)))
    axes.axhline(CONVERGED, color=FAINT, lw=0.8, ls=":")
    axes.set_ylabel(WELFARE_GAP, fontsize=9)
    axes.set_xlabel("step", fontsize=9)
    figure.legend(loc="upper left", bbox_to_anchor=(0.0, 0.93), ncols=5, fontsize=8, frameon=False)
    name = shortened(done[0].experiment.name, 40) if done else ""
    figure.suptitle(mechanisms_title(name), fontsize=9.5, x=0.01, ha="left")
    tidy(axes)
    return figure
