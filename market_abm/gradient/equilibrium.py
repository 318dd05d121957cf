"""The competitive equilibrium without a market: the allocation that maximises total surplus W.

Where all lines are concave, a market in equilibrium maximises W (the first welfare theorem), and
so does any allocation at which the first-order conditions hold. Elsewhere they hold at local
maxima, saddle points and minima too. Here W is maximised directly by Newton's method, over the
shares of each shared pool and the quantities of elastic suppliers; no market is run. It starts from
one point where that is enough, and otherwise from several, within a budget; what was found is then
examined (``optimality.py``), and says what it is. Economies of one structure are solved side by
side, and each as if it were alone. Economies with households are solved by the conditions of an
equilibrium (``general_equilibrium.py``).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.economy.ties import has_branches
from market_abm.errors import MarketError
from market_abm.gradient import general_equilibrium as general
from market_abm.gradient.allocation import Allocation, Problem
from market_abm.gradient.concavity import is_concave
from market_abm.gradient.conditions import Conditions
from market_abm.gradient.hessian import Variables
from market_abm.gradient.kinks import KINKED, optimum_at_kinks, rounded_off
from market_abm.gradient.newton import ascent
from market_abm.gradient.optimality import ACCURACY, SMALL, Kind, examine, residual
from market_abm.gradient.search import BETTER, Search, size_of

MAX_VARIABLES = 400
"""Free variables beyond which no equilibrium is computed."""

MAX_WORK = 30_000
"""The budget of a search, in lines evaluated, and as much for every ten free variables.

Some seconds; the same on every machine.
"""

SIDE_BY_SIDE = 4
"""How much larger it is with households or taxes, where points from all starts go together."""

MAX_NUMBERS = 4_000_000
"""Entries of the Hessians that are computed side by side; 8 bytes each, some ten times over."""

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
    weights
        With households, the price α of a unit of utility of each, shape (households,): W is Σ α U.
    reached
        With households, of the ``starts`` the number of those that led here.
    others
        With households, the other equilibria that were found.
    relative
        Whether all money is that of households, without transfers, so that only relative prices are
        determined: these are of the money that they have in the first step.
    """

    quantities: np.ndarray
    prices: np.ndarray
    shares: np.ndarray
    welfare: float
    residual: float
    kind: Kind = Kind.UNKNOWN
    starts: int = 1
    complete: bool = True
    weights: np.ndarray | None = None
    reached: int = 1
    others: tuple[Equilibrium, ...] = ()
    relative: bool = False

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

    @property
    def found(self) -> int:
        """The number of equilibria that were found."""
        return 1 + len(self.others)

    @np.errstate(all="ignore")  # a market may have diverged
    def nearest(self, prices: np.ndarray) -> Equilibrium:
        """Of all that were found the one nearest to these prices, (goods,), in their money.

        The nearest in relative prices, if only these are determined; its goods then cost as much at
        its prices as at the given ones. The others are its ``others``.
        """
        if not self.others and not self.relative:
            return self
        several = [each._in_money_of(prices) for each in (self, *self.others)]
        gaps = [general.relative_gap(prices, each.prices) for each in several]
        chosen = several.pop(int(np.argmin(gaps)))
        return dataclasses.replace(chosen, others=tuple(several))

    def _in_money_of(self, prices: np.ndarray) -> Equilibrium:
        if not self.relative or self.weights is None:
            return self
        return self._times(float(prices @ self.quantities / (self.prices @ self.quantities)))

    @np.errstate(all="ignore")
    def at_level_of(self, prices: np.ndarray) -> Equilibrium:
        """The same at the Euclidean norm of the quoted ``prices``, (goods,), utilities left out.

        Excess demand is orthogonal to prices, and raises that to second order only.
        """
        if not self.relative or self.weights is None:
            return self
        norms = [np.linalg.norm(each[: -len(self.weights)]) for each in (prices, self.prices)]
        return self._times(float(norms[0] / norms[1]))

    def _times(self, factor: float) -> Equilibrium:
        """The same in money of which ``factor`` times as much is paid."""
        if self.weights is None or not 0.0 < factor < np.inf:
            return self
        return dataclasses.replace(
            self,
            prices=factor * self.prices,
            welfare=factor * self.welfare,
            weights=factor * self.weights,
        )

    def is_better_than(self, other: Equilibrium) -> bool:
        """Whether W is higher, by more than rounding; with other weights it is another W."""
        if self.weights is not None:
            return False
        money = np.abs(self.prices * self.quantities).max()
        return bool(self.welfare - other.welfare > BETTER * max(money, abs(self.welfare)))

    def compared_with(self, best: Equilibrium) -> Equilibrium:
        """The same, a global maximum too if it is a maximum and ``best`` is one and no better."""
        equal = self.kind.is_maximum and best.solved and not best.is_better_than(self)
        return dataclasses.replace(self, kind=best.kind) if equal else self


