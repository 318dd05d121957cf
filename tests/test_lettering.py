"""What users write (names, questions, keys) is shown as they wrote it, in every view."""

import warnings

import pytest
from click.testing import CliRunner
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.font_manager import fontManager
from matplotlib.text import Text
from support.figures import assert_nothing_is_cut_off
from support.tables import files, made_up

from market_abm import Experiment, from_text, run
from market_abm.cli.commands import main
from market_abm.errors import FigureWarning
from market_abm.studies.comparisons import MechanismComparison, OptimizerComparison
from market_abm.studies.sweep import Sweep, run_sweep
from market_abm.views.animation.film import Film
from market_abm.views.plots import lettering
from market_abm.views.plots.flows import Flows, largest_flows
from market_abm.views.plots.lettering import INVISIBLE, all_fitted, fitted, fitted_lines, text_width
from market_abm.views.plots.style import new_figure
from market_abm.views.plots.sweep import figure_of_sweep
from market_abm.views.words.lines import columns, in_lines, shortened

HOSTILE = (
    "Fees {$/t}, tolls {$/km}",
    r"Oil (US$_) and $\frac{gas}{",
    "_[bold]x[/] <b>&amp;</b> :smile: %s {0}",
    "a\tb\nc\x1b[31m",
    "Manufacture of " + "very_" * 20 + "long names",
)
QUESTION = r"Who wins, [A] or [/B]? costs $5 and $6_x, \(x\) **and** `more`"
NAME = r"$x_{$ [b] 100% _run"


def an_experiment(tmp_path, **settings):
    """Five industries with hostile names, and a shock; under a hostile name and question."""
    table = made_up(5, names=HOSTILE, codes=("_a", "$b$", "[c]", "<d>", "e" * 60))
    flows, sectors = files(table, tmp_path)
    economy = f"[economy]\ninput_output = '{flows}'\nsectors = '{sectors}'\n"
    text = f"question = '''{QUESTION}'''\n{economy}[market]\nmechanism = 'trading-post'\n"
    text += (
        "[run]\nengine = 'arrays'\nsteps = 30\n[[shocks]]\nstep = 10\nsupply.primary.quantity = 2\n"
    )
    return Experiment.parse(text, NAME, settings, file=str(tmp_path / "a.toml"))


def the_figures(kind, tmp_path):
    experiment = an_experiment(tmp_path)
    if kind == "run":
        result = run(experiment)
        flows = largest_flows(result, Flows.of(result))
        return [result.convergence_figure(), result.network_figure(), result.shock_figure(), flows]
    if kind == "film":
        return [Film(run(from_text("_y_ = __x ** 0.5", {"__x": 1})), 2).drawing.figure]
    if kind == "sweep":
        sweep = Sweep.planned(experiment, {"supply.primary.quantity": [1.0, 2.0]})
        return [figure_of_sweep(sweep, run_sweep(sweep))]
    plain = experiment.with_shocks([])
    if kind == "twin":
        return [OptimizerComparison.of(plain).figure()]
    return [MechanismComparison.of(plain, ["trading-post", "unit-bid"]).figure()]


@pytest.mark.parametrize(
    "kind",
    ["run", "film"]
    + [pytest.param(k, marks=pytest.mark.slow) for k in ("sweep", "twin", "mechanisms")],
)
def test_figures_show_what_was_written(kind, tmp_path):
    """No text is a formula, none is beyond the page, and no other warning is given."""
    for figure in the_figures(kind, tmp_path):
        assert_nothing_is_cut_off(figure)
        texts = [text for text in figure.findobj(Text) if text.get_text()]
        assert not any(text.get_parse_math() or text.get_usetex() for text in texts)
        assert not any("mathdefault" in text.get_text() for text in texts)
        assert all(
            each.isprintable() or each == "\n"
            for t in texts
            for each in t.get_text().replace(INVISIBLE, "")
        )


def test_names_that_begin_with_an_underscore_are_in_legends():
    result = run(from_text("_fuel = _gas ** 0.5\npower = _fuel ** 0.5", {"_gas": 4.0}))
    shown = [
        text.get_text().replace(INVISIBLE, "")
        for axes in result.convergence_figure().axes
        if axes.get_legend() is not None
        for text in axes.get_legend().get_texts()
    ]
    assert shown == ["_gas", "_fuel", "tolerance"]


