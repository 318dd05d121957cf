"""Newton's method on W for many allocations at once, each a row with a course of its own.

Ascent takes the size of each curvature for the curvature, so that W rises along every principal
direction, near saddle points too. Where W changes by no more than its rounding, a step must bring
the first-order conditions nearer to zero instead; and where ascent does not, Newton's own step for
these conditions is tried, which also ends at saddle points.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from market_abm.gradient.allocation import Allocation
from market_abm.gradient.hessian import Variables
from market_abm.gradient.optimality import SMALL, free_variables

MAX_STEPS = 60
"""Newton steps of one ascent; halved ones count as well."""

LONGEST = 1.0
"""The largest change of a logarithm in a step: a share that reaches 0 never comes back."""

SHORTEST = 1e-4
"""The part of a step at which it is given up."""

RISE = 1e-4
"""The least part of the predicted rise of W that an ascent must bring."""

NOISE = 1e-11
"""A predicted rise, relative to W, that its rounding may hide."""

SOLVED = 4e-16
"""The residual at which there is nothing left to gain."""

FLAT = 1e-12
"""A curvature, relative to the largest, that is its own rounding."""

HESSIAN = 5
"""What a Hessian costs, in evaluations of W: by measurement, 1 to 10."""

LARGE = 32
"""Variables from which on rows are solved one by one, without eigenvalues where possible."""

TENDS_TO_ZERO = 1e-3
"""A loss from more of a good, relative to money flows, with which a small share tends to 0."""

VANISHING = -0.9999
"""The change of the logarithm of what tends to 0: it is -1 where nothing but its cost matters.

Of a share that is small at the optimum, but not 0, it is smaller."""

UNBOUNDED = 1e8
"""W over its scale at the initial allocation beyond which it counts as without an upper bound."""


class Ascent(NamedTuple):
    """Where ascents ended, and at what cost.

    Attributes
    ----------
    at
        The allocations.
    left
        The evaluations of a line's firms that are left of each row's budget, shape (rows,).
    unbounded
        Whether W grew beyond all measure, shape (rows,).
    usual
        Whether no quantity on the way was 0 or no number, shape (rows,).
    """

    at: Allocation
    left: np.ndarray
    unbounded: np.ndarray
    usual: np.ndarray


@np.errstate(all="ignore")
def ascent(
    variables: Variables,
    at: Allocation,
    scale: np.ndarray,
    left: np.ndarray,
    *,
    climbing: bool = True,
) -> Ascent:
    """Ascend W from each row, over the variables that are not at a bound there.

    A row's path depends on no other row.

    Parameters
    ----------
    variables
        The variables of W; of a vectorized economy with as many runs as rows, or with one.
    at
        The rows, finite ones.
    scale
        The size of W and of money flows, money, shape (rows,).
    left
        The budget of each row: evaluations of W, shape (rows,).
    climbing
        Without it, Newton's steps for the first-order conditions alone.
    """
    rows = np.arange(len(left))
    state = _Rows(variables, at, scale, left.copy(), free_variables(variables, at), climbing)
    ended, left = at, left.copy()
    unbounded, usual = np.zeros(len(rows), bool), is_usual(at)
    for _ in range(MAX_STEPS):
        if not state.active.any():
            break
        if 2 * state.active.sum() <= len(rows):
            ended = _placed(ended, rows, state.at)
            left[rows], unbounded[rows], usual[rows] = state.left, state.unbounded, state.usual
            kept = state.active
            rows, state = rows[kept], state.select(kept)
        state.step()
    left[rows], unbounded[rows], usual[rows] = state.left, state.unbounded, state.usual
    return Ascent(_placed(ended, rows, state.at), left, unbounded, usual)


def is_usual(at: Allocation) -> np.ndarray:
    """Whether all quantities and W's slopes are numbers, and no quantity 0, shape (rows,)."""
    return at.finite & np.all(at.quantities != 0.0, axis=-1)


def _placed(whole: Allocation, rows: np.ndarray, part: Allocation) -> Allocation:
    """``whole`` with these rows replaced."""
    if len(rows) == len(whole.shares):
        return part
    fields = []
    for before, after in zip(whole, part, strict=True):
        fields.append(before.copy())
        fields[-1][rows] = after
    return Allocation(*fields)


