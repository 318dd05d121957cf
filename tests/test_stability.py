"""The eigenvalues of a market's step at rest: against closed forms, and against what runs do.

Three independent sources: polynomials solved here (docs/model.md, 4); the rate at which runs of the
market come back to rest, measured from their paths alone; and whether they do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from support.economies import split
from support.open_economies import Open, open_economies
from support.profiles import examples, members
from support.strategies import loops
from support.tables import made_up

import market_abm
from market_abm import from_input_output
from market_abm.analysis.prediction import rate
from market_abm.analysis.stability import Stability, stabilities, stability, stable_rate
from market_abm.gradient import backprop
from market_abm.gradient.closed_form import spectral_radius
from market_abm.gradient.equilibrium import Equilibrium, equilibria, equilibrium
from market_abm.market.arrays import ArrayEngine
from market_abm.market.base import MarketSettings
from market_abm.studies.near_steady_state import steady_state

TIMINGS = ("simultaneous", "sequential")


def market(activation: str = "simultaneous", **more: Any) -> MarketSettings:
    return market_abm.market_settings(**{"activation": activation, "bid_rate": 1.0} | more)


def known(*args: Any) -> Stability:
    found = stability(*args)
    assert found is not None
    return found


# --- closed forms ------------------------------------------------------------------------------


def roots(keep: float, response: float, delay: int) -> np.ndarray:
    """The λ of λ^(τ+1) = a λ^τ - b, by the eigenvalues of NumPy's companion matrix."""
    polynomial = np.zeros(delay + 2)
    polynomial[0], polynomial[-1] = 1.0, response
    polynomial[1] -= keep
    return np.roots(polynomial)


def check_roots(found: Stability, expected: np.ndarray, theory: float | None) -> None:
    """To 1e-6: J is good to 1e-10, and the two largest roots, which are never equal here, to 1e-8.

    Of equally large roots (all of them, in a cobweb with ρ = 1) the leading one turns slowest.
    """
    radius = np.abs(expected).max()
    assert found.radius == pytest.approx(radius, rel=1e-6)
    assert theory == pytest.approx(radius, rel=1e-12)  # the same polynomial, to rounding
    large = expected[np.abs(expected) > radius * (1 - 1e-6)]
    slowest = large[np.argmin(np.abs(np.angle(large)))]
    assert abs(found.leading - complex(slowest.real, abs(slowest.imag))) < 1e-6
    assert found.radius == pytest.approx(abs(found.leading), rel=1e-12)


@pytest.mark.parametrize("activation", TIMINGS)
@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_a_split_is_a_gradient_descent_that_is_late(
    depth: int, sigma: float, activation: str
) -> None:
    delay = 2 * depth + 1 if activation == "simultaneous" else 0
    for step in (0.05, 0.3, 0.8, 1.4, 2.3):
        economy, settings_ = split(depth, sigma), market(activation, share_rate=step * sigma)
        expected = roots(1.0, step, delay)
        radius = np.abs(expected).max()  # the closed form is of a split into one line
        theory = rate(economy, settings_) if depth else radius
        check_roots(known(economy, settings_), expected, theory)


def cobweb(lines: int, eta: float, eps: float, adjustment: float) -> market_abm.Economy:
    """A chain of identities, whose supplier's curve and consumer's meet off the start."""
    program = "\n".join(f"g{k + 1} = g{k}" for k in range(lines))
    supply = {"quantity": 1.3, "price": 0.8, "elasticity": eta, "adjustment": adjustment}
    demand = {"price": 1.7, "elasticity": eps, "quantity": 1.0}
    return market_abm.from_text(program, {"g0": supply}, {f"g{lines}": demand})


