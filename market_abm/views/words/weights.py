"""The weights of households, and what moves gain at them, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from market_abm.views.numbers import format_error, format_plain, format_share

if TYPE_CHECKING:
    from market_abm.runs.result import Result

TITLE = "Weights of households"
LABEL = "weight, money per utility"
NOTE = "Weight: what a household spends over Σ x ∂U/∂x; at rest 1 / its marginal utility of income."
EQUILIBRIUM = "in equilibrium"
FIGURE_NOTE = (
    f"{NOTE}\nBelow: moves of the allocation along the gradient of welfare at the weights before "
    "them. A move to the top of a parabola gains half of what its slope at the start predicts."
)
COSINE = "cosine"
GAIN = "gain over the largest of a move of this size, to first order"
ALONG = "along the gradient"
"""Titles and labels of figures."""

MAX_NAMES = 6
"""Households whose weights a sentence has."""


def weights_sentences(result: Result) -> list[str]:
    """The weights at the end, those of the equilibrium, and what moves gained; none without."""
    found = result.weights
    if found is None:
        return []
    shown = list(zip(found.households, found.last, strict=True))[:MAX_NAMES]
    parts = [f"{name} {format_plain(float(weight), 6)}" for name, weight in shown]
    more = len(found.households) - len(parts)
    others = f" and {more} more" if more else ""
    distance = ""
    if found.distance is not None:
        distance = f"; within {format_error(found.distance)} of the equilibrium's (relative)"
    end = f"{TITLE} (1 / marginal utility of income) at the end: {', '.join(parts)}{others}"
    return [f"{end}{distance}.", *_gains(result)]


def _gains(result: Result) -> list[str]:
    """What the moves added to welfare at the weights of the moment, and what the weights did."""
    path = result.path
    if not np.isfinite(path.gains).any():
        return []
    gained, changed = (format_plain(np.nansum(each), 4) for each in (path.gains, path.reweighting))
    part = path.gain_fraction
    most = ""
    if np.isfinite(part):
        most = f", {format_share(part)} of the most that moves of their sizes can (to first order)"
    return [
        f"At the weights of the moment moves raised welfare by {gained}{most}; the change of "
        f"weights added {changed}."
    ]
