"""Who bears a tax on the capital of one sector: market, equilibrium, and Harberger's formula.

Usage: python experiments/harberger.py   (from the top of the repository)

Writes results/harberger-incidence/table.csv (a row per rate and elasticity) and incidence.png. The
economy is that of experiments/harberger.toml. The equilibrium is solved from unit costs alone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

# Before NumPy is imported, as the command does.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.optimize import brentq

import market_abm
from market_abm import Experiment
from market_abm.analysis.incidence import TwoSectors
from market_abm.views.palette import INK, OKABE_ITO
from market_abm.views.plots.style import Title, new_figure, tidy

HERE = Path(__file__).parent
QUESTION = "Who bears a tax on the capital of one sector?"
WEIGHTS = np.array([[0.7, 0.3], [0.4, 0.6], [0.6, 0.4]])
"""Of labour and capital in x and y, and of x and y in utility."""

FACTORS = np.array([3.0, 2.0])
"""Units of labour and capital."""

RATES = np.linspace(0.0, 1.0, 11)
SUBSTITUTION = (0.4, 0.8, 1.6)
"""Elasticities of substitution in x."""


class Equilibrium(NamedTuple):
    """Return of capital over wage, and the factors that the sectors use, (sectors, factors)."""

    ratio: float
    used: np.ndarray
    costs: np.ndarray


def equilibrium(rate: float, elasticities: Mapping[str, float]) -> Equilibrium:
    """The equilibrium at a rate of the tax on the capital of x, where labour costs 1."""
    sigma = np.array([elasticities[f"substitution_{name}"] for name in ("x", "y", "demand")])

    def used(ratio: float) -> tuple[np.ndarray, np.ndarray]:
        paid = np.array([[1.0, ratio * (1.0 + rate)], [1.0, ratio]])
        per_unit, costs = _ces(WEIGHTS[:2], paid, sigma[:2])
        amounts, _ = _ces(WEIGHTS[2:], costs[None], sigma[2:])
        factors = per_unit * amounts.T
        return factors * FACTORS[0] / factors[:, 0].sum(), paid * per_unit / costs[:, None]

    ratio = brentq(lambda each: used(each)[0][:, 1].sum() - FACTORS[1], 1e-3, 1e3, xtol=1e-15)
    return Equilibrium(ratio, *used(ratio))


def _ces(
    weights: np.ndarray, prices: np.ndarray, sigma: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Inputs of a unit, (lines, inputs), and its cost, (lines,), of (Σ a x^r)^(1/r)."""
    power = sigma[:, None]
    cost = (weights**power * prices ** (1.0 - power)).sum(axis=1) ** (1.0 / (1.0 - sigma))
    return (weights * cost[:, None] / prices) ** power, cost


def slope(elasticities: Mapping[str, float]) -> float:
    """Harberger's formula: d ln(r/w)/d ln(1 + τ) at τ = 0."""
    at = equilibrium(0.0, elasticities)
    parts = at.used[0] / at.used.sum(axis=0)
    sectors = TwoSectors(
        capital_cost=(at.costs[0, 1], at.costs[1, 1]),
        labour=parts[0],
        capital=parts[1],
        substitution=(elasticities["substitution_x"], elasticities["substitution_y"]),
        demand=elasticities["substitution_demand"],
    )
    return sectors.relative_return()


def table() -> pd.DataFrame:
    """A row per rate and elasticity: r/w in the market, at the equilibrium, and by the formula."""
    experiment = Experiment.load(HERE / "harberger.toml")
    given = experiment.configuration["economy"]["parameters"]
    axes = {
        "taxes.corporate.rate": RATES.tolist(),
        "economy.parameters.substitution_x": list(SUBSTITUTION),
    }
    runs = market_abm.sweep(experiment, axes)
    rows = []
    for _, run in runs.iterrows():
        rate, own = run["taxes.corporate.rate"], run["economy.parameters.substitution_x"]
        elasticities = {**given, "substitution_x": own}
        untaxed = equilibrium(0.0, elasticities).ratio
        rows.append(
            {
                "substitution_x": own,
                "rate": rate,
                "status": run["status"],
                "market": run["price.capital"] / run["price.labour"],
                "equilibrium": equilibrium(rate, elasticities).ratio,
                "formula": untaxed * (1.0 + rate) ** slope(elasticities),
            }
        )
    return pd.DataFrame(rows)


def figure(cells: pd.DataFrame) -> Figure:
    """The return of capital over the wage by the rate: the market, equilibrium and formula."""
    details = (
        "The return of capital, net of the tax, over the wage, by the rate. Dots: the market at "
        "rest; lines: the equilibrium, from unit costs; dashed: Harberger's formula, of a small "
        "tax. σ: elasticity of substitution in the taxed sector."
    )
    title = Title(QUESTION, details, 7.2)
    height = title.height + 3.6
    drawn = new_figure(7.2, height)
    axes = drawn.add_axes((0.1, 0.5 / height, 0.88, 3.0 / height))
    for own, color in zip(SUBSTITUTION, OKABE_ITO, strict=False):
        rows = cells[cells["substitution_x"] == own]
        start = rows["equilibrium"].iloc[0]
        axes.plot(
            rows["rate"], rows["equilibrium"] / start, color=color, lw=1.6, label=f"σ = {own}"
        )
        axes.plot(rows["rate"], rows["formula"] / start, color=color, lw=1.0, ls="--")
        axes.plot(rows["rate"], rows["market"] / start, "o", color=color, ms=5, mec="white")
    axes.axhline(1.0, color=INK, lw=0.6)
    axes.set_xlabel("rate of the tax on the capital of x", fontsize=9)
    axes.set_ylabel("r/w over that without the tax", fontsize=9)
    axes.legend(fontsize=8, frameon=False)
    tidy(axes)
    title.draw(drawn)
    return drawn


def incidence(folder: Path) -> list[str]:
    """Write table and figure; the row of the index."""
    cells = table()
    folder.mkdir(parents=True, exist_ok=True)
    cells.to_csv(folder / "table.csv", index=False)
    figure(cells).savefig(folder / "incidence.png")
    off = (cells["market"] / cells["equilibrium"] - 1.0).abs().max()
    least = cells["rate"] == RATES[1]
    small = (cells["formula"] / cells["equilibrium"] - 1.0)[least].abs().max()
    return [
        f"| [{folder.name}]({folder.name}/table.csv) | {QUESTION} | {len(cells)} | the market is "
        f"within {off:.1e} of the equilibrium; at a rate of {RATES[1]:.0%} Harberger's formula is "
        f"within {small:.1e} |"
    ]


if __name__ == "__main__":
    print(*incidence(Path("results/harberger-incidence")), sep="\n")
