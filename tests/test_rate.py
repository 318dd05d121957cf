"""The measured rate: paths alone, against the eigenvalues of a step, which see no path."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from support.economies import split
from support.profiles import members
from support.random_markets import DRAWN, random_markets

import market_abm
from market_abm.analysis.rate import measured_rate
from market_abm.economy.read_table import read_table
from market_abm.errors import MarketError
from market_abm.experiment.experiment import Experiment
from market_abm.experiment.settings import RunSettings
from market_abm.market.mechanisms.registry import array_market
from market_abm.studies.near_steady_state import steady_state


def rate_of(*paths: np.ndarray, every: int = 1) -> tuple[float, float]:
    return measured_rate(paths, every * np.arange(len(paths[0])))


# --- paths made by hand ---------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.3, 0.9, 0.999, 1.0208, 1.3])
@pytest.mark.parametrize("period", [1, 2, 7])
def test_moves_in_bursts(rate: float, period: int) -> None:
    """A path that moves in one step of ``period``, by ``rate`` a step in the long run; to 1e-6.

    It comes to rest from a distance of 1 % within rounding, or gets there from 1e-10.
    """
    steps = np.arange(min(300, int(18.0 / abs(math.log(rate)))))
    moves = 1e-2 * (1e-8 if rate > 1.0 else 1.0) * abs(1.0 - rate) * rate**steps
    moves *= steps % period == 0
    path = 1.0 + np.cumsum(moves)[:, None] * [1.0, -0.5]
    value, uncertainty = rate_of(path)
    if len(steps) >= 10 * period or not math.isnan(value):  # of fewer bursts it may say nothing
        assert value == pytest.approx(rate, rel=1e-6) and uncertainty < 1e-5 * rate


def test_a_thinned_record_has_the_same_rate_per_step() -> None:
    """Every fifth step, and the last one, at whatever distance from those."""
    steps = np.append(5 * np.arange(40), 198)
    path = (2.0 + 0.05 * 0.93**steps * np.cos(0.4 * steps))[:, None]
    assert measured_rate([path], steps).value == pytest.approx(0.93, rel=1e-6)


def test_where_there_is_no_rate_none_is_given() -> None:
    """Few moves, none, noise, noisy moves, one far from rest, cycles, and no number."""
    rng, steps = np.random.default_rng(1), np.arange(300)
    for path in (
        1.0 + 0.3 ** steps[:6],
        np.ones(300),
        1.0 + 1e-4 * rng.standard_normal(300),
        1.0 + 1e-4 * 0.98**steps * (1.0 + 0.2 * rng.standard_normal(300)),
        10.0 - 0.9999**steps,
        2.0 + np.sin(0.3 * steps),
        2.0 + np.tanh(3.0 * np.sin(0.3 * steps)),
        np.where(steps < 5, 2.0**steps, np.nan),
    ):
        assert math.isnan(rate_of(path[:, None])[0]), path


# --- economies ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sigma", "depth", "bid_rate"),
    members([(0.6, 2, 1.0), (0.6, 8, 1.0), (0.7, 0, 1.0), (0.45, 2, 0.6)], quick=[(0.6, 2, 1.0)]),
)
def test_money_in_a_deep_split(sigma: float, depth: int, bid_rate: float) -> None:
    """Where moves come once in 2 (d + 1) steps or so: to 1e-4, as far as these are linear.

    With α = 1 a disturbance returns times -(1 - σ)/σ after 2 (d + 1) steps (docs/model.md, 4).
    """
    economy = split(depth, sigma)
    told = market_abm.run(
        economy, mechanism="trading-post", engine="arrays", bid_rate=bid_rate, steps=1500
    )
    near = told.near_steady_state()
    assert near is not None
    assert near["rate"] == pytest.approx(near["radius"], rel=1e-4)
    assert near["rate_uncertainty"] < 1e-3
    if bid_rate == 1.0:
        expected = ((1.0 - sigma) / sigma) ** (1.0 / (2 * (depth + 1)))
        assert near["rate"] == pytest.approx(expected, rel=1e-4)


def test_a_cycle_far_from_rest_has_no_rate() -> None:
    """Rest is unstable, and the run ends on a cycle, whose moves say nothing about rest."""
    told = market_abm.run(
        split(1, 0.3), mechanism="trading-post", engine="arrays", bid_rate=0.6, steps=200
    )
    near = told.near_steady_state()
    assert near is not None and near["radius"] > 1.1 and told.status == "oscillating"
    assert math.isnan(near["rate"]) and math.isnan(near["rate_uncertainty"])


@pytest.mark.slow
def test_the_edge_of_money_in_a_national_economy() -> None:
    """US 2023, σ = 0.3: 0.329 near rest, where one layer's formula says 0.429; less when cold.

    Near rest all bids are off by 1e-5, and the measured rate goes through 1; its eigenvalues are
    those of a matrix too large to be made. Cold runs are judged by their last prices.
    """
    table = read_table("us-2023")
    economy = market_abm.from_input_output(table, substitution_elasticity=0.3)
    steady = steady_state(economy, table)
    rates = [0.32, 0.325, 0.333, 0.34, 0.20, 0.22]
    markets = [market_abm.market_settings("trading-post", bid_rate=rate) for rate in rates]
    near, cold = (array_market([economy] * 6, markets, [0] * 6) for _ in range(2))
    inputs = steady.shares * steady.quantities[economy.buyers.good]
    products = steady.prices[economy.buyers.good] / steady.prices[economy.buyers.maker]
    memory = near.mechanism.steady_memory(
        economy, steady, steady.prices[economy.buyers.good], products
    )
    memory["bids"] = memory["bids"] * np.random.default_rng(1).uniform(
        1 - 1e-5, 1 + 1e-5, len(inputs)
    )
    near.memory = {name: np.tile(each, (6, 1)) for name, each in memory.items()}
    seen = []
    for _ in range(500):
        cold.step()
    for _ in range(300):
        near.step()
        seen.append(np.concatenate([near.prices, near.quantities], axis=1))
    path = np.array(seen)
    measured = [rate_of(path[:, k])[0] for k in range(4)]
    assert measured[0] < measured[1] < 1.0 < measured[2] < measured[3] < 1.01
    assert np.interp(1.0, measured, rates[:4]) == pytest.approx(0.329, abs=5e-4)
    off = np.abs(cold.prices / steady.prices - 1.0).max(axis=1)
    assert off[4] < 0.1 and not np.any(off[[0, 1, 2, 3, 5]] < 1.0)


def check_rates(mechanism: str, count: int) -> np.ndarray:
    """Radius, rate and uncertainty from rest, and from a cold start: shape (economies, 2, 3)."""
    found: list[list[tuple[float, float, float]]] = []

    @given(drawn=random_markets(mechanism))
    @settings(max_examples=3 * count, phases=[Phase.generate])
    def draw(drawn: tuple) -> None:
        market, rng = drawn
        radius = market.near.radius
        repeated = any(abs(radius - other[0][0]) <= 1e-9 for other in found)
        if repeated or len(found) == count:
            return
        off = 1e-3 if radius < 1.0 else 1e-8  # well above rounding, for long enough
        steps = int(np.clip(25.0 / abs(math.log(max(radius, 0.01))), 60, 400))  # to 1e-11 of it
        rates = [rate_of(*market.paths(steps, off, rng))]
        try:
            run = RunSettings(steps=400, engine="arrays")
            rates.append(market_abm.run(Experiment(market.economy, market.settings, run)).path.rate)
        except MarketError:  # it cannot go on from its cold start
            rates.append((math.nan, math.nan))
        found.append([(radius, *rate) for rate in rates])

    draw()
    return np.array(found)


def assert_rates(found: np.ndarray, unknown: tuple[float, float]) -> None:
    """At most 5 % are off by more than 1 %, and not too many unknown: near rest, and cold.

    A mode that a cold start does not contain is in no path: two equal firms stay so. In nine of
    ten the error is less than three times the uncertainty; 1e-6 is what moves of 1e-3 are not
    linear by, squared.
    """
    for (radius, rate, uncertainty), limit in zip(found.transpose(1, 2, 0), unknown, strict=True):
        told = np.isfinite(rate)
        error = np.abs(rate - radius)[told]
        assert np.sum(error > 0.01 * radius[told]) <= 0.05 * len(error)
        assert np.sum(error > 3.0 * uncertainty[told] + 1e-6) <= 0.1 * len(error)
        # A radius of 0.3 leaves few moves above rounding; cold runs with one above 1 end on cycles.
        clear = (radius > 0.3) & (radius < 1.0)
        assert np.sum(~told[clear]) <= limit * np.sum(clear)


COUNTS = {"unit-bid": 130, "trading-post": 120, "tatonnement": 50}


@pytest.mark.slow
def test_rates_of_300_economies_are_their_eigenvalues() -> None:
    """All different, from near rest and from their own start; a tenth of them grow.

    Which are drawn depends on the version and profile of Hypothesis. Of one draw, near rest: of 244
    rates none is off by 1 %; unknown are, of radii between 0.3 and 1, 6 of 65 (unit-bid), 9 of 115
    (trading-post) and 1 of 44 (tatonnement). From their own start: of 227 rates 3 are off; unknown
    are 1, 0 and 14 of the same, and the 34 that grow, which end far from rest. Another draw: 0 of
    268 and 5 of 238 off. Of those that grow four in five or all are known near rest. Hardly any
    market under trading-post grows: those are in the test of a national economy.
    """
    found = {mechanism: check_rates(mechanism, COUNTS[mechanism]) for mechanism in DRAWN}
    every = np.concatenate(list(found.values()))
    assert len(every) == 300
    assert_rates(every, (0.1, 0.1))
    for part in found.values():
        assert_rates(part, (0.2, 0.5))
    growing = every[every[:, 0, 0] > 1.001]
    assert len(growing) >= 10 and np.mean(np.isfinite(growing[:, 0, 1])) > 0.6


QUICK = {"unit-bid": 2, "trading-post": 2, "tatonnement": 1}


@pytest.mark.parametrize("mechanism", DRAWN)
def test_rates_of_a_few_economies(mechanism: str) -> None:
    assert_rates(check_rates(mechanism, QUICK[mechanism]), (0.5, 0.7))
