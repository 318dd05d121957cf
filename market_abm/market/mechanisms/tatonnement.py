"""``tatonnement``: an auctioneer adjusts prices until demand equals supply (docs/model.md, 3).

L. Walras (1874) in the form of P. Samuelson (1941): all agents respond to the quoted prices with
their optimal quantities, without trade, and each price moves with its own excess demand,
π ← π + λ (Σ x - S). By Hotelling's lemma excess demand is minus the gradient of the dual potential
Φ(p), the sum of all maximal profits and surpluses, which is convex: this is gradient descent on Φ.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from market_abm.economy import curves
from market_abm.economy.buyers import cached_parts
from market_abm.economy.economy import Economy
from market_abm.economy.industry import Industry
from market_abm.errors import EconomyError, MarketError, SettingError
from market_abm.fields import choice, number
from market_abm.market.arrays import ArrayEngine
from market_abm.market.base import FinalMarket, MarketSettings
from market_abm.market.best_plan import best_plan, check_returns, no_plan_error
from market_abm.market.conservation import Allocation, Conservation, RecordedPath
from market_abm.market.quoted import (
    QuotedArrayEngine,
    QuotedFinalMarket,
    QuotedMarket,
    QuotedSettings,
)
from market_abm.market.state import State


def demand_shares(orders: Any, offered: Any) -> Any:
    """Orders over the quantity offered; 0 where nothing is offered."""
    return np.where(offered == 0.0, 0.0, orders / np.where(offered == 0.0, 1.0, offered))


def next_quote(price: Any, demand: Any, supply: Any, auction_rate: Any) -> Any:
    """The next quote, money per unit: π + λ (demand - supply)."""
    return price + auction_rate * (demand - supply)


@dataclass(frozen=True)
class TatonnementSettings(QuotedSettings):
    """The settings of ``tatonnement``."""

    mechanism: str = choice(
        "tatonnement", ("tatonnement",), help="how goods are priced and allocated"
    )
    auction_rate: float = number(
        0.005,
        above=0.0,
        unit="money per unit²",
        help="λ: the change of a price per unit of excess demand in a step",
    )


class Tatonnement(QuotedMarket):
    """An auctioneer quotes prices; agents respond with their optimal quantities."""

    Settings = TatonnementSettings
    settings: TatonnementSettings
    trades = False
    alignment = "prices"
    alignment_target = "dual potential's descent"
    stabilizing_hint = "lower market.auction_rate"
    rates = ("auction_rate",)

    @staticmethod
    def array_engine() -> type[ArrayEngine]:
        """The class of its array engine."""
        return TatonnementArrayEngine

    @staticmethod
    def final_market() -> type[FinalMarket]:
        """The market of a final good with a price quoted by the auctioneer."""
        return TatonnementFinalMarket

    @staticmethod
    def available(quantity: Any, *, final: bool) -> Any:
        """Quantities may be zero; those of final goods may have any sign."""
        return np.greater_equal(quantity, 0.0) | (final & np.isfinite(quantity))

    @staticmethod
    def consumed(demanded: Any, quantity: Any) -> Any:
        """Units that a consumer plans to buy; all there is if its demand is elastic."""
        return np.where(np.isinf(demanded), quantity, demanded)

    @classmethod
    def conservation(
        cls, path: RecordedPath, economy: Economy, settings: MarketSettings, reference: np.ndarray
    ) -> Conservation | None:
        """None, for nothing is traded."""
        return None

    @classmethod
    def steady_memory(
        cls, economy: Economy, steady: Allocation, worth: np.ndarray, products: np.ndarray
    ) -> dict[str, np.ndarray]:
        """The quotes, and the prices of final goods; plans follow from them."""
        quotes = np.add.reduceat(steady.shares * worth, economy.buyers.starts)
        return {"quotes": quotes, "prices": steady.prices}

    @classmethod
    def moving(cls, economy: Economy) -> dict[str, np.ndarray]:
        """The prices of final goods whose demand has a finite elasticity."""
        prices = np.zeros(len(economy.goods), bool)
        prices[economy.final] = [np.isfinite(t.elasticity) for t in economy.demand.values()]
        return {"prices": prices}

    @classmethod
    def check(cls, economy: Economy, settings: MarketSettings) -> None:
        """Refuse what :class:`QuotedMarket` refuses, lags, lines without inputs, power, noise."""
        super().check(economy, settings)
        if np.any(settings.lag):
            raise SettingError(
                f'market.lag is {settings.lag} with mechanism "{cls.name}"',
                remedy="quoted prices are observed without a lag: set market.lag = 0",
                name="market.lag",
            )
        for industry in economy.industries:
            where = f"industries.{industry.good}"
            if not industry.technology.inputs:
                raise EconomyError(
                    f"'{industry.text()}' has no inputs with mechanism \"{cls.name}\"",
                    remedy=f"firms plan what they buy: leave the line out, and write "
                    f"[supply.{industry.good}]",
                    name=industry.good,
                    line=industry.line,
                )
            if industry.population.conduct != "competitive":
                raise EconomyError(
                    f"{where}.conduct is '{industry.population.conduct}' with mechanism "
                    f'"{cls.name}"',
                    remedy='an auction requires price takers: set conduct = "competitive"',
                    name=f"{where}.conduct",
                )
            if np.any(industry.population.bid_noise):
                raise EconomyError(
                    f'{where}.bid_noise is set with mechanism "{cls.name}"',
                    remedy="there are no bids: set bid_noise = 0",
                    name=f"{where}.bid_noise",
                )

    def collect(self) -> None:
        """Collect the offers, and compute the share of each buyer's order in them."""
        super().collect()
        if self.priced:
            self.shares = demand_shares(self.orders, self.quantity)

    def follow(self) -> np.ndarray:
        """Prices follow excess demand."""
        rate = self.settings.auction_rate
        return next_quote(self.quotes, self.ordered(), self.quantity, rate)

    def form_price(self) -> None:
        """Quote prices, which are also the bids."""
        super().form_price()
        for k, pool in enumerate(self.pools):
            self.bids[pool] = self.quotes[k]


