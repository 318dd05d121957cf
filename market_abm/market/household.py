"""The Mesa agent of a household: it earns, and pledges what it has earned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from market_abm.economy.households import Household
from market_abm.economy.industry import Industry
from market_abm.market import incomes
from market_abm.market.agents import Consumer, Firm
from market_abm.market.best_bundle import best_bundle, no_bundle_error
from market_abm.market.one_good import Market
from market_abm.market.quoted import QuotedMarket


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

    def update_bids(self) -> None:
        """Nothing: it bids when all firms have paid out their profits."""

    def earn(self, profits: Mapping[str, float]) -> None:
        """Receive what was earned at the last prices; money that it has, in the first step."""
        if self._spending is not None:
            self.income = self._earned(profits)

    def _earned(self, profits: Mapping[str, float]) -> float:
        """What its endowments and firms earn at the prices of now, and transfers; money."""
        goods = self._household.endowment.items()
        earned = sum(units * float(self._markets[good].price) for good, units in goods)
        dividends = sum(share * profits[good] for good, share in self._shares.items())
        return earned + dividends + self._household.transfer

    def pledge(self) -> None:
        """Spend the income on the inputs by what the last batch of each was worth."""
        if not self._has_bid:
            self._enter_markets()
        worth = self.worth()
        self._spending = incomes.revised_spending(self._spending, worth, worth.sum(), self.bid_rate)
        self._bids = (self.income * self._spending).tolist()
        for (market, first), bid in zip(self._input_markets, self._bids, strict=True):
            market.bids[first] = bid

    def weigh(self) -> None:
        """Let the consumer pay α for a unit of utility: the income over x ∂U/∂x."""
        before = self._consumer.reference
        self._consumer.reference = incomes.weight(
            self.income, self.worth().sum(), np.nan if before is None else before
        )

    def initialize_plan(self) -> None:
        """Take the inputs of step 0 as the first guess of a bundle."""
        self._guess = self.inputs

    def plan(self) -> None:
        """Nothing: it plans when all firms have, whose profits it earns."""

    def plan_bundle(self, profits: Mapping[str, float]) -> None:
        """Order the best bundle that its income buys at the quoted prices, without trade.

        Raises
        ------
        EconomyError
            There is none.
        """
        input_markets = cast("list[tuple[QuotedMarket, int]]", self._input_markets)
        prices = np.array([market.quote(first) for market, first in input_markets])
        self.income = self._earned(profits)
        best = best_bundle(self.technology, self.income, prices, self._guess)
        if not best.found:
            raise no_bundle_error(self.good, self.income, float(best.weight))
        self._guess, self._bids = best.inputs, self._book(prices)
        self.input_book, self.output = self._book(best.inputs), float(best.utility)
        self._consumer.reference = float(best.weight)
        self._output_market.price = np.float64(best.weight)
        for (market, first), units in zip(input_markets, self.input_book, strict=True):
            market.orders[first] = units
        self.offer()

    def worth(self) -> np.ndarray:
        """What the batch of each input was worth, x ∂U/∂x, units of utility."""
        return np.asarray(self.input_book) * np.asarray(self._products)
