"""The production network: goods, industries, suppliers and consumers, checked and immutable.

An *industry* makes one *good* with one *technology* and consists of *firms*, replicas of one line
of the program. A *raw good* comes from a *supplier*; a *final good* goes to a *consumer*.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from market_abm.display import Displayable
from market_abm.economy.buyers import Buyers
from market_abm.economy.by_pattern import ByPattern
from market_abm.economy.checks import (
    check_closed,
    check_demand,
    check_demanded,
    check_incomes,
    check_keys,
    check_numeraire,
    check_supply,
    industry_of_good,
)
from market_abm.economy.claims import Claims
from market_abm.economy.conditions import Condition
from market_abm.economy.exogenous import Exogenous, values_at
from market_abm.economy.families import Family, families_of
from market_abm.economy.forward import Stage, stages
from market_abm.economy.groups import Group, Network
from market_abm.economy.households import (
    Household,
    check_households,
    demand_with,
    lines_of,
    read_households,
    supply_with,
    with_endowments,
)
from market_abm.economy.industry import Industry, with_all_firms
from market_abm.economy.kept import KEPT, LAYOUT, ORDER
from market_abm.economy.many_runs import combined, selected
from market_abm.economy.order import distances, topological_components
from market_abm.economy.outputs import by_activity, with_activities
from market_abm.economy.series import followed
from market_abm.economy.taxes import Tax, Taxed, check_taxes, taxes_of
from market_abm.economy.terms import Demand, FirmPopulation, Supply, side_by_side, terms_of
from market_abm.economy.uses import Uses
from market_abm.economy.values import changed_values, check_not_fixed
from market_abm.fields import check_choice
from market_abm.language.collector import no_collection
from market_abm.language.segments import Places

REUSE = ("rival", "copy", "external")
"""How a good serves several users. ``rival``: it is split among them. ``copy``: nonrival, each user
gets all of it and pays. ``external``: nonrival, but only the first user in topological order pays,
an externality."""


@dataclass(frozen=True, eq=False, repr=False)
class Economy(Taxed, Displayable):
    """A production network, checked on construction by :meth:`build`.

    Arrays over goods follow ``goods``: raw goods, then made goods in topological order. Arrays over
    buyers follow ``buyers``.

    Attributes
    ----------
    industries
        In the program's order.
    supply, demand
        The terms of each raw good's supplier and of each final good's consumer.
    reuse
        One of ``REUSE`` for each good.
    taxes
        By name; prices are net of them, what sellers get (``economy/taxes.py``).
    seed
        The seed that the firms were drawn with.
    names
        Full names of goods, for tables and figures.
    conditions
        The comparisons that decided which lines these are, of a function that was traced.
    fixed
        Parameters of which more was made than numbers of lines: indices, bounds of loops.
    households
        Those who earn what they spend; their lines come last in ``industries``, and their demand.
    numeraire
        The good in whose units money is told in tables, reports and summaries; None for money.
    """

    industries: tuple[Industry, ...]
    supply: Mapping[str, Supply]
    demand: Mapping[str, Demand]
    reuse: Mapping[str, str]
    taxes: Mapping[str, Tax] = field(default_factory=dict)
    seed: int = 1
    names: Mapping[str, str] = field(default_factory=dict)
    conditions: tuple[Condition, ...] = ()
    fixed: frozenset[str] = frozenset()
    households: Mapping[str, Household] = field(default_factory=dict)
    numeraire: str | None = None

    @staticmethod
    @no_collection()
    def build(
        industries: Iterable[Industry],
        *,
        supply: Mapping[str, Any],
        demand: Mapping[str, Any] | None = None,
        reuse: str = "rival",
        reuse_of: Mapping[str, str] | None = None,
        population: Mapping[str, Any] | FirmPopulation | None = None,
        population_of: Mapping[str, Any] | None = None,
        taxes: Mapping[str, Any] | None = None,
        seed: int = 1,
        names: Mapping[str, str] | None = None,
        conditions: tuple[Condition, ...] = (),
        parameters: Mapping[str, float] | None = None,
        fixed: frozenset[str] = frozenset(),
        households: Mapping[str, Any] | None = None,
        numeraire: str | None = None,
    ) -> Economy:
        """Check the parts, fill in the defaults and draw the firms.

        Parameters
        ----------
        industries
            The lines, in the program's order.
        supply
            Each raw good's endowment, units per step: a number, or a :class:`Supply`. Keys may be
            patterns, such as ``x[*]``, here and in the other tables (``economy/by_pattern.py``).
        demand
            Each final good's price, money per unit: a number (1 by default), or a :class:`Demand`.
        reuse, reuse_of
            The kind of all goods, and of single ones.
        population, population_of
            The firms of all industries, and of single ones (the keys that differ).
        taxes
            By name, settings of :class:`Tax`.
        seed
            Fixes the firms drawn.
        names, conditions, numeraire
            See the attributes.
        parameters
            Values of names that formulas under patterns may read.
        fixed
            Parameters that cannot be set any more, as the lines were made with their values.
        households
            By name: a :class:`Household`, or a mapping of its keys.

        Raises
        ------
        EconomyError
            Two lines make one good, a raw good has no supplier, or a setting is of a good that
            cannot have it.
        SettingError
            A setting is unknown, of the wrong type or out of range.
        """
        lines, living, names = tuple(industries), read_households(households), dict(names or {})
        industries = (*lines, *lines_of(living, parameters or {}))
        check_households(living, industries, demand or {}, supply)
        made = industry_of_good(industries)
        read = dict.fromkeys(good for i in industries for good in i.technology.inputs)
        raw = [good for good in read if good not in made]
        final = [good for good in made if good not in read]
        goods, tables = [*raw, *made], ByPattern(parameters or {})
        supply = supply_with(tables.entries(supply, raw, "supply", Supply), raw, living)
        demand = tables.entries(demand or {}, final, "demand", Demand)
        reuse_of = with_activities(tables.entries(reuse_of or {}, goods, "reuse"), industries)
        own = [each.good for each in lines]
        population_of = tables.entries(population_of or {}, own, "industries", FirmPopulation)
        check_supply(supply, raw, made)
        check_demand(demand, final, made)
        check_keys("reuse", "good", reuse_of, goods)
        check_keys("industries", "industry or key", population_of, own)
        check_keys("names", "good", names or {}, goods)
        check_closed(final, raw, made)

        drawn = with_all_firms(lines, population, population_of, seed)
        check_choice(reuse, "economy.reuse", REUSE)
        economy = Economy(
            industries=with_endowments((*drawn, *industries[len(lines) :]), living),
            reuse={
                good: check_choice(reuse_of.get(good, reuse), f"reuse.{good}", REUSE)
                for good in goods
            },
            supply=terms_of(Supply, supply, raw, "supply"),
            demand=demand_with(demand, final, living),
            taxes=taxes_of(taxes or {}, goods, living),
            seed=seed,
            names=dict(names or {}),
            conditions=conditions,
            fixed=fixed | tables.read,
            households=living,
            numeraire=check_numeraire(numeraire, goods, living),
        )
        check_demanded(economy)
        check_taxes(economy)
        check_incomes(economy)
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
            industries without a value of their own), ``economy.parameters.NAME``,
            ``taxes.NAME.rate``.

        Raises
        ------
        MarketError
            A key is unknown, or a value is out of range.
        """
        check_not_fixed(values, self.fixed)
        changed = changed_values(self, values)
        industries = changed.industries
        if all(a.weights is b.weights for a, b in zip(industries, self.industries, strict=True)):
            same = (*LAYOUT, *(ORDER if industries is self.industries else ()))
            vars(changed).update({name: vars(self)[name] for name in same if name in vars(self)})
        check_demanded(changed)
        check_taxes(changed)
        check_incomes(changed)
        return changed

    @cached_property
    def exogenous(self) -> Exogenous:
        """The series that its numbers follow."""
        return Exogenous.of(self.industries, self.supply, self.demand)

    @cached_property
    def moves_until(self) -> float:
        """The step from which on no series changes anything; infinite if one never ends."""
        return self.exogenous.end

    def at(self, step: int) -> Economy:
        """The economy with the numbers of a step in the place of its series, one for equal rows."""
        if self.exogenous.is_new(step):
            industries, supply, demand = values_at(self.industries, self.supply, self.demand, step)
            now = dataclasses.replace(self, industries=industries, supply=supply, demand=demand)
            same = {*LAYOUT, *(ORDER if industries is self.industries else ()), *KEPT} - {"lines"}
            same |= {"taxed", "net_of_tax", "net_of_buyers"} if self.taxes else set()
            vars(now).update({name: getattr(self, name) for name in same})
            self.exogenous.now = now
        return self.exogenous.now or self

    @cached_property
    def structure(self) -> tuple[Any, ...]:
        """All but the numbers: what economies must have in common to be vectorized."""
        return (
            self.lines,
            tuple(sorted(self.reuse.items())),
            tuple(
                (good, t.kind, t.form, t.cost, t.period, t.settle, followed(t))
                for good, t in self.supply.items()
            ),
            tuple((good, terms.form, followed(terms)) for good, terms in self.demand.items()),
            tuple((name, *tax.structure) for name, tax in self.taxes.items()),
            tuple((k, followed(i.population)) for k, i in enumerate(self.industries) if i.moves),
            tuple((name, own.structure) for name, own in self.households.items()),
        )

    @cached_property
    def lines(self) -> tuple[tuple[str, str, int, str], ...]:
        """Of each industry: its good, its line without values of parameters, firms and conduct."""
        return tuple(
            (i.good, i.text(exact=True), i.firms, i.population.conduct) for i in self.industries
        )

    @staticmethod
    @no_collection()
    def vectorized(several: Sequence[Economy]) -> Economy:
        """Combine economies of one structure: each number gets a leading axis of runs.

        Parameters, supply and demand have shape (runs, 1), weights and productivities
        (runs, firms), or (1, firms) where all agree. Whatever computes with an economy's numbers
        then computes all runs at once.

        Raises
        ------
        EconomyError
            They differ in more than numbers.
        """
        return combined(several)

    def select_runs(self, rows: np.ndarray) -> Economy:
        """Some of the runs of a vectorized economy."""
        return selected(self, rows)

    @cached_property
    @no_collection()
    def components(self) -> tuple[tuple[Industry, ...], ...]:
        """The strongly connected components of the network, in topological order.

        A component of one industry that does not use its own good is an ordinary line; any other
        is a loop, whose industries are in the program's order.
        """
        lines = tuple((i.good, i.technology.inputs) for i in self.industries)
        return tuple(
            tuple(self.industries[k] for k in group) for group in topological_components(lines)
        )

    def is_loop(self, component: tuple[Industry, ...]) -> bool:
        """Whether the goods of a component are made from each other (or from themselves)."""
        return len(component) > 1 or component[0].good in component[0].technology.inputs

    @cached_property
    def has_loops(self) -> bool:
        """Whether any good is made, directly or indirectly, from itself."""
        return any(self.is_loop(component) for component in self.components)

    @cached_property
    def topological_order(self) -> tuple[Industry, ...]:
        """The industries, upstream first."""
        return tuple(industry for component in self.components for industry in component)

    @cached_property
    def goods(self) -> tuple[str, ...]:
        """Every good: raw goods first, then made goods in topological order."""
        return (*self.supply, *(industry.good for industry in self.topological_order))

    @cached_property
    def index(self) -> dict[str, int]:
        """The place of each good in ``goods``."""
        return {good: k for k, good in enumerate(self.goods)}

    @cached_property
    def families(self) -> dict[str, Family]:
        """The families of ``goods``; a good without an index is a family of its own."""
        return families_of(self.goods)

    def label(self, good: str) -> str:
        """A good's name for tables and figures: short, and in full if there is a full one."""
        name = self.names.get(good, good)
        return good if name == good else f"{good} {name}"

    @cached_property
    def stages(self) -> dict[str, int]:
        """The number of industries between each good and the consumer, on the longest path.

        The goods of one loop count as one stage.
        """
        return distances(
            [[(i.good, i.technology.inputs) for i in part] for part in self.components], self.goods
        )

    @cached_property
    def outputs(self) -> dict[str, list[Industry]]:
        """The lines that make several goods, by their activities: the industry of each output."""
        return by_activity(self.industries)

    def is_divided(self, good: str) -> bool:
        """Whether a good is split among several uses."""
        return self.reuse[good] == "rival" and self._uses[good] > 1

    @property
    def closed(self) -> bool:
        """Whether every good is used, so that nobody outside pays."""
        return not self.demand

    @cached_property
    def has_external(self) -> bool:
        """Whether any good is external."""
        return "external" in self.reuse.values()

    @cached_property
    def _uses(self) -> Counter[str]:
        """The number of lines that read each good."""
        return Counter(good for industry in self.industries for good in industry.technology.inputs)

    @cached_property
    def final(self) -> np.ndarray:
        """Indices of the final goods, shape (final goods,)."""
        return np.array([self.index[good] for good in self.demand], int)

    @cached_property
    @no_collection()
    def buyers(self) -> Buyers:
        """The layout of arrays over buyers: every input of every firm, grouped by pool."""
        return Buyers.of(self.topological_order, self.goods, self.reuse)

    @cached_property
    def uses(self) -> Uses:
        """The uses of goods as arrays, and the levels of the network."""
        stage = [-1] * len(self.supply)  # of goods that no line makes
        stage += [self.stages[industry.good] for industry in self.topological_order]
        loops = [[self.index[i.good] for i in c] for c in self.components if self.is_loop(c)]
        return Uses.of(self.buyers, np.array(stage, int), [np.array(goods) for goods in loops])

    @cached_property
    def forward(self) -> tuple[Stage, ...]:
        """The order of a forward pass: stages of lines that it evaluates at the same time."""
        place = {industry.good: k for k, industry in enumerate(self.topological_order)}
        loops = [
            (self.uses.loop_of[self.index[c[0].good]], [place[industry.good] for industry in c])
            for c in self.components
            if self.is_loop(c)
        ]
        return stages(self.network, self.uses, loops)

    @cached_property
    def network(self) -> Network:
        """The lines in groups of lines that are alike, and in levels."""
        return Network(self.topological_order, len(self.supply), self.buyers)

    @cached_property
    def supply_terms(self) -> tuple[tuple[Places, Supply], ...]:
        """The terms of all suppliers as arrays: for each kind, the places in ``supply``."""
        return side_by_side(list(self.supply.values()))

    @cached_property
    def without_curve(self) -> np.ndarray:
        """Mask of the raw goods whose suppliers have no supply curve, shape (raw goods,)."""
        return np.array([terms.cost != "curve" for terms in self.supply.values()], bool)

    @cached_property
    def claims(self) -> Claims:
        """What households own; not of an economy without households."""
        return Claims.of(self.households, self.industries, self.index, self.buyers)

    @cached_property
    def endowed(self) -> np.ndarray | None:
        """Units of made goods that households own, shape (..., goods); None if there are none."""
        if not any(np.any(each.endowed) for each in self.industries):
            return None
        return self.claims.endowed_of(len(self.goods))

    @property
    def groups(self) -> tuple[Group, ...]:
        """All lines in groups: those of one formula are computed together."""
        return self.network.groups

    def buyer_name(self, buyer: int) -> str:
        """A buyer's name, for messages."""
        for _, good in self.buyers.makers:
            if any(use.start <= buyer < use.stop for use in self.buyers.uses[good]):
                return f"{'the household' if good in self.households else 'a maker of'} {good}"
        raise IndexError(buyer)
