"""Measures of a run: how closely it followed gradient descent (docs/model.md, 5)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from market_abm.analysis.observer import Comparison
from market_abm.analysis.rate import MeasuredRate, measured_rate
from market_abm.simulation.record import Trajectory

MAX_LAG = 64
"""The largest lag that is considered, steps."""


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
    """

    trajectory: Trajectory
    comparison: Comparison
    last_shock: int = 0

    @cached_property
    def _gradients(self) -> np.ndarray:
        """The gradients by good, contiguous, shape (goods, records)."""
        return np.ascontiguousarray(self.comparison.gradients.T)

    @cached_property
    def _scale(self) -> np.ndarray:
        """The largest size of each good's gradient, shape (goods,); 1 where that is 0."""
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
        """The number of lags considered: 0, 1, ..."""
        return max(1, min(MAX_LAG + 1, len(self.trajectory.prices) // 2))

    @np.errstate(all="ignore")
    def _distance(self, k: int) -> np.ndarray:
        """Squared distances of good k's p(t) and g(t - lag), in units of its scale: (steps, lags).

        Infinite before step ``lag``. The steps end where no gradient has moved within the largest
        lag, since all lags are equal from there on.
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
        """Distances summed over time, for goods whose gradients move: shape (lags, goods)."""
        result = np.zeros((self._lags, len(self._scale)))
        for k in np.flatnonzero(self._moving).tolist():  # steps with all lags
            result[:, k] = self._distance(k)[self._lags - 1 :].sum(axis=0)
        return result

    @cached_property
    def staleness_of_good(self) -> np.ndarray:
        """The lag at which p(t) is closest to g(t - lag) over the run, shape (goods,); or NaN."""
        return np.where(self._moving, np.argmin(self._distances, axis=0), np.nan)

    @cached_property
    @np.errstate(all="ignore")
    def staleness(self) -> np.ndarray:
        """At each step t, the lag at which the prices of all goods are closest to g(t - lag).

        NaN at steps where the gradient has not moved within the largest lag.
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
        """The lag at which all prices are closest to all gradients over the run, or NaN."""
        if not self._moving.any():
            return float("nan")
        return float(np.argmin(self._distances.sum(axis=1)))

    @property
    def alignment(self) -> np.ndarray:
        """The cosine between the move to each step and the gradient of W before it."""
        return self.comparison.alignment

    @property
    def welfare(self) -> np.ndarray:
        """Total surplus W at each step."""
        return self.comparison.welfare

    @cached_property
    def ascent_fraction(self) -> float:
        """The fraction of steps on which W rose, of those on which it moved; NaN if none."""
        change = np.diff(self.welfare)
        moved = np.abs(change) > 1e-12 * np.abs(self.welfare).max()
        return float(np.mean(change[moved] > 0)) if moved.any() else float("nan")

    @cached_property
    def rate(self) -> MeasuredRate:
        """The factor by which moves of prices, quantities and shares shrink or grow in a step.

        Of the steps after the last shock, near rest (``analysis/rate.py``).
        """
        trajectory = self.trajectory
        after = trajectory.times >= self.last_shock
        arrays = [trajectory.prices, trajectory.quantities, trajectory.shares]
        paths = [each[after] for each in arrays if len(each) == len(after)]
        return measured_rate(paths, trajectory.times[after])


# --- the table of measures ------------------------------------------------------------------------


class MeasuredRun(Protocol):
    """What measures are computed from; ``Result`` is one."""

    @property
    def path(self) -> PathMeasures:
        """The measures of the path."""

    @property
    def last_errors(self) -> np.ndarray:
        """|price - gradient| / |gradient| of all goods at the last step, shape (goods,)."""


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
    """

    key: str
    label: str
    unit: str
    compute: Callable[[MeasuredRun], float | None]

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
    Measure("staleness", "staleness of prices", "steps", lambda run: run.path.overall_staleness),
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
]
"""All measures of a run. A new one is an entry here, and appears wherever measures are shown."""


def measured(run: MeasuredRun) -> dict[str, float | None]:
    """All measures of a run, by key."""
    return {measure.key: measure.of(run) for measure in MEASURES}
