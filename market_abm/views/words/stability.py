"""The stability of a market near its steady state, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from market_abm.views.numbers import format_fixed, format_plain

if TYPE_CHECKING:
    from market_abm.runs.result import Result

REGIMES = {
    "unstable": "grows",
    "oscillating": "oscillates and decays",
    "monotone": "decays",
}
"""What a small disturbance of the steady state does, by the regime of the eigenvalues."""


def stability_sentence(result: Result) -> str:
    """The predicted and measured rate near the steady state; empty if there is none to predict."""
    near = result.near_steady_state()
    if near is None or near["radius"] <= 0:
        return ""
    parts = [f"Near the steady state a small disturbance {regime_text(near)}"]
    if math.isfinite(near["period"]):
        parts.append(f"period {_steps(near['period'])}")
    if math.isfinite(near["half_life"]):
        parts.append(f"half-life {_steps(near['half_life'])}")
    radius = format_fixed(near["radius"], 4)
    if float(radius) == 1.0 and not persists(near):
        radius = format_plain(near["radius"], 9)
    predicted = f"predicted rate {radius} per step"
    measured = f"; measured {_measured(result)}" if math.isfinite(near["rate"]) else ""
    return f"{', '.join(parts)}: {predicted}{measured}."


def persists(near: Mapping[str, Any]) -> bool:
    """Whether a small disturbance neither grows nor shrinks, but for rounding."""
    lasting = near.get("half_life", 0.0) in (None, math.inf)  # in files infinity is None
    return near["regime"] != "unstable" and lasting


def regime_text(near: Mapping[str, Any]) -> str:
    """What a small disturbance of the steady state does."""
    name = near["regime"]
    return "neither grows nor decays" if persists(near) else REGIMES.get(name, name)


def _measured(result: Result) -> str:
    """A measured rate and its uncertainty."""
    value, uncertainty = result.path.rate
    return f"{format_fixed(value, 4)} ± {format_plain(uncertainty, 1)}"


def _steps(duration: float) -> str:
    shown = format_plain(duration, 3)
    return f"{shown} step" if shown == "1" else f"{shown} steps"
