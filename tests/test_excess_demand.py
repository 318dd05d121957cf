"""The excess-demand baseline: its equilibrium, its books, and where it comes back to rest.

Independent sources: CES firms in the textbook's form (not the paper's), solved for by SciPy on the
conditions of equilibrium; a cost minimisation by SciPy; ledgers added up from what was traded; a
condition for slumps to end, derived on paper from the equations.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from pandas import DataFrame
from scipy.optimize import minimize, root
from support.economies import uneven
from support.figures import assert_nothing_is_cut_off

import market_abm
from market_abm import from_input_output, market_settings, read_table
from market_abm.baselines.dessertaine2022.economy import (
    TECHNOLOGIES,
    NetworkEconomy,
    random_network,
)
from market_abm.baselines.dessertaine2022.plane import phase_plane, simulate
from market_abm.baselines.dessertaine2022.step import (
    ExcessDemandSettings,
    equilibrium_state,
    household_plan,
    input_demand,
    production,
    step,
)
from market_abm.errors import EconomyError, MarketError, SettingError
from market_abm.gradient.closed_form import closed_form
from market_abm.market.mechanisms.registry import array_market
from market_abm.views.plots.phase_plane import phase_plane_figure

KINDS = [(0.0, 1.0), (0.0, 0.95), (0.4, 1.0), (1.0, 1.0), (3.0, 0.9), (math.inf, 1.0)]


# --- the equilibrium ---------------------------------------------------------------------------


def textbook_demand(economy: NetworkEconomy, prices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unit cost and inputs of a unit of γ at b = 1, from CES in x = Q/J with elasticity σ.

    c = (Σ a^σ (pJ)^(1−σ))^(1/(1−σ)) and x = (a c/(pJ))^σ (Varian, Microeconomic Analysis, ch. 1).
    """
    full = np.append(1.0, prices)
    dear = np.where(economy.coefficients > 0, economy.coefficients, 1.0) * full
    used = economy.coefficients > 0
    q = economy.substitution
    if q == 0.0:
        unit = used * 1.0
        cost = np.sum(unit * dear, axis=1)
    elif math.isinf(q):
        safe = np.where(used, economy.weights, 1.0)
        cost = np.prod(np.where(used, (dear / safe) ** economy.weights, 1.0), axis=1)
        unit = economy.weights * cost[:, None] / dear
    else:
        sigma = q / (1.0 + q)
        parts = economy.weights**sigma * dear ** (1.0 - sigma)
        cost = np.sum(parts, axis=1) ** (1.0 / (1.0 - sigma))
        unit = (economy.weights * cost[:, None] / dear) ** sigma
    return cost, unit * economy.coefficients


@pytest.mark.parametrize("spending", [1.0, 0.7])
@pytest.mark.parametrize(("substitution", "returns"), KINDS)
def test_the_equilibrium_clears_markets_without_profit(substitution, returns, spending):
    """Against SciPy's root of profit and excess demand, in logs from elsewhere, to 1e-9.

    The root is found to 1e-12 or so; 1e-9 leaves room for the condition of the system.
    """
    economy = uneven(3, substitution, returns, spending=spending)
    n = economy.firms

    def conditions(logs):
        prices, outputs, hours = np.exp(logs[:n]), np.exp(logs[n : 2 * n]), np.exp(logs[-1])
        cost, unit = textbook_demand(economy, prices)
        scale = outputs ** (1.0 / returns)
        made = economy.productivity * outputs
        worth = economy.aversion * hours / economy.labour**2 / economy.spending  # of money
        wanted = unit[:, 1:].T @ scale + economy.tastes / (worth * prices)
        hired = unit[:, 0] @ scale
        return np.concatenate(
            [
                np.log(prices * made) - np.log(cost * scale),
                np.log(wanted) - np.log(made),
                [np.log(hired) - np.log(hours)],
            ]
        )

    rest = economy.equilibrium
    expected = np.log(np.concatenate([rest.prices, rest.outputs, [rest.labour]]))
    found = root(conditions, expected + 0.05 * np.cos(np.arange(2 * n + 1)), tol=1e-13)
    assert np.abs(conditions(found.x)).max() < 1e-10
    assert found.x == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("spoilage", [0.0, 0.3, math.inf])
