"""Compare the phase plane of the published model with ours: at which rates do networks settle?

The published model is the excess-demand economy of Dessertaine et al. (2022), in
``baselines/dessertaine2022``; ours are the markets of ``from_input_output`` on the table of the
same network (``near_steady_state.py``).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from market_abm.analysis.stability import stable_rate
from market_abm.baselines.dessertaine2022 import plane
from market_abm.baselines.dessertaine2022.economy import NetworkEconomy, random_network
from market_abm.baselines.dessertaine2022.step import ExcessDemandSettings
from market_abm.display import Savable, view
from market_abm.economy.from_table import from_input_output
from market_abm.errors import SettingError
from market_abm.fields import Settings, integer
from market_abm.market.mechanisms.registry import MECHANISMS, keys_of, market_settings
from market_abm.runs.progress import WorkProgress
from market_abm.studies.near_steady_state import PERTURBATION, run_near_steady_state, steady_state

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

RATES = (0.05, 0.1, 0.25, 0.5, 0.8)
"""Values of both rates in the plane."""

TECHNOLOGIES = {"Leontief": 0.0, "q = 1/3": 1.0 / 3.0, "q = 1": 1.0, "Cobb–Douglas": math.inf}
"""Substitution q of the technologies; the elasticity of substitution is q/(1 + q)."""

MIN_ELASTICITY = 0.05
"""Our elasticity in place of Leontief's 0, for which there are no marginal products.

