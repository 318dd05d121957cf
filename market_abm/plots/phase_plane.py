"""Where in the plane of its rates the excess-demand economy comes back to its equilibrium."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure

from market_abm.plots.style import INK, OKABE_ITO, new_figure, tidy

if TYPE_CHECKING:
    import pandas as pd

SHADES = LinearSegmentedColormap.from_list("converged", ["#ffffff", OKABE_ITO[0]])


def phase_plane_figure(table: pd.DataFrame) -> Figure:
    """A panel a technology; a cell's colour is the share of networks that converged there.

    ``table`` has a row a run (see :func:`market_abm.baselines.excess_demand.phase_plane`).
    """
    names = list(table["technology"].unique())
    width, height = 1.3 + 2.3 * len(names), 3.3
    figure = new_figure(width, height)
    panels = figure.subplots(1, len(names), squeeze=False, sharey=True)[0]
    figure.subplots_adjust(
        left=0.68 / width, right=1 - 0.85 / width, top=0.84, bottom=0.16, wspace=0.1
    )
    for axes, name in zip(panels, names, strict=True):
        _plane(axes, table[table["technology"] == name])
        axes.set_title(name, fontsize=9, color=INK)
    panels[0].set_ylabel("output rate β = β′", fontsize=9)
    place = panels[-1].get_position()
    bar = figure.colorbar(
        ScalarMappable(Normalize(0.0, 1.0), SHADES),
        cax=figure.add_axes((1 - 0.7 / width, place.y0, 0.12 / width, place.height)),
    )
    bar.set_label("share of networks", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    bar.outline.set_visible(False)
    networks, runs = table["network"].nunique(), len(table)
    figure.suptitle(
        f"Excess demand: back at the equilibrium, of {networks} random networks ({runs:,} runs)",
        fontsize=9.5,
        x=0.01,
        y=0.97,
        ha="left",
        color=INK,
    )
    return figure


def _plane(axes: Axes, runs: pd.DataFrame) -> None:
    """One technology: cells of equal size, with how many networks converged in them."""
    converged = runs.assign(converged=runs["status"] == "converged").pivot_table(
        index="output_rate", columns="price_rate", values="converged", aggfunc=["mean", "sum"]
    )
    share, count = converged["mean"], converged["sum"]
    axes.pcolormesh(share.to_numpy(float), cmap=SHADES, vmin=0.0, vmax=1.0, lw=0.6, ec="#dddddd")
    for (row, column), number in np.ndenumerate(count.to_numpy(int)):
        dark = share.iat[row, column] > 0.5
        axes.text(
            column + 0.5,
            row + 0.5,
            str(number),
            ha="center",
            va="center",
            fontsize=7.5,
            color="white" if dark else INK,
        )
    axes.set_xticks(np.arange(share.shape[1]) + 0.5, [f"{rate:g}" for rate in share.columns])
    axes.set_yticks(np.arange(share.shape[0]) + 0.5, [f"{rate:g}" for rate in share.index])
    axes.set_xlabel("price rate α = α′", fontsize=9)
    tidy(axes)
