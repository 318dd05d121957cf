"""The simulation loop: step engines, record runs, and say how each run ended."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.economy.production import Batch
from market_abm.errors import MarketError
from market_abm.market.state import State
from market_abm.simulation.endings import Ending, Status, divergence, divergence_limit
from market_abm.simulation.record import BUYER_FIELDS, Record, Trajectory


@dataclass(frozen=True, eq=False)
class Run:
    """One run of a market: its trajectory, the observer's results, and how it ended.

    Parameters
    ----------
    trajectory
        The recorded path.
    observations
        The observer's results by name, with an axis of records like the arrays of ``trajectory``.
    last, last_observations
        State and observations of the last step, of every good.
    ending
        How the run ended; None if it settled (as the observer defines it), ran out of steps or
        failed.
    error
        The user error that stopped the run, if any.
    """

    trajectory: Trajectory
    observations: Mapping[str, np.ndarray]
    last: State
    last_observations: Mapping[str, np.ndarray]
    ending: Ending | None
    error: MarketError | None


class Engine(Protocol):
    """Moves one or more runs of a market; arrays have a leading axis of runs.

    ``failed`` maps rows that cannot continue to the reason. :meth:`keep` drops all other rows.
    """

    @property
    def economy(self) -> Economy:
        """The economy, vectorized if there are several runs."""

    @property
    def state(self) -> State:
        """The observable state."""

    @property
    def batch(self) -> Batch | None:
        """What firms made of their last inputs; None if unknown."""

    @property
    def reference(self) -> np.ndarray:
        """The consumers' reference quantities, units, shape (runs, final goods)."""

    @property
    def failed(self) -> Mapping[int, MarketError]:
        """Rows that cannot continue."""

    def step(self) -> None:
        """Advance all runs by one step."""

    def release(self) -> None:
        """Let go of the last state: the runs are over."""

    def keep(self, rows: np.ndarray) -> None:
        """Continue with these runs only."""

    def change(self, economies: Sequence[Economy]) -> None:
        """Continue with other economies of the same structure, one per run."""


class Observer(Protocol):
    """Computes results of each state by name, among them whether each run has ``settled``."""

    @property
    def path(self) -> Sequence[str]:
        """Names of results to record at each step; of all others only the last is kept."""

    def __call__(
        self, state: State, batch: Batch | None = None, *, recorded: bool = True
    ) -> dict[str, np.ndarray]:
        """The results for ``state``; arrays of shape (runs,) or (runs, goods).

        ``batch`` is what the engine holds of it; ``recorded``, whether the step is recorded.
        """

    def keep(self, rows: np.ndarray) -> None:
        """Continue with these runs only."""

    def change(self, economy: Economy) -> None:
        """Continue with this economy, vectorized if there are several runs."""


class SparseObserver(Observer, Protocol):
    """An observer that can leave out steps."""

    def settled(self, state: State, batch: Batch | None = None) -> np.ndarray:
        """Whether each run has settled, shape (runs,): asked of a step that is left out."""

    def prepare(self, state: State, batch: Batch | None = None) -> None:
        """Note what the results of the next step depend on, after a step that is left out."""

    def compared(self, state: State, batch: Batch | None = None) -> dict[str, np.ndarray]:
        """All results but ``settled`` of such a step, for runs that end there."""


Progress = Callable[[State, Mapping[str, np.ndarray]], None]
"""Called at the start and after every observed step with the state and the observer's results.

Its arrays are valid during the call only: copy what is to be kept.
"""


