"""The table ``[market]`` under another mechanism, and overrides that choose one."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from market_abm.errors import SettingError, nearest
from market_abm.experiment.settings import check_table
from market_abm.fields import check_choice
from market_abm.keys import key_parts, set_key
from market_abm.market.base import MarketSettings
from market_abm.market.mechanisms.registry import (
    MECHANISMS,
    all_keys,
    check_keys_of,
    default_mechanism,
    keys_of,
    read_market,
)


def market_under(
    market: Mapping[str, Any], mechanisms: Mapping[str, Any], name: str
) -> MarketSettings:
    """The settings of the table ``[market]`` under the mechanism ``name``.

    Keys of its own mechanism that the other does not have are left out, and those in
    ``[mechanisms.NAME]`` are set.

    Raises
    ------
    SettingError
        There is no such mechanism, or a key of it is unknown or not allowed.
    """
    check_choice(name, "market.mechanism", MECHANISMS)
    return read_market(switched(market, mechanisms, name), "market")


def check_mechanisms(mechanisms: Mapping[str, Any]) -> None:
    """Check the tables ``[mechanisms.NAME]``.

    Raises
    ------
    SettingError
        There is no such mechanism, or a key of it is unknown or not allowed.
    """
    for name, own in mechanisms.items():
        where = f"mechanisms.{name}"
        if name not in MECHANISMS:
            raise SettingError(
                f"there is no mechanism '{name}'", remedy=nearest(name, MECHANISMS), name=where
            )
        keys = check_table(own, where)
        check_keys_of(name, keys, where)
        MECHANISMS[name].Settings.of({"mechanism": name, **keys}, where)


def switched(market: Mapping[str, Any], mechanisms: Mapping[str, Any], name: Any) -> dict[str, Any]:
    """The table ``[market]`` for another mechanism, see :func:`market_under`."""
    own = market.get("mechanism", default_mechanism())
    if name == own or name not in MECHANISMS or own not in MECHANISMS:
        return {**market, "mechanism": name}
    dropped = set(keys_of(own)) - set(keys_of(name))
    kept = {key: value for key, value in market.items() if key not in dropped}
    return {
        **kept,
        **check_table(mechanisms.get(name, {}), f"mechanisms.{name}"),
        "mechanism": name,
    }


def compatible(overrides: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Earlier ``overrides`` without keys of ``[market]`` that a new mechanism does not have."""
    name = settings.get("market.mechanism")
    if not isinstance(name, str) or name not in MECHANISMS:
        return dict(overrides)
    foreign = [["market", key] for key in set(all_keys()) - set(keys_of(name))]
    return {key: value for key, value in overrides.items() if key_parts(key)[:2] not in foreign}


def override_all(tables: dict[str, Any], overrides: Mapping[str, Any]) -> None:
    """Set keys of nested tables by their dotted names.

    Where another mechanism is chosen, what the file says of its own is left out (:func:`switched`);
    the other overrides come after that.
    """
    name = overrides.get("market.mechanism")
    if isinstance(name, str):
        market = check_table(tables.get("market", {}), "market")
        mechanisms = check_table(tables.get("mechanisms", {}), "mechanisms")
        tables["market"] = switched(market, mechanisms, name)
    for key, value in overrides.items():
        set_key(tables, key, copy.deepcopy(value))  # another may change a part of it
