"""The live view of a run in the terminal: prices over their gradients, and errors, by step."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from market_abm.analysis.observer import relative_error
from market_abm.views.convergence import (
    FLOOR,
    error_axis,
    error_powers,
    error_ticks,
    followed,
    ratio_axis,
)
from market_abm.views.numbers import format_plain, format_power_of_ten
from market_abm.views.palette import OKABE_ITO
from market_abm.views.words.figures import GRADIENT_AND_TOLERANCE, LARGEST_ERROR
from market_abm.views.words.lines import columns, shortened
from market_abm.views.words.run import progress_texts

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from market_abm.experiment.experiment import Experiment
    from market_abm.market.state import State

MAX_GOODS = 4
"""Goods that are plotted."""

MAX_NAME = 16
"""Columns of a good's name."""

MAX_POINTS = 400
"""Steps that are plotted; of a longer run every second, fourth, ... step."""

PERIOD = 0.125
"""Minimum seconds from one frame to the next."""

MIN_PAUSE_RATIO = 3.0
"""Minimum time between frames, as a multiple of the time that the last one took to draw."""

HIGHEST_POWER = 20
"""Where the error axis ends at the latest, as a power of ten."""

MAX_WIDTH, MAX_HEIGHT = 110, 28
"""Columns and rows of the terminal that are used."""

MIN_WIDTH, MIN_HEIGHT, BOTH_HEIGHT = 36, 8, 15
"""Below the first two only the status line is shown; below the last, one chart of the two."""

FRAME = 4
"""Rows of a chart outside its plot area: title, border and step labels."""

MAX_STAIR_STEPS = 40
"""Steps up to which a line is drawn as a staircase: values change at steps only."""

LABEL = 5
"""Characters of an axis label, so that the axes of both charts are aligned."""


def watchable(console: Console) -> bool:
    """Whether the live view can be drawn on ``console``."""
    options = console.options
    return console.is_terminal and not console.is_dumb_terminal and not options.ascii_only


class History:
    """The values to plot of some goods, at :data:`MAX_POINTS` steps at most.

    ``rows`` has for each of these steps the ratio price/gradient and the error of each followed
    good, and the largest error of all goods. A step is added in one assignment, because Ctrl-C may
    come at any time.
    """

    def __init__(self, places: Sequence[int]) -> None:
        self.places = np.asarray(places)
        self.rows: dict[int, np.ndarray] = {}
        self._every = 1

    def add(self, state: State, gradients: np.ndarray) -> None:
        """Add a step, if it is one of those that are kept."""
        if state.step % self._every:
            return
        self.rows[state.step] = _row(state, gradients, self.places)
        if len(self.rows) > MAX_POINTS:
            self._every *= 2
            self.rows = {n: row for n, row in self.rows.items() if n % self._every == 0}


@np.errstate(all="ignore")  # prices may have diverged, gradients be 0
def _row(state: State, gradients: np.ndarray, places: np.ndarray) -> np.ndarray:
    errors = relative_error(state.prices, gradients)
    ratios = state.prices[places] / gradients[places]
    return np.concatenate([ratios, errors[places], [np.max(errors)]])


@contextmanager
def _deferred_interrupt() -> Iterator[None]:
    """Delay Ctrl-C until the block ends: a library may swallow it, or stop half way."""
    received: list[FrameType | None] = []
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, lambda _, frame: received.append(frame))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if received and callable(before):
        before(signal.SIGINT, received[0])


