"""The rows of a sweep's table: the chosen measures of each run, and its last state."""

from __future__ import annotations

import csv
import io
import math
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from market_abm.analysis.measures import MEASURES, PathMeasures
from market_abm.analysis.prediction import rate, steady_state_error
from market_abm.economy.economy import Economy
from market_abm.errors import MarketError
from market_abm.experiment.experiment import Experiment
from market_abm.fields import Settings, several
from market_abm.gradient.equilibrium import Equilibrium
from market_abm.market.arrays import ACTIVATIONS
from market_abm.runs.numeraire import relative_prices
from market_abm.runs.optimum import best_known, resting
from market_abm.runs.result import Result
from market_abm.runs.run import run
from market_abm.runs.start import run_together
from market_abm.simulation.endings import Status
from market_abm.studies.points import Points
from market_abm.studies.steady_states import gradient_shares, optima, radii

OPTIMUM, STABILITY = "optimum", "stability"

OF_REST = [measure.key for measure in MEASURES if measure.of_rest]
"""Measures of the steady state: those of several runs are found together."""

SLOW = (*OF_REST, OPTIMUM, STABILITY)
"""What ``--fast`` leaves out, and measures that need an optimum."""

CHOICES = (*(measure.key for measure in MEASURES), OPTIMUM, STABILITY)
"""What ``sweep.measures`` may name: measures of a run, the optimum, and stability."""

BEST, BEST_PRICE = "best_quantity", "best_price"
"""Prefixes of the columns with the quantities of the best known allocation, and, with households
or taxes, with its prices in the unit of account."""

CHUNK_SECONDS = 0.5
"""The time that the rows which are made together may take, about."""


MAX_CHUNK_GROWTH = 16.0
"""The most by which more rows are made together than the last time."""


@dataclass(frozen=True)
class MeasureSettings(Settings):
    """The columns of a sweep's table."""

    measures: tuple[str, ...] | None = several(
        CHOICES,
        help="columns of the table: measures of each run, what it could have reached at best "
        "(the optimum), and the rate that stability predicts; by default all",
    )

    def fast(self) -> MeasureSettings:
        """The same without what takes longer than most runs: optimum and stability."""
        chosen = CHOICES if self.measures is None else self.measures
        slow = (*SLOW, "deadweight_loss")
        return MeasureSettings(tuple(each for each in chosen if each not in slow))


ALL = MeasureSettings()
"""All measures."""


@dataclass
class _Run:
    """A run: its experiment, unless its settings are not valid, and its result or error."""

    experiment: Experiment | None
    outcome: Result | MarketError | None = None

    def finish(self) -> None:
        """Run the experiment, unless that is done."""
        if self.outcome is None:
            assert self.experiment is not None
            try:
                self.outcome = run(self.experiment)
            except MarketError as error:
                self.outcome = error


