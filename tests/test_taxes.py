"""Taxes and subsidies: wedges, revenues, who bears them and what they cost."""

import runpy
from dataclasses import replace
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from scipy.optimize import fsolve
from support.engines import assert_each_its_own
from support.profiles import examples
from support.strategies import decreasing_dags, loops, rival_dags

import market_abm
from market_abm import Experiment, from_text, market_settings, run
from market_abm.analysis.stability import stability
from market_abm.errors import MarketError
from market_abm.gradient.backprop import exact_gradient
from market_abm.gradient.equilibrium import equilibrium
from market_abm.market.accounts import revenues_and_costs, tax_revenues
from market_abm.runs.tables import consumer_references
from market_abm.twins.base import largest_distance
from market_abm.twins.registry import has_twin, twin
from market_abm.views.explain import explain
from market_abm.views.words.run import run_sentences
from market_abm.watch.session import Session

ROOT = Path(__file__).parents[1]
HARBERGER = runpy.run_path(str(ROOT / "experiments/harberger.py"))

PROGRAM = """
y = 2*ces(l, k, elasticity=0.7, weights=(0.6, 0.4))**0.8
z = l**0.5 * k**0.3 * know**0.1
u = y**0.5 * z**0.3 * know**0.1
v = z**0.6
"""
"""A factor, an output, a nonrival good and final goods to be taxed."""

SPOT = [
    ("unit-bid", "simultaneous", {"share_rate": 0.3}),
    ("unit-bid", "sequential", {"share_rate": 0.3}),
    ("trading-post", "simultaneous", {"bid_rate": 0.5}),
    ("trading-post", "sequential", {"bid_rate": 0.5}),
    ("tatonnement", "simultaneous", {"auction_rate": 0.005}),
    ("posted-price", "simultaneous", {}),
]
DATED = [
    ("unit-bid", "simultaneous", {"share_rate": 0.1, "dating": "dated"}),
    ("trading-post", "simultaneous", {"dating": "dated"}),
]


def rates(capital=0.5, output=-0.2, final=0.3, ideas=0.1):
    return {
        "capital": {"good": "k", "user": "y", "rate": capital},
        "output": {"good": "z", "rate": output},
        "final": {"good": "u", "rate": final},
        "ideas": {"good": "know", "user": ["u"], "rate": ideas},
        "more": {"good": ["k", "l"], "user": "y", "rate": 0.1},  # rates on one use add
    }


def economy(taxes=None, **options):
    return from_text(
        PROGRAM,
        supply={"l": 5.0, "k": {"quantity": 3.0, "elasticity": 0.4, "adjustment": 0.3}, "know": 1},
        demand={"u": {"price": 2.0, "elasticity": 2.0}, "v": 1.5},
        reuse_of={"know": "copy"},
        population={"firms": 2, "weights": [0.3, 0.7], "productivity": [1.1, 0.9]},
        taxes=taxes,
        **options,
    )


# --- both engines, the net gradient, the twin -----------------------------------------------------


@pytest.mark.parametrize(("mechanism", "activation", "settings"), SPOT + DATED)
def test_both_engines_levy_the_same_taxes_as_the_twin(mechanism, activation, settings):
    market = market_settings(mechanism, activation=activation, **settings)
    several = [economy(rates()), economy(rates(0.1, 0.2, -0.3, 0.0)), economy(rates(0, 0, 0, 0))]
    assert assert_each_its_own(several, [market] * 3, [1] * 3, steps=12) == 1.0
    assert has_twin(several[0], market) is market.rules.bids_form_prices
    if market.rules.bids_form_prices:  # the twin differentiates the program, and counts 1/(1 + τ)
        path = twin(several[0], market, 12)
        result = run(several[0], mechanism=mechanism, activation=activation, steps=12, **settings)
        pairs = [(path.prices, result.prices), (path.quantities, result.quantities)]
        assert max(largest_distance(*pair)[0] for pair in pairs) < 1e-13


@pytest.mark.slow
def test_a_tax_on_final_demand_leaves_a_potential_and_twins():
    given = economy({"final": {"good": ["u", "v"], "rate": 0.3}})
    for mechanism, activation, settings in SPOT[4:]:
        market = market_settings(mechanism, activation=activation, **settings)
        path = twin(given, market, 10)
        result = run(given, mechanism=mechanism, steps=10, **settings)
        until = path.identical_until + 1
        # Φ is differentiated by finite differences, to ten digits; the other path by formulas.
        assert largest_distance(path.prices[:until], result.prices[:until])[0] < 1e-8


