"""The record of runs: their trajectories, and all of their last step."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.market.state import State, StateLeftError

BUYER_FIELDS = ("inputs", "shares", "bids")
"""Fields of ``State`` with one number per buyer."""

MAX_RECORDED_BUYERS = 10_000
"""Buyers up to which their fields are recorded at every step; beyond, at the last step only."""

BLOCK_STEPS = 64
"""Recorded steps for which memory is allocated at once."""

GROUP_RUNS = 16
"""Neighbouring runs whose trajectories are copied from the blocks together."""


@dataclass(frozen=True, eq=False)
class Trajectory:
    """The recorded steps of a run: the arrays of ``State`` with an axis of records.

    Parameters
    ----------
    quantities, prices
        Units and money per unit, shape (records, recorded goods).
    inputs, shares, bids
        Shape (records, their buyers), or (0, their buyers) where these were not recorded.
    times
        The recorded steps, shape (records,): all from 0 on, unless the record is thinned.
    goods, buyers
        The recorded goods and buyers, by their places in the economy: all, unless chosen.
    """

    quantities: np.ndarray
    prices: np.ndarray
    inputs: np.ndarray
    shares: np.ndarray
    bids: np.ndarray
    times: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    goods: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    buyers: np.ndarray = field(default_factory=lambda: np.zeros(0, int))

    def __post_init__(self) -> None:
        if len(self.times) == 0:
            object.__setattr__(self, "times", np.arange(len(self.prices)))
        if len(self.goods) == 0:
            object.__setattr__(self, "goods", np.arange(self.prices.shape[1]))
            object.__setattr__(self, "buyers", np.arange(self.shares.shape[1]))

    @cached_property
    def steps(self) -> int:
        """The last step recorded."""
        return int(self.times[-1])


def recorded_places(
    economy: Economy, goods: Sequence[str] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The places of the recorded goods, and those of their buyers unless these are too many."""
    goods = goods or economy.goods
    places = np.sort([economy.index[good] for good in goods])
    if _buyers(economy, goods) > MAX_RECORDED_BUYERS:
        return places, np.zeros(0, int)
    return places, np.flatnonzero(np.isin(economy.buyers.good, places))


def _buyers(economy: Economy, goods: Sequence[str]) -> int:
    """The number of buyers of some goods; that many buyers are not laid out to be counted."""
    some = set(goods)
    return sum(i.firms * sum(g in some for g in i.technology.inputs) for i in economy.industries)


Arrays = dict[str, np.ndarray]


class _Block:
    """Consecutive records of the same runs: arrays of shape (records, ..., runs)."""

    def __init__(self, numbers: np.ndarray, first: int, entry: Arrays) -> None:
        self.numbers = numbers
        self.first = first
        self.size = 0
        self.arrays = {
            name: np.empty((BLOCK_STEPS, *value.shape[1:], len(numbers)))
            for name, value in entry.items()
        }

    def add(self, entry: Arrays) -> None:
        """Add one record."""
        for name, value in entry.items():
            self.arrays[name][self.size] = value.T
        self.size += 1


