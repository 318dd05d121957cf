"""What a household does with its money: what it buys at the margin, and its budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from market_abm.language.expression import Expression, lift, name
from market_abm.language.mathml import Equation
from market_abm.views.derivation import Pair, Section, joined
from market_abm.views.numbers import format_plain
from market_abm.views.words.households import BANG_PER_BUCK, budget_title, not_bought, sources

if TYPE_CHECKING:
    from market_abm.economy.households import Household
    from market_abm.runs.households import HouseholdAccount

AGREE = 1e-6
"""Relative difference of income and spending below which they are shown as one number."""

SIDES = ((0, "p_", "price"), (1, "df_d", "gradient"))
"""Both sides of a derivation, and their symbols in text and in formulas."""

Values = tuple[Mapping[str, float], Mapping[str, float]]
"""Prices and gradients by good."""


class Bought(NamedTuple):
    """A good that a household wants: in the market's books, and by a forward pass.

    Attributes
    ----------
    good
        Its name.
    formula, tree
        ∂U/∂x as text, in brackets if it is a sum, and as a formula.
    slopes
        ∂U/∂x, in the books and by the forward pass.
    units
        What is bought, likewise.
    gross
        1 + τ: what the household pays over what sellers get.
    """

    good: str
    formula: str
    tree: Expression
    slopes: tuple[float, float]
    units: tuple[float, float]
    gross: float

    def paid(self, sign: str) -> str:
        """The price that the household pays, as text."""
        return f"{sign}{self.good}{'' if self.gross == 1.0 else f'*{format_plain(self.gross)}'}"

    def paid_tree(self, kind: str) -> Expression:
        """The same as a formula."""
        price = name((kind, self.good))
        return price if self.gross == 1.0 else joined("*", price, lift(_rounded(self.gross)))


@dataclass(frozen=True)
class Budget:
    """A household ``who``, its account at the last step, and the goods that it wants."""

    who: str
    household: Household
    account: HouseholdAccount
    wanted: tuple[Bought, ...]

    def section(self, values: Values) -> Section:
        """The same utility for a unit of money in each good, 1/α; and what is earned and spent."""
        pairs = [self._bang_per_buck(each, values) for each in self.wanted]
        return Section(budget_title(self.who), BANG_PER_BUCK, (*pairs, self._balance(values)))

    @property
    def _names(self) -> dict[int, str]:
        return {slot: each.good for slot, each in enumerate(self.wanted)}

    def _bang_per_buck(self, each: Bought, values: Values) -> Pair:
        """1/α = (∂U/∂x)/p; of a good that is not bought 1/α is more."""
        texts, equations = [], []
        for side, sign, kind in SIDES:
            price, weight = values[side][each.good] * each.gross, 1.0 / values[side][self.who]
            paid = each.paid(sign)
            paid = paid if each.gross == 1.0 else f"({paid})"
            none = not_bought(weight) if each.units[side] == 0.0 else ""
            slope = format_plain(each.slopes[side])
            texts += [
                f"1/{sign}{self.who} = {each.formula}/{paid}",
                f"{slope}/{format_plain(price)} = {format_plain(each.slopes[side] / price)}{none}",
            ]
            left = joined("/", lift(1.0), name((kind, self.who)))
            right = joined("/", each.tree, each.paid_tree(kind))
            equations.append(Equation(left, right, self._names))
        return Pair(texts[0], texts[1], texts[2], texts[3], (equations[0], equations[1]))

    def _balance(self, values: Values) -> Pair:
        """What it earns from what it owns, and what it pays."""
        owned = {good: units for good, units in self.household.endowment.items() if units}
        others = {k: v for k, v in sources(self.account).items() if k not in owned}
        texts, equations = [], []
        for side, sign, kind in SIDES:
            value = values[side]
            earned = [units * value[good] for good, units in owned.items()]
            spent = [each.units[side] * value[each.good] * each.gross for each in self.wanted]
            left = [f"{_times(units)}{sign}{good}" for good, units in owned.items()]
            right = [f"{each.paid(sign)}*{each.good}" for each in self.wanted]
            texts.append(f"{' + '.join([*left, *others]) or '0'} = {' + '.join(right)}")
            texts.append(_numbers([*earned, *others.values()], spent))
            terms = [
                *(joined("*", lift(_rounded(n)), name((kind, good))) for good, n in owned.items()),
                *map(name, others),
            ]
            paid = [joined("*", each.paid_tree(kind), name(each.good)) for each in self.wanted]
            equations.append(Equation(joined("+", *(terms or [lift(0.0)])), joined("+", *paid)))
        return Pair(texts[0], texts[1], texts[2], texts[3], (equations[0], equations[1]))


def _times(units: float) -> str:
    return "" if units == 1.0 else f"{format_plain(units)}*"


def _rounded(value: float) -> float:
    return float(format_plain(value))


def _numbers(earned: Sequence[float], spent: Sequence[float]) -> str:
    """Both sums: as one number if they agree."""
    parts = [" + ".join(map(format_plain, each)) or "0" for each in (earned, spent)]
    income, spending = sum(earned), sum(spent)
    if abs(income - spending) <= AGREE * max(abs(income), abs(spending)):
        shown = [parts[0], format_plain(income), parts[1]]
        return " = ".join(dict.fromkeys(shown))
    told = [
        part if len(each) == 1 else f"{part} = {format_plain(sum(each))}"
        for part, each in zip(parts, (earned, spent), strict=True)
    ]
    return f"earned {told[0]}; spent {told[1]}"
