"""``posted-price``: sellers post prices and keep stocks; buyers order (docs/model.md, 3).

A buyer orders more of what earns more than it costs, and a seller raises the price of what is
ordered more than it makes: o ← o exp(κ gap(bid, π)), π ← π exp(λ gap(Σ o, made + φ stock)), with
gap(a, b) = 2 (a - b)/(|a| + |b|), which is ln(a/b) near rest. What is short is rationed, in
proportion to orders; what is left over spoils at the rate δ, or is stock. This is the saddle point
method of K. Arrow, L. Hurwicz and H. Uzawa (1958) for the Lagrangian whose multipliers are prices,
in logarithms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from market_abm.economy import curves
from market_abm.economy.economy import Economy
from market_abm.fields import choice, number
from market_abm.market.arrays import ArrayEngine
from market_abm.market.base import FinalMarket
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
    """What a seller posts next, money per unit.

    It saw ``ordered`` units ordered at ``quote``, and has ``made`` units to sell, and a ``stock``
    left over from before, which counts less (``stock_weight`` φ in [0, 1]); λ is ``price_rate``.
    """
    return quote * np.exp(price_rate * gap(ordered, made + stock_weight * stock))


def revised_order(order: Any, bid: Any, quote: Any, order_rate: Any) -> Any:
    """What a buyer orders next, units: ``bid`` is what a unit is worth to it, ``quote`` its cost.

    κ is ``order_rate``.
    """
    return order * np.exp(order_rate * gap(bid, quote))


def handed_out(orders: Any, ordered: Any, quantity: Any) -> Any:
    """Each buyer's share of ``quantity`` units: its order, or, if these are short, its part."""
    return orders / np.maximum(ordered, quantity)


def taken(wanted: Any, quantity: Any) -> Any:
    """What a consumer takes, units, of ``quantity`` units; nothing, if less than that is wanted."""
    return np.clip(wanted, 0.0, quantity)


def left_over(quantity: Any, sold: Any, spoilage: Any) -> Any:
    """The stock that is kept, units, of what was not sold: ``spoilage`` δ in [0, 1] of it rots."""
    return (1.0 - spoilage) * np.maximum(quantity - sold, 0.0)


@dataclass(frozen=True)
class PostedPriceSettings(QuotedSettings):
    """The settings of ``posted-price``."""

    mechanism: str = choice(
        "posted-price", ("posted-price",), help="how goods are priced and allocated"
    )
    bid_rate: float = number(
        1.0,
        above=0.0,
        high=1.0,
        help="α: the fraction of the way that a bid moves to the value of the input in a step",
    )
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
        help="δ: the fraction of what is left over that is lost in a step; 1: perishable goods",
    )


class PostedPrice(QuotedMarket):
    """Sellers post a price, buyers order, short goods are rationed, and what is unsold is kept.

    A copied good is made to order, so that nothing of it is left to keep.
    """

    Settings = PostedPriceSettings
    settings: PostedPriceSettings
    stabilizing_hint = "lower market.price_rate and market.order_rate"
    rates = ("bid_rate", "order_rate", "price_rate", "spoilage")
    smooth = False  # at rest goods are on the verge of being short, and of being left over

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.made = self.stock = np.float64(0.0)

    @staticmethod
    def array_engine() -> type[ArrayEngine]:
        """Its engine on arrays."""
        return PostedPriceArrayEngine

    @staticmethod
    def final_market() -> type[FinalMarket]:
        """Where the consumer finds a posted price, too."""
        return PostedFinalMarket

    @classmethod
    def conservation(
        cls, path: RecordedPath, economy: Economy, settings: Any, reference: np.ndarray
    ) -> Conservation | None:
        """Buyers pay what sellers get; what is left over is lost as far as it spoils."""
        _, left, on_sale = allocated(path, economy)
        final, amounts = path.prices[:-1, economy.final], path.quantities[:-1, economy.final]
        for k, terms in enumerate(economy.demand.values()):
            wanted = curves.demand_quantity(terms, reference[k], final[:, k])
            left += np.maximum(amounts[:, k] - wanted, 0.0).sum()
        lost = settings.spoilage * left / (np.abs(on_sale).sum() + np.abs(amounts).sum())
        return Conservation(unallocated_share=float(lost), budget_imbalance=0.0)

    def collect(self) -> None:
        """Put on sale what has just been made, and what was left over."""
        self.made = self.offers.sum()
        self.quantity = self.made + self.stock

    def form_price(self) -> None:
        """Post prices; on the first day all there is counts as ordered."""
        if not self.priced:
            self.orders = self.shares * self.quantity
        super().form_price()

    def follow(self) -> np.ndarray:
        """Prices follow orders and stock."""
        return revised_quote(
            self.quotes,
            self.ordered(),
            self.made,
            self.stock,
            price_rate=self.settings.price_rate,
            stock_weight=self.settings.stock_weight,
        )

    def reallocate(self) -> None:
        """Take new orders, at the prices posted now; ration; keep what is left."""
        for k, pool in enumerate(self.pools):
            revised = revised_order(
                self.orders[pool], self.bids[pool], self.quotes[k], self.settings.order_rate
            )
            self.orders[pool] = np.where(self.bidding[pool], revised, self.orders[pool])
            ordered = self.orders[pool].sum()
            self.shares[pool] = handed_out(self.orders[pool], ordered, self.quantity)
        if len(self.pools) == 1:
            sold = np.minimum(self.orders.sum(), self.quantity)
            self.stock = left_over(self.quantity, sold, self.settings.spoilage)


