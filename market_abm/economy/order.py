"""The topological order of lines, in which the lines of a loop stand together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from graphlib import CycleError, TopologicalSorter
from heapq import heappop, heappush

import numpy as np

Lines = tuple[tuple[str, tuple[str, ...]], ...]
"""Lines that are each a good and its inputs."""


@lru_cache(maxsize=256)
def topological_components(lines: Lines) -> tuple[tuple[int, ...], ...]:
    """The strongly connected components of lines, upstream first.

    Of the components whose inputs are all made before, that of the first line comes next.
    """
    place = {good: k for k, (good, _) in enumerate(lines)}
    uses = [[place[good] for good in inputs if good in place] for _, inputs in lines]
    if all(max(before, default=-1) < k for k, before in enumerate(uses)):
        return tuple((k,) for k in range(len(lines)))  # each comes after all that it reads
    try:
        return tuple((k,) for k in _sorted(dict(enumerate(uses))))
    except CycleError:
        first = _first_of_component(uses)
    members: dict[int, list[int]] = {}
    before: dict[int, set[int]] = {}
    for k, (group, inputs) in enumerate(zip(first, uses, strict=True)):
        members.setdefault(group, []).append(k)
        before.setdefault(group, set()).update(first[each] for each in inputs)
        before[group].discard(group)
    return tuple(tuple(members[group]) for group in _sorted(before))


def _sorted(before: Mapping[int, Iterable[int]]) -> Iterator[int]:
    """The topological order of numbers, each with those before it; of several, the smallest first.

    Raises
    ------
    CycleError
        There is a loop.
    """
    sorter = TopologicalSorter(before)
    sorter.prepare()
    ready: list[int] = []
    while sorter.is_active():
        for each in sorter.get_ready():
            heappush(ready, each)
        yield (smallest := heappop(ready))
        sorter.done(smallest)


def _first_of_component(uses: Sequence[Sequence[int]]) -> list[int]:
    """The first line of the strongly connected component of each line, given those it reads."""
    from scipy.sparse import coo_array  # slow to import
    from scipy.sparse.csgraph import connected_components

    read = np.concatenate([np.asarray(inputs, int) for inputs in uses])
    reader = np.repeat(np.arange(len(uses)), [len(inputs) for inputs in uses])
    network = coo_array((np.ones(len(read)), (reader, read)), shape=(len(uses), len(uses)))
    _, component = connected_components(network, connection="strong")
    _, first = np.unique(component, return_index=True)
    return first[component].tolist()


def distances(
    components: Sequence[Sequence[tuple[str, Sequence[str]]]], goods: Sequence[str]
) -> dict[str, int]:
    """The number of lines between each good and the consumer, on the longest path.

    Parameters
    ----------
    components
        The strongly connected components in topological order: of each line its good and inputs.
    goods
        All goods.
    """
    distance = dict.fromkeys(goods, 0)
    for component in reversed(components):
        inside = {good for good, _ in component}
        depth = max(distance[good] for good in inside)
        distance.update(dict.fromkeys(inside, depth))
        for _, inputs in component:
            for good in set(inputs) - inside:
                distance[good] = max(distance[good], depth + 1)
    return distance
