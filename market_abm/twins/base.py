"""What all optimisers share: their interface, their path, and the distance of paths.

A twin is the optimiser that a mechanism is identical to; beside it stands the textbook's. Both are
written from formulas alone, share no code with the market, and know the whole program.
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
    mixed_dates
        How far each price is from the gradient of goods that really travel (``dated.py``), money
        per unit, shape (steps + 1, goods); None where the optimiser does not measure it.
    identical_until
        The last step at which the market still is this optimiser, as the optimiser can tell.
    complete
        Whether all steps were made: False where the budget of ``registry.py`` was used up.
    """

    quantities: np.ndarray
    prices: np.ndarray
    shares: np.ndarray
    mixed_dates: np.ndarray | None
    identical_until: int
    complete: bool

    @property
    def steps(self) -> int:
        """The number of steps."""
        return len(self.prices) - 1


class Optimiser(Protocol):
    """An optimiser, from the initial state of its market.

    Attributes
    ----------
    name
        Its name in the literature.
    activations
        The activations of the market under which the market is this optimiser.
    where
        Where the market is this optimiser, as a phrase; empty for everywhere.
    """

    name: ClassVar[str]
    activations: ClassVar[tuple[str, ...]]
    where: ClassVar[str]

    @property
    def work(self) -> int:
        """The numbers computed so far, for the budget of ``registry.py``."""

    def __init__(self, economy: Economy, settings: Any) -> None:
        """Begin at step 0."""

    def observed(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Quantities, prices and shares of the current step, as in :class:`TwinPath`."""

    def applies(self) -> bool:
        """Whether the market's next step is still this optimiser's."""

    def mixed_dates(self) -> np.ndarray | None:
        """As in :class:`TwinPath`, at the current step."""

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
