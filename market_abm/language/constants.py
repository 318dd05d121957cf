"""Constants of production functions, given by keyword: ``elasticity``, ``weights``, ``exponents``.

They are numbers or arithmetic on named parameters, so their values depend on the parameters'.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from market_abm.errors import ProgramError
from market_abm.language import expression as ex

FOR_EACH = "each number for an input"
"""What messages call one of ``weights`` or ``exponents``."""


def check_formula(formula: ex.Expression, parameters: Mapping[str, float]) -> None:
    """Check all constants of a line with these values of its parameters.

    Raises
    ------
    ProgramError
        A constant is not positive, or weights do not sum to 1.
    """
    for node in ex.postorder(formula):
        form = ex.AGGREGATORS.get(node.operation)
        if form is None:
            continue
        alone, each, _ = form.sorted_arguments(node.arguments)
        for constant, key in zip(alone, form.alone, strict=True):
            check_positive(constant, key, parameters)
        for constant in each:
            check_positive(constant, FOR_EACH, parameters)
        check_sum(each, node.operation, parameters)


def check_positive(
    constant: ex.Expression, what: str, parameters: Mapping[str, float], line: int | None = None
) -> None:
    """Refuse a constant that is not above 0; ``what`` names it in the message."""
    value = _value(constant, parameters)
    if not value > 0:
        raise ProgramError(f"{what} is {value:g}", remedy="make it positive", line=line)


def check_sum(
    each: Sequence[ex.Expression],
    function: str,
    parameters: Mapping[str, float],
    line: int | None = None,
) -> None:
    """Refuse constants of the inputs that do not sum to 1, where ``function`` needs that."""
    form = ex.AGGREGATORS[function]
    total = sum(_value(constant, parameters) for constant in each)
    if form.sums_to_one and abs(total - 1.0) > 1e-9:
        raise ProgramError(
            f"the {form.each} of {function}() sum to {total:.12g}",
            line=line,
            name=function,
            remedy="make them sum to 1, and multiply the whole by a number if need be",
        )


def _value(constant: ex.Expression, parameters: Mapping[str, float]) -> float:
    with np.errstate(all="ignore"):
        value = float(ex.Tape(constant, ()).evaluate(parameters)[0])
    return value if np.isfinite(value) else float("nan")
