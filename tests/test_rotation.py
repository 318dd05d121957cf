"""How much of a market's step at rest is gradient: closed forms, the Hessian of W, and exceptions.

J is good to 1e-10 (of entries that are relative to sizes), and a generator of fresh prices, which
solves a linear system with it, to some 1e-9; shares are squares of that.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from matplotlib.figure import Figure
from support.economies import split
from support.figures import assert_nothing_is_cut_off
from support.profiles import examples
from support.random_markets import random_markets

import market_abm
from market_abm.analysis.price_field import PriceField
from market_abm.analysis.rotation import Rotation, rotation, rotations
from market_abm.analysis.stability import markets_at_rest, stability
from market_abm.experiment.settings import RecordSettings, RunSettings
from market_abm.gradient.allocation import Problem
from market_abm.gradient.equilibrium import Equilibrium, equilibrium
from market_abm.gradient.hessian import Variables
from market_abm.market.arrays import ArrayEngine
from market_abm.market.base import MarketSettings
from market_abm.views.plots.price_simplex import _contours
from market_abm.views.words.rotation import rotation_sentence

MECHANISMS = ("unit-bid", "trading-post", "tatonnement")

EXACT = 1e-7
"""A bound on the relative error of a generator, some 1e-9."""

market = market_abm.market_settings


def known(*args: Any, **options: Any) -> Rotation:
    found = rotation(*args, **options)
    assert found is not None
    return found


def same_spectrum(found: Any, expected: Any, tolerance: float = EXACT) -> None:
    """Sorted eigenvalues agree, to a part of the largest."""
    found, expected = (np.sort_complex(np.asarray(each, complex)) for each in (found, expected))
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=tolerance * np.abs(expected).max())


# --- without income effects -----------------------------------------------------------------------


def mobilities(economy: market_abm.Economy, rules: MarketSettings, at: Any) -> np.ndarray:
    """What each logarithm of a supply or a share moves by, for a unit of the slope of W by it.

    From the rules by hand: a share moves by κ (b/π - 1), or α (MRP x/m - 1), an offer by ρ η (p/MC
    - 1) of itself, or by β (p - MC), with q/q0 as the variable of the Hessian.
    """
    variables = Variables(Problem(economy))
    terms = list(economy.supply.values())
    found = []
    for good in variables.suppliers:
        each, money = terms[good], at.prices[good] * at.raw[good]
        learns = each.kind == "gradient"
        rate = each.rate / each.quantity**2 if learns else each.adjustment * each.elasticity / money
        found.append(rate)
    rate = rules.bid_rate if rules.rules.bids_are_money else rules.share_rate
    pools, spent = economy.buyers.pool, at.shares * at.worth
    found += list(rate / (np.bincount(pools, spent)[pools] * at.shares)[variables.buyers])
    return np.array(found)


def check_hessian(
    economy: market_abm.Economy, rules: MarketSettings, rest: Equilibrium, found: Rotation
) -> None:
    """The generator has the eigenvalues of the exact Hessian of W, times mobilities by hand."""
    problem = Problem(economy)
    at = problem.evaluate(rest.quantities[: len(economy.supply)], rest.shares)
    variables = Variables(problem)
    free = np.ones(variables.size, bool)
    free[variables.first :] = at.shares[variables.buyers] > 0.0
    matrix = variables.hessian(at, free)[np.ix_(free, free)]
    expected = np.linalg.eigvals(mobilities(economy, rules, at)[free][:, None] * matrix)
    idle = np.zeros(len(matrix) - len(found.generator))  # to scale all shares of a pool is no move
    same_spectrum([*found.eigenvalues, *idle], expected)


def check_gradient(economy: market_abm.Economy, rules: MarketSettings, rest: Equilibrium) -> None:
    found = known(economy, rules, rest)
    assert found.rotation_norm <= EXACT * found.gradient_norm
    assert found.gradient_share > 1.0 - 1e-12
    if rules.rules.alignment == "allocation":
        check_hessian(economy, rules, rest, found)


@pytest.mark.slow
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_without_income_effects_there_is_no_rotation(mechanism: str) -> None:
    """In random economies: several firms, suppliers and consumers who respond, copies, loops."""

    @given(drawn=random_markets(mechanism))
    @settings(max_examples=examples(100))
    def check(drawn: Any) -> None:
        economy, rules, rest = drawn[0].economy, drawn[0].settings, drawn[0].rest
        assume(rotation(economy, rules, rest) is not None)  # copies of fixed endowments cannot move
        check_gradient(economy, rules, rest)

    check()


RICH: dict[str, Any] = {
    "program": "a = x ** 0.5\nb = w ** 0.9\nc = x**0.3 * w**0.2\n"
    "y = ces(a, b, elasticity=0.7) ** 0.8\nz = ln(1 + x) + c ** 0.9",
    "supply": {
        "x": {"quantity": 2.0, "price": 0.4, "elasticity": 0.8, "adjustment": 1.0},
        "w": {"quantity": 1.0, "price": 0.3, "elasticity": 0.3, "kind": "gradient", "rate": 0.2},
    },
    "demand": {"y": {"price": 1.5, "elasticity": 2.0, "form": "linear"}, "z": 0.7},
    "population_of": {"a": {"firms": 3, "weights": [0.2, 0.3, 0.5]}},
}


@cache
def rich_rest() -> tuple[market_abm.Economy, Equilibrium]:
    economy = market_abm.from_text(**RICH)
    rest = equilibrium(economy)
    assert rest is not None
    return economy, rest


def rich(rules: MarketSettings) -> tuple[market_abm.Economy, MarketSettings, Equilibrium]:
    economy, rest = rich_rest()
    return economy, rules, rest


@pytest.mark.parametrize(
    "rules",
    [
        market(share_rate=0.3, bid_rate=0.6),
        market(activation="sequential", foresight={"momentum": 0.5, "trend": 1.0}),
        market("trading-post", bid_rate=0.3),
        market("trading-post", activation="sequential"),
        market("tatonnement"),
    ],
    ids=lambda rules: f"{rules.mechanism}-{rules.activation}",
)
def test_an_open_economy_has_no_rotation(rules: MarketSettings) -> None:
    """Whatever is late, smoothed or foreseen: fresh prices are those that rest at given shares."""
    check_gradient(*rich(rules))


@pytest.mark.parametrize("mechanism", ["unit-bid", "trading-post"])
def test_lines_with_several_outputs_have_no_rotation(mechanism: str) -> None:
    """Mixes of outputs move (1+η)/η as fast by the slope of W as shares of other goods."""
    economy = market_abm.from_text(
        "(wool, mutton) = transform(sheep, elasticity=2, weights=(0.4, 0.6))\n"
        "cloth = ces(wool, labour, elasticity=0.5) ** 0.8\n"
        "stew = mutton**0.7 * labour**0.2\nrug = wool**0.5",
        {"sheep": {"quantity": 2.0, "price": 0.5, "elasticity": 0.7}, "labour": 1.5},
        {"cloth": 1.2, "stew": {"elasticity": 1.5}, "rug": 0.4},
    )
    found = known(economy, market(mechanism), equilibrium(economy))
    assert len(found.generator) == 4
    assert found.rotation_norm < EXACT * found.gradient_norm


def test_delays_turn_any_step() -> None:
    """With its delays a step is not symmetric, where its field is; its eigenvalues are J's less 1.

    To 1e-6, of a J good to 1e-10. Plans have no delay.
    """
    economy, rules = split(1, 0.5), market(share_rate=0.1)
    late = known(economy, rules, delays=True)
    near = stability(economy, rules)
    assert known(economy, rules).gradient_share > 1.0 - 1e-12 > late.gradient_share
    assert near is not None and np.abs(late.eigenvalues + 1.0 - near.leading).min() < 1e-6
    at_once = [known(*rich(market("tatonnement")), delays=each) for each in (False, True)]
    np.testing.assert_array_equal(at_once[0].generator, at_once[1].generator)


# --- exceptions -----------------------------------------------------------------------------------


def across_pools(
    economy: market_abm.Economy, slopes: np.ndarray, shares: np.ndarray, money: np.ndarray
) -> np.ndarray:
    """A generator of log shares in orthonormal coordinates, those across the sums of pools.

    ``slopes`` are ∂(move of each log share)/∂(log share), ``money`` is what each pool pays, both by
    buyer; the squared length of a move is Σ money s (Δ ln s)².
    """
    pools = [pool.buyers for pool in economy.buyers.shared_pools]
    kept = np.concatenate([np.r_[pool] for pool in pools])
    root = np.sqrt(money * shares)
    fixed = np.zeros((len(pools), len(shares)))
    for row, pool in zip(fixed, pools, strict=True):
        row[pool] = np.sqrt(shares[pool])
    rows = np.linalg.svd(fixed[:, kept])[2][len(pools) :]
    scaled = (root[:, None] * slopes / root)[np.ix_(kept, kept)]
    return rows @ scaled @ rows.T


def by_runs(economy: market_abm.Economy, shares: np.ndarray, share_rate: float) -> Rotation:
    """The generator of ``unit-bid`` from runs: shares held fixed until bids rest, then one move.

    Differences of 1e-5 in log shares: good to some 1e-9.
    """
    size, step, pools = len(shares), 1e-5, [pool.buyers for pool in economy.buyers.shared_pools]
    moved = shares * np.exp(step * np.kron(np.eye(size), [[1.0], [-1.0]]))
    for pool in pools:
        moved[:, pool] /= moved[:, pool].sum(axis=1, keepdims=True)
    rows = np.concatenate([moved, shares[None]])
    engine = ArrayEngine([economy], [market(share_rate=0.0, activation="sequential")], [0])
    engine.keep(np.zeros(len(rows), int))
    engine.memory = {"shares": rows}
    for _ in range(4):
        engine.step()
    bids, money, moves = engine.state.bids, np.ones(size), np.zeros(rows.shape)
    for pool in pools:
        price = (rows[:, pool] * bids[:, pool]).sum(axis=1, keepdims=True)
        moves[:, pool] = share_rate * np.log(bids[:, pool] / price)
        money[pool] = price[-1] * engine.state.quantities[-1, economy.buyers.good[pool.start]]
    slopes = (moves[0:-1:2] - moves[1:-1:2]).T / (2.0 * step)
    return Rotation(across_pools(economy, slopes, shares, money))


def rested(economy: market_abm.Economy, rules: MarketSettings) -> market_abm.Result:
    experiment = market_abm.Experiment(economy, rules, run=RunSettings(steps=6000))
    return market_abm.run(experiment)


@pytest.mark.slow
@pytest.mark.parametrize("reuse", ["copy", "external"])
def test_an_externality_turns(reuse: str) -> None:
    """What firms do not pay for is no gradient of any welfare: 1 % of the squared speed.

    The same from runs that hold shares fixed, and under money that moves as fast; 1e-6 of |G|.
    """
    economy = market_abm.from_text(
        "k = sqrt(x) * w**0.2\na = x**0.4 * k**0.3\nb = w**0.5 * k**0.4 * x**0.1\nc = w**0.3",
        {"x": 2.0, "w": 1.0},
        {"a": 1.0, "b": 1.5, "c": 0.7},
        reuse_of={"k": reuse},
    )
    result = rested(economy, market(share_rate=0.3))
    found, runs = result.rotation, by_runs(economy, result.last.shares, 0.3)
    assert found is not None
    assert result.status == ("converged" if reuse == "copy" else "off_gradient")
    money = rested(economy, market("trading-post", bid_rate=0.3)).rotation
    assert money is not None
    for other in (runs, money):
        same_spectrum(found.eigenvalues, other.eigenvalues, 1e-6)
        assert other.rotation_norm == pytest.approx(found.rotation_norm, abs=1e-7)
    if reuse == "copy":
        assert found.rotation_norm < EXACT
    else:
        assert found.rotation_norm == pytest.approx(0.1 * found.gradient_norm, rel=0.01)
        # Its equilibrium is none: nothing is said of it.
        assert rotation(economy, market(share_rate=0.3)) is None


@pytest.mark.slow
@pytest.mark.parametrize(("good", "turns"), [("x", True), ("a", False)])
def test_a_tax_on_one_use_turns(good: str, turns: bool) -> None:
    """Values net of different taxes are derivatives of no common function; of a, there is one use.

    The same from runs that hold shares fixed, under money, and, turning too, in an auction.
    """
    economy = market_abm.from_text(
        "a = x**0.5 * w**0.3\nb = x**0.4 * w**0.5\nc = x**0.3 * w**0.6\ny = a**0.8 + b**0.7",
        {"x": 2.0, "w": 1.0},
        {"c": 0.8, "y": 1.0},
        taxes={"t": {"good": good, "user": "a" if good == "x" else "y", "rate": 0.5}},
    )
    result = rested(economy, market(share_rate=0.3))
    found, rest = result.rotation, equilibrium(economy)
    assert found is not None
    money = known(economy, market("trading-post", bid_rate=0.3), rest)
    for other in (by_runs(economy, result.last.shares, 0.3), money):
        assert other.rotation_norm == pytest.approx(found.rotation_norm, abs=1e-7)
    for each in (found, known(economy, market("tatonnement"), rest)):
        assert (each.rotation_norm > 0.01 * each.gradient_norm) is turns
        assert turns or each.rotation_norm < EXACT * each.gradient_norm


@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "weights", "turns"),
    [
        ("linear", (0.1, 0.3, 0.6), False),
        ("isoelastic", (1 / 3, 1 / 3, 1 / 3), False),
        ("isoelastic", (0.1, 0.3, 0.6), True),
    ],
)
def test_market_power_turns_where_firms_differ(form: str, weights: tuple, turns: bool) -> None:
    """Cournot with linear demand is a potential game: what one firm's output does to another's

    marginal revenue is P' + q P'', alike between firms of equal q or where P'' = 0. And it needs
    others who buy the same inputs: among the firms alone marginal products are proportional to
    1/(1 - s/ε), and what is left is along the sum of their shares. From runs, to 1e-9.
    """
    program = "y = 2 * x**0.7 * w**0.2\nv = x**0.4 * w**0.3"
    lines = (program, program.split("\n", maxsplit=1)[0])
    found = []
    for lines_ in lines:
        demand = {"y": {"elasticity": 1.5, "form": form}, "v": 0.5}
        economy = market_abm.from_text(
            lines_,
            {"x": 2.0, "w": 1.0},
            {good: terms for good, terms in demand.items() if good in lines_},
            population_of={"y": {"firms": 3, "weights": [*weights], "conduct": "cournot"}},
        )
        result = rested(economy, market(share_rate=0.3))
        assert (result.status, result.rotation) == ("off_gradient", None)
        found.append(by_runs(economy, result.last.shares, 0.3))
    with_others, alone = found
    assert alone.rotation_norm < EXACT
    assert with_others.rotation_norm > 1e-3 if turns else with_others.rotation_norm < EXACT


# --- households -----------------------------------------------------------------------------------


def exchange(
    weights: np.ndarray, endowments: np.ndarray, sigma: np.ndarray, transfers: Any = 0.0
) -> tuple[market_abm.Economy, Equilibrium]:
    """Households, in rows, of CES utilities of all goods, in columns; and the equilibrium."""
    goods = [f"g{j}" for j in range(weights.shape[1])]
    living = {
        f"h{k}": {
            "utility": f"ces({', '.join(goods)}, elasticity={float(sigma[k])!r}, "
            f"weights=({', '.join(repr(float(w)) for w in weights[k])}))",
            "endowment": dict(zip(goods, map(float, endowments[k]), strict=True)),
            "transfer": float((transfers + 0.0 * sigma)[k]),
        }
        for k in range(len(weights))
    }
    economy = market_abm.from_text("", households=living)
    rest = equilibrium(economy)
    assert rest is not None and rest.solved
    return economy, rest


def drawn_exchange(
    rng: np.random.Generator, size: int, *, alike: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights, endowments and elasticities of as many households as goods."""
    weights = rng.dirichlet(np.full(size, 3.0), size)
    sigma = rng.uniform(0.5, 2.0, size)
    if alike:
        weights[:], sigma[:] = weights[0], sigma[0]
    return weights, rng.uniform(0.1, 1.0, (size, size)), sigma


