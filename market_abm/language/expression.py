"""One line's arithmetic: build, evaluate, differentiate, print.

An :class:`Expression` is a tree of operations over names and numbers. The one table
``OPERATIONS`` says of each operation how to compute it and how to differentiate it, in
arithmetic that works alike on floats, on NumPy arrays and on expressions: so the same reverse
sweep gives a marginal product as a number (what a firm bids), as an array (many firms at once)
and as a formula (what ``explain`` prints).
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from market_abm.language.ces import (
    Value,
    ces,
    ces_derivative,
    ces_jointly,
    cobb_douglas,
    cobb_douglas_derivative,
)


class Expression:
    """An immutable node: an operation on arguments, a named quantity, or a number."""

    __slots__ = ("arguments", "operation", "payload")

    def __init__(
        self, operation: str, arguments: tuple[Expression, ...] = (), payload: Any = None
    ) -> None:
        self.operation = operation
        self.arguments = arguments
        self.payload = payload

    def __repr__(self) -> str:
        return f"Expression({text(self)})"

    def __add__(self, other: Value) -> Expression:
        return _simplified("+", self, lift(other))

    def __radd__(self, other: Value) -> Expression:
        return _simplified("+", lift(other), self)

    def __sub__(self, other: Value) -> Expression:
        return _simplified("-", self, lift(other))

    def __rsub__(self, other: Value) -> Expression:
        return _simplified("-", lift(other), self)

    def __mul__(self, other: Value) -> Expression:
        return _simplified("*", self, lift(other))

    def __rmul__(self, other: Value) -> Expression:
        return _simplified("*", lift(other), self)

    def __truediv__(self, other: Value) -> Expression:
        return _simplified("/", self, lift(other))

    def __rtruediv__(self, other: Value) -> Expression:
        return _simplified("/", lift(other), self)

    def __pow__(self, other: Value) -> Expression:
        return _simplified("**", self, lift(other))

    def __rpow__(self, other: Value) -> Expression:
        return _simplified("**", lift(other), self)

    def __neg__(self) -> Expression:
        return _simplified("neg", self)


def number(value: float) -> Expression:
    """The constant ``value``."""
    return Expression("number", payload=np.float64(value))


def name(symbol: Any) -> Expression:
    """A quantity looked up by ``symbol`` when the expression is evaluated."""
    return Expression("name", payload=symbol)


def lift(value: Value) -> Expression:
    """``value`` as an expression."""
    return value if isinstance(value, Expression) else number(value)


# --- what each operation computes, and its derivative ------------------------------------------


@dataclass(frozen=True)
class Operation:
    """How to compute an operation and its local derivatives.

    ``compute(*arguments)`` gives the value y; ``derivative(k, y, *arguments)`` gives dy/d(argument
    k). Both do plain arithmetic only, so that they serve numbers, arrays and formulas.
    ``by_output`` says that the derivative is best written with the name of what is made. Where
    value and derivatives have work in common, ``jointly(*arguments)`` gives, for numbers and
    arrays, the value and a function of k for the derivatives.
    """

    compute: Callable[..., Value]
    derivative: Callable[..., Value]
    by_output: bool = False
    jointly: Callable[..., tuple[Value, Callable[[int], Value]]] | None = None


@dataclass(frozen=True)
class Aggregator(Operation):
    """A function of several inputs, with positive constants that are given by keyword.

    ``alone`` names the constants that are given once, ``each`` the one with a number for each
    input (equal, and summing to 1, unless given; it must sum to 1 if ``sums_to_one``). The
    arguments are in this order: what is given once, the numbers for the inputs, the inputs.
    """

    alone: tuple[str, ...] = ()
    each: str = ""
    sums_to_one: bool = False

    def sorted_arguments(self, arguments: Sequence[Any]) -> tuple[Any, Any, Any]:
        """``arguments`` taken apart: given once, numbers for the inputs, inputs."""
        first = len(self.alone)
        count = (len(arguments) - first) // 2
        return arguments[:first], arguments[first : first + count], arguments[first + count :]


def apply(operation: str, *arguments: Value) -> Value:
    """``operation`` on numbers or arrays: a value; on expressions: a larger expression."""
    if any(isinstance(argument, Expression) for argument in arguments):
        return Expression(operation, tuple(lift(argument) for argument in arguments))
    return OPERATIONS[operation].compute(*arguments)


def _power_derivative(k: int, y: Value, base: Value, exponent: Value) -> Value:
    return exponent * base ** (exponent - 1.0) if k == 0 else y * apply("ln", base)


def _function(ufunc: np.ufunc, derivative: Callable[[Value, Value], Value]) -> Operation:
    return Operation(ufunc, lambda _k, y, u: derivative(y, u))


FUNCTIONS: dict[str, Operation] = {
    "sqrt": _function(np.sqrt, lambda y, u: 0.5 / y),
    "exp": Operation(np.exp, lambda k, y, u: y, by_output=True),
    "expm1": _function(np.expm1, lambda y, u: apply("exp", u)),
    "ln": _function(np.log, lambda y, u: 1.0 / u),
    "log": _function(np.log, lambda y, u: 1.0 / u),
    "log2": _function(np.log2, lambda y, u: (1.0 / np.log(2.0)) / u),
    "log10": _function(np.log10, lambda y, u: (1.0 / np.log(10.0)) / u),
    "log1p": _function(np.log1p, lambda y, u: 1.0 / (1.0 + u)),
    "sin": _function(np.sin, lambda y, u: apply("cos", u)),
    "cos": _function(np.cos, lambda y, u: -apply("sin", u)),
    "tan": _function(np.tan, lambda y, u: 1.0 / apply("cos", u) ** 2.0),
    "atan": _function(np.arctan, lambda y, u: 1.0 / (1.0 + u**2.0)),
    "sinh": _function(np.sinh, lambda y, u: apply("cosh", u)),
    "cosh": _function(np.cosh, lambda y, u: apply("sinh", u)),
    "tanh": _function(np.tanh, lambda y, u: 1.0 / apply("cosh", u) ** 2.0),
}
"""Functions of one quantity. ``log`` is the natural logarithm, as in Python."""


AGGREGATORS: dict[str, Aggregator] = {
    "ces": Aggregator(
        ces,
        ces_derivative,
        by_output=True,
        jointly=ces_jointly,
        alone=("elasticity",),
        each="weights",
        sums_to_one=True,
    ),
    "cobb_douglas": Aggregator(
        cobb_douglas, cobb_douglas_derivative, by_output=True, each="exponents"
    ),
}
"""Production functions of several inputs; their derivatives are by input only."""


OPERATIONS: dict[str, Operation] = {
    "+": Operation(operator.add, lambda k, y, a, b: 1.0),
    "-": Operation(operator.sub, lambda k, y, a, b: 1.0 if k == 0 else -1.0),
    "*": Operation(operator.mul, lambda k, y, a, b: b if k == 0 else a),
    "/": Operation(operator.truediv, lambda k, y, a, b: 1.0 / b if k == 0 else -a / (b * b)),
    "**": Operation(operator.pow, _power_derivative),
    "neg": Operation(operator.neg, lambda k, y, u: -1.0),
    **FUNCTIONS,
    **AGGREGATORS,
}


# --- evaluate and differentiate ----------------------------------------------------------------


def postorder(root: Expression) -> list[Expression]:
    """Every node once, arguments before the operations that use them (no recursion)."""
    order: list[Expression] = []
    seen: set[int] = set()
    stack = [(root, False)]
    while stack:
        node, expanded = stack.pop()
        if expanded:
            order.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((node, True))
            stack.extend((argument, False) for argument in reversed(node.arguments))
    return order


class Tape:
    """An expression laid out for repeated evaluation: one entry an operation, inputs first.

    ``wanted`` are the symbols to differentiate by; nothing is computed for the others.
    """

    def __init__(self, root: Expression, wanted: tuple[Any, ...]) -> None:
        nodes = postorder(root)
        position = {id(node): i for i, node in enumerate(nodes)}
        self.nodes = nodes
        self.arguments = [tuple(position[id(a)] for a in node.arguments) for node in nodes]
        moving = [False] * len(nodes)
        for i, node in enumerate(nodes):
            moving[i] = (node.operation == "name" and node.payload in wanted) or any(
                moving[a] for a in self.arguments[i]
            )
        self.moving = moving
        self.leaves = {
            node.payload: i
            for i, node in enumerate(nodes)
            if node.operation == "name" and moving[i]
        }

    def evaluate(self, lookup: Mapping[Any, Value]) -> tuple[Value, dict[Any, Value]]:
        """The expression's value, and d(expression)/d(symbol) for each wanted symbol."""
        values: list[Value] = []
        slopes: dict[int, Callable[[int], Value]] = {}
        for i, (node, arguments) in enumerate(zip(self.nodes, self.arguments, strict=True)):
            if node.operation == "number":
                values.append(node.payload)
            elif node.operation == "name":
                values.append(lookup[node.payload])
            else:
                operation = OPERATIONS[node.operation]
                given = [values[a] for a in arguments]
                if operation.jointly is None:
                    values.append(operation.compute(*given))
                else:
                    value, slopes[i] = operation.jointly(*given)
                    values.append(value)
        return values[-1], self._reverse(values, slopes)

    def _reverse(
        self, values: list[Value], slopes: Mapping[int, Callable[[int], Value]]
    ) -> dict[Any, Value]:
        """d(expression)/d(symbol) for each wanted symbol, by one reverse sweep over ``values``.

        With numbers or arrays for values the derivatives are such; with the nodes themselves
        for values (:meth:`formulas`) they are formulas. ``slopes`` are derivatives in hand.
        """
        adjoint: list[Value] = [None] * len(self.nodes)
        adjoint[-1] = np.float64(1.0)
        for i in range(len(self.nodes) - 1, -1, -1):
            arguments = self.arguments[i]
            if adjoint[i] is None or not arguments:
                continue
            derivative = OPERATIONS[self.nodes[i].operation].derivative
            argument_values = [values[a] for a in arguments]
            for k, a in enumerate(arguments):
                if self.moving[a]:
                    local = (
                        slopes[i](k) if i in slopes else derivative(k, values[i], *argument_values)
                    )
                    term = local if i == len(self.nodes) - 1 else adjoint[i] * local
                    adjoint[a] = term if adjoint[a] is None else adjoint[a] + term
        return {symbol: adjoint[i] for symbol, i in self.leaves.items()}

    def formulas(self, output: Expression | None = None) -> dict[Any, Expression]:
        """The derivatives as formulas; ``output`` stands for the expression's own value."""
        values: list[Value] = list(self.nodes)
        whole = OPERATIONS.get(self.nodes[-1].operation)
        if output is not None and whole is not None and whole.by_output:
            values[-1] = output
        return {symbol: lift(d) for symbol, d in self._reverse(values, {}).items()}


