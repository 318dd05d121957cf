"""Exogenous series: numbers that differ from step to step, read from a file or given as an array.

A series is data: rows of numbers, one row after another in time, one column for each good. What is
read is shared by all goods and runs that use it, and never copied.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

import numpy as np

from market_abm.economy.families import family_and_indices
from market_abm.errors import SettingError, nearest, shown
from market_abm.fields import decimal, field
from market_abm.language.segments import Places, neighbours

REPEATS = ("cycle", "hold")
"""What follows the last row: the first one again, or the last one for ever."""

BINARY = (".npy", ".npz")
"""Endings of NumPy's own formats; any other file is read as CSV."""


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
        shape = str((self.values.shape, self.names)).encode()
        return hashlib.sha256(shape + np.ascontiguousarray(self.values).tobytes()).digest()

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

    @staticmethod
    def of(given: Any, where: str, folder: Path | None = None) -> Series:
        """The series that is given: itself, the name of a file, or an array.

        Parameters
        ----------
        given
            An array has the axis of rows first; further axes become columns, the last one fastest.
        where
            The dotted name, for messages.
        folder
            Where the file is looked for; by default the working folder.

        Raises
        ------
        SettingError
            There is no such file, or it does not hold a table of finite numbers.
        """
        if isinstance(given, Series):
            return given
        try:
            if isinstance(given, str | Path):
                return _read(given, folder or Path())
            return _of_array(given)
        except SettingError as error:
            raise SettingError(f"{where}: {error.what}", remedy=error.remedy, name=where) from None


def series_field(meaning: str) -> Any:
    """The field of a series, None by default, with what its numbers mean."""
    return field(
        lambda value, where: None if value is None else Series.of(value, where),
        None,
        kind="file",
        range=".csv, .npy, .npz",
        help=f"{meaning}: a table of numbers, a row for each step from step 0 on",
    )


def column_field() -> Any:
    """The field of the column of a series; None by default."""

    def check(value: Any, where: str) -> Any:
        whole = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        if value is None or isinstance(value, str) or whole:
            return value
        raise SettingError(
            f"{where} is {shown(value)}", remedy="give its number, from 0, or its name", name=where
        )

    return field(
        check,
        None,
        kind="integer or name",
        range="≥ 0",
        help="column of the series; by default the one of the good's name, or the member's own",
    )


def _of_array(given: Any) -> Series:
    try:
        array = np.array(given)
    except ValueError:
        array = np.array(None)
    if array.dtype.kind not in "fiub":
        raise SettingError(
            f"{shown(given)} is no series", remedy="give the name of a file, or an array of numbers"
        )
    size = " × ".join(map(str, array.shape))
    return _checked(array, f"array from Python ({size})")


# --- files ---------------------------------------------------------------------------------------


def _read(name: str | Path, folder: Path) -> Series:
    """The series in a file; read once, as long as the file does not change."""
    path = folder / name
    try:
        stat = path.stat()
        return _read_once(path.resolve(), str(name), stat.st_mtime_ns, stat.st_size)
    except OSError as error:
        reason = "there is no such file" if isinstance(error, FileNotFoundError) else error.strerror
        raise SettingError(
            f"cannot read '{name}': {reason}",
            remedy="its path is relative to the folder of the experiment file",
        ) from None


@lru_cache(maxsize=16)
def _read_once(path: Path, name: str, changed: int, size: int) -> Series:
    try:
        if path.suffix in BINARY:
            return _checked(_binary(path), name)
        return _of_csv(path, name)
    except (ValueError, EOFError) as error:
        raise SettingError(
            f"cannot read '{name}': {str(error).rstrip('.')}",
            remedy="keep a table of numbers in it, a row for each step",
        ) from None


def _binary(path: Path) -> np.ndarray:
    loaded = np.load(path, allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        return loaded
    with loaded:
        if len(loaded.files) != 1:
            raise SettingError(
                f"'{path.name}' holds {len(loaded.files)} arrays", remedy="keep one array in it"
            )
        array: np.ndarray = loaded[loaded.files[0]]
        return array


def _of_csv(path: Path, name: str) -> Series:
    with path.open(encoding="utf-8-sig") as file:
        lines = [line for line in file if line.strip()]
    cells = [cell.strip().strip('"') for cell in lines[0].split(",")] if lines else []
    numeric = all(decimal(cell) is not None or cell.lower() == "nan" for cell in cells)
    rows = lines if numeric else lines[1:]
    values = np.loadtxt(rows, delimiter=",", ndmin=2) if rows else np.zeros((0, 1))
    return _checked(values, name, () if numeric else tuple(cells))


def _checked(array: np.ndarray, source: str, names: tuple[str, ...] = ()) -> Series:
    """The series of an array of real, finite numbers with at least one row."""
    if array.dtype.kind not in "fiub":
        raise SettingError(
            f"'{source}' holds {array.dtype}, not numbers",
            remedy="keep a table of numbers in it, a row for each step",
        )
    if array.ndim == 0 or array.size == 0:
        raise SettingError(
            f"'{source}' has no rows", remedy="give at least one row, that of step 0"
        )
    values = np.ascontiguousarray(array.reshape(len(array), -1), dtype=float)
    wrong = np.argwhere(~np.isfinite(values))
    if len(wrong):
        row, column = wrong[0]
        raise SettingError(
            f"'{source}' holds {values[row, column]} in row {row}, column {column}, counted from 0",
            remedy="replace it by a finite number",
        )
    return Series(values, source, names)


# --- columns -------------------------------------------------------------------------------------


Kept = TypeVar("Kept", bound="Terms")


class Terms(Protocol):
    """Settings of a good that may follow a series."""

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

    A supplier's ``quantity`` becomes that of the first row.
    """
    result = dict(terms)
    for good, column in columns_of(terms, table).items():
        made = object.__new__(type(terms[good]))
        vars(made).update(vars(terms[good]), column=column)
        if table == "supply":
            vars(made)["quantity"] = float(made.series.values[0, column])
        result[good] = made
    return result


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
    """All goods of a table that follow series."""

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


# --- tables of an experiment file ----------------------------------------------------------------


def read_series(table: dict[str, Any], name: str, folder: Path) -> None:
    """Read the files that a table of goods names, in place.

    Parameters
    ----------
    table
        Tables by good, or keys of all goods; those with a series are replaced, not changed.
    name
        Its name, for messages.
    folder
        Where the files are looked for.

    Raises
    ------
    SettingError
        A file does not hold a series.
    """
    for key, value in table.items():
        if key == "series" and value is not None:
            table[key] = Series.of(value, f"{name}.series", folder)
        elif isinstance(value, Mapping) and value.get("series") is not None:
            series = Series.of(value["series"], f"{name}.{key}.series", folder)
            table[key] = {**value, "series": series}


def as_table(settings: Any) -> dict[str, Any]:
    """Settings as a table that can be written: a series by its source."""
    return with_source(dataclasses.asdict(settings))


def with_source(table: Mapping[str, Any]) -> dict[str, Any]:
    """A table with the source of a series in the place of its numbers."""
    series = table.get("series")
    if not isinstance(series, Series):
        return dict(table)
    return {key: value for key, value in table.items() if key != "quantity"} | {
        "series": series.source
    }
