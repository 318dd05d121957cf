"""A line's arithmetic as a plain Python function of floats, many times faster than NumPy's scalars.

The line is evaluated once on stand-ins for its inputs, which record each operation, so that
operations and derivatives are defined in one place (``expression.py``). The record becomes the
source of a function. Nothing else gets into the source: names are generated, operators and
functions come from the table below, and numbers are bound when the function is made.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

FloatProduction = Callable[[Sequence[float], float, float], tuple[float, tuple[float, ...]] | None]
"""A function of a firm's inputs x, weight w and productivity z; see :func:`compiled`."""

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
    np.less: "{} < {}",
    np.less_equal: "{} <= {}",
    np.greater: "{} > {}",
    np.greater_equal: "{} >= {}",
    np.equal: "{} == {}",
    np.minimum: "{0} if {0} < {1} else {1}",
    np.maximum: "{0} if {0} > {1} else {1}",
    np.absolute: "fabs({})",
}
"""How each operation is written."""

CHOICE = "{1} if {0} else {2}"
"""How ``where`` is written."""

REFUSALS = (ArithmeticError, TypeError, ValueError)
"""What Python raises where NumPy returns infinity or NaN, or after a power has become complex."""

NAMES: dict[str, Any] = {
    "__builtins__": {},
    "REFUSALS": REFUSALS,
    "inf": math.inf,
    "sum": sum,
    **{
        text.removesuffix("({})"): getattr(math, text.removesuffix("({})"))
        for text in FORMATS.values()
        if text.endswith("({})")
    },
}
"""All that the source can refer to."""

MAX_OPERATIONS = 5_000
"""Operations beyond which a line is not compiled."""

MAX_INLINE = 100
"""Characters of an operation that is written where it is used, if it is used once."""


class Record:
    """The operations of a line, in order, each once.

    Attributes
    ----------
    operations
        By the name of the result: the format of an operation, and the names that it reads.
    constants
        The numbers of the line; the k-th is named ``c{k}``.
    finite, nonzero
        Names of values that must be finite, or other than 0, for the record to hold.
    """

    def __init__(self) -> None:
        self.operations: dict[str, tuple[str, tuple[str, ...]]] = {}
        self.constants: list[float] = []
        self.finite: list[str] = []
        self.nonzero: list[str] = []
        self._names: dict[Any, str] = {}

    def name_of(self, value: Any) -> str:
        """The name of a stand-in, or of a number."""
        if isinstance(value, np.ndarray):
            value = value[()]
        if isinstance(value, StandIn):
            return value.name
        number = float(value)
        key = number.hex()  # for -0.0 is not 0.0
        if key not in self._names:
            self._names[key] = f"c{len(self.constants)}"
            self.constants.append(number)
        return self._names[key]

    def apply(self, ufunc: np.ufunc, operands: Sequence[Any]) -> StandIn:
        """A stand-in for the result of an operation."""
        names = tuple(map(self.name_of, operands))
        if ufunc in (np.minimum, np.maximum):  # NumPy's are NaN if one operand is
            self.finite += names
            names += names  # each is read twice
        return self.note(FORMATS[ufunc], names)

    def note(self, form: str, names: tuple[str, ...]) -> StandIn:
        """A stand-in for the result of an operation of this format on these names."""
        operation = form, names
        if operation not in self._names:
            self._names[operation] = f"v{len(self.operations)}"
            self.operations[self._names[operation]] = operation
        return StandIn(self, self._names[operation])

    def source(self, output: str, products: Sequence[str]) -> str:
        """The source of a function of the constants, which returns the line's function.

        ``output`` and ``products`` are names of values. Their sum tells whether any is NaN, by a
        comparison that refuses complex numbers.
        """
        inputs = [f"x{k}" for k in range(len(products))]
        checked = [output, *products, *(f"({name} - {name})" for name in self.finite)]
        total = " + ".join(checked) if len(checked) < 9 else f"sum(({', '.join(checked)}))"
        made = f"productivity * weight * {output}"
        slopes = "".join(f"productivity * {name}, " for name in products)
        statements = [f"{''.join(f'{name}, ' for name in inputs)}= inputs"] if inputs else []
        statements += [f"{name} = {name} / weight" for name in inputs]
        statements += self._assignments({output, *products, *self.finite, *self.nonzero})
        constants = ", ".join(f"c{k}" for k in range(len(self.constants)))
        return "\n".join(
            [
                f"def make({constants}):",
                " def line(inputs, weight, productivity):",
                "  try:",
                *(f"   {statement}" for statement in statements),
                f"   if {' and '.join([f'{total} <= inf', *self.nonzero])}:",
                f"    return {made}, ({slopes})",
                "  except REFUSALS:",
                "   return None",
                " return line",
            ]
        )

    def _assignments(self, needed: set[str]) -> list[str]:
        """Statements that compute the ``needed`` values, and no others."""
        uses = Counter(dict.fromkeys(needed, 2))
        for name, (_, read) in reversed(self.operations.items()):
            if uses[name]:
                uses.update(read)
        statements: list[str] = []
        inline: dict[str, str] = {}
        for name, (form, read) in self.operations.items():
            text = form.format(*(inline.get(each, each) for each in read))
            if uses[name] == 1 and len(text) < MAX_INLINE:
                inline[name] = f"({text})"
            elif uses[name]:
                statements.append(f"{name} = {text}")
        return statements


