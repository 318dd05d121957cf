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

from market_abm.gradient import allocation
from market_abm.gradient.conditions import LONGEST, Conditions, Points, bounded, solved
from market_abm.gradient.optimality import ACCURACY

MAX_STARTS = 24
"""Points from which equilibria are looked for: 6 + 2 a variable, or this."""

SPREAD = 1.5
"""The standard deviation of the log shares and supplies of random starts."""

MAX_STEPS = 60
"""Newton steps from one start."""

FRACTIONS = (1.0, 0.25, 0.06, 0.015)
"""The parts of a step that are tried."""

GROWTH = 1.5
"""What the conditions that are not satisfied may grow by in a step, on the way to less."""

NOISE = 1e-11
"""The size of what is not satisfied that may be rounding."""

SOLVED = 1e-14
"""The residual at which there is nothing left to gain."""

SMOOTHING = (1.0, 0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3)
"""How fast a unit is taken to lose value to a buyer with its share, one after the other, where
Newton's method fails: where buyers' values hardly depend on shares, it does not know who buys."""

RELAXATION, RATE = 200, 0.3
"""Steps along the conditions before Newton's method begins once more, and their rate."""

MAX_ROUNDS = 3
"""How often buyers get next to nothing, and the others begin once more."""

SIDE_BY_SIDE = 8
"""Points that are evaluated side by side in the time of one, about."""

BATCH = 12
"""Starts from which Newton's method goes side by side."""

SAME = 1e-6
"""The relative difference of allocations and of prices up to which equilibria are the same."""


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

        Where Newton's method fails, it begins once more after steps along values and budgets; and
        where it fails from all rows, units first lose value to a buyer with its share, less and
        less (:data:`SMOOTHING`).
        """
        ends, sizes = self._ends(points)
        failed = ~(sizes <= ACCURACY)
        if failed.any() and self.complete:
            ends, sizes = self._again(ends, sizes, failed, self._relaxed(points.select(failed)))
        if not (sizes <= ACCURACY).any() and self.complete:
            for smoothing in SMOOTHING:
                points = self._newton(points, smoothing)
            ends, sizes = self._ends(points)
        return ends, sizes

    def _ends(self, points: Points) -> tuple[Points, np.ndarray]:
        """Where Newton's method ends, with next to nothing for buyers who should have none."""
        ends = self._newton(points)
        sizes = _sizes(self.conditions.residuals(ends))
        for _ in range(MAX_ROUNDS):
            failed = ~(sizes <= ACCURACY)
            idle = self.conditions.idle(ends).any(axis=-1)
            if not (failed & idle).any() or not self.complete:
                break
            some = failed & idle
            again = self._newton(self.conditions.without_idle(ends.select(some)))
            ends = _replaced(ends, some, again)
            sizes[some] = _sizes(self.conditions.residuals(again))
        return ends, sizes

    def _again(
        self, ends: Points, sizes: np.ndarray, rows: np.ndarray, points: Points
    ) -> tuple[Points, np.ndarray]:
        """The ends, and their sizes, with those of the rows of a mask found anew from points."""
        again, resized = self._ends(points)
        sizes[rows] = resized
        return _replaced(ends, rows, again), sizes

    def _relaxed(self, points: Points) -> Points:
        """The points after steps of each logarithm along its own condition alone."""
        conditions = self.conditions
        for _ in range(RELAXATION):
            by = RATE * np.nan_to_num(conditions.residuals(points), posinf=0.0, neginf=0.0)
            by[:, conditions.variables.size :] *= -1.0  # a weight falls where spending is too high
            points = conditions.moved(points, np.clip(by, -LONGEST, LONGEST))
        self.left -= RELAXATION * len(points.weights) // SIDE_BY_SIDE
        return points

    def _newton(self, points: Points, smoothing: float = 0.0) -> Points:
        """Damped steps until nothing is left to gain."""
        residuals = self.conditions.residuals(points, smoothing)
        going = np.isfinite(residuals).all(axis=-1)
        for _ in range(MAX_STEPS):
            going &= _sizes(residuals) > SOLVED
            if not going.any() or not self.complete:
                break
            some, before = points.select(going), residuals[going]
            after, left, accepted = self._along(
                some, self._step(some, before, smoothing), before, smoothing
            )
            points, residuals[going] = _replaced(points, going, after), left
            sizes = _sizes(left)
            going[going] = accepted & ~((sizes < NOISE) & (sizes > 0.5 * _sizes(before)))
        return points

    def _step(self, points: Points, residuals: np.ndarray, smoothing: float) -> np.ndarray:
        """Newton's step for each row; shares that tend to 0 fall by a factor of their own."""
        jacobian = self.conditions.jacobian(points, residuals, smoothing)
        self.left -= residuals.size // SIDE_BY_SIDE
        if not smoothing:
            idle = self.conditions.idle(points)
            apart = idle[..., None] | idle[..., None, :]  # next to nothing depends on them
            jacobian = np.where(apart, np.eye(residuals.shape[-1]), jacobian)
            residuals = np.where(idle, LONGEST, residuals)
        return bounded(-solved(jacobian, residuals))

    def _along(
        self, points: Points, step: np.ndarray, residuals: np.ndarray, smoothing: float
    ) -> tuple[Points, np.ndarray, np.ndarray]:
        """The points at the largest part of a step that is accepted; and whether one is."""
        most = GROWTH * np.linalg.norm(residuals, axis=-1)
        residuals, accepted = residuals.copy(), np.zeros(len(step), bool)
        for fraction in FRACTIONS:
            rest = ~accepted
            trial = self.conditions.moved(points.select(rest), fraction * step[rest])
            self.left -= len(trial.weights)
            left = self.conditions.residuals(trial, smoothing)
            good = np.linalg.norm(left, axis=-1) < most[rest]
            chosen = np.zeros(len(step), bool)
            chosen[rest] = good
            points = _replaced(points, chosen, trial.select(good))
            residuals[chosen] = left[good]
            accepted |= chosen
            if accepted.all():
                break
        return points, residuals, accepted


