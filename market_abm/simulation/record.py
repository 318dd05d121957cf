"""What is recorded of runs: their paths, step by step, and the last step whole."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.market.state import State

BUYER_FIELDS = ("inputs", "shares", "bids")
"""What ``State`` holds of each buyer."""


MAX_RECORDED_BUYERS = 10_000
"""Buyers up to whom the books of each are recorded at every step; of more, at the last only."""


CHAPTER = 64
"""Records that room is made for at a time."""


GROUP = 16
"""Neighbouring runs whose records are taken apart together."""


@dataclass(frozen=True, eq=False)
class Trajectory:
    """What was seen at each recorded step of a run: the arrays of ``State`` with an axis of steps.

    ``quantities`` and ``prices`` have shape (records, recorded goods); ``inputs``, ``shares`` and
    ``bids`` (records, their buyers), or (0, their buyers) where such books were not kept.
    ``times``, shape (records,), says which steps these are: all from 0 on, unless thinned;
    ``goods`` and ``buyers`` which goods and buyers: all, unless chosen.
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
    """Where the goods that are recorded stand, and those of their buyers whose books are kept."""
    places = np.sort([economy.index[good] for good in (goods or economy.goods)])
    buyers = np.flatnonzero(np.isin(economy.buyers.good, places))
    return places, buyers if len(buyers) <= MAX_RECORDED_BUYERS else buyers[:0]


Seen = dict[str, np.ndarray]


class _Chapter:
    """What was seen of the same runs, step by step: arrays of shape (steps, ..., runs)."""

    def __init__(self, numbers: np.ndarray, first: int, seen: Seen) -> None:
        self.numbers = numbers
        self.first = first
        self.size = 0
        self.arrays = {
            name: np.empty((CHAPTER, *value.shape[1:], len(numbers)))
            for name, value in seen.items()
        }

    def add(self, seen: Seen) -> None:
        """One more step."""
        for name, value in seen.items():
            self.arrays[name][self.size] = value.T
        self.size += 1


class Record:
    """What has been seen, step by step, of each run up to its last step."""

    def __init__(
        self, economy: Economy, every: int, goods: Sequence[str] | None, path: Sequence[str]
    ) -> None:
        self.every = every
        self.path = ("quantities", "prices", *path)
        self.goods, self.buyers = recorded_places(economy, goods)
        self._some = goods is not None
        self._times: list[int] = []
        self._chapters: list[_Chapter] = []
        self._tails: dict[int, tuple[int, Seen]] = {}
        self._now: tuple[int, np.ndarray, Seen] | None = None
        self._before: tuple[int, np.ndarray, Seen] | None = None
        self._group: tuple[int, Seen] = -1, {}

    def add(self, state: State, saw: Seen, numbers: np.ndarray) -> None:
        """Take in what the rows, which are these runs, look like now."""
        entry = {f.name: getattr(state, f.name) for f in fields(State) if f.name != "step"} | saw
        self._before, self._now = self._now, (state.step, numbers, entry)
        if state.step % self.every == 0:
            seen = self._chosen(entry)
            last = self._chapters[-1] if self._chapters else None
            if last is None or last.numbers is not numbers or last.size == CHAPTER:
                last = _Chapter(numbers, len(self._times), seen)
                self._chapters.append(last)
            last.add(seen)
            self._times.append(state.step)

    def _chosen(self, entry: Seen) -> Seen:
        """What of an entry belongs to the path: of the recorded goods, of their buyers."""
        chosen = {}
        for name in self.path:
            value = entry[name]
            if name in BUYER_FIELDS and len(self.buyers) < value.shape[-1]:
                if len(self.buyers) == 0:
                    continue
                value = value[..., self.buyers]
            elif self._some and name not in BUYER_FIELDS and value.ndim > 1:
                value = value[..., self.goods]
            chosen[name] = value
        return chosen

    def close(self, runs: np.ndarray, step: int) -> None:
        """These runs ended at ``step``, which is that seen last or the one before."""
        for run in runs.tolist():
            for seen in (self._now, self._before):
                if seen is not None and seen[0] == step:
                    row = int(np.flatnonzero(seen[1] == run)[0])
                    self._tails[run] = step, {k: np.array(v[row]) for k, v in seen[2].items()}

    def close_early(self, run: int) -> int:
        """The run was stopped: it ends at the step seen last."""
        assert self._now is not None
        self.close(np.array([run]), self._now[0])
        return self._now[0]

    def of(self, run: int) -> tuple[Trajectory, Seen, State, Seen]:
        """All that is known of one run: its path, what was seen of it, and both at the end."""
        last, tail = self._tails[run]
        count = bisect.bisect_left(self._times, last)
        group = run - run % GROUP
        if self._group[0] != group:
            self._group = group, self._together(group)
        path: Seen = {}
        for name, value in self._chosen({k: v[None] for k, v in tail.items()}).items():
            array = self._group[1][name][run - group]
            array[..., count] = value[0]
            path[name] = array[..., : count + 1].T
        nothing = np.zeros((0, len(self.buyers)))
        names = [f.name for f in fields(State) if f.name != "step"]
        trajectory = Trajectory(
            **{name: path.pop(name, nothing) for name in names},
            times=np.array([*self._times[:count], last]),
            goods=self.goods,
            buyers=self.buyers,
        )
        state = State(step=last, **{name: tail[name] for name in names})
        saw = {name: value for name, value in tail.items() if name not in names}
        return trajectory, path, state, saw

    def _together(self, group: int) -> Seen:
        """The paths of neighbouring runs from ``group`` on: arrays of shape (runs, ..., steps).

        Neighbours stand side by side in memory, and are best read together; each has room for its
        last step.
        """
        numbers = [run for run in range(group, group + GROUP) if run in self._tails]
        steps = 1 + bisect.bisect_left(self._times, max(self._tails[run][0] for run in numbers))
        result: Seen = {}
        tail = {name: value[None] for name, value in self._tails[group][1].items()}
        for name, value in self._chosen(tail).items():
            array = np.empty((len(numbers), *value.shape[1:], steps))
            for chapter in self._chapters:
                low, high = np.searchsorted(chapter.numbers, (group, group + GROUP))
                size = min(chapter.size, steps - chapter.first)
                if low < high and size > 0:
                    rows = chapter.numbers[low:high] - group
                    part = chapter.arrays[name][:size, ..., low:high]
                    array[rows, ..., chapter.first : chapter.first + size] = part.T
                if len(self._tails) <= GROUP:  # there are no others who will ask
                    del chapter.arrays[name]
            result[name] = array
        return result
