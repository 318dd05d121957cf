"""The base classes of mechanisms and of their settings.

A mechanism is a subclass of :class:`Mechanism` in a file of its own under ``mechanisms/``. The file
holds all that depends on the mechanism: settings, rules, array engine, conservation, the meaning of
alignment with the gradient, and the hint for a run that oscillates. No other module tests the name
or class of a mechanism.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.economy.terms import Supply
from market_abm.errors import RivalGoodError, SettingError
from market_abm.fields import Settings, choice, integer, number
from market_abm.market import dating
from market_abm.market.conservation import Allocation, Conservation, RecordedPath, allocated
from market_abm.market.foresight import Past, foresight_of
from market_abm.market.one_good import Customer, Market
from market_abm.market.state import State

ACTIVATIONS = ("simultaneous", "sequential", "random")
DATINGS = ("spot", "dated")


@dataclass(frozen=True)
class MarketSettings(Settings):
    """The settings that all mechanisms share.

    Each mechanism adds its own keys in a subclass (``Mechanism.Settings``); ``registry.py`` reads a
    table ``[market]`` into the right one.
    """

    mechanism: str = ""
    activation: str = choice("simultaneous", ACTIVATIONS, help="order in which agents act")
    lag: int = integer(
        0, low=0, high=10_000, unit="steps", help="age of the prices that sellers observe"
    )
    dating: str = choice(
        "spot",
        DATINGS,
        help="whether a batch is valued at the price of the last one sold (spot), or each at that "
        "of its own date, which is known later (dated)",
    )

    rules: ClassVar[type[Mechanism]]
    """The mechanism that these settings belong to (set by the mechanism)."""

    def check(self, where: str) -> None:
        """Refuse settings that contradict each other."""
        if self.dated:
            dating.check_settings(self, where)
        elif np.any(foresight_of(self).supply_line):
            raise SettingError(
                f"{where}.foresight.supply_line is set, and on the spot nobody knows which offer a "
                "price pays for",
                remedy=f'set {where}.dating = "dated"',
                name=f"{where}.foresight.supply_line",
            )

    @property
    def dated(self) -> bool:
        """Whether goods are traded by date."""
        return self.dating == "dated"

    @property
    def shares_move(self) -> bool:
        """Whether shares follow bids."""
        return self.rules.shares_move(self)


def bid_rate() -> Any:
    """The settings field α of mechanisms in which firms bid."""
    help_text = "α: the fraction of the way that a bid moves to the value of the input in a step"
    return number(1.0, above=0.0, high=1.0, help=help_text)


class Mechanism(Market, ABC):
    """The market of an intermediate or raw good; a mechanism is a subclass with its rules.

    The buyers form ``pools``. Each pool splits the good among its buyers.

    Parameters
    ----------
    good
        Name of the good.
    sellers
        Number of sellers.
    buyer_name
        Returns the description of a buyer, given its index, for messages.
    pools
        Slices of the buyers.
    initial_shares
        Shape (buyers,).
    settings
        The settings of the mechanism.
    divided
        Whether a pool serves several industries (a rival good with more than one user), which
        requires a positive quantity and positive bids.
    external
        Whether only the first pool pays.
    first_price
        Price quoted at step 0, money per unit; 0 if the mechanism quotes no price.
    past
        What buyers remember, if their devices need it.
    """

    # --- properties of a mechanism ----------------------------------------------------------------

    Settings: ClassVar[type[MarketSettings]]
    """The class of its settings; the default of their field ``mechanism`` is its name."""

    has_agents: ClassVar[bool] = True
    """Whether Mesa agents can run it; a published model may have an array engine only."""

    trades: ClassVar[bool] = True
    """Whether goods are traded in every step; if not, agents only plan at quoted prices."""

    requires_positive: ClassVar[bool] = False
    """Whether every good, not only a divided one, requires a positive quantity and bids."""

    bids_form_prices: ClassVar[bool] = False
    """Whether bids alone form prices and shares: without competing buyers quantities are fixed."""

    bids_are_money: ClassVar[bool] = False
    """Whether a bid is the money that all units of an input earn, not a price per unit."""

    no_budgets: ClassVar[str] = "its buyers do not know what they will spend"
    """Why households cannot keep a budget; empty if they can."""

    budget_remedy: ClassVar[str] = ""
    """How to fix a good that cannot be allocated, if they do; by default as without them."""

    runs_closed: ClassVar[bool] = False
    """Whether firms pay with what they have earned, so that nobody outside has to pay."""

    smooth: ClassVar[bool] = True
    """Whether a step is differentiable at a steady state."""

    alignment: ClassVar[Literal["allocation", "prices"]] = "allocation"
    """What alignment compares: the step of the allocation with the gradient of welfare W, or the
    step of prices with the gradient of the dual potential."""

    alignment_target: ClassVar[str] = "gradient"
    """The name of that gradient in messages."""

    rates: ClassVar[tuple[str, ...]] = ("bid_rate",)
    """The keys of the settings that are rates of adjustment."""

    remedy: ClassVar[str] = ""
    """How to fix a good that cannot be allocated; ``{good}`` is replaced by its name."""

    stabilizing_hint: ClassVar[str] = "lower market.bid_rate"
    """How to stabilise prices or shares that oscillate."""

    name: ClassVar[str]
    """Its name in files, taken from its settings."""

    def __init_subclass__(cls, **options: Any) -> None:
        """Link the class of settings to the mechanism."""
        super().__init_subclass__(**options)
        if "Settings" in vars(cls):
            cls.name = cls.Settings.mechanism
            cls.Settings.rules = cls

    def __init__(
        self,
        good: str,
        sellers: int,
        buyer_name: Callable[[int], str],
        pools: Sequence[slice],
        initial_shares: np.ndarray,
        settings: MarketSettings,
        *,
        divided: bool,
        external: bool = False,
        first_price: Any = 0.0,
        past: Past | None = None,
    ) -> None:
        super().__init__(good, sellers, len(initial_shares))
        self.buyer_name = buyer_name
        self.pools = pools
        self.settings = settings
        self.paying = paying(pools, external=external)
        self.checked = divided or self.requires_positive
        self.first_price = first_price
        self.past = past
        self.shares = initial_shares.copy()

    @staticmethod
    @abstractmethod
    def array_engine() -> type[Any]:
        """The class of its array engine."""

    @classmethod
    def household_engine(cls) -> type[Any]:
        """The class of its array engine for economies with households."""
        return cls.array_engine()

    @staticmethod
    def final_market() -> type[FinalMarket]:
        """The class of the market of a final good."""
        return FinalMarket

    @staticmethod
    def initial_price(supply: Supply | None, settings: MarketSettings) -> float:
        """The price quoted at step 0, money per unit; 0 if the mechanism quotes no price.

        Parameters
        ----------
        supply
            The terms of a raw good; None for a good that an industry makes.
        settings
            The settings of the mechanism.
        """
        return 0.0

    @classmethod
    def check(cls, economy: Economy, settings: MarketSettings) -> None:
        """Refuse an economy or settings that the mechanism cannot run.

        Raises
        ------
        MarketError
            What it cannot run, and how to fix it.
        """

    @classmethod
    def as_bid(cls, value: Any, units: Any) -> Any:
        """The bid for an input of which ``units`` were used, at a ``value`` in money per unit."""
        return value * units if cls.bids_are_money else value

    @staticmethod
    def per_unit(bids: np.ndarray, units: np.ndarray) -> np.ndarray:
        """``bids`` for ``units``, in money per unit; all of shape (..., buyers)."""
        return bids

    @classmethod
    def shares_move(cls, settings: MarketSettings) -> bool:
        """Whether shares follow bids under these settings."""
        return True

    @classmethod
    def share_response(cls, settings: MarketSettings) -> float | None:
        """The elasticity κ of a share with respect to a price bid, near a steady state.

        None if shares do not follow price bids. Closed forms of the rate of convergence use it.
        """
        return None

    @classmethod
    def advice(cls, economy: Economy, settings: MarketSettings) -> str:
        """What to change if a run oscillates; empty if no setting helps."""
        return cls.stabilizing_hint

    @classmethod
    def prices_paid(cls, economy: Economy, state: State) -> np.ndarray:
        """What each pool pays for a unit at the end of a step, money, shape (pools,).

        The price of its good, unless uses of a nonrival good pay prices of their own.
        """
        return state.prices[[pool.good for pool in economy.buyers.pools]]

    @classmethod
    def payments(cls, economy: Economy, state: State) -> np.ndarray:
        """What each buyer pays at the end of a step, money, shape (buyers,).

        Its pool's price for its share of what is on sale.
        """
        buyers = economy.buyers
        units = state.shares * state.quantities[buyers.good]
        return cls.prices_paid(economy, state)[buyers.pool] * units

    @staticmethod
    def consumed(demanded: Any, quantity: Any) -> Any:
        """Units that a consumer buys of the ``quantity`` on sale if it demands ``demanded``."""
        return quantity

    @classmethod
    def conservation(
        cls, path: RecordedPath, economy: Economy, settings: MarketSettings, reference: np.ndarray
    ) -> Conservation | None:
        """How far a path fails to conserve goods and money; None if nothing is traded, or by date.

        Parameters
        ----------
        path
            The record of every step.
        economy, settings
            What was run.
        reference
            The consumers' reference quantities c0, units, shape (final goods,).
        """
        if settings.dated:  # what is on sale and what is paid for are of different dates
            return None
        buyers = economy.buyers
        units, left, on_sale = allocated(path, economy)
        paid = cls.per_unit(path.bids[:-1], units) * units * pays(economy)[buyers.pool]
        goods, first = np.unique(buyers.good, return_index=True)  # buyers stand good by good
        spent = np.add.reduceat(paid, first, axis=1)
        earned = (path.prices * path.quantities)[:-1, goods]
        return Conservation(
            unallocated_share=float(left / np.abs(on_sale).sum()),
            budget_imbalance=float(np.abs(spent - earned).sum() / np.abs(earned).sum()),
        )

    @classmethod
    def steady_memory(
        cls, economy: Economy, steady: Allocation, worth: np.ndarray, products: np.ndarray
    ) -> dict[str, np.ndarray]:
        """The state variables of the array engine at a steady state, by name.

        Parameters
        ----------
        economy
            The economy.
        steady
            Prices, quantities and shares at the steady state.
        worth
            Marginal revenue product of each buyer's input there, money per unit, shape (buyers,).
        products
            Marginal product of each buyer's input there, shape (buyers,).

        Returns
        -------
        dict
            Arrays by the names of ``ArrayEngine.memory``, without the axis of runs.
        """
        inputs = steady.shares * steady.quantities[economy.buyers.good]
        return {
            "shares": steady.shares,
            "bids": cls.as_bid(worth, inputs),
            "products": cls.as_bid(products, inputs),
            "quantities": steady.quantities,
            "prices": steady.prices,
            "offers": steady.quantities[: len(economy.supply)],
        }

    @classmethod
    def moving(cls, economy: Economy) -> dict[str, np.ndarray]:
        """Masks of the entries of :meth:`steady_memory` that can change, by name.

        An array without a mask can change in every entry.
        """
        offers = np.array([bool(np.all(each.responds)) for each in economy.supply.values()])
        return {"offers": offers}

    @classmethod
    def refusal(
        cls, good: str, quantity: Any, bids: np.ndarray, buyer_name: Callable[[int], str]
    ) -> RivalGoodError:
        """The error of a good for which :func:`cannot_allocate` is true.

        Parameters
        ----------
        good
            Name of the good.
        quantity
            Units on sale.
        bids
            Shape (buyers,).
        buyer_name
            Returns the description of a buyer, given its index.
        """
        lowest = int(np.argmin(bids))
        if quantity <= 0.0:
            reason = f"there are {quantity:.6g} units of it on sale"
        elif bids[lowest] < 0.0:
            reason = f"{buyer_name(lowest)} bids {bids[lowest]:.6g}"
        else:
            reason = "all bids for it are zero"
        error = RivalGoodError(
            f"the rival good '{good}' cannot be split among its users: {reason}",
            name=good,
            remedy=cls.remedy.format(good=good),
        )
        error.unpaid = reason.startswith("all bids")
        return error

    @classmethod
    def refusal_of(
        cls, economy: Economy, good: int, quantity: Any, bids: np.ndarray
    ) -> RivalGoodError:
        """The error of a good, an index of ``Economy.goods``; ``bids`` are those of all buyers."""
        buyers = economy.buyers.slice_of(good)
        name = economy.goods[good]
        return cls.refusal(
            name, quantity, bids[buyers], lambda k: economy.buyer_name(buyers.start + k)
        )


def paying(pools: Sequence[slice], *, external: bool) -> Sequence[slice]:
    """The pools whose bids form the price: all, or only the first of an external good."""
    return pools[:1] if external else pools


def pays(economy: Economy) -> np.ndarray:
    """Mask of the pools that pay, shape (pools,): all but the later ones of an external good."""
    goods = economy.buyers.pool_good
    if not economy.has_external:
        return np.ones(len(goods), bool)
    later = np.diff(goods, prepend=-1) == 0
    external = np.array([economy.reuse[economy.goods[good]] == "external" for good in goods], bool)
    return ~(later & external)


def cannot_allocate(quantity: Any, lowest: Any, highest: Any, *, before: Any) -> Any:
    """Whether a good cannot be split: it has no units, a negative bid, or no bid but 0 any more.

    As long as no bid has been above 0 its price is 0, and shares stay.

    Parameters
    ----------
    quantity
        Units on sale, shape (...).
    lowest, highest
        The least and the largest bid, shape (...).
    before
        The previous price, shape (...).

    Returns
    -------
    array of bool
        Shape (...).
    """
    no_demand = (lowest == 0.0) & (highest == 0.0) & np.greater(before, 0.0)
    return np.less_equal(quantity, 0.0) | (lowest < 0.0) | no_demand


class FinalMarket(Market):
    """The market of a final good: its consumer buys all of it at the price of its demand curve."""

    def __init__(
        self, good: str, sellers: int, customer: Customer, settings: MarketSettings
    ) -> None:
        super().__init__(good, sellers, 0)
        self.customer = customer
        self.settings = settings

    def form_price(self) -> None:
        """Take the consumer's price for the quantity on sale."""
        self.price = self.customer.price_for(self.quantity)
        self.elasticity = self.customer.elasticity_at(self.quantity)
        self.priced = True
