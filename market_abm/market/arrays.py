"""The array engine: the market as vectorized operations, for many runs or millions of firms.

It has the phases of ``model.py`` and calls the same rules (``behaviour.py``, ``mechanisms/``), with
a leading axis of runs. Tests hold the two engines together, step by step, to 1e-12.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal

import numpy as np

from market_abm.economy import curves
from market_abm.economy.buyers import cached_parts
from market_abm.economy.economy import Economy
from market_abm.economy.industry import Industry, production
from market_abm.economy.production import Batch
from market_abm.errors import MarketError, SettingError
from market_abm.market import behaviour
from market_abm.market.base import MarketSettings, cannot_allocate, paying
from market_abm.market.one_good import price_lag
from market_abm.market.state import State, at_step, initial_state_error

ACTIVATIONS = ("simultaneous", "sequential")
"""The activations that the array engine has."""

MEMORY = ("shares", "bids", "products", "quantities", "prices", "offers")
"""The state variables on which the next step depends."""


class ArrayEngine:
    """Runs of a market, one a row, that share one structure and differ in their numbers.

    Arrays have shape (runs, goods) or (runs, buyers); the longer axis is contiguous. ``state`` is
    observed at the end of a step, before shares are revised for the next one. ``failed`` maps the
    rows that cannot continue to their errors; their numbers have no meaning from then on.

    Parameters
    ----------
    economies, settings, seeds
        One entry for each run.

    Raises
    ------
    MarketError
        The mechanism cannot run the economy, or the activation is ``random``.
    """

    own: ClassVar[tuple[str, ...]] = ()
    """Further state variables of a mechanism: names of arrays with a leading axis of runs."""

    mechanism: type[Any]

    def __init__(
        self,
        economies: Sequence[Economy],
        settings: Sequence[MarketSettings],
        seeds: Sequence[int],
    ) -> None:
        self.economy = Economy.vectorized(economies)
        self.settings: Any = type(settings[0]).vectorized(settings)
        self.mechanism = self.settings.rules
        self.mechanism.check(self.economy, self.settings)
        if self.settings.activation not in ACTIVATIONS:
            raise SettingError(
                f"market.activation is '{self.settings.activation}' with engine = \"arrays\"",
                remedy='firms that act one by one need engine = "agents"',
                name="market.activation",
            )
        self.clock = 0
        self.failed: dict[int, MarketError] = {}
        self._noise = [
            np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(2,))) for seed in seeds
        ]
        self._create_arrays(len(economies))
        with np.errstate(all="ignore"):
            self._start()
            self._observe()
        self._check_start(economies)

    def _create_arrays(self, runs: int) -> None:
        economy, buyers = self.economy, self.economy.buyers
        longest = max((p.buyers.stop - p.buyers.start for p in buyers.pools), default=1)
        order: Literal["C", "F"] = "F" if runs > longest else "C"

        def empty(columns: int) -> np.ndarray:
            return np.zeros((runs, columns), order=order)

        self.shares, self.bids, self.products = (empty(buyers.size) for _ in range(3))
        self.shares[:] = buyers.initial_shares
        self.quantities, self.prices = (empty(len(economy.goods)) for _ in range(2))
        self.offers = empty(len(economy.supply))
        for k, supply in enumerate(economy.supply.values()):
            self.offers[:, k : k + 1] = supply.quantity
        self.reference = np.full((runs, len(economy.demand)), np.nan)
        self._priced = np.zeros(len(economy.goods), bool)  # the same in all runs
        self._price_history: list[tuple[np.ndarray, np.ndarray]] = []
        self._bidding: set[str] = set()  # goods whose firms have made bids
        self._delivered: dict[str, list[np.ndarray]] = {}
        self._delivered_at = 0  # the step; -1 if the state was set
        self._outputs = {  # of firms with market power
            i.good: np.zeros((runs, i.firms))
            for i in economy.topological_order
            if i.population.conduct == "cournot"
        }
        self._shocks = np.zeros((runs, 0))

    def _observe(self) -> None:
        """Record the observable state, before shares are revised."""
        self.state = State(
            step=self.clock,
            quantities=self.quantities.copy(order="K"),
            prices=self.prices.copy(order="K"),
            inputs=self._inputs_used(),
            shares=self.shares.copy(order="K"),
            bids=self.bids.copy(order="K"),
        )

    def _inputs_used(self) -> np.ndarray:
        """Inputs of the batch on sale, units, shape (runs, buyers)."""
        inputs = np.empty_like(self.shares)
        for industry in self.economy.topological_order:
            uses = self._uses(industry, slice(0, industry.firms))
            for use, quantity in zip(uses, self._delivered[industry.good], strict=True):
                if isinstance(use, slice):
                    np.multiply(self.shares[:, use], quantity, out=inputs[:, use])
                else:
                    inputs[:, use] = self.shares[:, use] * quantity
        return inputs

    @property
    def memory(self) -> dict[str, np.ndarray]:
        """Copies of the state variables (``MEMORY``), by name, as observed.

        ``shares``, ``bids`` and ``products`` (``Market.as_bid`` of marginal products of the last
        batch) have shape (runs, buyers), ``quantities`` (units) and ``prices`` (money per unit)
        (runs, goods), ``offers`` (units) (runs, suppliers). Setting some or all of them puts the
        market into a state in which every good has a price and every firm has bid.
        """
        arrays = {name: getattr(self, name).copy(order="K") for name in MEMORY}
        return {**arrays, "shares": self.state.shares.copy(order="K")}

    @memory.setter
    def memory(self, memory: dict[str, np.ndarray]) -> None:
        for name, array in {"shares": self.state.shares, **memory}.items():
            getattr(self, name)[:] = array
        self._priced[:] = True
        self._delivered_at = -1
        self._bidding.update(industry.good for industry in self.economy.topological_order)
        with np.errstate(all="ignore"):
            self._observe()
            self._reallocate()

    @property
    def batch(self) -> Batch | None:
        """What firms made of the inputs of the batch on sale, valid until the next step.

        None if that is not what the engine holds: bids are money, or the state was set.
        """
        if self.mechanism.bids_are_money or self._delivered_at != self.clock:
            return None
        uses = self.economy.uses
        delivered = np.empty((len(self.shares), len(uses)))
        for industry in self.economy.topological_order:
            starts = [use.start for use in self.economy.buyers.uses[industry.good]]
            places = np.searchsorted(uses.buyers.starts, starts)
            parts = self._delivered[industry.good]
            if parts:
                delivered[:, places] = np.concatenate([p.reshape(len(p), -1) for p in parts], -1)
        return Batch(delivered, self.quantities, self.products)

    def keep(self, rows: np.ndarray) -> None:
        """Continue with a selection of runs; ``rows`` is a mask of shape (runs,)."""
        self.economy = self.economy.select_runs(rows)
        self.state = self.state.select_runs(rows)
        self.settings = self.settings.select_runs(lambda array: array[rows])
        self.failed = {}
        self._noise = [each for each, kept in zip(self._noise, rows, strict=True) if kept]
        for name in (*MEMORY, "reference", *self.own):
            array = getattr(self, name)
            setattr(self, name, np.asarray(array[rows], order="F" if array.flags.fnc else "C"))
        self._price_history = [(prices[rows], priced) for prices, priced in self._price_history]
        self._outputs = {good: made[rows] for good, made in self._outputs.items()}
        self._delivered = {
            good: [quantity[rows] for quantity in delivered]
            for good, delivered in self._delivered.items()
        }

    def change(self, economies: Sequence[Economy]) -> None:
        """Continue with the terms of other economies of the same structure, one for each run."""
        self.economy = Economy.vectorized(economies)
        for k, supply in enumerate(self.economy.supply.values()):
            offers = self.offers[:, k : k + 1]
            offers[:] = behaviour.renewed_offer(supply, offers)
        for k, demand in enumerate(self.economy.demand.values()):
            reference = self.reference[:, k : k + 1]
            reference[:] = curves.reference_quantity(demand, reference)

    @property
    def _noisy(self) -> bool:
        return any(np.any(i.population.bid_noise > 0) for i in self.economy.topological_order)

    # --- a step ---------------------------------------------------------------------------------

    @np.errstate(all="ignore")
    def step(self) -> None:
        """One step of every run."""
        self.clock += 1
        self._shocks = np.zeros((len(self.shares), 0))
        if self._noisy:
            self._shocks = np.array(
                [each.standard_normal(self.shares.shape[1]) for each in self._noise]
            )
        if self.settings.activation == "simultaneous":
            self._simultaneous()
        else:
            self._sequential()
        self._delivered_at = self.clock
        self._observe()
        self._reallocate()

    def _simultaneous(self) -> None:
        """All firms update bids, produce and trade, given the prices of the previous step."""
        self._revise_offers()
        quantities = np.empty_like(self.quantities)
        quantities[:, : self.offers.shape[1]] = self.offers
        for industry in self.economy.topological_order:
            made = self._work(industry, update_bids=True)
            quantities[:, self.economy.index[industry.good]] = made
        self._put_on_sale(quantities)
        self._form_prices()

    def _put_on_sale(self, made: np.ndarray) -> None:
        """Set the quantities on sale to those just ``made`` or offered, (runs, goods)."""
        self.quantities = made

    def _sequential(self) -> None:
        """Firms produce in downstream order; then bids and prices are updated in upstream order."""
        self._revise_offers()
        self._forward_pass()
        for industry in reversed(self.economy.topological_order):
            self._form_price(industry.good)
            for places in self._parts(industry):
                self._update_bids(industry, places)
            self._note_bids(industry)
        self._form_prices()

    def _form_prices(self) -> None:
        for good in self.economy.goods:
            self._form_price(good)
        self._record_prices()

    def _record_prices(self) -> None:
        """Append the prices to the history, for agents that observe lagged prices."""
        if self.settings.lag:
            self._price_history.append((self.prices.copy(order="K"), self._priced.copy()))
            del self._price_history[: -self.settings.lag - 1]

    def _observed_price(self, k: int, ago: int) -> tuple[np.ndarray, bool]:
        """The price of good k recorded ``ago`` entries ago, and whether there was one."""
        if ago == 0:
            prices, priced = self.prices, self._priced
        elif ago <= len(self._price_history):
            prices, priced = self._price_history[-ago]
        else:
            return np.zeros((len(self.shares), 1)), False
        return prices[:, k : k + 1], bool(priced[k])

    def _observed_price_of(self, industry: Industry) -> tuple[np.ndarray, bool]:
        """The price of their good that the firms of an industry observe."""
        recorded = self.settings.activation == "simultaneous"
        ago = price_lag(self.settings.lag, recorded=recorded)
        return self._observed_price(self.economy.index[industry.good], ago)

    # --- phases ---------------------------------------------------------------------------------

    def _start(self) -> None:
        """Step 0: quantities from one forward pass, then one trade at bids of zero."""
        for component in self.economy.components:
            if self.economy.is_loop(component):
                for industry in component:
                    guess = industry.population.start * industry.weights
                    self.quantities[:, self.economy.index[industry.good]] = guess.sum(axis=-1)
        self._forward_pass()
        self._form_prices()

    def _forward_pass(self) -> None:
        """Industries, in topological order, buy inputs, produce and offer."""
        self.quantities[:, : self.offers.shape[1]] = self.offers
        for industry in self.economy.topological_order:
            self.quantities[:, self.economy.index[industry.good]] = self._work(industry)

    def _work(self, industry: Industry, *, update_bids: bool = False) -> np.ndarray:
        """Update bids if asked, buy inputs and produce; the output of the industry, (runs,)."""
        bought = self.economy.buyers.bought[industry.good]
        if industry.technology.vectorized:
            delivered = [self.quantities[:, bought, None]]
        else:
            delivered = [self.quantities[:, k : k + 1].copy() for k in bought.tolist()]
        self._delivered[industry.good] = delivered
        total = np.zeros(len(self.shares))
        for places in self._parts(industry):
            if update_bids:
                self._update_bids(industry, places)
            total += self._produce(industry, places, delivered)
        if update_bids:
            self._note_bids(industry)
        return total

    def _parts(self, industry: Industry) -> Iterator[slice]:
        """The firms of an industry in parts that fit into the cache."""
        width = len(industry.technology.inputs) if industry.technology.vectorized else 1
        return cached_parts((len(self.shares) * max(1, width), industry.firms))

    def _uses(self, industry: Industry, places: slice) -> Sequence[slice | np.ndarray]:
        """The places of these firms among the buyers, for each input.

        A vectorized line has one entry for all inputs, of shape (inputs, firms): arrays over
        buyers are then indexed to shape (runs, inputs, firms).
        """
        if industry.technology.vectorized:
            return [self.economy.buyers.of_industry[industry.good][:, places]]
        uses = self.economy.buyers.uses[industry.good]
        return [slice(use.start + places.start, use.start + places.stop) for use in uses]

    def _update_bids(self, industry: Industry, places: slice) -> None:
        """Firms value the inputs of the batch just sold, and revise their bids."""
        price, priced = self._observed_price_of(industry)
        if not priced:
            return
        revenue = self._marginal_revenue(industry, places, price)
        noise = np.asarray(industry.population.bid_noise)
        rate = np.asarray(getattr(self.settings, "bid_rate", np.ones((1, 1))))
        if industry.technology.vectorized:  # (runs, inputs, firms)
            revenue, noise, rate = (each[:, None] for each in (revenue, noise, rate))
        for use in self._uses(industry, places):
            value = behaviour.marginal_revenue_products(revenue, self.products[:, use])
            if self._shocks.size:
                value = behaviour.noisy_valuation(value, noise, self._shocks[:, use])
            self.bids[:, use] = behaviour.revised_bid(self.bids[:, use], value, rate)

    def _marginal_revenue(self, industry: Industry, places: slice, price: np.ndarray) -> np.ndarray:
        """The marginal revenue of these firms, money per unit."""
        k = self.economy.index[industry.good]
        if industry.good not in self._outputs:
            return price
        n = list(self.economy.demand).index(industry.good)
        quantity, reference = self.quantities[:, k : k + 1], self.reference[:, n : n + 1]
        demand = self.economy.demand[industry.good]
        elasticity = curves.demand_elasticity(demand, reference, quantity)
        share = self._outputs[industry.good][:, places] / quantity
        return behaviour.marginal_revenue(price, share, elasticity)

    def _note_bids(self, industry: Industry) -> None:
        """Note that the firms have made bids, if they observe a price of their good."""
        if self._observed_price_of(industry)[1]:
            self._bidding.add(industry.good)

    def _produce(
        self, industry: Industry, places: slice, delivered: list[np.ndarray]
    ) -> np.ndarray:
        """Firms make their good from their purchases; their total output, shape (runs,)."""
        uses = self._uses(industry, places)
        inputs = [self.shares[:, u] * quantity for u, quantity in zip(uses, delivered, strict=True)]
        vectorized = industry.technology.vectorized
        output, products = production(
            industry.technology,
            inputs[0].swapaxes(0, 1) if vectorized else inputs,
            industry.weights[:, places],
            industry.productivity[:, places],
        )
        if vectorized:
            products = [products.swapaxes(0, 1)]
        if industry.good in self._outputs:
            self._outputs[industry.good][:, places] = output
        for use, product, units in zip(uses, products, inputs, strict=True):
            self.products[:, use] = self.mechanism.as_bid(product, units)
        return np.broadcast_to(output, (len(self.shares), places.stop - places.start)).sum(axis=-1)

    def _revise_offers(self) -> None:
        for k, terms in enumerate(self.economy.supply.values()):
            price, priced = self._observed_price(k, price_lag(self.settings.lag, recorded=True))
            if priced:
                offers = self.offers[:, k : k + 1]
                offers[:] = behaviour.revised_offer(terms, offers, price)

    def _form_price(self, good: str) -> None:
        """Form the price of one good from current bids and offers."""
        economy, k = self.economy, self.economy.index[good]
        if good in economy.demand:
            n = list(economy.demand).index(good)
            amount, reference = self.quantities[:, k : k + 1], self.reference[:, n : n + 1]
            if self.clock == 0:
                reference[:] = curves.reference_quantity(economy.demand[good], amount)
            price = curves.demand_price(economy.demand[good], reference, amount)
            self.prices[:, k : k + 1] = price
            self._priced[k] = True
            return
        every = [pool.buyers for pool in economy.buyers.pools_of[k]]
        pools = paying(every, external=economy.reuse[good] == "external")
        total = np.zeros((len(self.shares), 1))
        for pool in pools:
            total += self.mechanism.pool_price(
                self.shares[:, pool], self.bids[:, pool], self.quantities[:, k : k + 1]
            )
        if economy.is_divided(good) or self.mechanism.requires_positive:
            all_bid = all(np.all(self._has_bid(pool)) for pool in every)
            buyers = slice(every[0].start, every[-1].stop)
            self._check_allocation(good, total[:, 0], buyers, all_bid)
        self.prices[:, k : k + 1] = total
        self._priced[k] = any(np.any(self._has_bid(pool)) for pool in pools)

    def _check_allocation(self, good: str, price: np.ndarray, pool: slice, all_bid: bool) -> None:
        """Refuse the runs in which a good cannot be allocated."""
        k = self.economy.index[good]
        quantity, bids = self.quantities[:, k], self.bids[:, pool]
        before = self.prices[:, k]
        refused = cannot_allocate(quantity, bids, price, before=before, all_bid=all_bid)
        self._refuse(refused, good, bids)

    def _refuse(self, refused: np.ndarray, good: str, bids: np.ndarray) -> None:
        """Record the mechanism's error for the ``refused`` runs, a mask of shape (runs,)."""
        quantity = self.quantities[:, self.economy.index[good]]
        first = self.economy.buyers.slice_of(self.economy.index[good]).start
        for row in np.flatnonzero(refused).tolist():
            error = self.mechanism.refusal(
                good, quantity[row], bids[row], lambda buyer: self.economy.buyer_name(first + buyer)
            )
            self._fail(row, error)

    def _fail(self, row: int, error: MarketError) -> None:
        """Record the error of a run, unless it has failed before."""
        if row not in self.failed:
            self.failed[row] = at_step(error, self.economy, self.clock)

    def _has_bid(self, pool: slice) -> np.ndarray | Literal[True]:
        """Mask of the buyers of a pool that have made a bid, or True if all have."""
        if len(self._bidding) == len(self.economy.industries):
            return True
        uses = [(use, good in self._bidding) for use, good in self.economy.buyers.users[pool.start]]
        if all(bid for _, bid in uses):
            return True
        result = np.zeros(pool.stop - pool.start, bool)
        for use, bid in uses:
            result[use.start - pool.start : use.stop - pool.start] = bid
        return result

    def _reallocate(self) -> None:
        """Shares follow the bids in each pool of several buyers."""
        for pool in self.economy.buyers.shared_pools:
            bidding = self._has_bid(pool.buyers)
            if bidding is True or bidding.any():
                shares = self.shares[:, pool.buyers]
                self.mechanism.revised_shares(
                    shares,
                    self.bids[:, pool.buyers],
                    self.quantities[:, pool.good : pool.good + 1],
                    bidding=bidding,
                    settings=self.settings,
                    out=shares,
                )

    def _check_start(self, economies: Sequence[Economy]) -> None:
        """Record the errors of the runs whose initial state is not finite."""
        state = self.state
        final = state.prices[:, self.economy.final]
        finite = np.all(np.isfinite(state.quantities), -1) & np.all(np.isfinite(final), -1)
        for row in np.flatnonzero(~finite).tolist():
            error = initial_state_error(economies[row], state.select_runs(row))
            if error:
                self._fail(row, error)
