"""A run as a film: goods flow down the network, price signals climb up, one stage a step."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import animation
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, MaxNLocator
from PIL import Image

from market_abm.errors import EconomyError, ResultsError, SettingError
from market_abm.runs.folders import check_file, write_file
from market_abm.views.convergence import FLOOR
from market_abm.views.layout import BOX, layout
from market_abm.views.numbers import format_label, format_power_of_ten
from market_abm.views.palette import FAINT, GREY, INK, OKABE_ITO
from market_abm.views.plots.style import shortened, tidy

if TYPE_CHECKING:
    from market_abm.experiment.experiment import Experiment
    from market_abm.runs.result import Result

MAX_GOODS = 32
"""Goods of a network that is filmed, at most."""


ENDINGS = (".gif", ".mp4")


WIDTH = 800
"""Pixels; all lengths of the figure are in pixels too, at this many to the inch."""


DPI = 100


MARGIN, HEADER, PANEL = 26, 58, 158


MAX_SCALE = 92.0
"""Pixels to one unit of the layout, at most."""


SMALL = 70.0
"""Below so many pixels to a unit, the words at the numbers are but letters."""


MAX_FRAMES = 160
"""Pictures of a film, at most, if none is held longer."""


SLOWEST, FASTEST = 22, 4
"""Pictures a step, at most and at least: so many that there are :data:`MAX_FRAMES` in all."""


OPENING, CLOSING = 0.6, 2.5
"""Seconds for which the first and the last picture are held."""


LANE = 0.075
"""From the middle of an arrow to the lane of goods and to that of prices, in the layout's units."""


SPACING = 0.3
"""Between two dots of goods."""


FRAMES_A_DOT = 8
"""Pictures in which a dot moves to the place of the next one."""


FAINTEST = 1e-3
"""A bid that moves by less than this part of the gradient is no signal that is drawn."""


GOODS, PRICES, RIGHT = OKABE_ITO[0], OKABE_ITO[1], OKABE_ITO[2]
"""Colours of what flows down, of what climbs up, and of a price that is at its gradient."""


Color = tuple[float, float, float]


def _tint(color: str, part: float) -> Color:
    """``color``, as a ``part`` in white."""
    return _mixed(to_rgb(color), (1.0, 1.0, 1.0), part)


def _mixed(one: Color, other: Color, part: float) -> Color:
    """So much of one color, and the rest of the other."""
    r, g, b = (part * x + (1.0 - part) * y for x, y in zip(one, other, strict=True))
    return r, g, b


NEARNESS = LinearSegmentedColormap.from_list(
    "nearness", [_tint(FAINT, 0.18), _tint(RIGHT, 0.22), _tint(RIGHT, 0.62)]
)


def check_film(experiment: Experiment, path: Path) -> None:
    """Make sure that a film of such a run can be made at ``path``, before it runs.

    Raises:
        EconomyError: there are more than :data:`MAX_GOODS` goods.
        SettingError: the record is thinned: a film needs every step and good.
        ResultsError: the file's ending is unknown, MP4 cannot be written here, or nothing can be
            written into the folder.
    """
    goods = len(experiment.economy.goods)
    if goods > MAX_GOODS:
        raise EconomyError(
            f"the economy has {goods} goods, and a film shows {MAX_GOODS} at most",
            remedy=f"film a smaller one; 'market-abm run {experiment.name}' draws this one",
        )
    if experiment.record.every != 1 or experiment.record.goods is not None:
        raise SettingError(
            "the record is thinned, and a film shows every step and good",
            remedy="leave out record.every and record.goods",
            name="record",
        )
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise ResultsError(
            f"'{path.name}' is no name of a film", remedy="let it end in .gif or .mp4"
        )
    if ending == ".mp4" and not animation.FFMpegWriter.isAvailable():
        raise ResultsError(
            f"'{path.name}' needs ffmpeg, which is not there",
            remedy="install ffmpeg, or let the name end in .gif",
        )
    if path.is_dir():
        raise ResultsError(f"'{path.name}' is a folder", remedy="name a file with --out")
    try:
        check_file(path)
    except FileExistsError:
        raise ResultsError(
            f"cannot write '{path.name}': '{path.parent.name}' is no folder",
            remedy="choose another place with --out",
        ) from None
    except OSError as error:
        raise _unwritable(path, error) from None


