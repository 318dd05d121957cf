"""What mechanisms have in common in which prices are quoted first, and buyers answer with orders.

Each pool of a good has a quote of its own, and a good costs the sum of its pools' quotes: of a
rival good that is one, and of a copied good each user pays its own (E. Lindahl, 1919). Quotes are
above 0, and so are the quantities of all goods that have buyers.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np

from market_abm.economy import curves
from market_abm.economy.economy import Economy
from market_abm.economy.terms import Demand, Supply
from market_abm.errors import EconomyError, RivalGoodError, SettingError
from market_abm.fields import number
from market_abm.market.arrays import ArrayEngine
from market_abm.market.base import FinalMarket, MarketSettings, Mechanism


@dataclass(frozen=True)
class QuotedSettings(MarketSettings):
    """What mechanisms that quote prices have in common."""

    start_price: float = number(
        1.0, above=0.0, unit="money per unit", help="first quote of a good that an industry makes"
    )


class QuotedMarket(Mechanism, ABC):
    """A market that quotes a price per unit to each pool of buyers, and takes their orders.

    ``quotes``, money per unit, has shape (pools,), and ``orders``, units, (buyers,).
    """

    wants_positive = True
    remedy = (
        'only what is there can be ordered: market.mechanism = "unit-bid" is for goods and prices '
        "of any sign"
    )

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.quotes = np.full(len(self.pools), self.first_price / max(1, len(self.pools)))
        self.orders = np.zeros(len(self.shares))

    @staticmethod
    def initial_price(supply: Supply | None, settings: Any) -> float:
        """The supplier's reference price of a raw good; ``start_price`` of a made one."""
        return supply.price if supply else settings.start_price

    @classmethod
    def check(cls, economy: Economy, settings: MarketSettings) -> None:
        """Everybody acts at once, and everybody pays."""
        if settings.activation != "simultaneous":
            raise SettingError(
                f"market.activation is '{settings.activation}' with mechanism \"{cls.name}\"",
                remedy='prices that are quoted change once a step: use "simultaneous"',
                name="market.activation",
            )
        for good, kind in economy.reuse.items():
            if kind == "external":
                raise EconomyError(
                    f"reuse.{good} is 'external' with mechanism \"{cls.name}\"",
                    remedy='who pays nothing orders no end of it: use "copy", or "unit-bid"',
                    name=f"reuse.{good}",
                )

    def quote(self, buyer: int) -> Any:
        """What ``buyer`` is to pay for a unit."""
        return next(
            self.quotes[k] for k, pool in enumerate(self.pools) if pool.start <= buyer < pool.stop
        )

    def ordered(self) -> np.ndarray:
        """The orders of each pool together, units, shape (pools,)."""
        return np.array([self.orders[pool].sum() for pool in self.pools])

    def form_price(self) -> None:
        """Quote: at first ``first_price``, then by :meth:`follow`."""
        if self.priced:
            self.quotes = self.follow()
        if self.unsaleable(self.quantity, self.quotes, final=False):
            raise self.refusal(self.good, self.quantity, self.quotes, self.who)
        self.price, self.priced = self.quotes.sum(), True

    @staticmethod
    def available(quantity: Any, *, final: bool) -> Any:
        """Whether such a ``quantity`` of a good, ``final`` or with buyers, can be ordered from."""
        return np.greater(quantity, 0.0)

    @classmethod
    def unsaleable(cls, quantity: Any, quotes: np.ndarray, *, final: bool) -> Any:
        """Whether a good cannot be ordered, for want of units or because it is quoted for nothing.

        ``quotes`` has shape (..., pools), ``quantity`` and the result (...).
        """
        return ~(cls.available(quantity, final=final) & np.all(quotes > 0.0, axis=-1))

    @classmethod
    def refusal(
        cls, good: str, quantity: Any, bids: np.ndarray, who: Callable[[int], str]
    ) -> RivalGoodError:
        """Why a good is :meth:`unsaleable`: an error for the user; ``bids`` are the quotes."""
        lowest = bids.min()
        if lowest > 0.0:
            why, remedy = f"there are {quantity:.6g} units of it", cls.remedy
        else:
            why, remedy = f"its price has come to {lowest:.6g}", cls.stabilizing_hint
        return RivalGoodError(
            f"the good '{good}' cannot be ordered: {why}", name=good, remedy=remedy
        )

    @abstractmethod
    def follow(self) -> np.ndarray:
        """The next quotes, (pools,)."""


