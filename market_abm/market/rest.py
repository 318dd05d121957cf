"""Rest: whether anybody in a market has a reason to act differently in the next step.

It uses what agents observe: prices, their own bids, inputs and sales. How far prices are from the
gradient does not matter here (docs/model.md, 5).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from market_abm.economy import curves
from market_abm.economy.economy import Economy
from market_abm.economy.production import firms_production, marginal_products
from market_abm.market import behaviour
from market_abm.market.base import Mechanism, paying
from market_abm.market.state import State

EACH = 0.1
"""The part of the tolerance that each condition of rest may differ by: along a network the
differences of many agents add up."""


class Rest:
    """Finds which runs are at rest.

    A market is at rest if no relative difference exceeds a tenth of the tolerance between

    * the inputs that firms are buying and those of the batch on sale (to the largest purchase of
      the good by one buyer, of the largest quantity so far);
    * a good's price and its value to the buyers who pay for it, their marginal revenue product;
    * each buyer's bid and the value to it (weighted by its share over the largest in its pool);
    * where shares can move, the value to a buyer and to its pool on average: greater to none, and
      less to none that holds a share (weighted by the share);
    * each supplier's price and its marginal cost, each consumer's price and its demand curve;
    * where prices are quoted, demand and supply, and each price and the one before.

    Parameters
    ----------
    economy
        The economy of the runs, vectorized if there are several.
    rules
        The mechanism.
    tolerance
        One for all runs, or shape (runs,).
    shares_move
        Whether shares can move: one for all runs, or shape (runs,).
    """

    def __init__(
        self,
        economy: Economy,
        rules: type[Mechanism],
        tolerance: float | np.ndarray,
        *,
        shares_move: bool | np.ndarray = True,
    ) -> None:
        self.economy = economy
        self.rules = rules
        self.tolerance = np.asarray(tolerance, float)
        self.shares_move = np.asarray(shares_move, bool)
        self._prices: np.ndarray | None = None
        self._largest: np.ndarray = np.zeros(1)
        first = economy.buyers.starts.tolist()
        self._paying = {
            good: [first.index(pool.start) for pool in _paying_pools(economy, good)]
            for good in np.unique(economy.buyers.good).tolist()
        }

    def keep(self, economy: Economy, rows: np.ndarray) -> None:
        """Continue with these runs only, of ``economy``."""
        self.economy = economy
        for name in ("tolerance", "shares_move", "_prices", "_largest"):
            value = getattr(self, name)
            if np.ndim(value):
                setattr(self, name, value[rows])

    @np.errstate(all="ignore")
    def __call__(self, state: State, reference: np.ndarray) -> np.ndarray:
        """Whether each run is at rest in the next ``state``, shape (...).

        ``reference`` are the consumers' reference quantities c0, units, (..., final goods).
        """
        before, self._prices = self._prices, state.prices
        self._largest = np.maximum(self._largest, np.abs(state.quantities))
        if before is None:
            return np.zeros(state.prices.shape[:-1], bool)
        gaps = [self._in_pipe(state), self._supply(state), self._demand(state, reference)]
        if not self.rules.bids_form_prices:
            gaps += [self._unsold(state), _relative(state.prices - before, state.prices)]
        tolerance = EACH * self.tolerance[..., None]
        still = np.all(np.concatenate(gaps, axis=-1) <= tolerance, axis=-1)
        if not np.any(still):  # what follows takes longer
            return still
        worth = self._marginal_revenue(state, reference) * marginal_products(
            self.economy, state.inputs
        )
        paid = np.concatenate([self._paid(state, worth), self._bids(state, worth)], axis=-1)
        better = self._shares(state, worth)
        agreed = np.all(better <= tolerance, axis=-1) | ~self.shares_move
        return still & np.all(paid <= tolerance, axis=-1) & agreed

    # --- relative differences ---------------------------------------------------------------------

    def _in_pipe(self, state: State) -> np.ndarray:
        goods = self.economy.buyers.good
        bought = state.shares * state.quantities[..., goods]
        largest = self._largest[..., goods] * self._largest_share(state)
        return _relative(bought - state.inputs, largest)

    def _supply(self, state: State) -> np.ndarray:
        """Times the elasticity η of supply if that is below 1; a supplier may have shut down."""
        gaps = []
        for k, terms in enumerate(self.economy.supply.values()):
            quantity, price = state.quantities[..., k : k + 1], state.prices[..., k : k + 1]
            cost = curves.marginal_cost(terms, quantity)
            gap = _relative(price - cost, np.maximum(np.abs(price), np.abs(cost)))
            shut = (quantity == 0.0) & (price * np.sign(terms.price) <= 0.0)
            gap = np.where(shut | np.equal(terms.elasticity, 0.0), 0.0, gap)
            gaps.append(gap * np.minimum(terms.elasticity, 1.0))
        return np.concatenate(gaps, axis=-1)

    def _demand(self, state: State, reference: np.ndarray) -> np.ndarray:
        gaps = []
        for k, (good, terms) in enumerate(
            zip(self.economy.final.tolist(), self.economy.demand.values(), strict=True)
        ):
            place = slice(good, good + 1)
            curve = curves.demand_price(
                terms, reference[..., k : k + 1], state.quantities[..., place]
            )
            gaps.append(_relative(state.prices[..., place] - curve, state.prices[..., place]))
        return np.concatenate(gaps, axis=-1)

    def _unsold(self, state: State) -> np.ndarray:
        """Demand less supply of each pool, relative to supply."""
        return np.abs(np.add.reduceat(state.shares, self.economy.buyers.starts, axis=-1) - 1.0)

    def _paid(self, state: State, worth: np.ndarray) -> np.ndarray:
        """Of each good with buyers: its price less what it is worth to the pools that pay."""
        buyers = self.economy.buyers
        mean = np.add.reduceat(state.shares * worth, buyers.starts, axis=-1)
        gaps = []
        for good, pools in self._paying.items():
            price = state.prices[..., good]
            gaps.append(_relative(price - mean[..., pools].sum(axis=-1), price))
        return np.stack(gaps, axis=-1)

    def _bids(self, state: State, worth: np.ndarray) -> np.ndarray:
        """Of each buyer: its bid less its value."""
        buyers = self.economy.buyers
        units = state.shares * state.quantities[..., buyers.good]
        bids = self.rules.per_unit(state.bids, units)
        weight = _relative(state.shares, self._largest_share(state))
        mean = self._mean(state, worth)
        return weight * _relative(bids - worth, mean)

    def _shares(self, state: State, worth: np.ndarray) -> np.ndarray:
        """Of each buyer: the excess of its value over its pool's mean; if negative, weighted."""
        mean = self._mean(state, worth)
        excess = (worth - mean) * np.sign(state.quantities[..., self.economy.buyers.good])
        excess = excess / np.where(mean == 0.0, 1.0, np.abs(mean))
        return np.maximum(excess, -state.shares * excess)

    def _largest_share(self, state: State) -> np.ndarray:
        """The largest share in the pool of each buyer."""
        buyers = self.economy.buyers
        return np.maximum.reduceat(state.shares, buyers.starts, axis=-1)[..., buyers.pool]

    def _mean(self, state: State, values: np.ndarray) -> np.ndarray:
        """The share-weighted mean of ``values`` in the pool of each buyer."""
        buyers = self.economy.buyers
        return np.add.reduceat(state.shares * values, buyers.starts, axis=-1)[..., buyers.pool]

    def _marginal_revenue(self, state: State, reference: np.ndarray) -> np.ndarray:
        """Of the firm of each buyer, money per unit of its good, shape (..., buyers)."""
        economy, buyers = self.economy, self.economy.buyers
        revenue = state.prices[..., buyers.maker]
        for industry in economy.topological_order:
            if industry.population.conduct != "cournot":
                continue
            k = economy.index[industry.good]
            n = list(economy.demand).index(industry.good)
            elasticity = curves.demand_elasticity(
                economy.demand[industry.good],
                reference[..., n : n + 1],
                state.quantities[..., k : k + 1],
            )
            made = firms_production(economy, industry, state.inputs, np.empty_like(state.inputs))
            share = made / state.quantities[..., k : k + 1]
            own = behaviour.marginal_revenue(state.prices[..., k : k + 1], share, elasticity)
            for use in buyers.uses[industry.good]:
                revenue[..., use] = own
        return revenue


def _paying_pools(economy: Economy, good: int) -> Sequence[slice]:
    """The pools of a good, by its index in ``Economy.goods``, whose buyers pay."""
    pools = [pool.buyers for pool in economy.buyers.pools_of[good]]
    return paying(pools, external=economy.reuse[economy.goods[good]] == "external")


def _relative(difference: np.ndarray, size: np.ndarray) -> np.ndarray:
    """|difference| / |size|, or the difference itself where the size is 0."""
    return np.abs(difference) / np.where(size == 0.0, 1.0, np.abs(size))