def test_taxes_of_nothing_change_no_bit():
    for mechanism, activation, settings in SPOT:
        given = {"mechanism": mechanism, "activation": activation, "steps": 15, **settings}
        plain = run(economy(), **given)
        taxes = {name: {**tax, "rate": 0.0} for name, tax in rates().items()}
        taxed = run(economy(taxes), **given)
        for name in ("prices", "quantities", "gradients"):
            assert np.array_equal(getattr(plain, name), getattr(taxed, name))


LOOP = """
steel = coal**0.3 * ore**0.5
coal  = 0.5 * steel**0.4 * labour**0.4
car   = steel**0.5 * labour**0.3
"""


@pytest.mark.parametrize(
    ("mechanism", "activation", "settings"),
    [
        *(pytest.param(*each, marks=pytest.mark.slow) for each in SPOT[:3]),
        SPOT[3],
        pytest.param("unit-bid", "random", {"share_rate": 0.3}, marks=pytest.mark.slow),
    ],
)
def test_at_rest_net_prices_are_the_net_gradient_in_loops_too(mechanism, activation, settings):
    taxes = {
        "steel": {"good": "steel", "rate": 0.4},
        "coal": {"good": "coal", "user": "steel", "rate": -0.3},
        "cars": {"good": "car", "rate": 0.2},
    }
    given = from_text(LOOP, supply={"ore": 2.0, "labour": 3.0}, taxes=taxes)
    engine = "agents" if activation == "random" else "arrays"
    order = {"mechanism": mechanism, "activation": activation, "engine": engine}
    result = run(given, **order, tolerance=1e-12, steps=4000, **settings)
    assert result.status == "converged"
    assert result.last_errors.max() < 1e-11  # each condition of rest holds to 1e-13
    best = equilibrium(given)  # by Newton's method on the conditions, without a market
    np.testing.assert_allclose(result.last.prices, best.prices, rtol=1e-10)
    p, q = (dict(zip(result.goods, x, strict=True)) for x in (result.last.prices, best.quantities))
    for use, power in zip(given.buyers.uses["car"], [0.5, 0.3], strict=True):  # p (1 + τ) = MRP
        good = given.goods[given.buyers.good[use.start]]
        units = result.last.shares[use.start] * q[good]
        gross = p[good] * (1.4 if good == "steel" else 1.0)
        assert gross == pytest.approx(p["car"] * power * q["car"] / units, rel=1e-9)
    assert p["car"] == pytest.approx(1 / 1.2, rel=1e-15)


@pytest.mark.slow
@hypothesis.given(
    program=st.one_of(decreasing_dags(), loops("rival"), rival_dags()),
    seed=st.integers(0, 2**20),
)
@hypothesis.settings(max_examples=examples(40))
def test_random_programs_with_random_taxes(program, seed):
    """Engines, twin, net gradient, and the equilibrium that is found without a market."""
    rng = np.random.default_rng(seed)
    plain = from_text(**program.arguments)
    taxes = {}
    for k in range(rng.integers(1, 5)):
        good = str(rng.choice(plain.goods))
        users = [each.good for each in plain.industries if good in each.technology.inputs]
        user = {"user": str(rng.choice(users))} if users and rng.random() < 0.6 else {}
        taxes[f"t{k}"] = {"good": good, "rate": float(rng.uniform(-0.2, 0.8)), **user}
    taxed = from_text(**program.arguments, taxes=taxes)
    other = taxed.with_values({f"taxes.{name}.rate": rng.uniform(-0.1, 0.5) for name in taxes})
    best = equilibrium(taxed)
    for mechanism, rate in (("unit-bid", {"share_rate": 0.1}), ("trading-post", {"bid_rate": 0.4})):
        market = market_settings(mechanism, **rate)
        assert_each_its_own([taxed, other], [market] * 2, [1] * 2, steps=8)
        result = run(taxed, mechanism=mechanism, steps=3000, tolerance=1e-10, **rate)
        path = twin(taxed, market, min(8, result.steps))
        same = largest_distance(path.prices, result.prices[: len(path.prices)])[0]
        assert same < 1e-13
        if result.status == "converged":  # each condition of rest holds to 1e-11
            assert result.last_errors.max() < 1e-9
            found = best.nearest(result.last.prices)
            np.testing.assert_allclose(result.last.prices, found.prices, rtol=1e-8)


