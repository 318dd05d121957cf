"""Experiments, runs and comparisons as a notebook shows them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from market_abm.analysis.measures import MEASURES
from market_abm.analysis.observer import relative_error
from market_abm.views import words
from market_abm.views.notebook.economy import economy_parts
from market_abm.views.notebook.pieces import (
    FINAL,
    Cell,
    Markup,
    block,
    data,
    drawing,
    facts,
    heading,
    lettering,
    note,
    paragraph,
    shortened,
    table,
)
from market_abm.views.numbers import format_count, format_number, format_plain

if TYPE_CHECKING:
    from market_abm.experiment.experiment import Experiment
    from market_abm.runs.result import Result
    from market_abm.studies.comparisons import MechanismComparison, OptimizerComparison

MAX_GOODS = 10
"""Goods in the table of a run; of more, those with the largest sales."""


MAX_POINTS = 200
"""Steps in the figure of a run; of more, as many at equal distances."""


FLOOR = 1e-17
"""The smallest error on the axis of the figure: below is rounding."""


MAX_BUYERS = 60
"""Buyers up to which displaying a run computes its optimum."""


MAX_NUMBERS = 200_000
"""Recorded prices up to which displaying a run computes their staleness."""


MAX_SHOCKS = 8
"""Shocks that are listed."""


STATUS = {
    "converged": "✓",
    "max_steps": "…",
    "oscillating": "~",
    "diverged": "✗",
    "interrupted": "…",
}
"""A mark for the status of a run."""


ALWAYS = {"market": ("mechanism",), "run": ("engine", "steps", "tolerance", "seed")}
"""Settings that are always shown; others are if they differ from the default."""


ROUNDING = 1e-12
"""A relative distance below which it is rounding, whose step means nothing."""


SHORT = {"wasted": 2, "money_made": 2}
"""Significant digits of columns that are mostly rounding."""


# --- runs -----------------------------------------------------------------------------------------


def result_html(result: Result) -> str:
    """How the run ended, prices beside gradients, the error over time, and all measures."""
    experiment = result.experiment
    with np.errstate(all="ignore"):  # it may have diverged
        return block(
            heading(experiment.name, experiment.question),
            paragraph(f"{STATUS[result.status]} {words.ending_sentence(result)}"),
            _prices(result),
            _errors(result),
            facts(_measures(result)),
        )


def _prices(result: Result) -> str:
    """Quantity, price, gradient and error at the last step, of the goods with the largest sales."""
    goods, economy = result.goods, result.experiment.economy
    size = np.nan_to_num(np.abs(result.sales), nan=np.inf)
    shown = np.sort(np.argsort(-size, kind="stable")[:MAX_GOODS])
    columns = (result.last.quantities, result.last.prices, result.last_gradients)
    rows = [
        (
            shortened(economy.label(goods[k]), 48),
            *(column[k] for column in columns),
            data(result.last_errors[k], 2),
        )
        for k in shown
    ]
    all_shown = len(rows) == len(goods)
    return table(("good", "quantity", "price", "gradient", "error"), rows) + note(
        "" if all_shown else words.largest_note(len(rows), len(goods))
    )


def _measures(result: Result) -> Iterable[tuple[str, Cell]]:
    """All measures but those that take long to compute, and the distance to the optimum."""
    few = result.trajectory.prices.size <= MAX_NUMBERS
    small = result.experiment.economy.buyers.size <= MAX_BUYERS or "equilibrium" in vars(result)
    distance = result.distance() if small else None
    optimum = distance if distance is not None and distance["solved"] else None
    for measure in MEASURES:
        value = measure.of(result) if few or measure.key != "staleness" else None
        if value is None:
            continue
        shown = data(value)
        if optimum is not None and measure.key == "welfare":
            shown = Markup(f"{shown}; at the optimum {data(optimum['best_welfare'])}")
        yield words.measure_label(measure), shown
    if optimum is not None:
        yield (
            "distance to the optimum, relative",
            Markup(
                f"prices {data(optimum['prices'], 2)}, quantities {data(optimum['quantities'], 2)}"
            ),
        )


# --- the error, step by step ----------------------------------------------------------------------

WIDTH, HEIGHT = 420.0, 110.0


LEFT, RIGHT, TOP, BOTTOM = 44.0, WIDTH - 8.0, 22.0, HEIGHT - 18.0
"""The size of the figure and the ends of its axes, in pixels."""


def _errors(result: Result) -> str:
    """The largest error over steps, on a logarithmic axis; of few goods also each one's."""
    count = len(result.times)
    kept = np.unique(np.linspace(0, count - 1, min(count, MAX_POINTS)).round().astype(int))
    steps = result.times[kept]
    errors = relative_error(result.prices[kept], result.gradients[kept])
    largest = errors.max(axis=1, initial=0.0)
    if count < 2 or not np.isfinite(largest).any():
        return ""
    tolerance = result.experiment.run.tolerance
    bottom, top = _decades(errors, largest, tolerance)

    def upward(error: Any) -> Any:
        level = (np.log10(np.maximum(error, 10.0**bottom)) - bottom) / (top - bottom)
        return BOTTOM - np.clip(level, 0.0, 1.0) * (BOTTOM - TOP)

    across = LEFT + (steps - steps[0]) / (steps[-1] - steps[0]) * (RIGHT - LEFT)
    few = 1 < errors.shape[1] <= MAX_GOODS
    title = f"largest error of a price{', and each good’s' if few else ''}"
    parts = [
        f'<path d="M{LEFT} {TOP}V{BOTTOM}H{RIGHT}" opacity="0.4"/>',
        lettering(LEFT - 5, TOP + 4, _decade(top), anchor="end", size=11),
        lettering(LEFT - 5, BOTTOM + 4, _decade(bottom), anchor="end", size=11),
        lettering(LEFT, HEIGHT - 4, f"{steps[0]:,}", size=11),
        lettering(RIGHT, HEIGHT - 4, f"step {steps[-1]:,}", anchor="end", size=11),
    ]
    y = float(upward(tolerance))
    if TOP < y < BOTTOM:
        title += "; dotted: the tolerance"
        parts.append(f'<path d="M{LEFT} {y:.1f}H{RIGHT}" stroke-dasharray="2 3" opacity="0.6"/>')
        if TOP + 12 < y < BOTTOM - 12:
            shown = _decade(float(np.log10(tolerance)))
            parts.append(lettering(LEFT - 5, y + 4, shown, anchor="end", size=11))
    parts.append(lettering(LEFT, 12, title, anchor="start", size=11))
    if few:
        parts += [_curve(across, upward(each), 'opacity="0.45"') for each in errors.T]
    parts.append(_curve(across, upward(largest), f'stroke="{FINAL}" stroke-width="2"'))
    description = (
        f"The largest error of a price over {format_count(int(steps[-1]), 'step')}: "
        f"at first {format_number(largest[0], 2)}, at the end {format_number(largest[-1], 2)}"
    )
    return drawing(WIDTH, HEIGHT, description, [part for part in parts if part])