class Rows:
    """Makes the rows of runs.

    Parameters
    ----------
    points
        The experiments at the points of a sweep.
    measures
        Those of ``CHOICES`` that rows have; None for all.
    """

    def __init__(self, points: Points, measures: Sequence[str] | None) -> None:
        self.points = points
        every = (*(each.key for each in MEASURES), OPTIMUM, STABILITY)
        self.measures = measures = every if measures is None else tuple(measures)
        self._measures = [
            measure
            for measure in MEASURES
            if measure.key in measures
            and (points.base.economy.households or not measure.of_households)
            and (points.base.economy.taxes or not measure.of_taxes)
        ]
        self._with_optimum = OPTIMUM in measures
        economy = points.base.economy
        self._with_prices = self._with_optimum and bool(economy.households or economy.taxes)
        self._with_stability = STABILITY in measures
        self._with_rotation = any(measure.of_rest for measure in self._measures)
        self._optima: WeakKeyDictionary[Economy, Equilibrium | None] = WeakKeyDictionary()
        self._together = 1

    def columns(self) -> Iterator[str]:
        """The columns after those of the swept parameters."""
        yield from ("status", "steps")
        keys = [measure.key for measure in self._measures]
        place = keys.index("welfare") + 1 if "welfare" in keys else 0
        keys[place:place] = ["best_welfare"] if self._with_optimum else []
        yield from keys
        yield from ("predicted_rate", "predicted_error") if self._with_stability else ()
        yield "message"
        economy = self.points.base.economy
        for good in (*economy.supply, *economy.demand):
            yield from (f"quantity.{good}", f"price.{good}")
            yield from [f"{BEST}.{good}"] if self._with_optimum else []
            yield from [f"{BEST_PRICE}.{good}"] if self._with_prices else []

    def of(self, settings: Iterable[Mapping[str, Any]]) -> Iterator[list[dict[str, Any]]]:
        """The rows of runs with these settings, in their order, some at a time.

        The first are none: the runs have then been stepped, where that is done side by side.

        Raises
        ------
        KeyboardInterrupt
            A run was interrupted: half a run is no row of a table.
        """
        runs = self._started(settings)
        yield []
        while runs:
            began = time.perf_counter()
            some = [runs.popleft() for _ in range(min(self._together, len(runs)))]
            yield self._rows(some)
            growth = CHUNK_SECONDS / (time.perf_counter() - began)
            self._together = max(1, round(len(some) * min(MAX_CHUNK_GROWTH, growth)))

    def _started(self, settings: Iterable[Mapping[str, Any]]) -> deque[_Run]:
        """The runs; those that the array engine can make side by side are finished."""
        runs: deque[_Run] = deque()
        groups: defaultdict[Any, list[_Run]] = defaultdict(list)
        for each in settings:
            try:
                experiment = self.points.experiment(each)
            except MarketError as error:
                runs.append(_Run(None, error))
                continue
            runs.append(_Run(experiment))
            if experiment.market.activation in ACTIVATIONS:
                groups[_structure(experiment)].append(runs[-1])
        for group in groups.values():
            _run_group(group)
        return runs

    def _rows(self, runs: Sequence[_Run]) -> list[dict[str, Any]]:
        for each in runs:
            each.finish()
        results = [each.outcome for each in runs if isinstance(each.outcome, Result)]
        if any(result.ending.status is Status.INTERRUPTED for result in results):
            raise KeyboardInterrupt
        PathMeasures.compute_together(
            [result.path for result in results],
            rates=any(measure.key.startswith("rate") for measure in self._measures),
            staleness="staleness" in self.measures,
        )
        with np.errstate(all="ignore"):
            rows = [self._row(each.outcome) for each in runs]
        if self._with_optimum or self._with_stability or self._with_rotation:
            self._add_steady_states(rows, runs)
        return rows

    def _row(self, outcome: Result | MarketError | None) -> dict[str, Any]:
        """What a run alone says."""
        if not isinstance(outcome, Result):
            return {"status": "failed", "message": str(outcome)}
        return {
            "status": outcome.status,
            "steps": outcome.steps,
            "message": outcome.ending.detail,
            **{each.key: each.compute(outcome) for each in self._measures if not each.of_rest},
            **_of_ends(outcome.experiment.economy, "quantity", outcome.last.quantities),
            **_of_ends(outcome.experiment.economy, "price", outcome.last.prices),
        }

    def _add_steady_states(self, rows: Sequence[dict[str, Any]], runs: Sequence[_Run]) -> None:
        """Add the columns of the optimum, of stability and of rotation."""
        valid = [
            (row, each.experiment, each.outcome)
            for row, each in zip(rows, runs, strict=True)
            if each.experiment is not None
        ]
        disturbed, resting = [], []
        best = self._optima_of([experiment for _, experiment, _ in valid])
        for (row, experiment, outcome), known in zip(valid, best, strict=True):
            optimum = known
            if known is not None and isinstance(outcome, Result):
                last, market = outcome.outcome.last, experiment.market
                optimum = best_known(experiment.last_economy, market, last, known)
            if optimum is not None and isinstance(outcome, Result):
                row["best_welfare"] = optimum.welfare
                row.update(_of_ends(experiment.economy, BEST, optimum.quantities))
                if self._with_prices:
                    prices = relative_prices(experiment.economy, optimum.prices)
                    row.update(_of_ends(experiment.economy, BEST_PRICE, prices))
            economy, market = experiment.last_economy, experiment.market
            if self._with_stability:
                row["predicted_error"] = steady_state_error(economy)
                row["predicted_rate"] = rate(economy, market)
                if row["predicted_rate"] is None and optimum is not None:
                    steady = _at_level(_steady(outcome, optimum), outcome)
                    disturbed.append((row, economy, market, steady))
            if self._with_rotation and optimum is not None:
                resting.append((row, economy, market, _steady(outcome, optimum)))
        for some, key, found in (
            (disturbed, "predicted_rate", radii),
            (resting, "gradient_share", gradient_shares),
        ):
            if some:
                without, *markets = zip(*some, strict=True)
                for row, number in zip(without, found(*markets), strict=True):
                    row[key] = number

    def _optima_of(self, experiments: Sequence[Experiment]) -> list[Equilibrium | None]:
        """The best known allocation of each; that of equal terms is found once."""
        new = {each.economy: each for each in experiments if each.economy not in self._optima}
        found = optima([each.last_economy for each in new.values()])
        self._optima.update(zip(new, found, strict=True))
        return [self._optima[each.economy] for each in experiments]


