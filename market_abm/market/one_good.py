"""The market of one good: its state variables, and what all markets do with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np


class Market:
    """The market of one good.

    Attributes
    ----------
    offers
        Units offered by each seller, shape (sellers,).
    quantity
        Units on sale.
    units
        The same, a Python float, which buyers read.
    price
        Money per unit; 0 until a buyer has bid.
    priced
        Whether the good has had a price.
    observed_price
        The price that sellers observe, a Python float; None if they have observed none.
    elasticity
        The elasticity of demand, as far as sellers can know it.
    shares, bids
        Shape (buyers,).
    allotments
        The shares that buyers have, a list of Python floats, which they read.
    bidding
        Mask of the buyers that have made a bid, shape (buyers,).
    """

    allotments: list[float]

    def __init__(self, good: str, sellers: int, buyers: int) -> None:
        self.good = good
        self.offers = np.zeros(sellers)
        self.quantity = np.float64(0.0)
        self.units = 0.0
        self.price = np.float64(0.0)
        self.priced = False
        self.observed_price: float | None = None
        self.elasticity = np.float64(np.inf)
        self._price_history: list[tuple[Any, bool]] = []
        self.shares = np.zeros(buyers)
        self.bids = np.zeros(buyers)
        self.bidding = np.zeros(buyers, bool)

    def collect(self) -> None:
        """Replace the quantity on sale by the sum of the current offers."""
        self.quantity = self.offers.sum()

    def put_on_sale(self) -> None:
        """Collect the offers, and show the quantity to buyers."""
        self.collect()
        self.units = float(self.quantity)

    def allot(self) -> None:
        """Show the shares to buyers, who receive them of what is on sale."""
        self.allotments = self.shares.tolist()

    def record_price(self, lag: int) -> None:
        """Append the price to the history, which keeps the last ``lag`` + 1 prices."""
        self._price_history.append((self.price, self.priced))
        del self._price_history[: -lag - 1]

    def lagged_price(self, ago: int) -> tuple[Any, bool]:
        """The price ``ago`` records ago (0: the current one), and whether there was one."""
        if ago == 0:
            return self.price, self.priced
        return (
            self._price_history[-ago]
            if ago <= len(self._price_history)
            else (np.float64(0.0), False)
        )

    def show_price(self, ago: int) -> None:
        """Show sellers the price of ``ago`` records ago."""
        price, priced = self.lagged_price(ago)
        self.observed_price = float(price) if priced else None

    def form_price(self) -> None:
        """Set ``price``, money per unit, from current bids and offers."""

    def quote_values(self, values: Sequence[Any]) -> None:
        """Quote what a unit of an activity earns in its outputs, where prices are quoted."""

    def reallocate(self) -> None:
        """Let ``shares`` follow the bids."""


def price_lag(lag: int, *, recorded: bool) -> int:
    """How many entries back in the price history an observer looks; 0 is the current price.

    Parameters
    ----------
    lag
        The setting ``market.lag``, steps.
    recorded
        Whether the price is observed after the current step has been recorded.
    """
    return lag + recorded if lag else 0


class Customer(Protocol):
    """A buyer with a demand curve."""

    def price_for(self, quantity: Any) -> Any:
        """Money per unit paid for each of ``quantity`` units."""

    def quantity_for(self, price: Any) -> Any:
        """Units demanded at ``price``; infinite if demand is perfectly elastic there."""

    def elasticity_at(self, quantity: Any) -> Any:
        """The elasticity of demand at ``quantity`` units."""