class PostedFinalMarket(QuotedFinalMarket):
    """A final good at a posted price: the consumer orders, and what is unsold is kept."""

    settings: PostedPriceSettings

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.made = self.stock = np.float64(0.0)

    def collect(self) -> None:
        """Put on sale what has just been made, and what was left over."""
        self.made = self.offers.sum()
        self.quantity = self.made + self.stock

    def follow(self, wanted: Any) -> Any:
        """The price follows orders and stock."""
        return revised_quote(
            self.price,
            wanted,
            self.made,
            self.stock,
            price_rate=self.settings.price_rate,
            stock_weight=self.settings.stock_weight,
        )

    def reallocate(self) -> None:
        """Sell what is wanted at the price posted now, and keep what is left."""
        wanted = self.customer.quantity_for(self.price)
        sold = self.quantity if np.isinf(wanted) else taken(wanted, self.quantity)
        self.stock = left_over(self.quantity, sold, self.settings.spoilage)


class PostedPriceArrayEngine(QuotedArrayEngine):
    """Runs of a market of posted prices; ``made`` and ``stock``, units, are (runs, goods)."""

    own = (*QuotedArrayEngine.own, "made", "stock")

    def _lay_out(self, runs: int) -> None:
        super()._lay_out(runs)
        self.made, self.stock = (np.zeros_like(self.quantities) for _ in range(2))

    def _start(self) -> None:
        super()._start()
        self.orders[:] = self.shares * self.quantities[:, self.economy.buyers.good]

    def _put_on_sale(self, made: np.ndarray) -> None:
        self.made = made
        self.quantities = made + self.stock

    def _follow(self, quotes: np.ndarray, ordered: np.ndarray, k: slice) -> np.ndarray:
        return revised_quote(
            quotes,
            ordered,
            self.made[:, k],
            self.stock[:, k],
            price_rate=self.settings.price_rate,
            stock_weight=self.settings.stock_weight,
        )

    def _reallocate(self) -> None:
        """New orders at the prices posted last, what they get, and what is left."""
        for good in self.economy.goods:
            k = self.economy.index[good]
            quantity = self.quantities[:, k : k + 1]
            pools = self._pools(good)
            for n, buyers in pools:
                bidding = self._has_bid(buyers)
                orders, quote = self.orders[:, buyers], self.quotes[:, n : n + 1]
                revised = revised_order(
                    orders, self.bids[:, buyers], quote, self.settings.order_rate
                )
                orders[:] = np.where(bidding, revised, orders)
                ordered = orders.sum(axis=-1, keepdims=True)
                self.shares[:, buyers] = handed_out(orders, ordered, quantity)
            if good in self.economy.demand:
                n = list(self.economy.demand).index(good)
                wanted = curves.demand_quantity(
                    self.economy.demand[good], self.reference[:, n : n + 1], self.prices[:, [k]]
                )
                sold = np.where(np.isinf(wanted), quantity, taken(wanted, quantity))
            elif len(pools) == 1:
                sold = np.minimum(ordered, quantity)
            else:
                continue
            self.stock[:, k : k + 1] = left_over(quantity, sold, self.settings.spoilage)
