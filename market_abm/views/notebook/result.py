"""Experiments, runs and comparisons as a notebook shows them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from market_abm.views.notebook.economy import counted, economy_parts
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
from market_abm.views.numbers import format_error

if TYPE_CHECKING:
    from market_abm.experiment.experiment import Experiment
    from market_abm.runs.result import Result
    from market_abm.studies.comparisons import MechanismComparison, OptimizerComparison

MAX_GOODS = 10
"""Goods in the table of a run; of more, those with the largest sales."""


MAX_BUYERS = 60
"""Buyers up to which the best allocation is worked out for who only looks."""


MAX_NUMBERS = 200_000
"""Prices on record up to which lags are tried for who only looks."""


MAX_SHOCKS = 8
"""Shocks that are listed."""


STATUS = {
    "converged": "✓",
    "max_steps": "…",
    "oscillating": "~",
    "diverged": "✗",
    "interrupted": "…",
}
"""A mark for how a run ended."""


ALWAYS = {"market": ("mechanism",), "run": ("engine", "steps", "tolerance", "seed")}
"""Settings that are shown whatever they are; of others, those that are not the default."""


ROUNDING = 1e-12
"""A relative distance below which it says nothing at which step it was largest."""


SHORT = {"wasted": 2, "money_made": 2}
"""Digits of what is mostly rounding."""


# --- runs -----------------------------------------------------------------------------------------


def result_text(result: Result) -> str:
    """A run in one line."""
    with np.errstate(all="ignore"):
        error = float(result.last_errors.max())
    return (
        f"<Result of {result.experiment.name}: {result.status} at step {result.steps}, "
        f"{counted(len(result.goods), 'good')}, largest error {format_error(error)}>"
    )


def result_html(result: Result) -> str:
    """How the run ended, prices beside gradients, and how the error came down."""
    experiment = result.experiment
    detail = result.ending.detail
    sentence = f"{detail[:1].upper()}{detail[1:]}."
    with np.errstate(all="ignore"):  # it may have diverged
        return block(
            heading(experiment.name, experiment.question),
            paragraph(f"{STATUS[result.status]} {sentence}"),
            _prices(result),
            error_drawing(result),
            facts(_measures(result)),
        )


def _prices(result: Result) -> str:
    """Quantity, price, gradient and error at the last step, of the goods that most is sold of."""
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
    more = len(goods) - len(rows)
    return table(("good", "quantity", "price", "gradient", "error"), rows) + note(
        f"the {len(rows)} of {len(goods):,} goods with the largest sales" if more else ""
    )


def _measures(result: Result) -> Iterable[tuple[str, Cell]]:
    """What there is to say without long computations."""
    path, trajectory = result.path, result.trajectory
    alignment = path.alignment[np.isfinite(path.alignment)]
    if alignment.size:
        yield "alignment with the gradient, on average", data(alignment.mean(), 4)
    if trajectory.prices.size <= MAX_NUMBERS and np.isfinite(path.overall_staleness):
        yield "staleness of prices, steps", data(path.overall_staleness)
    if result.experiment.economy.buyers.size <= MAX_BUYERS or "equilibrium" in vars(result):
        away = result.distance()
        if away is not None and away["solved"]:
            yield (
                "welfare",
                Markup(
                    f"{data(path.welfare[-1])} of {data(away['best_welfare'])}, the best there is"
                ),
            )
            yield (
                "distance from the best, relative",
                Markup(
                    f"prices {data(away['prices'], 2)}, quantities {data(away['quantities'], 2)}"
                ),
            )
            return
    yield "welfare", data(path.welfare[-1])


# --- experiments ----------------------------------------------------------------------------------


def experiment_text(experiment: Experiment) -> str:
    """An experiment in one line."""
    return (
        f"<Experiment {experiment.name}: {experiment.market.mechanism}, "
        f"{counted(len(experiment.economy.industries), 'industry', 'industries')}, "
        f"at most {counted(experiment.run.steps, 'step')}>"
    )


def experiment_html(experiment: Experiment) -> str:
    """The question, the settings that matter, the shocks and the economy."""
    settings: dict[str, Any] = {
        where: getattr(experiment, where) for where in ("market", "run", "record")
    }
    shocks = experiment.configuration.get("shocks") or []
    told: list[tuple[str, Cell]] = [
        (f"{where}.{item.name}", str(getattr(given, item.name)))
        for where, given in settings.items()
        for item in dataclasses.fields(given)
        if item.name in ALWAYS.get(where, ()) or getattr(given, item.name) != item.default
    ]
    told += [(f"shock at step {shock['step']}", _shock(shock)) for shock in shocks[:MAX_SHOCKS]]
    more = len(shocks) - MAX_SHOCKS
    return block(
        heading(experiment.name, experiment.question),
        facts(told),
        note(f"and {counted(more, 'shock')} more" if more > 0 else ""),
        *economy_parts(experiment.economy),
    )


def _shock(shock: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} = {value}" for key, value in shock.items() if key != "step")


# --- comparisons ----------------------------------------------------------------------------------


def beside_text(comparison: OptimizerComparison) -> str:
    """A comparison in one line."""
    return f"<{comparison.result!r} beside its twin>"


def contest_text(contest: MechanismComparison) -> str:
    """A comparison of mechanisms in one line."""
    return f"<MechanismComparison of {', '.join(contest.results)} in {contest.experiment.name}>"


def beside_html(beside: OptimizerComparison) -> str:
    """How far a market and its twin were from each other, and the run of the market."""
    from market_abm.twins.registry import TWINS

    mechanism = beside.result.experiment.market.mechanism
    rows = [
        (what, data(size, 2), step if size > ROUNDING else "mere rounding")
        for what, (size, step) in beside.distances.items()
    ]
    return block(
        heading(mechanism, f"beside its twin, {TWINS[mechanism].name}"),
        table(("largest distance of", "relative", "at step"), rows),
        result_html(beside.result),
    )


def contest_html(contest: MechanismComparison) -> str:
    """What each mechanism needed, and where it ended."""
    told = contest.table()
    words = [column for column in ("status", "why") if column in told]
    numbers = [column for column in told.columns if column not in words]
    rows = [
        (
            str(name),
            *("" if _missing(row[column]) else str(row[column]) for column in words),
            *(
                "" if _missing(row[column]) else data(float(row[column]), SHORT.get(column, 6))
                for column in numbers
            ),
        )
        for name, row in told.iterrows()
    ]
    heads = [column.replace("_", " ") for column in ("mechanism", *words, *numbers)]
    experiment = contest.experiment
    return block(
        heading(experiment.name, experiment.question), table(heads, rows, words=1 + len(words))
    )


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
