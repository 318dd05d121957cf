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
import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np
from scipy.optimize import root

from market_abm.errors import EconomyError, SettingError
from market_abm.input_output import InputOutputTable
from market_abm.settings import Settings, check_number, check_whole, number

if TYPE_CHECKING:
    import pandas as pd

Kind = TypeVar("Kind")

MECHANISM = "excess-demand"

RESTING = 1e-7
"""A run is at rest when no price has moved by more, relatively, within ``WINDOW`` steps."""

WINDOW = 10
"""Steps over which prices must not move; how often this is looked at."""

NEAR = 1e-3
"""A run has converged if at its end all prices and outputs are as near to the equilibrium."""

BEYOND = 1e100
"""A run has diverged when a price or an output is above this, below its inverse, or no number."""

TECHNOLOGIES = {
    "Leontief": (0.0, 1.0),
    "Leontief, b = 0.95": (0.0, 0.95),
    "CES, q = 1": (1.0, 1.0),
    "Cobb–Douglas": (math.inf, 1.0),
}
"""Substitution q and returns b of the technologies that the paper compares."""


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


@dataclass(frozen=True, eq=False)
class NetworkEconomy:
    """n firms, their technologies, and the household; checked when it is made.

    A firm makes z γ from inputs Q, with γ = min(Q/J)^b, (Σ a (J/Q)^{1/q})^{−bq} or Π (Q/J)^{ab}
    for q = 0, in between and infinite. The household has the utility Σ θ ln C − Γ (L/L₀)²/2.

    Attributes:
        coefficients: J, shape (n, n + 1), labour first: 0 where firm i does not use good j − 1.
        weights: a, shape (n, n + 1); rows sum to 1; above 0 where J is.
        productivity: z, shape (n,), units of good for a unit of γ.
        tastes: θ, shape (n,).
        substitution: q; the elasticity of substitution is q/(1 + q).
        returns: b, returns to scale, above 0 and at most 1.
        labour: L₀, the scale of labour.
        aversion: Γ, the household's aversion to work.
        spending: f, the share of its budget that it spends.

    A stacked economy (see :meth:`stacked`) has one more axis in front of every array.

    Raises:
        EconomyError: shapes do not fit, or a number is out of range.
    """

    coefficients: np.ndarray
    weights: np.ndarray
    productivity: np.ndarray
    tastes: np.ndarray
    substitution: float = 0.0
    returns: float = 1.0
    labour: float = 1.0
    aversion: float = 1.0
    spending: float = 1.0

    def __post_init__(self) -> None:
        for name in ("coefficients", "weights", "productivity", "tastes"):
            values = np.array(getattr(self, name), float)
            if not np.all(np.isfinite(values)) or np.any(values < 0.0):
                raise EconomyError(
                    f"{name} holds a number that is negative or not finite",
                    remedy="give finite numbers, 0 where an input is not used",
                    name=name,
                )
            object.__setattr__(self, name, values)
        n = self.productivity.shape[-1] if self.productivity.ndim else 0
        wanted = {"coefficients": (n, n + 1), "weights": (n, n + 1), "tastes": (n,)}
        for name, shape in wanted.items():
            if n == 0 or getattr(self, name).shape != shape:
                raise EconomyError(
                    f"{name} has shape {getattr(self, name).shape}",
                    remedy=f"with a productivity for each of n = {n} firms it must be {shape}",
                    name=name,
                )
        for name in ("productivity", "tastes"):
            if np.any(getattr(self, name) == 0.0):
                raise EconomyError(f"{name} holds a 0", remedy="it must be above 0", name=name)
        if np.any(self.coefficients[:, 0] == 0.0):
            raise EconomyError(
                "a firm uses no labour",
                remedy="the first column of coefficients must be above 0",
                name="coefficients",
            )
        rows = np.abs(self.weights.sum(axis=-1) - 1.0)
        if np.any((self.weights > 0.0) != (self.coefficients > 0.0)) or np.any(rows > 1e-9):
            raise EconomyError(
                "weights do not fit the coefficients",
                remedy="each firm's must sum to 1, and be above 0 just where it uses a good",
                name="weights",
            )
        ranges: Mapping[str, Mapping[str, Any]] = {
            "substitution": {"low": 0.0, "infinite": True},
            "returns": {"above": 0.0, "high": 1.0},
            "labour": {"above": 0.0},
            "aversion": {"above": 0.0},
            "spending": {"above": 0.0, "high": 1.0},
        }
        for name, bounds in ranges.items():
            object.__setattr__(self, name, check_number(getattr(self, name), name, **bounds))

    @property
    def firms(self) -> int:
        """How many firms there are, n."""
        return self.productivity.shape[-1]

    @property
    def exponent(self) -> float:
        """ζ = 1/(1 + q)."""
        return 1.0 / (1.0 + self.substitution)

    @property
    def elasticity(self) -> float:
        """σ = q/(1 + q), the elasticity of substitution."""
        return 1.0 - self.exponent

    @cached_property
    def sensitivity(self) -> np.ndarray:
        """Λ = a^{qζ} J^ζ, shape (n, n + 1): J for Leontief, a for Cobb–Douglas."""
        return self.weights ** (1.0 - self.exponent) * self.coefficients**self.exponent

    @cached_property
    def log_costs(self) -> np.ndarray:
        """What Cobb–Douglas firms' unit costs are made of, a ln(J/a), shape (n, n + 1)."""
        ratio = np.ones(self.weights.shape)
        np.divide(self.coefficients, self.weights, where=self.weights > 0.0, out=ratio)
        return self.weights * np.log(ratio)

    @cached_property
    def toil(self) -> Any:
        """V = Γ/L₀²: the marginal utility of money at which a unit of labour is supplied."""
        return self.aversion / self.labour**2

    @property
    def network_matrix(self) -> np.ndarray:
        """M = diag(z^ζ) − Λ on goods, shape (n, n)."""
        return np.diag(self.productivity**self.exponent) - self.sensitivity[:, 1:]

    @cached_property
    def hawkins_simon(self) -> float:
        """ε, the smallest real part of an eigenvalue of M: with b = 1 all can live if ε > 0."""
        return float(np.linalg.eigvals(self.network_matrix).real.min())

    @cached_property
    def equilibrium(self) -> CompetitiveEquilibrium:
        """Prices and outputs at which markets clear and no firm makes a profit.

        In closed form for b = 1 (the paper's, with its limits for Leontief and Cobb–Douglas). For
        b < 1 it is that of b = 1 with productivities z g^{b−1}, where g = γ^{1/b} is what they lead
        to, which is solved for.

        Raises:
            EconomyError: there is none (the Hawkins–Simon number is not positive).
        """
        prices, scale = _linear_equilibrium(self, self.productivity)
        if self.returns < 1.0:

            def residual(logs: np.ndarray) -> np.ndarray:
                drag = np.exp((self.returns - 1.0) * logs)
                return np.log(_linear_equilibrium(self, self.productivity * drag)[1]) - logs

            found = root(residual, np.log(scale), tol=1e-15)
            if not np.abs(residual(found.x)).max() < 1e-10:
                raise EconomyError(
                    f"no equilibrium was found with returns of {self.returns:g}",
                    remedy="raise the productivities, or take returns nearer to 1",
                    name="returns",
                )
            scale = np.exp(found.x)
            prices, _ = _linear_equilibrium(self, self.productivity * scale ** (self.returns - 1))
        worth = math.sqrt(self.toil * self.tastes.sum() / self.spending)
        return CompetitiveEquilibrium(
            prices=prices,
            outputs=scale**self.returns,
            consumption=self.tastes / (worth * prices),
            labour=worth * self.spending / self.toil,
        )

    @cached_property
    def table(self) -> InputOutputTable:
        """What firms and the household buy of each other at rest, in wages: ``flows``, (n, n).

        With b = 1 the table and σ are all there is to the economy but its units: CES firms in
        calibrated share form (:func:`market_abm.from_input_output`), whose units are what a wage
        buys at rest, have the same equilibrium as this one at any productivities. With b < 1 the
        table says nothing of returns.

        Raises:
            EconomyError: there is no equilibrium.
        """
        rest = self.equilibrium
        bought = input_demand(self, rest.prices, rest.outputs)[:, 1:]
        codes = tuple(f"firm{k + 1}" for k in range(self.firms))
        return InputOutputTable(
            codes,
            codes,
            flows=(bought * rest.prices).T,
            output=rest.prices * self.productivity * rest.outputs,
            final_use=rest.prices * rest.consumption,
        )

    def with_technology(
        self, substitution: float, returns: float = 1.0, *, hawkins_simon: float | None = None
    ) -> NetworkEconomy:
        """The same network with another technology.

        ``hawkins_simon`` is the ε that it is to have: z^ζ is shifted by the same number for all
        firms. For Cobb–Douglas ε = 1 − (spectral radius of a on goods) whatever z is, which only
        sets units there, and z stays.
        """
        made = dataclasses.replace(self, substitution=substitution, returns=returns)
        if hawkins_simon is None or made.exponent == 0.0:
            return made
        check_number(hawkins_simon, "hawkins_simon", above=0.0)
        shifted = made.productivity**made.exponent + (hawkins_simon - made.hawkins_simon)
        return dataclasses.replace(made, productivity=shifted ** (1.0 / made.exponent))

    @classmethod
    def stacked(cls, several: Sequence[Self]) -> Self:
        """Economies side by side: arrays get a leading axis of runs, numbers shape (runs, 1).

        Raises:
            EconomyError: they differ in size or technology.
        """
        if len({(each.firms, each.substitution, each.returns) for each in several}) != 1:
            raise EconomyError(
                "economies of different sizes or technologies cannot run side by side",
                remedy="simulate them one after another",
            )
        result = object.__new__(cls)
        for item in dataclasses.fields(cls):
            values = [getattr(each, item.name) for each in several]
            if item.name in ("substitution", "returns"):
                object.__setattr__(result, item.name, values[0])
            else:
                stack = np.array(values, float)
                object.__setattr__(result, item.name, stack if stack.ndim > 1 else stack[:, None])
        return result

    def rows(self, part: Callable[[Any], Any]) -> Self:
        """A stacked economy with ``part`` of each array."""
        result = object.__new__(type(self))
        for item in dataclasses.fields(self):
            value = getattr(self, item.name)
            kept = part(value) if isinstance(value, np.ndarray) else value
            object.__setattr__(result, item.name, kept)
        return result


