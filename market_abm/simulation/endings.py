"""How runs end: at rest, diverged, oscillating, or out of steps."""

from __future__ import annotations

import enum
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.economy.series import number_at
from market_abm.market.base import MarketSettings
from market_abm.market.state import State
from market_abm.simulation.record import Trajectory

DIVERGENCE_LIMIT = 1e100
"""A price or quantity of this size or more counts as diverged."""

CLOSED_LIMIT = 1e250
"""The same in a closed system, whose quantities and prices are known in proportion only."""

GROWTH = 10.0, 1e6
"""A run whose series move on counts as diverging if its largest price or quantity is so many times
larger in each quarter of the run than in the one before, and in the last than in the first."""


class Status(enum.Enum):
    """How a run ended; the value is its name in files.

    A run at rest has ``converged`` if its prices are at their gradients, else it is
    ``off_gradient``.
    """

    CONVERGED = "converged"
    OFF_GRADIENT = "off_gradient"
    MAX_STEPS = "max_steps"
    OSCILLATING = "oscillating"
    DIVERGED = "diverged"
    INTERRUPTED = "interrupted"

    @property
    def exit_code(self) -> int:
        """The exit code of the command; 2 is a user error."""
        return _EXIT_CODES[self]


_EXIT_CODES = {
    Status.CONVERGED: 0,
    Status.MAX_STEPS: 3,
    Status.OSCILLATING: 4,
    Status.DIVERGED: 5,
    Status.OFF_GRADIENT: 6,
    Status.INTERRUPTED: 130,
}


@dataclass(frozen=True)
class Ending:
    """How a run ended: status, last step, the good that decided it, and a message."""

    status: Status
    step: int
    good: str | None
    detail: str


def divergence_limit(economy: Economy) -> float:
    """The price or quantity from which on a run counts as diverged."""
    return CLOSED_LIMIT if economy.closed else DIVERGENCE_LIMIT


def divergence(economy: Economy, state: State, row: int) -> Ending | None:
    """The ending of run ``row`` if it has diverged, by its first number out of range; or None."""
    for what, values in (("quantity", state.quantities[row]), ("price", state.prices[row])):
        for k in np.flatnonzero(~(np.abs(values) < divergence_limit(economy))):
            return Ending(
                Status.DIVERGED,
                state.step,
                economy.goods[k],
                f"diverged at step {state.step}: the {what} of {economy.goods[k]} is "
                f"{values[k]:.6g}{_negative_input(economy, economy.goods[k], state.step)}",
            )
    return None


def _negative_input(economy: Economy, good: str, step: int) -> str:
    """The input of a good of which a series has just offered less than nothing; or no text."""
    inputs = (i.technology.inputs for i in economy.industries if i.good == good)
    for each in itertools.chain(*inputs):
        terms = economy.supply.get(each)
        if terms is None or terms.series is None:
            continue
        for when in (step, max(step - 1, 0)):
            offered = number_at(terms, when)
            if offered < 0.0:
                row = terms.series.row_at(when, terms.repeat, terms.period)
                return f", where its input {each} is {offered:g} (row {row} of its series, from 0)"
    return ""


def out_of_steps(
    economy: Economy, settings: MarketSettings, trajectory: Trajectory, last_shock: int = 0
) -> Ending:
    """The ending of a run that did not settle: is it oscillating, or still converging?

    Judged by the records from ``last_shock`` on; of a closed system, by proportions.
    """
    goods, step = economy.goods, trajectory.steps
    after = max(1, int(np.count_nonzero(trajectory.times >= last_shock)))
    oscillations = [
        (size, name(places[k]), good(places[k]), low, high, period)
        for path, places, name, good in _named_paths(economy, trajectory)
        for size, k, low, high, period in _oscillations(path[-after:])
    ]
    noisy = any(np.any(i.population.bid_noise) for i in economy.topological_order)
    if economy.exogenous.end > step:
        detail = f"not settled after {step} steps, in which its series moved on"
        growth = _growth(economy, trajectory, after)
        return growth or Ending(Status.MAX_STEPS, step, None, detail)
    if oscillations and not noisy:
        _, what, k, low, high, period = max(oscillations)
        spacing = step / max(1, len(trajectory.times) - 1)
        detail = (
            f"oscillating up to step {step}: the {what} swings between {low:.6g} and {high:.6g}, "
            f"about every {period * spacing:.3g} steps"
        )
        advice = settings.rules.advice(economy, settings)
        if advice:
            detail += f"; {advice}"
        return Ending(Status.OSCILLATING, step, goods[k], detail)
    return Ending(Status.MAX_STEPS, step, None, f"not settled after {step} steps")


