"""Lines that make several goods: as equations, and the revenue of their activity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

from market_abm.economy.economy import Economy
from market_abm.economy.industry import Industry
from market_abm.language.expression import Expression, lift, name
from market_abm.language.mathml import Equation
from market_abm.views.derivation import Pair, joined
from market_abm.views.numbers import format_plain


def activity_symbol(economy: Economy) -> str:
    """The symbol of an activity in formulas: z, if that is no good."""
    return "z" if "z" not in economy.index else "activity"


def line_equation(economy: Economy, activity: Industry) -> Equation:
    """The frontier of a line that makes several goods: what can be made of its activity.

    (Σ w (y/w)^r)^(1/r) = z with r = (1 + η)/η; in fixed proportions y/a = ... = z.
    """
    outputs = economy.outputs[activity.good]
    names = dict(enumerate(activity.technology.inputs))
    constants = [each.technology.formula.arguments[:-1] for each in outputs]
    made = [name(each.good) / own[-1] for each, own in zip(outputs, constants, strict=True)]
    if not outputs[0].technology.divides:
        equal: Expression = reduce(lambda a, b: Expression("=", (a, b)), made)
        return Equation(equal, activity.technology.formula, names)
    elasticity = constants[0][0]
    power = (1.0 + elasticity) / elasticity
    terms = [own[1] * each**power for each, own in zip(made, constants, strict=True)]
    return Equation(joined("+", *terms) ** (1.0 / power), activity.technology.formula, names)


def revenue_pair(
    symbol: str,
    outputs: Sequence[str],
    sides: Sequence[tuple[Mapping[str, float], Mapping[str, float], float]],
) -> Pair:
    """What a unit of an activity earns: the gradients of several outputs add up.

    Parameters
    ----------
    symbol
        That of the activity.
    outputs
        The goods.
    sides
        In prices and in derivatives: the values and quantities of goods, and units of the activity.
    """
    texts: list[str] = []
    equations: list[Equation] = []
    for (values, quantities, units), kind, sign in zip(
        sides, ("price", "gradient"), ("p_", "df_d"), strict=True
    ):
        terms = " + ".join(f"{sign}{good}*{good}" for good in outputs)
        numbers = " + ".join(
            f"{format_plain(values[good])}*{format_plain(quantities[good])}" for good in outputs
        )
        total = sum(values[good] * quantities[good] for good in outputs)
        earned = total / units if units else float("nan")
        texts += [
            f"{sign}{symbol} = ({terms})/{symbol}",
            f"({numbers})/{format_plain(units)} = {format_plain(earned)}",
        ]
        earnings = joined("+", *(joined("*", name((kind, good)), name(good)) for good in outputs))
        equations.append(Equation(name((kind, symbol)), joined("/", earnings, name(symbol))))
    return Pair(texts[0], texts[1], texts[2], texts[3], (equations[0], equations[1]))


def profit_of_outputs(outputs: Sequence[str], costs: Sequence[tuple[Any, int]]) -> Expression:
    """Revenue of all outputs less the cost of the inputs: the price of each, and its place."""
    revenue = joined("+", *(joined("*", name(("price", good)), name(good)) for good in outputs))
    paid = [joined("*", name(price), name(slot)) for price, slot in costs]
    return joined("-", revenue, *paid) if paid else lift(revenue)
