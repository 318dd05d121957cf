"""The Mesa agents: state variables, and methods that apply the rules of ``behaviour.py``.

An agent observes only its own state, and the prices and deliveries of goods that it buys or sells.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from market_abm.economy import curves
from market_abm.economy.industry import Industry, production
from market_abm.economy.series import number_at
from market_abm.economy.terms import Demand, Supply
from market_abm.market import behaviour
from market_abm.market.best_outputs import planned_output
from market_abm.market.best_plan import best_plan, check_returns, no_plan_error
from market_abm.market.import_mesa import mesa
from market_abm.market.one_good import Market
from market_abm.market.quoted import QuotedMarket


class Firm(mesa.Agent):
    """A firm of one line of the program: buys its inputs, makes its good, sells it.

    To use another bidding rule, override :meth:`revise_bids` in a subclass, and pass the class to
    :class:`market_abm.market.model.MarketModel` or :func:`market_abm.run`.

    Attributes
    ----------
    technology, weight, productivity
        Its production function z w f(x/w).
    output
        Units of the batch on sale.
    bid_rate
        The rate of adjustment of its bids.
    net_of_tax
        1/(1 + τ) of each input, shape (inputs,); None without taxes.

    Notes
    -----
    Its books are Python floats and lists, or arrays for a line of many inputs. They are read, as
    arrays, from the properties ``inputs``, ``products``, ``purchases`` and ``bids``.
    """

    def __init__(
        self,
        model: mesa.Model,
        industry: Industry,
        member: int,
        bid_rate: float,
        input_markets: list[tuple[Market, int]],
        output_market: Market,
    ) -> None:
        super().__init__(model)
        self.good = industry.good
        self._place = member
        self._has_own_rule = type(self).revise_bids is not Firm.revise_bids
        self.update_terms(industry)
        self.bid_rate = bid_rate
        self._input_markets = input_markets
        self._output_market = output_market
        self._has_bid = False
        rules = model.settings.rules
        self._as_bid = rules.as_bid if rules.bids_are_money else None
        count = len(input_markets)
        self._guess = self.shocks = np.zeros(count)
        self.input_book, self._products, self._bids = (self._book([0.0] * count) for _ in range(3))
        self.output = industry.population.start * self.weight

    net_of_tax: np.ndarray | None = None

    def update_taxes(self, net_of_tax: np.ndarray) -> None:
        """Replace the taxes on its inputs."""
        self.net_of_tax, self._is_plain = net_of_tax, False

    def update_terms(self, industry: Industry) -> None:
        """Replace technology, weight, productivity, noise and conduct by those of ``industry``."""
        self._industry = industry
        self.technology = industry.technology
        self.weight = float(industry.weights[self._place])
        self.productivity = float(industry.productivity[self._place])
        self.bid_noise = industry.population.bid_noise
        self.cournot = industry.population.conduct == "cournot"
        self._is_plain = (
            not (self._has_own_rule or self.bid_noise or self.cournot or self.technology.vectorized)
            and self.net_of_tax is None
        )

    # --- books ---

    @property
    def inputs(self) -> np.ndarray:
        """Units used for the batch on sale, shape (inputs,)."""
        return np.array(self.input_book)

    @property
    def products(self) -> np.ndarray:
        """Marginal products of these inputs, shape (inputs,)."""
        return np.array(self._products)

    @property
    def purchases(self) -> np.ndarray:
        """Units that it buys for the next batch, shape (inputs,)."""
        place = self._place
        return np.array(
            [
                market.allotments[first + place] * market.units
                for market, first in self._input_markets
            ]
        )

    @property
    def bids(self) -> np.ndarray:
        """Money per unit, or as the mechanism defines a bid, shape (inputs,)."""
        return np.array(self._bids)

    @property
    def sale_price(self) -> float:
        """Money per unit that it observes for its good."""
        return self._output_market.observed_price or 0.0

    def _book(self, numbers: Any) -> Any:
        """Numbers of the inputs, in the form in which they are kept."""
        array = np.array(numbers, float)
        return array if self.technology.vectorized else array.tolist()

    @property
    def profit(self) -> float:
        """Money that the batch on sale has earned, less what its inputs cost, taxes included."""
        paid = self.bids if self._as_bid else self.bids * self.inputs
        costs = float(behaviour.gross_price(paid, self.net_of_tax).sum())
        return float(self._output_market.price) * self.output - costs

    # --- goods move downstream ---

    def produce(self) -> None:
        """Take delivery of its shares of the input markets, make the next batch, and offer it."""
        self.take_delivery()
        place, inputs = self._place, self.input_book
        made = None
        if self.technology.divides:
            inputs = [*inputs, self.taken_by_all()]
        else:
            made = self.technology.float_production(inputs, self.weight, self.productivity)
        if made is None:
            output, products = production(
                self.technology, np.array(inputs), self.weight, self.productivity
            )
            made = float(output), self._book(products)
        self.output, self._products = made
        self._output_market.offers[place] = self.output

    def take_delivery(self) -> None:
        """Take its shares of what the input markets have."""
        place, inputs = self._place, self.input_book
        for k, (market, first) in enumerate(self._input_markets):
            inputs[k] = market.allotments[first + place] * market.units

    def taken_by_all(self) -> float:
        """Units of the line's activity that all of its outputs get."""
        ((market, _),) = self._input_markets
        return sum(market.allotments) * market.units

    def offer(self) -> None:
        """Offer its output."""
        self._output_market.offers[self._place] = self.output

    def initialize_plan(self) -> None:
        """Take the inputs of step 0 as the first guess of a plan.

        Raises
        ------
        EconomyError
            Its line has no profit-maximising plan.
        """
        self._guess = self.inputs
        if self.technology.outputs:  # the best plan is its line's
            return
        check_returns(self._industry, self._guess / self.weight)

    def plan(self) -> None:
        """Order and offer the profit-maximising quantities at the quoted prices, without trade.

        Raises
        ------
        MarketError
            No such plan is found.
        """
        input_markets = cast("list[tuple[QuotedMarket, int]]", self._input_markets)
        place = self._place
        if self.technology.outputs:
            self._plan_output(*input_markets[0])
            return
        prices = np.array([market.quote(first + place) for market, first in input_markets])
        best = best_plan(
            self.technology,
            self.sale_price,
            behaviour.gross_price(prices, self.net_of_tax),
            self.weight,
            self.productivity,
            self._guess,
        )
        if not best.found:
            raise no_plan_error(self._industry, self._guess / self.weight)
        self._guess = np.where(best.inputs > 0.0, best.inputs, self._guess)
        self._bids, self.input_book = self._book(prices), self._book(best.inputs)
        self.output = float(best.output)
        for (market, first), units in zip(input_markets, self.input_book, strict=True):
            market.orders[first + place] = units
        self.offer()

    def _plan_output(self, market: QuotedMarket, first: int) -> None:
        """Take, and offer, the part of its line's activity that maximises the line's revenue."""
        total = market.offers.sum()
        share, made = planned_output(self.technology, self.sale_price, market.price)
        self._bids, self.input_book = self._book([market.quote(first)]), self._book([share * total])
        market.orders[first], self.output = share * total, float(made * total)
        self.offer()

    # --- prices move upstream ---

    def update_bids(self) -> None:
        """Value the inputs of the batch just sold, and revise the bids.

        A firm that has not observed a price of its good makes no bid.
        """
        revenue = self._output_market.observed_price
        if revenue is None:
            return
        if not self._has_bid:
            self._enter_markets()
        if not self._is_plain:
            self._revise_as_arrays(revenue)
            return
        place, rate, products, bids = self._place, self.bid_rate, self._products, self._bids
        as_bid = self._as_bid
        for k, (market, first) in enumerate(self._input_markets):
            bid = behaviour.marginal_revenue_products(revenue, products[k])
            if as_bid:
                bid = as_bid(bid, self.input_book[k])
            if rate != 1.0:  # else the bid is the value
                bid = behaviour.revised_bid(bids[k], bid, rate)
            bids[k] = market.bids[first + place] = bid

    def begin_with_money(self) -> None:
        """Bid what the batch of step 0 earns at the start price, where nobody outside pays."""
        self._enter_markets()
        price = float(self._industry.population.start_price)
        self._set_bids(self._values(price))

    def _enter_markets(self) -> None:
        """Be a bidder in the input markets."""
        for market, first in self._input_markets:
            market.bidding[first + self._place] = True
        self._has_bid = True

    def _revise_as_arrays(self, price: float) -> None:
        """Revise the bids by :meth:`revise_bids`."""
        revenue = price
        if self.cournot:
            market = self._output_market
            share = self.output / market.quantity
            revenue = behaviour.marginal_revenue(price, share, market.elasticity)
        self._set_bids(self.revise_bids(self._values(revenue)))

    def _values(self, revenue: float) -> np.ndarray:
        """The value of each input in the unit of a bid, at the ``revenue`` of a unit of output."""
        values = behaviour.marginal_revenue_products(revenue, self.products)
        values = behaviour.net_value(values, self.net_of_tax)
        if self.bid_noise:
            values = behaviour.noisy_valuation(values, self.bid_noise, self.shocks)
        return self._as_bid(values, self.inputs) if self._as_bid else values

    def _set_bids(self, bids: Any) -> None:
        """Bid in the input markets."""
        self._bids = np.asarray(bids, float).tolist()
        for (market, first), bid in zip(self._input_markets, self._bids, strict=True):
            market.bids[first + self._place] = bid

    def revise_bids(self, values: np.ndarray) -> np.ndarray:
        """The bidding rule: the next bids.

        Parameters
        ----------
        values
            Value of each input in the unit of a bid, shape (inputs,): money per unit, or under
            ``trading-post`` the money that all its units have earned; net of taxes on the input.
        """
        return behaviour.revised_bid(self.bids, values, self.bid_rate)


