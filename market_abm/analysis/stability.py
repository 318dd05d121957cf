"""How a market behaves near rest: the eigenvalues of its step there.

Near rest a step is a matrix: what a disturbance z, of all that the market remembers, has become a
step later is J z, and after t steps the largest eigenvalue of J is all that counts. J is found by
central differences of the array engine's own step, about the rest point that
``analysis/equilibrium.py`` finds without a market: so it needs no run, and also tells of rest
points that no run would come to.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.errors import MarketError
from market_abm.gradient import backprop
from market_abm.gradient.equilibrium import Equilibrium, equilibrium
from market_abm.market.arrays import ACTIVATIONS
from market_abm.market.base import MarketSettings
from market_abm.market.mechanisms.registry import array_market

MAX_VARIABLES = 600
"""Numbers remembered beyond which an economy is left alone: the matrix is dense."""


MOVE = float(np.cbrt(np.finfo(float).eps))
"""How far each variable is moved, relative to its size: 6e-6.

A central difference errs by h² (it is not linear) and by eps/h (rounding): least at eps^(1/3).
"""


ROUNDING = 1e-8
"""What is smaller, in J or between its eigenvalues, is taken for rounding (4e-11, 100 fold)."""


INDIFFERENCE_TOL = 1e-6
"""How near to 1 an eigenvalue is of what stays as it is; errors of the rest, 1e-9, have room."""


STATIONARY_TOL = 1e-6
"""By how much a market at rest may move in a step, relative to each variable (of shares, to 1)."""


@dataclass(frozen=True)
class Stability:
    """What becomes of a small disturbance of a market at rest.

    ``radius`` is the factor by which it shrinks or grows in a step, in the long run: the spectral
    radius of J. ``leading`` is the eigenvalue of that size, with an imaginary part of 0 or more (of
    several, the one that turns most slowly). Both are good to some 1e-10; where k eigenvalues
    coincide, to the k-th root of that.
    """

    radius: float
    leading: complex

    @property
    def regime(self) -> str:
        """``"unstable"`` (it grows), ``"oscillating"`` or ``"monotone"``."""
        if self.radius > 1.0 + ROUNDING:
            return "unstable"
        return "monotone" if math.isinf(self.period) else "oscillating"

    @property
    def period(self) -> float:
        """Steps of a swing: infinite if it does not swing, 2 if each step is the other way."""
        angle = float(np.angle(self.leading))
        return 2.0 * math.pi / angle if angle > 0.0 else math.inf

    @property
    def half_life(self) -> float:
        """Steps in which a disturbance halves; infinite if it does not shrink."""
        if self.radius > 1.0 - ROUNDING:
            return math.inf
        return math.log(2.0) / -math.log(self.radius) if self.radius > 0.0 else 0.0


@np.errstate(all="ignore")
def stability(
    economy: Economy, settings: MarketSettings, rest: Equilibrium | None = None
) -> Stability | None:
    """How the market of ``settings`` behaves near ``rest``, by default the economy's equilibrium.

    A disturbance is one of anything that the market remembers and that moves: fixed endowments do
    not, and a pool's shares sum to 1. Where firms do not care how their industry's goods are split
    between them (equal firms, constant returns), shares once disturbed stay so for good, and no
    price or quantity is any different: that is left out.

    None if it is not one map that is repeated (``random`` activation, noise in bids), if prices are
    heard late (what is remembered of them is no variable here), if a step has a kink at rest
    (posted prices: goods are short on one side of it, left over on the other), if no rest is known,
    if the market does not rest there or J is not finite, or if there are more than 600 variables.
    """
    noisy = any(np.any(industry.population.bid_noise > 0) for industry in economy.topological_order)
    if settings.activation not in ACTIVATIONS or noisy or settings.lag:
        return None
    if not settings.rules.smooth:
        return None
    rest = equilibrium(economy) if rest is None else rest
    if rest is None or not rest.solved:
        return None
    try:
        step = _Step(economy, settings, rest)
        matrix = step.jacobian() if step.size <= MAX_VARIABLES else None
    except MarketError:
        return None
    if matrix is None:
        return None
    eigenvalues = np.linalg.eigvals(matrix)
    if np.any(np.abs(eigenvalues - 1.0) < INDIFFERENCE_TOL):
        eigenvalues = np.linalg.eigvals(_without_indifference(matrix, step.of_goods))
    leading = _leading(eigenvalues)
    return Stability(abs(leading), leading)


class _Step:
    """One step of the market, as a function of a vector of what moves in what it remembers.

    The vector's numbers are ``places`` of the arrays of ``ArrayEngine.memory``, one array behind
    the other: all but the offers of fixed endowments, the shares of those with nobody to share
    with, and in each other pool the largest share, which is the rest of 1.
    """

    def __init__(self, economy: Economy, settings: MarketSettings, rest: Equilibrium) -> None:
        self.economy, self.settings = economy, settings
        buyers = economy.buyers
        inputs = rest.shares * rest.quantities[buyers.good]
        products = backprop.marginal_products(economy, inputs)
        worth = rest.prices[buyers.maker] * products
        self.rest_of_pool = np.arange(buyers.size)  # for each buyer, who takes what it leaves
        self.at = settings.rules.steady_memory(economy, rest, worth, products)
        moves = {name: np.ones(array.shape, bool) for name, array in self.at.items()}
        moves |= settings.rules.moving(economy)
        if "shares" in moves:
            moves["shares"][:] = False
            for pool in buyers.shared_pools:
                largest = pool.buyers.start + int(np.argmax(rest.shares[pool.buyers]))
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
        """J, shape (size, size), by relative changes; None if the market does not rest there.

        One market of 2 size + 1 runs makes one step: each variable is moved up in one run and down
        in another, and the last is at rest, and must stay there.
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
        # Over the moves as they were made, with their rounding.
        moved = np.diagonal(before[0:-1:2] - before[1:-1:2])
        matrix = (after[0:-1:2] - after[1:-1:2]).T / moved
        # Rounding where nothing depends would close loops, and a loop of k such steps of 1e-11 has
        # eigenvalues of (1e-11)^(1/k).
        matrix[np.abs(matrix) < ROUNDING] = 0.0
        return matrix if np.all(np.isfinite(matrix)) and drift.max() < STATIONARY_TOL else None

    def _vectors(self, memory: dict[str, np.ndarray]) -> np.ndarray:
        """The variables of each run, shape (runs, size)."""
        return np.stack([memory[name][:, k] for name, k in self.places], axis=-1)


def _without_indifference(matrix: np.ndarray, of_goods: np.ndarray) -> np.ndarray:
    """J on what is left if disturbances that stay, and move no good's quantity or price, are none.

    On their space J is the identity: its other eigenvalues are those of J seen at right angles.
    """
    identity = np.eye(len(matrix))
    seen = np.concatenate([matrix - identity, identity[of_goods]])
    _, singular, directions = np.linalg.svd(seen)
    others = directions[singular > INDIFFERENCE_TOL]
    return others @ matrix @ others.T


def _leading(eigenvalues: np.ndarray) -> complex:
    """The largest in size, of several the one that turns most slowly; imaginary part >= 0."""
    sizes = np.abs(eigenvalues)
    radius = float(sizes.max(initial=0.0))
    largest = eigenvalues[sizes >= radius * (1.0 - ROUNDING)]
    slowest = complex(largest[np.argmin(np.abs(np.angle(largest)))])
    if abs(slowest.imag) <= math.sqrt(ROUNDING) * radius:  # two that coincide come apart by this
        return complex(math.copysign(radius, slowest.real))
    return complex(slowest.real, abs(slowest.imag))
