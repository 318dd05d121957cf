"""The published model's phase plane beside ours: at which rates do the same networks settle?

The published model is the excess-demand economy of Dessertaine et al. (2022), in
``baselines/excess_demand.py``; ours are the markets of ``from_input_output`` on the table of the
same network. They start alike and are judged alike: prices and outputs begin off their equilibrium
by the same factors, all else as at rest, and a run has converged if, when it stands still or is out
of steps, all of them are within 1e-3 of the equilibrium. Ours is judged by this, and not by the
gradient at its own batches (as ``GradientObserver`` does), for that is a test which the published
model, which has no gradient, cannot take: two rules would give two planes that do not compare.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from market_abm.baselines.dessertaine2022 import plane
from market_abm.baselines.dessertaine2022.economy import NetworkEconomy, random_network
from market_abm.baselines.dessertaine2022.plane import CONVERGED_TOL, MAX_VALUE, WINDOW, disturbance
from market_abm.baselines.dessertaine2022.step import ExcessDemandSettings
from market_abm.display import Displayable, view
from market_abm.economy.from_table import from_input_output
from market_abm.economy.io_table import InputOutputTable
from market_abm.economy.nested_ces import NestedCES
from market_abm.errors import SettingError
from market_abm.fields import Settings, check_number, check_whole, integer
from market_abm.gradient.closed_form import domar_weights
from market_abm.gradient.equilibrium import Equilibrium, Problem
from market_abm.market.arrays import ArrayEngine
from market_abm.market.base import MarketSettings
from market_abm.market.mechanisms.registry import array_market, keys_of, market_settings
from market_abm.market.state import State
from market_abm.simulation.loop import Run, simulate

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from market_abm.economy.economy import Economy

RATES = (0.05, 0.1, 0.25, 0.5, 0.8)
"""Both rates of a cell of the plane."""


TECHNOLOGIES = {"Leontief": 0.0, "q = 1/3": 1.0 / 3.0, "q = 1": 1.0, "Cobb–Douglas": math.inf}
"""Substitution q of the technologies; the elasticity of substitution is q/(1 + q)."""


MIN_ELASTICITY = 0.05
"""What our firms have in the place of Leontief's 0, for which there are no marginal products.

