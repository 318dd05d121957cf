"""Closed systems: every good is used, firms pay with what they earn, and prices are relative.

Sraffa's numbers (Production of Commodities by Means of Commodities, 1960, chapters I and II) come
from the dominant eigenvector of his input matrix, by NumPy; those of random systems from unit costs
alone, p = G c(p), by SciPy. Runs that rest to 1e-13 have relative prices to 1e-12.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from scipy.optimize import root
from support.engines import assert_each_its_own, assert_twins

import market_abm
from market_abm.economy.economy import Economy
from market_abm.gradient.backprop import exact_gradient, forward_pass
from market_abm.gradient.equilibrium import equilibrium

POST: dict[str, Any] = {"mechanism": "trading-post"}

WHEAT, IRON = np.array([280.0, 12.0]), np.array([120.0, 8.0])
"""What Sraffa's two industries use of wheat (quarters) and iron (tons)."""


def input_matrix(made: tuple[float, float]) -> np.ndarray:
    """Units of each good (row) for a unit of each good (column)."""
    return np.transpose([WHEAT / made[0], IRON / made[1]])


def eigenvector(matrix: np.ndarray) -> tuple[float, np.ndarray]:
    """The dominant eigenvalue, and its eigenvector with first entry 1."""
    values, vectors = np.linalg.eig(matrix)
    largest = int(np.argmax(values.real))
    return float(values[largest].real), (vectors[:, largest] / vectors[0, largest]).real


def sraffa(made: tuple[float, float], elasticity: float, **firms: Any) -> Economy:
    """His technique, and substitution about it: cost shares are those at his prices."""
    _, prices = eigenvector(input_matrix(made).T)
    wheat, iron = ((prices * used / (prices @ used)).tolist() for used in (WHEAT, IRON))
    return market_abm.from_text(
        f"wheat = {made[0]} * ces(wheat/280, iron/12, elasticity=s, weights={tuple(wheat)})\n"
        f"iron = {made[1]} * ces(wheat/120, iron/8, elasticity=s, weights={tuple(iron)})",
        supply={},
        parameters={"s": elasticity},
        population_of={"wheat": {"start": made[0]}, "iron": {"start": made[1]} | firms},
    )


@pytest.mark.parametrize("engine", ["agents", "arrays"])
@pytest.mark.parametrize(("made", "price", "growth"), [((400, 20), 10, 1), ((575, 20), 15, 1.25)])
def test_sraffas_prices(made: Any, price: float, growth: float, engine: str) -> None:
    """Iron exchanges for 10 quarters; with a surplus for 15, at a rate of profit of 25 %.

    With the surplus all of it is invested: quantities grow by the factor 1.25, in his standard
    proportions, prices fall by it, and a unit costs its price over 1.25: p A G = p.
    """
    matrix = input_matrix(made)
    root_, prices = eigenvector(matrix.T)
    assert prices == pytest.approx([1.0, price], rel=1e-14)
    assert root_ == pytest.approx(1.0 / growth, rel=1e-14)
    _, proportions = eigenvector(matrix)
    for elasticity, rate in ((1.0, 1.0), (0.7, 0.6)):
        economy = sraffa(made, elasticity)
        result = market_abm.run(
            economy, **POST, bid_rate=rate, engine=engine, tolerance=1e-13, steps=400
        )
        assert result.status == "converged"
        last = result.last
        assert last.prices / last.prices[0] == pytest.approx(prices, rel=1e-12)
        assert last.quantities / last.quantities[0] == pytest.approx(proportions, rel=1e-12)
        assert np.exp(result.path.welfare[-1]) == pytest.approx(growth, rel=1e-13)
        before, after = result.quantities[-2:], result.prices[-2:]
        assert before[1] / before[0] == pytest.approx([growth] * 2, rel=1e-12)
        assert after[1] / after[0] == pytest.approx([1.0 / growth] * 2, rel=1e-12)
        used = last.inputs.reshape(2, 2) / result.quantities[-1]  # technique in use, by buyer
        assert used == pytest.approx(matrix, rel=1e-11)
        assert result.last_errors.max() < 1e-12
        assert ("grow by the factor 1.25 a step" in result.ending.detail) == (growth > 1)


