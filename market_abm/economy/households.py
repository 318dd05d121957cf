"""Households: who owns goods and firms, and spends what that earns on a utility of goods.

A household is a line of the economy: its good is its utility, its technology the expression of it,
and its consumer pays what the household has earned. The price of its good is the weight α: money
spent, over Σ x ∂U/∂x.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from market_abm.economy.families import nearest_good
from market_abm.economy.industry import Industry
from market_abm.economy.outputs import by_activity
from market_abm.economy.technology import Technology
from market_abm.economy.terms import BUDGET, Demand, Supply, terms_of
from market_abm.errors import BalanceError, EconomyError, MarketError, SettingError, nearest, shown
from market_abm.fields import Settings, check_number, field, number
from market_abm.keys import by_name, quoted
from market_abm.language.reader import parse

CLOSED = 1e-9
"""By how much sums that must be 1 or 0 may differ from that, relative to the largest term."""


def _utility(value: Any, where: str) -> str:
    """The expression of a utility: a text, or several that are summed."""
    parts = list(value.values()) if isinstance(value, Mapping) else value
    parts = [parts] if isinstance(parts, str) else parts
    if not isinstance(parts, list | tuple) or not parts or not all(map(_is_text, parts)):
        raise SettingError(
            f"{where} is {shown(value)}",
            remedy="write arithmetic in quotes, or a list of several that are summed",
            name=where,
        )
    return parts[0] if len(parts) == 1 else " + ".join(f"({part})" for part in parts)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _amounts(value: Any, where: str, high: float = math.inf) -> dict[str, float]:
    if not isinstance(value, Mapping):
        raise SettingError(
            f"{where} is {shown(value)}", remedy=f"write {where}.GOOD = ...", name=where
        )
    return {
        good: check_number(own, f"{where}.{good}", low=0.0, high=high)
        for good, own in value.items()
    }


def _owns(value: Any, where: str) -> Any:
    if value is None:
        return None
    if isinstance(value, Mapping):
        return _amounts(value, where, high=1.0)
    return check_number(value, where, low=0.0, high=1.0)


@dataclass(frozen=True)
class Household(Settings):
    """A household: what it wants and what it owns (docs/model.md, 2).

    ``utility`` is an expression of goods, or several that are summed. ``endowment`` says how many
    units of goods it has in each step, to sell or to buy back; ``owns`` its share of the profits of
    the firms of each line, or of all lines. Households who say nothing of a line divide equally
    what is left of it. ``money`` is what it spends in the first step, before it has earned, and
    ``transfer`` what it gets from others in each step.
    """

    utility: str = field(
        _utility, kind="text, list or table", help="utility of goods, or several that are summed"
    )
    endowment: Mapping[str, float] = field(
        _amounts,
        default_factory=dict,
        kind="table",
        range="of numbers ≥ 0",
        unit="units per step",
        help="what it owns of each good",
    )
    owns: Any = field(
        _owns,
        default=None,
        kind="number or table",
        range="of numbers ≥ 0 and ≤ 1",
        help="its share of the profits of each line, or of all; by default an equal part of what "
        "is left",
    )
    money: float = number(
        1.0, above=0.0, unit="money", help="what it spends in the first step, before it has earned"
    )
    transfer: float = number(
        0.0, unit="money per step", help="money from other households; they sum to 0"
    )

    def with_keys(self, given: Mapping[str, Any], where: str) -> Self:
        """The same with other values of some keys; goods that are not named keep theirs."""
        values = dict(given)
        for key in ("endowment", "owns"):
            own = getattr(self, key)
            if isinstance(own, Mapping) and isinstance(given.get(key), Mapping):
                values[key] = {**own, **given[key]}
        return super().with_keys(values, where)

    @property
    def structure(self) -> tuple[Any, ...]:
        """What households have in common that run side by side: all but numbers."""
        owns = tuple(self.owns) if isinstance(self.owns, Mapping) else self.owns is None
        return tuple(self.endowment), owns

    @classmethod
    def vectorized(cls, several: Sequence[Self]) -> Self:
        """Combine the same household of several runs: each number gets shape (runs, 1)."""
        made = object.__new__(cls)
        for key, first in vars(several[0]).items():
            values = [getattr(each, key) for each in several]
            if isinstance(first, Mapping):
                value: Any = {good: _column([each[good] for each in values]) for good in first}
            else:
                value = _column(values) if isinstance(first, float) else first
            object.__setattr__(made, key, value)
        return made

    def select_runs(self, part: Callable[[Any], Any]) -> Self:
        """A vectorized household with ``part`` of each array."""
        made = object.__new__(type(self))
        for key, value in vars(self).items():
            of_goods = isinstance(value, Mapping)
            chosen = {good: part(own) for good, own in value.items()} if of_goods else value
            chosen = part(value) if isinstance(value, np.ndarray) else chosen
            object.__setattr__(made, key, chosen)
        return made


def _column(values: Sequence[float]) -> np.ndarray:
    return np.array(values, float)[:, None]


def read_households(given: Mapping[str, Any] | None) -> dict[str, Household]:
    """The households of the tables ``[households.NAME]``.

    Raises
    ------
    SettingError
        A key is unknown, missing, of the wrong type or out of range.
    """
    tables = by_name(given or {}, "households")
    return {name: Household.of(own, f"households.{quoted(name)}") for name, own in tables.items()}


def lines_of(
    households: Mapping[str, Household], parameters: Mapping[str, float]
) -> list[Industry]:
    """The lines of households, in their order."""
    return [_line(name, household, parameters) for name, household in households.items()]


def _line(name: str, household: Household, parameters: Mapping[str, float]) -> Industry:
    """The line of a household, whose good is its utility.

    Raises
    ------
    MarketError
        The name is no name of a good, or the utility is not in the language.
    """
    where = f"households.{quoted(name)}"
    if re.match(r"\s*\w+\s*=[^=]", household.utility):
        raise EconomyError(
            f"{where}.utility is an assignment: '{household.utility.strip()}'",
            remedy="write what is on the right of '=' alone: the household's name stands for it",
            name=f"{where}.utility",
        )
    try:
        lines = parse(f"{name} = {household.utility}", parameters)
    except MarketError as error:
        error.what, error.name, error.line = f"{where}.utility: {error.what}", where, None
        raise
    if len(lines) != 1 or lines[0].good != name:
        raise EconomyError(f"{where}.utility is not one expression", remedy="", name=where)
    if not lines[0].inputs:
        raise EconomyError(
            f"{where}.utility reads no good", remedy="let it want some", name=f"{where}.utility"
        )
    technology = Technology(lines[0].formula, lines[0].inputs, lines[0].parameters)
    return Industry(name, technology, household=True)


def with_endowments(
    industries: Iterable[Industry], households: Mapping[str, Household]
) -> tuple[Industry, ...]:
    """The lines, those of goods that households own with what these add to their output."""
    owned = endowments(households)
    return tuple(
        each
        if owned.get(each.good, 0.0) == each.endowed
        else each.with_endowed(owned.get(each.good, 0.0))
        for each in industries
    )


def endowments(households: Mapping[str, Household]) -> dict[str, float]:
    """Of each good that households own, the units of all."""
    owned: dict[str, float] = {}
    for household in households.values():
        for good, units in household.endowment.items():
            owned[good] = owned.get(good, 0.0) + units
    return owned


def supply_with(
    supply: Mapping[str, Any], raw: Sequence[str], households: Mapping[str, Household]
) -> dict[str, Any]:
    """Terms of supply, in which raw goods that households own are what they own.

    Raises
    ------
    EconomyError
        More than the first price is given of such a good.
    """
    owned = endowments(households)
    check_supply_of_owned(supply, owned)
    prices = {good: dict(supply.get(good, {})) for good in raw if good in owned}
    return {**supply, **{good: {**keys, "quantity": owned[good]} for good, keys in prices.items()}}


def check_supply_of_owned(supply: Mapping[str, Any], owned: Collection[str]) -> None:
    """Refuse more than the first price of goods that households own."""
    for good in [good for good in supply if good in owned]:
        given, where = supply[good], f"supply.{quoted(good)}"
        for key in given if isinstance(given, Mapping) else ("quantity",):
            if key != "price":
                raise EconomyError(
                    f"{where}.{key}: households own '{good}' and supply what they own",
                    remedy=f"set households.NAME.endowment.{quoted(good)}, and here at most price",
                    name=f"{where}.{key}" if isinstance(given, Mapping) else where,
                )


def renewed_supply(
    supply: Mapping[str, Supply], households: Mapping[str, Household]
) -> dict[str, Supply]:
    """The terms of suppliers after endowments have changed."""
    owned = endowments(households)
    return {
        good: terms
        if good not in owned or owned[good] == terms.quantity
        else terms.with_keys({"quantity": owned[good]}, f"supply.{quoted(good)}")
        for good, terms in supply.items()
    }


def changed_households(
    households: Mapping[str, Household],
    given: Mapping[str, Any],
    industries: Sequence[Industry],
) -> dict[str, Household]:
    """Households with other values of their numbers.

    Raises
    ------
    MarketError
        There is no such household or number, or they do not fit together any more.
    """
    changed = dict(households)
    for name, keys in given.items():
        where = f"households.{quoted(name)}"
        if name not in households:
            remedy = nearest(name, households) if households else "the economy has none"
            raise EconomyError(f"{where}: no such household", remedy=remedy, name=where)
        if not isinstance(keys, Mapping) or "utility" in keys:
            raise SettingError(
                f"{where}.utility is a line, not a number that can be changed",
                remedy="make its numbers parameters, and change these",
                name=where,
            )
        changed[name] = households[name].with_keys(keys, where)
        for good in set(changed[name].endowment) - set(households[name].endowment):
            raise SettingError(
                f"{where} has no endowment of '{good}'",
                remedy=f"write {where}.endowment.{quoted(good)} = 0 in the economy",
                name=f"{where}.endowment.{quoted(good)}",
            )
    check_numbers(changed, [each.good for each in industries if not each.household])
    return changed


def demand_with(
    demand: Mapping[str, Any], final: Sequence[str], households: Mapping[str, Household]
) -> dict[str, Demand]:
    """The terms of all consumers: of final goods, then of households.

    Raises
    ------
    EconomyError
        Terms are given of a household.
    """
    return {
        **terms_of(Demand, demand, [good for good in final if good not in households], "demand"),
        **dict.fromkeys(households, BUDGET),
    }


# --- whether they fit together -------------------------------------------------------------------


def check_households(
    households: Mapping[str, Household],
    industries: Sequence[Industry],
    demand: Mapping[str, Any],
    supply: Collection[str] = (),
) -> None:
    """Refuse households that do not fit the program, or each other.

    Raises
    ------
    EconomyError
        Says which, and how to mend it.
    """
    made = {each.good for each in industries if not each.household}
    read = {good: each for each in industries for good in each.technology.inputs}
    activities = by_activity(industries)
    for name, household in households.items():
        where = f"households.{quoted(name)}"
        if name in made or name in supply:
            raise EconomyError(
                f"{where}: '{name}' is also a good", remedy="rename the household", name=where
            )
        if name in read:
            raise EconomyError(
                f"'{read[name].good}' reads '{name}', and that is a household",
                remedy="a utility can be sold to nobody: rename the household, or read goods",
                name=where,
            )
        if name in demand:
            raise EconomyError(
                f"demand.{quoted(name)}: '{name}' is a household, which pays what it earns",
                remedy=f"leave it out, or give {where}.endowment",
                name=f"demand.{quoted(name)}",
            )
        for good in household.endowment:
            if good in activities:
                outputs = ", ".join(each.good for each in activities[good])
                raise EconomyError(
                    f"{where}.endowment.{quoted(good)}: '{good}' is the activity of a line, which "
                    "nobody owns",
                    remedy=f"let it own what the line makes: {outputs}",
                    name=f"{where}.endowment.{quoted(good)}",
                )
            if good not in made and good not in read:
                raise EconomyError(
                    f"{where}.endowment.{quoted(good)}: no line and no household uses '{good}'",
                    remedy=nearest_good(good, [*read, *made]),
                    name=f"{where}.endowment.{quoted(good)}",
                )
    _check_wants(households, industries, made, supply)
    check_numbers(households, sorted(made))


def _check_wants(
    households: Mapping[str, Household],
    industries: Sequence[Industry],
    made: Collection[str],
    supply: Collection[str],
) -> None:
    """Every good that a household wants must come from somewhere."""
    reachable = {*made, *supply, *endowments(households)}
    for each in industries:
        if not each.household:
            continue
        for good in each.technology.inputs:
            if good not in reachable:
                raise EconomyError(
                    f"the household '{each.good}' wants '{good}', which nobody makes, owns or "
                    "supplies",
                    remedy=f"add a line that makes it, an endowment of it, or "
                    f"[supply.{quoted(good)}]; {nearest_good(good, sorted(reachable))}",
                    name=f"households.{quoted(each.good)}.utility",
                )


def check_numbers(households: Mapping[str, Household], makers: Sequence[str]) -> None:
    """Refuse shares that do not sum to 1, and transfers that do not sum to 0."""
    if not households:
        return
    transfers = [household.transfer for household in households.values()]
    if abs(sum(transfers)) > CLOSED * max(map(abs, transfers)):
        raise BalanceError(
            f"the transfers of households sum to {sum(transfers):.6g}",
            remedy="make them sum to 0: what one gets, another gives",
            name="households",
        )


def ownership(
    households: Mapping[str, Household], makers: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Of each household, its share of the profits of each line.

    Raises
    ------
    EconomyError
        Shares are of no line, or those of a line do not sum to 1.
    """
    known = set(makers)
    for name, household in households.items():
        for good in household.owns if isinstance(household.owns, Mapping) else ():
            if good not in known:
                where = f"households.{quoted(name)}.owns.{quoted(good)}"
                raise EconomyError(
                    f"{where}: no line makes '{good}'",
                    remedy=nearest_good(good, list(makers)),
                    name=where,
                )
    shares: dict[str, dict[str, Any]] = {name: {} for name in households}
    for good in makers:
        said = {name: _said(household.owns, good) for name, household in households.items()}
        total: Any = sum(share for share in said.values() if share is not None)
        silent = sum(share is None for share in said.values())
        if np.any(total - 1.0 > CLOSED) or (not silent and np.any(1.0 - total > CLOSED)):
            raise BalanceError(
                f"households own {np.max(total):.6g} of the firms that make '{good}'",
                remedy="let the shares in households.NAME.owns sum to 1",
                name="households",
            )
        left = np.maximum(1.0 - total, 0.0) / silent if silent else 0.0
        for name, share in said.items():
            shares[name][good] = left if share is None else share
    return shares


def _said(owns: Any, good: str) -> Any:
    """The share of a line's profits that a household says it owns, or None."""
    return owns.get(good) if isinstance(owns, Mapping) else owns
