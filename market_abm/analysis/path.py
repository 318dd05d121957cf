"""How much like gradient descent the path was (docs/model.md, 5): staleness, alignment, welfare."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from market_abm import behaviour
from market_abm.economy import Economy
from market_abm.record import Trajectory
from market_abm.state import State

if TYPE_CHECKING:
    from market_abm.analysis.comparison import Comparison

LONGEST_LAG = 64


@dataclass(frozen=True, eq=False)
class Path:
    """The measures of one run, from the goods recorded; arrays over time have shape (records,).

    NaN means that there is nothing to measure: a gradient that does not move has no staleness, and
    where no good is divided between buyers there are no free variables to move.
    """

    trajectory: Trajectory
    comparison: Comparison
    last_shock: int = 0

    @cached_property
    def _gradients(self) -> np.ndarray:
        """Those of one good beside each other, shape (goods, records)."""
        return np.ascontiguousarray(self.comparison.gradients.T)

    @cached_property
    def _scale(self) -> np.ndarray:
        """The largest gradient of each good, shape (goods,); 1 where that is 0."""
        scale = np.abs(self._gradients).max(axis=1)
        return np.where(scale > 0.0, scale, 1.0)

    @cached_property
    @np.errstate(all="ignore")
    def _moving(self) -> np.ndarray:
        """Which goods' gradients move by more than rounding, shape (goods,)."""
        return np.ptp(self._gradients, axis=1) > 1e-9 * self._scale

    @cached_property
    @np.errstate(all="ignore")
    def _changed(self) -> np.ndarray:
        """At which steps any gradient moved by more than rounding, shape (records,)."""
        changes = np.abs(np.diff(self._gradients, axis=1)) > 1e-12 * self._scale[:, None]
        return np.concatenate([[False], changes.any(axis=0)])

    @cached_property
    def _lags(self) -> int:
        """How many lags are tried: 0, 1, ..."""
        return max(1, min(LONGEST_LAG + 1, len(self.trajectory.prices) // 2))

    @np.errstate(all="ignore")
    def _distance(self, k: int) -> np.ndarray:
        """Squared distances of good k's p(t) and g(t - lag), in units of its scale: (steps, lags).

        Infinite before step ``lag``; once no gradient has moved for as long as the lags reach back,
        all lags are alike, and no more steps are told.
        """
        lags = self._lags
        count = int(np.max(np.flatnonzero(self._changed), initial=0)) + lags + 1
        prices = self.trajectory.prices[:count, k] / self._scale[k]
        gradients = self._gradients[k, :count] / self._scale[k]
        padded = np.concatenate([np.full(lags - 1, np.inf), gradients])
        distance = prices[:, None] - sliding_window_view(padded, lags)[:, ::-1]
        distance *= distance
        return distance

    @cached_property
    def _distances(self) -> np.ndarray:
        """Those of the goods whose gradients move, summed over time: shape (lags, goods)."""
        result = np.zeros((self._lags, len(self._scale)))
        for k in np.flatnonzero(self._moving).tolist():  # over the steps that all lags reach
            result[:, k] = self._distance(k)[self._lags - 1 :].sum(axis=0)
        return result

    @cached_property
    def staleness_of_good(self) -> np.ndarray:
        """The lag at which p(t) is nearest to g(t - lag) over the run, shape (goods,); or NaN."""
        return np.where(self._moving, np.argmin(self._distances, axis=0), np.nan)

    @cached_property
    @np.errstate(all="ignore")
    def staleness(self) -> np.ndarray:
        """At each step t, the lag at which the prices of all goods are nearest to g(t - lag).

        NaN at steps at which the gradient has stood still for as long as the lags reach back.
        """
        moves = np.cumsum(self._changed)
        nearest = np.full(len(moves), np.nan)
        moving = np.flatnonzero(self._moving).tolist()
        distance = sum((self._distance(k) for k in moving), np.zeros((1, 1)))
        nearest[: len(distance)] = np.argmin(distance, axis=1)
        earlier = np.concatenate([np.zeros(self._lags - 1), moves])[: len(moves)]
        return np.where(moves > earlier, nearest, np.nan)

    @cached_property
    def overall_staleness(self) -> float:
        """The lag at which all prices are nearest to all gradients over the whole run, or NaN."""
        if not self._moving.any():
            return float("nan")
        return float(np.argmin(self._distances.sum(axis=1)))

    @property
    def alignment(self) -> np.ndarray:
        """Cosine between the move that led to each step and the gradient of W before it."""
        return self.comparison.alignment

    @property
    def welfare(self) -> np.ndarray:
        """Total surplus W at each step."""
        return self.comparison.welfare

    @cached_property
    def uphill_share(self) -> float:
        """The share of steps on which W rose, of those on which it moved; NaN if it never did."""
        change = np.diff(self.welfare)
        moved = np.abs(change) > 1e-12 * np.abs(self.welfare).max()
        return float(np.mean(change[moved] > 0)) if moved.any() else float("nan")

    @cached_property
    @np.errstate(all="ignore")
    def rate(self) -> float:
        """The factor by which the moves of prices, quantities and shares shrink or grow in a step.

        Fitted (least squares on logarithms) to the second half of the steps on which anything
        moved by more than rounding, after the last shock; NaN if these are fewer than eight. 1 is a
        swing for ever.
        """
        trajectory = self.trajectory
        seen = [trajectory.prices, trajectory.quantities, trajectory.shares]
        paths = np.concatenate([each.T for each in seen if len(each) == len(seen[0])])
        scale = np.abs(paths).max(axis=1, keepdims=True)
        moves = np.diff(paths, axis=1) / np.where(scale > 0.0, scale, 1.0)
        size = np.sqrt((moves**2).sum(axis=0))
        moving = np.flatnonzero((size > 1e-12) & (trajectory.times[:-1] >= self.last_shock))
        if len(moving) < 8:
            return float("nan")
        late = moving[len(moving) // 2 :]
        slope = np.polyfit(trajectory.times[late], np.log(size[late]), 1)[0]
        return float(np.exp(slope))


class Compass:
    """Follows the free variables of runs: does each move go where the gradient of W points?

    Free are the shares of contested pools and the quantities of suppliers who respond. Their
    coordinates are those of the mirror map (docs/model.md, 5): a share s moves by Δ ln s, a
    quantity q by Δq/|q|. The gradient of W, in the metric of the money that flows there, is the
    buyer's exact value over its pool's, and the supplier's margin (g - MC)/|g|. The cosine of a
    step of exponentiated gradient with fresh prices tends to 1 near rest; where only one variable
    is free it is a mere sign. NaN where nothing moves, or nothing can.
    """

    def __init__(self, economy: Economy) -> None:
        self.economy = economy
        pools = economy.buyers.contested
        sizes = [pool.buyers.stop - pool.buyers.start for pool in pools]
        free = np.concatenate(
            [np.arange(0), *(np.arange(p.buyers.start, p.buyers.stop) for p in pools)]
        )
        together = len(free) > 0 and free[-1] - free[0] == len(free) - 1
        # A slice where it will do: millions of shares are better looked at than copied.
        self._buyers = slice(int(free[0]), int(free[-1]) + 1) if together else free
        self._contested = len(free) > 0
        self._starts = np.cumsum([0, *sizes])[:-1]
        self._pool = np.repeat(np.arange(len(pools)), sizes)
        self._raw = np.array(
            [k for k, terms in enumerate(economy.supply.values()) if np.any(terms.elasticity)], int
        )
        self._before: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None = None

    def keep(self, economy: Economy, rows: np.ndarray) -> None:
        """Go on with these runs only."""
        self.economy = economy
        if self._before is not None:
            shares, raw, uphill, weight = self._before
            self._before = shares[rows], raw[rows], uphill[rows], weight[rows]

    def __call__(self, state: State, gradient: np.ndarray, products: np.ndarray) -> np.ndarray:
        """The cosine for the move that led to ``state``, shape (...); and remember ``state``."""
        cosine = np.full(state.prices.shape[:-1], np.nan)
        if not self._contested and len(self._raw) == 0:
            return cosine
        shares, raw = state.shares[..., self._buyers], state.quantities[..., self._raw]
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
        self._before = (shares, raw, *self._direction(state, shares, gradient, products))
        return cosine

    def _direction(
        self, state: State, shares: np.ndarray, gradient: np.ndarray, products: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The gradient of W by all coordinates, and their weights; (..., free variables)."""
        buyers, supply = self.economy.buyers, list(self.economy.supply.values())
        makers, goods = buyers.maker[self._buyers], buyers.good[self._buyers]
        worth = gradient[..., makers] * products[..., self._buyers] * state.quantities[..., goods]
        money = np.abs(self._mean(worth, shares))
        by_share = np.where(money > 0, worth / np.where(money > 0, money, 1.0), 0.0)
        margins, stakes = [], []
        for k in self._raw:
            quantity, value = state.quantities[..., k : k + 1], gradient[..., k : k + 1]
            cost = behaviour.marginal_cost(supply[k], quantity)
            responds = np.greater(supply[k].elasticity, 0.0)
            size = np.where(value == 0.0, 1.0, np.abs(value))
            margins.append(np.where(responds, (value - cost) / size, 0.0))
            stakes.append(np.where(responds, np.abs(quantity * value), 0.0))
        uphill = np.concatenate([self._centred(by_share, shares), *margins], axis=-1)
        return uphill, np.concatenate([shares * money, *stakes], axis=-1)

    def _mean(self, vector: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """The share-weighted mean of ``vector`` in the pool of each buyer."""
        if not self._contested:
            return vector
        return np.add.reduceat(shares * vector, self._starts, axis=-1)[..., self._pool]

    def _centred(self, vector: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """``vector`` less its mean in each pool: shares always sum to one."""
        return vector - self._mean(vector, shares)


class PriceCompass:
    """Follows prices that are called: do they go where the dual potential falls?

    The cosine between the move of all quotes that can move and minus the gradient of Φ before it,
    which by Hotelling's lemma is excess demand (docs/model.md, 3); of the plans that were seen.
    """

    def __init__(self, economy: Economy) -> None:
        self.economy = economy
        self._before: tuple[np.ndarray, np.ndarray] | None = None

    def keep(self, economy: Economy, rows: np.ndarray) -> None:
        """Go on with these runs only."""
        self.economy = economy
        if self._before is not None:
            self._before = self._before[0][rows], self._before[1][rows]

    def __call__(self, state: State, reference: np.ndarray) -> np.ndarray:
        """The cosine for the move that led to ``state``, shape (...); and remember ``state``.

        ``reference``, units, (..., final goods), is what consumers refer to.
        """
        buyers, supplied = self.economy.buyers, state.quantities
        planned = state.shares * supplied[..., buyers.good]
        demand = np.add.reduceat(planned, buyers.starts, axis=-1)
        quotes = [state.bids[..., buyers.starts]]
        excess = [demand - supplied[..., buyers.good[buyers.starts]]]
        finals = zip(self.economy.final.tolist(), self.economy.demand.values(), strict=True)
        for k, (good, terms) in enumerate(finals):
            price = state.prices[..., good : good + 1]
            wanted = behaviour.demand_quantity(terms, reference[..., k : k + 1], price)
            called = np.isfinite(wanted)
            quotes.append(np.where(called, price, 0.0))
            excess.append(np.where(called, wanted - supplied[..., good : good + 1], 0.0))
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
