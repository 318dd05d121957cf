"""The figure of a sweep whose runs all end alike: how far prices end from gradients, or where."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from market_abm.views.convergence import FLOOR
from market_abm.views.numbers import format_label, format_plain
from market_abm.views.palette import GREY, INK
from market_abm.views.plots.lettering import fitted
from market_abm.views.plots.style import cell_edges, scale_axis
from market_abm.views.words.figures import MEASURED, OPTIMUM, PREDICTED, final_error, price_of
from market_abm.views.words.settings import setting_label
from market_abm.views.words.text import RELATIVE_ERROR

if TYPE_CHECKING:
    import pandas as pd

MAX_CURVES = 12
"""Values of the second axis up to which each has a curve; more are shades of a map."""


EXACT = 1e-8
"""Errors below which they are no more than what is left when a run ends."""


def final_errors(figure: Figure, axes: Axes, table: pd.DataFrame, axis: tuple[str, str]) -> None:
    """The median error at the end at each point, as curves along the first axis or as a map.

    Where theory predicts it, the prediction is drawn through the points. Where all prices are
    exact, curves are of the price that moves most, if that is known.
    """
    across, upward = axis
    price = moving(table, "best_price") if table["error"].max() < EXACT else None
    if price is not None and table[upward].nunique() <= MAX_CURVES:
        what = f"price.{price}", f"best_price.{price}"
        prices = table.pivot_table(index=upward, columns=across, values=what[0])
        _curves(axes, table, prices, axis, what[1], price_of(price))
        return
    median = table.pivot_table(index=upward, columns=across, values="error", aggfunc="median")
    if len(median) > MAX_CURVES:
        _map(figure, axes, median, axis)
    else:
        _curves(axes, table, median, axis, "predicted_error", "")


def moving(table: pd.DataFrame, best: str, among: Collection[str] = ()) -> str | None:
    """The good, ``among`` some or all, whose ``best`` quantity or price varies most, relatively.

    None if none does.
    """
    spread = {}
    for column in table.columns:
        kind, dot, good = column.partition(".")
        if kind == best and dot and (not among or good in among):
            values = table[column].to_numpy(float)
            finite = values[np.isfinite(values)]
            size = np.abs(finite).max(initial=0.0)
            spread[good] = np.ptp(finite) / size if size > 0.0 else 0.0
    widest = max(spread, key=lambda good: spread[good], default=None)
    return widest if widest is not None and spread[widest] > 1e-6 else None


def _curves(
    axes: Axes,
    table: pd.DataFrame,
    median: pd.DataFrame,
    axis: tuple[str, str],
    predicted: str,
    label: str,
) -> None:
    """Curves of ``median`` with the column ``predicted``; without a ``label``, of errors."""
    across, upward = axis
    x, values = median.columns.to_numpy(float), median.index.to_numpy(float)
    known = predicted in table and table[predicted].notna().any()
    theory = median * np.nan
    if known:
        theory = table.pivot_table(
            index=upward, columns=across, values=predicted, aggfunc="median"
        ).reindex_like(median)
    shades = colormaps["viridis"](np.linspace(0.0, 0.9, len(values)))
    handles = []
    for row, value, shade in zip(range(len(values)), values, shades, strict=True):
        color, errors = to_hex(shade), median.to_numpy(float)[row]
        line = "" if known else "-"
        axes.plot(x, errors, "o", ls=line, color=color, ms=4.5, lw=1.4, zorder=3)
        axes.plot(x, theory.to_numpy(float)[row], "--", color=color, lw=1.3, zorder=2)
        style: dict[str, Any] = {"color": color, "marker": "o", "ms": 4.5, "lw": 1.4}
        style["ls"] = "--" if known else "-"
        handles.append(Line2D([], [], label=format_label(value, 3), **style))
    scale_axis(axes.xaxis, axes.set_xscale, x)
    errors = median.to_numpy(float)
    if not label and np.nanmin(errors) > FLOOR:
        scale_axis(axes.yaxis, axes.set_yscale, errors, log=True)
    axes.set_xlabel(setting_label(across), fontsize=9)
    axes.set_ylabel(fitted(label or final_error(RELATIVE_ERROR), 4.0, 9), fontsize=9)
    left, bottom, width, height = axes.get_position().bounds
    axes.set_position((left, bottom, width - 0.2, height))
    options: dict[str, Any] = {
        "frameon": False,
        "fontsize": 8,
        "alignment": "left",
        "title_fontsize": 8,
    }
    legend = axes.legend(
        handles=handles[::-1],
        title=setting_label(upward).replace(" of ", "\nof ", 1),
        loc="upper left",
        bbox_to_anchor=(1.01, 1.0),
        borderaxespad=0.0,
        **options,
    )
    if known:
        axes.add_artist(legend)
        point = Line2D([], [], color=GREY, ls="", marker="o", ms=4.5, label=MEASURED)
        dashed = Line2D([], [], color=GREY, ls="--", lw=1.3, label=OPTIMUM if label else PREDICTED)
        axes.legend(handles=[point, dashed], loc="best" if label else "lower left", **options)


def _map(figure: Figure, axes: Axes, median: pd.DataFrame, axis: tuple[str, str]) -> None:
    x, y = median.columns.to_numpy(float), median.index.to_numpy(float)
    size = np.log10(np.maximum(median.to_numpy(float), FLOOR))
    colored = axes.pcolormesh(cell_edges(x), cell_edges(y), size, cmap="viridis")
    for values, each, scale in ((x, axes.xaxis, axes.set_xscale), (y, axes.yaxis, axes.set_yscale)):
        scale_axis(each, scale, values)
    left, bottom, width, height = axes.get_position().bounds
    axes.set_position((left, bottom, width - 0.13, height))
    bar = figure.colorbar(
        colored, cax=figure.add_axes((left + width - 0.11, bottom, 0.025, height))
    )
    bar.set_label(final_error(RELATIVE_ERROR), fontsize=8)
    ticks = [t for t in bar.get_ticks() if size.min() <= t <= size.max()]
    bar.set_ticks(ticks, labels=[format_plain(10**t, 2) for t in ticks])
    bar.ax.tick_params(labelsize=8)
    bar.outline.set_visible(False)
    axes.set_xlabel(setting_label(axis[0]), fontsize=9)
    axes.set_ylabel(setting_label(axis[1]), fontsize=9, color=INK)
