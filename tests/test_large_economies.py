"""Economies of many goods: names, the largest of them in tables and figures, and shocks.

What is drawn and printed is worked out here once more, from the trajectory or from the table.
"""

import json
import re

import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patches import Circle, FancyArrowPatch
from support.economies import BAKERY
from support.figures import assert_nothing_is_cut_off, texts_of
from support.tables import files, made_up, three

from market_abm import Economy, Experiment, MarketError, from_input_output, from_text, run
from market_abm.cli.commands import main
from market_abm.economy.read_table import read_table
from market_abm.gradient.closed_form import equilibrium_prices, spectral_radius
from market_abm.gradient.equilibrium import equilibrium
from market_abm.runs.families import MAX_LISTED_GOODS
from market_abm.views.convergence import FLOOR
from market_abm.views.numbers import format_percent
from market_abm.views.plots.flows import Flows
from market_abm.views.plots.shock import Moves, color_limit

TABLE = read_table("us-2023")
OIL = "productivity.324=-20%"


def shocked(*shocks, **settings):
    return Experiment.load("us-economy", settings).with_shock_texts(shocks)


@pytest.fixture(scope="module")
def result():
    return run(shocked(OIL))


def as_file(table, folder, more=""):
    """An experiment file of a table, in ``folder``."""
    files(table, folder)
    text = '[economy]\ninput_output = "flows.csv"\nsectors = "sectors.csv"\n'
    (folder / "made-up.toml").write_text(f"{text}{more}", encoding="utf-8")
    return folder / "made-up.toml"


# --- names ----------------------------------------------------------------------------------------


def test_goods_of_a_table_have_names():
    """Of those whose industry has one; the household, and codes that are names, have none."""
    economy = from_input_output("us-2023")
    assert economy.label("324") == "324 Petroleum and coal products"
    assert economy.label("household") == "household"
    assert set(economy.names) == set(TABLE.codes)
    small = from_input_output(three(names=("Arms", "", "c")))
    assert small.names == {"a": "Arms"}
    assert [small.label(good) for good in "abc"] == ["a Arms", "b", "c"]
    assert from_text("y = x", {"x": 1}).names == {}
    both = Economy.vectorized([small, small])
    assert both.names == both.select_runs(np.array([0])).names == small.names
    assert from_input_output(three(), names={"b": "Bread"}).names == {"b": "Bread"}
    with pytest.raises(MarketError, match=r"names\.q: the program has no such good"):
        from_input_output(three(), names={"q": "Quartz"})


def test_an_experiment_knows_its_table(tmp_path):
    assert np.array_equal(Experiment.load("us-economy").input_output.flows, TABLE.flows)
    assert Experiment.load("essay-chain").input_output is None
    assert Experiment.of(from_input_output("us-2023")).input_output is None
    small = Experiment.load("us-economy", {"economy.min_share": 0.02}).input_output
    assert np.array_equal(small.shares, TABLE.without_small_inputs(0.02).shares)
    read = Experiment.load(as_file(three(), tmp_path)).input_output
    assert np.array_equal(read.flows, three().flows) and read.codes == ("a", "b", "c")


def test_percentages():
    assert format_percent(-0.0042, 2) == "0 %" and format_percent(0.437, 2) == "+0.44 %"
    assert format_percent(-20.0) == "\N{MINUS SIGN}20 %"


# --- the largest flows ----------------------------------------------------------------------------


def test_the_largest_flows_are_those_of_the_table():
    """At rest the economy is its table, over final use; a converged run is within 1e-11 of it."""
    told = Flows.of(run("us-economy"))
    largest = np.argsort(-TABLE.output)[:18]
    assert list(told.goods) == [TABLE.codes[k] for k in largest]
    between = TABLE.flows / TABLE.final_use.sum()
    between = between - np.diag(np.diag(between))
    inside = np.sort(between[np.ix_(largest, largest)].ravel())[::-1][:40]
    np.testing.assert_allclose([money for *_, money in told.flows], inside, rtol=1e-9)
    for seller, buyer, money in told.flows:
        assert money == pytest.approx(between[largest[seller], largest[buyer]], rel=1e-9)
    assert told.part == pytest.approx(inside.sum() / between.sum(), rel=1e-9)
    assert 0.1 < told.part < 0.3


