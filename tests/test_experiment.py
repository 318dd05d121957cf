"""Experiment files: what they may say, and what is said of mistakes, with file and line."""

import json
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from market_abm import Experiment, MarketError, from_text, run
from market_abm.experiment.files import available
from market_abm.experiment.toml import key_lines, parse_assignment
from market_abm.studies.sweep import Sweep

ROOT = Path(__file__).parent.parent
MINIMAL = '[economy]\nprogram = """\ny = sqrt(x)\n"""\n[supply.x]\nquantity = 4\n'


def test_the_shortest_file_runs():
    result = run(Experiment.parse(MINIMAL))
    assert result.status == "converged"
    assert result.table().price.to_dict() == {"x": 0.25, "y": 1.0}


def test_every_key_of_the_documentation():
    text = """
question = "?"
[economy]
program = '''
a = p*x + z
b = a + x
'''
reuse = "copy"
parameters = { p = 2 }
[reuse]
x = "rival"
[supply.x]
quantity = 4.0
[supply]
z.quantity = 1
[demand.b]
price = 2.0
[industries]
firms = 3
weights = [0.2, 0.3, 0.5]
weight_spread = 0.0
productivity = 1.0
productivity_spread = 0.0
bid_noise = 0.0
start = 1.0
[industries.b]
firms = 1
weights = [1]
[market]
mechanism = "unit-bid"
activation = "sequential"
bid_rate = 0.5
share_rate = 0.25
[run]
engine = "agents"
steps = 100
tolerance = 1e-6
seed = 9
"""
    experiment = Experiment.parse(
        text.replace("[supply]\nz.quantity = 1", "[supply.z]\nquantity = 1")
    )
    economy = experiment.economy
    assert [i.firms for i in economy.industries] == [3, 1]
    assert economy.reuse == {"x": "rival", "z": "copy", "a": "copy", "b": "copy"}
    assert experiment.market.activation == "sequential"
    assert experiment.run.seed == 9
    assert experiment.configuration["run"]["tolerance"] == 1e-6


def test_the_configuration_makes_the_same_experiment_again():
    first = run("activation-random")
    tables = first.experiment.configuration
    settings = {
        f"{table}.{key}": value
        for table, keys in tables.items()
        if isinstance(keys, dict)
        for key, value in keys.items()
        if value is not None
    }
    program = settings.pop("economy.program")
    supply = "\n".join(
        f"[supply.{g}]\nquantity = {s['quantity']}" for g, s in tables["supply"].items()
    )
    again = run(
        Experiment.parse(f'[economy]\nprogram = """\n{program}"""\n{supply}', settings=settings)
    )
    assert np.array_equal(first.prices, again.prices)


