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
from support.households import Exchange, random_economy

import market_abm
from market_abm.economy.economy import Economy
from market_abm.gradient.budgets import Budgets
from market_abm.gradient.conditions import Conditions
from market_abm.gradient.equilibrium import Equilibrium, equilibrium
from market_abm.gradient.optimality import Kind
from market_abm.gradient.stationary import nearest_stationary
from market_abm.views.words.run import run_sentences

# --- exchange -------------------------------------------------------------------------------------


def exchange(seed: int) -> Exchange:
    """2 to 6 households and goods."""
    rng = np.random.default_rng(seed)
    return Exchange.random(rng, *rng.integers(2, 7, size=2))


def check_exchange(seed: int) -> None:
    """At the prices demand is supply, in all equilibria; rounding of some hundred operations."""
    each = exchange(seed)
    found = equilibrium(each.economy)
    goods = each.weights.shape[1]
    assert found is not None and found.kind is Kind.PARETO_OPTIMUM
    assert sum(e.reached for e in (found, *found.others)) == found.starts, "every start leads there"
    for one in (found, *found.others):
        assert one.residual < 1e-12
        np.testing.assert_allclose(each.excess(one.prices[:goods]), 0.0, atol=1e-11)


@pytest.mark.parametrize("seed", range(2))
def test_random_exchange(seed: int) -> None:
    check_exchange(seed)


@pytest.mark.slow
def test_many_random_exchanges() -> None:
    for seed in range(2, 300):
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


@pytest.mark.parametrize(
    ("scaled", "kind"),
    [
        ("x * y", Kind.PARETO_OPTIMUM),
        ("x**3 * y**3", Kind.PARETO_OPTIMUM),
        ("exp(sqrt(x * y))", Kind.EQUILIBRIUM),
        ("5 + x + x * y", Kind.EQUILIBRIUM),
    ],
)
def test_the_scale_of_utility_does_not_count(scaled: str, kind: Kind) -> None:
    """Utilities that are not concave, of convex tastes: Σ α U has a saddle point there.

    The first three spend half of their income on each good, so that goods of equal amounts cost the
    same; the fourth do by symmetry.
    """
    other = scaled.replace("x + x", "y + x")
    owns = {"a": (scaled, {"x": 1.5, "y": 0.5}), "b": (other, {"x": 0.5, "y": 1.5})}
    households = {name: {"utility": u, "endowment": e} for name, (u, e) in owns.items()}
    found = equilibrium(Economy.build([], supply={}, households=households))
    assert found is not None and found.kind is kind
    x, y = found.prices[:2]
    assert x == pytest.approx(y, rel=1e-8)


def test_who_holds_the_worst_mix_is_not_at_rest() -> None:
    """With x² + y² the conditions hold at the middle of the budget line, the worst of it."""
    owns = {"a": {"x": 1.0}, "b": {"y": 1.0}}
    households = {
        name: {"utility": "x**2 + y**2", "endowment": own, "money": 1.0}
        for name, own in owns.items()
    }
    found = equilibrium(Economy.build([], supply={}, households=households))
    assert found is not None
    inside = [e for e in (found, *found.others) if np.all(e.shares > 0.1)]
    assert inside and all(each.kind is Kind.MINIMUM for each in inside)


def test_one_equilibrium_where_utilities_have_a_value() -> None:
    """Less than 3 units are of no use to the first; the utility of the others is 0, to rounding.

    SciPy solves their demand functions: besides what it needs, the first spends half of the rest
    on each good. All starts that lead somewhere lead there.
    """
    economy = Economy.build(
        [],
        supply={},
        households={
            "a": {"utility": "ln(x - 3) + ln(y)", "endowment": {"x": 4.0, "y": 2.0}},
            "b": {"utility": "ln(x) + ln(y)", "endowment": {"x": 6.0, "y": 8.0}},
        },
    )
    found = equilibrium(economy)
    assert found is not None and found.found == 1 and found.reached > 1
    (ratio,) = fsolve(lambda p: 3.0 + (4 * p + 2 - 3 * p) / (2 * p) + (6 * p + 8) / (2 * p) - 10, 1)
    assert found.prices[0] / found.prices[1] == pytest.approx(ratio, rel=1e-12)
    alike = {"utility": "1e6*ln(x) + 1e6*ln(y)", "endowment": {"x": 1.0, "y": 1.0}}
    found = equilibrium(Economy.build([], supply={}, households={"a": alike, "b": alike}))
    assert found is not None and found.found == 1 and found.reached == found.starts


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


