"""Do households who spend what they earn find the prices that clear?

Usage: python experiments/exchange.py   (from the top of the repository)

Random exchange economies of 2 to 6 households and as many goods (CES utilities, elasticities from
.3 to 2) at a trading post with bid rate .3. Writes results/exchange/table.csv (a row per economy)
and exchange.png. Excess demand at the resting prices is that of the closed form.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

# Before NumPy is imported, as the command does.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

import market_abm
from market_abm import Economy
from market_abm.views.palette import INK, OKABE_ITO
from market_abm.views.plots.style import Title, new_figure, tidy

QUESTION = "Do households who spend what they earn find the prices that clear?"
ECONOMIES = 240
STEPS = 3_000
BID_RATE = 0.3
ELASTICITIES = (0.3, 2.0)
"""Least and largest elasticity of substitution."""


class Exchange(NamedTuple):
    """Households with CES utilities who own goods; arrays (households, goods)."""

    elasticity: np.ndarray
    weights: np.ndarray
    endowments: np.ndarray

    @staticmethod
    def random(seed: int) -> Exchange:
        """The economy of a seed."""
        rng = np.random.default_rng(seed)
        households, goods = rng.integers(2, 7, 2)
        return Exchange(
            elasticity=rng.uniform(*ELASTICITIES, households),
            weights=0.9 * rng.dirichlet(np.ones(goods), households) + 0.1 / goods,
            endowments=rng.uniform(0.05, 2.0, (households, goods)),
        )

    def economy(self) -> Economy:
        """The same as lines of a program."""
        goods = [f"x{k}" for k in range(self.weights.shape[1])]
        rows = zip(self.elasticity.tolist(), self.weights, self.endowments, strict=True)
        households = {
            f"h{n}": {
                "utility": f"ces({', '.join(goods)}, elasticity={sigma!r}, "
                f"weights=({', '.join(map(repr, weights.tolist()))}))",
                "endowment": dict(zip(goods, owned.tolist(), strict=True)),
            }
            for n, (sigma, weights, owned) in enumerate(rows)
        }
        return market_abm.from_text("", households=households)

    def excess(self, prices: np.ndarray) -> float:
        """The largest |demand - supply| over supply: x = m w^σ p^-σ / Σ w^σ p^(1-σ)."""
        sigma, owned = self.elasticity[:, None], self.endowments.sum(axis=0)
        parts = self.weights**sigma * prices ** (1.0 - sigma)
        income = self.endowments @ prices
        demand = ((income / parts.sum(axis=1))[:, None] * parts / prices).sum(axis=0)
        return float(np.abs(demand / owned - 1.0).max())


def table(seeds: Iterable[int] = range(ECONOMIES)) -> pd.DataFrame:
    """A row per economy: how it ended, excess demand, rates and gradient share."""
    rows = []
    for seed in seeds:
        own = Exchange.random(seed)
        households, goods = own.weights.shape
        result = market_abm.run(
            own.economy(),
            mechanism="trading-post",
            bid_rate=BID_RATE,
            engine="arrays",
            steps=STEPS,
            tolerance=1e-11,
        )
        near, turning = result.near_steady_state(), result.rotation
        rows.append(
            {
                "seed": seed,
                "households": households,
                "goods": goods,
                "least_elasticity": own.elasticity.min(),
                "status": result.status,
                "steps": result.steps,
                "excess_demand": own.excess(result.last.prices[:goods]),
                "predicted_rate": near["radius"] if near else np.nan,
                "rate": near["rate"] if near else np.nan,
                "gradient_share": turning.gradient_share if turning else np.nan,
            }
        )
    return pd.DataFrame(rows)


def figure(cells: pd.DataFrame) -> Figure:
    """Excess demand at rest by steps, and the rate measured by that predicted."""
    settled = cells[cells["status"] == "converged"]
    details = (
        f"{len(settled)} of {len(cells)} random exchange economies settle. Left: the largest "
        "excess demand at their resting prices, relative to supply, of the closed form. Right: the "
        "factor by which moves shrink in a step near rest, in runs and by the largest eigenvalue."
    )
    title = Title(QUESTION, details, 7.2)
    height = title.height + 3.4
    drawn = new_figure(7.2, height)
    left, right = (drawn.add_axes((at, 0.55 / height, 0.39, 2.7 / height)) for at in (0.09, 0.59))
    points: dict[str, Any] = {"marker": "o", "ls": "", "ms": 3.5, "alpha": 0.6, "mew": 0}
    shown = settled["excess_demand"].clip(lower=1e-16)
    left.semilogy(settled["steps"], shown, color=OKABE_ITO[0], **points)
    left.set_xlabel("steps until rest", fontsize=9)
    left.set_ylabel("excess demand", fontsize=9)
    least, most = settled["predicted_rate"].min() - 0.02, settled["predicted_rate"].max() + 0.02
    right.plot((least, most), (least, most), color=INK, lw=0.8)
    right.plot(settled["predicted_rate"], settled["rate"], color=OKABE_ITO[1], **points)
    right.set_xlabel("rate at rest, predicted", fontsize=9)
    right.set_ylabel("rate, measured", fontsize=9)
    for axes in (left, right):
        tidy(axes)
    title.draw(drawn)
    return drawn


def exchange(folder: Path) -> list[str]:
    """Write table and figure; the row of the index."""
    cells = table()
    folder.mkdir(parents=True, exist_ok=True)
    cells.to_csv(folder / "table.csv", index=False, float_format="%.6g")
    figure(cells).savefig(folder / "exchange.png")
    settled = cells[cells["status"] == "converged"]
    return [
        f"| [{folder.name}]({folder.name}/table.csv) | {QUESTION} | {len(cells)} | {len(settled)} "
        f"settle, where excess demand is at most {settled['excess_demand'].max():.1e} |"
    ]


if __name__ == "__main__":
    print(*exchange(Path("results/exchange")), sep="\n")
