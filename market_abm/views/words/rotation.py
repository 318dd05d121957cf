"""How much of a market's move is a gradient, in words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from market_abm.views.numbers import format_fixed, format_plain, format_share

if TYPE_CHECKING:
    from market_abm.runs.result import Result


def rotation_sentence(result: Result) -> str:
    """How much of the moves near the steady state is gradient; empty without households."""
    if not result.economy.households or result.rotation is None:
        return ""
    found = result.rotation
    share = found.gradient_share
    norms = [format_plain(each, 3) for each in (found.gradient_norm, found.rotation_norm)]
    economy, rules = result.economy, result.experiment.market.rules
    alone = rules.alignment == "prices" and not (economy.taxes or economy.has_external)
    cause = " by income effects" if alone else ""  # of excess demand nothing else turns
    return (
        f"Of the mean squared speed of moves near the steady state {format_share(share)} is "
        f"gradient, the rest rotation{cause} (norms {' and '.join(norms)} per step)."
    )


SIMPLEX_PANELS = ("all moves", "gradient part", "rotation part")
"""What each triangle of relative prices shows."""

SIMPLEX_NOTE = (
    "Circle: equilibrium. Square: start. Contours: potential. An arrow is as long as the root of a "
    "move."
)
"""What is drawn in the triangles."""


def simplex_share(share: float | None) -> str:
    """The gradient share, before what is drawn; empty if it is unknown."""
    if share is None or not math.isfinite(share):
        return ""
    return f"Gradient share at rest {format_fixed(share, 3)}. "


STEP = "step"


SIMPLEX_TITLE = "Relative prices"

SIMPLEX_ALT = (
    "The path of three relative prices in a triangle, with the moves of the market, their gradient "
    "part and their rotation part"
)
"""Of a report."""