def simulate(
    engine: Engine,
    steps: int | np.ndarray,
    observer: Observer,
    progress: Progress | None = None,
    *,
    every: int = 1,
    observe_every: int = 1,
    goods: Sequence[str] | None = None,
    buyer_fields: Sequence[str] = BUYER_FIELDS,
    changes: Sequence[tuple[int, Sequence[Economy]]] = (),
) -> list[Run]:
    """Run each of the engine's runs until it settles, diverges, fails or reaches its last step.

    Ctrl-C ends all runs; what was recorded is kept.

    Parameters
    ----------
    engine
        The runs at their start.
    steps
        The last step: one number, or one per run, shape (runs,).
    observer
        Says which runs have settled; its results are recorded.
    progress
        Called at the start and after every observed step; its arrays have an axis of the remaining
        runs.
    every
        Record every so many steps; each run's last step is always recorded.
    observe_every
        Observe every so many steps, and each run's last step; only observed steps are recorded.
        Above 1, the observer is a :class:`SparseObserver`. When a run ends does not depend on it.
    goods
        The goods to record; by default all.
    buyer_fields
        The fields of ``State`` to record for the buyers of these goods, unless there are too many.
    changes
        Steps, each with the economies, one per run, that apply from it on. No run settles before
        the last of them.

    Returns
    -------
    list of Run
        One per run, in the engine's order.
    """
    state = engine.state
    economies_at = dict(changes)
    recorded = math.lcm(every, observe_every)
    record = Record(engine.economy, recorded, goods, (*buyer_fields, *observer.path))
    runs = _Runs(record, np.broadcast_to(steps, (len(state.prices),)), max(economies_at, default=0))
    watch = _Watch(observer, observe_every, recorded)
    observations = observer(state, engine.batch)
    record.add(state, observations, runs.numbers)
    runs.end_failed(engine)
    runs.end_finished(runs.finished(state, observations["settled"]))
    try:
        if progress:
            progress(state, observations)
        while runs.active.any():
            runs.drop_ended(engine, observer)
            before, observed = engine.state, watch.observed == engine.state.step
            due, economy = economies_at.get(before.step + 1), engine.economy
            if due and not observed:  # by its own economy
                watch.add_left_out(record, before, engine.batch, runs.numbers)
                observed = True
            state = move(engine, observer, due and [due[run] for run in runs.numbers.tolist()])
            if not observed and runs.any_stopped(engine, state):
                watch.add_left_out(record, before, None, runs.numbers)
            show(engine, observer, economy)
            runs.end_failed(engine)
            runs.end_diverged(engine.economy, state)
            results = watch(state, engine.batch, runs)
            if results is None:
                continue
            record.add(state, results, runs.numbers)
            runs.end_finished(runs.finished(state, results["settled"]))
            if progress:
                progress(state, results)
    except KeyboardInterrupt:
        runs.interrupt()
    return runs.all()


def advance(
    engine: Engine, observer: Observer, economies: Sequence[Economy] | None = None
) -> tuple[State, dict[str, np.ndarray]]:
    """Advance all runs by one step; return the new state and the observer's results for it.

    With ``economies``, one per run, it is the first step of these.
    """
    economy = engine.economy
    state = move(engine, observer, economies)
    show(engine, observer, economy)
    return state, observer(state, engine.batch)


def show(engine: Engine, observer: Observer, before: Economy) -> None:
    """Let the observer continue with the engine's economy, if a series has changed it."""
    if engine.economy is not before:
        observer.change(engine.economy)


def move(engine: Engine, observer: Observer, economies: Sequence[Economy] | None) -> State:
    """The state one step later; with ``economies``, the first step of these."""
    if economies is not None:
        engine.change(economies)
        observer.change(engine.economy)
    engine.step()
    return engine.state


class _Watch:
    """Which steps are observed: every so many, and those at which runs end."""

    def __init__(self, observer: Observer, every: int, recorded: int) -> None:
        self.observer = cast("SparseObserver", observer)
        self.every = every
        self.recorded = recorded
        self.observed = 0

    def __call__(
        self, state: State, batch: Batch | None, runs: _Runs
    ) -> Mapping[str, np.ndarray] | None:
        """The results for the next state, or None if it is left out."""
        step = state.step
        if step % self.every == 0:
            last = step % self.recorded == 0 or bool(runs.at_last_step(state).any())
            self.observed = step
            return self.observer(state, batch, recorded=last)
        settled = self.observer.settled(state, batch)
        results = None
        if runs.finished(state, settled).any():
            self.observed = step
            results = {"settled": settled, **self.observer.compared(state, batch)}
        elif (step + 1) % self.every == 0:
            self.observer.prepare(state, batch)
        return results

    def add_left_out(
        self, record: Record, state: State, batch: Batch | None, numbers: np.ndarray
    ) -> None:
        """Observe and record a step that was left out, at which runs turn out to have ended."""
        nobody = np.zeros(state.prices.shape[:-1], bool)
        record.add(state, {"settled": nobody, **self.observer.compared(state, batch)}, numbers)


