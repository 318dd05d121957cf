"""The stability of a market: the eigenvalues of its step at the steady state.

A step turns a small disturbance z of the market's state variables into J z; in the long run the
largest eigenvalue of J determines whether it grows. J is computed by central differences of the
array engine's own step (``analysis/steps.py``), about the steady state that
``gradient/equilibrium.py`` finds without a market. It needs no run, and also covers steady states
that no run would reach. Above 1,200 variables only the largest eigenvalues are computed, by
Arnoldi's method (ARPACK); J is never a matrix there, a product with it is a step.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import numpy as np

from market_abm.analysis.dated_stability import dated_spectrum
from market_abm.analysis.steps import SteadyState, Steps, prices_are_relative
from market_abm.economy.economy import Economy
from market_abm.economy.ties import at_kink
from market_abm.errors import MarketError
from market_abm.fields import Settings
from market_abm.gradient.equilibrium import Equilibrium, equilibrium
from market_abm.market.arrays import ACTIVATIONS
from market_abm.market.base import MarketSettings
from market_abm.market.state import State

MAX_VARIABLES = 1200
"""Variables up to which all eigenvalues are computed, of a dense matrix."""

MAX_WHOLE = 600
"""Variables up to which they are those of the whole matrix; above, of its blocks."""

MAX_RESTARTS = 10
"""Restarts of Arnoldi's method; where it converges it takes one to five."""

ROUNDING = 1e-8
"""Differences of eigenvalues below this are rounding (4e-11, with room)."""

INDIFFERENCE_TOL = 1e-6
"""Eigenvalues this close to 1 belong to disturbances that persist; errors are about 1e-9."""

MAX_NUMBERS = 2_000_000
"""Entries of the arrays of steps that are made together."""

CROWDED, CROWD = 0.9, 3
"""Eigenvalues crowd if so many are above this part of the largest; they may then be rounding."""

LARGEST = 6
"""Eigenvalues that are computed of many variables."""

AGREEMENT = 1e-4
"""The relative difference, with other disturbances, up to which the largest of them is known."""

FACTOR = 5.0
"""The size of those other disturbances, relative to the usual ones."""

MAX_ERROR = 0.01
"""The error of the radius, relative to it, up to which it is known where eigenvalues crowd.

A smaller radius that is rounding is 0.
"""


