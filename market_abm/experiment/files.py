"""Experiment files: where they are, what is in them, and where in them it stands."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from market_abm.errors import MarketError, SettingError, clip, nearest, where_text

MAX_FILE_BYTES = 10_000_000
"""Bytes beyond which an experiment file is refused unread."""


def folders() -> list[Path]:
    """Where experiments are looked for by name: here, and beside or inside the package."""
    package = Path(__file__).parents[1]
    here = [Path("experiments"), package.parent / "experiments", package / "experiments"]
    found: dict[Path, Path] = {}
    for folder in here:
        if folder.is_dir():
            found.setdefault(folder.resolve(), folder)
    return list(found.values())


def available() -> dict[str, Path]:
    """The experiments at hand, by name, in alphabetical order."""
    paths = [path for folder in reversed(folders()) for path in folder.glob("*.toml")]
    return dict(sorted((path.stem, path) for path in paths))


def find(where: str | Path) -> Path:
    """The file that ``where`` names: a path, or the name of an experiment at hand."""
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
    """The text of a file, or a message."""
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise MarketError(
                f"the file has {size:,} bytes",
                file=str(where_text(path)),
                remedy=f"an experiment file may have {MAX_FILE_BYTES:,}",
            )
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise MarketError(
            f"the file is not text in UTF-8 (byte {error.start})",
            file=str(where_text(path)),
            remedy="save it as UTF-8",
        ) from None
    except OSError as error:
        raise MarketError(
            f"cannot read the file ({error.strerror})",
            file=str(where_text(path)),
            remedy="check its permissions",
        ) from None


def tables_of(text: str) -> dict[str, Any]:
    """The tables of a TOML text, or a message with the line."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        at = re.search(r"at line (\d+)", str(error))
        raise SettingError(
            f"not valid TOML ({error})",
            line=int(at.group(1)) if at else None,
            remedy="see https://toml.io for how to write it",
        ) from None
    except (RecursionError, ValueError):
        raise SettingError(
            "not valid TOML (a number is too long, or brackets are nested too deeply)",
            remedy="see https://toml.io for how to write it",
        ) from None


def parse_assignment(assignment: str) -> tuple[str, Any]:
    """``key=value`` from a command line; the value is read as TOML, or else taken as text."""
    key, equals, value = assignment.partition("=")
    if not equals or not key.strip():
        raise SettingError(
            f"cannot read the setting '{clip(assignment)}'",
            remedy="write key=value, such as market.share_rate=0.2",
        )
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except (ValueError, RecursionError):  # TOMLDecodeError is a ValueError
        pass
    try:
        return key.strip(), float(value)  # .5 is a number, too
    except ValueError:
        return key.strip(), value.strip()


def quoted(key: str) -> str:
    """One part of a dotted key as one writes it: in quotes if there is a dot in it."""
    return f'"{key}"' if "." in key else key


def key_parts(key: str) -> list[str]:
    """The parts of a dotted key; a dot in quotes does not part."""
    outside = r'\.(?=(?:[^"]*"[^"]*")*[^"]*$)'  # an even number of quotes follows
    return [part.strip('"') for part in re.split(outside, key)]


def toml_text(tables: Mapping[str, Any]) -> str:
    """Nested tables, as JSON holds them, as a TOML text that reads back as the same.

    None is left out: a setting that is not given.
    """
    return "\n".join(_toml_lines(tables, ())).lstrip() + "\n"


def _toml_lines(table: Mapping[str, Any], path: tuple[str, ...]) -> list[str]:
    """The keys of a table with single values, then its tables, then its lists of tables."""
    single, tables, lists = [], [], []
    for key, value in table.items():
        inside = (*path, key)
        if isinstance(value, Mapping):
            header = f"[{'.'.join(map(_toml_key, inside))}]"
            tables += ["", header, *_toml_lines(value, inside)]
        elif isinstance(value, list | tuple) and value and isinstance(value[0], Mapping):
            header = f"[[{'.'.join(map(_toml_key, inside))}]]"
            for each in value:
                lists += ["", header, *_toml_lines(each, inside)]
        elif value is not None:
            single.append(f"{_toml_key(key)} = {toml_value(value)}")
    return [*single, *tables, *lists]


def _toml_key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else toml_value(key)


def toml_value(value: Any) -> str:
    """One value as TOML: text, a number, true or false, or a list of such."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(toml_value(each) for each in value)}]"
    if not isinstance(value, str):
        return str(value).lower() if isinstance(value, bool) else repr(value)
    plain = all(character.isprintable() or character == "\n" for character in value)
    if "\n" in value and plain and "'''" not in value and not value.endswith("'"):
        return f"'''\n{value}'''"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


# --- where in the file ---------------------------------------------------------------------------


def key_lines(text: str) -> dict[str, int]:
    """The line, from 1, on which each dotted key or table of a TOML text is written."""
    places: dict[str, int] = {}
    table, quote = "", ""
    for number_, line in enumerate(text.splitlines(), 1):
        if quote:
            quote = "" if quote in line else quote
            continue
        header = re.match(r"\s*\[\[?([^\]]*)\]", line)
        key = re.match(
            r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"))*)\s*=""", line
        )
        if header:
            table = _plain(header.group(1))
            places.setdefault(table, number_)
        elif key:
            plain = _plain(key.group(1))
            places.setdefault(f"{table}.{plain}" if table else plain, number_)
            for mark in ('"""', "'''"):
                if line.count(mark) == 1:
                    quote = mark
    return places


def _plain(key: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in key.split("."))


def program_offset(text: str, line: int) -> int:
    """What to add to a line of the program, which begins on ``line``, to get one of the file."""
    opening = text.splitlines()[line - 1].split("=", 1)[1].strip()
    return line if opening in ('"""', "'''") else line - 1
