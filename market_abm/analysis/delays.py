"""Gradient ascent with delayed gradients, near rest: how large a rate may be (docs/theory.md).

Suppliers who ascend by the prices of dated goods move by a gradient at the offers of some steps
ago. Near rest this is a linear recursion: supplier j's deviation w_j from rest obeys

    w_j(t+1) = w_j(t) - r [ Σ_k H_jk w_k(t - τ_jk) + d w_j(t) + ĥ (w_j(t) - w_j(t - τ_jj)) ],

with H minus the second derivatives of welfare, τ_jk the steps after which j's price meets k's
offer, d the slope of marginal cost and ĥ the supply line. It is stable if and only if the spectral
radius of its companion matrix is below 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.market.dating import Dates

GROWS = 1e-8
"""A spectral radius above 1 by more than this grows: rounding is below it, as directions without
curvature have eigenvalues of exactly 1."""

PRECISION = 1e-7
"""The relative error of an edge."""

MAX_DOUBLINGS = 60
"""Doublings of the rate after which there is no edge."""


def delays_of(economy: Economy) -> np.ndarray:
    """The steps τ_jk after which the price of raw good j, if dated, meets the offer of k.

    Shape (raw goods, raw goods), in the order of ``Economy.supply``.
    """
    dates, raw = Dates.of(economy), len(economy.supply)
    steps: np.ndarray = dates.priced[:raw, None] - dates.sold[None, :raw]
    return steps


def companion(
    hessian: np.ndarray,
    delays: np.ndarray,
    rate: float,
    *,
    decay: float = 0.0,
    supply_line: float = 0.0,
) -> np.ndarray:
    """The matrix that moves (w(t), w(t-1), ..., w(t-τ)), with τ the longest delay, by a step.

    Parameters
    ----------
    hessian
        H, shape (n, n): positive where W is concave.
    delays
        τ_jk, whole steps, shape (n, n).
    rate
        r.
    decay
        d, the slope of the suppliers' own marginal cost.
    supply_line
        ĥ.

    Returns
    -------
    array
        Shape (n (τ + 1), n (τ + 1)).
    """
    identity = np.eye(len(hessian))
    blocks = {0: (1.0 - rate * (decay + supply_line)) * identity}
    for delay in np.unique(delays).tolist():
        here = np.where(delays == delay, rate * (supply_line * identity - hessian), 0.0)
        blocks[delay] = blocks.get(delay, 0.0) + here
    return block_companion(blocks)


def block_companion(blocks: Mapping[int, np.ndarray]) -> np.ndarray:
    """The companion matrix of z(t+1) = Σ C_d z(t - d), given C_d, shape (n, n), by delay d."""
    longest = max(blocks)
    size = len(blocks[longest])
    matrix = np.zeros((size * (longest + 1),) * 2)
    matrix[size:, :-size] = np.eye(size * longest)
    for delay, block in blocks.items():
        matrix[:size, size * delay : size * (delay + 1)] = block
    return matrix


def spectral_radius(
    hessian: np.ndarray,
    delays: np.ndarray,
    rate: float,
    *,
    decay: float = 0.0,
    supply_line: float = 0.0,
) -> float:
    """The factor by which a disturbance grows or shrinks in a step, in the long run.

    Parameters are those of :func:`companion`.
    """
    matrix = companion(hessian, delays, rate, decay=decay, supply_line=supply_line)
    return float(np.abs(np.linalg.eigvals(matrix)).max())


def scalar_edge(curvature: float, delay: float) -> float:
    """The rate below which one variable, or several of one delay, settle: 2 sin(π/(2(2τ+1)))/h.

    S. A. Levin and R. M. May, Theoretical Population Biology 9, 1976.

    Parameters
    ----------
    curvature
        h, the largest eigenvalue of H.
    delay
        τ, steps.
    """
    return 2.0 * math.sin(math.pi / (2.0 * (2.0 * delay + 1.0))) / curvature


def edge(
    hessian: np.ndarray, delays: np.ndarray, *, decay: float = 0.0, supply_line: float = 0.0
) -> float:
    """The rate above which disturbances grow, by bisection; infinite if they never do.

    Parameters are those of :func:`companion`.
    """

    def grows(rate: float) -> bool:
        options = {"decay": decay, "supply_line": supply_line}
        return spectral_radius(hessian, delays, rate, **options) > 1.0 + GROWS

    curvature = float(np.abs(np.linalg.eigvalsh(hessian)).max()) + decay
    high = scalar_edge(curvature, float(delays.max()))
    for _ in range(MAX_DOUBLINGS):
        if grows(high):
            break
        high *= 2.0
    else:
        return math.inf
    low = 0.0
    while high - low > PRECISION * high:
        middle = 0.5 * (low + high)
        low, high = (low, middle) if grows(middle) else (middle, high)
    return 0.5 * (low + high)


def reduced(
    hessian: np.ndarray, delays: np.ndarray, directions: int
) -> tuple[np.ndarray, np.ndarray]:
    """A smaller system for the same edge: of each block of equal delays the steepest directions.

    Variables whose delays to and from all others are equal are a block, as the weights of a layer.
    Of each, the directions in which H is largest are kept; it is exact if there is no curvature in
    the others.

    Parameters
    ----------
    hessian, delays
        As of :func:`companion`.
    directions
        The most directions of a block.

    Returns
    -------
    hessian, delays
        Of the directions that are kept.
    """
    _, first, block = np.unique(
        np.concatenate([delays, delays.T], axis=1), axis=0, return_index=True, return_inverse=True
    )
    bases, of = [], []
    for k in range(len(first)):
        members = np.flatnonzero(block.ravel() == k)
        left, _, _ = np.linalg.svd(hessian[members], full_matrices=False)
        basis = np.zeros((len(hessian), min(directions, left.shape[1])))
        basis[members] = left[:, :directions]
        bases.append(basis)
        of += [first[k]] * basis.shape[1]
    together = np.concatenate(bases, axis=1)
    return together.T @ hessian @ together, delays[np.ix_(of, of)]
