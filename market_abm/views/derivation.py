"""The conditions of consumers and suppliers, and what a derivation is made of."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

from market_abm.economy.curves import marginal_cost
from market_abm.economy.economy import Economy
from market_abm.economy.terms import Demand, Supply
from market_abm.errors import MarketError
from market_abm.gradient.backprop import references
from market_abm.language.expression import Expression, lift, name
from market_abm.language.mathml import Equation
from market_abm.language.printing import text
from market_abm.views.numbers import format_plain
from market_abm.views.words import own_rates as words
from market_abm.views.words.derivation import (
    CONSUMERS,
    DEMAND_CURVES,
    ENDOWMENTS,
    NET_OF_TAX,
    SUPPLY_CURVES,
    off_curve,
)
from market_abm.views.words.households import WEIGHTS

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


def consumers(
    economy: Economy,
    prices: Mapping[str, float],
    gradients: Mapping[str, float],
    goods: Container[str],
) -> Section:
    """What consumers pay for ``goods``: a given price, or that of their demand curve."""
    demand = {good: terms for good, terms in economy.net_demand.items() if good in goods}
    curved = any(math.isfinite(terms.elasticity) for terms in demand.values())
    pairs = []
    for good, terms in demand.items():
        if math.isinf(terms.elasticity):
            label = name(("price", good))
            pairs.append(_given(f"p_{good}", label, prices[good], good, gradients[good]))
        else:
            quantity = _reference(economy, good, terms)
            pairs.append(
                _on_curve(
                    good,
                    _demand_curve(good, terms, quantity),
                    format_plain(prices[good]),
                    format_plain(gradients[good]),
                )
            )
    taxed = any(good in demand for tax in economy.taxes.values() for good in tax.good)
    notes = [DEMAND_CURVES if curved else CONSUMERS] if demand.keys() - economy.households else []
    notes += [WEIGHTS] if demand.keys() & economy.households.keys() else []
    note = "; ".join(notes) + (NET_OF_TAX if taxed else "")
    return Section("consumers", note, tuple(pairs))


def suppliers(
    economy: Economy,
    prices: Mapping[str, float],
    quantities: Mapping[str, float],
    gradients: Mapping[str, float],
    goods: Container[str],
) -> Section:
    """What suppliers of ``goods`` offer: their endowment, or as much as costs the price."""
    supply = {good: terms for good, terms in economy.supply.items() if good in goods}
    curved = any(terms.responds for terms in supply.values())
    pairs = []
    for good, terms in supply.items():
        if not terms.responds:
            pairs.append(_given(good, name(good), terms.quantity, good, gradients[good]))
        else:
            cost = float(marginal_cost(terms, quantities[good]))
            pairs.append(
                _on_curve(
                    good,
                    _supply_curve(good, terms),
                    off_curve(cost, prices[good]),
                    off_curve(cost, gradients[good]),
                )
            )
    return Section("suppliers", SUPPLY_CURVES if curved else ENDOWMENTS, tuple(pairs))


def own_rates(result: Result) -> list[Section]:
    """A section for each dated good: what lending it earns, in prices and in derivatives."""
    goods, sections = result.goods, []
    sides = ("price", result.last.prices), ("gradient", result.last_gradients)
    for each in result.experiment.dated_goods(result.experiment.own_rates, result.steps):
        pairs = []
        for now, later, *rates in zip(
            each.goods, each.later, *(each.rates(values) for _, values in sides), strict=True
        ):
            label = name(("own rate", goods[now]))
            texts = [
                (
                    f"r_{goods[now]} = {sign}{goods[now]}/{sign}{goods[later]} - 1",
                    f"{format_plain(values[now])}/{format_plain(values[later])} - 1"
                    f" = {format_plain(rate)}",
                )
                for sign, (_, values), rate in zip(("p_", "df_d"), sides, rates, strict=True)
            ]
            equations = [
                Equation(label, name((kind, goods[now])) / name((kind, goods[later])) - 1.0)
                for kind, _ in sides
            ]
            pairs.append(Pair(*texts[0], *texts[1], (equations[0], equations[1])))
        sections.append(Section(f"{words.TITLE}, {each.name}", words.NOTE, tuple(pairs)))
    return sections


def _given(symbol: str, label: Expression, value: float, good: str, gradient: float) -> Pair:
    """A number that is given, such as a constant price or an endowment, and the gradient."""
    return Pair(
        f"{symbol} = {format_plain(value)}",
        "",
        f"df_d{good} = {format_plain(gradient)}",
        "",
        (Equation(label, lift(value)), Equation(name(("gradient", good)), lift(gradient))),
    )


def _on_curve(good: str, curve: Expression, price: str, gradient: str) -> Pair:
    """Price and gradient on one curve, and their numbers."""
    return Pair(
        f"p_{good} = {text(curve)}",
        price,
        f"df_d{good} = {text(curve)}",
        gradient,
        (Equation(name(("price", good)), curve), Equation(name(("gradient", good)), curve)),
    )


def _reference(economy: Economy, good: str, terms: Demand) -> float:
    """The consumer's reference quantity c0: that of its terms, or the output of step 0."""
    if terms.quantity is not None:
        return float(terms.quantity)
    try:
        return float(references(economy)[list(economy.demand).index(good)])
    except MarketError:  # a loop that does not converge
        return math.nan


def _demand_curve(good: str, terms: Demand, quantity: float) -> Expression:
    """P(c): p0 (c/c0)^(-1/ε), or p0 (1 - (c - c0)/(ε |c0|))."""
    amount, size = name(good), _shown(abs(quantity))
    if terms.form == "linear" or (terms.form is None and not quantity > 0.0):
        excess = amount - size if quantity > 0.0 else amount + size
        return terms.price * (1.0 - excess / _shown(terms.elasticity * abs(quantity)))
    return terms.price * (amount / size) ** _shown(-1.0 / terms.elasticity)


def _supply_curve(good: str, terms: Supply) -> Expression:
    """MC(q) = r0 (q/q0)^(1/η), or r0 (1 + (q - q0)/(η q0)), or δ q, or 0."""
    if terms.cost == "none":
        return lift(0.0)
    if terms.cost == "quadratic":
        return _shown(terms.decay) * name(good)
    if terms.form == "linear":
        excess = name(good) - terms.quantity
        return terms.price * (1.0 + excess / _shown(terms.elasticity * terms.quantity))
    return terms.price * (name(good) / terms.quantity) ** _shown(1.0 / terms.elasticity)


def _shown(value: float) -> Expression:
    """A number with the digits that are printed of one."""
    return lift(float(format_plain(value)))


def joined(operation: str, *arguments: Expression) -> Expression:
    """The operation applied from left to right, without simplification."""
    return reduce(lambda a, b: Expression(operation, (a, b)), arguments)
