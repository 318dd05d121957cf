"""The unit of account: a run told in units of a good, the numeraire, in the place of money.

Markets trade for money, whatever it is worth: dynamics, rest and how a run ended know no numeraire.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.market.state import State
from market_abm.simulation.loop import Run


@np.errstate(all="ignore")
def in_numeraire(economy: Economy, run: Run) -> Run:
    """The run with money in units of the numeraire, at its price in each step; NaN where that is 0.

    Gradients are in units of the numeraire's own gradient, so that errors are of relative prices.
    The run itself if there is no numeraire.
    """
    if economy.numeraire is None:
        return run
    good, path, last = economy.index[economy.numeraire], run.trajectory, run.last
    recorded = np.flatnonzero(path.goods == good)
    prices, gradients = path.prices, run.observations["gradients"]
    unit, of_gradient = _unit(prices[:, recorded]), _unit(gradients[:, recorded])
    slope = run.last_observations["gradients"]
    return dataclasses.replace(
        run,
        trajectory=dataclasses.replace(
            path, prices=prices / unit, bids=path.bids / unit[: len(path.bids)]
        ),
        observations={**run.observations, "gradients": gradients / of_gradient},
        last=State(
            last.step,
            last.quantities,
            last.prices / _unit(last.prices[good]),
            last.inputs,
            last.shares,
            last.bids / _unit(last.prices[good]),
        ),
        last_observations={**run.last_observations, "gradients": slope / _unit(slope[good])},
    )


def _unit(price: Any) -> Any:
    return np.where(price == 0.0, np.nan, price)


def unit_of_account(economy: Economy, prices: np.ndarray) -> float:
    """The money that a unit of the numeraire costs at ``prices``, (goods,); 1 without one."""
    if economy.numeraire is None:
        return 1.0
    return float(_unit(prices[economy.index[economy.numeraire]]))


def relative_prices(economy: Economy, prices: np.ndarray) -> np.ndarray:
    """Prices, (goods,), in units of the numeraire, if there is one."""
    return prices if economy.numeraire is None else prices / unit_of_account(economy, prices)
