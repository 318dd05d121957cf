"""Who buys what from which pool: the layout of all arrays over buyers.

A *use* is a place where a line reads a good. A *buyer* is one input of one firm. The buyers who
split a quantity between them are a *pool*: all buyers of a rival good form one pool; of a copy
good, each use is a pool of its own, and each pool gets all of the good.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from market_abm.economy.industry import Industry

PART = 16_384
"""Numbers of one array worked on at a time: few enough that all a line needs stays in cache."""


def cached_parts(shape: tuple[int, ...]) -> Iterator[slice]:
    """The last axis of an array, (..., n), in parts that stay in cache together."""
    *rows, size = shape
    step = max(1, PART // math.prod(rows))
    for first in range(0, size, step):
        yield slice(first, min(first + step, size))


@dataclass(frozen=True, eq=False)
class Pool:
    """The buyers (a slice of all) who split a quantity of a good (its place in ``goods``)."""

    good: int
    buyers: slice


@dataclass(frozen=True, eq=False)
class Buyers:
    """The layout of all arrays over buyers, shape (..., buyers), grouped by good, then by pool.

    ``uses`` says for each industry, by its good, where the buyers of each of its inputs stand, one
    a firm; ``initial_shares``: uses of a rival good start equal, firms of one use by their weights;
    ``makers``: each industry's place in ``goods``, and its good.
    """

    size: int
    uses: Mapping[str, tuple[slice, ...]]
    pools: tuple[Pool, ...]
    initial_shares: np.ndarray
    makers: tuple[tuple[int, str], ...]

    @cached_property
    def of_industry(self) -> dict[str, np.ndarray]:
        """Which buyer is input i of firm m of an industry: shape (inputs, firms)."""
        return {
            good: np.array([np.arange(use.start, use.stop) for use in uses], int)
            for good, uses in self.uses.items()
        }

    @cached_property
    def bought(self) -> dict[str, np.ndarray]:
        """The places in ``Economy.goods`` of what an industry buys, shape (inputs,)."""
        goods = np.array([pool.good for pool in self.pools], int)
        return {good: goods[self._pools_served(uses)] for good, uses in self.uses.items()}

    def _pools_served(self, uses: Sequence[slice]) -> np.ndarray:
        """From which pool each of these uses is served."""
        first = np.array([use.start for use in uses], int)
        return np.searchsorted(self.starts, first, side="right") - 1

    @cached_property
    def good(self) -> np.ndarray:
        """The place in ``Economy.goods`` of what each buyer buys."""
        return _spread([(pool.good, pool.buyers) for pool in self.pools], self.size)

    @cached_property
    def maker(self) -> np.ndarray:
        """The place in ``Economy.goods`` of what each buyer's firm makes."""
        return _spread(
            [(maker, use) for maker, good in self.makers for use in self.uses[good]], self.size
        )

    @cached_property
    def starts(self) -> np.ndarray:
        """The first buyer of each pool."""
        return np.array([pool.buyers.start for pool in self.pools], int)

    @cached_property
    def pool(self) -> np.ndarray:
        """The pool of each buyer."""
        return _spread([(k, pool.buyers) for k, pool in enumerate(self.pools)], self.size)

    @cached_property
    def shared_pools(self) -> tuple[Pool, ...]:
        """The pools in which there is somebody to share with."""
        return tuple(p for p in self.pools if p.buyers.stop - p.buyers.start > 1)

    @cached_property
    def pools_of(self) -> Mapping[int, list[Pool]]:
        """The pools of each good, by its place in ``Economy.goods``; none of what nobody buys."""
        found: defaultdict[int, list[Pool]] = defaultdict(list)
        for pool in self.pools:
            found[pool.good].append(pool)
        return found

    @cached_property
    def users(self) -> Mapping[int, list[tuple[slice, str]]]:
        """The uses that each pool serves, by its first buyer: where they stand, for which maker."""
        found: dict[int, list[tuple[slice, str]]] = {start: [] for start in self.starts.tolist()}
        for _, good in self.makers:
            uses = self.uses[good]
            for use, start in zip(
                uses, self.starts[self._pools_served(uses)].tolist(), strict=True
            ):
                found[start].append((use, good))
        return found

    @cached_property
    def places_of_uses(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of each use, in the order of buyers: its first buyer, and the goods it buys and makes."""
        starts = np.array([use.start for _, good in self.makers for use in self.uses[good]], int)
        starts.sort()
        return starts, self.good[starts], self.maker[starts]

    def slice_of(self, good: int) -> slice:
        """The buyers of one good, by its place in ``Economy.goods``."""
        own = [pool.buyers for pool in self.pools_of[good]]
        return slice(own[0].start, own[-1].stop) if own else slice(0, 0)

    @staticmethod
    def of(
        industries: Sequence[Industry], goods: Sequence[str], reuse: Mapping[str, str]
    ) -> Buyers:
        """Lay out the buyers of ``industries``, in flow order, who buy ``goods``."""
        index = {good: k for k, good in enumerate(goods)}
        readers: list[list[tuple[Industry, int]]] = [[] for _ in goods]
        for industry in industries:
            for slot, good in enumerate(industry.technology.inputs):
                readers[index[good]].append((industry, slot))
        uses: dict[str, list[slice]] = {
            i.good: [slice(0, 0)] * len(i.technology.inputs) for i in industries
        }
        pools, shares, position = [], [], 0
        for k, good in enumerate(goods):
            rival, first = reuse[good] == "rival", position
            for n, (industry, slot) in enumerate(readers[k]):
                use = slice(position, position + industry.firms)
                uses[industry.good][slot] = use
                shares.append((1.0 / len(readers[k]) if rival else 1.0) * industry.weights)
                position = use.stop
                if not rival or n == len(readers[k]) - 1:
                    pools.append(Pool(k, slice(first, position)))
                    first = position
        lead = np.broadcast_shapes(*{part.shape[:-1] for part in shares})
        shares.append(np.zeros(0))  # so that there is something to put together
        return Buyers(
            size=position,
            uses={good: tuple(slots) for good, slots in uses.items()},
            pools=tuple(pools),
            initial_shares=np.concatenate(
                [
                    part
                    if part.shape[:-1] == lead
                    else np.broadcast_to(part, (*lead, part.shape[-1]))
                    for part in shares
                ],
                axis=-1,
            ),
            makers=tuple((index[i.good], i.good) for i in industries),
        )


def _spread(parts: Iterable[tuple[int, slice]], size: int) -> np.ndarray:
    """An array of shape (size,) with each number at the places of its slice."""
    result = np.zeros(size, int)
    for value, places in parts:
        result[places] = value
    return result
