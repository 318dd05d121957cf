"""The only loop: run markets step by step, record what is seen, and say how each run ended."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Protocol

import numpy as np

from market_abm.economy import Economy
from market_abm.errors import MarketError
from market_abm.markets import PooledMarket
from market_abm.record import BOOKS, Record, Trajectory
from market_abm.state import MarketSettings, State

if TYPE_CHECKING:
    from market_abm.model import MarketModel

LARGEST = 1e100
"""A price or quantity beyond this, in either direction, counts as diverged."""


class Status(enum.Enum):
    """How a run ended; the value is the name used in files, ``exit_code`` the command's."""

    CONVERGED = "converged"
    MAX_STEPS = "max_steps"
    OSCILLATING = "oscillating"
    DIVERGED = "diverged"
    INTERRUPTED = "interrupted"

    @property
    def exit_code(self) -> int:
        """0 converged, 3 max_steps, 4 oscillating, 5 diverged, 130 interrupted (2: a mistake)."""
        return _EXIT_CODES[self]


_EXIT_CODES = {
    Status.CONVERGED: 0,
    Status.MAX_STEPS: 3,
    Status.OSCILLATING: 4,
    Status.DIVERGED: 5,
    Status.INTERRUPTED: 130,
}


@dataclass(frozen=True)
class Ending:
    """How a run ended: its status, the step, the good that decided it, and a sentence."""

    status: Status
    step: int
    good: str | None
    detail: str


@dataclass(frozen=True, eq=False)
class Run:
    """One run of a market: its path, what the watcher ``saw`` of it, and how it ended.

    ``saw`` has an axis of records, like the arrays of ``trajectory``. ``last`` and ``last_saw`` are
    the state at the last step and all that was seen of it, of every good. ``ending`` is None if
    the run stopped because it was settled (what that means is the watcher's to say) or if a user's
    mistake, ``error``, showed on the way.
    """

    trajectory: Trajectory
    saw: Mapping[str, np.ndarray]
    last: State
    last_saw: Mapping[str, np.ndarray]
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


class Watcher(Protocol):
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
be seen of the market and what the watcher saw of it. Arrays are to be copied, or read at once."""


class Alone:
    """A Mesa model as a market of one run."""

    def __init__(self, model: MarketModel) -> None:
        self.model = model
        self.failed: dict[int, MarketError] = {}

    @property
    def state(self) -> State:
        """The model's state, with an axis of one run."""
        state = self.model.state
        arrays = {f.name: getattr(state, f.name)[None] for f in fields(State) if f.name != "step"}
        return State(step=state.step, **arrays)

    def step(self) -> None:
        """Move the model, and keep what it complains of."""
        try:
            self.model.step()
        except MarketError as error:
            self.failed[0] = error

    @property
    def reference(self) -> np.ndarray:
        """What the model's consumers refer to, (1, final goods)."""
        return np.array([[consumer.reference for consumer in self.model.consumers]])

    @property
    def economy(self) -> Economy:
        """The model's economy."""
        return self.model.economy

    def keep(self, rows: np.ndarray) -> None:
        """There is but one."""

    def change(self, economies: Sequence[Economy]) -> None:
        """Change the model's economy."""
        self.model.change(economies[0])


def simulate(
    market: Engine,
    steps: int | np.ndarray,
    watch: Watcher,
    progress: Progress | None = None,
    *,
    every: int = 1,
    goods: Sequence[str] | None = None,
    books: Sequence[str] = BOOKS,
    changes: Sequence[tuple[int, Sequence[Economy]]] = (),
) -> list[Run]:
    """Run each of the market's runs for at most ``steps`` steps, until settled, diverged or failed.

    ``steps`` is one number, or one a run. Every ``every``-th step and each run's last is recorded:
    of these ``goods`` (by default all), and of their buyers, while they are few, these ``books``.
    ``changes`` says with which steps the economies, one a run, become others; no run settles before
    the last of them. ``progress(state, saw)`` is called at the start and after every step; its
    arrays have an axis of the runs that go on. Ctrl-C ends all runs and keeps what was recorded.
    """
    state = market.state
    runs = len(state.prices)
    last_allowed = np.broadcast_to(steps, (runs,))
    numbers = np.arange(runs)  # which run each row is
    record = Record(market.economy, every, goods, (*books, *watch.path))
    endings: dict[int, Ending | None] = {}
    errors = {int(numbers[row]): error for row, error in market.failed.items()}
    saw = watch(state)
    record.add(state, saw, numbers)
    economies_of = dict(changes)
    last_change = max(economies_of, default=0)
    settled = saw["settled"] & (state.step >= last_change)
    going = ~(settled | (last_allowed <= state.step) | np.isin(numbers, list(errors)))
    record.close(numbers[~going], state.step)
    try:
        if progress:
            progress(state, saw)
        while going.any():
            if 2 * np.count_nonzero(going) <= len(going):  # carry on without those that are done
                market.keep(going)
                watch.keep(going)
                numbers, going = numbers[going], going[going]
            before = state.step
            due = economies_of.get(before + 1)
            state, saw = advance(market, watch, due and [due[run] for run in numbers.tolist()])
            for row in set(market.failed) & set(np.flatnonzero(going).tolist()):
                errors[int(numbers[row])] = market.failed[row]
                going[row] = False
                record.close(numbers[[row]], before)
            for row in np.flatnonzero(going & _beyond(state)).tolist():
                endings[int(numbers[row])] = divergence(market.economy, state, row)
                going[row] = False
                record.close(numbers[[row]], before)
            record.add(state, saw, numbers)
            settled = saw["settled"] & (state.step >= last_change)
            done = going & (settled | (last_allowed[numbers] <= state.step))
            record.close(numbers[done], state.step)
            going &= ~done
            if progress:
                progress(state, saw)
    except KeyboardInterrupt:
        for stopped in numbers[going].tolist():
            step = record.close_early(stopped)
            endings[stopped] = Ending(
                Status.INTERRUPTED, step, None, f"interrupted after step {step}"
            )
    return [Run(*record.of(run), endings.get(run), errors.get(run)) for run in range(runs)]


