"""What noise in bids leaves in shares: as predicted, and in runs of 20,000 steps.

Usage: python experiments/noise.py   (from the top of the repository)

Writes results/noise/table.csv (a row per cell) and results/noise/noise.png. A good is divided
between two lines; the variance is that of the logarithm of the ratio of their shares.
"""

from __future__ import annotations

import os
from itertools import product
from pathlib import Path

# Before NumPy is imported, as the command does.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

import market_abm
from market_abm.analysis.prediction import share_variance
from market_abm.market.mechanisms.registry import array_market
from market_abm.market.mechanisms.unit_bid import UnitBidSettings
from market_abm.views.palette import INK, OKABE_ITO
from market_abm.views.plots.style import Title, new_figure, scale_axis, tidy

QUESTION = "What do errors in bids leave in shares?"
SIGMA, NOISE = 0.8, 0.1
"""σ, and the standard deviation ν of the logarithm of a bid."""

PROGRAM = """
a = 0.3 * x ** (1 - 1/sigma) / (1 - 1/sigma)
b = 0.7 * x ** (1 - 1/sigma) / (1 - 1/sigma)
"""
DEVICES = {
    "no device": {},
    "pipeline β = 0.34": {"pipeline": 0.34, "elasticity": SIGMA},
    "pipeline β = 0.5, momentum μ = 0.2": {"pipeline": 0.5, "elasticity": SIGMA, "momentum": 0.2},
    "momentum μ = −0.3": {"momentum": -0.3},
    "trend h = 0.5": {"trend": 0.5},
}
RESPONSES = (0.15, 0.3, 0.5, 0.7)
"""k = κ/σ."""

SEEDS, STEPS, FIRST = 8, 20_000, 300
"""Runs of a cell, their steps, and the step from which they are counted."""

DELAY = 1
"""The age of prices, τ, where goods go straight from the supplier to the two lines."""

HIGHEST = 20.0
"""The largest V that is drawn."""

WITHIN = 0.03
"""The relative difference that is allowed: by eight runs the standard error is below 1 %."""


def market(response: float, devices: dict[str, float]) -> UnitBidSettings:
    """The settings of a cell."""
    settings = market_abm.market_settings(share_rate=response * SIGMA, foresight=devices)
    assert isinstance(settings, UnitBidSettings)
    return settings


def predicted(response: float, devices: dict[str, float]) -> float:
    """V: the variance by theory, in units of 2 κ² ν²."""
    settings = market(response, devices)
    variance = share_variance(response, DELAY, settings.share_rate, NOISE, settings.foresight)
    return variance / (2.0 * (settings.share_rate * NOISE) ** 2)


def measured(cells: list[tuple[str, float]]) -> np.ndarray:
    """V of each cell and seed in runs of the market, side by side, shape (cells, seeds)."""
    economy = market_abm.from_text(
        PROGRAM, {"x": 1.0}, parameters={"sigma": SIGMA}, population={"bid_noise": NOISE}
    )
    markets = [market(response, DEVICES[name]) for name, response in cells for _ in range(SEEDS)]
    runs = array_market([economy] * len(markets), markets, list(range(len(markets))))
    path = []
    for _ in range(STEPS):
        runs.step()
        shares = runs.state.shares
        path.append(np.log(shares[:, 0] / shares[:, 1]))
    rates = np.array([each.share_rate for each in markets])
    found = np.var(path[FIRST:], axis=0) / (2.0 * (rates * NOISE) ** 2)
    return found.reshape(len(cells), SEEDS)


def table() -> pd.DataFrame:
    """A row per cell: devices, k, V as predicted and as measured, and its standard error."""
    cells = list(product(DEVICES, RESPONSES))
    runs = measured(cells)
    return pd.DataFrame(
        {
            "devices": [name for name, _ in cells],
            "k": [response for _, response in cells],
            "predicted": [predicted(response, DEVICES[name]) for name, response in cells],
            "measured": runs.mean(axis=1),
            "standard_error": runs.std(axis=1, ddof=1) / np.sqrt(SEEDS),
        }
    )


def figure(cells: pd.DataFrame) -> Figure:
    """Above: V over k, lines as predicted and dots as measured; below: measured over predicted."""
    details = (
        f"A good divided between two lines by prices {DELAY} step old; bids have errors of "
        f"{NOISE:.0%}. V is the variance of the log ratio of shares over 2κ²ν². Lines: predicted; "
        f"dots: measured in {SEEDS} runs of {STEPS:,} steps. "
        f"Below: measured over predicted, with standard errors; grey: ±{WITHIN:.0%}."
    )
    title = Title(QUESTION, details, 7.2)
    height = title.height + 5.6
    drawn = new_figure(7.2, height)
    above = drawn.add_axes((0.1, 2.0 / height, 0.88, 3.4 / height))
    below = drawn.add_axes((0.1, 0.5 / height, 0.88, 1.2 / height), sharex=above)
    line = np.linspace(0.05, 0.9, 120)
    below.axhspan(1.0 - WITHIN, 1.0 + WITHIN, color="#eeeeee", zorder=0)
    below.axhline(1.0, color=INK, lw=0.8)
    for n, ((name, devices), color) in enumerate(zip(DEVICES.items(), OKABE_ITO, strict=False)):
        own = cells[cells["devices"] == name]
        curve = np.array([predicted(response, devices) for response in line])
        above.plot(line, np.where(curve < HIGHEST, curve, np.nan), color=color, lw=1.6, label=name)
        above.plot(own["k"], own["measured"], "o", color=color, ms=6, mec="white", zorder=3)
        ratio, error = (own[key] / own["predicted"] for key in ("measured", "standard_error"))
        aside = own["k"] + 0.006 * (n - 2)
        below.errorbar(aside, ratio, yerr=error, fmt="o", color=color, ms=4, lw=1.2)
    at = np.linspace(0.1, 0.85, 7)
    formula = (1 + at) / (at * (1 - at) * (2 + at))
    above.plot(at, formula, "x", color=INK, ms=6, zorder=4, label="(1 + k)/(k (1 − k)(2 + k))")
    scale_axis(above.yaxis, above.set_yscale, np.array([1.0, HIGHEST]), log=True)
    above.set_ylabel("variance V", fontsize=9)
    above.tick_params(labelbottom=False)
    above.legend(fontsize=8, frameon=False, loc="upper center")
    below.set_ylim(1.0 - 1.5 * WITHIN, 1.0 + 1.5 * WITHIN)
    below.set_ylabel("measured / predicted", fontsize=9)
    below.set_xlabel("share rate over elasticity of substitution, k = κ/σ", fontsize=9)
    tidy(above)
    tidy(below)
    title.draw(drawn)
    return drawn


def noise(folder: Path) -> list[str]:
    """Write table and figure; the row of the index."""
    cells = table()
    folder.mkdir(parents=True, exist_ok=True)
    cells.to_csv(folder / "table.csv", index=False)
    figure(cells).savefig(folder / "noise.png")
    off = (cells["measured"] / cells["predicted"] - 1.0).abs().max()
    return [
        f"| [noise]({folder.name}/table.csv) | {QUESTION} | {len(cells) * SEEDS} "
        f"| the variance that is predicted, in {len(cells)} cells, within {off:.1%} |"
    ]


if __name__ == "__main__":
    print(*noise(Path("results/noise")), sep="\n")
