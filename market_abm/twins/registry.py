"""The optimisers by mechanism: what it is identical to, and what the textbook has in its place.

Two mechanisms move the shares of goods by derivatives of the dated program (``mirror_ascent.py``):

* ``unit-bid``: mirror ascent with the logarithm of the relative gradient, and with the buyers'
  devices of foresight (``foresight.py``); in the textbook exponentiated gradient, without devices;
* ``trading-post``: proportional response; in the textbook that of buyers who spend all they earn.

Two move prices by the dual of the program:

* ``tatonnement``: gradient descent on the dual potential, as in the textbook (``dual.py``);
* ``posted-price``: the primal-dual method of Arrow, Hurwicz and Uzawa in logarithms, where nothing
  is rationed or stored; in the textbook without logarithms (``primal_dual.py``).

Where goods are dated, the first two have gradients of earlier dates (``by_date.py``).

A search for either has a budget of work: a path ends where it is used up, and says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.economy.industry import Industry
from market_abm.errors import MarketError, SettingError
from market_abm.fields import check_choice
from market_abm.twins.base import Optimiser, TwinPath
from market_abm.twins.by_date import (
    DatedExponentiatedGradient,
    DatedLogAscent,
    DatedResponse,
    DatedSpending,
)
from market_abm.twins.dual import DualDescent
from market_abm.twins.foresight import ForesightAscent
from market_abm.twins.mirror_ascent import (
    ExponentiatedGradient,
    ProportionalResponse,
    SpendingResponse,
)
from market_abm.twins.primal_dual import LogPrimalDual, PrimalDual
from market_abm.twins.terms import net_of_tax

if TYPE_CHECKING:
    from market_abm.market.base import MarketSettings


BUDGET = 300_000_000
"""The most numbers that an optimiser may compute: about half a minute."""


def twin(
    economy: Economy,
    settings: MarketSettings,
    steps: int,
    progress: Callable[[int, int], None] | None = None,
) -> TwinPath:
    """The path of the optimiser that the mechanism of ``settings`` is identical to.

    Parameters
    ----------
    economy
        The economy.
    settings
        The settings of the market.
    steps
        The number of steps, from the initial state of the market (docs/model.md, 2).
    progress
        ``progress(done, most)``, called before each step with how many are done, and with those
        that the budget is likely to allow.

    Raises
    ------
    MarketError
        The mechanism or activation has no twin, the run is random, or the economy has firms or
        goods that an optimiser does not have.
    """
    return _path(twin_of, economy, settings, steps, progress, dates=True)


def textbook(
    economy: Economy,
    settings: MarketSettings,
    steps: int,
    progress: Callable[[int, int], None] | None = None,
) -> TwinPath:
    """The path of the textbook's optimiser, with the same rates from the same start.

    Parameters and errors are those of :func:`twin`.
    """
    return _path(textbook_of, economy, settings, steps, progress)


@np.errstate(all="ignore")  # it may diverge, as its market may
def _path(
    kind: Callable[[MarketSettings], type[Optimiser]],
    economy: Economy,
    settings: MarketSettings,
    steps: int,
    progress: Callable[[int, int], None] | None,
    *,
    dates: bool = False,
) -> TwinPath:
    check_choice(settings.mechanism, "market.mechanism", TWINS)
    _check_deterministic(economy, settings)
    optimiser = kind(settings)(economy, settings)
    path, mixed = [optimiser.observed()], [optimiser.mixed_dates() if dates else None]
    identical_until = 0
    while len(path) <= steps and optimiser.work < BUDGET:
        if progress:
            done = len(path) - 1
            allowed = done * BUDGET // optimiser.work if done and optimiser.work else steps
            progress(done, max(done + 1, min(steps, allowed)))
        if identical_until == len(path) - 1 and optimiser.applies():
            identical_until += 1
        optimiser.step()
        path.append(optimiser.observed())
        mixed.append(optimiser.mixed_dates() if dates else None)
    quantities, prices, shares = (np.array(each) for each in zip(*path, strict=True))
    known = [each for each in mixed if each is not None]
    return TwinPath(
        quantities,
        prices,
        shares,
        mixed_dates=np.array(known) if known else None,
        identical_until=identical_until,
        complete=len(path) > steps,
    )


def twin_of(settings: MarketSettings) -> type[Optimiser]:
    """The optimiser that a market with these settings is identical to."""
    return (DATED_TWINS if settings.dated else TWINS)[settings.mechanism]


def textbook_of(settings: MarketSettings) -> type[Optimiser]:
    """The textbook's optimiser in its place."""
    return (DATED_TEXTBOOKS if settings.dated else TEXTBOOKS)[settings.mechanism]


