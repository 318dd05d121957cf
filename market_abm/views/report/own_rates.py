"""Own rates of interest in a report: a table and a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from market_abm.views.convergence import Axis, value_axis
from market_abm.views.report.figures import (
    MAX_GOODS,
    REFERENCE,
    Figure,
    axis_data,
    legend_data,
    line_data,
    listed,
)
from market_abm.views.report.page import Page
from market_abm.views.report.reading import as_mapping, as_number, as_text
from market_abm.views.report.tables import table_html
from market_abm.views.words import own_rates as words

COLUMNS = ("rate", "gradient", "predicted")


def write_own_rates(page: Page, rows: Sequence[Any]) -> None:
    """The section of the list ``own_rates`` of a summary; none if it is empty."""
    found: dict[str, dict[float, Mapping[str, Any]]] = {}
    for row in map(as_mapping, rows):
        name, date = as_text(row.get("name")), as_number(row.get("t"))
        if name and date is not None:
            found.setdefault(name, {})[date] = row
    if not found:
        return
    table = {
        as_text(row.get("good")): {column: as_number(row.get(column)) for column in COLUMNS}
        for by_date in found.values()
        for row in by_date.values()
    }
    page.add(words.TITLE, table_html("good", table, COLUMNS, words.CAPTION))
    page.add_figures(words.FIGURE_TITLE, [_figure(found)])


def _figure(found: Mapping[str, Mapping[float, Mapping[str, Any]]]) -> Figure:
    """A line for each dated good, its exact gradient dashed, and points where it is predicted."""
    names, series, last = list(found)[:MAX_GOODS], [], {}
    for n, name in enumerate(names):
        by_date = found[name]
        at = listed(np.array(sorted(by_date)))
        rates, gradients, predicted = (
            np.array([as_number(by_date[date].get(column)) for date in sorted(by_date)], float)
            for column in COLUMNS
        )
        last[name] = rates[-1]
        series.append(line_data(n, name, rates, x=at))
        series.append(line_data(n, words.of_gradient(name), gradients, x=at, **REFERENCE))
        if np.isfinite(predicted).any():
            points = {"x": at, "points": True, "color": "ink"}
            series.append(line_data(n, words.of_formula(name), predicted, **points))
    dates = np.array(sorted({date for by_date in found.values() for date in by_date}))
    shown = np.array([v for each in series for v in each["y"]], float)
    return {
        "kind": "lines",
        "steps": listed(dates),
        "x": axis_data(Axis(words.DATE_LABEL), whole=True),
        "y": axis_data(value_axis(shown, words.RATE_LABEL)),
        "title": words.FIGURE_TITLE,
        "note": words.FIGURE_NOTE + words.first_names(len(names), len(found)),
        "series": series,
        "legend": legend_data(names),
        "alt": words.description(dates[0], dates[-1], last),
    }
