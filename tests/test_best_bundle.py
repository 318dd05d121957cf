"""What households buy: closed forms, one multiplier by root finding, SciPy, corners, refusals.

Nothing here knows how the solver works: a bundle is right if no other that the income buys is
worth more. 1e-10 is far above what rounding leaves (1e-14) and far below any mistake.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from scipy.optimize import brentq, minimize

from market_abm import from_text
from market_abm.economy.technology import Technology
from market_abm.market.best_bundle import Bundle, best_bundle

TOL = 1e-10


def utility(text: str, **parameters: float) -> Technology:
    """A utility whose goods are, in this order, those of x, y and z that it reads."""
    read = {good: 1.0 for good in "xyz" if re.search(rf"\b{good}\b", text)}
    (only,) = from_text(f"u = {text}", read, parameters=parameters).industries
    order = sorted(only.technology.inputs)
    assert list(only.technology.inputs) == order
    return only.technology


def drawn(goods: int, households: int = 60, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Incomes, and prices of some goods."""
    rng = np.random.default_rng(seed)
    return np.exp(rng.uniform(-3, 3, households)), np.exp(rng.uniform(-2, 2, (goods, households)))


def demand(text: str, income: np.ndarray, prices: np.ndarray, guess: Any = 1.0) -> Bundle:
    """The bundles of households with this utility, all found and within their budgets."""
    start = np.broadcast_to(np.asarray(guess, float), prices.shape).copy()
    bundle = best_bundle(utility(text), income, prices, start)
    assert bundle.found.all(), text
    np.testing.assert_allclose((prices * bundle.inputs).sum(axis=0), income, rtol=1e-14)
    return bundle


# --- closed forms --------------------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [0.05, 0.3, 0.999999, 1.0, 1.5, 20.0])
@pytest.mark.parametrize("around", ["{}", "ln({})", "3*{}**0.5 - 2", "exp({}/7)"])
def test_constant_elasticity(sigma, around):
    """π x = m w^σ π^(1-σ) / Σ, and U homogeneous of degree 1 is worth α = m/U a unit."""
    weights = np.array([0.2, 0.5, 0.3])[:, None]
    income, prices = drawn(3)
    text = f"ces(x, y, z, elasticity={sigma}, weights=(0.2, 0.5, 0.3))"
    bundle = demand(around.format(text), income, prices)
    parts = weights**sigma * prices ** (1 - sigma)
    np.testing.assert_allclose(prices * bundle.inputs, income * parts / parts.sum(axis=0), rtol=TOL)
    if around == "{}":
        np.testing.assert_allclose(bundle.weight, income / bundle.utility, rtol=TOL)


def test_products_fixed_proportions_and_nests():
    income, prices = drawn(3)
    bundle = demand("cobb_douglas(x, y, z, exponents=(0.5, 1.5, 3))", income, prices)
    np.testing.assert_allclose(
        prices * bundle.inputs, income * np.array([[0.1], [0.3], [0.6]]), rtol=1e-14
    )
    outer, inner = 1.4, 0.6  # ces of 2x and a nest of y and z
    text = f"ces(2*x, ces(y, z, elasticity={inner}, weights=(0.3, 0.7)), elasticity={outer})"
    bundle = demand(text, income, prices)
    x, y, z = prices
    own = 0.3**inner * y ** (1 - inner), 0.7**inner * z ** (1 - inner)
    nest = sum(own) ** (1 / (1 - inner))
    parts = (x / 2) ** (1 - outer), nest ** (1 - outer)
    spent = [parts[0], *(parts[1] * each / sum(own) for each in own)]
    np.testing.assert_allclose(
        prices * bundle.inputs, income * np.array(spent) / sum(parts), rtol=TOL
    )


def test_fixed_proportions_are_at_the_kink():
    """min(x/a, y/b), alone, in a nest and in a sum: exactly in proportion, α = m / Σ x ∂U/∂x."""
    income, prices = drawn(2)
    bundle = demand("min(x/2, 3*y)", income, prices)
    units = income / (2 * prices[0] + prices[1] / 3)
    np.testing.assert_allclose(bundle.inputs, [2 * units, units / 3], rtol=1e-14)
    np.testing.assert_allclose(bundle.weight, income / units, rtol=1e-14)
    income, prices = drawn(3)
    bundle = demand("ces(min(x, y), 2*z, elasticity=0.5)", income, prices)
    both, alone = np.sqrt(prices[0] + prices[1]), np.sqrt(prices[2] / 2)
    np.testing.assert_allclose(prices[2] * bundle.inputs[2], income * alone / (both + alone))
    np.testing.assert_array_equal(bundle.inputs[0], bundle.inputs[1])
    bundle = demand("3*ln(1 + min(x, y)) + z", income, prices)
    pairs = np.clip(3 * prices[2] / (prices[0] + prices[1]) - 1, 0, income / prices[:2].sum(axis=0))
    np.testing.assert_allclose(bundle.inputs[:2], [pairs, pairs], rtol=TOL, atol=1e-12)


