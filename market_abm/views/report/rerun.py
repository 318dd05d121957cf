"""Run the experiment of a folder again, to derive its equations, and check that it is the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from market_abm.errors import ResultsError
from market_abm.experiment.experiment import Experiment
from market_abm.experiment.toml import tables_of, toml_text
from market_abm.market.state import State
from market_abm.runs.progress import WorkProgress, of_run
from market_abm.runs.run import run
from market_abm.runs.summary import resolved

if TYPE_CHECKING:
    from market_abm.runs.result import Result

MAX_FIRMS = 100_000
"""Firms of an industry that is run again."""

MAX_WORK, STEP_WORK = 2_000_000, 50
"""The sum over steps of firms and ``STEP_WORK``, up to which a run is run again: half a minute."""

SAME_TOL = 1e-9
"""The relative difference of prices and quantities up to which two runs are the same."""


def experiment_of(configuration: Mapping[str, Any], name: str) -> Experiment:
    """The experiment of a resolved configuration.

    Raises
    ------
    MarketError
        It cannot be read, reads files of this machine, or does not have this configuration.
    """
    experiment = parse_untrusted(toml_text(configuration), name, {})
    if resolved(experiment) != configuration:
        raise ResultsError("the configuration does not read back as itself")
    return experiment


def parse_untrusted(text: str, name: str, settings: Mapping[str, Any]) -> Experiment:
    """The experiment in a text from a folder, which must not name files of this machine.

    Raises
    ------
    MarketError
        It cannot be read, names such files, or is too large.
    """
    for keys, value in [*_leaves(tables_of(text)), *_leaves(settings)]:
        if "sectors" in keys and value is not None:
            raise ResultsError(
                "the economy is a table in files of one's own, which are not in the folder"
            )
        if "firms" in keys and isinstance(value, int | float) and value > MAX_FIRMS:
            raise ResultsError(f"it has more than {MAX_FIRMS:,} firms")
    return Experiment.parse(text, name, settings)


def _leaves(tables: Any, keys: tuple[str, ...] = ()) -> Iterable[tuple[tuple[str, ...], Any]]:
    """The values in nested tables and lists, each with its keys, dotted ones split."""
    if isinstance(tables, Mapping):
        for key, value in tables.items():
            yield from _leaves(value, (*keys, *key.split(".")))
    elif isinstance(tables, list):
        for value in tables:
            yield from _leaves(value, keys)
    else:
        yield keys, tables


def rerun(
    experiment: Experiment, steps: float | None = None, progress: WorkProgress | None = None
) -> Result:
    """Run an experiment again, if that is quick.

    Raises
    ------
    MarketError
        It takes long, or more than ``steps``.
    """
    firms = sum(industry.firms for industry in experiment.economy.topological_order)

    told = of_run(experiment, experiment.name, progress)

    def stop(state: State, observations: Mapping[str, np.ndarray]) -> None:
        step = state.step
        if steps is not None and step > steps:
            raise ResultsError("running the configuration again did not end where the folder's did")
        if step * (firms + STEP_WORK) > MAX_WORK:
            raise ResultsError(f"to run it again takes long ({firms:,} firms, {step:,} steps)")
        if told:
            told(state, observations)

    return run(experiment, progress=stop)


def difference(old: np.ndarray, new: np.ndarray) -> float:
    """The largest relative difference; values that are not finite in both are equal.

    Raises
    ------
    ResultsError
        It is more than :data:`SAME_TOL`.
    """
    both = np.isfinite(old) & np.isfinite(new)
    size = np.maximum(np.abs(old), np.abs(new))
    gaps = np.abs(old - new) / np.where(size > 0.0, size, 1.0)
    worst = float(gaps[both].max(initial=0.0))
    if not np.array_equal(np.isfinite(old), np.isfinite(new)) or worst > SAME_TOL:
        raise ResultsError("running the configuration again gave other numbers than the folder's")
    return worst
