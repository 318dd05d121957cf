"""The competitive equilibrium of households who spend what they earn, without a market.

Unknown are how goods are split, what elastic suppliers offer, and the *weight* α of each household:
the price of a unit of its utility, 1 / its marginal utility of income. A forward pass, and a
reverse sweep in which utilities are priced by the weights, tell what a unit of each good is worth
to each buyer, and so what every household spends and earns. In equilibrium

* a unit is worth the same, net of taxes, to all who hold some, and no more to those who hold none;
* the price of what an elastic supplier offers is its marginal cost;
* every household spends what it earns (``gradient/budgets.py``).

Without taxes the first two are the first-order conditions of Σ α U, so that an equilibrium is an
optimum of the welfare with its weights (T. Negishi, Metroeconomica 12, 1960). There may be several
equilibria: Newton's method, in logarithms, looks for them from several starts.
"""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.gradient.allocation import Allocation, Problem
from market_abm.gradient.budgets import Budgets
from market_abm.gradient.hessian import Variables
from market_abm.gradient.optimality import ACCURACY, SMALL, STRICT

MAX_STARTS = 24
"""Points from which equilibria are looked for: 6 + 2 a variable, or this."""

SPREAD = 1.5
"""The standard deviation of the log shares and supplies of random starts."""

MAX_STEPS = 60
"""Newton steps from one start."""

LONGEST = 1.5
"""The largest change of a logarithm in a step."""

SHORTEST = 1e-3
"""The part of a step at which a search is given up."""

STEP = 1e-7
"""The change of a logarithm by which the Jacobian is differentiated."""

SOLVED = 1e-14
"""The residual at which there is nothing left to gain."""

FADING = 1e-3
"""A share below which a buyer that values a unit less than its pool counts less and less."""

LINEAR = 0.5
"""A ratio of values below which its logarithm is continued by a straight line."""

SMOOTHING = (1.0, 0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3)
"""How fast a unit is taken to lose value to a buyer with its share, one after the other, where
Newton's method fails: where buyers' values hardly depend on shares, it does not know who buys."""

SAME = 1e-6
"""The relative difference of quantities and of prices up to which equilibria are the same."""

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


