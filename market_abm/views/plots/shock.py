"""The path of prices after a shock, good by good, to their new equilibrium."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from market_abm.runs.result import MAX_LINE_GOODS, Result
from market_abm.views.numbers import format_percent, format_plain
from market_abm.views.palette import INK, OKABE_ITO
from market_abm.views.plots.lettering import fitted
from market_abm.views.plots.shock_lines import shock_lines
from market_abm.views.plots.style import Title, new_figure
from market_abm.views.words.lines import shortened
from market_abm.views.words.shock import (
    NEW_EQUILIBRIUM,
    STEPS_SINCE,
    shock_note,
    shock_title,
    shocked_goods,
)

MIN_ROWS, MAX_ROWS, MAX_COLUMNS = 9, 25, 16

WIDTH, ROW = 8.2, 0.205
"""Inches: the width of the figure, and the height of a row."""

MAP, REST, BAR = (2.95, 3.3), (6.37, 0.24), (7.47, 0.12)
"""Left ends and widths of the map, the new equilibrium and the colour bar, in inches."""

DIGITS = 6
"""Digits after the point of logarithms of prices; smaller changes are rounding."""

MAX_OVER_MEDIAN = 3.0
"""The strongest colour is at most this many times the change of a typical row: what changes more
has it too, so that one row does not make all others pale."""

SHADES = LinearSegmentedColormap.from_list(
    "change", [OKABE_ITO[0], "#ffffff", OKABE_ITO[1]]
).with_extremes(bad="#cccccc")


@dataclass(frozen=True, eq=False)
class Moves:
    """How prices moved after the first shock.

    Parameters
    ----------
    goods
        Those that are shocked, and those whose price changed most by the end; the largest change
        first.
    since
        Steps since the shock, shape (columns,).
    moves
        Logarithms of prices relative to those before the shock, shape (goods, columns); NaN where
        there is none.
    rest
        The same of the prices at the new equilibrium, shape (goods,); None if it is unknown.
    """

    goods: tuple[str, ...]
    since: np.ndarray
    moves: np.ndarray
    rest: np.ndarray | None

    @staticmethod
    def of(result: Result, rows: int = MAX_ROWS, columns: int = MAX_COLUMNS) -> Moves:
        """The moves of at most ``rows`` goods at most ``columns`` steps of a run with a shock.

        Goods whose price never moved are left out, unless there are few others. Of more steps,
        those kept are spaced evenly in logarithms after each shock, from the first to the last
        before the next one.
        """
        times, shocks = result.times, [step for step, _ in result.experiment.changes]
        first = shocks[0]
        before = result.prices[np.flatnonzero(times < first)[-1]]
        after = _spaced_rows(times, shocks, columns)
        moves = _log_ratio(result.prices[after], before).T
        known = np.nan_to_num(np.abs(moves)).round(DIGITS)  # without rounding
        order = np.lexsort((-known.max(axis=1), -known[:, -1]))
        moved = int(np.count_nonzero(known.any(axis=1)))
        shown = min(rows, max(moved, MIN_ROWS))
        shocked = np.flatnonzero(np.isin(result.recorded, shocked_goods(result)))[: rows // 2]
        always = np.isin(order, shocked)
        order = order[always | (np.cumsum(~always) <= shown - len(shocked))]
        rest = result.steady_state_prices
        if rest is not None:
            rest = _log_ratio(rest[result.trajectory.goods], before)[order]
        return Moves(
            goods=tuple(result.recorded[k] for k in order),
            since=times[after] - first,
            moves=moves[order],
            rest=rest,
        )


def _spaced_rows(times: np.ndarray, shocks: list[int], most: int) -> np.ndarray:
    """At most ``most`` places in ``times`` from the first shock on, dense after each shock."""
    if np.count_nonzero(times >= shocks[0]) <= most:
        return np.flatnonzero(times >= shocks[0])
    bounds = np.searchsorted(times, shocks if 2 * len(shocks) <= most else shocks[:1])
    bounds = np.unique([*bounds, len(times)])
    each = most // (len(bounds) - 1)
    kept = [start + _spaced(end - start, each) for start, end in pairwise(bounds)]
    return np.concatenate(kept)


def _spaced(size: int, count: int) -> np.ndarray:
    """``count`` of the whole numbers below ``size``, about evenly in logarithms."""
    if size <= count:
        return np.arange(size)
    kept = [1]
    for left in range(count - 1, 0, -1):
        ahead = kept[-1] * (size / kept[-1]) ** (1.0 / left)
        kept.append(max(kept[-1] + 1, round(ahead)))
    return np.array(kept) - 1


def _log_ratio(prices: np.ndarray, before: np.ndarray) -> np.ndarray:
    """ln(p / p before), NaN where that is not finite."""
    with np.errstate(all="ignore"):
        logs = np.log(prices / before)
    return np.where(np.isfinite(logs), logs, np.nan)


def shock(result: Result) -> Figure:
    """A row a good, a column a step since the first shock; the colour is the change of its price.

    Changes are relative to the step before the shock; the colours are in proportion to them, up to
    those of a few extreme rows. At the right is the change to the new equilibrium, found without a
    market. Grey: there is no price of the same sign before or after.
    """
    path = Moves.of(result)
    rows, tall = len(path.goods), ROW * len(path.goods)
    title = _title(result, path)
    figure = new_figure(WIDTH, tall + 0.68 + title.height)

    def column(place: tuple[float, float]) -> Axes:
        start, width = place
        across, up = figure.get_size_inches()
        return figure.add_axes((start / across, 0.58 / up, width / across, tall / up))

    changes = path.moves if path.rest is None else np.column_stack([path.moves, path.rest])
    limit = color_limit(changes)
    norm = Normalize(-limit, limit)
    axes = column(MAP)
    _cells(axes, path.moves, norm)
    label, room = result.experiment.economy.label, MAP[0] - 0.15
    names = [fitted(label(good), room, 7.5, head=1.0) for good in path.goods]
    axes.set_yticks(np.arange(rows) + 0.5, names, fontsize=7.5)
    _steps_below(axes, path.since)
    _later_shocks(axes, result, path.since)
    if path.rest is not None:
        beside = column(REST)
        _cells(beside, path.rest[:, None], norm)
        beside.set_xticks([0.5], [NEW_EQUILIBRIUM.replace(" ", "\n")], fontsize=7.5)
        beside.yaxis.tick_right()
        beside.set_yticks(np.arange(rows) + 0.5, _percentages(path.rest), fontsize=7.5)
        beside.tick_params(length=0)
    _color_bar(figure, column(BAR), norm, changes)
    title.draw(figure)
    return figure


def color_limit(changes: np.ndarray) -> float:
    """The change with the strongest colour, of logarithms of shape (rows, columns)."""
    largest = np.abs(np.nan_to_num(changes)).max(axis=1, initial=0.0)
    moved = largest[largest.round(DIGITS) > 0.0]
    if moved.size == 0:
        return 1e-9
    return float(min(moved.max(), MAX_OVER_MEDIAN * np.median(moved)))


def _cells(axes: Axes, values: np.ndarray, norm: Normalize) -> None:
    axes.pcolormesh(values, cmap=SHADES, norm=norm, lw=0.3, ec="#e6e6e6")
    axes.invert_yaxis()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _percentages(changes: np.ndarray) -> list[str]:
    """Changes of logarithms in per cent, with two digits for the median; empty for NaN."""
    percent = 100.0 * np.expm1(changes)
    sizes = np.abs(percent[np.isfinite(percent) & (percent != 0.0)])
    middle = np.log10(np.median(sizes)) if sizes.size else 0.0
    digits = int(np.clip(1.0 - np.floor(middle), 0, 6))
    return ["" if np.isnan(each) else format_percent(each, digits) for each in percent]


def _steps_below(axes: Axes, since: np.ndarray) -> None:
    """The steps below their columns."""
    axes.set_xticks(np.arange(len(since)) + 0.5, [str(each) for each in since], fontsize=7.5)
    axes.set_xlabel(STEPS_SINCE, fontsize=8.5)


def _later_shocks(axes: Axes, result: Result, since: np.ndarray) -> None:
    (first, _), *later = result.experiment.changes
    for step, _ in later:
        if first < step <= result.steps:
            column = int(np.searchsorted(since, step - first))
            axes.axvline(column, color=INK, lw=1.2, ls=(0, (1, 1.5)))


def _color_bar(figure: Figure, axes: Axes, norm: Normalize, changes: np.ndarray) -> None:
    """Per cent at whole steps, with arrows where changes go beyond."""
    limit = float(norm.vmax or 0.0)
    above, below = np.nanmax(changes) > limit, np.nanmin(changes) < -limit
    ends = {(False, False): "neither", (True, False): "max", (False, True): "min"}
    extend = ends.get((bool(above), bool(below)), "both")
    bar = figure.colorbar(ScalarMappable(norm, SHADES), cax=axes, extend=extend)
    top = 100.0 * np.expm1(limit)
    found = MaxNLocator(7).tick_values(-top, top)
    ticks = [t for t in found if t > -100.0 and abs(np.log1p(t / 100.0)) <= limit]
    labels = [format_percent(float(format_plain(each))) for each in ticks]
    bar.set_ticks([float(np.log1p(each / 100.0)) for each in ticks], labels=labels)
    bar.ax.yaxis.set_minor_locator(NullLocator())
    bar.ax.tick_params(labelsize=7.5, length=2)
    bar.outline.set_visible(False)


def _title(result: Result, moves: Moves) -> Title:
    """The question, the shocks, and what is shown."""
    experiment = result.experiment
    shocks = experiment.configuration.get("shocks", [])
    what = shock_title(shortened(experiment.name, 30), shocks)
    unseen = [good for good in shocked_goods(result) if good not in result.recorded]
    note = shock_note(len(moves.goods), len(result.recorded), unseen)
    return Title(experiment.question, f"{what}\n{note}", WIDTH)


def shock_figure(result: Result) -> Figure | None:
    """Prices since the first shock, as lines if they are few; None if no shock has occurred."""
    changes = result.experiment.changes
    if not changes or result.steps < changes[0][0]:
        return None
    return shock_lines(result) if len(result.recorded) <= MAX_LINE_GOODS else shock(result)
