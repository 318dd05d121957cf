"""Write result files and folders completely or not at all."""

from __future__ import annotations

import glob
import io
import os
import platform
import re
import shutil
import sys
import tempfile
import time
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from market_abm.errors import FigureWarning, ResultsError, display_path

OLD = "old"
"""The folder that is replaced, while it is in the working folder."""

MAX_AGE = 86_400.0
"""Seconds after which a working folder is abandoned in any case."""

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def drawn(figure: Figure, **options: Any) -> bytes:
    """A figure as PNG."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png", **options)
    return picture.getvalue()


def picture_of(make: Callable[[], Figure | None], name: str) -> bytes | None:
    """A figure as PNG; None if there is none, or, with a :class:`FigureWarning`, if it fails.

    Parameters
    ----------
    make
        Makes the figure; None if there is nothing to draw.
    name
        The file that it will be.
    """
    try:
        figure = make()
        return None if figure is None else drawn(figure)
    except Exception as error:  # whatever a library raises: results never depend on a picture
        why = f"{name} could not be drawn ({type(error).__name__}: {error})"
        warnings.warn(FigureWarning(f"{why}; all data are written."), stacklevel=2)
        return None


def write_figure(make: Callable[[], Figure | None], path: Path) -> None:
    """Write :func:`picture_of` a figure, if there is one."""
    picture = picture_of(make, path.name)
    if picture is not None:
        path.write_bytes(picture)


def write_file(path: Path, write: Callable[[Path], object]) -> Path:
    """Write a file atomically, also with respect to a crash.

    Parameters
    ----------
    path
        The file; an existing one is replaced.
    write
        Writes the content to the path that it is given: a file of the same name in a hidden folder.

    Raises
    ------
    OSError
        It cannot be written; an existing file is unchanged.
    """
    with _working_folder(path) as aside:
        fresh = aside / path.name
        write(fresh)
        with fresh.open("r+b") as file:
            os.fsync(file.fileno())
        fresh.replace(path)
    return path


def write_folder(
    folder: Path,
    writers: Mapping[str, Callable[[Path], Any]],
    known: Sequence[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
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
    progress
        ``progress(done, most)``, called with the number of files.

    Raises
    ------
    ResultsError
        The folder holds something else, or cannot be written; an existing folder is unchanged.
    """
    folder = folder.resolve()
    check_folder(folder, tuple(writers) if known is None else known)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _working_folder(folder) as aside:
            fresh, old = aside / "new", aside / OLD
            fresh.mkdir()
            for done, (name, write) in enumerate(writers.items()):
                if progress:
                    progress(done, len(writers))
                write(fresh / name)
            if progress:
                progress(len(writers), len(writers))
            if folder.exists():
                folder.rename(old)
            fresh.rename(folder)
    except OSError as error:
        raise unwritable(folder, error) from None
    return folder


# --- working folders ------------------------------------------------------------------------------


@contextmanager
def _working_folder(beside: Path) -> Iterator[Path]:
    """A hidden folder beside a path, in which what replaces the path is made.

    It is removed at the end, after any failure, Ctrl-C included; the next one for the same path
    removes those whose process was killed.
    """
    prefix = f".{beside.name}.writing-"
    for left in beside.parent.glob(f"{glob.escape(prefix)}*"):
        if _is_abandoned(left):
            _remove(left, beside)
    owner = f"{prefix}{_machine()}-{os.getpid()}-"
    aside = Path(tempfile.mkdtemp(prefix=owner, dir=beside.parent))
    try:
        yield aside
    finally:
        _remove(aside, beside)


def _machine() -> str:
    """A short name of this machine, for folders that several machines may share."""
    return f"{zlib.crc32(platform.node().encode()):08x}"


def _remove(aside: Path, beside: Path) -> None:
    """Remove a working folder; an old folder in it returns to its place unless there is a new."""
    with suppress(FileNotFoundError):  # there is none, or another process was faster
        if not beside.exists():
            (aside / OLD).rename(beside)
    shutil.rmtree(aside, ignore_errors=True)


def _is_abandoned(aside: Path) -> bool:
    """Whether the process of a working folder has ended; its age decides where none can be seen."""
    made = re.search(r"\.writing-([0-9a-f]{8})-(\d+)-\w+$", aside.name)
    if made is None:
        return False
    if made[1] == _machine() and sys.platform != "win32":
        try:
            os.kill(int(made[2]), 0)
        except ProcessLookupError:
            return True
        except PermissionError:  # another user's
            pass
    try:
        return time.time() - aside.stat().st_mtime > MAX_AGE
    except OSError:  # it is gone
        return False


# --- checks before a run --------------------------------------------------------------------------


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
