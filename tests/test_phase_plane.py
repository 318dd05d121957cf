"""The published model's plane beside ours: the same networks, the same start, the same verdict.

Independent sources: the equilibrium of a network by the paper's formulas against linear algebra on
its table and against the exact gradient of our own lines; what runs do against the eigenvalues of
one step; these against those of a step that is linearised by hand, from the table alone.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from scipy.optimize import brentq
from support.economies import uneven
from support.figures import assert_legends_are_drawn, assert_nothing_is_cut_off

import market_abm
from market_abm import from_input_output, market_settings
from market_abm.analysis.stability import stability
from market_abm.baselines.dessertaine2022 import plane
from market_abm.baselines.dessertaine2022.economy import random_network
from market_abm.baselines.dessertaine2022.plane import disturbance
from market_abm.baselines.dessertaine2022.step import ExcessDemandSettings
from market_abm.cli.commands import main
from market_abm.errors import SettingError
from market_abm.gradient.closed_form import closed_form
from market_abm.market.mechanisms.registry import array_market
from market_abm.studies.near_steady_state import (
    _put_near,
    run_near_steady_state,
    steady_state,
)
from market_abm.studies.phase_plane import (
    COLD,
    COLUMNS,
    MIN_ELASTICITY,
    MODELS,
    OURS,
    RATES,
    SPOILAGE,
    TECHNOLOGIES,
    PhasePlane,
    PlaneSettings,
    _edge,
)
from market_abm.views.save import PLANE_FILES

RESULTS = Path(market_abm.__file__).parent.parent / "results/phase-plane"
SMALL = PlaneSettings(networks=2, firms=5, degree=2)
TINY = PlaneSettings(networks=2, firms=4, degree=2, steps=20)


@pytest.fixture(scope="module")
def small():
    return PhasePlane.of(TINY)


@pytest.fixture(scope="module")
def committed():
    return PhasePlane(PlaneSettings(), pd.read_csv(RESULTS / "table.csv"))


# --- the same economy -----------------------------------------------------------------------------


@pytest.mark.parametrize("substitution", [1.0 / 3.0, 1.0, math.inf])
@pytest.mark.parametrize("spending", [1.0, 0.7])
def test_the_table_is_the_economy(substitution, spending):
    """At other productivities too its prices and outputs are those of the network, to 1e-10.

    The network by the paper's formulas, from J, a and z; its table by those of
    ``gradient/closed_form.py``, from cost shares and σ, in units of what a wage buys.
    1e-10 is a hundred times what rounding leaves of two linear systems.
    """
    economy = uneven(4, substitution, spending=spending)
    rest, table = economy.equilibrium, economy.table
    shocks = np.exp(0.2 * np.random.default_rng(1).normal(size=economy.firms))
    for z in (np.ones(economy.firms), shocks):
        other = dataclasses.replace(economy, productivity=economy.productivity * z)
        there = other.equilibrium
        found = closed_form(table, z, elasticity=economy.elasticity)
        ratio = there.prices / rest.prices
        np.testing.assert_allclose(np.exp(found.log_prices), ratio, rtol=1e-10)
        sales = there.prices * other.productivity * there.outputs / there.labour
        np.testing.assert_allclose(found.sales, sales, rtol=1e-10)


@pytest.mark.parametrize("substitution", [1.0 / 3.0, 1.0, math.inf])
def test_our_market_rests_where_the_network_does(substitution):
    """Prices in wages and outputs by our own lines and their exact gradient, to 1e-10."""
    network = random_network(10, 3, 2, substitution=substitution)
    rest, table = network.equilibrium, network.table
    np.testing.assert_allclose(table.shares, network.weights[:, 1:].T, rtol=1e-10, atol=1e-12)
    economy = from_input_output(table, substitution_elasticity=network.elasticity)
    ours = steady_state(economy, table)
    places = [economy.index[code] for code in table.codes]
    wage = ours.prices[economy.index["primary"]]
    np.testing.assert_allclose(ours.prices[places] / wage, rest.prices, rtol=1e-10)
    np.testing.assert_allclose(ours.quantities[places], rest.outputs / rest.labour, rtol=1e-10)
    assert ours.solved and ours.residual < 1e-12


# --- the same start and the same verdict ----------------------------------------------------------


@pytest.mark.parametrize("mechanism", OURS)
def test_undisturbed_our_market_stays_at_rest(mechanism):
    """One step moves nothing by more than 1e-13; ten steps are enough to tell; disturbed it moves.

    1e-13 is rounding, with room. Of one step only: with σ = 0.05 rest is unstable at these rates,
    and under ``trading-post`` rounding itself grows by 3.9 (the spectral radius) a step.
    """
    network = SMALL.network(1)
    elasticities = [MIN_ELASTICITY, 1.0]
    settings = [market_settings(mechanism, bid_rate=0.8, **shares(mechanism, 0.05))] * 2

    def ends(steps, size):
        return run_near_steady_state(
            network, elasticities, settings, steps=steps, seed=1, perturbation=size
        )

    assert max(distance for *_, distance in ends(1, 0.0)) < 1e-13
    assert [(status, last) for status, last, _ in ends(500, 0.0)][1] == ("converged", 10)
    (near_leontief, *_), (cobb_douglas, last, _) = ends(500, 0.05)
    assert near_leontief != "converged"
    assert cobb_douglas == "converged" and 10 < last < 500


def shares(mechanism, share_rate):
    """The key that moves shares, where the mechanism has one."""
    return {"share_rate": share_rate} if mechanism == "unit-bid" else {}


def test_both_models_start_alike():
    """Prices and outputs of both are the same numbers at step 0, but for rounding."""
    network = random_network(10, 3, 3, substitution=1.0)
    published = plane.simulate(network, ExcessDemandSettings(), steps=0, seed=3)
    economy = from_input_output(network.table, substitution_elasticity=network.elasticity)
    market = array_market([economy], [market_settings()], [3])
    _put_near(market, steady_state(economy, network.table), network.table, disturbance(10, 3, 0.05))
    places = [economy.index[code] for code in network.table.codes]
    np.testing.assert_allclose(market.prices[0, places], published.prices[0, 0], rtol=1e-12)
    outputs = published.outputs[0, 0] / network.equilibrium.labour
    np.testing.assert_allclose(market.quantities[0, places], outputs, rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("mechanism", OURS)
def test_eigenvalues_tell_which_cells_converge(mechanism):
    """In each cell: within 1000 steps if and only if the spectral radius of a step is below 1.

    Left out are radii within 0.006 of 1: from 5 % to 0.1 % within 1000 steps needs ln 50 / 1000 =
    0.004 a step, and first a disturbance may grow.
    """
    network, table = SMALL.network(1), SMALL.network(1).table
    share_rates = RATES if mechanism == "unit-bid" else (0.5,)
    points = list(itertools.product((0.25, 1.0), RATES, share_rates))
    settings = [
        market_settings(mechanism, bid_rate=bid_rate, **shares(mechanism, share_rate))
        for _, bid_rate, share_rate in points
    ]
    runs = run_near_steady_state(
        network, [point[0] for point in points], settings, steps=1000, seed=1
    )
    told = {True: 0, False: 0}
    for (elasticity, *_), each, (status, *_) in zip(points, settings, runs, strict=True):
        economy = from_input_output(table, substitution_elasticity=elasticity)
        near = stability(economy, each, steady_state(economy, table))
        if abs(near.radius - 1.0) > 0.006:
            assert (near.radius < 1.0) == (status == "converged"), (elasticity, each, near)
            told[near.radius < 1.0] += 1
    assert min(told.values()) >= 2 and sum(told.values()) > 0.7 * len(points)


# --- the edge ------------------------------------------------------------------------------------


def radius_by_hand(table, elasticity, mechanism, bid_rate, share_rate):
    """The spectral radius of a step near the steady state, linearised on paper in logarithms.

    Of a table with costs a, sales v, one primary factor and a household that is Cobb-Douglas. For
    good i and line j: x = s + q_i, y_j = Σ a x, marginal products (y_j - x)/σ; bids follow
    (1 - α) b + α (p_j + product) of the step before; p_i is the mean of the bids by the quantities
    held, and the household's is -y. Shares follow s + κ (b - p_i). Of money, bids earn x as well,
    p_i is less by y_i, and shares are b less their mean. Mean shares are 0.
    """
    n, money = table.size, mechanism == "trading-post"
    costs = np.zeros((n + 1, n + 1))  # goods, the factor last, by lines, the household last
    costs[:n, :n], costs[n, :n] = table.shares, 1.0 - table.shares.sum(axis=0)
    costs[:n, n] = table.final_shares
    good, line = np.nonzero(costs > 1e-12)
    a, sigma = costs[good, line], np.where(line < n, elasticity, 1.0)
    of_good, of_line = (np.eye(n + 1)[each] for each in (good, line))
    v = np.append(np.linalg.solve(np.eye(n) - table.shares, table.final_shares), 1.0)
    held = a * v[line] / v[good]

    size, made = len(good), np.arange(n + 1) < n
    every = np.eye(3 * size + 2 * (n + 1))  # a row a disturbance
    s, b, product, y, p = np.split(every, np.cumsum([size, size, size, n + 1]), axis=1)
    bids = (1 - bid_rate) * b + bid_rate * (np.where(made, p, -y) @ of_line.T + product)
    x = s + np.where(made, y, 0.0) @ of_good.T
    y = (a * x) @ of_line
    product = (y @ of_line.T - x) / sigma + money * x
    p = (held * bids) @ of_good
    s = bids if money else s + share_rate * (bids - p @ of_good.T)
    s = s - (held * s) @ of_good @ of_good.T
    p = p - money * np.where(made, y, 0.0)
    return np.abs(np.linalg.eigvals(np.hstack([s, bids, product, y, p]))).max()


@pytest.mark.parametrize(
    ("elasticity", "bid_rate"), [(0.05, 0.5), (0.25, None), (0.5, 0.25), (0.5, None), (1.0, 0.8)]
)
def test_the_edge_is_that_of_a_step_linearised_by_hand(elasticity, bid_rate):
    """To 1e-6: both are found to 1e-7. Of money at σ >= 1/2 there is none."""
    mechanism = "trading-post" if bid_rate is None else "unit-bid"
    table = SMALL.network(1).table

    def growth(rate):
        rates = (rate, math.nan) if bid_rate is None else (bid_rate, rate)
        return radius_by_hand(table, elasticity, mechanism, *rates) - 1.0

    edge = _edge(SMALL, mechanism, 1, elasticity, bid_rate)
    if bid_rate is None and elasticity >= 0.5:
        assert edge == math.inf and max(map(growth, (0.01, 0.1, 0.5, 1.0))) < 1e-8
    else:
        assert edge == pytest.approx(brentq(growth, edge / 1.2, edge * 1.2, xtol=1e-7), abs=1e-6)


@pytest.mark.slow
def test_each_committed_edge_is_where_a_step_by_hand_stops_to_shrink(committed):
    """The radius there is 1 to 1e-6 (an edge is found to 1e-7), less below and more above."""
    table = committed.table
    ours = table[table["edge"].notna()]
    keys = ["network", "elasticity", "edge"]
    cases = set(
        itertools.chain(
            ours[ours["model"] == "unit-bid"][[*keys, "bid_rate"]].itertuples(index=False),
            ours[ours["model"] == "trading-post"][keys].itertuples(index=False),
        )
    )
    assert len(cases) == 2 * len(TECHNOLOGIES) * (len(RATES) + 1)
    for seed, elasticity, edge, *given in cases:
        mechanism = "unit-bid" if given else "trading-post"
        radii = [
            radius_by_hand(
                committed.settings.network(seed).table,
                elasticity,
                mechanism,
                *(*given, rate, math.nan)[:2],
            )
            for rate in ((0.99 * edge, edge, 1.01 * edge) if edge < math.inf else (1.0,))
        ]
        if edge == math.inf:
            assert radii[0] < 1.0 + 1e-7
        else:
            assert radii[0] < 1.0 - 1e-5 and radii[2] > 1.0 + 1e-5
            assert radii[1] == pytest.approx(1.0, abs=1e-6)


# --- the plane ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_small_plane(small, tmp_path):
    """A row a run, all models and technologies, rates only where a model has them; its files."""
    table = small.table
    assert tuple(table.columns) == COLUMNS
    assert len(table) == PhasePlane.size(TINY) == 2 * 4 * (2 * 25 + 2 * 30)
    assert small.cells == dict(zip(MODELS, (25, 25, 25, 5, 25, 5), strict=True))
    assert list(small.counts.index) == list(MODELS)
    statuses = {"converged", "elsewhere", "diverged", "max_steps", "failed"}
    assert set(table["status"]) <= statuses and (table["status"] == "converged").any()
    for model, runs in table.groupby("model"):
        assert runs["edge"].notna().all() == (model not in SPOILAGE)
        has = {name for name in COLUMNS[4:8] if runs[name].notna().all()}
        lacks = {name for name in COLUMNS[4:8] if runs[name].isna().all()}
        expected = {
            "unit-bid": {"bid_rate", "share_rate"},
            "trading-post": {"bid_rate"},
        }.get(COLD.get(model, model), {"price_rate", "output_rate"})
        assert has == expected and has | lacks == set(COLUMNS[4:8])
        assert runs["network"].value_counts().nunique() == 1
        assert not runs.duplicated(["technology", "network", *has]).any()
        least = 0.0 if model in SPOILAGE else MIN_ELASTICITY
        assert sorted(runs["elasticity"].unique()) == [least, 0.25, 0.5, 1.0]
    folder = small.save(tmp_path / "plane")
    assert sorted(path.name for path in folder.iterdir()) == sorted(PLANE_FILES)
    again = pd.read_csv(folder / "table.csv")
    pd.testing.assert_frame_equal(again, table, check_exact=False, rtol=1e-12)


@pytest.mark.slow
def test_the_figure_tells_what_the_table_does(small):
    figure = small.figure()
    assert_nothing_is_cut_off(figure)
    assert_legends_are_drawn(figure)
    panels = iter(figure.axes)
    for model in MODELS:
        for technology in TECHNOLOGIES:
            axes = next(panels)
            shown = sum(int(text.get_text()) for text in axes.texts)
            mean = small.counts.loc[model, technology]
            assert shown == mean * TINY.networks
            assert axes.get_title().endswith(f" {mean:.1f} of {small.cells[model]} cells")


def test_the_committed_plane(committed):
    """What it shows: substitution widens convergence, in each of the models.

    Durable: from each technology to the next. Perishable: Leontief has less than half the cells of
    q = 1. Near the steady state our runs return where the eigenvalues of the network's own step say
    so, except within a tenth of the edge; from a cold start in fewer cells, never in more.
    """
    counts = committed.counts
    assert len(committed.table) == PhasePlane.size(committed.settings)
    durable, perishable = counts.loc["published, durable"], counts.loc["published, perishable"]
    assert durable.is_monotonic_increasing and durable.is_unique, counts
    assert perishable["Leontief"] < 0.5 * perishable["q = 1"], counts
    ours = counts.loc["unit-bid"]
    assert ours.is_monotonic_increasing and ours.iloc[0] < ours.iloc[-1], counts
    table = committed.table
    for mechanism, rate in (("trading-post", "bid_rate"), ("unit-bid", "share_rate")):
        runs = table[(table["model"] == mechanism) & table["edge"].notna()]
        with np.errstate(divide="ignore"):  # an edge of 0: no rate is low enough
            clear = runs[np.abs(np.log(runs[rate] / runs["edge"])) > 0.1]
        below = clear[rate] < clear["edge"]
        assert len(clear) > 0.9 * len(runs) and below.any() and not below.all()
        assert ((clear["status"] == "converged") == below).all()
        cold = f"{mechanism}, cold start"
        assert (counts.loc[cold] <= counts.loc[mechanism]).all(), counts


# --- mistakes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--networks", "0"], "phase-plane.networks is 0; must be an integer ≥ 1"),
        (["--firms", "1"], "phase-plane.firms is 1; must be an integer ≥ 2"),
        (["--steps", "0"], "phase-plane.steps is 0; must be an integer ≥ 1"),
        (["--degree", "6", "--firms", "6"], "phase-plane.degree is 6, but there are 6 firms"),
        (["--out", "full"], "'full' holds 'diary.txt'"),
    ],
)
def test_mistakes_are_told_before_anything_is_run(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/diary.txt").touch()
    done = CliRunner().invoke(main, ["phase-plane", *arguments])
    assert done.exit_code == 2 and message in done.output and done.output.count("\n") == 1
    assert not (tmp_path / "results").exists()


def test_the_command(small, tmp_path, monkeypatch):
    """What it says of a plane and writes; the plane itself is that of the tests above."""
    asked = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(PhasePlane, "of", lambda *each, **_: asked.append(each[0]) or small)
    arguments = ["--networks", "2", "--firms", "4", "--degree", "2", "--steps", "20"]
    done = CliRunner().invoke(main, ["phase-plane", *arguments, "--no-figures"])
    assert done.exit_code == 0, done.output
    assert asked == [TINY] and "2 networks of 4 firms: 880 runs" in done.output
    for model in MODELS:
        assert model in done.output
    assert [path.name for path in (tmp_path / "results/phase-plane").iterdir()] == ["table.csv"]


def test_mistakes_in_python():
    with pytest.raises(SettingError, match="perturbation is 1.0; must be"):
        run_near_steady_state(
            SMALL.network(1), [1.0], [market_settings()], steps=1, seed=1, perturbation=1.0
        )
    with pytest.raises(SettingError, match="steps is 0; must be"):
        run_near_steady_state(SMALL.network(1), [1.0], [market_settings()], steps=0, seed=1)
