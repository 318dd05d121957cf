"""Settings in the words of a figure's axis: share rate κ, demand elasticity ε of bread."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from market_abm.economy.from_table import SUBSTITUTION
from market_abm.economy.households import Household
from market_abm.economy.terms import Demand, FirmPopulation, Supply
from market_abm.errors import MarketError
from market_abm.experiment.settings import RunSettings
from market_abm.fields import Settings, describe
from market_abm.keys import key_parts
from market_abm.market.mechanisms.registry import MECHANISMS

GREEK = {
    unicodedata.name(letter).split()[-1].lower().replace("lamda", "lambda"): letter
    for letter in "αβγδεζηθικλμνξοπρστυφχψω"
}
"""Letters by their names, as a program's parameters are called."""

TABLES: dict[str, tuple[type[Settings], ...]] = {
    "supply": (Supply,),
    "demand": (Demand,),
    "industries": (FirmPopulation,),
    "households": (Household,),
    "market": tuple(rules.Settings for rules in MECHANISMS.values()),
    "run": (RunSettings,),
}
"""The settings of each table of a file; of ``market``, those of every mechanism."""


def setting_label(key: str) -> str:
    """A setting in words, with its symbol and unit; any other name as it is.

    Parameters
    ----------
    key
        A dotted key, or the name that a sweep's axis was given.
    """
    try:
        *path, name = key_parts(key)
    except MarketError:
        return key
    table, whose = "".join(path[:1]), path[1:]
    if (table, whose) == ("economy", ["parameters"]):
        return f"{_words(name)} σ" if name == SUBSTITUTION else f"parameter {GREEK.get(name, name)}"
    if table == "market":  # with tables of its own
        whose, own = [], ".".join([*whose, name])
    else:
        own = name
    if table == "taxes" and len(whose) == 1:
        return f"{_words(name)} of the tax {whose[0]}"
    if table == "households" and whose[1:] == ["endowment"]:
        return f"endowment of {whose[0]} (units of {name})"
    known = _symbol_and_unit(table, own)
    if known is None or len(whose) > 1:
        return key
    symbol, unit = known
    words = f"{table} {_words(name)}" if table in ("supply", "demand") else _words(name)
    if name == "firms" and not whose:
        words = "firms per industry"
    owner = f" of {whose[0]}" if whose else ""
    return f"{words}{symbol and ' ' + symbol}{owner}{unit and f' ({unit})'}"


def _words(name: str) -> str:
    return name.replace("_", " ")


@cache
def _symbol_and_unit(table: str, name: str) -> tuple[str, str] | None:
    """What the meaning of a key begins with, if all settings that have it agree; and its unit."""
    found = {
        (symbol[1] if (symbol := re.match(r"(\S{1,2})[:,] ", each.help)) else "", each.unit)
        for settings in TABLES.get(table, ())
        for each in describe(settings)
        if each.key == name
    }
    if not found:
        return None
    return found.pop() if len(found) == 1 else ("", "")
