"""What commands print in terminals of 40 and 80 columns, and in a pipe."""

import re

import pytest
from click.testing import CliRunner

from market_abm.cli import tables
from market_abm.cli.commands import main
from market_abm.cli.tables import FILE_WIDTH
from market_abm.views.words.lines import columns

TINY = """
question = "What is the price of a good with a very-long_and_unbroken/name in a narrow terminal?"
[economy]
program = '''
an_intermediate_good_with_a_long_name = labour ** 0.5
天然ガス液化 = labour ** 0.5
final = an_intermediate_good_with_a_long_name ** 0.3 * 天然ガス液化 ** 0.3
'''
[supply]
labour.quantity = 1234.5678
[market]
share_rate = 0.1
[run]
steps = 60
"""

COMMANDS = {
    "run": ["run", "tiny.toml", "--out", "out", "--shock", "supply.labour=-50%@30"],
    "explain": ["explain", "tiny.toml"],
    "check": ["check", "tiny.toml"],
    "list": ["list"],
    "compare": ["compare", "tiny.toml", "--steps", "20", "--out", "cmp"],
    "mechanisms": ["compare", "tiny.toml", "--mechanisms", "all", "--steps", "30", "--out", "mec"],
    "report": ["report", "out"],
    "mistake": ["run", "tiny.toml", "--set", "market.no_such_rate=0.1"],
    "sweep": ["sweep", "tiny.toml", "market.share_rate=0.1,0.2", "--jobs", "1", "--out", "swp"],
    "phase-plane": [
        "phase-plane",
        "--networks",
        "1",
        "--firms",
        "5",
        "--degree",
        "2",
        "--steps",
        "5",
        "--out",
        "pp",
    ],
}
SLOW = ("sweep", "phase-plane", "list", "report", "mechanisms")
FIRST = {"name", "question", "file", "good", "mechanism", "model"}
"""Headers that blocks of lines do without: of the first column, and of experiments."""

NUMBER = re.compile(r"[-+\N{MINUS SIGN}]?\d[\d,]*\.?\d*(e[-+]\d+)?%?")


@pytest.mark.parametrize(
    "name",
    [n if n not in SLOW else pytest.param(n, marks=pytest.mark.slow) for n in COMMANDS],
)
def test_nothing_is_cut_nor_broken(name, tmp_path, monkeypatch):
    """Lines fit; each number is there as in a pipe, and each word that a line can hold."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("market_abm.runs.folders.drawn", lambda figure, **_: b"")
    monkeypatch.setattr("market_abm.views.plots.lettering._report", lambda: None)
    (tmp_path / "tiny.toml").write_text(TINY, "utf-8")
    if name == "report":
        CliRunner().invoke(main, COMMANDS["run"])
    shown = {}
    for width in (None, 80, 40):
        monkeypatch.setattr(tables, "terminal_width", lambda stream, width=width: width)
        done = CliRunner().invoke(main, COMMANDS[name], env={"COLUMNS": str(width or 80)})
        assert done.exception is None or isinstance(done.exception, SystemExit)
        shown[width] = done.output
    words = shown[None].split()
    assert "…" not in shown[None]
    for width in (80, 40):
        lines = shown[width].splitlines()
        assert max(map(columns, lines)) <= width, max(lines, key=columns)
        told = shown[width].split()
        numbers = [word for word in words if NUMBER.fullmatch(word)]
        assert set(numbers) <= set(told)
        short = {w for w in words if columns(w) <= 12 and not set(w) & set("_-/─")}
        assert short - FIRST <= set(told)
        assert "…" not in shown[width]


def test_a_pipe_is_as_wide_as_its_tables():
    """Paths are whole, whatever their length."""
    done = CliRunner().invoke(main, ["list"])
    assert all(
        any(word.endswith(".toml") for word in line.split())
        for line in done.output.splitlines()
        if "?" in line
    )
    assert max(map(len, done.output.splitlines())) < FILE_WIDTH