def equilibrium(
    economy: Economy, work: int = MAX_WORK, level: np.ndarray | None = None
) -> Equilibrium | None:
    """Maximise W over the free variables (see :class:`Problem`).

    From each start Newton's method, with the exact Hessian of W: ascent, then the first-order
    conditions, for the last digits. A share that tends to 0 is set to 0, and stays there if more of
    the good would be no gain. The first start is the market's initial allocation. If it is not
    certain that what it leads to is the best, W is also maximised from where it rises there, from
    allocations that give nearly all of a good to one use, and from random ones.

    Parameters
    ----------
    economy
        The economy; where its numbers follow series, that of step 0.
    work
        The budget: how many lines may be evaluated, and as many for every ten free variables.
    level
        With households and no money from outside there is an equilibrium at each level of prices;
        with transfers of money it is another one. Prices, (goods,), of the level that is looked
        for; by default that of the money of the first step.

    Returns
    -------
    Equilibrium or None
        None with more than 400 free variables, if W is not finite, or if nobody outside pays; with
        households or taxes also if no start led to one within the budget.
    """
    return equilibria([economy], work, level)[0]


@np.errstate(all="ignore")
def equilibria(
    economies: Sequence[Economy], work: int = MAX_WORK, level: np.ndarray | None = None
) -> list[Equilibrium | None]:
    """The equilibrium of each economy, as of :func:`equilibrium`, whichever the others are.

    Those of one structure that have one maximum, inside their bounds, are solved side by side.
    """
    economies = [economy.at(0) for economy in economies]
    found: list[Equilibrium | None] = [None] * len(economies)
    searched: list[int] = []
    for members in _groups(economies):
        if economies[members[0]].closed:
            continue
        together = [economies[k] for k in members]
        for k, best in zip(members, _solved_together(together, work), strict=True):
            found[k] = best
            if best is None:
                searched.append(k)
    for k in searched:
        found[k] = _searched(economies[k], work, level)
    return found


