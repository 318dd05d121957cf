"""The essay's heart, for any program: each firm's profit condition beside backprop's line.

For each industry, last first, what a profit-maximising firm pays for its inputs, and what backprop
computes at that line: the same formula, with prices in one and derivatives in the other; then the
numbers, the prices from the market and the derivatives from the reverse sweep.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from market_abm.economy.industry import Industry
from market_abm.gradient import backprop
from market_abm.language.expression import Expression, lift, name
from market_abm.language.mathml import Equation
from market_abm.views.numbers import format_plain

if TYPE_CHECKING:
    from market_abm.runs.result import Result

WIDE = 8
"""Inputs of a line beyond which its profit is not written out."""


@dataclass(frozen=True)
class Pair:
    """One equation twice: in prices (the market's) and in derivatives (backprop's)."""

    condition: str
    condition_numbers: str
    backprop: str
    backprop_numbers: str
    equations: tuple[Equation, Equation]


@dataclass(frozen=True)
class Section:
    """A heading, a sentence under it, and the equations that belong to it.

    For an industry, ``line`` is the heading as an equation, and the sentence ends in ``profit``,
    which comes after ``preface``; a wide line's profit is not written out so.
    """

    title: str
    note: str
    pairs: tuple[Pair, ...]
    line: Equation | None = None
    preface: str = ""
    profit: Equation | None = None


def explain(result: Result) -> list[Section]:
    """The derivation for the result's program at the last step, final goods first."""
    return _Explanation(result).sections()


