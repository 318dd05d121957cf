"""The inputs of a group of firms: where they are among all buyers, and what they buy.

Arrays over buyers, goods or entries have leading axes, such as runs: shape (..., buyers).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, Literal

import numpy as np

from market_abm.language.segments import (
    BLOCK,
    Places,
    cut,
    gather,
    neighbours,
    pick,
    runs_are_neighbours,
    scatter,
)

MIN_TABLE = BLOCK // 2
"""Links of firms that buy the same goods from which these are kept as a table of their own."""

TABLE_BLOCK = 8 * BLOCK
"""Links of a table that are worked on at a time: fewer would have short rows."""

MAX_PIECES = 8
"""Pieces of a table up to which that is faster than by indices."""


@dataclass(frozen=True, eq=False)
class Slot:
    """An input of a group, or all links of its firms.

    Attributes
    ----------
    buyers
        The place of each entry among the buyers.
    good
        The index in ``Economy.goods`` of the good that it buys: one for all, or shape (entries,).
    entries
        The place of the slot in an array of all entries of all groups.
    """

    buyers: Places
    good: Any
    entries: slice

    @property
    def size(self) -> int:
        """The number of entries."""
        return self.entries.stop - self.entries.start

    def part(self, entries: slice) -> Slot:
        """Some of its entries."""
        if isinstance(self.buyers, slice):
            first = self.buyers.start
            buyers: Places = slice(first + entries.start, first + entries.stop)
        else:
            buyers = self.buyers[entries]
        first = self.entries.start
        return Slot(
            buyers,
            cut(self.good, entries, self.size),
            slice(first + entries.start, first + entries.stop),
        )

    def of(self, values: np.ndarray) -> np.ndarray:
        """Its part of ``values`` of all buyers, shape (..., entries)."""
        return gather(values, self.buyers)

    def write(self, values: np.ndarray, new: Any) -> None:
        """Write what is ``new`` of its entries into ``values`` of all buyers."""
        scatter(values, self.buyers, new)

    def delivered(
        self, shares: np.ndarray, quantities: np.ndarray, out: np.ndarray | None = None
    ) -> np.ndarray:
        """Units of what each entry buys: ``shares`` of all buyers, ``quantities`` of all goods."""
        return np.multiply(gather(shares, self.buyers), pick(quantities, self.good), out=out)

    def put(self, own: np.ndarray, places: np.ndarray, new: np.ndarray) -> None:
        """Write what is ``new``, (..., places), to some places among its ``own`` entries."""
        scatter(own, places, new)

    def room(self, entries: np.ndarray) -> np.ndarray:
        """Its part, a view, of an array over the entries of all groups."""
        return entries[..., self.entries]


@dataclass(frozen=True, eq=False)
class OutputSlot(Slot):
    """The activity that outputs take of those lines that divide it.

    Attributes
    ----------
    partners
        The same for each of the line's outputs: what the first gets, what the second gets, ...
    """

    partners: tuple[Slot, ...] = ()

    @staticmethod
    def with_partners(slot: Slot, good: np.ndarray, outputs: int) -> OutputSlot:
        """The slot of lines that are each one of so many outputs.

        ``good`` is the good that each buyer buys, (buyers,): those of an activity are its outputs.
        """
        first = np.searchsorted(good, np.broadcast_to(slot.good, slot.size))
        partners = tuple(replace(slot, buyers=first + k) for k in range(outputs))
        return OutputSlot(slot.buyers, slot.good, slot.entries, partners)

    def part(self, entries: slice) -> OutputSlot:
        """Some of its entries."""
        own = super().part(entries)
        partners = tuple(each.part(entries) for each in self.partners)
        return OutputSlot(own.buyers, own.good, own.entries, partners)


@dataclass(frozen=True, eq=False)
class Table:
    """All links of firms that buy the same goods, with the interface of :class:`Slot`.

    What belongs to its links has shape (inputs, ..., firms).

    Attributes
    ----------
    first
        The place among the buyers of each input of the first firm; the next firms follow it.
    good
        The index in ``Economy.goods`` of what each input is, shape (inputs,).
    entries
        The place of the whole table in an array of all entries of all groups, input after input.
    firms
        The number of firms of the whole table.
    members
        Those in this part of it.
    pieces
        Inputs that are at equal distances among the buyers; where these are; and the distance.
    """

    first: np.ndarray
    good: np.ndarray
    entries: slice
    firms: int
    members: slice
    pieces: tuple[tuple[slice, slice, int], ...]

    @staticmethod
    def of_places(places: np.ndarray, good: np.ndarray, first_entry: int) -> Table | None:
        """A table of buyers at ``places``, shape (inputs, firms), if that is worth it."""
        firms = places.shape[1]
        if places.size < MIN_TABLE or np.any(places != places[:, :1] + np.arange(firms)):
            return None
        pieces = tuple(_pieces(places[:, 0], firms))
        if len(pieces) > MAX_PIECES:
            return None
        entries = slice(first_entry, first_entry + places.size)
        return Table(places[:, 0], good, entries, firms, slice(0, firms), pieces)

    @property
    def size(self) -> int:
        """The number of links."""
        return len(self.first) * (self.members.stop - self.members.start)

    @property
    def buyers(self) -> np.ndarray:
        """The place of each link among the buyers, shape (links,), input after input."""
        own = np.arange(self.members.start, self.members.stop)
        return np.add.outer(self.first, own).ravel()

    def part(self, members: slice) -> Table:
        """That of some of its firms."""
        first = self.members.start
        return replace(self, members=slice(first + members.start, first + members.stop))

    def of(self, values: np.ndarray) -> np.ndarray:
        """Its part of ``values`` of all buyers, shape (inputs, ..., firms)."""
        result = self._empty(values)
        for inputs, view in self._views(values):
            result[inputs] = view
        return result

    def write(self, values: np.ndarray, new: Any) -> None:
        """Write what is ``new`` of its links into ``values`` of all buyers."""
        for inputs, view in self._views(values):
            view[...] = new[inputs]

    def delivered(
        self, shares: np.ndarray, quantities: np.ndarray, out: np.ndarray | None = None
    ) -> np.ndarray:
        """Units of what each link buys: ``shares`` of all buyers, ``quantities`` of all goods."""
        result = self._empty(shares) if out is None else out
        on_sale = np.moveaxis(gather(quantities, self.good), -1, 0)[..., None]
        for inputs, view in self._views(shares):
            np.multiply(view, on_sale[inputs], out=result[inputs])
        return result

    def put(self, own: np.ndarray, places: np.ndarray, new: np.ndarray) -> None:
        """Write what is ``new``, (..., places), to some places, as of ``buyers``, of its links."""
        inputs, firms = np.divmod(places, self.members.stop - self.members.start)
        own[inputs, ..., firms] = np.moveaxis(new, -1, 0)

    def room(self, entries: np.ndarray) -> np.ndarray:
        """Its part, a view, of an array over the entries of all groups."""
        own = entries[..., self.entries]
        table = own.reshape(*own.shape[:-1], len(self.first), self.firms)
        return np.moveaxis(table[..., self.members], -2, 0)

    def _empty(self, like: np.ndarray) -> np.ndarray:
        order: Literal["C", "F"] = "F" if runs_are_neighbours(like) else "C"
        shape = *like.shape[:-1], len(self.first), self.members.stop - self.members.start
        return np.moveaxis(np.empty(shape, like.dtype, order=order), -2, 0)

    def _views(self, values: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """Inputs at equal distances, and the values there, shape (inputs, ..., firms)."""
        for inputs, own, step in self.pieces:
            parts = values[..., own].reshape(*values.shape[:-1], -1, step)
            yield inputs, np.moveaxis(parts[..., step - self.firms :][..., self.members], -2, 0)


def _pieces(first: np.ndarray, firms: int) -> Iterator[tuple[slice, slice, int]]:
    """Inputs at equal distances; the places from the end of the one before to the last firm's."""
    steps, begin = np.diff(first), 0
    while begin < len(first):
        step = int(steps[begin]) if begin < len(steps) else firms
        unlike = np.flatnonzero(steps[begin:] != step)
        end = begin + int(unlike[0]) + 1 if len(unlike) else len(first)
        place = int(first[begin]) + firms - step
        if step < firms or place < 0:
            end, step, place = begin + 1, firms, int(first[begin])
        yield slice(begin, end), slice(place, place + (end - begin) * step), step
        begin = end


AnySlot = Slot | Table


def taken(slots: Sequence[AnySlot], delivered: Callable[[Any], Any]) -> list[Any]:
    """The units of each slot, and of an activity that is divided also those of all its outputs.

    ``delivered(slot)`` are the units of an input, one an entry.
    """
    several = [slot.partners for slot in slots if isinstance(slot, OutputSlot)]
    totals = [reduce(np.add, map(delivered, partners)) for partners in several]
    return [*map(delivered, slots), *totals]


def plain(places: np.ndarray, good: Any, first_entry: int) -> Slot:
    """A slot of buyers at ``places``, shape (entries,), whose entries begin at ``first_entry``."""
    return Slot(neighbours(places), good, slice(first_entry, first_entry + len(places)))
