"""The tables of an experiment file become the parts of an experiment."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from market_abm.economy.by_pattern import patterns_in
from market_abm.economy.economy import REUSE, Economy
from market_abm.economy.from_table import TableSettings
from market_abm.economy.households import endowments
from market_abm.economy.program import from_text
from market_abm.economy.read_series import as_table, read_series, with_source
from market_abm.economy.taxes import as_taxes
from market_abm.economy.terms import FirmPopulation
from market_abm.economy.values import check_parameters_are_read
from market_abm.errors import SettingError, nearest
from market_abm.experiment.known_keys import TOP, check_names
from market_abm.experiment.market_tables import check_mechanisms
from market_abm.experiment.settings import ProgramSettings, RecordSettings, RunSettings, check_table
from market_abm.experiment.shocks import read_shocks
from market_abm.fields import check_choice, check_number
from market_abm.market.mechanisms.registry import all_keys, read_market

WITH_SERIES = ("supply", "demand", "industries")
"""The tables in which a good, an industry, or all of them, may follow a series."""


def split_settings(settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split keyword settings into those of ``[market]`` and those of ``[run]``.

    Raises
    ------
    SettingError
        A key is of neither.
    """
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


def expand_terms(tables: Mapping[str, Any]) -> None:
    """Write terms given by one number as a table, in place, so that other keys can be set.

    ``supply.x = 2`` becomes ``supply.x.quantity = 2``, ``demand.y = 2`` ``demand.y.price = 2``.
    """
    for table, key in (("supply", "quantity"), ("demand", "price")):
        goods = tables.get(table)
        if isinstance(goods, dict):
            for good, terms in goods.items():
                if not isinstance(terms, Mapping):
                    goods[good] = {key: terms}


def read_tables(
    tables: dict[str, Any], folder: Path, economy: Economy | None = None
) -> dict[str, Any]:
    """The parts of an experiment that the tables of a file describe.

    Parameters
    ----------
    tables
        The tables, overrides included.
    folder
        Where files that the tables name are looked for.
    economy
        The economy, if it was read before.

    Returns
    -------
    dict
        Keyword arguments of ``Experiment``.

    Raises
    ------
    MarketError
        A key is unknown, or a value is not valid.
    """
    check_names(tables)
    question = tables.get("question", "")
    if not isinstance(question, str):
        raise SettingError("question is not text", remedy="put it in quotes", name="question")
    table = {key: check_table(tables.get(key, {}), key) for key in TOP[1:-1]}
    made_of = economy_settings(table["economy"], some_lines=not table["households"])
    market = read_market(table["market"])
    check_mechanisms(table["mechanisms"])
    run = RunSettings.of(table["run"], "run")
    record = RecordSettings.of(table["record"], "record")
    own_rates = check_table(table["own_rates"], "own_rates", _formula)
    for name in WITH_SERIES:
        read_series(table[name], name, folder)
    economy = economy or _economy(made_of, table, run.seed, folder)
    shocks = read_shocks(tables.get("shocks", []))
    common, single = _common_and_single(table["industries"])
    return {
        "economy": economy,
        "market": market,
        "run": run,
        "record": record,
        "own_rates": own_rates,
        "sweep": table["sweep"],
        "shocks": shocks,
        "question": question,
        "configuration": {
            "question": question,
            "economy": dataclasses.asdict(made_of),
            "reuse": table["reuse"],
            "supply": _written(table["supply"], outside(economy, economy.supply))
            | prices_of_owned(economy),
            "demand": _written(table["demand"], outside(economy, economy.demand)),
            "industries": as_table(FirmPopulation.of(common, "industries"))
            | {good: with_source(own) for good, own in single.items()},
            **as_taxes(economy.taxes),
            **as_households(economy),
            "market": dataclasses.asdict(market),
            **({"mechanisms": table["mechanisms"]} if table["mechanisms"] else {}),
            "run": dataclasses.asdict(run),
            "record": dataclasses.asdict(record),
            **({"own_rates": own_rates} if own_rates else {}),
            "shocks": [shock.entry for shock in shocks],
        },
    }


def _formula(value: Any, where: str) -> str:
    """A formula as text: a number is one, and so is an empty text."""
    if isinstance(value, str):
        return value.strip()
    return repr(check_number(value, where))


def _written(given: Mapping[str, Any], terms: Mapping[str, Any]) -> dict[str, Any]:
    """The terms of goods with defaults; patterns as given, in place of the goods they name."""
    patterns = {key: given[key] for key in patterns_in(given, terms)}
    patterns = {
        key: with_source(each) if isinstance(each, Mapping) else each
        for key, each in patterns.items()
    }
    single = {
        good: as_table(each) for good, each in terms.items() if good in given or "[" not in good
    }
    return patterns | single


def outside(economy: Economy, terms: Mapping[str, Any]) -> dict[str, Any]:
    """The terms of suppliers or consumers that are no households."""
    owned = {*endowments(economy.households), *economy.households}
    return {good: own for good, own in terms.items() if good not in owned}


def prices_of_owned(economy: Economy) -> dict[str, Any]:
    """The first price of each raw good that households own."""
    owned = endowments(economy.households)
    return {g: {"price": own.price} for g, own in economy.supply.items() if g in owned}


def as_households(economy: Economy) -> dict[str, Any]:
    """The table ``[households]``, if there are some."""
    tables = {name: dataclasses.asdict(own) for name, own in economy.households.items()}
    return {"households": tables} if tables else {}


def economy_settings(
    economy: Mapping[str, Any], *, some_lines: bool = True
) -> ProgramSettings | TableSettings:
    """The settings in ``[economy]``: of a program, or of an input-output table.

    Households alone, without ``some_lines``, need no program.
    """
    if "input_output" not in economy:
        return ProgramSettings.of(economy if some_lines else {"program": "", **economy}, "economy")
    if "program" in economy:
        raise SettingError(
            "the economy has a program and an input-output table",
            remedy="leave one out: economy.program, or economy.input_output",
            name="economy.program",
        )
    return TableSettings.of(economy, "economy")


def _common_and_single(industries: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The keys of ``[industries]`` for all industries, and the tables of single ones."""
    single = {key: value for key, value in industries.items() if isinstance(value, Mapping)}
    return {key: value for key, value in industries.items() if key not in single}, single


def _economy(
    made_of: ProgramSettings | TableSettings, tables: Mapping[str, Any], seed: int, folder: Path
) -> Economy:
    for good, reuse in tables["reuse"].items():
        check_choice(reuse, f"reuse.{good}", REUSE)
    common, single = _common_and_single(tables["industries"])
    options = {
        "supply": tables["supply"],
        "demand": tables["demand"],
        "reuse_of": tables["reuse"],
        "population": common,
        "population_of": single,
        "taxes": tables["taxes"],
        "seed": seed,
        "households": tables["households"],
        "numeraire": made_of.numeraire,
    }
    if isinstance(made_of, TableSettings):
        return made_of.economy(folder, **options)
    economy = from_text(
        made_of.program, parameters=made_of.parameters, reuse=made_of.reuse, **options
    )
    own = [name for name in made_of.parameters if name not in economy.fixed]
    check_parameters_are_read(own, economy.industries)
    return economy
