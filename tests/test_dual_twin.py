"""Markets in which prices move by themselves: their twins, and the functions that these go down.

Φ, the dual potential, and L, the Lagrangian, are compared with closed forms by hand, with what
everybody's answers to prices say, and with the best allocation of ``equilibrium.py``, which knows
neither. The twins are held to hand-written runs of one industry and to the equilibrium.
"""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.lagrangian import Lagrangian, uzawa_step

import market_abm
from market_abm import Experiment, run
from market_abm.errors import SettingError
from market_abm.gradient.backprop import forward_pass
from market_abm.gradient.equilibrium import Equilibrium, equilibrium
from market_abm.twins import dual
from market_abm.twins.base import TwinPath, largest_distance
from market_abm.twins.dual import Dual, potential, potential_slope
from market_abm.twins.primal_dual import LogPrimalDual, gap
from market_abm.twins.profits import profit_maximizing_inputs
from market_abm.twins.registry import TEXTBOOKS, TWINS, twin
from market_abm.twins.terms import InitialState

ESSAY = "ethylene = natgas**0.5\npolyethylene = 1 - 1/(ethylene + 1)\ntupperware = ln(polyethylene)"

ECONOMIES: dict[str, dict[str, Any]] = {
    "essay": {"program": ESSAY, "supply": {"natgas": 4}},
    "diamond": {
        "program": "a = sqrt(x)\nb = x**0.3\ny = a**0.6 * b**0.2",
        "supply": {"x": 2},
        "demand": {"y": {"price": 2, "elasticity": 1}},
    },
    "ces": {
        "program": "a = ces(x, z, elasticity=0.5)**0.9\nb = 1.5*x**0.6\n"
        "y = ces(a, b, elasticity=2)**0.9",
        "supply": {
            "x": {"quantity": 2, "elasticity": 0.7, "price": 0.5, "adjustment": 0.2},
            "z": {"quantity": 1.5, "elasticity": 1.2, "price": 0.4, "kind": "gradient"},
        },
        "demand": {"y": {"price": 1, "elasticity": 1.5}},
        "population_of": {"a": {"firms": 2, "weights": [0.3, 0.7], "productivity": [1, 1.2]}},
    },
    "copy": {
        "program": "a = x**0.5\nb = a**0.4\nc = a**0.7 * x**0.1\ny = b**0.5 * c**0.3",
        "supply": {"x": 2},
        "demand": {"y": {"price": 1.5, "elasticity": 2, "form": "linear"}},
        "reuse": "copy",
    },
    "loop": {
        "program": "r = (0.3*sqrt(q) + x**0.5)**0.9\nq = sqrt(r) * x**0.3\ny = sqrt(r)",
        "supply": {"x": 1},
        "population_of": {"q": {"firms": 3, "weights": [0.5, 0.3, 0.2]}},
    },
}

RATES = {
    "lag": 0,
    "activation": "simultaneous",
    "bid_rate": 1.0,
    "auction_rate": 0.005,
    "price_rate": 0.02,
    "order_rate": 0.2,
    "stock_weight": 0.1,
    "spoilage": 1.0,
    "start_price": 1.0,
}


def economy(name: str) -> market_abm.Economy:
    return market_abm.from_text(**ECONOMIES[name])


def market(mechanism: str, **rates: Any) -> Any:
    return SimpleNamespace(mechanism=mechanism, dated=False, **(RATES | rates))


def walk(economy: market_abm.Economy, mechanism: str, steps: int, **rates: Any) -> TwinPath:
    return twin(economy, market(mechanism, **rates), steps)


def some_quotes(economy: market_abm.Economy, seed: int) -> np.ndarray:
    """Start quotes, but for a factor of about 2 each; those of elastic demand as they are."""
    quotes = dual.first_quotes(economy, InitialState.of(economy), 1.0)
    noise = np.exp(0.7 * np.random.default_rng(seed).standard_normal(len(quotes)))
    elastic = [math.isinf(terms.elasticity) for terms in economy.demand.values()]
    noise[len(economy.buyers.pools) :][elastic] = 1.0
    return quotes * noise


