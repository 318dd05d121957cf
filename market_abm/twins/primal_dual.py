"""The primal-dual method on the Lagrangian of an economy, plain and in logarithms.

K. J. Arrow, L. Hurwicz and H. Uzawa (Studies in Linear and Non-Linear Programming, 1958) find the
optimal allocation at the saddle point of

    L = Σ_consumers (p0 c0 + ∫P dc) - Σ_suppliers ∫MC dq + Σ_quotes π (S - D),

with supply S and demand D: inputs ascend its gradient, prices descend it. Nothing is rationed and
nothing is stored: who orders gets what it orders, whether or not there is as much. Consumers
respond to prices at once, suppliers by their own rule. The gradient of L is the complex step of the
whole function (``dated.py``). Quotes are those of ``dual.py``.

* :class:`LogPrimalDual`: in logarithms, with bounded gaps;
* :class:`PrimalDual`: the textbook's, in units of the start;
* :class:`PresentPrimalDual`: the same with both gradients of the present point. The others have
  those of a market: an input has the value of the batch sold before, and costs the next price.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.twins import dual, terms
from market_abm.twins.dated import LINE_COST, complex_step
from market_abm.twins.terms import InitialState

ROUNDING = 1e-14
"""Relative differences of demand and supply below this are rounding."""


class Lagrangian:
    """L as a function of orders and quotes, and its gradient by the complex step.

    Attributes
    ----------
    work
        The numbers computed so far.
    """

    def __init__(self, economy: Economy, reference: np.ndarray) -> None:
        self.economy, self.reference = economy, reference
        self.good_of_quote = dual.good_of_quotes(economy)
        self.work = 0

    def supply(self, orders: np.ndarray, offers: np.ndarray) -> np.ndarray:
        """The supply of each good, (..., goods), of ``orders``, (..., buyers), and ``offers``."""
        raw = np.broadcast_to(offers, (*orders.shape[:-1], len(offers)))
        made = [raw[..., k] for k in range(len(offers))]
        for industry in self.economy.topological_order:
            inputs = np.moveaxis(orders[..., terms.places(self.economy, industry)], -2, 0)
            made.append(np.sum(terms.output(industry, inputs), axis=-1))
            self.work += LINE_COST + inputs.size
        return np.stack(made, axis=-1)

    def value(
        self, orders: np.ndarray, quotes: np.ndarray, offers: np.ndarray, consumed: np.ndarray
    ) -> np.ndarray:
        """L at ``orders``, (..., buyers), and ``quotes``, (..., quotes): money, shape (...).

        ``offers`` of raw goods and the amounts ``consumed`` of final goods, units, are constants.
        """
        economy, pools = self.economy, len(self.economy.buyers.pools)
        demands = zip(terms.net_demand(economy), self.reference, consumed, strict=True)
        suppliers = zip(economy.supply.values(), offers, strict=True)
        total = sum(float(terms.consumer_value(*each)) for each in demands)
        total = total - sum(float(terms.production_cost(*each)) for each in suppliers)
        ordered = np.add.reduceat(orders, economy.buyers.starts, axis=-1) if pools else orders
        bought = np.broadcast_to(consumed, (*orders.shape[:-1], len(consumed)))
        demand = np.concatenate([ordered, bought], axis=-1)
        supply = self.supply(orders, offers)[..., self.good_of_quote]
        return total + np.sum(quotes * (supply - demand), axis=-1)

    def gradient(
        self, orders: np.ndarray, quotes: np.ndarray, offers: np.ndarray, consumed: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """∂L/∂orders, money per unit, (buyers,), and ∂L/∂quotes, units, (quotes,)."""
        size = len(orders)

        def at(changes: np.ndarray) -> np.ndarray:
            moved = orders + changes[:, :size], quotes + changes[:, size:]
            return self.value(*moved, offers, consumed)

        slopes = complex_step(at, np.append(orders, quotes))
        return slopes[:size], slopes[size:]


class SaddlePoint(ABC):
    """A primal-dual method on L.

    Attributes
    ----------
    offers, made
        Units, shapes (raw goods,) and (goods,).
    orders, last_orders, values
        Units, those of the batch before, and the value of a unit of its inputs, money per unit,
        smoothed with the bid rate, shape (buyers,).
    quotes
        Money per unit, shape (quotes,).
    prices
        Money per unit, shape (goods,).
    used_shares
        The orders of the last batch over what was available, shape (buyers,).
    """

    name: ClassVar[str]
    activations: ClassVar[tuple[str, ...]] = ("simultaneous",)
    where: ClassVar[str] = "as long as nothing is rationed or stored"
    present: ClassVar[bool] = False

    def __init__(self, economy: Economy, settings: Any) -> None:
        self.economy, self.settings, self.buyers = economy, settings, economy.buyers
        initial = InitialState.of(economy)
        self.reference = terms.references(economy, initial.quantities)
        self.lagrangian = Lagrangian(economy, self.reference)
        self.suppliers = terms.Suppliers(economy)
        elastic = np.isinf([each.elasticity for each in economy.demand.values()])
        self.moving = np.append(np.ones(len(self.buyers.pools), bool), ~elastic)
        self.made, self.offers = initial.quantities, initial.quantities[: len(economy.supply)]
        self.quotes = dual.first_quotes(economy, initial, settings.start_price)
        self.prices = dual.prices(economy, self.quotes)
        self.used_shares = self.buyers.initial_shares
        self.orders = self.last_orders = self.used_shares * self.made[self.buyers.good]
        self.values = np.zeros(self.buyers.size)

    @property
    def work(self) -> int:
        """The numbers computed so far."""
        return self.lagrangian.work

    def applies(self) -> bool:
        """Whether, beyond rounding, nothing is short, and nothing is left over that would keep."""
        pools, good = len(self.buyers.pools), self.lagrangian.good_of_quote
        demand = np.append(np.bincount(self.buyers.pool, self.orders, pools), self._consumed())
        rounding = ROUNDING * self.made[good]
        left = self.made[good] - demand
        short = np.any(left[:pools] < -rounding[:pools])
        return not (short or (self.settings.spoilage < 1.0 and np.any(left > rounding)))

    def mixed_dates(self) -> np.ndarray | None:
        """None: prices are variables of their own here, not slopes of batches."""
        return None

    def observed(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Quantities, prices and shares of the current step."""
        return self.made, self.prices, self.used_shares

    def step(self) -> None:
        """Suppliers offer, lines produce from the orders, and quotes and then orders move."""
        self.used_shares = self.orders / self.made[self.buyers.good]
        consumed, cost = self._consumed(), self.quotes[self.buyers.pool]
        older = self.orders if self.present else self.last_orders
        slope, _ = self.lagrangian.gradient(older, self.quotes, self.offers, consumed)
        rate = self.settings.bid_rate
        self.values = (1.0 - rate) * self.values + rate * (slope + cost)
        known = np.ones(len(self.prices), bool)
        self.offers = self.suppliers.offers(self.offers, self.prices, known)
        _, excess = self.lagrangian.gradient(self.orders, self.quotes, self.offers, consumed)
        self.made = self.lagrangian.supply(self.orders, self.offers)
        self.last_orders = self.orders
        quotes = np.where(self.moving, self.moved_quotes(excess), self.quotes)
        self.orders = self.moved_orders((self.quotes if self.present else quotes)[self.buyers.pool])
        self.quotes, self.prices = quotes, dual.prices(self.economy, quotes)

    def _consumed(self) -> np.ndarray:
        """What consumers want at the prices, units, shape (final goods,)."""
        final = self.economy.final
        return terms.consumed(self.economy, self.reference, self.prices[final], self.made[final])

    @abstractmethod
    def moved_quotes(self, excess: np.ndarray) -> np.ndarray:
        """The next quotes, given ∂L/∂quotes: the ``excess`` supply, units, (quotes,)."""

    @abstractmethod
    def moved_orders(self, cost: np.ndarray) -> np.ndarray:
        """The next orders: ∂L/∂orders is ``values`` less ``cost``, money per unit, (buyers,)."""


