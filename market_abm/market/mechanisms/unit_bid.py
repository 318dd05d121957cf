"""``unit-bid``: firms bid a price per unit; shares follow bids (docs/model.md, 3).

Within a pool of buyers with shares s and bids b, the pool's price is π = Σ s b, and shares move by
mirror ascent with log-gradients: s ← s (b/π)^κ / Σ. A good's price is the sum of its pools':
that of one pool if it is rival, the sum of what its users pay if it is nonrival.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from market_abm.fields import choice, number
from market_abm.market.base import MarketSettings, bid_rate
from market_abm.market.foresight import Foresight, foresight_table
from market_abm.market.pooled import PooledMarket
from market_abm.market.pools import PoolTerms


@dataclass(frozen=True)
class UnitBidSettings(MarketSettings):
    """The settings of ``unit-bid``."""

    mechanism: str = choice("unit-bid", ("unit-bid",), help="how goods are priced and allocated")
    bid_rate: float = bid_rate()
    share_rate: float = number(
        0.5,
        low=0.0,
        high=100.0,
        help="κ: the elasticity of shares with respect to bids; 0: shares do not move",
    )
    foresight: Foresight = foresight_table()  # noqa: RUF009


class UnitBid(PooledMarket):
    """Firms bid a price per unit, and shares follow the logarithms of bids."""

    Settings = UnitBidSettings
    no_budgets = "a bid per unit cannot promise a budget"

    remedy = (
        'let every user have all of it, with reuse.{good} = "copy" '
        "(or, if prices oscillated, lower market.share_rate)"
    )
    stabilizing_hint = "lower market.share_rate"
    rates = ("bid_rate", "share_rate")

    @staticmethod
    def offer(shares: np.ndarray, bids: np.ndarray) -> np.ndarray:
        """Share times bid: the price of a pool is π = Σ s b, independent of the quantity."""
        return shares * bids

    @staticmethod
    def claim(shares: np.ndarray, bids: np.ndarray, pools: PoolTerms, settings: Any) -> np.ndarray:
        """The share grown to s (b/π)^κ, a step of mirror ascent with log-gradients.

        Where the pool's money π · quantity is negative (a nuisance, or a negative quantity) the
        exponent is -κ. It is not a number where π is 0, or a bid differs from it in sign, or is 0
        where the exponent is negative.
        """
        sign = np.sign(pools.price * pools.quantity)
        usual = (sign > 0.0).all()
        exponent = settings.share_rate * (1.0 if usual else pools.spread(sign))
        # s e^(κ ln (b/π)) takes two thirds of the time of a power.
        claims = np.asarray(bids / pools.spread(pools.price))
        np.log(claims, out=claims)
        claims *= exponent
        np.exp(claims, out=claims)
        claims *= shares
        if not usual:
            claims = np.where((bids == 0.0) & (exponent < 0.0), np.nan, claims)
        return claims

    @classmethod
    def shares_move(cls, settings: Any) -> bool:
        """Whether κ > 0."""
        return settings.share_rate > 0.0

    @classmethod
    def share_response(cls, settings: Any) -> float | None:
        """κ, if bids equal values (α = 1)."""
        return settings.share_rate if settings.bid_rate == 1.0 else None
