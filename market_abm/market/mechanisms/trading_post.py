"""``trading-post``: firms bid money, and receive shares in proportion (docs/model.md, 3).

The market game of L. Shapley and M. Shubik (Journal of Political Economy 85, 1977). Buyers bid
money m; the price is p = Σ m / S, and each receives x = m / p of the S units. A bid adjusts to the
marginal revenue product of the units bought, m ← m + α (MRP x - m): with α = 1 this is proportional
response (F. Wu and L. Zhang, STOC 2007), which is mirror descent with steps of size 1 (B. Birnbaum,
N. Devanur and L. Xiao, EC 2011). The money bid is the money paid, so that money is conserved.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.fields import choice
from market_abm.market.base import MarketSettings, bid_rate, pays
from market_abm.market.household_arrays import HouseholdArrayEngine
from market_abm.market.pooled import PooledMarket
from market_abm.market.pools import PoolTerms
from market_abm.market.state import State


@dataclass(frozen=True)
class TradingPostSettings(MarketSettings):
    """The settings of ``trading-post``."""

    mechanism: str = choice(
        "trading-post", ("trading-post",), help="how goods are priced and allocated"
    )
    bid_rate: float = bid_rate()


class TradingPost(PooledMarket):
    """Firms bid money, and receive the good in proportion to it."""

    Settings = TradingPostSettings
    bids_are_money = True
    no_budgets = ""
    budget_remedy = (
        "money goes round between firms and households: lower market.bid_rate, or set "
        'market.activation = "sequential"'
    )
    runs_closed = True

    requires_positive = True
    remedy = (
        "bids of money require a positive quantity and price: for goods and prices of any sign use "
        'market.mechanism = "unit-bid"'
    )

    @classmethod
    def household_engine(cls) -> type[HouseholdArrayEngine]:
        """The array engine in which households pledge what they earn."""
        return HouseholdArrayEngine

    @staticmethod
    def offer(shares: np.ndarray, bids: np.ndarray) -> np.ndarray:
        """m, the money that is bid."""
        return bids

    @staticmethod
    def price_of(total: np.ndarray, quantity: Any) -> np.ndarray:
        """Money per unit: p = Σ m / S."""
        return total / quantity

    @staticmethod
    def claim(shares: np.ndarray, bids: np.ndarray, pools: PoolTerms, settings: Any) -> np.ndarray:
        """m: shares are s = m / Σ m, among the buyers that have made a bid."""
        return bids

    @classmethod
    def payments(cls, economy: Economy, state: State) -> np.ndarray:
        """The money that each buyer bids, if its pool pays, shape (buyers,)."""
        return np.where(pays(economy)[economy.buyers.pool], state.bids, 0.0)

    @staticmethod
    def per_unit(bids: np.ndarray, units: np.ndarray) -> np.ndarray:
        """The price paid, m / x, or 0 where nothing was bought."""
        return np.where(units == 0.0, 0.0, bids / np.where(units == 0.0, 1.0, units))
