"""Compare a market with the optimiser that it is identical to, and with the textbook's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from market_abm.analysis.observer import allocation
from market_abm.display import Savable, view
from market_abm.errors import SettingError
from market_abm.experiment.experiment import Experiment
from market_abm.gradient.backprop import references
from market_abm.gradient.landscape import Landscape, landscape
from market_abm.gradient.welfare import surplus
from market_abm.runs.progress import WorkProgress, of_run
from market_abm.runs.result import Result
from market_abm.runs.run import Runnable, as_experiment, run
from market_abm.runs.summary import jsonable, resolved, versions
from market_abm.twins.base import TwinPath, largest_distance
from market_abm.twins.dual import potential
from market_abm.twins.registry import textbook, textbook_of, twin, twin_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

OPTIMIZERS = ("twin", "textbook")
"""The two optimisers, in the order in which they are run."""


def compare(
    what: Runnable,
    *,
    overrides: Mapping[str, Any] | None = None,
    progress: WorkProgress | None = None,
    **settings: Any,
) -> OptimizerComparison:
    """Run a market, its twin and the textbook's optimiser, from the same start.

    Parameters are those of :func:`market_abm.run`, but for ``progress(what, done, most)``, which is
    called with the step of each of the three.

    Raises
    ------
    MarketError
        The experiment cannot be read or run, or there is no such optimiser.
    """
    return OptimizerComparison.of(as_experiment(what, overrides, settings), progress)


@dataclass(frozen=True, eq=False, repr=False)
class OptimizerComparison(Savable):
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
    def of(experiment: Experiment, progress: WorkProgress | None = None) -> OptimizerComparison:
        """Run all three.

        Raises
        ------
        SettingError
            The record is thinned, or the experiment has shocks, which a twin cannot have.
        MarketError
            There is no twin of such a market, or the market cannot run.
        """
        if experiment.record_interval != 1 or experiment.record.goods is not None:
            raise SettingError(
                "the record is thinned, but every step is compared",
                remedy="leave out record.every, record.goods and run.observe_every",
                name="record",
            )
        if experiment.changes:
            raise SettingError("a twin cannot have shocks", remedy="leave them out", name="shocks")
        if experiment.economy.numeraire:  # optimisers know money alone
            economy = replace(experiment.economy, numeraire=None)
            experiment = replace(experiment, economy=economy)
        twin(experiment.economy, experiment.market, 0)
        result = run(experiment, progress=of_run(experiment, experiment.name, progress))
        if progress:
            progress(experiment.name, result.steps, result.steps)
        terms = experiment.economy, experiment.market, result.steps
        paths = []
        for what, path_of in zip(OPTIMIZERS, (twin, textbook), strict=True):
            path = path_of(*terms, progress and partial(progress, what))
            paths.append(path)
            if progress:
                progress(what, path.steps, path.steps)
        return OptimizerComparison(result, *paths)

    @property
    def twin_name(self) -> str:
        """The optimiser that the mechanism is identical to."""
        return twin_of(self.result.experiment.market).name

    @property
    def textbook_name(self) -> str:
        """The textbook's optimiser."""
        return textbook_of(self.result.experiment.market).name

    @cached_property
    def breaks_down(self) -> int | None:
        """The step from which a run that diverges has a share below rounding; None if it has none.

        What is left for the other buyers, one less such a share, has no digit of it, and prices
        that follow are of no program.
        """
        shares = self.result.trajectory.shares
        if self.result.status != "diverged" or not shares.size:
            return None
        lost = (np.abs(shares) < np.finfo(float).eps) & (shares[0] != 0.0)
        steps = np.flatnonzero(lost.any(axis=1))
        return int(steps[0]) if len(steps) else None

    @property
    def identical_until(self) -> int:
        """The last step at which the market is this optimiser, and has not broken down."""
        until = self.twin.identical_until
        return until if self.breaks_down is None else min(until, max(self.breaks_down - 1, 0))

    @cached_property
    def distances(self) -> dict[str, tuple[float, int]]:
        """The largest distance of prices, quantities and shares from the twin, and its step.

        Up to :attr:`identical_until`. Relative to the largest size of
        each good or share on the path.
        """
        return self._distances(self.twin, self.identical_until)

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
        last = self.twin.steps if self.breaks_down is None else self.identical_until
        largest = np.abs(self.twin.prices[: last + 1]).max(axis=0)
        gaps = np.abs(self.twin.mixed_dates[: last + 1]) / np.where(largest > 0.0, largest, 1.0)
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
                "identical_until": self.identical_until,
                "distance": _by_name(self.distances),
                "textbook": {
                    "optimiser": self.textbook_name,
                    "distance": _by_name(self.textbook_distances),
                },
                "mixed_dates": None if dates is None else dict(zip(MIXED, dates, strict=True)),
                "compared": {"twin": self.twin.steps, "textbook": self.textbook.steps},
                **origin(self.result.experiment),
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


MIXED = ("largest", "good", "step")


def _by_name(distances: dict[str, tuple[float, int]]) -> dict[str, dict[str, float]]:
    return {name: {"largest": size, "step": step} for name, (size, step) in distances.items()}


def origin(experiment: Experiment) -> dict[str, Any]:
    """What a comparison is of: all that is needed to make it again."""
    return {
        "name": experiment.name,
        "question": experiment.question,
        "configuration": resolved(experiment),
        "versions": versions(),
    }
