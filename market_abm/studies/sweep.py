"""Sweeps: the points of a design, run in batches through an executor, into one tidy table.

Runs of a batch are stepped together by the array engine (once per structure among its economies).
Rows depend on the sweep alone, so that neither the number of workers, nor the size of batches, nor
an interruption changes a bit of the table.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from market_abm.display import Displayable, view
from market_abm.errors import BalanceError, MarketError
from market_abm.experiment.experiment import Experiment
from market_abm.market.arrays import ACTIVATIONS
from market_abm.runs.run import Runnable, as_experiment
from market_abm.studies.batches import SECONDS, Sizes, finished_parts
from market_abm.studies.design import DRAWN, Design
from market_abm.studies.executors import executor as executor_of
from market_abm.studies.points import Points
from market_abm.studies.rows import (
    ALL,
    SLOW,
    MeasureSettings,
    Rows,
    recorded_buyer_fields,
    text_of,
)
from market_abm.studies.store import Store, csv_table

if TYPE_CHECKING:
    import pandas as pd

MAX_BATCH_RUNS = 8192
"""Maximum number of runs in a batch."""

BATCH_MEMORY = 250_000_000
"""Maximum bytes of the record of a batch, if all its runs take all their steps."""

RUN_SECONDS = 1e-4
"""The least that a run takes, about: only the first batch is sized by it."""


def sweep(
    what: Runnable,
    axes: Mapping[str, Any] | None = None,
    *,
    seeds: str | Sequence[int] | None = None,
    design: str | None = None,
    points: int | None = None,
    measures: Sequence[str] | None = None,
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
    measures
        The columns of the table, see ``sweep.measures``: such as ``["error", "welfare", "rate"]``.
        Those that take long are ``optimum`` and ``stability``.
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
    planned = Sweep.planned(
        experiment, axes, seeds=seeds, design=design, points=points, measures=measures
    )
    with executor_of(jobs, scheduler, planned.design.size) as (pool, workers):
        return run_sweep(
            planned, folder, executor=pool, workers=workers, resume=resume, progress=progress
        )


@dataclass(frozen=True, eq=False, repr=False)
class Sweep(Displayable):
    """An experiment, the design of the points at which to run it, and what to measure."""

    base: Experiment
    design: Design
    measures: MeasureSettings = ALL

    def __reduce__(self) -> tuple[Any, ...]:
        return Sweep, (self.base, self.design, self.measures)  # not what is kept of its runs

    @staticmethod
    def of(base: Experiment, axes: Mapping[str, Any], **settings: Any) -> Sweep:
        """The sweep of an experiment, with every value of its axes checked.

        Of a list the points are; in a grid, shares and transfers of households that another axis
        may balance are left to its runs.

        Parameters
        ----------
        base
            The experiment.
        axes
            As of :meth:`market_abm.studies.design.Axis.of`, by name.
        **settings
            ``design``, ``points`` and ``seed`` of the design, ``seeds``, the seeds to run every
            point with, and ``measures``.

        Raises
        ------
        MarketError
            An axis is unknown or cannot be read, or one of its values is not allowed.
        """
        fixed = () if base.source is None else base.source.overrides
        own = {key: settings.pop(key) for key in ("measures",) if key in settings}
        measures = MeasureSettings.of(own, "sweep")
        sweep = Sweep(base, Design.of(axes, settings, fixed), measures)
        for settings_of_point in sweep.design.to_check():
            try:
                sweep.experiment(settings_of_point)
            except MarketError as error:
                if isinstance(error, BalanceError) and sweep._may_balance(settings_of_point):
                    continue
                # an axis was not given with --set
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

    def _may_balance(self, checked: Mapping[str, Any]) -> bool:
        """Whether a grid has axes of households beside that which was checked."""
        keys = {key for axis in self.design.axes for key in axis.keys} - set(checked)
        grid = self.design.settings.design == "grid"
        return grid and any(key.startswith("households.") for key in keys)

    def fast(self) -> Sweep:
        """The same without what takes longer than most runs: optimum and stability."""
        return dataclasses.replace(self, measures=self.measures.fast())

    def experiment(self, settings: Mapping[str, Any]) -> Experiment:
        """The base experiment with other settings."""
        return self._rows.points.experiment(settings)

    @cached_property
    def _rows(self) -> Rows:
        return Rows(Points(self.base), self.measures.measures)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns of the table: swept parameters, measures, and the last state of some goods.

        Of each raw and final good: quantity, price, and that of the best known allocation.
        """
        return (*self.design.names, *self._rows.columns())

    def rows(self, numbers: range) -> Iterator[list[dict[str, Any]]]:
        """The rows of the runs with these numbers, in their order, some at a time; first none."""
        values, settings = zip(*map(self.design.point, numbers), strict=True)
        done = 0
        for rows in self._rows.of(settings):
            for row, swept in zip(rows, values[done:], strict=False):
                row.update(zip(self.design.names, swept, strict=True))
            yield rows
            done += len(rows)

    def texts(self, numbers: range) -> Iterator[tuple[int, str]]:
        """The rows of these runs as CSV, some at a time: how many, and their text; first none."""
        for rows in self.rows(numbers):
            yield len(rows), text_of(self.columns, rows)

    @property
    def sizes(self) -> Sizes:
        """The sizes of batches: the first by a guess, all within the memory for their records."""
        base, economy = self.base, self.base.economy
        size = base.record_bytes(len(recorded_buyer_fields(economy)))
        records = 1 + base.run.steps // base.record_interval
        most = max(1, min(MAX_BATCH_RUNS, BATCH_MEMORY // (size * records)))
        together = base.market.activation in ACTIVATIONS
        numbers = economy.buyers.size + len(economy.goods)
        guess = RUN_SECONDS + base.run.steps * numbers * (1e-8 if together else 1e-5)
        slow = len(set(SLOW) & set(self._rows.measures))
        guess += slow * RUN_SECONDS * len(economy.industries)
        return Sizes(int(SECONDS / guess), most)


def specification(sweep: Sweep) -> dict[str, Any]:
    """What is run, at which points, as ``sweep.json`` holds it."""
    design, source, chosen = sweep.design, sweep.base.source, sweep.measures.measures
    assert source is not None
    return {
        "experiment": sweep.base.name,
        "text": source.text,
        "overrides": source.overrides,
        "design": vars(design.settings),
        "axes": {axis.name: list(axis.values) for axis in design.axes},
        "settings": [
            [dict(axis.settings(k)) for k in range(len(axis.values))] for axis in design.axes
        ],
        "ranges": [[axis.low, axis.high, axis.log] for axis in design.axes],
        "seeds": list(design.seeds),
        **({} if chosen is None else {"measures": list(chosen)}),
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
    size, progress = sweep.design.size, progress or _silent
    if folder is None:
        store, missing = None, [range(size)]
    else:
        store = Store(Path(folder), specification(sweep), resume=resume)
        missing = [] if store.finished else store.missing(size)
    done = size - sum(map(len, missing))
    texts: dict[int, str] = {}
    if store:
        progress(done, size)
    for part in finished_parts(sweep, missing, sweep.sizes, executor, workers):
        if store:
            store.keep(part.first, part.size, part.text)
        else:
            texts[part.first] = part.text
        done += part.size
        progress(done, size)
    if store is None:
        import pandas as pd

        parts = (text for _, text in sorted(texts.items()))
        return pd.read_csv(io.StringIO("".join(csv_table(sweep.columns, parts))))
    if store.finished:
        return store.table()
    draw = partial(view(sweep, "figure"), sweep) if figures else None
    return store.finish(sweep.columns, draw)


def _silent(done: int, size: int) -> None:
    """Report no progress."""
