"""Random Arrow-Debreu economies, solved in price space by SciPy from the textbook's formulas.

The solver here knows unit costs (Shephard), supplies (Hotelling), transformation, demands, owners,
taxes and their revenue, and nothing of lines, shares, marginal products or a market: it cannot make
the product's mistakes. Unknown are the logarithms of prices, of the lines' activities, and of the
marginal utilities of income, whose inverses are the weights of households (Negishi 1960).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from scipy.optimize import root

import market_abm
from market_abm import Economy, Result
from market_abm.analysis.rotation import rotation

FACTORS = ("labour", "land")

# --- economies ------------------------------------------------------------------------------------


class Nest(NamedTuple):
    """(Σ w x^r)^(1/r) with r = (σ - 1)/σ."""

    goods: tuple[str, ...]
    elasticity: float
    weights: np.ndarray

    @staticmethod
    def random(rng: np.random.Generator, goods: list[str]) -> Nest:
        weights = rng.dirichlet(np.ones(len(goods))) * 0.8 + 0.2 / len(goods)
        return Nest(tuple(goods), rng.uniform(0.4, 0.95) * rng.choice([1.0, 2.0]), weights)

    @property
    def text(self) -> str:
        if len(self.goods) == 1:
            return self.goods[0]
        weights = ", ".join(repr(float(w)) for w in self.weights)
        return f"ces({', '.join(self.goods)}, elasticity={self.elasticity}, weights=({weights}))"

    def cost(self, prices: np.ndarray) -> tuple[float, np.ndarray]:
        """What a unit costs, and the units of each input in it: the cost's derivatives."""
        sigma = self.elasticity if len(self.goods) > 1 else 0.5
        weights = self.weights if len(self.goods) > 1 else np.ones(1)
        cost = (weights**sigma @ prices ** (1.0 - sigma)) ** (1.0 / (1.0 - sigma))
        return float(cost), (weights * cost / prices) ** sigma


class Line(NamedTuple):
    """``scale`` times a nest to the power ``degree``, as one good or two.

    Two are made with an elasticity of transformation, or, if that is None, in fixed proportions.
    """

    outputs: tuple[str, ...]
    nest: Nest
    degree: float
    scale: float
    parts: np.ndarray
    elasticity: float | None

    @property
    def name(self) -> str:
        return "+".join(self.outputs)

    @property
    def text(self) -> str:
        body = f"{self.scale} * {self.nest.text} ** {self.degree}"
        if len(self.outputs) == 1:
            return f"{self.outputs[0]} = {body}"
        parts = ", ".join(repr(float(w)) for w in self.parts)
        if self.elasticity is None:
            return f"({self.outputs[0]}, {self.outputs[1]}) = fixed({body}, yields=({parts}))"
        kind = f"elasticity={self.elasticity}, weights=({parts})"
        return f"({self.outputs[0]}, {self.outputs[1]}) = transform({body}, {kind})"

    def revenue(self, prices: np.ndarray) -> tuple[float, np.ndarray]:
        """What a unit of the activity earns, and the units of each output that are made of it."""
        if self.elasticity is None:
            return float(self.parts @ prices), self.parts
        earned = (self.parts @ prices ** (1 + self.elasticity)) ** (1 / (1 + self.elasticity))
        return float(earned), self.parts * (prices / earned) ** self.elasticity


class Person(NamedTuple):
    """Wants a nest, or, with ``powers`` ρ, Σ w x^ρ, of which incomes change the proportions."""

    nest: Nest
    powers: np.ndarray | None
    endowment: dict[str, float]

    @property
    def text(self) -> str:
        if self.powers is None:
            return self.nest.text
        terms = zip(self.nest.weights, self.nest.goods, self.powers, strict=True)
        return " + ".join(f"{w} * {good}**{power}" for w, good, power in terms)

    def demand(
        self, prices: np.ndarray, income: float, marginal: float
    ) -> tuple[np.ndarray, float]:
        """Units bought, and what is not satisfied at this marginal utility of income."""
        if self.powers is None:
            cost, units = self.nest.cost(prices)
            return income / cost * units, float(np.log(marginal * cost))
        slopes = self.nest.weights * self.powers
        bundle = (slopes / (marginal * prices)) ** (1.0 / (1.0 - self.powers))
        return bundle, float(np.log(prices @ bundle / income))


