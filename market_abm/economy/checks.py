"""Goods, industries, suppliers and consumers: the validated, immutable production network.

Vocabulary: an *industry* makes one *good* with one *technology* and consists of *firms*, replicas
of the line. A *raw good* comes from a *supplier*; a *final good* goes to a *consumer*.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from market_abm.economy.industry import Industry
from market_abm.economy.terms import Demand, FirmPopulation
from market_abm.errors import EconomyError, nearest


def _made_once(industries: tuple[Industry, ...]) -> dict[str, Industry]:
    if not industries:
        raise EconomyError("the program has no line", remedy="write one, such as: y = sqrt(x)")
    made: dict[str, Industry] = {}
    for industry in industries:
        if industry.good in made:
            first = made[industry.good].line
            raise EconomyError(
                f"'{industry.good}' is made twice" + (f", first in line {first}" if first else ""),
                remedy="give each line a good of its own",
                name=industry.good,
                line=industry.line,
            )
        made[industry.good] = industry
    return made


def _populated(
    industry: Industry, common: FirmPopulation, own: Any, seed: tuple[int, int]
) -> Industry:
    """``industry`` with its firms drawn: the ``common`` settings, but for its ``own``."""
    own = dataclasses.asdict(own) if isinstance(own, FirmPopulation) else own
    settings = {**dataclasses.asdict(common), **own}
    where = f"industries.{industry.good}"
    firms = FirmPopulation.of(settings, where)
    rng = np.random.default_rng(np.random.SeedSequence(seed[0], spawn_key=(0, seed[1])))
    try:
        weights, productivity = firms.draw(rng)
    except EconomyError as error:
        error.what = f"{where}.{error.what}"
        error.name = f"{where}.{error.name}"
        raise
    return dataclasses.replace(
        industry,
        population=firms,
        weights=weights,
        productivity=productivity,
        own_keys=frozenset(own),
    )


def _check_cournot(industry: Industry, demand: Demand | None) -> None:
    """Firms that mind their own share must face demand that they can know, and live with."""
    where = f"industries.{industry.good}.conduct"
    if demand is None:
        raise EconomyError(
            f"{where} is 'cournot', and other firms buy {industry.good}",
            remedy="only the firms of a final good know the demand that they face; for one "
            "industry alone, set it under [industries.GOOD]",
            name=where,
        )
    share = float(industry.weights.max())
    if demand.form != "linear" and demand.elasticity <= share:
        raise EconomyError(
            f"{where} is 'cournot' with a firm of {share:.3g} of the market and demand elasticity "
            f"{demand.elasticity:g}: it would earn more by making less, down to nothing",
            remedy=f"raise demand.{industry.good}.elasticity above {share:.3g}, or add firms",
            name=where,
        )


def _check_names(
    raw: list[str],
    made: Mapping[str, Industry],
    final: list[str],
    *,
    supply: Mapping[str, Any],
    demand: Mapping[str, Any],
    reuse_of: Mapping[str, Any],
    population_of: Mapping[str, Any],
    names: Mapping[str, str],
) -> None:
    """Every setting must be of a good that can have it, and every raw good must have a supplier."""
    for good in supply:
        if good in made:
            raise EconomyError(
                f"supply.{good}: '{good}' is made by a line of the program",
                remedy=f"drop the endowment, or drop the line that makes '{good}'",
                name=f"supply.{good}",
            )
        if good not in raw:
            raise EconomyError(
                f"supply.{good}: no line uses a good '{good}'",
                remedy=nearest(good, raw),
                name=f"supply.{good}",
            )
    for good in raw:
        if good not in supply:
            user = next(i for i in made.values() if good in i.technology.inputs)
            raise EconomyError(
                f"no line makes '{good}' and it has no endowment",
                remedy=f"add [supply.{good}] with quantity = ..., "
                f"a line that makes it, or a parameter of that name",
                name=good,
                line=user.line,
            )
    for good in demand:
        if good in made and good not in final:
            raise EconomyError(
                f"demand.{good}: '{good}' is used by another line, so it is not final",
                remedy=f"sell it through a line of its own, such as: {good}_retail = {good}",
                name=f"demand.{good}",
            )
        if good not in final:
            raise EconomyError(
                f"demand.{good}: no line makes a final good '{good}'",
                remedy=nearest(good, final),
                name=f"demand.{good}",
            )
    for table, what, keys, valid in (
        ("reuse", "good", reuse_of, [*raw, *made]),
        ("industries", "industry or key", population_of, list(made)),
        ("names", "good", names, [*raw, *made]),
    ):
        for good in keys:
            if good not in valid:
                raise EconomyError(
                    f"{table}.{good}: the program has no such {what}",
                    remedy=nearest(good, valid),
                    name=f"{table}.{good}",
                )
    if not final:
        raise EconomyError(
            "the program has no final good: every good is used by another line",
            remedy="add a line whose good no other line uses, such as: sold = " + next(iter(made)),
        )
