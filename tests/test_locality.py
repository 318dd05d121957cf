"""Local information only: nothing that trades can reach the gradient or the analysis.

Without that, prices that equal gradients would mean nothing.
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import market_abm

PACKAGE = Path(market_abm.__file__).parent
TRADERS = (
    "agents",
    "arrays",
    "behaviour",
    "bundle",
    "buyers",
    "economy",
    "input_output",
    "markets",
    "model",
    "national",
    "participants",
    "plan",
    "record",
    "simulation",
    "state",
    "technology",
)
FORBIDDEN = ("backprop", "analysis", "explain", "result", "experiment")


def modules() -> dict[str, Path]:
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_of(module: str, path: Path, known: set[str]) -> set[str]:
    """Every module of the package that ``path`` names in an import, anywhere in the file."""
    named: set[str] = set()
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base]).rstrip(".")
            named |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return named & known


def reachable(start: str, files: dict[str, Path]) -> dict[str, str]:
    """Every module that ``start`` can come to by imports, with the one that names it."""
    known, found, stack = set(files), {start: ""}, [start]
    while stack:
        module = stack.pop()
        for named in imports_of(module, files[module], known):
            if named not in found and named != "market_abm":
                found[named] = module
                stack.append(named)
    return found


def is_forbidden(module: str) -> bool:
    return any(
        module == f"market_abm.{name}" or module.startswith(f"market_abm.{name}.")
        for name in FORBIDDEN
    )


TRADING = sorted(
    module
    for module in modules()
    if any(
        module == f"market_abm.{name}" or module.startswith(f"market_abm.{name}.")
        for name in TRADERS
    )
)


def test_the_list_is_about_something():
    assert {"market_abm.agents", "market_abm.markets.unit_bid", "market_abm.model"} <= set(TRADING)
    assert any(is_forbidden(module) for module in modules())


@pytest.mark.parametrize("module", TRADING)
def test_traders_cannot_reach_the_gradient(module):
    found = reachable(module, modules())
    culprits = {name: via for name, via in found.items() if is_forbidden(name)}
    assert not culprits, f"{module} can reach {culprits}"


@pytest.mark.parametrize("module", TRADING)
def test_traders_import_nothing_by_name(module):
    """No importlib, no __import__, no sys.modules: the imports that are read are all there are."""
    source = modules()[module].read_text(encoding="utf-8")
    for word in ("importlib", "__import__", "sys.modules", "import_module", "exec(", "eval("):
        assert word not in source


def test_the_reader_sees_a_forbidden_import(tmp_path):
    """The test can fail: a firm that imports the gradient, even inside a function, is found."""
    agents = tmp_path / "agents.py"
    agents.write_text("def f():\n    from market_abm import backprop\n")
    files = {**modules(), "market_abm.agents": agents}
    assert any(is_forbidden(module) for module in reachable("market_abm.model", files))
    relative = tmp_path / "market.py"
    relative.write_text("from ..analysis import comparison\n")
    files = {**modules(), "market_abm.markets.market": relative}
    assert any(is_forbidden(module) for module in reachable("market_abm.agents", files))


def test_a_running_market_has_loaded_no_gradient():
    """The same at run time: a market that has traded has none of it in memory."""
    code = (
        "import sys\n"
        "from market_abm.program import from_text\n"
        "from market_abm.model import MarketModel\n"
        "model = MarketModel(from_text('y = sqrt(x)', {'x': 4}))\n"
        "model.step()\n"
        f"print([m for m in sys.modules for f in {FORBIDDEN!r} if m.startswith('market_abm.' + f)])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
