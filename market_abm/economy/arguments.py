"""The arguments of a function that is traced: raw goods with endowments, or constants."""

from __future__ import annotations

import dataclasses
import inspect
import math
import numbers
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from market_abm.economy.by_pattern import ByPattern
from market_abm.economy.families import families_of, member
from market_abm.economy.read_series import series_of
from market_abm.economy.terms import Supply
from market_abm.errors import EconomyError, ProgramError, nearest
from market_abm.language.stand_ins import with_stand_ins
from market_abm.language.traced_arrays import TracedArray
from market_abm.language.tracing import Trace, Traced
from market_abm.language.variables import Place


class Arguments:
    """The arguments of a function.

    Parameters
    ----------
    function
        The function.
    supply
        By argument, its endowment: a number, an array or lists of any shape, or terms, whose values
        may be arrays, too. By member (``x[3]``) or pattern (``x[*]``), terms that take precedence.
    constants
        Values of arguments that are no goods.

    Attributes
    ----------
    terms
        The terms of each raw good; ``quantity`` is its endowment.
    of_argument
        The raw goods of each argument.
    reshaped
        By argument whose endowment has another shape than its default value, both in words.
    counts
        The arguments whose default values are whole numbers: they are no goods if they only count.

    Raises
    ------
    EconomyError
        An argument has no endowment, or an endowment is of no argument.
    """

    def __init__(
        self, function: Callable[..., Any], supply: Mapping[str, Any], constants: Mapping[str, Any]
    ) -> None:
        self.terms: dict[str, dict[str, Any]] = {}
        self.counts: set[str] = set()
        self.reshaped: dict[str, str] = {}
        self._values: dict[str, Any] = {}
        self._constant: set[str] = set()
        self._constants = constants
        self._signature = inspect.signature(function)
        self.of_argument: dict[str, list[str]] = {}
        for name, parameter in self._signature.parameters.items():
            if name in constants:
                self._values[name] = constants[name]
                self._constant.add(name)
            elif name in supply:
                self._supplied(name, supply[name], parameter.default)
            elif parameter.default is not parameter.empty:
                self._goods(name, parameter.default, {})
                if _is_whole(parameter.default):
                    self.counts.add(name)
            elif parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                raise _without_endowment(name, "give it a default value, or ")
        given = self._values
        idle = [str(each) for each in self._signature.parameters.values() if each.name not in given]
        if not self.terms and idle:
            raise _without_endowment(idle[0], "give it one: ")
        self._more_terms({k: v for k, v in supply.items() if k not in self._values}, constants)

    def _supplied(self, name: str, given: Any, default: Any) -> None:
        terms = _as_terms(given)
        quantity = terms.pop("quantity", default)
        if terms.get("series") is not None:
            quantity, terms = _of_series(name, terms, default)
        if quantity is inspect.Parameter.empty:
            raise EconomyError(
                f"supply.{name} has no quantity", remedy="give one", name=f"supply.{name}"
            )
        known = all(isinstance(each, numbers.Real) for _, each, _ in _numbers(default))
        if known and _form(quantity) != _form(default):
            self.reshaped[name] = f"is {_form(quantity)}, its default value {_form(default)}"
        self._goods(name, quantity, terms)

    def _goods(self, name: str, value: Any, terms: Mapping[str, Any]) -> None:
        """The raw goods of an argument, if it consists of numbers."""
        self._values[name] = value
        found = list(_numbers(value))
        if not found or not all(isinstance(each, numbers.Real) for _, each, _ in found):
            self._constant.add(name)
            return
        shape = np.shape(value) if any(isinstance(v, np.ndarray) for v in terms.values()) else None
        self.of_argument[name] = []
        for suffix, number, place in found:
            own = {
                key: each[place] if isinstance(each, np.ndarray) and each.shape == shape else each
                for key, each in terms.items()
            }
            good = member(name + suffix, *place)
            self.terms[good] = {**own, "quantity": float(number)}
            self.of_argument[name].append(good)

    def _more_terms(self, supply: Mapping[str, Any], constants: Mapping[str, Any]) -> None:
        """Terms by member or pattern."""
        entries = ByPattern(constants).entries(supply, list(self.terms), "supply", Supply)
        for good, given in entries.items():
            if good not in self.terms:
                raise EconomyError(
                    f"supply.{good}: the function has no argument '{good}'",
                    remedy=nearest(good, self._signature.parameters),
                    name=f"supply.{good}",
                )
            self.terms[good].update(_as_terms(given))

    def hold(self, names: Collection[str]) -> None:
        """Take these arguments for constants."""
        for name in names:
            self._constant.add(name)
            for good in self.of_argument.pop(name):
                del self.terms[good]
        self.counts -= set(names)

    def argument_of(self, good: str) -> str:
        """The argument that a raw good is, or is an element of."""
        return next(name for name, goods in self.of_argument.items() if good in goods)

    def stand_ins(self, trace: Trace) -> tuple[inspect.BoundArguments, dict[int, str]]:
        """The arguments of a call that is traced, and the good of each of its first operations."""
        goods: dict[int, str] = {}

        def traced(good: str) -> Traced:
            made = trace.argument(self.terms[good]["quantity"])
            goods[made.place] = good
            return made

        bound = inspect.BoundArguments(self._signature, {})
        for name, value in self._values.items():
            bound.arguments[name] = (
                with_stand_ins(value, self._constants)
                if name in self._constant
                else _mapped(value, name, (), traced)
            )
        return bound, goods


