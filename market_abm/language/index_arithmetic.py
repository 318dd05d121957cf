"""Arithmetic on indices: whole numbers, loop variables and parameters, with ``+ - * // %``.

It is translated once, to functions of the *turn*: the values of the loop variables.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from market_abm.errors import ProgramError, nearest
from market_abm.errors import shown as shown_value
from market_abm.language import expression as ex
from market_abm.language.syntax import unparsed

MAX_INDEX = 999_999_999
"""The largest index of a good."""

Turn = dict[str, int]
"""The value of each loop variable."""

WHOLE: dict[type[ast.AST], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
"""Operators between indices."""


def member(name: str, *indices: int) -> str:
    """The good of a family with these indices; without any, the name itself."""
    return f"{name}[{','.join(map(str, indices))}]" if indices else name


class Value(NamedTuple):
    """A function of the turn, and the loop variables that it reads."""

    at: Callable[[Turn], Any]
    reads: frozenset[str]


@dataclass(frozen=True, eq=False)
class Range:
    """The numbers ``low..high``, both ends included, that a variable goes through."""

    name: str
    low: Value
    high: Value

    @property
    def reads(self) -> frozenset[str]:
        """The loop variables that its bounds read."""
        return self.low.reads | self.high.reads

    def size(self, turn: Turn) -> int:
        """The number of values of the variable; 0 if the range is empty."""
        return int(max(0, self.high.at(turn) - self.low.at(turn) + 1))

    def turns(self, turn: Turn) -> Iterator[None]:
        """Set the variable to each value in turn."""
        for value in range(self.low.at(turn), self.high.at(turn) + 1):
            turn[self.name] = value
            yield
        turn.pop(self.name, None)


def over(ranges: Sequence[Range], turn: Turn) -> Iterator[None]:
    """Go through the turns of nested ranges, the outermost first."""
    if len(ranges) == 1:
        yield from ranges[0].turns(turn)
        return
    for _ in ranges[0].turns(turn):
        yield from over(ranges[1:], turn)


class _Members(dict[Any, str]):
    """The goods of a family by index, each one object."""

    def __init__(self, family: str) -> None:
        super().__init__()
        self.family = family

    def __missing__(self, index: Any) -> str:
        indices = index if isinstance(index, tuple) else (index,)
        for each in indices:
            if abs(each) > MAX_INDEX:
                raise ProgramError(
                    f"the index {shown_value(each)} is too large",
                    remedy=f"use indices from -{MAX_INDEX:,} to {MAX_INDEX:,}",
                )
        made = self[index] = member(self.family, *indices)
        return made


class Indices:
    """The loop variables of a program, and the parts of its lines that have indices.

    A part is known by the ``id`` of its node in the syntax tree.

    Parameters
    ----------
    parameters
        Values of names that are not goods.

    Attributes
    ----------
    turn
        The values of the loop variables now.
    goods, numbers
        Of each part that is a good with indices, or a number, a function of the turn.
    ranges
        The ranges of each generator, the outermost first.
    written
        How many numbers that depend on the turn the line has so far, as it is translated.
    loops
        The line of each name that is a loop variable somewhere.
    fixed
        The parameters on which indices and bounds depend.
    line
        The line of the program that is being read.
    """

    def __init__(self, parameters: Mapping[str, float]) -> None:
        self.parameters = parameters
        self.turn: Turn = {}
        self.loops: dict[str, int] = {}
        self.fixed: set[str] = set()
        self.goods: dict[int, Callable[[Turn], str]] = {}
        self.numbers: dict[int, Callable[[Turn], float]] = {}
        self.ranges: dict[int, tuple[Range, ...]] = {}
        self.written = 0
        self.line: int | None = None
        self._scope: list[str] = []
        self._read: dict[str, int] = {}
        self._families: dict[str, _Members] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._scope

    # --- loops ----------------------------------------------------------------------------------

    def enter(self, target: ast.expr, bounds: ast.expr) -> Range:
        """The range of ``for TARGET in BOUNDS``, whose variable is now in scope."""
        if not isinstance(target, ast.Name):
            raise ProgramError(
                f"'{unparsed(target)}' is no loop variable",
                line=target.lineno,
                remedy="write for t in 0..9, with one loop for each index",
            )
        if not (isinstance(bounds, ast.BinOp) and isinstance(bounds.op, ast.RShift)):
            raise ProgramError(
                f"'{unparsed(bounds)}' is no range",
                line=target.lineno,
                remedy=f"write for {target.id} in 0..9, which includes both ends",
            )
        name = target.id
        for taken, what in (
            (self.parameters, "a parameter"),
            (self._scope, "the variable of a loop around it"),
            ({*ex.OPERATIONS, *ex.CHAINS}, "a function"),
        ):
            if name in taken:
                raise ProgramError(
                    f"the loop variable '{name}' is {what}",
                    line=target.lineno,
                    name=name,
                    remedy="give it another name",
                )
        found = Range(name, self.whole(bounds.left), self.whole(bounds.right))
        self.loops.setdefault(name, target.lineno)
        self._scope.append(name)
        return found

    def leave(self) -> None:
        """The variable that was entered last is out of scope."""
        self._scope.pop()

    def enter_all(self, generator: ast.GeneratorExp) -> tuple[Range, ...]:
        """The ranges of a generator, whose variables are now in scope."""
        for each in generator.generators:
            if each.ifs or each.is_async:
                raise ProgramError(
                    f"'{unparsed(generator)}' has a condition",
                    line=generator.lineno,
                    remedy="write one sum for each range",
                )
        ranges = tuple([self.enter(each.target, each.iter) for each in generator.generators])
        self.ranges[id(generator)] = ranges
        return ranges

    def turns(self, generator: ast.GeneratorExp) -> Iterator[None]:
        """Go through the turns of a generator.

        Raises
        ------
        ProgramError
            It stands where there is none.
        """
        if id(generator) not in self.ranges:
            raise ProgramError(
                f"'{unparsed(generator)}' is not arithmetic",
                line=generator.lineno,
                remedy="write its terms with + between them",
            )
        return over(self.ranges[id(generator)], self.turn)

    # --- whole numbers --------------------------------------------------------------------------

    def whole(self, node: ast.expr) -> Value:
        """The whole number that an index or a bound is.

        Raises
        ------
        ProgramError
            It is no arithmetic on whole numbers, loop variables and parameters.
        """
        if isinstance(node, ast.Constant):
            return constant(_checked_whole(node.value, line=node.lineno))
        if isinstance(node, ast.Name):
            return self._name(node)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            operand = self.whole(node.operand)
            sign = -1 if isinstance(node.op, ast.USub) else 1
            return _folded(Value(lambda turn: sign * operand.at(turn), operand.reads))
        if isinstance(node, ast.BinOp) and type(node.op) in WHOLE:
            return _folded(applied(WHOLE[type(node.op)], *map(self.whole, sides(node))))
        remedy = "use whole numbers, loop variables and parameters with + - * // %"
        if isinstance(node, ast.Slice):
            remedy = "write one index, or a sum over a range: sum(x[i] for i in 1..n)"
        raise ProgramError(
            f"'{unparsed(node)}' is no index", line=getattr(node, "lineno", None), remedy=remedy
        )

    def _name(self, node: ast.Name) -> Value:
        if node.id in self._scope:
            return Value(operator.itemgetter(node.id), frozenset([node.id]))
        if node.id not in self.parameters:
            raise ProgramError(
                f"'{node.id}' stands in an index, and is neither a loop variable nor a parameter",
                line=node.lineno,
                name=node.id,
                remedy=nearest(node.id, [*self._scope, *self.parameters])
                if self._scope or self.parameters
                else "write a whole number",
            )
        self.fixed.add(node.id)
        where = f"the parameter '{node.id}' in line {node.lineno} of the program"
        name = f"economy.parameters.{node.id}"
        return constant(_checked_whole(self.parameters[node.id], where, name=name))

    def check_names(self) -> None:
        """Refuse a loop variable that is a good elsewhere.

        Raises
        ------
        ProgramError
            Names the good.
        """
        for name, line in self.loops.items():
            if name in self._read:
                raise ProgramError(
                    f"'{name}' is a loop variable, and a good in line {self._read[name]}",
                    line=line,
                    name=name,
                    remedy="give one of them another name",
                )

    # --- goods ----------------------------------------------------------------------------------

    def named(self, node: ast.Name | ast.Subscript) -> Callable[[Turn], str]:
        """The name of a good: ``x``, ``x[i]`` or ``w[i,j]``.

        Raises
        ------
        ProgramError
            It is none, or its index is none.
        """
        if isinstance(node, ast.Name):
            name = node.id
            self._read.setdefault(name, node.lineno)
            return lambda turn: name
        found = self.goods[id(node)] = self._member(node).at
        return found

    def _member(self, node: ast.Subscript) -> Value:
        if not isinstance(node.value, ast.Name):
            raise ProgramError(
                f"'{unparsed(node)}' is no good", line=node.lineno, remedy="write x[i] or w[i,j]"
            )
        self._read.setdefault(node.value.id, node.lineno)
        members = self._families.setdefault(node.value.id, _Members(node.value.id))
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if not parts:
            raise ProgramError(
                f"'{unparsed(node)}' has no index", line=node.lineno, remedy="write x[i] or w[i,j]"
            )
        values = [self.whole(part) for part in parts]
        reads = frozenset[str]().union(*(value.reads for value in values))
        if len(values) == 1:
            at = values[0].at
            return _folded(Value(lambda turn: members[at(turn)], reads))
        if len(values) == 2:
            first, second = values[0].at, values[1].at
            return _folded(Value(lambda turn: members[first(turn), second(turn)], reads))
        return _folded(Value(lambda turn: members[tuple([v.at(turn) for v in values])], reads))


def _checked_whole(
    value: Any, where: str = "", *, name: str | None = None, line: int | None = None
) -> int:
    """A value as a whole number; ``where``, ``name`` and ``line`` are for the message."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or value != value // 1:
        text = f"{value:.12g}" if is_number else shown_value(value)
        raise ProgramError(
            f"{where} is {text}" if where else f"{text} stands in an index or a bound",
            line=line,
            name=name,
            remedy="indices and bounds of loops are whole numbers",
        )
    return int(value)


def sides(node: ast.BinOp) -> tuple[ast.expr, ast.expr]:
    """The operands of an operator."""
    return node.left, node.right


def constant(value: Any) -> Value:
    """A value that is the same in each turn."""
    return Value(lambda turn: value, frozenset())


def applied(operation: Callable[[Any, Any], Any], left: Value, right: Value) -> Value:
    """An operation on two values."""
    one, other = left.at, right.at
    return Value(lambda turn: operation(one(turn), other(turn)), left.reads | right.reads)


def _folded(value: Value) -> Value:
    """The value; as a constant if it reads no loop variable."""
    return value if value.reads else constant(value.at({}))


def shown(turn: Mapping[str, int]) -> str:
    """A turn as text, for messages: ``t = 3, i = 0``."""
    return ", ".join(f"{name} = {value}" for name, value in turn.items())
