"""``report``: one HTML file of a folder of results, that says what the folder says and no more."""

import base64
import copy
import hashlib
import json
import math
import random
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from market_abm import Experiment, MarketError, from_text, run
from market_abm.analysis.measures import MEASURES, Measure
from market_abm.cli.commands import main
from market_abm.experiment.files import available
from market_abm.experiment.toml import toml_text
from market_abm.language import mathml
from market_abm.language.expression import Expression, name, number
from market_abm.market.agents import Firm
from market_abm.runs.summary import resolved
from market_abm.studies.comparisons import MechanismComparison
from market_abm.studies.optimizers import OptimizerComparison
from market_abm.studies.sweep import Sweep, run_sweep
from market_abm.views.explain import Equation, explain
from market_abm.views.numbers import format_number
from market_abm.views.report import figures
from market_abm.views.report.report import report, report_html
from market_abm.views.report.run_figures import run_figures
from market_abm.views.words.economy import network_text

VOID = {"meta", "br", "hr", "img", "input", "link"}
HOSTILE = "</script><img src=x onerror=alert(1)><script>alert(2)</script>\"'&\u2028]]>"


class Page(HTMLParser):
    """A page taken apart; fails where a tag is not closed, in turn, or an id stands twice."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.ids, self.attributes = [], [], [], []
        self.texts, self.cells, self.raw = [], [], {}
        self.feed(text)
        self.close()
        assert self.open == []
        assert len(self.ids) == len(set(self.ids))

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, key, value) for key, value in attrs]
        self.ids += [value for key, value in attrs if key == "id"]
        if tag == "data":
            self.cells.append(float(dict(attrs)["value"]))
        if tag not in VOID:
            self.open.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open and self.open[-1][0] == tag, (tag, self.open[-3:])
        self.open.pop()

    def handle_data(self, data):
        tag, attributes = self.open[-1] if self.open else ("", {})
        if tag in ("script", "style"):
            self.raw[attributes.get("id", tag)] = self.raw.get(attributes.get("id", tag), "") + data
        else:
            self.texts.append(data)

    @property
    def words(self):
        return " ".join(" ".join(self.texts).split())

    @property
    def figures(self):
        return json.loads(self.raw["figures"])

    @property
    def sections(self):
        return [
            value.removeprefix("#")
            for tag, key, value in self.attributes
            if (tag, key) == ("a", "href")
        ][1:]


def assert_self_contained(text):
    """Nothing to fetch, no handler, and a policy under which only its own script and style run."""
    page = Page(text)
    for tag, key, value in page.attributes:
        assert key not in ("src", "srcset", "action", "style", "data", "xlink:href"), (tag, key)
        assert not key.startswith("on"), (tag, key)
        assert key != "href" or value.startswith("#"), value
    sources = [value for tag, key, value in page.attributes if (tag, key) == ("img", "src")]
    assert len(sources) == page.tags.count("img")
    assert all(source.startswith("data:image/png;base64,iVBORw0KGgo") for source in sources)
    assert not set(page.tags) & {"link", "iframe", "object", "embed", "base", "form"}
    assert page.tags.count("script") == 2 and page.tags.count("style") == 1
    assert "url(" not in page.raw["style"] and "@import" not in page.raw["style"]
    assert not re.search(r"https?:|fetch|XMLHttp|import\(|innerHTML|eval", page.raw["script"])
    policy = next(
        value for tag, key, value in page.attributes if tag == "meta" and "default-src" in value
    )
    for what in ("script", "style"):
        digest = base64.b64encode(hashlib.sha256(page.raw[what].encode()).digest()).decode()
        assert f"{what}-src 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none';") and "unsafe" not in policy
    assert {"header", "nav", "main", "footer", "h1"} <= set(page.tags)
    for wanted in page.sections:
        assert wanted in page.ids
    return page


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A folder of each kind."""
    root = tmp_path_factory.mktemp("results")
    for experiment in ("essay-chain", "rival-diamond", "shocks"):
        run(experiment).save(root / experiment, figures=False)
    sweep = Experiment.load("cobweb")
    axes = {"supply.x.elasticity": "0.5:8:log:5", "supply.x.adjustment": "0.25,0.5,1"}
    run_sweep(Sweep.of(sweep, axes), root / "plane", figures=False)
    run_sweep(
        Sweep.of(sweep, {"supply.x.elasticity": "0.5:8:log:5"}), root / "curve", figures=False
    )
    OptimizerComparison.of(Experiment.load("spiral")).save(root / "beside", figures=False)
    MechanismComparison.of(Experiment.load("spiral"), ["unit-bid", "trading-post"]).save(
        root / "contest", figures=False
    )
    return root


