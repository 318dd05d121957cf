"""Lines with branches: derivatives on both sides of a kink, ties, and markets that rest at one."""

import dataclasses
import itertools

import autograd
import autograd.numpy as anp
import numpy as np
import pytest
from scipy.optimize import brentq, linprog, minimize

from market_abm import Experiment, from_function, from_text, run
from market_abm.analysis.observer import GradientObserver
from market_abm.economy.program import read_program
from market_abm.economy.technology import Technology
from market_abm.economy.ties import Payments, nearest_parts, nearest_products
from market_abm.errors import MarketError
from market_abm.gradient.concavity import POSITIVE, Shape, shape_of
from market_abm.gradient.equilibrium import equilibrium
from market_abm.language.expression import name
from market_abm.language.mathml import Equation, equation
from market_abm.market.best_plan import best_plan
from market_abm.market.mechanisms.registry import MECHANISMS
from market_abm.market.proportions import bundles
from market_abm.twins.dual import potential_slope
from market_abm.views.explain import explain
from market_abm.views.words.run import run_sentences


def line(text: str, **parameters: float) -> Technology:
    return read_program(f"y = {text}", parameters)[0].technology


def products(technology: Technology, inputs) -> list[float]:
    return [float(each) for each in technology.production(list(map(np.float64, inputs)))[1]]


TIES = {  # the line, a point at which it ties, and its branches written by hand
    "min(x/2, y/3)": ((2.0, 3.0), [lambda x, y: x / 2, lambda x, y: y / 3]),
    "min(x/2, y/3) ** 0.5": (
        (2.0, 3.0),
        [lambda x, y: (x / 2) ** 0.5, lambda x, y: (y / 3) ** 0.5],
    ),
    "max(x*y, x + y)": ((2.0, 2.0), [lambda x, y: x * y, lambda x, y: x + y]),
    "y * abs(x - y)": ((1.5, 1.5), [lambda x, y: y * (x - y), lambda x, y: y * (y - x)]),
    "ln(1 + min(x, y, x*y))": (
        (1.0, 1.0),
        [lambda x, y: anp.log(1 + x), lambda x, y: anp.log(1 + y), lambda x, y: anp.log(1 + x * y)],
    ),
}


def by_autograd(branch, k: int, at) -> float:
    """A derivative, also 0 of a branch without the input."""
    return autograd.grad(lambda x, y: branch(x, y) + 0.0 * x * y, k)(*at)


@pytest.mark.parametrize("text", TIES)
def test_a_tie_counts_each_branch_in_equal_parts(text):
    """The mean of the branches' gradients, by autograd; 1e-14: a few roundings.

    In floats, NumPy's scalars, arrays and complex numbers alike. On either side of the tie along
    each axis, finite differences lie between the least and the largest slope of a branch.
    """
    at, branches = TIES[text]
    technology = line(text)
    slopes = np.array([[by_autograd(each, k, at) for k in range(2)] for each in branches])
    found = products(technology, at)
    assert found == pytest.approx(slopes.mean(axis=0), rel=1e-14, abs=1e-15)
    floats = technology.float_production(list(at), 1.0, 1.0)
    assert floats[1] == tuple(found)
    arrays = technology.production([np.full(3, each) for each in at])[1]
    assert all(np.array_equal(each, np.full(3, f)) for each, f in zip(arrays, found, strict=True))
    made = technology.production(list(map(np.float64, at)))[0]
    for k, step in itertools.product(range(2), (1e-6, -1e-6)):
        moved = [np.float64(x) + step * (i == k) for i, x in enumerate(at)]
        difference = (technology.production(moved)[0] - made) / step
        assert slopes[:, k].min() - 1e-5 <= difference <= slopes[:, k].max() + 1e-5
        beside = np.array(products(technology, moved))
        assert np.all((slopes.min(axis=0) - 1e-5 <= beside) & (beside <= slopes.max(axis=0) + 1e-5))
    for k in range(2):
        shifted = [np.complex128(x + (1e-30j if i == k else 0.0)) for i, x in enumerate(at)]
        assert technology.production(shifted)[0].imag / 1e-30 == pytest.approx(found[k], abs=1e-14)


