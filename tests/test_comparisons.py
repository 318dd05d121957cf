"""``compare``: a market beside its twin, and mechanisms beside each other."""

import json
import math
import re

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from market_abm import Experiment, MarketError, from_text, run
from market_abm.analysis.forecast import steps_needed
from market_abm.cli.commands import main
from market_abm.gradient.equilibrium import equilibrium
from market_abm.gradient.landscape import GRID, gradient_ascent, landscape
from market_abm.studies.comparisons import ALL, MechanismComparison
from market_abm.studies.optimizers import OptimizerComparison, compare
from market_abm.views.report.report import report
from market_abm.views.words.comparison import comparison_sentences, limits, unsettled


def spiral(**settings):
    return Experiment.load("spiral", settings)


@pytest.mark.parametrize("mechanism", ["unit-bid", "trading-post"])
@pytest.mark.parametrize("engine", ["agents", "arrays"])
def test_the_distance_told_is_that_of_the_paths(mechanism, engine):
    """Sums in another order, 90 steps: 1e-13; the number told is worked out here once more."""
    comparison = OptimizerComparison.of(
        spiral(**{"market.mechanism": mechanism, "run.engine": engine})
    )
    path, twin = comparison.result.trajectory, comparison.twin
    assert set(comparison.distances) == {"prices", "quantities", "shares"}
    for name, (size, step) in comparison.distances.items():
        one, other = getattr(path, name), getattr(twin, name)
        gap = np.abs(one - other) / np.maximum(np.abs(one), np.abs(other)).max(axis=0)
        assert size == pytest.approx(gap.max(), rel=1e-12)
        assert gap[step].max() == gap.max()
        assert size < 1e-13
    names = ("mirror ascent with log-gradients", "proportional response")
    assert comparison.summary()["optimiser"] in names
    far = max(size for size, _ in comparison.textbook_distances.values())
    assert 1e-4 < far < 1.0  # and the textbook's optimiser walks another path
    np.testing.assert_allclose(comparison.welfare, comparison.result.path.welfare, rtol=1e-12)


def test_a_market_that_is_no_such_optimiser_is_seen():
    """The twin of a market with another share rate is far from it: the comparison can fail."""
    result = run(spiral())
    other = OptimizerComparison.of(spiral(**{"market.share_rate": 0.16}))
    wrong = OptimizerComparison(result, other.twin, other.textbook)
    steps = min(len(result.prices), len(other.twin.prices))
    gap = np.abs(result.prices[:steps] - wrong.twin.prices[:steps]).max()
    assert gap > 1e-4


def test_the_landscape_is_welfare():
    """At the grid's points W is what the program makes there, by hand; the best is its top."""
    comparison = OptimizerComparison.of(spiral())
    land = comparison.landscape
    best = comparison.result.equilibrium
    assert land.names == ("quantity of x", "share of x for a maker of r")
    assert land.welfare.shape == (GRID, GRID)
    r, weights = (0.7 - 1) / 0.7, (0.3, 0.4, 0.3)
    first = (4 * 0.5) ** 0.8, (4 * 0.5) ** 0.7, 2.0

    def output(inputs):
        return sum(w * x**r for w, x in zip(weights, inputs, strict=True)) ** (1 / r)

    c0 = output(first)
    for row, column in [(0, 0), (7, 40), (59, 31)]:
        q, share = land.x[column], land.y[row]
        c = output((((1 - share) * q) ** 0.8, (share * q) ** 0.7, 2.0))
        worth = c0 * (1 + ((c / c0) ** 0.5 - 1) / 0.5)
        cost = 0.3 * 4 * (q / 4) ** 3 / 3
        assert land.welfare[row, column] == pytest.approx(worth - cost, rel=1e-12)
    assert land.welfare.max() <= best.welfare
    route = land.route(comparison.result.quantities, comparison.result.trajectory.shares)
    assert route[0].tolist() == [4.0, 0.5]
    assert land.x[0] < route[:, 0].min() and route[:, 0].max() < land.x[-1]


