"""The outputs of lines that make several goods (docs/model.md, 1).

The line's firms make an *activity* z, which is divided among its outputs by shares θ. Of the units
x = θ z an output k of ``transform`` makes y = z w^(1/(1+η)) θ^(η/(1+η)): the frontier is
Σ w (y/(w z))^((1+η)/η) = 1, with constant elasticity of transformation η. At a given mix y grows
with z, so that the marginal product of a unit of z in k is y/x, and that of z is Σ y/z, each at its
price. Where all p y/x agree, each θ is the output's share of revenue.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from market_abm.economy.industry import Industry
from market_abm.economy.technology import Technology
from market_abm.errors import EconomyError, ProgramError
from market_abm.language.constants import SUM_TOLERANCE
from market_abm.language.printing import text
from market_abm.language.tape import Tape

LEAST_SHARE = np.finfo(float).tiny
"""The share at which an output that gets nothing counts what a unit would make: at 0 it is ∞."""


@dataclass(frozen=True, eq=False)
class Output(Technology):
    """One output of a line that makes several, made of the line's activity.

    Its formula is one of ``language/outputs.py``; of ``transform`` symbol 0 is the share θ.
    """

    outputs: int = 2  # type: ignore[misc]

    @property
    def divides(self) -> bool:  # type: ignore[override]
        """Whether the activity is divided among the outputs."""
        return self.formula.operation == "transform"

    @property
    def kind(self) -> Any:
        """A key of lines that ``together`` can combine."""
        return "output", self.outputs, super().kind

    def production(self, inputs: Sequence[Any]) -> tuple[Any, Any]:
        """The output, and its marginal product at the given mix.

        ``inputs`` are the units of the activity, and if it is divided those of all outputs
        together; both of one shape.
        """
        if not self.divides:
            return super().production(inputs)
        units, total = inputs
        share = np.where(np.equal(units, 0.0), LEAST_SHARE, units / total)
        share = np.where(np.equal(total, 0.0), 1.0 / self.outputs, share)[()]  # of nothing
        per_unit = self._tape.evaluate({**self.parameters, 0: share})[0] / share
        return units * per_unit, [per_unit]

    def constants(self) -> tuple[Any, Any]:
        """η and w, numbers or arrays, of an output of ``transform``."""
        elasticity, weight, _ = self.formula.arguments
        return tuple(Tape(each, ()).evaluate(self.parameters)[0] for each in (elasticity, weight))


def share_responses(economy: Any) -> np.ndarray | None:
    """∂(ln output)/∂(ln share) at a given total for each buyer of an ``Economy``, (..., buyers).

    1, and η/(1+η) for outputs among which an activity is divided: a larger share also makes the mix
    worse. What a unit of the activity is worth to an output, p y/x, times this is ∂W/∂x. None if
    there are no such outputs.
    """
    several = [g for g in economy.groups if g.technology.divides]
    if not several:
        return None
    parts = []
    for group in several:
        elasticity = group.technology.constants()[0]
        parts.append(np.broadcast_to(elasticity / (1.0 + elasticity), _shape(group, elasticity)))
    lead = np.broadcast_shapes(*(part.shape[:-1] for part in parts))
    found = np.ones((*lead, economy.buyers.size))
    for group, part in zip(several, parts, strict=True):
        group.slots[0].write(found, part)
    return found


def _shape(group: Any, values: Any) -> tuple[int, ...]:
    return (*np.shape(values)[:-1], group.size)


def by_activity(industries: Iterable[Industry]) -> dict[str, list[Industry]]:
    """The outputs of each activity, in the order of the program."""
    found: dict[str, list[Industry]] = {}
    for industry in industries:
        if industry.technology.outputs:
            found.setdefault(industry.technology.inputs[0], []).append(industry)
    return found


def with_activities(kinds: Mapping[str, str], industries: Iterable[Industry]) -> dict[str, str]:
    """Kinds of reuse with those of activities: divided among the outputs, or used by each wholly.

    Raises
    ------
    EconomyError
        The kind of an activity is given, and its line has decided it.
    """
    found = dict(kinds)
    for activity, outputs in by_activity(industries).items():
        if activity in kinds:
            goods = ", ".join(each.good for each in outputs)
            raise EconomyError(
                f"reuse.{activity}: transform() and fixed() say how '{activity}' is divided",
                remedy=f"say it of an output: {goods}",
                name=f"reuse.{activity}",
            )
        found[activity] = "rival" if outputs[0].technology.divides else "copy"
    return found


def check_outputs(industries: Iterable[Industry]) -> None:
    """The weights of the outputs of a ``transform`` sum to 1.

    Raises
    ------
    ProgramError
        Names the line.
    """
    for outputs in by_activity(industries).values():
        if not outputs[0].technology.divides:
            continue
        lines: list[Any] = [each.technology for each in outputs]
        total = float(sum(np.max(line.constants()[1]) for line in lines))
        if not abs(total - 1.0) <= SUM_TOLERANCE:
            raise ProgramError(
                f"the weights of transform() sum to {total:.12g}",
                line=outputs[0].line,
                name="transform",
                remedy="make them sum to 1, and scale the whole by a factor if necessary",
            )


def program_lines(industries: Sequence[Industry], *, exact: bool = False) -> dict[str, str]:
    """The lines of the program by the goods of their firms, those of several outputs as one."""
    several = by_activity(industries)
    return {
        each.good: _whole(each, several[each.good], exact)
        if each.good in several
        else each.text(exact=exact)
        for each in industries
        if not each.technology.outputs
    }


def _whole(activity: Industry, outputs: Sequence[Industry], exact: bool) -> str:
    """``(a, b) = transform(x, elasticity=η, weights=(w, v))``."""
    function = outputs[0].technology.formula.operation
    *scalars, _, _ = outputs[0].technology.formula.arguments
    listed = ", ".join(text(each.technology.formula.arguments[-2], exact=exact) for each in outputs)
    keys = [f"elasticity={text(each, exact=exact)}" for each in scalars]
    keys.append(f"{'weights' if scalars else 'yields'}=({listed})")
    goods = ", ".join(each.good for each in outputs)
    inside = activity.technology.text(exact=exact)
    return f"({goods}) = {function}({inside}, {', '.join(keys)})"
