"""Random economies under each mechanism whose step is smooth, with rates on both sides of 1."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

import market_abm
from market_abm.analysis.stability import Stability, stability
from market_abm.gradient import backprop
from market_abm.gradient.equilibrium import Equilibrium, equilibrium
from market_abm.market.base import MarketSettings
from market_abm.market.mechanisms.registry import array_market
from support.open_economies import open_economies
from support.strategies import decreasing_dags, loops, rival_dags

DRAWN = {
    "unit-bid": st.one_of(open_economies(runs=1), loops("rival"), loops("copy")),
    "trading-post": st.one_of(open_economies(runs=1), loops("rival"), rival_dags()),
    "tatonnement": st.one_of(decreasing_dags(), open_economies(runs=1)),
}
"""Programs that each mechanism can run."""


@dataclass(frozen=True)
class Market:
    """A random economy and market, where it rests, and what its eigenvalues are there."""

    economy: market_abm.Economy
    settings: MarketSettings
    rest: Equilibrium
    near: Stability

    def paths(self, steps: int, off: float, rng: np.random.Generator) -> list[np.ndarray]:
        """Prices, quantities and shares of steps from rest, all variables ``off`` by about this.

        Up to a step that cannot be made, or in which a price is a thousand times what it was.
        """
        buyers, rules = self.economy.buyers, self.settings.rules
        products = backprop.marginal_products(
            self.economy, self.rest.shares * self.rest.quantities[buyers.good]
        )
        worth = self.rest.prices[buyers.maker] * products
        memory = rules.steady_memory(self.economy, self.rest, worth, products)
        moving = rules.moving(self.economy)
        for name, at in memory.items():
            factor = 1.0 + off * rng.standard_normal(at.shape)
            memory[name] = np.where(moving.get(name, True), at * factor, at)
        if "shares" in memory:
            for pool in buyers.pools:
                memory["shares"][pool.buyers] /= memory["shares"][pool.buyers].sum()
        engine = array_market([self.economy], [self.settings], [0])
        engine.memory = {name: at[None].copy() for name, at in memory.items()}
        seen: list[Any] = []
        for _ in range(steps):
            engine.step()
            state = engine.state
            if engine.failed or not np.abs(state.prices).max() < 1e3 * self.rest.prices.max():
                break
            seen.append((state.prices[0], state.quantities[0], state.shares[0]))
        return [np.array(each) for each in zip(*seen, strict=True)]


def market_of(mechanism: str, economy: Any, rng: np.random.Generator) -> MarketSettings | None:
    """Settings of any speed, some of them too fast; None if there are none."""
    if mechanism == "tatonnement":
        # With λ times a curvature far above 2, the radius is λ times the largest curvature, less 1.
        fast = stability(economy, market_abm.market_settings(mechanism, auction_rate=1e3))
        if fast is None:
            return None
        rate = rng.uniform(0.2, 1.15) * 2e3 / (fast.radius + 1.0)
        return market_abm.market_settings(mechanism, auction_rate=rate)
    rates = {"bid_rate": 1.0 if rng.random() < 0.3 else rng.uniform(0.2, 1.0)}
    if mechanism == "unit-bid":
        rates["share_rate"] = rng.uniform(0.05, 3.0)
    activation = str(rng.choice(["simultaneous", "sequential"]))
    return market_abm.market_settings(mechanism, activation=activation, **rates)


@st.composite
def random_markets(draw: Any, mechanism: str) -> tuple[Market, np.random.Generator]:
    """A market at any speed, and a generator for its disturbances."""
    drawn, rng = draw(DRAWN[mechanism]), np.random.default_rng(draw(st.integers(0, 2**32)))
    if isinstance(drawn, list):
        (only,) = drawn
        supply = {
            good: terms | ({"adjustment": rng.uniform(0.05, 1.0)} if "kind" not in terms else {})
            for good, terms in only.supply.items()
        }
        economy = replace(only, supply=supply).economy()
    else:
        economy = market_abm.from_text(**drawn.arguments)
    rest = equilibrium(economy)
    settings = market_of(mechanism, economy, rng)
    near = None if settings is None else stability(economy, settings, rest)
    assume(near is not None)
    return Market(economy, settings, rest, near), rng
