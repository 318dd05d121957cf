"""The network as arrays: uses of goods, sums over their buyers, and levels of the network.

A *use* is a good that a line reads; its buyers, one a firm of the line, are neighbours in arrays
over buyers. A *level* is the lines that are equally far from the consumer; what a reverse sweep
finds for one level depends on the levels before it alone. The lines of a *loop* are in one level.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from market_abm.economy.buyers import CACHED_NUMBERS, Buyers


@dataclass(frozen=True, eq=False)
class Loop:
    """The lines that make their goods from each other.

    Attributes
    ----------
    goods
        Their indices in ``Economy.goods``, shape (lines,).
    uses
        The uses of one of these goods by one of these lines, shape (inner uses,).
    inputs, outputs
        For each such use, the places in ``goods`` of what is bought and of what is made.
    buyers, starts
        The buyers of all these uses, and the place in ``buyers`` of the first of each use.
    """

    goods: np.ndarray
    uses: np.ndarray
    inputs: np.ndarray
    outputs: np.ndarray
    buyers: np.ndarray
    starts: np.ndarray

    def sums(self, values: np.ndarray) -> np.ndarray:
        """The sums over the buyers of each use; (..., len(buyers)) to (..., len(uses))."""
        if len(self.uses) == len(self.buyers):
            return values
        return np.add.reduceat(values, self.starts, axis=-1)


@dataclass(frozen=True, eq=False)
class Level:
    """The lines that are equally far from the consumer.

    Attributes
    ----------
    goods
        What they make, indices in ``Economy.goods``.
    loops
        The loops among them.
    uses
        What they buy from other levels: uses, in the order of the goods bought.
    bought, starts
        These goods, each once, and the place in ``uses`` of the first use of each.
    """

    goods: np.ndarray
    loops: tuple[Loop, ...]
    uses: np.ndarray
    bought: np.ndarray
    starts: np.ndarray

    def sums(self, values: np.ndarray) -> np.ndarray:
        """The sums over the uses of each good bought; (..., len(uses)) to (..., len(bought))."""
        if len(self.uses) == len(self.bought):
            return values
        return np.add.reduceat(values, self.starts, axis=-1)


@dataclass(frozen=True)
class Part:
    """Buyers that fit into the cache: some of one use, or all of several ``uses``.

    ``counts`` are the buyers of each use, or None if there is one use, or one buyer of each.
    """

    buyers: slice
    uses: slice
    counts: np.ndarray | None

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Values of uses, (..., uses), for the buyers of this part; they broadcast over one use."""
        part = values[..., self.uses]
        return part if self.counts is None else np.repeat(part, self.counts, axis=-1)

    def sums(self, values: np.ndarray) -> np.ndarray:
        """The sums over the buyers of each use; (..., buyers of the part) to (..., its uses)."""
        if self.uses.stop - self.uses.start == 1:
            return values.sum(axis=-1, keepdims=True)
        if self.counts is None:
            return values
        size = self.counts[0]
        if np.all(self.counts == size):
            return values.reshape(*values.shape[:-1], -1, size).sum(axis=-1)
        return np.add.reduceat(values, np.cumsum(self.counts) - self.counts, axis=-1)