def test_neighbours_trade_more_than_strangers(result):
    """Exchanging any two who stand around the circle makes the way of money longer."""
    told = Flows.of(result)
    order = told.order()
    assert sorted(order) == list(range(18))

    def length(order):
        angle = {k: 2 * np.pi * n / len(order) for n, k in enumerate(order)}
        return sum(money * abs(np.sin((angle[i] - angle[j]) / 2)) for i, j, money in told.flows)

    best = length(order)
    assert best < length(range(18))
    for i in range(18):
        for j in range(i):
            other = list(order)
            other[i], other[j] = other[j], other[i]
            assert length(other) > best * (1 - 1e-8)


def test_the_network_of_many_goods_is_small_and_legible(result, tmp_path):
    """18 discs, 40 arrows, their part of all; no two texts overlap; less than 400 kB."""
    figure = result.network_figure()
    assert_nothing_is_cut_off(figure)
    (axes,) = [each for each in figure.axes if each.patches]
    discs = [patch for patch in axes.patches if isinstance(patch, Circle)]
    arrows = [patch for patch in axes.patches if isinstance(patch, FancyArrowPatch)]
    assert (len(discs), len(arrows)) == (18, 40)
    told = Flows.of(result)
    sales = [result.sales[result.goods.index(good)] for good in told.goods]
    area = np.array([disc.radius**2 for disc in discs])
    np.testing.assert_allclose(area / area[0], np.array(sales) / sales[0], rtol=1e-12)
    assert len({disc.get_facecolor() for disc in discs}) == 1  # every price is at its gradient
    words = " ".join(text.get_text() for text in figure.texts)
    assert f"drawn: {100 * told.part:.1f} %" in words and "within 1e−12" in words
    shown = {text.get_text().replace("\n", " ") for text in texts_of(figure)}
    assert shown == {result.experiment.economy.label(good) for good in told.goods}
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [t.get_window_extent(renderer) for t in [*texts_of(figure), *figure.texts]]
    for k, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:k])
    figure.savefig(tmp_path / "network.png")
    assert (tmp_path / "network.png").stat().st_size < 400_000


def test_a_disc_tells_how_far_its_price_is_off():
    """Before prices have settled colours differ, and a bar tells what they mean."""
    figure = run(shocked(**{"run.steps": 12})).network_figure()
    assert_nothing_is_cut_off(figure)
    axes, bar = figure.axes
    discs = [patch for patch in axes.patches if isinstance(patch, Circle)]
    assert len({disc.get_facecolor() for disc in discs}) > 5
    assert "gradient" in bar.get_title()


@pytest.mark.parametrize(
    "settings",
    [{"run.steps": 0}, {"market.mechanism": "unit-bid", "market.share_rate": 0.6}],
)
def test_runs_that_end_badly_are_drawn(settings):
    """A run of no steps, and one that diverges: quantities of 1e100, prices that are no number."""
    bad = run(shocked(**settings))
    assert bad.status in ("max_steps", "diverged")
    for figure in (bad.network_figure(), bad.convergence_figure()):
        assert_nothing_is_cut_off(figure)


# --- errors ---------------------------------------------------------------------------------------


def test_the_convergence_figure_of_many_goods(result):
    """The ten largest by name, the largest error, the median and all others, as they were."""
    figure = result.convergence_figure()
    assert_nothing_is_cut_off(figure)
    (axes,) = figure.axes
    lines = {line.get_label(): np.asarray(line.get_ydata()) for line in axes.get_lines()}
    errors = np.clip(result.errors, FLOOR, None)
    assert np.array_equal(lines["largest of all 73"], errors.max(axis=1))
    assert np.array_equal(lines["median of all 73"], np.median(errors, axis=1))
    largest = [TABLE.codes[k] for k in np.argsort(-TABLE.output)[:10]]
    assert list(result.largest[:10]) == largest  # by Cobb-Douglas, productivity moves no sales
    for good in largest:
        (drawn,) = [y for label, y in lines.items() if label.startswith(f"{good} ")]
        assert np.array_equal(drawn, errors[:, result.goods.index(good)])
    paths = [
        y
        for y in (np.asarray(line.get_ydata()) for line in axes.get_lines())
        if len(y) == result.steps + 1
    ]
    for k in range(73):
        assert any(np.array_equal(errors[:, k], path) for path in paths)


