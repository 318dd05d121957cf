"""How a market works and what can be seen of it: what agents and arrays have in common."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.errors import MarketError


@dataclass(frozen=True, eq=False)
class State:
    """What could be seen in the market at the end of one step.

    ``quantities`` (units on sale) and ``prices`` (money per unit) have shape (goods,); ``inputs``
    (units that went into the batch on sale), ``shares`` (by which they had been handed out) and
    ``bids`` (money per unit) have shape (buyers,). Of several runs at once, all have a leading
    axis of runs.
    """

    step: int
    quantities: np.ndarray
    prices: np.ndarray
    inputs: np.ndarray
    shares: np.ndarray
    bids: np.ndarray

    def select_runs(self, rows: np.ndarray | int) -> State:
        """The state of some of the runs, or of one."""
        arrays = {f.name: getattr(self, f.name)[rows] for f in fields(self) if f.name != "step"}
        return State(step=self.step, **arrays)


def start_trouble(economy: Economy, state: State) -> MarketError | None:
    """Why a market that begins in ``state`` cannot go on, or None."""
    amounts = dict(zip(economy.goods, state.quantities, strict=True))
    for industry in economy.topological_order:
        if not np.isfinite(amounts[industry.good]):
            read = dict.fromkeys(industry.technology.inputs)
            inputs = ", ".join(f"{good} = {amounts[good]:.6g}" for good in read)
            return MarketError(
                f"'{industry.text()}' is {amounts[industry.good]}, with {inputs}",
                name=industry.good,
                line=industry.line,
                remedy="change the endowments or the line so that it can be computed",
            )
    for good, price in zip(economy.demand, state.prices[economy.final], strict=True):
        terms = economy.demand[good]
        curved = terms.form == "isoelastic" and np.isfinite(terms.elasticity)
        if not np.isfinite(price) or (curved and amounts[good] <= 0.0):
            return MarketError(
                f"the consumer of {good} has no price for {amounts[good]:.6g} units of it",
                name=f"demand.{good}.form",
                remedy=f'use form = "linear", or another demand.{good}.quantity',
            )
    return None


def told_at(error: MarketError, economy: Economy, step: int) -> MarketError:
    """``error`` with the step at which it showed, and the line that reads the good at fault."""
    error.what = f"at step {step}, {error.what}"
    readers = [i.line for i in economy.topological_order if error.name in i.technology.inputs]
    return error.located(line=readers[0] if readers else None)
