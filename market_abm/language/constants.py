"""Constants of production functions, given by keyword: ``elasticity``, ``weights``, ``exponents``.

They are numbers or arithmetic on named parameters, so their values depend on the parameters'.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from market_abm.errors import ProgramError
from market_abm.language import expression as ex
from market_abm.language.tape import Tape

SUM_TOLERANCE = 1e-9
"""The largest difference from 1 of weights that sum to 1."""


def entry_of(key: str) -> str:
    """What messages call one of ``weights`` or ``exponents``."""
    return f"an entry of {key}"


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
        scalars, per_input, _ = form.split_arguments(node.arguments)
        for constant, key in zip(scalars, form.scalars, strict=True):
            check_positive(constant, key, parameters)
        for constant in per_input:
            check_positive(constant, entry_of(form.per_input), parameters)
        check_sum(per_input, node.operation, parameters)


def check_positive(
    constant: ex.Expression, what: str, parameters: Mapping[str, float], line: int | None = None
) -> None:
    """Refuse a constant that is not a finite number > 0; ``what`` names it in the message."""
    value = _value(constant, parameters)
    if not 0.0 < value < np.inf:
        raise ProgramError(f"{what} is {value:g}", remedy="must be > 0 and finite", line=line)


def check_sum(
    per_input: Sequence[ex.Expression],
    function: str,
    parameters: Mapping[str, float],
    line: int | None = None,
) -> None:
    """Refuse constants of the inputs that do not sum to 1, where ``function`` needs that."""
    form = ex.AGGREGATORS[function]
    total = sum(_value(constant, parameters) for constant in per_input)
    if form.sums_to_one and not abs(total - 1.0) <= SUM_TOLERANCE:
        raise ProgramError(
            f"the {form.per_input} of {function}() sum to {total:.12g}",
            line=line,
            name=function,
            remedy="make them sum to 1, and scale the whole by a factor if necessary",
        )


def _value(constant: ex.Expression, parameters: Mapping[str, float]) -> float:
    if constant.operation == "number":
        return float(constant.payload)
    with np.errstate(all="ignore"):
        return float(Tape(constant, ()).evaluate(parameters)[0])