def advance(
    market: Engine, watch: Watcher, economies: Sequence[Economy] | None = None
) -> tuple[State, dict[str, np.ndarray]]:
    """Move all runs one step on, and look: the state that they come to, and what is seen of it.

    With ``economies``, one a run, this is the first step with their numbers.
    """
    if economies is not None:
        market.change(economies)
        watch.change(market.economy)
    market.step()
    state = market.state
    return state, watch(state)


def _beyond(state: State) -> np.ndarray:
    """Which runs have a quantity or price that is no number, or too large; shape (runs,)."""
    beyond = [~(np.abs(each) < LARGEST) for each in (state.quantities, state.prices)]
    return np.any(beyond[0] | beyond[1], axis=-1)


def divergence(economy: Economy, state: State, row: int) -> Ending | None:
    """How run ``row`` has diverged: the first number that is too large, or none; or None."""
    for what, values in (("quantity", state.quantities[row]), ("price", state.prices[row])):
        for k in np.flatnonzero(~(np.abs(values) < LARGEST)):
            return Ending(
                Status.DIVERGED,
                state.step,
                economy.goods[k],
                f"diverged at step {state.step}: the {what} of {economy.goods[k]} is "
                f"{values[k]:.6g}",
            )
    return None


def out_of_steps(
    economy: Economy, settings: MarketSettings, trajectory: Trajectory, last_shock: int = 0
) -> Ending:
    """The ending of a run that did not settle: does it swing for ever, or only need more time?

    Judged by what came after the ``last_shock``.
    """
    goods, step = economy.goods, trajectory.steps
    bought = economy.buyers.good
    paths: list[tuple[np.ndarray, np.ndarray, Callable[[int], str], Callable[[int], int]]] = [
        (trajectory.prices, trajectory.goods, lambda k: f"price of {goods[k]}", int),
        (trajectory.quantities, trajectory.goods, lambda k: f"quantity of {goods[k]}", int),
        (
            trajectory.shares,
            trajectory.buyers,
            lambda k: f"share of {goods[bought[k]]} for {economy.buyer_name(k)}",
            lambda k: int(bought[k]),
        ),
    ]
    after = max(1, int(np.count_nonzero(trajectory.times >= last_shock)))
    swings = [
        (size, name(places[k]), good(places[k]), low, high, period)
        for path, places, name, good in paths
        for size, k, low, high, period in _swings(path[-after:])
    ]
    noisy = any(np.any(i.population.bid_noise) for i in economy.flow)
    if swings and not noisy:
        _, what, k, low, high, period = max(swings)
        spacing = step / max(1, len(trajectory.times) - 1)
        detail = (
            f"oscillating up to step {step}: the {what} swings between {low:.6g} and {high:.6g}, "
            f"about every {period * spacing:.3g} steps"
        )
        divided = settings.shares_move and economy.buyers.contested
        if divided or not issubclass(settings.rules, PooledMarket):
            detail += f"; {settings.rules.calmer}"
        elif any(terms.elasticity > 0 for terms in economy.supply.values()):
            detail += "; lower the supplier's adjustment"
        return Ending(Status.OSCILLATING, step, goods[k], detail)
    return Ending(Status.MAX_STEPS, step, None, f"not settled after {step} steps")


def _swings(path: np.ndarray) -> Iterator[tuple[float, int, float, float, float]]:
    """(relative size, column, low, high, period) of each column that swings and does not die down.

    Looks at the last half of the path (at most 400 records): a swing turns round at least four
    times, is larger than 1e-6 of the value, and is in its second half at least 0.9 of its first
    half.
    """
    window = path[-min(len(path) // 2, 400) :]
    if len(window) < 8:
        return
    early, late = np.array_split(window, 2)
    low, high = window.min(axis=0), window.max(axis=0)
    sizes = np.ptp(late, axis=0) / np.maximum(
        np.maximum(np.abs(low), np.abs(high)), np.finfo(float).tiny
    )
    changes = np.diff(window, axis=0)
    turns = np.count_nonzero(changes[1:] * changes[:-1] < 0, axis=0)
    lasting = np.ptp(late, axis=0) >= 0.9 * np.ptp(early, axis=0)
    for k in np.flatnonzero((sizes > 1e-6) & lasting & (turns >= 4)):
        period = 2.0 * len(window) / turns[k]
        yield float(sizes[k]), int(k), float(low[k]), float(high[k]), float(period)