def test_the_gradient_beside_the_net_one_is_of_no_wedge():
    given = from_text("y = k ** 0.5", {"k": 4.0}, taxes={"k": {"good": "k", "rate": 0.25}})
    assert exact_gradient(given)["k"] == pytest.approx(0.25 / 1.25)
    assert exact_gradient(given.untaxed)["k"] == pytest.approx(0.25)


# --- accounts, wedges, sentences ------------------------------------------------------------------


@pytest.mark.parametrize(("mechanism", "activation", "settings"), SPOT[:4])
def test_money_paid_is_money_earned_and_tax_revenue(mechanism, activation, settings):
    result = run(economy(rates()), mechanism=mechanism, activation=activation, steps=9, **settings)
    market, taxed = result.experiment.market, result.economy
    reference = consumer_references(taxed)
    earned, spent = revenues_and_costs(taxed, market, result.last, reference)
    revenues = tax_revenues(taxed, market, result.last, reference)
    final = result.last.quantities[taxed.final]
    gross = result.last.prices[taxed.final] * (1.0 + np.array([0.3, 0.0]))
    assert spent.sum() + gross @ final == pytest.approx(earned.sum() + revenues.sum(), rel=1e-12)
    assert result.taxes.revenues == pytest.approx(dict(zip(taxed.taxes, revenues, strict=True)))


def test_each_wedge_is_told_as_what_it_is():
    given = {"mechanism": "trading-post", "activation": "sequential", "tolerance": 1e-8}
    result = run(economy(rates(output=0.0)), **given, steps=1000)
    table = result.taxes.table().set_index(["tax", "good", "user"])
    paid = table.loc[("capital", "k", "y")]
    assert paid.gross_price / paid.price == pytest.approx(1.6)  # 0.5 and 0.1, both on it
    # Of what y makes consumers pay 1.3 times what its maker gets: that wedge is in the derivative.
    assert paid.derivative / paid.gross_price == pytest.approx(1.3, rel=1e-7)
    consumer = table.loc[("final", "u", "consumer")]
    assert consumer.gross_price == pytest.approx(consumer.derivative)
    assert consumer.wedge == pytest.approx(0.3)
    # A firm whose output has the elasticity 0.5 to an input pays half for it, taxes included.
    assert result.accounts().loc["u", "margin"] == pytest.approx(0.1, rel=1e-6)
    notes = [section.note for section in explain(result)]
    assert any("with a tax of 50 % on k and a tax of 10 % on k, l; profit" in n for n in notes)
    assert "capital: a tax of 50 % on k in y" in result.economy._repr_html_()
    text = "\n".join(run_sentences(result))
    assert "capital: a tax of 50 %" in text
    assert "the deadweight loss is" in text
    assert set(result.summary()["taxes"]["revenues"]) == set(rates())


def test_a_subsidy_of_who_pays_makes_an_externality_worth_its_price():
    """Pigou: bees serve two lines, one pays, and the subsidy is their worth to the other."""
    program = "honey = 3 * bees ** 0.5\napples = 2 * bees ** 0.5"
    given = {
        "supply": {"bees": {"quantity": 4.0, "elasticity": 1.0, "adjustment": 0.5}},
        "demand": {"honey": 2.0, "apples": 3.0},
        "reuse_of": {"bees": "external"},
    }
    plain = run(from_text(program, **given), steps=400)
    subsidy = {"bees": {"good": "bees", "rate": -0.5}}  # half of 6 + 6
    mended = run(from_text(program, **given, taxes=subsidy), steps=400)
    best = equilibrium(plain.economy)
    assert plain.path.welfare[-1] < 0.95 * best.welfare
    assert mended.path.welfare[-1] == pytest.approx(best.welfare, rel=1e-9)
    assert mended.taxes.deadweight_loss == pytest.approx(0.0, abs=1e-8)


@pytest.mark.parametrize("rate", [0.0, 0.25, -0.2])
def test_cournot_firms_reckon_with_what_is_left_of_the_consumers_price(rate):
    given = from_text(
        "y = x ** 0.7",
        {"x": {"quantity": 1.0, "price": 0.3, "elasticity": 0.8, "adjustment": 0.2}},
        demand={"y": {"elasticity": 1.5, "quantity": 1.0}},
        population={"firms": 2, "conduct": "cournot"},
        taxes={"y": {"good": "y", "rate": rate}},
    )
    result = run(given, share_rate=0.05, steps=2000)
    x, y = result.last.quantities
    price = y ** (-1 / 1.5) / (1 + rate)
    assert result.last.prices[1] == pytest.approx(price, rel=1e-9)
    lerner = 1 - 1 / (2 * 1.5)
    assert result.last.prices[0] == pytest.approx(price * lerner * 0.7 * x**-0.3, rel=1e-8)