@pytest.mark.parametrize("activation", TIMINGS)
@pytest.mark.parametrize("adjustment", [0.25, 0.65, 1.0])
@pytest.mark.parametrize("lines", [1, 2, 4])
def test_a_cobweb_with_partial_adjustment(lines: int, adjustment: float, activation: str) -> None:
    delay = 2 * lines if activation == "simultaneous" else 0
    for eta, eps in ((0.3, 1.7), (1.0, 0.9), (2.0, 0.5)):
        economy = cobweb(lines, eta, eps, adjustment)
        expected = roots(1.0 - adjustment, adjustment * eta / eps, delay)
        check_roots(known(economy, market(activation)), expected, rate(economy, market(activation)))


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("depth", [0, 1, 2, 4])
def test_at_the_bound_it_swings_for_ever(depth: int, sigma: float) -> None:
    """The radius is 1 within 1e-5 (J is good to 1e-10), the period 2(2τ + 1) within 0.1 %."""
    delay = 2 * depth + 1
    bound = 2 * math.sin(math.pi / (2 * (2 * delay + 1)))
    found = known(split(depth, sigma), market(share_rate=bound * sigma))
    assert found.radius == pytest.approx(1.0, abs=1e-5)
    assert found.period == pytest.approx(2 * (2 * delay + 1), rel=1e-3)
    # And it is a bound: 1 % to either side, where the radius is off 1 by some 1e-3.
    below = known(split(depth, sigma), market(share_rate=0.99 * bound * sigma))
    above = known(split(depth, sigma), market(share_rate=1.01 * bound * sigma))
    assert below.radius < 1.0 - 1e-4 < 1.0 + 1e-4 < above.radius
    assert (below.regime, above.regime) == ("oscillating", "unstable")


