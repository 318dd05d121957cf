"""The network of the families of an economy: what any member uses, its family uses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from market_abm.economy.economy import Economy
from market_abm.economy.families import Family
from market_abm.economy.order import topological_components
from market_abm.runs.families import MAX_LISTED_GOODS, shown_families
from market_abm.views.layout import Diagram, Use
from market_abm.views.words.households import together

MAX_ARROWS = 60
"""Arrows between families up to which they can be drawn."""

MAX_HOUSEHOLDS = 8
"""Households up to which each can be drawn."""


@dataclass(frozen=True, eq=False)
class FamilyNetwork:
    """Families and the uses between them.

    Attributes
    ----------
    families
        The families by label.
    diagram
        Their network; a family whose members use each other uses itself.
    counts
        For each arrow, the number of uses that it stands for, in the order of ``diagram.uses``.
    arrow
        The arrow of each buyer, shape (buyers,).
    """

    families: dict[str, Family]
    diagram: Diagram
    counts: dict[Use, int]
    arrow: np.ndarray

    @staticmethod
    def of(economy: Economy, families: Sequence[Family]) -> FamilyNetwork:
        """The network of ``families``, which have every good of the economy once."""
        labels = [family.label for family in families]
        count, of_good = len(labels), np.empty(len(economy.goods), int)
        for k, family in enumerate(families):
            of_good[family.places] = k
        uses, buyers = economy.uses, economy.buyers
        pairs, number = np.unique(
            of_good[uses.maker] * count + of_good[uses.good], return_counts=True
        )
        made = of_good[len(economy.supply) :]
        inputs: dict[str, tuple[str, ...]] = {labels[k]: () for k in dict.fromkeys(made.tolist())}
        for pair in pairs.tolist():
            user, used = divmod(pair, count)
            inputs[labels[user]] += (labels[used],)
        names = tuple(inputs)
        components = tuple(
            tuple(names[k] for k in component)
            for component in topological_components(tuple(inputs.items()))
        )
        order = [label for component in components for label in component]
        diagram = Diagram(
            (*(label for label in labels if label not in inputs), *order),
            {label: inputs[label] for label in order},
            components,
        )
        place = {pair: k for k, pair in enumerate(pairs.tolist())}
        index, rank, counts = {label: k for k, label in enumerate(labels)}, {}, {}
        for n, (use, used) in enumerate(diagram.uses.items()):
            k = place[index[use[0]] * count + index[used]]
            rank[k], counts[use] = n, int(number[k])
        ranks = np.array([rank[k] for k in range(len(pairs))], int)
        own = np.searchsorted(pairs, of_good[buyers.maker] * count + of_good[buyers.good])
        return FamilyNetwork(dict(zip(labels, families, strict=True)), diagram, counts, ranks[own])

    @staticmethod
    def shown(economy: Economy) -> FamilyNetwork | None:
        """The network of the families that figures show; None if they show goods, or no arrows.

        Many households are one family, if all goods can be shown.
        """
        families = shown_families(economy) or _households_together(economy)
        network = FamilyNetwork.of(economy, families) if families else None
        return network if network is not None and len(network.counts) <= MAX_ARROWS else None

    def total(self, values: np.ndarray) -> np.ndarray:
        """The sum over the buyers of each arrow, of values of shape (buyers,)."""
        return np.bincount(self.arrow, values, minlength=len(self.counts))


def _households_together(economy: Economy) -> tuple[Family, ...]:
    """Each good as a family of its own, and all households as one, if these are many."""
    count = len(economy.households)
    goods = economy.goods[: len(economy.goods) - count]
    if count <= MAX_HOUSEHOLDS or len(goods) > MAX_LISTED_GOODS:
        return ()
    places = np.arange(len(economy.goods))
    singles = [Family(good, (good,), NO_INDEX, places[k : k + 1]) for k, good in enumerate(goods)]
    names = tuple(economy.households)
    return *singles, Family(together(count), names, NO_INDEX, places[len(goods) :])


NO_INDEX = np.empty((1, 0), int)
"""The indices of a family without any."""
