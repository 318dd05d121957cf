"""Exogenous series: numbers that differ from step to step.

A series is data: rows of numbers, one row after another in time, one column for each good. All
goods and runs that follow it share it; it is never copied.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Protocol, Self, TypeVar

import numpy as np

from market_abm.economy.families import family_and_indices
from market_abm.errors import SettingError, nearest
from market_abm.language.segments import Places, neighbours

REPEATS = ("cycle", "hold")
"""What follows the last row: the first one again, or the last one for ever."""


class Series:
    """Rows of numbers, checked, and never changed.

    Parameters
    ----------
    values
        Shape (rows, columns).
    source
        The file's name, or that it is an array from Python.
    names
        The names of the columns, if the file has a first line of names.
    """

    def __init__(self, values: np.ndarray, source: str, names: tuple[str, ...] = ()) -> None:
        self.values, self.source, self.names = values, source, names
        self.values.flags.writeable = False

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.values)

    @property
    def columns(self) -> int:
        """The number of columns."""
        return self.values.shape[1]

    @cached_property
    def _digest(self) -> bytes:
        digest = hashlib.sha256(str((self.values.shape, self.names)).encode())
        digest.update(self.values.data)
        return digest.digest()

    def __eq__(self, other: object) -> bool:
        """Whether both hold the same numbers."""
        return self is other or (isinstance(other, Series) and self._digest == other._digest)

    def __hash__(self) -> int:
        return hash(self._digest)

    def __deepcopy__(self, memo: Any) -> Self:
        return self

    def __repr__(self) -> str:
        return f"Series({self.source!r}, {self.rows} × {self.columns})"

    def row_at(self, step: int, repeat: str, period: int) -> int:
        """The row of a step, where each row lasts for ``period`` steps."""
        row = step // period
        return row % self.rows if repeat == "cycle" else min(row, self.rows - 1)

    def moves_until(self, repeat: str, period: int) -> float:
        """The step from which on nothing changes any more; infinite if it never ends."""
        if np.all(self.values == self.values[:1]):
            return 0.0
        return np.inf if repeat == "cycle" else float((self.rows - 1) * period)


# --- columns -------------------------------------------------------------------------------------


Kept = TypeVar("Kept", bound="Terms")


class Terms(Protocol):
    """Settings of a good that may follow a series."""

    of_series: ClassVar[str]
    """The key that the first row replaces; none, if its numbers are factors."""

    @property
    def series(self) -> Any:
        """The series, or None."""

    @property
    def column(self) -> Any:
        """The column of it, if it is given."""

    @property
    def repeat(self) -> str:
        """One of ``REPEATS``."""

    @property
    def period(self) -> Any:
        """Steps for which a row lasts."""


def columns_of(terms: Mapping[str, Terms], table: str) -> dict[str, int]:
    """The column of each good that follows a series.

    It is the ``column`` that is given, by number or name; else the one with the name of the good;
    else the only one. Of the members of one family that follow a series of as many columns, each
    has its own, in the order of their indices.

    Parameters
    ----------
    terms
        Settings by good.
    table
        Where they stand, for messages.

    Raises
    ------
    SettingError
        It cannot be told which column a good follows.
    """
    sharing: dict[int, list[str]] = {}
    for good, each in terms.items():
        if each.series is not None:
            sharing.setdefault(id(each.series), []).append(good)
    found: dict[str, int] = {}
    for goods in sharing.values():
        series: Series = terms[goods[0]].series
        rest = []
        for good in goods:
            column = _own_column(terms[good], good, f"{table}.{good}")
            if column is None:
                rest.append(good)
            else:
                found[good] = column
        members = sorted(rest, key=family_and_indices)
        families = {family_and_indices(good)[0] for good in members}
        if members and (len(families) > 1 or len(members) != series.columns):
            good = rest[0]
            of = f"{len(rest)} goods" if len(rest) > 1 else f"'{good}'"
            raise SettingError(
                f"{table}.{good}.series: '{series.source}' has {series.columns} columns for {of}",
                remedy="give one column a good, name the columns in the first line, or set column",
                name=f"{table}.{good}.series",
            )
        found |= {good: k for k, good in enumerate(members)}
    return found


def in_columns(terms: Mapping[str, Kept], table: str) -> dict[str, Kept]:
    """The settings of all goods, each with the number of its column, as of :func:`columns_of`.

    The key ``of_series`` becomes the number of the first row.
    """
    result = dict(terms)
    for good, column in columns_of(terms, table).items():
        made = object.__new__(type(terms[good]))
        vars(made).update(vars(terms[good]), column=column)
        if made.of_series:
            vars(made)[made.of_series] = float(made.series.values[0, column])
        result[good] = made
    return result


def in_short(terms: Mapping[str, Kept]) -> dict[str, Kept]:
    """The settings of goods without the columns, and the first numbers, that follow by themselves.

    So members of a family that follow one series have the same.
    """
    bare = {}
    for good, each in terms.items():
        if each.series is not None:
            bare[good] = object.__new__(type(each))
            vars(bare[good]).update(vars(each), column=None)
            if each.of_series:
                vars(bare[good])[each.of_series] = None
    try:
        known = columns_of(bare, "")
    except SettingError:
        return dict(terms)
    return {
        good: bare[good] if known.get(good, -1) == each.column else each
        for good, each in terms.items()
    }


def number_at(terms: Terms, step: int) -> float:
    """The number that the series of one good has in a step."""
    series: Series = terms.series
    return float(series.values[series.row_at(step, terms.repeat, terms.period), terms.column])


def followed(terms: Terms) -> tuple[Any, ...]:
    """What the settings of two runs must have in common so that both follow a series together."""
    return () if terms.series is None else (terms.series, terms.column, terms.repeat, terms.period)


def _own_column(terms: Terms, good: str, where: str) -> int | None:
    """The column of a good that does not depend on other goods."""
    series: Series = terms.series
    column = terms.column
    if isinstance(column, str):
        if column not in series.names:
            raise SettingError(
                f"{where}.column: '{series.source}' has no column '{column}'",
                remedy=nearest(column, series.names) if series.names else "give its number",
                name=f"{where}.column",
            )
        return series.names.index(column)
    if column is not None:
        if column >= series.columns:
            raise SettingError(
                f"{where}.column is {column}, and '{series.source}' has {series.columns} columns",
                remedy=f"choose one from 0 to {series.columns - 1}",
                name=f"{where}.column",
            )
        return int(column)
    if good in series.names:
        return series.names.index(good)
    return 0 if series.columns == 1 else None


# --- all goods at once ---------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Moving:
    """The goods that follow one series in the same rhythm.

    Attributes
    ----------
    places
        Their places among the goods of their table.
    series
        The series.
    columns
        The column of each.
    repeat, period
        What follows the last row, and the steps for which a row lasts.
    """

    places: Places
    series: Series
    columns: Places
    repeat: str
    period: int

    def at(self, step: int) -> np.ndarray:
        """Their numbers in a step, shape (goods,)."""
        row: np.ndarray = self.series.values[self.series.row_at(step, self.repeat, self.period)]
        return row[self.columns]


class Movements(tuple[Moving, ...]):
    """All of several goods that follow series."""

    __slots__ = ()

    @staticmethod
    def of(terms: Iterable[Terms]) -> Movements:
        """Those of the goods of a table, in its order."""
        alike: dict[tuple[int, str, int], list[tuple[int, Terms]]] = {}
        for k, each in enumerate(terms):
            if each.series is not None:
                key = id(each.series), each.repeat, int(each.period)
                alike.setdefault(key, []).append((k, each))
        return Movements(
            Moving(
                neighbours(np.array([k for k, _ in goods])),
                goods[0][1].series,
                neighbours(np.array([each.column for _, each in goods])),
                repeat,
                period,
            )
            for (_, repeat, period), goods in alike.items()
        )

    def write(self, step: int, values: np.ndarray) -> None:
        """Write the numbers of a step into ``values`` of all goods, shape (..., goods)."""
        for each in self:
            values[..., each.places] = each.at(step)

    def rows(self, step: int) -> list[int]:
        """The row of each series in a step."""
        return [m.series.row_at(step, m.repeat, m.period) for m in self]

    @property
    def end(self) -> float:
        """The step from which on none of them moves; infinite if one always does."""
        return max((m.series.moves_until(m.repeat, m.period) for m in self), default=0.0)
