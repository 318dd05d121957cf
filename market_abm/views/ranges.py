"""Which steps of a run a figure shows, and where a curve of errors goes."""

from __future__ import annotations

import numpy as np

Slope = tuple[np.ndarray, np.ndarray]
"""A straight line on a logarithmic axis: two steps, and the errors there."""

ROUNDING = 1e-9
"""Errors below this may be rounding; a predicted rate is drawn beside larger ones only."""

SETTLED = 0.01
"""A path has settled when it stays this near its last value, as a fraction of its range."""

EXACT = 1e-14
"""A relative error below this is rounding."""

ROOM = 1.3
"""A figure of prices goes on for this many times the steps in which they move."""

ERROR_ROOM = 1.06
"""A figure of errors goes on for this many times the steps in which one is above rounding."""

MIN_STEPS = 12
"""Steps up to which a run is always drawn whole."""

WHOLE = 0.9
"""Steps are cut off only if what is left is at most this part of the run."""


def settled_record(paths: np.ndarray) -> int:
    """The last record at which any path is away from its last value; 0 if none ever is.

    Parameters
    ----------
    paths
        Shape (records, paths). One that ends in no number, or in none at all, never settles.
    """
    if not np.isfinite(paths[-1]).all():
        return len(paths) - 1
    with np.errstate(all="ignore"):
        away = np.abs(paths - paths[-1]) > SETTLED * np.nanmax(np.abs(paths - paths[-1]), axis=0)
    return int(np.flatnonzero(away.any(axis=1)).max(initial=0))


def last_above(errors: np.ndarray, level: float = EXACT) -> int:
    """The last record at which any error exceeds ``level``; 0 if none ever does.

    Parameters
    ----------
    errors
        Shape (records, curves); NaN counts as larger.
    level
        By default the largest that is rounding.
    """
    return int(np.flatnonzero(~(errors <= level).all(axis=1)).max(initial=0))


def shown_until(steps: np.ndarray, record: int, room: float = ROOM) -> float:
    """The last step to show, if nothing happens after this record; of short runs, all.

    Parameters
    ----------
    steps
        Shape (records,).
    record
        A place in ``steps``.
    room
        How many times the steps until then are shown.
    """
    last = float(steps[-1])
    end = max(room * float(steps[record]), float(MIN_STEPS))
    return float(np.ceil(end)) if end <= WHOLE * last else last


def connected(steps: np.ndarray, errors: np.ndarray, breaks: tuple[int, ...] = ()) -> np.ndarray:
    """Records that a curve of errors connects: it passes over those that are exact by coincidence.

    An error that is rounding at some steps and not at later ones would tear a long curve on a
    logarithmic axis into pieces; where it stays rounding until the end, or the next shock, the
    curve goes there.

    Parameters
    ----------
    steps, errors
        Shape (records,).
    breaks
        Steps of shocks.

    Returns
    -------
    numpy.ndarray
        A mask, shape (records,).
    """
    kept = ~(errors <= EXACT)
    for start, end in zip((-np.inf, *breaks), (*breaks, np.inf), strict=True):
        here = (steps >= start) & (steps < end)
        later = np.flatnonzero(kept & here).max(initial=-1)
        kept |= here & (np.arange(len(steps)) > later)
    return kept


def slopes_of(
    rate: float,
    steps: np.ndarray,
    worst: np.ndarray,
    starts: tuple[int, ...],
    last: int,
    floor: float,
) -> tuple[Slope, ...]:
    """After each start, a line as steep as the predicted ``rate``, just above the ``worst`` error.

    Parameters
    ----------
    rate
        The factor per step.
    steps, worst
        Shape (records,).
    starts
        Step 0, and the steps of shocks.
    last
        The last step.
    floor
        The error at which lines end.
    """
    slopes = []
    for start, end in zip(starts, [*starts[1:], last + 1], strict=True):
        here = (steps >= start) & (steps < end) & (worst > ROUNDING) & np.isfinite(worst)
        if here.any():  # the lower half of the descent, where faster modes have died out
            here &= np.log(worst) <= np.log(worst[here][[0, -1]]).mean()
        if here.any():
            height = np.max(np.log(worst[here]) - (steps[here] - start) * np.log(rate))
            stop = start + min(end - start, (height - np.log(floor)) / -np.log(rate))
            ends = np.array([start, stop])
            slopes.append((ends, 2.0 * np.exp(height + (ends - start) * np.log(rate))))
    return tuple(slopes)