class _Runs:
    """The runs of a simulation: which are active, and how the others ended.

    ``numbers`` are the runs in the engine's rows; ``active`` says which of these rows continue.
    """

    def __init__(self, record: Record, last_step: np.ndarray, last_change: int) -> None:
        self.record = record
        self.last_step = last_step
        self.last_change = last_change
        self.numbers = np.arange(len(last_step))
        self.active = np.ones(len(last_step), bool)
        self._endings: dict[int, Ending] = {}
        self._errors: dict[int, MarketError] = {}

    def drop_ended(self, engine: Engine, observer: Observer) -> None:
        """Drop the ended runs from engine and observer once they are half of the rows."""
        if 2 * np.count_nonzero(self.active) <= len(self.active):
            engine.keep(self.active)
            observer.keep(self.active)
            self.numbers, self.active = self.numbers[self.active], self.active[self.active]

    def end_failed(self, engine: Engine) -> None:
        """End runs that the engine cannot continue, at the last recorded step."""
        for row in set(engine.failed) & set(np.flatnonzero(self.active).tolist()):
            self._errors[int(self.numbers[row])] = engine.failed[row]
            self._end(row)

    def end_diverged(self, economy: Economy, state: State) -> None:
        """End runs whose new state is out of range, at the last recorded step."""
        for row in np.flatnonzero(self.active & _out_of_range(economy, state)).tolist():
            ending = divergence(economy, state, row)
            assert ending is not None
            self._endings[int(self.numbers[row])] = ending
            self._end(row)

    def any_stopped(self, engine: Engine, state: State) -> bool:
        """Whether any active run failed in the step to ``state``, or diverged."""
        failed = any(self.active[row] for row in engine.failed)
        return failed or bool(np.any(self.active & _out_of_range(engine.economy, state)))

    def at_last_step(self, state: State) -> np.ndarray:
        """The active runs that are at their last step, a mask."""
        return self.active & (self.last_step[self.numbers] <= state.step)

    def finished(self, state: State, settled: np.ndarray) -> np.ndarray:
        """The active runs that are ``settled``, after the last change, or at their last step."""
        rest = self.active & settled & (state.step >= self.last_change)
        return rest | self.at_last_step(state)

    def end_finished(self, done: np.ndarray) -> None:
        """End the runs of a mask, at the step recorded last."""
        self.record.close(self.numbers[done])
        self.active &= ~done

    def interrupt(self) -> None:
        """End all active runs at the last recorded step."""
        for run in self.numbers[self.active].tolist():
            step = self.record.close([run])
            detail = f"interrupted after step {step}"
            self._endings[run] = Ending(Status.INTERRUPTED, step, None, detail)

    def all(self) -> list[Run]:
        """All runs in their first order."""
        return [
            Run(*self.record.of(run), self._endings.get(run), self._errors.get(run))
            for run in range(len(self.last_step))
        ]

    def _end(self, row: int) -> None:
        self.record.close(self.numbers[[row]])
        self.active[row] = False


def _out_of_range(economy: Economy, state: State) -> np.ndarray:
    """Which runs have a quantity or price that is NaN or too large, shape (runs,)."""
    limit = divergence_limit(economy)
    beyond = [~(np.abs(each) < limit) for each in (state.quantities, state.prices)]
    return np.any(beyond[0] | beyond[1], axis=-1)
