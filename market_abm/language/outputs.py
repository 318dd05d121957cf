"""Lines that make several goods, such as ``(wool, mutton) = transform(sheep, elasticity=2)``.

Such a line becomes that of its *activity*, ``wool+mutton = sheep``, and one for each *output*::

    transform(x, elasticity=η, weights=(w, v, ...))    w^(1/(1+η)) s^(η/(1+η)) of each unit of x
    fixed(x, yields=(a, b, ...))                       a of each unit of x

where s is the share of the activity that goes to the output: constant elasticity of transformation
(A. Powell and F. Gruen, International Economic Review 9, 1968), and fixed proportions.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator, Sequence

from market_abm.errors import ProgramError, nearest
from market_abm.language.syntax import unparsed

KEYWORDS = {"transform": ("elasticity", "weights"), "fixed": ("yields",)}
"""The keywords of the functions of several outputs."""

_EXAMPLES = {
    "transform": "transform(sheep, elasticity=2)",
    "fixed": "fixed(sheep, yields=(2, 3))",
}
_REQUIRED = {"transform": "elasticity", "fixed": "yields"}
_EXAMPLE = f"write (wool, mutton) = {_EXAMPLES['transform']}, or {_EXAMPLES['fixed']}"


def outputs_of(statement: ast.stmt) -> int:
    """The number of outputs of the line that a statement of :func:`single_lines` is of, or 0."""
    return int(getattr(statement, "outputs", 0))


def check_place(node: ast.Call, function: str) -> None:
    """Refuse a function of several outputs anywhere but right of several goods.

    Raises
    ------
    ProgramError
        It stands inside of arithmetic, or right of one good.
    """
    if function in KEYWORDS and not hasattr(node, "outputs"):
        raise ProgramError(
            f"{function}() makes several goods, and '{unparsed(node)}' stands where there is one",
            line=node.lineno,
            name=function,
            remedy=f"write (wool, mutton) = {_EXAMPLES[function]}",
        )


def single_lines(statements: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements, with several lines of one good each for a line of several goods.

    Raises
    ------
    ProgramError
        Several goods are made of anything but such a function, or its arguments are wrong.
    """
    for statement in statements:
        target = statement.targets[0] if isinstance(statement, ast.Assign) else None
        if isinstance(statement, ast.Assign) and isinstance(target, ast.Tuple | ast.List):
            yield from _separated(statement, target.elts)
        else:
            yield statement


def _separated(statement: ast.Assign, goods: Sequence[ast.expr]) -> Iterator[ast.stmt]:
    """The line of the activity, and those of its outputs."""
    call = statement.value
    function = (
        call.func.id if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) else ""
    )
    if not isinstance(call, ast.Call) or function not in KEYWORDS or len(statement.targets) > 1:
        raise ProgramError(
            f"'{unparsed(statement)}' has several goods on the left",
            line=statement.lineno,
            remedy=_EXAMPLE,
        )
    _check_goods(goods, call, function)
    _check_arguments(call, function, len(goods))
    given = {each.arg: each.value for each in call.keywords}
    activity = _activity(goods)
    yield _line(activity, call.args[0], statement)
    for k, good in enumerate(goods):
        own = []
        for key in KEYWORDS[function]:
            value = given.get(key, ast.Constant(1.0 / len(goods)))
            of_output = value.elts[k] if isinstance(value, ast.Tuple | ast.List) else value
            own.append(ast.keyword(key, copy.deepcopy(of_output)))
        part = ast.Call(ast.Name(function, ast.Load()), [copy.deepcopy(activity)], own)
        part.outputs = len(goods)  # type: ignore[attr-defined]
        made = _line(good, part, statement)
        made.outputs = len(goods)  # type: ignore[attr-defined]
        yield made


def _line(good: ast.expr, value: ast.expr, like: ast.stmt) -> ast.Assign:
    made = ast.Assign([copy.deepcopy(good)], value)
    return ast.fix_missing_locations(ast.copy_location(made, like))


