"""The claim of the essay for any program: each firm's profit condition beside backprop's line.

For each industry, final goods first: the price that a profit-maximising firm pays for each input,
and what backprop computes at that line. It is the same formula, in prices and in derivatives; below
it the numbers, prices from the market and derivatives from the reverse sweep.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from market_abm.economy.industry import Industry
from market_abm.economy.production import marginal_products
from market_abm.language.expression import Expression, lift, name
from market_abm.language.mathml import Equation
from market_abm.views.numbers import format_plain
from market_abm.views.words.derivation import CONSUMERS, REUSE_NOTES, profit_preface

if TYPE_CHECKING:
    from market_abm.runs.result import Result

MAX_PROFIT_INPUTS = 8
"""Inputs of a line beyond which its profit is not written out."""


@dataclass(frozen=True)
class Pair:
    """One equation twice, as text and as formulas: in prices and in derivatives.

    The numbers of each side are in ``condition_numbers`` and ``backprop_numbers``; ``equations``
    are both sides as formulas.
    """

    condition: str
    condition_numbers: str
    backprop: str
    backprop_numbers: str
    equations: tuple[Equation, Equation]


@dataclass(frozen=True)
class Section:
    """A title, a note, and the equations below them.

    For an industry ``line`` is the title as an equation, and the note is the ``preface`` and the
    ``profit``; ``profit`` is None for a line of more than :data:`MAX_PROFIT_INPUTS` inputs.
    """

    title: str
    note: str
    pairs: tuple[Pair, ...]
    line: Equation | None = None
    preface: str = ""
    profit: Equation | None = None


@np.errstate(all="ignore")  # what has no value is shown as nan
def explain(result: Result) -> list[Section]:
    """The derivation for the program of a result at its last step.

    Returns
    -------
    list of Section
        Consumers, then industries from final goods upstream, and each shared good after its users.
    """
    return _Explanation(result).sections()


class _Explanation:
    """Builds the sections from the last state of a run."""

    def __init__(self, result: Result) -> None:
        self.economy = result.economy
        self.prices = dict(zip(result.goods, result.last.prices, strict=True))
        self.gradients = dict(zip(result.goods, result.last_gradients, strict=True))
        self.shares = result.last.shares
        rules = result.experiment.market.rules
        self.bids = rules.per_unit(result.last.bids, result.last.inputs)
        self.products = marginal_products(self.economy, result.last.inputs)
        self.users: dict[str, list[tuple[Industry, int]]] = {good: [] for good in result.goods}
        for industry in self.economy.topological_order:
            for slot, good in enumerate(industry.technology.inputs):
                self.users[good].append((industry, slot))

    def sections(self) -> list[Section]:
        """Consumers; then industries upstream; a shared good after the last of its users."""
        sections = [self._consumers()]
        waiting = {good: len(users) for good, users in self.users.items()}
        for industry in reversed(self.economy.topological_order):
            sections.append(self._industry(industry))
            for good in industry.technology.inputs:
                waiting[good] -= 1
                if waiting[good] == 0 and len(self.users[good]) > 1:
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
        return Section("consumers", CONSUMERS, tuple(pairs))

    def _industry(self, industry: Industry) -> Section:
        technology, good = industry.technology, industry.good
        formulas = technology.marginal_product_texts(good)
        costs = "".join(f" - p_{used}*{label}" for used, label in self._labels(industry))
        preface = profit_preface(industry.firms, loop=self._loops(good))
        note = f"{preface}profit = p_{good}*({technology.text()}){costs}"
        trees = technology.marginal_product_formulas(good)
        pairs = [
            self._input(industry, slot, formula, tree)
            for slot, (formula, tree) in enumerate(zip(formulas, trees, strict=True))
        ]
        line = Equation(name(good), technology.formula, dict(enumerate(technology.inputs)))
        profit = self._profit(industry) if len(technology.inputs) <= MAX_PROFIT_INPUTS else None
        return Section(industry.text(), note, tuple(pairs), line, preface, profit)

    def _profit(self, industry: Industry) -> Equation:
        """Revenue minus the cost of the inputs."""
        technology = industry.technology
        profit = _joined("*", name(("price", industry.good)), technology.formula)
        for slot, good in enumerate(technology.inputs):
            profit = _joined("-", profit, _joined("*", name(("price", good)), name(slot)))
        return Equation(name("profit"), profit, dict(enumerate(technology.inputs)))

    def _loops(self, good: str) -> bool:
        return any(
            self.economy.is_loop(component) and good in {industry.good for industry in component}
            for component in self.economy.components
        )

    def _labels(self, industry: Industry) -> zip[tuple[str, str]]:
        return zip(industry.technology.inputs, industry.technology.inputs, strict=True)

    def _input(self, industry: Industry, slot: int, formula: str, tree: Expression | None) -> Pair:
        """The firms' bid for one input, beside the chain rule at this line."""
        good, output = industry.technology.inputs[slot], industry.good
        slope, bid = self._slope(industry, slot), self._bid(industry, slot)
        factor = f"({formula})" if _is_sum(formula) else formula
        shared = len(self.users[good]) > 1
        label = industry.technology.inputs[slot]
        price = f"bid[{label} by {output}]" if shared else f"p_{good}"
        term = f"term[{label} in {output}]" if shared else f"df_d{good}"
        gradient = self.gradients[output]
        slope_tree = name(("slope", output, label)) if tree is None else tree
        sides = [
            (("bid", label, output) if shared else ("price", good), ("price", output)),
            (("term", label, output) if shared else ("gradient", good), ("gradient", output)),
        ]
        names = dict(enumerate(industry.technology.inputs))
        condition, backprop_line = (
            Equation(name(left), _joined("*", name(value), slope_tree), names)
            for left, value in sides
        )
        return Pair(
            f"{price} = p_{output} * {factor}",
            f"{format_plain(self.prices[output])} * {format_plain(slope)} = {format_plain(bid)}",
            f"{term} = df_d{output} * {factor}",
            f"{format_plain(gradient)} * {format_plain(slope)} = {format_plain(gradient * slope)}",
            (condition, backprop_line),
        )

    def _reuse(self, good: str) -> Section:
        """How the bids, and the terms of the chain rule, of all users of a good add up."""
        reuse, users = self.economy.reuse[good], self.users[good]
        parts = [self._part(*use) for use in users] if reuse == "rival" else None
        bids = [self._bid(*use) for use in users]
        terms = [self.gradients[i.good] * self._slope(i, slot) for i, slot in users]
        uses = [(i.technology.inputs[slot], i.good) for i, slot in users]
        payers = 1 if reuse == "external" else len(users)
        bid_names = [f"bid[{label} by {output}]" for label, output in uses[:payers]]
        term_names = [f"term[{label} in {output}]" for label, output in uses]
        pair = Pair(
            f"p_{good} = {_weighted_sum(bid_names, parts)}",
            f"{_weighted_sum(_shown(bids[:payers]), parts)} = {format_plain(self.prices[good])}",
            f"df_d{good} = {_weighted_sum(term_names, parts)}",
            f"{_weighted_sum(_shown(terms), parts)} = {format_plain(self.gradients[good])}",
            (
                _sum_equation(("price", good), "bid", uses[:payers], parts),
                _sum_equation(("gradient", good), "term", uses, parts),
            ),
        )
        return Section(good, REUSE_NOTES[reuse], (pair,))

    def _part(self, industry: Industry, slot: int) -> float:
        """The share of a good that goes to one use."""
        return float(self.shares[self.economy.buyers.uses[industry.good][slot]].sum())

    def _mean(self, values: np.ndarray, industry: Industry, slot: int) -> float:
        """The mean of ``values`` over the firms of one use, weighted by their shares."""
        buyers = self.economy.buyers.uses[industry.good][slot]
        weights = self.shares[buyers]
        weights = weights if weights.any() else np.ones(len(weights))
        return float(weights @ values[buyers] / weights.sum())

    def _slope(self, industry: Industry, slot: int) -> float:
        return self._mean(self.products, industry, slot)

    def _bid(self, industry: Industry, slot: int) -> float:
        return self._mean(self.bids, industry, slot)


