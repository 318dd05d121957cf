"""The mechanisms by which a good is priced and handed out: one file each, chosen by name."""

from market_abm.markets.market import PooledMarket
from market_abm.markets.trading_post import TradingPost
from market_abm.markets.unit_bid import UnitBid

MECHANISMS: dict[str, type[PooledMarket]] = {"unit-bid": UnitBid, "trading-post": TradingPost}

__all__ = ["MECHANISMS", "PooledMarket", "TradingPost", "UnitBid"]
