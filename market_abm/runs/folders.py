"""Folders and files of results, written whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from market_abm.errors import ResultsError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(figure: Figure, where: Path | BinaryIO, **options: Any) -> None:
    """Write a picture; letters that the font lacks are drawn as boxes, and no more said."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph .* missing from font", UserWarning)
        figure.savefig(where, **options)


def check_folder(folder: Path, known: Sequence[str]) -> None:
    """Make sure that results may be written to ``folder``, before there are any.

    Raises:
        ResultsError: it is no folder, or holds anything but the ``known`` results.
    """
    try:
        found = sorted(p.name for p in folder.iterdir()) if folder.exists() else []
    except OSError as error:
        raise _unwritable(folder, error) from None
    for name in found:
        if name not in known and not name.startswith("."):
            raise ResultsError(
                f"'{folder.name}' holds '{name}', which is no result of this command",
                remedy="choose a new folder with --out",
            )


def write_folder(
    folder: Path,
    writers: Mapping[str, Callable[[Path], Any]],
    known: Sequence[str] | None = None,
) -> Path:
    """Write each named file into ``folder``, whole or not at all: aside first, then by renaming.

    An existing folder is replaced only if it holds nothing but such files.

    Raises:
        ResultsError: it holds something else, or cannot be written; what was there is untouched.
    """
    folder = folder.resolve()
    check_folder(folder, tuple(writers) if known is None else known)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise _unwritable(folder, error) from None
    fresh, old = aside / "new", aside / "old"
    try:
        fresh.mkdir()
        for name, write in writers.items():
            write(fresh / name)
        if folder.exists():
            folder.rename(old)
        fresh.rename(folder)
    except OSError as error:
        raise _unwritable(folder, error) from None
    finally:  # whatever stopped it, Ctrl-C included: put back what was there
        if old.exists() and not folder.exists():
            old.rename(folder)
        shutil.rmtree(aside, ignore_errors=True)
    return folder


def _unwritable(folder: Path, error: OSError) -> ResultsError:
    return ResultsError(
        f"cannot write results to '{folder.name}' ({error.strerror})",
        remedy="choose another folder with --out",
    )


def write_whole(path: Path, texts: Iterable[str]) -> None:
    """Write ``texts`` to ``path`` so that nobody ever sees a part of it, not even after a crash."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with aside.open("w", encoding="utf-8", newline="") as file:
            file.writelines(texts)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
