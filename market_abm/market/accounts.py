"""What each good earns and what its makers spend in a step: the accounts of a market."""

from __future__ import annotations

import numpy as np

from market_abm.economy import curves
from market_abm.economy.economy import Economy
from market_abm.market import behaviour
from market_abm.market.base import MarketSettings
from market_abm.market.state import State


@np.errstate(all="ignore")  # the market may have diverged
def revenues_and_costs(
    economy: Economy, settings: MarketSettings, state: State, reference: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The money received for each good, and the money that its makers pay for their inputs.

    What is on sale at the end of the step goes to its users by their shares, and each pays the
    price of its use. So the revenue of a good is what its buyers pay; taxes are on top.

    Parameters
    ----------
    economy, settings
        What was run.
    state
        The state at the end of the step, of one run.
    reference
        The consumers' reference quantities c0, units, shape (final goods,).

    Returns
    -------
    revenues, costs
        Money per step, both of shape (goods,).
    """
    buyers, goods = economy.buyers, len(economy.goods)
    paid = settings.rules.payments(economy, state)
    revenues = np.bincount(buyers.good, paid, minlength=goods)
    spent = behaviour.gross_price(paid, economy.net_of_buyers)
    costs = np.bincount(buyers.maker, spent, minlength=goods)
    for k, (good, terms) in enumerate(zip(economy.final, economy.net_demand.values(), strict=True)):
        price, quantity = state.prices[good], state.quantities[good]
        demanded = curves.demand_quantity(terms, reference[k], price)
        revenues[good] = price * settings.rules.consumed(demanded, quantity)
    return revenues, costs


@np.errstate(all="ignore")
def tax_revenues(
    economy: Economy, settings: MarketSettings, state: State, reference: np.ndarray
) -> np.ndarray:
    """The revenue of each tax at the end of a step, money per step, shape (taxes,).

    Parameters are those of :func:`revenues_and_costs`. A subsidy has a negative revenue.
    """
    paid = economy.uses.buyers.total(settings.rules.payments(economy, state))
    sold, _ = revenues_and_costs(economy, settings, state, reference)
    return economy.tax_revenues(paid, sold[economy.final])
