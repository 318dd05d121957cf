"""A national economy computes its Domar weights, and they are its gradient (docs/model.md, 4).

The market of firms that know their own accounts on one side; on the other linear algebra on the
table (``gradient/closed_form.py``), which itself is held to eigenvalues, to differences of exact
solutions, and to the best allocation that SciPy finds.
"""

import itertools

import numpy as np
import pytest
from support.profiles import members
from support.tables import made_up, three

import market_abm
from market_abm import from_input_output, market_settings, read_table
from market_abm.analysis.stability import stability
from market_abm.errors import MarketError
from market_abm.gradient.closed_form import (
    closed_form,
    domar_weights,
    second_order,
    spectral_radius,
)
from market_abm.gradient.equilibrium import equilibrium
from market_abm.market.arrays import ArrayEngine

TABLE = read_table("us-2023")
POST = {"mechanism": "trading-post", "engine": "arrays"}


def productivities(n, spread=0.2, seed=0):
    return np.exp(spread * np.random.default_rng(seed).normal(size=n))


def economy_of(table, z, **options):
    return from_input_output(
        table, productivity=dict(zip(table.codes, z.tolist(), strict=True)), **options
    )


def places(economy, table):
    return [economy.index[code] for code in table.codes]


# --- the closed forms -----------------------------------------------------------------------------


def test_the_united_states():
    """As told with the table: 0.417, and 1.632 over final use; sales are its outputs, 1e-14."""
    assert spectral_radius(TABLE) == pytest.approx(0.417, abs=5e-4)
    weights = domar_weights(TABLE)
    assert weights.sum() == pytest.approx(1.632, abs=5e-4)
    np.testing.assert_allclose(weights * TABLE.final_use.sum(), TABLE.output, rtol=1e-14)


def test_three_industries_by_hand():
    """λ of ``three``: outputs of 10 over final uses of 21."""
    np.testing.assert_allclose(domar_weights(three()), 10.0 / 21.0, rtol=1e-14)


