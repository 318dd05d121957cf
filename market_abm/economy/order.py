"""The topological order of lines, in which the lines of a loop stand together."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from functools import lru_cache

Lines = tuple[tuple[str, tuple[str, ...]], ...]
"""Lines that are each a good and its inputs."""


@lru_cache(maxsize=256)
def topological_components(lines: Lines) -> tuple[tuple[int, ...], ...]:
    """The strongly connected components of lines, upstream first.

    Of the components whose inputs are all made before, that of the first line comes next.
    """
    place = {good: k for k, (good, _) in enumerate(lines)}
    makers = [[place[good] for good in inputs if good in place] for _, inputs in lines]
    component, count = _components(makers)
    members: list[list[int]] = [[] for _ in range(count)]
    for k, own in enumerate(component):
        members[own].append(k)
    links = {
        (component[maker], own)
        for own, of in zip(component, makers, strict=True)
        for maker in of
        if component[maker] != own
    }
    waiting, users = [0] * count, [list[int]() for _ in range(count)]
    for maker, user in links:
        waiting[user] += 1
        users[maker].append(user)
    ready = [(members[k][0], k) for k in range(count) if not waiting[k]]
    heapq.heapify(ready)
    order = []
    while ready:
        _, own = heapq.heappop(ready)
        order.append(tuple(members[own]))
        for user in users[own]:
            waiting[user] -= 1
            if not waiting[user]:
                heapq.heappush(ready, (members[user][0], user))
    return tuple(order)


def _components(links: Sequence[Sequence[int]]) -> tuple[list[int], int]:
    """The strongly connected component of each node, and their number (Tarjan 1972).

    ``links`` are the nodes that each node leads to. Without recursion: a network may be deep.
    """
    found, component = [0] * len(links), [-1] * len(links)
    path: list[int] = []
    clock = count = 0
    for root in range(len(links)):
        if found[root]:
            continue
        stack = [(root, iter(links[root]))]
        clock += 1
        found[root] = clock
        lowest = {root: clock}
        path.append(root)
        while stack:
            node, rest = stack[-1]
            for other in rest:
                if not found[other]:
                    clock += 1
                    found[other] = lowest[other] = clock
                    path.append(other)
                    stack.append((other, iter(links[other])))
                    break
                if component[other] < 0:
                    lowest[node] = min(lowest[node], found[other])
            else:
                stack.pop()
                if stack:
                    above = stack[-1][0]
                    lowest[above] = min(lowest[above], lowest[node])
                if lowest[node] == found[node]:
                    while True:
                        last = path.pop()
                        component[last] = count
                        if last == node:
                            break
                    count += 1
    return component, count
