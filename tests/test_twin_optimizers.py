"""A market is an optimiser, number by number: its run, and its twin (``twins/``).

The twin differentiates one function of all batches by the complex step, from the values of lines
alone. The market multiplies marginal products from line to line.
"""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from support.profiles import examples
from support.strategies import RandomProgram, chains, copy_dags, loops, numbers, rival_dags, trees

import market_abm
from market_abm import market_settings
from market_abm.economy.production import marginal_products
from market_abm.twins import base, dated, dual, mirror_ascent, primal_dual, registry, terms
from market_abm.twins.base import TwinPath, largest_distance
from market_abm.twins.registry import twin

ACTIVATIONS = ["simultaneous", "sequential"]
ENGINES = ["agents", "arrays"]
PATHS = ("quantities", "prices", "shares")
UNSETTLED = 1e-300
"""A tolerance that a run meets only where nothing moves any more, to the last bit."""


def run_and_twin(
    economy: market_abm.Economy, steps: int, engine: str = "agents", **market: Any
) -> tuple[market_abm.Result, TwinPath]:
    result = market_abm.run(economy, steps=steps, tolerance=UNSETTLED, engine=engine, **market)
    return result, twin(economy, market_settings(**market), result.steps)


def distance(one: TwinPath, other: Any) -> float:
    return max(largest_distance(getattr(one, name), getattr(other, name))[0] for name in PATHS)


# --- unit-bid is mirror ascent with log-gradients -------------------------------------------------


@st.composite
def responding(draw: Any, program: RandomProgram) -> dict[str, Any]:
    """What ``from_text`` takes, with suppliers and consumers of every kind that respond."""
    supply: dict[str, Any] = {}
    for good, quantity in program.supply.items():
        kind = draw(st.sampled_from(["fixed", "curve", "gradient"]))
        terms = {"quantity": quantity, "price": draw(numbers(0.2, 1.5)), "rate": 0.05}
        terms |= {"elasticity": draw(numbers(0.1, 0.4)), "adjustment": draw(numbers(0.1, 0.4))}
        supply[good] = quantity if kind == "fixed" else terms | {"kind": kind}
    demand: dict[str, Any] = {}
    for good, price in program.demand.items():
        form = draw(st.sampled_from(["elastic", None, "linear"]))
        terms = {"price": price, "elasticity": draw(numbers(1.0, 3.0)), "form": form}
        if program.loop:
            terms["quantity"] = draw(numbers(0.5, 2.0))
        demand[good] = price if form == "elastic" else terms
    return program.arguments | {"supply": supply, "demand": demand}


@st.composite
def markets(draw: Any, fastest: float) -> dict[str, Any]:
    return {
        "activation": draw(st.sampled_from(ACTIVATIONS)),
        "bid_rate": draw(numbers(0.2, 1.0)),
        "share_rate": draw(numbers(0.01, fastest)),
    }


@given(
    arguments=st.one_of(
        chains(), trees(), rival_dags(), copy_dags(), loops("rival"), loops("copy")
    ).flatmap(responding),
    market=markets(0.05),
    engine=st.sampled_from(ENGINES),
)
@settings(max_examples=examples(6))
def test_a_market_walks_the_path_of_its_optimiser(
    arguments: dict[str, Any], market: dict[str, Any], engine: str
) -> None:
    """The market passes prices from line to line; the twin differentiates one function of all
    batches, by values of lines alone. 1e-16 a rounding, 20 steps: 1e-13 if none grows.

    The share rate is within the bound of docs/model.md, 4.3, for the deepest of these programs
    (τ = 11, σ = 1/2: 0.068), so that rounding does not grow for ever. Equal firms of increasing
    returns would let it grow at any rate (the best is that one of them gets all, and it is
    rounding that says which), so lines that may be convex have one firm.
    """
    if arguments["reuse"] == "copy":
        arguments = arguments | {"population_of": {}}
    result, path = run_and_twin(market_abm.from_text(**arguments), 20, engine, **market)
    assert result.steps == path.steps == path.identical_until
    assert distance(path, result.trajectory) <= 1e-13


