"""Supply curves with an intercept: form = "linear", q = q0 (1 + η (p/r0 - 1)), and 0 below it.

Prices and quantities at rest are compared with roots that SciPy finds of the two curves alone, with
the search for the best allocation, and paths with the twins. Runs rest to a tenth of the tolerance
1e-9 of every condition; the root is within 1e-8.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.optimize import brentq

import market_abm
from market_abm.economy import curves
from market_abm.gradient.equilibrium import equilibrium
from market_abm.gradient.welfare import production_cost
from market_abm.market import behaviour

ETA, R0, Q0 = 3.0, 1.0, 1.0
MARKETS: list[Any] = [
    {"mechanism": "unit-bid"},
    {"mechanism": "trading-post", "activation": "sequential"},
    {"mechanism": "tatonnement", "auction_rate": 0.02},
    pytest.param({"mechanism": "posted-price", "price_rate": 0.1}, marks=pytest.mark.slow),
]


def bakery(**supply: Any) -> market_abm.Economy:
    terms = {"quantity": Q0, "price": R0, "elasticity": ETA, "form": "linear", "adjustment": 0.1}
    return market_abm.from_text(
        "flour = 1.5 * sqrt(wheat)\nbread = flour ** 0.9",
        supply={"wheat": terms | {"rate": 0.2} | supply},
        demand={"bread": {"quantity": 1.2, "elasticity": 2.0, "form": "linear"}},
    )


def wheat_by_scipy() -> float:
    """Where what bread pays for a unit of wheat is the marginal cost of wheat."""

    def gap(wheat: float) -> float:
        bread = (1.5 * wheat**0.5) ** 0.9
        paid = 1.0 - (bread - 1.2) / (2.0 * 1.2)
        return paid * 0.45 * bread / wheat - R0 * (1.0 + (wheat / Q0 - 1.0) / ETA)

    return brentq(gap, 0.01, 10.0, xtol=1e-15, rtol=1e-15)


@pytest.mark.parametrize("kind", ["curve", "gradient"])
@pytest.mark.parametrize("market", MARKETS, ids=lambda market: market["mechanism"])
def test_every_mechanism_rests_where_the_curves_meet(market: dict[str, Any], kind: str) -> None:
    economy = bakery(kind=kind)
    result = market_abm.run(economy, **market, steps=3000, engine="arrays")
    assert result.status == "converged"
    assert result.last.quantities[0] == pytest.approx(wheat_by_scipy(), rel=1e-8)
    best = equilibrium(economy)
    assert best is not None
    assert best.kind.value == "global maximum"
    assert best.quantities[0] == pytest.approx(wheat_by_scipy(), rel=1e-13)
    fast, slow = (
        market_abm.run(economy, **market, steps=20, engine=engine).quantities
        for engine in ("arrays", "agents")
    )
    assert fast == pytest.approx(slow, rel=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("market", MARKETS, ids=lambda market: market["mechanism"])
@pytest.mark.parametrize("kind", ["curve", "gradient"])
def test_the_optimisers_have_the_same_supply(market: dict[str, Any], kind: str) -> None:
    """The twins, from their formulas alone; posted prices until something is first rationed."""
    compared = market_abm.compare(bakery(kind=kind), **market, steps=60)
    for name, (distance, _) in compared.distances.items():
        assert distance < 5e-12, name


TWO = "y = sqrt(cheap + dear)"


def two_mines(price: float, kind: str = "curve") -> market_abm.Economy:
    """Of two perfect substitutes the dear one is offered at prices above 3 (1 - 1/2) = 1.5."""
    line = {"quantity": 1.0, "form": "linear", "kind": kind, "adjustment": 0.3, "rate": 0.2}
    return market_abm.from_text(
        TWO,
        supply={
            "cheap": line | {"price": 0.5, "elasticity": 1.0},
            "dear": line | {"price": 3.0, "elasticity": 2.0},
        },
        demand={"y": price},
    )


SHOCKED = """
economy.program = "y = sqrt(cheap + dear)"
supply.cheap = { quantity = 1, price = 0.5, elasticity = 1, form = "linear", adjustment = 0.3 }
supply.dear = { quantity = 1, price = 3, elasticity = 2, form = "linear", adjustment = 0.3 }
demand.y.price = 1
run.steps = 900
shocks = [{ step = 200, "demand.y.price" = 6 }]
"""


@pytest.mark.parametrize("kind", ["curve", "gradient"])
def test_nothing_is_offered_below_the_intercept(kind: str) -> None:
    """At y's price 1 the dear mine is shut: cheap 1 unit at 1/2; at 6 both work."""
    shut = market_abm.run(two_mines(1.0, kind), steps=400)
    assert shut.status == "converged"
    assert shut.last.quantities[:2] == pytest.approx([1.0, 0.0], abs=2e-10)
    assert shut.last.prices[:2] == pytest.approx([0.5, 0.5], rel=1e-9)
    best = equilibrium(two_mines(1.0, kind))
    assert best is not None
    assert best.quantities.tolist() == pytest.approx([1.0, 0.0, 1.0], abs=1e-12)
    assert best.quantities[1] == 0.0  # the corner itself

    def gap(cheap: float) -> float:  # MC: cheap/2, and 3/2 (1 + dear)
        dear = cheap / 3.0 - 1.0
        return 3.0 / (cheap + dear) ** 0.5 - cheap / 2.0

    cheap = brentq(gap, 3.0, 6.0, xtol=1e-15, rtol=1e-15)
    both = equilibrium(two_mines(6.0, kind))
    assert both is not None
    assert both.quantities[:2] == pytest.approx([cheap, cheap / 3.0 - 1.0], rel=1e-12)
    terms = {
        f"supply.{good}.{key}": value
        for good in ("cheap", "dear")
        for key, value in (("kind", kind), ("rate", 0.2))
    }
    shocked = market_abm.run(market_abm.Experiment.parse(SHOCKED, settings=terms))
    assert shocked.status == "converged"  # an offer of 0 comes back
    assert shocked.last.quantities[:2] == pytest.approx([cheap, cheap / 3.0 - 1.0], rel=1e-7)


