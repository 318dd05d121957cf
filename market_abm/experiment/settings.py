"""An experiment file (TOML) becomes an experiment, and an experiment is run.

The only module that knows both the market and the analysis: it lets the market trade, and has a
witness watch it from outside.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from market_abm.economy.economy import REUSE
from market_abm.errors import SettingError, clip
from market_abm.fields import (
    Settings,
    check_number,
    choice,
    integer,
    names,
    number,
    words,
)

if TYPE_CHECKING:
    pass

MAX_AGENTS = 1_000_000
"""Firms that one Mesa model may hold: some 4 kB and 50 microseconds a step each."""


ENGINES = ("agents", "arrays")


MAX_RECORD_BYTES = 16_000_000_000
"""Bytes that the record of one run may come to."""


@dataclass(frozen=True)
class RunSettings(Settings):
    """How long to run, and when to stop.

    ``engine`` is what moves the market (``agents``: one Mesa agent a firm; ``arrays``: all firms
    together, for large economies), ``steps`` the most that
    a run may take, ``tolerance`` the relative gradient error of every good that counts as settled,
    with quantities at rest; ``seed`` fixes every random number.
    """

    engine: str = choice("agents", ENGINES)
    steps: int = integer(500, low=0, high=1_000_000_000)
    tolerance: float = number(1e-9, above=0.0, high=1.0)
    seed: int = integer(1, low=0, high=2**63 - 1)


@dataclass(frozen=True)
class RecordSettings(Settings):
    """What of a run is kept: every ``every``-th step, of these ``goods`` (by default all).

    Always kept is the last step, with all goods.
    """

    every: int = integer(1, low=1)
    goods: tuple[str, ...] | None = names(None)


@dataclass(frozen=True)
class ProgramSettings(Settings):
    """What is made of what: the program, how its goods are reused, the values of its parameters."""

    program: str = words()
    reuse: str = choice("rival", REUSE)
    parameters: Mapping[str, float] = dataclasses.field(
        default_factory=dict, metadata={"check": lambda v, w: check_table(v, w, check_number)}
    )


# --- from tables to an experiment ----------------------------------------------------------------


def check_table(
    value: Any, where: str, check: Callable[[Any, str], Any] | None = None
) -> dict[str, Any]:
    """``value`` if it is a table, its entries checked by ``check``."""
    if not isinstance(value, Mapping):
        raise SettingError(
            f"{where} is {clip(repr(value))}", remedy=f"make it a table: [{where}]", name=where
        )
    return {k: check(v, f"{where}.{k}") if check else v for k, v in value.items()}
