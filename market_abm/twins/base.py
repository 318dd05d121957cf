"""What all twins share: the interface of an optimiser, its path, and the distance of paths.

A twin is the optimiser that a mechanism is claimed to be. It is written from formulas alone, shares
no code with the market, and knows the whole program.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from market_abm.economy.economy import Economy


@dataclass(frozen=True, eq=False)
class TwinPath:
    """The path of an optimiser, to be compared with the record of a run.

    Attributes
    ----------
    quantities
        Units, shape (steps + 1, goods).
    prices
        The gradient that the optimiser uses, money per unit, shape (steps + 1, goods).
    shares
        The shares by which the inputs of each batch were allocated, shape (steps + 1, buyers);
        under ``tatonnement``, without trade, demand over supply at the prices of the step.
    """

    quantities: np.ndarray
    prices: np.ndarray
    shares: np.ndarray


class Optimiser(Protocol):
    """An optimiser, from the initial state of its market.

    Attributes
    ----------
    name
        Its name in the literature.
    activations
        The activations of the market under which the market is this optimiser.
    """

    name: ClassVar[str]
    activations: ClassVar[tuple[str, ...]]

    def __init__(self, economy: Economy, settings: Any) -> None:
        """Begin at step 0."""

    def observed(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Quantities, prices and shares of the current step, as in :class:`TwinPath`."""

    def step(self) -> None:
        """Make one step."""


@np.errstate(all="ignore")
def largest_distance(a: np.ndarray, b: np.ndarray) -> tuple[float, int]:
    """The largest difference of two paths, relative to the largest value of its column.

    Parameters
    ----------
    a, b
        Shape (steps, columns). Where both are NaN the difference is 0, where one is, infinite.

    Returns
    -------
    distance
        The largest relative |a - b|.
    step
        The row of that difference.
    """
    largest = np.fmax(np.abs(a), np.abs(b)).max(axis=0, initial=0.0, where=_finite(a, b))
    distance = np.abs(a - b) / np.where(largest > 0.0, largest, 1.0)
    distance = np.where(np.isnan(distance), np.inf, distance)
    distance[(a == b) | (np.isnan(a) & np.isnan(b))] = 0.0
    worst = distance.max(axis=1, initial=0.0)
    return float(worst.max(initial=0.0)), int(worst.argmax()) if len(worst) else 0


def _finite(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.isfinite(a) & np.isfinite(b)
