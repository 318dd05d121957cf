"""``tatonnement``: prices are called out until demand is supply (docs/model.md, 3).

L. Walras (1874), as P. Samuelson (1941) wrote it: everybody answers the prices that are called with
the quantities that would be best for him, nobody trades, and each price moves with its own excess
demand, π ← π + λ (Σ x - S). By Hotelling's lemma excess demand is minus the gradient of the dual
potential Φ(p), the sum of all maximal profits and surpluses, which is convex: this is gradient
descent on Φ.
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
from market_abm.market.best_plan import best_plan, check_returns, no_plan
from market_abm.market.conservation import Allocation, Conservation, RecordedPath
from market_abm.market.quoted import (
    QuotedArrayEngine,
    QuotedFinalMarket,
    QuotedMarket,
    QuotedSettings,
)
from market_abm.market.state import State


def part_of(orders: Any, offered: Any) -> Any:
    """Orders over what is offered; 0 where nothing is."""
    return np.where(offered == 0.0, 0.0, orders / np.where(offered == 0.0, 1.0, offered))


def called_next(price: Any, demand: Any, supply: Any, auction_rate: Any) -> Any:
    """The price that is called next, money per unit: π + λ (demand - supply)."""
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
        help="λ: by how much a price moves per unit of excess demand",
    )


class Tatonnement(QuotedMarket):
    """An auctioneer quotes prices, and all answer with what they would buy and sell."""

    Settings = TatonnementSettings
    settings: TatonnementSettings
    trades = False
    alignment = "prices"
    alignment_target = "dual potential's descent"
    stabilizing_hint = "lower market.auction_rate"
    rates = ("auction_rate",)

    @staticmethod
    def array_engine() -> type[ArrayEngine]:
        """Its engine on arrays."""
        return TatonnementArrayEngine

    @staticmethod
    def final_market() -> type[FinalMarket]:
        """Where the consumer answers prices that are called, too."""
        return TatonnementFinalMarket

    @staticmethod
    def available(quantity: Any, *, final: bool) -> Any:
        """Nothing may be offered, at some prices; what consumers buy may have any sign."""
        return np.greater_equal(quantity, 0.0) | (final & np.isfinite(quantity))

    @classmethod
    def conservation(
        cls, path: RecordedPath, economy: Economy, settings: MarketSettings, reference: np.ndarray
    ) -> Conservation | None:
        """None: nothing is traded."""
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
        """Of prices, those of final goods whose consumers respond."""
        prices = np.zeros(len(economy.goods), bool)
        prices[economy.final] = [np.isfinite(t.elasticity) for t in economy.demand.values()]
        return {"prices": prices}

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

    settings: TatonnementSettings

    def follow(self, wanted: Any) -> Any:
        """The price follows excess demand."""
        return called_next(self.price, wanted, self.quantity, self.settings.auction_rate)


class TatonnementArrayEngine(QuotedArrayEngine):
    """Runs of an auction: ``wanted``, units, (runs, buyers), are the last plans that had any."""

    own = (*QuotedArrayEngine.own, "wanted")

    def _observe(self) -> None:
        """Keep the prices that are quoted, and the answers to them."""
        self.state = State(
            step=self.clock,
            quantities=self.quantities.copy(order="K"),
            prices=self.prices.copy(order="K"),
            inputs=self.orders.copy(order="K"),
            shares=part_of(self.orders, self.quantities[:, self.economy.buyers.good]),
            bids=self.quotes[:, self.economy.buyers.pool],
        )

    @property
    def memory(self) -> dict[str, np.ndarray]:
        """All that the next step builds on: ``quotes``, and the ``prices`` of final goods.

        Other prices, and all plans, follow from them.
        """
        return {"quotes": self.quotes.copy(), "prices": self.prices.copy(order="K")}

    @memory.setter
    def memory(self, memory: dict[str, np.ndarray]) -> None:
        self.quotes[:], self.prices[:] = memory["quotes"], memory["prices"]
        for good in self.economy.goods:
            places = [n for n, _ in self._pools(good)]
            if places:
                self.prices[:, self.economy.index[good]] = self.quotes[:, places].sum(axis=-1)
        self._priced[:] = True
        with np.errstate(all="ignore"):
            self._plan()

    @np.errstate(all="ignore")
    def step(self) -> None:
        """Prices follow what was planned at the last ones, and everybody plans at the new ones."""
        self.clock += 1
        self._form_prices()
        self._plan()

    def _follow(self, quotes: np.ndarray, ordered: np.ndarray, k: slice) -> np.ndarray:
        return called_next(quotes, ordered, self.quantities[:, k], self.settings.auction_rate)

    def _start(self) -> None:
        super()._start()
        self.wanted = self.shares * self.quantities[:, self.economy.buyers.good]

    def _check_start(self, economies: Sequence[Economy]) -> None:
        """Note which lines have no best plan; plan for the first time."""
        for row in range(len(self.shares)):
            for industry in self.economy.topological_order:
                try:
                    check_returns(*self._first_firm(row, industry))
                except MarketError as error:
                    self._fail(row, error)
        with np.errstate(all="ignore"):
            self._plan()
        super()._check_start(economies)

    def _first_firm(self, row: int, industry: Industry) -> tuple[Industry, np.ndarray]:
        """An industry of one run, and what its first firm wanted last, over its weight."""

        def own(several: Any) -> float:
            return float(several[row if len(several) > 1 else 0, 0])

        line = industry.technology
        line = line.with_parameters({key: own(each) for key, each in line.parameters.items()})
        uses = self.economy.buyers.uses[industry.good]
        wanted = np.array([self.wanted[row, use.start] for use in uses])
        return dataclasses.replace(industry, technology=line), wanted / own(industry.weights)

    def _plan(self) -> None:
        """Everybody answers the prices that are called."""
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
                    np.stack([self.wanted[:, use] for use in uses]),
                )
                for use, units in zip(uses, plan.inputs, strict=True):
                    self.orders[:, use] = units
                    self.wanted[:, use] = np.where(units > 0.0, units, self.wanted[:, use])
                total += plan.output.sum(axis=-1)
                for row in np.flatnonzero(~plan.found.all(axis=-1)).tolist():
                    self._fail(row, no_plan(*self._first_firm(row, industry)))
            self.quantities[:, k] = total
        self._observe()
