"""The figures of a sweep in a report: curves along one axis, a phase diagram of two."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from market_abm.views.convergence import FLOOR, Axis, evenly, value_axis
from market_abm.views.numbers import format_plain
from market_abm.views.palette import OKABE_ITO
from market_abm.views.plots.style import is_logarithmic, is_whole
from market_abm.views.plots.sweep import REGIMES, compared_ends
from market_abm.views.plots.sweep_errors import MAX_CURVES
from market_abm.views.report.figures import (
    Figure,
    axis_data,
    kept_rows,
    legend_data,
    line_data,
    listed,
    thinning_note,
)
from market_abm.views.varying import axes_that_vary, with_all_measures
from market_abm.views.words import report as words
from market_abm.views.words.settings import setting_label
from market_abm.views.words.sweep import why_no_figure
from market_abm.views.words.text import RELATIVE_ERROR, STEEPEST_ASCENT, sentence

if TYPE_CHECKING:
    import pandas as pd

MAX_CELLS = 10_000
"""Cells of a phase diagram; of more, every n-th row and column is kept."""


def sweep_figures(
    table: pd.DataFrame, axes: Sequence[str], households: Collection[str] = ()
) -> list[Figure]:
    """Curves if one of ``axes`` varies, a phase diagram if two do, in numbers; else nothing.

    Parameters
    ----------
    table
        ``table.csv``, a row a run.
    axes
        The columns that were swept.
    households
        Which final goods are utilities.
    """
    if why_no_figure(table, axes):
        return []
    numbers, _ = axes_that_vary(table, axes)
    table = with_all_measures(table)
    if len(numbers) == 1:
        return _curves(table, numbers[0], households)
    return _planes(table, *numbers)


def _axis(values: np.ndarray, key: str) -> dict[str, Any]:
    """The axis of a swept setting, in words; with no ticks between whole numbers."""
    scale: Literal["log", "linear"] = "log" if is_logarithmic(values) else "linear"
    return axis_data(Axis(setting_label(key), scale), whole=is_whole(values))


def _status_groups(table: pd.DataFrame) -> list[tuple[dict[str, Any], np.ndarray]]:
    """For each status that occurs its legend entry, and which runs have it."""
    found = []
    for status, (_, label) in REGIMES.items():
        here = (table["status"] == status).to_numpy()
        if here.any():
            found.append(({"label": label, "group": status, "color": status}, here))
    return found


# --- one axis -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Panel:
    """A column of the table along the axis, and the column that it is compared with.

    ``name`` is that of the dashed line; ``clipped`` leaves out of the axis what diverged.
    """

    column: str
    title: str
    note: str
    reference: str | None = None
    name: Literal["", "predicted", "best"] = ""
    clipped: bool = False


PANELS = (
    _Panel("steps", "Steps", words.STEPS_OF_RUNS),
    _Panel(
        "rate",
        "Rate of a step",
        words.RATE_NOTE,
        "predicted_rate",
        "predicted",
    ),
    _Panel("alignment", words.ALIGNMENT_TITLE, sentence(STEEPEST_ASCENT)),
)


def _curves(table: pd.DataFrame, axis: str, households: Collection[str]) -> list[Figure]:
    table, panels = table.sort_values(axis, kind="stable"), list(PANELS)
    for column, reference, what, good in compared_ends(table, households):
        title = words.title_of(what, good)
        panels.append(_Panel(column, title, words.OPTIMUM_NOTE, reference, "best", clipped=True))
    figures = (_curve(table, axis, panel) for panel in panels)
    return [figure for figure in figures if figure is not None]


def _curve(table: pd.DataFrame, axis: str, panel: _Panel) -> Figure | None:
    """One panel; None if it has no number."""
    kept, x, y = kept_rows(len(table)), table[axis].to_numpy(float), table[panel.column]
    y, groups = y.to_numpy(float), _status_groups(table)
    series = [
        {
            "name": entry["label"],
            "group": entry["group"],
            "color": entry["color"],
            "points": True,
            "x": listed(x[kept & here]),
            "y": listed(y[kept & here]),
        }
        for entry, here in groups
    ]
    legend = [{**entry, "box": True} for entry, _ in groups]
    values = y[(table["status"] == "converged").to_numpy()]
    if panel.reference is not None:
        best = table[panel.reference].to_numpy(float)
        line = {"group": panel.name, "color": "ink", "dash": 1}
        more = {"name": panel.name, "x": listed(x[kept]), "y": listed(best[kept])}
        series.append({**line, **more, "thin": True})
        legend.append({**line, "label": panel.name})
        values = np.concatenate([values, best])
    if not np.isfinite(np.concatenate([y, values])).any():
        return None
    upward, beyond = value_axis(y, panel.title.lower()), ""
    found = values[np.isfinite(values)]
    if panel.clipped and found.size:
        upward = Axis(upward.label, limits=(float(found.min()), float(found.max())))
        beyond = words.BEYOND_THE_AXIS
    return {
        "kind": "lines",
        "title": panel.title,
        "note": panel.note + beyond + thinning_note(len(table), "runs"),
        "x": _axis(x, axis),
        "y": axis_data(upward),
        "series": series,
        "legend": legend,
        "alt": words.curve_description(panel.title, len(table), setting_label(axis)),
    }


# --- two axes -------------------------------------------------------------------------------------


def _planes(table: pd.DataFrame, across: str, upward: str) -> list[Figure]:
    """A phase diagram; before it, if all runs end alike, how far prices end from gradients."""
    median = table.pivot_table(index=upward, columns=across, values="error", aggfunc="median")
    alike = table["status"].nunique() == 1 and len(median) <= MAX_CURVES
    shown = alike and len(median) and (median > 0.0).to_numpy().all()
    first = [_final_errors(table, median)] if shown else []
    return [*first, _plane(table, across, upward)]


def _final_errors(table: pd.DataFrame, median: pd.DataFrame) -> Figure:
    """Curves of the error along the first axis, and what theory predicts of it.

    Parameters
    ----------
    table
        A row a run.
    median
        A row for each value of the second axis, a column for each of the first.
    """
    across, upward = str(median.columns.name), str(median.index.name)
    x = median.columns.to_numpy(float)
    shown = median.iloc[evenly(len(median), len(OKABE_ITO))]
    known = "predicted_error" in table and bool(table["predicted_error"].notna().any())
    names = [format_plain(value, 3) for value in shown.index]
    series = [
        {**line_data(n, name, errors), "x": listed(x), "points": known}
        for n, (name, errors) in enumerate(zip(names, shown.to_numpy(float), strict=True))
    ]
    if known:
        theory = table.pivot_table(index=upward, columns=across, values="predicted_error")
        laws = theory.reindex_like(shown).to_numpy(float)
        series += [
            line_data(n, f"{name} (predicted)", law, x=listed(x), dash=1, thin=True)
            for n, (name, law) in enumerate(zip(names, laws, strict=True))
        ]
    label = setting_label(upward)
    return {
        "kind": "lines",
        "title": words.FINAL_ERRORS_TITLE,
        "note": words.final_errors_note(label, len(shown), len(median), predicted=known),
        "x": _axis(x, across),
        "y": axis_data(Axis(RELATIVE_ERROR, "log")),
        "series": series,
        "legend": legend_data(names),
        "alt": words.curve_description(words.FINAL_ERRORS_TITLE, len(table), setting_label(across)),
    }


def _plane(table: pd.DataFrame, across: str, upward: str) -> Figure:
    """A phase diagram, or points if the runs fill no grid."""
    x, y = (np.unique(table[axis].to_numpy(float)) for axis in (across, upward))
    x, y = x[np.isfinite(x)], y[np.isfinite(y)]
    groups = _status_groups(table)
    common = {
        "x": _axis(x, across),
        "y": _axis(y, upward),
        "title": words.STATUS_TITLE,
        "legend": [{**entry, "group": entry["color"], "box": True} for entry, _ in groups],
        "alt": words.status_description(
            (setting_label(across), setting_label(upward)),
            len(table),
            [(entry["label"], int(here.sum())) for entry, here in groups],
        ),
    }
    if len(table[[across, upward]].drop_duplicates()) != len(x) * len(y):
        return {**common, **_points(table, across, upward)}
    return {**common, **_grid(table, (across, x), (upward, y))}


def _points(table: pd.DataFrame, across: str, upward: str) -> Figure:
    """A point a run."""
    kept = kept_rows(len(table))
    return {
        "kind": "lines",
        "note": words.upward(setting_label(upward)) + thinning_note(len(table), "runs"),
        "series": [
            {
                "name": setting_label(upward),
                "group": entry["color"],
                "color": entry["color"],
                "points": True,
                "x": listed(table[across].to_numpy(float)[kept & here]),
                "y": listed(table[upward].to_numpy(float)[kept & here]),
            }
            for entry, here in _status_groups(table)
        ],
    }


def _grid(
    table: pd.DataFrame, across: tuple[str, np.ndarray], upward: tuple[str, np.ndarray]
) -> Figure:
    """A cell for each pair of values of both axes, each given by its name and values."""
    (row, y), (column, x) = upward, across
    stride = int(np.ceil(np.sqrt(len(x) * len(y) / MAX_CELLS)))
    x, y = x[::stride], y[::stride]
    statuses = list(REGIMES)
    code = table["status"].map({status: k for k, status in enumerate(statuses)})
    table = table.assign(code=code.astype(float))

    def cells(values: str, how: Literal["max", "median"]) -> np.ndarray:
        grid = table.pivot_table(index=row, columns=column, values=values, aggfunc=how)
        result: np.ndarray = grid.reindex(index=y, columns=x).to_numpy(float).ravel()
        return result

    status, error = cells("code", "max"), cells("error", "median")
    one = table["status"].nunique() == 1
    shade, largest = _shades(error) if one and np.isfinite(error).any() else ({}, None)
    rate = cells("predicted_rate", "median")
    boundary = bool((rate > 1.0).any() and (rate <= 1.0).any())
    return {
        "kind": "grid",
        "across": listed(x, 12),
        "upward": listed(y, 12),
        "statuses": statuses,
        "status": [None if np.isnan(each) else int(each) for each in status],
        "steps": listed(cells("steps", "median")),
        "error": listed(error),
        "rate": listed(rate),
        "note": words.grid_note(setting_label(row), stride, largest, boundary=boundary),
        **shade,
    }


def _shades(error: np.ndarray) -> tuple[Figure, float]:
    """Where all runs have one status, its shade is the final error; and the largest error."""
    finite = error[np.isfinite(error)]
    size = np.log10(np.maximum(error, FLOOR))
    low, high = (float(np.log10(max(end, FLOOR))) for end in (finite.min(), finite.max()))
    shade = listed(0.12 + 0.88 * (size - low) / max(high - low, 1e-9), 3)
    return {"shade": shade}, float(finite.max())
