"""Measure the speed of the engines: ``make bench`` prints a table.

The table and two figures are written to results/benchmark; with ``--quick``, which measures little,
to build/benchmark. Ratios compare times of the same run; every time is the median of several.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import betaincc

from market_abm import Economy, MarketModel, from_text, market_settings
from market_abm.analysis.measures import PathMeasures
from market_abm.analysis.observer import Comparison, GradientObserver
from market_abm.economy.buyers import CACHED_NUMBERS
from market_abm.market.arrays import ArrayEngine
from market_abm.market.model import AgentEngine
from market_abm.runs.run import run
from market_abm.simulation.loop import Run, simulate
from market_abm.studies.rows import recorded_buyer_fields
from market_abm.views.palette import INK, OKABE_ITO
from market_abm.views.plots.style import new_figure, scale_axis, tidy

FOLDER, QUICK_FOLDER = Path("results/benchmark"), Path("build/benchmark")
CES = "y = ces(a, b, elasticity=0.7, weights=(0.4, 0.6))"
CHAIN = """
ethylene     = natgas ** 0.5
polyethylene = 1 - 1/(ethylene + 1)
tupperware   = ln(polyethylene)
"""
MARKET = market_settings(share_rate=0.1)
BID_RATE = 0.5
"""The part of its gap that a bid closes in a step, in chains of different depths."""

NEAR = 1e-9
"""The relative error up to which such a chain is run."""


def median_time(work: Callable[[], object], repeats: int) -> float:
    """Median seconds of ``work``."""
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
    """Seconds per firm and step in the array engine."""
    market = ArrayEngine([many_firms(firms)], [MARKET], [1])
    for _ in range(2):
        market.step()
    steps = max(1, min(200, 2_000_000 // firms))
    return median_time(lambda: [market.step() for _ in range(steps)], repeats) / steps / firms


def transcendental_functions() -> float:
    """Seconds per firm and step of NumPy's logarithms and exponentials alone, a lower bound.

    A firm with two CES inputs needs log and expm1 of each input, log1p and exp of their mean, exp
    for each marginal product, and log and exp for each share. Arrays fit in the cache.
    """
    x, y = np.full(CACHED_NUMBERS, 1.5), np.empty(CACHED_NUMBERS)
    counts = {np.log: 4, np.expm1: 2, np.log1p: 1, np.exp: 5}

    def work() -> None:
        for _ in range(30):
            for function, count in counts.items():
                for _ in range(count):
                    function(x, out=y)

    return median_time(work, 5) / 30 / CACHED_NUMBERS


def agents_per_firm_step(firms: int, repeats: int = 3) -> float:
    """Seconds per firm and step with Mesa agents."""
    model = MarketModel(many_firms(firms), MARKET)
    model.step()
    return median_time(model.step, repeats) / firms


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


def run_side_by_side(economies: list[Economy], steps: int) -> None:
    """Run all economies in one array engine with a gradient observer; none stops early."""
    count = len(economies)
    market = ArrayEngine(economies, [MARKET] * count, [1] * count)
    observer = GradientObserver(market.economy, -1.0)
    fields = recorded_buyer_fields(market.economy)
    for outcome in simulate(market, steps, observer, buyer_fields=fields):
        path_measures(outcome)


def run_one_by_one(economies: list[Economy], steps: int) -> None:
    """The same with the agents, one economy after another."""
    for economy in economies:
        (outcome,) = simulate(
            AgentEngine(MarketModel(economy, MARKET)), steps, GradientObserver(economy, -1.0)
        )
        path_measures(outcome)


def steps_to_converge(depth: int) -> int:
    """Steps until all prices of a chain of this depth are within ``NEAR`` of their gradients."""
    lines = "\n".join(f"g{k + 1} = 2 * g{k} ** 0.9" for k in range(depth))
    settings: dict[str, Any] = {"bid_rate": BID_RATE, "steps": 100_000, "tolerance": NEAR / 100}
    result = run(from_text(lines, {"g0": 1.0}), engine="arrays", **settings)
    assert result.status == "converged"
    return int(result.times[result.errors.max(axis=1) > NEAR].max()) + 1


def predicted_steps(depth: int) -> int:
    """The first step at which the negative binomial law puts the last price within tolerance."""
    t = np.arange(depth, 100 + 10 * depth)
    return int(t[betaincc(depth, t - depth + 1, BID_RATE) <= NEAR][0])


def slope_of(x: list[float], y: list[float]) -> float:
    """The exponent of a power law."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def figure(
    x: list[float],
    y: list[float],
    labels: tuple[str, str, str],
    path: Path,
    theory: list[float] | None = None,
) -> float:
    """Plot y against x on logarithmic axes; return the exponent fitted to the upper half.

    The line is what theory predicts, if it does, else the fit.
    """
    half = len(x) // 2
    exponent = slope_of(x[half:], y[half:])
    drawing = new_figure(5.2, 3.8)
    axes = drawing.add_axes((0.15, 0.15, 0.81, 0.71))
    axes.loglog(x, y, "o", color=OKABE_ITO[0], ms=5, zorder=3)
    if theory is None:
        fit = y[-1] * (np.array(x[half:]) / x[-1]) ** exponent
        axes.loglog(x[half:], fit, "--", color=INK, lw=1.1, label=f"slope {exponent:.2f}")
    else:
        axes.loglog(x, theory, "--", color=INK, lw=1.1, label="predicted by theory")
    for axis, scale, values in ((axes.xaxis, axes.set_xscale, x), (axes.yaxis, axes.set_yscale, y)):
        scale_axis(axis, scale, np.array(values), log=True)
    axes.set_xlabel(labels[0], fontsize=9)
    axes.set_ylabel(labels[1], fontsize=9)
    axes.set_title(labels[2], fontsize=9.5, loc="left", color=INK)
    axes.legend(frameon=False, fontsize=9)
    tidy(axes)
    drawing.savefig(path)
    return exponent


