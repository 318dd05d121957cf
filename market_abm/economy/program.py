"""Text, or a Python function, becomes an economy. Nothing that is read is ever executed.

The language, one line an industry::

    ethylene     = natgas ** 0.5          # a comment
    polyethylene = 1 - 1/(ethylene + 1)
    tupperware   = ln(polyethylene)

Operators ``+ - * / **``, parentheses (inside which a line may be broken), numbers, the functions of
``expression.FUNCTIONS``, and two production functions of several inputs::

    ces(x, y, ..., elasticity=0.5, weights=(0.3, 0.7))        (Σ w x^((σ-1)/σ))^(σ/(σ-1))
    cobb_douglas(x, y, ..., exponents=(0.3, 0.7))             Π x^a

whose keyword values are numbers or arithmetic on named parameters. Weights and exponents are equal
and sum to 1 unless given; the weights of ``ces`` must sum to 1, and at ``elasticity=1`` it is Cobb-
Douglas. The text is read with Python's own parser and then translated from a whitelist of syntax.
"""

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
from market_abm.fields import check_number
from market_abm.language import expression as ex
from market_abm.language.parser import (
    _FUNCTIONS,
    MAX_PROGRAM_LENGTH,
    _parsed,
    _Translator,
    _unparsed,
)


def from_text(
    program: str,
    supply: Mapping[str, Any],
    demand: Mapping[str, Any] | None = None,
    *,
    parameters: Mapping[str, float] | None = None,
    **options: Any,
) -> Economy:
    """The economy whose industries are the lines of ``program``.

    ``supply`` gives the endowment of each raw good (units a step), ``demand`` the price of each
    final good (1 unless given), ``parameters`` the value of names that are no goods. ``options``
    are those of :meth:`Economy.build`: ``reuse``, ``reuse_of``, ``population``,
    ``population_of``, ``seed``.

    Raises:
        ProgramError: the text is not in the language; names the line.
        EconomyError: the goods do not fit together.
    """
    industries = read_program(program, parameters or {})
    return Economy.build(industries, supply=supply, demand=demand, **options)


def from_function(
    function: Callable[..., Any],
    supply: Mapping[str, Any] | None = None,
    demand: Mapping[str, Any] | None = None,
    *,
    parameters: Mapping[str, float] | None = None,
    reuse: str = "copy",
    **options: Any,
) -> Economy:
    """The economy whose industries are the assignment lines of an ordinary Python function.

    The function's arguments are the raw goods (an argument's default is its endowment where
    ``supply`` gives none), the names that it returns the final goods; plain numbers that it reads
    from around it are parameters. It is read, not called. ``reuse`` is ``"copy"`` unless given,
    because reading a variable twice in Python uses nothing up: so prices become the derivatives of
    the function as Python computes it.

    Raises:
        ProgramError: the function does more than assign arithmetic to new names and return them.
        EconomyError: the goods do not fit together.
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
        industries = _industries(body[:-1], {**constants, **(parameters or {})})
    except ProgramError as error:
        raise error.located(file=f"function {function.__name__}, line {first_line} on") from None
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
        reuse=reuse,
        **options,
    )


def read_program(program: str, parameters: Mapping[str, float]) -> list[Industry]:
    """The lines of ``program`` as industries, in its order, line numbers counted from 1.

    The program may be indented as a whole.

    Raises:
        ProgramError: the text is not in the language; names the line.
    """
    if len(program) > MAX_PROGRAM_LENGTH:
        raise ProgramError(
            f"the program has {len(program):,} characters",
            remedy=f"keep it below {MAX_PROGRAM_LENGTH:,}",
        )
    return _industries(_parsed(textwrap.dedent(program)).body, parameters)


def _industries(statements: list[ast.stmt], parameters: Mapping[str, float]) -> list[Industry]:
    parameters = {
        key: check_number(value, f"parameter '{key}'") for key, value in parameters.items()
    }
    return [_industry(statement, parameters) for statement in statements]


def _industry(statement: ast.stmt, parameters: Mapping[str, float]) -> Industry:
    target = statement.targets[0] if isinstance(statement, ast.Assign) else None
    if not (
        isinstance(statement, ast.Assign)
        and len(statement.targets) == 1
        and isinstance(target, ast.Name)
    ):
        raise ProgramError(
            f"'{_unparsed(statement)}' is not a line of production",
            line=statement.lineno,
            remedy="write 'good = arithmetic'",
        )
    good = target.id
    for taken, what in ((_FUNCTIONS, "a function"), (parameters, "a parameter")):
        if good in taken:
            raise ProgramError(
                f"'{good}' is the name of {what}",
                line=statement.lineno,
                name=good,
                remedy="give the good another name",
            )
    translator = _Translator(parameters)
    formula = translator.translate(statement.value)
    used = {
        node.payload
        for node in ex.postorder(formula)
        if node.operation == "name" and isinstance(node.payload, str)
    }
    technology = Technology(
        formula, tuple(translator.inputs), {k: parameters[k] for k in sorted(used)}
    )
    return Industry(good, technology, line=statement.lineno)


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
    """The goods that a function's lines read, if it says where all come from and where they go."""
    made = {industry.good for industry in industries}
    read = {good for industry in industries for good in industry.technology.inputs}
    for good in sorted(read - made - set(arguments)):
        raise EconomyError(
            f"'{good}' is neither assigned, nor an argument, nor a number around the function",
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
            remedy=f"sell it through a line of its own, such as: {good}_sold = {good}",
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
