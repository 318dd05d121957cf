"""Series are read from files, or made of arrays, and checked."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from market_abm.economy.series import Series
from market_abm.errors import SettingError, shown
from market_abm.fields import decimal, field

UNREADABLE = (ValueError, EOFError, MemoryError, BadZipFile, zlib.error)
"""What NumPy raises for files that are broken, or hold no numbers."""

BINARY = (".npy", ".npz")
"""Endings of NumPy's own formats; any other file is read as CSV."""


def series_of(given: Any, where: str, folder: Path | None = None) -> Series:
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
        lambda value, where: None if value is None else series_of(value, where),
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
        kind="name or integer ≥ 0",
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
    if path.is_dir():
        raise SettingError(
            f"'{name}' is a folder" if str(name).strip() else "the name of its file is empty",
            remedy="give the name of a file: .csv, .npy or .npz",
        )
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
    except UNREADABLE as error:
        raise SettingError(
            f"cannot read '{name}': {str(error).rstrip('.')}",
            remedy="keep a table of numbers in it, a row for each step",
        ) from None


def _binary(path: Path) -> np.ndarray:
    with path.open("rb") as file:
        loaded = np.load(file, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        if len(loaded.files) != 1:
            raise SettingError(
                f"'{path.name}' holds {len(loaded.files)} arrays", remedy="keep one array in it"
            )
        array: np.ndarray = loaded[loaded.files[0]]
        return array


def _of_csv(path: Path, name: str) -> Series:
    """The series in a text; messages count its lines from 1, and columns from 0."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise SettingError(f"'{name}' is no text in UTF-8", remedy="save it as such") from None
    lines = {
        n: line for n, line in enumerate(text.splitlines(), 1) if line.partition("#")[0].strip()
    }
    first = next(iter(lines), 0)
    cells = _cells(lines[first]) if lines else []
    numeric = all(_is_number(cell) for cell in cells)
    names = () if numeric else tuple(cells)
    if len(set(names)) < len(names):
        twice = next(each for k, each in enumerate(names) if each in names[:k])
        raise SettingError(
            f"line {first} of '{name}' names two columns '{twice}'",
            remedy="give each column a name of its own",
        )
    width = len(cells)
    if not numeric:
        del lines[first]
    try:
        values = np.loadtxt(list(lines.values()), delimiter=",", ndmin=2) if lines else None
    except ValueError:
        values = None
    if lines and (values is None or values.shape[1] != width):
        _refuse_cells(lines, name, first, width)
    return _checked(np.zeros((0, 1)) if values is None else values, name, names, tuple(lines))


def _cells(line: str) -> list[str]:
    return [cell.strip().strip('"') for cell in line.partition("#")[0].split(",")]


def _is_number(cell: str) -> bool:
    return decimal(cell) is not None or cell.lower() == "nan"


def _refuse_cells(lines: Mapping[int, str], name: str, first: int, width: int) -> None:
    """Refuse the first line with another number of columns than the first, or with no number."""
    remedy = "keep a table of numbers in it, a row for each step"
    for n, line in lines.items():
        cells = _cells(line)
        if len(cells) != width:
            columns = "1 column" if len(cells) == 1 else f"{len(cells)} columns"
            raise SettingError(
                f"'{name}' has {columns} in line {n}, and {width} in line {first}", remedy=remedy
            )
        for k, cell in enumerate(cells):
            if not _is_number(cell):
                raise SettingError(
                    f"'{name}' holds {shown(cell)} in line {n}, column {k} (columns count from 0)",
                    remedy="replace it by a finite number",
                )
    raise SettingError(f"'{name}' cannot be read as numbers", remedy=remedy)


def _checked(
    array: np.ndarray, source: str, names: tuple[str, ...] = (), lines: tuple[int, ...] = ()
) -> Series:
    """The series of an array of real, finite numbers with at least one row.

    ``lines`` are those of its rows in a text.
    """
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
        line, count = (f"line {lines[row]}", "columns") if lines else (f"row {row}", "both")
        raise SettingError(
            f"'{source}' holds {values[row, column]} in {line}, column {column} "
            f"({count} count from 0)",
            remedy="replace it by a finite number",
        )
    return Series(values, source, names)


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
            table[key] = series_of(value, f"{name}.series", folder)
        elif isinstance(value, Mapping) and value.get("series") is not None:
            series = series_of(value["series"], f"{name}.{key}.series", folder)
            table[key] = {**value, "series": series}


def with_paths(table: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """A table of goods that names files by their absolute paths, instead of relative ones."""
    if isinstance(table.get("series"), str):
        table = {**table, "series": str((folder / table["series"]).resolve())}
    return {
        key: with_paths(value, folder) if isinstance(value, Mapping) else value
        for key, value in table.items()
    }


RARE = ("series", "column", "repeat", "period", "settle", "cost", "decay")
"""Keys of goods that are written only where they are not the default."""


def as_table(settings: Any) -> dict[str, Any]:
    """Settings as a table that can be written: a series by its source, ``RARE`` keys if set."""
    common = {f.name for f in dataclasses.fields(settings) if f.name in RARE}
    common = {key for key in common if getattr(settings, key) == getattr(type(settings), key)}
    every = with_source(dataclasses.asdict(settings))
    table = {key: value for key, value in every.items() if key not in common}
    if settings.series is not None and settings.of_series:
        del table[settings.of_series]  # that of the first row
    return table


def with_source(table: Mapping[str, Any]) -> dict[str, Any]:
    """A table with the source of a series in the place of its numbers."""
    series = table.get("series")
    if not isinstance(series, Series):
        return dict(table)
    return {**table, "series": series.source}
