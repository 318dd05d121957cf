"""Prices, errors and alignment over the steps of a run, on the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from bokeh.models import (
    BasicTickFormatter,
    ColumnDataSource,
    FixedTicker,
    Legend,
    LegendItem,
    Range1d,
    Span,
)

from market_abm.economy.economy import Economy
from market_abm.economy.families import Family
from market_abm.runs.families import MAX_LISTED_GOODS, shown_families
from market_abm.views.convergence import FLOOR_POWER, followed
from market_abm.views.palette import OKABE_ITO
from market_abm.views.words.lines import shortened
from market_abm.views.words.page import ALIGNMENT_TITLE, PRICES_TITLE
from market_abm.views.words.text import RELATIVE_ERROR
from market_abm.watch.figures import MAX_POINTS, blank, log_errors, tick_labels
from market_abm.watch.session import Session

MIN_STEPS = 10
"""Least length of the axis of steps."""

GOODS = 6
"""Number of goods that are drawn."""

MAX_EXPONENT = 3.0
"""End of the error axis, as an exponent of ten."""


def _drawn(families: Sequence[Family], economy: Economy) -> list[Family]:
    """The families with the most members, in their order; families of final goods are left out."""
    some = [f for f in families if not all(good in economy.demand for good in f.goods)]
    return sorted(sorted(some, key=len, reverse=True)[:GOODS], key=some.index)


class PathFigures:
    """Prices and gradients, errors and alignment over the last steps.

    Where families are shown: means of prices and gradients of a family, and its largest error.

    Parameters
    ----------
    session
        The session at its start.
    largest
        The largest industries, which are drawn in a large economy; in a small one, goods of all
        stages are.

    Attributes
    ----------
    path
        A data source with a row for each step: ``p0``, ``g0``, ``e0``, ... are price, gradient and
        log10 of the error of each drawn good, ``worst`` is that of the largest error of all.
    """

    def __init__(self, session: Session, largest: Sequence[str]) -> None:
        economy = session.economy
        families = _drawn(shown_families(economy), economy)
        if families:
            self._places = [family.places for family in families]
            self.goods = [family.pattern for family in families]
        else:
            places = followed(economy, GOODS)
            if len(economy.goods) > MAX_LISTED_GOODS:
                places = [economy.index[good] for good in largest[:GOODS]]
            self._places = [np.array([place]) for place in places]
            self.goods = [economy.goods[k] for k in places]
        self._rows: list[dict[str, float]] = []
        columns = {name: [value] for name, value in self._row(session).items()}
        self.path = ColumnDataSource(columns, name="path")
        steps_range = Range1d(0, MIN_STEPS, name="along")
        self.sources: dict[str, Any] = {"path": self.path, "along": steps_range}
        self.prices = self._figure("prices", PRICES_TITLE, steps_range)
        self.errors = self._figure("errors", RELATIVE_ERROR, steps_range)
        self.alignment = self._figure(
            "alignment",
            ALIGNMENT_TITLE,
            steps_range,
        )
        self._label = economy.label
        self._draw(session.experiment.run.tolerance)

    def _figure(self, name: str, title: str, steps_range: Range1d) -> Any:
        made = blank(name, title, 250, x_range=steps_range)
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
        self.errors.y_range = Range1d(FLOOR_POWER - 0.5, MAX_EXPONENT)
        ticks = [FLOOR_POWER, -12, -9, -6, -3, 0]
        self.errors.yaxis.ticker = FixedTicker(ticks=ticks)
        self.errors.yaxis.major_label_overrides = tick_labels(ticks)
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
        """A line for each good, of the columns of ``path`` that begin with ``letter``."""
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
            "alignment": float(session.observations["alignment"]),
            "welfare": float(session.observations["welfare"]),
            "worst": float(np.max(errors)),
        }
        prices, gradients = session.prices, session.gradients
        for k, own in enumerate(self._places):
            row[f"p{k}"] = float(prices[own].mean())
            row[f"g{k}"] = float(gradients[own].mean())
            row[f"e{k}"] = float(errors[own].max())
        return row

    def add(self, session: Session) -> None:
        """Add the present step to the next :meth:`rows`."""
        self._rows.append(self._row(session))

    def rows(self) -> dict[str, list[float]]:
        """The columns of the steps that were added since the last call."""
        rows, self._rows = self._rows[-MAX_POINTS:], []
        return {name: [row[name] for row in rows] for name in rows[0]} if rows else {}