class Tax(NamedTuple):
    """On what is bought of a ``good``, by a ``user`` or by all; ``to`` is who gets the revenue."""

    good: str
    user: str | None
    rate: float
    to: dict[str, float]


class World(NamedTuple):
    """Everything; ``owners`` are the parts of each line's profits, (lines, people)."""

    lines: list[Line]
    people: dict[str, Person]
    taxes: dict[str, Tax]
    owners: np.ndarray

    @property
    def goods(self) -> list[str]:
        return [*FACTORS, *(good for line in self.lines for good in line.outputs)]

    @staticmethod
    def random(rng: np.random.Generator, *, constant_returns: bool) -> World:
        known, lines = list(FACTORS), []
        for k in range(rng.integers(1, 4)):
            several = rng.uniform() < 0.4
            outputs = (f"a{k}", f"b{k}") if several else (f"y{k}",)
            some = rng.choice(known, min(len(known), rng.integers(1, 4)), replace=False)
            part = rng.uniform(0.3, 0.7)
            constant = constant_returns and rng.uniform() < 0.5
            line = Line(
                outputs=outputs,
                nest=Nest.random(rng, some.tolist()),
                degree=1.0 if constant else rng.uniform(0.4, 0.95),
                scale=rng.uniform(0.5, 2.0),
                parts=np.array([part, 1.0 - part]) if several else np.ones(1),
                elasticity=rng.uniform(0.4, 2.5) if several and rng.uniform() < 0.7 else None,
            )
            lines.append(line)
            known.extend(outputs)
        people: dict[str, Person] = {}
        for k in range(rng.integers(2, 4)):
            wants = [good for good in known if k == 0 or rng.uniform() < 0.6] or [known[-1]]
            owned = {good: rng.uniform(0.3, 3.0) for good in FACTORS}
            if lines[-1].degree < 1.0 and rng.uniform() < 0.3:  # (else its line might shut down)
                owned[known[-1]] = rng.uniform(0.05, 0.3)
            powers = rng.uniform(0.2, 0.7, len(wants)) if rng.uniform() < 0.4 else None
            people[f"h{k}"] = Person(Nest.random(rng, wants), powers, owned)
        names, taxes = list(people), {}
        if rng.uniform() < 0.6:
            people["state"] = Person(Nest.random(rng, [known[-1], "labour"]), None, {})
            for k, good in enumerate(rng.choice(known, rng.integers(1, 3), replace=False).tolist()):
                users = [line.name for line in lines if good in line.nest.goods]
                users += [name for name in names if good in people[name].nest.goods]
                user = str(rng.choice(users)) if rng.uniform() < 0.6 else None
                to = {"state": 1.0} if k == 0 else {"state": 0.4, names[0]: 0.6}
                taxes[f"t{k}"] = Tax(good, user, rng.uniform(0.05, 0.5), to)
        owners = np.zeros((len(lines), len(people)))
        owners[:, : len(names)] = rng.dirichlet(np.ones(len(names)), len(lines))
        return World(lines, people, taxes, owners)

    @property
    def economy(self) -> Economy:
        names = [line.name for line in self.lines]
        return market_abm.from_text(
            "\n".join(line.text for line in self.lines),
            households={
                name: {
                    "utility": person.text,
                    "endowment": person.endowment,
                    "owns": dict(zip(names, self.owners[:, k].tolist(), strict=True)),
                }
                for k, (name, person) in enumerate(self.people.items())
            },
            taxes={
                name: {"good": tax.good, "rate": tax.rate, "to": tax.to}
                | ({} if tax.user is None else {"user": tax.user})
                for name, tax in self.taxes.items()
            },
        )


# --- the textbook ---------------------------------------------------------------------------------


class Plans(NamedTuple):
    """What all want to do, and what is not satisfied: of each line, good and household."""

    supply: np.ndarray
    demand: np.ndarray
    incomes: np.ndarray
    revenues: dict[str, float]
    of_lines: np.ndarray
    of_people: np.ndarray

    @property
    def residuals(self) -> np.ndarray:
        gaps = (self.demand - self.supply) / self.supply
        return np.concatenate([self.of_lines, gaps, self.of_people])


