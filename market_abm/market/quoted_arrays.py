"""What the array engines have in common that quote prices first (``markets/quoted.py``)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from market_abm.economy import curves
from market_abm.economy.terms import Demand
from market_abm.market.arrays import ArrayEngine
from market_abm.market.quoted import QuotedMarket, worthless


class QuotedArrayEngine(ArrayEngine, ABC):
    """Runs of a market in which every pool has a quote: ``quotes``, shape (runs, pools).

    ``orders``, units, has shape (runs, buyers).
    """

    mechanism: type[QuotedMarket]
    own: ClassVar[tuple[str, ...]] = ("quotes", "orders")

    def _lay_out(self, runs: int) -> None:
        super()._lay_out(runs)
        self.quotes = np.zeros((runs, len(self.economy.buyers.pools)))
        self.orders = np.zeros_like(self.shares)
        self._places: dict[int, list[tuple[int, slice]]] = {}
        for n, pool in enumerate(self.economy.buyers.pools):
            self._places.setdefault(pool.good, []).append((n, pool.buyers))

    def _pools(self, good: str) -> list[tuple[int, slice]]:
        """The pools of a good: their places, and their buyers."""
        return self._places.get(self.economy.index[good], [])

    def _form_price(self, good: str) -> None:
        k = self.economy.index[good]
        if good in self.economy.demand:
            n = list(self.economy.demand).index(good)
            self._form_final_price(
                good, self.economy.demand[good], slice(n, n + 1), slice(k, k + 1)
            )
            self._priced[k] = True
            return
        pools = self._pools(good)
        places = [n for n, _ in pools]
        if self._priced[k]:
            ordered = [self.orders[:, buyers].sum(axis=-1) for _, buyers in pools]
            self.quotes[:, places] = self._follow(
                self.quotes[:, places], np.stack(ordered, axis=-1), slice(k, k + 1)
            )
        else:
            supplied = self.economy.supply.get(good)
            first = supplied.price if supplied else self.settings.start_price
            self.quotes[:, places] = first / len(pools)
        quotes = self.quotes[:, places]
        trouble = self.mechanism.unsaleable(self.quantities[:, k], quotes, final=False)
        self._refuse(trouble, good, quotes)
        self.prices[:, k], self._priced[k] = quotes.sum(axis=-1), True

    def _form_final_price(self, good: str, terms: Demand, n: slice, k: slice) -> None:
        """Quote the price of a final good, the n-th and at place k of ``goods``."""
        if self.clock == 0:
            self.reference[:, n] = curves.reference_quantity(terms, self.quantities[:, k])
        paid = curves.demand_price(terms, self.reference[:, n], self.quantities[:, k])
        paid = np.broadcast_to(paid, (len(self.shares), 1))
        if self._priced[k.start]:
            wanted = curves.demand_quantity(terms, self.reference[:, n], self.prices[:, k])
            paid = np.where(np.isinf(wanted), paid, self._follow(self.prices[:, k], wanted, k))
        self.prices[:, k] = paid
        quantity = self.quantities[:, k.start]
        trouble = self.mechanism.unsaleable(quantity, paid, final=True)
        trouble = trouble & np.isfinite(terms.elasticity)[..., 0]
        if self.clock == 0:
            for row in np.flatnonzero(trouble).tolist():
                self._fail(row, worthless(good, quantity[row], paid[row, 0]))
        self._refuse(trouble, good, paid)

    @abstractmethod
    def _follow(self, quotes: np.ndarray, ordered: np.ndarray, k: slice) -> np.ndarray:
        """The next quotes for the good at place k; all of shape (runs, pools of it)."""
