"""What formulas have in common: the same operations on the same inputs, with other constants.

A constant is a number, or the name of a parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from market_abm.language.expression import Expression, name, number


def pattern(formula: Expression) -> tuple[Hashable, Sequence[Any]]:
    """A key that formulas share if they differ in constants only, and the constants.

    Parameters
    ----------
    formula
        It refers to input k by the symbol k.

    Returns
    -------
    key
        The operations and inputs in their order.
    constants
        In their order: a number, or the name of a parameter.
    """
    if isinstance(formula, Filled):
        return formula.shape.key, formula.constants
    key: list[Any] = []
    constants: list[Any] = []
    stack = [formula]
    while stack:
        node = stack.pop()
        if node.arguments:
            key.append(node.operation)
            key.append(-len(node.arguments))
            stack.extend(reversed(node.arguments))
        elif node.operation == "name" and not isinstance(node.payload, str):
            key.append(node.payload)
        else:
            key.append("")
            constants.append(node.payload)
    return tuple(key), constants


def with_constants(formula: Expression, constant: Callable[[int], Any]) -> Expression:
    """The formula with other constants: for the k-th, ``constant(k)``, a number or a name."""
    flat: list[Expression] = []
    stack = [formula]
    while stack:
        node = stack.pop()
        flat.append(node)
        stack.extend(reversed(node.arguments))
    is_constant = [
        node.operation == "number" or (node.operation == "name" and isinstance(node.payload, str))
        for node in flat
    ]
    count = sum(is_constant)
    made: list[Expression] = []
    for node, replaced in zip(reversed(flat), reversed(is_constant), strict=True):
        if replaced:
            count -= 1
            value = constant(count)
            made.append(name(value) if isinstance(value, str) else number(value))
        elif node.arguments:
            arguments = tuple(made.pop() for _ in node.arguments)
            made.append(Expression(node.operation, arguments))
        else:
            made.append(node)
    return made[0]


@dataclass(frozen=True, eq=False)
class Shape:
    """What formulas of one pattern have in common: one of them, and the key of :func:`pattern`."""

    formula: Expression
    key: Hashable


class Filled(Expression):
    """A formula of a known shape with constants of its own, whose nodes are made when needed."""

    __slots__ = ("constants", "shape")

    def __init__(self, shape: Shape, constants: Sequence[Any]) -> None:
        self.shape = shape
        self.constants = constants

    def __getattr__(self, name: str) -> Any:
        """An attribute of the formula, which is made now; Python asks for what is not set."""
        if name not in Expression.__slots__:
            raise AttributeError(name)
        made = with_constants(self.shape.formula, self.constants.__getitem__)
        self.operation, self.arguments = made.operation, made.arguments
        self.payload = made.payload
        return getattr(made, name)
