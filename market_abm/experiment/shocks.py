"""Shocks in a few words, as on a command line: ``productivity.324=-20%@60``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from market_abm.economy.economy import Economy
from market_abm.errors import MarketError, SettingError, clip, nearest
from market_abm.experiment.experiment import Experiment
from market_abm.experiment.files import quoted

TARGETS = {
    "productivity": ("industries", "productivity", "no industry makes"),
    "supply": ("supply", "quantity", "nobody supplies"),
    "demand": ("demand", "price", "no consumer buys"),
}
"""What a shock may hit: the table and key that it changes, and what is wrong with other goods."""


_SHOCK = re.compile(
    r"\s*(?P<target>[^.=\s]+)\s*\.(?P<good>[^=]+)"
    r"=\s*(?P<change>[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?)\s*(?P<percent>%?)"
    r"\s*(@\s*(?P<step>\d+)\s*)?"
)


@dataclass(frozen=True)
class Shock:
    """A change to one number of the economy.

    ``target`` is one of ``TARGETS``: the productivity of the industry that makes ``good``, the
    quantity of a raw good, or the price that a consumer pays. ``step`` is the first with the new
    number: the old one and ``amount`` per cent of it if ``relative``, else ``amount`` itself.
    """

    target: str
    good: str
    amount: float
    relative: bool
    step: int

    @staticmethod
    def of(text: str, steps: int) -> Shock:
        """The shock that ``text`` tells: TARGET.GOOD=CHANGE or TARGET.GOOD=CHANGE@STEP.

        CHANGE is a change in per cent, ``-20%``, or the new value, ``0.8``. Where no step is told
        it is half of ``steps``, those of the run: as long to settle before it as after it.

        Raises:
            SettingError: the text says something else.
        """
        found = _SHOCK.fullmatch(text)
        if found is None:
            raise SettingError(
                "this is no shock",
                remedy="write TARGET.GOOD=CHANGE, such as productivity.324=-20%, and @STEP after "
                "it if you like",
            )
        target, change = found["target"], found["change"]
        if target not in TARGETS:
            raise SettingError(
                f"a shock cannot hit '{target}'", remedy=f"choose one of: {', '.join(TARGETS)}"
            )
        if change.startswith("+") and not found["percent"]:
            raise SettingError(
                f"'{change}' may be a change or a value",
                remedy="write a change in per cent, or a new value without +",
            )
        return Shock(
            target=target,
            good=found["good"].strip(),
            amount=float(change),
            relative=bool(found["percent"]),
            step=max(1, steps // 2) if found["step"] is None else int(found["step"]),
        )

    def entry(self, economy: Economy) -> dict[str, Any]:
        """The shock as an entry of [[shocks]], where it hits ``economy``.

        Raises:
            SettingError: there is no such good to be hit.
        """
        table, key, trouble = TARGETS[self.target]
        all_numbers: dict[str, dict[str, Any]] = {
            "productivity": {i.good: i.population.productivity for i in economy.industries},
            "supply": {good: terms.quantity for good, terms in economy.supply.items()},
            "demand": {good: terms.price for good, terms in economy.demand.items()},
        }
        numbers = all_numbers[self.target]
        if self.good not in numbers:
            raise SettingError(
                f"{trouble} '{self.good}'", remedy=nearest(self.good, numbers, economy.names)
            )
        return {
            "step": self.step,
            f"{table}.{quoted(self.good)}.{key}": self._after(numbers[self.good]),
        }

    def _after(self, number: Any) -> Any:
        """The number, or the list of one a firm, after the shock."""
        if not self.relative:
            return self.amount
        if isinstance(number, tuple):
            return [self._after(each) for each in number]
        return number * (100.0 + self.amount) / 100.0


def with_shocks(experiment: Experiment, texts: Iterable[str]) -> Experiment:
    """``experiment``, which was read from a text, with more shocks (see :meth:`Shock.of`).

    They become entries of [[shocks]] in its configuration. A percentage is of the number as it is
    by then, after the shocks that came before.

    Raises:
        MarketError: a text is no shock, or what it says cannot be; names the text.
    """
    shocks = []
    for text in texts:
        with _named(text):
            shocks.append((text, Shock.of(text, experiment.run.steps)))
    for text, shock in sorted(shocks, key=lambda each: each[1].step):
        with _named(text):
            entry = shock.entry(experiment.economy_at(shock.step))
            entries = [*experiment.configuration.get("shocks", []), entry]
            experiment = experiment.with_overrides({"shocks": entries})
    return experiment


@contextmanager
def _named(text: str) -> Iterator[None]:
    """A mistake here is one of this shock."""
    try:
        yield
    except MarketError as error:
        error.file, error.line = f"--shock {clip(text)}", None
        raise
