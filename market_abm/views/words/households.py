"""Households in words: who earns what, and who buys what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from market_abm.views.numbers import format_count, format_label, format_number, format_plain
from market_abm.views.words.text import and_more

if TYPE_CHECKING:
    from market_abm.economy.households import Household
    from market_abm.runs.households import HouseholdAccount
    from market_abm.runs.result import Result

MAX_HOUSEHOLDS = 5
"""Households that are reported, those who earn most."""

MAX_PARTS = 6
"""Parts of an income, or goods bought, that are named."""

ROUNDING = 1e-6
"""A part of income or spending, relative to all, that is not named."""

BUDGET = "a household, which pays what it earns"
"""The terms of a household, in the place of a price."""

WEIGHTS = (
    "households pay α for a unit of utility: the money that they spend, over Σ x ∂U/∂x of what "
    "they buy"
)
"""What a household's price is, beside a consumer's."""

CONDITION = "a household, with the condition of a firm at its weight α, money per unit of utility; "
"""What stands before the surplus of a household."""


BANG_PER_BUCK = (
    "a unit of money buys as much utility in each good, λ = 1/α, the marginal utility of income; "
    "what is spent is what was earned"
)
"""The first-order conditions of a household, and its budget."""


def budget_title(name: str) -> str:
    """The title of the conditions of a household."""
    return f"the budget of {name}"


def not_bought(least: float) -> str:
    """What is added for a good that is not bought, as it is worth less than it costs."""
    return f", less than {format_plain(least)}: it buys none"


def household_sentences(result: Result) -> list[str]:
    """A sentence for each household, or for those who earn most."""
    accounts = sorted(result.households.items(), key=lambda each: -each[1].income)
    shown = [_sentence(name, account) for name, account in accounts[:MAX_HOUSEHOLDS]]
    more = len(accounts) - MAX_HOUSEHOLDS
    return [*shown, *([f"{format_count(more, 'household')} more earn less."] if more > 0 else [])]


def sources(account: HouseholdAccount) -> dict[str, float]:
    """What a household earns from each good that it owns, profits, taxes and transfers."""
    parts = account.endowments, account.profits, account.taxes
    return sizeable(sources_of(*parts, account.transfer), account)


def sources_of(
    endowments: Mapping[str, float],
    profits: Mapping[str, float],
    taxes: Mapping[str, float],
    transfer: float,
) -> dict[str, float]:
    """The sources of an income by the names that they have in texts and figures."""
    parts = dict(endowments)
    if profits:
        parts["profits"] = sum(profits.values())
    parts |= {f"tax {name}": money for name, money in taxes.items()}
    return {**parts, "transfers": transfer} if transfer else parts


def sizeable(parts: Mapping[str, float], account: HouseholdAccount) -> dict[str, float]:
    """Parts of an income or of spending that are more than rounding."""
    least = ROUNDING * max(abs(account.income), abs(account.spent))
    return {name: money for name, money in parts.items() if abs(money) > least}


def _sentence(name: str, account: HouseholdAccount) -> str:
    bought = sizeable(account.spending, account)
    return (
        f"{name} earns {format_plain(account.income)} in a step{parts_of(sources(account), 'from')}"
        f" and spends {format_plain(account.spent)}{parts_of(bought, 'on')}; its weight in welfare "
        f"is {format_plain(account.weight)}."
    )


def parts_of(parts: Mapping[str, float], word: str) -> str:
    """The largest parts of a sum of money, in brackets unless there is one, and after a word."""
    largest = sorted(parts.items(), key=lambda each: -abs(each[1]))
    if len(largest) <= 1:
        return "".join(f" {word} {good}" for good, _ in largest)
    told = ", ".join(f"{good} {format_plain(money)}" for good, money in largest[:MAX_PARTS])
    return f" ({told}{', ...' if len(largest) > MAX_PARTS else ''})"


def account_lines(account: HouseholdAccount) -> tuple[str, str, str]:
    """What stands in the box of a household on the page: weight and income; and its account."""
    bought = sizeable(account.spending, account)
    weight, income, spent = map(format_label, (account.weight, account.income, account.spent))
    return (
        f"{WEIGHT} {weight}",
        f"{EARNS} {income}",
        f"{EARNS} {income}{parts_of(sources(account), 'from')}, "
        f"spends {spent}{parts_of(bought, 'on')}",
    )


def owner_text(household: Household) -> str:
    """What a household owns, and what it does with what that earns."""
    owned = [f"{format_number(n)} {good}" for good, n in household.endowment.items()]
    more = and_more(len(owned) - MAX_PARTS, "good")
    what = ", ".join(owned[:MAX_PARTS]) + (f" {more}" if more else "")
    return f"{f'owns {what}; ' if owned else ''}spends what it earns"


def named_parts(parts: Mapping[str, float]) -> str:
    """The largest parts of a sum of money, without numbers."""
    largest = sorted(parts, key=lambda part: -abs(parts[part]))
    return ", ".join(largest[:MAX_PARTS]) + (", ..." if len(largest) > MAX_PARTS else "")


# --- figures --------------------------------------------------------------------------------------

EARNS, FROM, BUYS, WITH_TAXES = "earns", "from", "buys", "taxes included"
"""Titles of the two sides of a figure, and rows of a box."""

UTILITY, WEIGHT, SPENDS, ON = "utility", "weight", "spends", "on"
"""Heads of the columns beside it, rows of a box, and heads of a table."""

OTHER_PARTS = "other"


def together(count: int) -> str:
    """Households that are drawn as one."""
    return format_count(count, "household")


def others(count: int) -> str:
    """Households that are drawn as one, with the sum of their money."""
    return f"{count:,} others"


def money_label(numeraire: str | None) -> str:
    """The unit of incomes: money, or the numeraire, per step."""
    return f"{numeraire or 'money'} per step"


# --- reports --------------------------------------------------------------------------------------

TITLE = "Households"

ALT = "A bar for each household: its income by source, and its spending by good"

ACCOUNTS_CAPTION = (
    "At the end. The weight is the money that a household spends over Σ x ∂U/∂x: at rest 1 / its "
    "marginal utility of income, and the weight of its utility in the welfare that prices are the "
    "gradient of."
)


def earned(unit: str) -> str:
    """The caption of incomes by source."""
    return f"What each earns from what it owns, {unit}"


def bought(unit: str) -> str:
    """The caption of spending by good."""
    return f"What each pays for what it buys, taxes included, {unit}"
