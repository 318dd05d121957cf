"""Many runs: the points of a design in batches, through an executor, into one tidy table.

A batch is a range of neighbouring points. It goes through the array engine as one (or as one for
each structure among its economies), and is written to a file of its own, whole or not at all. What
is in a batch depends on the sweep alone, so that neither the number of workers nor an interruption
changes a bit of the table.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from market_abm.analysis.prediction import rate
from market_abm.analysis.stability import stability
from market_abm.display import Displayable, view
from market_abm.errors import MarketError, ResultsError
from market_abm.experiment.experiment import Experiment
from market_abm.gradient.equilibrium import Equilibrium, equilibrium
from market_abm.studies.design import SEED, Axis, Design, DesignSettings
from market_abm.studies.store import Store

if TYPE_CHECKING:
    import pandas as pd

    from market_abm.economy.economy import Economy
    from market_abm.runs.result import Result

MAX_BATCH_RUNS = 1024
"""Runs in a batch, at the most."""


BATCH_MEMORY = 500_000_000
"""Bytes that the record of a batch may come to, if all its runs take all their steps."""


MEASURES = (
    "status",
    "steps",
    "error",
    "welfare",
    "best_welfare",
    "staleness",
    "alignment",
    "uphill_share",
    "rate",
    "predicted_rate",
    "message",
)


BEST = "best_quantity"


@dataclass(frozen=True, eq=False, repr=False)
class Sweep(Displayable):
    """An experiment, and the points at which to run it."""

    base: Experiment
    design: Design

    @staticmethod
    def of(base: Experiment, axes: Mapping[str, Any], **settings: Any) -> Sweep:
        """A sweep over ``axes`` (see :meth:`market_abm.studies.design.Axis.of`), each value checked.

        ``settings`` are ``design``, ``points`` and ``seed`` of the design, and ``seeds``: the seeds
        to run every point with.

        Raises:
            MarketError: an axis is unknown or cannot be read, or one of its values is not allowed.
        """
        given = dict(settings)
        seeds = Axis.of(SEED, given.pop("seeds")).values if given.get("seeds") else ()
        design = Design(
            tuple(Axis.of(name, values) for name, values in axes.items()),
            DesignSettings.of(given, "sweep"),
            tuple(seeds),
        )
        sweep = Sweep(base, design)
        for settings_of_point in design.corners():
            try:
                sweep.experiment(settings_of_point)
            except MarketError as error:  # an axis is no --set, and is not told as one
                error.file = (error.file or "").removeprefix("--set ")
                raise
        return sweep

    def experiment(self, settings: Mapping[str, Any]) -> Experiment:
        """The base experiment with other settings."""
        return self.base.with_overrides(settings)

    @cached_property
    def batch_size(self) -> int:
        """Runs in a batch: as many as the memory for their record allows."""
        size = self.base.record_bytes(len(recorded_buyer_fields(self.base.economy)))
        records = 1 + self.base.run.steps // self.base.record.every
        return max(1, min(MAX_BATCH_RUNS, BATCH_MEMORY // (size * records)))

    @property
    def batches(self) -> int:
        """How many batches there are."""
        return -(-self.design.size // self.batch_size)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns of the table: swept parameters, measures, and where the goods ended.

        Of each raw and final good, quantity and price, and the quantity of the best allocation.
        """
        ends = [*self.base.economy.supply, *self.base.economy.demand]
        goods = [f"{what}.{good}" for good in ends for what in ("quantity", "price", BEST)]
        return (*self.design.names, *MEASURES, *goods)

    def rows(self, batch: int) -> list[dict[str, Any]]:
        """Run one batch: a row a run."""
        first = batch * self.batch_size
        numbers = range(first, min(first + self.batch_size, self.design.size))
        rows: list[dict[str, Any]] = []
        groups: dict[Any, list[tuple[int, Experiment]]] = {}
        for place, number in enumerate(numbers):
            values, settings = self.design.point(number)
            rows.append(dict(zip(self.design.names, values, strict=True)))
            try:
                experiment = self.experiment(settings)
                groups.setdefault(_structure(experiment), []).append((place, experiment))
            except MarketError as error:
                rows[place].update(status="failed", message=str(error))
        best: dict[str, Equilibrium | None] = {}
        for members in groups.values():
            experiments = [experiment for _, experiment in members]
            for (place, experiment), told in zip(members, _run(experiments), strict=True):
                optimum = _optimum(experiment, best)
                rows[place]["predicted_rate"] = _predicted(experiment, optimum)
                if isinstance(told, MarketError):
                    rows[place].update(status="failed", message=str(told))
                else:
                    rows[place].update(_measured(experiment, told, optimum))
        return rows

    def text(self, batch: int) -> str:
        """The rows of one batch as CSV, without a header; numbers to the last digit."""
        out = io.StringIO()
        writer = csv.DictWriter(out, self.columns, restval="", extrasaction="ignore")
        for row in self.rows(batch):
            writer.writerow({key: _cell(value) for key, value in row.items()})
        return out.getvalue()


