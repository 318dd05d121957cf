"""Text in figures: drawn as it is written, measured, and in fonts that have its letters.

Names of goods, sectors, experiments and keys come from users: they may hold ``$``, begin with
``_``, be long, or be written in letters that Matplotlib's own font lacks.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache, partial
from typing import Any

import numpy as np
from matplotlib import rcParams
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontEntry, FontProperties, findfont, fontManager, get_font
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogFormatterMathtext, NullFormatter

from market_abm.errors import FigureWarning
from market_abm.views.numbers import format_label, format_power_of_ten
from market_abm.views.words.figures import NO_FONT
from market_abm.views.words.lines import ELLIPSIS, printable, told_apart

FALLBACKS = ("DejaVu Sans", "Noto Sans CJK", "Source Han Sans", "Noto Sans", "Noto", "IPA")
"""Beginnings of the names of fonts that are tried first for letters that a font lacks."""

NO_FONTS = ("LastResort", "Last Resort", "Noto Color Emoji", "Apple Color Emoji", "Adobe Blank")
"""Fonts that have no outlines of letters."""

DPI, SPARE = 150, 1.03
"""Pixels an inch of figures, and how much wider a line may be at others."""

MIN_SHRINK = 0.68
"""How much smaller the letters of a long name in a box may be."""

Title = tuple[str, float]
"""A text, and the size of its letters in points."""


INVISIBLE = "\N{ZERO WIDTH SPACE}"


class LiteralFigure(Figure):
    """A figure whose texts are drawn as they are written, never as formulas or TeX.

    A notebook displays it, though pyplot does not manage it.
    """

    def draw(self, renderer: Any) -> None:
        """Draw all texts literally, in fonts that have their letters."""
        for axes in self.axes:
            for axis in (axes.xaxis, axes.yaxis):
                if isinstance(axis.get_major_formatter(), LogFormatterMathtext):
                    axis.set_major_formatter(FuncFormatter(lambda value, _: _power(value)))
                if isinstance(axis.get_minor_formatter(), LogFormatterMathtext):
                    axis.set_minor_formatter(NullFormatter())
                axis.get_ticklabels()  # made when a figure is drawn
        for text in self.findobj(Text):
            _make_literal(text)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"Glyph .* missing from font", UserWarning)
            super().draw(renderer)

    def _repr_png_(self) -> bytes:
        from market_abm.runs.folders import drawn

        return drawn(self, dpi=100)


def _power(value: float) -> str:
    """A tick of a logarithmic axis."""
    exact = value > 0.0 and np.isclose(np.log10(value) % 1.0, [0.0, 1.0]).any()
    return format_power_of_ten(value) if exact else format_label(value)


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


@lru_cache(4096)
def text_width(text: str, size: float, weight: str = "normal") -> float:
    """The width of a line in inches; ``size`` in points."""
    families = tuple(rcParams["font.family"])
    if not text.isascii():
        families += fallbacks(text, families)
    font = FontProperties(family=list(families), size=size, weight=weight)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph .* missing from font", UserWarning)
        wide, _, _ = _renderer().get_text_width_height_descent(text, font, False)
    return SPARE * float(wide) / DPI


@cache
def _renderer() -> Any:
    renderer: Any = RendererAgg
    return renderer(8, 8, DPI)


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
    return told_apart(texts, partial(_cut, width=width, size=size, weight=weight))


def _cut(text: str, head: float, *, width: float, size: float, weight: str) -> str:
    return fitted(text, width, size, weight=weight, head=head)


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
