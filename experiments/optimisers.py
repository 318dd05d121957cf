"""Which optimiser each mechanism is, measured: the table of docs/model.md, section 3.

Usage: python experiments/optimisers.py   (from the top of the repository)

Three levels, never mixed: what a mechanism is identical to (its twin), what it equals to first
order near rest (eigenvalues of a step), and how far its path is from the textbook's optimiser.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

import market_abm
from market_abm import Experiment
from market_abm.analysis.steps import SteadyState, Steps
from market_abm.economy.economy import Economy
from market_abm.economy.production import marginal_products
from market_abm.gradient.equilibrium import Equilibrium, equilibrium
from market_abm.market.mechanisms.registry import array_market
from market_abm.twins import dual
from market_abm.twins.base import Optimiser, TwinPath, largest_distance
from market_abm.twins.mirror_ascent import ShareOptimiser
from market_abm.twins.primal_dual import (
    LogPrimalDual,
    PresentPrimalDual,
    PrimalDual,
    SaddlePoint,
)
from market_abm.twins.registry import TEXTBOOKS, TWINS, textbook, twin

PATHS = {
    "unit-bid": ("spiral", "rival-diamond", "mechanisms", "loop"),
    "trading-post": ("split", "spiral", "rival-diamond", "mechanisms"),
    "tatonnement": ("mechanisms",),
    "posted-price": ("mechanisms",),
}
"""The experiments whose runs are compared, by mechanism."""

AT_REST = {
    "unit-bid": "spiral",
    "trading-post": "split",
    "tatonnement": "mechanisms",
    "posted-price": "mechanisms",
}
"""The experiment at whose equilibrium eigenvalues are compared, by mechanism."""

ARRAYS = ("prices", "quantities", "shares")
MOVE = 6e-6
"""Relative central differences: an error of its square, and of rounding over it: 4e-11."""

SMALL = 0.3
"""Eigenvalues below this are not compared: k that are 0 are the k-th root of 1e-10 off."""


# --- paths ----------------------------------------------------------------------------------------


def experiment(name: str, mechanism: str) -> Experiment:
    """An experiment under a mechanism; ``split`` has a line of constant returns."""
    if name == "split":
        changed = {"economy.parameters.sigma": 0.7, "run.steps": 60}
        return Experiment.load("split-elasticity", changed).with_mechanism(mechanism)
    return Experiment.load(name).with_mechanism(mechanism)


def market(name: str, mechanism: str) -> market_abm.Result:
    """The run of an experiment under a mechanism."""
    return market_abm.run(experiment(name, mechanism))


def distance(result: market_abm.Result, path: TwinPath, last: int | None = None) -> float:
    """The largest relative distance of prices, quantities and shares up to a step."""
    end = (path.steps if last is None else last) + 1
    pairs = [(getattr(path, name), getattr(result.trajectory, name)) for name in ARRAYS]
    return max(largest_distance(one[:end], other[:end])[0] for one, other in pairs)


def compared(result: market_abm.Result) -> dict[str, float]:
    """The distances of a run from its twin, from the textbook, and of prices from dated gradients.

    ``dates`` is the largest difference of a price from the gradient of goods as they travel,
    relative to the largest price.
    """
    economy, settings, steps = result.experiment.economy, result.experiment.market, result.steps
    same = twin(economy, settings, steps)
    row = {
        "identical until": same.identical_until,
        "identical": distance(result, same, same.identical_until),
        "textbook": distance(result, textbook(economy, settings, steps)),
    }
    if same.mixed_dates is not None:
        largest = np.abs(same.prices).max(axis=0)
        row["dates"] = float((np.abs(same.mixed_dates) / largest).max())
    return row


# --- eigenvalues ----------------------------------------------------------------------------------


def rest(name: str, mechanism: str) -> tuple[Economy, Any, Equilibrium]:
    """An economy, the settings of the market, and its equilibrium."""
    chosen = experiment(name, mechanism)
    best = equilibrium(chosen.economy)
    assert best is not None and best.solved
    return chosen.economy, chosen.market, best


def jacobian(function: Callable[[np.ndarray], np.ndarray], at: np.ndarray) -> np.ndarray:
    """The derivative of a function of a vector, by central differences."""
    moves = MOVE * np.eye(len(at))
    return np.array([(function(at + m) - function(at - m)) / (2 * MOVE) for m in moves]).T


def apart(one: np.ndarray, other: np.ndarray) -> float:
    """The largest distance from an eigenvalue of either to the nearest one of the other."""
    gaps = np.abs(one[:, None] - other)
    first = gaps[np.abs(one) > SMALL].min(axis=1).max(initial=0.0)
    return float(max(first, gaps[:, np.abs(other) > SMALL].min(axis=0).max(initial=0.0)))


def of_shares(
    kind: type[ShareOptimiser], economy: Economy, settings: Any, best: Equilibrium
) -> np.ndarray:
    """The eigenvalues of an optimiser of shares: of a step as a function of the last ones.

    The variables are the logarithms of the offers of suppliers who respond and, in each pool, of
    the shares but for the first; each at as many dates as matter to a gradient.
    """
    buyers, raw = economy.buyers, len(economy.supply)
    moving = np.flatnonzero([supply.elasticity > 0 for supply in economy.supply.values()])
    pools = [pool.buyers for pool in buyers.shared_pools]
    free = len(moving) + sum(pool.stop - pool.start - 1 for pool in pools)
    dates = 2 * kind(economy, settings).program.longest + 2

    def unpacked(point: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        offers, shares = best.quantities[:raw].copy(), best.shares.copy()
        offers[moving] *= np.exp(point[: len(moving)])
        first = len(moving)
        for pool in pools:
            last = first + pool.stop - pool.start - 1
            weights = shares[pool] * np.exp(np.append(0.0, point[first:last]))
            shares[pool], first = weights / weights.sum(), last
        return offers, shares

    def packed(offers: np.ndarray, shares: np.ndarray) -> np.ndarray:
        parts = [np.log(offers[moving] / best.quantities[moving])]
        for pool in pools:
            logs = np.log(shares[pool] / best.shares[pool])
            parts.append(logs[1:] - logs[0])
        return np.concatenate(parts)

    def step(points: np.ndarray) -> np.ndarray:
        optimiser = kind(economy, settings)
        points = points.reshape(dates, free)
        optimiser.program.batches.clear()
        optimiser.quantities = best.quantities
        shares = best.shares
        for point in points:
            offers, later = unpacked(point)
            optimiser.make(offers, shares)
            shares = later
        optimiser.shares = shares
        optimiser.reached[:] = optimiser.priced[:] = True
        optimiser.step()
        return np.append(
            points.ravel()[free:], packed(optimiser.quantities[:raw], optimiser.shares)
        )

    return np.linalg.eigvals(jacobian(step, np.zeros(dates * free)))


def of_market(economy: Economy, settings: Any, best: Equilibrium) -> np.ndarray:
    """The eigenvalues of one step of the array engine at the equilibrium."""
    (matrix,) = Steps([economy], [settings], [SteadyState.of(economy, settings, best)]).jacobians()
    assert matrix is not None
    return np.linalg.eigvals(matrix)


def of_descent(economy: Economy, settings: Any, best: Equilibrium) -> np.ndarray:
    """The eigenvalues of p ← p - λ ∇Φ: 1 - λ h, with h those of the Hessian of Φ.

    Φ is differentiated twice by differences of itself, and once extrapolated.
    """
    potential = dual.Dual(economy)
    last = len(economy.buyers.pools)
    fixed = [np.isinf(each.elasticity) for each in economy.demand.values()]
    free = np.append(np.arange(last), last + np.flatnonzero(~np.array(fixed)))
    quotes = resting_quotes(economy, best)

    def hessian(move: float) -> np.ndarray:
        moves = move * np.diag(quotes)[free]
        pairs = [(potential.gradient(quotes + m), potential.gradient(quotes - m)) for m in moves]
        rows = np.array([(up - down)[free] for up, down in pairs])
        return rows / (2.0 * move * quotes[free])[:, None]

    curvature = (4.0 * hessian(1e-3) - hessian(2e-3)) / 3.0
    return np.linalg.eigvals(np.eye(len(free)) - settings.auction_rate * curvature)


def resting_quotes(economy: Economy, best: Equilibrium) -> np.ndarray:
    """The quotes of an equilibrium, in the order of ``twins/dual.py``."""
    assert all(kind == "rival" for kind in economy.reuse.values())
    return best.prices[dual.good_of_quotes(economy)]


def of_orders(
    kind: type[SaddlePoint], economy: Economy, settings: Any, best: Equilibrium
) -> np.ndarray:
    """The eigenvalues of a primal-dual method; ``PrimalDual`` measures steps in units of rest."""
    quotes = resting_quotes(economy, best)
    orders = best.shares * best.quantities[economy.buyers.good]
    raw, last = len(economy.supply), len(economy.buyers.pools)
    sizes = np.concatenate([orders, orders, quotes, best.quantities[:raw]])
    ends = np.cumsum([len(orders), len(orders), len(quotes)])
    elastic = [np.isinf(each.elasticity) for each in economy.demand.values()]
    moving = np.ones(len(sizes), bool)
    moving[ends[1] + last : ends[2]] = ~np.array(elastic)

    def at(point: np.ndarray) -> SaddlePoint:
        method = kind(economy, settings)
        method.orders, older, method.quotes, method.offers = np.split(sizes * np.exp(point), ends)
        method.made = method.lagrangian.supply(method.orders, method.offers)
        method.prices = dual.prices(economy, method.quotes)
        method.last_orders = older
        if isinstance(method, PrimalDual):
            method.order_unit = orders / quotes[economy.buyers.pool]
            method.quote_unit = quotes / best.quantities[dual.good_of_quotes(economy)]
        return method

    def step(point: np.ndarray) -> np.ndarray:
        method = at(point)
        before = method.orders
        method.step()
        after = np.concatenate([method.orders, before, method.quotes, method.offers])
        return np.log(after / sizes)

    full = jacobian(step, np.zeros(len(sizes)))
    return np.linalg.eigvals(full[np.ix_(moving, moving)])


# --- posted prices: the region in which nothing is rationed ---------------------------------------

SURPLUS, NUDGE = 1e-6, 2e-8
"""How far orders are held below the supply, and the differences there, both relative."""


def of_surplus(economy: Economy, settings: Any, best: Equilibrium) -> np.ndarray:
    """The eigenvalues of the market's step where supply exceeds orders by a millionth.

    At rest orders equal supply, and a step has a kink. This is the derivative on one side of it, to
    about the size of ``SURPLUS``, and of rounding over ``NUDGE``: some 1e-6.
    """
    inputs = best.shares * best.quantities[economy.buyers.good]
    products = marginal_products(economy, inputs)
    last = len(economy.buyers.pools)
    at = {
        "orders": inputs * (1.0 - SURPLUS),
        "products": products,
        "quotes": resting_quotes(economy, best)[:last],
        "prices": best.prices,
        "offers": best.quantities[: len(economy.supply)],
        "quantities": best.quantities,
    }
    elastic = economy.final[np.isinf([each.elasticity for each in economy.demand.values()])]
    places = [(name, k) for name, array in at.items() for k in range(len(array))]
    places = [each for each in places if each not in {("prices", k) for k in elastic}]
    runs = 2 * len(places)
    engine: Any = array_market([economy] * runs, [settings] * runs, [0] * runs)
    moved = {name: np.tile(array, (runs, 1)) for name, array in at.items()}
    for n, (name, k) in enumerate(places):
        moved[name][2 * n : 2 * n + 2, k] *= 1.0 + NUDGE * np.array([1.0, -1.0])
    engine.memory = {"bids": best.prices[economy.buyers.maker] * products}
    engine.finish()  # orders and shares follow; then they are what they are to be
    for name, array in moved.items():
        if name == "products":
            engine.products = array
        else:
            getattr(engine, name)[:] = array
    made = engine.quantities.copy()
    engine.prices[:, economy.buyers.good[economy.buyers.starts]] = engine.quotes
    engine.shares[:] = engine.orders / made[:, economy.buyers.good]
    engine.step()
    ends = [(getattr(engine, name)[:, k], at[name][k]) for name, k in places]
    matrix = [(after[::2] - after[1::2]) / size for after, size in ends]
    return np.linalg.eigvals(np.array(matrix) / (2.0 * NUDGE))


def single_steps(name: str, steps: int) -> tuple[int, float, float]:
    """One step of the twin from each state that the market comes to.

    Returns
    -------
    applies
        The number of states in which nothing is short.
    identical, other
        The largest relative distance after the step, from these states and from the others.
    """
    chosen = experiment(name, "posted-price")
    economy, settings = chosen.economy, chosen.market
    engine: Any = array_market([economy], [settings], [0])
    method = LogPrimalDual(economy, settings)
    applies, far = 0, {True: 0.0, False: 0.0}
    for _ in range(steps):
        method.last_orders, method.values = engine.state.inputs[0], engine.bids[0].copy()
        method.orders, method.offers = engine.orders[0].copy(), engine.offers[0].copy()
        method.made = engine.quantities[0].copy()
        method.prices = engine.prices[0].copy()
        method.quotes = np.append(engine.quotes[0], method.prices[economy.final])
        possible = method.applies()
        method.step()
        engine.step()
        pairs = (method.orders, engine.orders), (method.made, engine.quantities)
        sizes = [largest_distance(one[None], other) for one, other in pairs]
        sizes.append(largest_distance(method.prices[None], engine.prices))
        far[possible] = max(far[possible], *(size for size, _ in sizes))
        applies += possible
    return applies, far[True], far[False]


# --- the table ------------------------------------------------------------------------------------


def at_rest(mechanism: str) -> tuple[float, tuple[float, float]]:
    """The market and the textbook's optimiser near rest.

    Returns
    -------
    apart
        The largest distance of an eigenvalue of the market's step from those of the textbook's,
        with the gradients that the market has.
    rates
        The largest eigenvalue in size of the market, and of the textbook's optimiser with the
        gradients of the present point.
    """
    economy, settings, best = rest(AT_REST[mechanism], mechanism)
    point, kind = (economy, settings, best), TEXTBOOKS[mechanism]
    if issubclass(kind, SaddlePoint):
        found, same = of_surplus(*point), of_orders(kind, *point)
        present = of_orders(PresentPrimalDual, *point)
    elif issubclass(kind, ShareOptimiser):
        found, same = of_market(*point), of_shares(kind, *point)
        present = of_shares(kind, economy, replace(settings, activation="sequential"), best)
    else:
        found, same = of_market(*point), of_descent(*point)
        present = same
    return apart(found, same), (np.abs(found).max(), np.abs(present).max())


def rows() -> list[str]:
    """A row of the table for each mechanism."""
    found = []
    for mechanism, names in PATHS.items():
        paths = {name: compared(market(name, mechanism)) for name in names}
        same, (rate, present) = at_rest(mechanism)
        found.append(
            [
                f"`{mechanism}`",
                _sentence(TWINS[mechanism]),
                _cell(paths, "identical"),
                TEXTBOOKS[mechanism].name,
                f"{AT_REST[mechanism]} {_number(same)}",
                _cell(paths, "textbook"),
                f"{rate:.4f}, {present:.4f}",
                _cell(paths, "dates") or "none",
            ]
        )
    return ["| " + " | ".join(row) + " |" for row in found]


def _sentence(optimiser: type[Optimiser]) -> str:
    return f"{optimiser.name}, {optimiser.where or 'at every step'}"


def _number(size: float) -> str:
    return f"{size:.1e}" if np.isfinite(size) else "breaks down"


def _cell(paths: dict[str, dict[str, float]], key: str) -> str:
    return ", ".join(f"{name} {_number(row[key])}" for name, row in paths.items() if key in row)


HEAD = (
    "mechanism",
    "(a) identical to",
    "largest distance",
    "the textbook's optimiser",
    "(b) eigenvalues apart",
    "(c) path apart",
    "rate at rest: market, with present gradients",
    "dates mixed",
)


if __name__ == "__main__":
    with np.errstate(all="ignore"):
        print(f"| {' | '.join(HEAD)} |", "| --- " * len(HEAD) + "|", *rows(), sep="\n")
