"""Sentences about lines with kinks, where a gradient is a set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from market_abm.economy.ties import Tie
from market_abm.runs.crossings import kinks
from market_abm.views.numbers import format_count, format_plain

if TYPE_CHECKING:
    from market_abm.economy.industry import Industry
    from market_abm.runs.result import Result

MAX_INPUTS = 3
"""Inputs of a line at a kink that are described."""


def kink_sentence(result: Result) -> str:
    """That the market rests at a kink, or why it does not rest; empty if it has no kink."""
    lines = {industry.good: industry for industry in result.economy.industries}
    tied = kinks(result.experiment, result.last)
    if tied:
        first, *others = tied
        count = format_count(len(others), "other line")
        more = f" The same holds of {count}." if others else ""
        return (
            f"'{lines[first.good].text()}' ends at a kink, where the gradient is a set: "
            f"{slopes_text(first)}. Prices are compared with the element nearest to them.{more}"
        )
    kinked = [industry for industry in lines.values() if industry.technology.branching]
    if result.at_rest or not kinked or not result.experiment.market.rules.bids_form_prices:
        return ""
    return restless(kinked[0])


def slopes_text(tie: Tie) -> str:
    """Between which numbers the marginal products of a line at a kink are."""
    named = [
        f"a unit of {good} makes {format_plain(low)} to {format_plain(high)} of {tie.good}"
        for good, (low, high) in tie.slopes.items()
    ]
    more = len(named) - MAX_INPUTS
    others = [f"and {format_count(more, 'other input')} likewise"] if more > 0 else []
    return ", ".join([*named[:MAX_INPUTS], *others])


def tie_note(tie: Tie, good: str) -> str:
    """What is added to the marginal product of an input at a kink."""
    low, high = (format_plain(each) for each in tie.slopes[good])
    return f" at a kink, where the slope is any from {low} to {high}"


def restless(industry: Industry) -> str:
    """Why bids for the inputs of a line with branches may never come to rest."""
    return (
        f"'{industry.text()}' has branches, and bids jump where it changes from one to another: an "
        "input in excess is worth nothing to it, and is lost to others. A mechanism with plans "
        "buys in fixed proportions, and ces(..., elasticity=0.5) has no kink."
    )
