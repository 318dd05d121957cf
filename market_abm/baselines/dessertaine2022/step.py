"""One step of the published model: plans, trade, prices, production, the household."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from market_abm.baselines.dessertaine2022.economy import NetworkEconomy, input_demand
from market_abm.fields import Settings, number


@dataclass(frozen=True)
class ExcessDemandSettings(Settings):
    """The rates of adjustment, each per unit of time, and the length of a step in that unit."""

    price_rate_surplus: float = number(
        0.1, low=0.0, help="α, how fast a price falls with the surplus of its good"
    )
    price_rate_profit: float = number(
        0.1, low=0.0, help="α′, how fast a price falls with its firm's profit"
    )
    output_rate_profit: float = number(
        0.1, low=0.0, help="β, how fast planned output rises with profit"
    )
    output_rate_surplus: float = number(
        0.1, low=0.0, help="β′, how fast planned output falls with surplus"
    )
    wage_rate: float = number(0.02, low=0.0, help="ω, how fast the wage falls with unemployment")
    confidence_rate: float = number(
        0.02, low=0.0, help="ω′, how fast the wish to consume falls with unemployment"
    )
    spoilage: float = number(
        math.inf,
        low=0.0,
        infinite=True,
        help="σ, rate at which stocks spoil: 0 for durable goods, inf for perishable ones",
    )
    step: float = number(1.0, above=0.0, help="δ, length of a step")


# --- one step ----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class State:
    """The state before a step. Money is in units of the wage.

    Attributes
    ----------
    prices
        Shape (..., n).
    outputs
        γ, produced in the last step and on sale in the next, shape (..., n).
    unsold
        Each firm's stock of its own good, shape (..., n).
    stocks
        Inputs in store, shape (..., n, n + 1); 0 for labour.
    profit
        (gains − losses)/(gains + losses), had all orders of the last step been delivered, (..., n).
    demand
        Orders of each good in the last step, shape (..., n).
    consumption
        C, what the household plans to buy, shape (..., n).
    labour
        L, the household's supply of labour, shape (..., 1).
    savings
        Money, shape (..., 1).
    """

    prices: np.ndarray
    outputs: np.ndarray
    unsold: np.ndarray
    stocks: np.ndarray
    profit: np.ndarray
    demand: np.ndarray
    consumption: np.ndarray
    labour: np.ndarray
    savings: np.ndarray

    def select_runs(self, part: Callable[[Any], Any]) -> State:
        """The state with ``part`` of each array."""
        return State(
            **{item.name: part(getattr(self, item.name)) for item in dataclasses.fields(self)}
        )


@dataclass(frozen=True, eq=False)
class Accounts:
    """What was traded in a step, at its prices and with its wage as the unit of money.

    Attributes
    ----------
    supply
        Quantity on sale of each good, shape (..., n).
    bought
        Inputs bought by each firm, labour first, shape (..., n, n + 1).
    consumed
        Goods bought by the household, shape (..., n).
    used
        Inputs used in production, shape (..., n, n + 1).
    gains, losses
        Revenue and spending of each firm, shape (..., n).
    savings
        The household's, after the step and before the wage changes, shape (..., 1).
    wage
        The factor by which the wage changes, shape (..., 1).
    """

    supply: np.ndarray
    bought: np.ndarray
    consumed: np.ndarray
    used: np.ndarray
    gains: np.ndarray
    losses: np.ndarray
    savings: np.ndarray
    wage: np.ndarray


def imbalance(more: np.ndarray, less: np.ndarray) -> np.ndarray:
    """(more − less)/(more + less), between −1 and 1."""
    return (more - less) / (more + less)


def production(economy: NetworkEconomy, inputs: np.ndarray) -> np.ndarray:
    """γ, shape (..., n), of ``inputs`` of shape (..., n, n + 1)."""
    used, q = economy.coefficients > 0.0, economy.substitution
    if q == 0.0:
        ratio = np.divide(
            inputs, economy.coefficients, where=used, out=np.full(inputs.shape, np.inf)
        )
        return np.min(ratio, axis=-1) ** economy.returns
    ratio = np.divide(economy.coefficients, inputs, where=used, out=np.ones(inputs.shape))
    if math.isinf(q):
        return np.exp(-economy.returns * np.sum(economy.weights * np.log(ratio), axis=-1))
    return np.sum(economy.weights * ratio ** (1.0 / q), axis=-1) ** (-economy.returns * q)


def household_plan(
    economy: NetworkEconomy, prices: np.ndarray, savings: np.ndarray, confidence: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The household's utility-maximising consumption, (..., n), and labour, (..., 1).

    Its tastes are multiplied by ``confidence``; it spends the share f of savings and wages.
    """
    wants = economy.tastes * confidence
    owned = economy.labour_disutility * savings
    needed = 2.0 * economy.labour_disutility * wants.sum(axis=-1, keepdims=True)
    effort = needed / (owned + np.sqrt(owned**2 + 2.0 * needed))  # f μ, without a difference
    return wants * economy.spending / (effort * prices), effort / economy.labour_disutility


