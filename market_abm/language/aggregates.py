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

    def terms(
        self, inputs: np.ndarray, out: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray, Any]:
        """The aggregates, and each input's term of them.

        Parameters
        ----------
        inputs
            x, shape (..., elements), or (inputs, ...) if ``over`` is the first axis.
        out
            Room in that shape, if there is some.

        Returns
        -------
        output
            y, shape (..., aggregates). Not a number where terms do not say what the inputs make:
            an input is 0, terms overflow or underflow, or σ is tiny.
        terms
            In the shape of the inputs; not to be changed, unless they are ``out``.
        total
            Their sums, shape (..., aggregates), or 1.
        """
        terms = np.divide(inputs, self.units, out=out)
        if self.cobb_douglas:
            np.log(terms, out=terms)
            terms *= self.weights
            mean = self.over.total(terms)
            return np.where(np.isfinite(mean), np.exp(mean), np.nan), self.weights, 1.0
        np.power(terms, self.over.spread(self._r), out=terms)
        terms *= self.weights
        total: Any = self.over.total(terms)
        usual = (total < LARGEST_SUM) & (total > 1.0 / LARGEST_SUM)
        usual &= np.greater_equal(self.elasticity, MIN_ELASTICITY)
        if (self._r >= 0.0).any() and not inputs.min() > 0.0:
            usual &= self.over.lowest(inputs) > 0.0
        if self._near is None:
            output = total ** (1.0 / self._r)
        else:
            output = total ** (1.0 / np.where(self._near, 1.0, self._r))
            self._add_those_near_one(output, inputs)
            total = np.where(self._r == 0.0, 1.0, total)  # the sum of weights, but for rounding
        return np.where(usual, output, np.nan), terms, total

    def _add_those_near_one(self, output: np.ndarray, inputs: np.ndarray) -> None:
        """Write the aggregates of σ near 1, of which the sum of terms has too few digits."""
        assert self._near is not None
        own, elements, exact = self._few
        logs = np.log(gather(inputs, elements) / exact.units)
        log_output, _ = log_ces(logs, exact.weights, exact.elasticity, exact.over)
        output[..., own] = np.where(self._near[..., own], np.exp(log_output), output[..., own])

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
