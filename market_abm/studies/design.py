"""The points of a sweep: axes, and the design that combines them."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from market_abm.errors import SettingError, shown
from market_abm.experiment.toml import parse_assignment
from market_abm.fields import Settings, choice, integer

DESIGNS = ("grid", "list", "lhs", "sobol")

SEED = "run.seed"

MAX_POINTS = 10_000_000
"""Maximum number of runs in a sweep: some 5 GB while it is planned."""

_RANGE = re.compile(r"^([^:,]+):([^:,]+)(?::(lin|log))?(?::(\d+))?$")

_SEEDS = re.compile(r"^(\d+)\.\.(\d+)$")


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
        For each value, the settings by dotted key that it stands for.
    low, high, log
        The range to draw from, linearly or in logarithms; NaN if there is none.
    """

    name: str
    values: tuple[Any, ...]
    overrides: tuple[Mapping[str, Any], ...]
    low: float = math.nan
    high: float = math.nan
    log: bool = False

    @property
    def is_range(self) -> bool:
        """Whether values can be drawn between ``low`` and ``high``."""
        return not math.isnan(self.low)

    def between(self, fraction: float) -> float:
        """The value at this fraction of the range."""
        if self.log:
            return float(self.low * (self.high / self.low) ** fraction)
        return float(self.low + (self.high - self.low) * fraction)

    @staticmethod
    def of(name: str, given: Any) -> Axis:
        """An axis as a user writes it.

        Parameters
        ----------
        name
            The dotted key of the swept parameter, or any name for a table of settings.
        given
            A range ``"0.1:10:log:41"`` (41 values, logarithmic; by default ``lin`` and 11), values
            ``"0.1,0.5,2"`` or a list, whole numbers ``"0..4"``, or a table from labels to settings
            by dotted key: ``{shallow = {"economy.program" = "..."}, deep = {...}}``.

        Raises
        ------
        SettingError
            It is none of these.
        """
        if isinstance(given, Mapping):
            return Axis._named(name, given)
        if isinstance(given, str):
            seeds = _SEEDS.match(given.strip())
            if seeds:
                first, last = int(seeds[1]), int(seeds[2])
                if last < first:
                    raise _unreadable(name, given)
                _check_count(
                    last - first + 1, f"{name} would have {last - first + 1:,} values", name
                )
                given = list(range(first, last + 1))
            elif _RANGE.match(given.strip()):
                return Axis._range(name, given.strip())
            else:
                given = [parse_assignment(f"x={part}")[1] for part in given.split(",")]
        if not isinstance(given, Sequence):
            given = [given]
        if not given:
            raise _unreadable(name, given)
        return Axis(name, tuple(given), tuple({name: value} for value in given))

    @staticmethod
    def _named(name: str, given: Mapping[str, Any]) -> Axis:
        if not given or not all(isinstance(each, Mapping) for each in given.values()):
            raise _unreadable(name, given)
        labels = [parse_assignment(f"x={label}")[1] for label in given]
        return Axis(name, tuple(labels), tuple(given.values()))

    @staticmethod
    def _range(name: str, given: str) -> Axis:
        found = _RANGE.match(given)
        assert found is not None
        try:
            low, high = float(found[1]), float(found[2])
        except ValueError:
            raise _unreadable(name, given) from None
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
        axis = Axis(name, (), (), low, high, log)
        fractions = [0.0] if count == 1 else [k / (count - 1) for k in range(count)]
        values = [axis.between(fraction) for fraction in fractions]
        values[-1] = high if count > 1 else low  # without rounding
        return Axis(name, tuple(values), tuple({name: v} for v in values), low, high, log)


def _check_count(count: int, what: str, name: str | None = None) -> None:
    if count > MAX_POINTS:
        raise SettingError(what, remedy=f"a sweep may have {MAX_POINTS:,} runs", name=name)


def _unreadable(name: str, given: Any) -> SettingError:
    return SettingError(
        f"cannot read the axis {name} = {shown(given)}",
        remedy='write "low:high:log:count", a list of values, or a table of settings',
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

    Raises
    ------
    SettingError
        There are no axes, too many points, or axes that do not fit the design.
    """

    axes: tuple[Axis, ...]
    settings: DesignSettings
    seeds: tuple[int, ...] = ()

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
            if kind in ("lhs", "sobol") and not axis.is_range:
                raise SettingError(
                    f"{axis.name} has no range to draw from in a {kind} design",
                    remedy="write it as low:high or low:high:log",
                    name=axis.name,
                )

    @property
    def names(self) -> tuple[str, ...]:
        """The columns of the swept parameters."""
        return (*(axis.name for axis in self.axes), *((SEED,) if self.seeds else ()))

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
        if self.settings.design in ("lhs", "sobol"):
            for axis, fraction in zip(self.axes, self._sample[rest], strict=True):
                values.append(axis.between(float(fraction)))
                settings[axis.name] = values[-1]
        else:
            for axis, k in zip(self.axes, self._places(rest), strict=True):
                values.append(axis.values[k])
                settings.update(axis.overrides[k])
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

    def one_at_a_time(self) -> list[dict[str, Any]]:
        """Settings with one axis changed at a time, for every value: to check before a sweep."""
        found = []
        for axis in self.axes:
            if self.settings.design in ("lhs", "sobol"):
                found += [{axis.name: axis.low}, {axis.name: axis.high}]
            else:
                found += [dict(each) for each in axis.overrides]
        found += [{SEED: seed} for seed in self.seeds]
        return list(itertools.islice(found, 10_000))