@pytest.mark.parametrize("sigma", [0.2, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("inner", [None, 0.3, 2.0])
def test_prices_are_unit_costs(sigma, inner):
    """p z = (a M^(1-σ) + (1 - a) w^(1-σ))^(1/(1-σ)), written out again here, to 1e-13."""
    table, z = made_up(7, density=0.5), productivities(7)
    found = closed_form(table, z, elasticity=sigma, materials_elasticity=inner, supply=2.0)

    def mean(prices, weights, s):
        if s == 1.0:
            return np.prod(prices**weights)
        return (weights @ prices ** (1.0 - s)) ** (1.0 / (1.0 - s))

    prices = np.exp(found.log_prices)
    for k in range(7):
        column, total = table.shares[:, k], table.shares[:, k].sum()
        of_materials = (
            mean(prices, column / total, sigma if inner is None else inner) if total else 1.0
        )
        cost = mean(np.array([of_materials, 0.5]), np.array([total, 1.0 - total]), sigma)
        assert prices[k] * z[k] == pytest.approx(cost, rel=1e-13)
    spent = np.exp(table.final_shares @ (np.log(table.final_shares) - found.log_prices))
    benchmark = np.exp(table.final_shares @ np.log(table.final_shares))
    assert found.log_consumption == pytest.approx(np.log(spent / benchmark), abs=1e-13)
    paid = found.sales @ (1.0 - found.shares.sum(axis=0))
    assert paid == pytest.approx(1.0, rel=1e-13)  # all that is spent comes to the factor


@pytest.mark.parametrize("inner", [None, 0.5])
def test_prices_are_continuous_at_an_elasticity_of_one(inner):
    """From both sides, as near as 1e-9: what then differs is 1e-9 of logs of 0.2."""
    z = productivities(TABLE.size)
    at_one = closed_form(TABLE, z, materials_elasticity=inner).log_prices
    for sigma in (1.0 - 1e-9, 1.0 + 1e-9):
        near = closed_form(TABLE, z, elasticity=sigma, materials_elasticity=inner).log_prices
        np.testing.assert_allclose(near, at_one, atol=1e-9)


def test_the_two_ways_to_prices_agree():
    """The linear system, and Newton's method for a nest that hardly differs; 1e-11 apart, or so."""
    z = productivities(TABLE.size)
    for sigma in (0.5, 2.0):
        flat = closed_form(TABLE, z, elasticity=sigma)
        nested = closed_form(TABLE, z, elasticity=sigma, materials_elasticity=sigma + 1e-12)
        np.testing.assert_allclose(flat.log_prices, nested.log_prices, atol=1e-11)


@pytest.mark.parametrize(("sigma", "inner"), [(1.0, None), (0.5, None), (2.0, None), (0.5, 0.2)])
def test_sales_are_the_gradient_of_consumption(sigma, inner):
    """Hulten, away from the table: five-point differences of ln C, which err by 1e-11."""
    z, h = productivities(TABLE.size), 1e-3
    sales = closed_form(TABLE, z, elasticity=sigma, materials_elasticity=inner).sales

    def consumption(k, step):
        moved = z * np.where(np.arange(TABLE.size) == k, np.exp(step), 1.0)
        return closed_form(
            TABLE, moved, elasticity=sigma, materials_elasticity=inner
        ).log_consumption

    for k in range(0, TABLE.size, 10):
        near = consumption(k, h) - consumption(k, -h)
        far = consumption(k, 2 * h) - consumption(k, -2 * h)
        assert (8.0 * near - far) / (12.0 * h) == pytest.approx(sales[k], abs=1e-11)


@pytest.mark.parametrize(
    ("sigma", "inner"), [(1.0, None), (0.5, None), (2.0, None), (0.5, 2.0), (1.0, 0.2)]
)
def test_the_second_order_term(sigma, inner):
    """Second differences of ln C at five points 0.01 apart, of every industry.

    They err by h^4, 1e-8, times sixth derivatives, and by some 1e-15/h², 1e-11; terms are 1e-2.
    """
    h = 0.01
    told = second_order(TABLE, elasticity=sigma, materials_elasticity=inner)

    def consumption(k, step):
        z = np.where(np.arange(TABLE.size) == k, np.exp(step), 1.0)
        return closed_form(TABLE, z, elasticity=sigma, materials_elasticity=inner).log_consumption

    for k in range(TABLE.size):
        near = consumption(k, h) + consumption(k, -h)
        far = consumption(k, 2 * h) + consumption(k, -2 * h)
        measured = (16.0 * near - far - 30.0 * consumption(k, 0.0)) / (12.0 * h**2)
        assert measured == pytest.approx(told[k], abs=2e-9)
    if inner is None:
        assert np.all(np.sign(told) == np.sign(sigma - 1.0))


def test_where_there_is_no_equilibrium():
    """Complements that waste more than there is; substitutes that make more out of themselves."""
    for sigma, z in ((0.01, 0.2), (3.0, 3.0)):
        with pytest.raises(
            MarketError, match=f"with elasticity {sigma:g}, there is no equilibrium"
        ):
            closed_form(TABLE, np.full(71, z), elasticity=sigma)
    with pytest.raises(MarketError, match="there is no equilibrium"):
        closed_form(TABLE, np.full(71, 0.2), elasticity=0.01, materials_elasticity=0.02)


@pytest.mark.parametrize("sigma", [0.6, 1.0, 1.7])
def test_the_best_allocation_is_the_closed_form(sigma):
    """SciPy maximises the surplus of a small economy, and finds these prices, to 1e-12."""
    table, z = made_up(3, seed=1), productivities(3)
    economy = economy_of(table, z, substitution_elasticity=sigma)
    best = equilibrium(economy)
    assert best.solved
    found = closed_form(table, z, elasticity=sigma)
    logs = np.log(best.prices[places(economy, table)])
    np.testing.assert_allclose(logs, found.log_prices, atol=1e-12)
    assert np.log(best.quantities[-1]) == pytest.approx(found.log_consumption, abs=1e-12)


# --- the market -----------------------------------------------------------------------------------


def test_a_national_economy_computes_its_domar_weights():
    """Sales and prices within 1e-12 in 60 steps, at the rate of the largest eigenvalue.

    In 60 steps 0.417 has become 1e-23, so that rounding is all that is left: some ulps for each of
    the ten rounds of sales that count. The rate is measured between steps 20 and 30, where the
    second eigenvalue has died out and the error, 1e-7 to 1e-11, is far above rounding.
    """
    z = productivities(TABLE.size)
    economy = economy_of(TABLE, z)
    result = market_abm.run(economy, **POST, steps=60, tolerance=1e-15)
    goods, weights = places(economy, TABLE), domar_weights(TABLE)
    told = closed_form(TABLE, z)
    assert np.ptp(told.log_prices) > 0.5  # the prices are not all 1
    off = np.abs((result.prices * result.quantities)[:, goods] / weights - 1.0).max(axis=1)
    assert off[0] > 0.1 and off[60] < 1e-12
    assert (off[30] / off[20]) ** 0.1 == pytest.approx(spectral_radius(TABLE), rel=0.01)
    np.testing.assert_allclose(np.log(result.prices[-1, goods]), told.log_prices, atol=1e-12)
    household = economy.index["household"]
    assert np.log(result.quantities[-1, household]) == pytest.approx(
        told.log_consumption, abs=1e-12
    )


def test_the_experiment_finds_the_table():
    """At productivities of 1, prices are 1 and quantities are the outputs, over final use."""
    result = market_abm.run("us-economy")
    assert result.status == "converged" and result.steps <= 60
    goods = places(result.experiment.economy, TABLE)
    outputs = TABLE.output / TABLE.final_use.sum()
    np.testing.assert_allclose(result.last.quantities[goods], outputs, rtol=1e-11)
    np.testing.assert_allclose(result.last.prices, 1.0, rtol=1e-11)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["arrays", "agents"])
def test_bids_per_unit_need_a_share_rate(engine):
    """Settles at 0.1; at 0.4 shares overshoot for ever more."""
    economy = economy_of(TABLE, productivities(TABLE.size))
    told = closed_form(TABLE, productivities(TABLE.size))
    for share_rate, status in ((0.1, "converged"), (0.4, "diverged")):
        result = market_abm.run(economy, engine=engine, steps=250, share_rate=share_rate)
        assert result.status == status
        if status == "converged":  # to the run's tolerance, 1e-9, at a rate of some 0.9
            logs = np.log(result.last.prices[places(economy, TABLE)])
            np.testing.assert_allclose(logs, told.log_prices, atol=1e-7)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_the_rate_is_an_eigenvalue_of_the_step(n):
    """The largest eigenvalue of the market's own step is that of A, where σ = 1 and α = 1.

    It comes twice, for money by A and for the goods that follow it by Aᵀ, in one Jordan block: the
    1e-10 that differences of a step err by divides the two by its root, 4e-6 to 4e-5 here.
    """
    table = made_up(n, seed=n)
    near = stability(from_input_output(table), market_settings(mechanism="trading-post"))
    assert near.radius == pytest.approx(spectral_radius(table), rel=1e-4)


@pytest.mark.parametrize(
    ("sigma", "n"),
    members(
        itertools.product((0.7, 1.0, 1.5), (1, 2, 3, 7, 13)),
        quick=[(0.7, 1), (1.5, 2), (0.7, 3), (1.0, 7), (1.5, 13)],
    ),
)
def test_made_up_economies(n, sigma):
    """Flat and nested, to 1e-7 with a tolerance of 1e-10 on prices and quantities."""
    table, z = made_up(n, seed=n, density=0.4), productivities(n)
    for inner in (None, 0.9):
        economy = economy_of(table, z, substitution_elasticity=sigma, materials_elasticity=inner)
        result = market_abm.run(economy, **POST, steps=2000, bid_rate=0.6, tolerance=1e-10)
        assert result.status == "converged"
        told = closed_form(table, z, elasticity=sigma, materials_elasticity=inner)
        goods = places(economy, table)
        np.testing.assert_allclose(np.log(result.last.prices[goods]), told.log_prices, atol=1e-7)
        sales = (result.last.prices * result.last.quantities)[goods]
        np.testing.assert_allclose(sales, told.sales, rtol=1e-7)


def log_consumption(steps, bid_rate, shocks, **options):
    """Ln C of the United States after so many steps, one economy for each of ``shocks`` to ln z."""
    economies = [economy_of(TABLE, np.exp(shock), **options) for shock in shocks]
    settings = market_settings(mechanism="trading-post", bid_rate=bid_rate)
    count = len(economies)
    market = ArrayEngine(economies, [settings] * count, [1] * count)
    for _ in range(steps):
        market.step()
    assert not market.failed
    return np.log(market.quantities[:, market.economy.index["household"]])


@pytest.mark.parametrize(
    ("sigma", "bid_rate", "steps"),
    members([(1.0, 1.0, 60), (0.5, 0.5, 120)], quick=[(1.0, 1.0, 60)]),
)
def test_hulten_by_simulation(sigma, bid_rate, steps):
    """A productivity 0.1 % higher, in each of 71 economies: d ln C over it is the Domar weight.

    Within 1e-3: the second-order term over the weight is at most 0.6 here, and half of it times
    0.001 is what the difference errs by.
    """
    h, n = 1e-3, TABLE.size
    logs = log_consumption(
        steps, bid_rate, [np.zeros(n), *h * np.eye(n)], substitution_elasticity=sigma
    )
    np.testing.assert_allclose((logs[1:] - logs[0]) / h, domar_weights(TABLE), rtol=1e-3)


@pytest.mark.slow
def test_beyond_hulten_by_simulation():
    """Productivities 10 % up and down, σ = 1/2: losses are larger than gains, as told, within 5 %.

    The fourth-order term makes up some 0.2 %; the exact solution is met to 1e-9.
    """
    h, n = 0.1, TABLE.size
    shocks = [np.zeros(n), *h * np.eye(n), *-h * np.eye(n)]
    logs = log_consumption(200, 0.5, shocks, substitution_elasticity=0.5)
    exact = [closed_form(TABLE, np.exp(s), elasticity=0.5).log_consumption for s in shocks]
    np.testing.assert_allclose(logs, exact, atol=1e-9)
    curvature = (logs[1 : n + 1] + logs[n + 1 :] - 2.0 * logs[0]) / h**2
    assert np.all(curvature < 0.0)
    np.testing.assert_allclose(curvature, second_order(TABLE, elasticity=0.5), rtol=0.05)


# --- large tables ---------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["arrays", "agents"])
def test_four_hundred_sectors(engine):
    """160,000 flows, in seconds: sales are the Domar weights to 1e-12 after 60 steps.

    (Rates of 0.6 and below: 0.6^60 is 5e-14.) The agents are given the first 30 only.
    """
    rng = np.random.default_rng(0)
    flows = rng.lognormal(0.0, 1.5, (400, 400)) * (rng.random((400, 400)) < 0.99)
    flows *= 0.55 / flows.sum(axis=0)  # of an output of 1 each
    outputs = np.ones(400)
    wanted = outputs - flows.sum(axis=1)
    scale = 0.9 / max(1.0, flows.sum(axis=1).max())  # so that every final use is above 0
    flows, wanted = flows * scale, outputs - (flows * scale).sum(axis=1)
    codes = [f"{k}" for k in range(400)]
    table = market_abm.InputOutputTable(codes, codes, flows, outputs, wanted)
    steps, bound = (60, 1e-12) if engine == "arrays" else (30, 1e-6)
    economy = from_input_output(table)
    result = market_abm.run(
        economy, mechanism="trading-post", engine=engine, steps=steps, tolerance=1e-15
    )
    sales = (result.last.prices * result.last.quantities)[places(economy, table)]
    np.testing.assert_allclose(sales, domar_weights(table), rtol=bound)


@pytest.mark.slow
def test_a_thousand_firms_in_every_sector():
    """71,000 unequal firms with 5 million inputs: sales are the same Domar weights.

    Lognormal weights and productivities with the weighted mean kept; under constant returns the
    best firm of a sector takes it over in the end, so this is of firms of equal productivity.
    """
    economy = from_input_output(TABLE, firms=1000, population={"weight_spread": 0.5})
    result = market_abm.run(economy, **POST, steps=25, tolerance=1e-15)
    sales = (result.last.prices * result.last.quantities)[places(economy, TABLE)]
    np.testing.assert_allclose(sales, domar_weights(TABLE), rtol=1e-8)  # 0.417^25 is 3e-10
