"""The program with its dates, as functions that are differentiated as a whole.

A program that is run step by step makes goods of older goods. Two functions of its batches matter:

* :meth:`DatedProgram.value_backwards`: the money that a little more of a good, or of one buyer's
  input, would bring if it went *back* through the batches, one line and one step at a time. Its
  derivative is the market's price, which is a product of slopes of ever older batches.
* :meth:`DatedProgram.value_forwards`: the money that a little more of a good would have brought,
  as goods really travel: one line downstream in each step.

Both derivatives are taken by the complex step (W. Squire and G. Trapp, SIAM Review 40, 1998): the
function is evaluated, from end to end, at complex numbers. It uses the values of lines alone, never
a rule for a derivative, and so cannot share a mistake with the market or with backprop.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.economy.industry import Industry
from market_abm.twins import terms

STEP = 1e-20
"""The complex step relative to the variable: its square is below rounding."""

NEGLIGIBLE = 1e-30
"""A change this small relative to the one at the start is not followed further."""

BLOCK = 256
"""Variables that are moved at a time, so that memory stays small."""

LOOPED_LINES = 6
"""The lines through which changes are followed round a loop, to compare gradients by date."""

LINE_COST = 5000
"""The work of one evaluation of a line, in numbers, besides those that it computes."""


def complex_step(function: Callable[[np.ndarray], np.ndarray], scale: np.ndarray) -> np.ndarray:
    """The gradient of a function at 0.

    Parameters
    ----------
    function
        Maps points of shape (m, n) to values of shape (m, ...), for complex numbers too.
    scale
        The size of each variable, shape (n,); zeros count as 1.

    Returns
    -------
    array
        ∂function/∂(variable), shape (n, ...).
    """
    steps = STEP * np.where(np.isfinite(scale) & (scale != 0.0), np.abs(scale), 1.0)
    slopes = []
    for first in range(0, len(steps), BLOCK):
        part = steps[first : first + BLOCK]
        points = np.zeros((len(part), len(steps)), complex)
        points[np.arange(len(part)), first + np.arange(len(part))] = 1j * part
        values = function(points)
        slopes.append(values.imag / part.reshape(-1, *[1] * (values.ndim - 1)))
    return np.concatenate(slopes)


class Batch(NamedTuple):
    """What was made and traded at one date.

    Attributes
    ----------
    quantities
        On sale, units, shape (goods,).
    shares
        By which its inputs were allocated, shape (buyers,).
    inputs
        Units, shape (buyers,).
    prices
        What consumers pay, money per unit, shape (final goods,).
    """

    quantities: np.ndarray
    shares: np.ndarray
    inputs: np.ndarray
    prices: np.ndarray


class DatedProgram:
    """The batches of an economy, date by date, and the value of changes in them.

    Parameters
    ----------
    economy
        The economy.
    at_once
        Whether a good goes through all lines in one step (``sequential``), not one (else).
    weight
        The weight of the last batch in a buyer's signal, α; that of older ones is 1 - α in all.
    in_logs
        Whether signals are by the logarithm of an input (money), not by a unit of it.

    Attributes
    ----------
    batches
        A batch for each date so far.
    work
        The numbers computed so far.
    """

    def __init__(
        self, economy: Economy, *, at_once: bool = False, weight: float = 1.0, in_logs: bool = False
    ) -> None:
        self.economy, self.buyers = economy, economy.buyers
        self.at_once, self.weight, self.in_logs = at_once, weight, in_logs
        self.batches: list[Batch] = []
        self.net = terms.net_of_tax(economy)
        self.work = 0
        order = {industry.good: n for n, industry in enumerate(economy.topological_order)}
        made = np.array([order.get(good, -1) for good in economy.goods])
        # A use is upstream of its good where the line that uses it comes first: in loops alone.
        self.upstream = made[self.buyers.maker] <= made[self.buyers.good]
        self.longest = self._longest_path()
        self.start_prices = np.array([terms.start_price(economy, good) for good in economy.goods])

    def gradient(self) -> tuple[np.ndarray, np.ndarray]:
        """The derivative of :meth:`value_backwards` at the last date.

        Returns
        -------
        prices
            By a unit of each good, money per unit, shape (goods,).
        signals
            By a unit of each buyer's input, money per unit, or by its logarithm, money, shape
            (buyers,).
        """
        last, goods = self.batches[-1], len(self.economy.goods)
        scale = np.ones(self.buyers.size) if self.in_logs else last.inputs
        slopes = complex_step(self.value_backwards, np.append(last.quantities, scale))
        return slopes[:goods], slopes[goods:]

    def value_backwards(self, changes: np.ndarray, longest: int | None = None) -> np.ndarray:
        """The value of changes at the last date that go back through the batches.

        Parameters
        ----------
        changes
            In the quantity of each good, and in the input (or its logarithm) of each buyer, shape
            (n, goods + buyers).
        longest
            The number of lines that a change may go through; all, by default.

        Returns
        -------
        array
            Money, shape (n,).
        """
        now = len(self.batches) - 1
        goods, signals = np.split(changes, [len(self.economy.goods)], axis=1)
        total = goods[:, self.economy.final] @ self.batches[now].prices
        signals = signals + self._divided(goods, now)
        size = np.abs(changes).max(axis=1, keepdims=True, initial=0.0) * NEGLIGIBLE
        first = 0 if longest is None else max(0, now - longest)
        for date in range(now, first, -1):
            if not np.any(np.abs(signals) > size):
                break
            if self.at_once:
                goods, older = self._through_all_lines(signals, date)
                total = total + goods[:, self.economy.final] @ self.batches[date].prices
                signals = older
            else:
                goods = self._through_a_line(self._bought(signals, date - 1), date - 1)
                total = total + goods[:, self.economy.final] @ self.batches[date - 1].prices
                signals = (1.0 - self.weight) * signals + self._divided(goods, date - 1)
        if self.economy.closed and first == 0:  # the batch of step 0 counts as sold
            inputs = signals * (self.batches[0].inputs if self.in_logs else 1.0)
            total = total + self._through_a_line(inputs, 0) @ self.start_prices
        return total

    def value_forwards(self, changes: np.ndarray, date: int, longest: int) -> np.ndarray:
        """The value of changes after ``date``, by the number of lines that they go through.

        Parameters
        ----------
        changes
            In the quantity of each good on sale at ``date``, and in the input of each buyer of the
            batch after it, units, shape (n, goods + buyers).
        date
            The date.
        longest
            The largest number of lines.

        Returns
        -------
        array
            Money paid at ``date`` + k for what is final then, shape (n, longest + 1).
        """
        goods, extra = np.split(changes, [len(self.economy.goods)], axis=1)
        values = np.zeros((len(changes), longest + 1), changes.dtype)
        for lines in range(longest + 1):
            if lines:
                batch = self.batches[date + lines]
                inputs = batch.shares * goods[:, self.buyers.good] + (extra if lines == 1 else 0.0)
                goods = self._through_a_line(inputs, date + lines)
            values[:, lines] = goods[:, self.economy.final] @ self.batches[date + lines].prices
        return values

    def mixed_dates(self) -> np.ndarray:
        """How far the market's gradient at the last date is from that of goods that really travel.

        What goes through k lines and is paid k dates ago was on sale 2 k dates ago. Both gradients
        are of all changes for which there is such a date (in a loop, through at most
        ``LOOPED_LINES`` lines).

        Returns
        -------
        array
            The difference of both, money per unit, by goods and buyers, (goods + buyers,); for
            lines that take a step each, and signals by a unit of the last batch alone.
        """
        now = len(self.batches) - 1
        longest = min(self.longest, now // 2)
        size = len(self.economy.goods) + self.buyers.size
        scale = np.append(self.batches[now].quantities, self.batches[now].inputs)
        market = complex_step(lambda changes: self.value_backwards(changes, longest), scale)
        for lines in range(longest + 1):
            date = now - 2 * lines
            if lines == 0:
                forwards = np.zeros(size)
                forwards[self.economy.final] = self.batches[now].prices
            else:
                forwards = complex_step(partial(self._paid_after, date=date, lines=lines), scale)
            market = market - forwards
        return market

    def _paid_after(self, changes: np.ndarray, *, date: int, lines: int) -> np.ndarray:
        return self.value_forwards(changes, date, lines)[:, lines]

    def _longest_path(self) -> int:
        """The largest number of lines between a good and a consumer."""
        if np.any(self.upstream):
            return LOOPED_LINES
        lines = np.zeros(len(self.economy.goods), int)
        for industry in reversed(self.economy.topological_order):
            k = self.economy.index[industry.good]
            inputs = self.buyers.good[terms.places(self.economy, industry)]
            lines[inputs] = np.maximum(lines[inputs], lines[k] + 1)
        return int(lines.max(initial=0))

    # --- the lines --------------------------------------------------------------------------------

    def _divided(self, goods: np.ndarray, date: int) -> np.ndarray:
        """The changes of signals, (n, buyers), from those of ``goods``, (n, goods)."""
        batch, good = self.batches[date], self.buyers.good
        if self.in_logs:
            return goods[:, good] / batch.quantities[good]
        return batch.shares * goods[:, good]

    def _bought(self, signals: np.ndarray, date: int) -> np.ndarray:
        """The changes of the inputs of a batch, (n, buyers), from those of ``signals``."""
        return self.weight * signals * (self.batches[date].inputs if self.in_logs else 1.0)

    def _through_a_line(self, inputs: np.ndarray, date: int) -> np.ndarray:
        """The changes of goods, (n, goods), from those of the inputs, (n, buyers), of a batch."""
        goods = np.zeros((len(inputs), len(self.economy.goods)), inputs.dtype)
        for industry in self.economy.topological_order:
            goods[:, self.economy.index[industry.good]] = self._made(industry, inputs, date)
        return goods

    def _through_all_lines(self, signals: np.ndarray, date: int) -> tuple[np.ndarray, np.ndarray]:
        """The changes of goods, and those of the signals of the date before.

        Within a date goods go downstream; what goes against the order waits for the next one.
        """
        goods = np.zeros((len(signals), len(self.economy.goods)), signals.dtype)
        older, signals = np.zeros_like(signals), signals.copy()
        for industry in self.economy.topological_order:
            k = self.economy.index[industry.good]
            goods[:, k] = self._made(industry, self._bought(signals, date), date)
            users = np.flatnonzero(self.buyers.good == k)
            parts = self._divided(goods, date)[:, users]
            signals[:, users] += np.where(self.upstream[users], 0.0, parts)
            older[:, users] += np.where(self.upstream[users], parts, 0.0)
        return goods, older + (1.0 - self.weight) * signals

    def _made(self, industry: Industry, changes: np.ndarray, date: int) -> np.ndarray:
        """How much more an industry would have made of changed inputs, shape (n,)."""
        return np.sum(self.made_by_firms(industry, changes, date), axis=-1)

    def made_by_firms(self, industry: Industry, changes: np.ndarray, date: int) -> np.ndarray:
        """How much more each firm would have made of the batch of ``date``, units, (n, firms).

        ``changes`` are those of inputs, units, shape (n, buyers). Of those on which a tax is paid
        it counts the part 1/(1 + τ), as the buyer does who values them.
        """
        places = terms.places(self.economy, industry)
        inputs = self.batches[date].inputs[places]
        moved = np.moveaxis(changes[:, places] * self.net[places], 0, 1)
        self.work += LINE_COST + moved.size
        shares = self.batches[date].shares[places]
        before = terms.output(industry, inputs[:, None] + 0j, shares)
        made = terms.output(industry, inputs[:, None] + moved, shares) - before
        defined = np.isfinite(terms.output(industry, inputs, shares))
        return np.where(defined, made, np.nan)