def test_the_dashed_slope_is_what_theory_tells_and_the_market_does(result):
    """Drawn once after the start and once after the shock, just above the largest error.

    Money goes upstream by A, and goods, which follow it, downstream by its transpose: λ, an
    eigenvalue of both, comes back as t λ^t where both are off, as after the start; and as λ^t where
    only goods are, as after a shock to a productivity, which here moves no sales. Within 1 %, over
    ten steps in which the other eigenvalues have died out and rounding is far below.
    """
    assert result.predicted_rate == pytest.approx(spectral_radius(TABLE), rel=1e-12)
    worst = result.errors.max(axis=1)
    for start, power in ((30, 1), (75, 0)):
        size = worst / np.maximum(result.times, 1) ** power
        rate = (size[start + 10] / size[start]) ** 0.1
        assert rate == pytest.approx(result.predicted_rate, rel=0.01)
    (axes,) = result.convergence_figure().axes
    slopes = [line for line in axes.get_lines() if line.get_label().startswith("theory")]
    assert [line.get_xdata()[0] for line in slopes] == [0, 60]
    for line in slopes:
        (x0, x1), (y0, y1) = line.get_xdata(), line.get_ydata()
        assert (y1 / y0) ** (1 / (x1 - x0)) == pytest.approx(result.predicted_rate, rel=1e-9)


@pytest.mark.parametrize(
    "settings",
    [
        {"market.mechanism": "unit-bid", "market.share_rate": 0.1},
        {"market.bid_rate": 0.5},
        {"market.lag": 1},
        {"market.activation": "sequential"},
        {"economy.parameters.substitution_elasticity": 0.8},
        {"economy.factors": ["labour", "capital"]},
    ],
)
def test_no_slope_is_drawn_where_theory_does_not_tell_it(settings):
    unknown = run(shocked(**settings, **{"run.steps": 3}))
    assert unknown.predicted_rate is None
    labels = [line.get_label() for line in unknown.convergence_figure().axes[0].get_lines()]
    assert not any(label.startswith("theory") for label in labels)


# --- the new equilibrium --------------------------------------------------------------------------


def test_the_path_of_prices_ends_where_algebra_says(result):
    """ln p = -(I - Aᵀ)⁻¹ ln z, written out: row 324 of the inverse, times 0.223; within 1e-9."""
    k = TABLE.codes.index("324")
    moved = -np.log(0.8) * np.linalg.inv(np.eye(TABLE.size) - TABLE.shares)[k]
    places = [result.goods.index(code) for code in TABLE.codes]
    assert np.log(result.prices[59, places]) == pytest.approx(0.0, abs=1e-12)
    np.testing.assert_allclose(np.log(result.last.prices[places]), moved, atol=1e-9)
    np.testing.assert_allclose(np.log(result.steady_state_prices[places]), moved, atol=1e-13)
    household = result.goods.index("household")
    log_cost = TABLE.final_shares @ moved
    assert np.log(result.steady_state_prices[household]) == pytest.approx(log_cost, abs=1e-13)
    np.testing.assert_allclose(result.last.prices, result.steady_state_prices, rtol=1e-9)


SHOCKED = (
    {},
    {"supply": {"primary": 1.7}},
    {"demand": {"household": {"price": 2.5}}},
    {"productivity": {"b": 0.7, "household": 1.3}},
    {"substitution_elasticity": 0.6, "productivity": {"a": 1.2}},
    {"substitution_elasticity": 0.6, "materials_elasticity": 1.4, "productivity": {"a": 1.2}},
    {"firms": 3, "productivity": {"b": 0.7}},
)


@pytest.mark.parametrize("options", SHOCKED)
def test_prices_at_rest_are_those_of_the_best_allocation(options):
    """In closed form, against SciPy's, which are good to some 1e-7."""
    table = three()
    economy = from_input_output(table, **options)
    np.testing.assert_allclose(
        equilibrium_prices(table, economy), equilibrium(economy).prices, rtol=1e-6
    )


def test_where_there_is_no_closed_form():
    table = made_up(3)
    for options in (
        {"factors": ("labour", "capital")},
        {"supply": {"primary": {"elasticity": 0.5}}},
        {"demand": {"household": {"elasticity": 2.0}}},
        {"demand": {"household": {"form": "linear"}}},
        {"reuse_of": {table.codes[0]: "copy"}},
        {"firms": 2, "productivity": {table.codes[0]: (1.0, 0.9)}},
    ):
        assert equilibrium_prices(table, from_input_output(table, **options)) is None
    leontief = {"economy.parameters.substitution_elasticity": 0.01}
    stuck = shocked("productivity.ORE=-90%@1", **leontief, **{"run.steps": 1})
    assert (
        run(stuck).steady_state_prices is None
    )  # nothing can be made, and the run is told all the same


