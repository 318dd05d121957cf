"""The Lagrangian of an economy as a function, and a step of gradient ascent and descent on it.

Its derivatives are finite differences: they share nothing with the twin that is compared with them.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.twins import dual, terms
from market_abm.twins.terms import InitialState


class Lagrangian:
    """L as a function of a point: orders, offers, consumption and quotes.

    A point, (..., buyers + raw goods + final goods + quotes), holds these in this order, in units
    and, for the quotes of ``dual.py``, money per unit. The attributes ``orders``, ``offers``,
    ``consumption`` and ``quotes`` are their places.
    """

    def __init__(self, economy: Economy) -> None:
        self.economy = economy
        self.reference = terms.references(economy, InitialState.of(economy).quantities)
        sizes = [economy.buyers.size, len(economy.supply), len(economy.final)]
        sizes.append(len(economy.buyers.pools) + len(economy.final))
        ends = np.cumsum([0, *sizes])
        self.orders, self.offers, self.consumption, self.quotes = (
            np.arange(first, end) for first, end in pairwise(ends)
        )

    def supply(self, orders: np.ndarray, offers: np.ndarray) -> np.ndarray:
        """The supply of each good, units, shape (goods,), from ``orders`` and ``offers``."""
        supply = np.append(offers, np.zeros(len(self.economy.topological_order)))
        for industry in self.economy.topological_order:
            places = self.economy.buyers.of_industry[industry.good]
            made = terms.output(industry, orders[places])
            supply[self.economy.index[industry.good]] = np.sum(made)
        return supply

    @np.errstate(all="ignore")
    def __call__(self, points: np.ndarray) -> np.ndarray:
        """L at ``points``, money, shape (...)."""
        return np.apply_along_axis(self._value, -1, points)

    def _value(self, point: np.ndarray) -> float:
        economy, buyers = self.economy, self.economy.buyers
        orders, offers = point[self.orders], point[self.offers]
        consumption, quotes = point[self.consumption], point[self.quotes]
        supply, total = self.supply(orders, offers), 0.0
        consumers = zip(economy.demand.values(), self.reference, consumption, strict=True)
        for demand, reference, amount in consumers:
            total += float(terms.consumer_value(demand, reference, amount))
        for supplier, amount in zip(economy.supply.values(), offers, strict=True):
            total -= float(terms.production_cost(supplier, amount))
        for pool, quote in zip(buyers.pools, quotes, strict=False):
            total += quote * (supply[pool.good] - np.sum(orders[pool.buyers]))
        for good, amount, quote in zip(
            economy.final, consumption, quotes[len(buyers.pools) :], strict=True
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
    """One step of the Arrow-Hurwicz-Uzawa gradient process, in logarithms.

    Δ ln o = κ (∂L/∂o)/π and Δ ln π = -λ (∂L/∂π)/A, where A is the output made of the orders, and
    consumers buy their demand. The derivatives of L are finite differences.

    Parameters
    ----------
    economy, settings
        The economy, and the settings with the rates κ and λ.
    orders, offers
        Units, shapes (buyers,) and (raw goods,).
    quotes
        Money per unit, shape (quotes,).

    Returns
    -------
    order_step
        Δ ln o, shape (buyers,).
    quote_step
        Δ ln π, shape (quotes,); 0 for constant quotes.

    Notes
    -----
    A step of the twin ``LogPrimalDual`` with unsmoothed values (α = 1), where the quantity on sale
    was made of the same orders, equals this step to first order: bounded
    gaps, relative to the mean of both amounts, differ from these by a half of their square, and
    orders respond to quotes that have already moved by λ gap.
    """
    lagrangian, pools = Lagrangian(economy), len(economy.buyers.pools)
    supply = lagrangian.supply(orders, offers)
    available = supply[economy.final]
    consumption = terms.consumed(economy, lagrangian.reference, quotes[pools:], available)
    point = np.concatenate([orders, offers, consumption, quotes])
    by_order = dual.partial_derivatives(lagrangian, point, lagrangian.orders)
    by_quote = dual.partial_derivatives(lagrangian, point, lagrangian.quotes)
    by_quote[pools:][np.isinf([each.elasticity for each in economy.demand.values()])] = 0.0
    order_step = settings.order_rate * by_order / quotes[economy.buyers.pool]
    return order_step, -settings.price_rate * by_quote / supply[dual.good_of_quotes(economy)]