Marginal products are (y a/x)^(1/σ) (``economy/nested_ces.py``): 5 % too much of an input, the size
of the disturbance, costs 62 % of its value. Rounding errors grow like 1/σ, too.
"""

EDGES = 2
"""Networks of which the edge is predicted; the edges of others are much the same."""

SPOILAGE = {"published, perishable": math.inf, "published, durable": 0.0}
"""The variants of the published model: unsold goods spoil at once, or never."""

OURS = tuple(name for name, rules in MECHANISMS.items() if rules.bids_form_prices)
"""Our mechanisms in the plane: one has a rate of bids and one of shares, one the former only."""

COLD = {f"{name}, cold start": name for name in OURS}
"""The same mechanisms, started like any run, with bids of 0."""

MODELS = (*SPOILAGE, *OURS, *COLD)
"""All models, the rows of the figure."""

RUNS, PREDICTED = "runs", "edges"
"""What there is to do."""


COLUMNS = (
    "model",
    "technology",
    "elasticity",
    "network",
    "price_rate",
    "output_rate",
    "bid_rate",
    "share_rate",
    "edge",
    "status",
    "steps",
    "distance",
)
"""The columns of the table."""


def phase_plane(progress: WorkProgress | None = None, **settings: Any) -> PhasePlane:
    """Run the published excess-demand model and our markets near the steady state of networks.

    Parameters
    ----------
    progress
        ``progress(what, done, most)``, called with the number of finished runs, and of edges.
    **settings
        ``networks`` (5), ``firms`` (30), ``degree`` (4) and ``steps`` (3000): see
        :class:`market_abm.studies.phase_plane.PlaneSettings`.

    Raises
    ------
    MarketError
        A setting is wrong, or a network cannot be drawn or has no equilibrium.
    """
    return PhasePlane.of(PlaneSettings.of(settings, "phase-plane"), progress)


@dataclass(frozen=True)
class PlaneSettings(Settings):
    """The random networks of a phase plane, and the length of its runs.

    Parameters
    ----------
    networks
        The number of networks, drawn with seeds 1, 2, ...
    firms
        The number of firms of each.
    degree
        The number of other firms whose goods a firm uses.
    steps
        The maximum number of steps of a run.
    """

    networks: int = integer(5, low=1)
    firms: int = integer(30, low=2)
    degree: int = integer(4, low=1)
    steps: int = integer(3000, low=1)

    def check(self, where: str) -> None:
        """Refuse a degree that is not below the number of firms."""
        if self.degree >= self.firms:
            raise SettingError(
                f"{where}.degree is {self.degree}, but there are {self.firms} firms",
                remedy="it must be below the number of firms",
                name=f"{where}.degree",
            )

    def network(self, seed: int) -> NetworkEconomy:
        """The network of a seed, with Leontief firms; other technologies have the same table."""
        return random_network(self.firms, self.degree, seed)


@dataclass(frozen=True, eq=False, repr=False)
class PhasePlane(Savable):
    """The runs of all models.

    Parameters
    ----------
    settings
        The networks and the length of runs.
    table
        One row per run: ``model`` and ``technology`` (names), ``elasticity`` (of substitution, σ),
        ``network`` (its seed), the model's rates (``price_rate`` is α = α′ and ``output_rate``
        β = β′ of the published model, ``bid_rate`` and ``share_rate`` are ours; else NaN), ``edge``
        (of the last of our rates near the steady state, as predicted: ``stable_rate``, of the first
        two networks; else NaN),
        ``status``, ``steps``, and ``distance``: the largest |x/x* - 1| of a price or output at the
        end. The status is ``converged``, ``elsewhere``, ``diverged`` or ``max_steps``, as of
        ``baselines.dessertaine2022.plane.simulate``, or ``failed`` if our market could not split a
        good.
    """

    settings: PlaneSettings
    table: pd.DataFrame

    @staticmethod
    def size(settings: PlaneSettings) -> int:
        """The number of runs."""
        cells = len(RATES) * (len(RATES) * (len(SPOILAGE) + 2) + 2)
        return settings.networks * len(TECHNOLOGIES) * cells

    @staticmethod
    def of(settings: PlaneSettings, progress: WorkProgress | None = None) -> PhasePlane:
        """Run all models, and predict edges; ``progress`` as of :func:`phase_plane`.

        Raises
        ------
        MarketError
            A network cannot be drawn, or has no equilibrium.
        """
        import pandas as pd

        tables: list[pd.DataFrame] = []
        size = PhasePlane.size(settings)

        def finished(more: int) -> None:
            if progress:
                progress(RUNS, sum(map(len, tables)) + more, size)

        for part in _parts(settings):
            finished(0)
            tables.append(part(finished))
        finished(0)
        table = pd.concat(tables, ignore_index=True)
        table["edge"] = _edges(settings, table, progress)
        return PhasePlane(settings, table)

    @cached_property
    def cells(self) -> dict[str, int]:
        """The number of cells of each model's plane: 25, under ``trading-post`` 5."""
        runs = self.table["model"].value_counts()
        planes = len(TECHNOLOGIES) * self.settings.networks
        return {model: int(runs[model]) // planes for model in MODELS}

    @cached_property
    def counts(self) -> pd.DataFrame:
        """Converged cells, mean over networks; a row per model, a column per technology."""
        converged = self.table["status"] == "converged"
        keys = [self.table[name] for name in ("model", "technology")]
        counts = converged.groupby(keys).sum().unstack() / self.settings.networks
        return counts.loc[list(MODELS), list(TECHNOLOGIES)]

    def figure(self) -> Figure:
        """A row of panels per model, a column per technology; colour is the share of networks."""
        return view(self, "figure")(self)


Finished = Callable[[int], None]
"""Called with the number of finished runs of a part of the table."""


def _parts(settings: PlaneSettings) -> Iterator[Callable[[Finished], pd.DataFrame]]:
    """Runs that an engine makes together, each as a function that returns its part of the table."""
    for model, spoilage in SPOILAGE.items():
        for technology in TECHNOLOGIES:
            yield partial(_published, settings, model, spoilage, technology)
    for model in (*OURS, *COLD):
        for seed in range(1, settings.networks + 1):
            yield partial(_ours, settings, model, seed)


def _published(
    settings: PlaneSettings, model: str, spoilage: float, technology: str, _: Finished
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


def _ours(settings: PlaneSettings, model: str, seed: int, finished: Finished) -> pd.DataFrame:
    """The rows of one of our models on one network, with all technologies."""
    network, mechanism = settings.network(seed), COLD.get(model, model)
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
    runs = run_near_steady_state(
        network,
        [point[1] for point in points],
        markets,
        steps=settings.steps,
        seed=seed,
        perturbation=None if model in COLD else PERTURBATION,
        finished=finished,
    )
    columns = ("technology", "elasticity", "bid_rate", "share_rate")
    return _table(
        {
            "model": model,
            "network": seed,
            **dict(zip(columns, zip(*points, strict=True), strict=True)),
            **dict(zip(("status", "steps", "distance"), zip(*runs, strict=True), strict=True)),
        }
    )


def _edges(
    settings: PlaneSettings, table: pd.DataFrame, progress: WorkProgress | None
) -> list[float]:
    """The predicted edge of each row; NaN of the published model, and of most networks."""
    rows = [
        None
        if row.model in SPOILAGE or row.network > EDGES
        else (
            COLD.get(row.model, row.model),
            row.network,
            row.elasticity,
            None if math.isnan(row.share_rate) else row.bid_rate,
        )
        for row in table.itertuples()
    ]
    known: dict[Any, float] = {None: math.nan}
    cases = [case for case in dict.fromkeys(rows) if case is not None]
    for done, case in enumerate(cases):
        if progress:
            progress(PREDICTED, done, len(cases))
        known[case] = _edge(settings, *case)
    if progress:
        progress(PREDICTED, len(cases), len(cases))
    return [known[case] for case in rows]


def _edge(
    settings: PlaneSettings, mechanism: str, seed: int, elasticity: float, bid_rate: float | None
) -> float:
    """The predicted edge: of the share rate at a bid rate, or of the bid rate alone."""
    table = settings.network(seed).table
    economy = from_input_output(table, substitution_elasticity=elasticity)
    key, given = ("bid_rate", {}) if bid_rate is None else ("share_rate", {"bid_rate": bid_rate})
    market, steady = market_settings(mechanism, **given), steady_state(economy, table)
    edge = stable_rate(economy, market, key, steady)
    return math.nan if edge is None else edge


def _table(columns: dict[str, Any]) -> pd.DataFrame:
    """A table with all ``COLUMNS`` in order."""
    import pandas as pd

    table = pd.DataFrame(columns).reindex(columns=list(COLUMNS))
    return table.astype({"share_rate": float, "edge": float})
