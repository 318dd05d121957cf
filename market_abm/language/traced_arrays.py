"""Arrays of traced values: NumPy's functions note their operations element by element.

They are arrays of objects, on which most of NumPy computes with the elements' own operators. What
it cannot compute so is refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from market_abm.language.expression import FUNCTIONS
from market_abm.language.traced_branches import (
    CHOSEN,
    answers_of,
    clipped,
    compared,
    plain_reduction,
    reduced,
)
from market_abm.language.tracing import (
    PlainNumberError,
    Traced,
    complex_error,
    extreme,
    unsupported,
)


class TracedArray(np.ndarray):
    """An array whose elements are traced values and plain numbers."""

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        """Compute element by element."""
        return _apply_ufunc(ufunc, method, inputs, options)

    def __array_function__(
        self, function: Any, types: Any, args: Iterable[Any], options: Mapping[str, Any]
    ) -> Any:
        """Compute with NumPy's function for arrays of objects."""
        return _apply_function(function, args, options)

    def astype(self, dtype: Any, *args: Any, **options: Any) -> Any:
        """A copy; of traced values they are no floats, but stand for some."""
        if np.issubdtype(dtype, np.floating):
            return self.copy()
        return np.asarray(self).astype(dtype, *args, **options)


def holds_traced(values: Any) -> bool:
    """Whether a value is traced, or one in an array or in lists."""
    if isinstance(values, np.ndarray):
        values = values.ravel().tolist() if values.dtype == object else ()
    if isinstance(values, list | tuple):
        return any(map(holds_traced, values))
    return isinstance(values, Traced)


# NumPy asks the values themselves where there is no array.
Traced.__array_ufunc__ = (  # type: ignore[attr-defined]
    lambda self, ufunc, method, *inputs, **options: _apply_ufunc(ufunc, method, inputs, options)
)
Traced.__array_function__ = (  # type: ignore[attr-defined]
    lambda self, function, types, args, options: _apply_function(function, args, options)
)


# --- element by element ---------------------------------------------------------------------------


def _elementwise(name: str, ufunc: Callable[..., Any]) -> np.ufunc:
    def apply(x: Any) -> Any:
        return x.trace.note(name, x) if isinstance(x, Traced) else float(ufunc(x))

    return np.frompyfunc(apply, 1, 1)


def _question(ufunc: np.ufunc) -> np.ufunc:
    return np.frompyfunc(lambda x: ufunc(x.value if isinstance(x, Traced) else x), 1, 1)


_ELEMENTWISE: dict[Any, np.ufunc] = {
    operation.compute: _elementwise(name, operation.compute)
    for name, operation in FUNCTIONS.items()
}

_OF_SCALARS: dict[Any, str] = {
    np.add: "+",
    np.subtract: "-",
    np.multiply: "*",
    np.divide: "/",
    np.power: "**",
    **{operation.compute: name for name, operation in FUNCTIONS.items()},
}
"""The operation that a function is on numbers."""

_OF_SCALARS |= {np.minimum: "min", np.maximum: "max", np.absolute: "abs", np.fabs: "abs"}
_ELEMENTWISE |= {
    np.minimum: np.frompyfunc(lambda a, b: extreme("min", (a, b)), 2, 1),
    np.maximum: np.frompyfunc(lambda a, b: extreme("max", (a, b)), 2, 1),
    np.absolute: np.frompyfunc(abs, 1, 1),
    np.fabs: np.frompyfunc(abs, 1, 1),
}

_COMPARISONS = (np.less, np.less_equal, np.greater, np.greater_equal)
"""Comparisons that ``np.where`` takes."""

_QUESTIONS = {ufunc: _question(ufunc) for ufunc in (np.isnan, np.isinf, np.isfinite)}


def _apply_ufunc(ufunc: np.ufunc, method: str, inputs: Any, options: Mapping[str, Any]) -> Any:
    plain = ufunc in _OF_SCALARS and method == "__call__" and not options
    if plain and not any(isinstance(each, np.ndarray | list | tuple) for each in inputs):
        trace = next(each.trace for each in inputs if isinstance(each, Traced))
        return trace.note(_OF_SCALARS[ufunc], *inputs)
    if ufunc in _QUESTIONS:
        return np.asarray(_QUESTIONS[ufunc](*map(_plain, inputs)), bool)[()]
    if ufunc in _COMPARISONS and method == "__call__" and not options:
        return compared(ufunc(*map(_plain, inputs), dtype=object))
    if ufunc in (np.minimum, np.maximum) and method == "reduce" and plain_reduction(options):
        axis, keepdims = options.get("axis", 0), bool(options.get("keepdims"))
        return _wrapped(reduced(_OF_SCALARS[ufunc], _plain(inputs[0]), axis, keepdims=keepdims))
    if ufunc.__name__ == "clip" and method == "__call__" and not options.get("out"):
        return clipped(*inputs)
    compute = getattr(_ELEMENTWISE.get(ufunc, ufunc), method)
    return _computed(f"np.{ufunc.__name__}", compute, inputs, options)


