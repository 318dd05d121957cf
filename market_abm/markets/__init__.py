"""The mechanisms by which a good is priced and handed out: one file each, chosen by name."""

from market_abm.markets.excess_demand import ExcessDemand
from market_abm.markets.market import Mechanism, PooledMarket
from market_abm.markets.posted_price import PostedPrice
from market_abm.markets.quoted import QuotedMarket
from market_abm.markets.tatonnement import Tatonnement
from market_abm.markets.trading_post import TradingPost
from market_abm.markets.unit_bid import UnitBid

MECHANISMS: dict[str, type[Mechanism]] = {
    "unit-bid": UnitBid,
    "trading-post": TradingPost,
    "tatonnement": Tatonnement,
    "posted-price": PostedPrice,
    "excess-demand": ExcessDemand,
}

__all__ = [
    "MECHANISMS",
    "ExcessDemand",
    "Mechanism",
    "PooledMarket",
    "PostedPrice",
    "QuotedMarket",
    "Tatonnement",
    "TradingPost",
    "UnitBid",
]
