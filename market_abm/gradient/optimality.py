"""What an allocation is: a maximum of W, a saddle point, a minimum, or not even stationary.

First-order conditions (Karush, Kuhn and Tucker): a unit of a good is worth the same to all who hold
some of it, and no more to those who hold none. They hold at maxima, but also at saddle points and
minima; the curvature of W along the moves that they leave open tells which. Where all lines of the
program are concave there is no need to look: no allocation is better.
"""

from __future__ import annotations

import enum
from typing import Any, NamedTuple

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.gradient.allocation import Allocation, Problem
from market_abm.gradient.concavity import is_concave
from market_abm.gradient.hessian import Variables

ACCURACY = 1e-9
"""Residual of the first-order conditions, relative to money flows, that counts as solved."""

MIN_SHARE = 1e-4
"""Smaller shares have this weight in the residual, if more of the good would be a gain."""

SMALL = 1e-5
"""A share or relative supply that counts as 0 where less of it would be a gain."""

STRICT = 1e-6
"""A gain, relative to money flows, that counts as different from 0."""

CURVATURE_TOL = 1e-6
"""A curvature, relative to the largest, that counts as different from 0."""

TRIAL_MOVES = (0.03, 0.3)
"""Changes of logarithms by which W is tried along directions without curvature."""

RISE_TOL = 1e-9
"""A rise of W, relative to the largest money flow, that counts as one."""


class Kind(enum.Enum):
    """What an allocation is; the value is its name in files."""

    GLOBAL_MAXIMUM = "global maximum"
    LOCAL_MAXIMUM = "local maximum"
    SADDLE = "saddle point"
    MINIMUM = "local minimum"
    NOT_STATIONARY = "not stationary"
    UNBOUNDED = "unbounded"
    EQUILIBRIUM = "equilibrium"
    PARETO_OPTIMUM = "Pareto-optimal equilibrium"
    UNKNOWN = "unknown"

    @property
    def is_maximum(self) -> bool:
        """Whether no allocation nearby is better."""
        return self in (Kind.GLOBAL_MAXIMUM, Kind.LOCAL_MAXIMUM)


class Curvature(NamedTuple):
    """The second-order condition at an allocation.

    Attributes
    ----------
    kind
        What it is.
    rising
        Directions of the variables along which W rises, the steepest first, shape (directions,
        variables).
    free
        The variables that are not at a bound, shape (variables,).
    """

    kind: Kind
    rising: np.ndarray
    free: np.ndarray


def residual(problem: Problem, at: Allocation) -> Any:
    """The largest residual of the first-order conditions, relative to money flows, shape (...).

    For a supplier, price less marginal cost; for a buyer, the gain from more of the good, times its
    share. In logarithms the slope vanishes near 0, even where more would be a gain: so a share that
    should grow counts for at least 1e-4, and a supplier that should grow in full.
    """
    of_buyers, of_suppliers = problem.gains(at)
    shut, relative = problem.logs & (of_suppliers < 0.0), problem.relative_supply(at)
    suppliers = np.abs(of_suppliers) * np.where(shut, np.minimum(relative, 1.0), 1.0)
    shares, gain = at.shares[..., problem.shared], of_buyers[..., problem.shared]
    buyers = np.where(gain > 0.0, np.maximum(shares, MIN_SHARE), shares) * np.abs(gain)
    return np.maximum(suppliers.max(axis=-1, initial=0.0), buyers.max(axis=-1, initial=0.0))


def at_bounds(problem: Problem, at: Allocation, strict: float = STRICT) -> tuple[np.ndarray, ...]:
    """Masks of the buyers and of the elastic suppliers that get or offer nothing, and should not.

    Shapes (..., buyers) and (..., elastic suppliers).
    """
    of_buyers, of_suppliers = problem.gains(at)
    relative = problem.relative_supply(at)
    return (
        (at.shares <= SMALL) & (of_buyers < -strict),
        problem.logs & (relative <= SMALL) & (of_suppliers < -strict),
    )


def free_variables(variables: Variables, at: Allocation) -> np.ndarray:
    """The variables that are not at a bound, and whose share is not 0, shape (..., variables)."""
    idle, shut = at_bounds(variables.problem, at)
    free = (at.shares > 0.0) & ~idle
    return np.concatenate([~shut, free[..., variables.buyers]], axis=-1)