def _replaced(whole: Points, rows: np.ndarray, part: Points) -> Points:
    """``whole`` with the rows of a mask replaced."""
    fields = [each.copy() for each in whole.at]
    for field, replacement in zip(fields, part.at, strict=True):
        field[rows] = replacement
    weights = whole.weights.copy()
    weights[rows] = part.weights
    return Points(allocation.Allocation(*fields), weights)


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

    at: allocation.Allocation
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
    found: list[Solution] = []
    tried = 0
    while tried < len(starts.weights) and search.complete:
        ends, sizes = search.solved(starts.select(slice(tried, tried + BATCH)))
        ends = _without_idle(conditions, ends)
        tried += len(sizes)
        solved = (sizes <= ACCURACY) & ends.at.finite  # there are none where a utility has no value
        for k in np.flatnonzero(solved & conditions.budgets.settled(ends.at)):
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
            start, size = _without_idle(conditions, end), sizes
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


def _without_idle(conditions: Conditions, points: Points) -> Points:
    """Points with nothing for buyers who should have none.

    Unless the program has no value there, as where a firm needs a mix of inputs.
    """
    after = conditions.without_idle(points, left=0.0)
    solved = after.at.finite & (_sizes(conditions.residuals(after)) <= ACCURACY)
    return after.where(solved, points)


def _sizes(residuals: np.ndarray) -> np.ndarray:
    """The largest of each row; infinite where one is no number."""
    sizes = np.abs(residuals).max(axis=-1, initial=0.0)
    return np.where(np.isfinite(sizes), sizes, np.inf)


def _add(found: list[Solution], points: Points, size: float) -> None:
    """Add one point to the solutions, or count it with the one that it is.

    Either who gets what is the same, or how much there is (firms may divide it in several ways);
    utilities near 0 differ relative to themselves.
    """
    for k, each in enumerate(found):
        one, other = points.at, each.at
        moved = np.abs(one.shares - other.shares).max(initial=0.0)
        allocations = max(moved, relative_gap(one.raw, other.raw))
        same = min(allocations, relative_gap(one.quantities, other.quantities)) <= SAME
        if same and relative_gap(one.prices, other.prices) <= SAME:
            found[k] = each._replace(reached=each.reached + 1)
            return
    found.append(Solution(points.at, points.weights, size, 1))


def relative_gap(one: np.ndarray, other: np.ndarray) -> float:
    """The largest relative difference; of what is nearly 0, relative to a part of the largest."""
    size = np.maximum(np.abs(one), np.abs(other))
    least = 1e-9 * size.max(initial=0.0) + 1e-300
    return float((np.abs(one - other) / np.maximum(size, least)).max(initial=0.0))
