"""A run beside the best known allocation: how far it ended from it, and what it rests at."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from market_abm.analysis.observer import relative_error
from market_abm.economy.economy import Economy
from market_abm.economy.io_table import InputOutputTable
from market_abm.economy.ties import Payments, at_kink
from market_abm.experiment.experiment import Experiment
from market_abm.gradient.budgets import Budgets
from market_abm.gradient.closed_form import spectral_radius
from market_abm.gradient.equilibrium import Equilibrium, equilibrium, is_general
from market_abm.gradient.optimality import Kind
from market_abm.gradient.stationary import nearest_stationary
from market_abm.market.base import MarketSettings
from market_abm.market.state import State
from market_abm.runs.ending import least_scale
from market_abm.runs.numeraire import relative_prices

REST_ACCURACY = 1e-6
"""The residual of the first-order conditions at which a market at rest counts as stationary."""


def best_known(
    economy: Economy, market: MarketSettings, last: State, known: Equilibrium | None = None
) -> Equilibrium | None:
    """The best known allocation; with households, of the equilibria the one nearest to a state.

    ``known`` is the economy's, if it has been found, used where it does not depend on the run.
    """
    level = _level(economy, market, last)
    found = equilibrium(economy, level=level) if known is None or level is not None else known
    return found if found is None else found.nearest(last.prices)


def _level(economy: Economy, market: MarketSettings, last: State) -> np.ndarray | None:
    """The last prices, where an equilibrium depends on their level and no money determines it."""
    budgets = Budgets(economy)
    free = budgets.transfers and budgets.closed and not market.rules.bids_are_money
    return last.prices if free and np.isfinite(last.prices).all() else None


def resting(
    experiment: Experiment, economy: Economy, last: State, best: Equilibrium | None
) -> Equilibrium | None:
    """The allocation at which a market rests, and what it is; ``best`` itself if it is that.

    Parameters
    ----------
    experiment
        The experiment that was run.
    economy, last
        The economy and the state at the last step.
    best
        The best known allocation.
    """
    if best is not None and best.solved and best.is_near(last.quantities, last.shares):
        return best
    if is_general(economy) and at_kink(economy, last.shares, last.quantities):
        return None  # no conditions with budgets are known there
    raw = last.quantities[: len(economy.supply)]
    accuracy = max(REST_ACCURACY, 10.0 * experiment.run.tolerance)
    paid = experiment.market.rules.per_unit(last.bids, last.inputs)
    payments = Payments(paid, last.prices, accuracy)
    level = _level(economy, experiment.market, last)
    found = nearest_stationary(economy, raw, last.shares, accuracy, payments, level)
    return found if found is None or best is None else found.compared_with(best)


def rest_summary(rest: Equilibrium | None, best: Equilibrium | None) -> dict[str, Any] | None:
    """What the allocation is at which a market rests, its W, and whether a better one is known."""
    if rest is None:
        return None
    better = best is not None and best.solved and best.is_better_than(rest)
    return {"kind": rest.kind.value, "welfare": rest.welfare, "better_known": better}


def distance(last: State, welfare: float, best: Equilibrium, least: np.ndarray) -> dict[str, Any]:
    """How far a state with this W is from the best known allocation, and what that is.

    ``least`` is the scale of prices that may tend to 0, shape (goods,).
    """
    with np.errstate(invalid="ignore"):  # it may have diverged
        prices = relative_error(last.prices, best.prices, least).max()
        quantities = relative_error(last.quantities, best.quantities).max()
    general = {"reached": best.reached, "equilibria": best.found}
    return {
        "solved": best.solved,
        "prices": float(prices),
        "quantities": float(quantities),
        "welfare": best.welfare - welfare,
        "best_welfare": best.welfare,
        "kind": best.kind.value,
        "starts": best.starts,
        "complete": best.complete,
        **(general if best.kind in (Kind.EQUILIBRIUM, Kind.PARETO_OPTIMUM) else {}),
    }


def distance_of(result: Any) -> dict[str, Any] | None:
    """The distance of a ``Result`` from the best known allocation; None if that is unknown.

    Prices are compared in the unit of account, each side in units of its own numeraire.
    """
    best, economy = result.equilibrium, result.economy
    if best is None:
        return None
    best = dataclasses.replace(best, prices=relative_prices(economy, best.prices))
    least = least_scale(economy, result.trajectory)
    return distance(result.last, float(result.path.welfare[-1]), best, least)


@np.errstate(all="ignore")
def first_reached(
    prices: np.ndarray, quantities: np.ndarray, best: Equilibrium, within: float
) -> int | None:
    """The first record from which all stay within ``within`` of the best one, or None."""
    pairs = ((prices, best.prices), (quantities, best.quantities))
    gaps = [relative_error(path, np.broadcast_to(ideal, path.shape)) for path, ideal in pairs]
    far = np.flatnonzero(~(np.concatenate(gaps, axis=1).max(axis=1) <= within))
    first = int(far[-1]) + 1 if len(far) else 0
    return first if first < len(prices) else None


def table_rate(
    table: InputOutputTable | None, economy: Economy, market: MarketSettings
) -> float | None:
    """The rate of a table's economy in closed form; see :attr:`Result.predicted_rate`."""
    plain = (
        market.rules.bids_are_money
        and (market.activation, market.lag, market.dated) == ("simultaneous", 0, False)
        and getattr(market, "bid_rate", None) == 1.0
    )
    if table is None or not plain:
        return None
    elasticities = economy.industries[0].technology.parameters.values()
    return spectral_radius(table) if all(each == 1.0 for each in elasticities) else None
