"""Sentences for users, and numbers as text."""

import ast
import math
import re
from pathlib import Path

import numpy as np
import pytest

import market_abm
from market_abm import Supply, from_text, run
from market_abm.analysis.measures import MEASURES, Measure
from market_abm.market.dating import Dates
from market_abm.views.numbers import (
    format_count,
    format_error,
    format_number,
    format_percent,
    format_plain,
    format_power_of_ten,
    format_share,
)
from market_abm.views.registry import VIEWS, find
from market_abm.views.words.optimum import optimum_sentence
from market_abm.views.words.run import measures_sentence, progress_text, run_sentences
from market_abm.views.words.text import and_more, changes_text, sentence, status_counts


@pytest.fixture(scope="module")
def diamond():
    return run("rival-diamond")


def test_a_new_measure_appears_in_the_sentence_and_in_the_notebook(monkeypatch, diamond):
    """One entry of the table of measures, and no other edit."""
    path_length = Measure("length", "length of the path", "money", lambda result: 12.5)
    missing = Measure("missing", "a measure without a value", "", lambda result: math.nan)
    monkeypatch.setattr("market_abm.views.words.run.MEASURES", [*MEASURES, path_length, missing])
    monkeypatch.setattr("market_abm.analysis.measures.MEASURES", [*MEASURES, path_length, missing])
    assert measures_sentence(diamond).endswith("; length of the path 12.5 money.")
    page = diamond._repr_html_()
    assert "length of the path, money" in page and "12.5</data>" in page
    assert "without a value" not in measures_sentence(diamond) + page


def test_every_known_measure_is_in_some_sentence(diamond):
    printed = " ".join(run_sentences(diamond))
    for part in (
        "Converged at",
        "2 of 3 prices follow their gradients, 2 steps behind on average;",
        "mean alignment",
        "welfare rose",
    ):
        assert part in printed
    assert f"measured {diamond.path.rate.value:.4f} ± " in printed
    assert f"{diamond.path.welfare[-1]:.6g}" in printed


def test_where_no_good_has_competing_buyers_quantities_are_fixed(diamond):
    fixed = "No good has competing buyers, so quantities are fixed."
    assert measures_sentence(run("essay-chain")) == fixed
    assert measures_sentence(run("rival-diamond", steps=0)) == "Nothing changed."
    assert fixed not in run_sentences(run("cobweb"))  # a supplier who responds
    assert fixed not in run_sentences(diamond)


def test_why_there_is_no_optimum(monkeypatch):
    monkeypatch.setattr("market_abm.gradient.equilibrium.MAX_VARIABLES", 0)
    result = run(from_text("y = a**0.5\nz = a**0.5\nw = y*z", supply={"a": 4.0}))
    assert "more than 0 free variables" in optimum_sentence(result)


def test_the_progress_of_a_run_in_words():
    errors = np.array([1e-3, math.nan, 0.5])
    told = progress_text(1200, errors, ["a", "b", "c"], 2.0, limit=5000)
    assert told == "step 1,200 of at most 5,000: largest error nan (b); welfare 2"
    assert progress_text(3, errors[:1], ["a"], 1 / 3, note="done") == (
        "step 3: largest error 1.0e-03 (a); done; welfare 0.333333"
    )


def test_text_that_is_a_sentence():
    assert sentence(" not settled. ") == "Not settled." and sentence("") == ""
    assert status_counts({"converged": 1200, "max_steps": 1}) == "1,200 converged, 1 max steps"
    assert and_more(0, "good") == "" and and_more(2, "good") == "and 2 goods more"
    shock = {"step": 3, "supply": {"x": {"quantity": 2.0}}, "demand.y.price": 1}
    assert changes_text(shock) == "supply.x.quantity = 2, demand.y.price = 1"


FIVE_WORDS = re.compile(r"(?:[^\W\d_]+[,;:.]? ){4}[^\W\d_]")


def prose(source):
    """Texts with five words in a row, apart from docstrings and messages of errors."""
    tree, other = ast.parse(source), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            other.add(node.value)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Error"):
            other.update(ast.walk(node))
    texts = [node for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    return [t.value for t in texts if t not in other and FIVE_WORDS.search(str(t.value))]


def test_sentences_stand_in_views_words_only():
    views = Path(market_abm.__file__).parent / "views"
    renderers = [path for path in views.rglob("*.py") if path.parent.name != "words"]
    found = {path.relative_to(views): prose(path.read_text("utf-8")) for path in renderers}
    assert {path: texts for path, texts in found.items() if texts} == {}
    assert prose("title = f'the {n} industries with the largest sales'")
    assert not prose("def f():\n    'The one that is a docstring.'\n    raise ValueError('a b')")


def test_numbers_as_text():
    assert format_number(np.array([1.0, 1.0])) == "1"
    assert format_number(np.array([0.5, 1e-9])) == "10⁻⁹ … 0.5"
    assert format_number(math.nan) == "no number" and format_number(-math.inf) == "−∞"
    assert format_plain(-1e-9) == "-1e-09" and format_plain(1 / 3, 2) == "0.33"
    assert format_error(0.0) == "0" and format_error(math.nan) == "nan"
    assert format_share(0.754) == "75%" and format_percent(0.0) == "0 %"
    assert format_count(1, "good") == "1 good"
    assert format_count(1000, "industry", "industries") == "1,000 industries"
    assert format_power_of_ten(1e7) == "10⁷"


@pytest.mark.parametrize("kind", VIEWS)
def test_every_view_that_is_registered_exists(kind):
    for name in VIEWS[kind]:
        assert callable(find(kind, name))
    assert find(kind, "nothing") is None


def test_a_dated_run_that_moves_says_how_old_its_prices_are():
    """Two lines: two steps down, and two up to the price of x; at rest none is old."""
    text = "y = 2 * x\nz = y ** 0.5"
    moving = {"x": Supply(series=np.linspace(1.0, 2.0, 50))}
    for supply, old in ((moving, True), ({"x": 2.0}, False)):
        result = run(from_text(text, supply=supply), dating="dated", steps=20)
        oldest = Dates.of(result.experiment.economy).priced.max()
        said = f"up to {oldest} steps ago" in " ".join(run_sentences(result))
        assert said is old and oldest == 4
