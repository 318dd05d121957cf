"""Functions of several branches: the least, the largest, the absolute value, a choice.

The derivative is that of the branch in force. Where several are in force at once (a tie), each
counts in equal parts. The mean of their derivatives is an element of the generalised gradient, the
convex hull of the derivatives nearby (F. H. Clarke, Optimization and Nonsmooth Analysis, Wiley,
1983, section 2.3); it favours no branch, and is what libraries of automatic differentiation return.
A choice takes the branch that its condition says, on the border too.

A complex number counts by its real part, so that a complex step differentiates the branch in force.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from operator import add
from typing import Any

import numpy as np

Value = Any


def real_part(value: Value) -> Value:
    """The real part of a complex number or array; other values as they are."""
    return value.real if np.iscomplexobj(value) else value


def extreme(ufunc: np.ufunc) -> Callable[..., Value]:
    """The least (``np.minimum``) or the largest (``np.maximum``) of several numbers or arrays."""

    def compute(*branches: Value) -> Value:
        reals = [real_part(each) for each in branches]
        value = reduce(ufunc, reals)
        if not any(map(np.iscomplexobj, branches)):
            return value
        parts = tied_parts(value, branches)
        moved = (parts(k) * np.imag(each) for k, each in enumerate(branches))
        return value + 1j * reduce(add, moved)

    return compute


def tied_parts(value: Value, branches: Sequence[Value]) -> Callable[[int], Value]:
    """For each branch its part in the ``value``: 1 if it alone is in force, 0 if it is not."""
    value = real_part(value)
    tied = [1.0 * np.equal(real_part(each), value) for each in branches]
    count = reduce(add, tied)
    return lambda k: tied[k] / count


def extreme_with_parts(
    ufunc: np.ufunc,
) -> Callable[..., tuple[Value, Callable[[int], Value]]]:
    """:func:`extreme` with its derivatives by each branch."""
    compute = extreme(ufunc)

    def with_parts(*branches: Value) -> tuple[Value, Callable[[int], Value]]:
        value = compute(*branches)
        return value, tied_parts(value, branches)

    return with_parts


def absolute(value: Value) -> Value:
    """The larger of a number and its negative."""
    return value * sign(value) if np.iscomplexobj(value) else np.absolute(value)


def sign(value: Value) -> Value:
    """1, -1, or at 0, in equal parts of both, 0."""
    real = real_part(value)
    return 1.0 * np.greater(real, 0.0) - 1.0 * np.less(real, 0.0)


def comparison(ufunc: np.ufunc) -> Callable[[Value, Value], Value]:
    """Whether two numbers compare so, element by element."""
    return lambda a, b: ufunc(real_part(a), real_part(b))


def choice(condition: Value, yes: Value, no: Value) -> Value:
    """``yes`` where the condition holds, ``no`` elsewhere."""
    if isinstance(condition, np.ndarray):
        return np.where(condition, yes, no)
    if isinstance(condition, bool | np.bool_):
        return yes if condition else no
    return condition.choose(yes, no)  # a stand-in (``compiled.py``)