@pytest.mark.parametrize("spending", [1.0, 0.7])
@pytest.mark.parametrize(("substitution", "returns"), KINDS)
def test_the_equilibrium_is_a_fixed_point(substitution, returns, spending, spoilage):
    """A step moves nothing by more than 1e-12 of its size: rounding of some tens of sums.

    What is 0 at rest (profit, stocks, what is unsold) is compared with quantities of its kind.
    """
    for economy in (
        uneven(5, substitution, returns, spending=spending),
        random_network(30, 4, 2, substitution=substitution, returns=returns, hawkins_simon=1.0),
    ):
        start = equilibrium_state(economy)
        after, books = step(economy, ExcessDemandSettings(spoilage=spoilage), start)
        sizes = {"unsold": start.demand, "profit": 1.0, "stocks": books.bought, "savings": 1.0}
        for item in dataclasses.fields(start):
            before = getattr(start, item.name)
            moved = np.abs(getattr(after, item.name) - before)
            assert np.all(moved <= 1e-12 * sizes.get(item.name, before)), item.name
        assert books.wage == pytest.approx(1.0, abs=1e-14)


@pytest.mark.parametrize(("substitution", "returns"), KINDS)
def test_inputs_are_the_cheapest(substitution, returns):
    """They make the target (to rounding); none of the mixes that SciPy tries does so for less."""
    economy = uneven(7, substitution, returns)
    rng = np.random.default_rng(1)
    prices, target = rng.uniform(0.5, 2.0, 8), rng.uniform(0.5, 2.0, 8)
    wanted = input_demand(economy, prices, target)
    with np.errstate(all="ignore"):
        assert production(economy, wanted) == pytest.approx(target, rel=1e-12)
    full, used = np.append(1.0, prices), economy.coefficients[0] > 0

    def cost(logs):
        inputs = np.zeros((8, 9))
        inputs[:, used] = np.exp(logs)  # firm 0's; that of the others does not matter
        with np.errstate(all="ignore"):
            made = production(economy, inputs)[0]
        return float(full[used] @ np.exp(logs)) * (target[0] / made) ** (1.0 / returns)

    own = np.log(wanted[0, used])
    best = minimize(cost, own + 0.3 * np.cos(np.arange(used.sum())), method="Nelder-Mead")
    assert cost(own) == pytest.approx(full @ wanted[0], rel=1e-12)
    assert best.fun >= cost(own) * (1.0 - 1e-12)
    assert best.fun == pytest.approx(cost(own), rel=0.02 if substitution == 0.0 else 1e-6)


def test_technologies_meet_in_their_limits():
    """q = 1e-6 is Leontief and q = 1e6 Cobb–Douglas, to the order of 1e-6 (times logs, powers)."""
    for limit, near in ((0.0, 1e-6), (math.inf, 1e6)):
        exact = dataclasses.replace(uneven(2, 1.0), substitution=limit)
        close = dataclasses.replace(exact, substitution=near)
        assert close.equilibrium.prices == pytest.approx(exact.equilibrium.prices, rel=1e-4)
        assert close.equilibrium.outputs == pytest.approx(exact.equilibrium.outputs, rel=1e-4)


@pytest.mark.parametrize("substitution", [0.0, 0.4, 1.0, 5.0])
def test_the_hawkins_simon_number_is_what_was_asked_for(substitution):
    """And decides: below 0 there is no equilibrium. Cobb–Douglas always has one."""
    made = random_network(30, 4, 1, substitution=substitution, hawkins_simon=1.0)
    assert made.hawkins_simon == pytest.approx(1.0, abs=1e-10)
    lame = dataclasses.replace(made, productivity=made.productivity * 1e-3)
    assert lame.hawkins_simon < 0.0
    with pytest.raises(EconomyError, match="no equilibrium.*raise the productivities"):
        _ = lame.equilibrium
    easy = dataclasses.replace(lame, substitution=math.inf)
    assert easy.hawkins_simon > 0.0 and np.all(easy.equilibrium.prices > 0.0)


def test_technologies_on_one_network_share_their_equilibrium():
    """With J = a and z = 1 all prices are 1 wage, and ε is the labour share, whatever q is."""
    economies = [
        random_network(12, 3, 4, substitution=q, labour_share=0.3) for q in (0, 1, math.inf)
    ]
    for economy in economies:
        assert economy.hawkins_simon == pytest.approx(0.3, abs=1e-12)
        assert economy.equilibrium.prices == pytest.approx(np.ones(12), rel=1e-12)
        assert economy.equilibrium.outputs == pytest.approx(
            economies[0].equilibrium.outputs, rel=1e-12
        )


