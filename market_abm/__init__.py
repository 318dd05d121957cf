"""Competitive markets as distributed backprop: a laboratory.

In five lines::

    import market_abm

    economy = market_abm.from_text("y = sqrt(x)", supply={"x": 4})
    result = market_abm.run(economy)
    print(result.status, result.table())
    result.convergence_figure()

Everything here is loaded when it is first used, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from market_abm.agents import Firm as Firm
    from market_abm.backprop import exact_gradient as exact_gradient
    from market_abm.economy import Economy as Economy
    from market_abm.errors import MarketError as MarketError
    from market_abm.experiment import Experiment as Experiment
    from market_abm.experiment import run as run
    from market_abm.input_output import InputOutputTable as InputOutputTable
    from market_abm.input_output import read_table as read_table
    from market_abm.model import MarketModel as MarketModel
    from market_abm.national import from_input_output as from_input_output
    from market_abm.participants import Demand as Demand
    from market_abm.participants import Population as Population
    from market_abm.participants import Supply as Supply
    from market_abm.program import from_function as from_function
    from market_abm.program import from_text as from_text
    from market_abm.result import Result as Result
    from market_abm.state import MarketSettings as MarketSettings

__version__ = "0.1.0"

_HOME = {
    "Demand": "participants",
    "Economy": "economy",
    "Experiment": "experiment",
    "Firm": "agents",
    "InputOutputTable": "input_output",
    "MarketError": "errors",
    "MarketModel": "model",
    "MarketSettings": "state",
    "Population": "participants",
    "Result": "result",
    "Supply": "participants",
    "exact_gradient": "backprop",
    "from_function": "program",
    "from_input_output": "national",
    "from_text": "program",
    "read_table": "input_output",
    "run": "experiment",
}
__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'market_abm' has no attribute '{name}'")
    return getattr(import_module(f"market_abm.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
