"""Programs with indices: loops, families of goods, sums over a range.

::

    for t in 0..T-1:
        y[t] = k[t] ** a
        k[t+1] = y[t] - sum(d[t,j] for j in 1..n)
        c[t] = beta ** t * d[t,1]

A loop stands for its lines, one for each turn, and a sum for its terms. Each statement is
translated once; for all turns of the same number of terms after the first, only the names of its
goods and the numbers that depend on the turn are computed (``alike.py``).
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from market_abm.errors import ProgramError
from market_abm.language.alike import Alike
from market_abm.language.index_arithmetic import Indices, Range, Turn, over, shown
from market_abm.language.index_numbers import known_in_turn, number_in_turn, operands
from market_abm.language.outputs import outputs_of, single_lines
from market_abm.language.parser import Line, Written, assigned, translate_line
from market_abm.language.syntax import too_deep

MAX_LINES = 1_000_000
"""Lines, and turns of loops, beyond which a program is refused before they are made."""

MAX_INPUTS = 10_000_000
"""Goods that all lines together read, each as often as they read it, beyond which it is refused."""


class Program(NamedTuple):
    """The lines of a program, and the parameters on which its indices and bounds depend."""

    lines: list[Line]
    fixed: frozenset[str]


@np.errstate(all="ignore")
def expand(statements: Sequence[ast.stmt], parameters: Mapping[str, float]) -> Program:
    """The lines of a program with indices.

    Parameters
    ----------
    statements
        Python's syntax tree, by ``syntax.syntax_tree``.
    parameters
        Values of names that are not goods.

    Raises
    ------
    ProgramError
        It is not in the language, or comes to too many lines; names the line, and the turn.
    """
    indices = Indices(parameters)
    try:
        block = _Block(statements, indices)
        indices.check_names()
        size = block.size(indices.turn)
        indices.turn.clear()
        indices.line = None
        size.check()
        return Program(_lines(block, indices), frozenset(indices.fixed))
    except ProgramError as error:
        error.what += _when(indices.turn)
        raise error.located(line=None if error.name else indices.line) from None
    except ZeroDivisionError:
        what = f"an index or a bound is divided by 0{_when(indices.turn)}"
        raise ProgramError(what, line=indices.line, remedy="change its formula") from None
    except RecursionError:
        raise too_deep(indices.line) from None


def _when(turn: Turn) -> str:
    return f" (at {shown(turn)})" if turn else ""


@np.errstate(all="ignore")
def translated(
    statement: ast.stmt, parameters: Mapping[str, float]
) -> tuple[Line, dict[int, Written]]:
    """The line that one statement is outside of loops, as ``parser.translate_line`` gives it."""
    indices = Indices(parameters)
    _Statement(statement, indices)
    return translate_line(statement, parameters, indices)


def _lines(block: _Block, indices: Indices) -> list[Line]:
    made: list[Line] = []
    makers: dict[str, tuple[int, Turn]] = {}
    for statement in block.turns(indices):
        line = statement.line(indices)
        made.append(line)
        turn = indices.turn.copy()
        before, when = makers.setdefault(line.good, (line.number, turn))
        if when is not turn and (when or turn):
            raise ProgramError(
                f"two lines produce '{line.good}', the first is line {before}"
                + (f" at {shown(when)}" if when else ""),
                line=line.number,
                name=line.good,
                remedy="give each turn a good of its own, such as y[t]",
            )
    if indices.loops and not made:
        raise ProgramError(
            "the program has no line, as the ranges of its loops are empty",
            line=min(indices.loops.values()),
            remedy="let a range hold a number: both of its ends are included",
        )
    return made


# --- how much it comes to -------------------------------------------------------------------------


class _Size(NamedTuple):
    """What a part of a program comes to; not ``exact``: at least."""

    turns: int = 0
    lines: int = 0
    inputs: int = 0
    exact: bool = True

    def plus(self, other: _Size) -> _Size:
        turns, lines, inputs = (a + b for a, b in zip(self[:3], other[:3], strict=True))
        return _Size(turns, lines, inputs, self.exact and other.exact)

    def times(self, count: int) -> _Size:
        return _Size(self.turns * count, self.lines * count, self.inputs * count, self.exact)

    @property
    def is_large(self) -> bool:
        return max(self.turns, self.lines) > MAX_LINES or self.inputs > MAX_INPUTS

    def check(self) -> None:
        """Refuse what is too large.

        Raises
        ------
        ProgramError
            Says what it would come to.
        """
        counts = (
            (self.lines, "lines", MAX_LINES),
            (self.inputs, "inputs of lines", MAX_INPUTS),
            (self.turns, "turns of loops", MAX_LINES),
        )
        for count, what, most in counts:
            if count > most:
                least = "" if self.exact else "at least "
                raise ProgramError(
                    f"the program would come to {least}{count:,} {what}",
                    remedy=f"make its ranges shorter: it may have {most:,}",
                )


def _repeated(
    ranges: Sequence[Range],
    reads: frozenset[str],
    inside: Callable[[], _Size],
    turn: Turn,
    least: _Size,
) -> _Size:
    """What all turns of nested ranges come to; only variables that are read are gone through.

    ``reads`` are those that decide what is ``inside``, which comes to ``least`` or more.
    """
    if not ranges:
        return inside()
    first, rest = ranges[0], ranges[1:]
    count, total = first.size(turn), _Size()
    if first.name in reads.union(*(each.reads for each in rest)):
        if count > MAX_INPUTS:
            return least.times(count)._replace(exact=False)
        for _ in first.turns(turn):
            total = total.plus(_repeated(rest, reads, inside, turn, least))
            if total.is_large:
                return total._replace(exact=False)
    elif count:
        turn[first.name] = first.low.at(turn)
        total = _repeated(rest, reads, inside, turn, least).times(count)
        del turn[first.name]
    return total


# --- loops ---------------------------------------------------------------------------------------


class _Block:
    """Statements and loops, in their order."""

    def __init__(self, nodes: Sequence[ast.stmt], indices: Indices) -> None:
        self.items = [
            _Loop(node, indices) if isinstance(node, ast.For) else _Statement(node, indices)
            for node in single_lines(nodes)
        ]

    @cached_property
    def reads(self) -> frozenset[str]:
        """The loop variables that decide what it comes to."""
        return frozenset[str]().union(*(item.reads for item in self.items))

    def size(self, turn: Turn) -> _Size:
        """What it comes to in this turn."""
        total = _Size()
        for item in self.items:
            total = total.plus(item.size(turn))
            if total.is_large and not total.exact:
                break
        return total

    def turns(self, indices: Indices) -> Iterator[_Statement]:
        """Its statements, each when it is its turn."""
        for item in self.items:
            if isinstance(item, _Statement):
                yield item
                continue
            for _ in item.range.turns(indices.turn):
                yield from item.block.turns(indices)


class _Loop:
    """A ``for`` and its block."""

    def __init__(self, node: ast.For, indices: Indices) -> None:
        indices.line = node.lineno
        if node.orelse:
            raise ProgramError(
                "a loop has no else", line=node.orelse[0].lineno, remedy="leave it out"
            )
        self.range = indices.enter(node.target, node.iter)
        self.block = _Block(node.body, indices)
        indices.leave()

    @property
    def reads(self) -> frozenset[str]:
        return self.range.reads | self.block.reads

    def size(self, turn: Turn) -> _Size:
        def inside() -> _Size:
            size = self.block.size(turn)
            return size._replace(turns=max(1, size.turns))

        return _repeated([self.range], self.block.reads, inside, turn, _Size(turns=1))


class _Statement:
    """A line of the program, with what it is in each turn."""

    def __init__(self, node: ast.stmt, indices: Indices) -> None:
        self.node, self.number, self.outputs = node, node.lineno, outputs_of(node)
        indices.line = self.number
        target, value = assigned(node)
        self.good = indices.named(target)
        self.formula = _Formula(value, indices)
        self.known: dict[Any, Alike] = {}

    @property
    def reads(self) -> frozenset[str]:
        return self.formula.reads

    def size(self, turn: Turn) -> _Size:
        return _Size(lines=1, inputs=self.formula.inputs(turn))

    def line(self, indices: Indices) -> Line:
        """The line in this turn; of the same numbers of terms and equal goods one is translated."""
        indices.line = self.number
        found = _Found([], [], [])
        self.formula.read(indices.turn, found)
        inputs: dict[str, int] = {}
        symbols = [inputs.setdefault(good, len(inputs)) for good in found.goods]
        key = (*found.counts, *symbols)
        like = self.known.get(key)
        formula = None if like is None else like.formula(found.numbers)
        if like is None or formula is None:
            line, written = translate_line(self.node, indices.parameters, indices)
            self.known.setdefault(key, Alike(line, written, _place_in_turn))
            return line
        good = self.good(indices.turn)
        return Line(good, formula, tuple(inputs), like.parameters, self.number, self.outputs)


def _place_in_turn(column: int) -> int | None:
    """The place of a number among those that depend on the turn, by the column given to it."""
    return None if column >= 0 else -1 - column


# --- formulas ------------------------------------------------------------------------------------


class _Part(NamedTuple):
    """Goods and numbers of a formula up to a generator."""

    goods: list[Callable[[Turn], str]]
    numbers: list[Callable[[Turn], float]]
    generator: _Generator | None


class _Found(NamedTuple):
    """The goods and numbers of a formula in one turn, and the number of terms of each sum."""

    goods: list[str]
    numbers: list[float]
    counts: list[int]


class _Formula:
    """What a formula reads, in the order of its translation."""

    def __init__(self, root: ast.expr, indices: Indices) -> None:
        known = known_in_turn(root, indices)
        self.parts = [_Part([], [], None)]
        stack = [root]
        while stack:
            node = stack.pop()
            if id(node) in known:
                self.parts[-1].numbers.append(number_in_turn(node, indices))
            elif isinstance(node, ast.GeneratorExp):
                self.parts[-1] = self.parts[-1]._replace(generator=_Generator(node, indices))
                self.parts.append(_Part([], [], None))
            elif isinstance(node, ast.Name | ast.Subscript):
                if not (isinstance(node, ast.Name) and node.id in indices.parameters):
                    self.parts[-1].goods.append(indices.named(node))
            else:
                stack.extend(reversed(operands(node)))
        self._generators = [part.generator for part in self.parts if part.generator is not None]
        self.reads = frozenset[str]().union(*(each.reads for each in self._generators))

    def read(self, turn: Turn, found: _Found) -> None:
        """Add what it reads in this turn."""
        for goods, numbers, generator in self.parts:
            found.goods.extend([good(turn) for good in goods])
            if numbers:
                found.numbers.extend([number(turn) for number in numbers])
            if generator is not None:
                generator.read(turn, found)

    def inputs(self, turn: Turn) -> int:
        """The number of goods that it reads in this turn, each as often as it reads it."""
        own = sum(len(part.goods) for part in self.parts)
        return own + sum(each.size(turn).inputs for each in self._generators)


class _Generator:
    """The terms of a sum: a formula for each turn of its ranges."""

    def __init__(self, node: ast.GeneratorExp, indices: Indices) -> None:
        self.ranges = indices.enter_all(node)
        self.element = _Formula(node.elt, indices)
        for _ in self.ranges:
            indices.leave()
        self.reads: frozenset[str] = self.element.reads.union(*(r.reads for r in self.ranges))

    def size(self, turn: Turn) -> _Size:
        def inside() -> _Size:
            return _Size(inputs=max(1, self.element.inputs(turn)))

        return _repeated(self.ranges, self.element.reads, inside, turn, _Size(inputs=1))

    def read(self, turn: Turn, found: _Found) -> None:
        """As for :meth:`_Formula.read`."""
        count = 0
        for _ in over(self.ranges, turn):
            self.element.read(turn, found)
            count += 1
        found.counts.append(count)
