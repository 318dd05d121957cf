"""What the repository keeps of results/ is what ``make experiments`` makes today.

Processors round the last digits of logarithms and sums differently. Between two machines, with the
same versions, no status and no count of steps of a single run differed, and other numbers by less
than 1e-6 of them or by less than 1e-9 (a run stops when its prices are within 1e-9). In a sweep a
run on the border of stability may tip: its status or its steps may differ. On those machines that
was 1 of 17 in one sweep, and none of 5,800 in the others: allowed are one, and 1 % of the runs.
"""

import json
import re
import runpy
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from support.pages import ROOT

import market_abm

RESULTS = ROOT / "results"
MAKERS = {
    folder: make
    for part in runpy.run_path(str(ROOT / "experiments/run_all.py"))["parts"]()
    for folder, make in part.rows_of.items()
}
QUICK = ("essay-chain", "externality", "one-industry", "rival-diamond-compare")
RTOL, ATOL = 1e-6, 1e-9
NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[-+]?\d+)?")
ROUNDING_ONLY = re.compile(r"\.distance\.\w+\.step")  # the step at which rounding is the largest


def index():
    """The rows of results/README.md, by the folders that they link to."""
    rows = {}
    for line in (RESULTS / "README.md").read_text(encoding="utf-8").splitlines():
        if link := re.match(r"\| \[[^\]]*\]\(([^/)]+)/", line):
            rows.setdefault(link[1], []).append(line)
    return rows


def assert_same(kept, made, where=""):
    """The same keys, texts and whole numbers; other numbers to the tolerance explained above."""
    if where == ".versions" or ROUNDING_ONLY.fullmatch(where):
        return
    assert type(made) is type(kept), where
    if isinstance(kept, dict):
        assert list(made) == list(kept), where
        for key in kept:
            assert_same(kept[key], made[key], f"{where}.{key}")
    elif isinstance(kept, list):
        assert len(made) == len(kept), where
        for number, pair in enumerate(zip(kept, made, strict=True)):
            assert_same(*pair, f"{where}[{number}]")
    elif isinstance(kept, float):
        assert made == pytest.approx(kept, rel=RTOL, abs=ATOL, nan_ok=True), where
    else:
        assert made == kept, where


def allowed_to_tip(runs):
    return 1 + runs // 100


def assert_same_table(kept, made):
    """The same columns and runs, and numbers to the tolerance, but for the few that have tipped."""
    assert list(made) == list(kept) and len(made) == len(kept)
    if "message" not in kept:  # not of a sweep: no row is a run that may tip
        pd.testing.assert_frame_equal(made, kept, rtol=RTOL, atol=ATOL)
        return
    ends = [
        table[["status", "steps"]].astype({"steps": float}).fillna({"steps": -1.0})
        for table in (kept, made)
    ]
    tipped = (ends[0] != ends[1]).any(axis="columns")
    assert tipped.sum() <= allowed_to_tip(len(kept)), made[tipped]
    for column in kept.columns.drop("message"):
        pair = made.loc[~tipped, column], kept.loc[~tipped, column]
        if pd.api.types.is_numeric_dtype(kept[column]):
            np.testing.assert_allclose(*pair, rtol=RTOL, atol=ATOL, err_msg=column)
        else:
            assert list(pair[0]) == list(pair[1]), column


def assert_same_plane(kept, made):
    """The same verdict in all but 1 % of the runs.

    Before they are stopped, runs that do not settle multiply rounding by any factor.
    """
    inputs = [name for name in kept if name not in ("status", "steps", "distance")]
    pd.testing.assert_frame_equal(made[inputs], kept[inputs], rtol=1e-12)
    differ = (made["status"] == "converged") != (kept["status"] == "converged")
    assert differ.mean() <= 0.01, made[differ]


def assert_same_row(kept, made):
    """The same words and links, and as many runs of each status, but for those that tipped."""
    if "/sweep.json)" in kept:
        (*kept, kept_counts, _), (*made, made_counts, _) = kept.split("|"), made.split("|")
        counts, now = (
            {status: int(count) for count, status in re.findall(r"(\d+) (\w+)", text)}
            for text in (kept_counts, made_counts)
        )
        moved = sum(abs(counts.get(each, 0) - now.get(each, 0)) for each in counts | now)
        assert moved <= 2 * allowed_to_tip(sum(counts.values())), made_counts
        assert made == kept
    else:
        assert NUMBER.sub("#", made) == NUMBER.sub("#", kept)


@pytest.mark.parametrize(
    "folder",
    [
        pytest.param(name, marks=[pytest.mark.slow] * (name not in QUICK))
        for name in MAKERS
        if name not in ("phase-plane", "digits")  # see below, and tests/test_digits.py
    ],
)
def test_what_is_kept_is_what_is_made(folder, tmp_path):
    rows = MAKERS[folder](tmp_path / folder)
    for pair in zip(index()[folder], rows, strict=True):
        assert_same_row(*pair)
    for path in sorted((RESULTS / folder).iterdir()):
        made = tmp_path / folder / path.name
        assert made.exists()
        if path.suffix == ".json":
            assert_same(*(json.loads(each.read_text(encoding="utf-8")) for each in (path, made)))
        elif path.name == "table.csv":
            assert_same_table(pd.read_csv(path), pd.read_csv(made))


@pytest.mark.slow
def test_the_kept_phase_plane_is_what_is_made(tmp_path):
    """Of the first of its five networks, which takes two minutes."""
    market_abm.phase_plane(networks=1).save(tmp_path / "plane")
    kept, made = (
        pd.read_csv(folder / "table.csv")
        for folder in (RESULTS / "phase-plane", tmp_path / "plane")
    )
    assert_same_plane(kept[kept["network"] == 1].reset_index(drop=True), made)


def test_the_index_lists_every_folder():
    assert set(index()) == set(MAKERS)
    kept = {path.name for path in RESULTS.iterdir() if path.is_dir()}
    assert kept == set(MAKERS) | {"benchmark"}


@pytest.mark.skipif(shutil.which("git") is None or not (ROOT / ".git").exists(), reason="no git")
def test_what_is_kept_is_small_and_listed():
    """Below 3.5 MB; and no file is kept that .gitignore says is not."""

    def listed(*options):
        command = ["git", "ls-files", "-z", *options, "results"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        return [name for name in done.stdout.split("\0") if name]

    size = sum((ROOT / name).stat().st_size for name in listed() if (ROOT / name).exists())
    assert size < 3_500_000
    assert listed("--cached", "--ignored", "--exclude-standard") == []
