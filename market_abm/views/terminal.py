"""A run in the terminal while it goes on: prices approaching their gradients, and the error."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from market_abm.analysis.observer import relative_error
from market_abm.views.numbers import format_plain, format_power_of_ten
from market_abm.views.words import RELATIVE_ERROR, progress_text

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from market_abm.economy.economy import Economy
    from market_abm.experiment.experiment import Experiment
    from market_abm.market.state import State

MAX_GOODS = 4


MAX_POINTS = 400
"""Steps that are kept to be drawn; of a longer run, every second, fourth, ... step."""


PERIOD = 0.125
"""Seconds from one picture to the next, at least."""


PATIENCE = 3.0
"""A picture waits for so many times as long as the last one took: the run has the other time."""


FLOOR = -17.0
"""Where the error axis ends, as a power of ten: an error of exactly 0 is drawn here."""


WIDEST, HIGHEST = 110, 28


NARROWEST, LOWEST, LOW = 36, 8, 15
"""Below the first two numbers there is but the status line; below the last, one chart of two."""


FRAME = 4
"""Rows of a chart that are not its own: title, border and steps."""


SHORT = 40
"""Steps up to which a line is drawn as a staircase: nothing happens between two steps."""


LABEL = 5
"""Letters of a number at an axis, so that one chart stands right below the other."""


def watchable(console: Console) -> bool:
    """Whether pictures can be drawn on ``console``, one over the other."""
    options = console.options
    return console.is_terminal and not console.is_dumb_terminal and not options.ascii_only


def followed(economy: Economy, most: int = MAX_GOODS) -> list[int]:
    """The places of ``most`` goods at the most: from all stages, raw goods first, few final ones.

    The price of a final good is the consumer's, and nothing is to be seen in it.
    """
    stages = economy.stages
    goods = [good for good in economy.goods if good not in economy.demand] or list(economy.goods)
    goods.sort(key=lambda good: -stages[good])
    chosen = np.unique(np.linspace(0, len(goods) - 1, most).round().astype(int))
    return [economy.index[goods[k]] for k in chosen]


class History:
    """What was seen of some goods so far, at :data:`MAX_POINTS` steps at the most.

    ``rows`` holds, of each of these steps, the ratio price/gradient and the error of each good that
    is followed, and the largest error of all goods. A step comes in at once, with all that is seen:
    Ctrl-C may fall anywhere.
    """

    def __init__(self, places: Sequence[int]) -> None:
        self.places = np.asarray(places)
        self.rows: dict[int, np.ndarray] = {}
        self._every = 1

    def add(self, state: State, gradients: np.ndarray) -> None:
        """Take in a step, if it is one of those that are kept."""
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
def _undisturbed() -> Iterator[None]:
    """Let Ctrl-C wait until this is done: code of others may swallow it, or stop half way."""
    came: list[FrameType | None] = []
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, lambda _, frame: came.append(frame))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came and callable(before):
        before(signal.SIGINT, came[0])


class Live:
    """A ``progress`` that draws: to be used as a context, within which the run takes place.

    A picture is drawn when :data:`PERIOD` is over, and the last drawing's time :data:`PATIENCE`
    times over, so that a run takes a third longer at the most; the last stays on the screen.
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
        self.history = History(followed(experiment.economy))
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

    def __call__(self, state: State, seen: Mapping[str, np.ndarray]) -> None:
        """Take in what is there now, and draw it if it is time."""
        self._now = state, seen
        self.history.add(state, seen["gradients"])
        begun = self._clock()
        if begun >= self._due:
            self._draw()
            ended = self._clock()
            self._due = max(begun + PERIOD, ended + PATIENCE * (ended - begun))

    def _draw(self) -> None:
        if self._now is not None:
            with _undisturbed():
                self.drawn += 1
                self._screen.update(self.picture(*self._now), refresh=True)

    def picture(self, state: State, seen: Mapping[str, np.ndarray]) -> RenderableType:
        """What is known now, as large as the terminal allows."""
        from rich.console import Group
        from rich.text import Text

        width = min(self.console.width, WIDEST)
        height = min(self.console.height - 1, HIGHEST)
        status = Text(self._status(state, seen), no_wrap=True, overflow="ellipsis")
        if width < NARROWEST or height < LOWEST:
            return Group(status)
        rows = {**self.history.rows}
        if state.step not in rows:
            rows[state.step] = _row(state, seen["gradients"], self.history.places)
        steps = list(rows)
        path = np.array(list(rows.values()))
        count = len(self.history.places)
        parts: list[Any] = [self._legend()]
        room = height - len(parts) - 1
        if height >= LOW:
            ratios = _ratio_chart(steps, path[:, :count], (width, room // 2))
            parts.append(Text.from_ansi(ratios, no_wrap=True))
            room -= room // 2
        tolerance = self.experiment.run.tolerance
        errors = _error_chart(steps, path[:, count:], tolerance, (width, room))
        parts += [Text.from_ansi(errors, no_wrap=True), status]
        return Group(*parts)

    def _legend(self) -> RenderableType:
        from rich.text import Text

        from market_abm.views.plots.style import OKABE_ITO, shortened

        goods = self.experiment.economy.goods
        legend = Text(no_wrap=True, overflow="ellipsis")
        for k, color in zip(self.history.places, OKABE_ITO, strict=False):
            legend.append("━━ ", style=color).append(f"{shortened(goods[k], 16)}  ")
        color = OKABE_ITO[len(self.history.places)]
        legend.append("━━ ", style=color).append("largest error of all  ")
        return legend.append("··· gradient, tolerance")

    def _status(self, state: State, seen: Mapping[str, np.ndarray]) -> str:
        with np.errstate(all="ignore"):
            errors = relative_error(state.prices, seen["gradients"])
        limit, goods = self.experiment.run.steps, self.experiment.economy.goods
        return progress_text(state.step, errors, goods, float(seen["welfare"]), limit=limit)


def _ratio_chart(steps: Sequence[int], ratios: np.ndarray, size: tuple[int, int]) -> str:
    """Price over gradient; what is beyond the axis, from -1 to 3 at the most, is at its edge."""
    finite = ratios[np.isfinite(ratios)]
    low = max(finite.min(initial=0.0), -1.0)
    high = min(finite.max(initial=1.1), 3.0)
    ticks = {
        tick: format_plain(tick) for tick in (-1.0, 0.0, 0.5, 1.0, 2.0, 3.0) if low <= tick <= high
    }
    return _chart("price ÷ gradient", steps, ratios, (low, high), ticks, 1.0, size)


def _error_chart(
    steps: Sequence[int], errors: np.ndarray, tolerance: float, size: tuple[int, int]
) -> str:
    """The errors, (steps, goods followed and the largest), and the tolerance, on a log axis."""
    with np.errstate(all="ignore"):
        powers = np.clip(np.log10(errors), FLOOR, None)
    finite = powers[np.isfinite(powers)]
    aim = max(np.log10(tolerance), FLOOR) if tolerance > 0.0 else FLOOR
    low = np.floor(max(min(aim - 1.0, finite.min(initial=0.0)), FLOOR))
    high = np.ceil(min(finite.max(initial=0.5), 20.0))
    spacing = np.ceil((high - low) / 5)
    whole = np.arange(low, high + 1)
    shown = whole[(whole % spacing == 0) & (whole >= FLOOR + 2)]
    ticks = ({FLOOR: "0"} if low == FLOOR else {}) | {
        p: format_power_of_ten(10.0**p) for p in shown
    }
    return _chart(RELATIVE_ERROR, steps, powers, (low, high), ticks, aim, size)


def _chart(
    title: str,
    steps: Sequence[int],
    columns: np.ndarray,
    limits: tuple[float, float],
    ticks: Mapping[float, str],
    level: float,
    size: tuple[int, int],
) -> str:
    """Columns of numbers, (steps, lines), as lines of text with colours; dots mark a level.

    The axis is stretched a little, so that the level is at the middle of a row, where its label is.
    """
    import plotext

    from market_abm.views.plots.style import OKABE_ITO

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
    times = np.repeat(steps, 2)[1:] if last <= SHORT else np.asarray(steps)
    dots = np.linspace(0, last, size[0] // 2).tolist()  # in the lines' own finer grid
    plotext.scatter(dots, [level] * len(dots), marker="braille")
    for column, color in reversed(list(zip(columns.T, OKABE_ITO, strict=False))):
        values = np.repeat(column, 2)[:-1] if last <= SHORT else column
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