def equilibrium_state(economy: NetworkEconomy) -> State:
    """The equilibrium of one economy as a state, without a leading axis.

    Raises
    ------
    EconomyError
        There is no equilibrium.
    """
    steady = economy.equilibrium
    stocks = np.zeros(economy.coefficients.shape)
    orders = input_demand(economy, steady.prices, steady.outputs)
    return State(
        prices=steady.prices,
        outputs=steady.outputs,
        unsold=np.zeros(economy.firms),
        stocks=stocks,
        profit=np.zeros(economy.firms),
        demand=orders[:, 1:].sum(axis=0) + steady.consumption,
        consumption=steady.consumption,
        labour=np.array([steady.labour]),
        savings=np.array([(1.0 / economy.spending - 1.0) * steady.labour]),
    )


def step(
    economy: NetworkEconomy, settings: ExcessDemandSettings, state: State
) -> tuple[State, Accounts]:
    """One step of all agents, as a pure function.

    ``economy`` and ``settings`` are single, or vectorized like the arrays of ``state``.
    """
    tempo = 2.0 * settings.step
    # Plans.
    supply = economy.productivity * state.outputs + state.unsold
    wanted = input_demand(economy, state.prices, _planned_outputs(settings, state, supply))
    orders = np.maximum(wanted - state.stocks, 0.0)
    # Hiring and trade: unmet demand is rationed in proportion to orders.
    vacancies = orders[..., 0].sum(axis=-1, keepdims=True)
    budget = state.savings + np.minimum(state.labour, vacancies)
    cost = np.sum(state.prices * state.consumption, axis=-1, keepdims=True)
    demand = orders[..., 1:].sum(axis=-2) + state.consumption
    delivered = np.minimum(1.0, supply / demand)
    hired = np.minimum(1.0, state.labour / vacancies)
    bought = orders * np.concatenate([hired, delivered], axis=-1)[..., None, :]
    consumed = state.consumption * delivered * np.minimum(1.0, budget / cost)
    sold = bought[..., 1:].sum(axis=-2) + consumed
    gains, losses = state.prices * sold, _cost(bought, state.prices)
    savings = budget - np.sum(state.prices * consumed, axis=-1, keepdims=True)
    # Prices, in units of the new wage.
    surplus, unemployment = imbalance(supply, demand), imbalance(state.labour, vacancies)
    wage = np.exp(-tempo * settings.wage_rate * unemployment)
    falls = settings.price_rate_profit * imbalance(gains, losses)
    prices = state.prices * np.exp(-tempo * (falls + settings.price_rate_surplus * surplus)) / wage
    # Production from purchases and planned withdrawals from stocks.
    used = bought + np.minimum(state.stocks, wanted)
    outputs = production(economy, used)
    if economy.substitution == 0.0:
        used = economy.coefficients * (outputs ** (1.0 / economy.returns))[..., None]
    kept = np.exp(-settings.spoilage * settings.step)
    stocks = np.maximum(state.stocks + bought - used, 0.0) * np.asarray(kept)[..., None]
    stocks[..., 0] = 0.0
    # The household.
    confidence = np.exp(-settings.confidence_rate * settings.step * unemployment)
    consumption, labour = household_plan(economy, prices, savings / wage, confidence)
    after = State(
        prices=prices,
        outputs=outputs,
        unsold=np.maximum(supply - sold, 0.0) * kept,
        stocks=stocks,
        profit=imbalance(state.prices * demand, _cost(orders, state.prices)),
        demand=demand,
        consumption=consumption,
        labour=labour,
        savings=savings / wage,
    )
    return after, Accounts(supply, bought, consumed, used, gains, losses, savings, wage)


def _planned_outputs(
    settings: ExcessDemandSettings, state: State, supply: np.ndarray
) -> np.ndarray:
    return state.outputs * np.exp(
        2.0
        * settings.step
        * (
            settings.output_rate_profit * state.profit
            - settings.output_rate_surplus * imbalance(supply, state.demand)
        )
    )


def _cost(inputs: np.ndarray, prices: np.ndarray) -> np.ndarray:
    """The cost of ``inputs``, shape (..., n, n + 1), to each firm, shape (..., n)."""
    return inputs[..., 0] + np.sum(inputs[..., 1:] * prices[..., None, :], axis=-1)
