"""The pools of several goods and runs: prices, refusals and shares, each for all at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.language.segments import BLOCK, Block, Places, Segments, gather, neighbours
from market_abm.language.threads import Threads
from market_abm.market.base import Mechanism, cannot_allocate, pays
from market_abm.market.foresight import Past

SharedBlock = tuple[Block, np.ndarray | None]
"""Buyers, and a mask of those that are alone in their pools, if any."""


class PoolTerms:
    """What a buyer knows of its pool.

    Attributes
    ----------
    price, quantity
        Money per unit, and units, of each pool, shape (..., pools).
    spread
        ``spread(values)`` are values of the pools, of that shape, for each buyer, (..., buyers).
    """

    def __init__(
        self, price: Any, quantity: Any, spread: Callable[[Any], Any] = lambda values: values
    ) -> None:
        self.price, self.quantity, self.spread = price, quantity, spread


class Pools:
    """The pools of some goods.

    Parameters
    ----------
    economy
        The economy.
    rules
        The mechanism, of pooled bids.
    goods
        Indices in ``Economy.goods``, ascending; those without buyers are left out.
    runs
        The number of runs: blocks of buyers are such that the arrays of all fit into the cache.
    threads
        The threads that work on blocks.
    by_good
        Whether ``has_bid`` (below) is of the good that is bought, not of the makers of each good.

    Attributes
    ----------
    goods
        The goods, shape (goods,).
    places
        The same as places on an axis of goods.
    good
        The index in ``Economy.goods`` of the good of each pool, shape (pools,).
    pools
        The buyers, in segments by pool.
    """

    def __init__(
        self,
        economy: Economy,
        rules: type[Mechanism],
        goods: np.ndarray,
        runs: int,
        threads: Threads,
        *,
        by_good: bool = False,
    ) -> None:
        self._threads = threads
        buyers = economy.buyers
        chosen = _places(buyers.pool_good, goods)
        self.rules: Any = rules
        self.good = buyers.pool_good[chosen]
        sizes = np.diff(buyers.starts, append=buyers.size)[chosen]
        self.pools = Segments.of_sizes(sizes)
        self.shared = sizes > 1
        self.some_are_shared = bool(self.shared.any())
        first = np.flatnonzero(np.diff(self.good, prepend=-1))
        self.goods = self.good[first]
        self.places = neighbours(self.goods)
        self.by_good = Segments(first, len(self.good))
        paying = pays(economy)[chosen]
        self._paying = None if np.all(paying) else paying
        self._checked = np.array(
            [rules.requires_positive or economy.is_divided(economy.goods[k]) for k in self.goods],
            bool,
        )
        self._some_are_checked = bool(self._checked.any())
        starts, bought, makers = buyers.places_of_uses
        of_pools = buyers.pools_of_uses
        own = _places(of_pools, chosen)
        self._bidders = (bought if by_good else makers)[own]
        self._sizes_of_uses = np.diff(starts, append=buyers.size)[own]
        self._uses_of_pools = Segments(np.flatnonzero(np.diff(of_pools[own], prepend=-1)), len(own))
        offset = buyers.starts[chosen] - self.pools.starts
        self._held: np.ndarray | None = None  # the sum of shares of each pool, which stays
        self._bid_sums: np.ndarray | None = None  # of the last prices, if offers are bids
        self._all_bid = False  # once all have bid, they always have
        alone = np.repeat(~self.shared, sizes)
        self._blocks: list[tuple[Block, Places]] = []
        self._shared_blocks: list[SharedBlock] = []
        for block in self.pools.blocks(max(1, 2 * BLOCK // runs)):  # of few arrays
            inside = block.segments_inside
            places = np.repeat(offset[block.segments], inside.sizes) + np.arange(
                block.elements.start, block.elements.stop
            )
            self._blocks.append((block, neighbours(places)))
            if self.shared[block.segments].any():
                own = alone[block.elements]
                self._shared_blocks.append((block, own if own.any() else None))
        self._buyers = neighbours(np.repeat(offset, sizes) + np.arange(self.pools.size))

    def prices(
        self, shares: np.ndarray, bids: np.ndarray, quantities: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The price of each pool, (runs, pools), and of each of the goods, (runs, goods).

        ``shares`` and ``bids`` have shape (runs, buyers), ``quantities`` (runs, all goods).
        """
        sums = _room(bids, len(self.pools.leaves))
        others: list[Block] = []

        def add_offers(part: tuple[Block, Places]) -> None:
            block, places = part
            bid = gather(bids, places)
            offer = self.rules.offer(gather(shares, places), bid)
            block.reduce_into(sums, offer)
            if offer is not bid:
                others.append(block)

        self._threads.run_all(add_offers, self._blocks, bids.size)
        self._bid_sums = None if others else sums
        price = self.rules.price_of(self.pools.of_leaves(sums), gather(quantities, self.good))
        if (price == 0.0).any():
            lost = is_lost(price, self._least(bids), self._least(bids, np.maximum))
            price = np.where(lost, np.nan, price)
        paid = price if self._paying is None else np.where(self._paying, price, 0.0)
        return price, self.by_good.total(paid)

    def refused(
        self, bids: np.ndarray, quantities: np.ndarray, before: np.ndarray
    ) -> np.ndarray | None:
        """Mask of the goods that cannot be split, (runs, goods), or None if that is not asked.

        ``before`` are the previous prices of all goods.
        """
        if not self._some_are_checked:
            return None
        quantity = gather(quantities, self.places)
        if bids.min() > 0.0 and quantity.min() > 0.0:  # the usual case
            return None
        lowest = highest = self.by_good.lowest(self._least(bids))
        if np.any(lowest == 0.0):
            highest = self.by_good.highest(self._least(bids, np.maximum))
        price = gather(before, self.goods)
        refused = cannot_allocate(quantity, lowest, highest, before=price)
        return refused & self._checked

    def priced(self, has_bid: np.ndarray) -> np.ndarray | Literal[True]:
        """Whether any buyer that pays for a good has bid, shape (goods,), or one for all."""
        if self._have_all_bid(has_bid):
            return True
        of_pools = self._uses_of_pools.highest(has_bid[self._bidders])
        if self._paying is not None:
            of_pools = of_pools & self._paying
        return self.by_good.highest(of_pools)

    def bidding(self, has_bid: np.ndarray) -> np.ndarray | None:
        """Mask of the buyers that have made a bid, shape (buyers,), or None if all have.

        ``has_bid`` says so of the makers of each good, shape (all goods,).
        """
        if self._have_all_bid(has_bid):
            return None
        return np.repeat(has_bid[self._bidders], self._sizes_of_uses)

    def _have_all_bid(self, has_bid: np.ndarray) -> bool:
        """Whether every buyer has made a bid."""
        if not self._all_bid:
            self._all_bid = bool(np.all(has_bid[self._bidders]))
        return self._all_bid

    def reallocate(
        self,
        shares: np.ndarray,
        bids: np.ndarray,
        price: np.ndarray,
        quantities: np.ndarray,
        bidding: np.ndarray | None,
        settings: Any,
        revised: np.ndarray,
        past: Past | None = None,
    ) -> None:
        """Revise shares in all pools of several buyers (``PooledMarket.revised_shares``).

        These are the pools of all goods.

        Parameters
        ----------
        shares, bids
            Shape (runs, buyers).
        price
            Of each pool, shape (runs, pools), as :meth:`prices` found it last.
        quantities
            Units of all goods, shape (runs, all goods).
        bidding
            As of :meth:`bidding`.
        settings
            The settings of the mechanism.
        revised
            Where the next shares are written, in the shape of ``shares``.
        past
            What buyers remember, if they have foresight.
        """
        quantity = gather(quantities, self.good)
        total = _room(bids, len(self.pools.leaves))
        total[:] = 1.0  # where nobody shares
        found: dict[Block, np.ndarray] = {}
        held = None if bidding is None else _room(bids, len(self.pools.leaves))

        def add_claims(part: SharedBlock) -> None:
            block, alone = part
            own, bid = shares[..., block.elements], bids[..., block.elements]
            of_pools = price[..., block.segments], quantity[..., block.segments]
            terms = PoolTerms(*of_pools, block.segments_inside.spread)
            claim = self.rules.claim_recalling(
                own, bid, terms, settings, past and past.at(block.elements)
            )
            if alone is not None:  # all of it is theirs, whatever they bid
                claim = np.where(alone, own, claim)
            if held is not None and bidding is not None:
                claim = np.where(bidding[block.elements], claim, 0.0)
                own = np.where(bidding[block.elements], own, 0.0)
                block.reduce_into(held, own)
            if claim is bid and self._bid_sums is not None:
                total[..., block.leaves] = self._bid_sums[..., block.leaves]
            else:
                block.reduce_into(total, claim)
            found[block] = bid
            if claim is not bid:
                found[block] = revised[..., block.elements]
                found[block][...] = claim

        self._threads.run_all(add_claims, self._shared_blocks, bids.size)
        sums = self.pools.of_leaves(total)
        valid = sums > 0.0
        all_valid = valid.all()
        factor = self._parts(shares, held) / (sums if all_valid else np.where(valid, sums, 1.0))

        def revise(part: SharedBlock) -> None:
            block, _ = part
            own = revised[..., block.elements]
            np.multiply(found[block], block.spread(factor), out=own)
            if bidding is not None or not all_valid:
                moving = block.spread(valid) & (
                    True if bidding is None else bidding[block.elements]
                )
                np.copyto(own, shares[..., block.elements], where=~moving)

        self._threads.run_all(revise, self._shared_blocks, bids.size)

    def _parts(self, shares: np.ndarray, held: np.ndarray | None) -> np.ndarray:
        """What of each pool is held by those that bid: 1, or sums of the leaves ``held``."""
        if held is not None:
            return self.pools.of_leaves(held)
        if self._held is None:
            self._held = self.pools.total(gather(shares, self._buyers))
        return self._held

    def take_shares(self, other: Pools, rows: np.ndarray) -> None:
        """Take the sums of shares from the pools of more runs, of which these are some."""
        self._held = None if other._held is None else other._held[rows]

    def forget_shares(self) -> None:
        """Sum the shares of pools anew: they are given from outside."""
        self._held = None

    def _least(self, bids: np.ndarray, ufunc: np.ufunc = np.minimum) -> np.ndarray:
        """The least bid of each pool, (runs, pools); or the largest, by ``np.maximum``."""
        reduced = _room(bids, len(self.pools.leaves))
        for block, places in self._blocks:
            block.reduce_into(reduced, gather(bids, places), ufunc)
        return self.pools.of_leaves(reduced, ufunc)


def _room(like: np.ndarray, columns: int) -> np.ndarray:
    """A new array of shape (runs, columns) in the order of memory of another."""
    return np.empty((len(like), columns), order="F" if like.flags.fnc else "C")


def is_lost(price: Any, lowest: Any, highest: Any) -> Any:
    """Whether a price of 0 is the sum of underflows: some bid more than 0, and none less."""
    return (price == 0.0) & (lowest >= 0.0) & (highest > 0.0)


def _places(ascending: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The places of some values, ascending, too, in an ascending array."""
    first = np.searchsorted(ascending, values)
    sizes = np.searchsorted(ascending, values, side="right") - first
    return np.repeat(first - np.cumsum(sizes) + sizes, sizes) + np.arange(sizes.sum())
