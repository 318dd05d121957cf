"""Competitive markets as distributed backprop.

In five lines::

    import market_abm

    economy = market_abm.from_text("y = sqrt(x)", supply={"x": 4})
    result = market_abm.run(economy)
    print(result.status, result.table())
    result.convergence_figure()

Names are loaded when they are first used, so that importing the package is fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from market_abm.display import find_with

if TYPE_CHECKING:
    from market_abm.analysis.stability import stability as stability
    from market_abm.economy.economy import Economy as Economy
    from market_abm.economy.from_table import from_input_output as from_input_output
    from market_abm.economy.households import Household as Household
    from market_abm.economy.io_table import InputOutputTable as InputOutputTable
    from market_abm.economy.program import from_function as from_function
    from market_abm.economy.program import from_text as from_text
    from market_abm.economy.read_table import read_table as read_table
    from market_abm.economy.taxes import Tax as Tax
    from market_abm.economy.terms import Demand as Demand
    from market_abm.economy.terms import FirmPopulation as FirmPopulation
    from market_abm.economy.terms import Supply as Supply
    from market_abm.errors import MarketError as MarketError
    from market_abm.experiment.experiment import Experiment as Experiment
    from market_abm.gradient.backprop import exact_gradient as exact_gradient
    from market_abm.gradient.equilibrium import equilibrium as equilibrium
    from market_abm.market.agents import Firm as Firm
    from market_abm.market.mechanisms.registry import market_settings as market_settings
    from market_abm.market.model import MarketModel as MarketModel
    from market_abm.runs.result import Result as Result
    from market_abm.runs.run import run as run
    from market_abm.studies.comparisons import compare_mechanisms as compare_mechanisms
    from market_abm.studies.optimizers import compare as compare
    from market_abm.studies.phase_plane import phase_plane as phase_plane
    from market_abm.studies.sweep import sweep as sweep
    from market_abm.views.animation.animate import animate as animate
    from market_abm.views.explain import explain as explain
    from market_abm.views.report.report import report as report

__version__ = "0.1.0"

_HOME = {
    "Demand": "economy.terms",
    "Economy": "economy.economy",
    "Experiment": "experiment.experiment",
    "Firm": "market.agents",
    "FirmPopulation": "economy.terms",
    "Household": "economy.households",
    "InputOutputTable": "economy.io_table",
    "MarketError": "errors",
    "MarketModel": "market.model",
    "Result": "runs.result",
    "Supply": "economy.terms",
    "Tax": "economy.taxes",
    "animate": "views.animation.animate",
    "compare": "studies.optimizers",
    "compare_mechanisms": "studies.comparisons",
    "equilibrium": "gradient.equilibrium",
    "exact_gradient": "gradient.backprop",
    "explain": "views.explain",
    "from_function": "economy.program",
    "from_input_output": "economy.from_table",
    "from_text": "economy.program",
    "market_settings": "market.mechanisms.registry",
    "phase_plane": "studies.phase_plane",
    "read_table": "economy.read_table",
    "report": "views.report.report",
    "run": "runs.run",
    "stability": "analysis.stability",
    "sweep": "studies.sweep",
}
"""The module of each public name."""

__all__ = list(_HOME)


find_with(lambda kind, name: import_module("market_abm.views.registry").find(kind, name))


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'market_abm' has no attribute '{name}'")
    return getattr(import_module(f"market_abm.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
