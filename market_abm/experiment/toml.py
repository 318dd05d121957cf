"""TOML text: tables read from it and written to it, and the line of each key."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Mapping
from typing import Any

from market_abm.errors import SettingError, clip
from market_abm.fields import decimal
from market_abm.keys import QUOTED, dotted, key_parts, quoted, quoted_text, split_key

MAX_DEPTH = 100
"""How deep tables may be nested."""

_LONG_KEY = re.compile(r"""(?<![\w.-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){100}""")

# --- reading -------------------------------------------------------------------------------------


def tables_of(text: str) -> dict[str, Any]:
    """The tables of a TOML text; letters with accents are composed, whatever keyboard wrote them.

    Raises
    ------
    SettingError
        The text is not valid TOML; names the line.
    """
    long_key = _LONG_KEY.search(text)  # of which the parser copies every beginning
    if long_key:
        raise _too_deep(text.count("\n", 0, long_key.start()) + 1)
    try:
        return tomllib.loads(composed(text))
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
    """Key (see ``keys.py``) and value of ``key=value``, a setting on a command line.

    Raises
    ------
    SettingError
        There is no key, or no ``=``.
    """
    named = assignment.partition("=")[0].strip()
    parts, rest = split_key(composed(assignment)) if named else ([], "")
    if not rest:
        raise SettingError(
            f"cannot read the setting '{clip(assignment)}'",
            remedy="write key=value, such as market.share_rate=0.2",
        )
    return dotted(parts), parse_value(rest[1:])


def parse_value(text: str) -> Any:
    """A value as TOML writes it, or else a number such as ``.5``, or else text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):  # TOMLDecodeError is a ValueError
        number = decimal(text)
        return text.strip() if number is None else number


def parse_values(text: str) -> list[Any]:
    """Values with commas between them; a comma in quotes or brackets separates none."""
    try:
        listed: list[Any] = tomllib.loads(f"values = [{text}]")["values"]
    except (ValueError, RecursionError):
        return [parse_value(part) for part in text.split(",")]
    return listed


def composed(text: str) -> str:
    """``text`` in Unicode's composed form (NFC), in which equal letters are equal.

    What came from a command line or a file's name is UTF-8, whatever the locale.
    """
    letters = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return unicodedata.normalize("NFC", letters)


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
            header = f"[{dotted(inside)}]"
            tables += ["", header, *_toml_lines(value, inside)]
        elif isinstance(value, list | tuple) and value and isinstance(value[0], Mapping):
            header = f"[[{dotted(inside)}]]"
            for each in value:
                lists += ["", header, *_toml_lines(each, inside)]
        elif value is not None:
            single.append(f"{quoted(key)} = {toml_value(value)}")
    return [*single, *tables, *lists]


def toml_value(value: Any) -> str:
    """A string, number, boolean or list of them as TOML."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(toml_value(each) for each in value)}]"
    if not isinstance(value, str):
        return str(value).lower() if isinstance(value, bool) else repr(value)
    plain = all(character.isprintable() or character == "\n" for character in value)
    if "\n" in value and plain and "'''" not in value and not value.endswith("'"):
        return f"'''\n{value}'''"
    return quoted_text(value)


# --- lines of keys -------------------------------------------------------------------------------


_PART = rf"(?:[\w-]+|{QUOTED})"
_KEY = rf"\s*({_PART}(?:\s*\.\s*{_PART})*)"
_HEADER = re.compile(rf"\s*\[\[?{_KEY}\s*\]")
_ASSIGNMENT = re.compile(rf"{_KEY}\s*=")


def key_lines(text: str) -> dict[str, int]:
    """The line, from 1, of each key and table of a TOML text, by :func:`plain_key`."""
    places: dict[str, int] = {}
    table, quote = "", ""
    for number, line in enumerate(text.split("\n"), 1):
        if quote:
            quote = "" if quote in line else quote
            continue
        header, key = _HEADER.match(line), _ASSIGNMENT.match(line)
        if header:
            table = plain_key(header.group(1))
            places.setdefault(table, number)
        elif key:
            plain = plain_key(key.group(1))
            places.setdefault(f"{table}.{plain}" if table else plain, number)
            for mark in ('"""', "'''"):
                if line.count(mark) == 1:
                    quote = mark
    return places


def plain_key(key: str) -> str:
    """A dotted key without quotes, as errors name it; the key itself if it cannot be read."""
    try:
        return ".".join(key_parts(composed(key)))
    except SettingError:
        return key


def program_offset(text: str, line: int) -> int:
    """What to add to a line of the program, which begins on ``line``, to get one of the text."""
    opening = text.split("\n")[line - 1].split("=", 1)[1].strip()
    return line if opening in ('"""', "'''") else line - 1