# --- the heat map ---------------------------------------------------------------------------------


def test_the_heat_map_shows_the_trajectory(result):
    """Logarithms of prices at each step over those before the shock; rows by the last of them."""
    told = Moves.of(result)
    assert told.goods[:2] == ("324", "481") and len(told.goods) == 25
    assert told.since[0] == 0 and told.since[-1] == result.steps - 60
    assert np.all(np.diff(told.since) > 0) and len(told.since) <= 16
    changes = np.log(result.prices[59:] / result.prices[59])
    for row, good in enumerate(told.goods):
        k = result.goods.index(good)
        assert np.array_equal(told.moves[row], changes[1 + told.since, k])
        assert told.rest[row] == np.log(result.steady_state_prices[k] / result.prices[59, k])
    np.testing.assert_allclose(told.moves[:, -1], told.rest, atol=1e-9)
    ends = np.abs(told.moves[:, -1])
    assert np.all(np.diff(ends) <= 1e-6)
    left_out = [k for k, good in enumerate(result.goods) if good not in told.goods]
    assert np.abs(changes[-1, left_out]).max() <= ends.min() + 1e-6
    everything = Moves.of(result, rows=100, columns=100)
    assert np.array_equal(everything.since, np.arange(result.steps - 60 + 1))
    assert "primary" not in everything.goods and len(everything.goods) == 72  # its price stays


def test_columns_are_dense_after_every_shock():
    told = Moves.of(run(shocked("supply.primary=+10%@30", f"{OIL}@10", **{"run.steps": 45})))
    assert told.since.tolist() == [0, 1, 2, 3, 5, 8, 12, 19, 20, 21, 22, 23, 25, 27, 30, 35]


def test_the_figure_of_a_shock(result):
    """Cells are the moves; the colour scale is the same for both signs; per cent at the right."""
    figure = result.shock_figure()
    assert_nothing_is_cut_off(figure)
    told = Moves.of(result)
    cells, beside, bar = figure.axes
    (mesh,), (column,) = cells.collections, beside.collections
    assert np.array_equal(mesh.get_array(), told.moves)
    assert np.array_equal(column.get_array().ravel(), told.rest)
    assert mesh.norm is column.norm and mesh.norm.vmin == -mesh.norm.vmax
    changes = np.abs(np.column_stack([told.moves, told.rest])).max(axis=1)
    assert mesh.norm.vmax == color_limit(np.column_stack([told.moves, told.rest]))
    # One row changes nine times as much as the next: half of the others still have a third of the
    # strongest colour.
    assert changes[0] > 9 * changes[1]
    assert np.median(changes[1:]) > 0.3 * mesh.norm.vmax
    names = [text.get_text() for text in cells.get_yticklabels()]
    assert names[:2] == ["324 Petroleum and coal products", "481 Air transportation"]
    shown = [text.get_text() for text in beside.get_yticklabels()]
    assert shown[0] == "+25.76 %"
    assert float(np.expm1(told.rest[0])) == pytest.approx(0.2576, abs=5e-5)
    texts = [each.get_text() for each in figure.texts]
    assert any("industries.324.productivity = 0.8 from step 60 on" in each for each in texts)
    renderer = FigureCanvasAgg(figure).get_renderer()
    for axes in (cells, beside, bar):
        for texts in (axes.get_xticklabels(), axes.get_yticklabels()):
            boxes = [text.get_window_extent(renderer) for text in texts if text.get_text()]
            for k, box in enumerate(boxes):
                assert not any(box.overlaps(other) for other in boxes[:k])


def test_where_no_shock_is_drawn():
    """No shock; a run that ended before it."""
    assert run("us-economy", steps=2).shock_figure() is None
    over = run(shocked(OIL, **{"market.mechanism": "unit-bid", "market.share_rate": 3.0}))
    assert over.status == "diverged" and over.steps < 60 and over.shock_figure() is None


def test_a_program_of_many_goods_has_its_heat_map_too():
    """Beside SciPy's equilibrium; prices of the wrong sign, or of 0, are drawn grey."""
    lines = "\n".join(f"b{k} = (x{k} + 0.1) ** 0.5" for k in range(5))
    text = f"[economy]\nprogram = '''\n{lines}\ny = b0 + b1 + b2 + b3 - b4\nz = 0 * x5\n'''\n"
    text += "".join(f"[supply.x{k}]\nquantity = {k + 1}\n" for k in range(6))
    text += "[[shocks]]\nstep = 40\nsupply.x0.quantity = 3.0\n"
    told = run(Experiment.parse(text))
    moves = Moves.of(told)
    assert moves.goods[:1] == ("x0",)
    assert moves.rest[0] == pytest.approx(0.5 * np.log(1.1 / 3.1), abs=1e-6)
    assert np.isnan(moves.moves[moves.goods.index("x5")]).all()
    assert np.all(moves.moves[moves.goods.index("x4")] == 0.0)  # below 0, and as it was
    assert_nothing_is_cut_off(told.shock_figure())


