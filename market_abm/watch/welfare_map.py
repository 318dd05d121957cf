"""The path of a run over the contours of welfare, on the page."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
from bokeh.models import ColumnDataSource, Range1d

from market_abm.economy.economy import Economy
from market_abm.gradient.allocation import Problem
from market_abm.gradient.equilibrium import equilibrium
from market_abm.gradient.landscape import Landscape, landscape
from market_abm.runs.families import MAX_LISTED_GOODS
from market_abm.views.palette import OKABE_ITO, welfare_shades
from market_abm.views.words.page import WELFARE_TITLE
from market_abm.watch.figures import INK, MAX_POINTS, blank
from market_abm.watch.session import Session

POINTS = 30
"""Points of the contours along each axis: computed in half a second, during which all waits."""


class WelfareMap:
    """The path of a run over the contours of welfare, in an economy with two free variables.

    Attributes
    ----------
    route
        A data source with a row ``x``, ``y`` for each step from the start.
    """

    @staticmethod
    def of(session: Session) -> WelfareMap | None:
        """The map, or None unless there are two free variables, and W is of the same money.

        With households weights move along the path; in a closed system nobody pays.
        """
        economy = session.economy
        if economy.households or not economy.demand:
            return None
        if len(economy.goods) > MAX_LISTED_GOODS or Problem(economy).size != 2:
            return None
        return WelfareMap(session)

    def __init__(self, session: Session) -> None:
        self.figure = blank("welfare", WELFARE_TITLE, 340)
        self.figure.grid.visible = False
        self._contours: Any = None
        self._new: list[tuple[np.ndarray, np.ndarray]] = []
        self._path: deque[tuple[np.ndarray, np.ndarray]] = deque(maxlen=10 * MAX_POINTS)
        self._economy: Economy | None = None
        self._landscape: Landscape | None = None
        self.add(session)
        self.best = ColumnDataSource({"x": [], "y": []}, name="best")
        self._draw_contours(session)
        self.route = ColumnDataSource(self.rows(session) or {"x": [], "y": []}, name="route")
        self.sources = {"route": self.route}
        self.figure.line("x", "y", source=self.route, line_width=2, color=OKABE_ITO[1])
        self.figure.scatter("x", "y", source=self.route, size=3.5, color=OKABE_ITO[1])
        self.figure.scatter(
            "x", "y", source=self.best, size=13, marker="star", color="#F0E442", line_color=INK
        )

    def add(self, session: Session) -> None:
        """Add the present step to the next :meth:`rows`."""
        allocation = session.state.quantities.copy(), session.state.shares.copy()
        self._new.append(allocation)
        self._path.append(allocation)

    def rows(self, session: Session) -> dict[str, list[float]]:
        """The columns of the steps that were added since; new contours if the economy changed."""
        if session.economy is not self._economy:
            self._draw_contours(session)
        new, self._new = self._new, []
        if not new or self._landscape is None:
            return {}
        quantities, shares = (np.array(each) for each in zip(*new, strict=True))
        x, y = self._landscape.route(quantities, shares).T
        return {"x": x.tolist(), "y": y.tolist()}

    def _draw_contours(self, session: Session) -> None:
        """Compute and draw contours around the path so far and the best allocation."""
        self._economy = economy = session.economy
        best = equilibrium(economy)
        if best is None:
            return
        quantities, shares = (np.array(each) for each in zip(*self._path, strict=True))
        land = landscape(economy, quantities, shares, best, POINTS)
        if land is None:
            return
        self._landscape = land
        low, high = np.nanpercentile(land.welfare, [5, 100])
        levels = np.linspace(low, high, 13)
        options: Mapping[str, Any] = {"fill_color": welfare_shades(12), "line_color": None}
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
