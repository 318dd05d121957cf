"""Many runs: the points of a design in batches, through an executor, into one tidy table.

A batch is a range of neighbouring points. It goes through the array engine as one (or as one for
each structure among its economies), and is written to a file of its own, whole or not at all. What
is in a batch depends on the sweep alone, so that neither the number of workers nor an interruption
changes a bit of the table.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from market_abm.errors import ResultsError
from market_abm.runs.folders import write_whole

if TYPE_CHECKING:
    import pandas as pd


SPECIFICATION = "sweep.json"


PARTS = "parts"


TABLE = "table.csv"


PARQUET = "table.parquet"


FIGURE = "sweep.png"


class Store:
    """A folder that holds a sweep: what it is, its finished batches, and in the end its table.

    ``specification`` says what is run, and where; the sweep has ``size`` runs in batches of
    ``batch_size``.
    """

    def __init__(
        self,
        folder: Path,
        specification: Mapping[str, Any],
        *,
        size: int,
        batch_size: int,
        resume: bool,
    ) -> None:
        self.folder, self.size, self.batch_size = folder, size, batch_size
        self.batches = -(-size // batch_size)
        text = json.dumps(specification, indent=1, default=str) + "\n"
        try:
            found = {path.name for path in folder.iterdir()} if folder.exists() else set()
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
                        remedy="go on with --resume, or choose another folder with --out",
                    )
                if not resume:  # a finished one is replaced, as the results of a run are
                    for name in (TABLE, PARQUET, FIGURE):
                        (folder / name).unlink(missing_ok=True)
            elif found:
                raise ResultsError(
                    f"'{folder.name}' holds '{min(found)}', and is no sweep",
                    remedy="choose a new folder with --out",
                )
            elif resume:
                raise ResultsError(
                    f"there is no sweep in '{folder.name}' to go on with",
                    remedy="leave out --resume, or name its folder with --out",
                )
            self.finished = resume and TABLE in found and PARTS not in found
            if not self.finished:
                (folder / PARTS).mkdir(parents=True, exist_ok=True)
                write_whole(folder / SPECIFICATION, [text])
        except OSError as error:
            raise self._trouble(error) from None

    def _part(self, batch: int) -> Path:
        return self.folder / PARTS / f"{batch:07d}.csv"

    def has(self, batch: int) -> bool:
        """Whether a batch is finished."""
        return self._part(batch).exists()

    def runs(self, batch: int) -> int:
        """How many runs a batch has."""
        return min(self.batch_size, self.size - batch * self.batch_size)

    def keep(self, batch: int, text: str) -> None:
        """Write the rows of a batch, whole or not at all."""
        try:
            write_whole(self._part(batch), [text])
        except OSError as error:
            raise self._trouble(error) from None

    def finish(
        self, columns: Sequence[str], draw: Callable[[pd.DataFrame, Path], object]
    ) -> pd.DataFrame:
        """Put the batches together in their order, write the table, ``draw`` it, and return it.

        The batches are removed once the table is safe: without them, a sweep is finished.
        """
        header = io.StringIO()
        csv.writer(header).writerow(columns)
        parts = (self._part(batch).read_text("utf-8") for batch in range(self.batches))
        try:
            write_whole(self.folder / TABLE, itertools.chain([header.getvalue()], parts))
            table = self.table()
            if find_spec("pyarrow"):
                table.to_parquet(self.folder / PARQUET, index=False)
            draw(table, self.folder / FIGURE)
            shutil.rmtree(self.folder / PARTS)
        except OSError as error:
            raise self._trouble(error) from None
        return table

    def table(self) -> pd.DataFrame:
        """The table of a finished sweep."""
        import pandas as pd

        return pd.read_csv(self.folder / TABLE)

    def _trouble(self, error: OSError) -> ResultsError:
        return ResultsError(
            f"cannot write results to '{self.folder.name}' ({error.strerror})",
            remedy="what was finished is kept: make room and go on with --resume, or choose "
            "another folder with --out",
        )
