"""The conditions of an equilibrium of households who spend what they earn, as functions.

They are logarithms, of logarithms of shares, supplies and weights: where demand has constant
elasticities they are nearly linear.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.economy.terms import Demand
from market_abm.gradient import backprop
from market_abm.gradient.allocation import Allocation, Problem
from market_abm.gradient.budgets import Budgets
from market_abm.gradient.hessian import Variables
from market_abm.gradient.optimality import SMALL, STRICT

LONGEST = 1.5
"""The largest change of a logarithm in a step."""

STEP = 1e-7
"""The change of a logarithm by which the Jacobian is differentiated."""

BALANCING = 8
"""Newton steps for weights with which budgets balance."""

FADING = 0.1
"""How small a share must be, relative to the part of its price that a unit is worth less to the
buyer than to its pool, from which on the buyer counts less and less."""

DECLINE = 0.01
"""The elasticity with which the price of a unit of utility falls, to tell what an equilibrium is
whatever the scale of utilities."""

LINEAR = 0.5
"""A ratio of values below which its logarithm is continued by a straight line."""

MAX_NUMBERS = 4_000_000
"""Numbers in the points that are computed side by side."""


class Points(NamedTuple):
    """Allocations with weights of households, each a row.

    Attributes
    ----------
    at
        The allocations, priced by the weights.
    weights
        ln α, (money per unit of utility), shape (rows, households).
    """

    at: Allocation
    weights: np.ndarray

    def select(self, rows: Any) -> Points:
        """Those of some rows."""
        return Points(self.at.select(rows), self.weights[rows])

    def where(self, chosen: np.ndarray, other: Points) -> Points:
        """These in the ``chosen`` rows, the ``other`` ones elsewhere."""
        weights = np.where(chosen[:, None], self.weights, other.weights)
        return Points(self.at.where(chosen, other.at), weights)


class Market(Problem):
    """Goods, prices and slopes of an economy, whose prices are net of taxes.

    The slopes are those by which agents move, ``worth`` what sellers get. Without taxes they are
    the gradient of W.
    """

    def __init__(self, economy: Economy) -> None:
        super().__init__(economy)
        self.economy = economy

    def evaluate(
        self, raw: np.ndarray, shares: np.ndarray, near: Allocation | None = None
    ) -> Allocation:
        """The allocations, with net prices and slopes; parameters as of :class:`Problem`."""
        at, net = super().evaluate(raw, shares, near), self.economy.net_of_buyers
        return at if net is None else at._replace(worth=net * at.worth)

    def _quantities(
        self, raw: np.ndarray, shares: np.ndarray, near: Allocation | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Quantities and marginal products; loops are not iterated anew where they have none."""
        if near is None or not self.economy.has_loops:
            return super()._quantities(raw, shares, near)
        return backprop.forward_pass(self.economy, shares, raw, guess=near.quantities)


