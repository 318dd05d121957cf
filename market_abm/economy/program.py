"""Text, or a Python function, becomes an economy. The language is that of ``language.parser``."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Mapping
from typing import Any

from market_abm.economy.economy import Economy
from market_abm.economy.industry import Industry
from market_abm.economy.technology import Technology
from market_abm.errors import EconomyError, MarketError, ProgramError, nearest
from market_abm.language.collector import no_collection
from market_abm.language.parser import Line, translate_lines
from market_abm.language.reader import parse, read


@no_collection()
def from_text(
    program: str,
    supply: Mapping[str, Any],
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
        ``population_of``, ``seed``, ``names``.

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
        supply=supply,
        demand=demand,
        parameters=parameters,
        fixed=made.fixed,
        **options,
    )


def from_function(
    function: Callable[..., Any],
    supply: Mapping[str, Any] | None = None,
    demand: Mapping[str, Any] | None = None,
    *,
    parameters: Mapping[str, float] | None = None,
    **options: Any,
) -> Economy:
    """The economy whose industries are the assignments of a Python function.

    The function is read, not called. Its arguments are the raw goods, the names that it returns
    the final goods; numbers of the enclosing scope that it reads are parameters.

    Parameters
    ----------
    function
        A function of assignments ``good = arithmetic`` and a final ``return``.
    supply
        As for :func:`from_text`; by default an argument's default value is its endowment.
    demand, parameters
        As for :func:`from_text`.
    **options
        Those of :meth:`Economy.build`. With ``reuse="copy"`` every line has all of a variable, as
        in Python, and prices are the derivatives of the function; by default (``"rival"``), as in a
        program, lines that read the same variable divide it.

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
        surroundings = inspect.getclosurevars(function)
        around = {**surroundings.globals, **surroundings.nonlocals}
        constants = {k: v for k, v in around.items() if isinstance(v, int | float)}
        lines = translate_lines(body[:-1], {**constants, **(parameters or {})})
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
        supply={**{k: v for k, v in defaults.items() if k in read}, **(supply or {})},
        demand=demand,
        **options,
    )


def read_program(program: str, parameters: Mapping[str, float]) -> list[Industry]:
    """The lines of ``program`` as industries; arguments and errors as for ``language.reader``."""
    return [_industry(line) for line in parse(program, parameters)]


def _industry(line: Line) -> Industry:
    technology = Technology(line.formula, line.inputs, line.parameters)
    return Industry(line.good, technology, line=line.number)


# --- a Python function ---------------------------------------------------------------------------


def _definition(function: Callable[..., Any]) -> tuple[ast.FunctionDef, int]:
    try:
        lines, first_line = inspect.getsourcelines(function)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, TypeError, SyntaxError):
        tree, first_line = ast.Module([], []), 0
    if not tree.body or not isinstance(tree.body[0], ast.FunctionDef):
        raise MarketError(
            f"cannot read the source of {getattr(function, '__name__', function)!r}",
            remedy="define it with 'def' in a file or a notebook cell",
        )
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
