"""The optimum of an economy whose lines have kinks, ``min(x/a, y/b)``: most often at one.

There W has no derivative, and Newton's method stalls. The optimum with ``min`` rounded off
(``ces`` with a small elasticity) says which branches tie; with these, the first-order conditions
and the ties are a system of equations for shares, supplies and the parts of the branches in the
gradient. It is solved by Newton's method, with differences for derivatives. Where all parts are
positive and lines are concave, that is the optimum.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.economy.industry import Industry
from market_abm.economy.technology import Technology
from market_abm.errors import MarketError
from market_abm.gradient.allocation import Allocation, Problem
from market_abm.gradient.concavity import is_concave
from market_abm.gradient.hessian import Variables
from market_abm.gradient.optimality import ACCURACY, free_variables, residual
from market_abm.language.expression import BRANCHING, Expression, number, postorder

ROUNDED = 0.05
"""The elasticity of ``ces`` in the place of ``min``."""

LEAST_PART = 1e-3
"""The part of a branch in the gradient, where ``min`` is rounded off, from which on it ties."""

KINKED = 10
"""The budget of other searches is so many times less: at a kink Newton's method stalls."""

MAX_UNKNOWNS = 100
"""Shares, supplies and parts beyond which no optimum at a kink is looked for."""

MAX_STEPS = 30
"""The maximal number of Newton steps from one set of ties."""

MAX_ROUNDS = 8
"""How often a branch whose part is negative is taken out of the ties."""

DIFFERENCE = 1e-6
"""Central differences of logarithms and parts: an error of its square, and of rounding over it."""

NEAR = 1e-6
"""The residual from which on Newton's method converges at every step."""

SMALL = 1e-12
"""The residual at which there is nothing left to gain."""


@np.errstate(all="ignore")
def optimum_at_kinks(economy: Economy, raw: np.ndarray, shares: np.ndarray) -> Allocation | None:
    """The optimum, with an element of the gradient there; None if it is not found, or certain.

    ``raw`` and ``shares`` are those of the economy that is :func:`rounded_off`.
    """
    try:
        found = _found(_System(economy, raw, shares))
    except (MarketError, ArithmeticError, ValueError, np.linalg.LinAlgError):
        return None
    return found if found is not None and is_concave(economy, found) else None


def _found(system: _System) -> Allocation | None:
    """The solution, with positive parts of the lowest branches alone; None if there is none."""
    for _ in range(MAX_ROUNDS):
        if system.size > MAX_UNKNOWNS or not system.solve():
            return None
        if not system.drop_negative():
            break
    found, gaps = system.valued(system.at, system.parts)
    solved = residual(system.problem, found) <= ACCURACY and np.abs(gaps).max(initial=0.0) < 1e-10
    return found if solved and system.is_lowest() else None


def rounded_off(economy: Economy) -> Economy | None:
    """The economy with ``ces`` in the place of ``min``; None if it has other branches."""
    industries = []
    for each in economy.industries:
        line = each.technology
        smooth = _without_minimum(line) if line.branching else line
        if smooth is None:
            return None
        industries.append(dataclasses.replace(each, technology=smooth))
    return dataclasses.replace(economy, industries=tuple(industries))


def _without_minimum(line: Technology) -> Technology | None:
    """A line with ``ces`` in the place of ``min``; None if it has other branches."""
    made: dict[int, Expression] = {}
    for node in postorder(line.formula):
        arguments = tuple(made[id(each)] for each in node.arguments)
        if node.operation == "min":
            weights = [number(1.0 / len(arguments))] * len(arguments)
            made[id(node)] = Expression("ces", (number(ROUNDED), *weights, *arguments))
        elif node.operation in BRANCHING:
            return None
        else:
            made[id(node)] = Expression(node.operation, arguments, node.payload)
    return Technology(made[id(line.formula)], line.inputs, line.parameters)


class _Kink(NamedTuple):
    """A ``min`` of a line, as it is at each of its firms.

    Attributes
    ----------
    industry
        The line.
    places
        Its buyers, shape (inputs, firms).
    node
        The place of ``min`` on the line's tape.
    tied
        The branches that tie, shape (branches, firms).
    parts
        Their parts in the gradient, shape (branches, firms).
    """

    industry: Industry
    places: np.ndarray
    node: int
    tied: np.ndarray
    parts: np.ndarray

    @property
    def free(self) -> np.ndarray:
        """The branches whose parts are unknown: the ties but one, which has the rest."""
        free = self.tied.copy()
        free[np.argmax(self.tied, axis=0), np.arange(self.tied.shape[1])] = False
        return free

    def with_parts(self, own: np.ndarray) -> _Kink:
        """With these parts of the ``free`` branches."""
        parts, free = np.zeros(self.parts.shape), self.free
        parts[free] = own
        rest = 1.0 - parts.sum(axis=0)
        return self._replace(parts=np.where(self.tied & ~free, rest, parts))


