"""The twins by mechanism: the optimiser that each mechanism is claimed to be, from the same start.

A twin is written from formulas alone, shares no code with the market, and knows the whole program.
Two optimisers move the shares of goods, with gradients that are some steps old
(``mirror_ascent.py``):

* ``unit-bid``: exponentiated gradient;
* ``trading-post``: proportional response.

Two move prices by the dual of the program:

* ``tatonnement``: gradient descent on the dual potential (``dual.py``);
* ``posted-price``: the primal-dual method of Arrow, Hurwicz and Uzawa (``primal_dual.py``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.errors import SettingError
from market_abm.fields import check_choice
from market_abm.twins.base import Optimiser, TwinPath
from market_abm.twins.dual import DualDescent
from market_abm.twins.mirror_ascent import ExponentiatedGradient, ProportionalResponse
from market_abm.twins.primal_dual import PrimalDual

if TYPE_CHECKING:
    from market_abm.market.base import MarketSettings


@np.errstate(all="ignore")  # it may diverge, as its market may
def twin(economy: Economy, settings: MarketSettings, steps: int) -> TwinPath:
    """The path of the optimiser that the mechanism of ``settings`` is claimed to be.

    Parameters
    ----------
    economy
        The economy.
    settings
        The settings of the market.
    steps
        The number of steps, from the initial state of the market (docs/model.md, 2).

    Raises
    ------
    MarketError
        The mechanism or activation has no twin, the run is random, or the economy has firms or
        goods that an optimiser does not have.
    """
    name = check_choice(settings.mechanism, "market.mechanism", TWINS)
    _check_deterministic(economy, settings)
    optimiser = TWINS[name](economy, settings)
    path = [optimiser.observed()]
    for _ in range(steps):
        optimiser.step()
        path.append(optimiser.observed())
    return TwinPath(*(np.array(arrays) for arrays in zip(*path, strict=True)))


def _check_deterministic(economy: Economy, settings: MarketSettings) -> None:
    """Refuse a market that is not a deterministic optimiser of competitive firms."""
    possible = TWINS[settings.mechanism].activations
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
    for good, kind in economy.reuse.items():
        if kind == "external":
            raise SettingError(
                f"there is no twin of users that do not pay for {good}",
                remedy='make it reuse = "copy"',
                name=f"reuse.{good}",
            )
    for industry in economy.industries:
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
    "unit-bid": ExponentiatedGradient,
    "trading-post": ProportionalResponse,
    "tatonnement": DualDescent,
    "posted-price": PrimalDual,
}
"""The optimiser that each mechanism is claimed to be, by the name of the mechanism."""
