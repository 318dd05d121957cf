"""``excess-demand``: prices and outputs follow surplus and profit; a published model to compare.

The network economy of Dessertaine, Moran, Benzaquen and Bouchaud (2022), as implemented in
``baselines/dessertaine2022``, for economies made of an input-output table (docs/model.md, 3). Firms
use no marginal values: prices and outputs follow excess demand and profit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from market_abm.baselines.dessertaine2022 import step as published
from market_abm.baselines.dessertaine2022.economy import NetworkEconomy, input_demand
from market_abm.economy.economy import Economy
from market_abm.economy.nested_ces import NestedCES
from market_abm.errors import EconomyError, SettingError
from market_abm.fields import choice, number
from market_abm.market.arrays import ArrayEngine
from market_abm.market.base import MarketSettings, Mechanism
from market_abm.market.conservation import Conservation, RecordedPath
from market_abm.market.state import State


@dataclass(frozen=True)
class ExcessDemandSettings(MarketSettings):
    """The settings of ``excess-demand``."""

    mechanism: str = choice(
        "excess-demand", ("excess-demand",), help="how goods are priced and allocated"
    )
    price_rate: float = number(
        0.02,
        above=0.0,
        high=1.0,
        help="α: how fast prices follow surplus and profit",
    )
    output_rate: float = number(
        0.1, low=0.0, unit="per step", help="β: how fast planned outputs follow profit and surplus"
    )
    wage_rate: float = number(
        0.02, low=0.0, unit="per step", help="ω: how fast wages and confidence follow unemployment"
    )
    spoilage: float = number(
        1.0,
        low=0.0,
        high=1.0,
        help="δ: the fraction of a stock that is lost in a step; 1: perishable goods",
    )


class ExcessDemand(Mechanism):
    """The published model as a mechanism; it has an array engine only."""

    stabilizing_hint = "lower market.price_rate, market.output_rate and market.wage_rate"
    rates = ("price_rate", "output_rate", "wage_rate", "spoilage")
    Settings = ExcessDemandSettings
    no_budgets = "the published model has one household of its own"
    has_agents = False
    smooth = False  # rationing has a kink at a steady state, where demand equals supply

    @staticmethod
    def array_engine() -> type[ArrayEngine]:
        """The class of its array engine."""
        return ExcessDemandArrayEngine

    @classmethod
    def conservation(
        cls, path: RecordedPath, economy: Economy, settings: MarketSettings, reference: np.ndarray
    ) -> Conservation | None:
        """None: the published model does its own accounting."""
        return None

    @classmethod
    def check(cls, economy: Economy, settings: MarketSettings) -> None:
        """Refuse all but CES firms with one factor and elasticities up to 1, and one household."""
        if settings.activation != "simultaneous" or np.any(settings.lag):
            raise SettingError(
                'mechanism "excess-demand" is simultaneous and has no lag',
                remedy='set market.activation = "simultaneous" and market.lag = 0',
                name="market.activation" if settings.activation != "simultaneous" else "market.lag",
            )
        reason = _unsupported(economy)
        if reason:
            raise EconomyError(
                f'mechanism "excess-demand" requires an unchanged input-output table: {reason}',
                remedy="use [economy] input_output with one factor, an elasticity of substitution "
                "of at most 1, one firm per industry, and the supply and demand that go with it",
                name="market.mechanism",
            )


def _unsupported(economy: Economy) -> str:
    """What the published model does not support in an economy, or ""."""
    if len(economy.supply) != 1 or len(economy.demand) != 1:
        return f"there are {len(economy.supply)} raw and {len(economy.demand)} final goods"
    (supply,), (demand,) = economy.supply.values(), economy.demand.values()
    if economy.taxes:
        return "there are taxes"
    changed = np.any(supply.responds) or not np.all(np.equal(supply.quantity, 1.0))
    terms = (demand.price, demand.elasticity, demand.quantity)
    if (
        changed
        or economy.moves_until > 0.0
        or not all(each is not None and np.all(np.equal(each, 1.0)) for each in terms)
    ):
        return "the terms of supply or demand were changed"
    for industry in economy.topological_order:
        line = industry.technology
        if not isinstance(line, NestedCES) or line.nests or industry.firms > 1:
            return f"'{industry.good}' is not a CES line of one firm"
        if np.any(np.greater(_elasticity(line), 1.0)):
            return f"'{industry.good}' has an elasticity of substitution above 1"
    return ""


def _elasticity(line: NestedCES) -> Any:
    known = line.elasticity
    return line.parameters[known] if isinstance(known, str) else known


def substitution(line: NestedCES) -> float:
    """The published q of a line, σ = q/(1 + q): infinite for Cobb-Douglas."""
    sigma = float(np.ravel(_elasticity(line))[0])
    return math.inf if sigma == 1.0 else sigma / (1.0 - sigma)


class ExcessDemandArrayEngine(ArrayEngine):
    """Runs of the published model, stepped one after another.

    A run begins at the steady state of the table, with all productivities at 1; the economy's
    productivities apply from the first step. Prices are in units of the wage; the price of the
    household's good is its expenditure over its quantity. Inputs are those of the batch on sale,
    and shares are inputs over the last supply.
    """

    def __init__(
        self,
        economies: Sequence[Economy],
        settings: Sequence[MarketSettings],
        seeds: Sequence[int],
    ) -> None:
        for economy, own in zip(economies, settings, strict=True):
            ExcessDemand.check(economy, own)
        self._networks = [_network(economy) for economy in economies]
        self._rates = [_rates(each) for each in settings]
        super().__init__(economies, settings, seeds)

    @property
    def batch(self) -> None:
        """None: the published model computes no marginal products for observers."""

    def _start(self) -> None:
        self._translation = _translation(self.economy)
        states = [published.equilibrium_state(_initial_network(each)) for each in self._networks]
        self._states = states
        self._inputs = np.zeros_like(self.shares)
        self.reference[:] = 1.0
        for row, (network, state) in enumerate(zip(self._networks, states, strict=True)):
            used = input_demand(network, state.prices, state.outputs)
            supply = state.outputs + state.unsold
            self._set_observables(row, state, supply, supply, used, state.consumption, 1.0)
        self._priced[:] = True

    @np.errstate(all="ignore")
    def step(self) -> None:
        """One step of every run."""
        self.clock += 1
        for row, network in enumerate(self._networks):
            before = self._states[row]
            after, flows = published.step(network, self._rates[row], before)
            self._states[row] = after
            on_sale = network.productivity * after.outputs + after.unsold
            labour = float(before.labour[0])
            self._set_observables(
                row, after, on_sale, flows.supply, flows.used, flows.consumed, labour
            )
        self._observe()

    def _set_observables(
        self,
        row: int,
        state: published.State,
        on_sale: np.ndarray,
        supply: np.ndarray,
        used: np.ndarray,
        consumed: np.ndarray,
        labour: float,
    ) -> None:
        """Set quantities, prices, inputs, shares and bids of one run after a step."""
        goods, firm, bought, recipe = self._translation
        of_firms = np.concatenate([used, np.append(0.0, consumed)[None]])
        consumption, _ = self._household.production(consumed[recipe - 1])
        spent = float(state.prices @ consumed)
        self.quantities[row, goods] = np.concatenate([state.labour, on_sale, [consumption]])
        self.prices[row, goods] = np.concatenate([[1.0], state.prices, [spent / consumption]])
        self._inputs[row] = of_firms[firm, bought]
        self.shares[row] = self._inputs[row] / np.append(labour, supply)[bought]
        self.bids[row] = self.prices[row, goods][bought]

    @property
    def _household(self) -> NestedCES:
        line = next(i for i in self.economy.topological_order if i.good in self.economy.demand)
        assert isinstance(line.technology, NestedCES)
        return line.technology

    def _observe(self) -> None:
        arrays = (self.quantities, self.prices, self._inputs, self.shares, self.bids)
        self.state = State(self.clock, *(each.copy() for each in arrays))

    def keep(self, rows: np.ndarray) -> None:
        """Continue with a selection of runs; ``rows`` is a mask of shape (runs,)."""
        super().keep(rows)
        for name in ("_networks", "_rates", "_states"):
            kept = [each for each, k in zip(getattr(self, name), rows, strict=True) if k]
            setattr(self, name, kept)
        self._inputs = self._inputs[rows]

    def change(self, economies: Sequence[Economy]) -> None:
        """Continue with the terms of other economies of the same structure, one for each run."""
        super().change(economies)
        self._networks = [_network(economy) for economy in economies]


def _sectors(economy: Economy) -> list[str]:
    """The goods of firms, in the order of the published model."""
    return [
        industry.good
        for industry in economy.topological_order
        if industry.good not in economy.demand
    ]


def _places(economy: Economy, line: NestedCES) -> np.ndarray:
    """The places of the inputs of a line in the published model: labour, then the sectors."""
    order = {good: k for k, good in enumerate([*economy.supply, *_sectors(economy)])}
    return np.array([order[good] for good in line.inputs])


def _translation(economy: Economy) -> tuple[np.ndarray, ...]:
    """The published model's order in that of the economy.

    Returns
    -------
    goods
        The index in ``Economy.goods`` of labour, the sectors' goods and the household's.
    firm, bought
        For each buyer: its firm in that order without labour, and the good that it buys in that
        order, shape (buyers,).
    recipe
        The household's inputs in that order.
    """
    (household,) = economy.demand
    sectors = _sectors(economy)
    goods = np.array([economy.index[good] for good in (*economy.supply, *sectors, household)])
    place = np.empty(len(goods), int)
    place[goods] = np.arange(len(goods))
    line = next(each for each in economy.topological_order if each.good == household).technology
    assert isinstance(line, NestedCES)
    buyers = economy.buyers
    return goods, place[buyers.maker] - 1, place[buyers.good], _places(economy, line)


def _network(economy: Economy) -> NetworkEconomy:
    """The economy of the published model: J = a are cost shares, tastes the household's shares."""
    sectors = _sectors(economy)
    weights = np.zeros((len(sectors), len(sectors) + 1))
    tastes = np.zeros(len(sectors))
    productivity = np.ones(len(sectors))
    q = 0.0
    for industry in economy.topological_order:
        line = industry.technology
        assert isinstance(line, NestedCES)
        places = _places(economy, line)
        if industry.good in economy.demand:
            tastes[places - 1] = line.shares
            continue
        k = sectors.index(industry.good)
        weights[k, places] = line.shares
        productivity[k] = float(industry.productivity[0])
        q = substitution(line)
    return NetworkEconomy(weights, weights, productivity, tastes, substitution=q)


def _initial_network(network: NetworkEconomy) -> NetworkEconomy:
    """``network`` with all productivities at 1, as in the table."""
    return NetworkEconomy(
        network.coefficients,
        network.weights,
        np.ones(network.firms),
        network.tastes,
        substitution=network.substitution,
    )


def _rates(settings: Any) -> published.ExcessDemandSettings:
    """The published rates: α = α′, β = β′, ω = ω′; a fraction δ of a stock is lost in a step."""
    spoilage = np.inf if settings.spoilage == 1.0 else -np.log1p(-settings.spoilage)
    return published.ExcessDemandSettings(
        price_rate_surplus=settings.price_rate,
        price_rate_profit=settings.price_rate,
        output_rate_profit=settings.output_rate,
        output_rate_surplus=settings.output_rate,
        wage_rate=settings.wage_rate,
        confidence_rate=settings.wage_rate,
        spoilage=float(spoilage),
    )