class LogPrimalDual(SaddlePoint):
    """Orders o ← o exp(κ gap(v, π)) and quotes π ← π exp(λ gap(D, S)).

    gap(a, b) = 2 (a - b)/(|a| + |b|) ≈ ln(a/b), where a - b is a slope of L.
    """

    name: ClassVar[str] = "primal-dual (Arrow-Hurwicz-Uzawa) in logarithms"

    def moved_quotes(self, excess: np.ndarray) -> np.ndarray:
        """The quotes π exp(λ gap(D, S)), with D = S less the excess."""
        supply = self.made[self.lagrangian.good_of_quote]
        return self.quotes * np.exp(self.settings.price_rate * gap(supply - excess, supply))

    def moved_orders(self, cost: np.ndarray) -> np.ndarray:
        """The orders o exp(κ gap(v, π))."""
        return self.orders * np.exp(self.settings.order_rate * gap(self.values, cost))


class PrimalDual(SaddlePoint):
    """o ← max(0, o + κ u ∂L/∂o) and π ← max(0, π - λ w ∂L/∂π).

    u = o/π and w = π/S are constants, of the start: the units in which a step is measured.
    """

    name: ClassVar[str] = "primal-dual (Arrow-Hurwicz-Uzawa)"

    def __init__(self, economy: Economy, settings: Any) -> None:
        super().__init__(economy, settings)
        self.order_unit = self.orders / self.quotes[self.buyers.pool]
        self.quote_unit = self.quotes / self.made[self.lagrangian.good_of_quote]

    def moved_quotes(self, excess: np.ndarray) -> np.ndarray:
        """The quotes π - λ w ∂L/∂π, but not below 0."""
        return np.maximum(self.quotes - self.settings.price_rate * self.quote_unit * excess, 0.0)

    def moved_orders(self, cost: np.ndarray) -> np.ndarray:
        """The orders o + κ u ∂L/∂o, but not below 0."""
        rise = self.settings.order_rate * self.order_unit * (self.values - cost)
        return np.maximum(self.orders + rise, 0.0)


class PresentPrimalDual(PrimalDual):
    """The textbook's method with both gradients of the present point."""

    name: ClassVar[str] = "primal-dual (Arrow-Hurwicz-Uzawa) of the present point"
    present: ClassVar[bool] = True


@np.errstate(all="ignore")
def gap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """2 (a - b)/(|a| + |b|), between -2 and 2; 0 where both are 0."""
    sizes = np.abs(a) + np.abs(b)
    return np.where(sizes == 0.0, 0.0, 2.0 * (a - b) / np.where(sizes == 0.0, 1.0, sizes))
