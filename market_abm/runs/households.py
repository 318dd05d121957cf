"""Who earns what and who buys what: the accounts of households."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.economy.households import ownership
from market_abm.market.accounts import tax_revenues
from market_abm.market.base import MarketSettings
from market_abm.market.behaviour import gross_price
from market_abm.market.state import State
from market_abm.runs.tables import accounts_table, consumer_references
from market_abm.simulation.record import Trajectory

if TYPE_CHECKING:
    import pandas as pd


class HouseholdAccount(NamedTuple):
    """What a household earns and buys in a step, money per step.

    Attributes
    ----------
    utility
        U of what it consumes.
    weight
        α, its weight in welfare, money per unit of utility: at rest 1 over the marginal utility of
        income.
    endowments
        What it gets for each good that it owns.
    profits
        Its share of the profit of each line.
    transfer
        What it gets from other households.
    taxes
        Its part of the revenue of each tax.
    spending
        What it pays for each good that it wants, taxes included.
    """

    utility: float
    weight: float
    endowments: Mapping[str, float]
    profits: Mapping[str, float]
    transfer: float
    taxes: Mapping[str, float]
    spending: Mapping[str, float]

    @property
    def income(self) -> float:
        """What it earns: it spends that in the next step."""
        parts = self.endowments, self.profits, self.taxes
        return sum(sum(part.values()) for part in parts) + self.transfer

    @property
    def spent(self) -> float:
        """What it pays for all goods."""
        return sum(self.spending.values())

    def divided(self, unit: float) -> HouseholdAccount:
        """The same in units of account that are worth ``unit`` each, money."""
        if unit == 1.0:
            return self
        return HouseholdAccount(
            self.utility,
            self.weight / unit,
            {good: money / unit for good, money in self.endowments.items()},
            {good: money / unit for good, money in self.profits.items()},
            self.transfer / unit,
            {name: money / unit for name, money in self.taxes.items()},
            {good: money / unit for good, money in self.spending.items()},
        )

    def summary(self) -> dict[str, Any]:
        """The account as an object for JSON."""
        return {
            "utility": self.utility,
            "weight": self.weight,
            "income": {
                "total": self.income,
                "endowments": dict(self.endowments),
                "profits": dict(self.profits),
                "transfer": self.transfer,
                **({"taxes": dict(self.taxes)} if self.taxes else {}),
            },
            "spending": {"total": self.spent, "goods": dict(self.spending)},
        }


@np.errstate(all="ignore")  # it may have diverged
def household_accounts(
    economy: Economy, market: MarketSettings, last: State
) -> dict[str, HouseholdAccount]:
    """The account of each household at the end of a step, by name.

    Parameters
    ----------
    economy, market
        What was run.
    last
        The state, of one run.
    """
    if not economy.households:
        return {}
    index = economy.index
    price = dict(zip(economy.goods, last.prices.tolist(), strict=True))
    paid = gross_price(market.rules.payments(economy, last), economy.net_of_buyers)
    revenues = tax_revenues(economy, market, last, consumer_references(economy)).tolist()
    of_taxes = dict(zip(economy.taxes, revenues, strict=True))
    profit = accounts_table(economy, market, last)["profit"].to_dict()
    shares = ownership(economy.households, list(profit))
    lines = {each.good: each.technology for each in economy.industries if each.household}
    return {
        name: HouseholdAccount(
            utility=float(last.quantities[index[name]]),
            weight=price[name],
            endowments={good: units * price[good] for good, units in own.endowment.items()},
            profits={good: share * profit[good] for good, share in shares[name].items() if share},
            transfer=own.transfer,
            taxes={
                key: tax.to[name] * of_taxes[key]
                for key, tax in economy.taxes.items()
                if tax.to and name in tax.to
            },
            spending={
                good: float(paid[use].sum())
                for good, use in zip(lines[name].inputs, economy.buyers.uses[name], strict=True)
            },
        )
        for name, own in economy.households.items()
    }


def household_paths(economy: Economy, trajectory: Trajectory) -> pd.DataFrame:
    """One row per recorded step and recorded household: step, household, weight, utility."""
    import pandas as pd

    recorded = {good: k for k, good in enumerate(trajectory.goods.tolist())}
    names = [name for name in economy.households if economy.index[name] in recorded]
    places = [recorded[economy.index[name]] for name in names]
    return pd.DataFrame(
        {
            "step": np.repeat(trajectory.times, len(names)),
            "household": np.tile(np.array(names, object), len(trajectory.times)),
            "weight": trajectory.prices[:, places].ravel(),
            "utility": trajectory.quantities[:, places].ravel(),
        }
    )


def households_summary(accounts: Mapping[str, HouseholdAccount]) -> dict[str, Any]:
    """The accounts as a part of a summary; nothing without households."""
    told = {name: account.summary() for name, account in accounts.items()}
    return {"households": told} if told else {}
