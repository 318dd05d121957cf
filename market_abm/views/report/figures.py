"""What the figures of a report have in common: their data as JSON, drawn by ``assets/report.js``.

A figure is a mapping: ``kind`` (lines, grid, bars), ``title``, ``alt`` (the figure in words),
``note``, axes ``x`` and ``y`` (``label``, ``scale``, ``range``, the ``floor`` where 0 is drawn on
a log scale, the ``unit`` of a symlog one) and its data; ``legend`` has an entry for each group of
lines that can be hidden together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from market_abm.views.convergence import Axis, evenly, largest_sales, line_style
from market_abm.views.numbers import format_plain
from market_abm.views.words import report as words

if TYPE_CHECKING:
    import pandas as pd

MAX_POINTS = 1000
"""Points of one line; of more, as many at equal distances are kept."""

MAX_GOODS = 12
"""Goods that are drawn; of more, those with the largest sales."""

Figure = dict[str, Any]


# --- data -----------------------------------------------------------------------------------------


def by_good(path: pd.DataFrame, columns: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Each column as a table of its own: a row a step, a column a good, in the file's order."""
    path = path.drop_duplicates(["step", "good"])
    goods = list(dict.fromkeys(path["good"]))
    return {
        column: path.pivot(index="step", columns="good", values=column)[goods] for column in columns
    }


def chosen_goods(wide: Mapping[str, pd.DataFrame]) -> tuple[list[str], str]:
    """The goods to draw, and a sentence if there are more."""
    goods = list(wide["price"].columns)
    if len(goods) <= MAX_GOODS:
        return goods, ""
    with np.errstate(all="ignore"):
        sales = wide["price"].to_numpy()[-1] * wide["quantity"].to_numpy()[-1]
    return largest_sales(goods, sales, MAX_GOODS), words.largest_goods(MAX_GOODS, len(goods))


def kept_rows(count: int) -> np.ndarray:
    """The rows that are drawn, as a mask, shape (count,)."""
    kept = np.zeros(count, bool)
    kept[evenly(count, MAX_POINTS)] = True
    return kept


def thinning_note(count: int, what: str = "steps") -> str:
    """A sentence if not all rows are drawn."""
    if count <= MAX_POINTS:
        return ""
    return words.thinned(MAX_POINTS, count, what)


def listed(values: np.ndarray, digits: int = 7) -> list[float | None]:
    """Numbers with a few digits as JSON can hold them, with None where there is no number."""
    return [
        float(format_plain(value, digits)) if np.isfinite(value) else None
        for value in np.asarray(values, float).tolist()
    ]


# --- lines ----------------------------------------------------------------------------------------


def axis_data(axis: Axis, **more: Any) -> dict[str, Any]:
    """An axis as the script reads it."""
    data: dict[str, Any] = {"label": axis.label, "scale": axis.scale, **more}
    if axis.limits is not None:
        data["range"] = list(axis.limits)
    if axis.scale == "symlog":
        data["unit"] = axis.unit
    return data


def step_axis_data() -> dict[str, Any]:
    """An axis of whole steps."""
    return axis_data(Axis("step"), whole=True)


def style_data(n: int) -> dict[str, Any]:
    """The colour and dash of the n-th line."""
    color, dash = line_style(n)
    return {"color": f"c{color}", "dash": dash}


REFERENCE = {"color": "ink", "dash": 2, "thin": True}
"""The style of a line that others are compared with."""


def line_data(n: int, name: str, values: np.ndarray, **more: Any) -> dict[str, Any]:
    """The n-th line of a figure, hidden together with others of its group."""
    return {"name": name, "group": n, "y": listed(values), **style_data(n), **more}


def legend_data(names: Iterable[str]) -> list[dict[str, Any]]:
    """A legend with an entry a group."""
    return [{"label": name, "group": n, **style_data(n)} for n, name in enumerate(names)]


def description(what: str, steps: np.ndarray, last: Mapping[str, float]) -> str:
    """A figure in words: the steps, and the last value of each good."""
    return words.path_description(what, steps[0], steps[-1], last)
