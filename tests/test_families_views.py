"""Many goods of few names: tables, figures, the page and reports speak of families."""

from __future__ import annotations

import json
import re
import time

import numpy as np
import pandas as pd
import pytest
from bokeh.document import Document
from click.testing import CliRunner
from support.figures import assert_nothing_is_cut_off

from market_abm import Experiment, MarketError, run
from market_abm.cli.commands import main
from market_abm.economy.families import families_of
from market_abm.runs.families import shown_families
from market_abm.views import save
from market_abm.views.explain import explain
from market_abm.views.family_network import FamilyNetwork
from market_abm.views.report.report import report
from market_abm.watch.page import Page

RECURRENT = """
[economy]
program = '''
for t in 1..T:
    h[t] = tanh(a * h[t-1] + x[t])
    y[t] = 0.5 * h[t] ** 2
'''
parameters = {{ T = {turns} }}
reuse = "copy"
[supply]
a.quantity = 0.9
"h[0]" = 0.1
[supply."x[t]"]
quantity = "1.2 + cos(t)"
[run]
engine = "arrays"
steps = {steps}
"""

NET = """
[economy]
program = '''
for b in 1..B:
    for i in 1..H:
        for j in 1..D: m[b,i,j] = w[i,j] * x[b,j]
        h[b,i] = tanh(sum(m[b,i,j] for j in 1..D))
    y[b] = exp(sum(v[i] * h[b,i] for i in 1..H))
'''
parameters = { B = 48, H = 32, D = 64 }
reuse = "copy"
[supply."w[i,j]"]
quantity = "0.1 * sin(i * 17 + j * 3)"
[supply."v[i]"]
quantity = "0.3 * sin(i * 7)"
[supply."x[b,j]"]
quantity = "1.2 + cos(b * j)"
[run]
engine = "arrays"
steps = 20
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("families")
    (folder / "recurrent.toml").write_text(RECURRENT.format(turns=20, steps=60))
    return folder


@pytest.fixture(scope="module")
def result(folder):
    return run(folder / "recurrent.toml")


def test_a_row_of_a_family_is_made_of_its_members(result):
    members, rows = result.table(), result.by_family()
    names = pd.Series(result.goods, result.goods).str.partition("[")[0]
    assert list(rows.index) == ["a", "h[0..20]", "x[1..20]", "y[1..20]"]
    for label, row in rows.iterrows():
        own = members[names == label.partition("[")[0]]
        assert row["members"] == len(own)
        assert row["price_least"] == own["price"].min()
        assert row["price_largest"] == own["price"].max()
        assert row["error"] == own["error"].max()
        assert row["first_step"] == own["first_step"].max()
        for column in ("price", "quantity", "gradient"):  # a mean, which pandas sums in its order
            assert row[column] == pytest.approx(own[column].mean(), rel=1e-13)


def test_paths_of_families_are_made_of_those_of_members(result):
    frame = result.frame()
    frame["family"] = frame["good"].str.partition("[")[0]
    frame["ratio"] = (frame["price"] / frame["gradient"]).where(frame["gradient"] != 0.0)
    by = frame.groupby(["step", "family"])
    paths = result.family_paths()
    paths["family"] = paths["family"].str.partition("[")[0]
    paths = paths.set_index(["step", "family"]).sort_index()
    for column, expected in {
        "price": by["price"].mean(),
        "price_least": by["price"].min(),
        "error": by["error"].median(),
        "error_largest": by["error"].max(),
        "ratio": by["ratio"].median(),
        "ratio_largest": by["ratio"].max(),
    }.items():
        np.testing.assert_allclose(paths[column], expected, rtol=1e-13, atol=1e-15)


def test_the_network_of_families_counts_all_uses(result):
    economy = result.economy
    network = FamilyNetwork.of(economy, result.families)
    counts = {(use[0], network.diagram.uses[use]): n for use, n in network.counts.items()}
    assert counts == {
        ("h[0..20]", "a"): 20,
        ("h[0..20]", "h[0..20]"): 20,
        ("h[0..20]", "x[1..20]"): 20,
        ("y[1..20]", "h[0..20]"): 20,
    }
    ones = network.total(np.ones(economy.buyers.size))
    assert ones.tolist() == list(network.counts.values())


def test_figures_draw_families(result):
    for figure in (result.network_figure(), result.convergence_figure()):
        assert_nothing_is_cut_off(figure)
    assert len(result.convergence_figure().axes[0].lines) == 4  # a, h, x and the gradient


def test_few_goods_are_listed_one_by_one():
    horner = Experiment.load("horner").economy
    assert len(horner.families) < len(horner.goods)
    assert shown_families(horner) == ()


def test_commands_speak_of_families_and_of_members_on_demand(folder, monkeypatch):
    monkeypatch.chdir(folder)
    call = lambda *words: CliRunner().invoke(main, words).output  # noqa: E731
    printed = call("run", "recurrent.toml", "--no-figures")
    assert "h[0..20]" in printed and "h[3]" not in printed
    printed = call("run", "recurrent.toml", "--no-figures", "--goods", "h[3..4]", "--goods", "a")
    rows = re.findall(r"^ ([\w\[\]]+) ", printed, re.MULTILINE)
    assert rows == ["good", "h[3]", "h[4]", "a"]
    assert "x[1..20] (20)" in call("check", "recurrent.toml")
    error = call("run", "recurrent.toml", "--goods", "g[3]")
    assert "there is no good 'g[3]'" in error and "h[0..20]" in error and "h[1]" not in error
    error = call("check", "recurrent.toml", "--set", "reuse.h[77]=copy")
    assert error.rstrip().endswith("there is h[0..20]")


def test_one_line_of_each_family_is_explained(result):
    lines = [s for s in explain(result) if s.line]
    assert [s.preface.partition(".")[0] for s in lines] == [
        "One of the 20 lines of y[1", "One of the 20 lines of h[0",
    ]  # fmt: skip
    assert [s.title.partition(" =")[0] for s in explain(result, ["h[3]"]) if s.line] == ["h[3]"]


def test_a_long_path_is_left_out_as_a_whole(result, tmp_path, monkeypatch):
    result.save(tmp_path / "whole", figures=False)
    monkeypatch.setattr(save, "MAX_PATH_ROWS", result.prices.size - 1)
    result.save(tmp_path / "families", figures=False)
    names = [{p.name for p in (tmp_path / n).iterdir()} for n in ("whole", "families")]
    assert names[0] - names[1] == {"trajectory.csv"} and "families.csv" in names[1]
    assert "record.goods" in save.left_out(result)
    summary = json.loads((tmp_path / "families" / "summary.json").read_text())
    assert list(summary["families"]) == ["a", "h[0..20]", "x[1..20]", "y[1..20]"]
    page = report(tmp_path / "families").read_text()
    assert "h[0..20]" in page and "x[7]" not in page


def test_the_page_has_boxes_and_sliders_of_families(folder):
    page = Page(Document(), str(folder / "recurrent.toml"), {})
    page.step()
    page.step()
    session, prices = page.session, page.session.state.prices
    frame = page.state.frame
    assert len(frame["nodes"]["price"]) == 4 and len(frame["flows"]["units"]) == 4
    places = families_of(session.economy.goods)["h"].places
    drawn = page._path.goods.index("h[*]")
    assert frame["rows"][f"p{drawn}"][-1] == prices[places].mean()
    keys = [parameter.key for parameter in session.parameters()]
    assert 'supply."x[*]".elasticity' in keys and len(keys) < 10
    page.set('supply."x[*]".quantity', 0.7)
    assert page.state.message == ""
    page.step()
    own = families_of(session.economy.goods)["x"].places
    assert np.all(session.state.quantities[own] == 0.7)
    with pytest.raises(MarketError, match=r"there is x\[1\.\.20\]"):
        session.shock("supply", "x[77]", -20.0)


@pytest.mark.slow
def test_a_net_of_a_hundred_thousand_firms_is_drawn_reported_and_watched(tmp_path):
    """Each in seconds of an idle machine; the limits are generous, for a busy one."""
    (tmp_path / "net.toml").write_text(NET)
    result = run(tmp_path / "net.toml")
    assert len(result.economy.industries) > 99_000 and result.status == "converged"
    seconds = {}

    def timed(name, act):
        start = time.process_time()
        made = act()
        seconds[name] = time.process_time() - start
        return made

    timed("save", lambda: result.save(tmp_path / "net"))
    path = timed("report", lambda: report(tmp_path / "net"))
    assert path.stat().st_size < 3_000_000
    page = timed("page", lambda: Page(Document(), str(tmp_path / "net.toml"), {}))
    timed("step", page.step)
    timed("step", page.step)
    timed("slider", lambda: (page.set('supply."x[*,*]".quantity', 0.7), page.step()))
    timed("slider", lambda: (page.set('supply."x[*,*]".quantity', 0.8), page.step()))
    assert page.state.message == ""
    limits = {"save": 60.0, "report": 40.0, "page": 30.0, "step": 2.0, "slider": 10.0}
    assert {name: seconds[name] for name in limits if seconds[name] > limits[name]} == {}
