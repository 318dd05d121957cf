"""Sentences about sweeps and phase planes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from market_abm.views.numbers import format_count
from market_abm.views.varying import axes_that_vary

if TYPE_CHECKING:
    import pandas as pd

    from market_abm.studies.phase_plane import PhasePlane, PlaneSettings
    from market_abm.studies.sweep import Sweep


def sweep_line(sweep: Sweep) -> str:
    """A sweep in one line."""
    return f"<Sweep of {sweep.base.name}: {format_count(sweep.design.size, 'run')}>"


def sweep_start(sweep: Sweep) -> str:
    """How many runs a sweep has, and how they are made."""
    size = format_count(sweep.design.size, "run")
    return f"{sweep.base.name}: {size}, in batches of about a second"


def sweep_size(sweep: Sweep) -> str:
    """How many runs a valid sweep has."""
    return f"  sweep: {format_count(sweep.design.size, 'run')}"


def sweep_sentences(table: pd.DataFrame, axes: Sequence[str]) -> list[str]:
    """What a finished sweep has to say beside its table: runs that failed, and no figure."""
    said, failed = [], table[table["status"] == "failed"]
    if len(failed):
        said.append(failed_runs(len(failed), len(table), str(failed["message"].iloc[0])))
    why = why_no_figure(table, axes)
    if why:
        said.append(f"No figure was drawn: {why}. All runs are in table.csv.")
    return said


def failed_runs(count: int, size: int, message: str) -> str:
    """How many runs failed, and why the first one did."""
    which = "All runs" if count == size else f"{count:,} of {format_count(size, 'run')}"
    return f"{which} failed (column message of table.csv); the first: {message}"


def why_no_figure(table: pd.DataFrame, axes: Sequence[str]) -> str:
    """Why a sweep has no figure; empty if it has one."""
    numbers, others = axes_that_vary(table, axes)
    if (table["status"] == "failed").all():
        return "no run has an outcome"
    if others:
        return f"it has axes of finite numbers, and {' and '.join(others)} has other values"
    if len(numbers) > 2:
        return f"it has one or two axes, and {len(numbers)} vary"
    return "" if numbers else "no axis has several values"


def plane_line(plane: PhasePlane) -> str:
    """A phase plane in one line."""
    return f"<PhasePlane of {format_count(len(plane.table), 'run')}>"


def plane_start(settings: PlaneSettings, runs: int) -> str:
    """How many networks, firms and runs a phase plane has."""
    networks = format_count(settings.networks, "network")
    return f"{networks} of {format_count(settings.firms, 'firm')}: {format_count(runs, 'run')}"


def plane_note() -> str:
    """What the cells of a phase plane count."""
    return "Cells of the plane that return to the equilibrium, averaged over networks."