NAMED = {name: name for name in ("essay-chain", "rival-diamond", "shocks")}
KINDS = ("essay-chain", "rival-diamond", "shocks", "plane", "curve", "beside", "contest")
COMMON = ["the-program", "profit-conditions-beside-backprop"]
LAST = ["how-to-reproduce-it", "configuration"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_is_whole_and_needs_nothing_else(folders, kind):
    page = assert_self_contained(report_html(folders / kind))
    assert "math" in page.tags and "msub" in page.tags
    assert page.tags.count("figure") == len(page.figures) + 1 > 1  # the network is one more
    economy = Experiment.load(
        "spiral" if kind in ("beside", "contest") else NAMED.get(kind, "cobweb")
    )
    assert network_text(economy.economy) in page.words
    for figure in page.figures:
        assert figure["id"] in page.ids and figure["alt"] and figure["title"]
    assert set(COMMON) < set(page.sections) and page.sections[-2:] == LAST
    assert "left-out" not in page.sections


def test_the_essays_page_says_what_the_summary_says(folders):
    page = Page(report_html(folders / "essay-chain"))
    summary = json.loads((folders / "essay-chain" / "summary.json").read_text("utf-8"))
    assert page.sections == [
        "measures",
        "the-program",
        "path",
        "prices-and-gradients-at-the-end",
        "profit-conditions-beside-backprop",
        "accounts",
        "near-the-steady-state",
        "distance-to-the-best-known-allocation",
        *LAST,
    ]
    assert summary["question"] in page.words
    assert "polyethylene = 1 - 1/(ethylene + 1)" in page.words
    assert "market-abm run essay-chain" in page.words
    told = [
        value
        for table in (*summary["goods"].values(), *summary["industries"].values())
        for value in table.values()
        if value is not None
    ]
    told += [v for v in summary["equilibrium"].values() if not isinstance(v, bool | str)]
    assert summary["equilibrium"]["kind"] == summary["rest"]["kind"] == "global maximum"
    assert "global maximum" in page.words
    assert "the market rests at the maximum of welfare" in page.words
    assert len(told) > 30
    for value in told:
        assert value in page.cells
    for version in summary["versions"].values():
        assert version in page.words
    # -0.4054651081081643, as a person would write it, and the numbers of the last equation
    assert "−0.405465" in page.words
    assert "= 0.166667 · 0.25 = 0.0416667" in page.words
    assert "prices and quantities equal those of the folder to the last digit" in page.words


def test_every_measure_is_in_the_table_if_it_is_a_number(folders, tmp_path, monkeypatch):
    added = [Measure(key, f"the {key} of it", "money", lambda run: 0.0) for key in ("size", "text")]
    monkeypatch.setattr("market_abm.views.report.run.MEASURES", [*MEASURES, *added])
    changed = altered(folders / "rival-diamond", tmp_path / "changed")
    summary = json.loads((changed / "summary.json").read_text("utf-8"))
    summary |= {"size": 12.5, "text": "many", "unknown": 7.25}
    (changed / "summary.json").write_text(json.dumps(summary), "utf-8")
    page = Page(report_html(changed))
    assert "the size of it, money 12.5" in page.words and 12.5 in page.cells
    assert "the text of it" not in page.words and 7.25 not in page.cells
    for measure in (each for each in MEASURES if each.key in summary):
        assert measure.label in page.words and summary[measure.key] in page.cells


def test_figures_hold_the_paths_of_the_folder(folders):
    """To the seven digits that are kept."""
    prices, errors, *_ = Page(report_html(folders / "rival-diamond")).figures
    path = pd.read_csv(folders / "rival-diamond" / "trajectory.csv")
    for figure, columns in (
        (prices, {"": "price", " (gradient)": "gradient"}),
        (errors, {"": "error"}),
    ):
        for line in figure["series"]:
            good, space, _ = line["name"].partition(" ")
            column = columns[" (gradient)" if space else ""]
            expected = path[path["good"] == good][column]
            np.testing.assert_allclose(line["y"], expected, rtol=5e-7)
    assert prices["steps"] == sorted(set(path["step"]))
    assert errors["y"]["scale"] == "log"


def test_the_distance_that_is_drawn_is_the_distance_that_is_told(folders):
    """The figure works it out from the CSV file, the summary from the paths: to seven digits."""
    told = json.loads((folders / "beside" / "comparison.json").read_text("utf-8"))["distance"]
    distance = Page(report_html(folders / "beside")).figures[-1]
    for line in distance["series"]:
        assert max(line["y"]) == pytest.approx(told[line["name"]]["largest"], rel=1e-6)


def test_the_plane_holds_every_run(folders):
    (figure,) = Page(report_html(folders / "plane")).figures
    table = pd.read_csv(folders / "plane" / "table.csv")
    assert figure["kind"] == "grid"
    assert len(figure["status"]) == len(table) == 15
    for k, status in enumerate(figure["status"]):
        x = figure["across"][k % len(figure["across"])]
        y = figure["upward"][k // len(figure["across"])]
        near = np.isclose(table["supply.x.elasticity"], x, rtol=1e-9)
        (row,) = table[near & np.isclose(table["supply.x.adjustment"], y)].to_dict("records")
        assert figure["statuses"][status] == row["status"]
        assert figure["rate"][k] == pytest.approx(row["predicted_rate"], rel=1e-6)


def test_long_paths_and_many_goods_are_thinned_and_it_is_said():
    steps, goods = np.arange(5001), [f"g{k}" for k in range(30)]
    path = pd.DataFrame(
        {
            "step": np.repeat(steps, 30).astype(float),
            "good": goods * 5001,
            **dict.fromkeys(("price", "gradient", "error"), 1.0),
            "quantity": np.tile(np.arange(30.0), 5001),
        }
    )
    figure = run_figures(path, None)[1]
    assert len(figure["steps"]) == figures.MAX_POINTS
    assert (figure["steps"][0], figure["steps"][-1]) == (0.0, 5000.0)
    assert [line["name"] for line in figure["series"]] == goods[-figures.MAX_GOODS :]
    assert "Of 5,001 steps, 1,000 are drawn" in figure["note"]
    assert "Of 30 goods, the 12" in figure["note"]


# --- how it is made again -------------------------------------------------------------------------


@pytest.mark.parametrize("experiment", sorted(available()))
def test_a_configuration_as_a_file_reads_back_as_itself(experiment, monkeypatch):
    configuration = resolved(Experiment.load(experiment))
    monkeypatch.chdir(available()[experiment].parent)  # where its series are
    assert resolved(Experiment.parse(toml_text(configuration), experiment)) == configuration


def commands(folder):
    return re.findall(r'<pre class="command"><code>(.*?)</code>', report_html(folder))


def test_commands_make_the_same_again(folders, tmp_path, monkeypatch):
    """The command that is printed is run, and the folder is the same to the byte."""
    run("rival-diamond", overrides={"market.share_rate": 0.25, "run.seed": 7}).save(
        tmp_path / "own"
    )
    (command,) = commands(tmp_path / "own")
    assert command == ("market-abm run rival-diamond --set market.share_rate=0.25 --set run.seed=7")
    (plane,) = commands(folders / "plane")
    assert plane.startswith("market-abm sweep cobweb supply.x.elasticity=0.5:8.0:log:5")
    monkeypatch.chdir(tmp_path)
    for words, old, new in (
        (command, tmp_path / "own", tmp_path / "results/rival-diamond"),
        (plane, folders / "plane", tmp_path / "results/cobweb-sweep"),
    ):
        done = CliRunner().invoke(main, words.split()[1:])
        assert done.exit_code == 0, done.output
        for file in ("summary.json", "table.csv"):
            if (old / file).exists():
                assert (new / file).read_bytes() == (old / file).read_bytes()
    assert commands(folders / "contest") == [
        "market-abm compare spiral --mechanisms unit-bid,trading-post"
    ]


def test_an_experiment_of_ones_own_is_given_as_a_file(tmp_path):
    text = 'question = "mine"\n[economy]\nprogram = """\ny = x**0.5\nz = ln(1 + y)\n"""\n'
    text += "[supply.x]\nquantity = 4\n"
    run(Experiment.parse(text, "mine")).save(tmp_path / "mine")
    page = report_html(tmp_path / "mine")
    assert commands(tmp_path / "mine") == ["market-abm run mine.toml"]
    (configuration,) = re.findall(r"as an experiment file.</p><pre><code>(.*?)</code>", page, re.S)
    plain = configuration.replace("&#x27;", "'").replace("&quot;", '"').replace("&gt;", ">")
    assert resolved(Experiment.parse(plain)) == resolved(Experiment.parse(text))


def test_what_cannot_be_made_again_is_left_out_and_it_is_said(folders, tmp_path):
    class Stubborn(Firm):
        """Bids by another rule."""

    run("essay-chain", firm=Stubborn).save(tmp_path / "own")
    page = Page(report_html(tmp_path / "own"))
    assert "left-out" in page.sections and COMMON[1] not in page.sections
    assert "a rule of their own, Stubborn" in page.words
    assert commands(tmp_path / "own") == []

    changed = altered(folders / "essay-chain", tmp_path / "changed", price=0.5)
    assert "gave other numbers than the folder's" in Page(report_html(changed)).words
    for file in ("trajectory.csv", "measures.csv"):
        (changed / file).unlink()
    page = assert_self_contained(report_html(changed))
    assert "trajectory.csv is missing" in page.words and page.figures == []


def test_files_of_this_machine_are_not_read_for_a_stranger(folders, tmp_path):
    """A summary that names a table's files would bring them onto the page."""
    economy = {"input_output": str(tmp_path / "a.csv"), "sectors": str(tmp_path / "b.csv")}
    folder = altered(folders / "essay-chain", tmp_path / "x", configuration={"economy": economy})
    assert "a table in files of one's own" in Page(report_html(folder)).words
    many = {"industries": {"firms": 10**12}}
    folder = altered(folders / "essay-chain", tmp_path / "y", configuration=many)
    assert "more than 100,000 firms" in Page(report_html(folder)).words


# --- strangers ------------------------------------------------------------------------------------


def altered(folder, to, price=None, configuration=None):
    """A copy of a run's folder with a few things changed in its summary."""
    shutil.copytree(folder, to, dirs_exist_ok=True)
    summary = json.loads((to / "summary.json").read_text("utf-8"))
    if price is not None:
        summary["goods"]["natgas"]["price"] = price
    summary["configuration"].update(configuration or {})
    (to / "summary.json").write_text(json.dumps(summary), "utf-8")
    return to


def hostile(value):
    """The same nested tables, with every text and key replaced by a script."""
    if isinstance(value, dict):
        return {(HOSTILE + k if k not in KEPT else k): hostile(v) for k, v in value.items()}
    if isinstance(value, list):
        return [hostile(each) for each in value]
    return HOSTILE if isinstance(value, str) else value


KEPT = frozenset(
    re.findall(
        r"\w+",
        "name question status message goods industries configuration versions economy program "
        "market optimiser distance mechanisms mechanism experiment text axes equilibrium near_rest "
        "regime input_output why run shocks firm overrides design settings ranges seeds",
    )
)


@pytest.mark.parametrize("kind", ["essay-chain", "beside", "contest", "plane"])
@pytest.mark.parametrize("table", [False, True])
def test_no_script_gets_in(folders, tmp_path, kind, table):
    """Names, questions, programs, settings: all that the folder says is text on the page."""
    folder = tmp_path / "stranger"
    shutil.copytree(folders / kind, folder)
    for file in folder.glob("*.json"):
        content = hostile(json.loads(file.read_text("utf-8")))
        if kind == "plane":
            content["axes"] = {HOSTILE: [1.0, 2.0]}
        if table:
            content.setdefault("configuration", {})["economy"] = {"input_output": HOSTILE}
        file.write_text(json.dumps(content), "utf-8")
    for file in folder.glob("*.csv"):
        path = pd.read_csv(file)
        path = path.rename(columns={"supply.x.elasticity": HOSTILE})
        for column in ("good", "mechanism", "message", "why"):
            if column in path:
                path[column] = HOSTILE + path[column].astype(str)
        path.to_csv(file, index=False)
    text = report_html(folder)
    page = assert_self_contained(text)
    assert "alert(2)" in page.words and "<img" not in text
    assert "<" not in page.raw["figures"]


@pytest.mark.slow
def test_any_change_to_a_file_gives_a_page_or_a_sentence(folders, tmp_path):
    """60 folders in which one thing each is something else: nothing but a MarketError comes."""
    rng = random.Random(1)
    junk = [None, True, -1, 1e308, float("nan"), "x", "\ud800", [], [[]], {}, {"": {}}, [1, "a"]]
    for number_of, kind in enumerate(("essay-chain", "plane", "beside", "contest") * 15):
        folder = tmp_path / str(number_of)
        shutil.copytree(folders / kind, folder)
        (file,) = folder.glob("*.json")
        content = json.loads(file.read_text("utf-8"))
        places, stack = [], [content]
        while stack:
            at = stack.pop()
            for key in list(at) if isinstance(at, dict) else range(len(at)):
                places.append((at, key))
                if isinstance(at[key], dict | list):
                    stack.append(at[key])
        at, key = rng.choice(places)
        at[key] = copy.deepcopy(rng.choice(junk))
        file.write_text(json.dumps(content), "utf-8")
        try:
            Page(report_html(folder))
        except MarketError as error:
            assert str(error)


# --- folders and files that are wrong -------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "holds no results; name a folder with summary.json"),
        ({"notes.txt": "hello"}, "holds no results"),
        ({"summary.json": "{"}, "summary.json' cannot be read"),
        ({"summary.json": "[1]"}, "summary.json' holds no object"),
        ({"summary.json": "{}"}, "is no summary of a run"),
        ({"summary.json": "[" * 100_000}, "summary.json' cannot be read"),
        ({"comparison.json": "{}"}, "is no comparison"),
        ({"sweep.json": "{}"}, "is not finished; continue with --resume"),
        ({"sweep.json": "{}", "table.csv": "a,b\n1,2\n"}, "is no table of this sweep"),
    ],
)
def test_folders_that_are_no_results(tmp_path, files, message):
    for file, text in files.items():
        (tmp_path / file).write_text(text)
    done = CliRunner().invoke(main, ["report", str(tmp_path), "--out", str(tmp_path / "r.html")])
    assert done.exit_code == 2 and message in done.output
    assert not list(tmp_path.glob("*.html"))


