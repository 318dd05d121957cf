"""Tables and sentences that fit a terminal of any width: numbers are never cut, nor words broken.

A table that is too wide has the words of its text columns in several lines; if that is not enough,
each row is a block of lines. What is not printed to a terminal is as wide as it needs to be.
"""

from __future__ import annotations

import itertools
import shutil
import sys
from collections.abc import Sequence
from typing import Any, TextIO

import click

from market_abm.views.words.lines import columns, in_lines

FILE_WIDTH = 100_000
"""Columns of what is not printed to a terminal."""

GAP, NARROW_GAP = 3, 2
"""Spaces between columns of a table."""

MIN_WORDS = 14
"""Columns for text that is longer."""

HANGING = 2
"""Spaces before the second line of a sentence, and the following ones."""

BREAKS = "_-/"
"""Characters after which a name may go on in the next line."""

Column = tuple[str, str]
"""A header, and whether its column is justified to the ``left`` (text) or ``right`` (numbers)."""


def terminal_width(stream: TextIO) -> int | None:
    """The columns of the terminal that ``stream`` is; None if it is none."""
    return shutil.get_terminal_size().columns if stream.isatty() else None


def say(text: str, *, err: bool = False) -> None:
    """Print text; on a terminal in lines that are broken between words."""
    width = terminal_width(sys.stderr if err else sys.stdout)
    if width is not None:
        start = " " * (len(text) - len(text.lstrip()))
        lines = in_lines(text.strip(), width - len(start), HANGING)
        text = "\n".join(start + line for line in lines)
    click.echo(text, err=err)


def console() -> Any:
    """The terminal, or a file as wide as necessary; it takes all text as it is."""
    from rich.console import Console

    width = terminal_width(sys.stdout) or FILE_WIDTH
    return Console(highlight=False, markup=False, emoji=False, width=width)


def print_table(
    heads: Sequence[Column], rows: Sequence[Sequence[str]], *, labelled: bool = True
) -> None:
    """Print a table as wide as the terminal allows, or its rows as blocks of lines.

    Parameters
    ----------
    heads
        The columns.
    rows
        Their cells.
    labelled
        Whether the lines of a block begin with the headers of their columns.
    """
    screen = console()
    room = screen.width - 2
    natural = [
        max(columns(head), *(columns(row[k]) for row in rows), 0)
        for k, (head, _) in enumerate(heads)
    ]
    if sum(natural) + GAP * (len(heads) - 1) <= room:
        screen.print(_table(heads, rows, GAP))
        return
    widths = _narrowed(heads, rows, natural, room - NARROW_GAP * (len(heads) - 1))
    if widths is not None:
        sides = [side for _, side in heads]
        wrapped = [_wrapped(row, widths, sides) for row in rows]
        titles = _wrapped([head for head, _ in heads], widths, ["left"] * len(heads))
        screen.print(_table(list(zip(titles, sides, strict=True)), wrapped, NARROW_GAP))
        return
    for row in rows:
        click.echo()
        _print_block(heads, row, screen.width, labelled=labelled)
    click.echo()


def print_pairs(
    heads: tuple[str, str], pairs: Sequence[tuple[str, str]], styles: Sequence[str]
) -> None:
    """Print equations side by side, or below each other where there is no room.

    ``styles`` has one for each pair.
    """
    if not pairs:
        return
    screen, sides = console(), list(zip(*pairs, strict=True))
    sizes = [max(map(columns, [head, *cells])) for head, cells in zip(heads, sides, strict=True)]
    for gap in (GAP, NARROW_GAP):
        if sum(sizes) + gap <= screen.width - 2:
            screen.print(_table([(head, "left") for head in heads], pairs, gap, styles))
            return
    for head, cells in zip(heads, sides, strict=True):
        click.echo(f"  {head}:")
        for cell, style in zip(cells, styles, strict=True):
            hanging = min(cell.index("=") + 2 if "=" in cell else 2, screen.width // 2)
            lines = in_lines(cell, screen.width - 4, hanging)
            screen.print("\n".join(f"    {line}" for line in lines), style=style)


def _table(
    heads: Sequence[Column], rows: Sequence[Sequence[str]], gap: int, styles: Sequence[str] = ()
) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), collapse_padding=gap < GAP)
    for head, justify in heads:
        table.add_column(head, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    for row, style in itertools.zip_longest(rows, styles, fillvalue=""):
        table.add_row(*row, style=style or None)
    return table


def _narrowed(
    heads: Sequence[Column], rows: Sequence[Sequence[str]], natural: Sequence[int], room: int
) -> list[int] | None:
    """Widths that fit into ``room`` with all numbers and words whole; None if there are none."""
    least = []
    for k, ((head, side), size) in enumerate(zip(heads, natural, strict=True)):
        cells = [row[k] for row in rows]
        words = [head, *cells] if side == "left" else [head]
        parts = [each for text in words for each in in_lines(text, 1, breaks=BREAKS, fold=False)]
        whole = [" " * min(size, MIN_WORDS)] if side == "left" else cells
        least.append(max(map(columns, [*parts, *whole])))
    widths = list(natural)
    while sum(widths) > room:
        spare = [width - low for width, low in zip(widths, least, strict=True)]
        if max(spare) <= 0:
            return None
        widths[spare.index(max(spare))] -= 1
    return widths


def _wrapped(row: Sequence[str], widths: Sequence[int], sides: Sequence[str]) -> list[str]:
    """The cells of a row, text in lines of these widths."""
    return [
        "\n".join(in_lines(cell, width, breaks=BREAKS)) if side == "left" else cell
        for cell, width, side in zip(row, widths, sides, strict=True)
    ]


def _print_block(
    heads: Sequence[Column], row: Sequence[str], width: int, *, labelled: bool
) -> None:
    """A row as lines: its first cell, and below it the others."""
    for line in in_lines(row[0], width, breaks=BREAKS):
        click.echo(line)
    label = max(columns(head) for head, _ in heads[1:]) if labelled else 0
    for (head, _), cell in zip(heads[1:], row[1:], strict=True):
        start = f"  {head}{' ' * (label - columns(head))}  " if labelled else "  "
        for n, line in enumerate(in_lines(cell, width - columns(start), breaks="/")):
            click.echo((start if n == 0 else " " * columns(start)) + line)