class _Rows:
    """Rows of an ascent, side by side."""

    def __init__(
        self,
        variables: Variables,
        at: Allocation,
        scale: np.ndarray,
        left: np.ndarray,
        free: np.ndarray,
        climbing: bool,
    ) -> None:
        rows = len(left)
        self.variables, self.at, self.scale, self.free, self.left = variables, at, scale, free, left
        self.climbing = np.full(rows, climbing)
        self.fraction = np.ones(rows)
        self.fresh = np.ones(rows, bool)  # whether a direction is to be found anew
        self.direction = np.zeros((rows, variables.size))
        self.predicted = np.zeros(rows)
        self.unbounded = np.zeros(rows, bool)
        self.usual = is_usual(at)
        self.size = self._size(at)
        self.active = free.any(axis=-1) & at.finite & (self.size > SOLVED)

    def select(self, kept: np.ndarray) -> _Rows:
        """Some of the rows."""
        other = object.__new__(_Rows)
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray | Allocation):
                setattr(
                    other,
                    name,
                    value.select(kept) if isinstance(value, Allocation) else value[kept],
                )
        problem = self.variables.problem
        kept_problem = problem.select(kept)
        other.variables = self.variables if kept_problem is problem else Variables(kept_problem)
        return other

    def step(self) -> None:
        """One trial step of every active row."""
        if (self.fresh & self.active).any():
            self._find_directions()
        by = np.where(self.active[:, None], self.fraction[:, None] * self.direction, 0.0)
        trial = self.variables.moved(self.at, self.free, by)
        self.left = self.left - self.active
        self.usual = self.usual & (is_usual(trial) | ~self.active)
        size = self._size(trial)
        accepted = self.active & trial.finite & self._is_progress(trial, size)
        solved = accepted & (
            (size <= SOLVED) | (~self._rising & (size > 0.5 * self.size) & (size < 1e-13))
        )
        self.unbounded |= accepted & (trial.value > UNBOUNDED * self.scale)
        self.at = trial.where(accepted, self.at)
        self.size = np.where(accepted, size, self.size)

        refused = self.active & ~accepted
        self.fraction = np.where(refused, self.fraction / 4.0, 1.0)
        given_up = refused & ((self.fraction < SHORTEST) | (~self._rising & (self.fraction < 0.2)))
        exhausted = given_up & ~self.climbing
        self.climbing &= ~given_up
        self.fresh = accepted | given_up
        self.fraction = np.where(given_up, 1.0, self.fraction)
        self.active &= ~(solved | exhausted | self.unbounded | (self.left <= 0))

    @property
    def _rising(self) -> np.ndarray:
        """Whether W is to rise by more than its rounding."""
        return self.climbing & (self.fraction * self.predicted > NOISE * self.scale)

    def _is_progress(self, trial: Allocation, size: np.ndarray) -> np.ndarray:
        gain = trial.value - self.at.value
        rises = gain >= RISE * self.fraction * self.predicted
        nearer = (size < self.size) & (np.abs(gain) <= 1e-6 * self.scale)
        return np.where(self._rising, rises, nearer)

    def _size(self, at: Allocation) -> np.ndarray:
        """The largest slope by a free variable, relative to money flows, shape (rows,).

        But for shares and supplies that tend to 0: they are on their way.
        """
        variables, problem = self.variables, self.variables.problem
        of_buyers, of_suppliers = problem.gains(at)
        gains = np.concatenate([of_suppliers, of_buyers[..., variables.buyers]], axis=-1)
        relative = np.where(problem.logs, problem.relative_supply(at), 1.0)
        amounts = np.concatenate([relative, at.shares[..., variables.buyers]], axis=-1)
        vanishing = (amounts <= SMALL) & (gains < -TENDS_TO_ZERO) & (self.direction < VANISHING)
        slope = np.abs(variables.slope(at, self.free & ~vanishing))
        return (slope / problem.money_flows(at)[..., variables.good]).max(axis=-1, initial=0.0)

    def _find_directions(self) -> None:
        """Newton's directions for the fresh rows, and the rise of W that they predict."""
        variables, free, at = self.variables, self.free, self.at
        slope = variables.slope(at, free)
        hessian = variables.hessian(at, free)
        self.left = self.left - np.where(self.fresh & self.active, HESSIAN, 0)
        unit = 1.0 / np.sqrt(np.maximum(_amounts(variables, at, free), 1e-300))
        scaled = hessian * unit[:, :, None] * unit[:, None, :]
        # Without a curvature that is a number, steps along the slope.
        known = np.isfinite(scaled).all(axis=(-1, -2))
        scaled = np.where(known[:, None, None], scaled, 0.0)
        scaled = scaled - _fixed(variables, at, free)
        # Of what tends to 0 the logarithm falls by 1, while the mix of a firm's inputs is found.
        damping = np.abs(slope) * unit**2 * self.climbing[:, None]
        diagonal = np.arange(variables.size)
        scaled[:, diagonal, diagonal] -= damping
        by = unit * _steps(scaled, slope * unit, self.climbing)
        by = np.where(free, by, 0.0)
        longest = np.abs(by).max(axis=-1, keepdims=True)
        by = by * np.minimum(1.0, LONGEST / np.maximum(longest, 1e-300))
        fresh = self.fresh & self.active
        self.direction = np.where(fresh[:, None], by, self.direction)
        self.predicted = np.where(fresh, (slope * by).sum(axis=-1), self.predicted)


