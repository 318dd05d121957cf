"""What an allocation is: a maximum of W, a saddle point, a minimum, or not even stationary.

First-order conditions (Karush, Kuhn and Tucker): a unit of a good is worth the same to all who hold
some of it, and no more to those who hold none. They hold at maxima, but also at saddle points and
minima; the curvature of W along the moves that they leave open tells which. Where all lines of the
program are concave there is no need to look: no allocation is better.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.gradient.allocation import Allocation, Problem
from market_abm.gradient.concavity import is_concave

ACCURACY = 1e-9
"""Residual of the first-order conditions, relative to money flows, that counts as solved."""

MIN_SHARE = 1e-4
"""Smaller shares have this weight in the residual, if more of the good would be a gain."""

SMALL = 1e-5
"""A share or relative supply that counts as 0 where less of it would be a gain."""

STRICT = 1e-6
"""A gain, relative to money flows, that counts as different from 0."""

CURVATURE_TOL = 1e-6
"""A curvature, relative to the largest, that counts as different from 0.

Differences of the exact gradient over ``MOVE`` have errors of 1e-8 (truncation) and 1e-12
(rounding).
"""

MOVE = 1e-4
"""The change of a logarithm over which the gradient of W is differenced."""

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
        Unit directions of the free variables of ``face`` along which W rises, the steepest first.
    face
        W over the variables that are not at a bound.
    """

    kind: Kind
    rising: list[np.ndarray]
    face: Problem


def residual(problem: Problem, at: Allocation) -> float:
    """The largest residual of the first-order conditions, relative to money flows.

    For a supplier, price less marginal cost; for a buyer, the gain from more of the good, times its
    share. In logarithms the slope vanishes near 0, even where more would be a gain: so a share that
    should grow counts for at least 1e-4, and a supplier that should grow in full.
    """
    of_buyers, of_suppliers = problem.gains(at)
    terms = list(problem.economy.supply.values())
    curve = np.array([terms[k].kind == "curve" for k in problem.elastic], bool)
    relative = at.raw[problem.elastic] / problem.endowment[problem.elastic]
    shut = curve & (of_suppliers < 0.0)
    left = [np.abs(of_suppliers) * np.where(shut, np.minimum(relative, 1.0), 1.0)]
    for pool in problem.economy.buyers.shared_pools:
        shares, gain = at.shares[pool.buyers], of_buyers[pool.buyers]
        left.append(np.where(gain > 0.0, np.maximum(shares, MIN_SHARE), shares) * np.abs(gain))
    return float(np.concatenate(left).max(initial=0.0))


def at_bounds(problem: Problem, at: Allocation, strict: float = STRICT) -> tuple[np.ndarray, ...]:
    """Masks of the buyers and of the elastic suppliers that get or offer nothing, and should not.

    Shapes (buyers,) and (elastic suppliers,).
    """
    of_buyers, of_suppliers = problem.gains(at)
    terms = list(problem.economy.supply.values())
    curve = np.array([terms[k].kind == "curve" for k in problem.elastic], bool)
    relative = at.raw[problem.elastic] / problem.endowment[problem.elastic]
    return (
        (at.shares <= SMALL) & (of_buyers < -strict),
        curve & (relative <= SMALL) & (of_suppliers < -strict),
    )


