"""A line's arithmetic as a plain Python function of floats, some twenty times faster than NumPy's.

The line is evaluated once on stand-ins for its inputs, which record each operation, so that
operations and derivatives are defined in one place (``expression.py``). The record becomes the
source of a function. Nothing else gets into the source: names are generated, operators and
functions come from the table below, and numbers are bound when the function is made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

FloatProduction = Callable[[Sequence[float], float, float], tuple[float, list[float]] | None]
"""A function of inputs x, weight w and productivity z of a firm; see :func:`compiled`."""

FORMATS: dict[np.ufunc, str] = {
    np.add: "{} + {}",
    np.subtract: "{} - {}",
    np.multiply: "{} * {}",
    np.divide: "{} / {}",
    np.power: "{} ** {}",
    np.negative: "-{}",
    np.sqrt: "sqrt({})",
    np.exp: "exp({})",
    np.expm1: "expm1({})",
    np.log: "log({})",
    np.log2: "log2({})",
    np.log10: "log10({})",
    np.log1p: "log1p({})",
    np.sin: "sin({})",
    np.cos: "cos({})",
    np.tan: "tan({})",
    np.arctan: "atan({})",
    np.sinh: "sinh({})",
    np.cosh: "cosh({})",
    np.tanh: "tanh({})",
}
"""How each operation is written."""

REFUSALS = (ArithmeticError, TypeError, ValueError)
"""What Python raises where NumPy returns infinity or NaN, or where a power became complex."""

NAMES: dict[str, Any] = {
    "__builtins__": {},
    "inf": math.inf,
    "REFUSALS": REFUSALS,
    **{f.partition("(")[0]: getattr(math, f.partition("(")[0]) for f in FORMATS.values() if "(" in f},
}
"""All that the source can refer to."""


class Record:
    """The operations of a line, in order, each once.

    Attributes
    ----------
    operations
        The right-hand side of each assignment, and the names that it reads.
    constants
        The numbers of the line, in the order of their names.
    finite, nonzero
        Names of values that must be finite, or other than 0, for the record to hold.
    """

    def __init__(self) -> None:
        self.operations: dict[str, tuple[str, tuple[str, ...]]] = {}
        self.constants: list[float] = []
        self.finite: list[str] = []
        self.nonzero: list[str] = []
        self._named: dict[Any, str] = {}

    def name_of(self, value: Any) -> str:
        """The name of a stand-in, or of a number."""
        if isinstance(value, np.ndarray):
            value = value[()]
        if isinstance(value, StandIn):
            return value.name
        number = float(value)
        key = number.hex()  # -0.0 is not 0.0
        if key not in self._named:
            self._named[key] = f"c{len(self.constants)}"
            self.constants.append(number)
        return self._named[key]

    def apply(self, ufunc: np.ufunc, operands: Sequence[Any]) -> StandIn:
        """A stand-in for the result of an operation."""
        read = tuple(map(self.name_of, operands))
        text = FORMATS[ufunc].format(*read)
        if text not in self._named:
            self._named[text] = f"v{len(self.operations)}"
            self.operations[self._named[text]] = (text, read)
        return StandIn(self, self._named[text])

    def source(self, output: str, products: Sequence[str]) -> str:
        """The source of a function that makes the line's function of its constants."""
        checked = [output, *products, *(f"({name} - {name})" for name in self.finite)]
        condition = " and ".join([f"{' + '.join(checked)} <= inf", *self.nonzero])
        needed = {output, *products, *self.finite, *self.nonzero}
        body = []
        for name, (text, read) in reversed(self.operations.items()):
            if name in needed:
                needed.update(read)
                body.append(f"{name} = {text}")
        inputs = [f"x{k}" for k in range(len(products))]
        body += [f"{name} = {name} / weight" for name in inputs]
        if inputs:
            body.append(f"{', '.join(inputs)}, = inputs")
        made = f"productivity * weight * {output}"
        slopes = ", ".join(f"productivity * {name}" for name in products)
        constants = ", ".join(f"c{k}" for k in range(len(self.constants)))
        lines = [
            f"def make({constants}):",
            " def line(inputs, weight, productivity):",
            "  try:",
            *(f"   {statement}" for statement in reversed(body)),
            f"   if {condition}:",
            f"    return {made}, [{slopes}]",
            "  except REFUSALS:",
            "   return None",
            " return line",
        ]
        return "\n".join(lines)


class StandIn(np.lib.mixins.NDArrayOperatorsMixin):
    """Stands for a number in arithmetic, and records what is done to it."""

    __slots__ = ("name", "record")

    def __init__(self, record: Record, name: str) -> None:
        self.record, self.name = record, name

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *operands: Any, **options: Any) -> Any:
        """Record an operation; answer a question with the usual case, and record that it must hold."""
        if method != "__call__" or options:
            return NotImplemented
        if ufunc is np.isnan:
            return np.False_  # a result that is not a number is refused in the end
        if ufunc is np.isfinite:
            self.record.finite.append(self.name)
            return np.True_
        if ufunc is np.equal and operands[0] is self and np.all(operands[1] == 0.0):
            self.record.nonzero.append(self.name)
            return np.False_
        if ufunc is np.multiply:  # by 1 in chains of derivatives
            for one, other in (operands, operands[::-1]):
                if not isinstance(one, StandIn) and one == 1.0:
                    return other
        return self.record.apply(ufunc, operands) if ufunc in FORMATS else NotImplemented

    def __bool__(self) -> bool:
        raise TypeError("a stand-in has no value")


@np.errstate(all="ignore")
def compiled(evaluate: Callable[[list[Any]], tuple[Any, Sequence[Any]]], count: int) -> FloatProduction:
    """Production on floats.

    Parameters
    ----------
    evaluate
        Computes a line's output f(x) and its derivatives f'(x), one per input, from a list of
        inputs.
    count
        The number of inputs.

    Returns
    -------
    callable
        A function of the inputs x, a weight w and a productivity z that returns the output
        z w f(x/w) and a list of the products z f'(x/w); or None where ``evaluate`` must be asked,
        with numbers of NumPy: where Python has no result (at infinities, zeros and negative bases),
        where one is not a number, and for a line that cannot be recorded.
    """
    record = Record()
    try:
        output, products = evaluate([StandIn(record, f"x{k}") for k in range(count)])
        names = [record.name_of(each) for each in (output, *products)]
    except (*REFUSALS, AttributeError):
        return never
    return _maker(record.source(names[0], names[1:]))(*record.constants)


@lru_cache(maxsize=512)
def _maker(source: str) -> Callable[..., FloatProduction]:
    """The function that ``source`` defines; lines that differ in numbers only share it."""
    defined: dict[str, Any] = {}
    exec(compile(source, "<line>", "exec"), NAMES.copy(), defined)
    return defined["make"]


def never(inputs: Sequence[float], weight: float, productivity: float) -> None:
    """No result, whatever is asked."""
