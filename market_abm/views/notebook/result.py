"""Experiments, runs and comparisons as a notebook shows them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from market_abm.analysis.observer import relative_error
from market_abm.views.notebook.economy import counted, economy_parts
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
from market_abm.views.numbers import format_error, format_number, format_plain

if TYPE_CHECKING:
    from market_abm.experiment.experiment import Experiment
    from market_abm.runs.result import Result
    from market_abm.studies.comparisons import MechanismComparison, OptimizerComparison

MAX_GOODS = 10
"""Goods in the table of a run; of more, those with the largest sales."""


MAX_POINTS = 200
"""Steps in the figure of a run; of more, so many, evenly."""


FLOOR = 1e-17
"""The error at which the figure's axis ends at the latest: below is rounding."""


MAX_BUYERS = 60
"""Buyers up to which the best allocation is worked out for who only looks."""


MAX_NUMBERS = 200_000
"""Prices on record up to which lags are tried for who only looks."""


MAX_SHOCKS = 8
"""Shocks that are listed."""


STATUS = {
    "converged": "✓",
    "max_steps": "…",
    "oscillating": "~",
    "diverged": "✗",
    "interrupted": "…",
}
"""A mark for how a run ended."""


ALWAYS = {"market": ("mechanism",), "run": ("engine", "steps", "tolerance", "seed")}
"""Settings that are shown whatever they are; of others, those that are not the default."""


ROUNDING = 1e-12
"""A relative distance below which it says nothing at which step it was largest."""


SHORT = {"wasted": 2, "money_made": 2}
"""Digits of what is mostly rounding."""


# --- runs -----------------------------------------------------------------------------------------


def result_text(result: Result) -> str:
    """A run in one line."""
    with np.errstate(all="ignore"):
        error = float(result.last_errors.max())
    return (
        f"<Result of {result.experiment.name}: {result.status} at step {result.steps}, "
        f"{counted(len(result.goods), 'good')}, largest error {format_error(error)}>"
    )


def result_html(result: Result) -> str:
    """How the run ended, prices beside gradients, and how the error came down."""
    experiment = result.experiment
    detail = result.ending.detail
    sentence = f"{detail[:1].upper()}{detail[1:]}."
    with np.errstate(all="ignore"):  # it may have diverged
        return block(
            heading(experiment.name, experiment.question),
            paragraph(f"{STATUS[result.status]} {sentence}"),
            _prices(result),
            _errors(result),
            facts(_measures(result)),
        )


def _prices(result: Result) -> str:
    """Quantity, price, gradient and error at the last step, of the goods that most is sold of."""
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
    more = len(goods) - len(rows)
    return table(("good", "quantity", "price", "gradient", "error"), rows) + note(
        f"the {len(rows)} of {len(goods):,} goods with the largest sales" if more else ""
    )


def _measures(result: Result) -> Iterable[tuple[str, Cell]]:
    """What there is to say without long computations."""
    path, trajectory = result.path, result.trajectory
    alignment = path.alignment[np.isfinite(path.alignment)]
    if alignment.size:
        yield "alignment with the gradient, on average", data(alignment.mean(), 4)
    if trajectory.prices.size <= MAX_NUMBERS and np.isfinite(path.overall_staleness):
        yield "staleness of prices, steps", data(path.overall_staleness)
    if result.experiment.economy.buyers.size <= MAX_BUYERS or "equilibrium" in vars(result):
        away = result.distance()
        if away is not None and away["solved"]:
            yield (
                "welfare",
                Markup(
                    f"{data(path.welfare[-1])} of {data(away['best_welfare'])}, the best there is"
                ),
            )
            yield (
                "distance from the best, relative",
                Markup(
                    f"prices {data(away['prices'], 2)}, quantities {data(away['quantities'], 2)}"
                ),
            )
            return
    yield "welfare", data(path.welfare[-1])


# --- the error, step by step ----------------------------------------------------------------------

WIDTH, HEIGHT = 420.0, 110.0


LEFT, RIGHT, TOP, BOTTOM = 44.0, WIDTH - 8.0, 22.0, HEIGHT - 18.0
"""The figure, and where its axes end, in pixels."""


def _errors(result: Result) -> str:
    """The largest error over steps, on a logarithmic axis, with each good's behind it if few."""
    count = len(result.times)
    picked = np.unique(np.linspace(0, count - 1, min(count, MAX_POINTS)).round().astype(int))
    steps = result.times[picked]
    errors = relative_error(result.prices[picked], result.gradients[picked])
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
    told = (
        f"The largest error of a price over {counted(int(steps[-1]), 'step')}: "
        f"at first {format_number(largest[0], 2)}, at the end {format_number(largest[-1], 2)}"
    )
    return drawing(WIDTH, HEIGHT, told, [part for part in parts if part])


