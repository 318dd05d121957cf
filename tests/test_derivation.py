"""The conditions that ``explain`` and the report write out: consumers, suppliers, who pays what."""

import pytest

from market_abm import explain, from_text, run
from market_abm.experiment.experiment import Experiment
from market_abm.views.report.report import report_html

SHARED = """
light = sqrt(coal)
fish  = 2 * light ** 0.3 * boats ** 0.5
trade = ln(light) - 2
"""
SUPPLY = {"coal": {"quantity": 2.0, "price": 0.5, "elasticity": 0.8}, "boats": 3.0}
DEMAND = {"fish": {"price": 2.0, "elasticity": 1.5}, "trade": {"price": 3.0, "elasticity": 2.0}}


def sections(result):
    return {section.title: section for section in explain(result)}


@pytest.mark.parametrize(
    ("reuse", "fish", "trade"),
    [
        ("rival", " - p_light*light", " - p_light*light"),
        ("copy", " - bid[light by fish]*light", " - bid[light by trade]*light"),
        ("external", " - bid[light by fish]*light", ""),
    ],
)
def test_a_profit_has_the_price_that_this_user_pays(reuse, fish, trade):
    result = run(from_text(SHARED, SUPPLY, DEMAND, reuse_of={"light": reuse}), steps=3)
    notes = [section.note for title, section in sections(result).items() if "light**" in title]
    assert notes == [f"profit = p_fish*(2*light**0.3*boats**0.5){fish} - p_boats*boats"]
    assert (
        sections(result)["trade = ln(light) - 2"].note == f"profit = p_trade*(ln(light) - 2){trade}"
    )


def test_consumers_and_suppliers_are_on_their_curves():
    """The formulas that are printed, evaluated at the run's quantities, are its prices."""
    result = run(from_text(SHARED, SUPPLY, DEMAND, reuse="copy"), steps=2000)
    assert result.status == "converged"
    amounts = result.table()["quantity"].to_dict()
    assert amounts["trade"] < 0  # its demand is linear
    found = sections(result)
    curves = [*found["consumers"].pairs, found["suppliers"].pairs[0]]
    for good, pair in zip(("fish", "trade", "coal"), curves, strict=True):
        for text, name in ((pair.condition, f"p_{good}"), (pair.backprop, f"df_d{good}")):
            left, formula = text.split(" = ")
            assert left == name
            value = eval(formula, {"__builtins__": {}}, amounts)
            assert value == pytest.approx(result.table()["price"][good], rel=1e-4)  # six digits
    assert "demand curve" in found["consumers"].note
    assert "costs the price at the margin" in found["suppliers"].note
    assert found["suppliers"].pairs[1].condition == "boats = 3"


def test_a_price_that_is_given_and_a_supplier_off_its_curve():
    result = run(from_text("y = x ** 0.5", {"x": {"quantity": 2.0, "elasticity": 1.0}}), steps=1)
    found = sections(result)
    assert found["consumers"].note == "pay a given price for each final good"
    assert found["suppliers"].pairs[0].condition == "p_x = x/2"
    assert found["suppliers"].pairs[0].condition_numbers == "1, not 0.353553"


def test_the_report_lists_supply_and_demand(tmp_path):
    text = f"[economy]\nprogram = '''{SHARED}'''\n[supply.coal]\nquantity = 2\nelasticity = 0.8\n"
    text += "[supply.boats]\nquantity = 3\n[demand.fish]\nprice = 2\nelasticity = 1.5\n"
    run(Experiment.parse(f"{text}[run]\nsteps = 3\n")).save(tmp_path / "run")
    page = report_html(tmp_path / "run")
    for row in (
        ("supply of coal", "2 units per step at a price of 1, elasticity 0.8"),
        ("supply of boats", "3 units per step"),
        ("demand for fish", "consumers pay 2 a unit for the initial output, elasticity 1.5"),
        ("demand for trade", "consumers pay 1 a unit"),
    ):
        assert f'<th scope="row">{row[0]}</th><td class="text">{row[1]}' in page


LOOPED = "steel = sqrt(coal) * steel ** 0.2\nship = steel ** 0.5 * labor ** 0.3"
LABOR = {"coal": 3.0, "labor": 2.0}


@pytest.mark.parametrize(
    ("program", "supply", "mechanism", "settings"),
    [
        (SHARED, SUPPLY, "unit-bid", {}),
        (SHARED, SUPPLY, "unit-bid", {"reuse": "copy"}),
        (SHARED, SUPPLY, "unit-bid", {"reuse_of": {"light": "external"}}),
        (LOOPED, LABOR, "unit-bid", {}),
        (LOOPED, LABOR, "trading-post", {}),
        (LOOPED, LABOR, "tatonnement", {}),
    ],
)
def test_off_rest_the_lines_of_backprop_are_of_one_date(program, supply, mechanism, settings):
    """The printed products and sums are right, and are the gradients that other lines go on with.

    To the six digits that are printed.
    """
    economy = from_text(program, supply, **settings)
    result = run(economy, mechanism=mechanism, steps=6)
    assert not result.at_rest
    gradients, checked = dict(zip(result.goods, result.last_gradients, strict=True)), set()
    for section in explain(result):
        for pair in section.pairs:
            left, numbers = pair.backprop.split(" = ")[0], pair.backprop_numbers
            if section.title in {"consumers", "suppliers"}:
                continue
            formula, value = numbers.split(" = ")
            assert eval(formula) == pytest.approx(float(value), rel=1e-5)
            if left.startswith("df_d"):
                good = left.removeprefix("df_d")
                assert float(value) == pytest.approx(gradients[good], rel=1e-5)
                checked.add(good)
    assert checked == set(result.goods) - set(economy.demand)
