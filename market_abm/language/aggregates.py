"""CES aggregates that are computed at many inputs, and what the units of each input make of them.

In y = (Σ w (x/a)^r)^(1/r), r = (σ - 1)/σ, all units of an input make x ∂y/∂x = y t / Σ t of the
output, with t = w (x/a)^r its term in the sum: two powers for each input and aggregate are one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from market_abm.language.ces import FIRST_AXIS, MIN_ELASTICITY, log_ces
from market_abm.language.segments import Places, gather, some

FAR = 0.25
"""|r| from which ln y = ln(Σ w (x/a)^r) / r has all its digits."""

LARGEST_SUM = 1e100
"""Σ w (x/a)^r up to which, and down to whose inverse, no term that counts over- or underflows."""


@dataclass(frozen=True, eq=False)
class Aggregates:
    """CES aggregates side by side.

    Attributes
    ----------
    weights
        w, which sum to 1 in each aggregate, in the shape of the inputs or broadcast to it.
    units
        a, likewise, or a number.
    elasticity
        σ > 0, shape (..., aggregates), or one for all.
    over
        What is aggregated: the first axis, or :class:`~market_abm.language.segments.Segments` of
        the last one.
    """

    weights: np.ndarray
    units: Any
    elasticity: Any
    over: Any = FIRST_AXIS

    @cached_property
    def cobb_douglas(self) -> bool:
        """Whether σ = 1 for all."""
        return not some(self.elasticity != 1.0)

    @cached_property
    def _r(self) -> np.ndarray:
        return np.atleast_1d((self.elasticity - 1.0) / self.elasticity)

    @cached_property
    def _near(self) -> np.ndarray | None:
        """Where |r| < ``FAR``, if anywhere."""
        near = np.abs(self._r) < FAR
        return near if near.any() else None

    def terms(self, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray, Any]:
        """The aggregates, and each input's term of them.

        Parameters
        ----------
        inputs
            x, shape (..., elements), or (inputs, ...) if ``over`` is the first axis; written over.

        Returns
        -------
        output
            y, shape (..., aggregates). Not a number where terms do not say what the inputs make:
            an input is 0, terms overflow or underflow, or σ is tiny.
        terms
            In the shape of the inputs.
        total
            Their sums, shape (..., aggregates), or 1.
        """
        inputs /= self.units
        logs = np.log(inputs, out=inputs)
        if self.cobb_douglas:
            logs *= self.weights
            mean = self.over.total(logs)
            return np.where(np.isfinite(mean), np.exp(mean), np.nan), self.weights, 1.0
        r, near = self._r, self._near
        usual = np.greater_equal(self.elasticity, MIN_ELASTICITY)
        if (r >= 0.0).any() and not logs.min() > -np.inf:
            usual = usual & (self.over.lowest(logs) > -np.inf)
        if near is not None:
            own, elements, few = self._few
            exact, _ = log_ces(gather(logs, elements), few.weights, few.elasticity, few.over)
        logs *= self.over.spread(r)
        terms = np.exp(logs, out=inputs)
        terms *= self.weights
        total: Any = self.over.total(terms)
        usual = usual & (total < LARGEST_SUM) & (total > 1.0 / LARGEST_SUM)
        if near is None:
            log_output = np.log(total) / r
        else:
            log_output = np.log(total) / np.where(near, 1.0, r)
            log_output[..., own] = np.where(near[..., own], exact, log_output[..., own])
            total = np.where(r == 0.0, 1.0, total)  # the sum of weights, but for rounding
        return np.where(usual, np.exp(log_output), np.nan), terms, total

    @cached_property
    def _few(self) -> tuple[Places, Places, Aggregates]:
        """The aggregates of which some have σ near 1, and their inputs; all if σ is one for all."""
        near = self._near
        assert near is not None
        if near.shape[-1] == 1:
            return slice(None), slice(None), self
        own = np.flatnonzero(near.any(axis=tuple(range(near.ndim - 1))))
        elements, over = self.over.select(own)
        units = gather(self.units, elements) if np.ndim(self.units) else self.units
        weights, elasticity = gather(self.weights, elements), gather(self.elasticity, own)
        return own, elements, Aggregates(weights, units, elasticity, over)
