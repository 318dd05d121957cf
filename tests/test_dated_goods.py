"""Goods with dates: prices are the exact gradient of each date's program, some steps later."""

from dataclasses import replace

import numpy as np
import pytest
from autograd import grad
from hypothesis import given, settings
from hypothesis import strategies as st
from support.economies import split
from support.engines import assert_each_its_own, numbers_for
from support.profiles import examples, members
from support.strategies import copy_dags, in_order, market_shares, rival_dags

from market_abm import MarketError, MarketModel, from_text, market_settings, run
from market_abm.analysis.delays import delays_of, edge, reduced, scalar_edge, spectral_radius
from market_abm.analysis.prediction import rate
from market_abm.analysis.rate import measured_rate
from market_abm.analysis.stability import stability
from market_abm.gradient import backprop
from market_abm.market.agents import Firm
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


def test_dates_by_hand():
    """c = b + x is on sale after 3 steps, paid at once; x, used first and last, waits for it."""
    economy = from_text("a = x\nb = a\nc = b + x*w", {"x": 1.0, "w": 1.0}, reuse="copy")
    dates = Dates.of(economy)
    assert economy.goods == ("x", "w", "a", "b", "c")
    assert dates.sold.tolist() == [0, 2, 1, 2, 3]
    assert dates.priced.tolist() == [6, 4, 5, 4, 3]
    assert dates.first.tolist() == [3, 1, 2, 1, 0]  # the consumer has paid at step 0


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


@pytest.mark.parametrize("firms", members([1, 3], quick=[3]))
def test_a_diamond_of_unequal_paths_whose_suppliers_respond(firms):
    economy = unequal(firms)
    states = assert_exact(economy, 60, share_rate=0.05)
    moves = np.diff([state.quantities[: len(economy.supply)] for state in states[20:40]], axis=0)
    assert np.abs(moves).min() > 1e-9  # all offers move at every step


@pytest.mark.slow
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


def as_copies(program):
    """The same program, each of whose uses gets all of a good."""
    return replace(program, reuse="copy")


@pytest.mark.slow
@pytest.mark.parametrize("mechanism", ["unit-bid", "trading-post"])
@given(data=st.data())
@settings(max_examples=examples(8), deadline=None)
def test_both_engines_keep_the_same_books(mechanism, data):
    """1e-12 at every step, as in tests/test_two_engines.py, with suppliers who respond."""
    program = data.draw(st.one_of(rival_dags(), rival_dags().map(as_copies)))
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
        pytest.param("unit-bid", 40, {"share_rate": 0.05}, marks=pytest.mark.slow),
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


@pytest.mark.slow
def test_spot_and_dated_markets_rest_at_the_same_point():
    """Where all stand still dates do not matter: 1e-11, what is left to move after 1,000 steps."""
    for economy in (layered(2, 0.03, 1.0), split(2, 0.8)):
        ends = []
        for dating in ("spot", "dated"):
            keys = market_settings(dating=dating, share_rate=0.1)
            market = array_market([economy], [keys], [1])
            for _ in range(1000):
                market.step()
            ends.append(np.concatenate([market.prices[0], market.quantities[0]]))
        np.testing.assert_allclose(ends[1], ends[0], rtol=1e-11, atol=1e-13)


class Half(Firm):
    """A firm with a rule of its own: it bids half of what an input is worth."""

    def revise_bids(self, values):
        return 0.5 * values


def test_shocks_and_rules_of_ones_own():
    """Both engines after shocks to an endowment, a line and a consumer; and half of each bid."""
    before, after = (
        from_text(
            "a = x\nb = 2*a\nc = z * b * s\nd = c**0.5 + a*t",
            {"x": {"quantity": 2, "elasticity": 0.5, "adjustment": 0.1}, "t": t, "s": 1.5},
            {"d": {"elasticity": 2.0, "quantity": 1.0, "price": price}},
            parameters={"z": z},
            reuse="copy",
        )
        for t, z, price in ((1.0, 0.5, 1.0), (0.4, 0.9, 1.2))
    )
    keys = market_settings(dating="dated")
    arrays, model = array_market([before], [keys], [1]), MarketModel(before, keys)
    halved = MarketModel(before, keys, firm=Half)
    for step in range(40):
        if step == 15:
            arrays.change([after])
            model.change(after)
        for each in (arrays, model, halved):
            each.step()
        for name in ("quantities", "prices", "inputs", "bids"):
            expected = getattr(model.state, name)
            np.testing.assert_allclose(getattr(arrays.state, name)[0], expected, rtol=1e-13)
        if step == 0:
            c = before.index["c"]
            assert halved.state.prices[c] == 0.5 * model.state.prices[c] > 0.0


