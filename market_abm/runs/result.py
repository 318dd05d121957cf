"""The result of a run: its data, measures and tables."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from market_abm.analysis.measures import PathMeasures
from market_abm.analysis.observer import Comparison, book_gradients, relative_error
from market_abm.display import Savable, view
from market_abm.economy.economy import Economy
from market_abm.economy.families import Family, families_of
from market_abm.errors import MarketError
from market_abm.experiment.experiment import Experiment
from market_abm.market.state import State
from market_abm.runs.crossings import Crossing, crossings
from market_abm.runs.ending import full_ending
from market_abm.runs.families import family_paths, family_table, shown_families
from market_abm.runs.households import HouseholdAccount, household_accounts, household_paths
from market_abm.runs.numeraire import in_numeraire, relative_prices, unit_of_account
from market_abm.runs.steady_state import SteadyResult
from market_abm.runs.summary import near_rest, run_summary
from market_abm.runs.tables import (
    accounts_table,
    buyers_table,
    divided,
    largest,
    measures_table,
    own_rates_table,
    path_table,
)
from market_abm.runs.weights import Weights, weights_of
from market_abm.simulation.endings import Ending, Status
from market_abm.simulation.loop import Run
from market_abm.simulation.record import Trajectory

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from market_abm.analysis.shock_response import ShockResponse
    from market_abm.analysis.stability import Stability
    from market_abm.gradient.equilibrium import Equilibrium
    from market_abm.market.agents import Firm
    from market_abm.runs.taxes import TaxSummary

MAX_LINE_GOODS = 8
"""Goods up to which each price has a line of its own in figures, also after shocks."""


@dataclass(frozen=True, eq=False, repr=False)
class Result(SteadyResult, Savable):
    """A finished run.

    Arrays along the path have shape (records, recorded goods), in the order of ``recorded``: all
    steps and goods, unless ``[record]`` says otherwise. Arrays of the last step cover all
    ``goods``. Where the economy has a numeraire, money stands for units of it.

    Parameters
    ----------
    experiment
        What was run.
    outcome
        The run as the simulation recorded it, in money.
    ending
        How it ended.
    firm
        The class of the firms; None for ``Firm``.
    """

    experiment: Experiment
    outcome: Run
    ending: Ending
    firm: type[Firm] | None

    @staticmethod
    def of(experiment: Experiment, outcome: Run, firm: type[Firm] | None) -> Result:
        """The result of a run without an error."""
        return Result(experiment, outcome, full_ending(experiment, outcome), firm)

    @property
    def status(self) -> str:
        """A value of :class:`market_abm.simulation.endings.Status`, such as ``converged``."""
        return self.ending.status.value

    @property
    def steps(self) -> int:
        """The last step."""
        return self.trajectory.steps

    @cached_property
    def told(self) -> Run:
        """The outcome in the unit of account: money, or units of the numeraire."""
        return in_numeraire(self.experiment.economy, self.outcome)

    @property
    def trajectory(self) -> Trajectory:
        """Prices, quantities, inputs, shares and bids along the path."""
        return self.told.trajectory

    @property
    def last(self) -> State:
        """The state at the last step, of all goods and buyers."""
        return self.told.last

    @property
    def times(self) -> np.ndarray:
        """The recorded steps, shape (records,)."""
        return self.trajectory.times

    @property
    def goods(self) -> tuple[str, ...]:
        """The names of the goods: raw ones first, then in topological order."""
        return self.experiment.economy.goods

    @cached_property
    def recorded(self) -> tuple[str, ...]:
        """The recorded goods, in the order of ``goods``."""
        return tuple(self.goods[k] for k in self.trajectory.goods)

    @property
    def economy(self) -> Economy:
        """The economy at the last step, after the shocks up to then."""
        return self.experiment.present_economy(self.steps)

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
        """The exact gradient at each step's allocation, money per unit.

        The derivative of what the program makes at the shares and the supply of that step.
        """
        return self.told.observations["gradients"]

    @cached_property
    def book_gradients(self) -> np.ndarray:
        """The gradients by each step's books alone, which mix dates off rest, money per unit."""
        if self.experiment.changes:
            raise MarketError(
                "the books of a run with shocks are of several economies",
                remedy="run it without shocks",
            )
        return book_gradients(self.experiment.economy, self.outcome.trajectory)

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
        return self.told.last_observations["gradients"]

    @cached_property
    def sales(self) -> np.ndarray:
        """Quantity times price at the last step: money per step, shape (goods,)."""
        with np.errstate(all="ignore"):  # it may have diverged
            return self.last.prices * self.last.quantities

    @cached_property
    def largest(self) -> tuple[str, ...]:
        """The goods of industries that sell to others (if none does, of all), by falling sales."""
        return largest(self.experiment.economy, self.sales)

    @cached_property
    def path(self) -> PathMeasures:
        """Measures of how closely the path followed the gradient."""
        changes = self.experiment.changes
        last_shock = changes[-1][0] if changes else 0
        path, compared = self.outcome.trajectory, Comparison(**self.outcome.observations)
        return PathMeasures(path, compared, last_shock, self.economy.closed)

    @cached_property
    def crossings(self) -> tuple[Crossing, ...]:
        """The branches of a traced function that the market has left."""
        return crossings(self.experiment.economy, self.trajectory, self.last)

    @cached_property
    def shock_responses(self) -> tuple[ShockResponse, ...]:
        """How far prices left their gradients after each shock, and when they were back."""
        from market_abm.analysis.shock_response import shock_responses

        shocks = [step for step, _ in self.experiment.changes]
        return shock_responses(self.times, self.errors, shocks, self.experiment.run.tolerance)

    @cached_property
    def prediction(self) -> np.ndarray | None:
        """The prices that theory predicts, shape (records, recorded goods); None if it does not."""
        from market_abm.analysis.prediction import predicted_price_path

        if self.firm is not None or self.experiment.changes or self.economy.numeraire:
            return None
        ratio = predicted_price_path(self.experiment.economy, self.experiment.market, self.steps)
        with np.errstate(invalid="ignore"):  # a gradient may be infinite before it diverges
            if ratio is None:
                return None
            return ratio[np.ix_(self.times, self.trajectory.goods)] * self.gradients

    @cached_property
    def equilibrium(self) -> Equilibrium | None:
        """The best known allocation (``runs/optimum.py``); None if the economy is too large."""
        from market_abm.runs.optimum import best_known

        return best_known(self.economy, self.experiment.market, self.outcome.last)

    @cached_property
    def taxes(self) -> TaxSummary | None:
        """What taxes do at the last step: wedges, revenues and the loss; None without taxes."""
        from market_abm.runs.taxes import tax_summary

        welfare = float(self.path.welfare[-1])
        last, market = self.outcome.last, self.experiment.market
        found = tax_summary(self.economy, market, last, welfare)
        return found and found.divided(unit_of_account(self.economy, last.prices))

    @property
    def at_rest(self) -> bool:
        """Whether the market rests: whether its last state is a steady state."""
        return self.ending.status in (Status.CONVERGED, Status.OFF_GRADIENT)

    @cached_property
    def rest(self) -> Equilibrium | None:
        """The allocation at which the market rests, and what it is: a maximum of W, a saddle point.

        :attr:`equilibrium` itself if it is that. None if the market does not rest, the economy is
        too large, or W is not finite there.
        """
        from market_abm.runs.optimum import resting

        if not self.at_rest:
            return None
        return resting(self.experiment, self.economy, self.outcome.last, self.equilibrium)

    @cached_property
    def stability(self) -> Stability | None:
        """The stability of the market at its steady state, from the eigenvalues of a step there.

        It is :attr:`rest`, or, if the run does not rest, :attr:`equilibrium`.

        None if no steady state is known, as while a series moves on, if steps are random, or if
        firms are of another class than ``Firm``.
        """
        from market_abm.analysis.stability import stability

        steady = self.steady_state
        return stability(self.economy, self.experiment.market, steady) if steady else None

    @cached_property
    def steady_state_prices(self) -> np.ndarray | None:
        """Steady-state prices of the final economy, shape (goods,); None if unknown.

        Found without a market: for an input-output table in closed form, else those of
        :attr:`equilibrium`.
        """
        from market_abm.gradient.closed_form import equilibrium_prices

        table, prices = self.experiment.input_output, None
        if table is not None:
            with suppress(MarketError):  # there is no steady state
                prices = equilibrium_prices(table, self.economy)
        if prices is None and self.equilibrium is not None and self.equilibrium.solved:
            prices = self.equilibrium.prices
        return None if prices is None else relative_prices(self.economy, prices)

    @cached_property
    def predicted_rate(self) -> float | None:
        """The predicted factor by which errors shrink in a step near the steady state, or None.

        The largest eigenvalue of the step (:attr:`stability`). Where that is too large to compute:
        the largest eigenvalue λ of the cost shares of an input-output table with one factor and
        elasticities of 1, under ``trading-post`` (docs/model.md, 4). There λ is a double eigenvalue
        (of money and of the goods that follow it), so that errors go as t λ^t, a little slower.
        """
        from market_abm.runs.optimum import table_rate

        if self.stability is not None:
            return self.stability.radius
        if self.firm is not None or self.steady_state_prices is None:
            return None
        return table_rate(self.experiment.input_output, self.economy, self.experiment.market)

    def near_steady_state(self) -> dict[str, Any] | None:
        """:attr:`stability` as numbers, with the rate of the run; None if it is unknown.

        ``radius`` is the predicted factor by which a disturbance shrinks in a step, ``rate`` the
        measured one and ``rate_uncertainty`` its uncertainty (``analysis/rate.py``; NaN if
        unknown); ``period`` and ``half_life`` are in steps.
        """
        if self.stability is None:
            return None
        return near_rest(self.stability, self.path.rate)

    def distance(self) -> dict[str, Any] | None:
        """The distance of the last step from :attr:`equilibrium`; None if it is unknown.

        ``prices`` and ``quantities`` are the largest relative difference of any good, ``welfare``
        is W there minus W at the end, money; ``kind``, ``starts`` and ``complete`` say what it is
        and how it was found.
        """
        from market_abm.runs.optimum import distance_of

        return distance_of(self)

    def accounts(self) -> pd.DataFrame:
        """One row per industry, at the last step and its prices: revenue, cost, profit, margin.

        In money per step (``market/accounts.py``): what is on sale goes to its users by
        their shares, and each pays the price of its use. Under ``tatonnement`` these are plans.
        ``margin`` is profit over revenue (NaN where that is not above 0). At prices equal to
        derivatives a technology homogeneous of degree b has a margin of 1 - b: zero with constant
        returns, a loss with increasing returns.
        """
        last = self.outcome.last
        table = accounts_table(self.economy, self.experiment.market, last)
        return divided(table, unit_of_account(self.economy, last.prices))

    @cached_property
    def households(self) -> Mapping[str, HouseholdAccount]:
        """Of each household, by name, what it earns and what it buys, at the last step."""
        last = self.outcome.last
        accounts = household_accounts(self.economy, self.experiment.market, last)
        unit = unit_of_account(self.economy, last.prices)
        return {name: account.divided(unit) for name, account in accounts.items()}

    def household_paths(self) -> pd.DataFrame:
        """One row per recorded step and household (``runs/households.py``)."""
        return household_paths(self.experiment.economy, self.trajectory)

    @cached_property
    def weights(self) -> Weights | None:
        """The weights of households, beside those of :attr:`equilibrium`; None without any."""
        return weights_of(self)

    def own_rates(self, *families: str) -> pd.DataFrame:
        """One row per good of date t that there is also one date later, at the last step.

        Of families such as ``k[t]``; by default those of the experiment's table ``own_rates``.
        ``rate`` is p_t/p_{t+1} - 1 of prices, ``gradient`` that of exact gradients, ``predicted``
        that of the experiment's formula (NaN without one); ``name`` is that of the dated good.
        """
        named = dict.fromkeys(families, "") or self.experiment.own_rates
        dated = self.experiment.dated_goods(named, self.steps)
        return own_rates_table(dated, self.goods, self.last, self.last_gradients)

    # --- tables ---------------------------------------------------------------------------------

    @property
    def first_steps(self) -> np.ndarray:
        """The first step from which each good's error stays within tolerance, or -1."""
        return self.outcome.last_observations["since"]

    def table(self) -> pd.DataFrame:
        """One row per good, at the last step: quantity, price, gradient, error, first_step."""
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

    @cached_property
    def families(self) -> tuple[Family, ...]:
        """The families that tables and figures show in the place of goods; empty if goods."""
        return shown_families(self.experiment.economy)

    def by_family(self) -> pd.DataFrame:
        """One row per family of goods, at the last step (``runs/families.py``)."""
        return family_table(tuple(self.economy.families.values()), self.table())

    def family_paths(self) -> pd.DataFrame:
        """One row per recorded step and family of recorded goods (``runs/families.py``)."""
        paths = (self.quantities, self.prices, self.gradients, self.errors)
        return family_paths(families_of(self.recorded).values(), self.times, *paths)

    def frame(self) -> pd.DataFrame:
        """One row per recorded step and good: step, good, quantity, price, gradient, error."""
        return path_table(self.recorded, self.trajectory, self.gradients, self.errors)

    def buyers(self) -> pd.DataFrame:
        """One row per recorded step and buyer (``runs/tables.py``)."""
        return buyers_table(self.experiment.economy, self.trajectory)

    def measures(self) -> pd.DataFrame:
        """One row per recorded step: largest error, staleness, alignment and welfare.

        With households also what moves gained, and what it was of what they could have gained.
        """
        return measures_table(self.times, self.errors, self.path)

    def summary(self) -> dict[str, Any]:
        """Everything about the run as one object for JSON, with None where there is no number.

        Its numbers are those of :data:`market_abm.analysis.measures.MEASURES`, by key.
        """
        return run_summary(self)

    # --- figures --------------------------------------------------------------------------------

    def convergence_figure(self) -> Figure:
        """Prices and gradients over time, and the error on a log axis."""
        return view(self, "convergence_figure")(self)

    def network_figure(self) -> Figure:
        """The supply network with quantities and prices at the last step."""
        return view(self, "network_figure")(self)

    def shock_figure(self) -> Figure | None:
        """Prices since the first shock and those of the new steady state; None without one."""
        return view(self, "shock_figure")(self)

    def own_rates_figure(self, *families: str) -> Figure | None:
        """The own rates of interest of :meth:`own_rates` by date; None without any."""
        return view(self, "own_rates_figure")(self, *families)

    def weights_figure(self) -> Figure | None:
        """The weights of households over time, and what moves gained; None without households."""
        return view(self, "weights_figure")(self)

    def households_figure(self) -> Figure | None:
        """Who earns what, and who buys what, at the last step; None without households."""
        return view(self, "households_figure")(self)
