"""Positions of goods and arrows in a drawing of the network: a layered layout (Sugiyama's method).

Columns by distance from the consumer; within a column, each good near its users; an arrow that
passes a column has a position of its own there. All lengths are in inches.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.economy.order import distances

BOX = (1.5, 0.86)
"""Width and height of a box."""

PITCH = 2.7
"""From the centre of a column to the next."""

BOX_SLOT, ARROW_SLOT = 1.34, 0.62
"""Heights reserved in a column for a box and for an arrow that passes."""

MIN_BULGE, MAX_BULGE = 0.3, 0.75
"""How far the turn of an arrow that goes back reaches to the side: that of its curve is 3/4."""

ROW_LENGTH = 6
"""Boxes in a row of a long chain."""

Point = tuple[float, float]

Use = tuple[str, int]
"""An arrow: the good that is produced, and the number of its input."""


@dataclass(frozen=True)
class Layout:
    """Positions of all parts of a drawing.

    Attributes
    ----------
    boxes
        The centre of each good's box.
    routes
        For each use the points of a Bezier curve: a start, and then three a segment.
    labels
        The position of the text at each use.
    """

    boxes: dict[str, Point]
    routes: dict[Use, list[Point]]
    labels: dict[Use, Point]


@dataclass(frozen=True)
class Diagram:
    """Nodes and arrows: of the goods of an economy, or of its families.

    Attributes
    ----------
    nodes
        In topological order.
    inputs
        The nodes that each made node uses.
    components
        The made nodes in topological order, those of a loop together.
    """

    nodes: tuple[str, ...]
    inputs: dict[str, tuple[str, ...]]
    components: tuple[tuple[str, ...], ...]

    @staticmethod
    def of_goods(economy: Economy) -> Diagram:
        """Every good, and every use."""
        return Diagram(
            economy.goods,
            {i.good: i.technology.inputs for i in economy.topological_order},
            tuple(tuple(i.good for i in component) for component in economy.components),
        )

    @property
    def uses(self) -> dict[Use, str]:
        """The node that each arrow comes from."""
        return {
            (node, slot): used
            for node, inputs in self.inputs.items()
            for slot, used in enumerate(inputs)
        }


def layout(diagram: Diagram) -> Layout:
    """The layout of a network; a long chain is folded into rows."""
    column, uses = _columns(diagram), diagram.uses
    one_each = len(set(column.values())) == len(column)
    if (
        one_each
        and len(column) > ROW_LENGTH + 2
        and all(column[user] - column[good] == 1 for (user, _), good in uses.items())
    ):
        return _rows(column, uses)
    heights = _heights(diagram, column, uses)
    boxes = {good: (column[good] * PITCH, heights[good]) for good in diagram.nodes}
    return _routed(boxes, column, uses, heights)


def _columns(diagram: Diagram) -> dict[str, int]:
    """The column of each good, from the left; each good of a loop has a column of its own."""
    distance = distances(
        [[(good, diagram.inputs[good]) for good in part] for part in diagram.components],
        diagram.nodes,
    )
    width = {0: 1}
    for component in diagram.components:
        level = distance[component[0]]
        width[level] = max(width.get(level, 1), len(component))
    deepest = max(distance.values())
    first, position = {}, 0
    for level in range(deepest, -1, -1):
        first[level] = position
        position += width.get(level, 1)
    column = {good: first[distance[good]] for good in diagram.nodes}
    for component in diagram.components:
        for n, good in enumerate(component):
            column[good] += n
    return column


def _passed(column: dict[str, int], good: str, user: str) -> list[int]:
    """The columns that an arrow passes, in its direction.

    One that goes back, as in a loop, passes those of its ends too: it leaves its box on the right,
    as all arrows do, turns, and enters the other box from the left.
    """
    first, last = column[good], column[user]
    return list(range(first + 1, last) if last > first else range(first, last - 1, -1))


def _heights(
    diagram: Diagram, column: dict[str, int], uses: dict[Use, str]
) -> dict[Hashable, float]:
    """The height of each good, and of each arrow in each column that it passes: (use, column).

    An arrow that goes back has its place next to the box that it leaves.
    """
    slots: dict[int, list[Hashable]] = {}
    after: dict[Hashable, list[Hashable]] = {good: [] for good in diagram.nodes}
    beside: dict[Hashable, str] = {}
    for good in reversed(diagram.nodes):
        slots.setdefault(column[good], []).append(good)
    for use, good in uses.items():
        passed = _passed(column, good, use[0])
        chain: list[Hashable] = [(use, x) for x in passed]
        for member, x in zip(chain, passed, strict=True):
            slots.setdefault(x, []).append(member)
        if column[use[0]] > column[good]:
            chain = [good, *chain, use[0]]
        else:
            beside[chain[0]] = good
            chain.reverse()
        for here, there in pairwise(chain):
            after.setdefault(here, []).append(there)
    height: dict[Hashable, float] = {}
    for x in sorted(slots, reverse=True):
        members = slots[x]
        centre = {
            m: float(np.mean([height[n] for n in after.get(m, ()) if n in height] or [0.0]))
            for m in members
        }
        place = {m: n for n, m in enumerate(members)}

        def order(member: Hashable, centre: Any = centre, place: Any = place) -> Any:
            box = beside.get(member, member)
            return -centre[box], not isinstance(box, str), place[box], place[member]

        members.sort(key=order)
        sizes = [BOX_SLOT if isinstance(m, str) else ARROW_SLOT for m in members]
        y = sum(sizes) / 2
        for member, size in zip(members, sizes, strict=True):
            height[member] = y - size / 2
            y -= size
    return height


def _ports(ends: list[tuple[Use, float]], centre: float) -> dict[Use, float]:
    """Heights of the arrows along one side of a box, in the order of their other ends."""
    ordered = [use for use, _ in sorted(ends, key=lambda end: -end[1])]
    gap = min(0.3, 0.7 * BOX[1] / max(1, len(ordered) - 1))
    return {use: centre + gap * ((len(ordered) - 1) / 2 - n) for n, use in enumerate(ordered)}


def _routed(
    boxes: dict[str, Point],
    column: dict[str, int],
    uses: dict[Use, str],
    heights: dict[Hashable, float],
) -> Layout:
    """The curves and their labels between boxes that are placed."""
    outgoing: dict[str, list[tuple[Use, float]]] = {}
    incoming: dict[str, list[tuple[Use, float]]] = {}
    for use, good in uses.items():
        user, passed = use[0], _passed(column, good, use[0])
        first, last = (heights[(use, passed[n])] if passed else 0.0 for n in (0, -1))
        outgoing.setdefault(good, []).append((use, first if passed else heights[user]))
        incoming.setdefault(user, []).append((use, last if passed else heights[good]))
    leave = {u: y for g, ends in outgoing.items() for u, y in _ports(ends, boxes[g][1]).items()}
    along = {
        use: 0.42 if len(ends) == 1 else 0.3 + 0.42 * n / (len(ends) - 1)
        for good, ends in outgoing.items()
        for n, use in enumerate(_ports(ends, boxes[good][1]))
    }
    enter = {u: y for g, ends in incoming.items() for u, y in _ports(ends, boxes[g][1]).items()}
    routes, labels = {}, {}
    half = BOX[0] / 2
    for use, good in uses.items():
        user = use[0]
        side = half if column[user] > column[good] else -half
        points = [(boxes[good][0] + half, leave[use])]
        for x in _passed(column, good, user):
            y = heights[(use, x)]
            points += [(x * PITCH - side, y), (x * PITCH + side, y)]
        points.append((boxes[user][0] - half, enter[use]))
        routes[use] = _curve(points)
        labels[use] = _spot(points, along[use])
    return Layout(boxes, routes, labels)


def _spot(points: list[Point], t: float) -> Point:
    """The position of a label: at the first column that is passed, or else at fraction t."""
    if len(points) > 2:
        return ((points[1][0] + points[2][0]) / 2, points[1][1])
    (x0, y0), (x1, y1) = points
    ease = 3 * t**2 - 2 * t**3
    return (x0 + t * (x1 - x0), y0 + ease * (y1 - y0))


def _curve(points: list[Point]) -> list[Point]:
    """A Bezier curve through ``points``, horizontal at each of them.

    Where it turns back, beside a box, it bulges more the farther it goes.
    """
    curve = [points[0]]
    for n, ((x0, y0), (x1, y1)) in enumerate(pairwise(points)):
        middle = (x0 + x1) / 2
        if x0 == x1:
            bulge = min(MAX_BULGE, MIN_BULGE + 0.25 * abs(y1 - y0))
            middle += bulge if n == 0 else -bulge
        curve += [(middle, y0), (middle, y1), (x1, y1)]
    return curve


def _rows(column: dict[str, int], uses: dict[Use, str]) -> Layout:
    """A long chain in rows that run left to right and right to left in turn."""
    boxes = {}
    for good, x in column.items():
        line, rest = divmod(x, ROW_LENGTH)
        place = rest if line % 2 == 0 else ROW_LENGTH - 1 - rest
        boxes[good] = (place * PITCH, -line * BOX_SLOT)
    routes, labels = {}, {}
    for use, good in uses.items():
        (x0, y0), (x1, y1) = boxes[good], boxes[use[0]]
        reach = np.array([np.sign(x1 - x0) * BOX[0] / 2, np.sign(y1 - y0) * BOX[1] / 2])
        start, end = np.array([x0, y0]) + reach, np.array([x1, y1]) - reach
        points = [start, start * 2 / 3 + end / 3, start / 3 + end * 2 / 3, end]
        routes[use] = [(float(x), float(y)) for x, y in points]
        labels[use] = (float((x0 + x1) / 2), float((y0 + y1) / 2))
    return Layout(boxes, routes, labels)