@dataclass(frozen=True, eq=False)
class Uses:
    """The uses of an economy's goods, in the order of buyers.

    Attributes
    ----------
    starts, counts
        The first buyer of each use and the number of its buyers, shape (uses,).
    good, maker
        The good bought and the good made, indices in ``Economy.goods``, shape (uses,).
    pool
        The pool that the buyers belong to, shape (uses,).
    levels
        From the consumer upstream.
    """

    starts: np.ndarray
    counts: np.ndarray
    good: np.ndarray
    maker: np.ndarray
    pool: np.ndarray
    levels: tuple[Level, ...]

    @staticmethod
    def of(buyers: Buyers, stage: np.ndarray, loops: Sequence[np.ndarray]) -> Uses:
        """The uses by these ``buyers``.

        Parameters
        ----------
        buyers
            The layout of arrays over buyers.
        stage
            The lines between each good and the consumer, on the longest path, those of a loop as
            one; -1 for raw goods. Shape (goods,).
        loops
            The goods of each loop, indices.
        """
        pairs = [(use.start, made) for made, good in buyers.makers for use in buyers.uses[good]]
        starts, maker = np.array(sorted(pairs), int).reshape(-1, 2).T
        pool = np.searchsorted(buyers.starts, starts, side="right") - 1
        good = np.array([pool.good for pool in buyers.pools], int)[pool]
        counts = np.diff(np.append(starts, buyers.size))
        uses = Uses(starts, counts, good, maker, pool, ())
        return replace(uses, levels=tuple(_levels(uses, stage, loops)))

    def __len__(self) -> int:
        return len(self.starts)

    @cached_property
    def first_of_pool(self) -> np.ndarray:
        """The first use of each pool, shape (pools,)."""
        return np.flatnonzero(np.diff(self.pool, prepend=-1))

    @cached_property
    def loop_of(self) -> dict[int, Loop]:
        """The loop that makes a good, by the good's index; none for other goods."""
        loops = [loop for level in self.levels for loop in level.loops]
        return {good: loop for loop in loops for good in loop.goods.tolist()}

    def of_pools(self, values: np.ndarray) -> np.ndarray:
        """The sum over the uses of each pool; (..., uses) to (..., pools)."""
        if len(self) == 0:
            return values
        return np.add.reduceat(values, self.first_of_pool, axis=-1)

    def parts(self, runs: int) -> Iterator[Part]:
        """All buyers, in parts that fit into the cache for so many runs."""
        size, first = max(1, CACHED_NUMBERS // max(1, runs)), 0
        ends = self.starts + self.counts
        while first < len(self):
            start = int(self.starts[first])
            last = int(np.searchsorted(ends, start + size, side="right"))
            if last <= first + 1:  # one use, perhaps larger than the cache
                for low in range(start, int(ends[first]), size):
                    places = slice(low, min(low + size, int(ends[first])))
                    yield Part(places, slice(first, first + 1), None)
                first += 1
                continue
            counts = self.counts[first:last]
            single = counts.max() == 1
            places = slice(start, int(ends[last - 1]))
            yield Part(places, slice(first, last), None if single else counts)
            first = last

    def sums(self, of: Callable[[slice], np.ndarray], like: np.ndarray) -> np.ndarray:
        """The sums over the buyers of each use of ``of(buyers)``; shape (..., uses).

        ``like`` is an array over buyers, shape (..., buyers).
        """
        total = np.zeros((*like.shape[:-1], len(self)), order="F" if like.flags.fnc else "C")
        for part in self.parts(like.size // max(1, like.shape[-1])):
            total[..., part.uses] += part.sums(of(part.buyers))
        return total


def _levels(uses: Uses, stage: np.ndarray, loops: Sequence[np.ndarray]) -> Iterator[Level]:
    """The levels of the network, from the consumer upstream; parameters as of :meth:`Uses.of`."""
    good, maker = uses.good, uses.maker
    loop_of, place = np.full(len(stage), -1), np.zeros(len(stage), int)
    for number, goods in enumerate(loops):
        loop_of[goods], place[goods] = number, np.arange(len(goods))
    inner_of = _by_value(np.where(loop_of[good] == loop_of[maker], loop_of[good], -1))
    loops_of: dict[int, list[Loop]] = {}
    for number, goods in enumerate(loops):
        inner = inner_of[number]
        counts = uses.counts[inner]
        starts = np.cumsum(counts) - counts
        buyers = np.repeat(uses.starts[inner] - starts, counts) + np.arange(counts.sum())
        loop = Loop(goods, inner, place[good[inner]], place[maker[inner]], buyers, starts)
        loops_of.setdefault(int(stage[goods[0]]), []).append(loop)
    outer = (loop_of[good] < 0) | (loop_of[good] != loop_of[maker])
    goods_by_level = _by_value(stage)
    uses_by_level = _by_value(np.where(outer, stage[maker], -1))
    for level in range(stage.max(initial=-1) + 1):
        own = uses_by_level.get(level, np.empty(0, int))
        first = np.flatnonzero(np.diff(good[own], prepend=-1))
        yield Level(
            goods_by_level[level], tuple(loops_of.get(level, ())), own, good[own[first]], first
        )


def _by_value(values: np.ndarray) -> dict[int, np.ndarray]:
    """The places, in order, at which an array has each of its values."""
    order = np.argsort(values, kind="stable")
    found, first = np.unique(values[order], return_index=True)
    return dict(zip(found.tolist(), np.split(order, first[1:]), strict=True))
