"""The array engine of dated goods: books by date as arrays (docs/model.md, 3)."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from market_abm.economy import curves
from market_abm.economy.groups import Group
from market_abm.economy.slots import AnySlot
from market_abm.language.segments import gather, pick, scatter
from market_abm.market import behaviour
from market_abm.market.arrays import ArrayEngine
from market_abm.market.dating import Dates, Delay, check_economy
from market_abm.market.foresight import foresight_of
from market_abm.market.layout import Layout
from market_abm.market.price_history import Observed


class DatedArrayEngine(ArrayEngine):
    """Runs of a market whose goods are sold, and paid for, by date.

    Each array waits in a :class:`~market_abm.market.dating.Delay` for the step at which its date is
    due, so that a step takes about as long as without dates. ``state`` has the goods that are on
    sale, whatever their dates, and the bids and prices of the dates that are priced.
    """

    own: ClassVar[tuple[str, ...]] = (
        "_stored",
        "_used_products",
        "_revenue",
        "_sold_shares",
        "_sold",
    )

    def _create_arrays(self, runs: int) -> None:
        self.settings.check("market")
        check_economy(self.economy)
        self._dates = Dates.of(self.economy)
        self._first = self._dates.first
        self._books: dict[str, Delay] = {}
        self._stored: np.ndarray | None = None  # units that come out of store in this step
        self._waiting = np.zeros(0, int)  # the buyers of these
        self._of_slots: dict[AnySlot, tuple[np.ndarray, np.ndarray]] = {}
        self._revenue: np.ndarray | None = None  # prices that wait for the bids of other buyers
        super()._create_arrays(runs)
        self._used_products = self._products
        self._sold_shares, self._sold = self.shares, self.quantities

    def _lay_out(self) -> Layout:
        return Layout(self.economy, self.mechanism, len(self.shares), self._threads, by_good=True)

    def _start(self) -> None:
        super()._start()
        self._open_books()

    def _open_books(self) -> None:
        """Let all earlier dates have been like the present."""
        dates, buyers = self._dates, self.economy.buyers
        raw, delay = len(self.economy.supply), dates.delay
        bought, made = buyers.good, buyers.maker
        sizes = np.diff(buyers.starts, append=buyers.size)
        moving = np.repeat(sizes > 1, sizes)  # the share of a single buyer is always 1
        entries = np.arange(buyers.size)[self.economy.network.entries]
        known = (dates.priced[bought] - dates.priced[made] - 1)[entries]
        self._maker = made[entries]
        self._books = {
            "products": Delay(
                (dates.priced[bought] - dates.sold[made] - 1)[entries], self._products
            ),
            "shares": Delay(np.where(moving, delay[bought] - 1, 0), self.shares),
            "quantities": Delay(delay, self.quantities),
            "endowments": Delay(dates.sold[:raw], self.offers),
        }
        if np.any(foresight_of(self.settings).supply_line):
            self._books["offers"] = Delay(delay[:raw], self.offers)
        in_store = dates.sold[made] - dates.sold[bought] - 1
        self._waiting, self._stored, self._of_slots = np.flatnonzero(in_store), None, {}
        if len(self._waiting):
            self._books["inputs"] = Delay(in_store[self._waiting], self._purchases())
        if known.any():
            self._books["revenue"] = Delay(known, self.prices[:, self._maker])
            self._revenue = self.prices[:, self._maker]
        self._used_products = self._products

    def keep(self, rows: np.ndarray) -> None:
        """Continue with a selection of runs; ``rows`` is a mask of shape (runs,), or indices."""
        super().keep(rows)
        for book in self._books.values():
            book.keep(rows)

    def _recall(self, memory: dict[str, np.ndarray]) -> None:
        """Set the state variables, and let all earlier dates have been like that state."""
        super()._recall(memory)
        self._has_bid[:] = True
        self._first = np.zeros_like(self._first)
        self._open_books()
        self._sold_shares, self._sold = self.shares, self.quantities

    # --- a step -----------------------------------------------------------------------------------

    def _simultaneous(self) -> None:
        """All firms bid for the dates that are due, and produce; what is new enters the books."""
        if "inputs" in self._books:
            self._stored = self._books["inputs"](self._purchases())
        super()._simultaneous()
        self._used_products = self._books["products"](self._products)
        if "revenue" in self._books:
            self._revenue = self._books["revenue"](np.take(self.prices, self._maker, axis=1))

    def _purchases(self) -> np.ndarray:
        """Units of what is on sale that go into store, (runs, waiting buyers)."""
        goods = self.economy.buyers.good[self._waiting]
        return gather(self.shares, self._waiting) * gather(self.quantities, goods)

    def _observed(self, *, recorded: bool) -> Observed:
        """The prices that suppliers expect, from those of the dates that are priced."""
        prices, priced = super()._observed(recorded=recorded)
        if "offers" not in self._books:
            return prices, priced
        raw, response = slice(self.offers.shape[1]), foresight_of(self.settings).supply_line
        offered = self._books["offers"](self.offers)
        expected = prices.copy(order="K")
        expected[:, raw] = behaviour.expected_price(prices[:, raw], self.offers, offered, response)
        return expected, priced

    def _observed_by_firms(self) -> Observed:
        """Prices, and the goods whose buyers bid for a date now."""
        return self.prices, self._first <= self.clock

    def _update_bids(
        self, group: Group, sold: np.ndarray, prices: np.ndarray, priced: np.ndarray
    ) -> None:
        """Firms value the inputs of the dates that are due, each at its own date's price."""
        for slot in group.slots:
            if self._revenue is None:
                revenue = group.to_entries(pick(prices, group.good))
            else:
                revenue = slot.room(self._revenue)
            products = slot.room(self._used_products)
            value = self._net(slot, behaviour.marginal_revenue_products(revenue, products))
            if self._shocks.size:
                noise = group.to_entries(group.bid_noise)
                value = behaviour.noisy_valuation(value, noise, slot.of(self._shocks))
            if not priced.all():
                bidding = slot.of(priced[None, self.economy.buyers.good])
                value = np.where(bidding, value, 0.0)
            slot.write(self.bids, value)

    def _delivered(self, slot: AnySlot, out: np.ndarray | None = None) -> np.ndarray:
        """Units of the date of the next batch, which may have waited in store."""
        units = super()._delivered(slot, out)
        if self._stored is not None:
            inside, stored = self._in_store(slot)
            if len(inside):
                slot.put(units, inside, gather(self._stored, stored))
        return units

    def _in_store(self, slot: AnySlot) -> tuple[np.ndarray, np.ndarray]:
        """The entries of a slot that wait in store, and their places among all that do."""
        if slot not in self._of_slots:
            buyers = np.arange(self.economy.buyers.size)[slot.buyers]
            inside = np.flatnonzero(np.isin(buyers, self._waiting))
            self._of_slots[slot] = inside, np.searchsorted(self._waiting, buyers[inside])
        return self._of_slots[slot]

    def _put_on_sale(self, made: np.ndarray) -> None:
        """Set the quantities on sale; an endowment is that of the date."""
        raw = slice(self.offers.shape[1])
        fixed = curves.for_all(behaviour.is_endowment, self.economy.supply_terms, self.offers)
        endowments = self._books["endowments"](self.offers)
        made[:, raw] = np.where(fixed, endowments, self.offers)
        super()._put_on_sale(made)

    def _form_prices(self) -> None:
        if self._books:
            self._sold_shares = self._books["shares"](self.shares)
            self._sold = self._books["quantities"](self.quantities)
        super()._form_prices()

    def _traded(self) -> tuple[np.ndarray, np.ndarray]:
        """The shares and quantities of the dates that are priced."""
        return self._sold_shares, self._sold

    def _array_of_buyers(self, name: str) -> np.ndarray:
        array = super()._array_of_buyers(name)
        if name == "inputs" and self._stored is not None:
            scatter(array, self._waiting, self._stored)
        return array

    @property
    def batch(self) -> Any:
        """None: what firms hold is of several dates."""
        return None
