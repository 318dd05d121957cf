"""The stability of a market: the eigenvalues of its step at the steady state.

A step turns a small disturbance z of the market's state variables into J z; in the long run the
largest eigenvalue of J determines whether it grows. J is computed by central differences of the
array engine's own step, about the steady state that ``gradient/equilibrium.py`` finds without a
market. It needs no run, and also covers steady states that no run would reach.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.economy.production import marginal_products
from market_abm.errors import MarketError
from market_abm.gradient.equilibrium import Equilibrium, equilibrium
from market_abm.market.arrays import ACTIVATIONS
from market_abm.market.base import MarketSettings
from market_abm.market.mechanisms.registry import array_market

MAX_VARIABLES = 600
"""Maximum number of variables, since the matrix is dense."""

MOVE = float(np.cbrt(np.finfo(float).eps))
"""The relative size h of central differences: 6e-6.

Their error is h² (truncation) and eps/h (rounding), which is smallest at h = eps^(1/3).
"""

ROUNDING = 1e-8
"""Entries of J, and differences of eigenvalues, below this are rounding (4e-11, with room)."""

INDIFFERENCE_TOL = 1e-6
"""Eigenvalues this close to 1 belong to disturbances that persist; errors are about 1e-9."""

STATIONARY_TOL = 1e-6
"""The largest move in a step of a steady state, relative to each variable (of shares, to 1)."""


@dataclass(frozen=True)
class Stability:
    """The behaviour of small disturbances of a steady state.

    Both numbers have an error of about 1e-10; where k eigenvalues coincide, of its k-th root.

    Parameters
    ----------
    radius
        The factor by which a disturbance shrinks or grows in a step, in the long run: the spectral
        radius of J.
    leading
        The eigenvalue of that size, with an imaginary part >= 0; of several, the one with the
        smallest angle.
    """

    radius: float
    leading: complex

    @property
    def regime(self) -> str:
        """``"unstable"`` (disturbances grow), ``"oscillating"`` or ``"monotone"``."""
        if self.radius > 1.0 + ROUNDING:
            return "unstable"
        return "monotone" if math.isinf(self.period) else "oscillating"

    @property
    def period(self) -> float:
        """The period of oscillation, steps; infinite without oscillation."""
        angle = float(np.angle(self.leading))
        return 2.0 * math.pi / angle if angle > 0.0 else math.inf

    @property
    def half_life(self) -> float:
        """Steps until a disturbance has halved; infinite if it does not shrink."""
        if self.radius > 1.0 - ROUNDING:
            return math.inf
        return math.log(2.0) / -math.log(self.radius) if self.radius > 0.0 else 0.0


def stability(
    economy: Economy, settings: MarketSettings, steady_state: Equilibrium | None = None
) -> Stability | None:
    """The stability of a market at its steady state.

    A disturbance changes any state variable that can move: not fixed endowments, and not the sum of
    a pool's shares. Where it does not matter how an industry's goods are divided
    among its firms (equal firms, constant returns), disturbed shares persist without any effect on
    prices or quantities; these directions are left out.

    Parameters
    ----------
    economy
        The economy.
    settings
        The market's settings.
    steady_state
        By default the equilibrium of the economy.

    Returns
    -------
    Stability or None
        None if steps are random (``random`` activation, noise in bids), if prices are lagged, if a
        step is not smooth at the steady state (posted prices: excess demand on one side, unsold
        goods on the other), if the steady state is unknown or the market is not stationary there,
        if J is not finite, or if there are more than 600 variables.
    """
    best = equilibrium(economy) if steady_state is None else steady_state
    found = _jacobian(economy, settings, best)
    return None if found is None else _stability(*found)


def stable_rate(
    economy: Economy,
    settings: MarketSettings,
    key: str,
    steady_state: Equilibrium | None = None,
) -> float | None:
    """The rate of adjustment up to which a market is stable near its steady state.

    A rate multiplies a gap that is 0 there, so that J is linear in it, and is interpolated.

    Parameters
    ----------
    economy, steady_state
        As of :func:`stability`.
    settings
        The market's settings.
    key
        The rate that is varied, from 0.01 to 1: ``"bid_rate"`` or ``"share_rate"``.

    Returns
    -------
    float or None
        The smallest rate at which the spectral radius becomes 1: 0 if it is above 1 at 0.01,
        infinite if it is below 1 up to 1, None if it is unknown (see :func:`stability`).
    """
    best = equilibrium(economy) if steady_state is None else steady_state
    changes: list[dict[str, Any]] = [{key: 0.5}, {key: 1.0}]
    found = [_jacobian(economy, replace(settings, **each), best) for each in changes]
    if found[0] is None or found[1] is None:
        return None
    (half, of_goods), (whole, _) = found[0], found[1]

    @np.errstate(divide="ignore")
    def growth(rate: float) -> float:
        radius = _stability(whole + 2.0 * (1.0 - rate) * (half - whole), of_goods).radius
        return float(np.log(radius))

    from scipy.optimize import brentq  # slow to import

    rates = np.geomspace(0.01, 1.0, 9)
    first = next((k for k, rate in enumerate(rates) if growth(rate) > ROUNDING), None)
    if first is None:
        return math.inf
    return float(brentq(growth, rates[first - 1], rates[first], xtol=1e-7)) if first else 0.0


@np.errstate(all="ignore")
def _jacobian(
    economy: Economy, settings: MarketSettings, steady: Equilibrium | None
) -> tuple[np.ndarray, np.ndarray] | None:
    """J, and which of its variables are quantities and prices; None if :func:`stability` is."""
    noisy = any(np.any(industry.population.bid_noise > 0) for industry in economy.topological_order)
    if settings.activation not in ACTIVATIONS or noisy or settings.lag:
        return None
    if not settings.rules.smooth or steady is None or not steady.solved:
        return None
    try:
        step = _Step(economy, settings, steady)
        matrix = step.jacobian() if step.size <= MAX_VARIABLES else None
    except MarketError:
        return None
    return None if matrix is None else (matrix, step.of_goods)


def _stability(matrix: np.ndarray, of_goods: np.ndarray) -> Stability:
    """The leading eigenvalue of J, without what persists and has no effect."""
    eigenvalues = np.linalg.eigvals(matrix)
    if np.any(np.abs(eigenvalues - 1.0) < INDIFFERENCE_TOL):
        eigenvalues = np.linalg.eigvals(_without_indifference(matrix, of_goods))
    leading = _leading(eigenvalues)
    return Stability(abs(leading), leading)


class _Step:
    """One step of the market, as a function of the vector of the state variables that can move.

    The vector holds the entries ``places`` of the arrays of ``ArrayEngine.memory``: all but the
    offers of fixed endowments, the shares in pools of one buyer, and in each other pool the largest
    share, which is 1 minus the others.
    """

    def __init__(self, economy: Economy, settings: MarketSettings, steady: Equilibrium) -> None:
        self.economy, self.settings = economy, settings
        buyers = economy.buyers
        inputs = steady.shares * steady.quantities[buyers.good]
        products = marginal_products(economy, inputs)
        worth = steady.prices[buyers.maker] * products
        # For each buyer, the buyer of its pool whose share is 1 minus the others.
        self.rest_of_pool = np.arange(buyers.size)
        self.at = settings.rules.steady_memory(economy, steady, worth, products)
        moves = {name: np.ones(array.shape, bool) for name, array in self.at.items()}
        moves |= settings.rules.moving(economy)
        if "shares" in moves:
            moves["shares"][:] = False
            for pool in buyers.shared_pools:
                largest = pool.buyers.start + int(np.argmax(steady.shares[pool.buyers]))
                self.rest_of_pool[pool.buyers] = largest
                moves["shares"][pool.buyers] = True
                moves["shares"][largest] = False
        self.places = [(name, int(k)) for name in self.at for k in np.flatnonzero(moves[name])]
        self.size = len(self.places)
        self.of_shares = np.array([name == "shares" for name, _ in self.places])
        self.of_goods = np.array(
            [name in ("quantities", "prices", "quotes") for name, _ in self.places]
        )

    def jacobian(self) -> np.ndarray | None:
        """J, shape (size, size), by relative changes; None if the market is not stationary there.

        One market of 2 size + 1 runs makes one step: each variable is moved up in one run and down
        in another; the last run is not disturbed, and must not move.
        """
        runs = 2 * self.size + 1
        market = array_market([self.economy] * runs, [self.settings] * runs, [0] * runs)
        memory = {name: np.tile(array, (runs, 1)) for name, array in self.at.items()}
        sizes = np.array([abs(self.at[name][k]) or 1.0 for name, k in self.places])
        for variable, (name, k) in enumerate(self.places):
            moves = MOVE * sizes[variable] * np.array([1.0, -1.0])
            pair = slice(2 * variable, 2 * variable + 2)
            memory[name][pair, k] += moves
            if name == "shares":
                memory[name][pair, self.rest_of_pool[k]] -= moves
        before = self._vectors(memory) / sizes
        market.memory = memory
        market.step()
        after = self._vectors(market.memory) / sizes
        drift = np.abs(after[-1] - before[-1]) * np.where(self.of_shares, sizes, 1.0)
        # Divided by the moves as represented in floating point.
        moved = np.diagonal(before[0:-1:2] - before[1:-1:2])
        matrix = (after[0:-1:2] - after[1:-1:2]).T / moved
        # Rounding errors in place of zeros would close loops of variables, and a loop of k entries
        # of 1e-11 has eigenvalues of (1e-11)^(1/k).
        matrix[np.abs(matrix) < ROUNDING] = 0.0
        return matrix if np.all(np.isfinite(matrix)) and drift.max() < STATIONARY_TOL else None

    def _vectors(self, memory: dict[str, np.ndarray]) -> np.ndarray:
        """The variables of each run, shape (runs, size)."""
        return np.stack([memory[name][:, k] for name, k in self.places], axis=-1)


def _without_indifference(matrix: np.ndarray, of_goods: np.ndarray) -> np.ndarray:
    """J without the disturbances that persist and move no good's quantity or price.

    On their space J is the identity; the other eigenvalues are those of J projected on its
    orthogonal complement.
    """
    identity = np.eye(len(matrix))
    effects = np.concatenate([matrix - identity, identity[of_goods]])
    _, singular, directions = np.linalg.svd(effects)
    others = directions[singular > INDIFFERENCE_TOL]
    return others @ matrix @ others.T


def _leading(eigenvalues: np.ndarray) -> complex:
    """The largest in size, of several the one with the smallest angle; imaginary part >= 0."""
    sizes = np.abs(eigenvalues)
    radius = float(sizes.max(initial=0.0))
    largest = eigenvalues[sizes >= radius * (1.0 - ROUNDING)]
    slowest = complex(largest[np.argmin(np.abs(np.angle(largest)))])
    if abs(slowest.imag) <= math.sqrt(ROUNDING) * radius:  # rounding separates equal ones by this
        return complex(math.copysign(radius, slowest.real))
    return complex(slowest.real, abs(slowest.imag))
