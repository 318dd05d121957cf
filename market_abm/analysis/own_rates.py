"""Own rates of interest: what lending a good earns, in units of the good itself.

At a date t one unit buys p_t/p_{t+1} units of the same good one date later: its own rate of
interest is p_t/p_{t+1} - 1 (P. Sraffa, "Dr. Hayek on money and capital", Economic Journal 42,
1932). Which index of a family is the date, a pattern says by its name: ``k[t]``, ``w[t,*]``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from market_abm.economy.by_pattern import members
from market_abm.economy.families import family_and_indices
from market_abm.errors import MarketError, SettingError, clip, nearest
from market_abm.language.parser import Line
from market_abm.language.reader import parse
from market_abm.language.tape import Tape

DATE = "t"
"""The index that is the date."""

TABLE = "own_rates"
"""The table of an experiment file that names the families."""


@dataclass(frozen=True, eq=False)
class DatedGood:
    """A good of several dates; its arrays have shape (rates,).

    Attributes
    ----------
    name
        Its name, with ``t`` in the place of the date: ``k[t]``, ``w[t,2]``.
    dates
        Those at which there is the good, also one date later.
    goods, later
        The places of the good of that date, and of the next one, in the order of an economy.
    formula
        The text by which its own rates are predicted; empty if they are not.
    lines
        The formula at each date, with goods and numbers in it.
    """

    name: str
    dates: np.ndarray
    goods: np.ndarray
    later: np.ndarray
    formula: str = ""
    lines: tuple[Line, ...] = ()

    @np.errstate(all="ignore")
    def rates(self, prices: np.ndarray) -> np.ndarray:
        """p_t/p_{t+1} - 1 of prices, money per unit, of shape (goods,)."""
        return prices[self.goods] / prices[self.later] - 1.0

    @np.errstate(all="ignore")
    def predicted(self, quantities: Mapping[str, float]) -> np.ndarray:
        """The own rates that the formula predicts at these quantities; NaN without one."""
        if not self.lines:
            return np.full(len(self.dates), np.nan)
        return np.array([_value(line, quantities) for line in self.lines], float)


def dated_goods(
    families: Mapping[str, str], goods: Sequence[str], parameters: Mapping[str, float]
) -> list[DatedGood]:
    """The goods of some families, each with its dates.

    Parameters
    ----------
    families
        By pattern, with an index ``t``: the formula that predicts its own rates, in goods, indices
        and parameters as a line of the program, or an empty text.
    goods
        Those of the economy.
    parameters
        Values that formulas may read.

    Raises
    ------
    MarketError
        A pattern names no good or no date, or a formula cannot be read.
    """
    places = {good: place for place, good in enumerate(goods)}
    for pattern in families:
        _check_names(pattern, parameters)
    return [
        _dated(name, dates, pattern, families[pattern], turn, places, parameters)
        for pattern in families
        for name, (dates, turn) in _by_name(pattern, goods).items()
    ]


def _parts(pattern: str) -> list[str]:
    return [part.strip() for part in pattern.rstrip("]").partition("[")[2].split(",")]


def _check_names(pattern: str, parameters: Mapping[str, float]) -> None:
    """Refuse a pattern without a date, or with the name of a parameter as an index."""
    parts, where = _parts(pattern), f'{TABLE}."{pattern}"'
    if DATE not in parts:
        raise SettingError(
            f"{where} names no date",
            remedy=f"let the index that is the date be {DATE}, as in k[{DATE}] or w[{DATE},*]",
            name=f"{TABLE}.{pattern}",
        )
    for part in parts:
        if part in parameters:
            raise SettingError(
                f"{where}: '{part}' is an index of the pattern, and a parameter",
                remedy="give the other one another name",
                name=f"{TABLE}.{pattern}",
            )


def _by_name(
    pattern: str, goods: Sequence[str]
) -> dict[str, tuple[dict[int, str], dict[str, int]]]:
    """By the name of each dated good: its goods by date, and its other indices that have names."""
    found: dict[str, tuple[dict[int, str], dict[str, int]]] = {}
    parts = _parts(pattern)
    for good, turn in members(pattern, goods, TABLE):
        family, indices = family_and_indices(good)
        shown = [DATE if part == DATE else str(k) for part, k in zip(parts, indices, strict=True)]
        others = {key: value for key, value in turn.items() if key != DATE}
        found.setdefault(f"{family}[{','.join(shown)}]", ({}, others))[0][turn[DATE]] = good
    return found


def _dated(
    name: str,
    by_date: Mapping[int, str],
    pattern: str,
    formula: str,
    turn: Mapping[str, int],
    places: Mapping[str, int],
    parameters: Mapping[str, float],
) -> DatedGood:
    dates = sorted(date for date in by_date if date + 1 in by_date)
    lines: tuple[Line, ...] = ()
    if formula and dates:
        lines = _lines(name, formula, dates, {**parameters, **turn}, f"{TABLE}.{pattern}")
        _check_goods(lines, places, f"{TABLE}.{pattern}")
    return DatedGood(
        name,
        np.array(dates, int),
        np.array([places[by_date[date]] for date in dates], int),
        np.array([places[by_date[date + 1]] for date in dates], int),
        formula,
        lines,
    )


def _lines(
    name: str, formula: str, dates: Sequence[int], parameters: Mapping[str, float], where: str
) -> tuple[Line, ...]:
    """The formula at each date, read as a line of a program that makes the good."""
    text = f"for {DATE} in {dates[0]}..{dates[-1]}: {name} = {formula}"
    try:
        lines = parse(text, parameters)
    except MarketError as error:
        raise _unreadable(formula, where, error.what) from None
    if len(lines) != dates[-1] - dates[0] + 1:
        raise _unreadable(formula, where, "write one formula")
    return tuple(lines[date - dates[0]] for date in dates)


def _unreadable(formula: str, where: str, why: str) -> SettingError:
    return SettingError(
        f"{where} is '{clip(formula, 60)}', which cannot be read ({why})",
        remedy=f"write a formula of goods, parameters and {DATE}, or an empty text",
        name=where,
    )


def _check_goods(lines: Sequence[Line], places: Mapping[str, int], where: str) -> None:
    for line in lines:
        for good in line.inputs:
            if good not in places:
                raise SettingError(
                    f"{where}: there is no good '{good}'",
                    remedy=nearest(good, places),
                    name=where,
                )


def _value(line: Line, quantities: Mapping[str, float]) -> float:
    inputs = {place: quantities[good] for place, good in enumerate(line.inputs)}
    return float(Tape(line.formula, ()).evaluate({**line.parameters, **inputs})[0])
