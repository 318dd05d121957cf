"""Names of the goods of a traced function: the variable, its turn and the place in it.

A variable that is assigned again has a turn, counted from 1: ``k[12]`` is ``k`` on its 12th turn,
``h[12,3]`` element 3 of an array on its 12th. A value without a variable has the name of the
statement that made it, and what it is: ``y_exp``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import takewhile

import numpy as np

from market_abm.economy.families import family_and_indices, member
from market_abm.language.calls import RESERVED
from market_abm.language.tracing import Trace, Traced
from market_abm.language.variables import Binding, Place

WORDS = {"+": "sum", "-": "difference", "*": "product", "/": "ratio", "**": "power", "neg": "minus"}
"""What the result of an operation is called; that of a function, by its name."""


def variables(bindings: Sequence[Binding]) -> dict[int, int]:
    """By operation, the place among ``bindings`` of the outermost that names its result."""
    found: dict[int, int] = {}
    for number, binding in enumerate(bindings):
        for node in binding.places:
            known = found.get(node)
            if known is None or binding.depth < bindings[known].depth:
                found[node] = number
    return found


def names_of(
    nodes: Sequence[int], trace: Trace, bindings: Sequence[Binding], taken: Iterable[str]
) -> dict[int, str]:
    """A name of each operation that is a line.

    Parameters
    ----------
    nodes
        The operations, in order.
    trace, bindings
        The run of the function.
    taken
        Names of other goods.
    """
    named = variables(bindings)
    turns = _turns(bindings, named)
    words = _words(nodes, trace, bindings, named)
    families: dict[str, list[tuple[int, int, Place]]] = defaultdict(list)
    last: dict[tuple[str, Place], int] = {}
    for node in nodes:
        if node in words:
            number, family, place = words[node]
        else:
            number = named[node]
            family, place = bindings[number].variable, bindings[number].places[node]
        turn = max(turns[number], last.get((family, place), 0) + 1)
        last[family, place] = turn
        families[family].append((node, turn, place))
    names: dict[int, str] = {}
    free = _Free(taken)
    for family, members in families.items():
        names.update(free.names(family, members))
    return names


def sold(name: str, taken: Collection[str]) -> str:
    """The name of a line that sells a good which others use, too."""
    family, indices = family_and_indices(name)
    family += "_sold"
    while member(family, *indices) in taken:
        family += "_"
    return member(family, *indices)


class _Free:
    """Names that are not taken yet."""

    def __init__(self, taken: Iterable[str]) -> None:
        self.taken = set(taken)

    def names(self, family: str, members: list[tuple[int, int, Place]]) -> dict[int, str]:
        """Names of a family, without turns where there is one only, and none of them taken."""
        family += "_" * (family in RESERVED)
        plain = {node: member(family, *place) for node, _, place in members}
        if len({turn for _, turn, _ in members}) == 1 and self.taken.isdisjoint(plain.values()):
            chosen = plain
        else:
            chosen = {node: member(family, turn, *place) for node, turn, place in members}
            while not self.taken.isdisjoint(chosen.values()):
                family += "_"
                chosen = {node: member(family, turn, *place) for node, turn, place in members}
        self.taken.update(chosen.values())
        return chosen


def _turns(bindings: Sequence[Binding], named: Mapping[int, int]) -> list[int]:
    """The turn of the variable of each binding: how often it has been assigned."""
    counts: dict[tuple[str, Place | None], int] = defaultdict(int)
    turns = []
    for number, binding in enumerate(bindings):
        places = {place for node, place in binding.places.items() if named[node] == number}
        keys: list[tuple[str, Place | None]] = [(binding.variable, place) for place in places]
        keys = keys or [(binding.variable, None)]
        turn = 1 + max(counts[key] for key in keys)
        counts.update(dict.fromkeys(keys, turn))
        turns.append(turn)
    return turns


def _words(
    nodes: Sequence[int], trace: Trace, bindings: Sequence[Binding], named: Mapping[int, int]
) -> dict[int, tuple[int, str, Place]]:
    """Of each operation without a variable: its binding, its family and its place."""
    statement = _statements(len(trace.operations), bindings)
    spot: dict[int, tuple[int, Place]] = {}
    for k, array in enumerate(trace.arrays):
        for index, element in zip(np.ndindex(array.shape), array.flat, strict=True):
            if isinstance(element, Traced):
                spot.setdefault(element.place, (k, index))
    groups: dict[tuple[int, str], dict[int | None, list[int]]] = defaultdict(dict)
    for node in nodes:
        if node not in named:
            operation = trace.operations[node]
            word = WORDS.get(operation, operation)
            whole = spot[node][0] if node in spot else None
            groups[statement[node], word].setdefault(whole, []).append(node)
    found: dict[int, tuple[int, str, Place]] = {}
    for (number, word), parts in groups.items():
        binding = bindings[number]
        first = _common([*binding.places.values()]) if binding.part else ()
        for k, (whole, members) in enumerate(parts.items(), 1):
            family = f"{binding.variable}_{word}" + (f"_{k}" if k > 1 else "")
            for j, node in enumerate(members):
                place = spot[node][1] if whole is not None else (j,) if len(members) > 1 else ()
                found[node] = number, family, (*first, *place)
    return found


def _common(places: Sequence[Place]) -> Place:
    """The first indices, in which all places agree."""
    agreed = takewhile(lambda indices: len(set(indices)) == 1, zip(*places, strict=False))
    return tuple(indices[0] for indices in agreed)


def _statements(size: int, bindings: Sequence[Binding]) -> list[int]:
    """The binding whose statement made each operation: the innermost, which is over first."""
    following = list(range(size + 1))
    owner = [len(bindings) - 1] * size
    for number, binding in enumerate(bindings):
        node = _find(following, binding.first)
        while node < binding.last:
            owner[node] = number
            following[node] = node + 1
            node = _find(following, node)
    return owner


def _find(following: list[int], node: int) -> int:
    """The next operation that has no owner; paths are halved on the way."""
    while following[node] != node:
        following[node] = following[following[node]]
        node = following[node]
    return node
