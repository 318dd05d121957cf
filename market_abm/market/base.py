"""What every market does, and the market of a final good, which is the same in every mechanism."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from market_abm.errors import RivalGoodError

if TYPE_CHECKING:
    from market_abm.economy.economy import Economy
    from market_abm.market.settings import MarketSettings


class Market:
    """The market of one good: what is on sale, at what price, for whom.

    ``offers`` (units) has shape (sellers,), ``shares`` and ``bids`` have shape (buyers,). A price
    is 0 until somebody has bid: ``bidding`` says who has, and ``priced`` whether anybody has.
    ``elasticity`` is that of demand, where sellers can know it.
    """

    def __init__(self, good: str, sellers: int, buyers: int) -> None:
        self.good = good
        self.offers = np.zeros(sellers)
        self.quantity = np.float64(0.0)
        self.price = np.float64(0.0)
        self.priced = False
        self.elasticity = np.float64(np.inf)
        self._price_history: list[tuple[Any, bool]] = []
        self.shares = np.zeros(buyers)
        self.bids = np.zeros(buyers)
        self.bidding = np.zeros(buyers, bool)

    def collect(self) -> None:
        """Put on sale what the sellers offer now, instead of what was there before."""
        self.quantity = self.offers.sum()

    def remember(self, lag: int) -> None:
        """Keep the price of the step that ends, for sellers who hear it ``lag`` steps late."""
        self._price_history.append((self.price, self.priced))
        del self._price_history[: -lag - 1]

    def lagged_price(self, ago: int) -> tuple[Any, bool]:
        """The price that was ``ago`` steps ago, 0 for now, and whether there was any."""
        if ago == 0:
            return self.price, self.priced
        return (
            self._price_history[-ago]
            if ago <= len(self._price_history)
            else (np.float64(0.0), False)
        )

    def bid(self, buyer: int, bid: Any) -> None:
        """Post what ``buyer`` bids."""
        self.bids[buyer] = bid
        self.bidding[buyer] = True

    @staticmethod
    def quoted(worth: Any, units: Any) -> Any:
        """What to bid for an input of which ``units`` were used, each ``worth`` so much."""
        return worth

    def form_price(self) -> None:
        """Set ``price``, money per unit, from what is bid and offered now."""

    def reallocate(self) -> None:
        """Let ``shares`` follow the bids."""

    def delivery(self, buyer: int) -> Any:
        """The units that go to ``buyer`` out of what is on sale."""
        return self.shares[buyer] * self.quantity


class Mechanism(Market):
    """The market of a good that firms buy; what a mechanism is, is a subclass with its rules.

    Its buyers stand in ``pools`` (slices of the buyers), each of which divides the good.
    ``who(buyer)`` says, for messages, who a buyer is; ``divided`` whether a pool serves several
    uses (a rival good with more than one user), which takes a positive quantity and positive bids;
    ``external`` whether the first pool alone pays; ``first_price`` what is quoted before there was
    any trade, if anything is.
    """

    wants_positive: ClassVar[bool] = False
    """Whether any pool, and not only one that is divided, takes positive quantities and bids."""

    remedy: ClassVar[str] = ""
    """What to do about a good that cannot be split."""

    stabilizing_hint: ClassVar[str] = "lower market.bid_rate"
    """What to do about shares that swing for ever."""

    engines: ClassVar[tuple[str, ...]] = ("agents", "arrays")
    """What can move it."""

    rates: ClassVar[tuple[str, ...]] = ("bid_rate",)
    """The settings that say how fast it moves."""

    smooth: ClassVar[bool] = True
    """Whether near rest a step is as good as a matrix."""

    def __init__(
        self,
        good: str,
        sellers: int,
        who: Callable[[int], str],
        pools: Sequence[slice],
        initial_shares: np.ndarray,
        settings: MarketSettings,
        *,
        divided: bool,
        external: bool = False,
        first_price: Any = 0.0,
    ) -> None:
        super().__init__(good, sellers, len(initial_shares))
        self.who = who
        self.pools = pools
        self.settings = settings
        self.paying = paying(pools, external=external)
        self.checked = divided or self.wants_positive
        self.first_price = first_price
        self.shares = initial_shares.copy()

    @staticmethod
    def final_market() -> type[FinalMarket]:
        """The market of a final good that goes with it."""
        return FinalMarket

    @classmethod
    def check(cls, economy: Economy, settings: MarketSettings) -> None:
        """Refuse what the mechanism cannot run.

        Raises:
            MarketError: says what, and how to mend it.
        """

    @staticmethod
    def per_unit(bids: np.ndarray, units: np.ndarray) -> np.ndarray:
        """What ``bids`` for ``units`` come to, money per unit; all of shape (..., buyers)."""
        return bids

    @staticmethod
    def shares_move(share_rate: float) -> bool:
        """Whether shares follow bids at all, at this ``share_rate``."""
        return True

    @classmethod
    def refusal(
        cls, good: str, quantity: Any, bids: np.ndarray, who: Callable[[int], str]
    ) -> RivalGoodError:
        """Why :func:`cannot_allocate` is so: an error for the user."""
        lowest = int(np.argmin(bids))
        if quantity <= 0.0:
            why = f"there are {quantity:.6g} units of it on sale"
        elif bids[lowest] < 0.0:
            why = f"{who(lowest)} bids {bids[lowest]:.6g}"
        else:
            why = "nobody bids anything for it"
        return RivalGoodError(
            f"the rival good '{good}' cannot be split among its users: {why}",
            name=good,
            remedy=cls.remedy.format(good=good),
        )


class PooledMarket(Mechanism, ABC):
    """A market in which bids alone make price and shares.

    A mechanism of this kind says what is bid (:meth:`quoted`), how the bids of a pool become a
    price (:meth:`pool_price`) and shares (:meth:`revised_shares`). These rules take arrays of shape
    (..., buyers) as well, for the array engine, and know nothing but one pool.
    """

    # --- the rules of a mechanism ---------------------------------------------------------------

    @staticmethod
    @abstractmethod
    def pool_price(shares: np.ndarray, bids: np.ndarray, quantity: Any) -> np.ndarray:
        """What the pool pays for a unit, (..., 1), of ``quantity`` (..., 1) units."""

    @staticmethod
    @abstractmethod
    def revised_shares(
        shares: np.ndarray,
        bids: np.ndarray,
        quantity: Any,
        *,
        bidding: Any,
        share_rate: Any,
        out: np.ndarray | None = None,
    ) -> np.ndarray:
        """The pool's next shares, (..., buyers), written to ``out`` (it may be ``shares``).

        ``bidding`` (..., buyers), or True for all, says who has made a bid: who has heard no price
        for its own good yet keeps its share.
        """

    # --- by these rules -------------------------------------------------------------------------

    def form_price(self) -> None:
        """The sum of what the pools pay; a divided good must be there, and be bid for."""
        pools = [
            self.pool_price(self.shares[pool], self.bids[pool], self.quantity)[0]
            for pool in self.paying
        ]
        price = sum(pools, np.float64(0.0))
        if self.checked and cannot_allocate(
            self.quantity, self.bids, price, before=self.price, all_bid=bool(self.bidding.all())
        ):
            raise self.refusal(self.good, self.quantity, self.bids, self.who)
        self.price = price
        self.priced = any(self.bidding[pool].any() for pool in self.paying)

    def reallocate(self) -> None:
        """Revise the shares of each pool with somebody to share with."""
        for pool in self.pools:
            if pool.stop - pool.start > 1:
                self.shares[pool] = self.revised_shares(
                    self.shares[pool],
                    self.bids[pool],
                    self.quantity,
                    bidding=True if self.bidding[pool].all() else self.bidding[pool],
                    share_rate=self.settings.share_rate,
                )


def paying(pools: Sequence[slice], *, external: bool) -> Sequence[slice]:
    """The pools whose bids make the price: all, or of an external good the first."""
    return pools[:1] if external else pools


def cannot_allocate(
    quantity: Any, bids: np.ndarray, price: Any, *, before: Any, all_bid: bool
) -> np.ndarray:
    """Whether a good cannot be split: for want of units, or of positive bids.

    ``bids`` has shape (..., buyers), the rest and the result (...); ``before`` is the last price.
    """
    lowest = np.min(bids, axis=-1)
    unwanted = (price == 0.0) & (np.greater(before, 0.0) | all_bid)
    return np.less_equal(quantity, 0.0) | (lowest < 0.0) | unwanted


def price_lag(lag: int, *, late: bool) -> int:
    """How many remembered steps back the price is that is heard; 0 is the one of now.

    ``late``: it is heard after the step in which it was formed has been remembered.
    """
    return lag + late if lag else 0


class Customer(Protocol):
    """Somebody with a price for every quantity."""

    def price_for(self, quantity: Any) -> Any:
        """Money per unit that would be paid for each of ``quantity`` units."""

    def quantity_for(self, price: Any) -> Any:
        """Units that are wanted at ``price`` a unit; infinite if any number is."""

    def elasticity_at(self, quantity: Any) -> Any:
        """The elasticity of that demand at ``quantity`` units."""


class FinalMarket(Market):
    """The market of a final good: its consumer takes all there is, at the consumer's price."""

    def __init__(
        self, good: str, sellers: int, customer: Customer, settings: MarketSettings
    ) -> None:
        super().__init__(good, sellers, 0)
        self.customer = customer
        self.settings = settings

    def form_price(self) -> None:
        """Ask the consumer."""
        self.price = self.customer.price_for(self.quantity)
        self.elasticity = self.customer.elasticity_at(self.quantity)
        self.priced = True
