"""The network as arrays: uses of goods, sums over their buyers, and levels of the network.

A *use* is a good that a line reads; its buyers, one a firm of the line, are neighbours in arrays
over buyers. A *level* is the lines that are equally far from the consumer; what a reverse sweep
finds for one level depends on the levels before it alone. The lines of a *loop* are in one level.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from market_abm.economy.buyers import Buyers
from market_abm.language.segments import BLOCK, Segments
from market_abm.language.threads import Threads

CHUNK = 1024
"""Buyers of one use that are summed first, by one scalar product."""


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


@dataclass(frozen=True, eq=False)
class Uses:
    """The uses of an economy's goods, in the order of buyers.

    Attributes
    ----------
    buyers
        The buyers of each use, as segments of all buyers.
    good, maker
        The good bought and the good made, indices in ``Economy.goods``, shape (uses,).
    pools
        The uses of each pool, as segments of all uses.
    levels
        From the consumer upstream.
    """

    buyers: Segments
    good: np.ndarray
    maker: np.ndarray
    pools: Segments
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
        starts, good, maker = buyers.places_of_uses
        pools = Segments(np.searchsorted(starts, buyers.starts), len(starts))
        uses = Uses(Segments(starts, buyers.size), good, maker, pools, ())
        return replace(uses, levels=tuple(_levels(uses, stage, loops)))

    def __len__(self) -> int:
        return len(self.good)

    @cached_property
    def loop_of(self) -> dict[int, Loop]:
        """The loop that makes a good, by the good's index; none for other goods."""
        loops = [loop for level in self.levels for loop in level.loops]
        return {good: loop for loop in loops for good in loop.goods.tolist()}

    @cached_property
    def _chunks(self) -> tuple[np.ndarray, Segments]:
        """The first buyer of each chunk, and the chunks in segments by use."""
        count = -(-self.buyers.sizes // CHUNK)
        by_use = Segments.of_sizes(count)
        place = np.arange(by_use.size) - np.repeat(by_use.starts, count)
        return np.repeat(self.buyers.starts, count) + CHUNK * place, by_use

    @cached_property
    def _parts(self) -> dict[int, tuple[Part, ...]]:
        return {}

    def parts(self, runs: int) -> tuple[Part, ...]:
        """The buyers in parts that fit into the cache if there are so many runs."""
        if runs not in self._parts:
            self._parts[runs] = tuple(self._cut(max(1, BLOCK // max(1, runs))))
        return self._parts[runs]

    def _cut(self, size: int) -> Iterator[Part]:
        starts, by_use = self._chunks
        ends = np.append(starts[1:], self.buyers.size)
        first_chunk, chunks = by_use.starts, by_use.sizes
        use, count = 0, len(self)
        short = np.append(np.flatnonzero(chunks > 1), count)  # up to the next use of several
        while use < count:
            low = int(self.buyers.starts[use])
            if chunks[use] > 1:
                first, last = int(first_chunk[use]), int(first_chunk[use] + chunks[use])
                step = max(1, size // CHUNK)
                for chunk in range(first, last, step):
                    end = min(chunk + step, last)
                    places = slice(int(starts[chunk]), int(ends[end - 1]))
                    yield Part(places, slice(use, use + 1), slice(chunk, end), None)
                use += 1
                continue
            most = int(short[np.searchsorted(short, use)])
            after = int(np.searchsorted(self.buyers.starts, low + size, side="right"))
            after = min(max(use + 1, after - 1 if after < count else after), most)
            high = int(self.buyers.starts[after]) if after < count else self.buyers.size
            inside = Segments(self.buyers.starts[use:after] - low, high - low)
            own = slice(int(first_chunk[use]), int(first_chunk[use]) + after - use)
            yield Part(slice(low, high), slice(use, after), own, inside)
            use = after

    @np.errstate(all="ignore")
    def sums(
        self,
        of: Callable[[Part], Sequence[tuple[np.ndarray, np.ndarray]]],
        count: int,
        like: np.ndarray,
    ) -> list[np.ndarray]:
        """Sums over the buyers of each use of products of two numbers, several at once.

        They have the same bits for any number of runs or threads, and in any order of memory.

        Parameters
        ----------
        of
            Gives for a part of the buyers the pairs of factors, arrays of shape (..., elements).
        count
            The number of pairs.
        like
            An array over buyers, shape (..., buyers).

        Returns
        -------
        list of numpy.ndarray
            One for each pair, of shape (..., uses).
        """
        by_use = self._chunks[1]
        order: Any = "F" if like.flags.fnc else "C"
        sums = [np.empty((*like.shape[:-1], by_use.size), order=order) for _ in range(count)]

        def work(part: Part) -> None:
            for total, (one, other) in zip(sums, of(part), strict=True):
                total[..., part.chunks] = part.dots(one, other)

        Threads().run_all(work, self.parts(like.size // max(1, like.shape[-1])), like.size)
        return [by_use.total(each) for each in sums]

    def slopes(self, products: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """∂(output of the line)/∂(unit of the good) for each use of a good, shape (..., uses).

        ``products`` and ``shares`` have shape (..., buyers).
        """
        if len(self) == 0:
            return shares

        def factors(part: Part) -> list[tuple[np.ndarray, np.ndarray]]:
            return [(shares[..., part.buyers], products[..., part.buyers])]

        return self.sums(factors, 1, shares)[0]


@dataclass(frozen=True, eq=False)
class Part:
    """Buyers that fit into the cache: chunks of one use, or several uses of one chunk each.

    Attributes
    ----------
    buyers, uses, chunks
        The buyers, the uses that they belong to, and their chunks.
    """

    buyers: slice
    uses: slice
    chunks: slice
    _inside: Segments | None

    def spread(self, values: np.ndarray) -> np.ndarray:
        """For each buyer the value of its use, of values of shape (..., all uses)."""
        values = values[..., self.uses]
        return values if self._inside is None else self._inside.spread(values)

    def dots(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """The sums over each chunk of ``one`` times ``other``, (..., elements)."""
        if self._inside is not None:
            return self._inside.total(one * other)
        one, other = np.ascontiguousarray(one), np.ascontiguousarray(other)
        *lead, size = one.shape
        whole = size - size % CHUNK
        rows = one[..., :whole].reshape(*lead, -1, 1, CHUNK)
        columns = other[..., :whole].reshape(*lead, -1, CHUNK, 1)
        sums = (rows @ columns)[..., 0, 0]
        if whole == size:
            return sums
        rest = (one[..., None, whole:] @ other[..., whole:, None])[..., 0]
        return np.concatenate([sums, rest], axis=-1)


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
        counts = uses.buyers.sizes[inner]
        starts = np.cumsum(counts) - counts
        buyers = np.repeat(uses.buyers.starts[inner] - starts, counts) + np.arange(counts.sum())
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
    if not len(values):
        return {}
    order = np.argsort(values, kind="stable")
    found, first = np.unique(values[order], return_index=True)
    return dict(zip(found.tolist(), np.split(order, first[1:]), strict=True))