def test_second_derivatives_are_those_of_the_branch_in_force():
    """The complex step of a marginal product, beside the second derivative by hand."""
    technology = line("where(x < y, x**3, y**2) + min(x, y)**2 + abs(x - y)*x")
    for x, y in ((1.0, 2.0), (2.0, 1.0)):
        by_x = technology.production([np.complex128(x, 1e-30), np.complex128(y)])[1]
        second = (6 * x + 2 - 2, 1.0) if x < y else (2.0, -1.0)
        assert [each.imag / 1e-30 for each in by_x] == pytest.approx(second, rel=1e-14)


def test_a_branch_out_of_force_counts_for_nothing():
    """Even where it has no value; and a condition has no derivative."""
    with np.errstate(all="ignore"):
        assert products(line("where(x > 0, ln(x), 2*z)"), [-1.0, 5.0]) == [0.0, 2.0]
        assert products(line("where(x < z, 3, 4)"), [1.0, 2.0]) == [0.0, 0.0]
        assert products(line("where(x <= z, x, 3*z)"), [2.0, 2.0]) == [1.0, 0.0]
        assert np.isnan(line("min(ln(x), z)").production([np.float64(-1.0), np.float64(1.0)])[0])


def test_formulas_say_in_which_branch_they_hold():
    technology = line("min(x/2, z, 1) * z")
    assert technology.text() == "min(x/2, z, 1)*z"
    by_x, by_z = technology.marginal_product_texts("y")
    assert by_x == "where(x/2 < min(z, 1), 0.5*z, 0)"
    assert by_z == "min(x/2, z, 1) + where(z < min(x/2, 1), z, 0)"
    chosen = line("where(x <= z, abs(x), max(x, z))")
    assert chosen.text() == "where(x <= z, abs(x), max(x, z))"
    markup = equation(Equation(name("y"), chosen.formula, dict(enumerate(chosen.inputs))))
    assert "<mtext>if </mtext><mi>x</mi><mo>≤</mo><mi>z</mi>" in markup
    assert "<mo>|</mo><mi>x</mi><mo>|</mo>" in markup


def test_concavity_by_the_rules():
    positive, any_sign = [POSITIVE] * 2, [Shape(-np.inf, np.inf, True, True)] * 2
    concave = {"min(x/2, z)": True, "min(x, z**2)": False, "min(x**0.5, z, 3) ** 0.5": True}
    concave |= {"min(x*z, x) ** 0.5": True, "min(x**2, x*z) ** 0.5": True, "max(x, z)": False}
    concave |= {"min(x**2, x*z) ** 0.6": False, "ces(min(x, z), z, elasticity=0.5)": True}
    concave |= {"where(x < z, x, z)": False, "max(x, -1)": True, "-max(x, z**2)": True}
    for text, is_so in concave.items():
        assert shape_of(line(text), positive).concave is is_so, text
    for text in ("-abs(x - z)", "min(x, z, 1)"):
        assert shape_of(line(text), any_sign).concave, text
    for text in ("abs(x - z)", "max(x, z, 1)", "abs(max(x, z) - min(x, z) + 1)"):
        assert shape_of(line(text), any_sign).convex is ("min" not in text), text


# --- sets of gradients ----------------------------------------------------------------------------


def test_the_nearest_element_of_a_set():
    """Of three branches of three inputs: in the hull it is itself, by a linear program; else not.

    1e-10: least squares through normal equations of condition numbers of some thousand.
    """
    rng = np.random.default_rng(4)
    branches, units = rng.uniform(0, 1, (3, 3, 200)), rng.uniform(0.5, 2.0, (3, 200))
    wanted = rng.uniform(0, 1, (3, 200))
    inside = rng.dirichlet(np.ones(3), 100).T
    wanted[:, :100] = np.einsum("bf,bif->if", inside, branches[..., :100])
    parts = nearest_parts(branches, np.ones((3, 200), bool), wanted, units)
    assert np.all(parts >= 0.0) and parts.sum(axis=0) == pytest.approx(np.ones(200), abs=1e-12)
    found = np.einsum("bf,bif->if", parts, branches)
    assert np.abs(found - wanted)[:, :100].max() < 1e-10
    for firm in range(100, 200):
        hull = np.vstack([branches[..., firm].T, np.ones(3)])
        target = [*wanted[:, firm], 1.0]
        assert linprog(np.zeros(3), A_eq=hull, b_eq=target).status == 2  # not in the hull
        assert np.abs(found - wanted)[:, firm].max() > 1e-6


