"""TOML text: tables read from it and written to it, and the line of each key."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from typing import Any

from market_abm.errors import SettingError, clip

MAX_DEPTH = 100
"""How deep tables may be nested."""

_LONG_KEY = re.compile(r"""(?<![\w.-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){100}""")

# --- reading -------------------------------------------------------------------------------------


def tables_of(text: str) -> dict[str, Any]:
    """The tables of a TOML text.

    Raises
    ------
    SettingError
        The text is not valid TOML; names the line.
    """
    long_key = _LONG_KEY.search(text)  # of which the parser copies every beginning
    if long_key:
        raise _too_deep(text.count("\n", 0, long_key.start()) + 1)
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


def check_depth(tables: Mapping[str, Any]) -> None:
    """Refuse tables in tables that are too deep for the functions that walk through them.

    Raises
    ------
    SettingError
        They are.
    """
    level: list[Any] = [tables]
    for _ in range(MAX_DEPTH):
        inside = (part.values() if isinstance(part, Mapping) else part for part in level)
        level = [each for part in inside for each in part if isinstance(each, Mapping | list)]
    if level:
        raise _too_deep(None)


def _too_deep(line: int | None) -> SettingError:
    return SettingError(
        f"tables are nested more than {MAX_DEPTH} deep",
        line=line,
        remedy="write keys of a few parts, such as supply.wheat.quantity",
    )


def parse_assignment(assignment: str) -> tuple[str, Any]:
    """Key and value of ``key=value``, a setting on a command line.

    The value is read as TOML, or else as a number such as ``.5``, or else as text.

    Raises
    ------
    SettingError
        There is no key, or no ``=``.
    """
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
        return key.strip(), float(value)
    except ValueError:
        return key.strip(), value.strip()


# --- writing -------------------------------------------------------------------------------------


def toml_text(tables: Mapping[str, Any]) -> str:
    """Nested tables as a TOML text that reads back as the same; None is left out."""
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
    """A string, number, boolean or list of them as TOML."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(toml_value(each) for each in value)}]"
    if not isinstance(value, str):
        return str(value).lower() if isinstance(value, bool) else repr(value)
    plain = all(character.isprintable() or character == "\n" for character in value)
    if "\n" in value and plain and "'''" not in value and not value.endswith("'"):
        return f"'''\n{value}'''"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


# --- lines of keys -------------------------------------------------------------------------------


def key_lines(text: str) -> dict[str, int]:
    """The line, from 1, of each dotted key and table of a TOML text."""
    places: dict[str, int] = {}
    table, quote = "", ""
    for number, line in enumerate(text.splitlines(), 1):
        if quote:
            quote = "" if quote in line else quote
            continue
        header = re.match(r"\s*\[\[?([^\]]*)\]", line)
        key = re.match(
            r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"))*)\s*=""", line
        )
        if header:
            table = _plain(header.group(1))
            places.setdefault(table, number)
        elif key:
            plain = _plain(key.group(1))
            places.setdefault(f"{table}.{plain}" if table else plain, number)
            for mark in ('"""', "'''"):
                if line.count(mark) == 1:
                    quote = mark
    return places


def _plain(key: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in key.split("."))


def program_offset(text: str, line: int) -> int:
    """What to add to a line of the program, which begins on ``line``, to get one of the text."""
    opening = text.splitlines()[line - 1].split("=", 1)[1].strip()
    return line if opening in ('"""', "'''") else line - 1
