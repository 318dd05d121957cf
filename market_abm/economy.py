"""Goods, industries, suppliers and consumers: the validated, immutable production network.

Vocabulary: an *industry* makes one *good* with one *technology* and consists of *firms*, replicas
of the line. A *raw good* comes from a *supplier*; a *final good* goes to a *consumer*. A *use* is a
place where a line reads a good. A *buyer* is one input of one firm. The buyers who split a quantity
between them are a *pool*: all buyers of a rival good form one pool; of a copy good, each use is a
pool of its own, and each pool gets all of the good.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from market_abm.errors import EconomyError, nearest
from market_abm.settings import Settings, check_choice, integer, number, numbers
from market_abm.technology import Technology

REUSE = ("rival", "copy")
"""How a good serves several users: split among them, or all of it to each."""


@dataclass(frozen=True)
class Supply(Settings):
    """A supplier's endowment: ``quantity`` units of the raw good offered each step."""

    quantity: float = number()


@dataclass(frozen=True)
class Demand(Settings):
    """A perfectly elastic consumer, who pays ``price`` for each unit however many there are."""

    price: float = number(1.0)


@dataclass(frozen=True)
class Population(Settings):
    """The firms of one industry.

    ``firms`` is how many there are. Their ``weights`` w (shares of the industry, summing to 1) are
    equal unless listed, or spread lognormally with log standard deviation ``weight_spread``. Their
    productivities z are ``productivity`` (one number, or one a firm), spread lognormally by
    ``productivity_spread`` with the weighted mean kept, so that at the start the firms together
    make ``productivity`` times the line. ``bid_noise`` is the log standard deviation of the error
    that a firm makes each time it values an input. ``start`` is the guess of the industry's output
    before it has made any, used only inside a loop of the network.
    """

    firms: int = integer(1, low=1, high=10_000_000)
    weights: tuple[float, ...] | None = numbers(None, above=0.0)
    weight_spread: float = number(0.0, low=0.0, high=20.0)
    productivity: float | tuple[float, ...] = numbers(1.0, above=0.0, scalar=True)
    productivity_spread: float = number(0.0, low=0.0, high=20.0)
    bid_noise: float = number(0.0, low=0.0, high=20.0)
    start: float = number(1.0, above=0.0)

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Weights (sum 1) and productivities, each of shape (firms,)."""
        for key, given in (("weights", self.weights), ("productivity", self.productivity)):
            if isinstance(given, tuple) and len(given) != self.firms:
                raise EconomyError(
                    f"{key} lists {len(given)} numbers for {self.firms} firms",
                    remedy=f"give {self.firms} numbers, or set firms = {len(given)}",
                    name=key,
                )
        if self.weights is None:
            weights = np.ones(self.firms) / self.firms
        else:
            weights = np.array(self.weights)
            if abs(weights.sum() - 1.0) > 1e-9:
                raise EconomyError(
                    f"weights sum to {weights.sum():.12g}",
                    remedy="make them sum to 1",
                    name="weights",
                )
        if self.weight_spread > 0:
            weights = weights * np.exp(self.weight_spread * rng.standard_normal(self.firms))
            weights /= weights.sum()
        productivity = np.broadcast_to(np.asarray(self.productivity, float), self.firms).copy()
        if self.productivity_spread > 0:
            mean = weights @ productivity
            productivity *= np.exp(self.productivity_spread * rng.standard_normal(self.firms))
            productivity *= mean / (weights @ productivity)
        return weights, productivity


@dataclass(frozen=True, eq=False)
class Industry:
    """One line of the program: what it makes, how, and its firms.

    ``weights`` and ``productivity`` have shape (firms,); ``line`` is the line's number in the
    program's text, where it has one.
    """

    good: str
    technology: Technology
    population: Population = field(default_factory=Population)
    line: int | None = None
    weights: np.ndarray = field(default_factory=lambda: np.ones(1))
    productivity: np.ndarray = field(default_factory=lambda: np.ones(1))

    @property
    def firms(self) -> int:
        """How many firms the industry holds."""
        return len(self.weights)

    def text(self, *, exact: bool = False) -> str:
        """The line itself, its numbers to twelve digits or, if ``exact``, to the last."""
        return f"{self.good} = {self.technology.text(exact=exact)}"


@dataclass(frozen=True, eq=False)
class Economy:
    """A production network, checked when it is made.

    Built by :func:`market_abm.from_text` or :func:`market_abm.from_function`. ``industries`` are
    in the program's order; ``reuse`` gives each good's kind; the firms were drawn with ``seed``.
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

    @staticmethod
    def build(
        industries: Iterable[Industry],
        *,
        supply: Mapping[str, Any],
        demand: Mapping[str, Any] | None = None,
        reuse: str = "rival",
        reuse_of: Mapping[str, str] | None = None,
        population: Mapping[str, Any] | Population | None = None,
        population_of: Mapping[str, Any] | None = None,
        seed: int = 1,
    ) -> Economy:
        """Check the parts, fill in the defaults and draw the firms.

        ``supply`` gives each raw good's quantity (a number or a :class:`Supply`), ``demand`` each
        final good's price (a number or a :class:`Demand`; 1 where it says nothing), ``reuse`` the
        kind of all goods and ``reuse_of`` of single ones, ``population`` the firms of all
        industries and ``population_of`` of single ones (a mapping of keys that differ).
        """
        industries = tuple(industries)
        demand, reuse_of = dict(demand or {}), dict(reuse_of or {})
        population_of = dict(population_of or {})
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
        )

        common = Population.of(population or {}, "industries")
        populated = []
        for k, industry in enumerate(industries):
            settings = dataclasses.asdict(common)
            own = population_of.get(industry.good, {})
            settings.update(dataclasses.asdict(own) if isinstance(own, Population) else own)
            where = f"industries.{industry.good}"
            firms = Population.of(settings, where)
            rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0, k)))
            try:
                weights, productivity = firms.draw(rng)
            except EconomyError as error:
                error.what = f"{where}.{error.what}"
                error.name = f"{where}.{error.name}"
                raise
            populated.append(
                dataclasses.replace(
                    industry, population=firms, weights=weights, productivity=productivity
                )
            )
        check_choice(reuse, "economy.reuse", REUSE)
        kinds = {
            good: check_choice(reuse_of.get(good, reuse), f"reuse.{good}", REUSE)
            for good in [*raw, *made]
        }
        return Economy(
            industries=tuple(populated),
            supply={good: Supply.of(supply[good], f"supply.{good}") for good in raw},
            demand={good: Demand.of(demand.get(good, {}), f"demand.{good}") for good in final},
            reuse=kinds,
            seed=seed,
        )

    # --- goods ----------------------------------------------------------------------------------

    @cached_property
    def components(self) -> tuple[tuple[Industry, ...], ...]:
        """Industries in flow order, upstream first; those of one loop stand together.

        A group of one that does not read its own good is an ordinary line; any other group is a
        loop (a strongly connected component of the network), in the program's order.
        """
        import networkx as nx

        place = {industry.good: k for k, industry in enumerate(self.industries)}
        network = nx.DiGraph()
        network.add_nodes_from(range(len(self.industries)))
        for k, industry in enumerate(self.industries):
            network.add_edges_from((place[i], k) for i in industry.technology.inputs if i in place)
        groups = nx.condensation(network)
        members = nx.get_node_attributes(groups, "members")
        order = nx.lexicographical_topological_sort(groups, key=lambda group: min(members[group]))
        return tuple(tuple(self.industries[k] for k in sorted(members[group])) for group in order)

    def is_loop(self, component: tuple[Industry, ...]) -> bool:
        """Whether the goods of a component need each other (or themselves)."""
        return len(component) > 1 or component[0].good in component[0].technology.inputs

    @cached_property
    def flow(self) -> tuple[Industry, ...]:
        """The industries in flow order, upstream first."""
        return tuple(industry for component in self.components for industry in component)

    @cached_property
    def goods(self) -> tuple[str, ...]:
        """Every good: raw ones first, then the made ones in flow order."""
        return (*self.supply, *(industry.good for industry in self.flow))

    @cached_property
    def index(self) -> dict[str, int]:
        """The place of each good in ``goods``."""
        return {good: k for k, good in enumerate(self.goods)}

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

    @cached_property
    def final(self) -> np.ndarray:
        """Indices of the final goods, shape (final goods,)."""
        return np.array([self.index[good] for good in self.demand], int)

    # --- buyers ---------------------------------------------------------------------------------

    @cached_property
    def buyers(self) -> Buyers:
        """Every input of every firm, grouped by the pool that it is served from."""
        return Buyers.of(self)


