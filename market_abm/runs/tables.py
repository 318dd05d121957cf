"""Tables of a run: accounts of industries, own rates of interest, what buyers got and bid."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from market_abm.analysis.measures import PathMeasures
from market_abm.analysis.own_rates import DatedGood
from market_abm.economy.economy import Economy
from market_abm.errors import MarketError
from market_abm.market.accounts import revenues_and_costs
from market_abm.market.base import MarketSettings
from market_abm.market.state import State
from market_abm.simulation.record import Trajectory

if TYPE_CHECKING:
    import pandas as pd


def buyers_table(economy: Economy, trajectory: Trajectory) -> pd.DataFrame:
    """One row per recorded step and buyer: its input, its share of the pool, and its bid.

    A buyer is one input of one firm: ``industry`` and ``firm`` (from 1) name the firm, ``place``
    (from 1) is that of the input in its line, and ``good`` what it buys. The numbers are those of
    ``market.state.State``. There are no rows where buyers were not recorded.
    """
    import pandas as pd

    layout = economy.buyers
    firm, place = np.zeros(layout.size, int), np.zeros(layout.size, int)
    for buyers in layout.of_industry.values():
        place[buyers] = np.arange(1, 1 + len(buyers))[:, None]
        firm[buyers] = np.arange(1, 1 + buyers.shape[-1])
    goods = np.array(economy.goods, object)
    of_buyers = {
        "industry": goods[layout.maker],
        "firm": firm,
        "place": place,
        "good": goods[layout.good],
    }
    recorded, count = trajectory.buyers, len(trajectory.inputs)
    return pd.DataFrame(
        {
            "step": np.repeat(trajectory.times[:count], len(recorded)),
            **{name: np.tile(values[recorded], count) for name, values in of_buyers.items()},
            "input": trajectory.inputs.ravel(),
            "share": trajectory.shares.ravel(),
            "bid": trajectory.bids.ravel(),
        }
    )


def path_table(
    goods: Sequence[str], path: Trajectory, gradients: np.ndarray, errors: np.ndarray
) -> pd.DataFrame:
    """One row per recorded step and good (see ``Result.frame``)."""
    import pandas as pd

    return pd.DataFrame(
        {
            "step": np.repeat(path.times, len(goods)),
            "good": np.tile(np.array(goods, object), len(path.times)),
            "quantity": path.quantities.ravel(),
            "price": path.prices.ravel(),
            "gradient": gradients.ravel(),
            "error": errors.ravel(),
        }
    )


def measures_table(times: np.ndarray, errors: np.ndarray, path: PathMeasures) -> pd.DataFrame:
    """One row per recorded step: the measures of the path (see ``Result.measures``)."""
    import pandas as pd

    columns = {
        "step": times,
        "error": errors.max(axis=1),
        "staleness": path.staleness,
        "alignment": path.alignment,
        "welfare": path.welfare,
    }
    if path.comparison.possible is not None:
        columns["gain"], columns["gain_fraction"] = path.gains, path.gain_fractions
        columns["reweighting"] = path.reweighting
    return pd.DataFrame(columns)


@np.errstate(all="ignore")
def accounts_table(economy: Economy, market: MarketSettings, last: State) -> pd.DataFrame:
    """One row per industry: revenue, cost, profit and margin (see ``Result.accounts``)."""
    import pandas as pd

    reference = consumer_references(economy)
    lines = [each for each in economy.topological_order if each.is_line]
    made = [industry.good for industry in lines]
    places = [economy.index[good] for good in made]
    revenues, costs = revenues_and_costs(economy, market, last, reference)
    if economy.endowed is not None:
        revenues = revenues - last.prices * economy.endowed
    for activity, outputs in economy.outputs.items():  # a line earns what its outputs do
        revenues[economy.index[activity]] = sum(revenues[economy.index[i.good]] for i in outputs)
    revenue, cost = revenues[places], costs[places]
    profit = revenue - cost
    margin = np.where(revenue > 0.0, profit / revenue, np.nan)
    columns = {"revenue": revenue, "cost": cost, "profit": profit, "margin": margin}
    return pd.DataFrame(columns, index=pd.Index(made, name="industry"))


def divided(accounts: pd.DataFrame, unit: float) -> pd.DataFrame:
    """Accounts in units that are worth ``unit`` each, money."""
    money = [column for column in accounts if column != "margin"]
    return accounts if unit == 1.0 else accounts.assign(**(accounts[money] / unit))


def consumer_references(economy: Economy) -> np.ndarray:
    """The consumers' reference quantities c0, units, shape (final goods,); NaN where unknown."""
    from market_abm.gradient.backprop import references

    if len(economy.households) == len(economy.demand):  # they have none
        return np.full(len(economy.demand), np.nan)
    with suppress(MarketError):  # a loop without a start, whose consumers need no reference
        return references(economy)
    return np.array([terms.quantity for terms in economy.demand.values()], float)


def own_rates_table(
    dated: Sequence[DatedGood], goods: Sequence[str], last: State, gradients: np.ndarray
) -> pd.DataFrame:
    """One row per dated good and date, at the last step (see ``Result.own_rates``)."""
    import pandas as pd

    quantities = dict(zip(goods, last.quantities, strict=True))
    columns = {
        "name": [each.name for each in dated for _ in each.dates],
        "t": [date for each in dated for date in each.dates],
        "good": [goods[place] for each in dated for place in each.goods],
        "rate": [rate for each in dated for rate in each.rates(last.prices)],
        "gradient": [rate for each in dated for rate in each.rates(gradients)],
        "predicted": [rate for each in dated for rate in each.predicted(quantities)],
    }
    return pd.DataFrame(columns)


def largest(economy: Economy, sales: np.ndarray) -> tuple[str, ...]:
    """The goods of industries that sell to others (if none does, of all), by falling sales.

    ``sales``, money per step, has shape (goods,).
    """
    made = [industry.good for industry in economy.topological_order]
    size = dict(zip(economy.goods, np.nan_to_num(np.abs(sales)), strict=True))
    goods = [good for good in made if good not in economy.demand] or made
    return tuple(sorted(goods, key=lambda good: -size[good]))
