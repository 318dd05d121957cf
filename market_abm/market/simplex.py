"""A concave function of shares that sum to 1: its maximum, by an interior-point method.

For ``best_bundle.py``: it finds from any start what is bought at all, and about how much of it;
Newton's method then leaves only rounding errors.
"""

from __future__ import annotations

import numpy as np

from market_abm.economy.technology import Technology
from market_abm.market.log_products import stacked

MAX_STEPS = 120
"""The budget of Newton steps; about 25 suffice."""

FIRST_BARRIER, LAST_BARRIER, BARRIER_FACTOR = 0.1, 1e-13, 0.1
"""The weight of the barrier Σ ln s, relative to the slope of the function: first, last, and the
factor between two of them."""

CENTRE_TOL = 0.1
"""A change of the logarithms of shares in a step below which the barrier is lowered."""

TO_BOUNDARY = 0.95
"""The part of the way to the boundary that a step may go."""

MAX_HALVINGS = 40


def maximize_on_simplex(
    function: Technology, scale: np.ndarray, start: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Maximise f(scale · s) over s >= 0 with Σ s = 1.

    Parameters
    ----------
    function
        f.
    scale
        Of each input, shape (inputs, ...).
    start
        A first guess of s, shape (inputs, ...); equal shares are mixed in.

    Returns
    -------
    shares
        s, all positive, shape (inputs, ...).
    slack
        Of each share: by how much the slope of f along it is below the mean slope, relative to
        that; where it exceeds the share, the share is 0 at the maximum.

    Notes
    -----
    Newton steps on f + μ Σ ln s, with curvature kept negative and a line search, as μ tends to 0
    (A. V. Fiacco and G. P. McCormick, 1968).
    """
    problem = _Barrier(function, scale)
    shares = problem.begin(start)
    barrier = np.full(shares.shape[1:], FIRST_BARRIER)
    for _ in range(MAX_STEPS):
        moved, change = problem.step(shares, barrier)
        active = barrier > LAST_BARRIER
        shares = np.where(active, moved, shares)
        barrier = np.where(active & (change < CENTRE_TOL), barrier * BARRIER_FACTOR, barrier)
        if not np.any(barrier > LAST_BARRIER):
            break
    slopes, _ = problem.derivatives(shares)
    mean = np.add.accumulate(shares * slopes, axis=0)[-1]
    return shares, (mean - slopes) / np.abs(mean)


class _Barrier:
    """f(scale · s) + μ Σ ln s of many functions, s of shape (inputs, functions)."""

    def __init__(self, function: Technology, scale: np.ndarray) -> None:
        self.function, self.scale = function, scale

    def value(self, shares: np.ndarray) -> np.ndarray:
        """f, shape (functions,)."""
        made, _ = self.function.production(list(self.scale * shares))
        return np.broadcast_to(made, shares.shape[1:])

    def derivatives(self, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """∂f/∂s, (inputs, functions), and ∂²f/∂s∂s s s, (functions, inputs, inputs).

        Second derivatives are exact to rounding, by the complex step.
        """
        count, shape = len(shares), shares.shape
        shifts = 1.0 + 1e-100j * np.eye(count)[..., None]
        shifted = (self.scale * shares)[:, None] * shifts
        products = stacked(self.function.production(list(shifted))[1], shifted.shape)
        slopes = products[:, 0].real * self.scale
        bends = products.imag / 1e-100 * (self.scale * shares)[:, None]
        return slopes.reshape(shape), np.moveaxis(bends, -1, 0)

    def begin(self, start: np.ndarray) -> np.ndarray:
        """A point near ``start`` with no share at 0 and finite slopes, if one is found."""
        equal = np.full(start.shape, 1.0 / len(start))
        mixed = [part * equal + (1.0 - part) * start for part in (0.5, 0.1, 0.01, 1.0, 1e-4)]
        corners = [0.1 * equal + 0.9 * row[:, None] for row in np.eye(len(start))]
        best, found = mixed[0], np.zeros(start.shape[1:], bool)
        for shares in (*mixed, *corners):
            slopes, bends = self.derivatives(shares)
            usable = np.isfinite(self.value(shares)) & np.all(np.isfinite(slopes), axis=0)
            usable &= np.all(np.isfinite(bends), axis=(-2, -1))
            best, found = np.where(usable & ~found, shares, best), found | usable
            if found.all():
                break
        return best

    def step(self, shares: np.ndarray, barrier: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """One Newton step, and the largest relative change of a share in it."""
        slopes, bends = self.derivatives(shares)
        gains = shares * slopes
        weight = barrier * np.abs(np.add.accumulate(gains, axis=0)[-1])
        gains = gains + weight
        toward = _direction(bends, gains, weight, shares)
        shortest = np.minimum(1.0, TO_BOUNDARY / np.maximum(np.max(-toward, axis=0), 1e-300))
        toward, now = toward * shortest, self.value(shares)
        before = now + weight * _sum_of_logs(shares)
        rounding = 1e-13 * (np.abs(now) + np.abs(before))
        moved, left = shares, np.all(np.isfinite(toward), axis=0)
        for _ in range(MAX_HALVINGS):
            trial = shares * (1.0 + toward)
            trial = trial / np.add.accumulate(trial, axis=0)[-1]
            after = self.value(trial) + weight * _sum_of_logs(trial)
            better = left & (after >= before - rounding)
            moved, left = np.where(better, trial, moved), left & ~better
            if not left.any():
                break
            toward = np.where(left, toward / 2.0, toward)
        return moved, np.max(np.abs(toward), axis=0)


def _sum_of_logs(shares: np.ndarray) -> np.ndarray:
    return np.add.accumulate(np.log(shares), axis=0)[-1]


def _direction(
    bends: np.ndarray, gains: np.ndarray, weight: np.ndarray, shares: np.ndarray
) -> np.ndarray:
    """The Newton step of ln s along Σ s = 1, (inputs, functions), with curvature kept negative."""
    count = len(shares)
    matrix = np.moveaxis(shares, 0, -1)[:, :, None] * bends
    matrix = (matrix + np.swapaxes(matrix, -1, -2)) / 2.0
    matrix = matrix - weight[:, None, None] * np.eye(count)
    usable = np.all(np.isfinite(matrix), axis=(-2, -1)) & np.all(np.isfinite(gains), axis=0)
    matrix = np.where(usable[:, None, None], matrix, -np.eye(count))
    values, vectors = np.linalg.eigh(matrix)
    values = np.maximum(np.abs(values), 1e-16 * np.max(np.abs(values), axis=-1, keepdims=True))
    both = np.stack([gains.T, shares.T], axis=-1)  # (functions, inputs, 2)
    solved = vectors @ ((np.swapaxes(vectors, -1, -2) @ both) / values[..., None])
    along = np.sum(shares.T[..., None] * solved, axis=-2)
    multiplier = along[:, 0] / along[:, 1]
    step = (solved[..., 0] - multiplier[:, None] * solved[..., 1]).T
    return np.where(usable, step, np.nan)
