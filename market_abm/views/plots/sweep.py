"""Figures of sweeps: curves along one parameter, a phase diagram over two."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from market_abm.studies.sweep import Sweep
from market_abm.views.convergence import FLOOR
from market_abm.views.palette import FAINT, GREY, INK
from market_abm.views.plots.lettering import fitted
from market_abm.views.plots.style import (
    LEFT,
    Title,
    cell_edges,
    new_figure,
    scale_axis,
    tidy,
)
from market_abm.views.plots.sweep_errors import final_errors, moving
from market_abm.views.varying import axes_that_vary, with_all_measures
from market_abm.views.words.figures import (
    OPTIMUM,
    PREDICTED_BOUNDARY,
    PREDICTED_OR_OPTIMUM,
    STATUS_LABELS,
    sweep_title,
)
from market_abm.views.words.lines import shortened
from market_abm.views.words.settings import setting_label
from market_abm.views.words.sweep import why_no_figure

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

WIDTH = 7.2
"""Inches."""

MOVING = ("oscillating", "diverged", "failed")
"""Runs whose last state is that of a moment."""


def sweep_figure(
    table: pd.DataFrame,
    axes: Sequence[str],
    name: str,
    question: str = "",
    households: Collection[str] = (),
) -> Figure | None:
    """Curves if one of ``axes`` varies, a phase diagram if two do, in numbers; else None.

    Parameters
    ----------
    table
        A row a run (see :mod:`market_abm.studies.sweep`).
    axes
        The columns that were swept.
    name, question
        Of the experiment, for the title.
    households
        Which of its final goods are utilities.
    """
    if why_no_figure(table, axes):
        return None
    numbers, _ = axes_that_vary(table, axes)
    table = with_all_measures(table)
    title = _title(table, name, question)
    if len(numbers) == 1:
        return _curves(table, numbers[0], title, households)
    return _phase_diagram(table, numbers[0], numbers[1], title)


def _curves(table: pd.DataFrame, axis: str, title: Title, households: Collection[str]) -> Figure:
    table = table.sort_values(axis, kind="stable")
    x = table[axis].to_numpy(float)
    compared = compared_ends(table, households)
    count = 3 + len(compared)
    top = title.height + 0.5
    height = 1.55 * count + 0.3 + top
    figure = new_figure(WIDTH, height)
    panels = figure.subplots(count, 1, sharex=True)
    figure.subplots_adjust(
        left=0.13, right=0.97, top=1 - top / height, bottom=0.55 / height, hspace=0.16
    )
    scale_axis(panels[0].xaxis, panels[0].set_xscale, x)
    _points(panels[0], table, x, table["steps"].to_numpy(float))
    _without_steps(panels[0], table, x)
    panels[0].set_ylabel("steps", fontsize=9)
    predicted, measured = (table[key].to_numpy(float) for key in ("predicted_rate", "rate"))
    _points(panels[1], table, x, measured)
    settled = measured[~table["status"].isin(MOVING)]
    if np.isfinite(predicted).any():
        _limits(panels[1], np.concatenate([predicted, settled, [1.0]]))
        _beyond(panels[1], table, x, measured)
    panels[1].plot(x, predicted, "--", color=INK, lw=1.2, zorder=4)
    panels[1].axhline(1.0, color=FAINT, lw=0.8, zorder=1)
    panels[1].set_ylabel("rate of a step", fontsize=9)
    _points(panels[2], table, x, table["alignment"].to_numpy(float))
    panels[2].axhline(0.0, color=FAINT, lw=0.8, zorder=1)
    panels[2].set_ylim(-1.08, 1.08)
    panels[2].set_ylabel("mean alignment", fontsize=9)
    for panel, (column, reference, what, good) in zip(panels[3:], compared, strict=True):
        _with_optimum(panel, table, x, column, reference)
        gap = " " if len(good) <= 6 else "\n"
        panel.set_ylabel(f"{what} of{gap}{fitted(good, 1.4, 9)}" if good else what, fontsize=9)
    panels[-1].set_xlabel(fitted(setting_label(axis), 5.5, 9), fontsize=9)
    figure.align_ylabels(panels)
    for boundary in _crossings(x, predicted):
        for panel in panels:
            panel.axvline(boundary, color=GREY, lw=1.0, ls=":", zorder=1)
    for panel in panels:
        tidy(panel)
    known = np.isfinite(predicted).any()
    label = PREDICTED_OR_OPTIMUM if known else OPTIMUM
    more = [Line2D([], [], color=INK, ls="--", lw=1.2, label=label)]
    more = more if known or table["best_welfare"].notna().any() else []
    if _crossings(x, predicted):
        more.append(Line2D([], [], color=GREY, ls=":", lw=1.0, label=PREDICTED_BOUNDARY))
    _legend(figure, title, [*_status_handles(table, points=True), *more])
    title.draw(figure)
    return figure


def compared_ends(
    table: pd.DataFrame, households: Collection[str] = ()
) -> list[tuple[str, str, str, str]]:
    """What runs end with beside the best known: column, reference, what it is, and of which good.

    Welfare (where households spend what they earn, the price that moves most: welfare has other
    weights at each equilibrium) and the quantity, or the utility, that moves most.
    """
    price, good = moving(table, "best_price"), moving(table, "best_quantity", households)
    first = ("welfare", "best_welfare", "welfare", "")
    if price is not None:
        first = (f"price.{price}", f"best_price.{price}", "price", price)
    if good is None:
        return [first]
    what = "utility" if good in households else "quantity"
    return [first, (f"quantity.{good}", f"best_quantity.{good}", what, good)]


def _with_optimum(axes: Axes, table: pd.DataFrame, x: np.ndarray, what: str, ideal: str) -> None:
    """Points where runs have settled, and a dashed line at the optimum, found without a market."""
    ends = table[what].mask(table["status"].isin(MOVING)).to_numpy(float)
    _points(axes, table, x, ends)
    best = table[ideal].to_numpy(float)
    axes.plot(x, best, "--", color=INK, lw=1.2, zorder=4)
    _limits(axes, np.concatenate([best, ends]))
    axes.ticklabel_format(axis="y", useOffset=False)


def _points(axes: Axes, table: pd.DataFrame, x: np.ndarray, y: np.ndarray) -> None:
    """A point a run, in the colour of its status."""
    for status, (color, _) in REGIMES.items():
        here = (table["status"] == status).to_numpy()
        size = 14.0 if len(x) <= 200 else 5.0
        axes.scatter(x[here], y[here], s=size, color=color, zorder=3, linewidths=0)


def _without_steps(axes: Axes, table: pd.DataFrame, x: np.ndarray) -> None:
    """Crosses at the foot of the panel for runs that made no step."""
    for status, (color, _) in REGIMES.items():
        here = ((table["status"] == status) & table["steps"].isna()).to_numpy()
        place = axes.get_xaxis_transform()
        axes.plot(x[here], np.full(here.sum(), 0.08), "x", color=color, ms=5, transform=place)


def _beyond(axes: Axes, table: pd.DataFrame, x: np.ndarray, y: np.ndarray) -> None:
    """Triangles at the edges of the panel for runs whose value is beyond its axis."""
    low, high = axes.get_ylim()
    for status, (color, _) in REGIMES.items():
        for marker, height, out in (("^", 0.95, y > high), ("v", 0.05, y < low)):
            here = (table["status"] == status).to_numpy() & out
            place: dict[str, Any] = {"transform": axes.get_xaxis_transform(), "color": color}
            axes.plot(x[here], np.full(here.sum(), height), marker, ms=4, **place)


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


def _phase_diagram(table: pd.DataFrame, across: str, upward: str, title: Title) -> Figure:
    alike = table["status"].nunique() == 1
    height = title.height + 4.8 + (0.2 if alike else 0.6)
    figure = new_figure(WIDTH, height)
    axes = figure.add_axes((0.12, 0.6 / height, 0.85, 4.2 / height))
    x, y = np.unique(table[across]), np.unique(table[upward])
    code = table["status"].map({status: k for k, status in enumerate(REGIMES)})
    grid = table.assign(code=code).pivot_table(
        index=upward, columns=across, values="code", aggfunc="max"
    )
    whole = grid.shape == (len(y), len(x)) and grid.notna().to_numpy().all()
    handles: list[Patch | Line2D] = []
    if alike and whole and table["error"].notna().any():
        final_errors(figure, axes, table, (across, upward))
    else:
        _cells(axes, table, grid if whole else None, (across, upward), code)
        handles = _status_handles(table, points=not whole)
        handles += _boundary(axes, table, across, upward)
        for values, each, scale in (
            (x, axes.xaxis, axes.set_xscale),
            (y, axes.yaxis, axes.set_yscale),
        ):
            scale_axis(each, scale, values)
        axes.set_xlabel(fitted(setting_label(across), 5.5, 9), fontsize=9)
        axes.set_ylabel(fitted(setting_label(upward), 4.0, 9), fontsize=9)
    tidy(axes)
    if handles:
        _legend(figure, title, handles)
    title.draw(figure)
    return figure


def _cells(
    axes: Axes,
    table: pd.DataFrame,
    grid: pd.DataFrame | None,
    axis: tuple[str, str],
    code: pd.Series[int],
) -> None:
    """A cell for each point of a full ``grid``, or the points of a sample."""
    colors = ListedColormap([color for color, _ in REGIMES.values()])
    norm = BoundaryNorm(np.arange(len(REGIMES) + 1) - 0.5, len(REGIMES))
    across, upward = axis
    if grid is None:
        axes.scatter(table[across], table[upward], c=code, cmap=colors, norm=norm, s=22)
        return
    edges = (cell_edges(each.to_numpy(float)) for each in (grid.columns, grid.index))
    axes.pcolormesh(*edges, grid.to_numpy(), cmap=colors, norm=norm)


def _boundary(axes: Axes, table: pd.DataFrame, across: str, upward: str) -> list[Line2D]:
    """Where the predicted rate is 1, and its entry of the legend; nothing if it is nowhere."""
    rates = table.pivot_table(index=upward, columns=across, values="predicted_rate")
    if rates.shape != (table[upward].nunique(), table[across].nunique()):
        return []
    levels = np.log(np.maximum(rates.to_numpy(), FLOOR))
    if np.isnan(levels).any() or not levels.min() < 0.0 < levels.max():
        return []
    for color, width in (("white", 3.4), (INK, 1.6)):
        axes.contour(rates.columns, rates.index, levels, [0.0], colors=color, linewidths=width)
    return [Line2D([], [], color=INK, lw=1.6, label=PREDICTED_BOUNDARY)]


def _status_handles(table: pd.DataFrame, *, points: bool) -> list[Patch | Line2D]:
    """The entries of the statuses that occur, as they are drawn: patches, points or crosses."""
    handles: list[Patch | Line2D] = []
    for status, (color, label) in REGIMES.items():
        runs = table["steps"][table["status"] == status]
        if points and len(runs):
            marker = "x" if runs.isna().all() else "o"
            handles.append(Line2D([], [], color=color, ls="", marker=marker, ms=5, label=label))
        elif len(runs):
            handles.append(Patch(color=color, label=label))
    return handles


def _legend(figure: Figure, title: Title, handles: Sequence[Patch | Line2D]) -> None:
    """All entries in two rows at most, below the title."""
    width, height = figure.get_size_inches()
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(LEFT / width, 1 - (title.height + 0.04) / height),
        ncols=4,
        fontsize=8,
        frameon=False,
        borderpad=0.0,
        borderaxespad=0.2,
        columnspacing=1.2,
        handlelength=1.6,
    )


def _title(table: pd.DataFrame, name: str, question: str) -> Title:
    counts = table["status"].value_counts().to_dict()
    return Title(question, sweep_title(shortened(name, 50), counts, len(table)), WIDTH)


def figure_of_sweep(sweep: Sweep, table: pd.DataFrame) -> Figure | None:
    """The figure of a sweep's table; None if no axis can be drawn."""
    base = sweep.base
    names, households = sweep.design.axis_names, base.economy.households
    return sweep_figure(table, names, base.name, base.question, households)