class QuotedFinalMarket(FinalMarket, ABC):
    """A final good whose price is quoted: the consumer orders what is wanted at that price.

    A consumer of infinite elasticity takes all there is, at the one price that it ever pays.
    """

    def form_price(self) -> None:
        """Quote: at first what the consumer pays for what there is, then by :meth:`follow`."""
        first = not self.priced
        wanted = math.inf if first else self.customer.quantity_for(self.price)
        if math.isinf(wanted):
            super().form_price()
        else:
            self.price = self.follow(wanted)
            self.elasticity = self.customer.elasticity_at(self.quantity)
        if math.isinf(self.elasticity):
            return
        rules, quote = cast("type[QuotedMarket]", self.settings.rules), np.array([self.price])
        if rules.unsaleable(self.quantity, quote, final=True):
            if first:
                raise worthless(self.good, self.quantity, self.price)
            raise rules.refusal(self.good, self.quantity, quote, str)

    @abstractmethod
    def follow(self, wanted: Any) -> Any:
        """The next price, if so many units were ``wanted`` at this one."""


def worthless(good: str, quantity: Any, price: Any) -> EconomyError:
    """Why there is no first quote of a final good, of which there is a ``quantity``."""
    return EconomyError(
        f"the consumer of '{good}' would pay {price:.6g} for the {quantity:.6g} units that there "
        "are at first",
        name=f"demand.{good}",
        remedy=f"a quoted price begins above 0: raise demand.{good}.quantity, or its elasticity",
    )


class QuotedArrayEngine(ArrayEngine, ABC):
    """Runs of a market in which every pool has a quote: ``quotes``, shape (runs, pools).

    ``orders``, units, has shape (runs, buyers).
    """

    mechanism: type[QuotedMarket]
    own: ClassVar[tuple[str, ...]] = ("quotes", "orders")

    def _lay_out(self, runs: int) -> None:
        super()._lay_out(runs)
        self.quotes = np.zeros((runs, len(self.economy.buyers.pools)))
        self.orders = np.zeros_like(self.shares)
        self._places: dict[int, list[tuple[int, slice]]] = {}
        for n, pool in enumerate(self.economy.buyers.pools):
            self._places.setdefault(pool.good, []).append((n, pool.buyers))

    def _pools(self, good: str) -> list[tuple[int, slice]]:
        """The pools of a good: their places, and their buyers."""
        return self._places.get(self.economy.index[good], [])

    def _form_price(self, good: str) -> None:
        k = self.economy.index[good]
        if good in self.economy.demand:
            n = list(self.economy.demand).index(good)
            self._form_final_price(
                good, self.economy.demand[good], slice(n, n + 1), slice(k, k + 1)
            )
            self._priced[k] = True
            return
        pools = self._pools(good)
        places = [n for n, _ in pools]
        if self._priced[k]:
            ordered = [self.orders[:, buyers].sum(axis=-1) for _, buyers in pools]
            self.quotes[:, places] = self._follow(
                self.quotes[:, places], np.stack(ordered, axis=-1), slice(k, k + 1)
            )
        else:
            first = self.mechanism.initial_price(self.economy.supply.get(good), self.settings)
            self.quotes[:, places] = first / len(pools)
        quotes = self.quotes[:, places]
        trouble = self.mechanism.unsaleable(self.quantities[:, k], quotes, final=False)
        self._refuse(trouble, good, quotes)
        self.prices[:, k], self._priced[k] = quotes.sum(axis=-1), True

    def _form_final_price(self, good: str, terms: Demand, n: slice, k: slice) -> None:
        """Quote the price of a final good, the n-th and at place k of ``goods``."""
        if self.clock == 0:
            self.reference[:, n] = curves.reference_quantity(terms, self.quantities[:, k])
        paid = curves.demand_price(terms, self.reference[:, n], self.quantities[:, k])
        paid = np.broadcast_to(paid, (len(self.shares), 1))
        if self._priced[k.start]:
            wanted = curves.demand_quantity(terms, self.reference[:, n], self.prices[:, k])
            paid = np.where(np.isinf(wanted), paid, self._follow(self.prices[:, k], wanted, k))
        self.prices[:, k] = paid
        quantity = self.quantities[:, k.start]
        trouble = self.mechanism.unsaleable(quantity, paid, final=True)
        trouble = trouble & np.isfinite(terms.elasticity)[..., 0]
        if self.clock == 0:
            for row in np.flatnonzero(trouble).tolist():
                self._fail(row, worthless(good, quantity[row], paid[row, 0]))
        self._refuse(trouble, good, paid)

    @abstractmethod
    def _follow(self, quotes: np.ndarray, ordered: np.ndarray, k: slice) -> np.ndarray:
        """The next quotes for the good at place k; all of shape (runs, pools of it)."""
