"""The only loop: run a model step by step, record what is seen, and say how it ended."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np

from market_abm.model import MarketModel, State

LARGEST = 1e100
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


@dataclass(frozen=True, eq=False)
class Trajectory:
    """What was seen at each step from 0 on: the arrays of ``State`` with a leading axis of steps.

    ``quantities`` and ``prices`` have shape (steps + 1, goods); ``inputs``, ``shares`` and ``bids``
    (steps + 1, buyers).
    """

    quantities: np.ndarray
    prices: np.ndarray
    inputs: np.ndarray
    shares: np.ndarray
    bids: np.ndarray

    @staticmethod
    def of(states: list[State]) -> Trajectory:
        """The states, stacked."""
        return Trajectory(
            **{f.name: np.array([getattr(s, f.name) for s in states]) for f in fields(Trajectory)}
        )

    @cached_property
    def steps(self) -> int:
        """The last step recorded."""
        return len(self.prices) - 1


@dataclass(frozen=True)
class Ending:
    """How a run ended: its status, the step, the good that decided it, and a sentence."""

    status: Status
    step: int
    good: str | None
    detail: str


def simulate(
    model: MarketModel,
    steps: int,
    settled: Callable[[State], bool],
    progress: Callable[[int], None] | None = None,
) -> tuple[Trajectory, Ending | None]:
    """Run ``model`` for at most ``steps`` steps, until ``settled(state)`` or until it diverges.

    ``progress(step)`` is called after every step. Ctrl-C ends the run and keeps what was recorded.
    The ending is None if the run stopped because it was settled: what that means is the caller's
    to say.

    Raises:
        RivalGoodError: a good that several users split ran out, or has no positive price.
    """
    states: list[State] = [model.state]
    ending: Ending | None = None
    done = settled(model.state)
    try:
        while not done and model.clock < steps:
            model.step()
            ending = _divergence(model)
            if ending:
                break
            done = settled(model.state)  # before it is recorded: Ctrl-C may come between the two
            states.append(model.state)
            if progress:
                progress(model.clock)
    except KeyboardInterrupt:
        ending = Ending(
            Status.INTERRUPTED, len(states) - 1, None, f"interrupted after step {len(states) - 1}"
        )
    trajectory = Trajectory.of(states)
    if not done and ending is None:
        ending = _unsettled(model, trajectory)
    return trajectory, ending


def _divergence(model: MarketModel) -> Ending | None:
    state, goods = model.state, model.economy.goods
    for what, values in (("quantity", state.quantities), ("price", state.prices)):
        for k in np.flatnonzero(~(np.abs(values) < LARGEST)):
            return Ending(
                Status.DIVERGED,
                state.step,
                goods[k],
                f"diverged at step {state.step}: the {what} of {goods[k]} is {values[k]:.6g}",
            )
    return None


def _unsettled(model: MarketModel, trajectory: Trajectory) -> Ending:
    """Out of steps: does it swing without dying down, or is it only not there yet?"""
    goods, step = model.economy.goods, trajectory.steps
    buyers = model.economy.buyers
    who = [
        f"share of {goods[j]} for a maker of {goods[k]}"
        for j, k in zip(buyers.good, buyers.maker, strict=True)
    ]
    paths: list[tuple[np.ndarray, list[str], Sequence[int]]] = [
        (trajectory.prices, [f"price of {good}" for good in goods], range(len(goods))),
        (trajectory.quantities, [f"quantity of {good}" for good in goods], range(len(goods))),
        (trajectory.shares, who, buyers.good.tolist()),
    ]
    swings = [
        (size, names[k], place[k], low, high, period)
        for path, names, place in paths
        for size, k, low, high, period in _swings(path)
    ]
    noisy = any(industry.population.bid_noise > 0 for industry in model.economy.flow)
    if swings and not noisy:
        _, what, k, low, high, period = max(swings)
        detail = (
            f"oscillating up to step {step}: the {what} swings between {low:.6g} and {high:.6g}, "
            f"about every {period:.3g} steps"
        )
        if model.settings.share_rate > 0 and buyers.size > len(buyers.starts):
            detail += "; lower market.share_rate"
        return Ending(Status.OSCILLATING, step, goods[k], detail)
    return Ending(Status.MAX_STEPS, step, None, f"not settled after {step} steps")


def _swings(path: np.ndarray) -> Iterator[tuple[float, int, float, float, float]]:
    """(relative size, column, low, high, period) of each column that swings and does not die down.

    Looks at the last half of the path (at most 400 steps): a swing turns round at least four times,
    is larger than 1e-6 of the value, and is in its second half at least 0.9 of its first half.
    """
    window = path[-min(len(path) // 2, 400) :]
    if len(window) < 8:
        return
    early, late = np.array_split(window, 2)
    for k in range(path.shape[1]):
        column = window[:, k]
        low, high = column.min(), column.max()
        size = np.ptp(late[:, k]) / max(abs(low), abs(high), np.finfo(float).tiny)
        changes = np.diff(column)
        turns = np.count_nonzero(changes[1:] * changes[:-1] < 0)
        if size > 1e-6 and np.ptp(late[:, k]) >= 0.9 * np.ptp(early[:, k]) and turns >= 4:
            yield float(size), k, float(low), float(high), 2.0 * len(column) / turns
