"""What is known of a run's market near its steady state: how much of its moves is gradient."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from market_abm.display import Displayable, view
from market_abm.economy.economy import Economy
from market_abm.experiment.experiment import Experiment
from market_abm.market.state import State
from market_abm.simulation.endings import Status

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from market_abm.analysis.price_field import PriceField
    from market_abm.analysis.rotation import Rotation
    from market_abm.gradient.equilibrium import Equilibrium
    from market_abm.market.agents import Firm

MAX_LISTED = 24
"""Eigenvalues up to which a summary lists them."""


class SteadyResult(Displayable):
    """The part of a result that is about moves near the steady state, and not about the path."""

    experiment: Experiment
    firm: type[Firm] | None

    if TYPE_CHECKING:

        @property
        def economy(self) -> Economy:
            """See ``Result``, as of the following."""

        @property
        def steps(self) -> int:
            """The last step."""

        @property
        def last(self) -> State:
            """The state at the last step."""

        @property
        def status(self) -> str:
            """How the run ended."""

        @property
        def equilibrium(self) -> Equilibrium | None:
            """The best known allocation."""

        @property
        def rest(self) -> Equilibrium | None:
            """Where the market rests."""

    @property
    def steady_state(self) -> Equilibrium | None:
        """Where the market rests; if it does not, the equilibrium. None if that is unknown.

        None also while a series moves on, and if firms are of another class than ``Firm``.
        """
        moving = self.economy.moves_until > self.steps
        if self.firm is not None or moving or self.equilibrium is None:
            return None
        return self.equilibrium if self.rest is None or not self.rest.solved else self.rest

    @cached_property
    def rotation(self) -> Rotation | None:
        """How much of a step near the steady state is gradient; see ``analysis/rotation.py``."""
        from market_abm.analysis.rotation import rotation

        steady = self.last if self.status == Status.OFF_GRADIENT.value else self.steady_state
        return rotation(self.economy, self.experiment.market, steady) if steady else None

    @cached_property
    def price_field(self) -> PriceField | None:
        """Where quoted prices move, of three that matter only up to scale; else None."""
        from market_abm.analysis.price_field import PriceField

        steady = self.steady_state
        if steady is None or not steady.solved:
            return None
        return PriceField.of(self.economy, self.experiment.market, steady)

    def price_simplex_figure(self) -> Figure | None:
        """Three relative prices: their path, and the gradient and the rotation; else None."""
        return view(self, "price_simplex_figure")(self)


def rotation_summary(result: SteadyResult) -> dict[str, Any]:
    """With households, both norms, and the eigenvalues [real, imaginary] if few, per step."""
    if not result.economy.households:
        return {}
    found = result.rotation
    if found is None:
        return {"rotation": None}
    few = found.eigenvalues[: MAX_LISTED if len(found.eigenvalues) <= MAX_LISTED else 0]
    return {
        "rotation": {
            "gradient": found.gradient_norm,
            "rotation": found.rotation_norm,
            "eigenvalues": [[float(each.real), float(each.imag)] for each in few],
        }
    }
