"""Sliders of parameters: positions and values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from bokeh.models import CustomJSTickFormatter, Slider

from market_abm.views.numbers import format_plain
from market_abm.watch.session import Parameter
from market_abm.watch.theme import WIDGETS

MAX_POSITIONS = 200
"""Number of positions of a slider that is not logarithmic."""

DECADE = 0.05
"""Step of a logarithmic slider, as an exponent of ten; infinity is one step beyond the end."""

FULL_WIDTH: dict[str, Any] = {"sizing_mode": "stretch_width", "stylesheets": [WIDGETS]}
"""Options of all controls."""


def parameter_slider(parameter: Parameter) -> Slider:
    """The slider of a parameter, at its present value; a logarithmic one is in exponents of ten."""
    low, high = parameter.low, parameter.high
    step = _round_step(high - low)
    code = "return tick.toPrecision(3) * 1 + ''"
    if parameter.whole:
        step = 1
    elif parameter.logarithmic:
        low, high, step = np.log10(low), np.log10(high), DECADE
        code = f"return tick > {high + DECADE / 2} ? '∞' : (10 ** tick).toPrecision(3) * 1 + ''"
        high += DECADE * parameter.endless
    return Slider(
        title=parameter.label,
        name=parameter.key,
        start=low,
        end=high,
        step=step,
        value=position(parameter),
        format=CustomJSTickFormatter(code=code),
        **FULL_WIDTH,
    )


def clamped(value: Any, low: float, high: float) -> float | None:
    """A number that a browser sent, within its range; None if it is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    number = float(min(max(value, float(low)), float(high)))
    return None if math.isnan(number) else number


def position(parameter: Parameter) -> float:
    """The position of the slider at the present value."""
    if not parameter.logarithmic:
        return parameter.value
    high = float(np.log10(parameter.high))
    return high + DECADE if np.isinf(parameter.value) else float(np.log10(parameter.value))


def value_at(parameter: Parameter, position: float) -> float:
    """The value at a position of the slider, to three digits."""
    if parameter.whole:
        return int(position)
    if not parameter.logarithmic:
        return float(format_plain(position, 3))
    if parameter.endless and position > np.log10(parameter.high) + DECADE / 2:
        return np.inf
    return float(format_plain(10.0**position, 3))


def _round_step(span: float) -> float:
    """The least round number of which ``span`` is at most MAX_POSITIONS."""
    unit = 10.0 ** np.floor(np.log10(span / MAX_POSITIONS))
    return float(next(unit * k for k in (1, 2, 5, 10) if span / (unit * k) <= MAX_POSITIONS))
