"""``tatonnement``: an auctioneer adjusts prices until demand equals supply (docs/model.md, 3).

L. Walras (1874) in the form of P. Samuelson (1941): all agents respond to the quoted prices with
their optimal quantities, without trade, and each price moves with its own excess demand,
π ← π + λ (Σ x - S). By Hotelling's lemma excess demand is minus the gradient of the dual potential
Φ(p), the sum of all maximal profits and surpluses, which is convex: this is gradient descent on Φ.

Households demand what their income at these prices buys best. The value of excess demand is then 0
at any prices (Walras' law), and it is minus the gradient of Φ only at the weights of the moment,
1 over the marginal utility of income, which income effects move: prices may turn.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from market_abm.economy import curves
from market_abm.economy.economy import Economy
from market_abm.economy.groups import Group
from market_abm.economy.industry import Industry
from market_abm.errors import EconomyError, SettingError
from market_abm.fields import choice, number
from market_abm.language.segments import cut, scatter
from market_abm.market import behaviour
from market_abm.market.arrays import ArrayEngine
from market_abm.market.base import FinalMarket, MarketSettings
from market_abm.market.best_outputs import planned_output, values_of_outputs
from market_abm.market.best_plan import (
    best_plan,
    change_of_returns,
    no_maximum,
    no_plan_error,
    why_no_unique_maximum,
    why_returns,
)
from market_abm.market.conservation import Allocation, Conservation, RecordedPath
from market_abm.market.planned_households import PlanningHouseholds
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
    no_budgets = ""
    rates = ("auction_rate",)

    @staticmethod
    def array_engine() -> type[ArrayEngine]:
        """The class of its array engine."""
        return TatonnementArrayEngine

    @classmethod
    def household_engine(cls) -> type[ArrayEngine]:
        """The class of its array engine for economies with households."""
        return TatonnementHouseholdEngine

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
    def advice(cls, economy: Economy, settings: MarketSettings) -> str:
        """What to change if prices oscillate; income effects may turn them at any rate."""
        if not economy.households:
            return cls.stabilizing_hint
        return (
            f"{cls.stabilizing_hint} (but where income effects turn prices, none may be low enough)"
        )

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
        for good, terms in economy.supply.items():
            if terms.cost == "none" or np.any((terms.cost == "quadratic") & (terms.decay <= 0.0)):
                raise EconomyError(
                    f'supply.{good} costs nothing with mechanism "{cls.name}"',
                    remedy='suppliers plan what they offer: set cost = "quadratic", decay > 0',
                    name=f"supply.{good}.cost",
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
        self._bid_quotes()

    def quote_values(self, values: Sequence[Any]) -> None:
        """Quote what a unit of an activity earns in its outputs: in all, or (fixed) in each.

        So the auctioneer quotes no price of an activity, whose demand is what it makes.
        """
        self.quotes = np.array(values)
        self.price = self.quotes.sum()
        self.observed_price = float(self.price)
        self._bid_quotes()

    def _bid_quotes(self) -> None:
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
        self._sum_quotes()
        self._priced[:] = True
        with np.errstate(all="ignore"):
            self._plan()

    @np.errstate(all="ignore")
    def step(self) -> None:
        """Quoted prices follow the last plans; then all agents plan at the new prices."""
        self._begin_step()
        self._form_prices()
        self._plan()

    def _follow(self, quotes: np.ndarray, ordered: np.ndarray, k: np.ndarray) -> np.ndarray:
        return next_quote(quotes, ordered, self.quantities[:, k], self.settings.auction_rate)

    def _start(self) -> None:
        super()._start()
        self.guess = self.shares * self.quantities[:, self.economy.buyers.good]

    def _check_start(self, economies: Sequence[Economy]) -> None:
        """Record the errors of lines without a profit-maximising plan; make the first plan."""
        for row, (line, reason) in self._refused().items():
            industry, _ = self._first_firm(row, self.economy.topological_order[line])
            self._fail(row, no_maximum(industry, reason))
        if len(self.failed) < len(self.shares):
            with np.errstate(all="ignore"):
                self._plan()
        super()._check_start(economies)

    def _refused(self) -> dict[int, tuple[int, str]]:
        """The runs with a line whose profit has no maximum: the first such line, and why."""
        found: dict[int, tuple[int, str]] = {}
        for group in self.economy.groups:
            if group.household:
                continue
            lines = group.lines.tolist()
            for place, reason in enumerate(self._reasons(group)):
                row, line = place // len(lines), lines[place % len(lines)]
                if reason and line <= found.get(row, (line, ""))[0]:
                    found[row] = line, reason
        return found

    def _reasons(self, group: Group) -> list[str]:
        """Why the profit of each line has no maximum, by its first firm, run after run."""
        technology, firms = group.technology, group.members.starts
        if technology.outputs:  # the best plan is that of their line
            return [""] * (len(self.shares) * len(firms))
        if technology.vectorized:
            inputs = group.slots[0].of(self.guess) / group.to_entries(group.weights)
            change = change_of_returns(technology, inputs, group.links)[:, firms]
            return [why_returns(each) for each in change.ravel().tolist()]
        own = {key: cut(each, firms, group.size) for key, each in technology.parameters.items()}
        inputs = self._of_slots(self.guess, group)[..., firms]
        return why_no_unique_maximum(
            technology.with_parameters(own), inputs / cut(group.weights, firms, group.size)
        )

    def _plan(self) -> None:
        """All agents plan at the quoted prices: households last, who earn the profits of plans."""
        for n, terms in self.economy.supply_terms:
            self.quantities[:, n] = curves.supply_quantity(terms, self.prices[:, n])
        self.economy.exogenous.offers.write(self.clock, self.quantities)
        for activity, own in self.economy.outputs.items():
            self._quote_activity(activity, own)
        quotes = behaviour.gross_price(
            self.quotes[:, self.economy.buyers.pool], self.economy.net_of_buyers
        )
        self._plan_firms(quotes)
        self._plan_households(quotes)
        self._observe()

    def _plan_firms(self, quotes: np.ndarray) -> None:
        """Firms order what maximises profit at ``quotes``, which contain taxes, (runs, buyers)."""
        sale_prices = self.prices
        if self.failed:  # a search for a plan that there is not takes long
            sale_prices = sale_prices.copy()
            sale_prices[list(self.failed)] = 0.0
        groups = self.economy.groups
        parts, sums = self._layout.parts(groups)
        for part, block, leaves in parts:
            if part.household or part.technology.outputs:
                continue
            plan = best_plan(
                part.technology,
                sale_prices[:, np.atleast_1d(part.good)],
                self._of_slots(quotes, part),
                part.weights,
                part.productivity,
                self._of_slots(self.guess, part),
            )
            for slot, units in zip(part.slots, plan.inputs, strict=True):
                slot.write(self.orders, units)
            block.reduce_into(leaves, plan.output)
            self._fail_planless(part, plan.found)
        for group, leaves in zip(groups, sums, strict=True):
            if not (group.household or group.technology.outputs):
                scatter(self.quantities, group.made, group.outputs(leaves))
        for activity, own in self.economy.outputs.items():
            self._plan_outputs(activity, own)
        self.guess = np.where(self.orders > 0.0, self.orders, self.guess)

    def _plan_households(self, quotes: np.ndarray) -> None:
        """Nothing: there are none."""

    def _quote_activity(self, activity: str, outputs: Sequence[Industry]) -> None:
        """Quote what a unit of an activity earns in its outputs: in all, or (fixed) in each."""
        index = self.economy.index
        lines = [each.technology for each in outputs]
        prices = [self.prices[:, index[each.good]] for each in outputs]
        pools = self.pool_goods == index[activity]
        self.quotes[:, pools] = np.stack(values_of_outputs(lines, prices), axis=-1)
        self.prices[:, index[activity]] = self.quotes[:, pools].sum(axis=-1)

    def _plan_outputs(self, activity: str, outputs: Sequence[Industry]) -> None:
        """The outputs take the part of their activity that maximises the line's revenue."""
        index, total = self.economy.index, self.quantities[:, self.economy.index[activity]]
        endowed = self.economy.endowed
        revenue = self.prices[:, index[activity]]
        for each in outputs:
            price, (use,) = self.prices[:, index[each.good]], self.economy.buyers.uses[each.good]
            share, made = planned_output(each.technology, price, revenue)
            self.orders[:, use.start] = share * total
            owned = 0.0 if endowed is None else endowed[..., index[each.good]]
            self.quantities[:, index[each.good]] = made * total + owned

    def _fail_planless(self, part: Group, found: np.ndarray) -> None:
        """Record the errors of the runs whose firms find no plan; ``found`` is (runs, members)."""
        for row in np.flatnonzero(~found.all(axis=-1)).tolist():
            first = part.lines[part.members.of[np.argmin(found[row])]]
            industry = self.economy.topological_order[first]
            self._fail(row, no_plan_error(*self._first_firm(row, industry)))

    def _first_firm(self, row: int, industry: Industry) -> tuple[Industry, np.ndarray]:
        """An industry of one run, and the last plan of its first firm, over its weight."""

        def own(several: Any) -> float:
            return float(several[row if len(several) > 1 else 0, 0])

        line = industry.technology
        line = line.with_parameters({key: own(each) for key, each in line.parameters.items()})
        uses = self.economy.buyers.uses[industry.good]
        guess = np.array([self.guess[row, use.start] for use in uses])
        return dataclasses.replace(industry, technology=line), guess / own(industry.weights)


class TatonnementHouseholdEngine(PlanningHouseholds, TatonnementArrayEngine):
    """The array engine of ``tatonnement`` with households."""

    own = (*TatonnementArrayEngine.own, *PlanningHouseholds.own)
