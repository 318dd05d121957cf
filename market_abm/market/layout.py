"""The blocks of a market in arrays, for a number of runs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.economy.groups import Group
from market_abm.language.segments import Block
from market_abm.language.threads import Threads
from market_abm.market.base import Mechanism
from market_abm.market.pools import Pools

Part = tuple[Group, Block, np.ndarray]
"""Some firms of a group, which of its members they are, and room for the sums of their outputs."""


class Layout:
    """Parts of groups, and pools, each made when first asked for.

    Parameters
    ----------
    economy
        The economy, vectorized.
    rules
        The mechanism.
    runs
        The number of runs.
    threads
        The threads that work on blocks.
    by_good
        Whether all buyers of a good begin to bid at once, not all firms of a line.
    """

    def __init__(
        self,
        economy: Economy,
        rules: type[Mechanism],
        runs: int,
        threads: Threads,
        *,
        by_good: bool = False,
    ) -> None:
        self._economy, self._rules, self._runs, self._threads = economy, rules, runs, threads
        self._by_good = by_good
        self._parts: dict[Sequence[Group], tuple[list[Part], list[np.ndarray]]] = {}
        self._pools: dict[int | None, Pools] = {}

    def renewed(self, economy: Economy) -> Layout:
        """The layout of the same network with other numbers: with the same pools."""
        layout = self._like(economy, self._runs)
        layout._pools = self._pools
        return layout

    def of_runs(self, economy: Economy, rows: np.ndarray) -> Layout:
        """The layout of some of the runs; what is held of a pool does not change."""
        layout = self._like(economy, len(rows))
        if None in self._pools:
            layout.pools.take_shares(self._pools[None], rows)
        return layout

    def _like(self, economy: Economy, runs: int) -> Layout:
        return Layout(economy, self._rules, runs, self._threads, by_good=self._by_good)

    def parts(self, groups: Sequence[Group]) -> tuple[list[Part], list[np.ndarray]]:
        """Parts of groups that fit into the cache; and for each group, room for sums of outputs."""
        if groups not in self._parts:
            parts: list[Part] = []
            sums = [np.zeros((self._runs, len(group.members.leaves))) for group in groups]
            for group, leaves in zip(groups, sums, strict=True):
                parts += [(*each, leaves) for each in group.blocks(self._runs)]
            self._parts[groups] = parts, sums
        return self._parts[groups]

    @property
    def pools(self) -> Pools:
        """The pools of all goods."""
        found = self._pools.get(None)
        return found or self._pools_of(None, np.arange(len(self._economy.goods)))

    @cached_property
    def offers_move(self) -> bool:
        """Whether some supplier responds to prices."""
        return any(np.any(terms.responds) for _, terms in self._economy.supply_terms)

    def pools_of_level(self, level: int) -> Pools:
        """The pools of the goods that the lines of a level make."""
        groups = self._economy.network.levels[level]
        return self._pools_of(level, np.concatenate([group.goods for group in groups]))

    def _pools_of(self, key: int | None, goods: np.ndarray) -> Pools:
        if key not in self._pools:
            self._pools[key] = Pools(
                self._economy,
                self._rules,
                goods,
                self._runs,
                self._threads,
                by_good=self._by_good,
            )
        return self._pools[key]
