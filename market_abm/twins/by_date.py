"""Optimisers with exact but old gradients: the twins of markets whose goods are dated.

A *date* is one run of the program. It has the offers and shares of the steps at which its goods are
on sale, each just in time for the line that uses it first. Once its last line has been computed the
whole of it is differentiated, by the complex step, forward, from end to end: so a price is
the gradient of one run, and becomes known when it has come back up, a line a step. Delayed
gradients move shares by mirror ascent, or proportional response, and offers by ascent on profits.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.economy.industry import Industry
from market_abm.twins import terms
from market_abm.twins.dated import LINE_COST, STEP, complex_step
from market_abm.twins.terms import InitialState


class DatedOptimiser(ABC):
    """An optimiser of shares and offers by the gradients of earlier dates."""

    name: ClassVar[str]
    activations: ClassVar[tuple[str, ...]] = ("simultaneous",)
    where: ClassVar[str] = ""

    def __init__(self, economy: Economy, settings: Any) -> None:
        self.economy, self.settings, self.buyers = economy, settings, economy.buyers
        self.suppliers, self.net = terms.Suppliers(economy), terms.net_of_tax(economy)
        self.raw, self.work, self.now = len(economy.supply), 0, 0
        self.initial, _ = InitialState.of(economy)
        self.reference = terms.references(economy, self.initial)
        self.shares = [self.buyers.initial_shares]
        self.offers = [self.initial[: self.raw]]
        self.made: dict[int, np.ndarray] = {}
        self.before = np.zeros(self.buyers.size)
        self._schedule()
        self._make()
        self._differentiate()

    def _schedule(self) -> None:
        """When goods are on sale, and when their prices are known, in steps from their date."""
        goods = len(self.economy.goods)  # raw ones first, then each after its inputs
        inputs: list[list[int]] = [[] for _ in range(goods)]
        for bought, made in zip(self.buyers.good.tolist(), self.buyers.maker.tolist(), strict=True):
            inputs[made].append(bought)
        depth = [0] * goods
        for good in range(goods):
            depth[good] = max((1 + depth[each] for each in inputs[good]), default=0)
        users: list[list[int]] = [[] for _ in range(goods)]
        sold, known = depth.copy(), depth.copy()
        since = [-each for each in depth]  # the first date all of whose consumers have paid
        for good in reversed(range(goods)):
            if users[good]:
                sold[good] = min(sold[each] for each in users[good]) - 1
                known[good] = max(known[each] for each in users[good]) + 1
                since[good] = max(since[each] for each in users[good])
            for each in inputs[good]:
                users[each].append(good)
        self.sold, self.known = np.array(sold), np.array(known)
        self.first = self.known + np.array(since)

    # --- the interface of optimisers --------------------------------------------------------------

    def observed(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Quantities, prices and shares of the current step."""
        return self.quantities, self.prices, self.shares[self.now]

    def applies(self) -> bool:
        """True: it is at every step."""
        return True

    def mixed_dates(self) -> np.ndarray | None:
        """None: each price is of one date."""
        return None

    @abstractmethod
    def weights(self, places: np.ndarray, split: np.ndarray, amount: float) -> np.ndarray:
        """The weights to which the next shares of the buyers of one pool are proportional.

        They are the buyers at ``places``; ``split`` and ``amount``, their shares and the quantity
        of their good, are of the date that is priced, as ``signals`` are.
        """

    def step(self) -> None:
        """Move shares and offers, continue the dates that are under way, and differentiate."""
        known, shares = self.first <= self.now, self.shares[self.now].copy()
        for pool in self.buyers.shared_pools if self.now else ():
            if known[pool.good]:
                date = self.now - int(self.known[pool.good])
                places = np.arange(pool.buyers.start, pool.buyers.stop)
                amount = float(self.made.get(date, self.initial)[pool.good])
                after = self.weights(places, self._split(date)[places], amount)
                if after.sum() > 0.0:
                    shares[places] = shares[places].sum() * after / after.sum()
        offers, expected = self.offers[self.now], self.prices.copy()
        response = getattr(getattr(self.settings, "foresight", None), "supply_line", 0.0)
        for k in range(self.raw):
            then = self.offers[max(0, self.now - self.known[k] + self.sold[k])][k]
            expected[k] -= response * (offers[k] - then)
        offers = self.suppliers.offers(offers, expected, known)
        self.now, self.before = self.now + 1, self.signals
        self.shares.append(shares)
        self.offers.append(offers)
        self._make()
        self._differentiate()

    # --- the dates --------------------------------------------------------------------------------

    def _split(self, date: int) -> np.ndarray:
        """The shares by which the goods of a date were, or would now be, divided, (buyers,)."""
        steps = np.clip(date + self.sold[self.buyers.good] + 1, 0, len(self.shares) - 1)
        return np.array([self.shares[step][k] for k, step in enumerate(steps)])

    def _offered(self, good: int, date: int) -> float:
        """What is offered for a date: an endowment is that of the date itself."""
        responds = list(self.economy.supply.values())[good].responds
        return float(self.offers[max(0, date + (self.sold[good] if responds else 0))][good])

    def _make(self) -> None:
        """Make the goods that are now on sale, each of its date."""
        self.quantities = np.zeros(len(self.economy.goods))
        for good in range(len(self.economy.goods)):
            date = self.now - int(self.sold[good])
            if self.now == 0:
                self.quantities[good] = self.initial[good]
                continue
            if date not in self.made:
                self.made[date] = self._upstream_of(date)
            if good < self.raw:
                self.made[date][good] = self._offered(good, date)
            else:
                industry = self.economy.topological_order[good - self.raw]
                inputs = self._inputs(date, self.made[date])
                places = terms.places(self.economy, industry)
                self.made[date][good] = np.sum(terms.output(industry, inputs[places]))
            self.quantities[good] = self.made[date][good]

    def _upstream_of(self, date: int) -> np.ndarray:
        """The goods of a date that were on sale up to step 0; the others are not yet known."""
        return np.where(date + self.sold <= 0, self.initial, np.nan)

    def _inputs(self, date: int, made: np.ndarray) -> np.ndarray:
        """Units that each buyer has of the goods of a date, (..., buyers)."""
        return np.asarray(self._split(date) * made[..., self.buyers.good])

    def _differentiate(self) -> None:
        """The gradients that become known in this step, by goods and by buyers' inputs."""
        self.prices = np.zeros(len(self.economy.goods))
        self.signals = np.zeros(self.buyers.size)
        final = self.economy.final
        sold = self.quantities[final]
        self.prices[final] = terms.sales_prices(self.economy, self.reference, sold)
        due = (self.first <= self.now) & np.isin(range(len(self.prices)), self.buyers.good)
        for steps in np.unique(self.known[due]):
            goods = np.flatnonzero(due & (self.known == steps))
            buyers = np.flatnonzero(np.isin(self.buyers.good, goods))
            self._differentiate_date(self.now - int(steps), goods, buyers)

    def _differentiate_date(self, date: int, goods: np.ndarray, buyers: np.ndarray) -> None:
        made = self.made.get(date, self.initial)
        inputs = np.where(np.isnan(made[self.buyers.good]), 0.0, self._inputs(date, made))
        prices, final = np.zeros(len(made)), self.economy.final
        prices[final] = terms.sales_prices(self.economy, self.reference, made[final])

        def value(moved: np.ndarray) -> np.ndarray:
            return self._value(date, made, prices, moved, goods, buyers)

        slopes = complex_step(value, np.append(made[goods], inputs[buyers]))
        self.prices[goods], self.signals[buyers] = np.split(slopes, [len(goods)])

    def _value(
        self,
        date: int,
        made: np.ndarray,
        prices: np.ndarray,
        moved: np.ndarray,
        goods: np.ndarray,
        buyers: np.ndarray,
    ) -> np.ndarray:
        """The value of what a date makes if it has more of some goods and inputs, money, (n,)."""
        more = np.zeros((len(moved), len(made)), complex)
        extra = np.zeros((len(moved), self.buyers.size), complex)
        more[:, goods], extra[:, buyers] = np.split(moved, [len(goods)], axis=1)
        amounts, split = made + more, self._split(date)
        for k, industry in enumerate(self.economy.topological_order, start=self.raw):
            places = terms.places(self.economy, industry)
            if np.isnan(made[k]):  # not made yet: nothing that is due depends on it
                continue
            used = split[places] * amounts[:, self.buyers.good[places]] + extra[:, places]
            self.work += LINE_COST + used.size
            used.imag *= self.net[places]  # what a tax leaves of the value of a change
            used = np.moveaxis(used, 0, 1)
            outputs = self.passed_on(industry, used, terms.output(industry, used))
            amounts[:, k] = np.sum(outputs, axis=-1) + more[:, k]
        final = self.economy.final
        known = ~np.isnan(made[final])
        return np.asarray(amounts[:, final[known]] @ prices[final[known]])

    def passed_on(self, industry: Industry, used: np.ndarray, outputs: np.ndarray) -> np.ndarray:
        """What firms are paid for: all of their complex ``outputs``, of the inputs ``used``."""
        return outputs


