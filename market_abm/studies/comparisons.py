"""Compare mechanisms with each other on one economy."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from market_abm.analysis.forecast import steps_needed
from market_abm.analysis.observer import relative_error
from market_abm.display import Savable, view
from market_abm.errors import EconomyError, MarketError, SettingError
from market_abm.experiment.experiment import Experiment
from market_abm.fields import check_choice
from market_abm.gradient.backprop import references
from market_abm.gradient.landscape import Ascent, gradient_ascent
from market_abm.market.mechanisms.registry import MECHANISMS
from market_abm.runs.optimum import first_reached
from market_abm.runs.progress import OPTIMUM, WorkProgress, of_run, working
from market_abm.runs.result import Result
from market_abm.runs.run import Runnable, as_experiment, run
from market_abm.simulation.endings import Status
from market_abm.studies.budget import within_budget
from market_abm.studies.optimizers import origin

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

REACHED = 1e-6
"""Relative distance of all prices and quantities from the best allocation that is as good as 0."""

ASCENT = "gradient ascent"
"""The row of gradient ascent in a comparison of mechanisms."""

ALL = tuple(name for name, rules in MECHANISMS.items() if rules.has_agents)
"""The mechanisms that ``"all"`` names: not the published model, which has no agents."""


# --- mechanisms with each other -------------------------------------------------------------------


def compare_mechanisms(
    what: Runnable,
    mechanisms: str | Sequence[str] = "all",
    *,
    overrides: Mapping[str, Any] | None = None,
    progress: WorkProgress | None = None,
) -> MechanismComparison:
    """Run an experiment under several mechanisms, and gradient ascent on the same economy.

    Each has a budget (:class:`MechanismComparison`).

    Parameters
    ----------
    what
        An experiment or economy, an experiment file, or the name of an experiment.
    mechanisms
        Names of mechanisms, or ``"all"``.
    overrides
        Settings of the file by dotted key.
    progress
        ``progress(what, done, most)``, called with the step of each mechanism, and of gradient
        ascent, and with the one at which it is likely to end.

    Raises
    ------
    MarketError
        The experiment cannot be read, or there is no such mechanism, or it is named twice.
    """
    names = [mechanisms] if isinstance(mechanisms, str) else mechanisms
    return MechanismComparison.of(as_experiment(what, overrides), names, progress)


@dataclass(frozen=True, eq=False, repr=False)
class MechanismComparison(Savable):
    """The same economy under several mechanisms, and under plain gradient ascent.

    A run ends after a million steps of a firm (but not before 500 steps), gradient ascent after
    20,000 steps, fewer of more than ten lines. Economies of more than 30 firms run in the array
    engine, whose numbers are those of the agents to 1e-12.

    Parameters
    ----------
    experiment
        What was run.
    results
        The result under each mechanism, or the reason why it cannot run this economy.
    ascent
        Gradient ascent on W; None if no optimum is known or the experiment has shocks.
    allowed
        The steps that the budget allowed each run, if fewer than the experiment's; else None.
    """

    experiment: Experiment
    results: dict[str, Result | MarketError]
    ascent: Ascent | None
    allowed: int | None = None

    @staticmethod
    def of(
        experiment: Experiment,
        mechanisms: Sequence[str] = ("all",),
        progress: WorkProgress | None = None,
    ) -> MechanismComparison:
        """Run them all.

        Raises
        ------
        SettingError
            There is no such mechanism, or it is named twice.
        EconomyError
            There are households: each mechanism has a price level, and weights, of its own.
        """
        if experiment.economy.households:
            raise EconomyError(
                "with households each mechanism ends at a price level and at weights of its own, "
                "so that welfare and prices under several are not of one scale",
                remedy="run them one by one (--set market.mechanism=...): the distance to the "
                "equilibrium is at a run's own price level",
                name="households",
            )
        names = list(ALL) if list(mechanisms) == ["all"] else list(mechanisms)
        for k, name in enumerate(names):
            if name == "all":
                raise SettingError(
                    '--mechanisms is "all" and more', remedy="leave the rest out", name=name
                )
            check_choice(name, "--mechanisms", MECHANISMS)
            if name in names[:k]:
                raise SettingError(
                    f"--mechanisms names {name} twice", remedy="leave one out", name=name
                )
        results: dict[str, Result | MarketError] = {}
        within = within_budget(experiment)
        for name in names:
            try:
                each = within.with_mechanism(name)
                results[name] = result = run(each, progress=of_run(each, name, progress))
                if progress:
                    progress(name, result.steps, result.steps)
                if result.status == "interrupted":
                    raise KeyboardInterrupt
            except MarketError as error:
                results[name] = error
                if progress:
                    progress(name, 0, 0)
        done = [result for result in results.values() if isinstance(result, Result)]
        with working(OPTIMUM, progress):
            _share_optimum(done)
            best = done[0].equilibrium if done else None
        ascent = None
        if best is not None and best.solved and not experiment.changes:
            told = progress and partial(progress, ASCENT)
            ascent = gradient_ascent(experiment.economy, best, REACHED**2, told)
        allowed = None if within.run.steps == experiment.run.steps else within.run.steps
        return MechanismComparison(experiment, results, ascent, allowed)

    def table(self) -> pd.DataFrame:
        """One row per mechanism, and one for gradient ascent.

        ``steps`` is the first step from which all prices and quantities stay within 1e-6 of the
        best known allocation; ``messages`` counts one price message per buyer in each of these
        steps (for gradient ascent, each derivative passed back); ``welfare`` is W at the end,
        money; ``wasted`` the unallocated share of the goods on sale; ``money_made`` the absolute
        difference between money paid and received, over money received. ``why`` says why a
        mechanism was refused or did not settle; ``needed`` is about the step at which it would have
        got there, at the rate of its last steps.
        """
        import pandas as pd

        rows = {}
        for name, result in self.results.items():
            if isinstance(result, Result):
                rows[name] = {"status": result.status, **_counted(result), **_conserved(result)}
                if not result.at_rest:
                    rows[name]["why"] = result.ending.detail
                if result.ending.status is Status.MAX_STEPS:
                    rows[name]["needed"] = _forecast(result)
            else:
                rows[name] = {"status": "refused", "why": str(result)}
        done = next((r for r in self.results.values() if isinstance(r, Result)), None)
        if self.ascent is not None and done is not None:
            best, buyers = done.equilibrium, done.experiment.economy.buyers.size
            assert best is not None
            steps = first_reached(self.ascent.prices, self.ascent.quantities, best, REACHED)
            rows[ASCENT] = {
                "status": "converged" if steps is not None else "max_steps",
                "steps": steps,
                "messages": None if steps is None else (steps + 1) * buyers,
                "welfare": float(self.ascent.welfare[-1]),
            }
            if steps is None:
                rows[ASCENT]["needed"] = _needed(self.ascent.prices, best.prices)
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("mechanism")

    def figure(self) -> Figure:
        """The distance of welfare from that of the best known allocation over time."""
        return view(self, "figure")(self)

    def frame(self) -> pd.DataFrame:
        """The table with the mechanisms as a column."""
        return self.table().reset_index()

    def summary(self) -> dict[str, Any]:
        """The comparison as one object for JSON."""
        rows = json.loads(self.frame().to_json(orient="records"))
        return {"mechanisms": rows, "allowed_steps": self.allowed, **origin(self.experiment)}


def _share_optimum(results: Sequence[Result]) -> None:
    """Find the best known allocation of each economy once, whatever the mechanisms it ran under."""
    first: dict[int, Result] = {}
    for result in results:
        known = first.setdefault(id(result.economy), result)
        vars(result)["equilibrium"] = known.equilibrium


def _counted(result: Result) -> dict[str, Any]:
    best = result.equilibrium
    first = None
    if best is not None and best.solved:
        prices = result.outcome.trajectory.prices
        first = first_reached(prices, result.quantities, best, REACHED)
    steps = None if first is None else int(result.times[first])
    return {
        "steps": steps,
        "messages": None if steps is None else steps * result.experiment.economy.buyers.size,
        "welfare": float(result.path.welfare[-1]),
    }


def _forecast(result: Result) -> int | None:
    """About the step at which prices would be within 1e-6 of the steady state's, or None."""
    steady = result.steady_state_prices
    if steady is None:
        return None
    places = [result.goods.index(good) for good in result.recorded]
    return _needed(result.prices, steady[places], result.times)


@np.errstate(all="ignore")
def _needed(prices: np.ndarray, steady: np.ndarray, times: np.ndarray | None = None) -> int | None:
    distances = relative_error(prices, np.broadcast_to(steady, prices.shape)).max(axis=1)
    times = np.arange(len(prices)) if times is None else times
    steps = steps_needed(distances, times, REACHED)
    return None if steps is None else math.ceil(steps)


@np.errstate(all="ignore")
def _conserved(result: Result) -> dict[str, float | None]:
    """The unallocated share of goods and the budget imbalance, by column.

    None if too little is recorded, or if it has no meaning under the mechanism.
    """
    path, experiment = result.trajectory, result.experiment
    thin = len(path.shares) != len(path.prices) or experiment.record_interval != 1
    kept = None
    if not thin:
        market, economy = experiment.market, experiment.economy
        kept = market.rules.conservation(path, economy, market, references(economy))
    return {
        "wasted": None if kept is None else kept.unallocated_share,
        "money_made": None if kept is None else kept.budget_imbalance,
    }
