"""The best known allocations, and the steps near them, of several economies at once."""

from __future__ import annotations

from collections.abc import Sequence

from market_abm.analysis.rotation import rotations
from market_abm.analysis.stability import stabilities
from market_abm.economy.economy import Economy
from market_abm.gradient.equilibrium import Equilibrium, equilibria
from market_abm.market.base import MarketSettings


def optima(economies: Sequence[Economy]) -> list[Equilibrium | None]:
    """The best known allocation of each economy; None where none was solved."""
    found = equilibria(economies)
    return [each if each is not None and each.solved else None for each in found]


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
    found = stabilities(economies, settings, steady_states)
    return [None if each is None else each.radius for each in found]


def gradient_shares(
    economies: Sequence[Economy],
    settings: Sequence[MarketSettings],
    steady_states: Sequence[Equilibrium],
) -> list[float | None]:
    """The part of each market's moves that is gradient; None if unknown. Parameters as above."""
    found = rotations(economies, settings, steady_states)
    return [None if each is None else each.gradient_share for each in found]
