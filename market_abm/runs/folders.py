"""Write result files and folders completely or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from market_abm.errors import ResultsError, display_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(figure: Figure, where: Path | BinaryIO, **options: Any) -> None:
    """Write a picture, without warnings about letters that its font lacks."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph .* missing from font", UserWarning)
        figure.savefig(where, **options)


def write_file(path: Path, write: Callable[[Path], object]) -> Path:
    """Write a file atomically, also with respect to a crash.

    Parameters
    ----------
    path
        The file; an existing one is replaced.
    write
        Writes the content to the path that it is given: a temporary file in the same folder, with
        the same suffix.

    Raises
    ------
    OSError
        It cannot be written; an existing file is unchanged.
    """
    aside = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        write(aside)
        with aside.open("r+b") as file:
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    return path


def write_folder(
    folder: Path,
    writers: Mapping[str, Callable[[Path], Any]],
    known: Sequence[str] | None = None,
) -> Path:
    """Write all files of a folder, or none.

    Parameters
    ----------
    folder
        An existing folder is replaced if it holds nothing but ``known`` files.
    writers
        For each file name, what writes the file to a path.
    known
        The file names that may be replaced; by default those of ``writers``.

    Raises
    ------
    ResultsError
        The folder holds something else, or cannot be written; an existing folder is unchanged.
    """
    folder = folder.resolve()
    check_folder(folder, tuple(writers) if known is None else known)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise unwritable(folder, error) from None
    fresh, old = aside / "new", aside / "old"
    try:
        fresh.mkdir()
        for name, write in writers.items():
            write(fresh / name)
        if folder.exists():
            folder.rename(old)
        fresh.rename(folder)
    except OSError as error:
        raise unwritable(folder, error) from None
    finally:  # after any failure, Ctrl-C included, restore the old folder
        if old.exists() and not folder.exists():
            old.rename(folder)
        shutil.rmtree(aside, ignore_errors=True)
    return folder


def check_file(path: Path) -> None:
    """Check, before a run, that ``path`` can be written, and make its folder.

    Raises
    ------
    OSError
        It cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=path.parent):
        pass


def check_folder(folder: Path, known: Sequence[str]) -> None:
    """Check, before a run, that results may be written to ``folder``.

    Raises
    ------
    ResultsError
        It is not a folder, or holds anything but ``known`` files.
    """
    try:
        found = sorted(p.name for p in folder.iterdir()) if folder.exists() else []
    except OSError as error:
        raise unwritable(folder, error) from None
    for name in found:
        if name not in known and not name.startswith("."):
            raise ResultsError(
                f"'{folder.name}' holds '{name}', which is not a result of this command",
                remedy="choose a new folder with --out",
            )


def unwritable(
    path: Path, error: OSError, remedy: str = "choose another place with --out"
) -> ResultsError:
    """That ``path`` cannot be written, why, and which part of it stands in the way."""
    path = path.absolute()
    there = next((part for part in (path, *path.parents) if os.path.lexists(part)), path)
    why = f"({error.strerror})"
    if there != path:
        is_folder = there.is_dir()
        why = f"in '{display_path(there)}' {why}" if is_folder else f"('{there.name}' is no folder)"
    return ResultsError(f"cannot write '{display_path(path)}' {why}", remedy=remedy)
