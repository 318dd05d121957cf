"""Arithmetic expressions: build, evaluate, differentiate.

An :class:`Expression` is a tree of operations on names and numbers. The table ``OPERATIONS``
defines each operation and its derivatives, in arithmetic that works on floats, NumPy arrays and
expressions alike: one reverse sweep gives a marginal product as a number (one firm), as an array
(many firms) or as a formula (``explain``).
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
}


# --- evaluate and differentiate ------------------------------------------------------------------


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
    """An expression in topological order, for repeated evaluation with derivatives.

    Parameters
    ----------
    root
        The expression.
    variables
        The symbols to differentiate with respect to; no derivative is computed for others.
    """

    def __init__(self, root: Expression, variables: tuple[Any, ...]) -> None:
        nodes = postorder(root)
        position = {id(node): i for i, node in enumerate(nodes)}
        first: dict[Any, int] = {}  # a name is one variable, however often it is read
        for i, node in enumerate(nodes):
            if node.operation == "name":
                position[id(node)] = first.setdefault(node.payload, i)
        self.nodes = nodes
        self.arguments = [tuple(position[id(a)] for a in node.arguments) for node in nodes]
        active = [False] * len(nodes)
        for i, node in enumerate(nodes):
            active[i] = (node.operation == "name" and node.payload in variables) or any(
                active[a] for a in self.arguments[i]
            )
        self.active = active
        self.leaves = {symbol: i for symbol, i in first.items() if active[i]}

    def evaluate(self, lookup: Mapping[Any, Value]) -> tuple[Value, dict[Any, Value]]:
        """The value, and ∂(expression)/∂(variable) for each variable in the expression."""
        values: list[Value] = []
        derivatives: dict[int, Callable[[int], Value]] = {}
        for i, (node, arguments) in enumerate(zip(self.nodes, self.arguments, strict=True)):
            if node.operation == "number":
                values.append(node.payload)
            elif node.operation == "name":
                value = lookup[node.payload]
                # Python's own numbers raise exceptions where NumPy's are inf or not a number.
                values.append(np.float64(value) if isinstance(value, int | float) else value)
            else:
                operation = OPERATIONS[node.operation]
                given = [values[a] for a in arguments]
                if operation.with_derivatives is None:
                    values.append(operation.compute(*given))
                else:
                    value, derivatives[i] = operation.with_derivatives(*given)
                    values.append(value)
        return values[-1], self._reverse(values, derivatives)

    def _reverse(
        self, values: list[Value], derivatives: Mapping[int, Callable[[int], Value]]
    ) -> dict[Any, Value]:
        """∂(expression)/∂(variable) for each variable, by one reverse sweep.

        ``values`` are those of the nodes: numbers, arrays or (:meth:`formulas`) the nodes
        themselves. ``derivatives`` holds those already known, by node.
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
                if self.active[a]:
                    if i in derivatives:
                        local = derivatives[i](k)
                    else:
                        local = derivative(k, values[i], *argument_values)
                    term = local if i == len(self.nodes) - 1 else adjoint[i] * local
                    adjoint[a] = term if adjoint[a] is None else adjoint[a] + term
        return {symbol: adjoint[i] for symbol, i in self.leaves.items()}

    def formulas(self, output: Expression | None = None) -> dict[Any, Expression]:
        """The derivatives as expressions; ``output`` stands for the value of the whole."""
        values: list[Value] = list(self.nodes)
        whole = OPERATIONS.get(self.nodes[-1].operation)
        if output is not None and whole is not None and whole.uses_output:
            values[-1] = output
        return {symbol: lift(d) for symbol, d in self._reverse(values, {}).items()}


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
