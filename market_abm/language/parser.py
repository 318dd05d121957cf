"""The language of programs: text becomes expressions, and nothing is executed.

One line per industry::

    ethylene     = natgas ** 0.5          # a comment
    polyethylene = 1 - 1/(ethylene + 1)
    tupperware   = ln(polyethylene)

Operators ``+ - * / **``, parentheses (inside which a line may be broken), numbers, the functions of
``expression.FUNCTIONS``, and two production functions of several inputs::

    ces(x, y, ..., elasticity=0.5, weights=(0.3, 0.7))        (Σ w x^((σ-1)/σ))^(σ/(σ-1))
    cobb_douglas(x, y, ..., exponents=(0.3, 0.7))             Π x^a

whose keyword values are numbers or arithmetic on named parameters. Weights and exponents are equal
with sum 1 by default; the weights of ``ces`` must sum to 1, and at ``elasticity=1`` it is Cobb-
Douglas. ``sum``, ``prod``, ``min`` and ``max`` take several terms, ``abs`` one, and
``where(x < y, a, b)`` a comparison by ``<``, ``<=``, ``>`` or ``>=``, and two terms. Goods may
have indices (``language/indices.py``). Python's parser reads the text, and a whitelist of its
syntax is translated.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from market_abm.errors import ProgramError, SettingError, nearest
from market_abm.fields import check_number
from market_abm.language import expression as ex
from market_abm.language.calls import (
    COMPARISONS,
    FUNCTIONS,
    SEVERAL,
    condition_and_terms,
    function_name,
    generates,
)
from market_abm.language.constants import check_positive, check_sum, entry_of
from market_abm.language.index_arithmetic import Indices
from market_abm.language.outputs import check_place, outputs_of, single_lines
from market_abm.language.syntax import unparsed

_OPERATORS: dict[type[ast.AST], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.Pow: "**",
}

# --- from text to lines --------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """One line of a program, ``good = formula``.

    ``formula`` refers to input k by the symbol k and to parameters by name; ``inputs`` names the
    goods, each once, however often the line reads it; ``parameters`` holds the values of the
    parameters that are used; ``number`` counts from 1. An output of a line that makes several has
    their number in ``outputs``.
    """

    good: str
    formula: ex.Expression
    inputs: tuple[str, ...]
    parameters: Mapping[str, float]
    number: int
    outputs: int = 0


Written = tuple[Any, int, float]
"""A number of a formula: its value, the column where it is written, and the sign before it.

