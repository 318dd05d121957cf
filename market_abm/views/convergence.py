"""The convergence picture: prices beside their exact gradients, and the relative error.

It is described here once, for all renderers: which goods are shown, in which order and colour, the
axes, and where shocks and predictions are marked. Matplotlib (``plots/convergence.py``), the HTML
report (``report/run_figures.py``) and the notebook draw a :class:`ConvergencePicture`. The terminal
and the watch page, whose data grow, take the choice of goods and the axes from here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from market_abm.analysis.observer import relative_error
from market_abm.runs.families import MAX_LISTED_GOODS
from market_abm.views.palette import OKABE_ITO
from market_abm.views.ranges import (
    ERROR_ROOM,
    Slope,
    connected,
    last_above,
    settled_record,
    shown_until,
    slopes_of,
)
from market_abm.views.words.figures import PRICE_LABEL, predicted_rate, price_label
from market_abm.views.words.text import RELATIVE_ERROR

if TYPE_CHECKING:
    from market_abm.economy.economy import Economy
    from market_abm.runs.result import Result

FLOOR, FLOOR_POWER = 1e-16, -16
"""The lower end of the error axis, where an error of 0 is drawn, and its power of ten."""

NEAR = 1e5
"""An error axis reaches down to the tolerance if the smallest error is within this factor of it."""

MAX_POWER = 300.0
"""The largest power of ten on an error axis: errors of a diverged run may be infinite."""

MAX_PANELS = 6
"""Goods up to which each has a panel of its own."""

MAX_NAMED = 10
"""The number of goods drawn by name, of more than ``MAX_LISTED_GOODS``."""

MAX_STAIRS = 60
"""Steps up to which errors are drawn as a staircase, exact ones included."""

MAX_MARKS = 16
"""Steps at which a prediction is marked."""

RATIO_LIMITS = (-1.0, 3.0)
"""The widest axis of price over gradient; what is beyond is drawn at its edge."""

RATIO_LABEL = "price ÷ exact gradient"


# --- axes -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Axis:
    """One axis of a picture.

    Parameters
    ----------
    label
        What it shows, with its unit.
    scale
        ``linear``, ``log``, or ``symlog``: linear up to ``unit``, logarithmic beyond.
    limits
        Both ends; None where the renderer takes them from the data.
    unit
        The size at which a ``symlog`` axis becomes logarithmic.
    """

    label: str
    scale: Literal["linear", "log", "symlog"] = "linear"
    limits: tuple[float, float] | None = None
    unit: float = 1.0

    @property
    def decades(self) -> tuple[int, int]:
        """Powers of ten between which all of a logarithmic axis lies."""
        assert self.limits is not None and self.scale == "log"
        low, high = np.log10(self.limits)
        return int(np.floor(low + 1e-9)), int(np.ceil(high - 1e-9))  # up to rounding


def step_axis(steps: np.ndarray) -> Axis:
    """The axis of steps; with room for one step if the run made none."""
    return Axis("step", limits=(-0.5, 1.5) if len(steps) == 1 else None)


def value_axis(values: np.ndarray, label: str) -> Axis:
    """A linear axis, or a ``symlog`` one where values exceed their median by six decades."""
    sizes = np.abs(values[np.isfinite(values) & (values != 0.0)])
    if sizes.size == 0 or sizes.max() / 1e6 < np.median(sizes):
        return Axis(label)
    return Axis(label, "symlog", unit=float(10.0 ** np.ceil(np.log10(np.median(sizes)))))


def ratio_axis(ratios: np.ndarray) -> Axis:
    """The axis of price over gradient: 1 and all finite ratios, within ``RATIO_LIMITS``."""
    finite = ratios[np.isfinite(ratios)]
    low = max(float(finite.min(initial=1.0)), RATIO_LIMITS[0])
    high = min(float(finite.max(initial=1.0)), RATIO_LIMITS[1])
    return Axis(RATIO_LABEL, limits=(low, high))


def error_axis(errors: np.ndarray, tolerance: float | None) -> Axis:
    """A logarithmic axis of relative errors, from :data:`FLOOR` if one is exactly 0.

    Otherwise it begins at the smallest error, or two decades below the tolerance if that is near.
    """
    finite = np.clip(errors[np.isfinite(errors)], FLOOR, None)
    top = min(np.ceil(np.log10(max(3.0, finite.max(initial=1.0)))), MAX_POWER)
    smallest = finite.min(initial=1.0)
    if tolerance is not None and smallest <= NEAR * tolerance:
        bottom = min(1e-2 * tolerance, smallest)
    else:
        bottom = 10.0 ** np.floor(np.log10(smallest))
    return Axis(RELATIVE_ERROR, "log", (float(max(FLOOR, bottom)), float(10.0**top)))


def error_ticks(axis: Axis, most: int) -> list[float]:
    """Powers of ten for an error axis, about ``most``; :data:`FLOOR` if it begins there."""
    assert axis.limits is not None
    bottom, top = axis.limits
    exponents = np.arange(np.ceil(np.log10(bottom)), np.log10(top) + 0.1)
    spacing = max(1, int(np.ceil(len(exponents) / most)))
    room = FLOOR_POWER + spacing / 2  # the label of the floor needs some
    ticks = [float(10.0**e) for e in exponents if e % spacing == 0 and e > room]
    return [FLOOR, *ticks] if bottom <= FLOOR else ticks


def error_powers(errors: np.ndarray) -> np.ndarray:
    """Logarithms of errors to base 10, from that of :data:`FLOOR` to ``MAX_POWER``."""
    with np.errstate(all="ignore"):
        return np.clip(np.log10(errors), FLOOR_POWER, MAX_POWER)


# --- which goods ----------------------------------------------------------------------------------


def intermediate_goods(goods: Sequence[str], economy: Economy) -> list[str]:
    """All but final goods, whose price is the consumer's at once; all if there are no others.

    Nor the numeraire, whose price is 1, nor the activities of lines with several outputs.
    """
    hidden = {*economy.demand, *economy.outputs, economy.numeraire}
    return [good for good in goods if good not in hidden] or list(goods)


def followed(economy: Economy, most: int) -> list[int]:
    """Places of at most ``most`` goods of a growing picture: from all stages, raw goods first."""
    goods = intermediate_goods(economy.goods, economy)
    goods.sort(key=lambda good: -economy.stages[good])
    chosen = np.unique(np.linspace(0, len(goods) - 1, most).round().astype(int))
    return [economy.index[goods[k]] for k in chosen]


def largest_sales(goods: Sequence[str], sales: np.ndarray, most: int) -> list[str]:
    """The ``most`` goods with the largest ``sales`` (money a step), in their own order."""
    order = np.argsort(-np.nan_to_num(np.abs(sales), nan=np.inf), kind="stable")[:most]
    return [goods[k] for k in sorted(order)]


def evenly(count: int, most: int) -> np.ndarray:
    """At most ``most`` of the places 0, 1, ... below ``count``, both ends among them."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))