BAD = {
    "quesion = 'x'\n" + MINIMAL: (1, "unknown key 'quesion'; did you mean 'question'"),
    MINIMAL + "[market]\nshare_rat = 1": (8, "did you mean 'market.share_rate'"),
    MINIMAL + "[markets]\nshare_rate = 1": (7, "did you mean 'market'"),
    MINIMAL + "[market]\nbid_rate = 0": (8, "market.bid_rate is 0.*> 0 and ≤ 1"),
    MINIMAL + "[market]\nbid_rate = 1.5": (8, "market.bid_rate is 1.5"),
    MINIMAL + "[market]\n\nbid_rate = 'fast'": (9, "market.bid_rate is 'fast'"),
    MINIMAL + "[market]\nactivation = 'sequentail'": (8, "did you mean 'sequential'"),
    MINIMAL + "[market]\nmechanism = 'barter'": (8, "market.mechanism is 'barter'"),
    MINIMAL + "[run]\nsteps = -1": (8, "run.steps is -1"),
    MINIMAL + "[run]\nsteps = 1.5": (8, "run.steps is 1.5"),
    MINIMAL + "[run]\ntolerance = nan": (8, "run.tolerance is nan"),
    MINIMAL + "[run]\nseed = -4": (8, "run.seed is -4"),
    MINIMAL + "[run]\nengine = 'warp'": (8, "run.engine is 'warp'"),
    MINIMAL + "[supply.z]\nquantity = 4": (7, "supply.z: no line uses a good 'z'"),
    MINIMAL + "[demand.x]\nprice = 4": (7, "no line makes a final good 'x'"),
    MINIMAL + "[industries]\nfirms = 'two'": (8, "industries.firms is 'two'"),
    MINIMAL + "[industries.y]\nfirm = 2": (8, "did you mean 'industries.y.firms'"),
    MINIMAL + "[industries]\nfrims = 2": (8, "unknown key 'industries.frims'"),
    MINIMAL + "[reuse]\nx = 'copied'": (8, "reuse.x is 'copied'; did you mean 'copy'"),
    MINIMAL + "[reuse]\nw = 'copy'": (8, "reuse.w: the program has no such good"),
    MINIMAL.replace("sqrt", "sqr"): (3, "unknown function 'sqr'; did you mean 'sqrt'"),
    MINIMAL.replace("y = sqrt(x)", "\n\ny = x\ny = x"): (6, "two lines produce 'y'"),
    MINIMAL.replace("4", "true"): (6, "supply.x.quantity is True"),
    MINIMAL.replace("quantity = 4", ""): (5, "'supply.x.quantity' is missing"),
    MINIMAL.replace("[supply.x]\nquantity = 4\n", ""): (3, "no line makes 'x'.*no endowment"),
    MINIMAL + "supply = 3": (7, "unknown key 'supply.x.supply'"),
    "market = 3\n" + MINIMAL: (1, r"market is 3; make it a table: \[market\]"),
    "[economy]\nparameters = {a = 'x'}\nprogram = 'y = x'\n[supply.x]\nquantity=1": (
        2,
        "economy.parameters.a is 'x'",
    ),
    "[economy]\nreuse = 'both'\nprogram = 'y = x'\n[supply.x]\nquantity=1": (2, "economy.reuse"),
    "[economy]\n[supply.x]\nquantity = 1": (1, "'economy.program' is missing"),
    "[economy\n": (1, "not valid TOML"),
    "a = " + "[" * 100_000: (None, "not valid TOML"),
    "a = " + "9" * 10_000: (None, "not valid TOML"),
    "question = 3\n" + MINIMAL: (1, "question is not text"),
    "share_rate = 3\n" + MINIMAL: (1, "unknown key 'share_rate'; did you mean 'market.share_rate'"),
    MINIMAL + "[run]\nshare_rate = 1": (8, "'run.share_rate'; did you mean 'market.share_rate'"),
    MINIMAL + "[market]\nfirms = 1": (8, "'market.firms'; did you mean 'industries.firms'"),
    "x.price = 3\n" + MINIMAL: (1, "unknown key 'x'; did you mean 'supply.x'"),
    MINIMAL.replace("sqrt(x)", "minimum(x, 2)"): (3, "unknown function 'minimum'; write min"),
    MINIMAL.replace("sqrt(x)", "min(x)"): (
        3,
        r"min\(\) takes several terms, not 1; write min\(x\[",
    ),
    MINIMAL.replace("sqrt(x)", "where(x, 1, 2)"): (
        3,
        r"the condition 'x' is no comparison by <, <=, > or >=; write where\(x < y, a, b\)",
    ),
    MINIMAL.replace("sqrt(x)", "where(x == 1, 1, 2)"): (3, "the condition 'x == 1' is no compar"),
    MINIMAL.replace("sqrt(x)", "where(0 < x < 1, x, 1)"): (3, "'0 < x < 1' compares more than two"),
    MINIMAL.replace("sqrt(x)", "where(x < 1, x)"): (3, "where.* two terms, not 2 arguments"),
    MINIMAL.replace("sqrt(x)", "x * (x < 1)"): (3, "'x < 1' is not arithmetic; .*as where"),
    MINIMAL.replace("sqrt(x)", "x if x < 1 else 1"): (3, r"is not arithmetic; write where\(x <"),
    MINIMAL.replace("y =", "max ="): (3, "'max' is the name of a function"),
    MINIMAL.replace("sqrt(x)", "pow(x, 2)"): (3, "unknown function 'pow'; write x \\*\\* y"),
    MINIMAL.replace("y =", "yield ="): (3, "'yield' is a reserved word.*, such as yield_"),
    MINIMAL.replace("sqrt(x)", "class ** 2"): (3, "'class' is a reserved word"),
    MINIMAL.replace("y =", "natural-gas ="): (3, "a hyphen is a minus.*such as natural_gas"),
    MINIMAL.replace("sqrt(x)", "x-y ** 2").replace("supply.x", "supply.x-y"): (
        5,
        "no line uses a good 'x-y'; a hyphen is a minus: write x_y",
    ),
    MINIMAL.replace("sqrt(x)", "natural gas"): (3, "a name has no spaces.*such as natural_gas"),
    MINIMAL.replace("sqrt(x)", "2x"): (3, "a name begins with a letter"),
    MINIMAL.replace("sqrt(x)", "0,5 * x"): (
        3,
        "not arithmetic; write numbers with a decimal point",
    ),
}


