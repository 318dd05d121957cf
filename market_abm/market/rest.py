"""Rest: whether anybody in a market has a reason to act differently in the next step.

It uses what agents observe: prices, their own bids, inputs and sales. How far prices are from the
gradient does not matter here (docs/model.md, 5).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from market_abm.economy import curves
from market_abm.economy.economy import Economy
from market_abm.economy.production import Batch, firms_production, marginal_products
from market_abm.economy.ties import Payments, has_branches, nearest_products
from market_abm.market import behaviour
from market_abm.market.base import Mechanism, pays
from market_abm.market.state import State

EACH = 0.1
"""The part of the tolerance that each condition of rest may differ by: along a network the
differences of many agents add up."""

ROUNDING = 1e-14
"""Of the terms of a sum, up to which it may differ from the same sum in another order."""


class Rest:
    """Finds which runs are at rest.

    A market is at rest if no relative difference exceeds a tenth of the tolerance between

    * the inputs that firms are buying and those of the batch on sale (to the largest purchase of
      the good by one buyer, of the largest quantity so far);
    * a good's price and its value to the buyers who pay for it, their marginal revenue product
      (over 1 + τ, if they pay taxes);
    * each buyer's bid and the value to it (weighted by its share over the largest in its pool);
    * where shares can move, the value to a buyer and to its pool on average: greater to none, and
      less to none that holds a share (weighted by the share);
    * each supplier's price and its marginal cost (its offer and the supply, if its curve is
      linear), at as many steps on end as it keeps an offer; each consumer's price and its demand
      curve;
    * each household's weight and the one before, its income and what it spends;
    * where prices are quoted, demand and supply, and each price and the one before.

    Where nobody outside pays, quantities may grow in proportion for ever, by a factor G a step:
    inputs are then compared with G times those before, and what is paid for a good with what it
    earns a step later, when its price is 1/G of what it was.

    Differences of prices are relative to the price. That of a good whose supplier has no supply
    curve may tend to 0, and they are relative to the largest price so far. No market is at rest
    while a series moves.

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
        self._quantities: np.ndarray | None = None
        self._largest: np.ndarray = np.zeros(1)
        self._highest: np.ndarray = np.zeros(())
        self._calm: np.ndarray = np.zeros(())
        self._pays = pays(economy)
        self._good = economy.uses.good[economy.uses.pools.starts]  # of each pool
        self._bought = np.unique(self._good)

    def keep(self, economy: Economy, rows: np.ndarray) -> None:
        """Continue with these runs only, of ``economy``."""
        self.economy = economy
        for name in (
            "tolerance",
            "shares_move",
            "_prices",
            "_quantities",
            "_largest",
            "_highest",
            "_calm",
        ):
            value = getattr(self, name)
            if np.ndim(value):
                setattr(self, name, value[rows])

    @np.errstate(all="ignore")
    def __call__(
        self,
        state: State,
        reference: np.ndarray,
        batch: Batch | None = None,
        slopes: np.ndarray | None = None,
    ) -> np.ndarray:
        """Whether each run is at rest in the next ``state``, shape (...).

        What takes longest comes last, and only if a run may still be at rest.

        Parameters
        ----------
        state
            The state of the step after that of the last call.
        reference
            The consumers' reference quantities c0, units, (..., final goods).
        batch
            What the firms made, if the engine has computed it.
        slopes
            Σ s ∂f/∂x over the buyers of each use at ``batch``, (..., uses), if known.
        """
        before, self._prices = self._prices, state.prices
        growth = self._growth(state)
        self._note_prices(state.prices)
        supply = self._supply(state)
        self._largest = np.maximum(self._largest, np.abs(state.quantities))
        if before is None or state.step < self.economy.moves_until:
            return np.zeros(state.prices.shape[:-1], bool)
        tolerance = EACH * self.tolerance[..., None]
        gaps = [supply, self._demand(state, reference)]
        if not self.rules.bids_form_prices:
            gaps += [self._unsold(state), _relative(state.prices - before, state.prices)]
        still = np.all(np.concatenate(gaps, axis=-1) <= tolerance, axis=-1)
        if np.any(still):
            still &= self._in_pipe(state, tolerance, batch, growth)
        if np.any(still) and self.economy.households:
            still &= np.all(self._budgets(state, before) <= tolerance, axis=-1)
        if not np.any(still):
            return still
        uses = self.economy.uses
        shares = state.shares if batch is None else batch.shares
        products = batch.products if batch else marginal_products(self.economy, state.inputs)
        if not self.rules.trades and has_branches(self.economy):  # plans may be at a kink
            paid = self.rules.per_unit(state.bids, state.inputs)
            payments = Payments(paid, state.prices, tolerance)
            products = nearest_products(self.economy, state.inputs, products, payments)
            slopes = None
        revenue = self._marginal_revenue(state, reference)
        sold = state.prices[..., uses.maker]
        sold = sold if growth is None else sold / growth
        if revenue is None:
            slopes = uses.slopes(products, shares) if slopes is None else slopes
            worth = sold * slopes
        else:
            worth = uses.slopes(revenue * products, shares)
        mean = uses.pools.total(behaviour.net_value(worth, self.economy.net_of_tax))
        still &= np.all(self._paid(state, mean) <= tolerance, axis=-1)
        return self._agreed(still, state, shares, products, revenue, sold, mean, tolerance)

    # --- relative differences ---------------------------------------------------------------------

    def _supply(self, state: State) -> np.ndarray:
        """Times the elasticity η of supply if that is below 1; a supplier may have shut down."""
        gaps = np.zeros((*state.prices.shape[:-1], len(self.economy.supply)))
        for places, terms in self.economy.supply_terms:
            quantity, price = state.quantities[..., places], state.prices[..., places]
            cost = curves.marginal_cost(terms, quantity)
            if terms.cost != "curve":
                gaps[..., places] = _relative(price - cost, self._highest[..., places])
                continue
            if terms.form == "linear":  # near its intercept it is the quantity that counts
                offer = curves.supply_quantity(terms, price)
                size = np.maximum(np.abs(quantity), np.abs(terms.quantity))
                gaps[..., places] = _relative(quantity - offer, size)
                continue
            gap = _relative(price - cost, np.maximum(np.abs(price), np.abs(cost)))
            shut = (quantity == 0.0) & (price * np.sign(terms.price) <= 0.0)
            gap = np.where(shut | np.equal(terms.elasticity, 0.0), 0.0, gap)
            gaps[..., places] = gap * np.minimum(terms.elasticity, 1.0)
        if any(terms.waits for _, terms in self.economy.supply_terms):
            within = gaps <= EACH * self.tolerance[..., None]
            self._calm = np.where(within, self._calm + 1.0, 0.0)
            for places, terms in self.economy.supply_terms:
                long = self._calm[..., places] >= terms.period
                gaps[..., places] = np.where(long, gaps[..., places], np.inf)
        return gaps

    def _growth(self, state: State) -> np.ndarray | None:
        """The factor by which quantities have grown, at present prices, (..., 1); None if open."""
        if not self.economy.closed:
            return None
        before, self._quantities = self._quantities, state.quantities
        before = state.quantities if before is None else before
        now, then = (np.sum(state.prices * each, -1) for each in (state.quantities, before))
        return (now / then)[..., None]

    def _note_prices(self, prices: np.ndarray) -> None:
        """Note the scale of each price: the largest so far of goods that may become worthless."""
        highest, self._highest = self._highest, np.abs(prices)
        learning = np.flatnonzero(self.economy.without_curve)
        if len(learning):
            highest = np.broadcast_to(highest, prices.shape)[..., learning]
            self._highest[..., learning] = np.maximum(highest, self._highest[..., learning])

    def _demand(self, state: State, reference: np.ndarray) -> np.ndarray:
        final = self.economy.final
        quantity, price = state.quantities[..., final], state.prices[..., final]
        curve = np.empty_like(price)
        for places, terms in self.economy.demand_terms:
            curve[..., places] = curves.demand_price(
                terms, reference[..., places], quantity[..., places]
            )
        return _relative(price - curve, price)

    def _budgets(self, state: State, before: np.ndarray) -> np.ndarray:
        """Of each household, how far its weight has moved, and its income from what it spends."""
        claims = self.economy.claims
        weights = state.prices[..., claims.good]
        gaps = [_relative(weights - before[..., claims.good], weights)]
        if self.rules.bids_are_money:
            economy = self.economy
            paid = economy.uses.buyers.total(state.bids)
            costs = claims.costs(behaviour.gross_price(paid, economy.net_of_tax))
            revenue = claims.revenue(state.prices, state.quantities)
            sold = (state.prices * state.quantities)[..., economy.final]
            taxes = economy.tax_incomes(paid, sold) if economy.taxes else 0.0
            spent = behaviour.gross_price(state.bids, economy.net_of_buyers)[..., claims.buyers]
            spent = claims.inputs.total(spent)
            earned = claims.incomes(state.prices, revenue - costs, taxes)
            gaps.append(_relative(earned - spent, spent))
        return np.concatenate(gaps, axis=-1)

    def _unsold(self, state: State) -> np.ndarray:
        """Demand less supply of each pool, relative to supply."""
        return np.abs(np.add.reduceat(state.shares, self.economy.buyers.starts, axis=-1) - 1.0)

    def _in_pipe(
        self, state: State, tolerance: np.ndarray, batch: Batch | None, growth: np.ndarray | None
    ) -> np.ndarray:
        """Whether no firm buys anything else than it used for the batch on sale, shape (...).

        But for the ``growth`` of all quantities.
        """
        uses = self.economy.uses
        largest = (self._largest if growth is None else state.quantities)[..., uses.good]
        if batch is None:
            units = self._spread(state.quantities[..., uses.good]) * state.shares
            size = self._spread(largest * self._largest_share(state.shares))
            used = state.inputs if growth is None else growth * state.inputs
            return np.all(_relative(units - used, size) <= tolerance, axis=-1)
        used = batch.delivered if growth is None else growth * batch.delivered
        gap = _relative(state.quantities[..., uses.good] - used, largest)
        if np.all(gap <= tolerance):
            return np.ones(gap.shape[:-1], bool)
        top = self._largest_share(batch.shares)
        own = uses.buyers.highest(batch.shares)
        return np.all(gap * own / np.where(top == 0.0, 1.0, top) <= tolerance, axis=-1)

    def _paid(self, state: State, mean: np.ndarray) -> np.ndarray:
        """Of each good with buyers: its price less what it is worth to the pools that pay.

        ``mean`` is the mean value of a unit in each pool, (..., pools).
        """
        total, size = np.zeros_like(state.prices), np.zeros_like(state.prices)
        places: Any = (..., self._good)
        np.add.at(total, places, np.where(self._pays, mean, 0.0))  # one after another
        np.add.at(size, places, np.where(self._pays, np.abs(mean), 0.0))
        gap = np.abs(state.prices - total)
        gap = np.where(gap <= ROUNDING * size, 0.0, gap)  # terms of both signs may cancel
        return _relative(gap, self._highest)[..., self._bought]

    def _agreed(
        self,
        still: np.ndarray,
        state: State,
        shares: np.ndarray,
        products: np.ndarray,
        revenue: np.ndarray | None,
        sold: np.ndarray,
        mean: np.ndarray,
        tolerance: np.ndarray,
    ) -> np.ndarray:
        """The runs, of those ``still`` at rest, whose buyers bid what inputs are worth to them.

        And where shares can move, nobody would gain more than its pool's mean, and nobody who holds
        a share less (times the share).
        """
        if not np.any(still):
            return still
        uses = self.economy.uses
        quantities, size = state.quantities[..., uses.good], np.abs(mean)
        learning = np.isin(self._good, np.flatnonzero(self.economy.without_curve))
        size = np.where(learning, np.maximum(size, self._highest[..., self._good]), size)
        size, mean, top = uses.pools.spread(size), uses.pools.spread(mean), None
        net = self.economy.net_of_buyers
        for part in uses.parts(max(1, still.size)):
            places = part.buyers
            share, quantity = shares[..., places], part.spread(quantities)
            of_firm = part.spread(sold) if revenue is None else revenue[..., places]
            worth, of_pool = of_firm * products[..., places], part.spread(mean)
            if net is not None:
                worth = behaviour.net_value(worth, net[..., places])
            scale = part.spread(size) if np.any(learning) else np.abs(of_pool)
            excess = (worth - of_pool) * np.sign(quantity)
            excess = excess / np.where(scale == 0.0, 1.0, scale)
            better = np.maximum(excess, -share * excess)
            still = still & (np.all(better <= tolerance, axis=-1) | ~self.shares_move)
            if not np.any(still):
                break
            if top is None:
                top = self._largest_share(shares)
            bids = self.rules.per_unit(state.bids[..., places], share * quantity)
            weight = _relative(share, part.spread(top))
            gap = weight * _relative(bids - worth, scale)
            still = still & np.all(gap <= tolerance, axis=-1)
            if not np.any(still):
                break
        return still

    def _spread(self, values: np.ndarray) -> np.ndarray:
        """Values of uses, (..., uses), for each buyer."""
        return self.economy.uses.buyers.spread(values)

    def _largest_share(self, shares: np.ndarray) -> np.ndarray:
        """The largest share in the pool of each use, (..., uses)."""
        uses = self.economy.uses
        return uses.pools.spread(uses.pools.highest(uses.buyers.highest(shares)))

    def _marginal_revenue(self, state: State, reference: np.ndarray) -> np.ndarray | None:
        """Of the firm of each buyer, money per unit of its good, shape (..., buyers).

        None if it is the price for all.
        """
        economy, buyers = self.economy, self.economy.buyers
        revenue = None
        final = {good: n for n, good in enumerate(economy.final.tolist())}
        for group in economy.groups:
            if not group.cournot:
                continue
            if revenue is None:
                revenue = self._spread(state.prices[..., economy.uses.maker])
                revenue = np.broadcast_to(revenue, state.inputs.shape).copy()
            scratch = np.empty_like(state.inputs)
            parts = [made for _, made in firms_production(group, state.inputs, scratch)]
            of_firms = np.concatenate(parts, axis=-1)
            for line, k in enumerate(group.goods.tolist()):
                good, n = economy.goods[k], final[k]
                start = group.members.starts[line]
                made = of_firms[..., start : start + group.members.sizes[line]]
                quantity = state.quantities[..., k : k + 1]
                elasticity = curves.demand_elasticity(
                    economy.demand[good], reference[..., n : n + 1], quantity
                )
                price = state.prices[..., k : k + 1]
                own = behaviour.marginal_revenue(price, made / quantity, elasticity)
                for use in buyers.uses[good]:
                    revenue[..., use] = own
        return revenue


def _relative(difference: np.ndarray, size: np.ndarray) -> np.ndarray:
    """|difference| / |size|, or the difference itself where the size is 0."""
    return np.abs(difference) / np.where(size == 0.0, 1.0, np.abs(size))
