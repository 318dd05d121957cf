"""A price taker's best plan: closed forms, first-order conditions by autograd, SciPy, refusals.

Nothing here knows how the solver works: a plan is right if no other earns more.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
from autograd import jacobian
from hypothesis import Phase, event, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import lambertw
from support.profiles import examples
from support.strategies import as_text, compute, decreasing_line

from market_abm import from_input_output, from_text
from market_abm.economy.industry import Industry
from market_abm.errors import EconomyError
from market_abm.market.best_plan import Plan, best_plan, change_of_returns, check_returns
from market_abm.market.small_systems import largest_eigenvalue, newton_step

GOODS = ("x", "v", "u")


def industry(text: str, **parameters: float) -> Industry:
    """y = ``text``, whose inputs are, in this order, those of x, v and u that it reads."""
    read = {good: 1.0 for good in GOODS if re.search(rf"\b{good}\b", text)}
    (only,) = from_text(f"y = {text}", read, parameters=parameters).industries
    return only


def plan(text: str, sale: Any, prices: Any, w: Any = 1.0, z: Any = 1.0, guess: Any = 1.0) -> Plan:
    """The plan of makers of ``text``; ``prices`` has one entry an input, of the others' shape."""
    prices = np.array(prices, float)
    start = np.broadcast_to(np.asarray(guess, float), np.broadcast_shapes(prices.shape))
    return best_plan(industry(text).technology, sale, prices, w, z, start.copy())


def drawn(count: int, inputs: int, seed: int) -> tuple[np.ndarray, ...]:
    """Sale prices, input prices, weights and productivities of ``count`` firms."""
    rng = np.random.default_rng(seed)
    return (
        rng.uniform(0.5, 3.0, count),
        rng.uniform(0.2, 2.0, (inputs, count)),
        rng.uniform(0.05, 1.0, count),
        rng.uniform(0.5, 2.0, count),
    )


# --- closed forms --------------------------------------------------------------------------------
# Each gives x/w and f(x/w) at z p =: r and prices π, by hand from r ∂f/∂x = π.


def power(a: float) -> Any:
    def closed(r: Any, prices: Any) -> tuple[list, Any]:
        x = (a * r / prices[0]) ** (1 / (1 - a))
        return [x], x**a

    return f"x ** {a}", closed


def saturating() -> Any:
    """r/(1 + x)^2 = π: nothing if r < π."""

    def closed(r: Any, prices: Any) -> tuple[list, Any]:
        x = np.maximum(np.sqrt(r / prices[0]) - 1, 0)
        return [x], 1 - 1 / (1 + x)

    return "1 - 1/(x + 1)", closed


def logarithm() -> Any:
    def closed(r: Any, prices: Any) -> tuple[list, Any]:
        x = r / prices[0]
        return [x], np.log(x)

    return "ln(x)", closed


def shifted_logarithm() -> Any:
    def closed(r: Any, prices: Any) -> tuple[list, Any]:
        x = np.maximum(r / prices[0] - 1, 0)
        return [x], np.log(1 + x)

    return "ln(1 + x)", closed


def cobb_douglas(a: float, b: float) -> Any:
    """Costs are shares a and b of revenue R = r x^a v^b, so R^(1-a-b) = r (a/π)^a (b/ρ)^b."""

    def closed(r: Any, prices: Any) -> tuple[list, Any]:
        revenue = (r * (a / prices[0]) ** a * (b / prices[1]) ** b) ** (1 / (1 - a - b))
        return [a * revenue / prices[0], b * revenue / prices[1]], revenue / r

    return f"cobb_douglas(x, v, exponents=({a}, {b}))", closed


def ces(sigma: float, power: float) -> Any:
    """A bundle of weights 0.3 and 0.7 costs C = (Σ w^σ π^(1-σ))^(1/(1-σ)); r a X^(a-1) = C.

    By Shephard's lemma a unit of it takes (w C/π)^σ of an input.
    """

    def closed(r: Any, prices: Any) -> tuple[list, Any]:
        weights = np.array([0.3, 0.7])[:, None]
        cost = np.sum(weights**sigma * prices ** (1 - sigma), axis=0) ** (1 / (1 - sigma))
        bundle = (power * r / cost) ** (1 / (1 - power))
        return list(bundle * (weights * cost / prices) ** sigma), bundle**power

    return f"ces(x, v, elasticity={sigma}, weights=(0.3, 0.7)) ** {power}", closed


