"""The Hessian of W, exact to rounding: the network differentiated forward, then backward.

A small change of shares and supplies changes quantities downstream, by one linear system, and
prices upstream, by its transpose. Between them stand the second derivatives of each firm's output
by its inputs, which are imaginary parts of marginal products at complex inputs (the complex step;
W. Squire and G. Trapp, SIAM Review 40, 1998): no difference is taken, and no digit is lost. (Of an
output of ``transform``, whose product p y/x falls with its share alone, they are known.)

The variables are logarithms of the quantities of elastic suppliers (of a ``gradient`` supplier,
q/q0) and of the shares of all buyers in shared pools; shares are then scaled so that their sum
stays. To change all logarithms of a pool alike changes nothing.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from market_abm.economy import curves
from market_abm.economy.production import marginal_products
from market_abm.gradient import backprop
from market_abm.gradient.allocation import Allocation, Problem

STEP = 1e-20
"""The imaginary part of an input, relative to its size; its square is nothing beside 1."""

MAX_DENSE_GOODS = 300
"""Goods up to which the network's linear systems are dense."""


class Variables:
    """Logarithms of supplies and shares as variables of W; see the module.

    Attributes
    ----------
    problem
        W.
    size
        Elastic suppliers, then buyers in shared pools.
    pool
        The pool of each of these buyers, numbered from 0.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        buyers = problem.economy.buyers
        self.suppliers, self.buyers = problem.raw, problem.shared
        self.size = len(self.suppliers) + len(self.buyers)
        sizes = [len(places) for places in problem.pools]
        self.pool = np.repeat(np.arange(len(sizes)), sizes)
        self.starts = np.cumsum([0, *sizes[:-1]]) if sizes else np.zeros(0, int)
        self.good = np.concatenate([self.suppliers, buyers.good[self.buyers]])
        """The good of each variable, an index of ``Economy.goods``."""

    @property
    def first(self) -> int:
        """The number of suppliers: where shares begin."""
        return len(self.suppliers)

    @cached_property
    def same_pool(self) -> np.ndarray:
        """Whether two buyers are in one pool, shape (buyers, buyers)."""
        return self.pool[:, None] == self.pool

    def of_pools(self, values: np.ndarray) -> np.ndarray:
        """The sum over its pool for each of the buyers; shape (..., buyers), as ``values``."""
        if len(self.buyers) == 0:
            return values
        return np.add.reduceat(values, self.starts, axis=-1)[..., self.pool]

    def scales(self, at: Allocation) -> np.ndarray:
        """d(supply) by the variables of suppliers, units, shape (..., suppliers)."""
        return self.problem.scales(at.raw)

    def shares(self, at: Allocation, free: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The shares of the free buyers, others 0, and their sum in each pool."""
        own = np.where(free[..., self.first :], at.shares[..., self.buyers], 0.0)
        total = self.of_pools(own)
        return own, np.where(total == 0.0, 1.0, total)

    @np.errstate(all="ignore")
    def slope(self, at: Allocation, free: np.ndarray) -> np.ndarray:
        """The gradient of W by the variables, money, shape (..., size); 0 if not ``free``."""
        own, total = self.shares(at, free)
        worth = np.where(own == 0.0, 0.0, at.worth[..., self.buyers])
        gap = worth - self.of_pools(own * worth) / total
        margins = at.margins * self.scales(at)
        return np.where(free, np.concatenate([margins, own * gap], axis=-1), 0.0)

    @np.errstate(all="ignore")
    def moved(self, at: Allocation, free: np.ndarray, by: np.ndarray) -> Allocation:
        """The allocation at which the ``free`` variables have changed ``by`` this, (..., size)."""
        problem, first = self.problem, self.first
        raw, shares = at.raw.copy(), at.shares.copy()
        of_raw, of_shares = by[..., :first], by[..., first:]
        now = raw[..., self.suppliers]
        moved = np.where(
            problem.logs,
            now * np.exp(of_raw),
            now + problem.scales(at.raw) * of_raw,
        )
        raw[..., self.suppliers] = np.where(free[..., :first], moved, now)
        own, total = self.shares(at, free)
        weights = own * np.exp(np.where(free[..., first:], of_shares, 0.0))
        scaled = total * weights / self.of_pools(weights)
        now = shares[..., self.buyers]
        shares[..., self.buyers] = np.where(free[..., first:], scaled, now)
        return problem.evaluate(raw, shares, near=at)

    @np.errstate(all="ignore")
    def hessian(self, at: Allocation, free: np.ndarray) -> np.ndarray:
        """The Hessian of W by shares and quantities, along the moves of the variables.

        Money, shape (..., size, size); 0 in rows and columns of variables that are not ``free``. At
        a stationary point it is the Hessian by the variables.
        """
        own, total = self.shares(at, free)
        split = np.where(self.same_pool, own[..., :, None] * -(own / total)[..., None, :], 0.0)
        places = np.arange(len(self.buyers))
        split[..., places, places] += own
        scales = np.where(free[..., : self.first], self.scales(at), 0.0)
        worth, margins = self._responses(at, split, scales)
        rows = np.swapaxes(split, -1, -2) @ worth
        matrix = np.concatenate([scales[..., None] * margins, rows], axis=-2)
        matrix = (matrix + np.swapaxes(matrix, -1, -2)) / 2.0
        return np.where(free[..., :, None] & free[..., None, :], matrix, 0.0)

    def _responses(
        self, at: Allocation, split: np.ndarray, scales: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """∂(worth of the buyers) and ∂(margins) by the variables.

        Parameters
        ----------
        at
            The allocations.
        split
            ∂(share) by the variables of buyers, shape (..., buyers, buyers).
        scales
            ∂(supply) by the variables of suppliers, shape (..., suppliers).
        """
        problem, buyers = self.problem, self.problem.economy.buyers
        lead, first = at.shares.shape[:-1], self.first
        network = _Network(problem, at)
        # Of a buyer that gets nothing the marginal product may be infinite; it plays no part.
        products = np.where(at.shares == 0.0, 0.0, at.products)
        available = at.quantities[..., buyers.good]
        shares = np.zeros((*lead, buyers.size, self.size))
        shares[..., self.buyers, first:] = split
        pushed = np.zeros((*lead, len(problem.economy.goods), self.size))
        suppliers = np.arange(first)
        pushed[..., self.suppliers, suppliers] = scales
        responses = problem.responses  # of outputs to their shares of an activity, at a given mix 1
        by_shares = products * available if responses is None else products * available * responses
        pushed += self.by_maker @ (by_shares[..., self.buyers, None] * shares[..., self.buyers, :])
        made = network.solved(pushed)

        inputs = available[..., None] * shares
        inputs += at.shares[..., None] * made[..., buyers.good, :]
        slopes = np.zeros_like(inputs)
        for k, second in enumerate(self._second_derivatives(at)):
            own_lines, partners = self._pairs[k]
            slopes[..., own_lines, :] += second[..., own_lines, None] * inputs[..., partners, :]
        if responses is not None:
            of_mix = (responses - 1.0) * products / np.where(at.shares == 0.0, 1.0, at.shares)
            slopes += of_mix[..., None] * shares
        slopes = np.where((at.shares == 0.0)[..., None], 0.0, slopes)

        paid = prices_of_makers = at.prices[..., buyers.maker, None]
        pulled = np.zeros_like(pushed)
        final = problem.economy.final
        pulled[..., final, :] = self._demand_slopes(at)[..., None] * made[..., final, :]
        changes = paid * (shares * products[..., None] + at.shares[..., None] * slopes)
        goods, starts = self._first_buyers
        if len(goods):
            pulled[..., goods, :] += np.add.reduceat(changes, starts, axis=-2)
        prices = network.solved(pulled, transposed=True)

        worth = prices[..., buyers.maker, :] * products[..., None] + prices_of_makers * slopes
        worth = worth * available[..., None]
        worth += prices_of_makers * products[..., None] * made[..., buyers.good, :]
        if responses is not None:
            worth *= responses[..., None]
        margins = prices[..., self.suppliers, :].copy()
        margins[..., suppliers, suppliers] -= self.cost_slopes(at) * scales
        return worth[..., self.buyers, :], margins

    # --- parts ------------------------------------------------------------------------------------

    @cached_property
    def by_maker(self) -> np.ndarray:
        """1 where a buyer's firm makes the good, shape (goods, buyers)."""
        makers = self.problem.economy.buyers.maker[self.buyers]
        return (np.arange(len(self.problem.economy.goods))[:, None] == makers).astype(float)

    @cached_property
    def _first_buyers(self) -> tuple[np.ndarray, np.ndarray]:
        """The goods that are bought, and the first buyer of each."""
        goods, starts = np.unique(self.problem.economy.buyers.good, return_index=True)
        return goods, starts

    @cached_property
    def moves_input(self) -> np.ndarray:
        """Whether a buyer is that of input k of its firm, shape (most inputs, buyers)."""
        buyers = self.problem.economy.buyers
        of_lines = list(buyers.of_industry.values())
        most = max((len(places) for places in of_lines), default=0)
        result = np.zeros((most, buyers.size), bool)
        for places in of_lines:
            for k, of_input in enumerate(places if places.size else ()):
                result[k, of_input] = True
        return result

    @cached_property
    def _pairs(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """For each k, the buyers of firms with an input k, and the buyer of that input."""
        pairs = []
        of_lines = [each for each in self.problem.economy.buyers.of_industry.values() if each.size]
        for k in range(len(self.moves_input)):
            having = [places for places in of_lines if len(places) > k]
            own = np.concatenate([places.ravel() for places in having])
            partners = np.concatenate(
                [np.broadcast_to(places[k], places.shape).ravel() for places in having]
            )
            pairs.append((own, partners))
        return pairs

    def _second_derivatives(self, at: Allocation) -> np.ndarray:
        """∂(marginal product of a buyer's input)/∂(input k of its firm), (inputs, ..., buyers)."""
        buyers, lead = self.problem.economy.buyers, at.shares.shape[:-1]
        inputs = at.shares * at.quantities[..., buyers.good]
        size = STEP * np.where(inputs == 0.0, 1.0, np.abs(inputs))
        masks = self.moves_input.reshape(len(self.moves_input), *[1] * len(lead), buyers.size)
        moved = marginal_products(self.problem.economy, inputs + 1j * size * masks).imag
        for of_input, (own, partners) in zip(moved, self._pairs, strict=True):
            of_input[..., own] /= size[..., partners]
        return moved

    def _demand_slopes(self, at: Allocation) -> np.ndarray:
        """∂(consumer's price)/∂(quantity), shape (..., final goods)."""
        economy = self.problem.economy
        size = STEP * np.where(at.quantities == 0.0, 1.0, np.abs(at.quantities))
        moved = backprop.consumer_prices(economy, self.problem.reference, at.quantities + 1j * size)
        return moved.imag / size[..., economy.final]

    def cost_slopes(self, at: Allocation) -> np.ndarray:
        """∂(marginal cost)/∂(supply), shape (..., suppliers)."""
        result = np.empty((*at.raw.shape[:-1], self.first))
        terms = list(self.problem.economy.supply.values())
        for k, good in enumerate(self.suppliers):
            supply = at.raw[..., good : good + 1]
            result[..., k : k + 1] = curves.cost_slope(terms[good], supply)
        return result


class _Network:
    """x = b + T x, with T[j, g] = ∂(output of good j)/∂(unit of good g), or its transpose."""

    def __init__(self, problem: Problem, at: Allocation) -> None:
        economy = problem.economy
        starts, bought, makers = economy.buyers.places_of_uses
        slopes = np.where(at.shares == 0.0, 0.0, at.shares * at.products)
        goods = len(economy.goods)
        self.by_use = np.add.reduceat(slopes, starts, axis=-1) if len(starts) else slopes[..., :0]
        self.places = makers, bought
        self.dense = goods <= MAX_DENSE_GOODS
        if self.dense:
            system = np.zeros((*slopes.shape[:-1], goods, goods))
            system[..., makers, bought] = -self.by_use
            each = np.arange(goods)
            system[..., each, each] += 1.0
            self.system = system

    def solved(self, outside: np.ndarray, *, transposed: bool = False) -> np.ndarray:
        """The solution for ``outside``, shape (..., goods, columns)."""
        if self.dense:
            system = np.swapaxes(self.system, -1, -2) if transposed else self.system
            return np.linalg.solve(system, outside)
        from scipy.sparse import coo_matrix, identity
        from scipy.sparse.linalg import splu

        result, goods = np.empty_like(outside), outside.shape[-2]
        for row in np.ndindex(outside.shape[:-2]):
            slopes = coo_matrix((self.by_use[row], self.places), (goods, goods))
            solver = splu((identity(goods) - slopes).tocsc())
            result[row] = solver.solve(outside[row], "T" if transposed else "N")
        return result
