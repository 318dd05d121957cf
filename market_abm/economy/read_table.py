"""National input-output tables: read, checked, and made into economies.

A table says what each industry (row) sold to each industry (column) in a year. Over output, a
column is the industry's recipe: what it spends on each input, per unit of money that it takes. What
is left of output is for primary inputs (labour, capital, imports); what no industry bought is final
use.
"""

from __future__ import annotations

import csv
import math
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from market_abm.economy.io_table import (
    FACTORS,
    SECTOR_COLUMNS,
    InputOutputTable,
    check_order,
    checked_table,
)
from market_abm.errors import TableError, nearest, where_text

TABLES = {"us-2023": ("us_summary_2023_Z.csv", "us_summary_2023_sectors.csv")}
"""The tables that come with the package, by name: flows, and sectors."""


def read_table(
    flows: str | Path, sectors: str | Path | None = None, *, drop_empty: bool = False
) -> InputOutputTable:
    """The table in two CSV files, or one that comes with the package, by its name (``us-2023``).

    ``flows``: a header of buyers' codes, then a row for each seller, its code first. ``sectors``: a
    row an industry in the same order, with columns ``code``, ``gross_output``, ``final_use``, and
    if you like ``name`` and those of ``FACTORS``; other columns are not read. ``drop_empty`` leaves
    out industries that neither buy, sell nor make anything.

    Raises:
        TableError: a file cannot be read or does not fit the other, or as for
            :class:`InputOutputTable`.
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
    return _read(paths, tuple(_stamp(path) for path in paths), drop_empty)


def _stamp(path: Path) -> tuple[int, int]:
    """What tells that a file has changed."""
    try:
        stat = path.stat()
    except OSError as error:
        raise TableError(
            f"cannot read the file '{where_text(path)}' ({error.strerror})",
            remedy="check its name (an experiment's files are looked for beside it, those of "
            "--set where you are)",
            name="economy.input_output",
        ) from None
    return stat.st_mtime_ns, stat.st_size


@lru_cache(maxsize=8)
def _read(paths: tuple[Path, Path], stamps: Any, drop_empty: bool) -> InputOutputTable:
    """The table in two files, remembered while they stay as they are: a sweep asks often."""
    flows, sectors = (str(where_text(path)) for path in paths)
    (_, header), *rows = _rows(paths[0])
    codes = [row[0].strip() for _, row in rows]
    check_order(codes, [code.strip() for code in header[1:]], "the rows", "the header", file=flows)
    matrix = np.zeros((len(rows), len(rows)))
    for k, (line, row) in enumerate(rows):
        if len(row) != len(codes) + 1:
            raise TableError(
                f"the row of {codes[k]} has {len(row) - 1} numbers, for {len(codes)} buyers",
                remedy="give one for each column of the header",
                file=flows,
                line=line,
            )
        matrix[k] = [_number(cell, codes[k], flows, line) for cell in row[1:]]

    (_, titles), *rows = _rows(paths[1])
    columns = {title.strip(): k for k, title in enumerate(titles)}
    for title in SECTOR_COLUMNS:
        if title not in columns:
            raise TableError(
                f"there is no column '{title}'",
                remedy=f"the sector table needs {', '.join(SECTOR_COLUMNS)}",
                file=sectors,
                line=1,
            )
    for line, row in rows:
        if len(row) != len(titles):
            raise TableError(
                f"the row has {len(row)} cells, for {len(titles)} columns",
                remedy="put names with commas in quotes",
                file=sectors,
                line=line,
            )

    def column(title: str) -> np.ndarray:
        k = columns[title]
        return np.array([_number(row[k], title, sectors, line) for line, row in rows])

    told = [row[columns["code"]].strip() for _, row in rows]
    check_order(codes, told, "the flows", "the sector table", file=sectors)
    names = [row[columns["name"]] for _, row in rows] if "name" in columns else told
    factors = {title: column(title) for title in FACTORS if title in columns}
    output, final_use = column("gross_output"), column("final_use")
    try:
        return checked_table(
            codes, names, matrix, output, final_use, factors, drop_empty=drop_empty
        )
    except TableError as error:
        raise error.located(file=flows) from None


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """The rows of a CSV file that are not empty, each with its line; at least one."""
    file = str(where_text(path))
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.reader(lines)
            rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except UnicodeDecodeError:
        raise TableError("the file is not text in UTF-8", remedy="save it so", file=file) from None
    except (OSError, csv.Error) as error:
        raise TableError(
            f"cannot read the file ({error})", remedy="give a CSV file", file=file
        ) from None
    if not rows:
        raise TableError("the file is empty", remedy="give a CSV file with a header", file=file)
    return rows


def _number(cell: str, what: str, file: str, line: int) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise TableError(
            f"{what}: '{cell}' is not a number",
            remedy="write it with a point for decimals, and without other marks",
            file=file,
            line=line,
        )
    return value
