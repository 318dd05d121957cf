"""Economies of one structure as one, whose numbers have a leading axis of runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from market_abm.economy.households import Household
from market_abm.economy.industry import Industry, combined_once
from market_abm.economy.kept import KEPT, kept_of_runs
from market_abm.economy.taxes import Tax
from market_abm.economy.terms import Demand, Supply
from market_abm.errors import EconomyError


def combined(several: Sequence[Any]) -> Any:
    """Economies as one: see :meth:`Economy.vectorized`.

    Raises
    ------
    EconomyError
        They differ in more than numbers.
    """
    first, known = several[0], dict[Any, Any]()
    if any(each.structure != first.structure for each in several[1:]):
        raise EconomyError(
            "economies that run side by side must differ in numbers only",
            remedy="make the numbers of their lines parameters, or run them separately",
        )

    def terms(kind: Any, of: str) -> dict[str, Any]:
        several_of = [getattr(each, of) for each in several]
        return {
            good: combined_once(known, kind.vectorized, [each[good] for each in several_of])
            for good in several_of[0]
        }

    lines = [
        Industry.vectorized(list(lines), known)
        for lines in zip(*(each.industries for each in several), strict=True)
    ]
    together = dataclasses.replace(
        first,
        industries=tuple(lines),
        supply=terms(Supply, "supply"),
        demand=terms(Demand, "demand"),
        households=terms(Household, "households"),
        taxes=terms(Tax, "taxes"),
    )
    vars(together).update(kept_of_runs(first, together.industries))
    return together


def selected(economy: Any, rows: np.ndarray) -> Any:
    """Some of the runs of a vectorized economy."""

    def part(array: Any) -> Any:
        return array[rows] if len(array) > 1 else array

    chosen = dataclasses.replace(
        economy,
        industries=tuple(industry.select_runs(part) for industry in economy.industries),
        supply={good: terms.select_runs(part) for good, terms in economy.supply.items()},
        demand={good: terms.select_runs(part) for good, terms in economy.demand.items()},
        households={name: own.select_runs(part) for name, own in economy.households.items()},
        taxes={name: tax.select_runs(part) for name, tax in economy.taxes.items()},
    )
    vars(chosen).update({name: getattr(economy, name) for name in KEPT if name in vars(economy)})
    return chosen
