"""Households in words: who earns what, and who buys what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from market_abm.views.numbers import format_count, format_plain

if TYPE_CHECKING:
    from market_abm.runs.households import HouseholdAccount
    from market_abm.runs.result import Result

MAX_HOUSEHOLDS = 5
"""Households that are reported, those who earn most."""

MAX_PARTS = 6
"""Parts of an income, or goods bought, that are named."""

BUDGET = "a household, which pays what it earns"
"""The terms of a household, in the place of a price."""

WEIGHTS = (
    "households pay α for a unit of utility: the money that they spend, over Σ x ∂U/∂x of what "
    "they buy"
)
"""What a household's price is, beside a consumer's."""

CONDITION = "a household, with the condition of a firm at its weight α, money per unit of utility; "
"""What stands before the surplus of a household."""


def household_sentences(result: Result) -> list[str]:
    """A sentence for each household, or for those who earn most."""
    accounts = sorted(result.households.items(), key=lambda each: -each[1].income)
    shown = [_sentence(name, account) for name, account in accounts[:MAX_HOUSEHOLDS]]
    more = len(accounts) - MAX_HOUSEHOLDS
    return [*shown, *([f"{format_count(more, 'household')} more earn less."] if more > 0 else [])]


def _sentence(name: str, account: HouseholdAccount) -> str:
    sources = dict(account.endowments)
    if profits := sum(account.profits.values()):
        sources["profits"] = profits
    sources |= {f"tax {name}": money for name, money in account.taxes.items()}
    if account.transfer:
        sources["transfers"] = account.transfer
    sources |= {f"the tax {name}": money for name, money in account.taxes.items()}
    size = max(abs(account.income), abs(account.spent))
    return (
        f"{name} earns {format_plain(account.income)} in a step{_parts(sources, size, ' from ')} "
        f"and spends {format_plain(account.spent)}{_parts(account.spending, size, ' on ')}; its "
        f"weight in welfare is {format_plain(account.weight)}."
    )


def _parts(parts: Mapping[str, float], size: float, word: str) -> str:
    """The largest parts of a sum of money, in brackets unless there is one."""
    named = {good: money for good, money in parts.items() if abs(money) > 1e-6 * size}
    largest = sorted(named.items(), key=lambda each: -abs(each[1]))
    if len(largest) <= 1:
        return "".join(f"{word}{good}" for good, _ in largest)
    told = ", ".join(f"{good} {format_plain(money)}" for good, money in largest[:MAX_PARTS])
    return f" ({told}{', ...' if len(largest) > MAX_PARTS else ''})"
