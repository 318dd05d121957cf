"""``unit-bid``: firms post a price per unit; shares follow bids (docs/model.md, 3).

Within a pool of buyers with shares s and bids b, the pool's price is π = Σ s b, and shares move by
exponentiated gradient: s ← s (b/π)^κ / Σ. A good's price is the sum of its pools' prices: its one
pool's price if it is rival, what all users pay together if it is copied.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from market_abm.buyers import cached_parts
from market_abm.errors import RivalGoodError
from market_abm.markets.market import Market


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


def indivisible(
    quantity: Any, bids: np.ndarray, price: Any, *, before: Any, all_bid: bool
) -> np.ndarray:
    """Whether a good cannot be split among several uses: for want of units, or of positive bids.

    ``bids`` has shape (..., buyers), the rest and the result (...); ``before`` is the last price.
    """
    lowest = np.min(bids, axis=-1)
    unwanted = (price == 0.0) & (np.greater(before, 0.0) | all_bid)
    return np.less_equal(quantity, 0.0) | (lowest < 0.0) | unwanted


def cannot_split(good: str, quantity: Any, bids: np.ndarray, who: Any) -> RivalGoodError:
    """Why :func:`indivisible` is so: an error for the user; ``who(buyer)`` names a buyer."""
    lowest = int(np.argmin(bids))
    if quantity <= 0.0:
        why = f"there are {quantity:.6g} units of it on sale"
    elif bids[lowest] < 0.0:
        why = f"{who(lowest)} bids {bids[lowest]:.6g}"
    else:
        why = "nobody bids anything for it"
    return RivalGoodError(
        f"the rival good '{good}' cannot be split among its users: {why}",
        name=good,
        remedy=f'let every user have all of it, with reuse.{good} = "copy" '
        "(or, if prices had begun to swing, lower market.share_rate)",
    )


class UnitBidMarket(Market):
    """The market of one good, with its posted bids, and the pools that it is handed out to.

    ``who(buyer)`` says, for messages, who a buyer is; ``pools`` are slices of the buyers;
    ``divided`` whether a pool serves several uses (a rival good with more than one user), which
    takes a positive quantity and positive bids.
    """

    def __init__(
        self,
        good: str,
        sellers: int,
        who: Callable[[int], str],
        pools: Sequence[slice],
        initial_shares: np.ndarray,
        *,
        divided: bool,
        share_rate: float,
    ) -> None:
        super().__init__(good, sellers, len(initial_shares))
        self.who = who
        self.pools = pools
        self.divided = divided
        self.share_rate = share_rate
        self.shares = initial_shares.copy()

    def form_price(self) -> None:
        """The sum of the pools' prices; a divided good must be there, and be bid for."""
        pools = [pool_price(self.shares[pool], self.bids[pool])[0] for pool in self.pools]
        price = sum(pools, np.float64(0.0))
        if self.divided and indivisible(
            self.quantity, self.bids, price, before=self.price, all_bid=bool(self.bidding.all())
        ):
            raise cannot_split(self.good, self.quantity, self.bids, self.who)
        self.price = price
        self.priced = bool(self.bidding.any())

    def reallocate(self) -> None:
        """One step of exponentiated gradient in each pool with somebody to share with."""
        for pool in self.pools:
            if pool.stop - pool.start > 1:
                self.shares[pool] = revised_shares(
                    self.shares[pool],
                    self.bids[pool],
                    self.quantity,
                    bidding=True if self.bidding[pool].all() else self.bidding[pool],
                    share_rate=self.share_rate,
                )