def test_there_is_no_landscape_of_one_variable():
    economy = from_text("y = sqrt(x) + ln(1 + x)", {"x": 2})
    result = run(economy)
    best = equilibrium(economy)
    assert landscape(economy, result.quantities, result.trajectory.shares, best) is None


@pytest.mark.parametrize("name", ["spiral", "loop"])
def test_gradient_ascent_climbs_to_the_best(name):
    """With a step of one over the largest curvature W never falls, and ends at the optimum.

    The loop is solved from the point before, the optimum's by evaluating it over and over.
    """
    economy = Experiment.load(name).economy
    best = equilibrium(economy)
    path = gradient_ascent(economy, best, 1e-10)
    assert np.all(np.diff(path.welfare) > -1e-15) and path.complete
    np.testing.assert_allclose(path.quantities[-1], best.quantities, rtol=1e-8)
    np.testing.assert_allclose(path.prices[-1], best.prices, rtol=1e-8)
    assert gradient_ascent(from_text("y = x", {"x": 1}), best, 1e-10) is None


def test_of_many_variables_the_largest_curvature_is_the_same(monkeypatch):
    """By Lanczos iteration, as by all eigenvalues: 1e-8 of every step's price.

    Both know the curvature by differences, to 1e-10; a step that is off by this moves the path, of
    some hundred steps, by no more than a hundred times as much.
    """
    program = [f"y{k} = {1 + k} * ln(1 + x)" for k in range(4)]
    economy = from_text("\n".join(program), {"x": 20.0})
    best = equilibrium(economy)
    dense = gradient_ascent(economy, best, 1e-8)
    monkeypatch.setattr("market_abm.gradient.landscape.DENSE_VARIABLES", 1)
    lanczos = gradient_ascent(economy, best, 1e-8)
    assert dense.complete and len(dense.welfare) == len(lanczos.welfare) > 20
    np.testing.assert_allclose(lanczos.prices, dense.prices, rtol=1e-8)


def test_mechanisms_against_each_other():
    """All end at the same prices; money is conserved by the one that trades in money.

    To 1e-15 of the turnover, that is to rounding; unit bids lose or make some on the way.
    """
    contest = MechanismComparison.of(spiral(), ["unit-bid", "trading-post"])
    table = contest.table()
    assert list(table.index) == ["unit-bid", "trading-post", "gradient ascent"]
    assert set(table["status"]) == {"converged"}
    prices = np.array([result.last.prices for result in contest.results.values()])
    np.testing.assert_allclose(prices[1], prices[0], rtol=1e-6)
    assert table.loc["trading-post", "money_made"] < 1e-15
    assert 1e-6 < table.loc["unit-bid", "money_made"] < 1e-2
    assert table["wasted"].max() < 1e-15
    for name, result in contest.results.items():
        best, step = result.equilibrium, int(table.loc[name, "steps"])
        gaps = [
            np.abs(result.prices / best.prices - 1).max(axis=1),
            np.abs(result.quantities / best.quantities - 1).max(axis=1),
        ]
        far = np.maximum(*gaps) > 1e-6
        assert not far[step:].any() and far[step - 1]
        buyers = result.experiment.economy.buyers.size
        assert table.loc[name, "messages"] == step * buyers == step * 5
    assert table["welfare"].max() - table["welfare"].min() < 1e-9


def test_the_optimum_of_one_economy_is_sought_once(monkeypatch):
    """Three mechanisms and a table; in a national economy each search takes a minute."""
    sought = []

    def seek(economy, **options):
        sought.append(economy)
        return equilibrium(economy, **options)

    monkeypatch.setattr("market_abm.runs.optimum.equilibrium", seek)
    names = ["unit-bid", "trading-post", "posted-price"]
    comparison = MechanismComparison.of(spiral(**{"run.steps": 20}), names)
    comparison.table()
    best = {id(result.equilibrium) for result in comparison.results.values()}
    assert len(sought) == len(best) == 1


