"""Lines that are alike: one has been translated, the others differ in goods and numbers only."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from market_abm.language import expression as ex
from market_abm.language.constants import SUM_TOLERANCE, check_formula
from market_abm.language.parser import Line, Written
from market_abm.language.patterns import Filled, Shape, pattern


class Alike:
    """A line that has been translated, for those that are like it.

    Parameters
    ----------
    line
        The line.
    written
        The numbers in its formula, as ``parser.translate_line`` gives them.
    place
        For the column of a number its place among the numbers that differ, or None.
    """

    def __init__(
        self, line: Line, written: Mapping[int, Written], place: Callable[[int], int | None]
    ) -> None:
        key, constants = pattern(line.formula)
        self.inputs, self.parameters = len(line.inputs), line.parameters
        self._shape = Shape(line.formula, key)
        self._constants: list[tuple[int | None, Any]] = []  # place and sign, or none and a value
        for each in constants:
            _, column, sign = written.get(id(each), (None, None, None))
            at = None if column is None else place(column)
            self._constants.append((None, each) if at is None else (at, sign))
        self._parts = _checked_parts(
            line.formula, {id(each): k for k, each in enumerate(constants)}
        )
        self._same = Filled(self._shape, tuple(constants))

    def formula(self, numbers: Sequence[float]) -> Filled | None:
        """The formula with these numbers; None if they are not valid."""
        if not numbers:
            return self._same
        if max(numbers) == math.inf:
            return None
        constants = tuple(
            [value if k is None else value * numbers[k] for k, value in self._constants]
        )
        formula = Filled(self._shape, constants)
        if self._parts is None:
            check_formula(formula, self.parameters)
            return formula
        for places, sums_to_one in self._parts:
            part = [constants[k] for k in places]
            if min(part) <= 0.0 or (sums_to_one and abs(sum(part) - 1.0) > SUM_TOLERANCE):
                return None
        return formula


def _checked_parts(
    formula: ex.Expression, place: Mapping[int, int]
) -> list[tuple[list[int], bool]] | None:
    """The places of constants that must be positive, and whether their sum must be 1.

    None if some are more than a number. ``place`` is that of each constant, by the ``id``.
    """
    found = []
    for node in ex.postorder(formula):
        form = ex.AGGREGATORS.get(node.operation)
        if form is None:
            continue
        scalars, per_input, _ = form.split_arguments(node.arguments)
        if any(each.operation != "number" for each in (*scalars, *per_input)):
            return None
        for part, sums_to_one in ((scalars, False), (per_input, form.sums_to_one)):
            if part:
                found.append(([place[id(each.payload)] for each in part], sums_to_one))
    return found