class Conditions:
    """The conditions of an equilibrium as functions of logarithms.

    The variables are those of ``hessian.Variables``, supplies and all shares, then the logarithms
    of the weights. To change the shares of a pool alike changes nothing, and neither does it, in an
    economy without money from outside, to change all weights alike: there the conditions of a pool
    depend on each other, and budgets do (Walras' law). So the Jacobian gets the change of a pool's
    sum of shares as a part of each of its rows, and the budgets the amount of money.

    Parameters
    ----------
    economy
        The economy.
    """

    def __init__(self, economy: Economy) -> None:
        self.economy = economy
        self.problem = Problem(economy)
        self.variables = Variables(self.problem)
        self.budgets = Budgets(economy)
        self.first = len(self.problem.raw)
        self.size = self.variables.size + len(self.budgets)

    @property
    def numbers(self) -> int:
        """The numbers of a point."""
        return self.economy.buyers.size + len(self.economy.goods)

    # --- points -----------------------------------------------------------------------------------

    def points(self, raw: np.ndarray, shares: np.ndarray, weights: np.ndarray) -> Points:
        """The points of allocations, shapes (rows, raw goods), (rows, buyers), (rows, households)."""
        return Points(self.priced(weights).problem.evaluate(raw, shares), weights)

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
        problem.reference[..., self.budgets.places] = np.exp(weights)
        variables.problem = problem
        return variables

    def balanced(self, points: Points) -> Points:
        """The points with weights with which, at their allocations, budgets nearly balance."""
        for _ in range(30):
            change = np.zeros((len(points.weights), self.size))
            change[:, self.variables.size :] = -0.7 * self._budget_gaps(points)
            points = self.moved(points, np.clip(np.nan_to_num(change), -LONGEST, LONGEST))
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
            fading = shares / (shares + FADING) * (1.0 + FADING)
            values = values * np.where(values < 0.0, fading, 1.0)
        offers = self.problem.relative_supply(at)
        shut = self.problem.logs & (of_suppliers < 0.0)
        offered = _log(1.0 + of_suppliers) * np.where(shut, np.minimum(offers, 1.0), 1.0)
        return np.concatenate([offered, values, self._budget_gaps(points)], axis=-1)

    def _budget_gaps(self, points: Points) -> np.ndarray:
        """ln(spending/income) of each household, plus ln of all money over what there is."""
        flows = self.budgets.flows(points.at)
        gaps = -_log(flows.income / flows.spending)
        if self.budgets.closed:
            gaps = gaps + np.log(flows.total / self.budgets.money)[:, None]
        return gaps

    def jacobian(self, points: Points, residuals: np.ndarray, smoothing: float) -> np.ndarray:
        """∂(residuals)/∂(variables), shape (rows, size, size), by differences; see the class."""
        rows, size = residuals.shape
        result = np.empty((rows, size, size))
        together = max(1, MAX_NUMBERS // (size * self.numbers))
        for row in range(0, rows, together):
            some = np.arange(row, min(rows, row + together))
            by = np.tile(STEP * np.eye(size), (len(some), 1))
            moved = self.moved(points.select(np.repeat(some, size)), by)
            after = self.residuals(moved, smoothing).reshape(len(some), size, size)
            result[some] = np.swapaxes((after - residuals[some, None]) / STEP, 1, 2)
        first, last = self.first, self.variables.size
        shares = points.at.shares[:, None, self.variables.buyers]
        result[:, first:last, first:last] += np.where(self.variables.same_pool, shares, 0.0)
        return result


def _log(ratio: np.ndarray) -> np.ndarray:
    """ln, continued by a straight line below :data:`LINEAR`, so that it is known below 0."""
    line = np.log(LINEAR) + (ratio - LINEAR) / LINEAR
    return np.where(ratio > LINEAR, np.log(np.maximum(ratio, LINEAR)), line)


# --- Newton's method ------------------------------------------------------------------------------


class Search:
    """Newton's method for the conditions, from several points side by side, within a budget.

    Attributes
    ----------
    left
        The points that may still be evaluated.
    """

    def __init__(self, conditions: Conditions, evaluations: int) -> None:
        self.conditions = conditions
        self.left = evaluations

    @property
    def complete(self) -> bool:
        """Whether the budget is not used up."""
        return self.left > 0

    def solved(self, points: Points) -> tuple[Points, np.ndarray]:
        """The solutions from each row, and the size of what is not satisfied there, (rows,).

        Where Newton's method fails from all, units first lose value to a buyer with its share, less
        and less (:data:`SMOOTHING`).
        """
        ends, sizes = self._newton(points)
        if (sizes <= ACCURACY).any():
            return ends, sizes
        for smoothing in SMOOTHING:
            points, _ = self._newton(points, smoothing)
        return self._newton(points)

    def _newton(self, points: Points, smoothing: float = 0.0) -> tuple[Points, np.ndarray]:
        """Damped steps until nothing is left to gain."""
        residuals = self.conditions.residuals(points, smoothing)
        going = np.isfinite(residuals).all(axis=-1)
        for _ in range(MAX_STEPS):
            going &= np.abs(residuals).max(axis=-1, initial=0.0) > SOLVED
            if not going.any() or not self.complete:
                break
            some = points.select(going)
            step = self._step(some, residuals[going], smoothing)
            after, left, improved = self._along(some, step, residuals[going], smoothing)
            points, residuals[going] = _replaced(points, going, after), left
            going[going] = improved
        return points, _sizes(residuals)

    def _step(self, points: Points, residuals: np.ndarray, smoothing: float) -> np.ndarray:
        """Newton's step for each row, no longer than :data:`LONGEST` in any variable."""
        jacobian = self.conditions.jacobian(points, residuals, smoothing)
        self.left -= residuals.size
        known = np.isfinite(jacobian).all(axis=(-1, -2))
        jacobian[~known] = np.eye(residuals.shape[-1])
        try:
            step = -np.linalg.solve(jacobian, residuals[..., None])[..., 0]
        except np.linalg.LinAlgError:  # who buys what is not determined in one of the rows
            step = -(np.linalg.pinv(jacobian, rcond=STEP) @ residuals[..., None])[..., 0]
        longest = np.abs(step).max(axis=-1, keepdims=True)
        return step * np.minimum(1.0, LONGEST / np.maximum(longest, LONGEST))

    def _along(
        self, points: Points, step: np.ndarray, residuals: np.ndarray, smoothing: float
    ) -> tuple[Points, np.ndarray, np.ndarray]:
        """The points at the largest part of a step that is an improvement; and whether one is."""
        before = np.linalg.norm(residuals, axis=-1)
        residuals, improved = residuals.copy(), np.zeros(len(step), bool)
        fraction = 1.0
        while fraction > SHORTEST and not improved.all():
            rest = ~improved
            trial = self.conditions.moved(points.select(rest), fraction * step[rest])
            self.left -= len(step)
            left = self.conditions.residuals(trial, smoothing)
            better = np.linalg.norm(left, axis=-1) < (1.0 - SHORTEST * fraction) * before[rest]
            chosen = np.zeros(len(step), bool)
            chosen[rest] = better
            points, residuals[chosen] = _replaced(points, chosen, trial.select(better)), left[better]
            improved |= chosen
            fraction /= 3.0
        return points, residuals, improved


def _replaced(whole: Points, rows: np.ndarray, part: Points) -> Points:
    """``whole`` with the rows of a mask replaced."""
    fields = [each.copy() for each in whole.at]
    for field, replacement in zip(fields, part.at, strict=True):
        field[rows] = replacement
    weights = whole.weights.copy()
    weights[rows] = part.weights
    return Points(Allocation(*fields), weights)


# --- equilibria -----------------------------------------------------------------------------------


class Solution(NamedTuple):
    """An equilibrium.

    Attributes
    ----------
    at
        The allocation, and its prices.
    weights
        ln α, money per unit of utility, shape (households,).
    size
        The largest logarithm by which a condition is not satisfied.
    reached
        The number of starts that led to it.
    """

    at: Allocation
    weights: np.ndarray
    size: float
    reached: int


@np.errstate(all="ignore")
def solutions(conditions: Conditions, evaluations: int) -> tuple[list[Solution], int, bool]:
    """The equilibria that Newton's method finds from several starts.

    The first start is the market's initial allocation, the others are random, the same every time.

    Parameters
    ----------
    conditions
        The conditions of an economy's equilibrium.
    evaluations
        How many points may be evaluated.

    Returns
    -------
    list of Solution
        The one first that the first start led to, if it led to any.
    starts
        The number of starts.
    complete
        Whether the budget was not used up.
    """
    search, size = Search(conditions, evaluations), conditions.size
    starts = _starts(conditions, min(MAX_STARTS, 6 + 2 * size))
    together = max(1, MAX_NUMBERS // (8 * size * conditions.numbers))
    found: list[Solution] = []
    tried = 0
    while tried < len(starts.weights) and search.complete:
        ends, sizes = search.solved(starts.select(np.arange(len(starts.weights))[tried:][:together]))
        ends = without_idle(conditions, ends)
        tried += len(sizes)
        for k in np.flatnonzero(sizes <= ACCURACY):
            _add(found, ends.select(k), float(sizes[k]))
    return found, tried, search.complete


@np.errstate(all="ignore")
def solution_near(
    conditions: Conditions, raw: np.ndarray, shares: np.ndarray, accuracy: float, evaluations: int
) -> tuple[Solution, bool]:
    """The equilibrium next to an allocation, and whether there is one.

    Without one, the allocation itself, with weights with which budgets nearly balance.

    Parameters
    ----------
    conditions
        The conditions of an economy's equilibrium.
    raw, shares
        Shapes (raw goods,) and (buyers,).
    accuracy
        What may not be satisfied of the conditions, in logarithms, if there is one next to it.
    evaluations
        How many points may be evaluated.
    """
    weights = np.zeros((1, len(conditions.budgets)))
    start = conditions.balanced(conditions.points(raw[None], shares[None], weights))
    size = _sizes(conditions.residuals(start))
    if size[0] <= accuracy:
        end, sizes = Search(conditions, evaluations).solved(start)
        if sizes[0] <= ACCURACY:
            start, size = without_idle(conditions, end), sizes
    one = start.select(0)
    return Solution(one.at, one.weights, float(size[0]), 1), bool(size[0] <= accuracy)


def _starts(conditions: Conditions, count: int) -> Points:
    """The initial allocation, and random ones, with equal weights."""
    problem, size = conditions.problem, conditions.size
    raw = np.broadcast_to(problem.endowment, (count, problem.endowment.size))
    shares = np.broadcast_to(problem.initial_shares, (count, problem.initial_shares.size))
    weights = np.zeros((count, len(conditions.budgets)))
    by = SPREAD * np.random.default_rng(0).normal(size=(count, size))
    by[0] = 0.0
    by[:, conditions.variables.size :] = 0.0
    return conditions.balanced(conditions.moved(conditions.points(raw, shares, weights), by))


def without_idle(conditions: Conditions, points: Points) -> Points:
    """Points without the small shares of buyers to whom a unit is worth less than its price.

    They are 0 then, unless the program has no value there, as where a firm needs a mix of inputs.
    """
    of_buyers, _ = conditions.problem.gains(points.at)
    idle = (points.at.shares <= SMALL) & (points.at.shares > 0.0) & (of_buyers < -STRICT)
    shares = np.where(idle, 0.0, points.at.shares)
    after = conditions.points(
        points.at.raw, shares / conditions.problem.of_pools(shares), points.weights
    )
    sizes = _sizes(conditions.residuals(after))
    return after.where(idle.any(axis=-1) & after.at.finite & (sizes <= ACCURACY), points)


def _sizes(residuals: np.ndarray) -> np.ndarray:
    """The largest of each row; infinite where one is no number."""
    sizes = np.abs(residuals).max(axis=-1, initial=0.0)
    return np.where(np.isfinite(sizes), sizes, np.inf)


def _add(found: list[Solution], points: Points, size: float) -> None:
    """Add one point to the solutions, or count it with the one that it is."""
    for k, each in enumerate(found):
        gaps = [_gap(points.at.quantities, each.at.quantities)]
        gaps.append(_gap(points.at.prices, each.at.prices))
        if max(gaps) <= SAME:
            found[k] = each._replace(reached=each.reached + 1)
            return
    found.append(Solution(points.at, points.weights, size, 1))


def _gap(one: np.ndarray, other: np.ndarray) -> float:
    """The largest relative difference; of what is nearly 0, relative to a part of the largest."""
    size = np.maximum(np.abs(one), np.abs(other))
    return float((np.abs(one - other) / np.maximum(size, 1e-9 * size.max() + 1e-300)).max())
