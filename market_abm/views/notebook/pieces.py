"""Elements of HTML: numbers, tables, drawings.

All text is escaped. Styles are inline and use the current colour of text, so that they suit light
and dark pages; a viewer that drops styles shows plain tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from market_abm.views.numbers import format_number

RAW, FINAL, HOUSEHOLD = "#E69F00", "#009E73", "#CC79A7"
"""Colours of raw and final goods and households, seen on white and black (Okabe and Ito 2008)."""

NOTE = "margin:0.3em 0;font-size:0.9em;opacity:0.75"

CELL = "padding:0.15em 0.7em;vertical-align:middle"

LEFT, RIGHT = f"{CELL};text-align:left", f"{CELL};text-align:right"

RULE = "border-bottom:1px solid"

Cell = Any
"""A number, text, or HTML (:class:`Markup`)."""


class Markup(str):
    """HTML, as opposed to text that has to be escaped."""

    __slots__ = ()


def data(value: Any, digits: int = 6) -> Markup:
    """A rounded number, with its exact value as an attribute."""
    exact = repr(value) if isinstance(value, int) else repr(float(value))
    return Markup(f'<data value="{exact}">{format_number(value, digits)}</data>')


def shortened(text: str, most: int) -> str:
    """``text``, cut at its end if it is longer than ``most`` characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def marked(text: str) -> Markup:
    """``text``, escaped; characters that UTF-8 cannot encode become question marks."""
    return Markup(escape(text.encode("utf-8", "replace").decode("utf-8")))


def block(*parts: str) -> str:
    """One element that holds all parts; a notebook must not typeset ``$`` in it as formulas."""
    ignored = "tex2jax_ignore mathjax_ignore"
    body = "".join(part for part in parts if part)
    return f'<div class="{ignored}" style="max-width:60em">\n{body}</div>'


def heading(name: str, text: str = "") -> str:
    """A name in bold, and a description."""
    after = f": {marked(text)}" if text else ""
    return f'<p style="margin:0.5em 0"><strong>{marked(name)}</strong>{after}</p>\n'


def paragraph(text: str) -> str:
    """A paragraph; nothing if the text is empty."""
    return f'<p style="margin:0.5em 0">{marked(text)}</p>\n' if text else ""


def note(text: str) -> str:
    """A paragraph in small type; nothing if the text is empty."""
    return f'<p style="{NOTE}">{marked(text)}</p>\n' if text else ""


def table(heads: Sequence[str], rows: Iterable[Sequence[Cell]], words: int = 1) -> str:
    """A table whose first ``words`` columns are text, the first of them the headers of rows."""
    aligned = [LEFT if k < words else RIGHT for k in range(len(heads))]
    head = "".join(
        f'<th scope="col" style="{style};{RULE}">{marked(text)}</th>'
        for text, style in zip(heads, aligned, strict=True)
    )
    lines = []
    for row in rows:
        first, *cells = (_cell(cell) for cell in row)
        rest = "".join(
            f'<td style="{style}">{cell}</td>'
            for cell, style in zip(cells, aligned[1:], strict=True)
        )
        lines.append(
            f'<tr><th scope="row" style="{LEFT};font-weight:normal">{first}</th>{rest}</tr>'
        )
    return (
        '<div style="overflow-x:auto"><table style="border-collapse:collapse;margin:0.3em 0">\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{chr(10).join(lines)}\n</tbody></table></div>\n"
    )


def facts(pairs: Iterable[tuple[str, Cell]]) -> str:
    """A table of names and values; nothing if there are none."""
    rows = list(pairs)
    lines = "\n".join(
        f'<tr><th scope="row" style="{LEFT};font-weight:normal;opacity:0.75">{marked(name)}</th>'
        f'<td style="{LEFT}">{_cell(value)}</td></tr>'
        for name, value in rows
    )
    style = "border-collapse:collapse;margin:0.3em 0"
    return f'<table style="{style}"><tbody>\n{lines}\n</tbody></table>\n' if rows else ""


def _cell(value: Cell) -> str:
    if isinstance(value, Markup):
        return value
    if isinstance(value, str):
        return marked(value)
    return data(value)


def drawing(
    width: float, height: float, title: str, parts: Iterable[str], *, styled: bool = True
) -> str:
    """A drawing as SVG.

    Parameters
    ----------
    width, height
        Pixels.
    title
        What describes it.
    parts
        Its elements.
    styled
        Whether it has inline styles; without them it is an element of class ``drawing``.
    """
    outer = 'style="overflow-x:auto"' if styled else 'class="drawing"'
    inner = 'style="max-width:100%;height:auto" ' if styled else ""
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    return (
        f'<div {outer}><svg xmlns="http://www.w3.org/2000/svg" {size} role="img" '
        f'{inner}fill="none" stroke="currentColor">\n'
        f"<title>{marked(title)}</title>\n{chr(10).join(parts)}\n</svg></div>\n"
    )


def lettering(x: float, y: float, text: str, *, anchor: str = "middle", size: float = 12) -> str:
    """Text in a drawing, in the current font and colour."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size:g}" '
        f'stroke="none" fill="currentColor">{marked(text)}</text>'
    )