def _cell(value: Any) -> Any:
    """A number as its shortest text that reads back as itself; nothing where there is none."""
    if value is None:
        return ""
    if isinstance(value, float | np.floating):
        return "" if np.isnan(value) else repr(float(value))
    return value


def _structure(experiment: Experiment) -> Any:
    """What runs must have in common to go through the array engine together."""
    return (
        experiment.economy.structure,
        experiment.market.mechanism,
        experiment.market.activation,
        experiment.market.lag,
        experiment.record,
        tuple(step for step, _ in experiment.changes),
    )


def recorded_buyer_fields(economy: Economy) -> tuple[str, ...]:
    """What of the buyers is recorded of each run, for its rate and swings: shares, if they move."""
    return ("shares",) if economy.buyers.shared_pools else ()


def _run(experiments: list[Experiment]) -> list[Result | MarketError]:
    """The outcomes of experiments of one structure: side by side, if the array engine can."""
    from market_abm.analysis.observer import GradientObserver
    from market_abm.market.agents import Firm
    from market_abm.market.arrays import ACTIVATIONS
    from market_abm.market.mechanisms.registry import array_market
    from market_abm.runs.result import Result
    from market_abm.runs.run import run
    from market_abm.simulation.loop import simulate

    told: list[Result | MarketError] = []
    if experiments[0].market.activation not in ACTIVATIONS:
        for experiment in experiments:
            try:
                told.append(run(experiment))
            except MarketError as error:
                told.append(error)
        return told
    market = array_market(
        [each.economy for each in experiments],
        [each.market for each in experiments],
        [each.run.seed for each in experiments],
    )
    witness = GradientObserver(
        market.economy,
        np.array([each.run.tolerance for each in experiments]),
        shares_move=np.array([each.market.shares_move for each in experiments]),
        rules=experiments[0].market.rules,
        reference=market.reference,
    )
    steps = np.array([each.run.steps for each in experiments])
    record = experiments[0].record
    outcomes = simulate(
        market,
        steps,
        witness,
        every=record.every,
        goods=record.goods,
        books=recorded_buyer_fields(market.economy),
        changes=[
            (step, [each.changes[k][1] for each in experiments])
            for k, (step, _) in enumerate(experiments[0].changes)
        ],
    )
    for experiment, outcome in zip(experiments, outcomes, strict=True):
        told.append(outcome.error or Result.of(experiment, outcome, Firm))
    return told


def _optimum(experiment: Experiment, best: dict[str, Equilibrium | None]) -> Equilibrium | None:
    """The best allocation, if it can be found; ``best`` remembers that of each economy."""
    settings = experiment.configuration
    economy = {key: settings[key] for key in settings if key not in ("market", "run", "record")}
    key = json.dumps([economy, experiment.economy.seed], default=str)
    if key not in best:
        found = equilibrium(experiment.last_economy)
        best[key] = found if found is not None and found.solved else None
    return best[key]


def _predicted(experiment: Experiment, optimum: Equilibrium | None) -> float | None:
    """The factor by which moves should shrink: in closed form, or from the step's eigenvalues."""
    known = rate(experiment.last_economy, experiment.market)
    if known is not None or optimum is None:
        return known
    near = stability(experiment.last_economy, experiment.market, optimum)
    return None if near is None else near.radius


