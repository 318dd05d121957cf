"""Families: goods of one name and different indices, such as ``h[0]``, ``h[1]``, ``w[2,0]``.

A good ``h[3]`` is the member 3 of the family ``h``. A pattern names many members at once:
``h[*]``, ``h[0..4]``, ``w[*,2]``; in ``c[t]`` the index has a name, which formulas may read.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from market_abm.errors import EconomyError, SettingError, nearest
from market_abm.language.index_arithmetic import member

__all__ = [
    "Family",
    "chosen_goods",
    "families_of",
    "family_and_indices",
    "is_pattern",
    "matching",
    "member",
    "nearest_good",
]

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
    places
        Where the members are among the goods in which the family was found, shape (members,).
    """

    name: str
    goods: tuple[str, ...]
    indices: np.ndarray
    places: np.ndarray

    def __len__(self) -> int:
        return len(self.goods)

    @property
    def label(self) -> str:
        """The name with the range of each index: ``h[0..31]``."""
        if not self.indices.shape[1]:
            return self.name
        low, high = self.indices.min(axis=0), self.indices.max(axis=0)
        ranges = [f"{a}" if a == b else f"{a}..{b}" for a, b in zip(low, high, strict=True)]
        return f"{self.name}[{','.join(ranges)}]"

    @property
    def pattern(self) -> str:
        """The pattern that names all members: ``h[*]``; the name of a good without an index."""
        count = self.indices.shape[1]
        return f"{self.name}[{','.join('*' * count)}]" if count else self.name


def family_and_indices(good: str) -> tuple[str, tuple[int, ...]]:
    """The family of a good and its indices; none if it has no index."""
    found = _MEMBER.fullmatch(good)
    return (good, ()) if found is None else (found[1], tuple(map(int, found[2].split(","))))


def families_of(goods: Iterable[str]) -> dict[str, Family]:
    """The families of goods by name and number of indices, in the order of their first members.

    The key is the name; with ``/2``, say, for those of two indices if others have another number.
    """
    found: dict[tuple[str, int], list[tuple[int, str, tuple[int, ...]]]] = {}
    for place, good in enumerate(goods):
        name, indices = family_and_indices(good)
        found.setdefault((name, len(indices)), []).append((place, good, indices))
    names = Counter(name for name, _ in found)
    families = {}
    for (name, count), members in found.items():
        places, own, indices = zip(*members, strict=True)
        table = np.array(indices, int).reshape(len(own), count)
        key = name if names[name] == 1 else f"{name}/{count}"
        families[key] = Family(name, own, table, np.array(places))
    return families


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


def nearest_good(good: str, goods: Sequence[str], full: Mapping[str, str] | None = None) -> str:
    """A remedy for an unknown good: the good or family that may be meant, or all families.

    ``full`` is as in :func:`market_abm.errors.nearest`.
    """
    families = families_of(goods)
    if len(families) == len(goods):
        return nearest(good, goods, full)
    name, _ = family_and_indices(good)
    same = [family.label for family in families.values() if family.name == name]
    if same:
        return f"there are {', '.join(same)}" if len(same) > 1 else f"there is {same[0]}"
    return nearest(good, [family.label for family in families.values()], full)


def chosen_goods(names: Iterable[str], goods: Sequence[str], where: str) -> tuple[str, ...]:
    """The goods that names and patterns choose, each once, in the order in which they are named.

    Raises
    ------
    SettingError
        There is no such good; ``where`` is the setting that names it.
    EconomyError
        A pattern names no good.
    """
    known, chosen = set(goods), dict[str, None]()
    for name in names:
        if name in known:
            chosen[name] = None
        elif is_pattern(name):
            try:
                chosen |= dict.fromkeys(good for good, _ in matching(name, goods))
            except EconomyError as error:
                error.what, error.name = f"{where}: {error.what}", where
                raise
        else:
            raise SettingError(
                f"{where}: there is no good '{name}'", remedy=nearest_good(name, goods), name=where
            )
    return tuple(chosen)


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
