"""Sentences about profit conditions and backprop's lines, which a report sets side by side."""

from __future__ import annotations

from market_abm.views.numbers import format_error

TITLE = "Profit conditions beside backprop"

CONSUMERS = "pay a given price for each final good"
"""What consumers do, in the place of a profit."""

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

DIVERGED = "The run diverged; the numbers are those of its last step."

OWN_EXPERIMENT = "The numbers are those of the experiment itself, at no point of the sweep."


def profit_preface(firms: int, *, loop: bool) -> str:
    """What stands before the profit of an industry: whether it is in a loop, and its firms."""
    each = f"{firms} firms, each with " if firms > 1 else ""
    return f"{'in a loop, whose lines backprop solves simultaneously; ' if loop else ''}{each}"


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
