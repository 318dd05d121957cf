"""User errors, one exception per kind: what is wrong, where, and how to fix it."""

from __future__ import annotations

import difflib
import shlex
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path


class MarketError(Exception):
    """A user error: what is wrong, where, and how to fix it.

    Parameters
    ----------
    what
        What is wrong.
    remedy
        How to fix it.
    name
        The good, key or function at fault.
    line
        The line of the file or program, counted from 1.
    file
        The file; file and line may be added later, by :meth:`located`.
    """

    def __init__(
        self,
        what: str,
        *,
        remedy: str | None = None,
        name: str | None = None,
        line: int | None = None,
        file: str | None = None,
    ) -> None:
        super().__init__(what)
        self.what, self.remedy, self.name, self.line, self.file = what, remedy, name, line, file

    def __str__(self) -> str:
        where = self.file or ""
        if self.line is not None:
            where = f"{where}:{self.line}" if where else f"line {self.line}"
        message = f"{where}: {self.what}" if where else self.what
        return in_one_line(f"{message}; {self.remedy}" if self.remedy else message)

    def located(self, *, file: str | None = None, line: int | None = None) -> MarketError:
        """The same error, with file and line filled in where they were unknown."""
        self.file = self.file or file
        self.line = self.line if self.line is not None else line
        return self


class ProgramError(MarketError):
    """A program is not in the language (see ``language/parser.py``)."""


class EconomyError(MarketError):
    """Goods, industries, suppliers and consumers do not fit together."""


class BalanceError(EconomyError):
    """What households own or transfer does not add up; other settings may balance it."""


class SettingError(MarketError):
    """A setting is unknown, of the wrong type or out of range."""


class TableError(MarketError):
    """An input-output table cannot be read, or does not add up."""


class RivalGoodError(MarketError):
    """A good with several users has no positive quantity or price to be split by.

    Attributes
    ----------
    unpaid
        Whether all bids for it are zero.
    """

    unpaid = False


class ResultsError(MarketError):
    """Results cannot be written to the given place."""


class FigureWarning(UserWarning):
    """A figure could not be drawn, or not all of it; the results themselves are complete."""


def nearest(name: str, valid: Iterable[str], full: Mapping[str, str] | None = None) -> str:
    """A remedy that suggests the valid name nearest to ``name``, or else lists the valid names.

    ``full`` maps some of them to full names, which are searched for ``name`` as well.
    """
    valid, full = sorted(valid), full or {}
    close = difflib.get_close_matches(name, valid, n=1, cutoff=0.6)
    if name and not close:
        close = [each for each in valid if name.casefold() in full.get(each, "").casefold()]
    if close:
        explained = f" ({full[close[0]]})" if close[0] in full else ""
        return f"did you mean '{close[0]}'{explained}?"
    if not valid:
        return "there are no valid names"
    shown = ", ".join(valid[:12]) + (", ..." if len(valid) > 12 else "")
    return f"choose one of: {shown}"


def in_one_line(text: str) -> str:
    """``text`` with escapes in place of characters that would break a line, or steer a terminal."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def installing(requirement: str) -> str:
    """A remedy: how to install a package into the environment of this process."""
    return f"install it: {shlex.join([sys.executable, '-m', 'pip', 'install', requirement])}"


def display_path(path: Path) -> Path:
    """``path``, relative to the current folder if it is inside."""
    try:
        return path.resolve().relative_to(Path.cwd())
    except ValueError:
        return path


def shown(value: object, length: int = 60) -> str:
    """``value`` as Python writes it, cut to ``length`` characters, for messages."""
    try:
        return clip(repr(value), length)
    except (ValueError, RecursionError):  # thousands of digits, or of levels
        return f"{type(value).__name__} too long to be shown"


def clip(string: str, length: int = 80) -> str:
    """``string``, cut to ``length`` characters, for messages."""
    return string if len(string) <= length else string[: length - 3] + "..."
