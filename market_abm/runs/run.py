"""An experiment file (TOML) becomes an experiment, and an experiment is run.

The only module that knows both the market and the analysis: it lets the market trade, and has a
witness watch it from outside.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from market_abm.economy.economy import Economy
from market_abm.errors import MarketError, SettingError
from market_abm.experiment.experiment import Experiment
from market_abm.experiment.reading import split_settings

if TYPE_CHECKING:
    from market_abm.analysis.observer import GradientObserver
    from market_abm.market.agents import Firm
    from market_abm.runs.result import Result
    from market_abm.simulation.loop import Engine, Progress


def run(
    what: Experiment | Economy | str | Path,
    *,
    set: Mapping[str, Any] | None = None,  # noqa: A002
    firm: type[Firm] | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> Result:
    """Run an experiment (or an economy, a file, or the name of an experiment) to its end.

    ``settings`` are keys of [market] and [run] (``share_rate=0.2, steps=100``); ``set`` overrides
    any key of a file by its dotted name. ``firm`` is a subclass of ``Firm`` with another bidding
    rule. ``progress(state, seen)`` is called at the start and after each step, with the ``State``
    of the market and what a ``GradientObserver`` saw of it by name, such as the exact ``gradients`` (money
    per unit, shape (goods,)) and ``welfare`` (money); a KeyboardInterrupt there stops the run.

    Raises:
        MarketError: the experiment cannot be read, or a rival good cannot be split.
    """
    from market_abm.market.agents import Firm
    from market_abm.runs.result import Result
    from market_abm.simulation.loop import simulate

    if isinstance(what, Economy):
        if set:
            raise SettingError(
                "'set' overrides the keys of a file", remedy="change the economy itself", name="set"
            )
        experiment = Experiment.of(what, **settings)
    elif isinstance(what, Experiment):
        if set or settings:
            raise SettingError(
                "the experiment is already made",
                remedy="give the settings to Experiment.load",
                name="set",
            )
        experiment = what
    else:
        market, rest = split_settings(settings)
        dotted = {f"market.{k}": v for k, v in market.items()}
        dotted |= {f"run.{k}": v for k, v in rest.items()}
        experiment = Experiment.load(what, {**dotted, **(set or {})})

    try:
        engine, witness = watched(experiment, firm or Firm)
        record = experiment.record
        (outcome,) = simulate(
            engine,
            experiment.run.steps,
            witness,
            progress and _of_one_run(progress),
            every=record.every,
            goods=record.goods,
            changes=[(step, [economy]) for step, economy in experiment.changes],
        )
        if outcome.error:
            raise outcome.error
    except MarketError as error:
        raise experiment.placed(error) from None
    return Result.of(experiment, outcome, firm or Firm)


def watched(
    experiment: Experiment, firm: type[Firm] | None = None
) -> tuple[Engine, GradientObserver]:
    """The market of an experiment at its start, and the witness who watches it.

    Raises:
        MarketError: the market cannot begin.
    """
    from market_abm.analysis.observer import GradientObserver
    from market_abm.market.agents import Firm

    market = _market(experiment, firm or Firm)
    witness = GradientObserver(
        market.economy,
        experiment.run.tolerance,
        shares_move=experiment.market.shares_move,
        rules=experiment.market.rules,
        reference=market.reference,
    )
    return market, witness


def _of_one_run(progress: Progress) -> Progress:
    """``progress`` without the axis of runs."""
    return lambda state, saw: progress(
        state.select_runs(0), {name: v[0] for name, v in saw.items()}
    )


def _market(experiment: Experiment, firm: type[Firm]) -> Engine:
    """The market of an experiment, moved by the engine that it asks for."""
    if experiment.run.engine == "arrays":
        from market_abm.market.agents import Firm
        from market_abm.market.mechanisms.registry import array_market

        if firm is not Firm:
            raise SettingError(
                f'{firm.__name__} cannot bid with engine = "arrays"',
                remedy='a bidding rule of your own needs engine = "agents"',
                name="run.engine",
            )
        return array_market([experiment.economy], [experiment.market], [experiment.run.seed])
    from market_abm.market.model import AgentEngine, MarketModel

    seed = experiment.run.seed
    return AgentEngine(MarketModel(experiment.economy, experiment.market, seed=seed, firm=firm))
