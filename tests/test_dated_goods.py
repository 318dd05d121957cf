"""Goods with dates: prices are the exact gradient of each date's program, some steps later."""

import numpy as np
import pytest
from autograd import grad
from hypothesis import given, settings
from hypothesis import strategies as st
from support.engines import assert_each_its_own, numbers_for
from support.profiles import examples
from support.strategies import copy_dags, in_order, market_shares, rival_dags

from market_abm import from_text, market_settings, run
from market_abm.analysis.delays import delays_of, edge, reduced, scalar_edge, spectral_radius
from market_abm.gradient import backprop
from market_abm.market.dating import Dates
from market_abm.market.mechanisms.registry import array_market
from market_abm.twins.base import largest_distance
from market_abm.twins.registry import twin


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


def unequal(firms, adjustment=0.2):
    """An economy of unequal paths whose suppliers respond."""
    moving = {"price": 0.4, "elasticity": 0.7}
    return from_text(
        UNEQUAL,
        supply={
            "x": {"quantity": 2.0, "adjustment": adjustment, **moving},
            "z": {"quantity": 1.5, "kind": "gradient", "rate": 0.05, **moving},
            "w": {"quantity": 0.7, "kind": "gradient", "rate": 0.1, **moving},
        },
        demand={"end": {"elasticity": 2.0}},
        reuse_of={"two": "copy"},
        population={"firms": firms, "weight_spread": 0.3 * (firms > 1)},
    )


@pytest.mark.parametrize("firms", [1, 3])
def test_a_diamond_of_unequal_paths_whose_suppliers_respond(firms):
    economy = unequal(firms)
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


DEVICES = {"pipeline": 0.5, "elasticity": 1.0, "trend": 0.3, "momentum": 0.2, "supply_line": 0.3}


@pytest.mark.parametrize(
    ("mechanism", "steps", "keys"),
    [
        ("unit-bid", 40, {"share_rate": 0.05}),
        ("unit-bid", 40, {"share_rate": 0.05, "foresight": DEVICES}),
        ("trading-post", 24, {}),  # its swings grow by a quarter a step, and rounding with them
    ],
)
def test_the_twin_that_runs_each_date_forward_and_differentiates_it(mechanism, steps, keys):
    """Rounding, 1e-13 of the largest number, over steps in which everything moves."""
    economy = unequal(firms=2, adjustment=0.05)
    found = twin(economy, market_settings(mechanism=mechanism, dating="dated", **keys), steps)
    states, _ = path(economy, steps, mechanism=mechanism, **keys)
    for name in ("quantities", "prices", "shares"):
        measured = np.array([getattr(state, name) for state in states])
        assert largest_distance(getattr(found, name), measured)[0] < 1e-13
        assert largest_distance(measured[:-1], measured[1:])[0] > 1e-3  # it moves


def test_without_moves_spot_and_dated_prices_come_to_rest_at_the_same_point():
    economy = unequal(firms=1, adjustment=0.1)
    spot, dated = (
        run(economy, dating=dating, share_rate=0.05, steps=3000, engine="arrays")
        for dating in ("spot", "dated")
    )
    assert spot.status == dated.status == "converged"
    np.testing.assert_allclose(dated.prices[-1], spot.prices[-1], rtol=1e-7)
    np.testing.assert_allclose(dated.quantities[-1], spot.quantities[-1], rtol=1e-7)


# --- delays ---------------------------------------------------------------------------------------


def learner(quantity, rate, decay=0.1):
    return {
        "quantity": quantity,
        "kind": "gradient",
        "cost": "quadratic",
        "decay": decay,
        "rate": rate,
    }


def layered(relays, rate, decay=0.1):
    """W is quadratic in three offers, one of which is used after some relays."""
    last = f"p{relays}"
    lines = ["p0 = w1 - 0.4*w2", *(f"p{k + 1} = p{k}" for k in range(relays))]
    lines += [f"s = {last} + 0.8*w3", f"q = 0.25*{last}**2", "y = 0.3*s - 0.5*s**2 - q"]
    supply = {"w1": learner(0.1, rate, decay), "w2": learner(-0.2, rate, decay)}
    supply["w3"] = learner(0.3, rate, decay)
    return from_text("\n".join(lines), supply=supply, reuse="copy")