@pytest.mark.parametrize("activation", TIMINGS)
@pytest.mark.parametrize("bid_rate", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("depth", [1, 3, 30])
def test_where_only_bids_move(depth: int, bid_rate: float, activation: str) -> None:
    """1 - α, of as many bids as there are stages: one Jordan block, in which 1e-10 would be 0.5.

    Each bid depends on none above it, and so J is triangular, and good to 1e-8 (its own 1e-10).
    """
    lines = [f"g{k + 1} = 2 - sqrt(1 + g{k}**2)/2" for k in range(depth)]
    economy = market_abm.from_text("\n".join(lines), {"g0": 2}, {f"g{depth}": 1.5})
    found = known(economy, market(activation, bid_rate=bid_rate))
    assert found.radius == pytest.approx(1.0 - bid_rate, abs=1e-8)
    assert found.regime == "monotone"


@pytest.mark.parametrize(
    ("last", "alpha", "beta"), members([(5, 0.3, 0.95), (30, 0.95, 0.99)], quick=[(5, 0.3, 0.95)])
)
def test_what_rounding_decides_is_not_told(last: int, alpha: float, beta: float) -> None:
    """A saver's market arrives in 4T + 2 steps, to rounding: J to that power is 0.

    Its rounding makes a ring of eigenvalues, as large as 0.2 and 0.78, which no disturbance obeys.
    """
    parameters = {"T": last, "alpha": alpha, "beta": beta}
    overrides = {f"economy.parameters.{name}": value for name, value in parameters.items()}
    result = market_abm.run("capital-saving", overrides=overrides)
    assert result.steps == 4 * last + 2
    assert result.stability is None


def test_rings_of_eigenvalues_that_are_no_rounding_are_told() -> None:
    """Money follows what it earned, λ^(2(d+1)) = 1/σ - 1: as many eigenvalues of one size.

    To 1e-6. At σ = 1 all are 0, and rounding makes them as large as 2e-3 at d = 1, which is no more
    than what is promised, and 2e-2 at d = 2, which is more.
    """
    money = market_abm.market_settings("trading-post")
    for depth in (0, 1, 2):
        for sigma in (0.25, 1.1, 3.0):
            expected = abs(1.0 / sigma - 1.0) ** (0.5 / (depth + 1))
            found = known(split(depth, sigma), money)
            assert found.radius == pytest.approx(expected, rel=1e-6)
    assert known(split(1, 1.0), money).radius == 0.0
    assert stability(split(2, 1.0), money) is None


def test_splits_that_are_far_apart() -> None:
    """Two splits, thirty lines between them: by the envelope theorem neither hears of the other.

    Each has κ/σ = 27/256 and τ = 3, so λ⁴ = λ³ - 27/256, twice 3/4: a double root, good to the
    root of J's 1e-10, and 1e-4 is asked for. Taken in earnest, J's rounding would join them: 1e-3.
    """
    lines = ["a = x", "b = x", "g0 = ces(a, b, elasticity=1, weights=(0.3, 0.7))"]
    lines += [f"g{k + 1} = g{k} ** 0.9 * 1.1" for k in range(30)]
    lines += ["c = g30", "d = g30", "y = ces(c, d, elasticity=1, weights=(0.4, 0.6))"]
    economy = market_abm.from_text("\n".join(lines), {"x": 2.0}, {"y": 1.0})
    assert known(economy, market(share_rate=27 / 256)).radius == pytest.approx(0.75, abs=1e-4)


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_the_rate_up_to_which_a_split_is_stable(depth: int) -> None:
    """Of shares κ = σ 2 sin(π / (2 (2τ + 1))); of money α = σ/(1 - σ) at once, less with depth.

    To 1e-5: the radius is off 1 by 1e-10 or so, and its slope there is not below 1e-2.
    """
    delay = 2 * depth + 1
    bound = 0.4 * 2 * math.sin(math.pi / (2 * (2 * delay + 1)))
    found = stable_rate(split(depth, 0.4), market(), "share_rate")
    assert found == pytest.approx(bound, rel=1e-5)
    money = market_abm.market_settings("trading-post")
    edge = stable_rate(split(depth, 0.25), money, "bid_rate")
    assert edge is not None
    if depth == 0:
        assert edge == pytest.approx(1 / 3, rel=1e-5)
    else:
        assert edge < 0.25
    # J is linear in the rate: at the edge, where it was interpolated, its own radius is 1.
    at_edge = replace(money, bid_rate=edge)
    assert known(split(depth, 0.25), at_edge).radius == pytest.approx(1.0, abs=1e-6)
    assert stable_rate(split(depth, 0.6), money, "bid_rate") == math.inf
    assert stable_rate(split(depth, 0.005), money, "bid_rate") == 0.0
    assert stable_rate(split(depth, 0.6), market("random"), "bid_rate") is None


# --- what the numbers mean ---------------------------------------------------------------------


def test_by_hand() -> None:
    """Periods and half-lives: 0.5 halves in a step, 2^-1/4 in four, i/2 turns round in four."""
    for leading, regime, period, half_life in (
        (0.5, "monotone", math.inf, 1.0),
        (2**-0.25, "monotone", math.inf, 4.0),
        (-0.5, "oscillating", 2.0, 1.0),
        (0.5j, "oscillating", 4.0, 1.0),
        (1.0, "monotone", math.inf, math.inf),
        (-1.0, "oscillating", 2.0, math.inf),
        (1.25, "unstable", math.inf, math.inf),
        (-1.25, "unstable", 2.0, math.inf),
        (0.0, "monotone", math.inf, 0.0),
    ):
        found = Stability(abs(leading), complex(leading))
        assert found.regime == regime
        assert found.period == pytest.approx(period, rel=1e-12)
        assert found.half_life == pytest.approx(half_life, rel=1e-12)


def test_the_signs_of_a_sequential_split() -> None:
    """1 - κ/σ is positive, then negative, then below -1."""
    for step, regime, period in (
        (0.4, "monotone", math.inf),
        (1.6, "oscillating", 2.0),
        (2.4, "unstable", 2.0),
    ):
        found = known(split(1, 0.5), market("sequential", share_rate=0.5 * step))
        assert (found.regime, found.period) == (regime, period)
        assert found.leading == pytest.approx(1.0 - step, rel=1e-6)


@pytest.mark.parametrize("activation", TIMINGS)
def test_what_firms_are_indifferent_to_is_left_out(activation: str) -> None:
    """Equal firms with constant returns: any split of their goods between them will do.

    Shares among them stay as they are, with an eigenvalue of 1; the rest is the market of one firm
    a line, to 1e-6 (of a J that is good to 1e-10).
    """
    program = "a = 2 * x\nb = x\ny = ces(a, b, elasticity=0.8) ** 0.7"
    supply = {"x": {"quantity": 2.0, "price": 0.4, "elasticity": 0.8, "adjustment": 0.5}}
    settings_ = market(activation, share_rate=0.2, bid_rate=0.8)
    firms = {"population_of": {"a": {"firms": 4}}}
    alone = known(market_abm.from_text(program, supply, {"y": 1.5}), settings_)
    together = known(market_abm.from_text(program, supply, {"y": 1.5}, **firms), settings_)
    assert alone.radius < 0.99
    assert abs(together.leading - alone.leading) < 1e-6
    # With two inputs, how much they hold of both together stays, but their mixtures become one.
    program, supply = program.replace("2 * x", "cobb_douglas(x, w)"), supply | {"w": 1.0}
    economy = market_abm.from_text(program, supply, {"y": 1.5}, **firms)
    (case,) = cases_of([economy], [settings_])
    assert case.found.radius < 0.99
    check_rates([case], seed=0)
    # Lines that are so to each other are another matter: there quantities do not come back.
    lines = market_abm.from_text("a = x\nb = x", {"x": 2.0}, {"a": 1.0, "b": 1.0})
    assert known(lines, market(activation)).radius == pytest.approx(1.0, abs=1e-8)


def test_what_is_not_told() -> None:
    economy = split(1, 0.5)
    assert stability(economy, market("random")) is None
    noisy = market_abm.from_text("y = x ** 0.5", {"x": 1}, population={"bid_noise": 0.1})
    assert stability(noisy, market()) is None
    best = equilibrium(economy)
    assert best is not None
    assert stability(economy, market(), best) == stability(economy, market())
    assert stability(economy, market(), replace(best, residual=1e-6)) is None
    # Not where the market rests: half of everybody's prices.
    assert stability(economy, market(), replace(best, prices=best.prices / 2)) is None
    # More than the equilibrium itself takes on.
    big = market_abm.from_text("y = x ** 0.5", {"x": 1}, population={"firms": 1000})
    assert stability(big, market()) is None


@pytest.mark.parametrize("bid_rate", members([0.5, 1.0], quick=[1.0]))
def test_a_long_chain(bid_rate: float) -> None:
    """1 - α, of 603 variables: each block of those that depend on each other is one bid.

    Of more than 1,200 variables nothing is told where nothing is divided: J is one Jordan block.
    """
    for lines, expected in ((150, 1.0 - bid_rate), (301, None)):
        text = "\n".join(f"g{k + 1} = g{k}" for k in range(lines))
        found = stability(market_abm.from_text(text, {"g0": 1.0}), market(bid_rate=bid_rate))
        radius = None if found is None else found.radius
        assert radius == (None if expected is None else pytest.approx(expected, abs=1e-8))


def test_many_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Arnoldi's method without a matrix finds what the matrix has, and the closed form.

    To 1e-6 of the radius: 1e-10 of J, where the leading eigenvalue is not double. In a table it is,
    of money and of goods, and differences divide the two by the root of that: 1e-4.
    """
    economy = split(2, 0.5)
    table = made_up(6, seed=6)
    of_table = from_input_output(table)
    money = market_abm.market_settings(mechanism="trading-post")
    cases = [(economy, market(share_rate=rate), 1e-6) for rate in (0.3,)]
    cases += [(of_table, money, 1e-4)]
    dense = [known(economy, settings_) for economy, settings_, _ in cases]
    monkeypatch.setattr("market_abm.analysis.stability.MAX_VARIABLES", 0)
    for (economy, settings_, accuracy), matrix in zip(cases, dense, strict=True):
        found = known(economy, settings_)
        assert found.radius == pytest.approx(matrix.radius, rel=accuracy)
        assert abs(found.leading - matrix.leading) <= accuracy
    assert found.radius == pytest.approx(spectral_radius(table), rel=1e-4)


@pytest.mark.slow
def test_the_united_states_have_15_000_variables() -> None:
    """The largest eigenvalue of the table's own cost shares, 0.417, by steps alone, to 1e-4."""
    table = market_abm.read_table("us-2023")
    economy = from_input_output(table)
    money = market_abm.market_settings(mechanism="trading-post")
    found = known(economy, money, steady_state(economy, table))
    assert found.radius == pytest.approx(spectral_radius(table), rel=1e-4)


@pytest.mark.parametrize("activation", members(TIMINGS, quick=TIMINGS[:1]))
def test_a_market_is_the_same_beside_others(activation: str) -> None:
    """To the last bit, alone, among others and in another order; None where there is none."""
    economies = [cobweb(2, eta, 1.2, 0.4) for eta in (0.2, 0.7, 1.5, 4.0)]
    economies += [cobweb(2, 0.7, 1.2, 1.0)]  # five eigenvalues of one size: J is made twice
    economies += [split(1, sigma) for sigma in (0.4, 0.9)]
    economies += [two_firms(spread) for spread in (0.0, 0.2)]
    settings_ = [market(activation, share_rate=0.1 * (1 + k)) for k in range(len(economies))]
    steady: list[Equilibrium | None] = list(equilibria(economies))
    steady[1] = None
    together = stabilities(economies, settings_, steady)
    backwards = stabilities(economies[::-1], settings_[::-1], steady[::-1])
    assert together[1] is None
    for k, (economy, each) in enumerate(zip(economies, settings_, strict=True)):
        assert together[k] == backwards[-1 - k]
        if k != 1:
            assert together[k] == known(economy, each)


def two_firms(spread: float) -> market_abm.Economy:
    """Two firms whose division of x does not matter, if they are equal."""
    return market_abm.from_text(
        "a = 2 * x\nb = x\ny = ces(a, b, elasticity=0.8) ** 0.7",
        {"x": 2.0},
        population_of={"a": {"firms": 2, "productivity": (1.0 + spread, 1.0)}},
    )


@pytest.mark.parametrize("activation", TIMINGS)
def test_all_that_is_remembered(activation: str) -> None:
    """A market with the memory of another continues as the other does, to the last bit."""
    economy = market_abm.from_text(
        "a = x ** 0.5\nb = x\ny = ces(a, b, elasticity=0.7)\nz = ln(1 + x) + b",
        {"x": {"quantity": 2.0, "price": 0.4, "elasticity": 0.8, "adjustment": 0.5}},
        {"y": {"price": 1.5, "elasticity": 2.0}, "z": 0.7},
        population_of={"a": {"firms": 3, "weights": [0.2, 0.3, 0.5]}},
    )
    one, other = (
        ArrayEngine([economy], [market(activation, share_rate=0.3, bid_rate=0.6)], [0])
        for _ in range(2)
    )
    for _ in range(7):
        one.step()
    other.memory = one.memory
    one.memory = {"bids": one.memory["bids"]}  # a part that is as it was changes nothing
    for _ in range(5):
        one.step()
        other.step()
        for name, array in one.memory.items():
            np.testing.assert_array_equal(other.memory[name], array)
        np.testing.assert_array_equal(other.state.inputs, one.state.inputs)


# --- against what runs do ----------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """An economy, its market, where it is to rest, and what is said of it."""

    economy: market_abm.Economy
    settings: MarketSettings
    rest: Equilibrium
    found: Stability


def cases_of(economies: list[market_abm.Economy], settings_: list[MarketSettings]) -> list[Case]:
    """Every economy with what is said of it: none is left out."""
    result = []
    for economy, each in zip(economies, settings_, strict=True):
        rest = equilibrium(economy)
        assert rest is not None
        result.append(Case(economy, each, rest, known(economy, each, rest)))
    return result


def drawn_cases(several: list[Any], activation: str, seed: int, fastest: float) -> list[Case]:
    """Economies with suppliers and markets of any speed, shares as fast as ``fastest``."""
    rng = np.random.default_rng(seed)
    economies, settings_ = [], []
    for each in several:
        settings_.append(
            market(
                activation,
                bid_rate=1.0 if rng.random() < 0.3 else rng.uniform(0.2, 1.0),
                share_rate=rng.uniform(0.05, fastest),
            )
        )
        if not isinstance(each, Open):
            economies.append(market_abm.from_text(**each.arguments))
            continue
        supply = {}
        for good, terms in each.supply.items():
            if terms.get("kind") == "gradient":
                supply[good] = terms | {"rate": terms["rate"] * rng.uniform(0.5, 10.0)}
            else:
                supply[good] = terms | {"adjustment": rng.uniform(0.05, 1.0)}
        economies.append(replace(each, supply=supply).economy())
    return cases_of(economies, settings_)


def steps_to(factor: float, case: Case, most: int = 1000) -> int:
    """In how many steps the leading mode shrinks, or grows, by a factor; at most ``most``."""
    speed = abs(math.log(max(case.found.radius, 0.01)))
    return min(most, math.ceil(abs(math.log(factor)) / max(speed, 1e-9)))


@np.errstate(all="ignore")
def paths(several: list[Case], steps: int, starts: int, off: Any, seed: int) -> np.ndarray:
    """All that runs remember, less rest and relative to it: (cases, starts, steps + 1, numbers).

    All side by side, each ``starts`` times, from rest with every number off by a factor of about
    1 ± ``off`` (one, or one a case), but for what cannot be. No help from the code under test.
    """
    rng = np.random.default_rng(seed)
    rows = [case for case in several for _ in range(starts)]
    off = np.repeat(np.broadcast_to(off, len(several)), starts)[:, None]
    run = ArrayEngine([c.economy for c in rows], [c.settings for c in rows], [0] * len(rows))
    buyers, first = rows[0].economy.buyers, len(rows[0].economy.supply)
    memory = run.memory
    for name in ("quantities", "prices", "shares"):
        memory[name][:] = [getattr(c.rest, name) for c in rows]
    memory["offers"][:] = memory["quantities"][:, :first]
    inputs = memory["shares"] * memory["quantities"][:, buyers.good]
    memory["products"][:] = [
        backprop.marginal_products(c.economy, x) for c, x in zip(rows, inputs, strict=True)
    ]
    memory["bids"][:] = memory["prices"][:, buyers.maker] * memory["products"]
    at = np.concatenate(list(memory.values()), axis=-1)
    for name in memory:
        memory[name] *= 1.0 + off * rng.standard_normal(memory[name].shape)
    for pool in buyers.pools:
        memory["shares"][:, pool.buyers] /= memory["shares"][:, pool.buyers].sum(-1, keepdims=True)
    for row, case in enumerate(rows):
        for k, terms in enumerate(case.economy.supply.values()):
            if terms.elasticity == 0.0:
                memory["offers"][row, k] = case.rest.quantities[k]
    run.memory = memory
    seen = [np.concatenate(list(memory.values()), axis=-1) / at - 1.0]
    for _ in range(steps):
        run.step()
        seen.append(np.concatenate(list(run.memory.values()), axis=-1) / at - 1.0)
    return np.array(seen).reshape(steps + 1, len(several), starts, -1).transpose(1, 2, 0, 3)


@np.errstate(all="ignore")
def measured(path: np.ndarray, window: int = 80) -> float:
    """The factor by which the moves of a few runs shrink or grow, from (starts, steps, numbers).

    Moves, rather than distances, because the rest itself is only known to 1e-9. From each run the
    second half of what is above rounding and near rest (so near that what moves with the square of
    the distance is below the part left out), at most ``window`` steps of it. Moves are
    divided by their lengths, and the matrix that takes each to the next is fitted, by least
    squares, in the space that they span but for a part in 10,000 (rounding is at most one in
    1,000,000). Its largest eigenvalue is the factor, however many modes are as large, and beat.
    """
    before, after = [], []
    for run in np.diff(path[:, 1:], axis=1):
        length = np.linalg.norm(run, axis=-1)
        far = np.flatnonzero(~(length < 3e-5))  # last of what grows, first of what shrinks
        grows = len(far) > 0 and far[0] > 0
        first, end = (0, int(far[0])) if grows else (int(far.max(initial=-1)) + 1, len(length))
        end = int(np.flatnonzero(length[:end] > 1e-10)[-1]) + 1
        start = max(min((first + end) // 2, end - 12), end - window, first)
        before.append(run[start : end - 1] / length[start : end - 1, None])
        after.append(run[start + 1 : end] / length[start : end - 1, None])
    x, y = np.concatenate(before).T, np.concatenate(after).T
    u, size, v = np.linalg.svd(x, full_matrices=False)
    kept = size > 1e-4 * size[0]
    fitted = u[:, kept].T @ y @ v[kept].T / size[kept]
    return float(np.abs(np.linalg.eigvals(fitted)).max())


def check_rates(several: list[Case], seed: int) -> list[float | None]:
    """Rates in runs are the radii, within 1 % of them; by how much each is off.

    NaN where a rate is too fast to be measured, None where it is known without (only bids move).
    """
    radii = np.array([case.found.radius for case in several])
    far = np.where(radii < 1.0, 1e-6, 1e4)
    off = np.where(radii < 1.0, 1e-6, 1e-9)  # small, but well above rounding for long enough
    steps = 20 + max(map(steps_to, far, several))
    errors: list[float | None] = []
    for case, path in zip(several, paths(several, steps, 8, off, seed), strict=True):
        fixed = all(terms.elasticity == 0.0 for terms in case.economy.supply.values())
        if fixed and not case.economy.buyers.shared_pools and not case.economy.has_loops:
            # Only bids move (fact 2): t^n (1 - α)^t, n stages up, is no rate until t is large.
            assert case.found.radius == pytest.approx(1.0 - case.settings.bid_rate, abs=1e-8)
            errors.append(None)
        elif case.found.radius < 0.1:
            # Nothing is left after some ten steps, too few for a rate to one per cent.
            assert np.abs(np.diff(path[:, 20:], axis=1)).max() < 1e-13, f"{case}"
            errors.append(math.nan)
        else:
            error = measured(path) / case.found.radius - 1.0
            assert abs(error) < 0.01, f"{case}"
            errors.append(error)
    return errors


def open_cases(fastest: float) -> st.SearchStrategy[list[Case]]:
    """Eight economies of one structure: rival goods or copies, firms, suppliers, consumers."""
    return st.builds(
        drawn_cases,
        open_economies(runs=8),
        st.sampled_from(TIMINGS),
        st.integers(0, 2**32),
        st.just(fastest),
    )


def rates_of(count: int, fastest: float) -> tuple[np.ndarray, np.ndarray]:
    """Radii, and by how much measured rates are off (relative), of different economies."""
    seen: dict[float, float] = {}

    @given(several=open_cases(fastest))
    @settings(max_examples=count, phases=[Phase.generate])
    def check(several: list[Case]) -> None:
        for case, error in zip(several, check_rates(several, seed=count), strict=True):
            if error is not None:
                seen[case.found.radius] = error

    check()
    return np.array(list(seen)), np.array(list(seen.values()))


@pytest.mark.slow
def test_runs_come_to_rest_at_the_rate_that_is_told() -> None:
    """Every economy drawn, stable or not, and none is left out.

    1 % of the radius is asked for. Half are within 1e-6; the worst, some 2e-4 off, have a dozen
    modes within 2 % of the leading one.
    """
    radii, errors = rates_of(count=48, fastest=1.0)
    counted = np.isfinite(errors)
    assert np.sum(counted & (radii < 1.0)) >= 200
    assert np.sum(counted & (radii > 1.0)) >= 5
    # Those that come to rest too soon for a rate to be measured are few.
    assert np.sum(~counted) <= 0.05 * len(radii)
    assert np.ptp(radii[counted]) > 0.7  # and rates are of all sizes


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Generating overly large repr")  # which hides what failed
@pytest.mark.parametrize("fastest", [0.3, 1.0, 3.0])
def test_runs_come_to_rest_at_the_rate_that_is_told_at_length(fastest: float) -> None:
    _, errors = rates_of(count=100, fastest=fastest)
    assert np.sum(np.isfinite(errors)) >= 500


@given(
    program=st.sampled_from(["rival", "copy"]).flatmap(loops),
    activation=st.sampled_from(TIMINGS),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=examples(25), phases=[Phase.generate])
def test_so_do_loops(program: Any, activation: str, seed: int) -> None:
    """Where goods go round, disturbances of quantities live on even when nothing is divided."""
    check_rates(drawn_cases([program], activation, seed, 1.0), seed)


@pytest.mark.parametrize("count", members([1, 12], quick=[1]))
def test_small_disturbances_grow_or_die(count: int) -> None:
    """Tenfold or to a tenth, in the steps in which the leading mode does so 10,000 fold.

    What other modes do at first, and how much of the leading one there is, has a factor of 1,000.
    From 1e-6: the rest is known to 1e-9.
    """

    @given(several=open_cases(fastest=4.0), seed=st.integers(0, 2**32))
    @settings(max_examples=count, phases=[Phase.generate])
    def check(several: list[Case], seed: int) -> None:
        grow_or_die([case for case in several if abs(case.found.radius - 1.0) > 0.01], seed)

    check()


def grow_or_die(several: list[Case], seed: int) -> None:
    if not several:
        return
    steps = [steps_to(1e4, case) for case in several]
    for case, path, end in zip(
        several, paths(several, max(steps), 1, 1e-6, seed), steps, strict=True
    ):
        distance = np.abs(path[0]).max(axis=-1)
        if case.found.radius > 1.0:
            # The largest so far: beyond 1 it is no small disturbance, and may be anything.
            assert not np.nanmax(distance[: end + 1]) < 10 * distance[0], f"{case}"
        else:
            assert distance[end] < 0.1 * distance[0], f"{case}"
