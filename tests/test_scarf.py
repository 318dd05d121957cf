"""Scarf's economy (1960), where prices turn; Shapley and Shubik's (1977), with three rests.

Closed forms are by hand, from x = m w^σ p^-σ / Σ w^σ p^(1-σ), and the market is only asked.
"""

from __future__ import annotations

import cmath
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import brentq
from support.households import exchange, scarf

from market_abm import Experiment, equilibrium, from_text, run, sweep
from market_abm.analysis.rotation import rotation
from market_abm.analysis.stability import stability
from market_abm.economy.economy import Economy
from market_abm.market.arrays import ArrayEngine
from market_abm.market.mechanisms.registry import array_market, market_settings

EXPERIMENTS = Path(__file__).parents[1] / "experiments"

SIGMAS = (0.3, 0.5, 0.9, 1.5)
EDGES = (1.8898, 2.2857, 2.0991, 1.5484)


def market(*economies: Economy, rate: float = 0.1) -> ArrayEngine:
    settings = market_settings(mechanism="tatonnement", auction_rate=rate)
    return array_market(list(economies), [settings] * len(economies), [1] * len(economies))


def excess_demand(economy: Economy) -> Callable[[np.ndarray], np.ndarray]:
    """Demand less supply of an exchange economy by prices, from plans of its market."""
    engine = market(economy)
    goods = len(economy.supply)
    places = economy.buyers.pool_good

    def at(prices: np.ndarray) -> np.ndarray:
        memory = engine.memory
        memory["quotes"][:] = prices[places]
        engine.memory = memory
        bought = np.bincount(economy.buyers.good, engine.orders[0], goods)
        return bought[:goods] - engine.quantities[0, :goods]

    return at


def complement() -> np.ndarray:
    """Orthonormal rows that span what is orthogonal to (1, 1, 1)."""
    return np.array([[1, -1, 0], [1, 1, -2]]) / np.sqrt([[2.0], [6.0]])


# --- eigenvalues and the edge --------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [*SIGMAS, 0.0])
def test_excess_demand_turns_whatever_the_elasticity(sigma):
    """Its eigenvalues at rest are -3σ/4 ± i√3/4; entries of its antisymmetric part are ±1/4.

    Differences of 1e-5 are good to 1e-9.
    """
    demand, step = excess_demand(scarf(sigma)), 1e-5
    columns = [
        (demand(1 + step * unit) - demand(1 - step * unit)) / (2 * step) for unit in np.eye(3)
    ]
    jacobian = np.transpose(columns)
    values = np.linalg.eigvals(complement() @ jacobian @ complement().T)
    expected = -0.75 * sigma + 1j * np.array([1, -1]) * np.sqrt(3) / 4
    np.testing.assert_allclose(values[np.argsort(-values.imag)], expected, atol=1e-8)
    rotation = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / 4
    np.testing.assert_allclose((jacobian - jacobian.T) / 2, rotation, atol=1e-8)


@pytest.mark.parametrize(
    ("sigma", "edge"),
    [
        pytest.param(*each, marks=[] if each[0] == 0.5 else pytest.mark.slow)
        for each in zip(SIGMAS, EDGES, strict=True)
    ],
)
def test_stable_below_an_auction_rate(sigma, edge):
    """Where the measured rate of a sweep of runs is 1, 8σ/(3σ² + 1) by |1 + λμ| = 1; to 0.1 %.

    Prices begin 1e-6 beside equality, so that their level stays 1 for a hundred steps.
    """
    axes = {"market.auction_rate": 8 * sigma / (3 * sigma**2 + 1) * np.linspace(0.96, 1.03, 4)}
    settings = {"economy.parameters.sigma": sigma, "run.steps": 100}
    table = sweep(EXPERIMENTS / "scarf.toml", axes, overrides=settings)
    rates, growth = (table[name].to_numpy() for name in ("market.auction_rate", "rate"))
    value = -0.75 * sigma + 1j * np.sqrt(3) / 4
    np.testing.assert_allclose(growth, abs(1 + rates * value), rtol=1e-4)
    measured = np.interp(0.0, np.log(growth), rates)
    assert abs(measured / edge - 1.0) < 1e-3


