"""The accounts of a market: what buyers pay is what sellers receive, and who keeps how much."""

import itertools

import numpy as np
import pytest
from support.tables import made_up

from market_abm import MarketError, MarketModel, from_input_output, from_text, market_settings, run
from market_abm.economy.economy import REUSE
from market_abm.economy.terms import CONDUCTS
from market_abm.market.accounts import revenues_and_costs
from market_abm.market.mechanisms.registry import MECHANISMS, array_market

PROGRAM = """
a = 2 * x ** 0.6
b = 3 * x ** 0.4
c = cobb_douglas(a, b, exponents=(0.3, 0.4))
d = ln(1 + b) + a ** 0.2
"""
STEPS = 7


def economy(reuse: str, conduct: str):
    """Two firms an industry, unlike each other; x, a and b have two users each."""
    demand = {good: {"price": 2.0, "elasticity": 1.5} for good in "cd"}
    firms = {"firms": 2, "weight_spread": 0.3, "productivity_spread": 0.1}
    return from_text(
        PROGRAM,
        {"x": {"quantity": 2.0, "elasticity": 0.5}},
        demand,
        reuse=reuse,
        population=firms,
        population_of={good: {"conduct": conduct} for good in "cd"},
    )


def states(economy, settings):
    """The states of both engines, step by step, on the way to the steady state."""
    engine = array_market([economy], [settings], [1])
    model = MarketModel(economy, settings, seed=1) if settings.rules.has_agents else None
    for _ in range(STEPS):
        engine.step()
        assert not engine.failed
        yield engine.state.select_runs(0)
        if model:
            model.step()
            yield model.state


CASES = [
    ("excess-demand", None, "competitive"),
    *(
        case
        for case in itertools.product(MECHANISMS, REUSE, CONDUCTS)
        if case[0] != "excess-demand"
    ),
]


@pytest.mark.parametrize(("mechanism", "reuse", "conduct"), CASES)
def test_money_paid_is_money_received(mechanism, reuse, conduct):
    """Of every good, in every step, also far from the steady state: a few roundings, 1e-12.

    Received is price times what is on sale where bids clear the market. Where prices are quoted,
    it is price times what is ordered, which is less or, of plans, more.
    """
    settings = market_settings(mechanism=mechanism)
    quoted = not settings.rules.bids_form_prices
    if mechanism == "excess-demand":
        market = from_input_output(made_up(4), population_of={"331": {"productivity": 0.8}})
    else:
        market = economy(reuse, conduct)
    if (quoted and reuse == "external") or (mechanism == "tatonnement" and conduct == "cournot"):
        with pytest.raises(MarketError):
            array_market([market], [settings], [1])
        return
    buyers, raw = market.buyers, len(market.supply)
    reference = np.array(
        [1.0 if t.quantity is None else t.quantity for t in market.demand.values()]
    )
    used = np.unique(buyers.good)
    for state in states(market, settings):
        prices = settings.rules.prices_paid(market, state)
        total = np.bincount(buyers.good[buyers.starts], prices, minlength=len(market.goods))
        np.testing.assert_allclose(total[used], state.prices[used], rtol=1e-12)
        revenue, cost = revenues_and_costs(market, settings, state, reference)
        units = np.add.reduceat(state.shares, buyers.starts)
        sold = np.bincount(buyers.good[buyers.starts], prices * units, minlength=len(market.goods))
        sold *= state.quantities
        np.testing.assert_allclose(revenue[used], sold[used], rtol=1e-12)
        if not quoted:
            on_sale = state.prices * state.quantities
            np.testing.assert_allclose(revenue, on_sale, rtol=1e-12)
        # What consumers pay is what suppliers receive and industries keep.
        kept = (revenue - cost)[raw:].sum() + revenue[:raw].sum()
        np.testing.assert_allclose(kept, revenue[market.final].sum(), rtol=1e-12)


LIGHTHOUSE = """
light = sqrt(coal)
fish  = 2 * light ** 0.3 * boats ** 0.5
trade = ln(1 + light * ships)
"""


@pytest.mark.parametrize("mechanism", ["unit-bid", "trading-post"])
def test_users_of_a_copied_good_are_charged_what_each_pays(mechanism):
    """By Euler's theorem a line of degree b keeps 1 - b of what it sells; runs stop at 1e-9."""
    supply = {"coal": {"quantity": 2.0, "elasticity": 1.0}, "boats": 3.0, "ships": 1.0}
    result = run(
        from_text(LIGHTHOUSE, supply, {"trade": 3.0}, reuse_of={"light": "copy"}),
        mechanism=mechanism,
        steps=2000,
        engine="arrays",
    )
    assert result.status == "converged"
    margins = result.accounts().margin
    assert margins[["light", "fish"]].tolist() == pytest.approx([0.5, 0.2], abs=1e-8)


def test_who_does_not_pay_has_no_cost_and_market_power_keeps_more():
    """Of an external good the first user pays. A Cournot firm pays a (1 - 1/ε) of its sales."""
    program = "honey = 3 * bees ** 0.5\napples = 2 * bees ** 0.5"
    free = run(from_text(program, {"bees": 4}, reuse="external")).accounts()
    assert free.cost.tolist() == pytest.approx([3.0, 0.0], abs=1e-15)
    assert free.margin.tolist() == pytest.approx([0.5, 1.0], rel=1e-12)
    alone = from_text(
        "y = x ** 0.7",
        {"x": 2.0},
        {"y": {"elasticity": 1.5, "quantity": 1.0}},
        population={"conduct": "cournot"},
    )
    assert run(alone).accounts().margin["y"] == pytest.approx(1 - 0.7 * (1 - 1 / 1.5), rel=1e-12)
