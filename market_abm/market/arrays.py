"""The array engine: the market as vectorized operations, for many runs or millions of firms.

It has the phases of ``model.py`` and calls the same rules (``behaviour.py``, ``mechanisms/``), with
a leading axis of runs. Tests hold the two engines together, step by step, to 1e-12.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np

from market_abm.economy import curves
from market_abm.economy.economy import Economy
from market_abm.economy.groups import Group
from market_abm.economy.slots import AnySlot, taken
from market_abm.errors import MarketError, SettingError
from market_abm.language.collector import no_collection
from market_abm.language.segments import gather, pick, scatter, some
from market_abm.language.threads import Threads
from market_abm.market import behaviour
from market_abm.market.array_state import ArrayState, Refusals
from market_abm.market.base import MarketSettings
from market_abm.market.closed import check_closed_system, write_first_bids
from market_abm.market.layout import Layout, Part
from market_abm.market.pools import Pools
from market_abm.market.price_history import Observed, PriceHistory

ACTIVATIONS = ("simultaneous", "sequential")
"""The activations that the array engine has."""

ARRAYS = (
    *("shares", "bids", "_products", "quantities", "prices", "offers", "reference"),
    *("price_totals", "price_counts"),
)
"""Arrays with a leading axis of runs."""


class ArrayEngine(ArrayState):
    """Runs of a market, one a row, that share one structure and differ in their numbers.

    Arrays have shape (runs, goods) or (runs, buyers); the longer axis is contiguous. ``state`` is
    observed at the end of a step, before shares are revised for the next one. ``failed`` maps the
    rows that cannot continue to their errors; their numbers have no meaning from then on.

    Parameters
    ----------
    economies, settings, seeds
        One entry for each run.
    threads
        The number of threads of a large market; by default that of cores. It changes no bit.

    Raises
    ------
    MarketError
        The mechanism cannot run the economy, or the activation is ``random``.
    """

    own: ClassVar[tuple[str, ...]] = ()
    """Further state variables of a mechanism: names of arrays with a leading axis of runs."""

    mechanism: type[Any]

    @no_collection()
    def __init__(
        self,
        economies: Sequence[Economy],
        settings: Sequence[MarketSettings],
        seeds: Sequence[int],
        threads: int | None = None,
    ) -> None:
        self._threads = Threads(threads)
        self._series = Economy.vectorized(economies)
        self.economy = self._series.at(0) if self._series.exogenous.of_terms else self._series
        self.settings: Any = type(settings[0]).vectorized(settings)
        self.mechanism = self.settings.rules
        self.mechanism.check(self.economy, self.settings)
        check_closed_system(self.economy, self.settings, (len(economies),))
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
        with np.errstate(all="ignore"):
            self._create_arrays(len(economies))
            self._start()
            self._observe()
        self._check_start(economies)

    def _create_arrays(self, runs: int) -> None:
        economy, buyers = self.economy, self.economy.buyers
        longest = int(np.diff(buyers.starts, append=buyers.size).max(initial=1))
        self._order: Literal["C", "F"] = "F" if runs > longest else "C"

        def empty(columns: int) -> np.ndarray:
            return np.zeros((runs, columns), order=self._order)

        self.shares, self.bids = empty(buyers.size), empty(buyers.size)
        self._products = empty(buyers.size)  # in the order of the entries of groups
        self.shares[:] = buyers.initial_shares
        self.quantities, self.prices = (empty(len(economy.goods)) for _ in range(2))
        self._used = self.quantities, self.quantities
        self._late = np.zeros(1, bool)
        self.offers = empty(len(economy.supply))
        for places, supply in economy.supply_terms:
            self.offers[:, places] = supply.quantity
        waiting = len(economy.supply) if any(t.waits for _, t in economy.supply_terms) else 0
        self.price_totals, self.price_counts = empty(waiting), empty(waiting)
        self.reference = np.full((runs, len(economy.demand)), np.nan)
        self._priced = np.zeros(len(economy.goods), bool)  # the same in all runs
        self._has_bid = np.zeros(len(economy.goods), bool)  # of the makers of each good
        self._price_history = PriceHistory(self.settings.lag)
        powerful = any(group.cournot for group in economy.groups)  # outputs are then of all firms
        self._outputs = empty(sum(group.size for group in economy.groups) if powerful else 0)
        self._shocks = np.zeros((runs, 0))
        self._lent: set[str] = set()  # arrays that states hold
        self._former: dict[str, np.ndarray] = {}  # of the step before, to be overwritten
        self._pending = False  # whether shares have yet to follow the bids
        self._pool_prices: np.ndarray | None = None
        self._layout = self._lay_out()
        self._set = False  # whether ``memory`` was set in this step
        self._past = self._unmoved()

    def _lay_out(self) -> Layout:
        """The blocks of all runs, after economy or runs have changed."""
        return Layout(self.economy, self.mechanism, len(self.shares), self._threads)

    def keep(self, rows: np.ndarray) -> None:
        """Continue with a selection of runs; ``rows`` is a mask of shape (runs,), or indices."""
        runs = len(self.shares)
        self._series = self._series.select_runs(rows)
        still = not self._series.exogenous.of_terms
        self.economy = self._series if still else self.economy.select_runs(rows)
        self.state = self.state.select_runs(rows)
        self.settings = self.settings.select_runs(lambda array: array[rows])
        self.failed = {}
        self._noise = [self._noise[k] for k in np.arange(len(self._noise))[rows]]
        self._former = {}
        for name in (*ARRAYS, "_outputs", "_pool_prices", *self.own):
            array = getattr(self, name)
            if array is not None:
                order: Any = "F" if array.flags.fnc else "C"
                setattr(self, name, np.asarray(array[rows], order=order))
        self._price_history.keep(rows)
        self._past, self._observed_past = (
            each and each.keep(rows) for each in (self._past, self._observed_past)
        )
        self._used = self._used[0][rows], self._used[1][rows]
        self._layout = self._layout.of_runs(self.economy, np.arange(runs)[rows])

    @np.errstate(all="ignore")
    def change(self, economies: Sequence[Economy]) -> None:
        """Continue with the terms of other economies of the same structure, one for each run."""
        self.finish()
        self._series = Economy.vectorized(economies)
        if not self._series.exogenous.of_terms:
            self._renew(self._series)

    def _renew(self, economy: Economy) -> None:
        """Continue with other terms from the next production on."""
        check_closed_system(economy, self.settings, self.shares.shape[:1])
        self.economy = economy
        self._layout = self._layout.renewed(economy)
        supply, demand = economy.supply_terms, economy.demand_terms
        self.offers[:] = curves.for_all(behaviour.renewed_offer, supply, self.offers)
        self.reference[:] = curves.for_all(curves.reference_quantity, demand, self.reference)

    # --- a step ---------------------------------------------------------------------------------

    @np.errstate(all="ignore")
    def step(self) -> None:
        """One step of every run."""
        if self._seen is not None:  # or nobody can have it
            self.release()
        self._follow_bids()
        self._begin_step()
        self._set = False
        if any(group.noisy for group in self.economy.groups):
            draws = [each.standard_normal(self.shares.shape[1]) for each in self._noise]
            self._shocks = np.array(draws)
        if self.settings.activation == "simultaneous":
            self._simultaneous()
        else:
            self._sequential()
        self._observe()
        self._pending = True

    def _begin_step(self) -> None:
        """The numbers of consumers and firms become those of the next step."""
        self.clock += 1
        if self._series.exogenous.of_terms and self._series.at(self.clock) is not self.economy:
            self._renew(self._series.at(self.clock))

    @np.errstate(all="ignore")
    def finish(self) -> None:
        """End the step before: shares follow the bids, once nobody observes its state any more."""
        self.release()
        self._follow_bids()

    def _follow_bids(self) -> None:
        if self._pending:
            self._pending = False
            self._reallocate()
        self._copy_lent()

    def _simultaneous(self) -> None:
        """All firms update bids, produce and trade, given the prices of the previous step."""
        self._revise_offers()
        made = np.empty_like(self.quantities)
        made[:, : self.offers.shape[1]] = self.offers
        self._used, self._late = (self.quantities, self.quantities), np.zeros(1, bool)
        sold = self._replace("_products")
        self._work(self.economy.groups, made, sold, self._observed_by_firms())
        self._put_on_sale(made)
        self._form_prices()

    def _put_on_sale(self, made: np.ndarray) -> None:
        """Set the quantities on sale to those just ``made`` or offered, (runs, goods)."""
        self.quantities = made

    def _sequential(self) -> None:
        """Firms produce in downstream order; then bids and prices are updated in upstream order."""
        self._revise_offers()
        self._forward_pass()
        self._form_final_prices()
        refusals: Refusals = {}
        for level, groups in reversed(list(enumerate(self.economy.network.levels))):
            self._form_pool_prices(self._layout.pools_of_level(level), refusals)
            self._update_all_bids(groups)
        for row, (_, error) in refusals.items():
            self._fail(row, error)
        self._form_prices()

    def _form_prices(self) -> None:
        """Form the prices of all goods from current bids and offers."""
        self._form_final_prices()
        refusals: Refusals = {}
        self._pool_prices = self._form_pool_prices(self._layout.pools, refusals, first=True)
        for row, (_, error) in refusals.items():
            self._fail(row, error)
        self._record_prices()

    def _record_prices(self) -> None:
        self._price_history.record(self.prices, self._priced)

    def _observed(self, *, recorded: bool) -> Observed:
        """The prices that sellers observe."""
        return self._price_history.observed(self.prices, self._priced, recorded=recorded)

    def _start(self) -> None:
        """Step 0: quantities from one forward pass, then one trade at bids of zero."""
        for industry in self.economy.topological_order if self.economy.has_loops else ():
            guess = industry.population.start * industry.weights
            self.quantities[:, self.economy.index[industry.good]] = guess.sum(axis=-1)
        if self.economy.has_loops and self.economy.endowed is not None:
            self.quantities += self.economy.endowed
        self._forward_pass()
        if self.economy.closed:
            write_first_bids(self.economy, self._products, self.bids)
        self._has_bid[:] = self._pending = self.economy.closed
        self._form_prices()

    def _forward_pass(self) -> None:
        """Industries, in topological order, buy inputs, produce and offer."""
        before = self.quantities.copy(order="K")
        self._replace("_products")
        self.quantities[:, : self.offers.shape[1]] = self.offers
        for groups in self.economy.network.levels:
            self._work(groups, self.quantities)
        self._used, self._late = (
            (before, self.quantities.copy(order="K")),
            self.economy.network.late,
        )

    def _revise_offers(self) -> None:
        """Suppliers revise their offers by the prices observed, or follow their series."""
        if self._layout.offers_move:
            raw, terms = slice(self.offers.shape[1]), self.economy.supply_terms
            prices, moves = (each[..., raw] for each in self._observed(recorded=True))
            if self.price_totals.size:
                prices, moves = self._of_periods(prices, moves)
            revised = curves.for_all(behaviour.revised_offer, terms, self.offers, prices)
            self.offers[:] = np.where(moves, revised, self.offers)
        self.economy.exogenous.offers.write(self.clock, self.offers)

    def _of_periods(self, prices: np.ndarray, priced: np.ndarray) -> Observed:
        """The mean price of each supplier's period, and whether it moves its offer in this step."""
        means, moves = np.empty_like(prices), np.empty(prices.shape, bool)
        for places, terms in self.economy.supply_terms:
            so_far = behaviour.PeriodPrices(
                self.price_totals[:, places], self.price_counts[:, places]
            )
            means[:, places], moves[:, places], rest = behaviour.price_of_period(
                terms, so_far, prices[:, places], priced[places], self.clock
            )
            self.price_totals[:, places], self.price_counts[:, places] = rest
        return means, moves

    def _observed_by_firms(self) -> Observed:
        """The prices by which firms value their inputs, before they produce."""
        return self._observed(recorded=True)

    def _work(
        self,
        groups: Sequence[Group],
        made: np.ndarray,
        sold: np.ndarray | None = None,
        observed: Observed | None = None,
    ) -> None:
        """Buy inputs and produce; outputs are written to ``made``.

        With marginal products of the batch ``sold``, bids are updated before, by what is
        ``observed``.
        """
        parts, sums = self._layout.parts(groups)
        self._threads.run_all(partial(self._work_part, sold, observed), parts, self.shares.size)
        for group, leaves in zip(groups, sums, strict=True):
            scatter(made, group.made, group.outputs(leaves))
        if observed is not None:
            self._has_bid |= observed[1]

    def _work_part(self, sold: np.ndarray | None, observed: Observed | None, part: Part) -> None:
        """The work of some firms."""
        group, block, leaves = part
        if sold is not None and observed is not None:
            self._update_bids(group, sold, *observed)
        if self.mechanism.bids_are_money:
            output = group.contributions(self._delivered, self._products)
        else:
            inputs = taken(group.slots, self._delivered)
            room = [slot.room(self._products) for slot in group.slots]
            output, products = group.production(inputs, room if group.scaled else None)
            for own, product in zip(room, products, strict=True):
                if product is not own:
                    own[...] = product
        if np.shape(output) != (len(self.shares), group.size):
            output = np.broadcast_to(output, (len(self.shares), group.size))
        block.reduce_into(leaves, output)
        if group.cournot:
            self._outputs[:, group.place] = output

    def _delivered(self, slot: AnySlot, out: np.ndarray | None = None) -> np.ndarray:
        """The units of an input that firms use for their next batch, one an entry."""
        return slot.delivered(self.shares, self.quantities, out)

    def _update_all_bids(self, groups: Sequence[Group]) -> None:
        """The firms of these groups revise their bids."""
        observed = self._observed(recorded=False)
        do, parts = self._threads.run_all, self._layout.parts(groups)[0]
        sold = self._products
        do(lambda part: self._update_bids(part[0], sold, *observed), parts, self.shares.size)
        for group in groups:
            self._has_bid[group.goods] |= observed[1][group.goods]

    def _update_bids(
        self, group: Group, sold: np.ndarray, prices: np.ndarray, priced: np.ndarray
    ) -> None:
        """Firms value the inputs of the batch just sold, and revise their bids."""
        everyone = priced.all()
        observing: Any = True if everyone else priced[group.good]
        if not (everyone or np.any(observing)):
            return
        revenue = group.to_entries(self._marginal_revenue(group, pick(prices, group.good)))
        rate: Any = getattr(self.settings, "bid_rate", 1.0)
        whole = not some(rate != 1.0)
        for slot in group.slots:
            products = slot.room(sold)
            value = self._net(slot, behaviour.marginal_revenue_products(revenue, products))
            if self._shocks.size:
                noise = group.to_entries(group.bid_noise)
                value = behaviour.noisy_valuation(value, noise, slot.of(self._shocks))
            if not (everyone or np.all(observing)) or not whole:
                bids = slot.of(self.bids)
                value = behaviour.revised_bid(bids, value, rate)
                value = np.where(group.to_entries(observing), value, bids)
            slot.write(self.bids, value)

    def _marginal_revenue(self, group: Group, price: np.ndarray) -> np.ndarray:
        """The marginal revenue of these firms, money per unit."""
        if not group.cournot:
            return price
        final, elasticity = self.economy.final, np.full_like(self.prices, np.inf)
        elasticity[:, final] = curves.for_all(
            curves.demand_elasticity,
            self.economy.demand_terms,
            self.reference,
            self.quantities[:, final],
        )
        share = self._outputs[:, group.place] / pick(self.quantities, group.good)
        return behaviour.marginal_revenue(price, share, pick(elasticity, group.good))

    def _form_final_prices(self) -> None:
        """Consumers pay the prices of their demand curves."""
        final, terms = self.economy.final, self.economy.demand_terms
        quantity = gather(self.quantities, final)
        if self.clock == 0:
            self.reference[:] = curves.for_all(curves.reference_quantity, terms, quantity)
        paid = curves.for_all(curves.demand_price, terms, self.reference, quantity)
        scatter(self.prices, final, paid)
        self._priced[final] = True

    def _form_pool_prices(
        self, pools: Pools, refusals: Refusals, *, first: bool = False
    ) -> np.ndarray:
        """Form the prices of goods with buyers; the price of each pool, (runs, pools).

        Of the goods that a run cannot split, the ``first`` or last one is added to ``refusals``,
        by run: the good and its error.
        """
        shares, quantities = self._traded()
        of_pools, prices = pools.prices(shares, self.bids, quantities)
        refused = pools.refused(self.bids, quantities, self.prices)
        if refused is not None and np.any(refused):
            for row in np.flatnonzero(refused.any(axis=-1)).tolist():
                goods = pools.goods[refused[row]].tolist()
                good = goods[0] if first else goods[-1]
                if row not in refusals or (good < refusals[row][0]) is first:
                    of_row = quantities[row, good], self.bids[row]
                    refusals[row] = good, self.mechanism.refusal_of(self.economy, good, *of_row)
        scatter(self.prices, pools.places, prices)
        self._priced[pools.places] = pools.priced(self._has_bid)
        return of_pools

    def _traded(self) -> tuple[np.ndarray, np.ndarray]:
        """The shares and quantities that are priced: (runs, buyers) and (runs, goods)."""
        return self.shares, self.quantities

    def _reallocate(self) -> None:
        """Shares follow the bids in each pool of several buyers."""
        pools = self._layout.pools
        if not pools.some_are_shared:
            return
        shares, quantities = self._traded()
        past, prices = self._past, self._pool_prices
        if prices is None:
            prices, _ = pools.prices(shares, self.bids, quantities)
        held, bidding = self._replace("shares"), pools.bidding(self._has_bid)
        pools.reallocate(
            held, self.bids, prices, quantities, bidding, self.settings, self.shares, past
        )
        self._past = past and past.after(held, self.bids)
