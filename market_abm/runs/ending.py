"""How a run ended, including its distance from the gradient."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from market_abm.analysis.observer import relative_error
from market_abm.economy.economy import Economy
from market_abm.experiment.experiment import Experiment
from market_abm.simulation.endings import Ending, Status, out_of_steps
from market_abm.simulation.loop import Run
from market_abm.simulation.record import Trajectory

GROWTH_ROUNDING = 1e-12
"""The logarithm of a growth factor that is its rounding."""


def full_ending(experiment: Experiment, run: Run) -> Ending:
    """The ending of a run, and by how much a closed system grows."""
    ending = _ending(experiment, run)
    grows = float(run.last_observations["welfare"]) if experiment.economy.closed else 0.0
    if not abs(grows) > max(experiment.run.tolerance, GROWTH_ROUNDING):
        return ending
    way = "grow" if grows > 0.0 else "shrink"
    detail = f"{ending.detail}; quantities {way} by the factor {np.exp(grows):.10g} a step"
    if ending.status in (Status.CONVERGED, Status.OFF_GRADIENT):
        detail += ", in proportion, and prices by the inverse"
    return replace(ending, detail=detail)


def _ending(experiment: Experiment, run: Run) -> Ending:
    """The ending of a run: at rest or not, and the good furthest from its gradient.

    At rest, prices count as at their gradients up to the root of the tolerance, which is of each
    agent's own conditions.
    """
    economy, tolerance = experiment.economy, experiment.run.tolerance
    if run.ending is not None:
        return run.ending
    with np.errstate(all="ignore"):
        gradients = run.last_observations["gradients"]
        errors = relative_error(run.last.prices, gradients, least_scale(economy, run.trajectory))
    worst = int(np.argmax(np.where(np.isnan(errors), np.inf, errors)))
    if run.last_observations["settled"]:
        return _at_rest(experiment, run, worst, float(errors[worst]))
    changes = experiment.changes
    last_shock = changes[-1][0] if changes else 0
    ending = out_of_steps(economy, experiment.market, run.trajectory, last_shock)
    if ending.status is not Status.MAX_STEPS:
        return ending
    if errors[worst] <= tolerance:
        detail = (
            f"{ending.detail}: every price is at its gradient, but firms still have a reason to "
            "change their bids or inputs"
        )
    else:
        detail = f"{ending.detail}: {_distance(economy.goods[worst], errors[worst])}"
    return Ending(ending.status, ending.step, economy.goods[worst], detail)


def _at_rest(experiment: Experiment, run: Run, worst: int, error: float) -> Ending:
    """The ending of a run at rest, whose largest price ``error`` is of the good at ``worst``."""
    economy, tolerance, step = experiment.economy, experiment.run.tolerance, run.last.step
    if not error <= np.sqrt(tolerance):
        detail = (
            f"at rest at step {step}, off the gradient: no firm has a reason to move, but "
            f"{_distance(economy.goods[worst], error)}"
        )
        return Ending(Status.OFF_GRADIENT, step, economy.goods[worst], detail)
    first = run.last_observations["since"]
    detail = f"converged at step {step}: no firm has a reason to move, and every price is within "
    if np.any(first < 0):
        detail += f"{error:.2g} of its exact gradient"
        return Ending(Status.CONVERGED, step, economy.goods[worst], detail)
    last = economy.goods[int(np.argmax(first))]
    detail += f"{tolerance:g} of its exact gradient; {last} came within last, at step {first.max()}"
    return Ending(Status.CONVERGED, step, last, detail)


def least_scale(economy: Economy, path: Trajectory) -> np.ndarray:
    """The scale of prices that may tend to 0, money per unit, shape (goods,); 0 of all others.

    They are those of goods whose suppliers have no supply curve: at the optimum their price is 0,
    or their marginal cost. The scale is the largest on the path.
    """
    scale = np.zeros(len(economy.goods))
    learning = np.flatnonzero(economy.without_curve)
    if len(learning):
        recorded = np.isin(path.goods, learning)
        scale[path.goods[recorded]] = np.abs(path.prices[:, recorded]).max(axis=0, initial=0.0)
    return scale


def _distance(good: str, error: float) -> str:
    """How far the price of a good is from its gradient."""
    if np.isnan(error):
        return f"the gradient of {good} is undefined"
    return f"the price of {good} is {error:.3g} (relative) from its gradient"