CLOSED = {
    "power 0.1": power(0.1),
    "power 0.5": power(0.5),
    "power 0.9": power(0.9),
    "1 - 1/(x + 1)": saturating(),
    "ln x": logarithm(),
    "ln(1 + x)": shifted_logarithm(),
    "Cobb-Douglas": cobb_douglas(0.3, 0.45),
    "CES of poor substitutes": ces(0.4, 0.9),
    "CES of good substitutes": ces(2.5, 0.9),
}


@pytest.mark.parametrize("case", CLOSED)
def test_closed_forms(case: str) -> None:
    """Fifty firms of any size and skill at prices of their own, some of them at the corner.

    ln x is found to about 1e-15 / (1 - a), with returns of a = 0.9 at most, and 1e-12 has room;
    next to a corner x is a difference of numbers of order 1: 1e-13 of those.
    """
    text, closed = CLOSED[case]
    sale, prices, w, z = drawn(50, 2 if "v" in text else 1, seed=len(case))
    found = plan(text, sale, prices, w, z)
    inputs, output = closed(z * sale, prices)
    assert found.found.all()
    np.testing.assert_allclose(found.inputs, w * np.array(inputs), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(found.output, z * w * output, rtol=1e-12, atol=1e-13)
    if "x + 1" in text or "1 + x" in text:
        idle = np.array(inputs) == 0
        assert 5 < idle.sum() < 45
        assert np.all(found.inputs[idle] == 0)


def test_what_a_plan_makes_may_be_negative() -> None:
    """p ln x - π x is best at x = p/π = 1/2, though ln(1/2) is sold at a loss: no x is better."""
    found = plan("ln(x)", 1.0, [2.0])
    assert found.found
    assert found.inputs == pytest.approx([0.5], rel=1e-14)
    assert found.output == pytest.approx(-math.log(2), rel=1e-14)


# --- corners -------------------------------------------------------------------------------------


def test_each_input_has_a_corner_of_its_own() -> None:
    """√x + ln(1 + v) + 1 - 1/(1 + u) falls apart: x = (r/2π)^2, v = r/ρ - 1, u = √(r/τ) - 1."""
    sale, prices, w, z = drawn(60, 3, seed=3)
    found = plan("sqrt(x) + ln(1 + v) + (1 - 1/(1 + u))", sale, prices, w, z)
    r = sale * z
    best = [
        (r / (2 * prices[0])) ** 2,
        np.maximum(r / prices[1] - 1, 0),
        np.maximum(np.sqrt(r / prices[2]) - 1, 0),
    ]
    assert found.found.all()
    np.testing.assert_allclose(found.inputs, w * np.array(best), rtol=1e-12, atol=1e-13)
    corners = {tuple(row) for row in (np.array(best[1:]) == 0).T}
    assert len(corners) == 4  # none, each, and both are left out by some firm


def test_an_input_may_be_worth_buying_only_with_little_of_another() -> None:
    """f = ln(1 + x + 2√v) at r: r/f' = 1 + x + 2√v. With x = 0 and π = 1, √v (1 + 2√v) = r/ρ.

    At ρ = 1 both are bought if r > 3: v = 1 and x = r - 3. Below, x is left out and
    √v = (√(1 + 8r) - 1)/4.
    """
    for r in (0.3, 1.0, 2.9, 3.1, 20.0):
        v = 1.0 if r > 3 else ((math.sqrt(1 + 8 * r) - 1) / 4) ** 2
        found = plan("ln(1 + x + 2*sqrt(v))", r, [1.0, 1.0])
        assert found.found
        assert found.inputs == pytest.approx([max(r - 3, 0.0), v], rel=1e-12)


@pytest.mark.parametrize("side", [-1, 1])
@pytest.mark.parametrize("gap", [1e-3, 1e-6, 1e-10])
def test_on_either_side_of_a_corner(gap: float, side: int) -> None:
    """At r/π = 1 ± gap, ln(1 + x) is worth x = gap, or nothing; 1e-14 for rounding."""
    found = plan("ln(1 + x)", 1.0 + side * gap, [1.0])
    assert found.found
    assert found.inputs[0] == pytest.approx(max(side * gap, 0.0), abs=1e-14)


@pytest.mark.parametrize("guess", [1e-4, 1e-6])
def test_a_plan_that_begins_next_to_a_corner(guess: float) -> None:
    """The best plan does not depend on the guess: ln(1 + x) at r/π = 1 - guess/2 is nothing."""
    found = plan("ln(1 + x)", 1.0 - guess / 2, [1.0], guess=guess)
    assert found.found
    assert found.inputs[0] == 0.0


def test_a_plan_that_comes_back_from_a_corner() -> None:
    """ln(1 + x) at r/π = 1 + 1e-6 is worth 1e-6 of x, where last 1e-12 was worth it."""
    found = plan("ln(1 + x)", 1.0 + 1e-6, [1.0], guess=1e-12)
    assert found.found
    assert found.inputs[0] == pytest.approx(1e-6, abs=1e-14)


@pytest.mark.parametrize("inside", ["ces(x, v, elasticity=0.5)", "ces(x, v, elasticity=2.0)"])
def test_inputs_that_are_worth_nothing_together(inside: str) -> None:
    """ln(1 + X), X a CES bundle of weights 1/2: at prices of 1 a unit of it costs 2.

    (For any σ: Σ π x with x = v = X.) So r = 3 buys X = 1/2, and r = 1.9 nothing at all.
    """
    assert plan(f"ln(1 + {inside})", 3.0, [1.0, 1.0]).inputs == pytest.approx([0.5, 0.5], rel=1e-12)
    found = plan(f"ln(1 + {inside})", 1.9, [1.0, 1.0])
    assert found.found
    np.testing.assert_array_equal(found.inputs, 0.0)


@pytest.mark.parametrize("guess", [1.0, 10.0])
def test_the_first_of_inputs_that_are_worth_little_beside_each_other(guess: float) -> None:
    """f = √(ln(1 + x) + ln(1 + v)) at prices of 1 and r = 1: x = v, by symmetry and concavity.

    1/(2 √(2 L) (1 + x)) = 1 with L = ln(1 + x): 8 L e^(2L) = 1, so 2 L = W(1/4) = 0.203888...,
    Lambert's function. To buy nothing earns 0, and this earns 0.237.
    """
    x = math.exp(float(lambertw(0.25).real) / 2) - 1
    found = plan("sqrt(ln(1 + x) + ln(1 + v))", 1.0, [1.0, 1.0], guess=guess)
    assert found.found
    assert found.inputs == pytest.approx([x, x], rel=1e-12)
    assert found.output - found.inputs.sum() > 0.23


# --- random lines --------------------------------------------------------------------------------


def marginals(node: tuple, at: np.ndarray) -> np.ndarray:
    """∂f/∂x by autograd, (inputs,); infinite where it is at 0."""
    with np.errstate(all="ignore"):
        return jacobian(lambda x: compute(node, list(x)))(at)


@pytest.mark.parametrize(
    "joined",
    [False, True],
)
@given(data=st.data(), seed=st.integers(0, 2**32))
@settings(max_examples=examples(60), phases=[Phase.generate])
def test_first_order_conditions(joined: bool, data: Any, seed: int) -> None:
    """z p ∂f/∂x = π for what is bought, and no more than π for what is not: f is strictly concave.

    To 1e-12 of π where all is bought: a unit of ln x moves ln(∂f/∂x) by less than about 2. Where
    nothing is bought of some input, ∂f/∂x of the others is taken at exactly 0 of it, where the
    plan's own arithmetic has 1e-30 of it: no difference.
    """
    node = data.draw(decreasing_line(list(GOODS), joined))
    sale, prices, w, z = drawn(12, 3, seed)
    found = plan(as_text(node), sale, prices, w, z)
    assert found.found.all()
    for k in range(12):
        at = found.inputs[:, k] / w[k]
        worth = z[k] * sale[k] * marginals(node, at)
        bought = at > 0
        np.testing.assert_allclose(worth[bought], prices[bought, k], rtol=1e-12)
        assert np.all(worth[~bought] <= prices[~bought, k] * (1 + 1e-12))
        made = z[k] * w[k] * compute(node, list(at))
        assert found.output[k] == pytest.approx(made, rel=1e-13)
    event("corner" if np.any(found.inputs == 0) else "inside")


@given(node=decreasing_line(["x", "v"]), seed=st.integers(0, 2**32))
@settings(max_examples=examples(8), phases=[Phase.generate])
def test_scipy_finds_no_better_plan(node: tuple, seed: int) -> None:
    """L-BFGS-B in logarithms, from elsewhere: it comes within 1e-8 of the profit, and not above it.

    Profits are differences of revenue and cost, to whose rounding, 1e-12 of revenue, "above" is
    taken; a plan that is off by 1e-4 loses some 1e-8. In logs, -30 is next to nothing.
    """
    sale, prices, w, z = (each[..., 0] for each in drawn(1, 2, seed))
    found = plan(as_text(node), sale, prices, w, z)

    def loss(logs: np.ndarray) -> tuple[float, np.ndarray]:
        x = np.exp(logs)
        slope = x * (prices - z * sale * marginals(node, x))
        return float(prices @ x - z * sale * compute(node, list(x))), slope

    bounds = [(-30.0, 20.0)] * 2
    options = {"ftol": 1e-15, "gtol": 1e-10}
    best = minimize(loss, np.log([0.3, 0.4]), jac=True, bounds=bounds, options=options)
    revenue = z * sale * compute(node, list(found.inputs / w))
    profit = revenue - prices @ found.inputs / w
    assert profit >= -best.fun - 1e-12 * max(revenue, 1.0)
    assert profit == pytest.approx(-best.fun, rel=1e-8, abs=1e-8)


@given(node=decreasing_line(list(GOODS)), seed=st.integers(0, 2**32))
@settings(max_examples=examples(10), phases=[Phase.generate])
def test_many_at_once_are_each_their_own(node: tuple, seed: int) -> None:
    """Of shape (4, 3), and one by one: 1e-12, for both are solved to rounding."""
    rng = np.random.default_rng(seed)
    sale, prices = rng.uniform(0.5, 3, (4, 1)), rng.uniform(0.2, 2, (3, 4, 3))
    w, z = rng.uniform(0.1, 1, (1, 3)), rng.uniform(0.5, 2, (4, 3))
    guess = rng.uniform(0.2, 3, (3, 4, 3))
    text = as_text(node)
    together = plan(text, sale, prices, w, z, guess)
    assert together.inputs.shape == (3, 4, 3)
    assert together.output.shape == together.found.shape == (4, 3)
    for i in range(4):
        for j in range(3):
            alone = plan(text, sale[i, 0], prices[:, i, j], w[0, j], z[i, j], guess[:, i, j])
            assert alone.inputs.shape == (3,)
            np.testing.assert_allclose(together.inputs[:, i, j], alone.inputs, 1e-12, 1e-14)
            np.testing.assert_allclose(together.output[i, j], alone.output, 1e-12)


@given(node=decreasing_line(["x", "v"]), seed=st.integers(0, 2**32))
@settings(max_examples=examples(15), phases=[Phase.generate])
def test_where_the_search_begins_does_not_matter(node: tuple, seed: int) -> None:
    """Guesses from a hundredth to a hundred times, the same plan to 1e-11 (and 1e-13 of a unit)."""
    sale, prices, w, z = drawn(5, 2, seed)
    first = plan(as_text(node), sale, prices, w, z)
    for guess in (0.01, 0.1, 10.0, 100.0):
        other = plan(as_text(node), sale, prices, w, z, guess * np.ones((2, 5)))
        assert other.found.all()
        np.testing.assert_allclose(other.inputs, first.inputs, rtol=1e-11, atol=1e-13)


def test_weights_and_productivity() -> None:
    """A firm of weight w buys w times as much as one of weight 1; z is as good as a price."""
    text = "ces(x, v, elasticity=0.7) ** 0.8 + ln(1 + u)"
    one = plan(text, 2.4, [0.3, 0.5, 0.7])
    small = plan(text, 2.4, [0.3, 0.5, 0.7], w=0.25)
    able = plan(text, 1.2, [0.3, 0.5, 0.7], z=2.0)
    np.testing.assert_allclose(small.inputs, 0.25 * one.inputs, rtol=1e-13)
    np.testing.assert_allclose(small.output, 0.25 * one.output, rtol=1e-13)
    np.testing.assert_allclose(able.inputs, one.inputs, rtol=1e-13)
    np.testing.assert_allclose(able.output, 2.0 * one.output, rtol=1e-13)


def test_parameters_with_an_axis_of_runs() -> None:
    """c x^a of three runs and four firms: x/w = (a c z p/π)^(1/(1 - a)), as for ``power``."""
    a, c = np.array([[0.3], [0.5], [0.8]]), np.array([[1.0], [2.0], [0.7]])
    technology = industry("c * x ** a", a=0.5, c=1.0).technology
    vectorized = technology.with_parameters({"a": a, "c": c})
    prices, w = np.linspace(0.5, 2, 3)[:, None], np.array([[0.1, 0.2, 0.3, 0.4]])
    z = np.linspace(0.8, 1.3, 12).reshape(3, 4)
    found = best_plan(vectorized, 1.5, np.broadcast_to(prices, (1, 3, 4)), w, z, np.ones((1, 3, 4)))
    x = w * (a * c * z * 1.5 / prices) ** (1 / (1 - a))
    assert found.found.all()
    np.testing.assert_allclose(found.inputs[0], x, rtol=1e-12)
    np.testing.assert_allclose(found.output, z * w * c * (x / w) ** a, rtol=1e-12)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_small_systems_are_those_of_lapack(count: int) -> None:
    """Random ones, to 1e-12 (their condition is below 1e3); a singular one has no step."""
    rng = np.random.default_rng(count)
    matrix = rng.normal(size=(200, count, count)) + 3.0 * np.eye(count)
    matrix = matrix[np.linalg.cond(matrix) < 1e3]
    value = rng.normal(size=(count, len(matrix)))
    step = newton_step(matrix, value, np.zeros(value.shape, bool))
    exact = np.linalg.solve(matrix, -value.T[..., None])[..., 0].T
    np.testing.assert_allclose(step, exact, rtol=1e-12, atol=1e-12)
    symmetric = matrix + np.swapaxes(matrix, -1, -2)
    largest = np.linalg.eigvalsh(symmetric)[:, -1]
    np.testing.assert_allclose(largest_eigenvalue(symmetric), largest, rtol=1e-13, atol=1e-14)
    with np.errstate(all="ignore"):
        none = newton_step(
            np.zeros((1, count, count)), np.ones((count, 1)), np.zeros((count, 1), bool)
        )
    np.testing.assert_array_equal(none, 0.0)


# --- no best plan --------------------------------------------------------------------------------


@pytest.mark.parametrize("price", [0.0, -1.0])
def test_what_costs_nothing_has_no_best_plan(price: float) -> None:
    """More is always better; and of many firms it is those alone who find none."""
    assert not plan("sqrt(x)", 1.0, [price]).found
    assert not plan("sqrt(x) + sqrt(v)", 1.0, [0.5, price]).found
    several = plan("sqrt(x)", 1.0, [[0.5, price, 2.0]])
    assert several.found.tolist() == [True, False, True]
    np.testing.assert_allclose(several.inputs[0, [0, 2]], [1.0, 1 / 16], rtol=1e-13)


def test_what_sells_for_nothing_is_not_made() -> None:
    """At a price of 0 or less the best is to buy nothing, which makes f(0) = 0."""
    found = plan("sqrt(x)", np.array([0.0, -1.0, 1.0]), [[0.5] * 3])
    assert found.found.all()
    np.testing.assert_allclose(found.inputs, [[0, 0, 1]], rtol=1e-13)
    np.testing.assert_allclose(found.output, [0, 0, 1], rtol=1e-13)


@pytest.mark.parametrize("text", ["2 * x", "x ** 1.0"])
def test_constant_returns_have_no_best_plan_or_many(text: str) -> None:
    assert not plan(text, 1.0, [0.9]).found


@pytest.mark.parametrize("text", ["x ** 1.2", "cobb_douglas(x, v, exponents=(0.7, 0.6))"])
def test_increasing_returns_have_no_best_plan(text: str) -> None:
    """At r = 1 and prices of 1: x^1.2 loses most at 1.2^-5 = 0.4, and earns without end later."""
    assert not plan(text, 1.0, np.ones(2 if "v" in text else 1)).found


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("3 * x", "its returns to scale are constant"),
        ("ces(x, v, elasticity=0.5)", "its returns to scale are constant"),
        ("cobb_douglas(x, v, exponents=(0.4, 0.6))", "its returns to scale are constant"),
        ("x ** 1.3", "its returns to scale are increasing"),
        ("exp(0.2 * x)", "its returns to scale are increasing"),
        ("cobb_douglas(x, v, exponents=(0.7, 0.6))", "its returns to scale are increasing"),
        ("sqrt(x + v)", "its inputs may be perfect substitutes"),
        ("ln(1 + x + 2*v)", "its inputs may be perfect substitutes"),
        ("sqrt(x) + 2*v", "it is not strictly concave"),
        ("x**1.2 / 3 + 3*sqrt(v)", "it is not strictly concave"),
    ],
)
def test_lines_that_are_refused(text: str, told: str) -> None:
    """In one sentence, with the line and what to do."""
    line = industry(text)
    with pytest.raises(EconomyError, match=told) as caught:
        check_returns(line, np.array([1.3, 0.7, 1.1][: len(line.technology.inputs)]))
    message = str(caught.value)
    assert message.startswith("line 1: the profit of 'y = ") and "has no maximum" in message
    assert "a plan at quoted prices requires decreasing returns, as in ...**0.9" in message
    assert "\n" not in message


