"""Read the files of a folder of results, which may come from a stranger: everything is checked."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from market_abm.errors import ResultsError

if TYPE_CHECKING:
    import pandas as pd

UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""What a changed file may raise, apart from the package's own errors."""

AGAIN = "make the results again"
"""The remedy for a damaged file."""


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises
    ------
    ResultsError
        The file cannot be read, or holds something else.
    """
    name = f"{path.parent.name}/{path.name}"
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ResultsError(
            f"'{name}' cannot be read ({type(error).__name__})", remedy=AGAIN
        ) from None
    if not isinstance(content, dict):
        raise ResultsError(f"'{name}' holds no object", remedy=AGAIN)
    return content


def read_table(path: Path, numbers: Sequence[str] | None = None) -> pd.DataFrame | None:
    """The table in a CSV file; None if it is missing, damaged or empty.

    Parameters
    ----------
    path
        The file.
    numbers
        Columns that it must have, of numbers; by default all that hold nothing but numbers are.
    """
    import pandas as pd

    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError):
        return None
    if numbers is not None and not set(numbers) <= set(table.columns):
        return None
    for column in table.columns if numbers is None else numbers:
        values = pd.to_numeric(table[column], errors="coerce")
        if numbers is not None or (values.notna() | (table[column] == "")).all():
            table[column] = values.astype(float)
    return table if len(table) else None


def read_path(path: Path, numbers: Sequence[str]) -> pd.DataFrame | None:
    """A table with a row a step and good, or None: columns ``step``, ``good`` and ``numbers``."""
    table = read_table(path, ("step", *numbers))
    if table is None or "good" not in table or not np.isfinite(table["step"]).all():
        return None
    return table


def as_mapping(value: Any) -> dict[str, Any]:
    """``value`` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def as_mappings(value: Any) -> dict[str, dict[str, Any]]:
    """An object of objects; what is none is an empty one."""
    return {key: as_mapping(each) for key, each in as_mapping(value).items()}


def as_list(value: Any) -> list[Any]:
    """``value`` if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def as_number(value: Any) -> float | None:
    """``value`` if it is a finite number, else None."""
    real = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if real and math.isfinite(value) else None


def as_text(value: Any) -> str:
    """``value`` if it is text, else none."""
    return value if isinstance(value, str) else ""
