"""The functions of the language: their names, and how they are called."""

from __future__ import annotations

import ast
import keyword

from market_abm.errors import ProgramError, nearest
from market_abm.language import expression as ex
from market_abm.language.syntax import unparsed

COMPARISONS: dict[type[ast.AST], str] = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}
"""Comparisons in the conditions of ``where``."""

_MODULES = {"math", "np", "numpy"}
FUNCTIONS = sorted({*ex.FUNCTIONS, *ex.AGGREGATORS, *ex.CHAINS, *ex.BRANCHING})
"""Names of functions."""
_NUMPYS = {
    "arctan": "atan",
    "minimum": "min",
    "maximum": "max",
    "absolute": "abs",
    "fabs": "abs",
}
"""NumPy's names of functions that the language has by another."""

SEVERAL = frozenset([*ex.CHAINS, "min", "max"])
"""Functions of any number of terms."""

RESERVED = frozenset(
    [
        *keyword.kwlist,
        *FUNCTIONS,
        *_MODULES,
        *(key for form in ex.AGGREGATORS.values() for key in (*form.scalars, form.per_input)),
    ]
)
"""Words that are in general no goods."""

_INSTEAD = {
    "leontief": "write min(x/a, y/b)",
    "minimum": "write min(x, y)",
    "maximum": "write max(x, y)",
    "clip": "write min(max(x, low), high)",
    "relu": "write max(x, 0)",
    "sign": "write where(x > 0, 1, -1)",
    "pow": "write x ** y",
}
"""What to write in the place of functions that the language does not have."""


def condition_and_terms(node: ast.Call) -> list[ast.expr]:
    """The two sides of the condition of ``where``, and its two terms."""
    remedy = "write where(x < y, a, b): a where the condition holds, b elsewhere"
    if len(node.args) != 3 or node.keywords:
        count = len(node.args) + len(node.keywords)
        what = f"where() takes a condition and two terms, not {count} arguments"
        raise ProgramError(what, line=node.lineno, name="where", remedy=remedy)
    condition, *terms = node.args
    if not isinstance(condition, ast.Compare) or not {*map(type, condition.ops)} <= {*COMPARISONS}:
        raise ProgramError(
            f"the condition '{unparsed(condition)}' is no comparison by <, <=, > or >=",
            line=node.lineno,
            name="where",
            remedy=remedy,
        )
    if len(condition.ops) > 1:
        raise ProgramError(
            f"the condition '{unparsed(condition)}' compares more than two sides",
            line=node.lineno,
            name="where",
            remedy="put one where() into another: where(0 < x, where(x < 1, a, b), b)",
        )
    return [condition.left, condition.comparators[0], *terms]


def generates(node: ast.Call) -> bool:
    """Whether an argument is a generator."""
    return any(isinstance(each, ast.GeneratorExp) for each in node.args)


def function_name(node: ast.Call) -> str:
    """The language's name of the function that is called.

    Raises
    ------
    ProgramError
        There is none.
    """
    target = node.func
    name = None
    if isinstance(target, ast.Name):
        name = target.id
    elif (
        isinstance(target, ast.Attribute)
        and isinstance(target.value, ast.Name)
        and target.value.id in _MODULES
    ):
        name = _NUMPYS.get(target.attr, target.attr)
    if name is None or name not in FUNCTIONS:
        shown = unparsed(target)
        raise ProgramError(
            f"unknown function '{shown}'",
            line=node.lineno,
            name=shown,
            remedy=_INSTEAD.get(shown) or nearest(shown, FUNCTIONS),
        )
    return name
