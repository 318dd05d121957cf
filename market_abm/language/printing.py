"""Expressions as text, in the syntax of programs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from market_abm.language.expression import AGGREGATORS, CHAINS, Expression, postorder
from market_abm.language.patterns import Filled, Shape, with_constants

_PRECEDENCE = {"<": 0, "<=": 0, ">": 0, ">=": 0, "+": 1, "-": 1, "*": 2, "/": 2, "neg": 3, "**": 4}
_ATOM = 5
_CHAINS = {operation: function for function, operation in CHAINS.items()}

LONG = 1000
"""Terms, or factors, from which on they are written as ``sum(...)`` or ``prod(...)``.

Python's parser reads no more than some thousand with operators between them.
"""


def number_text(value: float, *, exact: bool = False) -> str:
    """A constant as in a program: 2, 0.5, 1e-09; to twelve digits, or to all if ``exact``."""
    if abs(value) < 1e15 and value == round(value):
        return f"{value:.0f}"
    return repr(float(value)) if exact else f"{value:.12g}"


def text(root: Expression, names: Mapping[Any, str] | None = None, *, exact: bool = False) -> str:
    """The expression in the syntax of programs; ``names`` maps symbols to names."""
    names = names or {}
    if not isinstance(root, Filled):
        return _text(root, names, exact)
    if any(not isinstance(each, str) and each < 0.0 for each in root.constants):
        return _text(root, names, exact)  # with parentheses or without
    pieces = list(_template(root.shape))
    for k in range(1, len(pieces), 2):
        place = int(pieces[k][1:])
        if pieces[k][0] == _INPUT:
            pieces[k] = names.get(place, str(place))
        else:
            constant = root.constants[place]
            is_name = isinstance(constant, str)
            pieces[k] = str(constant) if is_name else number_text(constant, exact=exact)
    return "".join(pieces)


_CONSTANT, _INPUT, _END = "\0", "\1", "\2"


@lru_cache(maxsize=1024)
def _template(shape: Shape) -> tuple[str, ...]:
    """The text of formulas of a shape, cut at its constants and inputs, which are every other."""
    named = with_constants(shape.formula, lambda k: f"{_CONSTANT}{k}{_END}")
    inputs = {
        node.payload: f"{_INPUT}{node.payload}{_END}"
        for node in postorder(named)
        if node.operation == "name" and not isinstance(node.payload, str)
    }
    return tuple(re.split(rf"([{_CONSTANT}{_INPUT}]\d+){_END}", _text(named, inputs, False)))


def _text(root: Expression, names: Mapping[Any, str], exact: bool) -> str:
    written: dict[int, tuple[str, int]] = {}
    stack = [(root, _operands(root), False)]
    while stack:
        node, operands, expanded = stack.pop()
        if not expanded and operands:
            stack.append((node, operands, True))
            stack.extend(
                (each, _operands(each), False) for each in operands if id(each) not in written
            )
        elif node.operation == "number":
            level = _ATOM if node.payload >= 0 else _PRECEDENCE["neg"]
            written[id(node)] = number_text(node.payload, exact=exact), level
        else:
            parts = [written[id(each)] for each in operands]
            if len(parts) > len(node.arguments):
                terms = ", ".join(string for string, _ in parts)
                written[id(node)] = f"{_CHAINS[node.operation]}({terms})", _ATOM
            else:
                written[id(node)] = _node_text(node, parts, names)
    return written[id(root)][0]


def _operands(node: Expression) -> Sequence[Expression]:
    """The arguments of a node, or the terms of a long sum or product."""
    if node.operation not in _CHAINS:
        return node.arguments
    terms, first = [], node
    while first.operation == node.operation:
        first, term = first.arguments
        terms.append(term)
    return [first, *reversed(terms)] if len(terms) >= LONG else node.arguments


def _node_text(
    node: Expression, parts: list[tuple[str, int]], names: Mapping[Any, str]
) -> tuple[str, int]:
    def wrapped(k: int, least: int) -> str:
        string, precedence = parts[k]
        return string if precedence >= least else f"({string})"

    if node.operation == "name":
        return names.get(node.payload, str(node.payload)), _ATOM
    if node.operation in _PRECEDENCE:
        level = _PRECEDENCE[node.operation]
        if node.operation == "neg":
            return f"-{wrapped(0, level)}", level
        if node.operation == "**":
            return f"{wrapped(0, level + 1)}**{wrapped(1, level)}", level
        left, right = wrapped(0, level), wrapped(1, level + (node.operation in "-/"))
        space = " " if level <= 1 else ""
        return f"{left}{space}{node.operation}{space}{right}", level
    arguments = [string for string, _ in parts]
    if node.operation in AGGREGATORS:
        form = AGGREGATORS[node.operation]
        scalars, constants, inputs = form.split_arguments(arguments)
        given = [f"{key}={value}" for key, value in zip(form.scalars, scalars, strict=True)]
        listed = f"({', '.join(constants)}{',' * (len(constants) == 1)})"
        arguments = [*inputs, *given, f"{form.per_input}={listed}"]
    return f"{node.operation}({', '.join(arguments)})", _ATOM