@np.errstate(all="ignore")
def _measured(
    experiment: Experiment, result: Result, optimum: Equilibrium | None
) -> dict[str, Any]:
    """The row of a run."""
    path = result.path
    moved = path.alignment[np.isfinite(path.alignment)]
    row: dict[str, Any] = {
        "status": result.status,
        "steps": result.steps,
        "error": float(result.last_errors.max()),
        "welfare": float(path.welfare[-1]),
        "best_welfare": None if optimum is None else optimum.welfare,
        "staleness": path.overall_staleness,
        "alignment": float(moved.mean()) if moved.size else None,
        "uphill_share": path.ascent_fraction,
        "rate": path.rate,
        "message": result.ending.detail,
    }
    for good in (*experiment.economy.supply, *experiment.economy.demand):
        k = experiment.economy.index[good]
        row[f"quantity.{good}"] = float(result.last.quantities[k])
        row[f"price.{good}"] = float(result.last.prices[k])
        row[f"{BEST}.{good}"] = None if optimum is None else float(optimum.quantities[k])
    return row


def specification(sweep: Sweep) -> dict[str, Any]:
    """What is run, and where, as ``sweep.json`` holds it."""
    design, source = sweep.design, sweep.base.source
    assert source is not None
    return {
        "experiment": sweep.base.name,
        "text": source.text,
        "overrides": source.overrides,
        "design": vars(design.settings),
        "axes": {axis.name: list(axis.values) for axis in design.axes},
        "settings": [[dict(each) for each in axis.overrides] for axis in design.axes],
        "ranges": [[axis.low, axis.high, axis.log] for axis in design.axes],
        "seeds": list(design.seeds),
        "runs_in_a_batch": sweep.batch_size,
    }


# --- running it -----------------------------------------------------------------------------------


def run_sweep(
    sweep: Sweep,
    folder: str | Path,
    *,
    executor: Executor | None = None,
    workers: int = 1,
    resume: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Run what is missing of ``sweep``, keep it in ``folder``, and return the whole table.

    Without ``executor`` the batches run here, one after another; with it, ``workers`` + 1 at a time
    are in flight. ``progress(done, size)`` counts runs. Whatever ends it early loses the batches in
    flight only: ``resume`` does the rest, and the table is the same.

    Raises:
        ResultsError: the folder holds something else, or another sweep, or cannot be written.
    """
    store = Store(
        Path(folder),
        specification(sweep),
        size=sweep.design.size,
        batch_size=sweep.batch_size,
        resume=resume,
    )
    if store.finished:
        if progress:
            progress(sweep.design.size, sweep.design.size)
        return store.table()
    missing = iter([batch for batch in range(sweep.batches) if not store.has(batch)])
    done = sum(store.runs(batch) for batch in range(sweep.batches) if store.has(batch))
    if progress:
        progress(done, sweep.design.size)
    for batch, text in _worked(sweep, missing, executor, workers):
        store.keep(batch, text)
        done += store.runs(batch)
        if progress:
            progress(done, sweep.design.size)
    return store.finish(sweep.columns, partial(view(sweep, "draw"), sweep))


def _worked(
    sweep: Sweep, missing: Iterator[int], executor: Executor | None, workers: int
) -> Iterator[tuple[int, str]]:
    """Each batch with its rows, as they come in; never more in flight than there is work for."""
    if executor is None:
        for batch in missing:
            yield batch, sweep.text(batch)
        return
    flying: dict[Future[str], int] = {}
    try:
        while True:
            for batch in itertools.islice(missing, workers + 1 - len(flying)):
                flying[executor.submit(sweep.text, batch)] = batch
            if not flying:
                return
            for future in wait(flying, return_when=FIRST_COMPLETED).done:
                yield flying.pop(future), future.result()
    except BrokenProcessPool:
        raise ResultsError(
            "a worker process died (was it killed, or out of memory?)",
            remedy="what was finished is kept: go on with --resume, perhaps with fewer --jobs",
        ) from None
    finally:
        for future in flying:
            future.cancel()
