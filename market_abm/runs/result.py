"""What a run found: arrays, tables, figures, and the files that keep them."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from market_abm.analysis.measures import PathMeasures
from market_abm.analysis.observer import Comparison, relative_error
from market_abm.display import Displayable, view
from market_abm.errors import MarketError
from market_abm.experiment.experiment import Experiment
from market_abm.market.state import State
from market_abm.simulation.endings import Ending, Status, out_of_steps
from market_abm.simulation.loop import Run
from market_abm.simulation.record import Trajectory

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from market_abm.analysis.stability import Stability
    from market_abm.economy.economy import Economy
    from market_abm.gradient.equilibrium import Equilibrium
    from market_abm.market.agents import Firm

FEW = 8
"""Goods whose prices can be read off lines, shocks and all."""


MANY = 40
"""Goods beyond which tables and figures show the largest only."""


@dataclass(frozen=True, eq=False, repr=False)
class Result(Displayable):
    """A finished run.

    Arrays of its path have shape (records, recorded goods), in the order of ``recorded``: those of
    all steps and goods, unless ``[record]`` says otherwise. What is of the last step is of all
    ``goods``.
    """

    experiment: Experiment
    outcome: Run
    ending: Ending
    firm: type[Firm]

    @staticmethod
    def of(experiment: Experiment, outcome: Run, firm: type[Firm]) -> Result:
        """The result of a run that met no error."""
        return Result(experiment, outcome, _told(experiment, outcome), firm)

    @property
    def status(self) -> str:
        """``converged``, ``max_steps``, ``oscillating``, ``diverged`` or ``interrupted``."""
        return self.ending.status.value

    @property
    def steps(self) -> int:
        """How many steps were made."""
        return self.trajectory.steps

    @property
    def trajectory(self) -> Trajectory:
        """Prices, quantities and books along the path."""
        return self.outcome.trajectory

    @property
    def last(self) -> State:
        """What could be seen at the last step, of all goods and buyers."""
        return self.outcome.last

    @property
    def times(self) -> np.ndarray:
        """Which steps are recorded: the axis of all arrays of steps, shape (records,)."""
        return self.trajectory.times

    @property
    def goods(self) -> tuple[str, ...]:
        """The names of the goods: raw ones first, then in flow order."""
        return self.experiment.economy.goods

    @cached_property
    def recorded(self) -> tuple[str, ...]:
        """The goods whose path was recorded, in the order of ``goods``."""
        return tuple(self.goods[k] for k in self.trajectory.goods)

    @property
    def economy(self) -> Economy:
        """The economy as it is at the last step, after the shocks that came by then."""
        return self.experiment.economy_at(self.steps)

    @property
    def prices(self) -> np.ndarray:
        """Prices, money per unit."""
        return self.trajectory.prices

    @property
    def quantities(self) -> np.ndarray:
        """Units on sale."""
        return self.trajectory.quantities

    @property
    def gradients(self) -> np.ndarray:
        """The exact gradient at each step's quantities, money per unit."""
        return self.outcome.observations["gradients"]

    @cached_property
    @np.errstate(all="ignore")  # it may have diverged
    def errors(self) -> np.ndarray:
        """|price - gradient| / |gradient|."""
        return relative_error(self.prices, self.gradients)

    @cached_property
    @np.errstate(all="ignore")
    def last_errors(self) -> np.ndarray:
        """|price - gradient| / |gradient| of all goods at the last step, shape (goods,)."""
        return relative_error(self.last.prices, self.last_gradients)

    @property
    def last_gradients(self) -> np.ndarray:
        """The exact gradient at the last step, of all goods, shape (goods,)."""
        return self.outcome.last_observations["gradients"]

    @cached_property
    def sales(self) -> np.ndarray:
        """What is on sale at the last step, at its price: money a step, shape (goods,)."""
        with np.errstate(all="ignore"):  # it may have diverged
            return self.last.prices * self.last.quantities

    @cached_property
    def largest(self) -> tuple[str, ...]:
        """The goods of industries that sell to others (if none does, all), largest sales first."""
        return largest(self.experiment.economy, self.sales)

    @cached_property
    def path(self) -> PathMeasures:
        """How gradient-descent-like the path was."""
        changes = self.experiment.changes
        last_shock = changes[-1][0] if changes else 0
        return PathMeasures(self.trajectory, Comparison(**self.outcome.observations), last_shock)

    @cached_property
    def prediction(self) -> np.ndarray | None:
        """The prices that theory predicts, shape (steps + 1, goods), where it does (else None)."""
        from market_abm.analysis.prediction import predicted_price_path
        from market_abm.market.agents import Firm

        if self.firm is not Firm or self.experiment.changes:
            return None
        ratio = predicted_price_path(self.experiment.economy, self.experiment.market, self.steps)
        with np.errstate(invalid="ignore"):  # a gradient may be infinite before it diverges
            if ratio is None:
                return None
            return ratio[np.ix_(self.times, self.trajectory.goods)] * self.gradients

    @cached_property
    def equilibrium(self) -> Equilibrium | None:
        """The best allocation, found by SciPy without a market; None if that is too large.

        Of the economy as it is at the end, after all shocks.
        """
        from market_abm.gradient.equilibrium import equilibrium

        return equilibrium(self.economy)

    @cached_property
    def stability(self) -> Stability | None:
        """How the market should behave near rest, from the eigenvalues of its step there.

        None if no rest is known, or what happens is random, or the firms have a rule of their own.
        """
        from market_abm.analysis.stability import stability
        from market_abm.market.agents import Firm

        if self.firm is not Firm or self.equilibrium is None:
            return None
        experiment = self.experiment
        return stability(self.economy, experiment.market, self.equilibrium)

    @cached_property
    def rest_prices(self) -> np.ndarray | None:
        """Prices where the economy, after all shocks, is at rest, shape (goods,); None if unknown.

        Found without a market: of an input-output table in closed form, else those of
        :attr:`equilibrium`.
        """
        from market_abm.gradient.closed_form import rest_prices

        table, best, told = self.experiment.input_output, self.equilibrium, None
        if table is not None:
            with suppress(MarketError):  # there is none
                told = rest_prices(table, self.economy)
        if told is None and best is not None and best.solved:
            return best.prices
        return told

    @cached_property
    def predicted_rate(self) -> float | None:
        """By which factor a step should shrink what is off near rest; None if that is not known.

        The largest eigenvalue of the step (:attr:`stability`). Where that is too much to compute:
        of an input-output table with one factor and elasticities of 1, the largest eigenvalue of
        its cost shares (docs/model.md, 4), if prices are those of the ``trading-post``. There it is
        one twice, of money and of the goods that follow it, so that from the start errors go as
        t λ^t, a little slower.
        """
        from market_abm.gradient.closed_form import spectral_radius
        from market_abm.market.agents import Firm

        if self.stability is not None:
            return self.stability.radius
        market, economy = self.experiment.market, self.economy
        table = self.experiment.input_output
        plain = (
            self.firm is Firm
            and market.rules.bids_are_money
            and (market.activation, market.lag) == ("simultaneous", 0)
            and getattr(market, "bid_rate", None) == 1.0
        )
        if table is None or not plain or self.rest_prices is None:
            return None
        elasticities = economy.industries[0].technology.parameters.values()
        return spectral_radius(table) if all(each == 1.0 for each in elasticities) else None

    def near_rest(self) -> dict[str, Any] | None:
        """:attr:`stability` as numbers, and the rate that the run showed; None without it.

        ``radius`` is the factor by which a disturbance should shrink in a step, ``rate`` that by
        which moves shrank (see ``analysis/path.py``); ``period`` and ``half_life`` in steps.
        """
        near = self.stability
        if near is None:
            return None
        return {
            "regime": near.regime,
            "radius": near.radius,
            "period": near.period,
            "half_life": near.half_life,
            "rate": self.path.rate,
        }

    def distance(self) -> dict[str, Any] | None:
        """How far the market ended from :attr:`equilibrium`, or None if there is none.

        ``prices`` and ``quantities``: the largest relative difference of any good; ``welfare``: W
        at the optimum less W at the end, money.
        """
        best = self.equilibrium
        if best is None:
            return None
        with np.errstate(invalid="ignore"):  # it may have diverged
            prices = relative_error(self.last.prices, best.prices).max()
            quantities = relative_error(self.last.quantities, best.quantities).max()
        return {
            "solved": best.solved,
            "prices": float(prices),
            "quantities": float(quantities),
            "welfare": best.welfare - float(self.path.welfare[-1]),
            "best_welfare": best.welfare,
        }

    def accounts(self) -> pd.DataFrame:
        """One row an industry, at the last step and its prices: revenue, cost, profit, margin.

        All in money, a step; ``margin`` is profit over revenue (NaN where that is not above 0). A
        line homogeneous of degree b keeps 1 - b of its revenue where prices are derivatives:
        with constant returns nothing, and with increasing returns it loses money.
        """
        import pandas as pd

        last, economy = self.last, self.economy
        rows = {}
        for industry in economy.topological_order:
            k = economy.index[industry.good]
            spent = [
                last.prices[economy.index[good]] * last.inputs[use].sum()
                for good, use in zip(
                    industry.technology.inputs, economy.buyers.uses[industry.good], strict=True
                )
            ]
            revenue, cost = float(last.prices[k] * last.quantities[k]), float(sum(spent))
            profit = revenue - cost
            margin = profit / revenue if revenue > 0.0 else math.nan
            rows[industry.good] = (revenue, cost, profit, margin)
        columns = ["revenue", "cost", "profit", "margin"]
        return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("industry")

    # --- tables ---------------------------------------------------------------------------------

    @property
    def first_steps(self) -> np.ndarray:
        """For each good, the first step from which its error stays within tolerance, or -1."""
        return self.outcome.last_observations["since"]

    def table(self) -> pd.DataFrame:
        """One row a good, at the last step: quantity, price, gradient, error, first_step."""
        import pandas as pd

        return pd.DataFrame(
            {
                "quantity": self.last.quantities,
                "price": self.last.prices,
                "gradient": self.last_gradients,
                "error": self.last_errors,
                "first_step": self.first_steps,
            },
            index=pd.Index(self.goods, name="good"),
        )

    def frame(self) -> pd.DataFrame:
        """One row a recorded step and good: step, good, quantity, price, gradient, error."""
        import pandas as pd

        count = len(self.prices)
        return pd.DataFrame(
            {
                "step": np.repeat(self.times, len(self.recorded)),
                "good": np.tile(np.array(self.recorded, object), count),
                "quantity": self.quantities.ravel(),
                "price": self.prices.ravel(),
                "gradient": self.gradients.ravel(),
                "error": self.errors.ravel(),
            }
        )

    def measures(self) -> pd.DataFrame:
        """One row a step: the largest error, the staleness, the alignment and the welfare."""
        import pandas as pd

        return pd.DataFrame(
            {
                "step": self.times,
                "error": self.errors.max(axis=1),
                "staleness": self.path.staleness,
                "alignment": self.path.alignment,
                "welfare": self.path.welfare,
            }
        )

    def summary(self) -> dict[str, Any]:
        """All there is to say of the run in one object, ready for JSON (None for no number)."""
        path = self.path
        alignment = path.alignment[np.isfinite(path.alignment)]
        rows = self.table().to_dict("index")
        predicted = self.prediction
        lags = dict(zip(self.recorded, path.staleness_of_good, strict=True))
        names = self.experiment.economy.names
        for good, row in rows.items():
            if good in names:
                row["name"] = names[good]
            row["first_step"] = None if row["first_step"] < 0 else int(row["first_step"])
            row["staleness"] = lags.get(good)
        return jsonable(
            {
                "name": self.experiment.name,
                "question": self.experiment.question,
                "status": self.status,
                "message": self.ending.detail,
                "steps": self.steps,
                "goods": rows,
                "industries": self.accounts().to_dict("index"),
                "error": self.last_errors.max(),
                "welfare": path.welfare[-1],
                "equilibrium": self.distance(),
                "near_rest": self.near_rest(),
                "staleness": path.overall_staleness,
                "alignment": alignment.mean() if alignment.size else None,
                "uphill_share": path.ascent_fraction,
                "theory_error": None if predicted is None else self._theory_error(predicted),
                "configuration": resolved(self.experiment),
                "firm": self.firm.__name__,
                "versions": versions(),
            }
        )

    @np.errstate(invalid="ignore")
    def _theory_error(self, predicted: np.ndarray) -> float:
        scale = np.where(self.gradients == 0.0, 1.0, np.abs(self.gradients))
        return float((np.abs(self.prices - predicted) / scale).max())

    # --- figures --------------------------------------------------------------------------------

    def convergence_figure(self) -> Figure:
        """Prices approaching their gradients, and the error on a log axis."""
        return view(self, "convergence_figure")(self)

    def network_figure(self) -> Figure:
        """The supply network with quantities and prices at the last step."""
        return view(self, "network_figure")(self)

    def shock_figure(self) -> Figure | None:
        """Prices since the first shock beside those of the new equilibrium; None if few goods."""
        return view(self, "shock_figure")(self)

    def save(self, folder: str | Path) -> Path:
        """Write the result into ``folder``, whole or not at all; see ``views/save.py``."""
        return view(self, "save")(self, folder)


