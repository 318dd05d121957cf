"""``posted-price``: sellers post prices and keep stocks; buyers order (docs/model.md, 3).

A buyer orders more of an input whose value exceeds its price, and a seller raises its price if
orders exceed supply: o ← o exp(κ gap(bid, π)), π ← π exp(λ gap(Σ o, made + φ stock)), with
gap(a, b) = 2 (a - b)/(|a| + |b|) ≈ ln(a/b) near a steady state. A short good is rationed in
proportion to orders; the fraction δ of unsold goods spoils, the rest is stock. This is the saddle
point method of K. Arrow, L. Hurwicz and H. Uzawa (1958) for the Lagrangian whose multipliers are
prices, in logarithms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from market_abm.economy import curves
from market_abm.economy.economy import Economy
from market_abm.fields import choice, number
from market_abm.market.arrays import ArrayEngine
from market_abm.market.base import FinalMarket, bid_rate
from market_abm.market.conservation import Conservation, RecordedPath, allocated
from market_abm.market.quoted import (
    QuotedArrayEngine,
    QuotedFinalMarket,
    QuotedMarket,
    QuotedSettings,
)


def gap(a: Any, b: Any) -> Any:
    """2 (a - b)/(|a| + |b|), between -2 and 2: the relative difference of two amounts."""
    size = np.abs(a) + np.abs(b)
    return 2.0 * (a - b) / np.where(size > 0.0, size, 1.0)


def revised_quote(
    quote: Any, ordered: Any, made: Any, stock: Any, *, price_rate: Any, stock_weight: Any
) -> Any:
    """The next posted price, money per unit: π ← π exp(λ gap(ordered, made + φ stock)).

    Parameters
    ----------
    quote
        π, the posted price, money per unit.
    ordered
        Units ordered at that price.
    made
        Units made since.
    stock
        Units of the stock.
    price_rate
        λ.
    stock_weight
        φ, in [0, 1].
    """
    return quote * np.exp(price_rate * gap(ordered, made + stock_weight * stock))


def revised_order(order: Any, bid: Any, quote: Any, order_rate: Any) -> Any:
    """The next order of a buyer, units: o ← o exp(κ gap(bid, π)).

    ``bid`` is the value of a unit to it and ``quote`` π its price, money per unit; ``order_rate``
    is κ.
    """
    return order * np.exp(order_rate * gap(bid, quote))


def rationed_shares(orders: Any, ordered: Any, quantity: Any) -> Any:
    """Each buyer's share of ``quantity`` units: its order, rationed if the good is short."""
    return orders / np.maximum(ordered, quantity)


def purchased(demanded: Any, quantity: Any) -> Any:
    """Units that a consumer buys: those ``demanded``, between 0 and ``quantity``."""
    return np.clip(demanded, 0.0, quantity)


def left_over(quantity: Any, sold: Any, spoilage: Any) -> Any:
    """The next stock, units: unsold goods less the fraction ``spoilage`` δ in [0, 1]."""
    return (1.0 - spoilage) * np.maximum(quantity - sold, 0.0)


@dataclass(frozen=True)
class PostedPriceSettings(QuotedSettings):
    """The settings of ``posted-price``."""

    mechanism: str = choice(
        "posted-price", ("posted-price",), help="how goods are priced and allocated"
    )
    bid_rate: float = bid_rate()
    price_rate: float = number(
        0.02,
        above=0.0,
        high=1.0,
        help="λ: the elasticity of a price with respect to orders over supply",
    )
    order_rate: float = number(
        0.2,
        above=0.0,
        high=1.0,
        help="κ: the elasticity of an order with respect to value over price",
    )
    stock_weight: float = number(
        0.1, low=0.0, high=1.0, help="φ: the weight of the stock in supply"
    )
    spoilage: float = number(
        1.0,
        low=0.0,
        high=1.0,
        help="δ: the fraction of unsold goods that is lost in a step; 1: perishable goods",
    )


