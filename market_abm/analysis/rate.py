"""The measured rate: the factor by which the moves of a run shrink or grow in a step.

Near a steady state moves are a sum of modes, Σ c λ^t, and the rate is the largest |λ|. It is found
by linear prediction: the moves of several steps together, a row of a Hankel matrix, are a linear
function of the row before, whose eigenvalues are the λ (the matrix pencil). As a row spans several
steps, moves may come in bursts, and what moves may be recorded in part only.

References
----------
T. K. Sarkar and O. Pereira, "Using the matrix pencil method to estimate the parameters of a sum of
complex exponentials", IEEE Antennas and Propagation Magazine 37, 1995.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

NEAR = (1e-3, 1e-2, 1e-1)
"""Moves (of all variables, relative to their largest values) below which steps may be linear."""

ROUNDING = 1e-12
"""Moves below this may be rounding errors."""

MAX_DISTANCE = 0.1
"""The largest distance from rest at the smallest move, relative to the variables."""

MAX_MOVES, MIN_MOVES = 80, 6
"""The numbers of moves that are fitted: of more, every second, third, ...; of fewer, none."""

MIN_AMPLITUDE = 0.01
"""The part of some row that a mode must have; products of modes, of second order, have less."""

NOISE = (1e-3, 1e-2, 1e-4)
"""Singular values below these parts of the largest count as noise, in one fit each."""

MAX_UNCERTAINTY = 0.01
"""The largest uncertainty relative to the rate, and relative to its logarithm times ten."""

MIN_CHANGE = math.log(2.0)
"""The least change of the logarithm of moves that are not small: cycles have a rate of 1, too."""


class MeasuredRate(NamedTuple):
    """A rate, per step, and the largest difference of another fit from it; NaN if unknown."""

    value: float
    uncertainty: float


UNKNOWN = MeasuredRate(math.nan, math.nan)


@np.errstate(all="ignore")
def measured_rate(paths: Sequence[np.ndarray], times: np.ndarray) -> MeasuredRate:
    """The factor by which moves shrink or grow in a step near rest, in the long run.

    Parameters
    ----------
    paths
        Variables along the run, each of shape (records, variables).
    times
        The recorded steps, shape (records,); what follows the last regular interval is left out.

    Returns
    -------
    MeasuredRate
        NaN if the run is not near rest for long enough, or if fits to its later or earlier moves,
        or with more or fewer modes, differ by more than 1 %.
    """
    if len(times) <= MIN_MOVES:
        return UNKNOWN
    intervals = np.diff(times)
    interval = int(intervals[0])
    regular = intervals == interval
    records = len(times) if regular.all() else int(np.argmin(regular)) + 1
    path = np.concatenate([each[:records] for each in paths], axis=1)
    scale = np.abs(path).max(axis=0)
    moves = np.diff(path, axis=0) / np.where(scale > 0.0, scale, 1.0)
    for size in NEAR:
        rate = _fitted(_smaller(moves, size), clear=size > NEAR[0])
        if rate is not UNKNOWN:
            value = rate.value ** (1.0 / interval)
            return MeasuredRate(value, value * rate.uncertainty / rate.value / interval)
    return UNKNOWN


def _smaller(moves: np.ndarray, size: float) -> np.ndarray:
    """The moves above rounding after the last of this size; if these are few, before the first."""
    sizes = np.linalg.norm(moves, axis=1)
    moving = np.flatnonzero(~(sizes <= ROUNDING))
    if not len(moving):
        return moves[:0]
    start, end = moving[0], moving[-1] + 1
    large = np.flatnonzero(~(sizes[:end] < size))
    if not len(large):
        return moves[start:end]
    late = moves[large[-1] + 1 : end]
    return late if len(late) >= MIN_MOVES else moves[start : large[0]]


def _fitted(moves: np.ndarray, *, clear: bool) -> MeasuredRate:
    """The rate of these moves per record; ``clear`` if it must be well apart from 1."""
    stride = max(1, -(-len(moves) // MAX_MOVES))
    fitted = moves[::-stride][::-1]
    quarter = len(fitted) // 4
    if len(fitted) - quarter < MIN_MOVES:
        return UNKNOWN
    sizes = np.linalg.norm(moves, axis=1)
    changes = np.linalg.norm(np.diff(moves, axis=0), axis=1) / sizes[:-1]  # |1 - λ|
    products = fitted @ fitted.T
    parts = (products, products[quarter:, quarter:], products[:-quarter, :-quarter])
    variables = moves.shape[1]
    found = np.array([_largest(part, noise, variables) for part in parts for noise in NOISE])
    value, *_ = found = found ** (1.0 / stride)
    uncertainty = np.abs(found - value).max()
    limit = MAX_UNCERTAINTY * value
    if clear:
        speed = abs(math.log(value))
        limit = min(limit, 10.0 * MAX_UNCERTAINTY * speed) * (speed * len(moves) > MIN_CHANGE)
    near = sizes.min() <= MAX_DISTANCE * np.nanmedian(changes)  # NaN between two bursts
    return (
        MeasuredRate(float(value), float(uncertainty)) if near and uncertainty <= limit else UNKNOWN
    )


def _largest(products: np.ndarray, noise: float, variables: int) -> float:
    """The largest |λ| of linear prediction; NaN if noise leaves nothing to predict.

    Parameters
    ----------
    products
        The inner products of all moves, shape (moves, moves).
    noise
        Of singular values, relative to the largest.
    variables
        The number of variables.
    """
    length = len(products) // 3  # of a row
    rows = len(products) - length + 1
    hankel = sum((products[k : k + rows, k : k + rows] for k in range(length)), np.zeros(()))
    sizes = np.sqrt(np.diagonal(hankel)[:-1])  # all rows count the same, early or late
    before, after = (part / np.outer(sizes, sizes) for part in (hankel[:-1, :-1], hankel[:-1, 1:]))
    if not np.all(np.isfinite(before)):
        return math.nan
    squares, vectors = np.linalg.eigh(before)
    kept = squares > noise**2 * squares[-1]
    if kept.sum() >= min(rows - 2, length * variables):
        return math.nan
    singular, vectors = np.sqrt(squares[kept]), vectors[:, kept]
    eigenvalues, modes = np.linalg.eig((vectors / singular).T @ after @ (vectors / singular))
    amplitudes = np.abs(np.linalg.solve(modes, (vectors * singular).T)).max(axis=1)
    return np.abs(eigenvalues[amplitudes >= MIN_AMPLITUDE]).max(initial=-math.inf)
