"""The mechanisms by which a good is priced and handed out: one file each, chosen by name."""

from market_abm.markets.unit_bid import UnitBidMarket

MECHANISMS = {"unit-bid": UnitBidMarket}
