"""Economies and input-output tables as a notebook shows them.

Imports no gradients, so that an economy can be shown next to a market, too.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from market_abm.economy.outputs import program_lines
from market_abm.language.expression import name
from market_abm.language.mathml import Equation, equation
from market_abm.views.layout import BOX, Diagram, Point, layout
from market_abm.views.notebook.pieces import (
    FINAL,
    HOUSEHOLD,
    RAW,
    Markup,
    block,
    drawing,
    facts,
    heading,
    lettering,
    marked,
    note,
    shortened,
    table,
)
from market_abm.views.numbers import format_number, format_share
from market_abm.views.outputs import line_equation
from market_abm.views.words.economy import (
    demand_text,
    economy_sizes,
    firms_text,
    network_text,
    reuse_text,
    supply_text,
    table_residuals,
    table_sizes,
)
from market_abm.views.words.households import owner_text
from market_abm.views.words.lines import all_shortened, columns
from market_abm.views.words.taxes import tax_texts
from market_abm.views.words.text import and_more

if TYPE_CHECKING:
    from market_abm.economy.economy import Economy
    from market_abm.economy.industry import Industry
    from market_abm.economy.io_table import InputOutputTable

MAX_LINES, SOME_LINES = 12, 6
"""Lines of a program up to which all are shown; of a longer one, the second number."""

MAX_GOODS, SOME_GOODS = 12, 8
"""The same for goods."""

MAX_BOXES, MAX_ARROWS = 32, 80
"""Goods, and their uses, up to which the network is drawn."""

MAX_INPUTS = 8
"""Inputs of a line up to which its formula is typeset."""

MAX_LINE_LENGTH = 100
"""Characters of a line up to which it is shown in full."""

SCALE = (60.0, 38.0)
"""Pixels per inch of the layout: horizontally and vertically."""


def economy_html(economy: Economy) -> str:
    """The program, the network if it is small, and the goods with the terms of all agents."""
    return block(heading("Economy", economy_sizes(economy)), *economy_parts(economy))


def economy_parts(economy: Economy) -> list[str]:
    """The parts of :func:`economy_html` below its heading."""
    industries = economy.industries
    uses = Counter(good for industry in industries for good in industry.technology.inputs)
    drawn = network(economy) if is_small(economy) else ""
    taxes = [note(f"Taxes: {tax_texts(economy.taxes)}")] if economy.taxes else []
    return [_program(economy), drawn, _goods(economy, uses), *taxes]


def is_small(economy: Economy) -> bool:
    """Whether the network can be drawn as boxes and arrows."""
    uses = sum(len(industry.technology.inputs) for industry in economy.industries)
    goods = len(economy.supply) + len(economy.industries)
    return goods <= MAX_BOXES and uses <= MAX_ARROWS


# --- the program ----------------------------------------------------------------------------------


def _program(economy: Economy) -> str:
    industries = economy.industries
    lines = [each for each in industries if not each.technology.outputs]
    few = len(lines) <= MAX_LINES
    rows = [_line(economy, each) for each in (lines if few else lines[:SOME_LINES])]
    more = len(lines) - len(rows)
    columns = 2 if any(formula for _, formula in rows) else 1
    parameters: dict[str, Any] = {}
    for industry in industries:
        parameters.update(industry.technology.parameters)
    shown = [
        f"{key} = {format_number(value)}" for key, value in list(parameters.items())[:MAX_LINES]
    ]
    return (
        table(("line", "as a formula")[:columns], [row[:columns] for row in rows], words=columns)
        + note(and_more(more, "line"))
        + note(f"with {', '.join(shown)}" if shown else "")
    )


def _line(economy: Economy, industry: Industry) -> tuple[Markup, Markup]:
    technology, several = industry.technology, industry.good in economy.outputs
    text = program_lines(economy.industries)[industry.good] if several else industry.text()
    code = Markup(f"<code>{marked(shortened(text, MAX_LINE_LENGTH))}</code>")
    if len(technology.inputs) > MAX_INPUTS:
        return code, Markup("")
    if several:
        return code, Markup(equation(line_equation(economy, industry), legible=True))
    names = dict(enumerate(technology.inputs))
    formula = equation(Equation(name(industry.good), technology.formula, names), legible=True)
    return code, Markup(formula)


# --- goods ----------------------------------------------------------------------------------------


def _goods(economy: Economy, uses: Counter[str]) -> str:
    """The supplier, the consumer or the firms of each good; of many goods, some raw and final."""
    made = {industry.good: industry for industry in economy.industries}
    goods = [*economy.supply, *made]
    few, half = len(goods) <= MAX_GOODS, SOME_GOODS // 2 - 1
    some = [*list(economy.supply)[:half], *list(economy.demand)[:half], *goods]
    shown = set(goods if few else list(dict.fromkeys(some))[:SOME_GOODS])
    rows = []
    for good in goods:
        if good not in shown:
            continue
        industry = made.get(good)
        if industry is None:
            kind, terms = "raw", supply_text(economy.supply[good])
        elif good in economy.households:
            kind, terms = "household", owner_text(economy.households[good])
        elif good in economy.demand:
            kind, terms = "final", demand_text(economy.demand[good])
        else:
            kind, terms = "intermediate", ""
        rows.append(
            (
                shortened(economy.label(good), 48),
                kind,
                terms,
                reuse_text(uses[good], economy.reuse[good]),
                "" if industry is None else firms_text(industry),
            )
        )
    columns = ["good", "kind", "terms", "reuse", "firms"]
    kept = [k for k in range(len(columns)) if any(row[k] not in ("", "1") for row in rows)]
    more = len(goods) - len(rows)
    return table(
        [columns[k] for k in kept], [[row[k] for k in kept] for row in rows], words=len(kept)
    ) + note(and_more(more, "good"))


# --- the network ----------------------------------------------------------------------------------


def network(
    economy: Economy, notes: Mapping[str, str] | None = None, *, styled: bool = True
) -> str:
    """The network as a drawing: goods as boxes, uses as arrows.

    Parameters
    ----------
    economy
        The economy.
    notes
        A second line for the boxes of some goods.
    styled
        As of :func:`drawing`.
    """
    plan = layout(Diagram.of_goods(economy))
    across, upward = SCALE
    points = [*(point for route in plan.routes.values() for point in route)]
    for x, y in plan.boxes.values():
        points += [(x - BOX[0] / 2, y - BOX[1] / 2), (x + BOX[0] / 2, y + BOX[1] / 2)]
    low, high = np.min(points, axis=0), np.max(points, axis=0)
    margin = 4.0

    def place(point: Point) -> Point:
        return margin + (point[0] - low[0]) * across, margin + (high[1] - point[1]) * upward

    parts = [_arrow([place(point) for point in route]) for route in plan.routes.values()]
    notes, names = notes or {}, all_shortened(economy.goods, 18)
    parts += [
        _box(economy, good, names[good], place(centre), notes.get(good, ""))
        for good, centre in plan.boxes.items()
    ]
    width, height = (high - low) * np.array(SCALE) + 2 * margin
    return drawing(float(width), float(height), network_text(economy), parts, styled=styled)


def _box(economy: Economy, good: str, text: str, centre: Point, note: str) -> str:
    """A rounded box with the name of a good and a note, coloured if it is raw or final."""
    width, height = BOX[0] * SCALE[0], BOX[1] * SCALE[1]
    color = RAW if good in economy.supply else FINAL if good in economy.demand else "currentColor"
    color = HOUSEHOLD if good in economy.households else color
    shade, edge = (0.06, 0.5) if color == "currentColor" else (0.2, 1)
    size = round(min(12.0, 145.0 / max(1, columns(text))), 1)
    up = 6.0 if note else 0.0
    corner = f'x="{centre[0] - width / 2:.1f}" y="{centre[1] - height / 2:.1f}"'
    return (
        f'<rect {corner} width="{width:.1f}" height="{height:.1f}" rx="6" fill="{color}" '
        f'fill-opacity="{shade}" stroke="{color}" stroke-opacity="{edge}"/>'
        + lettering(centre[0], centre[1] + size / 3 - up, text, size=size)
        + (lettering(centre[0], centre[1] + 11.0, note, size=10) if note else "")
    )


def _arrow(route: list[Point]) -> str:
    """A curve with an arrowhead at its end."""
    tip, before = route[-1], next((p for p in route[-2::-1] if p != route[-1]), route[0])
    length = math.dist(tip, before) or 1.0
    ux, uy = (tip[0] - before[0]) / length, (tip[1] - before[1]) / length
    sides = [(tip[0] - 8 * ux - s * 3 * uy, tip[1] - 8 * uy + s * 3 * ux) for s in (1, -1)]
    head = " ".join(f"{x:.1f},{y:.1f}" for x, y in (tip, *sides))
    start, *rest = (f"{x:.1f},{y:.1f}" for x, y in route)
    return (
        f'<g opacity="0.6"><path d="M{start} C{" ".join(rest)}"/>'
        f'<polygon points="{head}" fill="currentColor" stroke="none"/></g>'
    )


# --- input-output tables --------------------------------------------------------------------------


def table_html(io_table: InputOutputTable) -> str:
    """Its size, its accounting residuals, and its largest industries."""
    first = np.argsort(-io_table.output, kind="stable")[:MAX_GOODS]
    rows = [
        (
            io_table.codes[k],
            shortened(io_table.names[k], 60),
            io_table.output[k],
            io_table.final_use[k],
            format_share(io_table.primary_shares[k], 1),
        )
        for k in first
    ]
    more = io_table.size - len(rows)
    return block(
        heading("Input-output table", table_sizes(io_table)),
        table(("code", "industry", "output", "final use", "primary inputs"), rows, words=2),
        note(and_more(more, "industry", "industries")),
        facts(table_residuals(io_table)),
    )