def processor() -> str:
    """The name of the processor, where the system reports it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


class Table:
    """The rows of the report, each printed as soon as it is measured."""

    def __init__(self) -> None:
        self.rows: list[str] = []

    def add(self, measure: str, value: str, goal: str) -> None:
        """Add a row and print it."""
        self.rows.append(f"| {measure} | {value} | {goal} |")
        print(self.rows[-1], flush=True)

    def text(self) -> str:
        """The page that is written."""
        return (
            "# Benchmark\n\nMade by `make bench`, on one core of: "
            f"{processor()} ({os.cpu_count()} cores), Python {platform.python_version()}, NumPy "
            f"{np.__version__}. Times are medians; ratios compare times of the same run.\n\n"
            "| measure | value | goal |\n| --- | --- | --- |\n"
            + "\n".join(self.rows)
            + "\n\n![Cost against firms](firms.png)\n\n![Steps against depth](depth.png)\n"
        )


def compare_engines(table: Table, sizes: tuple[int, ...], runs: int, steps: int) -> None:
    """Agents against arrays: many firms in one market, and many markets side by side."""
    for firms in sizes[:-1]:
        slow, fast = agents_per_firm_step(firms), arrays_per_firm_step(firms)
        value = f"{slow / fast:,.0f} ({slow * 1e6:.1f} µs : {fast * 1e9:.1f} ns)"
        table.add(f"agents : arrays, per firm and step, {firms:,} firms", value, "at least 100")
    table.add(
        f"ns per firm and step, two CES inputs, {sizes[-1]:,} firms (NumPy's logarithms and "
        "exponentials alone)",
        f"{arrays_per_firm_step(sizes[-1]) * 1e9:.1f} ({transcendental_functions() * 1e9:.1f})",
        "at most 20",
    )
    economies, few = elasticities(runs), elasticities(4)
    fast = median_time(lambda: run_side_by_side(economies, steps), 3)
    slow = median_time(lambda: run_one_by_one(few, steps), 1) / len(few) * len(economies)
    table.add(
        f"agents one by one : arrays side by side, {runs:,} elasticities of the essay's chain, "
        f"{steps:,} steps, with measures (agents: {len(few)} runs, scaled)",
        f"{slow / fast:,.0f} ({slow:,.0f} s : {fast:.2f} s)",
        "at least 300",
    )


def measure_scaling(table: Table, largest: float, depths: list[int], folder: Path) -> None:
    """How cost grows with firms, and steps to converge with the depth of a chain."""
    sizes = [10.0**k for k in np.arange(3, np.log10(largest) + 0.1, 0.5)]
    costs = [arrays_per_firm_step(int(n), 3) * int(n) for n in sizes]
    labels = ("firms", "seconds a step", "Array engine: cost of a step")
    exponent = figure(sizes, costs, labels, folder / "firms.png")
    table.add("slope of cost against firms (upper half)", f"{exponent:.2f}", "1")
    depth, steps = [float(d) for d in depths], [float(steps_to_converge(d)) for d in depths]
    title = f"Steps until all prices are exact to {NEAR:.0e} (α = {BID_RATE})"
    labels = ("lines in the chain", "steps", title)
    theory = [float(predicted_steps(d)) for d in depths]
    exponent = figure(depth, steps, labels, folder / "depth.png", theory)
    last = slope_of(depth[-2:], steps[-2:])
    table.add(
        "slope of steps to converge against depth (upper half; last two). A wait for n successes "
        "takes n/α steps, and to be within 1e-9 some multiple of √n more",
        f"{exponent:.2f}; {last:.2f}",
        "to 1",
    )


def main() -> None:
    """Measure everything, print it, and write it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--largest", type=float, default=1e7, help="the largest number of firms")
    parser.add_argument("--quick", action="store_true", help="measure little, in seconds")
    options = parser.parse_args()
    folder = QUICK_FOLDER if options.quick else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    table = Table()
    if options.quick:
        compare_engines(table, (100, 1000), 20, 50)
        measure_scaling(table, 1e4, [1, 2, 4, 8], folder)
    else:
        compare_engines(table, (10_000, 100_000, 1_000_000), 1000, 2000)
        measure_scaling(table, options.largest, [1, 2, 4, 8, 16, 32, 64, 128], folder)
    (folder / "README.md").write_text(table.text(), "utf-8")


if __name__ == "__main__":
    main()
