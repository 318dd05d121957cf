"""``trading-post``: money buys shares. By hand, by closed forms, and what must be conserved."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.engines import assert_each_its_own, numbers_for
from support.open_economies import open_economies
from support.profiles import examples
from support.strategies import rival_dags

from market_abm import MarketError, from_text, market_settings, run
from market_abm.gradient.equilibrium import equilibrium
from market_abm.market.arrays import ArrayEngine

POST = "trading-post"


def test_two_steps_by_hand():
    """y = l^0.3 r^0.7 at price 2 from x = 4, with l and r made of x one for one.

    At rest at once: pledges are Cobb-Douglas shares of 2y. Step 0: l = r = 2, y = 2. Step 1: y's
    firm pledges 0.3 * 4 for l and 0.7 * 4 for r, all of both at prices 0.6 and 1.4. Step 2: the
    makers of l and r pledge what they sold for, 1.2 and 2.8, for x: price 1, shares 0.3 and 0.7.
    """
    economy = from_text(
        "l = x\nr = x\ny = cobb_douglas(l, r, exponents=(0.3, 0.7))", {"x": 4.0}, {"y": 2.0}
    )
    result = run(economy, mechanism=POST, steps=8)
    prices = dict(zip(result.goods, result.prices.T, strict=True))
    assert prices["l"][:3] == pytest.approx([0.0, 0.6, 0.6], rel=1e-15)
    assert prices["r"][:3] == pytest.approx([0.0, 1.4, 1.4], rel=1e-15)
    assert prices["x"][:4] == pytest.approx([0.0, 0.0, 1.0, 1.0], rel=1e-15)
    of_x = result.trajectory.shares[:, [0, 1]]
    assert of_x[2] == pytest.approx([0.5, 0.5], rel=1e-15)  # those that handed out step 2's inputs
    assert of_x[3] == pytest.approx([0.3, 0.7], rel=1e-15)
    assert result.status == "converged"


def test_the_essays_chain_needs_no_mechanism_but_a_price():
    """With one buyer a good, every mechanism hands out all of it: 3 steps, exact."""
    result = run("essay-chain", mechanism=POST)
    assert (result.status, result.steps) == ("converged", 3)
    assert result.table()["error"].max() <= 1e-15
    assert result.prediction is not None


@given(program=rival_dags(), data=st.data())
@settings(max_examples=examples(25))
def test_money_and_goods_are_conserved(program, data):
    """At every step what is pledged for a good is paid, and what is handed out was there.

    Sums of a few positive numbers: 1e-12 relative has room for their roundings.
    """
    economy = from_text(**program.arguments)
    activation = data.draw(st.sampled_from(["simultaneous", "sequential"]))
    result = run(economy, mechanism=POST, bid_rate=0.5, steps=30, activation=activation)
    path, buyers = result.trajectory, economy.buyers
    spent = np.zeros((len(path.prices), len(economy.goods)))
    bought = np.zeros_like(spent)
    for k in range(len(economy.goods)):
        spent[:, k] = path.bids[:, buyers.good == k].sum(axis=1)
        bought[:, k] = path.inputs[:, buyers.good == k].sum(axis=1)
    bought_goods = np.unique(buyers.good)
    money = path.prices * path.quantities
    heard = path.prices[:, bought_goods] > 0
    np.testing.assert_allclose(
        spent[:, bought_goods][heard], money[:, bought_goods][heard], rtol=1e-12
    )
    assert heard[-1].all()
    made = path.quantities[:-1] if activation == "simultaneous" else path.quantities[1:]
    np.testing.assert_allclose(bought[1:, bought_goods], made[:, bought_goods], rtol=1e-12)


# --- fact 4 --------------------------------------------------------------------------------------


def split(sigma: float, depth: int):
    """The rival split of fact 3; sigma is a parameter, so that many run side by side."""
    if depth == 0:
        power = "(1 - 1/sigma)"
        lines = [f"{side} = {w} * x ** {power} / {power}" for side, w in (("l", 0.3), ("r", 0.7))]
    else:
        lines = [f"{side}1 = x" for side in "lr"]
        lines += [f"{side}{k + 1} = {side}{k}" for k in range(1, depth) for side in "lr"]
        lines.append(f"y = ces(l{depth}, r{depth}, elasticity=sigma, weights=(0.3, 0.7))")
    return from_text("\n".join(lines), {"x": 4.0}, parameters={"sigma": sigma})


def left(economies, bid_rates, steps: int) -> np.ndarray:
    """How far the first share is from its best in the last fifty steps, as a part of the first."""
    markets = [market_settings(mechanism=POST, bid_rate=rate) for rate in bid_rates]
    market = ArrayEngine(economies, markets, [1] * len(economies))
    best = np.array([equilibrium(economy).shares[0] for economy in economies])
    distances = [np.abs(market.state.shares[:, 0] - best)]
    for step in range(1, steps + 1):
        market.step()
        if step > steps - 50:
            distances.append(np.abs(market.state.shares[:, 0] - best))
    path = np.array(distances)
    path[1:, list(market.failed)] = np.inf
    path[np.isnan(path)] = np.inf  # nothing is left of a share
    return np.max(path[1:], axis=0) / path[0]


@pytest.mark.parametrize("depth", [0, 1, 2, 4])
def test_fact_4_with_full_adjustment_the_bound_is_one_half_whatever_the_depth(depth):
    """1 % on either side of 1/2: (1 - σ)/σ is the factor of a round trip of the signal.

    A round trip takes 2d + 2 steps; 400 of them at 0.98 or 1.02 leave 3e-4 of a disturbance, or
    all that there can be of it.
    """
    sigmas = [0.495, 0.505]
    below, above = left([split(s, depth) for s in sigmas], [1.0, 1.0], 400 * (2 * depth + 2))
    assert below > 1.0
    assert above < 1e-2


@pytest.mark.parametrize("sigma", [0.25, 0.4])
def test_fact_4_partial_adjustment_widens_the_bound(sigma):
    """Without depth it is α = σ/(1 - σ), here to 1 % on either side."""
    bound = sigma / (1 - sigma)
    rates = [0.99 * bound, 1.01 * bound]
    stable, unstable = left([split(sigma, 0)] * 2, rates, 2500)
    assert stable < 1e-4
    assert unstable > 0.1


def test_fact_4_depth_narrows_it():
    """For σ = 1/4 half of the bound is stable without depth, and not with depth 2."""
    bound = 0.25 / 0.75
    assert left([split(0.25, 0)], [0.5 * bound], 2500)[0] < 1e-6
    assert left([split(0.25, 2)], [0.5 * bound], 2500)[0] > 0.1


# --- both engines, and where it rests ------------------------------------------------------------


@pytest.mark.parametrize("activation", ["simultaneous", "sequential"])
@given(program=rival_dags(), firms=st.sampled_from([1, 2, 3]), data=st.data())
@settings(max_examples=examples(12))
def test_both_engines_give_the_same_numbers(activation, program, firms, data):
    """As in tests/test_two_engines.py: 1e-12 at every step, each run of three its own."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    noise = data.draw(st.sampled_from([0.0, 0.1]))
    economies = [
        numbers_for(program, rng, firms=firms, noise=noise * (k > 0), positive=True)
        for k in range(3)
    ]
    markets = [
        market_settings(mechanism=POST, activation=activation, bid_rate=float(rng.uniform(0.2, 1)))
        for _ in range(3)
    ]
    assert assert_each_its_own(economies, markets, [5, 5, 9]) > 0.5


