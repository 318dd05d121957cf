"""A run that is watched: what a viewer is shown, and the picture in a terminal."""

import io
import json
import re
import signal
import time

import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console
from support.commands import ENDLESS
from support.terminal import Terminal, plain

from market_abm import Experiment, run
from market_abm.cli.commands import main
from market_abm.views.convergence import followed
from market_abm.views.terminal import (
    MAX_GOODS,
    MAX_POINTS,
    MIN_PAUSE_RATIO,
    PERIOD,
    Live,
    watchable,
)


def a_console(width=100, height=30):
    return Console(file=io.StringIO(), force_terminal=True, width=width, height=height)


# --- what a viewer is shown ----------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["agents", "arrays"])
def test_a_viewer_sees_every_step_from_the_start_as_it_is_recorded(engine):
    seen = []

    def look(state, saw):
        seen.append((state.step, state.prices.copy(), saw["gradients"].copy(), saw["welfare"]))

    result = run("rival-diamond", steps=40, engine=engine, progress=look)
    steps, prices, gradients, welfare = zip(*seen, strict=True)
    assert list(steps) == list(range(result.steps + 1))
    assert np.array_equal(prices, result.prices)
    assert np.array_equal(gradients, result.gradients)
    assert np.array_equal(welfare, result.path.welfare)


def test_a_viewer_may_stop_the_run_and_what_was_recorded_stays():
    def stop(state, saw):
        if state.step == 7:
            raise KeyboardInterrupt

    result = run("rival-diamond", progress=stop)
    assert (result.status, result.steps, len(result.prices)) == ("interrupted", 7, 8)


# --- the picture ---------------------------------------------------------------------------------


def test_the_goods_followed_come_from_all_stages_and_are_not_final():
    economy = Experiment.load("deep-chain").economy
    stages = [economy.stages[economy.goods[k]] for k in followed(economy, MAX_GOODS)]
    assert stages[0] == max(economy.stages.values()) and stages[-1] == 1
    assert stages == sorted(stages, reverse=True) and len(stages) == 4
    assert [Experiment.load("essay-chain").economy.goods[k] for k in (0, 1, 2)] == [
        "natgas",
        "ethylene",
        "polyethylene",
    ]


def test_an_interrupt_while_a_step_is_taken_in_spoils_no_picture(monkeypatch):
    from market_abm.views import terminal as module

    row = module._row
    live = Live(Experiment.parse(ENDLESS), a_console(), clock=lambda: 0.0)

    def interrupted(state, *rest):
        if state.step == 5 and not done:
            done.append(True)
            raise KeyboardInterrupt
        return row(state, *rest)

    done = []
    monkeypatch.setattr(module, "_row", interrupted)
    with live:
        result = run(live.experiment, progress=live)
    assert (result.status, result.steps) == ("interrupted", 5)
    assert "step 5 of" in plain(live.console.file.getvalue())


def test_an_interrupt_waits_until_a_picture_is_drawn(monkeypatch):
    live = Live(Experiment.parse(ENDLESS), a_console())
    picture, swallowed = Live.picture, []

    def swallowing(self, state, seen):
        if state.step == 20 and self.drawn == 21:
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt:  # as some library might
                swallowed.append(state.step)
        return picture(self, state, seen)

    monkeypatch.setattr(Live, "picture", swallowing)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored by a shell's "&"
    live._clock = lambda: float(live._now[0].step)  # a picture at every step
    with live:
        result = run(live.experiment, progress=live)
    assert (result.status, result.steps, swallowed) == ("interrupted", 20, [])
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_long_history_is_thinned_evenly_and_true():
    """900 steps: at most 400 are kept, equally spaced from 0 on, as they were recorded."""
    experiment = Experiment.parse(ENDLESS.replace("1000000", "900"))
    live = Live(experiment, a_console(), clock=lambda: 0.0)
    result = run(experiment, progress=live)
    history = live.history
    steps = list(history.rows)
    spacing = np.diff(steps)
    assert MAX_POINTS / 2 <= len(steps) <= MAX_POINTS
    assert steps[0] == 0 and np.all(spacing == spacing[0])
    rows, count = np.array(list(history.rows.values())), len(history.places)
    ratios = result.prices[steps] / result.gradients[steps]
    assert np.array_equal(rows[:, :count], ratios[:, history.places])
    assert np.array_equal(rows[:, -1], result.errors[steps].max(axis=1))


@pytest.mark.parametrize(("step_time", "draw_time"), [(0.01, 0.02), (0.001, 0.5), (1.0, 0.01)])
def test_drawing_takes_a_quarter_of_the_time_at_most(step_time, draw_time, monkeypatch):
    """With a clock of its own: what is drawn when depends on nothing but the clock.

    After the first picture, no two begin within PERIOD, and drawing takes at most one part of
    1 + MIN_PAUSE_RATIO of the time; nor are pictures further apart than both demand, and one step.
    """
    now, begun = [0.0], []
    live = Live(Experiment.load("loop"), a_console(), clock=lambda: now[0])

    def draw():
        begun.append(now[0])
        now[0] += draw_time

    def step(state, saw):
        now[0] += step_time
        live(state, saw)

    monkeypatch.setattr(live, "_draw", draw)
    run("loop", progress=step)
    gaps = np.diff(begun)
    least = max(PERIOD, (1 + MIN_PAUSE_RATIO) * draw_time)
    if len(gaps):  # 1e-9: the clock adds up rounded numbers
        assert gaps.min() >= least - 1e-9
        assert gaps.max() <= least + step_time + 1e-9
    assert len(begun) >= 1 + (now[0] - begun[0]) // (least + step_time)


