"""Text becomes Python's syntax tree, or an error that says what is wrong; nothing is executed.

Of Python's grammar programs have assignments, ``for`` and generators, and one operator of their
own, the range ``a..b``. To Python's parser it is ``a>>b``, which is as long and binds as it should.
"""

from __future__ import annotations

import ast
import keyword
import re
from collections.abc import Sequence

from market_abm.errors import ProgramError, clip

_RANGE = re.compile(r"#[^\n]*|\.{2,3}|>>")
"""A comment, a range (also with three dots), or the operator in whose place Python reads it."""

_LOOP = "write 'for t in 0..9:' and indent the lines of the loop"


def syntax_tree(source: str) -> ast.Module:
    """Python's syntax tree of a program; a range is a ``BinOp`` of ``RShift``.

    Raises
    ------
    ProgramError
        The text is not in Python's grammar; names the line.
    """
    try:
        return ast.parse(_with_ranges(source))
    except SyntaxError as error:
        raise _syntax_error(error, source.splitlines()) from None
    except (RecursionError, MemoryError):
        lines = source.splitlines()
        raise too_deep(1 + max(range(len(lines)), key=lambda k: len(lines[k]))) from None
    except ValueError as error:  # null bytes, on some versions of Python
        raise ProgramError(f"cannot read the program ({error})", remedy="save it as text") from None


def _with_ranges(source: str) -> str:
    """The source with ``>>`` for ``..``, so that all else stays in its place."""

    def replaced(found: re.Match[str]) -> str:
        line = source.count("\n", 0, found.start()) + 1
        if found[0] == ">>":
            raise ProgramError("'>>' is not arithmetic", line=line, remedy="write a range as 1..n")
        if found[0] == "...":
            raise ProgramError(
                "a range has three dots", line=line, remedy="write two dots, as in 1..n"
            )
        return ">>" if found[0] == ".." else found[0]

    return _RANGE.sub(replaced, source) if ".." in source or ">>" in source else source


def unparsed(node: ast.AST) -> str:
    """The text of a node, its first line, for messages."""
    try:
        text = ast.unparse(node).splitlines()[0]
    except (RecursionError, ValueError):
        return type(node).__name__
    return clip(text.replace(" >> ", ".."), 60)


def too_deep(line: int | None) -> ProgramError:
    """The error for an expression that exceeds the depth of Python's parser."""
    return ProgramError(
        "the expression is nested too deeply",
        line=line,
        remedy="split it into several lines",
    )


def _syntax_error(error: SyntaxError, lines: Sequence[str]) -> ProgramError:
    line, message = error.lineno, error.msg or ""
    shown = lines[line - 1].strip() if line and line <= len(lines) else ""
    if "too many nested" in message:
        return too_deep(line)
    remedy = "write one 'good = arithmetic' per line"
    code = shown.partition("#")[0]
    words = re.findall(r"[^\W\d]\w*", code)
    loop = bool(re.search(r"\bfor\s+\w+\s+in\b|^for\b", code))
    reserved = [word for word in words if keyword.iskeyword(word) and not loop]
    hyphens = re.match(r"[^\W\d]\w*(-\w+)+(?=\s*=)", code)
    spaced = re.search(r"[^\W\d]\w*\s+[^\W\d]\w*", code)
    if "Generator expression" in message:
        remedy = "put the generator in parentheses: ces((x[i] for i in 1..n), elasticity=0.5)"
    elif "unexpected indent" in message or "unindent" in message:
        remedy = "indent the lines of a loop alone, and by as much each"
    elif "expected an indented block" in message:
        message, remedy = "the loop above has no indented line", "indent the lines below it"
    elif loop:
        remedy = _LOOP
    elif reserved:
        message = f"'{reserved[0]}' is a reserved word"
        remedy = f"give the good another name, such as {reserved[0]}_"
    elif hyphens:
        message = "a hyphen is a minus"
        remedy = f"give the good another name, such as {hyphens[0].replace('-', '_')}"
    elif spaced:
        message = "a name has no spaces"
        remedy = f"give the good another name, such as {'_'.join(spaced[0].split())}"
    elif "decimal literal" in message:
        message, remedy = "a name begins with a letter", "write * between a number and a name"
    elif any(dash in shown for dash in "–—−"):
        remedy = "write '-' for minus"
    elif "integer string conversion" in message:
        message, remedy = "a number has thousands of digits", "write a shorter one, such as 1e9"
    what = f"cannot read '{clip(shown, 60)}' ({message})" if shown else message
    return ProgramError(what, line=line, remedy=remedy)
