"""Sweeps: designs, the table, what an interruption leaves behind, and the theory's boundaries."""

import csv
import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.profiles import members

import market_abm
from market_abm import Experiment, MarketError, run
from market_abm.analysis.stability import stability
from market_abm.studies import batches
from market_abm.studies import store as store_module
from market_abm.studies import sweep as sweep_module
from market_abm.studies.design import Axis, Design, DesignSettings
from market_abm.studies.executors import executor
from market_abm.studies.sweep import Sweep, run_sweep
from market_abm.views.plots.sweep import sweep_figure
from market_abm.views.report.sweep_figures import sweep_figures
from market_abm.views.words.sweep import sweep_sentences

COBWEB = """
[economy]
program = '''
{lines}
'''
[supply.x]
quantity = 1.1
elasticity = 0.5
[demand.y]
quantity = 1.0
elasticity = 1.0
[market]
activation = "{activation}"
[run]
steps = {steps}
"""


def cobweb(depth=1, activation="sequential", steps=300, **settings):
    goods = ["x", *(f"g{k}" for k in range(1, depth)), "y"]
    lines = "\n".join(f"{b} = {a}" for a, b in itertools.pairwise(goods))
    text = COBWEB.format(lines=lines, activation=activation, steps=steps)
    return Experiment.parse(text, "cobweb", settings)


def split(depth, activation, steps=400):
    """x in two branches that end in a CES line of σ = 1; at depth 0, in two such lines."""
    ways = "\n".join(
        f"{side}{k} = {side + str(k - 1) if k else 'x'}" for k in range(depth) for side in "ab"
    )
    last = f"y = ces(a{depth - 1}, b{depth - 1}, elasticity=1, weights=(0.45, 0.55))"
    uses = "a = 0.45 * ln(x)\nb = 0.55 * ln(x)"
    text = f"""
[economy]
program = '''
{ways}
{last if depth else uses}
'''
[supply.x]
quantity = 4.0
[market]
activation = "{activation}"
[run]
steps = {steps}
"""
    return Experiment.parse(text, "split")


# --- designs ---------------------------------------------------------------------------------


def test_axes_are_read_as_they_are_written():
    assert Axis.of("a", "0:1:5").values == (0.0, 0.25, 0.5, 0.75, 1.0)
    assert Axis.of("a", "0.1:10:log:3").values == pytest.approx((0.1, 1.0, 10.0), rel=1e-15)
    assert Axis.of("a", "0.1:10:log:3").values[-1] == 10.0
    assert tuple(Axis.of("a", "3..6").values) == (3, 4, 5, 6)
    assert Axis.of("a", "0.5,2,inf").values == (0.5, 2, np.inf)
    assert Axis.of("a", "simultaneous,sequential").values == ("simultaneous", "sequential")
    named = Axis.of("depth", {"1": {"economy.program": "y = x"}})
    assert (named.values, named.settings(0)) == ((1,), {"economy.program": "y = x"})


def test_whole_numbers_stay_whole():
    """Rounded, each once; drawn with equal probability, the ends too."""
    assert Axis.of("industries.firms", "1:8:log:4").values == (1, 2, 4, 8)
    assert Axis.of("run.steps", "10:1000:log:3").values == (10, 100, 1000)
    assert Axis.of("market.lag", "0:3:11").values == (0, 1, 2, 3)
    assert Axis.of('industries."a.b".firms', "8:1:8").values == (8, 7, 6, 5, 4, 3, 2, 1)
    assert Axis.of("supply.firms.quantity", "1:2:3").values == (1, 1.5, 2)
    assert all(type(v) is int for v in Axis.of("record.every", "1:4:3").values)
    axis = Axis.of("industries.firms", "1:10")
    drawn = [axis.drawn((k + 0.5) / 1000) for k in range(1000)]
    assert np.bincount(drawn).tolist() == [0, *[100] * 10]
    axis = Axis.of("industries.firms", "1:100:log")
    drawn = [axis.drawn((k + 0.5) / 1000) for k in range(1000)]
    assert (min(drawn), max(drawn)) == (1, 100)
    expected = 1000 * np.log(7.5 / 0.5) / np.log(100.5 / 0.5)  # logarithms are drawn evenly
    assert abs(np.sum(np.array(drawn) < 8) - expected) <= 1
    for kind in ("lhs", "sobol"):
        settings = DesignSettings(design=kind, points=4)
        design = Design((axis,), settings)
        assert all(type(design.point(k)[0][0]) is int for k in range(4))
        Sweep.of(cobweb(), {"industries.firms": "1:9"}, design=kind, points=4)
    for ends in ("1.5:8:3", "0.5:8:log:3"):
        with pytest.raises(MarketError, match="must be an integer"):
            Sweep.of(cobweb(), {"industries.firms": ends})