@given(several=open_economies(runs=1))
@settings(max_examples=examples(12), deadline=None)
def test_it_rests_where_welfare_is_best(several):
    """With pledges that move slowly enough: runs stop at 1e-9, at rates of 0.05 a step or more."""
    economy = several[0].economy()
    result = run(
        economy,
        mechanism=POST,
        activation="sequential",
        bid_rate=0.15,
        engine="arrays",
        steps=6000,
        tolerance=1e-9,
    )
    best = equilibrium(economy)
    assert result.status == "converged", f"{several[0]}\n{result.ending.detail}"
    np.testing.assert_allclose(result.last.quantities, best.quantities, rtol=1e-6)
    np.testing.assert_allclose(result.last.prices, best.prices, rtol=1e-6)


def test_agents_one_by_one():
    """In ``random`` activation too, which agents alone can have."""
    economy = split(0.8, 1)
    result = run(economy, mechanism=POST, activation="random", seed=3)
    best = equilibrium(economy)
    assert result.status == "converged"
    np.testing.assert_allclose(result.last.quantities, best.quantities, rtol=1e-8)


# --- what it cannot do ---------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["agents", "arrays"])
@pytest.mark.parametrize(
    ("program", "told"),
    [
        ("y = 3 - x", r"a maker of y bids -"),
        ("a = ln(x)\ny = a", r"there are -0\.69\d* units"),
    ],
    ids=["a nuisance", "a negative quantity"],
)
def test_what_is_not_wanted_or_not_there(engine, program, told):
    economy = from_text(program, {"x": 0.5})
    with pytest.raises(MarketError, match=told) as caught:
        run(economy, mechanism=POST, engine=engine)
    assert 'market.mechanism = "unit-bid"' in str(caught.value)


def test_swings_are_told_with_what_would_calm_them():
    result = run(split(0.4, 0), mechanism=POST, bid_rate=0.68, steps=3000, engine="arrays")
    assert result.status == "oscillating"
    assert result.ending.detail.endswith("lower market.bid_rate")


def test_pledges_are_money_and_the_figures_show_money_per_unit():
    result = run(split(0.8, 0), mechanism=POST)
    rules = result.experiment.market.rules
    paid = rules.per_unit(result.last.bids, result.last.inputs)
    assert paid == pytest.approx([result.last.prices[0]] * 2, rel=1e-9)
    assert math.isclose(result.last.bids.sum(), 4.0 * result.last.prices[0], rel_tol=1e-12)
    assert result.network_figure() and result.convergence_figure()