# --- the picture ----------------------------------------------------------------------------------


Layout = Literal["panels", "ratios", "errors"]


@dataclass(frozen=True, eq=False)
class Paths:
    """The data of a picture: arrays of shape (records, goods), beside their steps (records,).

    Parameters
    ----------
    steps
        The steps that were recorded.
    goods
        The names of the columns.
    prices, gradients
        Money per unit.
    errors
        |price - gradient| / |gradient|.
    predicted
        The prices that theory predicts, if it does.
    """

    steps: np.ndarray
    goods: tuple[str, ...]
    prices: np.ndarray
    gradients: np.ndarray
    errors: np.ndarray
    predicted: np.ndarray | None = None

    @staticmethod
    @np.errstate(all="ignore")  # it may have diverged
    def of(result: Result, most: int | None = None) -> Paths:
        """The recorded goods of a run, at no more than ``most`` records at equal distances."""
        count = len(result.times)
        kept = evenly(count, count if most is None else most)
        prices, gradients = result.prices[kept], result.gradients[kept]
        errors = result.errors if most is None else relative_error(prices, gradients)
        return Paths(result.times[kept], result.recorded, prices, gradients, errors)


@dataclass(frozen=True, eq=False)
class Series:
    """One good of a picture; arrays have shape (records,).

    Parameters
    ----------
    good, label
        Its name, and the longer one that a table gave it.
    color, dash
        Its place in the palette, and how often the palette was used up before.
    prices, gradients, errors
        As in :class:`Paths`.
    predicted
        The predicted prices; NaN where there is no prediction.
    marks
        The records at which the prediction is marked.
    stage
        Stages from the consumer, in the layout ``ratios``.
    connected
        The records that the curve of errors connects, as a mask; None for all.
    price_label
        The unit of prices.
    """

    good: str
    label: str
    color: int
    dash: int
    prices: np.ndarray
    gradients: np.ndarray
    errors: np.ndarray
    predicted: np.ndarray
    marks: np.ndarray
    stage: int = 0
    connected: np.ndarray | None = None
    price_label: str = PRICE_LABEL

    @property
    def error_curve(self) -> tuple[np.ndarray, np.ndarray]:
        """Which records the curve of errors connects, and the errors there."""
        kept = np.full(len(self.errors), True) if self.connected is None else self.connected
        return kept, self.errors[kept]

    @property
    def price_axis(self) -> Axis:
        """The axis of a panel with this good alone."""
        return value_axis(np.concatenate([self.prices, self.gradients]), self.price_label)