@dataclass(frozen=True)
class Stability:
    """The behaviour of small disturbances of a steady state.

    Both numbers have an error of about 1e-10; where k eigenvalues coincide, of its k-th root (of
    the radius at most 1 %).

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

    def of_a_step(self, steps: int) -> Stability:
        """The same for one step, where these are the numbers of so many steps together.

        Suppliers who keep their offers for a period make the steps of a period differ: the
        eigenvalues are those of all together (Floquet's multipliers).
        """
        if steps == 1:
            return self
        return Stability(self.radius ** (1.0 / steps), self.leading ** (1.0 / steps))

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
    a pool's shares. Where only households spend, a change of the level of prices persists, and
    where it does not matter how an industry's goods are divided among its firms (equal firms,
    constant returns), disturbed shares persist without any effect on prices or quantities; these
    directions are left out.

    Parameters
    ----------
    economy
        The economy; where its numbers follow series, that of step 0.
    settings
        The market's settings.
    steady_state
        By default the equilibrium of the economy.

    Returns
    -------
    Stability or None
        None if steps are random (``random`` activation, noise in bids), if prices are lagged, if a
        step is not smooth at the steady state (posted prices: excess demand on one side, unsold
        goods on the other), if the steady state is unknown or the market is not
        stationary there, if J is not finite, or if the largest eigenvalue cannot be told from
        rounding: where a market arrives in n steps J^n is 0, and rounding of 1e-10 makes rings of
        eigenvalues of (1e-10)^(1/n).
    """
    return stabilities([economy], [settings], [steady_state or equilibrium(economy)])[0]


def stabilities(
    economies: Sequence[Economy],
    settings: Sequence[MarketSettings],
    steady_states: Sequence[Equilibrium | None],
) -> list[Stability | None]:
    """The stability of each market, as of :func:`stability`, whichever the others are.

    Markets of one structure make their disturbed steps together.
    """
    found: list[Stability | None] = [None] * len(economies)
    for k, each in enumerate(zip(economies, settings, steady_states, strict=True)):
        found[k] = _dated_stability(*each) if settings[k].dated else None
    for members, steps in markets_at_rest(economies, settings, steady_states):
        if steps.size > MAX_VARIABLES:
            economy = economies[members[0]]
            if economy.buyers.shared_pools or economy.has_loops:
                largest = largest_eigenvalue(steps)
                found[members[0]] = largest and largest.of_a_step(steps.period)
            continue  # on a long line eigenvalues are all of one size, or J is one Jordan block
        for k, known in zip(members, _known(steps), strict=True):
            found[k] = known and known.of_a_step(steps.period)
    return found


def _known(steps: Steps) -> list[Stability | None]:
    """The stability of each market, for all its steps together, where it is more than rounding."""
    spectra = _eigenvalues(steps, 1.0)
    crowds = [0 if each is None else _crowd(each) for each in spectra]
    crowded = any(count >= CROWD for count in crowds)
    others = _eigenvalues(steps, FACTOR) if crowded else spectra
    found: list[Stability | None] = []
    for count, first, second in zip(crowds, spectra, others, strict=True):
        leading = None if first is None else _leading(first)
        if first is not None and count >= CROWD and not _agree(first, second, count):
            leading = 0j if np.abs(first).max() <= MAX_ERROR else None
        found.append(None if leading is None else Stability(abs(leading), leading))
    return found


def _crowd(eigenvalues: np.ndarray) -> int:
    """The number of eigenvalues that are about as large as the largest; 0 if all are 0."""
    sizes = np.abs(eigenvalues)
    return int(np.sum(sizes > CROWDED * sizes.max(initial=0.0)))


def _agree(first: np.ndarray, second: np.ndarray | None, count: int) -> bool:
    """Whether so many eigenvalues of about one size are more than rounding.

    Differences of another size have other errors e of J, by a factor of about ``FACTOR`` or more.
    What is e^(1/k) off changes by the logarithm of this factor over k of it: so k times the change
    of the radius is about its error.
    """
    if second is None:
        return False
    radius, other = (float(np.abs(each).max()) for each in (first, second))
    return count * abs(radius - other) <= MAX_ERROR * radius


def _dated_stability(
    economy: Economy, settings: MarketSettings, steady: Equilibrium | None
) -> Stability | None:
    """The stability of a market whose goods are dated."""
    economy = economy.at(0)
    noisy = any(np.any(industry.population.bid_noise > 0) for industry in economy.industries)
    if steady is None or not steady.solved or noisy or economy.has_loops:
        return None
    if at_kink(economy, steady.shares, steady.quantities):
        return None
    spectrum = dated_spectrum(economy, settings, steady, MAX_VARIABLES)
    if spectrum is None:
        return None
    leading = _leading(spectrum) if len(spectrum) else 0j
    return Stability(abs(leading), leading)


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
    (half, effects), (whole, _) = found[0], found[1]

    @cache
    @np.errstate(divide="ignore")
    def growth(rate: float) -> float:
        matrix = whole + 2.0 * (1.0 - rate) * (half - whole)
        eigenvalues = _effective(_spectra([matrix])[0], matrix, effects)
        return float(np.log(np.abs(eigenvalues).max(initial=0.0)))

    from scipy.optimize import brentq  # slow to import

    rates = np.geomspace(0.01, 1.0, 9)
    first = next((k for k, rate in enumerate(rates) if growth(rate) > ROUNDING), None)
    if first is None:
        return math.inf
    return float(brentq(growth, rates[first - 1], rates[first], xtol=1e-7)) if first else 0.0


def _jacobian(
    economy: Economy, settings: MarketSettings, steady: Equilibrium | None
) -> tuple[np.ndarray, np.ndarray] | None:
    """``Steps.effective_jacobians`` of one market; None if :func:`stability` is."""
    for _, steps in markets_at_rest([economy], [settings], [steady]):
        known = steps.size <= MAX_VARIABLES and steps.period == 1
        (found,) = steps.effective_jacobians() if known else [None]
        return found
    return None


def _eigenvalues(steps: Steps, factor: float) -> list[np.ndarray | None]:
    """The eigenvalues of each market's J, without what persists and has no effect; or None."""
    matrices = steps.effective_jacobians(factor)
    spectra = iter(_spectra([each[0] for each in matrices if each is not None]))
    return [None if each is None else _effective(next(spectra), *each) for each in matrices]


def _effective(eigenvalues: np.ndarray, matrix: np.ndarray, effects: np.ndarray) -> np.ndarray:
    """The eigenvalues of J without those of what persists and has no effect."""
    if np.any(np.abs(eigenvalues - 1.0) < INDIFFERENCE_TOL):
        return np.linalg.eigvals(_without_indifference(matrix, effects))
    return eigenvalues


def _spectra(matrices: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The eigenvalues of matrices of one size.

    Those of a large one are those of its blocks of variables that depend on each other.
    """
    if not matrices or len(matrices[0]) <= MAX_WHOLE:
        return list(np.linalg.eigvals(np.array(matrices))) if matrices else []
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    spectra = []
    for matrix in matrices:
        _, block = connected_components(csr_array(matrix), connection="strong")
        members = np.split(np.argsort(block, kind="stable"), np.cumsum(np.bincount(block))[:-1])
        parts = [np.linalg.eigvals(matrix[np.ix_(each, each)]) for each in members]
        spectra.append(np.concatenate(parts))
    return spectra


@np.errstate(all="ignore")
def markets_at_rest(
    economies: Sequence[Economy],
    settings: Sequence[MarketSettings],
    steady_states: Sequence[Equilibrium | State | None],
) -> Iterator[tuple[list[int], Steps]]:
    """The markets that are examined together, by their places, and a step of theirs."""
    groups: dict[Any, list[int]] = {}
    starts: dict[int, SteadyState] = {}
    economies = [economy.at(0) for economy in economies]
    for k, (economy, market, steady) in enumerate(
        zip(economies, settings, steady_states, strict=True)
    ):
        solved = isinstance(steady, State) or (steady is not None and steady.solved)
        if steady is None or not solved or not _is_smooth(economy, market):
            continue
        rival = isinstance(steady, State) or set(economy.reuse.values()) == {"rival"}
        planned = rival and not market.rules.trades  # plans have no kinks
        if planned or not at_kink(economy, steady.shares, steady.quantities):
            starts[k] = SteadyState.of(economy, market, steady)
            relative = prices_are_relative(economy)
            key = (economy.structure, type(market), _fixed(market), starts[k].layout, relative)
            # Where an input is 0, lines are computed in another way, in all rows.
            groups.setdefault((key, k if starts[k].has_zeros else -1), []).append(k)
    for members in groups.values():
        size = starts[members[0]].size
        most = max(1, MAX_NUMBERS // (size * (2 * size + 1))) if size <= MAX_VARIABLES else 1
        for first in range(0, len(members), most):
            part = members[first : first + most]
            for some in (part, *([k] for k in part)):
                try:
                    markets = ([economies[k] for k in some], [settings[k] for k in some])
                    yield some, Steps(*markets, [starts[k] for k in some])
                except MarketError:  # the mechanism cannot run one of them
                    continue
                if some is part:
                    break


def _fixed(settings: Settings) -> tuple[Any, ...]:
    """All but the numbers of settings: what they must have in common to be vectorized."""
    kept = (each for each in vars(settings).values() if not isinstance(each, float | None))
    return tuple(_fixed(each) if isinstance(each, Settings) else each for each in kept)


def _is_smooth(economy: Economy, settings: MarketSettings) -> bool:
    """Whether a step is a smooth function of the state."""
    noisy = any(np.any(industry.population.bid_noise > 0) for industry in economy.industries)
    known = settings.activation in ACTIVATIONS and not noisy and not settings.lag
    known = known and not settings.dated  # see ``dated_stability.py``
    return bool(known and settings.rules.smooth)


def _without_indifference(matrix: np.ndarray, effects: np.ndarray) -> np.ndarray:
    """J without the disturbances that persist and move no good's quantity or price.

    On their space J is the identity; the other eigenvalues are those of J projected on its
    orthogonal complement.
    """
    both = np.concatenate([matrix - np.eye(len(matrix)), effects])
    _, singular, directions = np.linalg.svd(both)
    others = directions[singular > INDIFFERENCE_TOL]
    return others @ matrix @ others.T


@np.errstate(all="ignore")
def largest_eigenvalue(steps: Steps) -> Stability | None:
    """The stability of one market of many variables, from its largest eigenvalues.

    Disturbances that persist and move no good are left out. Rounding is a disturbance as well, of
    1e-10, to which J may respond without measure (a long chain): so they are computed twice, from
    other starts, with disturbances of other sizes, and None is returned where these do not agree.

    Returns
    -------
    Stability or None
        As of :func:`stability`; None also if more disturbances persist than are computed.
    """
    from scipy.sparse.linalg import ArpackError, LinearOperator, eigs

    if not steps.is_stationary():
        return None
    found = []
    for seed, factor in ((0, 1.0), (1, FACTOR)):
        product = LinearOperator(
            (steps.size, steps.size), partial(_product, steps, factor), dtype=float
        )
        start = np.random.default_rng(seed).standard_normal(steps.size)
        try:
            values, vectors = eigs(product, LARGEST, v0=start, tol=1e-10, maxiter=MAX_RESTARTS)
        except (ArpackError, ValueError):  # it does not converge, or J is not finite
            return None
        effects = np.abs(vectors[steps.of_goods]).max(axis=0, initial=0.0)
        persist = (np.abs(values - 1.0) < INDIFFERENCE_TOL) & (effects < INDIFFERENCE_TOL)
        if persist.all():
            return None
        found.append(_leading(values[~persist]))
    first, second = found
    agree = abs(abs(first) - abs(second)) <= AGREEMENT * abs(first)
    return Stability(abs(first), first) if agree else None


def _product(steps: Steps, factor: float, disturbance: np.ndarray) -> np.ndarray:
    """J times a disturbance of one market, of which any part along the scale of money is 0."""
    scale = steps.scale[0]
    if not steps.relative:
        return steps.product(disturbance, factor)
    unit = scale / np.linalg.norm(scale)
    after = steps.product(disturbance - unit * (unit @ disturbance), factor)
    return after - unit * (unit @ after)


def _leading(eigenvalues: np.ndarray) -> complex:
    """The largest in size, of several the one with the smallest angle; imaginary part >= 0."""
    sizes = np.abs(eigenvalues)
    radius = float(sizes.max(initial=0.0))
    largest = eigenvalues[sizes >= radius * (1.0 - ROUNDING)]
    slowest = complex(largest[np.argmin(np.abs(np.angle(largest)))])
    if abs(slowest.imag) <= math.sqrt(ROUNDING) * radius:  # rounding separates equal ones by this
        return complex(math.copysign(radius, slowest.real))
    return complex(slowest.real, abs(slowest.imag))
