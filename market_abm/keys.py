"""Dotted keys of nested tables: ``supply.wheat.quantity``, ``industries."10.1".firms``.

One rule of quoting for files, ``--set``, ``--shock`` and the axes of sweeps, TOML's: a part with
anything but letters, digits, ``_`` and ``-`` in it is put in quotes, ``"..."`` with backslash
escapes or ``'...'`` without. A part may also stand without quotes where nothing is ambiguous, that
is without ``=``, a quote at its start, and ``.`` outside of brackets: ``supply.x[0..4].quantity``.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from market_abm.errors import SettingError, clip, shown

QUOTED = r'"(?:[^"\\]|\\.)*"|' + r"'[^']*'"
"""A part in quotes, as a regular expression."""

_PART = re.compile(
    rf"\s*(?:(?P<quoted>{QUOTED})\s*(?=[.=]|\Z)|(?P<bare>[^.=\"'](?:\[[^][=]*\]|[^.=])*))",
    re.DOTALL,
)


def quoted(part: str) -> str:
    """One part of a dotted key, in quotes if TOML needs them."""
    return part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else quoted_text(part)


def quoted_text(text: str) -> str:
    """``text`` in quotes, as TOML writes it on one line."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def dotted(parts: Iterable[str]) -> str:
    """The dotted key of these parts; :func:`key_parts` is its inverse."""
    return ".".join(map(quoted, parts))


def normal_key(key: str) -> str:
    """A dotted key in its one spelling: with quotes where they are needed, and no spaces."""
    return dotted(key_parts(key))


def key_parts(key: str) -> list[str]:
    """The parts of a dotted key, without quotes.

    Raises
    ------
    SettingError
        A part is empty, or its quotes are not closed.
    """
    return list(_key_parts(key))


@lru_cache(maxsize=4096)
def _key_parts(key: str) -> tuple[str, ...]:
    parts, rest = split_key(key)
    if rest:
        raise _unreadable(key)
    return tuple(parts)


def split_key(text: str) -> tuple[list[str], str]:
    """The parts of the dotted key at the start of a text, and the rest: empty, or from ``=`` on.

    Raises
    ------
    SettingError
        As for :func:`key_parts`.
    """
    parts, place = [], 0
    while True:
        found = _PART.match(text, place)
        part = None if found is None else _unquoted(found)
        if found is None or part is None:
            raise _unreadable(text)
        parts.append(part)
        place = found.end()
        if text[place : place + 1] != ".":
            return parts, text[place:]
        place += 1


def _unquoted(found: re.Match[str]) -> str | None:
    """The text of a part; None if it has none."""
    if found["quoted"] is None:
        return found["bare"].strip() or None
    try:
        return str(tomllib.loads(f"part = {found['quoted']}")["part"])
    except tomllib.TOMLDecodeError:
        return None


def _unreadable(key: str) -> SettingError:
    return SettingError(
        f"cannot read the key '{clip(key)}'",
        remedy="separate its parts by dots, and put a part that has . = or quotes in it in quotes, "
        'such as industries."10.1".firms',
        name=key,
    )


def set_key(tables: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted key of nested tables in place; tables that do not exist yet are added.

    Raises
    ------
    SettingError
        The key cannot be read, or part of it names a value, not a table.
    """
    *path, last = key_parts(key)
    table = tables
    for part in path:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise SettingError(
                f"unknown key '{key}'", remedy=f"'{part}' has no keys of its own", name=key
            )
    table[last] = value


def flattened(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values of nested tables by dotted key; keys of the outermost may be dotted already."""
    for key, value in table.items():
        name = prefix + quoted(key) if prefix else key
        if isinstance(value, Mapping):
            yield from flattened(value, f"{name}.")
        else:
            yield name, value


def by_name(table: Any, name: str) -> Mapping[str, Any]:
    """``table`` if it is one of entries by name.

    Raises
    ------
    SettingError
        It is a list or a value.
    """
    if not isinstance(table, Mapping):
        raise SettingError(
            f"{name} is {shown(table)}", remedy=f"give each a name: [{name}.NAME]", name=name
        )
    return table
