"""Which variable holds which value of a traced run: the statements that bind them, as they run.

Python reports each line that is reached. When a statement is over, the names that it assigns are
looked up, and the new values found there belong to them.
"""

from __future__ import annotations

import ast
import linecache
import operator
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import CodeType, FrameType
from typing import Any

import numpy as np

from market_abm.errors import ProgramError
from market_abm.language.tracing import LIBRARIES, Trace, Traced

MAX_LINES = 10_000_000
"""Lines that may run, beyond which a function is refused."""

Place = tuple[int, ...]


@dataclass
class Binding:
    """A statement that has run.

    Attributes
    ----------
    variable
        The name that it assigns, or else a name that it speaks of.
    depth
        How many calls are around it.
    where
        The file and the line.
    first, last
        The operations made by it are those from ``first`` up to ``last``.
    places
        By the number of an operation, its place in the variable.
    assigned
        Whether it is a variable of the function, and not what a call returns.
    part
        Whether it assigns a part of a variable: ``k[t] = ...``.
    """

    variable: str
    depth: int
    where: tuple[str, int]
    first: int
    last: int
    places: dict[int, Place] = field(default_factory=dict)
    assigned: bool = True
    part: bool = False


def watched(
    function: Callable[[], Any], code: CodeType | None, name: str, trace: Trace
) -> tuple[Any, list[Binding]]:
    """What a function returns, and the bindings of its variables, in order.

    Parameters
    ----------
    function
        It is called once, without arguments.
    code
        The code of the function whose local variables are the outermost; None if unknown.
    name
        What to call values that it returns and that are no variables.
    trace
        Where its operations are noted.
    """
    watch = _Watch(code, name, trace)
    others = sys.gettrace()
    sys.settrace(watch.enter)
    try:
        return function(), watch.bindings
    finally:
        sys.settrace(others)


@dataclass
class _Frame:
    """Where a running function is: its statements on this line, and the operations made before."""

    depth: int
    statements: Mapping[int, list[ast.stmt]]
    first: int
    mark: int
    now: list[ast.stmt] = field(default_factory=list)


class _Watch:
    """Follows the lines of a function and of those that it calls."""

    def __init__(self, code: CodeType | None, name: str, trace: Trace) -> None:
        self.bindings: list[Binding] = []
        self._code, self._name, self._trace = code, name, trace
        self._frames: dict[int, _Frame] = {}
        self._lines = 0

    def enter(self, frame: FrameType, event: str, argument: Any) -> Any:
        """A function is called: watch it if it is the user's."""
        code = frame.f_code
        inside = code.co_name.startswith("<") or code.co_filename.startswith(LIBRARIES)
        if inside and code is not self._code:
            return None
        frame.f_trace_opcodes = _loops_in_a_line(code)
        made = len(self._trace.operations)
        self._frames[id(frame)] = _Frame(
            len(self._frames), _statements(code.co_filename), made, made
        )
        return self._follow

    def _follow(self, frame: FrameType, event: str, argument: Any) -> Any:
        state = self._frames.get(id(frame))
        if state is None:
            return None
        if event in ("line", "opcode"):
            self._lines += 1
            if self._lines > MAX_LINES:
                raise ProgramError(
                    f"the function has run {MAX_LINES:,} lines and is not at its end",
                    remedy="let its loops end earlier",
                )
        if event == "line":
            now = state.statements.get(frame.f_lineno, [])
            if len(self._trace.operations) > state.mark:
                self._settle(frame, state, over=now != state.now)
            state.now = now
        elif event == "return":
            self._leave(frame, state, argument)
            del self._frames[id(frame)]
        return self._follow

    def _settle(self, frame: FrameType, state: _Frame, *, over: bool) -> None:
        """Bind what the last statement has made to the names that it assigns."""
        found = False
        for target in (each for statement in state.now for each in _targets(statement)):
            for name, places in _assigned(frame.f_locals, frame.f_globals, target, state.mark):
                part = isinstance(target, ast.Subscript)
                self._bind(name, frame, state, places, part=part)
                found = True
        if over and not found:
            spoken = filter(None, map(_spoken_of, state.now))
            self._bind(next(spoken, self._name_of(frame, state)), frame, state, {})
        if over or found:
            state.mark = len(self._trace.operations)

    def _leave(self, frame: FrameType, state: _Frame, returned: Any) -> None:
        if not any(isinstance(each, ast.Return) for each in state.now):
            self._settle(frame, state, over=True)
        name = self._name_of(frame, state)
        if state.depth == 0:
            for variable, value in frame.f_locals.items():
                for full, places in _places(variable, value, state.first):
                    self._bind(full, frame, state, places)
        by_key = returned.items() if isinstance(returned, Mapping) else [(name, returned)]
        found = [each for k, v in by_key for each in _places(str(k), v, state.first)]
        for full, places in found or [(name, {})]:
            self._bind(full, frame, state, places, assigned=False)

    def _name_of(self, frame: FrameType, state: _Frame) -> str:
        return self._name if state.depth == 0 else frame.f_code.co_name

    def _bind(
        self,
        name: str,
        frame: FrameType,
        state: _Frame,
        places: dict[int, Place],
        *,
        assigned: bool = True,
        part: bool = False,
    ) -> None:
        made = len(self._trace.operations)
        line = state.now[0].lineno if state.now else frame.f_lineno
        where = frame.f_code.co_filename, line
        self.bindings.append(
            Binding(name, state.depth, where, state.mark, made, places, assigned, part)
        )


