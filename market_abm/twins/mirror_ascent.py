"""Optimisers that move the shares of goods, by derivatives of the whole dated program.

The gradient is the derivative of ``DatedProgram.value_backwards`` (``dated.py``), taken of the
whole program at once. What moves the shares is a step of mirror ascent with the entropy as its
mirror map: s ← argmax κ Σ h s - KL(s, s(t)), which is s ← s e^(κ h) / Σ. Its variants differ in h:

* :class:`LogGradientAscent`: h = ln(v/g), the logarithm of the relative gradient;
* :class:`ExponentiatedGradient`: h = v/g, the textbook's (Kivinen and Warmuth 1997).

:class:`ProportionalResponse` (Wu and Zhang 2007) divides a good by the money that it has earned;
the buyers of the textbook, in :class:`SpendingResponse`, spend all that they have.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.economy.industry import Industry
from market_abm.twins import terms
from market_abm.twins.dated import STEP, Batch, DatedProgram
from market_abm.twins.terms import InitialState


class ShareOptimiser(ABC):
    """An optimiser of the shares of every good.

    Attributes
    ----------
    program
        The batches so far, and their derivatives.
    quantities, prices
        Units, and the gradient by a unit of each good, money per unit, shape (goods,).
    signals
        The gradient by the input of each buyer, shape (buyers,).
    shares, used_shares
        Current shares, and those by which the last inputs were allocated, shape (buyers,).
    priced, reached
        Whether a consumer's price has come to a good, (goods,), and to a buyer, (buyers,).
    """

    name: ClassVar[str]
    activations: ClassVar[tuple[str, ...]] = ("simultaneous", "sequential")
    where: ClassVar[str] = ""
    in_logs: ClassVar[bool] = False
    program_class: ClassVar[type[DatedProgram]] = DatedProgram

    def __init__(self, economy: Economy, settings: Any) -> None:
        self.economy, self.settings, self.buyers = economy, settings, economy.buyers
        self.at_once = settings.activation == "sequential"
        self.program = self.program_class(
            economy, at_once=self.at_once, weight=settings.bid_rate, in_logs=self.in_logs
        )
        self.suppliers = terms.Suppliers(economy)
        self.priced = np.zeros(len(economy.goods), bool)
        self.priced[economy.final] = True
        self.reached = np.zeros(self.buyers.size, bool)
        if economy.closed:
            self.priced[:] = self.reached[:] = True
        self.shares = self.used_shares = self.buyers.initial_shares
        self.quantities, inputs = InitialState.of(economy)
        self.reference = terms.references(economy, self.quantities)
        self._record(inputs)
        if economy.closed:
            self._move_shares()

    @property
    def work(self) -> int:
        """The numbers computed so far."""
        return self.program.work

    def observed(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Quantities, prices and shares of the current step."""
        return self.quantities, self.prices, self.used_shares

    def applies(self) -> bool:
        """True: it is at every step."""
        return True

    def mixed_dates(self) -> np.ndarray | None:
        """How far prices are from the gradient of goods that really travel, (goods,)."""
        if self.at_once or self.settings.bid_rate != 1.0 or self.economy.closed:
            return None
        return self.program.mixed_dates()[: len(self.economy.goods)]

    @abstractmethod
    def weights(self, signals: np.ndarray, shares: np.ndarray, amount: float) -> np.ndarray:
        """The weights to which the next shares of the buyers of one pool are proportional.

        ``signals`` and ``shares`` are theirs, ``amount`` is the quantity of their good.
        """

    def step(self) -> None:
        """Supply, produce from the shares, differentiate, and move the shares."""
        known = self.priced.copy()
        self._reach()
        raw = self.quantities[: len(self.economy.supply)]
        self.make(self.suppliers.offers(raw, self.prices, known), self.shares)
        self._move_shares()

    def make(self, offers: np.ndarray, shares: np.ndarray) -> None:
        """Make the next batch, of ``offers`` of raw goods and by ``shares``, and differentiate."""
        before, self.used_shares = self.quantities, shares
        self.quantities = np.append(offers, before[len(offers) :])
        inputs = np.zeros(self.buyers.size)
        for industry in self.economy.topological_order:
            places = terms.places(self.economy, industry)
            sold = self.quantities if self.at_once else before
            inputs[places] = shares[places] * sold[self.buyers.good[places]]
            made = np.sum(terms.output(industry, inputs[places], shares[places]))
            self.quantities[self.economy.index[industry.good]] = made
        self._record(inputs)

    def _record(self, inputs: np.ndarray) -> None:
        """Add a batch to the program, and differentiate the value of what it is made of."""
        sold = self.quantities[self.economy.final]
        paid = terms.sales_prices(self.economy, self.reference, sold)
        batch = Batch(self.quantities, self.used_shares, inputs, paid)
        self.program.batches.append(batch)
        self.prices, self.signals = self.program.gradient()

    def _reach(self) -> None:
        """A consumer's price comes one line further, or through all lines against their order.

        Buyers to whom no price has come do not move: the gradient does not count them yet.
        """
        if self.at_once:
            for industry in reversed(self.economy.topological_order):
                self._reach_buyers(terms.places(self.economy, industry).ravel())
        else:
            self._reach_buyers(np.arange(self.buyers.size))

    def _reach_buyers(self, places: np.ndarray) -> None:
        self.reached[places] |= self.priced[self.buyers.maker[places]]
        self.priced[self.buyers.good[places[self.reached[places]]]] = True

    def _move_shares(self) -> None:
        """Move the shares of the buyers that are reached; their sum in a pool stays."""
        self.shares = self.shares.copy()
        for pool in self.buyers.shared_pools:
            places = np.arange(pool.buyers.start, pool.buyers.stop)[self.reached[pool.buyers]]
            before = self.shares[places]
            amount = self.quantities[pool.good]
            after = self.weights(self.signals[places], before, amount)
            self.shares[places] = before.sum() * after / after.sum()


