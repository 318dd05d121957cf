"""The households of a run in its report: who earns what, who buys what, and their weights."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from market_abm.views.report.page import Page
from market_abm.views.report.reading import as_mapping, as_mappings, as_number
from market_abm.views.report.tables import table_html
from market_abm.views.words import households as words
from market_abm.views.words.rotation import SIMPLEX_ALT, SIMPLEX_TITLE

MAX_COLUMNS = 12
"""Sources of income, and goods bought, with a column; of more, those of most money."""

Rows = dict[str, dict[str, Any]]


def write_households(
    page: Page, content: Mapping[str, Any], *, bars: str, simplex: str, unit: str
) -> None:
    """Add the sections, if there are households.

    Parameters
    ----------
    page
        The page.
    content
        The summary.
    bars, simplex
        The figures of the folder as URLs that hold them; empty if there are none.
    unit
        What money is told in.
    """
    households = as_mappings(content.get("households"))
    if not households:
        return
    weights = as_mappings(as_mapping(content.get("weights")).get("households"))
    page.add(
        words.TITLE,
        _picture(bars, words.ALT),
        table_html("household", _accounts(households, weights), COLUMNS, words.ACCOUNTS_CAPTION),
        _money({name: _earned(own) for name, own in households.items()}, words.earned(unit)),
        _money({name: _bought(own) for name, own in households.items()}, words.bought(unit)),
    )
    page.add(SIMPLEX_TITLE, _picture(simplex, SIMPLEX_ALT))


COLUMNS = ("utility", "income", "spending", "weight", "weight in equilibrium")


def _accounts(households: Rows, weights: Rows) -> Rows:
    """A row a household: its utility, income, spending and weight."""
    return {
        name: {
            "utility": as_number(own.get("utility")),
            "income": as_number(as_mapping(own.get("income")).get("total")),
            "spending": as_number(as_mapping(own.get("spending")).get("total")),
            "weight": as_number(own.get("weight")),
            "weight in equilibrium": as_number(weights.get(name, {}).get("equilibrium")),
        }
        for name, own in households.items()
    }


def _earned(own: Mapping[str, Any]) -> dict[str, float]:
    """What a household earns by source."""
    income = as_mapping(own.get("income"))
    owned, profits, taxes = (_numbers(income.get(k)) for k in ("endowments", "profits", "taxes"))
    return words.sources_of(owned, profits, taxes, as_number(income.get("transfer")) or 0.0)


def _bought(own: Mapping[str, Any]) -> dict[str, float]:
    """What a household pays for each good."""
    return _numbers(as_mapping(own.get("spending")).get("goods"))


def _numbers(value: Any) -> dict[str, float]:
    numbers = {name: as_number(each) for name, each in as_mapping(value).items()}
    return {name: each for name, each in numbers.items() if each is not None}


def _money(rows: Mapping[str, Mapping[str, float]], caption: str) -> str:
    """A table of money with a column a part, from the largest on; nothing without parts."""
    total: dict[str, float] = {}
    for parts in rows.values():
        for name, money in parts.items():
            total[name] = total.get(name, 0.0) + abs(money)
    least = words.ROUNDING * max(total.values(), default=0.0)
    named = (name for name, money in total.items() if money > least)
    columns = sorted(named, key=lambda name: -total[name])[:MAX_COLUMNS]
    if not columns:
        return ""
    return table_html(
        "household", {name: dict(own) for name, own in rows.items()}, columns, caption
    )


def _picture(url: str, alt: str) -> str:
    return f'<figure class="network"><img src="{url}" alt="{escape(alt)}"></figure>' if url else ""