class _Explanation:
    def __init__(self, result: Result) -> None:
        self.economy = result.economy
        self.prices = dict(zip(result.goods, result.last.prices, strict=True))
        self.gradients = dict(zip(result.goods, result.last_gradients, strict=True))
        self.shares = result.last.shares
        rules = result.experiment.market.rules
        self.bids = rules.per_unit(result.last.bids, result.last.inputs)
        self.products = backprop.marginal_products(self.economy, result.last.inputs)
        self.readers: dict[str, list[tuple[Industry, int]]] = {good: [] for good in result.goods}
        for industry in self.economy.topological_order:
            for slot, good in enumerate(industry.technology.inputs):
                self.readers[good].append((industry, slot))

    def sections(self) -> list[Section]:
        """Consumers; then industry by industry, upstream; a shared good once all users are done."""
        sections = [self._consumers()]
        waiting = {good: len(readers) for good, readers in self.readers.items()}
        for industry in reversed(self.economy.topological_order):
            sections.append(self._industry(industry))
            for good in industry.technology.inputs:
                waiting[good] -= 1
                if waiting[good] == 0 and len(self.readers[good]) > 1:
                    sections.append(self._reuse(good))
        return sections

    def _consumers(self) -> Section:
        pairs = [
            Pair(
                f"p_{good} = {format_plain(self.prices[good])}",
                "",
                f"df_d{good} = {format_plain(self.gradients[good])}",
                "",
                (
                    Equation(name(("price", good)), lift(self.prices[good])),
                    Equation(name(("gradient", good)), lift(self.gradients[good])),
                ),
            )
            for good in self.economy.demand
        ]
        return Section("consumers", "pay a given price for what comes out at the end", tuple(pairs))

    def _industry(self, industry: Industry) -> Section:
        technology, good = industry.technology, industry.good
        formulas = technology.marginal_product_texts(good)
        costs = "".join(f" - p_{read}*{label}" for read, label in self._labels(industry))
        firms = f"{industry.firms} firms, each with " if industry.firms > 1 else ""
        loop = (
            "in a loop, whose lines backprop has to solve together; " if self._loops(good) else ""
        )
        preface = f"{loop}{firms}"
        note = f"{preface}profit = p_{good}*({technology.text()}){costs}"
        trees = technology.marginal_product_formulas(good)
        pairs = [
            self._input(industry, slot, formula, tree)
            for slot, (formula, tree) in enumerate(zip(formulas, trees, strict=True))
        ]
        line = Equation(name(good), technology.formula, dict(enumerate(technology.inputs)))
        profit = self._profit(industry) if len(technology.inputs) <= WIDE else None
        return Section(industry.text(), note, tuple(pairs), line, preface, profit)

    def _profit(self, industry: Industry) -> Equation:
        """What comes in for the output less what is paid for the inputs."""
        technology = industry.technology
        profit = _joined("*", name(("price", industry.good)), technology.formula)
        for slot, good in enumerate(technology.inputs):
            profit = _joined("-", profit, _joined("*", name(("price", good)), name(slot)))
        return Equation(name("profit"), profit, dict(enumerate(technology.labels)))

    def _loops(self, good: str) -> bool:
        return any(
            self.economy.is_loop(component) and good in {industry.good for industry in component}
            for component in self.economy.components
        )

    def _labels(self, industry: Industry) -> zip[tuple[str, str]]:
        return zip(industry.technology.inputs, industry.technology.labels, strict=True)

    def _input(self, industry: Industry, slot: int, formula: str, tree: Expression | None) -> Pair:
        """What the firms bid for one input, beside the chain rule at this line."""
        good, output = industry.technology.inputs[slot], industry.good
        slope, bid = self._slope(industry, slot), self._bid(industry, slot)
        factor = f"({formula})" if _is_sum(formula) else formula
        shared = len(self.readers[good]) > 1
        label = industry.technology.labels[slot]
        price = f"bid[{label} by {output}]" if shared else f"p_{good}"
        term = f"term[{label} in {output}]" if shared else f"df_d{good}"
        gradient = self.gradients[output]
        slope_tree = name(("slope", output, label)) if tree is None else tree
        sides = [
            (("bid", label, output) if shared else ("price", good), ("price", output)),
            (("term", label, output) if shared else ("gradient", good), ("gradient", output)),
        ]
        names = dict(enumerate(industry.technology.labels))
        condition, backprop_line = (
            Equation(name(left), _joined("*", name(worth), slope_tree), names)
            for left, worth in sides
        )
        return Pair(
            f"{price} = p_{output} * {factor}",
            f"{format_plain(self.prices[output])} * {format_plain(slope)} = {format_plain(bid)}",
            f"{term} = df_d{output} * {factor}",
            f"{format_plain(gradient)} * {format_plain(slope)} = {format_plain(gradient * slope)}",
            (condition, backprop_line),
        )

    def _reuse(self, good: str) -> Section:
        rival = self.economy.reuse[good] == "rival"
        readers = self.readers[good]
        parts = [self._part(industry, slot) if rival else 1.0 for industry, slot in readers]
        bids = [self._bid(industry, slot) for industry, slot in readers]
        terms = [
            self.gradients[industry.good] * self._slope(industry, slot)
            for industry, slot in readers
        ]
        names = [f"{i.technology.labels[slot]} by {i.good}" for i, slot in readers]
        places = [f"{i.technology.labels[slot]} in {i.good}" for i, slot in readers]

        def total(symbol: str, labels: list[str]) -> str:
            if rival:
                return " + ".join(
                    f"{format_plain(part)}*{symbol}[{label}]"
                    for part, label in zip(parts, labels, strict=True)
                )
            return " + ".join(f"{symbol}[{label}]" for label in labels)

        def numbers(values: list[float], result: float) -> str:
            products = zip(parts, values, strict=False)  # of an external good one user pays
            shown = [
                f"{format_plain(p)}*{format_plain(v)}" if rival else format_plain(v)
                for p, v in products
            ]
            return f"{' + '.join(shown)} = {format_plain(result)}"

        notes = {
            "rival": "rival: it is split among its users, who end up paying one price",
            "copy": "copy: every user gets all of it, and what they pay adds up (the sum rule)",
            "external": "external: every user gets all of it, and only the first one pays",
        }
        note = notes[self.economy.reuse[good]]
        if self.economy.reuse[good] == "external":
            names, bids = names[:1], bids[:1]
        uses = [(i.technology.labels[slot], i.good) for i, slot in readers]

        def equation(what: str, symbol: str, count: int) -> Equation:
            summed = [name((symbol, *use)) for use in uses[:count]]
            if rival:
                summed = [
                    _joined("*", lift(part), each) for part, each in zip(parts, summed, strict=True)
                ]
            return Equation(name((what, good)), _joined("+", *summed))

        pair = Pair(
            f"p_{good} = {total('bid', names)}",
            numbers(bids, self.prices[good]),
            f"df_d{good} = {total('term', places)}",
            numbers(terms, self.gradients[good]),
            (equation("price", "bid", len(bids)), equation("gradient", "term", len(terms))),
        )
        return Section(good, note, (pair,))

    def _part(self, industry: Industry, slot: int) -> float:
        """The share of the pool that goes to this use."""
        return float(self.shares[self.economy.buyers.uses[industry.good][slot]].sum())

    def _mean(self, values: np.ndarray, industry: Industry, slot: int) -> float:
        """The mean of ``values`` over the firms of one use, weighted by their shares."""
        buyers = self.economy.buyers.uses[industry.good][slot]
        weights = self.shares[buyers]
        return float(weights @ values[buyers] / weights.sum())

    def _slope(self, industry: Industry, slot: int) -> float:
        return self._mean(self.products, industry, slot)

    def _bid(self, industry: Industry, slot: int) -> float:
        return self._mean(self.bids, industry, slot)


def _joined(operation: str, *arguments: Expression) -> Expression:
    """The operation from left to right, written as it is: nothing is simplified."""
    return reduce(lambda a, b: Expression(operation, (a, b)), arguments)


def _is_sum(formula: str) -> bool:
    """Whether the formula is a sum at its outermost level, and so needs brackets in a product."""
    depth = 0
    for before, character in zip(" " + formula, formula, strict=False):
        depth += (character == "(") - (character == ")")
        if depth == 0 and character in "+-" and before == " ":
            return True
    return False
