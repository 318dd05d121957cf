"""How a market works and what can be seen of it: what agents and arrays have in common."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from market_abm.economy import Economy
from market_abm.errors import MarketError
from market_abm.markets import MECHANISMS
from market_abm.markets.market import Mechanism
from market_abm.settings import Settings, choice, integer, number

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


@dataclass(frozen=True, eq=False)
class State:
    """What could be seen in the market at the end of one step.

    ``quantities`` (units on sale) and ``prices`` (money per unit) have shape (goods,); ``inputs``
    (units that went into the batch on sale), ``shares`` (by which they had been handed out) and
    ``bids`` (money per unit) have shape (buyers,). Of several runs at once, all have a leading
    axis of runs.
    """

    step: int
    quantities: np.ndarray
    prices: np.ndarray
    inputs: np.ndarray
    shares: np.ndarray
    bids: np.ndarray

    def rows(self, rows: np.ndarray | int) -> State:
        """The state of some of the runs, or of one."""
        arrays = {f.name: getattr(self, f.name)[rows] for f in fields(self) if f.name != "step"}
        return State(step=self.step, **arrays)


def start_trouble(economy: Economy, state: State) -> MarketError | None:
    """Why a market that begins in ``state`` cannot go on, or None."""
    amounts = dict(zip(economy.goods, state.quantities, strict=True))
    for industry in economy.flow:
        if not np.isfinite(amounts[industry.good]):
            read = dict.fromkeys(industry.technology.inputs)
            inputs = ", ".join(f"{good} = {amounts[good]:.6g}" for good in read)
            return MarketError(
                f"'{industry.text()}' is {amounts[industry.good]}, with {inputs}",
                name=industry.good,
                line=industry.line,
                remedy="change the endowments or the line so that it can be computed",
            )
    for good, price in zip(economy.demand, state.prices[economy.final], strict=True):
        terms = economy.demand[good]
        curved = terms.form == "isoelastic" and np.isfinite(terms.elasticity)
        if not np.isfinite(price) or (curved and amounts[good] <= 0.0):
            return MarketError(
                f"the consumer of {good} has no price for {amounts[good]:.6g} units of it",
                name=f"demand.{good}.form",
                remedy=f'use form = "linear", or another demand.{good}.quantity',
            )
    return None


def told_at(error: MarketError, economy: Economy, step: int) -> MarketError:
    """``error`` with the step at which it showed, and the line that reads the good at fault."""
    error.what = f"at step {step}, {error.what}"
    readers = [i.line for i in economy.flow if error.name in i.technology.inputs]
    return error.located(line=readers[0] if readers else None)
