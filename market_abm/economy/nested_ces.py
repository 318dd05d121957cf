"""CES lines of many inputs, flat or nested, vectorized over inputs.

In the calibrated share form of applied general equilibrium (T. F. Rutherford, 1995), with cost
shares a, which sum to 1, elasticity of substitution σ, and r = (σ - 1)/σ,

    y = (Σ a (x/a)^r)^(1/r),    ∂y/∂x = (y a/x)^(1/σ).

One unit of output from inputs a is the least-cost choice at prices of 1, for any σ. σ = 1 is the
limit Π (x/a)^a (Cobb-Douglas); σ -> 0 tends to min x/a (Leontief). In a nested line each nest of
inputs is first aggregated with an elasticity of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any

import numpy as np

from market_abm.economy.ces_lines import CESLines
from market_abm.economy.technology import Technology
from market_abm.errors import SettingError
from market_abm.fields import check_number
from market_abm.language import expression as ex
from market_abm.language.aggregates import Aggregates
from market_abm.language.ces import FIRST_AXIS, log_ces
from market_abm.language.limits import limits_at_zero
from market_abm.language.printing import number_text, text
from market_abm.language.segments import Places, Segments, cut, joined

SHOWN = 3
"""Inputs of a longer line that its text names; the others are counted."""


@dataclass(frozen=True)
class Nest:
    """An aggregate of ``size`` consecutive inputs; the elasticity is a number or a parameter."""

    name: str
    size: int
    elasticity: float | str


class NestedCES(Technology):
    """A CES line in calibrated share form, flat or with one layer of nests.

    Parameters
    ----------
    inputs
        The goods, all different.
    shares
        The cost shares a > 0, shape (inputs,), with sum 1; of several firms at once
        (:meth:`as_table`), shape (inputs, firms).
    elasticity
        σ > 0, or the name of a parameter.
    nests
        Consecutive nests that together hold all inputs; none for a flat line.
    parameters
        Values by name.

    Notes
    -----
    Marginal products amplify relative errors by 1/σ: they are accurate to some 1e-12 at σ = 0.001,
    to 1e-14 at σ = 0.1.
    """

    vectorized = True

    def __init__(
        self,
        inputs: Sequence[str],
        shares: np.ndarray,
        elasticity: float | str,
        nests: Sequence[Nest] = (),
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        self.__dict__.update(
            inputs=tuple(inputs),
            shares=np.asarray(shares, float),
            elasticity=elasticity,
            nests=tuple(nests),
            parameters=dict(parameters or {}),
        )

    shares: np.ndarray
    elasticity: float | str
    nests: tuple[Nest, ...]

    def production(self, inputs: Any) -> tuple[Any, np.ndarray]:
        """The output, shape (...), and ∂output/∂input, shape (inputs, ...), as ``inputs``."""
        if not isinstance(inputs, np.ndarray):
            inputs = np.stack(np.broadcast_arrays(*inputs))
        made, products = self._evaluate(inputs)
        if ex.is_lost(products):
            products = np.stack(limits_at_zero(self._evaluate, inputs, made, products))
        return made, products

    def _evaluate(self, inputs: Any) -> tuple[Any, Any]:
        inputs = np.asarray(inputs)
        shares = _in_front(self.shares, inputs.ndim)
        elasticity = self._value(self.elasticity)
        with np.errstate(divide="ignore"):
            logs = np.log(inputs / shares)
        if not self.nests:
            log_output, gaps = log_ces(logs, shares, elasticity)
            return np.exp(log_output), np.exp(gaps / elasticity)
        slopes, parts, totals = np.empty_like(logs), [], []
        for nest, part in self._parts():
            total = FIRST_AXIS.total(shares[part])
            own = self._value(nest.elasticity)
            log_output, gaps = log_ces(logs[part], shares[part] / total, own)
            slopes[part] = gaps / own
            parts.append(log_output)
            totals.append(total)
        log_output, gaps = log_ces(np.stack(parts), np.stack(totals), elasticity)
        for gap, (_, part) in zip(gaps / elasticity, self._parts(), strict=True):
            # In a nest of which there is nothing a single input makes nothing, whatever the nest.
            slopes[part] += np.where(np.isneginf(slopes[part].real), 0.0, gap)
        return np.exp(log_output), np.exp(slopes)

    def contributions(self, inputs: np.ndarray) -> np.ndarray:
        """The output of a table, shape (runs, firms); not a number where :meth:`production` has it.

        ``inputs``, shape (inputs, runs, firms), are written over by what all units of each make of
        the output: x ∂output/∂x.
        """
        *inner, outer = self._layers
        if not inner:
            output, terms, total = outer.terms(inputs)
            np.multiply(terms, output / total, out=inputs)
            return output
        nests = [
            (part, *layer.terms(inputs[part]))
            for layer, (_, part) in zip(inner, self._parts(), strict=True)
        ]
        output, of_nests, total = outer.terms(np.stack([made for _, made, _, _ in nests]))
        for own, (part, _, terms, sums) in zip(of_nests, nests, strict=True):
            np.multiply(terms, own * (output / total) / sums, out=inputs[part])
        return output

    @cached_property
    def _layers(self) -> tuple[Aggregates, ...]:
        """The nests, then the output of them; or the output alone."""
        shares = _in_front(self.shares, 3)
        of_line = self._value(self.elasticity)
        if not self.nests:
            return (Aggregates(shares, shares, of_line),)
        parts = self._parts()
        totals = [FIRST_AXIS.total(shares[part]) for _, part in parts]
        nests = [
            Aggregates(shares[part] / total, shares[part], self._value(nest.elasticity))
            for total, (nest, part) in zip(totals, parts, strict=True)
        ]
        return (*nests, Aggregates(np.stack(totals), 1.0, of_line))

    def _value(self, elasticity: float | str) -> Any:
        return self.parameters[elasticity] if isinstance(elasticity, str) else elasticity

    def _parts(self) -> list[tuple[Nest, slice]]:
        """Each nest, and the slice of its inputs."""
        parts, end = [], 0
        for nest in self.nests:
            parts.append((nest, slice(end, end + nest.size)))
            end += nest.size
        return parts

    def with_parameters(self, parameters: Mapping[str, Any]) -> NestedCES:
        """The same line with other values of its parameters, numbers or arrays."""
        return NestedCES(self.inputs, self.shares, self.elasticity, self.nests, parameters)

    @property
    def kind(self) -> Hashable:
        """Lines can be combined if all are flat, or all nested."""
        return "ces of many inputs", bool(self.nests)

    @staticmethod
    def together(lines: Sequence[NestedCES], firms: np.ndarray) -> CESLines:
        """Lines as one, for inputs of shape (..., links), firm after firm."""
        count = firms.tolist()
        shares = np.concatenate(
            [np.tile(each.shares, m) for each, m in zip(lines, count, strict=True)]
        )
        of_firm = joined([each._value(each.elasticity) for each in lines], firms)
        inputs = Segments.of_sizes(np.repeat([len(each.inputs) for each in lines], firms))
        layers: tuple[Aggregates, ...] = (Aggregates(shares, shares, of_firm, inputs),)
        if lines[0].nests:
            nests = [nest for each, m in zip(lines, count, strict=True) for nest in m * each.nests]
            sizes = np.array([nest.size for nest in nests])
            links = Segments.of_sizes(sizes)
            totals = np.concatenate(
                [np.tile(each._totals, m) for each, m in zip(lines, count, strict=True)]
            )
            owners = [each for each, m in zip(lines, count, strict=True) for _ in m * each.nests]
            of_nest = joined(
                [each._value(nest.elasticity) for each, nest in zip(owners, nests, strict=True)],
                np.ones(len(nests), int),
            )
            outer = Segments.of_sizes(np.repeat([len(each.nests) for each in lines], firms))
            layers = (
                Aggregates(shares / np.repeat(totals, sizes), shares, of_nest, links),
                Aggregates(totals, 1.0, of_firm, outer),
            )
        return CESLines(lines, Segments.of_sizes(firms), shares, layers)

    @property
    def layout(self) -> Hashable:
        """Inputs and nests."""
        return self.inputs, tuple(nest.size for nest in self.nests)

    @staticmethod
    def as_table(lines: Sequence[NestedCES], firms: np.ndarray) -> NestedCES:
        """Lines of one layout as one, for inputs of shape (inputs, ..., firms)."""
        first = lines[0]
        parameters = {"of line": joined([each._value(each.elasticity) for each in lines], firms)}
        nests = []
        for k, nest in enumerate(first.nests):
            own = [each._value(each.nests[k].elasticity) for each in lines]
            parameters[f"of nest {k}"] = joined(own, firms)
            nests.append(Nest(nest.name, nest.size, f"of nest {k}"))
        shares = np.repeat(np.stack([each.shares for each in lines], axis=1), firms, axis=1)
        return NestedCES(first.inputs, shares, "of line", nests, parameters)

    def part(self, members: Places, size: int) -> NestedCES:
        """Some of the firms of a table."""
        parameters = {name: cut(each, members, size) for name, each in self.parameters.items()}
        shares = np.ascontiguousarray(self.shares[:, members])
        return NestedCES(self.inputs, shares, self.elasticity, self.nests, parameters)

    @property
    def _totals(self) -> np.ndarray:
        """The cost share of each nest."""
        return np.array([self.shares[part].sum() for _, part in self._parts()])

    def check_parameters(self) -> None:
        """Refuse elasticities that are not above 0."""
        for name, value in self.parameters.items():
            check_elasticity(value, name)

    # --- as expression and text -----------------------------------------------------------------

    @cached_property
    def formula(self) -> ex.Expression:
        """The line as an expression, with the same value."""
        inputs = [ex.name(k) / share for k, share in enumerate(self.shares.tolist())]
        if not self.nests:
            return _ces(self.elasticity, self.shares, inputs)
        parts, totals = [], []
        for nest, part in self._parts():
            totals.append(self.shares[part].sum())
            parts.append(_ces(nest.elasticity, self.shares[part] / totals[-1], inputs[part]))
        return _ces(self.elasticity, np.array(totals), parts)

    def text(self, *, exact: bool = False) -> str:
        """The line's right-hand side in short, or, if ``exact``, unique to the line."""
        if not self.nests:
            inside = self._shown(slice(None), exact=exact)
        else:
            inside = ", ".join(
                f"{nest.name}: ces({self._shown(part, exact=exact)}; "
                f"elasticity={_elasticity_text(nest.elasticity)})"
                if nest.size > 1
                else self.inputs[part][0]
                for nest, part in self._parts()
            )
        digest = f", shares={hashlib.sha256(self.shares.tobytes()).hexdigest()}" if exact else ""
        return f"ces({inside}; elasticity={_elasticity_text(self.elasticity)}{digest})"

    def _shown(self, part: slice, *, exact: bool) -> str:
        names = self.inputs[part]
        if exact or len(names) <= SHOWN + 1:
            return ", ".join(names)
        return f"{', '.join(names[:SHOWN])}, ... {len(names) - SHOWN} more"

    def marginal_product_formulas(self, output: str) -> tuple[ex.Expression, ...]:
        """∂output/∂input for each input; in nests, ∂output/∂nest times ∂nest/∂input."""
        return tuple(reduce(_times, factors) for factors in self._slopes(output))

    def marginal_product_texts(self, output: str) -> tuple[str, ...]:
        """∂output/∂input as text for each input."""
        names = dict(enumerate(self.inputs))
        return tuple(
            " * ".join(text(factor, names) for factor in factors)
            for factors in self._slopes(output)
        )

    def _slopes(self, output: str) -> list[tuple[ex.Expression, ...]]:
        """The factors of each ∂output/∂input: ∂output/∂nest, if nested, and ∂nest/∂input."""
        value, inputs = ex.name(output), [ex.name(k) for k in range(len(self.inputs))]
        shares = self.shares.tolist()
        if not self.nests:
            return [
                (_slope(value, share, by, self.elasticity),)
                for by, share in zip(inputs, shares, strict=True)
            ]
        slopes: list[tuple[ex.Expression, ...]] = []
        for nest, part in self._parts():
            total, own = float(self.shares[part].sum()), ex.name(nest.name)
            outer = _slope(value, total, own, self.elasticity)
            slopes += [
                (outer, _slope(own, share / total, by, nest.elasticity))
                for by, share in zip(inputs[part], shares[part], strict=True)
            ]
        return slopes


