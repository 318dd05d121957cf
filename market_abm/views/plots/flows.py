"""The largest flows of money in an economy of many goods."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch
from matplotlib.path import Path
from matplotlib.ticker import FuncFormatter, NullLocator

from market_abm.runs.families import MAX_LISTED_GOODS
from market_abm.runs.tables import largest
from market_abm.views.family_network import MAX_HOUSEHOLDS
from market_abm.views.layout import Point
from market_abm.views.numbers import format_power_of_ten
from market_abm.views.palette import GREY, INK, OKABE_ITO
from market_abm.views.plots.lettering import fitted_lines
from market_abm.views.plots.style import new_figure
from market_abm.views.words.figures import flows_note, flows_title
from market_abm.views.words.lines import shortened
from market_abm.views.words.text import RELATIVE_ERROR, step_title

if TYPE_CHECKING:
    from market_abm.economy.economy import Economy
    from market_abm.experiment.experiment import Experiment
    from market_abm.market.state import State
    from market_abm.runs.result import Result

MAX_USES = 40
"""Uses of goods up to which every one can be drawn as an arrow."""

MAX_NODES, MAX_FLOWS = 18, 40

WIDTH, HEIGHT = 8.2, 6.9
"""Inches."""

AXES = (1.95, 2.95)
"""Half the width and height of the ellipse of industries, in inches."""

MAX_RADIUS, MAX_LINE = 0.23, 5.0
"""Of the largest industry, in inches, and of the largest flow, in points."""

LABEL_WIDTH = 1.7
"""Inches of a line of an industry's name."""

FLOW, EXACT, OFF = "#5b6b7f", OKABE_ITO[5], "YlOrBr"


def is_legible(economy: Economy) -> bool:
    """Whether all goods, all their uses and all households can be drawn."""
    if len(economy.households) > MAX_HOUSEHOLDS:
        return False
    uses = sum(len(industry.technology.inputs) for industry in economy.industries)
    return len(economy.goods) <= MAX_LISTED_GOODS and uses <= MAX_USES


