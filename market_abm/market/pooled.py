"""Mechanisms in which bids alone form prices and shares."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.market.arrays import ArrayEngine
from market_abm.market.base import MarketSettings, Mechanism, cannot_allocate, pays
from market_abm.market.state import State


class PooledMarket(Mechanism):
    """A market in which bids alone form the price and the shares.

    A subclass defines the bid (:meth:`as_bid`), the price of a pool (:meth:`pool_price`) and its
    shares (:meth:`revised_shares`). These rules take the arrays of one pool, of shape
    (..., buyers); the array engine calls them with a leading axis of runs.
    """

    bids_form_prices = True

    @staticmethod
    def array_engine() -> type[ArrayEngine]:
        """The array engine, which calls the rules for several runs."""
        return ArrayEngine

    @classmethod
    def advice(cls, economy: Economy, settings: MarketSettings) -> str:
        """The stabilising hint if shares move; otherwise one for elastic suppliers."""
        if settings.shares_move and economy.buyers.shared_pools:
            return cls.stabilizing_hint
        if any(terms.elasticity > 0 for terms in economy.supply.values()):
            return "lower the supplier's adjustment"
        return ""

    # --- rules of a mechanism -------------------------------------------------------------------

    @staticmethod
    @abstractmethod
    def pool_price(shares: np.ndarray, bids: np.ndarray, quantity: Any) -> np.ndarray:
        """The price that one pool pays, money per unit, shape (..., 1).

        ``shares`` and ``bids`` have shape (..., buyers), ``quantity`` (units) (..., 1).
        """

    @staticmethod
    @abstractmethod
    def revised_shares(
        shares: np.ndarray,
        bids: np.ndarray,
        quantity: Any,
        *,
        bidding: Any,
        settings: Any,
        out: np.ndarray | None = None,
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
        out
            Where to write the result; it may be ``shares``.
        """

    # --- what follows from them -----------------------------------------------------------------

    @classmethod
    def prices_paid(cls, economy: Economy, state: State) -> np.ndarray:
        """The price of each pool that pays, and 0 for the others, money per unit, (pools,)."""
        prices = [
            cls.pool_price(
                state.shares[pool.buyers], state.bids[pool.buyers], state.quantities[[pool.good]]
            )[0]
            for pool in economy.buyers.pools
        ]
        return np.where(pays(economy), prices, 0.0)

    def form_price(self) -> None:
        """Set the price to the sum of what the paying pools pay."""
        pools = [
            self.pool_price(self.shares[pool], self.bids[pool], self.quantity)[0]
            for pool in self.paying
        ]
        price = sum(pools, np.float64(0.0))
        if self.checked and cannot_allocate(
            self.quantity, self.bids, price, before=self.price, all_bid=bool(self.bidding.all())
        ):
            raise self.refusal(self.good, self.quantity, self.bids, self.buyer_name)
        self.price = price
        self.priced = any(self.bidding[pool].any() for pool in self.paying)

    def reallocate(self) -> None:
        """Revise the shares of each pool of several buyers."""
        for pool in self.pools:
            if pool.stop - pool.start > 1:
                self.shares[pool] = self.revised_shares(
                    self.shares[pool],
                    self.bids[pool],
                    self.quantity,
                    bidding=True if self.bidding[pool].all() else self.bidding[pool],
                    settings=self.settings,
                )