class Supplier(mesa.Agent):
    """A supplier of a raw good.

    Attributes
    ----------
    terms
        Its supply curve and rate of adjustment.
    quantity
        Units that it offers.
    """

    def __init__(self, model: mesa.Model, terms: Supply, market: Market, ago: int = 0) -> None:
        super().__init__(model)
        self.terms = terms
        self._ago = ago
        self.quantity = np.float64(terms.quantity)
        self._market = market
        self._prices = behaviour.PeriodPrices(0.0, 0.0)

    def update_terms(self, terms: Supply) -> None:
        """Replace its terms; a fixed endowment becomes the new one."""
        self.terms = terms
        self.quantity = behaviour.renewed_offer(terms, self.quantity)

    def observed_price(self) -> tuple[Any, bool]:
        """The price that it observes, money per unit, and whether there was one."""
        return self._market.lagged_price(self._ago)

    def update_offer(self) -> None:
        """Revise the offer if it has observed a price, or follow the series."""
        if self.terms.series is not None:
            self.quantity = np.float64(number_at(self.terms, self.model.clock))
            return
        price, moves = self.observed_price()
        if self.terms.waits:
            price, moves, self._prices = behaviour.price_of_period(
                self.terms, self._prices, price, moves, self.model.clock
            )
        if moves:
            self.quantity = behaviour.revised_offer(self.terms, self.quantity, price)

    def plan(self) -> None:
        """Offer the quantity of its supply curve at the quoted price, or of its series."""
        if self.terms.series is not None:
            self.update_offer()
        else:
            self.quantity = curves.supply_quantity(self.terms, self._market.price)

    def offer(self) -> None:
        """Offer its quantity."""
        self._market.offers[0] = self.quantity


class Consumer(mesa.Agent):
    """A consumer: buys the quantity on sale of a final good at the price of its demand curve.

    Attributes
    ----------
    terms
        Its demand curve, at net prices: what sellers get.
    reference
        The reference quantity c0, units: that of the terms, or else the quantity of step 0.
    """

    def __init__(self, model: mesa.Model, terms: Demand) -> None:
        super().__init__(model)
        self.terms = terms
        self.reference = terms.quantity

    def update_terms(self, terms: Demand) -> None:
        """Replace its terms; c0 stays unless they set it."""
        self.terms = terms
        self.reference = curves.reference_quantity(terms, self.reference)

    def price_for(self, quantity: float) -> float:
        """Money per unit that it pays for ``quantity`` units."""
        if self.reference is None:
            self.reference = quantity
        return curves.demand_price(self.terms, self.reference, quantity)

    def quantity_for(self, price: float) -> float:
        """Units that it demands at ``price``; infinite if demand is perfectly elastic there."""
        return curves.demand_quantity(self.terms, self.reference, price)

    def elasticity_at(self, quantity: float) -> float:
        """The elasticity of its demand at ``quantity`` units."""
        return curves.demand_elasticity(self.terms, self.reference, quantity)
