"""The prices of the last steps, for sellers that observe old ones."""

from __future__ import annotations

import numpy as np

from market_abm.market.one_good import price_lag

Observed = tuple[np.ndarray, np.ndarray]
"""Prices, money per unit, (runs, goods), and which goods have had one, (goods,)."""


class PriceHistory:
    """Prices of all goods in several runs.

    Parameters
    ----------
    lag
        The age of the prices that sellers observe, steps.
    """

    def __init__(self, lag: int) -> None:
        self.lag = lag
        self._entries: list[Observed] = []

    def record(self, prices: np.ndarray, priced: np.ndarray) -> None:
        """Append the prices of a step."""
        if self.lag:
            self._entries.append((prices.copy(order="K"), priced.copy()))
            del self._entries[: -self.lag - 1]

    def observed(self, prices: np.ndarray, priced: np.ndarray, *, recorded: bool) -> Observed:
        """What sellers observe; ``recorded`` as of :func:`price_lag`, the others are current."""
        ago = price_lag(self.lag, recorded=recorded)
        if ago == 0:
            return prices, priced
        if ago <= len(self._entries):
            return self._entries[-ago]
        return prices, np.zeros_like(priced)

    def keep(self, rows: np.ndarray) -> None:
        """Continue with these runs only."""
        self._entries = [(prices[rows], priced) for prices, priced in self._entries]
