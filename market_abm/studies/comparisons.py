"""Compare a market with optimisers, and mechanisms with each other."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from market_abm.analysis.observer import allocation
from market_abm.display import Displayable, view
from market_abm.errors import MarketError, SettingError
from market_abm.experiment.experiment import Experiment
from market_abm.fields import check_choice
from market_abm.gradient.backprop import references
from market_abm.gradient.landscape import Ascent, Landscape, gradient_ascent, landscape
from market_abm.gradient.welfare import surplus
from market_abm.market.mechanisms.registry import MECHANISMS
from market_abm.runs.optimum import first_reached
from market_abm.runs.result import Result
from market_abm.runs.run import Runnable, as_experiment, run
from market_abm.runs.summary import jsonable, resolved, versions
from market_abm.simulation.loop import Progress
from market_abm.studies.budget import MechanismProgress, steps_of, within_budget
from market_abm.twins.base import TwinPath, largest_distance
from market_abm.twins.dual import potential
from market_abm.twins.registry import TEXTBOOKS, TWINS, textbook, twin

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

REACHED = 1e-6
"""Relative distance of all prices and quantities from the best allocation that is as good as 0."""

ASCENT = "gradient ascent"
"""The row of gradient ascent in a comparison of mechanisms."""

ALL = tuple(name for name, rules in MECHANISMS.items() if rules.has_agents)
"""The mechanisms that ``"all"`` names: not the published model, which has no agents."""


# --- a market and optimisers -------------------------------------------------------------------


def compare(
    what: Runnable,
    *,
    overrides: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> OptimizerComparison:
    """Run a market, its twin and the textbook's optimiser, from the same start.

    Parameters are those of :func:`market_abm.run`.

    Raises
    ------
    MarketError
        The experiment cannot be read or run, or there is no such optimiser.
    """
    return OptimizerComparison.of(as_experiment(what, overrides, settings), progress)


@dataclass(frozen=True, eq=False, repr=False)
class OptimizerComparison(Displayable):
    """A run of a market, and as many steps of two optimisers from the same start.

    Both are written from formulas alone.

    Parameters
    ----------
    result
        The run of the market.
    twin
        The path of the optimiser that the mechanism is identical to.
    textbook
        The path of the textbook's optimiser.
    """

    result: Result
    twin: TwinPath
    textbook: TwinPath

    @staticmethod
    def of(experiment: Experiment, progress: Progress | None = None) -> OptimizerComparison:
        """Run all three.

        Raises
        ------
        SettingError
            The record is thinned, or the experiment has shocks, which a twin cannot have.
        MarketError
            There is no twin of such a market, or the market cannot run.
        """
        if experiment.record.every != 1 or experiment.record.goods is not None:
            raise SettingError(
                "the record is thinned, but every step is compared",
                remedy="leave out record.every and record.goods",
                name="record",
            )
        if experiment.changes:
            raise SettingError("a twin cannot have shocks", remedy="leave them out", name="shocks")
        twin(experiment.economy, experiment.market, 0)
        result = run(experiment, progress=progress)
        terms = experiment.economy, experiment.market, result.steps
        return OptimizerComparison(result, twin(*terms), textbook(*terms))

    @property
    def twin_name(self) -> str:
        """The optimiser that the mechanism is identical to."""
        return TWINS[self.result.experiment.market.mechanism].name

    @property
    def textbook_name(self) -> str:
        """The textbook's optimiser."""
        return TEXTBOOKS[self.result.experiment.market.mechanism].name

    @cached_property
    def distances(self) -> dict[str, tuple[float, int]]:
        """The largest distance of prices, quantities and shares from the twin, and its step.

        Up to the last step at which the market is identical to it. Relative to the largest size of
        each good or share on the path.
        """
        return self._distances(self.twin, self.twin.identical_until)

    @cached_property
    def later_distances(self) -> dict[str, tuple[float, int]]:
        """The same over the whole path, beyond the steps at which the market is identical to it."""
        return self._distances(self.twin, self.twin.steps)

    @cached_property
    def textbook_distances(self) -> dict[str, tuple[float, int]]:
        """The same from the textbook's optimiser, over the whole path; infinite if that breaks."""
        return self._distances(self.textbook, self.textbook.steps)

    def _distances(self, other: TwinPath, last: int) -> dict[str, tuple[float, int]]:
        path = self.result.trajectory
        pairs = {name: getattr(path, name) for name in ("prices", "quantities", "shares")}
        return {
            name: largest_distance(array[: last + 1], getattr(other, name)[: last + 1])
            for name, array in pairs.items()
            if len(array) == len(path.prices) and array.size
        }

    @cached_property
    def mixed_dates(self) -> tuple[float, str, int] | None:
        """How far a price is, at most, from the gradient of goods that really travel.

        Relative to the largest price of the good; and the good and the step. None where prices
        are no slopes of batches, or are averages of several.
        """
        if self.twin.mixed_dates is None:
            return None
        largest = np.abs(self.twin.prices).max(axis=0)
        gaps = np.abs(self.twin.mixed_dates) / np.where(largest > 0.0, largest, 1.0)
        step, good = np.unravel_index(np.argmax(gaps), gaps.shape)
        return float(gaps[step, good]), self.result.goods[good], int(step)

    @cached_property
    def welfare(self) -> np.ndarray:
        """W along the twin's path, money, shape (steps + 1,)."""
        experiment, twin = self.result.experiment, self.twin
        economy, reference = experiment.economy, references(experiment.economy)[None, :]
        rules = experiment.market.rules
        at = allocation(economy, rules, reference, twin.shares, twin.quantities)
        return surplus(economy, reference, at.quantities)

    @cached_property
    def potential(self) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """Φ along a path of ``tatonnement``: steps, at most 200, and Φ of market and twin, money.

        None for other mechanisms; the twin's is NaN where a good has more than one quote.
        """
        experiment = self.result.experiment
        if experiment.market.rules.alignment != "prices":
            return None
        economy, path = experiment.economy, self.result.trajectory
        buyers = economy.buyers
        steps = np.unique(np.linspace(0, self.twin.steps, 200).astype(int))
        market = [
            potential(
                economy, np.append(path.bids[t, buyers.starts], path.prices[t, economy.final])
            )
            for t in steps
        ]
        alone = len(np.unique(buyers.good)) == len(buyers.pools)
        places = np.append(buyers.good[buyers.starts], economy.final)
        twin = [potential(economy, self.twin.prices[t, places]) if alone else np.nan for t in steps]
        return steps, np.array(market), np.array(twin)

    @cached_property
    def landscape(self) -> Landscape | None:
        """W around the path, if two variables are free; else None."""
        best, path = self.result.equilibrium, self.result.trajectory
        if self.potential is not None:  # plans are not an allocation
            return None
        if best is None or not best.solved or len(path.shares) != len(path.prices):
            return None
        if not np.all(np.isfinite(path.quantities)):
            return None
        return landscape(self.result.experiment.economy, path.quantities, path.shares, best)

    def summary(self) -> dict[str, Any]:
        """The comparison as one object for JSON."""
        dates = self.mixed_dates
        return jsonable(
            {
                "market": self.result.experiment.market.mechanism,
                "optimiser": self.twin_name,
                "status": self.result.status,
                "steps": self.result.steps,
                "identical_until": self.twin.identical_until,
                "distance": _by_name(self.distances),
                "textbook": {
                    "optimiser": self.textbook_name,
                    "distance": _by_name(self.textbook_distances),
                },
                "mixed_dates": None if dates is None else dict(zip(MIXED, dates, strict=True)),
                "compared": {"twin": self.twin.steps, "textbook": self.textbook.steps},
                **_origin(self.result.experiment),
            }
        )

    def frame(self) -> pd.DataFrame:
        """One row per step and good: prices and quantities of the market and both optimisers.

        Steps that an optimiser did not make are NaN.
        """
        import pandas as pd

        path, goods = self.result.trajectory, self.result.goods
        columns = {"price": "prices", "quantity": "quantities"}
        owners = {"": path, "twin_": self.twin, "textbook_": self.textbook}
        numbers = {
            owner + column: getattr(path_of, name).ravel()
            for column, name in columns.items()
            for owner, path_of in owners.items()
        }
        rows = {
            "step": np.repeat(self.result.times, len(goods)),
            "good": np.tile(np.array(goods, object), len(path.prices)),
        }
        return pd.DataFrame(rows | {name: pd.Series(array) for name, array in numbers.items()})

    def figure(self) -> Figure:
        """Prices, shares and welfare of market and twin, and the distances of both optimisers."""
        return view(self, "figure")(self)

    def save(self, folder: str | Path) -> Path:
        """Write the comparison into ``folder``, completely or not at all; see ``views/save.py``."""
        return view(self, "save")(self, folder)


