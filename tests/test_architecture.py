"""The architecture: which folder may import which (pyproject.toml), and how long files are.

Without the contract on local information, prices that equal gradients would mean nothing.
"""

import ast
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import architecture
import pytest

import market_abm

PACKAGE = Path(market_abm.__file__).parent
ROOT = PACKAGE.parent
TRADERS = ("economy", "market", "simulation")


def lint(folder):
    """Check the contracts of pyproject.toml on the package in a folder, and say what was found."""
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )


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
        (
            "gradient/welfare.py",
            "from market_abm.baselines.dessertaine2022 import step",
            "published",
        ),
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
    folders = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    modules = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    assert layers == folders | modules


# --- lengths: a function fits on a screen, a file has one subject ---------------------------------

MODULE_LINES = 450
FUNCTION_LINES = 60  # without decorators and docstring

LONGER = {
    "economy/from_table.py::from_input_output": "One step of the construction after another.",
}
"""What is longer all the same, each with the reason."""


def test_no_module_and_no_function_is_too_long():
    modules = architecture.module_lengths(PACKAGE)
    functions = architecture.function_lengths(PACKAGE)
    found = {each.name for each in modules if each.lines > MODULE_LINES}
    found |= {each.name for each in functions if each.lines > FUNCTION_LINES}
    assert found - set(LONGER) == set(), "split what is too long"
    assert set(LONGER) - found == set(), "no longer too long: take it from the list"


SMALL = {
    "__init__.py": "",
    "low/__init__.py": "",
    "low/unit.py": "class Unit:\n    name = 'unit'\n",
    "low/registry.py": "from small.low.unit import Unit\nMECHANISMS = {'unit': Unit}\n",
    "low/up.py": "def f():\n    from small.high import down\n",
    "high/__init__.py": "",
    "high/down.py": "'unit'\nfrom small.low import up\n\ndef g():\n    'unit'\n    return 'unit'\n",
}


def test_the_measures_of_a_small_package(tmp_path):
    """tools/architecture.py, where every number is known."""
    package = tmp_path / "small"
    for name, text in SMALL.items():
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    contract = '[[tool.importlinter.contracts]]\ntype = "layers"\nlayers = ["high", "low"]\n'
    (tmp_path / "pyproject.toml").write_text(contract, encoding="utf-8")
    graph = architecture.import_graph(package)
    assert architecture.circles(graph) == [["small.high.down", "small.low.up"]]
    upward = architecture.upward_imports(graph, architecture.layers(package))
    assert upward == ["small.low.up -> small.high.down"]
    assert architecture.mechanism_mentions(package) == ["high/down.py:6: unit"]
    lengths = architecture.function_lengths(package)
    assert lengths == [(2, "low/up.py::f"), (2, "high/down.py::g")]


# --- the tests themselves -------------------------------------------------------------------------


def test_test_files_do_not_import_each_other():
    """What several of them use is in tests/support."""
    tests = {path.stem for path in (ROOT / "tests").glob("test_*.py")}
    for path in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [each.name for each in getattr(node, "names", []) if hasattr(each, "name")]
            names.append(getattr(node, "module", None) or "")
            assert not {name.rpartition(".")[2] for name in names} & tests, path.name


def test_no_module_tests_the_name_or_class_of_a_mechanism():
    """Only its own file, the registries and its twin mention a mechanism."""
    assert architecture.mechanism_mentions(PACKAGE) == []