# --- what they cost -------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_deadweight_loss_is_the_triangle_to_second_order():
    program = "x = k ** 0.6\ny = 1.3 * k ** 0.4"

    def taxed(rate):
        given = from_text(
            program,
            {"k": 2.0},
            {"x": {"elasticity": 2.0, "quantity": 1.0}, "y": 1.0},
            taxes={"k": {"good": "k", "user": "x", "rate": rate}},
        )
        return given, equilibrium(given)

    def used(best):
        return best.shares[0] * 2.0

    step = 1e-4
    slope = (used(taxed(step)[1]) - used(taxed(-step)[1])) / (2 * step)
    ratios = []
    for rate in (0.02, 0.01):
        given, best = taxed(rate)
        loss = equilibrium(given.untaxed).welfare - best.welfare
        triangle = 0.5 * rate**2 * best.prices[0] * -slope
        ratios.append(loss / triangle - 1)
        market = run(given, share_rate=0.3, steps=500, tolerance=1e-12)
        assert market.taxes.deadweight_loss == pytest.approx(loss, rel=1e-8)
    assert abs(ratios[1]) < 0.02
    assert ratios[0] / ratios[1] == pytest.approx(2.0, rel=0.02)  # the rest is of third order


@pytest.mark.slow
def test_near_rest_a_taxed_market_moves_as_its_eigenvalues_say():
    for mechanism, settings in (("unit-bid", {"share_rate": 0.4}), ("trading-post", {})):
        result = run(economy(rates()), mechanism=mechanism, steps=3000, **settings)
        near = stability(result.economy, result.experiment.market)
        assert result.path.rate.value == pytest.approx(near.radius, rel=0.01)
    dated = market_settings("trading-post", dating="dated")  # its theory is by the Hessian of W
    assert stability(economy(rates()), dated) is None


# --- who bears them -------------------------------------------------------------------------------


@pytest.mark.slow
def test_harberger_by_the_market_by_unit_costs_and_by_his_formula():
    experiment = Experiment.load(ROOT / "experiments/harberger.toml")
    given = experiment.configuration["economy"]["parameters"]
    for own in (0.4, 1.6):
        elasticities = {**given, "substitution_x": own}
        untaxed = HARBERGER["equilibrium"](0.0, elasticities).ratio
        step = 1e-5
        ahead = HARBERGER["equilibrium"](step, elasticities).ratio
        # The slope by one difference, whose error is of the order of the step.
        measured = np.log(ahead / untaxed) / step
        assert measured == pytest.approx(HARBERGER["slope"](elasticities), rel=1e-4)
        for rate in (0.0, 0.5, -0.3):
            values = {
                "taxes.corporate.rate": rate,
                "economy.parameters.substitution_x": own,
            }
            result = run(replace(experiment, economy=experiment.economy.with_values(values)))
            wage, rent = result.last.prices[:2]
            solved = HARBERGER["equilibrium"](rate, elasticities).ratio
            assert rent / wage == pytest.approx(solved, rel=1e-9)


def test_capital_bears_all_of_it_where_all_lines_are_cobb_douglas():
    """Harberger's own case: then wages are a fixed part of what is spent, and rents the rest."""
    program = """
    x = labour ** 0.7 * capital ** 0.3
    y = labour ** 0.4 * capital ** 0.6
    utility = x ** 0.6 * y ** 0.4
    """
    for rate in (0.0, 0.5, 2.0):
        taxed = from_text(
            program,
            {"labour": 3.0, "capital": 2.0},
            {"utility": {"elasticity": 1.0, "quantity": 1.0}},
            taxes={"corporate": {"good": "capital", "user": "x", "rate": rate}},
        )
        result = run(taxed, mechanism="trading-post", steps=2000, tolerance=1e-11)
        wage, rent = result.last.prices[:2]
        assert 3 * wage == pytest.approx(0.6 * 0.7 + 0.4 * 0.4, rel=1e-9)
        assert 2 * rent == pytest.approx(0.6 * 0.3 / (1 + rate) + 0.4 * 0.6, rel=1e-9)


# --- households -----------------------------------------------------------------------------------