@np.errstate(all="ignore")
def curvature(variables: Variables, at: Allocation) -> Curvature:
    """The second-order condition where the first-order conditions hold.

    Variables at a bound, where W falls at first order, stay there. Over the others the Hessian is
    that of W by shares and quantities, each variable measured so that its own curvature is of the
    order of money. Where it is 0 along a direction, or a share is 0 without being better or worse
    there, W is tried at some distance.

    Parameters
    ----------
    variables
        The variables of W.
    at
        One allocation: arrays without leading axes.
    """
    problem = variables.problem
    idle, shut = at_bounds(problem, at)
    empty = (at.shares <= 0.0) & ~idle
    free = free_variables(variables, at)
    none = np.zeros((0, variables.size))
    if not at.finite:
        return Curvature(Kind.UNKNOWN, none, free)
    money = float(problem.money_flows(at).max())
    directions, values = _principal(variables, at, free)
    if not np.all(np.isfinite(values)):
        return Curvature(Kind.UNKNOWN, none, free)
    tolerance = CURVATURE_TOL * max(float(np.abs(values).max(initial=0.0)), 1e-3 * money)
    rising = [directions[k] for k in np.argsort(-values) if values[k] > tolerance]
    falling = bool(np.any(values < -tolerance)) or bool(idle.any() or shut.any())

    moves = [
        size * sign * direction
        for direction in directions[np.abs(values) <= tolerance]
        for size in TRIAL_MOVES
        for sign in (1.0, -1.0)
    ]
    tried = [(variables.moved(at, free, move).value, move) for move in moves]
    tried += [(each.value, none[:0]) for each in _trials(problem, at, empty)]
    slope = np.abs(variables.slope(at, free))
    for value, move in tried:
        least = RISE_TOL * money + (10.0 * float(slope @ np.abs(move)) if move.size else 0.0)
        if value - at.value > least:
            rising.append(move if move.size else np.zeros(variables.size))
        falling = falling or value - at.value < -least
    if not rising:
        return Curvature(Kind.LOCAL_MAXIMUM, none, free)
    return Curvature(Kind.SADDLE if falling else Kind.MINIMUM, np.array(rising), free)


def _principal(
    variables: Variables, at: Allocation, free: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The principal directions of the variables, and the curvature of W along each.

    Of each pool the first free buyer has the rest. Directions are at most 1 in any variable.
    """
    first = variables.first
    own = np.flatnonzero(free[first:])
    _, rest = np.unique(variables.pool[own], return_index=True)
    kept = np.concatenate([np.flatnonzero(free[:first]), first + np.delete(own, rest)])
    shares = np.concatenate([np.ones(first), at.shares[variables.buyers]])
    scale = 1.0 / np.sqrt(shares[kept])
    hessian = variables.hessian(at, free)[np.ix_(kept, kept)]
    hessian = hessian * scale * scale[:, None]
    if not np.all(np.isfinite(hessian)):
        return np.zeros((0, variables.size)), np.array([np.nan])
    values, vectors = np.linalg.eigh(hessian)
    directions = np.zeros((len(kept), variables.size))
    directions[:, kept] = (vectors * scale[:, None]).T
    return directions / np.abs(directions).max(axis=1, keepdims=True, initial=1e-300), values


def _trials(problem: Problem, at: Allocation, empty: np.ndarray) -> list[Allocation]:
    """Allocations in which a buyer with nothing, to whom it makes no difference, gets a little."""
    found = []
    for pool in problem.economy.buyers.shared_pools:
        for buyer in pool.buyers.start + np.flatnonzero(empty[pool.buyers]):
            for move in (1e-3, 1e-1):
                shares = at.shares.copy()
                shares[pool.buyers] *= 1.0 - move
                shares[buyer] += move
                found.append(problem.evaluate(at.raw, shares))
    return found


@np.errstate(all="ignore")
def examine(variables: Variables, at: Allocation, accuracy: float = ACCURACY) -> Kind:
    """What an allocation is.

    Parameters
    ----------
    variables
        The variables of W.
    at
        One allocation: arrays without leading axes.
    accuracy
        The residual of the first-order conditions, relative to money flows, up to which it counts
        as stationary.
    """
    if not at.finite:
        return Kind.UNKNOWN
    if residual(variables.problem, at) > accuracy:
        return Kind.NOT_STATIONARY
    if is_global(variables.problem, at):
        return Kind.GLOBAL_MAXIMUM
    return curvature(variables, at).kind


def is_global(problem: Problem, at: Allocation) -> bool:
    """Whether it is certain that no allocation is better than this one, a stationary one.

    Let prices be the exact gradient. If each line is concave and what it makes is worth something
    (or convex, and worth less than nothing), and consumers' value is concave, then nobody can gain
    anything at these prices by any other plan; and what all others gain together is what W would.
    Without free variables there is nothing to choose.
    """
    if problem.size == 0:
        return True
    return is_concave(problem.economy, at)


def classify(
    economy: Economy, raw: np.ndarray, shares: np.ndarray, accuracy: float = ACCURACY
) -> Kind:
    """What the allocation with these raw quantities and shares is; see :func:`examine`."""
    problem = Problem(economy)
    return examine(Variables(problem), problem.evaluate(raw, shares), accuracy)
