"""The layout of arrays over buyers.

A *use* is a good that a line reads. A *buyer* is one input of one firm. A *pool* is the
buyers who split one quantity: all buyers of a rival good are one pool; of a nonrival good each use
is a pool, and each pool gets all of the good.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from market_abm.economy.industry import Industry
from market_abm.language.segments import concatenated, gather


@dataclass(frozen=True, eq=False)
class Pool:
    """The buyers (a slice of all) who split a quantity of a good (an index of ``goods``)."""

    good: int
    buyers: slice


@dataclass(frozen=True, eq=False)
class Buyers:
    """The layout of arrays over buyers, shape (..., buyers), grouped by good, then by pool.

    Attributes
    ----------
    size
        The number of buyers.
    uses
        For each industry, by its good: the slice of the buyers of each input, one per firm.
    pools
        In the order of buyers.
    initial_shares
        Equal for the uses of a rival good; within a use, the firms' weights. Shape (..., buyers).
    makers
        For each industry, the index of its good in ``Economy.goods``, and the good.
    """

    size: int
    uses: Mapping[str, tuple[slice, ...]]
    pools: tuple[Pool, ...]
    initial_shares: np.ndarray
    makers: tuple[tuple[int, str], ...]

    def with_run_axis(self) -> Buyers:
        """The same layout for firms with a leading axis of runs of length 1."""
        expanded = replace(self, initial_shares=self.initial_shares[None])
        own = vars(expanded)
        own.update({name: value for name, value in vars(self).items() if name not in own})
        return expanded

    @cached_property
    def of_industry(self) -> dict[str, np.ndarray]:
        """For each industry, the buyer of input i for firm m (an index), shape (inputs, firms).

        Without inputs the shape is (0, 1), which stands for any number of firms.
        """
        return {
            good: np.array(
                [np.arange(use.start, use.stop) for use in uses] or np.empty((0, 1)), int
            )
            for good, uses in self.uses.items()
        }

    @cached_property
    def bought(self) -> np.ndarray:
        """The index in ``Economy.goods`` of the good of each use, in the order of ``makers``."""
        return self.pool_good[self._pools_of_uses]

    @cached_property
    def first_uses(self) -> np.ndarray:
        """The place in the order of ``makers`` of the first use of each."""
        counts = [len(self.uses[good]) for _, good in self.makers]
        return np.cumsum(counts) - counts

    @cached_property
    def starts_of_uses(self) -> np.ndarray:
        """The first buyer of each use, in the order of ``makers``."""
        return np.array([use.start for _, good in self.makers for use in self.uses[good]], int)

    @cached_property
    def _pools_of_uses(self) -> np.ndarray:
        """The pool of each use, in the order of ``makers``."""
        return np.searchsorted(self.starts, self.starts_of_uses, side="right") - 1

    @cached_property
    def starts(self) -> np.ndarray:
        """The index of each pool's first buyer, shape (pools,)."""
        return np.array([pool.buyers.start for pool in self.pools], int)

    @cached_property
    def pool_good(self) -> np.ndarray:
        """The index in ``Economy.goods`` of the good of each pool, shape (pools,)."""
        return np.array([pool.good for pool in self.pools], int)

    @cached_property
    def good(self) -> np.ndarray:
        """The index in ``Economy.goods`` of the good that each buyer buys, shape (buyers,)."""
        return np.repeat(self.pool_good, np.diff(self.starts, append=self.size))

    @cached_property
    def maker(self) -> np.ndarray:
        """The index in ``Economy.goods`` of the good that each buyer's firm makes."""
        starts, _, makers = self.places_of_uses
        return np.repeat(makers, np.diff(starts, append=self.size))

    def bought_of(self, values: np.ndarray) -> np.ndarray:
        """Of values of all goods, (..., goods), those of the good that each buyer buys."""
        if values[..., :1].size > 1:
            return gather(values, self.good)
        sizes = np.diff(self.starts, append=self.size)
        return np.repeat(values[..., self.pool_good], sizes, axis=-1)

    @cached_property
    def pool(self) -> np.ndarray:
        """The index of each buyer's pool, shape (buyers,)."""
        return np.repeat(np.arange(len(self.pools)), np.diff(self.starts, append=self.size))

    @cached_property
    def shared_pools(self) -> tuple[Pool, ...]:
        """The pools of more than one buyer."""
        return tuple(p for p in self.pools if p.buyers.stop - p.buyers.start > 1)

    @cached_property
    def places_of_uses(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """For each use, in the order of buyers: first buyer, good bought, good made (indices)."""
        makers = [maker for maker, good in self.makers for _ in self.uses[good]]
        order = np.argsort(self.starts_of_uses)
        return self.starts_of_uses[order], self.bought[order], np.array(makers, int)[order]

    @cached_property
    def pools_of_uses(self) -> np.ndarray:
        """The index of the pool of each use, in the order of buyers, shape (uses,)."""
        return np.searchsorted(self.starts, self.places_of_uses[0], side="right") - 1

    @cached_property
    def users(self) -> Mapping[int, list[tuple[slice, str]]]:
        """For each pool, by its first buyer: the slice of each use, and the good that it makes."""
        found: dict[int, list[tuple[slice, str]]] = {start: [] for start in self.starts.tolist()}
        uses = ((use, good) for _, good in self.makers for use in self.uses[good])
        for own, pool in zip(uses, self._pools_of_uses.tolist(), strict=True):
            found[self.pools[pool].buyers.start].append(own)
        return found

    def slice_of(self, good: int) -> slice:
        """The slice of the buyers of a good, by its index in ``Economy.goods``."""
        first, last = np.searchsorted(self.pool_good, (good, good + 1))
        ends = np.append(self.starts, self.size)
        return slice(int(ends[first]), int(ends[last]))

    @staticmethod
    def of(
        industries: Sequence[Industry], goods: Sequence[str], reuse: Mapping[str, str]
    ) -> Buyers:
        """Lay out the buyers of ``industries``, in topological order, over ``goods``."""
        index = {good: k for k, good in enumerate(goods)}
        readers: list[list[tuple[Industry, int]]] = [[] for _ in goods]
        for industry in industries:
            for slot, good in enumerate(industry.technology.inputs):
                readers[index[good]].append((industry, slot))
        uses: dict[str, list[slice]] = {
            i.good: [slice(0, 0)] * len(i.technology.inputs) for i in industries
        }
        pools, weights, shares, position = [], [], [], 0
        for k, (good, using) in enumerate(zip(goods, readers, strict=True)):
            rival, first = reuse[good] == "rival", position
            shares += [1.0 / max(1, len(using)) if rival else 1.0] * len(using)
            for industry, slot in using:
                use = slice(position, position + industry.weights.shape[-1])
                uses[industry.good][slot] = use
                weights.append(industry.weights)
                position = use.stop
                if not rival:
                    pools.append(Pool(k, use))
            if rival and using:
                pools.append(Pool(k, slice(first, position)))
        sizes = np.array([part.shape[-1] for part in weights], int)
        return Buyers(
            size=position,
            uses={good: tuple(slots) for good, slots in uses.items()},
            pools=tuple(pools),
            initial_shares=np.repeat(shares, sizes) * concatenated(weights or [np.zeros(0)]),
            makers=tuple((index[i.good], i.good) for i in industries),
        )
