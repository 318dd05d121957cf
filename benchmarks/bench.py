"""Measure the engines: ``make bench`` prints a table, and writes it and two figures to results/.

Ratios are between things measured in the same run; every time is the median of several.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from market_abm import Economy, MarketModel, MarketSettings, from_text
from market_abm.analysis.measures import PathMeasures
from market_abm.analysis.observer import Comparison, GradientObserver
from market_abm.economy.buyers import PART
from market_abm.market.arrays import ArrayEngine
from market_abm.runs.run import run
from market_abm.simulation.loop import AgentEngine, Run, simulate
from market_abm.studies.sweep import recorded_buyer_fields
from market_abm.views.palette import INK, OKABE_ITO
from market_abm.views.plots.style import new_figure, tidy

FOLDER = Path("results/benchmark")
CES = "y = ces(a, b, elasticity=0.7, weights=(0.4, 0.6))"
CHAIN = """
ethylene     = natgas ** 0.5
polyethylene = 1 - 1/(ethylene + 1)
tupperware   = ln(polyethylene)
"""
MARKET = MarketSettings(share_rate=0.1)


def median_time(work: Callable[[], object], repeats: int) -> float:
    """Seconds that ``work`` takes."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def many_firms(firms: int) -> Economy:
    """One industry of unequal firms with two CES inputs."""
    population = {"firms": firms, "weight_spread": 0.3, "productivity_spread": 0.2}
    return from_text(CES, {"a": 2.0, "b": 3.0}, population=population)