class Accounts:
    """Who buys how much, and the taxes on it."""

    def __init__(self, world: World, prices: np.ndarray) -> None:
        self.world, self.prices = world, dict(zip(world.goods, prices.tolist(), strict=True))
        self.bought = dict.fromkeys(world.goods, 0.0)
        self.revenues = dict.fromkeys(world.taxes, 0.0)

    def taxed(self, good: str, user: str) -> list[str]:
        taxes = self.world.taxes.items()
        return [name for name, t in taxes if t.good == good and t.user in (None, user)]

    def gross(self, goods: tuple[str, ...], user: str) -> np.ndarray:
        rates = {name: tax.rate for name, tax in self.world.taxes.items()}
        parts = [1.0 + sum(rates[name] for name in self.taxed(good, user)) for good in goods]
        return np.array([self.prices[g] * part for g, part in zip(goods, parts, strict=True)])

    def buy(self, goods: tuple[str, ...], user: str, units: np.ndarray) -> None:
        for good, amount in zip(goods, units.tolist(), strict=True):
            self.bought[good] += amount
            for name in self.taxed(good, user):
                self.revenues[name] += self.world.taxes[name].rate * self.prices[good] * amount


def plans(world: World, unknown: np.ndarray) -> Plans:
    """The plans at ln prices, ln activities and ln marginal utilities of income."""
    count, lines = len(world.goods), len(world.lines)
    prices, activity, marginal = np.split(np.exp(unknown), [count, count + lines])
    firms = Accounts(world, prices)
    supply, profits, of_lines = dict.fromkeys(world.goods, 0.0), np.zeros(lines), np.zeros(lines)
    for k, (line, made) in enumerate(zip(world.lines, activity.tolist(), strict=True)):
        unit, inputs = line.nest.cost(firms.gross(line.nest.goods, line.name))
        worth, outputs = line.revenue(np.array([firms.prices[good] for good in line.outputs]))
        needed = (made / line.scale) ** (1.0 / line.degree)
        firms.buy(line.nest.goods, line.name, needed * inputs)
        for good, units in zip(line.outputs, outputs.tolist(), strict=True):
            supply[good] += units * made
        profits[k] = worth * made - unit * needed
        of_lines[k] = np.log(worth * line.degree * made / (unit * needed))
    people = world.people.values()
    earned = profits @ world.owners
    for k, person in enumerate(people):
        for good, units in person.endowment.items():
            supply[good] += units
            earned[k] += units * firms.prices[good]

    def with_revenue(incomes: np.ndarray) -> tuple[np.ndarray, Accounts, np.ndarray]:
        """What households earn if they spend ``incomes``, of which a part comes back to them."""
        all_users, gaps = Accounts(world, prices), np.zeros(len(incomes))
        all_users.bought |= firms.bought
        all_users.revenues |= firms.revenues
        for k, (name, person) in enumerate(world.people.items()):
            gross = all_users.gross(person.nest.goods, name)
            units, gaps[k] = person.demand(gross, incomes[k], marginal[k])
            all_users.buy(person.nest.goods, name, units)
        shares = [[tax.to.get(name, 0.0) for name in world.people] for tax in world.taxes.values()]
        paid = np.array(list(all_users.revenues.values()))
        return earned + (paid @ np.array(shares) if shares else 0.0), all_users, gaps

    incomes = earned + 1e-3 * np.abs(earned).sum()
    for _ in range(300):
        before, (incomes, accounts, gaps) = incomes, with_revenue(incomes)
        if np.abs(incomes - before).max() <= 1e-16 * np.abs(incomes).max():
            break
    demand = np.array(list(accounts.bought.values()))
    offered = np.array(list(supply.values()))
    return Plans(offered, demand, incomes, accounts.revenues, of_lines, gaps)


