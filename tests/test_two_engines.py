"""Slow and fast: the Mesa agents and the array engine see the same numbers at every step.

Tolerance 1e-12, relative: both do the same arithmetic, but add and multiply in another order, and
vectorised exponentials differ from scalar ones in the last digit; a swing or a loop feeds such
differences back for forty steps.
"""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import Phase, event, given, settings
from hypothesis import strategies as st
from support.engines import FIELDS, assert_each_its_own, assert_twins, numbers_for
from support.profiles import examples
from support.strategies import chains, copy_dags, loops, rival_dags, trees

from market_abm import MarketModel, from_text, market_settings, run
from market_abm.errors import MarketError, RivalGoodError
from market_abm.market.arrays import ArrayEngine

unit_bid_settings = st.builds(
    market_settings,
    activation=st.sampled_from(["simultaneous", "sequential"]),
    bid_rate=st.sampled_from([1.0, 0.7, 0.2]),
    share_rate=st.sampled_from([0.0, 0.05, 0.2]),
)


@given(st.data(), unit_bid_settings, st.integers(0, 2**32))
@settings(max_examples=examples(60))
def test_random_economies(data, market, seed):
    kind = data.draw(st.sampled_from([chains, copy_dags, rival_dags, lambda: loops("copy")]))
    program = data.draw(kind())
    economy = from_text(**program.arguments)
    assert_twins([economy], [market], [seed], 25)


RESPONDING = """
flour = ces(wheat, labour, elasticity=sigma, weights=(0.4, 0.6)) ** 0.7
fuel  = 2 * gas ** beta
bread = cobb_douglas(flour, fuel, exponents=(0.4, 0.3))
cake  = ln(1 + flour)
heat  = ln(0.3 * fuel)
"""


def responding(k: int, firms: int, noise: float):
    rng = np.random.default_rng(k)
    draw = lambda low, high: float(rng.uniform(low, high))  # noqa: E731
    return from_text(
        RESPONDING,
        supply={
            "wheat": {"quantity": draw(1, 4), "price": 0.3, "elasticity": draw(0, 2)},
            "labour": {
                "quantity": draw(1, 4),
                "price": draw(0.2, 0.5),
                "elasticity": draw(0.1, 1),
                "adjustment": draw(0.1, 1),
            },
            "gas": {
                "quantity": draw(1, 4),
                "price": draw(0.2, 0.5),
                "elasticity": draw(0.1, 1),
                "kind": "gradient",
                "rate": draw(0.01, 0.1),
            },
        },
        demand={
            "bread": {"elasticity": draw(0.5, 3), "quantity": draw(0.5, 2)},
            "cake": {"price": draw(0.5, 2)},
            "heat": {"elasticity": draw(0.5, 3), "form": "linear"},
        },
        parameters={"sigma": draw(0.3, 3), "beta": draw(0.3, 0.9)},
        population={
            "firms": firms,
            "weight_spread": 0.3,
            "productivity_spread": 0.2,
            "bid_noise": noise,
        },
        seed=k,
    )


@pytest.mark.parametrize("activation", ["simultaneous", "sequential"])
@pytest.mark.parametrize(("firms", "noise"), [(1, 0.0), (3, 0.0), (3, 0.1)])
def test_runs_side_by_side_are_each_their_own_market(activation, firms, noise):
    economies = [responding(k, firms, noise) for k in range(5)]
    markets = [
        market_settings(activation=activation, bid_rate=0.5 + k / 10, share_rate=0.05 * k)
        for k in range(5)
    ]
    assert_twins(economies, markets, [7, 7, 8, 9, 10], 40)


def test_a_run_that_cannot_go_on_leaves_the_others_alone():
    def split(quantity):
        return from_text("y = ln(x)\nz = x ** 0.5\nw = y + z", supply={"x": quantity})

    market = market_settings()
    bad = from_text("y = ln(x)\nz = 0.1 - x\nw = y + z", supply={"x": 4.0})
    with pytest.raises(RivalGoodError) as told:
        model = MarketModel(bad, market)
        for _ in range(10):
            model.step()
    alone = ArrayEngine([bad], [market], [1])
    for _ in range(10):
        alone.step()
    assert str(alone.failed[0]) == str(told.value)
    together = ArrayEngine([split(3.0), split(-1.0), split(4.0)], [market] * 3, [1, 1, 1])
    assert list(together.failed) == [1]
    for _ in range(10):
        together.step()
    model = MarketModel(split(4.0), market)
    for _ in range(10):
        model.step()
    np.testing.assert_allclose(together.state.prices[2], model.state.prices, rtol=1e-12)


