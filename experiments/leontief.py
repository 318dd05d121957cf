"""What each mechanism does with a Leontief line, whose inputs other lines buy, too.

Usage: python experiments/leontief.py   (from the top of the repository)

Prints the table of docs/model.md (3, Kinks). At the optimum the line is at its kink, found here in
one dimension: min(x/2, z) = z there, and the first-order condition in z has one root.
"""

import os
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from scipy.optimize import brentq

import market_abm

PROGRAM = "y = min(x/2, z) ** 0.5\nw = x ** 0.5\nv = z ** 0.5"
ENDOWMENT = {"x": 4.0, "z": 2.0}
"""Of which the start, half of each for each user, is at the kink."""

STEPS = 8_000
MARKETS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("unit-bid", {"share_rate": 0.05, "bid_rate": 0.1}),
    ("unit-bid", {"share_rate": 0.005, "bid_rate": 0.01}),
    ("trading-post", {"bid_rate": 0.1}),
    ("trading-post", {"bid_rate": 0.01}),
    ("posted-price", {"order_rate": 0.02, "price_rate": 0.02}),
    ("tatonnement", {"auction_rate": 0.05}),
)
"""Mechanisms and their rates."""


def optimum() -> tuple[float, float, float]:
    """What is made of y at the optimum, and the prices of x and z."""

    def slope(z: float) -> float:
        return float(0.5 * z**-0.5 - 2 * 0.5 * (4 - 2 * z) ** -0.5 - 0.5 * (2 - z) ** -0.5)

    z = brentq(slope, 1e-6, 2 - 1e-6, xtol=1e-15)
    return z**0.5, 0.5 * (4 - 2 * z) ** -0.5, 0.5 * (2 - z) ** -0.5


def measured(mechanism: str, rates: dict[str, Any], **endowment: float) -> dict[str, Any]:
    """How a run ends; of the last quarter of its steps the swing of y, and means."""
    economy = market_abm.from_text(PROGRAM, {**ENDOWMENT, **endowment})
    result = market_abm.run(economy, mechanism=mechanism, steps=STEPS, engine="arrays", **rates)
    column = list(result.goods).index("y")
    last = slice(-STEPS // 4, None) if result.steps == STEPS else slice(-1, None)
    y, prices = result.quantities[last, column], result.prices[last, :2]
    return {
        "ending": result.status,
        "steps": result.steps,
        "swing": float(np.ptp(y) / y.mean()) if y.mean() else np.nan,
        "y": float(y.mean()),
        "prices": prices.mean(axis=0),
    }


def table() -> str:
    """The table in Markdown."""
    best, *ideal = optimum()
    rows = [
        "| mechanism | ends | swing of y, relative | mean y less the optimum | mean prices less "
        "those of the optimum | off the kink at the start |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for mechanism, rates in MARKETS:
        at = measured(mechanism, rates)
        off = measured(mechanism, rates, z=3.0)
        named = ", ".join(f"{key} {value:g}" for key, value in rates.items())
        gaps = ", ".join(f"{gap:.1e}" for gap in at["prices"] / ideal - 1.0)
        rows.append(
            f"| `{mechanism}`, {named} | {at['ending']} | {at['swing']:.1e} | "
            f"{at['y'] / best - 1.0:.1e} | {gaps} | {off['ending']} at step {off['steps']:,} |"
        )
    return "\n".join(rows)


if __name__ == "__main__":
    print(table())
