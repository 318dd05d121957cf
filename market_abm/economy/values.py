"""Other values of an economy's numbers: parameters, terms of supply and demand, firms.

The values are given by dotted key, as in an experiment file; the parts of the economy that they
concern are constructed anew, with the checks of a new economy, and all others are kept.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from market_abm.economy.by_pattern import ByPattern
from market_abm.economy.checks import check_demand, check_keys, check_numeraire, check_supply
from market_abm.economy.households import (
    changed_households,
    check_supply_of_owned,
    endowments,
    renewed_supply,
    with_endowments,
)
from market_abm.economy.industry import Industry
from market_abm.economy.taxes import changed_taxes
from market_abm.economy.terms import Demand, FirmPopulation, Supply
from market_abm.errors import SettingError, nearest
from market_abm.fields import check_number
from market_abm.keys import flattened, key_parts, quoted, set_key

NUMERAIRE = "economy.numeraire"
"""What can be changed like a number, but not by a shock: the unit of account of a whole run."""

TABLES = ("economy.parameters", "supply", "demand", "industries", "taxes", "households")
"""The tables that hold the numbers of an economy."""

Terms = TypeVar("Terms", Supply, Demand)


def is_value_key(key: str) -> bool:
    """Whether a dotted key is one of a number of an economy."""
    return key.startswith(tuple(f"{table}." for table in TABLES))


def changed_values(economy: Any, values: Mapping[str, Any]) -> Any:
    """An ``Economy`` with other values (see :meth:`Economy.with_values`).

    Raises
    ------
    MarketError
        A key is unknown, or a value is out of range.
    """
    industries, supply, demand = economy.industries, economy.supply, economy.demand
    households = economy.households
    tables: dict[str, Any] = {}
    for key, value in flattened(values):
        if not is_value_key(key) and key != NUMERAIRE:
            raise SettingError(
                f"'{key}' is not a number of the economy",
                remedy=f"choose a key under {', '.join(TABLES)}",
                name=key,
            )
        set_key(tables, key, value)
    of_all = {"numeraire": economy.numeraire, **tables.get("economy", {})}
    parameters = of_all.get("parameters", {})
    if parameters:
        industries = _with_parameters(industries, parameters)
    made = {industry.good: industry for industry in industries}
    patterns = ByPattern(_read_by(industries) if any("[" in key for key in values) else {})
    if "households" in tables:
        households = changed_households(households, tables["households"], industries)
    of_supply = patterns.entries(tables.get("supply", {}), list(supply), "supply", Supply)
    of_demand = patterns.entries(tables.get("demand", {}), list(demand), "demand", Demand)
    if of_supply:
        check_supply_of_owned(of_supply, endowments(households))
        check_supply({**supply, **of_supply}, list(supply), made)
    if of_demand:
        check_demand(of_demand, [good for good in demand if good not in households], made)
    if "industries" in tables:
        given = patterns.entries(tables["industries"], list(made), "industries", FirmPopulation)
        industries = _with_all_firms(industries, given, economy.seed)
    supply = _with_terms(Supply, supply, of_supply, "supply")
    if households is not economy.households:
        industries = with_endowments(industries, households)
        supply = renewed_supply(supply, households)
    return dataclasses.replace(
        economy,
        industries=tuple(industries),
        supply=supply,
        demand=_with_terms(Demand, demand, of_demand, "demand"),
        households=households,
        taxes=changed_taxes(economy.taxes, tables.get("taxes", {})),
        numeraire=check_numeraire(of_all["numeraire"], [*supply, *made], households),
    )


def _read_by(industries: Iterable[Industry]) -> dict[str, float]:
    """The parameters that lines read, with their values."""
    return {name: value for i in industries for name, value in i.technology.parameters.items()}


def check_not_fixed(values: Mapping[str, Any], fixed: Collection[str]) -> None:
    """Refuse other values of parameters by which lines were made.

    Raises
    ------
    SettingError
        Names the parameter.
    """
    for key, _ in flattened(values) if fixed else ():
        table, *between, name = key_parts(key)
        if table == "economy" and between == ["parameters"] and name in fixed:
            raise SettingError(
                f"the parameter '{name}' is in indices, bounds of loops or formulas of patterns",
                remedy="set it in the file or with --set; it cannot change in a run",
                name=key,
            )


def drawn_again(industries: Iterable[Industry], seed: int) -> tuple[Industry, ...]:
    """The industries of an economy with another seed."""
    return tuple(
        industry
        if industry.household
        else industry.with_firms(
            industry.population,
            {key: getattr(industry.population, key) for key in industry.own_keys},
            (seed, k),
        )
        for k, industry in enumerate(industries)
    )


def check_parameters_are_read(names: Iterable[str], industries: Iterable[Industry]) -> None:
    """Refuse a parameter that no line reads.

    Raises
    ------
    SettingError
        Names the parameter, and the one that may be meant.
    """
    read = {name for industry in industries for name in industry.technology.parameters}
    for name in names:
        if name not in read:
            raise SettingError(
                f"no line of the program reads the parameter '{name}'",
                remedy=nearest(name, read) if read else "leave it out",
                name=f"economy.parameters.{quoted(name)}",
            )


def _with_parameters(
    industries: Sequence[Industry], given: Mapping[str, Any]
) -> tuple[Industry, ...]:
    values = {
        name: check_number(value, f"economy.parameters.{name}") for name, value in given.items()
    }
    check_parameters_are_read(values, industries)
    return tuple(_with_own_parameters(industry, values) for industry in industries)


def _with_own_parameters(industry: Industry, values: Mapping[str, float]) -> Industry:
    """The industry with the values of those parameters that its line reads."""
    now = industry.technology.parameters
    if not values.keys() & now.keys():
        return industry
    parameters = {name: values.get(name, value) for name, value in now.items()}
    technology = industry.technology.with_parameters(parameters)
    technology.check_parameters()
    return dataclasses.replace(industry, technology=technology)


def _with_all_firms(
    industries: Sequence[Industry], given: Mapping[str, Any], seed: int
) -> tuple[Industry, ...]:
    own = {good: keys for good, keys in given.items() if isinstance(keys, Mapping)}
    common = {key: value for key, value in given.items() if key not in own}
    firms = [industry.good for industry in industries if not industry.household]
    check_keys("industries", "industry or key", own, firms)
    for keys in (common, *own.values()):
        _refuse_series(keys, "industries")
    FirmPopulation.of(common, "industries")  # checks the keys
    return tuple(
        industry
        if industry.household
        else _with_firms(industry, common, own.get(industry.good, {}), (seed, k))
        for k, industry in enumerate(industries)
    )


def _with_firms(
    industry: Industry, common: Mapping[str, Any], own: Mapping[str, Any], seed: tuple[int, int]
) -> Industry:
    """The industry with its firms drawn again, if any of their settings is given."""
    now = dataclasses.asdict(industry.population)
    kept = {key: now[key] for key in industry.own_keys}
    common = {key: value for key, value in common.items() if key not in own and key not in kept}
    if not common and not own:
        return industry
    population = FirmPopulation.of({**now, **common}, f"industries.{industry.good}")
    return industry.with_firms(population, {**kept, **own}, seed)


def _refuse_series(keys: Mapping[str, Any], where: str) -> None:
    for key in ("series", "column"):
        if key in keys:
            raise SettingError(
                f"{where}.{key} is data, not a number that can be changed",
                remedy="write all numbers of the run into one series",
                name=f"{where}.{key}",
            )


def _with_terms(
    kind: type[Terms], now: Mapping[str, Terms], given: Mapping[str, Any], table: str
) -> dict[str, Terms]:
    """Terms of all goods; a value for the good itself is its first key, others are by default."""
    terms = dict(now)
    for good, value in given.items():
        where = f"{table}.{good}"
        keys = isinstance(value, Mapping)
        if keys:
            _refuse_series(value, where)
        terms[good] = now[good].with_keys(value, where) if keys else kind.of(value, where)
    return terms
