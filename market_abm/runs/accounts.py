"""Revenue, cost and profit of the industries at the last step of a run."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.errors import MarketError
from market_abm.gradient.backprop import references
from market_abm.market.accounts import revenues_and_costs
from market_abm.market.base import MarketSettings
from market_abm.market.state import State

if TYPE_CHECKING:
    import pandas as pd


def accounts_table(economy: Economy, market: MarketSettings, last: State) -> pd.DataFrame:
    """One row per industry; see :meth:`market_abm.runs.result.Result.accounts`."""
    import pandas as pd

    reference = np.array([terms.quantity for terms in economy.demand.values()], float)
    with suppress(MarketError):  # a loop without a start, whose consumers need no reference
        reference = references(economy)
    made = [industry.good for industry in economy.topological_order]
    places = [economy.index[good] for good in made]
    revenue, cost = (
        money[places] for money in revenues_and_costs(economy, market, last, reference)
    )
    with np.errstate(all="ignore"):
        profit = revenue - cost
        margin = np.where(revenue > 0.0, profit / revenue, np.nan)
    columns = {"revenue": revenue, "cost": cost, "profit": profit, "margin": margin}
    return pd.DataFrame(columns, index=pd.Index(made, name="industry"))
