"""Linear systems and eigenvalues of many small matrices.

Those of one and two rows are computed by formula: LAPACK takes longer to begin than to solve them.
"""

from __future__ import annotations

import numpy as np


def newton_step(matrix: np.ndarray, value: np.ndarray, unused: np.ndarray) -> np.ndarray:
    """The solution of ``value`` + ``matrix`` · step = 0, (inputs, ...); 0 for ``unused`` inputs.

    ``matrix`` has shape (..., inputs, inputs); the step is 0 where it is singular.
    """
    count = len(value)
    constant = np.moveaxis(unused, 0, -1).reshape(-1, count)
    fixed = constant[:, :, None] | constant[:, None, :]
    system = np.where(fixed, np.eye(count), matrix.reshape(-1, count, count))
    right = np.where(constant, 0.0, np.moveaxis(value, 0, -1).reshape(-1, count))
    regular = np.all(np.isfinite(system), axis=(-2, -1)) & np.all(np.isfinite(right), axis=-1)
    scale = np.max(np.abs(system), axis=-1, keepdims=True)
    scale = np.where(regular[:, None, None] & (scale > 0.0), scale, 1.0)
    scaled = np.where(regular[:, None, None], system / scale, np.eye(count))
    step = -solutions(scaled, right / scale[..., 0])
    step = np.where((regular & np.all(np.isfinite(step), axis=-1))[:, None], step, 0.0)
    return np.moveaxis(step.reshape(*value.shape[1:], count), -1, 0)


def solutions(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The solutions of linear systems, (systems, n); not finite where there is none.

    ``matrix`` has shape (systems, n, n), ``right`` (systems, n).
    """
    count = right.shape[-1]
    if count == 1:
        return right / matrix[..., 0]
    if count == 2:
        (a, b), (c, d) = np.moveaxis(matrix, 0, -1)
        e, f = right.T
        return np.stack([d * e - b * f, a * f - c * e], axis=-1) / (a * d - b * c)[..., None]
    result = np.full(right.shape, np.nan)
    regular = np.abs(np.linalg.det(matrix)) > 0.0
    result[regular] = np.linalg.solve(matrix[regular], right[regular][..., None])[..., 0]
    return result


def largest_eigenvalue(matrix: np.ndarray) -> np.ndarray:
    """The largest eigenvalue of symmetric matrices of shape (..., n, n), shape (...)."""
    count = matrix.shape[-1]
    if count == 1:
        return matrix[..., 0, 0]
    if count == 2:
        first, last = matrix[..., 0, 0], matrix[..., 1, 1]
        return (first + last) / 2.0 + np.hypot((first - last) / 2.0, matrix[..., 0, 1])
    return np.linalg.eigvalsh(matrix).max(axis=-1)
