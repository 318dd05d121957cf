"""Prices approaching their gradients, and the error on a log axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from market_abm.analysis.observer import relative_error
from market_abm.runs.result import MANY
from market_abm.views.numbers import format_label, format_power_of_ten
from market_abm.views.plots.style import (
    GREY,
    INK,
    OKABE_ITO,
    in_lines,
    new_figure,
    shortened,
    tidy,
)

if TYPE_CHECKING:
    from market_abm.runs.result import Result

FLOOR = 1e-17
"""Where the error axis ends: an error of exactly 0 is drawn here."""


ROUNDED = 1e-9
"""Errors above this are no rounding: what theory says of their size may be looked for."""


MAX_PANELS = 6


HIGHLIGHTED = 10


WIDTH = 8.2


SHORT = 60


LEGEND: dict[str, Any] = {
    "loc": "lower left",
    "bbox_to_anchor": (0.0, 1.0),
    "fontsize": 8,
    "frameon": False,
    "borderaxespad": 0.2,
    "handlelength": 2.2,
    "columnspacing": 1.4,
}


def convergence(result: Result) -> Figure:
    """Prices against their gradients (dashed), and below them the relative error on a log axis.

    Of the goods that were recorded, up to six get a panel each; more are drawn in one, as price
    over gradient. Of more than 40 only the errors are drawn: the ten industries with the largest
    sales by name, the others in grey, the largest and the median of all; and, where theory tells
    it, how fast they should shrink.
    """
    if len(result.recorded) > MANY:
        return _largest_goods(result)
    final = result.experiment.economy.demand
    goods = [good for good in result.recorded if good not in final] or list(result.recorded)
    places = [result.recorded.index(good) for good in goods]
    if len(goods) <= MAX_PANELS:
        return _few_goods(result, goods, places)
    return _many_goods(result, goods, places)


def _few_goods(result: Result, goods: Sequence[str], places: Sequence[int]) -> Figure:
    columns = 2 if len(goods) in (2, 4) else min(len(goods), 3)
    rows = -(-len(goods) // columns)
    height = 3.7 + 1.75 * rows
    figure = new_figure(WIDTH, height)
    panels = figure.add_gridspec(
        rows,
        columns,
        left=0.105,
        right=0.985,
        top=1 - 0.78 / height,
        bottom=2.95 / height,
        hspace=0.55,
        wspace=0.33,
    )
    for n, (good, k) in enumerate(zip(goods, places, strict=True)):
        axes = figure.add_subplot(panels[n // columns, n % columns])
        _price_panel(axes, result, good, k, OKABE_ITO[n])
        if n % columns == 0:
            axes.set_ylabel("money per unit", fontsize=8)
        if n + columns >= len(goods):
            axes.set_xlabel("step", fontsize=8)
    below = figure.add_axes((0.105, 0.5 / height, 0.88, 1.75 / height))
    _error_panel(below, result, goods, places, OKABE_ITO[: len(goods)])
    below.legend(ncols=MAX_PANELS + 1, **LEGEND)
    _title(figure, result)
    return figure


def _price_panel(axes: Axes, result: Result, good: str, k: int, color: str) -> None:
    steps = result.times
    prices, gradients = result.prices[:, k], result.gradients[:, k]
    marker = "o" if len(steps) <= 40 else ""
    axes.plot(steps, prices, color=color, lw=2.2, marker=marker, ms=4.5, zorder=3, label="price")
    axes.plot(
        steps, gradients, "--", color=INK, lw=1.1, dashes=(4, 2.5), zorder=4, label="gradient"
    )
    if result.prediction is not None:
        _theory(axes, steps, result.prediction[:, k])
    name = shortened(good, 22)
    axes.set_title(name, fontsize=10, color=color, fontweight="bold", loc="left", pad=4)
    if len(name) <= 12:
        axes.set_title(f"gradient {format_label(gradients[-1])}", fontsize=8, loc="right", pad=4)
    axes.margins(x=0.04, y=0.14)
    _wide_scale(axes, np.concatenate([prices, gradients]))
    _step_axis(axes, result)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    tidy(axes)


def _wide_scale(axes: Axes, values: np.ndarray) -> None:
    """A plain axis; or, where values span six decades or more, one that is logarithmic above 1."""
    sizes = np.abs(values[np.isfinite(values) & (values != 0.0)])
    if sizes.size == 0 or sizes.max() < 1e6 * np.median(sizes):
        axes.yaxis.set_major_locator(MaxNLocator(4))
        return
    low, high = np.ceil(np.log10(np.median(sizes))), np.floor(np.log10(sizes.max()))
    axes.set_yscale("symlog", linthresh=10.0**low)
    powers = 10.0 ** np.round(np.linspace(low, high, 4))[1:]
    below, above = values.min() < -(10.0**low), values.max() > 10.0**low
    axes.set_yticks([*(-powers[::-1] if below else []), 0.0, *(powers if above else [])])
    axes.set_yticks([], minor=True)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: format_label(v)))


def _step_axis(axes: Axes, result: Result) -> None:
    """Room for one step at least, where a run ended before it began; shocks are marked."""
    if len(result.times) == 1:
        axes.set_xlim(-0.5, 1.5)
    for step, _ in result.experiment.changes:
        if step <= result.steps:
            axes.axvline(step, color=INK, lw=0.8, ls=(0, (1, 2)), zorder=0.5)


def _theory(axes: Axes, steps: np.ndarray, values: np.ndarray) -> None:
    """Mark what theory predicts, at no more than sixteen steps."""
    some = slice(None, None, max(1, len(steps) // 16))
    shown = np.clip(values[some], FLOOR, None) if axes.get_yscale() == "log" else values[some]
    axes.plot(
        steps[some], shown, ls="", marker="x", ms=5, mew=1.1, color=INK, zorder=8, clip_on=False
    )


def _many_goods(result: Result, goods: Sequence[str], places: Sequence[int]) -> Figure:
    figure = new_figure(WIDTH, 6.0)
    above = figure.add_axes((0.105, 0.53, 0.79, 0.36))
    below = figure.add_axes((0.105, 0.085, 0.79, 0.38), sharex=above)
    above.tick_params(labelbottom=False)
    distance = result.experiment.economy.stages
    depths = np.array([distance[good] for good in goods])
    shade = colormaps["viridis"](0.92 * (depths - depths.min()) / max(1, np.ptp(depths)))
    steps = result.times
    above.axhline(1.0, color="white", lw=2.6, zorder=6)
    above.axhline(1.0, color=INK, lw=1.2, ls="--", dashes=(4, 2.5), zorder=7)
    _step_axis(above, result)
    with np.errstate(all="ignore"):
        ratio = result.prices / result.gradients
        expected = None if result.prediction is None else result.prediction / result.gradients
    for k, color in zip(places, shade, strict=True):
        above.plot(steps, ratio[:, k], color=color, lw=1.3)
    if expected is not None:
        for k in places[:: max(1, len(places) // 4)]:
            _theory(above, steps, expected[:, k])
    shown = ratio[:, places]
    finite = shown[np.isfinite(shown)]
    low, high = finite.min(initial=1.0), finite.max(initial=1.0)
    above.set_ylim(max(low, -1.0) - 0.08, min(high, 3.0) + 0.08)
    above.set_ylabel("price ÷ exact gradient", fontsize=9)
    above.annotate(
        "the gradient",
        (1.0, 1.0),
        xycoords=("axes fraction", "data"),
        xytext=(-2, 3),
        textcoords="offset points",
        fontsize=8,
        ha="right",
        va="bottom",
    )
    tidy(above)
    _error_panel(below, result, goods, places, list(shade))
    below.legend(*[[each[-1]] for each in below.get_legend_handles_labels()], **LEGEND)
    if np.ptp(depths):
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize

        scale = ScalarMappable(
            Normalize(depths.min(), depths.max() + np.ptp(depths) * 0.087), "viridis"
        )
        bar = figure.colorbar(scale, cax=figure.add_axes((0.915, 0.085, 0.017, 0.805)))
        bar.set_label("stages from the consumer", fontsize=8)
        bar.ax.set_ylim(depths.min(), depths.max())
        bar.ax.yaxis.set_major_locator(MaxNLocator(6, integer=True))
        bar.ax.tick_params(labelsize=8)
        bar.outline.set_visible(False)
    _title(figure, result)
    return figure


def _largest_goods(result: Result) -> Figure:
    figure = new_figure(WIDTH, 5.6)
    axes = figure.add_axes((0.105, 0.09, 0.565, 0.79))
    steps, errors = result.times, np.clip(result.errors, FLOOR, None)
    largest = [good for good in result.largest if good in result.recorded][:HIGHLIGHTED]
    places = [result.recorded.index(good) for good in largest]
    others = np.setdiff1d(np.arange(len(result.recorded)), places)
    axes.plot(steps, errors[:, others], color="#c4c4c4", lw=0.6, zorder=2)
    lines = []
    for n, (good, k) in enumerate(zip(largest, places, strict=True)):
        again, color = divmod(n, len(OKABE_ITO))
        label = in_lines(result.experiment.economy.label(good), 33)
        style = ("-", (0, (6, 1.2, 1.5, 1.2)))[again]
        lines += axes.plot(
            steps, errors[:, k], color=OKABE_ITO[color], lw=1.3, ls=style, label=label, zorder=4
        )
    known = np.where(np.isnan(errors), np.inf, errors)  # it may have diverged
    worst, median = known.max(axis=1), np.median(known, axis=1)
    count = len(result.recorded)
    handles = axes.plot(steps, worst, color=INK, lw=1.8, label=f"largest of all {count}", zorder=5)
    handles += axes.plot(
        steps, median, color=INK, lw=1.8, ls=(0, (1, 1)), label=f"median of all {count}", zorder=5
    )
    handles += axes.plot([], [], color="#c4c4c4", lw=0.8, label="the other goods")
    _error_axis(axes, result, range(count))
    handles += [line for line in axes.get_lines() if line.get_label() == "tolerance"]
    handles += _theory_slopes(axes, result, worst)
    axes.set_xlim(steps[0], max(steps[-1], 1))
    beside: dict[str, Any] = {"fontsize": 8, "frameon": False, "borderaxespad": 0.0}
    beside |= {"bbox_transform": figure.transFigure, "labelspacing": 0.55, "handlelength": 2.4}
    figure.legend(handles=handles, loc="upper left", bbox_to_anchor=(0.69, 0.885), **beside)
    title = f"the {len(largest)} industries with the largest sales"
    named = figure.legend(
        handles=lines, loc="lower left", bbox_to_anchor=(0.69, 0.085), title=title, **beside
    )
    named.get_title().set_fontsize(8)
    named.set_alignment("left")
    _title(figure, result, "distance of each price from its exact gradient")
    return figure


def _theory_slopes(axes: Axes, result: Result, worst: np.ndarray) -> list[Line2D]:
    """After the start and each shock, a dashed line as steep as theory tells, just above."""
    rate = result.predicted_rate
    if rate is None or not 0.0 < rate < 1.0:
        return []
    steps, shocks = result.times, [step for step, _ in result.experiment.changes]
    starts, lines = [0, *(step for step in shocks if step <= result.steps)], []
    label = f"theory: × {format_label(rate)} a step"
    for start, end in zip(starts, [*starts[1:], result.steps + 1], strict=True):
        here = (steps >= start) & (steps < end) & (worst > ROUNDED) & np.isfinite(worst)
        if here.any():  # the lower half of the descent, where what else there was has died out
            here &= np.log(worst) <= np.log(worst[here][[0, -1]]).mean()
        if here.any():
            height = np.max(np.log(worst[here]) - (steps[here] - start) * np.log(rate))
            last = start + min(end - start, (height - np.log(FLOOR)) / -np.log(rate))
            ends = np.array([start, last])
            told = 2.0 * np.exp(height + (ends - start) * np.log(rate))
            lines += axes.plot(ends, told, color=INK, lw=1.1, ls="--", label=label, zorder=6)
    return lines[:1]


def _error_axis(axes: Axes, result: Result, places: Sequence[int]) -> None:
    """The axes of the errors of the goods at these ``places``, with the tolerance."""
    axes.set_yscale("log")
    errors = np.clip(result.errors, FLOOR, None)[:, places]
    tolerance = result.experiment.run.tolerance
    finite = errors[np.isfinite(errors)]
    top = 10.0 ** np.ceil(np.log10(max(3.0, finite.max(initial=1.0))))
    exact = np.any(result.errors[:, places] == 0.0)
    bottom = FLOOR if exact else max(FLOOR, min(1e-2 * tolerance, finite.min(initial=1.0)))
    axes.set_ylim(bottom, top)
    axes.axhline(tolerance, color=GREY, lw=1.0, ls=":", zorder=1, label="tolerance")
    exponents = np.arange(np.ceil(np.log10(bottom)), np.log10(top) + 0.1)
    spacing = max(1, int(np.ceil(len(exponents) / 7)))
    ticks = [10.0**e for e in exponents if e % spacing == 0 and e - np.log10(FLOOR) > 1.0]
    axes.set_yticks([FLOOR, *ticks] if exact else ticks)
    axes.set_yticks([], minor=True)
    axes.yaxis.set_major_formatter(
        FuncFormatter(lambda v, _: "exact (0)" if v <= FLOOR else format_power_of_ten(v))
    )
    axes.xaxis.set_major_locator(MaxNLocator(9, integer=True))
    axes.set_xlabel("step", fontsize=9)
    axes.set_ylabel("|price − gradient| ÷ |gradient|", fontsize=9)
    axes.margins(x=0.02)
    _step_axis(axes, result)
    tidy(axes)


def _error_panel(
    axes: Axes, result: Result, goods: Sequence[str], places: Sequence[int], colors: Sequence[Any]
) -> None:
    steps, errors = result.times, np.clip(result.errors, FLOOR, None)
    axes.set_yscale("log")  # before crosses are put on it
    many = len(goods) > MAX_PANELS
    for n, (good, k, color) in enumerate(zip(goods, places, colors, strict=True)):
        marker = "osD^vP"[n % 6] if len(steps) <= 40 and not many else ""
        exactly = result.errors[:, k] == 0.0
        if len(steps) > SHORT and exactly.any():  # dots, rather than dips of a long line
            axes.plot(
                steps[exactly],
                errors[exactly, k],
                ".",
                color=color,
                ms=3.5,
                clip_on=False,
                zorder=3,
            )
        axes.plot(
            steps,
            np.where(exactly & (len(steps) > SHORT), np.nan, errors[:, k]),
            color=color,
            lw=1.2 if many else 3.0 - 0.35 * n,  # so that none hides another
            marker=marker,
            ms=4.5,
            label=shortened(good, max(8, 78 // len(goods) - 6)),
            drawstyle="steps-post" if len(steps) <= SHORT else "default",
            clip_on=False,
            zorder=3,
        )
        if result.prediction is not None and not many:
            _theory(axes, steps, relative_error(result.prediction, result.gradients)[:, k])
    _error_axis(axes, result, places)


def _title(
    figure: Figure, result: Result, what: str = "prices (coloured) and the exact gradients (dashed)"
) -> None:
    market = result.experiment.market
    rates = [f"{key.replace('_', ' ')} {getattr(market, key):g}" for key in market.rules.rates]
    figure.suptitle(
        f"{result.experiment.name}: {result.status.replace('_', ' ')} at step {result.ending.step} "
        f"({market.mechanism}, {market.activation}, {', '.join(rates)})\n"
        + what
        + ("" if result.prediction is None else "; crosses: what theory predicts")
        + ("; dotted lines: shocks" if result.experiment.changes else ""),
        fontsize=9.5,
        x=0.01,
        ha="left",
        color=INK,
    )