class MirrorAscent(ShareOptimiser):
    """s ← s e^(κ h) / Σ with a relative gradient h, where the gradient of a share is S v.

    The unit of the gradient is the money at stake, |S g| with g = Σ s v: a pool whose money is
    negative ascends the other way. Where values differ in sign, the logarithm has no meaning, and
    shares stay.
    """

    @staticmethod
    @abstractmethod
    def relative(ratio: np.ndarray) -> np.ndarray:
        """h, from the ``ratio`` v/g of the buyers of a pool."""

    def weights(self, signals: np.ndarray, shares: np.ndarray, amount: float) -> np.ndarray:
        """The weights s e^(κ h)."""
        gradient = np.sum(shares * signals)
        ratio = signals / gradient
        still = self.settings.share_rate == 0.0  # whatever h is: the logarithm of 0 is no number
        if still or gradient == 0.0 or np.any(ratio < 0.0):
            return shares
        rate = self.settings.share_rate * np.sign(gradient * amount)
        return shares * np.exp(rate * self.relative(ratio))


class LogGradientAscent(MirrorAscent):
    """Mirror ascent with the logarithm of the relative gradient: h = ln(v/g), s ← s (v/g)^κ / Σ."""

    name: ClassVar[str] = "mirror ascent with log-gradients"

    @staticmethod
    def relative(ratio: np.ndarray) -> np.ndarray:
        """The logarithm, h = ln(v/g)."""
        return np.log(ratio)


class ExponentiatedGradient(MirrorAscent):
    """Exponentiated gradient: h = v/g, s ← s e^(κ v/g) / Σ (Kivinen and Warmuth 1997)."""

    name: ClassVar[str] = "exponentiated gradient"

    @staticmethod
    def relative(ratio: np.ndarray) -> np.ndarray:
        """The ratio itself, h = v/g."""
        return ratio


class ProportionalResponse(ShareOptimiser):
    """Shares as money, s ← m / Σ m, where m is the gradient by the logarithm of an input.

    m is what an input has earned (Wu and Zhang 2007); a bid rate below 1 averages it over batches.
    It requires positive quantities, and money of one sign: otherwise the path is NaN from there on.
    """

    name: ClassVar[str] = "proportional response"
    in_logs: ClassVar[bool] = True

    def weights(self, signals: np.ndarray, shares: np.ndarray, amount: float) -> np.ndarray:
        """The money m, or the current shares if it is all zero."""
        if not np.any(signals):
            return shares
        return signals if signals.min() * signals.max() >= 0.0 else np.full_like(signals, np.nan)


class _Spending(DatedProgram):
    """Lines that pay all they earn for their inputs, whatever their returns to scale."""

    def _made(self, industry: Industry, changes: np.ndarray, date: int) -> np.ndarray:
        batch, places = self.batches[date], terms.places(self.economy, industry)
        inputs, shares = batch.inputs[places], batch.shares[places]
        grown = terms.output(industry, inputs * (1.0 + 1j * STEP), shares)
        degree = grown.imag / STEP / terms.output(industry, inputs, shares)
        made = self.made_by_firms(industry, changes, date)
        return np.sum(made / np.where(degree == 0.0, 1.0, degree), axis=-1)


class SpendingResponse(ProportionalResponse):
    """Proportional response of buyers who spend all that they have (Zhang 2011).

    A firm divides what its batch has earned by the elasticities of its output, which it scales to
    sum to 1. Lines of constant returns do so in the market too.
    """

    name: ClassVar[str] = "proportional response of buyers who spend all they earn"
    program_class: ClassVar[type[DatedProgram]] = _Spending
