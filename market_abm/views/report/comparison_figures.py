"""The figures of a comparison in a report: with the twin of a market, or between mechanisms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from market_abm.views.convergence import FLOOR, Axis, value_axis
from market_abm.views.report.figures import (
    REFERENCE,
    Figure,
    axis_data,
    by_good,
    chosen_goods,
    description,
    kept_rows,
    legend_data,
    line_data,
    listed,
    step_axis_data,
    thinning_note,
)
from market_abm.views.words import report as words
from market_abm.views.words.figures import PRICE_LABEL

if TYPE_CHECKING:
    import pandas as pd


def optimizer_figures(path: pd.DataFrame) -> list[Figure]:
    """Prices and quantities of a market and its twin, and the distance between them.

    Parameters
    ----------
    path
        The ``comparison.csv`` of a market and its twin, a row a step and good.
    """
    wide = by_good(path, ("price", "twin_price", "quantity", "twin_quantity"))
    goods, shown = chosen_goods(wide)
    note = thinning_note(len(wide["price"])) + shown
    pairs = {
        "Prices": (wide["price"], wide["twin_price"], PRICE_LABEL),
        "Quantities": (wide["quantity"], wide["twin_quantity"], "units"),
    }
    return [
        *(
            _paths(what, market[goods], twin[goods], label, note)
            for what, (market, twin, label) in pairs.items()
        ),
        _distances(
            {what.lower(): (market, twin) for what, (market, twin, _) in pairs.items()},
        ),
    ]


def _common(table: pd.DataFrame) -> tuple[np.ndarray, Figure]:
    """The rows of a table that are drawn, and what all figures share."""
    steps = table.index.to_numpy(float)
    kept = kept_rows(len(steps))
    return kept, {"kind": "lines", "steps": listed(steps[kept]), "x": step_axis_data()}


def _paths(what: str, market: pd.DataFrame, twin: pd.DataFrame, label: str, note: str) -> Figure:
    kept, common = _common(market)
    goods = list(market.columns)
    return {
        **common,
        "title": words.both_paths_title(what),
        "note": words.BOTH_PATHS_NOTE + note,
        "y": axis_data(value_axis(market.to_numpy(), label)),
        "series": [
            *(line_data(n, g, market[g].to_numpy()[kept]) for n, g in enumerate(goods)),
            *(
                line_data(n, f"{good} (twin)", twin[good].to_numpy()[kept], **REFERENCE)
                for n, good in enumerate(goods)
            ),
        ],
        "legend": legend_data(goods),
        "alt": description(what, market.index.to_numpy(float), market.iloc[-1].to_dict()),
    }


def _distances(pairs: Mapping[str, tuple[pd.DataFrame, pd.DataFrame]]) -> Figure:
    """The largest difference of any good, relative to its largest size, step by step."""
    series = []
    for n, (name, (market, twin)) in enumerate(pairs.items()):
        kept, common = _common(market)
        with np.errstate(all="ignore"):
            one, other = market.to_numpy(), twin.to_numpy()
            size = np.maximum(np.abs(one), np.abs(other)).max(axis=0, initial=0.0)
            gap = (np.abs(one - other) / np.where(size > 0.0, size, 1.0)).max(axis=1)
        series.append(line_data(n, name, gap[kept]))
    return {
        **common,
        "title": words.DISTANCE_TITLE,
        "note": words.DISTANCE_NOTE + thinning_note(len(market)),
        "y": axis_data(Axis("distance", "log"), floor=FLOOR),
        "series": series,
        "legend": legend_data(pairs),
        "alt": words.DISTANCE_DESCRIPTION,
    }


def mechanism_figures(table: Sequence[Mapping[str, Any]]) -> list[Figure]:
    """The steps that each mechanism took, as bars from 0."""
    rows = [row for row in table if isinstance(row.get("steps"), int | float)]
    if not rows:
        return []
    names = [str(row.get("mechanism", "")) for row in rows]
    steps = [float(row["steps"]) for row in rows]
    return [
        {
            "kind": "bars",
            "title": words.STEPS_TITLE,
            "note": words.STEPS_NOTE,
            "names": names,
            "values": listed(np.array(steps)),
            "alt": words.steps_description(list(zip(names, steps, strict=True))),
        }
    ]
