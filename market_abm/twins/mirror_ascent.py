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

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.economy.industry import Industry
from market_abm.twins import terms
from market_abm.twins.terms import InitialState

if TYPE_CHECKING:
    from collections.abc import Iterable


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

    def __init__(self, economy: Economy, settings: Any) -> None:
        self.economy, self.settings, self.buyers = economy, settings, economy.buyers
        self.readers = [self.buyers.slice_of(k) for k in range(len(economy.goods))]
        self.prices = np.zeros(len(economy.goods))
        self.priced = np.zeros(len(economy.goods), bool)
        self.signal = np.zeros(self.buyers.size)
        self.heard = np.zeros(self.buyers.size, bool)
        self.shares = self.handed = self.buyers.initial_shares
        self.quantities, self.inputs, self.products = InitialState.of(economy)
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
        for industry in self.economy.topological_order:
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
        for industry in self.economy.topological_order:
            self._produce(industry, self.quantities)
        self._consume()
        self._price(range(len(self.economy.goods)))
        for industry in reversed(self.economy.topological_order):
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
        for pool in self.buyers.shared_pools:
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