def test_money_that_stays_has_no_equilibrium() -> None:
    """Half of what consumers pay is labour's, which wants nothing from outside.

    Far out conditions hold to 1e-12: what comes from outside is next to nothing of all money.
    """
    economy = market_abm.from_text(
        "sold = cobb_douglas(oil, labour, exponents=(0.5, 0.5))",
        supply={"oil": {"quantity": 1.0, "elasticity": 1.0}},
        demand={"sold": {"elasticity": 2.0}},
        households={"worker": {"utility": "labour", "endowment": {"labour": 1.0}}},
    )
    assert equilibrium(economy) is None
    text = " ".join(run_sentences(traded(economy, steps=50)))
    assert "within the budget of the search" in text and "money gathers with households" in text


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


@pytest.mark.parametrize("make", [shoven_whalley, shapley_shubik])
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


# --- markets --------------------------------------------------------------------------------------


TAX = {"good": "capital", "user": "q1", "rate": 0.5, "to": {"rich": 0.4, "poor": 0.6}}


def traded(economy: Economy, **settings: Any) -> market_abm.Result:
    """A run of the trading post."""
    settings = {"bid_rate": 0.3, "engine": "arrays"} | settings
    return market_abm.run(economy, mechanism="trading-post", **settings)


def check_rest(economy: Economy) -> market_abm.Result:
    """The trading post rests at the equilibrium, in its money: to 1e-9 at a tolerance of 1e-11."""
    result = traded(economy, steps=3000, tolerance=1e-11)
    if not result.at_rest:
        return result
    found = equilibrium(economy)
    assert found is not None and result.weights is not None and result.weights.distance is not None
    one = found.nearest(result.last.prices)
    original = [each for each in (found, *found.others) if each.is_near(one.quantities, one.shares)]
    np.testing.assert_allclose(result.last.prices, original[0].prices, rtol=1e-9)
    np.testing.assert_allclose(result.last.quantities, one.quantities, rtol=1e-9)
    assert result.weights.distance < 1e-9
    return result


@pytest.mark.parametrize("taxes", [{}, {"on_capital": TAX}])
def test_the_trading_post_rests_at_it(taxes: dict[str, Any]) -> None:
    result = check_rest(shoven_whalley(taxes=taxes))
    assert result.at_rest
    summary = result.summary()
    assert summary["equilibrium"]["reached"] == summary["equilibrium"]["starts"] == 24
    assert set(summary["weights"]["households"]) == {"rich", "poor"}


def test_an_auction_with_transfers_rests_at_the_equilibrium_of_its_own_level() -> None:
    """Demand functions agree: a transfer is worth more at lower prices, to 1e-9 at rest."""
    each = Exchange(
        elasticity=np.array([0.7, 1.4]),
        weights=np.array([[0.5, 0.5], [0.3, 0.7]]),
        endowments=np.array([[9.0, 1.0], [1.0, 9.0]]),
    )
    transfers = np.array([-0.3, 0.3])
    economy = each.economy.with_values(
        {f"households.h{h}.transfer": float(transfers[h]) for h in range(2)}
    )
    settings = {"auction_rate": 0.02, "tolerance": 1e-10}
    result = market_abm.run(economy, mechanism="tatonnement", **settings)
    best, apart = result.equilibrium, equilibrium(economy)
    assert result.at_rest and best is not None and apart is not None and result.rest is best
    np.testing.assert_allclose(best.prices, result.last.prices, rtol=1e-9)
    assert np.abs(best.quantities / apart.quantities - 1.0).max() > 0.01, "at another level"
    for one in (best, apart):
        prices = one.prices[:2]
        incomes = each.endowments @ prices
        demand = each.demand(prices) * ((incomes + transfers) / incomes)[:, None]
        np.testing.assert_allclose(demand.sum(axis=0), each.endowments.sum(axis=0), rtol=1e-11)
    table = market_abm.sweep(result.experiment, {"market.auction_rate": [0.02]})
    assert float(table["best_welfare"].iloc[0]) == pytest.approx(best.welfare, rel=1e-12)


def test_it_rests_there_with_joint_products_public_goods_and_transfers() -> None:
    """A line of two outputs; a park that both households use and pay; what one gives the other."""
    economy = market_abm.from_text(
        """
        (wool, mutton) = transform(sheep, elasticity=2.0, weights=(0.4, 0.6))
        sheep = 2*sqrt(land)
        park = land ** 0.8
        """,
        reuse_of={"park": "copy"},
        households={
            "a": {
                "utility": "ces(wool, mutton, park, elasticity=0.8)",
                "endowment": {"land": 4.0, "mutton": 0.5},
                "transfer": -0.1,
            },
            "b": {
                "utility": "ces(wool, mutton, park, land, elasticity=1.3)",
                "endowment": {"land": 2.0},
                "transfer": 0.1,
            },
        },
    )
    assert check_rest(economy).at_rest


