"""The base classes of mechanisms that quote prices, to which buyers respond with orders.

Each pool of a good has a quote, money per unit, and the price of the good is their sum. A rival
good has one pool; each user of a nonrival good is a pool and pays its own quote (E. Lindahl, 1919).
Quotes are positive, and so are the quantities of all goods that have buyers.
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
from market_abm.market.state import CurrentState, State


@dataclass(frozen=True)
class QuotedSettings(MarketSettings):
    """The settings that all mechanisms with quoted prices share."""

    start_price: float = number(
        1.0,
        above=0.0,
        unit="money per unit",
        help="quote at step 0 of a good that an industry makes",
    )


class QuotedMarket(Mechanism, ABC):
    """A market that quotes a price to each pool of buyers, and takes their orders.

    A subclass defines the next quotes (:meth:`follow`) and, where goods are traded, the shares that
    the orders receive (``reallocate``).

    Attributes
    ----------
    quotes
        Money per unit, shape (pools,).
    orders
        Units, shape (buyers,).
    """

    requires_positive = True
    remedy = (
        "orders require a positive quantity and price: for goods and prices of any sign use "
        'market.mechanism = "unit-bid"'
    )

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.quotes = np.full(len(self.pools), self.first_price / max(1, len(self.pools)))
        self.orders = np.zeros(len(self.shares))

    @staticmethod
    def initial_price(supply: Supply | None, settings: Any) -> float:
        """The supplier's reference price of a raw good; ``start_price`` for other goods."""
        return supply.price if supply else settings.start_price

    @classmethod
    def check(cls, economy: Economy, settings: MarketSettings) -> None:
        """Refuse activations other than simultaneous, and users that do not pay."""
        if settings.activation != "simultaneous":
            raise SettingError(
                f"market.activation is '{settings.activation}' with mechanism \"{cls.name}\"",
                remedy='quoted prices change once in a step: use "simultaneous"',
                name="market.activation",
            )
        for good, kind in economy.reuse.items():
            if kind == "external":
                raise EconomyError(
                    f"reuse.{good} is 'external' with mechanism \"{cls.name}\"",
                    remedy='users that do not pay order without limit: use "copy", or "unit-bid"',
                    name=f"reuse.{good}",
                )

    @classmethod
    def prices_paid(cls, economy: Economy, state: State) -> np.ndarray:
        """The price of each pool, money per unit, shape (pools,).

        Where uses of a nonrival good pay quotes of their own, which a state does not hold, their
        sum in proportion to the pools' mean bids: at a steady state (and in an auction, where
        quotes are bids) these are the quotes.
        """
        buyers = economy.buyers
        goods = buyers.good[buyers.starts]
        weights = np.add.reduceat(state.shares, buyers.starts)
        bids = np.add.reduceat(state.shares * state.bids, buyers.starts)
        bids = np.where(weights == 0.0, 0.0, bids / np.where(weights == 0.0, 1.0, weights))
        total, uses = np.bincount(goods, bids)[goods], np.bincount(goods)[goods]
        part = np.where(total == 0.0, 1.0 / uses, bids / np.where(total == 0.0, 1.0, total))
        return state.prices[goods] * np.where(uses == 1, 1.0, part)

    def quote(self, buyer: int) -> Any:
        """The quote to a buyer, money per unit."""
        return next(
            self.quotes[k] for k, pool in enumerate(self.pools) if pool.start <= buyer < pool.stop
        )

    def ordered(self) -> np.ndarray:
        """The total order of each pool, units, shape (pools,)."""
        return np.array([self.orders[pool].sum() for pool in self.pools])

    def form_price(self) -> None:
        """Quote ``first_price`` at step 0, then the quotes of :meth:`follow`."""
        if self.priced:
            self.quotes = self.follow()
        if self.cannot_order(self.quantity, self.quotes, final=False):
            raise self.refusal(self.good, self.quantity, self.quotes, self.buyer_name)
        self.price, self.priced = self.quotes.sum(), True

    @staticmethod
    def available(quantity: Any, *, final: bool) -> Any:
        """Whether such a ``quantity`` can be ordered; ``final`` for a final good."""
        return np.greater(quantity, 0.0)

    @classmethod
    def cannot_order(cls, quantity: Any, quotes: np.ndarray, *, final: bool) -> Any:
        """Whether a good cannot be ordered: it is not available, or a quote is not positive.

        ``quotes`` has shape (..., pools), ``quantity`` and the result (...).
        """
        return ~(cls.available(quantity, final=final) & np.all(quotes > 0.0, axis=-1))

    @classmethod
    def refusal(
        cls, good: str, quantity: Any, bids: np.ndarray, buyer_name: Callable[[int], str]
    ) -> RivalGoodError:
        """The error of a good for which :meth:`cannot_order` is true; ``bids`` are the quotes."""
        lowest = bids.min()
        if lowest > 0.0:
            reason, remedy = f"there are {quantity:.6g} units of it", cls.remedy
        else:
            reason, remedy = f"its price has become {lowest:.6g}", cls.stabilizing_hint
        return RivalGoodError(
            f"the good '{good}' cannot be ordered: {reason}", name=good, remedy=remedy
        )

    @abstractmethod
    def follow(self) -> np.ndarray:
        """The next quotes, money per unit, shape (pools,)."""


