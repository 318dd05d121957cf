"""Measure how fast everything is: ``make bench`` prints a table.

The table and its figures are written to results/benchmark; with ``--quick``, which measures little,
or ``--only``, to build/benchmark. Each benchmark has a process of its own: one that fails says why,
and the others go on. What is measured is the package that Python imports, so that

    PYTHONPATH=../old python benchmarks/bench.py --store benchmarks/before.json

measures another checkout by the same programs, and keeps its numbers for the column "before".
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import commands
import firms
import learning
import networks
import sweeps
import watching
from figures import draw
from measure import Outcome, Row, Size, commit, machine

FOLDER, OTHER_FOLDER = Path("results/benchmark"), Path("build/benchmark")
BEFORE = Path(__file__).with_name("before.json")
ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Linear algebra has one thread, or its idle ones would count as the processor's time."""

BENCHMARKS: dict[str, Callable[[Size], Outcome]] = {
    "lines": networks.lines,
    "program": networks.program,
    "united-states": networks.united_states,
    "dense": networks.dense,
    "agents": firms.agents,
    "arrays": firms.arrays,
    "threads": firms.threads,
    "watching": partial(watching.watching, firms=1e5),
    "watching-large": partial(watching.watching, firms=1e7),
    "cobweb": sweeps.cobweb,
    "sweep-memory": sweeps.memory,
    "side-by-side": sweeps.side_by_side,
    "start": commands.start,
    "compare": commands.compare,
    "few-links": commands.few_links,
    "depth": networks.depth,
    "perceptron": learning.perceptron,
}


class Page:
    """The table, each row of which is printed as soon as it is measured.

    Parameters
    ----------
    before
        What ``--store`` kept of another checkout.
    """

    def __init__(self, before: Mapping[str, Any]) -> None:
        self.before = before
        self.rows: list[str] = []
        self.series: dict[str, Any] = {}
        self.failed: list[str] = []
        kept = before.get("benchmarks", {}).values()
        self._rows_before = {key: row for each in kept for key, row in each["rows"].items()}
        self._series_before = {key: line for each in kept for key, line in each["series"].items()}

    def add(self, outcome: Outcome) -> None:
        """Add what a benchmark found."""
        self.series |= outcome.series
        for row in outcome.rows:
            self._print(self._cells(row))

    def add_failure(self, name: str, error: BaseException) -> None:
        """Add a benchmark that could not be made."""
        self.failed.append(name)
        self._print((f"`{name}` failed", "", "", "", f"{type(error).__name__}: {error}"))

    def _print(self, cells: Sequence[str]) -> None:
        text = " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells)
        self.rows.append(f"| {text} |")
        print(self.rows[-1], flush=True)

    def _cells(self, row: Row) -> tuple[str, ...]:
        """Work, goal, value, value before, detail."""
        kept = self._rows_before.get(row.key)
        was = None if kept is None else replace(row, **kept)
        shown, goal = row.shown(), ""
        if row.goal is not None:
            goal = str(row.goal) if row.goal.of_before else f"{row.goal} {row.unit}".strip()
            before = None if was is None else was.value
            if row.value is not None and row.goal.met(row.value, before) is False:
                shown += ", not reached"
        return row.work, goal, shown, "" if was is None else was.shown(), row.detail

    def text(self, captions: Sequence[str]) -> str:
        """The page that is written."""
        about = (
            f"# Benchmark\n\nMade by `make bench` on: {machine()}.\n\n"
            "* A ratio compares programs that were timed in turn, round after round, in one "
            "process; each time is the median of up to nine rounds. Times are those of the "
            "processor, with one thread of linear algebra, but where two threads are compared.\n"
            "* What is written by hand (`benchmarks/peers.py`) does the same work: before it is "
            "timed, its prices are compared with ours after some steps.\n"
            "* A slope is the exponent of a power law. Of costs it is fitted to the upper half of "
            "the points, and 1 means that twice the market takes twice the time.\n"
        )
        if self.before:
            about += (
                f"* *Before* is commit {self.before['commit']}, measured by the same programs on: "
                f"{self.before['machine']}.\n"
            )
        head = "| work | goal | measured | before | in detail |\n| --- | --- | --- | --- | --- |"
        return "\n\n".join([about.rstrip(), "\n".join([head, *self.rows]), *captions]) + "\n"

    def write(self, folder: Path) -> None:
        """Write the table and the figures."""
        folder.mkdir(parents=True, exist_ok=True)
        captions = draw(self.series, self._series_before, folder)
        (folder / "README.md").write_text(self.text(captions), "utf-8")
        print(f"Written to {folder}/README.md")


def store(path: Path, name: str, outcome: Outcome) -> None:
    """Keep what a benchmark found, beside what the file has of others for the same commit."""
    kept = json.loads(path.read_text("utf-8")) if path.exists() else {}
    if kept.get("commit") != commit():
        kept = {"benchmarks": {}}
    benchmarks = {**kept["benchmarks"], name: outcome.as_data()}
    data = {"commit": commit(), "machine": machine(), "benchmarks": benchmarks}
    path.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", "utf-8")


def main() -> None:
    """Measure everything, print it, and write it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="measure little, in a minute")
    parser.add_argument(
        "--only", action="append", choices=BENCHMARKS, metavar="NAME", help=", ".join(BENCHMARKS)
    )
    parser.add_argument("--store", type=Path, metavar="FILE", help="keep the numbers in this file")
    parser.add_argument("--firms", type=float, default=1e7, help="the most firms of a market")
    parser.add_argument("--runs", type=float, default=1e5, help="the most runs of a sweep")
    options = parser.parse_args()
    for variable in ONE_THREAD:
        os.environ[variable] = "1"
    size = Size(options.quick, options.firms, options.runs)
    page = Page(json.loads(BEFORE.read_text("utf-8")) if BEFORE.exists() else {})
    for name in options.only or BENCHMARKS:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            try:
                outcome = pool.submit(BENCHMARKS[name], size).result()
            except Exception as error:
                page.add_failure(name, error)
                continue
        page.add(outcome)
        if options.store:
            store(options.store, name, outcome)
    if not options.store:
        page.write(OTHER_FOLDER if options.quick or options.only else FOLDER)
    if page.failed:
        sys.exit(f"failed: {', '.join(page.failed)}")


if __name__ == "__main__":
    main()
