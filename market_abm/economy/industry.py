"""An industry: one line of the program, and the firms that are replicas of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from market_abm.economy.series import in_columns
from market_abm.economy.technology import Technology
from market_abm.economy.terms import FirmPopulation
from market_abm.errors import EconomyError
from market_abm.keys import quoted

ONE_FIRM = FirmPopulation()

ONE = np.ones(1)
ONE.flags.writeable = False


@dataclass(frozen=True, eq=False)
class Industry:
    """One line of the program: its good, its technology and its firms.

    ``weights`` (the firms' shares, with sum 1) and ``productivity`` have shape (firms,), or (runs,
    firms) if vectorized; ``line`` is the line's number in the program, if it has one. ``own_keys``
    are the keys of ``population`` that are set for this industry alone. A ``household`` is a line
    whose good is its utility; ``endowed`` units of the good are owned by households, and added.
    """

    good: str
    technology: Technology
    population: FirmPopulation = ONE_FIRM
    line: int | None = None
    weights: np.ndarray = field(default_factory=lambda: ONE)
    productivity: np.ndarray = field(default_factory=lambda: ONE)
    own_keys: frozenset[str] = frozenset()
    household: bool = False
    endowed: Any = 0.0

    @property
    def firms(self) -> int:
        """The number of firms."""
        return self.weights.shape[-1]

    @property
    def is_line(self) -> bool:
        """Whether it is a line of the program: no household, and no output of a line."""
        return not (self.household or self.technology.outputs)

    @property
    def line_good(self) -> str:
        """The good by which its line is known: of an output, the activity."""
        return self.technology.inputs[0] if self.technology.outputs else self.good

    @property
    def moves(self) -> bool:
        """Whether its productivity follows a series."""
        return self.population.series is not None

    def text(self, *, exact: bool = False) -> str:
        """The line, its numbers to twelve digits or, if ``exact``, to the last."""
        return f"{self.good} = {self.technology.text(exact=exact)}"

    def with_firms(self, common: FirmPopulation, own: Any, seed: tuple[int, int]) -> Industry:
        """The industry with its firms drawn.

        Parameters
        ----------
        common
            The settings of all industries.
        own
            Those of this one (a mapping, or a FirmPopulation), which take precedence.
        seed
            The economy's seed, and the industry's place in the program.

        Raises
        ------
        SettingError, EconomyError
            A setting is out of range, or they do not fit together.
        """
        own = dataclasses.asdict(own) if isinstance(own, FirmPopulation) else own
        where = f"industries.{self.good}"
        if self.technology.outputs:
            _check_output(self, own)
            common = ONE_FIRM
        population = common
        if own:
            population = FirmPopulation.of({**dataclasses.asdict(common), **own}, where)
        try:
            drawn = population.drawn
            if drawn is None:
                key = np.random.SeedSequence(seed[0], spawn_key=(0, seed[1]))
                drawn = population.draw(np.random.default_rng(key))
            weights, productivity = drawn
        except EconomyError as error:
            error.what = f"{where}.{error.what}"
            error.name = f"{where}.{error.name}"
            raise
        return dataclasses.replace(
            self,
            population=population,
            weights=weights,
            productivity=productivity,
            own_keys=frozenset(own),
        )

    def with_endowed(self, units: Any) -> Industry:
        """The industry of a good of which households own ``units``."""
        return dataclasses.replace(self, endowed=units)

    @staticmethod
    def vectorized(several: Sequence[Industry], known: dict[Any, Any] | None = None) -> Industry:
        """Combine the same industry of several runs: arrays get a leading axis of runs.

        ``known`` keeps what industries with the same firms share.
        """
        first, known = several[0], {} if known is None else known
        technology = first.technology
        if technology.parameters:
            technology = technology.with_parameters(
                {
                    key: np.array([each.technology.parameters[key] for each in several])[:, None]
                    for key in technology.parameters
                }
            )
        return Industry(
            first.good,
            technology,
            combined_once(known, _populations, [each.population for each in several]),
            first.line,
            combined_once(known, _stack, [each.weights for each in several]),
            combined_once(known, _stack, [each.productivity for each in several]),
            first.own_keys,
            first.household,
            _endowed([each.endowed for each in several]),
        )

    def select_runs(self, part: Callable[[Any], Any]) -> Industry:
        """A vectorized industry with ``part`` of each array."""
        parameters = {key: part(each) for key, each in self.technology.parameters.items()}
        return dataclasses.replace(
            self,
            technology=self.technology.with_parameters(parameters),
            population=self.population.select_runs(part),
            weights=part(self.weights),
            productivity=part(self.productivity),
            endowed=part(self.endowed) if np.ndim(self.endowed) else self.endowed,
        )


def with_all_firms(
    industries: Sequence[Industry],
    population: Mapping[str, Any] | FirmPopulation | None,
    of_each: Mapping[str, Any],
    seed: int,
) -> tuple[Industry, ...]:
    """The industries with their firms: the settings of all, and of single ones."""
    common = FirmPopulation.of(population or {}, "industries")
    drawn = [
        industry.with_firms(common, of_each.get(industry.good, {}), (seed, k))
        for k, industry in enumerate(industries)
    ]
    return _in_columns(drawn)


def _in_columns(industries: Sequence[Industry]) -> tuple[Industry, ...]:
    """The industries, each with the column of the series that it follows."""
    moving = {each.good: each.population for each in industries if each.moves}
    known = in_columns(moving, "industries")
    return tuple(
        dataclasses.replace(each, population=known[each.good]) if each.good in known else each
        for each in industries
    )


def combined_once(
    known: dict[Any, Any], combine: Callable[[Sequence[Any]], Any], parts: Sequence[Any]
) -> Any:
    """What ``combine`` makes of ``parts``, kept in ``known`` for the same parts again."""
    key = combine, *map(id, parts)
    if key not in known:
        known[key] = combine(parts)
    return known[key]


def production(
    technology: Technology, inputs: Iterable[Any], weight: Any, productivity: Any
) -> tuple[Any, Any]:
    """A firm's output f_i(x) = z w f(x/w), units of the good, and ∂f_i/∂x = z f'(x/w).

    Firms with z = 1 that hold inputs in proportion to their weights together make exactly f.

    Parameters
    ----------
    technology
        The line, f.
    inputs
        x, one entry per input, each of shape (...); one array of shape (inputs, ...) for a
        vectorized technology.
    weight, productivity
        w and z, shape (...).

    Returns
    -------
    output
        Shape (...).
    products
        Marginal products, one per input, each of shape (...), in the form of ``inputs``.
    """
    if technology.vectorized:
        output, products = technology.production(np.asarray(inputs) / weight)
        return productivity * weight * output, productivity * np.asarray(products)
    output, products = technology.production([x / weight for x in inputs])
    return productivity * weight * output, [productivity * product for product in products]


def _check_output(industry: Industry, own: Mapping[str, Any]) -> None:
    """An output is made by the firms of its line, all of which share one mix."""
    activity = industry.technology.inputs[0]
    for key in own:
        if key != "start":
            where = f"industries.{industry.good}.{key}"
            raise EconomyError(
                f"{where}: '{industry.good}' is an output of the line '{activity}'",
                remedy=f"set industries.{quoted(activity)}.{key}, for the firms of the line",
                name=where,
            )


def _populations(several: Sequence[FirmPopulation]) -> FirmPopulation:
    """The populations of several runs; what was drawn of them is in other arrays."""
    different = {id(each): each for each in several}
    plain = {
        key: dataclasses.replace(each, weights=None, productivity=1.0)
        for key, each in different.items()
    }
    return FirmPopulation.vectorized([plain[id(each)] for each in several])


def _endowed(several: Sequence[float]) -> Any:
    return np.array(several)[:, None] if any(several) else 0.0


def _stack(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """(runs, firms), or (1, firms) if all runs agree; equal firms share the memory of one."""
    first = arrays[0]
    alike = all(np.array_equal(first, each) for each in arrays[1:])
    together = first[None, :] if alike else np.array(arrays)
    if np.all(together == together[:, :1]):
        return np.broadcast_to(together[:, :1].copy(), together.shape)
    return together
