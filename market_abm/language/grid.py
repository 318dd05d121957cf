"""Entries of an axis of which the first form a table: firms that all buy the same goods."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from market_abm.language.segments import BLOCK, gather, scatter

MIN_GRID = BLOCK // 8
"""Entries of a table from which copying it piece by piece is faster than by indices."""

MAX_PIECES = 8
"""Pieces of a table up to which that is so."""


class Grid:
    """Places on an axis, and kinds, of entries of which the first form a table.

    In the table all rows have the same kinds, and the places of a column are neighbours.

    Parameters
    ----------
    places
        Of all entries, shape (entries,); those of the table come first, row after row.
    kinds
        Likewise.
    rows, columns
        Of the table.
    """

    def __init__(self, places: np.ndarray, kinds: np.ndarray, rows: int, columns: int) -> None:
        self.rows, self.size = rows, len(places)
        self._kinds, self._other_kinds = kinds[:columns], kinds[rows * columns :]
        self._others = places[rows * columns :]
        self.pieces: list[tuple[slice, slice, int]] = []
        first, column = places[:columns], 0
        steps = np.diff(first)
        while column < columns:
            step = int(steps[column]) if column < len(steps) else rows
            unlike = np.flatnonzero(steps[column:] != step)
            after = column + int(unlike[0]) + 1 if len(unlike) else columns
            begin = int(first[column]) + rows - step  # a piece ends with the last row
            if step < rows or begin < 0:
                after, step, begin = column + 1, rows, int(first[column])
            own = slice(begin, begin + (after - column) * step)
            self.pieces.append((slice(column, after), own, step))
            column = after

    @staticmethod
    def of(places: np.ndarray, kinds: np.ndarray, sizes: np.ndarray) -> Grid | None:
        """The largest table at the beginning, if it is worth it; ``sizes`` are those of rows."""
        columns = int(sizes[0])
        rows = _leading(sizes == columns)
        if rows * columns < MIN_GRID:
            return None
        shape, count = (rows, columns), rows * columns
        as_first = kinds[:count].reshape(shape) == kinds[:columns]
        in_order = places[:count].reshape(shape) == places[:columns] + np.arange(rows)[:, None]
        rows = _leading(np.all(as_first & in_order, axis=1))
        grid = Grid(places, kinds, rows, columns)
        large = rows * columns >= MIN_GRID and len(grid.pieces) <= MAX_PIECES
        return grid if large else None

    def products(self, values: np.ndarray, of_kinds: np.ndarray) -> np.ndarray:
        """The values at the places, times those of the kinds, shape (..., entries)."""
        result = np.empty((*values.shape[:-1], self.size), values.dtype)
        table, others = self._split(result)
        for columns, view in self._views(values):
            table[..., columns] = view
        table *= of_kinds[..., None, self._kinds]
        np.multiply(gather(values, self._others), gather(of_kinds, self._other_kinds), out=others)
        return result

    def scatter(self, values: np.ndarray, new: np.ndarray) -> None:
        """Write ``new``, shape (..., entries), to the places on the last axis of ``values``."""
        table, others = self._split(new)
        for columns, view in self._views(values):
            view[...] = table[..., columns]
        scatter(values, self._others, others)

    def _split(self, entries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Those of the table, shape (..., rows, columns), and the others."""
        count = self.size - len(self._others)
        table = entries[..., :count].reshape(*entries.shape[:-1], self.rows, -1)
        return table, entries[..., count:]

    def _views(self, values: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """Columns at equal distances, and the values there, shape (..., rows, columns)."""
        for columns, own, step in self.pieces:
            parts = values[..., own].reshape(*values.shape[:-1], -1, step)
            yield columns, parts[..., step - self.rows :].swapaxes(-1, -2)


def _leading(mask: np.ndarray) -> int:
    """How many are true before the first that is not."""
    return len(mask) if mask.all() else int(np.argmin(mask))
