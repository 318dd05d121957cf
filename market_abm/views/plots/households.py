"""Who earns what, and who buys what: incomes by source and spending by good, at the last step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.patches import Patch

from market_abm.views.numbers import format_label
from market_abm.views.palette import FAINT, GREY, INK, OKABE_ITO
from market_abm.views.plots.convergence import LEGEND
from market_abm.views.plots.lettering import all_fitted, fitted, text_width
from market_abm.views.plots.style import Title, new_figure, tidy
from market_abm.views.words import households as words
from market_abm.views.words.figures import convergence_title

if TYPE_CHECKING:
    from market_abm.runs.households import HouseholdAccount
    from market_abm.runs.result import Result

WIDTH, NAMES, GAP, NUMBERS = 8.2, 1.0, 0.22, 1.25
"""Inches: the figure's width, and what is left of, between and right of the two sides."""

ROW, LEAST_ROW, TALL, HEAD, BELOW = 0.46, 0.2, 5.0, 0.4, 0.45
"""Inches a household, the least if there are many, all of them, and what is above and below."""

KEY, LINE = 0.4, 0.18
"""Inches of a key beside its name, and of a row of keys."""

MAX_ROWS = 50
"""Households that are drawn; of more, those who earn most, and the others as one."""

OTHER = "#c9c9c9"
"""The colour of parts without one of their own."""

Parts = dict[str, float]
"""Money by source, or by good."""


@dataclass(frozen=True)
class _Row:
    """A household, or several: what it earns, what it buys, and its utility and weight as text."""

    name: str
    earned: Parts
    bought: Parts
    numbers: tuple[str, str]


def households(result: Result) -> Figure | None:
    """Bars for each household: on the left its income by source, on the right its spending."""
    rows = _rows(result.households)
    if not rows:
        return None
    title = Title(result.experiment.question, convergence_title(result), WIDTH)
    colors = _colors(part for each in rows for part in (each.earned, each.bought))
    sides = [each.earned for each in rows], [each.bought for each in rows]
    side = (WIDTH - NAMES - GAP - NUMBERS) / 2
    keys = [_keys(parts, colors, side) for parts in sides]
    above = HEAD + LINE * max(map(len, keys))
    row = min(ROW, max(LEAST_ROW, TALL / len(rows)))
    panel = row * len(rows)
    height = title.height + above + panel + BELOW
    figure = new_figure(WIDTH, height)
    places = [(NAMES + k * (side + GAP)) / WIDTH for k in range(2)]
    left, right = (
        figure.add_axes((x, BELOW / height, side / WIDTH, panel / height)) for x in places
    )
    most = max((_extent(parts)[1] for parts in (*sides[0], *sides[1])), default=0.0) or 1.0
    taxed = f", {words.WITH_TAXES}" if result.economy.taxes else ""
    heads = f"{words.EARNS}, {words.FROM}", words.BUYS + taxed
    for axes, parts, own, head in zip((left, right), sides, keys, heads, strict=True):
        least = min(_extent(each)[0] for each in parts)
        axes.set_xlim(1.03 * least, 1.03 * most)
        _bars(axes, parts, colors, side / (1.03 * (most - least)), row)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlabel(words.money_label(result.economy.numeraire), fontsize=9)
        axes.set_title(
            head, loc="left", fontsize=9, color=INK, pad=72 * (0.1 + LINE * max(map(len, keys)))
        )
        tidy(axes)
        _legend(axes, own, colors, (side, panel))
    short = all_fitted([each.name for each in rows], NAMES - 0.15, 8)
    left.set_yticks(range(len(rows)), [short[each.name] for each in rows], fontsize=8)
    right.set_yticks([])
    left.tick_params(axis="y", length=0)
    _numbers(right, rows, side)
    title.draw(figure)
    return figure


def _rows(accounts: Mapping[str, HouseholdAccount]) -> list[_Row]:
    """A row a household, those who earn most first; of many, the last is of all others."""
    ordered = sorted(accounts.items(), key=lambda each: -np.nan_to_num(each[1].income))
    shown = len(ordered) if len(ordered) <= MAX_ROWS else MAX_ROWS - 1
    rows = [
        _Row(
            name,
            _finite(words.sources(own)),
            _finite(words.sizeable(own.spending, own)),
            (format_label(own.utility), format_label(own.weight)),
        )
        for name, own in ordered[:shown]
    ]
    rest = [own for _, own in ordered[shown:]]
    if rest:
        earned, bought = (_sum(map(of, rest)) for of in (words.sources, lambda own: own.spending))
        rows.append(_Row(words.others(len(rest)), earned, bought, ("", "")))
    return rows