def test_money_goes_round() -> None:
    """All of it is bid at every step, in the amount that the goods of step 0 count as sold for."""
    for rate, price in itertools.product((1.0, 0.3), (1.0, 7.0)):
        economy = sraffa((575, 20), 0.8, firms=3, weight_spread=0.5, start_price=price)
        result = market_abm.run(economy, **POST, bid_rate=rate, steps=40, tolerance=1e-14)
        money = result.trajectory.bids.sum(axis=1)
        sold = result.quantities[0] @ [1.0, price]
        assert money == pytest.approx(sold, rel=1e-12)
        sales = (result.prices * result.quantities).sum(axis=1)
        assert sales == pytest.approx(money, rel=1e-12)


def random_system(seed: int) -> tuple[str, np.ndarray, np.ndarray, np.ndarray]:
    """A program, and its weights (input, output), productivities and elasticities."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 5))
    weights = rng.dirichlet(np.full(n, 2.0), size=n).T
    productivity, elasticity = rng.uniform(0.5, 4.0, n), rng.uniform(0.7, 1.8, n)
    lines = [
        f"g{k} = {z} * ces({', '.join(f'g{j}' for j in range(n))}, elasticity={s}, "
        f"weights={tuple(weights[:, k].tolist())})"
        for k, (z, s) in enumerate(zip(productivity, elasticity, strict=True))
    ]
    return "\n".join(lines), weights, productivity, elasticity


def by_unit_costs(weights: Any, productivity: Any, elasticity: Any) -> tuple[float, np.ndarray]:
    """G and p with p = G c(p), Σ p = 1: the dual of maximal growth, without quantities."""

    def gap(unknown: np.ndarray) -> np.ndarray:
        prices, growth = np.exp(unknown[:-1]), np.exp(unknown[-1])
        power = 1.0 - elasticity
        sums = (weights**elasticity * prices[:, None] ** power).sum(axis=0)
        costs = sums ** (1.0 / power) / productivity
        return np.append(np.log(growth * costs / prices), prices.sum() - 1.0)

    n = len(productivity)
    found = root(gap, np.append(np.full(n, -np.log(n)), 0.0), tol=1e-14)
    return float(np.exp(found.x[-1])), np.exp(found.x[:-1])


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_random_systems_grow_as_fast_as_they_can(seed: int) -> None:
    """Prices and growth of the market are those of least unit costs (von Neumann's duality)."""
    for each in range(3 * seed, 3 * seed + (2 if seed == 1 else 12)):
        program, *numbers = random_system(each)
        growth, prices = by_unit_costs(*numbers)
        economy = market_abm.from_text(program, supply={}, population={"firms": 2})
        result = market_abm.run(economy, **POST, bid_rate=0.5, engine="arrays", tolerance=1e-11)
        assert result.status == "converged", each
        order = [economy.index[f"g{k}"] for k in range(len(prices))]
        last = result.last.prices[order]
        assert last / last.sum() == pytest.approx(prices, rel=1e-9)
        assert np.exp(result.path.welfare[-1]) == pytest.approx(growth, rel=1e-11)
        assert np.exp(result.path.welfare).max() <= growth * (1.0 + 1e-12)  # no mix grows faster
        assert result.path.rate.value < 1.0
        assert result.path.ascent_fraction > 0.5
        assert_twins([economy], [market_abm.market_settings(**POST, bid_rate=0.5)], [1], 20)


def test_prices_are_the_gradient_of_growth() -> None:
    """d ln G by shares is p ∂y/∂x q / (G Σ q p); here by differences of G alone, off rest."""
    program, *_ = random_system(3)
    economy = market_abm.from_text(program, supply={})
    buyers = economy.buyers
    rng = np.random.default_rng(0)
    shares = rng.uniform(0.5, 1.5, buyers.size)
    shares /= np.add.reduceat(shares, buyers.starts)[buyers.pool]

    def growth(shares: np.ndarray) -> float:
        """By making goods over and over, one line after the other as agents do."""
        quantities = np.ones(len(economy.goods))
        for _ in range(60):
            made = np.zeros_like(quantities)
            for industry in economy.topological_order:
                own = buyers.of_industry[industry.good].ravel()
                inputs = shares[own] * quantities[buyers.good[own]]
                made[economy.index[industry.good]] = industry.technology.production(inputs)[0]
            factor, quantities = made.sum() / quantities.sum(), made / made.sum()
        return float(np.log(factor))

    quantities, products = forward_pass(economy, shares)
    prices = np.array(list(exact_gradient(economy, shares).values()))
    worth = prices[buyers.maker] * products * quantities[buyers.good]
    slope = worth / np.exp(growth(shares)) / (prices @ quantities)
    step = 1e-5
    for buyer in range(buyers.size):
        move = np.zeros(buyers.size)
        move[buyer] = step
        differences = (growth(shares + move) - growth(shares - move)) / (2.0 * step)
        assert differences == pytest.approx(slope[buyer], rel=1e-7)


@pytest.mark.slow
def test_fixed_coefficients_do_not_settle_at_full_rate() -> None:
    """Money bids of fixed coefficients do not settle: at α = 1 not below σ = 1/2, else slower."""
    status = {
        (s, rate): market_abm.run(
            sraffa((575, 20), s), **POST, bid_rate=rate, engine="arrays", steps=600
        ).status
        for s, rate in ((0.6, 1.0), (0.4, 1.0), (0.4, 0.1), (0.3, 0.1))
    }
    assert status == {
        (0.6, 1.0): "converged",
        (0.4, 1.0): "diverged",
        (0.4, 0.1): "converged",
        (0.3, 0.1): "converged",
    }


def test_the_twin_is_proportional_response_with_the_same_money() -> None:
    for rate in (1.0, 0.5):
        economy = sraffa((575, 20), 0.8, firms=2, start_price=3.0)
        compared = market_abm.compare(economy, **POST, bid_rate=rate, steps=20)
        assert max(size for size, _ in compared.distances.values()) < 1e-12
        assert max(size for size, _ in compared.textbook_distances.values()) < 1e-12


def test_runs_side_by_side_and_copied_goods() -> None:
    economies = [sraffa((575, 20), s, start_price=p) for s, p in ((0.7, 1.0), (1.0, 2.0))]
    markets = [market_abm.market_settings(**POST, bid_rate=rate) for rate in (0.5, 1.0)]
    assert_each_its_own(economies, markets, [1, 2])
    copied = market_abm.from_text(
        "a = 0.5 * cobb_douglas(a, b, exponents=(0.3, 0.7))\nb = 0.9 * ces(a, b, elasticity=0.8)",
        supply={},
        reuse="copy",
    )
    result = market_abm.run(copied, **POST, tolerance=1e-13)
    assert result.status == "converged"
    assert "shrink by the factor" in result.ending.detail
    assert result.last_errors.max() < 1e-12


def test_growth_is_no_divergence_and_proportions_may_swing() -> None:
    """At 1e30 a step; and where goods of even and odd steps never meet, for ever."""
    fast = market_abm.run(market_abm.from_text("a = 1e30 * a"), **POST)
    assert (fast.status, fast.steps) == ("converged", 1)
    apart = market_abm.run(market_abm.from_text("a = 2 * b\nb = 3 * a"), **POST, steps=300)
    assert apart.last.quantities.max() > 1e100
    assert apart.status == "oscillating"
    assert "quantities grow by the factor 2.449489743 a step" in apart.ending.detail


def test_no_raw_good_and_consumers_outside() -> None:
    """Seed corn: y = 3 x^(1/2) eaten at a power .8: optimum by hand, corn 9/2, of it half sown."""
    economy = market_abm.from_text("corn = 3 * seed ** 0.5\nseed = corn * 1\neaten = corn", {})
    result = market_abm.run(economy, **POST, activation="sequential")
    assert result.status == "converged"
    # 3 √s - s is largest at s = 9/4
    assert result.table()["quantity"].to_dict() == pytest.approx(
        {"corn": 4.5, "seed": 2.25, "eaten": 2.25}, rel=1e-8
    )
    assert equilibrium(economy) is not None


@pytest.mark.parametrize(
    ("message", "settings"),
    [
        (r"no final good.*under mechanism \"unit-bid\"", {"mechanism": "unit-bid"}),
        (r"no final good.*under mechanism \"tatonnement\"", {"mechanism": "tatonnement"}),
        (r"no final good.*under mechanism \"posted-price\"", {"mechanism": "posted-price"}),
        ("market.activation is 'sequential' and.*no final good", {"activation": "sequential"}),
        ("market.lag is 2 and.*no final good", {"lag": 2}),
    ],
)
@pytest.mark.parametrize("engine", ["agents", "arrays"])
def test_mechanisms_without_money_are_refused(message: str, settings: Any, engine: str) -> None:
    with pytest.raises(market_abm.MarketError, match=message):
        market_abm.run(sraffa((400, 20), 1.0), **(POST | settings), engine=engine)


@pytest.mark.parametrize(
    ("message", "program", "options"),
    [
        (r"what is paid for labour never comes", "a = labour * a", {"supply": {"labour": 1}}),
        (r"'a = a\*\*0\.9' pays less than it earns.*the part 0\.1 ", "a = a ** 0.9", {}),
        (r"'a = a\*\*1\.1' pays more than it earns.*the part 0\.0909 ", "a = a ** 1.1", {}),
        (r"bid_noise is set", "a = 2 * a", {"population": {"bid_noise": 0.1}}),
        (r"a is made without b: what is paid", "a = 2 * a\nb = a ** 0.5 * b ** 0.5", {}),
        (r"reuse\.a is 'external'", "a = 2 * a", {"reuse": "external"}),
    ],
)
def test_money_that_would_leave_is_refused(message: str, program: str, options: Any) -> None:
    with pytest.raises(market_abm.MarketError, match=message):
        market_abm.run(market_abm.from_text(program, **({"supply": {}} | options)), **POST)


def test_the_experiments_show_sraffas_numbers() -> None:
    """In wheat: 10 and no profit; with a household that eats the surplus, 15 and a quarter."""
    tight = {"run.tolerance": 1e-13, "run.engine": "arrays"}
    first = market_abm.run("sraffa", overrides=tight)
    assert (first.status, first.last.prices[first.economy.index["wheat"]]) == ("converged", 1.0)
    assert first.table()["price"]["iron"] == pytest.approx(10.0, rel=1e-12)
    assert abs(first.accounts()["margin"]).max() < 1e-12

    second = market_abm.run("sraffa-surplus", overrides=tight)
    assert second.status == "converged"
    made, prices, accounts = second.table()["quantity"], second.table()["price"], second.accounts()
    assert made.to_dict() == pytest.approx({"wheat": 575, "iron": 20, "owner": 175}, rel=1e-12)
    assert prices["iron"] == pytest.approx(15.0, rel=1e-12)
    assert (accounts["profit"] / accounts["cost"]).to_list() == pytest.approx([0.25] * 2, rel=1e-12)
    _, by_matrix = eigenvector(input_matrix((575.0, 20.0)).T)
    assert prices["iron"] == pytest.approx(by_matrix[1], rel=1e-12)
    money = second.outcome.trajectory.bids.sum(axis=1)[1:]
    assert np.ptp(money) < 1e-12 * money[0]


def test_prices_of_fixed_coefficients_are_a_limit() -> None:
    """Lines that know his technique, not his prices: weights 1/2. Iron tends to 10 with σ."""
    halves = np.full((2, 2), 0.5)
    above = []
    for elasticity, rate in ((0.5, 0.3), (0.3, 0.1)):
        economy = market_abm.from_text(
            "wheat = 400 * ces(wheat/280, iron/12, elasticity=s, weights=(1/2, 1/2))\n"
            "iron = 20 * ces(wheat/120, iron/8, elasticity=s, weights=(1/2, 1/2))",
            parameters={"s": elasticity},
            numeraire="wheat",
        )
        result = market_abm.run(economy, **POST, bid_rate=rate, engine="arrays", steps=1000)
        assert result.status == "converged"
        # x/280 for x: the share parameter of a unit is w (1/280)^r, with a productivity
        power = (elasticity - 1.0) / elasticity
        weights = halves * np.transpose([WHEAT, IRON]) ** -power
        growth, prices = by_unit_costs(weights, np.array([400.0, 20.0]), elasticity)
        assert result.table()["price"]["iron"] == pytest.approx(prices[1] / prices[0], rel=1e-9)
        assert np.exp(result.path.welfare[-1]) == pytest.approx(growth, rel=1e-9)
        above.append(prices[1] / prices[0] - 10.0)
    assert above == pytest.approx([0.34933, 0.20928], abs=1e-5)
    nearer = by_unit_costs(
        halves * np.transpose([WHEAT, IRON]) ** (0.95 / 0.05), np.array([400.0, 20.0]), 0.05
    )[1]
    assert nearer[1] / nearer[0] == pytest.approx(10.0346, abs=1e-4)
