"""Stand-ins for numbers that note each operation, so that running a function writes its program.

A function is run on stand-ins that carry the numbers of its arguments. Arithmetic on one notes the
operation and gives another; a comparison is answered by the numbers, and noted, too, once somebody
wants to know the answer (``where`` does not: it is an operation). The idea is that of the boxes of
HIPS/autograd; a stand-in keeps no graph but the number of its operation.
"""

from __future__ import annotations

import numbers
import operator
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from market_abm.errors import ProgramError
from market_abm.language.expression import FUNCTIONS, OPERATIONS

LIBRARIES = tuple(str(Path(file).parent) for file in (np.__file__, __file__))
"""Folders of code that is not the user's."""

MAX_OPERATIONS = 1_000_000
"""Operations and comparisons beyond which a function is refused."""

ARGUMENT = ""
"""The operation that stands for an argument of the function."""

Operand = int | float
"""What an operation reads: the number of another operation (an ``int``), or a constant."""

_COMPUTE: dict[str, Callable[..., Any]] = {
    name: operation.compute for name, operation in OPERATIONS.items()
}

COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


class CountError(ProgramError):
    """A traced value is used as an index or a count; ``place`` is the number of its operation."""

    place: int


class PlainNumberError(ProgramError):
    """A traced value is taken for a plain number."""


class Trace:
    """The operations of one run of a function, in their order.

    Attributes
    ----------
    operations
        The name of each, a key of ``expression.OPERATIONS``; ``ARGUMENT`` for an argument.
    operands
        What each reads.
    values
        The number that each gives, from the numbers of the arguments.
    comparisons
        By its operator and operands, the answer to each comparison, and the file and line.
    arrays
        The arrays that operations on arrays made.
    """

    def __init__(self) -> None:
        self.operations: list[str] = []
        self.operands: list[tuple[Operand, ...]] = []
        self.values: list[Any] = []
        self.comparisons: dict[tuple[str, Operand, Operand], tuple[bool, tuple[str, int]]] = {}
        self.arrays: list[np.ndarray] = []
        self._remembered = 0
        self._room = MAX_OPERATIONS

    def argument(self, value: float) -> Traced:
        """A stand-in for an argument, or for an element of one."""
        return self._noted(ARGUMENT, (), np.float64(value))

    def note(self, operation: str, *operands: Any) -> Any:
        """A stand-in for the result; NotImplemented where an operand is not a number."""
        read, values = [], []
        for operand in operands:
            if type(operand) is Traced:
                if operand.trace is not self:
                    raise _kept()
                read.append(operand.place)
                values.append(operand.value)
            else:
                number = _number(operand)
                if number is None:
                    return NotImplemented
                read.append(number)
                values.append(number)
        if operation in "+-":  # a sum may begin at 0
            if values[1] == 0.0 and type(read[1]) is not int:
                return operands[0]
            if operation == "+" and values[0] == 0.0 and type(read[0]) is not int:
                return operands[1]
        return self._noted(operation, tuple(read), _COMPUTE[operation](*values))

    def compare(self, comparison: str, left: Any, right: Any) -> Any:
        """The answer by the numbers; NotImplemented where an operand is not a number.

        It is not noted yet.
        """
        sides: list[Any] = []
        for operand in (left, right):
            side = operand if type(operand) is Traced else _number(operand)
            if side is None:
                return NotImplemented
            sides.append(side)
        values = [side.value if type(side) is Traced else side for side in sides]
        places = [side.place if type(side) is Traced else side for side in sides]
        holds = bool(COMPARISONS[comparison](*values))
        return Answer(self, (comparison, places[0], places[1]), (sides[0], sides[1]), holds)

    def note_comparison(self, key: tuple[str, Operand, Operand], holds: bool) -> bool:
        """Note a comparison by its operator and operands, and whether it is a new one."""
        if key in self.comparisons:
            return False
        self._room -= 1
        if len(self.operations) > self._room:
            raise _too_many()
        self.comparisons[key] = holds, _place()
        return True

    def remember(self, array: np.ndarray) -> None:
        """Keep an array of results, if there are new ones since the last."""
        if len(self.operations) > self._remembered:
            self._remembered = len(self.operations)
            self.arrays.append(array)

    def _noted(self, operation: str, operands: tuple[Operand, ...], value: Any) -> Traced:
        place = len(self.operations)
        if place >= self._room:
            raise _too_many()
        self.operations.append(operation)
        self.operands.append(operands)
        self.values.append(value)
        return Traced(self, place, value)