@pytest.mark.parametrize("text", BAD, ids=[message[:40] for _, message in BAD.values()])
def test_mistakes_are_told_with_file_and_line(text, tmp_path):
    line, message = BAD[text]
    path = tmp_path / "bad.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(MarketError, match=message) as caught:
        Experiment.load(path)
    told = str(caught.value)
    assert "bad.toml" in told
    if line is not None:
        assert caught.value.line == line
        assert f"bad.toml:{line}: " in told
    assert caught.value.remedy
    assert "\n" not in told
    assert len(told) < 400


def test_files_that_are_none(tmp_path):
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"question = '\xff\xfe'")
    with pytest.raises(MarketError, match="not text in UTF-8"):
        Experiment.load(binary)
    with pytest.raises(MarketError, match="is not a file"):
        Experiment.load(tmp_path)
    with pytest.raises(MarketError, match="did you mean 'essay-chain'"):
        Experiment.load("essay-chian")
    with pytest.raises(MarketError, match="there is no file"):
        Experiment.load("x" * 5000)
    with pytest.raises(MarketError, match="there is no file"):
        Experiment.load("a\0b")


def test_marks_and_forms_of_letters_that_are_not_seen_do_not_matter(tmp_path):
    """Editors put a byte order mark first; the same accent has two forms; U+2028 ends no line."""
    path = tmp_path / "mark.toml"
    text = "question = '\u2028?'\n" + MINIMAL.replace("x", "\u00e9t\u00e9")
    path.write_bytes(
        b"\xef\xbb\xbf"
        + text.replace("[supply.\u00e9", '[supply."e\u0301')
        .replace("t\u00e9]", 't\u00e9"]')
        .encode()
    )
    settings = dict([parse_assignment("supply.e\u0301te\u0301.quantity=9")])
    assert run(Experiment.load(path, settings)).table().quantity["y"] == 3.0
    with pytest.raises(MarketError, match=r"mark\.toml:7: unknown key 'supply.été.quality'"):
        Experiment.parse(path.read_text("utf-8").replace("quantity", "quality"), file="mark.toml")
    path.write_text(path.read_text("utf-8")[1:] + "quality = 3\n", "utf-8")
    with pytest.raises(MarketError, match=r"mark\.toml:8: unknown key 'supply.été.quality'"):
        Experiment.load(path)


def test_a_file_of_a_hundred_megabytes_is_refused_unread(tmp_path):
    path = tmp_path / "big.toml"
    with path.open("wb") as file:
        file.truncate(100_000_000)
    with pytest.raises(MarketError, match="100,000,000 bytes"):
        Experiment.load(path)