def test_an_infinite_bid_is_forgotten_at_once_where_the_bid_rate_is_1():
    """Also beside a run of another rate, to the last bit: 0 times infinity is no number."""
    economy = from_text("y = x ** 0.5\nz = y", {"x": 2.0})

    def bids(*rates):
        markets = [market_settings(bid_rate=rate) for rate in rates]
        engine = ArrayEngine([economy] * len(rates), markets, [1] * len(rates))
        engine.step()
        engine.memory = {"bids": np.full_like(engine.memory["bids"], math.inf)}
        engine.step()
        return engine.state.bids

    slow, whole = bids(0.5), bids(1.0)
    assert np.all(slow == math.inf) and np.all(np.isfinite(whole))
    np.testing.assert_array_equal(bids(0.5, 1.0), np.concatenate([slow, whole]))


def test_dropping_runs_changes_nothing_for_the_rest():
    """Not even the last bits of shares, whose sums in a pool were rounded long ago."""
    economies = [responding(k, 3, 0.1) for k in range(4)]
    market = [market_settings(share_rate=0.1)] * 4
    whole, part = (ArrayEngine(economies, market, [1, 2, 3, 4]) for _ in range(2))
    for step in range(20):
        if step == 8:
            part.keep(np.array([False, True, False, True]))
        whole.step()
        part.step()
    for field in FIELDS:
        np.testing.assert_array_equal(
            getattr(part.state, field), getattr(whole.state, field)[[1, 3]]
        )


def test_firms_one_by_one_need_agents():
    economy = from_text("y = sqrt(x)", supply={"x": 4})
    with pytest.raises(MarketError, match=r"market\.activation.*needs? engine = \"agents\""):
        ArrayEngine([economy], [market_settings(activation="random")], [1])


# --- the same, by somebody who had not seen either engine ----------------------------------------
# Only docs/model.md: each run of an ArrayEngine is the MarketModel of its own economy, settings and
# seed, whatever stands beside it.

DRAWN = {
    "chains, of any sign": (chains(), False),
    "trees, of any sign": (trees(), False),
    "copies, of any sign": (copy_dags(), False),
    "rival goods": (rival_dags(), True),
    # Most of these cannot go on, at step 0 or later: so each of its own, at the same step.
    "rival goods, of any sign": (copy_dags().map(lambda p: replace(p, reuse="rival")), False),
    "concave copies": (rival_dags().map(lambda p: replace(p, reuse="copy")), True),
    "loops with copies": (loops("copy"), True),
    "loops with rival goods": (loops("rival"), True),
}


@pytest.mark.parametrize("drawn", DRAWN)
@pytest.mark.parametrize("activation", ["simultaneous", "sequential"])
@given(data=st.data())
@settings(max_examples=examples(10), phases=[Phase.generate])
def test_economies_that_respond_side_by_side(drawn, activation, data):
    """Three markets of one structure with nothing else in common."""
    strategy, positive = DRAWN[drawn]
    program = data.draw(strategy)
    firms = data.draw(st.sampled_from([1, 1, 2, 3]))
    noise = data.draw(st.sampled_from([0.0, 0.0, 0.15]))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    economies = [
        numbers_for(program, rng, firms=firms, noise=noise * (k > 0), positive=positive)
        for k in range(3)
    ]
    markets = [
        market_settings(
            activation=activation,
            bid_rate=float(rng.choice([1.0, rng.uniform(0.2, 1)])),
            share_rate=float(rng.choice([0.0, rng.uniform(0.02, 0.15)])),
        )
        for _ in range(3)
    ]
    # Two of the three have the same seed: noise is a run's own all the same.
    share = assert_each_its_own(economies, markets, [5, 5, int(rng.integers(0, 2**32))])
    event(f"compared {share:.0%}")


