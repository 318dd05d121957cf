"""Measures of a run: how closely it followed gradient descent (docs/model.md, 5)."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from market_abm.analysis.observer import Comparison
from market_abm.analysis.rate import MeasuredRate, measured_rate, measured_rates
from market_abm.analysis.rotation import Rotation
from market_abm.language.segments import BLOCK
from market_abm.simulation.record import Trajectory

MAX_LAG = 64
"""The largest lag that is considered, steps."""

MIN_EXPLAINED = 0.9
"""R² from which a price counts as tracking its gradient."""

MIN_STEPS = 4
"""Steps from which a price is compared with its gradient at all."""


@dataclass(frozen=True, eq=False)
class PathMeasures:
    """Measures along the path of one run, of its recorded goods.

    Arrays over time have shape (records,). NaN means that there is nothing to measure: a gradient
    that does not move has no staleness, and without free variables there is no alignment.

    Parameters
    ----------
    trajectory
        The path of the run.
    comparison
        The observer's results on it.
    last_shock
        The step of the last shock.
    closed
        Whether nobody outside pays: quantities and prices are then known in proportion.
    """

    trajectory: Trajectory
    comparison: Comparison
    last_shock: int = 0
    closed: bool = False

    @cached_property
    def _lags(self) -> int:
        """The number of lags considered: 0, 1, ..."""
        return max(1, min(MAX_LAG + 1, len(self.trajectory.prices) // 2))

    @cached_property
    @np.errstate(all="ignore")
    def _moving(self) -> np.ndarray:
        """Which goods' gradients move by more than rounding, shape (goods,)."""
        return _is_moving(self.comparison.gradients)

    @cached_property
    @np.errstate(all="ignore")
    def _unexplained(self) -> np.ndarray:
        """See :func:`_unexplained`, shape (lags, goods)."""
        return _unexplained(self.trajectory.prices, self.comparison.gradients, self._lags)

    @cached_property
    def _tracks(self) -> np.ndarray:
        """Which goods' prices track their gradients, at some lag, shape (goods,)."""
        return self._unexplained.min(axis=0) <= 1.0 - MIN_EXPLAINED

    @cached_property
    def staleness_of_good(self) -> np.ndarray:
        """The lag at which p(t + lag) is closest to g(t) over the run, shape (goods,).

        NaN where the price does not track its gradient: at no lag does it explain 0.9 of the
        gradient's variation (R²).
        """
        nearest = np.argmin(self._unexplained, axis=0)
        return np.where(self._tracks, nearest, np.nan)

    @cached_property
    @np.errstate(all="ignore")
    def staleness(self) -> np.ndarray:
        """At each step t, the lag at which the prices that track are closest to g(t - lag).

        NaN at steps where their gradients have not moved within the largest lag.
        """
        prices = self.trajectory.prices[:, self._tracks]
        gradients = self.comparison.gradients[:, self._tracks]
        scale = np.abs(gradients).max(axis=0)
        nearest, least = (np.full(len(prices), fill) for fill in (np.nan, np.inf))
        if not self._tracks.any():
            return nearest
        changes = (np.abs(np.diff(gradients, axis=0)) > 1e-12 * scale).any(axis=1)
        moves = np.cumsum(np.concatenate([[False], changes]))
        for lag in range(self._lags):
            gap = (prices[lag:] - gradients[: len(gradients) - lag]) / scale
            distance = (gap**2).sum(axis=1)
            closer = distance < least[lag:]
            nearest[lag:] = np.where(closer, lag, nearest[lag:])
            least[lag:] = np.where(closer, distance, least[lag:])
        earlier = np.concatenate([np.zeros(self._lags - 1), moves])[: len(moves)]
        return np.where(moves > earlier, nearest, np.nan)

    @property
    def tracking(self) -> tuple[int, int]:
        """The number of recorded prices that track their gradients, and of those that could."""
        return int(self._tracks.sum()), int(self._moving.sum())

    @property
    def mean_staleness(self) -> float:
        """The mean of :attr:`staleness_of_good` over the prices that track; NaN if none does."""
        lags = self.staleness_of_good[self._tracks]
        return float(lags.mean()) if lags.size else float("nan")

    @property
    def alignment(self) -> np.ndarray:
        """The cosine between the move to each step and the gradient of W before it."""
        return self.comparison.alignment

    @property
    def welfare(self) -> np.ndarray:
        """Total surplus W of the allocation at each step."""
        return self.comparison.welfare

    @property
    def gains(self) -> np.ndarray:
        """The change of W in the move to each step, at the weights of households before it.

        NaN at the first record. Without households weights do not change, and it is the change
        since the record before.
        """
        if self.comparison.gains is None:
            return np.diff(self.welfare, prepend=np.nan)
        return np.concatenate([[np.nan], self.comparison.gains[1:]])

    @property
    def reweighting(self) -> np.ndarray:
        """The change of W by that of households' weights in each step: the rest of it.

        NaN where the step before was not recorded.
        """
        steps = np.diff(self.trajectory.times, prepend=-1)
        change = np.diff(self.welfare, prepend=np.nan) - self.gains
        return np.where(steps == 1, change, np.nan)

    @property
    def gain_fractions(self) -> np.ndarray:
        """Of the move to each step the gain, over the largest of its size to first order.

        For a small move it is the cosine with the gradient of W, without taxes the alignment; half
        of that, where a move goes to the top of a parabola. NaN where nothing moves, and without
        households.
        """
        possible = self.comparison.possible
        if possible is None:
            return np.full(len(self.welfare), np.nan)
        return np.where(
            possible > 0.0, self.gains / np.where(possible > 0.0, possible, 1.0), np.nan
        )

    @cached_property
    def gain_fraction(self) -> float:
        """Of all moves the sum of gains, over the sum of the largest ones; NaN if unknown.

        See :attr:`gain_fractions`.
        """
        if self.comparison.possible is None:
            return math.nan
        known = np.isfinite(self.gains) & np.isfinite(self.comparison.possible)
        possible = self.comparison.possible[known].sum()
        return float(self.gains[known].sum() / possible) if possible > 0.0 else math.nan

    @cached_property
    def ascent_fraction(self) -> float:
        """The fraction of steps on which W rose, of those on which it moved; NaN if none.

        W at the weights of the step before, in an economy with households.
        """
        change = self.gains[1:]
        moved = np.abs(change) > 1e-12 * np.abs(self.welfare).max()
        return float(np.mean(change[moved] > 0)) if moved.any() else float("nan")

    @cached_property
    def rate(self) -> MeasuredRate:
        """The factor by which moves of prices, quantities and shares shrink or grow in a step.

        Of the steps after the last shock, near rest (``analysis/rate.py``); in a closed system, of
        prices and quantities as parts of their sums.
        """
        return measured_rate(*self._after_shocks)

    @staticmethod
    @np.errstate(all="ignore")
    def compute_together(several: Sequence[PathMeasures], *, rates: bool, staleness: bool) -> None:
        """Compute measures of several runs, which takes less time together; the numbers agree."""
        if rates:
            found = measured_rates([each._after_shocks for each in several])
            for each, rate in zip(several, found, strict=True):
                vars(each)["rate"] = rate
        groups: defaultdict[tuple[int, ...], list[PathMeasures]] = defaultdict(list)
        for each in several if staleness else ():
            groups[each.trajectory.prices.shape].append(each)
        for shape, group in groups.items():
            size = max(1, BLOCK // math.prod(shape))
            for first in range(0, len(group), size):
                some = group[first : first + size]
                prices = np.stack([each.trajectory.prices for each in some])
                gradients = np.stack([each.comparison.gradients for each in some])
                parts = _unexplained(prices, gradients, some[0]._lags)
                for each, part in zip(some, parts, strict=True):
                    vars(each)["_unexplained"] = part

    @property
    def _after_shocks(self) -> tuple[list[np.ndarray], np.ndarray]:
        """Prices, quantities and shares after the last shock, and the recorded steps."""
        trajectory = self.trajectory
        arrays = [trajectory.prices, trajectory.quantities]
        if self.closed:
            arrays = [each / each.sum(axis=1, keepdims=True) for each in arrays]
        arrays.append(trajectory.shares)
        if self.last_shock == 0:
            return [each for each in arrays if len(each) == len(trajectory.times)], trajectory.times
        after = trajectory.times >= self.last_shock
        return [each[after] for each in arrays if len(each) == len(after)], trajectory.times[after]


def _is_moving(gradients: np.ndarray) -> np.ndarray:
    """Which gradients, (..., records, goods), move by more than rounding, shape (..., goods)."""
    return np.ptp(gradients, axis=-2) > 1e-9 * np.abs(gradients).max(axis=-2)


def _unexplained(prices: np.ndarray, gradients: np.ndarray, lags: int) -> np.ndarray:
    """Of each good's gradient, the variation that its price a lag later leaves unexplained.

    1 - R², with R² = 1 - Σ (p(t + lag) - g(t))² / Σ (g(t) - mean)², over the steps t from the first
    move of the price on, as far as all lags are recorded. Infinite where no gradient moves.

    Parameters
    ----------
    prices, gradients
        Money per unit, shape (..., records, goods).
    lags
        Lags 0, 1, ... that are considered.

    Returns
    -------
    numpy.ndarray
        Shape (..., lags, goods).
    """
    count = prices.shape[-2] - lags
    moved = np.argmax(prices != prices[..., :1, :], axis=-2, keepdims=True)
    among = (np.arange(count)[:, None] >= moved) & _is_moving(gradients)[..., None, :]
    steps = among.sum(axis=-2)
    enough = steps >= MIN_STEPS
    early = np.where(among, gradients[..., :count, :], 0.0)
    mean = early.sum(axis=-2) / np.where(enough, steps, 1)
    variation = np.where(among, early - mean[..., None, :], 0.0)
    variation = (variation**2).sum(axis=-2)
    result = np.full((*prices.shape[:-2], lags, prices.shape[-1]), np.inf)
    later = sliding_window_view(prices, count, axis=-2).swapaxes(-1, -2)  # (lags, steps, goods)
    together = max(1, BLOCK // max(1, early.size))
    for first in range(0, lags, together):
        some = slice(first, min(first + together, lags))
        gaps = later[..., some, :, :] - gradients[..., None, :count, :]
        squares = np.where(among[..., None, :, :], gaps, 0.0) ** 2
        part = squares.sum(axis=-2) / variation[..., None, :]
        result[..., some, :] = np.where(enough[..., None, :], part, np.inf)
    result[np.isnan(result)] = np.inf
    return result


# --- the table of measures ------------------------------------------------------------------------


class MeasuredRun(Protocol):
    """What measures are computed from; ``Result`` is one."""

    @property
    def path(self) -> PathMeasures:
        """The measures of the path."""

    @property
    def last_errors(self) -> np.ndarray:
        """|price - gradient| / |gradient| of all goods at the last step, shape (goods,)."""

    @property
    def rotation(self) -> Rotation | None:
        """The gradient and the rotation of a step at the steady state; None if unknown."""

    @property
    def taxes(self) -> Any:
        """What taxes do at the last step; None without taxes."""


@dataclass(frozen=True)
class Measure:
    """One number about a run, shown in summaries, sweeps, sentences, reports and notebooks.

    Parameters
    ----------
    key
        Its name in files.
    label
        Its name in tables.
    unit
        Its unit; empty for a ratio.
    compute
        The number of a run; NaN or None where there is nothing to measure.
    of_households
        Whether only runs with households have it.
    of_rest
        Whether it is of the steady state, which is found without the run, and takes long.
    of_taxes
        Whether only runs with taxes have it.
    """

    key: str
    label: str
    unit: str
    compute: Callable[[MeasuredRun], float | None]
    of_households: bool = False
    of_rest: bool = False
    of_taxes: bool = False

    def of(self, run: MeasuredRun) -> float | None:
        """The number of a run as a float, or None where there is nothing to measure."""
        with np.errstate(all="ignore"):
            value = self.compute(run)
        return None if value is None or np.isnan(value) else float(value)


def _mean_alignment(run: MeasuredRun) -> float | None:
    measured = run.path.alignment[np.isfinite(run.path.alignment)]
    return float(measured.mean()) if measured.size else None


MEASURES: list[Measure] = [
    Measure("error", "largest price error", "", lambda run: run.last_errors.max()),
    Measure("welfare", "welfare", "money per step", lambda run: run.path.welfare[-1]),
    Measure(
        "staleness",
        "mean staleness of the prices that track their gradients",
        "steps",
        lambda run: run.path.mean_staleness,
    ),
    Measure("alignment", "mean alignment with the gradient", "", _mean_alignment),
    Measure(
        "uphill_share",
        "share of steps in which welfare rose",
        "",
        lambda run: run.path.ascent_fraction,
    ),
    Measure("rate", "measured rate", "per step", lambda run: run.path.rate.value),
    Measure(
        "rate_uncertainty",
        "uncertainty of the measured rate",
        "per step",
        lambda run: run.path.rate.uncertainty,
    ),
    Measure(
        "gain",
        "welfare gained by moves of the allocation, at the weights of the moment",
        "money per step",
        lambda run: np.nansum(run.path.gains),
        of_households=True,
    ),
    Measure(
        "gain_fraction",
        "part of the most that moves of their sizes could gain, to first order",
        "",
        lambda run: run.path.gain_fraction,
        of_households=True,
    ),
    Measure(
        "reweighting",
        "change of welfare by that of households' weights",
        "money per step",
        lambda run: np.nansum(run.path.reweighting),
        of_households=True,
    ),
    Measure(
        "gradient_share",
        "gradient share of moves near the steady state",
        "",
        lambda run: None if run.rotation is None else run.rotation.gradient_share,
        of_households=True,
        of_rest=True,
    ),
    Measure(
        "tax_revenue",
        "revenue of all taxes",
        "money per step",
        lambda run: None if run.taxes is None else sum(run.taxes.revenues.values()),
        of_taxes=True,
    ),
    Measure(
        "deadweight_loss",
        "deadweight loss of taxes",
        "money per step",
        lambda run: None if run.taxes is None else run.taxes.deadweight_loss,
        of_taxes=True,
    ),
]
"""All measures of a run. A new one is an entry here, and appears wherever measures are shown."""


def measures_of(run: MeasuredRun) -> list[Measure]:
    """The measures that a run can have: some only with households, or with taxes."""
    households, taxed = run.path.comparison.gains is not None, run.taxes is not None
    return [
        each
        for each in MEASURES
        if (households or not each.of_households) and (taxed or not each.of_taxes)
    ]


def measured(run: MeasuredRun) -> dict[str, float | None]:
    """All measures that a run has, by key."""
    return {each.key: each.of(run) for each in measures_of(run)}