def shoven_whalley(taxes, **more):
    """The two households and two sectors of Shoven and Whalley (1984), who own the firms."""
    a, b = 0.3 ** (1 / 0.75), 0.7 ** (1 / 0.75)  # their weights are inside of the power
    poor = f"ces(q1, q2, elasticity=0.75, weights=({a / (a + b)!r}, {b / (a + b)!r}))"
    rich = "ces(q1, q2, elasticity=1.5, weights=(0.5, 0.5))"
    return from_text(
        """
        q1 = 1.5 * ces(labour, capital, elasticity=2.0, weights=(0.6, 0.4))
        q2 = 2.0 * ces(labour, capital, elasticity=0.5, weights=(0.7, 0.3))
        """,
        supply={},
        households={
            "rich": {"utility": rich, "endowment": {"capital": 25.0}, "owns": 0.5},
            "poor": {"utility": poor, "endowment": {"labour": 60.0}, "owns": 0.5},
            **more,
        },
        taxes=taxes,
    )


def solved_shoven_whalley(rate, parts):
    """Prices, r, outputs, labour and capital from the model's own formulas, with w = 1."""
    phi, delta, sigma = np.array([1.5, 2.0]), np.array([0.6, 0.7]), np.array([2.0, 0.5])
    alpha, elasticity = np.array([[0.5, 0.5], [0.3, 0.7]]), np.array([1.5, 0.75])

    def at(unknown):
        rent, revenue = unknown
        paid = rent * np.array([1.0 + rate, 1.0])
        inner = delta**sigma + (1 - delta) ** sigma * paid ** (1 - sigma)
        price = inner ** (1 / (1 - sigma)) / phi
        labour, capital = price * delta**sigma / inner, None
        capital = price * (1 - delta) ** sigma * paid**-sigma / inner
        income = np.array([25 * rent, 60.0]) + revenue * np.asarray(parts)
        demand = sum(
            alpha[h] * income[h] / price ** elasticity[h]
            / np.sum(alpha[h] * price ** (1 - elasticity[h]))
            for h in (0, 1)
        )  # fmt: skip
        return price, rent, demand, demand * labour, demand * capital, revenue

    def gaps(unknown):
        _, rent, _, _, capital, revenue = at(unknown)
        return capital.sum() - 25.0, revenue - rate * rent * capital[0]

    return at(fsolve(gaps, [1.2, 2.0], xtol=1e-14))


@pytest.mark.parametrize(
    "activation", ["simultaneous", pytest.param("sequential", marks=pytest.mark.slow)]
)
def test_shoven_and_whalley_with_their_tax_on_capital(activation):
    """A half on the capital of the first sector, of which the rich get 40 % and the poor 60 %."""
    taxes = {
        "capital": {
            "good": "capital", "user": "q1", "rate": 0.5, "to": {"rich": 0.4, "poor": 0.6}
        }
    }  # fmt: skip
    given = {"mechanism": "trading-post", "bid_rate": 0.3, "activation": activation}
    result = run(shoven_whalley(taxes), **given, steps=1500, tolerance=1e-11)
    assert result.status == "converged"
    price, rent, made, labour, capital, revenue = solved_shoven_whalley(0.5, (0.4, 0.6))
    assert [*price.round(3), round(rent, 3)] == [1.467, 1.006, 1.128]  # as published
    assert [*made.round(3), *capital.round(3)] == [22.387, 57.307, 4.039, 20.961]
    file = Experiment.load(ROOT / "experiments/shoven-whalley-tax.toml").economy
    assert file.taxes == result.economy.taxes
    np.testing.assert_allclose(
        equilibrium(file).prices / equilibrium(result.economy).prices, 1.0, rtol=1e-9
    )
    found = dict(zip(result.goods, result.last.prices / result.last.prices[0], strict=True))
    ours = [found[name] for name in ("q1", "q2", "capital")]
    np.testing.assert_allclose(ours, [*price, rent], rtol=1e-9)
    units = dict(zip(result.goods, result.last.quantities, strict=True))
    np.testing.assert_allclose([units["q1"], units["q2"]], made, rtol=1e-9)
    uses = result.economy.buyers.uses
    used = [[result.last.inputs[use.start] for use in uses[good]] for good in ("q1", "q2")]
    np.testing.assert_allclose(used, np.transpose([labour, capital]), rtol=1e-9)
    earned = {name: own.taxes["capital"] for name, own in result.households.items()}
    wage = result.last.prices[0]
    assert earned["rich"] == pytest.approx(0.4 * revenue * wage, rel=1e-9)
    for own in result.households.values():
        assert own.income == pytest.approx(own.spent, rel=1e-9)


