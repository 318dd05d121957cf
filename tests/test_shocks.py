"""Shocks: numbers of the economy that change while the market runs."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.text import Text
from support.economies import BAKERY
from support.figures import assert_nothing_is_cut_off
from support.profiles import members

from market_abm import Experiment, MarketError, run
from market_abm.analysis.shock_response import shock_responses
from market_abm.experiment.shocks import Shock
from market_abm.gradient.backprop import exact_gradient
from market_abm.gradient.equilibrium import equilibrium
from market_abm.runs.run import shocked as with_shocks
from market_abm.studies.sweep import Sweep, run_sweep
from market_abm.views.numbers import MINUS
from market_abm.views.plots.shock import Moves, shock
from market_abm.views.words.shock import shock_sentences, shocked_goods

SHOCKS = {
    "supply.labour.quantity": 1.0,
    "supply.wheat.price": 0.5,
    "supply.wheat.elasticity": 0.0,
    "demand.bread.price": 3.0,
    "demand.bread.elasticity": 0.8,
    "demand.bread.quantity": 1.0,
    "industries.flour.productivity": 1.5,
    "economy.parameters.scale": 0.6,
}


def shocked(step, key, value, **settings):
    return Experiment.parse(BAKERY, settings={"shocks": [{"step": step, key: value}], **settings})


WAYS = [*itertools.product(("simultaneous", "sequential"), ("agents", "arrays"))]


@pytest.mark.parametrize(
    ("key", "activation", "engine"),
    members(
        ((key, *way) for key in SHOCKS for way in WAYS),
        quick=[(key, *WAYS[k % len(WAYS)]) for k, key in enumerate(SHOCKS)],
    ),
)
def test_the_market_finds_the_new_gradient(key, activation, engine):
    """After the shock it ends where the changed economy's best allocation is: runs stop at 1e-9.

    Reference quantities of demand stay those of the first day, unless the shock names others.
    """
    settings = {"run.engine": engine, "market.activation": activation}
    before = run(Experiment.parse(BAKERY, settings=settings))
    result = run(shocked(60, key, SHOCKS[key], **settings))
    assert result.status == "converged" and result.steps >= 60
    alike = min(60, len(before.prices))
    assert np.array_equal(result.prices[:alike], before.prices[:alike])
    c0 = float(before.quantities[0, -1])
    text = BAKERY.replace("price = 2.0", f"price = 2.0\nquantity = {c0!r}")
    overrides = {key: SHOCKS[key]}
    best = equilibrium(Experiment.parse(text, settings=overrides).economy)
    np.testing.assert_allclose(result.last.quantities, best.quantities, rtol=1e-7)
    np.testing.assert_allclose(result.last.prices, best.prices, rtol=1e-7)
    assert result.summary()["equilibrium"]["quantities"] < 1e-7
    moved = np.abs(result.last.quantities / before.last.quantities - 1).max()
    assert (
        moved > 1e-3
        or key == "demand.bread.quantity"
        or not np.allclose(result.last.prices, before.last.prices, rtol=1e-3)
    )


def test_the_gradient_is_the_new_ones_from_the_shock_on():
    """A chain at rest: at the shock's own step the gradient has moved, and no price yet has."""
    text = """
[economy]
program = "a = 2*x"
[economy.parameters]
[supply.x]
quantity = 3.0
[run]
steps = 30
[[shocks]]
step = 10
industries.a.productivity = 5.0
"""
    result = run(Experiment.parse(text.replace("[economy.parameters]\n", "")))
    x = result.goods.index("x")
    assert result.gradients[9, x] == 2.0 and result.gradients[10, x] == 10.0
    assert result.prices[10, x] == 2.0 and result.prices[11, x] == 10.0
    assert result.quantities[10].tolist() == [3.0, 30.0]
    assert (result.status, result.steps) == ("converged", 11)
    assert result.first_steps.tolist() == [11, 0]
    assert exact_gradient(result.experiment.last_economy)["x"] == 10.0
    assert result.prediction is None


@pytest.mark.parametrize("firms", [1, 3])
def test_both_engines_take_shocks_alike(firms):
    """1e-12 at every step, as in tests/test_two_engines.py; three shocks, two of them at once."""
    shocks = [
        {"step": 8, "supply.labour.quantity": 1.5, "industries.bread.productivity": 0.8},
        {"step": 8, "demand.bread.elasticity": 2.5},
        {"step": 15, "industries.bid_noise": 0.05},
    ]
    runs = [
        run(
            Experiment.parse(
                BAKERY,
                settings={
                    "shocks": shocks,
                    "run.engine": engine,
                    "run.steps": 30,
                    "industries.firms": firms,
                    "market.share_rate": 0.05,
                },
            )
        )
        for engine in ("agents", "arrays")
    ]
    for name in ("prices", "quantities", "gradients"):
        np.testing.assert_allclose(*(getattr(each, name) for each in runs), rtol=1e-12)
    assert np.abs(np.diff(runs[0].prices[20:, 0])).min() > 0  # the noise has come


