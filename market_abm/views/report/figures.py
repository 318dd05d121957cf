"""What the figures of a report show, as JSON: lines, points, a grid of cells, bars.

They are drawn by ``report_assets/report.js``. A figure is a mapping: ``kind`` (lines, grid, bars),
``title``, ``alt`` (what there is to see, in words), ``note``, axes ``x`` and ``y`` (``label``,
``scale``: linear, log or symlog) and its data; ``legend`` has an entry for each group of lines that
can be hidden together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from market_abm.views.numbers import format_plain
from market_abm.views.plots.convergence import FLOOR
from market_abm.views.plots.sweep import REGIMES, is_logarithmic, moving_good

if TYPE_CHECKING:
    import pandas as pd

MAX_POINTS = 1000
"""Points of one line: of more, so many are kept, evenly."""


MAX_GOODS = 12
"""Goods that are drawn: of more, those of which most is sold."""


MAX_CELLS = 10_000
"""Cells of a phase diagram: of more, every so many rows and columns are kept."""


Figure = dict[str, Any]


def run_figures(
    path: pd.DataFrame,
    measures: pd.DataFrame | None,
    *,
    tolerance: float | None = None,
    best_welfare: float | None = None,
    shocks: Sequence[int] = (),
) -> list[Figure]:
    """Prices, errors, quantities, welfare and alignment along a run.

    ``path`` is ``trajectory.csv`` (a row a step and good), ``measures`` is ``measures.csv``.
    """
    wide = _by_good(path, ("price", "gradient", "error", "quantity"))
    goods, shown = _chosen(wide)
    steps = wide["price"].index.to_numpy(float)
    kept = _thinned(len(steps))
    note = _thinning_note(len(steps)) + shown
    common = {"kind": "lines", "steps": _listed(steps[kept]), "x": _step_axis(), "stops": shocks}
    colors = [{"color": f"c{n % 6}", "dash": n // 6} for n in range(len(goods))]
    legend = [
        {"label": good, "group": n, **color}
        for n, (good, color) in enumerate(zip(goods, colors, strict=True))
    ]

    def lines(what: str, suffix: str = "", **more: Any) -> list[dict[str, Any]]:
        return [
            {
                "name": good + suffix,
                "group": n,
                "y": _listed(wide[what][good].to_numpy()[kept]),
                **color,
                **more,
            }
            for n, (good, color) in enumerate(zip(goods, colors, strict=True))
        ]

    prices = lines("price") + lines("gradient", " (gradient)", color="ink", dash=2, thin=True)
    figures = [
        {
            **common,
            "title": "Prices and their exact gradients",
            "note": f"Solid: what the market pays. Dotted: what backprop computes.{note}",
            "y": _value_axis(wide["price"][goods].to_numpy(), "money per unit"),
            "series": prices,
            "legend": legend,
            "alt": _told("Prices", steps, wide["price"][goods]),
        },
        {
            **common,
            "title": "How far prices are from their gradients",
            "note": f"|price − gradient| ÷ |gradient|, on a logarithmic axis.{note}"
            + (f" Across: the tolerance, {tolerance:g}." if tolerance else ""),
            "y": {"label": "error", "scale": "log", "floor": FLOOR},
            "series": lines("error"),
            "legend": legend,
            "marks": [{"y": tolerance}] if tolerance else [],
            "alt": _told("Errors", steps, wide["error"][goods]),
        },
        {
            **common,
            "title": "Quantities",
            "note": f"Units on sale.{note}",
            "y": _value_axis(wide["quantity"][goods].to_numpy(), "units"),
            "series": lines("quantity"),
            "legend": legend,
            "alt": _told("Quantities", steps, wide["quantity"][goods]),
        },
    ]
    if measures is None:
        return figures
    return figures + _measure_figures(measures, common, best_welfare)


def _measure_figures(
    measures: pd.DataFrame, common: Mapping[str, Any], best_welfare: float | None
) -> list[Figure]:
    steps = measures["step"].to_numpy(float)
    kept = _thinned(len(steps))
    figures = []
    for column, title, note in (
        ("welfare", "Welfare", "Total surplus, in money."),
        (
            "alignment",
            "Alignment of moves with the gradient",
            "The cosine between what moved and the gradient of welfare: 1 is straight uphill.",
        ),
    ):
        values = measures[column].to_numpy(float)
        if not np.isfinite(values).any():
            continue
        best = best_welfare if column == "welfare" else None
        across = (
            f" Across: the best there is, {format_plain(best)}, found without a market."
            if best
            else ""
        )
        axis = _value_axis(values, column)
        if column == "alignment":
            axis["range"] = [-1.0, 1.0]
        figures.append(
            {
                **common,
                "steps": _listed(steps[kept]),
                "title": title,
                "note": note + across + _thinning_note(len(steps)),
                "y": axis,
                "series": [{"name": column, "group": 0, "color": "c0", "y": _listed(values[kept])}],
                "marks": [] if best is None else [{"y": best}],
                "alt": f"{title} over {len(steps):,} steps, at the end {format_plain(values[-1])}",
            }
        )
    return figures


def beside_figures(path: pd.DataFrame) -> list[Figure]:
    """A market and its twin: prices, quantities, and the distance between them.

    ``path`` is the ``comparison.csv`` of a market beside its twin.
    """
    wide = _by_good(path, ("price", "twin_price", "quantity", "twin_quantity"))
    goods, shown = _chosen(wide)
    steps = wide["price"].index.to_numpy(float)
    kept = _thinned(len(steps))
    note = _thinning_note(len(steps)) + shown
    common = {"kind": "lines", "steps": _listed(steps[kept]), "x": _step_axis()}
    legend = [
        {"label": good, "group": n, "color": f"c{n % 6}", "dash": n // 6}
        for n, good in enumerate(goods)
    ]
    figures: list[Figure] = []
    distances = []
    for k, (what, label) in enumerate((("price", "money per unit"), ("quantity", "units"))):
        market, twin = wide[what], wide[f"twin_{what}"]
        series = [
            {
                "name": good + suffix,
                "group": n,
                "color": f"c{n % 6}",
                "y": _listed(array[good].to_numpy()[kept]),
                **style,
            }
            for array, suffix, style in (
                (market, "", {}),
                (twin, " (twin)", {"color": "ink", "dash": 2, "thin": True}),
            )
            for n, good in enumerate(goods)
        ]
        title = "Prices" if what == "price" else "Quantities"
        figures.append(
            {
                **common,
                "title": f"{title} of the market and its twin",
                "note": f"Solid: the market. Dotted: its twin, from formulas alone.{note}",
                "y": _value_axis(market[goods].to_numpy(), label),
                "series": series,
                "legend": legend,
                "alt": _told(title, steps, market[goods]),
            }
        )
        with np.errstate(all="ignore"):
            one, other = market.to_numpy(), twin.to_numpy()
            size = np.maximum(np.abs(one), np.abs(other)).max(axis=0, initial=0.0)
            gap = (np.abs(one - other) / np.where(size > 0.0, size, 1.0)).max(axis=1)
        distances.append(
            {"name": title.lower(), "group": k, "color": f"c{k}", "y": _listed(gap[kept])}
        )
    figures.append(
        {
            **common,
            "title": "The distance between them",
            "note": "The largest difference of any good, over its largest size on the way."
            + _thinning_note(len(steps)),
            "y": {"label": "distance", "scale": "log", "floor": FLOOR},
            "series": distances,
            "legend": [
                {"label": each["name"], "group": each["group"], "color": each["color"]}
                for each in distances
            ],
            "alt": "The distance between market and twin, step by step",
        }
    )
    return figures


def contest_figures(table: Sequence[Mapping[str, Any]]) -> list[Figure]:
    """How many steps each mechanism took, as bars on a logarithmic axis."""
    rows = [row for row in table if isinstance(row.get("steps"), int | float)]
    if not rows:
        return []
    names = [str(row.get("mechanism", "")) for row in rows]
    steps = [float(row["steps"]) for row in rows]
    told = "; ".join(f"{name} {count:,.0f}" for name, count in zip(names, steps, strict=True))
    return [
        {
            "kind": "bars",
            "title": "Steps until all prices and quantities stay at the best",
            "note": "Lengths are logarithmic.",
            "names": names,
            "values": _listed(np.array(steps)),
            "alt": f"Steps of each mechanism: {told}",
        }
    ]


# --- sweeps ---------------------------------------------------------------------------------------


def sweep_figures(table: pd.DataFrame, axes: Sequence[str]) -> list[Figure]:
    """Curves if one of ``axes`` has numbers that vary, a phase diagram if two have; else nothing.

    ``table`` is ``table.csv``, a row a run.
    """
    varying = [
        axis
        for axis in axes
        if table[axis].dtype.kind in "if" and np.unique(table[axis].to_numpy(float)).size > 1
    ]
    if len(varying) == 1:
        return _curves(table, varying[0])
    if len(varying) == 2:
        return [_plane(table, *varying)]
    return []


def _curves(table: pd.DataFrame, axis: str) -> list[Figure]:
    table = table.sort_values(axis, kind="stable")
    kept = _thinned(len(table))
    x = table[axis].to_numpy(float)
    scale = "log" if is_logarithmic(x) else "linear"
    moving = moving_good(table)
    panels: list[tuple[str, str, str | None, str]] = [
        ("steps", "Steps", None, "How many steps each run made."),
        (
            "rate",
            "Rate of a step",
            "predicted_rate",
            "The factor by which moves shrank in a step, where it could be measured, and, dashed, "
            "the one that theory predicts.",
        ),
        ("alignment", "Mean alignment with the gradient", None, "1 is straight uphill."),
        (
            "welfare",
            "Welfare",
            "best_welfare",
            "Where runs ended, and, dashed, the best there is.",
        ),
    ]
    if moving is not None:
        panels.append(
            (
                f"quantity.{moving}",
                f"Quantity of {moving}",
                f"best_quantity.{moving}",
                "Where runs ended, and, dashed, the best allocation, found without a market.",
            )
        )
    figures = []
    for column, title, ideal, note in panels:
        y = table[column].to_numpy(float)
        groups = _status_groups(table)
        series = [
            {
                "name": entry["label"],
                "group": entry["group"],
                "color": entry["color"],
                "points": True,
                "x": _listed(x[kept & here]),
                "y": _listed(y[kept & here]),
            }
            for entry, here in groups
        ]
        legend = [{**entry, "box": True} for entry, _ in groups]
        values = y[(table["status"] == "converged").to_numpy()]
        if ideal is not None:
            best = table[ideal].to_numpy(float)
            name = "predicted" if ideal == "predicted_rate" else "best"
            line = {"name": name, "group": name, "color": "ink", "dash": 1, "thin": True}
            series.append({**line, "x": _listed(x[kept]), "y": _listed(best[kept])})
            legend.append({"label": name, "group": name, "color": "ink", "dash": 1})
            values = np.concatenate([values, best])
        if not np.isfinite(np.concatenate([y, values])).any():
            continue
        scaled, beyond = _value_axis(y, title.lower()), ""
        ends = ("welfare", f"quantity.{moving}")
        if column in ends and np.isfinite(values).any():  # not what blew up
            found = values[np.isfinite(values)]
            scaled = {"label": title.lower(), "scale": "linear"}
            scaled["range"] = [float(found.min()), float(found.max())]
            beyond = " What is beyond the axis is drawn at its edge."
        figures.append(
            {
                "kind": "lines",
                "title": title,
                "note": note + beyond + _thinning_note(len(table), "runs"),
                "x": {"label": axis, "scale": scale},
                "y": scaled,
                "series": series,
                "legend": legend,
                "alt": f"{title} of {len(table):,} runs along {axis}",
            }
        )
    return figures


def _plane(table: pd.DataFrame, across: str, upward: str) -> Figure:
    """A phase diagram, or points if the runs fill no grid."""
    x, y = (np.unique(table[axis].to_numpy(float)) for axis in (across, upward))
    x, y = x[np.isfinite(x)], y[np.isfinite(y)]
    groups = _status_groups(table)
    axes = {
        name: {"label": label, "scale": "log" if is_logarithmic(values) else "linear"}
        for name, label, values in (("x", across, x), ("y", upward, y))
    }
    common = {
        **axes,
        "legend": [{**entry, "group": entry["color"], "box": True} for entry, _ in groups],
        "alt": f"How {len(table):,} runs ended, by {across} and {upward}: "
        + ", ".join(f"{int(here.sum()):,} {entry['label']}" for entry, here in groups),
    }
    points = table[[across, upward]].drop_duplicates()
    if len(points) != len(x) * len(y):
        kept = _thinned(len(table))
        return {
            **common,
            "kind": "lines",
            "title": "How runs ended",
            "note": f"Upward: {upward}.{_thinning_note(len(table), 'runs')}",
            "series": [
                {
                    "name": upward,
                    "group": entry["color"],
                    "color": entry["color"],
                    "points": True,
                    "x": _listed(table[across].to_numpy(float)[kept & here]),
                    "y": _listed(table[upward].to_numpy(float)[kept & here]),
                }
                for entry, here in groups
            ],
        }
    stride = int(np.ceil(np.sqrt(len(x) * len(y) / MAX_CELLS)))
    x, y = x[::stride], y[::stride]
    statuses = list(REGIMES)
    code = table["status"].map({status: k for k, status in enumerate(statuses)})
    table = table.assign(code=code.astype(float))

    def cells(column: str, how: str) -> np.ndarray:
        grid = table.pivot_table(index=upward, columns=across, values=column, aggfunc=how)
        return grid.reindex(index=y, columns=x).to_numpy(float).ravel()

    status, error = cells("code", "max"), cells("error", "median")
    figure: Figure = {
        **common,
        "kind": "grid",
        "title": "How runs ended",
        "across": _listed(x, 12),
        "upward": _listed(y, 12),
        "statuses": statuses,
        "status": [None if np.isnan(each) else int(each) for each in status],
        "steps": _listed(cells("steps", "median")),
        "error": _listed(error),
        "rate": _listed(cells("predicted_rate", "median")),
        "note": f"Upward: {upward}. The dark line: where the predicted rate goes through 1."
        + ("" if stride == 1 else f" Every {stride}th value of each axis is shown."),
    }
    finite = error[np.isfinite(error)]
    if len(groups) == 1 and finite.size:
        size = np.log10(np.maximum(error, FLOOR))
        low, high = (float(np.log10(max(end, FLOOR))) for end in (finite.min(), finite.max()))
        figure["shade"] = _listed(0.12 + 0.88 * (size - low) / max(high - low, 1e-9), 3)
        figure["note"] += (
            f" The stronger the colour, the larger the final error, "
            f"up to {format_plain(finite.max(), 2)}."
        )
    return figure


def _status_groups(table: pd.DataFrame) -> list[tuple[dict[str, Any], np.ndarray]]:
    """A legend's entry for each status that there is, and which runs have it."""
    found = []
    for status, (_, label) in REGIMES.items():
        here = (table["status"] == status).to_numpy()
        if here.any():
            found.append(({"label": label, "group": status, "color": status}, here))
    return found


