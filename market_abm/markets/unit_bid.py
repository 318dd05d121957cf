"""``unit-bid``: firms post a price per unit; shares follow bids (docs/model.md, 3).

Within a pool of buyers with shares s and bids b, the pool's price is π = Σ s b, and shares move by
exponentiated gradient: s ← s (b/π)^κ / Σ. A good's price is the sum of its pools' prices: its one
pool's price if it is rival, what all users pay together if it is copied.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from market_abm.errors import RivalGoodError
from market_abm.markets.market import Market


def pool_prices(shares: np.ndarray, bids: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """π = Σ s b of each pool, money per unit.

    ``shares`` and ``bids`` have shape (..., buyers), pool k begins at ``starts[k]``; the result has
    shape (..., pools).
    """
    return np.add.reduceat(shares * bids, starts, axis=-1)


def revised_shares(
    shares: np.ndarray,
    bids: np.ndarray,
    quantity: Any,
    *,
    bidding: np.ndarray,
    starts: np.ndarray,
    pool: np.ndarray,
    share_rate: Any,
) -> np.ndarray:
    """The shares after one step of exponentiated gradient: s ← s (b/π)^κ / Σ; shape (..., buyers).

    ``bidding`` says which buyers have made a bid: one that has heard no price for its own good yet
    keeps its share, and the others divide theirs anew among themselves. Where the pool's money
    π · ``quantity`` is negative (a nuisance, or a quantity below zero) more of it is worth less,
    and the exponent turns round. Where π is 0, or bids differ in sign, ratios of bids say nothing,
    and shares stay. ``quantity`` has shape (..., pools) or is one for all; ``pool``, each buyer's
    pool, and ``starts`` have no leading axes; ``share_rate`` κ ≥ 0 is a number or (..., 1).
    """
    active = np.where(bidding, shares, 0.0)
    price = np.add.reduceat(active * bids, starts, axis=-1)
    ratio = bids / np.where(price == 0.0, 1.0, price)[..., pool]
    exponent = (share_rate * np.sign(price * quantity))[..., pool]
    unequal = (ratio < 0.0) | ((ratio == 0.0) & (exponent < 0.0))
    mixed = np.logical_or.reduceat(bidding & unequal, starts, axis=-1)
    moving = bidding & ((price != 0.0) & ~mixed)[..., pool]
    grown = np.where(moving, active * np.where(moving, ratio, 1.0) ** exponent, 0.0)
    total = np.add.reduceat(grown, starts, axis=-1)
    held = np.add.reduceat(active, starts, axis=-1)
    scale = held / np.where(total == 0.0, 1.0, total)
    return np.where(moving, grown * scale[..., pool], shares)


class UnitBidMarket(Market):
    """The market of one good, with its posted bids, and the pools that it is handed out to.

    ``buyers`` says, for messages, who each buyer is; ``starts`` where each pool begins among them;
    ``divided`` whether a pool serves several uses (a rival good with more than one user), which
    takes a positive quantity and positive bids.
    """

    def __init__(
        self,
        good: str,
        sellers: int,
        buyers: list[str],
        starts: np.ndarray,
        initial_shares: np.ndarray,
        *,
        divided: bool,
        share_rate: float,
    ) -> None:
        super().__init__(good, sellers, len(buyers))
        self.buyers = buyers
        self.starts = starts
        self.pool = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(buyers))))
        self.divided = divided
        self.share_rate = share_rate
        self.shares = initial_shares.copy()

    def collect(self) -> None:
        """Put on sale what is offered; of a divided good there must be some."""
        super().collect()
        if self.divided and self.quantity <= 0.0:
            raise self._indivisible(f"there are {self.quantity:.6g} units of it on sale")

    def form_price(self) -> None:
        """The sum of the pools' prices; a divided good must be bid for."""
        price = pool_prices(self.shares, self.bids, self.starts).sum()
        if self.divided:
            lowest = int(np.argmin(self.bids))
            if self.bids[lowest] < 0.0:
                raise self._indivisible(f"{self.buyers[lowest]} bids {self.bids[lowest]:.6g}")
            if price == 0.0 and (self.price > 0.0 or self.bidding.all()):
                raise self._indivisible("nobody bids anything for it")
        self.price = price
        self.priced = bool(self.bidding.any())

    def reallocate(self) -> None:
        """One step of exponentiated gradient."""
        self.shares = revised_shares(
            self.shares,
            self.bids,
            self.quantity,
            bidding=self.bidding,
            starts=self.starts,
            pool=self.pool,
            share_rate=self.share_rate,
        )

    def _indivisible(self, why: str) -> RivalGoodError:
        return RivalGoodError(
            f"the rival good '{self.good}' cannot be split among its users: {why}",
            name=self.good,
            remedy=f'let every user have all of it, with reuse.{self.good} = "copy" '
            "(or, if prices had begun to swing, lower market.share_rate)",
        )