def test_where_it_is_written(folders, tmp_path):
    folder = tmp_path / "essay"
    shutil.copytree(folders / "essay-chain", folder)
    before = {file: file.read_bytes() for file in folder.iterdir()}
    assert report(folder) == tmp_path / "essay.html"
    first = (tmp_path / "essay.html").read_bytes()
    report(folder)  # a report is replaced, by the same
    assert (tmp_path / "essay.html").read_bytes() == first
    assert {file: file.read_bytes() for file in folder.iterdir()} == before
    page = tmp_path / "mine.html"
    page.write_text("my own page")
    for out, message in ((page, "is no report"), (folder, "is a folder")):
        with pytest.raises(MarketError, match=message):
            report(folder, out)
    assert page.read_text() == "my own page"
    with pytest.raises(MarketError, match="cannot read the folder"):
        report(tmp_path / "nowhere")
    with pytest.raises(MarketError, match="cannot write"):
        report(folder, page / "below" / "r.html")


# --- formulas and numbers -------------------------------------------------------------------------


def evaluated(markup, values):
    """MathML read back as a number: fractions, powers, roots, products, ln, brackets."""
    text = markup.replace("&#x2061;", "").replace("−", "-").replace("·", "*").replace("×", "*")
    for tag, before in (("mfrac", "frac"), ("msup", "power"), ("msqrt", "root")):
        text = text.replace(f"<{tag}>", f"{before}([").replace(f"</{tag}>", "])")
    text = re.sub(r"</mrow><mrow>", ",", text.replace("<mn>10</mn><mrow>", "<mrow>10,"))
    text = re.sub(r"<[^>]*>", "", text)
    scope = {"frac": lambda p: p[0] / p[1], "power": lambda p: p[0] ** p[1]}
    scope |= {"root": lambda p: math.sqrt(p[0]), "ln": math.log, "exp": math.exp}
    return eval(text, {"__builtins__": {}}, {**scope, **values})


