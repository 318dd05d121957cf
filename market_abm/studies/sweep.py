"""Sweeps: the points of a design in batches, through an executor, into one tidy table.

A batch is a range of neighbouring points, run together by the array engine (once per structure
among its economies) and written to a file of its own. Batches depend on the sweep alone, so that
neither the number of workers nor an interruption changes a bit of the table.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from market_abm.analysis.measures import MEASURES, measured
from market_abm.analysis.prediction import rate, steady_state_error
from market_abm.analysis.stability import stability
from market_abm.display import Displayable, view
from market_abm.economy.economy import Economy
from market_abm.errors import MarketError, ResultsError
from market_abm.experiment.experiment import Experiment
from market_abm.gradient.equilibrium import Equilibrium, equilibrium
from market_abm.market.arrays import ACTIVATIONS
from market_abm.runs.optimum import resting
from market_abm.runs.result import Result
from market_abm.runs.run import Runnable, as_experiment, run
from market_abm.runs.start import run_together
from market_abm.simulation.endings import Status
from market_abm.studies.design import DRAWN, Design
from market_abm.studies.executors import executor as executor_of
from market_abm.studies.store import Store, csv_table

if TYPE_CHECKING:
    import pandas as pd

MAX_BATCH_RUNS = 1024
"""Maximum number of runs in a batch."""

BATCH_MEMORY = 500_000_000
"""Maximum bytes of the record of a batch, if all its runs take all their steps."""

BEST = "best_quantity"
"""Prefix of the columns with the quantities of the best known allocation."""


def sweep(
    what: Runnable,
    axes: Mapping[str, Any] | None = None,
    *,
    seeds: str | Sequence[int] | None = None,
    design: str | None = None,
    points: int | None = None,
    folder: str | Path | None = None,
    jobs: int | None = 1,
    scheduler: str | None = None,
    resume: bool = False,
    progress: Callable[[int, int], None] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Run an experiment at many points, in parallel, into one table.

    Parameters
    ----------
    what
        An experiment, an experiment file, or the name of an experiment.
    axes
        The swept parameters by dotted key: a range ``"low:high:log:count"``, a list of values, or
        a table of settings. By default those of the file's [sweep] table.
    seeds
        Seeds to run every point with: ``"0..4"`` or a list.
    design
        ``grid``, ``list``, ``lhs`` or ``sobol``.
    points
        The number of points of an ``lhs`` or ``sobol`` design.
    folder
        Where to keep batches, table and figure; by default nothing is kept.
    jobs
        The number of processes; None for one per core.
    scheduler
        The address of a Dask scheduler, to use its cluster instead.
    resume
        Continue the interrupted sweep in ``folder``.
    progress
        ``progress(done, size)``, called with the number of finished runs.
    overrides
        Settings of the file by dotted key.

    Returns
    -------
    pandas.DataFrame
        One row per run: swept parameters, measures, and the last quantity and price of each raw
        and final good.

    Raises
    ------
    MarketError
        An axis or setting is wrong, or the folder cannot be used.
    """
    experiment = as_experiment(what, overrides)
    planned = Sweep.planned(experiment, axes, seeds=seeds, design=design, points=points)
    with executor_of(jobs, scheduler, planned.batches) as (pool, workers):
        return run_sweep(
            planned, folder, executor=pool, workers=workers, resume=resume, progress=progress
        )


