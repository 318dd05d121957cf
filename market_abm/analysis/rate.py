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
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
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

MAX_TOGETHER = 64
"""Runs whose fits are stacked, so that their arrays stay in cache."""

MIN_CHANGE = math.log(2.0)
"""The least change of the logarithm of moves that are not small: cycles have a rate of 1, too."""


class MeasuredRate(NamedTuple):
    """A rate, per step, and the largest difference of another fit from it; NaN if unknown."""

    value: float
    uncertainty: float


UNKNOWN = MeasuredRate(math.nan, math.nan)


Path = tuple[Sequence[np.ndarray], np.ndarray]
"""The variables along a run, each of shape (records, variables), and its records' steps."""


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
    return measured_rates([(paths, times)])[0]


@np.errstate(all="ignore")
def measured_rates(runs: Sequence[Path]) -> list[MeasuredRate]:
    """The rates of several runs, which take less time together; see :func:`measured_rate`."""
    rates = [UNKNOWN] * len(runs)
    left = {k: _Moves.of(*run) for k, run in enumerate(runs) if len(run[1]) > MIN_MOVES}
    for size in NEAR:
        near = {k: moves.below(size) for k, moves in left.items()}
        for k, rate in _fitted(near, clear=size > NEAR[0]).items():
            interval = int(runs[k][1][1] - runs[k][1][0])
            value = rate.value ** (1.0 / interval)
            rates[k] = MeasuredRate(value, value * rate.uncertainty / rate.value / interval)
            del left[k]
    return rates


