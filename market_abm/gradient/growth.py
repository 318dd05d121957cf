"""Closed systems, in which every good is used: balanced growth, and the gradient along it.

Nobody outside pays, so that there is no value of final output to differentiate. At given shares the
goods of a step are made into those of the next by a map y = F(q), homogeneous of degree 1, with
F(q) = Mᵀ q at the slopes M(q), M[i, j] = ∂(output of j)/∂(unit of i). What it tends to grows by a
factor G, y = G q (J. von Neumann, 1937; in P. Sraffa's systems without a surplus G is 1). A little
more of good i makes the economy larger for ever, by an amount in proportion to pᵢ, where

    M p = G p,    d ln G = Σ q dM p / (G Σ q p):

prices are the dominant eigenvector, known up to their scale, and the gradient of ln G by shares.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.economy.production import produce

MAX_STEPS = 100
"""Steps of Newton's method; from the goods on sale it takes a few."""

GROWTH_TOL = 1e-14
"""The relative change of proportions at which Newton's method stops."""

LARGEST_CHANGE = 1e-10
"""The relative change of proportions up to which they count as found."""


class BalancedGrowth(NamedTuple):
    """Quantities that grow in proportion: units, shape (..., goods), and marginal products there.

    ``products`` has shape (..., buyers). Both are NaN where none was found.
    """

    quantities: np.ndarray
    products: np.ndarray


@np.errstate(all="ignore")
def balanced_growth(economy: Economy, shares: np.ndarray, guess: np.ndarray) -> BalancedGrowth:
    """The quantities that grow in proportion at given shares, by Newton's method.

    As F is homogeneous of degree 1, its linearisation at q is Mᵀ: the next q is the dominant
    eigenvector of that. Only proportions are determined, and the size is that of the guess.

    Parameters
    ----------
    economy
        A closed economy, vectorized if there are several runs.
    shares
        Shape (..., buyers).
    guess
        Units, shape (..., goods), or (goods,).
    """
    size = np.abs(guess).sum(axis=-1, keepdims=True)
    now = np.broadcast_to(guess / size, (*shares.shape[:-1], guess.shape[-1])).copy()
    products, change = np.zeros_like(shares), np.array(np.inf)
    for _ in range(MAX_STEPS):
        for group in economy.groups:
            produce(group, shares, now, products)
        slopes = economy.uses.slopes(products, shares)
        before, now = now, dominant(np.swapaxes(matrix(economy, slopes), -1, -2))
        change = np.abs(now - before).max(axis=-1, keepdims=True)
        if not np.any(change > GROWTH_TOL):
            break
    found = change <= LARGEST_CHANGE
    return BalancedGrowth(np.where(found, now * size, np.nan), np.where(found, products, np.nan))


def matrix(economy: Economy, slopes: np.ndarray) -> np.ndarray:
    """M, (..., goods, goods), from good (row) to output (column), by the ``slopes`` of uses."""
    goods, uses = len(economy.goods), economy.uses
    result = np.zeros((*slopes.shape[:-1], goods, goods))
    places: Any = (..., uses.good, uses.maker)
    np.add.at(result, places, slopes)  # a line may read a good twice
    return result


@np.errstate(all="ignore")
def dominant(matrices: np.ndarray) -> np.ndarray:
    """The eigenvector of the largest real eigenvalue, with Σ |x| = 1 and Σ x > 0, (..., n).

    Of matrices (..., n, n); NaN where one is not finite.
    """
    finite = np.isfinite(matrices).all(axis=(-1, -2))[..., None]
    values, vectors = np.linalg.eig(np.where(finite[..., None], matrices, 0.0))
    place = np.argmax(values.real, axis=-1)[..., None, None]
    chosen = np.take_along_axis(vectors, place, axis=-1)[..., 0].real
    sums = np.abs(chosen).sum(axis=-1, keepdims=True) * np.sign(chosen.sum(axis=-1, keepdims=True))
    return np.where(finite, chosen / sums, np.nan)


def relative_prices(economy: Economy, slopes: np.ndarray) -> np.ndarray:
    """The p of M p = G p, with sum 1, shape (..., goods), by the ``slopes`` of uses."""
    return dominant(matrix(economy, slopes))


@np.errstate(all="ignore")
def growth_factor(economy: Economy, slopes: np.ndarray, quantities: np.ndarray) -> np.ndarray:
    """G, the factor by which quantities (..., goods) that grow in proportion do so, shape (...)."""
    made = (slopes * quantities[..., economy.uses.good]).sum(axis=-1)
    return made / quantities.sum(axis=-1)