@dataclass(frozen=True, eq=False)
class Buyers:
    """The layout of all arrays over buyers, shape (buyers,), grouped by good, then by pool.

    ``good`` is the place in ``Economy.goods`` of what each buys and ``maker`` that of what its
    firm makes. Pool k holds the buyers ``starts[k]`` up to ``starts[k + 1]``; ``pool_good`` is its
    good. ``of_industry[good]`` has shape (inputs, firms): which buyer is input i of firm m.
    ``initial_shares``: uses of a rival good start equal, firms of one use by their weights.
    """

    good: np.ndarray
    maker: np.ndarray
    starts: np.ndarray
    pool_good: np.ndarray
    of_industry: Mapping[str, np.ndarray]
    initial_shares: np.ndarray

    @property
    def size(self) -> int:
        """How many buyers there are."""
        return len(self.good)

    @cached_property
    def pool(self) -> np.ndarray:
        """The pool of each buyer."""
        sizes = np.diff(np.append(self.starts, self.size))
        return np.repeat(np.arange(len(self.starts)), sizes)

    def slice_of(self, good: int) -> slice:
        """The buyers of one good, by its place in ``Economy.goods``."""
        first, last = np.searchsorted(self.good, [good, good + 1])
        return slice(int(first), int(last))

    @staticmethod
    def of(economy: Economy) -> Buyers:
        """Lay out the buyers of ``economy``."""
        uses: list[list[tuple[Industry, int]]] = [[] for _ in economy.goods]
        for industry in economy.flow:
            for slot, good in enumerate(industry.technology.inputs):
                uses[economy.index[good]].append((industry, slot))
        goods, makers, shares, starts, pool_good = [], [], [], [], []
        of_industry = {
            i.good: np.zeros((len(i.technology.inputs), i.firms), int) for i in economy.flow
        }
        position = 0
        for k, good in enumerate(economy.goods):
            rival = economy.reuse[good] == "rival"
            for n, (industry, slot) in enumerate(uses[k]):
                if n == 0 or not rival:
                    starts.append(position)
                    pool_good.append(k)
                split = 1.0 / len(uses[k]) if rival else 1.0
                shares.append(split * industry.weights)
                goods.append(np.full(industry.firms, k))
                makers.append(np.full(industry.firms, economy.index[industry.good]))
                of_industry[industry.good][slot] = position + np.arange(industry.firms)
                position += industry.firms
        return Buyers(
            good=np.concatenate(goods) if goods else np.zeros(0, int),
            maker=np.concatenate(makers) if makers else np.zeros(0, int),
            starts=np.array(starts, int),
            pool_good=np.array(pool_good, int),
            of_industry=of_industry,
            initial_shares=np.concatenate(shares) if shares else np.zeros(0),
        )


