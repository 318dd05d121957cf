"""Programs are read: lines that are alike are translated once.

Large programs consist of lines that differ in goods and numbers only. Such a line has its *shape*
from the first one, which Python's parser has read. Where a line is not plain, or is not valid, the
parser reads the whole program, as do all its messages.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Collection, Mapping

from market_abm.errors import ProgramError
from market_abm.language.alike import Alike
from market_abm.language.calls import RESERVED
from market_abm.language.indices import Program, expand, translated
from market_abm.language.parser import Line, checked
from market_abm.language.syntax import syntax_tree

MAX_PROGRAM_LENGTH = 10_000_000
"""Characters beyond which a program is refused unread."""

_INDEX = r"(?:0|-?[1-9]\d{0,8})"
_NAME = rf"[A-Za-z_]\w*(?:\[{_INDEX}(?:,{_INDEX})*\])?"
_TOKEN = re.compile(
    r"(?<![\w.])"
    rf"({_NAME}|(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))"
)
"""A name, also with indices, or a number that Python reads as ``float`` does; no part of a word."""

_PLAIN = re.compile(rf"({_NAME})[ \t]*=([ -~\t]*)", re.ASCII)
"""A good and its formula, in printable characters."""

_INDICES = re.compile(r"\[|\bfor\b")
"""What is left of a formula with indices that are no numbers when its goods are marked."""

_DIGITS = "0123456789."


def parse(program: str, parameters: Mapping[str, float]) -> list[Line]:
    """The lines of ``program``, in its order; arguments and errors as for :func:`read`."""
    return read(program, parameters).lines


def read(program: str, parameters: Mapping[str, float]) -> Program:
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
    parameters = checked(parameters)
    lines = _plain_lines(source, parameters)
    if lines is None:
        return expand(syntax_tree(source).body, parameters)
    return Program(lines, frozenset())


def _plain_lines(source: str, parameters: Mapping[str, float]) -> list[Line] | None:
    """The lines, if each is one of the source, plain and valid; else None."""
    if not source.isascii() or "\r" in source or "\0" in source:
        return None
    reserved = RESERVED.union(parameters)
    known: dict[str, Alike] = {}
    found = []
    for number, text in enumerate(source.split("\n"), 1):
        code = text.partition("#")[0].rstrip(" \t")
        if not code:
            continue
        plain = _PLAIN.fullmatch(code)
        if plain is None or plain[1].partition("[")[0] in reserved:
            return None
        key, numbers, inputs = _pieces(plain[2], reserved)
        try:
            if key not in known:
                known[key] = _known(plain, key, parameters)
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
        elif token.partition("[")[0] not in reserved:
            pieces[k] = names.setdefault(token, f"\1{len(names)}")
    return "".join(pieces), numbers, names


def _known(plain: re.Match[str], key: str, parameters: Mapping[str, float]) -> Alike:
    """A plain line, by ``_PLAIN``, that the parser reads now, for those that are like it.

    Raises
    ------
    ProgramError
        The line is not valid, or is not one plain line.
    """
    body = [] if _INDICES.search(key) else syntax_tree(plain[0]).body
    if len(body) == 1:
        line, written = translated(body[0], parameters)
        tokens = _TOKEN.finditer(plain[0], plain.start(2))
        columns = [token.start() for token in tokens if token[0][0] in _DIGITS]
        if {column for _, column, _ in written.values()} == set(columns):
            return Alike(line, written, {column: k for k, column in enumerate(columns)}.get)
    raise ProgramError("it is not one plain line", remedy="let the parser read it")
