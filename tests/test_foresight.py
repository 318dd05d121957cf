"""Foresight: the devices of ``[market.foresight]`` against staleness."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import solve_discrete_lyapunov
from support.economies import split, two_uses
from support.engines import assert_each_its_own
from support.profiles import examples, members
from support.strategies import chains, copy_dags, loops, numbers, rival_dags, trees

import market_abm
from market_abm import MarketModel, market_settings
from market_abm.analysis import prediction
from market_abm.analysis.stability import stability
from market_abm.economy.economy import Economy
from market_abm.errors import SettingError
from market_abm.experiment.experiment import Experiment
from market_abm.market.array_state import MEMORY
from market_abm.market.arrays import ArrayEngine
from market_abm.market.base import MarketSettings
from market_abm.market.foresight import REMEMBERED
from market_abm.market.mechanisms.registry import array_market
from market_abm.studies.points import Points
from market_abm.twins.registry import twin
from market_abm.views.words.settings import setting_label


def engine(economy: Economy, settings: MarketSettings) -> ArrayEngine:
    return array_market([economy], [settings], [1])


# --- settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mechanism", "given", "wanted"),
    [
        ("trading-post", {"momentum": 0.5}, 'is a key of mechanism "unit-bid"'),
        ("unit-bid", {"pipeline": 0.5}, "set the elasticity of substitution"),
        ("unit-bid", {"momentun": 0.5}, "did you mean 'market.foresight.momentum'?"),
        ("unit-bid", {"momentum": -1.5}, "must be ≥ -1 and ≤ 1"),
        ("unit-bid", 0.5, "make it a table: [market.foresight]"),
    ],
)
def test_what_is_refused(mechanism: str, given: object, wanted: str) -> None:
    with pytest.raises(SettingError) as caught:
        market_settings(mechanism, foresight=given)
    assert wanted in str(caught.value)


def test_a_key_of_the_table_is_set_in_files_and_sweeps_and_runs_side_by_side() -> None:
    base = Experiment.load("split-elasticity", {"market.foresight.trend": 0.25})
    values = [{"market.foresight.momentum": each, "market.share_rate": 0.1} for each in (0.5, -0.5)]
    points = [Points(base).experiment(each).market for each in values]
    assert points == [base.with_overrides(each).market for each in values]
    assert [(each.foresight.trend, each.foresight.momentum) for each in points] == [
        (0.25, 0.5),
        (0.25, -0.5),
    ]
    together = type(points[0]).vectorized(points)
    assert together.foresight.momentum.tolist() == [[0.5], [-0.5]]
    second = together.select_runs(lambda array: array[1:])
    assert second.foresight.momentum.tolist() == [[-0.5]]
    assert not hasattr(base.with_mechanism("trading-post").market, "foresight")
    assert setting_label("market.foresight.momentum") == "momentum μ"


@pytest.mark.parametrize(
    ("lines", "market", "wanted"),
    [
        ("a = x\nb = ln(a)\nc = ln(x)", {}, None),
        ("a = x\nb = a ** 0.5\nc = ln(x)\ny = b + c + ln(a)", {}, "from 'a' to the consumers"),
        ("a = ln(x)\nb = ln(x)", {"lag": 1}, "set market.lag = 0"),
        ("a = ln(x)\nb = ln(x)", {"bid_rate": 0.5}, "set market.bid_rate = 1"),
        ("a = ln(x)\nb = ln(x)", {"activation": "random"}, "act in a random order"),
        ("a = ln(x) + b / 9\nb = ln(x) + a / 9\nc = a + b", {}, "a loop"),
    ],
)
def test_pipeline_knowledge_needs_the_date_of_a_price(
    lines: str, market: dict[str, Any], wanted: str | None
) -> None:
    economy = market_abm.from_text(lines, supply={"x": 4.0})
    settings = market_settings(foresight={"pipeline": 0.5, "elasticity": 1.0}, **market)
    if wanted is None:
        MarketModel(economy, settings)
        return
    for start in (lambda: MarketModel(economy, settings), lambda: engine(economy, settings)):
        with pytest.raises(SettingError) as caught:
            start()
        assert wanted in str(caught.value)


# --- the split: facts, and three ways to them -----------------------------------------------------

SIGMA = 0.8
"""The elasticity of substitution of the splits here: κ = k σ."""


class Devices(NamedTuple):
    """β, h and μ."""

    pipeline: float = 0.0
    trend: float = 0.0
    momentum: float = 0.0

    @property
    def table(self) -> dict[str, float]:
        """The table ``[market.foresight]``."""
        return self._asdict() | {"elasticity": SIGMA}


def recursion(k: float, delay: int, devices: Devices) -> np.ndarray:
    """The matrix of u(t+1) = u + μ (u - u₋) - k (y + h (y - y₋)) - kβ (u - y), y = u(t-τ).

    It moves the vector (u(t), u(t-1), ..., u(t-τ-1)).
    """
    beta, h, mu = devices
    matrix = np.eye(delay + 2, k=-1)
    matrix[0, 0] += 1.0 + mu - k * beta
    matrix[0, 1] -= mu
    matrix[0, delay] -= k * (1.0 + h - beta)
    matrix[0, delay + 1] += k * h
    return matrix


def radius(k: float, delay: int, devices: Devices) -> float:
    return float(np.abs(np.linalg.eigvals(recursion(k, delay, devices))).max())


def edge(delay: int, devices: Devices) -> float:
    """The smallest k at which the radius is 1: it is below 1 from 0 up to there."""
    high = next(k for k in np.arange(0.01, 6.0, 0.01) if radius(k, delay, devices) > 1.0)
    low = high - 0.01
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if radius(middle, delay, devices) > 1.0 else (middle, high)
    return float(low)


FACTS = [
    (1, Devices(), 1.0),
    *[(1, Devices(beta), k) for beta, k in ((0.34, 1.5152), (0.5, 2.0), (0.75, 4.0), (0.9, 2.5))],
    *[(delay, Devices(0.34), k) for delay, k in ((3, 0.8708), (5, 0.5990), (9, 0.3663))],
    *[(delay, Devices(0.5), 2.0) for delay in (3, 5, 9)],
    (0, Devices(momentum=0.5), 3.0),
    (0, Devices(momentum=-0.5), 1.0),
    (1, Devices(momentum=0.5), 0.5),
    (1, Devices(momentum=-0.5), 1.5),
    (3, Devices(momentum=0.5), 0.1993),
    (1, Devices(trend=1.0), 0.6180),
]
"""Delay, devices, and the largest stable k = κ/σ, to four decimals."""


def market(delay: int, devices: Devices, k: float) -> MarketSettings:
    activation = "simultaneous" if delay else "sequential"
    return market_settings(activation=activation, share_rate=k * SIGMA, foresight=devices.table)


def depth(delay: int) -> int:
    """The stages of each branch, at which the delay is 2d + 1; sequential, it is 0."""
    return delay // 2


@pytest.mark.parametrize(("delay", "devices", "fact"), FACTS)
def test_the_edges(delay: int, devices: Devices, fact: float) -> None:
    """By the matrix above, to the printed decimals; by the package's polynomial, to rounding.

    Two eigenvalues that meet at the edge (β = 3/4) are off by the root of 1e-16.
    """
    assert edge(delay, devices) == pytest.approx(fact, abs=5.1e-5)
    for part in (0.97, 1.0, 1.03):
        k = part * fact
        polynomial = prediction.recursion(
            1.0, k, delay, k * SIGMA, market(delay, devices, k).foresight
        )
        found = np.abs(np.roots(polynomial)).max()
        assert found == pytest.approx(radius(k, delay, devices), abs=1e-7)


@pytest.mark.parametrize(
    ("delay", "devices", "fact"), members(FACTS, quick=[FACTS[3], FACTS[-2], FACTS[-1]])
)
def test_a_step_of_the_market_has_these_eigenvalues(
    delay: int, devices: Devices, fact: float
) -> None:
    """On either side of the edge, to 1e-6 (those of a double root to the root of J's 1e-10)."""
    economy = split(depth(delay), SIGMA)
    for part in (0.97, 1.03):
        settings, expected = (
            market(delay, devices, part * fact),
            radius(part * fact, delay, devices),
        )
        found = stability(economy, settings)
        assert found is not None
        assert found.radius == pytest.approx(expected, abs=1e-6)
        assert (found.radius < 1.0) is (part < 1.0)
        if depth(delay):
            assert prediction.rate(economy, settings) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(
    ("delay", "dating"),
    members(
        [*itertools.product([0, 1, 3, 5, 9], ["spot"]), *itertools.product([1, 3, 5], ["dated"])],
        quick=[(1, "spot")],
    ),
)
def test_runs_follow_the_recursion_and_settle_below_the_edge_alone(delay: int, dating: str) -> None:
    """Log shares, runs side by side: to 1e-12 of the largest, some roundings of logarithms.

    Once all bids are posted. At 3 % from the edge disturbances shrink or grow. On identities a
    price of the spot is that of its date.
    """
    own = [(d, part * k) for t, d, k in FACTS if t == delay for part in (0.97, 1.03)]
    markets = [replace(market(delay, *each), dating=dating) for each in own]
    off = deviations(depth(delay), markets, steps=100 * (delay + 2))
    first = 2 * delay + 2
    times = np.arange(first, first + 10)
    for u, (devices, k) in zip(off.T, own, strict=True):
        row = recursion(k, delay, devices)[0]
        expected = u[times[:, None] - np.arange(len(row))] @ row
        assert np.abs(u[times + 1] - expected).max() <= 1e-12 * np.abs(u[: first + 11]).max()
    early, late = (np.abs(part).max(axis=0) for part in (off[times], off[-60:]))
    late[np.isnan(late)] = np.inf  # a share has underflowed
    assert (late > early).tolist() == [False, True] * (len(own) // 2)


@pytest.mark.slow
@pytest.mark.parametrize("device", ["pipeline", "momentum", "trend"])
def test_sweeps_end_as_predicted(device: str) -> None:
    """The experiments: no run beyond the predicted boundary settles, none well below it fails to.

    From a rate of 0.97 on, 1,000 steps are too few for a tolerance of 1e-10.
    """
    values = {"pipeline": "0:1:6", "momentum": "-0.8:0.8:5", "trend": "-1:4:6"}[device]
    axes = {f"market.foresight.{device}": values, "market.share_rate": "0.05:3:log:18"}
    table = market_abm.sweep(f"foresight-{device}", axes, folder=None)
    beyond = table["predicted_rate"] > 1.0
    assert beyond.any() and not (table["status"][beyond] == "converged").any()
    assert (table["status"][table["predicted_rate"] < 0.97] == "converged").all()


def deviations(deep: int, markets: list[MarketSettings], steps: int) -> np.ndarray:
    """ln(s_a/s_b) less its optimum of each run, step by step, shape (steps + 1, runs)."""
    economy = split(deep, SIGMA)
    runs = array_market([economy] * len(markets), markets, [1] * len(markets))
    first, second = np.flatnonzero(economy.buyers.good == economy.goods.index("x"))
    path = []
    with np.errstate(all="ignore"):
        for _ in range(steps + 1):
            shares = runs.state.shares
            path.append(np.log(shares[:, first] / shares[:, second]))
            runs.step()
    return np.array(path) - SIGMA * math.log(0.3 / 0.7)


# --- noise ----------------------------------------------------------------------------------------

NOISY = [
    Devices(),
    Devices(0.34),
    Devices(0.5, momentum=0.2),
    Devices(momentum=-0.3),
    Devices(trend=0.5),
]
CELLS = list(itertools.product(NOISY, (0.2, 0.3, 0.4, 0.6)))


def variance(k: float, delay: int, devices: Devices) -> float:
    """V: the variance of u for errors of variance 1, by the equation of Lyapunov.

    The error of a bid enters twice if it is extrapolated, (1 + h) e(t) - h e(t-1).
    """
    matrix = np.pad(recursion(k, delay, devices), (0, 1))
    matrix[0, -1] = -devices.trend
    enters = np.zeros(len(matrix))
    enters[[0, -1]] = 1.0 + devices.trend, 1.0
    return float(solve_discrete_lyapunov(matrix, np.outer(enters, enters))[0, 0])


def test_the_variance_that_noise_in_bids_leaves() -> None:
    """By Lyapunov's equation, the closed form and the package's integral, to 1e-10."""
    for k in (0.1, 0.5, 0.9):
        expected = (1 + k) / (k * (1 - k) * (2 + k))
        assert variance(k, 1, Devices()) == pytest.approx(expected, rel=1e-10)
    for (devices, k), delay in itertools.product(CELLS[::5], (0, 1, 3)):
        stable = radius(k, delay, devices) < 1.0
        foresight = market(delay, devices, k).foresight
        found = prediction.share_variance(k, delay, k * SIGMA, 0.1, foresight)
        wanted = 2 * (k * SIGMA * 0.1) ** 2 * variance(k, delay, devices) if stable else math.inf
        assert found == pytest.approx(wanted, rel=1e-10)


@pytest.mark.slow
def test_the_variance_of_20_cells_in_20000_steps() -> None:
    """Within 3 %: by eight seeds each its standard error is below 1 %."""
    economy = market_abm.from_text(
        two_uses(SIGMA), supply={"x": 1.0}, population={"bid_noise": 0.1}
    )
    markets = [market(1, *cell) for cell in CELLS for _ in range(8)]
    runs = array_market([economy] * len(markets), markets, list(range(len(markets))))
    path = []
    for _ in range(20_000):
        runs.step()
        shares = runs.state.shares
        path.append(np.log(shares[:, 0] / shares[:, 1]))
    measured = np.var(path[300:], axis=0).reshape(len(CELLS), 8).mean(axis=1)
    expected = [2 * (k * SIGMA * 0.1) ** 2 * variance(k, 1, devices) for devices, k in CELLS]
    np.testing.assert_allclose(measured, expected, rtol=0.03)


# --- two engines, many runs, restarts, twins ------------------------------------------------------

NETWORK = """
flour = 2 * wheat ** 0.7
fuel  = wheat ** 0.5
bread = ces(flour, fuel, elasticity=0.7, weights=(0.6, 0.4))
cake  = ln(1 + flour)
heat  = 1 - exp(-fuel)
"""
"""Two pools of several users, each with several firms; prices meet again after one or two lines."""

ALL = [
    Devices(),
    Devices(momentum=0.6),
    Devices(trend=0.8),
    Devices(0.4, momentum=-0.3),
    Devices(0.7, -0.4, 0.2),
]


def network(noise: float) -> Economy:
    firms = {"firms": 3, "weight_spread": 0.4, "productivity_spread": 0.2, "bid_noise": noise}
    return market_abm.from_text(NETWORK, supply={"wheat": 3.0}, population=firms, seed=2)


def settings_of(devices: Devices, activation: str = "simultaneous") -> MarketSettings:
    table = devices.table if devices.pipeline else devices.table | {"elasticity": None}
    return market_settings(activation=activation, share_rate=0.1, foresight=table)


@pytest.mark.parametrize(
    ("activation", "dating"),
    members(
        [("simultaneous", "spot"), ("sequential", "spot"), ("simultaneous", "dated")],
        quick=[("simultaneous", "spot")],
    ),
)
def test_both_engines_and_runs_side_by_side(activation: str, dating: str) -> None:
    """As tests/test_two_engines.py, and the bits of a run do not depend on those beside it."""
    markets = [replace(settings_of(each, activation), dating=dating) for each in ALL]
    economies = [network(0.1)] * len(ALL)
    assert_each_its_own(economies, markets, [7] * len(ALL), 30)
    together = array_market(economies, markets, [7] * len(ALL))
    alone = [array_market([network(0.1)], [each], [7]) for each in markets]
    for _ in range(20):
        for runs in (together, *alone):
            runs.step()
    for name in ("shares", "bids", "prices"):
        rows = [getattr(each.state, name)[0] for each in alone]
        assert np.array_equal(getattr(together.state, name), rows)
    kept = [4, 0, 3]
    together.keep(np.array(kept))
    for _ in range(10):
        for runs in (together, *alone):
            runs.step()
    rows = [alone[k].state.shares[0] for k in kept]
    np.testing.assert_allclose(together.state.shares, rows, rtol=1e-13)


@pytest.mark.parametrize("devices", ALL[1:])
def test_a_market_continues_from_its_memory(devices: Devices) -> None:
    """The memory has all that the next step depends on: to rounding of the sums of shares."""
    first, second = (engine(network(0.0), settings_of(devices)) for _ in range(2))
    for _ in range(12):
        first.step()
    first.finish()  # shares are then revised, and the memory is still that of the step
    second.memory = first.memory
    for _ in range(12):
        first.step()
        second.step()
        for name, array in first.memory.items():
            np.testing.assert_allclose(array, second.memory[name], rtol=1e-13, err_msg=name)


def test_without_devices_nothing_is_remembered() -> None:
    plain = engine(network(0.0), market_settings())
    assert set(plain.memory) == set(MEMORY)
    moved = engine(network(0.0), settings_of(ALL[4]))
    assert set(moved.memory) == {*MEMORY, *REMEMBERED}


@pytest.mark.parametrize(
    ("devices", "activation"),
    members(
        [*itertools.product(ALL, ["simultaneous", "sequential"])], quick=[(ALL[4], "simultaneous")]
    ),
)
def test_the_twin(devices: Devices, activation: str) -> None:
    """Buyers with foresight are mirror ascent with the recursion of log shares: 20 steps, 1e-12."""
    settings = settings_of(devices, activation)
    for economy in (split(1, SIGMA), network(0.0)):
        runs, path = engine(economy, settings), twin(economy, settings, 20)
        for step in range(21):
            for name in ("quantities", "prices", "shares"):
                found, expected = getattr(runs.state, name)[0], getattr(path, name)[step]
                np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)
            runs.step()


@pytest.mark.slow
@given(
    arguments=st.one_of(
        chains(), trees(), rival_dags(), copy_dags(), loops("rival"), loops("copy")
    ).map(lambda program: program.arguments),
    devices=st.builds(Devices, st.just(0.0), trend=numbers(-0.5, 1.0), momentum=numbers(-0.5, 0.5)),
    activation=st.sampled_from(["simultaneous", "sequential"]),
    bid_rate=st.sampled_from([1.0, 0.6]),
)
@settings(max_examples=examples(60))
def test_the_twin_of_random_programs(
    arguments: dict[str, Any], devices: Devices, activation: str, bid_rate: float
) -> None:
    """Also with loops, copied and negative goods, and several firms: 20 steps, 1e-10.

    As in tests/test_twin_optimizers.py: what is unstable grows by a third at each step.
    """
    economy = market_abm.from_text(
        **(arguments | {"population_of": {}, "population": {"firms": 2, "weight_spread": 0.5}})
    )
    chosen = replace(settings_of(devices, activation), bid_rate=bid_rate, share_rate=0.03)
    runs, path = engine(economy, chosen), twin(economy, chosen, 20)
    for step in range(21):
        for name in ("quantities", "prices", "shares"):
            found, expected = getattr(runs.state, name)[0], getattr(path, name)[step]
            size = np.abs(expected).max(initial=1.0)
            np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-11 * size)
        runs.step()