def _apply_function(function: Any, args: Iterable[Any], options: Mapping[str, Any]) -> Any:
    module = (function.__module__ or "").removeprefix("numpy").strip(".")
    name = ".".join(filter(None, ["np", module, function.__name__]))
    args = tuple(args)
    if function is np.where and len(args) == 3 and answers_of(args[0]) is not None:
        return _wrapped(CHOSEN(answers_of(args[0]), *map(_plain, args[1:])))
    if function in (np.max, np.min) and len(args) <= 2 and plain_reduction(options):
        return _wrapped(reduced(function.__name__[-3:], *map(_plain, args), **options))
    if function is np.clip and len(args) == 3 and not options:
        return clipped(*args)
    return _computed(name, function, tuple(args), options)


def _plain(value: Any, alone: type = object) -> Any:
    """A value as arrays of NumPy's own, so that its own code computes with their elements."""
    if isinstance(value, TracedArray):
        return np.asarray(value).astype(alone, copy=False)
    if isinstance(value, Traced):
        array = np.empty((), object)
        array[()] = value
        return array
    if type(value) in (list, tuple):
        return type(value)(_plain(each, alone) for each in value)
    return value


_OF_OBJECTS = "ufunc|loop|dtype|Traced"
"""What NumPy's messages speak of where a function is none of objects."""


def _computed(name: str, compute: Any, args: Any, options: Mapping[str, Any]) -> Any:
    """What ``compute`` makes of arrays of objects; refused by ``name`` where it cannot."""

    def of(alone: type) -> Any:
        given = [_plain(each, alone) for each in args]
        return compute(*given, **{key: _plain(each, alone) for key, each in options.items()})

    try:
        return _wrapped(of(object))
    except (TypeError, AttributeError, PlainNumberError) as error:
        everything = [*args, *options.values()]
        if any(map(np.iscomplexobj, everything)):
            raise complex_error() from None
        if not any(map(holds_traced, everything)):
            return of(float)
        known = isinstance(error, PlainNumberError) or re.search(_OF_OBJECTS, str(error))
        raise unsupported(name, "" if known else f" ({error})") from None


def _wrapped(result: Any) -> Any:
    if isinstance(result, np.ndarray) and result.dtype == object:
        if result.ndim == 0:
            return result[()]
        array = result.view(TracedArray)
        _remember(array)
        return array
    if type(result) in (list, tuple):
        return type(result)(_wrapped(each) for each in result)
    return result


def _remember(array: TracedArray) -> None:
    """Keep an array of new values, for the places of its elements."""
    for element in array.flat:
        if isinstance(element, Traced):
            element.trace.remember(array)
            return


# --- the functions of NumPy that make arrays ------------------------------------------------------


def _made(make: Callable[..., Any]) -> Callable[..., Any]:
    """A function that makes arrays: traced values can be put into those of floats."""

    def made(*args: Any, **options: Any) -> Any:
        given = list(args)
        for k, each in enumerate(given[1:], 1):
            if each is float or each is np.float64:
                given[k] = object
        if options.get("dtype") in (float, np.float64, "float", "float64"):
            options["dtype"] = object
        array = make(*given, **options)
        if isinstance(array, np.ndarray) and array.dtype in (np.float64, object):
            return array.astype(object).view(TracedArray)
        return array

    made.__name__ = make.__name__
    return made


MAKERS: dict[str, Callable[..., Any]] = {
    name: _made(getattr(np, name))
    for name in (
        "array",
        "asarray",
        "asanyarray",
        "ascontiguousarray",
        "copy",
        "empty",
        "empty_like",
        "eye",
        "full",
        "full_like",
        "identity",
        "ones",
        "ones_like",
        "zeros",
        "zeros_like",
    )
}
"""Functions by name that make arrays to be written into."""
