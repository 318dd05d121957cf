"""The folder of a sweep: its specification, finished batches, and the table made of them."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from market_abm.errors import ResultsError
from market_abm.runs.folders import picture_of, unwritable, write_file

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


SPECIFICATION = "sweep.json"

PARTS = "parts"

TABLE = "table.csv"

PARQUET = "table.parquet"

FIGURE = "sweep.png"

_PART_NAME = re.compile(r"(\d+)-(\d+)\.csv", re.ASCII)


class Store:
    """The folder of a sweep: its specification, its finished batches, and finally its table.

    Parameters
    ----------
    folder
        A new or empty folder, or one that holds a sweep.
    specification
        What is run, at which points.
    resume
        Continue the sweep in the folder, which must have the same specification.

    Raises
    ------
    ResultsError
        The folder holds something else or another sweep, or cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        specification: Mapping[str, Any],
        *,
        resume: bool,
    ) -> None:
        self.folder = folder
        text = json.dumps(specification, indent=1, default=str) + "\n"
        try:
            every = {path.name for path in folder.iterdir()} if folder.exists() else set()
            found = {name for name in every if not name.startswith(".")}
            if SPECIFICATION in found:
                same = (folder / SPECIFICATION).read_text("utf-8") == text
                if resume and not same:
                    raise ResultsError(
                        f"'{folder.name}' holds another sweep",
                        remedy="resume with the same file, axes and settings, or choose another "
                        "folder with --out",
                    )
                if not resume and PARTS in found:
                    raise ResultsError(
                        f"'{folder.name}' holds a sweep that was not finished",
                        remedy="continue with --resume, or choose another folder with --out",
                    )
                if not resume:  # a finished sweep is replaced, like the results of a run
                    for name in (TABLE, PARQUET, FIGURE):
                        (folder / name).unlink(missing_ok=True)
            elif found:
                raise ResultsError(
                    f"'{folder.name}' holds '{min(found)}' and is not a sweep",
                    remedy="choose a new folder with --out",
                )
            elif resume:
                raise ResultsError(
                    f"there is no sweep in '{folder.name}' to resume",
                    remedy="leave out --resume, or name its folder with --out",
                )
            self.finished = resume and TABLE in found and PARTS not in found
            if not self.finished:
                (folder / PARTS).mkdir(parents=True, exist_ok=True)
                write_file(folder / SPECIFICATION, partial(_write, [text]))
        except OSError as error:
            raise self._unwritable(error) from None

    def _parts(self) -> dict[range, Path]:
        """The files of finished batches by the numbers of their runs, in order."""
        found = {}
        for path in (self.folder / PARTS).iterdir():
            name = _PART_NAME.fullmatch(path.name)
            if name:
                found[range(int(name[1]), int(name[1]) + int(name[2]))] = path
        return dict(sorted(found.items(), key=lambda part: part[0].start))

    def missing(self, size: int) -> list[range]:
        """The runs, of so many, that are not finished."""
        gaps, end = [], 0
        for numbers in self._parts():
            gaps.append(range(end, numbers.start))
            end = numbers.stop
        return [gap for gap in (*gaps, range(end, size)) if gap]

    def keep(self, first: int, size: int, text: str) -> None:
        """Write the rows of a batch, completely or not at all."""
        path = self.folder / PARTS / f"{first:08d}-{size}.csv"
        try:
            write_file(path, partial(_write, [text]))
        except OSError as error:
            raise self._unwritable(error) from None

    def finish(
        self, columns: Sequence[str], figure_of: Callable[[pd.DataFrame], Figure | None] | None
    ) -> pd.DataFrame:
        """Write the table of all batches in their order and any figure, and return the table.

        The batches are removed last: a sweep without them is finished.
        """
        parts = (path.read_text("utf-8") for path in self._parts().values())
        try:
            write_file(self.folder / TABLE, partial(_write, csv_table(columns, parts)))
            table = self.table()
            if find_spec("pyarrow"):
                write_file(self.folder / PARQUET, partial(_write_parquet, table))
            picture = figure_of and picture_of(lambda: figure_of(table), FIGURE)
            if picture:
                write_file(self.folder / FIGURE, lambda path: path.write_bytes(picture))
            shutil.rmtree(self.folder / PARTS)
        except OSError as error:
            raise self._unwritable(error) from None
        return table

    def table(self) -> pd.DataFrame:
        """The table of a finished sweep."""
        import pandas as pd

        return pd.read_csv(self.folder / TABLE)

    def _unwritable(self, error: OSError) -> ResultsError:
        begun = (self.folder / PARTS).is_dir()
        kept = "what was finished is kept: make room and continue with --resume, or "
        return unwritable(
            self.folder, error, f"{kept if begun else ''}choose another folder with --out"
        )


def csv_table(columns: Sequence[str], parts: Iterable[str]) -> Iterator[str]:
    """The text of a table: a header of ``columns``, then the rows in ``parts``."""
    header = io.StringIO()
    csv.writer(header).writerow(columns)
    yield header.getvalue()
    yield from parts


def _write(texts: Iterable[str], path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        file.writelines(texts)


def _write_parquet(table: pd.DataFrame, path: Path) -> None:
    with path.open("wb") as file:  # Arrow cannot open every name itself
        table.to_parquet(file, index=False)
