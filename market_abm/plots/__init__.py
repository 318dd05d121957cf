"""Figures of a run. Each function returns a matplotlib ``Figure``; nothing global is touched."""

from market_abm.plots.convergence import convergence
from market_abm.plots.network import network
from market_abm.plots.shock import shock

__all__ = ["convergence", "network", "shock"]
