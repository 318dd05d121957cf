"""A traced function as lines: one operation is one line, and a sum with its products is one.

A sum's terms are goods, or products that nothing else reads; a running sum that is assigned to one
variable again and again is one sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from market_abm.economy.conditions import Condition, conditions_of
from market_abm.economy.industry import Industry
from market_abm.economy.technology import Technology
from market_abm.economy.traced_names import names_of, sold, variables
from market_abm.language import expression as ex
from market_abm.language.patterns import Filled, Shape
from market_abm.language.tracing import ARGUMENT, Trace
from market_abm.language.variables import Binding

MAX_TERMS = 5_000
"""Operations of one line; a longer sum is a sum of sums."""

_SUMS = ("+", "-", "neg")


@dataclass(frozen=True, eq=False)
class TracedLines:
    """The lines of a traced function.

    Attributes
    ----------
    industries
        The lines, upstream first.
    conditions
        The comparisons that decided which lines these are.
    """

    industries: tuple[Industry, ...]
    conditions: tuple[Condition, ...]


def lines_of(
    trace: Trace, bindings: Sequence[Binding], returned: Sequence[int], raw: dict[int, str]
) -> TracedLines:
    """The lines of a run.

    Parameters
    ----------
    trace, bindings
        The run, and its variables.
    returned
        The operations whose results the function returns.
    raw
        The name of each argument, or element of one, by its operation.
    """
    uses, reader = _uses(trace, returned)
    fused = _fused(trace, bindings, uses, reader, set(returned))
    live = [node for node, count in enumerate(uses) if count and trace.operations[node] != ARGUMENT]
    nodes = [node for node in live if node not in fused]
    goods = {**raw, **names_of(nodes, trace, bindings, raw.values())}
    builder = _Builder(trace, fused, goods)
    industries = [builder.line(node) for node in nodes]
    read = {good for industry in industries for good in industry.technology.inputs}
    taken = set(goods.values())
    for node in returned:
        good = goods[node]
        if good in read or trace.operations[node] == ARGUMENT:
            name = sold(good, taken)
            taken.add(name)
            industries.append(Industry(name, Technology(builder.formula([0], []), (good,))))
            read.add(good)
    present = {node: good for node, good in goods.items() if node not in raw or good in read}
    return TracedLines(tuple(industries), conditions_of(trace, present))


def _uses(trace: Trace, returned: Sequence[int]) -> tuple[list[int], list[int]]:
    """How often each operation is read by those that lead to what is returned, and the reader."""
    uses = [0] * len(trace.operations)
    reader = [-1] * len(trace.operations)
    for node in returned:
        uses[node] += 1
    for node in range(len(uses) - 1, -1, -1):
        if uses[node]:
            for operand in trace.operands[node]:
                if type(operand) is int:
                    uses[operand] += 1
                    reader[operand] = node
    return uses, reader


def _fused(
    trace: Trace,
    bindings: Sequence[Binding],
    uses: Sequence[int],
    reader: Sequence[int],
    returned: set[int],
) -> set[int]:
    """The operations that are part of the sum which reads them."""
    named = variables(bindings)
    size = [1] * len(uses)
    fused = set()
    for node, operation in enumerate(trace.operations):
        by = reader[node]
        if operation in ex.COMPARISONS:  # of ``where``, which has each for itself
            fused.add(node)
            continue
        if uses[node] != 1 or node in returned or by < 0 or trace.operations[by] not in _SUMS:
            continue
        term = operation in (*_SUMS, "*") or (
            operation == "/" and type(trace.operands[node][1]) is not int
        )
        if not term or size[by] + size[node] > MAX_TERMS:
            continue
        binding = bindings[named[node]] if node in named else None
        running = by in named and binding and bindings[named[by]].variable == binding.variable
        if binding is None or not binding.assigned or running:
            fused.add(node)
            size[by] += size[node]
    return fused


class _Builder:
    """Makes the lines; those of one shape share it."""

    def __init__(self, trace: Trace, fused: set[int], goods: dict[int, str]) -> None:
        self._trace, self._fused, self._goods = trace, fused, goods
        self._shapes: dict[tuple[Any, ...], Shape] = {}

    def line(self, root: int) -> Industry:
        """The line of an operation, with those that are part of it."""
        operations, operands = self._trace.operations, self._trace.operands
        key: list[Any] = [operations[root], -len(operands[root])]
        constants: list[Any] = []
        inputs: dict[int, int] = {}
        stack: list[Any] = [*reversed(operands[root])]
        while stack:
            node = stack.pop()
            if type(node) is not int:
                key.append("")
                constants.append(node)
            elif node in self._fused:
                key += (operations[node], -len(operands[node]))
                stack.extend(reversed(operands[node]))
            else:
                key.append(inputs.setdefault(node, len(inputs)))
        technology = Technology(
            self.formula(key, constants), tuple([self._goods[node] for node in inputs])
        )
        return Industry(self._goods[root], technology)

    def formula(self, key: Sequence[Any], constants: Sequence[Any]) -> ex.Expression:
        """The formula of a pattern (``language/patterns.py``) with these constants."""
        known = self._shapes.get(tuple(key))
        if known is None:
            known = Shape(_expression(key, constants), tuple(key))
            self._shapes[tuple(key)] = known
        return Filled(known, tuple(constants))


def _expression(key: Sequence[Any], constants: Sequence[Any]) -> ex.Expression:
    """The formula that a pattern describes: operations before their arguments."""
    left = list(constants)
    made: list[ex.Expression] = []
    k = len(key) - 1
    while k >= 0:
        entry = key[k]
        if type(entry) is int and entry < 0:
            arguments = tuple(made.pop() for _ in range(-entry))
            made.append(ex.Expression(key[k - 1], arguments))
            k -= 2
        else:
            made.append(ex.number(left.pop()) if entry == "" else ex.name(entry))
            k -= 1
    return made[0]
