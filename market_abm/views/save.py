"""Results as files: the folders of a run, a comparison and a phase plane."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from market_abm.runs.folders import write_figure, write_folder

if TYPE_CHECKING:
    from market_abm.runs.result import Result
    from market_abm.studies.comparisons import MechanismComparison, OptimizerComparison
    from market_abm.studies.phase_plane import PhasePlane

RUN_FILES = (
    "summary.json",
    "trajectory.csv",
    "buyers.csv",
    "measures.csv",
    "convergence.png",
    "network.png",
    "shock.png",
)
"""The files of a run: data (``buyers.csv`` if not too long), then figures."""

MAX_BUYER_ROWS = 100_000
"""Rows (some 5 MB) up to which ``buyers.csv`` is written."""

COMPARISON_FILES = ("comparison.json", "comparison.csv", "comparison.png")

PLANE_FILES = ("table.csv", "phase-plane.png")


def save_result(result: Result, folder: str | Path) -> Path:
    """Write ``RUN_FILES`` into ``folder``, all or none, replacing an earlier result.

    Raises
    ------
    ResultsError
        The folder holds other files, or cannot be written.
    """
    writers = {
        "summary.json": lambda p: p.write_text(json_text(result.summary()), "utf-8"),
        "trajectory.csv": lambda p: result.frame().to_csv(p, index=False),
        "measures.csv": lambda p: result.measures().to_csv(p, index=False),
    }
    if 0 < result.trajectory.inputs.size <= MAX_BUYER_ROWS:
        writers["buyers.csv"] = lambda p: result.buyers().to_csv(p, index=False)
    writers |= {
        "convergence.png": lambda p: write_figure(result.convergence_figure, p),
        "network.png": lambda p: write_figure(result.network_figure, p),
        "shock.png": lambda p: write_figure(result.shock_figure, p),
    }
    return write_folder(Path(folder), writers, RUN_FILES)


def save_comparison(
    compared: OptimizerComparison | MechanismComparison, folder: str | Path
) -> Path:
    """Write ``COMPARISON_FILES`` into ``folder``, all or none."""
    table = compared.frame()
    return write_folder(
        Path(folder),
        {
            "comparison.json": lambda p: p.write_text(json_text(compared.summary()), "utf-8"),
            "comparison.csv": lambda p: table.to_csv(p, index=False),
            "comparison.png": lambda p: write_figure(compared.figure, p),
        },
        COMPARISON_FILES,
    )


def save_plane(plane: PhasePlane, folder: str | Path) -> Path:
    """Write ``PLANE_FILES`` into ``folder``, all or none."""
    return write_folder(
        Path(folder),
        {
            "table.csv": lambda p: plane.table.to_csv(p, index=False),
            "phase-plane.png": lambda p: write_figure(plane.figure, p),
        },
        PLANE_FILES,
    )


def json_text(summary: dict[str, Any]) -> str:
    """A summary as the text of a JSON file."""
    return json.dumps(summary, indent=2, ensure_ascii=False) + "\n"