def test_settings_override_the_file():
    experiment = Experiment.load(
        "essay-chain", {"market.bid_rate": 0.5, "supply.natgas.quantity": 9, "industries.firms": 2}
    )
    assert experiment.market.bid_rate == 0.5
    assert experiment.economy.supply["natgas"].quantity == 9
    assert experiment.economy.industries[0].firms == 2


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        (
            "market.share_rat=1",
            "--set market.share_rat=1: unknown key.*did you mean 'market.share_rate'",
        ),
        ("market.share_rate=-1", "--set market.share_rate=-1: market.share_rate is -1"),
        ("supply.natgsa.quantity=1", "did you mean 'natgas'"),
        ("share_rate=1", "--set share_rate=1: unknown key.*did you mean 'market.share_rate'"),
        ("elasticity=1", "--set elasticity=1: unknown.*did you mean 'demand.GOOD.elasticity'"),
        ("natgas.quantity=1", "--set natgas.quantity=1: unknown.*did you mean 'supply.natgas'"),
        ("question.x=1", "'question' has no keys of its own"),
        ("market=1", "make it a table"),
    ],
)
def test_wrong_overrides_are_told(assignment, message):
    key, value = parse_assignment(assignment)
    with pytest.raises(MarketError, match=message):
        Experiment.load("essay-chain", {key: value})


def test_assignments():
    assert parse_assignment("a.b=0.5") == ("a.b", 0.5)
    assert parse_assignment("a.b = true") == ("a.b", True)
    assert parse_assignment("a=[1, 2]") == ("a", [1, 2])
    assert parse_assignment("a=sequential") == ("a", "sequential")
    for wrong in ("a", "=3", ""):
        with pytest.raises(MarketError, match="write key=value"):
            parse_assignment(wrong)


def test_lines_of_keys():
    text = '# c\na = 1\n[t."u v"]\nb = """\nx = 3\n[w]\n"""\nc.d = 2\n'
    assert key_lines(text) == {"a": 2, "t.u v": 3, "t.u v.b": 4, "t.u v.c.d": 8}


def test_python_settings_are_checked_too():
    with pytest.raises(MarketError, match="unknown setting 'sharerate'; did you mean 'share_rate'"):
        run("essay-chain", sharerate=1)
    with pytest.raises(MarketError, match="bid_rate is 2"):
        run("essay-chain", bid_rate=2)
    with pytest.raises(MarketError, match="already made"):
        run(Experiment.load("essay-chain"), steps=3)
    with pytest.raises(MarketError, match="change the economy itself"):
        run(Experiment.load("essay-chain").economy, overrides={"run.steps": 3})


# --- the experiments that come with the project -------------------------------------------------

ALL = sorted(path.stem for path in (ROOT / "experiments").glob("*.toml"))
SWEPT = [name for name in ALL if Experiment.load(name).sweep]
NAMES = [name for name in ALL if name not in (*SWEPT, "digits")]  # see tests/test_digits.py


def test_they_are_all_at_hand():
    assert set(ALL) <= set(available())
    assert len(NAMES) >= 12


@pytest.mark.parametrize("name", NAMES)
def test_each_states_its_question_and_keeps_its_outcome(name):
    """The committed outcome is what a run gives today."""
    text = (ROOT / "experiments" / f"{name}.toml").read_text(encoding="utf-8")
    assert text.startswith("# ")
    result = run(name)
    kept = json.loads((ROOT / "results" / name / "summary.json").read_text(encoding="utf-8"))
    assert result.experiment.question.endswith((")", "?"))
    assert kept["status"] == result.status
    assert kept["steps"] == result.steps
    # Another NumPy may round exp and log otherwise; contraction keeps that small, and an unstable
    # market multiplies it (by 1.02 a step for 150 steps here).
    tolerance = 1e-6 if result.status == "oscillating" else 1e-11
    for good, row in kept["goods"].items():
        now = result.table().loc[good]
        assert now.price == pytest.approx(row["price"], rel=tolerance)
        assert now.quantity == pytest.approx(row["quantity"], rel=tolerance)
    failures = {
        "rival-diamond-unstable": "oscillating",
        "scarf-circle": "oscillating",
        "externality": "off_gradient",
    }
    assert result.status == failures.get(name, "converged")


