"""A run beside the best known allocation: how far it ended from it, and what it rests at."""

from __future__ import annotations

from typing import Any

import numpy as np

from market_abm.analysis.observer import relative_error
from market_abm.economy.economy import Economy
from market_abm.gradient.equilibrium import Equilibrium, nearest_stationary
from market_abm.market.state import State

REST_ACCURACY = 1e-6
"""The residual of the first-order conditions at which a market at rest counts as stationary."""


def resting(
    economy: Economy, last: State, best: Equilibrium | None, tolerance: float
) -> Equilibrium | None:
    """The allocation at which a market rests, and what it is; ``best`` itself if it is that.

    Parameters
    ----------
    economy, last
        The economy and the state at the last step.
    best
        The best known allocation.
    tolerance
        That of the run.
    """
    if best is not None and best.solved and best.is_near(last.quantities, last.shares):
        return best
    raw = last.quantities[: len(economy.supply)]
    accuracy = max(REST_ACCURACY, 10.0 * tolerance)
    found = nearest_stationary(economy, raw, last.shares, accuracy)
    return found if found is None or best is None else found.compared_with(best)


def rest_summary(rest: Equilibrium | None, best: Equilibrium | None) -> dict[str, Any] | None:
    """What the allocation is at which a market rests, its W, and whether a better one is known."""
    if rest is None:
        return None
    better = best is not None and best.solved and best.is_better_than(rest)
    return {"kind": rest.kind.value, "welfare": rest.welfare, "better_known": better}


def distance(last: State, welfare: float, best: Equilibrium) -> dict[str, Any]:
    """How far a state with this W is from the best known allocation, and what that is."""
    with np.errstate(invalid="ignore"):  # it may have diverged
        prices = relative_error(last.prices, best.prices).max()
        quantities = relative_error(last.quantities, best.quantities).max()
    return {
        "solved": best.solved,
        "prices": float(prices),
        "quantities": float(quantities),
        "welfare": best.welfare - welfare,
        "best_welfare": best.welfare,
        "kind": best.kind.value,
        "starts": best.starts,
        "complete": best.complete,
    }