@pytest.mark.parametrize("size", [(20, 5), (36, 8), (60, 12), (80, 24), (250, 70)])
@pytest.mark.parametrize("name", ["essay-chain", "twenty-firms"])
def test_the_picture_fits_the_terminal(name, size):
    console = a_console(*size)
    live = Live(Experiment.load(name), console)
    with live:
        run(name, steps=60, progress=live)
    with console.capture() as capture:
        console.print(live.picture(*live._now))
    lines = plain(capture.get()).rstrip("\n").split("\n")
    assert len(lines) < size[1]
    assert max(map(len, lines)) <= size[0]
    assert lines[-1].startswith("step ")
    assert any("price ÷ exact gradient" in line for line in lines) == (size[1] > 15)


def test_what_is_drawn_is_where_the_numbers_are():
    """Three prices that are 0 and then 1 of their gradients: staircases from 0 to 1.

    Most of the row of 1 is filled by them, and halfway up there are three letters: where they go
    up, at steps 1, 2 and 3.
    """
    console = a_console(100, 30)
    live = Live(Experiment.load("essay-chain"), console)
    with live:
        run("essay-chain", progress=live)
    text = plain(console.file.getvalue())
    last = text[text.rindex("━━ natgas") :].splitlines()
    filled = [sum(0x2800 < ord(letter) <= 0x28FF for letter in line) for line in last]
    one, half = (
        next(n for n, line in enumerate(last) if line.lstrip().startswith(label))
        for label in ("1┤", "0.5┤")
    )
    assert filled[one] > 60
    assert filled[half] == 3
    assert "largest error 0 " in last[-1]
    assert any(re.match(r" +0┤", line) for line in last[one + 8 :])  # exact: at the floor


def test_numbers_that_are_none_are_no_trouble():
    experiment = Experiment.load("rival-diamond-unstable", {"market.share_rate": 3})
    live = Live(experiment, a_console())
    with live:
        result = run(experiment, progress=live)
    assert result.status == "diverged"
    assert "step" in live.console.file.getvalue()


def test_who_cannot_see_gets_no_picture():
    assert watchable(a_console())
    assert not watchable(Console(file=io.StringIO()))
    dumb = Console(file=io.StringIO(), force_terminal=True, _environ={"TERM": "dumb"})
    assert not watchable(dumb)


# --- the command ---------------------------------------------------------------------------------


def test_without_a_terminal_it_is_as_without_the_option(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plainly, live = (
        CliRunner().invoke(main, ["run", "essay-chain", *options]) for options in ([], ["--live"])
    )
    assert plainly.exit_code == live.exit_code == 0
    assert plainly.output == live.output
    assert "Converged at step 3" in live.output and "\x1b" not in live.output


def test_in_a_terminal_it_draws_and_then_tells_the_result(tmp_path):
    text = Terminal("run", "loop", "--live", cwd=tmp_path).read()
    assert "price ÷ exact gradient" in text and "|price − gradient| ÷ |gradient|" in text
    assert text.index("step 0 of at most 500") < text.index("step 122 of at most 500")
    assert text.rindex("step 122 of at most 500") < text.index("Converged at step 122")
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")  # the cursor is back
    assert (tmp_path / "results" / "loop" / "summary.json").is_file()


def test_json_is_still_nothing_else(tmp_path, monkeypatch):
    """Not even in a terminal, which is here one that nobody sees."""
    monkeypatch.chdir(tmp_path)
    screen = a_console()
    monkeypatch.setattr("market_abm.cli.tables.console", lambda: screen)
    done = CliRunner().invoke(main, ["run", "essay-chain", "--live", "--json"])
    assert json.loads(done.output)["status"] == "converged"
    assert screen.file.getvalue() == ""


@pytest.mark.slow
def test_ctrl_c_keeps_what_was_recorded(tmp_path):
    (tmp_path / "endless.toml").write_text(ENDLESS, "utf-8")
    terminal = Terminal("run", "endless.toml", "--live", "--set", "record.every=10", cwd=tmp_path)
    assert "step" in terminal.read(until=b"of at most 1,000,000")
    time.sleep(0.3)  # a few pictures more
    terminal.process.send_signal(signal.SIGINT)
    text = terminal.read()
    assert terminal.process.returncode == 130, text[-2000:]
    assert "Interrupted after step" in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")
    summary = json.loads((tmp_path / "results/endless/summary.json").read_text("utf-8"))
    assert summary["status"] == "interrupted" and summary["steps"] > 10
