"""The Mesa model: the agents of an economy, and a step as a list of named phases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from typing import cast

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.economy.households import ownership
from market_abm.economy.industry import Industry
from market_abm.errors import MarketError, SettingError
from market_abm.market.agents import Consumer, Firm, Supplier
from market_abm.market.base import MarketSettings
from market_abm.market.best_outputs import quote_activities
from market_abm.market.closed import check_closed_system
from market_abm.market.dated_agents import DatedFirm, DatedMarket, DatedSupplier, dated, open_books
from market_abm.market.dating import check_economy
from market_abm.market.foresight import Past, ages_of_values
from market_abm.market.household import HouseholdAgent, plan_bundles
from market_abm.market.import_mesa import mesa
from market_abm.market.incomes import start_error
from market_abm.market.mechanisms.registry import check_budgets, market_settings
from market_abm.market.one_good import Market, price_lag
from market_abm.market.state import State, at_step, initial_state_error


class MarketModel(mesa.Model):
    """A Mesa model of an economy: firms, suppliers and consumers that trade step by step.

    The model begins at step 0 (docs/model.md, 2): one forward pass, and one trade at bids of zero.
    ``state`` is the last observable :class:`~market_abm.market.state.State`.

    Parameters
    ----------
    economy
        The economy.
    settings
        The settings of the market; by default those of the default mechanism.
    seed
        Seed of the model's own generators. The same seed gives the same bits on every version of
        Mesa, whose generators are not used.
    firm
        The class of firms: :class:`market_abm.market.agents.Firm`, or a subclass with another
        bidding rule.

    Raises
    ------
    RivalGoodError
        A good that several users split has no positive quantity or bids.
    MarketError
        The initial state is not finite (for example, a logarithm of a negative quantity).
    """

    def __init__(
        self,
        economy: Economy,
        settings: MarketSettings | None = None,
        *,
        seed: int = 1,
        firm: type[Firm] = Firm,
    ) -> None:
        super().__init__(rng=seed)
        self._series = economy
        self.economy = economy = economy.at(0) if economy.exogenous.of_terms else economy
        self.settings = settings or market_settings()
        self.settings.check("market")
        check_budgets(economy, self.settings)
        self.settings.rules.check(economy, self.settings)
        check_closed_system(economy, self.settings)
        if self.settings.dated:
            check_economy(economy)
        if not self.settings.rules.has_agents:
            raise SettingError(
                f'mechanism "{self.settings.mechanism}" has no agents',
                remedy='it is a published model for comparison: set run.engine = "arrays"',
                name="run.engine",
            )
        self.clock = 0
        self._ago = price_lag(
            self.settings.lag, recorded=self.settings.activation == "simultaneous"
        )
        self._order = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1,)))
        self._noise = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(2,)))
        self._create_markets()
        self._create_agents(firm)
        self._levy_taxes()
        for market in self.markets.values():
            market.allot()
        getattr(mesa.Agent, "_ids", {}).pop(self, None)  # Mesa 3.3 keeps all models there for ever
        self._step_phases = {
            "simultaneous": self._simultaneous if self.settings.rules.trades else self._auction,
            "sequential": self._sequential,
            "random": self._random,
        }[self.settings.activation]
        self._run_phases(self._start)
        if self.settings.dated:
            open_books(self.economy, self.markets, self.members, self.suppliers)

    # --- a step ---------------------------------------------------------------------------------

    def step(self) -> None:
        """One step: every agent acts once, in the order of the activation."""
        self.clock += 1
        if self._series.exogenous.of_terms and self._series.at(self.clock) is not self.economy:
            self._renew(self._series.at(self.clock))
        self._draw_shocks()
        self._run_phases(self._step_phases)

    def change(self, economy: Economy) -> None:
        """Continue with the terms of another economy of the same structure."""
        self._series = economy
        if not economy.exogenous.of_terms:
            self._renew(economy)

    def _renew(self, economy: Economy) -> None:
        """Continue with other terms from the next production on."""
        check_closed_system(economy, self.settings)
        former = zip(economy.topological_order, self.economy.topological_order, strict=True)
        for industry, before in former:
            for firm in self.members[industry.good] if industry is not before else ():
                firm.update_terms(industry)
        self.economy = economy
        self._levy_taxes()
        terms = *economy.supply.values(), *economy.net_demand.values()
        for agent, own in zip((*self.suppliers, *self.consumers), terms, strict=True):
            agent.update_terms(own)
        self._distribute()

    def _run_phases(self, phases: Callable[[], None]) -> None:
        """Run ``phases``; add the step to an error."""
        try:
            with np.errstate(all="ignore"):
                phases()
        except MarketError as error:
            remedy = self.settings.rules.budget_remedy
            raise at_step(error, self.economy, self.clock, remedy) from None

    def _simultaneous(self) -> None:
        """All firms update bids, produce and trade, given the prices of the previous step."""
        for firm in self._each_firm():
            firm.update_bids()
        self._earn()
        for household in self.households:
            household.pledge()
        self.suppliers.do("update_offer")
        delivered = None  # dated goods may have waited in store, and are in the books of firms
        if not self.settings.dated:
            trades = [market.shares * market.units for market in self.markets.values()]
            delivered = np.concatenate(trades)
        for firm in self._each_firm():
            firm.produce()
        self._put_on_sale()
        for household in self.households:
            household.weigh()
        self._form_prices()
        self._observe(delivered)
        self._reallocate()

    def _sequential(self) -> None:
        """Firms produce in downstream order; then bids and prices are updated in upstream order."""
        self._earn()
        self.suppliers.do("update_offer")
        self._forward_pass()
        for household in self.households:
            household.pledge()
            household.weigh()
        for industry in reversed(self.economy.topological_order):
            market = self.markets[industry.good]
            market.form_price()
            market.show_price(self._ago)
            for firm in self.members[industry.good]:
                firm.update_bids()
        self._form_prices()
        self._observe()
        self._reallocate()

    def _random(self) -> None:
        """Firms act one by one, in a new random order in each step."""
        self.suppliers.do("update_offer")
        self._supply()
        firms = list(self._each_firm())
        for k in self._order.permutation(len(firms)):
            firm = firms[k]
            firm.produce()
            market = self.markets[firm.good]
            market.put_on_sale()
            market.form_price()
            market.show_price(self._ago)
            firm.update_bids()
        self._form_prices()
        self._observe()
        self._reallocate()

    def _auction(self) -> None:
        """Quoted prices follow the last plans; then all agents plan at the new prices."""
        self._form_prices()
        self._plan()
        self._observe()

    # --- phases ---------------------------------------------------------------------------------

    def _earn(self) -> None:
        """Households receive what was earned at the last prices, and the firms' profits."""
        profits = self._profits()
        for household, taxes in zip(self.households, self._tax_incomes, strict=True):
            household.earn(profits, taxes)

    def _profits(self) -> dict[str, float]:
        """The profits of the firms of each line, money, where households own them."""
        lines = self.members if self.households else ()
        return {good: sum(firm.profit for firm in self.members[good]) for good in lines}

    def _collect_taxes(self) -> None:
        """Taxes on the trade at the last prices; households get them in the next step."""
        economy, markets = self.economy, list(self.markets.values())
        if self.households and economy.taxes:
            paid = economy.uses.buyers.total(np.concatenate([market.bids for market in markets]))
            finals = [markets[k] for k in economy.final]
            sold = np.array([market.price * market.quantity for market in finals])
            self._tax_incomes = economy.tax_incomes(paid, sold).tolist()

    def _start(self) -> None:
        """Step 0: quantities from one forward pass, then one trade at bids of zero."""
        for firm in self._each_firm():
            firm.offer()  # the guess of its output, which matters in a loop only
        for component in self.economy.components:
            if self.economy.is_loop(component):
                for industry in component:
                    self.markets[industry.good].put_on_sale()
        self._forward_pass()
        if self.economy.closed:
            for firm in self._each_firm():
                firm.begin_with_money()
        for household in self.households:
            household.weigh()
        self._form_prices()
        if not self.settings.rules.trades:
            for firm in self._each_firm():
                firm.initialize_plan()
            self._plan()
        self._observe()
        if self.economy.closed:
            self._reallocate()
        self._check_start()

    def _forward_pass(self) -> None:
        """Industries, in topological order, buy inputs, produce and offer."""
        self._supply()
        for industry in self.economy.topological_order:
            for firm in self.members[industry.good]:
                firm.produce()
            self.markets[industry.good].put_on_sale()

    def _plan(self) -> None:
        """All agents plan at the quoted prices."""
        self.suppliers.do("plan")
        quote_activities(self.economy.outputs, self.markets)
        for firm in self._each_firm():
            firm.plan()
        if self.households:
            plan_bundles(self.economy, self.households, self._profits(), self.markets)
        self._put_on_sale()

    def _each_firm(self) -> Iterator[Firm]:
        """All firms, in topological order of their industries."""
        return chain.from_iterable(self.members.values())

    def _supply(self) -> None:
        self.suppliers.do("offer")
        for good in self.economy.supply:
            self.markets[good].put_on_sale()

    def _put_on_sale(self) -> None:
        self.suppliers.do("offer")
        for market in self.markets.values():
            market.put_on_sale()

    def _form_prices(self) -> None:
        for market in self.markets.values():
            market.form_price()
            market.record_price(self.settings.lag)
            market.show_price(self._ago)
        self._collect_taxes()

    def _reallocate(self) -> None:
        for market in self.markets.values():
            market.reallocate()
            market.allot()

    def _draw_shocks(self) -> None:
        if any(industry.population.bid_noise > 0 for industry in self.economy.topological_order):
            shocks = self._noise.standard_normal(self.economy.buyers.size)
            for good, members in self.members.items():
                own = np.transpose([shocks[use] for use in self.economy.buyers.uses[good]])
                for firm, each in zip(members, own, strict=True):
                    firm.shocks = each

    def _observe(self, inputs: np.ndarray | None = None) -> None:
        """Record the observable state, before shares are revised.

        ``inputs`` are units, shape (buyers,); by default what is in the books of the firms.
        """
        markets = self.markets.values()
        if inputs is None:
            inputs = np.zeros(self.economy.buyers.size)
            for good, members in self.members.items():
                books = chain.from_iterable([firm.input_book for firm in members])
                inputs[self._buyers_of[good]] = np.fromiter(books, float)
        self.state = State(
            step=self.clock,
            quantities=np.array([market.quantity for market in markets]),
            prices=np.array([market.price for market in markets]),
            inputs=inputs,
            shares=np.concatenate([market.shares for market in markets]),
            bids=np.concatenate([market.bids for market in markets]),
        )

    def _check_start(self) -> None:
        error = initial_state_error(self.economy, self.state)
        if error is None and self.households and self.settings.rules.trades:
            worth = np.concatenate([household.worth() for household in self.households])
            error = start_error(self.economy, worth)
        if error:
            raise error

    # --- set-up ---------------------------------------------------------------------------------

    def _create_markets(self) -> None:
        """One market for each good, in the order of ``economy.goods``."""
        economy, buyers, rules = self.economy, self.economy.buyers, self.settings.rules
        kind = partial(dated, DatedMarket) if self.settings.dated else lambda own: own
        self.consumers = Consumer.create_agents(
            self, len(economy.demand), list(economy.net_demand.values())
        )
        consumer_of = dict(zip(economy.demand, self.consumers, strict=True))
        sellers_of = {
            industry.good: industry.firms + bool(industry.endowed)
            for industry in economy.topological_order
        }
        ages, shares = ages_of_values(economy, self.settings), buyers.initial_shares
        self.markets: dict[str, Market] = {}
        for k, good in enumerate(economy.goods):
            sellers = sellers_of.get(good, 1)
            if good in consumer_of:
                market = kind(rules.final_market())
                self.markets[good] = market(good, sellers, consumer_of[good], self.settings)
                continue
            part = buyers.slice_of(k)
            first, last = np.searchsorted(buyers.pool_good, (k, k + 1))
            pools = [pool.buyers for pool in buyers.pools[first:last]]
            self.markets[good] = kind(rules)(
                good,
                sellers,
                partial(self._buyer_name, part.start),
                [slice(pool.start - part.start, pool.stop - part.start) for pool in pools],
                shares[part],
                self.settings,
                divided=economy.is_divided(good),
                external=economy.reuse[good] == "external",
                first_price=rules.initial_price(economy.supply.get(good), self.settings),
                past=Past.begin(
                    self.settings,
                    shares[part],
                    np.zeros(len(shares[part])),
                    None if ages is None else ages[part],
                ),
            )

    def _buyer_name(self, first: int, buyer: int) -> str:
        return self.economy.buyer_name(first + buyer)

    def _create_agents(self, firm: type[Firm]) -> None:
        economy = self.economy
        if self.settings.dated:
            firm = dated(DatedFirm, firm)
        supplier = DatedSupplier if self.settings.dated else Supplier
        self.suppliers = supplier.create_agents(
            self,
            len(economy.supply),
            list(economy.supply.values()),
            [self.markets[good] for good in economy.supply],
            [price_lag(self.settings.lag, recorded=True)] * len(economy.supply),
        )
        self.members: dict[str, list[Firm]] = {
            industry.good: self._create_firms(industry, firm)
            for industry in economy.topological_order
        }
        self.households = [
            cast("HouseholdAgent", self.members[name][0]) for name in economy.households
        ]
        self._tax_incomes = [0.0] * len(self.households)
        self._distribute()
        self.firms = self.agents.select(agent_type=firm)
        self._buyers_of = {
            good: buyers.T.ravel() for good, buyers in economy.buyers.of_industry.items()
        }

    def _levy_taxes(self) -> None:
        """Tell firms the taxes on what they buy."""
        net = self.economy.net_of_buyers
        if net is None:
            return
        for good, members in self.members.items():
            uses = self.economy.buyers.uses[good]
            for k, firm in enumerate(members):
                firm.update_taxes(np.array([net[use.start + k] for use in uses]))

    def _create_firms(self, industry: Industry, firm: type[Firm]) -> list[Firm]:
        buyers = self.economy.buyers
        input_markets = [
            (
                self.markets[good],
                use.start - buyers.slice_of(self.economy.index[good]).start,
            )
            for good, use in zip(
                industry.technology.inputs, buyers.uses[industry.good], strict=True
            )
        ]
        rate, output_market = getattr(self.settings, "bid_rate", 1.0), self.markets[industry.good]
        if industry.household:
            consumer = self.consumers[list(self.economy.demand).index(industry.good)]
            return [
                HouseholdAgent(
                    self, industry, rate, input_markets, output_market, consumer, self.markets
                )
            ]
        return [
            firm(self, industry, member, rate, input_markets, output_market)
            for member in range(industry.firms)
        ]

    def _distribute(self) -> None:
        """Give the households what they own, of goods and of firms."""
        economy = self.economy
        if not economy.households:
            return
        firms = [each for each in economy.industries if not each.household]
        shares = ownership(economy.households, [each.good for each in firms if each.is_line])
        for household, waits in zip(self.households, economy.await_revenue(), strict=True):
            name = household.good
            own = {each.good: shares[name][each.line_good] for each in firms}
            household.own(economy.households[name], own, waits=bool(waits))
        for industry in firms:
            if industry.endowed:
                self.markets[industry.good].offers[-1] = industry.endowed
