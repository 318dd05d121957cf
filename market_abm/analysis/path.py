"""How much like gradient descent the path was (docs/model.md, 5): staleness, alignment, welfare."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from market_abm.analysis.comparison import Comparison
from market_abm.economy import Buyers, Economy
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
    def _scale(self) -> np.ndarray:
        """The largest gradient of each good, shape (goods,); 1 where that is 0."""
        scale = np.abs(self.comparison.gradients).max(axis=0)
        return np.where(scale > 0.0, scale, 1.0)

    @cached_property
    @np.errstate(all="ignore")
    def _moving(self) -> np.ndarray:
        """Which goods' gradients move by more than rounding, shape (goods,)."""
        return np.ptp(self.comparison.gradients, axis=0) > 1e-9 * self._scale

    @cached_property
    @np.errstate(all="ignore")
    def _distances(self) -> tuple[np.ndarray, np.ndarray]:
        """Squared distances between p(t) and g(t - lag), in units of each good's scale.

        Summed over the steps that all lags reach, shape (lags, goods); and over the goods whose
        gradients move, shape (lags, steps + 1), infinite before step ``lag``.
        """
        prices, gradients = self.trajectory.prices, self.comparison.gradients
        count, goods = prices.shape
        lags = max(1, min(LONGEST_LAG + 1, count // 2))
        of_good, at_step = np.zeros((lags, goods)), np.full((lags, count), np.inf)
        for lag in range(lags):
            distance = ((prices[lag:] - gradients[: count - lag]) / self._scale) ** 2
            of_good[lag] = distance[lags - 1 - lag :].sum(axis=0)
            at_step[lag, lag:] = distance[:, self._moving].sum(axis=1)
        return of_good, at_step

    @cached_property
    def staleness_of_good(self) -> np.ndarray:
        """The lag at which p(t) is nearest to g(t - lag) over the run, shape (goods,); or NaN."""
        return np.where(self._moving, np.argmin(self._distances[0], axis=0), np.nan)

    @cached_property
    @np.errstate(all="ignore")
    def staleness(self) -> np.ndarray:
        """At each step t, the lag at which the prices of all goods are nearest to g(t - lag).

        NaN at steps at which the gradient has stood still for as long as the lags reach back.
        """
        nearest = np.argmin(self._distances[1], axis=0).astype(float)
        changes = np.abs(np.diff(self.comparison.gradients, axis=0)) > 1e-12 * self._scale
        moves = np.concatenate([[0], np.cumsum(changes.any(axis=1))])
        lags = len(self._distances[0])
        earlier = np.concatenate([np.zeros(lags - 1), moves])[: len(moves)]
        return np.where(moves > earlier, nearest, np.nan)

    @cached_property
    def overall_staleness(self) -> float:
        """The lag at which all prices are nearest to all gradients over the whole run, or NaN."""
        if not self._moving.any():
            return float("nan")
        return float(np.argmin(self._distances[0][:, self._moving].sum(axis=1)))

    @cached_property
    @np.errstate(all="ignore")
    def alignment(self) -> np.ndarray:
        """Cosine between the move of the shares made in each step and the gradient of welfare.

        Both in the coordinates of the mirror map (docs/model.md, 5): a share s moves by Δ ln s; the
        gradient of W by ln s, in the metric of the money that flows through each pool, is the
        buyer's exact value over the pool's. The cosine of a step of exponentiated gradient with
        fresh prices tends to 1 near rest; where all pools have two buyers it is a mere sign.
        """
        buyers, shares = self.economy.buyers, self.trajectory.shares
        count, pools = len(shares), len(buyers.starts)
        result = np.full(count, np.nan)
        if pools == buyers.size:
            return result
        values, quantities = self.comparison.values, self.trajectory.quantities
        for t in range(count - 1):
            s = shares[t]
            money = values[t] * quantities[t][buyers.good]
            pool_money = np.abs(np.add.reduceat(s * money, buyers.starts))[buyers.pool]
            uphill = _centred(np.where(pool_money > 0, money / pool_money, 0.0), s, buyers)
            move = _centred(np.where(s > 0, np.log(shares[t + 1] / s), 0.0), s, buyers)
            weight = s * pool_money
            sizes = [np.sqrt((weight * each**2).sum()) for each in (uphill, move)]
            if min(sizes) > 1e-12 * np.sqrt(weight.sum()):  # else it is all rounding
                result[t] = (weight * uphill * move).sum() / (sizes[0] * sizes[1])
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


def _centred(vector: np.ndarray, shares: np.ndarray, buyers: Buyers) -> np.ndarray:
    """``vector`` less its share-weighted mean in each pool: shares always sum to one."""
    return vector - np.add.reduceat(shares * vector, buyers.starts)[buyers.pool]
