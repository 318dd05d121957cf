"""The experiments at the points of a sweep: one text is read once, and points are data.

Numbers of the economy, of the market and of the run are set on what was read. Settings that change
more (a program, a mechanism) are read once for each of their values. Economies of equal terms are
one object, so that what is known of one is known of all runs that differ in rates only.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Mapping
from functools import cached_property, lru_cache
from typing import Any, NamedTuple, TypeVar

from market_abm.economy.economy import Economy
from market_abm.economy.families import is_pattern
from market_abm.economy.values import drawn_again, is_value_key
from market_abm.errors import MarketError
from market_abm.experiment.experiment import Experiment
from market_abm.keys import dotted, key_parts, set_key

MAX_ECONOMIES = 4096
"""Economies that are kept for runs of equal terms."""

MAX_NUMBERS = 1_000_000
"""Numbers of buyers, goods and firms in these economies."""

MAX_READ = 256
"""Experiments that are kept for settings which change more than numbers."""

Kept = TypeVar("Kept")


class Cache(OrderedDict[Any, Kept]):
    """The values used last, at most ``size``."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def keep(self, key: Any, value: Kept) -> Kept:
        """Add a value, and return it."""
        self[key] = value
        if len(self) > self.size:
            self.popitem(last=False)
        return value

    def find(self, key: Any) -> Kept | None:
        """The value of a key, if it is kept."""
        if key not in self:
            return None
        self.move_to_end(key)
        return self[key]


class Points:
    """The experiments at points, made from one experiment.

    Parameters
    ----------
    base
        The experiment, read from a text.
    """

    def __init__(self, base: Experiment) -> None:
        self.base = base
        economy, firms = base.economy, sum(each.firms for each in base.economy.industries)
        numbers = economy.buyers.size + len(economy.goods) + firms
        size = max(16, min(MAX_ECONOMIES, MAX_NUMBERS // numbers))
        self._read: Cache[_Read] = Cache(MAX_READ)
        self._economies: Cache[_Economy] = Cache(size)

    def experiment(self, settings: Mapping[str, Any]) -> Experiment:
        """The experiment with other settings, as :meth:`Experiment.with_overrides` makes it.

        If only numbers differ it has neither ``configuration`` nor ``source``.

        Raises
        ------
        MarketError
            A setting is not valid.
        """
        try:
            return self._changed(settings)
        except MarketError:  # or the settings are valid together only
            return self.base.with_overrides(settings)

    def _changed(self, settings: Mapping[str, Any]) -> Experiment:
        parts: dict[str, dict[str, Any]] = {"economy": {}, "market": {}, "run": {}, "": {}}
        for key, value in settings.items():
            table, name = ("", key) if isinstance(value, Mapping) else _place(key)
            if table == "economy" and self._from_table and len(key_parts(key)) == 2:
                table = ""  # not all of its lines and terms can be set so
            if table in ("market", "run"):
                set_key(parts[table], name, value)
            else:
                parts[table][name] = value
        read = self._read_with(parts[""])
        base = read.experiment
        run = base.run.with_keys(parts["run"], "run")
        economy = self._economy(read, parts["economy"], run.seed)
        return dataclasses.replace(
            base,
            economy=economy,
            market=base.market.with_keys(parts["market"], "market"),
            run=run,
            configuration={},
            source=None,
        )

    @cached_property
    def _from_table(self) -> bool:
        return "input_output" in self.base.configuration.get("economy", {})

    def _read_with(self, others: Mapping[str, Any]) -> _Read:
        """What is read with settings that change more than numbers."""
        key = repr(sorted(others.items()))
        found = self._read.find(key)
        if found is None:
            read = self.base.with_overrides(others) if others else self.base
            _ = read.economy.structure  # which the economies made of it take over
            found = self._read.keep(key, _Read(read, _is_drawn(read)))
        return found

    def _economy(self, read: _Read, numbers: Mapping[str, Any], seed: int) -> Economy:
        """The economy with these numbers; one object for the same ones."""
        drawn = read.is_drawn or any(key.endswith("_spread") for key in numbers)
        key = (id(read), drawn and seed, repr(sorted(numbers.items())))
        found = self._economies.find(key)
        if found is None:
            economy = read.experiment.economy
            if drawn and seed != economy.seed:
                industries = drawn_again(economy.industries, seed)
                economy = dataclasses.replace(economy, industries=industries, seed=seed)
            made = economy.with_values(numbers) if numbers else economy
            found = self._economies.keep(key, _Economy(read, made))
        return found.economy


class _Read(NamedTuple):
    """An experiment read from the text, and whether its firms are drawn from its seed."""

    experiment: Experiment
    is_drawn: bool


class _Economy(NamedTuple):
    """An economy, and what it was read in, which is kept as long as it."""

    read: _Read
    economy: Economy


def _is_drawn(experiment: Experiment) -> bool:
    """Whether the seed matters to the economy, now or after a shock."""
    populations = [industry.population for industry in experiment.economy.industries]
    spread = any(each.weight_spread > 0 or each.productivity_spread > 0 for each in populations)
    return spread or bool(experiment.shocks)


@lru_cache(maxsize=1024)
def _place(key: str) -> tuple[str, str]:
    """Where a dotted key is set: the economy, market or run, and there; or "" and the key."""
    parts = key_parts(key)
    if any(map(is_pattern, parts)):  # the file's exact names win over it
        return "", key
    if is_value_key(key):
        return "economy", key
    if len(parts) > 1 and parts[0] in ("market", "run") and parts[1] != "mechanism":
        return parts[0], dotted(parts[1:])
    return "", key