def _decades(errors: np.ndarray, largest: np.ndarray, tolerance: float) -> tuple[float, float]:
    """The powers of ten between which all errors lie, but for those that are mere rounding."""
    top = np.ceil(np.log10(max(largest[np.isfinite(largest)].max(), FLOOR)))
    least = errors[np.isfinite(errors) & (errors > FLOOR)].min(initial=tolerance)
    low = FLOOR if largest[-1] == 0.0 else max(least, FLOOR)
    return min(float(np.floor(np.log10(low))), float(top) - 1.0), float(top)


def _curve(across: np.ndarray, down: np.ndarray, style: str) -> str:
    """A curve in steps, with a gap where there is no number."""
    words, going = [], False
    for x, y in zip(across.tolist(), down.tolist(), strict=True):
        if math.isnan(y):
            going = False
            continue
        words.append(f"H{x:.1f}V{y:.1f}" if going else f"M{x:.1f} {y:.1f}")
        going = True
    return f'<path d="{"".join(words)}" {style}/>' if words else ""


def _decade(power: float) -> str:
    return format_number(10.0**power, 1) if power <= -4 or power >= 4 else format_plain(10.0**power)


# --- experiments ----------------------------------------------------------------------------------


def experiment_text(experiment: Experiment) -> str:
    """An experiment in one line."""
    return (
        f"<Experiment {experiment.name}: {experiment.market.mechanism}, "
        f"{counted(len(experiment.economy.industries), 'industry', 'industries')}, "
        f"at most {counted(experiment.run.steps, 'step')}>"
    )


def experiment_html(experiment: Experiment) -> str:
    """The question, the settings that matter, the shocks and the economy."""
    settings: dict[str, Any] = {
        where: getattr(experiment, where) for where in ("market", "run", "record")
    }
    shocks = experiment.configuration.get("shocks") or []
    told: list[tuple[str, Cell]] = [
        (f"{where}.{item.name}", str(getattr(given, item.name)))
        for where, given in settings.items()
        for item in dataclasses.fields(given)
        if item.name in ALWAYS.get(where, ()) or getattr(given, item.name) != item.default
    ]
    told += [(f"shock at step {shock['step']}", _shock(shock)) for shock in shocks[:MAX_SHOCKS]]
    more = len(shocks) - MAX_SHOCKS
    return block(
        heading(experiment.name, experiment.question),
        facts(told),
        note(f"and {counted(more, 'shock')} more" if more > 0 else ""),
        *economy_parts(experiment.economy),
    )


def _shock(shock: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} = {value}" for key, value in shock.items() if key != "step")


# --- comparisons ----------------------------------------------------------------------------------


def beside_text(comparison: OptimizerComparison) -> str:
    """A comparison in one line."""
    return f"<{comparison.result!r} beside its twin>"


def contest_text(contest: MechanismComparison) -> str:
    """A comparison of mechanisms in one line."""
    return f"<MechanismComparison of {', '.join(contest.results)} in {contest.experiment.name}>"


def beside_html(beside: OptimizerComparison) -> str:
    """How far a market and its twin were from each other, and the run of the market."""
    from market_abm.twins.registry import TWINS

    mechanism = beside.result.experiment.market.mechanism
    rows = [
        (what, data(size, 2), step if size > ROUNDING else "mere rounding")
        for what, (size, step) in beside.distances.items()
    ]
    return block(
        heading(mechanism, f"beside its twin, {TWINS[mechanism].name}"),
        table(("largest distance of", "relative", "at step"), rows),
        result_html(beside.result),
    )


def contest_html(contest: MechanismComparison) -> str:
    """What each mechanism needed, and where it ended."""
    told = contest.table()
    words = [column for column in ("status", "why") if column in told]
    numbers = [column for column in told.columns if column not in words]
    rows = [
        (
            str(name),
            *("" if _missing(row[column]) else str(row[column]) for column in words),
            *(
                "" if _missing(row[column]) else data(float(row[column]), SHORT.get(column, 6))
                for column in numbers
            ),
        )
        for name, row in told.iterrows()
    ]
    heads = [column.replace("_", " ") for column in ("mechanism", *words, *numbers)]
    experiment = contest.experiment
    return block(
        heading(experiment.name, experiment.question), table(heads, rows, words=1 + len(words))
    )


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
