"""Text in lines of so many columns; loads nothing heavy, so that messages are immediate."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Callable, Iterable

ELLIPSIS = "…"

HEADS = (0.5, 0.35, 0.65, 0.2, 0.8, 0.0)
"""Parts of a shortened text that are its beginning, in the order in which they are tried."""


def printable(text: str) -> str:
    """``text`` in one line: white space, and what cannot be printed, as single spaces."""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())


def columns(text: str) -> int:
    """The columns of a terminal that ``text`` takes: letters of East Asia take two."""
    wide = sum(unicodedata.east_asian_width(each) in "WF" for each in text)
    return len(text) + wide - sum(unicodedata.combining(each) > 0 for each in text)


def shortened(text: str, most: int, head: float = 0.5) -> str:
    """``text`` in one line, cut if it takes more than ``most`` columns.

    ``head`` is the part of what remains that is the beginning of ``text``; the rest is its end.
    """
    text = printable(text)
    if columns(text) <= most:
        return text
    first = round(head * (most - 1))
    end = _beginning(text[::-1], most - 1 - first)[::-1]
    return f"{_beginning(text, first)}{ELLIPSIS}{end}"


def all_shortened(texts: Iterable[str], most: int) -> dict[str, str]:
    """Each of ``texts`` as :func:`shortened`, cut where that tells them apart."""
    return told_apart(texts, lambda text, head: shortened(text, most, head))


def told_apart(texts: Iterable[str], cut: Callable[[str, float], str]) -> dict[str, str]:
    """Each of ``texts``, cut so that as many as possible differ.

    ``cut`` shortens a text; its second argument is the part of it that is the text's beginning.
    """
    texts = list(dict.fromkeys(texts))
    best: dict[str, str] = {}
    for head in HEADS:
        shown = {text: cut(text, head) for text in texts}
        if len(set(shown.values())) > len(set(best.values())):
            best = shown
        if len(set(best.values())) == len(texts):
            return best
    groups: dict[str, list[str]] = {}
    for text, short in best.items():
        groups.setdefault(short, []).append(text)
    for alike in groups.values():
        if len(alike) > 1:  # they differ in the middle: from where they do
            letters = zip(*alike, strict=False)
            start = next((n for n, each in enumerate(letters) if len(set(each)) > 1), 0)
            best |= {text: cut(ELLIPSIS + text[start:], 1.0) for text in alike}
    return best


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