def _decades(errors: np.ndarray, largest: np.ndarray, tolerance: float) -> tuple[float, float]:
    """The exponents of ten between which all errors lie, apart from rounding."""
    top = np.ceil(np.log10(max(largest[np.isfinite(largest)].max(), FLOOR)))
    least = errors[np.isfinite(errors) & (errors > FLOOR)].min(initial=tolerance)
    low = FLOOR if largest[-1] == 0.0 else max(least, FLOOR)
    return min(float(np.floor(np.log10(low))), float(top) - 1.0), float(top)


def _curve(across: np.ndarray, down: np.ndarray, style: str) -> str:
    """A staircase, with a gap at NaN."""
    moves, connected = [], False
    for x, y in zip(across.tolist(), down.tolist(), strict=True):
        if math.isnan(y):
            connected = False
            continue
        moves.append(f"H{x:.1f}V{y:.1f}" if connected else f"M{x:.1f} {y:.1f}")
        connected = True
    return f'<path d="{"".join(moves)}" {style}/>' if moves else ""


def _decade(power: float) -> str:
    return format_number(10.0**power, 1) if power <= -4 or power >= 4 else format_plain(10.0**power)


# --- experiments ----------------------------------------------------------------------------------


def experiment_html(experiment: Experiment) -> str:
    """The question, the relevant settings, the shocks and the economy."""
    tables: dict[str, Any] = {
        name: getattr(experiment, name) for name in ("market", "run", "record")
    }
    shocks = experiment.configuration.get("shocks") or []
    shown: list[tuple[str, Cell]] = [
        (f"{name}.{key.name}", str(getattr(settings, key.name)))
        for name, settings in tables.items()
        for key in dataclasses.fields(settings)
        if key.name in ALWAYS.get(name, ()) or getattr(settings, key.name) != key.default
    ]
    shown += [
        (f"shock at step {shock['step']}", words.changes_text(shock))
        for shock in shocks[:MAX_SHOCKS]
    ]
    more = len(shocks) - MAX_SHOCKS
    return block(
        heading(experiment.name, experiment.question),
        facts(shown),
        note(f"and {format_count(more, 'shock')} more" if more > 0 else ""),
        *economy_parts(experiment.economy),
    )


# --- comparisons ----------------------------------------------------------------------------------


def comparison_html(comparison: OptimizerComparison) -> str:
    """The largest distances between a market and its twin, and the run of the market."""
    rows = [
        (name, data(size, 2), step if size > ROUNDING else "rounding")
        for name, (size, step) in comparison.distances.items()
    ]
    result = comparison.result
    return block(
        heading(
            result.experiment.market.mechanism,
            f"compared with {words.twin_name(comparison)}, its twin",
        ),
        table(("largest distance of", "relative", "at step"), rows),
        result_html(result),
    )


def mechanisms_html(comparison: MechanismComparison) -> str:
    """A row a mechanism: status, steps, messages, welfare and what is not conserved."""
    frame = comparison.table()
    texts = [column for column in ("status", "why") if column in frame]
    numbers = [column for column in frame.columns if column not in texts]
    rows = [
        (
            str(name),
            *("" if _missing(row[column]) else str(row[column]) for column in texts),
            *(
                "" if _missing(row[column]) else data(float(row[column]), SHORT.get(column, 6))
                for column in numbers
            ),
        )
        for name, row in frame.iterrows()
    ]
    headers = [words.column_label(column) for column in ("mechanism", *texts, *numbers)]
    experiment = comparison.experiment
    return block(
        heading(experiment.name, experiment.question), table(headers, rows, words=1 + len(texts))
    )


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
