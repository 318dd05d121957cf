"""Tables and sentences on the terminal; the words themselves are in ``views/words``."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from market_abm.runs.result import Result
    from market_abm.studies.comparisons import MechanismComparison, OptimizerComparison
    from market_abm.studies.phase_plane import PhasePlane

MAX_ROWS = 10
"""Industries in the table of a large economy."""

FILE_WIDTH = 140
"""Columns of a table that is not printed to a terminal."""


def console() -> Any:
    """The terminal, or a file of fixed width."""
    from rich.console import Console

    terminal = Console(highlight=False)
    return terminal if terminal.is_terminal else Console(highlight=False, width=FILE_WIDTH)


def print_written(folder: Path) -> None:
    """Name the files of a folder of results."""
    from market_abm.views.words.text import written

    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    click.echo(written(folder, ", ".join(names)))


def print_result(result: Result) -> None:
    """The question, the table of goods, and the sentences about a run."""
    from market_abm.runs.result import MAX_LISTED_GOODS
    from market_abm.views.words.run import largest_note, run_sentences

    screen = console()
    if result.experiment.question:
        screen.print(f"[bold]{_plain(result.experiment.question)}[/bold]")
    if len(result.goods) > MAX_LISTED_GOODS:
        shown = result.largest[:MAX_ROWS]
        screen.print(_largest_goods(result, shown))
        files = "summary.json and trajectory.csv"
        click.echo(largest_note(len(shown), len(result.goods), what="industries", files=files))
    else:
        screen.print(_all_goods(result))
    for sentence in run_sentences(result):
        click.echo(sentence)


def print_comparison(comparison: OptimizerComparison) -> None:
    """The largest distances between a market and its twin."""
    from market_abm.views.numbers import format_error
    from market_abm.views.words.comparison import comparison_sentence

    table = _table(("", "left"), ("largest distance", "right"), ("at step", "right"))
    for name, (size, step) in comparison.distances.items():
        table.add_row(name, format_error(size), str(step))
    console().print(table)
    click.echo(comparison_sentence(comparison))


def print_mechanisms(comparison: MechanismComparison) -> None:
    """A row per mechanism, and why a mechanism was refused."""
    from market_abm.views.numbers import format_plain
    from market_abm.views.words.comparison import column_label, limits, mechanisms_note

    columns = ("steps", "messages", "welfare", "wasted", "money_made")
    headers = ((column_label(column), "right") for column in columns)
    table = _table(("mechanism", "left"), ("status", "left"), *headers)
    frame = comparison.table()
    for name, row in frame.iterrows():
        cells = ["-" if row.get(c) is None or row.get(c) != row.get(c) else row[c] for c in columns]
        shown = [cell if isinstance(cell, str) else format_plain(cell) for cell in cells]
        table.add_row(str(name), str(row["status"]), *shown)
    console().print(table)
    for name, row in frame.iterrows():
        if row["status"] == "refused":
            click.echo(f"{name}: {row['why']}")
    click.echo(mechanisms_note())
    for note in limits(comparison):
        click.echo(note)


def print_plane(plane: PhasePlane) -> None:
    """How many cells of the plane return to the equilibrium, a row per model."""
    from market_abm.views.numbers import format_fixed
    from market_abm.views.words.sweep import plane_note

    cells, counts = plane.cells, plane.counts
    table = _table(("model", "left"), *((name, "right") for name in counts), ("of", "right"))
    for model, row in counts.iterrows():
        table.add_row(str(model), *(format_fixed(count, 1) for count in row), str(cells[model]))
    console().print(table)
    click.echo(plane_note())


def print_statuses(counts: Mapping[Any, int]) -> None:
    """The number of runs of a sweep by status, a line per status."""
    for status, count in counts.items():
        click.echo(f"  {status!s:<12} {count:,}")


def print_explanation(result: Result) -> None:
    """Each firm's condition beside backprop's line, as formulas and as numbers."""
    from market_abm.views.explain import explain
    from market_abm.views.words.run import explanation_note

    screen = console()
    for section in explain(result):
        screen.print(f"\n[bold]{_plain(section.title)}[/bold]")
        screen.print(f"  {_plain(section.note)}", style="dim")
        table = _table(("the firm's condition", "left"), ("backprop", "left"))
        for pair in section.pairs:
            table.add_row(_plain(pair.condition), _plain(pair.backprop))
            if pair.condition_numbers:
                table.add_row(
                    _aligned(pair.condition, pair.condition_numbers),
                    _aligned(pair.backprop, pair.backprop_numbers),
                    style="cyan",
                )
        screen.print(table)
    screen.print(f"\n{_plain(explanation_note(result))}")


def print_experiments(rows: Iterable[tuple[str, str, str]]) -> None:
    """Names, questions and files of experiments."""
    table = _table(("name", "left"), ("question", "left"), ("file", "left"))
    for name, question, file in rows:
        table.add_row(name, _plain(question), file)
    console().print(table)


# --- tables ---------------------------------------------------------------------------------------


def _table(*columns: tuple[str, str]) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for header, justify in columns:
        table.add_column(header, justify=justify)  # type: ignore[arg-type]
    return table


def _all_goods(result: Result) -> Any:
    """A row per good."""
    from market_abm.views.numbers import format_error, format_plain

    headers = ("quantity", "price", "gradient", "error", "first step")
    table = _table(("good", "left"), *((header, "right") for header in headers))
    for good, row in result.table().iterrows():
        table.add_row(
            _plain(str(good)),
            format_plain(row["quantity"]),
            format_plain(row["price"], 10),
            format_plain(row["gradient"], 10),
            format_error(row["error"]),
            "-" if row["first_step"] < 0 else str(int(row["first_step"])),
        )
    return table


def _largest_goods(result: Result, largest: Iterable[str]) -> Any:
    """A row for each of these industries.

    Of an input-output table also the Domar weights: what sales over the household's expenditure
    must be by the table alone.
    """
    from market_abm.gradient.closed_form import domar_weights
    from market_abm.views.numbers import format_error, format_fixed, format_plain

    given, rows = result.experiment.input_output, result.table()
    weights = {} if given is None else dict(zip(given.codes, domar_weights(given), strict=True))
    columns = ["price", "gradient", *(["Domar weight"] if weights else []), "sales", "error"]
    table = _table(("industry", "left"), *((column, "right") for column in columns))
    for good in largest:
        row = rows.loc[good]
        table.add_row(
            _plain(textwrap.shorten(result.experiment.economy.label(good), 60, placeholder=" …")),
            format_plain(row["price"], 10),
            format_plain(row["gradient"], 10),
            *([format_fixed(weights[good], 10)] if weights else []),
            format_fixed(row["price"] * row["quantity"], 10),
            format_error(row["error"]),
        )
    return table


def _aligned(equation: str, numbers: str) -> str:
    """The numbers under the right side of their equation."""
    return _plain(" " * equation.index("=") + "= " + numbers)


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)