def test_prices_must_be_in_the_set_together():
    """Each price may be between its bounds, and both not: firms would make a profit of inputs."""
    economy = from_text("y = min(x/2, z/3)", {"x": 2.0, "z": 3.0})
    inputs, own = np.array([2.0, 3.0]), np.array([0.25, 1 / 6])
    for paid, nearest in (((0.1, 0.8 / 3), (0.1, 0.8 / 3)), ((0.1, 0.05), None)):
        payments = Payments(np.array(paid), np.array([*paid, 1.0]), 1e-9)
        found = nearest_products(economy, inputs, own, payments)
        assert 2 * found[0] + 3 * found[1] == pytest.approx(1.0, rel=1e-14)
        if nearest:
            assert found == pytest.approx(nearest, rel=1e-13)
        else:
            assert np.abs(found / paid - 1).max() > 0.1
    untied = nearest_products(economy, np.array([2.0, 3.0 + 1e-6]), own, payments)
    assert untied is own


# --- plans and markets ----------------------------------------------------------------------------


def test_plans_are_at_the_kink():
    """In closed form: p √z − (2π + 3ρ) z is largest at z = (p/2(2π + 3ρ))²."""
    technology = line("min(x/a, y/3) ** 0.5", a=2.0)
    prices, sale = np.array([[0.3, 1.0], [0.1, 0.2]]), np.array([1.0, 2.0])
    plan = best_plan(technology, sale, prices, 1.0, 1.0, np.ones((2, 2)))
    scale = (sale / (2 * (2 * prices[0] + 3 * prices[1]))) ** 2
    assert plan.found.all()
    assert plan.inputs[0] == pytest.approx(2 * scale, rel=1e-13)
    assert plan.inputs[1] == pytest.approx(3 * scale, rel=1e-13)
    assert plan.output == pytest.approx(scale**0.5, rel=1e-13)
    known = bundles(line("cobb_douglas(min(2*x, min(y, w/3)), v) * 2"))
    assert known.bundle == (0, 0, 0, 1) and known.units[0] == 0.5 and known.units[2] == 3.0
    for text in ("min(x, x*y)", "min(x, y, 1)", "min(x, y) + x", "max(x, y)", "min(-x, y)"):
        assert bundles(line(text)) is None, text


LEONTIEF = "y = min(x/2, z) ** 0.5\nw = x ** 0.5\nv = z ** 0.5"
AUCTION = {"mechanism": "tatonnement", "auction_rate": 0.1, "steps": 1_000}


@pytest.fixture(scope="module")
def auction():
    return run(from_text(LEONTIEF, {"x": 2.0, "z": 3.0}), engine="arrays", **AUCTION)


def test_optima_at_kinks():
    """W by SciPy's SLSQP, over the bundles that Leontief lines get: no kink is left.

    It stops at a relative change of 1e-12 of W, which is flat there: 1e-6 of quantities.
    """
    economy = from_text(
        "y = 2 * ces(min(x/2, z), min(l, 3*k), elasticity=0.5) ** 0.5\n"
        "w = x ** 0.5 + l ** 0.5\nv = z ** 0.5 + k ** 0.5\nu = min(x, l)",
        {"x": 2.0, "z": 3.0, "l": 1.0, "k": 1.0},
    )

    def loss(bundles):
        a, b, c = np.maximum(bundles, 1e-12)
        left = np.maximum([2 - 2 * a - c, 3 - a, 1 - b - c, 1 - b / 3], 1e-12)
        return -(2 * (2 / (1 / a + 1 / b)) ** 0.5 + np.sum(left**0.5) + c)

    bounds = [(1e-9, 0.9)] * 3
    found = minimize(loss, [0.2, 0.2, 0.1], method="SLSQP", bounds=bounds, options={"ftol": 1e-14})
    best = equilibrium(economy)
    assert best.kind.value == "global maximum" and best.residual < 1e-9
    assert best.welfare == pytest.approx(-found.fun, rel=1e-10)
    a, b, c = found.x
    made = dict(zip(economy.goods, best.quantities, strict=True))
    assert made["y"] == pytest.approx(2 * (2 / (1 / a + 1 / b)) ** 0.5, rel=1e-5)
    assert made["u"] == pytest.approx(c, abs=1e-5)


