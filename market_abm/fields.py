"""Settings as frozen dataclasses whose fields know their type, range, unit and meaning.

A field made by :func:`number`, :func:`integer`, :func:`numbers`, :func:`choice`, :func:`switch`,
:func:`names`, :func:`words` or :func:`field` is checked whenever its dataclass is constructed, from
Python or from a file; the error names the key and the remedy. :func:`describe` lists the fields.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from market_abm.errors import SettingError, nearest, shown

Check = Callable[[Any, str], Any]
"""``check(value, where)`` returns the value to store, or raises a SettingError naming ``where``."""


class Settings:
    """Base of the settings dataclasses: checked on construction, built from a mapping by ``of``."""

    def __post_init__(self) -> None:
        for item in dataclasses.fields(self):  # type: ignore[arg-type]
            checked = item.metadata["check"](getattr(self, item.name), item.name)
            object.__setattr__(self, item.name, checked)

    @classmethod
    def of(cls, given: Any, where: str) -> Self:
        """Convert ``given`` to these settings.

        Parameters
        ----------
        given
            Settings of this class, a mapping of keys to values, or the value of the first key.
        where
            The dotted name of the table, for messages.

        Raises
        ------
        SettingError
            A key is unknown, missing, of the wrong type or out of range.
        """
        if isinstance(given, cls):
            given.check(where)
            return given
        fields = {item.name: item for item in dataclasses.fields(cls)}  # type: ignore[arg-type]
        if not isinstance(given, Mapping):
            given = {next(iter(fields)): given}
        values = cls.checked(given, where)
        for key, item in fields.items():
            if key not in values and _is_required(item):
                raise SettingError(
                    f"'{where}.{key}' is missing", remedy=f"write {key} = ...", name=where
                )
        made = cls(**values)
        made.check(where)
        return made

    @classmethod
    def checked(cls, given: Mapping[str, Any], where: str) -> dict[str, Any]:
        """The values of some keys, each checked; errors as for :meth:`of`."""
        known = cls.__dataclass_fields__  # type: ignore[attr-defined]
        values = {}
        for key, value in given.items():
            if key not in known:
                raise SettingError(
                    f"unknown key '{where}.{key}'",
                    remedy=nearest(f"{where}.{key}", [f"{where}.{field}" for field in known]),
                    name=f"{where}.{key}",
                )
            values[key] = known[key].metadata["check"](value, f"{where}.{key}")
        return values

    def with_keys(self, given: Mapping[str, Any], where: str) -> Self:
        """The same with other values of some keys; only these are checked, and how they fit.

        Keys of a table among them are set in it. Parameters and errors are those of :meth:`of`.
        """
        values = dict(given)
        for key, own in vars(self).items():
            if isinstance(own, Settings) and isinstance(given.get(key), Mapping):
                values[key] = own.with_keys(given[key], f"{where}.{key}")
        made = object.__new__(type(self))
        vars(made).update(vars(self) | self.checked(values, where))
        made.check(where)
        return made

    def check(self, where: str) -> None:
        """Refuse settings that contradict each other; ``where`` names the table, for messages."""

    @classmethod
    def vectorized(cls, several: Sequence[Self]) -> Self:
        """Combine the settings of several runs: each float becomes an array of shape (runs, 1).

        All other values must be the same in all. None among numbers becomes NaN.
        """
        result = object.__new__(cls)
        for item in dataclasses.fields(cls):  # type: ignore[arg-type]
            values = [getattr(each, item.name) for each in several]
            value: Any
            if isinstance(values[0], Settings):
                value = values[0].vectorized(values)
            elif any(isinstance(value, float) for value in values):
                value = np.array([math.nan if v is None else v for v in values])[:, None]
            else:
                (value,) = set(values)
            object.__setattr__(result, item.name, value)
        return result

    def select_runs(self, part: Callable[[Any], Any]) -> Self:
        """Vectorized settings with ``part`` of each array."""
        result = object.__new__(type(self))
        for item in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, item.name)
            if isinstance(value, np.ndarray | Settings):
                value = part(value) if isinstance(value, np.ndarray) else value.select_runs(part)
            object.__setattr__(result, item.name, value)
        return result


# --- the description of fields -------------------------------------------------------------------


class FieldDescription(NamedTuple):
    """One row of the table of keys, as text; ``default`` in TOML, empty where there is none."""

    key: str
    default: str
    range: str
    unit: str
    help: str


def describe(settings_class: type[Settings]) -> list[FieldDescription]:
    """Describe the keys of a settings class, in order: default, type and range, unit, meaning."""
    rows = []
    for item in dataclasses.fields(settings_class):  # type: ignore[arg-type]
        known = item.metadata
        if known["kind"] == "table of settings":
            inside = describe(item.default_factory)  # type: ignore[arg-type]
            rows += [row._replace(key=f"{item.name}.{row.key}") for row in inside]
            continue
        default = item.default
        if item.default_factory is not dataclasses.MISSING:
            default = item.default_factory()
        shown_default = "required" if _is_required(item) else _toml(default)
        kind = f"{known.get('kind', '')} {known.get('range', '')}".strip()
        others = known.get("unit", ""), known.get("help", "")
        rows.append(FieldDescription(item.name, shown_default, kind, *others))
    return rows


def field(
    check: Check,
    default: Any = dataclasses.MISSING,
    *,
    default_factory: Any = dataclasses.MISSING,
    kind: str,
    range: str = "",
    unit: str = "",
    help: str = "",
) -> Any:
    """A dataclass field with a check of its own.

    Parameters
    ----------
    check
        Returns the value to store, or raises a SettingError.
    default, default_factory
        As for ``dataclasses.field``; without either the key is required.
    kind, range
        The type and the valid values, in words, such as "number" and "> 0".
    unit
        Such as "money per unit"; empty for a pure number.
    help
        One line that says what the setting does.
    """
    metadata = {"check": check, "kind": kind, "range": range, "unit": unit, "help": help}
    if default_factory is not dataclasses.MISSING:
        return dataclasses.field(default_factory=default_factory, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def _is_required(item: dataclasses.Field[Any]) -> bool:
    return item.default is item.default_factory is dataclasses.MISSING


def _toml(value: Any) -> str:
    """``value`` as TOML writes it; empty for None."""
    if value is None:
        return ""
    if isinstance(value, bool | str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, Mapping):
        inside = ", ".join(f"{key} = {_toml(each)}" for key, each in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, Sequence):
        return f"[{', '.join(map(_toml, value))}]"
    return f"{value:.12g}"


def _and(parts: Iterable[str]) -> str:
    *first, last = [part for part in parts if part] or [""]
    return f"{', '.join(first)} and {last}" if first else last


def _bounds(low: float, above: float, high: float) -> str:
    """The range in signs, such as "> 0 and ≤ 1"."""
    limits = ((">", above, -math.inf), ("≥", low, -math.inf), ("≤", high, math.inf))
    return _and(f"{sign} {_shown(limit)}" for sign, limit, none in limits if limit != none)


def _shown(limit: float) -> str:
    return f"{limit:,}" if isinstance(limit, int) else f"{limit:,.12g}"


def _wrong(value: Any, where: str, wanted: str) -> SettingError:
    return SettingError(f"{where} is {shown(value)}", remedy=f"must be {wanted}", name=where)


# --- numbers -------------------------------------------------------------------------------------

_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?inf", re.ASCII | re.IGNORECASE)


def decimal(text: str) -> float | None:
    """The number that a text is: in digits 0 to 9 with a decimal point, or ``inf``; else None.

    Python reads more, such as ``1_0`` and the digits of any script.
    """
    return float(text) if _DECIMAL.fullmatch(text.strip()) else None


def check_number(
    value: Any,
    where: str,
    *,
    low: float = -math.inf,
    above: float = -math.inf,
    high: float = math.inf,
    infinite: bool = False,
) -> float:
    """``value`` as a float within its range; ``infinite`` allows inf.

    Raises
    ------
    SettingError
        It is not a number, or is out of range.
    """
    if infinite and value == "inf":  # JSON has no number for it
        return math.inf
    try:
        result = float(value) if not isinstance(value, str | bool) else None
    except (TypeError, ValueError, OverflowError):
        result = None
    if result is None:
        raise _wrong(value, where, "a number")
    real = math.isfinite(result) or (infinite and result == math.inf)
    if not real or result < low or result <= above or result > high:
        bounded = high < math.inf and max(low, above) > -math.inf
        finite = "" if infinite or bounded else "finite"
        wanted = _and([finite, _bounds(low, above, high)])
        raise _wrong(value, where, wanted or "a number")
    return result


def number(
    default: Any = dataclasses.MISSING,
    *,
    low: float = -math.inf,
    above: float = -math.inf,
    high: float = math.inf,
    infinite: bool = False,
    unit: str = "",
    help: str = "",
) -> Any:
    """A field that holds a finite number, or None if that is the default.

    Parameters
    ----------
    default
        Without one the key is required.
    low, above, high
        Bounds: ``low <= x <= high`` and ``x > above``.
    infinite
        Whether infinity is valid as well.
    unit, help
        As for :func:`field`.
    """

    def check(value: Any, where: str) -> float | None:
        if value is None and default is None:
            return None
        return check_number(value, where, low=low, above=above, high=high, infinite=infinite)

    bounds = _bounds(low, above, high)
    return field(check, default, kind="number", range=bounds, unit=unit, help=help)


def numbers(
    default: Any = dataclasses.MISSING,
    *,
    above: float = -math.inf,
    scalar: bool = False,
    unit: str = "",
    help: str = "",
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

    kind = "number or list of numbers" if scalar else "list of numbers"
    bounds = _bounds(-math.inf, above, math.inf)
    return field(check, default, kind=kind, range=bounds, unit=unit, help=help)


def check_whole(value: Any, where: str, *, low: float = -math.inf, high: float = math.inf) -> int:
    """``value`` as an int within its range.

    Raises
    ------
    SettingError
        It is not an integer, or is out of range.
    """
    try:
        whole = None if isinstance(value, bool | str) else int(value)
    except (TypeError, ValueError, OverflowError):
        whole = None
    if whole is None or whole != value or not low <= whole <= high:
        raise _wrong(value, where, f"an integer {_bounds(low, -math.inf, high)}".strip())
    return whole


def integer(
    default: Any = dataclasses.MISSING,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    unit: str = "",
    help: str = "",
) -> Any:
    """A field that holds an integer, ``low <= n <= high``."""
    return field(
        lambda value, where: check_whole(value, where, low=low, high=high),
        default,
        kind="integer",
        range=_bounds(low, -math.inf, high),
        unit=unit,
        help=help,
    )


# --- words ---------------------------------------------------------------------------------------


def check_choice(value: Any, where: str, options: Iterable[str]) -> Any:
    """``value`` if it is one of ``options``; else a SettingError that names the nearest."""
    options = tuple(options)
    if value not in options:
        name = value if isinstance(value, str) else shown(value)
        raise SettingError(f"{where} is {shown(value)}", remedy=nearest(name, options), name=where)
    return value


def choice(default: Any, options: Iterable[str], *, unit: str = "", help: str = "") -> Any:
    """A field that holds one of ``options``, or None if that is the default."""

    def check(value: Any, where: str) -> Any:
        return value if value is default is None else check_choice(value, where, options)

    return field(
        check, default, kind="one of", range=", ".join(map(_toml, options)), unit=unit, help=help
    )


def switch(default: bool, *, help: str = "") -> Any:
    """A field that holds true or false."""

    def check(value: Any, where: str) -> bool:
        if not isinstance(value, bool):
            raise _wrong(value, where, "true or false")
        return value

    return field(check, default, kind="true or false", help=help)


def names(default: Any = dataclasses.MISSING, *, help: str = "") -> Any:
    """A field that holds a list of names, at least one; duplicates are dropped."""

    def check(value: Any, where: str) -> Any:
        if value is None and default is None:
            return None
        listed = _listed(value, where)
        if not listed:
            raise _wrong(value, where, "a list of at least one name")
        return listed

    return field(check, default, kind="list of names", help=help)


def several(options: Iterable[str], *, help: str = "") -> Any:
    """A field that holds some of ``options``, in their order; by default None, which means all."""
    options = tuple(options)

    def check(value: Any, where: str) -> Any:
        if value is None:
            return None
        listed = [check_choice(each, where, options) for each in _listed(value, where)]
        return tuple(option for option in options if option in listed)

    return field(check, None, kind="list of", range=", ".join(map(_toml, options)), help=help)


def _listed(value: Any, where: str) -> tuple[str, ...]:
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list | tuple) or not all(isinstance(v, str) for v in listed):
        raise _wrong(value, where, "a list of names")
    return tuple(dict.fromkeys(listed))


def words(default: Any = dataclasses.MISSING, *, help: str = "") -> Any:
    """A field that holds text, or None if that is the default."""

    def check(value: Any, where: str) -> str | None:
        if value is None and default is None:
            return None
        if not isinstance(value, str):
            raise _wrong(value, where, "text in quotes")
        return value

    return field(check, default, kind="text", help=help)
