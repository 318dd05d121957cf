"""The convergence picture in Matplotlib: prices and gradients, and the error on a log axis."""

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
from market_abm.views.convergence import (
    FLOOR,
    MAX_PANELS,
    MAX_STAIRS,
    ConvergencePicture,
    Series,
    error_ticks,
    ratio_axis,
)
from market_abm.views.numbers import format_label, format_power_of_ten
from market_abm.views.palette import GREY, INK, OKABE_ITO
from market_abm.views.plots.family_paths import family_convergence
from market_abm.views.plots.lettering import all_fitted, fitted, fitted_lines, text_width
from market_abm.views.plots.style import LEFT, Title, new_figure, tidy
from market_abm.views.words.figures import (
    EXACT_GRADIENT,
    OTHER_GOODS,
    PREDICTED,
    PRICE,
    SHOCK,
    convergence_title,
    largest_industries,
    of_all,
    step_label,
)

if TYPE_CHECKING:
    from market_abm.runs.result import Result

WIDTH = 8.2
"""Inches."""

MAX_MARKED_STEPS = 16
"""Steps up to which each has a marker."""

OTHERS = "#c4c4c4"
"""The colour of goods without a name."""

LEGEND: dict[str, Any] = {
    "loc": "lower left",
    "bbox_to_anchor": (0.0, 1.0),
    "fontsize": 8,
    "frameon": False,
    "borderaxespad": 0.2,
    "handlelength": 2.2,
    "columnspacing": 1.4,
}


CROSS: dict[str, Any] = {"marker": "x", "ms": 5, "mew": 1.1, "color": INK}
"""A prediction."""

DASHED: dict[str, Any] = {"lw": 0.8, "ls": (0, (6, 2, 1, 2))}
"""A shock."""


def convergence(result: Result) -> Figure:
    """Prices against their gradients (dashed), and below them the relative error on a log axis.

    Up to six goods get a panel each; more are drawn in one, as price over gradient. Of more than 40
    only the errors are drawn: the ten industries with the largest sales by name, the others in
    grey, the largest and the median of all; and, where theory predicts it, their rate. Where
    families are shown, each is a band (``plots/family_paths.py``).
    """
    if result.families:
        return family_convergence(result)
    picture = ConvergencePicture.of(result)
    title = Title(result.experiment.question, convergence_title(result), WIDTH)
    draw = {"panels": _panels, "ratios": _ratios, "errors": _errors_only}[picture.layout]
    figure = draw(picture, title.height)
    title.draw(figure)
    return figure


def _key(figure: Figure, picture: ConvergencePicture, below: float, *, price: bool) -> None:
    """What lines and marks mean, in a row, so many inches below the upper edge."""
    handles = [Line2D([], [], color=GREY, lw=2.2, label=PRICE)] if price else []
    handles.append(
        Line2D([], [], color=INK, lw=1.1, ls="--", dashes=(4, 2.5), label=EXACT_GRADIENT)
    )
    if any(len(each.marks) for each in picture.series):
        handles.append(Line2D([], [], ls="", **CROSS, label=PREDICTED))
    if picture.shocks:
        handles.append(Line2D([], [], color=INK, **DASHED, label=SHOCK))
    width, height = figure.get_size_inches()
    options = LEGEND | {"loc": "upper left", "ncols": len(handles)}
    options["bbox_to_anchor"] = (LEFT / width, 1 - (below + 0.04) / height)
    figure.legend(handles=handles, borderpad=0.0, **options)


# --- a panel a good -------------------------------------------------------------------------------


