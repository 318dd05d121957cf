"""``tatonnement``: prices are called out until demand is supply (docs/model.md, 3).

L. Walras (1874), as P. Samuelson (1941) wrote it: everybody answers the prices that are called with
the quantities that would be best for him, nobody trades, and each price moves with its own excess
demand, π ← π + λ (Σ x - S). By Hotelling's lemma excess demand is minus the gradient of the dual
potential Φ(p), the sum of all maximal profits and surpluses, which is convex: this is gradient
descent on Φ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from market_abm.errors import EconomyError, SettingError
from market_abm.market.base import FinalMarket
from market_abm.market.quoted import QuotedFinalMarket, QuotedMarket

if TYPE_CHECKING:
    from market_abm.economy.economy import Economy
    from market_abm.market.settings import MarketSettings


def part_of(orders: Any, offered: Any) -> Any:
    """Orders over what is offered; 0 where nothing is."""
    return np.where(offered == 0.0, 0.0, orders / np.where(offered == 0.0, 1.0, offered))


def called_next(price: Any, demand: Any, supply: Any, auction_rate: Any) -> Any:
    """The price that is called next, money per unit: π + λ (demand - supply)."""
    return price + auction_rate * (demand - supply)


class Tatonnement(QuotedMarket):
    """An auctioneer calls prices, and everybody answers with what he would buy and sell."""

    name = "tatonnement"
    stabilizing_hint = "lower market.auction_rate"
    rates = ("auction_rate",)

    @staticmethod
    def final_market() -> type[FinalMarket]:
        """Where the consumer answers prices that are called, too."""
        return TatonnementFinalMarket

    @staticmethod
    def available(quantity: Any, *, final: bool) -> Any:
        """Nothing may be offered, at some prices; what consumers buy may have any sign."""
        return np.greater_equal(quantity, 0.0) | (final & np.isfinite(quantity))

    @classmethod
    def check(cls, economy: Economy, settings: MarketSettings) -> None:
        """Everybody is a price taker with a best answer, and hears what is called."""
        super().check(economy, settings)
        if np.any(settings.lag):
            raise SettingError(
                f'market.lag is {settings.lag} with mechanism "{cls.name}"',
                remedy="prices that are called are heard at once: set market.lag = 0",
                name="market.lag",
            )
        for industry in economy.industries:
            where = f"industries.{industry.good}"
            if industry.population.conduct != "competitive":
                raise EconomyError(
                    f"{where}.conduct is '{industry.population.conduct}' with mechanism "
                    f'"{cls.name}"',
                    remedy='who answers prices takes them as given: set conduct = "competitive"',
                    name=f"{where}.conduct",
                )
            if np.any(industry.population.bid_noise):
                raise EconomyError(
                    f'{where}.bid_noise is set with mechanism "{cls.name}"',
                    remedy="there are no bids: set bid_noise = 0",
                    name=f"{where}.bid_noise",
                )

    def collect(self) -> None:
        """What is offered at these prices, and what part of it each buyer would take."""
        super().collect()
        if self.priced:
            self.shares = part_of(self.orders, self.quantity)

    def follow(self) -> np.ndarray:
        """Prices follow excess demand."""
        rate = self.settings.auction_rate
        return called_next(self.quotes, self.ordered(), self.quantity, rate)

    def form_price(self) -> None:
        """Call prices: they are what everybody is to pay."""
        super().form_price()
        for k, pool in enumerate(self.pools):
            self.bids[pool] = self.quotes[k]


class TatonnementFinalMarket(QuotedFinalMarket):
    """A final good whose price is called."""

    def follow(self, wanted: Any) -> Any:
        """The price follows excess demand."""
        return called_next(self.price, wanted, self.quantity, self.settings.auction_rate)
