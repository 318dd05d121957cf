"""Where prices are not the gradient, or the gradient is not enough: shown, and as theory says."""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.profiles import members

import market_abm
from market_abm import MarketError, from_text, market_settings, run
from market_abm.analysis.prediction import steady_state_error
from market_abm.gradient.equilibrium import equilibrium
from market_abm.gradient.landscape import gradient_ascent
from market_abm.twins.registry import twin

# --- few firms ----------------------------------------------------------------------------------


def industry(firms: int, demand: dict, *, conduct: str = "cournot", **population):
    supply = {"quantity": 1.0, "price": 0.3, "elasticity": 0.8, "adjustment": 0.2}
    return from_text(
        "y = x ** 0.7",
        {"x": supply},
        {"y": {"quantity": 1.0, **demand}},
        population={"firms": firms, "conduct": conduct, **population},
    )


@pytest.mark.parametrize(
    ("firms", "elasticity", "activation", "engine"),
    members(
        itertools.product(
            (1, 2, 5, 20, 100),
            (1.5, 2.0, 4.0),
            ("simultaneous", "sequential"),
            ("agents", "arrays"),
        ),
        quick=[
            (1, 1.5, "simultaneous", "agents"),
            (5, 4.0, "sequential", "agents"),
            (1, 2.0, "sequential", "arrays"),
            (20, 1.5, "simultaneous", "arrays"),
            (100, 4.0, "sequential", "arrays"),
        ],
    ),
)
def test_the_lerner_index_is_one_over_n_times_elasticity(firms, elasticity, activation, engine):
    """(P - MC)/P = 1/(Nε), with MC = p_x / f': 1e-8, where each condition is met to 1e-9."""
    economy = industry(firms, {"elasticity": elasticity})
    result = run(economy, engine=engine, activation=activation, share_rate=0.05, steps=400)
    x = result.last.quantities[0]
    p_x, p_y = result.last.prices
    marginal_cost = p_x / (0.7 * x**-0.3)
    assert (p_y - marginal_cost) / p_y == pytest.approx(1 / (firms * elasticity), abs=1e-8)
    # The input's price is off its exact gradient by that very wedge, and the run says so.
    assert result.last_errors[0] == pytest.approx(1 / (firms * elasticity), abs=1e-8)
    assert result.status == "off_gradient" and "from its gradient" in result.ending.detail
    # By hand: MR f' = MC of the supplier, (1 - 1/(Nε)) y^(-1/ε) 0.7 x^-0.3 = 0.3 x^(1/0.8).
    keep = 1 - 1 / (firms * elasticity)
    by_hand = (keep * 0.7 / 0.3) ** (1 / (1 / 0.8 + 0.3 + 0.7 / elasticity))
    assert x == pytest.approx(by_hand, rel=1e-8)


def test_the_wedge_of_the_final_good_is_that_of_every_price_upstream():
    """Three firms, ε = 2: all prices are 1/6 below their gradients, as predicted without a run."""
    economy = from_text(
        "a = x ** 0.6\nb = x ** 0.5\ny = ces(a, b, elasticity=1.5, weights=(0.5, 0.5)) ** 0.9",
        {"x": {"quantity": 2.0, "price": 0.5, "elasticity": 0.7, "adjustment": 0.3}},
        {"y": {"elasticity": 2.0, "quantity": 1.0}},
        population_of={"y": {"firms": 3, "conduct": "cournot"}},
    )
    predicted = steady_state_error(economy)
    assert predicted == pytest.approx(1 / 6, rel=1e-15)
    result = run(economy, share_rate=0.1, steps=400, engine="arrays")
    np.testing.assert_allclose(result.last_errors, [predicted] * 3 + [0.0], atol=1e-9)
    assert steady_state_error(industry(3, {"elasticity": 2.0}, conduct="competitive")) is None
    assert steady_state_error(industry(3, {"elasticity": 2.0}, bid_noise=0.1)) is None


