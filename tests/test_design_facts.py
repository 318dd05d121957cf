"""What theory says (docs/model.md, 4), facts 1 to 3, each with its tolerance."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from scipy.stats import nbinom
from support.economies import split
from support.profiles import members

import market_abm

ESSAY = """\
ethylene     = natgas ** 0.5
polyethylene = 1 - 1/(ethylene + 1)
tupperware   = ln(polyethylene)
"""
# By hand: 1/(2/3) = 3/2; over (2 + 1)**2, 1/6; times 1/(2 sqrt 4), 1/24.
ESSAY_PRICES = {"tupperware": 1.0, "polyethylene": 3 / 2, "ethylene": 1 / 6, "natgas": 1 / 24}


def essay(**run: Any) -> market_abm.Result:
    economy = market_abm.from_text(ESSAY, supply={"natgas": 4}, demand={"tupperware": 1})
    return market_abm.run(economy, **run)


# --- fact 1: exact after as many steps as there are industries ---------------------------------


def test_the_essays_chain_has_the_essays_numbers() -> None:
    result = essay()
    # A dozen operations, each to an ulp (2e-16): 1e-14. 1e-12 would do.
    for good, price in ESSAY_PRICES.items():
        at = result.goods.index(good)
        assert result.prices[-1, at] == pytest.approx(price, rel=1e-14)
        assert result.gradients[-1, at] == pytest.approx(price, rel=1e-14)
        assert result.table().loc[good, "price"] == result.prices[-1, at]
    quantities = {"natgas": 4, "ethylene": 2, "polyethylene": 2 / 3, "tupperware": math.log(2 / 3)}
    for good, quantity in quantities.items():
        assert result.quantities[-1, result.goods.index(good)] == pytest.approx(quantity, rel=1e-14)


def test_the_essays_chain_is_exact_after_exactly_three_steps() -> None:
    result = essay(tolerance=1e-12)
    assert result.status == "converged"
    assert result.steps == 3
    assert result.prices.shape == (4, 4)
    arrives = {"tupperware": 0, "polyethylene": 1, "ethylene": 2, "natgas": 3}
    for good, step in arrives.items():
        at = result.goods.index(good)
        # Not before: there is no price at all until the step in which the first bid is made.
        assert np.all(result.prices[:step, at] == 0)
        assert np.all(result.errors[:step, at] == 1)
        assert np.all(result.errors[step:, at] <= 1e-12)
        assert result.first_steps[at] == step
        assert result.table().loc[good, "first_step"] == step


def deep_chain(depth: int) -> market_abm.Economy:
    """Not identities: each industry has a marginal product of its own, of either sign."""
    lines = []
    for k in range(depth):
        line = [f"sqrt(1 + g{k})", f"1.5 * g{k}", f"2 - g{k}/4", f"ln(2 + g{k}**2)"][k % 4]
        lines.append(f"g{k + 1} = {line}")
    return market_abm.from_text("\n".join(lines), supply={"g0": 2}, demand={f"g{depth}": 1.5})


@pytest.mark.parametrize("depth", range(1, 31))
def test_depth_n_takes_exactly_n_steps(depth: int) -> None:
    result = market_abm.run(deep_chain(depth), tolerance=1e-12)
    assert result.status == "converged"
    assert result.steps == depth
    for stages in range(depth + 1):
        at = result.goods.index(f"g{depth - stages}")
        assert np.all(result.prices[:stages, at] == 0)
        assert np.all(result.errors[stages:, at] <= 1e-12)


@pytest.mark.parametrize("depth", [1, 2, 3, 10, 30])
def test_sequential_takes_one_step_whatever_the_depth(depth: int) -> None:
    result = market_abm.run(deep_chain(depth), activation="sequential", tolerance=1e-12)
    assert result.status == "converged"
    assert result.steps == 1
    assert np.all(result.errors[1] <= 1e-12)
    assert np.all(result.prices[0, :-1] == 0)
    assert result.prices[0, -1] == 1.5


def test_sequential_essay() -> None:
    result = essay(activation="sequential", tolerance=1e-12)
    assert (result.status, result.steps) == ("converged", 1)
    for good, price in ESSAY_PRICES.items():
        assert result.prices[1, result.goods.index(good)] == pytest.approx(price, rel=1e-14)


# --- fact 2: partial adjustment is a negative-binomial delay -----------------------------------


@pytest.mark.parametrize("bid_rate", [0.05, 0.2, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("depth", [1, 2, 5, 12])
def test_partial_adjustment_is_the_negative_binomial_distribution(
    bid_rate: float, depth: int
) -> None:
    """On identities the price is the probability itself: 1e-14, a few dozen roundings of 1e-16."""
    program = "\n".join(f"g{k + 1} = g{k}" for k in range(depth))
    economy = market_abm.from_text(program, supply={"g0": 2})
    steps = 150
    # So tight that it cannot stop before its prices have stopped moving.
    result = market_abm.run(economy, bid_rate=bid_rate, steps=steps, tolerance=1e-15)
    for stages in range(1, depth + 1):
        price = result.prices[:, result.goods.index(f"g{depth - stages}")]
        # T counts trials, SciPy counts failures before the n-th success: T = failures + n.
        trials = np.arange(result.steps + 1)
        expected = nbinom.cdf(trials - stages, stages, bid_rate)
        assert np.max(np.abs(price - expected)) <= 1e-14
        assert np.all(price[:stages] == 0)
    assert result.steps >= depth


@pytest.mark.parametrize("bid_rate", [0.1, 0.3, 0.7])
def test_the_essays_chain_is_late_by_the_same_law(bid_rate: float) -> None:
    """As a share of the hand-made gradient, again to 1e-14."""
    result = essay(bid_rate=bid_rate, steps=200, tolerance=1e-15)
    trials = np.arange(result.steps + 1)
    assert result.steps > 20
    for stages, good in enumerate(["polyethylene", "ethylene", "natgas"], start=1):
        share = result.prices[:, result.goods.index(good)] / ESSAY_PRICES[good]
        assert np.max(np.abs(share - nbinom.cdf(trials - stages, stages, bid_rate))) <= 1e-14


def test_scipys_negative_binomial_is_the_one_meant() -> None:
    """P(T <= t) = sum over k = n..t of C(k-1, n-1) a**n (1-a)**(k-n), to 1e-14."""
    for alpha, n, t in itertools.product([0.05, 0.5, 0.9], [1, 2, 5, 12], [12, 30, 150]):
        by_hand = math.fsum(
            math.comb(k - 1, n - 1) * alpha**n * (1 - alpha) ** (k - n) for k in range(n, t + 1)
        )
        assert nbinom.cdf(t - n, n, alpha) == pytest.approx(by_hand, abs=1e-14)


# --- fact 3: how fast shares may follow prices -------------------------------------------------


def deviations(
    economy: market_abm.Economy, activation: str, share_rate: float, sigma: float, steps: int
) -> np.ndarray:
    """ln(s_a / s_b) minus its optimum, step by step, from the equal split that a market starts at.

    With a CES the log ratio of the bids is linear in the log ratio of the inputs, so that the
    recursion is linear however far off: no small perturbation is needed. The optimum is by hand:
    0.3 s**(-1/sigma) equal for both uses, so s_a / s_b = (3/7)**sigma.
    """
    settings = market_abm.market_settings(
        activation=activation, bid_rate=1.0, share_rate=share_rate
    )
    model = market_abm.MarketModel(economy, settings)
    (first, second) = np.flatnonzero(economy.buyers.good == economy.goods.index("x"))
    best = sigma * math.log(0.3 / 0.7)
    seen = []
    for _ in range(steps):
        model.step()
        off = math.log(model.state.shares[first] / model.state.shares[second]) - best
        seen.append(off)
        if abs(off) > 300:  # long before the smaller share underflows
            break
        if max(abs(value) for value in seen[-8:]) < 1e-10 and len(seen) > 8:
            break
    return np.array(seen)


def growth(off: np.ndarray) -> float:
    """Modulus of the dominant mode, minus 1: from the two-term recursion that the tail obeys.

    x_t = c1 x_{t-1} + c2 x_{t-2} is exact for one real mode or one pair of complex modes, and the
    others are gone by the second half of the run.
    """
    tail = off[len(off) // 2 :]
    c = np.linalg.lstsq(np.column_stack([tail[1:-1], tail[:-2]]), tail[2:], rcond=None)[0]
    return float(np.max(np.abs(np.roots([1.0, -c[0], -c[1]])))) - 1


def stability_boundary(
    depth: int, sigma: float, activation: str, low: float, high: float, steps: int
) -> float:
    """The largest stable share rate, by bisection to 0.2% of the bracket's top."""
    economy = split(depth, sigma)

    def grows(share_rate: float) -> bool:
        return growth(deviations(economy, activation, share_rate, sigma, steps)) > 0

    assert not grows(low)
    assert grows(high)
    while high - low > 0.002 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if grows(middle) else (middle, high)
    return (low + high) / 2