The column of the k-th number that depends on indices is -1 - k.
"""


def translate_lines(statements: Sequence[ast.stmt], parameters: Mapping[str, float]) -> list[Line]:
    """The lines that these Python statements are; errors as for ``reader.parse``."""
    parameters = checked(parameters)
    return [translate_line(each, parameters)[0] for each in single_lines(statements)]


def checked(parameters: Mapping[str, float]) -> dict[str, float]:
    """The values of parameters; each must be a finite number."""
    return {key: check_number(value, f"parameter '{key}'") for key, value in parameters.items()}


def translate_line(
    statement: ast.stmt, parameters: Mapping[str, float], indices: Indices | None = None
) -> tuple[Line, dict[int, Written]]:
    """The line that a statement is, and the numbers in its formula, by the ``id`` of the value.

    Without ``indices``, it has no indices.
    """
    indices = indices or Indices(parameters)
    target, value = assigned(statement)
    indices.written = 0
    translator = _Translator(parameters, indices)
    good = target.id if isinstance(target, ast.Name) else translator.member(target)
    for taken, what in ((FUNCTIONS, "a function"), (parameters, "a parameter")):
        if good.partition("[")[0] in taken:
            raise ProgramError(
                f"'{good}' is the name of {what}",
                line=statement.lineno,
                name=good,
                remedy="give the good another name",
            )
    formula = translator.translate(value)
    used = {
        node.payload
        for node in (ex.postorder(formula) if parameters else ())
        if node.operation == "name" and isinstance(node.payload, str)
    }
    line = Line(
        good,
        formula,
        tuple(translator.inputs),
        {key: parameters[key] for key in sorted(used)},
        statement.lineno,
        outputs_of(statement),
    )
    return line, translator.numbers


def assigned(statement: ast.stmt) -> tuple[ast.Name | ast.Subscript, ast.expr]:
    """The good and the formula of a line.

    Raises
    ------
    ProgramError
        The statement is no line.
    """
    target = statement.targets[0] if isinstance(statement, ast.Assign) else None
    if not (
        isinstance(statement, ast.Assign)
        and len(statement.targets) == 1
        and isinstance(target, ast.Name | ast.Subscript)
    ):
        raise ProgramError(
            f"'{unparsed(statement)}' is not a line of production",
            line=statement.lineno,
            remedy="write 'good = arithmetic'",
        )
    return target, statement.value


# --- from a syntax tree to an expression ---------------------------------------------------------


class _Translator:
    """Translates Python's syntax tree to an Expression, by a whitelist, without recursion."""

    def __init__(self, parameters: Mapping[str, float], indices: Indices) -> None:
        self.parameters, self.indices = parameters, indices
        self.inputs: dict[str, ex.Expression] = {}
        self.numbers: dict[int, Written] = {}

    def translate(self, root: ast.expr) -> ex.Expression:
        """The expression for ``root``; ``self.inputs`` collects its goods, in order, as names."""
        results: list[ex.Expression] = []
        stack: list[tuple[ast.expr, bool]] = [(root, False)]
        while stack:
            node, expanded = stack.pop()
            is_leaf = isinstance(node, ast.Name | ast.Constant) or id(node) in self.indices.numbers
            children = [] if is_leaf else self._children(node)
            if expanded or not children:
                count = len(children)
                arguments = tuple(results[len(results) - count :])
                del results[len(results) - count :]
                results.append(self._build(node, arguments))
            else:
                stack.append((node, True))
                stack.extend((child, False) for child in reversed(children))
        return results[0]

    def _children(self, node: ast.expr) -> list[ast.expr]:
        if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
            return [node.left, node.right]
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            return [node.operand]
        if isinstance(node, ast.Call):
            if function_name(node) == "where":
                return condition_and_terms(node)
            return [] if generates(node) else node.args
        if id(node) in self.indices.goods:
            return []
        remedy = "use numbers, names, + - * / **, parentheses and functions"
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitXor):
            remedy = "write ** for powers"
        if isinstance(node, ast.Compare | ast.BoolOp):
            remedy = "write a condition as where(x < y, a, b)"
        if isinstance(node, ast.IfExp):
            remedy = "write where(x < y, a, b)"
        if isinstance(node, ast.Tuple):
            remedy = "write numbers with a decimal point, and one good per line"
        raise ProgramError(f"'{unparsed(node)}' is not arithmetic", line=node.lineno, remedy=remedy)

    def _build(self, node: ast.expr, arguments: tuple[ex.Expression, ...]) -> ex.Expression:
        if id(node) in self.indices.numbers:
            self.indices.written += 1
            value = self.indices.numbers[id(node)](self.indices.turn)
            return self._written(value, -self.indices.written, 1.0)
        if isinstance(node, ast.Constant):
            return self._number(node)
        if isinstance(node, ast.Name):
            return self._name(node)
        if isinstance(node, ast.Subscript):
            return self._input(self.member(node))
        if isinstance(node, ast.BinOp):
            return ex.Expression(_OPERATORS[type(node.op)], arguments)
        if isinstance(node, ast.UnaryOp):
            return arguments[0] if isinstance(node.op, ast.UAdd) else self._negative(arguments[0])
        assert isinstance(node, ast.Call)
        if function_name(node) == "where":
            return self._choice(node, arguments)
        return self._call(node, arguments)

    def _choice(self, node: ast.Call, arguments: tuple[ex.Expression, ...]) -> ex.Expression:
        """``where``, whose condition's sides are the first two arguments."""
        assert isinstance(node.args[0], ast.Compare)
        condition = COMPARISONS[type(node.args[0].ops[0])]
        return ex.Expression("where", (ex.Expression(condition, arguments[:2]), *arguments[2:]))

    def _number(self, node: ast.Constant) -> ex.Expression:
        if isinstance(node.value, bool) or not isinstance(node.value, int | float):
            raise ProgramError(
                f"'{unparsed(node)}' is not a number", line=node.lineno, remedy="write a number"
            )
        try:
            value = check_number(node.value, "the number")
        except SettingError:
            raise ProgramError(
                f"the number {unparsed(node)} is too large",
                line=node.lineno,
                remedy="keep numbers below 1e308",
            ) from None
        return self._written(value, node.col_offset, 1.0)

    def _written(self, value: float, column: int, sign: float) -> ex.Expression:
        constant = ex.number(value)
        self.numbers[id(constant.payload)] = constant.payload, column, sign
        return constant

    def _negative(self, argument: ex.Expression) -> ex.Expression:
        if argument.operation == "number":
            value, column, sign = self.numbers[id(argument.payload)]
            return self._written(-value, column, -sign)
        return ex.Expression("neg", (argument,))

    def _name(self, node: ast.Name) -> ex.Expression:
        if node.id in self.parameters:
            return ex.name(node.id)
        if node.id in FUNCTIONS:
            raise ProgramError(
                f"'{node.id}' is a function",
                line=node.lineno,
                name=node.id,
                remedy=f"write {node.id}(...), or give the good another name",
            )
        return self._input(node.id)

    def _input(self, good: str) -> ex.Expression:
        return self.inputs.setdefault(good, ex.name(len(self.inputs)))

    def member(self, node: ast.Subscript) -> str:
        """The good of a family that a node names now."""
        if id(node) not in self.indices.goods:
            raise ProgramError(
                f"'{unparsed(node)}' is not arithmetic", line=node.lineno, remedy="use plain names"
            )
        family = node.value.id if isinstance(node.value, ast.Name) else ""
        if family in self.parameters or family in FUNCTIONS:
            what = "a parameter" if family in self.parameters else "a function"
            raise ProgramError(
                f"'{family}' is {what}, and has no index",
                line=node.lineno,
                name=family,
                remedy="give the good another name",
            )
        return str(self.indices.goods[id(node)](self.indices.turn))

    def _generated(self, nodes: Sequence[ast.expr]) -> Iterator[ast.expr]:
        """The nodes, each as often as it has turns; they are translated before the next turn."""
        for node in nodes:
            if not isinstance(node, ast.GeneratorExp):
                yield node
                continue
            is_empty = True
            for _ in self.indices.turns(node):
                is_empty = False
                yield node.elt
            if is_empty:
                raise ProgramError(
                    f"'{unparsed(node)}' has no term, as its range is empty",
                    line=node.lineno,
                    remedy="let its range hold a number, or shorten the loop around it",
                )

    def _call(self, node: ast.Call, arguments: tuple[ex.Expression, ...]) -> ex.Expression:
        function = function_name(node)
        check_place(node, function)
        if node.args and not arguments:
            arguments = tuple(self.translate(each) for each in self._generated(node.args))
        form = ex.AGGREGATORS.get(function)
        known = (*form.scalars, form.per_input) if form else ()
        keywords = {keyword.arg: keyword.value for keyword in node.keywords}
        for key in keywords:
            if key not in known:
                raise ProgramError(
                    f"{function}() has no '{key or '**'}='",
                    line=node.lineno,
                    name=function,
                    remedy=nearest(str(key), known),
                )
        if form is not None:
            return self._aggregate(node, form, arguments, keywords)
        several = function in SEVERAL
        if (len(node.args) < 2 and not generates(node)) if several else len(arguments) != 1:
            terms = f"write {function}(x[i] for i in 1..n), or several terms"
            raise ProgramError(
                f"{function}() takes {'several terms' if several else 'one argument'}, "
                f"not {len(arguments)}",
                line=node.lineno,
                name=function,
                remedy=terms if several else f"write {function}(x)",
            )
        if function in ex.CHAINS:
            operation = ex.CHAINS[function]
            return reduce(lambda a, b: ex.Expression(operation, (a, b)), arguments)
        return ex.Expression(function, arguments)

    def _aggregate(
        self,
        node: ast.Call,
        form: ex.Aggregator,
        arguments: tuple[ex.Expression, ...],
        keywords: Mapping[str | None, ast.expr],
    ) -> ex.Expression:
        function = function_name(node)
        if not arguments:
            raise ProgramError(
                f"{function}() has no inputs", line=node.lineno, name=function, remedy="name some"
            )
        for key in form.scalars:
            if key not in keywords:
                raise ProgramError(
                    f"{function}() needs its {key}",
                    line=node.lineno,
                    name=function,
                    remedy=f"write {function}(..., {key}=0.5)",
                )
        scalars = [self._constant(keywords[key], key) for key in form.scalars]
        per_input = self._constants(node, form.per_input, keywords, len(arguments))
        check_sum(per_input, function, self.parameters, node.lineno)
        return ex.Expression(function, (*scalars, *per_input, *arguments))

    def _constants(
        self, node: ast.Call, key: str, keywords: Mapping[str | None, ast.expr], count: int
    ) -> list[ex.Expression]:
        """One positive number (or arithmetic on parameters) for each of ``count`` inputs."""
        if key not in keywords:
            return [ex.number(1.0 / count)] * count
        value = keywords[key]
        given = value.elts if isinstance(value, ast.Tuple | ast.List) else [value]
        made = [self._constant(each, entry_of(key)) for each in self._generated(given)]
        if len(made) != count:
            raise ProgramError(
                f"{function_name(node)}() has {count} inputs and {len(made)} {key}",
                line=node.lineno,
                remedy="give one for each input",
            )
        return made

    def _constant(self, node: ast.expr, what: str) -> ex.Expression:
        inner = _Translator(self.parameters, self.indices)
        constant = inner.translate(node)
        self.numbers |= inner.numbers
        for good in inner.inputs:
            raise ProgramError(
                f"'{good}' is not a parameter, and {what} cannot depend on goods",
                line=node.lineno,
                remedy=nearest(good, self.parameters),
            )
        check_positive(constant, what, self.parameters, node.lineno)
        return constant