@pytest.mark.parametrize("activation", ["simultaneous", "sequential"])
def test_what_was_drawn_above_is_not_mostly_skipped(activation):
    """The skips of ``assert_each_its_own`` are for the odd path: on a tame one it compares all."""
    program = "a = p*x**0.5\nb = 1 - 1/(a + 1)\nc = ln(b)"
    economies = [
        from_text(
            program,
            {"x": {"quantity": 4, "price": 0.02, "elasticity": eta, "adjustment": 0.4}},
            {"c": {"elasticity": eps}},
            parameters={"p": p},
        )
        for eta, eps, p in [(0.0, 2.0, 1.0), (0.6, math.inf, 1.5), (0.6, 0.9, 0.4)]
    ]
    markets = [market_settings(activation=activation)] * 3
    assert assert_each_its_own(economies, markets, [1, 2, 3]) == 1.0


@pytest.mark.parametrize("activation", ["simultaneous", "sequential"])
def test_numbers_that_decide_the_form_of_demand(activation):
    """Made 0.69 or -0.69 of it at step 0: isoelastic or linear, and elastic in a third run."""
    economies = [
        from_text(
            "y = ln(x)",
            {"x": {"quantity": q, "price": 0.4, "elasticity": 0.5, "adjustment": 0.2}},
            {"y": {"price": 1.2, "elasticity": eps}},
        )
        for q, eps in [(2.0, 1.5), (0.5, 1.5), (0.5, math.inf), (2.0, 4.0)]
    ]
    assert (
        assert_each_its_own(economies, [market_settings(activation=activation)] * 4, [1] * 4) == 1
    )


@pytest.mark.parametrize("activation", ["simultaneous", "sequential"])
def test_kinds_and_forms_are_each_runs_own_or_refused(activation):
    supplies = [
        {"quantity": 1.5},
        {"quantity": 1.5, "price": 0.3, "elasticity": 0.5, "adjustment": 0.3},
        {"quantity": 1.5, "price": 0.3, "elasticity": 0.5, "kind": "gradient", "rate": 0.2},
        {"quantity": 1.2, "price": 0.3, "elasticity": 0.5, "kind": "gradient"},
    ]
    demands = [
        {"elasticity": 2.0, "form": "linear"},
        {"elasticity": 2.0},
        {"price": 1.4},
        {"elasticity": 2.0, "quantity": 0.7, "form": "isoelastic"},
    ]
    economies = [
        from_text("y = 2*sqrt(x)\nz = 0.5*y", {"x": supply}, {"z": demand})
        for supply, demand in zip(supplies, demands, strict=True)
    ]
    markets = [market_settings(activation=activation)] * 4
    for economy in economies:
        assert assert_each_its_own([economy] * 4, markets, [1] * 4) == 1
    try:
        ArrayEngine(economies, markets, [1] * 4)
    except MarketError:
        return
    assert assert_each_its_own(economies, markets, [1] * 4) == 1


@pytest.mark.parametrize("activation", ["simultaneous", "sequential"])
def test_negative_prices_and_quantities_side_by_side(activation):
    """Suppliers of a nuisance that go through zero, each at its own pace."""
    economies = [
        from_text(
            "a = 0.5 - s*x\nb = a + 0.3*tanh(a)\nc = 2 * b",
            {
                "x": {
                    "quantity": q,
                    "price": 1.5,
                    "elasticity": 0.8,
                    "kind": "gradient",
                    "rate": rate,
                }
            },
            {"c": {"price": 0.7, "elasticity": eps, "quantity": -0.5}},
            reuse="copy",
            parameters={"s": s},
        )
        for q, rate, eps, s in [
            (0.6, 0.1, math.inf, 0.8),
            (0.5, 0.15, 6.0, 0.7),
            (0.7, 0.05, 9.0, 1),
        ]
    ]
    markets = [market_settings(activation=activation, bid_rate=rate) for rate in (1.0, 0.5, 0.9)]
    assert assert_each_its_own(economies, markets, [1] * 3, steps=40) == 1
    market = ArrayEngine(economies, markets, [1] * 3)
    for _ in range(40):
        market.step()
    assert np.all(market.state.quantities[:, 0] < 0)
    assert np.all(market.state.prices[:, 0] < 0)