def test_shocks_add_up_and_a_run_does_not_end_before_the_last():
    settings = {
        "shocks": [
            {"step": 150, "supply.labour.quantity": 1.0},
            {"step": 40, "economy.parameters.scale": 0.6},
        ]
    }
    result = run(Experiment.parse(BAKERY, settings=settings))
    assert result.steps > 150
    last = result.experiment.last_economy
    assert last.supply["labour"].quantity == 1.0
    assert last.industries[1].technology.parameters["scale"] == 0.6
    assert [shock["step"] for shock in result.summary()["configuration"]["shocks"]] == [40, 150]
    figure = result.convergence_figure()
    marked = [line.get_xdata()[0] for line in figure.axes[0].get_lines() if line.get_lw() == 0.8]
    assert marked == [40, 150]


def test_shocks_can_be_swept(tmp_path):
    """Each run of a sweep has its own shock; the rows are those of single runs."""
    experiment = shocked(20, "supply.labour.quantity", 1.0)
    axis = {"demand.bread.elasticity": [0.8, 1.5, 4.0]}
    table = run_sweep(Sweep.of(experiment, axis), tmp_path / "s")
    for row in table.to_dict("records"):
        key = {"demand.bread.elasticity": row["demand.bread.elasticity"]}
        alone = run(shocked(20, "supply.labour.quantity", 1.0, **key, **{"run.engine": "arrays"}))
        assert row["status"] == alone.status == "converged"
        assert row["steps"] == alone.steps
        assert row["quantity.labour"] == 1.0
        assert row["best_quantity.bread"] == pytest.approx(row["quantity.bread"], rel=1e-7)


FIRMS = """
[industries]
firms = 3
weight_spread = 0.4
productivity_spread = 0.2
[industries.bread]
firms = 2
productivity = 1.3
"""
"""Firms that are drawn at random, with settings of all industries and of one."""

VALUES = {
    **dict.fromkeys(SHOCKS, (0.2, 3.0)),
    "supply.wheat.adjustment": (0.1, 1.0),
    **dict.fromkeys(("industries.productivity", "industries.bread.productivity"), (0.2, 3.0)),
    **dict.fromkeys(("industries.weight_spread", "industries.bread.bid_noise"), (0.0, 2.0)),
    **dict.fromkeys(("industries.productivity_spread", "industries.bid_noise"), (0.0, 2.0)),
}


def numbers_of(economy):
    """All that with_values can change, to the last bit."""
    industries = [
        (i.technology.parameters, i.population, i.weights.tolist(), i.productivity.tolist())
        for i in economy.industries
    ]
    return industries, economy.supply, economy.demand


@settings(max_examples=40)
@given(
    st.lists(
        st.dictionaries(st.sampled_from(sorted(VALUES)), st.floats(0.0, 1.0), min_size=1),
        min_size=1,
        max_size=3,
    )
)
def test_values_are_those_of_an_economy_read_with_them(doings):
    """A shock is data, applied to an economy: the text, read again, gives the same, bit for bit."""
    text = BAKERY + FIRMS
    economy, overrides = Experiment.parse(text).economy, {}
    for doing in doings:
        values = {
            key: low + place * (high - low)
            for key, place in doing.items()
            for low, high in [VALUES[key]]
        }
        economy = economy.with_values(values)
        overrides |= values
    assert numbers_of(economy) == numbers_of(Experiment.parse(text, settings=overrides).economy)


def test_shocks_of_python_are_those_of_a_file():
    """Also where the file gives terms by one number, whose other keys a shock may change."""
    text = BAKERY.replace("[supply.labour]\nquantity", "[supply]\nlabour")
    shocks = [Shock(30, {"supply.labour.elasticity": 0.5}), Shock(20, {"demand.bread.price": 3.0})]
    told = Experiment.parse(text).with_shocks(shocks)
    written = Experiment.parse(text, settings={"shocks": told.configuration["shocks"]})
    assert [step for step, _ in told.changes] == [20, 30]
    assert numbers_of(told.last_economy) == numbers_of(written.last_economy)
    again = told.with_overrides({"market.share_rate": 0.1})
    assert again.shocks == told.shocks and again.market.share_rate == 0.1


