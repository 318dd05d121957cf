"""The mechanisms by which a good is priced and handed out: one file each, chosen by name."""

from market_abm.market.base import Mechanism, PooledMarket
from market_abm.market.mechanisms.excess_demand import ExcessDemand
from market_abm.market.mechanisms.posted_price import PostedPrice
from market_abm.market.mechanisms.tatonnement import Tatonnement
from market_abm.market.mechanisms.trading_post import TradingPost
from market_abm.market.mechanisms.unit_bid import UnitBid
from market_abm.market.quoted import QuotedMarket

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