ALL, FIRST = np.array([1.0, -0.4, 0.8]), np.array([1.0, -0.4, 0.0])
CURVATURE = np.outer(ALL, ALL) + 0.5 * np.outer(FIRST, FIRST)
"""Of :func:`layered`, by hand."""


def from_rest(markets, economies, steps):
    """How far offers are from rest at each step, (steps, runs)."""
    market = array_market(economies, markets, [1] * len(economies))
    raw = len(economies[0].supply)
    rest = np.linalg.solve(CURVATURE + 0.1 * np.eye(3), 0.3 * ALL)
    distances = []
    for _ in range(steps):
        market.step()
        distances.append(np.abs(market.state.quantities[:, :raw] - rest).max(axis=1))
    return np.array(distances)


@pytest.mark.parametrize("relays", [0, pytest.param(3, marks=pytest.mark.slow)])
def test_the_edge_of_a_market_of_many_delays_is_predicted_within_half_a_percent(relays):
    """At .995 of the predicted rate disturbances shrink, at 1.005 of it they grow."""
    economy = layered(relays, 0.1)
    delays = delays_of(economy)
    down = np.array([relays + 3, relays + 3, 2])  # lines to the consumer
    np.testing.assert_array_equal(delays, np.add.outer(down, down))
    predicted = edge(CURVATURE, delays, decay=0.1)
    economies = [layered(relays, factor * predicted) for factor in (0.995, 1.005)]
    far = from_rest([market_settings(dating="dated")] * 2, economies, 1600 + 600 * relays)
    early, late = far[600:1000].max(axis=0), far[-400:].max(axis=0)
    assert late[0] < 0.95 * early[0] and late[1] > 1.05 * early[1]


def test_the_scalar_form_is_the_block_form_of_one_delay():
    for delay in (0, 1, 4, 11):
        one = edge(np.array([[2.5]]), np.array([[delay]]))
        assert one == pytest.approx(scalar_edge(2.5, delay), rel=1e-6)
        several = edge(CURVATURE, np.full((3, 3), delay))
        largest = np.linalg.eigvalsh(CURVATURE)[-1]
        assert several == pytest.approx(scalar_edge(largest, delay), rel=1e-6)


def test_directions_without_curvature_need_not_be_kept():
    delays = delays_of(layered(2, 0.1))
    smaller = reduced(CURVATURE, delays, 1)
    assert smaller[0].shape == (2, 2)
    assert edge(*smaller, decay=0.1) == pytest.approx(edge(CURVATURE, delays, decay=0.1), rel=1e-6)


def chain(relays, rate):
    """W = -0.5 (w - 1)²·2.5 after some relays: h = 2.5."""
    lines = ["p0 = w - 1", *(f"p{k + 1} = p{k}" for k in range(relays)), f"y = -1.25*p{relays}**2"]
    supply = {"w": {"quantity": 0.9, "kind": "gradient", "cost": "none", "rate": rate}}
    return from_text("\n".join(lines), supply=supply)


def test_the_supply_line_removes_the_edge():
    """With rate · ĥ = 1 and 32 relays: .97 of h/2 grows, 1.03 of it settles, as |1 - h/ĥ| says."""
    relays, responses = 32, np.array([0.97, 1.03]) * 2.5 / 2
    economies = [chain(relays, 1 / response) for response in responses]
    delay = int(delays_of(economies[0])[0, 0])
    assert delay == 2 * (relays + 2)
    markets = [
        market_settings(dating="dated", foresight={"supply_line": float(response)})
        for response in responses
    ]
    market = array_market(economies, markets, [1, 1])
    far = []
    for _ in range(1400):
        market.step()
        far.append(np.abs(market.state.quantities[:, 0] - 1))
    rounds = 10
    growth = (far[-1] / far[-1 - rounds * (delay + 1)]) ** (1 / rounds)
    np.testing.assert_allclose(growth, np.abs(1 - 2.5 / responses), rtol=1e-6)
    hessian, delays = np.array([[2.5]]), np.array([[delay]])
    for response, per_round in zip(responses, growth, strict=True):
        radius = spectral_radius(hessian, delays, 1 / response, supply_line=response)
        assert radius ** (delay + 1) == pytest.approx(per_round, rel=1e-6)
    assert growth[0] > 1 > growth[1]