def test_values_are_read_as_they_are_written():
    assert Axis.of("a", '"x,y", "1:2",3').values == ("x,y", "1:2", 3)
    assert Axis.of("a", ".5,1_000").values == (0.5, 1000)
    for strange in ("١:٣", "1:٣:2", "٠..٣"):  # digits of another script
        with pytest.raises(MarketError, match=r"cannot read the axis|must be a number"):
            Sweep.of(cobweb(), {"market.share_rate": strange})


def test_a_grid_is_every_combination_once():
    axes = (Axis.of("a", "1,2,3"), Axis.of("b", "7,8"))
    design = Design(axes, DesignSettings(), (0, 1))
    points = [design.point(k)[0] for k in range(design.size)]
    assert points == list(itertools.product((1, 2, 3), (7, 8), (0, 1)))
    listed = Design((Axis.of("a", "1,2"), Axis.of("b", "7,8")), DesignSettings(design="list"))
    assert [listed.point(k)[0] for k in range(listed.size)] == [(1, 7), (2, 8)]


@pytest.mark.parametrize("kind", ["lhs", "sobol"])
def test_samples_fill_every_stratum(kind):
    """Of 64 points one falls into each 64th of every axis: the property of both designs."""
    axes = (Axis.of("a", "1:2"), Axis.of("b", "0.1:10:log"))
    design = Design(axes, DesignSettings(design=kind, points=64))
    points = np.array([design.point(k)[0] for k in range(64)])
    fractions = np.column_stack([points[:, 0] - 1, np.log10(points[:, 1] * 10) / 2])
    for column in fractions.T:
        assert sorted(np.floor(column * 64).astype(int)) == list(range(64))


@pytest.mark.parametrize(
    ("axes", "settings", "message"),
    [
        ({"market.share_rat": "0:1:3"}, {}, "unknown key 'market.share_rat'"),
        ({"supply.y.elasticity": "0:1:3"}, {}, r"supply\.y"),
        ({"demand.y.elasticity": "-1:1:3"}, {}, "demand.y.elasticity is -1.0.*> 0"),
        ({"market.share_rate": "-1:1:log:3"}, {}, "both ends must be finite"),
        ({"market.share_rate": "1:x"}, {}, "cannot read the axis market.share_rate"),
        ({}, {}, "nothing to sweep over"),
        ({"market.share_rate": "1,2"}, {"design": "lhs"}, "no range to draw from"),
        ({"market.share_rate": "1,2", "run.steps": "1,2,3"}, {"design": "list"}, "equal length"),
        ({"market.share_rate": "1,2"}, {"design": "gird"}, "did you mean 'grid'"),
        ({"market.share_rate": "1,2"}, {"ponits": 3}, "unknown key 'sweep.ponits'.*'points'"),
        ({"market.share_rate": "1,2"}, {"points": 3}, "points has no effect in a grid design"),
        ({"run.steps": "1,2"}, {"design": "list", "seed": 3}, "seed has no effect in a list"),
        ({"market.share_rate": "1,2", "market . share_rate": "3"}, {}, "swept and swept"),
        ({"run.steps": "1,2"}, {}, "run.steps is set and swept; leave one out"),
        ({"run": ["x"]}, {}, "run.steps is set, and run swept"),
        ({"run.seed": "1,2"}, {"seeds": "1..2"}, "run.seed is swept and swept by its seeds"),
        ({"d": {"1": {"run.seed": 1}}, "run.seed": "1,2"}, {}, "run.seed is swept and swept"),
        ({"market.share_rate": "1,1.0"}, {}, "a value of market.share_rate is given twice"),
        ({"market.share_rate": "1:1:3"}, {}, "a value of market.share_rate is given twice"),
        ({}, {"seeds": "1,2,1"}, "a value of sweep.seeds is given twice"),
        ("a", {}, r"sweep.axes is 'a'; make it a table: \[sweep.axes\]"),
        (
            {"market": {"share_rate": "1:2"}},
            {},
            'a file has the key in quotes: "market.share_rate"',
        ),
    ],
)
def test_what_cannot_be_swept_is_told_before_anything_runs(axes, settings, message):
    with pytest.raises(MarketError, match=message):
        Sweep.of(cobweb(**{"run.steps": 300}), axes, **settings)


