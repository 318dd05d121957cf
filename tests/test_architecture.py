"""The house: who may import whom (read from pyproject.toml), and how large its rooms are.

Without the contract on local information, prices that equal gradients would mean nothing.
"""

import ast
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import market_abm

PACKAGE = Path(market_abm.__file__).parent
ROOT = PACKAGE.parent
TRADERS = ("economy", "market", "simulation")


def lint(folder):
    """Check the contracts of pyproject.toml on the package in a folder, and say what was found."""
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


def test_imports_follow_the_order_of_the_folders():
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("market/agents.py", "def f():\n    from market_abm.gradient import backprop", "trades"),
        (
            "economy/terms.py",
            "if TYPE_CHECKING:\n    from market_abm.runs import result",
            "a folder",
        ),
        ("market/base.py", "from ..analysis import observer", "a folder"),
        ("simulation/record.py", "import market_abm.gradient.welfare", "trades"),
        ("gradient/welfare.py", "from market_abm.baselines.dessertaine2022 import step", "no pub"),
        ("twins/terms.py", "from market_abm.gradient import backprop", "twin"),
        ("views/layout.py", "def f():\n    from market_abm.views import explain", "circle"),
    ],
)
def test_an_import_against_the_order_is_found(tmp_path, module, line, contract):
    """The test can fail: in functions, for types, by relative names, and for each contract."""
    shutil.copytree(PACKAGE, tmp_path / "market_abm")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / "market_abm" / module).open("a", encoding="utf-8") as file:
        file.write(f"\n\n{line}\n")
    if contract == "circle":
        with (tmp_path / "market_abm/views/explain.py").open("a", encoding="utf-8") as file:
            file.write("\n\nfrom market_abm.views import layout\n")
    done = lint(tmp_path)
    broken = [each for each in done.stdout.splitlines() if each.endswith("BROKEN")]
    assert done.returncode == 1 and any(contract in each.lower() for each in broken), done.stdout


@pytest.mark.parametrize("folder", TRADERS)
def test_traders_import_nothing_by_name(folder):
    """No importlib, no __import__, no sys.modules: the imports that are read are all there are."""
    for path in (PACKAGE / folder).rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        for word in ("importlib", "__import__", "sys.modules", "import_module", "exec(", "eval("):
            assert word not in source, path


def test_a_running_market_has_loaded_no_gradient():
    """The same at run time: a market that has traded has none of it in memory."""
    code = (
        "import sys\n"
        "from market_abm.economy.program import from_text\n"
        "from market_abm.market.model import MarketModel\n"
        "model = MarketModel(from_text('y = sqrt(x)', {'x': 4}))\n"
        "model.step()\n"
        "names = ('gradient', 'analysis', 'twins')\n"
        "print([m for m in sys.modules if m.startswith(tuple(f'market_abm.{n}' for n in names))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_root_holds_at_most_six_modules():
    assert len(list(PACKAGE.glob("*.py"))) <= 6
    order = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    layers = set(order["contracts"][0]["layers"])
    rooms = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    modules = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    assert layers == rooms | modules


def functions(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return [node for node in ast.walk(tree) if isinstance(node, kinds)]
