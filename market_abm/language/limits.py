"""Derivatives at inputs of 0 where rounding leaves 0 · ∞ or 0/0: their one-sided limits.

The derivative of ``sqrt(x) ** 2`` at x = 0 is 1, but the chain rule finds 0 · ∞ there. Such a
derivative is taken so near to 0 that nothing but the limit is left, and compared with those further
away: in ``1 + x`` a small x is lost to rounding, and then they differ. Of an input that makes no
difference at any distance it is 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

DISTANCES = (1e-10, 1e-40, 1e-60)
"""Distances from 0. The fifth power of the last can still be divided by."""

AGREEMENT = (1e-2, 1e-6)
"""Relative differences from the derivative at the last distance, of those at the others, up to
which it is the limit. What varies as a power of 0.2 of the distance is within 1e-8 of it."""

MAX_ZEROS = 8
"""Inputs of 0 of one firm up to which limits are looked for; with more, it has stopped."""

MIN_POWER = 0.05
"""What varies as a power of the distance, at least this and the same to a twentieth between either
two of the distances, tends to 0 or to infinity."""


@np.errstate(all="ignore")
def limits_at_zero(
    production: Callable[[Any], tuple[Any, Any]], inputs: Any, made: Any, products: Any
) -> list[Any]:
    """The marginal products, those that are not numbers replaced by one-sided limits at 0.

    Parameters
    ----------
    production
        Computes output and marginal products, one per input, from ``inputs``.
    inputs
        Numbers or arrays of one shape; limits are taken at those that are 0, from above.
    made, products
        What ``production`` computed of them.

    Returns
    -------
    list
        One entry per input. What has no limit, or one that is not found, is not a number.
    """
    found = list(products)
    zeros = [np.equal(each, 0.0) for each in inputs]
    count = sum(np.asarray(zero, int) for zero in zeros)
    few = (count > 0) & (count <= MAX_ZEROS)
    if not np.any(few):
        return found

    def near(k: int) -> list[tuple[Any, Any]]:
        distances = (1.0, *DISTANCES)
        return [production(_moved(inputs, zeros, k, distance)) for distance in distances]

    shared = None  # by all inputs that are nowhere 0
    for k, product in enumerate(products):
        lost = np.isnan(product) & few
        if np.any(lost):
            if np.any(zeros[k]):
                nearby = near(k)
            else:
                nearby = shared = shared or near(k)
            limit = _limit(*(slopes[k] for _, slopes in nearby[1:]))
            constant = zeros[k] & np.all([output == made for output, _ in nearby], axis=0)
            limit = np.where(np.isnan(limit) & constant, 0.0, limit)
            found[k] = np.where(lost & ~np.isnan(made), limit, product)[()]
    return found


def _moved(inputs: Any, zeros: Sequence[Any], k: int, distance: float) -> list[Any]:
    """``inputs`` where input k is at a distance from 0, or, where it is not 0, the others are."""
    return [
        np.where(zero & (zeros[k] if i == k else ~zeros[k]), distance, each)[()]
        for i, (each, zero) in enumerate(zip(inputs, zeros, strict=True))
    ]


def _limit(far: Any, near: Any, last: Any) -> Any:
    """The limit of the derivatives at the three distances, or not a number."""
    steady = (np.abs(far - last) <= AGREEMENT[0] * np.abs(last)) & (
        np.abs(near - last) <= AGREEMENT[1] * np.abs(last)
    )
    first, power = (
        np.log(before / after) / np.log(distance / nearer)
        for before, after, distance, nearer in (
            (far, near, *DISTANCES[:2]),
            (near, last, *DISTANCES[1:]),
        )
    )
    varies = (np.abs(power) >= MIN_POWER) & (np.abs(first - power) <= 0.05 * np.abs(power))
    beyond = np.where(power > 0.0, 0.0, np.copysign(np.inf, np.real(last)))
    return np.where(steady, last, np.where(varies, beyond, np.nan))