@dataclass(frozen=True, eq=False)
class Flows:
    """The largest flows of money between the industries with the largest sales.

    Parameters
    ----------
    goods
        The products of these industries, the largest sales first.
    flows
        Seller and buyer (places in ``goods``) and money a step, the largest first.
    part
        The share of these flows in all payments between industries.
    """

    goods: tuple[str, ...]
    flows: tuple[tuple[int, int, float], ...]
    part: float

    @staticmethod
    def of(result: Result, nodes: int = MAX_NODES, flows: int = MAX_FLOWS) -> Flows:
        """The largest flows of the last step of a run, between at most ``nodes`` industries.

        Purchases of an industry from itself are left out, and industries that sell to no other.
        """
        return Flows.at(result.experiment, result.last, nodes, flows)

    @staticmethod
    def at(
        experiment: Experiment, state: State, nodes: int = MAX_NODES, flows: int = MAX_FLOWS
    ) -> Flows:
        """The largest flows of one step; the arrays of ``state`` have no axis of runs."""
        economy = experiment.economy
        with np.errstate(all="ignore"):  # it may have diverged
            everything = largest(economy, state.prices * state.quantities)
        among = set(everything)
        paid = payments(experiment, state)
        money: dict[tuple[str, str], float] = {}
        for industry in economy.topological_order:
            user, uses = industry.good, economy.buyers.uses[industry.good]
            for good, use in zip(industry.technology.inputs, uses, strict=True):
                if good in among and user in among and good != user:
                    money[good, user] = money.get((good, user), 0.0) + float(paid[use].sum())
        goods = everything[:nodes]
        place = {good: k for k, good in enumerate(goods)}
        inside = [
            (place[seller], place[buyer], each)
            for (seller, buyer), each in money.items()
            if seller in place and buyer in place
        ]
        drawn = tuple(sorted(inside, key=lambda flow: -flow[2])[:flows])
        total = sum(money.values())
        return Flows(goods, drawn, sum(each for *_, each in drawn) / total if total else 0.0)

    def order(self) -> list[int]:
        """Places in ``goods`` around a circle, with those near each other that trade much.

        Pairs are exchanged as long as that reduces the sum of flows times distances.
        """
        count = len(self.goods)
        weights = np.zeros((count, count))
        for seller, buyer, money in self.flows:
            weights[seller, buyer] += money
            weights[buyer, seller] += money
        angles = 2.0 * np.pi * np.arange(count) / max(1, count)
        apart = np.abs(np.sin((angles[:, None] - angles) / 2.0))
        order = np.arange(count)
        better = True
        while better:
            better = False
            for i, j in combinations(range(count), 2):
                other = order.copy()
                other[[i, j]] = other[[j, i]]
                gain = (
                    apart * (weights[np.ix_(order, order)] - weights[np.ix_(other, other)])
                ).sum()
                if gain > 1e-9 * weights.sum():
                    order, better = other, True
        return [int(k) for k in order]

    def places(self) -> dict[int, Point]:
        """Positions in inches, clockwise from the top, at equal heights on either side."""
        order = self.order()
        right = -(-len(order) // 2)
        across, up = AXES
        places: dict[int, Point] = {}
        for side, members in ((1.0, order[:right]), (-1.0, order[right:][::-1])):
            for n, k in enumerate(members):
                height = 1.0 - (2 * n + 1) / right
                places[k] = (side * across * float(np.sqrt(1.0 - height**2)), up * height)
        return places


def payments(experiment: Experiment, state: State) -> np.ndarray:
    """The payment of each buyer, money a step, shape (buyers,); 0 where it is not finite."""
    with np.errstate(all="ignore"):
        paid = np.abs(experiment.market.rules.payments(experiment.economy, state))
    return np.where(np.isfinite(paid), paid, 0.0)


def largest_flows(result: Result, flows: Flows) -> Figure:
    """The largest industries on an ellipse, and the largest flows of money between them.

    The area of a disc is its sales, its colour the error of its price; the width of an arrow, from
    seller to buyer, is the payment.
    """
    figure = new_figure(WIDTH, HEIGHT)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    axes.set_xlim(-WIDTH / 2, WIDTH / 2)
    axes.set_ylim(-HEIGHT / 2 - 0.06, HEIGHT / 2 - 0.06)
    places = flows.places()
    sales = np.array([result.sales[result.experiment.economy.index[good]] for good in flows.goods])
    sales = np.where(np.isfinite(sales), np.abs(sales), 0.0)
    radii = MAX_RADIUS * np.sqrt(sales / (sales.max(initial=0.0) or 1.0))
    widest = max(money for *_, money in flows.flows) or 1.0
    for seller, buyer, money in reversed(flows.flows):
        ends = [(np.array(places[k]), radii[k]) for k in (seller, buyer)]
        _arrow(axes, ends, MAX_LINE * money / widest)
    colors = _colors(figure, result, flows)
    for k, good in enumerate(flows.goods):
        x, y = places[k]
        axes.add_patch(
            Circle((x, y), radii[k], facecolor=colors[k], edgecolor="white", lw=1, zorder=3)
        )
        side = 1 if x > 0 else -1
        axes.text(
            x + side * (radii[k] + 0.06),
            y,
            fitted_lines(result.experiment.economy.label(good), LABEL_WIDTH, 8),
            fontsize=8,
            color=INK,
            ha="left" if side > 0 else "right",
            va="center",
            linespacing=1.15,
            zorder=4,
        )
    _captions(figure, result, flows)
    return figure


def bent(ends: list[tuple[np.ndarray, float]]) -> np.ndarray:
    """A quadratic Bezier curve from the rim of one disc to that of another, shape (3, 2).

    It is bent inwards and to its right, so that flows in both directions do not overlap.

    Parameters
    ----------
    ends
        The centres and radii of both discs.
    """
    (start, near), (end, far) = ends
    way = end - start
    inwards = 0.6 * min(1.0, float(np.linalg.norm(way)) / 1.2)
    bend = (1.0 - inwards) * (start + end) / 2.0 + 0.1 * np.array([way[1], -way[0]])
    t0 = (near + 0.03) / (2.0 * float(np.linalg.norm(bend - start)))
    t1 = 1.0 - (far + 0.03) / (2.0 * float(np.linalg.norm(end - bend)))

    def blossom(s: float, t: float) -> np.ndarray:
        middle = (1.0 - s) * t + s * (1.0 - t)
        result: np.ndarray = (1.0 - s) * (1.0 - t) * start + middle * bend + s * t * end
        return result

    return np.array([blossom(t0, t0), blossom(t0, t1), blossom(t1, t1)])


def _arrow(axes: Axes, ends: list[tuple[np.ndarray, float]], width: float) -> None:
    points = bent(ends)
    width = max(width, 0.4)
    head = width + 4.0
    axes.add_patch(
        FancyArrowPatch(
            path=Path(points, [Path.MOVETO, Path.CURVE3, Path.CURVE3]),
            arrowstyle=f"simple,head_length={head},head_width={head},tail_width={width}",
            mutation_scale=1.0,
            lw=0.0,
            facecolor=FLOW,
            alpha=0.55,
            zorder=2,
        )
    )


def _colors(figure: Figure, result: Result, flows: Flows) -> list[Any]:
    """The colour of each disc; with a colour bar, if any price is off its gradient."""
    places = [result.experiment.economy.index[good] for good in flows.goods]
    errors = np.where(np.isfinite(result.last_errors), result.last_errors, np.inf)
    tolerance = result.experiment.run.tolerance
    if np.all(errors <= tolerance):
        return [EXACT] * len(places)
    most = errors[np.isfinite(errors)].max(initial=10.0 * tolerance)
    most = max(float(most), 10.0 * tolerance)
    norm = LogNorm(tolerance, most, clip=True)
    scale = ScalarMappable(norm, OFF)
    bar = figure.colorbar(
        scale, cax=figure.add_axes((0.72, 0.042, 0.24, 0.013)), orientation="horizontal"
    )
    bar.outline.set_edgecolor(GREY)
    bar.outline.set_linewidth(0.5)
    low, high = np.ceil(np.log10(tolerance)), np.floor(np.log10(most))
    bar.set_ticks([10.0**e for e in np.unique(np.linspace(low, high, 4).round())])
    bar.ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: format_power_of_ten(v)))
    bar.ax.xaxis.set_minor_locator(NullLocator())
    bar.ax.tick_params(labelsize=7.5, length=2)
    bar.ax.set_title(RELATIVE_ERROR, fontsize=8, color=INK, pad=3)
    return [scale.to_rgba(errors[k]) for k in places]


def _captions(figure: Figure, result: Result, flows: Flows) -> None:
    """The title, the share of payments that is drawn, and the legend."""
    title = step_title(shortened(result.experiment.name, 40), result.steps)
    figure.text(
        0.01,
        0.988,
        flows_title(title, len(flows.goods), len(flows.flows), flows.part),
        fontsize=9.5,
        color=INK,
        va="top",
    )
    tolerance = result.experiment.run.tolerance
    exact = bool(np.all(result.last_errors <= tolerance))
    figure.text(
        0.01,
        0.012,
        flows_note(tolerance if exact else None),
        fontsize=8,
        color=GREY,
        va="bottom",
    )
