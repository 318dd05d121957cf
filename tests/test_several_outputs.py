"""Lines with several outputs: against closed forms, SciPy, differences, and the other engine.

Frontiers, demand and W are written out again here; nothing is taken from the language.
"""

import itertools

import numpy as np
import pytest
from scipy.optimize import brentq
from support.engines import assert_each_its_own, assert_twins
from support.profiles import members

from market_abm import Experiment, from_text, market_settings, run
from market_abm.analysis.alignment import GradientAlignment
from market_abm.analysis.observer import allocation
from market_abm.analysis.stability import stability
from market_abm.errors import MarketError
from market_abm.gradient.allocation import Problem
from market_abm.gradient.backprop import exact_gradient
from market_abm.gradient.equilibrium import equilibrium
from market_abm.gradient.hessian import Variables
from market_abm.gradient.optimality import Kind
from market_abm.market.base import MarketSettings
from market_abm.market.state import State
from market_abm.twins.base import largest_distance
from market_abm.twins.registry import twin
from market_abm.views.explain import explain

WEIGHTS = np.array([0.4, 0.6])
SHEEP = "(wool, mutton) = transform(sheep, elasticity=eta, weights=(0.4, 0.6))"
FARM = """
(wool, mutton) = transform(ces(grass, labour, elasticity=s) ** a, elasticity=eta, weights=(w, 1-w))
(flour, bran) = fixed(grass ** 0.6, yields=(0.7, b))
cloth = wool ** 0.7 * labour ** 0.2
pie = ces(mutton, flour, elasticity=0.6) ** 0.9
"""


def farm(eta=2.0, w=0.3, firms=1, noise=0.0, **supply):
    """Two lines of several outputs whose inputs and outputs others use, too."""
    elastic = {"quantity": 4.0, "price": 0.3, "elasticity": 0.6, "adjustment": 0.3}
    return from_text(
        FARM,
        {"grass": {**elastic, **supply}, "labour": 3.0},
        {
            "cloth": {"price": 2.0, "elasticity": 2.0, "quantity": 1.0},
            "pie": {"price": 1.5, "elasticity": 1.2, "quantity": 1.0},
            "bran": 0.2,
        },
        parameters={"eta": eta, "w": w, "s": 0.5, "a": 0.8, "b": 0.3},
        population={"firms": firms, "productivity_spread": 0.2, "bid_noise": noise},
    )


def sheep(eta, elasticity, **more):
    """One input, two outputs, isoelastic demand of the same elasticity around quantity 1."""
    terms = {"price": 1.0, "elasticity": elasticity, "quantity": 1.0}
    return from_text(
        "(wool, mutton) = transform(sheep, elasticity=eta)",
        {"sheep": 2.0},
        dict.fromkeys(("wool", "mutton"), terms),
        parameters={"eta": eta},
        **more,
    )


# --- closed forms ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "market",
    [
        {"mechanism": "unit-bid", "share_rate": 1.0},
        {"mechanism": "trading-post"},
        {"mechanism": "tatonnement", "auction_rate": 0.1},
        pytest.param(
            {"mechanism": "posted-price", "order_rate": 0.2, "price_rate": 0.02},
            marks=pytest.mark.slow,
        ),
    ],
    ids=["unit-bid", "trading-post", "tatonnement", "posted-price"],
)
@pytest.mark.parametrize("engine", ["agents", "arrays"])
def test_given_prices_have_a_closed_form(market, engine):
    """With P = (Σ w p^(1+η))^(1/(1+η)): y = w z (p/P)^η, θ = w (p/P)^(1+η), and z is worth P.

    To 1e-10: runs end when moves are below 1e-11 (a tenth of the tolerance).
    """
    eta, prices, units = 1.7, np.array([2.0, 1.1]), 3.0
    economy = from_text(
        SHEEP.replace("sheep", "sheep ** 0.5"),
        {"sheep": {"quantity": units, "price": 0.5}},
        dict(zip(("wool", "mutton"), prices, strict=True)),
        parameters={"eta": eta},
    )
    found = run(economy, **market, engine=engine, tolerance=1e-10, steps=20_000)
    value = (WEIGHTS @ prices ** (1 + eta)) ** (1 / (1 + eta))
    z = np.sqrt(units)
    made = WEIGHTS * z * (prices / value) ** eta
    assert found.status == "converged"
    np.testing.assert_allclose(found.last.quantities, [units, z, *made], rtol=1e-10)
    np.testing.assert_allclose(found.last.prices, [value / 2 / z, value, *prices], rtol=1e-10)
    np.testing.assert_allclose(
        found.last.shares[1:], WEIGHTS * (prices / value) ** (1 + eta), rtol=1e-10
    )
    np.testing.assert_allclose(prices @ made, value * z, rtol=1e-14)  # the closed form is one


