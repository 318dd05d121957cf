"""Who takes part in an economy, on what terms: suppliers, consumers, an industry's firms."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from market_abm.errors import EconomyError, SettingError
from market_abm.fields import Settings, choice, integer, number, numbers

SUPPLIERS = ("curve", "gradient")
DEMAND_FORMS = ("elastic", "isoelastic", "linear")
CONDUCTS = ("competitive", "cournot")


@dataclass(frozen=True)
class Supply(Settings):
    """A supplier's terms for a raw good (docs/model.md, 2).

    At the reference ``price`` r0 (money per unit) it offers ``quantity`` q0 (units a step); its
    supply curve is q0 (p/r0)^η, with η the ``elasticity``: 0 is a fixed endowment. A ``curve``
    supplier moves a fraction ``adjustment`` ρ of the way (in logs) to its curve each step; a
    ``gradient`` supplier adds ``rate`` β (units, per money per unit) times price less marginal
    cost, whatever the signs.
    """

    quantity: float = number(unit="units per step", help="q₀, reference quantity")
    price: float = number(1.0, unit="money per unit", help="r₀, reference price")
    elasticity: float = number(
        0.0, low=0.0, high=1e6, help="η, elasticity of supply; 0 is a fixed endowment"
    )
    adjustment: float = number(
        1.0,
        above=0.0,
        high=1.0,
        help="ρ, fraction of the way (in logs) to the supply curve per step, of a curve supplier",
    )
    kind: str = choice(
        "curve", SUPPLIERS, help="how the offer adjusts: to the supply curve, or by its gradient"
    )
    rate: float = number(
        0.1,
        above=0.0,
        unit="units per (money per unit)",
        help="β, step size of a gradient supplier, times price less marginal cost",
    )

    def check(self, where: str) -> None:
        """Refuse a supply that responds, but not to what is dearer with more."""
        if self.elasticity > 0 and not self.quantity * self.price > 0:
            raise SettingError(
                f"{where} has quantity {self.quantity:g} and price {self.price:g}, "
                f"with elasticity {self.elasticity:g}",
                remedy="a supply that responds needs both above 0 (or both below, for a nuisance)",
                name=f"{where}.elasticity",
            )


@dataclass(frozen=True)
class Demand(Settings):
    """A consumer's terms for a final good (docs/model.md, 2).

    For the reference ``quantity`` c0 (units; unless given, what is made of the good at step 0) it
    pays ``price`` p0 (money per unit); ``elasticity`` ε is that of its demand there: infinite, if
    it pays the same for any quantity. ``form``: ``elastic`` pays p0, ``isoelastic``
    p0 (c/c0)^(-1/ε), for c > 0, ``linear`` p0 (1 - (c - c0)/(ε |c0|)), for any sign. Unless given
    it is ``elastic`` where ε is infinite, else ``isoelastic`` where c0 > 0, else ``linear``.
    """

    price: float = number(1.0, unit="money per unit", help="p₀, price at the reference quantity")
    elasticity: float = number(
        math.inf,
        above=0.0,
        infinite=True,
        help="ε, elasticity of demand at the reference quantity; inf is a constant price",
    )
    quantity: float | None = number(
        None,
        unit="units per step",
        help="c₀, reference quantity; by default the output at step 0",
    )
    form: str | None = choice(
        None,
        DEMAND_FORMS,
        help="demand curve; by default elastic if ε is inf, else isoelastic if c₀ > 0, else linear",
    )

    def check(self, where: str) -> None:
        """Refuse terms that contradict each other."""
        finite = math.isfinite(self.elasticity)
        if self.form == "elastic" and finite:
            raise SettingError(
                f"{where}.form is 'elastic' with elasticity {self.elasticity:g}",
                remedy='choose "isoelastic" or "linear", or leave the elasticity out',
                name=f"{where}.form",
            )
        if self.quantity is None or not finite:
            return
        if self.form == "isoelastic" and self.quantity <= 0:
            raise SettingError(
                f"{where}.quantity is {self.quantity:g}",
                remedy='isoelastic demand is for quantities above 0; use form = "linear"',
                name=f"{where}.quantity",
            )
        if self.quantity == 0:
            raise SettingError(
                f"{where}.quantity is 0",
                remedy="an elasticity needs a reference quantity other than 0",
                name=f"{where}.quantity",
            )


@dataclass(frozen=True)
class FirmPopulation(Settings):
    """The firms of one industry.

    ``firms`` is how many there are. Their ``weights`` w (shares of the industry, summing to 1) are
    equal unless listed, or spread lognormally with log standard deviation ``weight_spread``. Their
    productivities z are ``productivity`` (one number, or one a firm), spread lognormally by
    ``productivity_spread`` with the weighted mean kept, so that at the start the firms together
    make ``productivity`` times the line. ``bid_noise`` is the log standard deviation of the error
    that a firm makes each time it values an input. ``start`` is the guess of the industry's output
    before it has made any, used only inside a loop of the network. ``conduct``: ``competitive``
    firms take prices as given; those of a final good may be ``cournot``, and know that more of it
    lowers its price (A. Cournot, 1838).
    """

    firms: int = integer(1, low=1, high=10_000_000, help="number of firms in the industry")
    weights: tuple[float, ...] | None = numbers(
        None, above=0.0, help="w, firms' shares of the industry, with sum 1; by default equal"
    )
    weight_spread: float = number(
        0.0, low=0.0, high=20.0, help="standard deviation of ln w, lognormal"
    )
    productivity: float | tuple[float, ...] = numbers(
        1.0, above=0.0, scalar=True, help="z, factor on output: one, or one per firm"
    )
    productivity_spread: float = number(
        0.0, low=0.0, high=20.0, help="standard deviation of ln z, lognormal"
    )
    bid_noise: float = number(
        0.0, low=0.0, high=20.0, help="ν, standard deviation of the log error of each valuation"
    )
    start: float = number(
        1.0, above=0.0, unit="units per step", help="output assumed before step 0, in loops"
    )
    conduct: str = choice(
        "competitive",
        CONDUCTS,
        help="price taking, or Cournot: firms of a final good know how output lowers its price",
    )

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Weights (sum 1) and productivities, each of shape (firms,)."""
        for key, given in (("weights", self.weights), ("productivity", self.productivity)):
            if isinstance(given, tuple) and len(given) != self.firms:
                raise EconomyError(
                    f"{key} lists {len(given)} numbers for {self.firms} firms",
                    remedy=f"give {self.firms} numbers, or set firms = {len(given)}",
                    name=key,
                )
        if self.weights is None:
            weights = np.ones(self.firms) / self.firms
        else:
            weights = np.array(self.weights)
            if abs(weights.sum() - 1.0) > 1e-9:
                raise EconomyError(
                    f"weights sum to {weights.sum():.12g}",
                    remedy="make them sum to 1",
                    name="weights",
                )
        if self.weight_spread > 0:
            weights = weights * np.exp(self.weight_spread * rng.standard_normal(self.firms))
            weights /= weights.sum()
        productivity = np.broadcast_to(np.asarray(self.productivity, float), self.firms).copy()
        if self.productivity_spread > 0:
            mean = weights @ productivity
            productivity *= np.exp(self.productivity_spread * rng.standard_normal(self.firms))
            productivity *= mean / (weights @ productivity)
        return weights, productivity
