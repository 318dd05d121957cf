"""Run every experiment in this folder, and sweep those that say how; tabulate in results/README.md.

Usage: python experiments/run_all.py   (from the top of the repository; ``make experiments``)

Writes a folder each under results/, and their index, results/README.md. What the repository keeps
of them is listed in .gitignore.
"""

import os
import runpy
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

# Before NumPy is imported, as the command does: matrices are small, and the threads of BLAS wait
# for each other for most of the time.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pandas as pd

import market_abm
from market_abm import Experiment

RUNS = """# Results

Each folder is the outcome of the experiment of that name under `experiments/`. `make experiments`
makes all of them anew; the repository keeps this index, each `summary.json`, `sweep.json` and
`comparison.json`, the figures that the pages show, and the smaller tables of sweeps.
`tests/test_kept_results.py` compares what is kept with what the command makes.

A run writes `summary.json` (everything in one object, with configuration, seed and versions),
`trajectory.csv` (a row per step and good), `measures.csv` (a row per step), `buyers.csv` (a row per
step and buyer, if these are not too many), `convergence.png` and `network.png` (and `shock.png`,
where many goods are shocked).
*Error* is the largest |price - gradient| / |gradient| of any good at the end.

| experiment | question | outcome | steps | error |
| --- | --- | --- | --- | --- |
"""

SWEEPS = """
Sweeps, each with `sweep.json` (what was swept), `table.csv` (a row per run) and `sweep.png`:

| sweep | question | runs | outcome |
| --- | --- | --- | --- |
"""

TWINS = (
    ("spiral", "unit-bid"),
    ("rival-diamond", "unit-bid"),
    ("mechanisms", "tatonnement"),
    ("mechanisms", "posted-price"),
)
"""Experiments, and mechanisms under which they are compared with their twins."""

EVERY_MECHANISM = ("spiral", "rival-diamond", "mechanisms")
"""Experiments that are run under every mechanism."""

COMPARISONS = """
Comparisons (`market-abm compare`), each with `comparison.json`, `.csv` and `.png`:

| comparison | outcome |
| --- | --- |
"""

PUBLISHED = """
The published model beside ours (`market-abm phase-plane`), with `table.csv` (a row per run) and
`phase-plane.png`: cells of the plane of rates that come back to the equilibrium, on average over
the same random networks. Ours has an elasticity of substitution of 0.05 in the place of 0.
`edge` in the table is the rate up to which our markets should return from near rest, by the
largest eigenvalue of a step.

| model | cells | Leontief | q = 1/3 | q = 1 | Cobb–Douglas |
| --- | --- | --- | --- | --- | --- |
"""

LEARNED = """
The digits that markets learn to read (`python experiments/learn_digits.py`), with `accuracy.csv`,
`edges.csv` (the largest rates, predicted and measured), `supply-lines.csv` and `digits.png`. Test
accuracy in percent: of gradient ascent by old gradients in NumPy, of some seeds, and of the market
beside NumPy, of the first.

| way to learn | rate | epochs | relays | NumPy | market | NumPy, of its seed |
| --- | --- | --- | --- | --- | --- | --- |
"""

NOISE = """
Prediction beside measurement (`python experiments/noise.py`, `python experiments/harberger.py`,
`python experiments/exchange.py`), with `table.csv` (a row per cell or economy) and a figure:

| experiment | question | runs | outcome |
| --- | --- | --- | --- |
"""


class Part(NamedTuple):
    """A table of the index: its heading, and by folder the function that makes folder and rows."""

    heading: str
    rows_of: Mapping[str, Callable[[Path], list[str]]]


def parts() -> list[Part]:
    """The index, table by table."""
    paths = sorted(Path(__file__).parent.glob("*.toml"))
    noise = runpy.run_path(str(Path(__file__).with_name("noise.py")))["noise"]
    incidence = runpy.run_path(str(Path(__file__).with_name("harberger.py")))["incidence"]
    exchange = runpy.run_path(str(Path(__file__).with_name("exchange.py")))["exchange"]
    experiments = [Experiment.load(path) for path in paths if path.stem != "digits"]
    return [
        Part(RUNS, {each.name: partial(single, each) for each in experiments if not each.sweep}),
        Part(SWEEPS, {each.name: partial(sweep, each) for each in experiments if each.sweep}),
        Part(
            COMPARISONS,
            {twin_folder(*each): partial(compare_with_twin, *each) for each in TWINS}
            | {f"{name}-mechanisms": partial(mechanisms, name) for name in EVERY_MECHANISM},
        ),
        Part(NOISE, {"noise": noise, "harberger-incidence": incidence, "exchange": exchange}),
        Part(PUBLISHED, {"phase-plane": phase_plane}),
        Part(LEARNED, {"digits": learned}),
    ]


