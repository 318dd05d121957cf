"""The allocation that maximises welfare, and the market's rest point, which is to be the same.

Three independent sources: closed forms by hand; a planner written here, with HIPS autograd for the
program's trees and SciPy for the search, that never touches ``market_abm``; and the market itself,
on a few hundred random economies whose supply and demand respond.
"""

from __future__ import annotations

import math
from typing import Any

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad, hessian
from hypothesis import Phase, event, given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from support.open_economies import INF, Open, cost, open_economies, worth
from support.profiles import examples
from support.strategies import in_order

import market_abm
from market_abm.gradient.allocation import Problem
from market_abm.gradient.equilibrium import equilibrium
from market_abm.gradient.optimality import Kind, residual
from market_abm.market.arrays import ArrayEngine
from market_abm.market.base import MarketSettings

# --- random open economies ---------------------------------------------------------------------


def rest(economies: list[market_abm.Economy], settings_: MarketSettings, steps: int) -> ArrayEngine:
    """All of them at rest: no price or quantity has moved by 1e-11 in twenty steps."""
    market = ArrayEngine(economies, [settings_] * len(economies), [1] * len(economies))
    before = market.state
    for step in range(1, steps + 1):
        market.step()
        if step % 20 == 0:
            now = market.state
            moved = [
                np.max(np.abs(after - then) / np.abs(after))
                for after, then in (
                    (now.prices, before.prices),
                    (now.quantities, before.quantities),
                )
            ]
            if max(moved) < 1e-11:
                return market
            before = now
    raise AssertionError(f"still moving by {moved} in twenty steps after {steps}")


@given(several=open_economies(runs=8))
@settings(
    max_examples=examples(20), phases=[Phase.generate]
)  # to shrink eight markets takes minutes
def test_markets_rest_where_welfare_is_best(several: list[Open]) -> None:
    """320 economies in sequential markets that are slow enough for all to converge.

    At rest to 1e-11 in twenty steps; the slowest modes shrink by 0.01 a step or more, so 1e-10 is
    left: 1e-6, which is asked for, has room. The best is unique, for all technologies are strictly
    concave, so it is found or it is not.
    """
    economies = [each.economy() for each in several]
    market = rest(
        economies,
        market_abm.market_settings(activation="sequential", share_rate=0.2, bid_rate=1.0),
        6000,
    )
    event(several[0].program.reuse)
    for row, (each, economy) in enumerate(zip(several, economies, strict=True)):
        best = equilibrium(economy)
        told = f"{each}"
        assert best is not None and best.solved, told
        np.testing.assert_allclose(
            market.state.quantities[row], best.quantities, 1e-6, err_msg=told
        )
        np.testing.assert_allclose(market.state.prices[row], best.prices, 1e-6, err_msg=told)


@given(several=open_economies(runs=1))
@settings(max_examples=examples(10))
def test_the_equilibrium_is_the_planners(several: list[Open]) -> None:
    """Both maximise a smooth, strictly concave function of order 1, and both to rounding.

    1e-8 for quantities and prices: gradients of 1e-11 over the least curvature drawn, some 1e-3;
    welfare is flat at its best: only its own rounding, 1e-12.
    """
    (each,) = several
    economy = each.economy()
    found = equilibrium(economy)
    assert found is not None and found.solved
    quantities, prices, welfare = each.best()
    order = in_order(each.program, economy.goods)
    np.testing.assert_allclose(found.quantities, quantities[order], rtol=1e-8)
    np.testing.assert_allclose(found.prices, prices[order], rtol=1e-8)
    assert found.welfare == pytest.approx(welfare, rel=1e-12)
    # Not a trivial reference: where supply responds, it has moved.
    for good in each.responding():
        assert (
            abs(quantities[each.program.goods.index(good)] / each.supply[good]["quantity"] - 1)
            > 1e-6
        )


