"""Experiments, runs and comparisons as a notebook shows them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from market_abm.analysis.measures import measures_of
from market_abm.views.notebook.economy import economy_parts
from market_abm.views.notebook.errors import error_drawing
from market_abm.views.notebook.pieces import (
    Cell,
    Markup,
    block,
    data,
    facts,
    heading,
    note,
    paragraph,
    shortened,
    table,
)
from market_abm.views.words.comparison import (
    BREAKS_DOWN,
    column_label,
    comparison_sentences,
    twin_text,
)
from market_abm.views.words.households import (
    EARNS,
    FROM,
    ON,
    SPENDS,
    UTILITY,
    WEIGHT,
    named_parts,
    sizeable,
    sources,
)
from market_abm.views.words.optimum import optimum_distance, optimum_name
from market_abm.views.words.run import ending_sentence, largest_note, measure_label
from market_abm.views.words.text import and_more, changes_text

if TYPE_CHECKING:
    from market_abm.experiment.experiment import Experiment
    from market_abm.runs.result import Result
    from market_abm.studies.comparisons import MechanismComparison
    from market_abm.studies.optimizers import OptimizerComparison

MAX_GOODS = 10
"""Goods in the table of a run; of more, those with the largest sales."""

MAX_BUYERS = 60
"""Buyers up to which displaying a run computes its optimum."""

MAX_NUMBERS = 200_000
"""Recorded prices up to which displaying a run computes their staleness."""

MAX_SHOCKS = 8
"""Shocks that are listed."""

STATUS = {
    "converged": "✓",
    "off_gradient": "≠",
    "max_steps": "…",
    "oscillating": "~",
    "diverged": "✗",
    "interrupted": "…",
}
"""A mark for the status of a run."""

ALWAYS = {"market": ("mechanism",), "run": ("engine", "steps", "tolerance", "seed")}
"""Settings that are always shown; others are if they differ from the default."""

ROUNDING = 1e-12
"""A relative distance below which it is rounding, whose step means nothing."""

DIGITS = {"error": 2, "wasted": 2, "money_made": 2}
"""Significant digits of measures and columns that are mostly rounding."""


# --- runs -----------------------------------------------------------------------------------------


def result_html(result: Result) -> str:
    """How the run ended, prices beside gradients, the error over time, and all measures."""
    experiment = result.experiment
    with np.errstate(all="ignore"):  # it may have diverged
        return block(
            heading(experiment.name, experiment.question),
            paragraph(f"{STATUS[result.status]} {ending_sentence(result)}"),
            _prices(result),
            _households(result),
            error_drawing(result),
            facts(_measures(result)),
        )


def _prices(result: Result) -> str:
    """Quantity, price, gradient and error at the last step, of the goods with the largest sales."""
    goods, economy = result.goods, result.experiment.economy
    size = np.nan_to_num(np.abs(result.sales), nan=np.inf)
    shown = np.sort(np.argsort(-size, kind="stable")[:MAX_GOODS])
    columns = (result.last.quantities, result.last.prices, result.last_gradients)
    rows = [
        (
            shortened(economy.label(goods[k]), 48),
            *(column[k] for column in columns),
            data(result.last_errors[k], 2),
        )
        for k in shown
    ]
    all_shown = len(rows) == len(goods)
    return table(("good", "quantity", "price", "gradient", "error"), rows) + note(
        "" if all_shown else largest_note(len(rows), len(goods))
    )


def _households(result: Result) -> str:
    """What those who earn most earn and buy, at the last step; nothing without households."""
    ordered = sorted(result.households.items(), key=lambda each: -np.nan_to_num(each[1].income))
    rows = [
        (
            shortened(name, 48),
            own.utility,
            own.weight,
            own.income,
            named_parts(sources(own)),
            own.spent,
            named_parts(sizeable(own.spending, own)),
        )
        for name, own in ordered[:MAX_GOODS]
    ]
    if not rows:
        return ""
    heads = ("household", UTILITY, WEIGHT, EARNS, FROM, SPENDS, ON)
    return table(heads, rows) + note(and_more(len(ordered) - len(rows), "household"))


def _measures(result: Result) -> Iterable[tuple[str, Cell]]:
    """All measures but those that take long to compute, and the distance to the optimum."""
    few = result.trajectory.prices.size <= MAX_NUMBERS
    small = result.experiment.economy.buyers.size <= MAX_BUYERS or "equilibrium" in vars(result)
    distance = result.distance() if small else None
    optimum = distance if distance is not None and distance["solved"] else None
    for measure in measures_of(result):
        long = measure.of_rest and "rotation" not in vars(result)
        value = None if long or not (few or measure.key != "staleness") else measure.of(result)
        if value is None:
            continue
        shown = data(value, DIGITS.get(measure.key, 6))
        if optimum is not None and measure.key == "welfare":
            name = optimum_name(optimum["kind"])
            shown = Markup(f"{shown}; at the {name} {data(optimum['best_welfare'])}")
        yield measure_label(measure), shown
    if optimum is not None:
        yield (
            optimum_distance(optimum["kind"]),
            Markup(
                f"prices {data(optimum['prices'], 2)}, quantities {data(optimum['quantities'], 2)}"
            ),
        )


# --- experiments ----------------------------------------------------------------------------------


def experiment_html(experiment: Experiment) -> str:
    """The question, the relevant settings, the shocks and the economy."""
    tables: dict[str, Any] = {
        name: getattr(experiment, name) for name in ("market", "run", "record")
    }
    shocks = experiment.configuration.get("shocks") or []
    shown: list[tuple[str, Cell]] = [
        (f"{name}.{key.name}", str(getattr(settings, key.name)))
        for name, settings in tables.items()
        for key in dataclasses.fields(settings)
        if key.name in ALWAYS.get(name, ())
        or getattr(settings, key.name) != getattr(type(settings)(), key.name)
    ]
    shown += [
        (f"shock at step {shock['step']}", changes_text(shock)) for shock in shocks[:MAX_SHOCKS]
    ]
    more = len(shocks) - MAX_SHOCKS
    return block(
        heading(experiment.name, experiment.question),
        facts(shown),
        note(and_more(more, "shock")),
        *economy_parts(experiment.economy),
    )


# --- comparisons ----------------------------------------------------------------------------------


def comparison_html(comparison: OptimizerComparison) -> str:
    """The largest distances between a market and its twin, and the run of the market."""
    rows = [
        (
            name,
            data(size, 2),
            step if size > ROUNDING else "rounding",
            data(far, 2) if math.isfinite(far) else BREAKS_DOWN,
            when,
        )
        for name, (size, step) in comparison.distances.items()
        for far, when in [comparison.textbook_distances[name]]
    ]
    result = comparison.result
    return block(
        heading(twin_text(result.experiment.market.mechanism, comparison.twin_name)),
        table(("largest distance of", "twin", "at step", "textbook", "at step"), rows),
        *(note(each) for each in comparison_sentences(comparison)),
        result_html(result),
    )


def mechanisms_html(comparison: MechanismComparison) -> str:
    """A row a mechanism: status, steps, messages, welfare and what is not conserved."""
    frame = comparison.table()
    texts = [column for column in ("status", "why") if column in frame]
    numbers = [column for column in frame.columns if column not in texts]
    rows = [
        (
            str(name),
            *("" if _missing(row[column]) else str(row[column]) for column in texts),
            *(
                "" if _missing(row[column]) else data(float(row[column]), DIGITS.get(column, 6))
                for column in numbers
            ),
        )
        for name, row in frame.iterrows()
    ]
    headers = [column_label(column) for column in ("mechanism", *texts, *numbers)]
    experiment = comparison.experiment
    return block(
        heading(experiment.name, experiment.question), table(headers, rows, words=1 + len(texts))
    )


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
