"""What households earn and spend at an allocation, if all goods are paid at the exact gradient."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.economy.households import endowments
from market_abm.economy.outputs import share_responses
from market_abm.gradient.allocation import Allocation


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

    Attributes
    ----------
    count
        The number of households.
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
        goods, makers = np.arange(len(economy.goods)), economy.buyers.maker[:, None]
        names = list(economy.households)
        self.count = len(names)
        self.money = 0.0
        self.transfer = np.zeros(self.count)
        self.endowment, self.ownership = np.zeros((2, len(goods), self.count))
        self._maker = (makers == goods).astype(float)
        self._responses = share_responses(economy)
        self._spender = self._maker[:, :0]
        self._receiver = np.zeros((len(economy.taxes), self.count))
        if names:
            claims = economy.claims
            self.money, self.transfer = float(claims.money.sum()), claims.transfer
            self.endowment[claims.owned, claims.owner] = claims.units
            self.ownership[claims.makers] = np.swapaxes(claims.shares, -1, -2)
            self._spender = self._maker[:, claims.good]
        for k, tax in enumerate(economy.taxes.values()):
            for name, share in (tax.to or {}).items():
                self._receiver[k, names.index(name)] = share

    @property
    def closed(self) -> bool:
        """Whether households buy all final goods, and own all raw goods."""
        owned = endowments(self.economy.households).keys()
        return len(self.economy.demand) == self.count and set(self.economy.supply) <= owned

    def flows(self, at: Allocation) -> Flows:
        """What households earn and spend at allocations whose prices are the exact gradient.

        ``worth`` is what sellers get, net of taxes; of an output of a divided activity it is less
        than the output pays (``share_responses``).
        """
        economy, net = self.economy, at.shares * at.worth
        net = net if self._responses is None else net / self._responses
        paid = net if economy.net_of_buyers is None else net / economy.net_of_buyers
        made = at.quantities - self.endowment.sum(axis=-1)
        profits = at.prices * made - paid @ self._maker
        income = at.prices @ self.endowment + profits @ self.ownership + self.transfer
        if economy.taxes:
            sold = (at.prices * at.quantities)[..., economy.final]
            revenues = economy.tax_revenues(economy.uses.buyers.total(net), sold)
            income = income + revenues @ self._receiver
        return Flows(paid @ self._spender, income, paid.sum(axis=-1))