@given(several=open_economies(runs=1), activation=st.sampled_from(["simultaneous", "random"]))
@settings(max_examples=examples(3))
def test_agents_rest_there_too(several: list[Open], activation: str) -> None:
    """Whoever acts when, the rest is the same, if all go slowly (the longest chain has 4 lines).

    ``random`` reallocates while goods are under way, so the stop is at 1e-9 and the rest to 1e-6.
    """
    (each,) = several
    economy = each.economy()
    result = market_abm.run(
        economy,
        activation=activation,
        share_rate=0.04,
        bid_rate=1.0,
        steps=6000,
        tolerance=1e-9,
    )
    best = result.equilibrium
    assert best is not None and best.solved
    assert result.status == "converged", f"{each}\n{result.summary()['message']}"
    np.testing.assert_allclose(result.quantities[-1], best.quantities, rtol=1e-6)
    np.testing.assert_allclose(result.prices[-1], best.prices, rtol=1e-6)
    alone = equilibrium(economy)
    np.testing.assert_array_equal(best.quantities, alone.quantities)
    np.testing.assert_array_equal(best.prices, alone.prices)


# --- closed forms ------------------------------------------------------------------------------
# The solver works to rounding, and each form below is well conditioned: 1e-9 of relative error.


@pytest.mark.parametrize("eps", [0.5, 1.0, 2.0, INF])
@pytest.mark.parametrize("a", [0.3, 0.7, 1.0])
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0, 3.0])
def test_fact_7(eta: float, a: float, eps: float) -> None:
    """c = x^a: x* = (a p0/r0)^(1 / (1/eta + 1 - a + a/eps)); welfare by hand as well."""
    p0, r0 = 1.7, 0.6
    supply = {"quantity": 1, "price": r0, "elasticity": eta}
    demand = {"price": p0, "elasticity": eps, "quantity": 1}
    economy = market_abm.from_text("c = x ** a", {"x": supply}, {"c": demand}, parameters={"a": a})
    found = equilibrium(economy)
    x = 1.0 if eta == 0 else (a * p0 / r0) ** (1 / (1 / eta + 1 - a + a / eps))
    price = p0 * x ** (-a / eps)
    assert found.solved
    np.testing.assert_allclose(found.quantities, [x, x**a], rtol=1e-9)
    np.testing.assert_allclose(found.prices, [price * a * x ** (a - 1), price], rtol=1e-9)
    gain = (
        p0 * (1 + math.log(x**a))
        if eps == 1
        else p0 * (1 + (x ** (a * (1 - 1 / eps)) - 1) / (1 - 1 / eps))
    )
    spent = 0.0 if eta == 0 else r0 * x ** (1 + 1 / eta) / (1 + 1 / eta)
    assert found.welfare == pytest.approx(gain - spent, rel=1e-12)


def test_linear_demand_by_hand() -> None:
    """P = 6 (1 - (c - 2)/4) = 9 - 3c/2 meets MC = 1.5 (q/2) on c = 2q: 18 - 6q = 3q/4.

    With y = 2x the price of x is 2P, so 2 (9 - 3q) = 3q/4: q = 8/3, c = 16/3, P = 1, p_x = 2.
    W = 12 + [9c - 3c^2/4] from 2 to 16/3, less (3/8) q^2 = 12 + 80/3 - 15 - 8/3 = 21.
    """
    economy = market_abm.from_text(
        "y = 2 * x",
        supply={"x": {"quantity": 2, "price": 1.5, "elasticity": 1}},
        demand={"y": {"price": 6, "quantity": 2, "elasticity": 2, "form": "linear"}},
    )
    found = equilibrium(economy)
    assert found.solved
    np.testing.assert_allclose(found.quantities, [8 / 3, 16 / 3], rtol=1e-9)
    np.testing.assert_allclose(found.prices, [2, 1], rtol=1e-9)
    assert found.welfare == pytest.approx(21, rel=1e-12)
    for activation in ("simultaneous", "sequential"):
        for kind in ("curve", "gradient"):
            economy = market_abm.from_text(
                "y = 2 * x",
                supply={
                    "x": {
                        "quantity": 4,
                        "price": 3,
                        "elasticity": 1,
                        "kind": kind,
                        "adjustment": 0.05,
                        "rate": 0.03,
                    }
                },
                demand={"y": {"price": 6, "quantity": 2, "elasticity": 2, "form": "linear"}},
            )
            result = market_abm.run(economy, activation=activation, tolerance=1e-10, steps=3000)
            assert result.status == "converged"
            # Rates of a few per cent a step, stopped at 1e-10: 1e-8.
            np.testing.assert_allclose(result.prices[-1], [2, 1], rtol=1e-8)
            np.testing.assert_allclose(result.equilibrium.quantities, [8 / 3, 16 / 3], rtol=1e-9)


