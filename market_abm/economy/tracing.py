"""A function is traced: run on stand-ins for its arguments, twice, and its lines are read off."""

from __future__ import annotations

import functools
import itertools
import numbers
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from market_abm.economy.arguments import Arguments, changed, check_kept
from market_abm.economy.traced import TracedLines, lines_of
from market_abm.errors import MarketError, ProgramError, display_path, shown
from market_abm.language.stand_ins import with_stand_ins
from market_abm.language.tracing import (
    ARGUMENT,
    LIBRARIES,
    CountError,
    Operand,
    Trace,
    Traced,
    complex_error,
)
from market_abm.language.variables import Binding, watched


def traced_lines(
    function: Callable[..., Any], supply: Mapping[str, Any], constants: Mapping[str, Any]
) -> tuple[TracedLines, dict[str, dict[str, Any]]]:
    """The lines of a function, and the terms of the raw goods that they read.

    Parameters
    ----------
    function
        Any function of numbers, and of arrays and lists of numbers.
    supply, constants
        As for :class:`~market_abm.economy.arguments.Arguments`.

    Raises
    ------
    ProgramError
        It is not a function of its arguments, or what it does cannot be traced; names the line.
    EconomyError
        An argument has no endowment.
    """
    arguments = Arguments(function, supply, constants)
    copy = with_stand_ins(function, constants)
    while True:
        run = _Run(function, copy, arguments)
        try:
            run.watch()
        except CountError as error:
            arguments.hold(_counting(run, arguments, error))
            continue
        except ProgramError as error:
            cause = error.__cause__
            if arguments.reshaped and isinstance(cause, LookupError | TypeError | ValueError):
                name, shapes = next(iter(arguments.reshaped.items()))
                error.remedy = f"supply.{name} {shapes}"
            if not arguments.counts or not isinstance(cause, IndexError):
                raise
            arguments.hold(set(arguments.counts))  # arrays of indices
            continue
        lines = lines_of(run.trace, run.bindings, run.returned(), run.goods)
        read = {good for line in lines.industries for good in line.technology.inputs}
        idle = {name for name in arguments.counts if read.isdisjoint(arguments.of_argument[name])}
        if not idle:
            break
        arguments.hold(idle)
    again = _Run(function, copy, arguments)
    again.call()
    _check_same(run, again)
    check_kept(again.fresh, run.bound)
    return lines, {good: terms for good, terms in arguments.terms.items() if good in read}


