"""Total surplus W as a function of what can be chosen: how goods are split, and what is supplied.

Free are the shares of each shared pool, which are not negative and sum to 1, and the quantities of
elastic suppliers. Arrays may have leading axes: those of a vectorized economy, or points of one.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from market_abm.economy import curves
from market_abm.economy.economy import Economy
from market_abm.economy.outputs import share_responses
from market_abm.economy.ties import Payments, nearest_products
from market_abm.errors import MarketError
from market_abm.gradient import backprop
from market_abm.gradient.welfare import surplus

LEAST_FLOW = 1e-9
"""The least money flow that counts as one, relative to the largest."""


class Allocation(NamedTuple):
    """An allocation, W there, and the gradient of W; or several, along leading axes.

    Attributes
    ----------
    value
        W, money per step, shape (...); NaN if the program has no value there.
    quantities, prices
        Units, and the exact gradient, money per unit, shape (..., goods).
    raw, shares
        Quantities of the raw goods, shape (..., raw goods), and shares, shape (..., buyers).
    products
        Marginal products of the inputs, shape (..., buyers).
    worth
        ∂W/∂(share) of each buyer: the marginal value of the good to it times the quantity of the
        good (times ``Problem.responses``), money, shape (..., buyers).
    margins
        ∂W/∂(quantity) of each elastic supplier: price less marginal cost, money per unit, shape
        (..., elastic suppliers).
    """

    value: Any
    quantities: np.ndarray
    prices: np.ndarray
    raw: np.ndarray
    shares: np.ndarray
    products: np.ndarray
    worth: np.ndarray
    margins: np.ndarray

    @property
    def finite(self) -> Any:
        """Whether W and its gradient are numbers, shape (...)."""
        return (
            np.isfinite(self.value)
            & np.isfinite(self.worth).all(axis=-1)
            & np.isfinite(self.margins).all(axis=-1)
        )

    def select(self, rows: Any) -> Allocation:
        """Those of some rows."""
        return Allocation(*(each[rows] for each in self))

    def where(self, chosen: np.ndarray, other: Allocation) -> Allocation:
        """These in the ``chosen`` rows, the ``other`` ones elsewhere."""
        columns = chosen[..., None]
        value = np.where(chosen, self.value, other.value)
        pairs = zip(self[1:], other[1:], strict=True)
        return Allocation(value, *(np.where(columns, one, two) for one, two in pairs))


class Problem:
    """W as a function of a vector of free variables; taxes are no part of it.

    First the quantities of elastic suppliers: ln(q/q0) of a ``curve``, q/q0 of a ``gradient``
    supplier (ln(q/q0) too if its curve is linear, and ends at 0; q over another ``unit``, if it has
    no curve); then for each shared pool ln(s/s0) of
    its buyers but the first, up to a constant.

    Parameters
    ----------
    economy
        The economy, or a vectorized one whose runs have the same elastic suppliers.
    """

    def __init__(self, economy: Economy) -> None:
        self.economy = economy = economy.untaxed
        buyers, terms = economy.buyers, list(economy.supply.values())
        self.endowment = _columns([supply.quantity for supply in terms])
        elastic = [k for k, supply in enumerate(terms) if np.all(supply.responds)]
        self.raw = np.array(elastic, int)
        self.linear = np.array([terms[k].form == "linear" for k in elastic], bool)
        self.logs = np.array([terms[k].kind == "curve" for k in elastic], bool) | self.linear
        self.of_any_size = economy.without_curve[self.raw]
        self.unit = self._units()
        lead = self.endowment.shape[:-1]
        self.initial_shares = np.broadcast_to(buyers.initial_shares, (*lead, buyers.size))
        self.responses = share_responses(economy)
        self.reference = self._references()
        self.pools = [
            np.arange(pool.buyers.start, pool.buyers.stop) for pool in buyers.shared_pools
        ]
        self.size = len(self.raw) + sum(len(places) - 1 for places in self.pools)

    def _units(self) -> np.ndarray:
        """The unit of each elastic supply, (..., elastic suppliers): its reference quantity q0.

        Without a supply curve the largest of such quantities, or 1: they may be 0.
        """
        units = self.endowment[..., self.raw].copy()
        if np.any(self.of_any_size):
            largest = np.abs(units[..., self.of_any_size]).max(axis=-1, keepdims=True)
            units[..., self.of_any_size] = np.where(largest > 0.0, largest, 1.0)
        return units

    def scales(self, raw: np.ndarray) -> np.ndarray:
        """d(supply) by the variables of suppliers, units, shape (..., elastic suppliers).

        A variable of a supply without a curve is in units of the larger of its unit and itself.
        """
        now = raw[..., self.raw]
        linear = np.where(self.of_any_size, np.maximum(self.unit, np.abs(now)), self.unit)
        return np.where(self.logs, now, linear)

    def _references(self) -> np.ndarray:
        """Each consumer's c0, units, shape (..., final goods); by default the initial output."""
        terms = list(self.economy.demand.values())
        known = [
            each.quantity is not None and not np.any(np.isnan(each.quantity)) for each in terms
        ]
        if all(known):
            return _columns([each.quantity for each in terms])
        shares, economy = self.initial_shares, self.economy
        start, products = backprop.forward_pass(economy, shares, self.endowment)
        found = np.concatenate(
            [
                np.atleast_1d(curves.reference_quantity(each, start[..., good : good + 1]))
                for good, each in zip(economy.final, terms, strict=True)
            ],
            axis=-1,
        )
        if economy.households:
            weights = backprop.first_weights(economy, shares, start, products)
            found[..., -weights.shape[-1] :] = weights
        return found

    @property
    def runs(self) -> int:
        """The number of runs of a vectorized economy; 1 of another."""
        return len(self.endowment) if self.endowment.ndim > 1 else 1

    def select(self, rows: np.ndarray) -> Problem:
        """That of some runs of a vectorized economy; of one run, which all rows share, itself."""
        return Problem(self.economy.select_runs(rows)) if self.runs > 1 else self

    # --- points -----------------------------------------------------------------------------------

    def start(self) -> np.ndarray:
        """The point of the market's initial allocation."""
        return self.point(self.endowment, self.initial_shares)

    def point(self, raw: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """The point of an allocation: of raw quantities, (raw goods,), and shares, (buyers,)."""
        relative = raw[self.raw] / self.unit
        parts = [np.where(self.logs, np.log(np.where(self.logs, relative, 1.0)), relative)]
        for places in self.pools:
            logs = np.log(shares[places] / self.initial_shares[places])
            parts.append(logs[1:] - logs[0])
        return np.concatenate(parts)

    def allocation(self, point: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The raw quantities and the shares at ``point``."""
        raw, shares = self.endowment.copy(), self.initial_shares.copy()
        first = len(self.raw)
        scale = np.where(self.logs, np.exp(point[:first]), point[:first])
        raw[self.raw] = self.unit * scale
        for places in self.pools:
            last = first + len(places) - 1
            logs = np.concatenate([[0.0], point[first:last]])
            initial = self.initial_shares[places]
            weights = initial * np.exp(logs - logs.max())
            shares[places] = initial.sum() * weights / weights.sum()
            first = last
        return raw, shares

    def at(self, point: np.ndarray, near: Allocation | None = None) -> Allocation:
        """W, its gradient and the allocation at ``point``; loops are solved from those ``near``."""
        return self.evaluate(*self.allocation(point), near=near)

    def slope(self, at: Allocation) -> np.ndarray:
        """The gradient by the free variables, shape (size,)."""
        scale = np.where(self.logs, at.raw[self.raw], self.unit)
        parts = [at.margins * scale]
        for places in self.pools:
            shares = at.shares[places]
            mean = shares @ at.worth[places] / shares.sum()
            parts.append((shares * (at.worth[places] - mean))[1:])
        return np.concatenate(parts)

    # --- W ----------------------------------------------------------------------------------------

    @np.errstate(all="ignore")
    def evaluate(
        self, raw: np.ndarray, shares: np.ndarray, near: Allocation | None = None
    ) -> Allocation:
        """W and its gradient at allocations; NaN where the program has no value.

        Parameters
        ----------
        raw
            Quantities of the raw goods, units, shape (..., raw goods).
        shares
            Shape (..., buyers).
        near
            Allocations nearby, from which loops are solved.
        """
        quantities, products = self._quantities(raw, shares, near)
        return self._valued(raw, shares, quantities, products)

    @np.errstate(all="ignore")
    def at_kink(self, at: Allocation, payments: Payments) -> Allocation:
        """The allocation with the gradient that is nearest to payments; itself if at no kink."""
        inputs = at.shares * at.quantities[..., self.economy.buyers.good]
        products = nearest_products(self.economy, inputs, at.products, payments)
        if products is at.products:
            return at
        return self.revalued(at, products)

    def revalued(self, at: Allocation, products: np.ndarray) -> Allocation:
        """The allocation with the gradient of other marginal products, shape (..., buyers)."""
        return self._valued(at.raw, at.shares, at.quantities, products)

    def _valued(
        self, raw: np.ndarray, shares: np.ndarray, quantities: np.ndarray, products: np.ndarray
    ) -> Allocation:
        """W and its gradient by these marginal products."""
        economy, buyers = self.economy, self.economy.buyers
        paid = backprop.consumer_prices(economy, self.reference, quantities)
        prices = backprop.reverse_sweep(economy, products, shares, paid)
        worth = prices[..., buyers.maker] * products * quantities[..., buyers.good]
        if self.responses is not None:
            worth = worth * self.responses
        terms = list(economy.supply.values())
        margins = np.empty((*raw.shape[:-1], len(self.raw)))
        for k, good in enumerate(self.raw):
            place = slice(good, good + 1)
            cost = curves.marginal_cost(terms[good], raw[..., place])
            margins[..., k : k + 1] = prices[..., place] - cost
        value = surplus(economy, self.reference, quantities)[()]
        return Allocation(value, quantities, prices, raw, shares, products, worth, margins)

    def _quantities(
        self, raw: np.ndarray, shares: np.ndarray, near: Allocation | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Quantities and marginal products; NaN where a loop does not converge."""
        economy = self.economy
        if near is not None and economy.has_loops:
            found = backprop.forward_pass(economy, shares, raw, guess=near.quantities)
            if np.all(np.isfinite(found[0])):
                return found
        try:
            return backprop.forward_pass(economy, shares, raw)
        except MarketError:  # a loop that does not converge, in one of several rows
            if raw.ndim > 1 and len(raw) > 1 and self.runs == 1:
                rows = [
                    self._quantities(one, two, None)
                    for one, two in zip(raw[:, None], shares[:, None], strict=True)
                ]
                quantities, products = (np.concatenate(each) for each in zip(*rows, strict=True))
                return quantities, products
        lead = raw.shape[:-1]
        return np.full((*lead, len(economy.goods)), np.nan), np.full_like(shares, np.nan)

    @cached_property
    def shared(self) -> np.ndarray:
        """The buyers in shared pools, indices, shape (shared buyers,)."""
        return np.concatenate([np.arange(0), *self.pools])

    def money_flows(self, at: Allocation) -> np.ndarray:
        """|price × quantity| of each good, money per step, shape (..., goods); 1 if all are 0.

        Of a good for which next to nothing is paid, the largest flow: how it is divided makes no
        difference to W.
        """
        money = np.abs(at.quantities * at.prices)
        largest = money.max(axis=-1, keepdims=True)
        flows = np.where(money < LEAST_FLOW * largest, largest, money)
        if np.any(self.of_any_size):  # their prices may tend to 0
            flows[..., self.raw[self.of_any_size]] = largest
        return np.where(largest > 0.0, flows, 1.0)

    def gains(self, at: Allocation) -> tuple[np.ndarray, np.ndarray]:
        """What more of a good adds to W, relative to the money that is paid for it.

        Returns
        -------
        buyers
            Of a larger share, at the cost of its pool's other buyers, shape (..., buyers).
        suppliers
            Of a larger supply, per its present cost, shape (..., elastic suppliers).
        """
        money, buyers = self.money_flows(at), self.economy.buyers
        of_buyers = (at.worth - self.of_pools(at.shares * at.worth)) / money[..., buyers.good]
        offered = np.abs(at.raw[..., self.raw])
        to_zero = self.of_any_size | self.linear
        offered = np.where(to_zero, np.maximum(offered, np.abs(self.unit)), offered)
        per_unit = money[..., self.raw] / np.where(offered == 0.0, 1.0, offered)
        return of_buyers, at.margins * np.sign(self.unit) / per_unit

    def of_pools(self, values: np.ndarray) -> np.ndarray:
        """The sum over its pool for each buyer, shape (..., buyers), as ``values``."""
        buyers = self.economy.buyers
        if buyers.size == 0:
            return values
        return np.add.reduceat(values, buyers.starts, axis=-1)[..., buyers.pool]

    def relative_supply(self, at: Allocation) -> np.ndarray:
        """Elastic supplies over their reference quantities, shape (..., elastic suppliers)."""
        return at.raw[..., self.raw] / self.unit


def _columns(values: list[Any]) -> np.ndarray:
    """Numbers, or arrays of shape (runs, 1), side by side."""
    arrays = [np.atleast_1d(np.asarray(value, float)) for value in values]
    return np.concatenate(arrays, axis=-1) if arrays else np.zeros(0)