def test_cobb_douglas_with_two_suppliers_by_hand() -> None:
    """Everything is linear in logarithms: two equations in ln x and ln z, solved here."""
    a, b, eps, p0 = 0.3, 0.5, 0.8, 2.0
    etas, costs, firsts = (0.7, 2.0), (0.6, 1.4), (1.5, 0.8)
    c0 = 1.1
    # p0 (c/c0)^(-1/eps) a c / x = r0 (x/q0)^(1/eta), c = x^a z^b
    k = 1 - 1 / eps
    left = [[k * a - 1 - 1 / etas[0], k * b], [k * a, k * b - 1 - 1 / etas[1]]]
    right = [
        math.log(r) - math.log(q) / eta - math.log(p0 * share) - math.log(c0) / eps
        for r, q, eta, share in zip(costs, firsts, etas, (a, b), strict=True)
    ]
    x, z = np.exp(np.linalg.solve(left, right))
    c = x**a * z**b
    economy = market_abm.from_text(
        "c = cobb_douglas(x, z, exponents=(0.3, 0.5))",
        supply={
            "x": {"quantity": firsts[0], "price": costs[0], "elasticity": etas[0]},
            "z": {"quantity": firsts[1], "price": costs[1], "elasticity": etas[1]},
        },
        demand={"c": {"price": p0, "elasticity": eps, "quantity": c0}},
    )
    found = equilibrium(economy)
    at = [economy.index[good] for good in "xzc"]
    final = p0 * (c / c0) ** (-1 / eps)
    np.testing.assert_allclose(found.quantities[at], [x, z, c], rtol=1e-9)
    np.testing.assert_allclose(
        found.prices[at], [final * a * c / x, final * b * c / z, final], rtol=1e-9
    )


@pytest.mark.parametrize("eps", [INF, 1.5])
def test_the_essays_chain_with_negative_tupperware(eps: float) -> None:
    """d ln(s/(s+1))/dx = 1/(2x(s + 1)), s = sqrt(x): one equation in x, by brentq to 1e-15."""
    c0 = math.log(2 / 3)  # what is made at step 0 of natgas 4

    def price(x: float) -> float:
        c = math.log(math.sqrt(x) / (math.sqrt(x) + 1))
        return 1 - (c - c0) / (eps * abs(c0))

    def excess(x: float) -> float:
        return price(x) / (2 * x * (math.sqrt(x) + 1)) - 0.02 * (x / 4) ** (1 / 0.6)

    x = brentq(excess, 0.1, 100, xtol=1e-15, rtol=1e-15)
    assert abs(x - 4) > 0.1
    economy = market_abm.from_text(
        "ethylene = natgas ** 0.5\n"
        "polyethylene = 1 - 1/(ethylene + 1)\ntupperware = ln(polyethylene)",
        supply={"natgas": {"quantity": 4, "price": 0.02, "elasticity": 0.6, "adjustment": 0.3}},
        demand={"tupperware": {"elasticity": eps}},
    )
    found = equilibrium(economy)
    s = math.sqrt(x)
    assert found.solved
    np.testing.assert_allclose(
        found.quantities, [x, s, s / (s + 1), math.log(s / (s + 1))], rtol=1e-9
    )
    ladder = np.array([1 / (2 * x * (s + 1)), 1 / (s * (s + 1)), 1 + 1 / s, 1])
    np.testing.assert_allclose(found.prices, price(x) * ladder, rtol=1e-9)
    c = math.log(s / (s + 1))
    gain = c - (0 if eps == INF else (c - c0) ** 2 / (2 * eps * abs(c0)))
    spent = 0.02 * 4 * (x / 4) ** (1 + 1 / 0.6) / (1 + 1 / 0.6)
    assert found.welfare == pytest.approx(gain - spent, rel=1e-12)
    result = market_abm.run(economy, activation="sequential", tolerance=1e-10)
    # A rate of 0.2 a step or more, stopped at 1e-10: 1e-8.
    np.testing.assert_allclose(result.quantities[-1], found.quantities, rtol=1e-8)
    np.testing.assert_allclose(result.prices[-1], found.prices, rtol=1e-8)


