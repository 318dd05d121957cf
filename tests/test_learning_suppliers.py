"""Suppliers without a supply curve: gradient ascent by price alone, with and without a period.

Everything is compared with what is written out here in NumPy, never with market_abm.
"""

import numpy as np
import pytest

from market_abm import (
    Demand,
    MarketError,
    MarketModel,
    Supply,
    equilibrium,
    from_text,
    run,
    stability,
)
from market_abm.market.mechanisms.registry import array_market, market_settings
from market_abm.twins.base import largest_distance
from market_abm.twins.registry import twin

RNG = np.random.default_rng(6)

# --- a net of two inputs, two hidden units and one output ---------------------------------------

NET = """
h0 = tanh(w00 * x0 + w01 * x1)
h1 = tanh(w10 * x0 + w11 * x1)
error = v0 * h0 + v1 * h1 - y
gain = -0.5 * error * error
"""
WEIGHTS = ("w00", "w01", "w10", "w11", "v0", "v1")
START = np.array([0.3, -0.2, 0.0, 0.5, -0.4, 0.1])
INPUTS, TARGETS = RNG.standard_normal((5, 2)), RNG.standard_normal((5, 1))
ROUND_TRIP = 6  # three lines down, three lines up


def net(period, settle, decay=0.01, rate=0.1):
    learner = {"kind": "gradient", "cost": "quadratic", "decay": decay, "rate": rate}
    rhythm = {"period": period, "settle": settle}
    supply = {
        "x0": Supply(series=INPUTS, column=0, period=period),
        "x1": Supply(series=INPUTS, column=1, period=period),
        "y": Supply(series=TARGETS, period=period),
        **{k: Supply(quantity=q, **learner, **rhythm) for k, q in zip(WEIGHTS, START, strict=True)},
    }
    return from_text(NET, supply, reuse="copy")


def slopes(weights, x, y):
    """The gradient of -(v·tanh(W x) - y)²/2, by hand."""
    inner, outer = weights[:4].reshape(2, 2), weights[4:]
    hidden = np.tanh(inner @ x)
    error = outer @ hidden - y
    back = -error * outer * (1.0 - hidden**2)
    return np.concatenate([np.outer(back, x).ravel(), -error * hidden])


def descended(periods, first=0, decay=0.01, rate=0.1):
    """The weights after each batch of stochastic gradient descent with weight decay."""
    weights, path = START.copy(), [START.copy()]
    for batch in range(first, first + periods):
        slope = slopes(weights, INPUTS[batch % 5], TARGETS[batch % 5, 0])
        weights = weights + rate * (slope - decay * weights)
        path.append(weights)
    return np.array(path)


@pytest.mark.parametrize("engine", ["agents", "arrays"])
def test_a_market_with_periods_is_minibatch_gradient_descent(engine):
    """A batch is offered for the round trip and a step more; 12 batches, 1e-14 of each weight.

    With one step less to settle, a price of the batch before is in the mean, and it is another
    path. Nothing but rounding of sums and of tanh separates the two.
    """
    period, batches = ROUND_TRIP + 1, 12
    paths = []
    for settle in (ROUND_TRIP, ROUND_TRIP - 1):
        made = net(period, settle)
        result = run(made, engine=engine, steps=period * batches)
        offers = result.quantities[::period, [made.index[name] for name in WEIGHTS]]
        paths.append(np.abs(offers - descended(batches)).max())
    assert paths[0] < 1e-14
    assert paths[1] > 1e-3


def test_without_delay_every_step_is_a_batch():
    """When ``sequential``, each price is of the offers of its own step: a period of 1.

    At step 0 there is no price yet.
    """
    made = net(period=1, settle=0)
    result = run(made, engine="arrays", activation="sequential", steps=30)
    offers = result.quantities[:, [made.index[name] for name in WEIGHTS]]
    np.testing.assert_allclose(offers[1:], descended(29, first=1), rtol=0, atol=1e-14)


# --- ridge regression ----------------------------------------------------------------------------

DATA = np.array([[1.0, 0.3], [0.2, 1.0], [-0.5, 0.8]])
ANSWERS = np.array([1.0, -0.5, 0.7])


