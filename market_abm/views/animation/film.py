"""The frames of a film: goods flow down the network, price signals move up one stage a step."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from market_abm.views.animation.colours import PRICES, mixed, shade, tint
from market_abm.views.animation.drawing import LANE, Drawing
from market_abm.views.animation.error_panel import ErrorPanel
from market_abm.views.words.figures import film_title
from market_abm.views.words.lines import shortened

if TYPE_CHECKING:
    from market_abm.runs.result import Result

MAX_FRAMES = 160
"""Frames of a film, at most, apart from those that hold the first and last one."""

MAX_FRAMES_A_STEP, MIN_FRAMES_A_STEP = 22, 4
"""Frames a step are between these, so that there are :data:`MAX_FRAMES` in all if possible."""

OPENING, CLOSING = 0.6, 2.5
"""Seconds for which the first and the last frame are held."""

SPACING = 0.3
"""The distance between two dots of goods, in layout units."""

FRAMES_A_DOT = 8
"""Frames in which a dot moves to the place of the next one."""

MIN_SIGNAL = 1e-3
"""The smallest change of a bid, relative to the gradient, that is drawn."""

TAIL = 6
"""Fading copies behind a pulse."""


class Film:
    """The figure of a film, and how it changes from one frame to the next.

    Parameters
    ----------
    result
        A run with all steps and goods recorded.
    steps
        The last step that is shown.
    """

    def __init__(self, result: Result, steps: int) -> None:
        self.result = result
        self.steps = min(steps, result.steps)
        self.drawing = Drawing(result.experiment.economy)
        self.uses = self.drawing.uses
        self._measure()
        self.turns = self._turns()
        self.panel = ErrorPanel(self.drawing, result, self.errors)

    def _measure(self) -> None:
        """The ``shares`` and ``signals`` of each use and the ``errors`` of each good, by step."""
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

    def _turns(self) -> list[tuple[float, float]]:
        """When in a step each signal leaves and arrives: all at once, or stage by stage.

        When ``sequential``, firms update in reverse order within a step.
        """
        economy = self.result.experiment.economy
        if self.result.experiment.market.activation != "sequential":
            return [(0.0, 1.0)] * len(self.uses)
        depth = max(economy.stages.values())
        return [
            (economy.stages[maker] / depth, (economy.stages[maker] + 1) / depth)
            for maker, *_ in self.uses
        ]

    def moments(self, fps: int) -> list[tuple[int, float, int]]:
        """The step, the part of the time to the next one, and the number of each frame."""
        steps = self.steps
        each = max(MIN_FRAMES_A_STEP, min(MAX_FRAMES_A_STEP, MAX_FRAMES // max(1, steps)))
        times = [(step, n / each) for step in range(steps) for n in range(each)]
        frames = [(step, part, n) for n, (step, part) in enumerate(times)]
        first = [(0, 0.0, 0)] * round(OPENING * fps)
        return first + frames + [(steps, 0.0, len(frames))] * max(1, round(CLOSING * fps))

    def show(self, step: int, part: float, number: int) -> None:
        """Change the figure to a moment: a ``part`` of the time from ``step`` to the next."""
        self._show_goods(step, number)
        self._show_signals(step, part)
        self._show_prices(step, part)
        self.panel.show(step, part)
        market = self.result.experiment.market
        name = shortened(self.result.experiment.name, 40)
        rules = f"{market.mechanism}, {market.activation}"
        self.drawing.title.set_text(
            film_title(name, step, rules, abbreviated=self.drawing.is_small)
        )

    def _show_goods(self, step: int, number: int) -> None:
        places, sizes = [], []
        for road, share in zip(self.drawing.roads, self.shares[step], strict=True):
            count = max(2, round(road.length / SPACING))
            part = (np.arange(count) + number / FRAMES_A_DOT % 1.0) / count
            places.append(road.at(part, -LANE))
            width = self.drawing.points(6.5) * math.sqrt(min(max(float(share), 0.02), 1.0))
            sizes += [width**2] * count
        self.drawing.dots.set_offsets(np.concatenate(places))
        self.drawing.dots.set_sizes(sizes)

    def _show_signals(self, step: int, part: float) -> None:
        """A pulse with a fading tail for each bid that changes in this step."""
        places, sizes, colors = [], [], []
        for n, (leaves, arrives) in enumerate(self.turns):
            strength = float(self.signals[step, n]) if step < self.steps else 0.0
            if strength < MIN_SIGNAL or not leaves < part < arrives:
                continue
            head = _eased((part - leaves) / (arrives - leaves))
            size = 0.35 + 0.65 * min(1.0, 1.0 + math.log10(min(1.0, strength)) / 3)
            for back in range(TAIL, -1, -1):
                place = head - 0.055 * back
                if place >= 0.0:
                    places.append(self.drawing.roads[n].at(np.array([1.0 - place]), LANE)[0])
                    sizes.append((self.drawing.points(12.0) * size * (1 - 0.1 * back)) ** 2)
                    colors.append(tint(PRICES, 1.0 - back / (TAIL + 1)))
        self.drawing.pulses.set_offsets(np.array(places).reshape(-1, 2))
        self.drawing.pulses.set_sizes(sizes)
        self.drawing.pulses.set_facecolor(colors)

    def _show_prices(self, step: int, part: float) -> None:
        """Colours and numbers of boxes, which change when the signals arrive."""
        result, last = self.result, self.steps
        arrival = {good: turn[1] for (*_, good), turn in zip(self.uses, self.turns, strict=True)}
        for k, good in enumerate(result.goods):
            when = arrival.get(good, 0.0 if self.turns and self.turns[0][1] < 1.0 else 1.0)
            blend = min(max((part - when) / 0.12 + 1.0, 0.0), 1.0) if step < last else 0.0
            following = min(step + 1, last)
            before, after = (shade(self.errors[s, k]) for s in (step, following))
            self.drawing.boxes[good].set_facecolor(mixed(after, before, blend))
            now = following if blend > 0.5 else step
            price, gradient = self.drawing.numbers[good]
            self.drawing.show_number(price, "price", result.prices[now, k])
            self.drawing.show_number(gradient, "gradient", result.gradients[now, k])


def _eased(part: float) -> float:
    """From 0 to 1, slow at both ends."""
    return part * part * (3 - 2 * part)