def test_the_dual_potential_is_smooth_at_kinks():
    """Supply less demand in closed form, beside ∇Φ by finite differences, which has ten digits."""
    quotes = np.array([0.4, 0.3, 1.0, 1.0, 1.0])
    of_y = (0.5 / (2 * quotes[0] + quotes[1])) ** 2
    expected = [2.0 - 2 * of_y - (0.5 / quotes[0]) ** 2, 3.0 - of_y - (0.5 / quotes[1]) ** 2]
    slope = potential_slope(from_text(LEONTIEF, {"x": 2.0, "z": 3.0}), quotes)
    assert slope[:2] == pytest.approx(expected, rel=1e-8)
    with pytest.raises(MarketError, match="its branches are not fixed proportions"):
        potential_slope(from_text("y = max(x, z) ** 0.5", {"x": 2.0, "z": 3.0}), quotes[:3])


def test_lines_without_a_plan_are_refused():
    for text, message in {
        "max(x, z) ** 0.5": "no plan is known for .y = max.*fixed proportions; write them as min",
        "min(x, z)": "has no maximum: its returns to scale are constant",
    }.items():
        with pytest.raises(MarketError, match=message):
            run(from_text(f"y = {text}", {"x": 2.0, "z": 3.0}), engine="arrays", **AUCTION)


@pytest.mark.slow
def test_agents_plan_as_arrays_do(auction):
    agents = run(from_text(LEONTIEF, {"x": 2.0, "z": 3.0}), engine="agents", **AUCTION)
    assert agents.steps == auction.steps
    assert agents.prices == pytest.approx(auction.prices, rel=1e-12)
    assert agents.gradients == pytest.approx(auction.gradients, rel=1e-12)


def test_an_auction_converges_to_the_set_of_gradients(auction):
    """The optimum in one dimension, z of each for y: its first-order condition has one root."""
    result = auction

    def slope(z):
        return 0.5 * z**-0.5 - (2 - 2 * z) ** -0.5 - 0.5 * (3 - z) ** -0.5

    z = brentq(slope, 1e-9, 1 - 1e-9, xtol=1e-15)
    assert result.status == "converged"
    assert result.last_errors.max() < 1e-9
    row = result.table()
    assert row.quantity["y"] == pytest.approx(z**0.5, rel=1e-9)
    assert row.price["x"] == pytest.approx(0.5 * (2 - 2 * z) ** -0.5, rel=1e-9)
    assert row.price["z"] == pytest.approx(0.5 * (3 - z) ** -0.5, rel=1e-9)
    assert result.rest.kind.value == "global maximum"
    assert result.equilibrium.quantities == pytest.approx(result.last.quantities, rel=1e-9)
    assert result.equilibrium.prices == pytest.approx(result.last.prices, rel=1e-9)
    ((kink,),) = [result.summary()["kinks"]]
    assert kink["good"] == "y"
    assert kink["slopes"]["x"] == pytest.approx([0.0, 0.25 / z**0.5], rel=1e-9)
    told = " ".join(run_sentences(result))
    assert "'y = min(x/2, z)**0.5' ends at a kink, where the gradient is a set" in told
    assert "Distance to the optimum (Newton's method): prices" in told
    shown = str(explain(result))
    assert "at a kink, where the slope is any from 0 to" in shown


def test_prices_off_the_set_do_not_count_as_converged(auction):
    """With the price of x moved by 1e-3, the error is of that size; unmoved, it is rounding."""
    economy, state = auction.economy, auction.last
    for move, least in ((0.0, 0.0), (1e-3, 3e-4)):
        prices = state.prices * (1.0 + move * (np.arange(5) == 0))
        bids = np.where(economy.buyers.good == 0, prices[0], state.bids)
        moved = dataclasses.replace(state, prices=prices, bids=bids)
        observer = GradientObserver(economy, 1e-9, rules=MECHANISMS["tatonnement"])
        error = np.abs(prices / observer(moved)["gradients"] - 1).max()
        assert least <= error <= max(10 * move, 1e-9)


HOUSEHOLDS = """
[economy]
program = "wool = sheep ** 0.5"
[households.a]
utility = "min(sheep, wool/2)"
endowment = { sheep = 2.0 }
[households.b]
utility = "min(sheep, 2*wool) ** 0.5"
endowment = { wool = 1.0 }
[market]
mechanism = "tatonnement"
auction_rate = 0.05
"""


