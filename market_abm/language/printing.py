"""Expressions as text, in the syntax of programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from market_abm.language.expression import AGGREGATORS, Expression, postorder

_PRECEDENCE = {"+": 1, "-": 1, "*": 2, "/": 2, "neg": 3, "**": 4}
_ATOM = 5


def number_text(value: float, *, exact: bool = False) -> str:
    """A constant as in a program: 2, 0.5, 1e-09; to twelve digits, or to all if ``exact``."""
    if abs(value) < 1e15 and value == round(value):
        return f"{value:.0f}"
    return repr(float(value)) if exact else f"{value:.12g}"


def text(root: Expression, names: Mapping[Any, str] | None = None, *, exact: bool = False) -> str:
    """The expression in the syntax of programs; ``names`` maps symbols to names."""
    written: dict[int, tuple[str, int]] = {}
    for node in postorder(root):
        if node.operation == "number":
            level = _ATOM if node.payload >= 0 else _PRECEDENCE["neg"]
            written[id(node)] = number_text(node.payload, exact=exact), level
            continue
        parts = [written[id(argument)] for argument in node.arguments]
        written[id(node)] = _node_text(node, parts, names or {})
    return written[id(root)][0]


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
        space = " " if level == 1 else ""
        return f"{left}{space}{node.operation}{space}{right}", level
    arguments = [string for string, _ in parts]
    if node.operation in AGGREGATORS:
        form = AGGREGATORS[node.operation]
        scalars, constants, inputs = form.split_arguments(arguments)
        given = [f"{key}={value}" for key, value in zip(form.scalars, scalars, strict=True)]
        listed = f"({', '.join(constants)}{',' * (len(constants) == 1)})"
        arguments = [*inputs, *given, f"{form.per_input}={listed}"]
    return f"{node.operation}({', '.join(arguments)})", _ATOM
