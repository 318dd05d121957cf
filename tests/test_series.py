"""Exogenous series: offers, productivities and consumers' prices that differ from step to step."""

import json
import math

import numpy as np
import pytest

from market_abm import Demand, Experiment, MarketError, Supply, from_text, run, sweep
from market_abm.economy.read_series import series_of
from market_abm.experiment.shocks import Shock
from market_abm.market.mechanisms.registry import array_market, market_settings
from market_abm.runs.start import run_together
from market_abm.views.words.stability import regime_text
from market_abm.watch.session import Session

RNG = np.random.default_rng(14)
OFFERED, PAID, SKILL = (np.round(1 + RNG.random((rows, 1)), 3) for rows in (7, 5, 3))
PROGRAM = """
a = x ** 0.5
b = 2 * x ** 0.6
c = a ** 0.4 * b ** 0.3 * l ** 0.2
"""
STEPS = 12


def economy(x, price, productivity, **series):
    return from_text(
        PROGRAM,
        {"x": x, "l": 2.0},
        {"c": Demand(price=price, elasticity=2.0, quantity=1.0, **series.get("c", {}))},
        population_of={"a": {"firms": 2, "productivity": productivity, **series.get("a", {})}},
    )


def with_series(repeat="cycle"):
    rhythm = {"repeat": repeat}
    return economy(
        Supply(series=OFFERED, **rhythm),
        1.5,
        1.0,
        c={"series": PAID, "period": 2, **rhythm},
        a={"series": SKILL, "period": 3, **rhythm},
    )


