"""The summary of a run, and what every summary file holds: configuration and versions."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np

from market_abm.analysis.measures import measured
from market_abm.experiment.experiment import Experiment

if TYPE_CHECKING:
    from market_abm.runs.result import Result


def summary(result: Result) -> dict[str, Any]:
    """Everything about a run as one object for JSON, with None where there is no number.

    Its numbers are those of ``analysis/measures.py: MEASURES``, by key.
    """
    numbers = measured(result)
    rows = result.table().to_dict("index")
    lags = dict(zip(result.recorded, result.path.staleness_of_good, strict=True))
    names = result.experiment.economy.names
    for good, row in rows.items():
        if good in names:
            row["name"] = names[good]
        row["first_step"] = None if row["first_step"] < 0 else int(row["first_step"])
        row["staleness"] = lags.get(good)
    return jsonable(
        {
            "name": result.experiment.name,
            "question": result.experiment.question,
            "status": result.status,
            "message": result.ending.detail,
            "steps": result.steps,
            "goods": rows,
            "industries": result.accounts().to_dict("index"),
            "error": numbers.pop("error"),
            "welfare": numbers.pop("welfare"),
            "equilibrium": result.distance(),
            "near_rest": result.near_steady_state(),
            **numbers,
            "theory_error": _theory_error(result),
            "configuration": resolved(result.experiment),
            "firm": result.firm.__name__,
            "versions": versions(),
        }
    )


@np.errstate(invalid="ignore")
def _theory_error(result: Result) -> float | None:
    """The largest relative distance of a price from its prediction, or None without one."""
    predicted = result.prediction
    if predicted is None:
        return None
    scale = np.where(result.gradients == 0.0, 1.0, np.abs(result.gradients))
    return float((np.abs(result.prices - predicted) / scale).max())


def versions() -> dict[str, str]:
    """The versions that a result depends on."""
    found = {"python": platform.python_version()}
    for package in ("market-abm", "mesa", "numpy"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def resolved(experiment: Experiment) -> dict[str, Any]:
    """The configuration as JSON can hold it, and as it may be read back."""
    return jsonable(_with_infinities(experiment.configuration))


def _with_infinities(settings: Any) -> Any:
    """Settings with infinity as the text that they may be read back from: JSON has no number."""
    if isinstance(settings, Mapping):
        return {key: _with_infinities(value) for key, value in settings.items()}
    return "inf" if settings == math.inf else settings


def jsonable(value: Any) -> Any:
    """``value`` as JSON can hold it: None for what is no number."""
    if isinstance(value, Mapping):
        return {str(k): jsonable(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