def has_twin(economy: Economy, settings: MarketSettings) -> bool:
    """Whether there is an optimiser that such a market is identical to."""
    try:
        check_choice(settings.mechanism, "market.mechanism", TWINS)
        _check_deterministic(economy, settings)
    except MarketError:
        return False
    return True


def _check_deterministic(economy: Economy, settings: MarketSettings) -> None:
    """Refuse a market that is not a deterministic optimiser of competitive firms."""
    if settings.dated and economy.has_loops:
        raise SettingError(
            "there is no twin of goods that are dated and made in a loop",
            remedy='set market.dating = "spot"',
            name="market.dating",
        )
    possible = twin_of(settings).activations
    if settings.activation not in possible:
        raise SettingError(
            f"{settings.mechanism} has no twin of activation '{settings.activation}'",
            remedy="use " + " or ".join(f'"{each}"' for each in possible),
            name="market.activation",
        )
    if settings.lag:
        raise SettingError(
            f"there is no twin of prices that are observed {settings.lag} steps late",
            remedy="set market.lag = 0",
            name="market.lag",
        )
    exogenous = economy.exogenous
    if exogenous.of_terms or (exogenous.offers and not settings.rules.bids_form_prices):
        raise SettingError(
            f"there is no twin of series of {'terms' if exogenous.of_terms else 'planned offers'}",
            remedy="let series say what raw goods are offered, where bids form prices",
            name="supply",
        )
    if np.any(net_of_tax(economy) != 1.0) and not settings.rules.bids_form_prices:
        raise SettingError(
            f"there is no twin of {settings.mechanism} with taxes on what firms buy: excess demand "
            "is then no gradient",
            remedy="leave them out, or tax final goods only",
            name="taxes",
        )
    _check_competitive(economy, settings)


def _check_competitive(economy: Economy, settings: MarketSettings) -> None:
    """Refuse households with budgets, users that do not pay, and firms without a twin."""
    if economy.households:
        raise SettingError(
            "there is no twin of households that spend what they earn: with income effects a "
            "market follows the gradient of no one function, only, at each step, one that is "
            "weighted by the incomes of that step",
            remedy="let consumers pay a price, or that of a demand curve, in [demand]",
            name="households",
        )
    for good, kind in economy.reuse.items():
        if kind == "external":
            raise SettingError(
                f"there is no twin of users that do not pay for {good}",
                remedy='make it reuse = "copy"',
                name=f"reuse.{good}",
            )
    for industry in economy.industries:
        _check_firms(industry, settings)


def _check_firms(industry: Industry, settings: MarketSettings) -> None:
    """Refuse firms with power or noise, and outputs that are planned, or ordered, together."""
    divided = industry.technology.divides and not settings.rules.bids_form_prices
    if divided or (industry.technology.outputs and not settings.rules.trades):
        raise SettingError(
            f"{settings.mechanism} has no twin with lines of several outputs, such as that of "
            f"{industry.good}",
            remedy='use "unit-bid" or "trading-post"',
            name="market.mechanism",
        )
    if industry.population.conduct != "competitive":
        raise SettingError(
            f"there is no twin of firms with market power in {industry.good}",
            remedy='set conduct = "competitive"',
            name=f"industries.{industry.good}.conduct",
        )
    if industry.population.bid_noise > 0:
        raise SettingError(
            f"there is no twin of the noise in the bids for {industry.good}",
            remedy="set bid_noise = 0",
            name=f"industries.{industry.good}.bid_noise",
        )


TWINS: dict[str, type[Optimiser]] = {
    "unit-bid": ForesightAscent,
    "trading-post": ProportionalResponse,
    "tatonnement": DualDescent,
    "posted-price": LogPrimalDual,
}
"""The optimiser that each mechanism is identical to, by the name of the mechanism."""

TEXTBOOKS: dict[str, type[Optimiser]] = {
    "unit-bid": ExponentiatedGradient,
    "trading-post": SpendingResponse,
    "tatonnement": DualDescent,
    "posted-price": PrimalDual,
}
"""The textbook's optimiser that each mechanism resembles, by the name of the mechanism."""

DATED_TWINS: dict[str, type[Optimiser]] = {
    "unit-bid": DatedLogAscent,
    "trading-post": DatedResponse,
}
"""The same where goods are dated."""

DATED_TEXTBOOKS: dict[str, type[Optimiser]] = {
    "unit-bid": DatedExponentiatedGradient,
    "trading-post": DatedSpending,
}
"""The textbook's optimisers where goods are dated."""