def at(step):
    """The numbers of a step, by hand: the rows follow each other, and begin again."""
    return (
        float(OFFERED[step % 7, 0]),
        1.5 * float(PAID[step // 2 % 5, 0]),
        float(SKILL[step // 3 % 3, 0]),
    )


def with_shocks(**settings):
    keys = ("supply.x.quantity", "demand.c.price", "industries.a.productivity")
    shocks = [Shock(t, dict(zip(keys, at(t), strict=True))) for t in range(1, STEPS + 1)]
    return Experiment.of(economy(*at(0)), steps=STEPS, **settings).with_shocks(shocks)


WAYS = [
    ("unit-bid", "simultaneous", "agents"),
    ("unit-bid", "simultaneous", "arrays"),
    *(
        pytest.param(*way, engine, marks=pytest.mark.slow)
        for engine in ("agents", "arrays")
        for way in (
            ("unit-bid", "sequential"),
            ("trading-post", "simultaneous"),
            ("tatonnement", "simultaneous"),
            ("posted-price", "simultaneous"),
        )
    ),
]


@pytest.mark.parametrize(("mechanism", "activation", "engine"), WAYS)
def test_a_series_is_a_shock_at_every_step_to_the_bit(mechanism, activation, engine):
    """What trades, the exact gradient, W and the optimum are those of the present numbers."""
    settings = {"mechanism": mechanism, "activation": activation, "engine": engine}
    expected, found = run(with_shocks(**settings)), run(with_series(), steps=STEPS, **settings)
    for field in ("prices", "quantities", "shares", "bids"):
        paths = [getattr(each.trajectory, field) for each in (expected, found)]
        np.testing.assert_array_equal(*paths, err_msg=field)
    np.testing.assert_array_equal(found.gradients, expected.gradients)
    np.testing.assert_array_equal(found.path.welfare, expected.path.welfare)
    np.testing.assert_array_equal(found.equilibrium.prices, expected.equilibrium.prices)
    assert found.trajectory.quantities[:, 0].tolist() == [at(t)[0] for t in range(STEPS + 1)]


def test_offers_are_the_same_bits_in_both_engines_and_of_any_sign_for_copies():
    """Offers of 0 and below; the exact gradient, written by hand, is at the present offers."""
    rows = np.array([[2.0], [0.0], [-1.5], [1e-300], [3.0]])
    made = from_text("y = x * w", {"x": Supply(series=rows), "w": 0.5}, reuse="copy")
    results = [run(made, steps=12, engine=engine) for engine in ("agents", "arrays")]
    expected = rows[np.arange(13) % 5, 0]
    for result in results:
        np.testing.assert_array_equal(result.trajectory.quantities[:, 0], expected)
        np.testing.assert_array_equal(result.gradients[:, 1], expected)
        np.testing.assert_array_equal(result.gradients[:, 0], np.full(13, 0.5))


def test_nothing_is_at_rest_while_a_series_moves():
    """``hold`` keeps the last row, and the market comes to rest on it; ``cycle`` never does."""
    rows = np.array([[2.0], [2.0], [2.0], [3.0]])
    for period, engine in ((1, "agents"), (9, "arrays")):
        ends = {}
        for repeat in ("hold", "cycle"):
            terms = Supply(series=rows, repeat=repeat, period=period)
            result = run(from_text("y = x ** 0.5", {"x": terms}), steps=50, engine=engine)
            ends[repeat] = result.status, result.steps
        status, step = ends["hold"]
        assert status == "converged"
        assert 3 * period < step <= 3 * period + 4  # not in the first rows, which are all alike
        assert ends["cycle"] == ("max_steps", 50)
    constant = from_text("y = x ** 0.5", {"x": Supply(series=np.full((5, 1), 2.0))})
    assert run(constant, steps=80).steps < 5


def test_a_run_whose_series_moves_has_no_steady_state_and_may_diverge():
    """Points on a line, fitted by prices that come at once, or too late for so fast a learner."""
    points = np.array([[0.0, 1.0], [1.0, 3.0], [2.0, 5.0]])
    given = {name: Supply(series=points, column=k) for k, name in enumerate("xy")}
    given |= dict.fromkeys("ab", Supply(quantity=0.0, kind="gradient", cost="none", rate=0.2))
    program = "error = a + b * x - y\ngain = -0.5 * error ** 2"
    line = from_text(program, given, reuse="copy")
    ways = {
        "max_steps": {"activation": "sequential"},
        "diverged": {"activation": "simultaneous", "dating": "dated"},
    }
    for status, market in ways.items():
        result = run(line, engine="arrays", steps=300, **market)
        assert (result.status, result.stability) == (status, None)
        size = np.abs(result.quantities).max(axis=1)
        assert (size[250:].max() > 1e6 * size[:75].max()) == (status == "diverged")
    assert f"has grown to {size.max():.6g}" in result.ending.detail
    ending = {"half_life": math.inf, "regime": "monotone"}
    assert regime_text(ending) == "neither grows nor decays"
    assert regime_text(ending | {"half_life": 3.0}) == "decays"


def test_a_row_that_a_line_cannot_use_is_named():
    rows = np.array([4.0, 2.0, -3.0])
    root = from_text("y = x ** 0.5", {"x": Supply(series=rows)})
    for activation, engine, step in (("simultaneous", "agents", 3), ("sequential", "arrays", 2)):
        detail = run(root, activation=activation, engine=engine).ending.detail
        assert detail == (
            f"diverged at step {step}: the quantity of y is nan, where its input x is -3 "
            "(row 2 of its series, from 0)"
        )


def test_a_shock_comes_beside_a_series():
    """It changes other numbers; those of a series are data."""
    experiment = Experiment.of(with_series(), steps=STEPS, engine="arrays")
    shocked = experiment.with_shocks([Shock(4, {"supply.l.quantity": 1.0})])
    paths = [run(each).trajectory.quantities for each in (experiment, shocked)]
    np.testing.assert_array_equal(paths[0][:4], paths[1][:4])
    np.testing.assert_array_equal(paths[1][:, 0], paths[0][:, 0])
    assert paths[1][4, 1] == 1.0
    cheaper = run(experiment.with_shock_texts(["demand.c=-20%@4"]))
    assert cheaper.experiment.shocks[0].values == {"demand.c.price": 1.5 * 80 / 100}  # of p0 itself
    np.testing.assert_allclose(cheaper.prices[4, -1], 0.8 * run(experiment).prices[4, -1])
    for key in ("supply.x.quantity", "supply.x.series", "demand.c.series", "industries.a.series"):
        with pytest.raises(MarketError, match=r"series"):
            experiment.with_shocks([Shock(4, {key: 1.0})])


FAMILY = """
for i in 0..10:
    h[i] = x[i] * w
"""


def test_members_of_a_family_have_a_column_each_in_the_order_of_their_indices(tmp_path):
    """By a pattern in Python and in a file; the array is kept once, and a saved run is short."""
    data = RNG.standard_normal((6, 11))
    np.save(tmp_path / "x.npy", data)
    made = from_text(FAMILY, {"x[*]": Supply(series=data), "w": 2.0}, reuse="copy")
    text = f"[economy]\nreuse = 'copy'\nprogram = '''{FAMILY}'''\n[supply]\nw = 2.0\n"
    (tmp_path / "e.toml").write_text(text + '"x[*]".series = "x.npy"\n')
    read = Experiment.load(tmp_path / "e.toml")
    for each in (made, read.economy):
        market = array_market([each], [market_settings()], [1])
        for step in range(14):
            offers = [market.state.quantities[0, each.index[f"x[{k}]"]] for k in range(11)]
            np.testing.assert_array_equal(offers, data[step % 6])
            market.step()
        (moving,) = each.exogenous.offers  # one array operation
        assert len({id(terms.series) for terms in each.supply.values()}) == 2  # and None
        assert moving.columns == slice(0, 11)
    assert read.configuration["supply"]["x[*]"] == {"series": "x.npy"}
    assert [*Experiment.of(made).configuration["supply"]] == ["x[*]", "w"]
    one = from_text(FAMILY, {"x[*]": Supply(series=data[:, 0]), "w": 2.0}, reuse="copy")
    assert {one.supply[f"x[{k}]"].column for k in range(11)} == {0}
    with pytest.raises(MarketError, match="has 11 columns for 10 goods; give one column a good"):
        from_text(FAMILY, {"x[*]": Supply(series=data), "x[3]": 1.0, "w": 2.0})


def test_runs_side_by_side_are_each_as_if_alone():
    """Runs that differ in numbers, and one that ends before the others."""
    economies = [
        from_text(PROGRAM, {"x": Supply(series=OFFERED), "l": labour}) for labour in (1.0, 2.0, 3.0)
    ] + [with_series()] * 2
    for some in (economies[:3], economies[3:]):
        experiments = [
            Experiment.of(each, steps=steps, engine="arrays")
            for each, steps in zip(some, (20, 5, 6), strict=False)
        ]
        for alone, together in zip(map(run, experiments), run_together(experiments), strict=True):
            # Powers of one row and of several may differ in the last bit.
            np.testing.assert_allclose(alone.prices, together.prices, rtol=1e-13)
            np.testing.assert_allclose(alone.gradients, together.gradients, rtol=1e-13)
            np.testing.assert_array_equal(alone.quantities[:, 0], together.quantities[:, 0])


def test_series_are_swept(tmp_path):
    """Over a number beside a series, and over the file: each row is the run alone."""
    (tmp_path / "data.csv").write_text("z,x\n1,4\n2,5\n3,-6\n")
    (tmp_path / "more.csv").write_text("z,x\n1,7\n2,8\n")
    (tmp_path / "e.toml").write_text(EXPERIMENT)
    for key, values in (("supply.x.period", [1, 3]), ("supply.x.series", ["data.csv", "more.csv"])):
        table = sweep(tmp_path / "e.toml", {key: values})
        for value, quantity in zip(values, table["quantity.x"], strict=True):
            alone = run(tmp_path / "e.toml", overrides={key: value})
            assert quantity == alone.quantities[-1, 0]


EXPERIMENT = """
question = "Does a file say what is offered?"
[economy]
program = "y = x * z"
reuse = "copy"
[supply]
x.series = "data.csv"
x.period = 2
x.repeat = "hold"
z.series = "data.csv"
[run]
engine = "arrays"
steps = 9
"""


def test_a_file_names_its_columns_and_a_saved_run_names_the_file(tmp_path):
    (tmp_path / "data.csv").write_text("z,other,x\n1,0,4\n2,0,5\n3,0,-6\n")
    file = tmp_path / "e.toml"
    file.write_text(EXPERIMENT)
    result = run(file)
    assert result.quantities[:, :2].T.tolist() == [
        [4, 4, 5, 5, -6, -6, -6, -6, -6, -6],
        [1, 2, 3, 1, 2, 3, 1, 2, 3, 1],
    ]
    saved = json.loads(json.dumps(result.experiment.configuration))
    assert saved["supply"]["x"]["series"] == "data.csv"
    tables = {"question": "", "economy": saved["economy"], "supply": saved["supply"]}
    from market_abm.experiment.reading import read_tables

    again = read_tables(json.loads(json.dumps(tables)), tmp_path)["economy"]
    assert again.exogenous.offers[0].series == result.experiment.economy.exogenous.offers[0].series
    np.save(tmp_path / "data.npy", np.array([[1, 2], [3, 4]]))
    np.savez(tmp_path / "data.npz", np.array([[1, 2], [3, 4]]))
    for data in ("data.npy", "data.npz"):
        keys = {"supply.x.series": data, "supply.x.column": 1, "supply.z.series": data}
        found = Experiment.load(file, {**keys, "supply.z.column": 0}).economy
        assert [terms.quantity for terms in found.supply.values()] == [2.0, 1.0]


def test_the_page_follows_a_series_and_its_text_names_the_file_wherever_it_is(tmp_path):
    (tmp_path / "data.csv").write_text("z,x\n1,4\n2,5\n3,-6\n")
    (tmp_path / "e.toml").write_text(EXPERIMENT)
    session = Session(tmp_path / "e.toml")
    for _ in range(4):
        session.step()
    assert session.economy.supply["x"].quantity == session.state.quantities[0] == -6.0
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "e.toml").write_text(session.text(), "utf-8")
    again = run(tmp_path / "elsewhere" / "e.toml")
    np.testing.assert_array_equal(again.quantities[4], session.state.quantities)


def test_the_configuration_of_an_array_says_that_it_came_from_python():
    table = Experiment.of(with_series()).configuration
    assert table["supply"]["x"]["series"] == "array from Python (7 × 1)"
    assert table["industries"]["a"]["series"] == "array from Python (3 × 1)"
    assert len(json.dumps(table)) < 10_000


HEADER = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000, 1000000), }"
HUGE = b"\x93NUMPY\x01\x00v\x00" + HEADER.ljust(117) + b"\n" + bytes(64)
WRONG = [
    ("no.csv", None, "cannot read 'no.csv': there is no such file; its path is relative to"),
    ("a.csv", "", "'a.csv' has no rows; give at least one row"),
    ("a.csv", "x,y\n", "'a.csv' has no rows; give at least one row"),
    (
        "a.csv",
        "1\n\nnan\n",
        "'a.csv' holds nan in line 3, column 0 (columns count from 0); replace",
    ),
    (
        "a.csv",
        "u,v\n1,inf\n",
        "'a.csv' holds inf in line 2, column 1 (columns count from 0); replace",
    ),
    ("a.npy", np.array([1.0, np.nan]), "'a.npy' holds nan in row 1, column 0 (both count from 0)"),
    (
        "a.csv",
        "1\ntwo\n",
        "'a.csv' holds 'two' in line 2, column 0 (columns count from 0); replace",
    ),
    ("a.csv", "u,v\n1,\n", "'a.csv' holds '' in line 2, column 1 (columns count from 0); replace"),
    ("a.csv", "1,2\n3\n", "'a.csv' has 1 column in line 2, and 2 in line 1; keep a table"),
    ("a.csv", "u,v\n1,2,3\n", "'a.csv' has 3 columns in line 2, and 2 in line 1; keep a table"),
    ("a.csv", "u,u\n1,2\n", "line 1 of 'a.csv' names two columns 'u'; give each column a name"),
    ("a.csv", b"1\n\xff\n", "'a.csv' is no text in UTF-8; save it as such"),
    ("", None, "the name of its file is empty; give the name of a file"),
    (".", None, "'.' is a folder; give the name of a file"),
    ("a.csv", "1,2\n", "'a.csv' has 2 columns for 'x'; give one column a good"),
    ("a.csv", "u,v\n1,2\n", "'a.csv' has 2 columns for 'x'; give one column a good"),
    ("a.npy", np.array([{"a": 1}]), "cannot read 'a.npy': Object arrays cannot be loaded"),
    ("a.npy", np.array(["one"]), "'a.npy' holds <U3, not numbers; keep a table of numbers"),
    ("a.npy", np.array([1j]), "'a.npy' holds complex128, not numbers; keep a table"),
    ("a.npy", np.zeros((0, 2)), "'a.npy' has no rows; give at least one row"),
    ("a.npy", np.array(1.0), "'a.npy' has no rows; give at least one row"),
    ("a.npy", b"nothing of the kind", "cannot read 'a.npy': "),
    ("a.npz", b"PK\x03\x04 broken", "cannot read 'a.npz': File is not a zip file"),
    ("a.npy", HUGE, "cannot read 'a.npy': "),
    ("a.npz", {"a": np.ones(2), "b": np.ones(2)}, "'a.npz' holds 2 arrays; keep one array in it"),
]


@pytest.mark.parametrize(("name", "content", "message"), WRONG)
def test_what_is_no_series_is_refused_in_one_sentence(name, content, message, tmp_path):
    path = tmp_path / name
    if isinstance(content, str):
        path.write_text(content)
    elif isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, dict):
        np.savez(path, **content)
    elif content is not None:
        np.save(path, content, allow_pickle=True)
    text = EXPERIMENT.replace('z.series = "data.csv"', "z = 1").replace("data.csv", name)
    (tmp_path / "e.toml").write_text(text)
    with pytest.raises(MarketError) as error:
        Experiment.load(tmp_path / "e.toml")
    assert f"supply.x.series: {message}" in str(error.value)
    assert "\n" not in str(error.value)


