"""Titles, notes and legends of figures, of films and of the terminal's charts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from market_abm.market.foresight import foresight_of
from market_abm.views.numbers import (
    format_error,
    format_fixed,
    format_label,
    format_number,
    format_plain,
    format_power_of_ten,
)
from market_abm.views.words.comparison import SAME_ECONOMY, largest
from market_abm.views.words.lines import shortened
from market_abm.views.words.text import ARROWS, LIGHT_IS_HIGH, status_counts, status_text

if TYPE_CHECKING:
    from market_abm.economy.economy import Economy
    from market_abm.runs.result import Result
    from market_abm.studies.optimizers import OptimizerComparison


NO_FONT = (
    "Figures show boxes in the place of letters that no font of this machine has; "
    "install a font that has them, such as Noto Sans CJK."
)
"""That a figure's text cannot be drawn in full."""


# --- convergence ----------------------------------------------------------------------------------

PRICE_LABEL = "money per unit"


def price_label(economy: Economy | None) -> str:
    """The unit of prices: money, or the numeraire, per unit."""
    good = None if economy is None else economy.numeraire
    return PRICE_LABEL if good is None else f"{good} per unit"


def convergence_title(result: Result) -> str:
    """How a run ended, and its rates."""
    experiment = result.experiment
    market = experiment.market
    rates = [
        f"{key.replace('_', ' ')} {format_plain(getattr(market, key))}"
        for key in market.rules.rates
    ]
    devices = dataclasses.asdict(foresight_of(market)).items()
    rates += [f"{key.replace('_', ' ')} {format_plain(value)}" for key, value in devices if value]
    how = ", ".join([market.mechanism, market.activation, *rates])
    status = f"{status_text(result.status)} at step {result.ending.step}"
    return f"{shortened(experiment.name, 40)}: {status} ({how})"


PRICE, EXACT_GRADIENT, PREDICTED, SHOCK = "price", "exact gradient", "predicted by theory", "shock"
"""What lines and marks of a figure of prices mean."""


def step_label(shown: float, total: float, *, passed_over: bool = False) -> str:
    """The label of an axis of steps: how many are shown, and what lines pass over."""
    notes = [f"the first {shown:,.0f} of {total:,.0f}"] if shown < total else []
    notes += ["lines pass over steps at which a price is exact"] if passed_over else []
    return f"step ({'; '.join(notes)})" if notes else "step"


LARGEST_ERROR = "largest error of all"
GRADIENT_AND_TOLERANCE = "gradient, tolerance"
"""Legends of the terminal's charts."""

OTHER_GOODS = "the other goods"


def of_all(what: str, count: int) -> str:
    """A statistic of the errors of all goods: largest of all 12."""
    return f"{what} of all {count}"


def largest_industries(count: int) -> str:
    """Which industries are drawn, or named."""
    return f"the {count} industries with the largest sales"


def predicted_rate(rate: float) -> str:
    """The label of a line as steep as the predicted rate."""
    return f"theory: × {format_label(rate)} per step"


def error_curve_title(*, each: bool, tolerance: bool) -> str:
    """What a notebook draws of a run: the largest error, and each good's and the tolerance."""
    return (
        f"largest error of a price{', and each good’s' if each else ''}"
        f"{'; dotted: the tolerance' if tolerance else ''}"
    )


def error_curve_text(steps: int, first: float, last: float) -> str:
    """The same drawing in words."""
    return (
        f"The largest error of a price over {steps:,} steps: "
        f"at first {format_number(first, 2)}, at the end {format_number(last, 2)}"
    )


# --- networks -------------------------------------------------------------------------------------


def network_note(*, labelled: bool, households: bool) -> str:
    """What is drawn of a small network."""
    labels = " (blue: units in the batch now on sale; orange: bids)" if labelled else ""
    of_households = "\npink: households; they spend what they earn" if households else ""
    return f"{ARROWS}, prices against them{labels}{of_households}"


def flows_title(title: str, goods: int, flows: int, part: float) -> str:
    """Which part of a large network is drawn, ``part`` of its payments."""
    return (
        f"{title}: {largest_industries(goods)}, and the {flows} largest flows between them\n"
        f"drawn: {format_fixed(100.0 * part, 1)} % of all that industries pay to other industries"
    )


def flows_note(tolerance: float | None) -> str:
    """What is drawn of a large network; ``tolerance`` if all errors are smaller."""
    colours = (
        ";\ncolour: how far the price is from its exact gradient"
        if tolerance is None
        else f"; every price is within {format_label(tolerance)} of its exact gradient"
    )
    return f"{ARROWS} (width: what is paid for them); area of a disc: sales{colours}"