def test_the_curves_themselves() -> None:
    """Supply inverts marginal cost; cost is its integral; slopes are those of differences."""
    supply = bakery().supply["wheat"]
    amounts = np.linspace(0.0, 3.0, 13)
    costs = curves.marginal_cost(supply, amounts)
    assert costs == pytest.approx(R0 * (1.0 + (amounts / Q0 - 1.0) / ETA), rel=1e-15)
    assert curves.supply_quantity(supply, costs) == pytest.approx(amounts, abs=1e-14)
    assert curves.supply_quantity(supply, 0.6) == 0.0  # the intercept is at 2/3
    assert curves.cost_slope(supply, 2.0) == pytest.approx(R0 / (Q0 * ETA), rel=1e-15)
    trapezia = np.concatenate([[0.0], np.cumsum((costs[1:] + costs[:-1]) / 2 * np.diff(amounts))])
    assert production_cost(supply, amounts) == pytest.approx(trapezia, abs=1e-14)
    moved = behaviour.revised_offer(supply, 2.0, 0.0)
    assert moved == pytest.approx(0.9 * 2.0)  # ρ of the way to nothing
    nuisance = bakery(quantity=-1.0, price=-1.0).supply["wheat"]
    assert curves.supply_quantity(nuisance, -2.0) == -4.0
    assert curves.supply_quantity(nuisance, 0.5) == 0.0


def test_a_form_without_a_curve_is_refused() -> None:
    with pytest.raises(market_abm.MarketError, match=r"supply\.wheat\.cost.*leave elasticity"):
        bakery(kind="gradient", cost="none", elasticity=0.0)
    with pytest.raises(market_abm.MarketError, match=r"supply\.wheat\.form"):
        bakery(form="line")