# --- shocks in a few words ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("productivity.flour=-20%", {"step": 300, "industries.flour.productivity": 0.8}),
        ("productivity.flour = 0.7 @ 12", {"step": 12, "industries.flour.productivity": 0.7}),
        ("supply.labour=+25%@7", {"step": 7, "supply.labour.quantity": 2.5}),
        ("supply.labour=1e1", {"step": 300, "supply.labour.quantity": 10.0}),
        ("demand.bread=-2.5%", {"step": 300, "demand.bread.price": 1.95}),
    ],
)
def test_what_a_shock_says(text, entry):
    """It is the entry in [[shocks]] that one would write: 2.0 + 25 % is 2.5."""
    told = Experiment.parse(BAKERY).with_shock_texts([text])
    assert told.configuration["shocks"] == [pytest.approx(entry, rel=1e-15)]
    written = Experiment.parse(BAKERY, settings={"shocks": [entry]})
    assert [step for step, _ in told.changes] == [entry["step"]]
    assert told.last_economy.supply == written.last_economy.supply
    assert told.last_economy.demand == written.last_economy.demand


def test_shocks_come_one_after_another():
    """A percentage is of what there is by then, whatever the order of writing, and of the file."""
    own = [{"step": 20, "supply.labour.quantity": 4.0}]
    first = Experiment.parse(BAKERY, settings={"shocks": own})
    more = ["supply.labour=-50%@30", "supply.labour=+10%@10", "demand.bread=3@20"]
    told = first.with_shock_texts(more)
    amounts = [(step, economy.supply["labour"].quantity) for step, economy in told.changes]
    assert amounts == [(10, pytest.approx(2.2)), (20, 4.0), (20, 4.0), (30, 2.0)]
    assert told.economy_at(19).demand["bread"].price == 2.0
    assert told.economy_at(20).demand["bread"].price == 3.0
    assert told.economy_at(9) is told.economy
    again = Experiment.parse(BAKERY, settings={"shocks": told.configuration["shocks"]})
    assert again.configuration == told.configuration
    assert again.last_economy.supply == told.last_economy.supply


def test_a_shock_hits_all_firms_of_an_industry():
    settings = {"industries.flour.firms": 2, "industries.flour.productivity": [1.0, 3.0]}
    first = Experiment.parse(BAKERY, settings=settings)
    hit = first.with_shock_texts(["productivity.flour=-50%"])
    assert hit.last_economy.industries[0].productivity.tolist() == [0.5, 1.5]


def test_codes_may_be_digits_and_dots(tmp_path):
    """``10.1`` is one code: in a shock, in the configuration that is told, and read again."""
    path = as_file(three(codes=("10", "10.1", "c.d.e")), tmp_path, "[run]\nsteps = 40\n")
    texts = ["productivity.10.1=-50%", "productivity.c.d.e=3@30"]
    told = Experiment.load(path).with_shock_texts(texts)
    z = {i.good: float(i.productivity[0]) for i in told.last_economy.industries}
    assert z == {"10": 1.0, "10.1": 0.5, "c.d.e": 3.0, "household": 1.0}
    first, _ = told.configuration["shocks"]
    assert first == {"step": 20, 'industries."10.1".productivity': 0.5}
    again = Experiment.load(path, {"shocks": told.configuration["shocks"]})
    assert again.last_economy.industries[1].productivity[0] == 0.5
    table = '[[shocks]]\nstep = 3\n[shocks.industries."10.1"]\nproductivity = 0.25\n'
    nested = Experiment.load(as_file(three(codes=("10", "10.1", "c")), tmp_path, table))
    assert nested.last_economy.industries[1].productivity[0] == 0.25
    override = {'industries."10.1".productivity': 2.0}
    assert Experiment.load(path, override).economy.industries[1].productivity[0] == 2.0


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("productivity.petroleum=1", r"no industry makes 'petroleum'; did you mean '324' \(Petrol"),
        ("productivity.324X=1", r"no industry makes '324X'; did you mean '324' \(Petroleum"),
        ("supply.324=1", "no supplier of '324'; choose one of: primary"),
        ("demand.hosehold=+1%", "no consumer buys 'hosehold'; did you mean 'household'"),
        ("price.324=1", "cannot change 'price'; choose one of: productivity, supply, demand"),
        ("productivity.324", "not a valid shock; write TARGET.GOOD=CHANGE"),
        ("productivity.324=lots", "not a valid shock"),
        ("productivity.324=1@-3", "not a valid shock"),
        ("productivity.324=+0.1", "may be a change or a value"),
        ("productivity.324=-100%", "industries.324.productivity is 0.0"),
        ("productivity.324=-20%@121", "a shock comes at step 121, and there are 120 steps"),
        ("productivity.324=-20%@0", "shocks.step is 0"),
    ],
)
def test_what_is_no_shock(text, told):
    with pytest.raises(MarketError, match=told) as caught:
        shocked(text)
    assert str(caught.value).startswith(f"--shock {text}: ")