# --- statements -----------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _statements(file: str) -> dict[int, list[ast.stmt]]:
    """The statements of a file by line; of one that holds others, the lines before these."""
    found: dict[int, list[ast.stmt]] = {}
    try:
        tree = ast.parse("".join(linecache.getlines(file)))
    except (SyntaxError, RecursionError, MemoryError, ValueError):
        return found
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt):
            body = getattr(node, "body", None)
            last = max(node.lineno, body[0].lineno - 1) if body else node.end_lineno
            for line in range(node.lineno, (last or node.lineno) + 1):
                found.setdefault(line, []).append(node)
    return found


@lru_cache(maxsize=1024)
def _loops_in_a_line(code: CodeType) -> bool:
    """Whether a function has a ``while`` on one line, whose turns Python reports by steps only."""
    statements = _statements(code.co_filename)
    return any(
        isinstance(each, ast.While) and each.lineno == each.body[-1].end_lineno
        for _, _, line in code.co_lines()
        for each in statements.get(line or 0, ())
    )


def _targets(statement: ast.stmt) -> Iterator[ast.expr]:
    """What a statement assigns to."""
    if isinstance(statement, ast.Assign):
        waiting: list[ast.expr] = list(statement.targets)
    elif isinstance(statement, ast.AugAssign | ast.AnnAssign | ast.For):
        waiting = [statement.target]
    elif isinstance(statement, ast.With):
        waiting = [each.optional_vars for each in statement.items if each.optional_vars]
    else:
        waiting = []
    while waiting:
        target = waiting.pop(0)
        if isinstance(target, ast.Tuple | ast.List):
            waiting[:0] = target.elts
        elif isinstance(target, ast.Starred):
            waiting.insert(0, target.value)
        else:
            yield target


def _spoken_of(statement: ast.stmt) -> str | None:
    """The variable that a statement is about if it assigns none, as ``hs`` in ``hs.append(h)``."""
    target = next(_targets(statement), None)
    node: ast.AST | None = target or (statement.value if isinstance(statement, ast.Expr) else None)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        node = node.func.value
    while isinstance(node, ast.Call | ast.Subscript):
        node = node.func if isinstance(node, ast.Call) else node.value
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else None


# --- values ---------------------------------------------------------------------------------------


