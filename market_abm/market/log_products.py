"""Marginal products of lines at logarithms of their inputs, and how they change."""

from __future__ import annotations

from typing import Any

import numpy as np

from market_abm.economy.technology import Technology


def flattened(technology: Technology, shape: tuple[int, ...]) -> Technology:
    """The technology of firms of this shape for one axis of firms; a single number stays one."""
    return technology.with_parameters(
        {
            key: np.ravel(each)[0] if np.size(each) == 1 else flat(each, shape)
            for key, each in technology.parameters.items()
        }
    )


def flat(array: Any, shape: tuple[int, ...], keep: int = 0) -> np.ndarray:
    """``array``, of this shape, with one axis of firms after the first ``keep`` axes."""
    return np.broadcast_to(array, shape).reshape(*shape[:keep], -1)


def log_products(technology: Technology, at: np.ndarray) -> np.ndarray:
    """The logarithms of ∂f/∂x, NaN where it is below 0, at ``at`` = ln x; both (inputs, ...)."""
    return np.log(stacked(technology.production(list(np.exp(at)))[1], at.shape))


def log_slopes(technology: Technology, at: np.ndarray) -> np.ndarray:
    """∂ ln(∂f/∂x_k) / ∂ ln x_l, shape (..., inputs k, inputs l), exact to rounding.

    Complex-step derivatives (W. Squire and G. Trapp, SIAM Review 40, 1998): for small h the
    imaginary part of a function of x (1 + i h), over h, is x times its derivative.
    """
    count, inputs = len(at), np.exp(at)
    shifts = 1.0 + 1e-100j * np.eye(count).reshape((count, count) + (1,) * (at.ndim - 1))
    _, products = technology.production(list(inputs[:, None] * shifts))
    values = np.stack(
        [np.broadcast_to(each, shifts.shape[1:2] + at.shape[1:]) for each in products]
    )
    slopes = np.where(values.real > 0.0, values.imag / 1e-100 / values.real, np.nan)  # (k, l, ...)
    return np.moveaxis(slopes, (0, 1), (-2, -1))


def stacked(products: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Marginal products, one entry per input, as one array of this shape."""
    return np.stack([np.broadcast_to(each, shape[1:]) for each in products])
