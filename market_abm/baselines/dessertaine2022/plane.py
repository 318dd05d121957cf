"""Runs of the published model, and the phase plane of its rates."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from market_abm.baselines.dessertaine2022.economy import (
    TECHNOLOGIES,
    NetworkEconomy,
    random_network,
)
from market_abm.baselines.dessertaine2022.step import (
    ExcessDemandSettings,
    State,
    equilibrium_state,
    household_plan,
    step,
)
from market_abm.errors import SettingError
from market_abm.fields import check_number, check_whole

if TYPE_CHECKING:
    import pandas as pd

Kind = TypeVar("Kind")

STATIONARY_TOL = 1e-7
"""Relative change of prices within ``WINDOW`` steps below which a run is stationary."""

WINDOW = 10
"""Steps over which stationarity is measured, and between measurements."""

CONVERGED_TOL = 1e-3
"""Relative distance of prices and outputs to the equilibrium below which a run has converged."""

MAX_VALUE = 1e100
"""A run has diverged when a price or output is above this, below its inverse, or not a number."""


# --- runs --------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Simulation:
    """Runs side by side. A run that has ended keeps its last state in all later records.

    Attributes
    ----------
    times
        Recorded steps, shape (records,).
    prices, outputs
        In units of the wage, and γ; shape (runs, records, n).
    unsold
        Firms' stocks of their own goods, shape (runs, records, n).
    stocks
        Of inputs, shape (runs, records, n, n + 1).
    status
        Of each run: ``converged``, ``elsewhere``, ``diverged`` or ``max_steps``.
    steps
        The number of steps of each run, shape (runs,).
    distance
        At the end, the largest |x/x* − 1| of a price or output, shape (runs,).
    """

    times: np.ndarray
    prices: np.ndarray
    outputs: np.ndarray
    unsold: np.ndarray
    stocks: np.ndarray
    status: tuple[str, ...]
    steps: np.ndarray
    distance: np.ndarray


@np.errstate(all="ignore")
def simulate(
    economies: NetworkEconomy | Sequence[NetworkEconomy],
    settings: ExcessDemandSettings | Sequence[ExcessDemandSettings],
    *,
    steps: int = 3000,
    seed: int | Sequence[int] = 1,
    perturbation: float = 0.05,
    every: int = 1,
) -> Simulation:
    """Run from near the equilibrium, all runs side by side.

    A run is stationary, and ends, when no price moves by more than 1e-7 within ten steps (checked
    every ten). At its end it has

    * ``converged`` if all prices and outputs are within 1e-3 of the equilibrium;
    * ended ``elsewhere`` if it is stationary, but not there;
    * ``diverged`` if a price or output is above 1e100, below 1e-100 (as in a permanent slump) or
      not a number;
    * else run out of steps, ``max_steps``.

    The paper's rule counts ``converged`` and ``elsewhere``.

    Parameters
    ----------
    economies, settings, seed
        One for all runs, or a sequence with one per run; the longest sets the number of runs.
    steps
        The maximal number of steps.
    perturbation
        Prices and outputs start off the equilibrium by factors uniform in 1 ± this, by ``seed``.
    every
        Record the state at step 0, every so many steps, and at the end.

    Raises
    ------
    EconomyError
        An economy has no equilibrium, or they are of different technologies.
    SettingError
        A number is out of range, or the sequences differ in length.
    """
    steps = check_whole(steps, "steps", low=0)
    every = check_whole(every, "every", low=1)
    check_number(perturbation, "perturbation", low=0.0, high=0.999)
    several = [each for each in (economies, settings, seed) if isinstance(each, Sequence)]
    runs = max((len(each) for each in several), default=1)
    every_economy = _each(economies, runs, "economies")
    every_setting = _each(settings, runs, "settings")
    seeds = _each(seed, runs, "seeds")
    state = _perturbed(every_economy, seeds, perturbation)
    economy = NetworkEconomy.vectorized(every_economy)
    rates = ExcessDemandSettings.vectorized(every_setting)
    steady = np.array(
        [[each.equilibrium.prices, each.equilibrium.outputs] for each in every_economy]
    )

    records = _Records(state, steps, every)
    status, taken = np.full(runs, "max_steps", dtype=object), np.full(runs, steps)
    ends = np.stack([state.prices, state.outputs], axis=1)
    active, window = np.arange(runs), [state.prices]
    for now in range(1, steps + 1):
        state, _ = step(economy, rates, state)
        records.add(now, active, state)
        window.append(state.prices)
        if now % WINDOW and now < steps:
            continue
        stationary, diverged = is_stationary(np.array(window)), _has_diverged(state)
        window = [state.prices]
        over = stationary | diverged | (now == steps)
        status[active[stationary]], status[active[diverged]] = "elsewhere", "diverged"
        if over.any():
            ended = active[over]
            taken[ended] = now
            ends[ended] = np.stack([state.prices[over], state.outputs[over]], axis=1)
            records.fill(ended, state.select_runs(partial(_rows, kept=over)))
            remaining = partial(_rows, kept=~over)
            active, window = active[~over], [state.prices[~over]]
            state, economy = state.select_runs(remaining), economy.select_runs(remaining)
            rates = rates.select_runs(remaining)
        if not active.size:
            break
    distance = np.abs(ends / steady - 1.0).max(axis=(1, 2))
    status[(status != "diverged") & (distance < CONVERGED_TOL)] = "converged"
    return Simulation(
        records.times, **records.arrays, status=tuple(status), steps=taken, distance=distance
    )


class _Records:
    """The recorded arrays of all runs, by name, shape (runs, records, ...)."""

    def __init__(self, start: State, steps: int, every: int) -> None:
        self.times = np.unique(np.append(np.arange(0, steps + 1, every), steps))
        self.arrays = {
            name: np.repeat(getattr(start, name)[:, None], len(self.times), axis=1)
            for name in ("prices", "outputs", "unsold", "stocks")
        }
        self.next = 1

    def add(self, now: int, active: np.ndarray, state: State) -> None:
        """Record the active runs, if step ``now`` is to be recorded."""
        if self.next < len(self.times) and self.times[self.next] == now:
            for name, array in self.arrays.items():
                array[active, self.next] = getattr(state, name)
            self.next += 1

    def fill(self, ended: np.ndarray, state: State) -> None:
        """Fill the remaining records of runs that have ended, in this state."""
        for name, array in self.arrays.items():
            array[ended, self.next :] = getattr(state, name)[:, None]


def _each(given: Kind | Sequence[Kind], runs: int, what: str) -> list[Kind]:
    """``given`` as a list of one entry per run."""
    if not isinstance(given, Sequence):
        return [given] * runs
    if len(given) != runs or not runs:
        raise SettingError(
            f"{len(given)} {what} for {runs} runs",
            remedy="give one for all runs, or as many as there are runs",
            name=what,
        )
    return list(given)


def disturbance(firms: int, seed: int, size: float) -> np.ndarray:
    """The factors by which prices and outputs start off their equilibrium, shape (2, firms)."""
    rng = np.random.default_rng(check_whole(seed, "seed", low=0))
    return rng.uniform(1.0 - size, 1.0 + size, (2, firms))


def _perturbed(economies: Sequence[NetworkEconomy], seeds: Sequence[int], size: float) -> State:
    """The initial states of the runs, vectorized."""
    states = []
    for economy, seed in zip(economies, seeds, strict=True):
        steady = equilibrium_state(economy)
        factors = disturbance(economy.firms, seed, size)
        prices, outputs = steady.prices * factors[0], steady.outputs * factors[1]
        consumption, labour = household_plan(economy, prices, steady.savings, np.ones(1))
        states.append(
            dataclasses.replace(
                steady, prices=prices, outputs=outputs, consumption=consumption, labour=labour
            )
        )
    return State(
        **{
            item.name: np.stack([getattr(each, item.name) for each in states])
            for item in dataclasses.fields(State)
        }
    )


def _rows(array: np.ndarray, kept: np.ndarray) -> np.ndarray:
    return array[kept]


def is_stationary(window: np.ndarray) -> np.ndarray:
    """Whether prices, (times, runs, n), moved by less than ``STATIONARY_TOL``, shape (runs,)."""
    high, low = window.max(axis=0), window.min(axis=0)
    return (len(window) > WINDOW) & np.all(high - low < STATIONARY_TOL * low, axis=-1)


def _has_diverged(state: State) -> np.ndarray:
    """Whether a price or an output is out of bounds, shape (runs,)."""
    both = np.concatenate([state.prices, state.outputs], axis=-1)
    return ~np.all((both > 1.0 / MAX_VALUE) & (both < MAX_VALUE), axis=-1)


# --- the phase plane ---------------------------------------------------------------------------


def phase_plane(
    rates: Sequence[float] = (0.05, 0.1, 0.25, 0.5, 0.8),
    technologies: Mapping[str, tuple[float, float]] = TECHNOLOGIES,
    networks: Iterable[int] = range(1, 6),
    *,
    settings: ExcessDemandSettings | None = None,
    firms: int = 30,
    degree: int = 4,
    labour_share: float = 0.5,
    hawkins_simon: float | None = None,
    steps: int = 3000,
    perturbation: float = 0.05,
) -> pd.DataFrame:
    """Where in the plane of rates, α = α′ by β = β′, the economy returns to its equilibrium.

    Parameters
    ----------
    rates
        The cells are ``rates`` × ``rates``.
    technologies
        q and b by name.
    networks
        Seeds of :func:`random_network`; a network starts from the same state in all cells and
        technologies.
    settings
        All other rates.
    firms, degree, labour_share, hawkins_simon
        Of :func:`random_network`.
    steps, perturbation
        Of :func:`simulate`.

    Returns
    -------
    pandas.DataFrame
        A row per run: ``technology``, ``substitution``, ``elasticity``, ``returns``, ``network``,
        ``price_rate`` (α), ``output_rate`` (β), ``status``, ``steps`` and ``distance``.

    Raises
    ------
    MarketError
        A number is out of range, or there is no equilibrium.
    """
    import pandas as pd

    settings = settings or ExcessDemandSettings()
    networks = list(networks)
    cells = [
        dataclasses.replace(
            settings,
            price_rate_surplus=price_rate,
            price_rate_profit=price_rate,
            output_rate_profit=output_rate,
            output_rate_surplus=output_rate,
        )
        for price_rate, output_rate in itertools.product(rates, rates)
    ]
    tables = []
    for name, (substitution, returns) in technologies.items():
        economies = [
            random_network(
                firms,
                degree,
                seed,
                substitution=substitution,
                returns=returns,
                labour_share=labour_share,
                hawkins_simon=hawkins_simon,
            )
            for seed in networks
        ]
        table = _plane_of(economies, networks, cells, steps=steps, perturbation=perturbation)
        table.insert(0, "technology", name)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _plane_of(
    economies: Sequence[NetworkEconomy],
    networks: Sequence[int],
    cells: Sequence[ExcessDemandSettings],
    *,
    steps: int,
    perturbation: float,
) -> pd.DataFrame:
    """The rows of one technology: its economies, one per network, in all cells."""
    import pandas as pd

    points = list(itertools.product(range(len(networks)), cells))
    runs = simulate(
        [economies[k] for k, _ in points],
        [cell for _, cell in points],
        seed=[networks[k] for k, _ in points],
        steps=steps,
        perturbation=perturbation,
        every=max(steps, 1),
    )
    return pd.DataFrame(
        {
            "substitution": economies[0].substitution,
            "elasticity": economies[0].elasticity,
            "returns": economies[0].returns,
            "network": [networks[k] for k, _ in points],
            "price_rate": [cell.price_rate_surplus for _, cell in points],
            "output_rate": [cell.output_rate_profit for _, cell in points],
            "status": runs.status,
            "steps": runs.steps,
            "distance": runs.distance,
        }
    )
