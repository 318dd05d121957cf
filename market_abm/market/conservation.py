"""What trade conserves: goods handed out and money paid, along a recorded path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from market_abm.economy.economy import Economy


@dataclass(frozen=True)
class Conservation:
    """What a path lost, as parts of all.

    Parameters
    ----------
    unallocated_share
        Goods on sale that no buyer got.
    budget_imbalance
        Money paid that no seller got, or got that no buyer paid.
    """

    unallocated_share: float
    budget_imbalance: float


class RecordedPath(Protocol):
    """Every step of a run: arrays of shape (steps, goods) or (steps, buyers)."""

    @property
    def prices(self) -> np.ndarray:
        """Money per unit."""

    @property
    def quantities(self) -> np.ndarray:
        """Units on sale."""

    @property
    def shares(self) -> np.ndarray:
        """Shares of what is on sale."""

    @property
    def bids(self) -> np.ndarray:
        """Bids, as the mechanism has them."""


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
    """What the trade of each step handed out, units, (steps - 1, buyers); what was left, and on sale.

    What is left is summed over all pools and steps; what was on sale has shape (steps - 1, pools).
    """
    buyers = economy.buyers
    units = path.shares[1:] * path.quantities[:-1, buyers.good]
    handed = np.add.reduceat(units, buyers.starts, axis=1)
    on_sale = path.quantities[:-1, buyers.good[buyers.starts]]
    return units, np.abs(on_sale - handed).sum(), on_sale
