"""The Mesa agents: they own their books, and call ``behaviour.py``.

Each sees only its own books, and the price and deliveries of the goods that it buys and sells.
"""

from __future__ import annotations

from typing import cast

import numpy as np

from market_abm.economy import curves
from market_abm.economy.industry import Industry, production
from market_abm.economy.terms import Demand, Supply
from market_abm.market import behaviour
from market_abm.market.base import Market
from market_abm.market.best_plan import best_plan, check_returns, no_plan
from market_abm.market.quiet import mesa
from market_abm.market.quoted import QuotedMarket


class Firm(mesa.Agent):
    """A replica of one line of the program: buys its inputs, makes its good, sells it.

    Its books, all of them: what it is (``technology``, ``weight``, ``productivity``), what it sold
    last (``output`` units made from ``inputs``, with marginal ``products``, at ``sale_price`` a
    unit), what it has bought for its next batch (``purchases``), and what it bids for each input
    (``bids``, money per unit, or as the mechanism has it). Arrays have shape (inputs,).

    To try another bidding rule, subclass and override :meth:`revise_bids`, and pass the class to
    :class:`market_abm.market.model.MarketModel` or :func:`market_abm.run`.
    """

    def __init__(
        self,
        model: mesa.Model,
        industry: Industry,
        member: int,
        bid_rate: float,
        input_markets: list[tuple[Market, np.ndarray]],
        output_market: Market,
        ago: int = 0,
    ) -> None:
        super().__init__(model)
        self.good = industry.good
        self._place = member
        self.update_terms(industry)
        self.bid_rate = bid_rate
        self._input_markets = [(market, int(buyers[member])) for market, buyers in input_markets]
        self._output_market = output_market
        self._ago = ago
        count = len(input_markets)
        self._wanted = np.ones(count)
        self.inputs = np.zeros(count)
        self.purchases = np.zeros(count)
        self.bids = np.zeros(count)
        self.shocks = np.zeros(count)
        self.products = np.zeros(count)
        self.output = np.float64(industry.population.start * self.weight)
        self.sale_price = self.marginal_revenue = np.float64(0.0)
        self.has_price = False

    def update_terms(self, industry: Industry) -> None:
        """Be a replica of this line from now on."""
        self._industry = industry
        self.technology = industry.technology
        self.weight = industry.weights[self._place]
        self.productivity = industry.productivity[self._place]
        self.bid_noise = industry.population.bid_noise
        self.cournot = industry.population.conduct == "cournot"

    # --- goods, downstream ---

    def take_delivery(self) -> None:
        """Fetch what its shares of its input markets give it."""
        self.purchases = np.array([market.delivery(buyer) for market, buyer in self._input_markets])

    def produce(self) -> None:
        """Turn what it bought into its good."""
        self.inputs = self.purchases
        self.output, products = production(
            self.technology, self.inputs, self.weight, self.productivity
        )
        self.products = np.array(products)
        self.offer()

    def offer(self) -> None:
        """Put what it has made on sale."""
        self._output_market.offers[self._place] = self.output

    def initialize_plan(self) -> None:
        """Begin to plan, with what it was given on the first day as a first guess.

        Raises:
            EconomyError: its line has no best plan.
        """
        self._wanted = self.inputs
        check_returns(self._industry, self.inputs / self.weight)

    def plan(self) -> None:
        """Order and offer what would earn most at the prices that are called; trade nothing.

        Raises:
            MarketError: there is no such plan.
        """
        input_markets = cast("list[tuple[QuotedMarket, int]]", self._input_markets)
        self.sale_price, self.has_price = self._output_market.price, True
        self.bids = np.array([market.quote(buyer) for market, buyer in input_markets])
        best = best_plan(
            self.technology,
            self.sale_price,
            self.bids,
            self.weight,
            self.productivity,
            self._wanted,
        )
        if not best.found:
            raise no_plan(self._industry, self._wanted / self.weight)
        self._wanted = np.where(best.inputs > 0.0, best.inputs, self._wanted)
        self.inputs, self.output = best.inputs, np.float64(best.output)
        for (market, buyer), units in zip(input_markets, self.inputs, strict=True):
            market.orders[buyer] = units
        self.offer()

    # --- prices, upstream ---

    def read_price(self) -> None:
        """Note what its good sells for, and what one more unit would have brought."""
        market = self._output_market
        self.sale_price, self.has_price = market.lagged_price(self._ago)
        self.marginal_revenue = self.sale_price
        if self.cournot:
            self.marginal_revenue = behaviour.marginal_revenue(
                self.sale_price, self.output / market.quantity, market.elasticity
            )

    def update_bids(self) -> None:
        """Value each input of the batch just sold, and revise and post its bids.

        A firm whose good has had no price yet has nothing to go by, and makes no bid.
        """
        if not self.has_price:
            return
        values = behaviour.marginal_revenue_products(self.marginal_revenue, self.products)
        if self.bid_noise:
            values = behaviour.noisy_valuation(values, self.bid_noise, self.shocks)
        quoted = [
            market.quoted(value, units)
            for (market, _), value, units in zip(
                self._input_markets, values, self.inputs, strict=True
            )
        ]
        self.bids = self.revise_bids(np.array(quoted))
        for (market, buyer), bid in zip(self._input_markets, self.bids, strict=True):
            market.bid(buyer, bid)

    def revise_bids(self, values: np.ndarray) -> np.ndarray:
        """The bidding rule: new bids, given what each input has earned.

        That is, what a unit of it would have; under ``trading-post``, all units together.
        """
        return behaviour.revised_bid(self.bids, values, self.bid_rate)


