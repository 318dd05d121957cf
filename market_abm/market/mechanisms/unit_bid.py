"""``unit-bid``: firms post a price per unit; shares follow bids (docs/model.md, 3).

Within a pool of buyers with shares s and bids b, the pool's price is π = Σ s b, and shares move by
exponentiated gradient: s ← s (b/π)^κ / Σ. A good's price is the sum of its pools' prices: its one
pool's price if it is rival, what all users pay together if it is copied.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from market_abm.economy.buyers import cached_parts
from market_abm.fields import choice, number
from market_abm.market.arrays import ArrayEngine
from market_abm.market.base import MarketSettings, PooledMarket


def pool_price(shares: np.ndarray, bids: np.ndarray) -> np.ndarray:
    """π = Σ s b, money per unit; ``shares`` and ``bids`` (..., buyers), the result (..., 1)."""
    return np.einsum("...i,...i->...", shares, bids)[..., None]


def revised_shares(
    shares: np.ndarray,
    bids: np.ndarray,
    quantity: Any,
    *,
    bidding: Any,
    share_rate: Any,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """The shares after one step of exponentiated gradient: s ← s (b/π)^κ / Σ; shape (..., buyers).

    These are the buyers of one pool. ``bidding`` (..., buyers), or True for all, says which have
    made a bid: one that has heard no price for its own good yet keeps its share, and the others
    divide theirs anew among themselves. Where the pool's money π · ``quantity`` is negative (a
    nuisance, or a quantity below zero) more of it is worth less, and the exponent turns round.
    Where π is 0, or bids differ in sign, ratios of bids say nothing, and shares stay. ``quantity``
    has shape (..., 1) or is one for all; ``share_rate`` κ ≥ 0 is a number or (..., 1). The result
    is written to ``out``, which may be ``shares``, if given.
    """
    active = shares if bidding is True else np.where(bidding, shares, 0.0)
    price = pool_price(active, bids)
    money = price * quantity
    held = np.sum(active, axis=-1, keepdims=True)
    out = np.empty_like(shares) if out is None else out
    if bidding is True and np.all(money > 0.0) and np.min(bids) > 0.0:
        # Nothing is unusual: the masks below would all say so. s (b/π)^κ is s e^(κ (ln b - ln π)),
        # which takes two thirds of the time, a part at a time, for memory is what costs.
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
    bid_rate: float = number(
        1.0,
        above=0.0,
        high=1.0,
        help="α: the fraction of the way that a bid moves to the value of the input in a step",
    )
    share_rate: float = number(
        0.5,
        low=0.0,
        high=100.0,
        help="κ: the elasticity of shares with respect to bids; 0: shares do not move",
    )


class UnitBid(PooledMarket):
    """Firms post a price per unit, and shares follow bids by exponentiated gradient."""

    Settings = UnitBidSettings

    remedy = (
        'let every user have all of it, with reuse.{good} = "copy" '
        "(or, if prices had begun to swing, lower market.share_rate)"
    )
    stabilizing_hint = "lower market.share_rate"
    rates = ("bid_rate", "share_rate")

    @staticmethod
    def array_engine() -> type[ArrayEngine]:
        """The array engine of all mechanisms in which bids alone count."""
        return ArrayEngine

    @staticmethod
    def pool_price(shares: np.ndarray, bids: np.ndarray, quantity: Any) -> np.ndarray:
        """π = Σ s b, whatever the quantity."""
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
        """One step of exponentiated gradient at the rate κ of the settings."""
        rate = settings.share_rate
        return revised_shares(shares, bids, quantity, bidding=bidding, share_rate=rate, out=out)

    @classmethod
    def shares_move(cls, settings: Any) -> bool:
        """Not if κ is 0."""
        return settings.share_rate > 0.0

    @classmethod
    def share_response(cls, settings: Any) -> float | None:
        """κ, if bids are the values themselves (α = 1)."""
        return settings.share_rate if settings.bid_rate == 1.0 else None