class _Moves(NamedTuple):
    """The moves between records, shape (moves, variables), and their sizes, shape (moves,)."""

    moves: np.ndarray
    sizes: np.ndarray

    @staticmethod
    def of(paths: Sequence[np.ndarray], times: np.ndarray) -> _Moves:
        """The moves at equal intervals, of each variable relative to its largest value."""
        intervals = np.diff(times)
        regular = intervals == intervals[0]
        records = len(times) if regular.all() else int(np.argmin(regular)) + 1
        path = np.concatenate([each[:records] for each in paths], axis=1)
        scale = np.abs(path).max(axis=0)
        moves = np.diff(path, axis=0) / np.where(scale > 0.0, scale, 1.0)
        return _Moves(moves, np.linalg.norm(moves, axis=1))

    def part(self, start: int, end: int) -> _Moves:
        """Some neighbouring moves."""
        return _Moves(self.moves[start:end], self.sizes[start:end])

    def below(self, size: float) -> _Moves:
        """Those above rounding after the last of this size; if few, before the first."""
        moving = np.flatnonzero(~(self.sizes <= ROUNDING))
        if not len(moving):
            return self.part(0, 0)
        start, end = int(moving[0]), int(moving[-1]) + 1
        large = np.flatnonzero(~(self.sizes[:end] < size))
        if not len(large):
            return self.part(start, end)
        late = self.part(int(large[-1]) + 1, end)
        return late if len(late.moves) >= MIN_MOVES else self.part(start, int(large[0]))

    @property
    def near(self) -> bool:
        """Whether the smallest is near rest."""
        changes = np.linalg.norm(np.diff(self.moves, axis=0), axis=1) / self.sizes[:-1]  # |1 - λ|
        changes = np.sort(changes[~np.isnan(changes)])  # NaN between two bursts
        middle = changes[(len(changes) - 1) // 2 : len(changes) // 2 + 1]
        return bool(len(middle) and self.sizes.min() <= MAX_DISTANCE * middle.mean())


class _Fit:
    """The fits of one run: the rate per record, and the largest difference of another from it.

    ``clear`` if the rate must be well apart from 1.
    """

    def __init__(self, moves: _Moves, *, clear: bool) -> None:
        self.count = len(moves.moves)
        self.clear = clear
        self.stride = max(1, -(-self.count // MAX_MOVES))
        self.moves = moves.moves[:: -self.stride][::-1]
        self.products = self.moves @ self.moves.T
        self.value, self.uncertainty, self.limit = math.nan, 0.0, math.nan
        quarter = len(self.moves) // 4
        self.parts = (slice(quarter, None), slice(None, -quarter))
        self.promising = len(self.moves) - quarter >= MIN_MOVES and moves.near

    def add(self, found: np.ndarray) -> None:
        """Add the rates, per fitted move, of a part of the moves; the very first is the rate."""
        found = found ** (1.0 / self.stride)
        if math.isnan(self.value):
            self.value = float(found[0])
            self.limit = MAX_UNCERTAINTY * self.value
            if self.clear:
                speed = abs(math.log(self.value)) if self.value > 0.0 else math.nan
                limit = min(self.limit, 10.0 * MAX_UNCERTAINTY * speed)
                self.limit = limit * (speed * self.count > MIN_CHANGE)
        differences = np.abs(found - self.value)
        self.uncertainty = float(differences.max(initial=self.uncertainty))  # NaN if any is
        self.promising = self.promising and self.uncertainty <= self.limit


def _fitted(several: Mapping[int, _Moves], *, clear: bool) -> dict[int, MeasuredRate]:
    """The known rates per record of these moves, of runs by their numbers."""
    fits = {k: _Fit(moves, clear=clear) for k, moves in several.items()}
    _add_fits([(fit, slice(None)) for fit in fits.values() if fit.promising])
    parts = [(fit, part) for fit in fits.values() if fit.promising for part in fit.parts]
    _add_fits(parts)
    return {k: MeasuredRate(f.value, f.uncertainty) for k, f in fits.items() if f.promising}


def _add_fits(parts: Iterable[tuple[_Fit, slice]]) -> None:
    """Fit these parts of the moves of runs, together where they have the same shape."""
    groups: defaultdict[tuple[int, int], list[tuple[_Fit, np.ndarray]]] = defaultdict(list)
    for fit, part in parts:
        products = fit.products[part, part]
        groups[len(products), fit.moves.shape[1]].append((fit, products))
    for (_, variables), group in groups.items():
        for first in range(0, len(group), MAX_TOGETHER):
            some = group[first : first + MAX_TOGETHER]
            rates = _largest(np.stack([products for _, products in some]), variables)
            for (fit, _), found in zip(some, rates, strict=True):
                fit.add(found)


def _largest(products: np.ndarray, variables: int) -> np.ndarray:
    """The largest |λ| of linear prediction for each ``NOISE``, shape (runs, 3).

    NaN if noise leaves nothing to predict.

    Parameters
    ----------
    products
        The inner products of all moves, shape (runs, moves, moves).
    variables
        The number of variables.
    """
    moves = products.shape[-1]
    length = moves // 3  # of a row
    rows = moves - length + 1
    hankel = np.zeros((len(products), rows, rows))
    for k in range(length):
        hankel += products[:, k : k + rows, k : k + rows]
    sizes = np.sqrt(np.diagonal(hankel, axis1=1, axis2=2))[:, :-1]  # all rows count the same
    outer = sizes[:, :, None] * sizes[:, None, :]
    before, after = hankel[:, :-1, :-1] / outer, hankel[:, :-1, 1:] / outer
    result = np.full((len(products), len(NOISE)), np.nan)
    valid = np.flatnonzero(np.isfinite(before).all(axis=(1, 2)))
    if not len(valid):
        return result
    squares, vectors = np.linalg.eigh(before[valid])
    least = squares[:, -1:] * np.square(NOISE)
    counts = np.count_nonzero(squares[:, None] > least[:, :, None], axis=2)
    counts[counts >= min(rows - 2, length * variables)] = -1
    for count in np.unique(counts[counts >= 0]).tolist():
        where = counts == count
        those = np.flatnonzero(where.any(axis=1))
        kept = slice(rows - 1 - count, None)
        largest = np.empty((len(valid), 1))
        largest[those, 0] = _largest_mode(
            np.sqrt(squares[those, kept]), vectors[those, :, kept], after[valid[those]]
        )
        result[valid] = np.where(where, largest, result[valid])
    return result


def _largest_mode(singular: np.ndarray, vectors: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The largest |λ| of a mode with an amplitude, shape (runs,); -inf if there is none.

    ``singular`` values (runs, kept), their ``vectors`` (runs, rows, kept); ``after`` (runs, rows,
    rows).
    """
    scaled = vectors / singular[:, None]
    eigenvalues, modes = np.linalg.eig(scaled.swapaxes(1, 2) @ after @ scaled)
    parts = (vectors * singular[:, None]).swapaxes(1, 2)
    # Complex also where no mode of these runs oscillates: the same for any runs together.
    amplitudes = np.abs(np.linalg.solve(modes.astype(complex), parts)).max(axis=2)
    sizes = np.where(amplitudes >= MIN_AMPLITUDE, np.abs(eigenvalues), -math.inf)
    return sizes.max(axis=1, initial=-math.inf)
