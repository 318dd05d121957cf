"""Fixed proportions: the inputs of ``min(x/a, y/b)`` as one input, a bundle of a of x and b of y.

Nobody buys more of an input than the others can use: at any prices the best plan is at the kink,
where no derivative says what an input is worth. Of the bundle, which costs a π_x + b π_y, the line
is smooth.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from market_abm.economy.technology import Technology
from market_abm.language.expression import BRANCHING, Expression, name, number, postorder
from market_abm.language.tape import Tape


@dataclass(frozen=True, eq=False)
class Bundles:
    """A line as a function of bundles of its inputs.

    Attributes
    ----------
    technology
        The line, whose inputs are bundles.
    bundle
        The bundle of each input, shape (inputs,).
    units
        Units of each input in a unit of its bundle: numbers, or arrays over firms.
    """

    technology: Technology
    bundle: tuple[int, ...]
    units: tuple[Any, ...]

    def cost(self, prices: np.ndarray) -> np.ndarray:
        """The price of each bundle, (bundles, ...), from those of the inputs, (inputs, ...)."""
        costs = np.zeros((len(self.technology.inputs), *prices.shape[1:]))
        for of, units, price in zip(self.bundle, self.units, prices, strict=True):
            costs[of] += units * price
        return costs

    def within(self, inputs: np.ndarray) -> np.ndarray:
        """The bundles that inputs make, (bundles, ...), from units of each, (inputs, ...)."""
        made = np.full((len(self.technology.inputs), *inputs.shape[1:]), np.inf)
        for of, units, each in zip(self.bundle, self.units, inputs, strict=True):
            made[of] = np.minimum(made[of], each / units)
        return made

    def content(self, bundles: np.ndarray) -> np.ndarray:
        """Units of each input, (inputs, ...), in bundles, (bundles, ...)."""
        pairs = zip(self.bundle, self.units, strict=True)
        return np.stack([units * bundles[of] for of, units in pairs])


def bundles(technology: Technology) -> Bundles | None:
    """The bundles of a line with branches; None if it has others than fixed proportions.

    Each ``min`` must be of inputs, times or over positive numbers, that the line reads once.
    """
    nodes = postorder(technology.formula)
    reads = Counter(each.payload for node in nodes for each in node.arguments if _is_input(each))
    bundle: dict[int, int] = {}
    rates: dict[int, Expression] = {}  # bundles in a unit
    of_node: dict[int, int] = {}
    inside = {id(each) for node in nodes if node.operation == "min" for each in node.arguments}
    for node in nodes:
        if node.operation in BRANCHING and not (node.operation == "min" and id(node) in inside):
            found = [_rate(each) for each in _terms(node)] if node.operation == "min" else [None]
            own = dict(each for each in found if each is not None)
            if len(own) < len(found) or any(reads[k] > 1 for k in own):
                return None
            of_node[id(node)] = number_of = len(of_node)
            bundle |= dict.fromkeys(own, number_of)
            rates |= own
    count = len(of_node)
    for k in range(len(technology.inputs)):
        if k not in bundle:
            bundle[k], rates[k], count = count, number(1.0), count + 1
    units = [_inverse(rates[k], technology.parameters) for k in range(len(technology.inputs))]
    if not all(np.all(np.greater(each, 0.0) & np.isfinite(each)) for each in units):
        return None
    line = Technology(
        _replaced(nodes, bundle, of_node), tuple(map(str, range(count))), technology.parameters
    )
    return Bundles(line, tuple(bundle[k] for k in range(len(units))), tuple(units))


def _replaced(
    nodes: Sequence[Expression], bundle: Mapping[int, int], of_node: Mapping[int, int]
) -> Expression:
    """The formula of these nodes, its root last, with bundles for inputs."""
    made: dict[int, Expression] = {}
    for node in nodes:
        if id(node) in of_node:
            made[id(node)] = name(of_node[id(node)])
        elif _is_input(node):
            made[id(node)] = name(bundle[node.payload])
        else:
            arguments = tuple(made[id(each)] for each in node.arguments)
            made[id(node)] = Expression(node.operation, arguments, node.payload)
    return made[id(nodes[-1])]


def _terms(node: Expression) -> list[Expression]:
    """The terms of a minimum, also of those inside it."""
    if node.operation != "min":
        return [node]
    return [term for each in node.arguments for term in _terms(each)]


def _rate(node: Expression) -> tuple[int, Expression] | None:
    """The input that a node is a multiple of, and by what; None if it is no multiple of one."""
    if _is_input(node):
        return node.payload, number(1.0)
    if node.operation in ("*", "/"):
        left, right = node.arguments
        if _is_constant(right):
            found = _rate(left)
            if found:
                return found[0], found[1] / right if node.operation == "/" else found[1] * right
        elif node.operation == "*" and _is_constant(left):
            found = _rate(right)
            return (found[0], left * found[1]) if found else None
    return None


def _is_input(node: Expression) -> bool:
    return node.operation == "name" and not isinstance(node.payload, str)


def _is_constant(node: Expression) -> bool:
    return not any(map(_is_input, postorder(node)))


def _inverse(rate: Expression, parameters: Mapping[str, Any]) -> Any:
    """1 over the value of a constant."""
    with np.errstate(all="ignore"):
        return 1.0 / Tape(rate, ()).evaluate(parameters)[0]
