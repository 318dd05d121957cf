"""The Lagrangian of an economy, and the primal-dual walk on it.

K. J. Arrow, L. Hurwicz and H. Uzawa (Studies in Linear and Non-Linear Programming, 1958) look for
the best allocation at the saddle point of

    L = Σ_consumers (p0 c0 + ∫P dc) - Σ_suppliers ∫MC dq + Σ_quotes π (S - D),

S what is made and offered, D what is ordered: inputs go up its slope, prices down it.
``posted-price`` is claimed to do this in logarithms (the mirror map of both is the entropy), on
goods and prices that are a step old, with gaps between amounts that are bounded:
gap(a, b) = 2 (a - b)/(|a| + |b|), which near rest is ln(a/b). Consumers answer prices at once,
suppliers by their own rule.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.twins import dual, terms
from market_abm.twins.terms import InitialState

if TYPE_CHECKING:
    pass


@np.errstate(all="ignore")
def gap(wanted: np.ndarray, there: np.ndarray) -> np.ndarray:
    """2 (a - b)/(|a| + |b|), between -2 and 2; 0 where both are 0."""
    sizes = np.abs(wanted) + np.abs(there)
    return np.where(sizes == 0.0, 0.0, 2.0 * (wanted - there) / np.where(sizes == 0.0, 1.0, sizes))


class PrimalDual:
    """Orders o ← o exp(κ gap(v, π)) and quotes π ← π exp(λ gap(O, A)), on stale v, O and A.

    v is the marginal value of an input, smoothed with the bid rate; O what a pool orders, and A
    what is there. Arrays over goods: ``made`` in this step or offered, ``there`` (with what was
    left and did not spoil), ``sold``, and ``prices``. Over buyers: ``values`` v, ``orders``,
    ``deliveries``, and ``handed``, which part of what was there the deliveries before were;
    ``products`` of the batch made last. ``quotes`` are those of ``dual.py``.
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

        day = InitialState.of(economy)
        self.reference = terms.references(economy, day.quantities)
        self.made = self.there = day.quantities
        self.products = day.products
        self.quotes = dual.first_quotes(economy, day, settings.start_price)
        self.prices = dual.prices(economy, self.quotes)
        self.values = np.zeros(self.buyers.size)
        self.handed = self.buyers.initial_shares
        self.orders = self.deliveries = self.handed * self.there[self.buyers.good]
        self.sold = self._sales()

    def seen(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What a ``TwinPath`` keeps of a step."""
        return self.there, self.prices, self.handed

    def step(self) -> None:
        """All learn from the step before; then goods are made, quoted, ordered and handed out."""
        rates, buyers = self.settings, self.buyers
        self.handed = self.deliveries / self.there[buyers.good]
        value = self.prices[buyers.maker] * self.products
        self.values = (1.0 - rates.bid_rate) * self.values + rates.bid_rate * value
        wanted = np.append(self._ordered(), self._consumed())
        left = np.where(self.keeps, (1.0 - rates.spoilage) * (self.there - self.sold), 0.0)
        self._produce()
        self.there = self.made + left
        usable = (self.made + rates.stock_weight * left)[self.good_of_quote]
        growth = np.exp(rates.price_rate * gap(wanted, usable))
        self.quotes = np.where(self.moving, self.quotes * growth, self.quotes)
        self.prices = dual.prices(self.economy, self.quotes)
        cost = self.quotes[buyers.pool]
        self.orders = self.orders * np.exp(rates.order_rate * gap(self.values, cost))
        part = self.there[self.good_of_quote[: len(buyers.pools)]] / self._ordered()
        part = np.where(np.isnan(part), 1.0, np.minimum(part, 1.0))  # 0/0: nothing was ordered
        self.deliveries = self.orders * part[buyers.pool]
        self.sold = self._sales()

    def _produce(self) -> None:
        """Suppliers' next offers, and what firms make of their deliveries."""
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
        """What each pool orders, (pools,)."""
        return np.bincount(self.buyers.pool, self.orders, len(self.buyers.pools))

    def _consumed(self) -> np.ndarray:
        """What each consumer takes at its price, (final goods,); if elastic, all there is."""
        final = self.economy.final
        return terms.consumed(self.economy, self.reference, self.prices[final], self.there[final])

    def _sales(self) -> np.ndarray:
        """What is sold of each good, (goods,): deliveries, or what consumers take."""
        sold = np.bincount(self.buyers.good, self.deliveries, len(self.economy.goods))
        final = self.economy.final
        sold[final] = np.minimum(np.maximum(self._consumed(), 0.0), self.there[final])
        return sold


# --- the Lagrangian -------------------------------------------------------------------------------


class Lagrangian:
    """L as a function of one point: orders, offers, what consumers take, and quotes.

    A point, (..., buyers + raw goods + final goods + quotes), holds these in this order, amounts
    in units, the quotes of ``dual.py`` in money per unit; ``orders``, ``offers``, ``taken`` and
    ``quotes`` are their places.
    """

    def __init__(self, economy: Economy) -> None:
        self.economy = economy
        self.reference = terms.references(economy, InitialState.of(economy).quantities)
        sizes = [economy.buyers.size, len(economy.supply), len(economy.final)]
        sizes.append(len(economy.buyers.pools) + len(economy.final))
        ends = np.cumsum([0, *sizes])
        self.orders, self.offers, self.taken, self.quotes = (
            np.arange(first, end) for first, end in pairwise(ends)
        )

    def supply(self, orders: np.ndarray, offers: np.ndarray) -> np.ndarray:
        """What there is of each good, (goods,), if it is made of ``orders`` and ``offers``."""
        supply = np.append(offers, np.zeros(len(self.economy.topological_order)))
        for industry in self.economy.topological_order:
            places = self.economy.buyers.of_industry[industry.good]
            made, _ = terms.production(industry, orders[places])
            supply[self.economy.index[industry.good]] = np.sum(made)
        return supply

    @np.errstate(all="ignore")
    def __call__(self, points: np.ndarray) -> np.ndarray:
        """L, money, (...)."""
        return np.apply_along_axis(self._value, -1, points)

    def _value(self, point: np.ndarray) -> float:
        economy, buyers = self.economy, self.economy.buyers
        orders, offers = point[self.orders], point[self.offers]
        taken, quotes = point[self.taken], point[self.quotes]
        supply, total = self.supply(orders, offers), 0.0
        consumers = zip(economy.demand.values(), self.reference, taken, strict=True)
        for demand, reference, amount in consumers:
            total += float(terms.consumer_value(demand, reference, amount))
        for supplier, amount in zip(economy.supply.values(), offers, strict=True):
            total -= float(terms.production_cost(supplier, amount))
        for pool, quote in zip(buyers.pools, quotes, strict=False):
            total += quote * (supply[pool.good] - np.sum(orders[pool.buyers]))
        for good, amount, quote in zip(
            economy.final, taken, quotes[len(buyers.pools) :], strict=True
        ):
            total += quote * (supply[good] - amount)
        return total


def uzawa_step(
    economy: Economy,
    settings: Any,
    orders: np.ndarray,
    offers: np.ndarray,
    quotes: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """A step of the gradient process in logarithms: (Δ ln o, (buyers,); Δ ln π, (quotes,)).

    Δ ln o = κ (∂L/∂o)/π and Δ ln π = -λ (∂L/∂π)/A at ``orders`` (buyers,) and ``offers`` (raw
    goods,), in units, and ``quotes`` (quotes,), where consumers take what they want; A is what is
    made of the orders. The derivatives of L are finite differences. 0 by quotes that never move.

    A step of :class:`PrimalDual` with perishable goods (δ = 1) and fresh values (α = 1), where
    what is on sale was made of the same orders, is this one to first order: bounded gaps, each
    relative to the mean of both amounts, differ from these by half of themselves, and an order
    sees quotes that have moved by λ gap already.
    """
    lagrangian, pools = Lagrangian(economy), len(economy.buyers.pools)
    supply = lagrangian.supply(orders, offers)
    there = supply[economy.final]
    taken = terms.consumed(economy, lagrangian.reference, quotes[pools:], there)
    point = np.concatenate([orders, offers, taken, quotes])
    by_order = dual.slopes(lagrangian, point, lagrangian.orders)
    by_quote = dual.slopes(lagrangian, point, lagrangian.quotes)
    by_quote[pools:][np.isinf([each.elasticity for each in economy.demand.values()])] = 0.0
    upward = settings.order_rate * by_order / quotes[economy.buyers.pool]
    return upward, -settings.price_rate * by_quote / supply[dual.good_of_quotes(economy)]
