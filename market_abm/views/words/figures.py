"""Titles, notes and legends of figures, of films and of the terminal's charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from market_abm.views.numbers import (
    format_error,
    format_fixed,
    format_label,
    format_number,
    format_plain,
)
from market_abm.views.words.comparison import SAME_ECONOMY
from market_abm.views.words.text import ARROWS, changes_text, status_counts, status_text

if TYPE_CHECKING:
    from market_abm.runs.result import Result


# --- convergence ----------------------------------------------------------------------------------


def convergence_title(result: Result, *, errors_only: bool, predicted: bool) -> str:
    """How a run ended, its rates, and what is drawn.

    Parameters
    ----------
    result
        The run.
    errors_only, predicted
        What is drawn: errors without prices, and predictions.
    """
    experiment = result.experiment
    market = experiment.market
    rates = [
        f"{key.replace('_', ' ')} {format_plain(getattr(market, key))}"
        for key in market.rules.rates
    ]
    shown = (
        "distance of each price from its exact gradient"
        if errors_only
        else "prices (coloured) and the exact gradients (dashed)"
    )
    return (
        f"{experiment.name}: {status_text(result.status)} at step {result.ending.step} "
        f"({market.mechanism}, {market.activation}, {', '.join(rates)})\n"
        + shown
        + ("; crosses: what theory predicts" if predicted else "")
        + ("; dotted lines: shocks" if experiment.changes else "")
    )


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


def network_note(*, labelled: bool) -> str:
    """What is drawn of a small network."""
    labels = " (blue: units in the batch now on sale; orange: bids)" if labelled else ""
    return f"{ARROWS}, prices against them{labels}"


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


# --- shocks ---------------------------------------------------------------------------------------


def shock_title(name: str, shocks: Sequence[Mapping[str, Any]]) -> str:
    """The shocks of an experiment."""
    texts = [f"{changes_text(each)} from step {each['step']} on" for each in shocks]
    return f"{name}: {'; '.join(texts) or 'a shock'}"


def shock_note(shown: int, total: int) -> str:
    """What is drawn after a shock, of how many goods."""
    which = f"; the {shown} of {total} that change most" if shown < total else ""
    return f"change of each price against the step before{which}"


# --- comparisons, sweeps and phase planes ---------------------------------------------------------


def optimizer_title(name: str, mechanism: str, twin: str, distance: float, steps: int) -> str:
    """A market and its twin, and the largest distance between them."""
    return (
        f"{name}: {mechanism} (coloured) and its twin, {twin} (dashed)\n"
        f"largest distance {format_error(distance)} in {steps} steps"
    )


CONTOURS_TITLE = "welfare (light: high), the path, and the optimum (star)"


def mechanisms_title(name: str) -> str:
    """Which experiment is run under several mechanisms."""
    return f"{name}: {SAME_ECONOMY}"


STATUS_LABELS = {
    "converged": "converged",
    "max_steps": "out of steps, not oscillating",
    "oscillating": "oscillating",
    "diverged": "diverged",
    "failed": "failed (see the table)",
}
"""How runs ended, as the legend of a sweep's figure."""

PREDICTED_BOUNDARY = "predicted boundary"
PREDICTED_OR_OPTIMUM = "predicted; optimum"


def sweep_title(name: str, counts: Mapping[Any, int], runs: int) -> str:
    """How many runs a sweep has, and how they ended."""
    return f"{name}: {runs:,} runs ({status_counts(counts)})"


def plane_title(networks: int, runs: int) -> str:
    """What the numbers in a phase plane count."""
    return (
        f"How many of {networks} random networks return to equilibrium ({runs:,} runs); "
        "dashed: the predicted edge near it"
    )


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
