"""The competitive equilibrium without a market: the allocation that maximises total surplus W.

By the first welfare theorem a market in equilibrium maximises W. Here SciPy maximises W directly,
over the shares of each shared pool and the quantities of elastic suppliers; no market is run.
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
"""Free variables beyond which no equilibrium is computed."""

ACCURACY = 1e-9
"""Residual of the first-order conditions, relative to money flows, that counts as solved."""

MIN_SHARE = 1e-4
"""Smaller shares have this weight in the residual, if more of the good would be a gain."""


@dataclass(frozen=True, eq=False)
class Equilibrium:
    """A maximum of W (possibly local, found from the initial allocation).

    Attributes
    ----------
    quantities
        Units per step, shape (goods,).
    prices
        The exact gradient there, money per unit, shape (goods,).
    shares
        Shape (buyers,).
    welfare
        W, money per step.
    residual
        The largest residual of the first-order conditions, relative to money flows.
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
    """Maximise W over the free variables (see :class:`Problem`).

    First a trust-region Newton method (conjugate gradients, with the exact gradient of W), then
    Levenberg-Marquardt on the first-order conditions, for the last digits.

    Returns
    -------
    Equilibrium or None
        None with more than 400 free variables, or if W is not finite.
    """
    try:
        problem = Problem(economy)
        if problem.size > MAX_VARIABLES:
            return None
        point = problem.solve()
        best = problem.at(point)
    except MarketError:  # a loop that does not converge
        return None
    if not np.isfinite(best.value):
        return None
    return Equilibrium(
        best.quantities, best.prices, best.shares, best.value, problem.residual(best)
    )


class _Allocation(NamedTuple):
    """W at a point, its gradient by the free variables, and the economy there.

    ``worth``, shape (buyers,), is each buyer's marginal value of the good times the quantity of
    the good, in money.
    """

    value: float
    gradient: np.ndarray
    quantities: np.ndarray
    prices: np.ndarray
    shares: np.ndarray
    worth: np.ndarray


class Problem:
    """W as a function of a vector of free variables.

    First the quantities of elastic suppliers: ln(q/q0) of a ``curve``, q/q0 of a ``gradient``
    supplier; then for each shared pool ln(s/s0) of its buyers but the first, up to a constant.
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
        """The market's initial allocation."""
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
        """W, its gradient and the allocation at ``point``."""
        economy, buyers = self.economy, self.economy.buyers
        raw, shares = self.allocation(point)
        quantities, products = backprop.forward_pass(economy, shares, raw)
        paid = backprop.consumer_prices(economy, self.reference, quantities)
        prices = backprop.reverse_sweep(economy, products, shares, paid)
        worth = prices[buyers.maker] * products * quantities[buyers.good]
        margins = prices[self.raw] - self._marginal_costs(raw)
        parts = [margins * np.where(self.logs, raw[self.raw], self.endowment[self.raw])]
        for pool in self.pools:
            gain = shares[pool] * (worth[pool] - shares[pool] @ worth[pool])
            parts.append(gain[1:])
        value = float(surplus(economy, self.reference, quantities))
        return _Allocation(value, np.concatenate(parts), quantities, prices, shares, worth)

    def _marginal_costs(self, raw: np.ndarray) -> np.ndarray:
        terms = list(self.economy.supply.values())
        return np.array([curves.marginal_cost(terms[k], raw[k]) for k in self.raw])

    def money_flows(self, at: _Allocation) -> np.ndarray:
        """|price × quantity| of each good, money per step, shape (goods,); 1 where that is 0."""
        money = np.abs(at.quantities * at.prices)
        return np.where(money > 0.0, money, 1.0)

    def residual(self, at: _Allocation) -> float:
        """The largest residual of the first-order conditions, relative to money flows.

        For a supplier, price less marginal cost; for a buyer, the gain from more of the good, times
        its share. In logarithms the slope vanishes near 0, even where more would be a gain: so a
        share that should grow counts for at least 1e-4, and a supplier that should grow in full.
        """
        money = self.money_flows(at)
        offered = at.quantities[self.raw]
        relative = offered / self.endowment[self.raw]
        gain = (at.prices[self.raw] - self._marginal_costs(at.quantities)) * np.sign(offered)
        per_unit = money[self.raw] / np.where(offered == 0.0, 1.0, np.abs(offered))
        shut = self.logs & (gain < 0.0)
        left = [np.abs(gain) / per_unit * np.where(shut, np.minimum(relative, 1.0), 1.0)]
        for pool in self.pools:
            shares, worth = at.shares[pool], at.worth[pool]
            gain = (worth - shares @ worth) / money[self.economy.buyers.good[pool.start]]
            left.append(np.where(gain > 0.0, np.maximum(shares, MIN_SHARE), shares) * np.abs(gain))
        return float(np.concatenate(left).max(initial=0.0))

    def solve(self) -> np.ndarray:
        """The point of the maximum."""
        from scipy.optimize import minimize, root

        point = self.start()
        if self.size == 0:
            return point
        loss = _Loss(self, point)
        # Logarithms move by about 1 per step at most: a share that reaches 0 never comes back.
        radius = float(np.sqrt(self.size))
        options = {
            "initial_trust_radius": 0.2 * radius,
            "max_trust_radius": radius,
            "gtol": 1e-8,
        }
        found = minimize(
            loss, point, jac=True, hessp=loss.hessian_product, method="trust-ncg", options=options
        )
        polished = found
        for _ in range(3):  # a restart often gets further, where it stopped for rounding
            if np.abs(loss.gradient(polished.x)).max() > 1e-14:
                polished = root(loss.gradient, polished.x, jac=loss.hessian, method="lm", tol=1e-15)
        before, after = (np.abs(loss.gradient(x)).max() for x in (found.x, polished.x))
        improved = after < before and loss(polished.x)[0] <= found.fun + 1e-12
        return polished.x if improved else found.x


class _Loss:
    """-W, scaled to be of order 1, with its derivatives; the last evaluation is cached."""

    def __init__(self, problem: Problem, start: np.ndarray) -> None:
        self.problem = problem
        first = problem.at(start)
        self.scale = max(abs(first.value), float(problem.money_flows(first).max()), 1e-300)
        self.cache: dict[bytes, tuple[float, np.ndarray]] = {}

    def __call__(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """The loss and its gradient."""
        key = x.tobytes()
        if key not in self.cache:
            at = self.problem.at(x)
            self.cache.clear()
            if np.isfinite(at.value) and np.all(np.isfinite(at.gradient)):
                self.cache[key] = -at.value / self.scale, -at.gradient / self.scale
            else:
                self.cache[key] = 1e300, np.zeros_like(x)
        value, gradient = self.cache[key]
        return value, gradient.copy()

    def gradient(self, x: np.ndarray) -> np.ndarray:
        return self(x)[1]

    def hessian_product(self, x: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """The Hessian times ``direction``: a finite difference, accurate to eight digits."""
        before = self.gradient(x)
        step = np.sqrt(np.finfo(float).eps) / max(float(np.abs(direction).max()), 1e-300)
        return (-self.problem.at(x + step * direction).gradient / self.scale - before) / step

    def hessian(self, x: np.ndarray) -> np.ndarray:
        return np.array([self.hessian_product(x, way) for way in np.eye(self.problem.size)]).T
