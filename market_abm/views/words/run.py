"""Sentences about experiments and runs."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from market_abm.analysis.measures import MEASURES, Measure
from market_abm.analysis.observer import relative_error
from market_abm.gradient.optimality import Kind
from market_abm.runs.families import shown_families
from market_abm.runs.optimum import rest_summary
from market_abm.views.numbers import (
    format_count,
    format_error,
    format_fixed,
    format_plain,
    format_share,
)
from market_abm.views.words.comparison import optimiser_sentence
from market_abm.views.words.derivation import OFF_REST
from market_abm.views.words.families import family_texts, loss_sentence
from market_abm.views.words.kinks import kink_sentence
from market_abm.views.words.own_rates import own_rates_sentences
from market_abm.views.words.shock import shock_sentences
from market_abm.views.words.stability import stability_sentence
from market_abm.views.words.text import loss_text, sentence

if TYPE_CHECKING:
    from market_abm.economy.economy import Economy
    from market_abm.economy.families import Family
    from market_abm.experiment.experiment import Experiment
    from market_abm.runs.crossings import Crossing
    from market_abm.runs.result import Result

MAX_CROSSINGS = 3
"""Branches left that are reported."""

MAX_LOSSES = 5
"""Industries whose losses are reported."""


# --- experiments ----------------------------------------------------------------------------------


def experiment_line(experiment: Experiment) -> str:
    """An experiment in one line."""
    return (
        f"<Experiment {experiment.name}: {experiment.market.mechanism}, "
        f"{format_count(len(experiment.economy.industries), 'industry', 'industries')}, "
        f"at most {format_count(experiment.run.steps, 'step')}>"
    )


def experiment_lines(experiment: Experiment) -> list[str]:
    """That an experiment is valid, and what its economy consists of."""
    economy = experiment.economy
    loops = [
        " <-> ".join(industry.good for industry in component)
        for component in economy.components
        if economy.is_loop(component)
    ]
    listed = family_texts if shown_families(economy) else ", ".join
    groups: dict[str, str] = {
        "raw goods": listed(economy.supply),
        "industries": listed([industry.good for industry in economy.topological_order]),
        "final goods": listed(economy.demand),
        "loops": ", ".join(loops),
    }
    return [
        f"{experiment.name}: valid",
        *(f"  {group}: {names}" for group, names in groups.items() if names),
        f"  firms: {sum(industry.firms for industry in economy.topological_order)}",
        *(f"  {note}" for note in (*table_notes(experiment), *branch_notes(economy))),
    ]


def branch_notes(economy: Economy) -> list[str]:
    """How many comparisons decided the lines of a traced function, if any did."""
    count = len(economy.conditions)
    return [f"branches of the starting quantities: {count:,}"] if count else []


def table_notes(experiment: Experiment) -> list[str]:
    """What was changed in the input-output table of an experiment, if there is one."""
    table = experiment.input_output
    return [] if table is None else list(filter(None, [table.moved_note()]))


# --- a run ----------------------------------------------------------------------------------------


def run_line(result: Result) -> str:
    """A run in one line."""
    with np.errstate(all="ignore"):
        error = float(result.last_errors.max())
    return (
        f"<Result of {result.experiment.name}: {result.status} at step {result.steps}, "
        f"{format_count(len(result.goods), 'good')}, largest error {format_error(error)}>"
    )


def run_sentences(result: Result) -> list[str]:
    """How a run ended, its measures, the distance to the optimum, losses and stability."""
    optimiser = "" if _no_competing_buyers(result) else optimiser_sentence(result)
    return [
        ending_sentence(result),
        *filter(None, [crossing_sentence(result.crossings), kink_sentence(result)]),
        *observed_sentences(result),
        *shock_sentences(result),
        *own_rates_sentences(result),
        measures_sentence(result),
        optimum_sentence(result),
        *filter(None, [rest_sentence(result)]),
        *loss_sentences(result),
        *filter(None, [stability_sentence(result), optimiser]),
        *map(sentence, table_notes(result.experiment)),
    ]


def ending_sentence(result: Result) -> str:
    """How a run ended."""
    return sentence(result.ending.detail)


def crossing_sentence(crossings: Sequence[Crossing]) -> str:
    """Which branches of a traced function the market has left; empty if none."""
    if not crossings:
        return ""
    parts = []
    for each in crossings[:MAX_CROSSINGS]:
        file, line = each.condition.where
        change = "no longer holds" if each.condition.holds else "holds now"
        until = "" if each.lasting else ", but not at the end"
        parts.append(
            f"'{each.condition.text}' ({Path(file).name}:{line}) {change} "
            f"at step {each.step:,}{until}"
        )
    more = len(crossings) - len(parts)
    others = f"; and {format_count(more, 'other')}" if more else ""
    return (
        "The market has left a branch of the function, and prices are derivatives of the branch of "
        f"the starting quantities: {'; '.join(parts)}{others}."
    )


def progress_text(
    step: int,
    errors: np.ndarray,
    goods: Sequence[str],
    welfare: float,
    *,
    limit: int | None = None,
    note: str = "",
) -> str:
    """The state of a run in progress: the step, the largest error of a price, welfare.

    Parameters
    ----------
    step
        The step that was made last.
    errors
        |price - gradient| / |gradient|, shape (goods,).
    goods
        Their names.
    welfare
        Total surplus, money a step.
    limit
        The number of steps after which the run ends.
    note
        A remark on the errors.
    """
    worst = int(np.argmax(np.where(np.isnan(errors), np.inf, errors)))
    most = "" if limit is None else f" of at most {limit:,}"
    parts = [f"largest error {format_error(errors[worst])} ({goods[worst]})", note]
    return f"step {step:,}{most}: {'; '.join(filter(None, parts))}; {welfare_text(welfare)}"


def progress_texts(
    step: int, errors: np.ndarray, goods: Sequence[str], welfare: float, *, limit: int
) -> list[str]:
    """:func:`progress_text`, and shorter texts for less room; numbers are whole in all."""
    most = format_error(np.where(np.isnan(errors), np.inf, errors).max())
    return [
        progress_text(step, errors, goods, welfare, limit=limit),
        f"step {step:,} of {limit:,}: error {most}; {welfare_text(welfare)}",
        f"step {step:,} of {limit:,}: error {most}",
        f"step {step:,}: error {most}",
        f"step {step:,}",
    ]


def welfare_text(welfare: float) -> str:
    """Total surplus as words and a number."""
    return f"welfare {format_plain(float(welfare))}"


def measure_label(measure: Measure) -> str:
    """The label of a measure with its unit, as the header of its row."""
    return f"{measure.label}, {measure.unit}" if measure.unit else measure.label


def observed_sentences(result: Result) -> list[str]:
    """What is known of the steps between observations, if there are any."""
    every = result.experiment.run.observe_every
    if every == 1:
        return []
    return [
        f"The gradient was computed every {every:,} steps and at the end (run.observe_every): "
        "first steps and measures are of these steps."
    ]


def measures_sentence(result: Result) -> str:
    """Every measure of a run that no other sentence reports."""
    parts = []
    if _no_competing_buyers(result):
        parts.append("no good has competing buyers, so quantities are fixed")
    for measure in MEASURES:
        value = None if measure.key in _REPORTED else measure.of(result)
        if value is not None:
            wording = _WORDINGS.get(measure.key)
            parts.append(wording(value, result) if wording else measure_text(measure, value))
        elif measure.key == "staleness" and result.path.tracking[1]:
            parts.append("no price follows its gradient at a constant lag")
    return sentence("; ".join(parts) or "nothing changed")


def measure_text(measure: Measure, value: float) -> str:
    """A measure by its label, number and unit."""
    return f"{measure.label} {format_plain(value)} {measure.unit}".rstrip()


def _no_competing_buyers(result: Result) -> bool:
    """Whether prices are formed by bids, and no good has several buyers to bid for it."""
    free = result.economy.buyers.shared_pools or np.isfinite(result.path.alignment).any()
    return result.experiment.market.rules.bids_form_prices and not free


def _alignment(value: float, result: Result) -> str:
    target = result.experiment.market.rules.alignment_target
    return f"mean alignment with the {target} {format_fixed(value, 3)}"


def _staleness(value: float, result: Result) -> str:
    few, moving = result.path.tracking
    steps = "1 step" if value == 1.0 else f"{format_plain(round(value, 1))} steps"
    if few == moving:
        return f"prices lag their gradients by {steps} on average"
    return f"{few} of {moving} prices follow their gradients, {steps} behind on average"


def _ascent(value: float, result: Result) -> str:
    return f"welfare rose in {format_share(value)} of the steps that changed it"


_WORDINGS: dict[str, Callable[[float, Result], str]] = {
    "alignment": _alignment,
    "staleness": _staleness,
    "uphill_share": _ascent,
}
"""Measures with a wording of their own, by key; any other is its label, number and unit."""

_REPORTED = {"error", "welfare", "rate", "rate_uncertainty"}
"""Measures in other sentences: of the ending, the optimum and stability."""


def optimum_sentence(result: Result) -> str:
    """How far prices and quantities ended from the best known allocation."""
    distance, best = result.distance(), result.equilibrium
    if distance is None and result.steady_state_prices is not None and result.status != "diverged":
        prices = format_error(relative_error(result.last.prices, result.steady_state_prices).max())
        return f"Distance to the steady state (closed form): prices {prices} (relative)."
    if distance is None or best is None:
        first, last = (format_plain(result.path.welfare[k]) for k in (0, -1))
        return (
            f"The optimum was not computed: {optimum_unknown()}. Welfare was {first} at the start "
            f"and is {last}."
        )
    if not distance["solved"]:
        return sentence(no_optimum(distance["kind"], complete=distance["complete"]))
    welfare = format_plain(distance["best_welfare"])
    name = optimum_name(distance["kind"])
    source = f" ({optimum_source(distance)})"
    if result.status == "diverged":
        return f"Welfare at the {name}{source}: {welfare}."
    return (
        f"Distance to the {name}{source}: prices {format_error(distance['prices'])}, "
        f"quantities {format_error(distance['quantities'])} (relative); "
        f"{welfare_text(result.path.welfare[-1])} of {welfare}{_of_plans(result)}."
    )


def _of_plans(result: Result) -> str:
    """Why welfare may exceed the optimum, where plans are made and no goods are traded."""
    plans = not result.experiment.market.rules.trades and not result.at_rest
    return " (of plans that need not be possible together)" if plans else ""


def optimum_name(kind: Any) -> str:
    """What to call an allocation of this kind (a value of ``Kind``): the optimum, if it is certain.

    Where it is only the best of several, or older results do not say, it is the best known one.
    """
    return "optimum" if kind == Kind.GLOBAL_MAXIMUM.value else "best known allocation"


def optimum_source(distance: Mapping[str, Any]) -> str:
    """How the allocation was found, and, unless it is certain that it is the best, what it is."""
    if distance["kind"] == Kind.GLOBAL_MAXIMUM.value:
        return "Newton's method"
    ended = "" if distance["complete"] else ", when the budget of the search was used up"
    return f"Newton's method: a {distance['kind']}, the best of {distance['starts']} starts{ended}"


def no_optimum(kind: str, *, complete: bool) -> str:
    """Why a search found no optimum."""
    if kind == Kind.UNBOUNDED.value:
        return "there is no optimum: welfare grows beyond any bound that was tried"
    if not complete:
        return "no optimum was found within the budget of the search"
    return "no optimum was found"


def rest_sentence(result: Result) -> str:
    """What the allocation is at which the market rests; empty if it is the optimum, or unknown."""
    rest = rest_summary(result.rest, result.equilibrium)
    if rest is None or rest["kind"] == Kind.UNKNOWN.value:
        return ""
    known = result.equilibrium is not None and result.equilibrium.solved
    if rest["kind"] == Kind.GLOBAL_MAXIMUM.value and known:
        return ""
    return sentence(rest_text(rest))


def rest_text(rest: Mapping[str, Any]) -> str:
    """What the allocation is at which the market rests."""
    text = {
        Kind.GLOBAL_MAXIMUM.value: "the market rests at the maximum of welfare",
        Kind.LOCAL_MAXIMUM.value: "the market rests at a local maximum of welfare",
        Kind.SADDLE.value: "the market rests at a saddle point of welfare, which rises along some "
        "changes of the allocation and falls along others",
        Kind.MINIMUM.value: "the market rests at a local minimum of welfare, which any small "
        "change of the allocation raises",
        Kind.NOT_STATIONARY.value: "where the market rests, welfare could still be raised by small "
        "changes of the allocation",
    }.get(rest["kind"], f"what the allocation is at which the market rests is {rest['kind']}")
    better = rest.get("better_known")
    return f"{text}; a better allocation is known" if better else text


def optimum_unknown() -> str:
    """Why there is no optimum to compare with."""
    from market_abm.gradient.equilibrium import MAX_VARIABLES

    return f"more than {MAX_VARIABLES} free variables, or numbers beyond what a solver can handle"


def optimum_distance(kind: Any) -> str:
    """The label of the distance to the best allocation."""
    return f"distance to the {optimum_name(kind)}, relative"


def loss_sentences(result: Result) -> list[str]:
    """Which industries make losses at the prices of the last step, :data:`MAX_LOSSES` at most."""
    accounts = result.accounts()
    active = accounts["revenue"] > 1e-9 * accounts["revenue"].max()
    losses = -accounts[active & (accounts["margin"] < -1e-6)]["margin"]
    if result.families:
        return _losses_of_families(result.families, losses.to_dict())
    return [
        f"Producers of {good} make losses: {loss_text(loss)} of their revenue."
        for good, loss in itertools.islice(losses.items(), MAX_LOSSES)
    ]


def _losses_of_families(families: Iterable[Family], losses: Mapping[str, float]) -> list[str]:
    """A sentence for each family with losses, :data:`MAX_LOSSES` at most."""
    found = []
    for family in families:
        own = [losses[good] for good in family.goods if good in losses]
        if own:
            found.append(loss_sentence(family, len(own), loss_text(max(own))))
    return found[:MAX_LOSSES]


def largest_note(shown: int, total: int) -> str:
    """That a table has the goods with the largest sales only, of how many."""
    return f"The {shown} goods with the largest sales, of {total:,}."


def largest_industries_note(result: Result, shown: int, files: str) -> str:
    """That a table has the first of ``Result.largest`` only, and which files have all goods."""
    some = len(result.largest) < len(result.economy.topological_order)
    but = ", final goods left out" if some else ""
    rest = f"; all {len(result.goods):,} goods are in {files}" if files else ""
    return f"The {shown} industries with the largest sales{but}{rest}."


def explanation_note(result: Result) -> str:
    """Of which step the numbers of a derivation are, and of what if the market is not at rest."""
    note = f"Prices are those of the market: {result.ending.detail}."
    return note if result.at_rest else f"{note} {OFF_REST}"