@dataclass(frozen=True, eq=False)
class ConvergencePicture:
    """What every renderer of the convergence picture draws.

    Parameters
    ----------
    steps
        The steps of all series, shape (records,).
    series
        The goods that are drawn by name, in the order of legends.
    others
        The errors of the goods that are drawn without one, shape (records, others).
    largest, median
        Of the errors of all goods, shape (records,); infinite where a price is not a number.
    price_axis, error_axis, step_axis
        The axes; prices and gradients of all series share the first.
    tolerance
        The error at which a price counts as converged, if known.
    shocks
        The steps of shocks that the run reached.
    layout
        How the goods are laid out where there is room: a panel each, all ratios of price to
        gradient in one, or only the errors.
    slopes, slope_label
        Lines as steep as the predicted rate, each as two steps and two errors, and their name.
    """

    steps: np.ndarray
    series: tuple[Series, ...]
    others: np.ndarray
    largest: np.ndarray
    median: np.ndarray
    price_axis: Axis
    error_axis: Axis
    step_axis: Axis
    tolerance: float | None = None
    shocks: tuple[int, ...] = ()
    layout: Layout = "panels"
    slopes: tuple[Slope, ...] = ()
    slope_label: str = ""

    @property
    def ratios(self) -> np.ndarray:
        """Price over gradient, shape (records, series)."""
        with np.errstate(all="ignore"):
            return np.array([each.prices / each.gradients for each in self.series]).T

    @property
    def tolerance_shown(self) -> bool:
        """Whether the tolerance is within the axis of errors."""
        low, high = self.error_axis.limits or (np.inf, np.inf)
        return self.tolerance is not None and low <= self.tolerance <= high

    @property
    def prices_until(self) -> float:
        """The step up to which prices are worth drawing: a little beyond their last move."""
        paths = [path for each in self.series for path in (each.prices, each.gradients)]
        return shown_until(self.steps, settled_record(np.array(paths).T))

    @property
    def errors_until(self) -> float:
        """The step up to which errors are worth drawing: a little beyond the last above rounding.

        At least as far as prices are.
        """
        errors = np.array([each.errors for each in self.series]).T
        end = shown_until(self.steps, last_above(errors), ERROR_ROOM)
        return max(end, self.prices_until)

    @staticmethod
    def of(result: Result) -> ConvergencePicture:
        """The picture of a run: of many goods, the errors of all and the largest by name."""
        economy, paths = result.experiment.economy, Paths.of(result)
        many = len(paths.goods) > MAX_LISTED_GOODS
        if many:
            shown = [good for good in result.largest if good in paths.goods][:MAX_NAMED]
        else:
            shown = intermediate_goods(paths.goods, economy)
            paths = replace(paths, predicted=result.prediction)
        picture = ConvergencePicture.of_paths(
            paths,
            shown,
            tolerance=result.experiment.run.tolerance,
            shocks=[step for step, _ in result.experiment.changes],
            economy=economy,
            layout="errors" if many else "panels" if len(shown) <= MAX_PANELS else "ratios",
        )
        rate = result.predicted_rate if many else None
        if rate is None or not 0.0 < rate < 1.0:
            return picture
        starts = (0, *picture.shocks)
        slopes = slopes_of(rate, picture.steps, picture.largest, starts, result.steps, FLOOR)
        return replace(picture, slopes=slopes, slope_label=predicted_rate(rate))

    @staticmethod
    def of_paths(
        paths: Paths,
        shown: Sequence[str],
        *,
        tolerance: float | None = None,
        shocks: Sequence[int] = (),
        economy: Economy | None = None,
        layout: Layout = "panels",
    ) -> ConvergencePicture:
        """The picture of some goods.

        Parameters
        ----------
        paths
            The data of all goods.
        shown
            The goods to draw by name, in this order.
        tolerance, shocks, layout
            As in the class; shocks after the last record are left out.
        economy
            Where goods have labels and stages, if it is known.
        """
        places = [paths.goods.index(good) for good in shown]
        others = np.setdiff1d(np.arange(len(paths.goods)), places)
        known = np.where(np.isnan(paths.errors), np.inf, paths.errors)
        values = np.concatenate([paths.prices[:, places], paths.gradients[:, places]])
        series = _series(paths, shown, economy, layout, tuple(shocks))
        largest = known.max(axis=1, initial=0.0)
        curves = [largest] if layout == "errors" else []
        curves += [each.error_curve[1] for each in series]
        return ConvergencePicture(
            steps=paths.steps,
            series=series,
            others=paths.errors[:, others],
            largest=largest,
            median=np.median(known, axis=1),
            price_axis=value_axis(values, price_label(economy)),
            error_axis=error_axis(np.concatenate(curves or [largest]), tolerance),
            step_axis=step_axis(paths.steps),
            tolerance=tolerance,
            shocks=tuple(step for step in shocks if step <= paths.steps[-1]),
            layout=layout,
        )


