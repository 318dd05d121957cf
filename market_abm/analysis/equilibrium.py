"""The competitive equilibrium without a market: the allocation of the greatest total surplus.

By the first welfare theorem a market at rest maximises W. Here W is maximised directly, by SciPy,
from the program alone: over the shares of each contested pool and the quantities of the suppliers
who respond. Nothing that trades is run.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from market_abm import backprop, behaviour
from market_abm.analysis.welfare import surplus
from market_abm.economy import Economy
from market_abm.errors import MarketError

MOST_VARIABLES = 400
"""Free variables beyond which an economy is left to other methods."""

ACCURACY = 1e-9
"""First-order conditions, relative to the money at stake, that count as solved."""


@dataclass(frozen=True, eq=False)
class Equilibrium:
    """Where W is greatest (at least locally, from the start's allocation).

    ``quantities`` (units) and ``prices`` (the exact gradient there, money per unit) have shape
    (goods,), ``shares`` (buyers,); ``residual`` is the largest first-order condition left, relative
    to the money at stake, and ``solved`` whether it is small.
    """

    quantities: np.ndarray
    prices: np.ndarray
    shares: np.ndarray
    welfare: float
    residual: float

    @property
    def solved(self) -> bool:
        """Whether the first-order conditions hold to 1e-9."""
        return self.residual <= ACCURACY


@np.errstate(all="ignore")
def equilibrium(economy: Economy) -> Equilibrium | None:
    """Maximise W over everything that is free; None if that is too much, or W is not finite.

    Quasi-Newton steps (BFGS) on the logarithms of shares and quantities, with the exact gradient of
    W, and then Newton's method on the first-order conditions themselves, for the last digits.
    """
    try:
        problem = _Problem(economy)
        if problem.size > MOST_VARIABLES:
            return None
        point = problem.solve()
        value, slope, quantities, prices, shares = problem.at(point)
    except MarketError:  # a loop that does not settle
        return None
    if not np.isfinite(value):
        return None
    residual = float(np.abs(slope / problem.stakes(quantities, prices)).max(initial=0.0))
    return Equilibrium(quantities, prices, shares, float(value), residual)


class _Problem:
    """W as a function of a vector of free variables.

    First the responding suppliers' quantities: ln(q/q0) of a ``curve``, q/q0 of a ``gradient``
    supplier; then for each contested pool ln(s/s0) of its buyers but the first, up to a constant.
    """

    def __init__(self, economy: Economy) -> None:
        self.economy = economy
        self.reference = backprop.references(economy)
        terms = list(economy.supply.values())
        self.endowment = np.array([supply.quantity for supply in terms])
        self.raw = np.array([k for k, s in enumerate(terms) if s.elasticity > 0], int)
        self.logs = np.array([terms[k].kind == "curve" for k in self.raw], bool)
        self.pools = [pool.buyers for pool in economy.buyers.contested]
        self.size = len(self.raw) + sum(pool.stop - pool.start - 1 for pool in self.pools)

    def start(self) -> np.ndarray:
        """The allocation of the market's first day."""
        point = np.zeros(self.size)
        point[: len(self.raw)] = np.where(self.logs, 0.0, 1.0)
        return point

    def allocation(self, point: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The raw quantities and the shares at ``point``."""
        raw, shares = self.endowment.copy(), self.economy.buyers.initial_shares.copy()
        first = len(self.raw)
        scale = np.where(self.logs, np.exp(point[:first]), point[:first])
        raw[self.raw] *= scale
        for pool in self.pools:
            last = first + pool.stop - pool.start - 1
            logs = np.concatenate([[0.0], point[first:last]])
            weights = shares[pool] * np.exp(logs - logs.max())
            shares[pool] = weights / weights.sum()
            first = last
        return raw, shares

    @np.errstate(all="ignore")
    def at(self, point: np.ndarray) -> tuple[float, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """W, its gradient by ``point``, and quantities, prices and shares there."""
        economy = self.economy
        raw, shares = self.allocation(point)
        quantities, inputs = backprop.forward_pass(economy, shares, raw)
        products = backprop.marginal_products(economy, inputs)
        paid = backprop.consumer_prices(economy, self.reference, quantities)
        prices = backprop.reverse_sweep(economy, products, shares, paid)
        value = float(surplus(economy, self.reference, quantities))
        slope = np.zeros(self.size)
        for n, k in enumerate(self.raw):
            terms = list(economy.supply.values())[k]
            margin = prices[k] - behaviour.marginal_cost(terms, raw[k])
            slope[n] = margin * (raw[k] if self.logs[n] else self.endowment[k])
        first = len(self.raw)
        for pool in self.pools:
            last = first + pool.stop - pool.start - 1
            good = economy.buyers.good[pool.start]
            worth = prices[economy.buyers.maker[pool]] * products[pool] * quantities[good]
            gain = shares[pool] * (worth - shares[pool] @ worth)
            slope[first:last] = gain[1:]
            first = last
        return value, slope, quantities, prices, shares

    def stakes(self, quantities: np.ndarray, prices: np.ndarray) -> np.ndarray:
        """The money that flows through the good of each variable, shape (variables,)."""
        goods = list(self.raw)
        for pool in self.pools:
            goods += [self.economy.buyers.good[pool.start]] * (pool.stop - pool.start - 1)
        money = np.abs(quantities * prices)[np.array(goods, int)]
        return np.where(money > 0.0, money, 1.0)

    def solve(self) -> np.ndarray:
        """The best point."""
        from scipy.optimize import minimize, root

        point = self.start()
        if self.size == 0:
            return point
        value, _, quantities, prices, _ = self.at(point)
        scale = max(abs(value), float(self.stakes(quantities, prices).max()), 1e-300)

        def loss(x: np.ndarray) -> tuple[float, np.ndarray]:
            value, slope, *_ = self.at(x)
            if not np.isfinite(value) or not np.all(np.isfinite(slope)):
                return 1e300, np.zeros_like(x)
            return -value / scale, -slope / scale

        found = minimize(loss, point, jac=True, method="BFGS", options={"gtol": 1e-11})
        polished = root(lambda x: loss(x)[1], found.x, tol=1e-15)
        before, after = (np.abs(loss(x)[1]).max() for x in (found.x, polished.x))
        return (
            polished.x if after < before and loss(polished.x)[0] <= found.fun + 1e-12 else found.x
        )
