"""Text in figures: drawn as it is written, measured, and in fonts that have its letters.

Names of goods, sectors, experiments and keys come from users: they may hold ``$``, begin with
``_``, be long, or be written in letters that Matplotlib's own font lacks.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from matplotlib import rcParams
from matplotlib.figure import Figure
from matplotlib.font_manager import FontEntry, FontProperties, findfont, fontManager, get_font
from matplotlib.text import Text

from market_abm.errors import FigureWarning
from market_abm.views.words.figures import NO_FONT
from market_abm.views.words.lines import printable

FALLBACKS = ("DejaVu Sans", "Noto Sans CJK", "Source Han Sans", "Noto Sans", "Noto", "IPA")
"""Beginnings of the names of fonts that are tried first for letters that a font lacks."""

NO_FONTS = ("LastResort", "Last Resort", "Noto Color Emoji", "Apple Color Emoji", "Adobe Blank")
"""Fonts that have no outlines of letters."""

ELLIPSIS = "…"

HEADS = (0.5, 0.35, 0.65, 0.2, 0.8, 0.0)
"""Parts of a shortened text that are its beginning, in the order in which they are tried."""

MIN_SHRINK = 0.68
"""How much smaller the letters of a long name in a box may be."""

Title = tuple[str, float]
"""A text, and the size of its letters in points."""

DPI = 150
"""Pixels per inch of figures: letters are fitted to pixels, which changes their widths."""

INVISIBLE = "\N{ZERO WIDTH SPACE}"


class LiteralFigure(Figure):
    """A figure whose texts are drawn as they are written, never as formulas or TeX.

    A notebook displays it, though pyplot does not manage it.
    """

    def draw(self, renderer: Any) -> None:
        """Draw all texts literally, in fonts that have their letters."""
        for axes in self.axes:
            for axis in (axes.xaxis, axes.yaxis):
                axis.get_ticklabels()  # made when a figure is drawn
        for text in self.findobj(Text):
            _make_literal(text)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"Glyph .* missing from font", UserWarning)
            super().draw(renderer)

    def _repr_png_(self) -> bytes:
        from market_abm.runs.folders import drawn

        return drawn(self, dpi=100)


def _make_literal(text: Text) -> None:
    shown = text.get_text()
    text.set_usetex(False)
    text.set_parse_math(False)
    if not shown.isascii():
        own = tuple(text.get_fontfamily())
        more = fallbacks(shown, own)
        if more:
            text.set_fontfamily([*own, *more])


# --- fonts ----------------------------------------------------------------------------------------


@cache
def _letters(path: str) -> frozenset[int]:
    """The characters of a font file; none if it cannot be read."""
    try:
        return frozenset(get_font(path).get_charmap())
    except (OSError, RuntimeError):
        return frozenset()


@cache
def _family_letters(family: str) -> frozenset[int]:
    return _letters(str(findfont(FontProperties(family=[family]))))


def fallbacks(text: str, families: Sequence[str]) -> tuple[str, ...]:
    """Families of installed fonts for the letters of ``text`` that ``families`` lack.

    Letters that no font has are reported once, as a :class:`FigureWarning`.
    """
    more: dict[str, None] = {}
    for letter in dict.fromkeys(text):
        if letter.isspace() or not letter.isprintable():
            continue
        if any(ord(letter) in _family_letters(each) for each in (*families, *more)):
            continue
        found = _family_with(letter)
        if found is None:
            _report()
        else:
            more[found] = None
    return tuple(more)


@cache
def _family_with(letter: str) -> str | None:
    """The family of an installed font that has a letter."""

    def order(font: FontEntry) -> tuple[int, bool, str]:
        known = [n for n, name in enumerate(FALLBACKS) if font.name.startswith(name)]
        return min(known, default=len(FALLBACKS)), font.style != "normal", font.name

    for font in sorted(fontManager.ttflist, key=order):
        if not font.name.startswith((*NO_FONTS, ".")) and ord(letter) in _letters(font.fname):
            return str(font.name)
    return None


@cache
def _report() -> None:
    warnings.warn(FigureWarning(NO_FONT), stacklevel=2)


# --- lengths --------------------------------------------------------------------------------------


def text_width(text: str, size: float, weight: str = "normal") -> float:
    """The width of a line in inches; ``size`` in points."""
    families = tuple(rcParams["font.family"])
    if not text.isascii():
        families += fallbacks(text, families)
    font = get_font([findfont(FontProperties(family=[each], weight=weight)) for each in families])
    font.set_size(size, DPI)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph .* missing from font", UserWarning)
        font.set_text(text)
    return float(font.get_width_height()[0]) / 64 / DPI


def fitted(
    text: str, width: float, size: float, *, weight: str = "normal", head: float = 0.5
) -> str:
    """``text`` in one line, cut where it is wider than ``width`` inches.

    Parameters
    ----------
    text
        What a user wrote.
    width
        Inches.
    size, weight
        Of the font; the size in points.
    head
        The part of what remains that is the beginning of ``text``.
    """
    text = printable(text)
    if text_width(text, size, weight) <= width:
        return labelled(text)

    def cut(kept: int) -> str:
        first = round(head * kept)
        return f"{text[:first].rstrip()}{ELLIPSIS}{text[len(text) - kept + first :].lstrip()}"

    low, high = 1, len(text) - 1  # as many letters as there is room for, at least one
    while low < high:
        middle = (low + high + 1) // 2
        if text_width(cut(middle), size, weight) <= width:
            low = middle
        else:
            high = middle - 1
    return labelled(cut(low))


def all_fitted(
    texts: Iterable[str], width: float, size: float, *, weight: str = "normal"
) -> dict[str, str]:
    """Each of ``texts`` as :func:`fitted`, cut where that tells them apart."""
    texts = list(dict.fromkeys(texts))
    best: dict[str, str] = {}
    for head in HEADS:
        shown = {text: fitted(text, width, size, weight=weight, head=head) for text in texts}
        if len(set(shown.values())) > len(set(best.values())):
            best = shown
        if len(set(best.values())) == len(texts):
            return best
    groups: dict[str, list[str]] = {}
    for text, cut in best.items():
        groups.setdefault(cut, []).append(text)
    for alike in groups.values():
        if len(alike) > 1:  # they differ in the middle: from where they do
            letters = zip(*alike, strict=False)
            start = next((n for n, each in enumerate(letters) if len(set(each)) > 1), 0)
            for text in alike:
                best[text] = fitted(ELLIPSIS + text[start:], width, size, weight=weight, head=1.0)
    return best


def box_titles(names: Mapping[str, str], width: float, size: float) -> dict[str, Title]:
    """Names in boxes: in smaller letters if they are long, and cut if they are longer.

    Parameters
    ----------
    names
        Each name, and what stands after it.
    width
        Of a box, inches.
    size
        Of the letters, in points.
    """
    room, least = 0.92 * width, MIN_SHRINK * size
    titles: dict[str, Title] = {}
    long: dict[str, list[str]] = {}
    for name, more in names.items():
        whole = printable(name) + more
        wide = text_width(whole, size, "bold")
        if MIN_SHRINK * wide <= room:
            titles[name] = (labelled(whole), size * min(1.0, room / wide))
        else:
            long.setdefault(more, []).append(name)
    for more, cut in long.items():
        left = room - text_width(more, least, "bold")
        for name, shown in all_fitted(cut, left, least, weight="bold").items():
            titles[name] = (shown + more, least)
    return titles


def fitted_lines(text: str, width: float, size: float, *, lines: int = 3) -> str:
    """``text`` in at most so many lines of ``width`` inches; only words that are wider are cut."""
    shown: list[str] = []
    words = printable(text).split()
    for k, word in enumerate(words):
        longer = f"{shown[-1]} {word}" if shown else word
        if shown and text_width(longer, size) <= width:
            shown[-1] = longer
        elif len(shown) == lines:
            shown[-1] = fitted(" ".join([shown[-1], *words[k:]]), width, size, head=1.0)
            break
        else:
            shown.append(fitted(word, width, size))
    return labelled("\n".join(shown))


def labelled(text: str) -> str:
    """``text`` as the label of an artist: a legend leaves out those that begin with ``_``."""
    return INVISIBLE + text if text.startswith("_") else text
