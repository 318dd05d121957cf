"""The Mesa agent of a household: it earns, and pledges what it has earned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from market_abm.economy.households import Household
from market_abm.economy.industry import Industry
from market_abm.market import incomes
from market_abm.market.agents import Consumer, Firm
from market_abm.market.behaviour import net_value
from market_abm.market.one_good import Market


class HouseholdAgent(Firm):
    """A household: the firm that makes its utility, and the consumer who pays for that.

    It observes the prices of what it owns, the dividends of its firms, and what it buys.

    Attributes
    ----------
    income
        Money that it spends in this step.
    """

    def __init__(
        self,
        model: Any,
        industry: Industry,
        bid_rate: float,
        input_markets: list[tuple[Market, int]],
        output_market: Market,
        consumer: Consumer,
        markets: Mapping[str, Market],
    ) -> None:
        super().__init__(model, industry, 0, bid_rate, input_markets, output_market)
        self._consumer = consumer
        self._markets = markets
        self._spending: np.ndarray | None = None

    def own(self, household: Household, shares: Mapping[str, float]) -> None:
        """Have other claims: endowments, transfers, and ``shares`` of the profits of lines."""
        self._household, self._shares = household, shares
        if self._spending is None:
            self.income = household.money
            self._sold = household.endowment

    def update_bids(self) -> None:
        """Nothing: it bids when all firms have paid out their profits."""

    def earn(self, profits: Mapping[str, float], taxes: float) -> None:
        """Receive what was earned at the last prices; money that it has, in the first step.

        ``taxes`` are its part of the revenue of the last trade.
        """
        sold, self._sold = self._sold, self._household.endowment
        if self._spending is None:
            return
        earned = sum(units * float(self._markets[good].price) for good, units in sold.items())
        dividends = sum(share * profits[good] for good, share in self._shares.items())
        self.income = earned + dividends + self._household.transfer + taxes
        if self.income < 0.0:
            raise incomes.debt_error(self.good, self.income)

    def pledge(self) -> None:
        """Spend the income on the inputs by what the last batch of each was worth."""
        if not self._has_bid:
            self._enter_markets()
        worth = self.worth()
        self._spending = incomes.revised_spending(self._spending, worth, worth.sum(), self.bid_rate)
        self._bids = net_value(self.income * self._spending, self.net_of_tax).tolist()
        for (market, first), bid in zip(self._input_markets, self._bids, strict=True):
            market.bids[first] = bid

    def weigh(self) -> None:
        """Let the consumer pay α for a unit of utility: the income over x ∂U/∂x."""
        before = self._consumer.reference
        self._consumer.reference = incomes.weight(
            self.income, self.worth().sum(), np.nan if before is None else before
        )

    def worth(self) -> np.ndarray:
        """What the batch of each input was worth, x ∂U/∂x, units of utility."""
        return np.asarray(self.input_book) * np.asarray(self._products)
