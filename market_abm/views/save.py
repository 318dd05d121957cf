"""Results as files: the folders of a run, a comparison and a phase plane."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from market_abm.runs.folders import draw, write_folder
from market_abm.runs.result import FEW, Result
from market_abm.studies.comparisons import MechanismComparison, OptimizerComparison
from market_abm.studies.phase_plane import PhasePlane
from market_abm.views.plots.convergence import convergence
from market_abm.views.plots.network import network
from market_abm.views.plots.phase_plane import phase_plane_figure
from market_abm.views.plots.shock import shock

RUN_FILES = (
    "summary.json",
    "trajectory.csv",
    "measures.csv",
    "convergence.png",
    "network.png",
    "shock.png",
)
"""The files of a run; ``shock.png`` after a shock to an economy of more than ``FEW`` goods."""

COMPARISON_FILES = ("comparison.json", "comparison.csv", "comparison.png")

PLANE_FILES = ("table.csv", "phase-plane.png")


def shock_figure(result: Result) -> Any:
    """Prices since the first shock; None for at most ``FEW`` goods, or if no shock has occurred."""
    changes = result.experiment.changes
    if len(result.recorded) <= FEW or not changes or result.steps < changes[0][0]:
        return None
    return shock(result)


def save_result(result: Result, folder: str | Path) -> Path:
    """Write ``RUN_FILES`` into ``folder``, all or none, replacing an earlier result.

    Raises
    ------
    ResultsError
        The folder holds other files, or cannot be written.
    """
    shocked = shock_figure(result)
    writers = {
        "summary.json": lambda p: p.write_text(json_text(result.summary()), "utf-8"),
        "trajectory.csv": lambda p: result.frame().to_csv(p, index=False),
        "measures.csv": lambda p: result.measures().to_csv(p, index=False),
        "convergence.png": lambda p: draw(convergence(result), p),
        "network.png": lambda p: draw(network(result), p),
    }
    if shocked is not None:
        writers["shock.png"] = lambda p: draw(shocked, p)
    return write_folder(Path(folder), writers, RUN_FILES)


def save_comparison(
    compared: OptimizerComparison | MechanismComparison, folder: str | Path
) -> Path:
    """Write ``COMPARISON_FILES`` into ``folder``, all or none."""
    table = (
        compared.frame()
        if isinstance(compared, OptimizerComparison)
        else compared.table().reset_index()
    )
    return write_folder(
        Path(folder),
        {
            "comparison.json": lambda p: p.write_text(json_text(compared.summary()), "utf-8"),
            "comparison.csv": lambda p: table.to_csv(p, index=False),
            "comparison.png": lambda p: draw(compared.figure(), p),
        },
        COMPARISON_FILES,
    )


def save_plane(plane: PhasePlane, folder: str | Path) -> Path:
    """Write ``PLANE_FILES`` into ``folder``, all or none."""
    return write_folder(
        Path(folder),
        {
            "table.csv": lambda p: plane.table.to_csv(p, index=False),
            "phase-plane.png": lambda p: draw(phase_plane_figure(plane.table), p),
        },
        PLANE_FILES,
    )


def json_text(summary: dict[str, Any]) -> str:
    """A summary as the text of a JSON file."""
    return json.dumps(summary, indent=2, ensure_ascii=False) + "\n"
