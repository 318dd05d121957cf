"""The search for the best allocation: ascent from several starts, with corners, within a budget.

Logarithms of shares and quantities are the variables, in which the slopes of W stay finite where
marginal products do not; a share that tends to 0 is set to 0, which logarithms never reach.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np

from market_abm.gradient.allocation import Allocation, Problem
from market_abm.gradient.optimality import (
    ACCURACY,
    SMALL,
    Curvature,
    at_bounds,
    curvature,
    is_global,
    residual,
)

MAX_STARTS = 24
"""Points from which W is maximised where it may have several maxima: 6 + 2 a variable, or this."""

MAX_COMBINATIONS = 12
"""Combinations of uses, each given nearly all of its good, that are among these points."""

SUPPLIES = (10.0, 0.1, 100.0)
"""Factors of all elastic supplies that are among these points."""

UNBOUNDED = 1e8
"""W over its scale at the initial allocation beyond which it counts as without an upper bound."""

MAX_ITERATIONS = 25
"""Steps of a trust-region search before shares that tend to 0 are set to 0."""

MAX_TRIALS = 4
"""How often a search from another start is continued before it is judged."""

MAX_POLISHING = 40
"""Evaluations of a Levenberg-Marquardt search."""

NEARLY = 1e-2
"""The residual from which on it is tried."""

MAX_ROUNDS = 12
"""How often shares are set to 0, or buyers let in again, in the search from one point."""

TENDS_TO_ZERO = 1e-3
"""A loss from more of a good, relative to money flows, with which a small share is set to 0."""

TINY = 1e-12
"""The shares of a firm that uses none of several inputs: its marginal products need a mix."""

ENTRY = 1e-3
"""The share with which a buyer that should have one after all begins."""

BETTER = 1e-9
"""A difference of W, relative to money flows, by which an allocation is better."""


class SearchEnd(Exception):  # noqa: N818 -- it ends a search, and is no error
    """A search ends before its time."""


class _BudgetUsed(SearchEnd):
    """The budget of a search is used up."""


class _Unbounded(SearchEnd):
    """W has grown beyond all measure."""


class Search:
    """The search for the best allocation, with at most ``evaluations`` of W.

    Attributes
    ----------
    best
        The best so far; None if W was finite nowhere.
    starts
        The points from which W was maximised.
    complete
        Whether the search ended before its budget was used up.
    unbounded
        Whether W grew beyond all measure.
    scale
        The size of W and of money flows at the first start, money.
    """

    def __init__(self, problem: Problem, evaluations: int) -> None:
        self.problem = problem
        self.left = evaluations
        self.best: Allocation | None = None
        self.current: Allocation | None = None
        self.starts = 0
        self.scale = math.nan
        self.complete = True
        self.unbounded = False

    def run(self) -> Allocation | None:
        """The best allocation of all starts; None if W is finite at none of them."""
        try:
            self._try(self.problem.evaluate(self.problem.base_raw, self.problem.base_shares))
            if self.best is None or not self._certain(self.best):
                self._others()
        except _BudgetUsed:
            self.complete = False
            self._keep(self.current)
        except _Unbounded:
            self.unbounded = True
        return self.best

    def _certain(self, at: Allocation) -> bool:
        return residual(self.problem, at) <= ACCURACY and is_global(self.problem, at)

    def _others(self) -> None:
        """From the other starts, and from wherever W still rises at the best so far."""
        most = min(MAX_STARTS, 6 + 2 * self.problem.size)
        for start in itertools.chain(self._escapes(), _starts(self.problem)):
            if self.starts >= most:
                break
            self._try(start)
        for start in self._escapes():
            self._try(start)

    def _escapes(self) -> Iterator[Allocation]:
        """Allocations on both sides of the best so far, along the directions in which W rises."""
        if self.best is None or residual(self.problem, self.best) > ACCURACY:
            return
        found: Curvature = curvature(self.problem, self.best)
        for direction in found.rising[:4]:
            if len(direction):
                point = found.face.start()
                yield from (found.face.at(point + sign * direction) for sign in (1.0, -1.0))

    def _try(self, start: Allocation) -> None:
        """Maximise W from ``start``, and keep what is found if it is better."""
        self.starts += 1
        if self.best is None and start.finite:
            self.best, self.scale = start, self.size_of(start)
        self._keep(self.local(start))

    def _keep(self, at: Allocation | None) -> None:
        """Keep an allocation if it is the best so far."""
        if at is not None and (self.best is None or self._better(at, self.best)):
            self.best = at

    def _may_be_better(self, at: Allocation, than: Allocation) -> bool:
        solved = residual(self.problem, than) <= ACCURACY
        return at.value > than.value + (1.0 if solved else -1.0) * BETTER * self.scale

    def _better(self, at: Allocation, than: Allocation) -> bool:
        gain = at.value - than.value
        least = BETTER * float(self.problem.money_flows(than).max())
        solved, was = (residual(self.problem, each) <= ACCURACY for each in (at, than))
        return gain > least or (gain > -least and solved and not was)

    # --- from one start -------------------------------------------------------------------------

    def local(self, start: Allocation) -> Allocation | None:
        """A local maximum by ascent from ``start``; None if W is not finite there.

        It is left unfinished where it leads to nothing better than the best so far.
        """
        at = start
        if not at.finite:
            return None
        if self.starts > 1:
            for _ in range(MAX_TRIALS):
                before, at = at, self.without_idle(self.ascended(at))
                if at.value <= before.value + BETTER * self.scale:
                    break
            if self.best is not None and not self._may_be_better(at, self.best):
                return at
        for _ in range(MAX_ROUNDS):
            before = at
            at = self.without_idle(self.ascended(at))
            self.current = at
            if residual(self.problem, at) <= NEARLY:
                at = self.polished(at)
            entered = self._with_entrants(at)
            if entered is None and (
                residual(self.problem, at) <= ACCURACY or at.value <= before.value
            ):
                break
            at = entered if entered is not None else at
        return at

    def _face(self, at: Allocation) -> Problem:
        """W over the variables that are not at a bound."""
        idle, shut = at_bounds(self.problem, at)
        empty = at.shares <= 0.0
        return Problem(self.problem.economy, at, ~idle & ~empty, ~shut)

    def ascended(self, at: Allocation) -> Allocation:
        """Where a trust-region Newton method ends."""
        face = self._face(at)
        if face.size == 0:
            return at
        from scipy.optimize import minimize  # slow to import

        loss = _Loss(face, at, self)
        # Logarithms move by about 1 per step at most: a share that reaches 0 never comes back.
        radius = float(np.sqrt(face.size))
        options = {
            "initial_trust_radius": 0.2 * radius,
            "max_trust_radius": radius,
            "gtol": 1e-10,
            "maxiter": MAX_ITERATIONS,
        }
        found = minimize(
            loss,
            face.start(),
            jac=True,
            hessp=loss.hessian_product,
            method="trust-ncg",
            options=options,
        )
        after = face.at(found.x)
        return after if after.finite and after.value >= at.value else at

    def polished(self, at: Allocation) -> Allocation:
        """The solution of the first-order conditions near ``at``; ``at`` if that is better."""
        face = self._face(at)
        if face.size == 0:
            return at
        from scipy.optimize import root  # slow to import

        loss = _Loss(face, at, self)
        point = face.start()
        first = size = np.abs(loss.gradient(point)).max()
        for _ in range(3):  # a restart often gets further, where it stopped for rounding
            if not 1e-14 < size < math.inf:
                break
            trial = root(
                loss.gradient,
                point,
                jac=loss.hessian,
                method="lm",
                tol=1e-15,
                options={"maxiter": MAX_POLISHING},
            ).x
            size = np.abs(loss.gradient(trial)).max()
            if not size < np.abs(loss.gradient(point)).max():
                break
            point = trial
        after = face.at(point)
        near = after.finite and abs(after.value - at.value) <= 1e-6 * loss.scale
        improved = np.abs(loss.gradient(point)).max() < first
        return after if near and improved else at

    def without_idle(self, at: Allocation) -> Allocation:
        """``at`` without the small shares and supplies that tend to 0, if W does not fall.

        They are set to 0; or, of firms that use none of several inputs, and if W is not finite at 0
        of the others, to next to 0.
        """
        idle, shut = at_bounds(self.problem, at, TENDS_TO_ZERO)
        if not (idle.any() or shut.any()):
            return at
        unused = np.zeros(len(idle))
        for places in self.problem.economy.buyers.of_industry.values():
            unused[places] = idle[places].sum(axis=0)
        for exact in (unused == 1, np.zeros(len(idle), bool)):
            after = self._with_little(at, idle, idle & exact, shut)
            still = at_bounds(self.problem, after)
            same = np.array_equal(still[0] & idle, idle) and np.array_equal(still[1] & shut, shut)
            if after.finite and same and after.value >= at.value - 1e-12 * self.size_of(at):
                return after
        return at

    def _with_little(
        self, at: Allocation, idle: np.ndarray, zero: np.ndarray, shut: np.ndarray
    ) -> Allocation:
        """``at`` with less for the ``idle`` buyers, nothing for some, and no ``shut`` supply."""
        buyers = self.problem.economy.buyers
        raw, shares = at.raw.copy(), at.shares.copy()
        raw[self.problem.elastic[shut]] = 0.0
        shares[idle] *= TINY / SMALL
        shares[zero] = 0.0
        totals = [np.add.reduceat(each, buyers.starts)[buyers.pool] for each in (at.shares, shares)]
        return self.problem.evaluate(raw, shares * totals[0] / totals[1])

    def _with_entrants(self, at: Allocation) -> Allocation | None:
        """``at`` with a share for buyers who have next to none and would gain; None without any."""
        of_buyers, _ = self.problem.gains(at)
        entering = (at.shares <= SMALL) & (of_buyers > ACCURACY)
        if not entering.any():
            return None
        buyers = self.problem.economy.buyers
        shares = np.where(entering, ENTRY, at.shares)
        shares = shares / np.add.reduceat(shares, buyers.starts)[buyers.pool]
        shares = shares * np.add.reduceat(at.shares, buyers.starts)[buyers.pool]
        return self.problem.evaluate(at.raw, shares)

    def size_of(self, at: Allocation) -> float:
        """The size of W and of money flows, money."""
        return max(abs(at.value), float(self.problem.money_flows(at).max()), 1e-300)


def _starts(problem: Problem) -> Iterator[Allocation]:
    """The starts but the first: nearly all of a good for one use, other supplies, random ones."""
    buyers = problem.economy.buyers
    uses = [buyers.users[pool.buyers.start] for pool in buyers.shared_pools]
    several = [[use for use, _ in each] for each in uses if len(each) > 1]
    if several and math.prod(len(each) for each in several) <= MAX_COMBINATIONS:
        chosen = [list(each) for each in itertools.product(*several)]
    else:
        chosen = [[use] for each in several for use in each][:MAX_COMBINATIONS]
    for favoured in chosen:
        shares = buyers.initial_shares.copy()
        for use in favoured:
            shares[use] *= 100.0
        totals = np.add.reduceat(shares, buyers.starts)[buyers.pool]
        yield problem.evaluate(problem.base_raw, shares / totals)
    for factor in SUPPLIES if len(problem.elastic) else ():
        raw = problem.base_raw.copy()
        raw[problem.elastic] *= factor
        yield problem.evaluate(raw, buyers.initial_shares)
    rng = np.random.default_rng(0)  # the same starts for every economy of this structure
    while True:
        shares = rng.gamma(0.5, size=buyers.size) + 1e-3
        for pool in buyers.pools:
            shares[pool.buyers] /= shares[pool.buyers].sum()
        raw = problem.base_raw.copy()
        raw[problem.elastic] *= np.exp(rng.normal(0.0, 1.0, len(problem.elastic)))
        yield problem.evaluate(raw, shares)


class _Loss:
    """-W, scaled to be of order 1, with its derivatives; the last evaluation is cached."""

    def __init__(self, face: Problem, at: Allocation, search: Search) -> None:
        self.face, self.search = face, search
        self.scale = max(abs(at.value), float(face.money_flows(at).max()), 1e-300)
        self.cache: dict[bytes, tuple[float, np.ndarray]] = {}

    def __call__(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """The loss and its gradient; without slope where W is not finite."""
        key = x.tobytes()
        if key not in self.cache:
            self.cache.clear()
            self.cache[key] = self._evaluate(x)
        value, gradient = self.cache[key]
        return value, gradient.copy()

    def _evaluate(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        if self.search.left <= 0:
            raise _BudgetUsed
        self.search.left -= 1
        at = self.face.at(x)
        slope = self.face.slope(at)
        if at.value > UNBOUNDED * self.search.scale:
            raise _Unbounded
        if np.isfinite(at.value) and np.all(np.isfinite(slope)):
            return -at.value / self.scale, -slope / self.scale
        return 1e300, np.zeros_like(x)

    def gradient(self, x: np.ndarray) -> np.ndarray:
        return self(x)[1]

    def hessian_product(self, x: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """The Hessian times ``direction``: a finite difference, accurate to eight digits."""
        before = self.gradient(x)
        step = np.sqrt(np.finfo(float).eps) / max(float(np.abs(direction).max()), 1e-300)
        after = self._evaluate(x + step * direction)[1]
        return (after - before) / step

    def hessian(self, x: np.ndarray) -> np.ndarray:
        return np.array([self.hessian_product(x, way) for way in np.eye(self.face.size)]).T
