"""Ctrl-C: one line and exit code 130 at any moment, and what is finished is kept."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

from market_abm import Experiment
from market_abm.simulation import loop
from market_abm.studies import sweep as sweep_module
from market_abm.studies.sweep import Sweep, run_sweep

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")

# A shell that runs the tests in the background has Ctrl-C ignored: take it up again. A line is
# printed when Ctrl-C is handled: before, Python itself starts.
START = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from market_abm.cli.entry import catch_interrupts, main
catch_interrupts()
print("started", flush=True)
{then}
main()
"""
COMMANDS = {
    "run": ["run", "essay-chain"],
    "sweep": ["sweep", "essay-chain", "supply.natgas.quantity=1:9:2000", "--jobs", "2"],
    "compare": ["compare", "spiral"],
    "mechanisms": ["compare", "mechanisms", "--mechanisms", "all"],
    "phase-plane": ["phase-plane", "--networks", "1"],
    "animate": ["animate", "essay-chain"],
    "explain": ["explain", "essay-chain"],
    "report": ["report", "results/essay-chain"],
    "watch": ["watch", "essay-chain", "--port", "0"],
    "list": ["list"],
    "check": ["check", "essay-chain"],
}
PER_COMMAND = 9
"""Interruptions of each command: 99 in all."""


def started(arguments, folder, then=""):
    """A command in a process group of its own, which is what a terminal sends Ctrl-C to."""
    process = subprocess.Popen(
        [sys.executable, "-c", START.format(then=then), *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout.readline() == "started\n", process.stderr.read()
    return process


def interrupted(process):
    """The exit code, output and errors after Ctrl-C."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
    try:
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    return process.returncode, out, err


IN_AN_IMPORT = """
import os, sys
class Interrupter:
    def find_spec(self, name, *_):
        if name == "numpy.linalg":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupter())
"""


def test_in_an_import(tmp_path):
    """There a KeyboardInterrupt would end as ``ImportError: initialization failed``."""
    process = started(["check", "essay-chain"], tmp_path, then=IN_AN_IMPORT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "Interrupted.\n")


AT_ONCE = """
import os, time
from market_abm.studies.executors import executor
if __name__ == "__main__":
    with executor(2, None, 2) as (pool, _):
        pool.submit(time.sleep, 0.0).result()
        os._exit(130)
"""


def test_no_warning_of_semaphores_where_a_sweep_ends_at_once(tmp_path):
    """Python's resource tracker removes them, after the process has ended; its words are ours."""
    file = tmp_path / "ends.py"
    file.write_text(AT_ONCE)
    ended = subprocess.run(
        [sys.executable, file], check=False, capture_output=True, text=True, timeout=60
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_at_any_moment(name, tmp_path):
    """At random moments, and until the command ends by itself; ``watch`` does so with 0."""
    if name == "report":
        started(["run", "essay-chain"], tmp_path).communicate(timeout=120)
    began = time.monotonic()
    whole = started(COMMANDS[name], tmp_path)
    with contextlib.suppress(subprocess.TimeoutExpired):
        whole.communicate(timeout=4)
    interrupted(whole)
    lasts, moments = time.monotonic() - began, random.Random(name)
    for _ in range(PER_COMMAND):
        if name == "sweep":  # one that was not finished would have to be resumed
            shutil.rmtree(tmp_path / "results", ignore_errors=True)
        process = started(COMMANDS[name], tmp_path)
        time.sleep(moments.uniform(0.0, 1.1 * lasts))
        code, out, err = interrupted(process)
        if code == 0:  # it had finished; or it is how to stop a page
            assert err == ""
        else:
            assert code == 130 and len(err.splitlines()) == 1, err
            assert err.startswith("Interrupted") or "Interrupted after step" in out


def test_half_a_run_is_no_row_of_a_sweep(tmp_path, monkeypatch):
    """What was finished is kept, and the table after ``--resume`` is that without Ctrl-C."""
    experiment = Experiment.load("cobweb", {"run.steps": 200})
    monkeypatch.setattr(sweep_module, "MAX_BATCH_RUNS", 3)
    sweep = Sweep.of(experiment, {"supply.x.elasticity": "0.1:0.9:9"})
    move, steps = loop.move, []

    def counted(*arguments):
        steps.append(1)
        if len(steps) == last:
            raise KeyboardInterrupt
        return move(*arguments)

    monkeypatch.setattr(loop, "move", counted)
    last = 0
    whole = run_sweep(sweep, None)
    last, steps = len(steps) // 2, []
    with pytest.raises(KeyboardInterrupt):
        run_sweep(sweep, tmp_path / "sweep")
    kept = [path.name for path in (tmp_path / "sweep" / "parts").iterdir()]
    assert 0 < len(kept) < 3
    assert run_sweep(sweep, tmp_path / "sweep", resume=True).equals(whole)