def test_axes_that_add_up_together_are_swept():
    """Shares of firms, and transfers, of two households; points that are not closed fail alone."""
    owner = "utility = 'ces(x, y, elasticity=0.5)'\nendowment = {x = 1}\nowns = 0.5\n"
    base = Experiment.parse(
        f"[economy]\nprogram = 'y = x**0.5'\n[households.a]\n{owner}[households.b]\n{owner}"
        "[market]\nmechanism = 'trading-post'\n[run]\nsteps = 2\n"
    )
    for kind, one, other in (("owns", [0.2, 0.5], [0.8, 0.5]), ("transfer", [0.1, 0], [-0.1, 0])):
        axes = {f"households.a.{kind}": one, f"households.b.{kind}": other}
        together = market_abm.sweep(base, axes, design="list", measures=["welfare"])
        grid = market_abm.sweep(base, axes, measures=["welfare"])
        assert not (together.status == "failed").any()
        assert together["price.b"].nunique() == 2, "who is richer has another weight"
        np.testing.assert_array_equal(grid["price.b"][[0, 3]], together["price.b"])
        assert (grid.status[[1, 2]] == "failed").all()
        assert grid.message[[1, 2]].str.contains("sum to").all()
        alone = {f"households.a.{kind}": one, "run.seed": "1,2"}
        for wrong, design in ((axes | {f"households.b.{kind}": [0.3, 0.4]}, "list"), (alone, None)):
            with pytest.raises(MarketError, match="sum to"):
                Sweep.planned(base, wrong, design=design)


def test_a_design_of_the_command_line_replaces_that_of_the_file():
    text = cobweb().source.text + "[sweep]\ndesign = 'lhs'\npoints = 5\n[sweep.axes]\n"
    base = Experiment.parse(text + "'market.bid_rate' = '0.1:1:3'\n")
    for settings, size in (({}, 5), ({"design": "sobol"}, 5), ({"points": 2}, 2)):
        assert Sweep.planned(base, None, **settings).design.size == size
    assert Sweep.planned(base, None, design="grid").design.size == 3
    assert Sweep.planned(base, {"run.steps": "1..4"}, design="list", seeds=0).design.size == 4
    with pytest.raises(MarketError, match="points has no effect in a grid"):
        Sweep.planned(base, None, design="grid", points=7)
    values = np.linspace(0.1, 0.4, 4)
    assert Axis.of("market.bid_rate", values).values == tuple(values.tolist())


def test_a_swept_value_is_told_as_it_was_typed():
    with pytest.raises(MarketError) as told:
        Sweep.of(cobweb(), {"run.steps": "10,1.5"})
    assert str(told.value).startswith("run.steps=1.5: run.steps is 1.5; must be an integer")


# --- the table -------------------------------------------------------------------------------