def test_a_nuisance_by_hand() -> None:
    """y = x1 - x2 at price 3: x2 is worth -3, and its gradient supplier takes it back.

    MC(q2) = 2 (q2/1)^(1/0.5) odd: -2 q^2 = -3, q2 = -sqrt(3/2); MC(q1) = q1/2 = 3, q1 = 6.
    """
    economy = market_abm.from_text(
        "y = x1 - x2",
        supply={
            "x1": {"quantity": 2, "elasticity": 1, "kind": "gradient", "rate": 0.2},
            "x2": {"quantity": 1, "price": 2, "elasticity": 0.5, "kind": "gradient", "rate": 0.05},
        },
        demand={"y": 3},
    )
    q2 = -math.sqrt(1.5)
    found = equilibrium(economy)
    assert found.solved
    np.testing.assert_allclose(found.quantities, [6, q2, 6 - q2], rtol=1e-9)
    np.testing.assert_allclose(found.prices, [3, -3, 3], rtol=1e-12)
    welfare = 3 * (6 - q2) - 36 / 4 - 2 * abs(q2) ** 3 / 3
    assert found.welfare == pytest.approx(welfare, rel=1e-12)
    result = market_abm.run(economy, activation="sequential", tolerance=1e-11, steps=2000)
    # Slopes 1/2 and 4.9 times the rates: 0.1 and 0.24 a step; stopped at 1e-11: 1e-9.
    np.testing.assert_allclose(result.quantities[-1], found.quantities, rtol=1e-9)


def test_fixed_endowments_and_elastic_demand_make_welfare_the_value_of_output() -> None:
    """x split between k sqrt(x): shares as the squares of k times price. By hand: 16 to 9.

    p_y 2 sqrt(x1) and p_z 1 sqrt(x2): marginal products 2*2/(2 sqrt x1) = 3/(2 sqrt x2).
    """
    economy = market_abm.from_text("y = 2*sqrt(x)\nz = sqrt(x)", {"x": 5}, {"y": 2, "z": 3})
    found = equilibrium(economy)
    x1, x2 = 5 * 16 / 25, 5 * 9 / 25
    y, z = 2 * math.sqrt(x1), math.sqrt(x2)
    np.testing.assert_allclose(found.quantities, [5, y, z], rtol=1e-9)
    np.testing.assert_allclose(found.prices, [2 / math.sqrt(x1), 2, 3], rtol=1e-9)
    assert found.welfare == pytest.approx(2 * y + 3 * z, rel=1e-12)
    result = market_abm.run(economy, activation="sequential", share_rate=0.5, tolerance=1e-11)
    assert result.summary()["welfare"] == pytest.approx(found.welfare, rel=1e-12)
    assert result.summary()["equilibrium"]["solved"] is True


