"""Dated goods: when each good is made and priced, and books by date (docs/model.md, 3).

The goods that end up in one batch of a final good have the *date* of that batch. All goods are made
just in time: a good is on sale one step before the first line that uses it makes its own. Its price
of a date forms when the prices of that date of all that its buyers make have come up the chain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.errors import EconomyError, SettingError
from market_abm.language.segments import gather, neighbours, scatter

TOGETHER = 64
"""Elements that wait as many calls from which they have arrays of their own."""

MAX_NUMBERS = 500_000_000
"""The most numbers that the books of one run may hold: 4 GB."""


@dataclass(frozen=True, eq=False)
class Dates:
    """The steps between a date and what happens to the goods of that date, shape (goods,).

    Attributes
    ----------
    sold
        Steps until the good is on sale: if it is final, the lines of the longest path to it, and
        else one less than the first of the goods that are made of it.
    priced
        Steps until it has its price: as many as until it is sold if it is final, and else one more
        than the last of the goods that its buyers make.
    first
        The first step at which the price of a date forms, from the consumer's at step 0.
    """

    sold: np.ndarray
    priced: np.ndarray
    first: np.ndarray

    @staticmethod
    def of(economy: Economy) -> Dates:
        """The dates of the goods of an economy without loops."""
        uses = economy.uses
        level = np.append(np.zeros(len(economy.supply), int), economy.network.level + 1)
        sold, priced, since = level.copy(), level.copy(), -level
        sold[uses.good], priced[uses.good], since[uses.good] = level.max(), 0, -level.max()
        downstream = np.argsort(-level[uses.maker], kind="stable")
        cuts = np.flatnonzero(np.diff(level[uses.maker[downstream]])) + 1
        for several in np.split(downstream, cuts):
            good, maker = uses.good[several], uses.maker[several]
            np.minimum.at(sold, good, sold[maker] - 1)
            np.maximum.at(priced, good, priced[maker] + 1)
            np.maximum.at(since, good, since[maker])
        return Dates(sold, priced, priced + since)

    @property
    def delay(self) -> np.ndarray:
        """Steps from the sale of a good to its price, shape (goods,)."""
        return self.priced - self.sold

    def kept(self, economy: Economy) -> int:
        """The numbers that the books of all agents hold."""
        buyers = economy.buyers
        return int(3 * (self.priced[buyers.good] - self.sold[buyers.good]).sum())


class Book(dict[int, Any]):
    """What an agent has noted by date; dates before the first are like the ``start``.

    Parameters
    ----------
    kept
        The number of dates that are kept.
    start
        What is read of an unknown date.
    """

    def __init__(self, kept: int, start: Any) -> None:
        super().__init__()
        self.kept, self.start = kept, start

    def note(self, date: int, value: Any) -> None:
        """Note a value, and forget the oldest."""
        self[date] = value
        self.pop(date - self.kept, None)

    def __missing__(self, date: int) -> Any:
        return self.start


class Delay:
    """An array each of whose elements comes out some calls after it was put in.

    Only so many values of an element are kept as it waits calls.

    Parameters
    ----------
    calls
        For each element, shape (n,); 0: it comes out at once.
    values
        What came in before the first call, shape (runs, n).
    """

    def __init__(self, calls: np.ndarray, values: np.ndarray) -> None:
        self._out, self._none = np.empty_like(values), not calls.any()
        self._parts: list[_Together | _Apart] = []
        order = np.argsort(calls, kind="stable")
        groups = np.split(order, np.flatnonzero(np.diff(calls[order])) + 1)
        several = [each for each in groups if len(each) >= TOGETHER or not calls[each].any()]
        for each in several:
            self._parts += [_Together(int(calls[each[0]]), each, values)] if len(each) else []
        others = np.concatenate(
            [each for each in groups if 0 < len(each) < TOGETHER] or [order[:0]]
        )
        others = others[calls[others] > 0]
        if len(others):
            self._parts.append(_Apart(calls[others], others, values))

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Put ``values`` in; what comes out, (runs, n), is valid until the next call."""
        if self._none:
            return values
        for part in self._parts:
            part.exchange(values, self._out)
        return self._out

    def keep(self, rows: np.ndarray) -> None:
        """Continue with these runs only."""
        self._out = _rows(self._out, rows)
        for part in self._parts:
            part.keep(rows)