def test_runs_that_end_leave_the_books_of_the_others_as_they_are():
    economies = [unequal(firms=2, adjustment=k / 10) for k in (1, 2, 3, 4)]
    markets = [market_settings(dating="dated", share_rate=0.05)] * 4
    whole, part = (array_market(economies, markets, [1] * 4) for _ in range(2))
    for step in range(25):
        if step == 9:
            part.keep(np.array([False, True, False, True]))
        whole.step()
        part.step()
    for name in ("quantities", "prices", "inputs", "shares", "bids"):
        expected = getattr(whole.state, name)[[1, 3]]
        np.testing.assert_allclose(getattr(part.state, name), expected, rtol=1e-13)


@pytest.mark.slow
def test_the_split_of_the_theory_has_the_same_edge_by_date():
    """κ/σ < 2 sin(π/(2(2τ+1))), τ = 2d + 1, as on the spot: identity lines do not mix dates."""
    for depth in (1, 2):
        bound = 2 * np.sin(np.pi / (2 * (2 * (2 * depth + 1) + 1)))
        markets = [
            market_settings(dating="dated", share_rate=factor * bound) for factor in (0.99, 1.01)
        ]
        economy = split(depth, 1.0)
        market = array_market([economy] * 2, markets, [1, 1])
        shares = []
        for _ in range(1200):
            market.step()
            shares.append(market.shares[:, 0].copy())
        early, late = np.ptp(shares[300:600], axis=0), np.ptp(shares[-300:], axis=0)
        assert late[0] < early[0] and late[1] > early[1]
        assert [rate(economy, each) > 1 for each in markets] == [False, True]


def test_stochastic_gradient_ascent_of_a_net_by_an_independent_recursion():
    """w(t+1) = w(t) + rate (∂W - decay w(t)) of the batch and the weights of its own date.

    The first layer's gradient is 8 steps old and meets the second layer's weights of 7 steps ago:
    1e-13 over 60 steps of three passes over the data.
    """
    rng = np.random.default_rng(3)
    first, second = 0.5 * rng.normal(size=(3, 2)), 0.5 * rng.normal(size=(2, 3))
    inputs, labels = rng.normal(size=(20, 2, 2)), rng.normal(size=(20, 2, 2))
    supply, lines = {}, []
    for (j, i), weight in np.ndenumerate(first):
        supply[f"u_{j}_{i}"] = learner(weight, 0.05, 0.01)
    for (o, j), weight in np.ndenumerate(second):
        supply[f"v_{o}_{j}"] = learner(weight, 0.05, 0.01)
    for b in range(2):
        supply |= {f"x_{b}_{i}": {"series": inputs[:, b, i]} for i in range(2)}
        supply |= {f"t_{b}_{o}": {"series": labels[:, b, o]} for o in range(2)}
        for j in range(3):
            terms = " + ".join(f"u_{j}_{i}*x_{b}_{i}" for i in range(2))
            lines.append(f"h_{b}_{j} = tanh({terms})")
        for o in range(2):
            terms = " + ".join(f"v_{o}_{j}*h_{b}_{j}" for j in range(3))
            lines += [f"y_{b}_{o} = {terms}", f"e_{b}_{o} = y_{b}_{o} - t_{b}_{o}"]
    squares = (f"- 0.5*e_{b}_{o}**2" for b in range(2) for o in range(2))
    lines.append("w = 0 " + " ".join(squares))
    economy = from_text("\n".join(lines), supply, reuse="copy")
    names = [name for name in supply if name[0] in "uv"]
    states, _ = path(economy, 60)

    def ascent(u, v, x, t):
        found = [np.zeros_like(u), np.zeros_like(v)]
        for one, label in zip(x, t, strict=True):
            hidden = np.tanh(u @ one)
            error = label - v @ hidden
            found[0] += np.outer((v.T @ error) * (1 - hidden**2), one)
            found[1] += np.outer(error, hidden)
        return found

    us, vs = [first], [second]
    for t in range(60):  # levels 0 and 1; prices of dates t - 8 and t - 7, once there are some
        changes = []
        for layer, (steps, own) in enumerate(((8, us), (7, vs))):
            date = t - steps
            found = ascent(us[max(0, date)], vs[max(0, date + 1)], *of(date, inputs, labels))
            learns = t >= steps - 4
            changes.append(own[-1] + 0.05 * learns * (found[layer] - 0.01 * own[-1]))
        us.append(changes[0])
        vs.append(changes[1])
    for k, state in enumerate(states):
        offered = state.quantities[[economy.index[name] for name in names]]
        expected = np.concatenate([us[k].ravel(), vs[k].ravel()])
        np.testing.assert_allclose(offered, expected, rtol=1e-12, atol=1e-13)