# --- the books ---------------------------------------------------------------------------------


@pytest.mark.parametrize("spoilage", [0.0, 0.3, math.inf])
@pytest.mark.parametrize(("substitution", "returns"), KINDS)
def test_goods_and_money_are_conserved(substitution, returns, spoilage):
    """At every step of a rough ride, to 1e-12 of what there is: rounding.

    Goods: made + stocks before = consumed + used up + stocks after + spoiled, in which what is
    spoiled is the part 1 − e^(−σδ) of what was left over; no one gets what is not there. Money:
    the firms' gains less their losses are what the household's savings lost; wages are its income.
    """
    settings = ExcessDemandSettings(
        0.5, 0.3, 0.6, 0.4, wage_rate=0.03, spoilage=spoilage, step=0.5, confidence_rate=0.1
    )
    economy = uneven(11, substitution, returns, spending=0.8)
    rng = np.random.default_rng(2)
    state = equilibrium_state(economy)
    state = dataclasses.replace(
        state, prices=state.prices * rng.uniform(0.8, 1.25, 8), outputs=state.outputs * 0.9
    )
    short = 0
    for _ in range(15):  # a Leontief economy without stocks has collapsed after 20
        with np.errstate(all="ignore"):
            after, books = step(economy, settings, state)
        made = economy.productivity * state.outputs
        stored = state.unsold + state.stocks[:, 1:].sum(axis=0)
        used = books.used[:, 1:].sum(axis=0)
        left = made + stored - books.consumed - used
        kept = math.exp(-spoilage * settings.step)
        there = made + stored
        stored_after = after.unsold + after.stocks[:, 1:].sum(axis=0)
        assert np.all(np.abs(left * kept - stored_after) <= 1e-12 * there)
        sold = books.bought[:, 1:].sum(axis=0) + books.consumed
        assert np.all(sold <= books.supply * (1 + 1e-12))
        assert books.bought[:, 0].sum() <= state.labour[0] * (1 + 1e-12)
        assert np.all(books.used <= (state.stocks + books.bought) * (1 + 1e-12))
        assert np.all(after.stocks >= 0.0) and np.all(after.unsold >= 0.0)
        flow = books.gains.sum()
        profit = flow - books.losses.sum()
        saved = books.savings[0] - state.savings[0]
        assert abs(profit + saved) <= 1e-12 * (flow + state.savings[0])
        spent = state.prices @ books.consumed
        assert saved == pytest.approx(books.bought[:, 0].sum() - spent, abs=1e-12 * (1 + spent))
        assert after.savings[0] * books.wage[0] == pytest.approx(books.savings[0], abs=1e-12)
        short += np.any(sold < after.demand * 0.99) + np.any(left > 0.01 * there)
        state = after
    assert short > 10  # there was rationing, and there were leftovers


def test_the_household_does_its_best():
    """Its plan maximises θ ln C − Γ (L/L₀)²/2 where p C = f (savings + L), by SciPy, to 1e-5."""
    economy = dataclasses.replace(uneven(1, 1.0), spending=0.6)
    rng = np.random.default_rng(3)
    prices, savings = rng.uniform(0.5, 2.0, 8), np.array([0.4])
    plan, labour = household_plan(economy, prices, savings, np.ones(1))
    assert prices @ plan == pytest.approx(0.6 * (0.4 + labour[0]), rel=1e-12)

    def loss(logs):
        bought = np.exp(logs)
        hours = prices @ bought / 0.6 - 0.4
        disutility = economy.aversion * (hours / economy.labour) ** 2 / 2
        return disutility - economy.tastes @ np.log(bought) + (1e3 * hours**2 if hours < 0 else 0.0)

    best = minimize(loss, np.log(plan) + 0.1, tol=1e-12)
    assert np.exp(best.x) == pytest.approx(plan, rel=1e-5)


# --- runs --------------------------------------------------------------------------------------