def arrays_per_firm_step(firms: int, repeats: int = 5) -> float:
    """Seconds a firm and step in the array engine."""
    market = ArrayEngine([many_firms(firms)], [MARKET], [1])
    for _ in range(2):
        market.step()
    steps = max(1, min(200, 2_000_000 // firms))
    return median_time(lambda: [market.step() for _ in range(steps)], repeats) / steps / firms


def functions_alone() -> float:
    """Seconds for what such a firm takes in a step of NumPy's logarithms and exponentials alone.

    Of two CES inputs: log and expm1 of each, log1p and exp of their mean, exp for each marginal
    product; log and exp for each share. On arrays that stay in cache, written to where they are.
    """
    x, y = np.full(PART, 1.5), np.empty(PART)
    counts = {np.log: 4, np.expm1: 2, np.log1p: 1, np.exp: 5}

    def work() -> None:
        for function, count in counts.items():
            for _ in range(count):
                function(x, out=y)

    return median_time(lambda: [work() for _ in range(30)], 5) / 30 / PART


def agents_per_firm_step(firms: int, repeats: int = 3) -> float:
    """Seconds a firm and step through Mesa agents."""
    model = MarketModel(many_firms(firms), MARKET)
    model.step()
    return median_time(model.step, repeats) / firms


def elasticities(count: int) -> list[Economy]:
    """The essay's chain with a supplier who responds, at ``count`` elasticities of demand."""
    supply = {"natgas": {"quantity": 4.0, "price": 0.02, "elasticity": 0.3, "adjustment": 0.5}}
    return [
        from_text(CHAIN, supply, {"tupperware": {"elasticity": float(e)}})
        for e in np.geomspace(0.5, 100, count)
    ]


def measured(outcome: Run) -> tuple[float, float]:
    """What a sweep says of the path of a run."""
    path = PathMeasures(outcome.trajectory, Comparison(**outcome.observations))
    return path.overall_staleness, path.rate


def swept(economies: list[Economy], steps: int) -> None:
    """All of them side by side, watched and measured, never stopped early."""
    count = len(economies)
    market = ArrayEngine(economies, [MARKET] * count, [1] * count)
    witness = GradientObserver(market.economy, -1.0)
    for outcome in simulate(
        market, steps, witness, buyer_fields=recorded_buyer_fields(market.economy)
    ):
        measured(outcome)


def one_by_one(economies: list[Economy], steps: int) -> None:
    """The same through the agents."""
    for economy in economies:
        (outcome,) = simulate(
            AgentEngine(MarketModel(economy, MARKET)), steps, GradientObserver(economy, -1.0)
        )
        measured(outcome)


def steps_to_converge(depth: int) -> int:
    """Of a chain of this depth, every firm moving its bid half of the way."""
    lines = "\n".join(f"g{k + 1} = 2 * g{k} ** 0.9" for k in range(depth))
    result = run(from_text(lines, {"g0": 1.0}), bid_rate=0.5, steps=100_000, engine="arrays")
    assert result.status == "converged"
    return result.steps


def slope_of(x: list[float], y: list[float]) -> float:
    """The exponent of a power law."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def figure(x: list[float], y: list[float], labels: tuple[str, str, str], name: str) -> float:
    """Draw y against x, both logarithmic, with the power law fitted to the upper half."""
    half = len(x) // 2
    exponent = slope_of(x[half:], y[half:])
    drawing = new_figure(5.2, 3.8)
    axes = drawing.add_axes((0.15, 0.15, 0.81, 0.71))
    axes.loglog(x, y, "o", color=OKABE_ITO[0], ms=5, zorder=3)
    fit = y[-1] * (np.array(x[half:]) / x[-1]) ** exponent
    axes.loglog(x[half:], fit, "--", color=INK, lw=1.1, label=f"slope {exponent:.2f}")
    axes.set_xlabel(labels[0], fontsize=9)
    axes.set_ylabel(labels[1], fontsize=9)
    axes.set_title(labels[2], fontsize=9.5, loc="left", color=INK)
    axes.legend(frameon=False, fontsize=9)
    tidy(axes)
    drawing.savefig(FOLDER / name)
    return exponent


def processor() -> str:
    """The processor's own name, where the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def main(largest: int) -> None:
    """Measure everything, print it, and write it down."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    rows = []

    def tell(what: str, value: str, goal: str) -> None:
        rows.append(f"| {what} | {value} | {goal} |")
        print(rows[-1], flush=True)

    for firms in (10_000, 100_000):
        slow, fast = agents_per_firm_step(firms), arrays_per_firm_step(firms)
        value = f"{slow / fast:,.0f} ({slow * 1e6:.1f} µs : {fast * 1e9:.1f} ns)"
        tell(f"agents : arrays, a firm and step, {firms:,} firms", value, "at least 100")
    tell(
        "ns a firm and step, two CES inputs, 1,000,000 firms (NumPy's logarithms and exponentials "
        "alone)",
        f"{arrays_per_firm_step(1_000_000) * 1e9:.1f} ({functions_alone() * 1e9:.1f})",
        "at most 20",
    )
    economies, few = elasticities(1000), elasticities(4)
    fast = median_time(lambda: swept(economies, 2000), 3)
    slow = median_time(lambda: one_by_one(few, 2000), 1) / len(few) * len(economies)
    tell(
        "one by one through agents : swept, 1,000 elasticities of the essay's chain, 2,000 steps, "
        f"measured (agents: {len(few)} runs, scaled)",
        f"{slow / fast:,.0f} ({slow:,.0f} s : {fast:.2f} s)",
        "at least 300",
    )
    sizes = [10.0**k for k in np.arange(3, np.log10(largest) + 0.1, 0.5)]
    costs = [arrays_per_firm_step(int(n), 3) * int(n) for n in sizes]
    labels = ("firms", "seconds a step", "Array engine: cost of a step")
    exponent = figure(sizes, costs, labels, "firms.png")
    tell("slope of cost against firms (upper half)", f"{exponent:.2f}", "1")
    depths = [1, 2, 4, 8, 16, 32, 64, 128]
    steps = [steps_to_converge(d) for d in depths]
    labels = ("lines in the chain", "steps", "Steps to converge (α = 0.5)")
    exponent = figure([float(d) for d in depths], [float(s) for s in steps], labels, "depth.png")
    last = slope_of([float(d) for d in depths[-2:]], [float(s) for s in steps[-2:]])
    tell(
        "slope of steps to converge against depth (upper half; last two). A wait for n successes "
        "takes n/α steps, and to be within 1e-9 some multiple of √n more",
        f"{exponent:.2f}; {last:.2f}",
        "to 1",
    )

    text = (
        "# Benchmark\n\nMade by `make bench`, on one core of: "
        f"{processor()} ({os.cpu_count()} cores), Python {platform.python_version()}, NumPy "
        f"{np.__version__}. Times are medians; ratios are of things measured in one run.\n\n"
        "| what | measured | goal |\n| --- | --- | --- |\n"
        + "\n".join(rows)
        + "\n\n![Cost against firms](firms.png)\n\n![Steps against depth](depth.png)\n"
    )
    (FOLDER / "README.md").write_text(text, "utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--largest", type=float, default=1e7, help="firms, at the most")
    main(int(parser.parse_args().largest))
