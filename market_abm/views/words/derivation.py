"""Sentences about profit conditions and backprop's lines, which a report sets side by side."""

from __future__ import annotations

from market_abm.views.numbers import format_error, format_plain

TITLE = "Profit conditions beside backprop"

CONSUMERS = "pay a given price for each final good"
DEMAND_CURVES = "pay for what they buy the price of their demand curve, or a given price"
"""What consumers do, in the place of a profit."""

NET_OF_TAX = "; here net of the tax on it, which is what sellers get"
"""What is added where they pay a tax."""

ENDOWMENTS = "offer their endowment at any price"
SUPPLY_CURVES = "offer as much as costs the price at the margin, or their endowment"
"""What suppliers do."""

REUSE_NOTES = {
    "rival": "rival: divided among its users, who pay one price in the steady state",
    "copy": "copy (nonrival): every user gets all of it, and their bids add up (the sum rule)",
    "external": "external: every user gets all of it, and only the first one pays",
}
"""How several users share a good."""

SIDES = (
    "On the left the price that a profit-maximising firm pays, on the right the chain "
    "rule at the same line: the same formula in prices and in derivatives."
)

OFF_REST = (
    "The market is not at rest: the firms count with their own books, the batch that they sold, "
    "backprop with one forward pass at the present shares and supply, so that the numbers of the "
    "two sides differ."
)

DIVERGED = "The run diverged; the numbers are those of its last step."

OWN_EXPERIMENT = "The numbers are those of the experiment itself, at no point of the sweep."


def profit_preface(firms: int, *, loop: bool) -> str:
    """What stands before the profit of an industry: whether it is in a loop, and its firms."""
    each = f"{firms} firms, each with " if firms > 1 else ""
    return f"{'in a loop, whose lines backprop solves simultaneously; ' if loop else ''}{each}"


def outputs_preface(activity: str, symbol: str, *, divides: bool) -> str:
    """What stands before the profit of a line that makes several goods."""
    how = (
        "divided among the outputs; at rest the share of each is that of its revenue"
        if divides
        else "which makes all outputs in fixed proportions"
    )
    return f"{symbol} is its activity {activity}, {how}; "


def off_curve(cost: float, price: float) -> str:
    """The marginal cost of a supplier, and its price if that is another number."""
    shown, paid = format_plain(cost), format_plain(price)
    return shown if shown == paid else f"{shown}, not {paid}"


def limit_note(good: str) -> str:
    """What is added to a number that is a limit, because there is nothing of a good."""
    return f" in the limit of no {good}"


def first_lines(shown: int, total: int) -> str:
    """How many lines of a program are shown."""
    return (
        f"The first {shown} of {total:,} lines upstream from the consumer; market-abm explain "
        "shows all."
    )


def more_inputs(count: int) -> str:
    """How many inputs of a line are left out."""
    return f"And {count:,} more inputs."


def agreement(worst: float, what: str) -> str:
    """How well a run that was run again agrees with its folder: the largest difference."""
    how = (
        "equal those of the folder to the last digit"
        if worst == 0.0
        else f"are within {format_error(worst)} of those of the folder"
    )
    return f"The numbers are from running the configuration again: its last {what} {how}."