_NamedPath = tuple[np.ndarray, np.ndarray, Callable[[int], str], Callable[[int], int]]


@np.errstate(all="ignore")
def _named_paths(economy: Economy, trajectory: Trajectory) -> list[_NamedPath]:
    """Prices, quantities and shares along the path, with their places, names and goods.

    Of a closed system prices and quantities are parts of the sum of all.
    """
    goods, bought = economy.goods, economy.buyers.good
    prices, quantities, of_all = trajectory.prices, trajectory.quantities, ""
    if economy.closed:
        of_all = ", as a part of the sum of all,"
        prices = prices / prices.sum(axis=1, keepdims=True)
        quantities = quantities / quantities.sum(axis=1, keepdims=True)
    return [
        (prices, trajectory.goods, lambda k: f"price of {goods[k]}{of_all}", int),
        (quantities, trajectory.goods, lambda k: f"quantity of {goods[k]}{of_all}", int),
        (
            trajectory.shares,
            trajectory.buyers,
            lambda k: f"share of {goods[bought[k]]} for {economy.buyer_name(k)}",
            lambda k: int(bought[k]),
        ),
    ]


@np.errstate(all="ignore")
def _growth(economy: Economy, trajectory: Trajectory, records: int) -> Ending | None:
    """The ending of a run whose numbers grow without bound in the last ``records``; or None."""
    both = ("quantity", trajectory.quantities[-records:]), ("price", trajectory.prices[-records:])
    for what, path in both:
        quarters = np.array_split(np.abs(path), 4)
        if len(path) < 8:
            return None
        sizes = np.array([each.max(initial=0.0) for each in quarters])
        each, whole = GROWTH
        if np.all(sizes[1:] > each * sizes[:-1]) and sizes[-1] > whole * sizes[0] > 0.0:
            good = economy.goods[trajectory.goods[np.argmax(quarters[-1].max(axis=0))]]
            step = trajectory.steps
            detail = (
                f"diverging up to step {step}: the {what} of {good} has grown to {sizes[-1]:.6g}"
            )
            return Ending(Status.DIVERGED, step, good, detail)
    return None


def _oscillations(path: np.ndarray) -> Iterator[tuple[float, int, float, float, float]]:
    """(relative size, column, low, high, period) of each column with an undamped oscillation.

    Within the last half of the path (at most 400 records) an oscillation has at least four turning
    points, is larger than 1e-6 of the value, and is in its second half at least 0.9 of its size in
    the first.
    """
    window = path[-min(len(path) // 2, 400) :]
    if len(window) < 8:
        return
    early, late = np.array_split(window, 2)
    low, high = window.min(axis=0), window.max(axis=0)
    sizes = np.ptp(late, axis=0) / np.maximum(
        np.maximum(np.abs(low), np.abs(high)), np.finfo(float).tiny
    )
    changes = np.diff(window, axis=0)
    turns = np.count_nonzero(changes[1:] * changes[:-1] < 0, axis=0)
    lasting = np.ptp(late, axis=0) >= 0.9 * np.ptp(early, axis=0)
    for k in np.flatnonzero((sizes > 1e-6) & lasting & (turns >= 4)):
        period = 2.0 * len(window) / turns[k]
        yield float(sizes[k]), int(k), float(low[k]), float(high[k]), float(period)
