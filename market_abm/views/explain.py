"""The claim of the essay for any program: each firm's profit condition beside backprop's line.

For each industry, final goods first: the price that a profit-maximising firm pays for each input,
and what backprop computes at that line. It is the same formula, in prices and in derivatives; below
it the numbers: prices, bids and batches from the books of the market, derivatives from one forward
pass at its present shares and supply, and the reverse sweep.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from market_abm.analysis.observer import forward_allocation
from market_abm.economy.economy import Economy
from market_abm.economy.industry import Industry
from market_abm.economy.outputs import program_lines
from market_abm.economy.production import marginal_products
from market_abm.economy.taxes import Tax
from market_abm.economy.ties import Payments, nearest_products
from market_abm.language.expression import Expression, lift, name
from market_abm.language.mathml import Equation
from market_abm.runs.crossings import kinks
from market_abm.views.budget import Bought, Budget
from market_abm.views.derivation import (
    MAX_PROFIT_INPUTS,
    Pair,
    Section,
    consumers,
    joined,
    own_rates,
    suppliers,
)
from market_abm.views.numbers import format_plain
from market_abm.views.outputs import (
    activity_symbol,
    line_equation,
    profit_of_outputs,
    revenue_pair,
)
from market_abm.views.words.derivation import (
    REUSE_NOTES,
    limit_note,
    outputs_preface,
    profit_preface,
)
from market_abm.views.words.families import one_of
from market_abm.views.words.households import CONDITION
from market_abm.views.words.kinks import tie_note
from market_abm.views.words.taxes import paid_text

MAX_USERS = 12
"""Users of a good whose bids are added up, where it is one of a family."""

if TYPE_CHECKING:
    from market_abm.runs.result import Result


@np.errstate(all="ignore")  # what has no value is shown as nan
def explain(result: Result, goods: Collection[str] = ()) -> list[Section]:
    """The derivation for the program of a result at its last step.

    Parameters
    ----------
    result
        The result.
    goods
        Those that are explained; by default all, or one of each family where families are shown.

    Returns
    -------
    list of Section
        Consumers, then industries from final goods upstream, and each shared good after its users;
        suppliers, and own rates of interest.
    """
    by_good = {} if goods else _of_families(result)
    return _Explanation(result, set(goods or by_good or result.goods), by_good).sections()


def _of_families(result: Result) -> dict[str, str]:
    """One good of each family that is shown, with a note: in the middle of those that are made."""
    economy, chosen = result.economy, {}
    for family in result.families:
        made = [good for good in family.goods if good not in economy.supply] or family.goods
        note = one_of(len(made), family.label) if len(made) > 1 else ""
        chosen[made[len(made) // 2]] = note
    return chosen


class _Explanation:
    """Builds the sections from the last state of a run."""

    def __init__(self, result: Result, goods: Container[str], notes: Mapping[str, str]) -> None:
        self.economy, self.goods, self.notes = result.economy, goods, notes
        self.accounts = result.households
        self.prices = dict(zip(result.goods, result.last.prices, strict=True))
        self.quantities = dict(zip(result.goods, result.last.quantities, strict=True))
        self.gradients = dict(zip(result.goods, result.last_gradients, strict=True))
        last, rules = result.last, result.experiment.market.rules
        self.bids, self.inputs = rules.per_unit(last.bids, last.inputs), last.inputs
        payments = Payments(self.bids, last.prices, result.experiment.run.tolerance)
        of_books = marginal_products(self.economy, last.inputs)
        of_books = nearest_products(self.economy, last.inputs, of_books, payments)
        self.books = _Side(self.economy, last.shares, last.quantities, of_books)
        self.ties = {tie.good: tie for tie in kinks(result.experiment, last)}
        at = forward_allocation(
            self.economy, rules, last.shares, last.quantities, payments=payments
        )
        self.program = _Side(self.economy, *at)
        self._own_rates = own_rates(result)
        self.users: dict[str, list[tuple[Industry, int]]] = {good: [] for good in result.goods}
        for industry in self.economy.topological_order:
            for slot, good in enumerate(industry.technology.inputs):
                self.users[good].append((industry, slot))

    def sections(self) -> list[Section]:
        """Consumers; industries upstream; a shared good after its last user; suppliers; rates."""
        economy, goods = self.economy, self.goods
        sections = [consumers(economy, self.prices, self.gradients, goods)]
        waiting = {good: len(users) for good, users in self.users.items()}
        for industry in reversed(economy.topological_order):
            if industry.technology.outputs:  # explained with its line
                continue
            if industry.good in economy.outputs:
                if self._is_chosen(industry):
                    sections.append(self._several_outputs(industry))
            elif industry.good in goods:
                sections.append(self._industry(industry))
                if industry.household:
                    sections.append(self._budget(industry))
            for good in industry.technology.inputs:
                waiting[good] -= 1
                if waiting[good] == 0 and good in goods and self._is_reused(good):
                    sections.append(self._reuse(good))
        sections.append(suppliers(economy, self.prices, self.quantities, self.gradients, goods))
        return [*(each for each in sections if each.pairs or each.line), *self._own_rates]

    def _is_reused(self, good: str) -> bool:
        """Whether a good has several users; if one good stands for many, not too many to read."""
        return 1 < len(self.users[good]) <= (MAX_USERS if self.notes else math.inf)

    def _is_chosen(self, activity: Industry) -> bool:
        """Whether a line that makes several goods is explained: for itself, or for one of them."""
        outputs = [each.good for each in self.economy.outputs[activity.good]]
        return any(good in self.goods for good in (activity.good, *outputs))

    def _several_outputs(self, activity: Industry) -> Section:
        """A line that makes several goods: what its activity earns, then its inputs."""
        economy, technology, symbol = self.economy, activity.technology, self._symbol(activity.good)
        outputs = [each.good for each in economy.outputs[activity.good]]
        first = economy.buyers.uses[outputs[0]][0].start
        divides = economy.outputs[activity.good][0].technology.divides
        used = self.inputs[first : first + (len(outputs) if divides else 1)].sum()
        made = dict(zip(economy.goods, self.program.quantities, strict=True))
        sides = (
            (self.prices, self.quantities, float(used)),
            (self.gradients, made, float(made[activity.good])),
        )
        costs = [
            (("price", good), slot)
            for slot, good in enumerate(technology.inputs)
            if self._is_paid(activity, good)
        ]
        preface = self.notes.get(activity.good, "")
        preface += outputs_preface(activity.good, symbol, divides=divides)
        preface += profit_preface(activity.firms, loop=self._loops(activity.good))
        revenue = " + ".join(f"p_{good}*{good}" for good in outputs)
        spent = "".join(
            f" - {self._price_text(activity, technology.inputs[slot])}*{technology.inputs[slot]}"
            for _, slot in costs
        )
        formulas = technology.marginal_product_texts(symbol)
        trees = technology.marginal_product_formulas(symbol)
        pairs = [
            revenue_pair(symbol, outputs, sides),
            *(
                self._input(activity, slot, formula, tree)
                for slot, (formula, tree) in enumerate(zip(formulas, trees, strict=True))
            ),
        ]
        names = dict(enumerate(technology.inputs))
        return Section(
            program_lines(economy.industries)[activity.good],
            f"{preface}profit = {revenue}{spent}",
            tuple(pairs),
            line_equation(economy, activity),
            preface,
            Equation(name("profit"), profit_of_outputs(outputs, costs), names),
        )

    def _symbol(self, good: str) -> str:
        """The symbol of a good in formulas: its name, or that of an activity."""
        return activity_symbol(self.economy) if good in self.economy.outputs else good

    def _industry(self, industry: Industry) -> Section:
        technology, good = industry.technology, industry.good
        formulas = technology.marginal_product_texts(good)
        costs = "".join(
            f" - {self._price_text(industry, used)}{_times(self._gross(industry, slot))}*{used}"
            for slot, used in enumerate(technology.inputs)
            if self._is_paid(industry, used)
        )
        preface = self.notes.get(good, "")
        preface += profit_preface(industry.firms, loop=self._loops(good))
        preface += paid_text(self._taxes(industry))
        if industry.household:
            preface += CONDITION
        worth = "surplus" if industry.household else "profit"
        note = f"{preface}{worth} = p_{good}*({technology.text()}){costs}"
        trees = technology.marginal_product_formulas(good)
        pairs = [
            self._input(industry, slot, formula, tree)
            for slot, (formula, tree) in enumerate(zip(formulas, trees, strict=True))
        ]
        line = Equation(name(good), technology.formula, dict(enumerate(technology.inputs)))
        profit = self._profit(industry) if len(technology.inputs) <= MAX_PROFIT_INPUTS else None
        return Section(industry.text(), note, tuple(pairs), line, preface, profit)

    def _profit(self, industry: Industry) -> Equation:
        """Revenue minus the cost of the inputs, each at the price that this line pays."""
        technology = industry.technology
        profit = joined("*", name(("price", industry.good)), technology.formula)
        for slot, good in enumerate(technology.inputs):
            if self._is_paid(industry, good):
                own = self._has_own_price(good)
                price = name(("bid", good, industry.good) if own else ("price", good))
                gross = self._gross(industry, slot)
                price = price if gross == 1.0 else joined("*", price, lift(gross))
                profit = joined("-", profit, joined("*", price, name(slot)))
        worth = "surplus" if industry.household else "profit"
        return Equation(name(worth), profit, dict(enumerate(technology.inputs)))

    def _budget(self, industry: Industry) -> Section:
        """What a household buys at the margin, what it earns and what it spends."""
        technology, who = industry.technology, industry.good
        formulas = technology.marginal_product_texts(who)
        trees = technology.marginal_product_formulas(who)
        made = dict(zip(self.economy.goods, self.program.quantities, strict=True))
        wanted = []
        for slot, good in enumerate(technology.inputs):
            tree = trees[slot]
            tree = name(("slope", who, good)) if tree is None else tree
            bought = float(self.inputs[self.economy.buyers.uses[who][slot]].sum())
            wanted.append(
                Bought(
                    good,
                    f"({formulas[slot]})" if _is_sum(formulas[slot]) else formulas[slot],
                    tree,
                    (self.books.slope(industry, slot), self.program.slope(industry, slot)),
                    (bought, self.program.part(industry, slot) * made[good]),
                    self._gross(industry, slot),
                )
            )
        household = Budget(who, self.economy.households[who], self.accounts[who], tuple(wanted))
        return household.section((self.prices, self.gradients))

    def _loops(self, good: str) -> bool:
        return any(
            self.economy.is_loop(component) and good in {industry.good for industry in component}
            for component in self.economy.components
        )

    def _has_own_price(self, good: str) -> bool:
        """Whether each user of a good pays a price of its own."""
        return len(self.users[good]) > 1 and self.economy.reuse[good] != "rival"

    def _is_paid(self, industry: Industry, good: str) -> bool:
        """Whether an industry pays for a good: of an external one only the first user does."""
        return self.economy.reuse[good] != "external" or self.users[good][0][0] is industry

    def _taxes(self, industry: Industry) -> dict[str, Tax]:
        """The taxes that an industry pays, by name."""
        economy, good = self.economy, self.economy.index[industry.good]
        paid = [k for k, (own, _) in economy.taxed.items() if good in economy.uses.maker[own]]
        return {name: economy.taxes[name] for name in paid}

    def _gross(self, industry: Industry, slot: int) -> float:
        """1 + τ: what the industry pays for a unit of an input, over what sellers get."""
        net = self.economy.net_of_buyers
        return (
            1.0
            if net is None
            else 1.0 / float(net[self.economy.buyers.uses[industry.good][slot].start])
        )

    def _price_text(self, industry: Industry, good: str) -> str:
        return f"bid[{good} by {industry.good}]" if self._has_own_price(good) else f"p_{good}"

    def _input(self, industry: Industry, slot: int, formula: str, tree: Expression | None) -> Pair:
        """The firms' bid for one input, beside the chain rule at this line."""
        good, output = industry.technology.inputs[slot], self._symbol(industry.good)
        slope, bid = self.books.slope(industry, slot), self._bid(industry, slot)
        gross = self._gross(industry, slot)
        tax = "" if gross == 1.0 else f"/{format_plain(gross)}"
        by_program = self.program.slope(industry, slot)
        factor = f"({formula})" if _is_sum(formula) else formula
        shared = len(self.users[good]) > 1
        price = f"bid[{good} by {output}]" if shared else f"p_{good}"
        term = f"term[{good} in {output}]" if shared else f"df_d{good}"
        gradient = self.gradients[industry.good]
        limits = [
            limit_note(good) if side.quantities[self.economy.index[good]] == 0.0 else ""
            for side in (self.books, self.program)
        ]
        if output in self.ties:
            limits = [tie_note(self.ties[output], good)] * 2
        slope_tree = name(("slope", output, good)) if tree is None else tree
        sides = [
            (("bid", good, output) if shared else ("price", good), ("price", output)),
            (("term", good, output) if shared else ("gradient", good), ("gradient", output)),
        ]
        names = dict(enumerate(industry.technology.inputs))
        condition, backprop_line = (
            Equation(name(left), _over(joined("*", name(value), slope_tree), gross), names)
            for left, value in sides
        )
        return Pair(
            f"{price} = p_{output} * {factor}{tax}",
            f"{format_plain(self.prices[industry.good])} * {format_plain(slope)}{tax} = "
            f"{format_plain(bid)}{limits[0]}",
            f"{term} = df_d{output} * {factor}{tax}",
            f"{format_plain(gradient)} * {format_plain(by_program)}{tax} = "
            f"{format_plain(gradient * by_program / gross)}{limits[1]}",
            (condition, backprop_line),
        )

    def _reuse(self, good: str) -> Section:
        """How the bids, and the terms of the chain rule, of all users of a good add up."""
        reuse, users = self.economy.reuse[good], self.users[good]
        of_books, of_program = (
            [side.part(*use) for use in users] if reuse == "rival" else None
            for side in (self.books, self.program)
        )
        bids = [self._bid(*use) for use in users]
        terms = [
            self.gradients[i.good] * self.program.slope(i, slot) / self._gross(i, slot)
            for i, slot in users
        ]
        uses = [(good, self._symbol(i.good)) for i, _ in users]
        payers = 1 if reuse == "external" else len(users)
        bid_names = [f"bid[{label} by {output}]" for label, output in uses[:payers]]
        term_names = [f"term[{label} in {output}]" for label, output in uses]
        pair = Pair(
            f"p_{good} = {_weighted_sum(bid_names, of_books)}",
            f"{_weighted_sum(_shown(bids[:payers]), of_books)} = {format_plain(self.prices[good])}",
            f"df_d{good} = {_weighted_sum(term_names, of_program)}",
            f"{_weighted_sum(_shown(terms), of_program)} = {format_plain(self.gradients[good])}",
            (
                _sum_equation(("price", good), "bid", uses[:payers], of_books),
                _sum_equation(("gradient", good), "term", uses, of_program),
            ),
        )
        return Section(good, REUSE_NOTES[reuse], (pair,))

    def _bid(self, industry: Industry, slot: int) -> float:
        return self.books.mean(self.bids, industry, slot)