@pytest.mark.parametrize(
    "line",
    [
        "x**0.5",
        "1 - 1/(x + 1)",
        "(x + y)*(x - y)/x**2",
        "-x**2 - (-y)**3 - (x - y)",
        "(x/y)**(x - 1)",
        "sqrt(x*y) + ln(1 + x)*exp(-y)",
        "ces(x, y, elasticity=0.5, weights=(0.3, 0.7))",
        "ces(x, y, elasticity=1, weights=(0.3, 0.7))**2",
        "cobb_douglas(x, y, exponents=(0.25, 0.5))",
    ],
)
def test_a_formula_in_type_says_what_is_computed(line):
    """The markup of a line and of its derivatives, read back, gives their numbers.

    Numbers in formulas have six digits; the lines here need no more.
    """
    values = {"x": 1.7, "y": 0.6}
    supply = {good: values[good] for good in ("x", "y") if good in line}
    (industry,) = from_text(f"made = {line}", supply, reuse="copy").industries
    technology = industry.technology
    inputs = [values[good] for good in technology.inputs]
    made, products = technology.production(inputs)
    names = dict(enumerate(technology.inputs))
    trees = [technology.formula, *technology.marginal_product_formulas("made")]
    for tree, expected in zip(trees, [made, *products], strict=True):
        markup = mathml.equation(Equation(name("left"), tree, names))
        right = markup.split("<mo>=</mo>")[1]
        assert evaluated(right, {**values, "made": made}) == pytest.approx(expected, rel=1e-12)
        Page(markup)