def test_many_firms_give_the_gradient_back():
    """A competitive industry is the limit: from 100 to 1,000 firms the wedge shrinks tenfold."""
    demand = {"elasticity": 2.0}
    few, many = (
        run(industry(n, demand), engine="arrays", share_rate=0.05, steps=400, tolerance=1e-12)
        for n in (100, 1000)
    )
    assert few.last_errors[0] / many.last_errors[0] == pytest.approx(10, rel=1e-6)
    best = equilibrium(industry(1, demand, conduct="competitive"))
    gap = np.abs(many.last.quantities[0] / best.quantities[0] - 1)
    assert 0 < gap < 1e-3


def test_with_linear_demand_by_hand():
    """A monopoly of y = x at p0 = 6, c0 = 2, ε = 2: P = 9 - 3c/2, MR = 9 - 3c; supply p = 3q/4.

    MR = MC: 9 - 3c = 3c/4, c = 12/5; P = 27/5, p_x = 9/5 = MR.
    """
    economy = from_text(
        "y = x",
        {"x": {"quantity": 2.0, "price": 1.5, "elasticity": 1.0, "adjustment": 0.1}},
        {"y": {"price": 6, "quantity": 2, "elasticity": 2, "form": "linear"}},
        population={"conduct": "cournot"},
    )
    for engine in ("agents", "arrays"):
        result = run(economy, engine=engine, activation="sequential", steps=2000)
        np.testing.assert_allclose(result.last.quantities, [2.4, 2.4], rtol=1e-9)
        np.testing.assert_allclose(result.last.prices, [1.8, 5.4], rtol=1e-9)


def test_unequal_firms_mind_their_own_shares():
    """Both engines at every step; and at rest the larger firm holds back more."""
    economy = industry(3, {"elasticity": 2.0}, weights=[0.5, 0.3, 0.2])
    slow, fast = (
        run(economy, engine=engine, share_rate=0.05, steps=300) for engine in ("agents", "arrays")
    )
    np.testing.assert_allclose(fast.prices, slow.prices, rtol=1e-12)
    np.testing.assert_allclose(fast.trajectory.bids, slow.trajectory.bids, rtol=1e-12)
    held = fast.last.shares / [0.5, 0.3, 0.2]
    assert held[0] < held[1] < held[2]


@pytest.mark.parametrize(
    ("firms", "demand", "told"),
    [
        (1, {"elasticity": 0.8}, r"demand elasticity 0\.8: marginal revenue is never positive"),
        (2, {"elasticity": 0.5}, "add firms"),
    ],
)
def test_a_monopoly_needs_elastic_demand(firms, demand, told):
    with pytest.raises(MarketError, match=told):
        industry(firms, demand)
    assert industry(3, demand)


def test_conduct_is_for_those_who_sell_to_consumers():
    with pytest.raises(MarketError, match="a is not a final good"):
        from_text("a = x\ny = a", {"x": 1}, population={"conduct": "cournot"})
    economy = from_text("a = x\ny = a", {"x": 1}, population_of={"y": {"conduct": "cournot"}})
    assert run(economy).status == "converged"  # at an elastic price nothing is to be gained
    with pytest.raises(MarketError, match="no twin of firms with market power"):
        twin(economy, market_settings(), 1)
    with pytest.raises(MarketError, match="did you mean 'cournot'"):
        from_text("y = x", {"x": 1}, population={"conduct": "curnot"})


def test_the_published_sweep_is_the_formula():
    table = pd.read_csv(Path(market_abm.__file__).parent.parent / "results/cournot/table.csv")
    expected = 1 / (table["industries.firms"] * table["demand.y.elasticity"])
    np.testing.assert_allclose(table["error"], expected, atol=1e-9)


# --- returns to scale ---------------------------------------------------------------------------


@pytest.mark.parametrize("b", [0.5, 0.9, 1.0, 1.2, 1.5])
def test_a_line_of_degree_b_keeps_one_less_b_of_its_revenue(b):
    """Euler: Σ x f_x = b f, so inputs paid their marginal products cost b of the revenue."""
    economy = from_text(
        "m = cobb_douglas(x, z, exponents=(a, c))\ny = m",
        {"x": 3.0, "z": 2.0},
        parameters={"a": 0.6 * b, "c": 0.4 * b},
    )
    result = run(economy)
    assert result.status == "converged"
    accounts = result.accounts()
    assert accounts.loc["m", "margin"] == pytest.approx(1 - b, abs=1e-14)
    assert accounts.loc["y", "profit"] == pytest.approx(0.0, abs=1e-14)
    assert result.summary()["industries"]["m"]["margin"] == pytest.approx(1 - b, abs=1e-14)


