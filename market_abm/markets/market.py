"""What every market does, and the market of a final good, which is the same in every mechanism."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np


class Market:
    """The market of one good: what is on sale, at what price, for whom.

    A mechanism is a subclass that says how bids become a price (:meth:`form_price`), and shares of
    the good (:meth:`reallocate`). ``offers`` (units) has shape (sellers,), ``shares`` and ``bids``
    (money per unit) have shape (buyers,). A price is 0 until somebody has bid: ``bidding`` says who
    has, and ``priced`` whether anybody has.
    """

    def __init__(self, good: str, sellers: int, buyers: int) -> None:
        self.good = good
        self.offers = np.zeros(sellers)
        self.quantity = np.float64(0.0)
        self.price = np.float64(0.0)
        self.priced = False
        self.shares = np.zeros(buyers)
        self.bids = np.zeros(buyers)
        self.bidding = np.zeros(buyers, bool)

    def collect(self) -> None:
        """Put on sale what the sellers offer now, instead of what was there before."""
        self.quantity = self.offers.sum()

    def bid(self, buyer: int, bid: Any) -> None:
        """Post what ``buyer`` bids, money per unit."""
        self.bids[buyer] = bid
        self.bidding[buyer] = True

    def form_price(self) -> None:
        """Set ``price``, money per unit, from what is bid and offered now."""

    def reallocate(self) -> None:
        """Let ``shares`` follow the bids."""

    def delivery(self, buyer: int) -> Any:
        """The units that go to ``buyer`` out of what is on sale."""
        return self.shares[buyer] * self.quantity


class Customer(Protocol):
    """Somebody with a price for every quantity."""

    def price_for(self, quantity: Any) -> Any:
        """Money per unit that would be paid for each of ``quantity`` units."""


class FinalMarket(Market):
    """The market of a final good: its consumer takes all there is, at the consumer's price."""

    def __init__(self, good: str, sellers: int, customer: Customer) -> None:
        super().__init__(good, sellers, 0)
        self.customer = customer

    def form_price(self) -> None:
        """Ask the consumer."""
        self.price = self.customer.price_for(self.quantity)
        self.priced = True