def bundles(economy: market_abm.Economy, rest: Equilibrium) -> tuple[np.ndarray, np.ndarray]:
    """What each household consumes, (households, goods), and the prices of goods."""
    buyers, size = economy.buyers, len(economy.supply)
    units = np.zeros((len(economy.households), size))
    units[buyers.maker - size, buyers.good] = rest.shares * rest.quantities[buyers.good]
    return units, rest.prices[:size]


def slutsky(
    economy: market_abm.Economy,
    rest: Equilibrium,
    endowments: np.ndarray,
    sigma: np.ndarray,
    transfers: Any = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """∂(excess demand)/∂p of CES households: the substitution and the income part.

    Compensated demand moves by σ (x_i x_j/m - δ_ij x_i/p_i), income demand by x/m for each unit,
    of which a price adds what the household sells of the good: e - x.
    """
    units, prices = bundles(economy, rest)
    substitution, income = np.zeros((2, len(prices), len(prices)))
    for x, e, s, own in zip(units, endowments, sigma, transfers + 0.0 * sigma, strict=True):
        money = float(prices @ e) + own
        substitution += s * (np.outer(x, x) / money - np.diag(x / prices))
        income += np.outer(x / money, e - x)
    return substitution, income


@pytest.mark.parametrize(("size", "alike"), [(2, False), (3, False), (5, False), (4, True)])
def test_income_effects_are_the_antisymmetric_part(size: int, alike: bool) -> None:
    """G of an auction is λ times the Slutsky matrix: substitution is symmetric, income is not.

    Of households with equal homothetic tastes income effects cancel, whoever owns what. With two
    goods there is one relative price, which has nothing to turn about.
    """
    weights, endowments, sigma = drawn_exchange(np.random.default_rng(size), size, alike=alike)
    economy, rest = exchange(weights, endowments, sigma)
    found = known(economy, market("tatonnement", auction_rate=0.3), rest)
    substitution, income = slutsky(economy, rest, endowments, sigma)
    rows = np.linalg.svd(rest.prices[None, :size])[2][1:]
    whole, turning = (0.3 * rows @ each @ rows.T for each in (substitution + income, income))
    same_spectrum(found.eigenvalues, np.linalg.eigvals(whole))
    expected = np.linalg.norm(turning - turning.T) / 2.0
    assert found.rotation_norm == pytest.approx(expected, abs=EXACT * found.gradient_norm)
    assert bool(expected > 1e-3) is (size > 2 and not alike)


def test_firms_whose_profits_are_earned() -> None:
    """One household with firms has no income effects, since it buys and sells the same goods.

    Of households with equal tastes they cancel in an auction, but not at a trading post, whose free
    variables are who gets what.
    """
    program = (
        "y = ces(l, k, elasticity=2, weights=(0.6, 0.4)) ** 0.7\nz = cobb_douglas(l, k) ** 0.8"
    )
    utility = "ces(y, z, l, elasticity=1.5)"
    one = {"all": {"utility": utility, "endowment": {"l": 2.5, "k": 1.0}}}
    two = {
        "workers": {"utility": utility, "endowment": {"l": 2.5}},
        "owners": {"utility": utility, "endowment": {"k": 1.0}, "owns": 1.0},
    }
    two["workers"]["owns"] = 0.0
    shares = {}
    for name, households in (("one", one), ("two", two)):
        economy = market_abm.from_text(program, households=households)
        rest = equilibrium(economy)
        for mechanism in ("tatonnement", "trading-post"):
            found = known(economy, market(mechanism), rest)
            shares[name, mechanism] = found.rotation_norm / found.gradient_norm
    turning = shares.pop(("two", "trading-post"))
    assert max(shares.values()) < EXACT < 1e-3 < turning


@pytest.mark.parametrize(
    ("program", "households", "share"),
    [
        (
            "",
            {
                "a": {"utility": "ces(x, y, elasticity=0.5)", "endowment": {"x": 1.0, "y": 0.1}},
                "b": {
                    "utility": "ces(x, y, elasticity=0.7, weights=(0.25, 0.75))",
                    "endowment": {"y": 1.0},
                },
            },
            0.990,
        ),
        (
            "",
            {
                "a": {"utility": "m + sqrt(x) + 2*sqrt(y)", "endowment": {"x": 1.0, "m": 5.0}},
                "b": {"utility": "m + 2*sqrt(x) + sqrt(y)", "endowment": {"y": 1.0, "m": 4.0}},
                "c": {"utility": "m + log(1 + x) + sqrt(y)", "endowment": {"y": 0.3, "m": 6.0}},
            },
            0.987,
        ),
        (
            "y = ces(l, k, elasticity=0.5)**0.7\nz = l**0.2 * k**0.5",
            {
                "a": {"utility": "ces(y, z, elasticity=0.5)", "endowment": {"l": 2.0}},
                "b": {"utility": "ces(y, z, elasticity=0.5)", "endowment": {"k": 1.0}},
            },
            0.992,
        ),
    ],
    ids=["two goods", "quasi-linear", "alike"],
)
def test_a_trading_post_turns_where_an_auction_does_not(
    program: str, households: dict[str, Any], share: float
) -> None:
    """Weights follow incomes whatever tastes are. Shares as docs/theory.md says them."""
    economy = market_abm.from_text(program, households=households)
    rest = equilibrium(economy)
    auction = known(economy, market("tatonnement"), rest)
    assert auction.rotation_norm < EXACT * auction.gradient_norm
    assert known(economy, market("trading-post"), rest).gradient_share == pytest.approx(
        share, abs=5e-4
    )


def test_a_tax_on_all_uses_turns() -> None:
    """Of households there are none. Shares as docs/theory.md says them."""
    lines = "y = 2*ces(l, k, elasticity=0.7, weights=(0.6, 0.4))**0.8\nz = l**0.5 * k**0.3"
    economy = market_abm.from_text(
        f"{lines}\nw = ces(l, k, elasticity=1.5)**0.7",
        supply={
            "l": {"quantity": 1.0, "elasticity": 0.5, "price": 1.0},
            "k": {"quantity": 2.0, "elasticity": 1.0, "price": 1.0},
        },
        demand={good: {"quantity": 1.0, "elasticity": 1.5, "price": 2.0} for good in "yzw"},
        taxes={"on_capital": {"good": "k", "rate": 0.5}},
    )
    rest = equilibrium(economy)
    for mechanism, share in (("unit-bid", 0.9996), ("tatonnement", 0.992)):
        found = known(economy, market(mechanism), rest)
        assert found.gradient_share == pytest.approx(share, abs=5e-4)
    for mechanism in ("unit-bid", "trading-post", "tatonnement"):
        found = known(economy.untaxed, market(mechanism), equilibrium(economy.untaxed))
        assert found.rotation_norm < EXACT * found.gradient_norm


@pytest.mark.parametrize("activation", ["simultaneous", "sequential"])
def test_a_step_in_other_units_of_money_is_the_same(activation: str) -> None:
    """J takes the scale of money to itself: with firms, taxes, and a made good that is owned."""
    taxed = {"good": "k", "user": "y", "rate": 0.3, "to": {"a": 0.4, "b": 0.6}}
    economy = market_abm.from_text(
        "y = ces(l, k, elasticity=2) ** 0.9\nz = ces(l, y, elasticity=0.5) ** 0.8",
        taxes={"t": taxed},
        households={
            "a": {"utility": "ces(y, z, elasticity=1.5)", "endowment": {"l": 2.0, "y": 0.1}},
            "b": {"utility": "ces(y, z, l, elasticity=0.75)", "endowment": {"k": 1.0, "l": 0.5}},
        },
    )
    auction, money = market("tatonnement"), market("trading-post", activation=activation)
    for rules in (auction, money):
        ((_, steps),) = markets_at_rest([economy], [rules], [equilibrium(economy)])
        (jacobian,), (scale,) = steps.jacobians(), steps.scale
        assert jacobian is not None and np.abs(scale).max() == 1.0
        np.testing.assert_allclose(jacobian @ scale, scale, atol=1e-8)


def test_transfers_in_money() -> None:
    """Prices then matter, but their level may still be any: a step's eigenvalue of 1 is left out.

    What is left of two goods is λ times the trace of ∂(excess demand)/∂p, by hand.
    """
    weights, endowments, sigma = drawn_exchange(np.random.default_rng(5), 2)
    transfers = np.array([0.2, -0.2])
    economy, rest = exchange(weights, endowments, sigma, transfers)
    slopes = sum(slutsky(economy, rest, endowments, sigma, transfers))
    near = stability(economy, market("tatonnement", auction_rate=0.3), rest)
    assert near is not None
    assert near.radius == pytest.approx(abs(1.0 + 0.3 * np.trace(slopes)), rel=1e-6)
    found = known(economy, market("tatonnement", auction_rate=0.3), rest)
    same_spectrum(found.eigenvalues, [0.3 * np.trace(slopes)])
    assert rotation(economy, market("trading-post"), rest) is None
    assert stability(economy, market("trading-post", bid_rate=0.5), rest).radius < 0.99


def scarf(sigma: float, steps: int = 30) -> market_abm.Experiment:
    """Each of three households owns a unit of a good, and wants it and the next."""
    economy = market_abm.from_text(
        "",
        supply={"x": {"price": 1.00001}},
        parameters={"sigma": sigma},
        households={
            f"h{own}": {
                "utility": f"ces({own}, {other}, elasticity=sigma)",
                "endowment": {own: 1.0},
            }
            for own, other in ("xy", "yz", "zx")
        },
    )
    rules = market("tatonnement", auction_rate=1.5)
    return market_abm.Experiment(economy, rules, run=RunSettings(steps=steps))


@pytest.mark.parametrize("sigma", [0.3, 0.5, 0.9, 1.5])
def test_scarf(sigma: float) -> None:
    """Excess demand: -3σ/4 ± i√3/4, and the antisymmetric part 1/4 whatever σ is.

    So the gradient share is 3σ²/(3σ² + 1), and the largest stable rate, 8σ/(3σ² + 1), is that of
    the gradient alone, 8/(3σ), times this share.
    """
    economy = scarf(sigma).economy
    rest = equilibrium(economy)
    for rate in (0.1, 1.5):
        rules = market("tatonnement", auction_rate=rate)
        found, near = known(economy, rules, rest), stability(economy, rules, rest)
        pair = rate * complex(-0.75 * sigma, math.sqrt(3.0) / 4.0)
        same_spectrum(found.eigenvalues, [pair, pair.conjugate()])
        assert found.rotation_norm == pytest.approx(rate * math.sqrt(6.0) / 4.0, rel=EXACT)
        assert found.gradient_share == pytest.approx(3 * sigma**2 / (3 * sigma**2 + 1), rel=EXACT)
        # All three prices up by 1 % is no disturbance, or the radius would be 1.
        assert near is not None and near.radius == pytest.approx(abs(1.0 + pair), rel=EXACT)
    edge = 8.0 / (3.0 * sigma) * found.gradient_share
    at_edge = stability(economy, market("tatonnement", auction_rate=edge), rest)
    assert at_edge is not None and at_edge.radius == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("activation", ["simultaneous", "sequential"])
@pytest.mark.parametrize("sigma", [0.3, 1.0, 1.5])
def test_scarf_by_a_trading_post(sigma: float, activation: str) -> None:
    """By hand, with r = 1 - 1/σ: shares of good i go by (r/2 - 1) d_i + (r/2) d_(i+1), times α.

    d_i is what household i has more of its own good: the part of its budget that it is worth moves
    by (r/2)(d_i + d_(i+1)), and its income as the price of that good, so that the share follows
    that part. With Cobb-Douglas tastes nothing turns; the gradient share is never below 3/4.
    """
    economy = scarf(sigma).economy
    found = known(economy, market("trading-post", activation=activation, bid_rate=0.3))
    r = 1.0 - 1.0 / sigma
    pair = complex(r / 4.0 - 1.0, r * math.sqrt(3.0) / 4.0)
    same_spectrum(found.eigenvalues, 0.3 * np.array([r - 1.0, pair, pair.conjugate()]))
    straight, turning = 16.0 + 2.0 * (3.0 * sigma + 1.0) ** 2, 6.0 * (1.0 - sigma) ** 2
    assert found.gradient_share == pytest.approx(straight / (straight + turning), rel=EXACT)
    assert found.gradient_share > 0.75


@pytest.mark.parametrize("size", [2, 4])
def test_households_at_a_trading_post(size: int) -> None:
    """Against shares by formulas alone: goods, what they are worth, and incomes that circulate.

    Incomes rest where each is what its owner sells: a stationary vector of a Markov chain. Their
    derivatives by the complex step.
    """
    weights, endowments, sigma = drawn_exchange(np.random.default_rng(size), size)
    economy, rest = exchange(weights, endowments, sigma)
    found = known(economy, market("trading-post", bid_rate=0.3), rest)
    buyers, supply = economy.buyers, endowments.sum(axis=0)
    household, good = buyers.maker - size, buyers.good

    def claims(logs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What households spend on each good over what all do, by log shares; and that money."""
        shares = np.zeros((size, size), complex)
        shares[household, good] = rest.shares * np.exp(logs)
        units = shares / shares.sum(axis=0) * supply
        r = (1.0 - 1.0 / sigma)[:, None]
        value = weights * units**r
        parts = value / value.sum(axis=1, keepdims=True)
        circulation = (endowments / supply).T[:, :, None] * parts[None]  # from a good to a good
        system = circulation.sum(axis=1).T - np.eye(size)
        system[-1] = 1.0  # one equation follows from the others: money is conserved
        money = np.linalg.solve(system, np.eye(size)[-1].astype(complex))
        spent = (endowments / supply @ money)[:, None] * parts
        return (spent / spent.sum(axis=0))[household, good], money[good]

    step = 1e-30
    at, money = claims(np.zeros(buyers.size))
    np.testing.assert_allclose(at.real, rest.shares, rtol=1e-9)
    slopes = np.array([claims(1j * step * row)[0].imag / step for row in np.eye(buyers.size)]).T
    held = np.array([[float(a == b) for b in good] for a in good]) * rest.shares
    slopes = 0.3 * (slopes / rest.shares[:, None] - (np.eye(buyers.size) - held))
    by_hand = Rotation(across_pools(economy, slopes, rest.shares, money.real))
    same_spectrum(found.eigenvalues, by_hand.eigenvalues)
    assert found.gradient_share == pytest.approx(by_hand.gradient_share, rel=EXACT)
    assert found.gradient_share < 1.0 - 1e-6


# --- three relative prices ------------------------------------------------------------------------


def sphere(rng: np.random.Generator, count: int) -> np.ndarray:
    points = rng.uniform(0.2, 1.0, (count, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def test_the_field_of_three_prices_and_its_parts() -> None:
    """Scarf's: they add up, one is a gradient, the other at right angles to the way from rest.

    The slope of the potential by differences of 1e-4, to 1e-6; near rest the parts are those of the
    Jacobian, |S| = 3σ/4 and |A| = √3/4 in each direction, to the distance, 1e-3.
    """
    experiment = scarf(0.5)
    rest = equilibrium(experiment.economy)
    assert rest is not None
    field = PriceField.of(experiment.economy, market("tatonnement", auction_rate=1.0), rest)
    assert field is not None and field.goods == ("x", "y", "z")
    points = sphere(np.random.default_rng(1), 6)
    gradient, turning = field.parts(points)
    np.testing.assert_allclose(gradient + turning, field.moves(points), atol=1e-12)
    np.testing.assert_allclose((turning * field.rest).sum(axis=1), 0.0, atol=1e-12)
    np.testing.assert_allclose((turning * points).sum(axis=1), 0.0, atol=1e-12)
    for across in np.eye(3):
        tangents = np.cross(points, across)
        tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
        ends = [
            field.potential(points * math.cos(h) + tangents * math.sin(h)) for h in (1e-4, -1e-4)
        ]
        slope = (ends[0] - ends[1]) / 2e-4
        np.testing.assert_allclose((gradient * tangents).sum(axis=1), -slope, atol=1e-6)
    away = np.array([[1.0, -1.0, 0.0], [1.0, 1.0, -2.0]]) / np.sqrt([[2.0], [6.0]])
    near = field.rest + 1e-3 * away
    parts = field.parts(near / np.linalg.norm(near, axis=1, keepdims=True))
    for part, size in zip(parts, (0.75 * 0.5, math.sqrt(3.0) / 4.0), strict=True):
        # Prices are of length 1 here, and √3 at the equilibrium of the Jacobian.
        slope = np.linalg.norm(part, axis=1) / 1e-3 / math.sqrt(3.0)
        np.testing.assert_allclose(slope, size, rtol=2e-3)


def test_a_field_of_households_alike_turns_off_rest_only() -> None:
    """Income effects cancel where markets clear: R over the gradient falls as the distance."""
    weights, endowments, sigma = drawn_exchange(np.random.default_rng(3), 3, alike=True)
    economy, rest = exchange(weights, endowments, sigma)
    field = PriceField.of(economy, market("tatonnement", auction_rate=1.0), rest)
    assert field is not None
    found = []
    for distance in (1e-2, 1e-3):
        near = field.rest + distance * np.cross(field.rest, [[1.0, 0.0, 0.0]])
        gradient, turning = field.parts(near / np.linalg.norm(near))
        found.append(float(np.linalg.norm(turning) / np.linalg.norm(gradient)))
    assert found[0] < 0.02 and found[1] == pytest.approx(found[0] / 10.0, rel=0.05)
    # Of other markets it is not said: more goods, other mechanisms, outside money.
    assert PriceField.of(economy, market("trading-post"), rest) is None
    four, rest_of_four = exchange(*drawn_exchange(np.random.default_rng(4), 4))
    assert PriceField.of(four, market("tatonnement"), rest_of_four) is None
    assert PriceField.of(*rich(market("tatonnement"))) is None


# --- where it is shown ----------------------------------------------------------------------------


def test_a_run_says_how_much_is_gradient() -> None:
    result = market_abm.run(scarf(0.5))
    found = result.rotation
    assert found is not None
    summary = json.loads(json.dumps(result.summary()))
    assert summary["gradient_share"] == pytest.approx(3 / 7, rel=EXACT)
    # Prices went up by a millionth, and excess demand depends on relative ones.
    assert summary["rotation"]["rotation"] == pytest.approx(1.5 * math.sqrt(6.0) / 4.0, rel=1e-5)
    assert summary["rotation"]["eigenvalues"] == [[z.real, z.imag] for z in found.eigenvalues]
    said = rotation_sentence(result)
    assert "43% is gradient, the rest rotation by income effects (" in said
    economy = scarf(0.5).economy  # of money also the weights turn
    money = market_abm.run(economy, mechanism="trading-post", bid_rate=0.3, steps=300)
    assert "95% is gradient, the rest rotation (" in rotation_sentence(money)
    # Without households it is 1, and not repeated.
    plain = market_abm.run("rival-diamond", overrides={"run.steps": 5})
    assert not {"gradient_share", "rotation"} & set(plain.summary())
    assert plain.price_simplex_figure() is None


@pytest.mark.slow
def test_relative_prices_are_drawn(tmp_path: Path) -> None:
    """Three triangles and the key of steps; without a path where one good was recorded."""
    result = market_abm.run(scarf(0.5))
    figure = result.price_simplex_figure()
    assert figure is not None
    labels = {text.get_text() for axes in figure.axes for text in axes.texts}
    assert {"x", "y", "z", "all moves", "gradient part", "rotation part"} <= labels
    assert_nothing_is_cut_off(figure)
    result.save(tmp_path / "run")
    assert (tmp_path / "run/price-simplex.png").stat().st_size > 10_000
    part = market_abm.run(replace(scarf(0.5, steps=3), record=RecordSettings(goods=("x",))))
    assert part.price_simplex_figure() is not None


def test_a_sweep_has_the_column() -> None:
    """Side by side as one by one, to the last bit; in a sweep at the prices of its runs."""
    values = {"economy.parameters.sigma": [0.5, 1.5], "market.auction_rate": [0.5, 1.0]}
    table = market_abm.sweep(scarf(0.9, steps=5), values)
    sigma = table["economy.parameters.sigma"].to_numpy()
    np.testing.assert_allclose(
        table["gradient_share"], 3 * sigma**2 / (3 * sigma**2 + 1), rtol=EXACT
    )
    economies = [scarf(each).economy for each in sigma]
    rules = [market("tatonnement", auction_rate=each) for each in table["market.auction_rate"]]
    runs = [
        market_abm.run(replace(scarf(each, steps=5), market=rule))
        for each, rule in zip(sigma, rules, strict=True)
    ]
    steady = [each.equilibrium for each in runs]  # in the money of the run
    together = rotations(economies, rules, steady)
    for k, found in enumerate(together):
        alone = known(economies[k], rules[k], steady[k])
        assert found is not None
        np.testing.assert_array_equal(found.generator, alone.generator)
    shares = [each.gradient_share for each in together if each]  # at another level of prices
    np.testing.assert_allclose(table["gradient_share"], shares, rtol=EXACT)


def test_contours_of_a_potential_of_any_size() -> None:
    """Numbers that no 32-bit integer holds; warnings are errors here."""
    axes = Figure().add_subplot()
    field: Any = SimpleNamespace(potential=lambda directions: 1e12 * directions[..., 0])
    _contours(axes, field)
    assert axes.collections
