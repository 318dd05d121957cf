"""Tables, values and equations of a report as HTML; all text is escaped."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from market_abm.language import mathml
from market_abm.simulation.endings import Status
from market_abm.views.derivation import Pair, Section
from market_abm.views.notebook.pieces import data
from market_abm.views.words.comparison import column_label
from market_abm.views.words.derivation import more_inputs
from market_abm.views.words.report import first_rows
from market_abm.views.words.text import status_text

MAX_ROWS = 100
"""Rows of a table; of more, the first."""

MAX_PAIRS = 12
"""Inputs of a line whose equations are shown; of more, the first."""

LONG_NOTE = 300
"""Characters beyond which the note of a line is shortened."""


def value_html(value: Any) -> str:
    """A value of a file: a number with all its digits behind those that are shown, or text."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return '<span aria-label="none">–</span>'
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float | np.number):
        return data(value)
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return escape(", ".join(value))
    return escape(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


_STATUSES = {each.value for each in Status} - {"interrupted"}
"""Those with a colour of their own in the style sheet."""


def status_html(status: str) -> str:
    """The status of a run as a badge."""
    known = status if status in _STATUSES else "failed"
    return f'<span class="status {known}">{escape(status_text(status))}</span> '


def table_html(
    first: str, rows: Mapping[str, Mapping[str, Any]], columns: Sequence[str], caption: str
) -> str:
    """A table with a header for each row and column; columns that no row has are left out."""
    columns = [column for column in columns if any(column in row for row in rows.values())]
    classes = {
        column: ' class="text"'
        if any(isinstance(row.get(column), str) for row in rows.values())
        else ""
        for column in columns
    }
    heads = "".join(
        f'<th scope="col"{classes[c]}>{escape(c if "." in c else column_label(c))}</th>'
        for c in columns
    )
    lines = []
    for name, row in list(rows.items())[:MAX_ROWS]:
        cells = "".join(f"<td{classes[c]}>{value_html(row.get(c))}</td>" for c in columns)
        lines.append(f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>')
    more = first_rows(MAX_ROWS, len(rows)) if len(rows) > MAX_ROWS else ""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}"><table>\n'
        f"<caption>{escape(caption)}{more}</caption>\n"
        f'<thead><tr><th scope="col" class="text">{escape(first)}</th>{heads}</tr></thead>\n'
        f"<tbody>\n{chr(10).join(lines)}\n</tbody></table></div>"
    )


def facts_html(pairs: Iterable[tuple[str, Any]]) -> str:
    """Names and values as a table of two columns; names without a value are left out."""
    lines = [
        f'<tr><th scope="row">{escape(str(name))}</th>'
        f'<td class="text">{value_html(value)}</td></tr>'
        for name, value in pairs
        if value is not None and value != {}
    ]
    if not lines:
        return ""
    return f'<div class="scroll"><table><tbody>\n{chr(10).join(lines)}\n</tbody></table></div>'


def derivation_html(section: Section) -> str:
    """One section of the derivation: heading, note, and equations side by side."""
    line = mathml.equation(section.line) if section.line else ""
    profit = mathml.equation(section.profit) if section.profit else ""
    heading = line or escape(section.title)
    if profit:
        note = f'<p class="note">{escape(section.preface)}</p>' if section.preface else ""
        note += f'<div class="formula">{profit}</div>'
    else:
        long = len(section.note) > LONG_NOTE
        note = f'<p class="note">{escape(section.preface if long else section.note)}</p>'
    rows = "\n".join(map(_sides, section.pairs[:MAX_PAIRS]))
    more = len(section.pairs) - MAX_PAIRS
    rest = f'<p class="note">{more_inputs(more)}</p>' if more > 0 else ""
    return (
        f'<div class="derived">\n<h3><span class="formula">{heading}</span></h3>\n{note}\n'
        '<table class="pairs"><thead><tr><th scope="col">the firm’s condition</th>'
        '<th scope="col">backprop</th></tr></thead>\n'
        f"<tbody>\n{rows}\n</tbody></table>\n{rest}</div>"
    )


def _sides(pair: Pair) -> str:
    """Both sides of an equation, each with its numbers below."""
    cells = []
    texts = (pair.condition, pair.condition_numbers), (pair.backprop, pair.backprop_numbers)
    names = "the firm’s condition", "backprop"
    for name, (text, numbers), equation in zip(names, texts, pair.equations, strict=True):
        formula = mathml.equation(equation) or escape(text)
        shown = numbers.replace(" * ", " · ").replace("*", " · ").replace("-", "\N{MINUS SIGN}")
        below = f'<span class="numbers">= {escape(shown)}</span>' if numbers else ""
        cells.append(f'<td data-side="{name}"><span class="formula">{formula}</span>{below}</td>')
    return f"<tr>{''.join(cells)}</tr>"
