"""The agents of dated goods: each keeps its own books by date (docs/model.md, 3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import new_class
from typing import Any, TypeVar

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.market import behaviour
from market_abm.market.agents import Firm, Supplier
from market_abm.market.dating import Book, Dates
from market_abm.market.foresight import foresight_of
from market_abm.market.one_good import Market

Kind = TypeVar("Kind")


class DatedMarket(Market):
    """A market that knows which date is on sale, and which is priced.

    Attributes
    ----------
    step
        The number of the step.
    sold, due
        Steps from a date until it is on sale, and until it is priced.
    first
        The first step at which a date is priced.
    """

    step = 0
    sold = due = first = 0
    _splits: Book | None = None

    def open_books(self, sold: int, due: int, first: int, kept: int) -> None:
        """Let all earlier dates have been like step 0; ``kept`` is how long prices are asked."""
        self.sold, self.due, self.first = sold, due, first
        dates = due - sold + 2
        self._splits = Book(dates, self.shares.copy())
        self._amounts = Book(dates, self.quantity)
        self._date_prices = Book(kept + 1, None)
        self._note_price()

    def put_on_sale(self) -> None:
        """Collect the offers of the date that is now on sale."""
        super().put_on_sale()
        if self._splits is not None:
            self.step += 1
            self._amounts.note(self.step - self.sold, self.quantity)

    def allot(self) -> None:
        """Split the date on sale by the shares of now."""
        super().allot()
        if self._splits is not None:
            self._splits.note(self.step - self.sold, self.shares.copy())

    def delivery(self, date: int, buyer: int) -> float:
        """Units of a date that a buyer gets."""
        assert self._splits is not None
        return float(self._splits[date][buyer] * self._amounts[date])

    def traded(self) -> tuple[np.ndarray, Any]:
        """The shares, (buyers,), and the quantity, units, of the date that is priced."""
        if self._splits is None:
            return self.shares, self.quantity
        date = self.step - self.due
        return self._splits[date], self._amounts[date]

    def form_price(self) -> None:
        """Form the price of the date that is due."""
        super().form_price()
        if self._splits is not None:
            self._note_price()

    def _note_price(self) -> None:
        self._date_prices.note(self.step - self.due, float(self.price) if self.priced else None)

    def price_at(self, date: int) -> float | None:
        """The price of a date, money per unit, or None if it is not known."""
        price: float | None = self._date_prices[date]
        return price


class DatedFirm(Firm):
    """A firm that produces, and bids, date by date.

    Attributes
    ----------
    sold
        Steps from a date until its batch is on sale.
    """

    sold = 0
    _batches: Book | None = None
    _input_markets: list[tuple[Any, int]]
    _output_market: Any

    def open_books(self, sold: int) -> None:
        """Let all earlier batches have been like that of step 0."""
        self.sold = sold
        due = max((market.due for market, _ in self._input_markets), default=sold)
        self._batches = Book(due - sold + 1, (self.input_book.copy(), self._products))

    def produce(self) -> None:
        """Make the batch that is now due, of inputs of its date."""
        super().produce()
        if self._batches is not None:
            batch = self.input_book.copy(), self._products
            self._batches.note(self.model.clock - self.sold, batch)

    def take_delivery(self) -> None:
        """Take the units of the date of the next batch."""
        if self._batches is None:
            super().take_delivery()
            return
        date, place = self.model.clock - self.sold, self._place
        for k, (market, first) in enumerate(self._input_markets):
            self.input_book[k] = market.delivery(date, first + place)

    def update_bids(self) -> None:
        """Value each input of the date that its market prices now, and bid for it."""
        assert self._batches is not None
        step, values = self.model.clock, np.zeros(len(self._input_markets))
        for k, (market, first) in enumerate(self._input_markets):
            if step < market.first:
                continue
            date = step - market.due
            inputs, products = self._batches[date]
            revenue = self._output_market.price_at(date)
            value = behaviour.marginal_revenue_products(revenue, products[k])
            if self.net_of_tax is not None:
                value = behaviour.net_value(value, self.net_of_tax[k])
            if self.bid_noise:
                value = behaviour.noisy_valuation(value, self.bid_noise, self.shocks[k])
            values[k] = self._as_bid(value, inputs[k]) if self._as_bid else value
            market.bidding[first + self._place] = True
        self._bids = np.asarray(self.revise_bids(values), float).tolist()
        for (market, first), bid in zip(self._input_markets, self._bids, strict=True):
            if step >= market.first:
                market.bids[first + self._place] = bid


class DatedSupplier(Supplier):
    """A supplier that knows what it offered for each date.

    An endowment has its date when it is known, and is on sale when it is needed; who responds to
    prices decides at that time.
    """

    _offers: Book | None = None
    _market: DatedMarket

    def open_books(self) -> None:
        """Let all earlier offers have been like the present."""
        self._offers = Book(self._market.due + 2, self.quantity)

    def observed_price(self) -> tuple[Any, bool]:
        """The price that it expects, from that of the date that is priced."""
        price, priced = super().observed_price()
        response = foresight_of(self.model.settings).supply_line
        if priced and response and self._offers is not None:
            offered = self._offers[self.model.clock - 1 - self._market.due + self._market.sold]
            price = behaviour.expected_price(price, self.quantity, offered, response)
        return price, priced

    def offer(self) -> None:
        """Offer its quantity, or the endowment of the date that is now on sale."""
        super().offer()
        if self._offers is None:
            return
        self._offers.note(self.model.clock, self.quantity)
        if behaviour.is_endowment(self.terms, self.quantity):
            self._market.offers[0] = self._offers[self.model.clock - self._market.sold]


def dated(own: type, kind: type[Kind]) -> type[Kind]:
    """A class of agents or markets, with books by date."""
    return new_class(f"Dated{kind.__name__}", (own, kind))


def open_books(
    economy: Economy,
    markets: Mapping[str, Any],
    members: Mapping[str, Sequence[Any]],
    suppliers: Iterable[Any],
) -> None:
    """Let dated agents keep books from step 0 on, as if all earlier dates had been like it."""
    dates, uses = Dates.of(economy), economy.uses
    kept = np.zeros_like(dates.priced)
    np.maximum.at(kept, uses.maker, dates.priced[uses.good] - dates.priced[uses.maker])
    columns = np.transpose([dates.sold, dates.priced, dates.first, kept]).tolist()
    for market, column in zip(markets.values(), columns, strict=True):
        market.open_books(*column)
    for good, firms in members.items():
        for firm in firms:
            firm.open_books(markets[good].sold)
    for supplier in suppliers:
        supplier.open_books()
