"""Programs are read: lines that are alike are translated once.

Large programs consist of lines that differ in goods and numbers only. Such a line has its *shape*
from the first one, which Python's parser has read. Where a line is not plain, or is not valid, the
parser reads the whole program, as do all its messages.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from market_abm.errors import ProgramError
from market_abm.language import expression as ex
from market_abm.language.constants import SUM_TOLERANCE, check_formula
from market_abm.language.parser import (
    RESERVED,
    Line,
    checked,
    syntax_tree,
    translate_line,
    translate_lines,
)
from market_abm.language.patterns import Filled, Shape, pattern

MAX_PROGRAM_LENGTH = 10_000_000
"""Characters beyond which a program is refused unread."""

_TOKEN = re.compile(
    r"(?<![\w.])"
    r"([A-Za-z_]\w*|(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))"
)
"""A name, or a number that Python reads as ``float`` does; no part of a word."""

_PLAIN = re.compile(r"([A-Za-z_]\w*)[ \t]*=([ -~\t]*)", re.ASCII)
"""A good and its formula, in printable characters."""


_DIGITS = "0123456789."


def parse(program: str, parameters: Mapping[str, float]) -> list[Line]:
    """The lines of ``program``, in its order.

    Parameters
    ----------
    program
        The text; it may be indented as a whole.
    parameters
        Values of names that are not goods.

    Raises
    ------
    ProgramError
        The text is not in the language; names the line.
    SettingError
        A parameter is not a finite number.
    """
    if len(program) > MAX_PROGRAM_LENGTH:
        raise ProgramError(
            f"the program has {len(program):,} characters",
            remedy=f"keep it below {MAX_PROGRAM_LENGTH:,}",
        )
    source = textwrap.dedent(program)
    lines = _plain_lines(source, checked(parameters))
    return translate_lines(syntax_tree(source).body, parameters) if lines is None else lines


def _plain_lines(source: str, parameters: Mapping[str, float]) -> list[Line] | None:
    """The lines, if each is one of the source, plain and valid; else None."""
    if not source.isascii() or "\r" in source or "\0" in source:
        return None
    reserved = RESERVED.union(parameters)
    known: dict[str, _Known] = {}
    found = []
    for number, text in enumerate(source.split("\n"), 1):
        code = text.partition("#")[0].rstrip(" \t")
        if not code:
            continue
        plain = _PLAIN.fullmatch(code)
        if plain is None or plain[1] in reserved:
            return None
        key, numbers, inputs = _pieces(plain[2], reserved)
        try:
            if key not in known:
                known[key] = _Known(plain, parameters)
            like = known[key]
            formula = like.formula(numbers)
        except ProgramError:
            return None
        if formula is None or len(inputs) != like.inputs:
            return None
        found.append(Line(plain[1], formula, tuple(inputs), like.parameters, number))
    return found


def _pieces(right: str, reserved: Collection[str]) -> tuple[str, list[float], dict[str, str]]:
    """The text with marks in the place of numbers and of names that may be goods; and these."""
    pieces = _TOKEN.split(right)
    numbers: list[float] = []
    names: dict[str, str] = {}
    for k in range(1, len(pieces), 2):
        token = pieces[k]
        if token[0] in _DIGITS:
            numbers.append(float(token))
            pieces[k] = "\0"
        elif token not in reserved:
            pieces[k] = names.setdefault(token, f"\1{len(names)}")
    return "".join(pieces), numbers, names


class _Known:
    """A line that the parser has read, for those that differ from it in goods and numbers.

    Parameters
    ----------
    plain
        The line, by ``_PLAIN``.
    parameters
        Values of the names that are not goods.

    Raises
    ------
    ProgramError
        The line is not valid, or is not one line.
    """

    def __init__(self, plain: re.Match[str], parameters: Mapping[str, float]) -> None:
        body = syntax_tree(plain[0]).body
        line, written = translate_line(body[0], parameters)
        key, constants = pattern(line.formula)
        tokens = _TOKEN.finditer(plain[0], plain.start(2))
        columns = [token.start() for token in tokens if token[0][0] in _DIGITS]
        if len(body) > 1 or {column for _, column, _ in written.values()} != set(columns):
            raise ProgramError("it is not one line", remedy="let the parser read it")
        self.inputs, self.parameters = len(line.inputs), line.parameters
        self._shape = Shape(line.formula, key)
        place = {column: k for k, column in enumerate(columns)}
        self._constants: list[tuple[int | None, Any]] = []  # place and sign, or none and a value
        for each in constants:
            _, column, sign = written.get(id(each), (None, None, None))
            self._constants.append((None, each) if column is None else (place[column], sign))
        self._parts = _checked_parts(
            line.formula, {id(each): k for k, each in enumerate(constants)}
        )

    def formula(self, numbers: Sequence[float]) -> Filled | None:
        """The formula with these numbers; None if they are not valid."""
        if numbers and max(numbers) == math.inf:
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
