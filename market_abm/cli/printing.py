"""Tables and sentences on the terminal; the words themselves are in ``views/words``."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from market_abm.cli.tables import console, print_pairs, print_table, say
from market_abm.views.words.lines import printable

if TYPE_CHECKING:
    import pandas as pd

    from market_abm.runs.result import Result
    from market_abm.studies.comparisons import MechanismComparison
    from market_abm.studies.optimizers import OptimizerComparison
    from market_abm.studies.phase_plane import PhasePlane

MAX_ROWS = 10
"""Industries in the table of a large economy."""


MAX_DATES = 20
"""Dates of which each has a row in the table of own rates of interest."""


def print_written(folder: Path) -> None:
    """Name the files of a folder of results."""
    from market_abm.views.words.text import written

    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    say(written(folder, ", ".join(names)))


def print_result(result: Result, goods: Sequence[str] = (), left_out: str = "") -> None:
    """The question, the table of goods, and the sentences about a run.

    Parameters
    ----------
    result
        The run.
    goods
        The goods of the table; by default all if they are few, or else families, or the largest.
    left_out
        Which file was not written, and why.
    """
    from market_abm.runs.families import MAX_LISTED_GOODS
    from market_abm.views.words.families import families_note
    from market_abm.views.words.run import largest_industries_note, run_sentences

    if result.experiment.question:
        console().print(printable(result.experiment.question), style="bold")
    files = "summary.json and " + ("families.csv" if left_out else "trajectory.csv")
    if goods:
        _print_goods(result.table().loc[list(goods)])
    elif result.families:
        _print_families(result)
        say(families_note(len(result.families), len(result.goods)))
    elif len(result.goods) > MAX_LISTED_GOODS:
        shown = result.largest[:MAX_ROWS]
        _print_largest(result, shown)
        say(largest_industries_note(result, len(shown), files))
    else:
        _print_goods(result.table())
    _print_own_rates(result)
    for sentence in [*run_sentences(result), *filter(None, [left_out])]:
        say(sentence)


def print_comparison(comparison: OptimizerComparison) -> None:
    """The largest distances of a market from its twin and the textbook, and what they mean."""
    from market_abm.views.words.comparison import comparison_sentences, distance_text

    columns = ("twin", "at step", "textbook", "at step")
    rows = []
    for name, (size, step) in comparison.distances.items():
        far, when = comparison.textbook_distances[name]
        shown = distance_text(size), str(step), distance_text(far), str(when)
        rows.append((name, *shown))
    print_table([("largest distance", "left"), *((column, "right") for column in columns)], rows)
    for sentence in comparison_sentences(comparison):
        say(sentence)


def print_mechanisms(comparison: MechanismComparison) -> None:
    """A row per mechanism, and why a mechanism was refused."""
    from market_abm.views.numbers import format_plain
    from market_abm.views.words.comparison import column_label, limits, mechanisms_note, unsettled

    columns = ("steps", "messages", "welfare", "wasted", "money_made")
    heads = [("mechanism", "left"), ("status", "left")]
    heads += [(column_label(column), "right") for column in columns]
    frame, rows = comparison.table(), []
    for name, row in frame.iterrows():
        cells = ["-" if row.get(c) is None or row.get(c) != row.get(c) else row[c] for c in columns]
        shown = [cell if isinstance(cell, str) else format_plain(cell) for cell in cells]
        rows.append((str(name), str(row["status"]), *shown))
    print_table(heads, rows)
    for sentence in unsettled(frame):
        say(sentence)
    say(mechanisms_note())
    for note in limits(comparison):
        say(note)


def print_plane(plane: PhasePlane) -> None:
    """How many cells of the plane return to the equilibrium, a row per model."""
    from market_abm.views.numbers import format_fixed
    from market_abm.views.words.sweep import plane_note

    cells, counts = plane.cells, plane.counts
    print_table(
        [("model", "left"), *((str(name), "right") for name in counts), ("of", "right")],
        [
            (str(model), *(format_fixed(count, 1) for count in row), str(cells[model]))
            for model, row in counts.iterrows()
        ],
    )
    say(plane_note())


def print_statuses(counts: Mapping[Any, int]) -> None:
    """The number of runs of a sweep by status, a line per status."""
    for status, count in counts.items():
        say(f"  {status!s:<12} {count:,}")


def print_explanation(result: Result, goods: Sequence[str] = ()) -> None:
    """Each firm's condition beside backprop's line, as formulas and as numbers.

    ``goods`` are those whose lines are explained; by default as in ``views/explain.py``.
    """
    from market_abm.views.explain import explain
    from market_abm.views.words.run import explanation_note

    screen = console()
    for section in explain(result, goods):
        click.echo()
        screen.print(section.title, style="bold")
        say(f"  {section.note}")
        pairs, styles = [], []
        for pair in section.pairs:
            pairs.append((pair.condition, pair.backprop))
            styles.append("")
            if pair.condition_numbers:
                left = _aligned(pair.condition, pair.condition_numbers)
                pairs.append((left, _aligned(pair.backprop, pair.backprop_numbers)))
                styles.append("cyan")
        print_pairs(("the firm's condition", "backprop"), pairs, styles)
    click.echo()
    say(explanation_note(result))


def print_experiments(rows: Iterable[tuple[str, str, str]]) -> None:
    """Names, questions and files of experiments."""
    heads = [("name", "left"), ("question", "left"), ("file", "left")]
    print_table(
        heads, [(name, printable(question), file) for name, question, file in rows], labelled=False
    )


# --- tables ---------------------------------------------------------------------------------------


def _print_goods(table: pd.DataFrame) -> None:
    """A row per good."""
    from market_abm.views.numbers import format_error, format_plain

    headers = ("quantity", "price", "gradient", "error", "first step")
    print_table(
        [("good", "left"), *((header, "right") for header in headers)],
        [
            (
                printable(str(good)),
                format_plain(row["quantity"]),
                format_plain(row["price"], 10),
                format_plain(row["gradient"], 10),
                format_error(row["error"]),
                "-" if row["first_step"] < 0 else str(int(row["first_step"])),
            )
            for good, row in table.iterrows()
        ],
    )


def _print_families(result: Result) -> None:
    """A row per family."""
    from market_abm.views.numbers import format_error, format_plain
    from market_abm.views.words.families import COLUMNS, shown_mean

    print_table(
        [("family", "left"), *((header, "right") for header in COLUMNS.values())],
        [
            (
                printable(str(label)),
                f"{row['members']:,.0f}",
                format_plain(shown_mean(row), 8),
                *(format_plain(row[f"price_{which}"], 8) for which in ("least", "largest")),
                format_error(row["error"]),
                "-" if row["first_step"] < 0 else str(int(row["first_step"])),
            )
            for label, row in result.by_family().iterrows()
        ],
    )


def _print_largest(result: Result, largest: Iterable[str]) -> None:
    """A row for each of these industries.

    Of an input-output table also the Domar weights: what sales over the household's expenditure
    must be by the table alone.
    """
    from market_abm.gradient.closed_form import domar_weights
    from market_abm.views.numbers import format_error, format_fixed, format_plain

    given, table = result.experiment.input_output, result.table()
    weights = {} if given is None else dict(zip(given.codes, domar_weights(given), strict=True))
    heads = ["price", "gradient", *(["Domar weight"] if weights else []), "sales", "error"]
    rows = []
    for good in largest:
        row, label = table.loc[good], printable(result.experiment.economy.label(good))
        rows.append(
            (
                textwrap.shorten(label, 60, placeholder=" …"),
                format_plain(row["price"], 10),
                format_plain(row["gradient"], 10),
                *([format_fixed(weights[good], 10)] if weights else []),
                format_fixed(row["price"] * row["quantity"], 10),
                format_error(row["error"]),
            )
        )
    print_table([("industry", "left"), *((head, "right") for head in heads)], rows)


def _print_own_rates(result: Result) -> None:
    """A row for each date, a column for each dated good; of many dates and goods some."""
    from market_abm.views.convergence import evenly
    from market_abm.views.numbers import format_plain
    from market_abm.views.words.own_rates import DATE_LABEL, PREDICTED, TITLE, some_dates

    table = result.own_rates()
    if table.empty:
        return
    columns: list[tuple[str, dict[int, float]]] = []
    for name in list(dict.fromkeys(table["name"]))[:MAX_ROWS]:
        rows = table[table["name"] == name].set_index("t")
        columns.append((name, rows["rate"].to_dict()))
        if rows["predicted"].notna().any():
            columns.append((PREDICTED, rows["predicted"].to_dict()))
    dates = sorted(set(table["t"]))
    many = len(dates) > MAX_DATES
    shown = [dates[k] for k in evenly(len(dates), MAX_ROWS)] if many else dates
    console().print(TITLE, style="bold")
    print_table(
        [(DATE_LABEL, "left"), *((name, "right") for name, _ in columns)],
        [
            (str(t), *(format_plain(rates[t], 10) if t in rates else "-" for _, rates in columns))
            for t in shown
        ],
    )
    if many:
        say(some_dates(len(shown), len(dates)))


def _aligned(equation: str, numbers: str) -> str:
    """The numbers under the right side of their equation."""
    return " " * equation.index("=") + "= " + numbers