@pytest.mark.parametrize(
    ("eta", "elasticities"),
    members(
        list(itertools.product([0.2, 1.0, 6.0], [(0.5, 1.5), (3.0, 0.8)])),
        quick=[(6.0, (3.0, 0.8))],
    ),
)
def test_demand_curves_against_scipy(eta, elasticities):
    """The best point of the frontier, Σ w (y/(w z))^((1+η)/η) = 1, by its first-order condition."""
    z, p0, c0, power = 4.0, np.array([2.0, 1.0]), np.array([1.0, 2.0]), (1 + eta) / eta
    demand = {
        good: {"price": p, "quantity": c, "elasticity": e}
        for good, p, c, e in zip(("wool", "mutton"), p0, c0, elasticities, strict=True)
    }
    economy = from_text(SHEEP, {"sheep": z}, demand, parameters={"eta": eta})

    def outputs(share):  # on the frontier, by the part of the sum that wool takes
        return WEIGHTS * z * (np.array([share, 1 - share]) / WEIGHTS) ** (1 / power)

    def paid(made):
        return p0 * (made / c0) ** (-1 / np.array(elasticities))

    def gap(share):  # log price less log slope of the frontier, wool less mutton
        made = outputs(share)
        slopes = (made / (WEIGHTS * z)) ** (power - 1)
        return np.subtract(*np.log(paid(made) / slopes))

    made = outputs(brentq(gap, 1e-9, 1 - 1e-9, xtol=1e-16, rtol=1e-15))
    worth = paid(made) @ made / z
    best = equilibrium(economy)
    found = run(economy, mechanism="unit-bid", share_rate=0.3, tolerance=1e-10, steps=20_000)
    assert best.kind is Kind.GLOBAL_MAXIMUM and best.complete and found.status == "converged"
    for each in (best, found.last):
        np.testing.assert_allclose(each.quantities, [z, z, *made], rtol=1e-10)
        np.testing.assert_allclose(each.prices, [worth, worth, *paid(made)], rtol=1e-10)


def test_fixed_proportions_add_up():
    """A seed is worth what its oil and cake are, even if cake is a nuisance: 2 · 3 - 3 · 0.5."""
    economy = from_text(
        "(oil, cake) = fixed(seed ** 0.5, yields=(2, 3))", {"seed": 4.0}, {"oil": 3, "cake": -0.5}
    )
    found = run(economy)
    assert found.status == "converged"
    np.testing.assert_array_equal(found.last.quantities, [4, 2, 4, 6])
    np.testing.assert_array_equal(found.last.prices, [4.5 / 4, 4.5, 3, -0.5])
    assert exact_gradient(economy)["seed"] == 4.5 / 4
    worth = economy.with_values({"demand.cake.price": 0.5})
    seed = run(worth, mechanism="tatonnement", auction_rate=0.1, tolerance=1e-10)
    assert seed.status == "converged"
    np.testing.assert_allclose(seed.last.prices, [7.5 / 4, 7.5, 3, 0.5], rtol=1e-9)


