"""Own rates of interest by date: of prices, of exact gradients, and as predicted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from market_abm.views.convergence import MAX_MARKS, evenly
from market_abm.views.palette import FAINT, GREY, INK, OKABE_ITO
from market_abm.views.plots.convergence import CROSS, LEGEND, MAX_MARKED_STEPS
from market_abm.views.plots.lettering import all_fitted
from market_abm.views.plots.style import LEFT, Title, new_figure, tidy
from market_abm.views.words.figures import EXACT_GRADIENT, PREDICTED, PRICE, convergence_title
from market_abm.views.words.own_rates import DATE_LABEL, NOTE, RATE_LABEL, first_names

if TYPE_CHECKING:
    from market_abm.runs.result import Result

WIDTH, PANEL, BELOW, KEYS = 7.2, 2.9, 0.5, 0.5
"""Inches: the width of the figure, the height of the panel, and of what is below and above it."""

MAX_LINES = len(OKABE_ITO)
"""Dated goods that are drawn; of more, the first."""


def own_rates(result: Result, *families: str) -> Figure | None:
    """A line for each dated good, dashed its exact gradient, and crosses where it is predicted.

    None if there are no two dates of any good.
    """
    table = result.own_rates(*families)
    if table.empty:
        return None
    names = list(dict.fromkeys(table["name"]))
    note = NOTE + "." + first_names(MAX_LINES, len(names))
    title = Title(result.experiment.question, f"{convergence_title(result)}\n{note}", WIDTH)
    height = title.height + KEYS + PANEL + BELOW
    figure = new_figure(WIDTH, height)
    axes = figure.add_axes((0.115, BELOW / height, 0.865, PANEL / height))
    shown = all_fitted(names[:MAX_LINES], 0.8, 8)
    handles, predicted = [], False
    for n, (name, color) in enumerate(zip(shown, OKABE_ITO, strict=False)):
        rows = table[table["name"] == name]
        dates = rows["t"].to_numpy()
        marker = "o" if len(dates) <= MAX_MARKED_STEPS else ""
        handles += axes.plot(
            dates,
            rows["rate"],
            color=color,
            lw=2.2 + 1.4 * min(len(shown) - 1 - n, 2),
            marker=marker,
            ms=4.5,
            label=shown[name],
        )
        axes.plot(dates, rows["gradient"], color=INK, lw=1.1, ls="--", dashes=(4, 2.5), zorder=4)
        if np.isfinite(rows["predicted"]).any():
            predicted = True
            marked = rows.iloc[evenly(len(rows), MAX_MARKS)]
            axes.plot(marked["t"], marked["predicted"], ls="", zorder=5, **CROSS)
    axes.axhline(0.0, color=FAINT, lw=0.8, zorder=1)
    axes.xaxis.set_major_locator(MaxNLocator(9, integer=True))
    axes.set_xlabel(DATE_LABEL, fontsize=9)
    axes.set_ylabel(RATE_LABEL, fontsize=9)
    tidy(axes)
    axes.legend(handles=handles, ncols=MAX_LINES, **LEGEND)
    keys = [Line2D([], [], color=GREY, lw=2.2, label=PRICE)]
    keys.append(Line2D([], [], color=INK, lw=1.1, ls="--", dashes=(4, 2.5), label=EXACT_GRADIENT))
    keys += [Line2D([], [], ls="", label=PREDICTED, **CROSS)] if predicted else []
    top = {
        "loc": "upper left",
        "bbox_to_anchor": (LEFT / WIDTH, 1 - (title.height + 0.04) / height),
    }
    figure.legend(handles=keys, ncols=len(keys), borderpad=0.0, **(LEGEND | top))
    title.draw(figure)
    return figure
