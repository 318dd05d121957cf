"""Small input-output tables, and their files."""

import numpy as np
import pandas as pd

from market_abm import InputOutputTable

CODES = ("331", "5412OP", "Łódź 東", "a,b", "S.4", "GFE", "7", "8", "9", "X10", "x10", "12", "13")


def made_up(n, seed=0, density=1.0, **changes):
    """A table of ``n`` industries that adds up to rounding, some cells of it 0."""
    rng = np.random.default_rng(seed)
    shares = rng.random((n, n)) ** 4 * (rng.random((n, n)) < density)
    total = shares.sum(axis=0)
    shares *= rng.uniform(0.2, 0.7, n) / np.where(total == 0.0, 1.0, total)
    final = rng.random(n) * 100.0 + 1.0
    output = np.linalg.solve(np.eye(n) - shares, final)
    primary = output * (1.0 - shares.sum(axis=0))
    wages = primary * rng.uniform(0.2, 0.6, n)
    parts = {
        "codes": CODES[:n],
        "names": ["", *CODES[1:n]],
        "flows": shares * output,
        "output": output,
        "final_use": final,
        "factors": {"compensation": wages, "operating_surplus": 0.8 * (primary - wages)},
    }
    return InputOutputTable(**(parts | changes))


def three(**changes):
    """Three industries in whole numbers: 10 each, of which they sell 3, 2 and 4 to each other."""
    parts = {
        "codes": ("a", "b", "c"),
        "names": ("Arms", "", "Cars"),
        "flows": np.array([[1.0, 2.0, 0.0], [0.0, 0.0, 2.0], [3.0, 1.0, 0.0]]),
        "output": np.array([10.0, 10.0, 10.0]),
        "final_use": np.array([7.0, 8.0, 6.0]),
    }
    return InputOutputTable(**(parts | changes))


def files(table, folder, *, sectors=None, flows=None):
    """The two files of a table, or other texts in their place; their paths."""
    frame = pd.DataFrame(table.flows, index=table.codes, columns=table.codes)
    frame.to_csv(folder / "flows.csv", index_label="code")
    columns = {
        "code": table.codes,
        "name": table.names,
        "gross_output": table.output,
        "final_use": table.final_use,
        **table.factors,
    }
    pd.DataFrame(columns).to_csv(folder / "sectors.csv", index=False)
    for name, text in (("flows.csv", flows), ("sectors.csv", sectors)):
        if text is not None:
            (folder / name).write_text(text, encoding="utf-8")
    return folder / "flows.csv", folder / "sectors.csv"