def _steps(hessian: np.ndarray, slope: np.ndarray, climbing: np.ndarray) -> np.ndarray:
    """-H⁻¹ ``slope``; where ``climbing``, with the sizes of H's eigenvalues for their negatives."""
    if hessian.shape[-1] >= LARGE:
        rows = zip(hessian, slope, climbing, strict=True)
        return np.array([_step_of_one(*each) for each in rows])
    return _spectral_steps(hessian, slope, climbing)


def _step_of_one(hessian: np.ndarray, slope: np.ndarray, climbing: bool) -> np.ndarray:
    """The step of one row: where H is negative definite there is no need of its eigenvalues."""
    try:
        np.linalg.cholesky(-hessian - FLAT * np.abs(hessian).max() * np.eye(len(slope)))
    except np.linalg.LinAlgError:
        return _spectral_steps(hessian[None], slope[None], np.array([climbing]))[0]
    return np.linalg.solve(-hessian, slope)


def _spectral_steps(hessian: np.ndarray, slope: np.ndarray, climbing: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(hessian)
    along = (np.swapaxes(vectors, -1, -2) @ slope[..., None])[..., 0]
    largest = np.abs(values).max(axis=-1, keepdims=True)
    flat = np.abs(values) <= FLAT * largest
    bent = np.where(flat, largest, np.where(climbing[:, None], np.abs(values), -values))
    return (vectors @ (along / bent)[..., None])[..., 0]


def _amounts(variables: Variables, at: Allocation, free: np.ndarray) -> np.ndarray:
    """The money that each variable moves, shape (rows, variables): |price × quantity × share|."""
    money = variables.problem.money_flows(at)[..., variables.good]
    shares = at.shares[..., variables.buyers]
    suppliers = np.ones((*shares.shape[:-1], variables.first))
    return np.where(free, money * np.concatenate([suppliers, shares], axis=-1), 1.0)


def _fixed(variables: Variables, at: Allocation, free: np.ndarray) -> np.ndarray:
    """A curvature of 1 for what changes nothing: all logarithms of a pool alike, and bounds."""
    first, rows = variables.first, len(free)
    result = np.zeros((rows, variables.size, variables.size))
    weights = np.sqrt(np.where(free, _amounts(variables, at, free), 0.0))[:, first:]
    total = variables.of_pools(weights**2)
    weights = weights / np.sqrt(np.where(total == 0.0, 1.0, total))
    joint = weights[:, :, None] * weights[:, None, :]
    result[:, first:, first:] = np.where(variables.same_pool, joint, 0.0)
    diagonal = np.arange(variables.size)
    result[:, diagonal, diagonal] += ~free
    return result