def test_runs_side_by_side_are_the_runs_alone():
    """To 1e-12 over 40 steps: the same arithmetic, in vectors of other lengths."""
    settings = [
        ExcessDemandSettings(a, a, 0.25, 0.25, spoilage=s) for a in (0.2, 0.6) for s in (0.0, 1.0)
    ]
    economies = [random_network(10, 3, k, substitution=1.0) for k in range(4)]
    seeds = [5, 6, 7, 8]
    together = simulate(economies, settings, seed=seeds, steps=40, every=7)
    assert list(together.times) == [0, 7, 14, 21, 28, 35, 40]
    for k, seed in enumerate(seeds):
        alone = simulate(economies[k], settings[k], seed=seed, steps=40, every=7)
        assert together.prices[k] == pytest.approx(alone.prices[0], rel=1e-12)
        assert together.outputs[k] == pytest.approx(alone.outputs[0], rel=1e-12)
        assert together.unsold[k] == pytest.approx(alone.unsold[0], rel=1e-9, abs=1e-12)
        assert together.stocks[k] == pytest.approx(alone.stocks[0], rel=1e-9, abs=1e-12)
        assert together.status[k] == alone.status[0]


def test_a_run_that_has_ended_leaves_the_others_alone():
    """One diverges, one converges, one goes on: each as it does alone, and keeps its last state."""
    economy = random_network(30, 4, 1, substitution=1.0)
    settings = [ExcessDemandSettings(a, a, b, b) for a, b in ((0.05, 0.1), (0.5, 0.5), (0.5, 0.25))]
    runs = simulate(economy, settings, steps=800, every=50)
    assert runs.status[1] == "converged" and runs.steps[1] < 800
    for k, each in enumerate(settings):
        alone = simulate(economy, each, steps=800, every=50)
        assert (runs.status[k], runs.steps[k]) == (alone.status[0], alone.steps[0])
    at = np.searchsorted(runs.times, runs.steps[1])
    assert np.all(runs.prices[1, at:] == runs.prices[1, -1])
    assert runs.prices[1, -1] == pytest.approx(economy.equilibrium.prices, rel=1e-3)
    assert runs.distance[1] == np.max(
        np.abs(
            np.concatenate(
                [
                    runs.prices[1, -1] / economy.equilibrium.prices,
                    runs.outputs[1, -1] / economy.equilibrium.outputs,
                ]
            )
            - 1.0
        )
    )


def test_undisturbed_it_stays_where_it_is():
    """And a disturbance is as large as it was asked to be."""
    economy = random_network(10, 3, 1, substitution=1.0)
    runs = simulate(economy, ExcessDemandSettings(), steps=20, perturbation=0.0)
    assert runs.status == ("converged",) and runs.steps[0] == 10 and runs.distance[0] < 1e-12
    runs = simulate(economy, ExcessDemandSettings(), steps=0, perturbation=0.05)
    assert 0.03 < runs.distance[0] < 0.05 and runs.status == ("max_steps",)


@pytest.mark.parametrize("substitution", [0.0, 1.0, math.inf])
@pytest.mark.parametrize(
    ("beta", "beta_", "share"), [(0.15, 0.2, 0.5), (0.2, 0.1, 0.4), (0.4, 0.3, 0.5)]
)
def test_slumps_end_where_the_wage_is_slow_enough(substitution, beta, beta_, share):
    """If and only if ω < α s β/β′ (module docstring): tried 5 % below and above, for any q.

    All firms start 0.1 % short of their output; in a symmetric network they move together, so that
    other instabilities have nothing to grow from but rounding. A slump ends if outputs are nearer
    to rest after 2000 steps than after 300, when what is fast has died down: even so near to the
    boundary the gap has by then changed by a factor of 2 at least (measured: 4 and more).
    """
    weights = np.zeros((3, 4))
    weights[:, 0] = share
    for k in range(3):
        weights[k, 1 + (k + 1) % 3] = 1.0 - share
    economy = NetworkEconomy(weights, weights, np.ones(3), np.ones(3) / 3, substitution)
    alpha = 0.25
    critical = alpha * share * beta / beta_
    for factor, ends in ((0.95, True), (1.05, False)):
        settings = ExcessDemandSettings(
            alpha, alpha, beta, beta_, wage_rate=factor * critical, confidence_rate=0.0
        )
        state = equilibrium_state(economy)
        state = dataclasses.replace(state, outputs=state.outputs * 0.999)
        gaps = []
        with np.errstate(all="ignore"):
            for _ in range(2000):
                state, _ = step(economy, settings, state)
                gaps.append(np.abs(np.log(state.outputs / economy.equilibrium.outputs)).max())
        early, late = gaps[300], gaps[-1]
        assert late < early / 2 if ends else late > 2 * early, (factor, early, late)


