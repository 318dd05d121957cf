"""The observer: compares a market with the exact gradient at each step (docs/model.md, 5)."""

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
    """|p - g| / |g|, or |p| where the gradient is exactly 0; shape of ``prices``."""
    scale = np.abs(gradients)
    return np.abs(prices - gradients) / np.where(scale == 0.0, 1.0, scale)


@dataclass(frozen=True, eq=False)
class Comparison:
    """The observer's results at every recorded step of a run.

    Parameters
    ----------
    gradients
        The exact gradient at each step's quantities, money per unit, shape (records, goods).
    welfare
        Total surplus W, money, shape (records,).
    alignment
        The cosine of the move to each step, shape (records,); see ``analysis/alignment.py``.
    """

    gradients: np.ndarray
    welfare: np.ndarray
    alignment: np.ndarray


class GradientObserver:
    """Computes gradient, welfare and alignment at each step of runs, and which have settled.

    A run has settled if every price is within ``tolerance`` (relative) of its exact gradient and
    the allocation is in a steady state: (a) no quantity has changed in the last step by more than
    ``tolerance`` times its largest size so far; (b) where shares can move, buyers satisfy the
    first-order conditions: by exact values and by bids, a unit is worth no more to a buyer than the
    mean of its pool and, weighted by its share, no less (both within ``tolerance``); (c) each
    supplier's price is its marginal cost. Without (b) and (c), a market that moves slowly, or has
    just given all of a good to one buyer, would count as settled.

    Parameters
    ----------
    economy
        The economy of the runs, vectorized if there are several.
    tolerance
        One for all runs, or shape (runs,).
    shares_move
        Whether shares can move: one for all runs, or shape (runs,).
    rules
        The mechanism.
    reference
        The consumers' reference quantities, units, shape (runs, final goods); by default the final
        goods' quantities in the first state.
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
        """Continue with these runs only."""
        self.economy = self.economy.select_runs(rows)
        self._align.keep(self.economy, rows)
        for name in ("tolerance", "shares_move", "_largest", "_since", "_reference"):
            value = getattr(self, name)
            if np.ndim(value):
                setattr(self, name, value[rows])
        if self._before is not None:
            self._before = self._before.select_runs(rows)

    def change(self, economy: Economy) -> None:
        """Continue with another economy: gradients and welfare are its own from now on."""
        self.economy = self._align.economy = economy
        if self._reference is not None:
            self._reference = _given_references(economy, self._reference)

    @np.errstate(all="ignore")
    def __call__(self, state: State) -> dict[str, np.ndarray]:
        """The results for the next state, by name.

        Returns
        -------
        dict
            ``settled``, ``welfare`` and ``alignment``, shape (...), and ``gradients``, shape (...,
            goods); ``since``, shape (..., goods), is the step from which each price has stayed
            within tolerance of its gradient, or -1.
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
        exact = np.all(within, axis=-1)
        settled = exact & self._is_stationary(state, gradient, products) if exact.any() else exact
        self._before = state
        return {
            "settled": settled,
            "since": self._since,
            "gradients": gradient,
            "welfare": surplus(economy, self._reference, state.quantities),
            "alignment": self._align(state, gradient, products, self._reference),
        }

    def _is_stationary(
        self, state: State, gradient: np.ndarray, products: np.ndarray
    ) -> np.ndarray:
        if self._before is None:
            return np.zeros(state.prices.shape[:-1], bool)
        change = np.abs(state.quantities - self._before.quantities)
        tolerance = np.expand_dims(self.tolerance, -1)
        unchanged = np.all(change <= tolerance * self._largest, axis=-1)
        buyers_agree = np.all(self._buyer_gap(state, gradient, products) <= tolerance, axis=-1)
        suppliers_agree = np.all(self._supply_gap(state) <= tolerance, axis=-1)
        return unchanged & suppliers_agree & (buyers_agree | ~np.asarray(self.shares_move, bool))

    def _buyer_gap(self, state: State, gradient: np.ndarray, products: np.ndarray) -> np.ndarray:
        """The violation of each buyer's first-order conditions; shape (..., buyers).

        A unit's value (the gradient of the buyer's product times its marginal product) and the bid
        for a unit must both equal the mean of the pool. Where an industry has collapsed, the values
        are all 0, and only the bids show that this is not a steady state.
        """
        buyers = self.economy.buyers
        worth = gradient[..., buyers.maker] * products
        units = state.shares * state.quantities[..., buyers.good]
        bids = self.rules.per_unit(state.bids, units)
        return np.maximum(self._excess(state, worth), self._excess(state, bids))

    def _excess(self, state: State, values: np.ndarray) -> np.ndarray:
        """Relative excess of values over their pool's mean; if negative, times the share."""
        buyers = self.economy.buyers
        mean = np.add.reduceat(state.shares * values, buyers.starts, axis=-1)
        mean = mean[..., buyers.pool]
        excess = (values - mean) * np.sign(state.quantities[..., buyers.good])
        excess = excess / np.where(mean == 0.0, 1.0, np.abs(mean))
        return np.maximum(excess, -state.shares * excess)

    def _supply_gap(self, state: State) -> np.ndarray:
        """The relative distance of each raw good's price from marginal cost, (..., raw goods).

        Times the elasticity η of supply if that is below 1.
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
    """The consumers' reference quantities, (..., final goods), from the first state."""
    return _given_references(economy, start.quantities[..., economy.final])


def _given_references(economy: Economy, reference: np.ndarray) -> np.ndarray:
    """Reference quantities, (..., final goods): those of the terms of demand, or ``reference``."""
    result = reference.copy()
    for k, terms in enumerate(economy.demand.values()):
        result[..., k : k + 1] = curves.reference_quantity(terms, reference[..., k : k + 1])
    return result
