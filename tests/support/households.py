"""Economies of households that several test files use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from market_abm import from_text
from market_abm.economy.economy import Economy


def exchange(
    utilities: Mapping[str, str],
    endowments: Mapping[str, Mapping[str, float]],
    prices: Mapping[str, float] | None = None,
    parameters: Mapping[str, float] | None = None,
) -> Economy:
    """Households that own goods and want goods, without firms; first ``prices`` are 1 by default.

    ``utilities`` and ``endowments`` are by household.
    """
    households = {
        name: {"utility": text, "endowment": dict(endowments[name])}
        for name, text in utilities.items()
    }
    supply = {good: {"price": float(price)} for good, price in (prices or {}).items()}
    return from_text("", supply, households=households, parameters=parameters)


def scarf(sigma: float, prices: Mapping[str, float] | None = None) -> Economy:
    """Scarf (1960): household i owns a unit of good i and wants i and i + 1; ``min`` at σ = 0."""
    pairs = {"first": "x, y", "second": "y, z", "third": "z, x"}
    form = "ces({}, elasticity=sigma)" if sigma else "min({})"
    return exchange(
        {name: form.format(pair) for name, pair in pairs.items()},
        {name: {pair[0]: 1.0} for name, pair in pairs.items()},
        prices,
        {"sigma": sigma} if sigma else {},
    )


LINES = """
bread = ces(labour, land, elasticity=0.6, weights=(0.7, 0.3)) ** 0.8
cloth = labour ** 0.6 * bread ** 0.2
wine  = ln(1 + land) + sqrt(labour)
"""


def village(seed: int) -> Economy:
    """Three unlike households who own factors, wine and firms, work, and want leisure; random."""
    rng = np.random.default_rng(seed)
    wants = {
        "worker": "ces(bread, cloth, labour, elasticity=sigma)",
        "owner": "cobb_douglas(bread, wine, exponents=(0.5, 1.5))",
        "monk": "wine + taste*ln(1 + cloth) + ln(1 + bread)",
    }
    parts, transfers = rng.dirichlet([1.0, 1.0, 1.0]), (-0.1, 0.3, -0.2)
    households: dict[str, Any] = {}
    for k, (name, text) in enumerate(wants.items()):
        households[name] = {
            "utility": text,
            "endowment": {"labour": rng.uniform(1, 5), "land": rng.uniform(0.5, 3)},
            "owns": {"bread": parts[k], "wine": float(k == 0), "cloth": 1.0 / 3.0},
            "transfer": transfers[k],
        }
    households["owner"]["endowment"]["wine"] = rng.uniform(0.1, 1.0)
    return from_text(
        LINES,
        supply={"labour": {"price": float(rng.uniform(0.5, 2))}, "land": {"price": 0.7}},
        households=households,
        parameters={"sigma": rng.uniform(0.3, 2), "taste": rng.uniform(0.5, 3)},
    )