def check_elasticity(value: Any, name: str) -> float:
    """``value`` as an elasticity of substitution, above 0.

    Raises
    ------
    SettingError
        It is not a number above 0.
    """
    if value == 0:
        raise SettingError(
            f"{name} is 0",
            remedy="without substitution there are no marginal products: choose a small "
            "elasticity, such as 0.01",
            name=name,
        )
    return check_number(value, name, above=0.0)


def _in_front(array: np.ndarray, axes: int) -> np.ndarray:
    """``array`` along the first, and the last, of this many axes."""
    return array.reshape(len(array), *[1] * (axes - array.ndim), *array.shape[1:])


def _ces(
    elasticity: float | str, weights: np.ndarray, inputs: Sequence[ex.Expression]
) -> ex.Expression:
    known = ex.name(elasticity) if isinstance(elasticity, str) else ex.number(elasticity)
    numbers = [ex.number(weight) for weight in weights.tolist()]
    return ex.Expression("ces", (known, *numbers, *inputs))


def _slope(
    output: ex.Expression, share: float, by: ex.Expression, elasticity: float | str
) -> ex.Expression:
    """∂output/∂by = (share output/by)^(1/elasticity), unsimplified."""
    ratio = ex.Expression("/", (_times(ex.number(share), output), by))
    if elasticity == 1.0:
        return ratio
    known = ex.name(elasticity) if isinstance(elasticity, str) else ex.number(elasticity)
    return ex.Expression("**", (ratio, ex.Expression("/", (ex.number(1.0), known))))


def _times(a: ex.Expression, b: ex.Expression) -> ex.Expression:
    return ex.Expression("*", (a, b))


def _elasticity_text(elasticity: float | str) -> str:
    return elasticity if isinstance(elasticity, str) else number_text(elasticity)