def test_a_government_spends_what_it_is_paid_and_money_stays():
    government = {"government": {"utility": "q2", "owns": 0.0, "money": 0.1}}
    taxes = {
        "vat": {"good": ["q1", "q2"], "user": "households", "rate": 0.2, "to": "government"},
        "payroll": {"good": "labour", "rate": 0.1, "to": {"government": 0.5, "poor": 0.5}},
        "farms": {"good": "capital", "user": "q2", "rate": -0.1, "to": "rich"},
    }
    several = []
    for rate in (0.2, 0.05):
        now = {**taxes, "vat": {**taxes["vat"], "rate": rate}}
        several.append(shoven_whalley(now, **government))
    for activation in ("simultaneous", "sequential"):
        market = market_settings("trading-post", bid_rate=0.4, activation=activation)
        assert assert_each_its_own(several, [market] * 2, [1] * 2, steps=15) == 1.0
    result = run(several[0], mechanism="trading-post", bid_rate=0.4, steps=60)
    spent = (result.trajectory.bids / result.economy.net_of_buyers)[1:].sum(axis=1)
    np.testing.assert_allclose(spent, spent[0], rtol=1e-12)  # all that is paid, taxes included
    result = run(several[0], mechanism="trading-post", bid_rate=0.4, steps=3000)
    assert result.status == "converged"
    own = result.households["government"]
    assert set(own.taxes) == {"vat", "payroll"}
    assert own.spent == pytest.approx(sum(own.taxes.values()), rel=1e-7)
    best = equilibrium(several[0])
    ratio = result.last.prices / best.prices
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-7)


@pytest.mark.slow
def test_money_auctioneer_and_solver_find_one_equilibrium_with_taxes():
    def household(wants, **owned):
        return {"utility": wants, "endowment": owned, "owns": 0.5}

    taxed = from_text(
        "bread = labour**0.5 * land**0.3\ncloth = labour**0.6 * land**0.2",
        households={
            "rich": household("ces(bread, cloth, elasticity=1.5)", land=2.0),
            "poor": household("ces(bread, cloth, elasticity=0.75)", labour=3.0),
            "state": {"utility": "bread**0.5 * cloth**0.3", "owns": 0.0},
        },
        taxes={
            "rent": {"good": "land", "user": "bread", "rate": 0.5, "to": "state"},
            "vat": {
                "good": ["bread", "cloth"],
                "user": "households",
                "rate": 0.2,
                "to": {"state": 0.5, "poor": 0.5},
            },
            "jobs": {"good": "labour", "user": "cloth", "rate": -0.1, "to": "rich"},
        },
    )
    best = equilibrium(taxed)
    given = {"trading-post": {"bid_rate": 0.3}, "tatonnement": {"auction_rate": 0.05}}
    for mechanism, settings in given.items():
        result = run(taxed, mechanism=mechanism, steps=2000, **settings)
        assert result.status == "converged"
        ratio = result.last.prices / best.prices  # up to the unit of money
        np.testing.assert_allclose(ratio, ratio[0], rtol=1e-8)


# --- files, numbers, mistakes ---------------------------------------------------------------------

FILE = """
[economy]
program = "y = 3 * k ** 0.5 * l ** 0.3"
[supply]
k = 2.0
l = 1.0
[taxes.capital]
good = "k"
rate = 0.5
[[shocks]]
step = 20
taxes.capital.rate = 0.1
[run]
steps = 60
"""


def test_files_overrides_shocks_and_sweeps_know_rates(tmp_path):
    file = tmp_path / "taxed.toml"
    file.write_text(FILE)
    result = run(file, overrides={"taxes.capital.rate": 1.0})
    k = result.goods.index("k")
    assert result.prices[19, k] == pytest.approx(3 * 0.5 * 2**-0.5 / 2.0)
    assert result.prices[-1, k] == pytest.approx(3 * 0.5 * 2**-0.5 / 1.1)
    again = Experiment.of(result.economy)
    assert again.configuration["taxes"] == {"capital": {"good": ("k",), "rate": 0.1}}
    table = market_abm.sweep(
        Experiment.parse(FILE.replace("[[shocks]]\nstep = 20\ntaxes.capital.rate = 0.1", "")),
        {"taxes.capital.rate": [-0.5, 0.0, 0.5]},
    )
    np.testing.assert_allclose(table["price.k"] * [0.5, 1.0, 1.5], 3 * 0.5 * 2**-0.5)
    revenue = 2 * table["price.k"] * [-0.5, 0.0, 0.5]
    np.testing.assert_allclose(table["tax_revenue"], revenue, atol=1e-12)
    np.testing.assert_allclose(table["deadweight_loss"], 0.0, atol=1e-12)  # k is of fixed quantity


