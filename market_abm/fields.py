"""Settings as frozen dataclasses whose fields know their own range.

A field made by :func:`number`, :func:`integer`, :func:`numbers`, :func:`choice`, :func:`switch`,
:func:`names` or :func:`words` is checked whenever its dataclass is made, from Python or from a
file, and the error names the key and the remedy.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np

from market_abm.errors import SettingError, nearest


class Settings:
    """Base of the settings dataclasses: checked on construction, built from a mapping by ``of``."""

    def __post_init__(self) -> None:
        for item in dataclasses.fields(self):  # type: ignore[arg-type]
            checked = item.metadata["check"](getattr(self, item.name), item.name)
            object.__setattr__(self, item.name, checked)

    @classmethod
    def of(cls, given: Any, where: str) -> Self:
        """``given`` as these settings: already such, a mapping of keys, or the first key's value.

        ``where`` is the dotted name of the table, for messages.

        Raises:
            SettingError: a key is unknown, missing, of the wrong kind or out of range.
        """
        if isinstance(given, cls):
            given.check(where)
            return given
        fields = {item.name: item for item in dataclasses.fields(cls)}  # type: ignore[arg-type]
        if not isinstance(given, Mapping):
            given = {next(iter(fields)): given}
        values = {}
        for key, value in given.items():
            if key not in fields:
                raise SettingError(
                    f"unknown key '{where}.{key}'",
                    remedy=nearest(f"{where}.{key}", [f"{where}.{field}" for field in fields]),
                    name=f"{where}.{key}",
                )
            values[key] = fields[key].metadata["check"](value, f"{where}.{key}")
        for key, item in fields.items():
            required = item.default is item.default_factory is dataclasses.MISSING
            if key not in values and required:
                raise SettingError(
                    f"'{where}.{key}' is missing", remedy=f"write {key} = ...", name=where
                )
        made = cls(**values)
        made.check(where)
        return made

    def check(self, where: str) -> None:
        """Refuse settings that contradict each other; ``where`` names the table, for messages."""

    @classmethod
    def vectorized(cls, several: Sequence[Self]) -> Self:
        """Settings of the same kind side by side: each number an array of shape (runs, 1).

        What is no number must be the same in all. A number that is None in some is NaN there.
        """
        result = object.__new__(cls)
        for item in dataclasses.fields(cls):  # type: ignore[arg-type]
            values = [getattr(each, item.name) for each in several]
            if any(isinstance(value, float) for value in values):
                value = np.array([math.nan if v is None else v for v in values])[:, None]
            else:
                (value,) = set(values)
            object.__setattr__(result, item.name, value)
        return result

    def select_runs(self, part: Callable[[Any], Any]) -> Self:
        """Stacked settings with ``part`` of each array."""
        result = object.__new__(type(self))
        for item in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, item.name)
            kept = part(value) if isinstance(value, np.ndarray) else value
            object.__setattr__(result, item.name, kept)
        return result


Check = Callable[[Any, str], Any]


def _field(default: Any, check: Check) -> Any:
    return dataclasses.field(default=default, metadata={"check": check})


def _wrong(value: Any, where: str, wanted: str) -> SettingError:
    shown = repr(value) if len(repr(value)) <= 60 else repr(value)[:57] + "..."
    return SettingError(f"{where} is {shown}", remedy=f"it must be {wanted}", name=where)


def _range_text(kind: str, low: float, above: float, high: float) -> str:
    bounds = []
    if above > -math.inf:
        bounds.append(f"above {above:g}")
    if low > -math.inf:
        bounds.append(f"at least {low:g}")
    if high < math.inf:
        bounds.append(f"at most {high:g}")
    return " ".join([kind, " and ".join(bounds)]).strip()


def check_number(
    value: Any,
    where: str,
    *,
    low: float = -math.inf,
    above: float = -math.inf,
    high: float = math.inf,
    infinite: bool = False,
) -> float:
    """``value`` as a float within its range, or a SettingError; ``infinite`` allows inf."""
    wanted = _range_text("a number" if infinite else "a finite number", low, above, high)
    if infinite and value == "inf":  # as JSON has to write it
        return math.inf
    if isinstance(value, bool):
        raise _wrong(value, where, wanted)
    try:
        result = float(value) if not isinstance(value, str) else math.nan
    except (TypeError, ValueError, OverflowError):
        raise _wrong(value, where, wanted) from None
    real = math.isfinite(result) or (infinite and result == math.inf)
    if not real or result < low or result <= above or result > high:
        raise _wrong(value, where, wanted)
    return result


def number(
    default: Any = dataclasses.MISSING,
    *,
    low: float = -math.inf,
    above: float = -math.inf,
    high: float = math.inf,
    infinite: bool = False,
) -> Any:
    """A field that holds a finite number, ``low <= x <= high`` and ``x > above``.

    ``infinite`` allows infinity as well, and a default of None leaving it out.
    """

    def check(value: Any, where: str) -> float | None:
        if value is None and default is None:
            return None
        return check_number(value, where, low=low, above=above, high=high, infinite=infinite)

    return _field(default, check)


def numbers(
    default: Any = dataclasses.MISSING, *, above: float = -math.inf, scalar: bool = False
) -> Any:
    """A field that holds a list of finite numbers above ``above`` (or one, if ``scalar``)."""

    def check(value: Any, where: str) -> Any:
        if value is None and default is None:
            return None
        if isinstance(value, str | bytes | Mapping) or not isinstance(value, Sequence):
            if hasattr(value, "tolist"):
                return check(value.tolist(), where)
            if scalar:
                return check_number(value, where, above=above)
            raise _wrong(value, where, "a list of numbers")
        return tuple(
            check_number(each, f"{where}[{k}]", above=above) for k, each in enumerate(value)
        )

    return _field(default, check)


def integer(
    default: Any = dataclasses.MISSING, *, low: float = -math.inf, high: float = math.inf
) -> Any:
    """A field that holds a whole number, ``low <= n <= high``."""
    return _field(default, lambda value, where: check_whole(value, where, low=low, high=high))


def check_whole(value: Any, where: str, *, low: float = -math.inf, high: float = math.inf) -> int:
    """``value`` as an int within its range, or a SettingError."""
    wanted = _range_text("a whole number", low, -math.inf, high)
    if isinstance(value, bool | str):
        raise _wrong(value, where, wanted)
    try:
        whole = int(value)
    except (TypeError, ValueError, OverflowError):
        raise _wrong(value, where, wanted) from None
    if whole != value or not low <= whole <= high:
        raise _wrong(value, where, wanted)
    return whole


def check_choice(value: Any, where: str, options: Iterable[str]) -> Any:
    """``value`` if it is one of ``options``, or a SettingError."""
    options = tuple(options)
    if value not in options:
        raise SettingError(f"{where} is {value!r}", remedy=nearest(str(value), options), name=where)
    return value


def choice(default: Any, options: Iterable[str]) -> Any:
    """A field that holds one of ``options``, or None if that is the default."""
    return _field(default, lambda v, w: v if v is default is None else check_choice(v, w, options))


def switch(default: bool) -> Any:
    """A field that holds true or false."""

    def check(value: Any, where: str) -> bool:
        if not isinstance(value, bool):
            raise _wrong(value, where, "true or false")
        return value

    return _field(default, check)


def names(default: Any = dataclasses.MISSING) -> Any:
    """A field that holds a list of names, at least one."""

    def check(value: Any, where: str) -> Any:
        if value is None and default is None:
            return None
        listed = [value] if isinstance(value, str) else value
        if not isinstance(listed, list | tuple) or not all(isinstance(v, str) for v in listed):
            raise _wrong(value, where, "a list of names")
        if not listed:
            raise _wrong(value, where, "at least one name")
        return tuple(dict.fromkeys(listed))

    return _field(default, check)


def words(default: Any = dataclasses.MISSING) -> Any:
    """A field that holds text, or None if that is the default."""

    def check(value: Any, where: str) -> str | None:
        if value is None and default is None:
            return None
        if not isinstance(value, str):
            raise _wrong(value, where, "text in quotes")
        return value

    return _field(default, check)