def _assigned(
    local: Mapping[str, Any], around: dict[str, Any], target: ast.expr, first: int
) -> Iterator[tuple[str, dict[int, Place]]]:
    """The names that a target is, with the places of the new values from ``first`` on."""
    if isinstance(target, ast.Name):
        yield from _places(target.id, local.get(target.id), first)
    elif isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
        attributes = getattr(local.get(target.value.id), "__dict__", {})
        yield from _places(target.attr, attributes.get(target.attr), first)
    elif isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name):
        name, whole = target.value.id, local.get(target.value.id)
        code = _index(target.slice)
        if code is not None:
            try:
                yield from _part(name, whole, eval(code, around, dict(local)), first)
            except (NameError, LookupError, TypeError, ValueError):
                return  # its index has another value by now


@lru_cache(maxsize=1024)
def _index(node: ast.expr) -> CodeType | None:
    """The code of an index that consists of arithmetic; None if it is more."""
    if not all(isinstance(each, _ARITHMETIC) for each in ast.walk(node)):
        return None
    return compile(ast.Expression(node), "<index>", "eval")


_ARITHMETIC = (
    ast.Name,
    ast.Constant,
    ast.BinOp,
    ast.UnaryOp,
    ast.operator,
    ast.unaryop,
    ast.Tuple,
    ast.Slice,
    ast.expr_context,
)
"""What an index may consist of, to be looked up again."""


def _part(name: str, whole: Any, index: Any, first: int) -> Iterator[tuple[str, dict[int, Place]]]:
    """An element or a slice of a variable."""
    if isinstance(whole, np.ndarray) and whole.dtype == object:
        place: tuple[Any, ...] = index if isinstance(index, tuple) else (index,)
        if len(place) == whole.ndim and all(type(each) is int for each in place):
            element: Any = whole[place]
            if isinstance(element, Traced) and element.place >= first:
                yield name, {element.place: tuple(map(operator.mod, place, whole.shape))}
            return
        chosen = np.atleast_1d(_numbered(whole.shape)[index])
        spots = np.transpose(np.unravel_index(chosen.ravel(), whole.shape)).tolist()
        values = np.atleast_1d(np.asarray(whole, object)[index]).ravel().tolist()
        found = {
            element.place: tuple(spot)
            for spot, element in zip(spots, values, strict=True)
            if isinstance(element, Traced) and element.place >= first
        }
        if found:
            yield name, found
    elif isinstance(whole, list | dict) and isinstance(index, int):
        for full, places in _places(name, whole[index], first):
            yield full, {node: (index, *place) for node, place in places.items()}
    elif isinstance(whole, dict):
        yield from _places(f"{name}_{index}", whole[index], first)


@lru_cache(maxsize=64)
def _numbered(shape: tuple[int, ...]) -> np.ndarray:
    return np.arange(int(np.prod(shape))).reshape(shape)


def _places(name: str, value: Any, first: int) -> Iterator[tuple[str, dict[int, Place]]]:
    """The new values in a variable, from ``first`` on; those in a dictionary by its keys."""
    if isinstance(value, dict) and not all(isinstance(key, int) for key in value):
        for key, each in value.items():
            yield from _places(f"{name}_{key}", each, first)
        return
    found: dict[int, Place] = {}
    for element, place in elements(value):
        if isinstance(element, Traced) and element.place >= first:
            found.setdefault(element.place, place)
    if found:
        yield name, found


def elements(value: Any, place: Place = ()) -> Iterator[tuple[Any, Place]]:
    """The single values in arrays, lists and dictionaries, each with its place."""
    if isinstance(value, np.ndarray):
        if value.dtype == object:
            for index, each in zip(np.ndindex(value.shape), value.ravel().tolist(), strict=True):
                yield each, (*place, *index)
    elif isinstance(value, list | tuple):
        for k, each in enumerate(value):
            yield from elements(each, (*place, k))
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from elements(each, (*place, key) if isinstance(key, int) else place)
    else:
        yield value, place
