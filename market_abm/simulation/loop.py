"""The simulation loop: step engines, record runs, and say how each run ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.errors import MarketError
from market_abm.market.state import State
from market_abm.simulation.endings import DIVERGENCE_LIMIT, Ending, Status, divergence
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
    def reference(self) -> np.ndarray:
        """The consumers' reference quantities, units, shape (runs, final goods)."""

    @property
    def failed(self) -> Mapping[int, MarketError]:
        """Rows that cannot continue."""

    def step(self) -> None:
        """Advance all runs by one step."""

    def keep(self, rows: np.ndarray) -> None:
        """Continue with these runs only."""

    def change(self, economies: Sequence[Economy]) -> None:
        """Continue with other economies of the same structure, one per run."""


class Observer(Protocol):
    """Computes results of each state by name, among them whether each run has ``settled``."""

    @property
    def path(self) -> Sequence[str]:
        """Names of results to record at each step; of all others only the last is kept."""

    def __call__(self, state: State) -> dict[str, np.ndarray]:
        """The results for ``state``; arrays of shape (runs,) or (runs, goods)."""

    def keep(self, rows: np.ndarray) -> None:
        """Continue with these runs only."""

    def change(self, economy: Economy) -> None:
        """Continue with this economy, vectorized if there are several runs."""


Progress = Callable[[State, Mapping[str, np.ndarray]], None]
"""Called at the start and after every step with the state and the observer's results.

Its arrays are valid during the call only: copy what is to be kept.
"""


def simulate(
    engine: Engine,
    steps: int | np.ndarray,
    observer: Observer,
    progress: Progress | None = None,
    *,
    every: int = 1,
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
        Called at the start and after every step; its arrays have an axis of the remaining runs.
    every
        Record every so many steps; each run's last step is always recorded.
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
    record = Record(engine.economy, every, goods, (*buyer_fields, *observer.path))
    runs = _Runs(record, np.broadcast_to(steps, (len(state.prices),)), max(economies_at, default=0))
    observations = observer(state, engine.batch)
    record.add(state, observations, runs.numbers)
    runs.end_failed(engine)
    runs.end_finished(state, observations)
    try:
        if progress:
            progress(state, observations)
        while runs.active.any():
            runs.drop_ended(engine, observer)
            due = economies_at.get(state.step + 1)
            state, observations = advance(
                engine, observer, due and [due[run] for run in runs.numbers.tolist()]
            )
            runs.end_failed(engine)
            runs.end_diverged(engine.economy, state)
            record.add(state, observations, runs.numbers)
            runs.end_finished(state, observations)
            if progress:
                progress(state, observations)
    except KeyboardInterrupt:
        runs.interrupt()
    return runs.all()


def advance(
    engine: Engine, observer: Observer, economies: Sequence[Economy] | None = None
) -> tuple[State, dict[str, np.ndarray]]:
    """Advance all runs by one step; return the new state and the observer's results for it.

    With ``economies``, one per run, it is the first step of these.
    """
    if economies is not None:
        engine.change(economies)
        observer.change(engine.economy)
    engine.step()
    state = engine.state
    return state, observer(state, engine.batch)


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
        for row in np.flatnonzero(self.active & _out_of_range(state)).tolist():
            ending = divergence(economy, state, row)
            assert ending is not None
            self._endings[int(self.numbers[row])] = ending
            self._end(row)

    def end_finished(self, state: State, observations: Mapping[str, np.ndarray]) -> None:
        """End runs that have settled, after the last change, or are at their last step."""
        settled = observations["settled"] & (state.step >= self.last_change)
        done = self.active & (settled | (self.last_step[self.numbers] <= state.step))
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


def _out_of_range(state: State) -> np.ndarray:
    """Which runs have a quantity or price that is NaN or too large, shape (runs,)."""
    beyond = [~(np.abs(each) < DIVERGENCE_LIMIT) for each in (state.quantities, state.prices)]
    return np.any(beyond[0] | beyond[1], axis=-1)