@pytest.mark.parametrize("nested", [False, True])
def test_a_national_tables_returns_are_constant_to_rounding(nested: bool) -> None:
    """By one evaluation of all lines together, and of one line alone: 1e-14 of their value.

    Sums of seventy elasticities of about 1/σ, with roundings of 1e-16 each.
    """
    nests = {"materials_elasticity": 0.6, "factor_elasticity": 0.9} if nested else {}
    factors = ("labour", "capital") if nested else ("primary",)
    economy = from_input_output("us-2023", substitution_elasticity=0.5, factors=factors, **nests)
    rng = np.random.default_rng(1)
    assert sum(len(group.lines) for group in economy.groups) == 72
    for group in economy.groups:
        x = np.exp(rng.normal(size=group.links.size)) * group.technology.shares
        together = change_of_returns(group.technology, x, group.links)
        assert together.shape == (len(group.lines),)
        np.testing.assert_allclose(together, 0.0, atol=1e-14)
        line = economy.topological_order[group.lines[0]].technology
        alone = change_of_returns(line, x[: group.links.sizes[0], None])
        np.testing.assert_allclose(alone, together[:1], atol=1e-14)


@given(node=decreasing_line(list(GOODS)), seed=st.integers(0, 2**32))
@settings(max_examples=examples(40), phases=[Phase.generate])
def test_strictly_concave_lines_are_not_refused(node: tuple, seed: int) -> None:
    inputs = np.random.default_rng(seed).uniform(0.2, 3.0, 3)
    check_returns(industry(as_text(node)), inputs)