def _activity(goods: Sequence[ast.expr]) -> ast.expr:
    """The activity as a good: ``a+b`` of a and b, ``a+b[t]`` of a[t] and b[t]."""
    names, indices = [], dict[str, ast.expr]()
    for good in goods:
        family = good
        if isinstance(good, ast.Subscript):
            inside = good.slice.elts if isinstance(good.slice, ast.Tuple) else [good.slice]
            indices.update((ast.dump(each), each) for each in inside)
            family = good.value
        names.append(unparsed(family))
    name = ast.Name("+".join(names), ast.Store())
    if not indices:
        return name
    several = list(indices.values())
    index = several[0] if len(several) == 1 else ast.Tuple(several, ast.Load())
    return ast.Subscript(name, index, ast.Store())


def _check_goods(goods: Sequence[ast.expr], call: ast.Call, function: str) -> None:
    """Several goods, each once, and none of them in the line's own arithmetic."""
    if len(goods) < 2:
        raise ProgramError(
            f"{function}() makes several goods, and there is one on the left",
            line=call.lineno,
            name=function,
            remedy=f"write (wool, mutton) = {_EXAMPLES[function]}, or good = arithmetic",
        )
    names = [unparsed(good) for good in goods]
    for good, name in zip(goods, names, strict=True):
        family = good.value if isinstance(good, ast.Subscript) else good
        if not isinstance(family, ast.Name):
            raise ProgramError(f"'{name}' is no good", line=call.lineno, remedy=_EXAMPLE)
        if names.count(name) > 1:
            raise ProgramError(
                f"the line makes '{name}' twice",
                line=call.lineno,
                name=name,
                remedy="give each output a name of its own",
            )
    inside = ast.walk(call.args[0]) if call.args else iter(())
    for node in inside:
        if isinstance(node, ast.Name | ast.Subscript) and unparsed(node) in names:
            raise ProgramError(
                f"'{unparsed(node)}' is an output of the line, and an input of it",
                line=call.lineno,
                name=unparsed(node),
                remedy="give the output another name, such as lambs, and add a line that makes "
                f"{unparsed(node)} of it",
            )


def _check_arguments(call: ast.Call, function: str, outputs: int) -> None:
    """One expression, and constants by keyword, one for each output."""
    if len(call.args) != 1 or isinstance(call.args[0], ast.Starred | ast.GeneratorExp):
        raise ProgramError(
            f"{function}() takes one expression, not {len(call.args)}"
            if len(call.args) != 1
            else f"{function}() takes one expression, not '{unparsed(call.args[0])}'",
            line=call.lineno,
            name=function,
            remedy="join inputs first, as in transform(ces(grass, labour, elasticity=0.5), "
            "elasticity=2)"
            if function == "transform"
            else "join inputs first, as in fixed(cows * labour, yields=(2, 3))",
        )
    given = {each.arg: each.value for each in call.keywords}
    for key in given:
        if key not in KEYWORDS[function]:
            raise ProgramError(
                f"{function}() has no '{key or '**'}='",
                line=call.lineno,
                name=function,
                remedy=nearest(str(key), KEYWORDS[function]),
            )
    if _REQUIRED[function] not in given:
        raise ProgramError(
            f"{function}() needs its {_REQUIRED[function]}",
            line=call.lineno,
            name=function,
            remedy=f"write {_EXAMPLES[function]}",
        )
    elasticity = given.get("elasticity")
    if isinstance(elasticity, ast.Constant) and elasticity.value == 0:
        raise ProgramError(
            "the elasticity of transform() is 0",
            line=call.lineno,
            name=function,
            remedy=f"it must be > 0; fixed proportions are {_EXAMPLES['fixed']}",
        )
    *_, key = KEYWORDS[function]
    if key in given:
        value = given[key]
        several = value.elts if isinstance(value, ast.Tuple | ast.List) else [value]
        if len(several) != outputs:
            raise ProgramError(
                f"{function}() has {outputs} outputs and {len(several)} {key}",
                line=call.lineno,
                name=function,
                remedy="give one for each output",
            )
