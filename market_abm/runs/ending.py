"""How a run ended, including its distance from the gradient."""

from __future__ import annotations

import numpy as np

from market_abm.analysis.observer import relative_error
from market_abm.experiment.experiment import Experiment
from market_abm.simulation.endings import Ending, Status, out_of_steps
from market_abm.simulation.loop import Run


def full_ending(experiment: Experiment, run: Run) -> Ending:
    """The ending of a run: convergence or not, and the good furthest from its gradient."""
    economy, tolerance = experiment.economy, experiment.run.tolerance
    if run.ending is not None:
        return run.ending
    if run.last_observations["settled"]:
        first = run.last_observations["since"]
        last = economy.goods[int(np.argmax(first))]
        detail = (
            f"converged at step {run.last.step}: every price is within {tolerance:g} of its "
            f"exact gradient and quantities are stationary; {last} converged last, at step "
            f"{first.max()}"
        )
        return Ending(Status.CONVERGED, run.last.step, last, detail)
    changes = experiment.changes
    last_shock = changes[-1][0] if changes else 0
    ending = out_of_steps(economy, experiment.market, run.trajectory, last_shock)
    if ending.status is not Status.MAX_STEPS:
        return ending
    with np.errstate(all="ignore"):
        errors = relative_error(run.last.prices, run.last_observations["gradients"])
    worst = int(np.argmax(np.where(np.isnan(errors), np.inf, errors)))
    if errors[worst] <= tolerance:
        detail = (
            f"{ending.detail}: every price is at its gradient, but quantities are not stationary"
        )
    else:
        detail = (
            f"{ending.detail}: the price of {economy.goods[worst]} is {errors[worst]:.3g} "
            f"(relative) from its gradient"
        )
    return Ending(ending.status, ending.step, economy.goods[worst], detail)