def _without_endowment(argument: str, first: str) -> EconomyError:
    name = argument.lstrip("*")
    return EconomyError(
        f"the argument '{argument}' has no endowment",
        remedy=f"{first}supply={{'{name}': ...}} (on the command line, --set supply.{name}=...)",
        name=name,
    )


def _form(value: Any) -> str:
    """The shape of an argument, in words."""
    if isinstance(value, Mapping):
        return f"a dict of {', '.join(map(str, value))}"
    try:
        shape: Any = np.shape(value)
    except ValueError:  # ragged lists
        return f"a list of {len(value)}"
    return f"an array of shape {shape}" if shape else "a single number"


def _as_terms(given: Any) -> dict[str, Any]:
    """Terms of a supplier by key."""
    if isinstance(given, Supply):
        return {item.name: getattr(given, item.name) for item in dataclasses.fields(given)}
    return dict(given) if isinstance(given, Mapping) else {"quantity": given}


def _of_series(name: str, terms: dict[str, Any], default: Any) -> tuple[Any, dict[str, Any]]:
    """The first row of an argument's series, and its terms, with the column of each member.

    An array of rows has the shape of the argument after the axis of rows; of a file it is that of
    the default value, or else the argument has one member a column.
    """
    given = terms["series"]
    series = series_of(given, f"supply.{name}.series")
    if isinstance(given, np.ndarray):
        shape = given.shape[1:]
    elif default is not inspect.Parameter.empty:
        shape = np.shape(default)
    else:
        shape = (series.columns,)
    if math.prod(shape) != series.columns or terms.get("column") is not None:
        return default, terms
    columns = np.arange(series.columns).astype(object).reshape(shape)
    return series.values[0].reshape(shape)[()], {**terms, "series": series, "column": columns[()]}


def of_members(values: Mapping[str, Any], goods: Sequence[str]) -> dict[str, Any]:
    """Values by good or pattern, from those by good, pattern or family (``h``).

    The values of a family may be an array, one for each member by its indices.
    """
    known = set(goods) if values else set()
    families = families_of(goods) if values.keys() - known else {}
    found: dict[str, Any] = {}
    for key, value in values.items():
        if key in known or key not in families:
            found[key] = value
        else:
            family = families[key]
            for good, index in zip(family.goods, family.indices.tolist(), strict=True):
                found[good] = value[tuple(index)] if isinstance(value, np.ndarray) else value
    return found


def _numbers(value: Any, suffix: str = "", place: Place = ()) -> Iterator[tuple[str, Any, Place]]:
    """The numbers in an argument: of each the keys of dictionaries, the number and its place."""
    if isinstance(value, np.ndarray):
        plain = value.dtype.kind in "iuf"
        for index in np.ndindex(value.shape):
            yield suffix, value[index] if plain else value, (*place, *index)
    elif isinstance(value, list | tuple):
        for k, each in enumerate(value):
            yield from _numbers(each, suffix, (*place, k))
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _numbers(each, f"{suffix}_{key}", place)
    else:
        yield suffix, None if isinstance(value, bool) else value, place


def _mapped(value: Any, name: str, place: Place, traced: Callable[[str], Traced]) -> Any:
    """An argument with a stand-in for each number; arrays cannot be written into."""
    if isinstance(value, np.ndarray):
        array = np.empty(value.shape, object)
        for index in np.ndindex(value.shape):
            array[index] = traced(member(name, *place, *index))
        array.flags.writeable = False
        return array.view(TracedArray)
    if isinstance(value, list | tuple):
        return type(value)(_mapped(each, name, (*place, k), traced) for k, each in enumerate(value))
    if isinstance(value, dict):
        return {key: _mapped(v, f"{name}_{key}", place, traced) for key, v in value.items()}
    return traced(member(name, *place))


def _is_whole(value: Any) -> bool:
    """Whether a default value consists of whole numbers."""
    return all(isinstance(each, numbers.Integral) for _, each, _ in _numbers(value))


def check_kept(before: inspect.BoundArguments, after: inspect.BoundArguments) -> None:
    """Refuse a function that has changed what it was given; ``before`` is of another run."""
    for name, value in before.arguments.items():
        if not _alike(value, after.arguments[name]):
            raise changed(name)


def changed(name: str | None = None) -> ProgramError:
    """The function changes its arguments."""
    which = "one of its arguments" if name is None else f"its argument '{name}'"
    return ProgramError(
        f"the function changes {which}",
        remedy="let it change a copy: x = x.copy(), or x = list(x)",
        name=name,
    )


def _alike(one: Any, other: Any) -> bool:
    """Whether two runs' arguments have the same structure and the same stand-ins."""
    if isinstance(one, Traced) or isinstance(other, Traced):
        same = isinstance(one, Traced) and isinstance(other, Traced)
        return same and one.place == other.place
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_alike, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_alike(v, other[k]) for k, v in one.items())
    return True
