"""Tables of goods whose keys may be patterns, such as ``x[*]``, each for many goods.

What an exact name says wins over what patterns say of the same key, and a later pattern over an
earlier one. Under a pattern a number may be given by a formula of its indices and of parameters:
``c[t]`` with ``price = "beta ** t"``.
"""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from market_abm.economy.families import families_of, is_pattern, matching
from market_abm.errors import EconomyError, MarketError, SettingError, clip, nearest
from market_abm.fields import Settings, decimal
from market_abm.language.parser import translate_line
from market_abm.language.syntax import syntax_tree
from market_abm.language.tape import Tape

GOODS = {
    "supply": "raw good",
    "demand": "final good",
    "industries": "good that a line makes",
    "taxes": "tax",
}
"""The goods that a table is about."""


class ByPattern:
    """Reads tables of goods.

    Parameters
    ----------
    parameters
        Values of the parameters that formulas may read.

    Attributes
    ----------
    read
        The parameters that formulas have read.
    """

    def __init__(self, parameters: Mapping[str, float]) -> None:
        self.parameters = parameters
        self.read: set[str] = set()

    def entries(
        self,
        table: Mapping[str, Any],
        goods: Sequence[str],
        name: str,
        kind: type[Settings] | None = None,
    ) -> dict[str, Any]:
        """The entry of each good; goods of which the same is said share one.

        Parameters
        ----------
        table
            By good or pattern: settings, a mapping of keys to values, or one value.
        goods
            The goods that patterns may name.
        name
            The name of the table.
        kind
            The settings that entries are; None if each is one value.

        Raises
        ------
        MarketError
            A pattern names no good, a formula cannot be read, or a key is unknown.
        """
        patterns = patterns_in(table, goods)
        if not patterns:
            return dict(table)
        found: dict[str, Any] = {}
        for pattern in patterns:
            where = f"{name}.{pattern}"
            named = members(pattern, goods, name)
            if kind is None or isinstance(table[pattern], Settings):
                found.update(dict.fromkeys((good for good, _ in named), table[pattern]))
            else:
                entry = _keys(table[pattern], kind)
                same, varying = self._split(entry, kind, [turn for _, turn in named], where)
                _add(found, [good for good, _ in named], same, varying)
        for key in [key for key in table if key not in patterns]:
            entry, before = table[key], found.get(key)
            if kind is not None and isinstance(before, dict) and not isinstance(entry, Settings):
                entry = {**before, **_keys(entry, kind)}
            found[key] = entry
        return found

    def _split(
        self,
        entry: Mapping[str, Any],
        kind: type[Settings],
        turns: Sequence[Mapping[str, int]],
        where: str,
    ) -> tuple[dict[str, Any], dict[str, list[float]]]:
        """The values of an entry that are the same for all goods, and those of each good."""
        kinds = {f.name: f.metadata["kind"] for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
        varying = {
            key: self._numbers(value, turns, f"{where}.{key}")
            for key, value in entry.items()
            if isinstance(value, str)
            and kinds.get(key, "").startswith(("number", "integer"))
            and decimal(value) is None
        }
        same = {key: value for key, value in entry.items() if key not in varying}
        kind.checked(same, where)
        return same, varying

    def _numbers(self, text: str, turns: Sequence[Mapping[str, int]], where: str) -> list[float]:
        """The numbers that a formula of indices and parameters has for each good."""
        indices = {key: np.array([turn[key] for turn in turns], float) for key in turns[0]}
        for key in indices:
            if key in self.parameters:
                raise SettingError(
                    f"{where}: '{key}' is an index of the pattern, and a parameter",
                    remedy="give the index another name",
                    name=where,
                )
        values: dict[str, Any] = {**self.parameters, **indices}
        try:
            statement, *more = syntax_tree(f"value = {text}").body
            line, _ = translate_line(statement, {**self.parameters, **dict.fromkeys(indices, 1.0)})
        except MarketError as error:
            raise _not_a_number(text, where, error.what) from None
        if more or not isinstance(statement, ast.Assign):
            raise _not_a_number(text, where, "write one formula")
        for name in line.inputs:
            raise _not_a_number(
                text, where, f"there is no '{name}': {nearest(name, values)}" if values else ""
            )
        self.read |= line.parameters.keys() & self.parameters.keys()
        with np.errstate(all="ignore"):
            made = Tape(line.formula, ()).evaluate(values)[0]
        return [float(each) for each in np.broadcast_to(made, len(turns))]


def patterns_in(table: Iterable[str], goods: Collection[str]) -> list[str]:
    """The keys of a table that are patterns, and not goods."""
    brackets = [key for key in table if key.endswith("]")]
    known = set(goods) if brackets else ()
    return [key for key in brackets if key not in known and is_pattern(key)]


def shortened(table: Mapping[str, Any]) -> dict[str, Any]:
    """A table by good, with one entry ``x[*]`` for each family whose members all have the same."""
    found: dict[str, Any] = {}
    for family in families_of(table).values():
        first = table[family.goods[0]]
        if len(family.goods) > 1 and all(table[good] == first for good in family.goods):
            found[family.pattern] = first
        else:
            found.update({good: table[good] for good in family.goods})
    return found


def members(pattern: str, goods: Sequence[str], name: str) -> list[tuple[str, dict[str, int]]]:
    """What ``families.matching`` finds for a pattern in the table of this name."""
    try:
        return matching(pattern, goods)
    except EconomyError as error:
        error.what = f'{name}."{pattern}": ' + error.what.replace(
            "no good is named", f"no {GOODS.get(name, 'good')} is named"
        )
        error.name = f"{name}.{pattern}"
        raise


def _keys(entry: Any, kind: type[Settings]) -> Mapping[str, Any]:
    """An entry as a mapping; one value is that of the first key."""
    if isinstance(entry, Mapping):
        return entry
    return {dataclasses.fields(kind)[0].name: entry}  # type: ignore[arg-type]


def _add(
    found: dict[str, Any],
    goods: Sequence[str],
    same: Mapping[str, Any],
    varying: Mapping[str, Sequence[float]],
) -> None:
    """Add values to the entries of goods; entries that were one stay one if they may."""
    merged: dict[int, tuple[Any, dict[str, Any]]] = {}
    for k, good in enumerate(goods):
        before = found.get(good)
        known = merged.get(id(before))
        if known is None:
            old = before if isinstance(before, dict) else {}
            if isinstance(before, Settings):
                old = dataclasses.asdict(before)  # type: ignore[call-overload]
            known = merged[id(before)] = before, {**old, **same}
        found[good] = known[1]
        if varying:
            found[good] = known[1] | {key: numbers[k] for key, numbers in varying.items()}


def _not_a_number(text: str, where: str, why: str) -> SettingError:
    why = f" ({why})" if why else ""
    return SettingError(
        f"{where} is '{clip(text, 60)}', which is no number{why}",
        remedy="write a number, or a formula of parameters and of the pattern's named indices",
        name=where,
    )