def largest(economy: Economy, sales: np.ndarray) -> tuple[str, ...]:
    """The goods of industries that sell to others (if none does, all), largest sales first.

    ``sales`` is what each good is sold for, money a step, shape (goods,).
    """
    made = [industry.good for industry in economy.topological_order]
    size = dict(zip(economy.goods, np.nan_to_num(np.abs(sales)), strict=True))
    goods = [good for good in made if good not in economy.demand] or made
    return tuple(sorted(goods, key=lambda good: -size[good]))


def _told(experiment: Experiment, run: Run) -> Ending:
    """How the run ended, in full: with what the comparison with the gradient adds to it."""
    economy, tolerance = experiment.economy, experiment.run.tolerance
    if run.ending is not None:
        return run.ending
    if run.last_observations["settled"]:
        first = run.last_observations["since"]
        last = economy.goods[int(np.argmax(first))]
        detail = (
            f"converged at step {run.last.step}: every price is within {tolerance:g} of its "
            f"exact gradient and quantities are at rest; {last} arrived last, at step {first.max()}"
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
        detail = f"{ending.detail}: every price is at its gradient, but quantities are not at rest"
    else:
        detail = (
            f"{ending.detail}: the price of {economy.goods[worst]} is {errors[worst]:.3g} "
            f"(relative) from its gradient"
        )
    return Ending(ending.status, ending.step, economy.goods[worst], detail)


def versions() -> dict[str, str]:
    """The versions that a result depends on."""
    found = {"python": platform.python_version()}
    for package in ("market-abm", "mesa", "numpy"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def resolved(experiment: Experiment) -> dict[str, Any]:
    """The configuration as JSON can hold it, and as it may be read back."""
    return jsonable(_with_infinities(experiment.configuration))


def _with_infinities(settings: Any) -> Any:
    """Settings with infinity as the text that they may be read back from: JSON has no number."""
    if isinstance(settings, Mapping):
        return {key: _with_infinities(value) for key, value in settings.items()}
    return "inf" if settings == math.inf else settings


def jsonable(value: Any) -> Any:
    """``value`` as JSON can hold it: None for what is no number."""
    if isinstance(value, Mapping):
        return {str(k): jsonable(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
