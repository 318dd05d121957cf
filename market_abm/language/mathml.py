"""Equations as MathML (W3C, MathML Core), which browsers show without a library.

The markup is escaped and may stand anywhere in an HTML page.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from market_abm.language.expression import AGGREGATORS, COMPARISONS, Expression, postorder
from market_abm.language.printing import number_text

DIGITS = 6
"""Significant digits of a number in a formula."""

MAX_TERMS = 4
"""Terms of a longer sum or product that are shown; the others are counted."""

MAX_LETTERS = 20_000
"""Characters of markup beyond which a formula is left out as illegible."""

_HIDDEN = re.compile("\ue000([^\ue001]*)\ue001")
"""Operators implied by layout (powers, fractions), between private-use characters."""

_PLAIN = re.compile("<m[in]>[^<]*</m[in]>")
"""One name or number."""

_RELATION, _SUM, _SIGN, _PRODUCT, _POWER, _ATOM = 0, 1, 2, 3, 4, 5

_SIGNS = {"<": "&lt;", "<=": "≤", ">": "&gt;", ">=": "≥"}

_Written = tuple[str, int]
"""Markup, and its precedence."""


@dataclass(frozen=True)
class Equation:
    """An equation of two expressions.

    Symbols are names, numbers of inputs (named by ``names``), ``("price", good)``, ``("gradient",
    good)``, ``("own rate", good)``, ``("bid", input, good)``, ``("term", input,
    good)`` (the contribution of one use of a good to its gradient) and ``("slope", good, input)``.
    """

    left: Expression
    right: Expression
    names: Mapping[int, str] = field(default_factory=dict)


def equation(what: Equation, *, legible: bool = False) -> str:
    """The equation as one ``math`` element, or "" if it is longer than ``MAX_LETTERS``.

    Parameters
    ----------
    what
        The equation.
    legible
        Add invisible operators, so that a viewer which drops the markup shows ``x**0.5``, not
        ``x0.5``. They need ``style`` attributes, which not all pages allow.
    """
    left, right = (_formula(side, what.names) for side in (what.left, what.right))
    if left is None or right is None:
        return ""
    shown = r'<mtext style="display:none">\1</mtext>' if legible else ""
    markup = _HIDDEN.sub(shown, f"{left}<mo>=</mo>{right}")
    return f'<math displaystyle="true"><mrow>{markup}</mrow></math>'


def _formula(root: Expression, names: Mapping[int, str]) -> str | None:
    written: dict[int, _Written] = {}
    for node in postorder(root):
        parts = [written[id(argument)] for argument in node.arguments]
        written[id(node)] = markup, _ = _node(node, parts, names)
        if len(markup) > MAX_LETTERS:
            return None
    return written[id(root)][0]


def _node(node: Expression, parts: Sequence[_Written], names: Mapping[int, str]) -> _Written:
    operation = node.operation
    if operation == "number":
        return _number(float(node.payload))
    if operation == "name":
        return _symbol(names.get(node.payload, node.payload)), _ATOM
    if operation in "+-":
        sign, least = ("+", _SUM) if operation == "+" else ("−", _PRODUCT)
        return f"{parts[0][0]}<mo>{sign}</mo>{_second(parts[1], least)}", _SUM
    if operation == "*":
        return f"{_bracketed(parts[0], _SIGN)}<mo>·</mo>{_second(parts[1], _PRODUCT)}", _PRODUCT
    if operation == "/":
        return _fraction(parts[0][0], parts[1][0]), _POWER
    if operation == "neg":
        return f'<mo form="prefix">−</mo>{_second(parts[0], _PRODUCT)}', _SIGN
    if operation == "**":
        return _power(parts[0], parts[1][0]), _POWER
    if operation == "sqrt":
        return f"<msqrt>{_hidden('sqrt(')}{parts[0][0]}{_hidden(')')}</msqrt>", _ATOM
    if operation == "=":
        return f"{parts[0][0]}<mo>=</mo>{parts[1][0]}", _SUM
    if operation == "fixed":
        return _second(parts[0], _PRODUCT) + f"<mo>·</mo>{_second(parts[1], _PRODUCT)}", _PRODUCT
    if operation in AGGREGATORS and operation != "transform":
        return _aggregate(node, parts)
    if operation in COMPARISONS:
        return f"{parts[0][0]}<mo>{_SIGNS[operation]}</mo>{parts[1][0]}", _RELATION
    return _called(operation, [markup for markup, _ in parts]), _ATOM


def _called(operation: str, arguments: Sequence[str]) -> str:
    """A function of these arguments."""
    if operation == "where":
        return _choice(*arguments)
    if operation == "abs":
        return f"<mrow><mo>|</mo>{arguments[0]}<mo>|</mo></mrow>"
    return f"{_function(operation)}<mo>&#x2061;</mo>{_brackets('<mo>,</mo>'.join(arguments))}"


def _choice(condition: str, yes: str, no: str) -> str:
    """Two cases beside a brace."""
    rows = ((yes, f"<mtext>if </mtext>{condition}"), (no, "<mtext>otherwise</mtext>"))
    cells = (f"<mtr><mtd>{_row(a)}</mtd><mtd>{_row(b)}</mtd></mtr>" for a, b in rows)
    return f"<mrow><mo>{{</mo><mtable>{''.join(cells)}</mtable></mrow>"


def _aggregate(node: Expression, parts: Sequence[_Written]) -> _Written:
    """(Σ w x^r)^(1/r) with r = (σ − 1)/σ, and its limit Π x^w where σ is 1."""
    form = AGGREGATORS[node.operation]
    scalars, weights, inputs = form.split_arguments(parts)
    if node.operation == "cobb_douglas" or _is_one(node.arguments[0]):
        powers = [_power(x, w[0]) for w, x in zip(weights, inputs, strict=True)]
        return _elided(powers, "·"), _PRODUCT
    elasticity = node.arguments[0]
    if elasticity.operation == "number":
        sigma = float(elasticity.payload)
        r, _ = _number((sigma - 1.0) / sigma)
        inverse, _ = _number(sigma / (sigma - 1.0))
    else:
        sigma_text, less = scalars[0][0], f"{scalars[0][0]}<mo>−</mo><mn>1</mn>"
        r, inverse = _fraction(less, sigma_text), _fraction(sigma_text, less)
    terms = [
        f"{_bracketed(w, _PRODUCT)}<mo>·</mo>{_power(x, r)}"
        for w, x in zip(weights, inputs, strict=True)
    ]
    return _power((_elided(terms, "+"), _SUM), inverse), _POWER


def _is_one(elasticity: Expression) -> bool:
    return elasticity.operation == "number" and elasticity.payload == 1.0


def _elided(terms: Sequence[str], sign: str) -> str:
    """The terms joined by ``sign``; of many, the first few and the number of the others."""
    shown = list(terms)
    if len(terms) > MAX_TERMS + 1:
        rest = f"<mtext>({len(terms) - MAX_TERMS} more)</mtext>"
        shown = [*terms[:MAX_TERMS], f"<mo>⋯</mo>{rest}"]
    return f"<mo>{sign}</mo>".join(shown)


def _power(base: _Written, exponent: str) -> str:
    raised = exponent if _PLAIN.fullmatch(exponent) else _in_hidden_brackets(exponent)
    return f"<msup>{_row(_bracketed(base, _ATOM))}{_row(_hidden('**') + raised)}</msup>"


def _fraction(above: str, below: str) -> str:
    parts = (p if _PLAIN.fullmatch(p) else _in_hidden_brackets(p) for p in (above, below))
    above, below = parts
    return f"<mfrac>{_row(above)}{_row(_hidden('/') + below)}</mfrac>"


def _in_hidden_brackets(markup: str) -> str:
    return f"{_hidden('(')}{markup}{_hidden(')')}"


def _hidden(text: str) -> str:
    return f"\ue000{text}\ue001"


def _bracketed(part: _Written, least: int) -> str:
    markup, level = part
    return markup if level >= least else _brackets(markup)


def _second(part: _Written, least: int) -> str:
    """An operand after a sign: in brackets if it begins with a sign."""
    return _brackets(part[0]) if part[1] == _SIGN else _bracketed(part, least)


def _brackets(markup: str) -> str:
    return f"<mrow><mo>(</mo>{markup}<mo>)</mo></mrow>"


def _row(markup: str) -> str:
    """A group, where an element takes a fixed number of arguments."""
    return f"<mrow>{markup}</mrow>"


def _function(operation: str) -> str:
    if operation in ("log2", "log10"):
        return f"<msub><mi>log</mi><mn>{operation[3:]}</mn></msub>"
    return f"<mi>{escape(operation)}</mi>"


def _number(value: float) -> _Written:
    """A number to ``DIGITS`` digits, with a power of ten where needed."""
    if not math.isfinite(value):
        return f"<mi>{'no number' if math.isnan(value) else '∞' if value > 0 else '−∞'}</mi>", _ATOM
    text = number_text(value)
    if len(text.lstrip("-")) > DIGITS + 1:
        text = f"{value:.{DIGITS}g}"
    digits, _, exponent = text.lstrip("-").partition("e")
    markup, level = f"<mn>{digits}</mn>", _ATOM
    if exponent:
        power = int(exponent)
        tens = f"<mn>{abs(power)}</mn>" if power >= 0 else f"<mo>−</mo><mn>{abs(power)}</mn>"
        markup += f"<mo>×</mo><msup><mn>10</mn><mrow>{_hidden('**')}{tens}</mrow></msup>"
        level = _PRODUCT
    return (f'<mo form="prefix">−</mo>{markup}', _SIGN) if text.startswith("-") else (markup, level)


def _symbol(symbol: Any) -> str:
    """A name, a price p, a gradient ∂f/∂good, a bid b, or a derivative."""
    if not isinstance(symbol, tuple):
        return f"<mi>{escape(str(symbol))}</mi>"
    kind, *names = symbol
    first, *rest = (f"<mi>{escape(str(each))}</mi>" for each in names)
    if kind == "price":
        return f"<msub><mi>p</mi>{first}</msub>"
    if kind == "own rate":
        return f"<msub><mi>r</mi>{first}</msub>"
    if kind == "bid":
        return f"<msub><mi>b</mi><mrow>{first}<mo>→</mo>{rest[0]}</mrow></msub>"
    if kind == "slope":
        return _derivative(first, rest[0])
    gradient = _derivative("<mi>f</mi>", first)
    if kind == "gradient":
        return gradient
    return f"<msub>{_row(_brackets(gradient))}{rest[0]}</msub>"


def _derivative(of: str, by: str) -> str:
    return f"<mfrac><mrow><mo>∂</mo>{of}</mrow><mrow><mo>∂</mo>{by}</mrow></mfrac>"
