"""The supply network of an economy of many goods: a box a family."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from market_abm.runs.families import family_table
from market_abm.views.family_network import FamilyNetwork
from market_abm.views.layout import BOX, layout
from market_abm.views.numbers import format_error, format_label
from market_abm.views.palette import INK
from market_abm.views.plots.lettering import box_titles
from market_abm.views.plots.network_parts import BID, FLOW, arrow, box, canvas, captions, label
from market_abm.views.words.families import network_note, shown_mean
from market_abm.views.words.households import WEIGHT
from market_abm.views.words.lines import shortened
from market_abm.views.words.text import step_title

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from market_abm.economy.economy import Economy
    from market_abm.economy.families import Family
    from market_abm.runs.result import Result

LINE = (0.7, 2.4)
"""Points of the arrow of one use, and of that of the most."""


def family_network(result: Result, network: FamilyNetwork) -> Figure:
    """The families at the last step: their members, mean price and largest error.

    An arrow stands for all uses of one family by another, or by itself; its width is their number,
    on a log scale.
    """
    economy, plan = result.experiment.economy, layout(network.diagram)
    figure, axes, scale = canvas(plan)
    titles = box_titles(dict.fromkeys(plan.boxes, ""), BOX[0] * scale, 9.5 * scale)
    table = family_table(network.families.values(), result.table())
    for name, centre in plan.boxes.items():
        family = network.families[name]
        rows = _rows(result, family, table.loc[name])
        box(axes, kind(economy, family), titles[name], centre, scale, rows)
    counts = np.array(list(network.counts.values()))
    widths = LINE[0] + (LINE[1] - LINE[0]) * np.log(counts) / max(1.0, np.log(counts.max()))
    for (use, count), width in zip(network.counts.items(), widths, strict=True):
        arrow(axes, plan.routes[use], scale, float(width))
        label(axes, [(f"{count:,}", FLOW)], plan.labels[use], scale, above=1.0 + 0.5 * float(width))
    title = step_title(shortened(result.experiment.name, 40), result.steps)
    captions(axes, title, network_note(len(economy.goods)))
    return figure


def _rows(result: Result, family: Family, row: pd.Series[float]) -> list[tuple[str, str, str]]:
    """Members, mean price and largest error; of one good its quantity; what households earn."""
    first = ("goods", f"{len(family):,}", FLOW)
    if len(family) == 1:
        first = ("quantity", format_label(row["quantity"]), FLOW)
    if family.goods[0] in result.households:
        income = sum(result.households[name].income for name in family.goods)
        return [
            ("earn", format_label(income), BID),
            (WEIGHT, format_label(shown_mean(row)), INK),
        ]
    price, error = format_label(shown_mean(row)), format_error(row["error"])
    return [first, ("price", price, BID), ("error", error, INK)]


def kind(economy: Economy, family: Family) -> str:
    """Whether a family is raw, as all its members are, of households, final, as any is, or made."""
    if family.goods[0] in economy.households:
        return "household"
    if all(good in economy.supply for good in family.goods):
        return "raw"
    return "final" if any(good in economy.demand for good in family.goods) else "made"
