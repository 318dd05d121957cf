"""Sentences about experiments and runs."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from market_abm.analysis.measures import MEASURES, Measure
from market_abm.market.dating import Dates
from market_abm.views.numbers import (
    format_count,
    format_error,
    format_fixed,
    format_plain,
    format_share,
)
from market_abm.views.words.comparison import optimiser_sentence
from market_abm.views.words.derivation import OFF_REST
from market_abm.views.words.experiment import table_notes
from market_abm.views.words.families import loss_sentence
from market_abm.views.words.households import household_sentences
from market_abm.views.words.kinks import kink_sentence
from market_abm.views.words.optimum import optimum_sentence, rest_sentence, welfare_text
from market_abm.views.words.own_rates import own_rates_sentences
from market_abm.views.words.rotation import rotation_sentence
from market_abm.views.words.shock import shock_sentences
from market_abm.views.words.stability import stability_sentence
from market_abm.views.words.taxes import tax_sentences
from market_abm.views.words.text import loss_text, sentence
from market_abm.views.words.weights import weights_sentences

if TYPE_CHECKING:
    from market_abm.economy.families import Family
    from market_abm.runs.crossings import Crossing
    from market_abm.runs.result import Result

MAX_CROSSINGS = 3
"""Branches left that are reported."""

MAX_LOSSES = 5
"""Industries whose losses are reported."""


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
        *filter(None, [numeraire_sentence(result), crossing_sentence(result.crossings)]),
        *filter(None, [kink_sentence(result)]),
        *observed_sentences(result),
        *filter(None, [date_sentence(result)]),
        *shock_sentences(result),
        *own_rates_sentences(result),
        *household_sentences(result),
        measures_sentence(result),
        *weights_sentences(result),
        *tax_sentences(result.taxes),
        optimum_sentence(result),
        *filter(None, [rest_sentence(result)]),
        *loss_sentences(result),
        *filter(None, [stability_sentence(result), rotation_sentence(result), optimiser]),
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


def date_sentence(result: Result) -> str:
    """How old the dates of dated prices are, where they differ: a series moves on."""
    economy = result.experiment.economy
    if not result.experiment.market.dated or result.steps >= economy.moves_until:
        return ""
    oldest = int(Dates.of(economy).priced.max())
    return (
        f"Each price is of the date that it pays for, up to {format_count(oldest, 'step')} ago, "
        "and errors compare it with the gradient of now."
    )


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
    if result.weights is not None:
        share = format_share(value)
        return f"welfare at the weights of the moment rose in {share} of the steps that changed it"
    return f"welfare rose in {format_share(value)} of the steps that changed it"


_WORDINGS: dict[str, Callable[[float, Result], str]] = {
    "alignment": _alignment,
    "staleness": _staleness,
    "uphill_share": _ascent,
}
"""Measures with a wording of their own, by key; any other is its label, number and unit."""

_REPORTED = {
    *("error", "welfare", "rate", "rate_uncertainty"),
    *("gain", "gain_fraction", "reweighting", "gradient_share"),
    *("tax_revenue", "deadweight_loss"),
}
"""Measures in other sentences: of the ending, the optimum, stability and weights."""


def numeraire_sentence(result: Result) -> str:
    """In what unit prices are, if that is not money."""
    good = result.economy.numeraire
    if not good:
        return ""
    return (
        f"Prices and gradients are in units of {good}, each at its own. The sentence above is of "
        "prices in money, in which the market trades."
    )


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
