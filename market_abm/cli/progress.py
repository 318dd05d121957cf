"""The progress of a command: a row for each piece of work, with the time left.

It is shown on the error stream, where that is a terminal, and taken away at the end.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from market_abm.cli.tables import console
from market_abm.views.words.command import time_text
from market_abm.views.words.lines import shortened

if TYPE_CHECKING:
    import numpy as np

    from market_abm.experiment.experiment import Experiment
    from market_abm.market.state import State
    from market_abm.runs.progress import WorkProgress
    from market_abm.runs.result import Result

PERIOD = 0.1
"""The least seconds from one look at a run to the next."""

AVERAGED = 3600.0
"""Seconds of work from which the time left is estimated."""


class ProgressBars:
    """The rows of a command, which is in this context while it works.

    Parameters
    ----------
    quiet
        Show nothing, on a terminal either.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._hidden = quiet or not sys.stderr.isatty()
        self._bars: Any = None
        self._rows: dict[str, Any] = {}

    def __enter__(self) -> ProgressBars:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    def __call__(self, what: str, done: int, most: int | None) -> None:
        """Show how much of a piece of work is done; ``most`` is None if that is unknown."""
        if self._hidden:
            return
        if self._bars is None:
            self._bars = _bars()
            self._bars.start()
        if what not in self._rows:
            width = max(8, shutil.get_terminal_size().columns // 3)
            name = shortened(what, width)
            self._rows[what] = self._bars.add_task(name, total=most, completed=done)
        self._bars.update(self._rows[what], completed=done, total=most)

    @property
    def of_work(self) -> WorkProgress | None:
        """Its call as a callback; None if nothing is shown."""
        return None if self._hidden else self

    def of_parts(self, what: str) -> Callable[[int, int], None] | None:
        """A row as ``progress(done, most)``; None if nothing is shown."""
        return None if self._hidden else lambda done, most: self(what, done, most)

    def of_run(
        self, experiment: Experiment
    ) -> Callable[[State, Mapping[str, np.ndarray]], None] | None:
        """The row of a run, up to the step at which it is likely to end, or None if hidden."""
        from market_abm.runs.progress import of_run

        told = of_run(experiment, experiment.name, self.of_work)
        if told is None:
            return None
        shown, due = told, 0.0

        def advance(state: State, observations: Mapping[str, np.ndarray]) -> None:
            nonlocal due
            if time.perf_counter() >= due:
                shown(state, observations)
                due = time.perf_counter() + PERIOD

        return advance


def run_with_progress(chosen: Experiment, bars: ProgressBars, *, live: bool = False) -> Result:
    """Run an experiment in a row of ``bars``, or with the ``live`` view."""
    from market_abm.runs.run import run

    if live:
        from market_abm.views.terminal import Live, watchable

        screen = console()
        if watchable(screen):
            with Live(chosen, screen) as picture:
                return run(chosen, progress=picture)
    result = run(chosen, progress=bars.of_run(chosen))
    bars(chosen.name, result.steps, result.steps)
    return result


def _bars() -> Any:
    """Bars of the library ``rich``, with the time left, or else that since the start."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn
    from rich.text import Text

    class Time(ProgressColumn):
        def render(self, task: Any) -> Text:
            if task.finished:
                return Text(time_text(task.finished_time, None))
            return Text(time_text(task.elapsed, task.time_remaining))

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        Time(),
        console=Console(stderr=True),
        refresh_per_second=4,
        speed_estimate_period=AVERAGED,
        transient=True,
    )
