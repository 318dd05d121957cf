"""What others see of a market in arrays: its state, its memory and what its firms have made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.economy.production import Batch
from market_abm.economy.slots import AnySlot
from market_abm.errors import MarketError
from market_abm.language.segments import gather, scatter
from market_abm.market.behaviour import net_value
from market_abm.market.foresight import REMEMBERED, Past, ages_of_values
from market_abm.market.layout import Layout
from market_abm.market.state import CurrentState, State, at_step, initial_state_errors

MEMORY = ("shares", "bids", "products", "quantities", "prices", "offers")
"""The state variables on which the next step depends."""

OF_PERIODS = ("price_totals", "price_counts")
"""And those of suppliers who keep an offer for several steps."""

Refusals = dict[int, tuple[int, MarketError]]
"""By run: a good that cannot be split, and its error."""

MAX_KEPT = 100_000
"""Numbers of an array over buyers up to which a state can be read after the next step."""


class ArrayState:
    """The observable side of the array engine (``arrays.py``), which moves these arrays.

    Arrays have shape (runs, goods) or (runs, buyers).
    """

    economy: Economy
    settings: Any
    mechanism: type[Any]
    clock: int
    failed: dict[int, MarketError]
    shares: np.ndarray
    bids: np.ndarray
    quantities: np.ndarray
    prices: np.ndarray
    price_totals: np.ndarray
    _products: np.ndarray
    _used: tuple[np.ndarray, np.ndarray]
    _late: np.ndarray
    _priced: np.ndarray
    _has_bid: np.ndarray
    _pool_prices: np.ndarray | None
    _layout: Layout
    _lent: set[str]
    _former: dict[str, np.ndarray]
    _pending: bool
    _set: bool
    _seen: State | None = None
    _past: Past | None = None
    _observed_past: Past | None = None
    """What buyers remembered before shares were revised: never another array in its place."""

    @property
    def state(self) -> State:
        """The observable state of the last step, before shares were revised."""
        if self._seen is None:
            self._seen = CurrentState(
                self.clock,
                self.quantities.copy(order="K"),
                self.prices.copy(order="K"),
                self._array_of_buyers,
            )
        return self._seen

    @state.setter
    def state(self, state: State) -> None:
        self._seen = state

    def _observe(self) -> None:
        """Let the observable state, when it is next read, be that of now."""
        self._seen = None
        self._observed_past = self._past

    def _array_of_buyers(self, name: str) -> np.ndarray:
        """An array of the state, shape (runs, buyers): ``inputs``, ``shares`` or ``bids``.

        The last two are the engine's own, which it copies before it changes them: never, if the
        run is over.
        """
        if name != "inputs":
            self._lent.add(name)
            return getattr(self, name)
        before, after = self._used
        units = self.economy.buyers.bought_of(after)
        if self._late.any():
            units = np.where(self._late, self.economy.buyers.bought_of(before), units)
        return self.shares * units

    @property
    def products(self) -> np.ndarray:
        """``Mechanism.as_bid`` of the marginal products of the batch on sale, (runs, buyers)."""
        products = np.empty_like(self._products)
        scatter(products, self.economy.network.entries, self._products)
        return products

    @products.setter
    def products(self, products: np.ndarray) -> None:
        self._products[:] = gather(products, self.economy.network.entries)

    @property
    def memory(self) -> dict[str, np.ndarray]:
        """Copies of the state variables (``MEMORY``), by name, as observed.

        Arrays over buyers, goods and (``offers``) suppliers, with a leading axis of runs, and what
        buyers remember (``Past.arrays``). Setting some or all of them puts the market into a state
        in which every good has a price and every firm has bid. If the past is not set, shares and
        bids have not moved.
        """
        names = (*MEMORY, *(OF_PERIODS if self.price_totals.size else ()))
        arrays = {name: getattr(self, name).copy(order="K") for name in names}
        past = self._observed_past.arrays if self._observed_past else {}
        copies = {name: each.copy() for name, each in past.items()}
        return {**arrays, "shares": self.state.shares.copy(order="K"), **copies}

    @memory.setter
    def memory(self, memory: dict[str, np.ndarray]) -> None:
        self._recall(memory)

    def _recall(self, memory: dict[str, np.ndarray]) -> None:
        memory = {"shares": self.state.shares, **memory}
        self._copy_lent()
        for name, array in memory.items():
            if name == "products":
                self.products = array
            elif name not in REMEMBERED:
                getattr(self, name)[:] = array
        past = self._unmoved()
        self._past = past and past.replaced({**past.arrays, **memory})
        self._priced[:] = True
        self._has_bid[len(self.economy.supply) :] = True
        self._pool_prices = None
        self._former.clear()
        self._layout.pools.forget_shares()
        self._observe()
        self._pending = self._set = True

    @property
    def batch(self) -> Batch | None:
        """What firms made of the inputs of the batch on sale.

        None if that is not what the engine holds: bids are money, or the state was set.
        """
        if self.mechanism.bids_are_money or self._set:
            return None
        uses, (before, after) = self.economy.uses, self._used
        delivered = gather(after, uses.good)
        if np.any(self._late):
            late = self._late[uses.buyers.starts]
            delivered = np.where(late, gather(before, uses.good), delivered)
        in_order = isinstance(self.economy.network.entries, slice)
        products = self._products if in_order else self.products
        return Batch(delivered, self.quantities, self.shares, products)

    def _net(self, slot: AnySlot, values: np.ndarray) -> np.ndarray:
        """What buyers can pay sellers for inputs of these ``values``, one an entry."""
        net = self.economy.net_of_buyers
        return values if net is None else net_value(values, slot.of(net))

    def _replace(self, name: str) -> np.ndarray:
        """Continue with other room for an array; return the array, which stays for a step."""
        array = getattr(self, name)
        room = self._former.pop(name, None)
        setattr(self, name, array.copy(order="K") if room is None else room)
        if name not in self._lent:  # else a state keeps it
            self._former[name] = array
        self._lent.discard(name)
        return array

    def _unmoved(self) -> Past | None:
        """What buyers remember if shares and bids have not moved; None if nothing."""
        ages = ages_of_values(self.economy, self.settings)
        return Past.begin(self.settings, self.shares, self.bids, ages)

    def _copy_lent(self) -> None:
        """Leave the arrays that a state holds to it, and continue with copies."""
        for name in self._lent:
            setattr(self, name, getattr(self, name).copy(order="K"))
        self._lent.clear()

    def release(self) -> None:
        """Let go of the last state, so that a market that nobody has any more is freed."""
        if isinstance(self.state, CurrentState):
            self.state.leave(keep=self.shares.size <= MAX_KEPT)

    def _fail(self, row: int, error: MarketError) -> None:
        """Record the error of a run, unless it has failed before."""
        if row not in self.failed:
            remedy = self.settings.rules.budget_remedy
            self.failed[row] = at_step(error, self.economy, self.clock, remedy)

    def _check_start(self, economies: Sequence[Economy]) -> None:
        """Record the errors of the runs whose initial state is not finite."""
        for row, error in initial_state_errors(economies, self.state).items():
            self._fail(row, error)
