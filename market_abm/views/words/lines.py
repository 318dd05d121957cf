"""Text in lines of so many columns; loads nothing heavy, so that messages are immediate."""

from __future__ import annotations

import itertools
import re
import unicodedata


def printable(text: str) -> str:
    """``text`` in one line: white space, and what cannot be printed, as single spaces."""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())


def columns(text: str) -> int:
    """The columns of a terminal that ``text`` takes: letters of East Asia take two."""
    wide = sum(unicodedata.east_asian_width(each) in "WF" for each in text)
    return len(text) + wide - sum(unicodedata.combining(each) > 0 for each in text)


def shortened(text: str, most: int) -> str:
    """``text`` in one line, cut in the middle if it takes more than ``most`` columns."""
    text = printable(text)
    if columns(text) <= most:
        return text
    half = max(1, (most - 1) // 2)
    return f"{_beginning(text, half)}…{_beginning(text[::-1], half)[::-1]}"


def _beginning(text: str, most: int) -> str:
    """The longest beginning of ``text`` that takes at most ``most`` columns."""
    sizes = itertools.accumulate(map(columns, text))
    return text[: sum(size <= most for size in sizes)]


def in_lines(
    text: str, width: int, hanging: int = 0, *, breaks: str = "", fold: bool = True
) -> list[str]:
    """``text`` in lines of at most ``width`` columns, broken between its words.

    Parameters
    ----------
    text
        A line.
    width
        Columns.
    hanging
        Spaces at the beginning of all lines but the first.
    breaks
        Characters after which a word may be broken, too.
    fold
        Whether a word that is wider than a line is broken where the line ends.
    """
    after = re.escape(breaks)
    pattern = rf"\s*[^\s{after}]*[{after}]|\s*[^\s{after}]+" if breaks else r"\s*\S+"
    width = max(width, hanging + 2)
    lines: list[str] = []
    for part in re.findall(pattern, text):
        if lines and columns(lines[-1] + part) <= width:
            lines[-1] += part
            continue
        lines.append(" " * hanging + part.lstrip() if lines else part)
        while fold and columns(lines[-1]) > width:
            first = _beginning(lines[-1], width)
            lines[-1:] = [first, " " * hanging + lines[-1][len(first) :]]
    return lines or [""]
