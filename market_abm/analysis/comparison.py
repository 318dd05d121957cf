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
    quantities are at rest, that is (a) none has changed since the step before by more than
    ``tolerance`` (relative to the largest that it has been), and (b) where shares can move, nobody
    has a reason to move them: no buyer bids more than its pool's price, and none that holds a share
    bids less (by ``tolerance``, relative; less, weighted by the share). These are the first-order
    conditions of the best split. Without (b) a market that moves its shares slowly enough, or has
    just thrown all of a good at one user, would pass for one at rest.
    """

    def __init__(self, economy: Economy, tolerance: float, *, shares_move: bool = True) -> None:
        self.economy = economy
        self.tolerance = tolerance
        self.shares_move = shares_move
        self._before: State | None = None
        self._largest = np.zeros(len(economy.goods))
        self._seen: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    @np.errstate(all="ignore")
    def __call__(self, state: State) -> bool:
        """Take in one more state, and say whether the run has settled."""
        economy = self.economy
        products = backprop.marginal_products(economy, state.inputs)
        gradient = backprop.reverse_sweep(
            economy, products, state.shares, state.prices[economy.final]
        )
        error = relative_error(state.prices, gradient)
        self._largest = np.maximum(self._largest, np.abs(state.quantities))
        self._seen.append((gradient, error, gradient[economy.buyers.maker] * products))
        settled = bool(np.all(error <= self.tolerance)) and self._at_rest(state)
        self._before = state
        return settled

    def _at_rest(self, state: State) -> bool:
        if self._before is None:
            return False
        change = np.abs(state.quantities - self._before.quantities)
        if np.any(change > self.tolerance * self._largest):
            return False
        return not self.shares_move or bool(np.all(self._disagreement(state) <= self.tolerance))

    def _disagreement(self, state: State) -> np.ndarray:
        """By how much each buyer's bid breaks the first-order conditions; shape (buyers,)."""
        buyers = self.economy.buyers
        price = np.add.reduceat(state.shares * state.bids, buyers.starts)[buyers.pool]
        excess = (state.bids - price) * np.sign(state.quantities[buyers.good])
        excess = excess / np.where(price == 0.0, 1.0, np.abs(price))
        return np.maximum(excess, -state.shares * excess)

    def comparison(self, steps: int) -> Comparison:
        """What was seen up to and including step ``steps``."""
        return Comparison(*map(np.array, zip(*self._seen[: steps + 1], strict=True)))
