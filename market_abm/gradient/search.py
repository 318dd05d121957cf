"""The search for the best allocation: ascent from several starts, with corners, within a budget.

All starts ascend side by side, as rows. A share that tends to 0 is set to 0, which logarithms never
reach.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.gradient.allocation import Allocation, Problem
from market_abm.gradient.hessian import Variables
from market_abm.gradient.newton import TENDS_TO_ZERO, ascent
from market_abm.gradient.optimality import (
    ACCURACY,
    SMALL,
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

MAX_ROUNDS = 12
"""How often shares are set to 0, or buyers let in again, in the search from one point."""

TINY = 1e-15
"""The shares of a firm that uses none of several inputs: its marginal products need a mix."""

ENTRY = 1e-3
"""The share with which a buyer that should have one after all begins."""

BETTER = 1e-9
"""A difference of W, relative to money flows, by which an allocation is better."""


class Search:
    """The search for the best allocation of one economy, with at most ``evaluations`` of W.

    Attributes
    ----------
    best
        The best so far, one row; None if W was finite nowhere.
    starts
        The points from which W was maximised.
    complete
        Whether the search ended before its budget was used up.
    unbounded
        Whether W grew beyond all measure.
    scale
        The size of W and of money flows at the first start, money.
    """

    def __init__(self, economy: Economy, problem: Problem, evaluations: int) -> None:
        self.problem, self.variables = problem, Variables(problem)
        self.one = Variables(Problem(economy))  # of arrays without rows
        self.left = evaluations
        self.best: Allocation | None = None
        self.starts = 0
        self.scale = math.nan
        self.complete = True
        self.unbounded = False

    def run(self) -> Allocation | None:
        """The best allocation of all starts; None if W is finite at none of them."""
        self._try([self.initial()])
        if self.best is None or not self._certain(self.best):
            most = min(MAX_STARTS, 6 + 2 * self.problem.size)
            others = itertools.chain(self._escapes(), self._others())
            self._try(itertools.islice(others, most - self.starts))
            self._try(self._escapes())
        return self.best

    def initial(self) -> Allocation:
        """The market's initial allocation."""
        problem = self.problem
        return problem.evaluate(
            np.atleast_2d(problem.endowment), np.atleast_2d(problem.initial_shares)
        )

    def _certain(self, at: Allocation) -> bool:
        solved = residual(self.problem, at)[0] <= ACCURACY
        return bool(solved) and is_global(self.one.problem, at.select(0))

    def _escapes(self) -> Iterator[Allocation]:
        """Allocations on both sides of the best so far, along the directions in which W rises."""
        if self.best is None or not residual(self.problem, self.best)[0] <= ACCURACY:
            return
        found = curvature(self.one, self.best.select(0))
        for direction in found.rising[:4]:
            if direction.any():
                for sign in (1.0, -1.0):
                    yield self.variables.moved(self.best, found.free[None], sign * direction[None])

    def _try(self, starts: Iterable[Allocation]) -> None:
        """Maximise W from these rows, and keep what is found if it is better."""
        if self.unbounded or not self.complete:
            return
        every = list(starts)
        self.starts += len(every)
        rows = [each for each in every if each.finite[0]]
        if not rows:
            return
        if self.best is None:
            self.best, self.scale = rows[0], float(size_of(self.problem, rows[0])[0])
        found = self.local(_stacked(rows))
        for row in range(0 if self.unbounded else len(rows)):
            each = found.select(slice(row, row + 1))
            if self._better(each, self.best):
                self.best = each

    def _better(self, at: Allocation, than: Allocation) -> bool:
        gain = float(at.value[0] - than.value[0])
        least = BETTER * float(self.problem.money_flows(than).max())
        solved, was = (bool(residual(self.problem, each)[0] <= ACCURACY) for each in (at, than))
        return gain > least or (gain > -least and solved and not was)

    def local(self, at: Allocation) -> Allocation:
        """Local maxima by ascent from each row; all of them finite."""
        going = np.arange(len(at.shares))
        for _ in range(MAX_ROUNDS):
            before = at.select(going)
            after = self._ascended(before)
            after, dropped = self._without_idle(after)
            after, entered = self._with_entrants(after)
            at = _replaced(at, going, after)
            if self.unbounded or not self.complete:
                break
            unsolved = residual(self.problem, after) > ACCURACY
            going = going[dropped | entered | (unsolved & (after.value > before.value))]
            if not len(going):
                break
        return at

    def _ascended(self, at: Allocation) -> Allocation:
        rows = len(at.shares)
        allowed = np.full(rows, self.left // rows)
        found = ascent(self.variables, at, np.full(rows, self.scale), allowed)
        self.left -= int((allowed - found.left).sum())
        self.complete = bool(np.all(found.left > 0))
        self.unbounded = bool(found.unbounded.any())
        return found.at

    def polished(self, at: Allocation) -> Allocation:
        """The solutions of the first-order conditions near each row."""
        at, _ = self._without_idle(at)
        rows = len(at.shares)
        allowed, scale = np.full(rows, self.left), np.full(rows, self.scale)
        return ascent(self.variables, at, scale, allowed, climbing=False).at

    # --- corners ----------------------------------------------------------------------------------

    def _without_idle(self, at: Allocation) -> tuple[Allocation, np.ndarray]:
        """Rows without the small shares and supplies that tend to 0, and which have changed.

        These are set to 0 if W does not fall; or, of firms that use none of several inputs, and if
        W is not finite at 0 of the others, to next to 0.
        """
        idle, shut = at_bounds(self.problem, at, TENDS_TO_ZERO)
        idle, shut = idle & (at.shares > 0.0), shut & (at.raw[..., self.problem.raw] != 0.0)
        unused = np.zeros(idle.shape)
        for places in self.problem.economy.buyers.of_industry.values():
            unused[..., places] = idle[..., places].sum(axis=-2, keepdims=True)
        alone, more = idle & (unused == 1), idle & (at.shares > 2.0 * TINY)
        changed = np.zeros(len(idle), bool)
        for zero in (alone, np.zeros(idle.shape, bool)):
            changing = np.any(zero | more, axis=-1) | np.any(shut, axis=-1)
            if not np.any(changing & ~changed):
                continue
            after = self._with_little(at, more, zero, shut)
            still_idle, still_shut = at_bounds(self.problem, after)
            same = np.all(still_idle >= idle, axis=-1) & np.all(still_shut >= shut, axis=-1)
            kept = after.value >= at.value - 1e-12 * size_of(self.problem, at)
            taken = changing & ~changed & after.finite & same & kept
            at, changed = after.where(taken, at), changed | taken
        return at, changed

    def _with_little(
        self, at: Allocation, idle: np.ndarray, zero: np.ndarray, shut: np.ndarray
    ) -> Allocation:
        """Rows with less for the ``idle`` buyers, nothing for some, and no ``shut`` supply."""
        problem = self.problem
        raw, shares = at.raw.copy(), at.shares.copy()
        raw[..., problem.raw] = np.where(shut, 0.0, raw[..., problem.raw])
        shares[idle] *= TINY / SMALL
        shares[zero] = 0.0
        return problem.evaluate(raw, shares / problem.of_pools(shares))

    def _with_entrants(self, at: Allocation) -> tuple[Allocation, np.ndarray]:
        """Rows with a share for buyers who have next to none and would gain, and which have any.

        And with a supply of those whose supply curve begins at a price that is exceeded.
        """
        problem = self.problem
        of_buyers, of_suppliers = problem.gains(at)
        entering = (at.shares <= SMALL) & (of_buyers > ACCURACY)
        opening = problem.linear & (problem.relative_supply(at) <= SMALL)
        opening &= of_suppliers > ACCURACY
        changed = np.any(entering, axis=-1) | np.any(opening, axis=-1)
        if not changed.any():
            return at, changed
        shares = np.where(entering, ENTRY, at.shares)
        shares = shares / problem.of_pools(shares)
        raw = at.raw.copy()
        raw[..., problem.raw] = np.where(opening, ENTRY * problem.unit, raw[..., problem.raw])
        return problem.evaluate(raw, shares).where(changed, at), changed

    # --- starts -----------------------------------------------------------------------------------

    def _others(self) -> Iterator[Allocation]:
        """The starts but the first: nearly all of a good for one use, other supplies, random."""
        problem, buyers = self.problem, self.problem.economy.buyers
        raw, initial = np.atleast_2d(problem.endowment), np.atleast_2d(problem.initial_shares)
        uses = [buyers.users[pool.buyers.start] for pool in buyers.shared_pools]
        several = [[use for use, _ in each] for each in uses if len(each) > 1]
        if several and math.prod(len(each) for each in several) <= MAX_COMBINATIONS:
            chosen = [list(each) for each in itertools.product(*several)]
        else:
            chosen = [[use] for each in several for use in each][:MAX_COMBINATIONS]
        for favoured in chosen:
            shares = initial.copy()
            for use in favoured:
                shares[:, use] *= 100.0
            yield problem.evaluate(raw, shares / problem.of_pools(shares))
        for factor in SUPPLIES if len(problem.raw) else ():
            other = raw.copy()
            other[:, problem.raw] *= factor
            yield problem.evaluate(other, initial)
        rng = np.random.default_rng(0)  # the same starts for every economy of this structure
        while True:
            weights = rng.gamma(0.5, size=buyers.size) + 1e-3
            for pool in buyers.pools:
                weights[pool.buyers] /= weights[pool.buyers].sum()
            other = raw.copy()
            draws = rng.normal(0.0, 1.0, len(problem.raw))
            now = other[:, problem.raw]
            moved = now + problem.unit * draws
            other[:, problem.raw] = np.where(problem.of_any_size, moved, now * np.exp(draws))
            yield problem.evaluate(other, weights[None])


def size_of(problem: Problem, at: Allocation) -> np.ndarray:
    """The size of W and of money flows, money, shape (rows,)."""
    flows = problem.money_flows(at).max(axis=-1)
    return np.maximum(np.maximum(np.abs(at.value), flows), 1e-300)


def _stacked(rows: list[Allocation]) -> Allocation:
    return Allocation(*(np.concatenate(fields) for fields in zip(*rows, strict=True)))


def _replaced(whole: Allocation, rows: np.ndarray, part: Allocation) -> Allocation:
    """``whole`` with these rows replaced."""
    fields = [each.copy() for each in whole]
    for field, replacement in zip(fields, part, strict=True):
        field[rows] = replacement
    return Allocation(*fields)