# --- what they share ------------------------------------------------------------------------------


def _by_good(path: pd.DataFrame, columns: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Each column as a table of its own: a row a step, a column a good, in the file's order."""
    path = path.drop_duplicates(["step", "good"])
    goods = list(dict.fromkeys(path["good"]))
    return {
        column: path.pivot(index="step", columns="good", values=column)[goods] for column in columns
    }


def _chosen(wide: Mapping[str, pd.DataFrame]) -> tuple[list[str], str]:
    """The goods to draw, and a sentence if there are more."""
    goods = list(wide["price"].columns)
    if len(goods) <= MAX_GOODS:
        return goods, ""
    with np.errstate(all="ignore"):
        sales = np.abs(wide["price"].to_numpy()[-1] * wide["quantity"].to_numpy()[-1])
    order = np.argsort(-np.nan_to_num(sales), kind="stable")[:MAX_GOODS]
    return [goods[k] for k in sorted(order)], (
        f" Of {len(goods):,} goods, the {MAX_GOODS} of which most is sold, in money."
    )


def _thinned(count: int) -> np.ndarray:
    """Which of so many points are kept, as a mask."""
    kept = np.zeros(count, bool)
    kept[np.linspace(0, count - 1, min(count, MAX_POINTS)).round().astype(int)] = True
    return kept


def _thinning_note(count: int, what: str = "steps") -> str:
    if count <= MAX_POINTS:
        return ""
    return f" Of {count:,} {what}, {MAX_POINTS:,} are drawn, evenly."


def _listed(values: np.ndarray, digits: int = 7) -> list[float | None]:
    """Numbers to a few digits as JSON can hold them: None for what is no number."""
    return [
        float(f"{value:.{digits}g}") if np.isfinite(value) else None
        for value in np.asarray(values, float).tolist()
    ]


def _step_axis() -> dict[str, Any]:
    return {"label": "step", "scale": "linear", "whole": True}


def _value_axis(values: np.ndarray, label: str) -> dict[str, Any]:
    """A plain axis; where values span six decades or more, one that is logarithmic above a unit."""
    sizes = np.abs(values[np.isfinite(values) & (values != 0.0)])
    if sizes.size == 0 or sizes.max() < 1e6 * np.median(sizes):
        return {"label": label, "scale": "linear"}
    return {"label": label, "scale": "symlog", "unit": 10.0 ** np.ceil(np.log10(np.median(sizes)))}


def _told(what: str, steps: np.ndarray, table: pd.DataFrame) -> str:
    """What a figure shows, for those who cannot see it."""
    ends = "; ".join(f"{good} {format_plain(value)}" for good, value in table.iloc[-1].items())
    return f"{what} over steps {steps[0]:.0f} to {steps[-1]:.0f}. At the end: {ends}."
