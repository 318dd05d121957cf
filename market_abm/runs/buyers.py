"""What buyers got, held and bid along a run, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from market_abm.economy.economy import Economy
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
