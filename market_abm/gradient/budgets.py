"""What households earn and spend at an allocation, if all goods are paid at the exact gradient."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from market_abm.economy.claims import outsiders
from market_abm.economy.economy import Economy
from market_abm.gradient.allocation import Allocation

NEGLIGIBLE = 1e-4
"""The part of households' income that is next to nothing of it."""

UNBALANCED = 1e-3
"""The relative difference of two sums of money that is no rounding."""


class Flows(NamedTuple):
    """Money per step, by household or in all.

    Attributes
    ----------
    spending
        What a household's goods are worth to it, Σ α x ∂U/∂x, shape (..., households).
    income
        What its endowments, profits, taxes and transfers bring, shape (..., households).
    total
        All that buyers pay, shape (...).
    """

    spending: np.ndarray
    income: np.ndarray
    total: np.ndarray


class Budgets:
    """The budgets of an economy's households.

    At prices that are the exact gradient, what all households spend is what they earn, at any
    allocation, if no money comes from elsewhere (Walras' law).

    Parameters
    ----------
    economy
        One economy, not vectorized.
    level
        Prices, (goods,), at whose level equilibria are looked for where no money is from outside;
        by default at that of the money of the first step.

    Attributes
    ----------
    count
        The number of households.
    money
        What all households spend in the first step.
    """

    def __init__(self, economy: Economy, level: np.ndarray | None = None) -> None:
        self.economy = economy
        self.level = level
        self.count = len(economy.households)
        self.money = float(economy.claims.money.sum()) if self.count else 0.0

    @property
    def closed(self) -> bool:
        """Whether households buy all final goods, and own all raw goods."""
        return not any(outsiders(self.economy))

    @property
    def transfers(self) -> bool:
        """Whether households get money from each other, worth less where prices are higher."""
        return bool(self.count and self.economy.claims.transfer.any())

    def height(self, at: Allocation, total: np.ndarray) -> np.ndarray:
        """The level of prices, relative to the one that is looked for, shape (...).

        ``total`` is all that buyers pay. Prices of utilities have no part in the level.
        """
        if self.level is None:
            return total / self.money
        goods = slice(len(self.level) - self.count)
        sold = at.quantities[..., goods]
        return (at.prices[..., goods] * sold).sum(axis=-1) / (sold @ self.level[goods])

    def settled(self, at: Allocation) -> np.ndarray:
        """Whether the level of prices has settled at solutions, shape (...).

        What all others pay to households is then what they get from them. Where that cannot be,
        prices grow, and budgets nearly balance far out, where it is next to nothing of all money.
        """
        if not self.count or self.closed:
            return np.ones(at.quantities.shape[:-1], bool)
        paid, earned = self.outside(at.prices, at.quantities)
        most = np.maximum(np.abs(paid), np.abs(earned))
        small = most < NEGLIGIBLE * self.flows(at).income.sum(axis=-1)
        return ~(small & (np.abs(paid - earned) > UNBALANCED * most))

    def outside(self, prices: np.ndarray, quantities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What consumers other than households pay, taxes included, and other suppliers earn.

        Money per step, shape (...); prices, net of taxes, and quantities have shape (..., goods).
        """
        economy, money = self.economy, prices * quantities
        raw, final = outsiders(economy)
        sold = money[..., [economy.index[good] for good in final]]
        paid = sold.sum(axis=-1)
        for name, (_, finals) in economy.taxed.items():
            paid = paid + (economy.taxes[name].rate * sold[..., finals]).sum(axis=-1)
        return paid, money[..., [economy.index[good] for good in raw]].sum(axis=-1)

    def flows(self, at: Allocation) -> Flows:
        """What households earn and spend at allocations whose prices are the exact gradient.

        Buyers pay what their inputs have earned, x ∂y/∂x, taxes included.
        """
        economy, buyers = self.economy, self.economy.buyers
        inputs = at.shares * at.quantities[..., buyers.good]
        paid = np.where(inputs == 0.0, 0.0, inputs * at.products * at.prices[..., buyers.maker])
        total = paid.sum(axis=-1)
        if not self.count:
            nothing = np.zeros((*total.shape, 0))
            return Flows(nothing, nothing, total)
        claims = economy.claims
        costs, taxes = claims.costs(economy.uses.buyers.total(paid)), np.zeros(self.count)
        if economy.taxes:
            net = economy.uses.buyers.total(paid * economy.net_of_buyers)
            sold = (at.prices * at.quantities)[..., economy.final]
            taxes = economy.tax_incomes(net, sold)
        profits = claims.revenue(at.prices, at.quantities) - costs
        income = claims.incomes(at.prices, profits, taxes)
        return Flows(claims.inputs.total(paid[..., claims.buyers]), income, total)
