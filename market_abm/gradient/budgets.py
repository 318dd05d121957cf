"""What households earn and spend at an allocation, if all goods are paid at the exact gradient."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.economy.households import ownership
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
        One economy, not vectorized.
    """

    def __init__(self, economy: Economy) -> None:
        self.economy = economy
        self.names = tuple(economy.households)

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def places(self) -> np.ndarray:
        """The place of each household in ``Economy.final``, shape (households,)."""
        demanded = list(self.economy.demand)
        return np.array([demanded.index(name) for name in self.names], int)

    @cached_property
    def closed(self) -> bool:
        """Whether households buy all final goods and supply all raw goods."""
        economy = self.economy
        owned = {good for each in economy.households.values() for good in each.endowment}
        return (
            len(self) > 0
            and set(economy.demand) == set(economy.households)
            and owned >= set(economy.supply)
        )

    @cached_property
    def money(self) -> float:
        """What all households spend in the first step."""
        return float(sum(each.money for each in self.economy.households.values()))

    @cached_property
    def transfers(self) -> np.ndarray:
        """Money per step, shape (households,)."""
        return np.array([each.transfer for each in self.economy.households.values()], float)

    @cached_property
    def endowment(self) -> np.ndarray:
        """Units per step, shape (goods, households)."""
        owned = np.zeros((len(self.economy.goods), len(self)))
        for k, household in enumerate(self.economy.households.values()):
            for good, units in household.endowment.items():
                owned[self.economy.index[good], k] = units
        return owned

    @cached_property
    def ownership(self) -> np.ndarray:
        """Shares of the profits of each good's makers, shape (goods, households); of raw goods 0."""
        owned = np.zeros((len(self.economy.goods), len(self)))
        lines = [each.good for each in self.economy.topological_order if not each.household]
        shares = ownership(self.economy.households, lines)
        for k, name in enumerate(self.names):
            for good, share in shares[name].items():
                owned[self.economy.index[good], k] = share
        return owned

    @cached_property
    def _costs(self) -> np.ndarray:
        """1 where a buyer's firm makes the good, shape (buyers, goods)."""
        makers = self.economy.buyers.maker[:, None]
        return (np.arange(len(self.economy.goods)) == makers).astype(float)

    def flows(self, at: Allocation) -> Flows:
        """What households earn and spend at allocations whose prices are the exact gradient."""
        paid = at.shares * at.worth
        spent = paid @ self._costs
        made = at.quantities - self.endowment.sum(axis=-1)
        profits = at.prices * made - spent
        income = at.prices @ self.endowment + profits @ self.ownership + self.transfers
        return Flows(spent[..., self.economy.final[self.places]], income, paid.sum(axis=-1))