# --- the gradient ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_gradient_hessian_and_optimum():
    """Against differences of W, and the optimum against the market's rest and the envelope."""
    economy = farm(firms=2)
    problem = Problem(economy)
    variables = Variables(problem)
    free = np.ones(variables.size, bool)
    start = problem.evaluate(problem.endowment, problem.initial_shares)
    at = variables.moved(start, free, np.linspace(-0.2, 0.3, variables.size))
    h, each = 1e-5, np.eye(variables.size)

    def differences(of, at):
        ends = [[of(variables.moved(at, free, s * h * row)) for s in (1, -1)] for row in each]
        return np.array([(one - other) / (2 * h) for one, other in ends])

    exact = variables.slope(at, free)
    np.testing.assert_allclose(exact, differences(lambda at: at.value, at), atol=1e-9)
    best = equilibrium(economy)
    assert best.kind is Kind.GLOBAL_MAXIMUM and best.complete
    top = problem.evaluate(best.quantities[:2], best.shares)
    slopes = differences(lambda at: variables.slope(at, free), top)
    np.testing.assert_allclose(variables.hessian(top, free), slopes, atol=1e-8)
    more, less = (
        equilibrium(economy.with_values({"supply.labour.quantity": 3.0 + s * h})).welfare
        for s in (1, -1)
    )
    assert (more - less) / (2 * h) == pytest.approx(best.prices[1], rel=1e-8)
    found = run(economy, share_rate=0.2, steps=5000)
    assert found.status == "converged"
    np.testing.assert_allclose(found.last.quantities, best.quantities, rtol=1e-8)


@pytest.mark.slow
def test_a_loop_of_outputs():
    """Lambs become sheep: the gradient solves a linear system, and is the slope of the best W."""
    program = "(wool, lambs) = transform(sheep, elasticity=2)\nsheep = lambs ** 0.5 * grass ** 0.4"
    economy = from_text(program, {"grass": 2.0}, {"wool": {"price": 2.0}})
    found = run(economy, mechanism="trading-post", steps=2000)
    assert found.status == "converged"
    h = 1e-6
    more, less = (
        equilibrium(economy.with_values({"supply.grass.quantity": 2.0 + s * h})).welfare
        for s in (1, -1)
    )
    assert (more - less) / (2 * h) == pytest.approx(found.last.prices[0], rel=1e-7)


def test_alignment_is_that_of_the_slope_of_welfare():
    """In the metric of money, with the slope of W by log shares as differences of W find it."""
    economy = farm(elasticity=0.0)
    problem, variables = Problem(economy), Variables(Problem(economy))
    free, buyers = np.ones(variables.size, bool), economy.buyers
    rng = np.random.default_rng(3)
    move = 1e-4 * rng.standard_normal(variables.size)
    before = problem.evaluate(problem.endowment, problem.initial_shares)
    after = variables.moved(before, free, move)
    alignment, cosine = GradientAlignment(economy), np.nan
    rules, reference = market_settings().rules, problem.reference
    for step, each in enumerate((before, after)):
        at = allocation(economy, rules, reference, each.shares, each.quantities)
        state = State(step, each.quantities, each.prices, each.shares, each.shares, each.shares)
        cosine = alignment(state, at, reference)
    h = 1e-6
    slope = np.array(
        [
            (
                variables.moved(before, free, h * row).value
                - variables.moved(before, free, -h * row).value
            )
            / (2 * h)
            for row in np.eye(variables.size)
        ]
    )
    own = buyers.pool[variables.buyers]
    money = (before.prices * before.quantities)[buyers.good[variables.buyers]]
    shares = before.shares[variables.buyers]
    worth = before.worth / (1.0 if problem.responses is None else problem.responses)
    paid = np.add.reduceat(before.shares * worth, buyers.starts)[own]
    weight = np.abs(paid) * shares
    logs = np.log(after.shares[variables.buyers] / shares)
    logs -= (np.bincount(own, shares * logs) / np.maximum(np.bincount(own, shares), 1e-300))[own]
    expected = slope @ logs / np.sqrt((slope**2 / weight).sum() * (weight * logs**2).sum())
    assert np.all(money > 0)
    assert cosine == pytest.approx(expected, abs=1e-6)


# --- the market -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "activation", members(["simultaneous", "sequential"], quick=["simultaneous"])
)
@pytest.mark.parametrize(
    ("mechanism", "rates"),
    [("unit-bid", {"share_rate": 0.2}), ("trading-post", {"bid_rate": 0.6})],
)
def test_engines_agree(mechanism, rates, activation):
    """To 1e-12 at every step, for runs that differ in elasticity and weights, and share nothing."""
    economies = [farm(0.5, 0.2, 2, 0.05), farm(3.0, 0.6, 2, 0.05)]
    market = market_settings(mechanism, activation=activation, **rates)
    assert_twins(economies, [market] * 2, [1, 2], 20)