def animate(result: Result, path: str | Path, *, steps: int = 30, fps: int = 12) -> Path:
    """Write a film of a run's first ``steps``, GIF or MP4 by ``path``'s ending, 800 pixels wide.

    Boxes are goods, with price and gradient; green is a price that is at its gradient. Blue dots
    are goods on their way to who uses them, as large as the part that goes there. An orange pulse
    is a bid that moves, on its way from the buyer to the maker, by the step at which it makes the
    price. Below grows the error, good by good (grey) and the largest (black). ``fps`` are pictures
    a second.

    The same versions of the package and its libraries make the same GIF, bit for bit. The file is
    written whole or not at all.

    Raises:
        MarketError: see :func:`check_film`.
    """
    path = Path(path)
    check_film(result.experiment, path)
    film = _Film(result, steps)
    writer: animation.AbstractMovieWriter
    if path.suffix.lower() == ".mp4":
        writer = animation.FFMpegWriter(fps=fps, extra_args=["-pix_fmt", "yuv420p"])
    else:
        writer = _GifWriter(fps=fps)
    try:
        return write_file(path, lambda aside: _film_to(aside, film, writer, fps))
    except OSError as error:
        raise _unwritable(path, error) from None


def _film_to(path: Path, film: _Film, writer: animation.AbstractMovieWriter, fps: int) -> None:
    with writer.saving(film.figure, str(path), DPI):
        for moment in film.moments(fps):
            film.show(*moment)
            writer.grab_frame()


def _unwritable(path: Path, error: OSError) -> ResultsError:
    return ResultsError(
        f"cannot write '{path.name}' ({error.strerror})", remedy="choose another place with --out"
    )


class _GifWriter(animation.AbstractMovieWriter):
    """Pictures with one palette for all: smaller, and no colour flickers."""

    def setup(self, fig: Figure, outfile: Any, dpi: float | None = None) -> None:
        """Begin a film of ``fig``."""
        super().setup(fig, outfile, dpi)
        self.frames: list[Image.Image] = []
        self.palette = Image.new("P", (1, 1))
        self.palette.putpalette(bytes(round(255 * part) for color in _palette() for part in color))

    def grab_frame(self, **savefig_kwargs: Any) -> None:
        """Take the figure as it is now."""
        seen = io.BytesIO()
        self.fig.savefig(seen, **{**savefig_kwargs, "format": "rgba", "dpi": self.dpi})
        frame = Image.frombuffer("RGBA", self.frame_size, seen.getvalue(), "raw", "RGBA", 0, 1)
        self.frames.append(
            frame.convert("RGB").quantize(palette=self.palette, dither=Image.Dither.NONE)
        )

    def finish(self) -> None:
        """Write the file."""
        self.frames[0].save(
            self.outfile,
            save_all=True,
            append_images=self.frames[1:],
            duration=round(1000 / self.fps),
            loop=0,
            optimize=True,
        )


def _palette() -> list[Color]:
    """All colours of a film, 256 at the most: what is drawn, and half-way to what is below it."""
    grounds = [to_rgb(NEARNESS(part)) for part in np.linspace(0.0, 1.0, 24)]
    edges = [
        _mixed(to_rgb(ink), ground, part)
        for ground in grounds[::2]
        for ink, parts in ((INK, (0.25, 0.5, 0.75)), (GREY, (0.33, 0.67)))
        for part in parts
    ]
    inks = (INK, GREY, FAINT, GOODS, PRICES)
    tints = [_tint(ink, part) for ink in inks for part in np.linspace(0.1, 1.0, 26)]
    return [(1.0, 1.0, 1.0), *grounds, *edges, *tints]


