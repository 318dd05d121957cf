"""Foresight: what buyers and suppliers make of prices that are old when they act on them.

A price pays for a batch that was made some steps ago, and whoever acts on it may act on what is no
longer so. The devices of the table ``[market.foresight]`` are rules of single agents, from their
own books alone (docs/model.md, 3).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from market_abm.errors import SettingError, shown
from market_abm.fields import Settings, field, number


@dataclass(frozen=True)
class Foresight(Settings):
    """The settings of ``[market.foresight]``; by default no device is used."""

    pipeline: float = number(
        0.0,
        low=0.0,
        high=1.0,
        help="β: the part of a change of its share since the batch that is priced now by which a "
        "buyer corrects the value of an input",
    )
    elasticity: float | None = number(
        None,
        above=0.0,
        help="σ̂: the elasticity of substitution that a buyer assumes to correct the value, which "
        "it takes to fall as the share to the power 1/σ̂",
    )
    trend: float = number(
        0.0,
        low=-100.0,
        high=100.0,
        help="h: steps ahead to which a buyer extrapolates the logarithm of a bid by its last move",
    )
    momentum: float = number(
        0.0,
        low=-1.0,
        high=1.0,
        help="μ: the part of the last move of the logarithm of a share that is added to the next",
    )
    supply_line: float = number(
        0.0,
        low=0.0,
        high=1e6,
        unit="money per unit²",
        help="ĥ: what a gradient supplier deducts from the price for each unit by which its offer "
        "has grown since the batch that is priced now",
    )

    def check(self, where: str) -> None:
        """Refuse a correction of values without the elasticity that it uses."""
        if self.pipeline > 0.0 and self.elasticity is None:
            raise SettingError(
                f"{where}.pipeline is set without {where}.elasticity",
                remedy="set the elasticity of substitution that buyers assume, such as 1",
                name=f"{where}.pipeline",
            )


def _read(value: Any, where: str) -> Foresight:
    if not isinstance(value, Mapping | Foresight):
        raise SettingError(
            f"{where} is {shown(value)}", remedy=f"make it a table: [{where}]", name=where
        )
    return Foresight.of(value, where)


def foresight_table() -> Any:
    """The settings field of mechanisms whose agents can use these devices."""
    return field(_read, default_factory=Foresight, kind="table of settings")


def foresight_of(settings: Any) -> Foresight:
    """The devices of a market; none, of a mechanism that has none."""
    return getattr(settings, "foresight", NONE)


NONE = Foresight()