def regression(cost="quadratic", decay=0.1, rate=0.1, start=(0.0, 0.0), **terms):
    lines = [
        f"e{i} = w0 * x{i}0 + w1 * x{i}1 - y{i}\ngain{i} = -0.5 * e{i} * e{i}" for i in range(3)
    ]
    supply = {f"x{i}{j}": DATA[i, j] for i in range(3) for j in range(2)}
    supply |= {f"y{i}": ANSWERS[i] for i in range(3)}
    learner = {"kind": "gradient", "cost": cost, "decay": decay, "rate": rate, **terms}
    supply |= {f"w{j}": Supply(quantity=start[j], **learner) for j in range(2)}
    return from_text("\n".join(lines), supply, reuse="copy")


def ridge(decay):
    """Curvatures and the solution of ridge regression, from NumPy."""
    curvature = DATA.T @ DATA + decay * np.eye(2)
    return curvature, np.linalg.solve(curvature, DATA.T @ ANSWERS)


KINDS = [
    ("none", 0.0, 5, 4, 0.5),
    pytest.param("none", 0.0, 1, 0, 0.1, marks=pytest.mark.slow),
    pytest.param("quadratic", 0.1, 1, 0, 0.1, marks=pytest.mark.slow),
    pytest.param("quadratic", 0.1, 6, 4, 0.5, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("cost", "decay", "period", "settle", "rate"), KINDS)
def test_learners_rest_at_the_optimum_and_their_stability_is_that_of_descent(
    cost, decay, period, settle, rate
):
    """The optimum is ridge regression (to 1e-14; of the market, to its tolerance).

    After a period longer than the round trip of four steps a disturbance is multiplied by
    1 - rate · curvature, for each curvature: 1e-9 is the error of differences.
    """
    curvature, weights = ridge(decay)
    made = regression(cost, decay, rate, start=(0.0, -2.0), period=period, settle=settle)
    places = [made.index["w0"], made.index["w1"]]
    best = equilibrium(made)
    np.testing.assert_allclose(best.quantities[places], weights, atol=1e-14)
    np.testing.assert_allclose(best.prices[places], decay * weights, atol=1e-14)
    for activation in ("simultaneous", "sequential"):
        result = run(made, engine="arrays", steps=3000, activation=activation)
        assert result.status == "converged"
        np.testing.assert_allclose(result.last.quantities[places], weights, rtol=1e-8)
        assert result.distance()["prices"] < 1e-8
        market = market_settings(activation=activation)
        if activation == "sequential" or period > 4:
            factor = np.abs(np.linalg.eigvalsh(np.eye(2) - rate * curvature)).max()
            assert stability(made, market).radius == pytest.approx(factor ** (1 / period), abs=1e-9)
        path = twin(made, market, 3 * period + 9)
        for ours, theirs in ((result.quantities, path.quantities), (result.prices, path.prices)):
            assert largest_distance(ours[: len(theirs)], theirs)[0] < 1e-13


@pytest.mark.slow
@pytest.mark.parametrize("mechanism", ["unit-bid", "trading-post", "posted-price"])
def test_the_rule_by_hand_in_both_engines(mechanism):
    """q ← q + rate · (mean price - decay · q): from the prices that the market records itself."""
    program = "a = x ** 0.5 * w ** 0.3\nb = x ** 0.4 * (w + 1) ** 0.2"
    terms = {"kind": "gradient", "cost": "quadratic", "decay": 0.2, "rate": 0.3}
    supply = {"x": 2.0, "w": Supply(quantity=1.0, period=4, settle=1, **terms)}
    made = from_text(program, supply)
    model = MarketModel(made, market_settings(mechanism))
    arrays = array_market([made], [market_settings(mechanism)], [1])
    offer, prices, place = 1.0, [], made.index["w"]
    for step in range(41):
        np.testing.assert_allclose(model.state.prices, arrays.state.prices[0], rtol=1e-12)
        if step and step % 4 == 0:
            known = [p for p in prices[-4:][1:] if p != 0.0]
            offer = offer + 0.3 * (np.mean(known) - 0.2 * offer)
        on_sale = model.suppliers[1].quantity
        assert on_sale == pytest.approx(offer, rel=1e-14)
        prices.append(model.state.prices[place])
        model.step()
        arrays.step()


def test_an_offer_of_zero_moves_and_may_become_negative():
    made = from_text("y = -2 * w", {"w": Supply(0.0, kind="gradient", cost="none", rate=0.5)})
    for engine in ("agents", "arrays"):
        result = run(made, steps=5, engine=engine)
        np.testing.assert_array_equal(result.quantities[:, 0], [0, 0, -1, -2, -3, -4])
    assert equilibrium(made).kind.value == "unbounded"


def test_an_auction_plans_by_quadratic_cost():
    """Where plans are best responses, q = p/decay; costless supply has none."""
    terms = {"kind": "gradient", "cost": "quadratic", "decay": 0.5}
    made = from_text("y = w ** 0.5", {"w": Supply(1.0, price=0.5, **terms)})
    result = run(made, mechanism="tatonnement", auction_rate=0.1, steps=500, engine="arrays")
    exact = (0.5 / 0.5) ** (2 / 3)  # 0.5 q^(-1/2) = 0.5 q
    assert result.last.quantities[0] == pytest.approx(exact, rel=1e-8)
    assert result.status == "converged"
    free = from_text("y = w ** 0.5", {"w": Supply(1.0, kind="gradient", cost="none")})
    with pytest.raises(MarketError, match="costs nothing with mechanism"):
        run(free, mechanism="tatonnement")


WRONG = [
    ({"cost": "none"}, 'supply.w.cost is "none" with a supply curve; such a cost has no curve'),
    ({"cost": "none", "kind": "gradient", "elasticity": 1.0}, "with a supply curve"),
    ({"period": 4, "settle": 4}, "supply.w.settle is 4 with period 4; let some price count"),
    ({"decay": -1.0}, "decay is -1"),
]


@pytest.mark.parametrize(("terms", "message"), WRONG)
def test_terms_without_meaning_are_refused(terms, message):
    with pytest.raises(MarketError) as error:
        from_text("y = w", {"w": {"quantity": 1.0, **terms}})
    assert message in str(error.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mechanism", "activation"),
    [
        ("unit-bid", "simultaneous"),
        ("unit-bid", "sequential"),
        ("trading-post", "simultaneous"),
        ("trading-post", "sequential"),
        ("posted-price", "simultaneous"),
    ],
)
@pytest.mark.parametrize(("period", "settle"), [(1, 0), (4, 0), (4, 2)])
@pytest.mark.parametrize("lag", [0, 2])
def test_both_engines_with_periods_lags_and_series_of_all_kinds(
    mechanism, activation, period, settle, lag
):
    """To 1e-13, after a run beside it has been dropped, too."""
    series = [1 + RNG.random((rows, 1)) for rows in (5, 4, 3)]
    rhythm = {"period": period, "settle": settle}
    learner = {"kind": "gradient", "cost": "quadratic", "decay": 0.3, "rate": 0.2, **rhythm}
    made = from_text(
        "a = x ** 0.5 * w ** 0.2\nb = 2 * x ** 0.6 * v ** 0.1\nc = a ** 0.4 * b ** 0.3",
        {
            "x": Supply(series=series[0], period=2, repeat="hold"),
            "w": Supply(1.0, **learner),
            "v": Supply(1.0, elasticity=0.5, adjustment=0.5, **rhythm),
        },
        {"c": Demand(1.2, elasticity=2.0, series=series[1], period=3)},
        population_of={"b": {"firms": 3, "productivity_spread": 0.2, "series": series[2]}},
    )
    settings = market_settings(mechanism, activation=activation, lag=lag)
    model = MarketModel(made, settings)
    arrays = array_market([made, made], [settings, settings], [1, 1])
    for step in range(30):
        for field in ("prices", "quantities", "shares", "bids", "inputs"):
            slow, fast = getattr(model.state, field), getattr(arrays.state, field)[-1]
            np.testing.assert_allclose(fast, slow, rtol=1e-13, atol=1e-15)
        model.step()
        arrays.step()
        if step == 15:
            arrays.keep(np.array([False, True]))