class Supplier(mesa.Agent):
    """Offers a raw good, and follows its price on its own terms.

    Its books: ``terms``, the ``quantity`` that it offers, and what it last got for a unit.
    """

    def __init__(self, model: mesa.Model, terms: Supply, market: Market, ago: int = 0) -> None:
        super().__init__(model)
        self.terms = terms
        self._ago = ago
        self.quantity = np.float64(terms.quantity)
        self._market = market

    def update_terms(self, terms: Supply) -> None:
        """Sell on these terms from now on."""
        self.terms = terms
        self.quantity = behaviour.renewed_offer(terms, self.quantity)

    def update_offer(self) -> None:
        """Revise the offer, if the good has had a price."""
        price, priced = self._market.lagged_price(self._ago)
        if priced:
            self.quantity = behaviour.revised_offer(self.terms, self.quantity, price)

    def plan(self) -> None:
        """Offer what would earn most at the price that is called."""
        self.quantity = curves.supply_quantity(self.terms, self._market.price)

    def offer(self) -> None:
        """Put what it offers on sale."""
        self._market.offers[0] = self.quantity


class Consumer(mesa.Agent):
    """Buys all there is of a final good, at the price that its demand gives to that quantity.

    Its books: ``terms``, and the ``reference`` quantity c0: unless the terms name it, that of the
    first day.
    """

    def __init__(self, model: mesa.Model, terms: Demand) -> None:
        super().__init__(model)
        self.terms = terms
        self.reference = terms.quantity

    def update_terms(self, terms: Demand) -> None:
        """Buy on these terms from now on."""
        self.terms = terms
        self.reference = curves.reference_quantity(terms, self.reference)

    def price_for(self, quantity: float) -> float:
        """What it pays for each of ``quantity`` units."""
        if self.reference is None:
            self.reference = quantity
        return curves.demand_price(self.terms, self.reference, quantity)

    def quantity_for(self, price: float) -> float:
        """How much it would take at ``price`` a unit; infinite if any number."""
        return curves.demand_quantity(self.terms, self.reference, price)

    def elasticity_at(self, quantity: float) -> float:
        """How much its demand answers the price there, relatively."""
        return curves.demand_elasticity(self.terms, self.reference, quantity)