def single(experiment: Experiment, folder: Path) -> list[str]:
    """Run an experiment."""
    result = market_abm.run(experiment)
    result.save(folder)
    return [
        f"| [{experiment.name}]({folder.name}/summary.json) | {experiment.question} "
        f"| {result.status} | {result.steps} | {result.last_errors.max():.1e} |"
    ]


def sweep(experiment: Experiment, folder: Path) -> list[str]:
    """Sweep an experiment."""
    shutil.rmtree(folder, ignore_errors=True)  # an unfinished sweep there would be refused
    table = market_abm.sweep(experiment, folder=folder)
    (folder / "table.parquet").unlink(missing_ok=True)
    return [
        f"| [{experiment.name}]({folder.name}/sweep.json) | {experiment.question} "
        f"| {len(table)} | {status_counts(table)} |"
    ]


def status_counts(table: pd.DataFrame) -> str:
    """The number of runs of a sweep by status."""
    counts = table["status"].value_counts()
    return ", ".join(f"{count} {status}" for status, count in counts.items())


def twin_folder(name: str, mechanism: str) -> str:
    """The folder of a comparison with a twin."""
    return f"{name}-compare" if mechanism == "unit-bid" else f"{name}-{mechanism}"


def compare_with_twin(name: str, mechanism: str, folder: Path) -> list[str]:
    """Compare an experiment with its twin."""
    comparison = market_abm.compare(Experiment.load(name).with_mechanism(mechanism))
    comparison.save(folder)
    summary = comparison.summary()
    worst, far = (
        max(size for size, _ in each.values())
        for each in (comparison.distances, comparison.textbook_distances)
    )
    away = f"at most {far:.1e} away" if np.isfinite(far) else "breaks down"
    return [
        f"| [{name} beside its twin]({folder.name}/comparison.json) | {summary['market']} and "
        f"{summary['optimiser']}: largest distance {worst:.1e} up to step "
        f"{summary['identical_until']} of {summary['steps']}; the textbook's "
        f"{summary['textbook']['optimiser']} {away} |"
    ]


def mechanisms(name: str, folder: Path) -> list[str]:
    """Run an experiment under every mechanism."""
    comparison = market_abm.compare_mechanisms(name)
    comparison.save(folder)
    steps = comparison.table()["steps"].dropna()
    reached = ", ".join(f"{mechanism} {count:.0f}" for mechanism, count in steps.items())
    return [
        f"| [{name} under every mechanism]({folder.name}/comparison.json) | steps to 1e-6: "
        f"{reached} |"
    ]


def phase_plane(folder: Path) -> list[str]:
    """Run the phase planes of the published model and ours; a row per model."""
    plane = market_abm.phase_plane()
    plane.save(folder)
    return [
        f"| [{model}]({folder.name}/phase-plane.png) | {plane.cells[model]} | "
        + " | ".join(f"{count:.1f}" for count in counts)
        + " |"
        for model, counts in plane.counts.iterrows()
    ]


def learned(folder: Path) -> list[str]:
    """Learn the digits; a row per way to learn."""
    from learn_digits import measure_all

    return [
        f"| [{row.method}]({folder.name}/digits.png) | {row.rate:g} | {row.epochs} | {row.relays} "
        f"| {row.NumPy:.2f} ± {row.deviation:.2f} ({row.seeds} seeds) | {_percent(row.market)} "
        f"| {_percent(row.one)} |"
        for row in measure_all(folder)
        .rename(columns={"market, first seed": "market", "NumPy, first seed": "one"})
        .itertuples()
    ]


def _percent(accuracy: float) -> str:
    return "" if np.isnan(accuracy) else f"{accuracy:.2f}"


def main() -> None:
    """Run them all."""
    results = Path("results")
    text = ""
    for heading, rows_of in parts():
        rows = []
        for folder, make in rows_of.items():
            rows += make(results / folder)
            print(rows[-1], flush=True)
        text += heading + "\n".join(rows) + "\n"
    (results / "README.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
