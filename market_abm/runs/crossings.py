"""Whether a run has left the branches that the lines of its economy are for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from market_abm.economy.conditions import Condition, crossed
from market_abm.economy.economy import Economy
from market_abm.market.state import State
from market_abm.simulation.record import Trajectory


@dataclass(frozen=True, eq=False)
class Crossing:
    """A branch of a traced function that the market has left.

    Attributes
    ----------
    condition
        The comparison whose answer has changed.
    step
        The first recorded step with the other answer.
    lasting
        Whether the answer is the other one at the last step, too.
    """

    condition: Condition
    step: int
    lasting: bool


def crossings(economy: Economy, path: Trajectory, last: State) -> tuple[Crossing, ...]:
    """The branches that a run has left, in the order of the steps.

    Comparisons of goods that are not recorded are known at the last step only.
    """
    if not economy.conditions:
        return ()
    recorded = np.full((len(path.times), len(economy.goods)), np.nan)
    recorded[:, path.goods] = path.quantities
    recorded[-1] = last.quantities
    left = crossed(economy.conditions, recorded, economy.index)
    partly = len(path.goods) < len(economy.goods)
    for k, condition in enumerate(economy.conditions if partly else ()):
        places = [economy.index[good] for good in condition.difference.inputs]
        left[:, k] &= ~np.isnan(recorded[:, places]).any(axis=1)
    found = [
        Crossing(economy.conditions[k], int(path.times[np.argmax(left[:, k])]), bool(left[-1, k]))
        for k in np.flatnonzero(left.any(axis=0))
    ]
    return tuple(sorted(found, key=lambda each: each.step))


def crossings_summary(found: tuple[Crossing, ...]) -> dict[str, Any]:
    """The crossings as one entry for JSON, if there are any."""
    entries = [
        {
            "condition": c.condition.text,
            "at_start": c.condition.holds,
            "step": c.step,
            "lasting": c.lasting,
        }
        for c in found
    ]
    return {"crossings": entries} if entries else {}