def test_a_budget_that_is_used_up_is_reported(monkeypatch):
    """Of many firms a comparison takes a known number of steps, and says what it left out."""
    small = MechanismComparison.of(spiral(), ["unit-bid"])
    assert small.allowed is None and limits(small) == []
    monkeypatch.setattr("market_abm.studies.budget.MAX_FIRM_STEPS", 60 * 30)
    monkeypatch.setattr("market_abm.studies.budget.MIN_STEPS", 5)
    monkeypatch.setattr("market_abm.gradient.landscape.MAX_LINES", 3 * 200)
    seen = []
    many = Experiment.load("mechanisms", {"industries.firms": 20})
    comparison = MechanismComparison.of(
        many, ["unit-bid", "posted-price"], lambda *each: seen.append(each)
    )
    assert comparison.allowed == comparison.summary()["allowed_steps"] == 30
    assert all(result.steps == 30 for result in comparison.results.values())
    assert {name for name, _, _ in seen} == {*comparison.results, "optimum", "gradient ascent"}
    assert all(most is None or done <= most for _, done, most in seen)
    told = limits(comparison)
    assert "at most 30 of 4,000 steps" in told[0] and "after 200 steps" in told[1]


@pytest.mark.slow
def test_all_mechanisms_end_at_the_same_prices():
    """Runs stop at 1e-9 of the gradient; the slowest, posted prices, at a rate of 0.99 a step."""
    contest = MechanismComparison.of(Experiment.load("mechanisms"))
    table = contest.table()
    assert list(table.index) == [*ALL, "gradient ascent"]
    assert set(table["status"]) == {"converged"}
    for result in contest.results.values():
        np.testing.assert_allclose(result.last.prices, result.equilibrium.prices, rtol=1e-6)
        np.testing.assert_allclose(result.last.quantities, result.equilibrium.quantities, rtol=1e-6)
    assert table.loc["posted-price", "money_made"] == 0.0
    assert 1e-3 < table.loc["posted-price", "wasted"] < 0.1  # prices start too high: unsold goods
    kept = MechanismComparison.of(
        Experiment.load("mechanisms", {"mechanisms.posted-price.spoilage": 0.5}), ["posted-price"]
    )
    assert kept.table().loc["posted-price", "wasted"] < 0.8 * table.loc["posted-price", "wasted"]
    assert np.isnan(table.loc["tatonnement", "wasted"])  # nobody trades


def test_steps_needed_of_known_paths():
    """d = 0.9^t is 1e-6 at ln 1e-6/ln 0.9 = 131.1; with a swing of period 8, a period off at most.

    With a faster mode beside it that is still seen, somewhat less. A path that does not come
    nearer, swings too slowly to tell, is too short or is no numbers: nobody knows.
    """
    t = np.arange(61)
    exact = math.log(1e-6) / math.log(0.9)
    assert steps_needed(0.9**t, t, 1e-6) == pytest.approx(exact, rel=1e-12)
    assert steps_needed((0.9**t)[::4], t[::4], 1e-6) == pytest.approx(exact, rel=1e-12)
    swings = 0.9**t * np.abs(np.cos(2 * np.pi * t / 16))
    assert steps_needed(swings, t, 1e-6) == pytest.approx(exact, abs=8)
    assert 0.8 * exact < steps_needed(0.9**t + 5 * 0.8**t, t, 1e-6) < exact
    slow = 0.9**t * (0.001 + np.abs(np.cos(2 * np.pi * t / 80)))
    for path in (slow, np.ones(61), 1.1**t, np.full(61, np.nan), np.zeros(61), np.ones(1)):
        assert steps_needed(path, t[: len(path)], 1e-6) is None