def test_the_page_has_a_slider_of_each_rate_and_saves_it(tmp_path):
    file = tmp_path / "taxed.toml"
    file.write_text(FILE.partition("[[shocks]]")[0])
    session = Session(str(file))
    assert "taxes.capital.rate" in [each.key for each in session.parameters()]
    session.step()
    session.set("taxes.capital.rate", 1.0)
    for _ in range(3):
        session.step()
    k = session.economy.index["k"]
    assert session.state.prices[k] == pytest.approx(3 * 0.5 * 2**-0.5 / 2.0)
    again = Experiment.parse(session.text())
    assert again.last_economy.taxes["capital"].rate == 1.0


WRONG = [
    ({"k": {"good": "k", "rate": -1.0}}, {}, "taxes.k.rate is -1.0"),
    ({"k": {"good": "k"}}, {}, "'taxes.k.rate' is missing"),
    ({"k": {"good": "q", "rate": 0.1}}, {}, "taxes.k.good: there is no good 'q'"),
    ({"k": {"good": "k", "user": "q", "rate": 0.1}}, {}, "taxes.k.user: there is no good 'q'"),
    ({"k": {"good": "k", "user": "l", "rate": 0.1}}, {}, "taxes.k.user: no line makes 'l'"),
    ({"k": {"good": "k", "user": "z", "rate": 0.1}}, {}, "taxes.k: 'z' does not buy k"),
    ({"y": {"good": "y", "user": "z", "rate": 0.1}}, {}, "taxes.y: 'z' does not buy y"),
    ({"k": {"good": "k", "user": "households", "rate": 0.1}}, {}, "and there are none"),
    ({"k": {"good": "k", "rate": 0.1, "to": "rich"}}, {}, "and there are no households"),
    (
        {"a": {"good": "k", "rate": -0.6}, "b": {"good": "k", "user": "y", "rate": -0.5}},
        {},
        "the rates of taxes.a and taxes.b on a purchase of 'k' add up to -1 or less",
    ),
]
OWNED = {"rich": {"utility": "y", "endowment": {"k": 2.0, "l": 1.0}}}
WRONG += [
    ({"k": {"good": "k", "rate": -0.1}}, OWNED, "taxes.k.to is missing: nobody gets the revenue"),
    ({"k": {"good": "k", "rate": 0.1, "to": "poor"}}, OWNED, "there is no household 'poor'"),
    (
        {"k": {"good": "k", "rate": 0.1, "to": {"rich": 0.5}}},
        OWNED,
        "the shares in taxes.k.to add up to 0.5",
    ),
    ({"k": {"good": "rich", "rate": 0.1, "to": "rich"}}, OWNED, "'rich' is a household"),
    (
        {"k": {"good": "y", "user": "households", "rate": 0.1, "to": "rich"}},
        OWNED | {"households": {"utility": "y", "owns": 0.5}},
        "which stands for all, and one of them has that name",
    ),
]


@pytest.mark.parametrize(("taxes", "households", "message"), WRONG)
def test_a_wrong_tax_is_told_in_one_sentence(taxes, households, message):
    program = "y = k ** 0.5 * l ** 0.2" + ("" if households else "\nz = l ** 0.5")
    supply = {} if households else {"k": 2.0, "l": 1.0}
    with pytest.raises(MarketError) as raised:
        from_text(program, supply, taxes=taxes, households=households)
    assert message in str(raised.value)
    assert raised.value.remedy
    assert raised.value.name.startswith("taxes.")


def test_a_tax_on_who_gets_a_good_for_nothing_is_refused():
    with pytest.raises(MarketError, match="nobody who pays for bees would pay it"):
        from_text(
            "honey = bees ** 0.5\napples = bees ** 0.5",
            {"bees": 1.0},
            reuse_of={"bees": "external"},
            taxes={"bees": {"good": "bees", "user": "apples", "rate": 0.1}},
        )


def test_patterns_name_goods_and_users():
    given = from_text(
        "for k in 0..3:\n  y[k] = x[k] ** 0.5\nu = sum(y[k] for k in 0..3)",
        {"x[*]": 1.0},
        taxes={"some": {"good": "x[*]", "user": "y[0..1]", "rate": 0.25}},
    )
    result = run(given, steps=3)
    np.testing.assert_allclose(result.last.prices[:4], [0.4, 0.4, 0.5, 0.5], rtol=1e-15)


