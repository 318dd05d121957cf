"""Families: goods of one name and different indices, such as ``h[0]``, ``h[1]``, ``w[2,0]``.

A good ``h[3]`` is the member 3 of the family ``h``. A pattern names many members at once:
``h[*]``, ``h[0..4]``, ``w[*,2]``; in ``c[t]`` the index has a name, which formulas may read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from market_abm.errors import EconomyError
from market_abm.language.index_arithmetic import member

__all__ = ["Family", "families_of", "family_and_indices", "is_pattern", "matching", "member"]

_MEMBER = re.compile(r"([^\[\]]+)\[(-?\d+(?:,-?\d+)*)\]")
_PATTERN = re.compile(r"([^\[\]]+)\[([^\[\]]+)\]")
_RANGE = re.compile(r"(-?\d+)\.\.(-?\d+)")


@dataclass(frozen=True, eq=False)
class Family:
    """Goods of one name, in the order of an economy.

    Attributes
    ----------
    name
        The name that they share.
    goods
        The members; a good without an index is a family of its own.
    indices
        Shape (members, indices of each).
    """

    name: str
    goods: tuple[str, ...]
    indices: np.ndarray

    @property
    def label(self) -> str:
        """The name with the range of each index: ``h[0..31]``."""
        if not self.indices.shape[1]:
            return self.name
        low, high = self.indices.min(axis=0), self.indices.max(axis=0)
        ranges = [f"{a}" if a == b else f"{a}..{b}" for a, b in zip(low, high, strict=True)]
        return f"{self.name}[{','.join(ranges)}]"


def family_and_indices(good: str) -> tuple[str, tuple[int, ...]]:
    """The family of a good and its indices; none if it has no index."""
    found = _MEMBER.fullmatch(good)
    return (good, ()) if found is None else (found[1], tuple(map(int, found[2].split(","))))


def families_of(goods: Iterable[str]) -> dict[str, Family]:
    """The families of goods by name and number of indices, in the order of their first members.

    The key is the name; with ``/2``, say, for those of two indices if others have another number.
    """
    found: dict[tuple[str, int], tuple[list[str], list[tuple[int, ...]]]] = {}
    for good in goods:
        name, indices = family_and_indices(good)
        members, places = found.setdefault((name, len(indices)), ([], []))
        members.append(good)
        places.append(indices)
    names = [name for name, _ in found]
    return {
        (name if names.count(name) == 1 else f"{name}/{count}"): Family(
            name, tuple(members), np.array(places, int).reshape(len(members), count)
        )
        for (name, count), (members, places) in found.items()
    }


def is_pattern(key: str) -> bool:
    """Whether a key is a pattern and not the name of one good."""
    return _PATTERN.fullmatch(key) is not None and _MEMBER.fullmatch(key) is None


def matching(pattern: str, goods: Sequence[str]) -> list[tuple[str, dict[str, int]]]:
    """The goods that a pattern names, and for each the values of the indices that it names.

    Parameters
    ----------
    pattern
        A family with, for each index, ``*``, a number, a range ``0..4``, or a name.
    goods
        Where they are looked for.

    Raises
    ------
    EconomyError
        It is not such a pattern, or names no good.
    """
    found = _PATTERN.fullmatch(pattern)
    parts = [part.strip() for part in found[2].split(",")] if found else []
    if found is None or not all(map(_is_index, parts)):
        raise EconomyError(
            f"cannot read the pattern '{pattern}'",
            remedy="write x[*], x[0..4], x[t] or x[*,2]",
            name=pattern,
        )
    chosen, start = [], f"{found[1]}["
    for good in goods:
        indices = family_and_indices(good)[1] if good.startswith(start) else ()
        if len(indices) == len(parts):
            values = _match(parts, indices)
            if values is not None:
                chosen.append((good, values))
    if not chosen:
        labels = ", ".join(family.label for family in families_of(goods).values())
        raise EconomyError(
            f"no good is named by '{pattern}'", remedy=f"there are {labels[:200]}", name=pattern
        )
    return chosen


def _is_index(part: str) -> bool:
    number = part.removeprefix("-").isdigit()
    return part == "*" or number or part.isidentifier() or _RANGE.fullmatch(part) is not None


def _match(parts: Sequence[str], indices: Sequence[int]) -> dict[str, int] | None:
    """The values of the named indices, or None where an index does not fit."""
    values: dict[str, int] = {}
    for part, index in zip(parts, indices, strict=True):
        limits = _RANGE.fullmatch(part)
        if limits is not None:
            if not int(limits[1]) <= index <= int(limits[2]):
                return None
        elif part.isidentifier():
            if values.setdefault(part, index) != index:
                return None
        elif part != "*" and int(part) != index:
            return None
    return values