def test_rows_are_what_single_runs_say(tmp_path):
    """Side by side or alone through the agents: the same outcome (1e-9: they stop at 1e-9)."""
    base = cobweb(2, "simultaneous", steps=400)
    axes = {"supply.x.elasticity": "0.2,0.7,1.4", "supply.x.adjustment": "0.3,1"}
    table = run_sweep(Sweep.of(base, axes), tmp_path / "s", figures=False)
    assert len(table) == 6
    for _, row in table.iterrows():
        settings = {axis: row[axis] for axis in axes}
        result = run(Experiment.parse(base.source.text, "one", settings))
        summary = result.summary()
        assert row["status"] == result.status
        assert row["steps"] == result.steps
        if result.status == "converged":
            assert row["price.x"] == pytest.approx(result.prices[-1, 0], rel=1e-11)
            assert row["welfare"] == pytest.approx(summary["welfare"], rel=1e-12)
            assert row["welfare"] == pytest.approx(row["best_welfare"], rel=1e-9)
            assert row["uphill_share"] == pytest.approx(summary["uphill_share"], abs=1e-12)
            assert row["rate"] == pytest.approx(row["predicted_rate"], rel=0.01)


def test_a_run_that_fails_is_a_row_with_its_reason(tmp_path):
    text = (
        "[economy]\nprogram = '''\na = ln(x)\nb = sqrt(x)\ny = a + b\n'''\n[supply.x]\nquantity=4\n"
    )
    base = Experiment.parse(text, "bad")
    sweep = Sweep.of(base, {"supply.x.quantity": "3,-1,4", "run.steps": "5"})
    table = run_sweep(sweep, tmp_path / "s", figures=False)
    assert table["status"].tolist()[1] == "failed"
    assert "failed" not in table["status"].tolist()[::2]
    assert "at step 0" in table["message"][1]


@pytest.mark.parametrize(
    ("axes", "why"),
    [
        ({"a": [1, 2, 3, 4], "b": ["x", "x", "y", "y"]}, "numbers, and b has other values"),
        ({"a": [1, 2, 3, 4], "b": [0, 0, 1, 1], "c": list("wxyz")}, "and c has other values"),
        ({"a": list("wxyz")}, "a has other values"),
        ({"a": [True, False, True, False], "b": [1, 2, 3, 4]}, "a has other values"),
        ({"a": [1.0, 2.0, np.inf, 4.0]}, "finite numbers, and a has other values"),
        ({"a": [1, 2, 3, 4], "b": [1, 2, 1, 2], "c": [0, 0, 1, 1]}, "one or two axes, and 3 vary"),
        ({"a": [1, 1, 1, 1]}, "no axis has several values"),
        ({}, "no axis has several values"),
    ],
)
def test_what_cannot_be_drawn_is_not_drawn_and_told(axes, why):
    """Runs that differ in text would be one cloud, with a boundary between values of the text."""
    table = pd.DataFrame({**axes, "status": ["converged"] * 4})
    assert sweep_figure(table, list(axes), "x") is None
    assert sweep_figures(table, list(axes)) == []
    (told,) = sweep_sentences(table, list(axes))
    assert why in told and told.startswith("No figure was drawn: ")


def test_axes_of_structure_and_seeds(tmp_path):
    base = cobweb(**{"industries.firms": 3, "industries.bid_noise": 0.1, "run.steps": 20})
    axes = {
        "depth": {
            str(d): {"economy.program": cobweb(d).source.text.split("'''")[1]} for d in (1, 2)
        },
        "market.activation": "simultaneous,sequential,random",
    }
    table = run_sweep(Sweep.of(base, axes, seeds="0..2"), tmp_path / "s", figures=False)
    assert len(table) == 18
    assert set(table["status"]) == {"max_steps"}
    assert table["price.x"].nunique() == 18  # another seed, another noise
    assert pd.read_parquet(tmp_path / "s" / "table.parquet").equals(table)


# --- interruptions ---------------------------------------------------------------------------

AXES = {"supply.x.elasticity": "0.1:1.5:12", "supply.x.adjustment": "0.2:1:5"}


@pytest.fixture
def small_batches(monkeypatch):
    """Seven runs in a batch; an executor is used from the second batch on."""
    monkeypatch.setattr(sweep_module, "MAX_BATCH_RUNS", 7)
    monkeypatch.setattr(batches, "START_SECONDS", 0.0)