# --- formulas: simplify and print ---------------------------------------------------------------


def _is(expression: Expression, value: float) -> bool:
    return expression.operation == "number" and expression.payload == value


def _simplified(operation: str, *arguments: Expression) -> Expression:
    """The operation as a node, with the few rewritings that make a derivative readable."""
    if all(argument.operation == "number" for argument in arguments):
        with np.errstate(all="ignore"):
            value = OPERATIONS[operation].compute(*[a.payload for a in arguments])
        if np.isfinite(value):
            return number(value)
    if operation == "neg":
        (a,) = arguments
        return a.arguments[0] if a.operation == "neg" else Expression("neg", arguments)
    a, b = arguments
    rewritten = _REWRITE[operation](a, b)
    return Expression(operation, arguments) if rewritten is None else rewritten


def _rewrite_sum(a: Expression, b: Expression) -> Expression | None:
    if _is(a, 0.0):
        return b
    if _is(b, 0.0):
        return a
    return a - b.arguments[0] if b.operation == "neg" else None


def _rewrite_difference(a: Expression, b: Expression) -> Expression | None:
    if _is(b, 0.0):
        return a
    if _is(a, 0.0):
        return -b
    return a + b.arguments[0] if b.operation == "neg" else None


def _is_scaled(a: Expression) -> bool:
    """Whether ``a`` is a number times something."""
    return a.operation == "*" and a.arguments[0].operation == "number"