def test_households_rest_at_kinks():
    """Sheep, of price 1, are what a, b and the firm buy: one equation for the price p of wool.

    a buys bundles of 1 + 2p, b of 1 + p/2, the firm (p/2)², and each owner gets half of p²/4.
    """

    def excess(p):
        profit = p * p / 8
        return (2 + profit) / (1 + 2 * p) + (p + profit) / (1 + p / 2) + p * p / 4 - 2

    result = run(Experiment.parse(HOUSEHOLDS))
    assert result.status == "converged" and result.last_errors.max() < 1e-9
    sheep, wool = result.table().price[["sheep", "wool"]]
    assert wool / sheep == pytest.approx(brentq(excess, 0.1, 5.0, xtol=1e-14), rel=1e-8)
    assert len(result.summary()["kinks"]) == 2
    assert result.rest is None
    assert "The same holds of 1 other line" in " ".join(run_sentences(result))


@pytest.mark.slow
def test_bids_swing_about_the_kink_in_proportion_to_the_rate():
    """Theory: σ → 0 leaves no rate below σ/(1 − σ). Means of prices are near the optimum's."""
    economy = from_text(LEONTIEF, {"x": 4.0, "z": 2.0})
    swings = []
    for rate in (0.08, 0.02):
        result = run(economy, mechanism="trading-post", bid_rate=rate, steps=2_000, engine="arrays")
        assert result.status == "oscillating"
        y = result.quantities[-500:, list(result.goods).index("y")]
        swings.append(np.ptp(y))
        assert result.prices[-500:, 0].mean() == pytest.approx(0.2706, rel=0.1 * rate)
    assert 3.0 < swings[0] / swings[1] < 5.0  # 4, but for the finite number of steps in a swing
    told = " ".join(run_sentences(result))
    assert "bids jump where it changes from one to another" in told


def test_traced_functions_have_the_same_lines_as_written_ones():
    def function(x=2.0, z=3.0):
        low = np.minimum(x / 2, z)
        high = max(x, z, 1.0)
        gap = abs(x - z)
        y = np.where(low < 1.5, low * high, np.clip(gap, 0.1, 0.5))
        return y

    def written(x, z):
        low, high = anp.minimum(x / 2, z), anp.maximum(anp.maximum(x, z), 1.0)
        return anp.where(low < 1.5, low * high, anp.clip(anp.abs(x - z), 0.1, 0.5))

    economy = from_function(function)
    assert economy.conditions == ()
    texts = [industry.text() for industry in economy.industries]
    assert texts[1:3] == ["low = min(low_ratio, z)", "high = max(x, z, 1)"]
    assert texts[-1].startswith("y = where(low < 1.5, ")
    for x, z in ((2.0, 3.0), (2.0, 0.4), (8.0, 3.3)):
        result = run(from_function(function, {"x": x, "z": z}), activation="sequential")
        price = result.table().price
        assert result.table().quantity["y"] == pytest.approx(written(x, z), rel=1e-14)
        for k, good in enumerate("xz"):
            expected = autograd.grad(written, k)(x, z)
            assert price.get(good, 0.0) == pytest.approx(expected, rel=1e-14, abs=1e-15)


def test_comparisons_that_decide_otherwise_are_conditions_still():
    start = np.array([1.0, 2.0, 3.0])

    def function(m=start):
        mask = m > 1.5
        kept = m[mask].sum()
        both = m < 4.0
        both &= m > 0.5
        changed = m > 0.6
        changed[0] = False
        kept = kept + np.where(both, m, 1.0).sum() + np.where(changed | (m > 2.9), m, 1.0).sum()
        return kept + np.where(m > 2.5, m, m**2).sum() + (m[0] < 5.0) * m[0]

    economy = from_function(function)
    assert {each.text for each in economy.conditions} == {
        "m[0] < 5",
        *(
            f"m[{k}] {each}"
            for k in range(3)
            for each in ("> 1.5", "< 4", "> 0.5", "> 0.6", "> 2.9")
        ),
    }
    result = run(economy, activation="sequential")
    assert result.table().quantity.iloc[-1] == function()
