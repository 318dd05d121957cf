"""The equilibrium of households who spend what they earn, found without a market.

Independent sources: demand functions written here and solved by SciPy, published numbers, closed
forms, and the optimum of the welfare with the weights that were found (Negishi's theorem).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.optimize import fsolve

import market_abm
from market_abm.economy.economy import Economy
from market_abm.gradient.budgets import Budgets
from market_abm.gradient.conditions import Conditions
from market_abm.gradient.equilibrium import Equilibrium, equilibrium, nearest_stationary
from market_abm.gradient.optimality import Kind

# --- exchange -------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Exchange:
    """Households with CES utilities: weights and endowments, (households, goods), elasticities."""

    weights: np.ndarray
    endowments: np.ndarray
    elasticities: np.ndarray

    @staticmethod
    def random(seed: int) -> Exchange:
        """2 to 6 households and goods; σ from .3 to 2."""
        rng = np.random.default_rng(seed)
        households, goods = rng.integers(2, 7, size=2)
        return Exchange(
            rng.dirichlet(np.ones(goods), size=households),
            rng.gamma(0.5, size=(households, goods)) + 1e-3,
            rng.uniform(0.3, 2.0, size=households),
        )

    def economy(self) -> Economy:
        goods = [f"g{k}" for k in range(self.weights.shape[1])]
        rows = zip(self.weights, self.endowments, self.elasticities, strict=True)
        return Economy.build(
            [],
            supply={},
            households={
                f"h{k}": {
                    "utility": f"ces({', '.join(goods)}, elasticity={float(sigma)!r}, "
                    f"weights=({', '.join(repr(float(each)) for each in weights)}))",
                    "endowment": dict(zip(goods, map(float, endowment), strict=True)),
                }
                for k, (weights, endowment, sigma) in enumerate(rows)
            },
        )

    def excess(self, prices: np.ndarray) -> np.ndarray:
        """Excess demand: x = a^σ p^-σ I / Σ a^σ p^(1-σ)."""
        sigma = self.elasticities[:, None]
        income = self.endowments @ prices
        scale = income / (self.weights**sigma * prices ** (1.0 - sigma)).sum(axis=1)
        demand = self.weights**sigma * prices**-sigma * scale[:, None]
        return demand.sum(axis=0) - self.endowments.sum(axis=0)


def check_exchange(seed: int) -> None:
    """At the prices demand is supply, in all equilibria; rounding of some hundred operations."""
    each = Exchange.random(seed)
    found = equilibrium(each.economy())
    goods = each.weights.shape[1]
    assert found is not None and found.kind is Kind.PARETO_OPTIMUM
    assert sum(e.reached for e in (found, *found.others)) == found.starts, "every start leads there"
    for one in (found, *found.others):
        assert one.residual < 1e-12
        excess = each.excess(one.prices[:goods]) / each.endowments.sum(axis=0)
        np.testing.assert_allclose(excess, 0.0, atol=1e-11)


@pytest.mark.parametrize("seed", range(6))
def test_random_exchange(seed: int) -> None:
    check_exchange(seed)


@pytest.mark.slow
def test_many_random_exchanges() -> None:
    for seed in range(6, 300):
        check_exchange(seed)


def shapley_shubik() -> Economy:
    return Economy.build(
        [],
        supply={},
        households={
            "u1": {"utility": "x + 100*(1 - exp(-y/10))", "endowment": {"x": 40.0}},
            "u2": {"utility": "y + 110*(1 - exp(-x/10))", "endowment": {"y": 50.0}},
        },
    )


def test_three_equilibria() -> None:
    """Shapley and Shubik (1977), their economy of two goods; all its digits that are known."""
    economy = shapley_shubik()
    found = equilibrium(economy)
    assert found is not None
    several = (found, *found.others)
    x, y = economy.index["x"], economy.index["y"]
    ratios = sorted(float(each.prices[y] / each.prices[x]) for each in several)
    np.testing.assert_allclose(ratios, [0.197140717, 1.329713935, 3.596541447], atol=5e-10)
    assert sum(each.reached for each in several) == found.starts
    assert all(each.kind is Kind.PARETO_OPTIMUM for each in several)
    assert all(each.relative for each in several)
    for each in several:
        assert found.nearest(3.0 * each.prices).is_near(each.quantities, each.shares)
        np.testing.assert_allclose(found.nearest(3.0 * each.prices).prices, 3.0 * each.prices)


# --- production -----------------------------------------------------------------------------------


def shoven_whalley(**options: Any) -> Economy:
    """Two sectors, two factors, two households (Shoven and Whalley 1984), with α^(1/σ) for α."""
    poor = np.array([0.3, 0.7]) ** (1.0 / 0.75)
    poor /= poor.sum()
    return market_abm.from_text(
        """
