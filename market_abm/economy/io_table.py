"""National input-output tables: sales of each industry (row) to each industry (column) in a year.

A column divided by the industry's output holds its cost shares; the rest of output is spent on
primary inputs (labour, capital, imports). Output that no industry buys is final use.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from market_abm.display import Displayable
from market_abm.economy.codes import check_order, tidy_code
from market_abm.errors import TableError
from market_abm.fields import check_choice

TOLERANCE = 1e-3
"""The residual of an industry's row or column, over its output, above which a table is refused.

Published tables are rounded, and often balanced by hand: some 1e-4 is usual.
"""

ROUNDING = 1e-12
"""A share of output below this is a rounding error of 0."""

SECTOR_COLUMNS = ("code", "gross_output", "final_use")
"""The columns that a sector table must have."""

NEGATIVE_FINAL_USE = ("refuse", "move")
"""What is done with a negative final use: nothing, or it becomes a primary input."""

FACTORS = (
    "primary_inputs",
    "value_added",
    "compensation",
    "taxes_less_subsidies",
    "operating_surplus",
    "intermediate_imported",
    "other_inputs",
)
"""The columns of primary inputs that a sector table may have."""


@dataclass(frozen=True, eq=False, repr=False)
class InputOutputTable(Displayable):
    """A square table of n industries, checked on construction; arrays are copied and read-only.

    Attributes
    ----------
    codes, names
        Short and long names of the industries; long ones may be empty.
    flows
        Sales of the row's industry to the column's, money per year, shape (n, n).
    output, final_use
        Money per year, shape (n,).
    factors
        Spending on primary inputs by the names of ``FACTORS``, money per year, each of shape (n,).
    moved
        By code, the amounts of negative final use that were moved to primary inputs.
    dropped
        Codes of industries that were left out because they make nothing.
    kept
        The share of the flows that :meth:`without_small_inputs` kept.

    Raises
    ------
    TableError
        Shapes or codes do not agree; a number is missing, infinite or negative; an industry makes
        nothing, or buys more than it makes; a row or column is off its total by more than 0.1 % of
        output; an industry contributes to no final use, or needs no primary input.
    """

    codes: tuple[str, ...]
    names: tuple[str, ...]
    flows: np.ndarray
    output: np.ndarray
    final_use: np.ndarray
    factors: Mapping[str, np.ndarray] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()
    kept: float = 1.0
    moved: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        def keep(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

        keep("codes", tuple(tidy_code(code) for code in self.codes))
        keep("names", tuple(str(name).strip() for name in self.names))
        for name in ("flows", "output", "final_use"):
            keep(name, _numbers(getattr(self, name), name))
        keep("factors", {name: _numbers(each, name) for name, each in self.factors.items()})
        self._check_shapes()
        self._check_numbers()
        self._check_accounts()

    # --- shares ---------------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """The number of industries, n."""
        return len(self.codes)

    @cached_property
    def shares(self) -> np.ndarray:
        """A, shape (n, n): spending of the column's industry on the row's, over its output."""
        return _fixed(self.flows / self.output)

    @cached_property
    def primary_shares(self) -> np.ndarray:
        """Each industry's spending on primary inputs over its output, shape (n,): 1 - Σ A."""
        left = 1.0 - self.shares.sum(axis=0)
        return _fixed(np.where(left < ROUNDING, 0.0, left))

    @cached_property
    def final_shares(self) -> np.ndarray:
        """β, shape (n,): each industry's share of all final use."""
        return _fixed(self.final_use / self.final_use.sum())

    @property
    def primary_inputs(self) -> np.ndarray:
        """Spending on primary inputs, (n,): as given, or else output less purchases."""
        given = self.factors.get("primary_inputs")
        return self.output - self.flows.sum(axis=0) if given is None else given

    # --- accounts -------------------------------------------------------------------------------

    @cached_property
    def row_residuals(self) -> np.ndarray:
        """(Output - row sum - final use) / output, shape (n,)."""
        return _fixed((self.output - self.flows.sum(axis=1) - self.final_use) / self.output)

    @cached_property
    def column_residuals(self) -> np.ndarray:
        """(Output - column sum - primary inputs) / output, shape (n,)."""
        return _fixed((self.output - self.flows.sum(axis=0) - self.primary_inputs) / self.output)

    def label(self, k: int) -> str:
        """The name of industry k, for messages: its code, and its long name if it has one."""
        code, name = self.codes[k], self.names[k]
        return f"{code} ({name})" if name and name != code else code

    def report(self) -> str:
        """A summary in a few lines: size, and how well the accounts add up."""
        lines = [
            f"{self.size} industries; output {self.output.sum():,.6g}, final use "
            f"{self.final_use.sum():,.6g}, {np.mean(self.flows > 0.0):.1%} of the flows above 0"
        ]
        for what, residuals in (
            ("rows (output = sales to industries + final use)", self.row_residuals),
            ("columns (output = purchases + primary inputs)", self.column_residuals),
        ):
            worst = int(np.argmax(np.abs(residuals)))
            lines.append(
                f"{what}: off by {np.mean(np.abs(residuals)):.2g} of output on average, at most "
                f"{abs(residuals[worst]):.2g}, {self.label(worst)}"
            )
        if self.kept < 1.0:
            lines.append(f"small inputs were dropped: {self.kept:.1%} of the flows were kept")
        if self.moved:
            lines.append(self.moved_note())
        if self.dropped:
            lines.append(f"left out, without output: {', '.join(self.dropped)}")
        return "\n".join(lines)

    def moved_note(self) -> str:
        """Which negative final uses were moved; empty if none was."""
        amounts = ", ".join(f"{amount:,.6g} of {code}" for code, amount in self.moved.items())
        what = "moved from final use, where it was negative, to output and primary inputs"
        return f"{what}: {amounts}" if amounts else ""

    def _check_shapes(self) -> None:
        n = self.size
        if n == 0:
            raise TableError("the table has no industry", remedy="give one row per industry")
        if self.flows.ndim != 2 or self.flows.shape[0] != self.flows.shape[1]:
            raise TableError(
                f"the flows have the shape {self.flows.shape}",
                remedy="give a square table, a row and a column for each industry",
            )
        for name, array in self._columns():
            if array.shape != (n,):
                raise TableError(
                    f"{name} has the shape {array.shape}, with {n} codes",
                    remedy="give one number per industry",
                )
        if len(self.flows) != n or len(self.names) != n:
            raise TableError(
                f"there are {n} codes, {len(self.names)} names and {len(self.flows)} rows of flows",
                remedy="give one of each per industry",
            )
        seen: set[str] = set()
        for k, code in enumerate(self.codes):
            if not code:
                raise TableError(
                    f"industry {k + 1} of the table has no code", remedy="give it a short name"
                )
            if code in seen:
                raise TableError(
                    f"two industries have the code {code}",
                    remedy="give each its own code",
                    name=code,
                )
            seen.add(code)

    def _columns(self) -> list[tuple[str, np.ndarray]]:
        return [("output", self.output), ("final_use", self.final_use), *self.factors.items()]

    def _check_numbers(self) -> None:
        for name, array in [("flows", self.flows), *self._columns()]:
            for place in np.argwhere(~np.isfinite(array))[:1]:
                raise TableError(
                    f"{name} of {self.label(place[0])} holds {array[tuple(place)]}",
                    remedy="fill in the number",
                    name=self.codes[place[0]],
                )
        for seller, buyer in np.argwhere(self.flows < 0.0)[:1]:
            raise TableError(
                f"{self.label(seller)} sold {self.flows[seller, buyer]:g} to {self.label(buyer)}",
                remedy="a flow cannot be negative: set it to 0, and balance the table",
                name=self.codes[seller],
            )
        for k in np.flatnonzero(self.final_use < 0.0)[:1]:
            raise TableError(
                f"the final use of {self.label(k)} is {self.final_use[k]:g}",
                remedy='choose negative_final_use = "move": what imports and inventories supply '
                "becomes a primary input of the industry",
                name=self.codes[k],
            )
        for k in np.flatnonzero(self.output <= 0.0)[:1]:
            unused = not (self.flows[k].any() or self.flows[:, k].any())
            raise TableError(
                f"the output of {self.label(k)} is {self.output[k]:g}",
                remedy="leave it out, with drop_empty = True"
                if unused and self.output[k] == 0.0
                else "an industry that buys or sells must have an output > 0",
                name=self.codes[k],
            )

    def _check_accounts(self) -> None:
        bought = self.flows.sum(axis=0)
        for k in np.flatnonzero(bought > self.output * (1.0 + ROUNDING))[:1]:
            raise TableError(
                f"{self.label(k)} buys {bought[k]:g}, more than its output of {self.output[k]:g}",
                remedy="purchases must leave something for primary inputs: check its column",
                name=self.codes[k],
            )
        for line, rest, residuals in (
            ("row sum", "final use", self.row_residuals),
            ("column sum", "primary inputs", self.column_residuals),
        ):
            k = int(np.argmax(np.abs(residuals)))
            if abs(residuals[k]) > TOLERANCE:
                raise TableError(
                    f"{self.label(k)} does not add up: its output, {self.output[k]:g}, is off its "
                    f"{line} and {rest} by {residuals[k]:.2%}",
                    remedy=f"balance the table to within {TOLERANCE:.1%}",
                    name=self.codes[k],
                )
        if not self.final_use.any():
            raise TableError(
                "no industry has a final use",
                remedy="give sales to households and other final users",
            )
        unsold = np.flatnonzero(~_reaches(self.flows > 0.0, self.final_use > 0.0))
        if unsold.size:
            raise TableError(
                f"{self.label(int(unsold[0]))} contributes to no final use, directly or indirectly",
                remedy="check its row, or leave it out",
                name=self.codes[unsold[0]],
            )
        lost = np.flatnonzero(~_reaches(self.flows.T > 0.0, self.primary_shares > 0.0))
        if lost.size:
            raise TableError(
                f"{self.label(int(lost[0]))} uses no primary input, directly or indirectly",
                remedy="check its column: something must be left for primary inputs",
                name=self.codes[lost[0]],
            )

    # --- other tables ---------------------------------------------------------------------------

    def without_small_inputs(self, min_share: float) -> InputOutputTable:
        """The table without inputs below ``min_share`` of the buyer's output.

        The column's other inputs are scaled up in proportion, so that each industry spends as much
        on inputs as before; its largest input always stays. Final uses are the same; outputs follow
        from them, so that the new table adds up.

        Raises
        ------
        TableError
            ``min_share`` is not in [0, 1), or an industry would have no sales.
        """
        if not 0.0 <= min_share < 1.0:
            raise TableError(
                f"min_share is {min_share!r}",
                remedy="must be ≥ 0 and < 1, a share of the buyer's costs",
                name="economy.min_share",
            )
        if min_share == 0.0:
            return self
        shares = self.shares
        stays = (shares >= min_share) | (shares == shares.max(axis=0))
        stays &= shares > 0.0
        left = np.where(stays, shares, 0.0)
        total = left.sum(axis=0)
        left = left * (shares.sum(axis=0) / np.where(total > 0.0, total, 1.0))
        unsold = np.flatnonzero(~_reaches(left > 0.0, self.final_use > 0.0))
        if unsold.size:
            raise TableError(
                f"with min_share = {min_share:g}, {self.label(int(unsold[0]))} has no sales",
                remedy="lower min_share",
                name="economy.min_share",
            )
        output = np.linalg.solve(np.eye(self.size) - left, self.final_use)
        return InputOutputTable(
            self.codes,
            self.names,
            left * output,
            output,
            self.final_use,
            {name: each * (output / self.output) for name, each in self.factors.items()},
            self.dropped,
            kept=self.kept * float(self.flows[stays].sum() / max(self.flows.sum(), 1e-300)),
            moved=self.moved,
        )

    @staticmethod
    def from_pymrio(
        system: Any, *, drop_empty: bool = False, negative_final_use: str = "refuse"
    ) -> InputOutputTable:
        """The table of a pymrio system (or anything with its ``Z``, ``Y`` and ``x``).

        ``Z``, ``Y`` and ``x`` are pandas tables with a row per industry; the columns of ``Y`` are
        summed. The levels of a code (region and sector) are joined by spaces. The options are those
        of :func:`market_abm.read_table`.

        Raises
        ------
        TableError
            Something is missing, or as for :class:`InputOutputTable`.
        """
        for name in ("Z", "Y", "x"):
            if getattr(system, name, None) is None:
                raise TableError(
                    f"the system has no {name}",
                    remedy="compute it first, with system.calc_all()",
                    name=name,
                )
        codes = _labels(system.Z.index)
        check_order(codes, _labels(system.Z.columns), "the rows of Z", "its columns")
        check_order(codes, _labels(system.Y.index), "Z", "Y")
        check_order(codes, _labels(system.x.index), "Z", "x")
        output = np.asarray(system.x, float).reshape(len(codes), -1)
        return checked_table(
            codes,
            codes,
            np.array(system.Z, float),
            output[:, 0],
            np.array(system.Y, float).reshape(len(codes), -1).sum(axis=1),
            {},
            drop_empty=drop_empty,
            negative_final_use=negative_final_use,
        )


