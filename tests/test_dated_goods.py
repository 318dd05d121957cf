"""Goods with dates: prices are the exact gradient of each date's program, some steps later."""

import numpy as np
import pytest
from autograd import grad
from hypothesis import given, settings
from hypothesis import strategies as st
from support.engines import assert_each_its_own, numbers_for
from support.profiles import examples
from support.strategies import copy_dags, in_order, market_shares, rival_dags

from market_abm import from_text, market_settings
from market_abm.gradient import backprop
from market_abm.market.dating import Dates
from market_abm.market.mechanisms.registry import array_market


def path(economy, steps, **keys):
    """The states of steps 0 to ``steps``, and the consumers' reference quantities."""
    market = array_market([economy], [market_settings(dating="dated", **keys)], [1])
    states = [market.state.select_runs(0)]
    _ = states[0].inputs, states[0].shares, states[0].bids
    for _ in range(steps):
        market.step()
        states.append(market.state.select_runs(0))
        _ = states[-1].inputs, states[-1].shares, states[-1].bids
    assert not market.failed
    return states, market.reference[0]


def of_date(economy, states, date):
    """Offers of raw goods and shares of all buyers for a date; before step 0 all was as at 0."""
    dates, raw = Dates.of(economy), len(economy.supply)
    at = np.maximum(date + dates.sold, 0)
    offers = np.array([states[at[k]].quantities[k] for k in range(raw)])
    after = np.where(date + dates.sold < 0, 0, at + 1)
    shares = np.array([states[after[j]].shares[k] for k, j in enumerate(economy.buyers.good)])
    return offers, shares


def exact(economy, states, reference, date):
    """The quantities of a date, and its gradient, by a forward pass and a reverse sweep."""
    offers, shares = of_date(economy, states, date)
    made, products = backprop.forward_pass(economy, shares, offers)
    paid = backprop.consumer_prices(economy, reference, made)
    slopes = economy.uses.slopes(products, shares)
    return made, backprop.swept(economy, slopes, paid)


def assert_exact(economy, steps, **keys):
    """1e-12: the same products of slopes, in another order (and some sums over firms)."""
    states, reference = path(economy, steps, **keys)
    dates = Dates.of(economy)
    last = steps - dates.priced.max()
    assert last > 3
    for date in range(-dates.priced.max(), last + 1):
        made, gradient = exact(economy, states, reference, date)
        scale = np.abs(gradient).max()
        for k in range(len(economy.goods)):
            if date + dates.sold[k] >= 0:
                on_sale = states[date + dates.sold[k]].quantities[k]
                np.testing.assert_allclose(on_sale, made[k], rtol=1e-12, atol=1e-14)
            step = date + dates.priced[k]
            if step >= dates.first[k]:
                price = states[step].prices[k]
                np.testing.assert_allclose(price, gradient[k], rtol=1e-12, atol=1e-13 * scale)
            elif step >= 0:
                assert states[step].prices[k] == 0.0
    return states


UNEQUAL = """
short = x ** 0.5
one = ln(1 + x)
two = 2 * one
three = tanh(two) + two * z
both = ces(short, three, elasticity=0.7, weights=(0.4, 0.6))
side = x * both ** 0.3
end = both * side + beside
beside = w ** 0.8
"""


@pytest.mark.parametrize("firms", [1, 3])
def test_a_diamond_of_unequal_paths_whose_suppliers_respond(firms):
    moving = {"price": 0.4, "elasticity": 0.7}
    economy = from_text(
        UNEQUAL,
        supply={
            "x": {"quantity": 2.0, "adjustment": 0.2, **moving},
            "z": {"quantity": 1.5, "kind": "gradient", "rate": 0.05, **moving},
            "w": {"quantity": 0.7, "kind": "gradient", "rate": 0.1, **moving},
        },
        demand={"end": {"elasticity": 2.0}},
        reuse_of={"two": "copy"},
        population={"firms": firms, "weight_spread": 0.3 * (firms > 1)},
    )
    states = assert_exact(economy, 60, share_rate=0.05)
    moves = np.diff([state.quantities[: len(economy.supply)] for state in states[20:40]], axis=0)
    assert np.abs(moves).min() > 1e-9  # all offers move at every step


@given(program=st.one_of(rival_dags(), copy_dags()), seed=st.integers(0, 2**32))
@settings(max_examples=examples(10), deadline=None)
def test_random_programs_by_an_independent_library(program, seed):
    """HIPS autograd on the program's own trees, at the offers and shares of each date."""
    rng = np.random.default_rng(seed)
    supply = {
        good: {
            "quantity": quantity,
            "price": quantity * rng.uniform(0.1, 1.0),
            "elasticity": 0.5,
            "kind": "gradient",
            "rate": 0.01,
        }
        for good, quantity in program.supply.items()
    }
    economy = from_text(**program.arguments | {"supply": supply})
    states, _ = path(economy, 30, share_rate=0.02)
    dates, order = Dates.of(economy), in_order(program, economy.goods)
    for date in range(0, 30 - dates.priced.max(), 3):
        offers, shares = of_date(economy, states, date)
        injected = np.zeros(len(program.goods))
        injected[order[: len(offers)]] = offers - [
            program.supply[good] for good in economy.goods[: len(offers)]
        ]
        found = grad(program.value)(injected, market_shares(program, economy, shares))[order]
        prices = [states[date + step].prices[k] for k, step in enumerate(dates.priced)]
        scale = program.contributions(market_shares(program, economy, shares))[order]
        np.testing.assert_allclose(prices, found, rtol=1e-12, atol=1e-13 * scale.max())


@pytest.mark.parametrize("mechanism", ["unit-bid", "trading-post"])
@given(program=rival_dags(), data=st.data())
@settings(max_examples=examples(6), deadline=None)
def test_both_engines_keep_the_same_books(mechanism, program, data):
    """1e-12 at every step, as in tests/test_two_engines.py, with suppliers who respond."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    noise = data.draw(st.sampled_from([0.0, 0.1]))
    economies = [numbers_for(program, rng, firms=2, noise=noise, positive=True) for _ in range(3)]
    shares = {"share_rate": 0.03} if mechanism == "unit-bid" else {}
    markets = [market_settings(mechanism=mechanism, dating="dated", **shares)] * 3
    assert assert_each_its_own(economies, markets, [1, 2, 3]) > 0.9