TABLES = [name for name in SWEPT if (ROOT / "results" / name / "table.csv").exists()]
LONG = (
    "cournot",
    "elasticity-depth",
    "perishable",
    "stale-information",
    "tatonnement",
    "demand-elasticity",
    "foresight-momentum",
    "foresight-trend",
    "split-elasticity",
    "firms-noise",
)
"""Sweeps whose checked rows alone take two seconds or more."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in LONG)) for name in TABLES]
)
def test_each_sweep_keeps_its_outcome(name):
    """Of each table that is kept, nine rows, each run alone: 1e-9, as runs stop at that."""
    experiment = Experiment.load(name)
    given = dict(experiment.sweep)
    sweep = Sweep.of(experiment, given.pop("axes"), **given)
    table = pd.read_csv(ROOT / "results" / name / "table.csv")
    assert len(table) == sweep.design.size
    for number in np.linspace(0, len(table) - 1, 9).astype(int):
        row = table.loc[number]
        values, settings = sweep.design.point(int(number))
        assert list(values) == pytest.approx(list(row[list(sweep.design.names)]), rel=1e-12)
        try:
            result = run(sweep.experiment({**settings, "run.engine": "arrays"}))
        except MarketError:
            assert row["status"] == "failed"
            continue
        assert row["status"] == result.status
        if result.status == "converged":
            assert row["steps"] == result.steps
            ends = [*result.experiment.economy.supply, *result.experiment.economy.demand]
            for good in ends:
                price = result.prices[-1, result.goods.index(good)]
                assert row[f"price.{good}"] == pytest.approx(price, rel=1e-9)


def test_awkward_files_are_read_quickly():
    """A line of half a megabyte that looks like a table's head takes no time (nor does a key's)."""
    for line in ("[" + " " * 500_000, "a" + " " * 500_000, '"' * 500_001, "a." * 200_000):
        assert key_lines(line) is not None


def test_what_one_machine_cannot_hold_is_refused():
    with pytest.raises(MarketError, match="1,500,000 firms.*holds at most 1,000,000"):
        Experiment.parse(MINIMAL + "[industries]\nfirms = 1500000")
    with pytest.raises(MarketError, match=r"would record up to .* GB; lower run.steps to"):
        Experiment.parse(MINIMAL + "[run]\nsteps = 900_000_000")


def test_an_experiment_can_be_sent_to_another_process():
    experiment = Experiment.load("essay-chain", {"market.bid_rate": 0.5})
    again = pickle.loads(pickle.dumps(experiment))
    assert again.market == experiment.market
    assert np.array_equal(run(again).prices, run(experiment).prices)


def test_an_economy_of_ones_own_is_configured_in_full():
    economy = from_text("y = k*x**0.123456789012345678", {"x": 2}, parameters={"k": 0.1}, seed=7)
    configuration = run(economy, seed=5).experiment.configuration
    assert configuration["economy"] == {
        "program": "y = k*x**0.12345678901234568",
        "parameters": {"k": 0.1},
        "seed": 7,
    }
    assert configuration["run"]["seed"] == 5


def test_a_parameter_that_no_line_reads_is_refused():
    """Else a misspelt one would be ignored, and a sweep over it be a figure of nothing."""
    text = "[economy]\nprogram = 'y = x ** scale'\nparameters = { scale = 0.5 }\n"
    text += "[supply.x]\nquantity = 2\n"
    assert Experiment.parse(text).economy
    with pytest.raises(MarketError, match="reads the parameter 'scal'; did you mean 'scale'"):
        Experiment.parse(text, settings={"economy.parameters.scal": 1.0})


def test_settings_that_are_tables_are_not_changed_by_those_after_them():
    """What was given may be given again: a part of it that is overridden is the parser's own."""
    given = {"economy.parameters": {"a": 1.0}, "economy.parameters.a": 2.0}
    text = "[economy]\nprogram = 'y = a * x'\n[supply.x]\nquantity = 2\n"
    Experiment.parse(text, settings=given)
    assert given == {"economy.parameters": {"a": 1.0}, "economy.parameters.a": 2.0}


def test_another_mechanism_stays_when_more_is_set():
    other = Experiment.load("mechanisms").with_mechanism("posted-price")
    more = other.with_overrides({"run.steps": 15})
    assert more.market.mechanism == "posted-price" and more.run.steps == 15
    assert more.market == other.market
