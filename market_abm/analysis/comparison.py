"""Prices against the exact gradient, good by good and step by step (docs/model.md, 5)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from market_abm import backprop
from market_abm.economy import Economy
from market_abm.model import State


def relative_error(prices: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """|p - g| / |g|, or |p| where the gradient is exactly 0; of the shape of ``prices``."""
    scale = np.abs(gradients)
    return np.abs(prices - gradients) / np.where(scale == 0.0, 1.0, scale)


@dataclass(frozen=True, eq=False)
class Comparison:
    """The exact gradient at every step of a run, and how far the prices were from it.

    ``gradients`` and ``errors`` have shape (steps + 1, goods): the gradient at the batches on sale
    at that step, and :func:`relative_error` of the prices. ``values``, shape (steps + 1,
    buyers), is what one more unit would be worth to each buyer, by the exact gradient.
    """

    gradients: np.ndarray
    errors: np.ndarray
    values: np.ndarray

    def first_within(self, tolerance: float) -> np.ndarray:
        """For each good, the first step from which its error stays within tolerance, else -1."""
        within = self.errors <= tolerance
        settled = np.logical_and.accumulate(within[::-1], axis=0)[::-1]
        return np.where(settled[-1], np.argmax(settled, axis=0), -1)


class Witness:
    """Watches a run from outside: works out the gradient at each step, and whether it has settled.

    Settled means: every price is within ``tolerance`` (relative) of its exact gradient, and the
    quantities are at rest, that is (a) none has changed by more than ``tolerance`` (relative) since
    the step before, and (b) where shares can move, the buyers of each pool agree on its price: no
    bid differs from it by more than ``tolerance`` (relative, weighted by the bidder's share). (b)
    matters: a market that moves its shares slowly enough changes little in a step, anywhere.
    """

    def __init__(self, economy: Economy, tolerance: float, *, shares_move: bool = True) -> None:
        self.economy = economy
        self.tolerance = tolerance
        self.shares_move = shares_move
        self._before: State | None = None
        self._seen: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def __call__(self, state: State) -> bool:
        """Take in one more state, and say whether the run has settled."""
        economy = self.economy
        products = backprop.marginal_products(economy, state.inputs)
        gradient = backprop.reverse_sweep(
            economy, products, state.shares, state.prices[economy.final]
        )
        error = relative_error(state.prices, gradient)
        self._seen.append((gradient, error, gradient[economy.buyers.maker] * products))
        settled = bool(np.all(error <= self.tolerance)) and self._at_rest(state)
        self._before = state
        return settled

    def _at_rest(self, state: State) -> bool:
        if self._before is None:
            return False
        change = np.abs(state.quantities - self._before.quantities)
        if np.any(change > self.tolerance * np.abs(state.quantities)):
            return False
        return not self.shares_move or bool(np.all(self._disagreement(state) <= self.tolerance))

    def _disagreement(self, state: State) -> np.ndarray:
        buyers = self.economy.buyers
        pool_price = np.add.reduceat(state.shares * state.bids, buyers.starts)[buyers.pool]
        return state.shares * relative_error(state.bids, pool_price)

    def comparison(self, steps: int) -> Comparison:
        """What was seen up to and including step ``steps``."""
        return Comparison(*map(np.array, zip(*self._seen[: steps + 1], strict=True)))
