"""The nearest published model: firms that follow excess demand and profit, without any gradient.

The network economy out of equilibrium of T. Dessertaine, J. Moran, M. Benzaquen and J.-P. Bouchaud
(Journal of Economic Dynamics and Control 138:104362, 2022), written from its equations. n firms
make a good each from labour (input 0, whose wage is the unit of money) and each other's goods; one
household works and consumes. Prices and outputs follow two signals, profit and surplus, at given
rates, and nobody waits for markets to clear: whoever is short is rationed, and what is left over is
kept or spoils. Near rest the state may come back to the competitive equilibrium, or never.

Where the equations leave a choice, it is this:

* Demand D is what was ordered, met or not; the household's orders count whether or not it could
  pay for them in the end. A firm plans by the profit and the demand seen in the last step: what
  it would have earned and spent, had all orders been met. Its price follows what it did earn and
  spend.
* A Leontief firm uses up what its scarcest input allows, and stores the rest of the others, which
  spoils like any stock. Other firms use all that they have up to what they wanted.
* The household's confidence is a factor on its tastes as they are given; it does not accumulate.
* φ = 1: the disutility of labour is Γ (L/L₀)²/2.
* A firm may run losses without end: there is no credit limit and no bankruptcy.
* A run starts from the equilibrium with each price and each output off by its own factor, uniform
  in 1 ± the perturbation; savings, stocks and the last step's books are those of the equilibrium.

The first choice decides whether the economy can recover from a slump. If the household's orders
are cut to what it can pay before they count, or if firms plan by what they did earn, all firms
together see no profit (with f = 1 the household spends what it earns), and no cell of the plane
comes back to the equilibrium. As it is here, prices keep pace with wages in a slump with
unemployment u = (Lₛ − L_d)/(Lₛ + L_d) when α x = ω u, x the relative surplus; firms see a profit of
s u, s the share of what they sell that the household buys; and planned output rises if
β s u > β′ x. So slumps end (with f = 1, ω′ = 0 and perishable goods) only if

    ω < α s β/β′,

which is necessary, not sufficient: other modes, of firms against each other, have their own bounds.

How many cells of a plane converge depends on what a network is, above all on s (of 25, Leontief 4
to 5 and Cobb–Douglas 9 to 18 on average, for labour shares of 0.2 to 0.5) and on f (with f = 0.5
none does: a slump eats up the savings); by up to three cells on whether firms plan by orders or by
what they paid, at old prices or new, and on the size of the perturbation; hardly on ω′. That
Leontief converges least, on average over networks, was so in all these variants in which any cell
converges. (Prices may be at rest in a slump without end: a rule that looks at prices alone
would count it as converged.)
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from market_abm.baselines.dessertaine2022.economy import NetworkEconomy, input_demand
from market_abm.fields import Settings, number

if TYPE_CHECKING:
    pass

MECHANISM = "excess-demand"


@dataclass(frozen=True)
class ExcessDemandSettings(Settings):
    """How fast the economy reacts, each rate per unit of time, and a step's length in that unit.

    Attributes:
        price_rate_surplus: α, how fast a price falls with the surplus of its good.
        price_rate_profit: α′, how fast a price falls with its firm's profit.
        output_rate_profit: β, how fast planned output rises with profit.
        output_rate_surplus: β′, how fast planned output falls with surplus.
        wage_rate: ω, how fast the wage falls with unemployment.
        confidence_rate: ω′, how fast the household's wish to consume falls with unemployment.
        spoilage: σ, at which rate stocks spoil: 0 for durable goods, infinite for perishable ones.
        step: δ, the length of a step.
    """

    price_rate_surplus: float = number(0.1, low=0.0)
    price_rate_profit: float = number(0.1, low=0.0)
    output_rate_profit: float = number(0.1, low=0.0)
    output_rate_surplus: float = number(0.1, low=0.0)
    wage_rate: float = number(0.02, low=0.0)
    confidence_rate: float = number(0.02, low=0.0)
    spoilage: float = number(math.inf, low=0.0, infinite=True)
    step: float = number(1.0, above=0.0)


# --- one step ----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class State:
    """What a step starts from: arrays (..., n) but for ``stocks``, and two of shape (..., 1).

    Attributes:
        prices: in units of the wage.
        outputs: γ, what is on its way to the market.
        unsold: each firm's stock of its own good.
        stocks: inputs in store, shape (..., n, n + 1); there is none of labour.
        profit: (gains − losses)/(gains + losses), had all orders of the last step been met.
        demand: what was ordered of each good in the last step.
        consumption: C, what the household means to buy.
        labour: L, how much it offers to work, shape (..., 1).
        savings: in units of the wage, shape (..., 1).
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
class Books:
    """What was traded in a step, at its prices and with the wage as the unit of money.

    Attributes:
        supply: on sale of each good, shape (..., n).
        bought: by each firm of each input, labour first, shape (..., n, n + 1).
        consumed: by the household, shape (..., n).
        used: up in production, shape (..., n, n + 1).
        gains, losses: of each firm, shape (..., n).
        savings: of the household after the step, before the wage moves, shape (..., 1).
        wage: what the wage is multiplied by, shape (..., 1).
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
    """What the household means to buy, (..., n), and to work, (..., 1), with tastes × confidence.

    The best that it can do if it spends the share f of its savings and its wages.
    """
    wants = economy.tastes * confidence
    owned = economy.toil * savings
    needed = 2.0 * economy.toil * wants.sum(axis=-1, keepdims=True)
    effort = needed / (owned + np.sqrt(owned**2 + 2.0 * needed))  # f μ, without a difference
    return wants * economy.spending / (effort * prices), effort / economy.toil


def at_rest(economy: NetworkEconomy) -> State:
    """The equilibrium of one economy as a state, without a leading axis.

    Raises:
        EconomyError: there is no equilibrium.
    """
    rest = economy.equilibrium
    stocks = np.zeros(economy.coefficients.shape)
    orders = input_demand(economy, rest.prices, rest.outputs)
    return State(
        prices=rest.prices,
        outputs=rest.outputs,
        unsold=np.zeros(economy.firms),
        stocks=stocks,
        profit=np.zeros(economy.firms),
        demand=orders[:, 1:].sum(axis=0) + rest.consumption,
        consumption=rest.consumption,
        labour=np.array([rest.labour]),
        savings=np.array([(1.0 / economy.spending - 1.0) * rest.labour]),
    )


def step(
    economy: NetworkEconomy, settings: ExcessDemandSettings, state: State
) -> tuple[State, Books]:
    """One step of all: plans, hiring, trade, prices, production, the household; pure.

    ``economy`` and ``settings`` are single, or stacked like the arrays of ``state``.
    """
    tempo = 2.0 * settings.step
    # Plans.
    supply = economy.productivity * state.outputs + state.unsold
    target = state.outputs * np.exp(
        tempo
        * (
            settings.output_rate_profit * state.profit
            - settings.output_rate_surplus * imbalance(supply, state.demand)
        )
    )
    wanted = input_demand(economy, state.prices, target)
    orders = np.maximum(wanted - state.stocks, 0.0)
    # Hiring and trade: whoever is short is rationed in proportion to the orders.
    vacancies = orders[..., 0].sum(axis=-1, keepdims=True)
    budget = state.savings + np.minimum(state.labour, vacancies)
    cost = np.sum(state.prices * state.consumption, axis=-1, keepdims=True)
    demand = orders[..., 1:].sum(axis=-2) + state.consumption
    served = np.minimum(1.0, supply / demand)
    hired = np.minimum(1.0, state.labour / vacancies)
    bought = orders * np.concatenate([hired, served], axis=-1)[..., None, :]
    consumed = state.consumption * served * np.minimum(1.0, budget / cost)
    sold = bought[..., 1:].sum(axis=-2) + consumed
    gains, losses = state.prices * sold, _worth(bought, state.prices)
    savings = budget - np.sum(state.prices * consumed, axis=-1, keepdims=True)
    # Prices, in units of the new wage.
    surplus, unemployment = imbalance(supply, demand), imbalance(state.labour, vacancies)
    wage = np.exp(-tempo * settings.wage_rate * unemployment)
    falls = settings.price_rate_profit * imbalance(gains, losses)
    prices = state.prices * np.exp(-tempo * (falls + settings.price_rate_surplus * surplus)) / wage
    # Production from what was bought and what of the stores was wanted.
    used = bought + np.minimum(state.stocks, wanted)
    outputs = production(economy, used)
    if economy.substitution == 0.0:
        used = economy.coefficients * (outputs ** (1.0 / economy.returns))[..., None]
    kept = np.exp(-settings.spoilage * settings.step)
    stocks = np.maximum(state.stocks + bought - used, 0.0) * np.asarray(kept)[..., None]
    stocks[..., 0] = 0.0
    confidence = np.exp(-settings.confidence_rate * settings.step * unemployment)
    consumption, labour = household_plan(economy, prices, savings / wage, confidence)
    after = State(
        prices=prices,
        outputs=outputs,
        unsold=np.maximum(supply - sold, 0.0) * kept,
        stocks=stocks,
        profit=imbalance(state.prices * demand, _worth(orders, state.prices)),
        demand=demand,
        consumption=consumption,
        labour=labour,
        savings=savings / wage,
    )
    return after, Books(supply, bought, consumed, used, gains, losses, savings, wage)


def _worth(inputs: np.ndarray, prices: np.ndarray) -> np.ndarray:
    """What ``inputs``, shape (..., n, n + 1), cost each firm, shape (..., n)."""
    return inputs[..., 0] + np.sum(inputs[..., 1:] * prices[..., None, :], axis=-1)
