"""Goods, industries, suppliers and consumers: the validated, immutable production network.

Vocabulary: an *industry* makes one *good* with one *technology* and consists of *firms*, replicas
of the line. A *raw good* comes from a *supplier*; a *final good* goes to a *consumer*.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from market_abm.display import Displayable
from market_abm.economy.buyers import Buyers
from market_abm.economy.checks import _check_cournot, _check_names, _made_once, _populated
from market_abm.economy.industry import Industry
from market_abm.economy.terms import Demand, FirmPopulation, Supply
from market_abm.economy.values import changed_values
from market_abm.errors import EconomyError
from market_abm.fields import check_choice

REUSE = ("rival", "copy", "external")
"""How a good serves several users: split among them; all of it to each, who all pay; or all of it
to each, while only the first user (upstream first) pays: an externality."""


@dataclass(frozen=True, eq=False, repr=False)
class Economy(Displayable):
    """A production network, checked when it is made.

    Built by :func:`market_abm.from_text` or :func:`market_abm.from_function`. ``industries`` are
    in the program's order; ``reuse`` gives each good's kind; the firms were drawn with ``seed``.
    ``names`` says what goods are called in full, where the short names of the lines do not tell.
    Arrays over goods follow ``goods``: raw goods, then made goods in flow order. Arrays over buyers
    follow ``buyers``.

    Raises:
        EconomyError: a good is made twice, has no supplier, or is supplied, demanded or set
            without being what that needs.
    """

    industries: tuple[Industry, ...]
    supply: Mapping[str, Supply]
    demand: Mapping[str, Demand]
    reuse: Mapping[str, str]
    seed: int = 1
    names: Mapping[str, str] = field(default_factory=dict)

    @staticmethod
    def build(
        industries: Iterable[Industry],
        *,
        supply: Mapping[str, Any],
        demand: Mapping[str, Any] | None = None,
        reuse: str = "rival",
        reuse_of: Mapping[str, str] | None = None,
        population: Mapping[str, Any] | FirmPopulation | None = None,
        population_of: Mapping[str, Any] | None = None,
        seed: int = 1,
        names: Mapping[str, str] | None = None,
    ) -> Economy:
        """Check the parts, fill in the defaults and draw the firms.

        ``supply`` gives each raw good's quantity (a number or a :class:`Supply`), ``demand`` each
        final good's price (a number or a :class:`Demand`; 1 where it says nothing), ``reuse`` the
        kind of all goods and ``reuse_of`` of single ones, ``population`` the firms of all
        industries and ``population_of`` of single ones (a mapping of keys that differ), ``names``
        what goods are called in full.
        """
        industries = tuple(industries)
        demand, reuse_of = dict(demand or {}), dict(reuse_of or {})
        population_of, names = dict(population_of or {}), dict(names or {})
        made = _made_once(industries)
        read = dict.fromkeys(good for i in industries for good in i.technology.inputs)
        raw = [good for good in read if good not in made]
        final = [good for good in made if good not in read]
        _check_names(
            raw,
            made,
            final,
            supply=supply,
            demand=demand,
            reuse_of=reuse_of,
            population_of=population_of,
            names=names,
        )

        common = FirmPopulation.of(population or {}, "industries")
        populated = [
            _populated(industry, common, population_of.get(industry.good, {}), (seed, k))
            for k, industry in enumerate(industries)
        ]
        check_choice(reuse, "economy.reuse", REUSE)
        kinds = {
            good: check_choice(reuse_of.get(good, reuse), f"reuse.{good}", REUSE)
            for good in [*raw, *made]
        }
        economy = Economy(
            industries=tuple(populated),
            supply={good: Supply.of(supply[good], f"supply.{good}") for good in raw},
            demand={good: Demand.of(demand.get(good, {}), f"demand.{good}") for good in final},
            reuse=kinds,
            seed=seed,
            names=names,
        )
        economy._check_demand()
        return economy

    def with_values(self, values: Mapping[str, Any]) -> Economy:
        """The same economy with other values of its numbers; no text is parsed.

        Firms whose settings change are drawn again, with the seed of the economy: the result is,
        to the bit, that of an economy built with these values.

        Parameters
        ----------
        values
            By dotted key, as in an experiment file: ``supply.GOOD.quantity``,
            ``demand.GOOD.price``, ``industries.GOOD.productivity``, ``industries.KEY`` (of all
            industries without a value of their own), ``economy.parameters.NAME``.

        Raises
        ------
        MarketError
            A key is unknown, or a value is out of range.
        """
        industries, supply, demand = changed_values(
            self.industries, self.supply, self.demand, self.seed, values
        )
        changed = dataclasses.replace(self, industries=industries, supply=supply, demand=demand)
        changed._check_demand()
        return changed

    def _check_demand(self) -> None:
        """Refuse demand that its industry or the network cannot have."""
        for industry in self.industries:
            if industry.population.conduct == "cournot":
                _check_cournot(industry, self.demand.get(industry.good))
        for good, terms in self.demand.items():
            if math.isfinite(terms.elasticity) and terms.quantity is None and self.has_loops:
                raise EconomyError(
                    f"demand.{good} has an elasticity but no reference quantity",
                    remedy="in a program with a loop nothing is made before the start: "
                    f"give demand.{good}.quantity",
                    name=f"demand.{good}",
                )

    @cached_property
    def structure(self) -> tuple[Any, ...]:
        """All but the numbers: what economies must have in common to be stacked."""
        return (
            tuple(
                (i.good, i.text(exact=True), i.firms, i.population.conduct) for i in self.industries
            ),
            tuple(sorted(self.reuse.items())),
            tuple((good, terms.kind) for good, terms in self.supply.items()),
            tuple((good, terms.form) for good, terms in self.demand.items()),
        )

    @staticmethod
    def vectorized(several: Sequence[Economy]) -> Economy:
        """Economies of one structure side by side: each number gets a leading axis of runs.

        Parameters, supply and demand have shape (runs, 1), weights and productivities
        (runs, firms), or (1, firms) where all agree. Whatever computes with the numbers of an
        economy computes with those of all at once.
        """
        first = several[0]
        if any(each.structure != first.structure for each in several[1:]):
            raise EconomyError(
                "economies side by side must differ in numbers only",
                remedy="name the numbers of their lines as parameters, or run them apart",
            )
        industries = []
        for k, industry in enumerate(first.industries):
            same = [each.industries[k] for each in several]
            technology = industry.technology
            parameters = {
                key: np.array([i.technology.parameters[key] for i in same])[:, None]
                for key in technology.parameters
            }
            industries.append(
                dataclasses.replace(
                    industry,
                    technology=technology.with_parameters(parameters),
                    population=FirmPopulation.vectorized(
                        [
                            dataclasses.replace(i.population, weights=None, productivity=1.0)
                            for i in same
                        ]
                    ),
                    weights=_side_by_side([i.weights for i in same]),
                    productivity=_side_by_side([i.productivity for i in same]),
                )
            )
        return Economy(
            industries=tuple(industries),
            supply={
                good: Supply.vectorized([each.supply[good] for each in several])
                for good in first.supply
            },
            demand={
                good: Demand.vectorized([each.demand[good] for each in several])
                for good in first.demand
            },
            reuse=first.reuse,
            seed=first.seed,
            names=first.names,
        )

    def select_runs(self, rows: np.ndarray) -> Economy:
        """Some of the runs of a stacked economy."""

        def part(array: Any) -> Any:
            return array[rows] if len(array) > 1 else array

        industries = [
            dataclasses.replace(
                industry,
                technology=industry.technology.with_parameters(
                    {key: part(each) for key, each in industry.technology.parameters.items()}
                ),
                population=industry.population.select_runs(part),
                weights=part(industry.weights),
                productivity=part(industry.productivity),
            )
            for industry in self.industries
        ]
        return Economy(
            industries=tuple(industries),
            supply={good: terms.select_runs(part) for good, terms in self.supply.items()},
            demand={good: terms.select_runs(part) for good, terms in self.demand.items()},
            reuse=self.reuse,
            seed=self.seed,
            names=self.names,
        )

    # --- goods ----------------------------------------------------------------------------------

    @cached_property
    def components(self) -> tuple[tuple[Industry, ...], ...]:
        """Industries in flow order, upstream first; those of one loop stand together.

        A group of one that does not read its own good is an ordinary line; any other group is a
        loop (a strongly connected component of the network), in the program's order.
        """
        lines = tuple((i.good, i.technology.inputs) for i in self.industries)
        return tuple(tuple(self.industries[k] for k in group) for group in _in_flow_order(lines))

    def is_loop(self, component: tuple[Industry, ...]) -> bool:
        """Whether the goods of a component need each other (or themselves)."""
        return len(component) > 1 or component[0].good in component[0].technology.inputs

    @cached_property
    def has_loops(self) -> bool:
        """Whether any good is needed, by way of others, to make itself."""
        return any(self.is_loop(component) for component in self.components)

    @cached_property
    def topological_order(self) -> tuple[Industry, ...]:
        """The industries in flow order, upstream first."""
        return tuple(industry for component in self.components for industry in component)

    @cached_property
    def goods(self) -> tuple[str, ...]:
        """Every good: raw ones first, then the made ones in flow order."""
        return (*self.supply, *(industry.good for industry in self.topological_order))

    @cached_property
    def index(self) -> dict[str, int]:
        """The place of each good in ``goods``."""
        return {good: k for k, good in enumerate(self.goods)}

    def label(self, good: str) -> str:
        """What to call a good in tables and figures: its short name, and its full one if known."""
        name = self.names.get(good, good)
        return good if name == good else f"{good} {name}"

    @cached_property
    def stages(self) -> dict[str, int]:
        """How many industries lie between each good and the consumer, the longest way.

        The goods of one loop count as one stage.
        """
        distance = dict.fromkeys(self.goods, 0)
        for component in reversed(self.components):
            inside = {industry.good for industry in component}
            depth = max(distance[good] for good in inside)
            distance.update(dict.fromkeys(inside, depth))
            for industry in component:
                for good in set(industry.technology.inputs) - inside:
                    distance[good] = max(distance[good], depth + 1)
        return distance

    def is_divided(self, good: str) -> bool:
        """Whether a good is split among several uses, rather than all going to one or to each."""
        return self.reuse[good] == "rival" and self._uses[good] > 1

    @cached_property
    def _uses(self) -> Counter[str]:
        """In how many places each good is read."""
        return Counter(good for industry in self.industries for good in industry.technology.inputs)

    @cached_property
    def final(self) -> np.ndarray:
        """Indices of the final goods, shape (final goods,)."""
        return np.array([self.index[good] for good in self.demand], int)

    # --- buyers ---------------------------------------------------------------------------------

    @cached_property
    def buyers(self) -> Buyers:
        """Every input of every firm, grouped by the pool that it is served from."""
        return Buyers.of(self.topological_order, self.goods, self.reuse)

    def buyer_name(self, buyer: int) -> str:
        """Who a buyer is, for messages."""
        for maker, good in self.buyers.makers:
            if any(use.start <= buyer < use.stop for use in self.buyers.uses[good]):
                return f"a maker of {self.goods[maker]}"
        raise IndexError(buyer)


def _side_by_side(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """(runs, firms), or (1, firms) if all runs agree; equal firms take the room of one."""
    first = arrays[0]
    alike = all(np.array_equal(first, each) for each in arrays[1:])
    together = first[None, :] if alike else np.array(arrays)
    if np.all(together == together[:, :1]):
        return np.broadcast_to(together[:, :1].copy(), together.shape)
    return together


@lru_cache(maxsize=256)
def _in_flow_order(lines: tuple[tuple[str, tuple[str, ...]], ...]) -> tuple[tuple[int, ...], ...]:
    """Which lines (each its good and the goods that it reads) stand together, upstream first."""
    import networkx as nx

    place = {good: k for k, (good, _) in enumerate(lines)}
    network = nx.DiGraph()
    network.add_nodes_from(range(len(lines)))
    for k, (_, inputs) in enumerate(lines):
        network.add_edges_from((place[good], k) for good in inputs if good in place)
    groups = nx.condensation(network)
    members = nx.get_node_attributes(groups, "members")
    order = nx.lexicographical_topological_sort(groups, key=lambda group: min(members[group]))
    return tuple(tuple(sorted(members[group])) for group in order)
