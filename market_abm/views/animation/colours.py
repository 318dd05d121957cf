"""The colours of a film."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, to_rgb

from market_abm.views.palette import FAINT, GREY, INK, OKABE_ITO

GOODS, PRICES, CONVERGED = OKABE_ITO[0], OKABE_ITO[1], OKABE_ITO[2]
"""Goods that flow down, price signals that move up, and a price that equals its gradient."""

NEGLIGIBLE = 1e-3
"""The relative error below which a price has the colour of one that equals its gradient."""

Color = tuple[float, float, float]


def mixed(one: Color, other: Color, part: float) -> Color:
    """A ``part`` of one colour, and the rest of the other."""
    r, g, b = (part * x + (1.0 - part) * y for x, y in zip(one, other, strict=True))
    return r, g, b


def tint(color: str, part: float) -> Color:
    """A ``part`` of a colour in white."""
    return mixed(to_rgb(color), (1.0, 1.0, 1.0), part)


NEARNESS = LinearSegmentedColormap.from_list(
    "nearness", [tint(FAINT, 0.18), tint(CONVERGED, 0.22), tint(CONVERGED, 0.62)]
)


def shade(error: float) -> Color:
    """The colour of a price by the powers of ten of its relative error."""
    near = 1.0 if error <= NEGLIGIBLE else min(1.0, max(0.0, -math.log10(min(error, 1.0)) / 3))
    return to_rgb(NEARNESS(near))


def palette() -> list[Color]:
    """All colours of a film, at most 256: those drawn, and mixtures with what is below them."""
    grounds = [to_rgb(NEARNESS(part)) for part in np.linspace(0.0, 1.0, 24)]
    edges = [
        mixed(to_rgb(ink), ground, part)
        for ground in grounds[::2]
        for ink, parts in ((INK, (0.25, 0.5, 0.75)), (GREY, (0.33, 0.67)))
        for part in parts
    ]
    inks = (INK, GREY, FAINT, GOODS, PRICES)
    tints = [tint(ink, part) for ink in inks for part in np.linspace(0.1, 1.0, 26)]
    return [(1.0, 1.0, 1.0), *grounds, *edges, *tints]
