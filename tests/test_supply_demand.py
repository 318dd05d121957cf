"""Supply and demand that respond (docs/model.md): the exact timing, and what theory says of it.

Everything is compared with recursions written out here in plain Python, never with market_abm.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import market_abm

INF = math.inf
SUPPLY_DEFAULTS = {
    "price": 1.0,
    "elasticity": 0.0,
    "adjustment": 1.0,
    "kind": "curve",
    "rate": 0.1,
}

# --- the essay's readers' model, by hand -------------------------------------------------------


def marginal_cost(q: float, terms: dict) -> float:
    """r0 (q/q0)^(1/eta), continued as an odd function through 0."""
    ratio = q / terms["quantity"]
    return terms["price"] * math.copysign(abs(ratio) ** (1 / terms["elasticity"]), ratio)


def offered(q: float, p: float, given: dict) -> float:
    """What a supplier offers next that offered q and got p."""
    terms = SUPPLY_DEFAULTS | given
    if terms["elasticity"] == 0:
        return terms["quantity"]
    if terms["kind"] == "gradient":
        return q + terms["rate"] * (p - marginal_cost(q, terms))
    rho = terms["adjustment"]
    if p / terms["price"] <= 0:  # of the wrong sign: rho of the way to nothing
        return (1 - rho) * q
    target = terms["quantity"] * (p / terms["price"]) ** terms["elasticity"]
    if rho == 1:
        return target
    return math.exp((1 - rho) * math.log(q) + rho * math.log(target))


def paid(c: float, given: dict, made_first: float) -> float:
    """What a consumer pays for a unit of c units; ``made_first`` is what was made at step 0."""
    p0, eps = given.get("price", 1.0), given.get("elasticity", INF)
    c0 = given.get("quantity", made_first)
    form = given.get("form", "elastic" if eps == INF else "isoelastic" if c0 > 0 else "linear")
    if form == "elastic":
        return p0
    if form == "isoelastic":
        return p0 * (c / c0) ** (-1 / eps)
    return p0 * (1 - (c - c0) / (eps * abs(c0)))


Line = tuple[Callable[[float], float], Callable[[float], float]]


def by_hand(
    chain: list[Line], supply: dict, demand: dict, activation: str, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Quantities and prices of a chain (raw good first), each of shape (steps + 1, goods).

    Bids move all the way (bid_rate 1), and nothing is split: a good's price is the bid for it.
    """
    depth = len(chain)
    q = [supply["quantity"]]
    for f, _ in chain:
        q.append(f(q[-1]))
    first = q[-1]
    p = [0.0] * depth + [paid(first, demand, first)]
    used = q[:depth]  # what went into the batches that are on sale
    all_q, all_p = [q], [p]
    for t in range(1, steps + 1):
        # News of a price takes a step a line, or one step in all; before it comes, q0 it is.
        hears = t - 1 >= (depth if activation == "simultaneous" else 1)
        raw = offered(q[0], p[0], supply) if hears else supply["quantity"]
        if activation == "simultaneous":
            bids = [p[k + 1] * chain[k][1](used[k]) for k in range(depth)]
            used = q[:depth]
            q = [raw, *(chain[k][0](used[k]) for k in range(depth))]
            p = [*bids, paid(q[-1], demand, first)]
        else:
            q = [raw]
            for f, _ in chain:
                q.append(f(q[-1]))
            used = q[:depth]
            p = [paid(q[-1], demand, first)]
            for k in reversed(range(depth)):
                p.insert(0, p[0] * chain[k][1](used[k]))
        all_q.append(q)
        all_p.append(p)
    return np.array(all_q), np.array(all_p)