def _run_group(group: Sequence[_Run]) -> None:
    """Make runs of one structure: side by side, or one by one if one of them cannot start."""
    experiments = [each.experiment for each in group if each.experiment is not None]
    try:
        fields = recorded_buyer_fields(experiments[0].economy)
        results = run_together(experiments, buyer_fields=fields)
    except MarketError as error:
        if len(group) > 1:
            for each in group:
                _run_group([each])
        else:
            group[0].outcome = error
        return
    for each, result in zip(group, results, strict=True):
        each.outcome = result


def _structure(experiment: Experiment) -> Any:
    """What experiments must have in common to be run together."""
    return (
        experiment.economy.structure,
        experiment.market.mechanism,
        experiment.market.activation,
        experiment.market.lag,
        experiment.market.dating,
        experiment.record,
        experiment.run.observe_every,
        tuple(step for step, _ in experiment.changes),
    )


def recorded_buyer_fields(economy: Economy) -> tuple[str, ...]:
    """The buyers' fields that the measures of a run need: shares, if they can move."""
    return ("shares",) if economy.buyers.shared_pools else ()


def _of_ends(economy: Economy, what: str, numbers: np.ndarray) -> dict[str, float]:
    """The numbers of raw and final goods, by column; ``numbers`` has shape (goods,)."""
    ends = (*economy.supply, *economy.demand)
    return {f"{what}.{good}": float(numbers[economy.index[good]]) for good in ends}


def _steady(result: Result | MarketError | None, optimum: Equilibrium) -> Equilibrium:
    """The steady state near which a rate is predicted: where the run rests, or the best one."""
    if not isinstance(result, Result) or not result.at_rest:
        return optimum
    found = resting(result.experiment, result.economy, result.last, optimum)
    return found if found is not None and found.solved else optimum


def _at_level(steady: Equilibrium, result: Result | MarketError | None) -> Equilibrium:
    """A steady state at the level of a run's first prices, if prices are relative and recorded."""
    if not isinstance(result, Result):
        return steady
    path = result.outcome.trajectory
    return steady.at_level_of(path.prices[0]) if len(path.goods) == len(result.goods) else steady


def text_of(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows as CSV, without a header; numbers in full precision."""
    out = io.StringIO()
    csv.writer(out).writerows([_cell(row.get(name)) for name in columns] for row in rows)
    return out.getvalue()


def _cell(value: Any) -> Any:
    """A number as its shortest exact text; empty for None and NaN."""
    if isinstance(value, float):  # also those of NumPy
        return "" if math.isnan(value) else repr(float(value))
    return "" if value is None else value