@pytest.mark.parametrize(
    ("shocks", "told"),
    [
        (3, r"shocks is not a list of tables; write \[\[shocks\]\]"),
        ([{"supply.labour.quantity": 1}], "a shock has no step"),
        ([{"step": 5}], "a shock changes no number; write the key of one"),
        ([{"step": 5, "households": {"a": {"money": 2}}}], "spends it in the first step only"),
        ([{"step": 0, "supply.labour.quantity": 1}], r"shocks.step is 0"),
        ([{"step": 9999, "supply.labour.quantity": 1}], "step 9999, and there are 600 steps"),
        ([{"step": 5, "market.share_rate": 1}], "a shock cannot change 'market.share_rate'"),
        ([{"step": 5, "supply.labor.quantity": 1}], "the shock at step 5: .*'labor'"),
        ([{"step": 5, "supply.labour.quantity": "x"}], "the shock at step 5: .*quantity is 'x'"),
        ([{"step": 5, "industries.firms": 2}], "the shock at step 5 changes more than numbers"),
    ],
)
def test_what_is_no_shock(shocks, told):
    with pytest.raises(MarketError, match=told):
        Experiment.parse(BAKERY, settings={"shocks": shocks})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("supply.labour=-120%", "a change of -120% takes more than there is"),
        ("demand.bread=-100.1%", "a change of -100.1% takes more"),
        ("supply.labour=+3", "may be a change or a value"),
        ("supply.labour=٣", "not a valid shock"),
        ("supply.labour=3@٣", "not a valid shock"),
        ("supply=3", "not a valid shock"),
        ("supply.labour", "not a valid shock"),
        ("", "not a valid shock"),
        ('supply."labour=3', "cannot read the key"),
        ("price.labour=3", "a shock cannot change 'price'"),
        ("transfer.rich=3", r"they sum to 0; write all of them into one entry of \[\[shocks\]\]"),
    ],
)
def test_what_is_no_shock_of_a_command_line(text, told):
    bakery = Experiment.parse(BAKERY)
    with pytest.raises(MarketError, match=f"--shock .*{told}"):
        bakery.with_shock_texts([text])
    (shock,) = bakery.with_shock_texts(["supply.'labour' = -100%"]).shocks
    assert shock.values == {"supply.labour.quantity": 0.0}


def test_shocks_are_no_swings():
    """A run that is cut off soon after its tenth shock still needs more time, and no lower rates.

    Its price turns round at every shock; after the last one it only goes down.
    """
    economy = """
[economy]
program = "y = sqrt(x)"
[supply.x]
quantity = 1.0
[market]
bid_rate = 0.3
[run]
steps = 34
"""
    shocks = "".join(
        f"[[shocks]]\nstep = {step}\ndemand.y.price = {price}\n"
        for step, price in zip(range(3, 31, 3), 5 * (3.0, 1.0), strict=True)
    )
    result = run(Experiment.parse(economy + shocks))
    assert result.status == "max_steps"


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("market.share_rate", 1, "'market.share_rate' is not a number of the economy"),
        ("supply.flour.quantity", 1, "'flour' is made by a line"),
        ("demand.cake.price", 1, "no line makes a final good 'cake'"),
        ("industries.cake.productivity", 1, "the program has no such industry"),
        ("industries.productivty", 1, "unknown key 'industries.productivty'; did you mean"),
        ("economy.parameters.scal", 1, "reads the parameter 'scal'; did you mean 'scale'"),
        ("economy.parameters.sigma", -1, "elasticity is -1"),
        ("economy.parameters.w", 0.7, r"the weights of ces\(\) sum to 1.3"),
        ("demand.bread.elasticity", 0, "demand.bread.elasticity is 0"),
    ],
)
def test_values_that_an_economy_cannot_have(key, value, told):
    """The same checks as of a text: also of constants that depend on parameters."""
    text = BAKERY.replace(
        "elasticity=0.5, weights=(0.4, 0.6)", "elasticity=sigma, weights=(w, 0.6)"
    )
    text = text.replace("{ scale = 0.8 }", "{ scale = 0.8, sigma = 0.5, w = 0.4 }")
    economy = Experiment.parse(text).economy
    with pytest.raises(MarketError, match=told):
        economy.with_values({key: value})


# --- what follows a shock -------------------------------------------------------------------------


def test_what_follows_a_shock_is_in_the_errors():
    """By hand: off by 3 in step 2, back in step 4; then off again, at once by infinity."""
    times = np.array([0, 1, 2, 3, 4, 5, 6])
    errors = np.array([[9.0, 9], [0, 0], [0, 3], [1, 0], [0, 1e-3], [np.nan, 0], [0, 0.5]])
    first, second = shock_responses(times, errors, [2, 2, 5, 90], tolerance=1e-2)
    assert (first.error, first.good, first.at, first.until) == (3.0, 1, 2, 4)
    assert (first.back, first.duration, first.left) == (4, 2, 1e-3)
    assert (second.error, second.good, second.at) == (np.inf, 0, 5)
    assert (second.back, second.duration, second.left) == (None, None, 0.5)
    calm, *_ = shock_responses(times, errors, [4, 5], tolerance=1e-2)
    assert (calm.back, calm.duration) == (4, 0)
    assert shock_responses(times[::5], errors[::5], [2, 4], 1e-2)[0].step == 4  # none is recorded


