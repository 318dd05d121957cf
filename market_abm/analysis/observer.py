"""Prices against the exact gradient, good by good and step by step (docs/model.md, 5)."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from market_abm.analysis.alignment import ALIGNMENTS
from market_abm.economy import curves
from market_abm.economy.economy import Economy
from market_abm.gradient import backprop
from market_abm.gradient.welfare import surplus
from market_abm.market.base import Mechanism
from market_abm.market.state import State


def relative_error(prices: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """|p - g| / |g|, or |p| where the gradient is exactly 0; of the shape of ``prices``."""
    scale = np.abs(gradients)
    return np.abs(prices - gradients) / np.where(scale == 0.0, 1.0, scale)


@dataclass(frozen=True, eq=False)
class Comparison:
    """What was seen from outside at every recorded step of a run.

    ``gradients``, shape (records, goods), is the exact gradient at the batches on sale at that
    step; ``welfare`` and ``alignment``, shape (records,), are W and the cosine of ``path.GradientAlignment``
    (of ``DualAlignment``, under ``tatonnement``) for the move that led to that step.
    """

    gradients: np.ndarray
    welfare: np.ndarray
    alignment: np.ndarray


class GradientObserver:
    """Watches runs from outside: works out the gradient at each step, and who has settled.

    Settled means: every price is within ``tolerance`` (relative) of its exact gradient, and the
    quantities are at rest, that is (a) none has changed since the step before by more than
    ``tolerance`` (relative to the largest that it has been), (b) where shares can move, nobody
    has a reason to move them: by exact values and by bids, a unit is worth more to no buyer than to
    its pool on average, and less to none that holds a share (by ``tolerance``, relative; less,
    weighted by the share), and (c) no supplier has a reason to offer more or less: price is
    marginal cost. These are the first-order conditions of the best allocation. Without (b) and (c)
    a market that moves slowly enough, or has just thrown all of a good at one user, would pass for
    one at rest.

    States have a leading axis of runs; ``economy`` may be stacked, ``tolerance`` and
    ``shares_move`` are one for all runs or have shape (runs,). ``rules`` are the mechanism's;
    ``reference`` is what consumers refer to, (runs, final goods), by default what there is of the
    final goods in the first state.
    """

    path = tuple(each.name for each in fields(Comparison))

    def __init__(
        self,
        economy: Economy,
        tolerance: float | np.ndarray,
        *,
        shares_move: bool | np.ndarray = True,
        rules: type[Mechanism] = Mechanism,
        reference: np.ndarray | None = None,
    ) -> None:
        self.rules = rules
        self.economy = economy
        self.tolerance = tolerance
        self.shares_move = shares_move
        self._before: State | None = None
        self._largest: np.ndarray | float = 0.0
        self._since: np.ndarray | int = -1
        self._reference = None if reference is None else reference.copy()
        self._align = ALIGNMENTS[rules.alignment](economy)

    def keep(self, rows: np.ndarray) -> None:
        """Go on with these runs only."""
        self.economy = self.economy.select_runs(rows)
        self._align.keep(self.economy, rows)
        for name in ("tolerance", "shares_move", "_largest", "_since", "_reference"):
            value = getattr(self, name)
            if np.ndim(value):
                setattr(self, name, value[rows])
        if self._before is not None:
            self._before = self._before.select_runs(rows)

    def change(self, economy: Economy) -> None:
        """The market goes on in this economy: gradients and welfare are its own from now on."""
        self.economy = self._align.economy = economy
        if self._reference is not None:
            self._reference = _given_references(economy, self._reference)

    @np.errstate(all="ignore")
    def __call__(self, state: State) -> dict[str, np.ndarray]:
        """Take in one more state: gradients, welfare, alignment, who has settled, since when.

        ``since``, shape (..., goods), is the step from which each price has stayed within tolerance
        of its gradient; -1 if it is not.
        """
        economy = self.economy
        if self._reference is None:
            self._reference = _references(economy, state)
        products = backprop.marginal_products(economy, state.inputs)
        paid = backprop.consumer_prices(economy, self._reference, state.quantities)
        gradient = backprop.reverse_sweep(economy, products, state.shares, paid)
        error = relative_error(state.prices, gradient)
        self._largest = np.maximum(self._largest, np.abs(state.quantities))
        within = error <= np.expand_dims(self.tolerance, -1)
        self._since = np.where(within, np.where(self._since < 0, state.step, self._since), -1)
        right = np.all(within, axis=-1)
        settled = right & self._at_rest(state, gradient, products) if right.any() else right
        self._before = state
        return {
            "settled": settled,
            "since": self._since,
            "gradients": gradient,
            "welfare": surplus(economy, self._reference, state.quantities),
            "alignment": self._align(state, gradient, products, self._reference),
        }

    def _at_rest(self, state: State, gradient: np.ndarray, products: np.ndarray) -> np.ndarray:
        if self._before is None:
            return np.zeros(state.prices.shape[:-1], bool)
        change = np.abs(state.quantities - self._before.quantities)
        tolerance = np.expand_dims(self.tolerance, -1)
        still = np.all(change <= tolerance * self._largest, axis=-1)
        content = np.all(self._disagreement(state, gradient, products) <= tolerance, axis=-1)
        idle = np.all(self._idleness(state) <= tolerance, axis=-1)
        return still & idle & (content | ~np.asarray(self.shares_move, bool))

    def _disagreement(self, state: State, gradient: np.ndarray, products: np.ndarray) -> np.ndarray:
        """By how much each buyer breaks the first-order conditions; shape (..., buyers).

        By what a unit is worth to it (its maker's exact gradient times its marginal product), and
        by what it bids for one: both must be those of its pool. Where an industry has collapsed,
        nothing is worth anything by the gradient, and the bids alone tell that it is no rest.
        """
        buyers = self.economy.buyers
        worth = gradient[..., buyers.maker] * products
        units = state.shares * state.quantities[..., buyers.good]
        bids = self.rules.per_unit(state.bids, units)
        return np.maximum(self._excess(state, worth), self._excess(state, bids))

    def _excess(self, state: State, values: np.ndarray) -> np.ndarray:
        """Values of a unit over their mean in the pool by shares, if less, times the share."""
        buyers = self.economy.buyers
        mean = np.add.reduceat(state.shares * values, buyers.starts, axis=-1)
        mean = mean[..., buyers.pool]
        excess = (values - mean) * np.sign(state.quantities[..., buyers.good])
        excess = excess / np.where(mean == 0.0, 1.0, np.abs(mean))
        return np.maximum(excess, -state.shares * excess)

    def _idleness(self, state: State) -> np.ndarray:
        """By how much each raw good's price differs from marginal cost, (..., raw goods).

        Relative, and less where supply hardly responds: times η if that is below 1.
        """
        gaps = []
        for k, terms in enumerate(self.economy.supply.values()):
            quantity, price = state.quantities[..., k : k + 1], state.prices[..., k : k + 1]
            cost = curves.marginal_cost(terms, quantity)
            scale = np.maximum(np.abs(price), np.abs(cost))
            gap = np.abs(price - cost) / np.where(scale > 0.0, scale, 1.0)
            shut = (quantity == 0.0) & (price * np.sign(terms.price) <= 0.0)
            gap = np.where(shut | np.equal(terms.elasticity, 0.0), 0.0, gap)
            gaps.append(gap * np.minimum(terms.elasticity, 1.0))
        return np.concatenate(gaps, axis=-1)


def _references(economy: Economy, start: State) -> np.ndarray:
    """The consumers' reference quantities, (..., final goods): given, or those of the start."""
    return _given_references(economy, start.quantities[..., economy.final])


def _given_references(economy: Economy, reference: np.ndarray) -> np.ndarray:
    """``reference`` quantities, (..., final goods), or others where the terms of demand say so."""
    result = reference.copy()
    for k, terms in enumerate(economy.demand.values()):
        result[..., k : k + 1] = curves.reference_quantity(terms, reference[..., k : k + 1])
    return result