@pytest.mark.slow
def test_the_trading_post_rests_at_it_in_random_economies() -> None:
    """Exchange, and lines of several firms with owners, transfers and endowments of made goods."""
    settled = 0
    for seed in range(24):
        rng = np.random.default_rng(seed)
        economy = exchange(seed).economy
        if seed % 2:
            economy = random_economy(rng, loop=seed % 4 == 3)
            economy = economy.with_values({"industries.bid_noise": 0.0})
        settled += check_rest(economy).at_rest
    assert settled >= 20


def test_gains_and_weights() -> None:
    """What moves gain at the weights before them, computed here from shares and weights alone.

    The utilities are of degree 1, so that all that moves gain the weights take: Σ α U is the money.
    """
    each = exchange(1)
    economy = each.economy
    result = traded(economy, steps=40)
    path, found = result.path, result.weights
    assert found is not None
    power = (1.0 - 1.0 / each.elasticity)[:, None]
    households = economy.claims.good
    utility = np.empty_like(found.path)
    for t, shares in enumerate(result.trajectory.shares):
        goods = np.zeros((len(economy.goods), len(economy.goods)))
        goods[economy.buyers.maker, economy.buyers.good] = shares
        amounts = goods[households][:, : each.weights.shape[1]] * each.endowments.sum(axis=0)
        utility[t] = (each.weights * amounts**power).sum(axis=1) ** (1.0 / power[:, 0])
    gains = (found.path[:-1] * np.diff(utility, axis=0)).sum(axis=1)
    np.testing.assert_allclose(path.gains[1:], gains, atol=1e-13)
    np.testing.assert_allclose(path.gains[3:], -path.reweighting[3:], atol=1e-13)
    assert path.ascent_fraction == 1.0 and 0.4 < path.gain_fraction < 1.0
    table = result.measures()
    np.testing.assert_array_equal(table["gain"], path.gains)


def test_a_small_move_gains_its_cosine() -> None:
    """To first order: at a hundredth of the rate a hundredth of the difference is left."""
    gaps = []
    for rate in (1e-2, 1e-4):
        path = traded(shapley_shubik(), bid_rate=rate, steps=20).path
        gaps.append(np.abs(path.gain_fractions - path.alignment)[10:].max())
    assert gaps[0] < 0.05 and gaps[1] < 0.02 * gaps[0]


def test_with_taxes_gains_are_measured_by_welfare_itself() -> None:
    """Not by net prices: what a small move gains, and could, is computed here by hand.

    Of a good's shares s and their values v, M their sum, with u = v/sM - 1 centred in the pool: the
    gain Σ M s u Δ ln s, of at most the root of Σ M s u² times Σ M s (Δ ln s)². Rounding of some ten
    operations; the gain to first order in moves of 1e-5. The tax makes moves lose.
    """
    tax = {"good": "x", "user": "u1", "rate": 2.0, "to": "u2"}
    households = shapley_shubik().households
    economy = Economy.build([], supply={}, households=households, taxes={"on_x": tax})
    result = traded(economy, bid_rate=1e-4, steps=50)
    path, found, buyers = result.path, result.weights, economy.buyers
    assert found is not None
    shares = np.zeros((51, 2, 2))
    rows = np.searchsorted(economy.claims.good, buyers.maker)
    shares[:, rows, buyers.good] = result.trajectory.shares
    for t in range(20, 51):
        before = shares[t - 1]
        units = before * [40.0, 50.0]
        slopes = np.array([[0, 10], [11, 0]]) * np.exp(-units / 10.0) + np.eye(2)
        value = found.path[t - 1][:, None] * slopes * [40.0, 50.0]
        money = (before * value).sum(axis=0)
        uphill, moves = value / money - 1.0, np.log(shares[t] / before)
        moves -= (before * moves).sum(axis=0)
        inner = [(money * before * a * b).sum() for a in (uphill, moves) for b in (uphill, moves)]
        most = (inner[0] * inner[3]) ** 0.5
        assert path.gains[t] / path.gain_fractions[t] == pytest.approx(most, rel=1e-8)
        assert path.gains[t] == pytest.approx(inner[1], rel=1e-3)
    assert path.gain_fraction < 0.0 < path.alignment[20:].min()


def test_figure_and_sentences() -> None:
    result = traded(shapley_shubik(), steps=400)
    figure = result.weights_figure()
    assert figure is not None
    below, above = figure.axes
    assert result.equilibrium is not None and result.equilibrium.weights is not None
    dotted = [line.get_ydata()[0] for line in above.lines if line.get_linestyle() == ":"]
    np.testing.assert_array_equal(dotted, result.equilibrium.weights)
    np.testing.assert_array_equal(
        below.lines[0].get_ydata(), result.path.alignment[: len(below.lines[0].get_ydata())]
    )
    text = " ".join(run_sentences(result))
    assert "one of 3 that were found; Newton's method from 7 of 18 starts; Pareto-optimal" in text
    assert "Weights of households, 1 / their marginal utility of income, are within" in text
    assert "At the weights of the moment moves raised welfare by 0.01158" in text