class PostedPrice(QuotedMarket):
    """Sellers post a price, buyers order, short goods are rationed, and unsold goods are stock.

    A nonrival good with several uses has no stock.
    """

    Settings = PostedPriceSettings
    settings: PostedPriceSettings
    stabilizing_hint = "lower market.price_rate and market.order_rate"
    rates = ("bid_rate", "order_rate", "price_rate", "spoilage")
    no_budgets = "what was ordered may cost more when it is delivered"
    smooth = False  # rationing has a kink at a steady state, where orders equal supply

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.made = self.stock = np.float64(0.0)

    @staticmethod
    def array_engine() -> type[ArrayEngine]:
        """The class of its array engine."""
        return PostedPriceArrayEngine

    @staticmethod
    def final_market() -> type[FinalMarket]:
        """The market of a final good with a posted price."""
        return PostedFinalMarket

    @staticmethod
    def consumed(demanded: Any, quantity: Any) -> Any:
        """Units that a consumer buys: those demanded, or all there is."""
        return purchased(demanded, quantity)

    @classmethod
    def conservation(
        cls, path: RecordedPath, economy: Economy, settings: Any, reference: np.ndarray
    ) -> Conservation | None:
        """Money is conserved; unsold goods are lost as far as they spoil."""
        _, left, on_sale = allocated(path, economy)
        final, amounts = path.prices[:-1, economy.final], path.quantities[:-1, economy.final]
        for k, terms in enumerate(economy.net_demand.values()):
            demanded = curves.demand_quantity(terms, reference[k], final[:, k])
            left += np.maximum(amounts[:, k] - demanded, 0.0).sum()
        lost = settings.spoilage * left / (np.abs(on_sale).sum() + np.abs(amounts).sum())
        return Conservation(unallocated_share=float(lost), budget_imbalance=0.0)

    def collect(self) -> None:
        """Put output and stock on sale."""
        self.made = self.offers.sum()
        self.quantity = self.made + self.stock

    def form_price(self) -> None:
        """Post prices; at step 0 the whole quantity counts as ordered."""
        if not self.priced:
            self.orders = self.shares * self.quantity
        super().form_price()

    def follow(self) -> np.ndarray:
        """Prices follow orders and supply."""
        return revised_quote(
            self.quotes,
            self.ordered(),
            self.made,
            self.stock,
            price_rate=self.settings.price_rate,
            stock_weight=self.settings.stock_weight,
        )

    def reallocate(self) -> None:
        """Take new orders at the posted prices, ration them, and keep unsold goods."""
        for k, pool in enumerate(self.pools):
            revised = revised_order(
                self.orders[pool], self.bids[pool], self.quotes[k], self.settings.order_rate
            )
            self.orders[pool] = np.where(self.bidding[pool], revised, self.orders[pool])
            ordered = self.orders[pool].sum()
            self.shares[pool] = rationed_shares(self.orders[pool], ordered, self.quantity)
        if len(self.pools) == 1:
            sold = np.minimum(self.orders.sum(), self.quantity)
            self.stock = left_over(self.quantity, sold, self.settings.spoilage)


class PostedFinalMarket(QuotedFinalMarket):
    """The market of a final good with a posted price and a stock."""

    settings: PostedPriceSettings

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.made = self.stock = np.float64(0.0)

    def collect(self) -> None:
        """Put output and stock on sale."""
        self.made = self.offers.sum()
        self.quantity = self.made + self.stock

    def follow(self, demanded: Any) -> Any:
        """The price follows demand and supply."""
        return revised_quote(
            self.price,
            demanded,
            self.made,
            self.stock,
            price_rate=self.settings.price_rate,
            stock_weight=self.settings.stock_weight,
        )

    def reallocate(self) -> None:
        """Sell what the consumer demands at the posted price, and keep unsold goods."""
        demanded = self.customer.quantity_for(self.price)
        sold = self.quantity if np.isinf(demanded) else purchased(demanded, self.quantity)
        self.stock = left_over(self.quantity, sold, self.settings.spoilage)


class PostedPriceArrayEngine(QuotedArrayEngine):
    """The array engine of ``posted-price``.

    Attributes
    ----------
    made
        Output of the step, units, shape (runs, goods).
    stock
        Units, shape (runs, goods).
    """

    own = (*QuotedArrayEngine.own, "made", "stock")

    def _create_arrays(self, runs: int) -> None:
        super()._create_arrays(runs)
        self.made, self.stock = (np.zeros_like(self.quantities) for _ in range(2))
        alone = np.bincount(self.pool_goods)[self.pool_goods] == 1
        self._of_single = np.flatnonzero(alone)  # a good of several pools has no stock
        self._single = self.pool_goods[alone]

    def _start(self) -> None:
        super()._start()
        self.orders[:] = self.shares * self.quantities[:, self.economy.buyers.good]

    def _put_on_sale(self, made: np.ndarray) -> None:
        self.made = made
        self.quantities = made + self.stock

    def _follow(self, quotes: np.ndarray, ordered: np.ndarray, k: np.ndarray) -> np.ndarray:
        return revised_quote(
            quotes,
            ordered,
            self.made[:, k],
            self.stock[:, k],
            price_rate=self.settings.price_rate,
            stock_weight=self.settings.stock_weight,
        )

    def _reallocate(self) -> None:
        """Take new orders at the posted prices, ration them, and keep unsold goods."""
        rate, made = self.settings.order_rate, self._bid_made()
        sums = np.empty((len(self.orders), len(self.pools.leaves)))
        for block in self.blocks:
            buyers = block.elements
            orders = self.orders[:, buyers]
            revised = revised_order(orders, self.bids[:, buyers], block.spread(self.quotes), rate)
            if made is not True:
                revised = np.where(made[buyers], revised, orders)
            self.orders[:, buyers] = revised
            block.reduce_into(sums, revised)
        ordered, on_sale = self.pools.of_leaves(sums), self.quantities[:, self.pool_goods]
        for block in self.blocks:
            self.shares[:, block.elements] = rationed_shares(
                self.orders[:, block.elements], block.spread(ordered), block.spread(on_sale)
            )
        sold = self.quantities.copy()
        sold[:, self._single] = np.minimum(ordered, on_sale)[:, self._of_single]
        for n, terms in self.economy.demand_terms:
            k = self.economy.final[n]
            demanded = curves.demand_quantity(terms, self.reference[:, n], self.prices[:, k])
            bought = purchased(demanded, self.quantities[:, k])
            sold[:, k] = np.where(np.isinf(demanded), self.quantities[:, k], bought)
        self.stock = left_over(self.quantities, sold, self.settings.spoilage)
