"""The unit of account: prices told in units of a good, by a market that does not know it.

Divided numbers are compared with those of the same run in money, divided here: to 1e-14.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import market_abm
from market_abm.gradient.backprop import exact_gradient

PROGRAM = "flour = sqrt(wheat) * labour ** 0.3\nbread = flour ** 0.8\ncake = 2 * flour ** 0.5"
TERMS: dict[str, Any] = {"supply": {"wheat": 4, "labour": 2}, "demand": {"bread": {"price": 3}}}
HOUSEHOLDS: dict[str, Any] = {
    "worker": {"utility": "bread ** 0.5", "endowment": {"labour": 2}, "owns": 0.25},
    "miller": {"utility": "cake ** 0.5", "endowment": {"wheat": 4}, "owns": 0.75},
}


def economy(households: bool, **options: Any) -> market_abm.Economy:
    terms = {"households": HOUSEHOLDS} if households else TERMS
    return market_abm.from_text(PROGRAM, **terms, **options)


@pytest.mark.parametrize("households", [False, True])
def test_only_what_is_told_is_divided(households: bool) -> None:
    runs = [
        market_abm.run(economy(households, numeraire=unit), mechanism="trading-post", steps=150)
        for unit in (None, "labour")
    ]
    money, told = runs
    labour = money.economy.index["labour"]
    assert np.array_equal(money.quantities, told.quantities)
    assert np.array_equal(money.outcome.trajectory.prices, told.outcome.trajectory.prices)
    assert (money.status, money.steps, money.path.rate) == (told.status, told.steps, told.path.rate)
    late = slice(10, None)  # before, labour may have no price
    unit, slope = money.prices[late, labour, None], money.gradients[late, labour, None]
    assert told.prices[late] == pytest.approx(money.prices[late] / unit, rel=1e-14)
    assert told.gradients[late] == pytest.approx(money.gradients[late] / slope, rel=1e-14)
    assert np.all(np.isnan(told.prices[0]))
    assert np.all(told.errors[late, labour] == 0.0)
    gap = (money.prices / money.gradients)[late] / (unit / slope) - 1.0
    assert told.errors[late] == pytest.approx(np.abs(gap), abs=1e-14)
    price = money.last.prices[labour]
    assert told.table()["price"].to_numpy() == pytest.approx(money.last.prices / price, rel=1e-14)
    for name in ("revenue", "cost", "profit"):
        pair = told.accounts()[name], money.accounts()[name] / price
        assert pair[0].to_numpy() == pytest.approx(pair[1].to_numpy(), rel=1e-14, abs=1e-15)
    assert told.accounts()["margin"].equals(money.accounts()["margin"])
    for name, account in told.households.items():
        assert account.income == pytest.approx(money.households[name].income / price, rel=1e-13)
    summary = told.summary()
    assert summary["goods"]["labour"]["price"] == 1.0
    assert summary["welfare"] == money.summary()["welfare"]
    assert summary["configuration"]["economy"]["numeraire"] == "labour"
    if not households:
        distances = [run.distance() for run in runs]
        assert distances[1]["quantities"] == distances[0]["quantities"]
        assert distances[1]["prices"] == pytest.approx(distances[0]["prices"], abs=1e-9)
        compared = market_abm.compare(told.experiment)
        assert compared.distances["prices"][0] < 1e-12


def test_files_and_keys() -> None:
    text = f"""
economy = {{ program = {PROGRAM!r}, numeraire = "wheat" }}
supply = {{ wheat = 4, labour = 2 }}
""".replace("'", '"')
    read = market_abm.Experiment.parse(text)
    assert read.economy.numeraire == "wheat"
    other = market_abm.Experiment.parse(text, settings={"economy.numeraire": "bread"})
    assert other.economy.numeraire == "bread"
    changed = read.economy.with_values({"economy.numeraire": "bread", "supply.wheat": 5})
    assert (changed.numeraire, changed.supply["wheat"].quantity) == ("bread", 5)
    assert exact_gradient(changed)["bread"] == 1.0
    sentence = "Prices and gradients are in units of wheat, each at its own."
    from market_abm.views.words.run import run_sentences

    assert any(sentence in each for each in run_sentences(market_abm.run(read)))


@pytest.mark.parametrize(
    ("message", "settings"),
    [
        (r"economy\.numeraire is 'rye'.*no such good", {"economy.numeraire": "rye"}),
        (r"economy\.numeraire is 3", {"economy.numeraire": 3}),
        ("record.goods leaves out the numeraire wheat", {"record.goods": ["bread"]}),
        (
            "a shock cannot change 'economy.numeraire'",
            {"shocks": [{"step": 1, "economy.numeraire": "bread"}]},
        ),
    ],
)
def test_a_bad_numeraire_is_refused(message: str, settings: dict[str, Any]) -> None:
    text = """
economy = { program = "bread = wheat ** 0.5", numeraire = "wheat" }
supply.wheat = 4
"""
    with pytest.raises(market_abm.MarketError, match=message):
        market_abm.Experiment.parse(text, settings=settings)
    with pytest.raises(market_abm.MarketError, match="economy.numeraire"):
        economy(False).with_values({"economy.numeraire": "rye"})