class TatonnementFinalMarket(QuotedFinalMarket):
    """The market of a final good with a price quoted by the auctioneer."""

    settings: TatonnementSettings

    def follow(self, demanded: Any) -> Any:
        """The price follows excess demand."""
        return next_quote(self.price, demanded, self.quantity, self.settings.auction_rate)


class TatonnementArrayEngine(QuotedArrayEngine):
    """The array engine of ``tatonnement``.

    Attributes
    ----------
    guess
        The last positive order of each buyer, the guess of the next plan, units, shape
        (runs, buyers).
    """

    own = (*QuotedArrayEngine.own, "guess")

    def _observe(self) -> None:
        """Record the quoted prices, and the plans at these prices."""
        self.state = State(
            step=self.clock,
            quantities=self.quantities.copy(order="K"),
            prices=self.prices.copy(order="K"),
            inputs=self.orders.copy(order="K"),
            shares=demand_shares(self.orders, self.quantities[:, self.economy.buyers.good]),
            bids=self.quotes[:, self.economy.buyers.pool],
        )

    @property
    def memory(self) -> dict[str, np.ndarray]:
        """Copies of the state variables: ``quotes``, and the ``prices`` of final goods.

        Other prices, and all plans, follow from them.
        """
        return {"quotes": self.quotes.copy(), "prices": self.prices.copy(order="K")}

    @memory.setter
    def memory(self, memory: dict[str, np.ndarray]) -> None:
        self.quotes[:], self.prices[:] = memory["quotes"], memory["prices"]
        for good in self.economy.goods:
            places = [n for n, _ in self._pools_of_good(good)]
            if places:
                self.prices[:, self.economy.index[good]] = self.quotes[:, places].sum(axis=-1)
        self._priced[:] = True
        with np.errstate(all="ignore"):
            self._plan()

    @np.errstate(all="ignore")
    def step(self) -> None:
        """Quoted prices follow the last plans; then all agents plan at the new prices."""
        self.clock += 1
        self._form_prices()
        self._plan()

    def _follow(self, quotes: np.ndarray, ordered: np.ndarray, k: slice) -> np.ndarray:
        return next_quote(quotes, ordered, self.quantities[:, k], self.settings.auction_rate)

    def _start(self) -> None:
        super()._start()
        self.guess = self.shares * self.quantities[:, self.economy.buyers.good]

    def _check_start(self, economies: Sequence[Economy]) -> None:
        """Record the errors of lines without a profit-maximising plan; make the first plan."""
        for row in range(len(self.shares)):
            for industry in self.economy.topological_order:
                try:
                    check_returns(*self._first_firm(row, industry))
                except MarketError as error:
                    self._fail(row, error)
        if len(self.failed) < len(self.shares):  # a search for a plan that is refused takes long
            with np.errstate(all="ignore"):
                self._plan()
        super()._check_start(economies)

    def _first_firm(self, row: int, industry: Industry) -> tuple[Industry, np.ndarray]:
        """An industry of one run, and the last plan of its first firm, over its weight."""

        def own(several: Any) -> float:
            return float(several[row if len(several) > 1 else 0, 0])

        line = industry.technology
        line = line.with_parameters({key: own(each) for key, each in line.parameters.items()})
        uses = self.economy.buyers.uses[industry.good]
        guess = np.array([self.guess[row, use.start] for use in uses])
        return dataclasses.replace(industry, technology=line), guess / own(industry.weights)

    def _plan(self) -> None:
        """All agents plan at the quoted prices."""
        for k, terms in enumerate(self.economy.supply.values()):
            self.quantities[:, k : k + 1] = curves.supply_quantity(terms, self.prices[:, k : k + 1])
        quoted = self.economy.buyers.pool
        for industry in self.economy.topological_order:
            k = self.economy.index[industry.good]
            total = np.zeros(len(self.shares))
            for places in cached_parts((len(self.shares), industry.firms)):
                uses = [
                    slice(use.start + places.start, use.start + places.stop)
                    for use in self.economy.buyers.uses[industry.good]
                ]
                plan = best_plan(
                    industry.technology,
                    self.prices[:, k : k + 1],
                    np.stack([self.quotes[:, quoted[use]] for use in uses]),
                    industry.weights[:, places],
                    industry.productivity[:, places],
                    np.stack([self.guess[:, use] for use in uses]),
                )
                for use, units in zip(uses, plan.inputs, strict=True):
                    self.orders[:, use] = units
                    self.guess[:, use] = np.where(units > 0.0, units, self.guess[:, use])
                total += plan.output.sum(axis=-1)
                for row in np.flatnonzero(~plan.found.all(axis=-1)).tolist():
                    self._fail(row, no_plan_error(*self._first_firm(row, industry)))
            self.quantities[:, k] = total
        self._observe()
