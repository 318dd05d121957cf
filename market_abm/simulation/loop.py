"""The only loop: run markets step by step, record what is seen, and say how each run ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.errors import MarketError
from market_abm.market.state import State
from market_abm.simulation.endings import DIVERGENCE_LIMIT, Ending, Status, divergence
from market_abm.simulation.record import BUYER_FIELDS, Record, Trajectory

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, eq=False)
class Run:
    """One run of a market: its path, what the watcher ``observations`` of it, and how it ended.

    ``observations`` has an axis of records, like the arrays of ``trajectory``. ``last`` and ``last_observations`` are
    the state at the last step and all that was seen of it, of every good. ``ending`` is None if
    the run stopped because it was settled (what that means is the watcher's to say) or if a user's
    mistake, ``error``, showed on the way.
    """

    trajectory: Trajectory
    observations: Mapping[str, np.ndarray]
    last: State
    last_observations: Mapping[str, np.ndarray]
    ending: Ending | None
    error: MarketError | None


class Engine(Protocol):
    """Something that moves one or more runs of a market: arrays have a leading axis of runs.

    ``failed`` says which runs, by row, cannot go on, and why. :meth:`keep` drops all other rows.
    """

    @property
    def economy(self) -> Economy:
        """The economy, stacked if there are several runs."""

    @property
    def state(self) -> State:
        """What can be seen now."""

    @property
    def reference(self) -> np.ndarray:
        """The quantities that consumers refer to, units, shape (runs, final goods)."""

    @property
    def failed(self) -> Mapping[int, MarketError]:
        """Rows that cannot go on."""

    def step(self) -> None:
        """Move all runs one step on."""

    def keep(self, rows: np.ndarray) -> None:
        """Go on with these runs only."""

    def change(self, economies: Sequence[Economy]) -> None:
        """Go on with other numbers: economies of the same structure, one a run."""


class Observer(Protocol):
    """Whoever looks on: says whether each run is ``settled``, and anything else by name."""

    @property
    def path(self) -> Sequence[str]:
        """What is to be recorded at each step; of the rest, the last is kept."""

    def __call__(self, state: State) -> dict[str, np.ndarray]:
        """What is seen in ``state``; arrays of shape (runs,) or (runs, goods)."""

    def keep(self, rows: np.ndarray) -> None:
        """Go on with these runs only."""

    def change(self, economy: Economy) -> None:
        """The market goes on in this economy, stacked if there are several runs."""


Progress = Callable[[State, Mapping[str, np.ndarray]], None]
"""Whoever is shown a run while it goes on: called at the start and after every step, with what can
be seen of the market and what the watcher observations of it. Arrays are to be copied, or read at once."""


def simulate(
    market: Engine,
    steps: int | np.ndarray,
    observer: Observer,
    progress: Progress | None = None,
    *,
    every: int = 1,
    goods: Sequence[str] | None = None,
    books: Sequence[str] = BUYER_FIELDS,
    changes: Sequence[tuple[int, Sequence[Economy]]] = (),
) -> list[Run]:
    """Run each of the market's runs for at most ``steps`` steps, until settled, diverged or failed.

    ``steps`` is one number, or one a run. Every ``every``-th step and each run's last is recorded:
    of these ``goods`` (by default all), and of their buyers, while they are few, these ``books``.
    ``changes`` says with which steps the economies, one a run, become others; no run settles before
    the last of them. ``progress(state, observations)`` is called at the start and after every step; its
    arrays have an axis of the runs that go on. Ctrl-C ends all runs and keeps what was recorded.
    """
    state = market.state
    runs = len(state.prices)
    last_allowed = np.broadcast_to(steps, (runs,))
    numbers = np.arange(runs)  # which run each row is
    record = Record(market.economy, every, goods, (*books, *observer.path))
    endings: dict[int, Ending | None] = {}
    errors = {int(numbers[row]): error for row, error in market.failed.items()}
    observations = observer(state)
    record.add(state, observations, numbers)
    economies_of = dict(changes)
    last_change = max(economies_of, default=0)
    settled = observations["settled"] & (state.step >= last_change)
    active = ~(settled | (last_allowed <= state.step) | np.isin(numbers, list(errors)))
    record.close(numbers[~active], state.step)
    try:
        if progress:
            progress(state, observations)
        while active.any():
            if 2 * np.count_nonzero(active) <= len(active):  # carry on without those that are done
                market.keep(active)
                observer.keep(active)
                numbers, active = numbers[active], active[active]
            before = state.step
            due = economies_of.get(before + 1)
            state, observations = advance(
                market, observer, due and [due[run] for run in numbers.tolist()]
            )
            for row in set(market.failed) & set(np.flatnonzero(active).tolist()):
                errors[int(numbers[row])] = market.failed[row]
                active[row] = False
                record.close(numbers[[row]], before)
            for row in np.flatnonzero(active & _beyond(state)).tolist():
                endings[int(numbers[row])] = divergence(market.economy, state, row)
                active[row] = False
                record.close(numbers[[row]], before)
            record.add(state, observations, numbers)
            settled = observations["settled"] & (state.step >= last_change)
            done = active & (settled | (last_allowed[numbers] <= state.step))
            record.close(numbers[done], state.step)
            active &= ~done
            if progress:
                progress(state, observations)
    except KeyboardInterrupt:
        for stopped in numbers[active].tolist():
            step = record.close_early(stopped)
            endings[stopped] = Ending(
                Status.INTERRUPTED, step, None, f"interrupted after step {step}"
            )
    return [Run(*record.of(run), endings.get(run), errors.get(run)) for run in range(runs)]


def advance(
    market: Engine, observer: Observer, economies: Sequence[Economy] | None = None
) -> tuple[State, dict[str, np.ndarray]]:
    """Move all runs one step on, and look: the state that they come to, and what is seen of it.

    With ``economies``, one a run, this is the first step with their numbers.
    """
    if economies is not None:
        market.change(economies)
        observer.change(market.economy)
    market.step()
    state = market.state
    return state, observer(state)


def _beyond(state: State) -> np.ndarray:
    """Which runs have a quantity or price that is no number, or too large; shape (runs,)."""
    beyond = [~(np.abs(each) < DIVERGENCE_LIMIT) for each in (state.quantities, state.prices)]
    return np.any(beyond[0] | beyond[1], axis=-1)
