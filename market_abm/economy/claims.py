"""What households own, as arrays: endowments, shares of profits, and the lines that they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from market_abm.economy.buyers import Buyers
from market_abm.economy.households import Household, endowments, ownership
from market_abm.economy.industry import Industry
from market_abm.language.segments import Segments, concatenated, gather


@dataclass(frozen=True, eq=False)
class Claims:
    """The claims of households; numbers have the leading axis of runs that the economy has.

    Attributes
    ----------
    good
        The index in ``Economy.goods`` of each household's utility, shape (households,).
    makers
        The indices of the goods that firms make, shape (lines,).
    owner, owned
        Of each endowment the household, and the good, an index, shape (endowments,).
    units
        Units per step of each endowment, shape (..., endowments).
    shares
        Share of the profits of each line, shape (..., households, lines), or (..., households, 1)
        where it is the same of all lines.
    endowed
        Units of the goods of ``makers`` that households own, shape (..., lines).
    money, transfer
        What is spent in the first step, and what is got from others, shape (..., households).
    buyers
        The buyers that are inputs of households, household after household, shape (inputs,).
    inputs
        These in segments by household.
    maker_of_use
        The good that the line of each use makes, an index, in the order of buyers, shape (uses,).
    """

    good: np.ndarray
    makers: np.ndarray
    owner: np.ndarray
    owned: np.ndarray
    units: np.ndarray
    shares: np.ndarray
    endowed: np.ndarray
    money: np.ndarray
    transfer: np.ndarray
    buyers: np.ndarray
    inputs: Segments
    maker_of_use: np.ndarray

    @staticmethod
    def of(
        households: Mapping[str, Household],
        industries: Sequence[Industry],
        index: Mapping[str, int],
        buyers: Buyers,
    ) -> Claims:
        """The claims of ``households``.

        Parameters
        ----------
        households
            At least one.
        industries
            The lines of the economy.
        index
            The place of each good.
        buyers
            The layout of arrays over buyers.
        """
        firms = [each for each in industries if not each.household]
        each_owns = [
            (k, index[good], units)
            for k, household in enumerate(households.values())
            for good, units in household.endowment.items()
        ]
        own = ownership(households, [each.good for each in firms if each.is_line])
        rows = [_row([own[name][each.line_good] for each in firms]) for name in households]
        if all(np.all(row == row[..., :1]) for row in rows):
            rows = [row[..., :1] for row in rows]
        uses = [buyers.uses[name] for name in households]
        return Claims(
            good=np.array([index[name] for name in households], int),
            makers=np.array([index[each.good] for each in firms], int),
            owner=np.array([owner for owner, _, _ in each_owns], int),
            owned=np.array([good for _, good, _ in each_owns], int),
            units=_row([units for _, _, units in each_owns]),
            shares=np.stack(np.broadcast_arrays(*rows), axis=-2),
            endowed=_row([each.endowed for each in firms]),
            money=_row([each.money for each in households.values()]),
            transfer=_row([each.transfer for each in households.values()]),
            buyers=np.array([use.start for each in uses for use in each], int),
            inputs=Segments.of_sizes(np.array([len(each) for each in uses])),
            maker_of_use=buyers.places_of_uses[2],
        )

    def endowed_of(self, goods: int) -> np.ndarray:
        """Units of all ``goods`` that households own of what is made, shape (..., goods)."""
        units = np.zeros((*self.endowed.shape[:-1], goods))
        units[..., self.makers] = self.endowed
        return units

    def costs(self, paid: np.ndarray) -> np.ndarray:
        """What the firms of each line pay, (..., lines), by what is paid for each use, (..., uses).

        Uses are in the order of buyers.
        """
        costs = np.zeros((*paid.shape[:-1], len(self.makers)))
        lines, uses, by_line = self._uses_of_firms
        costs[..., lines] = by_line.total(paid[..., uses])
        return costs

    def revenue(self, prices: np.ndarray, quantities: np.ndarray) -> np.ndarray:
        """What the firms of each line earn, money, shape (..., lines), of goods on sale.

        ``prices``, money per unit, and ``quantities``, units, have shape (..., goods).
        """
        return prices[..., self.makers] * (gather(quantities, self.makers) - self.endowed)

    def dividends(self, profits: np.ndarray) -> Any:
        """The shares of each household in the profits of lines, money, shape (..., households)."""
        if self.shares.shape[-1] == 1:  # of all lines alike
            return self.shares[..., 0] * profits.sum(axis=-1, keepdims=True)
        return np.multiply(self.shares, profits[..., None, :], order="C").sum(axis=-1)

    def incomes(
        self,
        prices: np.ndarray,
        profits: np.ndarray,
        taxes: Any = 0.0,
        *,
        sold: Claims | None = None,
    ) -> Any:
        """The income of each household, money, shape (..., households).

        What its endowments were sold for, its shares of profits, transfers, and revenue of taxes.

        Parameters
        ----------
        prices
            Of all goods, money per unit, shape (..., goods).
        profits
            Of the firms of each line, money, shape (..., lines).
        taxes
            What each household gets of taxes, money, shape (..., households).
        sold
            The claims by which goods were sold at these prices, if they have changed since.
        """
        households, by_household = (sold or self).earners
        units, goods = (sold or self).units, (sold or self).owned
        earned = np.zeros((*prices.shape[:-1], self.count))
        earned[..., households] = by_household.total(units * prices[..., goods])
        return earned + self.dividends(profits) + self.transfer + taxes

    @cached_property
    def _uses_of_firms(self) -> tuple[np.ndarray, np.ndarray, Segments]:
        """The lines that use goods, places in ``makers``; their uses, in segments by line."""
        uses = np.flatnonzero(np.isin(self.maker_of_use, self.makers))
        uses = uses[np.argsort(self.maker_of_use[uses], kind="stable")]
        goods, sizes = np.unique(self.maker_of_use[uses], return_counts=True)
        order = np.argsort(self.makers)
        lines = order[np.searchsorted(self.makers, goods, sorter=order)]
        return lines, uses, Segments.of_sizes(sizes)

    @property
    def count(self) -> int:
        """The number of households."""
        return len(self.good)

    @cached_property
    def earners(self) -> tuple[np.ndarray, Segments]:
        """The households that have endowments, and these in segments by household."""
        found, sizes = np.unique(self.owner, return_counts=True)
        return found, Segments.of_sizes(sizes)


def outsiders(economy: Any) -> tuple[list[str], list[str]]:
    """Who trades with an ``Economy`` with households and is none of them.

    The raw goods that none of them owns, and the final goods that none of them buys: by these money
    leaves, and comes.
    """
    owned = endowments(economy.households)
    raw = [good for good in economy.supply if good not in owned]
    return raw, [good for good in economy.demand if good not in economy.households]


def _row(numbers: Sequence[Any]) -> np.ndarray:
    """Numbers, or arrays of shape (runs, 1), one after the other, shape (..., numbers)."""
    parts = [np.atleast_1d(np.asarray(each, float)) for each in numbers]
    return concatenated(parts) if parts else np.zeros(0)
