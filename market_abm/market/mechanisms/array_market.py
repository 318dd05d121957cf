"""The array engine: one class for mechanisms in which bids alone count, and one each for others."""

from collections.abc import Sequence

from market_abm.economy.economy import Economy
from market_abm.market.arrays import ACTIVATIONS, ArrayEngine
from market_abm.market.mechanisms.excess_demand_arrays import ExcessDemandArrayEngine
from market_abm.market.mechanisms.posted_price_arrays import PostedPriceArrayEngine
from market_abm.market.mechanisms.tatonnement_arrays import TatonnementArrayEngine
from market_abm.market.settings import MarketSettings

ENGINES: dict[str, type[ArrayEngine]] = {
    "tatonnement": TatonnementArrayEngine,
    "posted-price": PostedPriceArrayEngine,
    "excess-demand": ExcessDemandArrayEngine,
}
"""The mechanisms with arrays, or an order of events, of their own."""


def array_market(
    economies: Sequence[Economy], settings: Sequence[MarketSettings], seeds: Sequence[int]
) -> ArrayEngine:
    """The array engine for runs, one an entry, of ``economies`` under these ``settings``.

    Raises:
        MarketError: the mechanism cannot run the economy, or needs one agent after the other.
    """
    engine = ENGINES.get(settings[0].mechanism, ArrayEngine)
    return engine(economies, settings, seeds)


__all__ = ["ACTIVATIONS", "ArrayEngine", "array_market"]
