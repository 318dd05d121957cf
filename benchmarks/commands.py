"""Commands as a user types them, each in a process of its own."""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence

from measure import (
    Finished,
    Goal,
    Outcome,
    Row,
    Size,
    finished,
    has_option,
    market_abm_command,
    seconds,
)

BUDGET = 30.0
ENDED = tuple(range(7))
"""Exit codes of a run that ended, however: converged, out of steps, oscillating, ..."""


def in_turn(commands: Mapping[str, Sequence[str]], rounds: int) -> dict[str, float]:
    """Median seconds of the processor of each command, all run in turn, round after round.

    There are fewer rounds if they take longer than ``BUDGET`` seconds.
    """
    times: dict[str, list[float]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            for name, command in commands.items():
                times[name].append(finished(command, folder=folder, codes=ENDED).cpu)
            if sum(map(sum, times.values())) > BUDGET:
                break
    return {name: statistics.median(each) for name, each in times.items()}


def start(size: Size) -> Outcome:
    """A run of the essay's chain over importing Mesa and NumPy."""
    option = ["--no-figures"] if has_option("run", "--no-figures") else []
    commands = {
        "run": market_abm_command("run", "essay-chain", *option, "--out", "out"),
        "import": [sys.executable, "-c", "import mesa, numpy"],
    }
    times = in_turn(commands, 1 if size.quick else 10)
    row = Row(
        "start",
        '`run essay-chain --no-figures` over `python -c "import mesa, numpy"`',
        times["run"] / times["import"],
        detail=f"{seconds(times['run'])} : {seconds(times['import'])}",
        goal=Goal(1.3),
        note="with byte code" if option else "with byte code; with figures",
    )
    return Outcome([row])


def compare(size: Size) -> Outcome:
    """All mechanisms on the economy of the United States, as seen in a terminal."""
    steps = ["--steps", "3"] if size.quick else []
    command = market_abm_command(
        "compare", "us-economy", "--mechanisms", "all", *steps, "--out", "out"
    )
    with tempfile.TemporaryDirectory() as folder:
        done: Finished = finished(command, folder=folder, terminal=True)
    rows = [
        Row(
            "compare-all",
            "`compare us-economy --mechanisms all`",
            done.cpu,
            "s",
            f"{seconds(done.wall)} passed",
            Goal(60),
        ),
        Row(
            "compare-silence",
            "the same: longest time without a sign of life in the terminal",
            done.silence,
            "s",
            goal=Goal(2),
        ),
    ]
    return Outcome(rows)


def few_links(size: Size) -> Outcome:
    """The United States without small inputs, whose optimum is found by search, over all of it."""
    whole = market_abm_command("run", "us-economy", "--out", "out")
    commands = {"whole": whole, "part": [*whole, "--set", "economy.min_share=0.05"]}
    if size.quick:
        commands = {name: [*each, "--steps", "3"] for name, each in commands.items()}
    times = in_turn(commands, 1 if size.quick else 3)
    row = Row(
        "few-links",
        "`run us-economy --set economy.min_share=0.05` over `run us-economy`",
        times["part"] / times["whole"],
        detail=f"{seconds(times['part'])} : {seconds(times['whole'])}",
        goal=Goal(1.5),
    )
    return Outcome([row])
