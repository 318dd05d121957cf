"""The competitive equilibrium without a market: the allocation of the greatest total surplus.

By the first welfare theorem a market at rest maximises W. Here W is maximised directly, by SciPy,
from the program alone: over the shares of each contested pool and the quantities of the suppliers
who respond. Nothing that trades is run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from market_abm.economy import curves
from market_abm.economy.economy import Economy
from market_abm.errors import MarketError
from market_abm.gradient import backprop
from market_abm.gradient.welfare import surplus

MAX_VARIABLES = 400
"""Free variables beyond which an economy is left to other methods."""


ACCURACY = 1e-9
"""First-order conditions, relative to the money at stake, that count as solved."""


LEAST = 1e-4
"""A share below this weighs as much in the first-order conditions, if its holder wants more."""


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

    Newton's steps within a trust region (by conjugate gradients, from the exact gradient of W) on
    the logarithms of shares and quantities, and then Levenberg-Marquardt on the first-order
    conditions themselves, for the last digits.
    """
    try:
        problem = Problem(economy)
        if problem.size > MAX_VARIABLES:
            return None
        point = problem.solve()
        best = problem.at(point)
    except MarketError:  # a loop that does not settle
        return None
    if not np.isfinite(best.value):
        return None
    return Equilibrium(
        best.quantities, best.prices, best.shares, best.value, problem.residual(best)
    )


class _Allocation(NamedTuple):
    """What is so at a point: W, its gradient by the free variables, and the economy there.

    ``worth``, shape (buyers,), is what all of its good would earn at what each buyer makes of one
    more unit, in money.
    """

    value: float
    slope: np.ndarray
    quantities: np.ndarray
    prices: np.ndarray
    shares: np.ndarray
    worth: np.ndarray


class Problem:
    """W as a function of a vector of free variables: that which a market leaves to bids.

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
        self.pools = [pool.buyers for pool in economy.buyers.shared_pools]
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

    def point(self, raw: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """The point of an allocation: of raw quantities, (raw goods,), and shares, (buyers,)."""
        relative = raw[self.raw] / self.endowment[self.raw]
        parts = [np.where(self.logs, np.log(relative), relative)]
        for pool in self.pools:
            logs = np.log(shares[pool] / self.economy.buyers.initial_shares[pool])
            parts.append(logs[1:] - logs[0])
        return np.concatenate(parts)

    @np.errstate(all="ignore")
    def at(self, point: np.ndarray) -> _Allocation:
        """W and all that goes with it at ``point``."""
        economy, buyers = self.economy, self.economy.buyers
        raw, shares = self.allocation(point)
        quantities, products = backprop.forward_pass(economy, shares, raw)
        paid = backprop.consumer_prices(economy, self.reference, quantities)
        prices = backprop.reverse_sweep(economy, products, shares, paid)
        worth = prices[buyers.maker] * products * quantities[buyers.good]
        margins = prices[self.raw] - self._marginal_costs(raw)
        slopes = [margins * np.where(self.logs, raw[self.raw], self.endowment[self.raw])]
        for pool in self.pools:
            gain = shares[pool] * (worth[pool] - shares[pool] @ worth[pool])
            slopes.append(gain[1:])
        value = float(surplus(economy, self.reference, quantities))
        return _Allocation(value, np.concatenate(slopes), quantities, prices, shares, worth)

    def _marginal_costs(self, raw: np.ndarray) -> np.ndarray:
        terms = list(self.economy.supply.values())
        return np.array([curves.marginal_cost(terms[k], raw[k]) for k in self.raw])

    def stakes(self, at: _Allocation) -> np.ndarray:
        """The money that flows through each good, shape (goods,); 1 where that is 0."""
        money = np.abs(at.quantities * at.prices)
        return np.where(money > 0.0, money, 1.0)

    def residual(self, at: _Allocation) -> float:
        """The largest first-order condition left, relative to the money at stake.

        Of a supplier, price less marginal cost, and of a buyer, what more of the good would gain,
        times its share. The logarithm of what is next to nothing has no slope, whether there should
        be more of it or not: so a share counts for at least 1e-4 if more of it would gain, and a
        supplier for all of its quantity.
        """
        stakes = self.stakes(at)
        offered = at.quantities[self.raw]
        relative = offered / self.endowment[self.raw]
        gain = (at.prices[self.raw] - self._marginal_costs(at.quantities)) * np.sign(offered)
        per_unit = stakes[self.raw] / np.where(offered == 0.0, 1.0, np.abs(offered))
        shut = self.logs & (gain < 0.0)
        left = [np.abs(gain) / per_unit * np.where(shut, np.minimum(relative, 1.0), 1.0)]
        for pool in self.pools:
            shares, worth = at.shares[pool], at.worth[pool]
            gain = (worth - shares @ worth) / stakes[self.economy.buyers.good[pool.start]]
            left.append(np.where(gain > 0.0, np.maximum(shares, LEAST), shares) * np.abs(gain))
        return float(np.concatenate(left).max(initial=0.0))

    def solve(self) -> np.ndarray:
        """The best point."""
        from scipy.optimize import minimize, root

        point = self.start()
        if self.size == 0:
            return point
        first = self.at(point)
        scale = max(abs(first.value), float(self.stakes(first).max()), 1e-300)

        seen: dict[bytes, tuple[float, np.ndarray]] = {}

        def loss(x: np.ndarray) -> tuple[float, np.ndarray]:
            key = x.tobytes()
            if key not in seen:
                at = self.at(x)
                seen.clear()
                if np.isfinite(at.value) and np.all(np.isfinite(at.slope)):
                    seen[key] = -at.value / scale, -at.slope / scale
                else:
                    seen[key] = 1e300, np.zeros_like(x)
            value, downhill = seen[key]
            return value, downhill.copy()

        def slope(x: np.ndarray) -> np.ndarray:
            return loss(x)[1]

        def curved(x: np.ndarray, way: np.ndarray) -> np.ndarray:
            """How the slope changes that ``way``: a difference, good to eight digits."""
            before = slope(x)
            far = np.sqrt(np.finfo(float).eps) / max(float(np.abs(way).max()), 1e-300)
            return (-self.at(x + far * way).slope / scale - before) / far

        def curvature(x: np.ndarray) -> np.ndarray:
            return np.array([curved(x, way) for way in np.eye(self.size)]).T

        # No step of a logarithm is far beyond 1: a share that is once nothing never comes back.
        reach = float(np.sqrt(self.size))
        near = {"initial_trust_radius": 0.2 * reach, "max_trust_radius": reach, "gtol": 1e-8}
        found = minimize(loss, point, jac=True, hessp=curved, method="trust-ncg", options=near)
        polished = found
        for _ in range(3):  # it stops when it cannot tell steps apart: afresh it often can
            if np.abs(slope(polished.x)).max() > 1e-14:
                polished = root(slope, polished.x, jac=curvature, method="lm", tol=1e-15)
        before, after = (np.abs(slope(x)).max() for x in (found.x, polished.x))
        return (
            polished.x if after < before and loss(polished.x)[0] <= found.fun + 1e-12 else found.x
        )
