"""The array engine: one class for mechanisms in which bids alone count, and one each for others."""

from collections.abc import Sequence

from market_abm.arrays.auction import ArrayAuction
from market_abm.arrays.excess_demand import ArrayExcessDemand
from market_abm.arrays.market import ACTIVATIONS, ArrayMarket
from market_abm.arrays.posted_price import ArrayPostedPrice
from market_abm.economy import Economy
from market_abm.state import MarketSettings

ENGINES: dict[str, type[ArrayMarket]] = {
    "tatonnement": ArrayAuction,
    "posted-price": ArrayPostedPrice,
    "excess-demand": ArrayExcessDemand,
}
"""The mechanisms with arrays, or an order of events, of their own."""


def array_market(
    economies: Sequence[Economy], settings: Sequence[MarketSettings], seeds: Sequence[int]
) -> ArrayMarket:
    """The array engine for runs, one an entry, of ``economies`` under these ``settings``.

    Raises:
        MarketError: the mechanism cannot run the economy, or needs one agent after the other.
    """
    engine = ENGINES.get(settings[0].mechanism, ArrayMarket)
    return engine(economies, settings, seeds)


__all__ = ["ACTIVATIONS", "ArrayMarket", "array_market"]