# --- the plane ---------------------------------------------------------------------------------


def converged_cells(table: DataFrame) -> DataFrame:
    """How many cells of a plane converged: a row per technology, a column per network."""
    converged = (table["status"] == "converged").groupby([table["technology"], table["network"]])
    return converged.sum().unstack("network").loc[table["technology"].unique()]


def test_a_small_plane_and_its_figure():
    """Where substitution is easy more cells converge; the table and the figure tell the same."""
    table = phase_plane((0.1, 0.5), networks=(1, 2), firms=12, degree=3, steps=600)
    assert len(table) == 4 * 2 * 4
    assert set(table["status"]) <= {"converged", "elsewhere", "diverged", "max_steps"}
    cells = converged_cells(table)
    assert list(cells.index) == list(TECHNOLOGIES) and list(cells.columns) == [1, 2]
    assert np.all(cells.loc["Cobb–Douglas"] > cells.loc["Leontief"])
    figure = phase_plane_figure(table.assign(model="published"))
    assert_nothing_is_cut_off(figure)
    assert set(TECHNOLOGIES) <= {text.get_text() for text in figure.texts}
    for name, axes in zip(TECHNOLOGIES, figure.axes, strict=False):
        shown = sum(int(text.get_text()) for text in axes.texts)
        assert shown == cells.loc[name].sum()
        assert axes.get_title().endswith(f" {cells.loc[name].mean():.1f} of 4 cells")


@pytest.mark.slow
def test_the_plane_of_the_paper():
    """What the paper says of its plane, in each of five networks, as whole numbers of cells.

    Easy substitution widens convergence: with durable goods strictly, from each technology to the
    next; with perishable goods by twice at least from Leontief to any that substitutes (measured:
    2.6 times or more), while among those the order is not the same in all networks, and is not
    held. Perishability and diminishing returns widen it as well.
    """
    technologies = {
        "Leontief": (0.0, 1.0),
        "Leontief, b = 0.95": (0.0, 0.95),
        "q = 1/3": (1.0 / 3.0, 1.0),
        "q = 1": (1.0, 1.0),
        "Cobb–Douglas": (math.inf, 1.0),
    }
    durable = converged_cells(
        phase_plane(technologies=technologies, settings=ExcessDemandSettings(spoilage=0.0))
    )
    perishable = converged_cells(phase_plane(technologies=technologies))
    constant = [name for name in technologies if technologies[name][1] == 1.0]
    assert np.all(durable.loc[constant].diff().iloc[1:] > 0), durable
    assert np.all(perishable.loc[constant[1:]] >= 2 * perishable.loc["Leontief"]), perishable
    assert np.all(perishable.loc[constant] > durable.loc[constant]), (perishable, durable)
    assert np.all(perishable.loc["Leontief, b = 0.95"] >= perishable.loc["Leontief"]), perishable


# --- mistakes ----------------------------------------------------------------------------------


def test_mistakes_are_told_in_a_sentence():
    good = random_network(4, 2, 1)
    other = random_network(4, 2, 1, substitution=1.0)
    free = good.coefficients.copy()
    free[0, 0] = 0.0
    settings = ExcessDemandSettings()
    for wrong, words in (
        (lambda: ExcessDemandSettings(wage_rate=-1), "wage_rate is -1; must be"),
        (lambda: ExcessDemandSettings(step=0), "step is 0; must be"),
        (lambda: random_network(4, 4, 1), "degree is 4; must be"),
        (lambda: random_network(4, 2, 1, labour_share=0), "labour_share is 0; must be"),
        (lambda: dataclasses.replace(good, substitution=-1), "substitution is -1; must be"),
        (lambda: dataclasses.replace(good, returns=1.5), "returns is 1.5; must be"),
        (lambda: dataclasses.replace(good, tastes=[1, 2]), "tastes has shape"),
        (lambda: dataclasses.replace(good, tastes=[1, 2, 0, 1]), "tastes holds a 0"),
        (lambda: dataclasses.replace(good, tastes=[1, 2, math.nan, 1]), "not finite"),
        (lambda: dataclasses.replace(good, coefficients=free), "uses no labour"),
        (lambda: dataclasses.replace(good, weights=good.weights * 2), "must sum to 1"),
        (lambda: good.with_technology(0.0, hawkins_simon=0.0), "hawkins_simon is 0"),
        (lambda: simulate([good, other], settings), "different sizes or technologies"),
        (lambda: simulate([good] * 2, [settings] * 3), "2 economies for 3 runs"),
        (lambda: simulate(good, settings, steps=-1), "steps is -1"),
        (lambda: simulate(good, settings, perturbation=1.0), "perturbation is 1.0"),
        (lambda: simulate(good, settings, seed=-1), "seed is -1"),
    ):
        with pytest.raises(MarketError) as caught:
            wrong()
        assert words in str(caught.value) and "\n" not in str(caught.value)
        assert isinstance(caught.value, EconomyError | SettingError)


