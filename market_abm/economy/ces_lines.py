"""Many CES lines of many inputs as one technology, by segment sums over all their links."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from market_abm.economy.technology import Technology
from market_abm.language.aggregates import Aggregates
from market_abm.language.ces import log_ces
from market_abm.language.expression import is_lost
from market_abm.language.segments import Places, Segments, agree, cut


class CESLines(Technology):
    """Lines of :class:`~market_abm.economy.nested_ces.NestedCES`, all flat or all nested.

    Parameters
    ----------
    lines
        The lines.
    firms
        The firms, in segments by line.
    shares
        The cost share of each link, shape (links,), firm after firm.
    layers
        The firms' aggregates of links; if nested, the nests of links, and the firms of nests.
    """

    vectorized = True

    def __init__(
        self,
        lines: Sequence[Technology],
        firms: Segments,
        shares: np.ndarray,
        layers: tuple[Aggregates, ...],
    ) -> None:
        self.__dict__.update(lines=tuple(lines), firms=firms, shares=shares, layers=layers)

    lines: tuple[Technology, ...]
    firms: Segments
    shares: np.ndarray
    layers: tuple[Aggregates, ...]

    def production(self, inputs: Any) -> tuple[Any, np.ndarray]:
        """The output, shape (..., firms), and ∂output/∂input, shape (..., links), as ``inputs``."""
        with np.errstate(divide="ignore"):
            logs = inputs / self.shares
            np.log(logs, out=logs)
        inner, *outer = self.layers
        log_output, gaps = log_ces(logs, inner.weights, inner.elasticity, inner.over)
        slopes = gaps
        if np.any(np.not_equal(inner.elasticity, 1.0)):
            slopes /= inner.over.spread(inner.elasticity)
        for layer in outer:
            log_output, gaps = log_ces(log_output, layer.weights, layer.elasticity, layer.over)
            gaps = gaps / layer.over.spread(layer.elasticity)
            # In a nest of which there is nothing a single input makes nothing, whatever the nest.
            slopes += np.where(np.isneginf(slopes.real), 0.0, inner.over.spread(gaps))
        products = np.exp(slopes, out=slopes)
        if is_lost(products):
            self._add_limits(inputs, products)
        return np.exp(log_output), products

    def contributions(self, inputs: np.ndarray) -> np.ndarray:
        """The output, shape (..., firms); not a number where only :meth:`production` has it.

        ``inputs``, shape (..., links), are written over by what all units of each make of the
        output: x ∂output/∂x.
        """
        inner, *outer = self.layers
        output, terms, total = inner.terms(inputs)
        scale = output / total
        for layer in outer:
            output, of_nests, sums = layer.terms(output)
            scale = of_nests * layer.over.spread(output / sums) / total
        np.multiply(terms, inner.over.spread(scale), out=inputs)
        return output

    def _add_limits(self, inputs: np.ndarray, products: np.ndarray) -> None:
        """Replace marginal products that are not numbers by limits, as each line finds them."""
        starts = self.layers[0].over.starts if len(self.layers) == 1 else self._first_links
        ends = np.append(starts[1:], inputs.shape[-1])
        for k, line in enumerate(self.lines):
            first = self.firms.starts[k]
            own = slice(int(starts[first]), int(ends[first + self.firms.sizes[k] - 1]))
            if np.isnan(products[..., own]).any():
                shape = (*inputs.shape[:-1], -1, len(line.inputs))
                by_input = np.moveaxis(inputs[..., own].reshape(shape), -1, 0)
                _, found = line.production(list(by_input))
                limits = np.moveaxis(found, 0, -1).reshape(products[..., own].shape)
                known = ~np.isnan(products[..., own])
                products[..., own] = np.where(known, products[..., own], limits)

    @property
    def _first_links(self) -> np.ndarray:
        """The first link of each firm."""
        inner, outer = self.layers
        starts: np.ndarray = inner.over.starts[outer.over.starts]
        return starts

    def part(self, members: Places, size: int) -> CESLines:
        """The technology of some of the firms."""
        assert isinstance(members, slice)
        first, last = members.start, members.stop
        layers: list[Aggregates] = []
        for layer in reversed(self.layers):
            own, first, last = _cut(layer, first, last)
            layers.insert(0, own)
        of = self.firms.of[members]
        lines, sizes = np.unique(of, return_counts=True)
        return CESLines(
            [self.lines[k] for k in lines.tolist()],
            Segments.of_sizes(sizes),
            self.shares[first:last],
            tuple(layers),
        )


def _cut(layer: Aggregates, first: int, last: int) -> tuple[Aggregates, int, int]:
    """Some of the aggregates of a layer, and which inputs theirs are."""
    over, size = layer.over.part(first, last), layer.over.size
    start = int(layer.over.starts[first])
    own = slice(start, start + over.size)
    weights, units = (cut(each, own, size) for each in (layer.weights, layer.units))
    elasticity = cut(layer.elasticity, slice(first, last), len(layer.over))
    if np.ndim(elasticity) and agree(elasticity):
        elasticity = elasticity[..., :1]
    return Aggregates(weights, units, elasticity, over), own.start, own.stop