@pytest.mark.parametrize(
    "mechanism", members(["tatonnement", "posted-price"], quick=["tatonnement"])
)
def test_engines_with_quotes_agree(mechanism):
    economies = [farm(0.5, 0.2, 2), farm(3.0, 0.6, 2)]
    rates = {"auction_rate": 0.02} if mechanism == "tatonnement" else {"order_rate": 0.05}
    market: MarketSettings = market_settings(mechanism, **rates)
    compared = assert_each_its_own(economies, [market] * 2, [1, 2], steps=8)
    assert compared > 0.9


@pytest.mark.parametrize("activation", ["simultaneous", "sequential"])
@pytest.mark.parametrize("mechanism", members(["unit-bid", "trading-post"], quick=["unit-bid"]))
def test_the_market_is_its_twin(mechanism, activation):
    """Mirror ascent, and proportional response, of the whole program at its mixes: to rounding."""
    rates = {"share_rate": 0.2} if mechanism == "unit-bid" else {"bid_rate": 0.6}
    economy = sheep(3.0, 0.8, population_of={"wool+mutton": {"firms": 2}})
    market = market_settings(mechanism, activation=activation, **rates)
    found = run(economy, mechanism=mechanism, activation=activation, **rates, steps=25)
    optimiser, steps = twin(economy, market, 25), len(found.trajectory.prices)
    for field in ("prices", "quantities", "shares"):
        paths = getattr(optimiser, field)[:steps], getattr(found.trajectory, field)
        assert largest_distance(*paths)[0] < 1e-13


@pytest.mark.parametrize("eta", members([0.5, 2.0, 8.0], quick=[2.0]))
@pytest.mark.parametrize("elasticity", [0.5, 2.0])
def test_when_the_mix_settles(eta, elasticity):
    """Log shares feed back by (1 + η/ε)/(1 + η): unit-bid is stable below its inverse, κ*.

    Twice that when sequential, without the delay of a step; trading-post with α = 1 multiplies log
    money by η/(1 + η) (1 - 1/ε) every second step.
    """
    economy, edge = sheep(eta, elasticity), (1 + eta) / (1 + eta / elasticity)
    for activation, times in (("simultaneous", 1), ("sequential", 2)):
        low, high = (
            stability(
                economy,
                market_settings(share_rate=times * edge * near, activation=activation),
            ).radius
            for near in (0.999, 1.001)
        )
        assert low < 1.0 < high
    factor = eta / (1 + eta) * (1 - 1 / elasticity)
    radius = stability(economy, market_settings("trading-post")).radius
    assert radius == pytest.approx(np.sqrt(abs(factor)), rel=1e-6)


@pytest.mark.slow
def test_the_edge_in_runs():
    """The experiment: with κ = 0.6 and ε = 0.5 the mix settles if and only if η < 2."""
    for near, settles in ((0.98, True), (1.02, False)):
        values = {"economy.parameters.eta": 2.0 * near}
        found = run("joint-production", overrides=values, steps=20_000)
        assert (found.status == "converged") is settles


def test_firms_share_one_mix():
    """Firms differ in productivity; the outputs are made of the activity of all of them."""
    economy = from_text(
        SHEEP.replace("sheep", "sheep ** 0.5"),
        {"sheep": 3.0},
        {"wool": 2.0, "mutton": 1.1},
        parameters={"eta": 1.7},
        population_of={"wool+mutton": {"firms": 3, "productivity": (1.0, 2.0, 0.5)}},
    )
    assert [each.firms for each in economy.industries] == [3, 1, 1]
    found = run(economy, mechanism="trading-post", tolerance=1e-10)
    value = (WEIGHTS @ np.array([2.0, 1.1]) ** 2.7) ** (1 / 2.7)
    assert found.last.prices[1] == pytest.approx(value, rel=1e-10)
    activity = np.sqrt(3.0 * np.mean([1.0, 4.0, 0.25]))  # (Σ z² w)^½ of the best split
    assert found.last.quantities[1] == pytest.approx(activity, rel=1e-9)


