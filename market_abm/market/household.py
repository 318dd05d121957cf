"""The Mesa agent of a household: it earns, and pledges what it has earned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.economy.households import Household
from market_abm.economy.industry import Industry
from market_abm.market import incomes
from market_abm.market.agents import Consumer, Firm
from market_abm.market.balanced_taxes import (
    balanced_incomes,
    taxes_of_households,
    taxes_of_others,
)
from market_abm.market.behaviour import gross_price, net_value
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

    def own(self, household: Household, shares: Mapping[str, float], *, waits: bool) -> None:
        """Have other claims: endowments, transfers, and ``shares`` of the profits of lines.

        It ``waits`` if it lives on taxes that firms pay.
        """
        self._household, self._shares = household, shares
        if self._spending is None:
            keeps = waits and self.model.settings.activation == "simultaneous"
            self.income, self._kept = household.money, household.money / 2.0 if keeps else 0.0
            self._sold = household.endowment

    def update_bids(self) -> None:
        """Nothing: it bids when all firms have paid out their profits."""

    def earn(self, profits: Mapping[str, float], taxes: float) -> None:
        """Receive what was earned at the last prices; money that it has, in the first step.

        ``taxes`` are its part of the revenue of the last trade.
        """
        sold, self._sold = self._sold, self._household.endowment
        if self._spending is None:
            self.income -= self._kept
            return
        earned = self._earned(sold, profits) + taxes
        released = float(incomes.released(self._kept, earned))
        self.income, self._kept = earned + released, self._kept - released
        if self.income < 0.0:
            raise incomes.debt_error(self.good, self.income, self._dividends(profits))

    def _earned(self, sold: Mapping[str, float], profits: Mapping[str, float]) -> float:
        """What goods and firms earn at the prices of now, and transfers, money."""
        earned = sum(units * float(self._markets[good].price) for good, units in sold.items())
        return earned + self._dividends(profits) + self._household.transfer

    def _dividends(self, profits: Mapping[str, float]) -> float:
        """Its share of the profits of all lines, money."""
        return sum(share * profits[good] for good, share in self._shares.items())

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

    def initialize_plan(self) -> None:
        """Take the inputs of step 0 as the first guess of a bundle."""
        self._guess = self.inputs

    def plan(self) -> None:
        """Nothing: it plans when all firms have, whose profits it earns."""

    def planned_income(self, profits: Mapping[str, float]) -> float:
        """What it earns at the quoted prices, but for taxes, money; ``profits`` are planned."""
        return self._earned(self._household.endowment, profits)

    def plan_bundle(self, income: float) -> None:
        """Order the best bundle that an income buys at the quoted prices, without trade."""
        input_markets = cast("list[tuple[QuotedMarket, int]]", self._input_markets)
        prices = np.array([market.quote(first) for market, first in input_markets])
        gross = gross_price(prices, self.net_of_tax)
        best = best_bundle(self.technology, income, gross, self._guess)
        self.income, self._found = income, bool(best.found)
        self._guess, self._bids = best.inputs, self._book(prices)
        self.input_book, self.output = self._book(best.inputs), float(best.utility)
        self._consumer.reference = float(best.weight)
        self._output_market.price = np.float64(best.weight)
        for (market, first), units in zip(input_markets, self.input_book, strict=True):
            market.orders[first] = units
        self.offer()

    def check_plan(self, subsidies: Sequence[str]) -> None:
        """Refuse a plan that is not the best; ``subsidies`` are those that it pays.

        Raises
        ------
        EconomyError
            There is none.
        """
        if not self._found:
            price = float(self._output_market.price)
            raise no_bundle_error(self.good, self.income, price, subsidies)

    def worth(self) -> np.ndarray:
        """What the batch of each input was worth, x ∂U/∂x, units of utility."""
        return np.asarray(self.input_book) * np.asarray(self._products)


def plan_bundles(
    economy: Economy,
    households: Sequence[HouseholdAgent],
    profits: Mapping[str, float],
    markets: Mapping[str, Any],
) -> None:
    """All households order their best bundles at the quoted prices.

    Parameters
    ----------
    economy
        The economy, for its taxes.
    households
        In the order of the economy.
    profits
        What the firms of each line plan to earn, money.
    markets
        Of all goods, with the orders of firms.

    Raises
    ------
    EconomyError
        A household has no best bundle.
    """

    def paid() -> np.ndarray:
        orders = [each.bids * each.orders for each in markets.values() if len(each.bids)]
        return economy.uses.buyers.total(np.concatenate(orders))

    def buy(income: np.ndarray) -> np.ndarray:
        for household, own in zip(households, income.tolist(), strict=True):
            household.plan_bundle(own)
        return taxes_of_households(economy, paid()) if economy.taxes else np.zeros(0)

    earned = np.array([household.planned_income(profits) for household in households])
    if economy.taxes:
        earned += taxes_of_others(economy, paid(), _sold(economy, list(markets.values())))
        balanced_incomes(earned, np.array([household.income for household in households]), buy)
    else:
        buy(earned)
    for household in households:
        household.check_plan(economy.subsidies_paid_by(household.good))


def _sold(economy: Economy, markets: Sequence[Any]) -> np.ndarray:
    """What sellers would get from each consumer at the quoted prices, money, (final goods,)."""
    finals = [markets[k] for k in economy.final]
    wanted = [each.customer.quantity_for(each.price) for each in finals]
    units = [
        each.settings.rules.consumed(own, each.quantity)
        for own, each in zip(wanted, finals, strict=True)
    ]
    return np.array([each.price * own for each, own in zip(finals, units, strict=True)], float)
