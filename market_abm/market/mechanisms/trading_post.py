"""``trading-post``: firms pledge money, and money buys shares (docs/model.md, 3).

The market game of L. Shapley and M. Shubik (Journal of Political Economy 85, 1977). Buyers pledge
money m; the price is p = Σ m / S, and each is handed x = m / p of the S units. A pledge moves
towards what the units bought have earned, m ← m + α (MRP x - m): with α = 1 this is proportional
response (F. Wu and L. Zhang, STOC 2007), which is mirror descent with steps of size 1 (B. Birnbaum,
N. Devanur and L. Xiao, EC 2011). The money pledged is the money paid: none is made or lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from market_abm.fields import choice, number
from market_abm.market.arrays import ArrayEngine
from market_abm.market.base import MarketSettings, PooledMarket


@dataclass(frozen=True)
class TradingPostSettings(MarketSettings):
    """The settings of ``trading-post``."""

    mechanism: str = choice(
        "trading-post", ("trading-post",), help="how goods are priced and allocated"
    )
    bid_rate: float = number(
        1.0,
        above=0.0,
        high=1.0,
        help="α: the fraction of the way that a bid moves to the value of the input in a step",
    )


class TradingPost(PooledMarket):
    """Firms pledge money for what they want, and get their part of what there is."""

    Settings = TradingPostSettings
    bids_are_money = True

    wants_positive = True
    remedy = (
        'money buys goods that are there and wanted: market.mechanism = "unit-bid" '
        "is for goods and prices of any sign"
    )

    @staticmethod
    def array_engine() -> type[ArrayEngine]:
        """The array engine of all mechanisms in which bids alone count."""
        return ArrayEngine

    @staticmethod
    def quoted(worth: Any, units: Any) -> Any:
        """The money that all ``units`` together have earned."""
        return worth * units

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
        """Shares s = m / Σ m, of what those who have heard no price yet leave to the others."""
        pledged = bids if bidding is True else np.where(bidding, bids, 0.0)
        held = np.sum(shares, axis=-1, keepdims=True, where=bidding)
        total = np.sum(pledged, axis=-1, keepdims=True)
        bought = pledged * (held / np.where(total == 0.0, 1.0, total))
        out = np.empty_like(shares) if out is None else out
        out[...] = np.where(bidding & (total > 0.0), bought, shares)
        return out

    @staticmethod
    def per_unit(bids: np.ndarray, units: np.ndarray) -> np.ndarray:
        """What was paid: m / x, and 0 where nothing was bought."""
        return np.where(units == 0.0, 0.0, bids / np.where(units == 0.0, 1.0, units))
