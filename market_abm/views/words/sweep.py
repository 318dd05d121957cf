"""Sentences about sweeps and phase planes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from market_abm.views.numbers import format_count

if TYPE_CHECKING:
    from market_abm.studies.phase_plane import PhasePlane, PlaneSettings
    from market_abm.studies.sweep import Sweep


def sweep_line(sweep: Sweep) -> str:
    """A sweep in one line."""
    return f"<Sweep of {sweep.base.name}: {format_count(sweep.design.size, 'run')}>"


def sweep_start(sweep: Sweep) -> str:
    """How many runs a sweep has, and how many are stepped at once."""
    size = format_count(sweep.design.size, "run")
    return f"{sweep.base.name}: {size}, up to {sweep.batch_size:,} at a time"


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
