"""Where in the plane of its rates each model returns to its equilibrium."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from market_abm.views.numbers import format_plain
from market_abm.views.palette import GREY, INK, OKABE_ITO
from market_abm.views.plots.style import LEFT as EDGE
from market_abm.views.plots.style import Title, new_figure, tidy
from market_abm.views.words.figures import (
    PREDICTED_EDGE,
    WHERE_IT_RETURNS,
    plane_panel,
    plane_title,
)

if TYPE_CHECKING:
    import pandas as pd

    from market_abm.studies.phase_plane import PhasePlane

SHADES = LinearSegmentedColormap.from_list("converged", ["#ffffff", OKABE_ITO[0]])

RATES = {
    "price_rate": "price rate α = α′",
    "output_rate": "output rate β = β′",
    "bid_rate": "bid rate α",
    "share_rate": "share rate κ",
}
"""The columns of rates and their labels; the first that a model has is the horizontal axis."""

Box = tuple[float, float, float, float]
"""Left, bottom, width and height, as fractions of the figure."""

CELL, GAP, NARROWEST = 0.32, 0.24, 1.6
"""Inches: the side of a cell, the space between panels, and the least width of a panel."""

LEFT, RIGHT, ABOVE, BELOW = 1.15, 0.85, 0.22, 0.48
"""Inches: margins of the figure, and space above and below each panel (title, axis)."""

HEADS, LEGEND = 0.3, 0.24
"""Inches: the height of the names of technologies, and of the legend."""

DASHED: dict[str, Any] = {"color": INK, "lw": 1.2, "ls": "--"}
"""The line of a predicted edge."""


@dataclass(frozen=True)
class _Grid:
    """Where the panels are: a row a model, a column a technology; lengths in inches.

    Parameters
    ----------
    sizes
        Rows and columns of cells of each model's panels.
    technologies
        How many there are.
    details
        What stands below the question.
    edges
        Whether edges are predicted: there is a legend.
    """

    sizes: dict[str, tuple[int, int]]
    technologies: int
    details: str
    edges: bool

    @property
    def panel(self) -> float:
        """The width of a panel."""
        return max(NARROWEST, CELL * max(columns for _, columns in self.sizes.values()))

    @cached_property
    def title(self) -> Title:
        """The title, as wide as the figure."""
        return Title(WHERE_IT_RETURNS, self.details, self.width)

    @property
    def top(self) -> float:
        """The height of all that is above the first row of panels."""
        return self.title.height + HEADS + LEGEND * self.edges

    @property
    def width(self) -> float:
        """The width of the figure."""
        return LEFT + self.technologies * (self.panel + GAP) - GAP + RIGHT

    @property
    def height(self) -> float:
        """The height of the figure."""
        return self.top + sum(ABOVE + CELL * rows + BELOW for rows, _ in self.sizes.values())

    def place(self, left: float, top: float, wide: float, high: float) -> Box:
        """A box, given from the left and from the top."""
        bottom = 1.0 - (top + high) / self.height
        return left / self.width, bottom, wide / self.width, high / self.height

    def box(self, model: str, k: int) -> Box:
        """The panel of a model and the k-th technology."""
        top = self.top + ABOVE
        for each, (rows, _) in self.sizes.items():
            if each == model:
                break
            top += CELL * rows + BELOW + ABOVE
        rows, _ = self.sizes[model]
        return self.place(LEFT + k * (self.panel + GAP), top, self.panel, CELL * rows)


def phase_plane_figure(table: pd.DataFrame) -> Figure:
    """A row of panels a model, a column a technology; the colour is the share of networks.

    Numbers in cells count the networks that converged; above a panel stands the mean number of
    cells.

    Parameters
    ----------
    table
        A row a run, with the columns ``model``, ``technology``, ``elasticity``, ``network``,
        ``status`` and those of :data:`RATES`; a rate that a model does not have is NaN. The plane
        of a model with one rate is a line. ``edge`` is the predicted edge of its last rate, or NaN.
    """
    models, technologies = table["model"].unique(), table["technology"].unique()
    planes = {model: table[table["model"] == model].dropna(axis=1, how="all") for model in models}
    rates = {model: [rate for rate in RATES if rate in planes[model]] for model in models}
    sizes = {model: _cells(planes[model], rates[model]) for model in models}
    details = plane_title(table["network"].nunique(), len(table))
    edges = "edge" in table and bool(table["edge"].notna().any())
    grid = _Grid(sizes, len(technologies), details, edges)
    figure = new_figure(grid.width, grid.height)
    for model in models:
        rows, _ = sizes[model]
        for k, technology in enumerate(technologies):
            axes = figure.add_axes(grid.box(model, k))
            runs = planes[model][planes[model]["technology"] == technology]
            _plane(axes, runs, rates[model])
            if k > 0:
                axes.set_yticklabels([])
            elif rows > 1:
                axes.set_ylabel(RATES[rates[model][1]], fontsize=8)
        _name_model(figure, grid, model)
    for k, technology in enumerate(technologies):
        left, bottom, width, height = grid.box(models[0], k)
        place = (left + width / 2, bottom + height + 0.26 / grid.height)
        figure.text(*place, technology, ha="center", fontsize=9.5, color=INK)
    _share_bar(figure, grid, sizes[models[0]][0] * CELL)
    if edges:
        under = EDGE / grid.width, 1.0 - (grid.title.height + 0.04) / grid.height
        handle = Line2D([], [], label=PREDICTED_EDGE, **DASHED)
        options: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": under, "borderpad": 0.0}
        figure.legend(handles=[handle], fontsize=8, frameon=False, borderaxespad=0.2, **options)
    grid.title.draw(figure)
    return figure


def _name_model(figure: Figure, grid: _Grid, model: str) -> None:
    """The name of a model at the left of its panels."""
    _, bottom, _, height = grid.box(model, 0)
    plane = grid.sizes[model][0] > 1
    figure.text(
        0.36 / grid.width,
        bottom + height / 2,
        model.replace(", ", "\n") if plane else model.replace("-", "-\n").replace(", ", ",\n"),
        rotation=90 if plane else 0,
        ha="center",
        va="center",
        fontsize=9,
        color=INK,
    )


def _share_bar(figure: Figure, grid: _Grid, height: float) -> None:
    """What the colours mean, at the right of the first row."""
    bar = figure.colorbar(
        ScalarMappable(Normalize(0.0, 1.0), SHADES),
        cax=figure.add_axes(grid.place(grid.width - RIGHT + 0.18, grid.top + ABOVE, 0.12, height)),
    )
    bar.set_label("share of networks", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    bar.outline.set_visible(False)


def _cells(runs: pd.DataFrame, rates: list[str]) -> tuple[int, int]:
    """Rows and columns of a plane."""
    across, *up = (runs[rate].nunique() for rate in rates)
    return (up[0] if up else 1), across


def _plane(axes: Axes, runs: pd.DataFrame, rates: list[str]) -> None:
    """One technology: cells of equal size, with the number of networks that converged."""
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
        plane_panel(elasticity, mean, share.size),
        fontsize=8,
        color=GREY,
        pad=3,
    )
    ticks = sorted(runs[across].unique())
    axes.set_xticks(np.arange(columns) + 0.5, [format_plain(rate) for rate in ticks])
    heights = sorted(runs[up[0]].unique()) if up else []
    axes.set_yticks(np.arange(len(heights)) + 0.5, [format_plain(rate) for rate in heights])
    axes.set_xlabel(RATES[across], fontsize=8)
    if "edge" in runs:
        _draw_edge(axes, runs, rates)
    tidy(axes)


def _draw_edge(axes: Axes, runs: pd.DataFrame, rates: list[str]) -> None:
    """A line where the last rate has its predicted edge, median over networks that have one."""
    ticks = np.sort(runs[rates[-1]].unique())
    with np.errstate(divide="ignore"):
        logs = np.log(runs["edge"].to_numpy(float))
    # The middles of cells are the rates; the first and last cell end half a cell beyond.
    middles = np.log(
        [ticks[0] ** 1.5 / ticks[1] ** 0.5, *ticks, ticks[-1] ** 1.5 / ticks[-2] ** 0.5]
    )
    places = np.interp(logs, middles, [0.0, *(np.arange(len(ticks)) + 0.5), len(ticks)])
    placed = runs.assign(place=places)  # pandas' medians are of what is known, and NaN if none is
    if len(rates) == 1:
        axes.axvline(placed["place"].median(), clip_on=False, **DASHED)
        return
    edge = placed.groupby(rates[0])["place"].median().to_numpy()
    for column, place in enumerate(edge):
        axes.plot([column, column + 1], [place, place], clip_on=False, **DASHED)


def figure_of_plane(plane: PhasePlane) -> Figure:
    """The figure of all runs of a phase plane."""
    return phase_plane_figure(plane.table)