def _value(state: State, observations: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    """An observation, or a field of the state."""
    return observations[name] if name in observations else getattr(state, name)


class Record:
    """The record of several runs, each up to its last step.

    Parameters
    ----------
    economy
        The economy of the runs.
    every
        Record every so many steps.
    goods
        The goods to record; by default all.
    path
        The fields of states and observations to record, beside quantities and prices.
    """

    def __init__(
        self, economy: Economy, every: int, goods: Sequence[str] | None, path: Sequence[str]
    ) -> None:
        self.every = every
        self.path = ("quantities", "prices", *path)
        self.goods, self.buyers = recorded_places(economy, goods)
        self._some = goods is not None
        self._times: list[int] = []
        self._blocks: list[_Block] = []
        self._last: dict[int, tuple[int, Arrays]] = {}
        self._latest: tuple[State, Mapping[str, np.ndarray], np.ndarray] | None = None
        self._size = economy.buyers.size
        self._group: tuple[int, Arrays] = -1, {}

    def add(
        self, state: State, observations: Mapping[str, np.ndarray], numbers: np.ndarray
    ) -> None:
        """Add one step, whose rows are the runs of these ``numbers``."""
        self._latest = state, observations, numbers
        if state.step % self.every == 0:
            chosen = self._chosen(lambda name: _value(state, observations, name))
            block = self._blocks[-1] if self._blocks else None
            if block is None or block.numbers is not numbers or block.size == BLOCK_STEPS:
                block = _Block(numbers, len(self._times), chosen)
                self._blocks.append(block)
            block.add(chosen)
            self._times.append(state.step)

    def _chosen(self, value_of: Callable[[str], np.ndarray]) -> Arrays:
        """The values, by name, that are recorded at every step."""
        chosen = {}
        for name in self.path:
            of_buyers = name in BUYER_FIELDS
            if of_buyers and len(self.buyers) == 0:
                continue
            value = value_of(name)
            if of_buyers and len(self.buyers) < value.shape[-1]:
                value = value[..., self.buyers]
            elif self._some and not of_buyers and value.ndim > 1:
                value = value[..., self.goods]
            chosen[name] = value
        return chosen

    def close(self, runs: Iterable[int]) -> int:
        """End these runs at the step added last, and return it.

        Of a large market that has left that step already, as one that diverges in the next, numbers
        of buyers are NaN.
        """
        assert self._latest is not None
        state, observations, numbers = self._latest
        for run in runs:
            row = int(np.flatnonzero(numbers == run)[0])
            names = (*(f.name for f in fields(State) if f.name != "step"), *observations)
            entry: Arrays = {}
            for name in names:
                try:
                    value = _value(state, observations, name)[row]
                    entry[name] = value if len(numbers) == 1 else np.array(value)
                except StateLeftError:
                    entry[name] = np.full(self._size, np.nan)
            self._last[int(run)] = state.step, entry
        return state.step

    def of(self, run: int) -> tuple[Trajectory, Arrays, State, Arrays]:
        """The record of one run: trajectory, observations on it, last state and observations."""
        step, last = self._last[run]
        count = bisect.bisect_left(self._times, step)
        group = run - run % GROUP_RUNS
        if self._group[0] != group:
            self._group = group, self._collect(group)
        path: Arrays = {}
        for name, value in self._chosen(lambda name: last[name][None]).items():
            array = self._group[1][name][run - group]
            array[..., count] = value[0]
            path[name] = array[..., : count + 1].T
        empty = np.zeros((0, len(self.buyers)))
        names = [f.name for f in fields(State) if f.name != "step"]
        trajectory = Trajectory(
            **{name: path.pop(name, empty) for name in names},
            times=np.array([*self._times[:count], step]),
            goods=self.goods,
            buyers=self.buyers,
        )
        state = State(step=step, **{name: last[name] for name in names})
        observations = {name: value for name, value in last.items() if name not in names}
        return trajectory, path, state, observations

    def _collect(self, group: int) -> Arrays:
        """The paths of ``GROUP_RUNS`` runs from ``group`` on: arrays of shape (runs, ..., records).

        Neighbouring runs are adjacent in memory, so copying them together is fastest. Each has room
        for its last step.
        """
        numbers = [run for run in range(group, group + GROUP_RUNS) if run in self._last]
        steps = 1 + bisect.bisect_left(self._times, max(self._last[run][0] for run in numbers))
        result: Arrays = {}
        last = self._last[group][1]
        for name, value in self._chosen(lambda name: last[name][None]).items():
            array = np.empty((len(numbers), *value.shape[1:], steps))
            for block in self._blocks:
                low, high = np.searchsorted(block.numbers, (group, group + GROUP_RUNS))
                size = min(block.size, steps - block.first)
                if low < high and size > 0:
                    rows = block.numbers[low:high] - group
                    part = block.arrays[name][:size, ..., low:high]
                    array[rows, ..., block.first : block.first + size] = part.T
                if len(self._last) <= GROUP_RUNS:  # no other group will read it
                    del block.arrays[name]
            result[name] = array
        return result
