"""The agents beside the array engine, number by number; economies that are unlike each other."""

import math

import numpy as np
from market_abm.market.mechanisms.array_market import array_market

from market_abm import MarketModel, MarketSettings, from_text
from market_abm.errors import MarketError
from market_abm.market.arrays import ArrayEngine
from support.open_economies import as_parametric, renumbered

FIELDS = ("quantities", "prices", "inputs", "shares", "bids")


def assert_twins(economies: list, markets: list[MarketSettings], seeds: list[int], steps: int):
    together = ArrayEngine(economies, markets, seeds)
    models = [
        MarketModel(economy, market, seed=seed)
        for economy, market, seed in zip(economies, markets, seeds, strict=True)
    ]
    for step in range(steps + 1):
        state = together.state
        for row, model in enumerate(models):
            for field in FIELDS:
                slow, fast = getattr(model.state, field), getattr(state, field)[row]
                scale = np.abs(slow).max(initial=1.0)
                np.testing.assert_allclose(
                    fast, slow, rtol=1e-12, atol=1e-13 * scale, err_msg=f"{field} at step {step}"
                )
        if step < steps:
            together.step()
            for model in models:
                model.step()


STEPS = 20


def walk(economy, market, seed, steps=STEPS):
    """The states of the agents' market, up to the step at which it cannot go on."""
    states = []
    try:
        model = MarketModel(economy, market, seed=seed)
        states.append(model.state)
        for _ in range(steps):
            model.step()
            states.append(model.state)
    except MarketError:
        pass
    return states


def assert_each_its_own(economies, markets, seeds, steps=STEPS, rtol=1e-12):
    """1e-12 of each number, plus 1e-13 of the largest beside it for what is left of cancellation.

    (Or ``rtol`` and a tenth of it.)
    A path is compared until it leaves the range in which that makes sense: once swings are a
    million times what they started from, so are the roundings.
    """
    alone = [walk(*each, steps) for each in zip(economies, markets, seeds, strict=True)]
    together = array_market(economies, markets, seeds)
    compared = 0
    wild = set()
    for step in range(steps + 1):
        for row, states in enumerate(alone):
            assert (row in together.failed) is (step >= len(states)), f"run {row} at step {step}"
            if row in wild or step >= len(states):
                continue
            for name in FIELDS:
                slow, fast = getattr(states[step], name), getattr(together.state, name)[row]
                assert fast.shape == slow.shape
                size = np.max(np.abs(slow), initial=1.0)
                if not size < 1e6:
                    wild.add(row)
                    break
                np.testing.assert_allclose(
                    fast,
                    slow,
                    rtol=rtol,
                    atol=0.1 * rtol * size,
                    err_msg=f"{name} of run {row} at step {step}",
                )
                compared += 1
        if step < steps:
            together.step()
    return compared / ((steps + 1) * len(alone) * len(FIELDS))


def numbers_for(program, rng, *, firms, noise, positive):
    """The program with other numbers, and terms of supply and demand that are only numbers.

    Slow enough that most paths settle: roundings are not blown up on the way. Any responding
    supplier may have elasticity 0 and any consumer an infinite one, for these are numbers too.
    """
    parameters: dict[str, float] = {}
    lines = [
        f"{name} = {as_parametric(renumbered(line, rng), parameters)}"
        for name, line in program.lines
    ]
    supply = {}
    for k, (good, quantity) in enumerate(program.supply.items()):
        supply[good] = {
            "quantity": quantity * rng.uniform(0.9, 1.1),
            "price": rng.uniform(0.1, 1.0),
            "elasticity": rng.choice([0.0, rng.uniform(0.1, 0.8)]),
            "adjustment": rng.uniform(0.05, 0.5),
            "rate": rng.uniform(0.005, 0.03),
            "kind": "gradient" if k % 2 or not positive else "curve",
        }
    demand = {}
    for k, (good, price) in enumerate(program.demand.items()):
        demand[good] = {"price": price, "elasticity": rng.choice([math.inf, rng.uniform(1.5, 4)])}
        if program.loop:  # nothing is made before the start
            demand[good]["quantity"] = rng.uniform(0.8, 1.5)
        if k % 2 or not positive:
            demand[good]["form"] = "linear"
    population = {}
    if firms > 1:
        population = {"firms": firms, "weight_spread": 0.3, "productivity_spread": 0.2}
    return from_text(
        "\n".join(lines[k] for k in program.order),
        supply=supply,
        demand=demand,
        parameters=parameters,
        reuse=program.reuse,
        population=population | {"bid_noise": noise},
        population_of={} if firms > 1 else program.arguments["population_of"],
        seed=int(rng.integers(1, 100)),
    )
