"""The order of a forward pass over the network: in stages, and loops as wholes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from market_abm.economy.groups import Group, Network
from market_abm.economy.uses import Loop, Uses


class Lines(NamedTuple):
    """A group of lines, and the uses of goods by them, indices in ``Economy.uses``."""

    group: Group
    uses: np.ndarray


class LoopLines(NamedTuple):
    """The lines of a loop: all of them, and in levels, those of one level at the same time."""

    loop: Loop
    groups: tuple[Group, ...]
    levels: tuple[tuple[Group, ...], ...]


class Stage(NamedTuple):
    """Lines and loops whose inputs from others are made in the stages before."""

    lines: tuple[Lines, ...]
    loops: tuple[LoopLines, ...]


def stages(
    network: Network, uses: Uses, loops: Sequence[tuple[Loop, list[int]]]
) -> tuple[Stage, ...]:
    """The stages of a network, upstream first.

    Parameters
    ----------
    network, uses
        Its lines and uses.
    loops
        Each loop and its lines, places in the topological order.
    """
    of_line = _split(uses.maker - network.raw, len(network.industries))

    def with_uses(groups: tuple[Group, ...]) -> tuple[Lines, ...]:
        return tuple(
            Lines(group, np.concatenate([of_line[line] for line in group.lines.tolist()]))
            for group in groups
        )

    if not loops:
        return tuple(Stage(with_uses(groups), ()) for groups in network.levels)
    inside = {line: number for number, (_, lines) in enumerate(loops) for line in lines}
    depth = _depths(network, [lines for _, lines in loops])
    found = []
    for lines in _split(np.array(depth), max(depth) + 1):
        groups = network.grouped([line for line in lines.tolist() if line not in inside])
        numbers = dict.fromkeys(inside[line] for line in lines.tolist() if line in inside)
        found.append(Stage(with_uses(groups), tuple(_loop(network, *loops[k]) for k in numbers)))
    return tuple(found)


def _depths(network: Network, loops: Sequence[list[int]]) -> list[int]:
    """The stage of each line: after those of all goods that it, or its loop, gets from others."""
    place = {industry.good: k for k, industry in enumerate(network.industries)}
    loop_of = {line: lines for lines in loops for line in lines}
    depth = [0] * len(place)
    done: set[int] = set()
    for k in range(len(place)):
        together = loop_of.get(k, [k])
        if k in done:
            continue
        own = set(together)
        makers = {
            place[good]
            for line in together
            for good in network.industries[line].technology.inputs
            if good in place
        }
        stage = max((depth[maker] + 1 for maker in makers - own), default=0)
        for line in together:
            depth[line] = stage
        done |= own
    return depth


def _loop(network: Network, loop: Loop, lines: list[int]) -> LoopLines:
    level = network.level[lines]
    return LoopLines(
        loop,
        network.grouped(lines),
        tuple(
            network.grouped([line for line, own in zip(lines, level, strict=True) if own == each])
            for each in np.unique(level)
        ),
    )


def _split(values: np.ndarray, count: int) -> list[np.ndarray]:
    """For each number from 0 to ``count``, the places, in order, at which ``values`` has it."""
    order = np.argsort(values, kind="stable")
    ends = np.searchsorted(values[order], np.arange(count + 1))
    return [order[ends[k] : ends[k + 1]] for k in range(count)]
