"""Progress and the time left, of all that takes long: shown in a terminal only, and taken away."""

import contextlib
import io
import json
import re
import signal

import pytest
from support.commands import ENDLESS
from support.terminal import Terminal, plain

from market_abm import Experiment, run
from market_abm.cli.commands import main
from market_abm.runs.progress import LikelyEnd
from market_abm.studies.comparisons import MechanismComparison
from market_abm.views.words.command import time_text


class Screen(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self):
        return True


def shown(*arguments, cwd):
    """What a command with this error stream prints, and shows there."""
    out, screen = io.StringIO(), Screen()
    with (
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(screen),
        contextlib.suppress(SystemExit),
    ):
        main(arguments)
    return out.getvalue(), screen.getvalue()


RUN = "run rival-diamond --no-figures"
QUICK = {
    RUN: "rival-diamond optimum eigenvalues files",
    "compare rival-diamond --no-figures": "rival-diamond twin textbook files",
    "sweep essay-chain supply.natgas.quantity=1,2 --jobs 1 --no-figures": "runs",
}
SLOW = {
    f"{RUN} --shock supply.x=-9%": "rival-diamond optimum files",
    "explain rival-diamond": "rival-diamond optimum eigenvalues",
    "compare mechanisms --mechanisms all --steps 9 --no-figures": (
        "unit-bid trading-post tatonnement posted-price gradient files"
    ),
    "report results/rival-diamond": "rival-diamond",
    "animate essay-chain --steps 1 --fps 1": "essay-chain frames",
    "phase-plane --networks 1 --firms 3 --degree 1 --steps 1 --no-figures": "runs edges files",
}


@pytest.mark.parametrize("line", [*QUICK, *(pytest.param(x, marks=pytest.mark.slow) for x in SLOW)])
def test_all_that_takes_long_shows_its_progress(tmp_path, line):
    """A row for each piece of work, and it is taken away at the end; nothing of it is printed."""
    if line.startswith("report"):
        shown(*RUN.split(), cwd=tmp_path)
    out, screen = shown(*line.split(), cwd=tmp_path)
    for row in (QUICK | SLOW)[line].split():
        assert re.search(rf"{row} .*[0-9]+/[0-9?]+", plain(screen)), (row, screen)
    assert out and "\x1b" not in out
    assert screen.rindex("\x1b[?25h") > screen.rindex("\x1b[?25l")


@pytest.mark.parametrize(
    "name",
    ["cobweb", "activation-sequential", "loop", "cournot"]
    + [
        pytest.param(name, marks=pytest.mark.slow)
        for name in (
            "us-economy",
            "demand-elasticity",
            "twenty-firms",
            "spiral",
            "partial-adjustment",
            "shocks",
        )
    ],
)
def test_a_run_is_likely_to_end_where_it_does(name):
    """Known to 15 % in the second half of a run that settles long before its last step.

    Where the rate is predicted it is known from the beginning; where it is not, the rate is of the
    moves so far, in which fast modes still count.
    """
    experiment, ends = Experiment.load(name), []
    likely = LikelyEnd(experiment)
    result = run(experiment, progress=lambda state, _: ends.append(likely(state)))
    assert result.at_rest and result.steps < experiment.run.steps
    known = 1 if likely.log_rate is not None else len(ends) // 2
    assert all(abs(end / result.steps - 1.0) <= 0.15 for end in ends[known:]), ends
    assert all(step < end <= experiment.run.steps for step, end in enumerate(ends[:-1]))


def test_a_run_that_never_settles_is_likely_to_take_all_its_steps():
    experiment, ends = Experiment.load("rival-diamond-unstable"), []
    likely = LikelyEnd(experiment)
    run(experiment, progress=lambda state, _: ends.append(likely(state)))
    assert set(ends[len(ends) // 10 :]) == {experiment.run.steps}


def test_mechanisms_tell_where_they_are_likely_to_end():
    told = []
    MechanismComparison.of(
        Experiment.load("rival-diamond"),
        ["unit-bid", "trading-post"],
        lambda *row: told.append(row),
    )
    for name in ("unit-bid", "trading-post"):
        rows = [(done, most) for what, done, most in told if what == name]
        assert rows[0][0] == 0 and rows[-1][0] == rows[-1][1] < 500
        assert all(done <= most for done, most in rows)


def test_the_time_left_in_words():
    assert time_text(3.4, None) == "0:03"
    assert time_text(3.4, 59.6) == "1:00 left"
    assert time_text(None, None) == ""
    assert time_text(0.0, 3723.0) == "1:02:03 left"


# --- in a terminal -------------------------------------------------------------------------------


@pytest.mark.slow
def test_ctrl_c_takes_the_rows_away_and_keeps_what_was_recorded(tmp_path):
    (tmp_path / "endless.toml").write_text(ENDLESS, "utf-8")
    terminal = Terminal(
        *("run", "endless.toml", "--no-figures", "--set", "record.every=10"), cwd=tmp_path
    )
    assert re.search(r"endless .*/1000000", plain(terminal.read(until=b"/1000000")))
    terminal.process.send_signal(signal.SIGINT)
    text = terminal.read()
    assert terminal.process.returncode == 130, text[-2000:]
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")
    assert "Interrupted after step" in text[text.rindex("\x1b[?25h") :]
    summary = json.loads((tmp_path / "results/endless/summary.json").read_text("utf-8"))
    assert summary["status"] == "interrupted"


@pytest.mark.slow
def test_a_long_comparison_shows_progress_at_once(tmp_path):
    """The first row is there before the first mechanism has run; Ctrl-C writes nothing."""
    terminal = Terminal("compare", "us-economy", "--mechanisms", "all", cwd=tmp_path)
    first = plain(terminal.read(until=b"unit-bid"))
    assert "trading-post" not in first
    terminal.process.send_signal(signal.SIGINT)
    text = terminal.read()
    assert terminal.process.returncode == 130, text[-2000:]
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")
    assert plain(text).rstrip().endswith("Interrupted: nothing was written.")
    assert not list(tmp_path.glob("results/*/*"))