def test_symbols_and_signs_in_type():
    minus = Expression("*", (name("a"), number(-2.0)))
    assert "<mo>·</mo><mrow><mo>(</mo><mo" in mathml.equation(Equation(name("y"), minus))
    hostile_name = mathml.equation(Equation(name(("price", "<b>")), number(1e-9)))
    assert "&lt;b&gt;" in hostile_name and "<b>" not in hostile_name
    assert "<msup><mn>10</mn><mrow><mo>−</mo><mn>9</mn></mrow></msup>" in hostile_name
    for value, shown in ((math.nan, "no number"), (math.inf, "∞")):
        assert shown in mathml.equation(Equation(name("y"), number(value)))


def test_long_formulas_are_left_to_words():
    economy = from_text("y = 1/" + "/".join(["x"] * 600), {"x": 1.0}, reuse="copy")
    for section in explain(run(economy, steps=2)):
        for pair in section.pairs:
            for equation in pair.equations:
                assert len(mathml.equation(equation)) < 2 * mathml.MAX_LETTERS


def test_a_wide_line_is_shown_in_short(tmp_path):
    """Of a folder with nothing but a summary."""
    summary = run("us-economy", steps=3).summary()
    (tmp_path / "summary.json").write_text(json.dumps(summary), "utf-8")
    text = report_html(tmp_path)
    page = assert_self_contained(text)
    assert "input–output table, us-2023" in page.words
    assert "more inputs" in page.words and "The first 24 of" in page.words
    assert len(text) < 1_000_000


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"),
        (1 / 24, "0.0416667"),
        (-1234567.0, "−1,234,567"),
        (12345.678, "12,345.7"),
        (1e-9, "10⁻⁹"),
        (1.23456789e-9, "1.23457 × 10⁻⁹"),
        (-2e12, "−2 × 10¹²"),
        (999999.9, "1,000,000"),
    ],
)
def test_numbers_for_people(value, shown):
    assert format_number(value) == shown


