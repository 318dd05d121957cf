"""The command line, as a user meets it: in an empty folder, and where it matters in a process."""

import contextlib
import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from support.commands import COMMAND, ENDLESS

from market_abm import run as run_in_python
from market_abm.cli.commands import main
from market_abm.errors import ResultsError
from market_abm.runs.folders import write_folder
from market_abm.views.save import RUN_FILES
from market_abm.views.words.figures import NO_FONT

ABSENT = {
    *("shock.png", "own-rates.png", "weights.png", "households.png", "price-simplex.png"),
    "families.csv",
}
"""Files that a run of the essay's chain does not have."""


def command(*arguments, cwd):
    """Exit code and streams of a command in this process, which starts none."""
    with contextlib.chdir(cwd):
        done = CliRunner(env={"COLUMNS": "200"}).invoke(main, arguments)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    return SimpleNamespace(returncode=done.exit_code, stdout=done.stdout, stderr=done.stderr)


def process(*arguments, cwd):
    """The same in a process of its own."""
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=cwd,
        capture_output=True,
        encoding="utf-8",
        check=False,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONIOENCODING": "utf-8", "COLUMNS": "200"},
        timeout=120,
    )


def test_run_prints_and_writes(tmp_path):
    done = process("run", "essay-chain", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "natgas 4 0.04166666667 0.04166666667 0 3" in " ".join(done.stdout.split())
    assert "Converged at step 3" in done.stdout
    assert "\x1b" not in done.stdout  # no escape codes where nobody is watching
    folder = tmp_path / "results" / "essay-chain"
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        name for name in RUN_FILES if name not in ABSENT
    )
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert summary["status"] == "converged"
    assert summary["goods"]["natgas"]["error"] == 0.0
    assert summary["configuration"]["run"]["seed"] == 1
    assert set(summary["versions"]) == {"python", "market-abm", "mesa", "numpy"}
    assert (folder / "buyers.csv").exists()
    with (folder / "trajectory.csv").open(encoding="utf-8") as file:
        prices = [float(row["price"]) for row in csv.DictReader(file)]
    assert prices == run_in_python("essay-chain").prices.ravel().tolist()  # to the last digit
    for name in ("convergence.png", "network.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")


def test_json_is_one_object_and_nothing_else(tmp_path):
    done = command("run", "essay-chain", "--json", "--out", "here", cwd=tmp_path)
    summary = json.loads(done.stdout)
    assert summary["steps"] == 3
    assert set(summary["goods"]["natgas"]) >= {"quantity", "price", "gradient", "error"}
    assert summary["welfare"] == pytest.approx(np.log(2 / 3))
    assert (tmp_path / "here" / "summary.json").is_file()


def test_options_reach_the_run(tmp_path):
    done = command(
        *("run", "activation-random", "--seed", "5", "--steps", "7", "--json"),
        *("--set", "market.share_rate=0.2", "--set", "market.activation=random"),
        cwd=tmp_path,
    )
    assert done.returncode == 3
    configuration = json.loads(done.stdout)["configuration"]
    assert configuration["run"]["seed"] == 5
    assert configuration["market"]["share_rate"] == 0.2
    assert json.loads(done.stdout)["status"] == "max_steps"


@pytest.mark.parametrize(
    ("arguments", "code", "status"),
    [
        (["essay-chain", "--steps", "2"], 3, "max_steps"),
        (["rival-diamond-unstable"], 4, "oscillating"),
        (["rival-diamond-unstable", "--set", "market.share_rate=3"], 5, "diverged"),
    ],
)
def test_every_status_has_its_exit_code_and_keeps_its_results(tmp_path, arguments, code, status):
    done = command("run", *arguments, cwd=tmp_path)
    assert done.returncode == code, done.stdout + done.stderr
    (summary,) = (tmp_path / "results").glob("*/summary.json")
    assert json.loads(summary.read_text(encoding="utf-8"))["status"] == status
    assert "Traceback" not in done.stderr


