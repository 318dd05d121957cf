"""Figures of sweeps: curves along one parameter, a phase diagram over two."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from market_abm.studies.sweep import Sweep
from market_abm.views.convergence import FLOOR
from market_abm.views.numbers import format_plain
from market_abm.views.palette import FAINT, GREY, INK
from market_abm.views.plots.lettering import fitted
from market_abm.views.plots.style import new_figure, tidy
from market_abm.views.varying import axes_that_vary
from market_abm.views.words.figures import (
    PREDICTED_BOUNDARY,
    PREDICTED_OR_OPTIMUM,
    STATUS_LABELS,
    sweep_title,
)
from market_abm.views.words.lines import shortened
from market_abm.views.words.sweep import why_no_figure
from market_abm.views.words.text import RELATIVE_ERROR

if TYPE_CHECKING:
    import pandas as pd

REGIMES = {
    status: (color, STATUS_LABELS[status])
    for status, color in {
        "converged": "#0072B2",
        "off_gradient": "#CC79A7",
        "max_steps": "#56B4E9",
        "oscillating": "#E69F00",
        "diverged": "#D55E00",
        "failed": "#666666",
    }.items()
}
"""The colour and the label of each status of a run."""


def sweep_figure(table: pd.DataFrame, axes: Sequence[str], name: str) -> Figure | None:
    """Curves if one of ``axes`` varies, a phase diagram if two do, in numbers; else None.

    Parameters
    ----------
    table
        A row a run (see :mod:`market_abm.studies.sweep`).
    axes
        The columns that were swept.
    name
        The name of the experiment, for the title.
    """
    if why_no_figure(table, axes):
        return None
    numbers, _ = axes_that_vary(table, axes)
    if len(numbers) == 1:
        return _curves(table, numbers[0], name)
    return _phase_diagram(table, numbers[0], numbers[1], name)


def _curves(table: pd.DataFrame, axis: str, name: str) -> Figure:
    table = table.sort_values(axis, kind="stable")
    x = table[axis].to_numpy(float)
    moving = moving_good(table)
    count = 4 + (moving is not None)
    height = 1.55 * count + 1.2
    figure = new_figure(7.2, height)
    panels = figure.subplots(count, 1, sharex=True)
    figure.subplots_adjust(
        left=0.13, right=0.97, top=1 - 0.96 / height, bottom=0.55 / height, hspace=0.16
    )
    if is_logarithmic(x):
        _set_logarithmic(panels[0].xaxis, panels[0].set_xscale, x)
    _points(panels[0], table, x, table["steps"].to_numpy(float))
    panels[0].set_ylabel("steps", fontsize=9)
    _points(panels[1], table, x, table["rate"].to_numpy(float))
    predicted = table["predicted_rate"].to_numpy(float)
    panels[1].plot(x, predicted, "--", color=INK, lw=1.2, zorder=4)
    panels[1].axhline(1.0, color=FAINT, lw=0.8, zorder=1)
    panels[1].set_ylabel("rate of a step", fontsize=9)
    _points(panels[2], table, x, table["alignment"].to_numpy(float))
    panels[2].axhline(0.0, color=FAINT, lw=0.8, zorder=1)
    panels[2].set_ylim(-1.08, 1.08)
    panels[2].set_ylabel("mean alignment", fontsize=9)
    _with_optimum(panels[3], table, x, "welfare", "best_welfare")
    panels[3].set_ylabel("welfare", fontsize=9)
    if moving is not None:
        _with_optimum(panels[4], table, x, f"quantity.{moving}", f"best_quantity.{moving}")
        gap = " " if len(moving) <= 6 else "\n"
        panels[4].set_ylabel(f"quantity of{gap}{fitted(moving, 1.4, 9)}", fontsize=9)
    panels[-1].set_xlabel(axis, fontsize=9)
    figure.align_ylabels(panels)
    for boundary in _crossings(x, predicted):
        for panel in panels:
            panel.axvline(boundary, color=GREY, lw=1.0, ls=":", zorder=1)
    for panel in panels:
        tidy(panel)
    dashed = Line2D([], [], color=INK, ls="--", lw=1.2, label=PREDICTED_OR_OPTIMUM)
    edge = Line2D([], [], color=GREY, ls=":", lw=1.0, label=PREDICTED_BOUNDARY)
    _legend(figure, table, [dashed, edge] if np.isfinite(predicted).any() else [dashed])
    _title(figure, table, name)
    return figure


def moving_good(table: pd.DataFrame) -> str | None:
    """The good whose best quantity varies most, relatively; None if none does."""
    spread = {}
    for column in table.columns:
        kind, dot, good = column.partition(".")
        if kind == "best_quantity" and dot:
            values = table[column].to_numpy(float)
            finite = values[np.isfinite(values)]
            size = np.abs(finite).max(initial=0.0)
            spread[good] = np.ptp(finite) / size if size > 0.0 else 0.0
    widest = max(spread, key=lambda good: spread[good], default=None)
    return widest if widest is not None and spread[widest] > 1e-6 else None


def _with_optimum(axes: Axes, table: pd.DataFrame, x: np.ndarray, what: str, ideal: str) -> None:
    """Points at the end of the runs, and a dashed line at the optimum, found without a market."""
    _points(axes, table, x, table[what].to_numpy(float))
    best = table[ideal].to_numpy(float)
    axes.plot(x, best, "--", color=INK, lw=1.2, zorder=4)
    _limits(axes, np.concatenate([best, table[what][table["status"] == "converged"]]))
    axes.ticklabel_format(axis="y", useOffset=False)


def _points(axes: Axes, table: pd.DataFrame, x: np.ndarray, y: np.ndarray) -> None:
    """A point a run, in the colour of its status."""
    for status, (color, _) in REGIMES.items():
        here = (table["status"] == status).to_numpy()
        size = 14.0 if len(x) <= 200 else 5.0
        axes.scatter(x[here], y[here], s=size, color=color, zorder=3, linewidths=0)


def _limits(axes: Axes, values: np.ndarray) -> None:
    """Limit the axis to these values: those of diverged runs are out of scale."""
    finite = values[np.isfinite(values)]
    if finite.size:
        low, high = finite.min(), finite.max()
        margin = max(0.12 * (high - low), 1e-4 * max(abs(low), abs(high), 1e-12))
        axes.set_ylim(low - margin, high + margin)


def _crossings(x: np.ndarray, rate: np.ndarray) -> list[float]:
    """Where the predicted rate crosses 1, by linear interpolation."""
    above = rate > 1.0
    found = []
    for k in np.flatnonzero(above[1:] != above[:-1]):
        if np.isfinite(rate[k]) and np.isfinite(rate[k + 1]):
            part = (1.0 - rate[k]) / (rate[k + 1] - rate[k])
            found.append(float(x[k] + part * (x[k + 1] - x[k])))
    return found


def _phase_diagram(table: pd.DataFrame, across: str, upward: str, name: str) -> Figure:
    figure = new_figure(7.2, 6.0)
    axes = figure.add_axes((0.12, 0.1, 0.85, 0.72))
    x, y = np.unique(table[across]), np.unique(table[upward])
    order = list(REGIMES)
    code = table["status"].map({status: k for k, status in enumerate(order)})
    colors = ListedColormap([color for color, _ in REGIMES.values()])
    norm = BoundaryNorm(np.arange(len(order) + 1) - 0.5, len(order))
    grid = table.assign(code=code).pivot_table(
        index=upward, columns=across, values="code", aggfunc="max"
    )
    if table["status"].nunique() == 1 and grid.notna().to_numpy().all():
        _error_map(figure, axes, table, across, upward)
    elif grid.size == len(x) * len(y) and grid.notna().to_numpy().all():
        axes.pcolormesh(x, y, grid.to_numpy(), cmap=colors, norm=norm, shading="nearest")
    else:  # the points of a sample
        axes.scatter(table[across], table[upward], c=code, cmap=colors, norm=norm, s=22)
    extra = []
    rates = table.pivot_table(index=upward, columns=across, values="predicted_rate")
    if rates.shape == (len(y), len(x)) and rates.notna().to_numpy().all():
        levels = np.log(np.maximum(rates.to_numpy(), FLOOR))
        if levels.min() < 0.0 < levels.max():
            axes.contour(x, y, levels, [0.0], colors="white", linewidths=3.4)
            axes.contour(x, y, levels, [0.0], colors=INK, linewidths=1.6)
            extra = [Line2D([], [], color=INK, lw=1.6, label=PREDICTED_BOUNDARY)]
    for values, each, scale in (
        (x, axes.xaxis, axes.set_xscale),
        (y, axes.yaxis, axes.set_yscale),
    ):
        if is_logarithmic(values):
            _set_logarithmic(each, scale, values)
    axes.set_xlabel(across, fontsize=9)
    axes.set_ylabel(upward, fontsize=9)
    tidy(axes)
    _legend(figure, table, extra)
    _title(figure, table, name)
    return figure


def _error_map(figure: Figure, axes: Axes, table: pd.DataFrame, across: str, upward: str) -> None:
    """The final error, if all runs have one status: the median of the runs at each point."""
    median = table.pivot_table(index=upward, columns=across, values="error", aggfunc="median")
    size = np.log10(np.maximum(median.to_numpy(), FLOOR))
    colored = axes.pcolormesh(median.columns, median.index, size, cmap="viridis", shading="nearest")
    axes.set_position((0.12, 0.1, 0.72, 0.72))
    bar = figure.colorbar(colored, cax=figure.add_axes((0.86, 0.1, 0.025, 0.72)))
    bar.set_label(f"{RELATIVE_ERROR} at the end", fontsize=8)
    ticks = [t for t in bar.get_ticks() if size.min() <= t <= size.max()]
    bar.set_ticks(ticks, labels=[format_plain(10**t, 2) for t in ticks])
    bar.ax.tick_params(labelsize=8)
    bar.outline.set_visible(False)


def is_logarithmic(values: np.ndarray) -> bool:
    """Whether the spacing of values is more even on a logarithmic scale."""
    values = np.unique(values[np.isfinite(values)])
    if len(values) < 3 or values[0] <= 0 or values[-1] < 10 * values[0]:
        return False
    gaps, ratios = np.diff(values), np.diff(np.log(values))
    return bool(np.ptp(ratios) / ratios.mean() < np.ptp(gaps) / gaps.mean())


def _set_logarithmic(axis: Axis, scale: Callable[[str], None], values: np.ndarray) -> None:
    """A log axis with plain numbers at 1, 2 and 5 of each decade, or at 1 if there are many."""
    scale("log")
    digits = (1.0, 2.0, 5.0) if values.max() < 500 * values.min() else (1.0,)
    axis.set_major_locator(LogLocator(subs=digits))
    axis.set_major_formatter(FuncFormatter(lambda v, _: format_plain(v)))
    axis.set_minor_locator(NullLocator())


def _legend(figure: Figure, table: pd.DataFrame, more: list[Line2D]) -> None:
    present = set(table["status"])
    patches = [
        Patch(color=color, label=label)
        for status, (color, label) in REGIMES.items()
        if status in present
    ]
    figure.legend(
        handles=[*patches, *more],
        loc="upper left",
        bbox_to_anchor=(0.0, 1 - 0.33 / figure.get_figheight()),
        ncols=4,
        fontsize=8,
        frameon=False,
        columnspacing=1.2,
        handlelength=1.6,
    )


def _title(figure: Figure, table: pd.DataFrame, name: str) -> None:
    figure.suptitle(
        sweep_title(shortened(name, 50), table["status"].value_counts().to_dict(), len(table)),
        fontsize=9.5,
        x=0.01,
        y=1 - 0.09 / figure.get_figheight(),
        ha="left",
        color=INK,
    )


def figure_of_sweep(sweep: Sweep, table: pd.DataFrame) -> Figure | None:
    """The figure of a sweep's table; None if no axis can be drawn."""
    return sweep_figure(table, sweep.design.axis_names, sweep.base.name)
