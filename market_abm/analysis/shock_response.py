"""What follows a shock: how far prices leave their gradients, and when they are back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np


@dataclass(frozen=True)
class ShockResponse:
    """The errors from a shock until the next one, or until the end of the run.

    Parameters
    ----------
    step
        The step of the shock.
    error, good, at
        The largest error, |price - gradient| / |gradient|: its size, the column of its good, and
        its step. Infinite where a price or a gradient is not a number.
    back
        The first recorded step from which all errors stay within the tolerance; None if the last
        one is not.
    until
        The last recorded step before the next shock.
    left
        The largest error there.
    """

    step: int
    error: float
    good: int
    at: int
    back: int | None
    until: int
    left: float

    @property
    def duration(self) -> int | None:
        """Steps from the first one with the new numbers until prices are back, or None."""
        return None if self.back is None else self.back - self.step


def shock_responses(
    times: np.ndarray, errors: np.ndarray, shocks: Sequence[int], tolerance: float
) -> tuple[ShockResponse, ...]:
    """The response to each shock that the run reached and recorded.

    Parameters
    ----------
    times
        The recorded steps, shape (records,).
    errors
        |price - gradient| / |gradient|, shape (records, goods).
    shocks
        The steps of the shocks, in order; those of one step are one.
    tolerance
        The error within which a price is at its gradient.
    """
    known = np.where(np.isnan(errors), np.inf, errors)
    starts = list(dict.fromkeys(shocks))
    found = []
    for start, end in pairwise([*starts, np.inf]):
        rows = np.flatnonzero((times >= start) & (times < end))
        if rows.size == 0:
            continue
        row, good = np.unravel_index(np.argmax(known[rows]), known[rows].shape)
        largest = known[rows].max(axis=1)
        off = np.flatnonzero(largest > tolerance)
        back = 0 if off.size == 0 else int(off[-1]) + 1
        found.append(
            ShockResponse(
                step=int(start),
                error=float(known[rows][row, good]),
                good=int(good),
                at=int(times[rows[row]]),
                back=int(times[rows[back]]) if back < rows.size else None,
                until=int(times[rows[-1]]),
                left=float(largest[-1]),
            )
        )
    return tuple(found)
