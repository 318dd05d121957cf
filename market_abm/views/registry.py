"""The views of each class: which function of this folder shows it, loaded when it is first used."""

from __future__ import annotations

from importlib import import_module

from market_abm.display import View

VIEWS: dict[str, dict[str, str]] = {
    "Economy": {
        "text": "words.economy:economy_line",
        "html": "notebook.economy:economy_html",
    },
    "InputOutputTable": {
        "text": "words.economy:table_line",
        "html": "notebook.economy:table_html",
    },
    "Experiment": {
        "text": "words.experiment:experiment_line",
        "html": "notebook.result:experiment_html",
    },
    "Result": {
        "text": "words.run:run_line",
        "html": "notebook.result:result_html",
        "save": "save:save_result",
        "convergence_figure": "plots.convergence:convergence",
        "network_figure": "plots.network:network",
        "shock_figure": "plots.shock:shock_figure",
        "own_rates_figure": "plots.own_rates:own_rates",
        "price_simplex_figure": "plots.price_simplex:price_simplex",
        "weights_figure": "plots.weights:weights",
        "households_figure": "plots.households:households",
    },
    "OptimizerComparison": {
        "text": "words.comparison:comparison_line",
        "html": "notebook.result:comparison_html",
        "save": "save:save_comparison",
        "figure": "plots.compare:optimizer_figure",
    },
    "MechanismComparison": {
        "text": "words.comparison:mechanisms_line",
        "html": "notebook.result:mechanisms_html",
        "save": "save:save_comparison",
        "figure": "plots.compare:mechanism_figure",
    },
    "PhasePlane": {
        "text": "words.sweep:plane_line",
        "save": "save:save_plane",
        "figure": "plots.phase_plane:figure_of_plane",
    },
    "Sweep": {
        "text": "words.sweep:sweep_line",
        "figure": "plots.sweep:figure_of_sweep",
    },
}
"""By class: the views by name, each as ``module:function`` of ``market_abm.views``."""


def find(kind: str, name: str) -> View | None:
    """The view of a class by name; None if there is none."""
    place = VIEWS.get(kind, {}).get(name)
    if place is None:
        return None
    module, _, function = place.partition(":")
    found: View = getattr(import_module(f"market_abm.views.{module}"), function)
    return found