@pytest.mark.parametrize("mechanism", ["tatonnement", "posted-price"])
def test_a_run_out_of_steps_says_how_many_it_needs(mechanism):
    """Stopped at 1e-4, it foretells when all is within 1e-6 of the best: to a tenth, as it comes.

    The slowest mode is alone by then; posted prices swing, five times or more so far.
    """
    economy = from_text(
        "y = 2 * sqrt(x)\nz = ln(1 + x)",
        {"x": {"quantity": 4.0, "price": 0.4, "elasticity": 0.5, "adjustment": 0.2}},
        {"y": {"elasticity": 2.0}, "z": {"elasticity": 2.0}},
    )
    rates = {"tatonnement": {"auction_rate": 0.05}, "posted-price": {"price_rate": 0.1}}
    settings = {"mechanism": mechanism, "engine": "arrays", "tolerance": 1e-7, **rates[mechanism]}
    long = MechanismComparison.of(Experiment.of(economy, steps=2000, **settings), [mechanism])
    reached = long.table().loc[mechanism, "steps"]
    path, best = long.results[mechanism].prices, long.results[mechanism].equilibrium.prices
    enough = int(np.flatnonzero(np.abs(path / best - 1).max(axis=1) > 1e-4)[-1])
    short = MechanismComparison.of(Experiment.of(economy, steps=enough, **settings), [mechanism])
    row = short.table().loc[mechanism]
    assert row["status"] == "max_steps" and reached > 1.3 * enough
    assert row["needed"] == pytest.approx(reached, rel=0.1)
    (told,) = unsettled(short.table())
    assert told.startswith(f"{mechanism}: not settled after {enough} steps")
    assert told.endswith(f"it would need about {float(f'{row.needed:.2g}'):,.0f}")
    assert unsettled(long.table()) == []


def test_mechanisms_that_are_all_at_the_optimum_have_a_figure(recwarn):
    """Nothing is split, so that no distance is above 0 and none is on a logarithmic axis."""
    one = MechanismComparison.of(Experiment.load("essay-chain"), ["trading-post"])
    assert one.figure() and not recwarn.list


def test_a_mechanism_that_cannot_run_an_economy_is_a_row_that_says_why():
    economy = from_text("y = x1 - x2", {"x1": 2.0, "x2": 1.0})
    contest = MechanismComparison.of(Experiment.of(economy))
    table = contest.table()
    assert table.loc["unit-bid", "status"] == "converged"
    assert table.loc["trading-post", "status"] == "refused"
    assert "bids -1" in table.loc["trading-post", "why"]
    assert contest.figure()


def test_the_command_writes_what_it_prints(tmp_path):
    out = tmp_path / "c"
    result = CliRunner().invoke(main, ["compare", "spiral", "--out", str(out)])
    assert result.exit_code == 0, result.output
    told = json.loads((out / "comparison.json").read_text("utf-8"))
    assert "unit-bid is identical to mirror ascent with log-gradients (largest" in result.output
    assert "exponentiated gradient is at most 3.5e-04 away (prices, step 10)" in result.output
    assert "at most 2% from the gradient of goods as they travel (x, step 6)" in result.output
    assert f"{told['distance']['prices']['largest']:.1e}" in result.output
    frame = pd.read_csv(out / "comparison.csv")
    assert len(frame) == (told["steps"] + 1) * 5
    np.testing.assert_allclose(frame["price"], frame["twin_price"], rtol=1e-12)
    assert (out / "comparison.png").stat().st_size > 10_000
    again = ["compare", "spiral", "--mechanisms", "all", "--out", str(out)]
    result = CliRunner().invoke(main, again)
    assert result.exit_code == 0, result.output
    told = json.loads((out / "comparison.json").read_text("utf-8"))["mechanisms"]
    assert [row["mechanism"] for row in told] == [*ALL, "gradient ascent"]
    refused = [row["mechanism"] for row in told if row["status"] == "refused"]
    assert refused == ["tatonnement"]  # the last line of spiral has constant returns
    assert all(math.isfinite(row["welfare"]) for row in told if row["status"] != "refused")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["shocks"], "a twin cannot have shocks"),
        (["spiral", "--set", "record.every=2"], "the record is thinned"),
        (["spiral", "--set", "market.activation=random"], "no twin of activation 'random'"),
        (["spiral", "--set", "industries.bid_noise=0.1"], "no twin of the noise"),
        (
            ["spiral", "--mechanisms", "unitbid"],
            "--mechanisms is 'unitbid'; did you mean 'unit-bid'?",
        ),
        (["spiral", "--mechanisms", "unit-bid, unit-bid"], "names unit-bid twice"),
        (["spiral", "--mechanisms", "unit-bid,all"], '"all" and more'),
        (["spiral", "--mechanisms", ""], "--mechanisms is ''"),
    ],
)
def test_what_cannot_be_compared(arguments, told, tmp_path):
    result = CliRunner().invoke(main, ["compare", *arguments, "--out", str(tmp_path / "c")])
    assert result.exit_code == 2
    assert told in result.output
    with pytest.raises(MarketError):
        OptimizerComparison.of(Experiment.load("activation-random"))


