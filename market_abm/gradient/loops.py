"""Loops of the network: linear systems of their slopes, and the outputs at which they rest.

A loop's slopes are one number for each use of one of its goods by one of its lines,
∂(output of the line)/∂(unit of the good), shape (..., inner uses) as in
:class:`market_abm.economy.uses.Loop`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from market_abm.economy.uses import Loop

MAX_NEWTON_STEPS = 60
"""The maximal number of evaluations of a loop in Newton's method."""

NEWTON_TOL = 1e-13
"""The relative change of a loop's outputs at which Newton's method stops; the next is less."""

NEAR = 0.3
"""The relative change of a loop's outputs from which on Newton's method is used: before, it may
overshoot, and repeated evaluation is surer."""

LOOP_TOL = 1e-12
"""The relative change of a loop's outputs that counts as none: rounding of many operations."""

MAX_DENSE_LINES = 200
"""Lines up to which a loop is solved as a dense matrix; above, as a sparse one if nine tenths of it
are 0."""


def solved(
    loop: Loop, slopes: np.ndarray, outside: np.ndarray, *, transposed: bool = False
) -> np.ndarray:
    """The x of x = ``outside`` + S x, S the matrix of slopes from good (row) to output (column).

    Shape (..., lines), as ``outside``; NaN where there is no solution. ``transposed``: Sᵀ for S.
    """
    if _is_sparse(loop):
        result = np.full(outside.shape, np.nan)
        for run in np.ndindex(outside.shape[:-1]):
            if np.all(np.isfinite(slopes[run])):
                result[run] = _sparse_solution(loop, slopes[run], outside[run], transposed)
        return result
    matrix = _matrix(loop, slopes)
    matrix = np.swapaxes(matrix, -1, -2) if transposed else matrix
    system = np.eye(len(loop.goods)) - matrix
    try:
        return np.linalg.solve(system, outside[..., None])[..., 0]
    except np.linalg.LinAlgError:  # some of the runs have no solution
        result = np.full(outside.shape, np.nan)
        for run in np.ndindex(outside.shape[:-1]):
            if np.linalg.matrix_rank(system[run]) == outside.shape[-1]:
                result[run] = np.linalg.solve(system[run], outside[run])
        return result


def contracts(loop: Loop, slopes: np.ndarray) -> np.ndarray:
    """Whether the spectral radius of each matrix of slopes is below 1, shape (...).

    Slopes that are not negative need no eigenvalues: it is, if (1 - S) v = 1 has a solution v > 0
    (Collatz and Wielandt).
    """
    sums = solved(loop, slopes, np.ones((*slopes.shape[:-1], len(loop.goods))))
    simple = np.all(slopes >= 0.0, axis=-1)
    result = simple & np.all(sums > 0.0, axis=-1)
    for run in np.ndindex(result.shape):
        if not simple[run] and np.all(np.isfinite(slopes[run])):
            result[run] = _radius(loop, slopes[run]) < 1.0
    return result


def solve_outputs(
    loop: Loop,
    guess: np.ndarray,
    evaluate: Callable[[np.ndarray], tuple[np.ndarray, Callable[[], np.ndarray]]],
) -> np.ndarray:
    """Solve outputs = f(outputs) of a loop, near a solution by Newton's method.

    In logarithms where all are > 0. A solution is stable, and counts, if the spectral radius of the
    slopes is below 1. A run that is solved stays as it is, so that its bits do not depend on how
    long others take.

    Parameters
    ----------
    loop
        The loop.
    guess
        Where to begin, units, shape (..., lines).
    evaluate
        Gives for outputs f of them, and a function of no arguments with the slopes there.

    Returns
    -------
    numpy.ndarray
        Units, shape (..., lines); NaN where no stable solution was found.
    """
    now = guess
    for _ in range(MAX_NEWTON_STEPS):
        before = now
        made, slopes_there = evaluate(before)
        size = np.where(made == 0.0, 1.0, np.abs(made))
        change = (np.abs(made - before) / size).max(axis=-1)
        ended = ~(change > NEWTON_TOL)
        if np.all(ended):
            break
        positive = np.all((made > 0.0) & (before > 0.0), axis=-1)[..., None]
        by_input, by_output = (np.where(positive, each, 1.0) for each in (before, made))
        relative = slopes_there() * by_input[..., loop.inputs] / by_output[..., loop.outputs]
        short = np.where(positive, np.log(made / before), made - before)
        move = solved(loop, relative, short, transposed=True)
        revised = np.where(positive, before * np.exp(move), before + move)
        now = np.where((change < NEAR)[..., None], revised, made)
        now = np.where(ended[..., None], before, now)
    reached = (change <= LOOP_TOL) & contracts(loop, slopes_there())
    return np.where(reached[..., None], made, np.nan)


def _is_sparse(loop: Loop) -> bool:
    lines = len(loop.goods)
    return lines > MAX_DENSE_LINES and 10 * len(loop.uses) < lines**2


def _matrix(loop: Loop, slopes: np.ndarray) -> np.ndarray:
    """The dense matrix of slopes, shape (..., lines, lines)."""
    lines = len(loop.goods)
    matrix = np.zeros((*slopes.shape[:-1], lines, lines))
    places: Any = (..., loop.inputs, loop.outputs)
    np.add.at(matrix, places, slopes)  # a line may read a good twice
    return matrix


def _sparse_matrix(loop: Loop, slopes: np.ndarray) -> Any:
    from scipy.sparse import coo_matrix

    shape = (len(loop.goods), len(loop.goods))
    return coo_matrix((slopes, (loop.inputs, loop.outputs)), shape)


def _sparse_solution(
    loop: Loop, slopes: np.ndarray, outside: np.ndarray, transposed: bool
) -> np.ndarray | float:
    """The solution for one run, shape (lines,); NaN if there is none."""
    from scipy.sparse import identity
    from scipy.sparse.linalg import splu

    system = (identity(len(loop.goods)) - _sparse_matrix(loop, slopes)).tocsc()
    try:
        return splu(system).solve(outside, "T" if transposed else "N")
    except RuntimeError:  # singular
        return np.nan


def _radius(loop: Loop, slopes: np.ndarray) -> float:
    """The spectral radius of the slopes of one run; NaN if it was not found."""
    if not _is_sparse(loop):
        return float(np.abs(np.linalg.eigvals(_matrix(loop, slopes))).max())
    from scipy.sparse.linalg import ArpackNoConvergence, eigs

    matrix = _sparse_matrix(loop, slopes).tocsc()
    try:
        (largest,) = eigs(matrix, 1, v0=np.ones(len(loop.goods)), return_eigenvectors=False)
    except ArpackNoConvergence:
        return np.nan
    return float(np.abs(largest))
