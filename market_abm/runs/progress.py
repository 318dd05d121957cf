"""How far work is, and at which step a run is likely to end: not the last that it may make.

Near its steady state a market's moves shrink by a factor, its rate, in each step, so that the steps
left follow from the move now: ln(limit / move) / ln(rate), with the limit at which the market is at
rest. The rate is the predicted one, where it is known in closed form, and else that at which moves
have shrunk so far.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import numpy as np

from market_abm.analysis.prediction import rate
from market_abm.errors import MarketError
from market_abm.experiment.experiment import Experiment
from market_abm.market.rest import EACH
from market_abm.market.state import State
from market_abm.runs.optimum import table_rate
from market_abm.simulation.loop import Progress
from market_abm.simulation.record import MAX_RECORDED_BUYERS

if TYPE_CHECKING:
    from market_abm.runs.result import Result

WorkProgress = Callable[[str, int, int | None], None]
"""``progress(what, done, most)``: how much of a piece of work is done; None: it is unknown."""

OPTIMUM, EIGENVALUES = "optimum", "eigenvalues"
"""What is computed after a run."""

MAX_MOVES = 64
"""Moves that are kept: of more, those of every second, fourth, ... step."""

MIN_MOVES = 3
"""Moves from which a rate is fitted: the later half of those that are kept."""


class LikelyEnd:
    """Estimates at which step a run will settle, from its moves so far.

    Parameters
    ----------
    experiment
        What is run.
    """

    def __init__(self, experiment: Experiment) -> None:
        self.last_step = experiment.run.steps
        self.last_shock = experiment.changes[-1][0] if experiment.changes else 0
        self.limit = math.log(EACH * experiment.run.tolerance)
        self.log_rate = _predicted_log_rate(experiment)
        self._before: tuple[int, np.ndarray] | None = None
        self._moves: dict[int, float] = {}
        self._every = 1

    def __call__(self, state: State) -> int:
        """The step at which the run is likely to end, given its states up to this one."""
        move = self._move(state)
        begin = max(state.step, self.last_shock)
        if state.step < self.last_shock:
            move = 0.0  # a shock moves what it changes by about its size
        shrinks = self._log_rate()
        left = max(1.0, (self.limit - move) / shrinks) if shrinks < 0.0 else math.inf
        return min(self.last_step, begin + math.ceil(min(left, self.last_step)))

    @np.errstate(all="ignore")
    def _move(self, state: State) -> float:
        """The logarithm of the largest move in a step, of shares or relative, of all else."""
        shares = state.shares if len(state.shares) <= MAX_RECORDED_BUYERS else state.shares[:0]
        now = np.concatenate([state.prices, state.quantities, shares])
        before, self._before = self._before, (state.step, now)
        if before is None or before[0] == state.step:
            return 0.0
        size = np.maximum(np.abs(now), np.abs(before[1]))
        size[len(now) - len(shares) :] = 1.0
        moves = np.abs(now - before[1]) / np.where(size > 0.0, size, 1.0)
        move = float(np.log(np.max(moves) / (state.step - before[0])))
        if math.isfinite(move) and state.step % self._every == 0:
            self._moves[state.step] = move
            if len(self._moves) > MAX_MOVES:
                self._every *= 2
                self._moves = {n: m for n, m in self._moves.items() if n % self._every == 0}
        return move if not math.isnan(move) else 0.0

    def _log_rate(self) -> float:
        """The change of the logarithm of moves in a step; 0 if it is unknown."""
        if self.log_rate is not None:
            return self.log_rate
        steps = list(self._moves)
        late = steps[len(steps) // 2 :]
        if len(late) < MIN_MOVES:
            return 0.0
        return float(np.polyfit(late, [self._moves[step] for step in late], 1)[0])


def _predicted_log_rate(experiment: Experiment) -> float | None:
    """The logarithm of the rate in closed form; None if it is unknown, or is not below 1."""
    economy, market = experiment.last_economy, experiment.market
    with suppress(MarketError):
        known = rate(economy, market)
        if known is None:
            known = table_rate(experiment.input_output, economy, market)
        if known is not None and 0.0 < known < 1.0:
            return math.log(known)
    return None


@contextmanager
def working(what: str, progress: WorkProgress | None) -> Iterator[None]:
    """Report the beginning and the end of a piece of work of which no more is known."""
    if progress:
        progress(what, 0, None)
    yield
    if progress:
        progress(what, 1, 1)


def analyse(result: Result, progress: WorkProgress | None) -> None:
    """Compute what all that is said about a run needs, and takes long."""
    with working(OPTIMUM, progress):
        _ = result.equilibrium
    with working(EIGENVALUES, progress):
        _ = result.stability
        _ = result.economy.households and result.rotation


def of_run(experiment: Experiment, what: str, progress: WorkProgress | None) -> Progress | None:
    """``progress`` as a run calls it: of the step at which it is likely to end."""
    if progress is None:
        return None
    likely, told = LikelyEnd(experiment), progress

    def advance(state: State, _: Mapping[str, np.ndarray]) -> None:
        told(what, state.step, likely(state))

    return advance