def test_resume_gives_the_same_bits(tmp_path, small_batches):
    sweep = Sweep.of(cobweb(), AXES)
    run_sweep(sweep, tmp_path / "whole")
    done = []

    def stop(count, size):
        done.append(count)
        if len(done) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_sweep(sweep, tmp_path / "part", progress=stop)
    assert not (tmp_path / "part" / "table.csv").exists()
    with pytest.raises(MarketError, match="not finished; continue with --resume"):
        run_sweep(sweep, tmp_path / "part")
    with ThreadPoolExecutor(3) as pool:
        seen = []
        run_sweep(
            sweep,
            tmp_path / "part",
            executor=pool,
            workers=3,
            resume=True,
            progress=lambda count, size: seen.append(count),
        )
    assert seen[0] == 21  # three batches of seven had been kept
    same = [(tmp_path / name / "table.csv").read_bytes() for name in ("whole", "part")]
    assert same[0] == same[1]
    other = Sweep.of(cobweb(), {**AXES, "supply.x.adjustment": "0.2:1:6"})
    with pytest.raises(MarketError, match="holds another sweep"):
        run_sweep(other, tmp_path / "part", resume=True)


def test_a_finished_sweep_is_read_or_replaced(tmp_path, small_batches):
    """Nothing is run again by --resume; another sweep takes the place of a finished one."""
    sweep, folder = Sweep.of(cobweb(), AXES), tmp_path / "s"
    table = run_sweep(sweep, folder)
    names = {path.name for path in folder.iterdir()}
    assert names == {"sweep.json", "table.csv", "table.parquet", "sweep.png"}
    written = (folder / "table.csv").stat().st_mtime_ns
    counts = []
    again = run_sweep(sweep, folder, resume=True, progress=lambda *each: counts.append(each))
    assert again.equals(table) and counts == [(60, 60)]
    assert (folder / "table.csv").stat().st_mtime_ns == written
    other = Sweep.of(cobweb(), {"supply.x.adjustment": "0.2:1:9"})

    def stop(count, size):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_sweep(other, folder, progress=stop)
    assert not (folder / "table.csv").exists()  # it would be another sweep's
    assert len(run_sweep(other, folder, resume=True)) == 9


def test_a_full_disk_loses_the_batch_in_flight_only(tmp_path, small_batches, monkeypatch):
    sweep = Sweep.of(cobweb(), AXES)
    written = store_module.write_file

    def full(path, text):
        if path.name == "00000021-7.csv":
            raise OSError(28, "No space left on device")
        written(path, text)

    monkeypatch.setattr(store_module, "write_file", full)
    with pytest.raises(MarketError, match=r"No space left on device.*--resume"):
        run_sweep(sweep, tmp_path / "s", figures=False)
    assert len(list((tmp_path / "s" / "parts").iterdir())) == 3
    monkeypatch.setattr(store_module, "write_file", written)
    assert len(run_sweep(sweep, tmp_path / "s", resume=True)) == 60


def test_a_folder_with_other_things_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(MarketError, match=r"holds 'thesis\.tex' and is not a sweep"):
        run_sweep(Sweep.of(cobweb(), AXES), tmp_path)
    with pytest.raises(MarketError, match="there is no sweep"):
        run_sweep(Sweep.of(cobweb(), AXES), tmp_path / "new", resume=True)


