"""Start runs: experiments of one structure become an engine and the observer of its runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from market_abm.analysis.observer import GradientObserver
from market_abm.errors import MarketError, SettingError
from market_abm.experiment.experiment import Experiment
from market_abm.market.mechanisms.registry import array_market
from market_abm.runs.result import Result
from market_abm.simulation.loop import Engine, Progress, simulate
from market_abm.simulation.record import BUYER_FIELDS

if TYPE_CHECKING:
    from market_abm.market.agents import Firm


def start_runs(
    experiments: Sequence[Experiment], *, engine: str = "arrays", firm: type[Firm] | None = None
) -> tuple[Engine, GradientObserver]:
    """The markets of experiments at step 0, and the observer that compares them with the gradient.

    Parameters
    ----------
    experiments
        One per run. Several share the structure of their economies, mechanism, activation, lag and
        dating.
    engine
        ``"arrays"``, or ``"agents"`` for a single experiment.
    firm
        The class of the firms; another than ``Firm`` needs ``"agents"``.

    Raises
    ------
    MarketError
        The market cannot start, or the engine cannot use these firms.
    """
    markets = [each.market for each in experiments]
    moved = _engine(experiments, engine, firm)
    observer = GradientObserver(
        moved.economy,
        np.array([each.run.tolerance for each in experiments]),
        shares_move=np.array([each.shares_move for each in markets]),
        rules=markets[0].rules,
        reference=moved.reference,
    )
    return moved, observer


def _engine(experiments: Sequence[Experiment], name: str, firm: type[Firm] | None) -> Engine:
    economies = [each.economy for each in experiments]
    markets = [each.market for each in experiments]
    seeds = [each.run.seed for each in experiments]
    if name == "agents":
        from market_abm.market.agent_engine import AgentEngine
        from market_abm.market.agents import Firm
        from market_abm.market.model import MarketModel

        (economy,), (market,), (seed,) = economies, markets, seeds
        return AgentEngine(MarketModel(economy, market, seed=seed, firm=firm or Firm))
    firm = _own(firm)
    if firm is not None:
        raise SettingError(
            f'{firm.__name__} cannot bid with engine = "arrays"',
            remedy='a bidding rule of your own needs engine = "agents"',
            name="run.engine",
        )
    return array_market(economies, markets, seeds)


def _own(firm: type[Firm] | None) -> type[Firm] | None:
    """A class of firms; None for ``Firm``, which needs Mesa: it takes long to import."""
    if firm is None:
        return None
    from market_abm.market.agents import Firm

    return None if firm is Firm else firm


def run_together(
    experiments: Sequence[Experiment],
    *,
    engine: str = "arrays",
    firm: type[Firm] | None = None,
    progress: Progress | None = None,
    buyer_fields: Sequence[str] = BUYER_FIELDS,
) -> list[Result | MarketError]:
    """Run experiments side by side: for each its result, or the error that stopped it.

    Parameters
    ----------
    experiments, engine, firm
        As of :func:`start_runs`; several also share their record, the steps that are
        observed and those of their shocks.
    progress, buyer_fields
        As of :func:`market_abm.simulation.loop.simulate`.

    Raises
    ------
    MarketError
        None of the markets can start.
    """
    moved, observer = start_runs(experiments, engine=engine, firm=firm)
    record = experiments[0].record
    runs = simulate(
        moved,
        np.array([each.run.steps for each in experiments]),
        observer,
        progress,
        every=record.every,
        observe_every=experiments[0].run.observe_every,
        goods=record.goods,
        buyer_fields=buyer_fields,
        changes=[
            (step, [each.changes[k][1] for each in experiments])
            for k, (step, _) in enumerate(experiments[0].changes)
        ],
    )
    moved.release()
    return [
        run.error or Result.of(experiment, run, _own(firm))
        for experiment, run in zip(experiments, runs, strict=True)
    ]