@pytest.mark.parametrize("activation", ["simultaneous", "sequential"])
def test_households_who_own_the_line(activation):
    """Shares of a household's income are constants, and θ that of what they spend on wool."""
    economy = from_text(
        SHEEP.replace("sheep", "sheep ** 0.5 * labour ** 0.4"),
        {},
        parameters={"eta": 2.0},
        households={
            "rich": {
                "utility": "cobb_douglas(wool, mutton)",
                "endowment": {"sheep": 2.0, "labour": 1.0},
                "owns": {"wool+mutton": 0.5},
            },
            "poor": {
                "utility": "cobb_douglas(wool, mutton, exponents=(0.7, 0.3))",
                "endowment": {"sheep": 1.0, "labour": 2.0},
                "owns": {"wool+mutton": 0.5},
            },
        },
    )
    found = run(economy, mechanism="trading-post", bid_rate=0.3, activation=activation, steps=500)
    incomes = np.array([0.5 * 2 / 3 + 0.4 / 3 + 0.05, 0.5 / 3 + 0.4 * 2 / 3 + 0.05])
    share = np.array([0.5, 0.7]) @ incomes
    made = 3**0.9 * WEIGHTS ** (1 / 3) * np.array([share, 1 - share]) ** (2 / 3)
    table = found.table()
    assert found.status == "converged"
    np.testing.assert_allclose(table.loc[["wool", "mutton"], "quantity"], made, rtol=1e-9)
    paid = table.loc[["wool", "mutton"], ["price", "quantity"]].prod(axis=1)
    np.testing.assert_allclose(paid / paid.sum(), [share, 1 - share], rtol=1e-9)
    accounts = found.accounts().loc["wool+mutton"]
    assert accounts["profit"] / accounts["revenue"] == pytest.approx(0.1, rel=1e-8)


def test_what_is_worth_nothing_is_not_made():
    economy = from_text(SHEEP, {"sheep": 2.0}, {"mutton": 0.0}, parameters={"eta": 2.0})
    found = run(economy)
    assert found.status == "converged"
    np.testing.assert_allclose(found.last.quantities[2:], [2.0 * 0.4 ** (1 / 3), 0.0])


# --- the language ---------------------------------------------------------------------------------


def test_families_and_names():
    economy = from_text(
        "for t in 1..2: (a[t], b[t]) = transform(x[t] * t, elasticity=t)\n"
        "(c, d[3]) = fixed(x[1], yields=(k, 2))\n"
        "s = sum(a[t] for t in 1..2) + sum(b[t] for t in 1..2)",
        {"x[*]": 1.0},
        parameters={"k": 3.0},
        reuse="copy",
        population_of={"a+b[*]": {"firms": 2}},
    )
    made = {each.good: each for each in economy.industries}
    assert list(economy.outputs) == ["a+b[1]", "a+b[2]", "c+d[3]"]
    assert [made[good].firms for good in ("a+b[1]", "a[1]", "c+d[3]")] == [2, 1, 1]
    assert economy.reuse["a+b[2]"] == "rival" and economy.reuse["c+d[3]"] == "copy"
    again = Experiment.of(economy)
    line = "(a[2], b[2]) = transform(x[2]*2, elasticity=2, weights=(0.5, 0.5))"
    assert line in again.configuration["economy"]["program"].splitlines()
    other = from_text(
        again.configuration["economy"]["program"], {"x[*]": 1.0}, parameters={"k": 3.0}
    )
    assert [each.text() for each in other.industries] == [
        each.text() for each in economy.industries
    ]