q1 = 1.5 * ces(labour, capital, elasticity=2.0, weights=(0.6, 0.4))
q2 = 2.0 * ces(labour, capital, elasticity=0.5, weights=(0.7, 0.3))
""",
        households={
            "rich": {
                "utility": "ces(q1, q2, elasticity=1.5, weights=(0.5, 0.5))",
                "endowment": {"capital": 25.0},
            },
            "poor": {
                "utility": f"ces(q1, q2, elasticity=0.75, weights=({poor[0]}, {poor[1]}))",
                "endowment": {"labour": 60.0},
            },
        },
        **options,
    )


def solved_afresh(tax: float) -> list[float]:
    """Their formulas at wage 1, and SciPy: p, r, Q, K and L, with a tax on capital in sector 1.

    40 % of the revenue is the rich household's, 60 % the poor one's.
    """
    scale, share, elasticity = np.array([1.5, 2.0]), np.array([0.6, 0.7]), np.array([2.0, 0.5])
    wants, sigma = np.array([[0.5, 0.5], [0.3, 0.7]]), np.array([[1.5], [0.75]])

    def state(unknown: np.ndarray) -> tuple[np.ndarray, ...]:
        rent, revenue = unknown
        rents = rent * np.array([1.0 + tax, 1.0])
        inner = share**elasticity + (1 - share) ** elasticity * rents ** (1 - elasticity)
        cost = inner ** (1 / (1 - elasticity)) / scale
        labour = cost * share**elasticity / inner
        capital = cost * (1 - share) ** elasticity * rents**-elasticity / inner
        income = np.array([[25.0 * rent + 0.4 * revenue], [60.0 + 0.6 * revenue]])
        made = wants * income / (cost**sigma * (wants * cost ** (1 - sigma)).sum(1)[:, None])
        made = made.sum(axis=0)
        gaps = made @ capital - 25.0, tax * rent * made[0] * capital[0] - revenue
        return np.array(gaps), cost, made, labour * made, capital * made

    unknown = fsolve(lambda x: state(x)[0], [1.3, 1.0], xtol=1e-14)
    _, cost, made, labour, capital = state(unknown)
    return [*cost, unknown[0], *made, *capital, *labour]


def same_numbers(economy: Economy, found: Equilibrium) -> list[float]:
    """p, r, Q, K and L of an equilibrium, at wage 1."""
    place = economy.index
    prices = found.prices / found.prices[place["labour"]]
    used = found.shares * found.quantities[economy.buyers.good]
    buyers = economy.buyers
    return [
        *(prices[place[each]] for each in ("q1", "q2", "capital")),
        *(found.quantities[place[each]] for each in ("q1", "q2")),
        *(
            used[(buyers.maker == place[maker]) & (buyers.good == place[factor])].item()
            for factor in ("capital", "labour")
            for maker in ("q1", "q2")
        ),
    ]


def test_shoven_and_whalley() -> None:
    """Their numbers to the digits printed, and to 1e-9 those of their formulas, solved here."""
    economy = shoven_whalley()
    found = equilibrium(economy)
    assert found is not None and not found.others and found.reached == found.starts
    ours = same_numbers(economy, found)
    np.testing.assert_allclose(ours, solved_afresh(0.0), rtol=1e-9)
    published = [1.399, 1.093, 1.373, 24.942, 54.378, 6.212, 18.788, 26.366, 33.634]
    np.testing.assert_allclose(ours, published, atol=6e-4)


def test_shoven_and_whalley_with_a_tax() -> None:
    """Their tax of 50 % on capital in sector 1: prices net of it, to 1e-9 by their formulas."""
    tax = {"good": "capital", "user": "q1", "rate": 0.5, "to": {"rich": 0.4, "poor": 0.6}}
    economy = shoven_whalley(taxes={"on_capital": tax})
    found = equilibrium(economy)
    assert found is not None and found.kind is Kind.EQUILIBRIUM
    assert not found.others and found.reached == found.starts
    np.testing.assert_allclose(same_numbers(economy, found), solved_afresh(0.5), rtol=1e-9)


def test_a_tax_without_households() -> None:
    """Of labour, taxed at 100 % in a: 1/(2 sqrt(a)) is 1/sqrt(b), so that a gets a fifth."""
    economy = market_abm.from_text(
        "a = 2*sqrt(labour)\nb = 2*sqrt(labour)",
        supply={"labour": 1.0},
        taxes={"on_a": {"good": "labour", "user": "a", "rate": 1.0}},
    )
    found = equilibrium(economy)
    assert found is not None and found.kind is Kind.EQUILIBRIUM and found.weights is None
    np.testing.assert_allclose(found.shares, [0.2, 0.8], rtol=1e-12)
    assert found.prices[0] == pytest.approx(0.8**-0.5, rel=1e-12)


def test_money_from_outside() -> None:
    """Imports of an elastic supply are paid by exports at a fixed price.

    The wage is 2, as a unit of labour makes a unit of exports; half of the income of 6 is spent on
    x, which is labour, and half on oil, whose price is its quantity: sqrt(3).
    """
    economy = market_abm.from_text(
        "export = labour\nx = labour",
        supply={"oil": {"quantity": 1.0, "price": 1.0, "elasticity": 1.0}},
        demand={"export": 2.0},
        households={"home": {"utility": "sqrt(x*oil)", "endowment": {"labour": 3.0}}},
    )
    found = equilibrium(economy)
    assert found is not None and found.solved and not found.relative
    prices = dict(zip(economy.goods, found.prices, strict=True))
    assert prices["labour"] == pytest.approx(2.0, rel=1e-12)
    assert prices["oil"] == pytest.approx(np.sqrt(3.0), rel=1e-12)
    assert found.quantities[economy.index["export"]] == pytest.approx(1.5, rel=1e-12)


def test_a_household_that_buys_none_of_a_good() -> None:
    """u1 = 2x + ln(1 + y) buys x alone: at the prices 5/12 and 1/2 of the money that there is."""
    economy = Economy.build(
        [],
        supply={},
        households={
            "u1": {"utility": "2*x + ln(1 + y)", "endowment": {"x": 1.0, "y": 1.0}},
            "u2": {"utility": "x + 3*ln(y + 1)", "endowment": {"x": 2.0, "y": 0.5}},
        },
    )
    found = equilibrium(economy)
    assert found is not None and found.solved
    # u1 spends p_x + p_y on x; u2 wants p_y/p_x = 3/(1 + y) with all y, 1.5
    ratio = 3.0 / 2.5
    x, y = economy.index["x"], economy.index["y"]
    assert found.prices[y] / found.prices[x] == pytest.approx(ratio, rel=1e-12)
    bought = found.shares * found.quantities[economy.buyers.good]
    np.testing.assert_allclose(bought, [1.0 + ratio, 3.0 - (1.0 + ratio), 0.0, 1.5], atol=1e-12)


# --- Negishi --------------------------------------------------------------------------------------


def planner(economy: Economy, found: Equilibrium) -> Equilibrium | None:
    """The optimum of the welfare with the weights found, of the same lines without households."""
    assert found.weights is not None
    weights = dict(zip(economy.households, found.weights.tolist(), strict=True))
    text = "\n".join(each.text(exact=True) for each in economy.industries)
    supply = {good: float(terms.quantity) for good, terms in economy.supply.items()}
    return equilibrium(market_abm.from_text(text, supply=supply, demand=weights))


@pytest.mark.parametrize("make", [shoven_whalley, shapley_shubik, Exchange.random(4).economy])
def test_an_equilibrium_is_an_optimum_of_its_welfare(make: Callable[[], Economy]) -> None:
    """Negishi (1960): Newton's method on Σ α U, with the exact Hessian, finds the same.

    Both solve to some 1e-13; curvatures of W along the split between households are small. Where
    more households than goods have utilities of degree 1, prices alone are determined by weights.
    """
    economy = make()
    found = equilibrium(economy)
    assert found is not None and found.weights is not None
    best = planner(economy, found)
    assert best is not None and best.kind is Kind.GLOBAL_MAXIMUM
    np.testing.assert_allclose(best.prices, found.prices, rtol=1e-9)
    np.testing.assert_allclose(best.quantities, found.quantities, rtol=1e-9)
    assert best.welfare == pytest.approx(found.welfare, rel=1e-12)
    # With other weights it is another optimum, at which budgets do not balance.
    other = planner(
        economy,
        dataclasses.replace(
            found, weights=found.weights * [1.0, *[1.05] * (len(found.weights) - 1)]
        ),
    )
    assert other is not None
    assert np.abs(other.quantities / found.quantities - 1.0).max() > 0.01


def test_walras_law() -> None:
    """At the exact gradient all households together spend what they earn, at any allocation."""
    economy = shoven_whalley()
    conditions = Conditions(economy)
    rng = np.random.default_rng(1)
    weights = rng.normal(size=(5, 2))
    shares = rng.gamma(1.0, size=(5, economy.buyers.size))
    raw = np.broadcast_to(conditions.problem.endowment, (5, 2))
    points = conditions.points(raw, shares / conditions.problem.of_pools(shares), weights)
    flows = Budgets(economy).flows(points.at)
    np.testing.assert_allclose(flows.spending.sum(axis=1), flows.income.sum(axis=1), rtol=1e-13)
    assert np.abs(flows.spending / flows.income - 1.0).max() > 0.1


# --- next to an allocation ------------------------------------------------------------------------


def test_the_equilibrium_next_to_an_allocation() -> None:
    """Each of three is found again from nearby; elsewhere nothing is at rest."""
    economy = shapley_shubik()
    found = equilibrium(economy)
    assert found is not None
    raw = found.quantities[:2]
    for each in (found, *found.others):
        shares = each.shares * (1.0 + 1e-8 * np.array([1.0, -1.0, -1.0, 1.0]))
        near = nearest_stationary(economy, raw, shares)
        assert near is not None and near.solved and near.kind is Kind.PARETO_OPTIMUM
        np.testing.assert_allclose(near.prices, each.prices, rtol=1e-9)
    other = nearest_stationary(economy, raw, np.full(4, 0.5))
    assert other is not None and other.kind is Kind.NOT_STATIONARY


def test_what_is_too_large_has_none() -> None:
    goods = 25
    utility = "+".join(f"sqrt(g{k})" for k in range(goods))
    economy = Economy.build(
        [],
        supply={},
        households={
            f"h{n}": {"utility": utility, "endowment": {f"g{n}": 1.0, f"g{n + 5}": 1.0}}
            for n in range(20)
        },
    )
    assert equilibrium(economy) is None