def test_an_experiment_of_ones_own_takes_shocks():
    """No text is needed: a shock is data, applied to the economy."""
    experiment = Experiment.of(from_text("y = x", {"x": 1}), steps=20)
    told = experiment.with_shock_texts(["supply.x=2@5"])
    assert run(told).quantities[[4, 5], 0].tolist() == [1.0, 2.0]
    assert told.configuration["shocks"] == [{"step": 5, "supply.x.quantity": 2.0}]
    early = experiment.with_steps(1).with_shock_texts(["supply.x=2"])
    assert [step for step, _ in early.changes] == [1]


# --- what is printed ------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_command_prints_the_ten_largest(tmp_path, monkeypatch):
    """Names, prices, and sales that are the outputs of the table over final use, to ten digits."""
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["run", "us-economy", "--shock", OIL])
    assert done.exit_code == 0, done.output
    rows = [line.split() for line in done.output.splitlines() if re.search(r"e-1[345] $", line)]
    largest = np.argsort(-TABLE.output)[:10]
    assert {row[0] for row in rows} == {TABLE.codes[k] for k in largest}
    sales = dict(zip(TABLE.codes, TABLE.output / TABLE.final_use.sum(), strict=True))
    for row in rows:
        price, gradient, weight, sold = map(float, row[-5:-1])
        assert weight == sold == pytest.approx(sales[row[0]], abs=6e-11)
        assert price == gradient > 1.0
    assert "HS Housing" in done.output and "111CA Farms" not in done.output
    assert "all 73 goods are in summary.json and trajectory.csv" in " ".join(done.output.split())
    assert "Distance to the steady state (closed form): prices" in done.output
    folder = tmp_path / "results" / "us-economy"
    assert "shock.png" in {path.name for path in folder.iterdir()}
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert summary["goods"]["324"]["name"] == "Petroleum and coal products"
    assert "name" not in summary["goods"]["household"]
    assert summary["configuration"]["shocks"] == [{"step": 52, "industries.324.productivity": 0.8}]
    again = CliRunner().invoke(main, ["run", "us-economy"])  # in the same folder
    assert again.exit_code == 0 and not (folder / "shock.png").exists()


def test_a_large_program_has_no_domar_weights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = "\n".join(f"b{k} = x{k} ** 0.5" for k in range(30))
    text = f"[economy]\nprogram = '''\n{lines}\ny = {' + '.join(f'b{k}' for k in range(30))}\n'''\n"
    text += "".join(f"[supply.x{k}]\nquantity = {k + 1}\n" for k in range(30))
    (tmp_path / "large.toml").write_text(text, encoding="utf-8")
    done = CliRunner().invoke(main, ["run", "large.toml"])
    assert done.exit_code == 0, done.output
    assert MAX_LISTED_GOODS < 61 and "Domar" not in done.output
    shown = [line.split()[0] for line in done.output.splitlines() if line.startswith(" b")]
    assert shown == [f"b{k}" for k in range(29, 19, -1)]  # sales are the square roots


def test_a_mistake_is_told_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["run", "us-economy", "--shock", "productivity.petrol=-20%"])
    assert done.exit_code == 2
    assert done.output.strip() == (
        "Error: --shock productivity.petrol=-20%: no industry makes 'petrol'; "
        "did you mean '324' (Petroleum and coal products)?"
    )
    assert not (tmp_path / "results").exists()
