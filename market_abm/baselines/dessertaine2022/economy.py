"""The economy of the published model, its competitive equilibrium, and random networks."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np

from market_abm.economy.io_table import InputOutputTable
from market_abm.errors import EconomyError
from market_abm.fields import check_number, check_whole

TECHNOLOGIES = {
    "Leontief": (0.0, 1.0),
    "Leontief, b = 0.95": (0.0, 0.95),
    "CES, q = 1": (1.0, 1.0),
    "Cobb–Douglas": (math.inf, 1.0),
}
"""Substitution q and returns b of the technologies that the paper compares."""


@dataclass(frozen=True, eq=False)
class NetworkEconomy:
    """n firms, their technologies, and the household; checked on construction.

    A firm makes z γ from inputs Q, with γ = min(Q/J)^b, (Σ a (J/Q)^{1/q})^{−bq} or Π (Q/J)^{ab}
    for q = 0, in between and infinite. The household has the utility Σ θ ln C − Γ (L/L₀)²/2.

    Attributes
    ----------
    coefficients
        J, shape (n, n + 1), labour first: 0 where firm i does not use good j − 1.
    weights
        a, shape (n, n + 1); rows sum to 1; positive where J is.
    productivity
        z, shape (n,), units of good per unit of γ.
    tastes
        θ, shape (n,).
    substitution
        q; the elasticity of substitution is q/(1 + q).
    returns
        b, returns to scale, 0 < b ≤ 1.
    labour
        L₀, the scale of labour.
    aversion
        Γ, the weight of the disutility of labour.
    spending
        f, the share of its budget that the household spends.

    A vectorized economy (see :meth:`vectorized`) has one more axis in front of every array.

    Raises
    ------
    EconomyError
        Shapes do not agree, or an array holds an invalid number.
    SettingError
        A number is out of range.
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
        self._check_shapes()
        self._check_inputs()
        ranges: Mapping[str, Mapping[str, Any]] = {
            "substitution": {"low": 0.0, "infinite": True},
            "returns": {"above": 0.0, "high": 1.0},
            "labour": {"above": 0.0},
            "aversion": {"above": 0.0},
            "spending": {"above": 0.0, "high": 1.0},
        }
        for name, bounds in ranges.items():
            object.__setattr__(self, name, check_number(getattr(self, name), name, **bounds))

    def _check_shapes(self) -> None:
        n = self.productivity.shape[-1] if self.productivity.ndim else 0
        shapes = {"coefficients": (n, n + 1), "weights": (n, n + 1), "tastes": (n,)}
        for name, shape in shapes.items():
            if n == 0 or getattr(self, name).shape != shape:
                raise EconomyError(
                    f"{name} has shape {getattr(self, name).shape}",
                    remedy=f"with a productivity for each of n = {n} firms it must be {shape}",
                    name=name,
                )

    def _check_inputs(self) -> None:
        for name in ("productivity", "tastes"):
            if np.any(getattr(self, name) == 0.0):
                raise EconomyError(f"{name} holds a 0", remedy="must be > 0", name=name)
        if np.any(self.coefficients[:, 0] == 0.0):
            raise EconomyError(
                "a firm uses no labour",
                remedy="the first column of coefficients must be > 0",
                name="coefficients",
            )
        rows = np.abs(self.weights.sum(axis=-1) - 1.0)
        if np.any((self.weights > 0.0) != (self.coefficients > 0.0)) or np.any(rows > 1e-9):
            raise EconomyError(
                "weights do not fit the coefficients",
                remedy="each row must sum to 1, and be > 0 exactly where the coefficients are",
                name="weights",
            )

    @property
    def firms(self) -> int:
        """The number of firms, n."""
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
        """The terms a ln(J/a) of Cobb–Douglas firms' log unit costs, shape (n, n + 1)."""
        ratio = np.ones(self.weights.shape)
        np.divide(self.coefficients, self.weights, where=self.weights > 0.0, out=ratio)
        return self.weights * np.log(ratio)

    @cached_property
    def labour_disutility(self) -> Any:
        """V = Γ/L₀²: the marginal disutility of labour per unit of labour supplied."""
        return self.aversion / self.labour**2

    @property
    def network_matrix(self) -> np.ndarray:
        """M = diag(z^ζ) − Λ on goods, shape (n, n)."""
        return np.diag(self.productivity**self.exponent) - self.sensitivity[:, 1:]

    @cached_property
    def hawkins_simon(self) -> float:
        """ε, the smallest real part of M's eigenvalues; with b = 1, ε > 0 is viability."""
        return float(np.linalg.eigvals(self.network_matrix).real.min())

    @cached_property
    def equilibrium(self) -> CompetitiveEquilibrium:
        """Prices and outputs at which markets clear and profits are 0.

        In closed form for b = 1 (the paper's, with its limits for Leontief and Cobb–Douglas). For
        b < 1 it is that of b = 1 with productivities z g^{b−1}, where g = γ^{1/b} is found
        numerically.

        Raises
        ------
        EconomyError
            There is none (the Hawkins–Simon number is not positive).
        """
        prices, scale = _linear_equilibrium(self, self.productivity)
        if self.returns < 1.0:

            def residual(logs: np.ndarray) -> np.ndarray:
                factor = np.exp((self.returns - 1.0) * logs)
                return np.log(_linear_equilibrium(self, self.productivity * factor)[1]) - logs

            from scipy.optimize import root  # slow to import

            found = root(residual, np.log(scale), tol=1e-15)
            if not np.abs(residual(found.x)).max() < 1e-10:
                raise EconomyError(
                    f"no equilibrium was found with returns of {self.returns:g}",
                    remedy="raise the productivities, or take returns nearer to 1",
                    name="returns",
                )
            scale = np.exp(found.x)
            prices, _ = _linear_equilibrium(self, self.productivity * scale ** (self.returns - 1))
        utility = math.sqrt(self.labour_disutility * self.tastes.sum() / self.spending)  # of money
        return CompetitiveEquilibrium(
            prices=prices,
            outputs=scale**self.returns,
            consumption=self.tastes / (utility * prices),
            labour=utility * self.spending / self.labour_disutility,
        )

    @cached_property
    def table(self) -> InputOutputTable:
        """The input-output table of the equilibrium, in wages; flows of shape (n, n).

        With b = 1 the table and σ determine the economy up to units: CES firms in calibrated share
        form (:func:`market_abm.from_input_output`) have the same equilibrium at any productivities,
        in units of what a wage buys. With b < 1 the table does not contain the returns.

        Raises
        ------
        EconomyError
            There is no equilibrium.
        """
        steady = self.equilibrium
        bought = input_demand(self, steady.prices, steady.outputs)[:, 1:]
        codes = tuple(f"firm{k + 1}" for k in range(self.firms))
        return InputOutputTable(
            codes,
            codes,
            flows=(bought * steady.prices).T,
            output=steady.prices * self.productivity * steady.outputs,
            final_use=steady.prices * steady.consumption,
        )

    def with_technology(
        self, substitution: float, returns: float = 1.0, *, hawkins_simon: float | None = None
    ) -> NetworkEconomy:
        """The same network with another technology.

        Parameters
        ----------
        substitution, returns
            q and b.
        hawkins_simon
            The ε > 0 to reach, by shifting z^ζ by the same number for all firms. Ignored for
            Cobb–Douglas, where ε = 1 − (spectral radius of a on goods) for any z.
        """
        made = dataclasses.replace(self, substitution=substitution, returns=returns)
        if hawkins_simon is None or made.exponent == 0.0:
            return made
        check_number(hawkins_simon, "hawkins_simon", above=0.0)
        shifted = made.productivity**made.exponent + (hawkins_simon - made.hawkins_simon)
        return dataclasses.replace(made, productivity=shifted ** (1.0 / made.exponent))

    @classmethod
    def vectorized(cls, several: Sequence[Self]) -> Self:
        """Combine economies: arrays get a leading axis of runs, numbers the shape (runs, 1).

        Raises
        ------
        EconomyError
            They differ in size or technology.
        """
        if len({(each.firms, each.substitution, each.returns) for each in several}) != 1:
            raise EconomyError(
                "economies of different sizes or technologies cannot run side by side",
                remedy="simulate them separately",
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
        """A vectorized economy with ``part`` of each array."""
        result = object.__new__(type(self))
        for item in dataclasses.fields(self):
            value = getattr(self, item.name)
            kept = part(value) if isinstance(value, np.ndarray) else value
            object.__setattr__(result, item.name, kept)
        return result


@dataclass(frozen=True, eq=False)
class CompetitiveEquilibrium:
    """Prices (in wages), outputs γ and consumption, shape (n,), and labour."""

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
    kappa = economy.tastes / math.sqrt(
        economy.labour_disutility * economy.tastes.sum() / economy.spending
    )
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
    """A random network in which each firm uses labour and the goods of ``degree`` other firms.

    J = a and z = 1, so that Λ = a; with b = 1 all equilibrium prices are then 1 wage and ε is the
    labour share for any q, so that technologies differ in their elasticity alone.

    Parameters
    ----------
    firms, degree
        The number of firms, and of suppliers per firm.
    seed
        Determines suppliers, weights and tastes, whatever the technology.
    substitution, returns
        q and b.
    labour_share
        The weight of labour in every firm.
    hawkins_simon
        Another ε (see :meth:`NetworkEconomy.with_technology`).
    spread
        Weights of goods are proportional to uniform draws in 1 ± ``spread``, and so are tastes,
        which sum to 1.

    Raises
    ------
    SettingError
        A number is out of range.
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
    """Q̂, the least-cost inputs for γ = ``target``, shape (..., n, n + 1).

    ``prices`` and ``target`` have shape (..., n).
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
