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
from market_abm.market.pooled import PooledMarket
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

    requires_positive = True
    remedy = (
        "bids of money require a positive quantity and price: for goods and prices of any sign use "
        'market.mechanism = "unit-bid"'
    )

    @staticmethod
    def as_bid(value: Any, units: Any) -> Any:
        """The money that all ``units`` have earned."""
        return value * units

    @staticmethod
    def pool_price(shares: np.ndarray, bids: np.ndarray, quantity: Any) -> np.ndarray:
        """Money per unit: p = Σ m / S."""
        return np.sum(bids, axis=-1, keepdims=True) / quantity

    @staticmethod
    def revised_shares(
        shares: np.ndarray,
        bids: np.ndarray,
        quantity: Any,
        *,
        bidding: Any,
        settings: Any,
        out: np.ndarray | None = None,
    ) -> np.ndarray:
        """Shares s = m / Σ m, among the buyers that have made a bid; the others keep theirs."""
        money = bids if bidding is True else np.where(bidding, bids, 0.0)
        held = np.sum(shares, axis=-1, keepdims=True, where=bidding)
        total = np.sum(money, axis=-1, keepdims=True)
        revised = money * (held / np.where(total == 0.0, 1.0, total))
        out = np.empty_like(shares) if out is None else out
        out[...] = np.where(bidding & (total > 0.0), revised, shares)
        return out

    @classmethod
    def payments(cls, economy: Economy, state: State) -> np.ndarray:
        """The money that each buyer bids, if its pool pays, shape (buyers,)."""
        return np.where(pays(economy)[economy.buyers.pool], state.bids, 0.0)

    @staticmethod
    def per_unit(bids: np.ndarray, units: np.ndarray) -> np.ndarray:
        """The price paid, m / x, or 0 where nothing was bought."""
        return np.where(units == 0.0, 0.0, bids / np.where(units == 0.0, 1.0, units))
