"""Shocks in words: what changed, how far prices left their gradients, and when they were back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from market_abm.keys import key_parts
from market_abm.views.numbers import format_count, format_percent, format_plain
from market_abm.views.words.lines import shortened
from market_abm.views.words.text import (
    MAX_CHANGES,
    and_more,
    changes_text,
    listed_changes,
    sentence,
)

if TYPE_CHECKING:
    from market_abm.analysis.shock_response import ShockResponse
    from market_abm.economy.economy import Economy
    from market_abm.runs.result import Result

STEPS_SINCE = "steps since the shock"
PRICE_CHANGE = "change of the price, %"
NEW_EQUILIBRIUM = "new equilibrium"
"""Axes of the figures of a shock."""


def shock_title(name: str, shocks: Sequence[Mapping[str, Any]]) -> str:
    """The shocks of an experiment."""
    texts = [f"{changes_text(each)} from step {each['step']} on" for each in shocks]
    return f"{name}: {'; '.join(texts) or 'a shock'}"


def shocked_goods(result: Result) -> tuple[str, ...]:
    """The goods of which shocks change the supply, the demand or the industry."""
    keys = [key_parts(key) for shock in result.experiment.shocks for key in shock.values]
    goods = dict.fromkeys(good for _, good, *rest in keys if rest)
    return tuple(good for good in goods if good in result.experiment.economy.index)


def shock_note(shown: int, total: int, unseen: Sequence[str]) -> str:
    """What is drawn after a shock, of how many goods, and which shocked goods are not recorded."""
    which = f"; the {shown} of {total} that change most" if shown < total else ""
    return f"change of each price against the step before{which}{_not_recorded(unseen)}"


def shock_lines_note(unseen: Sequence[str], *, equilibrium: bool) -> str:
    """What the lines after a shock are, and which shocked goods are not recorded."""
    marks = "; diamonds: the new equilibrium" if equilibrium else ""
    return (
        "change of each price against the step before; dashed: its exact gradient"
        f"{marks}{_not_recorded(unseen)}"
    )


def _not_recorded(goods: Sequence[str]) -> str:
    return f"\nnot recorded, and not drawn: {_first(goods)}" if goods else ""


def _first(goods: Sequence[str]) -> str:
    """The first of the goods, and how many there are more."""
    return f"{', '.join(goods[:3])} {and_more(len(goods) - 3, 'good')}".rstrip()


def step_label(shown: int, last: int) -> str:
    """The axis of steps, which may end before the run does."""
    return "step" if shown >= last else f"step (prices move no further up to step {last}, the last)"


def shock_sentences(result: Result) -> list[str]:
    """Of each shock what changed, how far prices left their gradients, and when they were back."""
    experiment, told = result.experiment, []
    for response in result.shock_responses:
        before = experiment.economy_at(response.step - 1)
        changes = [
            change
            for shock in experiment.shocks
            if shock.step == response.step
            for change in shock.values.items()
        ]
        texts = [change_text(before, key, value) for key, value in changes[:MAX_CHANGES]]
        told.append(f"Shock at step {response.step}: {listed_changes(texts, len(changes))}.")
        told.append(response_sentence(result, response))
    return told


def change_text(before: Economy, key: str, value: Any) -> str:
    """A number of the economy before and after: supply.labour.quantity 2 → 1 (−50 %)."""
    old = _number_at(before, key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"{key} = {value}"
    new = float(value)
    if old is None:
        return f"{key} = {format_plain(new)}"
    part = f" ({_percent(100.0 * (new / old - 1.0))})" if old and np.isfinite(new / old) else ""
    return f"{key} {format_plain(old)} → {format_plain(new)}{part}"


def _number_at(economy: Economy, key: str) -> float | None:
    """A number of the economy by its dotted key; None if it has no such single number."""
    table, *rest = key_parts(key)
    try:
        if table == "industries":
            (industry,) = (each for each in economy.industries if each.good == rest[0])
            terms: Any = industry.population
        else:
            tables = {
                "supply": economy.supply,
                "demand": economy.demand,
                "households": economy.households,
            }
            terms = tables[table][rest[0]]
        number = getattr(terms, rest[1])
        return float(number[rest[2]] if len(rest) > 2 else number)
    except (KeyError, ValueError, IndexError, AttributeError, TypeError):
        return None


def response_sentence(result: Result, response: ShockResponse) -> str:
    """How far recorded prices were off their gradients after a shock, and when they were back."""
    tolerance = f"{result.experiment.run.tolerance:g}"
    some = _of_recorded(result)
    if response.error <= result.experiment.run.tolerance:
        return f"No price{some} left its gradient by more than {tolerance}."
    good = result.recorded[response.good]
    text = f"prices{some} were off their gradients by up to {_share(response.error)} ({good}, "
    text += f"step {response.at})"
    if response.duration is None:
        text += f", and by {_share(response.left)} at step {response.until}"
    else:
        later = format_count(response.duration, "step")
        text += f", and back within {tolerance} at step {response.back}, {later} later"
    return sentence(f"{text}{_largest_move(result, response)}")


def _of_recorded(result: Result) -> str:
    """Of which goods prices are known after a shock, if not of all."""
    shown, total = len(result.recorded), len(result.goods)
    return f" of the recorded goods ({shown:,} of {total:,})" if shown < total else ""


def _largest_move(result: Result, response: ShockResponse) -> str:
    """Which price changed most, from the step before a shock to the last step before the next."""
    before = np.flatnonzero(result.times < response.step)
    if before.size == 0:
        return ""
    old = result.prices[before[-1]]
    new = result.prices[np.flatnonzero(result.times == response.until)[0]]
    with np.errstate(all="ignore"):
        change = 100.0 * (new - old) / np.abs(old)
    known = np.where(np.isfinite(change), np.abs(change), -1.0)
    most = int(np.argmax(known))
    if known[most] <= 0.0:
        return ""
    return (
        f"; the price that changed most is that of {result.recorded[most]}, "
        f"{_percent(change[most])}"
    )


def _share(error: float) -> str:
    return f"{format_plain(100.0 * error, 3)} %"


def _percent(change: float) -> str:
    """A change with three digits; 0 below a millionth."""
    return format_percent(0.0 if abs(change) < 1e-4 else float(format_plain(change, 3)))


def line_label(good: str, change: float) -> str:
    """A good, and by how much its price has changed in the end."""
    return f"{shortened(good, 60)}  {_percent(change)}" if np.isfinite(change) else good
