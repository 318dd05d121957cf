"""What it costs to compare a market with its gradient at every step: time and memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from firms import CHECKED_STEPS, SHARE_RATE, array_engine, by_hand, many_firms
from measure import (
    Goal,
    Outcome,
    Row,
    Size,
    agreement,
    interleaved,
    peak_memory,
    same_prices,
    seconds,
    three_digits,
)
from peers import NumPyMarket

from market_abm import Economy, Experiment
from market_abm.runs.start import start_runs
from market_abm.simulation.loop import Run, advance, simulate

MEASURED_MEMORY = 1_000_000
"""Firms from which memory is counted; below, what the interpreter itself takes is too much."""


def watching(size: Size, firms: float) -> Outcome:
    """An observed step over an unobserved one, and the memory of a large run."""
    firms = int(firms / 1000 if size.quick else min(firms, size.firms))
    economy = many_firms(firms)
    before = peak_memory()
    outcome, step = observed(economy)
    held = (peak_memory() - before) / firms
    far = check_gradient(economy, outcome)
    plain = array_engine(economy, threads=None)  # as the observed run has
    times = interleaved({"plain": plain.step, "observed": step})
    rows = [
        Row(
            f"observed-over-plain-{firms}",
            f"observed over unobserved step, {firms:,} firms",
            times["observed"] / times["plain"],
            detail=f"{seconds(times['observed'])} : {seconds(times['plain'])}; gradients by hand "
            f"in NumPy agree {agreement(far)}",
            goal=Goal(1.5),
        )
    ]
    if firms >= MEASURED_MEMORY:
        work = f"memory of an observed run of {firms:,} firms, per firm"
        detail = f"engine, observer and record; {three_digits(held * firms / 1e9)} GB in all"
        rows.append(Row(f"memory-{firms}", work, held, "B", detail, Goal(200)))
    return Outcome(rows)


def observed(economy: Economy) -> tuple[Run, Callable[[], object]]:
    """Some observed steps of a market, and the next one."""
    experiment = Experiment.of(economy, share_rate=SHARE_RATE, steps=CHECKED_STEPS, engine="arrays")
    engine, observer = start_runs([experiment])
    (outcome,) = simulate(engine, CHECKED_STEPS, observer)
    return outcome, partial(advance, engine, observer)


def check_gradient(economy: Economy, outcome: Run) -> float:
    """How far the last gradients of a and b differ from what NumPy makes of one more unit."""
    peer = by_hand(NumPyMarket, economy)
    peer.held = list(np.split(outcome.last.shares, 2))
    peer.produce()
    worth = [np.sum(h * p) for h, p in zip(peer.held, peer.products, strict=True)]
    return same_prices(outcome.last_observations["gradients"][:2], worth)
