"""What figures, pages and texts show of households: who earns what, and who buys what."""

import pytest
from matplotlib.patches import Rectangle
from support.figures import assert_nothing_is_cut_off, texts_of

from market_abm import Experiment, run
from market_abm.views.explain import explain
from market_abm.views.report.households import write_households
from market_abm.views.report.page import Page
from market_abm.views.words.run import run_sentences


@pytest.fixture(scope="module")
def taxed():
    return run("shoven-whalley-tax")


def many(count):
    """A run of households who differ in what they own."""
    owners = "".join(
        f'[households.person{k}]\nutility = "bread"\nendowment = {{ labour = {k + 1}.0 }}\n'
        for k in range(count)
    )
    program = '[economy]\nprogram = "bread = labour ** 0.5"\n'
    return run(Experiment.parse(f'{program}{owners}[market]\nmechanism = "trading-post"\n'))


def bars(axes):
    """The length of each bar of one side of the figure."""
    return [p.get_width() for p in axes.patches if isinstance(p, Rectangle) and p.get_width()]


def test_bars_are_incomes_and_spending(taxed):
    figure = taxed.households_figure()
    left, right = figure.axes
    accounts = taxed.households.values()
    assert sum(bars(left)) == pytest.approx(sum(each.income for each in accounts), rel=1e-9)
    assert sum(bars(right)) == pytest.approx(sum(each.spent for each in accounts), rel=1e-9)
    assert [text.get_text() for text in left.get_yticklabels()] == ["poor", "rich"]  # by income
    assert_nothing_is_cut_off(figure)


def test_a_tax_is_told_once_and_its_wedge_is_that_between_price_and_derivative(taxed):
    poor = next(each for each in run_sentences(taxed) if each.startswith("poor earns"))
    assert poor.count("tax capital") == 1
    (use,) = taxed.taxes.uses
    # At rest a unit is worth what its buyer pays: to the tolerance of the run, 1e-10.
    assert use.derivative == pytest.approx(use.gross_price, rel=1e-8)


def test_a_household_buys_the_same_utility_for_a_unit_of_money_in_each_good(taxed):
    (poor,) = (each for each in explain(taxed) if each.title == "the budget of poor")
    *goods, balance = poor.pairs
    assert [pair.condition.partition("/p_q")[0] for pair in goods] == [
        "1/p_poor = w*(poor/q1)**1.33333333333",
        "1/p_poor = (1 - w)*(poor/q2)**1.33333333333",
    ]
    bangs = {pair.condition_numbers.rpartition(" = ")[2] for pair in goods}
    assert bangs == {"44.505"}  # 1/0.0224694
    assert balance.condition == "60*p_labour + tax capital = p_q1*q1 + p_q2*q2"
    assert " = 0.678319 = " in balance.condition_numbers


def test_many_households_are_one_box_and_one_bar():
    result = many(60)
    rows = [text.get_text() for text in result.households_figure().axes[0].get_yticklabels()]
    assert len(rows) == 50 and rows[-1] == "11 others" and rows[0] == "person59"
    drawn = result.network_figure()
    texts = [text.get_text() for text in texts_of(drawn)]
    assert "60 households" in texts and "person0" not in texts
    assert_nothing_is_cut_off(drawn)


def test_an_endowment_is_moved_on_the_page_while_the_market_runs():
    pytest.importorskip("bokeh")
    from market_abm.watch.network_figure import NetworkFigure
    from market_abm.watch.session import Session

    session, key = Session("scarf-trading-post"), "households.first.endowment.x"
    for _ in range(3):
        session.step()
    (slider,) = (each for each in session.parameters() if each.key == key)
    assert (slider.low, slider.value, slider.high) == (0.5, 1.0, 2.0)
    assert not session.set(key, 2.0)  # it goes on
    session.step()
    assert session.economy.households["first"].endowment == {"x": 2.0}
    assert session.state.quantities[session.economy.index["x"]] == 2.0
    figure = NetworkFigure(session)
    account = figure.columns(session)[0]["account"][figure.goods.index("first")]
    assert account.startswith("earns ") and " from x, spends " in account


def test_a_notebook_shows_who_earns_and_buys_what(taxed):
    assert "owns 25 capital; spends what it earns" in taxed.economy._repr_html_()
    shown = taxed._repr_html_()
    assert "labour, tax capital" in shown and shown.index("poor") < shown.index("labour, tax")


def test_a_weight_that_is_a_difference_is_bracketed(taxed):
    formula = taxed.economy._repr_html_()
    assert "<mo>(</mo><mn>1</mn><mo>−</mo><mi>w</mi><mo>)</mo></mrow><mo>·</mo>" in formula


def test_a_report_has_accounts(taxed):
    page = Page()
    write_households(page, taxed.summary(), bars="", simplex="", unit="money per step")
    ((title, body),) = page.sections
    assert title == "Households" and "tax capital" in body
    income = float(taxed.households["poor"].income)
    assert f'value="{income!r}"' in body
    assert "profits" not in body  # they are rounding


def test_weights_of_many_households_fit():
    """Six are drawn, and the figure says so."""
    figure = many(12).weights_figure()
    assert_nothing_is_cut_off(figure)
    assert any("Of 12 households the first 6" in text.get_text() for text in figure.texts)
