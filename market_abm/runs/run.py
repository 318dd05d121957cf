"""Run one experiment to its end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from market_abm.economy.economy import Economy
from market_abm.errors import MarketError, SettingError
from market_abm.experiment.experiment import Experiment
from market_abm.experiment.reading import split_settings
from market_abm.runs.result import Result
from market_abm.runs.start import run_together
from market_abm.simulation.endings import Status
from market_abm.simulation.loop import Progress

if TYPE_CHECKING:
    from market_abm.market.agents import Firm

Runnable = Experiment | Economy | str | Path
"""What can be run: an experiment or economy, an experiment file, or an experiment's name."""


def run(
    what: Runnable,
    *,
    overrides: Mapping[str, Any] | None = None,
    firm: type[Firm] | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> Result:
    """Run an experiment to its end.

    Parameters
    ----------
    what
        An experiment or economy, an experiment file, or the name of an experiment.
    overrides
        Settings of the file by dotted key: ``{"supply.natgas.quantity": 9}``.
    firm
        A subclass of ``Firm`` with a bidding rule of its own.
    progress
        ``progress(state, observations)``, called at the start and after each step with the
        market's ``State`` and the results of a ``GradientObserver`` by name, such as the exact
        ``gradients`` (money per unit, shape (goods,)) and ``welfare`` (money). A KeyboardInterrupt
        raised there stops the run.
    **settings
        Keys of [market] and [run]: ``share_rate=0.2, steps=100``.

    Raises
    ------
    MarketError
        The experiment cannot be read, or its market cannot continue.
    """
    experiment = as_experiment(what, overrides, settings)
    try:
        (result,) = run_together(
            [experiment],
            engine=experiment.run.engine,
            firm=firm,
            progress=progress and _of_one_run(progress),
        )
        if isinstance(result, MarketError):
            raise result
    except MarketError as error:
        raise experiment.placed(error) from None
    return result


def shocked(
    experiment: Experiment, texts: Iterable[str], progress: Progress | None = None
) -> Experiment:
    """The experiment with more shocks, by default when its market has settled.

    Where a text has no step, the market is run once without these shocks; the step is a quarter
    later than it settles, so that the steady state is seen before the shock and the answer after
    it, but at the latest halfway through the run.

    Parameters
    ----------
    experiment
        The experiment.
    texts
        See :meth:`Experiment.with_shock_texts`.
    progress
        As of :func:`run`, called during that first run.

    Raises
    ------
    MarketError
        A text is not a valid shock of this economy; names the text.
    """
    texts = list(texts)
    told = experiment.with_shock_texts(texts)
    dated = experiment.with_shock_texts(texts, default=1)
    if told.shocks == dated.shocks:  # every text has its step
        return told
    half = max(1, experiment.run.steps // 2)
    first = run(experiment, progress=progress)
    if first.ending.status is Status.INTERRUPTED:
        raise KeyboardInterrupt
    later = first.steps + max(2, first.steps // 4)
    return experiment.with_shock_texts(texts, default=min(half, later))


def as_experiment(
    what: Runnable,
    overrides: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Experiment:
    """``what`` as an experiment; parameters as of :func:`run`.

    Raises
    ------
    MarketError
        The experiment cannot be read, or these settings cannot be changed.
    """
    overrides, settings = overrides or {}, settings or {}
    if isinstance(what, Economy):
        if overrides:
            raise SettingError(
                "an economy has no file whose keys could be overridden",
                remedy="change the economy itself",
                name="overrides",
            )
        return Experiment.of(what, **settings)
    if isinstance(what, Experiment):
        if overrides or settings:
            raise SettingError(
                "the experiment is already made",
                remedy="give the settings to Experiment.load, or use its with_overrides",
                name="overrides",
            )
        return what
    market, rest = split_settings(settings)
    dotted = {f"market.{k}": v for k, v in market.items()}
    dotted |= {f"run.{k}": v for k, v in rest.items()}
    return Experiment.load(what, {**dotted, **overrides})


def _of_one_run(progress: Progress) -> Progress:
    """``progress`` without the axis of runs."""
    return lambda state, observations: progress(
        state.select_runs(0), {name: value[0] for name, value in observations.items()}
    )
