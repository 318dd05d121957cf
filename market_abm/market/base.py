"""What all mechanisms have in common: settings, the market of one good, and what one declares.

A mechanism is a subclass of :class:`Mechanism` in a file of its own under ``mechanisms/``. It says
everything about itself there: its settings, its rules, both engines' part, what it conserves, what
alignment with the gradient means for it, and what helps a run that does not settle. Nobody else
asks for its name or class.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.economy.terms import Supply
from market_abm.errors import RivalGoodError
from market_abm.fields import Settings, choice, integer
from market_abm.market.conservation import Allocation, Conservation, RecordedPath, allocated

ACTIVATIONS = ("simultaneous", "sequential", "random")


@dataclass(frozen=True)
class MarketSettings(Settings):
    """How the market works: what the settings of every mechanism have in common.

    Each mechanism has a subclass with its own keys (``Mechanism.Settings``); ``registry.py`` makes
    the right one of a table ``[market]``.
    """

    mechanism: str = ""
    activation: str = choice("simultaneous", ACTIVATIONS, help="who acts when")
    lag: int = integer(
        0, low=0, high=10_000, unit="steps", help="by how many steps sellers observe prices late"
    )

    rules: ClassVar[type[Mechanism]]
    """The mechanism that these are the settings of; it sets this itself."""

    @property
    def shares_move(self) -> bool:
        """Whether shares follow bids at all."""
        return self.rules.shares_move(self)


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
    """The market of a good that firms buy; a mechanism is a subclass with its rules.

    The buyers are divided into ``pools`` (slices of the buyers), each of which splits the good.

    Parameters
    ----------
    good
        The name of the good.
    sellers
        How many sell it.
    who
        Says who a buyer is, for messages.
    pools
        Slices of the buyers.
    initial_shares
        Shape (buyers,).
    settings
        The settings of the mechanism.
    divided
        Whether a pool serves several uses (a rival good with more than one user), which takes a
        positive quantity and positive bids.
    external
        Whether the first pool alone pays.
    first_price
        The price that is quoted before there was any trade, if any is; money per unit.
    """

    # --- what a mechanism declares ----------------------------------------------------------------

    Settings: ClassVar[type[MarketSettings]]
    """Its settings; the default of their field ``mechanism`` is its name."""

    has_agents: ClassVar[bool] = True
    """Whether Mesa agents can move it; a published model may have arrays only."""

    trades: ClassVar[bool] = True
    """Whether goods are traded in every step, or plans are made at quoted prices only."""

    wants_positive: ClassVar[bool] = False
    """Whether any pool, and not only one that is divided, takes positive quantities and bids."""

    bids_form_prices: ClassVar[bool] = False
    """Whether bids alone form prices and shares, so that without competing buyers nothing moves."""

    bids_are_money: ClassVar[bool] = False
    """Whether a bid is a sum of money, not a price per unit."""

    smooth: ClassVar[bool] = True
    """Whether a step is differentiable at a steady state."""

    alignment: ClassVar[Literal["allocation", "prices"]] = "allocation"
    """What is compared with a gradient: the move of the allocation with that of welfare W, or the
    move of prices with that of the dual potential."""

    alignment_target: ClassVar[str] = "gradient"
    """What alignment is measured with, for messages."""

    rates: ClassVar[tuple[str, ...]] = ("bid_rate",)
    """The settings that say how fast it moves."""

    remedy: ClassVar[str] = ""
    """What to do about a good that cannot be split."""

    stabilizing_hint: ClassVar[str] = "lower market.bid_rate"
    """What to do about prices or shares that keep oscillating."""

    name: ClassVar[str]
    """Its name in files; taken from its settings."""

    def __init_subclass__(cls, **options: Any) -> None:
        """Let the settings know whose they are."""
        super().__init_subclass__(**options)
        if "Settings" in vars(cls):
            cls.name = cls.Settings.mechanism
            cls.Settings.rules = cls

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
    def array_engine() -> type[Any]:
        """The engine on arrays, made of economies, settings and seeds, one a run each."""
        raise NotImplementedError

    @staticmethod
    def final_market() -> type[FinalMarket]:
        """The market of a final good under this mechanism."""
        return FinalMarket

    @staticmethod
    def initial_price(supply: Supply | None, settings: MarketSettings) -> float:
        """What is quoted for a good before there was any trade, money per unit; 0 if nothing is.

        ``supply`` are the terms of a raw good, None for a good that an industry makes.
        """
        return 0.0

    @classmethod
    def check(cls, economy: Economy, settings: MarketSettings) -> None:
        """Refuse what the mechanism cannot run.

        Raises
        ------
        MarketError
            Says what, and how to fix it.
        """

    @staticmethod
    def per_unit(bids: np.ndarray, units: np.ndarray) -> np.ndarray:
        """What ``bids`` for ``units`` come to, money per unit; all of shape (..., buyers)."""
        return bids

    @classmethod
    def shares_move(cls, settings: MarketSettings) -> bool:
        """Whether shares follow bids at all under these settings."""
        return True

    @classmethod
    def share_response(cls, settings: MarketSettings) -> float | None:
        """The elasticity κ of a share with respect to a price bid for it, near a steady state.

        None where shares do not follow price bids; closed forms of the rate of convergence need it.
        """
        return None

    @classmethod
    def advice(cls, economy: Economy, settings: MarketSettings) -> str:
        """What to change if a run keeps oscillating; empty if nothing in the settings helps."""
        return cls.stabilizing_hint

    @classmethod
    def conservation(
        cls, path: RecordedPath, economy: Economy, settings: MarketSettings, reference: np.ndarray
    ) -> Conservation | None:
        """What a path lost of goods and of money; None where that has no meaning.

        ``path`` has every step; ``reference``, units, shape (final goods,), is what consumers refer
        to.
        """
        buyers = economy.buyers
        units, left, on_sale = allocated(path, economy)
        paid = cls.per_unit(path.bids[:-1], units) * units
        goods = np.unique(buyers.good)
        spent = np.stack([paid[:, buyers.good == good].sum(axis=1) for good in goods], axis=1)
        earned = (path.prices * path.quantities)[:-1, goods]
        return Conservation(
            unallocated_share=float(left / np.abs(on_sale).sum()),
            budget_imbalance=float(np.abs(spent - earned).sum() / np.abs(earned).sum()),
        )

    @classmethod
    def steady_memory(
        cls, economy: Economy, steady: Allocation, worth: np.ndarray, products: np.ndarray
    ) -> dict[str, np.ndarray]:
        """The memory of the array engine at a steady state, by name: arrays without runs.

        ``worth`` is what a unit is worth to each buyer, money per unit, and ``products`` its
        marginal product there; shape (buyers,).
        """
        inputs = steady.shares * steady.quantities[economy.buyers.good]
        return {
            "shares": steady.shares,
            "bids": cls.quoted(worth, inputs),
            "products": cls.quoted(products, inputs),
            "quantities": steady.quantities,
            "prices": steady.prices,
            "offers": steady.quantities[: len(economy.supply)],
        }

    @classmethod
    def moving(cls, economy: Economy) -> dict[str, np.ndarray]:
        """Which numbers of :meth:`steady_memory` can move, by name; all of what is not named."""
        offers = np.array([terms.elasticity > 0 for terms in economy.supply.values()])
        return {"offers": offers}

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

    bids_form_prices = True

    @classmethod
    def advice(cls, economy: Economy, settings: MarketSettings) -> str:
        """The mechanism's hint where shares move; else a supplier may react too strongly."""
        if settings.shares_move and economy.buyers.shared_pools:
            return cls.stabilizing_hint
        if any(terms.elasticity > 0 for terms in economy.supply.values()):
            return "lower the supplier's adjustment"
        return ""

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
        settings: Any,
        out: np.ndarray | None = None,
    ) -> np.ndarray:
        """The pool's next shares, (..., buyers), written to ``out`` (it may be ``shares``).

        ``settings`` are those of the mechanism; of several runs, with numbers of shape (runs, 1).

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
                    settings=self.settings,
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