def _shown(values: Iterable[float]) -> list[str]:
    return [format_plain(value) for value in values]


def _weighted_sum(terms: Sequence[str], weights: Sequence[float] | None) -> str:
    """A sum as text; without weights, of the terms alone."""
    if weights is None:
        return " + ".join(terms)
    return " + ".join(f"{w}*{term}" for w, term in zip(_shown(weights), terms, strict=True))


def _sum_equation(
    left: tuple[str, str],
    symbol: str,
    uses: Sequence[tuple[str, str]],
    weights: Sequence[float] | None,
) -> Equation:
    """The equation of :func:`_weighted_sum` as a formula."""
    terms = [name((symbol, *use)) for use in uses]
    if weights is not None:
        terms = [_joined("*", lift(w), term) for w, term in zip(weights, terms, strict=True)]
    return Equation(name(left), _joined("+", *terms))


def _joined(operation: str, *arguments: Expression) -> Expression:
    """The operation applied from left to right, without simplification."""
    return reduce(lambda a, b: Expression(operation, (a, b)), arguments)


def _is_sum(formula: str) -> bool:
    """Whether the outermost operation is a sum, which needs brackets in a product."""
    depth = 0
    for before, character in zip(" " + formula, formula, strict=False):
        depth += (character == "(") - (character == ")")
        if depth == 0 and character in "+-" and before == " ":
            return True
    return False
