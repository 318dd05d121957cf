"""Sentences about taxes: wedges between prices and derivatives, revenues, and what they cost."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from market_abm.views.numbers import format_number, format_plain
from market_abm.views.words.text import and_more, sentence

if TYPE_CHECKING:
    from market_abm.economy.taxes import Tax
    from market_abm.runs.taxes import TaxedUse, TaxSummary

MAX_USES = 4
"""Taxed uses that are told of one by one."""

NET = "prices and gradients are net of taxes"
"""What prices and gradients are."""


def rate_text(rate: Any) -> str:
    """A rate in per cent, and what it is: a tax of 50 %."""
    if np.size(rate) > 1:  # of several runs
        return f"a tax at rates of {format_number(rate)}"
    percent = 100.0 * float(np.ravel(rate)[0])
    return f"{'a subsidy' if percent < 0.0 else 'a tax'} of {format_plain(abs(percent), 6)} %"


def tax_text(tax: Tax) -> str:
    """What a tax is on."""
    goods = ", ".join(tax.good[:MAX_USES])
    users = f" in {', '.join(tax.user[:MAX_USES])}" if tax.user else ""
    return f"{rate_text(tax.rate)} on {goods}{users}"


def tax_texts(taxes: Mapping[str, Tax]) -> str:
    """All taxes, each with its name."""
    return "; ".join(f"{name}: {tax_text(tax)}" for name, tax in taxes.items())


def paid_text(taxes: Mapping[str, Tax]) -> str:
    """What stands before the profit of a line that pays taxes; empty if there are none."""
    parts = [f"{rate_text(tax.rate)} on {', '.join(tax.good)}" for tax in taxes.values()]
    return f"with {' and '.join(parts)}; " if parts else ""


def tax_sentences(found: TaxSummary | None) -> list[str]:
    """The wedge of each taxed use, :data:`MAX_USES` at most, and the revenues."""
    if found is None:
        return []
    of_use: dict[tuple[str, str], list[TaxedUse]] = {}
    for use in found.uses:
        of_use.setdefault((use.good, use.user), []).append(use)
    more = and_more(len(of_use) - MAX_USES, "taxed use")
    wedges = "; ".join(map(wedge_text, itertools.islice(of_use.values(), MAX_USES)))
    revenues = ", ".join(
        f"{format_plain(money)} from {name}" for name, money in found.revenues.items()
    )
    return [
        sentence(f"{NET}: {wedges}{f'; {more}' if more else ''}"),
        sentence(f"tax revenue per step: {revenues}"),
        *filter(None, [deadweight_sentence(found)]),
    ]


def wedge_text(taxes: Sequence[TaxedUse]) -> str:
    """What sellers get, what the buyer pays, and what a unit is worth there, all taxes on a use."""
    use, rates = taxes[0], ", ".join(f"{each.tax}: {rate_text(each.rate)}" for each in taxes)
    return (
        f"{_the(use)} pays {format_plain(use.gross_price)} for {use.good}, of which sellers get "
        f"{format_plain(use.price)} ({rates}), and a unit there adds "
        f"{format_plain(use.derivative)} to welfare"
    )


def _the(use: TaxedUse) -> str:
    return f"the {use.user}" if use.user == "consumer" else use.user


def deadweight_sentence(found: TaxSummary) -> str:
    """Welfare beside what it could be without taxes; empty if that is not known."""
    if found.best_welfare is None or found.deadweight_loss is None:
        return ""
    return (
        f"Welfare is {format_plain(found.welfare)}, and {format_plain(found.best_welfare)} at the "
        f"optimum without taxes: the deadweight loss is {format_plain(found.deadweight_loss)}."
    )


# --- reports --------------------------------------------------------------------------------------

TITLE = "Taxes and subsidies"

CAPTION = (
    "The price is what sellers get, the gross price what the buyer pays; the derivative is by how "
    "much welfare rises with a unit in this use, the wedge is derivative over price, less 1."
)

LOSS = "deadweight loss, money per step"


def revenue_label(name: str) -> str:
    """The label of a tax's revenue."""
    return f"revenue of {name}, money per step"
