"""An experiment file (TOML) becomes an experiment, and an experiment is run.

The only module that knows both the market and the analysis: it lets the market trade, and has a
witness watch it from outside.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from market_abm.economy.economy import REUSE, Economy
from market_abm.economy.from_table import TableSettings
from market_abm.economy.program import from_text
from market_abm.economy.terms import FirmPopulation
from market_abm.errors import MarketError, SettingError, nearest
from market_abm.experiment.files import (
    key_parts,
    quoted,
)
from market_abm.experiment.settings import ProgramSettings, RecordSettings, RunSettings, check_table
from market_abm.fields import (
    check_choice,
    check_whole,
)
from market_abm.market.base import MarketSettings
from market_abm.market.mechanisms.registry import (
    MECHANISMS,
    all_keys,
    default_mechanism,
    keys_of,
    read_market,
)

if TYPE_CHECKING:
    pass


def split_settings(settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """``settings`` sorted into keys of [market] and keys of [run]."""
    market = set(all_keys())
    rest = {f.name for f in dataclasses.fields(RunSettings)}
    for key in settings:
        if key not in market | rest:
            raise SettingError(
                f"unknown setting '{key}'", remedy=nearest(key, market | rest), name=key
            )
    return (
        {k: v for k, v in settings.items() if k in market},
        {k: v for k, v in settings.items() if k in rest},
    )


_TOP = (
    "question",
    "economy",
    "reuse",
    "supply",
    "demand",
    "industries",
    "market",
    "mechanisms",
    "run",
    "record",
    "sweep",
    "shocks",
)


SHOCKABLE = ("economy.parameters", "supply", "demand", "industries")
"""The tables whose numbers a shock may change."""


def read_tables(tables: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The parts of an experiment, by name, that the tables of a file in ``folder`` describe."""
    for key in tables:
        if key not in _TOP:
            raise SettingError(f"unknown key '{key}'", remedy=nearest(key, _TOP), name=key)
    question = tables.get("question", "")
    if not isinstance(question, str):
        raise SettingError("question is not text", remedy="put it in quotes", name="question")
    table = {key: check_table(tables.get(key, {}), key) for key in _TOP[1:-1]}
    made_of = _made_of(table["economy"])
    market = read_market(table["market"])
    for name in table["mechanisms"]:
        market_under(table["market"], table["mechanisms"], name)
    run = RunSettings.of(table["run"], "run")
    record = RecordSettings.of(table["record"], "record")
    economy = _economy(table, run.seed, folder)
    common = {k: v for k, v in table["industries"].items() if not isinstance(v, Mapping)}
    single = {k: v for k, v in table["industries"].items() if isinstance(v, Mapping)}
    changes, shocks = _changes(tables, economy, run.seed, folder)
    return {
        "economy": economy,
        "market": market,
        "run": run,
        "record": record,
        "sweep": table["sweep"],
        "changes": changes,
        "question": question,
        "configuration": {
            "question": question,
            "economy": dataclasses.asdict(made_of),
            "reuse": table["reuse"],
            "supply": {k: dataclasses.asdict(v) for k, v in economy.supply.items()},
            "demand": {k: dataclasses.asdict(v) for k, v in economy.demand.items()},
            "industries": dataclasses.asdict(FirmPopulation.of(common, "industries")) | single,
            "market": dataclasses.asdict(market),
            **({"mechanisms": table["mechanisms"]} if table["mechanisms"] else {}),
            "run": dataclasses.asdict(run),
            "record": dataclasses.asdict(record),
            "shocks": shocks,
        },
    }


def _made_of(economy: Mapping[str, Any]) -> ProgramSettings | TableSettings:
    """What the table ``[economy]`` says: a program, or an input-output table."""
    if "input_output" not in economy:
        return ProgramSettings.of(economy, "economy")
    if "program" in economy:
        raise SettingError(
            "the economy has a program and an input-output table",
            remedy="leave one out: economy.program, or economy.input_output",
            name="economy.program",
        )
    return TableSettings.of(economy, "economy")