class Conditions:
    """The conditions of an equilibrium as functions of logarithms.

    The variables are those of ``hessian.Variables``, supplies and all shares, then the logarithms
    of the weights. To change the shares of a pool alike changes nothing, and neither does it, in an
    economy without money from outside, to change all weights alike: there the conditions of a pool
    depend on each other, and budgets do (Walras' law). So the Jacobian gets the change of a pool's
    sum of shares as a part of each of its rows, and the budgets the level of prices.

    Parameters
    ----------
    economy
        The economy.
    level
        As of :class:`Budgets`.
    """

    def __init__(self, economy: Economy, level: np.ndarray | None = None) -> None:
        self.economy = economy
        self.problem = Market(economy)
        self.variables = Variables(self.problem)
        self.budgets = Budgets(economy, level)
        self.first = len(self.problem.raw)
        self.size = self.variables.size + self.budgets.count

    @property
    def numbers(self) -> int:
        """The numbers of a point."""
        return self.economy.buyers.size + len(self.economy.goods)

    # --- points -----------------------------------------------------------------------------------

    def points(
        self,
        raw: np.ndarray,
        shares: np.ndarray,
        weights: np.ndarray,
        near: Allocation | None = None,
    ) -> Points:
        """The points of supplies, (rows, raw goods), shares, (rows, buyers), and weights, ln α.

        Loops are solved from allocations ``near``, if there are any.
        """
        return Points(self.priced(weights).problem.evaluate(raw, shares, near), weights)

    def moved(self, points: Points, by: np.ndarray) -> Points:
        """The points after a change of the variables, shape (rows, size)."""
        weights = points.weights + by[:, self.variables.size :]
        every = np.ones((len(by), self.variables.size), bool)
        at = self.priced(weights).moved(points.at, every, by[:, : self.variables.size])
        return Points(at, weights)

    def priced(self, weights: np.ndarray) -> Variables:
        """The variables of W in which a unit of utility has the price e^``weights``, (..., H)."""
        variables, problem = copy.copy(self.variables), copy.copy(self.problem)
        final = problem.reference.shape[-1]
        problem.reference = np.array(
            np.broadcast_to(problem.reference, (*weights.shape[:-1], final))
        )
        problem.reference[..., final - self.budgets.count :] = np.exp(weights)
        variables.problem = problem
        return variables

    def declining(self, weights: np.ndarray, at: Allocation) -> Variables:
        """The variables of W in which that price, (households,), falls with utility from ``at``."""
        variables, economy = self.priced(weights), copy.copy(self.economy)
        households = economy.households
        for derived in ("demand_terms", "untaxed"):
            vars(economy).pop(derived, None)
        vars(economy)["net_demand"] = dict(economy.net_demand) | {
            name: Demand(price=float(price), elasticity=DECLINE, form="linear")
            for name, price in zip(households, np.exp(weights), strict=True)
        }
        variables.problem.economy = economy
        variables.problem.reference[..., -len(households) :] = at.quantities[-len(households) :]
        return variables

    def balanced(self, points: Points) -> Points:
        """The points with weights with which, at their allocations, budgets balance."""
        of_weights = np.arange(self.variables.size, self.size)
        for _ in range(BALANCING if self.budgets.count else 0):
            gaps = self._budget_gaps(points)
            jacobian = self._differences(points, gaps, of_weights, self._budget_gaps)
            by = np.zeros((len(gaps), self.size))
            by[:, of_weights] = bounded(-solved(jacobian, gaps))
            points = self.moved(points, by)
        return points

    # --- conditions -------------------------------------------------------------------------------

    def residuals(self, points: Points, smoothing: float = 0.0) -> np.ndarray:
        """What is not satisfied, in logarithms, shape (rows, size)."""
        at, own = points.at, self.variables.buyers
        of_buyers, of_suppliers = self.problem.gains(at)
        values, shares = _log(1.0 + of_buyers[:, own]), at.shares[:, own]
        if smoothing:
            values = values - smoothing * np.log(np.maximum(shares, 1e-300))
            values = values - self.variables.of_pools(shares * values)
        else:
            values = values * shares / (shares + FADING * np.maximum(-values, 0.0))
        offers = self.problem.relative_supply(at)
        shut = self.problem.logs & (of_suppliers < 0.0)
        offered = _log(1.0 + of_suppliers) * np.where(shut, np.minimum(offers, 1.0), 1.0)
        return np.concatenate([offered, values, self._budget_gaps(points)], axis=-1)

    def idle(self, points: Points) -> np.ndarray:
        """The variables that are small shares of buyers who should have none, (rows, size)."""
        of_buyers, _ = self.problem.gains(points.at)
        own = self.variables.buyers
        result = np.zeros((len(points.weights), self.size), bool)
        small = (points.at.shares[:, own] <= SMALL) & (of_buyers[:, own] < -STRICT)
        result[:, self.first : self.variables.size] = small
        return result

    def without_idle(self, points: Points, left: float = 1e-10) -> Points:
        """The points with that part of their shares ``left`` to buyers who should have none."""
        idle = self.idle(points)[:, self.first : self.variables.size]
        shares = points.at.shares.copy()
        shares[:, self.variables.buyers] *= np.where(idle, left, 1.0)
        shares = shares / self.problem.of_pools(shares)
        return self.points(points.at.raw, shares, points.weights, points.at)

    def _budget_gaps(self, points: Points) -> np.ndarray:
        """ln(spending/income) of each household, plus ln of the level of prices."""
        flows = self.budgets.flows(points.at)
        gaps = -_log(flows.income / flows.spending)
        if self.budgets.closed:
            gaps = gaps + np.log(self.budgets.height(points.at, flows.total))[:, None]
        return gaps

    def jacobian(self, points: Points, residuals: np.ndarray, smoothing: float) -> np.ndarray:
        """∂(residuals)/∂(variables), shape (rows, size, size); see the class."""
        every = np.arange(self.size)
        result = self._differences(
            points, residuals, every, lambda moved: self.residuals(moved, smoothing)
        )
        first, last = self.first, self.variables.size
        shares = points.at.shares[:, None, self.variables.buyers]
        result[:, first:last, first:last] += np.where(self.variables.same_pool, shares, 0.0)
        return result

    def _differences(
        self,
        points: Points,
        before: np.ndarray,
        columns: np.ndarray,
        function: Callable[[Points], np.ndarray],
    ) -> np.ndarray:
        """∂(function)/∂(some variables) by differences from ``before``, (rows, values, columns)."""
        rows, (values, size) = len(before), (before.shape[-1], len(columns))
        result = np.empty((rows, values, size))
        together = max(1, MAX_NUMBERS // (size * self.numbers))
        for row in range(0, rows, together):
            some = np.arange(row, min(rows, row + together))
            by = np.zeros((len(some), size, self.size))
            by[:, np.arange(size), columns] = STEP
            moved = self.moved(points.select(np.repeat(some, size)), by.reshape(-1, self.size))
            after = function(moved).reshape(len(some), size, values)
            result[some] = np.swapaxes((after - before[some, None]) / STEP, 1, 2)
        return result


def solved(jacobian: np.ndarray, values: np.ndarray) -> np.ndarray:
    """J⁻¹ of the values of each row; the shortest such vector, if J is singular."""
    known = np.isfinite(jacobian).all(axis=(-1, -2))[:, None, None]
    jacobian = np.where(known, jacobian, np.eye(jacobian.shape[-1]))
    try:
        return np.linalg.solve(jacobian, values[..., None])[..., 0]
    except np.linalg.LinAlgError:
        return (np.linalg.pinv(jacobian, rcond=STEP) @ values[..., None])[..., 0]


def bounded(step: np.ndarray) -> np.ndarray:
    """The steps, shortened where a variable would change by more than :data:`LONGEST`."""
    longest = np.abs(step).max(axis=-1, keepdims=True, initial=0.0)
    return step * (LONGEST / np.maximum(longest, LONGEST))


def _log(ratio: np.ndarray) -> np.ndarray:
    """ln, continued by a straight line below :data:`LINEAR`, so that it is known below 0."""
    line = np.log(LINEAR) + (ratio - LINEAR) / LINEAR
    return np.where(ratio > LINEAR, np.log(np.maximum(ratio, LINEAR)), line)