class _Run:
    """A run of a function on stand-ins."""

    def __init__(
        self, function: Callable[..., Any], copy: Callable[..., Any], arguments: Arguments
    ) -> None:
        self.function, self.trace, self.bindings = function, Trace(), list[Binding]()
        name = getattr(function, "__name__", "")
        self.name = name if name.isidentifier() else "output"
        self.bound, self.goods = arguments.stand_ins(self.trace)
        self.fresh, _ = arguments.stand_ins(Trace())
        self._copy = copy
        self._returned: Any = None

    def watch(self) -> None:
        """Run it, and note the bindings of its variables."""
        code = getattr(getattr(self.function, "__func__", self.function), "__code__", None)
        run = functools.partial(self._copy, *self.bound.args, **self.bound.kwargs)
        with self._guarded():
            self._returned, self.bindings = watched(run, code, self.name, self.trace)

    def call(self) -> None:
        """Run it."""
        with self._guarded():
            self._returned = self._copy(*self.bound.args, **self.bound.kwargs)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Tell an error with the line of the function that it comes from."""
        try:
            with np.errstate(all="ignore"):
                yield
        except MarketError as error:
            raise _located(error, error, self.name) from None
        except RecursionError as error:
            told = ProgramError(
                "the function calls itself too deeply",
                remedy="write a loop, or raise sys.setrecursionlimit",
            )
            raise _located(told, error, self.name) from None
        except SystemExit as error:
            told = ProgramError(
                "the function ends Python by sys.exit", remedy="let it return, or raise an error"
            )
            raise _located(told, error, self.name) from None
        except Exception as error:
            told = ProgramError(f"{type(error).__name__}: {error}")
            if isinstance(error, ValueError) and "read-only" in str(error):
                told = changed()
            if isinstance(error, IndexError):
                told.remedy = "give indices as constants: parameters={name: value}"
            raise _located(told, error, self.name) from error

    def returned(self) -> list[int]:
        """The operations whose results are returned."""
        nodes = list(_returned(self._returned, self.trace))
        if not nodes:
            raise ProgramError(
                "the function returns nothing that depends on its arguments",
                remedy="return its final goods: a value, or several in a tuple, array or dict",
                file=f"function {self.name}",
            )
        if len(set(nodes)) < len(nodes):
            raise ProgramError(
                "the function returns a value twice",
                remedy="return it once, and set its price in demand",
                file=f"function {self.name}",
            )
        return nodes


def _returned(value: Any, trace: Trace) -> Iterator[int]:
    if isinstance(value, Traced):
        if value.trace is not trace:
            raise ProgramError("the function returns a value of an earlier call")
        yield value.place
    elif isinstance(value, np.ndarray):
        for each in value.ravel().tolist() if value.dtype == object else ():
            yield from _returned(each, trace)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _returned(each, trace)
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _returned(each, trace)
    elif isinstance(value, numbers.Complex | np.bool_) or value is None:
        if isinstance(value, complex):
            raise complex_error()
    else:
        raise ProgramError(
            f"the function returns {_described(value)}",
            remedy="return numbers, or arrays, tuples, lists or dicts of them",
        )


def _described(value: Any) -> str:
    """A value for messages, without its address."""
    text = shown(value)
    return f"an object of type {type(value).__name__}" if " at 0x" in text else text


def _counting(run: _Run, arguments: Arguments, error: CountError) -> set[str]:
    """The arguments that a count or an index depends on; their defaults must be whole numbers."""
    nodes, found = [error.place], set()
    while nodes:
        node = nodes.pop()
        if run.trace.operations[node] == ARGUMENT:
            found.add(arguments.argument_of(run.goods[node]))
        nodes += [operand for operand in run.trace.operands[node] if type(operand) is int]
    if not found or not found <= arguments.counts:
        raise error
    return found


def _check_same(first: _Run, second: _Run) -> None:
    """Refuse a function that is another one when it is called again."""
    one, other = first.trace, second.trace
    if (
        one.operations == other.operations
        and all(map(_same, one.operands, other.operands))
        and first.returned() == second.returned()
    ):
        return
    pairs = itertools.zip_longest(
        zip(one.operations, one.operands, strict=True),
        zip(other.operations, other.operands, strict=True),
    )
    node = next(
        (
            k
            for k, (a, b) in enumerate(pairs)
            if a is None or b is None or a[0] != b[0] or not _same(a[1], b[1])
        ),
        0,
    )
    file, line = next(
        (each.where for each in first.bindings if each.first <= node < each.last), (None, None)
    )
    raise ProgramError(
        "the function does something else when it is called again: it uses random numbers, or "
        "what an earlier call left",
        remedy="let it depend on nothing but its arguments",
        file=file and _shown_file(file, first.name),
        line=line,
    )


def _same(a: tuple[Operand, ...], b: tuple[Operand, ...]) -> bool:
    """Whether operands are the same; what is not a number is so again."""
    return a == b or (len(a) == len(b) and list(map(str, a)) == list(map(str, b)))


def _located(told: MarketError, error: BaseException, function: str) -> MarketError:
    """An error with the innermost line of the user's own that it comes from."""
    frames = traceback.extract_tb(error.__traceback__)
    for frame in reversed(frames):
        if not frame.filename.startswith(LIBRARIES):
            told.located(file=_shown_file(frame.filename, function), line=frame.lineno)
            break
    return told


def _shown_file(file: str, function: str) -> str:
    path = Path(file)
    return str(display_path(path)) if path.is_file() else f"function {function}"
