"""What the page draws: the network, the path of prices, and the way over the contours of welfare.

Each figure is made for one start of a market. What it has to show later is sent as columns of
numbers, all in one message, and put into its sources by the browser (``frame.js``). Colours that
are not of a good are the theme's (``page.py``).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from bokeh.models import (
    BasicTickFormatter,
    ColorBar,
    Column,
    ColumnDataSource,
    FixedTicker,
    HoverTool,
    Legend,
    LegendItem,
    LinearColorMapper,
    Range1d,
    Span,
)
from bokeh.plotting import figure
from matplotlib import colormaps
from matplotlib.colors import LinearSegmentedColormap, to_hex

from market_abm.economy.economy import Economy
from market_abm.gradient.equilibrium import Problem, equilibrium
from market_abm.gradient.landscape import Landscape, landscape
from market_abm.runs.result import MANY
from market_abm.runs.run import watched
from market_abm.views.layout import BOX, Use, layout
from market_abm.views.numbers import format_label, format_power_of_ten
from market_abm.views.plots.flows import Flows, bent, payments
from market_abm.views.plots.style import OKABE_ITO, shortened
from market_abm.views.terminal import FLOOR, followed
from market_abm.watch.session import Session

KEPT = 400
"""Steps of the path that are shown: the last so many."""


SHORTEST = 10
"""Steps that the axis has room for, at the least."""


GOODS = 6
"""Goods whose paths are drawn, from all stages."""


PLACES = 30
"""Points of the contours along each axis: half a second, for which all wait."""


HIGHEST = 3.0
"""Where the error axis ends, as a power of ten."""


NEAR, FAR = -9.0, 0.0
"""Powers of ten between which the colour of a good says how far its price is from its gradient."""


WIDE = 800.0
"""Pixels that a network is thought to be wide: there it is as high as its layout wants."""


NARROWEST = 62.0
"""Pixels that an inch of a network gets at the least, so that its numbers can be read."""


SHADES = [
    to_hex(color)
    for color in LinearSegmentedColormap.from_list(
        "error", ["#BFE5D3", "#FFF1C4", "#F8C46C", "#EF8A47"]
    )(np.linspace(0.0, 1.0, 64))
]
"""From at its gradient to as far off as it is large; dark letters can be read on all of them."""


UNKNOWN = "#BBBBBB"


INK = "#222222"


FLOW = "#7C8DA3"


def blank(name: str, title: str, height: int, **options: Any) -> Any:
    """An empty figure as wide as there is room, without tools that a page would scroll against."""
    return figure(
        name=name,
        title=title,
        height=height,
        sizing_mode="stretch_width",
        tools="",
        toolbar_location=None,
        styles={"flex": "1 1 24rem", "min-width": "0"},
        **options,
    )


def _powers(exponents: Sequence[float]) -> dict[float, str]:
    """What to write at powers of ten on an axis; what is at the floor of the errors is 0."""
    return {e: "0" if e == FLOOR else format_power_of_ten(10.0**e) for e in exponents}


def log_errors(session: Session) -> np.ndarray:
    """Powers of ten of the errors of all goods, shape (goods,); what is exact is at the floor."""
    with np.errstate(all="ignore"):
        return np.clip(np.log10(session.errors), FLOOR, 300.0)


# --- the network ----------------------------------------------------------------------------------


class NetworkFigure:
    """Goods as boxes, the uses of a good as arrows: of few goods all, of many the largest flows.

    The colour of a good says how far its price is from its gradient, the width of an arrow how much
    is paid. ``nodes`` has a row a good, ``flows`` one an arrow.
    """

    def __init__(self, session: Session) -> None:
        economy = session.economy
        few = len(economy.goods) <= MANY
        self.goods, nodes, flows, self._uses, ranges = _few(economy) if few else _many(session)
        self._few = few
        self._places = np.array([economy.index[good] for good in self.goods])
        now = self.columns(session)
        self.nodes = ColumnDataSource({**nodes, **now[0]}, name="nodes")
        self.flows = ColumnDataSource({**flows, **now[1]}, name="flows")
        self.sources = {"nodes": self.nodes, "flows": self.flows}
        (left, right), (low, high) = ranges
        height = int(np.clip(WIDE * (high - low) / (right - left), 130, 560))
        slack = max(0.0, (right - left) * height / WIDE - (high - low)) / 2.0
        low, high = low - slack, high + slack
        self.figure = blank(
            "network",
            "Goods flow along the arrows (width: what is paid), prices against them",
            height + 75,
            x_range=Range1d(left, right),
            y_range=Range1d(low, high),
        )
        narrowest = int(NARROWEST * (right - left))
        self.figure.styles = {"min-width": f"{narrowest}px"}
        scrolled = {"flex": "1 1 100%", "min-width": "0", "overflow-x": "auto"}
        self.frame = Column(self.figure, sizing_mode="stretch_width", styles=scrolled)
        self.figure.axis.visible = False
        self.figure.grid.visible = False
        self._draw()

    def _draw(self) -> None:
        plot = self.figure
        plot.multi_line(
            "xs", "ys", source=self.flows, line_width="width", color=FLOW, line_cap="butt"
        )
        plot.scatter(
            "x", "y", angle="angle", size="head", marker="triangle", color=FLOW, source=self.flows
        )
        mapper = LinearColorMapper(palette=SHADES, low=NEAR, high=FAR, nan_color=UNKNOWN)
        color = {"field": "error", "transform": mapper}
        if self._few:
            boxes = plot.rect(
                "x",
                "y",
                BOX[0],
                BOX[1],
                source=self.nodes,
                fill_color=color,
                line_color=INK,
                line_width=0.8,
                border_radius=5,
            )
            common = {"x": "x", "source": self.nodes, "text_align": "center", "text_color": INK}
            for text, y, style in (
                ("name", "above", {"text_font_style": "bold", "text_font_size": "12px"}),
                ("price", "y", {"text_font_size": "11px"}),
                ("gradient", "below", {"text_font_size": "11px"}),
            ):
                plot.text(text=text, y=y, text_baseline="middle", **common, **style)
            plot.text(
                "label_x",
                "label_y",
                "units",
                source=self.flows,
                text_align="center",
                text_baseline="middle",
                text_font_size="10px",
                background_fill_alpha=0.75,
                padding=1,
                name="themed",
            )
        else:
            boxes = plot.circle(
                "x", "y", "radius", source=self.nodes, fill_color=color, line_color="white"
            )
            for side, align in (("left", "right"), ("right", "left")):
                plot.text(
                    f"{side}_x",
                    "y",
                    "name",
                    source=self.nodes,
                    text_align=align,
                    text_baseline="middle",
                    text_font_size="10px",
                    name="themed",
                )
        plot.add_tools(
            HoverTool(
                renderers=[boxes],
                tooltips=[("good", "@full"), ("price", "@price"), ("gradient", "@gradient")],
            )
        )
        bar = ColorBar(
            color_mapper=mapper,
            title="how far a price is from its gradient",
            ticker=FixedTicker(ticks=[-9, -6, -3, 0]),
            major_label_overrides=_powers([-9, -6, -3, 0]),
            orientation="horizontal",
            width=180,
            height=8,
            location="bottom_left",
            padding=4,
            margin=0,
            title_text_font_size="10px",
            major_label_text_font_size="10px",
        )
        plot.add_layout(bar, "below")

    def columns(self, session: Session) -> tuple[dict[str, Any], dict[str, Any]]:
        """The columns of nodes and flows that tell what there is now."""
        state, gradients = session.state, session.seen["gradients"]
        prices = [format_label(price) for price in state.prices[self._places]]
        exact = [format_label(each) for each in gradients[self._places]]
        words = ("price ", "gradient ") if self._few else ("", "")
        nodes = {
            "error": log_errors(session)[self._places].tolist(),
            "price": [words[0] + each for each in prices],
            "gradient": [words[1] + each for each in exact],
        }
        paid, of = payments(session.experiment, state), session.economy.buyers.uses
        money = np.array(
            [sum(paid[of[user][slot]].sum() for user, slot in uses) for uses in self._uses]
        )
        width = 1.0 + 5.0 * money / (money.max(initial=0.0) or 1.0)
        flows: dict[str, Any] = {"width": width.tolist(), "head": (7.0 + width).tolist()}
        if self._few:
            flows["units"] = [
                format_label(state.inputs[of[user][slot]].sum()) for ((user, slot),) in self._uses
            ]
        return nodes, flows


Made = tuple[
    Sequence[str],
    dict[str, Any],
    dict[str, Any],
    list[tuple[Use, ...]],
    tuple[tuple[float, float], tuple[float, float]],
]
"""Goods; columns of the nodes, of the flows; the uses that each flow stands for; the frame."""


def _few(economy: Economy) -> Made:
    """All goods as boxes (``layout.py``)."""
    plan = layout(economy)
    goods = list(plan.boxes)
    x, y = np.array(list(plan.boxes.values())).T
    uses = list(plan.routes)
    curves = [_sampled(np.array(plan.routes[use]), 3) for use in uses]
    points = np.concatenate(
        [np.concatenate(curves) if curves else np.zeros((0, 2)), _corners(x, y)]
    )
    nodes = {
        "x": x,
        "y": y,
        "above": y + 0.24,
        "below": y - 0.22,
        "name": [shortened(good, 18) for good in goods],
        "full": [economy.label(good) for good in goods],
    }
    labels = np.array([plan.labels[use] for use in uses]).reshape(-1, 2)
    flows = {**_arrows(curves), "label_x": labels[:, 0], "label_y": labels[:, 1]}
    low, high = points.min(axis=0) - 0.15, points.max(axis=0) + 0.15
    return goods, nodes, flows, [(use,) for use in uses], ((low[0], high[0]), (low[1], high[1]))


def _corners(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    half = np.array(BOX) / 2.0
    centres = np.stack([x, y], axis=1)
    return np.concatenate([centres - half, centres + half])


def _many(session: Session) -> Made:
    """The largest industries, and the largest flows between them after some steps."""
    told = _soon(session)
    economy = session.economy
    places = told.places()
    centres = np.array([places[k] for k in range(len(told.goods))]) * (1.6, 1.0)
    x, y = centres.T
    sales = np.linspace(1.0, 0.4, len(told.goods)) * 0.16  # by rank, the largest first
    ends = [[(centres[k], float(sales[k])) for k in pair[:2]] for pair in told.flows]
    curves = [_sampled(bent(each), 2) for each in ends]
    names = [shortened(economy.label(good), 34) for good in told.goods]
    nodes = {
        "x": x,
        "y": y,
        "radius": sales,
        "left_x": np.where(x < 0, x - sales - 0.06, np.nan),
        "right_x": np.where(x < 0, np.nan, x + sales + 0.06),
        "name": names,
        "full": [economy.label(good) for good in told.goods],
    }
    inputs = {industry.good: industry.technology.inputs for industry in economy.topological_order}
    uses: list[tuple[Use, ...]] = [
        tuple(
            (told.goods[buyer], slot)
            for slot, good in enumerate(inputs[told.goods[buyer]])
            if good == told.goods[seller]
        )
        for seller, buyer, _ in told.flows
    ]
    return told.goods, nodes, _arrows(curves), uses, ((-5.6, 5.6), (-3.1, 3.1))


def _soon(session: Session, steps: int = 10) -> Flows:
    """The largest flows some steps later, in a market of its own: at first nobody has paid."""
    market, _ = watched(session.experiment)
    for _ in range(steps):
        market.step()
    return Flows.at(session.experiment, market.state.select_runs(0))


def _sampled(curve: np.ndarray, degree: int, points: int = 24) -> np.ndarray:
    """Points on a Bezier curve of so many ``degree`` a segment, shape (points of it, 2)."""
    t = np.linspace(0.0, 1.0, points)[:, None]
    found = []
    for k in range(0, len(curve) - 1, degree):
        part = list(curve[k : k + degree + 1])
        while len(part) > 1:  # de Casteljau
            part = [(1.0 - t) * a + t * b for a, b in pairwise(part)]
        found.append(part[0])
    return np.concatenate(found)


def _arrows(curves: list[np.ndarray]) -> dict[str, Any]:
    """Lines, and where their heads are and whither they point."""
    ends = np.array([curve[-1] for curve in curves]).reshape(-1, 2)
    ways = np.array([curve[-1] - curve[-5] for curve in curves]).reshape(-1, 2)
    lengths = np.maximum(np.linalg.norm(ways, axis=1, keepdims=True), 1e-9)
    ends = ends - 0.06 * ways / lengths  # the point of a head is at the end
    return {
        "xs": [curve[:, 0] for curve in curves],
        "ys": [curve[:, 1] for curve in curves],
        "x": ends[:, 0],
        "y": ends[:, 1],
        "angle": np.arctan2(ways[:, 1], ways[:, 0]) - np.pi / 2.0,
    }


# --- the path -------------------------------------------------------------------------------------


class PathFigures:
    """Prices and gradients, errors and alignment over the last steps.

    Of few goods those from all stages are followed, of many the ``largest``.

    ``path`` has a row a step: ``p0``, ``g0``, ``e0`` and so on are price, gradient and power of ten
    of the error of each good that is followed, ``worst`` that of the largest error of all.
    """

    def __init__(self, session: Session, largest: Sequence[str]) -> None:
        economy = session.economy
        self._places = followed(economy, GOODS)
        if len(economy.goods) > MANY:
            self._places = [economy.index[good] for good in largest[:GOODS]]
        self.goods = [economy.goods[k] for k in self._places]
        self._rows: list[dict[str, float]] = []
        columns = {name: [value] for name, value in self._row(session).items()}
        self.path = ColumnDataSource(columns, name="path")
        along = Range1d(0, SHORTEST, name="along")
        self.sources: dict[str, Any] = {"path": self.path, "along": along}
        self.prices = self._figure(
            "prices", "Prices (solid) and their exact gradients (dotted)", along
        )
        self.errors = self._figure("errors", "|price − gradient| ÷ |gradient|", along)
        self.alignment = self._figure(
            "alignment",
            "Alignment with the gradient of welfare: 1 is uphill",
            along,
        )
        self._label = economy.label
        self._draw(session.experiment.run.tolerance)

    def _figure(self, name: str, title: str, along: Range1d) -> Any:
        made = blank(name, title, 250, x_range=along)
        made.xaxis.axis_label = "step"
        made.xaxis.formatter = BasicTickFormatter(use_scientific=False)
        return made

    def _draw(self, tolerance: float) -> None:
        prices = self._lines(self.prices, "price-lines", "p", line_width=2)
        self._lines(self.prices, "gradient-lines", "g", line_width=2.5, line_dash="dotted")
        self._lines(self.errors, "error-lines", "e", line_width=2)
        self.errors.line(
            "step", "worst", source=self.path, line_width=1, line_dash="dashed", name="themed"
        )
        items = [
            LegendItem(
                label={"value": shortened(self._label(good), 16)}, renderers=[prices], index=k
            )
            for k, good in enumerate(self.goods)
        ]
        legend = Legend(items=items, orientation="horizontal", location="left", padding=0, margin=0)
        self.prices.add_layout(legend, "above")
        self.errors.y_range = Range1d(FLOOR - 0.5, HIGHEST)
        ticks = [FLOOR, -12, -9, -6, -3, 0]
        self.errors.yaxis.ticker = FixedTicker(ticks=ticks)
        self.errors.yaxis.major_label_overrides = _powers(ticks)
        if tolerance > 0.0:
            self.errors.add_layout(
                Span(location=np.log10(tolerance), dimension="width", line_dash="dotted")
            )
        self.alignment.y_range = Range1d(-1.08, 1.08)
        self.alignment.scatter(
            "step", "alignment", source=self.path, size=4, color=OKABE_ITO[0], line_color=None
        )
        self.alignment.line("step", "alignment", source=self.path, color=OKABE_ITO[0], alpha=0.5)

    def _lines(self, plot: Any, name: str, letter: str, **style: Any) -> Any:
        """A line a good, of the columns of ``path`` that begin with a letter."""
        columns = [f"{letter}{k}" for k in range(len(self.goods))]
        lines = {
            "xs": [self.path.data["step"] for _ in columns],
            "ys": [self.path.data[column] for column in columns],
            "of": columns,
            "color": OKABE_ITO[: len(columns)],
        }
        self.sources[name] = source = ColumnDataSource(lines, name=name)
        return plot.multi_line("xs", "ys", color="color", source=source, **style)

    @np.errstate(all="ignore")
    def _row(self, session: Session) -> dict[str, float]:
        errors = log_errors(session)
        row = {
            "step": float(session.state.step),
            "alignment": float(session.seen["alignment"]),
            "welfare": float(session.seen["welfare"]),
            "worst": float(np.max(errors)),
        }
        for k, place in enumerate(self._places):
            row[f"p{k}"] = float(session.state.prices[place])
            row[f"g{k}"] = float(session.seen["gradients"][place])
            row[f"e{k}"] = float(errors[place])
        return row

    def take(self, session: Session) -> None:
        """Take in a step, to be sent with the next :meth:`rows`."""
        self._rows.append(self._row(session))

    def rows(self) -> dict[str, list[float]]:
        """The columns of the steps that were taken in since."""
        rows, self._rows = self._rows[-KEPT:], []
        return {name: [row[name] for row in rows] for name in rows[0]} if rows else {}


# --- welfare --------------------------------------------------------------------------------------


class WelfareMap:
    """The way over the contours of welfare, of an economy with two free variables.

    ``route`` has a row a step, ``x`` and ``y``; it begins where the market did.
    """

    @staticmethod
    def of(session: Session) -> WelfareMap | None:
        """The map, or None unless just two variables are free."""
        economy = session.economy
        if len(economy.goods) > MANY or Problem(economy).size != 2:
            return None
        return WelfareMap(session)

    def __init__(self, session: Session) -> None:
        self.figure = blank("welfare", "The way over the contours of welfare", 340)
        self.figure.grid.visible = False
        self._contours: Any = None
        self._seen: list[tuple[np.ndarray, np.ndarray]] = []
        self._way: deque[tuple[np.ndarray, np.ndarray]] = deque(maxlen=10 * KEPT)
        self._economy: Economy | None = None
        self._land: Landscape | None = None
        self.take(session)
        self.best = ColumnDataSource({"x": [], "y": []}, name="best")
        self._survey(session)
        self.route = ColumnDataSource(self.rows(session) or {"x": [], "y": []}, name="route")
        self.sources = {"route": self.route}
        self.figure.line("x", "y", source=self.route, line_width=2, color=OKABE_ITO[1])
        self.figure.scatter("x", "y", source=self.route, size=3.5, color=OKABE_ITO[1])
        self.figure.scatter(
            "x", "y", source=self.best, size=13, marker="star", color="#F0E442", line_color=INK
        )

    def take(self, session: Session) -> None:
        """Take in a step, to be sent with the next :meth:`rows`."""
        seen = session.state.quantities.copy(), session.state.shares.copy()
        self._seen.append(seen)
        self._way.append(seen)

    def rows(self, session: Session) -> dict[str, list[float]]:
        """The way since; where the economy is another, so are the contours."""
        if session.economy is not self._economy:
            self._survey(session)
        seen, self._seen = self._seen, []
        if not seen or self._land is None:
            return {}
        quantities, shares = (np.array(each) for each in zip(*seen, strict=True))
        x, y = self._land.route(quantities, shares).T
        return {"x": x.tolist(), "y": y.tolist()}

    def _survey(self, session: Session) -> None:
        """Work out the contours around the way so far and the best, and draw them."""
        self._economy = economy = session.economy
        best = equilibrium(economy)
        if best is None:
            return
        quantities, shares = (np.array(each) for each in zip(*self._way, strict=True))
        land = landscape(economy, quantities, shares, best, PLACES)
        if land is None:
            return
        self._land = land
        low, high = np.nanpercentile(land.welfare, [5, 100])
        levels = np.linspace(low, high, 13)
        colors = [to_hex(each) for each in colormaps["YlGnBu"](np.linspace(0.1, 0.75, 12))]
        options: Mapping[str, Any] = {"fill_color": colors, "line_color": None}
        if self._contours is not None:
            self.figure.renderers.remove(self._contours)
        self._contours = self.figure.contour(land.x, land.y, land.welfare, levels, **options)
        self._contours.level = "underlay"
        self.figure.x_range = Range1d(land.x[0], land.x[-1])
        self.figure.y_range = Range1d(land.y[0], land.y[-1])
        self.figure.xaxis.axis_label, self.figure.yaxis.axis_label = land.names
        ends = np.array([best.quantities]), np.array([best.shares])
        x, y = land.route(*ends).T
        self.best.data = {"x": x, "y": y}
