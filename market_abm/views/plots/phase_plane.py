"""Where in the plane of its rates each model comes back to its equilibrium."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure

from market_abm.views.numbers import format_fixed, format_plain
from market_abm.views.palette import GREY, INK, OKABE_ITO
from market_abm.views.plots.style import new_figure, tidy

if TYPE_CHECKING:
    import pandas as pd

SHADES = LinearSegmentedColormap.from_list("converged", ["#ffffff", OKABE_ITO[0]])


RATES = {
    "price_rate": "price rate α = α′",
    "output_rate": "output rate β = β′",
    "bid_rate": "bid rate α",
    "share_rate": "share rate κ",
}
"""The columns that hold rates, and what they are called: the first that a model has is across."""


Box = tuple[float, float, float, float]
"""Left, bottom, width and height, as parts of the figure."""


CELL, GAP = 0.32, 0.24
"""Inches: a side of a cell, and what is between panels."""


LEFT, RIGHT, TOP, ABOVE, BELOW = 1.15, 0.85, 0.62, 0.22, 0.48
"""Inches: around all panels, and above (its title) and below (its axis) each."""


def phase_plane_figure(table: pd.DataFrame) -> Figure:
    """A row of panels a model, a column a technology; colour is the share of networks.

    ``table`` has a row a run, with the columns ``model``, ``technology``, ``elasticity``,
    ``network``, ``status`` and those of ``RATES`` that the models have (NaN where one has not: with
    one rate only, its plane is a line). Numbers in cells count the networks that converged; above
    a panel stands the mean number of cells.
    """
    models, technologies = table["model"].unique(), table["technology"].unique()
    planes = {model: table[table["model"] == model].dropna(axis=1, how="all") for model in models}
    axes_of = {model: [rate for rate in RATES if rate in planes[model]] for model in models}
    sizes = {model: _cells(planes[model], axes_of[model]) for model in models}
    panel = CELL * max(columns for _, columns in sizes.values())
    width = LEFT + len(technologies) * (panel + GAP) - GAP + RIGHT
    height = TOP + sum(ABOVE + CELL * rows + BELOW for rows, _ in sizes.values())
    figure = new_figure(width, height)

    def place(left: float, top: float, wide: float, high: float) -> Box:
        """Inches from the left and from the top as parts of the figure."""
        return left / width, 1.0 - (top + high) / height, wide / width, high / height

    top = TOP
    for model in models:
        rows, _ = sizes[model]
        top += ABOVE
        for k, technology in enumerate(technologies):
            box = place(LEFT + k * (panel + GAP), top, panel, CELL * rows)
            axes = figure.add_axes(box)
            runs = planes[model][planes[model]["technology"] == technology]
            _plane(axes, runs, axes_of[model])
            if k > 0:
                axes.set_yticklabels([])
            elif rows > 1:
                axes.set_ylabel(RATES[axes_of[model][1]], fontsize=8)
            if model == models[0]:
                middle, above = box[0] + box[2] / 2, box[1] + box[3] + 0.26 / height
                figure.text(middle, above, technology, ha="center", fontsize=9.5, color=INK)
        _, bottom, _, high = place(0.0, top, 0.0, CELL * rows)
        figure.text(
            0.36 / width,
            bottom + high / 2,
            model.replace(", ", "\n") if rows > 1 else model.replace("-", "-\n"),
            rotation=90 if rows > 1 else 0,
            ha="center",
            va="center",
            fontsize=9,
            color=INK,
        )
        top += CELL * rows + BELOW
    first = sizes[models[0]][0] * CELL
    bar = figure.colorbar(
        ScalarMappable(Normalize(0.0, 1.0), SHADES),
        cax=figure.add_axes(place(width - RIGHT + 0.18, TOP + ABOVE, 0.12, first)),
    )
    bar.set_label("share of networks", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    bar.outline.set_visible(False)
    networks, runs = table["network"].nunique(), len(table)
    figure.text(
        0.1 / width,
        1.0 - 0.2 / height,
        f"How many of {networks} random networks come back to equilibrium ({runs:,} runs)",
        fontsize=10,
        color=INK,
    )
    return figure


def _cells(runs: pd.DataFrame, rates: list[str]) -> tuple[int, int]:
    """Rows and columns of a plane."""
    across, *up = (runs[rate].nunique() for rate in rates)
    return (up[0] if up else 1), across


def _plane(axes: Axes, runs: pd.DataFrame, rates: list[str]) -> None:
    """One technology: cells of equal size, with how many networks converged in them."""
    converged = runs.assign(converged=runs["status"] == "converged")
    across, *up = rates
    cells = converged.groupby([*up, across])["converged"].agg(["mean", "sum"])
    rows, columns = _cells(runs, rates)
    share = cells["mean"].to_numpy(float).reshape(rows, columns)
    count = cells["sum"].to_numpy(int).reshape(rows, columns)
    axes.pcolormesh(share, cmap=SHADES, vmin=0.0, vmax=1.0, lw=0.6, ec="#dddddd")
    for (row, column), number in np.ndenumerate(count):
        axes.text(
            column + 0.5,
            row + 0.5,
            str(number),
            ha="center",
            va="center",
            fontsize=7,
            color="white" if share[row, column] > 0.5 else INK,
        )
    mean, elasticity = share.sum(), runs["elasticity"].iloc[0]
    axes.set_title(
        f"σ = {format_plain(elasticity)}:  {format_fixed(mean, 1)} of {share.size} cells",
        fontsize=8,
        color=GREY,
        pad=3,
    )
    ticks = sorted(runs[across].unique())
    axes.set_xticks(np.arange(columns) + 0.5, [format_plain(rate) for rate in ticks])
    heights = sorted(runs[up[0]].unique()) if up else []
    axes.set_yticks(np.arange(len(heights)) + 0.5, [format_plain(rate) for rate in heights])
    axes.set_xlabel(RATES[across], fontsize=8)
    tidy(axes)
