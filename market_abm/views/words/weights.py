"""The weights of households, and what moves gain at them, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from market_abm.views.numbers import format_error, format_plain, format_share

if TYPE_CHECKING:
    from market_abm.runs.result import Result

TITLE = "Weights of households"
LABEL = "weight, money per utility"
AXIS = "money per unit of utility"
NOTE = "Weight: what a household spends over Σ x ∂U/∂x; at rest 1 / its marginal utility of income."
EQUILIBRIUM = "in equilibrium"
MOVES_NOTE = (
    "Below: moves of the allocation along the gradient of welfare at the weights before them."
)
GAINS_NOTE = "A move to the top of a parabola gains half of what its slope at the start predicts."
PLANS_NOTE = (
    "Below: moves of prices along the descent of the dual potential, at the weights before them."
)
COSINE = "cosine"
GAIN = "gain over the largest of a move of this size, to first order"
ALONG = "along the gradient"
REPORT_NOTE = f"{NOTE} Dotted: {EQUILIBRIUM}, found without a market."
"""Titles, labels and notes of figures."""


def weights_sentences(result: Result) -> list[str]:
    """How far weights are from the equilibrium's, and what moves gained; none without weights."""
    found = result.weights
    if found is None:
        return []
    if found.distance is None:
        return _gains(result)
    return [
        "Weights of households, 1 / their marginal utility of income, are within "
        f"{format_error(found.distance)} of the equilibrium's (relative).",
        *_gains(result),
    ]


def figure_note(result: Result, most: int) -> str:
    """What the figure shows, and of how many households if there are more than ``most``."""
    count = len(result.economy.households)
    some = f"Of {count} households the first {most} are drawn.\n" if count > most else ""
    if not result.experiment.market.rules.trades:
        return f"{some}{NOTE}\n{PLANS_NOTE}"
    gains = np.isfinite(result.path.gain_fractions).any()
    return f"{some}{NOTE}\n{MOVES_NOTE}{f' {GAINS_NOTE}' if gains else ''}"


def of_equilibrium(name: str) -> str:
    """The line of a household's weight in equilibrium."""
    return f"{name} ({EQUILIBRIUM})"


def _gains(result: Result) -> list[str]:
    """What moves added to welfare at the weights of the moment, and what the weights did.

    Nothing where goods are only planned: prices then descend the dual potential.
    """
    path = result.path
    if not result.experiment.market.rules.trades or not np.isfinite(path.gains).any():
        return []
    gain = float(np.nansum(path.gains))
    gained, changed = (format_plain(each, 4) for each in (abs(gain), np.nansum(path.reweighting)))
    part = abs(path.gain_fraction)
    most = ""
    if np.isfinite(part):
        most = f", {format_share(part)} of the most that moves of their sizes can (to first order)"
    return [
        f"At the weights of the moment moves {'raised' if gain >= 0.0 else 'lowered'} welfare by "
        f"{gained}{most}; the change of "
        f"weights added {changed}."
    ]
