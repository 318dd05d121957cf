"""Total surplus W as a function of what can be chosen: how goods are split, and what is supplied.

Free are the shares of each shared pool, which are not negative and sum to 1, and the quantities of
elastic suppliers. Shares and quantities may be held fixed, so that W can be maximised on a face of
the simplex: with some buyers that get nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from market_abm.economy import curves
from market_abm.economy.economy import Economy
from market_abm.errors import MarketError
from market_abm.gradient import backprop
from market_abm.gradient.welfare import surplus

LEAST_FLOW = 1e-9
"""The least money flow that counts as one, relative to the largest."""


class Allocation(NamedTuple):
    """An allocation, W there, and the gradient of W.

    Attributes
    ----------
    value
        W, money per step; NaN if the program has no value there.
    quantities, prices
        Units, and the exact gradient, money per unit, shape (goods,).
    raw, shares
        Quantities of the raw goods, shape (raw goods,), and shares, shape (buyers,).
    worth
        ∂W/∂(share) of each buyer: the marginal value of the good to it times the quantity of the
        good, money, shape (buyers,).
    margins
        ∂W/∂(quantity) of each elastic supplier: price less marginal cost, money per unit.
    """

    value: float
    quantities: np.ndarray
    prices: np.ndarray
    raw: np.ndarray
    shares: np.ndarray
    worth: np.ndarray
    margins: np.ndarray

    @property
    def finite(self) -> bool:
        """Whether W and its gradient are numbers."""
        return bool(
            np.isfinite(self.value)
            and np.all(np.isfinite(self.worth))
            and np.all(np.isfinite(self.margins))
        )


class Problem:
    """W as a function of a vector of free variables.

    First the quantities of elastic suppliers: ln(q/q0) of a ``curve``, q/q0 of a ``gradient``
    supplier; then for each shared pool ln(s/s0) of its free buyers but the first, up to a constant.

    Parameters
    ----------
    economy
        The economy.
    base
        Where the other quantities and shares are held; by default at the initial allocation.
    buyers, suppliers
        Masks of the buyers, shape (buyers,), and of the elastic suppliers, whose shares and
        quantities are free; by default all.
    """

    def __init__(
        self,
        economy: Economy,
        base: Allocation | None = None,
        buyers: np.ndarray | None = None,
        suppliers: np.ndarray | None = None,
    ) -> None:
        self.economy = economy
        self.reference = backprop.references(economy)
        terms = list(economy.supply.values())
        self.endowment = np.array([supply.quantity for supply in terms])
        self.elastic = np.array([k for k, s in enumerate(terms) if s.elasticity > 0], int)
        self.base_raw = self.endowment if base is None else base.raw
        self.base_shares = economy.buyers.initial_shares if base is None else base.shares
        moving = np.ones(len(self.elastic), bool) if suppliers is None else suppliers
        self.raw = self.elastic[moving]
        self.logs = np.array([terms[k].kind == "curve" for k in self.raw], bool)
        self.moving = moving
        free = np.ones(economy.buyers.size, bool) if buyers is None else buyers
        members = [
            pool.buyers.start + np.flatnonzero(free[pool.buyers])
            for pool in economy.buyers.shared_pools
        ]
        self.pools = [places for places in members if len(places) > 1]
        self.size = len(self.raw) + sum(len(places) - 1 for places in self.pools)
        self.evaluations = 0

    def start(self) -> np.ndarray:
        """The point of the base: by default the market's initial allocation."""
        return self.point(self.base_raw, self.base_shares)

    def point(self, raw: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """The point of an allocation: of raw quantities, (raw goods,), and shares, (buyers,)."""
        relative = raw[self.raw] / self.endowment[self.raw]
        parts = [np.where(self.logs, np.log(np.where(self.logs, relative, 1.0)), relative)]
        for places in self.pools:
            logs = np.log(shares[places] / self.economy.buyers.initial_shares[places])
            parts.append(logs[1:] - logs[0])
        return np.concatenate(parts)

    def allocation(self, point: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The raw quantities and the shares at ``point``."""
        raw, shares = self.base_raw.copy(), self.base_shares.copy()
        first = len(self.raw)
        scale = np.where(self.logs, np.exp(point[:first]), point[:first])
        raw[self.raw] = self.endowment[self.raw] * scale
        for places in self.pools:
            last = first + len(places) - 1
            logs = np.concatenate([[0.0], point[first:last]])
            initial = self.economy.buyers.initial_shares[places]
            weights = initial * np.exp(logs - logs.max())
            shares[places] = self.base_shares[places].sum() * weights / weights.sum()
            first = last
        return raw, shares

    def at(self, point: np.ndarray, near: Allocation | None = None) -> Allocation:
        """W, its gradient and the allocation at ``point``; loops are solved from those ``near``."""
        return self.evaluate(*self.allocation(point), near=near)

    @np.errstate(all="ignore")
    def evaluate(
        self, raw: np.ndarray, shares: np.ndarray, near: Allocation | None = None
    ) -> Allocation:
        """W and its gradient at an allocation; NaN where the program has no value."""
        economy, buyers = self.economy, self.economy.buyers
        self.evaluations += 1
        guess = None if near is None else near.quantities
        try:
            quantities, products = backprop.forward_pass(economy, shares, raw, guess=guess)
            if guess is not None and not np.all(np.isfinite(quantities)):
                quantities, products = backprop.forward_pass(economy, shares, raw)
        except MarketError:  # a loop that does not converge
            quantities = np.full(len(economy.goods), np.nan)
            products = np.full(buyers.size, np.nan)
        paid = backprop.consumer_prices(economy, self.reference, quantities)
        prices = backprop.reverse_sweep(economy, products, shares, paid)
        worth = prices[buyers.maker] * products * quantities[buyers.good]
        terms = list(economy.supply.values())
        costs = np.array([curves.marginal_cost(terms[k], raw[k]) for k in self.elastic])
        value = float(surplus(economy, self.reference, quantities))
        margins = prices[self.elastic] - costs
        return Allocation(value, quantities, prices, raw, shares, worth, margins)

    def slope(
        self,
        at: Allocation,
        worth: np.ndarray | None = None,
        margins: np.ndarray | None = None,
    ) -> np.ndarray:
        """The gradient by the free variables, shape (size,).

        With ``worth`` and ``margins``, that of another function with these derivatives.
        """
        worth = at.worth if worth is None else worth
        margins = at.margins if margins is None else margins
        scale = np.where(self.logs, at.raw[self.raw], self.endowment[self.raw])
        parts = [margins[self.moving] * scale]
        for places in self.pools:
            shares = at.shares[places]
            mean = shares @ worth[places] / shares.sum()
            parts.append((shares * (worth[places] - mean))[1:])
        return np.concatenate(parts)

    def money_flows(self, at: Allocation) -> np.ndarray:
        """|price × quantity| of each good, money per step, shape (goods,); 1 if all are 0.

        Of a good for which next to nothing is paid, the largest flow: how it is divided makes no
        difference to W.
        """
        money = np.abs(at.quantities * at.prices)
        largest = money.max()
        if not largest > 0.0:
            return np.ones(len(money))
        return np.where(money < LEAST_FLOW * largest, largest, money)

    def gains(self, at: Allocation) -> tuple[np.ndarray, np.ndarray]:
        """What more of a good adds to W, relative to the money that is paid for it.

        Returns
        -------
        buyers
            Of a larger share, at the cost of its pool's other buyers, shape (buyers,).
        suppliers
            Of a larger supply, per its present cost, shape (elastic suppliers,).
        """
        money, buyers = self.money_flows(at), self.economy.buyers
        mean = np.add.reduceat(at.shares * at.worth, buyers.starts)[buyers.pool]
        of_buyers = (at.worth - mean) / money[buyers.good]
        offered = at.raw[self.elastic]
        per_unit = money[self.elastic] / np.where(offered == 0.0, 1.0, np.abs(offered))
        return of_buyers, at.margins * np.sign(self.endowment[self.elastic]) / per_unit