def command(*arguments, cwd):
    line = [sys.executable, "-c", "from market_abm.cli.commands import main; main()", *arguments]
    return subprocess.Popen(
        line, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_killed_and_resumed_whatever_the_jobs(tmp_path):
    """kill -9 in the middle of a sweep of several batches, in two processes."""
    (tmp_path / "c.toml").write_text(cobweb(steps=20_000).source.text)
    many = ["supply.x.elasticity=0.1:0.8:30", "supply.x.adjustment=0.2:1:30"]
    sweep = ["sweep", "c.toml", *many]
    whole = command(*sweep, "--jobs", "1", "--out", "whole", cwd=tmp_path)
    assert whole.communicate(timeout=120)[1] == ""
    parts = tmp_path / "cut" / "parts"
    process = command(*sweep, "--jobs", "2", "--out", "cut", cwd=tmp_path)
    deadline = time.monotonic() + 60
    while not (parts.exists() and any(parts.glob("0*.csv"))) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    assert not (tmp_path / "cut" / "table.csv").exists()
    again = command(*sweep, "--jobs", "2", "--resume", "--out", "cut", cwd=tmp_path)
    out, error = again.communicate(timeout=120)
    assert (again.returncode, error) == (0, "")
    assert "900" in out
    same = [(tmp_path / name / "table.csv").read_bytes() for name in ("whole", "cut")]
    assert same[0] == same[1]


def test_a_dead_worker_process_is_told_plainly(tmp_path, small_batches):
    from concurrent.futures.process import BrokenProcessPool

    class Broken(ThreadPoolExecutor):
        def submit(self, *_):
            future = Future()
            future.set_exception(BrokenProcessPool())
            return future

    with pytest.raises(MarketError, match=r"a worker process died.*--resume"):
        run_sweep(Sweep.of(cobweb(), AXES), tmp_path / "s", executor=Broken(1))


@pytest.mark.slow  # 15 s, most of it a cluster that starts
def test_a_dask_cluster_survives_the_death_of_a_worker(tmp_path, small_batches):
    distributed = pytest.importorskip("distributed")
    sweep = Sweep.of(cobweb(steps=2000), AXES)
    run_sweep(sweep, tmp_path / "here")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0", host="127.0.0.1"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        pids = list(client.run(os.getpid).values())
        killed = []

        def kill(count, size):
            if count >= 14 and not killed:
                killed.append(pids[0])
                os.kill(pids[0], signal.SIGKILL)

        pool = client.get_executor(pure=False, retries=5)
        table = run_sweep(sweep, tmp_path / "dask", executor=pool, workers=2, progress=kill)
    assert killed
    assert len(table) == 60
    same = [(tmp_path / name / "table.csv").read_bytes() for name in ("here", "dask")]
    assert same[0] == same[1]


@pytest.mark.slow  # 10 s, most of it a cluster that starts
def test_the_death_of_a_dask_scheduler_is_told_plainly(tmp_path, small_batches):
    """What was finished is kept, and the table after ``--resume`` is the same."""
    pytest.importorskip("distributed")
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    options = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    python = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--no-dashboard"]
    scheduler = subprocess.Popen([*python, "--host", address], **options)
    python = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--no-dashboard"]
    worker = subprocess.Popen([*python, "--nthreads", "1"], cwd=tmp_path, **options)
    sweep = Sweep.of(cobweb(steps=2000), AXES)
    try:
        with (
            pytest.raises(MarketError, match=r"the Dask scheduler at .* died .*--resume"),
            executor(None, address, sweep.design.size) as (pool, workers),
        ):
            kill = lambda count, size: count and scheduler.kill()  # noqa: E731
            folder = tmp_path / "cut"
            run_sweep(sweep, folder, executor=pool, workers=workers, progress=kill)
    finally:
        for process in (scheduler, worker):
            process.kill()
            process.wait()
    assert any((folder / "parts").iterdir())
    assert run_sweep(sweep, folder, resume=True).equals(run_sweep(sweep, None))


@pytest.mark.slow  # 20 s of waiting for a cluster that is not there
def test_no_cluster_is_told_plainly(tmp_path):
    pytest.importorskip("distributed")
    (tmp_path / "c.toml").write_text(cobweb().source.text)
    line = ["sweep", "c.toml", "supply.x.elasticity=0.1,0.2", "--scheduler", "nonsense://x"]
    process = command(*line, cwd=tmp_path)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 2
    assert error.startswith("Error: no Dask scheduler answers at nonsense://x")


# --- DESIGN 5: what theory says, measured by sweep -------------------------------------------


def boundary(table, axis, rate="rate"):
    """Where the rate goes through 1, by a line through the logarithms of two neighbours.

    The last below and the first not below, or, if no rate is known there, the last two below.
    """
    known = table[table[rate].notna()]
    x, log_rate = known[axis].to_numpy(), np.log(known[rate].to_numpy())
    k = min(int(np.flatnonzero(log_rate < 0)[-1]), len(x) - 2)
    return x[k] - log_rate[k] * (x[k + 1] - x[k]) / (log_rate[k + 1] - log_rate[k])


@pytest.mark.parametrize(
    ("depth", "activation"),
    members(
        itertools.product((0, 1, 2, 4), ("simultaneous", "sequential")),
        quick=[(0, "simultaneous"), (1, "sequential"), (2, "simultaneous")],
    ),
)
def test_fact_3_the_split_is_stable_up_to_the_bound_of_a_stale_gradient(
    tmp_path, depth, activation
):
    """The boundary of the measured rate within 1 %, from the runs below it that come near rest:
    beyond, none does. Rates are good to 1e-4, and their logarithm is nearly linear in 4 %.
    """
    delay = 2 * depth + 1 if activation == "simultaneous" else 0
    bound = 2 * np.sin(np.pi / (2 * (2 * delay + 1)))
    sweep = Sweep.of(
        split(depth, activation), {"market.share_rate": f"{0.96 * bound}:{1.04 * bound}:9"}
    )
    table = run_sweep(sweep, tmp_path / "s", figures=False)
    assert boundary(table, "market.share_rate") == pytest.approx(bound, rel=0.01)
    assert boundary(table, "market.share_rate", "predicted_rate") == pytest.approx(bound, rel=1e-4)


@pytest.mark.parametrize(
    ("demand_elasticity", "depth"),
    members(itertools.product((0.5, 2.0), (1, 2, 4)), quick=[(0.5, 2), (2.0, 1)]),
)
def test_fact_5_the_cobweb_is_stable_below_the_demand_elasticity(
    tmp_path, depth, demand_elasticity
):
    steps = 300 * (depth + 1)  # enough to come near rest within 2 % of the boundary
    base = cobweb(depth, "simultaneous", steps, **{"demand.y.elasticity": demand_elasticity})
    low, high = 0.96 * demand_elasticity, 1.04 * demand_elasticity
    table = run_sweep(
        Sweep.of(base, {"supply.x.elasticity": f"{low}:{high}:9"}), tmp_path / "s", figures=False
    )
    assert boundary(table, "supply.x.elasticity") == pytest.approx(demand_elasticity, rel=0.01)


@pytest.mark.parametrize("adjustment", [0.2, 0.5, 0.8])
def test_fact_5_partial_adjustment_widens_the_cobweb(tmp_path, adjustment):
    bound = 2 / adjustment - 1
    base = cobweb(2, "sequential", 200, **{"supply.x.adjustment": adjustment})
    axis = {"supply.x.elasticity": f"{0.96 * bound}:{1.04 * bound}:9"}
    table = run_sweep(Sweep.of(base, axis), tmp_path / "s", figures=False)
    assert boundary(table, "supply.x.elasticity") == pytest.approx(bound, rel=0.01)


def test_fact_7_the_isoelastic_industry_by_sweep(tmp_path):
    """x* = (a p0/r0)^(1/(1/η + 1 - a + a/ε)); 1e-8: runs stop at a tolerance of 1e-9."""
    text = """
[economy]
program = "c = x ** a"
parameters = { a = 0.5 }
[supply.x]
quantity = 1.0
price = 0.8
elasticity = 0.5
adjustment = 0.3
[demand.c]
price = 1.5
quantity = 1.0
elasticity = 1.0
[market]
activation = "sequential"
[run]
steps = 3000
"""
    axes = {
        "economy.parameters.a": "0.3,0.5,0.9",
        "supply.x.elasticity": "0.1:4:log:6",
        "demand.c.elasticity": [0.7, 2.0, 8.0, "inf"],
    }
    table = run_sweep(
        Sweep.of(Experiment.parse(text, "fact7"), axes), tmp_path / "s", figures=False
    )
    assert set(table["status"]) == {"converged"}
    a, eta, eps = (table[name].astype(float) for name in axes)
    expected = (a * 1.5 / 0.8) ** (1 / (1 / eta + 1 - a + a / eps))
    np.testing.assert_allclose(table["quantity.x"], expected, rtol=1e-8)
    np.testing.assert_allclose(table["best_quantity.x"], expected, rtol=1e-9)
    np.testing.assert_allclose(table["welfare"], table["best_welfare"], rtol=1e-12)


def test_the_published_figure_of_fact_7_is_the_closed_form():
    """Dashed: what SciPy found; dots: where the market ended. Both x*, as in the test above."""
    base = Experiment.load("one-industry")
    table = pd.read_csv(Path(market_abm.__file__).parent.parent / "results/one-industry/table.csv")
    eps = table["demand.c.elasticity"].to_numpy()
    expected = (0.5 * 1.5 / 0.2) ** (1 / (1 / 0.5 + 1 - 0.5 + 0.5 / eps))
    panel = sweep_figure(table, list(base.sweep["axes"]), base.name).axes[-1]
    assert panel.get_ylabel() == "quantity of x"
    line = max(panel.get_lines(), key=lambda each: len(each.get_xdata()))  # not the boundary
    np.testing.assert_allclose(line.get_ydata(), expected, rtol=1e-9)
    dots = np.vstack([each.get_offsets() for each in panel.collections])
    converged = (table["status"] == "converged").to_numpy()
    assert converged.sum() > 50
    found = dict(dots.tolist())
    for k in np.flatnonzero(converged):
        assert found[eps[k]] == pytest.approx(expected[k], rel=1e-8)


def test_the_table_reads_back_to_the_last_digit(tmp_path):
    sweep = Sweep.of(cobweb(), {"supply.x.elasticity": "0.1:0.9:5"})
    text = "".join(text for _, text in sweep.texts(range(5)))
    rows = list(csv.DictReader(text.splitlines(), sweep.columns))
    table = run_sweep(sweep, tmp_path / "s", figures=False)
    assert [float(row["price.x"]) for row in rows] == table["price.x"].tolist()


@pytest.mark.slow
def test_the_boundary_is_predicted_for_any_economy(tmp_path):
    """Fact 4 under the trading post, which has no closed form in the code: α = σ/(1 - σ), to 1e-4.

    And where it is predicted, runs change from settling to not, within the grid's 2 %.
    """
    base = Experiment.load("trading-post", {"economy.parameters.sigma": 0.25, "run.steps": 4000})
    axis = {"market.bid_rate": "0.32:0.35:16"}
    table = run_sweep(Sweep.of(base, axis), tmp_path / "s", figures=False)

    assert boundary(table, "market.bid_rate", "predicted_rate") == pytest.approx(1 / 3, rel=1e-4)
    settled = table["market.bid_rate"][table["status"] == "converged"]
    swinging = table["market.bid_rate"][table["status"] == "oscillating"]
    assert settled.max() == pytest.approx(1 / 3, rel=0.02)
    assert swinging.min() == pytest.approx(1 / 3, rel=0.02)
    experiment = base.economy, base.market
    near = stability(*experiment)
    alone = run(base)
    assert alone.near_steady_state()["radius"] == near.radius


@pytest.mark.parametrize(
    "values", ["1:2:100000000", "1:2:1000000000000", "4..1"], ids=["large", "huge", "backwards"]
)
def test_a_sweep_that_cannot_be_held_is_refused_before_it_is_planned(values):
    name = "run.seed" if ".." in values else "supply.x.quantity"
    with pytest.raises(MarketError, match=r"may have 10,000,000 runs|cannot read the axis"):
        Axis.of(name, values)


def test_axes_that_are_too_many_together_are_refused():
    axis = Axis.of("supply.x.quantity", "1:2:4000")
    with pytest.raises(MarketError, match="the sweep would have 16,000,000 runs"):
        Design((axis, axis), DesignSettings())