MISTAKES = [
    (["run", "essay-chane"], "did you mean 'essay-chain'"),
    (["run", "bad.toml"], "bad.toml:3: unknown function 'sqr'; did you mean 'sqrt'"),
    (["check", "bad.toml"], "bad.toml:3: unknown function"),
    (["explain", "bad.toml"], "bad.toml:3: unknown function"),
    (["run", "essay-chain", "--set", "market.bid_rate=2"], "market.bid_rate is 2"),
    (["run", "essay-chain", "--set", "nonsense"], "write key=value"),
    (["run", "essay-chain", "--steps", "-1"], "run.steps is -1"),
    (["run", "essay-chain", "--seed", "-1"], "run.seed is -1"),
    (["run", "essay-chain", "--out", "full"], "'full' holds 'diary.txt'"),
    (["run", "essay-chain", "--out", "diary"], r"cannot write 'diary' \(Not a directory\)"),
    (
        ["run", "essay-chain", "--set", "supply.natgas.quantity=-1"],
        "essay-chain.toml:8: at step 0, 'ethylene = natgas",
    ),
    (
        ["run", "negative-prices", "--set", "economy.program=y = x"],
        "12: supply.coal: no line uses a good 'coal'",
    ),
    (
        ["run", "rival-negative.toml"],
        'rival-negative.toml:4: at step 2, the rival good .smoke..*reuse.smoke = "copy"',
    ),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES, ids=[m[:40] for _, m in MISTAKES])
