"""A folder of results as one HTML file: ``market-abm report``.

Everything from the folder is checked (``reading.py``) and escaped (``tables.py``, ``page.py``);
what is missing or damaged is left out of the page, which reports it.
"""

from __future__ import annotations

from pathlib import Path

from market_abm.errors import ResultsError
from market_abm.runs.folders import unwritable, write_file
from market_abm.runs.progress import WorkProgress
from market_abm.studies.store import PARTS, SPECIFICATION, TABLE
from market_abm.views.report.comparison import ComparisonFolder
from market_abm.views.report.folder import ResultsFolder
from market_abm.views.report.page import GENERATOR
from market_abm.views.report.reading import UNREADABLE, read_json
from market_abm.views.report.run import RunFolder
from market_abm.views.report.sweep import SweepFolder

KINDS: dict[str, type[ResultsFolder]] = {
    "summary.json": RunFolder,
    SPECIFICATION: SweepFolder,
    "comparison.json": ComparisonFolder,
}
"""The file by which a kind of results is recognised."""


def report(
    folder: str | Path, out: str | Path | None = None, progress: WorkProgress | None = None
) -> Path:
    """Write the report of a folder of results, and return its path.

    Parameters
    ----------
    folder
        The folder of a run, a sweep or a comparison.
    out
        The file; by default beside the folder, with its name. Only a report is replaced.
    progress
        ``progress(what, done, most)``, called with the step of the experiment that is run again.

    Raises
    ------
    ResultsError
        The folder holds no results that can be read, ``out`` is not a report, or it cannot be
        written.
    """
    resolved_folder = Path(folder).resolve()
    path = Path(out) if out else resolved_folder.with_name(f"{resolved_folder.name}.html")
    try:
        if path.is_dir():
            raise ResultsError(f"'{path.name}' is a folder", remedy="name a file with --out")
        if path.exists() and GENERATOR not in path.read_text("utf-8", errors="replace")[:2000]:
            raise ResultsError(
                f"'{path.name}' exists, and is no report", remedy="name another file with --out"
            )
        text = report_html(folder, progress)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, lambda aside: aside.write_text(text, "utf-8", newline=""))
    except OSError as error:
        raise unwritable(path, error) from None
    return path


def report_html(folder: str | Path, progress: WorkProgress | None = None) -> str:
    """The report of the folder of a run, a sweep or a comparison, as HTML.

    Raises
    ------
    ResultsError
        There is no such folder, or it holds no results that can be read.
    """
    folder = Path(folder).resolve()
    results = _results(folder)
    results.progress = progress
    try:
        return results.html()
    except UNREADABLE as error:
        raise ResultsError(
            f"'{folder.name}' cannot be read as results ({type(error).__name__}: {error})",
            remedy="make them again, with market-abm run, sweep or compare",
        ) from None


def _results(folder: Path) -> ResultsFolder:
    """The results in a folder, by the file that only its kind has."""
    try:
        found = {path.name for path in folder.iterdir()}
    except OSError as error:
        raise ResultsError(
            f"cannot read the folder '{folder.name}' ({error.strerror})",
            remedy="name a folder that market-abm run, sweep or compare wrote",
        ) from None
    for name, kind in KINDS.items():
        if name not in found:
            continue
        if name == SPECIFICATION and (PARTS in found or TABLE not in found):
            raise ResultsError(
                f"the sweep in '{folder.name}' is not finished", remedy="continue with --resume"
            )
        return kind(folder, read_json(folder / name))
    raise ResultsError(
        f"'{folder.name}' holds no results",
        remedy=f"name a folder with {', '.join(KINDS)}: market-abm run essay-chain --out DIR",
    )
