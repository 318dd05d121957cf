"""The observable state of a market, and the checks on it that both engines share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.errors import MarketError, RivalGoodError

BUYER_ARRAYS = ("inputs", "shares", "bids")
"""The arrays of a state with one number per buyer."""


@dataclass(frozen=True, eq=False)
class State:
    """The observable state at the end of one step.

    For several runs, all arrays have a leading axis of runs.

    Attributes
    ----------
    step
        The number of the step; 0 is the initial state.
    quantities
        Units on sale, shape (goods,).
    prices
        Money per unit, shape (goods,).
    inputs
        Units used for the batch on sale, shape (buyers,).
    shares
        The shares by which these inputs were allocated, shape (buyers,).
    bids
        Money per unit, or as the mechanism defines a bid, shape (buyers,).
    """

    step: int
    quantities: np.ndarray
    prices: np.ndarray
    inputs: np.ndarray
    shares: np.ndarray
    bids: np.ndarray

    def select_runs(self, rows: np.ndarray | int) -> State:
        """The state of a selection of runs, or of one run."""
        arrays = {f.name: getattr(self, f.name)[rows] for f in fields(self) if f.name != "step"}
        return State(step=self.step, **arrays)


class StateLeftError(RuntimeError):
    """An array of a large state was read after the market's next step."""


class CurrentState(State):
    """The state of a market in arrays, whose arrays over buyers are computed when first read.

    They can be read until the next step; what has been read stays.

    Parameters
    ----------
    step, quantities, prices
        As of :class:`State`.
    compute
        Computes one of the other arrays by name.
    """

    def __init__(
        self,
        step: int,
        quantities: np.ndarray,
        prices: np.ndarray,
        compute: Callable[[str], np.ndarray],
    ) -> None:
        values = {"step": step, "quantities": quantities, "prices": prices, "_compute": compute}
        self.__dict__.update(values)

    def __getattr__(self, name: str) -> np.ndarray:
        """Compute an array over buyers that has not been read before."""
        if name not in BUYER_ARRAYS:
            raise AttributeError(name)
        if "_compute" not in self.__dict__:
            raise StateLeftError(
                f"the market has left step {self.step}: read state.{name} before its next step"
            )
        value: np.ndarray = self.__dict__["_compute"](name)
        self.__dict__[name] = value
        return value

    def select_runs(self, rows: np.ndarray | int) -> State:
        """The state of a selection of runs; that of one run is as current as this one."""
        if isinstance(rows, np.ndarray):
            return super().select_runs(rows)
        quantities, prices = self.quantities[rows], self.prices[rows]
        return CurrentState(self.step, quantities, prices, lambda name: getattr(self, name)[rows])

    def leave(self, *, keep: bool) -> None:
        """Compute no array any more; compute all now to ``keep`` them."""
        if keep:
            for name in BUYER_ARRAYS:
                getattr(self, name)
        self.__dict__.pop("_compute", None)


def initial_state_error(economy: Economy, state: State) -> MarketError | None:
    """The error of an initial ``state`` from which the market cannot run, or None."""
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


def initial_state_errors(economies: Sequence[Economy], state: State) -> dict[int, MarketError]:
    """The errors of the runs whose initial state is not finite, by row."""
    final = state.prices[:, economies[0].final]
    finite = np.all(np.isfinite(state.quantities), -1) & np.all(np.isfinite(final), -1)
    errors = {
        row: initial_state_error(economies[row], state.select_runs(row))
        for row in np.flatnonzero(~finite).tolist()
    }
    return {row: error for row, error in errors.items() if error}


ACTIVITY_REMEDY = (
    "let the line make more than 0, and each output have a price above 0; under "
    'market.mechanism = "unit-bid" outputs of fixed() may have any'
)
"""How to fix an activity that cannot be divided among its outputs."""


def _tell_who_is_poor(error: MarketError, economy: Economy) -> None:
    """Say of a good without bids which households alone buy it and live on taxes, if they do."""
    buyers = [i.good for i in economy.topological_order if error.name in i.technology.inputs]
    poor = [b for b in buyers if b in economy.households and np.all(economy.lives_on_taxes(b))]
    if not poor or poor != buyers:
        return
    who = " and ".join(f"'{name}'" for name in poor)
    own = [key for key, tax in economy.taxes.items() if set(poor) & set(tax.to or ())]
    error.what += f"; the revenue of taxes is all that {who} has, and there is none"
    error.remedy = f"raise taxes.{own[0]}.rate above 0, or let {who} own some good or firm"


def at_step(error: MarketError, economy: Economy, step: int, budgets: str = "") -> MarketError:
    """``error`` with the step at which it occurred, and the line that uses the good concerned.

    ``budgets`` says how to mend a good that cannot be split where households keep budgets.
    """
    error.what = f"at step {step}, {error.what}"
    if isinstance(error, RivalGoodError) and error.name in economy.outputs:
        error.remedy = ACTIVITY_REMEDY
    elif isinstance(error, RivalGoodError) and budgets and economy.households:
        scarce = [good for good, terms in economy.supply.items() if not np.any(terms.quantity)]
        owned = [g for g in scarce if any(g in h.endowment for h in economy.households.values())]
        error.remedy = (
            f"let a household own some '{owned[0]}': households.NAME.endowment.{owned[0]}"
            if owned
            else budgets
        )
        if error.unpaid and not scarce:
            _tell_who_is_poor(error, economy)
    readers = [i.line for i in economy.topological_order if error.name in i.technology.inputs]
    return error.located(line=readers[0] if readers else None)
