"""Branches: those of a traced function that a run has left, and lines that end at a kink."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from market_abm.economy.conditions import Condition, crossed
from market_abm.economy.economy import Economy
from market_abm.economy.ties import Tie, ties
from market_abm.experiment.experiment import Experiment
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


def kinks(experiment: Experiment, last: State) -> list[Tie]:
    """The lines at a kink at the last step of a run."""
    return ties(experiment.present_economy(last.step), last.inputs, experiment.run.tolerance)


def branches_summary(
    found: tuple[Crossing, ...], experiment: Experiment, last: State
) -> dict[str, Any]:
    """The crossings as one entry for JSON, and the lines at a kink as one, if there are any."""
    entries = [
        {
            "condition": c.condition.text,
            "at_start": c.condition.holds,
            "step": c.step,
            "lasting": c.lasting,
        }
        for c in found
    ]
    tied = [{"good": tie.good, "slopes": tie.slopes} for tie in kinks(experiment, last)]
    both = {"crossings": entries, "kinks": tied}
    return {key: each for key, each in both.items() if each}
