"""Words that several subjects share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from market_abm.errors import display_path
from market_abm.views.numbers import format_count, format_plain

RELATIVE_ERROR = "|price − gradient| ÷ |gradient|"
"""The error of a price, as an axis or a scale is labelled."""

STEEPEST_ASCENT = "1 is steepest ascent"
"""What the alignment of moves with the gradient is measured by."""

LIGHT_IS_HIGH = "light: high"
"""Which shades of a map of welfare are high."""

ARROWS = "goods flow along the arrows"
"""What the arrows of a network are."""

MAX_CHANGES = 6
"""Numbers of one shock that are named."""


def sentence(text: str) -> str:
    """``text`` with a capital letter and a full stop; empty if it is empty."""
    text = text.strip().rstrip(".")
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def status_text(status: str) -> str:
    """A status of a run as words: max steps."""
    return status.replace("_", " ")


def status_counts(counts: Mapping[Any, int]) -> str:
    """How many runs ended how: 12 converged, 3 max steps."""
    return ", ".join(f"{n:,} {status_text(str(status))}" for status, n in counts.items())


def changes_text(shock: Mapping[str, Any]) -> str:
    """The changes of a shock, by dotted names: supply.labour.quantity = 1."""
    changes = [(key, value) for key, value in flat(shock) if key != "step"]
    return listed_changes(
        [
            f"{key} = {format_plain(value) if isinstance(value, float) else value}"
            for key, value in changes[:MAX_CHANGES]
        ],
        len(changes),
    )


def listed_changes(texts: Sequence[str], count: int) -> str:
    """The first changes, and how many there are more: a shock may concern a whole family."""
    more = and_more(count - len(texts), "number")
    return ", ".join(texts) + (f" {more}" if more else "")


def flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The entries of nested tables, each with its dotted name."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def written(path: Path, detail: str = "") -> str:
    """Where results were written, and which."""
    return f"Written to {display_path(path)}{f': {detail}' if detail else ''}"


def and_more(count: int, one: str, several: str = "") -> str:
    """That a list has more than is shown; empty if it has not."""
    return f"and {format_count(count, one, several)} more" if count > 0 else ""


def loss_text(loss: float) -> str:
    """A loss as a part of revenue, in per cent."""
    return "all" if float(format_plain(loss, 3)) == 1.0 else f"{format_plain(100.0 * loss, 3)} %"


def step_title(name: str, step: int) -> str:
    """An experiment, and the step that is shown of it."""
    return f"{name}, step {step}"
