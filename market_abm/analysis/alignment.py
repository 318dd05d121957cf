"""Alignment of a market's moves with the gradient (docs/model.md, 5)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from market_abm.economy import curves
from market_abm.economy.economy import Economy
from market_abm.market.state import State


class Allocation(NamedTuple):
    """What the program makes by a forward pass, and the gradient there.

    Parameters
    ----------
    shares
        Shape (..., buyers).
    quantities
        Units, shape (..., goods).
    products
        Marginal products, shape (..., buyers).
    gradient
        ∂(value of final output)/∂(each good), money per unit, shape (..., goods).
    """

    shares: np.ndarray
    quantities: np.ndarray
    products: np.ndarray
    gradient: np.ndarray


class GradientAlignment:
    """The cosine between each move of a run's free variables and the gradient of W.

    Free are the shares of pools with several buyers and the quantities of suppliers with a positive
    elasticity. Their coordinates are those of the mirror map (docs/model.md, 5): a share s moves by
    Δ ln s, a quantity q by Δq/|q|. The gradient of W, weighted by the money spent there, is the
    buyer's exact value over its pool's mean, and the supplier's margin (g - MC)/|g|. The cosine of
    an exponentiated-gradient step with current prices tends to 1 near the steady state; with one
    free variable it is a sign. It is NaN where nothing moves, or nothing can.

    Parameters
    ----------
    economy
        The economy of the runs, vectorized if there are several.
    """

    def __init__(self, economy: Economy) -> None:
        self.economy = economy
        pools = economy.buyers.shared_pools
        sizes = [pool.buyers.stop - pool.buyers.start for pool in pools]
        free = np.concatenate(
            [np.arange(0), *(np.arange(p.buyers.start, p.buyers.stop) for p in pools)]
        )
        together = len(free) > 0 and free[-1] - free[0] == len(free) - 1
        # A slice where possible: it selects millions of shares without a copy.
        self._buyers = slice(int(free[0]), int(free[-1]) + 1) if together else free
        self._shared = len(free) > 0
        self._starts = np.cumsum([0, *sizes])[:-1]
        self._pool = np.repeat(np.arange(len(pools)), sizes)
        self._raw = np.array(
            [k for k, terms in enumerate(economy.supply.values()) if np.any(terms.elasticity)], int
        )
        self._before: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None = None

    def keep(self, economy: Economy, rows: np.ndarray) -> None:
        """Continue with these runs only."""
        self.economy = economy
        if self._before is not None:
            shares, raw, uphill, weight = self._before
            self._before = shares[rows], raw[rows], uphill[rows], weight[rows]

    def __call__(self, state: State, at: Allocation, reference: np.ndarray) -> np.ndarray:
        """The cosine of the move to ``state``, whose allocation is ``at``, shape (...)."""
        cosine = np.full(state.prices.shape[:-1], np.nan)
        if not self._shared and len(self._raw) == 0:
            return cosine
        shares, raw = at.shares[..., self._buyers], at.quantities[..., self._raw]
        if self._before is not None:
            former, quantities, uphill, weight = self._before
            by_share = np.where(former > 0, np.log(shares / former), 0.0)
            by_quantity = (raw - quantities) / np.where(quantities == 0, 1.0, np.abs(quantities))
            move = np.concatenate([self._centred(by_share, former), by_quantity], axis=-1)
            product = (weight * uphill * move).sum(axis=-1)
            sizes = [np.sqrt((weight * each**2).sum(axis=-1)) for each in (uphill, move)]
            rounding = 1e-12 * np.sqrt(weight.sum(axis=-1))
            moved = np.minimum(*sizes) > rounding
            cosine = np.where(moved, product / np.where(moved, sizes[0] * sizes[1], 1.0), np.nan)
        self._before = (shares, raw, *self._direction(at, shares))
        return cosine

    def _direction(self, at: Allocation, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The gradient of W in all coordinates, and their weights; (..., free variables)."""
        buyers, supply = self.economy.buyers, list(self.economy.supply.values())
        makers, goods = buyers.maker[self._buyers], buyers.good[self._buyers]
        slopes = at.gradient[..., makers] * at.products[..., self._buyers]
        worth = slopes * at.quantities[..., goods]
        money = np.abs(self._mean(worth, shares))
        by_share = np.where(money > 0, worth / np.where(money > 0, money, 1.0), 0.0)
        margins, stakes = [], []
        for k in self._raw:
            quantity, value = at.quantities[..., k : k + 1], at.gradient[..., k : k + 1]
            cost = curves.marginal_cost(supply[k], quantity)
            responds = np.greater(supply[k].elasticity, 0.0)
            size = np.where(value == 0.0, 1.0, np.abs(value))
            margins.append(np.where(responds, (value - cost) / size, 0.0))
            stakes.append(np.where(responds, np.abs(quantity * value), 0.0))
        uphill = np.concatenate([self._centred(by_share, shares), *margins], axis=-1)
        return uphill, np.concatenate([shares * money, *stakes], axis=-1)

    def _mean(self, vector: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """The share-weighted mean of ``vector`` in the pool of each buyer."""
        if not self._shared:
            return vector
        return np.add.reduceat(shares * vector, self._starts, axis=-1)[..., self._pool]

    def _centred(self, vector: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """``vector`` minus its mean in each pool: shares sum to one."""
        return vector - self._mean(vector, shares)


class DualAlignment:
    """The cosine between each move of quoted prices and the descent of the dual potential Φ.

    Minus the gradient of Φ is, by Hotelling's lemma, excess demand (docs/model.md, 3), here of the
    observed plans. Only quotes that can move count.

    Parameters
    ----------
    economy
        The economy of the runs, vectorized if there are several.
    """

    def __init__(self, economy: Economy) -> None:
        self.economy = economy
        self._before: tuple[np.ndarray, np.ndarray] | None = None

    def keep(self, economy: Economy, rows: np.ndarray) -> None:
        """Continue with these runs only."""
        self.economy = economy
        if self._before is not None:
            self._before = self._before[0][rows], self._before[1][rows]

    def __call__(self, state: State, at: Allocation, reference: np.ndarray) -> np.ndarray:
        """The cosine of the move to ``state``, shape (...).

        ``reference`` are the consumers' reference quantities, units, (..., final goods).
        """
        buyers, supplied = self.economy.buyers, state.quantities
        planned = state.shares * supplied[..., buyers.good]
        demand = np.add.reduceat(planned, buyers.starts, axis=-1)
        quotes = [state.bids[..., buyers.starts]]
        excess = [demand - supplied[..., buyers.good[buyers.starts]]]
        finals = zip(self.economy.final.tolist(), self.economy.demand.values(), strict=True)
        for k, (good, terms) in enumerate(finals):
            price = state.prices[..., good : good + 1]
            wanted = curves.demand_quantity(terms, reference[..., k : k + 1], price)
            quoted = np.isfinite(wanted)
            quotes.append(np.where(quoted, price, 0.0))
            excess.append(np.where(quoted, wanted - supplied[..., good : good + 1], 0.0))
        now, downhill = np.concatenate(quotes, axis=-1), np.concatenate(excess, axis=-1)
        cosine = np.full(now.shape[:-1], np.nan)
        if self._before is not None:
            move = now - self._before[0]
            sizes = np.linalg.norm(move, axis=-1) * np.linalg.norm(self._before[1], axis=-1)
            moved = np.linalg.norm(move, axis=-1) > 1e-12 * np.linalg.norm(now, axis=-1)
            product = (move * self._before[1]).sum(axis=-1)
            cosine = np.where(moved, product / np.where(sizes > 0.0, sizes, 1.0), np.nan)
        self._before = now, downhill
        return cosine


ALIGNMENTS: dict[str, type[GradientAlignment] | type[DualAlignment]] = {
    "allocation": GradientAlignment,
    "prices": DualAlignment,
}
"""The class that measures alignment, by ``Mechanism.alignment``."""
