"""The Mesa model: an economy's agents, and a step as a flat list of named phases."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import partial

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.economy.industry import Industry
from market_abm.errors import MarketError, SettingError
from market_abm.market.agents import Consumer, Firm, Supplier
from market_abm.market.base import Market, MarketSettings, price_lag
from market_abm.market.mechanisms.registry import market_settings
from market_abm.market.quiet import mesa
from market_abm.market.state import State, start_trouble, told_at


class MarketModel(mesa.Model):
    """A Mesa model of an economy: firms, suppliers and consumers who trade step by step.

    ``firm`` may be a subclass of :class:`market_abm.market.agents.Firm` with another bidding rule. The
    same ``seed`` gives the same bits on every version of Mesa: all randomness comes from the
    model's own generators, none from Mesa's.

    The model begins at step 0 (docs/model.md, 2): a first forward pass, one trade at bids of zero.
    ``state`` is what could be seen last.

    Raises:
        RivalGoodError: a good that several users split has no positive quantity or bids.
        MarketError: the start is not finite (a logarithm of a negative quantity, say).
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
        self.economy = economy
        self.settings = settings or market_settings()
        self.settings.rules.check(economy, self.settings)
        if not self.settings.rules.has_agents:
            raise SettingError(
                f'mechanism "{self.settings.mechanism}" has no agents',
                remedy='it is a published model, there to be compared: set run.engine = "arrays"',
                name="run.engine",
            )
        self.clock = 0
        self._order = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1,)))
        self._noise = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(2,)))
        self._open_markets()
        self._found_agents(firm)
        self._step_phases = {
            "simultaneous": self._simultaneous if self.settings.rules.trades else self._auction,
            "sequential": self._sequential,
            "random": self._random,
        }[self.settings.activation]
        self._tell_step(self._start)

    # --- a step ---------------------------------------------------------------------------------

    def step(self) -> None:
        """One step: every agent acts once, in the order that the activation says."""
        self.clock += 1
        self._draw_shocks()
        self._tell_step(self._step_phases)

    def change(self, economy: Economy) -> None:
        """Go on with other numbers, those of an economy of the same structure."""
        self.economy = economy
        for industry in economy.topological_order:
            for firm in self.members[industry.good]:
                firm.update_terms(industry)
        for agents, terms in (
            (self.suppliers, economy.supply.values()),
            (self.consumers, economy.demand.values()),
        ):
            for agent, own in zip(agents, terms, strict=True):
                agent.update_terms(own)

    def _tell_step(self, phases: Callable[[], None]) -> None:
        """Run ``phases``; a mistake that shows there is told with the step."""
        try:
            with np.errstate(all="ignore"):
                phases()
        except MarketError as error:
            raise told_at(error, self.economy, self.clock) from None

    def _simultaneous(self) -> None:
        """Learn, produce, trade: all at once, on what was seen in the step before."""
        self.firms.do("update_bids")
        self.suppliers.do("update_offer")
        self.firms.do("produce")
        self._put_on_sale()
        self._form_prices()
        self._observe()
        self._reallocate()
        self.firms.do("take_delivery")

    def _sequential(self) -> None:
        """All firms, downstream, produce; then all, upstream, learn, and prices re-form at once."""
        self.suppliers.do("update_offer")
        self._flow_down()
        for industry in reversed(self.economy.topological_order):
            self.markets[industry.good].form_price()
            members = self.members[industry.good]
            members.do("read_price")
            members.do("update_bids")
        self._form_prices()
        self._observe()
        self._reallocate()

    def _random(self) -> None:
        """Firms in a fresh order, each taking delivery, producing, reading its price, learning."""
        self.suppliers.do("update_offer")
        self._supply()
        firms = list(self.firms)
        for k in self._order.permutation(len(firms)):
            firm = firms[k]
            firm.take_delivery()
            firm.produce()
            self.markets[firm.good].collect()
            self.markets[firm.good].form_price()
            firm.read_price()
            firm.update_bids()
        self._form_prices()
        self._observe()
        self._reallocate()

    def _auction(self) -> None:
        """Prices follow what was planned at the last ones, and everybody plans at the new ones."""
        self._form_prices()
        self._plan()
        self._observe()

    # --- phases ---------------------------------------------------------------------------------

    def _start(self) -> None:
        """Step 0: quantities from one forward pass, then one trade at bids of zero."""
        self.firms.do("offer")  # its first guess, which matters in a loop only
        for component in self.economy.components:
            if self.economy.is_loop(component):
                for industry in component:
                    self.markets[industry.good].collect()
        self._flow_down()
        self._form_prices()
        if not self.settings.rules.trades:
            self.firms.do("initialize_plan")
            self._plan()
        self._observe()
        self._check_start()
        self.firms.do("take_delivery")

    def _flow_down(self) -> None:
        """One forward pass: industry by industry in flow order, take delivery, produce, sell."""
        self._supply()
        for industry in self.economy.topological_order:
            members = self.members[industry.good]
            members.do("take_delivery")
            members.do("produce")
            self.markets[industry.good].collect()

    def _plan(self) -> None:
        """Everybody answers the prices that are called."""
        self.suppliers.do("plan")
        self.firms.do("plan")
        self._put_on_sale()

    def _supply(self) -> None:
        self.suppliers.do("offer")
        for good in self.economy.supply:
            self.markets[good].collect()

    def _put_on_sale(self) -> None:
        self.suppliers.do("offer")
        for market in self.markets.values():
            market.collect()

    def _form_prices(self) -> None:
        for market in self.markets.values():
            market.form_price()
            market.remember(self.settings.lag)
        self.firms.do("read_price")

    def _reallocate(self) -> None:
        for market in self.markets.values():
            market.reallocate()

    def _draw_shocks(self) -> None:
        if any(industry.population.bid_noise > 0 for industry in self.economy.topological_order):
            shocks = self._noise.standard_normal(self.economy.buyers.size)
            for good, members in self.members.items():
                own = np.transpose([shocks[use] for use in self.economy.buyers.uses[good]])
                for firm, each in zip(members, own, strict=True):
                    firm.shocks = each

    def _observe(self) -> None:
        """Keep what can be seen now, before the shares that were in force are revised."""
        markets = self.markets.values()
        inputs = np.zeros(self.economy.buyers.size)
        for good, members in self.members.items():
            rows = np.transpose([firm.inputs for firm in members])
            for use, row in zip(self.economy.buyers.uses[good], rows, strict=True):
                inputs[use] = row
        self.state = State(
            step=self.clock,
            quantities=np.array([market.quantity for market in markets]),
            prices=np.array([market.price for market in markets]),
            inputs=inputs,
            shares=np.concatenate([market.shares for market in markets]),
            bids=np.concatenate([market.bids for market in markets]),
        )

    def _check_start(self) -> None:
        trouble = start_trouble(self.economy, self.state)
        if trouble:
            raise trouble

    # --- set-up ---------------------------------------------------------------------------------

    def _open_markets(self) -> None:
        """One market a good, in the order of ``economy.goods``."""
        economy, buyers, rules = self.economy, self.economy.buyers, self.settings.rules
        self.consumers = Consumer.create_agents(
            self, len(economy.demand), list(economy.demand.values())
        )
        consumer_of = dict(zip(economy.demand, self.consumers, strict=True))
        firms = {industry.good: industry.firms for industry in economy.topological_order}
        self.markets: dict[str, Market] = {}
        for k, good in enumerate(economy.goods):
            sellers = firms.get(good, 1)
            if good in consumer_of:
                market = rules.final_market()
                self.markets[good] = market(good, sellers, consumer_of[good], self.settings)
                continue
            part = buyers.slice_of(k)
            pools = [pool.buyers for pool in buyers.pools if pool.good == k]
            self.markets[good] = rules(
                good,
                sellers,
                partial(self._who, part.start),
                [slice(pool.start - part.start, pool.stop - part.start) for pool in pools],
                buyers.initial_shares[part],
                self.settings,
                divided=economy.is_divided(good),
                external=economy.reuse[good] == "external",
                first_price=rules.initial_price(economy.supply.get(good), self.settings),
            )

    def _who(self, first: int, buyer: int) -> str:
        return self.economy.buyer_name(first + buyer)

    def _found_agents(self, firm: type[Firm]) -> None:
        economy = self.economy
        self.suppliers = Supplier.create_agents(
            self,
            len(economy.supply),
            list(economy.supply.values()),
            [self.markets[good] for good in economy.supply],
            [price_lag(self.settings.lag, late=True)] * len(economy.supply),
        )
        self.members = {
            industry.good: self._found_industry(industry, firm)
            for industry in economy.topological_order
        }
        self.firms = self.agents.select(agent_type=firm)

    def _found_industry(self, industry: Industry, firm: type[Firm]) -> mesa.agent.AgentSet:
        buyers = self.economy.buyers
        input_markets = [
            (
                self.markets[good],
                np.arange(use.start, use.stop) - buyers.slice_of(self.economy.index[good]).start,
            )
            for good, use in zip(
                industry.technology.inputs, buyers.uses[industry.good], strict=True
            )
        ]
        count = industry.firms
        return firm.create_agents(
            self,
            count,
            [industry] * count,
            list(range(count)),
            [getattr(self.settings, "bid_rate", 1.0)] * count,
            [input_markets] * count,
            [self.markets[industry.good]] * count,
            [price_lag(self.settings.lag, late=self.settings.activation == "simultaneous")] * count,
        )


class AgentEngine:
    """A Mesa model as a market of one run."""

    def __init__(self, model: MarketModel) -> None:
        self.model = model
        self.failed: dict[int, MarketError] = {}

    @property
    def state(self) -> State:
        """The model's state, with an axis of one run."""
        state = self.model.state
        arrays = {f.name: getattr(state, f.name)[None] for f in fields(State) if f.name != "step"}
        return State(step=state.step, **arrays)

    def step(self) -> None:
        """Move the model, and keep what it complains of."""
        try:
            self.model.step()
        except MarketError as error:
            self.failed[0] = error

    @property
    def reference(self) -> np.ndarray:
        """What the model's consumers refer to, (1, final goods)."""
        return np.array([[consumer.reference for consumer in self.model.consumers]])

    @property
    def economy(self) -> Economy:
        """The model's economy."""
        return self.model.economy

    def keep(self, rows: np.ndarray) -> None:
        """There is but one."""

    def change(self, economies: Sequence[Economy]) -> None:
        """Change the model's economy."""
        self.model.change(economies[0])
