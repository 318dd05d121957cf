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
from market_abm.language.segments import BLOCK, Block, Segments


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
        pairs = [(use.start, made) for made, good in buyers.makers for use in buyers.uses[good]]
        starts, maker = np.array(sorted(pairs), int).reshape(-1, 2).T
        pool = np.searchsorted(buyers.starts, starts, side="right") - 1
        good = np.array([pool.good for pool in buyers.pools], int)[pool]
        first_of_pool = np.flatnonzero(np.diff(pool, prepend=-1))
        pools = Segments(first_of_pool, len(starts))
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
    def _blocks(self) -> dict[int, tuple[Block, ...]]:
        return {}

    def blocks(self, runs: int) -> tuple[Block, ...]:
        """The buyers in parts that fit into the cache if there are so many runs."""
        if runs not in self._blocks:
            self._blocks[runs] = self.buyers.blocks(max(1, BLOCK // max(1, runs)))
        return self._blocks[runs]

    def sums(
        self, of: Callable[[Block], Sequence[np.ndarray]], like: np.ndarray
    ) -> list[np.ndarray]:
        """Sums over the buyers of each use, several at once.

        Parameters
        ----------
        of
            Gives for a block of buyers what is summed, arrays of shape (..., elements).
        like
            An array over buyers, shape (..., buyers).

        Returns
        -------
        list of numpy.ndarray
            One for each, of shape (..., uses).
        """
        leaves = len(self.buyers.leaves)
        sums: list[np.ndarray] = []
        for block in self.blocks(like.size // max(1, like.shape[-1])):
            for k, values in enumerate(of(block)):
                if len(sums) == k:
                    order: Any = "F" if like.flags.fnc else "C"
                    sums.append(np.empty((*like.shape[:-1], leaves), order=order))
                block.reduce_into(sums[k], values)
        return [self.buyers.of_leaves(each) for each in sums]

    def slopes(self, products: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """∂(output of the line)/∂(unit of the good) for each use of a good, shape (..., uses).

        ``products`` and ``shares`` have shape (..., buyers).
        """
        if len(self) == 0:
            return shares

        def slopes(block: Block) -> tuple[np.ndarray]:
            places = block.elements
            return (shares[..., places] * products[..., places],)

        return self.sums(slopes, shares)[0]


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
    order = np.argsort(values, kind="stable")
    found, first = np.unique(values[order], return_index=True)
    return dict(zip(found.tolist(), np.split(order, first[1:]), strict=True))
