"""The settings of a run, of its record and of a program, and the limits of one machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from market_abm.economy.economy import REUSE
from market_abm.errors import SettingError, shown
from market_abm.fields import Settings, check_number, choice, field, integer, names, number, words

MAX_AGENTS = 1_000_000
"""Firms of one Mesa model: each takes about 4 kB, and 50 microseconds per step."""

MAX_RECORD_BYTES = 16_000_000_000
"""Bytes of the record of one run."""

ENGINES = ("agents", "arrays")
"""What computes a step: one Mesa agent per firm, or arrays of all firms."""


@dataclass(frozen=True)
class RunSettings(Settings):
    """How long to run, with which engine and seed, and when to stop."""

    engine: str = choice(
        "agents", ENGINES, help="one Mesa agent per firm, or arrays of all firms (faster)"
    )
    steps: int = integer(500, low=0, high=1_000_000_000, unit="steps", help="maximum of steps")
    tolerance: float = number(
        1e-9,
        above=0.0,
        high=1.0,
        help="a market is at rest when nobody's price, bid or quantity is off by more, relatively",
    )
    seed: int = integer(1, low=0, high=2**63 - 1, help="seed of all random numbers")
    observe_every: int = integer(
        1,
        low=1,
        unit="steps",
        help="interval between the steps at which gradient, error and measures are computed, and "
        "that are recorded; rest is looked for at every step, and the last step is observed",
    )


@dataclass(frozen=True)
class RecordSettings(Settings):
    """Which steps and goods of a run are recorded; the last step always is, with all goods."""

    every: int = integer(1, low=1, unit="steps", help="interval between recorded steps")
    goods: tuple[str, ...] | None = names(None, help="recorded goods, or patterns; by default all")


def check_table(
    value: Any, where: str, check: Callable[[Any, str], Any] | None = None
) -> dict[str, Any]:
    """A table with its values checked by ``check``.

    Raises
    ------
    SettingError
        It is not a table, or ``check`` refuses a value.
    """
    if not isinstance(value, Mapping):
        raise SettingError(
            f"{where} is {shown(value)}", remedy=f"make it a table: [{where}]", name=where
        )
    return {k: check(v, f"{where}.{k}") if check else v for k, v in value.items()}


def _numbers_by_name(value: Any, where: str) -> dict[str, float]:
    return check_table(value, where, check_number)


@dataclass(frozen=True)
class ProgramSettings(Settings):
    """An economy given by a program."""

    program: str = words(help="the program: lines good = arithmetic, one per industry, and loops")
    reuse: str = choice("rival", REUSE, help="how a good serves several users, if not in [reuse]")
    parameters: Mapping[str, float] = field(
        _numbers_by_name,
        default_factory=dict,
        kind="table",
        range="of numbers",
        help="values of the program's parameters",
    )
    numeraire: str | None = words(
        None, help="the good in whose units prices and money are told; by default money"
    )
