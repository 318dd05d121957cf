"""How a budget is divided by preferences with a closed form: nests of ces, cobb_douglas and min.

Each nest has constant elasticity of substitution σ between its members (1 for ``cobb_douglas``, 0
for ``min``), so that a member's share of what the nest spends is a power of what a unit of it
costs, and the nest in its turn has a cost of a unit. Members are goods, times a constant, or nests.
Increasing functions of all that, such as ``ln(...)`` or ``...**0.5``, change no demand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from market_abm.economy.technology import Technology
from market_abm.language.ces import log_ces
from market_abm.language.expression import OPERATIONS, Aggregator, Expression, postorder
from market_abm.language.tape import Tape

INCREASING = {
    *("sqrt", "exp", "expm1", "ln", "log", "log2", "log10", "log1p", "atan", "sinh", "tanh"),
}
"""Functions that are increasing wherever they are defined."""

HOMOGENEITY_TOL = 1e-12
"""How far from 1 the exponents of a nest within another may sum: constant returns are needed."""

Divided = tuple[Any, dict[int, Any]]
"""The logarithm of what a unit of a nest costs, and the share of each good in it."""

Values = Mapping[str, Any]
"""The values of parameters."""

Nest = Callable[[Values, np.ndarray], "Divided | None"]
"""Divides what is spent, given the parameters and the logarithms of prices, shape (inputs, ...)."""


def budget_shares(technology: Technology, prices: np.ndarray) -> np.ndarray | None:
    """The share of income that is spent on each good, where preferences have a closed form.

    Parameters
    ----------
    technology
        The utility U.
    prices
        π, money per unit, positive, shape (inputs, ...).

    Returns
    -------
    numpy.ndarray or None
        π x / income at the x that maximises U, shape (inputs, ...); None without a closed form.

    Notes
    -----
    In a nest (Σ w x^r)^(1/r), r = (σ - 1)/σ, of members that cost c, the share of one is
    w (c/w)^(1-σ) e^(σ-1), and a unit costs e = (Σ w (c/w)^(1-σ))^(1/(1-σ)). In Π x^a, it is
    a / Σ a; in min(x/a, y/b, ...), a c / Σ a c.
    """
    nest = None if technology.vectorized else _nest_of(technology.formula)
    divided = nest(technology.parameters, np.log(prices)) if nest else None
    if divided is None or len(divided[1]) < len(prices):
        return None
    rows = [divided[1][k] for k in range(len(prices))]
    return np.stack([np.broadcast_to(row, prices.shape[1:]) for row in rows])


@lru_cache(maxsize=1_000)
def _nest_of(formula: Expression) -> Nest | None:
    """How ``formula`` divides a budget; None without a closed form."""
    goods = [node.payload for node in _tree(formula) if _is_good(node)]
    if len(set(goods)) < len(goods):  # a line that reads a good twice uses all of it again
        return None
    return _increasing(formula)


def _tree(formula: Expression) -> list[Expression]:
    """Every node, once for each operation that uses it."""
    nodes, stack = [], [formula]
    while stack:
        nodes.append(stack.pop())
        stack.extend(nodes[-1].arguments)
    return nodes


def _is_good(node: Expression) -> bool:
    return node.operation == "name" and not isinstance(node.payload, str)


def _is_constant(node: Expression) -> bool:
    return not any(map(_is_good, postorder(node)))


def _value(node: Expression, values: Values) -> Any:
    """The value of a constant expression."""
    return Tape(node, ()).evaluate(values)[0]


def _increasing(node: Expression) -> Nest | None:
    """An increasing function of a nest divides a budget as the nest does."""
    if node.operation in INCREASING:
        return _increasing(node.arguments[0])
    if node.operation in ("+", "-", "*", "/", "**"):
        a, b = node.arguments
        if _is_constant(a) and node.operation in ("+", "*"):
            a, b = b, a
        inner = _increasing(a) if _is_constant(b) else None
        return inner and _if_positive(inner, b, always=node.operation in ("+", "-"))
    return _nest(node, whole=True)


def _if_positive(nest: Nest, factor: Expression, *, always: bool) -> Nest:
    """``nest``, if the ``factor`` or power that is applied to it is positive."""

    def divide(values: Values, logs: np.ndarray) -> Divided | None:
        return nest(values, logs) if always or np.all(_value(factor, values) > 0.0) else None

    return divide


def _nest(node: Expression, *, whole: bool = False) -> Nest | None:
    """How a nest divides what is spent on it; ``whole`` if it is all of a utility."""
    if _is_good(node):
        return lambda _, logs: (logs[node.payload], {node.payload: 1.0})
    if node.operation in ("*", "/"):
        return _scaled(node)
    operation = OPERATIONS.get(node.operation)
    if node.operation == "min":
        return _aggregate(node.arguments, lambda _: 0.0, None)
    if not isinstance(operation, Aggregator) or node.operation not in ("ces", "cobb_douglas"):
        return None
    scalars, weights, members = operation.split_arguments(node.arguments)
    if not all(map(_is_constant, (*scalars, *weights))):
        return None

    def elasticity(values: Values) -> Any:
        return _value(scalars[0], values) if scalars else 1.0

    return _aggregate(members, elasticity, weights, normal=bool(scalars) or whole)


def _scaled(node: Expression) -> Nest | None:
    """A member times a constant, or divided by one."""
    a, b = node.arguments
    if _is_constant(a) and node.operation == "*":
        a, b = b, a
    inner = _nest(a) if _is_constant(b) else None
    if inner is None:
        return None
    nest, sign = inner, -1.0 if node.operation == "*" else 1.0

    def divide(values: Values, logs: np.ndarray) -> Divided | None:
        factor, divided = _value(b, values), nest(values, logs)
        if divided is None or not np.all(factor > 0.0):
            return None
        return divided[0] + sign * np.log(factor), divided[1]

    return divide


def _aggregate(
    members: tuple[Expression, ...],
    elasticity: Callable[[Values], Any],
    weights: tuple[Expression, ...] | None,
    *,
    normal: bool = True,
) -> Nest | None:
    """A nest of ``members``; without ``weights`` it is ``min``.

    ``normal`` if weights need not sum to 1, or do.
    """
    nests = [_nest(member) for member in members]
    if any(nest is None for nest in nests):
        return None

    def divide(values: Values, logs: np.ndarray) -> Divided | None:
        inner = [nest(values, logs) for nest in nests if nest]
        shape = logs.shape[1:]
        parts = _stacked([_value(w, values) for w in weights], shape) if weights else None
        if any(each is None for each in inner):
            return None
        if parts is not None and not normal and np.any(abs(_total(parts) - 1.0) > HOMOGENEITY_TOL):
            return None
        costs = _stacked([each[0] for each in inner if each], shape)
        cost, shares = _divided(costs, parts, elasticity(values))
        found: dict[int, Any] = {}
        for share, each in zip(shares, inner, strict=True):
            found.update({k: share * own for k, own in (each[1] if each else {}).items()})
        return cost, found

    return divide


def _divided(
    costs: np.ndarray, weights: np.ndarray | None, elasticity: Any
) -> tuple[np.ndarray, np.ndarray]:
    """The logarithm of the cost of a nest's unit, and its members' shares; of their log costs."""
    if weights is None:
        largest = np.max(costs, axis=0)
        parts = np.exp(costs - largest)
        return largest + np.log(_total(parts)), parts / _total(parts)
    weights = weights / _total(weights)
    relative = costs - np.log(weights)
    cost, _ = log_ces(relative, weights, 1.0 / np.broadcast_to(elasticity, costs.shape[1:]))
    shares = weights * np.exp((1.0 - elasticity) * (relative - cost))
    return cost, shares / _total(shares)


def _total(parts: np.ndarray) -> Any:
    """The sum over the first axis, one after another."""
    return np.add.accumulate(parts, axis=0)[-1]


def _stacked(rows: list[Any], shape: tuple[int, ...]) -> np.ndarray:
    return np.stack([np.broadcast_to(row, shape) for row in rows])
