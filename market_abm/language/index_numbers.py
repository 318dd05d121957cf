"""Numbers of a formula that depend on the turn: ``t`` and ``1/(t + 1)`` in ``x[t] * t / (t + 1)``.

They are the largest parts of it that consist of numbers and loop variables alone.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Sequence
from typing import NamedTuple

from market_abm.errors import ProgramError
from market_abm.language import expression as ex
from market_abm.language.index_arithmetic import WHOLE, Indices, Turn, Value, applied, sides
from market_abm.language.syntax import unparsed

_REAL: dict[type[ast.AST], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: math.pow,
}


class _Kind(NamedTuple):
    """Whether a part depends on the turn; is of numbers and loop variables; is a whole number."""

    depends: bool
    is_real: bool
    is_whole: bool


def known_in_turn(root: ast.expr, indices: Indices) -> set[int]:
    """The ``id`` of each part of a formula that is a number once the turn is known."""
    kinds: dict[int, _Kind] = {}
    stack = [(root, False)]
    while stack:
        node, expanded = stack.pop()
        inside = operands(node)
        if inside and not expanded:
            stack.append((node, True))
            stack.extend((each, False) for each in inside)
        else:
            kinds[id(node)] = _kind(node, [kinds[id(each)] for each in inside], indices)
    return {each for each, kind in kinds.items() if kind.depends and kind.is_real}


def _kind(node: ast.expr, inside: Sequence[_Kind], indices: Indices) -> _Kind:
    if isinstance(node, ast.Constant):
        is_number = type(node.value) in (int, float)
        return _Kind(False, is_number, is_number)
    if isinstance(node, ast.Name):
        depends = node.id in indices
        return _Kind(depends, depends, depends or node.id in indices.parameters)
    operation = type(node.op) if isinstance(node, ast.BinOp | ast.UnaryOp) else None
    whole = operation in (*WHOLE, ast.USub, ast.UAdd) and all(each.is_whole for each in inside)
    if operation in (ast.FloorDiv, ast.Mod):
        return _Kind(whole, whole, whole)
    real = bool(inside) and _is_real(node) and all(each.is_real for each in inside)
    return _Kind(any(each.depends for each in inside), real, whole)


def _is_real(node: ast.expr) -> bool:
    """Whether a node is arithmetic on numbers, if its operands are."""
    if isinstance(node, ast.BinOp):
        return type(node.op) in _REAL
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, ast.USub | ast.UAdd)
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ex.FUNCTIONS
        and len(node.args) == 1
        and not node.keywords
    )


def number_in_turn(node: ast.expr, indices: Indices) -> Callable[[Turn], float]:
    """The number that a part of a formula is, once the turn is known.

    Raises
    ------
    ProgramError
        Now, or in a turn: it is not defined.
    """
    at = _real(node, indices).at
    text, line = unparsed(node), node.lineno

    def checked(turn: Turn) -> float:
        try:
            value = at(turn)
        except (ArithmeticError, ValueError):
            value = math.nan
        if not math.isfinite(value):
            raise ProgramError(
                f"'{text}' is no finite number", line=line, remedy="change it, or the range"
            )
        return value

    indices.numbers[id(node)] = checked
    return checked


def _real(node: ast.expr, indices: Indices) -> Value:
    if isinstance(node, ast.Constant):
        number = node.value
        return Value(lambda turn: float(number), frozenset())  # type: ignore[arg-type]
    if isinstance(node, ast.BinOp) and type(node.op) in _REAL:
        left, right = (_real(each, indices) for each in sides(node))
        return applied(_REAL[type(node.op)], left, right)
    if isinstance(node, ast.UnaryOp):
        operand = _real(node.operand, indices)
        sign = -1.0 if isinstance(node.op, ast.USub) else 1.0
        return Value(lambda turn: sign * operand.at(turn), operand.reads)
    if isinstance(node, ast.Call):
        assert isinstance(node.func, ast.Name)
        compute, argument = ex.FUNCTIONS[node.func.id].compute, _real(node.args[0], indices)
        return Value(lambda turn: float(compute(argument.at(turn))), argument.reads)
    value = indices.whole(node)
    return Value(lambda turn: float(value.at(turn)), value.reads)


def operands(node: ast.expr) -> list[ast.expr]:
    """The parts of a node in the order of their translation: constants of a function come last."""
    if isinstance(node, ast.BinOp):
        return [node.left, node.right]
    if isinstance(node, ast.UnaryOp):
        return [node.operand]
    if isinstance(node, ast.Compare):
        return [node.left, *node.comparators]
    if not isinstance(node, ast.Call):
        return []
    form = ex.AGGREGATORS.get(node.func.id) if isinstance(node.func, ast.Name) else None
    given = {keyword.arg: keyword.value for keyword in node.keywords}
    found = list(node.args)
    for key in (*form.scalars, form.per_input) if form else ():
        value = given.get(key)
        found += value.elts if isinstance(value, ast.Tuple | ast.List) else filter(None, [value])
    return found
