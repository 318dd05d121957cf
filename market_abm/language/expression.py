"""Arithmetic expressions: build, evaluate, differentiate.

An :class:`Expression` is a tree of operations on names and numbers. The table ``OPERATIONS``
defines each operation and its derivatives, in arithmetic that works on floats, NumPy arrays and
expressions alike: one reverse sweep (``tape.py``) gives a marginal product as a number (one firm),
as an array (many firms) or as a formula (``explain``).
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from market_abm.language.branches import (
    absolute,
    choice,
    comparison,
    extreme,
    extreme_with_parts,
    sign,
    tied_parts,
)
from market_abm.language.ces import (
    Value,
    ces,
    ces_derivative,
    ces_with_derivatives,
    cobb_douglas,
    cobb_douglas_derivative,
    cobb_douglas_with_derivatives,
    cobb_douglas_without_division,
    transform,
    transform_derivative,
)


class Expression:
    """An immutable node: an operation on arguments, a name, or a number.

    ``operation`` is a key of ``OPERATIONS``, ``"name"`` or ``"number"``; ``payload`` is the symbol
    or the value of the latter two.
    """

    __slots__ = ("arguments", "operation", "payload")

    def __init__(
        self, operation: str, arguments: tuple[Expression, ...] = (), payload: Any = None
    ) -> None:
        self.operation = operation
        self.arguments = arguments
        self.payload = payload

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
    """A variable, looked up by ``symbol`` when the expression is evaluated."""
    return Expression("name", payload=symbol)


def lift(value: Value) -> Expression:
    """``value`` as an expression."""
    return value if isinstance(value, Expression) else number(value)


# --- operations ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Operation:
    """An operation and its local derivatives, on numbers, arrays and expressions.

    Attributes
    ----------
    compute
        ``compute(*arguments)`` returns the value y.
    derivative
        ``derivative(k, y, *arguments)`` returns ∂y/∂(argument k).
    uses_output
        Whether a derivative is shorter in terms of y, so that formulas name y in it.
    with_derivatives
        Where value and derivatives share work: ``with_derivatives(*arguments)`` returns, for
        numbers and arrays, y and a function of k for the derivatives.
    """

    compute: Callable[..., Value]
    derivative: Callable[..., Value]
    uses_output: bool = False
    with_derivatives: Callable[..., tuple[Value, Callable[[int], Value]]] | None = None


@dataclass(frozen=True)
class Aggregator(Operation):
    """A function of several inputs, with positive constants as keywords.

    Its arguments are, in this order: the scalar constants, one constant per input, the inputs.

    Attributes
    ----------
    scalars
        The keywords of the scalar constants.
    per_input
        The keyword of the list of one constant per input; equal with sum 1 by default.
    sums_to_one
        Whether that list must sum to 1.
    """

    scalars: tuple[str, ...] = ()
    per_input: str = ""
    sums_to_one: bool = False

    def split_arguments(self, arguments: Sequence[Any]) -> tuple[Any, Any, Any]:
        """Split ``arguments`` into scalar constants, constants per input, and inputs."""
        first = len(self.scalars)
        count = (len(arguments) - first) // 2
        return arguments[:first], arguments[first : first + count], arguments[first + count :]


def apply(operation: str, *arguments: Value) -> Value:
    """The value of ``operation`` on numbers or arrays; on expressions, a new expression."""
    if any(isinstance(argument, Expression) for argument in arguments):
        return Expression(operation, tuple(lift(argument) for argument in arguments))
    return OPERATIONS[operation].compute(*arguments)


def _power_derivative(k: int, y: Value, base: Value, exponent: Value) -> Value:
    if k == 0:
        return _product(exponent, base ** (exponent - 1.0))
    return _product(y, apply("ln", base))


def _product(a: Value, b: Value) -> Value:
    """The product, 0 where a is 0 and b infinite: x ** 0 is 1, and x ** n ln(x) tends to 0."""
    product = a * b
    if isinstance(product, Expression) or not is_lost(product):
        return product
    return np.where(np.equal(a, 0.0) & ~np.isnan(b), 0.0, product)[()]


def _quotient_derivative(k: int, y: Value, a: Value, b: Value) -> Value:
    """1/b, and -a/b²; of numbers -y/b, for b² may be out of range where y/b is not."""
    if k == 0:
        return 1.0 / b
    return -a / (b * b) if isinstance(y, Expression) else -y / b


def _cobb_douglas_derivative(k: int, y: Value, *arguments: Value) -> Value:
    """∂y/∂x = a y / x; in formulas with a ≥ 1 without the division, so that they hold at x = 0."""
    exponent = arguments[k - len(arguments) // 2]
    constant = isinstance(exponent, Expression) and exponent.operation == "number"
    if constant and exponent.payload >= 1.0:
        return cobb_douglas_without_division(k, *arguments)
    return cobb_douglas_derivative(k, y, *arguments)


def is_lost(value: Value) -> bool:
    """Whether a number, or one of an array, is not a number."""
    return bool(np.isnan(np.minimum.reduce(value, axis=None, initial=np.inf)))


def _function(ufunc: np.ufunc, derivative: Callable[[Value, Value], Value]) -> Operation:
    return Operation(ufunc, lambda _k, y, u: derivative(y, u))


FUNCTIONS: dict[str, Operation] = {
    "sqrt": _function(np.sqrt, lambda y, u: 0.5 / y),
    "exp": Operation(np.exp, lambda k, y, u: y, uses_output=True),
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
"""Functions of one argument. ``log`` is the natural logarithm, as in Python."""

AGGREGATORS: dict[str, Aggregator] = {
    "ces": Aggregator(
        ces,
        ces_derivative,
        uses_output=True,
        with_derivatives=ces_with_derivatives,
        scalars=("elasticity",),
        per_input="weights",
        sums_to_one=True,
    ),
    "cobb_douglas": Aggregator(
        cobb_douglas,
        _cobb_douglas_derivative,
        uses_output=True,
        with_derivatives=cobb_douglas_with_derivatives,
        per_input="exponents",
    ),
    "transform": Aggregator(
        transform, transform_derivative, True, scalars=("elasticity",), per_input="weights"
    ),
    "fixed": Aggregator(operator.mul, lambda k, y, amount, z: amount, per_input="yields"),
}
"""Production functions of several inputs, differentiated with respect to inputs only.