def test_what_is_needed_comes_first():
    """x = a + w (m - Σ π a)/π (Stone 1954, Geary 1950), where income buys what is needed."""
    income, prices = drawn(2, 200)
    bundle = best_bundle(
        utility("0.3*ln(x - 0.1) + 0.7*ln(y - 0.2)"), income, prices, np.ones(prices.shape)
    )
    left = income - 0.1 * prices[0] - 0.2 * prices[1]
    np.testing.assert_array_equal(bundle.found, left > 0.0)
    expected = np.array([[0.1], [0.2]]) + np.array([[0.3], [0.7]]) * left / prices
    np.testing.assert_allclose(bundle.inputs[:, left > 0.0], expected[:, left > 0.0], rtol=TOL)
    assert 0.02 < np.mean(left <= 0.0) < 0.5


def test_one_good_takes_all():
    income, prices = drawn(1)
    for text in ("x", "2*x + 1", "x - 0.001*x**2"):
        np.testing.assert_allclose(demand(text, income, prices).inputs, income / prices, rtol=1e-14)


def test_quasilinear_utility_has_corners():
    """y = b ln(a π_x / (b π_y)), within 0 and all that income buys (Shapley and Shubik 1977)."""
    income, prices = drawn(2, 400)
    bundle = demand("x + 3*(1 - exp(-y/2))", income, prices)
    y = np.clip(2 * np.log(1.5 * prices[0] / prices[1]), 0.0, income / prices[1])
    np.testing.assert_allclose(bundle.inputs[1], y, rtol=TOL)
    np.testing.assert_allclose(
        bundle.inputs[0], (income - prices[1] * y) / prices[0], rtol=TOL, atol=TOL
    )
    none, all_of_it = y == 0.0, y == income / prices[1]
    assert min(np.mean(none), np.mean(all_of_it), np.mean(~none & ~all_of_it)) > 0.1
    assert np.all(bundle.inputs[1, none] == 0.0) and np.all(bundle.inputs[0, all_of_it] == 0.0)
    worth = np.where(all_of_it, 1.5 * np.exp(-y / 2) / prices[1], 1 / prices[0])
    np.testing.assert_allclose(bundle.marginal_utility_of_income, worth, rtol=TOL)


def test_a_first_unit_that_is_just_worth_its_price():
    """Prices from 10 % to a rounding beside that at which y is not bought any more."""
    beside = np.array([sign * 10.0**-k for k in range(1, 17) for sign in (-1, 1)])
    prices = np.array([np.ones(32), 10 * (1 + beside)])
    for guess in (1.0, np.array([[1.0], [0.0]])):
        y = demand("x + 100*(1 - exp(-y/10))", np.full(32, 40.0), prices, guess).inputs[1]
        np.testing.assert_allclose(y, np.maximum(10 * np.log(10 / prices[1]), 0.0), atol=1e-11)


# --- other utilities -----------------------------------------------------------------------------


def term(kind: int, good: str, a: float, b: float) -> tuple[str, Any]:
    """A utility of one good, and the units at which a marginal one is worth λπ, or 0."""
    return [
        (f"{a}*ln(1 + {good}/{b})", lambda worth: np.maximum(a / worth - b, 0.0)),
        (
            f"{a}*(1 - exp(-{good}/{b}))",
            lambda worth: np.maximum(b * np.log(a / (b * worth)), 0.0),
        ),
        (f"{a}*{good}**{1 / (1 + b)}", lambda w: (a / (1 + b) / w) ** (1 + 1 / b)),
        (f"-{a}/({good} + {b})", lambda worth: np.maximum(np.sqrt(a / worth) - b, 0.0)),
    ][kind]


