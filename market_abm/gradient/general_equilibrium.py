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

from typing import NamedTuple

import numpy as np

from market_abm.gradient.allocation import Allocation
from market_abm.gradient.conditions import MAX_NUMBERS, Conditions, Points, bounded, solved
from market_abm.gradient.optimality import ACCURACY, SMALL, STRICT

MAX_STARTS = 24
"""Points from which equilibria are looked for: 6 + 2 a variable, or this."""

SPREAD = 1.5
"""The standard deviation of the log shares and supplies of random starts."""

MAX_STEPS = 60
"""Newton steps from one start."""

SHORTEST = 1e-3
"""The part of a step at which a search is given up."""

SOLVED = 1e-14
"""The residual at which there is nothing left to gain."""

SMOOTHING = (1.0, 0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3)
"""How fast a unit is taken to lose value to a buyer with its share, one after the other, where
Newton's method fails: where buyers' values hardly depend on shares, it does not know who buys."""

SAME = 1e-6
"""The relative difference of quantities and of prices up to which equilibria are the same."""


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
        """Newton's step for each row, no longer than ``LONGEST`` in any variable."""
        jacobian = self.conditions.jacobian(points, residuals, smoothing)
        self.left -= residuals.size
        return bounded(-solved(jacobian, residuals))

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
            points, residuals[chosen] = (
                _replaced(points, chosen, trial.select(better)),
                left[better],
            )
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
    together = max(1, MAX_NUMBERS // (8 * max(1, size) * conditions.numbers))
    found: list[Solution] = []
    tried = 0
    while tried < len(starts.weights) and search.complete:
        ends, sizes = search.solved(
            starts.select(np.arange(len(starts.weights))[tried:][:together])
        )
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
    weights = np.zeros((1, conditions.budgets.count))
    shares = shares / conditions.problem.of_pools(shares)
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
    weights = np.zeros((count, conditions.budgets.count))
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
        gaps = [relative_gap(points.at.quantities, each.at.quantities)]
        gaps.append(relative_gap(points.at.prices, each.at.prices))
        if max(gaps) <= SAME:
            found[k] = each._replace(reached=each.reached + 1)
            return
    found.append(Solution(points.at, points.weights, size, 1))


def relative_gap(one: np.ndarray, other: np.ndarray) -> float:
    """The largest relative difference; of what is nearly 0, relative to a part of the largest."""
    size = np.maximum(np.abs(one), np.abs(other))
    return float((np.abs(one - other) / np.maximum(size, 1e-9 * size.max() + 1e-300)).max())
