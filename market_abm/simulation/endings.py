"""The only loop: run markets step by step, record what is seen, and say how each run ended."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.market.base import MarketSettings
from market_abm.market.state import State
from market_abm.simulation.record import Trajectory

if TYPE_CHECKING:
    pass

DIVERGENCE_LIMIT = 1e100
"""A price or quantity beyond this, in either direction, counts as diverged."""


class Status(enum.Enum):
    """How a run ended; the value is the name used in files, ``exit_code`` the command's."""

    CONVERGED = "converged"
    MAX_STEPS = "max_steps"
    OSCILLATING = "oscillating"
    DIVERGED = "diverged"
    INTERRUPTED = "interrupted"

    @property
    def exit_code(self) -> int:
        """0 converged, 3 max_steps, 4 oscillating, 5 diverged, 130 interrupted (2: a mistake)."""
        return _EXIT_CODES[self]


_EXIT_CODES = {
    Status.CONVERGED: 0,
    Status.MAX_STEPS: 3,
    Status.OSCILLATING: 4,
    Status.DIVERGED: 5,
    Status.INTERRUPTED: 130,
}


@dataclass(frozen=True)
class Ending:
    """How a run ended: its status, the step, the good that decided it, and a sentence."""

    status: Status
    step: int
    good: str | None
    detail: str


def divergence(economy: Economy, state: State, row: int) -> Ending | None:
    """How run ``row`` has diverged: the first number that is too large, or none; or None."""
    for what, values in (("quantity", state.quantities[row]), ("price", state.prices[row])):
        for k in np.flatnonzero(~(np.abs(values) < DIVERGENCE_LIMIT)):
            return Ending(
                Status.DIVERGED,
                state.step,
                economy.goods[k],
                f"diverged at step {state.step}: the {what} of {economy.goods[k]} is "
                f"{values[k]:.6g}",
            )
    return None


def out_of_steps(
    economy: Economy, settings: MarketSettings, trajectory: Trajectory, last_shock: int = 0
) -> Ending:
    """The ending of a run that did not settle: does it swing for ever, or only need more time?

    Judged by what came after the ``last_shock``.
    """
    goods, step = economy.goods, trajectory.steps
    bought = economy.buyers.good
    paths: list[tuple[np.ndarray, np.ndarray, Callable[[int], str], Callable[[int], int]]] = [
        (trajectory.prices, trajectory.goods, lambda k: f"price of {goods[k]}", int),
        (trajectory.quantities, trajectory.goods, lambda k: f"quantity of {goods[k]}", int),
        (
            trajectory.shares,
            trajectory.buyers,
            lambda k: f"share of {goods[bought[k]]} for {economy.buyer_name(k)}",
            lambda k: int(bought[k]),
        ),
    ]
    after = max(1, int(np.count_nonzero(trajectory.times >= last_shock)))
    swings = [
        (size, name(places[k]), good(places[k]), low, high, period)
        for path, places, name, good in paths
        for size, k, low, high, period in _swings(path[-after:])
    ]
    noisy = any(np.any(i.population.bid_noise) for i in economy.topological_order)
    if swings and not noisy:
        _, what, k, low, high, period = max(swings)
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


def _swings(path: np.ndarray) -> Iterator[tuple[float, int, float, float, float]]:
    """(relative size, column, low, high, period) of each column that swings and does not die down.

    Looks at the last half of the path (at most 400 records): a swing turns round at least four
    times, is larger than 1e-6 of the value, and is in its second half at least 0.9 of its first
    half.
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
