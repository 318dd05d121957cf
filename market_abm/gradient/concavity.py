"""Which lines are certain to be concave: the rules of convex calculus, applied to a formula.

A sum of concave terms is concave, and so is the least of them; so is a concave function that
rises, of a concave argument, or that falls, of a convex one (S. Boyd and L. Vandenberghe, Convex
Optimization, Cambridge University Press, 2004, section 3.2). The rules prove; where they cannot,
nothing is claimed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.economy.nested_ces import NestedCES
from market_abm.economy.technology import Technology
from market_abm.language.expression import AGGREGATORS, COMPARISONS, OPERATIONS, postorder

if TYPE_CHECKING:
    from market_abm.gradient.allocation import Allocation

ROUNDING = 1e-12
"""By how much exponents may sum to more than 1."""

CONCAVE_RISING = {"ln": 0.0, "log": 0.0, "log2": 0.0, "log10": 0.0, "log1p": -1.0}
"""Functions that are concave and rise where they are defined: above these numbers."""


class Shape(NamedTuple):
    """What is known of an expression: its range, and whether it is concave or convex.

    ``power`` is a number a, if it is the a-th power of something concave that is not negative: as
    are products of such powers (their geometric mean is concave), whose numbers add up. With a <= 1
    it is concave.
    """

    low: float
    high: float
    concave: bool = False
    convex: bool = False
    power: float = math.inf

    @property
    def constant(self) -> bool:
        """Whether it is a number."""
        return self.low == self.high

    @property
    def degree(self) -> float:
        """The least known ``power``."""
        if self.low < 0.0:
            return math.inf
        return 0.0 if self.constant else min(self.power, 1.0 if self.concave else math.inf)


POSITIVE = Shape(0.0, math.inf, concave=True, convex=True)
"""An input that is not negative."""

ANY = Shape(-math.inf, math.inf)
"""An expression of which nothing is known."""


def shape_of(technology: Technology, inputs: Sequence[Shape]) -> Shape:
    """The shape of a line as a function of all its inputs together; of each the range is given."""
    if isinstance(technology, NestedCES):
        known = all(each.low >= 0.0 for each in inputs)
        return Shape(0.0, math.inf, concave=True) if known else ANY
    if technology.divides:  # y^(1+η) is a product of powers of its part and of the whole activity
        return Shape(0.0, math.inf, concave=True) if inputs[0].low >= 0.0 else ANY
    found: dict[int, Shape] = {}
    for node in postorder(technology.formula):
        if node.operation == "number":
            found[id(node)] = _number(node.payload)
        elif node.operation == "name":
            if isinstance(node.payload, int):
                each = inputs[node.payload]
                found[id(node)] = Shape(each.low, each.high, concave=True, convex=True)
            else:
                found[id(node)] = _number(technology.parameters[node.payload])
        else:
            arguments = [found[id(argument)] for argument in node.arguments]
            found[id(node)] = _applied(node.operation, arguments)
    return found[id(technology.formula)]


def _number(value: Any) -> Shape:
    if np.ndim(value):
        return ANY
    return Shape(float(value), float(value), concave=True, convex=True)


def _applied(operation: str, arguments: list[Shape]) -> Shape:
    """The shape of an operation on expressions of known shapes."""
    if all(each.constant for each in arguments):
        with np.errstate(all="ignore"):
            value = OPERATIONS[operation].compute(*[np.float64(each.low) for each in arguments])
        return _number(value) if np.isfinite(value) else ANY
    if operation in AGGREGATORS:
        return _aggregate(operation, arguments)
    match operation:
        case "min":
            return reduce(_least, arguments)
        case "max":
            return reduce(_largest, arguments)
        case "abs":
            return _largest(arguments[0], _scaled(arguments[0], -1.0))
        case "where":
            return _choice(*arguments)
    if operation in COMPARISONS:
        return Shape(0.0, 1.0)
    return (
        _function(operation, *arguments) if len(arguments) == 1 else _infix(operation, *arguments)
    )


def _infix(operation: str, a: Shape, b: Shape) -> Shape:
    """The shape of a sum, difference, product, quotient or power."""
    match operation:
        case "+":
            return _sum(a, b)
        case "-":
            return _sum(a, _scaled(b, -1.0))
        case "*" if a.constant or b.constant:
            return _scaled(b, a.low) if a.constant else _scaled(a, b.low)
        case "*" if a.low >= 0.0 and b.low >= 0.0:
            return _positive(a.degree + b.degree)
        case "/" if b.constant and b.low != 0.0:
            return _scaled(a, 1.0 / b.low)
        case "/" if a.constant:
            return _scaled(_power(b, -1.0), a.low)
        case "**" if b.constant:
            return _power(a, b.low)
    return ANY


def _function(operation: str, u: Shape) -> Shape:
    """The shape of a function of one argument."""
    match operation:
        case "neg":
            return _scaled(u, -1.0)
        case "sqrt":
            return _power(u, 0.5)
        case "exp" | "expm1":
            return Shape(*_ends(operation, u), convex=u.convex)
        case "tanh" | "atan" if u.low >= 0.0:
            return Shape(*_ends(operation, u), concave=u.concave)
    if operation in CONCAVE_RISING and u.low >= CONCAVE_RISING[operation]:
        return Shape(*_ends(operation, u), concave=u.concave)
    return ANY


def _least(a: Shape, b: Shape) -> Shape:
    """The lesser of two: concave if both are; a power of something concave, the larger power."""
    for one, other in ((a, b), (b, a)):
        if one.high <= other.low:
            return one
    power = max(a.degree, b.degree)
    return Shape(min(a.low, b.low), min(a.high, b.high), a.concave and b.concave, power=power)


def _largest(a: Shape, b: Shape) -> Shape:
    """The larger of two: convex if both are."""
    for one, other in ((a, b), (b, a)):
        if one.low >= other.high:
            return one
    return Shape(max(a.low, b.low), max(a.high, b.high), convex=a.convex and b.convex)


def _choice(condition: Shape, a: Shape, b: Shape) -> Shape:
    """One of two, by a condition: of its shape nothing is known where that may be either."""
    if condition.constant:
        return a if condition.low else b
    return Shape(min(a.low, b.low), max(a.high, b.high))


def _sum(a: Shape, b: Shape) -> Shape:
    low, high = a.low + b.low, a.high + b.high
    if math.isnan(low) or math.isnan(high):
        return ANY
    return Shape(low, high, a.concave and b.concave, a.convex and b.convex)


def _scaled(u: Shape, factor: float) -> Shape:
    if factor == 0.0:
        return _number(0.0)
    ends = u.low * factor, u.high * factor
    if factor > 0.0:
        return Shape(*ends, u.concave, u.convex, u.power)
    return Shape(ends[1], ends[0], u.convex, u.concave)


def _power(u: Shape, exponent: float) -> Shape:
    """U to a constant power, for u >= 0."""
    if exponent in (0.0, 1.0):
        return u if exponent else _number(1.0)
    if u.low < 0.0:
        return ANY
    with np.errstate(all="ignore"):
        low, high = sorted(float(np.float64(end) ** exponent) for end in (u.low, u.high))
    if exponent < 0.0:
        return Shape(low, high, convex=u.concave)
    degree = exponent * u.degree
    return Shape(low, high, _at_most_one(degree), exponent > 1.0 and u.convex, degree)


def _positive(degree: float) -> Shape:
    """A power of something concave, of which no more is known than that it is not negative."""
    return Shape(0.0, math.inf, concave=_at_most_one(degree), power=degree)


def _at_most_one(degree: float) -> bool:
    return degree <= 1.0 + ROUNDING


def _ends(operation: str, u: Shape) -> tuple[float, float]:
    """The range of a function that rises."""
    with np.errstate(all="ignore"):
        low, high = (
            float(OPERATIONS[operation].compute(np.float64(end))) for end in (u.low, u.high)
        )
    return low, high


def _aggregate(operation: str, arguments: list[Shape]) -> Shape:
    """CES, concave and rising in each input, and Cobb-Douglas, a product of powers."""
    _, constants, inputs = AGGREGATORS[operation].split_arguments(arguments)
    if operation == "fixed":
        return _infix("*", *arguments)
    if any(each.low < 0.0 for each in inputs) or not all(each.constant for each in constants):
        return ANY
    if operation == "cobb_douglas":
        return _positive(sum(a.low * u.degree for a, u in zip(constants, inputs, strict=True)))
    return _positive(1.0 if all(each.concave for each in inputs) else math.inf)


def shapes(economy: Economy, known: dict[Any, Shape] | None = None) -> dict[str, Shape]:
    """The shape of each line as a function of its own inputs, by its good.

    Inputs range over what suppliers and lines can make; goods of a loop are taken to be positive,
    which is then checked.

    Parameters
    ----------
    economy
        The economy.
    known
        Shapes of lines found before, of economies that are kept; new ones are added.
    """
    known = {} if known is None else known
    found: dict[str, Shape] = {}
    ranges: dict[str, Shape] = {}
    for good, terms in economy.supply.items():
        either = terms.kind == "gradient" and terms.responds and terms.form != "linear"
        ranges[good] = POSITIVE if terms.quantity >= 0.0 and not either else ANY
    for component in economy.components:
        assumed: Mapping[str, Shape] = (
            dict.fromkeys((i.good for i in component), POSITIVE)
            if economy.is_loop(component)
            else {}
        )
        for industry in component:
            inputs = [assumed.get(g) or ranges[g] for g in industry.technology.inputs]
            found[industry.good] = _known_shape(industry.technology, inputs, known)
            ranges[industry.good] = found[industry.good]
        if any(ranges[good].low < 0.0 for good in assumed):
            for good in assumed:
                found[good] = ranges[good] = ANY
    return found


def _known_shape(technology: Technology, inputs: Sequence[Shape], known: dict[Any, Shape]) -> Shape:
    """:func:`shape_of`, computed once for lines of one formula and equal numbers."""
    if isinstance(technology, NestedCES):  # its formula would have to be made
        return shape_of(technology, inputs)
    key = (id(technology.formula), *technology.parameters.items(), *inputs)
    if key not in known:
        known[key] = shape_of(technology, inputs)
    return known[key]


def is_concave(
    economy: Economy,
    at: Allocation,
    known: dict[Any, Shape] | None = None,
    *,
    ordinal: bool = False,
) -> bool:
    """Whether at the prices of ``at`` every agent's gain is a concave function of its own plan.

    Parameters
    ----------
    economy
        The economy.
    at
        One allocation.
    known
        As of :func:`shapes`.
    ordinal
        Whether of a utility only the order counts, so that a power of something concave will do,
        if it rises there.
    """
    accepted = _rising(economy, at) if ordinal else set()
    for good, shape in shapes(economy, known).items():
        if good in accepted and shape.degree < math.inf:
            continue
        if not (shape.concave if at.prices[economy.index[good]] >= 0.0 else shape.convex):
            return False
    if any(at.quantities[pool.good] < 0.0 for pool in economy.buyers.shared_pools):
        return False
    return all(
        terms.price > 0.0 or math.isinf(terms.elasticity) for terms in economy.demand.values()
    )


def _rising(economy: Economy, at: Allocation) -> set[str]:
    """The households to whom more of something would be of use."""
    if not economy.households:
        return set()
    claims = economy.claims
    slopes = claims.inputs.total(at.products[claims.buyers])
    return {name for name, slope in zip(economy.households, slopes, strict=True) if slope > 0.0}