@np.errstate(all="ignore")
def curvature(problem: Problem, at: Allocation) -> Curvature:
    """The second-order condition where the first-order conditions hold.

    Variables at a bound, where W falls at first order, stay there. Over the others the Hessian is
    that of W by shares and quantities, from differences of the exact gradient, each variable
    measured so that its own curvature is of the order of money. Where it is 0 along a direction, or
    a share is 0 without being better or worse there, W is tried at some distance.
    """
    idle, shut = at_bounds(problem, at)
    empty = (at.shares <= 0.0) & ~idle
    face = Problem(problem.economy, at, ~idle & ~empty, ~shut)
    trials = _trials(problem, at, empty)
    money = float(problem.money_flows(at).max())
    if not at.finite:
        return Curvature(Kind.UNKNOWN, [], face)
    point = face.start()
    values, directions = np.zeros(0), np.zeros((0, 0))
    if face.size:
        scale = _scale(face, at)
        hessian = _hessian(face, at, point) * scale * scale[:, None]
        if not np.all(np.isfinite(hessian)):
            return Curvature(Kind.UNKNOWN, [], face)
        values, vectors = np.linalg.eigh((hessian + hessian.T) / 2.0)
        directions = (vectors * scale[:, None]).T
        directions = directions / np.abs(directions).max(axis=1, keepdims=True)
    tolerance = CURVATURE_TOL * max(float(np.abs(values).max(initial=0.0)), 1e-3 * money)
    rising = [directions[k] for k in np.argsort(-values) if values[k] > tolerance]
    falling = bool(np.any(values < -tolerance)) or bool(idle.any() or shut.any())
    for direction in directions[np.abs(values) <= tolerance]:
        for size in (move * sign for move in TRIAL_MOVES for sign in (1.0, -1.0)):
            trials.append((face.at(point + size * direction), size * direction))
    slope = np.abs(face.slope(at))
    for other, direction in trials:
        least = RISE_TOL * money + (10.0 * float(slope @ np.abs(direction)) if face.size else 0.0)
        if other.value - at.value > least:
            rising.append(direction)
        falling = falling or other.value - at.value < -least
    if not rising:
        return Curvature(Kind.LOCAL_MAXIMUM, [], face)
    return Curvature(Kind.SADDLE if falling else Kind.MINIMUM, rising, face)


def _trials(
    problem: Problem, at: Allocation, empty: np.ndarray
) -> list[tuple[Allocation, np.ndarray]]:
    """Allocations in which a buyer with nothing, to whom it makes no difference, gets a little."""
    found = []
    for pool in problem.economy.buyers.shared_pools:
        for buyer in pool.buyers.start + np.flatnonzero(empty[pool.buyers]):
            for move in (1e-3, 1e-1):
                shares = at.shares.copy()
                shares[pool.buyers] *= 1.0 - move
                shares[buyer] += move
                found.append((problem.evaluate(at.raw, shares), np.zeros(0)))
    return found


def _scale(face: Problem, at: Allocation) -> np.ndarray:
    """1/√share of each free variable, and 1 of suppliers, shape (size,)."""
    shares = [at.shares[places[1:]] for places in face.pools]
    return 1.0 / np.sqrt(np.concatenate([np.ones(len(face.raw)), *shares]))


def _hessian(face: Problem, at: Allocation, point: np.ndarray) -> np.ndarray:
    """The Hessian of W by shares and quantities in the tangent space of logarithms, (size, size).

    The slope at the point itself, which is rounding, would count in logarithms: it is taken away.
    """
    rows = []
    for direction in np.eye(face.size):
        sides = [face.at(point + sign * MOVE * direction) for sign in (1.0, -1.0)]
        up, down = (
            face.slope(side, side.worth - at.worth, side.margins - at.margins) for side in sides
        )
        rows.append((up - down) / (2.0 * MOVE))
    return np.array(rows)


@np.errstate(all="ignore")
def examine(problem: Problem, at: Allocation, accuracy: float = ACCURACY) -> Kind:
    """What an allocation is.

    Parameters
    ----------
    problem
        W over all free variables.
    at
        The allocation.
    accuracy
        The residual of the first-order conditions, relative to money flows, up to which it counts
        as stationary.
    """
    if not at.finite:
        return Kind.UNKNOWN
    if residual(problem, at) > accuracy:
        return Kind.NOT_STATIONARY
    if is_global(problem, at):
        return Kind.GLOBAL_MAXIMUM
    return curvature(problem, at).kind


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
    return examine(problem, problem.evaluate(raw, shares), accuracy)
