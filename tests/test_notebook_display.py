"""What a notebook shows of an object: whole, escaped, self-contained, with the run's numbers."""

import dataclasses
import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.figure import Figure

from market_abm import (
    Economy,
    Experiment,
    Firm,
    InputOutputTable,
    from_input_output,
    from_text,
    read_table,
    run,
)
from market_abm.experiment.files import available
from market_abm.language.expression import name
from market_abm.language.mathml import Equation, equation
from market_abm.market.mechanisms.registry import market_settings
from market_abm.studies.comparisons import MechanismComparison, OptimizerComparison
from market_abm.twins.registry import twin
from market_abm.views.convergence import error_axis
from market_abm.views.notebook import economy as shown_economy
from market_abm.views.notebook import errors as shown_errors
from market_abm.views.notebook import result as shown_result
from market_abm.views.numbers import format_number

HOSTILE = "<script>alert(1)</script>\"'&<img src=x onerror=alert(2)>\ud800"
SHAPES = {"path", "rect", "polygon"}
FORBIDDEN = {"script", "style", "link", "img", "iframe", "object", "embed", "foreignobject", "a"}


class Shown(HTMLParser):
    """Markup taken apart; fails where a tag is not closed, in turn, or could act or fetch."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        text.encode("utf-8")
        self.open, self.tags, self.rows, self.told = [], [], [], []
        self.texts, self.visible, self.paths, self.values = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == [] and self.tags
        assert not set(self.tags) & FORBIDDEN

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        for key, value in attrs:
            assert not key.startswith("on") and key not in ("src", "href", "id", "class"), key
            assert "url(" not in value, value
            assert tag not in SHAPES or not re.search("nan|inf", value), value
        self.tags.append(tag)
        self.open.append((tag, "display:none" in given.get("style", "")))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag == "data":
            self.values.append(given["value"])
        if tag == "svg":
            assert given["role"] == "img"
        if tag == "path":
            self.paths.append(given["d"])

    handle_startendtag = handle_starttag

    def handle_endtag(self, tag):
        while self.open[-1][0] in SHAPES and self.open[-1][0] != tag:
            self.open.pop()  # closed in itself: <path .../>
        assert self.open[-1][0] == tag, (tag, self.open[-3:])
        self.open.pop()

    def handle_data(self, data):
        self.texts.append(data)
        if self.open and self.open[-1][0] == "title":
            self.told.append(data)
        if not any(hidden for _, hidden in self.open):
            self.visible.append(data)
            if any(tag in ("td", "th") for tag, _ in self.open):
                self.rows[-1][-1] += data

    @property
    def words(self):
        return " ".join(" ".join(self.visible).split())


def shown(what):
    return Shown(what._repr_html_())


def rows_of(page, first):
    """The rows below the one that begins so, up to the next header."""
    at = next(k for k, row in enumerate(page.rows) if row and row[0] == first)
    width, found = len(page.rows[at]), {}
    for row in page.rows[at + 1 :]:
        if len(row) != width:
            break
        found[row[0]] = row[1:]
    return found


@pytest.mark.parametrize("experiment", ["essay-chain", "rival-diamond", "loop", "negative-prices"])
def test_a_result_shows_the_numbers_of_the_run(experiment):
    result = run(experiment)
    page = shown(result)
    assert experiment in page.words and result.experiment.question in page.words
    assert result.ending.detail[1:] in page.words
    told = rows_of(page, "good")
    for good, row in result.table().iterrows():
        cells = told[good]
        wanted = [row.quantity, row.price, row.gradient, row.error]
        digits = [6, 6, 6, 2]
        assert cells == [format_number(each, n) for each, n in zip(wanted, digits, strict=True)]
        assert {repr(float(each)) for each in wanted} <= set(page.values)
    away = result.distance()
    assert repr(away["best_welfare"]) in page.values and repr(away["prices"]) in page.values
    alignment = result.path.alignment[np.isfinite(result.path.alignment)]
    assert (repr(float(alignment.mean())) in page.values) if alignment.size else True
    assert page.tags.count("svg") == 1 and page.told[0].startswith("The largest error of a price")


def test_the_figure_of_errors_is_where_the_errors_are():
    """The tolerance's line and the largest error's curve agree on which steps are within."""
    result = run("loop")
    page = shown(result)
    *_, largest = page.paths
    across = float(re.search(r"^M([\d.]+)", largest).group(1))
    assert across == shown_errors.LEFT
    heights = [float(y) for y in re.findall(r"(?:V|M[\d.]+ )([\d.]+)", largest)]
    assert len(heights) == result.steps + 1
    line = float(re.search(r"^M[\d.]+ ([\d.]+)H", page.paths[1]).group(1))
    errors, tolerance = result.errors.max(axis=1), result.experiment.run.tolerance
    assert errors[0] > tolerance
    for y, error in zip(heights, errors, strict=True):
        if abs(np.log10(error / tolerance)) > 0.1:
            assert (y < line) == (error > tolerance)
    slope = np.polyfit(np.log10(errors[20:]), heights[20:], 1)[0]
    low, high = error_axis(errors, tolerance).decades
    decade = (shown_errors.BOTTOM - shown_errors.TOP) / (high - low)
    assert slope == pytest.approx(-decade, rel=0.01)


def test_an_economy_shows_its_program_terms_and_network():
    economy = Experiment.load("mechanisms").economy
    page = shown(economy)
    assert "3 industries, 5 goods (2 raw, 1 final)" in page.words
    for industry in economy.industries:
        assert industry.text() in rows_of(page, "line")
    goods = rows_of(page, "good")
    assert goods["crude"][:3] == [
        "raw",
        "2 units per step at a price of 1, elasticity 0.7, adjustment 0.3",
        "2 uses, rival",
    ]
    assert goods["tools"][1] == "consumers pay 1 a unit for the initial output, elasticity 2"
    assert goods["fuel"][:2] == ["intermediate", ""]
    assert page.tags.count("math") == 3 and page.tags.count("rect") == 5
    uses = sum(len(industry.technology.inputs) for industry in economy.industries)
    assert page.tags.count("polygon") == uses == 5
    assert "steel of crude, ore" in page.told[0]


def test_what_is_left_without_markup_is_the_program():
    """A viewer that drops tags leaves formulas which say the same as the lines."""
    economy = from_text(
        "a = x**0.5 + 1e-9\nb = sqrt(1 + a)/(a + 2) - x**(-1/a)\nc = (a*b)**2", supply={"x": 4.0}
    )
    for industry in economy.industries:
        technology = industry.technology
        names = dict(enumerate(technology.inputs))
        markup = equation(Equation(name("y"), technology.formula, names), legible=True)
        left = re.sub("<[^>]*>", "", markup).partition("=")[2]
        for sign, word in (("·", "*"), ("−", "-"), ("×", "*"), ("\u2061", "")):
            left = left.replace(sign, word)
        values = {"x": 1.7, "a": 2.3, "b": 0.9, "sqrt": math.sqrt}
        assert eval(left, values) == pytest.approx(eval(technology.text(), values), rel=1e-12)
        plain = equation(Equation(name("y"), technology.formula, names))
        assert " style" not in plain and "**" not in plain


def test_what_a_viewer_with_markup_sees_has_no_hidden_operators():
    page = shown(from_text("y = x**0.5", supply={"x": 4.0}))
    assert "y=x0.5" in page.words.replace(" ", "")  # set in type: the exponent is raised
    assert "y=x**0.5" in "".join("".join(page.texts).split())


@pytest.mark.parametrize("experiment", sorted(available()))
def test_every_experiment_shows_itself(experiment):
    chosen = Experiment.load(experiment)
    page = shown(chosen)
    assert chosen.question in page.words and chosen.market.mechanism in page.words
    assert len(chosen._repr_html_()) < 30_000
    assert repr(chosen).startswith(f"<Experiment {experiment}: {chosen.market.mechanism}")


def test_an_experiment_shows_settings_that_differ_and_its_shocks():
    page = shown(Experiment.load("shocks"))
    told = dict(row for row in page.rows if len(row) == 2)
    assert told["run.seed"] == "1" and "market.bid_rate" not in told
    assert told["shock at step 120"] == "supply.labour.quantity = 1"
    changed = shown(Experiment.load("shocks", {"market.bid_rate": 0.5}))
    assert dict(row for row in changed.rows if len(row) == 2)["market.bid_rate"] == "0.5"


def test_nothing_from_outside_gets_through():
    flows = np.array([[1.0, 2.0], [1.0, 1.0]])
    table = InputOutputTable(("<b>1", "2"), (HOSTILE, "'"), flows, np.array([9.0, 8.0]), [6.0, 6.0])
    economy = from_text("y = sqrt(x)", supply={"x": 4.0})
    hostile = Economy(
        economy.industries, economy.supply, economy.demand, economy.reuse, names={"y": HOSTILE}
    )
    experiment = Experiment(
        hostile,
        Experiment.of(economy).market,
        Experiment.of(economy).run,
        name=HOSTILE,
        question=HOSTILE,
    )
    for what in (table, hostile, experiment, run(experiment)):
        page = shown(what)
        assert "<script>alert(1)" in page.words
    good = shown_economy.network(hostile_goods())
    assert "<script>" in Shown(good).words and "<script>" not in good


def hostile_goods():
    """An economy whose goods have names that no program can give them."""
    flows = np.array([[1.0, 2.0], [1.0, 1.0]])
    codes = ("<script>", "a&b\"'")
    table = InputOutputTable(codes, codes, flows, np.array([9.0, 8.0]), [6.0, 6.0])
    return from_input_output(table)


class Wild(Firm):
    """Overshoots three times over."""

    def revise_bids(self, values):
        return self.bids + 3.0 * (values - self.bids)


@pytest.mark.parametrize(
    "make",
    [
        lambda: run("essay-chain", firm=Wild),
        lambda: run("rival-diamond", share_rate=20.0, steps=60),
        lambda: run("rival-diamond-unstable"),
        lambda: run("essay-chain", steps=0),
        lambda: run("essay-chain", overrides={"record.every": 1000}),
        lambda: run("essay-chain", overrides={"record.goods": ["natgas"]}),
        lambda: run(from_text("y = 2*x", supply={"x": 0.0})),
        lambda: run(from_text("y = 5 - x**2", supply={"x": 3.0})),
    ],
    ids=["inf", "nan", "swings", "no step", "thinned", "one good", "nothing", "loss"],
)
def test_runs_that_end_badly_or_hardly_begin_are_shown(make):
    result = make()
    page = shown(result)
    assert set(rows_of(page, "good")) == set(result.goods)
    assert "\n" not in repr(result) and result.status in repr(result)
    if not np.isfinite(result.last_gradients).all():
        assert "no number" in page.words


def test_no_question_leaves_no_colon():
    page = shown(run(from_text("y = sqrt(x)", supply={"x": 4.0})))
    assert page.words.startswith("economy ✓ Converged at step 1")


def test_a_loop_is_told_and_drawn_back():
    page = shown(Experiment.load("loop").economy)
    assert "with a loop" in page.words and page.tags.count("polygon") == 5


def test_firms_are_told_where_there_are_several():
    economy = from_text(
        "y = sqrt(x)\nz = y",
        supply={"x": 4.0},
        demand={"z": {"elasticity": 2.0}},
        population_of={"z": {"firms": 3, "conduct": "cournot", "productivity": 1.5}},
    )
    goods = rows_of(shown(economy), "good")
    assert goods["z"][-1] == "3, cournot, productivity 1.5" and goods["y"][-1] == "1"
    assert "2 industries with 4 firms" in repr(economy)


def test_the_result_of_a_national_economy_shows_the_largest_and_computes_little():
    result = run("us-economy", steps=30)
    page = shown(result)
    size = dict(zip(result.goods, result.sales, strict=True))
    label = result.experiment.economy.label
    wanted = sorted(size, key=lambda good: -size[good])[: shown_result.MAX_GOODS]
    told = rows_of(page, "good")
    assert [each[:40] for each in told] == [
        label(good)[:40] for good in result.goods if good in wanted
    ]
    assert f"The 10 goods with the largest sales, of {len(result.goods)}" in page.words
    assert "equilibrium" not in vars(result) and "errors" not in vars(result)


def test_large_economies_are_shown_in_short(monkeypatch):
    def refuse(*_):
        raise AssertionError("too large to be laid out")

    monkeypatch.setattr(shown_economy, "layout", refuse)
    chain = "\n".join(f"g{k + 1} = sqrt(g{k} + 1)" for k in range(400))
    large = [
        Experiment.load("us-economy").economy,
        from_text(chain, supply={"g0": 4.0}),
    ]
    for economy in large:
        text = economy._repr_html_()
        page = Shown(text)
        assert len(text) < 10_000 and page.tags.count("svg") == 0
        raw, final = next(iter(economy.supply)), next(iter(economy.demand))
        assert {raw, final} <= {each.split()[0] for each in rows_of(page, "good")}
        assert f"{len(economy.industries) - 6} lines more" in page.words
    assert "components" not in vars(large[1])  # which takes long
    crowd = from_text("y = sqrt(x)", supply={"x": 4.0}, population={"firms": 100_000})
    assert rows_of(shown_on(monkeypatch, crowd), "good")["y"][-1] == "100,000"
    assert "buyers" not in vars(crowd)


def shown_on(monkeypatch, economy):
    monkeypatch.undo()
    return shown(economy)


def test_an_economy_of_several_runs_shows_ranges():
    economies = [from_text("y = a*x", supply={"x": x}, parameters={"a": 2.0}) for x in (1.0, 3.0)]
    page = shown(Economy.vectorized(economies))
    assert rows_of(page, "good")["x"][1] == "1 … 3 units per step"
    assert "with a = 2" in page.words


def test_a_table_shows_its_largest_industries():
    table = read_table("us-2023")
    page = shown(table)
    told = rows_of(page, "code")
    first = np.argsort(-table.output)[:12]
    assert list(told) == [table.codes[k] for k in first]
    assert told["GSLG"][1] == format_number(table.output[first[0]])
    assert "and 59 industries more" in page.words
    assert repr(table).startswith("<InputOutputTable: 71 industries")


def test_comparisons_show_themselves():
    spiral = Experiment.load("spiral")
    beside = OptimizerComparison.of(spiral)
    page = shown(beside)
    for what, (size, _) in beside.distances.items():
        assert size < 1e-12
        assert rows_of(page, "largest distance of")[what] == [
            format_number(size, 2),
            "rounding",
            format_number(beside.textbook_distances[what][0], 2),
            str(beside.textbook_distances[what][1]),
        ]
    far = dataclasses.replace(
        beside, twin=twin(spiral.economy, market_settings(), beside.result.steps)
    )
    size, step = far.distances["prices"]
    assert size > 0.01
    assert rows_of(shown(far), "largest distance of")["prices"][:2] == [
        format_number(size, 2),
        str(step),
    ]
    contest = MechanismComparison.of(spiral, ["unit-bid", "tatonnement"])
    told = rows_of(shown(contest), "mechanism")
    assert told["unit-bid"][0] == "converged" and told["tatonnement"][0] == "refused"
    assert format_number(float(contest.table().steps["unit-bid"])) in told["unit-bid"]
    assert "decreasing returns" in told["tatonnement"][1]
    assert "\n" not in repr(beside) + repr(contest)


def test_figures_are_pictures_in_a_notebook():
    figure = run("essay-chain").convergence_figure()
    assert isinstance(figure, Figure)
    assert figure._repr_png_().startswith(b"\x89PNG")
