"""The mechanisms by name: one file each in this folder, and one entry here.

Code that needs a mechanism takes it from its settings (``settings.rules``), and does not test its
name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from market_abm.economy.economy import Economy
from market_abm.errors import SettingError, nearest
from market_abm.fields import check_choice
from market_abm.market.arrays import ArrayEngine
from market_abm.market.base import MarketSettings, Mechanism
from market_abm.market.dated_arrays import DatedArrayEngine
from market_abm.market.incomes import check_closed, check_settings
from market_abm.market.mechanisms.excess_demand import ExcessDemand
from market_abm.market.mechanisms.posted_price import PostedPrice
from market_abm.market.mechanisms.tatonnement import Tatonnement
from market_abm.market.mechanisms.trading_post import TradingPost
from market_abm.market.mechanisms.unit_bid import UnitBid

MECHANISMS: dict[str, type[Mechanism]] = {
    "unit-bid": UnitBid,
    "trading-post": TradingPost,
    "tatonnement": Tatonnement,
    "posted-price": PostedPrice,
    "excess-demand": ExcessDemand,
}
"""All mechanisms by name, the default first."""


def default_mechanism() -> str:
    """The name of the default mechanism."""
    return next(iter(MECHANISMS))


def market_settings(mechanism: str | None = None, **keys: Any) -> MarketSettings:
    """The settings of a market under a mechanism.

    Parameters
    ----------
    mechanism
        One of ``MECHANISMS``, by default ``unit-bid``.
    keys
        Keys of ``[market]``, such as ``activation``, ``lag`` and those of the mechanism.

    Raises
    ------
    SettingError
        A key is unknown or belongs to another mechanism, or its value is not allowed.
    """
    return read_market(keys if mechanism is None else {"mechanism": mechanism, **keys})


def read_market(given: Mapping[str, Any] | MarketSettings, where: str = "market") -> MarketSettings:
    """The settings in a table ``[market]``.

    Parameters
    ----------
    given
        The table, or settings, which are returned as they are.
    where
        The name of the table, for messages.

    Raises
    ------
    SettingError
        A key is unknown or belongs to another mechanism, or its value is not allowed.
    """
    if isinstance(given, MarketSettings):
        return given
    name = given.get("mechanism", default_mechanism())
    check_choice(name, f"{where}.mechanism", MECHANISMS)
    check_keys_of(name, given, where)
    if given.get("dating") == "dated" and not MECHANISMS[name].bids_form_prices:
        others = [f'"{each}"' for each, rules in MECHANISMS.items() if rules.bids_form_prices]
        raise SettingError(
            f'{where}.dating is "dated" with mechanism "{name}"',
            remedy=f'use {" or ".join(others)}, where bids form prices, or dating = "spot"',
            name=f"{where}.dating",
        )
    return MECHANISMS[name].Settings.of(given, where)


def check_budgets(economy: Economy, settings: MarketSettings) -> None:
    """Refuse households where a market cannot carry their budgets.

    Raises
    ------
    MarketError
        Says why not, and which mechanisms can.
    """
    if not economy.households:
        return
    why = settings.rules.no_budgets
    if why:
        others = [f'"{name}"' for name, rules in MECHANISMS.items() if not rules.no_budgets]
        raise SettingError(
            f'mechanism "{settings.mechanism}" has no households: {why}',
            remedy=f"set market.mechanism = {' or '.join(others)}",
            name="market.mechanism",
        )
    check_settings(settings)
    check_closed(economy)


def check_keys_of(mechanism: str, keys: Iterable[str], where: str) -> None:
    """Refuse keys that a mechanism does not have, and say whose they are.

    Parameters
    ----------
    mechanism
        One of ``MECHANISMS``.
    keys
        The keys of a table.
    where
        The name of the table, for messages.

    Raises
    ------
    SettingError
        A key is unknown or belongs to another mechanism.
    """
    own = keys_of(mechanism)
    for key in keys:
        if key in own:
            continue
        owners = [other for other in MECHANISMS if key in keys_of(other)]
        if owners:
            names = " and ".join(f'"{owner}"' for owner in owners)
            raise SettingError(
                f"'{where}.{key}' is a key of mechanism {names}, "
                f'and the mechanism is "{mechanism}"',
                remedy=f"leave it out, or write it under [mechanisms.{owners[0]}]",
                name=f"{where}.{key}",
            )
        raise SettingError(
            f"unknown key '{where}.{key}'",
            remedy=nearest(f"{where}.{key}", [f"{where}.{each}" for each in own]),
            name=f"{where}.{key}",
        )


def keys_of(mechanism: str) -> tuple[str, ...]:
    """The keys of the table ``[market]`` under a mechanism."""
    return tuple(field.name for field in dataclasses.fields(MECHANISMS[mechanism].Settings))


def all_keys() -> tuple[str, ...]:
    """The keys of the table ``[market]`` under all mechanisms."""
    return tuple(dict.fromkeys(key for name in MECHANISMS for key in keys_of(name)))


def array_market(
    economies: Sequence[Economy], settings: Sequence[MarketSettings], seeds: Sequence[int]
) -> ArrayEngine:
    """The array engine of runs of ``economies`` under ``settings``.

    Parameters
    ----------
    economies, settings, seeds
        One entry for each run; all settings are of one mechanism.

    Raises
    ------
    MarketError
        The mechanism cannot run the economy, or the activation is ``random``.
    """
    check_budgets(economies[0], settings[0])
    rules = settings[0].rules
    engine = rules.household_engine() if economies[0].households else rules.array_engine()
    engine = DatedArrayEngine if settings[0].dated else engine
    market: ArrayEngine = engine(economies, settings, seeds)
    return market