# --- as a mechanism -------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("sigma", "spoilage"), [(1.0, 1.0), (0.5, 1.0), (0.5, 0.6)])
def test_the_united_states_under_it(sigma, spoilage):
    """After a shock to petroleum prices come to the closed form of the table, 1e-8.

    The run ends when every price is within 1e-9 of the exact gradient; its rate is 0.94 or less.
    """
    settings = {
        "market.mechanism": "excess-demand",
        "market.price_rate": 0.5,
        "market.output_rate": 0.25,
        "market.spoilage": spoilage,
        "industries.324.productivity": 0.8,
        "economy.parameters.substitution_elasticity": sigma,
        "run.steps": 800,
        "run.tolerance": 1e-9,
    }
    result = market_abm.run("us-economy", overrides=settings)
    assert result.status == "converged", result.ending.detail
    table, economy = read_table("us-2023"), result.experiment.economy
    z = np.where(np.array(table.codes) == "324", 0.8, 1.0)
    told = closed_form(table, z, elasticity=sigma)
    places = [economy.index[code] for code in table.codes]
    np.testing.assert_allclose(np.log(result.last.prices[places]), told.log_prices, atol=1e-8)
    sales = (result.last.prices * result.last.quantities)[places]
    np.testing.assert_allclose(sales, told.sales, rtol=1e-7)
    first = np.log(result.prices[1, places])
    assert np.abs(first - told.log_prices).max() > 1e-2  # it had a way to go


def test_the_table_is_its_rest():
    """With productivities of 1 it begins at rest and stays there, to rounding."""
    result = market_abm.run("us-economy", mechanism="excess-demand", steps=5, tolerance=1e-15)
    np.testing.assert_allclose(result.prices, 1.0, rtol=1e-13)
    outputs = result.quantities[0]
    np.testing.assert_allclose(result.quantities, np.tile(outputs, (6, 1)), rtol=1e-13)
    observed = market_abm.run("us-economy", mechanism="excess-demand", steps=5, tolerance=1e-9)
    assert (observed.status, observed.steps) == ("converged", 1)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"run.engine": "agents"}, 'set run.engine = "arrays"'),
        ({"market.lag": 1}, "has no lag"),
        ({"market.activation": "sequential"}, "simultaneous"),
        ({"economy.parameters.substitution_elasticity": 1.5}, "substitution above 1"),
        ({"economy.factors": ["labour", "capital"]}, "2 raw"),
        ({"economy.materials_elasticity": 0.5}, "not a CES line"),
        ({"industries.firms": 2}, "of one firm"),
        ({"supply.primary.quantity": 2.0}, "terms of supply or demand"),
    ],
)
def test_what_it_does_not_know(settings, told):
    with pytest.raises(MarketError, match=told):
        market_abm.run("us-economy", overrides={"market.mechanism": "excess-demand", **settings})


def test_it_is_for_tables():
    with pytest.raises(MarketError, match="requires an unchanged input-output table"):
        market_abm.run("essay-chain", mechanism="excess-demand", engine="arrays")


def test_many_runs_side_by_side_are_each_their_own():
    """Three elasticities in one engine are what each is alone, bit for bit."""
    economies = [
        from_input_output("us-2023", substitution_elasticity=s, productivity={"324": 0.9})
        for s in (0.3, 0.6, 1.0)
    ]
    market = market_settings(mechanism="excess-demand", price_rate=0.5, output_rate=0.25)
    together = array_market(economies, [market] * 3, [1] * 3)
    alone = [array_market([economy], [market], [1]) for economy in economies]
    for each in (together, *alone):
        for _ in range(4):
            each.step()
    together.keep(np.array([True, False, True]))
    together.step()
    for row, each in zip((0, 1), (alone[0], alone[2]), strict=True):
        each.step()
        np.testing.assert_array_equal(together.state.prices[row], each.state.prices[0])