@pytest.mark.slow
@given(
    arguments=st.one_of(
        chains(), trees(), rival_dags(), copy_dags(), loops("rival"), loops("copy")
    ).flatmap(responding),
    market=markets(0.3),
    engine=st.sampled_from(ENGINES),
    data=st.data(),
)
@settings(max_examples=examples(50))
def test_so_it_does_with_several_unequal_firms_in_every_industry(
    arguments: dict[str, Any], market: dict[str, Any], engine: str, data: st.DataObject
) -> None:
    """20 steps: 1e-14, and 1e-11 if what is unstable grows by a third at each of them.

    Firms of one industry bid with different signs here, and share nuisances and negative goods.
    """
    spread = st.sampled_from([0.0, 0.5])
    firms = {
        "firms": data.draw(st.integers(2, 3)),
        "weight_spread": data.draw(spread),
        "productivity_spread": data.draw(spread),
    }
    economy = market_abm.from_text(**(arguments | {"population_of": {}, "population": firms}))
    result, path = run_and_twin(economy, 20, engine, **market)
    assert distance(path, result.trajectory) <= 1e-10


SKILLED = {"firms": 3, "weights": [0.5, 0.3, 0.2], "productivity": [1.0, 1.2, 0.8]}
CORNERS: dict[str, dict[str, Any]] = {
    "far user": {"program": "a = x\nb = a\nc = sqrt(b)\ny = c + sqrt(x)"},
    "worthless": {"program": "y = sqrt(x)\nw = 1 + 0*x"},
    "both signs": {"program": "y = (x - 0.4)**2", "population": SKILLED},
    "nuisance": {"program": "y = exp(-x)", "population": SKILLED},
    "less than none": {"program": "y = exp(x)", "supply": {"x": -0.5}, "population": SKILLED},
    "wrong price": {
        "program": "y = 2 - x",
        "supply": {"x": {"quantity": 1, "elasticity": 0.8, "adjustment": 0.4}},
    },
    "through zero": {
        "program": "y = 2 - x",
        "supply": {"x": {"quantity": 1, "elasticity": 0.8, "kind": "gradient"}},
        "population": SKILLED,
    },
    "loop": {
        "program": "r = 0.3*sqrt(q) + x**0.5\nq = sqrt(r) * x**0.3\ny = sqrt(r)",
        "population": SKILLED,
    },
    "loop against the flow": {
        "program": "c = 0.1 * b**0.4\na = 0.5*c**0.2 + x**0.5\nb = a**0.6 * x**0.3\ny = a**0.7",
        "population": SKILLED,
    },
}


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("corner", CORNERS)
def test_and_so_it_does_in_corners(corner: str, activation: str) -> None:
    """22 steps of a few roundings of 1e-16, none of them amplified: 1e-12.

    In "loop against the flow" b is made by a line that learns before the one that buys it. What
    it hears in a sequential step is the last bid for b, shared as b is shared now.
    """
    economy = market_abm.from_text(**({"supply": {"x": 1}} | CORNERS[corner]))
    market = {"activation": activation, "bid_rate": 0.7, "share_rate": 0.2}
    for engine in ENGINES:
        result, path = run_and_twin(economy, 22, engine, **market)
        assert result.steps > 20
        assert distance(path, result.trajectory) <= 1e-12


@pytest.mark.parametrize("share_rate", [0.0, 0.2])
def test_and_where_a_good_is_worth_nothing_yet(share_rate: float) -> None:
    """Bids of 0 are the first, and some stay 0: as in corners, 1e-12."""
    economy = market_abm.from_text(
        "a = x\nb = x\np = a\nq = a\nr = q\ns = r", {"x": 1}, {"b": 0, "p": 0, "s": 1}
    )
    market = {"bid_rate": 0.7, "share_rate": share_rate}
    for engine in ENGINES:
        result, path = run_and_twin(economy, 22, engine, **market)
        assert result.steps > 20
        assert distance(path, result.trajectory) <= 1e-12


def test_a_share_that_all_but_vanishes_comes_back_as_its_optimiser_says() -> None:
    """Shares of 1e-258 and bids of 1e15 that fall to 1: rounding must not eat what is small."""
    economy = market_abm.from_text("y = sqrt(x)\nw = 30 * x**0.99", supply={"x": 1})
    market = {"activation": "sequential", "bid_rate": 1.0, "share_rate": 20.0}
    result, path = run_and_twin(economy, 8, **market)
    assert 0 < result.trajectory.shares.min() < 1e-200
    # An exponent of 20 turns 1e-16 into 2e-15; eight steps later, 1e-10 at the most.
    assert distance(path, result.trajectory) <= 1e-10