def test_the_experiment_on_increasing_returns_says_who_loses(tmp_path):
    from click.testing import CliRunner

    from market_abm.cli.commands import main

    told = CliRunner().invoke(main, ["run", "increasing-returns", "--out", str(tmp_path / "r")])
    assert told.exit_code == 0
    assert "Producers of steel make losses: 20 % of their revenue." in told.output
    assert "Producers of ship" not in told.output


# --- programs that are not concave --------------------------------------------------------------


@pytest.mark.slow
def test_a_market_stops_where_gradient_ascent_does():
    """At the nearest maximum, W = 2; with nearly all of x in the other line W is above 4."""
    result = run("local-optimum")
    assert result.status == "converged"
    assert result.path.welfare[-1] == pytest.approx(2.0, rel=1e-6)
    economy = result.experiment.economy
    best = equilibrium(economy)  # from several starts
    assert best.welfare > 0.004 * 4**5
    assert result.summary()["equilibrium"]["welfare"] == pytest.approx(best.welfare - 2, rel=1e-6)
    ascent = gradient_ascent(economy, best, 1e-9)
    assert ascent.welfare[-1] == pytest.approx(2.0, rel=1e-6)
    # Where an equal split is on the other side of the pass, the market climbs the other hill.
    program = "small = sqrt(x)\nlarge = 0.005 * x ** 5\ny = small + large"
    other = run("local-optimum", overrides={"economy.program": program})
    there = equilibrium(other.experiment.economy)
    assert there.welfare > 0.005 * 4**5
    assert other.path.welfare[-1] == pytest.approx(there.welfare, rel=1e-9)


# --- an externality -----------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["agents", "arrays"])
@pytest.mark.parametrize("activation", ["simultaneous", "sequential"])
def test_a_good_that_one_pays_for_is_underpriced_and_underprovided(engine, activation):
    """Bees b: honey 3 sqrt(b) at 2 pays 3/sqrt(b), apples 2 sqrt(b) at 3 would pay as much.

    The supplier offers b = 4 p: with one payer 12/sqrt(b) = b, b = 12^(2/3); with both
    b = 24^(2/3). W = 12 sqrt(b) + 3 - b^2/8 (trees: 3 * 1).
    """
    settings = {"run.engine": engine, "market.activation": activation}
    result = run("externality", overrides=settings, tolerance=1e-11)
    bees = result.goods.index("bees")
    few, right = 12 ** (2 / 3), 24 ** (2 / 3)
    assert result.last.quantities[bees] == pytest.approx(few, rel=1e-9)
    assert result.last.prices[bees] == pytest.approx(few / 4, rel=1e-9)
    assert result.last_gradients[bees] == pytest.approx(2 * few / 4, rel=1e-9)
    assert result.status == "off_gradient" and "bees" in result.ending.detail
    best = result.equilibrium
    assert best.quantities[bees] == pytest.approx(right, rel=1e-9)
    welfare = [12 * b**0.5 + 3 - b**2 / 8 for b in (few, right)]
    assert result.path.welfare[-1] == pytest.approx(welfare[0], rel=1e-9)
    assert best.welfare == pytest.approx(welfare[1], rel=1e-9)
    paid = run("externality", overrides={**settings, "reuse.bees": "copy"})
    assert paid.status == "converged"
    assert paid.last.quantities[bees] == pytest.approx(right, rel=1e-7)


def test_the_derivation_shows_what_is_not_paid():
    from market_abm.views.explain import explain

    (section,) = [s for s in explain(run("externality")) if s.title == "bees"]
    assert "only the first one pays" in section.note
    (pair,) = section.pairs
    assert pair.condition == "p_bees = bid[bees by honey]"
    assert pair.backprop == "df_dbees = term[bees in honey] + term[bees in apples]"
    with pytest.raises(MarketError, match="no twin of users that do not pay"):
        twin(run("externality").experiment.economy, market_settings(), 1)