class StandIn(np.lib.mixins.NDArrayOperatorsMixin):
    """Stands for a number in arithmetic, and records what is done to it."""

    __slots__ = ("name", "record")

    def __init__(self, record: Record, name: str) -> None:
        self.record, self.name = record, name

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *operands: Any, **options: Any) -> Any:
        """Record an operation; answer a question by the usual case, and record the condition."""
        if method == "reduce" and ufunc in (np.add, np.minimum):
            return self  # of a single number
        if method != "__call__" or options:
            return NotImplemented
        if ufunc is np.isnan:
            return np.False_  # a result that is NaN is refused in the end
        if ufunc is np.isfinite:
            self.record.finite.append(self.name)
            return np.True_
        plain = ufunc is np.equal and not isinstance(operands[1], StandIn)
        if plain and np.all(operands[1] == 0.0):
            self.record.nonzero.append(self.name)
            return np.False_
        if ufunc is np.multiply:  # the first link of a chain of derivatives is 1
            for factor, other in (operands, operands[::-1]):
                if not isinstance(factor, StandIn) and factor == 1.0:
                    return other
        return self.record.apply(ufunc, operands) if ufunc in FORMATS else NotImplemented

    def choose(self, yes: Any, no: Any) -> StandIn:
        """One of two numbers, by a condition."""
        return self.record.note(CHOICE, tuple(map(self.record.name_of, (self, yes, no))))

    def __bool__(self) -> bool:
        raise TypeError("a stand-in has no value")


@np.errstate(all="ignore")
def compiled(
    evaluate: Callable[[list[Any]], tuple[Any, Sequence[Any]]], count: int
) -> FloatProduction:
    """Production on floats.

    Parameters
    ----------
    evaluate
        Computes a line's output f(x) and derivatives f'(x), one per input, from a list of inputs.
    count
        The number of inputs.

    Returns
    -------
    callable
        A function of the inputs x, a weight w and a productivity z that returns the output
        z w f(x/w) and the products z f'(x/w). It returns None where ``evaluate`` must be asked with
        NumPy's numbers: where Python has no result (at infinities, zeros and negative bases), where
        one is NaN, and always for a line that cannot be recorded.
    """
    record = Record()
    try:
        output, products = evaluate([StandIn(record, f"x{k}") for k in range(count)])
        names = [record.name_of(each) for each in (output, *products)]
    except REFUSALS:
        return never
    if len(record.operations) > MAX_OPERATIONS:
        return never
    return _maker(record.source(names[0], names[1:]))(*record.constants)


@lru_cache(maxsize=1024)
def _maker(source: str) -> Callable[..., FloatProduction]:
    """The function that ``source`` defines; lines that differ in numbers only share it."""
    defined: dict[str, Any] = {}
    exec(compile(source, "<line>", "exec"), NAMES.copy(), defined)
    return defined["make"]


def never(inputs: Sequence[float], weight: float, productivity: float) -> None:
    """No result, whatever is asked."""