def of(date, *series):
    """The rows of a date; before the start, the first."""
    return [each[max(0, date) % len(each)] for each in series]


@pytest.mark.parametrize("engine", ["agents", "arrays"])
@pytest.mark.parametrize(
    ("program", "keys", "message"),
    [
        ("y = x * z\nz = 0.5*y**0.5\nw = y", {}, "y and z are made from each other: a batch in"),
        ("y = x", {"activation": "sequential"}, "market.activation is 'sequential' with dated"),
        (
            "y = x**.5",
            {"mechanism": "tatonnement"},
            'with mechanism "tatonnement"; use "unit-bid" or "trading-post", where bids form',
        ),
        ("y = x", {"lag": 2}, "market.lag is 2 with dated goods"),
        ("y = x", {"bid_rate": 0.5}, "market.bid_rate is 0.5 with dated goods"),
        ("y = x", {"dating": "spot", "foresight": {"supply_line": 1}}, "nobody knows which offer"),
    ],
)
def test_what_cannot_be_dated(engine, program, keys, message):
    with pytest.raises(MarketError, match=message) as told:
        economy = from_text(program, {"x": 1.0})
        run(economy, steps=2, engine=engine, **{"dating": "dated", **keys})
    assert "spot" in str(told.value) or "dated" in str(told.value)


def test_market_power_is_not_dated():
    conduct = {"y": {"conduct": "cournot", "firms": 2}}
    terms = {"y": {"elasticity": 3.0}}
    economy = from_text("y = x**0.5", {"x": 1.0}, terms, population_of=conduct)
    with pytest.raises(MarketError, match="makers of y have market power"):
        run(economy, dating="dated", steps=1)


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


@pytest.mark.slow
@pytest.mark.parametrize("relays", [0, 3])
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


MOMENTUM = {"momentum": 0.3, "trend": 1.0}
PIPELINE = {"pipeline": 0.5, "elasticity": 0.5}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("economy", "steps", "keys"),
    [
        (lambda: split(2, 0.8), 300, {"share_rate": 0.1}),
        (lambda: split(1, 0.5), 400, {"share_rate": 0.05, "foresight": MOMENTUM}),
        (lambda: split(1, 0.5), 400, {"share_rate": 0.2, "foresight": PIPELINE}),
        (lambda: layered(1, 0.1), 1000, {"foresight": {"supply_line": 0.6}}),
        (lambda: unequal(1, 0.05), 1500, {"share_rate": 0.05, "foresight": DEVICES}),
        (lambda: unequal(1, 0.05), 1500, {"mechanism": "trading-post"}),
    ],
)
def test_the_rate_of_convergence_is_the_one_of_the_delayed_recursion(economy, steps, keys):
    """From the Hessian of W and the dates alone, to 1e-4 of what a path shows."""
    market = array_market([economy()], [market_settings(dating="dated", **keys)], [1])
    record = []
    for _ in range(steps):
        market.step()
        state = market.state.select_runs(0)
        record.append((state.prices, state.quantities, state.shares.copy()))
    predicted = stability(economy(), market_settings(dating="dated", **keys))
    paths = [np.array(each) for each in zip(*record, strict=True)]
    found = measured_rate(paths, np.arange(steps)).value
    assert 0.5 < found < 1 and found == pytest.approx(predicted.radius, rel=1e-4)


def test_the_eigenvalue_of_a_split_is_that_of_its_closed_form():
    economy = split(1, 0.8)
    for keys in ({}, {"foresight": MOMENTUM}, {"foresight": PIPELINE}):
        market = market_settings(dating="dated", share_rate=0.3, **keys)
        assert stability(economy, market).radius == pytest.approx(rate(economy, market), rel=1e-8)
    nothing = stability(from_text("y = x", {"x": 1.0}), market_settings(dating="dated"))
    assert nothing.radius == 0.0
    learning = layered(2, 0.05)
    radius = spectral_radius(CURVATURE, delays_of(learning), 0.05, decay=0.1)
    found = stability(learning, market_settings(dating="dated"))
    assert found.radius == pytest.approx(radius, rel=1e-9)


@pytest.mark.slow
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
