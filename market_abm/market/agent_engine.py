"""A Mesa model with the interface of the array engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.errors import MarketError
from market_abm.market.model import MarketModel
from market_abm.market.state import State


class AgentEngine:
    """A Mesa model with the interface of the array engine, for one run."""

    def __init__(self, model: MarketModel) -> None:
        self.model = model
        self.failed: dict[int, MarketError] = {}

    @property
    def state(self) -> State:
        """The model's state, with an axis of one run."""
        state = self.model.state
        arrays = {f.name: getattr(state, f.name)[None] for f in fields(State) if f.name != "step"}
        return State(step=state.step, **arrays)

    def step(self) -> None:
        """One step of the model; an error is kept in ``failed``."""
        try:
            self.model.step()
        except MarketError as error:
            error.__context__ = None  # it would keep the model in memory, as the traceback would
            self.failed[0] = error.with_traceback(None)

    @property
    def batch(self) -> None:
        """None: each firm has its own."""

    @property
    def reference(self) -> np.ndarray:
        """The consumers' reference quantities, units, shape (1, final goods)."""
        return np.array([[consumer.reference for consumer in self.model.consumers]])

    @property
    def economy(self) -> Economy:
        """The economy of the model."""
        return self.model.economy

    def release(self) -> None:
        """Nothing to let go of."""

    def keep(self, rows: np.ndarray) -> None:
        """Nothing to select: there is only one run."""

    def change(self, economies: Sequence[Economy]) -> None:
        """Continue with the terms of another economy of the same structure."""
        self.model.change(economies[0])