def _finite(parts: Mapping[str, float]) -> Parts:
    return {name: money for name, money in parts.items() if np.isfinite(money)}


def _sum(several: Iterable[Mapping[str, float]]) -> Parts:
    total: Parts = {}
    for parts in several:
        for name, money in _finite(parts).items():
            total[name] = total.get(name, 0.0) + money
    return total


def _extent(parts: Parts) -> tuple[float, float]:
    """The ends of a bar: what is lost, and what is gained."""
    values = np.array([*parts.values(), 0.0])
    return float(values[values < 0.0].sum()), float(values[values > 0.0].sum())


def _colors(parts: Iterable[Parts]) -> dict[str, str]:
    """A colour for the largest parts, the same on both sides; in the order of their sums."""
    total = _sum({name: abs(money) for name, money in each.items()} for each in parts)
    ordered = sorted(total, key=lambda name: -total[name])
    return dict(zip(ordered, OKABE_ITO, strict=False))


def _bars(
    axes: Axes, sides: list[Parts], colors: Mapping[str, str], inches: float, row: float
) -> None:
    """A bar a household, of parts with their names where there is room; ``inches`` per money."""
    for n, parts in enumerate(sides):
        ends = {True: 0.0, False: 0.0}
        ordered = [*(name for name in colors if name in parts), *(parts.keys() - colors.keys())]
        for name in ordered:
            money = parts[name]
            start = ends[money > 0.0]
            ends[money > 0.0] += money
            color = colors.get(name, OTHER)
            axes.barh(n, money, 0.72, left=start, color=color, edgecolor="white", linewidth=0.6)
            shown = format_label(money, 3)
            if row >= 0.3 and text_width(shown, 7) < abs(money) * inches - 0.06:
                style: dict[str, Any] = {"fontsize": 7, "ha": "center", "va": "center"}
                axes.text(start + money / 2, n, shown, color="white", **style)
    axes.axvline(0.0, color=FAINT, lw=0.8)


def _keys(sides: list[Parts], colors: Mapping[str, str], width: float) -> list[list[str]]:
    """The parts of one side as the rows of a legend: one if there is room, else two."""
    names = [name for name in colors if any(name in parts for parts in sides)]
    names += [words.OTHER_PARTS] if any(parts.keys() - colors.keys() for parts in sides) else []
    one = sum(text_width(name, 8) + KEY for name in names) <= width
    per_row = len(names) if one else -(-len(names) // 2)
    return [names[k : k + per_row] for k in range(0, len(names), per_row or 1)]


def _legend(
    axes: Axes, keys: list[list[str]], colors: Mapping[str, str], size: tuple[float, float]
) -> None:
    """The ``keys`` above a side of this ``size``, inches, from the left; each row on its own."""
    width, height = size
    for n, names in enumerate(keys):
        room = max(width / len(names) - KEY, 0.2)
        whole = sum(text_width(name, 8) + KEY for name in names) <= width
        labels = names if whole else [fitted(name, room, 8) for name in names]
        handles = [Patch(color=colors.get(name, OTHER)) for name in names]
        up = 0.05 + LINE * (len(keys) - 1 - n)
        place: dict[str, Any] = {
            "loc": "lower left",
            "bbox_to_anchor": (0.0, 1.0 + up / height),
            "ncols": len(names),
            "handlelength": 1.0,
            "columnspacing": 1.0,
            "borderpad": 0.0,
        }
        axes.add_artist(Legend(axes, handles, labels, **(LEGEND | place)))


def _numbers(axes: Axes, rows: list[_Row], side: float) -> None:
    """Utility and weight of each household, in two columns on the right."""
    for k, head in enumerate((words.UTILITY, words.WEIGHT)):
        x = 1.0 + (0.62 * (k + 1)) / side
        axes.annotate(
            head,
            (x, 1.0),
            (0, 4),
            xycoords="axes fraction",
            textcoords="offset points",
            fontsize=8,
            color=GREY,
            ha="right",
        )
        for n, row in enumerate(rows):
            axes.text(
                x,
                n,
                row.numbers[k],
                transform=axes.get_yaxis_transform(),
                fontsize=8,
                ha="right",
                va="center",
                color=INK,
            )
