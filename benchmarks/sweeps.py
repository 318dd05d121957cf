"""Many runs: markets side by side, a sweep with and without its measures, and a very large one."""

from __future__ import annotations

import tempfile
from functools import partial

import numpy as np
from firms import MARKET
from measure import (
    Finished,
    Goal,
    Outcome,
    Row,
    Size,
    agreement,
    finished,
    has_option,
    market_abm_command,
    once,
    same_prices,
    seconds,
    three_digits,
)

from market_abm import Economy, MarketModel, from_text
from market_abm.analysis.measures import PathMeasures
from market_abm.analysis.observer import Comparison, GradientObserver
from market_abm.market.agent_engine import AgentEngine
from market_abm.market.arrays import ArrayEngine
from market_abm.simulation.loop import Run, simulate

CHAIN = """
ethylene     = natgas ** 0.5
polyethylene = 1 - 1/(ethylene + 1)
tupperware   = ln(polyethylene)
"""
COBWEB = ("supply.x.elasticity=0.2:10:log:{}", "supply.x.adjustment=0.1:1:{}")
"""The axes of the sweep of cobweb markets, to be filled with numbers of points."""


# --- as commands ---------------------------------------------------------------------------------


def sweep(points: tuple[int, int], *options: str) -> Finished:
    """Sweep cobweb markets in a process of their own."""
    axes = [axis.format(count) for axis, count in zip(COBWEB, points, strict=True)]
    with tempfile.TemporaryDirectory() as folder:
        return finished(
            market_abm_command("sweep", "cobweb", *axes, *options, "--out", "out"), folder=folder
        )


def cobweb(size: Size) -> Outcome:
    """All measures of a sweep over the same sweep without optimum and eigenvalues.

    What a sweep of four points takes, the start of the command, does not count.
    """
    points = (7, 6) if size.quick else (49, 46)
    runs = points[0] * points[1]
    options: list[tuple[str, ...]] = [("--jobs", "1")]
    if has_option("sweep", "--fast"):
        options.append(("--jobs", "1", "--fast"))
    start = min(sweep((2, 2), *options[0]).cpu for _ in range(3))
    taken = [max(sweep(points, *each).cpu - start, 1e-3) for each in options]
    fast = len(options) > 1
    rows = [
        Row(
            f"cobweb-all-over-fast-{runs}",
            f"sweep of {runs:,} cobweb markets, all measures over --fast",
            taken[0] / taken[1] if fast else None,
            detail=f"{seconds(taken[0])} : {seconds(taken[1])}" if fast else "",
            goal=Goal(2),
            note="" if fast else "no --fast",
        ),
        Row(
            f"cobweb-all-{runs}",
            f"sweep of {runs:,} cobweb markets, all measures, one process",
            taken[0],
            "s",
            f"{seconds(taken[0] / runs)} a run; {seconds(start)} more until the first",
            Goal(0.1, of_before=True),
        ),
    ]
    return Outcome(rows)


def memory(size: Size) -> Outcome:
    """The memory of a process of a very large sweep, and how it grows."""
    runs, fast = size.runs / (50 if size.quick else 1), has_option("sweep", "--fast")
    side = int((runs / (1 if fast else 10)) ** 0.5)
    options = ("--set", "run.steps=200", *(("--fast",) if fast else ()))
    few = sweep((side // 2, side // 2), *options)
    many = sweep((side, side), *options)
    row = Row(
        f"sweep-memory-{runs:.0f}",
        f"{runs:,.0f} runs swept with --fast, 200 steps: peak memory of a process",
        many.memory / 1e9,
        "GB",
        f"{side**2:,} runs in {seconds(many.wall)}; "
        f"{three_digits(few.memory / 1e9)} GB for {(side // 2) ** 2:,}",
        Goal(2),
        note="" if fast else f"{side**2:,} runs, without --fast",
    )
    return Outcome([row])


# --- in the process ------------------------------------------------------------------------------


def elasticities(count: int) -> list[Economy]:
    """The essay's chain with elastic supply, at ``count`` elasticities of demand."""
    supply = {"natgas": {"quantity": 4.0, "price": 0.02, "elasticity": 0.3, "adjustment": 0.5}}
    return [
        from_text(CHAIN, supply, {"tupperware": {"elasticity": float(e)}})
        for e in np.geomspace(0.5, 100, count)
    ]


def path_measures(outcome: Run) -> tuple[float, float]:
    """The measures of a path that a sweep tabulates: staleness, and rate of convergence."""
    path = PathMeasures(outcome.trajectory, Comparison(**outcome.observations))
    return path.mean_staleness, path.rate.value


def run_side_by_side(economies: list[Economy], steps: int) -> list[np.ndarray]:
    """The last prices of all economies, in one array engine with an observer; none stops early."""
    count = len(economies)
    market = ArrayEngine(economies, [MARKET] * count, [1] * count)
    observer = GradientObserver(market.economy, -1.0)
    runs = simulate(market, steps, observer, buyer_fields=())  # no good has several buyers
    for outcome in runs:
        path_measures(outcome)
    return [outcome.last.prices for outcome in runs]


def run_one_by_one(economies: list[Economy], steps: int) -> list[np.ndarray]:
    """The same with the agents, one economy after another."""
    prices = []
    for economy in economies:
        engine = AgentEngine(MarketModel(economy, MARKET))
        (outcome,) = simulate(engine, steps, GradientObserver(economy, -1.0))
        path_measures(outcome)
        prices.append(outcome.last.prices)
    return prices


def side_by_side(size: Size) -> Outcome:
    """Agents, one run after another, against many runs side by side in arrays."""
    runs, steps = (20, 50) if size.quick else (1000, 2000)
    economies = elasticities(runs)
    fast, together = once(partial(run_side_by_side, economies, steps))
    slow, alone = once(partial(run_one_by_one, [economies[0], economies[-1]], steps))
    far = same_prices([together[0], together[-1]], alone)
    slow *= runs / len(alone)
    row = Row(
        f"one-by-one-over-together-{runs}",
        f"agents one by one over arrays side by side, {runs:,} elasticities of the essay's chain, "
        f"{steps:,} steps, with measures",
        slow / fast,
        detail=f"{seconds(slow)} : {seconds(fast)} (agents: {len(alone)} runs, scaled); prices "
        f"agree {agreement(far)}",
        goal=None if size.quick else Goal(300, least=True),
    )
    return Outcome([row])
