"""The accounts of the industries at the end of a run, as a table."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pandas as pd

from market_abm.economy.economy import Economy
from market_abm.errors import MarketError
from market_abm.gradient.backprop import references
from market_abm.market.accounts import revenues_and_costs
from market_abm.market.base import MarketSettings
from market_abm.market.state import State


@np.errstate(all="ignore")  # the market may have diverged
def accounts_table(economy: Economy, market: MarketSettings, state: State) -> pd.DataFrame:
    """One row per industry: revenue, cost and profit, money per step, and profit over revenue."""
    reference = np.array([terms.quantity for terms in economy.demand.values()], float)
    with suppress(MarketError):  # a loop without a start, whose consumers need no reference
        reference = references(economy)
    made = [industry.good for industry in economy.topological_order]
    places = [economy.index[good] for good in made]
    money = revenues_and_costs(economy, market, state, reference)
    revenue, cost = (each[places] for each in money)
    profit = revenue - cost
    margin = np.where(revenue > 0.0, profit / revenue, np.nan)
    columns = {"revenue": revenue, "cost": cost, "profit": profit, "margin": margin}
    return pd.DataFrame(columns, index=pd.Index(made, name="industry"))