MIXED = ("largest", "good", "step")


def _by_name(distances: dict[str, tuple[float, int]]) -> dict[str, dict[str, float]]:
    return {name: {"largest": size, "step": step} for name, (size, step) in distances.items()}


# --- mechanisms with each other -------------------------------------------------------------------


def compare_mechanisms(
    what: Runnable,
    mechanisms: str | Sequence[str] = "all",
    *,
    overrides: Mapping[str, Any] | None = None,
    progress: MechanismProgress | None = None,
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
        ``progress(what, done, most)``, called with the steps of each mechanism.

    Raises
    ------
    MarketError
        The experiment cannot be read, or there is no such mechanism.
    """
    names = [mechanisms] if isinstance(mechanisms, str) else mechanisms
    return MechanismComparison.of(as_experiment(what, overrides), names, progress)


@dataclass(frozen=True, eq=False, repr=False)
class MechanismComparison(Displayable):
    """The same economy under several mechanisms, and under plain gradient ascent.

    A run ends after a million steps of a firm (but not before 500 steps), gradient ascent after
    20,000 steps. Economies of more than 30 firms run in the array engine, whose numbers are those
    of the agents to 1e-12.

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
        progress: MechanismProgress | None = None,
    ) -> MechanismComparison:
        """Run them all.

        Raises
        ------
        SettingError
            There is no such mechanism.
        """
        names = list(ALL) if "all" in mechanisms else list(dict.fromkeys(mechanisms))
        for name in names:
            check_choice(name, "--mechanisms", MECHANISMS)
        results: dict[str, Result | MarketError] = {}
        within = within_budget(experiment)
        for name in names:
            try:
                each = within.with_mechanism(name)
                results[name] = result = run(each, progress=steps_of(each, progress))
                if result.status == "interrupted":
                    raise KeyboardInterrupt
            except MarketError as error:
                results[name] = error
        best = next((r.equilibrium for r in results.values() if isinstance(r, Result)), None)
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
        difference between money paid and received, over money received.
        """
        import pandas as pd

        rows = {}
        for name, result in self.results.items():
            if isinstance(result, Result):
                rows[name] = {"status": result.status, **_counted(result), **_conserved(result)}
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
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("mechanism")

    def figure(self) -> Figure:
        """The distance of welfare from that of the best known allocation over time."""
        return view(self, "figure")(self)

    def save(self, folder: str | Path) -> Path:
        """Write the comparison into ``folder``, completely or not at all; see ``views/save.py``."""
        return view(self, "save")(self, folder)

    def frame(self) -> pd.DataFrame:
        """The table with the mechanisms as a column."""
        return self.table().reset_index()

    def summary(self) -> dict[str, Any]:
        """The comparison as one object for JSON."""
        rows = json.loads(self.frame().to_json(orient="records"))
        return {"mechanisms": rows, "allowed_steps": self.allowed, **_origin(self.experiment)}


def _origin(experiment: Experiment) -> dict[str, Any]:
    """What a comparison is of: all that is needed to make it again."""
    return {
        "name": experiment.name,
        "question": experiment.question,
        "configuration": resolved(experiment),
        "versions": versions(),
    }


def _counted(result: Result) -> dict[str, Any]:
    best = result.equilibrium
    first = None
    if best is not None and best.solved:
        first = first_reached(result.prices, result.quantities, best, REACHED)
    steps = None if first is None else int(result.times[first])
    return {
        "steps": steps,
        "messages": None if steps is None else steps * result.experiment.economy.buyers.size,
        "welfare": float(result.path.welfare[-1]),
    }


@np.errstate(all="ignore")
def _conserved(result: Result) -> dict[str, float | None]:
    """The unallocated share of goods and the budget imbalance, by column.

    None if too little is recorded, or if it has no meaning under the mechanism.
    """
    path, experiment = result.trajectory, result.experiment
    thin = len(path.shares) != len(path.prices) or experiment.record.every != 1
    kept = None
    if not thin:
        market, economy = experiment.market, experiment.economy
        kept = market.rules.conservation(path, economy, market, references(economy))
    return {
        "wasted": None if kept is None else kept.unallocated_share,
        "money_made": None if kept is None else kept.budget_imbalance,
    }
