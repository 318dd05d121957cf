"""The figures of a run in a report: prices, errors, quantities, welfare and alignment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from market_abm.views.convergence import FLOOR, ConvergencePicture, Paths, value_axis
from market_abm.views.ranges import settled_record, shown_until
from market_abm.views.report.figures import (
    MAX_GOODS,
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
from market_abm.views.words import weights as of_weights

if TYPE_CHECKING:
    import pandas as pd


def run_figures(
    path: pd.DataFrame,
    measures: pd.DataFrame | None,
    *,
    tolerance: float | None = None,
    best_welfare: float | None = None,
    weights: Mapping[str, float | None] | None = None,
    shocks: Sequence[int] = (),
    note: str = "",
) -> list[Figure]:
    """Prices, errors, quantities, weights, welfare and alignment along a run.

    Parameters
    ----------
    path
        ``trajectory.csv``, a row a step and good.
    measures
        ``measures.csv``, a row a step; without it welfare and alignment are left out.
    tolerance, best_welfare
        Where known, they are drawn as horizontal lines.
    weights
        Of each household its weight in equilibrium, where known.
    shocks
        Steps, drawn as vertical lines.
    note
        What the names in ``path`` are, if not goods.
    """
    wide = by_good(path, ("price", "gradient", "error", "quantity"))
    goods, shown = chosen_goods(wide)
    steps = wide["price"].index.to_numpy(float)
    kept = kept_rows(len(steps))
    arrays = {what: table.to_numpy()[kept] for what, table in wide.items()}
    paths = Paths(
        steps=steps[kept],
        goods=tuple(wide["price"].columns),
        prices=arrays["price"],
        gradients=arrays["gradient"],
        errors=arrays["error"],
    )
    picture = ConvergencePicture.of_paths(paths, goods, tolerance=tolerance, shocks=shocks)
    note = thinning_note(len(steps)) + (note or shown)
    quantities = wide["quantity"][goods].to_numpy()[kept]
    figures = [
        _prices(picture, note),
        _errors(picture, note),
        _quantities(picture, quantities, note),
    ]
    names = [name for name in weights or {} if name in wide["price"]][:MAX_GOODS]
    if weights and names:
        figures.append(_weights(picture, wide["price"][names].to_numpy()[kept], names, weights))
    if measures is None:
        return figures
    return [
        *figures,
        *_measures(picture, measures, "welfare", best_welfare),
        *_measures(picture, measures, "alignment", None),
        *(_measures(picture, measures, "gain_fraction", None) if weights else []),
    ]


def _weights(
    picture: ConvergencePicture,
    path: np.ndarray,
    names: Sequence[str],
    best: Mapping[str, float | None],
) -> Figure:
    """The weights of households, ``path`` of shape (records, households), and in equilibrium."""
    until = shown_until(picture.steps, settled_record(path))
    reference = [
        line_data(
            n, of_weights.of_equilibrium(name), np.full(len(path), best[name], float), **REFERENCE
        )
        for n, name in enumerate(names)
        if best[name] is not None
    ]
    return {
        **_common(picture, until),
        "title": of_weights.TITLE,
        "note": of_weights.REPORT_NOTE + words.first_steps(until, picture.steps[-1]),
        "y": axis_data(value_axis(path, of_weights.AXIS)),
        "series": [*(line_data(n, name, path[:, n]) for n, name in enumerate(names)), *reference],
        "legend": legend_data(names),
        "alt": description(
            of_weights.TITLE, picture.steps, dict(zip(names, path[-1], strict=True))
        ),
    }


def _common(picture: ConvergencePicture, until: float | None = None) -> Figure:
    """What all figures of a run share; ``until``: the last step that is drawn at first."""
    axis = step_axis_data()
    if until is not None and until < picture.steps[-1]:
        axis["range"] = [float(picture.steps[0]), until]
    return {
        "kind": "lines",
        "steps": listed(picture.steps),
        "x": axis,
        "stops": [step for step in picture.shocks if until is None or step <= until],
    }


def _prices(picture: ConvergencePicture, note: str) -> Figure:
    series, until = list(enumerate(picture.series)), picture.prices_until
    return {
        **_common(picture, until),
        "title": words.PRICES_TITLE,
        "note": words.PRICES_NOTE + words.first_steps(until, picture.steps[-1]) + note,
        "y": axis_data(picture.price_axis),
        "series": [
            *(line_data(n, each.good, each.prices) for n, each in series),
            *(
                line_data(n, f"{each.good} (gradient)", each.gradients, **REFERENCE)
                for n, each in series
            ),
        ],
        "legend": legend_data(each.good for each in picture.series),
        "alt": description(
            "Prices", picture.steps, {each.good: each.prices[-1] for each in picture.series}
        ),
    }


def _errors(picture: ConvergencePicture, note: str) -> Figure:
    tolerance = picture.tolerance if picture.tolerance_shown else None
    line = words.tolerance_line(tolerance) if tolerance else ""
    over = [np.flatnonzero(~each.error_curve[0]).tolist() for each in picture.series]
    passed, until = words.EXACT_PASSED_OVER if any(over) else "", picture.errors_until
    return {
        **_common(picture, until),
        "title": words.ERRORS_TITLE,
        "note": words.ERRORS_NOTE
        + words.first_steps(until, picture.steps[-1])
        + note
        + line
        + passed,
        "y": axis_data(picture.error_axis, floor=FLOOR),
        "series": [
            line_data(n, each.good, each.errors, over=over[n])
            for n, each in enumerate(picture.series)
        ],
        "legend": legend_data(each.good for each in picture.series),
        "marks": [{"y": tolerance}] if tolerance else [],
        "alt": description(
            "Errors", picture.steps, {each.good: each.errors[-1] for each in picture.series}
        ),
    }


def _quantities(picture: ConvergencePicture, quantities: np.ndarray, note: str) -> Figure:
    """``quantities`` has shape (records, series)."""
    goods = [each.good for each in picture.series]
    until = shown_until(picture.steps, settled_record(quantities))
    return {
        **_common(picture, until),
        "title": "Quantities",
        "note": words.QUANTITIES_NOTE + words.first_steps(until, picture.steps[-1]) + note,
        "y": axis_data(value_axis(quantities, "units")),
        "series": [line_data(n, good, quantities[:, n]) for n, good in enumerate(goods)],
        "legend": legend_data(goods),
        "alt": description(
            "Quantities", picture.steps, dict(zip(goods, quantities[-1], strict=True))
        ),
    }


def _measures(
    picture: ConvergencePicture, measures: pd.DataFrame, column: str, best: float | None
) -> list[Figure]:
    """One measure over the steps, with the ``best`` value if known; none if it has no number."""
    steps, values = measures["step"].to_numpy(float), measures[column].to_numpy(float)
    if not np.isfinite(values).any():
        return []
    kept, (title, note) = kept_rows(len(steps)), words.MEASURES[column]
    if best is not None:
        note += words.optimum_line(best)
    axis: dict[str, Any] = axis_data(value_axis(values, column))
    if column in ("alignment", "gain_fraction"):
        axis["range"] = [-1.0, 1.0]
    figure = {
        **_common(picture),
        "steps": listed(steps[kept]),
        "title": title,
        "note": note + thinning_note(len(steps)),
        "y": axis,
        "series": [line_data(0, column, values[kept])],
        "marks": [] if best is None else [{"y": best}],
        "alt": words.measure_description(title, len(steps), values[-1]),
    }
    return [figure]