def test_sums_of_utilities_by_their_one_multiplier():
    """λ is the root of what is spent less income, found by bisection; random sums of three."""
    rng, corners = np.random.default_rng(5), []
    for _ in range(5):
        kinds, a, b = rng.integers(0, 4, 3), rng.uniform(0.5, 3, 3), rng.uniform(0.3, 2, 3)
        terms = [term(*each) for each in zip(kinds, "xyz", a, b, strict=True)]
        income, prices = drawn(3, 6, seed=int(rng.integers(1000)))
        bundle = demand(" + ".join(text for text, _ in terms), income, prices)
        for money, price, bought in zip(income, prices.T, bundle.inputs.T, strict=True):

            def units(log_worth, price=price, terms=terms):
                return np.array(
                    [f(np.exp(log_worth) * p) for (_, f), p in zip(terms, price, strict=True)]
                )

            root = brentq(
                lambda at, money=money, price=price, units=units: (
                    np.log(price @ units(at) + 1e-300) - np.log(money)
                ),
                *(-40, 40),
                xtol=1e-14,
            )
            np.testing.assert_allclose(bought, units(root), rtol=TOL, atol=TOL * money)
        corners.append(np.mean(np.any(bundle.inputs == 0.0, axis=0)))
    assert 0.1 < np.mean(corners) < 0.9


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "x**0.3 * y**0.9 * z**2",
        "(0.3/x + 0.7/y)**-1",
        "ln(x) + y**0.3 * z**0.4",
        "(x + 1)**0.3 * (y + 2)**0.5",
        "ln(x*y + z)",
        "ces(x, y + 0.5, elasticity=0.5) + sqrt(z)",
        "x - 0.1*y",
    ],
)
def test_nothing_that_scipy_finds_is_better(text):
    """By SLSQP from several starts; the utility is that of the best, to 1e-10."""
    line = utility(text)
    goods = len(line.inputs)
    income, prices = drawn(goods, 5, seed=3)
    bundle = demand(text, income, prices)
    starts = [np.full(goods, 1 / goods), *(0.96 * np.eye(goods) + 0.04 / goods)]
    for k, (money, price) in enumerate(zip(income, prices.T, strict=True)):

        def worth(shares, money=money, price=price):
            return -float(line.production(list(money * shares / price))[0])

        found = [
            minimize(
                worth,
                start,
                bounds=[(1e-14, 1.0)] * goods,
                constraints={"type": "eq", "fun": lambda shares: shares.sum() - 1.0},
                options={"ftol": 1e-15, "maxiter": 300},
            )
            for start in starts
        ]
        best = max(-worth(each.x / each.x.sum()) for each in found)
        assert abs(best - bundle.utility[k]) <= TOL * max(1.0, abs(best)), (text, k)


ALL_KINDS = [
    "ces(x, y, z, elasticity=0.3, weights=(0.2, 0.5, 0.3))",
    "cobb_douglas(x, y, exponents=(0.3, 0.7))",
    "x**0.3 * y**0.9 * z**2",
    "x + 3*(1 - exp(-y/2))",
    "ln(1 + x) + ln(2 + y) + ln(0.1 + z)",
]


@pytest.mark.parametrize("text", ALL_KINDS)
def test_the_guess_does_not_matter_nor_who_else_is_computed(text):
    """To 1e-10 the guess (also of nothing), to the bit the other households."""
    line = utility(text)
    income, prices = drawn(len(line.inputs), 16)
    bundle = demand(text, income, prices)
    rng = np.random.default_rng(2)
    guess = np.exp(rng.uniform(-9, 9, prices.shape)) * (rng.random(prices.shape) > 0.3)
    other = demand(text, income, prices, guess)
    np.testing.assert_allclose(other.inputs, bundle.inputs, rtol=TOL, atol=TOL)
    for k in (0, 9):
        alone = best_bundle(line, income[k], prices[:, k], np.ones(len(prices)))
        again = best_bundle(
            line, income[k : k + 2], prices[:, k : k + 2], np.ones((len(prices), 2))
        )
        for name in ("inputs", "utility", "weight"):
            expected = getattr(bundle, name)[..., k]
            np.testing.assert_array_equal(getattr(alone, name), expected)
            np.testing.assert_array_equal(getattr(again, name)[..., 0], expected)


@pytest.mark.parametrize("text", ALL_KINDS)
def test_the_weight_is_what_a_unit_of_utility_takes(text):
    """dU/dm = 1/α, by central differences, which are good to 1e-7 here (and at a kink to less)."""
    income, prices = drawn(2 if "z" not in text else 3, 12)
    step = 1e-5 * income
    more, less = (demand(text, income + sign * step, prices) for sign in (1.0, -1.0))
    slope = (more.utility - less.utility) / (2 * step)
    np.testing.assert_allclose(demand(text, income, prices).weight * slope, 1.0, rtol=1e-6)


# --- no best bundle ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "income", "prices", "satiated"),
    [
        ("x - x**2 + y - y**2", 5.0, (1.0, 1.0), True),
        ("x + y", 1.0, (1.0, 1.0), False),  # any bundle is as good
        ("x**2 + y**2", 1.0, (1.0, 1.0), False),
        ("ln(x) + ln(y)", 0.0, (1.0, 1.0), False),
        ("ln(x) + ln(y)", 1.0, (1.0, 0.0), False),
        ("ln(x - 1) + ln(y - 1)", 1.0, (1.0, 1.0), False),  # income buys no life
    ],
)
def test_no_bundle_is_found_where_there_is_no_best_one(text, income, prices, satiated):
    bundle = best_bundle(utility(text), income, np.array(prices), np.ones(2))
    assert not bundle.found
    assert (bundle.weight < 0.0) == satiated
    some = best_bundle(
        utility(text),
        np.array([income, 0.3]),
        np.array([prices, (2.0, 1.0)]).T,
        np.ones((2, 2)),
    )
    assert some.found.tolist() == [False, "- 1" not in text]
