"""What a user can do wrong: one exception each, naming the culprit and the remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path


class MarketError(Exception):
    """A mistake that the user can mend, told in one sentence: what, where, how to mend.

    ``what`` says what is wrong, ``remedy`` how to mend it; ``file`` and ``line`` (1-based) say
    where, ``name`` is the good, key or function at fault. All but ``what`` may be unknown, and
    may be added by a caller that knows more, with :meth:`located`.
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
        return f"{message}; {self.remedy}" if self.remedy else message

    def located(self, *, file: str | None = None, line: int | None = None) -> MarketError:
        """The same error, with the place filled in where it was not known yet."""
        self.file = self.file or file
        self.line = self.line if self.line is not None else line
        return self


class ProgramError(MarketError):
    """A program's text is not in the language (see ``program.py``)."""


class EconomyError(MarketError):
    """Goods, industries, suppliers and consumers do not fit together."""


class SettingError(MarketError):
    """A setting is unknown, of the wrong kind or out of range."""


class TableError(MarketError):
    """An input-output table cannot be read, or does not add up."""


class RivalGoodError(MarketError):
    """A good that is split among several users has no positive quantity or price to split by."""


class ResultsError(MarketError):
    """Results cannot be written where they were asked for."""


def nearest(name: str, valid: Iterable[str], full: Mapping[str, str] | None = None) -> str:
    """A remedy that names the valid name nearest to ``name``, or else the valid names.

    ``full`` holds full names of some; it may be these that ``name`` is part of.
    """
    valid, full = sorted(valid), full or {}
    close = difflib.get_close_matches(name, valid, n=1, cutoff=0.5)
    close = close or [each for each in valid if name.casefold() in full.get(each, "").casefold()]
    if close:
        told = f" ({full[close[0]]})" if close[0] in full else ""
        return f"did you mean '{close[0]}'{told}?"
    if not valid:
        return "there is none to choose from"
    shown = ", ".join(valid[:12]) + (", ..." if len(valid) > 12 else "")
    return f"choose one of: {shown}"


def where_text(path: Path) -> Path:
    """``path`` as one would type it here."""
    try:
        return path.resolve().relative_to(Path.cwd())
    except ValueError:
        return path


def clip(string: str) -> str:
    """``string``, cut at 80 characters, for messages."""
    return string if len(string) <= 80 else string[:77] + "..."
