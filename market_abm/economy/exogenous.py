"""The series that the numbers of an economy follow, and the numbers of one step."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from market_abm.economy.industry import Industry
from market_abm.economy.series import Movements, number_at
from market_abm.economy.terms import Demand, FirmPopulation, Supply

Changed = TypeVar("Changed", Supply, Demand, FirmPopulation)


@dataclasses.dataclass(eq=False)
class Exogenous:
    """All series of an economy.

    Attributes
    ----------
    offers, prices, productivities
        Those of raw goods, of consumers' prices, and of industries.
    now
        The economy of the last step that was asked for, if there are series.
    """

    offers: Movements
    prices: Movements
    productivities: Movements
    now: Any = None
    _rows: tuple[int, ...] = ()

    @staticmethod
    def of(
        industries: Sequence[Industry], supply: Mapping[str, Supply], demand: Mapping[str, Demand]
    ) -> Exogenous:
        """Those of the parts of an economy."""
        return Exogenous(
            Movements.of(supply.values()),
            Movements.of(demand.values()),
            Movements.of(industry.population for industry in industries),
        )

    @property
    def of_terms(self) -> bool:
        """Whether more follows series than offers."""
        return bool(self.prices or self.productivities)

    @property
    def end(self) -> float:
        """The step from which on nothing moves; infinite if something always does."""
        return max(self.offers.end, self.prices.end, self.productivities.end)

    def is_new(self, step: int) -> bool:
        """Whether the rows of ``step`` are others than those that were asked for last."""
        tables = self.offers, self.prices, self.productivities
        rows = tuple(row for each in tables for row in each.rows(step))
        before, self._rows = self._rows, rows
        return rows != before


def values_at(
    industries: Sequence[Industry],
    supply: Mapping[str, Supply],
    demand: Mapping[str, Demand],
    step: int,
) -> tuple[tuple[Industry, ...], dict[str, Supply], dict[str, Demand]]:
    """The parts of an economy with the numbers of their series in a step (:meth:`Economy.at`).

    The result follows no series any more.
    """
    moved = {k: number_at(i.population, step) for k, i in enumerate(industries) if i.moves}
    if moved:
        industries = [
            dataclasses.replace(
                each,
                population=_changed(each.population, series=None),
                productivity=each.productivity * moved[k],
            )
            if k in moved
            else each
            for k, each in enumerate(industries)
        ]
    return (
        industries if isinstance(industries, tuple) else tuple(industries),
        {
            good: terms
            if terms.series is None
            else _changed(
                terms, quantity=number_at(terms, step) + 0.0 * terms.quantity, series=None
            )
            for good, terms in supply.items()
        },
        {
            good: terms
            if terms.series is None
            else _changed(terms, price=terms.price * number_at(terms, step), series=None)
            for good, terms in demand.items()
        },
    )


def _changed(terms: Changed, **values: Any) -> Changed:
    """The settings with other values of some keys, which may be arrays of runs; none is checked."""
    made = object.__new__(type(terms))
    vars(made).update(vars(terms), **values)
    return made
