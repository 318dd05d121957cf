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

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np

from market_abm.analysis import terms
from market_abm.analysis.dual import DualDescent
from market_abm.analysis.primal_dual import PrimalDual
from market_abm.analysis.terms import FirstDay
from market_abm.economy import Economy, Industry
from market_abm.errors import SettingError
from market_abm.settings import check_choice

if TYPE_CHECKING:
    from collections.abc import Iterable

    from market_abm.state import MarketSettings


@dataclass(frozen=True, eq=False)
class TwinPath:
    """The path of an optimiser, entry by entry what a run of its market records.

    ``quantities`` (units) and ``prices`` (money per unit: the gradient that the optimiser works
    with) have shape (steps + 1, goods); ``shares``, by which the inputs of each step's batch had
    been handed out, (steps + 1, buyers): of ``tatonnement``, where nobody trades, what is demanded
    at a step's prices of what is supplied at them.
    """

    quantities: np.ndarray
    prices: np.ndarray
    shares: np.ndarray


class Optimiser(Protocol):
    """An optimiser on its way; it begins where its market does.

    ``name`` is what it is called, and ``activations`` are those in which its market is one.
    """

    name: ClassVar[str]
    activations: ClassVar[tuple[str, ...]]

    def __init__(self, economy: Economy, settings: MarketSettings) -> None:
        """Stand at step 0."""

    def seen(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What a :class:`TwinPath` keeps of a step: quantities, prices and shares."""

    def step(self) -> None:
        """Go on by one step."""


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


@np.errstate(all="ignore")
def largest_distance(a: np.ndarray, b: np.ndarray) -> tuple[float, int]:
    """The largest |a - b|, relative to the largest size in its column, and the row it is in.

    Both have shape (steps, columns). What is no number in both is no distance, what is none in one
    an infinite one.
    """
    largest = np.fmax(np.abs(a), np.abs(b)).max(axis=0, initial=0.0, where=_finite(a, b))
    distance = np.abs(a - b) / np.where(largest > 0.0, largest, 1.0)
    distance = np.where(np.isnan(distance), np.inf, distance)
    distance[(a == b) | (np.isnan(a) & np.isnan(b))] = 0.0
    worst = distance.max(axis=1, initial=0.0)
    return float(worst.max(initial=0.0)), int(worst.argmax()) if len(worst) else 0


def _finite(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.isfinite(a) & np.isfinite(b)


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


# --- mirror ascent ------------------------------------------------------------------------------


class MirrorAscent:
    """Ascent on the split of every good, with signals that take their time.

    The *signal* is what an optimiser remembers of each buyer, smoothed with the bid rate: a
    marginal value or an amount of money. Arrays over goods: ``quantities``, ``prices`` and
    ``priced`` (whether a gradient has come so far). Arrays over buyers: ``shares``, and ``handed``,
    those of the step before; ``inputs`` and ``products`` of the last batch; ``signal``, and
    ``heard``, whether there is one.
    """

    name: ClassVar[str]
    activations: ClassVar[tuple[str, ...]] = ("simultaneous", "sequential")

    def __init__(self, economy: Economy, settings: MarketSettings) -> None:
        self.economy, self.settings, self.buyers = economy, settings, economy.buyers
        self.readers = [self.buyers.slice_of(k) for k in range(len(economy.goods))]
        self.prices = np.zeros(len(economy.goods))
        self.priced = np.zeros(len(economy.goods), bool)
        self.signal = np.zeros(self.buyers.size)
        self.heard = np.zeros(self.buyers.size, bool)
        self.shares = self.handed = self.buyers.initial_shares
        self.quantities, self.inputs, self.products = FirstDay.of(economy)
        self.reference = terms.references(economy, self.quantities)
        self._consume()

    def seen(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What a :class:`TwinPath` keeps of a step."""
        return self.quantities.copy(), self.prices.copy(), self.handed

    # What tells one from another. Every array is over some buyers of one good, of which there is
    # ``amount``, units.

    def target(self, value: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        """What the signal tends to; ``value`` is the marginal value of ``inputs``, per unit."""
        raise NotImplementedError

    def gradient(self, signal: np.ndarray, shares: np.ndarray, amount: float) -> np.ndarray:
        """Each buyer's part of the gradient of the good, money per unit."""
        raise NotImplementedError

    def weights(self, signal: np.ndarray, shares: np.ndarray, amount: float) -> np.ndarray:
        """What the next shares are proportional to."""
        raise NotImplementedError

    def step(self) -> None:
        """One step of the market."""
        if self.settings.activation == "simultaneous":
            self._simultaneous()
        else:
            self._sequential()

    def _simultaneous(self) -> None:
        """One step in which every signal goes one line far, up or down."""
        self.handed, sold = self.shares, self.quantities.copy()
        self._learn(np.arange(self.buyers.size))
        self._supply()
        for industry in self.economy.flow:
            self._produce(industry, sold)
        self._consume()
        self._price(range(len(self.economy.goods)))
        self._split()

    def _sequential(self) -> None:
        """One step of a forward pass and a reverse sweep.

        Before the sweep each good's gradient is that of the last signals at the new split and the
        new quantities. It matters in loops only, to a line that learns before those it sells to.
        """
        self.handed = self.shares
        self._supply()
        for industry in self.economy.flow:
            self._produce(industry, self.quantities)
        self._consume()
        self._price(range(len(self.economy.goods)))
        for industry in reversed(self.economy.flow):
            self._learn(self.buyers.of_industry[industry.good].ravel())
            self._price(self.economy.index[good] for good in industry.technology.inputs)
        self._split()

    def _produce(self, industry: Industry, sold: np.ndarray) -> None:
        """Firms make the next batch of their parts of what was ``sold``."""
        places = self.buyers.of_industry[industry.good]
        inputs = self.handed[places] * sold[self.buyers.good[places]]
        made, self.products[places] = terms.production(industry, inputs)
        self.inputs[places] = inputs
        self.quantities[self.economy.index[industry.good]] = np.sum(made)

    def _consume(self) -> None:
        """The final goods' gradients: what consumers pay for what there is."""
        finals = zip(self.economy.final, self.economy.demand.values(), self.reference, strict=True)
        for good, each, reference in finals:
            self.prices[good] = terms.demand_price(each, reference, self.quantities[good])
            self.priced[good] = True

    def _supply(self) -> None:
        """Raw quantities answer the gradients that have come so far."""
        for k, each in enumerate(self.economy.supply.values()):
            if self.priced[k] and each.elasticity > 0.0:
                self.quantities[k] = terms.offer(each, self.quantities[k], self.prices[k])

    def _learn(self, who: np.ndarray) -> None:
        """Signals go a fraction α of the way to what the last batch says, if anything."""
        hears = self.priced[self.buyers.maker[who]]
        value = self.prices[self.buyers.maker[who]] * self.products[who]
        target, before = self.target(value, self.inputs[who]), self.signal[who]
        after = (1.0 - self.settings.bid_rate) * before + self.settings.bid_rate * target
        self.signal[who] = np.where(hears, after, before)
        self.heard[who] |= hears

    def _price(self, goods: Iterable[int]) -> None:
        """The gradient of each good: the sum over its buyers of their parts of it."""
        for k in goods:
            who = self.readers[k]
            if np.any(self.heard[who]):
                parts = self.gradient(self.signal[who], self.shares[who], self.quantities[k])
                self.prices[k], self.priced[k] = np.sum(parts), True

    def _split(self) -> None:
        """The shares of those who have a signal move; together they keep what they had."""
        self.shares = self.shares.copy()
        for pool in self.buyers.contested:
            who = np.arange(pool.buyers.start, pool.buyers.stop)[self.heard[pool.buyers]]
            before = self.shares[who]
            after = self.weights(self.signal[who], before, self.quantities[pool.good])
            self.shares[who] = before.sum() * after / after.sum()


class ExponentiatedGradient(MirrorAscent):
    """s ← s (v/g)^κ / Σ, with the gradient g = Σ s v (Kivinen and Warmuth 1997).

    The signal v is a marginal value, money per unit. Where a pool's money g S is negative its
    welfare falls in the ratios v/g, and the exponent is -κ. Where values differ in sign the ratio
    is no weight, and shares stay.
    """

    name: ClassVar[str] = "exponentiated gradient"

    def target(self, value: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        """The marginal value itself."""
        return value

    def gradient(self, signal: np.ndarray, shares: np.ndarray, amount: float) -> np.ndarray:
        """An extra unit of the good reaches each buyer by its share: s v."""
        return shares * signal

    def weights(self, signal: np.ndarray, shares: np.ndarray, amount: float) -> np.ndarray:
        """Those of exponentiated gradient, s (v/g)^κ."""
        whole = np.sum(shares * signal)
        ratio = signal / whole
        if whole == 0.0 or np.any(ratio < 0.0):
            return shares
        return shares * ratio ** (self.settings.share_rate * np.sign(whole * amount))


class ProportionalResponse(MirrorAscent):
    """Money follows what it earned: x = m S / Σ m, then m ← v x (Wu and Zhang 2007).

    The signal m is money, a step. With a bid rate below 1 it is damped. Of goods that are there,
    and while all pledges for a good have one sign: where they differ there is no split, and the
    path is no number from there on.
    """

    name: ClassVar[str] = "proportional response"

    def target(self, value: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        """What the inputs earned, money."""
        return value * inputs

    def gradient(self, signal: np.ndarray, shares: np.ndarray, amount: float) -> np.ndarray:
        """Money over units, m / S."""
        return signal / amount

    def weights(self, signal: np.ndarray, shares: np.ndarray, amount: float) -> np.ndarray:
        """The money m; the old shares if all of it is gone."""
        if not np.any(signal):
            return shares
        return signal if signal.min() * signal.max() >= 0.0 else np.full_like(signal, np.nan)


TWINS: dict[str, type[Optimiser]] = {
    "unit-bid": ExponentiatedGradient,
    "trading-post": ProportionalResponse,
    "tatonnement": DualDescent,
    "posted-price": PrimalDual,
}
"""The optimiser that each mechanism is."""
