"""The convergence picture by families: bands of price over gradient, and of errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from market_abm.economy.families import families_of
from market_abm.runs.families import family_paths
from market_abm.views.convergence import Axis, error_axis, evenly, ratio_axis
from market_abm.views.ranges import ERROR_ROOM, last_above, shown_until
from market_abm.views.words.families import family_text

if TYPE_CHECKING:
    from market_abm.runs.result import Result

MAX_BANDS = 10
"""Families that are drawn; of more, those with the most members."""

MAX_RECORDS = 400
"""Records that are drawn; of more, as many at equal distances."""

COLUMNS = ("ratio_least", "ratio", "ratio_largest", "error", "error_largest")


@dataclass(frozen=True, eq=False)
class FamilyPicture:
    """What every renderer draws of the families of a run.

    Attributes
    ----------
    steps
        Shape (records,).
    bands
        For each family that is drawn, by its label with its number of members: the arrays
        ``COLUMNS`` of ``runs.families.family_paths``, shape (records,).
    omitted
        The number of other families, final goods apart.
    """

    steps: np.ndarray
    bands: Mapping[str, Mapping[str, np.ndarray]]
    omitted: int

    @staticmethod
    def of(result: Result) -> FamilyPicture:
        """The picture of a run; final goods, whose price is the consumer's, are left out."""
        kept = evenly(len(result.times), MAX_RECORDS)
        families = list(families_of(result.recorded).values())
        demand = result.economy.demand
        priced = [f for f in families if not all(good in demand for good in f.goods)] or families
        most = sorted(sorted(priced, key=len, reverse=True)[:MAX_BANDS], key=priced.index)
        arrays = (result.quantities, result.prices, result.gradients, result.errors)
        steps = result.times[kept]
        table = family_paths(most, steps, *(array[kept] for array in arrays))
        bands = {
            family_text(family): {
                column: table[column].to_numpy()[k :: len(most)] for column in COLUMNS
            }
            for k, family in enumerate(most)
        }
        return FamilyPicture(steps, bands, len(priced) - len(most))

    @property
    def until(self) -> float:
        """The step up to which the picture is worth drawing."""
        errors = np.array([band["error_largest"] for band in self.bands.values()]).T
        return shown_until(self.steps, last_above(errors), ERROR_ROOM)

    @property
    def ratio_axis(self) -> Axis:
        """The axis of price over gradient."""
        return ratio_axis(
            np.array(
                [
                    band[f"ratio{end}"]
                    for band in self.bands.values()
                    for end in ("", "_least", "_largest")
                ]
            )
        )

    def error_axis(self, tolerance: float | None) -> Axis:
        """The axis of errors."""
        bands = self.bands.values()
        return error_axis(np.array([band["error_largest"] for band in bands]), tolerance)