def test_a_household_that_pays_more_than_it_earns_is_told():
    taxes = {"k": {"good": "capital", "user": "q1", "rate": -0.5, "to": "government"}}
    broke = {"government": {"utility": "q2", "owns": 0.0}}
    given = shoven_whalley(taxes, **broke)
    for engine in ("arrays", "agents"):
        with pytest.raises(MarketError, match="it pays more than it earns"):
            run(given, mechanism="trading-post", bid_rate=0.3, engine=engine, steps=100)


def test_what_cannot_change_or_be_compared_says_so():
    given = economy(rates())
    with pytest.raises(MarketError, match="no such tax"):
        given.with_values({"taxes.none.rate": 0.1})
    with pytest.raises(MarketError, match="only the rate"):
        given.with_values({"taxes.capital.good": "l"})
    with pytest.raises(MarketError, match="add up to -1 or less"):
        given.with_values({"taxes.capital.rate": -0.95, "taxes.more.rate": -0.1})
    with pytest.raises(MarketError, match="there is no twin of tatonnement with taxes on"):
        twin(given, market_settings("tatonnement"), 5)


@pytest.mark.parametrize("bid_rate", [0.1, 1.0])
def test_a_government_keeps_half_of_its_money_until_firms_pay_taxes(bid_rate):
    """It alone buys parks: their price must not be 0 in step 2, the first after a trade.

    All money, 2, is spent or kept: a half of the government's in step 1, a quarter in step 2.
    """
    government = from_text(
        "food = labour ** 0.8\nparks = labour ** 0.7",
        households={
            "worker": {"utility": "food", "endowment": {"labour": 24}},
            "government": {"utility": "parks", "owns": 0},
        },
        taxes={"wage": {"good": "labour", "rate": 0.25, "to": "government"}},
    )
    free = government.with_values({"taxes.wage.rate": 0.0})
    rules = {"mechanism": "trading-post", "bid_rate": bid_rate}
    runs = [run(government, engine=engine, **rules) for engine in ("agents", "arrays")]
    for result in runs:
        assert result.at_rest and result.distance()["prices"] < 1e-9
        bids = result.trajectory.bids[1:]
        spent = bids.sum(axis=1) + 0.25 * bids[:, :2].sum(axis=1)  # labour is bought first
        assert spent == pytest.approx([1.5, 1.75] + [2.0] * (len(bids) - 2), abs=1e-13)
        assert np.abs(result.prices - runs[0].prices).max() < 1e-12
        with pytest.raises(
            MarketError, match=r"and there is none; raise taxes\.wage\.rate above 0"
        ):
            run(free, engine=result.experiment.run.engine, **rules)
    assert run(government, activation="sequential", **rules).at_rest
    assert_each_its_own([government, free], [market_settings(**rules)] * 2, [1, 1], 5)


@pytest.mark.parametrize("engine", ["agents", "arrays"])
def test_a_subsidy_that_takes_all_is_named(engine):
    utility = "x**0.5 * y**0.5"
    exchange = from_text(
        "",
        households={
            "rich": {"utility": utility, "endowment": {"x": 9}},
            "poor": {"utility": utility, "endowment": {"y": 9}},
        },
        taxes={"cheap": {"good": "y", "rate": -0.95, "to": "rich"}},
    )
    with pytest.raises(MarketError, match=r"'rich' has 0 to spend .* subsidy taxes\.cheap"):
        run(exchange, mechanism="tatonnement", auction_rate=0.02, engine=engine)


def test_two_taxes_on_a_use_are_told_in_one_sentence():
    taxes = {
        "vat": {"good": "x", "user": "households", "rate": 0.2, "to": "a"},
        "excise": {"good": "x", "user": "b", "rate": 0.1, "to": "a"},
    }
    own = {"utility": "x**0.5 * y**0.5"}
    households = {"a": {**own, "endowment": {"x": 2}}, "b": {**own, "endowment": {"y": 1}}}
    result = run(from_text("", households=households, taxes=taxes), mechanism="trading-post")
    text = " ".join(run_sentences(result))
    assert text.count("b pays") == 1
    assert "(vat: a tax of 20 %, excise: a tax of 10 %)" in text
    with pytest.raises(MarketError, match="'households' stands for all"):
        from_text("", households=households, taxes={"vat": {**taxes["vat"], "user": "c"}})
    with pytest.raises(MarketError, match="there is no household 'state'"):
        from_text("", households=households, taxes={"vat": {**taxes["vat"], "to": "state"}})