def _economy(tables: Mapping[str, Any], seed: int, folder: Path) -> Economy:
    """The economy that the tables of a file in ``folder`` describe."""
    made_of = _made_of(tables["economy"])
    industries = tables.get("industries", {})
    for good, kind in tables.get("reuse", {}).items():
        check_choice(kind, f"reuse.{good}", REUSE)
    options = {
        "supply": tables.get("supply", {}),
        "demand": tables.get("demand", {}),
        "reuse_of": tables.get("reuse", {}),
        "population": {k: v for k, v in industries.items() if not isinstance(v, Mapping)},
        "population_of": {k: v for k, v in industries.items() if isinstance(v, Mapping)},
        "seed": seed,
    }
    if isinstance(made_of, TableSettings):
        return made_of.economy(folder, **options)
    economy = from_text(
        made_of.program, parameters=made_of.parameters, reuse=made_of.reuse, **options
    )
    read = {name for i in economy.industries for name in i.technology.parameters}
    for name in made_of.parameters:
        if name not in read:
            raise SettingError(
                f"no line of the program reads the parameter '{name}'",
                remedy=nearest(name, read) if read else "leave it out",
                name=f"economy.parameters.{quoted(name)}",
            )
    return economy


def _changes(
    tables: Mapping[str, Any], first: Economy, seed: int, folder: Path
) -> tuple[tuple[tuple[int, Economy], ...], list[dict[str, Any]]]:
    """The economies that shocks lead to, one after another, and the shocks in full."""
    shocks = tables.get("shocks", [])
    if not isinstance(shocks, list) or not all(isinstance(each, Mapping) for each in shocks):
        raise SettingError("shocks is no list of tables", remedy="write [[shocks]]", name="shocks")
    told = []
    for shock in shocks:
        if "step" not in shock:
            raise SettingError("a shock has no step", remedy="write step = ...", name="shocks")
        settings = dict(_flat({key: shock[key] for key in shock if key != "step"}))
        for key in settings:
            if not key.startswith(tuple(f"{table}." for table in SHOCKABLE)):
                raise SettingError(
                    f"a shock cannot change '{key}'",
                    remedy=f"it can change numbers under {', '.join(SHOCKABLE)}",
                    name="shocks",
                )
        told.append({"step": check_whole(shock["step"], "shocks.step", low=1), **settings})
    told.sort(key=lambda shock: shock["step"])
    now = copy.deepcopy({key: tables[key] for key in tables if key != "shocks"})
    changes = []
    for shock in told:
        for key, value in shock.items():
            if key != "step":
                override(now, key, value)
        try:
            economy = _economy(now, seed, folder)
        except MarketError as error:
            error.what = f"the shock at step {shock['step']}: {error.what}"
            error.name, error.line = "shocks", None
            raise
        changes.append((shock["step"], _with_references_of(first, economy)))
    return tuple(changes), told


def _with_references_of(first: Economy, economy: Economy) -> Economy:
    """``economy`` with demand around what ``first`` makes at its start, where it names no other."""
    from market_abm.gradient.backprop import references

    if all(terms.quantity is not None for terms in economy.demand.values()):
        return economy
    try:
        made = references(first)
    except MarketError:  # a loop that does not settle: its demand has references of its own
        return economy
    return dataclasses.replace(
        economy,
        demand={
            good: terms
            if terms.quantity is not None
            else dataclasses.replace(terms, quantity=float(quantity))
            for (good, terms), quantity in zip(economy.demand.items(), made, strict=True)
        },
    )


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The entries of nested tables by their dotted names; those of the first may be dotted."""
    for key, value in table.items():
        name = prefix + quoted(key) if prefix else key
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}.")
        else:
            yield name, value


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
    if name not in MECHANISMS:
        return dict(overrides)
    foreign = {f"market.{key}" for key in set(all_keys()) - set(keys_of(name))}
    return {key: value for key, value in overrides.items() if key not in foreign}


def override_all(tables: dict[str, Any], overrides: Mapping[str, Any]) -> None:
    """Set keys of nested tables by their dotted names.

    Where another mechanism is chosen, what the file says of its own is left out (:func:`switched`);
    the other overrides come after that.
    """
    name = overrides.get("market.mechanism")
    if name is not None:
        market = check_table(tables.get("market", {}), "market")
        mechanisms = check_table(tables.get("mechanisms", {}), "mechanisms")
        tables["market"] = switched(market, mechanisms, name)
    for key, value in overrides.items():
        override(tables, key, copy.deepcopy(value))  # another may change a part of it


def override(tables: dict[str, Any], key: str, value: Any) -> None:
    *path, last = key_parts(key)
    table = tables
    for part in path:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise SettingError(
                f"unknown key '{key}'", remedy=f"'{part}' has no keys of its own", name=key
            )
    table[last] = value