@np.errstate(all="ignore")
def solved(world: World, near: np.ndarray, seed: int) -> np.ndarray:
    """The equilibrium with the first price of ``near``, in the place of a redundant market.

    From 10 % off it, or nearer if SciPy gets lost from there.
    """

    def system(unknown: np.ndarray) -> np.ndarray:
        found = plans(world, unknown).residuals
        found[len(world.lines)] = unknown[0] - near[0]
        return found

    off = np.random.default_rng(seed).normal(0.0, 0.1, len(near))
    for size in (1.0, 0.3, 0.1):
        found = root(system, near + size * off, tol=1e-15).x
        if np.abs(plans(world, found).residuals).max() < 1e-11:  # by Walras' law of all markets
            return found
    raise AssertionError("SciPy finds no equilibrium")


# --- comparisons ----------------------------------------------------------------------------------


def unknowns(world: World, prices: dict[str, float], units: dict[str, float]) -> np.ndarray:
    """What the product found, as the unknowns of the textbook."""
    owned = {line.name: 0.0 for line in world.lines}
    for person in world.people.values():
        for good in set(person.endowment) & set(owned):
            owned[good] += person.endowment[good]
    activity = [units[line.name] - owned[line.name] for line in world.lines]
    weights = np.array([prices[name] for name in world.people])
    return np.log([*(prices[good] for good in world.goods), *activity, *1.0 / weights])


def check(world: World, product: np.ndarray, seed: int, tolerance: float) -> Plans:
    """The solver, from elsewhere, finds what the product found."""
    found = solved(world, product, seed)
    np.testing.assert_allclose(found, product, rtol=0.0, atol=tolerance)
    return plans(world, found)


def check_run(world: World, result: Result, seed: int, tolerance: float) -> None:
    """Prices, activities and weights; quantities, incomes, spending and revenue."""
    assert result.status == "converged"
    prices = dict(zip(result.goods, result.last.prices.tolist(), strict=True))
    units = dict(zip(result.goods, result.last.quantities.tolist(), strict=True))
    found = check(world, unknowns(world, prices, units), seed, tolerance)
    ours = [units[good] for good in world.goods]
    np.testing.assert_allclose(ours, found.supply, rtol=tolerance)
    accounts: dict[str, Any] = result.households
    for (name, own), income in zip(accounts.items(), found.incomes, strict=True):
        earned = [*own.endowments.values(), *own.profits.values(), *own.taxes.values()]
        np.testing.assert_allclose(sum(earned), income, rtol=tolerance, err_msg=name)
        np.testing.assert_allclose(sum(own.spending.values()), income, rtol=tolerance)
    if world.taxes:
        assert result.taxes is not None
        np.testing.assert_allclose(
            list(result.taxes.revenues.values()), list(found.revenues.values()), rtol=tolerance
        )


def check_trading_post(seed: int) -> None:
    world = World.random(np.random.default_rng([seed, 15]), constant_returns=True)
    result = market_abm.run(
        world.economy,
        mechanism="trading-post",
        bid_rate=0.2,
        engine="arrays",
        steps=6000,
        tolerance=1e-11,
        observe_every=10_000,
    )
    check_run(world, result, seed, 1e-8)


def excess(world: World, prices: np.ndarray) -> np.ndarray:
    """Demand less supply at any prices, with the best plans of firms of decreasing returns."""
    at, activity = Accounts(world, prices), []
    for line in world.lines:
        unit, _ = line.nest.cost(at.gross(line.nest.goods, line.name))
        worth, _ = line.revenue(np.array([at.prices[good] for good in line.outputs]))
        slope = worth * line.degree * line.scale ** (1.0 / line.degree) / unit
        activity.append(slope ** (line.degree / (1.0 - line.degree)))
    known = np.log([*prices, *activity])

    def budgets(marginal: np.ndarray) -> np.ndarray:
        return plans(world, np.concatenate([known, marginal])).of_people

    marginal = root(budgets, np.zeros(len(world.people)), tol=1e-15).x
    found = plans(world, np.concatenate([known, marginal]))
    np.testing.assert_allclose([*found.of_lines, *found.of_people], 0.0, atol=1e-11)
    return found.demand - found.supply