def test_a_use_that_is_not_worth_it_gets_nothing() -> None:
    """ln(1 + x) still earns 1/3 at x = 2, where the other use would earn 0.1: a corner.

    The solver may stop just inside of it: 1e-7 of a unit, whatever it is for the rest.
    """
    economy = market_abm.from_text("y = ln(1 + x)\nz = 0.1*x", {"x": 2})
    found = equilibrium(economy)
    assert found.solved
    np.testing.assert_allclose(found.quantities, [2, math.log(3), 0], rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(found.prices, [1 / 3, 1, 1], rtol=1e-7)


@pytest.mark.parametrize(
    ("exponents", "skill"), [((0.15, 0.11, 0.19), 0.75), ((0.13, 0.11, 0.15), 0.72)]
)
def test_firms_of_nearly_equal_skill(exponents: tuple, skill: float) -> None:
    """z w (x/w)^A: equal marginal products give x/w in proportion to z^(1/(1 - A)), by hand.

    Well conditioned in what is made, however alike the firms are: 1e-9 as everywhere here.
    """
    economy = market_abm.from_text(
        "a = x**0.33\nb = cobb_douglas(a, w, x, exponents=(e1, e2, e3))\ny = b**0.34",
        supply={"x": 0.4, "w": 0.57},
        demand={"y": 0.4},
        reuse="copy",
        parameters=dict(zip(("e1", "e2", "e3"), exponents, strict=True)),
        population_of={
            "b": {"firms": 3, "weights": [1 / 3] * 3, "productivity": [0.7, 0.7, skill]}
        },
    )
    total = sum(exponents)
    size = np.array([0.7, 0.7, skill]) ** (1 / (1 - total))
    share = size / size.sum()
    a = 0.4**0.33
    inputs = a ** exponents[0] * 0.57 ** exponents[1] * 0.4 ** exponents[2]
    b = sum(z / 3 * (3 * s) ** total for z, s in zip((0.7, 0.7, skill), share, strict=True))
    b *= inputs
    found = equilibrium(economy)
    order = [economy.index[good] for good in "xwaby"]
    np.testing.assert_allclose(found.quantities[order], [0.4, 0.57, a, b, b**0.34], rtol=1e-9)
    assert found.solved, f"residual {found.residual}"


def test_a_firm_of_little_skill_gets_little_but_not_nothing() -> None:
    """By hand as above: shares in proportion to w z^(1/(1 - A)), so 0.35 % for the second firm.

    A search that lets it have nothing stops there, for the logarithm of nothing has no slope.
    """
    economy = market_abm.from_text(
        "a = ces(x, x, elasticity=0.746, weights=(0.365, 0.635)) ** 0.8968\n"
        "y = tanh(0.344 * a**0.534) + ln(0.95 + x**0.469)",
        supply={"x": 2.388},
        demand={"y": {"price": 0.477, "elasticity": 0.734}},
        reuse="copy",
        population_of={"a": {"firms": 2, "weights": [0.75, 0.25], "productivity": [1.17, 0.73]}},
    )
    skill = np.array([0.75, 0.25]) * np.array([1.17, 0.73]) ** (1 / (1 - 0.8968))
    share = skill / skill.sum()
    found = equilibrium(economy)
    assert found is not None and found.solved
    assert 0.003 < share[1] < 0.004
    for use in economy.buyers.uses["a"]:
        np.testing.assert_allclose(found.shares[use], share, rtol=1e-9)


def test_a_share_of_nothing_that_should_be_more_is_not_solved() -> None:
    """W has no slope by the logarithm of a share of e^-60; the first-order conditions do."""
    economy = market_abm.from_text("y = 2*sqrt(x)\nz = sqrt(x)", {"x": 5}, {"y": 2, "z": 3})
    problem = Problem(economy)
    corner = problem.at(np.array([-60.0]))
    assert abs(problem.slope(corner)[0]) < 1e-11
    assert residual(problem, corner) > 1.0
    assert equilibrium(economy).residual < 1e-12


def test_how_a_supplier_gets_there_changes_nothing_where_it_ends() -> None:
    """Bit for bit the same equilibrium: it knows costs, not habits."""
    found = []
    for habit in ({}, {"adjustment": 0.1}, {"kind": "gradient"}, {"kind": "gradient", "rate": 3.0}):
        economy = market_abm.from_text(
            "y = sqrt(x) + ln(1 + x)",
            supply={"x": {"quantity": 2, "price": 0.4, "elasticity": 0.7} | habit},
            demand={"y": {"elasticity": 1.5}},
        )
        best = equilibrium(economy)
        found.append((best.quantities, best.prices))
    assert abs(found[0][0][0] - 2) > 0.1
    for other in found[1:]:
        # The search may take another way (a supply of any sign): to the solver's 1e-9.
        np.testing.assert_allclose(other, found[0], rtol=1e-9)


def test_the_published_economy_of_shoven_and_whalley() -> None:
    """J. Shoven and J. Whalley, Journal of Economic Literature 22, 1984: two sectors, two factors.

    The published equilibrium has three decimals. Solved afresh from its own formulas (unit costs of
    the CES lines, CES demand of a rich household, who owns the capital, and a poor one, who owns
    the labour), it is to be that of the production side at its goods' prices: to rounding, 1e-9.
    """
    scale, labour_weight = np.array([1.5, 2.0]), np.array([0.6, 0.7])
    sigma, spends = np.array([2.0, 0.5]), np.array([[0.5, 0.5], [0.3, 0.7]])
    substitutes = np.array([1.5, 0.75])

    def economy_at(rent: float) -> tuple:
        bundle = labour_weight**sigma + (1 - labour_weight) ** sigma * rent ** (1 - sigma)
        price = bundle ** (1 / (1 - sigma)) / scale
        income = np.array([25 * rent, 60.0])
        demand = sum(
            spends[h]
            * income[h]
            / (price ** substitutes[h] * np.sum(spends[h] * price ** (1 - substitutes[h])))
            for h in (0, 1)
        )
        labour = demand * price * labour_weight**sigma / bundle
        capital = demand * price * (1 - labour_weight) ** sigma * rent**-sigma / bundle
        return price, demand, labour, capital

    rent = brentq(lambda r: economy_at(r)[3].sum() - 25, 1, 2, xtol=1e-15, rtol=1e-15)
    price, demand, labour, capital = economy_at(rent)
    published = {
        "price": (price, [1.399, 1.093]),
        "rent": (rent, 1.373),
        "output": (demand, [24.942, 54.378]),
        "labour": (labour, [26.366, 33.634]),
        "capital": (capital, [6.212, 18.788]),
    }
    for told, printed in published.values():
        np.testing.assert_allclose(told, printed, atol=5.1e-4)
    economy = market_abm.from_text(
        "q1 = 1.5 * ces(labour, capital, elasticity=2.0, weights=(0.6, 0.4))\n"
        "q2 = 2.0 * ces(labour, capital, elasticity=0.5, weights=(0.7, 0.3))",
        supply={"labour": 60, "capital": 25},
        demand={"q1": price[0], "q2": price[1]},
    )
    found = equilibrium(economy)
    assert found is not None and found.solved and found.kind is Kind.GLOBAL_MAXIMUM
    order = [economy.index[good] for good in ("labour", "capital", "q1", "q2")]
    np.testing.assert_allclose(found.prices[order], [1.0, rent, *price], rtol=1e-9)
    np.testing.assert_allclose(found.quantities[order], [60, 25, *demand], rtol=1e-9)
    used = found.shares * found.quantities[economy.buyers.good]
    for k, good in enumerate(("q1", "q2")):
        uses = [used[use][0] for use in economy.buyers.uses[good]]
        np.testing.assert_allclose(uses, [labour[k], capital[k]], rtol=1e-9)


def test_a_loop_with_a_split_inside() -> None:
    """Steel needs coal needs steel; how much steel goes to cars is one number, found by brentq.

    30 rounds written as plain Python (0.3 * 0.4 a round leaves 1e-27), autograd for the slope of W
    in the split and in ore. Solved here to 1e-14, the rest is the solver's: 1e-8.
    """
    r0, eta, eps = 0.5, 0.8, 1.7
    program = "steel = 2 * coal**0.4 * ore**0.3\ncoal = 0.8 * steel**0.3\ncar = ln(1 + steel)"
    c0 = 0.9

    def settled(share: Any, ore: Any) -> tuple:
        steel, coal = 1.0, 1.0
        for _ in range(30):
            steel, coal = 2 * coal**0.4 * ore**0.3, 0.8 * ((1 - share) * steel) ** 0.3
        return steel, coal, anp.log(1 + share * steel)

    def surplus(at: Any) -> Any:
        car = settled(at[0], at[1])[2]
        demand = {"price": 1.5, "elasticity": eps, "quantity": c0}
        supply = {"quantity": 2.0, "price": r0, "elasticity": eta}
        return worth(car, demand, c0) - cost(at[1], supply)

    at = np.array([0.5, 2.0])
    for _ in range(8):
        at = at - np.linalg.solve(hessian(surplus)(at), grad(surplus)(at))
    assert np.max(np.abs(grad(surplus)(at))) < 1e-14
    steel, coal, car = settled(*at)
    economy = market_abm.from_text(
        program,
        supply={"ore": {"quantity": 2.0, "price": r0, "elasticity": eta, "adjustment": 0.3}},
        demand={"car": {"price": 1.5, "elasticity": eps, "quantity": c0}},
    )
    found = equilibrium(economy)
    assert found is not None and found.solved
    order = [economy.index[good] for good in ("ore", "steel", "coal", "car")]
    np.testing.assert_allclose(found.quantities[order], [at[1], steel, coal, car], rtol=1e-8)
    price = 1.5 * (car / c0) ** (-1 / eps)
    steel_price = price / (1 + at[0] * steel)
    coal_price = steel_price * 0.4 * steel / coal
    ore_price = steel_price * 0.3 * steel / at[1]
    expected = [ore_price, steel_price, coal_price, price]
    np.testing.assert_allclose(found.prices[order], expected, rtol=1e-8)
    # Supply is on its curve, and steel earns in coal what it earns in cars: the hand's own check.
    assert ore_price == pytest.approx(r0 * (at[1] / 2) ** (1 / eta), rel=1e-12)
    assert coal_price * 0.3 * coal / ((1 - at[0]) * steel) == pytest.approx(steel_price, rel=1e-12)
    result = market_abm.run(
        economy, activation="sequential", share_rate=0.2, tolerance=1e-10, steps=3000
    )
    assert result.status == "converged"
    np.testing.assert_allclose(result.prices[-1][order], expected, rtol=1e-7)


def test_the_equilibrium_of_an_array_run_is_that_of_the_agents() -> None:
    economy = market_abm.from_text(
        "y = 2*sqrt(x)\nz = ln(1 + x)",
        supply={"x": {"quantity": 3, "price": 0.4, "elasticity": 0.5, "adjustment": 0.5}},
        demand={"y": {"elasticity": 2.0}, "z": {"elasticity": 1.2}},
    )
    runs = [
        market_abm.run(
            economy, activation="sequential", share_rate=0.2, engine=engine, tolerance=1e-10
        )
        for engine in ("agents", "arrays")
    ]
    assert [run.status for run in runs] == ["converged"] * 2
    for run in runs:
        np.testing.assert_array_equal(run.equilibrium.quantities, equilibrium(economy).quantities)
        # Rates of a tenth a step and more, stopped at 1e-10: 1e-8.
        np.testing.assert_allclose(run.quantities[-1], run.equilibrium.quantities, rtol=1e-8)
