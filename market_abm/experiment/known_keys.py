"""The keys that the tables of an experiment file may have, by the settings that read them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from market_abm.economy.from_table import TableSettings
from market_abm.economy.households import Household
from market_abm.economy.taxes import Tax
from market_abm.economy.terms import Demand, FirmPopulation, Supply
from market_abm.errors import SettingError, nearest
from market_abm.experiment.settings import ProgramSettings, RecordSettings, RunSettings
from market_abm.fields import Settings
from market_abm.keys import key_parts, quoted
from market_abm.market.mechanisms.registry import MECHANISMS

_OF_MARKETS = tuple(mechanism.Settings for mechanism in MECHANISMS.values())

SINGLE: dict[str, tuple[type[Settings], ...]] = {
    "economy": (ProgramSettings, TableSettings),
    "industries": (FirmPopulation,),
    "market": _OF_MARKETS,
    "run": (RunSettings,),
    "record": (RecordSettings,),
}
"""The tables whose keys are settings, and the classes of these."""

OF_SEVERAL: dict[str, tuple[type[Settings], ...]] = {
    "supply": (Supply,),
    "demand": (Demand,),
    "industries": (FirmPopulation,),
    "taxes": (Tax,),
    "households": (Household,),
    "mechanisms": _OF_MARKETS,
}
"""The tables of tables, one for each good, tax or mechanism."""

TOP = (
    "question",
    "economy",
    "reuse",
    "supply",
    "demand",
    "industries",
    "taxes",
    "households",
    "market",
    "mechanisms",
    "run",
    "record",
    "own_rates",
    "sweep",
    "shocks",
)
"""The top-level keys of an experiment file: the question, the tables, and the list of shocks."""


def check_names(tables: Mapping[str, Any]) -> None:
    """Refuse top-level keys that do not exist, and keys that belong to another table.

    Raises
    ------
    SettingError
        Names the key, and where it belongs.
    """
    for key in tables:
        if key not in TOP:
            raise _unknown(key, [*_goods(tables, key), *_homes(key), *_homes_of_goods(key)])
    for table, classes in SINGLE.items():
        own, given = _keys(classes), tables.get(table, {})
        for key, value in given.items() if isinstance(given, Mapping) else ():
            if key not in own and not isinstance(value, Mapping) and _homes(key):
                raise _unknown(f"{table}.{key}", _homes(key))


def _unknown(full: str, homes: Sequence[str]) -> SettingError:
    remedy = f"did you mean '{homes[0]}'?" if homes else nearest(full, TOP)
    return SettingError(f"unknown key '{full}'", remedy=remedy, name=full)


def _goods(tables: Mapping[str, Any], good: str) -> list[str]:
    """The tables of a good, by dotted key."""
    named = ((table, tables.get(table)) for table in ("supply", "demand", "industries"))
    return [
        f"{t}.{quoted(good)}" for t, goods in named if isinstance(goods, dict) and good in goods
    ]


def _homes(key: str) -> list[str]:
    return [f"{table}.{key}" for table, classes in SINGLE.items() if key in _keys(classes)]


def _homes_of_goods(key: str) -> list[str]:
    return [f"{t}.GOOD.{key}" for t in ("demand", "supply") if key in _keys(OF_SEVERAL[t])]


def _keys(classes: tuple[type[Settings], ...]) -> dict[str, str]:
    """The keys of settings, each with the kind of its value."""
    fields = (field for each in classes for field in dataclasses.fields(each))  # type: ignore[arg-type]
    return {field.name: field.metadata["kind"] for field in fields}


def is_whole(key: str) -> bool:
    """Whether the values of a dotted key are integers."""
    try:
        table, *between, last = key_parts(key)
    except (SettingError, ValueError):  # any name of an axis
        return False
    classes = (OF_SEVERAL if between else SINGLE).get(table, ())
    return _keys(classes).get(last) == "integer"