def test_the_level_of_prices_only_rises_and_only_its_ratio_to_the_rate_matters():
    """Σp² grows by λ² |z|² in a step, since p · z = 0."""
    economy = scarf(0.5, {"x": 1.4, "z": 0.7})
    one, double = (
        market(economy, rate=0.5),
        market(scarf(0.5, {"x": 2.8, "y": 2, "z": 1.4}), rate=1),
    )
    demand = excess_demand(economy)
    for _ in range(20):
        before = one.state.prices[0, :3].copy()
        z = demand(before)
        one.step()
        double.step()
        now = one.state.prices[0, :3]
        np.testing.assert_allclose(
            now @ now - before @ before, 0.25 * z @ z, rtol=1e-10, atol=1e-15
        )
        np.testing.assert_allclose(double.state.prices[0, :3], 2 * now, rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(("sigma", "edge"), list(zip(SIGMAS, EDGES, strict=True)))
def test_above_the_edge_prices_rise_until_it_is_above_the_rate(sigma, edge):
    """A rate 3 % below settles at the level 1, one 3 % above at a level of about 1.06 (to 2 %).

    Near the edge amplitude² and level turn into each other: the level ends as far above the edge
    as it began below it.
    """
    for factor in (0.97, 1.03):
        made = scarf(sigma, {"x": 1.001, "z": 0.999})
        rate = factor * edge
        result = run(made, mechanism="tatonnement", auction_rate=rate, steps=6000, engine="arrays")
        assert result.status == "converged"
        level = np.linalg.norm(result.last.prices[:3]) / np.linalg.norm([1.001, 1.0, 0.999])
        np.testing.assert_allclose(result.last.prices[:3], level, rtol=1e-4)
        assert abs(level - max(1.0, 2 * factor - 1.0)) < (1e-4 if factor < 1 else 0.02)
        assert rate / level < edge


# --- fixed proportions ---------------------------------------------------------------------------


def invariant(prices: np.ndarray) -> np.ndarray:
    """p₁ p₂ p₃ at Σp² = 3, for prices of shape (..., 3)."""
    return np.prod(prices, axis=-1) / (np.sum(prices**2, axis=-1) / 3) ** 1.5


@pytest.mark.slow
def test_prices_circle_in_continuous_time():
    """dp/dt = z(p) by Runge and Kutta keeps p₁p₂p₃ and Σp², and comes back (tolerance 1e-10)."""
    demand, start = excess_demand(scarf(0.0)), np.array([1.3, 1.0, 0.7])

    def passes(_: float, prices: np.ndarray) -> float:
        return float(prices[2] / prices[1] - 0.7)

    passes.direction = -1.0  # type: ignore[attr-defined]
    path = solve_ivp(lambda _, p: demand(p), (0, 40), start, rtol=1e-10, atol=1e-12, events=passes)
    np.testing.assert_allclose(invariant(path.y.T), invariant(start), rtol=1e-8)
    np.testing.assert_allclose(np.sum(path.y**2, axis=0), start @ start, rtol=1e-8)
    turns = path.y_events[0][path.t_events[0] > 1.0]
    np.testing.assert_allclose(turns, [start, start], rtol=1e-7)
    assert np.ptp(path.y[0]) > 0.5


@pytest.mark.slow
def test_fixed_proportions_leave_nothing_but_the_rotation():
    """At prices of 1 a step turns by λ ±i√3/4, and no part of it is a gradient; by hand, 1e-8."""
    economy, settings = Experiment.load("scarf-circle").economy, market_settings("tatonnement")
    rate = settings.auction_rate * np.sqrt(3.0) / 4.0
    at_one = equilibrium(economy, level=np.ones(len(economy.goods)))
    assert at_one.prices[:3] == pytest.approx(1.0, rel=1e-9)
    found = rotation(economy, settings, at_one)
    assert found.gradient_share < 1e-12
    np.testing.assert_allclose(found.eigenvalues, [1j * rate, -1j * rate], atol=1e-8)
    near = stability(economy, settings, at_one)
    assert near.radius == pytest.approx(abs(1.0 + 1j * rate), abs=1e-8)


def test_steps_drift_off_the_circle_in_proportion_to_the_rate():
    """Over one stretch of time, 30: half the rate, half the drift of p₁p₂p₃ and of Σp² (to 3 %)."""
    drifts, levels = [], []
    for steps in (750, 1500, 3000):
        engine = market(scarf(0.0, {"x": 1.3, "z": 0.7}), rate=30 / steps)
        start = engine.state.prices[0, :3].copy()
        for _ in range(steps):
            engine.step()
        end = engine.state.prices[0, :3]
        drifts.append(np.log(invariant(end) / invariant(start)))
        levels.append(np.log((end @ end) / (start @ start)))
    for each in (np.array(drifts), np.array(levels)):
        np.testing.assert_allclose(each[:-1] / each[1:], 2.0, rtol=0.07)
        assert abs(each[-2] / each[-1] - 2) < abs(each[-3] / each[-2] - 2)
    assert drifts[-1] < 0 < levels[-1]


# --- money in the place of an auctioneer ---------------------------------------------------------


def money_rate(sigma: float, bid_rate: float, sequential: bool) -> float:
    """The largest eigenvalue of the trading post's step, by hand, of all three modes of a circle.

    With w = e^(2πik/3), money m, and s the part that goes to the own good: p = a m + b s with a =
    (1 + w̄)/2, b = 1 - w̄; m' = p; s' = (1 - α) s + α v, and of the batch bought one trade before
    (two if not sequential) v = r s + (r/4)(w - 1) p, r = (σ - 1)/σ.
    """
    r, alpha, found = (sigma - 1) / sigma, bid_rate, []
    for k in range(3):
        w = cmath.exp(2j * np.pi * k / 3)
        a, b = (1 + w.conjugate()) / 2, 1 - w.conjugate()
        # In the order (m, s, v of the last trade): rows are what each becomes.
        value = np.array([r / 4 * (w - 1) * a, r + r / 4 * (w - 1) * b, 0])
        rows = [[a, b, 0], [0, 1 - alpha, alpha], value]
        if sequential:
            rows = [[a, b, 0], (1 - alpha) * np.array([0, 1, 0]) + alpha * value, [0, 0, 0]]
        values = np.linalg.eigvals(np.array(rows, complex))
        found += [abs(each) for each in values if k or abs(each - 1) > 1e-12]
    return max(found)


def test_money_settles_at_any_elasticity_if_bids_move_slowly():
    """Up to a bid rate of about 0.4 σ where σ is small, as an auctioneer up to 8 σ."""
    for sigma in (0.001, 0.01, 0.1, 0.3, 1.0, 3.0):
        for sequential in (False, True):
            assert money_rate(sigma, 0.39 * min(1.0, sigma), sequential) < 1.0
    assert money_rate(0.001, 0.0004, False) > 1.0


@pytest.mark.slow
@pytest.mark.parametrize(("sigma", "edge"), [(0.1, 0.06104), (0.2, 0.19302)])
def test_money_is_stable_below_a_bid_rate(sigma, edge):
    """Where the measured rate of a sweep of runs is 1; by hand, to 1 %.

    (From σ = .26 on it is σ/(1 - σ), as of a single split: what turns has settled before.)
    """
    around = edge * np.array([0.97, 0.99, 1.01, 1.03])
    settings = {"economy.parameters.sigma": sigma, "run.steps": 300}
    settings |= {"households.first.money": 1.0 + 1e-6, "households.third.money": 1.0 - 2e-6}
    table = sweep(
        EXPERIMENTS / "scarf-trading-post.toml", {"market.bid_rate": around}, overrides=settings
    )
    growth = table["rate"].to_numpy()
    expected = [money_rate(sigma, each, False) for each in around]
    np.testing.assert_allclose(growth, expected, rtol=1e-4)
    assert expected[1] < 1.0 < expected[2]
    assert abs(np.interp(1.0, growth, around) / edge - 1.0) < 0.01


@pytest.mark.parametrize(
    ("activation", "sigma", "bid_rate"),
    [
        ("simultaneous", 0.5, 0.3),
        *(
            pytest.param(activation, *rates, marks=pytest.mark.slow)
            for activation in ("simultaneous", "sequential")
            for rates in ((0.3, 0.1), (0.5, 0.31), (0.9, 0.5), (1.5, 1.0))
        ),
    ],
)
def test_money_finds_the_equilibrium(activation, sigma, bid_rate):
    """At the rate of its eigenvalues (to 1e-4, as measured), with the money that there was."""
    economy = from_text(
        "",
        households={
            name: {"utility": own.utility, "endowment": own.endowment, "money": money}
            for (name, own), money in zip(
                scarf(sigma).households.items(), (1.2, 1.0, 0.5), strict=True
            )
        },
        parameters={"sigma": sigma},
    )
    settings: Any = {"mechanism": "trading-post", "activation": activation, "engine": "arrays"}
    result = run(economy, bid_rate=bid_rate, steps=600, **settings)
    assert result.status == "converged"
    np.testing.assert_allclose(result.last.prices[:3], 0.9, rtol=1e-8)
    expected = money_rate(sigma, bid_rate, activation == "sequential")
    np.testing.assert_allclose(result.summary()["rate"], expected, rtol=1e-4)


# --- Shapley and Shubik --------------------------------------------------------------------------


def excess_by_hand(ratio: float) -> float:
    """Demand less supply of y at p_y/p_x, where neither household is at a corner."""
    return 10 * np.log(10 / ratio) - 10 * np.log(11 * ratio) / ratio


RESTS = (0.197140717, 1.329713935, 3.596541447)


def three_rests() -> Economy:
    wants = {"ivanov": "x + 100*(1 - exp(-y/10))", "john": "y + 110*(1 - exp(-x/10))"}
    return exchange(wants, {"ivanov": {"x": 40.0}, "john": {"y": 50.0}})


def test_three_equilibria():
    """All roots of excess demand over ratios from 1e-3 to 1e3, by the market and by hand."""
    demand = excess_demand(three_rests())
    ratios = np.geomspace(1e-3, 1e3, 40)

    def of_market(ratio: float) -> float:
        return float(demand(np.array([1.0, ratio]))[1])

    signs = np.sign([of_market(ratio) for ratio in ratios])
    places = np.flatnonzero(signs[:-1] != signs[1:])
    assert len(places) == 3
    for place, expected in zip(places, RESTS, strict=True):
        between = ratios[place], ratios[place + 1]
        by_hand = brentq(excess_by_hand, *between, xtol=1e-15)
        np.testing.assert_allclose(by_hand, expected, atol=6e-10)
        np.testing.assert_allclose(brentq(of_market, *between, xtol=1e-14), by_hand, rtol=1e-11)


@pytest.mark.slow
def test_the_middle_equilibrium_divides_the_starts():
    """A sweep of first prices: to the first or last rest, and to none but these."""
    starts = np.concatenate([np.geomspace(0.1, 10, 9), RESTS[1] * np.array([0.999, 1.001])])
    axes = {"supply.y.price": starts}
    table = sweep(EXPERIMENTS / "shapley-shubik.toml", axes)
    assert set(table["status"]) == {"converged"}
    ends = (table["price.y"] / table["price.x"]).to_numpy()
    expected = np.where(starts < RESTS[1], RESTS[0], RESTS[2])
    np.testing.assert_allclose(ends, expected, rtol=1e-7)
    np.testing.assert_allclose(table["best_price.y"], expected, rtol=1e-8)  # known to nine digits
    # A step raises the length of prices, in units of which rates are, to second order: from the
    # farthest start the rate is off by 2.3 %, from the median one by 3e-4.
    off = np.abs(table["predicted_rate"] / table["rate"] - 1.0)
    assert off.max() < 0.025 and off.median() < 1e-3
