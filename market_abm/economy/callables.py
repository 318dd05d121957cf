"""What may be traced, and the values that are given with it: which names it reads."""

from __future__ import annotations

import functools
import inspect
import numbers
import re
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from market_abm.errors import EconomyError, MarketError, nearest, shown
from market_abm.language.stand_ins import names_read

FUNCTIONS = (types.FunctionType, types.MethodType)
"""What may have code in Python."""


def unwrapped(
    function: Any, parameters: Mapping[str, Any]
) -> tuple[Callable[..., Any], dict[str, Any]]:
    """The Python function inside of partial functions and caches, and all values of constants.

    Raises
    ------
    MarketError
        It is no function that is written in Python.
    """
    given = dict(parameters)
    while True:
        if isinstance(function, functools.partial):
            given = {**_bound(function), **given}
            function = function.func
        elif isinstance(function, functools._lru_cache_wrapper):
            function = function.__wrapped__
        else:
            break
    code = function
    if not isinstance(function, FUNCTIONS):
        code = getattr(type(function), "__call__", None)  # noqa: B004
    name = getattr(function, "__name__", shown(function))
    what = "a class" if isinstance(function, type) else "no function that is written in Python"
    if isinstance(function, type) or not isinstance(code, FUNCTIONS):
        raise MarketError(
            f"{name} is {what}",
            remedy="define a function with 'def' in a file or a notebook cell, which may call it",
        )
    if inspect.iscoroutinefunction(code) or inspect.isasyncgenfunction(code):
        raise MarketError(f"{name} is an 'async' function", remedy="define it with 'def' alone")
    return function, given


def _bound(function: functools.partial[Any]) -> dict[str, Any]:
    """The arguments that a partial function has already."""
    try:
        signature = inspect.signature(function.func)
    except (TypeError, ValueError):  # of no Python function, which is told of next
        return {}
    try:
        return signature.bind_partial(*function.args, **function.keywords).arguments
    except TypeError as error:
        raise MarketError(
            f"the arguments of the partial function do not fit ({error})",
            remedy=f"its function has {', '.join(signature.parameters) or 'none'}",
        ) from None


def check_parameters(
    function: Callable[..., Any],
    parameters: Mapping[str, Any],
    supply: Mapping[str, Any],
    others: Iterable[Any],
) -> None:
    """Refuse values of names that nothing reads, and those that are no finite numbers.

    ``supply`` and ``others`` may have formulas that read parameters, too.
    """
    arguments = inspect.signature(function).parameters
    read = names_read([function, *parameters.values(), *(p.default for p in arguments.values())])
    read |= {name for text in _texts([supply, *others]) for name in re.findall(r"\w+", text)}
    for name, value in parameters.items():
        if name not in arguments and name not in read:
            around = getattr(getattr(function, "__func__", function), "__globals__", {})
            numbers_read = [k for k in read if isinstance(around.get(k), numbers.Real)]
            raise EconomyError(
                f"the function reads no '{name}'",
                remedy=nearest(name, [*arguments, *numbers_read]),
                name=name,
            )
        if name in arguments and name in supply:
            raise EconomyError(
                f"'{name}' is in supply, and is a constant, too", remedy="give one", name=name
            )
        if name in arguments and _no_number(value, arguments[name].default):
            raise EconomyError(f"parameters.{name} must be a number, not {shown(value)}", name=name)
        if not _finite(value):
            raise EconomyError(f"parameters.{name} must be a finite number", name=name)


def _no_number(value: Any, default: Any) -> bool:
    """Whether a text is given for an argument that is a number by default, or numbers."""
    known = isinstance(default, numbers.Real | np.ndarray) and not isinstance(default, bool)
    return known and isinstance(value, str)


def _finite(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_finite, value))
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return bool(np.all(np.isfinite(value)))
    return not isinstance(value, float | np.floating) or bool(np.isfinite(value))


def _texts(value: Any) -> Iterator[str]:
    """The texts in settings."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from _texts([*value.keys(), *value.values()])
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)
    elif hasattr(value, "__dataclass_fields__"):
        yield from _texts([getattr(value, key) for key in value.__dataclass_fields__])
