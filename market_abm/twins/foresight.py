"""Mirror ascent on shares with foresight: the twin of buyers who correct old gradients.

The recursion of log shares u = ln s, by the formulas of docs/model.md, 3:

    u ← u + μ (u - u₋) ± κ (ln v/g + h ln v/v₋) - (κβ/σ̂) (u - u[τ])

with v the gradient by a buyer's input, g that of its pool, u₋ and v₋ of the date before, and u[τ]
of the date at which the batch was divided that v values. μ is the heavy ball of Polyak (1964), and
h the extrapolation of gradients that optimistic mirror descent makes with h = 1 (A. Rakhlin and
K. Sridharan, NeurIPS 2013).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.twins.mirror_ascent import LogGradientAscent


class ForesightAscent(LogGradientAscent):
    """Mirror ascent with log-gradients, and with the devices of ``[market.foresight]``."""

    def __init__(self, economy: Economy, settings: Any) -> None:
        self.devices = settings.foresight
        self.signals_before = np.zeros(economy.buyers.size)
        super().__init__(economy, settings)
        self.delays = np.array([self._delay(k) for k in range(economy.buyers.size)])

    def _move_shares(self) -> None:
        """The recursion, in each pool of several buyers."""
        devices = self.devices
        if (devices.pipeline, devices.momentum, devices.trend) == (0.0, 0.0, 0.0):
            super()._move_shares()
            return
        dates, rate = self.program.batches, self.settings.share_rate
        logs = np.log(self.shares)
        before = np.log(dates[max(len(dates) - 2, 0)].shares)
        valued = np.array(
            [dates[max(len(dates) - 1 - d, 0)].shares[k] for k, d in enumerate(self.delays)]
        )
        ahead = self.signals / self.signals_before
        moved = devices.momentum * _finite(logs - before)
        if devices.pipeline:
            moved -= rate * devices.pipeline / devices.elasticity * _finite(logs - np.log(valued))
        trend = devices.trend * _finite(np.log(np.where(ahead > 0.0, ahead, 1.0)))
        shares = self.shares.copy()
        for pool in self.buyers.shared_pools:
            places = np.arange(pool.buyers.start, pool.buyers.stop)[self.reached[pool.buyers]]
            own, values = self.shares[places], self.signals[places]
            gradient = np.sum(own * values)
            ratio = values / gradient
            if gradient != 0.0 and np.all(ratio >= 0.0):
                upward = rate * np.sign(gradient * self.quantities[pool.good])
                following = logs[places] + moved[places] + upward * (np.log(ratio) + trend[places])
                weights = np.exp(following - following.max())
                shares[places] = own.sum() * weights / weights.sum()
        self.shares, self.signals_before = shares, self.signals

    def _delay(self, buyer: int) -> int:
        """The dates from a share to the first gradient that knows it: down all lines, and up."""
        if self.at_once:
            return 0
        good, lines = self.buyers.maker[buyer], 0
        while np.any(self.buyers.good == good):
            good, lines = self.buyers.maker[np.argmax(self.buyers.good == good)], lines + 1
            if lines > len(self.economy.goods):  # a loop
                return 0
        return 2 * lines + 1


def _finite(values: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(values), values, 0.0)
