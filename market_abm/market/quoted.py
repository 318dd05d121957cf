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
from functools import partial
from typing import Any, ClassVar, Literal, cast

import numpy as np

from market_abm.economy import curves
from market_abm.economy.economy import Economy
from market_abm.economy.groups import Group
from market_abm.economy.terms import Supply
from market_abm.errors import EconomyError, RivalGoodError, SettingError
from market_abm.fields import number
from market_abm.language.segments import BLOCK
from market_abm.market.array_state import MAX_KEPT
from market_abm.market.arrays import ArrayEngine
from market_abm.market.base import FinalMarket, MarketSettings, Mechanism
from market_abm.market.state import State


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
    """The array engine of quoted prices: all pools, and all final goods, at once.

    Attributes
    ----------
    quotes
        Money per unit, shape (runs, pools).
    orders
        Units, shape (runs, buyers).
    pools
        The buyers in segments, one a pool.
    blocks
        The buyers in parts that fit into the cache.
    pool_goods
        The index in ``Economy.goods`` of the good of each pool, shape (pools,).
    """

    mechanism: type[QuotedMarket]
    own: ClassVar[tuple[str, ...]] = ("quotes", "orders")

    @property
    def batch(self) -> None:
        """None: firms store goods, or only plan."""

    def _create_arrays(self, runs: int) -> None:
        super()._create_arrays(runs)
        every = self._layout.pools
        self.pools, self.pool_goods = every.pools, every.good
        self._bought, self._pools_of_good = every.goods, every.by_good
        self.blocks = self.pools.blocks(max(1, BLOCK // runs))
        self.quotes = np.zeros((runs, len(self.pool_goods)))
        self.orders = np.zeros_like(self.shares)

    def step(self) -> None:
        """One step of every run; orders, shares and stocks follow at its end.

        In large markets they follow when the next step begins, so that the state is not copied.
        """
        super().step()
        if self.shares.size <= MAX_KEPT:
            self.finish()

    def _follow_bids(self) -> None:
        self._copy_lent()  # before they are changed in place
        super()._follow_bids()

    def _form_prices(self) -> None:
        """Quotes and the prices of final goods follow what was ordered at the last ones."""
        if self.clock == 0:
            self.quotes[:] = self._first_quotes()
        else:
            ordered = self.pools.total(self.orders)
            self.quotes = self._follow(self.quotes, ordered, self.pool_goods)
        paid = self._final_prices()
        self._refuse_quotes(paid)
        self._sum_quotes()
        self.prices[:, self.economy.final] = paid
        self._priced[:] = True
        self._record_prices()

    def _sum_quotes(self) -> None:
        """Set the price of each good with buyers to the sum of its quotes."""
        self.prices[:, self._bought] = self._pools_of_good.total(self.quotes)

    def _first_quotes(self) -> np.ndarray:
        """The quotes of step 0, money per unit, shape (runs, pools)."""
        prices = np.empty((len(self.quotes), len(self._bought)))
        for n, k in enumerate(self._bought.tolist()):
            supply = self.economy.supply.get(self.economy.goods[k])
            prices[:, n : n + 1] = self.mechanism.initial_price(supply, self.settings)
        return self._pools_of_good.spread(prices / self._pools_of_good.sizes)

    def _final_prices(self) -> np.ndarray:
        """The next prices of final goods, money per unit, shape (runs, final goods)."""
        final = self.economy.final
        amounts, prices = self.quantities[:, final], self.prices[:, final]
        paid = np.empty(amounts.shape)
        for n, terms in self.economy.demand_terms:
            amount, k = amounts[:, n], final[n]
            if self.clock == 0:
                self.reference[:, n] = curves.reference_quantity(terms, amount)
                paid[:, n] = curves.demand_price(terms, self.reference[:, n], amount)
                continue
            at_limit = curves.demand_price(terms, self.reference[:, n], amount)
            demanded = curves.demand_quantity(terms, self.reference[:, n], prices[:, n])
            followed = self._follow(prices[:, n], demanded, k)
            paid[:, n] = np.where(np.isinf(demanded), at_limit, followed)
        return paid

    def _refuse_quotes(self, paid: np.ndarray) -> None:
        """Record the errors of runs in which a good cannot be ordered.

        ``paid`` are the new prices of final goods, (runs, final goods).
        """
        rules, goods, final = self.mechanism, self.economy.goods, self.economy.final
        amounts = self.quantities[:, self.pool_goods]
        pools = rules.cannot_order(amounts, self.quotes[..., None], final=False)
        finals = rules.cannot_order(self.quantities[:, final], paid[..., None], final=True)
        for n, terms in self.economy.demand_terms:
            finals[:, n] &= np.isfinite(terms.elasticity)
        for row in np.flatnonzero(pools.any(axis=-1) | finals.any(axis=-1)).tolist():
            k = min([*self.pool_goods[pools[row]], *final[finals[row]]])
            amount = self.quantities[row, k]
            (place,) = np.flatnonzero(final == k) if k in final else (None,)
            quotes = self.quotes[row, self.pool_goods == k] if place is None else paid[row, [place]]
            if place is not None and self.clock == 0:
                self._fail(row, no_first_quote(goods[k], amount, paid[row, place]))
            else:
                name = partial(self._buyer_name, self.economy.buyers.slice_of(k).start)
                self._fail(row, rules.refusal(goods[k], amount, quotes, name))

    @staticmethod
    def _of_slots(values: np.ndarray, group: Group) -> np.ndarray:
        """What belongs to the inputs of a group's members, (inputs, runs, members)."""
        return np.stack([slot.of(values) for slot in group.slots])

    def _bid_made(self) -> np.ndarray | Literal[True]:
        """Mask of the buyers that have made a bid, shape (buyers,), or True if all have."""
        made = self._has_bid[self.economy.buyers.maker]
        return True if np.all(made) else made

    def _buyer_name(self, first: int, buyer: int) -> str:
        return self.economy.buyer_name(first + buyer)

    @abstractmethod
    def _follow(self, quotes: np.ndarray, ordered: np.ndarray, k: np.ndarray) -> np.ndarray:
        """The next quotes of pools, or the next prices of final goods, of the goods at places k.

        ``quotes``, ``ordered`` and the result have shape (runs, len(k)).
        """
