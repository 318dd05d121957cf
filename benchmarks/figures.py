"""The figures of the benchmark: cost against firms and against lines, steps against depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator
from measure import seconds, slope, upper_half

from market_abm.views.palette import GREY, INK, OKABE_ITO
from market_abm.views.plots.style import new_figure, scale_axis, tidy

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Curve:
    """A series of a figure, and how it is drawn; ``sloped``: with the slope of its total cost."""

    series: str
    label: str
    color: str
    line: str = "-"
    marker: str = "o"
    sloped: bool = True


FIRMS = (
    Curve("agents", "agents", OKABE_ITO[1]),
    Curve("Mesa", "Mesa, by hand", OKABE_ITO[4], marker="s"),
    Curve("NumPy", "NumPy, by hand", OKABE_ITO[5], marker="s"),
    Curve("arrays", "arrays", OKABE_ITO[0]),
)
LINES = (
    Curve("program by agents", "agents", OKABE_ITO[1]),
    Curve("program", "arrays", OKABE_ITO[0]),
    Curve("arrays", "arrays, one line\nof as many firms", GREY, "--", "", sloped=False),
)


def draw(series: Mapping[str, Points], before: Mapping[str, Points], folder: Path) -> list[str]:
    """Draw every figure whose series are there; each with its caption, as Markdown."""
    made = []
    if "agents" in series and "arrays" in series:
        _costs("Firms of one line, with two CES inputs", "firms", FIRMS, series).savefig(
            folder / "firms.png"
        )
        made.append(
            "![Time per firm and step against firms](firms.png)\n\n*One market by four programs "
            "that find the same prices. Slopes are those of the cost of a whole step.*"
        )
    if "program" in series:
        title = "A random program of ten formulas"
        kept = {"program": before.get("program", ())}
        _costs(title, "lines of one firm", LINES, series, kept).savefig(folder / "lines.png")
        made.append(
            "![Time per firm and step against lines](lines.png)\n\n*Every line is different, and "
            "buys from others. Dashed: as many firms of a single line.*"
        )
    if "depth" in series:
        _depth(series["depth"], series["depth predicted"]).savefig(folder / "depth.png")
        made.append(
            "![Steps to converge against the depth of a chain](depth.png)\n\n*The wait for n "
            "successes takes n/α steps, and to be within 1e-9 some multiple of √n more.*"
        )
    return made


def _costs(
    title: str,
    unit: str,
    curves: Sequence[Curve],
    series: Mapping[str, Points],
    before: Mapping[str, Points] | None = None,
) -> Figure:
    """Seconds per firm and step against a number, on logarithmic axes, with labelled curves."""
    figure = new_figure(6.4, 3.9)
    axes = figure.add_axes((0.12, 0.135, 0.665, 0.775))
    own = [(curve, series[curve.series]) for curve in curves if curve.series in series]
    furthest = max(points[-1][0] for curve, points in own if curve.sloped)
    shown, labels = [], []
    for curve, points in own:
        text = curve.label
        if curve.sloped:
            text += f"\nslope {1.0 + slope(upper_half(points)):.2f}"
        within = [(x, y) for x, y in points if x <= 1.01 * furthest]
        shown.append((within, curve, curve.line, curve.marker))
        labels.append((*within[-1], text, curve.color))
        if before and before.get(curve.series):
            shown.append((list(before[curve.series]), curve, ":", ""))
            labels.append((*before[curve.series][-1], f"{curve.label}, before", curve.color))
    for points, curve, line, marker in shown:
        x, y = np.array(points).T
        axes.loglog(x, y, ls=line, marker=marker, color=curve.color, lw=1.3, ms=4, zorder=3)
    _frame(axes, np.concatenate([points for points, *_ in shown]), unit, title)
    _label_ends(axes, labels)
    return figure


def _frame(axes: Axes, points: np.ndarray, unit: str, title: str) -> None:
    """Logarithmic axes of numbers and seconds, with a title."""
    scale_axis(axes.xaxis, axes.set_xscale, points[:, 0], log=True)
    low, high = np.log10(points[:, 1].min()) - 0.15, np.log10(points[:, 1].max()) + 0.15
    axes.set_ylim(10**low, 10**high)
    axes.set_yticks(10.0 ** np.arange(np.ceil(low), np.floor(high) + 1))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: seconds(1.0001 * value)))
    axes.set_xlabel(unit, fontsize=9)
    axes.set_ylabel("time per firm and step", fontsize=9)
    axes.set_title(title, fontsize=9.5, loc="left", color=INK)
    tidy(axes)


def _label_ends(axes: Axes, labels: Sequence[tuple[float, float, str, str]]) -> None:
    """A text to the right of each last point (x, y), above those that end lower at the same x."""
    low, high = np.log10(axes.get_ylim())
    style: dict[str, Any] = {"fontsize": 8.5, "va": "center", "annotation_clip": False}
    taken: dict[float, float] = {}
    for x, y, text, color in sorted(labels, key=lambda label: label[1]):
        half = 0.032 * (text.count("\n") + 1)
        at = max((np.log10(y) - low) / (high - low), taken.get(x, -0.03) + half)
        taken[x] = at + half
        place = (x, 10 ** (low + at * (high - low)))
        axes.annotate(text, place, (8, 0), textcoords="offset points", color=color, **style)


def _depth(measured: Points, predicted: Points) -> Figure:
    """Steps to converge, with those that theory predicts."""
    figure = new_figure(5.2, 3.8)
    axes = figure.add_axes((0.15, 0.15, 0.81, 0.71))
    (x, y), theory = np.array(measured).T, np.array(predicted)[:, 1]
    axes.loglog(x, y, "o", color=OKABE_ITO[0], ms=5, zorder=3)
    axes.loglog(x, theory, "--", color=INK, lw=1.1, label="predicted by theory")
    for axis, scale, values in ((axes.xaxis, axes.set_xscale, x), (axes.yaxis, axes.set_yscale, y)):
        scale_axis(axis, scale, values, log=True)
    axes.set_xlabel("lines in the chain", fontsize=9)
    axes.set_ylabel("steps", fontsize=9)
    title = "Steps until all prices of a chain are exact to 1e-9 (α = 0.5)"
    axes.set_title(title, fontsize=9.5, loc="left", color=INK)
    axes.legend(frameon=False, fontsize=9)
    tidy(axes)
    return figure