def quotes_at(economy: market_abm.Economy, best: Equilibrium) -> np.ndarray:
    """The equilibrium's quotes: what a pool's buyers value a unit at, on average."""
    buyers = economy.buyers
    _, products = forward_pass(economy, best.shares, best.quantities[: len(economy.supply)])
    values = best.shares * best.prices[buyers.maker] * products
    pools = np.bincount(buyers.pool, values, len(buyers.pools))
    return np.append(pools, best.prices[economy.final])


# --- the potential, by hand -----------------------------------------------------------------------


@pytest.mark.parametrize("a", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("epsilon", [0.5, 1.0, 3.0])
def test_the_potential_of_a_power_in_closed_form(a: float, epsilon: float) -> None:
    """A firm of weight w and skill z gains w (1 - a) (z p)^(1/(1-a)) (a/π)^(a/(1-a)), by hand; the
    supplier π q/(1 + η); the consumer the integral of its demand. A few roundings, times the power
    of 10 at a = 0.9: 1e-13; the slope loses two digits more to differences (and one to a): 1e-10.
    """
    w, z = np.array([0.3, 0.7]), np.array([1.0, 1.3])
    q0, r0, eta, p0, c0 = 2.0, 0.7, 0.8, 1.4, 1.1
    one = market_abm.from_text(
        f"y = x**{a}",
        supply={"x": {"quantity": q0, "price": r0, "elasticity": eta}},
        demand={"y": {"price": p0, "elasticity": epsilon, "quantity": c0}},
        population={"firms": 2, "weights": list(w), "productivity": list(z)},
    )
    for pi, p in [(0.5, 1.0), (1.7, 0.9), (0.9, 2.5)]:
        firms = w * (1 - a) * (z * p) ** (1 / (1 - a)) * (a / pi) ** (a / (1 - a))
        offered = q0 * (pi / r0) ** eta
        wanted = c0 * (p / p0) ** -epsilon
        if epsilon == 1.0:
            worth = p0 * c0 * (1 + math.log(wanted / c0))
        else:
            k = 1 - 1 / epsilon
            worth = p0 * c0 * (1 + ((wanted / c0) ** k - 1) / k)
        whole = firms.sum() + pi * offered / (1 + eta) + worth - p * wanted
        assert potential(one, np.array([pi, p])) == pytest.approx(whole, rel=1e-13)
        inputs = w * (z * p * a / pi) ** (1 / (1 - a))
        made = np.sum(z * w * (inputs / w) ** a)
        np.testing.assert_allclose(
            potential_slope(one, np.array([pi, p])),
            [offered - inputs.sum(), made - wanted],
            atol=1e-10 * max(inputs.sum(), made, offered, wanted),
        )


def test_a_firm_that_does_not_pay_shuts_down() -> None:
    """max_x p (1 - 1/(x + 1)) - π x is (√p - √π)² for π < p, and 0 beyond, at x = 0 exactly.

    At π = p the slope has a kink: a difference across it is wrong by half its width, and rounding
    of 1e-16 allows for widths of 1e-6 or so.
    """
    one = market_abm.from_text("y = 1 - 1/(x + 1)", supply={"x": 1})
    p = 1.0
    for pi in (0.2, 0.9, 1.0, 1.1, 3.0):
        gain = max(math.sqrt(p) - math.sqrt(pi), 0.0) ** 2
        x = max(math.sqrt(p / pi) - 1, 0.0)
        quotes = np.array([pi, p])
        assert potential(one, quotes) == pytest.approx(gain + pi, rel=1e-14)
        _, inputs = Dual(one).best_responses(quotes)
        assert inputs[0] == pytest.approx(x, rel=1e-11, abs=0.0)
        wrong = abs(potential_slope(one, quotes)[0] - (1.0 - x))
        assert wrong < (1e-6 if pi == p else 1e-10)


LINES = [
    "x**0.5",
    "x**0.95",
    "1 - 1/(x + 1)",
    "ln(x)",
    "ln(x + 1)",
    "tanh(x)",
    "sin(x)",
    "1 - (x - 3)**2",
    "-exp(-x)",
    "ln(1 - 1/(sqrt(x) + 1))",
    "x**0.3 * z**0.4",
    "sqrt(x) + ln(1 + z)",
    "(x**0.5 + z**0.5)**0.9",
    "ces(x, z, elasticity=0.3)**0.9",
    "ces(x, z, elasticity=3)**0.9",
    "ces(x, z, v, elasticity=0.05)**0.8",
    "cobb_douglas(x, z, v, exponents=(0.3, 0.3, 0.3))",
    "ces(x + 1, z + 0.5, elasticity=2)**0.8",
    "ces(x + 1, z + 0.5, v + 0.1, elasticity=0.3)**0.8",
]


@pytest.mark.parametrize("line", LINES)
def test_the_most_profitable_inputs_meet_the_first_order_conditions(line: str) -> None:
    """v f' = π of what is used, v f' <= π of what is not: of a concave f they are enough.

    Prices over four orders of magnitude. A last Newton step that is a millionth of the inputs
    leaves its square, 1e-12, times the curvature (some hundreds at σ = 0.05): 1e-9. The line may
    read each good once, so that it is strictly concave in what it reads.
    """
    goods = [good for good in "xzv" if good in line.replace("cobb_", "").replace("exp", "")]
    one = market_abm.from_text(f"y = {line}", supply=dict.fromkeys(goods, 1))
    rng = np.random.default_rng(1)
    worth = np.exp(2 * rng.standard_normal(300))
    costs = np.exp(2 * rng.standard_normal((300, len(goods))))
    industry = one.industries[0]
    inputs, profit = profit_maximizing_inputs(industry, worth, costs, np.ones_like(costs))
    assert np.all(inputs >= 0.0)
    with np.errstate(all="ignore"):
        made, products = industry.technology.production(list(inputs.T))
    gain = worth * np.array(np.broadcast_arrays(*products, worth)[:-1]) / costs.T - 1.0
    left = np.where(inputs.T > 0.0, np.abs(gain), np.maximum(gain, 0.0))
    assert np.max(left) <= 1e-9
    np.testing.assert_array_equal(profit, worth * made - np.sum(costs * inputs, axis=1))


@pytest.mark.parametrize("line", ["x", "2*x", "x**1.2", "ces(x, z, elasticity=2)", "(x + z)**0.5"])
def test_constant_and_increasing_returns_are_refused(line: str) -> None:
    goods = [good for good in "xz" if good in line]
    one = market_abm.from_text(f"y = {line}", supply=dict.fromkeys(goods, 1))
    for ask in (
        lambda: twin(one, market("tatonnement"), 0),
        lambda: potential(one, np.ones(len(goods) + 1)),
    ):
        with pytest.raises(market_abm.MarketError, match="returns") as caught:
            ask()
        assert caught.value.remedy and caught.value.line == 1
    assert np.all(np.isfinite(twin(one, market("posted-price"), 1).prices))


# --- what its slope says --------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", ECONOMIES)
def test_the_slope_of_the_potential_is_excess_supply(name: str, seed: int) -> None:
    """Hotelling's lemma, which the differences do not know: S - D of every quote.

    Differences are good to 1e-10 of the amounts; the angle, if the excess is as large as they, to
    the square of it.
    """
    one = economy(name)
    quotes = some_quotes(one, seed)
    problem = Dual(one)
    slope = problem.gradient(quotes)
    quantities, inputs = problem.best_responses(quotes)
    demand = np.bincount(one.buyers.pool, inputs, len(one.buyers.pools))
    price = quotes[len(demand) :]
    wanted = []
    for k, terms in enumerate(one.demand.values()):
        c0, relative = problem.reference[k], price[k] / terms.price
        if math.isinf(terms.elasticity):
            wanted.append(quantities[one.final[k]])
        elif terms.form == "linear":
            wanted.append(c0 + terms.elasticity * abs(c0) * (1 - relative))
        else:
            wanted.append(c0 * relative**-terms.elasticity)
    demand = np.append(demand, wanted)
    excess = quantities[dual.good_of_quotes(one)] - demand
    np.testing.assert_allclose(slope, excess, atol=1e-10 * max(demand.max(), quantities.max()))
    cosine = slope @ excess / np.sqrt((slope @ slope) * (excess @ excess))
    assert cosine >= 1 - 1e-12


@pytest.mark.parametrize("name", ECONOMIES)
def test_the_least_of_the_potential_is_the_greatest_surplus(name: str) -> None:
    """Strong duality: Φ at the best allocation's prices is W, and more anywhere else.

    W is known to 1e-9 of first-order conditions, squared; roundings: 1e-12. Its prices are known
    to 1e-9 of themselves, and the slope is a few hundred times that off.
    """
    one = economy(name)
    best = equilibrium(one)
    assert best is not None and best.solved
    quotes = quotes_at(one, best)
    assert potential(one, quotes) == pytest.approx(best.welfare, rel=1e-12)
    assert np.max(np.abs(potential_slope(one, quotes))) < 1e-6
    for seed in range(5):
        other = some_quotes(one, seed)
        assert potential(one, other) > best.welfare + 1e-3
        middle = potential(one, (quotes + other) / 2)
        assert middle < (potential(one, quotes) + potential(one, other)) / 2  # it is convex


# --- the twins, by hand ---------------------------------------------------------------------------


def test_an_auction_of_one_good_by_hand() -> None:
    """y = √x at p = 1, x = 2: firms want 1/(4π²), and the price moves by λ a unit of what lacks.

    The differences are good to 1e-10 of the amounts, and a step moves the price by 0.01 of them.
    """
    one = market_abm.from_text("y = sqrt(x)", supply={"x": {"quantity": 2, "price": 0.3}})
    path = walk(one, "tatonnement", 100, auction_rate=0.01)
    price = 0.3
    for t in range(101):
        x = 1 / (4 * price**2)
        np.testing.assert_allclose(path.prices[t], [price, 1.0], rtol=1e-11)
        np.testing.assert_allclose(path.quantities[t], [2.0, math.sqrt(x)], rtol=1e-11)
        np.testing.assert_allclose(path.shares[t], [x / 2], rtol=1e-11)
        price += 0.01 * (x - 2)


def test_the_auction_of_the_essays_chain_by_hand() -> None:
    """Its firms' demands in closed form, for 1000 steps: (p/2π)², √(p/π) - 1 or nothing, p/π.

    At the start the second of them is just about to shut down, where differences are good to 1e-7
    of it, so that a step is good to 1e-9; the price that it makes it is never forgotten entirely.
    """
    one = economy("essay")
    path = walk(one, "tatonnement", 1000)
    gas, ethylene, poly = 1.0, 1.0, 1.0
    for t in range(1001):
        x = (ethylene / (2 * gas)) ** 2
        e = max(math.sqrt(poly / ethylene) - 1, 0.0)
        q = 1 / poly
        made = [4.0, math.sqrt(x), 1 - 1 / (e + 1), math.log(q)]
        np.testing.assert_allclose(path.prices[t], [gas, ethylene, poly, 1.0], rtol=1e-8)
        np.testing.assert_allclose(path.quantities[t], made, rtol=1e-7, atol=1e-9)
        gas += 0.005 * (x - 4.0)
        ethylene += 0.005 * (e - math.sqrt(x))
        poly += 0.005 * (q - made[2])


def test_posted_prices_of_one_good_by_hand() -> None:
    """y = √x with a supplier on its curve and an isoelastic consumer; nothing rationed or stored.

    The same arithmetic in another order: roundings of 1e-16, and a path that forgets: 1e-12.
    """
    one = market_abm.from_text(
        "y = sqrt(x)",
        supply={
            "x": {"quantity": 2, "price": 0.3, "elasticity": 0.5, "adjustment": 0.4},
        },
        demand={"y": {"price": 1.2, "elasticity": 1.5, "quantity": 1}},
    )
    path = walk(one, "posted-price", 300, bid_rate=0.7, price_rate=0.05)

    def apart(a: float, b: float) -> float:
        return 2 * (a - b) / (abs(a) + abs(b))

    x, y = 2.0, math.sqrt(2)
    pi, p = 0.3, 1.2 * y ** (-1 / 1.5)
    bid, order, used, share, short = 0.0, 2.0, 2.0, 1.0, []
    for t in range(301):
        np.testing.assert_allclose(path.prices[t], [pi, p], rtol=1e-12)
        np.testing.assert_allclose(path.quantities[t], [x, y], rtol=1e-12)
        np.testing.assert_allclose(path.shares[t], [share], rtol=1e-12)
        short.append(order > x)
        share = order / x
        bid = 0.3 * bid + 0.7 * p * 0.5 / math.sqrt(used)
        x = 2 * (x / 2) ** 0.6 * (pi / 0.3) ** (0.4 * 0.5)
        used, y = order, math.sqrt(order)
        pi *= math.exp(0.05 * apart(order, x))
        p *= math.exp(0.05 * apart((p / 1.2) ** -1.5, y))
        order *= math.exp(0.2 * apart(bid, pi))
    assert 0 < sum(short) < 301  # at times more is ordered than there is, and delivered
    assert path.identical_until == short.index(True)  # the next batch of the market has less


@pytest.mark.parametrize("mechanism", ["tatonnement", "posted-price"])
def test_the_first_quotes(mechanism: str) -> None:
    """Raw goods at r0, made ones at the start price, final ones at what is paid; copies halved.

    The demand for y is linear: P = p0 (1 - (y - 1)/2) at what is made of all x and half of a.
    """
    one = market_abm.from_text(
        "a = sqrt(x)\ny = x**0.5 * a**0.4\nz = a**0.5",
        supply={"x": {"quantity": 2, "price": 0.6}},
        demand={"y": {"price": 3, "elasticity": 2, "form": "linear", "quantity": 1}, "z": 4},
        reuse_of={"x": "copy"},
    )
    y = 2**0.5 * (2**0.5 / 2) ** 0.4
    paid = 3 * (1 - (y - 1) / 2)
    first = TWINS[mechanism](one, market(mechanism, start_price=0.7))
    np.testing.assert_allclose(first.quotes, [0.3, 0.3, 0.7, paid, 4.0], rtol=1e-15)
    np.testing.assert_allclose(first.observed()[1], [0.6, 0.7, paid, 4.0], rtol=1e-15)


def test_gaps_are_bounded() -> None:
    a, b = np.array([0.0, 1.0, 0.0, 3.0, -1.0]), np.array([0.0, 0.0, 2.0, 1.0, 1.0])
    np.testing.assert_array_equal(gap(a, b), [0.0, 2.0, -2.0, 1.0, -2.0])


# --- where they come to rest ----------------------------------------------------------------------


REST: list[Any] = [
    pytest.param("essay", "tatonnement", 3700, {"auction_rate": 0.008}, marks=pytest.mark.slow),
    pytest.param("essay", "posted-price", 2600, {}, marks=pytest.mark.slow),
    ("diamond", "tatonnement", 400, {"auction_rate": 0.08}),
    pytest.param("diamond", "posted-price", 3000, {}, marks=pytest.mark.slow),
    ("ces", "tatonnement", 400, {"auction_rate": 0.03}),
    pytest.param("ces", "posted-price", 4000, {}, marks=pytest.mark.slow),
    pytest.param("copy", "posted-price", 3000, {}, marks=pytest.mark.slow),
    pytest.param("loop", "posted-price", 1500, {}, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("name", "mechanism", "steps", "rates"), REST)
def test_they_come_to_the_equilibrium(
    name: str, mechanism: str, steps: int, rates: dict[str, float]
) -> None:
    """Prices and quantities to 1e-6; far off at the start, so that there is something to find."""
    one = economy(name)
    best = equilibrium(one)
    assert best is not None and best.solved
    path = walk(one, mechanism, steps, **rates)
    assert np.max(np.abs(path.prices[0] / best.prices - 1)) > 0.1
    np.testing.assert_allclose(path.prices[-1], best.prices, rtol=1e-6)
    np.testing.assert_allclose(path.quantities[-1], best.quantities, rtol=1e-6)
    np.testing.assert_allclose(path.shares[-1], best.shares, rtol=1e-6)
    if name == "essay":
        np.testing.assert_allclose(path.prices[-1], [1 / 24, 1 / 6, 1.5, 1.0], rtol=1e-6)


def test_the_potential_falls_all_the_way() -> None:
    """A step of λ against a convex function falls as long as λ is below 2 over its curvature."""
    one = economy("essay")
    settings = market("tatonnement")
    descent = TWINS["tatonnement"](one, settings)
    values = []
    for _ in range(100):
        values.append(potential(one, descent.quotes))
        descent.step()
    assert np.all(np.diff(values) < 0.0)


# --- in what sense posted prices are Arrow, Hurwicz and Uzawa's -----------------------------------


def one_step(
    one: market_abm.Economy, settings: Any, orders: np.ndarray, offers: np.ndarray, quotes: Any
) -> LogPrimalDual:
    """The posted-price walk, a step after it stood where everybody made of ``orders``."""
    seller = LogPrimalDual(one, settings)
    seller.orders = seller.last_orders = orders
    seller.made, seller.offers = Lagrangian(one).supply(orders, offers), offers
    seller.quotes, seller.prices = quotes, dual.prices(one, quotes)
    seller.step()
    return seller


@pytest.mark.parametrize("price_rate", [1e-6, 0.02])
@pytest.mark.parametrize("name", ["essay", "diamond", "ces", "copy"])
def test_a_small_step_is_up_and_down_the_slopes_of_the_lagrangian(
    name: str, price_rate: float
) -> None:
    """Amounts and quotes off by ε (1e-2, ...): Δ ln o = κ (∂L/∂o)/π and Δ ln π = -λ (∂L/∂π)/A.

    A gap is relative to the mean of two amounts, which differ by some ε: by up to ten, of normal
    deviations in half a dozen quotes and amounts. Half of that it is off, 5 ε of itself. An order
    sees quotes that have moved by λ gap already: 2 λ more. The angle is off by the square of it.
    """
    one = economy(name)
    best = equilibrium(one)
    assert best is not None and best.solved
    rng = np.random.default_rng(3)
    settings = market("posted-price", price_rate=price_rate)
    ways = [rng.standard_normal(n) for n in (one.buyers.size, len(quotes_at(one, best)))]
    elastic = [math.isinf(terms.elasticity) for terms in one.demand.values()]
    ways[1][len(one.buyers.pools) :][elastic] = 0.0
    for far in (1e-2, 1e-3, 1e-4):
        orders = best.shares * best.quantities[one.buyers.good] * np.exp(far * ways[0])
        quotes = quotes_at(one, best) * np.exp(far * ways[1])
        offers = best.quantities[: len(one.supply)]
        after = one_step(one, settings, orders, offers, quotes)
        offers = after.offers  # suppliers answer first, by their own rule
        expected = uzawa_step(one, settings, orders, offers, quotes)
        moves = np.log(after.orders / orders), np.log(after.quotes / quotes)
        for move, slope, stale in zip(moves, expected, (price_rate, 0.0), strict=True):
            allowed = 5 * far + 2 * stale
            length, other = np.linalg.norm(move), np.linalg.norm(slope)
            assert np.linalg.norm(move - slope) <= allowed * other
            assert move @ slope >= (1 - allowed**2) * length * other


# --- the edges ------------------------------------------------------------------------------------


@pytest.mark.parametrize("mechanism", ["tatonnement", "posted-price"])
def test_what_has_no_such_twin_is_refused(mechanism: str) -> None:
    line: dict[str, Any] = {"program": "y = sqrt(x)\nz = x**0.3", "supply": {"x": 1}}
    refused: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({}, {"activation": "sequential"}),
        ({}, {"activation": "random"}),
        ({}, {"lag": 1}),
        ({"population": {"bid_noise": 0.1}}, {}),
        ({"reuse": "external"}, {}),
        (
            {"demand": {"y": {"elasticity": 2}}, "population_of": {"y": {"conduct": "cournot"}}},
            {},
        ),
    ]
    for other, rates in refused:
        with pytest.raises(SettingError) as caught:
            twin(market_abm.from_text(**(line | other)), market(mechanism, **rates), 1)
        assert caught.value.remedy


def test_names() -> None:
    assert TWINS["tatonnement"].name == "gradient descent on the dual potential"
    assert TWINS["posted-price"].name == "primal-dual (Arrow-Hurwicz-Uzawa) in logarithms"
    assert TEXTBOOKS["posted-price"].name == "primal-dual (Arrow-Hurwicz-Uzawa)"


def test_a_path_without_answers_is_no_number() -> None:
    """Steps of 3 take the price of x below 0, where there is no end to what is wanted."""
    path = walk(economy("essay"), "tatonnement", 5, auction_rate=3.0)
    assert np.all(np.isfinite(path.prices[1])) and np.all(np.isnan(path.prices[-1][:3]))


def test_a_line_may_read_nothing() -> None:
    one = market_abm.from_text("y = sqrt(x)\nw = 3", supply={"x": 1})
    for mechanism in ("tatonnement", "posted-price"):
        path = walk(one, mechanism, 2)
        np.testing.assert_array_equal(path.quantities[:, one.index["w"]], 3.0)


# --- beside the markets, which were written by somebody else -------------------------------------


def beside(name: str, steps: int = 1000, **settings: object):
    """The recorded path of a market, and its twin's."""
    market = {f"market.{key}": value for key, value in settings.items()}
    experiment = Experiment.load(name, {**market, "run.steps": steps, "run.tolerance": 1e-15})
    result = run(experiment)
    assert result.steps == steps
    return result, twin(experiment.economy, experiment.market, steps)


@pytest.mark.parametrize(
    ("name", "settings", "until"),
    [
        ("mechanisms", {"bid_rate": 0.7}, 39),  # orders exceed what there is for the first time
        ("mechanisms", {"order_rate": 0.01, "price_rate": 0.001}, 60),  # nothing is ever short
        ("mechanisms", {"spoilage": 0.4}, 1),  # what is left over is kept
        ("rival-diamond", {}, 1),
    ],
)
def test_posted_prices_are_their_twin_until_something_is_rationed_or_stored(name, settings, until):
    """The same arithmetic in another order: 1e-13; then the market rations, and is another map."""
    result, optimiser = beside(name, 60, mechanism="posted-price", **settings)
    assert optimiser.identical_until == until
    for array in ("prices", "quantities", "shares"):
        one, other = getattr(result.trajectory, array), getattr(optimiser, array)
        assert largest_distance(one[: until + 1], other[: until + 1])[0] < 1e-13, array
    if until < 60:
        assert largest_distance(result.prices, optimiser.prices)[0] > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "rate", "steps"),
    [
        ("essay-chain", 0.005, 400),
        pytest.param("mechanisms", 0.05, 300, marks=pytest.mark.slow),
    ],
)
def test_tatonnement_goes_down_the_gradient_of_its_potential(name, rate, steps):
    """Δp against -λ∇Φ at every step: cosine >= 1 - 1e-9, and the length to 1e-6.

    Φ is differentiated by differences of its own maximal profits, to some 1e-10 of what is traded:
    steps whose ∇Φ has shrunk below 1e-4 would ask for more digits than that has. The paths differ
    by the same errors, added up (and by 6e-8 at the essay's start, where a maker is just shut).
    """
    result, optimiser = beside(name, steps, mechanism="tatonnement", auction_rate=rate)
    economy, path = result.experiment.economy, result.trajectory
    starts, final = economy.buyers.starts, economy.final
    quotes = np.concatenate([path.bids[:, starts], path.prices[:, final]], axis=1)
    tested = 0
    for before, after in zip(quotes[:-1:10], quotes[1::10], strict=False):
        downhill, move = -rate * potential_slope(economy, before), after - before
        size = np.linalg.norm(downhill)
        if size < 1e-4 * rate:
            break
        assert move @ downhill >= (1 - 1e-9) * np.linalg.norm(move) * size
        assert np.linalg.norm(move) == pytest.approx(size, rel=1e-6)
        tested += 1
    assert tested >= 15
    for array in ("prices", "quantities"):
        distance, _ = largest_distance(getattr(path, array), getattr(optimiser, array))
        assert distance < 1e-7, array