def test_a_buyer_whose_input_is_worth_nothing_loses_its_share_for_good() -> None:
    """Shares and bids of 0 have no logarithm: the others divide the good as if they were alone."""
    lines = "a = ln(x)\nb = 2 * ln(x)\nc = 0 * x + ln(z)"
    economy = market_abm.from_text(lines, supply={"x": 4.0, "z": 1.0})
    runs = array_market([economy] * len(ALL), [settings_of(each) for each in ALL], [1] * len(ALL))
    for _ in range(300):
        runs.step()
    for shares in runs.state.shares:
        np.testing.assert_allclose(shares[:3], [1 / 3, 2 / 3, 0.0], atol=1e-9)


@pytest.mark.parametrize("devices", ALL)
def test_a_nuisance_is_divided_by_the_same_law(devices: Devices) -> None:
    """Two firms share what nobody wants, x at price -2 x: halves are best, from unequal shares.

    With a negative price the log share obeys the same recursion: the value of an input rises, in
    size, as the share, with elasticity 1 (σ = 1).
    """
    firms = {"firms": 2, "weights": (0.5, 0.5)}
    economy = market_abm.from_text("y = 5 - x ** 2", supply={"x": 1.0}, population=firms)
    settings = replace(settings_of(devices), foresight=settings_of(devices).foresight)
    runs = engine(economy, settings)
    runs.step()
    runs.memory = {"shares": np.array([[0.7, 0.3]])}
    path = []
    for _ in range(40):
        path.append(math.log(runs.state.shares[0, 0] / runs.state.shares[0, 1]))
        runs.step()
    u, (beta, h, mu) = np.array(path), devices
    k, believed = 0.1, 0.1 / SIGMA
    for t in range(4, 39):
        moved = mu * (u[t] - u[t - 1]) - k * (u[t - 1] + h * (u[t - 1] - u[t - 2]))
        assert u[t + 1] == pytest.approx(
            u[t] + moved - believed * beta * (u[t] - u[t - 1]), abs=1e-12
        )
    assert abs(u[-1]) < 0.1 * abs(u[0])
