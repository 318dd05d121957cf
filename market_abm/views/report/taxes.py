"""The taxes of a run in its report: the wedge of each taxed use, revenues, and the loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from market_abm.views.report.page import Page
from market_abm.views.report.reading import as_list, as_mapping, as_text
from market_abm.views.report.tables import facts_html, table_html
from market_abm.views.words import taxes as words

COLUMNS = ("good", "user", "rate", "price", "gross_price", "derivative", "wedge")
"""Columns of the table of taxed uses, after the tax."""


def write_taxes(page: Page, taxes: Mapping[str, Any]) -> None:
    """Add the section, if there are taxes."""
    uses = [as_mapping(each) for each in as_list(taxes.get("uses"))]
    if not uses:
        return
    rows = {
        f"{as_text(use.get('tax'))}: {as_text(use.get('good'))}, {as_text(use.get('user'))}": use
        for use in uses
    }
    revenues = [
        (words.revenue_label(name), money)
        for name, money in as_mapping(taxes.get("revenues")).items()
    ]
    loss = [(words.LOSS, taxes.get("deadweight_loss"))]
    table = table_html("tax", rows, COLUMNS, words.CAPTION)
    page.add(words.TITLE, table + facts_html([*revenues, *loss]))
