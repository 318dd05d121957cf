"""The array engine of ``tatonnement`` (``markets/tatonnement.py``)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from market_abm.economy import curves
from market_abm.economy.buyers import cached_parts
from market_abm.economy.economy import Economy
from market_abm.economy.industry import Industry
from market_abm.errors import MarketError
from market_abm.market.best_plan import best_plan, check_returns, no_plan
from market_abm.market.mechanisms.tatonnement import called_next, part_of
from market_abm.market.quoted_arrays import QuotedArrayEngine
from market_abm.market.state import State


class TatonnementArrayEngine(QuotedArrayEngine):
    """Runs of an auction: ``wanted``, units, (runs, buyers), are the last plans that had any."""

    own = (*QuotedArrayEngine.own, "wanted")

    @property
    def state(self) -> State:
        """The prices that are called, and the answers to them."""
        return State(
            step=self.clock,
            quantities=self.quantities.copy(order="K"),
            prices=self.prices.copy(order="K"),
            inputs=self.orders.copy(order="K"),
            shares=part_of(self.orders, self.quantities[:, self.economy.buyers.good]),
            bids=self.quotes[:, self.economy.buyers.pool],
        )

    @property
    def memory(self) -> dict[str, np.ndarray]:
        """All that the next step builds on: ``quotes``, and the ``prices`` of final goods.

        Other prices, and all plans, follow from them.
        """
        return {"quotes": self.quotes.copy(), "prices": self.prices.copy(order="K")}

    @memory.setter
    def memory(self, memory: dict[str, np.ndarray]) -> None:
        self.quotes[:], self.prices[:] = memory["quotes"], memory["prices"]
        for good in self.economy.goods:
            places = [n for n, _ in self._pools(good)]
            if places:
                self.prices[:, self.economy.index[good]] = self.quotes[:, places].sum(axis=-1)
        self._priced[:] = True
        with np.errstate(all="ignore"):
            self._plan()

    @np.errstate(all="ignore")
    def step(self) -> None:
        """Prices follow what was planned at the last ones, and everybody plans at the new ones."""
        self.clock += 1
        self._form_prices()
        self._plan()

    def _follow(self, quotes: np.ndarray, ordered: np.ndarray, k: slice) -> np.ndarray:
        return called_next(quotes, ordered, self.quantities[:, k], self.settings.auction_rate)

    def _start(self) -> None:
        super()._start()
        self.wanted = self.shares * self.quantities[:, self.economy.buyers.good]

    def _check_start(self, economies: Sequence[Economy]) -> None:
        """Note which lines have no best plan; plan for the first time."""
        for row in range(len(self.shares)):
            for industry in self.economy.topological_order:
                try:
                    check_returns(*self._first_firm(row, industry))
                except MarketError as error:
                    self._fail(row, error)
        with np.errstate(all="ignore"):
            self._plan()
        super()._check_start(economies)

    def _first_firm(self, row: int, industry: Industry) -> tuple[Industry, np.ndarray]:
        """An industry of one run, and what its first firm wanted last, over its weight."""

        def own(several: Any) -> float:
            return float(several[row if len(several) > 1 else 0, 0])

        line = industry.technology
        line = line.with_parameters({key: own(each) for key, each in line.parameters.items()})
        uses = self.economy.buyers.uses[industry.good]
        wanted = np.array([self.wanted[row, use.start] for use in uses])
        return dataclasses.replace(industry, technology=line), wanted / own(industry.weights)

    def _plan(self) -> None:
        """Everybody answers the prices that are called."""
        for k, terms in enumerate(self.economy.supply.values()):
            self.quantities[:, k : k + 1] = curves.supply_quantity(terms, self.prices[:, k : k + 1])
        quoted = self.economy.buyers.pool
        for industry in self.economy.topological_order:
            k = self.economy.index[industry.good]
            total = np.zeros(len(self.shares))
            for places in cached_parts((len(self.shares), industry.firms)):
                uses = [
                    slice(use.start + places.start, use.start + places.stop)
                    for use in self.economy.buyers.uses[industry.good]
                ]
                plan = best_plan(
                    industry.technology,
                    self.prices[:, k : k + 1],
                    np.stack([self.quotes[:, quoted[use]] for use in uses]),
                    industry.weights[:, places],
                    industry.productivity[:, places],
                    np.stack([self.wanted[:, use] for use in uses]),
                )
                for use, units in zip(uses, plan.inputs, strict=True):
                    self.orders[:, use] = units
                    self.wanted[:, use] = np.where(units > 0.0, units, self.wanted[:, use])
                total += plan.output.sum(axis=-1)
                for row in np.flatnonzero(~plan.found.all(axis=-1)).tolist():
                    self._fail(row, no_plan(*self._first_firm(row, industry)))
            self.quantities[:, k] = total