def _labels(index: Any) -> list[str]:
    """The labels of a pandas index, levels joined by spaces."""
    return [
        tidy_code(" ".join(map(str, label)) if isinstance(label, tuple) else label)
        for label in index
    ]


def _numbers(values: Any, name: str) -> np.ndarray:
    try:
        return _fixed(np.array(values, float))
    except (TypeError, ValueError):
        raise TableError(
            f"{name} holds something that is not a number", remedy="give numbers only", name=name
        ) from None


def _fixed(array: np.ndarray) -> np.ndarray:
    """``array``, made read-only, as tables are cached and shared."""
    array.flags.writeable = False
    return array


def _reaches(sells: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """Which industries reach a ``goal``, (n,), along the edges ``sells``, (n, n)."""
    found = goal
    while True:
        further = found | (sells @ found)
        if np.array_equal(further, found):
            return found
        found = further


def checked_table(
    codes: Sequence[str],
    names: Sequence[str],
    flows: np.ndarray,
    output: np.ndarray,
    final_use: np.ndarray,
    factors: Mapping[str, np.ndarray],
    *,
    drop_empty: bool,
    negative_final_use: str,
) -> InputOutputTable:
    """The table of these parts; options as for :func:`market_abm.read_table`."""
    check_choice(negative_final_use, "economy.negative_final_use", NEGATIVE_FINAL_USE)
    moved = np.zeros(len(codes))
    if negative_final_use == "move":
        moved = np.maximum(-final_use, 0.0)
        output, final_use = output + moved, final_use + moved
        factors = {
            name: each + moved if name in ("primary_inputs", "other_inputs") else each
            for name, each in factors.items()
        }
    empty = (output == 0.0) & (final_use == 0.0) & ~flows.any(axis=0) & ~flows.any(axis=1)
    stays = [k for k in range(len(codes)) if not (drop_empty and empty[k])]
    return InputOutputTable(
        tuple(codes[k] for k in stays),
        tuple(names[k] for k in stays),
        flows[np.ix_(stays, stays)],
        output[stays],
        final_use[stays],
        {name: each[stays] for name, each in factors.items()},
        tuple(code for k, code in enumerate(codes) if drop_empty and empty[k]),
        moved={codes[k]: float(moved[k]) for k in stays if moved[k] > 0.0},
    )
