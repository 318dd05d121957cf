"""The competitive equilibrium without a market: the allocation that maximises total surplus W.

Where all lines are concave, a market in equilibrium maximises W (the first welfare theorem), and
so does any allocation at which the first-order conditions hold. Elsewhere they hold at local
maxima, saddle points and minima too. Here SciPy maximises W directly, over the shares of each
shared pool and the quantities of elastic suppliers; no market is run. It starts from one point
where that is enough, and otherwise from several, within a budget; what was found is then examined
(``optimality.py``), and says what it is.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.errors import MarketError
from market_abm.gradient.allocation import Allocation, Problem
from market_abm.gradient.optimality import ACCURACY, Kind, examine, residual
from market_abm.gradient.search import BETTER, Search, SearchEnd

MAX_VARIABLES = 400
"""Free variables beyond which no equilibrium is computed."""

MAX_WORK = 400_000
"""Lines evaluated in a search: the budget, some ten seconds. The same on every machine."""

NEAR = 1e-4
"""How near an allocation must be to another to be the same one."""


@dataclass(frozen=True, eq=False)
class Equilibrium:
    """The best allocation that was found, and what it is.

    Attributes
    ----------
    quantities
        Units per step, shape (goods,).
    prices
        The exact gradient there, money per unit, shape (goods,).
    shares
        Shape (buyers,).
    welfare
        W, money per step.
    residual
        The largest residual of the first-order conditions, relative to money flows.
    kind
        What it is. A local maximum is the best of ``starts`` points; a better one may exist.
        ``UNBOUNDED``: W grew to 1e8 times its scale at the initial allocation.
    starts
        The points from which W was maximised.
    complete
        Whether the search ended before its budget was used up.
    """

    quantities: np.ndarray
    prices: np.ndarray
    shares: np.ndarray
    welfare: float
    residual: float
    kind: Kind = Kind.UNKNOWN
    starts: int = 1
    complete: bool = True

    @property
    def solved(self) -> bool:
        """Whether the first-order conditions hold to 1e-9, and W has an upper bound."""
        return self.residual <= ACCURACY and self.kind is not Kind.UNBOUNDED

    def is_near(self, quantities: np.ndarray, shares: np.ndarray) -> bool:
        """Whether all quantities (relative to the largest) and shares are within 1e-4 of these."""
        largest = float(np.abs(self.quantities).max())
        return bool(
            np.abs(self.quantities - quantities).max() <= NEAR * largest
            and np.abs(self.shares - shares).max(initial=0.0) <= NEAR
        )

    def is_better_than(self, other: Equilibrium) -> bool:
        """Whether W is higher, by more than rounding."""
        money = np.abs(self.prices * self.quantities).max()
        return bool(self.welfare - other.welfare > BETTER * max(money, abs(self.welfare)))

    def compared_with(self, best: Equilibrium) -> Equilibrium:
        """The same, a global maximum too if it is a maximum and ``best`` is one and no better."""
        equal = self.kind.is_maximum and best.solved and not best.is_better_than(self)
        return dataclasses.replace(self, kind=best.kind) if equal else self


@np.errstate(all="ignore")
def equilibrium(economy: Economy, work: int = MAX_WORK) -> Equilibrium | None:
    """Maximise W over the free variables (see :class:`Problem`).

    From each start a trust-region Newton method (conjugate gradients, with the exact gradient of
    W), then Levenberg-Marquardt on the first-order conditions, for the last digits. A share that
    tends to 0 is set to 0, and stays there if more of the good would be no gain. The first start is
    the market's initial allocation. If it is not certain that what it leads to is the best, W is
    also maximised from where it rises there, from allocations that give nearly all of a good to one
    use, and from random ones.

    Parameters
    ----------
    economy
        The economy.
    work
        The budget: how many lines may be evaluated.

    Returns
    -------
    Equilibrium or None
        None with more than 400 free variables, or if W is not finite.
    """
    try:
        problem = Problem(economy)
        if problem.size > MAX_VARIABLES:
            return None
        search = Search(problem, max(1, work // max(1, len(economy.topological_order))))
        best = search.run()
        return None if best is None else _described(search, best, ACCURACY)
    except (MarketError, ArithmeticError, ValueError, np.linalg.LinAlgError):
        return None  # a loop that does not converge, or numbers that no solver can handle


@np.errstate(all="ignore")
def nearest_stationary(
    economy: Economy, raw: np.ndarray, shares: np.ndarray, accuracy: float = 1e-6
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

    Returns
    -------
    Equilibrium or None
        None with more than 400 free variables, or if W is not finite there. If the conditions do
        not hold, the allocation itself, of kind ``NOT_STATIONARY``.
    """
    try:
        problem = Problem(economy)
        at = problem.evaluate(raw, shares)
        if problem.size > MAX_VARIABLES or not at.finite:
            return None
        search = Search(problem, MAX_WORK // max(1, len(economy.topological_order)))
        search.scale = search.size_of(at)
        if residual(problem, at) <= accuracy:
            at = search.polished(search.without_idle(at))
        return _described(search, at, accuracy)
    except (MarketError, ArithmeticError, ValueError, np.linalg.LinAlgError, SearchEnd):
        return None


def _described(search: Search, at: Allocation, accuracy: float) -> Equilibrium:
    """An allocation that a search found, and what it is."""
    left = residual(search.problem, at)
    kind = Kind.UNBOUNDED if search.unbounded else examine(search.problem, at, accuracy)
    starts = max(1, search.starts)
    return Equilibrium(
        at.quantities, at.prices, at.shares, at.value, left, kind, starts, search.complete
    )
