"""The benchmark: what it compares does the same work, and what it says of times is right."""

import json
import os
import subprocess
import sys
from pathlib import Path

import bench
import firms
import networks
import numpy as np
import pytest
import watching
from measure import DifferentPricesError, Goal, Outcome, Row, finished, interleaved, slope
from peers import NumPyMarket

from market_abm import from_text
from market_abm.market.model import MarketModel


def test_programs_by_hand_have_our_prices():
    """Each comparison raises where prices differ by more than 1e-12.

    They are sums in another order, and powers in place of logarithms, some steps on: 1e-14.
    """
    kinds = ("arrays", "agents", "Mesa", "NumPy")
    _, far = firms.markets(firms.many_firms(30), kinds)
    assert 0.0 < far < 1e-13  # not the same program four times
    economy, peer = networks.different_lines(20)
    assert networks.in_step(economy, peer)[1] < 1e-13
    table = networks.dense_table(6)
    for elasticity in (1.0, 0.5):
        assert networks.National(table, elasticity).with_peer()[2] < 1e-13


def test_the_gradient_by_hand_is_backprop():
    economy = firms.many_firms(30)
    outcome, _ = watching.observed(economy)
    assert np.ptp(outcome.last.shares) > 0.0
    watching.check_gradient(economy, outcome)


def test_another_law_is_refused():
    economy = firms.many_firms(30)
    peer = firms.by_hand(NumPyMarket, economy)
    peer.share_rate *= 1.0 + 1e-9
    with pytest.raises(DifferentPricesError, match="prices differ by"):
        networks.in_step(economy, peer)


def test_a_random_program_keeps_its_goods_apart_and_both_engines_agree():
    text, supply = networks.random_program(20)
    assert (text, supply) == networks.random_program(20)
    economy = from_text(text, supply)
    assert len(economy.topological_order) == 20
    arrays = firms.array_engine(economy)
    networks.check_engines(MarketModel(economy, firms.MARKET), arrays)
    for _ in range(30):
        arrays.step()
    assert not arrays.failed and np.all(arrays.state.prices > 0.0)


def test_medians_are_of_rounds_in_turn():
    """On a clock that only the works move; in one round in nine another process disturbs."""
    now, done = [0.0], []

    def work(name, seconds):
        def act():
            done.append(name)
            now[0] += seconds * (100.0 if len(done) == 10 else 1.0)

        return act

    works = {"short": work("short", 0.5), "long": work("long", 1.5)}
    times = interleaved(works, rounds=5, clock=lambda: now[0])
    assert times == pytest.approx({"short": 0.5, "long": 1.5})
    assert done[4:] == ["short", "long"] * 5


def test_slopes_and_goals():
    assert slope([(x, 3.0 * x**1.25) for x in (1.0, 10.0, 100.0)]) == pytest.approx(1.25)
    assert Goal(2).met(2.0, None) and not Goal(2).met(2.1, None)
    assert Goal(2, least=True).met(2.1, None) and not Goal(2, least=True).met(1.9, None)
    assert Goal(0.1, of_before=True).met(1.0, None) is None
    assert Goal(0.1, of_before=True).met(1.0, 10.0) and not Goal(0.1, of_before=True).met(1.1, 10.0)


def test_a_command_is_measured_with_its_silence(tmp_path):
    waits = "import time; print(1, flush=True); time.sleep(0.5); print(2); x = bytes(10**8)"
    done = finished([sys.executable, "-S", "-c", waits], folder=tmp_path, terminal=True)
    assert done.output.split() == ["1", "2"]
    assert 0.1 <= done.silence <= done.wall  # on a busy machine the first line is read late
    assert done.cpu < done.wall
    assert done.memory >= 1e8
    with pytest.raises(RuntimeError, match="ended with 3"):
        finished([sys.executable, "-S", "-c", "raise SystemExit(3)"], folder=tmp_path)


def test_a_page_says_what_was_not_reached_and_what_failed():
    kept = Outcome([Row("a", "work", 30.0, note="with figures")]).as_data()
    page = bench.Page({"commit": "abc", "machine": "M", "benchmarks": {"x": kept}})
    page.add(Outcome([Row("a", "work", 5.0, "s", "by hand", Goal(0.1, of_before=True))]))
    page.add(Outcome([Row("b", "other", None, goal=Goal(2), note="no threads")]))
    page.add_failure("x", ValueError("why"))
    assert page.rows == [
        "| work | at most 1/10 of before | 5 s, not reached | 30 s (with figures) | by hand |",
        "| other | at most 2 | none (no threads) |  |  |",
        "| `x` failed |  |  |  | ValueError: why |",
    ]
    assert "commit abc" in page.text([])


def test_what_was_measured_before_is_still_measured():
    kept = json.loads(bench.BEFORE.read_text("utf-8"))
    assert set(kept["benchmarks"]) <= set(bench.BENCHMARKS)
    rows = [item for each in kept["benchmarks"].values() for item in each["rows"].items()]
    assert len(rows) == len(dict(rows))
    assert all(row["value"] is not None or row["note"] for _, row in rows)


@pytest.mark.slow
def test_the_benchmark_runs(tmp_path):
    """All of it, measuring little: nothing fails, and the page has a row for each key."""
    root = Path(__file__).parents[1]
    command = [sys.executable, root / "benchmarks" / "bench.py", "--quick"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    page = (tmp_path / "build/benchmark/README.md").read_text("utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    assert len(rows) > len(bench.BENCHMARKS)
    for name in ("firms.png", "lines.png", "depth.png"):
        assert (tmp_path / "build/benchmark" / name).exists() and name in page