@pytest.mark.parametrize("other", [{"share_rate": 0.1 * (1 + 1e-6)}, {"bid_rate": 0.8 + 1e-6}])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_another_optimiser_walks_another_path(activation: str, other: dict[str, float]) -> None:
    """The comparison can fail: rates that differ by a millionth are told apart."""
    economy = market_abm.from_text("a = sqrt(x)\nb = x**0.3\ny = a**0.6 * b**0.2", supply={"x": 2})
    market = {"activation": activation, "bid_rate": 0.8, "share_rate": 0.1}
    result, path = run_and_twin(economy, 20, **market)
    assert distance(path, result.trajectory) <= 1e-13
    changed = twin(economy, market_settings(**(market | other)), result.steps)
    assert 1e-9 < distance(changed, result.trajectory) < 1e-5


@pytest.mark.parametrize("module", [base, dated, dual, mirror_ascent, primal_dual, registry, terms])
def test_the_twin_knows_nothing_of_the_market(module: ModuleType) -> None:
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    imported = {
        f"{n.module}.{name.name}" if n.module == "market_abm.twins" else n.module
        for n in ast.walk(tree)
        if isinstance(n, ast.ImportFrom)
        for name in n.names
    }
    own = {name.removeprefix("market_abm.") for name in imported if name.startswith("market_abm")}
    assert {name for name in own if not name.startswith("twins.")} <= {
        "economy.economy",
        "economy.industry",
        "economy.terms",
        "errors",
        "fields",
        "market.base",
    }
    assert "market_abm" not in {
        name.name for n in ast.walk(tree) if isinstance(n, ast.Import) for name in n.names
    }


# --- the trading post is proportional response ----------------------------------------------------


def posts(economy: market_abm.Economy, steps: int, **market: Any) -> TwinPath:
    return twin(economy, market_settings(mechanism="trading-post", **market), steps)


@given(program=rival_dags(), bid_rate=numbers(0.2, 1.0))
@settings(max_examples=examples(6))
def test_money_pledged_is_price_times_quantity(program: RandomProgram, bid_rate: float) -> None:
    """The pledges are kept here once more, by the gradient's marginal products: a few roundings of
    positive numbers a step, forgotten at the bid rate, and 15 steps: 1e-12."""
    economy = market_abm.from_text(**program.arguments)
    path = posts(economy, 40, bid_rate=bid_rate)
    buyers = economy.buyers
    pledges, pledged = np.zeros(buyers.size), np.zeros(buyers.size, bool)
    sold = path.quantities[0]
    for t in range(1, 41):
        inputs = path.shares[t - 1] * sold[buyers.good]
        heard = path.prices[t - 1][buyers.maker] != 0.0
        earned = path.prices[t - 1][buyers.maker] * marginal_products(economy, inputs) * inputs
        pledges = np.where(heard, pledges + bid_rate * (earned - pledges), pledges)
        pledged |= heard
        sold = path.quantities[t - 1]
        money = np.bincount(buyers.good, pledges, len(economy.goods))
        worth = path.prices[t] * path.quantities[t]
        traded = np.unique(buyers.good)
        np.testing.assert_allclose(worth[traded], money[traded], rtol=1e-12)
        if pledged.all() and t < 15:
            shares = pledges / money[buyers.good]
            np.testing.assert_allclose(path.shares[t + 1], shares, rtol=1e-12)
    assert pledged.all()


@given(
    data=st.data(),
    program=rival_dags() | loops("rival") | rival_dags().map(lambda p: replace(p, reuse="copy")),
    activation=st.sampled_from(ACTIVATIONS),
    bid_rate=numbers(0.2, 1.0),
    engine=st.sampled_from(["agents", "arrays", "arrays", "arrays"]),
)
@settings(max_examples=examples(6))
def test_a_trading_post_walks_the_path_of_proportional_response(
    data: Any, program: RandomProgram, activation: str, bid_rate: float, engine: str
) -> None:
    """22 steps, 1e-11; copies too, whose money adds up.

    Where pledges outrun the bound the path swings between corners, and roundings decide: it may
    then be two digits worse than above.
    """
    economy = market_abm.from_text(**data.draw(responding(program)))
    market = {"mechanism": "trading-post", "activation": activation, "bid_rate": bid_rate}
    try:
        result, other = run_and_twin(economy, 22, engine, **market)
    except market_abm.MarketError as refused:
        event(f"refused: {str(refused).split(':')[-1][:30]}")
        return
    assert distance(other, result.trajectory) <= 1e-11


