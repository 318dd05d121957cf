"""Dotted keys of nested tables: ``supply.wheat.quantity``, ``industries."10.1".firms``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from market_abm.errors import SettingError


def quoted(part: str) -> str:
    """One part of a dotted key, in quotes if there is a dot in it."""
    return f'"{part}"' if "." in part else part


def key_parts(key: str) -> list[str]:
    """The parts of a dotted key; a dot in quotes does not separate."""
    outside = r'\.(?=(?:[^"]*"[^"]*")*[^"]*$)'  # an even number of quotes follows
    return [part.strip('"') for part in re.split(outside, key)]


def set_key(tables: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted key of nested tables in place; tables that do not exist yet are added.

    Raises
    ------
    SettingError
        Part of the key names a value, not a table.
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