class _System:
    """The equations of an allocation at kinks, for shares, supplies and parts of branches."""

    def __init__(self, economy: Economy, raw: np.ndarray, shares: np.ndarray) -> None:
        self.problem = Problem(economy)
        self.variables = Variables(self.problem)
        self.at = self.problem.evaluate(raw, shares)
        self.free = free_variables(self.variables, self.at)
        self.parts: list[_Kink] = []
        power = (ROUNDED - 1.0) / ROUNDED
        for industry in economy.industries:
            if industry.technology.branching:
                places = economy.buyers.of_industry[industry.good]
                for node, branches in self._branches(industry, places, self.at).items():
                    terms = (branches / branches.min(axis=0)) ** power
                    own = terms / terms.sum(axis=0)
                    tied = own > LEAST_PART
                    own = np.where(tied, own, 0.0)
                    self.parts.append(_Kink(industry, places, node, tied, own / own.sum(axis=0)))

    @property
    def size(self) -> int:
        """The number of unknowns."""
        return int(self.free.sum()) + sum(int(kink.free.sum()) for kink in self.parts)

    def _inputs(self, industry: Industry, places: np.ndarray, at: Allocation) -> list[np.ndarray]:
        goods = self.problem.economy.buyers.good[places]
        return list(at.shares[places] * at.quantities[goods] / industry.weights)

    def _branches(
        self, industry: Industry, places: np.ndarray, at: Allocation
    ) -> dict[int, np.ndarray]:
        """The values of the branches of each ``min``, by its place, shapes (branches, firms)."""
        return industry.technology.branches(self._inputs(industry, places, at))

    def valued(self, at: Allocation, kinks: Sequence[_Kink]) -> tuple[Allocation, np.ndarray]:
        """The allocation with the gradient of these parts, and by how much branches do not tie."""
        products, gaps = at.products.copy(), []
        for industry in {kink.industry.good: kink.industry for kink in kinks}.values():
            own = [kink for kink in kinks if kink.industry is industry]
            places = own[0].places
            inputs = self._inputs(industry, places, at)
            parts = {kink.node: kink.parts for kink in own}
            for place, slope in zip(
                places, industry.technology.with_parts(inputs, parts), strict=True
            ):
                products[place] = industry.productivity * slope
            branches = industry.technology.branches(inputs)
            for kink in own:
                logs = np.log(branches[kink.node])
                first = np.argmax(kink.tied, axis=0)
                gaps.append((logs - np.take_along_axis(logs, first[None], 0))[kink.free])
        return self.problem.revalued(at, products), np.concatenate([np.zeros(0), *gaps])

    def moved(self, by: np.ndarray) -> tuple[Allocation, list[_Kink]]:
        """Allocation and kinks after the unknowns have changed ``by`` this."""
        step = np.zeros(self.variables.size)
        count = int(self.free.sum())
        step[self.free], rest = by[:count], by[count:]
        kinks = []
        for kink in self.parts:
            free = kink.free
            own, rest = rest[: free.sum()], rest[free.sum() :]
            kinks.append(kink.with_parts(kink.parts[free] + own))
        return self.variables.moved(self.at, self.free, step), kinks

    def equations(self, by: np.ndarray) -> np.ndarray:
        """What must be 0: slopes of W, relative to money, and differences of tied branches."""
        at, gaps = self.valued(*self.moved(by))
        money = self.problem.money_flows(at).max()
        return np.concatenate([self.variables.slope(at, self.free)[self.free] / money, gaps])

    def solve(self) -> bool:
        """Solve the equations by Newton's method; whether that was possible."""
        best = np.inf
        for _ in range(MAX_STEPS):
            value = self.equations(np.zeros(self.size))
            now = float(np.abs(value).max(initial=0.0))
            if now <= SMALL or now >= best:
                return min(now, best) <= ACCURACY
            if now <= NEAR:  # from here on every step must bring it nearer
                best = now
            moves = DIFFERENCE * np.eye(self.size)
            columns = [(self.equations(m) - self.equations(-m)) / (2 * DIFFERENCE) for m in moves]
            slopes = np.stack(columns, axis=1)
            if not np.all(np.isfinite(slopes)):
                return False
            step = np.linalg.lstsq(slopes, -value, rcond=1e-10)[0]
            step *= min(1.0, 0.5 / max(np.abs(step).max(), 1e-300))
            self.at, self.parts = self.moved(step)
        return best <= ACCURACY

    def drop_negative(self) -> bool:
        """Take the branch with the most negative part out of the ties of its firm, if any."""
        least = min((float(kink.parts.min()) for kink in self.parts), default=0.0)
        if least >= 0.0:
            return False
        for k, kink in enumerate(self.parts):
            lost = kink.parts == least
            if lost.any():
                own = np.where(lost, 0.0, np.maximum(kink.parts, 0.0))
                self.parts[k] = kink._replace(tied=kink.tied & ~lost, parts=own / own.sum(axis=0))
        return True

    def is_lowest(self) -> bool:
        """Whether no branch is below those that tie."""
        for kink in self.parts:
            branches = self._branches(kink.industry, kink.places, self.at)[kink.node]
            tied = np.where(kink.tied, branches, np.inf).min(axis=0)
            if np.any(branches < tied * (1.0 - 1e-9)):
                return False
        return True
