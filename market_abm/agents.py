"""The Mesa agents: they own their books, and call ``behaviour.py``.

Each sees only its own books, and the price and deliveries of the goods that it buys and sells.
"""

from __future__ import annotations

import mesa
import numpy as np

from market_abm import behaviour
from market_abm.economy import Demand, Industry, Supply
from market_abm.markets.market import Market


class Firm(mesa.Agent):
    """A replica of one line of the program: buys its inputs, makes its good, sells it.

    Its books, all of them: what it is (``technology``, ``weight``, ``productivity``), what it sold
    last (``output`` units made from ``inputs``, with marginal ``products``, at ``sale_price`` a
    unit), what it has bought for its next batch (``purchases``), and what it bids for each input
    (``bids``, money per unit). Arrays have shape (inputs,).

    To try another bidding rule, subclass and override :meth:`revise_bids`, and pass the class to
    :class:`market_abm.model.MarketModel` or :func:`market_abm.run`.
    """

    def __init__(
        self,
        model: mesa.Model,
        industry: Industry,
        member: int,
        bid_rate: float,
        input_markets: list[tuple[Market, np.ndarray]],
        output_market: Market,
    ) -> None:
        super().__init__(model)
        self.good = industry.good
        self.technology = industry.technology
        self.weight = industry.weights[member]
        self.productivity = industry.productivity[member]
        self.bid_noise = industry.population.bid_noise
        self.bid_rate = bid_rate
        self._stalls = [(market, int(buyers[member])) for market, buyers in input_markets]
        self._output_market = output_market
        self._place = member
        count = len(input_markets)
        self.inputs = np.zeros(count)
        self.purchases = np.zeros(count)
        self.bids = np.zeros(count)
        self.shocks = np.zeros(count)
        self.products = np.zeros(count)
        self.output = np.float64(industry.population.start * self.weight)
        self.sale_price = np.float64(0.0)
        self.has_price = False

    # --- goods, downstream ---

    def take_delivery(self) -> None:
        """Fetch what its shares of its input markets give it."""
        self.purchases = np.array([market.delivery(buyer) for market, buyer in self._stalls])

    def produce(self) -> None:
        """Turn what it bought into its good."""
        self.inputs = self.purchases
        self.output, self.products = behaviour.production(
            self.technology, self.inputs, self.weight, self.productivity
        )
        self.offer()

    def offer(self) -> None:
        """Put what it has made on sale."""
        self._output_market.offers[self._place] = self.output

    # --- prices, upstream ---

    def read_price(self) -> None:
        """Note what its good sells for."""
        self.sale_price = self._output_market.price
        self.has_price = self._output_market.priced

    def learn(self) -> None:
        """Value each input of the batch just sold, and revise and post its bids.

        A firm whose good has had no price yet has nothing to go by, and makes no bid.
        """
        if not self.has_price:
            return
        values = behaviour.marginal_revenue_products(self.sale_price, self.products)
        if self.bid_noise:
            values = behaviour.misjudged(values, self.bid_noise, self.shocks)
        self.bids = self.revise_bids(values)
        for (market, buyer), bid in zip(self._stalls, self.bids, strict=True):
            market.bid(buyer, bid)

    def revise_bids(self, values: np.ndarray) -> np.ndarray:
        """The bidding rule: new bids, given what a unit of each input would have earned."""
        return behaviour.revised_bid(self.bids, values, self.bid_rate)


class Supplier(mesa.Agent):
    """Offers its endowment of a raw good, every step."""

    def __init__(self, model: mesa.Model, supply: Supply, market: Market) -> None:
        super().__init__(model)
        self.quantity = np.float64(supply.quantity)
        self._market = market

    def offer(self) -> None:
        """Put the endowment on sale."""
        self._market.offers[0] = self.quantity


class Consumer(mesa.Agent):
    """Buys all there is of a final good at its own price, however much that is."""

    def __init__(self, model: mesa.Model, demand: Demand) -> None:
        super().__init__(model)
        self.price = np.float64(demand.price)

    def price_for(self, quantity: float) -> float:
        """What it pays for each of ``quantity`` units: the same for any quantity."""
        return self.price
