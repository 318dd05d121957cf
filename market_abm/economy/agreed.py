"""Terms of many suppliers or consumers as arrays, one for those that differ in numbers only."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from market_abm.fields import Settings
from market_abm.language.segments import Places

T = TypeVar("T", bound=Settings)


class Agreed(NamedTuple, Generic[T]):
    """Terms that differ in numbers only: these have shape (..., places), or are one for all."""

    places: Places
    terms: T


def agreed(several: Iterable[T]) -> tuple[Agreed[T], ...]:
    """Group terms by all that is no number; numbers are scalars or have shape (runs, 1)."""
    groups: dict[tuple[Any, ...], list[tuple[int, T]]] = {}
    for place, terms in enumerate(several):
        values = (getattr(terms, item.name) for item in dataclasses.fields(terms))  # type: ignore[arg-type]
        key = tuple(None if isinstance(v, float | int | np.ndarray) else (v,) for v in values)
        groups.setdefault(key, []).append((place, terms))
    return tuple(_together(members) for members in groups.values())


def _together(members: list[tuple[int, T]]) -> Agreed[T]:
    places = np.array([place for place, _ in members])
    first, last = int(places[0]), int(places[-1]) + 1
    where = slice(first, last) if last - first == len(places) else places
    terms = members[0][1]
    if len(members) == 1:
        return Agreed(where, terms)
    result = object.__new__(type(terms))
    for item in dataclasses.fields(terms):  # type: ignore[arg-type]
        values = [getattr(each, item.name) for _, each in members]
        value = values[0]
        if isinstance(value, float | int | np.ndarray):
            lead = np.broadcast_shapes(*{np.shape(each)[:-1] for each in values})
            parts = [np.broadcast_to(each, (*lead, 1)) for each in values]
            value = np.concatenate(parts, axis=-1)
        object.__setattr__(result, item.name, value)
    return Agreed(where, result)
