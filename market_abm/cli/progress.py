"""Progress bars and the live view, shown only where a terminal is attached."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from market_abm.cli.tables import console
from market_abm.views.words.lines import shortened

if TYPE_CHECKING:
    from market_abm.experiment.experiment import Experiment
    from market_abm.market.state import State
    from market_abm.runs.result import Result


def run_with_progress(chosen: Experiment, *, quiet: bool, live: bool = False) -> Result:
    """Run an experiment with a progress bar, or with the ``live`` view; ``quiet``: with neither."""
    from market_abm.runs.run import run

    if live and not quiet:
        from market_abm.views.terminal import Live, watchable

        screen = console()
        if watchable(screen):
            with Live(chosen, screen) as picture:
                return run(chosen, progress=picture)
    if quiet or not sys.stderr.isatty():
        return run(chosen)
    with click.progressbar(
        length=chosen.run.steps,
        label=shortened(chosen.name, max(8, shutil.get_terminal_size().columns // 4)),
        file=sys.stderr,
        show_pos=True,
        width=0,  # as wide as the terminal
    ) as bar:

        def advance(state: State, _: object) -> None:
            bar.update(state.step - bar.pos)

        return run(chosen, progress=advance)


@contextmanager
def progress_bar(size: int) -> Iterator[Callable[[int, int], None] | None]:
    """A bar of ``size`` runs with the time left, to be called with how many are done."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("runs", total=size)
        yield lambda done, _: bar.update(task, completed=done)


@contextmanager
def task_bars() -> Iterator[Callable[[str, int, int], None] | None]:
    """A bar for each of several tasks, to be called with its name, what is done and the most."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:

        def advance(name: str, done: int, most: int) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=most)
            bars.update(tasks[name], completed=done)

        yield advance
