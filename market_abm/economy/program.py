"""Text, or a Python function, becomes an economy. The language is that of ``language.parser``."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from market_abm.economy.arguments import of_members
from market_abm.economy.callables import check_parameters, unwrapped
from market_abm.economy.economy import Economy
from market_abm.economy.industry import Industry
from market_abm.economy.outputs import Output
from market_abm.economy.technology import Technology
from market_abm.economy.tracing import traced_lines
from market_abm.errors import EconomyError, ProgramError, nearest
from market_abm.language.collector import no_collection
from market_abm.language.parser import Line, translate_lines
from market_abm.language.reader import parse, read


@no_collection()
def from_text(
    program: str,
    supply: Mapping[str, Any] | None = None,
    demand: Mapping[str, Any] | None = None,
    *,
    parameters: Mapping[str, float] | None = None,
    **options: Any,
) -> Economy:
    """The economy whose industries are the lines of ``program``.

    Parameters
    ----------
    program
        One line per industry, ``good = arithmetic`` (see ``language/parser.py``), or loops of lines
        (``language/indices.py``).
    supply
        The endowment of each raw good, units per step: a number, or terms
        (:class:`~market_abm.Supply`).
    demand
        The price of each final good, money per unit: a number, or terms
        (:class:`~market_abm.Demand`); 1 by default.
    parameters
        Values of names that are not goods.
    **options
        Those of :meth:`Economy.build`: ``reuse``, ``reuse_of``, ``population``,
        ``population_of``, ``seed``, ``names``, ``households``, ``taxes``, ``numeraire``.

    Raises
    ------
    ProgramError
        The text is not in the language; names the line.
    EconomyError
        The goods do not fit together.
    """
    made = read(program, parameters or {})
    industries = [_industry(line) for line in made.lines]
    return Economy.build(
        industries,
        supply=supply or {},
        demand=demand,
        parameters=parameters,
        fixed=made.fixed,
        **options,
    )


@no_collection()
def from_function(
    function: Callable[..., Any],
    supply: Mapping[str, Any] | None = None,
    demand: Mapping[str, Any] | None = None,
    *,
    parameters: Mapping[str, float] | None = None,
    **options: Any,
) -> Economy:
    """The economy that a Python function is.

    Its arguments are the raw goods, what it returns the final goods. A function of assignments
    ``good = arithmetic`` alone is read as a program, one line an assignment. Any other is traced:
    it is called on stand-ins that note each operation. One operation is one line, and a sum with
    its products is one; branches are those of the starting quantities.

    Parameters
    ----------
    function
        A function of numbers, or of arrays, lists and dicts of numbers, of any shape.
    supply
        The endowment of each argument, of the argument's shape, or terms
        (:class:`~market_abm.Supply`); by default an argument's default value. Elements have the
        names of goods: ``{"x": array, "x[*]": {"kind": "gradient"}}``.
    demand
        As for :func:`from_text`, also by family (``h``) or pattern (``h[*]``).
    parameters
        Values of arguments, or of numbers of the enclosing scope, that are constants and no goods.
    **options
        Those of :meth:`Economy.build`. With ``reuse="copy"`` every line has all of a variable, as
        in Python, and prices are the derivatives of the function; this is the default of a function
        that is traced. By default a function that is read is a program (``"rival"``), and lines
        that read the same variable divide it.

    Raises
    ------
    ProgramError
        The function cannot be traced, or is no function of its arguments; names the line.
    EconomyError
        The goods do not fit together.
    """
    function, parameters = unwrapped(function, parameters or {})
    supply = supply or {}
    check_parameters(function, parameters, supply, [demand, *options.values()])
    if _is_plain(function, supply):
        with suppress(ProgramError):  # it does more than assign arithmetic
            return _read_function(function, supply, demand, parameters, options)
    lines, terms = traced_lines(function, supply, parameters)
    goods = [*terms, *(industry.good for industry in lines.industries)]
    for key in ("reuse_of", "population_of"):
        if key in options:
            options[key] = of_members(options[key], goods)
    return Economy.build(
        lines.industries,
        supply=terms,
        demand=of_members(demand or {}, goods),
        conditions=lines.conditions,
        parameters=parameters,
        fixed=frozenset(parameters),
        **{"reuse": "copy", **options},
    )


def _is_plain(function: Callable[..., Any], supply: Mapping[str, Any]) -> bool:
    """Whether a function is itself in its source, and its arguments are single numbers."""
    if hasattr(function, "__wrapped__"):  # a decorator does more than what it is around
        return False
    parameters = inspect.signature(function).parameters
    quantities = [each["quantity"] for each in supply.values() if "quantity" in _keys(each)]
    defaults = [each.default for each in parameters.values()]
    several = (np.ndarray, list, tuple, dict)
    plain = not any(isinstance(each, several) for each in (*quantities, *defaults))
    return plain and not any(isinstance(v, several) and not _keys(v) for v in supply.values())


def _keys(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _read_function(
    function: Callable[..., Any],
    supply: Mapping[str, Any],
    demand: Mapping[str, Any] | None,
    parameters: Mapping[str, float],
    options: Mapping[str, Any],
) -> Economy:
    """The economy whose industries are the assignments of a function.

    Raises
    ------
    ProgramError
        The function does more than assign arithmetic to new names and return them.
    EconomyError
        The goods do not fit together.
    """
    definition, first_line = _definition(function)
    arguments = [argument.arg for argument in _arguments_of(definition)]
    body = definition.body
    if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        body = body[1:]
    try:
        if not body or not isinstance(body[-1], ast.Return):
            raise ProgramError(
                "the function does not end in a return", remedy="return its final goods by name"
            )
        returned = _returned_names(body[-1])
        _check_names_are_new(body[:-1], arguments)
        surroundings = inspect.getclosurevars(function)
        around = {**surroundings.globals, **surroundings.nonlocals}
        constants = {k: v for k, v in around.items() if isinstance(v, int | float)}
        lines = translate_lines(body[:-1], {**constants, **parameters})
    except ProgramError as error:
        raise error.located(file=f"function {function.__name__}, line {first_line} on") from None
    industries = [_industry(line) for line in lines]
    read = _check_function(industries, arguments, returned)
    defaults = {
        k: p.default
        for k, p in inspect.signature(function).parameters.items()
        if p.default is not inspect.Parameter.empty
    }
    return Economy.build(
        industries,
        supply={**{k: v for k, v in defaults.items() if k in read}, **supply},
        demand=demand,
        **options,
    )


def read_program(program: str, parameters: Mapping[str, float]) -> list[Industry]:
    """The lines of ``program`` as industries; arguments and errors as for ``language.reader``."""
    return [_industry(line) for line in parse(program, parameters)]


def _industry(line: Line) -> Industry:
    technology = Technology(line.formula, line.inputs, line.parameters)
    if line.outputs:
        technology = Output(line.formula, line.inputs, line.parameters, line.outputs)
    return Industry(line.good, technology, line=line.number)


# --- a Python function ---------------------------------------------------------------------------


def _definition(function: Callable[..., Any]) -> tuple[ast.FunctionDef, int]:
    try:
        lines, first_line = inspect.getsourcelines(function)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, TypeError, SyntaxError, IndexError):
        tree, first_line = ast.Module([], []), 0
    if not tree.body or not isinstance(tree.body[0], ast.FunctionDef):
        raise ProgramError("the function's source cannot be read")
    return tree.body[0], first_line


def _check_function(
    industries: list[Industry], arguments: list[str], returned: list[str]
) -> set[str]:
    """The goods that the function reads; every good must have a source and a use."""
    made = {industry.good for industry in industries}
    read = {good for industry in industries for good in industry.technology.inputs}
    for good in sorted(read - made - set(arguments)):
        raise EconomyError(
            f"'{good}' is neither assigned, nor an argument, nor a number of the enclosing scope",
            remedy=nearest(good, [*made, *arguments]),
            name=good,
        )
    for good in sorted(set(returned) - made | (made - read - set(returned))):
        what = "returned but not assigned" if good in returned else "assigned but never used"
        raise EconomyError(
            f"'{good}' is {what}", remedy="return the final goods by name, and nothing else"
        )
    for good in sorted(read & set(returned)):
        raise EconomyError(
            f"'{good}' is returned and also used by another line",
            remedy=f"sell it through a separate line, such as: {good}_sold = {good}",
        )
    return read


def _check_names_are_new(statements: list[ast.stmt], arguments: list[str]) -> None:
    """Refuse to read assignments to a name that has a value: there it changes, as in no program."""
    known = set(arguments)
    for statement in statements:
        for target in statement.targets if isinstance(statement, ast.Assign) else ():
            name = target.id if isinstance(target, ast.Name) else ""
            if name in known:
                raise ProgramError(f"'{name}' is assigned again", line=statement.lineno)
            known.add(name)


def _arguments_of(definition: ast.FunctionDef) -> list[ast.arg]:
    arguments = definition.args
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]


def _returned_names(statement: ast.Return) -> list[str]:
    value = statement.value
    elements = value.elts if isinstance(value, ast.Tuple | ast.List) else [value]
    names = [element.id for element in elements if isinstance(element, ast.Name)]
    if len(names) != len(elements):
        raise ProgramError(
            "the function returns an expression",
            line=statement.lineno,
            remedy="assign it to a name, and return the name",
        )
    return names
