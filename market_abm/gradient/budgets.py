"""What households earn and spend at an allocation, if all goods are paid at the exact gradient."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.economy.households import endowments
from market_abm.gradient.allocation import Allocation


class Flows(NamedTuple):
    """Money per step, by household or in all.

    Attributes
    ----------
    spending
        What a household's goods are worth to it, Σ α x ∂U/∂x, shape (..., households).
    income
        What its endowments, its shares of profits, and transfers bring, shape (..., households).
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
        One economy with households, not vectorized.

    Attributes
    ----------
    money
        What all households spend in the first step.
    transfer
        Money per step, shape (households,).
    endowment
        Units per step, shape (goods, households).
    ownership
        Shares of the profits of each good's makers, shape (goods, households).
    """

    def __init__(self, economy: Economy) -> None:
        self.economy = economy
        claims = economy.claims
        self.money = float(claims.money.sum())
        self.transfer = claims.transfer
        self.endowment = np.zeros((len(economy.goods), claims.count))
        self.endowment[claims.owned, claims.owner] = claims.units
        self.ownership = np.zeros((len(economy.goods), claims.count))
        self.ownership[claims.makers] = np.broadcast_to(
            claims.shares, (claims.count, len(claims.makers))
        ).T
        self._spender = (economy.buyers.maker[:, None] == claims.good).astype(float)
        self._maker = (economy.buyers.maker[:, None] == np.arange(len(economy.goods))).astype(float)

    def __len__(self) -> int:
        return self.economy.claims.count

    @property
    def closed(self) -> bool:
        """Whether households buy all final goods, and own all raw goods."""
        economy = self.economy
        return (
            len(economy.demand) == len(self)
            and set(economy.supply) <= endowments(economy.households).keys()
        )

    def flows(self, at: Allocation) -> Flows:
        """What households earn and spend at allocations whose prices are the exact gradient."""
        paid = at.shares * at.worth
        made = at.quantities - self.endowment.sum(axis=-1)
        profits = at.prices * made - paid @ self._maker
        income = at.prices @ self.endowment + profits @ self.ownership + self.transfer
        return Flows(paid @ self._spender, income, paid.sum(axis=-1))