class Live:
    """A ``progress`` callback that draws; the run takes place within it as a context.

    A frame is drawn after :data:`PERIOD` seconds and :data:`MIN_PAUSE_RATIO` times the drawing time
    of the last frame, so that a run takes at most a third longer. The last frame stays on screen.
    """

    def __init__(
        self,
        experiment: Experiment,
        console: Console,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        from rich.live import Live as Screen

        self.experiment = experiment
        self.console = console
        self.history = History(followed(experiment.economy, MAX_GOODS))
        self.drawn = 0
        self._clock = clock
        self._screen = Screen(console=console, auto_refresh=False)
        self._now: tuple[State, Mapping[str, np.ndarray]] | None = None
        self._due = -np.inf

    def __enter__(self) -> Live:
        self._screen.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._draw()
        finally:
            self._screen.stop()

    def __call__(self, state: State, observations: Mapping[str, np.ndarray]) -> None:
        """Record a step, and draw a frame if one is due."""
        self._now = state, observations
        self.history.add(state, observations["gradients"])
        started = self._clock()
        if started >= self._due:
            self._draw()
            ended = self._clock()
            self._due = max(started + PERIOD, ended + MIN_PAUSE_RATIO * (ended - started))

    def _draw(self) -> None:
        if self._now is not None:
            with _deferred_interrupt():
                self.drawn += 1
                self._screen.update(self.picture(*self._now), refresh=True)

    def picture(self, state: State, observations: Mapping[str, np.ndarray]) -> RenderableType:
        """The current frame, as large as the terminal allows."""
        from rich.console import Group
        from rich.text import Text

        width = min(self.console.width, MAX_WIDTH)
        height = min(self.console.height - 1, MAX_HEIGHT)
        status = Text(self._status(state, observations, width), no_wrap=True, overflow="crop")
        if width < MIN_WIDTH or height < MIN_HEIGHT:
            return Group(status)
        rows = {**self.history.rows}
        if state.step not in rows:
            rows[state.step] = _row(state, observations["gradients"], self.history.places)
        steps = list(rows)
        path = np.array(list(rows.values()))
        count = len(self.history.places)
        parts: list[Any] = self._legend(width)
        room = height - len(parts) - 1
        if height >= BOTH_HEIGHT:
            ratios = _ratio_chart(steps, path[:, :count], (width, room // 2))
            parts.append(Text.from_ansi(ratios, no_wrap=True))
            room -= room // 2
        tolerance = self.experiment.run.tolerance
        errors = _error_chart(steps, path[:, count:], tolerance, (width, room))
        parts += [Text.from_ansi(errors, no_wrap=True), status]
        return Group(*parts)

    def _legend(self, width: int) -> list[Any]:
        """What the lines are, in as many rows as the terminal's width demands."""
        from rich.text import Text

        goods = self.experiment.economy.goods
        names = [shortened(goods[k], MAX_NAME) for k in self.history.places]
        entries = [("━━", name) for name in [*names, LARGEST_ERROR]]
        entries.append(("···", GRADIENT_AND_TOLERANCE))
        rows = [Text(no_wrap=True)]
        for (mark, text), color in zip(entries, [*OKABE_ITO[: len(names) + 1], ""], strict=True):
            size = columns(mark) + 1 + columns(text)
            if rows[-1].cell_len and rows[-1].cell_len + 2 + size > width:
                rows.append(Text(no_wrap=True))
            rows[-1].append("  " if rows[-1].cell_len else "").append(mark, style=color)
            rows[-1].append(f" {text}")
        return rows

    def _status(self, state: State, observations: Mapping[str, np.ndarray], width: int) -> str:
        """The state of the run in one line: as much as there is room for."""
        with np.errstate(all="ignore"):
            errors = relative_error(state.prices, observations["gradients"])
        limit, goods = self.experiment.run.steps, self.experiment.economy.goods
        welfare = float(observations["welfare"])
        texts = progress_texts(state.step, errors, goods, welfare, limit=limit)
        return next((text for text in texts if columns(text) <= width), "")


def _ratio_chart(steps: Sequence[int], ratios: np.ndarray, size: tuple[int, int]) -> str:
    """Price over gradient, from 0 on; what is beyond the axis is drawn at its edge."""
    axis = ratio_axis(ratios)
    assert axis.limits is not None
    low, high = min(axis.limits[0], 0.0), max(axis.limits[1], 1.1)
    ticks = {
        tick: format_plain(tick) for tick in (-1.0, 0.0, 0.5, 1.0, 2.0, 3.0) if low <= tick <= high
    }
    return _chart(axis.label, steps, ratios, (low, high), ticks, 1.0, size)


def _error_chart(
    steps: Sequence[int], errors: np.ndarray, tolerance: float, size: tuple[int, int]
) -> str:
    """The errors, (steps, goods followed and the largest), and the tolerance, on a log axis."""
    axis, powers = error_axis(errors, tolerance), error_powers(errors)
    level = float(error_powers(np.array(tolerance)))
    smallest = min(level - 1.0, float(powers[np.isfinite(powers)].min(initial=0.0)))
    low = max(axis.decades[0], int(np.floor(smallest)))  # rows are few: one decade less
    high = min(axis.decades[1], HIGHEST_POWER)
    axis = replace(axis, limits=(10.0**low, 10.0**high))
    ticks = {
        round(np.log10(tick)): "0" if tick == FLOOR else format_power_of_ten(tick)
        for tick in error_ticks(axis, 5)
    }
    return _chart(axis.label, steps, powers, (low, high), ticks, level, size)


def _chart(
    title: str,
    steps: Sequence[int],
    columns: np.ndarray,
    limits: tuple[float, float],
    ticks: Mapping[float, str],
    level: float,
    size: tuple[int, int],
) -> str:
    """A plot of ``columns``, (steps, lines), as coloured text; dots mark ``level``.

    The axis is stretched slightly, so that ``level`` is in the middle of a row, as its label is.
    """
    import plotext

    plotext.clear_figure()
    plotext.theme("clear")
    plotext.limit_size(False, False)
    plotext.plot_size(*size)
    plotext.title(title)
    low, high = limits
    rows = size[1] - FRAME
    row = int((level - low) / (high - low) * (rows - 1))
    high = low + (level - low) * (rows - 1) / row if row > 0 else high
    last = max(steps[-1], 1)
    times = np.repeat(steps, 2)[1:] if last <= MAX_STAIR_STEPS else np.asarray(steps)
    dots = np.linspace(0, last, size[0] // 2).tolist()  # in the lines' own finer grid
    plotext.scatter(dots, [level] * len(dots), marker="braille")
    for column, color in reversed(list(zip(columns.T, OKABE_ITO, strict=False))):
        values = np.repeat(column, 2)[:-1] if last <= MAX_STAIR_STEPS else column
        there = ~np.isnan(values)
        plotext.plot(
            times[there].tolist(),
            np.clip(values[there], low, high).tolist(),
            marker="braille",
            color=tuple(bytes.fromhex(color[1:])),
        )
    plotext.xlim(0, last)
    plotext.ylim(low, high)
    plotext.yticks(list(ticks), [label.rjust(LABEL) for label in ticks.values()])
    marks = sorted({round(last * part / 4) for part in range(5)})
    plotext.xticks(marks, [f"{mark:,}" for mark in marks])
    return str(plotext.build()).rstrip("\n")