@dataclass(frozen=True, eq=False, repr=False)
class Sweep(Displayable):
    """An experiment, and the design of the points at which to run it."""

    base: Experiment
    design: Design

    @staticmethod
    def of(base: Experiment, axes: Mapping[str, Any], **settings: Any) -> Sweep:
        """The sweep of an experiment, with every value of its axes checked.

        Parameters
        ----------
        base
            The experiment.
        axes
            As of :meth:`market_abm.studies.design.Axis.of`, by name.
        **settings
            ``design``, ``points`` and ``seed`` of the design, and ``seeds``, the seeds to run every
            point with.

        Raises
        ------
        MarketError
            An axis is unknown or cannot be read, or one of its values is not allowed.
        """
        fixed = () if base.source is None else base.source.overrides
        sweep = Sweep(base, Design.of(axes, settings, fixed))
        for settings_of_point in sweep.design.one_at_a_time():
            try:
                sweep.experiment(settings_of_point)
            except MarketError as error:  # an axis was not given with --set
                error.file = (error.file or "").removeprefix("--set ")
                raise
        return sweep

    @staticmethod
    def planned(base: Experiment, axes: Mapping[str, Any] | None, **settings: Any) -> Sweep:
        """The sweep of the experiment's [sweep] table, but with these axes and settings.

        Parameters and errors are those of :meth:`of`; None, or no axes, leaves those of the table.
        A design that draws no points replaces those of the table.
        """
        own = {key: value for key, value in settings.items() if value is not None}
        replaced = set() if own.get("design", DRAWN[0]) in DRAWN else {"points", "seed"}
        given = {key: value for key, value in base.sweep.items() if key not in replaced} | own
        in_file = given.pop("axes", {})
        if axes or own:
            return Sweep.of(base, axes or in_file, **given)
        try:
            return Sweep.of(base, in_file, **given)
        except MarketError as error:
            if error.name and not error.name.startswith("sweep."):
                error.name, error.line, error.file = f"sweep.axes.{error.name}", None, None
            raise base.placed(error) from None

    def experiment(self, settings: Mapping[str, Any]) -> Experiment:
        """The base experiment with other settings."""
        return self.base.with_overrides(settings)

    @cached_property
    def batch_size(self) -> int:
        """Runs in a batch: as many as the memory for their records allows."""
        size = self.base.record_bytes(len(recorded_buyer_fields(self.base.economy)))
        records = 1 + self.base.run.steps // self.base.record_interval
        return max(1, min(MAX_BATCH_RUNS, BATCH_MEMORY // (size * records)))

    @property
    def batches(self) -> int:
        """The number of batches."""
        return -(-self.design.size // self.batch_size)

    def runs(self, batch: int) -> int:
        """The number of runs in a batch."""
        return min(self.batch_size, self.design.size - batch * self.batch_size)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns of the table: swept parameters, measures, and the last state of some goods.

        Of each raw and final good: quantity, price, and that of the best known allocation.
        """
        ends = [*self.base.economy.supply, *self.base.economy.demand]
        goods = [f"{what}.{good}" for good in ends for what in ("quantity", "price", BEST)]
        measures = [measure.key for measure in MEASURES]
        place = measures.index("welfare") + 1
        measures.insert(place, "best_welfare")
        described = ("status", "steps", *measures, "predicted_rate", "predicted_error", "message")
        return (*self.design.names, *described, *goods)

    def rows(self, batch: int) -> list[dict[str, Any]]:
        """Run one batch; a row per run."""
        first = batch * self.batch_size
        numbers = range(first, first + self.runs(batch))
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
            for (place, experiment), result in zip(members, _run(experiments), strict=True):
                optimum = _optimum(experiment, best)
                rows[place]["predicted_rate"] = _predicted(experiment, _steady(result, optimum))
                rows[place]["predicted_error"] = steady_state_error(experiment.last_economy)
                if isinstance(result, MarketError):
                    rows[place].update(status="failed", message=str(result))
                elif result.ending.status is Status.INTERRUPTED:
                    raise KeyboardInterrupt  # half a run is no row of a table
                else:
                    rows[place].update(_row(result, optimum))
        return rows

    def text(self, batch: int) -> str:
        """The rows of one batch as CSV, without a header; numbers in full precision."""
        out = io.StringIO()
        writer = csv.DictWriter(out, self.columns, restval="", extrasaction="ignore")
        for row in self.rows(batch):
            writer.writerow({key: _cell(value) for key, value in row.items()})
        return out.getvalue()


def _cell(value: Any) -> Any:
    """A number as its shortest exact text; empty for None and NaN."""
    if value is None:
        return ""
    if isinstance(value, float | np.floating):
        return "" if np.isnan(value) else repr(float(value))
    return value


def _structure(experiment: Experiment) -> Any:
    """What experiments must have in common to be run together."""
    return (
        experiment.economy.structure,
        experiment.market.mechanism,
        experiment.market.activation,
        experiment.market.lag,
        experiment.record,
        experiment.run.observe_every,
        tuple(step for step, _ in experiment.changes),
    )


def recorded_buyer_fields(economy: Economy) -> tuple[str, ...]:
    """The buyers' fields that the measures of a run need: shares, if they can move."""
    return ("shares",) if economy.buyers.shared_pools else ()


def _run(experiments: list[Experiment]) -> list[Result | MarketError]:
    """Run experiments of one structure: together, if the array engine can."""
    if experiments[0].market.activation in ACTIVATIONS:
        fields = recorded_buyer_fields(experiments[0].economy)
        return run_together(experiments, buyer_fields=fields)
    results: list[Result | MarketError] = []
    for experiment in experiments:
        try:
            results.append(run(experiment))
        except MarketError as error:
            results.append(error)
    return results


def _optimum(experiment: Experiment, best: dict[str, Equilibrium | None]) -> Equilibrium | None:
    """The best known allocation, or None; ``best`` caches those of economies."""
    settings = experiment.configuration
    economy = {key: settings[key] for key in settings if key not in ("market", "run", "record")}
    key = json.dumps([economy, experiment.economy.seed], default=str)
    if key not in best:
        found = equilibrium(experiment.last_economy)
        best[key] = found if found is not None and found.solved else None
    return best[key]


def _steady(result: Result | MarketError, optimum: Equilibrium | None) -> Equilibrium | None:
    """The steady state near which a rate is predicted: where the run rests, or the best one."""
    if isinstance(result, MarketError) or not result.at_rest or optimum is None:
        return optimum
    found = resting(result.economy, result.last, optimum, result.experiment.run.tolerance)
    return found if found is not None and found.solved else optimum


def _predicted(experiment: Experiment, steady: Equilibrium | None) -> float | None:
    """The predicted rate: in closed form, or from the eigenvalues of a step."""
    known = rate(experiment.last_economy, experiment.market)
    if known is not None or steady is None:
        return known
    near = stability(experiment.last_economy, experiment.market, steady)
    return None if near is None else near.radius


def _row(result: Result, optimum: Equilibrium | None) -> dict[str, Any]:
    """The measures of a run, and the last quantities and prices of its raw and final goods."""
    row: dict[str, Any] = {
        "status": result.status,
        "steps": result.steps,
        **measured(result),
        "best_welfare": None if optimum is None else optimum.welfare,
        "message": result.ending.detail,
    }
    economy = result.experiment.economy
    for good in (*economy.supply, *economy.demand):
        k = economy.index[good]
        row[f"quantity.{good}"] = float(result.last.quantities[k])
        row[f"price.{good}"] = float(result.last.prices[k])
        row[f"{BEST}.{good}"] = None if optimum is None else float(optimum.quantities[k])
    return row


def specification(sweep: Sweep) -> dict[str, Any]:
    """What is run, at which points, as ``sweep.json`` holds it."""
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
    folder: str | Path | None,
    *,
    executor: Executor | None = None,
    workers: int = 1,
    resume: bool = False,
    figures: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Run the missing batches of a sweep, and return its table.

    If interrupted, only batches in progress are lost: ``resume`` runs the rest, and the table is
    the same.

    Parameters
    ----------
    sweep
        What to run.
    folder
        Where to keep batches, table and figure; None keeps nothing.
    executor, workers
        Where batches run, ``workers`` + 1 at a time; by default here, one after another.
    resume
        Continue the sweep in ``folder``.
    figures
        Whether the figure is drawn.
    progress
        ``progress(done, size)``, called with the number of finished runs.

    Raises
    ------
    ResultsError
        The folder holds something else or another sweep, or cannot be written.
    """
    if folder is None:
        return _run_in_memory(sweep, executor, workers, progress)
    store = Store(Path(folder), specification(sweep), batches=sweep.batches, resume=resume)
    if store.finished:
        if progress:
            progress(sweep.design.size, sweep.design.size)
        return store.table()
    missing = iter([batch for batch in range(sweep.batches) if not store.has(batch)])
    done = sum(sweep.runs(batch) for batch in range(sweep.batches) if store.has(batch))
    if progress:
        progress(done, sweep.design.size)
    for batch, text in _worked(sweep, missing, executor, workers):
        store.keep(batch, text)
        done += sweep.runs(batch)
        if progress:
            progress(done, sweep.design.size)
    draw = partial(view(sweep, "figure"), sweep) if figures else None
    return store.finish(sweep.columns, draw)


def _run_in_memory(
    sweep: Sweep,
    executor: Executor | None,
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> pd.DataFrame:
    import pandas as pd

    texts: dict[int, str] = {}
    for batch, text in _worked(sweep, iter(range(sweep.batches)), executor, workers):
        texts[batch] = text
        if progress:
            progress(sum(map(sweep.runs, texts)), sweep.design.size)
    parts = (texts[batch] for batch in range(sweep.batches))
    return pd.read_csv(io.StringIO("".join(csv_table(sweep.columns, parts))))


def _worked(
    sweep: Sweep, missing: Iterator[int], executor: Executor | None, workers: int
) -> Iterator[tuple[int, str]]:
    """Each batch with its rows, as they finish; at most ``workers`` + 1 are submitted at a time."""
    if executor is None:
        for batch in missing:
            yield batch, sweep.text(batch)
        return
    pending: dict[Future[str], int] = {}
    try:
        while True:
            for batch in itertools.islice(missing, workers + 1 - len(pending)):
                pending[executor.submit(sweep.text, batch)] = batch
            if not pending:
                return
            for future in wait(pending, return_when=FIRST_COMPLETED).done:
                yield pending.pop(future), future.result()
    except BrokenProcessPool:
        raise ResultsError(
            "a worker process died (was it killed, or out of memory?)",
            remedy="what was finished is kept: continue with --resume, perhaps with fewer --jobs",
        ) from None
    finally:
        for future in pending:
            future.cancel()