class Traced:
    """Stands for a number of a function that is traced.

    Attributes
    ----------
    trace
        Where its operations are noted.
    place
        The number of the operation that it is the result of.
    value
        The number, from those of the arguments.
    """

    __slots__ = ("place", "trace", "value")

    def __init__(self, trace: Trace, place: int, value: Any) -> None:
        self.trace, self.place, self.value = trace, place, value

    # --- arithmetic -----------------------------------------------------------------------------

    def __add__(self, other: Any) -> Any:
        return self.trace.note("+", self, other)

    def __radd__(self, other: Any) -> Any:
        return self.trace.note("+", other, self)

    def __sub__(self, other: Any) -> Any:
        return self.trace.note("-", self, other)

    def __rsub__(self, other: Any) -> Any:
        return self.trace.note("-", other, self)

    def __mul__(self, other: Any) -> Any:
        return self.trace.note("*", self, other)

    def __rmul__(self, other: Any) -> Any:
        return self.trace.note("*", other, self)

    def __truediv__(self, other: Any) -> Any:
        return self.trace.note("/", self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return self.trace.note("/", other, self)

    def __pow__(self, other: Any) -> Any:
        return self.trace.note("**", self, other)

    def __rpow__(self, other: Any) -> Any:
        return self.trace.note("**", other, self)

    def __neg__(self) -> Any:
        return self.trace.note("neg", self)

    def __pos__(self) -> Traced:
        return self

    def __abs__(self) -> Any:
        return self.trace.note("abs", self)

    def conjugate(self) -> Traced:
        """Itself, for it is real."""
        return self

    # --- comparisons: the branch of the starting quantities ---------------------------------------

    def __lt__(self, other: Any) -> Any:
        return self.trace.compare("<", self, other)

    def __le__(self, other: Any) -> Any:
        return self.trace.compare("<=", self, other)

    def __gt__(self, other: Any) -> Any:
        return self.trace.compare(">", self, other)

    def __ge__(self, other: Any) -> Any:
        return self.trace.compare(">=", self, other)

    def __eq__(self, other: object) -> Any:
        return self._now("==", other)

    def __ne__(self, other: object) -> Any:
        return self._now("!=", other)

    def __bool__(self) -> bool:
        return bool(self != 0.0)

    def _now(self, comparison: str, other: object) -> Any:
        """The answer, which is noted: ``where`` takes no such comparison."""
        answer = self.trace.compare(comparison, self, other)
        return answer if answer is NotImplemented else bool(answer)

    __hash__ = object.__hash__

    # --- what would lose the operation ------------------------------------------------------------

    def __float__(self) -> float:
        raise PlainNumberError(
            "a traced value is taken for a plain number",
            remedy="write np.exp(x) or x ** 0.5 for a function that wants a float, and make "
            "arrays that values are written into with np.zeros, or with dtype=object",
        )

    def __complex__(self) -> complex:
        raise complex_error()

    def __index__(self) -> int:
        error = CountError(
            "a traced value is used as an index or a count",
            remedy="give its argument as a constant: parameters={name: value}",
        )
        error.place = self.place
        raise error

    def _no_rounding(self, *_: Any) -> NoReturn:
        raise ProgramError(
            "a traced value is rounded, which has no derivative",
            remedy="leave out int(), round(), floor, // and %",
        )

    __int__ = __round__ = __floor__ = __ceil__ = __trunc__ = _no_rounding
    __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = __divmod__ = __rdivmod__ = _no_rounding

    # --- how it looks, as in a message that the function prints -----------------------------------

    def __repr__(self) -> str:
        return repr(float(self.value))

    def __format__(self, form: str) -> str:
        return format(float(self.value), form)


class Answer:
    """The answer to a comparison of traced values; it is noted when it is taken for a bool.

    Attributes
    ----------
    trace
        Where it is noted.
    holds
        The answer by the numbers.
    """

    __slots__ = ("_key", "_new", "_sides", "holds", "trace")

    def __init__(
        self, trace: Trace, key: tuple[str, Operand, Operand], sides: tuple[Any, Any], holds: bool
    ) -> None:
        self.trace, self.holds = trace, holds
        self._key, self._sides, self._new = key, sides, False

    def __bool__(self) -> bool:
        self._new = self.trace.note_comparison(self._key, self.holds) or self._new
        return self.holds

    def choose(self, yes: Any, no: Any) -> Any:
        """``where`` of this comparison; what is noted of it for an array is forgotten."""
        if self._new:
            del self.trace.comparisons[self._key]
            self._new = False
        condition = self.trace.note(self._key[0], *self._sides)
        return self.trace.note("where", condition, yes, no)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.array(bool(self), dtype)

    def __index__(self) -> int:
        return int(bool(self))

    def __eq__(self, other: object) -> bool:
        return bool(self) == other

    def __hash__(self) -> int:
        return hash(self.holds)

    def __invert__(self) -> bool:
        return not self


def _of_bools(name: str, *, reflected: bool) -> Callable[[Answer, Any], Any]:
    """An operator of a bool and something else."""
    compute = getattr(operator, f"__{name}__")
    if reflected:
        return lambda self, other: compute(other, bool(self))
    return lambda self, other: compute(bool(self), other)


for _name in ("add", "sub", "mul", "and", "or", "xor"):
    setattr(Answer, f"__{_name}__", _of_bools(_name, reflected=False))
    setattr(Answer, f"__r{_name}__", _of_bools(_name, reflected=True))


def extreme(name: str, values: Any) -> Any:
    """The least (``min``) or the largest (``max``) of several values, one operation."""
    values = list(values)
    traced = next((each for each in values if isinstance(each, Traced)), None)
    if traced is None or len(values) == 1:
        return {"min": min, "max": max}[name](values)
    return traced.trace.note(name, *values)


def _method(name: str) -> Callable[[Traced], Any]:
    def apply(self: Traced) -> Any:
        return self.trace.note(name, self)

    apply.__name__ = name
    apply.__doc__ = f"{name} of the number; NumPy calls it for each element of an array."
    return apply


for _name in FUNCTIONS:
    setattr(Traced, _name, _method(_name))
Traced.arctan = Traced.atan  # type: ignore[attr-defined]


numbers.Real.register(Traced)


def complex_error() -> ProgramError:
    """Goods come in real quantities."""
    return ProgramError(
        "a traced value meets a complex number", remedy="goods come in real quantities"
    )


def unsupported(name: str, why: str = "") -> ProgramError:
    """A function has no derivative here, or computes with other than arithmetic."""
    return ProgramError(
        f"{name} cannot be traced{why}",
        remedy="write it in arithmetic, or with other functions of math and NumPy",
        name=name,
    )


def _too_many() -> ProgramError:
    return ProgramError(
        f"the function has made {MAX_OPERATIONS:,} operations and is not at its end",
        remedy="that is the limit: let its loops end earlier",
    )


def _kept() -> ProgramError:
    return ProgramError(
        "the function uses a value of an earlier call",
        remedy="let it depend on nothing but its arguments",
    )


def _place() -> tuple[str, int]:
    """The file and the line of the user's code that is running."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(LIBRARIES):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


def _number(operand: Any) -> Any:
    """A number as NumPy's float; None for what is not a number."""
    kind = type(operand)
    if kind is float or kind is int or kind is np.float64:
        return np.float64(operand)
    if isinstance(operand, np.ndarray) and operand.ndim == 0:
        return _number(operand[()])
    if isinstance(operand, numbers.Real | np.bool_):
        return np.float64(float(operand))
    if isinstance(operand, numbers.Complex):
        raise complex_error()
    return None
