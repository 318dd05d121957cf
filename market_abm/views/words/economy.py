"""Economies, the terms of their agents, and input-output tables in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from market_abm.views.numbers import format_count, format_number, format_plain
from market_abm.views.words.households import BUDGET

if TYPE_CHECKING:
    from market_abm.economy.economy import Economy
    from market_abm.economy.industry import Industry
    from market_abm.economy.io_table import InputOutputTable
    from market_abm.economy.terms import Demand, Supply

MAX_INDUSTRIES = 32
"""Industries up to which it is reported whether there is a loop."""


def economy_line(economy: Economy) -> str:
    """An economy in one line."""
    return f"<Economy: {economy_sizes(economy)}>"


def economy_sizes(economy: Economy) -> str:
    """The numbers of industries, goods and firms."""
    households, raw = len(economy.households), len(economy.supply)
    lines = [industry for industry in economy.industries if industry.is_line]
    industries, firms = len(lines), sum(industry.firms for industry in lines)
    goods = raw + len(economy.industries) - len(economy.outputs) - households
    parts = [
        f"{format_count(industries, 'industry', 'industries')}"
        + (f" with {firms:,} firms" if firms > industries else ""),
        f"{format_count(goods, 'good')} ({raw:,} raw, {len(economy.demand) - households:,} final)",
    ]
    if households:
        parts.append(format_count(households, "household"))
    if industries <= MAX_INDUSTRIES and economy.has_loops:
        parts.append("with a loop")
    return ", ".join(parts)


def network_text(economy: Economy) -> str:
    """The network in words: each industry with its inputs."""
    lines = "; ".join(
        f"{industry.good} of {', '.join(dict.fromkeys(industry.technology.inputs))}"
        for industry in economy.industries
    )
    return f"The network: {lines}"


def supply_text(terms: Supply) -> str:
    """The terms of a supplier."""
    kept = "" if np.all(terms.period == 1) else f", each for {format_number(terms.period)} steps"
    if terms.series is not None:
        return f"the rows of {terms.series.source}{kept}"
    if terms.cost != "curve":
        cost = "no cost" if terms.cost == "none" else f"a cost of {format_number(terms.decay)} q²/2"
        return (
            f"{_units(terms.quantity)} at step 0, then by its gradient at rate "
            f"{format_number(terms.rate)}{kept}; {cost}"
        )
    if not np.any(terms.elasticity):
        return f"{_units(terms.quantity)} per step"
    text = (
        f"{_units(terms.quantity)} per step at a price of {format_number(terms.price)}, "
        f"elasticity {format_number(terms.elasticity)}{', linear' * (terms.form == 'linear')}"
    )
    if terms.kind == "gradient":
        return f"{text}; follows its margin at rate {format_number(terms.rate)}"
    slow = np.any(np.not_equal(terms.adjustment, 1.0))
    return f"{text}, adjustment {format_number(terms.adjustment)}" if slow else text


def demand_text(terms: Demand) -> str:
    """The terms of a consumer."""
    if terms.of_household:
        return BUDGET
    pays = f"consumers pay {format_number(terms.price)}"
    if np.all(np.isinf(terms.elasticity)):
        return f"{pays} a unit"
    known = terms.quantity is not None and not np.any(np.isnan(terms.quantity))
    at = f"for {_units(terms.quantity)}" if known else "for the initial output"
    form = f", {terms.form}" if terms.form else ""
    return f"{pays} a unit {at}, elasticity {format_number(terms.elasticity)}{form}"


def _units(quantity: Any) -> str:
    return f"{format_number(quantity)} {'unit' if np.all(np.equal(quantity, 1.0)) else 'units'}"


def firms_text(industry: Industry) -> str:
    """How many firms, and how they differ from one firm that is the line itself."""
    population, parts = industry.population, [f"{industry.firms:,}"]
    if population.conduct != "competitive":
        parts.append(population.conduct)
    with np.errstate(all="ignore"):
        mean = (industry.weights * industry.productivity).sum(axis=-1)
    if not np.allclose(mean, 1.0, rtol=1e-9):
        parts.append(f"productivity {format_number(mean, 4)}")
    if np.any(population.bid_noise):
        parts.append(f"noise {format_number(population.bid_noise)}")
    return ", ".join(parts)


def reuse_text(uses: int, reuse: str) -> str:
    """How many uses a good has, and how they share it; empty for a single use."""
    return f"{uses:,} uses, {reuse}" if uses > 1 else ""


# --- input-output tables --------------------------------------------------------------------------


def table_line(io_table: InputOutputTable) -> str:
    """An input-output table in one line."""
    return f"<InputOutputTable: {table_sizes(io_table)}>"


def table_sizes(io_table: InputOutputTable) -> str:
    """The number of industries, total output and final use."""
    return (
        f"{format_count(io_table.size, 'industry', 'industries')}, "
        f"output {format_number(io_table.output.sum(), 4)}, "
        f"final use {format_number(io_table.final_use.sum(), 4)}"
    )


def table_residuals(io_table: InputOutputTable) -> list[tuple[str, str]]:
    """How far its rows and columns are from balancing."""
    off = {
        "rows balance to within": io_table.row_residuals,
        "columns balance to within": io_table.column_residuals,
    }
    return [
        (what, f"{format_plain(np.abs(each).max(), 2)} of output") for what, each in off.items()
    ]
