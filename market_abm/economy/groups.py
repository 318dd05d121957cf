"""Lines that are alike, computed together: the network as a few arrays.

A *group* is the lines of one formula, whatever their goods, their numbers and the number of their
firms; lines of many inputs (``NestedCES``) are groups, too, whatever their inputs. A *member* is
one firm of a line. Members stand line after line. The inputs of a group are its *slots*: arrays of
one entry per member, or, with many inputs, one array of all links, member after member.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from market_abm.economy.buyers import Buyers
from market_abm.economy.industry import Industry
from market_abm.economy.slots import TABLE_BLOCK, AnySlot, OutputSlot, Slot, Table, plain, taken
from market_abm.economy.technology import Technology
from market_abm.language.collector import no_collection
from market_abm.language.segments import (
    BLOCK,
    Block,
    Places,
    Segments,
    agree,
    concatenated,
    cut,
    joined,
    neighbours,
)


@dataclass(frozen=True, eq=False)
class Group:
    """The firms of lines that are alike, or some of them.

    Arrays over members have shape (..., members), or (..., 1) where all members agree; they have
    the axis of runs that the economy has.

    Attributes
    ----------
    technology
        The lines as one, whose parameters are arrays over members.
    lines
        The lines' places in the topological order, shape (lines,).
    goods
        The indices in ``Economy.goods`` of the goods that they make, shape (lines,).
    members
        The members, in segments by line.
    slots
        The inputs.
    links
        The entries of a slot in segments by member; None if a slot has one entry per member.
    weights, productivity, bid_noise
        w, z and ν of the members.
    cournot
        Whether their firms have market power.
    household
        Whether the lines are households.
    endowed
        Units of their goods that households own, shape (..., lines) or one number, or None.
    place
        The place of the members in an array of all members of all groups.
    """

    technology: Technology
    lines: np.ndarray
    goods: np.ndarray
    members: Segments
    slots: tuple[AnySlot, ...]
    links: Segments | None
    weights: Any
    productivity: Any
    bid_noise: Any
    cournot: bool
    household: bool
    endowed: Any
    place: slice

    @property
    def size(self) -> int:
        """The number of members."""
        return self.members.size

    @cached_property
    def good(self) -> Any:
        """The index of the good that each member makes: one for all, or shape (members,)."""
        return int(self.goods[0]) if len(self.goods) == 1 else self.goods[self.members.of]

    @cached_property
    def made(self) -> Places:
        """The places of ``goods``: a slice where they are neighbours."""
        return neighbours(self.goods)

    @cached_property
    def _scale(self) -> Any:
        """The factor z w of the output of each member."""
        return self.productivity * self.weights

    @cached_property
    def _whole(self) -> bool:
        """Whether every member is the only firm of its line."""
        return np.size(self.weights) == 1 and bool(np.all(np.equal(self.weights, 1.0)))

    @cached_property
    def scaled(self) -> bool:
        """Whether the productivity of some member is not 1."""
        return bool(np.any(np.not_equal(self.productivity, 1.0)))

    @cached_property
    def noisy(self) -> bool:
        """Whether some members err in their valuations."""
        return bool(np.any(np.greater(self.bid_noise, 0.0)))

    def to_entries(self, values: Any) -> Any:
        """Values of the members, (..., members) or one for all, for the entries of a slot."""
        if self.links is None or np.shape(values)[-1:] != (self.size,):
            return values
        return self.links.spread(values)

    def production(
        self, inputs: Sequence[Any], out: Sequence[np.ndarray] | None = None
    ) -> tuple[Any, Sequence[Any]]:
        """What each member makes, f_i(x) = z w f(x/w), and ∂f_i/∂x.

        Parameters
        ----------
        inputs
            Units x, one array of shape (..., entries) for each slot; as of ``taken``.
        out
            Where to write the marginal products, if given.

        Returns
        -------
        output
            Units, shape (..., members).
        products
            Marginal products, one array of shape (..., entries) for each slot; output and products
            may be single numbers where they do not depend on the inputs.
        """
        if not self._whole:
            weights = self.to_entries(self.weights)
            inputs = [x / weights for x in inputs]
        if not self.technology.vectorized:
            made, products = self.technology.production(inputs)
        else:
            made, of_links = self.technology.production(inputs[0])
            products = [of_links]
        if out is None and not self.scaled:
            return self._scale * made, products
        productivity = self.to_entries(self.productivity)
        if out is None:
            products = [productivity * product for product in products]
        else:
            for product, array in zip(products, out, strict=True):
                np.multiply(productivity, product, out=array)
            products = out
        return self._scale * made, products

    def contributions(self, delivered: Callable[..., np.ndarray], entries: np.ndarray) -> Any:
        """What each member makes, and of it what all units of each input make: x ∂f_i/∂x.

        Parameters
        ----------
        delivered
            ``delivered(slot, out=None)`` are the units of an input, one an entry; in ``out``.
        entries
            Where to write x ∂f_i/∂x, units of the output, shape (..., entries of all groups).

        Returns
        -------
        output
            Units, shape (..., members), or a single number.
        """
        room = [slot.room(entries) for slot in self.slots]
        technology: Any = self.technology
        if not technology.vectorized:
            inputs = taken(self.slots, delivered)
            output, products = self.production(inputs, room if self.scaled else None)
            for own, product, units in zip(room, products, inputs, strict=False):
                np.multiply(product, units, out=own)
            return output
        (slot,), (own,) = self.slots, room
        weights = self.to_entries(self.weights)
        delivered(slot, own)
        if not self._whole:
            own /= weights
        output = technology.contributions(own)
        lost = np.isnan(output)
        if lost.any():
            units = delivered(slot) / weights
            made, products = technology.production(units)
            np.copyto(own, products * units, where=self.to_entries(lost))
            output = np.where(lost, made, output)
        if self._whole and not self.scaled:
            return output
        own *= self.to_entries(self._scale)
        return self._scale * output

    def outputs(self, leaves: np.ndarray) -> np.ndarray:
        """What there is of the good of each line, (..., lines), from sums over its members.

        ``leaves`` are of ``members``, shape (..., leaves).
        """
        made = self.members.of_leaves(leaves)
        return made if self.endowed is None else made + self.endowed

    def blocks(self, runs: int) -> tuple[tuple[Group, Block], ...]:
        """The group in parts that fit into the cache, with the members of each."""
        if runs not in self._blocks:
            self._blocks[runs] = self._cut(runs)
        return self._blocks[runs]

    @cached_property
    def _blocks(self) -> dict[int, tuple[tuple[Group, Block], ...]]:
        return {}

    def _cut(self, runs: int) -> tuple[tuple[Group, Block], ...]:
        width = self.slots[0].size // self.size if self.slots else 1  # 1 but with many inputs
        largest = BLOCK if width == 1 or self.links else TABLE_BLOCK
        parts = self.members.blocks(max(1, largest // (runs * width)))
        return tuple(
            (self.part(part.elements, part.segments, part.segments_inside), part) for part in parts
        )

    def of_lines(self, first: int, last: int) -> Group:
        """The lines from ``first`` up to ``last``."""
        inside = self.members.part(first, last)
        start = int(self.members.starts[first])
        return self.part(slice(start, start + inside.size), slice(first, last), inside)

    def part(self, members: slice, lines: slice, inside: Segments) -> Group:
        """Some members, of ``lines``; ``inside`` are these members in segments by line."""
        if inside.size == self.size:
            return self
        links, entries = None, members
        if self.links is not None:
            links = self.links.part(members.start, members.stop)
            first = int(self.links.starts[members.start])
            entries = slice(first, first + links.size)
        return Group(
            technology=self.technology.part(members, self.size),
            lines=self.lines[lines],
            goods=self.goods[lines],
            members=inside,
            slots=tuple(slot.part(entries) for slot in self.slots),
            links=links,
            weights=cut(self.weights, members, self.size),
            productivity=cut(self.productivity, members, self.size),
            bid_noise=cut(self.bid_noise, members, self.size),
            cournot=self.cournot,
            household=self.household,
            endowed=cut(self.endowed, lines, len(self.lines)),
            place=slice(self.place.start + members.start, self.place.start + members.stop),
        )


class Network:
    """The lines of an economy in groups.

    Parameters
    ----------
    industries
        In topological order.
    raw
        The number of raw goods; the goods made follow them, in topological order.
    buyers
        The layout of arrays over buyers.
    """

    def __init__(self, industries: Sequence[Industry], raw: int, buyers: Buyers) -> None:
        self.industries, self.raw, self.buyers = industries, raw, buyers

    @cached_property
    def level(self) -> np.ndarray:
        """The level of each line, shape (lines,): lines of one level may act at the same time.

        It is above those of the lines before it that make its inputs, and not below those of the
        lines before it that use its good (in a loop, they get the batch of the step before).
        """
        place = {industry.good: k for k, industry in enumerate(self.industries)}
        level, least = [0] * len(place), [0] * len(place)
        for k, industry in enumerate(self.industries):
            makers = [place[good] for good in industry.technology.inputs if good in place]
            level[k] = max([least[k], *(level[m] + 1 for m in makers if m < k)])
            for later in makers:
                if later > k:
                    least[later] = max(least[later], level[k])
        return np.array(level, int)

    @cached_property
    @no_collection()
    def groups(self) -> tuple[Group, ...]:
        """All lines in groups, in each by level."""
        return self.grouped(np.argsort(self.level, kind="stable").tolist())

    def grouped(self, lines: Iterable[int]) -> tuple[Group, ...]:
        """Some lines in groups, in each in this order; ``entries`` are of these lines alone."""
        found: list[Group] = []
        entries = members = 0
        for each in self._alike(lines):
            found.append(self._together(each, entries, members))
            entries += sum(slot.size for slot in found[-1].slots)
            members += found[-1].size
        return tuple(found)

    @cached_property
    def levels(self) -> tuple[tuple[Group, ...], ...]:
        """The same lines, level by level, upstream first."""
        found: list[list[Group]] = [[] for _ in range(int(self.level.max()) + 1)]
        for group in self.groups:
            levels = self.level[group.lines]
            starts = np.flatnonzero(np.diff(levels, prepend=-1))
            for first, last in zip(starts, [*starts[1:], len(levels)], strict=True):
                found[levels[first]].append(group.of_lines(int(first), int(last)))
        return tuple(map(tuple, found))

    @cached_property
    def late(self) -> np.ndarray:
        """Mask of the buyers in loops whose firms produce before their input is renewed.

        One for all, shape (1,), if there are none.
        """
        level = np.concatenate([np.full(self.raw, -1), self.level])
        starts, goods, makers = self.buyers.places_of_uses
        late = level[makers] <= level[goods]
        return np.repeat(late, np.diff(starts, append=self.buyers.size)) if late.any() else late[:1]

    @cached_property
    def entries(self) -> Places:
        """The buyer of each entry of all groups, shape (buyers,); a slice if in their order."""
        places = [np.arange(self.buyers.size)[slot.buyers] for g in self.groups for slot in g.slots]
        return neighbours(np.concatenate([np.zeros(0, int), *places]))

    def _together(self, lines: list[int], first_entry: int, first_member: int) -> Group:
        """These lines as a group, whose entries and members follow those of others."""
        industries = [self.industries[k] for k in lines]
        firms = np.array([industry.firms for industry in industries])
        members = Segments.of_sizes(firms)
        technologies = [industry.technology for industry in industries]
        kind, links = type(technologies[0]), None
        slots: tuple[AnySlot, ...]
        if not technologies[0].vectorized:
            slots, technology = (
                self._slots(lines, members, first_entry),
                kind.together(technologies, firms),
            )
        elif table := self._table(lines, first_entry):
            slots, technology = (table,), kind.as_table(technologies, firms)
        else:
            inputs = np.array([len(each.inputs) for each in technologies])
            links = Segments.of_sizes(np.repeat(inputs, firms))
            slots, technology = (
                (self._links(lines, first_entry),),
                kind.together(technologies, firms),
            )
        populations = [industry.population for industry in industries]
        return Group(
            technology=technology,
            lines=np.array(lines),
            goods=self.raw + np.array(lines),
            members=members,
            slots=slots,
            links=links,
            weights=_of_firms([industry.weights for industry in industries]),
            productivity=_of_firms([industry.productivity for industry in industries]),
            bid_noise=joined([each.bid_noise for each in populations], firms),
            cournot=populations[0].conduct == "cournot",
            household=industries[0].household,
            endowed=_endowed([industry.endowed for industry in industries]),
            place=slice(first_member, first_member + members.size),
        )

    def _slots(self, lines: list[int], members: Segments, first_entry: int) -> tuple[Slot, ...]:
        """The inputs of lines of one formula."""
        found, technology = [], self.industries[lines[0]].technology
        for k in range(len(technology.inputs)):
            uses = self.buyers.first_uses[lines] + k
            starts, bought = self.buyers.starts_of_uses[uses], self.buyers.bought[uses]
            places = np.repeat(starts - members.starts, members.sizes) + np.arange(members.size)
            good = joined(bought.tolist(), members.sizes)
            found.append(plain(places, good, first_entry + k * members.size))
        if technology.divides:
            return (OutputSlot.with_partners(found[0], self.buyers.good, technology.outputs),)
        return tuple(found)

    def _places(self, lines: Sequence[int]) -> list[np.ndarray]:
        """The places among the buyers of the inputs of lines, each (inputs, firms)."""
        of_industry = self.buyers.of_industry
        return [of_industry[self.industries[k].good] for k in lines]

    def _links(self, lines: list[int], first_entry: int) -> Slot:
        """The inputs of lines of many inputs, firm after firm."""
        places = [each.T.ravel() for each in self._places(lines)]
        goods = [np.tile(self._bought(k), self.industries[k].firms) for k in lines]
        return plain(np.concatenate(places), np.concatenate(goods), first_entry)

    def _bought(self, line: int) -> np.ndarray:
        """The goods that a line reads."""
        first = self.buyers.first_uses[line]
        return self.buyers.bought[first : first + len(self.industries[line].technology.inputs)]

    def _table(self, lines: list[int], first_entry: int) -> Table | None:
        """The inputs of lines of many inputs as a table, if they buy the same goods."""
        inputs = {self.industries[k].technology.inputs for k in lines}
        if len(inputs) > 1:
            return None
        places = np.concatenate(self._places(lines), axis=1)
        return Table.of_places(places, self._bought(lines[0]), first_entry)

    def _alike(self, lines: Iterable[int]) -> list[list[int]]:
        """Lines by what they have in common; apart those that a table can hold."""
        alike: dict[Hashable, list[int]] = {}
        for k in lines:
            industry = self.industries[k]
            key = industry.technology.kind, industry.population.conduct, industry.household
            alike.setdefault(key, []).append(k)
        found: list[list[int]] = []
        for each in alike.values():
            same: dict[Hashable, list[int]] = {}
            if self.industries[each[0]].technology.vectorized:
                for k in each:
                    same.setdefault(self.industries[k].technology.layout, []).append(k)
            tables = [own for own in same.values() if self._table(own, 0)]
            inside = {k for own in tables for k in own}
            others = [k for k in each if k not in inside]
            found += [*tables, *([others] if others else [])]
        return found


def _endowed(units: Sequence[Any]) -> Any:
    """What households own of the goods of lines, (..., lines) or one number; None if nothing."""
    together = joined(units, np.ones(len(units), int))
    return together if np.any(together) else None


def _of_firms(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """The firms of lines one after the other, (..., members), or (..., 1) if all are equal."""
    together = concatenated(arrays)
    return together[..., :1].copy() if agree(together) else together
