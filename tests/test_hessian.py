"""The Hessian of W, and economies that are solved side by side.

The Hessian is compared with differences of the exact gradient, extrapolated, and with HIPS
autograd's of the same function written out by hand.
"""

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import hessian
from support.economies import split
from support.profiles import members

import market_abm
from market_abm.gradient.allocation import Allocation, Problem
from market_abm.gradient.equilibrium import Equilibrium, equilibria, equilibrium
from market_abm.gradient.hessian import Variables
from market_abm.gradient.optimality import Kind


def second_differences(variables: Variables, at: Allocation, free: np.ndarray) -> np.ndarray:
    """Of the slope by each variable in turn: five points, an error of h⁴ and 1e-16/h: 1e-11.

    ``slope`` holds what moves with the variables themselves: it is taken away.
    """
    columns, h = [], 1e-3
    for k in range(variables.size):
        ends = []
        for move in (h, -h, 2 * h, -2 * h):
            side = variables.moved(at, free, move * np.eye(variables.size)[k])
            changed = side._replace(worth=side.worth - at.worth, margins=side.margins - at.margins)
            ends.append(variables.slope(changed, free))
        columns.append((8.0 * (ends[0] - ends[1]) - (ends[2] - ends[3])) / (12.0 * h))
    return np.array(columns)


LOOP = "steel = ore**0.3 * coal**0.3\ncoal = 0.5 * steel**0.5\ntools = steel**0.5 + ln(1 + coal)"


@pytest.mark.parametrize(
    ("program", "supply", "more"),
    [
        (
            "a = x ** 0.5 * w\nb = ces(x, w, elasticity=0.6) ** 0.8\ny = ln(a) - b ** 2 / 9",
            {"x": {"quantity": 2, "elasticity": 0.7}, "w": 1.5},
            {"demand": {"y": {"elasticity": 2.0}}},
        ),
        (
            "a = sin(x)\nb = x * w\ny = a + b\nz = b ** 0.5",
            {"x": {"quantity": 2, "elasticity": 1.7, "kind": "gradient"}, "w": 1.5},
            {"reuse": "copy", "population": {"firms": 3, "productivity_spread": 0.3}},
        ),
        (LOOP, {"ore": {"quantity": 4, "elasticity": 0.5}}, {}),
    ],
)
def test_second_derivatives_are_exact(program, supply, more):
    """To 1e-9 of the largest, which is what differences are good for; away from the optimum."""
    economy = market_abm.from_text(program, supply, **more)
    problem = Problem(economy)
    variables = Variables(problem)
    free = np.ones(variables.size, bool)
    start = problem.evaluate(problem.endowment, problem.initial_shares)
    at = variables.moved(start, free, np.linspace(-0.2, 0.3, variables.size))
    exact, differences = variables.hessian(at, free), second_differences(variables, at, free)
    np.testing.assert_allclose(exact, differences, atol=1e-9 * np.abs(exact).max())
    assert np.abs(np.linalg.eigvalsh(exact)).max() > 1e-3  # there is a curvature


def test_a_hessian_by_autograd():
    """W = ln(1 + 3 s) + √(3 (1 - s)) - q²/2 ... of x = q, split by s, written out again.

    By the logarithm of the first share at the cost of the others, d = s (1 - s) d/ds; autograd is
    exact, and so is this: 1e-13.
    """
    economy = market_abm.from_text(
        "a = ln(1 + x)\nb = sqrt(x)\ny = a + b", {"x": {"quantity": 3.0, "elasticity": 1.0}}
    )

    def welfare(z):
        share, supplied = z[0], 3.0 * anp.exp(z[1])
        value = anp.log(1.0 + share * supplied) + anp.sqrt((1.0 - share) * supplied)
        return value - supplied**2 / 6.0

    problem = Problem(economy)
    variables = Variables(problem)
    at = problem.evaluate(problem.endowment, np.array([0.3, 0.7, 1.0, 1.0]))
    found = variables.hessian(at, np.ones(3, bool))
    expected = hessian(welfare)(np.array([0.3, 0.0]))
    by_share = 0.3 * 0.7
    assert found[1, 1] == pytest.approx(expected[0, 0] * by_share**2, rel=1e-13)
    assert found[0, 1] == pytest.approx(expected[0, 1] * by_share, rel=1e-13)
    # By ln q: q² W'' alone, without the q W' that the logarithm adds.
    slope = 0.3 / 1.9 + 0.5 * np.sqrt(0.7 / 3.0) - 1.0
    assert found[0, 0] == pytest.approx(expected[1, 1] - 3.0 * slope, rel=1e-13)


def same(one: Equilibrium | None, other: Equilibrium | None) -> bool:
    """Whether two are equal to the last bit."""
    if one is None or other is None:
        return one is other
    return all(np.array_equal(a, vars(other)[name]) for name, a in vars(one).items())


def several(count: int) -> list[market_abm.Economy]:
    """Economies of a few structures: inside, in corners, without a maximum, with loops."""
    rng = np.random.default_rng(1)
    result = []
    for _ in range(count):
        share, size, eta = rng.uniform(0.2, 0.8), rng.uniform(0.3, 3.0), rng.uniform(0.1, 2.0)
        supply = {"x": {"quantity": size, "elasticity": eta, "price": 0.5}}
        terms = {"parameters": {"k": share}}
        result += [
            split(1, share),
            market_abm.from_text("a = x ** k\nb = x ** 0.5 * k\ny = a + b", supply, **terms),
            # The first unit for b is worth k, or for few of them less than the last for a.
            market_abm.from_text("a = ln(1 + x)\nb = k * x\ny = a + b", {"x": size}, **terms),
            market_abm.from_text("a = x ** 2\nb = k * x ** 2\ny = a + b", {"x": size}, **terms),
            market_abm.from_text(
                "a = ces(x, w, elasticity=k)\nb = ces(x, w, elasticity=2)\ny = ln(a) + ln(b)",
                {"x": size, "w": 2.0},
                **terms,
            ),
            market_abm.from_text("y = x ** 3 * k", supply, **terms),
            market_abm.from_text(
                "s = x**0.3 * c**0.3\nc = k * s**0.5\ny = s**0.5", supply, **terms
            ),
        ]
    return result


@pytest.mark.parametrize("count", members([2, 12], quick=[2]))
def test_an_economy_is_the_same_beside_others(count):
    """To the last bit: alone, among others, in another order, and among part of them."""
    economies = several(count)
    together = equilibria(economies)
    kinds = {best.kind for best in together if best is not None}
    assert {Kind.GLOBAL_MAXIMUM, Kind.LOCAL_MAXIMUM, Kind.UNBOUNDED} <= kinds
    corners = [best for best in together if best is not None and np.any(best.shares == 0.0)]
    assert corners
    for best, backwards in zip(together, equilibria(economies[::-1])[::-1], strict=True):
        assert same(best, backwards)
    part = slice(1, None, 3)
    for best, found in zip(together[part], equilibria(economies[part]), strict=True):
        assert same(best, found)
    for best, economy in zip(together, economies, strict=True):
        assert same(best, equilibrium(economy))
