"""Households that plan at quoted prices, in an array engine: a part of the engines that have them.

A household's income is what its endowments are worth at the prices that are called, its shares of
the profits of firms that plan at these prices, transfers, and its part of taxes on all these plans.
So where households own all there is, excess demand is worth nothing at any prices: Walras' law.
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import numpy as np

from market_abm.economy import curves
from market_abm.language.segments import scatter
from market_abm.market.balanced_taxes import (
    balanced_incomes,
    taxes_of_households,
    taxes_of_others,
)
from market_abm.market.best_bundle import best_bundle, no_bundle_error
from market_abm.market.quoted import QuotedArrayEngine


class PlanningHouseholds(QuotedArrayEngine):
    """The households of an array engine whose firms have planned.

    Attributes
    ----------
    income
        Of each household at the quoted prices, money, shape (runs, households).
    guess
        The last order of each buyer, the guess of the next plan, units, shape (runs, buyers).
    """

    own: ClassVar[tuple[str, ...]] = ("income",)
    guess: np.ndarray

    def _create_arrays(self, runs: int) -> None:
        super()._create_arrays(runs)
        money = self.economy.claims.money
        self.income = np.broadcast_to(money, (runs, money.shape[-1])).copy()
        self._found = np.ones(self.prices.shape, bool)  # whether households have a best bundle

    def _plan_households(self, quotes: np.ndarray) -> None:
        """Households order the best bundles that their incomes buy at ``quotes``, taxes included.

        The price of a household's good is its weight α.
        """
        claims = self.economy.claims
        revenue = claims.revenue(self.prices, self.quantities)
        costs = claims.costs(self.economy.uses.buyers.total(quotes * self.orders))
        taxed = self.economy.taxes
        taxes = taxes_of_others(self.economy, self._paid(), self._sold()) if taxed else 0.0
        earned = claims.incomes(self.prices, revenue - costs, taxes)
        earned[list(self.failed)] = np.nan
        if taxed:
            buy = partial(self._taxes_on, quotes)
            self.income = balanced_incomes(earned, self.income, buy)
        else:
            self.income = earned
            self._buy(quotes, earned)
        found = self._found[:, claims.good]
        self.reference[:, -claims.count :] = self.prices[:, claims.good]
        self.guess[:, claims.buyers] = self.orders[:, claims.buyers]
        for row in np.flatnonzero(~found.all(axis=-1)).tolist():
            k = int(np.argmin(found[row]))
            name = self.economy.goods[claims.good[k]]
            weight = self.prices[row, claims.good[k]]
            subsidies = self.economy.subsidies_paid_by(name)
            self._fail(row, no_bundle_error(name, self.income[row, k], weight, subsidies))

    def _buy(self, quotes: np.ndarray, income: np.ndarray) -> None:
        """Households order their best bundles."""
        claims = self.economy.claims
        budgets, self._found = np.zeros_like(self.prices), np.ones(self.prices.shape, bool)
        budgets[:, claims.good] = income
        parts, sums = self._layout.parts(self.economy.groups)
        for part, block, leaves in parts:
            if part.household:
                bundle = best_bundle(
                    part.technology,
                    budgets[:, np.atleast_1d(part.good)],
                    self._of_slots(quotes, part),
                    self._of_slots(self.guess, part),
                )
                for slot, units in zip(part.slots, bundle.inputs, strict=True):
                    slot.write(self.orders, units)
                block.reduce_into(leaves, bundle.utility)
                self.prices[:, part.goods] = bundle.weight
                self._found[:, part.goods] = bundle.found
        for group, leaves in zip(self.economy.groups, sums, strict=True):
            if group.household:
                scatter(self.quantities, group.made, group.outputs(leaves))

    def _paid(self) -> np.ndarray:
        """What sellers would get from each use of a good, money, (runs, uses)."""
        quotes = self.quotes[:, self.economy.buyers.pool]
        return self.economy.uses.buyers.total(quotes * self.orders)

    def _sold(self) -> np.ndarray:
        """What sellers would get from consumers, money, (runs, final goods)."""
        final, economy = self.economy.final, self.economy
        prices, quantities = self.prices[:, final], self.quantities[:, final]
        wanted = curves.for_all(
            curves.demand_quantity, economy.demand_terms, self.reference, prices
        )
        return prices * self.mechanism.consumed(wanted, quantities)

    def _taxes_on(self, quotes: np.ndarray, income: np.ndarray) -> np.ndarray:
        """Households buy; what each gets of the taxes of each, (runs, households, households)."""
        self._buy(quotes, income)
        return taxes_of_households(self.economy, self._paid())
