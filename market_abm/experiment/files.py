"""Experiment files: where they are found, and their text."""

from __future__ import annotations

from pathlib import Path

from market_abm.errors import MarketError, clip, display_path, nearest

MAX_FILE_BYTES = 10_000_000
"""Bytes beyond which an experiment file is refused unread."""


def folders() -> list[Path]:
    """Where experiments are found by name: in the working folder, beside and in the package."""
    package = Path(__file__).parents[1]
    candidates = [Path("experiments"), package.parent / "experiments", package / "experiments"]
    found: dict[Path, Path] = {}
    for folder in candidates:
        if folder.is_dir():
            found.setdefault(folder.resolve(), folder)
    return list(found.values())


def available() -> dict[str, Path]:
    """The files of all experiments that are found by name, in alphabetical order."""
    paths = [path for folder in reversed(folders()) for path in folder.glob("*.toml")]
    return dict(sorted((path.stem, path) for path in paths))


def find(where: str | Path) -> Path:
    """The file of a path, or of the name of an available experiment.

    Raises
    ------
    MarketError
        There is no such file.
    """
    path = Path(where)
    try:
        if path.is_file():
            return path
        exists = path.exists()
    except (OSError, ValueError):
        exists = False
    if path.suffix != ".toml" and str(where) in available():
        return available()[str(where)]
    if exists:
        raise MarketError(
            f"'{where}' is not a file", remedy="name an experiment file", name=str(where)
        )
    raise MarketError(
        f"there is no file and no experiment '{clip(str(where))}'",
        remedy=nearest(path.stem, available()),
        name=str(where),
    )


def read(path: Path) -> str:
    """The text of a file.

    Raises
    ------
    MarketError
        The file is too large, cannot be read, or is not UTF-8.
    """
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise MarketError(
                f"the file has {size:,} bytes",
                file=str(display_path(path)),
                remedy=f"an experiment file may have at most {MAX_FILE_BYTES:,}",
            )
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise MarketError(
            f"the file is not text in UTF-8 (byte {error.start})",
            file=str(display_path(path)),
            remedy="save it as UTF-8",
        ) from None
    except OSError as error:
        raise MarketError(
            f"cannot read the file ({error.strerror})",
            file=str(display_path(path)),
            remedy="check its permissions",
        ) from None