# The bound 2 sin(pi / (2 (2 tau + 1))) for tau = 2d + 1, to four digits.
SIMULTANEOUS = {0: 1.0000, 1: 0.4450, 2: 0.2846, 4: 0.1652}


def test_the_formula_is_the_table() -> None:
    for depth, printed in SIMULTANEOUS.items():
        bound = 2 * math.sin(math.pi / (2 * (2 * (2 * depth + 1) + 1)))
        assert bound == pytest.approx(printed, abs=5e-5)  # four decimals are printed


@pytest.mark.parametrize(
    ("depth", "sigma"),
    members(
        [(0, 0.5), (0, 1.0), (0, 2.0), (1, 0.5), (1, 2.0), (2, 1.0), (2, 1.5), (4, 0.7)],
        quick=[(0, 2.0), (1, 0.5), (2, 1.5)],
    ),
)
def test_the_simultaneous_bound(depth: int, sigma: float) -> None:
    """Within 1%, of which bisection takes 0.2%; the bracket knows nothing but the scale sigma."""
    measured = stability_boundary(depth, sigma, "simultaneous", 0.1 * sigma, 1.3 * sigma, 300)
    assert measured / sigma == pytest.approx(SIMULTANEOUS[depth], rel=0.01)


@pytest.mark.parametrize(
    ("depth", "sigma"),
    members(
        [(0, 0.5), (0, 1.0), (1, 2.0), (2, 0.5), (4, 1.5)], quick=[(0, 0.5), (1, 2.0), (2, 0.5)]
    ),
)
def test_the_sequential_bound_is_two_whatever_the_depth(depth: int, sigma: float) -> None:
    measured = stability_boundary(depth, sigma, "sequential", 0.1 * sigma, 3.1 * sigma, 60)
    assert measured / sigma == pytest.approx(2.0, rel=0.01)