def test_mistakes_exit_with_two_and_one_sentence(tmp_path, arguments, message):
    (tmp_path / "bad.toml").write_text('[economy]\nprogram = """\ny = sqr(x)"""\n', "utf-8")
    (tmp_path / "rival-negative.toml").write_text(
        '[economy]\nprogram = """\nsmoke = coal\nill = smoke\nsad = smoke\njoy = 9 - ill*sad\n"""\n'
        "[supply.coal]\nquantity = 1\n",
        "utf-8",
    )
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "diary.txt").write_text("dear diary", "utf-8")
    (tmp_path / "diary").write_text("dear diary", "utf-8")
    done = command(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert re.search(message, done.stderr), done.stderr
    assert (tmp_path / "full" / "diary.txt").read_text("utf-8") == "dear diary"


@pytest.mark.parametrize(
    ("program", "quantity", "code"),
    [
        ("y = sqrt(x)", 0, 5),  # an infinite marginal product at once
        ("布_y = été**2", 2, 0),  # a name in letters that perhaps no font here has: one sentence
        pytest.param("a = x + 2*a\ny = a", 1, 5, marks=pytest.mark.slow),
        ("y = (x - 4)**2", 4, 0),  # a gradient of exactly 0
    ],
)
def test_awkward_programs_are_run_without_noise(tmp_path, program, quantity, code):
    good = "x" if "x" in program else "été"
    (tmp_path / "a.toml").write_text(
        f"[economy]\nprogram = '''\n{program}\n'''\nreuse = 'copy'\n"
        f'[supply."{good}"]\nquantity = {quantity}\n',
        "utf-8",
    )
    done = command("run", "a.toml", cwd=tmp_path)
    assert done.returncode == code
    assert done.stderr in (("", f"Warning: {NO_FONT}\n") if "布" in program else ("",))
    json.loads((tmp_path / "results/a/summary.json").read_text("utf-8"), parse_constant=pytest.fail)


def test_explain_shows_both_sides(tmp_path):
    done = command("explain", "essay-chain", cwd=tmp_path)
    assert done.returncode == 0
    words = " ".join(done.stdout.split())
    assert (
        "p_ethylene = p_polyethylene * 1/(ethylene + 1)**2 "
        "df_dethylene = df_dpolyethylene * 1/(ethylene + 1)**2"
    ) in words
    assert "= 1.5 * 0.111111 = 0.166667 = 1.5 * 0.111111 = 0.166667" in words
    order = [done.stdout.index(f"{good} = ") for good in ("tupperware", "polyethylene", "ethylene")]
    assert order == sorted(order)  # last first
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("name", ["rival-diamond", "copy-diamond", "loop", "twenty-firms"])
def test_explain_adds_up(name):
    """In each pair of equations the market's numbers and backprop's agree to what is printed."""
    from market_abm.views.explain import explain

    for section in explain(run_in_python(name)):
        for pair in section.pairs:
            left, right = pair.condition_numbers, pair.backprop_numbers
            if left:
                results = [float(side.rpartition("=")[2]) for side in (left, right)]
                assert results[0] == pytest.approx(results[1], rel=1e-5)


def test_list_and_check(tmp_path):
    listed = command("list", cwd=tmp_path)
    assert "essay-chain" in listed.stdout
    assert "Do the firms' bids become derivatives?" in listed.stdout
    checked = command("check", "loop", cwd=tmp_path)
    assert checked.returncode == 0
    assert "loops: steel <-> coal" in checked.stdout
    assert "sweep: 61 runs" in command("check", "demand-elasticity", cwd=tmp_path).stdout
    assert not list(tmp_path.iterdir())


SPLIT = (
    '[economy]\nprogram = """\na = ln(x)\nb = sqrt(x)\ny = a + b\n"""\n[supply.x]\nquantity = 4\n'
)


def test_a_sweep_says_what_failed_and_whether_there_is_a_figure(tmp_path):
    """It fails with all of its rows, and only then."""
    (tmp_path / "split.toml").write_text(SPLIT, "utf-8")
    for values, code, told in (("-1,-2", 2, "All runs failed"), ("-1,4", 0, "1 of 2 runs failed")):
        axis = f"supply.x.quantity={values}"
        done = command("sweep", "split.toml", axis, "--jobs", "1", cwd=tmp_path)
        assert done.returncode == code
        said = done.stderr if code else done.stdout
        assert f"{told} (column message of table.csv); the first: line 1: at step 0" in said
    done = command("sweep", "essay-chain", "run.engine=agents,arrays", "--jobs", "1", cwd=tmp_path)
    assert done.returncode == 0 and "run.engine has other values" in done.stdout
    assert not (tmp_path / "results" / "essay-chain-sweep" / "sweep.png").exists()


SWEEPS = {
    'axes = "a"': r"bad\.toml:10: sweep.axes is 'a'; make it a table",
    "ponits = 3": r"bad\.toml:10: unknown key 'sweep.ponits'",
    "points = 3\n[sweep.axes]\n'run.steps' = [1]": r"bad\.toml:10: points has no effect in a grid",
    "[sweep.axes]\n'run.steps' = '1:4:log:0'": r"bad\.toml:11: run.steps cannot be swept over",
    "[sweep.axes]\n'market.bid_rate' = [0.5, 2]": r"bad\.toml:11: market.bid_rate is 2; must be",
    "[sweep.axes]\nmarket.bid_rate = [0.5]": r"bad\.toml:\d+: cannot read the axis market",
    "seeds = [1, 1]": r"bad\.toml:10: a value of sweep.seeds is given twice",
}


@pytest.mark.parametrize("text", SWEEPS)
def test_check_reads_the_sweep_of_a_file(tmp_path, text):
    (tmp_path / "bad.toml").write_text(f"{SPLIT}[sweep]\n{text}\n", "utf-8")
    done = command("check", "bad.toml", cwd=tmp_path)
    assert done.returncode == 2 and re.search(SWEEPS[text], done.stderr), done.stderr


UNWRITABLE = {
    "diary/below/r": r"cannot write 'diary/below/r' \('diary' is no folder\)",
    "diary": r"cannot write 'diary' \(Not a directory\)",
    "/proc/below/r": r"cannot write '/proc/below/r' in '/proc' \(",
}


@pytest.mark.parametrize("out", UNWRITABLE)
def test_the_part_of_a_path_that_is_in_the_way_is_named(tmp_path, out):
    (tmp_path / "diary").write_text("dear diary", "utf-8")
    for arguments in (["run", "essay-chain"], ["sweep", "essay-chain", "run.steps=8", "--jobs=1"]):
        done = command(*arguments, "--out", out, cwd=tmp_path)
        assert done.returncode == 2
        assert re.fullmatch(f"Error: {UNWRITABLE[out]}.*; choose another .* --out\n", done.stderr)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_device_is_told():
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "market_abm", "list"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr == "Error: cannot write the output (No space left on device)\n"


@pytest.mark.slow
def test_names_in_a_locale_of_ascii_alone(tmp_path):
    """The locale C as it was before Python coerced it to UTF-8."""
    (tmp_path / "été.toml").write_text(
        "[economy]\nprogram = 'été = sqrt(布)'\n[supply.'布']\nquantity = 4\n", "utf-8"
    )
    ascii_only = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "market_abm", "run", "été.toml", "--set", "supply.布.quantity=9"],
        cwd=tmp_path,
        capture_output=True,
        check=False,
        env={**os.environ, **ascii_only, "PYTHONCOERCECLOCALE": "0"},
    )
    assert done.returncode == 0, done.stderr
    boxes = b"Warning: Figures show boxes"  # where no font has the letter
    assert all(line.startswith(boxes) for line in done.stderr.splitlines()), done.stderr
    assert rb"\u5e03" in done.stdout and rb"\xe9t\xe9" in done.stdout
    summary = tmp_path / "results" / "été" / "summary.json"
    told = json.loads(summary.read_text("utf-8"))
    assert told["name"] == "été" and told["goods"]["été"]["quantity"] == 3.0