@pytest.mark.parametrize("bid_rate", [1.0, 0.5])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_cobb_douglas_economies_reach_the_closed_form(activation: str, bid_rate: float) -> None:
    """Money goes up by exponents: raw x earns 0.4 · 0.3 + 0.6 · 0.5 of what y is sold for, and is
    split in that proportion; among firms by z^(1/(1 - k)) w with k the returns to scale.

    Nothing is left to find out once the money has come. At a bid rate of 1/2 what is left of the
    first bids is k / 2^k after k steps over two lines: 1e-12 after 45, 5e-17 after 60.
    """
    economy = market_abm.from_text(
        "a = 2 * x**0.3 * z**0.7\nb = 1.5 * x**0.5 * w**0.5\n"
        "y = cobb_douglas(a, b, exponents=(0.4, 0.6))",
        supply={"x": 3, "z": 2, "w": 0.7},
        demand={"y": 2},
        population_of={"b": {"firms": 2, "weights": [0.3, 0.7]}},
    )
    path = posts(economy, 60, activation=activation, bid_rate=bid_rate)
    a = 2 * (3 * 2 / 7) ** 0.3 * 2**0.7
    b = 1.5 * (3 * 5 / 7) ** 0.5 * 0.7**0.5
    y = a**0.4 * b**0.6
    quantities = {"x": 3, "z": 2, "w": 0.7, "a": a, "b": b, "y": y}
    money = {"x": 0.42, "z": 0.28, "w": 0.3, "a": 0.4, "b": 0.6, "y": 1.0}
    for good, quantity in quantities.items():
        k = economy.index[good]
        assert path.quantities[-1, k] == pytest.approx(quantity, rel=1e-12)
        assert path.prices[-1, k] == pytest.approx(2 * y * money[good] / quantity, rel=1e-12)
    shares = path.shares[-1][economy.buyers.good == economy.index["x"]]
    np.testing.assert_allclose(shares, [2 / 7, 0.3 * 5 / 7, 0.7 * 5 / 7], rtol=1e-12)


@given(program=rival_dags())
@settings(max_examples=examples(6))
def test_fresh_proportional_response_is_ascent_with_log_gradients(program: RandomProgram) -> None:
    """With α = 1 and no delay, m = v s S: shares m/Σm are s v/g, which is κ = 1, and Σm/S is g.

    That is stable if σ > 1/2 (κ/σ < 2); near it roundings of 1e-16 hardly die out: 1e-9.
    """
    economy = market_abm.from_text(**program.arguments)
    market = market_settings(activation="sequential", bid_rate=1.0, share_rate=1.0)
    assert distance(twin(economy, market, 40), posts(economy, 40, activation="sequential")) <= 1e-9


# --- the edges ------------------------------------------------------------------------------------


def test_what_has_no_twin_is_refused_with_a_remedy() -> None:
    chain = market_abm.from_text("y = sqrt(x)", supply={"x": 1})
    noisy = market_abm.from_text("y = x", supply={"x": 1}, population={"bid_noise": 0.1})
    for economy, market in (
        (chain, {"activation": "random"}),
        (chain, {"mechanism": "barter"}),
        (noisy, {}),
    ):
        with pytest.raises(market_abm.MarketError) as caught:
            twin(economy, market_settings(**market), 1)
        assert caught.value.remedy


def test_the_largest_distance_is_relative_to_its_column() -> None:
    a = np.array([[1.0, 100.0], [2.0, 100.0], [4.0, 100.0]])
    assert largest_distance(a, a) == (0.0, 0)
    assert largest_distance(a, np.add(a, [0, 1])) == (1 / 101, 0)
    assert largest_distance(a, np.add(a, [[0, 0], [1, 0], [0, 1]])) == (1 / 4, 1)
    lost = np.add(a, [[0, 0], [0, 0], [np.nan, 0]])
    assert largest_distance(a, lost) == (np.inf, 2)
    assert largest_distance(lost, lost) == (0.0, 0)
    assert largest_distance(a[:0], a[:0]) == (0.0, 0)
