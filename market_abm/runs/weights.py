"""The weights of households along a run, beside those of the equilibrium (docs/model.md, 5)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from market_abm.analysis.observer import relative_error
from market_abm.runs.numeraire import unit_of_account


@dataclass(frozen=True, eq=False)
class Weights:
    """The weight α of each household, money per unit of utility: what it spends over Σ x ∂U/∂x.

    Attributes
    ----------
    households
        Their names.
    times
        The recorded steps, shape (records,).
    path
        The weights at these steps, shape (records, households); NaN where they are not recorded.
    last
        The weights at the last step, shape (households,).
    equilibrium
        Those of the equilibrium, in the money of the run, shape (households,); None if unknown.
    """

    households: tuple[str, ...]
    times: np.ndarray
    path: np.ndarray
    last: np.ndarray
    equilibrium: np.ndarray | None

    @cached_property
    @np.errstate(all="ignore")  # it may have diverged
    def distance(self) -> float | None:
        """The largest relative distance from the equilibrium's at the last step, if known."""
        if self.equilibrium is None:
            return None
        return float(relative_error(self.last, self.equilibrium).max())

    def summary(self) -> dict[str, Any]:
        """The weights at the end as an object for JSON."""
        best = [None] * len(self.last) if self.equilibrium is None else self.equilibrium.tolist()
        rows = zip(self.households, self.last.tolist(), best, strict=True)
        return {
            "distance": self.distance,
            "households": {name: {"last": end, "equilibrium": at} for name, end, at in rows},
        }


def weights_of(result: Any) -> Weights | None:
    """The weights of the households of a ``Result``; None without any."""
    economy, trajectory = result.economy, result.trajectory
    if not economy.households:
        return None
    goods = economy.claims.good
    path = np.full((len(trajectory.times), len(goods)), np.nan)
    recorded = {good: k for k, good in enumerate(trajectory.goods.tolist())}
    for k, good in enumerate(goods.tolist()):
        if good in recorded:
            path[:, k] = trajectory.prices[:, recorded[good]]
    best, weights = result.equilibrium, None
    if best is not None and best.solved and best.weights is not None:
        weights = best.weights / unit_of_account(economy, best.prices)
    return Weights(
        households=tuple(economy.households),
        times=trajectory.times,
        path=path,
        last=result.last.prices[goods],
        equilibrium=weights,
    )
