"""Sentences about comparisons: of a market with optimisers, or of several mechanisms."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from market_abm.views.numbers import format_count, format_error, format_plain, format_share
from market_abm.views.words.text import status_text

if TYPE_CHECKING:
    import pandas as pd

    from market_abm.runs.result import Result
    from market_abm.studies.comparisons import MechanismComparison
    from market_abm.studies.optimizers import OptimizerComparison


def comparison_line(comparison: OptimizerComparison) -> str:
    """A comparison of a market with its twin in one line."""
    return f"<OptimizerComparison of {comparison.result!r} with {comparison.twin_name}>"


def twin_text(market: str, twin: str) -> str:
    """Which market was compared with which optimiser."""
    return f"{market} compared with {twin}, its twin"


def comparison_sentences(comparison: OptimizerComparison) -> list[str]:
    """What a market is identical to, how far the textbook is, and what its prices are slopes of."""
    if comparison.result.steps == 0:
        return [NO_STEPS]
    return [
        identity_sentence(comparison),
        *filter(None, [breakdown_sentence(comparison)]),
        textbook_sentence(comparison),
        *filter(None, [dates_sentence(comparison), *budget_sentences(comparison)]),
        DISTANCE_NOTE,
    ]


def identity_sentence(comparison: OptimizerComparison) -> str:
    """Which optimiser the market is, up to which step, and how far it is from it later."""
    from market_abm.twins.registry import twin_of

    result, twin = comparison.result, comparison.twin
    market = result.experiment.market
    worst, where = largest(comparison.distances)[0], twin_of(market).where
    claim = "is identical to" if worst <= IDENTICAL else "is not identical, as it should be, to"
    text = f"{market.mechanism} {claim} {comparison.twin_name}"
    if where:
        text += f" {where}"
    until = comparison.identical_until
    if where or until < twin.identical_until:
        text += f", here up to step {until:,}"
    text += f" (largest distance {format_error(worst)}"
    if until < twin.steps:
        text += f"; later {format_error(largest(comparison.later_distances)[0])}"
    steps = f"{format_count(result.steps, 'step')}, {status_text(result.status)}"
    return f"{text}): {steps}."


NO_STEPS = "There is nothing to compare: no step was made, and all begin in the same state."


def breakdown_sentence(comparison: OptimizerComparison) -> str:
    """From which step on a run that diverges has no digits left; empty if it has."""
    step = comparison.breaks_down
    if step is None:
        return ""
    return (
        f"The run breaks down: from step {step:,} a share is below rounding, and what follows has "
        "no digits to compare."
    )


def largest(distances: dict[str, tuple[float, int]]) -> tuple[float, str, int]:
    """The largest of several distances, of what, and its step: of infinite ones, the first."""
    found = [(size, name, step) for name, (size, step) in distances.items()]
    return max(found, key=lambda each: (each[0], -each[2]), default=(0.0, "prices", 0))


BREAKS_DOWN = "breaks down"
"""The distance from a path that ends in no numbers."""


def distance_text(distance: float) -> str:
    """A relative distance by its order of magnitude, or that there is none."""
    return format_error(distance) if math.isfinite(distance) else BREAKS_DOWN


def optimiser_sentence(result: Result) -> str:
    """Which optimiser a run is identical to, and what measures it; empty if there is none."""
    from market_abm.twins.registry import has_twin, textbook_of, twin_of

    experiment = result.experiment
    economy, market = experiment.economy, experiment.market
    if experiment.changes or not has_twin(economy, market):
        return ""
    twin, textbook = twin_of(market), textbook_of(market).name
    where = f" {twin.where}" if twin.where else ""
    also = "" if textbook == twin.name else f", and the distance from the textbook's {textbook}"
    return f"The market is {twin.name}{where}: market-abm compare measures that{also}."


def textbook_sentence(comparison: OptimizerComparison) -> str:
    """How far the path is from the textbook's optimiser."""
    size, name, step = largest(comparison.textbook_distances)
    textbook = f"The textbook's {comparison.textbook_name}"
    if not size < float("inf"):
        return f"{textbook} breaks down at step {step:,}, where its {name} are no numbers."
    return f"{textbook} is at most {format_error(size)} away ({name}, step {step:,})."


def dates_sentence(comparison: OptimizerComparison) -> str:
    """How far prices are from gradients of one date."""
    if comparison.mixed_dates is None:
        return ""
    size, good, step = comparison.mixed_dates
    if size < SAME_DATES:
        return "Every price is a gradient of the program, as it was some steps before."
    distance = format_share(size) if size >= SMALLEST_SHARE else f"{format_error(size)} (relative)"
    return (
        "A price is a product of slopes of different dates: at most "
        f"{distance} from the gradient of goods as they travel ({good}, step {step:,})."
    )


def budget_sentences(comparison: OptimizerComparison) -> list[str]:
    """Which optimiser used up its budget, and when."""
    both = {"twin": comparison.twin, "textbook's optimiser": comparison.textbook}
    return [
        f"The budget of the {name} was used up: steps after {path.steps:,} are not compared."
        for name, path in both.items()
        if not path.complete
    ]


IDENTICAL = 1e-7
"""A larger distance than differences of a potential at its kinks explain."""

SAME_DATES = 1e-12
"""Smaller differences of a price from a gradient are rounding."""

SMALLEST_SHARE = 0.005
"""Smaller distances are no percentage."""

DISTANCE_NOTE = "Distances are relative to the largest value of each price, quantity or share."


def mechanisms_line(comparison: MechanismComparison) -> str:
    """A comparison of mechanisms in one line."""
    name = comparison.experiment.name
    return f"<MechanismComparison of {', '.join(comparison.results)} in {name}>"


MECHANISM_LABELS = {
    "wasted": "unallocated",
    "money_made": "budget imbalance",
    "needed": "steps needed, about",
}
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


def unsettled(table: pd.DataFrame) -> list[str]:
    """Why mechanisms were refused or did not settle, and how many steps they would have needed."""
    found = []
    for name, row in table.iterrows():
        if isinstance(row.get("why"), str):
            found.append(f"{name}: {row['why']}{needed_text(row.get('needed'))}")
    return found


def needed_text(steps: float | None) -> str:
    """How many steps a run would need that is out of steps; "" if unknown."""
    if steps is None or math.isnan(steps):
        return ""
    about = float(f"{steps:.2g}")
    return f"; at the rate of its last steps it would need about {about:,.0f}"


def limits(comparison: MechanismComparison) -> list[str]:
    """What a comparison of mechanisms left out, for its budget, and what its welfare is of."""
    from market_abm.gradient.landscape import MAX_LINES, MAX_STEPS
    from market_abm.market.mechanisms.registry import MECHANISMS
    from market_abm.studies.budget import MAX_FIRM_STEPS
    from market_abm.studies.comparisons import ASCENT

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
    if comparison.ascent is not None and not comparison.ascent.complete:
        needed = needed_text(comparison.table()["needed"].get(ASCENT))
        notes.append(
            f"Gradient ascent ended after {len(comparison.ascent.welfare) - 1:,} steps: "
            f"its budget is {MAX_STEPS:,} steps, and {MAX_LINES:,} evaluations of a line{needed}."
        )
    return notes


SAME_ECONOMY = "the same economy under several mechanisms"