def test_ctrl_c_stops_the_whole_contest(monkeypatch, tmp_path):
    from market_abm.studies import comparisons as module

    asked = []

    def interrupted(experiment, **options):
        asked.append(experiment.market.mechanism)

        def stop(state, seen):
            if state.step == 3:
                raise KeyboardInterrupt

        return run(experiment, progress=stop)

    monkeypatch.setattr(module, "run", interrupted)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["compare", "spiral", "--mechanisms", "all"])
    assert result.exit_code == 130 and len(asked) == 1
    assert "Interrupted: nothing was written." in result.output
    assert not list(tmp_path.iterdir())


def test_contests_and_twins_have_folders_of_their_own(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    line = ["compare", "rival-diamond", "--mechanisms", "unit-bid,trading-post"]
    assert CliRunner().invoke(main, line).exit_code == 0
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["rival-diamond-mechanisms"]


def test_a_textbook_optimiser_that_breaks_down_is_told_in_words(tmp_path):
    """In the terminal, a notebook and a report; never as a distance of ``inf``."""
    settings = ["--set", "market.mechanism=posted-price", "--steps", "15"]
    command = ["compare", "mechanisms", *settings, "--out", str(tmp_path / "folder")]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    changes = {"market.mechanism": "posted-price", "run.steps": 15}
    comparison = OptimizerComparison.of(Experiment.load("mechanisms", changes))
    page = report(tmp_path / "folder", tmp_path / "page.html").read_text("utf-8")
    for shown in (done.output, comparison._repr_html_(), page.split("<main")[1]):
        assert "breaks down" in shown
        assert not re.search(r"[>\s]inf[<\s]", shown)


def test_a_run_that_breaks_down_is_compared_as_long_as_it_has_digits():
    """Of a share of 1e-25 what the other buyer gets, 1 less it, has no digit."""
    program = "left = x\nright = x\ny = ces(left, right, elasticity=1, weights=(0.3, 0.7))"
    comparison = compare(from_text(program, {"x": 4.0}), share_rate=4.0)
    assert comparison.result.status == "diverged"
    step = comparison.breaks_down
    shares = comparison.result.trajectory.shares
    assert shares[:step].min() > np.finfo(float).eps > shares[step].min()
    assert max(size for size, _ in comparison.distances.values()) < 1e-12
    assert comparison.later_distances["prices"][0] > 0.1
    told = " ".join(comparison_sentences(comparison))
    assert f"here up to step {step - 1}" in told and f"breaks down: from step {step}" in told
    steady = OptimizerComparison.of(spiral())
    assert steady.breaks_down is None and steady.identical_until == steady.result.steps


def test_small_distances_and_no_steps_are_said_as_such():
    few = "copper = 2 * mine ** 0.8\nwire = copper ** 0.7\npots = copper ** 0.5"
    economy = from_text(few, {"mine": 5.0})
    (told,) = comparison_sentences(compare(economy, steps=0))
    assert told.startswith("There is nothing to compare: no step was made")
    comparison = compare(economy, steps=30, share_rate=0.05)
    assert 1e-12 < comparison.mixed_dates[0] < 0.005
    assert "at most 0%" not in " ".join(comparison_sentences(comparison))


def test_households_are_not_compared_at_different_price_levels():
    """Every price level is an equilibrium, and welfare is a sum at a run's own weights."""
    with pytest.raises(MarketError, match="a price level and at weights of its own"):
        MechanismComparison.of(Experiment.load("scarf"), ["trading-post", "tatonnement"])
