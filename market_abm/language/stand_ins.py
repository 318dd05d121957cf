"""A copy of a function in which ``math`` and NumPy's makers of arrays take traced values.

Only what the function's own names lead to is replaced, in the copy: functions that it calls by name
are copied likewise, and nothing outside is touched.
"""

from __future__ import annotations

import builtins
import math
import operator
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from market_abm.language.expression import FUNCTIONS
from market_abm.language.traced_arrays import MAKERS
from market_abm.language.tracing import Traced, extreme, unsupported


def _sum(terms: Any) -> Any:
    total: Any = 0.0
    for term in terms:
        total = total + term
    return total


def _product(factors: Any, *, start: Any = 1.0) -> Any:
    for factor in factors:
        start = factor if isinstance(start, float) and start == 1.0 else start * factor
    return start


def _norm(*numbers: Any) -> Any:
    return _sum(x**2.0 for x in numbers) ** 0.5


MATH: dict[str, Callable[..., Any]] = {
    **{name: operator.methodcaller(name) for name in FUNCTIONS if hasattr(math, name)},
    "log": lambda x, base=None: _log(x) if base is None else _log(x) / _log(base),
    "pow": operator.pow,
    "fabs": abs,
    "hypot": _norm,
    "fsum": _sum,
    "prod": _product,
    "isnan": lambda x: math.isnan(x.value),
    "isinf": lambda x: math.isinf(x.value),
    "isfinite": lambda x: math.isfinite(x.value),
}
"""What the functions of ``math`` are on traced values."""


def _log(x: Any) -> Any:
    return x.trace.note("log", x) if isinstance(x, Traced) else math.log(x)


class _Module:
    """A module some of whose functions are replaced."""

    def __init__(self, module: types.ModuleType, replaced: dict[str, Any]) -> None:
        self.__dict__.update(replaced)
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


def _of_math(name: str) -> Callable[..., Any]:
    """A function of ``math`` that takes traced values, too."""
    plain, traced = getattr(math, name), MATH.get(name)

    def apply(*args: Any, **options: Any) -> Any:
        if not any(isinstance(each, Traced) for each in args) and name not in ("fsum", "prod"):
            return plain(*args, **options)
        if traced is None:
            raise unsupported(f"math.{name}")
        return traced(*args, **options)

    apply.__name__ = name
    return apply


_MATH = {
    name: _of_math(name) for name in dir(math) if callable(getattr(math, name)) and name[0] != "_"
}


def _of_builtin(name: str) -> Callable[..., Any]:
    """The least or the largest, of traced values as one operation."""
    plain = getattr(builtins, name)

    def apply(*args: Any, **options: Any) -> Any:
        values = args if len(args) > 1 else list(args[0]) if args else ()
        if options or not any(isinstance(each, Traced) for each in values):
            return plain(values, **options) if args else plain()
        return extreme(name, values)

    apply.__name__ = name
    return apply


_BUILTINS = {name: _of_builtin(name) for name in ("min", "max")}

_REPLACED: dict[int, Any] = {
    id(math): _Module(math, _MATH),
    id(np): _Module(np, MAKERS),
    **{id(getattr(math, name)): function for name, function in _MATH.items()},
    **{id(getattr(np, name)): function for name, function in MAKERS.items()},
}
"""What stands for a module or a function, by its ``id``."""


def with_stand_ins(value: Any, constants: Mapping[str, Any] | None = None) -> Any:
    """A copy of a Python function, and of those it calls by name, for traced values.

    Parameters
    ----------
    value
        A function; of another value, what stands for it.
    constants
        Values of names outside the function that it shall read instead.
    """
    return _Copies(constants or {}).of(value)


def names_read(functions: Iterable[Any]) -> set[str]:
    """The names outside that functions look up, and those that they call by name."""
    copies = _Copies({})
    for function in functions:
        copies.of(function)
    return copies.names


class _Copies:
    """Functions that have been copied, each once, and the names that they look up."""

    def __init__(self, constants: Mapping[str, Any]) -> None:
        self.names: set[str] = set()
        self._constants = constants
        self._functions: dict[int, Any] = {}
        self._globals: dict[int, dict[str, Any]] = {}

    def of(self, value: Any) -> Any:
        """The copy of a function, the stand-in of a module, or the value itself."""
        if isinstance(value, types.MethodType):
            return types.MethodType(self.of(value.__func__), value.__self__)
        if not isinstance(value, types.FunctionType) or _is_numpys(value):
            return _REPLACED.get(id(value), value)
        if id(value) not in self._functions:
            self._copy(value)
        return self._functions[id(value)]

    def _copy(self, function: types.FunctionType) -> None:
        around = self._globals.setdefault(id(function.__globals__), {**function.__globals__})
        cells = tuple(types.CellType() for _ in function.__closure__ or ())
        copy = types.FunctionType(
            function.__code__, around, function.__name__, function.__defaults__, cells
        )
        copy.__kwdefaults__ = function.__kwdefaults__
        copy.__qualname__ = function.__qualname__
        self._functions[id(function)] = copy  # before its own names, which may lead to itself
        self.names.update(_names(function.__code__), function.__code__.co_freevars)
        for name in _names(function.__code__):
            if name in function.__globals__:
                value = self._constants.get(name, function.__globals__[name])
                around[name] = self.of(value)
            elif name in _BUILTINS:
                around[name] = _BUILTINS[name]
        names = function.__code__.co_freevars
        for name, cell, own in zip(names, cells, function.__closure__ or (), strict=True):
            with suppress(ValueError):  # a variable without a value yet
                value = self._constants.get(name, own.cell_contents)
                cell.cell_contents = self.of(value)


def _names(code: types.CodeType) -> Iterator[str]:
    """The names that a function and those inside it look up."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


def _is_numpys(function: types.FunctionType) -> bool:
    return (function.__module__ or "").partition(".")[0] in ("numpy", "market_abm")