``transform`` and ``fixed`` are outputs of lines that make several (``language/outputs.py``)."""

COMPARISONS: dict[str, Operation] = {
    name: Operation(comparison(ufunc), lambda k, y, a, b: 0.0)
    for name, ufunc in (
        ("<", np.less),
        ("<=", np.less_equal),
        (">", np.greater),
        (">=", np.greater_equal),
    )
}
"""Conditions of ``where``."""


def _extreme(name: str, compares: str, ufunc: np.ufunc) -> Operation:
    def derivative(k: int, y: Value, *branches: Value) -> Value:
        if not isinstance(y, Expression):
            return tied_parts(y, branches)(k)
        if len(branches) == 1:
            return 1.0
        others = branches[:k] + branches[k + 1 :]
        other = others[0] if len(others) == 1 else apply(name, *others)
        return apply("where", apply(compares, branches[k], other), 1.0, 0.0)

    return Operation(extreme(ufunc), derivative, with_derivatives=extreme_with_parts(ufunc))


def _absolute_derivative(k: int, y: Value, u: Value) -> Value:
    if isinstance(u, Expression):
        return apply("where", apply(">", u, 0.0), 1.0, -1.0)
    return sign(u)


BRANCHING: dict[str, Operation] = {
    "min": _extreme("min", "<", np.minimum),
    "max": _extreme("max", ">", np.maximum),
    "abs": Operation(absolute, _absolute_derivative),
    "where": Operation(
        choice, lambda k, y, c, a, b: apply("where", c, float(k == 1), float(k == 2))
    ),
}
"""Functions of several branches; a derivative is that of the branch in force (``branches.py``).

The formula of a derivative says in which branch it holds, and leaves out ties.
"""

CHAINS = {"sum": "+", "prod": "*"}
"""Functions of any number of terms that stand for an operation between them, from the left."""

OPERATIONS: dict[str, Operation] = {
    "+": Operation(operator.add, lambda k, y, a, b: 1.0),
    "-": Operation(operator.sub, lambda k, y, a, b: 1.0 if k == 0 else -1.0),
    "*": Operation(operator.mul, lambda k, y, a, b: b if k == 0 else a),
    "/": Operation(operator.truediv, _quotient_derivative),
    "**": Operation(operator.pow, _power_derivative),
    "neg": Operation(operator.neg, lambda k, y, u: -1.0),
    **FUNCTIONS,
    **AGGREGATORS,
    **BRANCHING,
    **COMPARISONS,
}


# --- nodes in order ------------------------------------------------------------------------------


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


# --- simplify ------------------------------------------------------------------------------------


def _is(expression: Expression, value: float) -> bool:
    return expression.operation == "number" and expression.payload == value


def _simplified(operation: str, *arguments: Expression) -> Expression:
    """The operation as a node, simplified so far as makes derivatives readable."""
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


def _same(a: Expression, b: Expression) -> bool:
    """Whether both are the same node, or the same name."""
    return a is b or (a.operation == b.operation == "name" and a.payload == b.payload)


def _rewrite_sum(a: Expression, b: Expression) -> Expression | None:
    if _same(a, b):
        return 2.0 * a
    if a.operation == b.operation == "where" and a.arguments[0] is b.arguments[0]:
        pairs = zip(a.arguments[1:], b.arguments[1:], strict=True)
        return Expression("where", (a.arguments[0], *(one + two for one, two in pairs)))
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
    if _is(a, 0.0) or _is(b, 0.0):
        return number(0.0)
    if _is(a, 1.0):
        return b
    if _is(b, 1.0):
        return a
    for chosen, other in ((a, b), (b, a)):
        if _is_slope(chosen):
            condition, *branches = chosen.arguments
            scaled = (each if _is(each, 0.0) else each * other for each in branches)
            return Expression("where", (condition, *scaled))
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
    return a**2.0 if _same(a, b) else None


def _is_slope(a: Expression) -> bool:
    """Whether ``a`` is 0 in one of two branches, or a number in both."""
    if a.operation != "where":
        return False
    branches = a.arguments[1:]
    return any(_is(b, 0.0) for b in branches) or all(b.operation == "number" for b in branches)


def _rewrite_quotient(a: Expression, b: Expression) -> Expression | None:
    if _is(b, 1.0):
        return a
    if a.operation == "neg":
        return -(a.arguments[0] / b)
    if a.operation == "number" and a.payload < 0:
        return -(number(-a.payload) / b)
    return a.arguments[0] / (a.arguments[1] * b) if a.operation == "/" else None


_REWRITE: dict[str, Callable[[Expression, Expression], Expression | None]] = {
    "+": _rewrite_sum,
    "-": _rewrite_difference,
    "*": _rewrite_product,
    "/": _rewrite_quotient,
    "**": lambda a, b: a if _is(b, 1.0) else number(1.0) if _is(b, 0.0) else None,
}