def line_style(n: int) -> tuple[int, int]:
    """The place in the palette, and the dash, of the n-th line of a picture."""
    dash, color = divmod(n, len(OKABE_ITO))
    return color, dash


def _series(
    paths: Paths,
    shown: Sequence[str],
    economy: Economy | None,
    layout: Layout,
    shocks: tuple[int, ...],
) -> tuple[Series, ...]:
    """Those of the goods ``shown``; of many in one panel, the prediction of every few is marked."""
    count = len(paths.steps)
    marks = np.arange(0, count if paths.predicted is not None else 0, max(1, count // MAX_MARKS))
    every = max(1, len(shown) // 4) if layout == "ratios" else 1
    stages = economy.stages if economy is not None and layout == "ratios" else {}
    whole = layout == "errors" or count <= MAX_STAIRS
    series = []
    for n, good in enumerate(shown):
        k = paths.goods.index(good)
        color, dash = line_style(n)
        series.append(
            Series(
                good=good,
                label=good if economy is None else economy.label(good),
                color=color,
                dash=dash,
                prices=paths.prices[:, k],
                gradients=paths.gradients[:, k],
                errors=paths.errors[:, k],
                predicted=(
                    np.full(count, np.nan) if paths.predicted is None else paths.predicted[:, k]
                ),
                marks=marks if n % every == 0 else marks[:0],
                stage=stages.get(good, 0),
                price_label=price_label(economy),
                connected=(None if whole else connected(paths.steps, paths.errors[:, k], shocks)),
            )
        )
    return tuple(series)
