"""Sentences about comparisons: of a market with its twin, or of several mechanisms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from market_abm.views.numbers import format_count, format_plain
from market_abm.views.words.text import status_text

if TYPE_CHECKING:
    from market_abm.studies.comparisons import MechanismComparison, OptimizerComparison


def twin_name(comparison: OptimizerComparison) -> str:
    """The optimiser that the market is compared with."""
    from market_abm.twins.registry import TWINS

    return TWINS[comparison.result.experiment.market.mechanism].name


def comparison_line(comparison: OptimizerComparison) -> str:
    """A comparison of a market with its twin in one line."""
    return f"<OptimizerComparison of {comparison.result!r} with {twin_name(comparison)}>"


def twin_text(market: str, twin: str) -> str:
    """Which market was compared with which optimiser."""
    return f"{market} compared with {twin}, its twin"


def comparison_sentence(comparison: OptimizerComparison) -> str:
    """What was compared, for how many steps, and what distances are relative to."""
    result = comparison.result
    both = twin_text(result.experiment.market.mechanism, twin_name(comparison))
    steps = format_count(result.steps, "step")
    return f"{both}: {steps}, {status_text(result.status)}. {DISTANCE_NOTE}"


DISTANCE_NOTE = "Distances are relative to the largest value of each price, quantity or share."


def mechanisms_line(comparison: MechanismComparison) -> str:
    """A comparison of mechanisms in one line."""
    name = comparison.experiment.name
    return f"<MechanismComparison of {', '.join(comparison.results)} in {name}>"


MECHANISM_LABELS = {"wasted": "unallocated", "money_made": "budget imbalance"}
"""Headers of columns whose name in files is another."""


def column_label(column: str) -> str:
    """The header of a column of a table, from its name in files."""
    return MECHANISM_LABELS.get(column, column.replace("_", " "))


def mechanisms_note() -> str:
    """What the columns of a comparison of mechanisms count."""
    from market_abm.studies.comparisons import REACHED

    return (
        "Steps and price messages until all prices and quantities stay within "
        f"{format_plain(REACHED)} of the best known allocation; unallocated goods and the budget "
        "imbalance are shares of the total."
    )


def limits(comparison: MechanismComparison) -> list[str]:
    """What a comparison of mechanisms left out, for its budget, and what its welfare is of."""
    from market_abm.gradient.landscape import MAX_STEPS
    from market_abm.market.mechanisms.registry import MECHANISMS
    from market_abm.studies.comparisons import MAX_FIRM_STEPS

    notes = []
    if any(not MECHANISMS[name].trades for name in comparison.results):
        notes.append(
            "Plans that are not traded need not be possible together; their welfare can "
            "be higher than that of any allocation."
        )
    if comparison.allowed is not None:
        most = comparison.experiment.run.steps
        notes.append(
            f"Runs ended after at most {comparison.allowed:,} of {most:,} steps: "
            f"the budget of a comparison is {MAX_FIRM_STEPS:,} steps of a firm a mechanism."
        )
    if comparison.ascent is not None and len(comparison.ascent.welfare) > MAX_STEPS:
        notes.append(f"Gradient ascent ended after {MAX_STEPS:,} steps, its budget.")
    return notes


SAME_ECONOMY = "the same economy under several mechanisms"