TERMS = [
    ({"series": [1.0, 2.0], "quantity": 3.0}, "has a quantity and a series"),
    ({"series": [1.0, 2.0], "kind": "gradient", "cost": "none"}, "has a series, and an offer that"),
    ({"series": [1.0, 2.0], "kind": "gradient"}, "has a series, and an offer that"),
    ({"series": [1.0, 2.0], "elasticity": 1.0}, "has a series, and an offer that"),
    (
        {"quantity": 1.0, "kind": "gradient", "cost": "none", "decay": 1.0},
        'decay is 1 with cost "no',
    ),
    ({"series": [[1.0, 2.0]], "column": 2}, "column is 2, and 'array from Python (1 × 2)' has 2"),
    ({"series": [[1.0, 2.0]], "column": "u"}, "has no column 'u'; give its number"),
    ({"series": [[1.0, 2.0]], "column": -1}, "column is -1; give its number, from 0, or its name"),
    ({"series": [1.0], "repeat": "never"}, "supply.x.repeat is 'never'"),
    ({"series": {"a": 1}}, "is no series; give the name of a file, or an array of numbers"),
    ({}, "'supply.x.quantity' is missing; write quantity = ..."),
]


@pytest.mark.parametrize(("terms", "message"), TERMS)
def test_terms_that_contradict_a_series_are_refused(terms, message):
    with pytest.raises(MarketError) as error:
        from_text("y = x", {"x": terms})
    assert message in str(error.value)


def test_a_series_is_never_changed():
    given = np.ones((3, 1))
    series = series_of(given, "supply.x.series")
    given[:] = 5.0
    assert series.values.tolist() == [[1.0]] * 3
    with pytest.raises(ValueError, match="read-only"):
        series.values[0, 0] = 2.0
