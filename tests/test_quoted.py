"""Prices that are quoted first, ``tatonnement`` and ``posted-price``: docs/model.md, 3.

By hand; both engines; where they rest; the auction as gradient descent on a potential that is
written here, in closed form, and differentiated by autograd; goods and money, unit by unit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad, hessian
from click.testing import CliRunner
from hypothesis import Phase, event, given, settings
from hypothesis import strategies as st
from strategies import RandomProgram, compute, decreasing_dags, loops, rival_dags
from test_equilibrium import as_parametric
from test_shocks import BAKERY, SHOCKS, shocked
from test_twins import assert_each_its_own

from market_abm import Economy, Experiment, MarketModel, MarketSettings, from_text, run
from market_abm.analysis.equilibrium import equilibrium
from market_abm.analysis.stability import stability
from market_abm.arrays import array_market
from market_abm.backprop import exact_gradient
from market_abm.cli import main
from market_abm.errors import MarketError
from market_abm.sweep import Sweep, run_sweep

AUCTION, POSTED = "tatonnement", "posted-price"
ENGINES = ("agents", "arrays")

# --- by hand -------------------------------------------------------------------------------------
# Rounding of some ten operations a step: 1e-13 (plans are solved to rounding, too).


def gap(a: Any, b: Any) -> Any:
    """For positive numbers, as docs/model.md has it."""
    return 2 * (a - b) / (a + b)


def check_steps(result: Any, quantities: list, prices: list) -> None:
    """The first steps, in the order of ``result.goods``."""
    for step, (units, money) in enumerate(zip(quantities, prices, strict=True)):
        assert result.quantities[step] == pytest.approx(units, rel=1e-13), f"units, step {step}"
        assert result.prices[step] == pytest.approx(money, rel=1e-13), f"prices, step {step}"


@pytest.mark.parametrize("engine", ENGINES)
def test_posted_prices_by_hand_a_short_good_and_two_consumers(engine: str) -> None:
    """y = 2x and z = x from x = 4, λ = 0.3, φ = 1/2, δ = 1/4, and κ such that e^(2κ/3) = 3/2.

    Step 0: 2 and 2 of x make y = 4 and z = 2; all prices are 1 (P_z = 2 (1 - (2 - 1)/2)).
    Step 1: a unit of x earns 2 in y and 1 in z. Orders: 2 e^(2κ/3) = 3 for y, for gap(2, 1) = 2/3,
    and 2 for z: 5, but there are 4, so 2.4 and 1.6 are handed out. What is made is sold.
    Step 2: y = 4.8, z = 1.6. Of x 5 were ordered, gap(5, 4) = 2/9: its price is e^(1/15). Of y 4
    were wanted (gap -2/11), of z 2 (gap 2/9): e^(-3/55) and e^(1/15). At these prices y's consumer
    takes 4 e^(3/55) and leaves some, of which 3/4 are kept; z's wants 3 - e^(1/15) = 1.93, and
    takes all.
    Step 3: of y there is what is made and that stock, which counts half for its price.
    """
    kappa, rate = 1.5 * math.log(1.5), 0.3
    economy = from_text(
        "y = 2*x\nz = x",
        {"x": {"quantity": 4.0}},
        {
            "y": {"price": 1.0, "elasticity": 1.0},
            "z": {"price": 2.0, "elasticity": 2.0, "quantity": 1.0, "form": "linear"},
        },
    )
    result = run(
        economy,
        mechanism=POSTED,
        engine=engine,
        price_rate=rate,
        order_rate=kappa,
        stock_weight=0.5,
        spoilage=0.25,
        steps=3,
    )
    x2, y2, z2 = math.exp(1 / 15), math.exp(-3 / 55), math.exp(1 / 15)
    for_y, for_z = 3 * math.exp(kappa * gap(2, x2)), 2 * math.exp(kappa * gap(1, x2))
    assert for_y + for_z > 4
    got = np.array([for_y, for_z]) * 4 / (for_y + for_z)
    made, stock = 2 * got[0], 0.75 * (4.8 - 4 / y2)
    assert stock > 0.4
    x3 = x2 * math.exp(rate * gap(for_y + for_z, 4))
    y3 = y2 * math.exp(rate * gap(4 / y2, made + stock / 2))
    z3 = z2 * math.exp(rate * gap(3 - z2, got[1]))
    check_steps(
        result,
        [[4, 4, 2], [4, 4, 2], [4, 4.8, 1.6], [4, made + stock, got[1]]],
        [[1, 1, 1], [1, 1, 1], [x2, y2, z2], [x3, y3, z3]],
    )
    handed = result.trajectory.inputs
    np.testing.assert_allclose(handed, [[2, 2], [2, 2], [2.4, 1.6], got], rtol=1e-13)
    np.testing.assert_allclose(result.trajectory.bids[1:], [[2, 1], [2, 1], [2 * y2, z2]], 1e-13)
    np.testing.assert_allclose(result.trajectory.shares[2], [0.6, 0.4], rtol=1e-13)


@pytest.mark.parametrize("engine", ENGINES)
def test_posted_prices_by_hand_a_good_that_is_left_over(engine: str) -> None:
    """y = 2x at price 1/2 from x = 4 at first for 3; κ = ln 2, λ = 0.3, φ = 1/2, δ = 1/4.

    Step 1: a unit of x earns 1 and costs 3, gap -1: orders halve, to 2. Of 2 left over 1.5 are
    kept. Step 2: 5.5 on sale, and y = 4. gap(2, 4 + 0.75) = -22/27: x for 3 e^(-0.3 · 22/27).
    Step 3: from the orders o of step 2, y = 2 o, and of x 4 + 0.75 (5.5 - o).
    """
    economy = from_text("y = 2*x", {"x": {"quantity": 4.0, "price": 3.0}}, {"y": 0.5})
    result = run(
        economy,
        mechanism=POSTED,
        engine=engine,
        price_rate=0.3,
        order_rate=math.log(2),
        stock_weight=0.5,
        spoilage=0.25,
        steps=3,
    )
    price = 3 * math.exp(-0.3 * 22 / 27)
    order = 2 * 2 ** gap(1, price)
    assert order < 2
    stock = 0.75 * (5.5 - order)
    last = price * math.exp(0.3 * gap(order, 4 + 0.5 * stock))
    check_steps(
        result,
        [[4, 8], [4, 8], [5.5, 4], [4 + stock, 2 * order]],
        [[3, 0.5], [3, 0.5], [price, 0.5], [last, 0.5]],
    )
    assert result.trajectory.shares[2] == pytest.approx([0.5], rel=1e-13)  # of step 1's four


@pytest.mark.parametrize("engine", ENGINES)
def test_posted_prices_by_hand_a_copied_good(engine: str) -> None:
    """a = x/10 and b = 3x, each of all of x = 2, at quotes of 1/2 each; e^(2κ/3) = 3/2, λ = 0.3.

    Step 1: gap(0.1, 0.5) = -4/3, so a orders 2 (2/3)^2 = 8/9; gap(3, 0.5) = 10/7, so b orders
    2 (3/2)^(15/7), and gets 2. Step 2: gap(8/9, 2) = -10/13, so a's quote is e^(-3/13)/2; b's rises
    by its own orders. Of what a leaves nothing is kept: x is 2 again.
    """
    kappa = 1.5 * math.log(1.5)
    economy = from_text("a = x/10\nb = 3*x", {"x": 2.0}, reuse="copy")
    result = run(
        economy,
        mechanism=POSTED,
        engine=engine,
        price_rate=0.3,
        order_rate=kappa,
        stock_weight=0.5,
        spoilage=0.25,
        steps=3,
    )
    a1, b1 = 8 / 9, 2 * 1.5 ** (15 / 7)
    for_a, for_b = math.exp(-3 / 13) / 2, math.exp(0.3 * gap(b1, 2)) / 2
    a2, b2 = a1 * math.exp(kappa * gap(0.1, for_a)), b1 * math.exp(kappa * gap(3, for_b))
    assert a2 < 2 < b2
    last = for_a * math.exp(0.3 * gap(a2, 2)) + for_b * math.exp(0.3 * gap(b2, 2))
    check_steps(
        result,
        [[2, 0.2, 6], [2, 0.2, 6], [2, a1 / 10, 6], [2, a2 / 10, 6]],
        [[1, 1, 1], [1, 1, 1], [for_a + for_b, 1, 1], [last, 1, 1]],
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_an_auction_by_hand(engine: str) -> None:
    """y = 2√x and z = ln(1 + x), x supplied at 4 (p/0.5)^1 = 8 p whatever the habit; λ = 0.1.

    Plans: (p_y/π)^2 of x for y = 2 p_y/π, and p_z/π - 1, if that is above 0, for z = ln(p_z/π).
    c0 is what step 0's equal split makes, 2√2 and ln 3: demands 2√2 (p/1.2)^-2 and
    ln 3 (2 - p/0.4). Step 0: π = 0.5, at which y's maker wants 5.76 of x for 4.8, and z's nothing,
    for 0.4 < 0.5; there are 4. Step 1: 0.5 + 0.1 (5.76 - 4) = 0.676; 1.2 + 0.1 (2√2 - 4.8) = 1.003;
    0.4 + 0.1 ln 3 = 0.510, still no price for a z. Step 2: so much less of x is wanted that it
    costs 0.355, and z is made. Step 3: x is dear again.
    """
    economy = from_text(
        "y = 2*sqrt(x)\nz = ln(1 + x)",
        {"x": {"quantity": 4.0, "price": 0.5, "elasticity": 1.0, "adjustment": 0.1}},
        {
            "y": {"price": 1.2, "elasticity": 2.0},
            "z": {"price": 0.4, "elasticity": 1.0, "form": "linear"},
        },
    )
    result = run(economy, mechanism=AUCTION, engine=engine, auction_rate=0.1, steps=3)
    x, y, z = 0.5, 1.2, 0.4
    quantities, prices, inputs = [], [], []
    for step in range(4):
        wanted = np.array([(y / x) ** 2, max(z / x - 1, 0.0)])
        offered = np.array([8 * x, 2 * y / x, math.log(max(z / x, 1.0))])
        quantities.append(offered)
        prices.append([x, y, z])
        inputs.append(wanted)
        demand = [wanted.sum(), 2 * math.sqrt(2) * (y / 1.2) ** -2, math.log(3) * (2 - z / 0.4)]
        x, y, z = np.array([x, y, z]) + 0.1 * (np.array(demand) - offered)
    assert quantities[0].tolist() == [4.0, 4.8, 0.0]
    np.testing.assert_allclose(prices[1], [0.676, 1.00284, 0.50986], atol=5e-6)
    assert [units[2] > 0 for units in quantities] == [False, False, True, False]
    check_steps(result, quantities, prices)
    np.testing.assert_allclose(result.trajectory.inputs, inputs, rtol=1e-13)
    shares = np.array(inputs) / np.array(quantities)[:, :1]
    np.testing.assert_allclose(result.trajectory.shares, shares, rtol=1e-13)
    assert shares[0].sum() == pytest.approx(1.44)  # 5.76 wanted, 4 offered


@pytest.mark.parametrize("engine", ENGINES)
def test_an_auction_by_hand_of_a_copied_good_that_is_made(engine: str) -> None:
    """m = 2√x from x = 1, and a = √m and b = 2√m copy it; start price 2, so quotes 1 and 1; λ = 0.1.

    Plans: (p_m/π)^2 of x for m = 2 p_m/π; 1/(2 q)^2 of m for a, 1/q^2 for b. Step 0: 4 of x for
    m = 4, 0.25 and 1 of it. Step 1: π = 1.3, quotes 0.625 and 0.7. Step 2: m = 2.65/1.3 = 2.04,
    of which 0.64 and 2.04 are wanted: 0.485, and 0.7002.
    """
    economy = from_text(
        "m = 2*sqrt(x)\na = sqrt(m)\nb = 2*sqrt(m)", {"x": {"quantity": 1.0}}, reuse="copy"
    )
    result = run(
        economy, mechanism=AUCTION, engine=engine, auction_rate=0.1, start_price=2.0, steps=3
    )
    x, quotes = 1.0, np.array([1.0, 1.0])
    quantities, prices = [], []
    for step in range(4):
        m, copies = 2 * quotes.sum() / x, np.array([0.25, 1.0]) / quotes**2
        quantities.append([1, m, math.sqrt(copies[0]), 2 * math.sqrt(copies[1])])
        prices.append([x, quotes.sum(), 1, 1])
        x = x + 0.1 * ((m / 2) ** 2 - 1)
        quotes = quotes + 0.1 * (copies - m)
    np.testing.assert_allclose(prices[1], [1.3, 1.325, 1, 1], rtol=1e-15)
    np.testing.assert_allclose(prices[2][1], 0.485 + 0.7002, atol=1e-3)
    check_steps(result, quantities, prices)


# --- both engines --------------------------------------------------------------------------------


def varied(node: tuple, rng: np.random.Generator, exponent: bool = False) -> tuple:
    """The same tree with other numbers, and as concave: exponents smaller, factors 15 % off."""
    kind = node[0]
    if kind == "num":
        if exponent:
            return ("num", node[1] * rng.uniform(0.85, 1.0))
        return node if node[1] == 1 else ("num", node[1] * rng.uniform(0.87, 1.15))
    if kind == "read":
        return node
    if kind == "ces":
        weights = np.array(node[2]) * rng.uniform(0.85, 1.15, len(node[2]))
        return ("ces", node[1] * rng.uniform(0.9, 1.1), tuple(weights / weights.sum()), node[3])
    if kind == "cobb_douglas":
        return ("cobb_douglas", tuple(a * rng.uniform(0.85, 1.0) for a in node[1]), node[2])
    parts = [varied(part, rng, kind == "**" and k == 1) for k, part in enumerate(node[1:])]
    return (kind, *parts)


@dataclass(frozen=True)
class Drawn:
    """An economy with numbers of its own, the program that it has, and prices to begin with."""

    program: RandomProgram
    economy: Economy
    price: float
    steepness: float


def drawn(program: RandomProgram, rng: np.random.Generator, firms: int) -> Drawn:
    """Suppliers and consumers who respond, first prices near what a unit earns at the start.

    ``steepness`` is the least price over quantity, money per unit, per unit: what an auction rate
    is to be small against.
    """
    program = replace(
        program, lines=tuple((name, varied(line, rng)) for name, line in program.lines)
    )
    parameters: dict[str, float] = {}
    lines = [f"{name} = {as_parametric(line, parameters)}" for name, line in program.lines]
    supply: dict[str, dict] = {}
    for k, (good, quantity) in enumerate(program.supply.items()):
        supply[good] = {
            "quantity": quantity * rng.uniform(0.9, 1.1),
            "elasticity": float(rng.choice([0.0, rng.uniform(0.1, 1.2)])),
            "adjustment": rng.uniform(0.05, 0.5),
            "rate": rng.uniform(0.005, 0.03),
            "kind": "gradient" if k % 2 else "curve",
        }
    demand = {
        good: {
            "price": price,
            "elasticity": float(rng.choice([math.inf, rng.uniform(0.7, 4)])),
            "form": "linear" if k % 2 else "isoelastic",
        }
        | ({"quantity": rng.uniform(0.8, 1.5)} if program.loop else {})
        for k, (good, price) in enumerate(program.demand.items())
    }
    spread = {"firms": firms, "weight_spread": 0.3, "productivity_spread": 0.2}
    arguments = {
        "program": "\n".join(lines[k] for k in program.order),
        "demand": demand,
        "parameters": parameters,
        "reuse": program.reuse,
        "population": spread if firms > 1 else {},
        "seed": int(rng.integers(1, 100)),
    }
    earns = exact_gradient(from_text(supply=supply, **arguments))
    for good, terms in supply.items():
        terms["price"] = earns[good] * rng.uniform(0.7, 1.4)
    economy = from_text(supply=supply, **arguments)
    model = MarketModel(economy).state
    made = [earns[good] for good in economy.goods if good not in (*supply, *demand)]
    worth = np.array([earns[good] for good in economy.goods])
    return Drawn(
        program,
        economy,
        float(np.exp(np.mean(np.log(made)))) if made else 1.0,
        float(np.min(worth / model.quantities)),
    )


KINDS = {
    "decreasing returns": decreasing_dags(),
    "concave lines": rival_dags(most_lines=3),
    "loops": st.sampled_from(["rival", "copy"]).flatmap(loops),
}


def posted_settings(each: Drawn, rng: np.random.Generator, lag: int = 0) -> MarketSettings:
    return MarketSettings(
        mechanism=POSTED,
        lag=lag,
        bid_rate=float(rng.choice([1.0, rng.uniform(0.3, 1.0)])),
        start_price=each.price * rng.uniform(0.7, 1.4),
        price_rate=rng.uniform(0.02, 0.2),
        order_rate=rng.uniform(0.05, 0.5),
        stock_weight=float(rng.choice([0.0, 1.0, rng.uniform(0, 1)])),
        spoilage=float(rng.choice([0.0, 1.0, rng.uniform(0, 1)])),
    )


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data(), firms=st.integers(1, 3), seed=st.integers(0, 2**32))
@settings(max_examples=4, phases=[Phase.generate])
def test_auctions_in_both_engines(kind: str, data: Any, firms: int, seed: int) -> None:
    """Three runs side by side, each its own, at every step: 1e-10.

    Both solve plans to a few 1e-16 of ln(∂f/∂x), but not through the same steps: 1/(1 - a) times
    that, with returns of a = 0.9 or a little above, is some 1e-14 of x. Twenty steps of an auction
    that is stable add up to twenty times that, and one that swings may double it a few times.
    """
    rng = np.random.default_rng(seed)
    several = [drawn(data.draw(KINDS[kind]), rng, firms)]
    several += [drawn(several[0].program, rng, firms) for _ in range(2)]
    markets = [
        MarketSettings(
            mechanism=AUCTION,
            start_price=each.price * rng.uniform(0.7, 1.4),
            auction_rate=each.steepness * rng.uniform(0.005, 0.05),
        )
        for each in several
    ]
    share = assert_each_its_own([each.economy for each in several], markets, [1, 2, 3], rtol=1e-10)
    event(f"compared {share:.0%}")
    assert share > 0.3


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lag", [0, 2])
@given(data=st.data(), firms=st.integers(1, 3), seed=st.integers(0, 2**32))
@settings(max_examples=6, phases=[Phase.generate])
def test_posted_prices_in_both_engines(
    lag: int, kind: str, data: Any, firms: int, seed: int
) -> None:
    """As in tests/test_twins.py: 1e-12 at every step, each run of three its own; heard late, too."""
    rng = np.random.default_rng(seed)
    several = [drawn(data.draw(KINDS[kind]), rng, firms)]
    several += [drawn(several[0].program, rng, firms) for _ in range(2)]
    markets = [posted_settings(each, rng, lag) for each in several]
    share = assert_each_its_own([each.economy for each in several], markets, [1, 2, 3])
    event(f"compared {share:.0%}")
    assert share > 0.3