def check_auction(seed: int) -> None:
    """Each price moves by the rate times excess demand, and Walras' law holds."""
    world = World.random(np.random.default_rng([seed, 16]), constant_returns=False)
    rate = 1e-5
    result = market_abm.run(
        world.economy, mechanism="tatonnement", auction_rate=rate, engine="arrays", steps=3
    )
    quoted = [result.goods.index(good) for good in world.goods]
    for before, after in zip(result.prices[:-1, quoted], result.prices[1:, quoted], strict=True):
        expected = excess(world, before)
        scale = np.abs(expected).max()
        np.testing.assert_allclose((after - before) / rate, expected, atol=1e-9 * scale + 1e-10)
        assert abs(before @ expected) < 1e-11 * (before @ np.abs(expected))


def check_gradient_share(seed: int) -> None:
    """Of the Jacobian of excess demand by prices, across the direction in which all change."""
    world = World.random(np.random.default_rng([seed, 16]), constant_returns=False)
    economy = world.economy
    best = market_abm.equilibrium(economy)
    assert best is not None
    prices = np.array([best.prices[economy.index[good]] for good in world.goods])
    steps = 1e-5 * np.diag(prices)
    columns = [(excess(world, prices + h) - excess(world, prices - h)) / 2.0 for h in steps]
    jacobian = np.array(columns).T / np.diag(steps)
    across = np.eye(len(prices)) - np.outer(prices, prices) / (prices @ prices)
    jacobian = across @ jacobian @ across
    symmetric = (jacobian + jacobian.T) / 2.0
    expected = (symmetric**2).sum() / (jacobian**2).sum()
    found = rotation(economy, market_abm.market_settings("tatonnement", auction_rate=0.01))
    assert found is not None
    np.testing.assert_allclose(found.gradient_share, expected, atol=1e-7)


def check_equilibrium(seed: int) -> None:
    """Without a market; all that it finds are equilibria."""
    world = World.random(np.random.default_rng([seed, 15]), constant_returns=True)
    economy = world.economy
    best = market_abm.equilibrium(economy)
    assert best is not None
    for each in (best, *best.others):
        prices = dict(zip(economy.goods, each.prices.tolist(), strict=True))
        units = dict(zip(economy.goods, each.quantities.tolist(), strict=True))
        check(world, unknowns(world, prices, units), seed, 1e-9)


CHECKS = {
    "trading-post": check_trading_post,
    "auction": check_auction,
    "equilibrium": check_equilibrium,
    "gradient-share": check_gradient_share,
}


@pytest.mark.parametrize("name", CHECKS)
def test_random_economy(name: str) -> None:
    """An economy with several outputs and a taxed good."""
    CHECKS[name](6)


@pytest.mark.slow
@pytest.mark.parametrize("name", CHECKS)
def test_many_random_economies(name: str) -> None:
    for seed in range(80):
        CHECKS[name](seed)


@pytest.mark.parametrize("kind", ["transform(x ** 0.5, elasticity=1.0)", "x ** 0.5"])
def test_who_owns_a_line_of_several_outputs(kind: str) -> None:
    """Owners get what the line earns, less its costs: half of it, whatever its outputs are."""
    several = kind.startswith("transform")
    wants = "ces(a, b, elasticity=0.5)" if several else "a"
    economy = market_abm.from_text(
        f"{'(a, b)' if several else 'a'} = {kind}",
        households={
            "worker": {"utility": wants, "endowment": {"x": 1.0}, "owns": 0.0},
            "owner": {"utility": "a", "owns": 1.0},
        },
    )
    best = market_abm.equilibrium(economy)
    assert best is not None
    found = dict(zip(economy.goods, best.prices * best.quantities, strict=True))
    np.testing.assert_allclose(found["worker"], found["owner"], rtol=1e-10)


@pytest.mark.parametrize("owned", [0.0, 0.2])
def test_a_loop_begins_alike_in_both_engines(owned: float) -> None:
    """What households own of a good of a loop is on sale at step 0, beside what ``start`` says."""
    economy = market_abm.from_text(
        "a = x**0.5 * c**0.25\nb = a*x\nc = b**0.5",
        households={"h": {"utility": "x + c", "endowment": {"x": 2.0, "c": owned}}},
    )
    agents, arrays = (
        market_abm.run(economy, mechanism="trading-post", bid_rate=0.3, engine=engine, steps=3)
        for engine in ("agents", "arrays")
    )
    np.testing.assert_allclose(arrays.quantities, agents.quantities, rtol=1e-14)
