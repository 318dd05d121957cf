"""The Mesa model: an economy's agents, and a step as a flat list of named phases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import mesa
import numpy as np

from market_abm.agents import Consumer, Firm, Supplier
from market_abm.economy import Economy, Industry
from market_abm.errors import MarketError
from market_abm.markets import MECHANISMS
from market_abm.markets.market import FinalMarket, Market
from market_abm.settings import Settings, choice, number

ACTIVATIONS = ("simultaneous", "sequential", "random")


@dataclass(frozen=True)
class MarketSettings(Settings):
    """How the market works.

    ``mechanism`` is one of ``markets.MECHANISMS``; ``activation`` who acts when (docs/model.md, 2);
    ``bid_rate`` α the fraction of the way that a bid moves to its value; ``share_rate`` κ how
    strongly the shares of a good follow the bids for it (0: not at all).
    """

    mechanism: str = choice("unit-bid", MECHANISMS)
    activation: str = choice("simultaneous", ACTIVATIONS)
    bid_rate: float = number(1.0, above=0.0, high=1.0)
    share_rate: float = number(0.5, low=0.0, high=100.0)


@dataclass(frozen=True, eq=False)
class State:
    """What could be seen in the market at the end of one step.

    ``quantities`` (units on sale) and ``prices`` (money per unit) have shape (goods,); ``inputs``
    (units that went into the batch on sale), ``shares`` (by which they had been handed out) and
    ``bids`` (money per unit) have shape (buyers,).
    """

    step: int
    quantities: np.ndarray
    prices: np.ndarray
    inputs: np.ndarray
    shares: np.ndarray
    bids: np.ndarray


class MarketModel(mesa.Model):
    """A Mesa model of an economy: firms, suppliers and consumers who trade step by step.

    ``firm`` may be a subclass of :class:`market_abm.agents.Firm` with another bidding rule. The
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
        self.settings = settings or MarketSettings()
        self.clock = 0
        self._order = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1,)))
        self._noise = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(2,)))
        self._noisy = any(industry.population.bid_noise > 0 for industry in economy.flow)
        self._open_markets()
        self._found_agents(firm)
        self._step_phases = {
            "simultaneous": self._simultaneous,
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

    def _tell_step(self, phases: Callable[[], None]) -> None:
        """Run ``phases``; a mistake that shows there is told with the step."""
        try:
            with np.errstate(all="ignore"):
                phases()
        except MarketError as error:
            error.what = f"at step {self.clock}, {error.what}"
            readers = [i.line for i in self.economy.flow if error.name in i.technology.inputs]
            raise error.located(line=readers[0] if readers else None) from None

    def _simultaneous(self) -> None:
        """Learn, produce, trade: all at once, on what was seen in the step before."""
        self.firms.do("learn")
        self.firms.do("produce")
        self._put_on_sale()
        self._form_prices()
        self._observe()
        self._reallocate()
        self.firms.do("take_delivery")

    def _sequential(self) -> None:
        """All firms, downstream, produce; then all, upstream, learn, and prices re-form at once."""
        self._flow_down()
        for industry in reversed(self.economy.flow):
            self.markets[industry.good].form_price()
            members = self.members[industry.good]
            members.do("read_price")
            members.do("learn")
        self._form_prices()
        self._observe()
        self._reallocate()

    def _random(self) -> None:
        """Firms in a fresh order, each taking delivery, producing, reading its price, learning."""
        self._supply()
        firms = list(self.firms)
        for k in self._order.permutation(len(firms)):
            firm = firms[k]
            firm.take_delivery()
            firm.produce()
            self.markets[firm.good].collect()
            self.markets[firm.good].form_price()
            firm.read_price()
            firm.learn()
        self._form_prices()
        self._observe()
        self._reallocate()

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
        self._observe()
        self._check_start()
        self.firms.do("take_delivery")

    def _flow_down(self) -> None:
        """One forward pass: industry by industry in flow order, take delivery, produce, sell."""
        self._supply()
        for industry in self.economy.flow:
            members = self.members[industry.good]
            members.do("take_delivery")
            members.do("produce")
            self.markets[industry.good].collect()

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
        self.firms.do("read_price")

    def _reallocate(self) -> None:
        for market in self.markets.values():
            market.reallocate()

    def _draw_shocks(self) -> None:
        if self._noisy:
            shocks = self._noise.standard_normal(self.economy.buyers.size)
            for good, members in self.members.items():
                for firm, buyers in zip(
                    members, self.economy.buyers.of_industry[good].T, strict=True
                ):
                    firm.shocks = shocks[buyers]

    def _observe(self) -> None:
        """Keep what can be seen now, before the shares that were in force are revised."""
        markets = self.markets.values()
        inputs = np.zeros(self.economy.buyers.size)
        for good, members in self.members.items():
            inputs[self.economy.buyers.of_industry[good]] = np.transpose(
                [firm.inputs for firm in members]
            )
        self.state = State(
            step=self.clock,
            quantities=np.array([market.quantity for market in markets]),
            prices=np.array([market.price for market in markets]),
            inputs=inputs,
            shares=np.concatenate([market.shares for market in markets]),
            bids=np.concatenate([market.bids for market in markets]),
        )

    def _check_start(self) -> None:
        for industry in self.economy.flow:
            quantity = self.markets[industry.good].quantity
            if not np.isfinite(quantity):
                inputs = ", ".join(
                    f"{good} = {self.markets[good].quantity:.6g}"
                    for good in dict.fromkeys(industry.technology.inputs)
                )
                raise MarketError(
                    f"'{industry.text()}' is {quantity}, with {inputs}",
                    name=industry.good,
                    line=industry.line,
                    remedy="change the endowments or the line so that it can be computed",
                )

    # --- set-up ---------------------------------------------------------------------------------

    def _open_markets(self) -> None:
        """One market a good, in the order of ``economy.goods``."""
        economy, buyers = self.economy, self.economy.buyers
        names = np.array(economy.goods, object)
        self.consumers = Consumer.create_agents(
            self, len(economy.demand), list(economy.demand.values())
        )
        consumer_of = dict(zip(economy.demand, self.consumers, strict=True))
        firms = {industry.good: industry.firms for industry in economy.flow}
        self.markets: dict[str, Market] = {}
        for k, good in enumerate(economy.goods):
            sellers = firms.get(good, 1)
            if good in consumer_of:
                self.markets[good] = FinalMarket(good, sellers, consumer_of[good])
                continue
            part = buyers.slice_of(k)
            uses = sum(i.technology.inputs.count(good) for i in economy.flow)
            self.markets[good] = MECHANISMS[self.settings.mechanism](
                good,
                sellers,
                [f"a maker of {maker}" for maker in names[buyers.maker[part]]],
                buyers.starts[buyers.pool_good == k] - part.start,
                buyers.initial_shares[part],
                divided=economy.reuse[good] == "rival" and uses > 1,
                share_rate=self.settings.share_rate,
            )

    def _found_agents(self, firm: type[Firm]) -> None:
        economy = self.economy
        self.suppliers = Supplier.create_agents(
            self,
            len(economy.supply),
            list(economy.supply.values()),
            [self.markets[good] for good in economy.supply],
        )
        self.members = {
            industry.good: self._found_industry(industry, firm) for industry in economy.flow
        }
        self.firms = self.agents.select(agent_type=firm)

    def _found_industry(self, industry: Industry, firm: type[Firm]) -> mesa.agent.AgentSet:
        buyers = self.economy.buyers
        stalls = [
            (self.markets[good], row - buyers.slice_of(self.economy.index[good]).start)
            for good, row in zip(
                industry.technology.inputs, buyers.of_industry[industry.good], strict=True
            )
        ]
        count = industry.firms
        return firm.create_agents(
            self,
            count,
            [industry] * count,
            list(range(count)),
            [self.settings.bid_rate] * count,
            [stalls] * count,
            [self.markets[industry.good]] * count,
        )