@dataclass(frozen=True, eq=False)
class _Side:
    """Shares, quantities and marginal products: of the firms' books, or of a forward pass."""

    economy: Economy
    shares: np.ndarray
    quantities: np.ndarray
    products: np.ndarray

    def part(self, industry: Industry, slot: int) -> float:
        """The share of a good that goes to one use."""
        return float(self.shares[self.economy.buyers.uses[industry.good][slot]].sum())

    def slope(self, industry: Industry, slot: int) -> float:
        """∂(output)/∂(the good) of one use."""
        return self.mean(self.products, industry, slot)

    def mean(self, values: np.ndarray, industry: Industry, slot: int) -> float:
        """The mean of ``values`` over the firms of one use, weighted by their shares."""
        buyers = self.economy.buyers.uses[industry.good][slot]
        weights = self.shares[buyers]
        weights = weights if weights.any() else np.ones(len(weights))
        return float(weights @ values[buyers] / weights.sum())


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
        terms = [joined("*", lift(w), term) for w, term in zip(weights, terms, strict=True)]
    return Equation(name(left), joined("+", *terms))


def _times(gross: float) -> str:
    """A factor 1 + τ on a price, as text; empty without taxes."""
    return "" if gross == 1.0 else f"*{format_plain(gross)}"


def _over(value: Expression, gross: float) -> Expression:
    """A value over 1 + τ."""
    return value if gross == 1.0 else joined("/", value, lift(float(format_plain(gross))))


def _is_sum(formula: str) -> bool:
    """Whether the outermost operation is a sum, which needs brackets in a product."""
    depth = 0
    for before, character in zip(" " + formula, formula, strict=False):
        depth += (character == "(") - (character == ")")
        if depth == 0 and character in "+-" and before == " ":
            return True
    return False
