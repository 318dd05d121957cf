"""An expression in topological order: evaluated forward, differentiated by one reverse sweep."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np

from market_abm.language.ces import Value
from market_abm.language.expression import (
    BRANCHING,
    COMPARISONS,
    OPERATIONS,
    Expression,
    is_lost,
    lift,
    postorder,
)

MAX_BRANCHES = 256
"""Ways of being in one branch at each kink, of a line, up to which ties are looked for."""


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
            active[i] = (node.operation == "name" and node.payload in variables) or (
                any(active[a] for a in self.arguments[i]) and node.operation not in COMPARISONS
            )
        self.active = active
        self.leaves = {symbol: i for symbol, i in first.items() if active[i]}
        self.branching = any(node.operation in BRANCHING for node in nodes)

    def evaluate(self, lookup: Mapping[Any, Value]) -> tuple[Value, dict[Any, Value]]:
        """The value, and ∂(expression)/∂(variable) for each variable in the expression."""
        derivatives: dict[int, Callable[[int], Value]] = {}
        values = self._values(lookup, derivatives)
        return values[-1], self._reverse(values, derivatives)

    def _values(
        self, lookup: Mapping[Any, Value], derivatives: dict[int, Callable[[int], Value]]
    ) -> list[Value]:
        """The values of the nodes; derivatives that share work with them are added to the dict."""
        values: list[Value] = []
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
        return values

    def _reverse(
        self, values: list[Value], derivatives: Mapping[int, Callable[[int], Value]]
    ) -> dict[Any, Value]:
        """∂(expression)/∂(variable) for each variable, by one reverse sweep.

        ``values`` are those of the nodes: numbers, arrays or (:meth:`formulas`) the nodes
        themselves. ``derivatives`` holds those already known, by node.
        """
        branching = self.branching
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
                    if i == len(self.nodes) - 1:
                        term = local
                    elif branching:
                        term = _product(adjoint[i], local)
                    else:
                        term = adjoint[i] * local
                    adjoint[a] = term if adjoint[a] is None else adjoint[a] + term
        if branching:  # conditions alone have no derivative
            adjoint = [np.float64(0.0) if each is None else each for each in adjoint]
        return {symbol: adjoint[i] for symbol, i in self.leaves.items()}

    def at_ties(
        self, lookup: Mapping[Any, Value], tolerance: Value
    ) -> Iterator[tuple[dict[Any, Value], Value]]:
        """The derivatives by :meth:`evaluate` in each branch, and where that branch is in force.

        A branch of ``min``, ``max`` or ``abs`` is in force where it differs from the value by no
        more than ``tolerance``, relative to the terms that it is computed from. What ``where``
        chooses is the branch of its condition. Nothing if nowhere more than one is in force, or if
        there are more than ``MAX_BRANCHES``.
        """
        values = self._values(lookup, {})
        kinks = [i for i, node in enumerate(self.nodes) if node.operation in ("min", "max", "abs")]
        branches = [range(max(2, len(self.arguments[i]))) for i in kinks]
        if not kinks or math.prod(map(len, branches)) > MAX_BRANCHES:
            return
        sizes = self._sizes(values)
        in_force = {
            i: [self._is_tied(values, sizes, i, k, tolerance) for k in of]
            for i, of in zip(kinks, branches, strict=True)
        }
        ways = [list(zip(kinks, each, strict=True)) for each in itertools.product(*branches)]
        holds = [reduce(np.logical_and, [in_force[i][k] for i, k in way]) for way in ways]
        if not np.any(sum(np.asarray(each, int) for each in holds) > 1):
            return
        for way, own in zip(ways, holds, strict=True):
            derivatives = {i: self._slope_of(i, k) for i, k in way}
            yield self._reverse(values, derivatives), own

    def branches(self, lookup: Mapping[Any, Value]) -> dict[int, list[Value]]:
        """The values of the branches of each ``min``, by its place on the tape."""
        values = self._values(lookup, {})
        places = [i for i, node in enumerate(self.nodes) if node.operation == "min"]
        return {i: [values[a] for a in self.arguments[i]] for i in places}

    def with_parts(
        self, lookup: Mapping[Any, Value], parts: Mapping[int, Sequence[Value]]
    ) -> dict[Any, Value]:
        """The derivatives in which the branches of ``min``, by its place, have these parts."""
        derivatives: dict[int, Callable[[int], Value]] = {}
        values = self._values(lookup, derivatives)
        derivatives |= {i: own.__getitem__ for i, own in parts.items()}
        return self._reverse(values, derivatives)

    def _slope_of(self, i: int, branch: int) -> Callable[[int], Value]:
        """The derivatives of a node with branches in one of them, by argument."""
        if self.nodes[i].operation == "abs":
            return lambda _: -1.0 if branch else 1.0
        return lambda k: 1.0 if k == branch else 0.0

    def _is_tied(
        self, values: list[Value], sizes: list[Value], i: int, branch: int, tolerance: Value
    ) -> Value:
        """Whether a branch of a node is in force."""
        if self.nodes[i].operation == "abs":
            (a,) = self.arguments[i]
            gap = values[i] + (values[a] if branch else -values[a])
        else:
            a = self.arguments[i][branch]
            gap = np.abs(values[a] - values[i])
        return gap <= tolerance * np.maximum(sizes[a], sizes[i])

    def _sizes(self, values: list[Value]) -> list[Value]:
        """The size of the terms of each node, of which a difference may be a small part."""
        sizes: list[Value] = []
        for node, value, arguments in zip(self.nodes, values, self.arguments, strict=True):
            sums = node.operation in ("+", "-", "neg", "abs", "min", "max")
            sizes.append(sum(sizes[a] for a in arguments) if sums else np.abs(value))
        return sizes

    def formulas(self, output: Expression | None = None) -> dict[Any, Expression]:
        """The derivatives as expressions; ``output`` stands for the value of the whole."""
        values: list[Value] = list(self.nodes)
        whole = OPERATIONS.get(self.nodes[-1].operation)
        if output is not None and whole is not None and whole.uses_output:
            values[-1] = output
        return {symbol: lift(d) for symbol, d in self._reverse(values, {}).items()}


def _product(adjoint: Value, local: Value) -> Value:
    """The product; 0 where a branch is not in force, though it may have no derivative there."""
    product = adjoint * local
    if isinstance(product, Expression):
        return product
    if is_lost(product):
        product = np.where(np.equal(adjoint, 0.0), 0.0, product)[()]
    return product + 0.0  # no negative 0
