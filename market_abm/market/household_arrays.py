"""The array engine of a market in which households spend what they earn, in money."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from market_abm.economy.claims import Claims
from market_abm.economy.economy import Economy
from market_abm.economy.groups import Group
from market_abm.errors import MarketError
from market_abm.market import incomes
from market_abm.market.arrays import ArrayEngine
from market_abm.market.behaviour import gross_price, net_value
from market_abm.market.price_history import Observed


class HouseholdArrayEngine(ArrayEngine):
    """Runs of a market in which some lines are households.

    Households pledge their ``income``, (runs, households), when all firms have bid; firms act as in
    :class:`ArrayEngine`.
    """

    income: np.ndarray

    def _create_arrays(self, runs: int) -> None:
        super()._create_arrays(runs)
        self._spending: np.ndarray | None = None  # shares of income, (runs, inputs)
        self._earning = False  # whether households have anything but the money of the start
        self._sold = self.claims  # those by which the goods of the last step were sold
        self.income = np.broadcast_to(self.claims.money, (runs, self.claims.count)).copy()
        self._tax_incomes = np.zeros_like(self.income)
        waits = self.settings.activation == "simultaneous" and self.economy.await_revenue()
        self._kept = np.where(waits, self.income / 2.0, 0.0)  # of the money of the start

    @property
    def claims(self) -> Claims:
        """What households own."""
        return self.economy.claims

    @cached_property
    def _entries(self) -> np.ndarray:
        """The entries of groups that are inputs of households, in the order of ``claims``."""
        buyers = np.arange(self.shares.shape[1])
        entry_of = np.empty_like(buyers)
        entry_of[self.economy.network.entries] = buyers
        return entry_of[self.claims.buyers]

    def keep(self, rows: np.ndarray) -> None:
        """Continue with a selection of runs."""
        super().keep(rows)
        self.income, self._sold = self.income[rows], self.claims
        self._tax_incomes, self._kept = self._tax_incomes[rows], self._kept[rows]
        self._spending = None if self._spending is None else self._spending[rows]

    def _recall(self, memory: dict[str, np.ndarray]) -> None:
        super()._recall(memory)
        self._earning, self._spending = True, None
        self._kept = np.zeros_like(self.income)
        self.income = self._pledged()
        self._collect_taxes()

    def _pledged(self) -> np.ndarray:
        """What households spend, taxes included, money, (runs, households)."""
        return self.claims.inputs.total(
            gross_price(self.bids[:, self.claims.buyers], self._net_of_inputs)
        )

    @property
    def _net_of_inputs(self) -> np.ndarray | None:
        """1/(1 + τ) of each input of households, (..., inputs); None without taxes."""
        net = self.economy.net_of_buyers
        return None if net is None else net[..., self.claims.buyers]

    # --- a step ---------------------------------------------------------------------------------

    def _work(
        self,
        groups: Sequence[Group],
        made: np.ndarray,
        sold: np.ndarray | None = None,
        observed: Observed | None = None,
    ) -> None:
        super()._work(groups, made, sold, observed)
        if sold is not None:  # all firms have bid
            self._earn()
            self._pledge(sold)

    def _sequential(self) -> None:
        self._earn()
        super()._sequential()

    def _forward_pass(self) -> None:
        super()._forward_pass()
        if self.clock:
            self._pledge(self._products)

    def _update_bids(
        self, group: Group, sold: np.ndarray, prices: np.ndarray, priced: np.ndarray
    ) -> None:
        if not group.household:
            super()._update_bids(group, sold, prices, priced)

    def _earn(self) -> None:
        """Households receive what was earned at the last prices, and the firms' profits."""
        sold, self._sold = self._sold, self.claims
        if not self._earning:  # they have their money
            self._earning, self.income = True, self.income - self._kept
            return
        paid = gross_price(self.economy.uses.buyers.total(self.bids), self.economy.net_of_tax)
        profits = sold.revenue(self.prices, self.quantities) - self.claims.costs(paid)
        earned = self.claims.incomes(self.prices, profits, self._tax_incomes, sold=sold)
        released = incomes.released(self._kept, earned)
        self.income, self._kept = earned + released, self._kept - released
        if not np.any(self.income < 0.0):
            return
        dividends = self.claims.dividends(profits)
        for row, k in np.argwhere(self.income < 0.0).tolist():
            name = list(self.economy.households)[k]
            shared = np.broadcast_to(dividends, self.income.shape)[row, k]
            self._fail(row, incomes.debt_error(name, self.income[row, k], shared))

    def _pledge(self, products: np.ndarray) -> None:
        """Households spend all of it, by what the batch with these products was worth."""
        buyers, inputs = self.claims.buyers, self.claims.inputs
        worth, rate = products[:, self._entries], self.settings.bid_rate
        total = inputs.spread(inputs.total(worth))
        before = self._spending
        if before is None and np.any(self.bids[:, buyers]):  # the state was set
            spent = gross_price(self.bids[:, buyers], self._net_of_inputs)
            before = spent / inputs.spread(self._pledged())
        self._spending = incomes.revised_spending(before, worth, total, rate)
        spending = inputs.spread(self.income) * self._spending
        self.bids[:, buyers] = net_value(spending, self._net_of_inputs)
        self._has_bid[self.claims.good] = True  # whatever prices firms have observed

    def _form_prices(self) -> None:
        super()._form_prices()
        self._collect_taxes()

    def _collect_taxes(self) -> None:
        """Taxes on the trade at the last prices; households get them in the next step."""
        if self.economy.taxes:
            paid = self.economy.uses.buyers.total(self.bids)
            sold = (self.prices * self.quantities)[:, self.economy.final]
            self._tax_incomes = self.economy.tax_incomes(paid, sold)

    def _form_final_prices(self) -> None:
        """Consumers pay the prices of their demand curves, and households their weights."""
        super()._form_final_prices()
        total = self.claims.inputs.total(self._products[:, self._entries])
        own = slice(self.reference.shape[1] - self.claims.count, None)
        before = np.nan if self.clock == 0 else self.reference[:, own]
        self.reference[:, own] = incomes.weight(self.income, total, before)
        self.prices[:, self.claims.good] = self.reference[:, own]

    def _check_start(self, economies: Sequence[Economy]) -> None:
        """Record the errors of the runs that cannot begin."""
        super()._check_start(economies)
        worth = self._products[:, self._entries]
        total = self.claims.inputs.total(worth)
        for row in np.flatnonzero(~(np.all(worth >= 0.0, -1) & np.all(total > 0.0, -1))).tolist():
            error: MarketError | None = incomes.start_error(economies[row], worth[row])
            if error:
                self._fail(row, error)
