"""``unit-bid``: firms bid a price per unit; shares follow bids (docs/model.md, 3).

Within a pool of buyers with shares s and bids b, the pool's price is π = Σ s b, and shares move by
mirror ascent with log-gradients: s ← s (b/π)^κ / Σ. A good's price is the sum of its pools':
that of one pool if it is rival, the sum of what its users pay if it is nonrival.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from market_abm.economy.buyers import cached_parts
from market_abm.fields import choice, number
from market_abm.market.base import MarketSettings, bid_rate
from market_abm.market.pooled import PooledMarket


def pool_price(shares: np.ndarray, bids: np.ndarray) -> np.ndarray:
    """π = Σ s b, money per unit; ``shares`` and ``bids`` (..., buyers), the result (..., 1).

    Not a number where all is held by buyers who bid 0 and others bid more: the shares of these
    have underflowed, and π with them.
    """
    price = np.einsum("...i,...i->...", shares, bids)[..., None]
    if np.any(price == 0.0):
        low, high = (each(bids, axis=-1, keepdims=True) for each in (np.min, np.max))
        price = np.where((price == 0.0) & (low >= 0.0) & (high > 0.0), np.nan, price)
    return price


def revised_shares(
    shares: np.ndarray,
    bids: np.ndarray,
    quantity: Any,
    *,
    bidding: Any,
    share_rate: Any,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """The shares after one step of mirror ascent with log-gradients: s ← s (b/π)^κ / Σ.

    Where the pool's money π · ``quantity`` is negative (a nuisance, or a negative quantity) the
    exponent is -κ. Where π is 0, or bids differ in sign, shares stay.

    Parameters
    ----------
    shares, bids
        Of the buyers of one pool, shape (..., buyers).
    quantity
        Units on sale, a number or of shape (..., 1).
    bidding
        Mask of the buyers that have made a bid, shape (..., buyers), or True for all. The others
        keep their shares.
    share_rate
        κ ≥ 0, a number or of shape (..., 1).
    out
        Where to write the result; it may be ``shares``.

    Returns
    -------
    array
        The next shares, shape (..., buyers).
    """
    active = shares if bidding is True else np.where(bidding, shares, 0.0)
    price = pool_price(active, bids)
    money = price * quantity
    held = np.sum(active, axis=-1, keepdims=True)
    out = np.empty_like(shares) if out is None else out
    if bidding is True and np.all(money > 0.0) and np.min(bids) > 0.0:
        # The usual case, without the masks below. s (b/π)^κ = s e^(κ (ln b - ln π)) takes two
        # thirds of the time of a power; parts that fit into the cache save memory traffic.
        total, log_price = np.zeros(price.shape), np.log(price)
        for part in cached_parts(shares.shape):
            grown = np.log(bids[..., part])
            grown -= log_price
            grown *= share_rate
            np.exp(grown, out=grown)
            grown *= active[..., part]
            total += np.sum(grown, axis=-1, keepdims=True)
            out[..., part] = grown
        out *= held / np.where(total == 0.0, 1.0, total)
        return out
    ratio = bids / np.where(price == 0.0, 1.0, price)
    exponent = share_rate * np.sign(money)
    unequal = (ratio < 0.0) | ((ratio == 0.0) & (exponent < 0.0))
    mixed = np.any(bidding & unequal, axis=-1, keepdims=True)
    moving = bidding & (price != 0.0) & ~mixed
    grown = np.where(moving, active * np.where(moving, ratio, 1.0) ** exponent, 0.0)
    total = np.sum(grown, axis=-1, keepdims=True)
    grown *= held / np.where(total == 0.0, 1.0, total)
    out[...] = np.where(moving, grown, shares)
    return out


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


class UnitBid(PooledMarket):
    """Firms bid a price per unit, and shares follow the logarithms of bids."""

    Settings = UnitBidSettings

    remedy = (
        'let every user have all of it, with reuse.{good} = "copy" '
        "(or, if prices oscillated, lower market.share_rate)"
    )
    stabilizing_hint = "lower market.share_rate"
    rates = ("bid_rate", "share_rate")

    @staticmethod
    def pool_price(shares: np.ndarray, bids: np.ndarray, quantity: Any) -> np.ndarray:
        """π = Σ s b, independent of the quantity."""
        return pool_price(shares, bids)

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
        """One step at the rate κ of the settings."""
        rate = settings.share_rate
        return revised_shares(shares, bids, quantity, bidding=bidding, share_rate=rate, out=out)

    @classmethod
    def shares_move(cls, settings: Any) -> bool:
        """Whether κ > 0."""
        return settings.share_rate > 0.0

    @classmethod
    def share_response(cls, settings: Any) -> float | None:
        """κ, if bids equal values (α = 1)."""
        return settings.share_rate if settings.bid_rate == 1.0 else None
