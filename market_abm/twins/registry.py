"""Each mechanism's twin: the optimiser that it is claimed to be, run from the same start.

A twin is written from formulas alone and shares no line with the market: no agent, no book, no
trade. It knows the whole program. Two move the split of its goods, as an optimiser would that has
gradients some steps old:

* ``unit-bid``, exponentiated gradient (Kivinen and Warmuth 1997): s ← s (v/g)^κ / Σ, with v the
  marginal value of a unit to a buyer and g = Σ s v. To first order in v/g - 1 it is their
  s ← s exp(κ v/g) / Σ: mirror descent with the entropy as its mirror map, and the money at stake as
  the unit of the gradient.
* ``trading-post``, proportional response (Wu and Zhang 2007; Birnbaum, Devanur and Xiao 2011,
  who show it to be mirror descent with unit step): money follows what it earned.

Two move prices, by the program's dual:

* ``tatonnement``, gradient descent on the dual potential (``dual.py``): prices go down the slope of
  what everybody gains by the best answers to them.
* ``posted-price``, the primal-dual method of Arrow, Hurwicz and Uzawa (``primal_dual.py``): orders
  go up the slope of a Lagrangian and prices down, both in logarithms.

Signals travel as in docs/model.md, 2: one line a step if ``simultaneous``, all the way in a reverse
sweep if ``sequential``.
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
    """The optimiser that ``settings.mechanism`` is claimed to be.

    It makes ``steps`` steps from the start of the market (docs/model.md, 2), never fewer.

    Raises:
        MarketError: what happens is random, or the mechanism does not deal in goods of this kind.
    """
    name = check_choice(settings.mechanism, "market.mechanism", TWINS)
    _check_determined(economy, settings)
    walk = TWINS[name](economy, settings)
    path = [walk.seen()]
    for _ in range(steps):
        walk.step()
        path.append(walk.seen())
    return TwinPath(*(np.array(arrays) for arrays in zip(*path, strict=True)))


def _check_determined(economy: Economy, settings: MarketSettings) -> None:
    """Refuse what an optimiser without random numbers cannot follow."""
    possible = TWINS[settings.mechanism].activations
    if settings.activation not in possible:
        raise SettingError(
            f"{settings.mechanism} has no twin of activation '{settings.activation}'",
            remedy="use " + " or ".join(f'"{each}"' for each in possible),
            name="market.activation",
        )
    if settings.lag:
        raise SettingError(
            f"an optimiser has no twin of prices that are heard {settings.lag} steps late",
            remedy="set market.lag = 0",
            name="market.lag",
        )
    for good, kind in economy.reuse.items():
        if kind == "external":
            raise SettingError(
                f"an optimiser has no twin of users who do not pay for {good}",
                remedy='make it reuse = "copy"',
                name=f"reuse.{good}",
            )
    for industry in economy.industries:
        if industry.population.conduct != "competitive":
            raise SettingError(
                f"an optimiser has no twin of firms that mind their own share of {industry.good}",
                remedy='set conduct = "competitive"',
                name=f"industries.{industry.good}.conduct",
            )
        if industry.population.bid_noise > 0:
            raise SettingError(
                f"an optimiser has no twin of the noise in the bids for {industry.good}",
                remedy="set bid_noise = 0",
                name=f"industries.{industry.good}.bid_noise",
            )


TWINS: dict[str, type[Optimiser]] = {
    "unit-bid": ExponentiatedGradient,
    "trading-post": ProportionalResponse,
    "tatonnement": DualDescent,
    "posted-price": PrimalDual,
}
"""The optimiser that each mechanism is."""
