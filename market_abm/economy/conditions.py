"""Branches of a traced function: the comparisons that the starting quantities have answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from market_abm.economy.technology import Technology
from market_abm.language import expression as ex
from market_abm.language.printing import text
from market_abm.language.tracing import COMPARISONS, Operand, Trace

MAX_SIZE = 40
"""Operations of a comparison up to which it is written out, and computed with others like it."""


@dataclass(frozen=True, eq=False)
class Condition:
    """A comparison of goods, or of what follows from goods.

    Attributes
    ----------
    difference
        Left side minus right side, in units of the goods.
    comparison
        ``<``, ``<=``, ``>``, ``>=``, ``==`` or ``!=``.
    holds
        The answer at the starting quantities, which the lines of the economy are for.
    text
        The comparison as text.
    where
        The file and the line of the function.
    """

    difference: Technology
    comparison: str
    holds: bool
    text: str
    where: tuple[str, int]


def crossed(
    conditions: Sequence[Condition], quantities: np.ndarray, index: Mapping[str, int]
) -> np.ndarray:
    """Where the answer to each condition is another than at the start.

    Parameters
    ----------
    conditions
        The conditions.
    quantities
        Units of the goods, shape (times, goods).
    index
        The place of each good.

    Returns
    -------
    ndarray
        Booleans, shape (times, conditions).
    """
    alike: dict[object, list[int]] = {}
    for k, condition in enumerate(conditions):
        line = condition.difference
        kind = line.kind if _size(line.formula) <= MAX_SIZE else k
        alike.setdefault((condition.comparison, kind), []).append(k)
    found = np.zeros((len(quantities), len(conditions)), bool)
    for members in alike.values():
        several = [conditions[k] for k in members]
        lines = [each.difference for each in several]
        together = Technology.together(lines, np.ones(len(lines), int))
        places = zip(*([index[good] for good in line.inputs] for line in lines), strict=True)
        with np.errstate(all="ignore"):
            value, _ = together.production([quantities[:, list(place)] for place in places])
        answer = COMPARISONS[several[0].comparison](value, 0.0)
        found[:, members] = answer != np.array([each.holds for each in several])
    return found


def _size(formula: ex.Expression) -> int:
    """The operations and names of a formula where it is written out."""
    sizes: dict[int, int] = {}
    for node in ex.postorder(formula):
        sizes[id(node)] = 1 + sum(sizes[id(each)] for each in node.arguments)
    return sizes[id(formula)]


def conditions_of(trace: Trace, goods: Mapping[int, str]) -> tuple[Condition, ...]:
    """The comparisons of a run that depend on goods.

    Parameters
    ----------
    trace
        The run.
    goods
        The names of goods by operation; all else is computed from these, and what is no good is
        the number that it was.
    """
    found = []
    for (comparison, left, right), (answer, where) in trace.comparisons.items():
        builder = _Builder(trace, goods)
        sides = [builder.expression(side) for side in (left, right)]
        if builder.inputs:
            names = dict(enumerate(builder.inputs))
            written = [text(side, names) if _size(side) <= MAX_SIZE else "..." for side in sides]
            found.append(
                Condition(
                    Technology(ex.Expression("-", tuple(sides)), tuple(builder.inputs)),
                    comparison,
                    answer,
                    f" {comparison} ".join(written),
                    where,
                )
            )
    return tuple(found)


class _Builder:
    """Expressions of goods for operations of a trace; ``inputs`` are the goods, in order."""

    def __init__(self, trace: Trace, goods: Mapping[int, str]) -> None:
        self.inputs: dict[str, int] = {}
        self._trace, self._goods = trace, goods
        self._known: dict[int, ex.Expression] = {}

    def expression(self, operand: Operand) -> ex.Expression:
        """The expression; of an operation that is no good, that of its operands."""
        if type(operand) is not int:
            return ex.number(operand)
        stack = [operand]
        while stack:
            node = stack[-1]
            waiting = [] if node in self._goods else self._open(node)
            if waiting:
                stack += reversed(waiting)
            else:
                if node not in self._known:
                    self._known[node] = self._made(node)
                stack.pop()
        return self._known[operand]

    def _open(self, node: int) -> list[int]:
        """The operands that have no expression yet."""
        operands = self._trace.operands[node]
        return [each for each in operands if type(each) is int and each not in self._known]

    def _made(self, node: int) -> ex.Expression:
        good = self._goods.get(node)
        if good is not None:
            return ex.name(self.inputs.setdefault(good, len(self.inputs)))
        operands = self._trace.operands[node]
        if not operands:
            return ex.number(self._trace.values[node])
        return ex.Expression(
            self._trace.operations[node],
            tuple(self._known[each] if type(each) is int else ex.number(each) for each in operands),
        )
