"""The points of a sweep: axes, and the design that combines them."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any, overload

import numpy as np

from market_abm.errors import SettingError, nearest, shown
from market_abm.experiment.known_keys import is_whole
from market_abm.experiment.settings import check_table
from market_abm.experiment.toml import parse_value, parse_values
from market_abm.fields import Settings, choice, integer
from market_abm.keys import normal_key

DRAWN = ("lhs", "sobol")

DESIGNS = ("grid", "list", *DRAWN)

SEED = "run.seed"

MAX_POINTS = 10_000_000
"""Maximum number of runs in a sweep: their table is some 5 GB."""

MAX_CHECKED = 10_000
"""Values of axes that are checked before a sweep begins."""

_LIKE_A_RANGE = re.compile(r"^[-+.\d]+[^,\"']*:[^,\"']*$", re.ASCII)
_RANGE = re.compile(r"^([^:,\"']+):([^:,\"']+)(?::(lin|log))?(?::(\d+))?$", re.ASCII)

_SEEDS = re.compile(r"^(\d+)\.\.(\d+)$", re.ASCII)


class Spaced(Sequence[float]):
    """Numbers at equal distances, or at equal ratios if ``log``, each computed when asked for."""

    def __init__(self, low: float, high: float, size: int, log: bool) -> None:
        self.low, self.high, self.size, self.log = low, high, size, log

    def __len__(self) -> int:
        return self.size

    @overload
    def __getitem__(self, k: int) -> float: ...
    @overload
    def __getitem__(self, k: slice) -> tuple[float, ...]: ...
    def __getitem__(self, k: int | slice) -> float | tuple[float, ...]:
        places = range(self.size)[k]
        if isinstance(places, range):
            return tuple(self[place] for place in places)
        if places in (0, self.size - 1):  # without rounding
            return self.high if places else self.low
        return _between(self.low, self.high, places / (self.size - 1), self.log)

    def __eq__(self, other: object) -> bool:
        return tuple(self) == tuple(other) if isinstance(other, Sequence) else NotImplemented

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, eq=False)
class Axis:
    """One swept parameter.

    Parameters
    ----------
    name
        Its column in the table.
    values
        The values in that column.
    overrides
        For each value, the settings by dotted key that it stands for; empty if that is the value of
        the key ``name``.
    low, high, log
        The range to draw from, linearly or in logarithms; NaN if there is none.
    whole
        Whether the values of the range are integers.
    """

    name: str
    values: Sequence[Any]
    overrides: tuple[Mapping[str, Any], ...] = ()
    low: float = math.nan
    high: float = math.nan
    log: bool = False
    whole: bool = False

    @property
    def is_range(self) -> bool:
        """Whether values can be drawn between ``low`` and ``high``."""
        return not math.isnan(self.low)

    @property
    def keys(self) -> tuple[str, ...]:
        """The dotted keys that it sets."""
        return tuple(dict.fromkeys(key for each in self.overrides for key in each)) or (self.name,)

    def settings(self, k: int) -> Mapping[str, Any]:
        """The settings by dotted key that the k-th value stands for."""
        return self.overrides[k] if self.overrides else {self.name: self.values[k]}

    def drawn(self, fraction: float) -> float:
        """The value that a number drawn from [0, 1) stands for.

        Integers are drawn with equal probability, the ends too (if log: as the logarithm has it).
        """
        if not self.whole:
            return _between(self.low, self.high, fraction, self.log)
        low, high = sorted((self.low, self.high))
        value = round(_between(low - 0.5, high + 0.5, fraction, self.log))
        return min(max(value, round(low)), round(high))

    @staticmethod
    def of(name: str, given: Any) -> Axis:
        """An axis as a user writes it.

        Parameters
        ----------
        name
            The dotted key of the swept parameter, or any name for a table of settings.
        given
            A range ``"0.1:10:log:41"`` (41 values, logarithmic; by default ``lin`` and 11; of a
            key whose values are integers, the nearest ones, each once), values
            ``"0.1,0.5,2"`` or a list, whole numbers ``"0..4"``, or a table from labels to settings
            by dotted key: ``{shallow = {"economy.program" = "..."}, deep = {...}}``.

        Raises
        ------
        SettingError
            It is none of these.
        """
        if isinstance(given, Mapping):
            return Axis._named(name, given)
        with suppress(SettingError):  # any name will do for a table of settings
            name = normal_key(name)
        if isinstance(given, str):
            seeds = _SEEDS.match(given.strip())
            if seeds:
                first, last = int(seeds[1]), int(seeds[2])
                if last < first:
                    raise _unreadable(name, given)
                _check_count(
                    last - first + 1, f"{name} would have {last - first + 1:,} values", name
                )
                return Axis(name, range(first, last + 1))
            if _RANGE.match(given.strip()):
                return Axis._range(name, given.strip())
            if _LIKE_A_RANGE.match(given.strip()):
                raise _unreadable(name, given)
            given = parse_values(given)
        if hasattr(given, "tolist"):  # an array, or a number of one
            given = given.tolist()
        if not isinstance(given, Sequence):
            given = [given]
        if not given:
            raise _unreadable(name, given)
        return Axis(name, tuple(given))

    @staticmethod
    def _named(name: str, given: Mapping[str, Any]) -> Axis:
        if not given or not all(isinstance(each, Mapping) for each in given.values()):
            raise _unreadable(name, given)
        labels = [parse_value(label) for label in given]
        settings = [{normal_key(k): v for k, v in each.items()} for each in given.values()]
        return Axis(name, tuple(labels), tuple(settings))

    @staticmethod
    def _range(name: str, given: str) -> Axis:
        found = _RANGE.match(given)
        assert found is not None
        low, high = parse_value(found[1]), parse_value(found[2])
        if not all(isinstance(end, int | float) for end in (low, high)):
            raise _unreadable(name, given)
        low, high = float(low), float(high)
        log, count = found[3] == "log", int(found[4] or 11)
        if (
            not (math.isfinite(low) and math.isfinite(high))
            or count < 1
            or (log and low * high <= 0)
        ):
            raise SettingError(
                f"{name} cannot be swept over '{given}'",
                remedy="both ends must be finite (above 0, if log), and the count 1 or more",
                name=name,
            )
        _check_count(count, f"{name} would have {count:,} values", name)
        values: Sequence[float] = Spaced(low, high, count, log)
        whole = is_whole(name)
        if whole:
            numbers = list(values)
            numbers[1:-1] = map(round, numbers[1:-1])
            values = tuple(dict.fromkeys(int(v) if v == int(v) else v for v in numbers))
        return Axis(name, values, (), low, high, log, whole)


def _between(low: float, high: float, fraction: float, log: bool) -> float:
    return low * (high / low) ** fraction if log else low + (high - low) * fraction


def _has_repetition(values: Sequence[Any]) -> bool:
    if isinstance(values, range):
        return False
    if isinstance(values, Spaced):  # they rise or fall: of equal ones, some are neighbours
        return any(one == next_one for one, next_one in itertools.pairwise(values))
    once = {value if isinstance(value, Hashable) else repr(value) for value in values}
    return len(once) < len(values)


def _check_count(count: int, what: str, name: str | None = None) -> None:
    if count > MAX_POINTS:
        raise SettingError(what, remedy=f"a sweep may have {MAX_POINTS:,} runs", name=name)


def _unreadable(name: str, given: Any) -> SettingError:
    return SettingError(
        f"cannot read the axis {name} = {shown(given)}",
        remedy='write "low:high:log:count" with a count of 1 or more, "first..last" with whole '
        "numbers that rise, a list of values, or a table of settings; a file has the key in "
        'quotes: "market.share_rate" = ...',
        name=name,
    )


@dataclass(frozen=True)
class DesignSettings(Settings):
    """How axes are combined to points.

    Parameters
    ----------
    design
        ``grid``: all combinations. ``list``: the k-th values of all axes together. ``lhs`` (Latin
        hypercube) and ``sobol``: points drawn from the ranges by ``scipy.stats.qmc``.
    points
        The number of points drawn.
    seed
        The seed of the drawing.
    """

    design: str = choice(
        "grid",
        DESIGNS,
        help="all combinations, the k-th values of all axes together, or points drawn from "
        "the ranges: Latin hypercube, Sobol",
    )
    points: int = integer(64, low=1, high=100_000_000, help="number of points drawn")
    seed: int = integer(1, low=0, high=2**63 - 1, help="seed of the drawing")


@dataclass(frozen=True, eq=False)
class Design:
    """The points of a sweep, in order; each is computed when it is asked for.

    Parameters
    ----------
    axes
        The swept parameters.
    settings
        How they are combined.
    seeds
        Seeds of runs; with any, every point is run once with each.
    fixed
        Dotted keys that are set for all runs.

    Raises
    ------
    SettingError
        There are no axes, too many points, axes that do not fit the design, or a key that is set
        or a value that is given twice.
    """

    axes: tuple[Axis, ...]
    settings: DesignSettings
    seeds: Sequence[int] = ()
    fixed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        kind = self.settings.design
        if not self.axes and not self.seeds:
            raise SettingError(
                "there is nothing to sweep over",
                remedy="name an axis, such as 'market.share_rate=0.05:2:log:31'",
            )
        lengths = {len(axis.values) for axis in self.axes}
        if kind == "list" and len(lengths) > 1:
            raise SettingError(
                f"a list design needs axes of equal length, not of {sorted(lengths)}",
                remedy="give each axis as many values, or choose the grid",
            )
        _check_count(self.size, f"the sweep would have {self.size:,} runs")
        for axis in self.axes:
            if kind in DRAWN and not axis.is_range:
                raise SettingError(
                    f"{axis.name} has no range to draw from in a {kind} design",
                    remedy="write it as low:high or low:high:log",
                    name=axis.name,
                )
        self._check_repetitions()

    def _check_repetitions(self) -> None:
        """Refuse a key or a value that would have no effect beside another."""
        ways = [(key, "set") for key in self.fixed]
        for axis in self.axes:
            ways += [(key, "swept") for key in axis.keys]
        ways += [(SEED, "swept by its seeds")] if self.seeds else []
        earlier: dict[str, str] = {}
        for key, way in ways:
            for other, before in earlier.items():
                if other == key or other.startswith(f"{key}."):
                    both = f"{before} and {way}" if other == key else f"{before}, and {key} {way}"
                    raise SettingError(f"{other} is {both}", remedy="leave one out", name=key)
            earlier[key] = way
        grid = self.axes if self.settings.design == "grid" else ()
        for name, values in (*((a.name, a.values) for a in grid), ("sweep.seeds", self.seeds)):
            if _has_repetition(values):
                raise SettingError(
                    f"a value of {name} is given twice", remedy="give each once", name=name
                )

    @staticmethod
    def of(axes: Any, settings: Mapping[str, Any], fixed: Iterable[str] = ()) -> Design:
        """A design as a user writes it.

        Parameters
        ----------
        axes
            As of :meth:`Axis.of`, by name.
        settings
            Those of ``DesignSettings``, and ``seeds``, as the values of an axis.
        fixed
            Dotted keys that are set for all runs.

        Raises
        ------
        SettingError
            Something cannot be read or would have no effect.
        """
        own, known = dict(settings), [each.name for each in dataclasses.fields(DesignSettings)]
        seeds = own.pop("seeds", None)
        for key in own:
            if key not in known:
                raise SettingError(
                    f"unknown key 'sweep.{key}'",
                    remedy=nearest(key, ("axes", "seeds", "measures", *known)),
                    name=f"sweep.{key}",
                )
        chosen = DesignSettings.of(own, "sweep")
        for key in ("points", "seed"):
            if key in own and chosen.design not in DRAWN:
                raise SettingError(
                    f"{key} has no effect in a {chosen.design} design",
                    remedy=f"leave it out, or choose a design that draws points: "
                    f"{' or '.join(DRAWN)}",
                    name=f"sweep.{key}",
                )
        return Design(
            tuple(Axis.of(*each) for each in check_table(axes, "sweep.axes").items()),
            chosen,
            () if seeds is None else Axis.of(SEED, seeds).values,
            tuple(fixed),
        )

    @property
    def axis_names(self) -> tuple[str, ...]:
        """The columns of the axes."""
        return tuple(axis.name for axis in self.axes)

    @property
    def names(self) -> tuple[str, ...]:
        """The columns of the swept parameters: the axes, and the seed if it is swept."""
        return (*self.axis_names, *((SEED,) if self.seeds else ()))

    @cached_property
    def _without_seeds(self) -> int:
        if self.settings.design == "grid":
            return math.prod(len(axis.values) for axis in self.axes)
        if self.settings.design == "list":
            return len(self.axes[0].values) if self.axes else 1
        return self.settings.points

    @property
    def size(self) -> int:
        """The number of runs."""
        return self._without_seeds * max(1, len(self.seeds))

    @cached_property
    def _sample(self) -> np.ndarray:
        from scipy.stats import qmc

        kind, count = self.settings.design, self.settings.points
        rng = np.random.default_rng(self.settings.seed)
        if kind == "lhs":
            return qmc.LatinHypercube(len(self.axes), rng=rng).random(count)
        sobol = qmc.Sobol(len(self.axes), rng=rng)
        return sobol.random_base2(math.ceil(math.log2(count)))[:count]

    def point(self, number: int) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The values of a point in the columns ``names``, and the settings they stand for."""
        rest, seed = divmod(number, max(1, len(self.seeds)))
        values: list[Any] = []
        settings: dict[str, Any] = {}
        if self.settings.design in DRAWN:
            for axis, fraction in zip(self.axes, self._sample[rest], strict=True):
                values.append(axis.drawn(float(fraction)))
                settings[axis.name] = values[-1]
        else:
            for axis, k in zip(self.axes, self._places(rest), strict=True):
                values.append(axis.values[k])
                settings.update(axis.settings(k))
        if self.seeds:
            values.append(self.seeds[seed])
            settings[SEED] = self.seeds[seed]
        return tuple(values), settings

    def _places(self, number: int) -> list[int]:
        """The index of a point's value on each axis; in a grid the last axis varies fastest."""
        if self.settings.design == "list":
            return [number] * len(self.axes)
        places = []
        for axis in reversed(self.axes):
            number, k = divmod(number, len(axis.values))
            places.append(k)
        return places[::-1]

    def to_check(self) -> Iterator[Mapping[str, Any]]:
        """Settings to check before a sweep: points of a list, else one axis changed at a time."""
        return itertools.islice(self._to_check(), MAX_CHECKED)

    def _to_check(self) -> Iterator[Mapping[str, Any]]:
        if self.settings.design == "list":
            yield from (self.point(k)[1] for k in range(0, self.size, max(1, len(self.seeds))))
            axes: tuple[Axis, ...] = ()
        else:
            axes = self.axes
        for axis in axes:
            if self.settings.design in DRAWN:
                yield from ({axis.name: axis.low}, {axis.name: axis.high})
            else:
                yield from map(axis.settings, range(len(axis.values)))
        yield from ({SEED: seed} for seed in self.seeds)
