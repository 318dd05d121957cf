"""The primal-dual method on the Lagrangian of an economy.

K. J. Arrow, L. Hurwicz and H. Uzawa (Studies in Linear and Non-Linear Programming, 1958) find the
optimal allocation at the saddle point of

    L = Σ_consumers (p0 c0 + ∫P dc) - Σ_suppliers ∫MC dq + Σ_quotes π (S - D),

with supply S and demand D: inputs ascend its gradient, prices descend it. ``posted-price`` is
claimed to do this in logarithms (the mirror map of both is the entropy), on quantities and prices
of the previous step, with bounded gaps: gap(a, b) = 2 (a - b)/(|a| + |b|) ≈ ln(a/b) near a steady
state. Consumers respond to prices at once, suppliers by their own rule.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.twins import dual, terms
from market_abm.twins.terms import InitialState


@np.errstate(all="ignore")
def gap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """2 (a - b)/(|a| + |b|), between -2 and 2; 0 where both are 0."""
    sizes = np.abs(a) + np.abs(b)
    return np.where(sizes == 0.0, 0.0, 2.0 * (a - b) / np.where(sizes == 0.0, 1.0, sizes))


class PrimalDual:
    """Orders o ← o exp(κ gap(v, π)) and quotes π ← π exp(λ gap(O, A)), on lagged v, O and A.

    v is the marginal value of an input, smoothed with the bid rate, O the total order of a pool,
    and A the available quantity.

    Attributes
    ----------
    made, available, sold
        Output or offer of the step, the same with stock, and sales, units, shape (goods,).
    prices
        Money per unit, shape (goods,).
    quotes
        As in ``dual.py``, money per unit, shape (quotes,).
    values, products
        v, money per unit, and marginal products of the last batch, shape (buyers,).
    orders, deliveries
        Units, shape (buyers,).
    used_shares
        The last deliveries over the available quantity, shape (buyers,).
    """

    name: ClassVar[str] = "primal-dual (Arrow-Hurwicz-Uzawa)"
    activations: ClassVar[tuple[str, ...]] = ("simultaneous",)

    def __init__(self, economy: Economy, settings: Any) -> None:
        self.economy, self.settings, self.buyers = economy, settings, economy.buyers
        pools = [pool.good for pool in self.buyers.pools]
        self.good_of_quote = dual.good_of_quotes(economy)
        self.elastic = np.isinf([each.elasticity for each in economy.demand.values()])
        self.moving = np.append(np.ones(len(pools), bool), ~self.elastic)
        copied = [economy.reuse[good] == "copy" for good in economy.goods]
        self.keeps = ~(np.array(copied) & np.isin(np.arange(len(economy.goods)), pools))

        initial = InitialState.of(economy)
        self.reference = terms.references(economy, initial.quantities)
        self.made = self.available = initial.quantities
        self.products = initial.products
        self.quotes = dual.first_quotes(economy, initial, settings.start_price)
        self.prices = dual.prices(economy, self.quotes)
        self.values = np.zeros(self.buyers.size)
        self.used_shares = self.buyers.initial_shares
        self.orders = self.deliveries = self.used_shares * self.available[self.buyers.good]
        self.sold = self._sales()

    def observed(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Quantities, prices and shares of the current step."""
        return self.available, self.prices, self.used_shares

    def step(self) -> None:
        """Values follow the last step; then goods are made, quoted, ordered and rationed."""
        rates, buyers = self.settings, self.buyers
        self.used_shares = self.deliveries / self.available[buyers.good]
        value = self.prices[buyers.maker] * self.products
        self.values = (1.0 - rates.bid_rate) * self.values + rates.bid_rate * value
        demand = np.append(self._ordered(), self._consumed())
        left = np.where(self.keeps, (1.0 - rates.spoilage) * (self.available - self.sold), 0.0)
        self._produce()
        self.available = self.made + left
        usable = (self.made + rates.stock_weight * left)[self.good_of_quote]
        growth = np.exp(rates.price_rate * gap(demand, usable))
        self.quotes = np.where(self.moving, self.quotes * growth, self.quotes)
        self.prices = dual.prices(self.economy, self.quotes)
        cost = self.quotes[buyers.pool]
        self.orders = self.orders * np.exp(rates.order_rate * gap(self.values, cost))
        ration = self.available[self.good_of_quote[: len(buyers.pools)]] / self._ordered()
        ration = np.where(np.isnan(ration), 1.0, np.minimum(ration, 1.0))  # 0/0: no orders
        self.deliveries = self.orders * ration[buyers.pool]
        self.sold = self._sales()

    def _produce(self) -> None:
        """The next offers of suppliers, and the output of firms from their deliveries."""
        made = self.made.copy()
        for k, each in enumerate(self.economy.supply.values()):
            if each.elasticity > 0.0:
                made[k] = terms.offer(each, made[k], self.prices[k])
        self.products = np.zeros(self.buyers.size)
        for industry in self.economy.topological_order:
            places = self.buyers.of_industry[industry.good]
            output, self.products[places] = terms.production(industry, self.deliveries[places])
            made[self.economy.index[industry.good]] = np.sum(output)
        self.made = made

    def _ordered(self) -> np.ndarray:
        """The total order of each pool, units, shape (pools,)."""
        return np.bincount(self.buyers.pool, self.orders, len(self.buyers.pools))

    def _consumed(self) -> np.ndarray:
        """The demand of each consumer at its price, units, shape (final goods,)."""
        final = self.economy.final
        return terms.consumed(
            self.economy, self.reference, self.prices[final], self.available[final]
        )

    def _sales(self) -> np.ndarray:
        """Sales of each good, units, shape (goods,): deliveries, or purchases of consumers."""
        sold = np.bincount(self.buyers.good, self.deliveries, len(self.economy.goods))
        final = self.economy.final
        sold[final] = np.minimum(np.maximum(self._consumed(), 0.0), self.available[final])
        return sold
