"""The nearest published model: firms that follow excess demand and profit, without any gradient.

The network economy out of equilibrium of T. Dessertaine, J. Moran, M. Benzaquen and J.-P. Bouchaud
(Journal of Economic Dynamics and Control 138:104362, 2022), written from its equations. n firms
make a good each from labour (input 0, whose wage is the unit of money) and each other's goods; one
household works and consumes. Prices and outputs follow two signals, profit and surplus, at given
rates, and nobody waits for markets to clear: whoever is short is rationed, and what is left over is
kept or spoils. Near rest the state may come back to the competitive equilibrium, or never.

Where the equations leave a choice, it is this:

* Demand D is what was ordered, met or not; the household's orders count whether or not it could
  pay for them in the end. A firm plans by the profit and the demand seen in the last step: what
  it would have earned and spent, had all orders been met. Its price follows what it did earn and
  spend.
* A Leontief firm uses up what its scarcest input allows, and stores the rest of the others, which
  spoils like any stock. Other firms use all that they have up to what they wanted.
* The household's confidence is a factor on its tastes as they are given; it does not accumulate.
* φ = 1: the disutility of labour is Γ (L/L₀)²/2.
* A firm may run losses without end: there is no credit limit and no bankruptcy.
* A run starts from the equilibrium with each price and each output off by its own factor, uniform
  in 1 ± the perturbation; savings, stocks and the last step's books are those of the equilibrium.

The first choice decides whether the economy can recover from a slump. If the household's orders
are cut to what it can pay before they count, or if firms plan by what they did earn, all firms
together see no profit (with f = 1 the household spends what it earns), and no cell of the plane
comes back to the equilibrium. As it is here, prices keep pace with wages in a slump with
unemployment u = (Lₛ − L_d)/(Lₛ + L_d) when α x = ω u, x the relative surplus; firms see a profit of
s u, s the share of what they sell that the household buys; and planned output rises if
β s u > β′ x. So slumps end (with f = 1, ω′ = 0 and perishable goods) only if

    ω < α s β/β′,

which is necessary, not sufficient: other modes, of firms against each other, have their own bounds.

How many cells of a plane converge depends on what a network is, above all on s (of 25, Leontief 4
to 5 and Cobb–Douglas 9 to 18 on average, for labour shares of 0.2 to 0.5) and on f (with f = 0.5
none does: a slump eats up the savings); by up to three cells on whether firms plan by orders or by
what they paid, at old prices or new, and on the size of the perturbation; hardly on ω′. That
Leontief converges least, on average over networks, was so in all these variants in which any cell
converges. (Prices may be at rest in a slump without end: a rule that looks at prices alone
would count it as converged.)
"""

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
    at_rest,
    household_plan,
    step,
)
from market_abm.errors import SettingError
from market_abm.fields import check_number, check_whole

if TYPE_CHECKING:
    import pandas as pd

Kind = TypeVar("Kind")


STATIONARY_TOL = 1e-7
"""A run is at rest when no price has moved by more, relatively, within ``WINDOW`` steps."""


WINDOW = 10
"""Steps over which prices must not move; how often this is looked at."""


NEAR = 1e-3
"""A run has converged if at its end all prices and outputs are as near to the equilibrium."""


BEYOND = 1e100
"""A run has diverged when a price or an output is above this, below its inverse, or no number."""


