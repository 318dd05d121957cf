"""The summary of a run, and parts of every summary file: versions, configuration, JSON."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping
from dataclasses import asdict
from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

import numpy as np

from market_abm.analysis.measures import measured
from market_abm.experiment.experiment import Experiment
from market_abm.runs.crossings import branches_summary
from market_abm.runs.families import families_json
from market_abm.runs.households import households_summary
from market_abm.runs.optimum import rest_summary
from market_abm.runs.steady_state import rotation_summary

if TYPE_CHECKING:
    from market_abm.analysis.rate import MeasuredRate
    from market_abm.analysis.stability import Stability


def run_summary(result: Any) -> dict[str, Any]:
    """Everything about a ``Result`` as one object for JSON (see ``Result.summary``)."""
    numbers, rows = measured(result), result.table().to_dict("index")
    names, recorded = result.experiment.economy.names, result.recorded
    lags = dict(zip(recorded, result.path.staleness_of_good, strict=True))
    told = [{**asdict(r), "good": recorded[r.good]} for r in result.shock_responses]
    rates = result.own_rates().to_dict("records")
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
            **({"families": families_json(result.by_family())} if result.families else {}),
            "goods": rows,
            "industries": result.accounts().to_dict("index"),
            "error": numbers.pop("error"),
            "welfare": numbers.pop("welfare"),
            "equilibrium": result.distance(),
            "rest": rest_summary(result.rest, result.equilibrium),
            "near_rest": result.near_steady_state(),
            **rotation_summary(result),
            **({"taxes": result.taxes.summary()} if result.taxes else {}),
            **households_summary(result.households),
            **({"weights": result.weights.summary()} if result.weights else {}),
            **({"shocks": told} if told else {}),
            **({"own_rates": rates} if rates else {}),
            **branches_summary(result.crossings, result.experiment, result.last),
            **numbers,
            "theory_error": theory_error(result.prices, result.prediction, result.gradients),
            "configuration": resolved(result.experiment),
            "firm": "Firm" if result.firm is None else result.firm.__name__,
            "versions": versions(),
        }
    )


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a result depends on."""
    found = {
        "python": platform.python_version(),
        "market-abm": import_module("market_abm").__version__,
    }
    for package in ("mesa", "numpy"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def resolved(experiment: Experiment) -> dict[str, Any]:
    """The configuration as JSON, from which the same experiment can be read."""
    return jsonable(_with_infinities(experiment.configuration))


def _with_infinities(settings: Any) -> Any:
    """Settings with infinity as a text, since JSON has no such number."""
    if isinstance(settings, Mapping):
        return {key: _with_infinities(value) for key, value in settings.items()}
    return "inf" if settings == math.inf else settings


def near_rest(stability: Stability, rate: MeasuredRate) -> dict[str, Any]:
    """The linear theory of a market near its steady state, beside the measured rate."""
    return {
        "regime": stability.regime,
        "radius": stability.radius,
        "period": stability.period,
        "half_life": stability.half_life,
        "rate": rate.value,
        "rate_uncertainty": rate.uncertainty,
    }


@np.errstate(invalid="ignore")
def theory_error(
    prices: np.ndarray, predicted: np.ndarray | None, gradients: np.ndarray
) -> float | None:
    """The largest relative distance of a price from its prediction; None without one."""
    if predicted is None:
        return None
    scale = np.where(gradients == 0.0, 1.0, np.abs(gradients))
    return float((np.abs(prices - predicted) / scale).max())


def jsonable(value: Any) -> Any:
    """``value`` as JSON: None in the place of NaN and infinity."""
    if isinstance(value, Mapping):
        return {str(k): jsonable(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