class _Together:
    """Elements that wait as many calls, an array for each call."""

    def __init__(self, calls: int, places: np.ndarray, values: np.ndarray) -> None:
        self._places, self._clock = neighbours(places), 0
        own = gather(values, self._places)
        self._waiting = [own.copy(order="K") for _ in range(calls)]

    def exchange(self, values: np.ndarray, out: np.ndarray) -> None:
        """Write to ``out`` what comes out, and keep what comes in."""
        if not self._waiting:
            scatter(out, self._places, gather(values, self._places))
            return
        oldest = self._waiting[self._clock]
        scatter(out, self._places, oldest)
        oldest[...] = gather(values, self._places)
        self._clock = (self._clock + 1) % len(self._waiting)

    def keep(self, rows: np.ndarray) -> None:
        self._waiting = [_rows(each, rows) for each in self._waiting]


class _Apart:
    """Elements of which few wait as many calls: rings of their own, one after the other."""

    def __init__(self, calls: np.ndarray, places: np.ndarray, values: np.ndarray) -> None:
        self._places, self._ends = places, np.cumsum(calls)
        self._starts = self._ends - calls
        self._now = self._starts.copy()
        order: Any = "F" if values.flags.fnc else "C"
        self._ring = np.repeat(gather(values, places), calls, axis=-1).copy(order=order)

    def exchange(self, values: np.ndarray, out: np.ndarray) -> None:
        """Write to ``out`` what comes out, and keep what comes in."""
        scatter(out, self._places, gather(self._ring, self._now))
        scatter(self._ring, self._now, gather(values, self._places))
        self._now += 1
        np.copyto(self._now, self._starts, where=self._now == self._ends)

    def keep(self, rows: np.ndarray) -> None:
        self._ring = _rows(self._ring, rows)


def _rows(array: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Some rows of an array, in its order of memory."""
    return np.asarray(array[rows], order="F" if array.flags.fnc else "C")


def check_settings(settings: Any, where: str) -> None:
    """Refuse a market that cannot trade goods by date.

    Parameters
    ----------
    settings
        The settings of a market whose goods are dated (``MarketSettings``).
    where
        The name of their table, for messages.

    Raises
    ------
    SettingError
        Prices are quoted, agents do not act at once, observe old prices or move bids in part.
    """
    for holds, key, remedy in (
        (settings.rules.bids_form_prices, "mechanism", "use one in which bids form prices"),
        (settings.activation == "simultaneous", "activation", 'use "simultaneous"'),
        (not settings.lag, "lag", "set it to 0: each price is that of a date anyway"),
        (
            np.all(np.equal(getattr(settings, "bid_rate", 1.0), 1.0)),
            "bid_rate",
            "set it to 1: a bid for one date has no bid before it to move from",
        ),
    ):
        if not holds:
            value = getattr(settings, key)
            value = f"'{value}'" if isinstance(value, str) else f"{np.max(value):g}"
            raise SettingError(
                f"{where}.{key} is {value} with dated goods",
                remedy=f'{remedy}, or {where}.dating = "spot"',
                name=f"{where}.{key}",
            )


def check_economy(economy: Economy) -> None:
    """Refuse an economy whose goods cannot be dated.

    Raises
    ------
    EconomyError
        Goods are made from each other, firms have market power, or there are too many dates.
    """
    spot = 'use market.dating = "spot"'
    for component in economy.components:
        if economy.is_loop(component):
            goods = " and ".join(each.good for each in component[:2])
            more = " and others" if len(component) > 2 else ""
            how = "from each other" if len(component) > 1 else "from itself"
            raise EconomyError(
                f"{goods}{more} {'are' if len(component) > 1 else 'is'} made {how}: "
                "a batch in a loop has no date",
                remedy=spot,
                name="market.dating",
            )
    for industry in economy.industries:
        if industry.technology.divides:
            raise EconomyError(
                f"the line of {industry.good} divides an activity, and goods are dated",
                remedy=spot,
                name="market.dating",
            )
        if industry.population.conduct != "competitive":
            raise EconomyError(
                f"the makers of {industry.good} have market power, and goods are dated",
                remedy=f'set conduct = "competitive", or {spot}',
                name=f"industries.{industry.good}.conduct",
            )
    if (numbers := Dates.of(economy).kept(economy)) > MAX_NUMBERS:
        raise EconomyError(
            f"the books of all dates hold {numbers:.2g} numbers, at most {MAX_NUMBERS:.2g} fit",
            remedy=f"make the chain shorter, or {spot}",
            name="market.dating",
        )
