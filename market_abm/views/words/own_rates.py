"""Own rates of interest in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from market_abm.views.numbers import format_count, format_error, format_plain

if TYPE_CHECKING:
    import pandas as pd

    from market_abm.runs.result import Result

TITLE = "Own rates of interest"
NOTE = "What one unit of a good earns, in units of the good: p[t]/p[t+1] - 1"
CAPTION = f"{NOTE}; of prices, of exact gradients, and as predicted, at the last step."
FIGURE_NOTE = (
    f"{NOTE}. Solid: of prices; dashed: of exact gradients; black points: as the experiment's "
    "formulas predict."
)
FIGURE_TITLE = "Own rates of interest by date"
DATE_LABEL = "date t"
RATE_LABEL = "own rate of interest"
PREDICTED = "predicted"
GRADIENT = "gradient"
"""Headers and labels of tables and figures."""

MAX_NAMES = 4
"""Dated goods of which each has a sentence."""

ROUNDING = 1e-9
"""Differences of rates up to which it does not matter where they are largest."""


def of_gradient(name: str) -> str:
    """The own rates by exact gradients."""
    return f"{name} ({GRADIENT})"


def of_formula(name: str) -> str:
    """The own rates that are predicted."""
    return f"{name} ({PREDICTED})"


def some_dates(shown: int, total: int) -> str:
    """How many rows of the table are printed."""
    return f"{shown} of {format_count(total, 'date')}; all are in summary.json."


def description(first: float, last: float, ends: Mapping[str, float]) -> str:
    """The figure in words: the dates, and the last rate of each dated good."""
    rates = "; ".join(f"{name} {format_plain(rate)}" for name, rate in ends.items())
    return f"{TITLE} at dates {first:.0f} to {last:.0f}. At the last: {rates}."


def first_names(shown: int, total: int) -> str:
    """How many dated goods are drawn."""
    return f" Of {total:,}, the first {shown}." if shown < total else ""


def own_rates_sentences(result: Result) -> list[str]:
    """How far own rates of interest are from those of the gradient, and from those predicted."""
    table = result.own_rates()
    formulas = {
        each.name: each.formula
        for each in result.experiment.dated_goods(result.experiment.own_rates)
    }
    names = list(dict.fromkeys(table["name"]))
    told = [
        _sentence(name, formulas.get(name, ""), table[table["name"] == name])
        for name in names[:MAX_NAMES]
    ]
    return [f"{TITLE}, p[t]/p[t+1] - 1, of {each}" for each in told]


def _sentence(name: str, formula: str, rows: pd.DataFrame) -> str:
    parts = [_distance(rows, "gradient", "those of the gradient")]
    if formula:
        parts.append(_distance(rows, "predicted", f"those predicted ({formula})"))
    return f"{name}: {', '.join(parts)}."


def _distance(rows: pd.DataFrame, column: str, what: str) -> str:
    """The largest distance of a rate from ``what``, in a column; if it is not rounding, where."""
    with np.errstate(all="ignore"):
        gaps = np.abs(rows["rate"].to_numpy(float) - rows[column].to_numpy(float))
    if not np.isfinite(gaps).any():
        return f"not comparable with {what}"
    worst, dates = int(np.nanargmax(gaps)), rows["t"].to_numpy()
    if gaps[worst] <= ROUNDING:
        return f"within {format_error(gaps[worst])} of {what}"
    where = f"at t = {dates[worst]}"
    if worst != len(gaps) - 1:
        where += f"; {format_plain(gaps[-1], 3)} at t = {dates[-1]}"
    return f"within {format_plain(gaps[worst], 3)} ({where}) of {what}"
