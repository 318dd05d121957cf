"""Mechanisms in which bids alone form prices and shares."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.market.arrays import ArrayEngine
from market_abm.market.base import MarketSettings, Mechanism, cannot_allocate, pays
from market_abm.market.foresight import (
    Recalled,
    check_foresight,
    expected_bids,
    foresight_of,
    momentum,
)
from market_abm.market.pools import PoolTerms, is_lost
from market_abm.market.state import State


class PooledMarket(Mechanism):
    """A market in which bids alone form the price and the shares.

    A subclass defines the bid (``bids_are_money``), what it adds to the price of its pool
    (:meth:`offer`), and what the next share is proportional to (:meth:`claim`). These rules
    take buyers one by one, so that they serve one pool or, in the array engine, all pools at once.
    """

    bids_form_prices = True

    @staticmethod
    def array_engine() -> type[ArrayEngine]:
        """The array engine, which calls the rules for all pools of several runs."""
        return ArrayEngine

    @classmethod
    def advice(cls, economy: Economy, settings: MarketSettings) -> str:
        """The stabilising hint if shares move; otherwise one for elastic suppliers."""
        if settings.shares_move and economy.buyers.shared_pools:
            return cls.stabilizing_hint
        responding = [terms for terms in economy.supply.values() if terms.responds]
        if responding:
            learns = any(terms.kind == "gradient" for terms in responding)
            return f"lower the supplier's {'rate' if learns else 'adjustment'}"
        return ""

    @classmethod
    def check(cls, economy: Economy, settings: MarketSettings) -> None:
        """Refuse devices of foresight that buyers cannot use here."""
        check_foresight(economy, settings)

    # --- rules of a mechanism -------------------------------------------------------------------

    @staticmethod
    @abstractmethod
    def offer(shares: np.ndarray, bids: np.ndarray) -> np.ndarray:
        """What each buyer adds to the total of its pool, shape (..., buyers).

        ``shares`` and ``bids`` have that shape, too.
        """

    @staticmethod
    def price_of(total: np.ndarray, quantity: Any) -> np.ndarray:
        """The price of a pool, money per unit, from the ``total`` of its offers: by default that.

        ``total``, ``quantity`` (units) and the result have shape (..., pools).
        """
        return total

    @staticmethod
    @abstractmethod
    def claim(shares: np.ndarray, bids: np.ndarray, pools: PoolTerms, settings: Any) -> np.ndarray:
        """What the next share of each buyer is proportional to, shape (..., buyers).

        Where the claims of a pool do not add up to a positive number, its shares stay.

        Parameters
        ----------
        shares, bids
            Shape (..., buyers).
        pools
            Price and quantity of the pools, and how to spread what is of pools to their buyers.
        settings
            The settings of the mechanism; for several runs, with numbers of shape (runs, 1).
        """

    @classmethod
    def claim_recalling(
        cls,
        shares: np.ndarray,
        bids: np.ndarray,
        pools: PoolTerms,
        settings: Any,
        recalled: Recalled | None,
    ) -> np.ndarray:
        """:meth:`claim`, of buyers with foresight by expected bids and with momentum."""
        if recalled is None:
            return cls.claim(shares, bids, pools, settings)
        devices = foresight_of(settings)
        sign = pools.spread(np.sign(pools.price * pools.quantity))
        expected = expected_bids(bids, shares, recalled, sign, devices)
        return cls.claim(shares, expected, pools, settings) * momentum(shares, recalled, devices)

    # --- what follows from them -----------------------------------------------------------------

    @classmethod
    def pool_price(cls, shares: np.ndarray, bids: np.ndarray, quantity: Any) -> np.ndarray:
        """The price that one pool pays, money per unit, shape (..., 1).

        ``shares`` and ``bids`` have shape (..., buyers), ``quantity`` (units) (..., 1). The price
        is not a number where all is held by buyers who bid 0 and others bid more: the shares of
        these have underflowed.
        """
        price = cls.price_of(_total(cls.offer(shares, bids)), quantity)
        if np.any(price == 0.0):
            low, high = (each(bids, axis=-1, keepdims=True) for each in (np.min, np.max))
            price = np.where(is_lost(price, low, high), np.nan, price)
        return price

    @classmethod
    @np.errstate(all="ignore")
    def revised_shares(
        cls,
        shares: np.ndarray,
        bids: np.ndarray,
        quantity: Any,
        *,
        bidding: Any,
        settings: Any,
        priced: np.ndarray | None = None,
        recalled: Recalled | None = None,
    ) -> np.ndarray:
        """The next shares of one pool, shape (..., buyers).

        Parameters
        ----------
        shares, bids
            Shape (..., buyers).
        quantity
            Units on sale, shape (..., 1).
        bidding
            Mask of the buyers that have made a bid, shape (..., buyers), or True for all. A firm
            that has not observed a price of its own good has made none, and keeps its share.
        settings
            The settings of the mechanism; for several runs, with numbers of shape (runs, 1).
        priced
            The shares by which the pool's price is formed, if not ``shares``.
        recalled
            What the buyers recall, if they have foresight.
        """
        price = cls.pool_price(shares if priced is None else priced, bids, quantity)
        claims = cls.claim_recalling(shares, bids, PoolTerms(price, quantity), settings, recalled)
        held = shares
        if bidding is not True:
            claims, held = np.where(bidding, claims, 0.0), np.where(bidding, shares, 0.0)
        total = _total(claims)
        valid = total > 0.0
        revised = claims * (_total(held) / np.where(valid, total, 1.0))
        chosen = bidding & valid
        return revised if chosen.all() else np.where(chosen, revised, shares)

    @classmethod
    def prices_paid(cls, economy: Economy, state: State) -> np.ndarray:
        """The price of each pool that pays, and 0 for the others, money per unit, (pools,)."""
        buyers = economy.buyers
        sizes = np.diff(buyers.starts, append=buyers.size)
        prices = np.empty(len(sizes))
        alone = sizes == 1  # all of a nonrival good's, where each line is one firm
        first, quantities = buyers.starts[alone], state.quantities[buyers.pool_good]
        shares, bids = state.shares[first, None], state.bids[first, None]
        prices[alone] = cls.pool_price(shares, bids, quantities[alone, None])[:, 0]
        for k in np.flatnonzero(~alone):
            own = buyers.pools[k].buyers
            prices[k] = cls.pool_price(state.shares[own], state.bids[own], quantities[[k]])[0]
        return np.where(pays(economy), prices, 0.0)

    def traded(self) -> tuple[np.ndarray, Any]:
        """The shares, (buyers,), and the quantity, units, that are priced."""
        return self.shares, self.quantity

    def form_price(self) -> None:
        """Set the price to the sum of what the paying pools pay."""
        shares, quantity = self.traded()
        pools = [
            self.pool_price(shares[pool], self.bids[pool], quantity)[0] for pool in self.paying
        ]
        price = sum(pools, np.float64(0.0))
        lowest, highest = self.bids.min(), self.bids.max()
        if self.checked and cannot_allocate(quantity, lowest, highest, before=self.price):
            raise self.refusal(self.good, quantity, self.bids, self.buyer_name)
        self.price = price
        self.priced = any(self.bidding[pool].any() for pool in self.paying)

    def reallocate(self) -> None:
        """Revise the shares of each pool of several buyers."""
        shares, quantity = self.traded()
        past, before = self.past, self.shares if self.past is None else self.shares.copy()
        for pool in self.pools:
            if pool.stop - pool.start > 1:
                self.shares[pool] = self.revised_shares(
                    self.shares[pool],
                    self.bids[pool],
                    quantity,
                    bidding=True if self.bidding[pool].all() else self.bidding[pool],
                    settings=self.settings,
                    priced=shares[pool],
                    recalled=None if past is None else past.at(pool),
                )
        self.past = past and past.after(before, self.bids)


def _total(values: np.ndarray) -> Any:
    return np.sum(values, axis=-1, keepdims=True)