@dataclass(frozen=True, eq=False)
class CompetitiveEquilibrium:
    """Prices (in wages), outputs γ and consumption, shape (n,), and labour at rest."""

    prices: np.ndarray
    outputs: np.ndarray
    consumption: np.ndarray
    labour: float


def _linear_equilibrium(
    economy: NetworkEconomy, productivity: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Prices and γ with constant returns and these productivities, shape (n,).

    Finite q: M u = v = Λ₀ gives prices u^{1/ζ}; Mᵀ w = κ/u gives γ = w/(z^{qζ} u^q), with κ = θ/μ
    the household's spending on each good. Cobb–Douglas: M = 1 − a, M ln p = Σ a ln(J/a) − ln z and
    Mᵀ (revenue) = κ.
    """
    zeta = economy.exponent
    matrix = np.diag(productivity**zeta) - economy.sensitivity[:, 1:]
    smallest = np.linalg.eigvals(matrix).real.min()
    if not smallest > 0.0:
        raise EconomyError(
            f"the network has no equilibrium: its Hawkins–Simon number is {smallest:.4g}",
            remedy="raise the productivities until it is above 0",
            name="productivity",
        )
    kappa = economy.tastes / math.sqrt(economy.toil * economy.tastes.sum() / economy.spending)
    if zeta == 0.0:
        costs = economy.log_costs.sum(axis=-1) - np.log(productivity)
        prices = np.exp(np.linalg.solve(matrix, costs))
        return prices, np.linalg.solve(matrix.T, kappa) / (prices * productivity)
    u = np.linalg.solve(matrix, economy.sensitivity[:, 0])
    w = np.linalg.solve(matrix.T, kappa / u)
    q = economy.substitution
    return u ** (1.0 / zeta), w / (productivity ** (q * zeta) * u**q)


def random_network(
    firms: int,
    degree: int,
    seed: int,
    *,
    substitution: float = 0.0,
    returns: float = 1.0,
    labour_share: float = 0.5,
    hawkins_simon: float | None = None,
    spread: float = 0.5,
) -> NetworkEconomy:
    """A network in which each firm uses labour and the goods of ``degree`` others, drawn at random.

    Weights are ``labour_share`` for labour, and for goods in proportion to draws that are uniform
    in 1 ± ``spread``; tastes are drawn likewise, and sum to 1. J = a and z = 1: then Λ = a, and
    with b = 1 all prices at rest are 1 wage and ε is the labour share, whatever q is, so that
    technologies differ in their elasticity alone. ``hawkins_simon`` asks for another ε (see
    :meth:`NetworkEconomy.with_technology`; Cobb–Douglas keeps its own). What a seed draws does not
    depend on the technology.

    Raises:
        SettingError: a number is out of range.
    """
    firms = check_whole(firms, "firms", low=2)
    degree = check_whole(degree, "degree", low=1, high=firms - 1)
    labour_share = check_number(labour_share, "labour_share", above=0.0, high=0.999)
    spread = check_number(spread, "spread", low=0.0, high=0.999)
    rng = np.random.default_rng(check_whole(seed, "seed", low=0))
    goods = np.zeros((firms, firms))
    for k in range(firms):
        others = np.delete(np.arange(firms), k)
        suppliers = rng.choice(others, degree, replace=False)
        goods[k, suppliers] = rng.uniform(1.0 - spread, 1.0 + spread, degree)
    goods *= (1.0 - labour_share) / goods.sum(axis=-1, keepdims=True)
    weights = np.concatenate([np.full((firms, 1), labour_share), goods], axis=-1)
    tastes = rng.uniform(1.0 - spread, 1.0 + spread, firms)
    network = NetworkEconomy(weights, weights, np.ones(firms), tastes / tastes.sum())
    return network.with_technology(substitution, returns, hawkins_simon=hawkins_simon)


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

    def rows(self, part: Callable[[Any], Any]) -> State:
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


def input_demand(economy: NetworkEconomy, prices: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Q̂, the cheapest inputs for γ = ``target``, shape (..., n, n + 1); both given as (..., n).

    Λ_ij (Σ_k Λ_ik p_k^ζ)^q γ_i^{1/b} p_j^{−qζ}; for Cobb–Douglas a_ij (unit cost) γ_i^{1/b}/p_j.
    """
    scale = (target ** (1.0 / economy.returns))[..., None]
    if economy.substitution == 0.0:
        return economy.coefficients * scale
    full = np.concatenate([np.ones_like(prices[..., :1]), prices], axis=-1)[..., None, :]
    zeta = economy.exponent
    if zeta == 0.0:
        cost = np.exp(np.sum(economy.weights * np.log(full) + economy.log_costs, -1, keepdims=True))
        return economy.weights * (cost * scale / full)
    q = economy.substitution
    total = np.sum(economy.sensitivity * full**zeta, axis=-1, keepdims=True)
    return economy.sensitivity * (total**q * scale) * full ** (-q * zeta)


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


# --- runs --------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Simulation:
    """Runs side by side. A run that has ended keeps its last state in all later records.

    Attributes:
        times: steps at which the state was recorded, shape (records,).
        prices, outputs: shape (runs, records, n), in units of the wage, and γ.
        unsold: firms' stocks of their own goods, shape (runs, records, n).
        stocks: of inputs, shape (runs, records, n, n + 1).
        status: of each run: ``converged``, ``elsewhere``, ``diverged`` or ``max_steps``.
        steps: how many steps each run took, shape (runs,).
        distance: at the end, the largest |x/x* − 1| of a price or output, shape (runs,).
    """

    times: np.ndarray
    prices: np.ndarray
    outputs: np.ndarray
    unsold: np.ndarray
    stocks: np.ndarray
    status: tuple[str, ...]
    steps: np.ndarray
    distance: np.ndarray


@np.errstate(all="ignore")
def simulate(
    economies: NetworkEconomy | Sequence[NetworkEconomy],
    settings: ExcessDemandSettings | Sequence[ExcessDemandSettings],
    *,
    steps: int = 3000,
    seed: int | Sequence[int] = 1,
    perturbation: float = 0.05,
    every: int = 1,
) -> Simulation:
    """Runs from near the equilibrium, as many as the longest of the three sequences has entries.

    What is single is the same in all runs. A run is *at rest*, and ends, when no price moves by
    more than 1e-7 within ten steps (looked at every ten). It has *converged* if, at its end, all
    prices and outputs are within 1e-3 of the equilibrium; it is *elsewhere* if it is at rest, but
    not there; *diverged* if a price or output is above 1e100, below 1e-100 (as in a slump without
    end) or no number; else out of steps, ``max_steps``. The paper's rule counts ``converged`` and
    ``elsewhere``. The state is recorded at step 0, every ``every`` steps, and at the end.

    Raises:
        EconomyError: an economy has no equilibrium, or they are of different technologies.
        SettingError: a number is out of range, or the sequences do not fit together.
    """
    steps = check_whole(steps, "steps", low=0)
    every = check_whole(every, "every", low=1)
    check_number(perturbation, "perturbation", low=0.0, high=0.999)
    several = [each for each in (economies, settings, seed) if isinstance(each, Sequence)]
    runs = max((len(each) for each in several), default=1)
    every_economy = _each(economies, runs, "economies")
    every_setting = _each(settings, runs, "settings")
    seeds = _each(seed, runs, "seeds")
    start = _perturbed(every_economy, seeds, perturbation)
    economy = NetworkEconomy.stacked(every_economy)
    rates = ExcessDemandSettings.stacked(every_setting)
    rest = np.array([[each.equilibrium.prices, each.equilibrium.outputs] for each in every_economy])

    times = np.unique(np.append(np.arange(0, steps + 1, every), steps))
    kept = ("prices", "outputs", "unsold", "stocks")
    records = {name: np.repeat(getattr(start, name)[:, None], len(times), axis=1) for name in kept}
    status, taken = np.full(runs, "max_steps", dtype=object), np.full(runs, steps)
    ends = np.stack([start.prices, start.outputs], axis=1)
    active, state, record = np.arange(runs), start, 1
    window = [state.prices]
    for now in range(1, steps + 1):
        state, _ = step(economy, rates, state)
        if record < len(times) and times[record] == now:
            for name in kept:
                records[name][active, record] = getattr(state, name)
            record += 1
        window.append(state.prices)
        if now % WINDOW == 0 or now == steps:
            resting, lost = standing_still(np.array(window)), _lost(state)
            window = [state.prices]
            over = resting | lost | (now == steps)
            ended = active[over]
            status[active[resting]], status[active[lost]] = "elsewhere", "diverged"
            taken[ended] = now
            ends[ended] = np.stack([state.prices[over], state.outputs[over]], axis=1)
            if over.any():
                for name in kept:
                    records[name][ended, record:] = getattr(state, name)[over][:, None]
                going = partial(_rows, kept=~over)
                active, window = active[~over], [state.prices[~over]]
                state, economy, rates = state.rows(going), economy.rows(going), rates.rows(going)
            if not active.size:
                break
    distance = np.abs(ends / rest - 1.0).max(axis=(1, 2))
    status[(status != "diverged") & (distance < NEAR)] = "converged"
    return Simulation(times, **records, status=tuple(status), steps=taken, distance=distance)


def _each(given: Kind | Sequence[Kind], runs: int, what: str) -> list[Kind]:
    """``given`` as a list of one entry a run."""
    if not isinstance(given, Sequence):
        return [given] * runs
    if len(given) != runs or not runs:
        raise SettingError(
            f"{len(given)} {what} for {runs} runs",
            remedy="give one for all runs, or as many as there are runs",
            name=what,
        )
    return list(given)


def disturbance(firms: int, seed: int, size: float) -> np.ndarray:
    """The factors by which prices and outputs start off their equilibrium, shape (2, firms)."""
    rng = np.random.default_rng(check_whole(seed, "seed", low=0))
    return rng.uniform(1.0 - size, 1.0 + size, (2, firms))


def _perturbed(economies: Sequence[NetworkEconomy], seeds: Sequence[int], size: float) -> State:
    """The states that runs start from, stacked."""
    states = []
    for economy, seed in zip(economies, seeds, strict=True):
        rest = at_rest(economy)
        factors = disturbance(economy.firms, seed, size)
        prices, outputs = rest.prices * factors[0], rest.outputs * factors[1]
        consumption, labour = household_plan(economy, prices, rest.savings, np.ones(1))
        states.append(
            dataclasses.replace(
                rest, prices=prices, outputs=outputs, consumption=consumption, labour=labour
            )
        )
    return State(
        **{
            item.name: np.stack([getattr(each, item.name) for each in states])
            for item in dataclasses.fields(State)
        }
    )


def _rows(array: np.ndarray, kept: np.ndarray) -> np.ndarray:
    return array[kept]


def standing_still(window: np.ndarray) -> np.ndarray:
    """Whether prices, shape (times, runs, n), moved by less than ``RESTING``, shape (runs,)."""
    high, low = window.max(axis=0), window.min(axis=0)
    return (len(window) > WINDOW) & np.all(high - low < RESTING * low, axis=-1)


def _lost(state: State) -> np.ndarray:
    """Whether a price or an output is beyond all bounds, shape (runs,)."""
    both = np.concatenate([state.prices, state.outputs], axis=-1)
    return ~np.all((both > 1.0 / BEYOND) & (both < BEYOND), axis=-1)


def phase_plane(
    rates: Sequence[float] = (0.05, 0.1, 0.25, 0.5, 0.8),
    technologies: Mapping[str, tuple[float, float]] = TECHNOLOGIES,
    networks: Iterable[int] = range(1, 6),
    *,
    settings: ExcessDemandSettings | None = None,
    firms: int = 30,
    degree: int = 4,
    labour_share: float = 0.5,
    hawkins_simon: float | None = None,
    steps: int = 3000,
    perturbation: float = 0.05,
) -> pd.DataFrame:
    """Where in the plane of rates, α = α′ by β = β′, the economy comes back to its equilibrium.

    Each of ``technologies`` (a name, with q and b) runs on the network of each of the seeds
    ``networks``, in each cell of ``rates`` × ``rates``; ``settings`` give all other rates. A
    network is disturbed alike in all cells and technologies.

    Returns a row a run: ``technology``, ``substitution``, ``elasticity``, ``returns``, ``network``,
    ``price_rate`` (α), ``output_rate`` (β), ``status``, ``steps`` and ``distance`` (see
    :func:`simulate`).

    Raises:
        MarketError: a number is out of range, or there is no equilibrium.
    """
    import pandas as pd

    settings = settings or ExcessDemandSettings()
    networks = list(networks)
    cells = [
        dataclasses.replace(
            settings,
            price_rate_surplus=price_rate,
            price_rate_profit=price_rate,
            output_rate_profit=output_rate,
            output_rate_surplus=output_rate,
        )
        for price_rate, output_rate in itertools.product(rates, rates)
    ]
    tables = []
    for name, (substitution, returns) in technologies.items():
        economies = [
            random_network(
                firms,
                degree,
                seed,
                substitution=substitution,
                returns=returns,
                labour_share=labour_share,
                hawkins_simon=hawkins_simon,
            )
            for seed in networks
        ]
        points = list(itertools.product(range(len(networks)), cells))
        runs = simulate(
            [economies[k] for k, _ in points],
            [cell for _, cell in points],
            seed=[networks[k] for k, _ in points],
            steps=steps,
            perturbation=perturbation,
            every=max(steps, 1),
        )
        columns = {
            "technology": name,
            "substitution": substitution,
            "elasticity": economies[0].elasticity,
            "returns": returns,
            "network": [networks[k] for k, _ in points],
            "price_rate": [cell.price_rate_surplus for _, cell in points],
            "output_rate": [cell.output_rate_profit for _, cell in points],
            "status": runs.status,
            "steps": runs.steps,
            "distance": runs.distance,
        }
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def converged_cells(table: pd.DataFrame) -> pd.DataFrame:
    """How many cells of a :func:`phase_plane` converged: a row a technology, a column a network."""
    converged = (table["status"] == "converged").groupby([table["technology"], table["network"]])
    return converged.sum().unstack("network").loc[table["technology"].unique()]