Marginal products are (y a/x)^(1/σ) (``bundle.py``): 5 % too much of an input, the size of the
disturbance, takes 62 % of what a unit of it is worth. Their own errors grow like 1/σ, too.
"""


SPOILAGE = {"published, perishable": math.inf, "published, durable": 0.0}
"""The published model twice: goods that are left over are lost at once, or never."""


MECHANISMS = ("unit-bid", "trading-post")
"""Our model: under ``unit-bid`` by both its rates, under ``trading-post`` by the one it has."""


MODELS = (*SPOILAGE, *MECHANISMS)
"""All of them, the rows of the figure."""


PERTURBATION = 0.05
"""Prices and outputs start off their equilibrium by factors that are uniform in 1 ± this."""


COLUMNS = (
    "model",
    "technology",
    "elasticity",
    "network",
    "price_rate",
    "output_rate",
    "bid_rate",
    "share_rate",
    "status",
    "steps",
    "distance",
)
"""The columns of the table."""


@dataclass(frozen=True)
class PlaneSettings(Settings):
    """How many random networks (seeds 1, 2, ...), how large, and for how many steps each runs.

    ``degree`` is how many others' goods a firm uses.
    """

    networks: int = integer(5, low=1)
    firms: int = integer(30, low=2)
    degree: int = integer(4, low=1)
    steps: int = integer(3000, low=1)

    def check(self, where: str) -> None:
        """A firm cannot buy from more others than there are."""
        if self.degree >= self.firms:
            raise SettingError(
                f"{where}.degree is {self.degree}, and there are {self.firms} firms",
                remedy="a firm buys from others: it must be below the number of firms",
                name=f"{where}.degree",
            )

    def network(self, seed: int) -> NetworkEconomy:
        """The network of a seed, with Leontief firms; others have the same table."""
        return random_network(self.firms, self.degree, seed)


@dataclass(frozen=True, eq=False, repr=False)
class PhasePlane(Displayable):
    """All runs of all models.

    ``table`` has a row a run: ``model`` and ``technology`` (by name), ``elasticity`` (of
    substitution, σ), ``network`` (its seed), the rates that the model has (``price_rate`` is α = α′
    and ``output_rate`` β = β′ of the published model, ``bid_rate`` and ``share_rate`` ours; NaN for
    what it has not), ``status`` (``converged``, ``elsewhere``, ``diverged``, ``max_steps`` as of
    :func:`market_abm.baselines.dessertaine2022.plane.simulate`, or ``failed``, if our market could not
    split a good), ``steps``, and ``distance``: the largest |x/x* - 1| of a price or output at the
    end.
    """

    settings: PlaneSettings
    table: pd.DataFrame

    @staticmethod
    def size(settings: PlaneSettings) -> int:
        """How many runs there are."""
        cells = len(RATES) * (len(RATES) * (len(SPOILAGE) + 1) + 1)
        return settings.networks * len(TECHNOLOGIES) * cells

    @staticmethod
    def of(
        settings: PlaneSettings, progress: Callable[[int, int], None] | None = None
    ) -> PhasePlane:
        """Run them all; ``progress(done, size)`` counts runs.

        Raises:
            MarketError: a network cannot be drawn, or has no equilibrium.
        """
        import pandas as pd

        tables: list[pd.DataFrame] = []
        for part in _parts(settings):
            tables.append(part())
            if progress:
                progress(sum(map(len, tables)), PhasePlane.size(settings))
        return PhasePlane(settings, pd.concat(tables, ignore_index=True))

    @cached_property
    def cells(self) -> dict[str, int]:
        """How many cells the plane of each model has: 25, under ``trading-post`` 5."""
        runs = self.table["model"].value_counts()
        planes = len(TECHNOLOGIES) * self.settings.networks
        return {model: int(runs[model]) // planes for model in MODELS}

    @cached_property
    def counts(self) -> pd.DataFrame:
        """Cells that converged, the mean over networks: a row a model, a column a technology."""
        converged = self.table["status"] == "converged"
        keys = [self.table[name] for name in ("model", "technology")]
        counts = converged.groupby(keys).sum().unstack() / self.settings.networks
        return counts.loc[list(MODELS), list(TECHNOLOGIES)]

    def figure(self) -> Figure:
        """A row of panels a model, a column a technology; shares of networks as colours."""
        return view(self, "figure")(self)

    def save(self, folder: str | Path) -> Path:
        """Write it into ``folder``, whole or not at all; see ``views/save.py``."""
        return view(self, "save")(self, folder)


def _parts(settings: PlaneSettings) -> Iterator[Callable[[], pd.DataFrame]]:
    """What goes through an engine together, each as a function that makes its part of the table."""
    for model, spoilage in SPOILAGE.items():
        for technology in TECHNOLOGIES:
            yield partial(_published, settings, model, spoilage, technology)
    for mechanism in MECHANISMS:
        for seed in range(1, settings.networks + 1):
            yield partial(_ours, settings, mechanism, seed)


def _published(
    settings: PlaneSettings, model: str, spoilage: float, technology: str
) -> pd.DataFrame:
    """The rows of the published model with one technology, on all networks."""
    runs = plane.phase_plane(
        RATES,
        {technology: (TECHNOLOGIES[technology], 1.0)},
        range(1, settings.networks + 1),
        settings=ExcessDemandSettings(spoilage=spoilage),
        firms=settings.firms,
        degree=settings.degree,
        steps=settings.steps,
        perturbation=PERTURBATION,
    )
    return _table({"model": model, **{name: runs[name] for name in COLUMNS if name in runs}})


def _ours(settings: PlaneSettings, mechanism: str, seed: int) -> pd.DataFrame:
    """The rows of one of our mechanisms on one network, with all technologies."""
    network = settings.network(seed)
    moving = "share_rate" in keys_of(mechanism)
    share_rates = RATES if moving else (math.nan,)
    points = [
        (name, max(network.with_technology(q).elasticity, MIN_ELASTICITY), bid_rate, share_rate)
        for name, q in TECHNOLOGIES.items()
        for bid_rate, share_rate in itertools.product(RATES, share_rates)
    ]
    markets = [
        market_settings(
            mechanism, bid_rate=bid_rate, **({"share_rate": share_rate} if moving else {})
        )
        for _, _, bid_rate, share_rate in points
    ]
    runs = run_from_rest(
        network, [point[1] for point in points], markets, steps=settings.steps, seed=seed
    )
    columns = ("technology", "elasticity", "bid_rate", "share_rate")
    return _table(
        {
            "model": mechanism,
            "network": seed,
            **dict(zip(columns, zip(*points, strict=True), strict=True)),
            **dict(zip(("status", "steps", "distance"), zip(*runs, strict=True), strict=True)),
        }
    )


def _table(columns: dict[str, Any]) -> pd.DataFrame:
    """A table with all of ``COLUMNS``, in their order."""
    import pandas as pd

    return pd.DataFrame(columns).reindex(columns=list(COLUMNS)).astype({"share_rate": float})


# --- our markets, from near their rest ----------------------------------------------------------


def run_from_rest(
    network: NetworkEconomy,
    elasticities: Sequence[float],
    settings: Sequence[MarketSettings],
    *,
    steps: int,
    seed: int,
    perturbation: float = PERTURBATION,
) -> list[tuple[str, int, float]]:
    """Our market on the table of ``network``, a run for each entry of both sequences.

    It starts as the published model does (:func:`market_abm.baselines.dessertaine2022.plane.simulate`):
    prices and outputs of all industries are those at rest, times the same factors, drawn from
    ``seed``; shares, and what the last batches were made of, are those at rest, and what is bid for
    a good is its price. Settings are of one mechanism.

    Returns the status (see :class:`PhasePlane`), the last step and the distance from the
    equilibrium, of each run.

    Raises:
        MarketError: a number is out of range, or the market cannot run.
    """
    steps = check_whole(steps, "steps", low=1)
    check_number(perturbation, "perturbation", low=0.0, high=0.999)
    economies = [
        from_input_output(network.table, substitution_elasticity=each) for each in elasticities
    ]
    market = array_market(economies, settings, [seed] * len(economies))
    rest = at_rest(economies[0], network.table)
    _put_near(market, rest, network.table, disturbance(network.firms, seed, perturbation))
    runs = simulate(market, steps, _Standstill(), every=steps, books=())
    return [_told(run, rest) for run in runs]


def at_rest(economy: Economy, table: InputOutputTable) -> Equilibrium:
    """The equilibrium of the table's economy, whatever its elasticity: the table itself.

    Shares are those of the table; quantities and prices are what the economy's own lines and the
    exact gradient make of them: Domar weights, and 1.
    """
    buyers, sales = economy.buyers, dict(zip(table.codes, domar_weights(table), strict=True))
    inputs = np.zeros(buyers.size)
    for industry in economy.topological_order:
        assert isinstance(industry.technology, NestedCES)
        uses = buyers.of_industry[industry.good][:, 0]  # one firm an industry
        inputs[uses] = industry.technology.shares * sales.get(industry.good, 1.0)
    shares = inputs / np.add.reduceat(inputs, buyers.starts)[buyers.pool]
    problem = Problem(economy)
    best = problem.at(problem.point(problem.endowment, shares))
    return Equilibrium(
        best.quantities, best.prices, best.shares, best.value, problem.residual(best)
    )


def _put_near(
    market: ArrayEngine, rest: Equilibrium, table: InputOutputTable, factors: np.ndarray
) -> None:
    """Put all runs near ``rest``: prices and outputs of industries times ``factors``, (2, n)."""
    economy, buyers = market.economy, market.economy.buyers
    industries = [economy.index[code] for code in table.codes]
    prices, quantities = rest.prices.copy(), rest.quantities.copy()
    prices[industries] *= factors[0]
    quantities[industries] *= factors[1]
    inputs = rest.shares * rest.quantities[buyers.good]
    products = rest.prices[buyers.good] / rest.prices[buyers.maker]
    memory = {
        "shares": rest.shares,
        "bids": market.mechanism.as_bid(prices[buyers.good], inputs),
        "products": market.mechanism.as_bid(products, inputs),
        "quantities": quantities,
        "prices": prices,
    }
    runs = len(market.shares)
    market.memory = {name: np.tile(array, (runs, 1)) for name, array in memory.items()}


class _Standstill:
    """Settled is a run in which no price has moved, as in the published model's simulation."""

    path: Sequence[str] = ()

    def __init__(self) -> None:
        self._window: list[np.ndarray] = []

    @np.errstate(all="ignore")
    def __call__(self, state: State) -> dict[str, np.ndarray]:
        """Take in one more state."""
        self._window = [*self._window[-WINDOW:], state.prices]
        return {"settled": plane.is_stationary(np.array(self._window))}

    def keep(self, rows: np.ndarray) -> None:
        """Go on with these runs only."""
        self._window = [prices[rows] for prices in self._window]

    def change(self, economy: Economy) -> None:
        """There are no shocks."""


@np.errstate(all="ignore")
def _told(run: Run, rest: Equilibrium) -> tuple[str, int, float]:
    """Status, last step and distance of a run."""
    both = np.concatenate([run.last.prices / rest.prices, run.last.quantities / rest.quantities])
    distance = float(np.abs(both - 1.0).max())
    lost = run.ending is not None or not np.all((both > 1.0 / MAX_VALUE) & (both < MAX_VALUE))
    if run.error is not None:
        status = "failed"
    elif lost:
        status = "diverged"
    elif distance < CONVERGED_TOL:
        status = "converged"
    else:
        status = "elsewhere" if run.last_observations["settled"] else "max_steps"
    return status, run.last.step, distance
