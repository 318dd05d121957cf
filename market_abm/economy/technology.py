"""A firm's production function: output and marginal products."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

from market_abm.language import expression as ex
from market_abm.language.constants import check_formula


@dataclass(frozen=True, eq=False)
class Technology:
    """What one line of a program makes of its inputs.

    ``inputs`` names the good of each input, one entry for each place in the line where a good is
    read (a good read twice is two inputs). ``formula`` refers to input k by the symbol k, and to
    parameters by their names.
    """

    formula: ex.Expression
    inputs: tuple[str, ...]
    parameters: Mapping[str, float] = field(default_factory=dict)

    vectorized: ClassVar[bool] = False
    """Whether :meth:`production` takes all inputs, and gives all products, as one array."""

    @cached_property
    def _tape(self) -> ex.Tape:
        return ex.Tape(self.formula, tuple(range(len(self.inputs))))

    def production(self, inputs: Sequence[Any]) -> tuple[Any, Any]:
        """The output and the marginal products ∂output/∂input, one for each of ``inputs``.

        Each input is a number or an array; output and products have their common shape, or are
        single numbers where they do not depend on them.
        """
        made, products = self._tape.evaluate({**self.parameters, **dict(enumerate(inputs))})
        return made, [products[k] for k in range(len(inputs))]

    def with_parameters(self, parameters: Mapping[str, Any]) -> Technology:
        """The same line with other values of its parameters (numbers or arrays)."""
        other = dataclasses.replace(self, parameters=parameters)
        other.__dict__["_tape"] = self._tape
        return other

    def check_parameters(self) -> None:
        """Refuse values of parameters with which the line is not defined.

        Raises
        ------
        ProgramError
            An elasticity, weight or exponent is not positive, or weights do not sum to 1.
        """
        check_formula(self.formula, self.parameters)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """A name for each input: its good, numbered where the line reads it more than once."""
        labels = []
        for k, good in enumerate(self.inputs):
            repeat = self.inputs[:k].count(good)
            labels.append(f"{good}[{repeat + 1}]" if self.inputs.count(good) > 1 else good)
        return tuple(labels)

    def text(self, *, exact: bool = False) -> str:
        """The line's right side, its numbers to twelve digits or, if ``exact``, to the last."""
        return ex.text(self.formula, dict(enumerate(self.inputs)), exact=exact)

    def marginal_product_formulas(self, output: str) -> tuple[ex.Expression | None, ...]:
        """∂output/∂input for each input, in the symbols of ``formula``; ``output`` is its name.

        None where a line has hundreds of operations: nobody would read the formula.
        """
        try:
            formulas = self._tape.formulas(ex.name(output))
        except RecursionError:
            return (None,) * len(self.inputs)
        return tuple(formulas[k] for k in range(len(self.inputs)))

    def marginal_product_texts(self, output: str) -> tuple[str, ...]:
        """∂output/∂input in words for each input; ``output`` is the name of what is made."""
        names = dict(enumerate(self.labels))
        return tuple(
            f"∂{output}/∂{label}" if formula is None else ex.text(formula, names)
            for label, formula in zip(
                self.labels, self.marginal_product_formulas(output), strict=True
            )
        )
