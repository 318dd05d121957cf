"""How a market works and what can be seen of it: what agents and arrays have in common."""

from __future__ import annotations

from dataclasses import dataclass

from market_abm.fields import Settings, choice, integer, number
from market_abm.market.base import Mechanism
from market_abm.market.mechanisms.registry import MECHANISMS

ACTIVATIONS = ("simultaneous", "sequential", "random")


@dataclass(frozen=True)
class MarketSettings(Settings):
    """How the market works.

    ``mechanism`` is one of ``markets.MECHANISMS``; ``activation`` who acts when (docs/model.md, 2);
    ``bid_rate`` α the fraction of the way that a bid moves to its value; ``share_rate`` κ how
    strongly the shares of a good follow the bids for it (0: not at all); ``lag`` by how many
    steps everybody who sells hears prices late.

    Where prices are quoted, ``start_price`` is the first quote of a good that is made (money per
    unit). Under ``tatonnement`` a price moves by ``auction_rate`` λ times excess demand (money per
    unit, per unit). Under ``posted-price`` it moves by ``price_rate`` λ times what is ordered over
    what is there (relative), of which stock counts ``stock_weight`` φ; orders move by
    ``order_rate`` κ times what a unit earns over its price (relative); and ``spoilage`` δ is the
    part of what is left over that is lost: 1, all, if goods are perishable. Under
    ``excess-demand`` prices move by ``price_rate`` α, planned outputs by ``output_rate`` β and
    wages and confidence by ``wage_rate`` ω (docs/model.md, 3).
    """

    mechanism: str = choice("unit-bid", MECHANISMS)
    activation: str = choice("simultaneous", ACTIVATIONS)
    bid_rate: float = number(1.0, above=0.0, high=1.0)
    share_rate: float = number(0.5, low=0.0, high=100.0)
    lag: int = integer(0, low=0, high=10_000)
    start_price: float = number(1.0, above=0.0)
    auction_rate: float = number(0.005, above=0.0)
    price_rate: float = number(0.02, above=0.0, high=1.0)
    order_rate: float = number(0.2, above=0.0, high=1.0)
    stock_weight: float = number(0.1, low=0.0, high=1.0)
    spoilage: float = number(1.0, low=0.0, high=1.0)
    output_rate: float = number(0.1, low=0.0)
    wage_rate: float = number(0.02, low=0.0)

    @property
    def rules(self) -> type[Mechanism]:
        """The mechanism itself."""
        return MECHANISMS[self.mechanism]

    @property
    def shares_move(self) -> bool:
        """Whether shares follow bids at all."""
        return self.rules.shares_move(self.share_rate)
