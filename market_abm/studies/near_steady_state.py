"""Runs of our markets from near their steady state, as the published model is run.

Both start with prices and outputs off their steady state by the same factors, and have converged if
all of them are within 1e-3 of the steady state when they are stationary or out of steps.
(``GradientObserver`` needs a gradient, which the published model does not have.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from market_abm.baselines.dessertaine2022 import plane
from market_abm.baselines.dessertaine2022.economy import NetworkEconomy
from market_abm.baselines.dessertaine2022.plane import CONVERGED_TOL, MAX_VALUE, WINDOW, disturbance
from market_abm.economy.economy import Economy
from market_abm.economy.from_table import from_input_output
from market_abm.economy.io_table import InputOutputTable
from market_abm.economy.nested_ces import NestedCES
from market_abm.experiment.experiment import Experiment
from market_abm.experiment.settings import RecordSettings, RunSettings
from market_abm.fields import check_number, check_whole
from market_abm.gradient.allocation import Problem
from market_abm.gradient.closed_form import domar_weights
from market_abm.gradient.equilibrium import Equilibrium
from market_abm.gradient.optimality import residual
from market_abm.market.arrays import ArrayEngine
from market_abm.market.base import MarketSettings
from market_abm.market.state import State
from market_abm.runs.start import start_runs
from market_abm.simulation.loop import Progress, Run, simulate

PERTURBATION = 0.05
"""Prices and outputs start off their steady state by factors uniform in 1 ± this."""


def run_near_steady_state(
    network: NetworkEconomy,
    elasticities: Sequence[float],
    settings: Sequence[MarketSettings],
    *,
    steps: int,
    seed: int,
    perturbation: float | None = PERTURBATION,
    finished: Callable[[int], None] | None = None,
) -> list[tuple[str, int, float]]:
    """Run our market on the table of ``network``, once for each entry of both sequences.

    It starts like the published model (``baselines.dessertaine2022.plane.simulate``): prices and
    outputs of industries are those of the steady state times the same random factors; shares,
    inputs and marginal products are those of the steady state, and bids for a good are its price.

    Parameters
    ----------
    network
        The network whose table is used.
    elasticities
        Elasticities of substitution, one per run.
    settings
        Of one mechanism, one per run.
    steps
        The maximum number of steps.
    seed
        The seed of the random factors.
    perturbation
        Factors are uniform in 1 ± this; None for the start of any run, with bids of 0.
    finished
        Called after each step with the number of runs that are finished; of those that go on the
        part of their steps that is done counts, too.

    Returns
    -------
    list of (str, int, float)
        For each run its status (as in :class:`market_abm.studies.phase_plane.PhasePlane`), last
        step and distance from the steady state.

    Raises
    ------
    MarketError
        A number is out of range, or the market cannot run.
    """
    steps = check_whole(steps, "steps", low=1)
    if perturbation is not None:
        check_number(perturbation, "perturbation", low=0.0, high=0.999)
    run, record = RunSettings(steps=steps, seed=seed), RecordSettings(every=steps)
    experiments = [
        Experiment(
            from_input_output(network.table, substitution_elasticity=each), market, run, record
        )
        for each, market in zip(elasticities, settings, strict=True)
    ]
    engine, _ = start_runs(experiments)
    assert isinstance(engine, ArrayEngine)
    state = steady_state(experiments[0].economy, network.table)
    if perturbation is not None:
        _put_near(engine, state, network.table, disturbance(network.firms, seed, perturbation))
    runs = simulate(
        engine,
        steps,
        _StationaryPrices(),
        finished and _progress(finished, len(experiments), steps),
        every=steps,
        buyer_fields=(),
    )
    return [_outcome(run, state) for run in runs]


def _progress(finished: Callable[[int], None], runs: int, steps: int) -> Progress:
    """``finished`` as a simulation calls it."""

    def advance(state: State, observations: Mapping[str, np.ndarray]) -> None:
        active = int(np.count_nonzero(~observations["settled"]))
        finished(runs - active + active * state.step // steps)

    return advance


def steady_state(economy: Economy, table: InputOutputTable) -> Equilibrium:
    """The steady state of the table's economy, for any elasticity: the table itself.

    Shares are those of the table; quantities and prices follow from them by the economy's own
    technologies and the exact gradient: they are Domar weights, and 1.
    """
    buyers, sales = economy.buyers, dict(zip(table.codes, domar_weights(table), strict=True))
    inputs = np.zeros(buyers.size)
    for industry in economy.topological_order:
        assert isinstance(industry.technology, NestedCES)
        uses = buyers.of_industry[industry.good][:, 0]  # one firm per industry
        inputs[uses] = industry.technology.shares * sales.get(industry.good, 1.0)
    shares = inputs / np.add.reduceat(inputs, buyers.starts)[buyers.pool]
    problem = Problem(economy)
    best = problem.evaluate(problem.endowment, shares)
    return Equilibrium(
        best.quantities, best.prices, best.shares, best.value, residual(problem, best)
    )


def _put_near(
    engine: ArrayEngine, steady: Equilibrium, table: InputOutputTable, factors: np.ndarray
) -> None:
    """Put all runs near a steady state: prices and outputs of industries times ``factors``."""
    economy, buyers = engine.economy, engine.economy.buyers
    industries = [economy.index[code] for code in table.codes]
    prices, quantities = steady.prices.copy(), steady.quantities.copy()
    prices[industries] *= factors[0]
    quantities[industries] *= factors[1]
    inputs = steady.shares * steady.quantities[buyers.good]
    products = steady.prices[buyers.good] / steady.prices[buyers.maker]
    memory = {
        "shares": steady.shares,
        "bids": engine.mechanism.as_bid(prices[buyers.good], inputs),
        "products": engine.mechanism.as_bid(products, inputs),
        "quantities": quantities,
        "prices": prices,
    }
    runs = len(engine.shares)
    engine.memory = {name: np.tile(array, (runs, 1)) for name, array in memory.items()}


class _StationaryPrices:
    """Observes when prices are stationary, by the criterion of the published model."""

    path: Sequence[str] = ()

    def __init__(self) -> None:
        self._window: list[np.ndarray] = []

    @np.errstate(all="ignore")
    def __call__(self, state: State, *_: object, **options: object) -> dict[str, np.ndarray]:
        """Whether each run has ``settled``: no price has moved for a while."""
        self._window = [*self._window[-WINDOW:], state.prices]
        return {"settled": plane.is_stationary(np.array(self._window))}

    def keep(self, rows: np.ndarray) -> None:
        """Continue with these runs only."""
        self._window = [prices[rows] for prices in self._window]

    def change(self, economy: Economy) -> None:
        """Do nothing: there are no shocks."""


@np.errstate(all="ignore")
def _outcome(run: Run, steady: Equilibrium) -> tuple[str, int, float]:
    """Status, last step and distance of a run."""
    ratios = np.concatenate(
        [run.last.prices / steady.prices, run.last.quantities / steady.quantities]
    )
    distance = float(np.abs(ratios - 1.0).max())
    lost = run.ending is not None or not np.all((ratios > 1.0 / MAX_VALUE) & (ratios < MAX_VALUE))
    if run.error is not None:
        status = "failed"
    elif lost:
        status = "diverged"
    elif distance < CONVERGED_TOL:
        status = "converged"
    else:
        status = "elsewhere" if run.last_observations["settled"] else "max_steps"
    return status, run.last.step, distance