class DatedLogAscent(DatedOptimiser):
    """s ← s (v/g)^κ / Σ, with g = Σ s v of the date; the other way where its money is negative.

    With foresight u = ln s moves by μ (u - u₋) ± κ (ln v/g + h ln v/v₋) - (κβ/σ̂) (u - u_date).
    """

    name: ClassVar[str] = "mirror ascent with log-gradients of earlier dates"

    def weights(self, places: np.ndarray, split: np.ndarray, amount: float) -> np.ndarray:
        """The weights e^u."""
        shares, signals = self.shares[self.now][places], self.signals[places]
        gradient = np.sum(split * signals)
        if gradient == 0.0 or np.any(signals / gradient < 0.0):
            return shares
        devices, rate = self.settings.foresight, self.settings.share_rate
        upward = self.relative(signals / gradient)
        upward = upward + devices.trend * _log(signals / self.before[places])
        moved = rate * np.sign(gradient * amount) * upward
        moved += devices.momentum * _log(shares / self.shares[max(0, self.now - 1)][places])
        if devices.pipeline:
            moved -= rate * devices.pipeline / devices.elasticity * _log(shares / split)
        return np.asarray(shares * np.exp(moved))

    @staticmethod
    def relative(ratio: np.ndarray) -> np.ndarray:
        """The logarithm, from the ``ratio`` v/g."""
        return np.log(ratio)


