"""Results by families: where an economy has many goods of few names, a row is a family.

Every number is a mean, the least, the median or the largest of those of the members.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from market_abm.economy.families import Family

if TYPE_CHECKING:
    import pandas as pd

    from market_abm.economy.economy import Economy

MAX_LISTED_GOODS = 40
"""Goods beyond which tables and figures show families, or else the largest industries only."""

BLOCK = 4_000_000
"""Numbers along the path that are reduced at once."""


def shown_families(economy: Economy) -> tuple[Family, ...]:
    """The families that tables and figures show in the place of goods, in their order.

    None where all goods can be listed, or where there are as many families.
    """
    if len(economy.goods) <= MAX_LISTED_GOODS:
        return ()
    families = tuple(economy.families.values())
    few = len(families) <= MAX_LISTED_GOODS and 2 * len(families) <= len(economy.goods)
    return families if few else ()


@np.errstate(all="ignore")  # it may have diverged
def family_table(families: Iterable[Family], goods: pd.DataFrame) -> pd.DataFrame:
    """One row per family, of a table with a row per good (``Result.table``).

    The columns: ``members``; means of ``quantity``, ``price`` and ``gradient``; ``price_least`` and
    ``price_largest``; the largest ``error``; the last ``first_step`` (-1 if a member has none).
    """
    import pandas as pd

    values = {name: goods[name].to_numpy() for name in goods.columns}
    rows = {}
    for family in families:
        own = {name: column[family.places] for name, column in values.items()}
        rows[family.label] = {
            "members": len(family),
            "quantity": own["quantity"].mean(),
            "price": own["price"].mean(),
            "price_least": own["price"].min(),
            "price_largest": own["price"].max(),
            "gradient": own["gradient"].mean(),
            "error": own["error"].max(),
            "first_step": -1 if (own["first_step"] < 0).any() else own["first_step"].max(),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("family")


def families_json(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """A table of families as an object for JSON: no first step is None."""
    rows: dict[str, dict[str, Any]] = table.to_dict("index")
    for row in rows.values():
        row["first_step"] = None if row["first_step"] < 0 else int(row["first_step"])
        row["members"] = int(row["members"])
    return rows


def family_paths(
    families: Iterable[Family],
    times: np.ndarray,
    quantities: np.ndarray,
    prices: np.ndarray,
    gradients: np.ndarray,
    errors: np.ndarray,
) -> pd.DataFrame:
    """One row per step and family, of arrays of shape (records, goods); ``times``: (records,).

    The columns: ``step``, ``family``, ``members``; means of ``quantity``, ``price`` and
    ``gradient``; ``price_least`` and ``price_largest``; the median and the largest ``error``, and
    ``ratio_least``, ``ratio`` and ``ratio_largest`` of price over gradient (its median in the
    middle), over members with a gradient other than 0.
    """
    import pandas as pd

    tables = []
    for family in families:
        own = family.places
        columns: dict[str, list[np.ndarray]] = {}
        for rows in _blocks(len(times), len(own)):
            parts = (each[rows][:, own] for each in (quantities, prices, gradients, errors))
            for name, values in _columns(*parts).items():
                columns.setdefault(name, []).append(values)
        tables.append(
            pd.DataFrame(
                {
                    "step": times,
                    "family": family.label,
                    "members": len(family),
                    **{name: np.concatenate(values) for name, values in columns.items()},
                }
            )
        )
    order = np.arange(len(tables) * len(times)).reshape(len(tables), -1).T.ravel()
    return pd.concat(tables, ignore_index=True).iloc[order].reset_index(drop=True)


def _blocks(records: int, members: int) -> Iterator[slice]:
    """Some records at a time, so that few numbers are copied."""
    size = max(1, BLOCK // max(1, members))
    for start in range(0, records, size):
        yield slice(start, start + size)


@np.errstate(all="ignore")
def _columns(
    quantities: np.ndarray, prices: np.ndarray, gradients: np.ndarray, errors: np.ndarray
) -> Mapping[str, np.ndarray]:
    """The columns of one family; arrays of shape (records, members)."""
    ratio = np.where(gradients == 0.0, np.nan, prices / gradients)
    few, middle, most = np.full((3, len(prices)), np.nan)
    some = ~np.all(np.isnan(ratio), axis=1)
    few[some], most[some] = np.nanmin(ratio[some], axis=1), np.nanmax(ratio[some], axis=1)
    middle[some] = np.nanmedian(ratio[some], axis=1)
    return {
        "quantity": quantities.mean(axis=1),
        "price": prices.mean(axis=1),
        "price_least": prices.min(axis=1),
        "price_largest": prices.max(axis=1),
        "gradient": gradients.mean(axis=1),
        "error": np.median(errors, axis=1),
        "error_largest": errors.max(axis=1),
        "ratio_least": few,
        "ratio": middle,
        "ratio_largest": most,
    }
