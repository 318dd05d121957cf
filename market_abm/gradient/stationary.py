"""The stationary allocation next to a given one, such as that at which a market rests."""

from __future__ import annotations

import dataclasses

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.economy.ties import Payments, has_branches
from market_abm.errors import MarketError
from market_abm.gradient import general_equilibrium as general
from market_abm.gradient.allocation import Allocation, Problem
from market_abm.gradient.concavity import is_concave
from market_abm.gradient.conditions import Conditions
from market_abm.gradient.equilibrium import (
    MAX_VARIABLES,
    MAX_WORK,
    Equilibrium,
    described,
    described_solution,
    evaluations,
    is_general,
    problem_of,
)
from market_abm.gradient.optimality import Kind, examine, residual
from market_abm.gradient.search import Search, size_of


@np.errstate(all="ignore")
def nearest_stationary(
    economy: Economy,
    raw: np.ndarray,
    shares: np.ndarray,
    accuracy: float = 1e-6,
    payments: Payments | None = None,
    level: np.ndarray | None = None,
) -> Equilibrium | None:
    """The allocation next to this one at which the first-order conditions hold, and what it is.

    Parameters
    ----------
    economy
        The economy.
    raw
        Quantities of the raw goods, units, shape (raw goods,).
    shares
        Shape (buyers,).
    accuracy
        The residual of the first-order conditions, relative to money flows, up to which the given
        allocation counts as next to one.
    payments
        What firms pay there: at a kink the conditions hold if they do for some gradient of the set,
        of which that nearest to payments is tried. Such an allocation is taken as it is.
    level
        With transfers of money, prices, (goods,), of the level of prices there, as of
        :func:`market_abm.equilibrium`.

    Returns
    -------
    Equilibrium or None
        None with more than 400 free variables, or if W is not finite there. If the conditions do
        not hold, the allocation itself, of kind ``NOT_STATIONARY``.
    """
    if is_general(economy):
        return _nearest_general(economy, raw, shares, accuracy, level)
    try:
        problem = problem_of([economy])
        at = problem.evaluate(raw[None], shares[None])
        if problem.size > MAX_VARIABLES or not at.finite[0] or economy.closed:
            return None
        if payments is not None and has_branches(economy):
            kink = problem.at_kink(at, payments)
            if kink is not at:
                return _at_kink(economy, problem, kink, accuracy)
        search = Search(economy, problem, evaluations(economy, problem.size, MAX_WORK))
        search.scale = float(size_of(problem, at)[0])
        if residual(problem, at)[0] <= accuracy:
            at = search.polished(at)
        one = at.select(0)
        left = float(residual(search.one.problem, one))
        return described(one, left, examine(search.one, one, accuracy))
    except (MarketError, ArithmeticError, ValueError, np.linalg.LinAlgError):
        return None


def _nearest_general(
    economy: Economy,
    raw: np.ndarray,
    shares: np.ndarray,
    accuracy: float,
    level: np.ndarray | None,
) -> Equilibrium | None:
    """:func:`nearest_stationary` with households or taxes."""
    try:
        conditions = Conditions(economy, level)
        if conditions.size > MAX_VARIABLES or economy.has_external:
            return None
        allowed = evaluations(economy, conditions.size, MAX_WORK)
        found, near = general.solution_near(conditions, raw, shares, accuracy, allowed)
        if not found.at.finite:
            return None
        best = described_solution(conditions, found)
    except (MarketError, ArithmeticError, ValueError, np.linalg.LinAlgError):
        return None
    return best if near else dataclasses.replace(best, kind=Kind.NOT_STATIONARY)


def _at_kink(economy: Economy, problem: Problem, at: Allocation, accuracy: float) -> Equilibrium:
    """An allocation at a kink, where second derivatives say nothing, and what it is."""
    left, one = float(residual(problem, at)[0]), at.select(0)
    if left > accuracy:
        kind = Kind.NOT_STATIONARY
    else:
        kind = Kind.GLOBAL_MAXIMUM if is_concave(economy, one) else Kind.UNKNOWN
    return described(one, left, kind)
