"""Production functions: output and marginal products of one line of a program."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from market_abm.language import expression as ex
from market_abm.language.compiled import FloatProduction, compiled, never
from market_abm.language.constants import check_formula
from market_abm.language.limits import limits_at_zero
from market_abm.language.patterns import pattern, with_constants
from market_abm.language.printing import text
from market_abm.language.segments import Places, cut, joined
from market_abm.language.tape import Tape


@dataclass(frozen=True, eq=False)
class Technology:
    """The production function of one line of a program.

    ``inputs`` names the goods that the line reads, each once: a line that reads a good twice uses
    all that it buys of it twice. ``formula`` refers to input k by the symbol k, and to
    ``parameters`` by name.
    """

    formula: ex.Expression
    inputs: tuple[str, ...]
    parameters: Mapping[str, float] = field(default_factory=dict)

    vectorized: ClassVar[bool] = False
    """Whether :meth:`production` takes all inputs, and returns all products, as one array."""

    outputs: ClassVar[int] = 0
    """How many goods the line makes of which this is one output (``economy/outputs.py``)."""

    divides: ClassVar[bool] = False
    """Whether :meth:`production` depends on what the other outputs get, and takes their total."""

    @cached_property
    def _tape(self) -> Tape:
        return Tape(self.formula, tuple(range(len(self.inputs))))

    @property
    def branching(self) -> bool:
        """Whether the line has branches, by ``min``, ``max``, ``abs`` or ``where``."""
        return not self.vectorized and self._tape.branching

    def production(self, inputs: Sequence[Any]) -> tuple[Any, Any]:
        """The output and the marginal products ∂output/∂input, one per input.

        Inputs are numbers or arrays of one shape; output and products have that shape, or are
        single numbers where they do not depend on the inputs. At an input of 0 a product is the
        limit from above, if there is one.
        """
        made, products = self._evaluate(inputs)
        if any(map(ex.is_lost, products)):
            products = self._with_limits(inputs, made, products)
        return made, products

    def _with_limits(self, inputs: Sequence[Any], made: Any, products: Sequence[Any]) -> list[Any]:
        """The marginal products with limits at inputs of 0, sought where they are lost alone."""
        shape = np.broadcast_shapes(*map(np.shape, inputs))
        if len(shape) == 0:
            return limits_at_zero(self._evaluate, inputs, made, products)
        full = [np.broadcast_to(each, shape) for each in (made, *products, *inputs)]
        lost = np.any([np.isnan(each) for each in full[1 : 1 + len(products)]], axis=0)
        members = np.flatnonzero(lost.reshape(-1, shape[-1]).any(axis=0))
        made, *rest = (each[..., members] for each in full)
        limits = limits_at_zero(
            self.part(members, shape[-1])._evaluate,
            rest[len(products) :],
            made,
            rest[: len(products)],
        )
        found = [each.copy() for each in full[1 : 1 + len(products)]]
        for each, limit in zip(found, limits, strict=True):
            each[..., members] = limit
        return found

    def _evaluate(self, inputs: Any) -> tuple[Any, Any]:
        made, products = self._tape.evaluate({**self.parameters, **dict(enumerate(inputs))})
        return made, [products[k] for k in range(len(inputs))]

    def at_ties(
        self, inputs: Sequence[Any], tolerance: Any
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """The marginal products in each branch of a line with branches.

        Parameters
        ----------
        inputs
            Arrays of one shape.
        tolerance
            The relative difference up to which branches tie.

        Returns
        -------
        tuple or None
            The marginal products, shape (branches, inputs, ...), and whether the branch is in
            force, (branches, ...). None if nowhere more than one is.
        """
        shape = np.shape(inputs[0])
        lookup: dict[Any, Any] = {**self.parameters, **dict(enumerate(inputs))}
        found = list(self._tape.at_ties(lookup, tolerance))
        if not found:
            return None
        in_force = np.stack([np.broadcast_to(holds, shape) for _, holds in found])
        each = [
            np.stack([np.broadcast_to(products[k], shape) for k in range(len(inputs))])
            for products, _ in found
        ]
        return np.stack(each), in_force

    def branches(self, inputs: Sequence[Any]) -> dict[int, np.ndarray]:
        """The values of the branches of each ``min``, by its place: shapes (branches, ...)."""
        lookup: dict[Any, Any] = {**self.parameters, **dict(enumerate(inputs))}
        found = self._tape.branches(lookup).items()
        return {
            node: np.stack([np.broadcast_to(each, np.shape(inputs[0])) for each in values])
            for node, values in found
        }

    def with_parts(self, inputs: Sequence[Any], parts: Mapping[int, np.ndarray]) -> list[Any]:
        """The marginal products in which the branches of each ``min`` have these parts."""
        lookup: dict[Any, Any] = {**self.parameters, **dict(enumerate(inputs))}
        products = self._tape.with_parts(lookup, {node: list(own) for node, own in parts.items()})
        return [products[k] for k in range(len(inputs))]

    @cached_property
    def float_production(self) -> FloatProduction:
        """Production of one firm on floats, not for vectorized lines (``language/compiled.py``)."""
        return never if self.vectorized else compiled(self._evaluate, len(self.inputs))

    def __getstate__(self) -> dict[str, Any]:
        """What is copied or pickled: all but the compiled function."""
        return {k: v for k, v in self.__dict__.items() if k != "float_production"}

    def with_parameters(self, parameters: Mapping[str, Any]) -> Technology:
        """The same line with other values of its parameters, numbers or arrays."""
        other = dataclasses.replace(self, parameters=parameters)
        for shared in ("_tape", "_pattern"):
            if shared in self.__dict__:
                other.__dict__[shared] = self.__dict__[shared]
        return other

    # --- several lines as one ---------------------------------------------------------------------

    @cached_property
    def kind(self) -> Hashable:
        """A key that lines share which :meth:`together` can combine: operations and inputs."""
        return self._pattern[0]

    @cached_property
    def _pattern(self) -> tuple[Hashable, Sequence[Any]]:
        return pattern(self.formula)

    def _constants(self) -> list[Any]:
        """The values of the constants of the formula."""
        return [
            self.parameters[each] if isinstance(each, str) else each for each in self._pattern[1]
        ]

    @staticmethod
    def together(lines: Sequence[Any], firms: np.ndarray) -> Technology:
        """Lines of one kind as one, for inputs of shape (..., members).

        Constants in which the lines differ become parameters of shape (..., members).

        Parameters
        ----------
        lines
            Technologies of one :attr:`kind`.
        firms
            The number of members of each, shape (lines,).
        """
        first: Technology = lines[0]
        if len(lines) == 1:
            return first
        columns = zip(*(line._constants() for line in lines), strict=True)
        values = [joined(column, firms) for column in columns]
        parameters = {f"constant {k}": value for k, value in enumerate(values) if np.ndim(value)}
        names = tuple(parameters)
        formula = with_constants(
            first.formula, lambda k: f"constant {k}" if f"constant {k}" in names else values[k]
        )
        inputs = tuple(map(str, range(len(first.inputs))))
        return dataclasses.replace(first, formula=formula, inputs=inputs, parameters=parameters)

    @property
    def layout(self) -> Hashable:
        """What lines of one kind share that :meth:`as_table` can combine."""
        return self.inputs

    @staticmethod
    def as_table(lines: Sequence[Any], firms: np.ndarray) -> Technology:
        """Lines of one layout as one, for inputs of shape (inputs, ..., members)."""
        return type(lines[0]).together(lines, firms)

    def part(self, members: Places, size: int) -> Technology:
        """The technology of some of ``size`` members."""
        self._tape  # noqa: B018 - shared by the parts
        parts = {name: cut(each, members, size) for name, each in self.parameters.items()}
        return self.with_parameters(parts)

    def check_parameters(self) -> None:
        """Refuse values of parameters with which the line is not defined.

        Raises
        ------
        ProgramError
            An elasticity, weight or exponent is not positive, or weights do not sum to 1.
        """
        check_formula(self.formula, self.parameters)

    def text(self, *, exact: bool = False) -> str:
        """The line's right-hand side, numbers to twelve digits or, if ``exact``, to all."""
        return text(self.formula, dict(enumerate(self.inputs)), exact=exact)

    def marginal_product_formulas(self, output: str) -> tuple[ex.Expression | None, ...]:
        """∂output/∂input for each input, in the symbols of ``formula``, ``output`` for its value.

        None for a line of hundreds of operations, whose formula would be illegible.
        """
        try:
            formulas = self._tape.formulas(ex.name(output))
        except RecursionError:
            return (None,) * len(self.inputs)
        return tuple(formulas[k] for k in range(len(self.inputs)))

    def marginal_product_texts(self, output: str) -> tuple[str, ...]:
        """∂output/∂input as text for each input; ``output`` is the name of the line's good."""
        names = dict(enumerate(self.inputs))
        return tuple(
            f"∂{output}/∂{good}" if formula is None else text(formula, names)
            for good, formula in zip(
                self.inputs, self.marginal_product_formulas(output), strict=True
            )
        )
