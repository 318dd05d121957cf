"""How many steps a path would still need, by the rate of its last steps."""

from __future__ import annotations

import math

import numpy as np

WINDOWS = (2 / 3, 1 / 2, 1 / 3)
"""The last parts of a path to which its rate is fitted."""

SETTLED = 0.9
"""The first part of a path, in which the largest later distance is known: the rest may be passing
close by in a swing."""

MAX_DISAGREEMENT = 1.5
"""The largest ratio of the steps left by one fit to those by another, beyond which none is sure."""


@np.errstate(all="ignore")
def steps_needed(distances: np.ndarray, times: np.ndarray, within: float) -> float | None:
    """The step from which distances would stay within a bound, if they kept shrinking as they do.

    The rate is that of the largest distance from each step on, so that swings do not matter: the
    mean slope of its logarithm, over the last two thirds of the path, its last half and its last
    third, of which the median counts. A path that contains faster modes needs more.

    Parameters
    ----------
    distances
        Distances from where the path leads, shape (records,).
    times
        Their steps, shape (records,).
    within
        The bound.

    Returns
    -------
    float or None
        None if the distances do not shrink, are no numbers, or too few to agree on a rate.
    """
    known = math.ceil(SETTLED * len(distances))
    logs = np.log(np.maximum.accumulate(distances[::-1])[::-1])[:known]
    if not np.all(np.isfinite(logs)):
        return None
    ends = []
    for part in WINDOWS:
        first = len(logs) - int(part * len(logs))
        middle = (first + len(logs)) // 2
        if middle - first < 2:
            return None
        early, late = slice(first, middle), slice(middle, known)
        fall = float(logs[early].mean() - logs[late].mean())
        passed = float(times[late].mean() - times[early].mean())
        if not fall > 0.0:
            return None
        far = float(logs[late].mean()) - math.log(within)
        ends.append(float(times[late].mean()) + far * passed / fall)
    left = [end - float(times[-1]) for end in ends]
    return sorted(ends)[1] if max(left) <= MAX_DISAGREEMENT * min(left) else None
