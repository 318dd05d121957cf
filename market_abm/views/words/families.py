"""Families of goods in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from market_abm.economy.families import families_of
from market_abm.views.numbers import format_count, format_number
from market_abm.views.words.economy import demand_text, supply_text
from market_abm.views.words.text import ARROWS

if TYPE_CHECKING:
    from market_abm.economy.families import Family
    from market_abm.economy.terms import Demand, Supply

ROUNDING = 1e-14
"""A mean that is smaller than this part of the largest price is 0, but for rounding."""

COLUMNS = {
    "members": "members",
    "price": "mean price",
    "price_least": "least",
    "price_largest": "largest",
    "error": "largest error",
    "first_step": "first step",
}
"""Columns of a table of families, and their headers."""

CAPTION = (
    "Families of goods at the last step: means over the members, the least and the largest price, "
    "the largest error, and the step from which on all errors stay within tolerance."
)

OF_FAMILIES = " Lines are families of goods: means over their members, and their largest errors."
"""What the lines of a report's figures are."""


def shown_mean(row: Mapping[str, float]) -> float:
    """The mean price of a row of a table of families; 0 where it is rounding of a sum that is."""
    return _mean(row["price"], max(abs(row["price_least"]), abs(row["price_largest"])))


def mean_of(prices: np.ndarray) -> float:
    """The same of the prices of members, shape (members,)."""
    return _mean(float(prices.mean()), float(np.abs(prices).max()))


def _mean(mean: float, largest: float) -> float:
    return 0.0 if abs(mean) <= ROUNDING * largest else mean


def members(count: int) -> str:
    """The number of members of a family, in its box."""
    return format_count(count, "good")


def family_text(family: Family) -> str:
    """A family, and how many members it has if several."""
    return f"{family.label} ({len(family):,})" if len(family) > 1 else family.label


def family_texts(goods: Iterable[str]) -> str:
    """The families of goods."""
    return ", ".join(map(family_text, families_of(goods).values()))


def families_note(families: int, goods: int) -> str:
    """What the rows of a table of families are, and how to see members."""
    return (
        f"{families} families of {goods:,} goods: over the members, the mean, least and largest "
        "price, the largest error and the last first step. --goods 'NAME[*]' lists members."
    )


def path_left_out(rows: int) -> str:
    """That the path of every good is too long to be written."""
    return (
        f"trajectory.csv is left out, as it would have {rows:,} rows; families.csv has the path of "
        f"families. Choose goods with record.goods, or steps with record.every, to have it."
    )


def one_of(lines: int, label: str) -> str:
    """That a derivation is that of one line of a family."""
    return f"One of the {lines:,} lines of {label}. "


def loss_sentence(family: Family, losing: int, most: str) -> str:
    """How many members make losses, and the largest as a part of revenue, in words."""
    count = f"{losing:,} of {len(family):,}" if losing < len(family) else f"all {losing:,}"
    return f"Of the producers of {family.label}, {count} make losses, of up to {most} of revenue."


def network_note(goods: int) -> str:
    """What is drawn of a network of families."""
    return (
        f"{goods:,} goods by family (mean price or weight, largest error); {ARROWS}\n"
        "(number and width: how many uses an arrow stands for; an arrow to itself: within a family)"
    )


MEDIAN, LARGEST = "median of the members", "largest error"
BAND = "from the least to the largest;\nof errors: from the median"
"""What lines and bands of a family are."""


def other_families(count: int) -> str:
    """How many families are not drawn."""
    return f"not drawn: {count} more"


def supplies_text(terms: Sequence[Supply]) -> str:
    """The terms of the suppliers of a family."""
    texts = {supply_text(each) for each in terms}
    return (
        texts.pop() if len(texts) == 1 else _differing([each.quantity for each in terms], "units")
    )


def demands_text(terms: Sequence[Demand]) -> str:
    """The terms of the consumers of a family."""
    texts = {demand_text(each) for each in terms}
    return texts.pop() if len(texts) == 1 else _differing([each.price for each in terms], "a unit")


def _differing(values: Sequence[float], unit: str) -> str:
    low, high = format_number(min(values)), format_number(max(values))
    return f"{low} {unit} each" if low == high else f"{low} to {high} {unit}"
