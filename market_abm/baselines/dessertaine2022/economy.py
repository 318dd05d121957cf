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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from scipy.optimize import root

from market_abm.economy.io_table import InputOutputTable
from market_abm.errors import EconomyError
from market_abm.fields import check_number, check_whole

if TYPE_CHECKING:
    pass

TECHNOLOGIES = {
    "Leontief": (0.0, 1.0),
    "Leontief, b = 0.95": (0.0, 0.95),
    "CES, q = 1": (1.0, 1.0),
    "Cobb–Douglas": (math.inf, 1.0),
}
"""Substitution q and returns b of the technologies that the paper compares."""


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
                    remedy=f"with a productivity for each of n = {n} firms must be {shape}",
                    name=name,
                )
        for name in ("productivity", "tastes"):
            if np.any(getattr(self, name) == 0.0):
                raise EconomyError(f"{name} holds a 0", remedy="must be > 0", name=name)
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
    def vectorized(cls, several: Sequence[Self]) -> Self:
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

    def select_runs(self, part: Callable[[Any], Any]) -> Self:
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