def _groups(economies: Sequence[Economy]) -> Iterator[list[int]]:
    """The places of economies that are solved side by side."""
    groups: dict[Any, list[int]] = {}
    for k, economy in enumerate(economies):
        elastic = tuple(bool(terms.responds) for terms in economy.supply.values())
        alone = k if economy.has_loops else -1  # loops are iterated until all have converged
        groups.setdefault((economy.structure, elastic, alone), []).append(k)
    for members in groups.values():
        economy = economies[members[0]]
        size = (1 + economy.buyers.size) ** 2 + len(economy.goods) ** 2
        most = max(1, MAX_NUMBERS // size)
        for first in range(0, len(members), most):
            yield members[first : first + most]


def problem_of(economies: Sequence[Economy]) -> Problem:
    """W of economies side by side; of one with loops, itself."""
    (economy, *others) = economies
    alone = not others and economy.has_loops
    return Problem(economy if alone else Economy.vectorized(economies))


def _solved_together(economies: Sequence[Economy], work: int) -> list[Equilibrium | None]:
    """The equilibria of those that are certain maxima, inside all bounds; None for the others."""
    nothing: list[Equilibrium | None] = [None] * len(economies)
    if is_general(economies[0]):
        return nothing
    try:
        problem = problem_of(economies)
        if problem.size > MAX_VARIABLES:
            return nothing
        raw, shares = np.atleast_2d(problem.endowment), np.atleast_2d(problem.initial_shares)
        at = problem.evaluate(raw, shares)
        allowed = np.full(len(economies), evaluations(economies[0], problem.size, work))
        found = ascent(Variables(problem), at, size_of(problem, at), allowed)
        if len(economies) > 1 and not found.usual.all():
            return _apart(economies, found.usual, work)
        at, left = found.at, residual(problem, found.at)
        solved = (left <= ACCURACY) & (found.left > 0) & ~found.unbounded & found.usual
        open_ = (problem.relative_supply(at) > SMALL) | ~problem.linear
        inside = np.all(at.shares > SMALL, axis=-1) & np.all(open_, axis=-1)
        certain = _certain(economies, problem.size, at, solved & inside)
    except (MarketError, ArithmeticError, ValueError, np.linalg.LinAlgError):
        return nothing
    return [
        described(at.select(k), left[k], Kind.GLOBAL_MAXIMUM) if certain[k] else None
        for k in range(len(economies))
    ]


def _apart(economies: Sequence[Economy], usual: np.ndarray, work: int) -> list[Equilibrium | None]:
    """The equilibria of the usual ones, and None for the others.

    Where a number of one row is 0 or none, lines are computed in another way, in all rows
    (``language/ces.py``): what is left of it would be a rounding, and depend on the others.
    """
    found: list[Equilibrium | None] = [None] * len(economies)
    members = np.flatnonzero(usual).tolist()
    if members:
        together = _solved_together([economies[k] for k in members], work)
        for k, best in zip(members, together, strict=True):
            found[k] = best
    return found


def _certain(
    economies: Sequence[Economy], size: int, at: Allocation, asked: np.ndarray
) -> list[bool]:
    """Of which of the rows ``asked`` it is certain that nothing is better."""
    known: dict[Any, Any] = {}
    without_choice = size == 0
    return [
        bool(asked[k]) and (without_choice or is_concave(economy, at.select(k), known))
        for k, economy in enumerate(economies)
    ]


def _searched(economy: Economy, work: int, level: np.ndarray | None) -> Equilibrium | None:
    """The best allocation of one economy, from as many starts as it takes."""
    if is_general(economy):
        return _general(economy, work, level)
    at_kinks = _searched_at_kinks(economy, work) if has_branches(economy) else None
    if at_kinks is not None:
        return at_kinks
    try:
        problem = problem_of([economy])
        if problem.size > MAX_VARIABLES:
            return None
        search = Search(economy, problem, evaluations(economy, problem.size, work))
        best = search.run()
        if best is None:
            return None
        at = best.select(0)
        kind = Kind.UNBOUNDED if search.unbounded else examine(search.one, at)
        left = float(residual(search.one.problem, at))
        return described(at, left, kind, max(1, search.starts), search.complete)
    except (MarketError, ArithmeticError, ValueError, np.linalg.LinAlgError):
        return None  # a loop that does not converge, or numbers that no solver can handle


def _searched_at_kinks(economy: Economy, work: int) -> Equilibrium | None:
    """The optimum of concave lines with kinks, if it is at one that is found."""
    smooth = rounded_off(economy)
    best = None if smooth is None else equilibrium(smooth, work)
    if best is None or not best.solved:
        return None
    at = optimum_at_kinks(economy, best.quantities[: len(economy.supply)], best.shares)
    if at is None:
        return None
    return described(at, float(residual(Problem(economy), at)), Kind.GLOBAL_MAXIMUM)


def is_general(economy: Economy) -> bool:
    """Whether an equilibrium is no maximum of one W: incomes or taxes depend on it."""
    return bool(economy.households or economy.taxes)


def _general(economy: Economy, work: int, level: np.ndarray | None) -> Equilibrium | None:
    """The equilibrium, with households or taxes, to which the initial allocation leads.

    If it leads to none, the one that was found first; the others are its ``others``.
    """
    try:
        conditions = Conditions(economy, level)
        if conditions.size > MAX_VARIABLES or economy.has_external:
            return None
        allowed = SIDE_BY_SIDE * evaluations(economy, conditions.size, work)
        found, starts, complete = general.solutions(conditions, allowed)
        several = [described_solution(conditions, each, starts, complete) for each in found]
    except (MarketError, ArithmeticError, ValueError, np.linalg.LinAlgError):
        return None
    return dataclasses.replace(several[0], others=tuple(several[1:])) if several else None


def described_solution(
    conditions: Conditions, found: general.Solution, starts: int = 1, complete: bool = True
) -> Equilibrium:
    """An equilibrium, and what it is of W with its weights; with taxes, that alone."""
    kind = _kind_of(conditions, found)
    known = {Kind.GLOBAL_MAXIMUM: Kind.PARETO_OPTIMUM, Kind.LOCAL_MAXIMUM: Kind.EQUILIBRIUM}
    return dataclasses.replace(
        described(found.at, found.size, known.get(kind, kind), starts, complete),
        weights=np.exp(found.weights) if conditions.economy.households else None,
        reached=found.reached,
        relative=conditions.budgets.closed and not conditions.budgets.transfers,
    )


def _kind_of(conditions: Conditions, found: general.Solution) -> Kind:
    """What an equilibrium is of W with its weights; of utilities, only the order counts.

    Where it is no maximum of W, it may be one of W with weights that fall with utility. At its top
    no one is better off without another's loss, whatever the scale of utilities.
    """
    if conditions.economy.taxes:
        return Kind.EQUILIBRIUM
    if is_concave(conditions.economy, found.at, ordinal=True):
        return Kind.PARETO_OPTIMUM
    kind = examine(conditions.priced(found.weights), found.at)
    if kind in (Kind.SADDLE, Kind.MINIMUM) and conditions.budgets.count:
        ordinal = examine(conditions.declining(found.weights, found.at), found.at)
        return ordinal if ordinal.is_maximum else kind
    return kind


def evaluations(economy: Economy, size: int, work: int) -> int:
    """As many evaluations of W as a budget of that number of lines allows."""
    lines = max(1, len(economy.topological_order))
    if has_branches(economy):
        work //= KINKED
    return max(1, work * (10 + size) // (10 * lines))


def described(
    at: Allocation, left: float, kind: Kind, starts: int = 1, complete: bool = True
) -> Equilibrium:
    """One allocation that was found, and what it is."""
    return Equilibrium(
        at.quantities, at.prices, at.shares, float(at.value), float(left), kind, starts, complete
    )