@pytest.mark.parametrize(("activation", "depth"), [("simultaneous", 1), ("sequential", 0)])
def test_status_on_either_side_of_the_bound(activation: str, depth: int) -> None:
    """10% either side, where the slowest mode still takes only some 100 steps for a factor e.

    With 1e-9 to go, 21 factors of e: 3000 steps are enough.
    """
    bound = SIMULTANEOUS[depth] if activation == "simultaneous" else 2.0
    sigma = 0.8
    for factor, converges in [(0.9, True), (1.1, False)]:
        result = market_abm.run(
            split(depth, sigma),
            activation=activation,
            share_rate=factor * bound * sigma,
            steps=3000,
        )
        assert (result.status == "converged") is converges
        if not converges:
            assert result.status in {"oscillating", "diverged"}


@pytest.mark.parametrize(("activation", "lag"), [("simultaneous", True), ("sequential", False)])
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_the_shares_follow_the_recursion_of_the_stale_gradient(
    activation: str, lag: bool, depth: int
) -> None:
    """Where the bound comes from: z(t+1) = z(t) - kappa/sigma z(t - tau), step by step.

    Once all bids are posted (2 tau + 2 steps in), to rounding of logarithms of order 1: 1e-12.
    """
    sigma, rate = 0.8, 0.1
    tau = 2 * depth + 1 if lag else 0
    z = deviations(split(depth, sigma), activation, rate, sigma, 60)
    start = 2 * tau + 2
    for t in range(start, len(z) - 1):
        assert z[t + 1] == pytest.approx(z[t] - rate / sigma * z[t - tau], abs=1e-12)
    assert len(z) > start + 20
