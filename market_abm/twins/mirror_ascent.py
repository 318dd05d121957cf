"""The twins that move the shares of goods, by mirror ascent with lagged gradients.

* ``unit-bid``, exponentiated gradient (Kivinen and Warmuth 1997): s ← s (v/g)^κ / Σ, with v the
  marginal value of a unit to a buyer and g = Σ s v. To first order in v/g - 1 it is their
  s ← s exp(κ v/g) / Σ: mirror ascent with the entropy as its mirror map, and the money at stake as
  the unit of the gradient.
* ``trading-post``, proportional response (Wu and Zhang 2007): money is allocated in proportion to
  what it earned. Birnbaum, Devanur and Xiao (2011) show that it is mirror descent with unit steps.

Gradients move upstream as in docs/model.md, 2: by one line in a step if ``simultaneous``, through
all lines in a reverse sweep if ``sequential``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.economy.industry import Industry
from market_abm.twins import terms
from market_abm.twins.terms import InitialState

# --- mirror ascent ------------------------------------------------------------------------------


class MirrorAscent(ABC):
    """Ascent on the shares of every good, with lagged gradients.

    The *signal* of a buyer is a marginal value or an amount of money, smoothed with the bid rate.

    Attributes
    ----------
    quantities, prices
        Units, and the gradient, money per unit, shape (goods,).
    priced
        Whether a good has had a gradient, shape (goods,).
    shares, used_shares
        Current shares, and those by which the last inputs were allocated, shape (buyers,).
    inputs, products
        Inputs of the last batch, units, and marginal products there, shape (buyers,).
    signal, has_signal
        The signals, and whether a buyer has one, shape (buyers,).
    """

    name: ClassVar[str]
    activations: ClassVar[tuple[str, ...]] = ("simultaneous", "sequential")

    def __init__(self, economy: Economy, settings: Any) -> None:
        self.economy, self.settings, self.buyers = economy, settings, economy.buyers
        self.readers = [self.buyers.slice_of(k) for k in range(len(economy.goods))]
        self.prices = np.zeros(len(economy.goods))
        self.priced = np.zeros(len(economy.goods), bool)
        self.signal = np.zeros(self.buyers.size)
        self.has_signal = np.zeros(self.buyers.size, bool)
        self.shares = self.used_shares = self.buyers.initial_shares
        self.quantities, self.inputs, self.products = InitialState.of(economy)
        self.reference = terms.references(economy, self.quantities)
        self._consume()

    def observed(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Quantities, prices and shares of the current step."""
        return self.quantities.copy(), self.prices.copy(), self.used_shares

    # The rules of an optimiser. Arrays are over buyers of one good; ``amount`` is its quantity.

    @abstractmethod
    def target(self, value: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        """The target of the signal, given the marginal ``value`` of ``inputs``, money per unit."""

    @abstractmethod
    def gradient(self, signal: np.ndarray, shares: np.ndarray, amount: float) -> np.ndarray:
        """The contribution of each buyer to the gradient of the good, money per unit."""

    @abstractmethod
    def weights(self, signal: np.ndarray, shares: np.ndarray, amount: float) -> np.ndarray:
        """The weights to which the next shares are proportional."""

    def step(self) -> None:
        """Make one step."""
        if self.settings.activation == "simultaneous":
            self._simultaneous()
        else:
            self._sequential()

    def _simultaneous(self) -> None:
        """One step in which gradients move upstream, and goods downstream, by one line."""
        self.used_shares, sold = self.shares, self.quantities.copy()
        self._update_signals(np.arange(self.buyers.size))
        self._supply()
        for industry in self.economy.topological_order:
            self._produce(industry, sold)
        self._consume()
        self._price(range(len(self.economy.goods)))
        self._revise_shares()

    def _sequential(self) -> None:
        """One step of a forward pass and a reverse sweep.

        Before the sweep, gradients are those of the last signals at the new shares and quantities.
        This matters in loops only, to a line that is updated before the lines it sells to.
        """
        self.used_shares = self.shares
        self._supply()
        for industry in self.economy.topological_order:
            self._produce(industry, self.quantities)
        self._consume()
        self._price(range(len(self.economy.goods)))
        for industry in reversed(self.economy.topological_order):
            self._update_signals(self.buyers.of_industry[industry.good].ravel())
            self._price(self.economy.index[good] for good in industry.technology.inputs)
        self._revise_shares()

    def _produce(self, industry: Industry, sold: np.ndarray) -> None:
        """Firms make the next batch of their shares of the quantities ``sold``."""
        places = self.buyers.of_industry[industry.good]
        inputs = self.used_shares[places] * sold[self.buyers.good[places]]
        made, self.products[places] = terms.production(industry, inputs)
        self.inputs[places] = inputs
        self.quantities[self.economy.index[industry.good]] = np.sum(made)

    def _consume(self) -> None:
        """The gradients of final goods: the prices that consumers pay for their quantities."""
        finals = zip(self.economy.final, self.economy.demand.values(), self.reference, strict=True)
        for good, each, reference in finals:
            self.prices[good] = terms.demand_price(each, reference, self.quantities[good])
            self.priced[good] = True

    def _supply(self) -> None:
        """Quantities of raw goods respond to their gradients."""
        for k, each in enumerate(self.economy.supply.values()):
            if self.priced[k] and each.elasticity > 0.0:
                self.quantities[k] = terms.offer(each, self.quantities[k], self.prices[k])

    def _update_signals(self, places: np.ndarray) -> None:
        """Signals move a fraction α of the way to their targets, where the good has a gradient."""
        informed = self.priced[self.buyers.maker[places]]
        value = self.prices[self.buyers.maker[places]] * self.products[places]
        target, before = self.target(value, self.inputs[places]), self.signal[places]
        after = (1.0 - self.settings.bid_rate) * before + self.settings.bid_rate * target
        self.signal[places] = np.where(informed, after, before)
        self.has_signal[places] |= informed

    def _price(self, goods: Iterable[int]) -> None:
        """The gradient of each good: the sum of the contributions of its buyers."""
        for k in goods:
            places = self.readers[k]
            if np.any(self.has_signal[places]):
                parts = self.gradient(self.signal[places], self.shares[places], self.quantities[k])
                self.prices[k], self.priced[k] = np.sum(parts), True

    def _revise_shares(self) -> None:
        """Revise the shares of buyers with a signal; their sum in a pool stays."""
        self.shares = self.shares.copy()
        for pool in self.buyers.shared_pools:
            places = np.arange(pool.buyers.start, pool.buyers.stop)[self.has_signal[pool.buyers]]
            before = self.shares[places]
            after = self.weights(self.signal[places], before, self.quantities[pool.good])
            self.shares[places] = before.sum() * after / after.sum()


class ExponentiatedGradient(MirrorAscent):
    """s ← s (v/g)^κ / Σ, with the gradient g = Σ s v (Kivinen and Warmuth 1997).

    The signal v is a marginal value, money per unit. Where a pool's money g S is negative, welfare
    decreases in the ratios v/g, and the exponent is -κ. Where values differ in sign, shares stay.
    """

    name: ClassVar[str] = "exponentiated gradient"

    def target(self, value: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        """The marginal value itself."""
        return value

    def gradient(self, signal: np.ndarray, shares: np.ndarray, amount: float) -> np.ndarray:
        """Each buyer gets its share of an additional unit: s v."""
        return shares * signal

    def weights(self, signal: np.ndarray, shares: np.ndarray, amount: float) -> np.ndarray:
        """The weights of exponentiated gradient, s (v/g)^κ."""
        gradient = np.sum(shares * signal)
        ratio = signal / gradient
        if gradient == 0.0 or np.any(ratio < 0.0):
            return shares
        return shares * ratio ** (self.settings.share_rate * np.sign(gradient * amount))


class ProportionalResponse(MirrorAscent):
    """x = m S / Σ m, then m ← v x (Wu and Zhang 2007).

    The signal m is the money bid in a step, damped with a bid rate below 1. It requires positive
    quantities, and bids of one sign for a good: otherwise the path is NaN from there on.
    """

    name: ClassVar[str] = "proportional response"

    def target(self, value: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        """The money that the inputs earned."""
        return value * inputs

    def gradient(self, signal: np.ndarray, shares: np.ndarray, amount: float) -> np.ndarray:
        """Money over quantity, m / S."""
        return signal / amount

    def weights(self, signal: np.ndarray, shares: np.ndarray, amount: float) -> np.ndarray:
        """The money m, or the current shares if it is all zero."""
        if not np.any(signal):
            return shares
        return signal if signal.min() * signal.max() >= 0.0 else np.full_like(signal, np.nan)
