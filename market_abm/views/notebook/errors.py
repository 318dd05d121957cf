"""The error of prices over the steps of a run, as a notebook draws it (SVG)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from market_abm.views.convergence import (
    FLOOR_POWER,
    ConvergencePicture,
    Paths,
    intermediate_goods,
)
from market_abm.views.notebook.pieces import FINAL, drawing, lettering
from market_abm.views.numbers import format_number, format_plain
from market_abm.views.words.figures import error_curve_text, error_curve_title

if TYPE_CHECKING:
    from market_abm.runs.result import Result

MAX_POINTS = 200
"""Steps that are drawn; of more, as many at equal distances."""

MAX_LINES = 10
"""Goods up to which each has a line behind that of the largest error."""

WIDTH, HEIGHT = 420.0, 110.0
"""The size of the drawing, in pixels."""

LEFT, RIGHT, TOP, BOTTOM = 44.0, WIDTH - 8.0, 22.0, HEIGHT - 18.0
"""The ends of its axes."""


def error_drawing(result: Result) -> str:
    """The largest error of a price on a logarithmic axis, with each good's behind it if few."""
    paths = Paths.of(result, MAX_POINTS)
    picture = ConvergencePicture.of_paths(
        paths,
        intermediate_goods(paths.goods, result.experiment.economy),
        tolerance=result.experiment.run.tolerance,
    )
    steps, largest = picture.steps, picture.largest
    if len(steps) < 2 or not np.isfinite(largest).any():
        return ""
    few = 1 < len(picture.series) <= MAX_LINES
    tolerance = _tolerance(picture)
    parts = [
        *_axes(picture),
        *tolerance,
        lettering(LEFT, 12, error_curve_title(each=few, tolerance=bool(tolerance)), **START),
    ]
    if few:
        parts += [_curve(picture, each.errors, 'opacity="0.45"') for each in picture.series]
    parts.append(_curve(picture, largest, f'stroke="{FINAL}" stroke-width="2"'))
    description = error_curve_text(steps[-1], largest[0], largest[-1])
    return drawing(WIDTH, HEIGHT, description, [part for part in parts if part])


START: dict[str, Any] = {"anchor": "start", "size": 11}
END: dict[str, Any] = {"anchor": "end", "size": 11}


def _axes(picture: ConvergencePicture) -> list[str]:
    low, high = picture.error_axis.decades
    first, last = picture.steps[0], picture.steps[-1]
    return [
        f'<path d="M{LEFT} {TOP}V{BOTTOM}H{RIGHT}" opacity="0.4"/>',
        lettering(LEFT - 5, TOP + 4, _decade(high), **END),
        lettering(LEFT - 5, BOTTOM + 4, _decade(low), **END),
        lettering(LEFT, HEIGHT - 4, f"{first:,}", size=11),
        lettering(RIGHT, HEIGHT - 4, f"step {last:,}", **END),
    ]


def _tolerance(picture: ConvergencePicture) -> list[str]:
    """A dotted line at the tolerance, with its label where there is room; nothing outside."""
    assert picture.tolerance is not None
    y = float(_height(picture, np.array(picture.tolerance)))
    if not TOP < y < BOTTOM:
        return []
    line = f'<path d="M{LEFT} {y:.1f}H{RIGHT}" stroke-dasharray="2 3" opacity="0.6"/>'
    if not TOP + 12 < y < BOTTOM - 12:
        return [line]
    label = _decade(float(np.log10(picture.tolerance)))
    return [line, lettering(LEFT - 5, y + 4, label, **END)]


def _height(picture: ConvergencePicture, errors: np.ndarray) -> np.ndarray:
    """Pixels from the top."""
    low, high = picture.error_axis.decades
    level = (np.log10(np.maximum(errors, 10.0**low)) - low) / (high - low)
    height: np.ndarray = BOTTOM - np.clip(level, 0.0, 1.0) * (BOTTOM - TOP)
    return height


def _curve(picture: ConvergencePicture, errors: np.ndarray, style: str) -> str:
    """A staircase with gaps where an error is not a number."""
    steps, words, drawn = picture.steps, [], False
    across = LEFT + (steps - steps[0]) / (steps[-1] - steps[0]) * (RIGHT - LEFT)
    for x, y in zip(across.tolist(), _height(picture, errors).tolist(), strict=True):
        if math.isnan(y):
            drawn = False
            continue
        words.append(f"H{x:.1f}V{y:.1f}" if drawn else f"M{x:.1f} {y:.1f}")
        drawn = True
    return f'<path d="{"".join(words)}" {style}/>' if words else ""


def _decade(power: float) -> str:
    """A power of ten on the error axis; what is at its lowest end is 0."""
    if power <= FLOOR_POWER:
        return "0"
    extreme = power <= -4 or power >= 4
    return format_number(10.0**power, 1) if extreme else format_plain(10.0**power)
