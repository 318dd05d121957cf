"""How households spend what they earn: pure rules, for one run or many (docs/model.md, 3).

A household spends what its endowments and its firms have earned (``economy/claims.py``) on goods,
in proportion to what these are worth to it: x ∂U/∂x.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from market_abm.economy.claims import outsiders
from market_abm.economy.economy import Economy
from market_abm.errors import EconomyError, MarketError, SettingError
from market_abm.market.behaviour import revised_bid


def released(kept: Any, income: Any) -> Any:
    """What is spent of the first money that is ``kept``: all with the first income, else half.

    Who lives on taxes that firms pay earns nothing until these have bid, and keeps half of it.
    """
    return np.where(np.greater(income, 0.0), kept, kept / 2.0)[()]


def revised_spending(spending: Any, worth: Any, total: Any, bid_rate: Any) -> Any:
    """The share of income that goes to an input: w ← w + α (x ∂U/∂x / Σ x ∂U/∂x - w).

    It stays where nothing is worth anything, as where nothing was bought.

    Parameters
    ----------
    spending
        w; None if nothing has been spent yet: the share is that of the value.
    worth, total
        x ∂U/∂x of the batch consumed last, and its sum over the inputs, in units of utility.
    bid_rate
        α in (0, 1].
    """
    known = np.isfinite(total) & (total > 0.0)
    share = worth / np.where(known, total, 1.0)
    if spending is None:
        return share
    return np.where(known, revised_bid(spending, share, bid_rate), spending)[()]


def weight(spent: Any, total: Any, before: Any) -> Any:
    """α, money per unit of utility: money ``spent`` over Σ x ∂U/∂x; ``before`` where that is 0."""
    known = np.isfinite(total) & (total != 0.0)
    return np.where(known, spent / np.where(known, total, 1.0), before)[()]


def debt_error(name: str, income: float, shared: float) -> MarketError:
    """The error of a household that pays more than it earns; ``shared`` are its dividends."""
    debt = f"the household '{name}' has an income of {income:.6g}"
    if shared < 0.0 <= income - shared:
        return EconomyError(
            f"{debt}: its firms bid more than they earn, and it bears {-shared:.6g} of that",
            remedy="let it own more goods, or less of the firms; losses that would pass end with "
            "market.bid_rate = 1",
            name=f"households.{name}",
        )
    return EconomyError(
        f"{debt}: it pays more than it earns",
        remedy="let it pay less in transfers or subsidies (taxes.NAME.to names who pays), or own "
        "more",
        name=f"households.{name}",
    )


# --- whether a market can carry budgets -----------------------------------------------------------


def check_closed(economy: Economy) -> None:
    """Refuse money that enters a circle without leaving it, and goods that some do not pay for.

    Raises
    ------
    EconomyError
        Says which good, and how to mend it.
    """
    outside, consumers = outsiders(economy)
    if consumers and not outside:
        raise EconomyError(
            f"the consumer of '{consumers[0]}' brings money to households in each step, and nobody "
            "takes any away",
            remedy=f"let a household want '{consumers[0]}', or add a good from [supply]",
            name=f"demand.{consumers[0]}",
        )
    if outside and not consumers:
        raise EconomyError(
            f"the supplier of '{outside[0]}' takes money from households in each step, and nobody "
            "brings any",
            remedy=f"let households own it: households.NAME.endowment.{outside[0]}",
            name=f"supply.{outside[0]}",
        )
    for good, reuse in economy.reuse.items():
        if reuse == "external":
            raise EconomyError(
                f"'{good}' is external, and households pay for all that they use",
                remedy='use reuse = "copy" or "rival"',
                name=f"reuse.{good}",
            )


def check_settings(settings: Any) -> None:
    """Refuse an order of events in which incomes are not known when they are to be spent.

    Raises
    ------
    SettingError
        Says which setting.
    """
    if settings.activation == "random":
        raise SettingError(
            'market.activation is "random", and firms that act one by one have not paid out their '
            "profits when a household acts",
            remedy='with households use "simultaneous" or "sequential"',
            name="market.activation",
        )
    if settings.dated:
        raise SettingError(
            'market.dating is "dated", and the income of a date is known only after it was spent',
            remedy='with households use "spot"',
            name="market.dating",
        )


def start_error(economy: Economy, worth: np.ndarray) -> MarketError | None:
    """The error of a household to whom a good is worth less than nothing at step 0, or None.

    ``worth`` is x ∂U/∂x of each input, in units of utility, shape (inputs,).
    """
    claims = economy.claims
    for place in np.flatnonzero(~(worth >= 0.0)).tolist():
        name = list(economy.households)[int(claims.inputs.of[place])]
        good = economy.goods[economy.buyers.good[claims.buyers[place]]]
        return EconomyError(
            f"more '{good}' is worth less than nothing to the household '{name}': x ∂U/∂x is "
            f"{worth[place]:.6g}",
            remedy="let its utility rise in all goods that it wants, or let it begin with less",
            name=f"households.{name}.utility",
        )
    for k, total in enumerate(claims.inputs.total(worth).tolist()):
        if not total > 0.0:
            name = list(economy.households)[k]
            return EconomyError(
                f"nothing is worth anything to the household '{name}'",
                remedy="let it want a good of which there is some",
                name=f"households.{name}.utility",
            )
    return None