# --- runs --------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Simulation:
    """Runs side by side. A run that has ended keeps its last state in all later records.

    Attributes:
        times: steps at which the state was recorded, shape (records,).
        prices, outputs: shape (runs, records, n), in units of the wage, and γ.
        unsold: firms' stocks of their own goods, shape (runs, records, n).
        stocks: of inputs, shape (runs, records, n, n + 1).
        status: of each run: ``converged``, ``elsewhere``, ``diverged`` or ``max_steps``.
        steps: how many steps each run took, shape (runs,).
        distance: at the end, the largest |x/x* − 1| of a price or output, shape (runs,).
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
    """Runs from near the equilibrium, as many as the longest of the three sequences has entries.

    What is single is the same in all runs. A run is *at rest*, and ends, when no price moves by
    more than 1e-7 within ten steps (looked at every ten). It has *converged* if, at its end, all
    prices and outputs are within 1e-3 of the equilibrium; it is *elsewhere* if it is at rest, but
    not there; *diverged* if a price or output is above 1e100, below 1e-100 (as in a slump without
    end) or no number; else out of steps, ``max_steps``. The paper's rule counts ``converged`` and
    ``elsewhere``. The state is recorded at step 0, every ``every`` steps, and at the end.

    Raises:
        EconomyError: an economy has no equilibrium, or they are of different technologies.
        SettingError: a number is out of range, or the sequences do not fit together.
    """
    steps = check_whole(steps, "steps", low=0)
    every = check_whole(every, "every", low=1)
    check_number(perturbation, "perturbation", low=0.0, high=0.999)
    several = [each for each in (economies, settings, seed) if isinstance(each, Sequence)]
    runs = max((len(each) for each in several), default=1)
    every_economy = _each(economies, runs, "economies")
    every_setting = _each(settings, runs, "settings")
    seeds = _each(seed, runs, "seeds")
    start = _perturbed(every_economy, seeds, perturbation)
    economy = NetworkEconomy.vectorized(every_economy)
    rates = ExcessDemandSettings.vectorized(every_setting)
    rest = np.array([[each.equilibrium.prices, each.equilibrium.outputs] for each in every_economy])

    times = np.unique(np.append(np.arange(0, steps + 1, every), steps))
    kept = ("prices", "outputs", "unsold", "stocks")
    records = {name: np.repeat(getattr(start, name)[:, None], len(times), axis=1) for name in kept}
    status, taken = np.full(runs, "max_steps", dtype=object), np.full(runs, steps)
    ends = np.stack([start.prices, start.outputs], axis=1)
    active, state, record = np.arange(runs), start, 1
    window = [state.prices]
    for now in range(1, steps + 1):
        state, _ = step(economy, rates, state)
        if record < len(times) and times[record] == now:
            for name in kept:
                records[name][active, record] = getattr(state, name)
            record += 1
        window.append(state.prices)
        if now % WINDOW == 0 or now == steps:
            resting, lost = is_stationary(np.array(window)), _lost(state)
            window = [state.prices]
            over = resting | lost | (now == steps)
            ended = active[over]
            status[active[resting]], status[active[lost]] = "elsewhere", "diverged"
            taken[ended] = now
            ends[ended] = np.stack([state.prices[over], state.outputs[over]], axis=1)
            if over.any():
                for name in kept:
                    records[name][ended, record:] = getattr(state, name)[over][:, None]
                going = partial(_rows, kept=~over)
                active, window = active[~over], [state.prices[~over]]
                state, economy, rates = (
                    state.select_runs(going),
                    economy.select_runs(going),
                    rates.select_runs(going),
                )
            if not active.size:
                break
    distance = np.abs(ends / rest - 1.0).max(axis=(1, 2))
    status[(status != "diverged") & (distance < NEAR)] = "converged"
    return Simulation(times, **records, status=tuple(status), steps=taken, distance=distance)


def _each(given: Kind | Sequence[Kind], runs: int, what: str) -> list[Kind]:
    """``given`` as a list of one entry a run."""
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
    """The states that runs start from, stacked."""
    states = []
    for economy, seed in zip(economies, seeds, strict=True):
        rest = at_rest(economy)
        factors = disturbance(economy.firms, seed, size)
        prices, outputs = rest.prices * factors[0], rest.outputs * factors[1]
        consumption, labour = household_plan(economy, prices, rest.savings, np.ones(1))
        states.append(
            dataclasses.replace(
                rest, prices=prices, outputs=outputs, consumption=consumption, labour=labour
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
    """Whether prices, shape (times, runs, n), moved by less than ``STATIONARY_TOL``, shape (runs,)."""
    high, low = window.max(axis=0), window.min(axis=0)
    return (len(window) > WINDOW) & np.all(high - low < STATIONARY_TOL * low, axis=-1)


def _lost(state: State) -> np.ndarray:
    """Whether a price or an output is beyond all bounds, shape (runs,)."""
    both = np.concatenate([state.prices, state.outputs], axis=-1)
    return ~np.all((both > 1.0 / BEYOND) & (both < BEYOND), axis=-1)


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
    """Where in the plane of rates, α = α′ by β = β′, the economy comes back to its equilibrium.

    Each of ``technologies`` (a name, with q and b) runs on the network of each of the seeds
    ``networks``, in each cell of ``rates`` × ``rates``; ``settings`` give all other rates. A
    network is disturbed alike in all cells and technologies.

    Returns a row a run: ``technology``, ``substitution``, ``elasticity``, ``returns``, ``network``,
    ``price_rate`` (α), ``output_rate`` (β), ``status``, ``steps`` and ``distance`` (see
    :func:`simulate`).

    Raises:
        MarketError: a number is out of range, or there is no equilibrium.
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
        points = list(itertools.product(range(len(networks)), cells))
        runs = simulate(
            [economies[k] for k, _ in points],
            [cell for _, cell in points],
            seed=[networks[k] for k, _ in points],
            steps=steps,
            perturbation=perturbation,
            every=max(steps, 1),
        )
        columns = {
            "technology": name,
            "substitution": substitution,
            "elasticity": economies[0].elasticity,
            "returns": returns,
            "network": [networks[k] for k, _ in points],
            "price_rate": [cell.price_rate_surplus for _, cell in points],
            "output_rate": [cell.output_rate_profit for _, cell in points],
            "status": runs.status,
            "steps": runs.steps,
            "distance": runs.distance,
        }
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def converged_cells(table: pd.DataFrame) -> pd.DataFrame:
    """How many cells of a :func:`phase_plane` converged: a row a technology, a column a network."""
    converged = (table["status"] == "converged").groupby([table["technology"], table["network"]])
    return converged.sum().unstack("network").loc[table["technology"].unique()]