def test_noise_is_the_runs_own():
    """Same economy and seed, same noise; another seed, other noise; wherever the run stands."""
    economy = from_text(
        "a = sqrt(x)\nb = x**0.3\nc = ces(a, b, elasticity=0.8)",
        {"x": {"quantity": 2, "price": 0.3, "elasticity": 0.4, "adjustment": 0.5}},
        population={"firms": 3, "weight_spread": 0.4, "bid_noise": 0.1},
    )
    markets = [market_settings(share_rate=0.1)] * 4
    market = ArrayEngine([economy] * 4, markets, [3, 8, 3, 1])
    for _ in range(10):
        market.step()
    np.testing.assert_array_equal(market.state.bids[0], market.state.bids[2])
    for other in (1, 3):
        assert np.max(np.abs(market.state.bids[0] / market.state.bids[other] - 1)) > 0.01
    assert assert_each_its_own([economy] * 4, markets, [3, 8, 3, 1]) == 1


def test_literal_numbers_are_each_runs_own_or_refused():
    """Never, silently, those of another run."""
    economies = [from_text(f"y = {c} * x**{a}", {"x": 2.0}) for c, a in [(2, 0.5), (3, 0.7)]]
    markets = [market_settings()] * 2
    try:
        ArrayEngine(economies, markets, [1, 1])
    except MarketError:
        return
    assert assert_each_its_own(economies, markets, [1, 1]) == 1


@pytest.mark.parametrize(
    "other",
    [
        from_text("y = sqrt(x)\nz = 2*y", {"x": 1.0}),
        from_text("y = ln(1 + x)", {"x": 1.0}),
        from_text("y = sqrt(w)", {"w": 1.0}),
        from_text("y = sqrt(x)", {"x": 1.0}, population={"firms": 2}),
    ],
    ids=["lines", "technology", "names", "firms"],
)
def test_other_structures_are_each_their_own_or_refused(other):
    first = from_text("y = sqrt(x)", {"x": 1.0})
    for pair in ([first, other], [other, first]):
        try:
            ArrayEngine(pair, [market_settings()] * 2, [1, 1])
        except MarketError:
            continue
        assert assert_each_its_own(pair, [market_settings()] * 2, [1, 1]) == 1


def test_other_reuse_is_its_own_or_refused():
    pair = [from_text("y = sqrt(x) + ln(1 + x)", {"x": 2.0}, reuse=r) for r in ("rival", "copy")]
    try:
        ArrayEngine(pair, [market_settings()] * 2, [1, 1])
    except MarketError:
        return
    assert assert_each_its_own(pair, [market_settings()] * 2, [1, 1]) == 1


@pytest.mark.parametrize("activation", ["simultaneous", "sequential"])
@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_a_run_is_the_same_run_with_either_engine(activation, noise):
    """Everything that a result says; 60 steps of a stable market, so 1e-12 (1e-9 for errors).

    Errors are differences of prices and gradients, of which 1e-12 is left: compared to 1e-11 of 1.
    """
    economy = from_text(
        "a = 2*sqrt(x)\nb = ln(1 + x)\ny = ces(a, b, elasticity=0.7, weights=(0.4, 0.6))",
        {"x": {"quantity": 3, "price": 0.3, "elasticity": 0.6, "adjustment": 0.3}},
        {"y": {"elasticity": 1.8}},
        population={"firms": 2, "weight_spread": 0.3, "bid_noise": noise},
    )
    slow, fast = (
        run(economy, activation=activation, share_rate=0.05, steps=60, seed=4, engine=engine)
        for engine in ("agents", "arrays")
    )
    assert (fast.status, fast.steps) == (slow.status, slow.steps)
    for name in ("prices", "quantities", "gradients"):
        np.testing.assert_allclose(getattr(fast, name), getattr(slow, name), rtol=1e-12)
    np.testing.assert_allclose(fast.errors, slow.errors, rtol=0, atol=1e-11)
    assert list(fast.table().index) == list(slow.table().index)
    for key in ("status", "steps", "message"):
        assert fast.summary()[key] == slow.summary()[key]
    assert fast.summary()["welfare"] == pytest.approx(slow.summary()["welfare"], rel=1e-12)
