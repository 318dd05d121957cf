"""The views of each class, registered with ``display.register`` when this module is imported."""

from __future__ import annotations

from market_abm.display import register
from market_abm.economy.economy import Economy
from market_abm.economy.io_table import InputOutputTable
from market_abm.experiment.experiment import Experiment
from market_abm.runs.result import Result
from market_abm.studies.comparisons import MechanismComparison, OptimizerComparison
from market_abm.studies.phase_plane import PhasePlane
from market_abm.studies.sweep import Sweep
from market_abm.views import save
from market_abm.views.notebook import economy, result
from market_abm.views.plots.compare import mechanism_figure, optimizer_figure
from market_abm.views.plots.convergence import convergence
from market_abm.views.plots.network import network
from market_abm.views.plots.phase_plane import phase_plane_figure
from market_abm.views.plots.sweep import figure_of_sweep
from market_abm.views.words.comparison import comparison_line, mechanisms_line
from market_abm.views.words.economy import economy_line, table_line
from market_abm.views.words.run import experiment_line, run_line
from market_abm.views.words.sweep import plane_line, sweep_line

register(Economy, text=economy_line, html=economy.economy_html)
register(InputOutputTable, text=table_line, html=economy.table_html)
register(Experiment, text=experiment_line, html=result.experiment_html)
register(
    Result,
    text=run_line,
    html=result.result_html,
    save=save.save_result,
    convergence_figure=convergence,
    network_figure=network,
    shock_figure=save.shock_figure,
)
register(
    OptimizerComparison,
    text=comparison_line,
    html=result.comparison_html,
    save=save.save_comparison,
    figure=optimizer_figure,
)
register(
    MechanismComparison,
    text=mechanisms_line,
    html=result.mechanisms_html,
    save=save.save_comparison,
    figure=mechanism_figure,
)
register(
    PhasePlane,
    text=plane_line,
    save=save.save_plane,
    figure=lambda plane: phase_plane_figure(plane.table),
)
register(
    Sweep,
    text=sweep_line,
    figure=figure_of_sweep,
)
