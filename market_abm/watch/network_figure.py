"""The network of goods, prices and payments on the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from bokeh.models import (
    ColorBar,
    Column,
    ColumnDataSource,
    FixedTicker,
    HoverTool,
    LinearColorMapper,
    Range1d,
)
from matplotlib.colors import LinearSegmentedColormap, to_hex

from market_abm.runs.households import household_accounts
from market_abm.runs.numeraire import unit_of_account
from market_abm.views.family_network import FamilyNetwork
from market_abm.views.layout import BOX
from market_abm.views.numbers import format_label
from market_abm.views.plots.flows import is_legible, payments
from market_abm.views.words.families import mean_of, members
from market_abm.views.words.households import account_lines
from market_abm.views.words.page import DISTANCE_TITLE, FAMILIES_TITLE, NETWORK_TITLE
from market_abm.watch.figures import INK, blank, log_errors, tick_labels
from market_abm.watch.network_layout import family_boxes, large_network, small_network
from market_abm.watch.session import Session

NEAR, FAR = -9.0, 0.0
"""Exponents of ten of the errors at the ends of the colour scale."""

WIDTH = 800.0
"""Width in pixels at which the layout has its own proportions."""

MIN_PIXELS_PER_UNIT = 62.0
"""Least width of a unit of the layout, so that numbers are legible."""

SHADES = [
    to_hex(color)
    for color in LinearSegmentedColormap.from_list(
        "error", ["#BFE5D3", "#FFF1C4", "#F8C46C", "#EF8A47"]
    )(np.linspace(0.0, 1.0, 64))
]
"""From small errors to large ones; dark text is legible on all."""

UNKNOWN = "#BBBBBB"
"""Colour of a good without a relative error."""

FLOW = "#7C8DA3"
"""Colour of arrows."""


class NetworkFigure:
    """Goods, and flows of goods as arrows: all in a small economy, the largest in a large one.

    The colour of a good is the relative error of its price, the width of an arrow the payment.

    Attributes
    ----------
    nodes, flows
        Data sources with a row for each good, and for each arrow.
    """

    def __init__(self, session: Session) -> None:
        economy = session.economy
        few = is_legible(economy)
        self._families = None if few else FamilyNetwork.shown(economy)
        self._few = few or self._families is not None
        if self._families is not None:
            self.goods, nodes, flows, ranges = family_boxes(self._families)
        else:
            drawn = small_network(economy) if few else large_network(session)
            self.goods, nodes, flows, self._uses, ranges = drawn
            self._places = np.array([economy.index[good] for good in self.goods])
        now = self.columns(session)
        self.nodes = ColumnDataSource({**nodes, **now[0]}, name="nodes")
        self.flows = ColumnDataSource({**flows, **now[1]}, name="flows")
        self.sources = {"nodes": self.nodes, "flows": self.flows}
        (left, right), (low, high) = ranges
        height = int(np.clip(WIDTH * (high - low) / (right - left), 130, 560))
        slack = max(0.0, (right - left) * height / WIDTH - (high - low)) / 2.0
        low, high = low - slack, high + slack
        self.figure = blank(
            "network",
            NETWORK_TITLE if self._families is None else FAMILIES_TITLE,
            height + 75,
            x_range=Range1d(left, right),
            y_range=Range1d(low, high),
        )
        narrowest = int(MIN_PIXELS_PER_UNIT * (right - left))
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
        goods = self._draw_boxes(color) if self._few else self._draw_circles(color)
        tooltips = [("good", "@full"), ("price", "@price"), ("gradient", "@gradient")]
        if self._families is not None:
            tooltips = [("family", "@full"), ("", "@price"), ("", "@gradient")]
        elif "account" in self.nodes.data:
            tooltips.append(("", "@account"))
        plot.add_tools(HoverTool(renderers=[goods], tooltips=tooltips))
        bar = ColorBar(
            color_mapper=mapper,
            title=DISTANCE_TITLE,
            ticker=FixedTicker(ticks=[-9, -6, -3, 0]),
            major_label_overrides=tick_labels([-9, -6, -3, 0]),
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

    def _draw_boxes(self, color: Mapping[str, Any]) -> Any:
        """A box for each good with its name, price and gradient, and the units of each flow."""
        boxes = self.figure.rect(
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
            self.figure.text(text=text, y=y, text_baseline="middle", **common, **style)
        self.figure.text(
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
        return boxes

    def _draw_circles(self, color: Mapping[str, Any]) -> Any:
        """A circle for each good, with its name outside."""
        circles = self.figure.circle(
            "x", "y", "radius", source=self.nodes, fill_color=color, line_color="white"
        )
        for side, align in (("left", "right"), ("right", "left")):
            self.figure.text(
                f"{side}_x",
                "y",
                "name",
                source=self.nodes,
                text_align=align,
                text_baseline="middle",
                text_font_size="10px",
                name="themed",
            )
        return circles

    def columns(self, session: Session) -> tuple[dict[str, Any], dict[str, Any]]:
        """The columns of ``nodes`` and ``flows`` that change with each step."""
        if self._families is not None:
            return self._family_columns(session, self._families)
        state, gradients = session.state, session.gradients
        prices = [format_label(price) for price in session.prices[self._places]]
        exact = [format_label(each) for each in gradients[self._places]]
        prefixes = ("price ", "gradient ") if self._few else ("", "")
        nodes = {
            "error": log_errors(session)[self._places].tolist(),
            "price": [prefixes[0] + each for each in prices],
            "gradient": [prefixes[1] + each for each in exact],
        }
        accounts = household_accounts(session.economy, session.experiment.market, state)
        unit = unit_of_account(session.economy, state.prices)
        if accounts:
            nodes["account"] = [""] * len(self.goods)
        for name, account in accounts.items():
            k = self.goods.index(name) if name in self.goods else -1
            if k >= 0:
                first, second, nodes["account"][k] = account_lines(account.divided(unit))
                if self._few:
                    nodes["price"][k], nodes["gradient"][k] = first, second
        paid, of = payments(session.experiment, state), session.economy.buyers.uses
        money = np.array(
            [sum(paid[of[user][slot]].sum() for user, slot in uses) for uses in self._uses]
        )
        flows = _widths(money)
        if self._few:
            flows["units"] = [
                format_label(state.inputs[of[user][slot]].sum()) for ((user, slot),) in self._uses
            ]
        return nodes, flows

    def _family_columns(
        self, session: Session, network: FamilyNetwork
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The same of families: their mean price, their largest error and all their payments."""
        errors, prices = log_errors(session), session.prices
        places = [network.families[label].places for label in self.goods]
        largest = [float(errors[own].max()) for own in places]
        nodes = {
            "error": largest,
            "price": [f"price {format_label(mean_of(prices[own]))}" for own in places],
            "gradient": [members(len(own)) for own in places],
        }
        money = network.total(payments(session.experiment, session.state))
        return nodes, {**_widths(money), "units": [f"{n:,}" for n in network.counts.values()]}


def _widths(money: np.ndarray) -> dict[str, Any]:
    """The widths of arrows and the sizes of their heads, by what is paid."""
    width = 1.0 + 5.0 * money / (money.max(initial=0.0) or 1.0)
    return {"width": width.tolist(), "head": (7.0 + width).tolist()}