def test_a_line_is_explained_as_one():
    """Backprop's line: the gradients of both outputs add up, over what the activity is."""
    found = run(farm(elasticity=0.0), share_rate=0.3, tolerance=1e-6)
    sections = {each.title: each for each in explain(found)}
    assert not any("wool+mutton" in each for each in sections)
    (title,) = [each for each in sections if each.startswith("(wool, mutton) = transform(")]
    section = sections[title]
    assert "profit = p_wool*wool + p_mutton*mutton - p_grass*grass" in section.note
    first, second, *_ = section.pairs
    assert first.backprop == "df_dz = (df_dwool*wool + df_dmutton*mutton)/z"
    assert (
        first.condition_numbers.rpartition(" = ")[2] == first.backprop_numbers.rpartition(" = ")[2]
    )
    assert second.backprop.startswith("term[grass in z] = df_dz * ")
    assert found.accounts().index.tolist() == ["wool+mutton", "flour+bran", "cloth", "pie"]
    assert found.accounts().loc["wool+mutton", "revenue"] == pytest.approx(
        sum(found.table().loc[good, ["price", "quantity"]].prod() for good in ("wool", "mutton"))
    )
    assert "(wool, mutton) = transform(" in found.economy._repr_html_()


BAD = {
    "wool = transform(sheep, elasticity=2)": "makes several goods",
    "wool = 1 + transform(sheep, elasticity=2)": "makes several goods",
    "(wool,) = transform(sheep, elasticity=2)": "there is one on the left",
    "(wool, wool) = fixed(sheep, yields=(2, 3))": "makes 'wool' twice",
    "(wool, sheep) = transform(sheep, elasticity=2)": "an output of the line, and an input",
    "(wool, mutton) = transform(sheep, elasticity=0)": "elasticity of transform.. is 0.*fixed",
    "(wool, mutton) = transform(sheep, elasticity=-1)": "elasticity is -1",
    "(wool, mutton) = transform(sheep, elasticity=2, weights=(1, 2, 3))": "2 outputs and 3 weights",
    "(wool, mutton) = transform(sheep, elasticity=2, weights=(0.5, 0.6))": "sum to 1.1",
    "(wool, mutton) = transform(sheep, elasticity=2, weights=(2, -1))": "an entry of weights is -1",
    "(wool, mutton) = transform(sheep, grass, elasticity=2)": "takes one expression, not 2",
    "(wool, mutton) = transform(sheep)": "needs its elasticity",
    "(wool, mutton) = transform(sheep, sigma=2)": "has no 'sigma='",
    "(wool, mutton) = transform(sheep, elasticity=sheep)": "cannot depend on goods",
    "(wool, mutton) = fixed(sheep, 2, 3)": "takes one expression, not 3",
    "(wool, mutton) = fixed(sheep)": "needs its yields",
    "(wool, mutton) = fixed(sheep, yields=(2, 0))": "an entry of yields is 0",
    "(wool, mutton) = (2, 3) * sheep": "several goods on the left; write",
    "(wool, mutton) = (2 * sheep, 3 * sheep)": "several goods on the left; write",
    "(wool, *mutton) = fixed(sheep, yields=(2, 3))": "is no good",
    "(wool, mutton) = fixed(sheep, yields=(2, 3))\nmutton = sheep": "two lines produce 'mutton'",
}


@pytest.mark.parametrize("program", BAD)
def test_bad_lines_in_one_sentence(program):
    with pytest.raises(MarketError, match=BAD[program]) as caught:
        from_text(program, {"sheep": 1.0})
    assert "\n" not in str(caught.value) and "line" in str(caught.value)


def test_what_outputs_cannot_have():
    economy = from_text(SHEEP, {"sheep": 1.0}, parameters={"eta": 2.0})
    for values, message in (
        ({"industries.wool.firms": 2}, r'is an output.*industries\."wool\+mutton"\.firms'),
        ({"economy.parameters.eta": 0.0}, "elasticity is 0"),
    ):
        with pytest.raises(MarketError, match=message):
            economy.with_values(values)
    with pytest.raises(MarketError, match="say how 'wool.mutton' is divided"):
        from_text(SHEEP, {"sheep": 1.0}, parameters={"eta": 2.0}, reuse_of={"wool+mutton": "copy"})
    with pytest.raises(MarketError, match="divides an activity, and goods are dated"):
        run(economy, dating="dated")
    with pytest.raises(MarketError, match="each output have a price above 0"):
        run(economy.with_values({"demand.wool.price": -1.0}))
    with pytest.raises(MarketError, match="returns to scale are constant"):
        run(economy, mechanism="tatonnement")
