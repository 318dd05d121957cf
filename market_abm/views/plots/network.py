"""The supply network of a run, with quantities, prices and bids."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path

from market_abm.runs.families import MAX_LISTED_GOODS
from market_abm.views.layout import BOX, Layout, Point, layout
from market_abm.views.numbers import format_label
from market_abm.views.palette import GREY, INK
from market_abm.views.plots.flows import Flows, is_legible, largest_flows
from market_abm.views.plots.lettering import Title, box_titles
from market_abm.views.plots.style import new_figure
from market_abm.views.words.figures import network_note
from market_abm.views.words.lines import shortened
from market_abm.views.words.text import step_title

if TYPE_CHECKING:
    from market_abm.economy.economy import Economy
    from market_abm.economy.industry import Industry
    from market_abm.runs.result import Result

MARGIN, TITLE = 0.35, 0.22
"""Units of the layout around the network, and above and below it for text."""

MIN_WIDTH, MAX_SIZE = 6.4, 20.0
"""Inches."""

KINDS = {
    "raw": ("#FFF4DC", "#E69F00"),
    "made": ("#EEF1F6", "#7A8699"),
    "final": ("#DDF3EA", "#009E73"),
}

FLOW, BID = "#0062A3", "#B84300"
"""Colours of units and of money."""


def network(result: Result) -> Figure:
    """The supply network at the last step: goods flow along the arrows, prices against them.

    A box is a good with its quantity, price and gradient; an arrow is one use of it, labelled with
    units and the bid for one. Of more than 40 goods, or as many uses, only the largest flows are
    drawn (``plots/flows.py``), or a network without numbers if no industry sells to another.
    """
    if not is_legible(result.experiment.economy) and (flows := Flows.of(result)).flows:
        return largest_flows(result, flows)
    economy = result.experiment.economy
    plan = layout(economy)
    figure, axes, scale = _canvas(plan)
    labelled = len(economy.goods) <= MAX_LISTED_GOODS
    titles = box_titles(_firms(economy), BOX[0] * scale, 9.5 * scale)
    for good, centre in plan.boxes.items():
        _box(axes, result, good, titles[good], centre, scale, labelled=labelled)
    for industry in economy.topological_order:
        for slot in range(len(industry.technology.inputs)):
            use = (industry.good, slot)
            _arrow(axes, plan.routes[use], scale)
            if labelled:
                _label(axes, result, industry, slot, plan.labels[use], scale)
    _captions(
        axes, step_title(shortened(result.experiment.name, 40), result.steps), labelled=labelled
    )
    return figure


def _firms(economy: Economy) -> dict[str, str]:
    """What stands after the name of each good: how many firms make it, if there are several."""
    firms = {industry.good: industry.firms for industry in economy.topological_order}
    return {
        good: f" ({firms[good]} firms)" if firms.get(good, 1) > 1 else "" for good in economy.goods
    }


def _canvas(plan: Layout) -> tuple[Figure, Axes, float]:
    """A figure filled by axes with room for the network and text, and inches a unit of them."""
    curves = [point for route in plan.routes.values() for point in route]
    corners = np.array(
        [(x + i * BOX[0] / 2, y + i * BOX[1] / 2) for x, y in plan.boxes.values() for i in (-1, 1)]
        + curves
    )
    low = corners.min(axis=0) - MARGIN - np.array([0.0, TITLE])
    high = corners.max(axis=0) + MARGIN + np.array([0.0, TITLE])
    slack = max(0.0, MIN_WIDTH - (high - low)[0]) / 2
    low, high = low - np.array([slack, 0.0]), high + np.array([slack, 0.0])
    width, height = high - low
    scale = min(1.0, MAX_SIZE / max(width, height))
    figure = new_figure(width * scale, height * scale)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])
    return figure, axes, scale


def _captions(axes: Axes, title: str, *, labelled: bool) -> None:
    """The title above the network, and what is drawn below it."""
    left, bottom, top = axes.get_xlim()[0] + 0.12, axes.get_ylim()[0], axes.get_ylim()[1]
    axes.text(left, top - 0.1, title, fontsize=10, fontweight="bold", color=INK, va="top")
    axes.text(
        left,
        bottom + 0.1,
        network_note(labelled=labelled),
        fontsize=8,
        color=GREY,
        va="bottom",
    )


def _box(
    axes: Axes,
    result: Result,
    good: str,
    title: Title,
    centre: Point,
    scale: float,
    *,
    labelled: bool,
) -> None:
    economy = result.experiment.economy
    kind = "raw" if good in economy.supply else "final" if good in economy.demand else "made"
    face, edge = KINDS[kind]
    (x, y), (width, height) = centre, BOX
    axes.add_patch(
        FancyBboxPatch(
            (x - width / 2, y - height / 2),
            width,
            height,
            zorder=3,
            lw=1.3 * scale,
            boxstyle="round,pad=0,rounding_size=0.09",
            facecolor=face,
            edgecolor=edge,
        )
    )
    text, size = title
    options: dict[str, Any] = {"va": "center", "zorder": 4}
    axes.text(
        x,
        y + 0.26 * labelled,
        text,
        fontsize=size,
        fontweight="bold",
        ha="center",
        color=INK,
        **options,
    )
    if not labelled:
        return
    k = result.goods.index(good)
    rows = (
        ("quantity", result.last.quantities, FLOW),
        ("price", result.last.prices, BID),
        ("gradient", result.last_gradients, INK),
    )
    for n, (what, values, color) in enumerate(rows):
        line = y + 0.06 - 0.175 * n
        axes.text(x - 0.06, line, what, ha="right", color=GREY, fontsize=8 * scale, **options)
        shown = format_label(values[k])
        axes.text(x + 0.02, line, shown, ha="left", color=color, fontsize=8 * scale, **options)


def _arrow(axes: Axes, route: list[Point], scale: float) -> None:
    codes = [Path.MOVETO] + [Path.CURVE4] * (len(route) - 1)
    axes.add_patch(
        FancyArrowPatch(
            path=Path(np.array(route), codes),
            arrowstyle="-|>",
            mutation_scale=10 * scale,
            lw=1.1 * scale,
            facecolor="#6b7280",
            edgecolor="#6b7280",
            zorder=2,
            joinstyle="miter",
        )
    )


def _label(
    axes: Axes, result: Result, industry: Industry, slot: int, spot: Point, scale: float
) -> None:
    buyers = result.experiment.economy.buyers.uses[industry.good][slot]
    shares = result.last.shares[buyers]
    inputs = result.last.inputs[buyers]
    bids = result.experiment.market.rules.per_unit(result.last.bids[buyers], inputs)
    bid = shares @ bids / (shares.sum() or 1.0)
    units = inputs.sum()
    box = {"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
    for text, color, offset, va in (
        (format_label(units), FLOW, 2.0, "bottom"),
        (format_label(bid), BID, -2.0, "top"),
    ):
        axes.annotate(
            text,
            spot,
            (0, offset),
            textcoords="offset points",
            fontsize=7.5 * scale,
            color=color,
            ha="center",
            va=va,
            bbox=box,
            zorder=2.5,
        )
