"""How much like gradient descent the path was (docs/model.md, 5): staleness, alignment, welfare."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from market_abm.analysis.comparison import Comparison
from market_abm.economy import Economy
from market_abm.simulation import Trajectory

LONGEST_LAG = 64


@dataclass(frozen=True, eq=False)
class Path:
    """The measures of one run; arrays over time have shape (steps + 1,).

    NaN means that there is nothing to measure: a gradient that does not move has no staleness, and
    where no good is divided between buyers there are no free variables to move.
    """

    economy: Economy
    trajectory: Trajectory
    comparison: Comparison

    @cached_property
    def _distances(self) -> np.ndarray:
        """((p(t) - g(t - lag)) / scale)², shape (lags, steps + 1, goods); NaN before step lag."""
        prices, gradients = self.trajectory.prices, self.comparison.gradients
        count = len(prices)
        lags = max(1, min(LONGEST_LAG + 1, count // 2))
        scale = np.abs(gradients).max(axis=0)
        scale = np.where(scale > 0.0, scale, 1.0)
        distances = np.full((lags, *prices.shape), np.nan)
        for lag in range(lags):
            earlier = gradients[: count - lag]
            distances[lag, lag:] = ((prices[lag:] - earlier) / scale) ** 2
        return distances

    @cached_property
    def _moving(self) -> np.ndarray:
        """Which goods' gradients move by more than rounding, shape (goods,)."""
        gradients = self.comparison.gradients
        return np.ptp(gradients, axis=0) > 1e-9 * np.abs(gradients).max(axis=0)

    @cached_property
    def staleness_of_good(self) -> np.ndarray:
        """The lag at which p(t) is nearest to g(t - lag) over the run, shape (goods,); or NaN."""
        lags = len(self._distances)
        total = self._distances[:, lags - 1 :].sum(axis=1)
        return np.where(self._moving, np.argmin(total, axis=0), np.nan)

    @cached_property
    def staleness(self) -> np.ndarray:
        """At each step t, the lag at which the prices of all goods are nearest to g(t - lag).

        NaN at steps at which the gradient has stood still for as long as the lags reach back.
        """
        gradients = self.comparison.gradients
        lags, count = self._distances.shape[:2]
        scale = np.abs(gradients).max(axis=0)
        result = np.full(count, np.nan)
        for t in range(1, count):
            window = gradients[max(0, t - lags + 1) : t + 1]
            moving = np.ptp(window, axis=0) > 1e-9 * scale
            if moving.any():
                result[t] = np.nanargmin(self._distances[:, t, moving].sum(axis=1))
        return result

    @cached_property
    def overall_staleness(self) -> float:
        """The lag at which all prices are nearest to all gradients over the whole run, or NaN."""
        if not self._moving.any():
            return float("nan")
        lags = len(self._distances)
        return float(np.argmin(self._distances[:, lags - 1 :, self._moving].sum(axis=(1, 2))))

    @cached_property
    def alignment(self) -> np.ndarray:
        """Cosine between the move of the shares made in each step and the gradient of welfare.

        Both in the coordinates of the mirror map (docs/model.md, 5): a share s moves by Δ ln s; the
        gradient of W by ln s, in the metric of the money that flows through each pool, is the
        buyer's exact value over the pool's. A step of exponentiated gradient with fresh prices has
        cosine 1.
        """
        buyers, shares = self.economy.buyers, self.trajectory.shares
        count, pools = len(shares), len(buyers.starts)
        result = np.full(count, np.nan)
        if pools == buyers.size:
            return result
        values, quantities = self.comparison.values, self.trajectory.quantities
        with np.errstate(all="ignore"):
            for t in range(count - 1):
                s = shares[t]
                money = values[t] * quantities[t][buyers.good]
                pool_money = np.abs(np.add.reduceat(s * money, buyers.starts))[buyers.pool]
                uphill = _centred(np.where(pool_money > 0, money / pool_money, 0.0), s, buyers)
                move = _centred(np.where(s > 0, np.log(shares[t + 1] / s), 0.0), s, buyers)
                weight = s * pool_money
                size = np.sqrt((weight * uphill**2).sum() * (weight * move**2).sum())
                if np.abs(move).max() > 1e-12 and np.abs(uphill).max() > 1e-12:
                    result[t] = (weight * uphill * move).sum() / size
        return result

    @cached_property
    def welfare(self) -> np.ndarray:
        """Total surplus W at each step: the value of what consumers got."""
        final = self.economy.final
        return (self.trajectory.prices * self.trajectory.quantities)[:, final].sum(axis=1)

    @cached_property
    def uphill_share(self) -> float:
        """The share of steps on which W rose, of those on which it moved; NaN if it never did."""
        change = np.diff(self.welfare)
        moved = np.abs(change) > 1e-12 * np.abs(self.welfare).max()
        return float(np.mean(change[moved] > 0)) if moved.any() else float("nan")


def _centred(vector: np.ndarray, shares: np.ndarray, buyers: object) -> np.ndarray:
    """``vector`` less its share-weighted mean in each pool: shares always sum to one."""
    starts, pool = buyers.starts, buyers.pool  # type: ignore[attr-defined]
    return vector - np.add.reduceat(shares * vector, starts)[pool]
