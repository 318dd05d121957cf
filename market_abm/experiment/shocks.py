"""Shocks: numbers of the economy that change at a step of the run."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from market_abm.economy.by_pattern import members, patterns_in
from market_abm.economy.economy import Economy
from market_abm.economy.families import nearest_good
from market_abm.economy.values import TABLES, is_value_key
from market_abm.errors import MarketError, SettingError, clip
from market_abm.experiment.toml import composed
from market_abm.fields import check_whole
from market_abm.gradient.backprop import references
from market_abm.keys import dotted, flattened, key_parts, split_key

TARGETS = {
    "productivity": ("industries", "productivity", "no industry makes"),
    "supply": ("supply", "quantity", "no supplier of"),
    "demand": ("demand", "price", "no consumer buys"),
    "tax": ("taxes", "rate", "there is no tax"),
    "endowment": ("households", "endowment", "no household owns"),
}
"""The targets of a shock to one good or tax: table, key, and the message for any other name."""


@dataclass(frozen=True)
class Shock:
    """Numbers of the economy that change at a step, and stay changed.

    Parameters
    ----------
    step
        The first step with the new numbers.
    values
        The new numbers by dotted key, as for :meth:`Economy.with_values`.

    Raises
    ------
    SettingError
        The step is below 1, or a key is not of a number of the economy.
    """

    step: int
    values: Mapping[str, Any]

    def __post_init__(self) -> None:
        for key in self.values:
            if not is_value_key(key):
                raise SettingError(
                    f"a shock cannot change '{key}'",
                    remedy=f"it can change numbers under {', '.join(TABLES)}",
                    name="shocks",
                )
        if not self.values:
            raise SettingError(
                "a shock changes no number",
                remedy="write the key of one and its new value: supply.GOOD.quantity = ...",
                name="shocks",
            )
        for key, _ in flattened(self.values):
            table, *_, last = key_parts(key)
            if (table, last) == ("households", "money") and len(key_parts(key)) == 3:
                raise SettingError(
                    f"a shock cannot change '{key}': a household spends it in the first "
                    "step only, and later what it earns",
                    remedy="change its endowment, owns or transfer",
                    name="shocks",
                )
        object.__setattr__(self, "step", check_whole(self.step, "shocks.step", low=1))

    @staticmethod
    def of(entry: Mapping[str, Any]) -> Shock:
        """The shock of an entry of ``[[shocks]]``."""
        if "step" not in entry:
            raise SettingError("a shock has no step", remedy="write step = ...", name="shocks")
        values = {key: value for key, value in entry.items() if key != "step"}
        return Shock(entry["step"], dict(flattened(values)))

    @property
    def entry(self) -> dict[str, Any]:
        """The shock as an entry of ``[[shocks]]``."""
        return {"step": self.step, **self.values}


def read_shocks(entries: Any) -> tuple[Shock, ...]:
    """The shocks of ``[[shocks]]``, in the order of their steps.

    Raises
    ------
    SettingError
        The entries are not a list of tables, or one is not a valid shock.
    """
    if not isinstance(entries, list) or not all(isinstance(each, Mapping) for each in entries):
        raise SettingError(
            "shocks is not a list of tables", remedy="write [[shocks]]", name="shocks"
        )
    return in_order(map(Shock.of, entries))


def in_order(shocks: Iterable[Shock]) -> tuple[Shock, ...]:
    """Shocks by their steps; those of one step as given."""
    return tuple(sorted(shocks, key=lambda shock: shock.step))


def economies_after(economy: Economy, shocks: Sequence[Shock]) -> tuple[tuple[int, Economy], ...]:
    """The step and the resulting economy of each shock; each adds to those before.

    Reference quantities of demand that are not given are those of the first ``economy``, at its
    start.

    Raises
    ------
    MarketError
        A shock has an unknown key, or a value out of range; names its step.
    """
    changes = []
    changed = economy
    for shock in shocks:
        try:
            changed = changed.with_values(shock.values)
        except MarketError as error:
            error.what = f"the shock at step {shock.step}: {error.what}"
            error.name, error.line = "shocks", None
            raise
        changes.append((shock.step, with_references_of(economy, changed)))
    return tuple(changes)


def with_references_of(first: Economy, economy: Economy) -> Economy:
    """``economy`` with the reference quantities of demand that are those of ``first`` at step 0."""
    if all(t.quantity is not None or math.isinf(t.elasticity) for t in economy.demand.values()):
        return economy
    try:
        quantities = references(first.at(0))
    except MarketError:  # a loop that does not settle: demand keeps the references of `economy`
        return economy
    return dataclasses.replace(
        economy,
        demand={
            good: terms
            if terms.quantity is not None or terms.of_household
            else dataclasses.replace(terms, quantity=float(quantity))
            for (good, terms), quantity in zip(economy.demand.items(), quantities, strict=True)
        },
    )


# --- shocks to one good, as on a command line ----------------------------------------------------

_CHANGE = re.compile(
    r"=\s*(?P<change>[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?)\s*(?P<percent>%?)"
    r"\s*(@\s*(?P<step>\d+)\s*)?",
    re.ASCII,
)


@dataclass(frozen=True)
class GoodShock:
    """A change to one number of one good.

    Parameters
    ----------
    target
        One of ``TARGETS``: the productivity of the industry that makes ``good``, the quantity of a
        raw good, the price that a consumer pays, the rate of a tax, or an endowment.
    good
        The good, or a pattern; the name of the tax; household and good, ``rich.labour``.
    amount
        The change in per cent if ``relative``, else the new number.
    relative
        Whether the change is relative to the number before.
    step
        The first step with the new number.
    """

    target: str
    good: str
    amount: float
    relative: bool
    step: int

    @staticmethod
    def parse(text: str, default: int) -> GoodShock:
        """The shock that a text describes: TARGET.GOOD=CHANGE or TARGET.GOOD=CHANGE@STEP.

        Parameters
        ----------
        text
            CHANGE is in per cent, ``-20%``, or the new number, ``0.8``; GOOD may be in quotes, as
            in a dotted key.
        default
            The step of the shock if there is no STEP.

        Raises
        ------
        SettingError
            The text is not a valid shock.
        """
        parts, rest = split_key(composed(text)) if text.strip(" .=") else ([], "")
        found = _CHANGE.fullmatch(rest)
        if found is None or len(parts) < 2:
            raise SettingError(
                "not a valid shock",
                remedy="write TARGET.GOOD=CHANGE, such as productivity.324=-20%; "
                "@STEP after it is optional",
            )
        target, change = parts[0], found["change"]
        if target == "transfer":
            raise SettingError(
                "a shock to one transfer would leave the others, and they sum to 0",
                remedy="write all of them into one entry of [[shocks]]: "
                "households.NAME.transfer = ...",
            )
        if target not in TARGETS:
            raise SettingError(
                f"a shock cannot change '{target}'", remedy=f"choose one of: {', '.join(TARGETS)}"
            )
        if change.startswith("+") and not found["percent"]:
            raise SettingError(
                f"'{change}' may be a change or a value",
                remedy="write a change in per cent, or a new value without +",
            )
        return GoodShock(
            target=target,
            good=".".join(parts[1:]),  # one good: the dots of its code need no quotes here
            amount=float(change),
            relative=bool(found["percent"]),
            step=default if found["step"] is None else int(found["step"]),
        )

    def on(self, economy: Economy) -> Shock:
        """The shock to the numbers of ``economy``.

        Raises
        ------
        SettingError
            The economy has no such good, or not of this kind.
        """
        table, key, trouble = TARGETS[self.target]
        numbers = shocked_numbers(economy)[self.target]
        pattern = patterns_in([self.good], numbers)
        chosen = [good for good, _ in members(self.good, list(numbers), table)] if pattern else []
        if self.good not in numbers and not pattern:
            whose = [f"endowment.{n}.{g}" for n, g in _endowments(economy) if g == self.good]
            if self.target == "endowment" and whose:
                raise SettingError(
                    f"'{self.good}' is a good, and a shock is to one household's endowment of it",
                    remedy=f"write the household, too: {' or '.join(whose[:2])}",
                )
            raise SettingError(
                f"{trouble} '{self.good}'",
                remedy=nearest_good(self.good, list(numbers), economy.names),
            )
        if self.relative and self.amount < -100.0:
            raise SettingError(
                f"a change of {self.amount:g}% takes more than there is",
                remedy="write -100% or more, or a new value without %",
                name="shocks",
            )
        after = {good: self._after(numbers[good]) for good in chosen or [self.good]}
        first = next(iter(after.values()))
        if pattern and all(value == first for value in after.values()):
            after = {self.good: first}
        names: dict[str, tuple[str, ...]] = {good: (table, good, key) for good in after}
        if self.target == "endowment":
            names = {f"{n}.{g}": (table, n, key, g) for n, g in _endowments(economy)}
        return Shock(self.step, {dotted(names[good]): value for good, value in after.items()})

    def _after(self, number: Any) -> Any:
        """The number, or list of numbers of the firms, after the shock."""
        if not self.relative:
            return self.amount
        if isinstance(number, tuple):
            return [self._after(each) for each in number]
        return number * (100.0 + self.amount) / 100.0


def shocked_numbers(economy: Economy) -> dict[str, dict[str, Any]]:
    """The numbers that a shock to each of ``TARGETS`` can change, by name."""
    firms = [each for each in economy.industries if not each.household]
    consumers = {g: terms for g, terms in economy.demand.items() if not terms.of_household}
    return {
        "productivity": {each.good: each.population.productivity for each in firms},
        "supply": {good: terms.quantity for good, terms in economy.supply.items()},
        "demand": {good: terms.price for good, terms in consumers.items()},
        "tax": {name: tax.rate for name, tax in economy.taxes.items()},
        "endowment": {
            f"{name}.{good}": economy.households[name].endowment[good]
            for name, good in _endowments(economy)
        },
    }


def _endowments(economy: Economy) -> list[tuple[str, str]]:
    """Each household with each good that it owns."""
    return [(name, good) for name, own in economy.households.items() for good in own.endowment]


@contextmanager
def located_at(text: str) -> Iterator[None]:
    """Locate an error at the ``--shock`` that caused it."""
    try:
        yield
    except MarketError as error:
        error.file, error.line = f"--shock {clip(text)}", None
        raise
