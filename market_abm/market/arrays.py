"""The market on whole arrays: thousands of runs side by side, or one of millions of firms.

The same phases as ``model.py``, by the same rules (``behaviour.py``, ``markets/``), with a
leading axis of runs. ``tests/test_twins.py`` holds the two together, step by step, to 1e-12.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal

import numpy as np

from market_abm.economy import curves
from market_abm.economy.buyers import cached_parts
from market_abm.economy.economy import Economy
from market_abm.economy.industry import Industry, production
from market_abm.errors import MarketError, SettingError
from market_abm.market import behaviour
from market_abm.market.base import MarketSettings, cannot_allocate, paying, price_lag
from market_abm.market.state import State, start_trouble, told_at

ACTIVATIONS = ("simultaneous", "sequential")


MEMORY = ("shares", "bids", "products", "quantities", "prices", "offers")


class ArrayEngine:
    """Runs of a market, one a row, all of one structure but each with its own numbers.

    ``economies``, ``settings`` and ``seeds`` have one entry a run. Arrays have shape (runs, goods)
    or (runs, buyers), and the longer axis is contiguous. ``failed`` says which rows cannot go on,
    and why; their numbers mean nothing from then on.

    ``state`` is observed at the end of a step, before the shares are revised for the next one.

    Raises:
        SettingError: the activation is one that needs one agent after the other.
    """

    own: ClassVar[tuple[str, ...]] = ()
    """Arrays with a leading axis of runs that a mechanism has of its own."""

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
                remedy='firms who act one by one need engine = "agents"',
                name="market.activation",
            )
        self.clock = 0
        self.failed: dict[int, MarketError] = {}
        self._noise = [
            np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(2,))) for seed in seeds
        ]
        self._lay_out(len(economies))
        with np.errstate(all="ignore"):
            self._start()
            self._observe()
        self._check_start(economies)

    def _lay_out(self, runs: int) -> None:
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
        self._priced = np.zeros(len(economy.goods), bool)  # it depends on the network alone
        self._price_history: list[tuple[np.ndarray, np.ndarray]] = []
        self._bidding: set[str] = set()  # industries that have heard a price, and so made bids
        self._delivered: dict[str, list[np.ndarray]] = {}
        self._outputs = {  # of the firms that mind their own share
            i.good: np.zeros((runs, i.firms))
            for i in economy.topological_order
            if i.population.conduct == "cournot"
        }
        self._shocks = np.zeros((runs, 0))

    def _observe(self) -> None:
        """Keep what can be observed now, before the shares in force are revised."""
        self.state = State(
            step=self.clock,
            quantities=self.quantities.copy(order="K"),
            prices=self.prices.copy(order="K"),
            inputs=self._inputs_used(),
            shares=self.shares.copy(order="K"),
            bids=self.bids.copy(order="K"),
        )

    def _inputs_used(self) -> np.ndarray:
        """What went into the batch on sale, units, shape (runs, buyers)."""
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
        """All that the next step builds on, by name, as it was observed: copies of ``MEMORY``.

        ``shares``, ``bids`` and ``products`` (of the last batch, as bids are quoted) have shape
        (runs, buyers), ``quantities`` (units) and ``prices`` (money per unit) (runs, goods),
        ``offers`` (units) (runs, suppliers). To set some or all of them is to put the market into
        a state in which every good has had a price and every firm has bid.
        """
        arrays = {name: getattr(self, name).copy(order="K") for name in MEMORY}
        return {**arrays, "shares": self.state.shares.copy(order="K")}

    @memory.setter
    def memory(self, memory: dict[str, np.ndarray]) -> None:
        for name, array in memory.items():
            getattr(self, name)[:] = array
        self._priced[:] = True
        self._bidding.update(industry.good for industry in self.economy.topological_order)
        with np.errstate(all="ignore"):
            self._observe()
            self._reallocate()

    def keep(self, rows: np.ndarray) -> None:
        """Go on with these runs only; ``rows`` is a mask of shape (runs,)."""
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
        """Go on with other numbers: economies of the same structure, one a run."""
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
        self._observe()
        self._reallocate()

    def _simultaneous(self) -> None:
        """Learn, produce, trade: all at once, on what was seen in the step before."""
        self._revise_offers()
        quantities = np.empty_like(self.quantities)
        quantities[:, : self.offers.shape[1]] = self.offers
        for industry in self.economy.topological_order:
            made = self._work(industry, learn=True)
            quantities[:, self.economy.index[industry.good]] = made
        self._put_on_sale(quantities)
        self._form_prices()

    def _put_on_sale(self, made: np.ndarray) -> None:
        """Sell what has just been ``made``, (runs, goods), or offered."""
        self.quantities = made

    def _sequential(self) -> None:
        """All firms, downstream, produce; then all, upstream, learn, and prices re-form at once."""
        self._revise_offers()
        self._flow_down()
        for industry in reversed(self.economy.topological_order):
            self._form_price(industry.good)
            for places in self._parts(industry):
                self._learn(industry, places)
            self._bid(industry)
        self._form_prices()

    def _form_prices(self) -> None:
        for good in self.economy.goods:
            self._form_price(good)
        self._remember()

    def _remember(self) -> None:
        """Keep the prices of the step that ends, for those who hear them late."""
        if self.settings.lag:
            self._price_history.append((self.prices.copy(order="K"), self._priced.copy()))
            del self._price_history[: -self.settings.lag - 1]

    def _heard(self, k: int, ago: int) -> tuple[np.ndarray, bool]:
        """The price of good k that was ``ago`` remembered steps ago, and whether there was any."""
        if ago == 0:
            prices, priced = self.prices, self._priced
        elif ago <= len(self._price_history):
            prices, priced = self._price_history[-ago]
        else:
            return np.zeros((len(self.shares), 1)), False
        return prices[:, k : k + 1], bool(priced[k])

    def _heard_by(self, industry: Industry) -> tuple[np.ndarray, bool]:
        """What an industry's firms hear of the price of their good."""
        late = self.settings.activation == "simultaneous"
        ago = price_lag(self.settings.lag, late=late)
        return self._heard(self.economy.index[industry.good], ago)

    # --- phases ---------------------------------------------------------------------------------

    def _start(self) -> None:
        """Step 0: quantities from one forward pass, then one trade at bids of zero."""
        for component in self.economy.components:
            if self.economy.is_loop(component):
                for industry in component:
                    guess = industry.population.start * industry.weights
                    self.quantities[:, self.economy.index[industry.good]] = guess.sum(axis=-1)
        self._flow_down()
        self._form_prices()

    def _flow_down(self) -> None:
        """One forward pass: industry by industry in flow order, produce and sell."""
        self.quantities[:, : self.offers.shape[1]] = self.offers
        for industry in self.economy.topological_order:
            self.quantities[:, self.economy.index[industry.good]] = self._work(industry)

    def _work(self, industry: Industry, *, learn: bool = False) -> np.ndarray:
        """All that the firms of an industry do with what was handed out; their output, (runs,)."""
        bought = self.economy.buyers.bought[industry.good]
        if industry.technology.vectorized:
            delivered = [self.quantities[:, bought, None]]
        else:
            delivered = [self.quantities[:, k : k + 1].copy() for k in bought.tolist()]
        self._delivered[industry.good] = delivered
        total = np.zeros(len(self.shares))
        for places in self._parts(industry):
            if learn:
                self._learn(industry, places)
            total += self._produce(industry, places, delivered)
        if learn:
            self._bid(industry)
        return total

    def _parts(self, industry: Industry) -> Iterator[slice]:
        """The firms of an industry, so many at a time that their numbers stay in cache."""
        width = len(industry.technology.inputs) if industry.technology.vectorized else 1
        return cached_parts((len(self.shares) * max(1, width), industry.firms))

    def _uses(self, industry: Industry, places: slice) -> Sequence[slice | np.ndarray]:
        """Where the buyers of these firms stand, for each input.

        Where the line takes its inputs stacked they are treated as one: places of shape
        (inputs, firms), so that numbers of buyers come as (runs, inputs, firms).
        """
        if industry.technology.vectorized:
            return [self.economy.buyers.of_industry[industry.good][:, places]]
        uses = self.economy.buyers.uses[industry.good]
        return [slice(use.start + places.start, use.start + places.stop) for use in uses]

    def _learn(self, industry: Industry, places: slice) -> None:
        """Firms value each input of the batch just sold, and revise their bids."""
        price, priced = self._heard_by(industry)
        if not priced:
            return
        revenue = self._marginal_revenue(industry, places, price)
        noise, rate = np.asarray(industry.population.bid_noise), np.asarray(self.settings.bid_rate)
        if industry.technology.vectorized:  # (runs, inputs, firms)
            revenue, noise, rate = (each[:, None] for each in (revenue, noise, rate))
        for use in self._uses(industry, places):
            value = behaviour.marginal_revenue_products(revenue, self.products[:, use])
            if self._shocks.size:
                value = behaviour.noisy_valuation(value, noise, self._shocks[:, use])
            self.bids[:, use] = behaviour.revised_bid(self.bids[:, use], value, rate)

    def _marginal_revenue(self, industry: Industry, places: slice, price: np.ndarray) -> np.ndarray:
        """What one more unit of their good would have brought these firms."""
        k = self.economy.index[industry.good]
        if industry.good not in self._outputs:
            return price
        n = list(self.economy.demand).index(industry.good)
        quantity, reference = self.quantities[:, k : k + 1], self.reference[:, n : n + 1]
        demand = self.economy.demand[industry.good]
        elasticity = curves.demand_elasticity(demand, reference, quantity)
        share = self._outputs[industry.good][:, places] / quantity
        return behaviour.marginal_revenue(price, share, elasticity)

    def _bid(self, industry: Industry) -> None:
        """Note that the firms have made bids, if their good has had a price."""
        if self._heard_by(industry)[1]:
            self._bidding.add(industry.good)

    def _produce(
        self, industry: Industry, places: slice, delivered: list[np.ndarray]
    ) -> np.ndarray:
        """Firms turn their purchases into their good; what they make together, shape (runs,)."""
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
            self.products[:, use] = self.mechanism.quoted(product, units)
        return np.broadcast_to(output, (len(self.shares), places.stop - places.start)).sum(axis=-1)

    def _revise_offers(self) -> None:
        for k, terms in enumerate(self.economy.supply.values()):
            price, priced = self._heard(k, price_lag(self.settings.lag, late=True))
            if priced:
                offers = self.offers[:, k : k + 1]
                offers[:] = behaviour.revised_offer(terms, offers, price)

    def _form_price(self, good: str) -> None:
        """One market forms its price, from what is bid and offered now."""
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
        heard = [self._has_bid(pool) for pool in pools]
        if economy.is_divided(good) or self.mechanism.wants_positive:
            everybody = all(np.all(self._has_bid(pool)) for pool in every)
            buyers = slice(every[0].start, every[-1].stop)
            self._check_division(good, total[:, 0], buyers, everybody)
        self.prices[:, k : k + 1] = total
        self._priced[k] = any(each is True or each.any() for each in heard)

    def _check_division(self, good: str, price: np.ndarray, pool: slice, everybody: bool) -> None:
        k = self.economy.index[good]
        quantity, bids = self.quantities[:, k], self.bids[:, pool]
        before = self.prices[:, k]
        trouble = cannot_allocate(quantity, bids, price, before=before, all_bid=everybody)
        self._refuse(trouble, good, bids)

    def _refuse(self, trouble: np.ndarray, good: str, bids: np.ndarray) -> None:
        """Note which runs are in ``trouble``, (runs,), with a good for which there are ``bids``."""
        quantity = self.quantities[:, self.economy.index[good]]
        first = self.economy.buyers.slice_of(self.economy.index[good]).start
        for row in np.flatnonzero(trouble).tolist():
            error = self.mechanism.refusal(
                good, quantity[row], bids[row], lambda buyer: self.economy.buyer_name(first + buyer)
            )
            self._fail(row, error)

    def _fail(self, row: int, error: MarketError) -> None:
        """Note why a run cannot go on, if nothing was before."""
        if row not in self.failed:
            self.failed[row] = told_at(error, self.economy, self.clock)

    def _has_bid(self, pool: slice) -> np.ndarray | Literal[True]:
        """Which buyers of a pool have made a bid; simply True if all have."""
        if len(self._bidding) == len(self.economy.industries):
            return True
        uses = [(use, good in self._bidding) for use, good in self.economy.buyers.users[pool.start]]
        if all(heard for _, heard in uses):
            return True
        result = np.zeros(pool.stop - pool.start, bool)
        for use, heard in uses:
            result[use.start - pool.start : use.stop - pool.start] = heard
        return result

    def _reallocate(self) -> None:
        """Shares follow the bids, in each pool with somebody to share with."""
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
        """Note which runs cannot begin."""
        state = self.state
        final = state.prices[:, self.economy.final]
        finite = np.all(np.isfinite(state.quantities), -1) & np.all(np.isfinite(final), -1)
        for row in np.flatnonzero(~finite).tolist():
            trouble = start_trouble(economies[row], state.select_runs(row))
            if trouble:
                self._fail(row, trouble)
