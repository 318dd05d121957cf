"""The best known allocations and the stability of several economies at once."""

from __future__ import annotations

from collections.abc import Sequence

from market_abm.analysis.stability import Stability, stability
from market_abm.economy.economy import Economy
from market_abm.gradient.equilibrium import Equilibrium, equilibria
from market_abm.market.base import MarketSettings


def optima(economies: Sequence[Economy]) -> list[Equilibrium | None]:
    """The best known allocation of each economy; None where none was solved."""
    return [each if each is not None and each.solved else None for each in equilibria(economies)]


def radii(
    economies: Sequence[Economy],
    settings: Sequence[MarketSettings],
    steady_states: Sequence[Equilibrium],
) -> list[float | None]:
    """The factor by which a disturbance of each market grows in a step; None if unknown.

    Parameters
    ----------
    economies, settings, steady_states
        One entry for each market.
    """
    found: list[Stability | None] = [
        stability(*market) for market in zip(economies, settings, steady_states, strict=True)
    ]
    return [None if each is None else each.radius for each in found]
