"""Result files and folders, whatever happens to the process that writes them."""

import os
import signal
import subprocess
import sys
import time

import pytest

from market_abm.errors import ResultsError
from market_abm.runs import folders
from market_abm.runs.folders import write_file, write_folder

NAMES = ("a.txt", "b.txt")
WRITE = """
import os, signal, sys
from pathlib import Path
from market_abm.runs import folders

death, word = int(sys.argv[1]), sys.argv[2]
lines = 0

def trace(frame, event, _):
    global lines
    if frame.f_code.co_filename != folders.__file__:
        return None
    if event == "line":
        lines += 1
        if lines == death:
            os.kill(os.getpid(), signal.SIGKILL)
    return trace

sys.settrace(trace)
writers = {name: lambda path: path.write_text(word) for name in ("a.txt", "b.txt")}
folders.write_folder(Path("results"), writers)
folders.write_file(Path("page.txt"), writers["a.txt"])
"""


def writers(word):
    return {name: lambda path: path.write_text(word) for name in NAMES}


def killed(folder, line):
    """Write in a process that is killed at a line of ``folders.py``; whether it was."""
    done = subprocess.run(
        [sys.executable, "-c", WRITE, str(line), f"by {line}"], cwd=folder, check=False
    )
    assert done.returncode in (0, -signal.SIGKILL)
    return done.returncode != 0


def hidden(folder):
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


def left_over(folder, process, machine=None, days=0.0):
    """A working folder beside ``folder``/results, as the process of that number made it."""
    made = folder / f".results.writing-{machine or folders._machine()}-{process}-abc_1234"
    (made / "new").mkdir(parents=True)
    then = time.time() - 86_400 * days
    os.utime(made, (then, then))
    return made


@pytest.fixture(scope="module")
def dead():
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_kill_at_any_line_leaves_whole_results_and_nothing_after_the_next_write(tmp_path):
    """Between two renamings there is no folder for an instant; the next write begins with it."""
    line, absent = 1, 0
    while True:
        folder = tmp_path / str(line)
        folder.mkdir()
        write_folder(folder / "results", writers("old"))
        write_file(folder / "page.txt", lambda path: path.write_text("old"))
        was_killed = killed(folder, line)
        if (folder / "results").exists():
            texts = {(folder / "results" / name).read_text() for name in NAMES}
            assert texts in ({"old"}, {f"by {line}"})
        else:
            absent += 1
        assert (folder / "page.txt").read_text() in ("old", f"by {line}")
        with pytest.raises(ResultsError):  # a write that fails: what was there is there again
            write_folder(folder / "results", {"a.txt": lambda path: path.read_text()}, NAMES)
        assert {(folder / "results" / name).read_text() for name in NAMES} <= {"old", f"by {line}"}
        write_file(folder / "page.txt", lambda path: path.write_text("new"))
        assert hidden(folder) == []
        if not was_killed:
            break
        line += 1
    assert line > 30 and absent <= 2


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_what_a_killed_process_left_is_removed_by_the_next_write(tmp_path):
    assert killed(tmp_path, 25)
    assert len(hidden(tmp_path)) == 1
    write_folder(tmp_path / "results", writers("new"))
    assert hidden(tmp_path) == []


@pytest.mark.skipif(sys.platform == "win32", reason="numbers of processes")
def test_only_what_is_left_over_is_removed(tmp_path, dead):
    """Not what a process still uses, what another machine made today, or what has another name."""
    gone = [left_over(tmp_path, dead), left_over(tmp_path, 1, machine="0" * 8, days=2)]
    kept = [left_over(tmp_path, os.getpid()), left_over(tmp_path, dead, machine="0" * 8)]
    for name in (".results.writing-mine", ".results.backup", f".other{gone[0].name[8:]}"):
        kept.append(tmp_path / name)
        kept[-1].mkdir()
    write_folder(tmp_path / "results", writers("new"))
    assert not any(path.exists() for path in gone)
    assert all(path.exists() for path in kept)


@pytest.mark.skipif(sys.platform == "win32", reason="numbers of processes")
def test_a_folder_that_a_killed_process_had_put_aside_returns(tmp_path, dead):
    old = left_over(tmp_path, dead) / "old"
    write_folder(old, writers("old"))
    with pytest.raises(ResultsError):
        write_folder(tmp_path / "results", {"a.txt": lambda path: path.read_text()}, NAMES)
    assert {(tmp_path / "results" / name).read_text() for name in NAMES} == {"old"}
    assert hidden(tmp_path) == []