def test_a_run_says_what_its_shocks_did():
    """The sentences, the summary and the table of the path have the same numbers."""
    result = run("shocks")
    table = result.frame()
    words = shock_sentences(result)
    assert words[0] == f"Shock at step 120: supply.labour.quantity 2 → 1 ({MINUS}50 %)."
    assert words[2] == "Shock at step 240: industries.flour.productivity 1 → 1.5 (+50 %)."
    for start, end, said, kept in ((120, 240, words[1], 0), (240, 999, words[3], 1)):
        after = table[(table["step"] >= start) & (table["step"] < end)]
        worst = after.loc[after["error"].idxmax()]
        off = after[after["error"] > result.experiment.run.tolerance]
        back = int(off["step"].max()) + 1
        assert (
            f"by up to {100 * worst['error']:.0f} % ({worst['good']}, step {worst['step']})" in said
        )
        assert f"back within 1e-09 at step {back}, {back - start} steps later" in said
        entry = result.summary()["shocks"][kept]
        assert (entry["step"], entry["good"], entry["back"]) == (start, worst["good"], back)
    prices = table.pivot(index="step", columns="good", values="price")
    change = prices.loc[239] / prices.loc[119] - 1
    assert f"that of {change.abs().idxmax()}, {100 * change.abs().max():+.1f} %" in words[1]
    assert not shock_sentences(run("loop", steps=5))
    cut = run("shocks", steps=242)
    assert "at step 242" in shock_sentences(cut)[3] and "back" not in shock_sentences(cut)[3]


def test_of_which_goods_prices_are_known_after_a_shock_is_said():
    """Not all are recorded: the sentence is of those only, and a figure names the ones it lacks."""
    result = run("shocks", overrides={"record.goods": ["bread"]})
    assert "of the recorded goods (1 of 4)" in shock_sentences(result)[1]
    lines, cells = result.shock_figure(), shock(result)
    for figure in (lines, cells):
        text = " ".join(each.get_text() for each in figure.findobj(Text))
        assert "not drawn: labour, flour" in text
    assert shocked_goods(result) == ("labour", "flour")
    rows = Moves.of(run("shocks"), rows=3).goods
    assert len(rows) == 3 and "labour" in rows


def test_without_a_step_a_shock_comes_when_the_market_has_settled():
    """`loop` settles at step 113: a quarter later; at the latest in the middle of the run."""
    loop = Experiment.load("loop")
    settled = run(loop).steps
    told = with_shocks(loop, ["supply.ore=-50%"])
    assert [each.step for each in told.shocks] == [settled + settled // 4]
    result = run(told)
    assert result.status == "converged" and result.steps < 3 * settled
    for texts, steps in (
        (["supply.ore=1", "supply.labour=1@3"], [3, 60]),
        (["supply.ore=1@9"], [9]),
    ):
        assert [each.step for each in with_shocks(loop.with_steps(120), texts).shocks] == steps


def test_the_figure_of_a_few_prices_after_a_shock():
    """Lines are prices against the step before the first shock; diamonds the new equilibrium."""
    result = run("shocks")
    figure = result.shock_figure()
    assert_nothing_is_cut_off(figure)
    (axes,) = figure.axes
    drawn = {line.get_color(): line for line in axes.get_lines() if line.get_lw() == 2.0}
    legend = {t.get_text(): h.get_color() for t, h in _entries(figure)}
    assert len(drawn) == len(legend) == 4
    for label, color in legend.items():
        good = label.split()[0]
        k = result.recorded.index(good)
        x, y = drawn[color].get_data()
        change = 100 * (result.prices[:, k] / result.prices[119, k] - 1)
        np.testing.assert_allclose(y, change[x], atol=1e-12)  # 100 times a rounding of 1
        (end,) = (
            line
            for line in axes.get_lines()
            if line.get_marker() == "D" and line.get_color() == color
        )
        assert end.get_ydata()[0] == pytest.approx(change[-1], abs=1e-6)
        assert x[0] < 120 and x[-1] > 240
        assert f"{abs(change[-1]):.3g} %" in label
    assert run("loop", steps=5).shock_figure() is None


def _entries(figure):
    (legend,) = figure.legends
    return zip(legend.get_texts(), legend.get_lines(), strict=True)
