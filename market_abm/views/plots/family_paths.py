"""Families of goods over time: a band from the least to the largest member, and the median."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from market_abm.views.convergence import FLOOR, error_ticks, line_style
from market_abm.views.family_picture import FamilyPicture
from market_abm.views.numbers import format_power_of_ten
from market_abm.views.palette import GREY, INK, OKABE_ITO
from market_abm.views.plots.lettering import fitted_lines
from market_abm.views.plots.style import Title, new_figure, tidy
from market_abm.views.words.families import BAND, LARGEST, MEDIAN, other_families
from market_abm.views.words.figures import SHOCK, convergence_title, step_label

if TYPE_CHECKING:
    from market_abm.runs.result import Result

WIDTH = 8.2
"""Inches."""

DASHES = ("-", (0, (5, 1.5)))

LEGEND: dict[str, Any] = {"fontsize": 8, "frameon": False, "borderaxespad": 0.0, "handlelength": 2}
LEGEND |= {"labelspacing": 0.6, "alignment": "left"}


def family_convergence(result: Result) -> Figure:
    """Price over gradient of each family, and below it the relative error on a log axis."""
    picture = FamilyPicture.of(result)
    title = Title(result.experiment.question, convergence_title(result), WIDTH)
    height = 5.5 + title.height
    figure = new_figure(WIDTH, height)
    above = figure.add_axes((0.105, 3.05 / height, 0.565, 2.3 / height))
    below = figure.add_axes((0.105, 0.5 / height, 0.565, 2.3 / height), sharex=above)
    above.tick_params(labelbottom=False)
    tolerance = result.experiment.run.tolerance
    _ratios(above, picture)
    _errors(below, picture, tolerance)
    until = max(picture.until, float(picture.steps[0]) + 1.0)
    for axes in (above, below):
        axes.set_xlim(picture.steps[0], until)
        for step, _ in result.experiment.changes:
            axes.axvline(step, color=INK, lw=0.8, ls=(0, (6, 2, 1, 2)), zorder=0.5)
    below.set_xlabel(step_label(until, float(picture.steps[-1])), fontsize=9)
    _legends(figure, picture, (above, below), shocks=bool(result.experiment.changes))
    title.draw(figure)
    return figure


def _style(n: int) -> dict[str, Any]:
    color, dash = line_style(n)
    return {"color": OKABE_ITO[color], "ls": DASHES[dash % 2]}


def _ratios(axes: Axes, picture: FamilyPicture) -> None:
    """The band and the median of each family; the gradient is 1."""
    axis = picture.ratio_axis
    assert axis.limits is not None
    low, high = axis.limits[0] - 0.08, axis.limits[1] + 0.08
    for n, band in enumerate(picture.bands.values()):
        ends = [np.clip(band[f"ratio_{end}"], low, high) for end in ("least", "largest")]
        axes.fill_between(picture.steps, *ends, color=_style(n)["color"], alpha=0.16, lw=0)
        axes.plot(picture.steps, band["ratio"], lw=1.6, zorder=3, **_style(n))
    axes.axhline(1.0, color=INK, lw=1.0, ls="--", dashes=(4, 2.5), zorder=2)
    axes.set_ylim(low, high)
    axes.set_ylabel(axis.label, fontsize=9)
    tidy(axes)


def _errors(axes: Axes, picture: FamilyPicture, tolerance: float) -> None:
    """The median error of each family, and a band up to the largest."""
    axis = picture.error_axis(tolerance)
    assert axis.limits is not None
    axes.set_yscale("log")
    for n, band in enumerate(picture.bands.values()):
        ends = [np.clip(band[end], FLOOR, axis.limits[1]) for end in ("error", "error_largest")]
        style = _style(n)
        axes.fill_between(picture.steps, *ends, color=style["color"], alpha=0.16, lw=0)
        axes.plot(picture.steps, ends[0], lw=1.6, zorder=3, **style)
        axes.plot(picture.steps, ends[1], lw=0.8, zorder=3, **style)
    axes.set_ylim(axis.limits)
    if axis.limits[0] <= tolerance <= axis.limits[1]:
        axes.axhline(tolerance, color=GREY, lw=1.0, ls=":", zorder=1)
    axes.set_yticks(error_ticks(axis, 7))
    axes.set_yticks([], minor=True)
    axes.yaxis.set_major_formatter(
        FuncFormatter(lambda v, _: "exact" if v <= FLOOR else format_power_of_ten(v))
    )
    axes.xaxis.set_major_locator(MaxNLocator(9, integer=True))
    axes.set_ylabel(axis.label, fontsize=9)
    tidy(axes)


def _legends(
    figure: Figure, picture: FamilyPicture, panels: tuple[Axes, Axes], *, shocks: bool
) -> None:
    """The families beside the upper panel, and what lines and bands are beside the lower one."""
    families = [
        Line2D([], [], lw=2.0, label=fitted_lines(name, 2.1, 8, lines=2), **_style(n))
        for n, name in enumerate(picture.bands)
    ]
    if picture.omitted:
        families.append(Line2D([], [], lw=0, label=other_families(picture.omitted)))
    meaning = [
        Line2D([], [], color=GREY, lw=1.6, label=MEDIAN),
        Line2D([], [], color=GREY, lw=0.8, label=LARGEST),
        Patch(facecolor=GREY, alpha=0.25, lw=0, label=BAND),
        Line2D([], [], color=INK, lw=1.0, ls="--", dashes=(4, 2.5), label="exact gradient"),
        Line2D([], [], color=GREY, lw=1.0, ls=":", label="tolerance"),
    ]
    if shocks:
        meaning.append(Line2D([], [], color=INK, lw=0.8, ls=(0, (6, 2, 1, 2)), label=SHOCK))
    for axes, handles in zip(panels, (families, meaning), strict=True):
        at = (0.69, axes.get_position().y1)
        figure.legend(handles=handles, loc="upper left", bbox_to_anchor=at, **LEGEND)
