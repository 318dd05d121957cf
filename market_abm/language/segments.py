"""Sums over neighbours in an array: all pools, lines or nests in one operation.

The sum of a segment has the same bits whatever else is summed with it: other segments, other runs,
in either order of memory, in one piece or in blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

LEAF = 64
"""Elements that are summed first: the sum of a long segment is a sum of such sums."""

SHORT = 8
"""Elements up to which NumPy sums one after another."""

FEW = 1_000
"""Segments below which there is nothing to gain from summing them in another way."""

BLOCK = 32_768
"""Elements of an array processed at a time, so that all arrays of a block stay in the cache."""

Places = slice | np.ndarray
"""Where elements are on an axis: a slice where they are neighbours, else their indices."""


class Whole:
    """The first axis of arrays as one segment, with the interface of :class:`Segments`."""

    def sizes_of(self, values: Any) -> Any:
        """The number of elements."""
        return len(values)

    def total(self, values: Any) -> Any:
        """The sum; those of several are from the first to the last, in any order of memory."""
        steps = [step for step, size in zip(values.strides, values.shape, strict=True) if size > 1]
        if values.ndim > 1 and len(values) > 1 and min(steps) == steps[0]:
            return np.add.accumulate(values, axis=0)[-1]  # NumPy would sum these in pairs
        return np.add.reduce(values, axis=0)

    def lowest(self, values: Any) -> Any:
        """The least value."""
        return np.minimum.reduce(values, axis=0)

    def highest(self, values: Any) -> Any:
        """The largest value."""
        return np.maximum.reduce(values, axis=0)

    def spread(self, values: Any) -> Any:
        """The value of the segment, for each element."""
        return values

    def select(self, which: np.ndarray) -> tuple[np.ndarray, Whole]:
        """The elements of some places on the last axis."""
        return which, self


class Segments:
    """Consecutive segments of the last axis of arrays, none of them empty.

    Parameters
    ----------
    starts
        The first element of each segment, shape (segments,); the first is 0.
    size
        The length of the axis.
    """

    def __init__(self, starts: np.ndarray, size: int) -> None:
        self.starts = np.asarray(starts, np.intp)
        self.size = size

    @staticmethod
    def of_sizes(sizes: np.ndarray) -> Segments:
        """Segments of these sizes, one after the other."""
        return Segments(np.cumsum(sizes) - sizes, int(np.sum(sizes)))

    def __len__(self) -> int:
        return len(self.starts)

    @cached_property
    def sizes(self) -> np.ndarray:
        """The number of elements of each segment."""
        return np.diff(self.starts, append=self.size)

    @cached_property
    def alone(self) -> bool:
        """Whether every segment is a single element."""
        return len(self.starts) == self.size

    @cached_property
    def of(self) -> np.ndarray:
        """The segment of each element, shape (size,)."""
        return np.repeat(np.arange(len(self.starts)), self.sizes)

    @cached_property
    def rounds(self) -> tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray]]]:
        """The segments of several elements; for each further place, those that have it, and where.

        Those that have a place are given by their number among the segments of several elements.
        """
        several = np.flatnonzero(self.sizes > 1)
        sizes, starts = self.sizes[several], self.starts[several]
        rounds = []
        for place in range(1, int(sizes.max(initial=1))):
            having = np.flatnonzero(sizes > place)
            rounds.append((having, starts[having] + place))
        return several, rounds

    @cached_property
    def others(self) -> tuple[np.ndarray, np.ndarray]:
        """The elements that are not the first of their segment, and their segments."""
        places = np.delete(np.arange(self.size), self.starts)
        return places, self.of[places]

    @cached_property
    def long(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The segments that NumPy sums in pairs, their elements, and where these begin."""
        which = np.flatnonzero(self.sizes > SHORT)
        ends = np.cumsum(self.sizes[which])
        return which, np.flatnonzero(self.sizes[self.of] > SHORT), ends - self.sizes[which]

    @cached_property
    def some_are_long(self) -> bool:
        """Whether NumPy sums some of the segments in pairs."""
        return bool(np.any(self.sizes > SHORT))

    def total(self, values: np.ndarray) -> np.ndarray:
        """The sum of each segment, (..., segments), of ``values`` of shape (..., size)."""
        return self.of_leaves(_reduced(np.add, values, self.leaves))

    def lowest(self, values: np.ndarray) -> np.ndarray:
        """The least value of each segment, (..., segments), of ``values`` of shape (..., size)."""
        return _reduced(np.minimum, values, self)

    def highest(self, values: np.ndarray) -> np.ndarray:
        """The largest value of each segment."""
        return _reduced(np.maximum, values, self)

    def spread(self, values: Any) -> Any:
        """For each element the value of its segment: (..., segments) to (..., size).

        A value that holds for all segments stays: a number, or shape (..., 1).
        """
        if self.alone or np.ndim(values) == 0 or values.shape[-1] == 1:
            return values
        if len(self) * SHORT < self.size:  # faster where segments are long
            return values.repeat(self.sizes, axis=-1)
        return gather(values, self.of)

    def sizes_of(self, values: Any) -> np.ndarray:
        """The number of elements of each segment."""
        return self.sizes

    def part(self, first: int, last: int) -> Segments:
        """The segments from ``first`` up to ``last``."""
        start = int(self.starts[first])
        end = int(self.starts[last]) if last < len(self.starts) else self.size
        return Segments(self.starts[first:last] - start, end - start)

    def select(self, which: np.ndarray) -> tuple[np.ndarray, Segments]:
        """The elements of some of the segments, and these as segments of their own."""
        sizes = self.sizes[which]
        own = Segments.of_sizes(sizes)
        return np.repeat(self.starts[which] - own.starts, sizes) + np.arange(own.size), own

    # --- in blocks ------------------------------------------------------------------------------

    @cached_property
    def leaves(self) -> Segments:
        """The segments, those of more than ``LEAF`` elements cut into pieces of at most that."""
        if not np.any(self.sizes > LEAF):
            return self
        count = -(-self.sizes // LEAF)
        first = np.cumsum(count) - count
        place = np.arange(int(count.sum())) - np.repeat(first, count)
        return Segments(np.repeat(self.starts, count) + LEAF * place, self.size)

    def of_leaves(self, reduced: np.ndarray, ufunc: np.ufunc = np.add) -> np.ndarray:
        """The sum of each segment, (..., segments), from those of ``leaves``, (..., leaves).

        Or what else ``ufunc`` makes of them.
        """
        if self.leaves is self:
            return reduced
        return ufunc.reduceat(reduced, self._first_leaves, axis=-1)

    @cached_property
    def _first_leaves(self) -> np.ndarray:
        return np.searchsorted(self.leaves.starts, self.starts)

    def blocks(self, elements: int) -> tuple[Block, ...]:
        """The axis in parts of about so many elements, cut between leaves."""
        starts, size = self.leaves.starts, self.size
        found, leaf = [], 0
        while leaf < len(starts):
            begin = int(starts[leaf])
            after = int(np.searchsorted(starts, begin + max(1, elements), side="right"))
            after = len(starts) if begin + elements >= size else max(leaf + 1, after - 1)
            end = int(starts[after]) if after < len(starts) else size
            first, last = np.searchsorted(self.starts, (begin, end - 1), side="right") - 1
            found.append(
                Block(
                    slice(begin, end),
                    slice(int(first), int(last) + 1),
                    slice(leaf, after),
                    Segments(starts[leaf:after] - begin, end - begin),
                    Segments(np.maximum(self.starts[first : last + 1] - begin, 0), end - begin),
                )
            )
            leaf = after
        return tuple(found)


@dataclass(frozen=True, eq=False)
class Block:
    """Consecutive elements of an axis in segments.

    Attributes
    ----------
    elements, segments, leaves
        The elements; the segments, whole or in part, that they belong to; and their leaves.
    leaves_inside, segments_inside
        The elements of the block alone, in leaves, and in segments.
    """

    elements: slice
    segments: slice
    leaves: slice
    leaves_inside: Segments
    segments_inside: Segments

    def reduce_into(
        self, reduced: np.ndarray, values: np.ndarray, ufunc: np.ufunc = np.add
    ) -> None:
        """Write the leaves' sums of ``values``, (..., elements), to (..., all leaves)."""
        reduced[..., self.leaves] = _reduced(ufunc, values, self.leaves_inside)

    def spread(self, values: np.ndarray) -> np.ndarray:
        """For each element the value of its segment, of values of shape (..., all segments)."""
        if values.shape[-1] == 1:
            return values
        return self.segments_inside.spread(values[..., self.segments])


def _reduced(ufunc: np.ufunc, values: np.ndarray, segments: Segments) -> np.ndarray:
    """The sum of each segment, or what else a ``ufunc`` makes of them, (..., segments).

    NumPy adds the first element to the sum of the others. For many runs, whose neighbours in
    memory are the runs, the same is done for all short segments at once, place by place.
    """
    if segments.alone:
        return values
    if ufunc is np.add and values.shape[:-1] == (1,) and values.dtype == float:
        total = _sums_of_short(values[0], segments)
        if total is not None:
            return total[None]
    if not runs_are_neighbours(values) or segments.some_are_long:
        return ufunc.reduceat(values, segments.starts, axis=-1)
    several, rounds = segments.rounds
    result = np.take(values.T, segments.starts, axis=0, mode="clip")
    others = np.take(values.T, rounds[0][1], axis=0, mode="clip")
    for having, places in rounds[1:]:
        others[having] = ufunc(others[having], np.take(values.T, places, axis=0, mode="clip"))
    result[several] = ufunc(result[several], others)
    return result.T


def _sums_of_short(values: np.ndarray, segments: Segments) -> np.ndarray | None:
    """The sum of each segment, of one run, if most are short and no sum is 0 (of either sign).

    NumPy takes its time for each segment: the others are added up by ``bincount``, in their order.
    """
    if len(segments) < FEW or len(segments) * SHORT < 2 * segments.size:
        return None
    places, of = segments.others
    total = np.bincount(of, np.take(values, places, mode="clip"), len(segments))
    total += np.take(values, segments.starts, mode="clip")
    which, elements, starts = segments.long
    if len(which):
        total[which] = np.add.reduceat(np.take(values, elements, mode="clip"), starts)
    return total if np.all(total) else None


def runs_are_neighbours(values: np.ndarray) -> bool:
    """Whether an array of shape (runs, ...) is in the order of memory for many runs."""
    return values.ndim == 2 and values.flags.f_contiguous and not values.flags.c_contiguous


def gather(values: np.ndarray, places: Places) -> np.ndarray:
    """The elements at ``places`` on the last axis; a view where these are neighbours."""
    if isinstance(places, slice):
        return values[..., places]
    if runs_are_neighbours(values):
        return values.T.take(places, axis=0, mode="clip").T
    return values.take(places, axis=-1, mode="clip")


def pick(values: np.ndarray, places: Any) -> np.ndarray:
    """The elements at one place, (..., 1), or at several, (..., places), on the last axis."""
    return values[..., places : places + 1] if isinstance(places, int) else gather(values, places)


def scatter(values: np.ndarray, places: Places, new: Any) -> None:
    """Write ``new`` to ``places`` on the last axis of ``values``."""
    if values.ndim == 2 and len(values) == 1:  # NumPy is faster with one axis
        values[0][places] = new[0] if np.ndim(new) == 2 else new
    else:
        values[..., places] = new


def joined(parts: Sequence[Any], sizes: np.ndarray) -> Any:
    """One array over the elements of segments from a number, or (..., 1), for each segment.

    The first where all agree, else an array of shape (..., elements).
    """
    first = parts[0]
    if all(part is first for part in parts):
        return first
    if set(map(type, parts)) <= {int, float, np.float64} or not any(map(np.ndim, parts)):
        together = np.array(parts)
    else:
        together = concatenated([np.atleast_1d(part) for part in parts])
    if agree(together):
        return first
    return together if np.all(sizes == 1) else np.repeat(together, sizes, axis=-1)


def concatenated(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Arrays of shapes (..., elements), one after the other; a single one as it is."""
    if len(parts) == 1:
        return parts[0]
    leads = {part.shape[:-1] for part in parts}
    if len(leads) > 1:
        lead = np.broadcast_shapes(*leads)
        parts = [np.broadcast_to(part, (*lead, part.shape[-1])) for part in parts]
    return np.concatenate(parts, axis=-1)


def some(condition: Any) -> bool:
    """Whether a condition holds, or that of some element of an array; quick for one number."""
    return bool(condition.any() if isinstance(condition, np.ndarray) else condition)


def agree(array: np.ndarray) -> bool:
    """Whether all elements of the last axis are equal."""
    return bool(np.all(array == array[..., :1]))


def cut(numbers: Any, places: Places, size: int) -> Any:
    """A part of numbers over ``size`` elements; a number that holds for all of them stays."""
    shape = np.shape(numbers)
    return gather(numbers, places) if size > 1 and shape and shape[-1] == size else numbers


def neighbours(places: np.ndarray) -> Places:
    """``places`` as a slice if each is one more than the last."""
    if len(places) and np.array_equal(places, np.arange(places[0], places[0] + len(places))):
        return slice(int(places[0]), int(places[-1]) + 1)
    return places
