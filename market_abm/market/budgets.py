"""What households earn at quoted prices, before anything is traded, and when they cannot plan.

Used by mechanisms in which agents plan (``mechanisms/tatonnement.py``). A household's income is
what its endowments are worth at the prices that are called, its shares of the profits of firms that
plan at these prices, and what others transfer to it. If households own all there is, their budgets
and the firms' accounts make the value of excess demand 0 at any prices (Walras's law).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from market_abm.economy.claims import Claims
from market_abm.economy.economy import Economy
from market_abm.errors import EconomyError, MarketError
from market_abm.keys import quoted
from market_abm.language.segments import Segments
from market_abm.market.best_bundle import Bundle


def planned_profits(
    economy: Economy, prices: np.ndarray, quotes: np.ndarray, orders: np.ndarray, made: np.ndarray
) -> np.ndarray:
    """The profit of each line's firms at their plans, money, shape (..., lines of ``claims``).

    Parameters
    ----------
    economy
        The economy, with households.
    prices
        Money per unit, shape (..., goods).
    quotes, orders
        What each buyer is quoted, money per unit, and plans to buy, units, shape (..., buyers).
    made
        What there is of each good, units, shape (..., goods), endowments included.
    """
    claims, uses = economy.claims, economy.uses
    spent = np.zeros(prices.shape)
    places: Any = (..., uses.maker)
    np.add.at(spent, places, uses.buyers.total(quotes * orders))  # one after another
    revenue = prices[..., claims.makers] * (made[..., claims.makers] - claims.endowed)
    return revenue - spent[..., claims.makers]


def incomes(
    claims: Claims, prices: np.ndarray, profits: np.ndarray, revenue: Any = 0.0
) -> np.ndarray:
    """What each household earns at quoted prices, money, shape (..., households).

    Parameters
    ----------
    claims
        What they own.
    prices
        Money per unit, shape (..., goods).
    profits
        Money, shape (..., lines of ``claims``).
    revenue
        Further money that each gets, as of taxes, shape (..., households).
    """
    worth = prices[..., claims.owned] * claims.units
    owners, by_owner = claims.earners
    earned = np.zeros((*prices.shape[:-1], claims.count))
    if len(owners):
        earned[..., owners] = by_owner.total(worth)
    earned = earned + claims.transfer + revenue
    if profits.shape[-1]:
        shares = claims.shares * profits[..., None, :]
        lines = Segments(np.zeros(1, int), profits.shape[-1])
        earned = earned + lines.total(shares)[..., 0]
    return earned


def no_bundle_error(name: str, income: float, weight: float) -> MarketError:
    """The error of a household that finds no best bundle.

    Parameters
    ----------
    name
        Of the household.
    income
        What it has, money.
    weight
        Of the bundle that was tried, money per unit of utility (:class:`Bundle`).
    """
    where = f"households.{quoted(name)}"
    if not income > 0.0:
        return EconomyError(
            f"the household '{name}' has {income:.6g} to spend at the prices called",
            remedy=f"raise {where}.endowment or {where}.transfer",
            name=where,
        )
    if weight <= 0.0:
        return EconomyError(
            f"the household '{name}' is satiated: with {income:.6g} to spend, more of nothing that "
            "it wants is worth anything to it",
            remedy=f"let {where}.utility rise in some good without end, or lower its endowment",
            name=where,
        )
    return EconomyError(
        f"the demand of the household '{name}' is not determined: with {income:.6g} to spend, its "
        "utility has no strict maximum, or no value",
        remedy=f"make {where}.utility strictly concave where it spends (goods that are perfect "
        'substitutes are not), or use market.mechanism = "trading-post"',
        name=where,
    )
