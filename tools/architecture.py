"""Measure the architecture of a package: its folders, imports, mechanisms and long functions.

Usage: python tools/architecture.py [--list] [PATH_TO_PACKAGE]   (default: market_abm here)

Works on any checkout of the repository, so that a change can be compared with what was before:

    git worktree add ../before COMMIT
    python tools/architecture.py ../before/market_abm
"""

from __future__ import annotations

import argparse
import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import grimp
import networkx as nx

Function = ast.FunctionDef | ast.AsyncFunctionDef

ROOT = Path(__file__).parent.parent
LONG_MODULE, LONG_FUNCTION = 450, 60


class Length(NamedTuple):
    """A module or a function, as ``folder/file.py`` or ``folder/file.py::name``, and its lines."""

    lines: int
    name: str


def sources(package: Path) -> dict[str, Path]:
    """The files of a package, by ``folder/file.py``."""
    return {path.relative_to(package).as_posix(): path for path in sorted(package.rglob("*.py"))}


def parse(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


# --- lengths --------------------------------------------------------------------------------------


def module_lengths(package: Path) -> list[Length]:
    """Every module and its lines, the longest first."""
    found = [
        Length(len(path.read_text(encoding="utf-8").splitlines()), name)
        for name, path in sources(package).items()
    ]
    return sorted(found, reverse=True)


def function_lengths(package: Path) -> list[Length]:
    """Every function and its lines, without decorators and docstring, the longest first."""
    found = []
    for name, path in sources(package).items():
        for node, qualified in _functions(parse(path), ""):
            found.append(Length(_lines(node), f"{name}::{qualified}"))
    return sorted(found, reverse=True)


def _functions(node: ast.AST, prefix: str) -> Iterator[tuple[Function, str]]:
    for child in ast.iter_child_nodes(node):
        inner = prefix
        if isinstance(child, Function | ast.ClassDef):
            inner = f"{prefix}{child.name}."
        if isinstance(child, Function):
            yield child, prefix + child.name
        yield from _functions(child, inner)


def _lines(node: Function) -> int:
    docstring = _docstring(node)
    return _extent(node) - (_extent(docstring) if docstring else 0)


def _extent(node: ast.stmt | ast.expr) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def _docstring(node: ast.AST) -> ast.Constant | None:
    """The string that is the docstring of a module, class or function."""
    if not isinstance(node, ast.Module | ast.ClassDef | Function) or not node.body:
        return None
    first = node.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        return first.value if isinstance(first.value.value, str) else None
    return None


# --- imports --------------------------------------------------------------------------------------


def import_graph(package: Path) -> nx.DiGraph:
    """Which module imports which; imports in functions and for types are included."""
    sys.path.insert(0, str(package.parent))
    try:
        graph = grimp.build_graph(package.name, cache_dir=None)
    finally:
        sys.path.remove(str(package.parent))
    edges = nx.DiGraph()
    edges.add_nodes_from(graph.modules)
    for module in graph.modules:
        edges.add_edges_from(
            (module, other) for other in graph.find_modules_directly_imported_by(module)
        )
    return edges


def circles(graph: nx.DiGraph) -> list[list[str]]:
    """The sets of modules that import each other in a circle, the largest first."""
    found = [sorted(each) for each in nx.strongly_connected_components(graph) if len(each) > 1]
    return sorted(found, key=lambda each: (-len(each), each))


def layers(package: Path) -> list[str] | None:
    """The folders from top to bottom, as the checkout's pyproject.toml orders them."""
    text = (package.parent / "pyproject.toml").read_text(encoding="utf-8")
    contracts = tomllib.loads(text)["tool"].get("importlinter", {}).get("contracts", [])
    return next((each["layers"] for each in contracts if each["type"] == "layers"), None)


def upward_imports(graph: nx.DiGraph, order: list[str]) -> list[str]:
    """The imports of a folder by one that stands below it."""

    def height(module: str) -> int | None:
        folder = module.split(".")[1] if "." in module else None
        return -order.index(folder) if folder in order else None

    found = []
    for module, other in sorted(graph.edges):
        low, high = height(module), height(other)
        if low is not None and (high is None or high > low):
            found.append(f"{module} -> {other}")
    return found


# --- mechanisms -----------------------------------------------------------------------------------


def registry(package: Path, name: str) -> tuple[str | None, dict[str, str]]:
    """The file with ``name = {"key": Class, ...}``, and the names of the classes by key."""
    for file, path in sources(package).items():
        for node in parse(path).body:
            if not isinstance(node, ast.Assign | ast.AnnAssign):
                continue
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if isinstance(node.value, ast.Dict) and name in map(ast.unparse, targets):
                pairs = zip(node.value.keys, node.value.values, strict=True)
                return file, {ast.literal_eval(k): ast.unparse(v) for k, v in pairs if k}
    return None, {}


def class_files(package: Path) -> dict[str, str]:
    """The file that defines each class."""
    return {
        node.name: file
        for file, path in sources(package).items()
        for node in parse(path).body
        if isinstance(node, ast.ClassDef)
    }


def mechanism_mentions(package: Path) -> list[str]:
    """Where a mechanism is mentioned outside its own file, the registries and its twin.

    A mention is a string that equals its key, or its class (imports not counted).
    """
    mechanisms_file, mechanisms = registry(package, "MECHANISMS")
    twins_file, twins = registry(package, "TWINS")
    homes = class_files(package)
    own = {key: {homes[name], mechanisms_file, twins_file} for key, name in mechanisms.items()}
    for key, name in twins.items():
        own[key].add(homes[name])
    by_name = {name: key for key, name in mechanisms.items()} | {key: key for key in mechanisms}
    found = []
    for file, path in sources(package).items():
        for node in _expressions(parse(path)):
            mentioned = _mechanism(node, by_name)
            if mentioned and file not in own[mentioned]:
                found.append(f"{file}:{node.lineno}: {mentioned}")
    return found


def _mechanism(node: ast.AST, by_name: dict[str, str]) -> str | None:
    """The key of the mechanism that a string, a name or an attribute mentions."""
    if isinstance(node, ast.Constant):
        return by_name.get(node.value) if isinstance(node.value, str) else None
    if isinstance(node, ast.Name):
        return by_name.get(node.id)
    return by_name.get(node.attr) if isinstance(node, ast.Attribute) else None


def _expressions(tree: ast.Module) -> Iterator[ast.expr]:
    """The expressions of a file, docstrings left out."""
    docstrings = {id(_docstring(node)) for node in ast.walk(tree)}
    for node in ast.walk(tree):
        if isinstance(node, ast.expr) and id(node) not in docstrings:
            yield node


# --- the table ------------------------------------------------------------------------------------


def measure(package: Path) -> list[tuple[str, str, list[str]]]:
    """What is measured, the number, and what was counted."""
    graph = import_graph(package)
    order = layers(package)
    in_circles = circles(graph)
    upward = upward_imports(graph, order) if order else []
    mentions = mechanism_mentions(package)
    modules, functions = module_lengths(package), function_lengths(package)
    roots = [path.name for path in sorted(package.glob("*.py"))]
    long_modules = [each for each in modules if each.lines > LONG_MODULE]
    long_functions = [each for each in functions if each.lines > LONG_FUNCTION]
    sizes = ", ".join(str(len(each)) for each in in_circles)
    return [
        ("modules", str(len(modules)), []),
        ("modules in the root", str(len(roots)), roots),
        (
            "import circles",
            f"{len(in_circles)} (of {sizes} modules)" if in_circles else "0",
            [" ".join(each) for each in in_circles],
        ),
        ("imports that run upward", str(len(upward)) if order else "no order given", upward),
        ("mentions of a mechanism elsewhere", str(len(mentions)), mentions),
        (f"modules over {LONG_MODULE} lines", str(len(long_modules)), _shown(long_modules)),
        ("longest module", _one(modules[0]), []),
        (f"functions over {LONG_FUNCTION} lines", str(len(long_functions)), _shown(long_functions)),
        ("longest function", _one(functions[0]), []),
    ]


def _one(length: Length) -> str:
    return f"{length.lines} ({length.name})"


def _shown(lengths: list[Length]) -> list[str]:
    return [_one(each) for each in lengths]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("package", nargs="?", type=Path, default=ROOT / "market_abm")
    parser.add_argument("--list", action="store_true", help="list what was counted, too")
    asked = parser.parse_args()
    for name, value, counted in measure(asked.package.resolve()):
        print(f"{name:36} {value}")
        if asked.list:
            print(*(f"    {each}" for each in counted), sep="\n", end="\n" if counted else "")


if __name__ == "__main__":
    main()
