"""Conservation of goods and money in trade, along a recorded path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from market_abm.economy.economy import Economy


@dataclass(frozen=True)
class Conservation:
    """How far a path fails to conserve goods and money; 0 if it conserves them.

    Attributes
    ----------
    unallocated_share
        Units on sale that no buyer received, as a fraction of all units on sale.
    budget_imbalance
        Absolute difference of money paid and money received, as a fraction of money received.
    """

    unallocated_share: float
    budget_imbalance: float


class RecordedPath(Protocol):
    """The record of every step: arrays of shape (steps, goods) or (steps, buyers)."""

    @property
    def prices(self) -> np.ndarray:
        """Money per unit."""

    @property
    def quantities(self) -> np.ndarray:
        """Units on sale."""

    @property
    def shares(self) -> np.ndarray:
        """Shares of the quantity on sale."""

    @property
    def bids(self) -> np.ndarray:
        """Bids, as the mechanism defines them."""


class Allocation(Protocol):
    """Prices, quantities and shares at a steady state; shapes (goods,) and (buyers,)."""

    @property
    def prices(self) -> np.ndarray:
        """Money per unit."""

    @property
    def quantities(self) -> np.ndarray:
        """Units."""

    @property
    def shares(self) -> np.ndarray:
        """Shares of each buyer."""


def allocated(path: RecordedPath, economy: Economy) -> tuple[np.ndarray, float, np.ndarray]:
    """The allocation of goods in each step.

    Returns
    -------
    units
        Units that each buyer received, shape (steps - 1, buyers).
    left
        Absolute difference of units on sale and received, summed over pools and steps.
    on_sale
        Units on sale to each pool, shape (steps - 1, pools).
    """
    buyers = economy.buyers
    units = path.shares[1:] * path.quantities[:-1, buyers.good]
    received = np.add.reduceat(units, buyers.starts, axis=1)
    on_sale = path.quantities[:-1, buyers.good[buyers.starts]]
    return units, np.abs(on_sale - received).sum(), on_sale