def _rewrite_product(a: Expression, b: Expression) -> Expression | None:
    if _is(a, 1.0):
        return b
    if _is(b, 1.0):
        return a
    if a.operation == "neg" or _is(a, -1.0):
        return -(b if _is(a, -1.0) else a.arguments[0] * b)
    if b.operation == "neg" or _is(b, -1.0):
        return -(a if _is(b, -1.0) else a * b.arguments[0])
    if b.operation == "number":
        return b * a
    if _is_scaled(a):
        return a.arguments[0] * (a.arguments[1] * b)
    if _is_scaled(b):
        return (b.arguments[0] * a) * b.arguments[1]
    if b.operation == "/":
        return (a * b.arguments[0]) / b.arguments[1]
    if a.operation == "/":
        return (a.arguments[0] * b) / a.arguments[1]
    return a**2.0 if a is b else None


def _rewrite_quotient(a: Expression, b: Expression) -> Expression | None:
    if _is(b, 1.0):
        return a
    if a.operation == "neg":
        return -(a.arguments[0] / b)
    if a.operation == "number" and a.payload < 0:
        return -(number(-a.payload) / b)
    return a.arguments[0] / (a.arguments[1] * b) if a.operation == "/" else None


def _rewrite_power(a: Expression, b: Expression) -> Expression | None:
    return a if _is(b, 1.0) else None


_REWRITE = {
    "+": _rewrite_sum,
    "-": _rewrite_difference,
    "*": _rewrite_product,
    "/": _rewrite_quotient,
    "**": _rewrite_power,
}


_PRECEDENCE = {"+": 1, "-": 1, "*": 2, "/": 2, "neg": 3, "**": 4}


_ATOM = 5


def number_text(value: float, *, exact: bool = False) -> str:
    """A constant as one would write it: 2, 0.5, 1e-09; to twelve digits, or all of them."""
    if value == round(value) and abs(value) < 1e15:
        return f"{value:.0f}"
    return repr(float(value)) if exact else f"{value:.12g}"


def text(root: Expression, names: Mapping[Any, str] | None = None, *, exact: bool = False) -> str:
    """The expression in the language's own syntax; ``names`` says what to call each symbol."""
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
        alone, each, inputs = form.sorted_arguments(arguments)
        given = [f"{key}={value}" for key, value in zip(form.alone, alone, strict=True)]
        arguments = [*inputs, *given, f"{form.each}=({', '.join(each)}{',' * (len(each) == 1)})"]
    return f"{node.operation}({', '.join(arguments)})", _ATOM