def _panels(picture: ConvergencePicture, below_title: float) -> Figure:
    count = len(picture.series)
    columns = 2 if count in (2, 4) else min(count, 3)
    rows = -(-count // columns)
    top = below_title + 0.55
    height = 2.92 + top + 1.75 * rows
    figure = new_figure(WIDTH, height)
    panels = figure.add_gridspec(
        rows,
        columns,
        left=0.105,
        right=0.985,
        top=1 - top / height,
        bottom=2.95 / height,
        hspace=0.55,
        wspace=0.33,
    )
    for n, series in enumerate(picture.series):
        axes = figure.add_subplot(panels[n // columns, n % columns])
        _price_panel(axes, picture, series)
        if n % columns == 0:
            axes.set_ylabel(series.price_axis.label, fontsize=8)
        if n + columns >= count:
            axes.set_xlabel(step_label(picture.prices_until, picture.steps[-1]), fontsize=8)
    _key(figure, picture, below_title, price=True)
    below = figure.add_axes((0.105, 0.5 / height, 0.88, 1.75 / height))
    _error_panel(below, picture, [OKABE_ITO[series.color] for series in picture.series])
    below.legend(ncols=MAX_PANELS + 1, **LEGEND)
    return figure


def _price_panel(axes: Axes, picture: ConvergencePicture, series: Series) -> None:
    steps, color = picture.steps, OKABE_ITO[series.color]
    marker = "o" if np.count_nonzero(steps <= picture.prices_until) <= MAX_MARKED_STEPS else ""
    axes.plot(
        steps, series.prices, color=color, lw=2.2, marker=marker, ms=4.5, zorder=3, label=PRICE
    )
    axes.plot(
        steps,
        series.gradients,
        "--",
        color=INK,
        lw=1.1,
        dashes=(4, 2.5),
        zorder=4,
        label=EXACT_GRADIENT,
    )
    _mark_prediction(axes, picture, series, series.predicted)
    room = WIDTH * axes.get_position().width
    name = fitted(series.good, room, 10, weight="bold")
    axes.set_title(name, fontsize=10, color=color, fontweight="bold", loc="left", pad=4)
    last = f"gradient {format_label(series.gradients[-1])}"
    if text_width(name, 10, "bold") + text_width(last, 8) + 0.06 <= room:
        axes.set_title(last, fontsize=8, loc="right", pad=4)
    axes.margins(x=0.04, y=0.14)
    _scale_prices(axes, series)
    _step_axis(axes, picture, picture.prices_until, 0.04)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    tidy(axes)


def _scale_prices(axes: Axes, series: Series) -> None:
    """Scale and ticks of a price axis; of a symlog one at powers of ten and 0."""
    axis = series.price_axis
    if axis.scale == "linear":
        axes.yaxis.set_major_locator(MaxNLocator(4))
        return
    axes.set_yscale("symlog", linthresh=axis.unit)
    values = np.concatenate([series.prices, series.gradients])
    values = values[~np.isnan(values)]
    largest = np.abs(values[np.isfinite(values)]).max()
    exponents = np.linspace(np.log10(axis.unit), np.floor(np.log10(largest)), 4)
    powers = 10.0 ** np.round(exponents)[1:]
    below, above = values.min() < -axis.unit, values.max() > axis.unit
    axes.set_yticks([*(-powers[::-1] if below else []), 0.0, *(powers if above else [])])
    axes.set_yticks([], minor=True)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: format_label(v)))


def _step_axis(axes: Axes, picture: ConvergencePicture, until: float, margin: float) -> None:
    """The axis of steps ``until`` one of them; dotted lines mark shocks."""
    if picture.step_axis.limits is not None:
        axes.set_xlim(picture.step_axis.limits)
    else:
        start = float(picture.steps[0])
        room = margin * (until - start)
        axes.set_xlim(start - room, until + room)
    for step in picture.shocks:
        axes.axvline(step, color=INK, zorder=0.5, **DASHED)


def _mark_prediction(
    axes: Axes, picture: ConvergencePicture, series: Series, values: np.ndarray
) -> None:
    """Crosses at the predicted ``values``, shape (records,)."""
    if len(series.marks) == 0:
        return
    axes.plot(
        picture.steps[series.marks],
        values[series.marks],
        ls="",
        zorder=8,
        **CROSS,
    )


# --- one panel of ratios --------------------------------------------------------------------------


def _ratios(picture: ConvergencePicture, below_title: float) -> Figure:
    height = 5.62 + below_title
    figure = new_figure(WIDTH, height)
    above = figure.add_axes((0.105, 3.18 / height, 0.79, 2.16 / height))
    below = figure.add_axes((0.105, 0.51 / height, 0.79, 2.28 / height), sharex=above)
    above.tick_params(labelbottom=False)
    _key(figure, picture, below_title, price=False)
    stages = np.array([series.stage for series in picture.series])
    shades = colormaps["viridis"](0.92 * (stages - stages.min()) / max(1, np.ptp(stages)))
    _ratio_panel(above, picture, shades)
    _error_panel(below, picture, list(shades))
    tolerance = [line for line in below.get_lines() if line.get_label() == "tolerance"]
    if tolerance:
        below.legend(handles=tolerance, **LEGEND)
    if np.ptp(stages):
        _stage_bar(figure, stages, height)
    return figure


def _ratio_panel(axes: Axes, picture: ConvergencePicture, colors: np.ndarray) -> None:
    axes.axhline(1.0, color="white", lw=2.6, zorder=6)
    axes.axhline(1.0, color=INK, lw=1.2, ls="--", dashes=(4, 2.5), zorder=7)
    ratios = picture.ratios
    for ratio, color in zip(ratios.T, colors, strict=True):
        axes.plot(picture.steps, ratio, color=color, lw=1.3)
    for series in picture.series:
        with np.errstate(all="ignore"):
            _mark_prediction(axes, picture, series, series.predicted / series.gradients)
    axis = ratio_axis(ratios)
    assert axis.limits is not None
    axes.set_ylim(axis.limits[0] - 0.08, axis.limits[1] + 0.08)
    axes.set_ylabel(axis.label, fontsize=9)
    tidy(axes)


def _stage_bar(figure: Figure, stages: np.ndarray, height: float) -> None:
    """Which colour is which stage."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    low, high = stages.min(), stages.max()
    scale = ScalarMappable(Normalize(low, high + np.ptp(stages) * 0.087), "viridis")
    bar = figure.colorbar(scale, cax=figure.add_axes((0.915, 0.51 / height, 0.017, 4.83 / height)))
    bar.set_label("stages from the consumer", fontsize=8)
    bar.ax.set_ylim(low, high)
    bar.ax.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    bar.ax.tick_params(labelsize=8)
    bar.outline.set_visible(False)


# --- errors only ----------------------------------------------------------------------------------


def _errors_only(picture: ConvergencePicture, below_title: float) -> Figure:
    height = 5.13 + below_title
    figure = new_figure(WIDTH, height)
    axes = figure.add_axes((0.105, 0.5 / height, 0.565, 4.42 / height))
    steps = picture.steps
    axes.plot(steps, np.clip(picture.others, FLOOR, None), color=OTHERS, lw=0.6, zorder=2)
    named = []
    for series in picture.series:
        named += axes.plot(
            steps,
            np.clip(series.errors, FLOOR, None),
            color=OKABE_ITO[series.color],
            lw=1.3,
            ls=("-", (0, (6, 1.2, 1.5, 1.2)))[series.dash],
            label=fitted_lines(series.label, 2.1, 8, lines=2),
            zorder=4,
        )
    handles: list[Line2D] = []
    count = len(picture.series) + picture.others.shape[1]
    for values, name, dashes in (
        (picture.largest, "largest", "-"),
        (picture.median, "median", (0, (1, 1))),
    ):
        line: dict[str, Any] = {"ls": dashes, "label": of_all(name, count)}
        shown = np.clip(values, FLOOR, None)
        handles += axes.plot(steps, shown, color=INK, lw=1.8, zorder=5, **line)
    handles += axes.plot([], [], color=OTHERS, lw=0.8, label=OTHER_GOODS)
    _error_axis(axes, picture)
    handles += [line for line in axes.get_lines() if line.get_label() == "tolerance"]
    slopes: list[Line2D] = []
    for ends, errors in picture.slopes:
        dashed: dict[str, Any] = {"ls": "--", "label": picture.slope_label}
        slopes += axes.plot(ends, errors, color=INK, lw=1.1, zorder=6, **dashed)
    handles += slopes[:1]
    axes.set_xlim(steps[0], max(picture.errors_until, 1))
    if picture.shocks:
        handles.append(Line2D([], [], color=INK, **DASHED, label=SHOCK))
    _legends_beside(figure, handles, named, axes)
    return figure


def _legends_beside(figure: Figure, handles: list[Line2D], named: list[Line2D], axes: Axes) -> None:
    """What lines of all goods mean, and below it the goods that have a name, beside ``axes``."""
    low, high = axes.get_position().y0, axes.get_position().y1
    beside: dict[str, Any] = {"fontsize": 8, "frameon": False, "borderaxespad": 0.0}
    beside |= {"bbox_transform": figure.transFigure, "labelspacing": 0.55, "handlelength": 2.4}
    figure.legend(handles=handles, loc="upper left", bbox_to_anchor=(0.69, high), **beside)
    title = largest_industries(len(named))
    legend = figure.legend(
        handles=named, loc="lower left", bbox_to_anchor=(0.69, low), title=title, **beside
    )
    legend.get_title().set_fontsize(8)
    legend.set_alignment("left")


# --- errors ---------------------------------------------------------------------------------------


def _error_panel(axes: Axes, picture: ConvergencePicture, colors: Sequence[Any]) -> None:
    steps, count = picture.steps, len(picture.series)
    many, long = count > MAX_PANELS, len(picture.steps) > MAX_STAIRS
    axes.set_yscale("log")  # before the prediction is marked
    names = all_fitted((each.good for each in picture.series), max(0.55, 6.1 / count - 0.49), 8)
    for n, (series, color) in enumerate(zip(picture.series, colors, strict=True)):
        connected, errors = series.error_curve
        axes.plot(
            steps[connected],
            np.clip(errors, FLOOR, None),
            color=color,
            lw=1.2 if many else 3.0 - 0.35 * n,  # so that none hides another
            marker="osD^vP"[n % 6] if len(steps) <= MAX_MARKED_STEPS and not many else "",
            ms=4.5,
            label=names[series.good],
            drawstyle="default" if long else "steps-post",
            clip_on=picture.errors_until < steps[-1],  # else whole marks at the floor
            zorder=3,
        )
        if not many:
            with np.errstate(all="ignore"):
                predicted = relative_error(series.predicted, series.gradients)
            _mark_prediction(axes, picture, series, np.clip(predicted, FLOOR, None))
    _error_axis(axes, picture)


def _error_axis(axes: Axes, picture: ConvergencePicture) -> None:
    """The axes of errors, with the tolerance."""
    axis = picture.error_axis
    axes.set_yscale("log")
    axes.set_ylim(axis.limits)
    if picture.tolerance is not None and picture.tolerance_shown:
        axes.axhline(picture.tolerance, color=GREY, lw=1.0, ls=":", zorder=1, label="tolerance")
    axes.set_yticks(error_ticks(axis, 7))
    axes.set_yticks([], minor=True)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: error_label(v)))
    axes.xaxis.set_major_locator(MaxNLocator(9, integer=True))
    passed_over = not all(each.error_curve[0].all() for each in picture.series)
    until = picture.errors_until
    axes.set_xlabel(step_label(until, picture.steps[-1], passed_over=passed_over), fontsize=9)
    axes.set_ylabel(axis.label, fontsize=9)
    _step_axis(axes, picture, until, 0.02)
    tidy(axes)


def error_label(error: float) -> str:
    """A tick of an error axis."""
    return "exact" if error <= FLOOR else format_power_of_ten(error)