class QuotedFinalMarket(FinalMarket, ABC):
    """The market of a final good with a quoted price, at which the consumer orders.

    A consumer of infinite elasticity buys the whole quantity at its reservation price.
    """

    def form_price(self) -> None:
        """Quote the consumer's price for the quantity at step 0, then :meth:`follow`."""
        first = not self.priced
        demanded = math.inf if first else self.customer.quantity_for(self.price)
        if math.isinf(demanded):
            super().form_price()
        else:
            self.price = self.follow(demanded)
            self.elasticity = self.customer.elasticity_at(self.quantity)
        if math.isinf(self.elasticity):
            return
        rules, quote = cast("type[QuotedMarket]", self.settings.rules), np.array([self.price])
        if rules.cannot_order(self.quantity, quote, final=True):
            if first:
                raise no_first_quote(self.good, self.quantity, self.price)
            raise rules.refusal(self.good, self.quantity, quote, str)

    @abstractmethod
    def follow(self, demanded: Any) -> Any:
        """The next price, money per unit, if ``demanded`` units are demanded at the current one."""


def no_first_quote(good: str, quantity: Any, price: Any) -> EconomyError:
    """The error of a final good whose consumer would pay no positive price at step 0."""
    return EconomyError(
        f"the consumer of '{good}' would pay {price:.6g} for the {quantity:.6g} units on sale",
        name=f"demand.{good}",
        remedy=f"the first quote must be positive: raise demand.{good}.quantity, or its elasticity",
    )


class QuotedArrayEngine(ArrayEngine, ABC):
    """The array engine of quoted prices.

    Attributes
    ----------
    quotes
        Money per unit, shape (runs, pools).
    orders
        Units, shape (runs, buyers).
    """

    mechanism: type[QuotedMarket]
    own: ClassVar[tuple[str, ...]] = ("quotes", "orders")

    @property
    def batch(self) -> None:
        """None: firms store goods, or only plan."""

    def _create_arrays(self, runs: int) -> None:
        super()._create_arrays(runs)
        self.quotes = np.zeros((runs, len(self.economy.buyers.pools)))
        self.orders = np.zeros_like(self.shares)
        self._places: dict[int, list[tuple[int, slice]]] = {}
        for n, pool in enumerate(self.economy.buyers.pools):
            self._places.setdefault(pool.good, []).append((n, pool.buyers))

    def step(self) -> None:
        """One step of every run; orders and shares follow at its end."""
        super().step()
        self._finish()

    def _finish(self) -> None:
        if isinstance(self.state, CurrentState):
            self.state.leave(keep=True)
        super()._finish()

    def _form_prices(self) -> None:
        for good in self.economy.goods:
            self._form_price(good)
        self._record_prices()

    def _has_bids(self, pool: slice) -> np.ndarray:
        """Mask of the buyers of a pool that have made a bid, shape (buyers,)."""
        return self._has_bid[self.economy.buyers.maker[pool]]

    def _refuse(self, refused: np.ndarray, good: str, bids: np.ndarray) -> None:
        """Record the mechanism's error for the ``refused`` runs, a mask of shape (runs,)."""
        quantity = self.quantities[:, self.economy.index[good]]
        for row in np.flatnonzero(refused).tolist():
            self._fail(row, self.mechanism.refusal(good, quantity[row], bids[row], str))

    def _pools_of_good(self, good: str) -> list[tuple[int, slice]]:
        """The pools of a good: the place of each in ``quotes``, and its buyers."""
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
        pools = self._pools_of_good(good)
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
        refused = self.mechanism.cannot_order(self.quantities[:, k], quotes, final=False)
        self._refuse(refused, good, quotes)
        self.prices[:, k], self._priced[k] = quotes.sum(axis=-1), True

    def _form_final_price(self, good: str, terms: Demand, n: slice, k: slice) -> None:
        """Quote the price of the n-th final good, at place k of ``goods``."""
        if self.clock == 0:
            self.reference[:, n] = curves.reference_quantity(terms, self.quantities[:, k])
        paid = curves.demand_price(terms, self.reference[:, n], self.quantities[:, k])
        paid = np.broadcast_to(paid, (len(self.shares), 1))
        if self._priced[k.start]:
            demanded = curves.demand_quantity(terms, self.reference[:, n], self.prices[:, k])
            paid = np.where(np.isinf(demanded), paid, self._follow(self.prices[:, k], demanded, k))
        self.prices[:, k] = paid
        quantity = self.quantities[:, k.start]
        refused = self.mechanism.cannot_order(quantity, paid, final=True)
        refused = refused & np.isfinite(terms.elasticity)[..., 0]
        if self.clock == 0:
            for row in np.flatnonzero(refused).tolist():
                self._fail(row, no_first_quote(good, quantity[row], paid[row, 0]))
        self._refuse(refused, good, paid)

    @abstractmethod
    def _follow(self, quotes: np.ndarray, ordered: np.ndarray, k: slice) -> np.ndarray:
        """The next quotes of the good at place k; all of shape (runs, pools of the good)."""