def test_every_output_shows_the_question(tmp_path, monkeypatch):
    """The terminal, the report and the notebook: as text, neither markup nor formula."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("market_abm.runs.folders.drawn", lambda figure, **_: b"")
    file = tmp_path / "$a_$ [b].toml"
    file.write_text(
        f"question = '''{QUESTION}'''\n[economy]\nprogram = 'y = sqrt(_x)'\n"
        "[supply._x]\nquantity = 4\n"
    )
    done = CliRunner().invoke(main, ["run", file.name, "--out", "out"])
    assert done.exit_code == 0 and done.output.startswith(QUESTION)
    assert CliRunner().invoke(main, ["report", "out"]).exit_code == 0
    page = (tmp_path / "out.html").read_text("utf-8")
    assert f"<h1>{QUESTION}</h1>" in page
    shown = run(file.name)._repr_html_()
    assert QUESTION in shown and shown.startswith('<div class="tex2jax_ignore mathjax_ignore"')


# --- lengths --------------------------------------------------------------------------------------

TEXTS = st.text(st.characters(codec="latin-1"), max_size=60)


@given(TEXTS, st.floats(0.3, 3.0), st.sampled_from([0.0, 0.5, 1.0]))
def test_a_fitted_text_is_within_its_width(text, width, head):
    """Beginning and end are those of the text; nothing is cut from one that fits."""
    whole = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    shown = fitted(text, width, 8, head=head).replace(INVISIBLE, "")
    assert text_width(shown, 8) <= width or len(shown) <= 2
    if text_width(whole, 8) <= width:
        assert shown == whole
    else:
        first, last = shown.split("…")[0], shown.rsplit("…", 1)[1]
        assert whole.startswith(first) and whole.endswith(last)
    for line in fitted_lines(text, width, 8).replace(INVISIBLE, "").split("\n"):
        assert text_width(line, 8) <= width or len(line) <= 2


@given(st.text("ab 東_-", max_size=40), st.integers(4, 20), st.integers(0, 2))
def test_lines_hold_all_that_is_written(text, width, hanging):
    """No line is too wide, no letter is lost, and no word that fits is broken."""
    lines = in_lines(text, width, hanging)
    assert max(map(columns, lines)) <= width
    assert "".join("".join(lines).split()) == "".join(text.split())
    kept = " ".join(lines).split()
    assert all(word in kept for word in text.split() if columns(word) <= width - hanging)
    assert columns(shortened(text, width)) <= width


def test_names_that_are_cut_can_be_told_apart():
    names = [f"a_long_name_of_an_industry_{n}_that_makes_steel" for n in range(6)]
    shown = all_fitted(names, 1.2, 8)
    assert len(set(shown.values())) == 6
    assert all(text_width(each, 8) <= 1.2 for each in shown.values())


# --- fonts ----------------------------------------------------------------------------------------

LETTER = "\N{KHITAN SMALL SCRIPT CHARACTER-18B00}"
"""A letter that no font here has."""


def a_font(path):
    """A font that has :data:`LETTER` alone, as a square."""
    pen = TTGlyphPen(None)
    for start, *points in [[(0, 0), (0, 500), (500, 500), (500, 0)]]:
        pen.moveTo(start)
        for point in points:
            pen.lineTo(point)
        pen.closePath()
    font = FontBuilder(1000)
    font.setupGlyphOrder([".notdef", "square"])
    font.setupCharacterMap({ord(LETTER): "square"})
    font.setupGlyf({".notdef": TTGlyphPen(None).glyph(), "square": pen.glyph()})
    font.setupHorizontalMetrics({".notdef": (600, 0), "square": (600, 0)})
    font.setupHorizontalHeader(ascent=800, descent=-200)
    font.setupNameTable({"familyName": "One Letter", "styleName": "Regular"})
    font.setupOS2()
    font.setupPost()
    font.save(path)


def forget():
    for each in (lettering._family_with, lettering._family_letters, lettering._report):
        each.cache_clear()


def test_a_letter_is_drawn_by_a_font_that_has_it_or_it_is_said(tmp_path, monkeypatch):
    figure = new_figure(2, 1)
    text = figure.text(0.1, 0.5, f"gas {LETTER}")
    forget()
    with pytest.warns(FigureWarning, match="no font of this machine"):
        FigureCanvasAgg(figure).draw()
    a_font(tmp_path / "one.ttf")
    monkeypatch.setattr(fontManager, "ttflist", [*fontManager.ttflist])
    fontManager.addfont(tmp_path / "one.ttf")
    forget()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        FigureCanvasAgg(figure).draw()
    assert text.get_fontfamily()[-1] == "One Letter"
    wide = text_width(f"gas {LETTER}", 10) - text_width("gas ", 10)
    assert wide == pytest.approx(0.6 * 10 / 72, rel=0.3)  # hinting moves it to whole pixels
    forget()


# --- figures that fail ----------------------------------------------------------------------------


def test_a_figure_that_fails_costs_itself_and_a_sentence(tmp_path, monkeypatch):
    def fails(result):
        raise ValueError("no such glyph")

    monkeypatch.setattr("market_abm.views.plots.network.network", fails)
    with pytest.warns(FigureWarning, match="network.png could not be drawn .ValueError: no such"):
        folder = run("essay-chain").save(tmp_path / "python")
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["run", "essay-chain", "--out", "command"])
    assert done.exit_code == 0
    assert done.stderr.count("Warning") == 1 and "all data are written" in done.stderr
    for where in (folder, tmp_path / "command"):
        names = {path.name for path in where.iterdir()}
        assert names == {"summary.json", "trajectory.csv", "measures.csv", "convergence.png"}