class _Film:
    """The figure, and what of it changes from one moment to the next."""

    def __init__(self, result: Result, steps: int) -> None:
        self.result = result
        self.steps = min(steps, result.steps)
        economy = result.experiment.economy
        self.plan = layout(economy)
        self.uses = [
            (industry.good, slot, good)
            for industry in economy.topological_order
            for slot, good in enumerate(industry.technology.inputs)
        ]
        self._begin()
        self.roads = [_Road(self.plan.routes[(maker, slot)]) for maker, slot, _ in self.uses]
        for road in self.roads:
            self._draw_road(road)
        self.boxes = {good: self._draw_box(good) for good in economy.goods}
        self.numbers = {good: self._draw_numbers(good) for good in economy.goods}
        self.dots = self.network.scatter([], [], color=GOODS, lw=0, zorder=2.2)
        self.pulses = self.network.scatter([], [], color=PRICES, lw=0, zorder=2.4)
        self._measure()
        self._begin_panel()

    # --- what stays -----------------------------------------------------------------------------

    def _begin(self) -> None:
        curves = np.array([point for route in self.plan.routes.values() for point in route])
        centres = np.array(list(self.plan.boxes.values()))
        half = np.array(BOX) / 2
        corners = np.concatenate([curves, centres - half, centres + half])
        low, high = corners.min(axis=0), corners.max(axis=0)
        self.scale = min(MAX_SCALE, (WIDTH - 2 * MARGIN) / (high - low)[0])
        across = WIDTH / self.scale
        tall = (high - low)[1] * self.scale + 2 * MARGIN
        height = 2 * math.ceil((HEADER + tall + PANEL) / 2)  # a film in MP4 has an even height
        self.height = height
        self.figure = Figure(figsize=(WIDTH / DPI, height / DPI), dpi=DPI, facecolor="white")
        self.network = self.figure.add_axes((0.0, PANEL / height, 1.0, tall / height))
        self.network.set_axis_off()
        middle = (low + high) / 2
        self.network.set_xlim(middle[0] - across / 2, middle[0] + across / 2)
        edge = MARGIN / self.scale
        self.network.set_ylim(low[1] - edge, low[1] - edge + tall / self.scale)
        self._title = self._write(MARGIN, 24, "", size=11, weight="bold", color=INK)
        self._legend()

    def _write(self, x: float, y: float, text: str, *, size: float, **options: Any) -> Text:
        """Text at so many pixels from the left and the top."""
        place = (x / WIDTH, 1 - y / self.height)
        return self.figure.text(*place, text, fontsize=size * 0.72, va="center", **options)

    def _legend(self) -> None:
        x, y = MARGIN, 46.0
        for color, text, width in (
            (GOODS, "goods, to who uses them", 180),
            (PRICES, "price signals, to who makes the good", 252),
        ):
            self._mark(x + 4, y, color, 7.0)
            self._write(x + 14, y, text, size=11.5, color=GREY)
            x += width
        self._write(x, y, "price off by", size=11.5, color=GREY)
        x += 72
        for error, text in ((1.0, "100%"), (0.1, "10%"), (1e-2, "1%"), (1e-3, "0.1% or less")):
            self._mark(x + 6, y, _shade(error), 12.0, marker="s", edge=FAINT)
            self._write(x + 17, y, text, size=11.5, color=GREY)
            x += 30 + 7 * len(text)

    def _mark(
        self, x: float, y: float, color: Any, size: float, marker: str = "o", edge: str = "none"
    ) -> None:
        self.figure.add_artist(
            Line2D(
                [x / WIDTH],
                [1 - y / self.height],
                marker=marker,
                ms=size * 0.72,
                color=color,
                mec=edge,
                mew=0.6,
                ls="",
            )
        )

    def _points(self, pixels: float) -> float:
        """Pixels as points, smaller where the network is."""
        return 0.72 * pixels * min(1.0, 0.35 + 0.65 * self.scale / 75)

    def _draw_road(self, road: _Road) -> None:
        for lane, color, end in ((-LANE, GOODS, 1.0), (LANE, PRICES, 0.0)):
            line = road.at(np.linspace(0.0, 1.0, 60), lane)
            color_here = _tint(color, 0.3)
            self.network.plot(*line.T, color=color_here, lw=self._points(1.3), zorder=1)
            tip, back = road.at(np.array([end, abs(end - 0.09 / road.length)]), lane)
            along = (tip - back) / (np.hypot(*(tip - back)) or 1.0)
            normal = np.array([-along[1], along[0]])
            wings = np.array([tip, tip - 0.1 * along + 0.05 * normal])
            wings = np.vstack([wings, tip - 0.1 * along - 0.05 * normal])
            self.network.fill(*wings.T, color=color_here, lw=0, zorder=1.1)

    def _draw_box(self, good: str) -> FancyBboxPatch:
        (x, y), (width, height) = self.plan.boxes[good], BOX
        box = FancyBboxPatch(
            (x - width / 2, y - height / 2),
            width,
            height,
            boxstyle="round,pad=0,rounding_size=0.09",
            lw=self._points(1.5),
            edgecolor=GREY,
            zorder=3,
        )
        self.network.add_patch(box)
        name = shortened(good, 20)
        size = self._points(14) * min(1.0, 14 / len(name))
        self._in_box(x, y + 0.25, name, size, INK, weight="bold")
        return box

    def _in_box(
        self, x: float, y: float, text: str, size: float, color: str, **options: Any
    ) -> Text:
        return self.network.text(
            x, y, text, fontsize=size, color=color, ha="center", va="center", zorder=4, **options
        )

    def _draw_numbers(self, good: str) -> tuple[Text, Text]:
        x, y = self.plan.boxes[good]
        size = self._points(12.5)
        return self._in_box(x, y - 0.03, "", size, INK), self._in_box(x, y - 0.27, "", size, INK)

    def _number(self, what: str, value: float) -> str:
        """``what`` with its number; where boxes are small, its first letter and fewer digits."""
        if self.scale >= SMALL:
            return f"{what} {format_label(value)}"
        return f"{what[0]} {format_label(value, 2)}"

    # --- what is shown of the run ---------------------------------------------------------------

    def _measure(self) -> None:
        """The shares and signals of each use, and the errors of each good, at each step."""
        result, path = self.result, self.result.trajectory
        economy = result.experiment.economy
        rules = result.experiment.market.rules
        buyers = [economy.buyers.uses[maker][slot] for maker, slot, _ in self.uses]
        with np.errstate(all="ignore"):
            bids = rules.per_unit(path.bids, path.inputs)
            self.shares = np.array([path.shares[:, who].sum(axis=1) for who in buyers]).T
            weighted = np.array([(path.shares * bids)[:, who].sum(axis=1) for who in buyers]).T
            bid = weighted / np.where(self.shares == 0.0, 1.0, self.shares)
            scale = np.abs(result.gradients[:, [economy.index[good] for *_, good in self.uses]])
            moved = np.abs(np.diff(bid, axis=0)) / np.where(scale[1:] == 0.0, 1.0, scale[1:])
        self.signals = np.nan_to_num(moved, nan=0.0, posinf=1.0)
        self.errors = np.nan_to_num(result.errors[: self.steps + 1], nan=np.inf)
        self.turns = self._turns()

    def _turns(self) -> list[tuple[float, float]]:
        """When in a step each signal leaves and arrives: all at once, or one stage after another.

        When ``sequential``, firms learn in reverse order within a step, and all signals climb.
        """
        economy = self.result.experiment.economy
        if self.result.experiment.market.activation != "sequential":
            return [(0.0, 1.0)] * len(self.uses)
        depth = max(economy.stages.values())
        return [
            (economy.stages[maker] / depth, (economy.stages[maker] + 1) / depth)
            for maker, *_ in self.uses
        ]

    def _begin_panel(self) -> None:
        left, right, bottom, top = 84, MARGIN, 40, 20
        box = (
            left / WIDTH,
            bottom / self.height,
            (WIDTH - left - right) / WIDTH,
            (PANEL - bottom - top) / self.height,
        )
        axes = self.panel = self.figure.add_axes(box)
        errors = np.clip(self.errors, FLOOR, 1e30)
        axes.set_yscale("log")
        exact = bool(np.any(errors == FLOOR))
        low = FLOOR if exact else min(1e-2, 10.0 ** np.floor(np.log10(errors.min())))
        high = 10.0 ** np.ceil(np.log10(max(3.0, errors.max())))
        axes.set_ylim(low, high)
        axes.set_xlim(0, max(1, self.steps))
        count = np.log10(high / low)
        spacing = max(1, int(np.ceil(count / 4)))
        whole = range(math.ceil(np.log10(low)), round(np.log10(high)) + 1)
        room = FLOOR * 10 ** (count / 6)
        ticks = [10.0**e for e in whole if e % spacing == 0 and (10.0**e > room or not exact)]
        axes.set_yticks([FLOOR, *ticks] if exact else ticks)
        axes.set_yticks([], minor=True)
        axes.yaxis.set_major_formatter(
            FuncFormatter(lambda v, _: "exact (0)" if v <= FLOOR else format_power_of_ten(v))
        )
        axes.xaxis.set_major_locator(MaxNLocator(9, integer=True))
        axes.set_xlabel("step", fontsize=8, labelpad=1)
        self._write(
            MARGIN,
            self.height - PANEL + 6,
            "error, |price − gradient| ÷ |gradient|: of each good (grey), and the largest (black)",
            size=11.5,
            color=GREY,
        )
        tidy(axes)
        self.paths = errors
        final = self.result.experiment.economy.demand
        goods = self.result.goods
        self.followed = [k for k, good in enumerate(goods) if good not in final] or [0]
        self.lines = [_line(axes, color=FAINT, lw=1.0, zorder=2) for _ in self.followed]
        self.largest = _line(axes, color=INK, lw=1.8, zorder=3)
        self._name_arrivals(axes)

    def _name_arrivals(self, axes: Axes) -> None:
        """Each good's name, at the step from which it is exact; where these are far apart."""
        first = [int(self.result.first_steps[k]) for k in self.followed]
        apart = min((abs(a - b) for a, b in pairwise(sorted(first))), default=self.steps)
        self.arrivals: list[tuple[int, Text]] = []
        if min(first) < 0 or max(first) > self.steps or 6 * apart < self.steps:
            return
        for step, k in zip(first, self.followed, strict=True):
            last = step == self.steps
            text = axes.annotate(
                shortened(self.result.goods[k], 16),
                (step, math.sqrt(axes.get_ylim()[0] * axes.get_ylim()[1])),
                (-5 if last else 5, 0),
                textcoords="offset points",
                ha="right" if last else "left",
                va="center",
                fontsize=8,
                color=INK,
                visible=False,
            )
            self.arrivals.append((step, text))

    # --- moments --------------------------------------------------------------------------------

    def moments(self, fps: int) -> list[tuple[int, float, int]]:
        """(step, part of the way to the next, number) of each picture of the film."""
        steps = self.steps
        each = max(FASTEST, min(SLOWEST, MAX_FRAMES // max(1, steps)))
        times = [(step, n / each) for step in range(steps) for n in range(each)]
        frames = [(step, part, n) for n, (step, part) in enumerate(times)]
        first = [(0, 0.0, 0)] * round(OPENING * fps)
        return first + frames + [(steps, 0.0, len(frames))] * max(1, round(CLOSING * fps))

    def show(self, step: int, part: float, number: int) -> None:
        """Bring the figure to a moment: so much of the way from ``step`` to the next."""
        self._show_goods(step, number)
        self._show_signals(step, part)
        self._show_prices(step, part)
        self._show_errors(step, part)
        market = self.result.experiment.market
        name = shortened(self.result.experiment.name, 40)
        letters = "; p: price, g: gradient" if self.scale < SMALL else ""
        self._title.set_text(
            f"{name}: step {step} ({market.mechanism}, {market.activation}{letters})"
        )

    def _show_goods(self, step: int, number: int) -> None:
        places, sizes = [], []
        for road, share in zip(self.roads, self.shares[step], strict=True):
            count = max(2, round(road.length / SPACING))
            part = (np.arange(count) + number / FRAMES_A_DOT % 1.0) / count
            places.append(road.at(part, -LANE))
            width = self._points(6.5) * math.sqrt(min(max(float(share), 0.02), 1.0))
            sizes += [width**2] * count
        self.dots.set_offsets(np.concatenate(places))
        self.dots.set_sizes(sizes)

    def _show_signals(self, step: int, part: float) -> None:
        places, sizes, colors = [], [], []
        for n, (road, (leaves, arrives)) in enumerate(zip(self.roads, self.turns, strict=True)):
            strength = float(self.signals[step, n]) if step < self.steps else 0.0
            if strength < FAINTEST or not leaves < part < arrives:
                continue
            here = _eased((part - leaves) / (arrives - leaves))
            size = 0.35 + 0.65 * min(1.0, 1.0 + math.log10(min(1.0, strength)) / 3)
            for back in range(6, -1, -1):  # a pulse, and a tail that fades
                place = here - 0.055 * back
                if place >= 0.0:
                    places.append(road.at(np.array([1.0 - place]), LANE)[0])
                    sizes.append((self._points(12.0) * size * (1 - 0.1 * back)) ** 2)
                    colors.append(_tint(PRICES, 1.0 - back / 7))
        self.pulses.set_offsets(np.array(places).reshape(-1, 2))
        self.pulses.set_sizes(sizes)
        self.pulses.set_facecolor(colors)

    def _show_prices(self, step: int, part: float) -> None:
        result, last = self.result, self.steps
        arrival = {good: turn[1] for (*_, good), turn in zip(self.uses, self.turns, strict=True)}
        for k, good in enumerate(result.goods):
            when = arrival.get(good, 0.0 if self.turns and self.turns[0][1] < 1.0 else 1.0)
            blend = min(max((part - when) / 0.12 + 1.0, 0.0), 1.0) if step < last else 0.0
            following = min(step + 1, last)
            before, after = (_shade(self.errors[s, k]) for s in (step, following))
            self.boxes[good].set_facecolor(_mixed(after, before, blend))
            now = following if blend > 0.5 else step
            price, gradient = self.numbers[good]
            price.set_text(self._number("price", result.prices[now, k]))
            gradient.set_text(self._number("gradient", result.gradients[now, k]))

    def _show_errors(self, step: int, part: float) -> None:
        time = np.append(np.arange(step + 1), step + part)
        largest = self.paths.max(axis=1)
        columns = [*(self.paths[:, k] for k in self.followed), largest]
        for line, path in zip([*self.lines, self.largest], columns, strict=True):
            line.set_data(time, np.append(path[: step + 1], path[step]))
        for when, text in self.arrivals:
            text.set_visible(step >= when)


class _Road:
    """The curve of an arrow: places along it by the part of its length, in two lanes."""

    def __init__(self, route: Sequence[tuple[float, float]]) -> None:
        points = np.array(route, float)
        t = np.linspace(0.0, 1.0, 40)[:, None]
        parts = [
            (1 - t) ** 3 * a + 3 * (1 - t) ** 2 * t * b + 3 * (1 - t) * t**2 * c + t**3 * d
            for a, b, c, d in (points[n : n + 4] for n in range(0, len(points) - 1, 3))
        ]
        self.line = np.concatenate(parts)
        pieces = np.hypot(*np.diff(self.line, axis=0).T)
        self.way = np.concatenate([[0.0], np.cumsum(pieces)])
        self.length = float(self.way[-1])
        along = np.gradient(self.line, axis=0)
        self.normal = np.column_stack([-along[:, 1], along[:, 0]])
        self.normal /= np.maximum(np.hypot(*along.T), 1e-12)[:, None]

    def at(self, parts: np.ndarray, lane: float) -> np.ndarray:
        """Places at these parts of the way, so far to the left of it; shape (parts, 2)."""
        line = self.line + lane * self.normal
        return np.column_stack(
            [np.interp(parts * self.length, self.way, line[:, k]) for k in (0, 1)]
        )


def _shade(error: float) -> Color:
    """The colour of a price that is so far (relative) from its gradient: by powers of ten."""
    near = 1.0 if error <= 1e-3 else min(1.0, max(0.0, -math.log10(min(error, 1.0)) / 3))
    return to_rgb(NEARNESS(near))


def _eased(part: float) -> float:
    """From 0 to 1, slow at both ends."""
    return part * part * (3 - 2 * part)


def _line(axes: Axes, **options: Any) -> Line2D:
    (line,) = axes.plot([], [], drawstyle="steps-post", clip_on=False, **options)
    return line