# --- comparisons, sweeps and phase planes ---------------------------------------------------------


TEXTBOOK_LABEL = "textbook"
"""The distance from the textbook's optimiser."""


def optimizer_title(name: str, comparison: OptimizerComparison) -> str:
    """A market and its twin, and the largest distances from it and from the textbook."""
    mechanism = comparison.result.experiment.market.mechanism
    worst, _, _ = largest(comparison.distances)
    away, _, step = largest(comparison.textbook_distances)
    title = (
        f"{name}: {mechanism} (coloured) and its twin, {comparison.twin_name} (dashed)\n"
        f"largest distance {format_error(worst)} up to step {comparison.identical_until:,}"
    )
    if comparison.textbook_name == comparison.twin_name:
        return title
    if not np.isfinite(away):
        return f"{title}; the textbook's {comparison.textbook_name} breaks down at step {step:,}"
    return f"{title}; from the textbook's {comparison.textbook_name} {format_error(away)}"


FEWEST_STEPS = "Which mechanism reaches the optimum in the fewest steps?"


def does_it_follow(mechanism: str, twin: str) -> str:
    """The question that a comparison of a market with its twin answers."""
    return f"Does {mechanism} follow {twin}?"


ROUNDING_BAND = "rounding"
"""The label of the distances that are rounding."""

IDENTICAL_UNTIL = "identical until"
"""The label of the last step up to which a market is its twin."""

WELFARE_GAP = "|best known − welfare| ÷ |best known|,\nnow or later"
"""The label of an axis: the largest distance from a step on."""


def within(distance: float) -> str:
    """The label of the line below which a path has arrived."""
    return f"within {format_power_of_ten(distance)} from the dot on"


CONTOURS_TITLE = f"welfare ({LIGHT_IS_HIGH}), the path, and the best known allocation (star)"


def mechanisms_title(name: str) -> str:
    """Which experiment is run under several mechanisms."""
    return f"{name}: {SAME_ECONOMY}"


STATUS_LABELS = {
    "converged": "converged",
    "off_gradient": "at rest, off the gradient",
    "max_steps": "out of steps, not oscillating",
    "oscillating": "oscillating",
    "diverged": "diverged",
    "failed": "failed (see the table)",
}
"""How runs ended, as the legend of a sweep's figure."""

PREDICTED_BOUNDARY = "predicted boundary"
PREDICTED_OR_OPTIMUM, OPTIMUM = "predicted rate; best known", "best known"
MEASURED = "measured"


def price_of(good: str) -> str:
    """The label of an axis of one price."""
    return f"price of {good} at the end"


def final_error(error: str) -> str:
    """The label of an axis of errors at the end of runs."""
    return f"{error} at the end"


def sweep_title(name: str, counts: Mapping[Any, int], runs: int) -> str:
    """How many runs a sweep has, and how they ended."""
    return f"{name}: {runs:,} runs ({status_counts(counts)})"


WHERE_IT_RETURNS = "At which rates do networks return to their equilibrium?"

PREDICTED_EDGE = "predicted edge, near the equilibrium"


def plane_title(networks: int, runs: int) -> str:
    """What the numbers in a phase plane count."""
    return f"numbers: how many of {networks} random networks return ({runs:,} runs)"


def plane_panel(elasticity: float, converged: float, cells: int) -> str:
    """An elasticity of substitution, and how many cells return to equilibrium."""
    return f"σ = {format_plain(elasticity)}:  {format_fixed(converged, 1)} of {cells} cells"


# --- films ----------------------------------------------------------------------------------------

FILM_GOODS = "goods, to who uses them"
FILM_PRICES = "price signals, to who makes the good"
FILM_ERRORS = "price off by"
FILM_ERROR_STEPS = {1.0: "100%", 0.1: "10%", 1e-2: "1%", 1e-3: "0.1% or less"}
"""Relative errors whose colours a film explains."""


def film_title(name: str, step: int, market: str, *, abbreviated: bool) -> str:
    """The step that a film shows; ``market`` is its mechanism and activation."""
    letters = "; p: price, g: gradient" if abbreviated else ""
    return f"{name}: step {step} ({market}{letters})"


def film_error_note(label: str) -> str:
    """What the error panel of a film draws on an axis of this label."""
    return f"error, {label}: of each good (grey), and the largest (black)"
