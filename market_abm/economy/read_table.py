"""Read an input-output table from two CSV files, or one that comes with the package."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from market_abm.economy.codes import check_order, tidy_code
from market_abm.economy.io_table import (
    FACTORS,
    SECTOR_COLUMNS,
    InputOutputTable,
    checked_table,
)
from market_abm.errors import TableError, display_path, nearest
from market_abm.fields import decimal

TABLES = {"us-2023": ("us_summary_2023_Z.csv", "us_summary_2023_sectors.csv")}
"""The tables that come with the package, by name: flows, and sectors."""


SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}
"""What spreadsheets put between cells in the place of commas."""


def read_table(
    flows: str | Path,
    sectors: str | Path | None = None,
    *,
    drop_empty: bool = False,
    negative_final_use: str = "refuse",
) -> InputOutputTable:
    """The table in two CSV files, or one that comes with the package, by its name (``us-2023``).

    Parameters
    ----------
    flows
        A file with a header of buyers' codes, then a row per seller, its code first; or a name.
    sectors
        A file with a row per industry in the same order, with columns ``code``, ``gross_output``,
        ``final_use``, and optionally ``name`` and those of ``FACTORS``; others are ignored.
    drop_empty
        Leave out industries that neither buy, sell nor make anything.
    negative_final_use
        ``refuse`` it, or ``move`` it: where imports or withdrawals from inventories exceed the rest
        of final use, the industry is said to buy that much from outside and to sell it on. Its
        output and its primary inputs rise by the amount, its final use is 0. (Imports of goods that
        compete with it are then allocated indirectly, as national accountants say.) Every row and
        column adds up as before, and so does final use as a whole to primary inputs.

    Raises
    ------
    TableError
        A file cannot be read or does not fit the other, or as for :class:`InputOutputTable`.
    """
    if sectors is None:
        if str(flows) not in TABLES:
            raise TableError(
                f"there is no table '{flows}'",
                remedy=f"{nearest(str(flows), TABLES)}, or name two files: flows, and sectors",
                name="economy.input_output",
            )
        folder = Path(__file__).parents[1] / "data"
        flows, sectors = (folder / file for file in TABLES[str(flows)])
    paths = Path(flows), Path(sectors)
    return _read(paths, tuple(map(_stamp, paths)), drop_empty, negative_final_use)


def _stamp(path: Path) -> tuple[int, int]:
    """Time and size of a file, which differ when it has changed."""
    try:
        stat = path.stat()
    except OSError as error:
        raise TableError(
            f"cannot read the file '{display_path(path)}' ({error.strerror})",
            remedy="check its name (relative to the experiment file, or with --set to the current "
            "folder)",
            name="economy.input_output",
        ) from None
    return stat.st_mtime_ns, stat.st_size


@lru_cache(maxsize=8)
def _read(
    paths: tuple[Path, Path], stamps: Any, drop_empty: bool, negative_final_use: str
) -> InputOutputTable:
    """The table in two files, cached while they are unchanged, for sweeps."""
    codes, flows = _read_flows(paths[0])
    columns = _read_sectors(paths[1], codes)
    factors = {title: _numbers(columns[title]) for title in FACTORS if title in columns}
    output, final_use = _numbers(columns["gross_output"]), _numbers(columns["final_use"])
    names = [cell.text for cell in columns["name" if "name" in columns else "code"]]
    try:
        return checked_table(
            codes,
            names,
            flows,
            output,
            final_use,
            factors,
            drop_empty=drop_empty,
            negative_final_use=negative_final_use,
        )
    except TableError as error:
        raise error.located(file=" and ".join(str(display_path(path)) for path in paths)) from None


@dataclass(frozen=True)
class _Cell:
    """A cell of a CSV file: its text, what it is, and where."""

    text: str
    what: str
    file: str
    line: int


def _read_flows(path: Path) -> tuple[list[str], np.ndarray]:
    """The codes, and the flows, shape (n, n)."""
    file = str(display_path(path))
    (_, header), *rows = _rows(path)
    codes = [tidy_code(row[0]) for _, row in rows]
    check_order(codes, list(map(tidy_code, header[1:])), "the rows", "the header", file=file)
    flows = np.zeros((len(rows), len(rows)))
    for k, (line, row) in enumerate(rows):
        if len(row) != len(codes) + 1:
            raise TableError(
                f"the row of {codes[k]} has {len(row) - 1} numbers, for {len(codes)} buyers",
                remedy="give one for each column of the header",
                file=file,
                line=line,
            )
        flows[k] = _numbers([_Cell(text, codes[k], file, line) for text in row[1:]])
    return codes, flows


def _read_sectors(path: Path, codes: list[str]) -> dict[str, list[_Cell]]:
    """The columns of the sector table, whose rows must be these industries."""
    file = str(display_path(path))
    (_, titles), *rows = _rows(path)
    titles = list(map(tidy_code, titles))
    for title in titles:
        if title and titles.count(title) > 1:
            raise TableError(
                f"two columns have the title '{title}'",
                remedy="leave one out, or give it another title",
                file=file,
                line=1,
            )
    for title in SECTOR_COLUMNS:
        if title not in titles:
            raise TableError(
                f"there is no column '{title}'",
                remedy=f"the sector table needs {', '.join(SECTOR_COLUMNS)}",
                file=file,
                line=1,
            )
    for line, row in rows:
        if len(row) != len(titles):
            raise TableError(
                f"the row has {len(row)} cells, for {len(titles)} columns",
                remedy="put names with commas in quotes",
                file=file,
                line=line,
            )
    columns = {
        title: [_Cell(row[k], title, file, line) for line, row in rows]
        for k, title in enumerate(titles)
    }
    listed = [tidy_code(cell.text) for cell in columns["code"]]
    check_order(codes, listed, "the flows", "the sector table", file=file)
    return columns


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """The non-empty rows of a CSV file, each with its line number; at least one."""
    file = str(display_path(path))
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.reader(lines)
            rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except UnicodeDecodeError:
        raise TableError(
            "the file is not text in UTF-8", remedy="save it as UTF-8", file=file
        ) from None
    except (OSError, csv.Error) as error:
        raise TableError(
            f"cannot read the file ({error})", remedy="give a CSV file", file=file
        ) from None
    if not rows:
        raise TableError("the file is empty", remedy="give a CSV file with a header", file=file)
    header = rows[0][1]
    for sign, name in SEPARATORS.items():
        if len(header) == 1 and sign in header[0]:
            raise TableError(
                f"the cells are separated by {name}",
                remedy="save it with commas between cells, and with decimal points",
                file=file,
                line=1,
            )
    return rows


def _numbers(cells: list[_Cell]) -> np.ndarray:
    return np.array([_number(cell) for cell in cells])


def _number(cell: _Cell) -> float:
    value = decimal(cell.text)
    if value is None or not math.isfinite(value):
        raise TableError(
            f"{cell.what}: '{cell.text}' is not a number",
            remedy="use the digits 0 to 9, a decimal point, and no thousands separators",
            file=cell.file,
            line=cell.line,
        )
    return value