def _made_once(industries: tuple[Industry, ...]) -> dict[str, Industry]:
    if not industries:
        raise EconomyError("the program has no line", remedy="write one, such as: y = sqrt(x)")
    made: dict[str, Industry] = {}
    for industry in industries:
        if industry.good in made:
            first = made[industry.good].line
            raise EconomyError(
                f"'{industry.good}' is made twice" + (f", first in line {first}" if first else ""),
                remedy="give each line a good of its own",
                name=industry.good,
                line=industry.line,
            )
        made[industry.good] = industry
    return made


def _check_names(
    raw: list[str],
    made: Mapping[str, Industry],
    final: list[str],
    *,
    supply: Mapping[str, Any],
    demand: Mapping[str, Any],
    reuse_of: Mapping[str, Any],
    population_of: Mapping[str, Any],
) -> None:
    """Every setting must be of a good that can have it, and every raw good must have a supplier."""
    for good in supply:
        if good in made:
            raise EconomyError(
                f"supply.{good}: '{good}' is made by a line of the program",
                remedy=f"drop the endowment, or drop the line that makes '{good}'",
                name=f"supply.{good}",
            )
        if good not in raw:
            raise EconomyError(
                f"supply.{good}: no line uses a good '{good}'",
                remedy=nearest(good, raw),
                name=f"supply.{good}",
            )
    for good in raw:
        if good not in supply:
            user = next(i for i in made.values() if good in i.technology.inputs)
            raise EconomyError(
                f"no line makes '{good}' and it has no endowment",
                remedy=f"add [supply.{good}] with quantity = ..., "
                f"a line that makes it, or a parameter of that name",
                name=good,
                line=user.line,
            )
    for good in demand:
        if good in made and good not in final:
            raise EconomyError(
                f"demand.{good}: '{good}' is used by another line, so it is not final",
                remedy=f"sell it through a line of its own, such as: {good}_retail = {good}",
                name=f"demand.{good}",
            )
        if good not in final:
            raise EconomyError(
                f"demand.{good}: no line makes a final good '{good}'",
                remedy=nearest(good, final),
                name=f"demand.{good}",
            )
    for table, what, keys, valid in (
        ("reuse", "good", reuse_of, [*raw, *made]),
        ("industries", "industry or key", population_of, list(made)),
    ):
        for good in keys:
            if good not in valid:
                raise EconomyError(
                    f"{table}.{good}: the program has no such {what}",
                    remedy=nearest(good, valid),
                    name=f"{table}.{good}",
                )
    if not final:
        raise EconomyError(
            "the program has no final good: every good is used by another line",
            remedy="add a line whose good no other line uses, such as: sold = " + next(iter(made)),
        )
