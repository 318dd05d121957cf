"""What theory says the path of prices must be, where it says anything in closed form."""

from __future__ import annotations

import numpy as np
from scipy.special import betainc

from market_abm.economy import Economy
from market_abm.state import MarketSettings


def climbing(economy: Economy, market: MarketSettings, steps: int) -> np.ndarray | None:
    """Price over gradient at steps 0, 1, ..., ``steps``, shape (steps + 1, goods); or None.

    Where every good has one buyer and none is needed for its own making, quantities stand still
    and only bids move. Each of n firms between a good and the consumer then goes a fraction α of
    the way in a step, so that the price of the good is its gradient times P(T <= t), T the trial
    of the n-th success in trials of probability α: a negative binomial, whose distribution
    function is the regularised incomplete beta function I_α(n, t - n + 1) (docs/model.md, 4).
    """
    buyers = economy.buyers
    alone = len(np.unique(buyers.good)) == buyers.size
    loops = any(economy.is_loop(component) for component in economy.components)
    noisy = any(industry.population.bid_noise > 0 for industry in economy.flow)
    timing = (market.mechanism, market.activation) == ("unit-bid", "simultaneous")
    if not alone or loops or noisy or not timing:
        return None
    ways = economy.stages
    n = np.array([ways[good] for good in economy.goods])
    t = np.arange(steps + 1)[:, None]
    within = betainc(np.maximum(n, 1), np.maximum(t - n + 1, 1), market.bid_rate)
    return np.where(n == 0, 1.0, np.where(t < n, 0.0, within))
