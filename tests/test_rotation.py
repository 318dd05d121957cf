"""How much of a market's step at rest is gradient: closed forms, the Hessian of W, and exceptions.

J is good to 1e-10 (of entries that are relative to sizes), and a generator of fresh prices, which
solves a linear system with it, to some 1e-9; shares are squares of that.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from support.profiles import examples
from support.random_markets import Market, random_markets

import market_abm
from market_abm.analysis.rotation import Rotation, rotation
from market_abm.gradient.allocation import Problem
from market_abm.gradient.hessian import Variables
from market_abm.market.base import MarketSettings

MECHANISMS = ("unit-bid", "trading-post", "tatonnement")


def known(*args: Any) -> Rotation:
    found = rotation(*args)
    assert found is not None
    return found


# --- without income effects -----------------------------------------------------------------------


def mobilities(economy: market_abm.Economy, market: MarketSettings, at: Any) -> np.ndarray:
    """What each logarithm of a supply or a share moves by, for a unit of the slope of W by it.

    From the rules by hand: a share moves by κ (b/π - 1), or α (MRP x/m - 1), an offer by ρ η (p/MC
    - 1), or β (p - MC).
    """
    variables = Variables(Problem(economy))
    terms = list(economy.supply.values())
    found = []
    for good in variables.suppliers:
        each, money = terms[good], at.prices[good] * at.raw[good]
        if each.kind == "gradient":
            found.append(each.rate / each.quantity**2)
        else:
            found.append(each.adjustment * each.elasticity / money)
    rate = market.bid_rate if market.rules.bids_are_money else market.share_rate
    spent = at.shares * at.worth
    pools = economy.buyers.pool
    found += list(rate / (np.bincount(pools, spent)[pools] * at.shares)[variables.buyers])
    return np.array(found)


def check_hessian(market: Market) -> None:
    """Eigenvalues of the generator are those of the exact Hessian of W, times mobilities."""
    problem = Problem(market.economy)
    at = problem.evaluate(market.rest.quantities[: len(market.economy.supply)], market.rest.shares)
    variables = Variables(problem)
    free = np.ones(variables.size, bool)
    free[variables.first :] = at.shares[variables.buyers] > 0.0
    matrix = variables.hessian(at, free)[np.ix_(free, free)]
    by_hand = mobilities(market.economy, market.settings, at)[free][:, None] * matrix
    expected = np.sort(np.linalg.eigvals(by_hand).real)
    found = known(market.economy, market.settings, market.rest)
    # The sum of a pool's logarithms moves nothing: a 0 for each.
    own = np.sort(
        np.concatenate([found.eigenvalues.real, np.zeros(len(matrix) - len(found.generator))])
    )
    np.testing.assert_allclose(own, expected, atol=1e-7 * np.abs(expected).max())


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_without_income_effects_there_is_no_rotation(mechanism: str) -> None:
    """In random economies: several firms, suppliers and consumers who respond, copies, loops."""
    worst = []

    @given(drawn=random_markets(mechanism))
    @settings(max_examples=examples(60))
    def check(drawn: Any) -> None:
        market, _ = drawn
        found = rotation(market.economy, market.settings, market.rest)
        assume(found is not None)
        worst.append(found.rotation_norm / found.gradient_norm)
        assert found.rotation_norm <= 1e-7 * found.gradient_norm
        if mechanism != "tatonnement":
            check_hessian(market)

    check()
    print(mechanism, len(worst), max(worst), np.median(worst))
