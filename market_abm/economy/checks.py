"""Whether the parts of an economy fit together; each check raises an EconomyError that says why."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

from market_abm.economy.families import families_of, family_and_indices, nearest_good
from market_abm.economy.households import ownership
from market_abm.economy.industry import Industry
from market_abm.economy.outputs import check_outputs
from market_abm.economy.terms import Demand
from market_abm.errors import EconomyError
from market_abm.keys import quoted


def industry_of_good(industries: tuple[Industry, ...]) -> dict[str, Industry]:
    """The industries by the good they make: at least one, and one per good."""
    if not industries:
        raise EconomyError(
            "the program has no line, and there is no household",
            remedy="write a line, such as: y = sqrt(x)",
        )
    made: dict[str, Industry] = {}
    for industry in industries:
        if industry.good in made:
            first = made[industry.good].line
            raise EconomyError(
                f"two lines produce '{industry.good}'"
                + (f", the first is line {first}" if first else ""),
                remedy="rename one of the goods",
                name=industry.good,
                line=industry.line,
            )
        made[industry.good] = industry
    return made


def check_supply(supply: Mapping[str, Any], raw: list[str], made: Mapping[str, Industry]) -> None:
    """Every raw good, and no other, must have a supplier."""
    is_raw = set(raw)
    for good in supply:
        if good in made:
            raise EconomyError(
                f"supply.{good}: '{good}' is made by a line of the program",
                remedy=f"remove the endowment, or the line that makes '{good}'",
                name=f"supply.{good}",
            )
        if good not in is_raw:
            raise EconomyError(
                f"supply.{good}: no line uses a good '{good}'",
                remedy=f"a hyphen is a minus: write {good.replace('-', '_')}"
                if "-" in good and set(good.split("-")) <= {*raw, *made}
                else nearest_good(good, raw),
                name=f"supply.{good}",
            )
    for good in raw:
        if good not in supply:
            user = next(i for i in made.values() if good in i.technology.inputs)
            raise EconomyError(
                f"no line makes '{good}' and it has no endowment",
                remedy=_of_its_family(good, {*supply, *made})
                or f"add [supply.{quoted(good)}] with quantity = ..., "
                f"a line that makes it, or a parameter of that name",
                name=good,
                line=user.line,
            )


def _of_its_family(good: str, known: Collection[str]) -> str:
    """A remedy for a good that is unknown, and has the name of a family that is known; or none."""
    name, indices = family_and_indices(good)
    same = [each for each in known if family_and_indices(each)[0] == name]
    if not same:
        return ""
    if name in same and indices:
        return f"'{name}' has no index elsewhere"
    labels = ", ".join(sorted(family.label for family in families_of(same).values()))
    if not indices:
        return f"write its index: there are {labels}"
    return f"there are {labels}: let the range end earlier, or supply '{good}'"


def check_demand(demand: Mapping[str, Any], final: list[str], made: Mapping[str, Industry]) -> None:
    """There must be a final good, and demand for final goods only."""
    is_final = set(final)
    for good in demand:
        if good in made and good not in is_final:
            raise EconomyError(
                f"demand.{good}: '{good}' is used by another line, so it is not final",
                remedy=f"sell it through a separate line, such as: {good}_retail = {good}",
                name=f"demand.{good}",
            )
        if good not in is_final:
            raise EconomyError(
                f"demand.{good}: no line makes a final good '{good}'",
                remedy=nearest_good(good, final),
                name=f"demand.{good}",
            )


def check_keys(table: str, what: str, keys: Mapping[str, Any], valid: list[str]) -> None:
    """Every key of a table must be one of the ``valid`` names."""
    known = set(valid)
    for good in keys:
        if good not in known:
            raise EconomyError(
                f"{table}.{good}: the program has no such {what}",
                remedy=nearest_good(good, valid),
                name=f"{table}.{good}",
            )


def check_numeraire(numeraire: Any, goods: list[str], households: Collection[str]) -> str | None:
    """The numeraire must be a good that is traded, or None."""
    if numeraire in households:
        raise EconomyError(
            f"economy.numeraire is '{numeraire}', a household, whose utility is not sold",
            remedy="name a good that is traded",
            name="economy.numeraire",
        )
    if numeraire is not None and numeraire not in goods:
        raise EconomyError(
            f"economy.numeraire is {numeraire!r}: the program has no such good",
            remedy=nearest_good(str(numeraire), goods),
            name="economy.numeraire",
        )
    return numeraire


def check_closed(final: list[str], raw: list[str], made: Mapping[str, Industry]) -> None:
    """Without a final good nobody outside pays, and nobody outside may be paid for a raw good."""
    if raw and not final:
        raise EconomyError(
            "the program has no final good: every good is used by another line, and what is paid "
            f"for {raw[0]} never comes back",
            remedy=f"let a household own {raw[0]}, or add a line whose good no other line uses, "
            f"such as: sold = {next(iter(made))}",
        )


def check_demanded(economy: Any) -> None:
    """Refuse demand that an industry or the network of an ``Economy`` cannot have."""
    check_outputs(economy.industries)
    for industry in economy.industries:
        if industry.population.conduct == "cournot":
            check_cournot(industry, economy.demand.get(industry.good))
    for good, terms in economy.demand.items():
        # Loops are looked for only where they matter: in a large network this takes long.
        if math.isfinite(terms.elasticity) and terms.quantity is None and economy.has_loops:
            raise no_reference(good)


def check_cournot(industry: Industry, demand: Demand | None) -> None:
    """Cournot firms must make a final good, with positive marginal revenue at some output."""
    where = f"industries.{industry.good}.conduct"
    if demand is None:
        raise EconomyError(
            f"{where} is 'cournot', and {industry.good} is not a final good",
            remedy="only firms of a final good know the demand curve that they face; for a single "
            "industry, set it under [industries.GOOD]",
            name=where,
        )
    share = float(industry.weights.max())
    if demand.form != "linear" and demand.elasticity <= share:
        raise EconomyError(
            f"{where} is 'cournot' with a firm of {share:.3g} of the market and demand elasticity "
            f"{demand.elasticity:g}: marginal revenue is never positive",
            remedy=f"raise demand.{industry.good}.elasticity above {share:.3g}, or add firms",
            name=where,
        )


def no_reference(good: str) -> EconomyError:
    """In a program with a loop, elastic demand needs a reference quantity."""
    return EconomyError(
        f"demand.{good} has an elasticity but no reference quantity",
        remedy="a program with a loop has no output before step 0 to take it from: "
        f"give demand.{good}.quantity",
        name=f"demand.{good}",
    )


def check_incomes(economy: Any) -> None:
    """Refuse households of an ``Economy`` that have no income at all.

    Raises
    ------
    EconomyError
        Says which.
    """
    firms = [each.good for each in economy.industries if each.is_line]
    shares = ownership(economy.households, firms) if economy.households else {}
    taxed = {name for tax in economy.taxes.values() for name in tax.to or ()}
    for name, household in economy.households.items():
        owned = sum(household.endowment.values()) + sum(shares[name].values())
        if owned <= 0.0 and household.transfer <= 0.0 and name not in taxed:
            raise EconomyError(
                f"the household '{name}' owns nothing, and has no other income",
                remedy=f"give households.{quoted(name)}.endowment, owns or transfer, or let it get "
                "the revenue of a tax",
                name=f"households.{quoted(name)}",
            )
