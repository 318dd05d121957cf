"""Results as files: the folders of a run, a comparison and a phase plane."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from market_abm.runs.folders import write_figure, write_folder
from market_abm.views.words.families import path_left_out

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from market_abm.runs.result import Result
    from market_abm.studies.comparisons import MechanismComparison
    from market_abm.studies.optimizers import OptimizerComparison
    from market_abm.studies.phase_plane import PhasePlane

Writers = dict[str, Callable[[Path], Any]]

FileProgress = Callable[[int, int], None]

RUN_FILES = (
    "summary.json",
    "trajectory.csv",
    "families.csv",
    "buyers.csv",
    "measures.csv",
    "convergence.png",
    "network.png",
    "shock.png",
    "own-rates.png",
    "price-simplex.png",
    "weights.png",
    "households.png",
)
"""The files of a run: data (``trajectory.csv`` and ``buyers.csv`` if not too long, ``families.csv``
where families are shown in the place of goods), then figures."""

MAX_PATH_ROWS = 2_000_000
"""Rows (some 150 MB) up to which ``trajectory.csv`` is written where there is ``families.csv``."""

MAX_BUYER_ROWS = 100_000
"""Rows (some 5 MB) up to which ``buyers.csv`` is written."""

COMPARISON_FILES = ("comparison.json", "comparison.csv", "comparison.png")

PLANE_FILES = ("table.csv", "phase-plane.png")


def save_result(
    result: Result,
    folder: str | Path,
    *,
    figures: bool = True,
    progress: FileProgress | None = None,
) -> Path:
    """Write ``RUN_FILES`` into ``folder``, all or none, replacing an earlier result.

    Parameters
    ----------
    result
        The result.
    folder
        The folder.
    figures
        Whether figures are drawn.
    progress
        ``progress(done, most)``, called with the number of files.

    Raises
    ------
    ResultsError
        The folder holds other files, or cannot be written.
    """
    writers: Writers = {
        "summary.json": lambda p: p.write_text(json_text(result.summary()), "utf-8"),
        "trajectory.csv": lambda p: result.frame().to_csv(p, index=False),
        "families.csv": lambda p: result.family_paths().to_csv(p, index=False),
        "measures.csv": lambda p: result.measures().to_csv(p, index=False),
    }
    if left_out(result):
        del writers["trajectory.csv"]
    if not result.families:
        del writers["families.csv"]
    if 0 < result.trajectory.inputs.size <= MAX_BUYER_ROWS:
        writers["buyers.csv"] = lambda p: result.buyers().to_csv(p, index=False)
    pictures = {
        "convergence.png": result.convergence_figure,
        "network.png": result.network_figure,
        "shock.png": result.shock_figure,
        "own-rates.png": result.own_rates_figure,
        "price-simplex.png": result.price_simplex_figure,
        "weights.png": result.weights_figure,
        "households.png": result.households_figure,
    }
    writers |= _drawn(pictures) if figures else {}
    return write_folder(Path(folder), writers, RUN_FILES, progress)


def left_out(result: Result) -> str:
    """That the path of every good is not written, where it is too long; else empty."""
    rows = result.prices.size
    return path_left_out(rows) if result.families and rows > MAX_PATH_ROWS else ""


def save_comparison(
    compared: OptimizerComparison | MechanismComparison,
    folder: str | Path,
    *,
    figures: bool = True,
    progress: FileProgress | None = None,
) -> Path:
    """Write ``COMPARISON_FILES`` into ``folder``, all or none; parameters as of save_result."""
    table = compared.frame()
    writers: Writers = {
        "comparison.json": lambda p: p.write_text(json_text(compared.summary()), "utf-8"),
        "comparison.csv": lambda p: table.to_csv(p, index=False),
    }
    writers |= _drawn({"comparison.png": compared.figure}) if figures else {}
    return write_folder(Path(folder), writers, COMPARISON_FILES, progress)


def save_plane(
    plane: PhasePlane,
    folder: str | Path,
    *,
    figures: bool = True,
    progress: FileProgress | None = None,
) -> Path:
    """Write ``PLANE_FILES`` into ``folder``, all or none; parameters as of save_result."""
    writers: Writers = {"table.csv": lambda p: plane.table.to_csv(p, index=False)}
    writers |= _drawn({"phase-plane.png": plane.figure}) if figures else {}
    return write_folder(Path(folder), writers, PLANE_FILES, progress)


def _drawn(pictures: Mapping[str, Callable[[], Figure | None]]) -> Writers:
    """What writes figures to files of these names."""
    return {name: partial(write_figure, make) for name, make in pictures.items()}


def json_text(summary: dict[str, Any]) -> str:
    """A summary as the text of a JSON file."""
    return json.dumps(summary, indent=2, ensure_ascii=False) + "\n"