class DatedExponentiatedGradient(DatedLogAscent):
    """s ← s e^(κ v/g) / Σ, the textbook's (Kivinen and Warmuth 1997)."""

    name: ClassVar[str] = "exponentiated gradient with gradients of earlier dates"

    @staticmethod
    def relative(ratio: np.ndarray) -> np.ndarray:
        """v/g itself."""
        return ratio


class DatedResponse(DatedOptimiser):
    """s ← m / Σ m, with m = v x the gradient by the logarithm of an input of the date."""

    name: ClassVar[str] = "proportional response to earlier dates"

    def weights(self, places: np.ndarray, split: np.ndarray, amount: float) -> np.ndarray:
        """The money m."""
        return np.asarray(self.signals[places] * split * amount)


class DatedSpending(DatedResponse):
    """Proportional response of buyers who spend all they earn (Zhang 2011), to earlier dates."""

    name: ClassVar[str] = (
        "proportional response of buyers who spend all they earn, to earlier dates"
    )

    def passed_on(self, industry: Industry, used: np.ndarray, outputs: np.ndarray) -> np.ndarray:
        """What more a firm makes, over the elasticity of scale of its line."""
        grown = terms.output(industry, used.real * (1.0 + 1j * STEP))
        degree = grown.imag / STEP / outputs.real
        return np.asarray(outputs.real + 1j * outputs.imag / np.where(degree == 0.0, 1.0, degree))


def _log(ratio: np.ndarray) -> np.ndarray:
    """The logarithm of a ratio; 0 where that is not a number."""
    known = (ratio > 0.0) & (ratio < np.inf)
    return np.log(np.where(known, ratio, 1.0))