def test_nothing_is_set_twice_in_silence(tmp_path):
    for twice in (
        ["--set", "run.steps=3", "--set", "run . steps=4"],
        ["--set", "run.seed=3", "--seed", "4"],
    ):
        done = command("run", "essay-chain", *twice, cwd=tmp_path)
        assert done.returncode == 2 and "is given twice; leave one out" in done.stderr
    done = command("sweep", "essay-chain", "run.steps=3", "run.steps=4", cwd=tmp_path)
    assert done.returncode == 2 and "run.steps is given twice" in done.stderr


def test_a_result_is_replaced_whole(tmp_path):
    folder = tmp_path / "results" / "essay-chain"
    command("run", "essay-chain", cwd=tmp_path)
    before = (folder / "summary.json").read_bytes()
    assert command("run", "essay-chain", "--steps", "1", cwd=tmp_path).returncode == 3
    assert (folder / "summary.json").read_bytes() != before
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        name for name in RUN_FILES if name not in ABSENT
    )
    assert [path.name for path in folder.parent.iterdir()] == ["essay-chain"]


@pytest.mark.parametrize("where", [0, 1])
def test_a_failed_write_leaves_what_was_there(tmp_path, where):
    """The disk fills up at the first or the second file: the old result is untouched."""
    folder = tmp_path / "kept"
    write_folder(folder, {"summary.json": lambda p: p.write_text("old")})

    def full(path):
        raise OSError(28, "No space left on device")

    writers = [("summary.json", lambda p: p.write_text("new")), ("trajectory.csv", full)]
    if where == 0:
        writers.reverse()
    with pytest.raises(ResultsError, match="No space left on device"):
        write_folder(folder, dict(writers))
    assert (folder / "summary.json").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_an_interrupted_run_keeps_what_it_saw(tmp_path):
    (tmp_path / "slow.toml").write_text(ENDLESS, "utf-8")
    # A shell that runs the tests in the background has Ctrl-C ignored: take it up again.
    interrupt = (
        "import os, signal\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from market_abm.market.model import MarketModel\n"
        "step = MarketModel.step\n"
        "def counted(model):\n"
        "    step(model)\n"
        "    if model.state.step == 20:\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "MarketModel.step = counted\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", interrupt + COMMAND[-1], "run", "slow.toml"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert b"Interrupted after step" in out
    summary = json.loads((tmp_path / "results/slow/summary.json").read_text("utf-8"))
    assert summary["status"] == "interrupted"
    assert summary["steps"] >= 19


HEAVY = ("matplotlib", "mesa", "networkx", "numpy", "pandas", "rich", "scipy")
ARRAYS = ("essay-chain", "--set", "run.engine=arrays")
NEEDS = {
    ("--help",): [],
    ("check", "demand-elasticity"): ["numpy"],
    ("list",): ["numpy", "rich"],
    ("explain", *ARRAYS): ["numpy", "rich"],
    ("run", *ARRAYS, "--no-figures"): ["numpy", "pandas", "rich", "scipy"],
}
"""What is imported after each of these commands, in one process: scipy for a predicted path, and
pandas for the files of a run."""


def test_commands_import_only_what_they_use(tmp_path):
    """Time is for the benchmark, not for a test."""
    code = (
        "import sys\n"
        "from market_abm.cli.commands import main\n"
        f"for command in {list(NEEDS)}:\n"
        "    try: main(list(command))\n"
        "    except SystemExit: pass\n"
        f"    print(sorted({set(HEAVY)} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stderr.splitlines() == [str(needs) for needs in NEEDS.values()]
    assert "market-abm run essay-chain" in done.stdout


@pytest.mark.parametrize(
    ("line", "files"),
    [
        ("run rival-diamond --steps 3", "buyers.csv measures.csv summary.json trajectory.csv"),
        ("sweep essay-chain supply.natgas.quantity=1,2", "sweep.json table.csv table.parquet"),
        pytest.param(
            *("compare rival-diamond --steps 3", "comparison.csv comparison.json"),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            *("compare rival-diamond --mechanisms unit-bid", "comparison.csv comparison.json"),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_without_figures_the_data_are_the_same(tmp_path, line, files):
    """A run into the folder of one with figures leaves none of these."""
    for folder, options in {"with": [], "without": ["--no-figures"]}.items():
        done = command(*line.split(), "--out", folder, *options, cwd=tmp_path)
        assert done.returncode in (0, 3), done.stderr
    assert list((tmp_path / "with").glob("*.png"))
    assert sorted(each.name for each in (tmp_path / "without").iterdir()) == files.split()
    for name in files.split():
        read = [(tmp_path / folder / name).read_bytes() for folder in ("with", "without")]
        assert read[0] == read[1]
    command(*line.split(), "--out", "with", "--no-figures", cwd=tmp_path)
    assert not list((tmp_path / "with").glob("*.png"))


def test_paths_stay_out_of_the_summary(tmp_path):
    command("run", "essay-chain", cwd=tmp_path)
    text = (tmp_path / "results/essay-chain/summary.json").read_text("utf-8")
    assert str(Path.home()) not in text
    assert str(tmp_path) not in text


def test_a_folder_that_cannot_be_used_is_told_before_the_run(tmp_path):
    (tmp_path / "slow.toml").write_text(ENDLESS, "utf-8")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "diary.txt").write_text("dear diary", "utf-8")
    done = command("run", "slow.toml", "--out", "full", cwd=tmp_path)  # it would take minutes
    assert (done.returncode, done.stdout) == (2, "")
    assert "holds 'diary.txt'" in done.stderr


def test_an_interrupted_swap_puts_the_old_result_back(tmp_path, monkeypatch):
    """Ctrl-C between the two renamings, the worst moment there is."""
    folder = tmp_path / "kept"
    write_folder(folder, {"summary.json": lambda p: p.write_text("old")})
    rename, calls = Path.rename, []

    def interrupted(self, target):
        calls.append(target)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_folder(folder, {"summary.json": lambda p: p.write_text("new")})
    assert (folder / "summary.json").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