def walk(
    economy: market_abm.Economy, activation: str, steps: int, **settings: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Quantities and prices of the agents' market, in the same shape; it never stops early."""
    settings = {"activation": activation, "bid_rate": 1.0} | settings
    model = market_abm.MarketModel(economy, market_abm.market_settings(**settings))
    states = [model.state]
    for _ in range(steps):
        model.step()
        states.append(model.state)
    return np.array([s.quantities for s in states]), np.array([s.prices for s in states])


def assert_same(got: tuple, expected: tuple, *, relative: float) -> None:
    for name, one, other in zip(("quantities", "prices"), got, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=relative, atol=0, err_msg=name)


POSITIVE = (
    "a = 2 * x**0.6\nb = ln(1 + a)\nc = 1.5 * b**0.8",
    [
        (lambda x: 2 * x**0.6, lambda x: 1.2 * x**-0.4),
        (lambda a: math.log(1 + a), lambda a: 1 / (1 + a)),
        (lambda b: 1.5 * b**0.8, lambda b: 1.2 * b**-0.2),
    ],
)
# The price of x is negative whenever that of c is positive. (Read with copies: a is read twice.)
NUISANCE = (
    "a = 0.5 - 0.8*x\nb = a + 0.3*tanh(a)\nc = 2 * b",
    [
        (lambda x: 0.5 - 0.8 * x, lambda x: -0.8),
        (lambda a: a + 0.3 * math.tanh(a), lambda a: 1 + 0.3 * (1 - math.tanh(a) ** 2)),
        (lambda b: 2 * b, lambda b: 2.0),
    ],
)
ESSAY = (
    "ethylene = natgas ** 0.5\npolyethylene = 1 - 1/(ethylene + 1)\ntupperware = ln(polyethylene)",
    [
        (math.sqrt, lambda x: 0.5 / math.sqrt(x)),
        (lambda e: 1 - 1 / (e + 1), lambda e: 1 / (e + 1) ** 2),
        (math.log, lambda p: 1 / p),
    ],
)

CURVE = {"quantity": 1.5, "price": 0.4, "elasticity": 0.4}
GRADIENT = CURVE | {"kind": "gradient", "rate": 0.2}
SUPPLIES = {
    "fixed": {"quantity": 1.5},
    "fixed by elasticity 0": {"quantity": 1.5, "price": 9.0, "elasticity": 0.0},
    "fixed, whatever the kind": {"quantity": 1.5, "kind": "gradient", "elasticity": 0.0},
    "cobweb": CURVE,
    "partial": CURVE | {"adjustment": 0.3},
    "gradient": GRADIENT,
    "gradient, default rate": CURVE | {"kind": "gradient"},
}
DEMANDS = {
    "elastic": {"price": 1.3},
    "elastic by name": {"price": 1.3, "form": "elastic", "quantity": 0.2},
    "isoelastic by default": {"price": 1.3, "elasticity": 1.2},
    "isoelastic": {"elasticity": 0.7, "quantity": 0.8, "form": "isoelastic"},
    "linear": {"elasticity": 1.5, "quantity": 2.0, "form": "linear"},
    "linear, default quantity": {"price": 0.9, "elasticity": 2.5, "form": "linear"},
}


@pytest.mark.parametrize("activation", ["simultaneous", "sequential"])
@pytest.mark.parametrize("supply", SUPPLIES)
@pytest.mark.parametrize("demand", DEMANDS)
def test_every_behaviour_has_the_timing_of_the_recursion(
    supply: str, demand: str, activation: str
) -> None:
    """30 steps of a dozen roundings of 1e-16, not amplified (the chains are stable): 1e-12."""
    text, chain = POSITIVE
    terms, consumer = SUPPLIES[supply], DEMANDS[demand]
    economy = market_abm.from_text(text, supply={"x": terms}, demand={"c": consumer})
    expected = by_hand(chain, terms, consumer, activation, 30)
    assert_same(walk(economy, activation, 30), expected, relative=1e-12)
    # So that agreement means something: what can respond does.
    responds = np.ptp(expected[0][:, 0]) > 0.01
    assert responds == (terms.get("elasticity", 0) > 0)


@pytest.mark.parametrize("activation", ["simultaneous", "sequential"])
def test_a_supplier_keeps_its_first_quantity_until_it_hears_a_price(activation: str) -> None:
    """Depth 3: the first price of x is that of step 3, acted on in step 4 (or steps 1 and 2)."""
    text, _ = POSITIVE
    for terms in (CURVE, GRADIENT):
        economy = market_abm.from_text(text, supply={"x": terms})
        quantities, prices = walk(economy, activation, 6)
        heard = 3 if activation == "simultaneous" else 1
        assert np.all(prices[:heard, 0] == 0)
        assert np.all(quantities[: heard + 1, 0] == 1.5)
        assert abs(quantities[heard + 1, 0] - 1.5) > 0.01


@pytest.mark.parametrize("activation", ["simultaneous", "sequential"])
def test_gradient_suppliers_go_through_zero_where_prices_are_negative(activation: str) -> None:
    """Absolute 1e-12 where numbers of order 1 pass through 0: a hundred steps of 1e-15 at most."""
    text, chain = NUISANCE
    terms = {"quantity": 0.6, "price": 1.5, "elasticity": 0.8, "kind": "gradient", "rate": 0.1}
    linear = {"price": 0.7, "quantity": 0.5, "elasticity": 3.0, "form": "linear"}
    for consumer in ({"price": 0.7}, linear):
        economy = market_abm.from_text(text, {"x": terms}, {"c": consumer}, reuse="copy")
        expected = by_hand(chain, terms, consumer, activation, 60)
        assert expected[0][0, 0] > 0 > expected[0][-1, 0]
        assert expected[1][-1, 0] < 0
        for got, hand in zip(walk(economy, activation, 60), expected, strict=True):
            np.testing.assert_allclose(got, hand, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("activation", ["simultaneous", "sequential"])
@pytest.mark.parametrize("adjustment", [0.2, 1.0])
def test_a_curve_survives_a_price_of_the_wrong_sign(activation: str, adjustment: float) -> None:
    """Glut at the start: c = 8 where linear demand ends at 6, so prices are negative at first.

    Swings that neither grow nor go far: 40 steps of roundings, 1e-12.
    """
    chain: list[Line] = [(lambda x: 2 * x, lambda x: 2.0)]
    terms = {"quantity": 4.0, "price": 3.0, "elasticity": 0.1, "adjustment": adjustment}
    consumer = {"price": 6.0, "quantity": 4.0, "elasticity": 0.5, "form": "linear"}
    economy = market_abm.from_text("y = 2 * x", {"x": terms}, {"y": consumer})
    expected = by_hand(chain, terms, consumer, activation, 40)
    assert np.any(expected[1][:, 0] < 0) and np.any(expected[1][:, 0] > 0)
    assert np.any(np.diff(expected[0][:, 0]) > 0)  # it falls, and comes back
    for got, hand in zip(walk(economy, activation, 40), expected, strict=True):
        np.testing.assert_allclose(got, hand, rtol=1e-12, atol=1e-12)


def test_the_rest_of_a_gradient_supplier_of_a_nuisance() -> None:
    """y = -x at price 1: MC(q) = -1, so q = -q0 r0^-eta, by hand; contraction leaves 1e-12."""
    terms = {"quantity": 2.0, "price": 4.0, "elasticity": 0.5, "kind": "gradient", "rate": 0.2}
    economy = market_abm.from_text("y = -x", supply={"x": terms})
    quantities, prices = walk(economy, "sequential", 200)
    assert quantities[-1] == pytest.approx([-1.0, 1.0], rel=1e-12)
    assert prices[-1] == pytest.approx([-1.0, 1.0], rel=1e-15)


@pytest.mark.parametrize("activation", ["simultaneous", "sequential"])
def test_a_gradient_supplier_may_start_below_zero(activation: str) -> None:
    """Disposal: q0 and r0 negative, so that MC still rises through them. 60 roundings: 1e-12."""
    text, chain = (
        "a = 0.8 * x\nb = 0.5*a - 1",
        [
            (lambda x: 0.8 * x, lambda x: 0.8),
            (lambda a: 0.5 * a - 1, lambda a: 0.5),
        ],
    )
    terms = {"quantity": -1.2, "price": -0.5, "elasticity": 0.7, "kind": "gradient", "rate": 0.3}
    for consumer in ({"price": -0.9}, {"price": 0.9}, {"elasticity": 2.0}):
        economy = market_abm.from_text(text, supply={"x": terms}, demand={"b": consumer})
        expected = by_hand(chain, terms, consumer, activation, 60)
        for got, hand in zip(walk(economy, activation, 60), expected, strict=True):
            np.testing.assert_allclose(got, hand, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("activation", ["simultaneous", "sequential", "random"])
@pytest.mark.parametrize("share_rate", [0.0, 0.1])
def test_suppliers_and_consumers_answer_what_can_be_seen(
    activation: str, share_rate: float
) -> None:
    """Rival goods, several firms, every kind at once: q(t) from p(t-1), P(t) from c(t).

    One formula applied to what was recorded in the step before, so only its own rounding: 1e-14.
    """
    supply = {
        "x": {"quantity": 2.0, "price": 0.5, "elasticity": 0.8, "adjustment": 0.4},
        "z": {"quantity": 1.5, "price": 0.3, "elasticity": 1.1, "kind": "gradient", "rate": 0.05},
        "w": 1.2,
    }
    demand = {
        "c": {"price": 1.4, "elasticity": 1.6},
        "d": {"price": 0.8, "elasticity": 0.9, "quantity": 1.1, "form": "linear"},
        "e": 0.6,
    }
    text = """
    a = ces(x, z, elasticity=0.7) ** 0.8
    b = cobb_douglas(x, w, exponents=(0.4, 0.3))
    c = sqrt(a) + sqrt(b)
    d = a ** 0.7
    e = sqrt(b) + ln(1 + z)
    """
    economy = market_abm.from_text(
        "\n".join(line.strip() for line in text.strip().splitlines()),
        supply=supply,
        demand=demand,
        population_of={"a": {"firms": 2, "weights": [0.3, 0.7], "productivity": [1.1, 0.9]}},
    )
    quantities, prices = walk(economy, activation, 40, share_rate=share_rate, bid_rate=0.7)
    at = economy.index
    # Prices reach each raw good at its own time, and not before (bids start at exactly 0).
    for good in ("x", "z", "w"):
        terms = supply[good] if isinstance(supply[good], dict) else {"quantity": supply[good]}
        q, p = quantities[:, at[good]], prices[:, at[good]]
        for t in range(1, 41):
            hand = terms["quantity"] if not p[:t].any() else offered(q[t - 1], p[t - 1], terms)
            assert q[t] == pytest.approx(hand, rel=1e-14)
    for good in ("c", "d", "e"):
        terms = demand[good] if isinstance(demand[good], dict) else {"price": demand[good]}
        c = quantities[:, at[good]]
        for t in range(41):
            assert prices[t, at[good]] == pytest.approx(paid(c[t], terms, c[0]), rel=1e-14)
    assert np.ptp(quantities[:, at["x"]]) > 0.1
    assert np.ptp(prices[:, at["c"]]) > 0.01


# --- consumers ---------------------------------------------------------------------------------


def test_linear_demand_for_the_essays_negative_tupperware() -> None:
    """c = ln(2/3); P = 1 - (c + 1)/2 with c0 = -1 and eps = 2; upstream 3/2, 1/6, 1/24 of it.

    A dozen roundings: 1e-14.
    """
    text, _ = ESSAY
    economy = market_abm.from_text(
        text,
        supply={"natgas": 4},
        demand={"tupperware": {"elasticity": 2, "quantity": -1}},
    )
    result = market_abm.run(economy)
    price = 1 - (math.log(2 / 3) + 1) / 2
    assert price == pytest.approx(0.7027, abs=5e-5)  # four printed digits
    expected = {"natgas": 1 / 24, "ethylene": 1 / 6, "polyethylene": 3 / 2, "tupperware": 1}
    for good, times in expected.items():
        assert result.table().loc[good, "price"] == pytest.approx(price * times, rel=1e-14)
    assert (result.status, result.steps) == ("converged", 3)


@pytest.mark.parametrize("activation", ["simultaneous", "sequential"])
@pytest.mark.parametrize("form", [None, "linear"])
def test_the_essays_chain_with_responding_supply(activation: str, form: str | None) -> None:
    """Negative c0 by default, so linear by default. 40 steps, stable: 1e-12."""
    text, chain = ESSAY
    terms = {"quantity": 4, "price": 0.02, "elasticity": 0.6, "adjustment": 0.7}
    consumer = {"elasticity": 0.8} | ({} if form is None else {"form": form})
    economy = market_abm.from_text(text, supply={"natgas": terms}, demand={"tupperware": consumer})
    expected = by_hand(chain, terms, consumer, activation, 40)
    assert_same(walk(economy, activation, 40), expected, relative=1e-12)
    # More tupperware is less negative tupperware, and cheaper.
    assert expected[0][-1, -1] > expected[0][0, -1]
    assert expected[1][-1, -1] < 0.95


def test_the_default_reference_is_what_is_made_at_step_0() -> None:
    """Even where firms and splits matter; the same bits as with that number written down."""
    text = "a = x**0.5\nb = 2*x**0.4\ny = ces(a, b, elasticity=0.6) + ln(x)"
    terms = {"quantity": 3.0, "price": 0.3, "elasticity": 0.7, "adjustment": 0.5}
    firms = {"a": {"firms": 2, "weights": [0.25, 0.75], "productivity": [0.8, 1.2]}}
    split = 3.0 / 3  # among three places
    a = (0.8 * 0.25 + 1.2 * 0.75) * split**0.5
    b = 2 * split**0.4
    r = (0.6 - 1) / 0.6
    made = (0.5 * a**r + 0.5 * b**r) ** (1 / r) + math.log(split)
    paths = []
    for quantity in ({}, {"quantity": made}):
        economy = market_abm.from_text(
            text,
            supply={"x": terms},
            demand={"y": {"price": 2.0, "elasticity": 1.3} | quantity},
            population_of=firms,
        )
        paths.append(walk(economy, "sequential", 20, share_rate=0.2))
    quantities, prices = paths[0]
    # A few roundings of numbers of order 1.
    assert quantities[0, -1] == pytest.approx(made, rel=1e-14)
    assert prices[0, -1] == pytest.approx(2.0, rel=1e-15)
    assert abs(prices[-1, -1] - 2.0) > 0.05
    # The hand's c0 differs from the market's by a rounding, which twenty steps carry along: 1e-13.
    assert_same(paths[1], paths[0], relative=1e-13)


@pytest.mark.parametrize(
    ("made", "elasticity", "form"),
    [
        (0.7, INF, "elastic"),
        (0.7, 2.0, "isoelastic"),
        (-0.7, INF, "elastic"),
        (-0.7, 2.0, "linear"),
    ],
)
def test_the_default_form(made: float, elasticity: float, form: str) -> None:
    """Said or unsaid it is the same market, bit for bit, and not that of another form."""
    paths = {}
    for name in (None, form, "linear", "elastic"):
        if name == "elastic" and elasticity < INF:
            continue
        if name == "linear" and elasticity == INF:
            continue
        consumer = {"price": 1.1, "quantity": made, "elasticity": elasticity}
        if name is not None:
            consumer["form"] = name
        economy = market_abm.from_text(
            "y = m * x", {"x": 1.0}, {"y": consumer}, parameters={"m": made * 1.2}
        )
        paths[name] = walk(economy, "simultaneous", 3)[1]
    np.testing.assert_array_equal(paths[None], paths[form])
    # 20 % more than the reference: by hand, to rounding.
    c = made * 1.2
    expected = {
        "elastic": 1.1,
        "isoelastic": 1.1 * 1.2 ** (-1 / 2),
        "linear": 1.1 * (1 - (c - made) / (2 * 0.7)),
    }
    assert paths[None][0, -1] == pytest.approx(expected[form], rel=1e-14)
    if form == "isoelastic":
        assert abs(paths["linear"][0, -1] - paths[None][0, -1]) > 1e-3


def test_a_consumers_elasticity_is_what_it_says() -> None:
    """d ln c / d ln P = -eps at the reference, for both forms: central difference, 1e-6 of it."""
    for form, eps in itertools.product(["isoelastic", "linear"], [0.5, 1.0, 4.0]):
        price = []
        for c in (2 * (1 - 1e-4), 2 * (1 + 1e-4)):
            consumer = {"price": 3.0, "elasticity": eps, "quantity": 2.0, "form": form}
            economy = market_abm.from_text("y = x", {"x": c}, {"y": consumer})
            price.append(market_abm.MarketModel(economy).state.prices[-1])
        slope = math.log(price[1] / price[0]) / math.log((1 + 1e-4) / (1 - 1e-4))
        # The error of a central difference of logarithms: of the order of (1e-4 / eps)**2.
        assert slope == pytest.approx(-1 / eps, rel=1e-6)


# --- fact 7: one industry, in closed form ------------------------------------------------------

ETAS, POWERS, EPSILONS = [0.0, 0.5, 1.0, 3.0], [0.3, 0.7, 1.0], [0.5, 1.0, 2.0, INF]


def closed_form(eta: float, a: float, eps: float, p0: float, r0: float) -> float:
    if eta == 0:
        return 1.0
    return (a * p0 / r0) ** (1 / (1 / eta + 1 - a + a / eps))


def one_industry(eta: float, a: float, eps: float, p0: float, r0: float, **supply: Any) -> Any:
    return market_abm.from_text(
        "c = x ** a",
        supply={"x": {"quantity": 1, "price": r0, "elasticity": eta} | supply},
        demand={"c": {"price": p0, "elasticity": eps, "quantity": 1}},
        parameters={"a": a},
    )


@pytest.mark.parametrize("eps", EPSILONS)
@pytest.mark.parametrize("a", POWERS)
@pytest.mark.parametrize("eta", ETAS)
def test_fact_7_by_running_the_market(eta: float, a: float, eps: float) -> None:
    """Sequential: ln x closes a fraction of its distance each step, chosen to be 0.7.

    Stopped when quantities move by less than 1e-12: then at most 1e-12 * 0.3/0.7 is left of it, and
    prices have elasticities below 3 to it: 1e-11.
    """
    p0, r0 = 1.7, 0.6
    rho = 0.7 / (1 + eta * (1 - a + a / eps))
    economy = one_industry(eta, a, eps, p0, r0, adjustment=rho)
    result = market_abm.run(economy, activation="sequential", tolerance=1e-12, steps=500)
    assert result.status == "converged"
    x = closed_form(eta, a, eps, p0, r0)
    c = x**a
    final = p0 * c ** (-1 / eps)
    np.testing.assert_allclose(result.quantities[-1], [x, c], rtol=1e-11)
    np.testing.assert_allclose(result.prices[-1], [final * a * x ** (a - 1), final], rtol=1e-11)
    if eta > 0:  # supply is on its curve
        assert result.prices[-1, 0] == pytest.approx(r0 * x ** (1 / eta), rel=1e-11)


@pytest.mark.parametrize(
    ("activation", "kind"),
    [("simultaneous", "curve"), ("simultaneous", "gradient"), ("sequential", "gradient")],
)
@pytest.mark.parametrize(
    ("eta", "a", "eps"), [(0.5, 0.3, 2.0), (1.0, 0.7, 0.5), (3.0, 1.0, INF), (1.0, 1.0, 1.0)]
)
def test_fact_7_whatever_the_supplier_does_on_the_way(
    activation: str, kind: str, eta: float, a: float, eps: float
) -> None:
    """Slower rates, 0.05 to 0.2 a step: at a tolerance of 1e-12, 1e-10 leaves a factor of five."""
    p0, r0 = 1.2, 0.8
    rho = 0.2 / (1 + eta * (1 - a + a / eps))
    x = closed_form(eta, a, eps, p0, r0)
    slope = r0 / eta * x ** (1 / eta - 1)  # of MC; that of the price is rho's factor as steep
    rate = 0.2 / (slope * (1 + eta * (1 - a + a / eps)))
    economy = one_industry(eta, a, eps, p0, r0, adjustment=rho, kind=kind, rate=rate)
    result = market_abm.run(economy, activation=activation, tolerance=1e-12, steps=2000)
    assert result.status == "converged"
    assert result.quantities[-1] == pytest.approx([x, x**a], rel=1e-10)


# --- fact 5: the cobweb ------------------------------------------------------------------------


def swings(economy: market_abm.Economy, activation: str, window: int) -> bool:
    """Whether ln q swings wider in the fourth window than in the second.

    On identities and with isoelastic curves the recursion is linear in logarithms, however far off:
    no small perturbation is needed. The first window is for the first prices to arrive.
    """
    quantities, _ = walk(economy, activation, 4 * window)
    ranges = [np.ptp(np.log(quantities[k * window : (k + 1) * window + 1, 0])) for k in (1, 3)]
    assert ranges[0] > 1e-3
    return bool(ranges[1] > ranges[0])


def boundary(eps: float, rho: float, depth: int, activation: str, low: float, high: float) -> float:
    """The largest stable eta / eps, by bisection to 0.2 %."""
    chain = "\n".join(f"g{k + 1} = g{k}" for k in range(depth))
    # Simultaneous: goods take depth steps down, prices depth up, and one to be acted on.
    window = 2 * (2 * depth + 1) if activation == "simultaneous" else 2

    def grows(ratio: float) -> bool:
        economy = market_abm.from_text(
            chain,
            supply={"g0": {"quantity": 1, "elasticity": ratio * eps, "adjustment": rho}},
            demand={f"g{depth}": {"price": 1.2, "elasticity": eps, "quantity": 1}},
        )
        return swings(economy, activation, window)

    assert not grows(low)
    assert grows(high)
    while high - low > 0.002 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if grows(middle) else (middle, high)
    return (low + high) / 2


@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize("eps", [0.5, 2.0])
def test_the_cobweb_is_stable_up_to_the_elasticity_of_demand(depth: int, eps: float) -> None:
    """Ezekiel: eta < eps, whatever the depth. 1 %, of which bisection takes 0.2 %."""
    measured = boundary(eps, 1.0, depth, "simultaneous", 0.5, 1.6)
    assert measured == pytest.approx(1.0, rel=0.01)


@pytest.mark.parametrize("depth", [1, 4])
@pytest.mark.parametrize(
    ("rho", "eps"), [(0.25, 1.0), (0.5, 0.5), (0.5, 2.0), (0.8, 1.0), (1.0, 0.7)]
)
def test_partial_adjustment_widens_the_cobweb(depth: int, rho: float, eps: float) -> None:
    """Nerlove: eta/eps < 2/rho - 1 without delay. 1 %, of which bisection takes 0.2 %."""
    bound = 2 / rho - 1
    measured = boundary(eps, rho, depth, "sequential", 0.7 * bound, 1.5 * bound)
    assert measured == pytest.approx(bound, rel=0.01)


@pytest.mark.parametrize(
    ("activation", "rho", "bound"), [("simultaneous", 1.0, 1.0), ("sequential", 0.5, 3.0)]
)
def test_the_status_on_either_side_of_the_cobwebs_bound(
    activation: str, rho: float, bound: float
) -> None:
    """10 % either side: a cycle of at most 5 steps shrinks by 0.9, so 1e-9 takes 1000 steps."""
    for factor, converges in [(0.9, True), (1.1, False)]:
        economy = market_abm.from_text(
            "b = a\nc = b",
            supply={"a": {"quantity": 1, "elasticity": factor * bound, "adjustment": rho}},
            demand={"c": {"price": 1.2, "elasticity": 1.0, "quantity": 1}},
        )
        result = market_abm.run(economy, activation=activation, steps=1500)
        assert (result.status == "converged") is converges
        if not converges:
            assert result.status in {"oscillating", "diverged"}


def test_the_cobweb_swings_with_twice_the_delay() -> None:
    """ln q(t) = -(eta/eps) ln q(t - 2d - 1) about rest, step by step.

    Once the first price has come (d + 1 steps); sums of logarithms of order 1 that grow by 1.05 a
    cycle: 1e-12.
    """
    depth, eps, eta, p0 = 2, 0.8, 0.84, 1.3
    economy = market_abm.from_text(
        "b = a\nc = b",
        supply={"a": {"quantity": 1, "elasticity": eta}},
        demand={"c": {"price": p0, "elasticity": eps, "quantity": 1}},
    )
    quantities, _ = walk(economy, "simultaneous", 60)
    rest = eta * math.log(p0) / (1 + eta / eps)
    off = np.log(quantities[:, 0]) - rest
    for t in range(2 * depth + 1, 61):
        assert off[t] == pytest.approx(-eta / eps * off[t - 2 * depth - 1], abs=1e-12)
    assert off[depth] == off[0] == -rest
    assert off[depth + 1] == pytest.approx(eta / eps * rest, abs=1e-12)


# --- mistakes ----------------------------------------------------------------------------------

FILE = """\
[economy]
program = "y = sqrt(x)\\nz = ln(w)"

[supply.x]
quantity = 4.0
[supply.w]
quantity = 0.5
"""
# The key that must be named, and what is wrong with it; y makes 2 at step 0, z makes ln 0.5 < 0.
MISTAKES: list[tuple[str, dict[str, Any]]] = [
    ("demand.y.elasticity", {"demand.y.elasticity": 0}),
    ("demand.y.elasticity", {"demand.y.elasticity": -1.0}),
    ("demand.y.elasticity", {"demand.y.elasticity": math.nan}),
    ("demand.y.elasticity", {"demand.y.elasticity": "high"}),
    ("supply.x.elasticity", {"supply.x.elasticity": -0.5}),
    ("supply.x.elasticity", {"supply.x.elasticity": INF}),
    ("supply.x.adjustment", {"supply.x.elasticity": 1, "supply.x.adjustment": 0}),
    ("supply.x.adjustment", {"supply.x.elasticity": 1, "supply.x.adjustment": 1.5}),
    ("supply.x.adjustment", {"supply.x.elasticity": 1, "supply.x.adjustment": -0.5}),
    ("supply.x.kind", {"supply.x.kind": "curved"}),
    ("demand.y.form", {"demand.y.form": "isolinear"}),
    (
        "demand.y.(quantity|form)",
        {"demand.y.elasticity": 2, "demand.y.quantity": -1, "demand.y.form": "isoelastic"},
    ),
    (
        "demand.y.(quantity|form)",
        {"demand.y.elasticity": 2, "demand.y.quantity": 0, "demand.y.form": "isoelastic"},
    ),
    ("demand.z.(quantity|form)", {"demand.z.elasticity": 2, "demand.z.form": "isoelastic"}),
    (
        "demand.y.(quantity|form)",
        {"demand.y.elasticity": 2, "demand.y.quantity": 0, "demand.y.form": "linear"},
    ),
    ("demand.y.(elasticity|form)", {"demand.y.elasticity": 2, "demand.y.form": "elastic"}),
    ("supply.x.(elastcity|elasticity)", {"supply.x.elastcity": 1}),
    ("demand.y.(elasticty|elasticity)", {"demand.y.elasticty": 1}),
    ("supply.x.rho", {"supply.x.rho": 0.5}),
    ("demand.y.rate", {"demand.y.rate": 0.5}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("key", "settings"), MISTAKES, ids=[f"{key}-{k}" for k, (key, _) in enumerate(MISTAKES)]
)
def test_mistakes_are_friendly_and_name_the_key(
    key: str, settings: dict[str, Any], tmp_path: Any
) -> None:
    """From Python, and over an experiment file; no other exception, no warning (an error here)."""
    supply: dict[str, Any] = {"x": {"quantity": 4.0}, "w": {"quantity": 0.5}}
    demand: dict[str, Any] = {"y": {}, "z": {}}
    for name, value in settings.items():
        table, good, entry = name.split(".")
        {"supply": supply, "demand": demand}[table][good][entry] = value
    pattern = key.replace(".", r"\.")
    with pytest.raises(market_abm.MarketError, match=pattern):
        market_abm.run(market_abm.from_text("y = sqrt(x)\nz = ln(w)", supply, demand), steps=3)
    path = tmp_path / "market.toml"
    path.write_text(FILE, encoding="utf-8")
    assert market_abm.run(path, steps=3).status == "converged"
    with pytest.raises(market_abm.MarketError, match=pattern):
        market_abm.run(path, overrides=settings, steps=3)


def test_the_same_mistakes_inside_a_file_are_told_with_its_line(tmp_path: Any) -> None:
    path = tmp_path / "market.toml"
    for line in ("[demand.y]\nelasticity = 0\n", "[demand.y]\nelastic = 2\n"):
        path.write_text(FILE + line, encoding="utf-8")
        where = re.escape(f"{path}:9")
        with pytest.raises(market_abm.MarketError, match=where + r".*demand\.y\.elastic"):
            market_abm.run(path)


def test_every_key_can_be_set_by_its_dotted_name(tmp_path: Any) -> None:
    """As in the file: the same run, bit for bit, and not that of the file without them."""
    path = tmp_path / "market.toml"
    path.write_text(
        FILE.replace(
            "quantity = 4.0", "quantity = 4.0\nprice = 0.2\nelasticity = 0.5\nadjustment = 0.3"
        )
        + '[demand.y]\nprice = 2.0\nelasticity = 1.5\nquantity = 1.8\nform = "linear"\n'
        + "[demand.z]\nelasticity = inf\n",
        encoding="utf-8",
    )
    whole = market_abm.run(path, steps=50)
    path.write_text(FILE, encoding="utf-8")
    plain = market_abm.run(path, steps=50)
    settings = {
        "supply.x.price": 0.2,
        "supply.x.elasticity": 0.5,
        "supply.x.adjustment": 0.3,
        "supply.x.kind": "curve",
        "demand.y.price": 2.0,
        "demand.y.elasticity": 1.5,
        "demand.y.quantity": 1.8,
        "demand.y.form": "linear",
    }
    by_keys = market_abm.run(path, overrides=settings, steps=50)
    np.testing.assert_array_equal(by_keys.prices, whole.prices)
    np.testing.assert_array_equal(by_keys.quantities, whole.quantities)
    assert plain.prices.shape != whole.prices.shape
