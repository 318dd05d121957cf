"""Slow and fast: the Mesa agents and the array engine see the same numbers at every step.

Tolerance 1e-12, relative: both do the same arithmetic, but add and multiply in another order, and
vectorised exponentials differ from scalar ones in the last digit; a swing or a loop feeds such
differences back for forty steps.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import chains, copy_dags, loops, rival_dags

from market_abm import MarketModel, MarketSettings, from_text
from market_abm.arrays import ArrayMarket
from market_abm.errors import MarketError, RivalGoodError

FIELDS = ("quantities", "prices", "inputs", "shares", "bids")


def assert_twins(economies: list, markets: list[MarketSettings], seeds: list[int], steps: int):
    together = ArrayMarket(economies, markets, seeds)
    models = [
        MarketModel(economy, market, seed=seed)
        for economy, market, seed in zip(economies, markets, seeds, strict=True)
    ]
    for step in range(steps + 1):
        state = together.state
        for row, model in enumerate(models):
            for field in FIELDS:
                slow, fast = getattr(model.state, field), getattr(state, field)[row]
                scale = np.abs(slow).max(initial=1.0)
                np.testing.assert_allclose(
                    fast, slow, rtol=1e-12, atol=1e-13 * scale, err_msg=f"{field} at step {step}"
                )
        if step < steps:
            together.step()
            for model in models:
                model.step()


market_settings = st.builds(
    MarketSettings,
    activation=st.sampled_from(["simultaneous", "sequential"]),
    bid_rate=st.sampled_from([1.0, 0.7, 0.2]),
    share_rate=st.sampled_from([0.0, 0.05, 0.2]),
)


@given(st.data(), market_settings, st.integers(0, 2**32))
@settings(max_examples=60)
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
        MarketSettings(activation=activation, bid_rate=0.5 + k / 10, share_rate=0.05 * k)
        for k in range(5)
    ]
    assert_twins(economies, markets, [7, 7, 8, 9, 10], 40)


def test_a_run_that_cannot_go_on_leaves_the_others_alone():
    def split(quantity):
        return from_text("y = ln(x)\nz = x ** 0.5\nw = y + z", supply={"x": quantity})

    market = MarketSettings()
    bad = from_text("y = ln(x)\nz = 0.1 - x\nw = y + z", supply={"x": 4.0})
    with pytest.raises(RivalGoodError) as told:
        model = MarketModel(bad, market)
        for _ in range(10):
            model.step()
    alone = ArrayMarket([bad], [market], [1])
    for _ in range(10):
        alone.step()
    assert str(alone.failed[0]) == str(told.value)
    together = ArrayMarket([split(3.0), split(-1.0), split(4.0)], [market] * 3, [1, 1, 1])
    assert list(together.failed) == [1]
    for _ in range(10):
        together.step()
    model = MarketModel(split(4.0), market)
    for _ in range(10):
        model.step()
    np.testing.assert_allclose(together.state.prices[2], model.state.prices, rtol=1e-12)


def test_dropping_runs_changes_nothing_for_the_rest():
    economies = [responding(k, 2, 0.1) for k in range(4)]
    market = [MarketSettings(share_rate=0.1)] * 4
    whole, part = (ArrayMarket(economies, market, [1, 2, 3, 4]) for _ in range(2))
    for step in range(20):
        if step == 8:
            part.keep(np.array([False, True, False, True]))
        whole.step()
        part.step()
    for field in FIELDS:
        np.testing.assert_allclose(
            getattr(part.state, field), getattr(whole.state, field)[[1, 3]], rtol=1e-13
        )


def test_firms_one_by_one_need_agents():
    economy = from_text("y = sqrt(x)", supply={"x": 4})
    with pytest.raises(MarketError, match=r"market\.activation.*needs? engine = \"agents\""):
        ArrayMarket([economy], [MarketSettings(activation="random")], [1])
