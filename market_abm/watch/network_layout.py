"""Where the network figure of the page draws goods and flows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.runs.start import start_runs
from market_abm.views.family_network import FamilyNetwork
from market_abm.views.layout import BOX, Diagram, Use, layout
from market_abm.views.plots.flows import Flows, bent
from market_abm.views.words.families import family_text
from market_abm.views.words.lines import all_shortened, shortened
from market_abm.watch.session import Session

Drawn = tuple[
    Sequence[str],
    dict[str, Any],
    dict[str, Any],
    list[tuple[Use, ...]],
    tuple[tuple[float, float], tuple[float, float]],
]
"""Goods; columns of nodes and of flows; the uses that each flow sums up; ranges of x and y."""

Boxes = tuple[
    Sequence[str],
    dict[str, Any],
    dict[str, Any],
    tuple[tuple[float, float], tuple[float, float]],
]
"""Names; columns of nodes and of flows, with their ``uses``; ranges of x and y."""


def small_network(economy: Economy) -> Drawn:
    """All goods as boxes, placed as in all pictures of networks."""
    full = {good: economy.label(good) for good in economy.goods}
    goods, nodes, flows, ranges = boxes(Diagram.of_goods(economy), full)
    return goods, nodes, flows, [(use,) for use in flows.pop("uses")], ranges


def boxes(diagram: Diagram, full: Mapping[str, str], most: int = 18) -> Boxes:
    """Nodes as boxes with names of ``most`` letters, and arrows; ``full`` are names in tooltips."""
    plan = layout(diagram)
    names = list(plan.boxes)
    x, y = np.array(list(plan.boxes.values())).T
    uses, short = list(plan.routes), all_shortened(names, most)
    curves = [_sampled(np.array(plan.routes[use]), 3) for use in uses]
    points = np.concatenate(
        [np.concatenate(curves) if curves else np.zeros((0, 2)), _corners(x, y)]
    )
    nodes = {
        "x": x,
        "y": y,
        "above": y + 0.24,
        "below": y - 0.22,
        "name": [short[name] for name in names],
        "full": [full[name] for name in names],
    }
    labels = np.array([plan.labels[use] for use in uses]).reshape(-1, 2)
    flows = {**_arrows(curves), "label_x": labels[:, 0], "label_y": labels[:, 1], "uses": uses}
    low, high = points.min(axis=0) - 0.15, points.max(axis=0) + 0.15
    return names, nodes, flows, ((low[0], high[0]), (low[1], high[1]))


def family_boxes(network: FamilyNetwork) -> Boxes:
    """All families as boxes."""
    families = network.families
    full = {label: family_text(family) for label, family in families.items()}
    goods, nodes, flows, ranges = boxes(network.diagram, full, 15)
    del flows["uses"]
    return goods, nodes, flows, ranges


def _corners(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    half = np.array(BOX) / 2.0
    centres = np.stack([x, y], axis=1)
    return np.concatenate([centres - half, centres + half])


def large_network(session: Session) -> Drawn:
    """The largest industries as circles, and the largest flows between them after some steps."""
    largest = _largest_flows(session)
    economy = session.economy
    places = largest.places()
    centres = np.array([places[k] for k in range(len(largest.goods))]) * (1.6, 1.0)
    x, y = centres.T
    sales = np.linspace(1.0, 0.4, len(largest.goods)) * 0.16  # by rank, the largest first
    ends = [[(centres[k], float(sales[k])) for k in pair[:2]] for pair in largest.flows]
    curves = [_sampled(bent(each), 2) for each in ends]
    names = [shortened(economy.label(good), 34) for good in largest.goods]
    nodes = {
        "x": x,
        "y": y,
        "radius": sales,
        "left_x": np.where(x < 0, x - sales - 0.06, np.nan),
        "right_x": np.where(x < 0, np.nan, x + sales + 0.06),
        "name": names,
        "full": [economy.label(good) for good in largest.goods],
    }
    inputs = {industry.good: industry.technology.inputs for industry in economy.topological_order}
    uses: list[tuple[Use, ...]] = [
        tuple(
            (largest.goods[buyer], slot)
            for slot, good in enumerate(inputs[largest.goods[buyer]])
            if good == largest.goods[seller]
        )
        for seller, buyer, _ in largest.flows
    ]
    return largest.goods, nodes, _arrows(curves), uses, ((-5.6, 5.6), (-3.1, 3.1))


def _largest_flows(session: Session, steps: int = 10) -> Flows:
    """The largest flows after some steps of another run: at step 0 there are no payments."""
    market, _ = start_runs([session.experiment], engine=session.experiment.run.engine)
    for _ in range(steps):
        market.step()
    return Flows.at(session.experiment, market.state.select_runs(0))


def _sampled(curve: np.ndarray, degree: int, points: int = 24) -> np.ndarray:
    """Points on a Bézier curve with segments of a ``degree``, shape (``points`` a segment, 2)."""
    t = np.linspace(0.0, 1.0, points)[:, None]
    sampled = []
    for k in range(0, len(curve) - 1, degree):
        part = list(curve[k : k + degree + 1])
        while len(part) > 1:  # de Casteljau's algorithm
            part = [(1.0 - t) * a + t * b for a, b in pairwise(part)]
        sampled.append(part[0])
    return np.concatenate(sampled)


def _arrows(curves: list[np.ndarray]) -> dict[str, Any]:
    """Columns of the lines, and of the places and angles of their heads."""
    ends = np.array([curve[-1] for curve in curves]).reshape(-1, 2)
    directions = np.array([curve[-1] - curve[-5] for curve in curves]).reshape(-1, 2)
    lengths = np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-9)
    ends = ends - 0.06 * directions / lengths  # so that the tip of a head is at the end
    return {
        "xs": [curve[:, 0] for curve in curves],
        "ys": [curve[:, 1] for curve in curves],
        "x": ends[:, 0],
        "y": ends[:, 1],
        "angle": np.arctan2(directions[:, 1], directions[:, 0]) - np.pi / 2.0,
    }