# --- what the script draws ------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no JavaScript engine here")
@pytest.mark.parametrize("width", [328, pytest.param(900, marks=pytest.mark.slow)])
def test_the_script_draws_reads_and_hides(folders, tmp_path, width):
    """All kinds of figures, in a toy browser: whole drawings, no label outside, values read out."""
    for kind in KINDS:
        page = report(folders / kind, tmp_path / f"{kind}.html")
        dom = Path(__file__).parent / "support/report_dom.js"
        done = subprocess.run(
            ["node", str(dom), str(page), str(width)], capture_output=True, check=False, text=True
        )
        assert done.returncode == 0, done.stderr
        figures = json.loads(done.stdout)
        assert len(figures) == len(Page(page.read_text("utf-8")).figures)
        for figure in figures:
            Page(figure["drawn"])
            bars = re.findall(r'<rect class="cell c0"[^>]* width="([0-9.]+)"', figure["drawn"])
            if kind == "contest":  # from 0, in proportion, to a tenth of a pixel
                (steps,) = (each["values"] for each in Page(page.read_text("utf-8")).figures)
                scale = max(map(float, bars)) / max(steps)
                assert [float(bar) for bar in bars] == pytest.approx(
                    [scale * count for count in steps], abs=0.11
                )
            assert not re.search(r"NaN|undefined|Infinity", figure["drawn"])
            assert all(
                told.startswith(("step ", "supply elasticity η of x ")) for told in figure["told"]
            )
            if figure["labels"]:
                assert set(figure["pressed"]) == {"false"}
                assert len(figure["hidden"]) < len(figure["drawn"])
    prices = json.loads(
        subprocess.run(
            ["node", str(dom), str(tmp_path / "essay-chain.html"), str(width)],
            capture_output=True,
            check=True,
            text=True,
        ).stdout
    )[0]
    assert prices["told"][0].startswith("step 3: natgas 0.041667; ethylene 0.16667")
    assert prices["told"][1].startswith("step 2: natgas 0; ethylene 0.16667")


@pytest.mark.slow
def test_a_run_of_many_goods_is_folded_named_and_tells_its_shocks(tmp_path):
    run("us-economy-shock", engine="arrays").save(tmp_path / "us-economy-shock")
    page = report_html(tmp_path / "us-economy-shock")
    assert "from step 60" in page and "industries.324.productivity = 0.8" in page
    assert "Petroleum and coal products" in page
    lines = page.index("Show 24 lines</summary>")
    assert page.rindex("<details>", 0, lines) > page.index("Profit conditions beside backprop")
