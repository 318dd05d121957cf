"""The way of prices after a shock, good by good, to their new equilibrium."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, SymLogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from market_abm.views.numbers import format_percent
from market_abm.views.palette import INK, OKABE_ITO
from market_abm.views.plots.style import new_figure, shortened, worded
from market_abm.views.words import changes_text

if TYPE_CHECKING:
    from market_abm.runs.result import Result

FEWEST_ROWS, MAX_ROWS, MOST_COLUMNS = 9, 25, 16


WIDTH, ROW = 8.2, 0.205


MAP, REST, BAR = (2.95, 3.3), (6.37, 0.24), (7.47, 0.12)
"""Where the map, the new equilibrium and the colour bar begin, and their widths: inches."""


MOVED = 6
"""Digits after the point of a logarithm of prices that count as a move."""


DECADES = 2
"""How many of them the colour bar has on each side of 0."""


SHADES = LinearSegmentedColormap.from_list(
    "change", [OKABE_ITO[0], "#ffffff", OKABE_ITO[1]]
).with_extremes(bad="#cccccc")


@dataclass(frozen=True, eq=False)
class Moves:
    """How prices moved after the first shock.

    ``goods`` are those whose price changed most by the end, the most first; ``since`` the steps
    from the shock on, shape (columns,); ``moves`` the logarithms of prices over those before the
    shock, (goods, columns), NaN where there is none; ``rest`` the same of the prices at the new
    equilibrium, (goods,), or None where it is not known.
    """

    goods: tuple[str, ...]
    since: np.ndarray
    moves: np.ndarray
    rest: np.ndarray | None

    @staticmethod
    def of(result: Result, rows: int = MAX_ROWS, columns: int = MOST_COLUMNS) -> Moves:
        """Those of a run with a shock: of up to so many goods, at up to so many steps.

        Goods whose price never moved are left out, unless there are few others.

        Where there are more steps, those kept after each shock lie ever farther apart, the first
        and the last before the next shock among them.
        """
        times, shocks = result.times, [step for step, _ in result.experiment.changes]
        first = shocks[0]
        before = result.prices[np.flatnonzero(times < first)[-1]]
        after = _ever_farther_apart(times, shocks, columns)
        moves = _log_ratio(result.prices[after], before).T
        known = np.nan_to_num(np.abs(moves)).round(MOVED)  # what rounding moved has not moved
        order = np.lexsort((-known.max(axis=1), -known[:, -1]))
        moved = np.count_nonzero(known.any(axis=1))
        order = order[: min(rows, max(moved, FEWEST_ROWS))]
        rest = result.steady_state_prices
        if rest is not None:
            rest = _log_ratio(rest[result.trajectory.goods], before)[order]
        return Moves(
            goods=tuple(result.recorded[k] for k in order),
            since=times[after] - first,
            moves=moves[order],
            rest=rest,
        )


def _ever_farther_apart(times: np.ndarray, shocks: list[int], most: int) -> np.ndarray:
    """Places in ``times`` from the first shock on, ``most`` or fewer: dense after each shock."""
    if np.count_nonzero(times >= shocks[0]) <= most:
        return np.flatnonzero(times >= shocks[0])
    bounds = np.searchsorted(times, shocks if 2 * len(shocks) <= most else shocks[:1])
    bounds = np.unique([*bounds, len(times)])
    each = most // (len(bounds) - 1)
    kept = [start + _apart(end - start, each) for start, end in pairwise(bounds)]
    return np.concatenate(kept)


def _apart(size: int, count: int) -> np.ndarray:
    """``count`` of the numbers below ``size``, as evenly in logarithms as whole numbers can be."""
    if size <= count:
        return np.arange(size)
    kept = [1]
    for left in range(count - 1, 0, -1):
        ahead = kept[-1] * (size / kept[-1]) ** (1.0 / left)
        kept.append(max(kept[-1] + 1, round(ahead)))
    return np.array(kept) - 1


def _log_ratio(prices: np.ndarray, before: np.ndarray) -> np.ndarray:
    """ln(p / p before), NaN where that is no number."""
    with np.errstate(all="ignore"):
        logs = np.log(prices / before)
    return np.where(np.isfinite(logs), logs, np.nan)


def shock(result: Result) -> Figure:
    """A row a good, a column a step since the first shock; the colour is the change of its price.

    Against the step before the shock, on a scale that is linear near 0 and logarithmic beyond, the
    same for both signs. At the right, by colour and in per cent, the change to the new equilibrium,
    found without a market. Grey: no price of the same sign before or after.
    """
    told = Moves.of(result)
    rows, tall = len(told.goods), ROW * len(told.goods)
    title = _title(result, told)
    figure = new_figure(WIDTH, tall + 0.84 + 0.155 * len(title))

    def column(place: tuple[float, float]) -> Axes:
        start, width = place
        across, up = figure.get_size_inches()
        return figure.add_axes((start / across, 0.58 / up, width / across, tall / up))

    sizes = np.abs(told.moves if told.rest is None else np.column_stack([told.moves, told.rest]))
    most = max(float(np.nanmax(sizes, initial=0.0)), 1e-9)
    norm = SymLogNorm(linthresh=most / 10.0**DECADES, linscale=0.6, vmin=-most, vmax=most)
    axes = column(MAP)
    _cells(axes, told.moves, norm)
    names = [worded(result.experiment.economy.label(good), 50) for good in told.goods]
    axes.set_yticks(np.arange(rows) + 0.5, names, fontsize=7.5)
    _steps_below(axes, told.since)
    _later_shocks(axes, result, told.since)
    if told.rest is not None:
        beside = column(REST)
        _cells(beside, told.rest[:, None], norm)
        beside.set_xticks([0.5], ["new\nequilibrium"], fontsize=7.5)
        beside.yaxis.tick_right()
        beside.set_yticks(np.arange(rows) + 0.5, _percentages(told.rest), fontsize=7.5)
        beside.tick_params(length=0)
    _color_bar(figure, column(BAR), norm, most, (1.0, 3.0) if rows > 14 else (1.0,))
    figure.suptitle(
        "\n".join(title),
        fontsize=9.5,
        x=0.01,
        y=1 - 0.09 / figure.get_figheight(),
        ha="left",
        color=INK,
    )
    return figure


def _cells(axes: Axes, values: np.ndarray, norm: SymLogNorm) -> None:
    axes.pcolormesh(values, cmap=SHADES, norm=norm, lw=0.3, ec="#e6e6e6")
    axes.invert_yaxis()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _percentages(changes: np.ndarray) -> list[str]:
    """Changes of logarithms in per cent, with two digits of a middling one; none for NaN."""
    percent = 100.0 * np.expm1(changes)
    sizes = np.abs(percent[np.isfinite(percent) & (percent != 0.0)])
    middle = np.log10(np.median(sizes)) if sizes.size else 0.0
    digits = int(np.clip(1.0 - np.floor(middle), 0, 6))
    return ["" if np.isnan(each) else format_percent(each, digits) for each in percent]


def _steps_below(axes: Axes, since: np.ndarray) -> None:
    """The steps, each under its column."""
    axes.set_xticks(np.arange(len(since)) + 0.5, [str(each) for each in since], fontsize=7.5)
    axes.set_xlabel("steps since the shock", fontsize=8.5)


def _later_shocks(axes: Axes, result: Result, since: np.ndarray) -> None:
    (first, _), *later = result.experiment.changes
    for step, _ in later:
        if first < step <= result.steps:
            column = int(np.searchsorted(since, step - first))
            axes.axvline(column, color=INK, lw=1.2, ls=(0, (1, 1.5)))


def _color_bar(
    figure: Figure, axes: Axes, norm: SymLogNorm, most: float, digits: tuple[float, ...]
) -> None:
    """Per cent on a scale of logarithms, with ticks at these digits of each decade."""
    bar = figure.colorbar(ScalarMappable(norm, SHADES), cax=axes)
    top = 100.0 * np.expm1(most)
    last = int(np.floor(np.log10(top)))
    sizes = [n * 10.0**d for d in range(last - DECADES, last + 1) for n in digits]
    sizes = [each for each in sizes if top / 10.0**DECADES <= each <= top]
    lost = [-each for each in reversed(sizes) if each < -100.0 * np.expm1(-most)]
    ticks = [*lost, 0.0, *sizes]
    labels = [format_percent(float(f"{each:.6g}")) for each in ticks]
    bar.set_ticks([float(np.log1p(each / 100.0)) for each in ticks], labels=labels)
    bar.ax.yaxis.set_minor_locator(NullLocator())
    bar.ax.tick_params(labelsize=7.5, length=2)
    bar.outline.set_visible(False)


def _title(result: Result, told: Moves) -> list[str]:
    """The shocks in a line or two, and what is shown."""
    shocks = [
        f"{changes_text(each)} from step {each['step']} on"
        for each in result.experiment.configuration.get("shocks", [])
    ]
    what = f"{shortened(result.experiment.name, 30)}: {'; '.join(shocks) or 'a shock'}"
    more = len(told.goods) < len(result.recorded)
    which = f"; the {len(told.goods)} of {len(result.recorded)} that change most" if more else ""
    return [
        *textwrap.wrap(what, 98, max_lines=2, placeholder=" …"),
        f"change of each price against the step before{which}",
    ]
