"""How well markets learn the digits, and how fast they may: predicted in NumPy, and measured.

Usage: python experiments/learn_digits.py   (from the top of the repository; a quarter of an hour)

Writes results/digits: accuracy.csv (test accuracy of gradient ascent by old gradients in NumPy, of
some seeds, and of the market, of one), edges.csv (the largest rates near rest) and digits.png. With
``--quick`` it learns little, into build/digits.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import delayed_descent as numpy_alone
import digits
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from delayed_descent import Batch, Weights
from scipy.optimize import minimize

from market_abm.analysis.delays import edge, reduced, scalar_edge, spectral_radius

NETS = {"operations": digits.OPERATIONS, "neurons": digits.NEURONS}
SIZES = (digits.PIXELS, digits.HIDDEN, digits.CLASSES)
DEEP = (digits.PIXELS, 32, 32, 32, digits.CLASSES)
DEEP_LINES = (5, 4, 3, 2)

# --- accuracy -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Task:
    """One way to learn, for gradient ascent in NumPy and for a market.

    Attributes
    ----------
    name
        What it is.
    net
        Which firms there are: a key of ``digits.LINES``; of plain backprop it makes no difference.
    rate, epochs, seeds
        The suppliers' rate, passes over the data, and runs in NumPy.
    method
        ``backprop``, ``dated`` or ``spot``.
    held
        Steps for which a batch is on sale.
    relays
        Further firms between the judge and the consumer.
    supply_line, forecast
        See ``delayed_descent.dated_ascent``.
    deep
        Whether there are three hidden layers.
    market
        Whether the market runs, too.
    """

    name: str
    method: str
    net: str = "operations"
    rate: float = 0.1
    epochs: int = 40
    seeds: int = 8
    held: int = 1
    relays: int = 0
    supply_line: float = 0.0
    forecast: float = 0.0
    deep: bool = False
    market: bool = False

    @property
    def lines(self) -> tuple[int, ...]:
        """The firms from a weight of each layer to the consumer."""
        own = DEEP_LINES if self.deep else digits.LINES[self.net]
        return tuple(count + self.relays for count in own)

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return self.held * (1347 // digits.BATCH)


ROUND_TRIP = {net: 2 * lines[0] for net, lines in digits.LINES.items()}
"""Steps after which the price of the first weights is of one batch alone."""

FIRST = (
    Task("backprop", "backprop"),
    Task("dated", "dated", market=True),
    Task("dated, one firm a neuron", "dated", net="neurons", market=True),
    Task("spot", "spot", net="neurons", market=True),
    Task("spot, held for the round trip", "spot", net="neurons", rate=0.1 / 7, held=7, market=True),
    Task("spot, held, rate 0.1 a step, half as long", "spot", net="neurons", held=7, epochs=20),
    Task("spot, held, rate 0.1 a step", "spot", net="neurons", held=7),
    Task("backprop, three hidden layers", "backprop", rate=0.3, deep=True),
    Task("dated, three hidden layers", "dated", rate=0.3, deep=True, net="neurons"),
)

LONG: dict[str, Any] = {"method": "dated", "rate": 0.4, "epochs": 160, "seeds": 6, "net": "neurons"}
RELAYS = (0, 2, 4, 8, 16, 32)
SECOND = (
    Task(**LONG | {"name": "backprop", "method": "backprop"}),
    *(Task("dated", relays=d, market=d == 8, **LONG) for d in RELAYS),
    *(Task("supply line", relays=d, supply_line=1.0, market=d in (8, 32), **LONG) for d in RELAYS),
    *(
        Task(f"forecast {part:g}, rate {rate:g}", relays=8, forecast=part, **LONG | {"rate": rate})
        for rate in (0.4, 0.1)
        for part in (0.0, 0.5, 1.0)
    ),
)


@dataclass
class Outcome:
    """What came of a task.

    Attributes
    ----------
    accuracy
        Test accuracy in NumPy after each epoch, shape (epochs + 1, seeds).
    likelihood
        Mean log-likelihood of the images to learn from, of the same shape.
    market
        Test accuracy of the market after each epoch, of the first seed.
    apart
        The largest difference of a weight of the market from NumPy's, at the end.
    """

    accuracy: np.ndarray
    likelihood: np.ndarray
    market: list[float] = field(default_factory=list)
    apart: float | None = None


def start_of(task: Task, seed: int) -> tuple[Weights, tuple[np.ndarray, np.ndarray]]:
    """Weights and batches of a seed."""
    known = digits.halves()[0]
    sizes = DEEP if task.deep else SIZES
    weights = numpy_alone.initial_weights(sizes, np.random.default_rng([seed, 1]))
    return weights, digits.batches(known, task.epochs, np.random.default_rng([seed, 2]))


def in_numpy(task: Task, weights: Weights, batches: Sequence[Batch]) -> Iterator[Weights]:
    """The weights of gradient ascent after each step."""
    if task.method == "backprop":
        return numpy_alone.ascent(weights, batches, task.rate)
    if task.method == "spot":
        return numpy_alone.spot_ascent(weights, batches, task.rate, task.held)
    return numpy_alone.dated_ascent(
        weights,
        batches,
        task.rate,
        task.lines,
        supply_line=task.supply_line,
        forecast=task.forecast,
    )


def outcome(task: Task) -> Outcome:
    """Learn in NumPy by all seeds, and by the market of the first."""
    known, held_out = digits.halves()
    starts = [start_of(task, seed) for seed in range(task.seeds)]
    weights = [np.stack(each) for each in zip(*(start for start, _ in starts), strict=True)]
    images, labels = (np.stack(each, axis=1) for each in zip(*(b for _, b in starts), strict=True))
    paths = [weights]
    for step, now in enumerate(in_numpy(task, weights, list(zip(images, labels, strict=True))), 1):
        if step % task.steps == 0:
            paths.append(now)
    result = Outcome(
        np.array([numpy_alone.accuracy(w, held_out.images, held_out.digits) for w in paths]),
        np.array([numpy_alone.likelihood(w, known.images, known.labels) for w in paths]),
    )
    if task.market:
        market = list(_by_market(task, *starts[0]))
        result.market = [digits.test_accuracy(w, held_out) for w in market]
        if len(market) == len(paths):
            pairs = zip(market[-1], paths[-1], strict=True)
            result.apart = max(float(np.abs(a - b[0]).max()) for a, b in pairs)
    return result


def _by_market(
    task: Task, weights: Weights, data: tuple[np.ndarray, np.ndarray]
) -> Iterator[Weights]:
    terms: dict[str, Any] = {"relays": task.relays, "rate": task.rate, "held": task.held}
    made = digits.economy(NETS[task.net], weights, *data, **terms)
    foresight = {"supply_line": task.supply_line} if task.supply_line else {}
    engine = digits.market(made, dating=task.method, foresight=foresight)
    return digits.learn(engine, weights, task.epochs * task.steps, task.steps)


def table(outcomes: Mapping[Task, Outcome]) -> pd.DataFrame:
    """Test accuracy, percent: in NumPy mean and standard deviation, and of the market."""
    rows = []
    for task, found in outcomes.items():
        last = 100.0 * found.accuracy[-1]
        rows.append(
            {
                "method": task.name,
                "net": "deep" if task.deep else task.net if task.method != "backprop" else "",
                "rate": round(task.rate, 4),
                "epochs": task.epochs,
                "relays": task.relays,
                "NumPy": round(float(last.mean()), 2),
                "deviation": round(float(last.std(ddof=1)), 2),
                "seeds": task.seeds,
                "NumPy, first seed": round(float(last[0]), 2),
                "market, first seed": round(100.0 * found.market[-1], 2)
                if found.market
                else np.nan,
                "weights apart": None if found.apart is None else f"{found.apart:.0e}",
            }
        )
    return pd.DataFrame(rows)


# --- the largest rate -----------------------------------------------------------------------------

SMALL = (digits.PIXELS, 8, digits.CLASSES)
DECAY, EXAMPLES = 0.01, 600
DIRECTIONS = 8
"""The steepest directions of each layer that decide about the edge."""

EDGE_RELAYS = (0, 1, 2, 4, 8)


def at_rest(count: int = EXAMPLES) -> tuple[Weights, Batch, np.ndarray]:
    """Weights of the best likelihood less the cost of weights, the images, and the curvature H.

    Newton's method with derivatives of the gradient by the complex step.
    """
    known = digits.halves()[0][:count]
    start = numpy_alone.initial_weights(SMALL, np.random.default_rng(1))
    images, labels = known.images, known.labels

    def slope(flat: np.ndarray) -> np.ndarray:
        found = numpy_alone.gradient(_unflat(flat, start), images, labels)
        return np.concatenate([each.ravel() for each in found])

    def curvature(flat: np.ndarray) -> np.ndarray:
        moves = 1e-30j * np.eye(len(flat))
        return -np.array([slope(flat + move).imag / 1e-30 for move in moves])

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        value = numpy_alone.likelihood(_unflat(flat, start), images, labels)
        return 0.5 * DECAY * float(flat @ flat) - float(value), DECAY * flat - slope(flat)

    flat = np.concatenate([each.ravel() for each in start])
    options = {"maxiter": 20_000, "maxfun": 40_000, "gtol": 1e-9, "ftol": 1e-16}
    flat = minimize(loss, flat, jac=True, method="L-BFGS-B", options=options).x
    for _ in range(3):
        flat = flat - np.linalg.solve(curvature(flat) + DECAY * np.eye(len(flat)), loss(flat)[1])
    found = curvature(flat)
    return _unflat(flat, start), (images, labels), 0.5 * (found + found.T)


def _unflat(flat: np.ndarray, like: Weights) -> Weights:
    cuts = np.cumsum([each.size for each in like])[:-1]
    parts = np.split(flat, cuts, axis=-1)
    return [part.reshape(each.shape) for part, each in zip(parts, like, strict=True)]


def block_delays(lines: Sequence[int]) -> np.ndarray:
    """τ_jk of all weights of the small net: the firms from j to the consumer, and those from k."""
    sizes = [(one + 1) * other for one, other in pairwise(SMALL)]
    own = np.repeat(lines, sizes)
    return np.asarray(own[:, None] + own[None, :])


def measured_edge(
    rest: Weights, batch: Batch, curvature: np.ndarray, lines: Sequence[int], guess: float
) -> float:
    """The rate at which a disturbance neither grows nor shrinks: of runs at 0.99 and 1.01 guess."""
    rates = guess * np.array([0.99, 1.01])
    growth = _growth(rest, batch, curvature, lines, rates, {})
    return float(rates[0] - growth[0] * (rates[1] - rates[0]) / (growth[1] - growth[0]))


def _growth(
    rest: Weights,
    batch: Batch,
    curvature: np.ndarray,
    lines: Sequence[int],
    rates: np.ndarray,
    devices: Mapping[str, float],
) -> np.ndarray:
    """By how much the logarithm of a small disturbance grows in a step at each rate."""
    steepest = np.linalg.eigh(curvature)[1][:, -1]
    aside = _unflat(1e-7 * steepest, rest)
    start = [np.stack([w + move] * len(rates)) for w, move in zip(rest, aside, strict=True)]
    window = 40 * max(lines)
    steps = 6 * window
    path = [
        np.concatenate([(w - r).reshape(len(rates), -1) for w, r in zip(now, rest, strict=True)], 1)
        @ steepest
        for now in numpy_alone.dated_ascent(
            start, [batch] * steps, rates[:, None, None], lines, decay=DECAY, **devices
        )
    ]
    sizes = np.abs(np.array(path))
    early, late = sizes[2 * window : 3 * window].max(axis=0), sizes[-window:].max(axis=0)
    return np.asarray(np.log(late / early) / (3 * window))


def edges(quick: bool = False) -> pd.DataFrame:
    """The largest rate of the small net, by relays: one delay, all delays, and measured."""
    rest, batch, curvature = at_rest(100 if quick else EXAMPLES)
    steepest = float(np.linalg.eigvalsh(curvature)[-1]) + DECAY
    rows = []
    for net, base in digits.LINES.items():
        for relays in EDGE_RELAYS[: 2 if quick else None]:
            lines = tuple(count + relays for count in base)
            block = edge(*reduced(curvature, block_delays(lines), DIRECTIONS), decay=DECAY)
            found = measured_edge(rest, batch, curvature, lines, block)
            rows.append(
                {
                    "net": net,
                    "relays": relays,
                    "curvature": steepest,
                    "longest delay": scalar_edge(steepest, 2 * lines[0]),
                    "all delays": block,
                    "measured": found,
                    "ratio": found / block,
                }
            )
    return pd.DataFrame(rows)


def supply_lines(relays: int = 32, rate: float = 0.3) -> pd.DataFrame:
    """Near rest: growth in a step with supply lines about half the curvature."""
    rest, batch, curvature = at_rest()
    steepest = float(np.linalg.eigvalsh(curvature)[-1])
    lines = tuple(count + relays for count in digits.LINES["neurons"])
    small = reduced(curvature, block_delays(lines), 4)
    rows = []
    for part in (0.97, 1.03):
        line = part * steepest / 2
        radius = spectral_radius(*small, rate, decay=DECAY, supply_line=line)
        devices = {"supply_line": line}
        growth = _growth(rest, batch, curvature, lines, np.array([rate]), devices)
        rows.append(
            {
                "supply line over half the curvature": part,
                "slowest, predicted": np.log(radius),
                "steepest, measured": growth[0],
            }
        )
    return pd.DataFrame(rows)


# --- the figure -----------------------------------------------------------------------------------

COLOURS = {"backprop": "0.4", "dated": "C0", "supply line": "C2", "spot": "C3", "held": "C1"}


def draw(outcomes: Mapping[Task, Outcome], largest: pd.DataFrame, path: Path) -> None:
    """Learning curves, the largest rate, and accuracy by the length of the chain."""
    figure, axes = plt.subplots(2, 2, figsize=(11, 8), layout="constrained")
    first = {task.name: found for task, found in list(outcomes.items())[: len(FIRST)]}
    named = {"backprop": "backprop", "dated": "dated", "spot": "spot"}
    named["spot, held for the round trip"] = "held"
    for name, colour in named.items():
        found = first[name]
        for axis, values in zip(axes[0], (100 * found.accuracy, found.likelihood), strict=True):
            epochs = np.arange(len(values))
            with np.errstate(invalid="ignore"):
                mean, spread = values.mean(axis=1), values.std(axis=1)
            label = f"{name} (NumPy)"
            axis.plot(epochs, mean, color=COLOURS[colour], label=label)
            axis.fill_between(
                epochs, mean - spread, mean + spread, color=COLOURS[colour], alpha=0.2, lw=0
            )
        if found.market:
            epochs, market = np.arange(len(found.market))[::4], 100 * np.array(found.market)[::4]
            axes[0, 0].plot(epochs, market, ".", color=COLOURS[colour], label=f"{name} (market)")
    axes[0, 0].set(xlabel="epochs", ylabel="accuracy on images held out, %", ylim=(0, 100))
    axes[0, 1].set(xlabel="epochs", ylabel="mean log-likelihood", ylim=(-3, 0))
    axes[0, 1].legend(*axes[0, 0].get_legend_handles_labels(), fontsize=8, loc=(0.36, 0.47))
    _draw_edges(largest, axes[1, 0])
    _draw_relays(outcomes, axes[1, 1])
    figure.savefig(path, dpi=100)
    plt.close(figure)


def _draw_edges(largest: pd.DataFrame, axis: Any) -> None:
    for (net, rows), colour in zip(largest.groupby("net"), ("C0", "C1"), strict=True):
        axis.plot(rows["relays"], rows["all delays"], color=colour, label=f"{net}, predicted")
        axis.plot(rows["relays"], rows["longest delay"], ":", color=colour, label="one delay")
        axis.plot(rows["relays"], rows["measured"], "x", color=colour, label="measured")
    axis.set(xlabel="further firms in the chain", ylabel="largest rate near rest", yscale="log")
    axis.legend(fontsize=8)


def _draw_relays(outcomes: Mapping[Task, Outcome], axis: Any) -> None:
    for name in ("dated", "supply line"):
        tasks = [task for task in list(outcomes)[len(FIRST) :] if task.name == name]
        last = [100 * outcomes[task].accuracy[-1] for task in tasks]
        x, mean = [task.relays for task in tasks], [float(each.mean()) for each in last]
        spread = [float(each.std(ddof=1)) for each in last]
        axis.errorbar(x, mean, spread, color=COLOURS[name], capsize=3, label=f"{name} (NumPy)")
        run = {t.relays: 100 * outcomes[t].market[-1] for t in tasks if outcomes[t].market}
        if run:
            points = list(run), list(run.values())
            axis.plot(*points, "x", color=COLOURS[name], label=f"{name} (market)")
    axis.set(xlabel="further firms in the chain", ylabel="accuracy at rate 0.4, %", ylim=(0, 100))
    axis.legend(fontsize=8)


# --- all of it ------------------------------------------------------------------------------------


def measure_all(folder: Path, quick: bool = False) -> pd.DataFrame:
    """Learn, measure, and write all of it; the table of accuracy."""
    folder.mkdir(parents=True, exist_ok=True)
    tasks: Iterable[Task] = (*FIRST, *SECOND)
    if quick:
        tasks = [replace(task, epochs=2, seeds=2, market=task.name == "dated") for task in tasks]
    outcomes = {}
    for task in tasks:
        with np.errstate(all="ignore"):  # what learns nothing may grow beyond all numbers
            outcomes[task] = outcome(task)
        print(table({task: outcomes[task]}).to_string(index=False, header=False), flush=True)
    accuracy, largest, lines = table(outcomes), edges(quick), supply_lines()
    accuracy.to_csv(folder / "accuracy.csv", index=False)
    largest.to_csv(folder / "edges.csv", index=False, float_format="%.6g")
    lines.to_csv(folder / "supply-lines.csv", index=False, float_format="%.3g")
    draw(outcomes, largest, folder / "digits.png")
    return accuracy


def main() -> None:
    """Do so for the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="learn little, into build/digits")
    quick = parser.parse_args().quick
    measure_all(Path("build/digits" if quick else "results/digits"), quick)


if __name__ == "__main__":
    main()
