"""Experiment files as nobody should write them: mutations of the package's own, random programs."""

import re
from functools import cache
from typing import Any

from hypothesis import strategies as st

from market_abm.experiment.files import available

EXTREME = (
    *("0", "-0.0", "1", "-1", "2", "3", "0.5", "1e-3", "1e3", "-1e3", "1e9", "0.999999999"),
    *("1e-308", "1e308", "-1e308", "1e154", "1e-154", "5e-324", "1e16", "inf", "-inf", "nan"),
    *("9223372036854775807", "9223372036854775808", "1e400", "9**9**9", "true", "''", "[]", "{}"),
)
"""Numbers, and what stands where one should."""

PIECES = (
    *("$", "%", '"', "'", '"""', "#", "=", "[", "]", "{", "}", "(", ")", ",", ".", ":", "@", "\\"),
    *("\n", "\t", "\r", "\x00", "\x1b[31m", "\u00a0", "\ufeff", "\u202e", "été", "日本", "[/b]"),
    *(
        "**",
        "/",
        "-",
        "lambda",
        "yield",
        "__import__('os')",
        "x",
        "y",
        "ln(",
        "ces(",
        "elasticity=",
    ),
    *("0", "1e308", "(" * 300, "[" * 300, "-" * 300, "a" * 3000, "9" * 5000),
)
"""Pieces of text to put anywhere."""

KEYS = (
    *(
        "market.mechanism",
        "market.activation",
        "market.lag",
        "market.bid_rate",
        "market.share_rate",
    ),
    *("market.price_rate", "market.order_rate", "market.stock_weight", "market.spoilage"),
    *("market.auction_rate", "market.start_price", "market.output_rate", "market.wage_rate"),
    *("run.engine", "run.tolerance", "run.seed", "run.steps", "record.every", "record.goods"),
    *("industries.firms", "industries.weights", "industries.productivity", "industries.bid_noise"),
    *("industries.weight_spread", "industries.productivity_spread", "industries.start"),
    *("industries.conduct", "economy.reuse", "economy.parameters", "economy.program", "question"),
    *("supply.x.quantity", "supply.x.price", "supply.x.elasticity", "supply.x.adjustment"),
    *("supply.x.kind", "supply.x.rate", "demand.y.price", "demand.y.elasticity"),
    *(
        "demand.y.quantity",
        "demand.y.form",
        "reuse.x",
        "shocks",
        "sweep.axes",
        "sweep",
        "mechanisms",
    ),
)
"""Keys to set, known and unknown; ``x`` and ``y`` are goods of many experiments."""

CHOICES = (
    *("unit-bid", "trading-post", "tatonnement", "posted-price", "excess-demand"),
    *("sequential", "random", "arrays", "agents", "copy", "external", "cournot", "gradient"),
    *("linear", "isoelastic", "elastic"),
)

NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d*)?(?:[eE][-+]?\d+)?")
TOKEN = re.compile(r"\w+|[^\w\s]|\n")


@cache
def own_texts() -> tuple[str, ...]:
    """The package's experiments, but those that take long."""
    return tuple(path.read_text("utf-8") for path in available().values())


@st.composite
def settings_of_keys(draw: Any) -> list[str]:
    """Overrides as on a command line: known keys with extreme numbers, choices or text."""
    values = st.sampled_from((*EXTREME, *CHOICES)) | st.text(max_size=8)
    pairs = draw(st.lists(st.tuples(st.sampled_from(KEYS), values), max_size=3))
    return [f"{key}={value}" for key, value in pairs]


def _replaced(draw: Any, text: str, found: list[re.Match[str]], by: str) -> str:
    if not found:
        return text
    place = draw(st.sampled_from(found))
    return text[: place.start()] + by + text[place.end() :]


@st.composite
def mutated_texts(draw: Any, most: int = 3) -> str:
    """An experiment of the package with a few mutations of its text."""
    text = draw(st.sampled_from(own_texts()))
    for _ in range(draw(st.integers(1, most))):
        kind = draw(st.sampled_from(("number", "number", "number", "token", "line", "piece")))
        if kind == "number":
            by = draw(st.sampled_from(EXTREME))
            text = _replaced(draw, text, list(NUMBER.finditer(text)), by)
        elif kind == "token":
            other = draw(st.sampled_from(own_texts()))
            by = draw(st.sampled_from(TOKEN.findall(other)))
            text = _replaced(draw, text, list(TOKEN.finditer(text)), by)
        elif kind == "line":
            lines, others = text.split("\n"), draw(st.sampled_from(own_texts())).split("\n")
            first = draw(st.integers(0, len(lines)))
            text = "\n".join(
                lines[:first]
                + draw(st.sampled_from(([], [draw(st.sampled_from(others))])))
                + lines[first + draw(st.integers(0, 2)) :]
            )
        else:
            at = draw(st.integers(0, len(text)))
            text = text[:at] + draw(st.sampled_from(PIECES)) + text[at:]
    return text


@st.composite
def extreme_numbers(draw: Any) -> str:
    """A number that a setting may have, often near the end of what floating point can hold."""
    power = draw(st.sampled_from((0, 0, 0, 0, 1, -1, 3, -3, 9, -9, 16, -16, 100, -100, 307, -307)))
    return f"{draw(st.sampled_from((1, 1, 2, 5, 0.5, 0.3, 0.9)))!r}e{power}"


@st.composite
def _expression(draw: Any, goods: list[str], depth: int = 0) -> str:
    if depth > 2 or draw(st.integers(0, 4)) == 0:
        return draw(st.sampled_from([*goods, draw(extreme_numbers())]))
    a, b = (draw(_expression(goods, depth + 1)) for _ in range(2))
    kind = draw(st.sampled_from(("+", "-", "*", "/", "**", "call", "ces", "cobb_douglas")))
    if kind == "call":
        name = draw(st.sampled_from(("ln", "exp", "sqrt", "tanh", "sin", "cos", "atan")))
        return f"{name}({a})"
    if kind == "ces":
        weights = draw(st.sampled_from(("", ", weights=(0.3, 0.7)", ", weights=(1e-16, 1)")))
        return f"ces({a}, {b}, elasticity={draw(extreme_numbers())}{weights})"
    if kind == "cobb_douglas":
        return f"cobb_douglas({a}, {b}, exponents=({draw(extreme_numbers())}, 0.5))"
    return f"({a}) {kind} ({b})"


@st.composite
def extreme_texts(draw: Any) -> str:
    """A random program of a few lines, with numbers of any size in all of its tables."""
    goods = [f"x{k}" for k in range(draw(st.integers(1, 2)))]
    raw, lines = list(goods), []
    for k in range(draw(st.integers(1, 4))):
        lines.append(f"y{k} = {draw(_expression(goods))}")
        goods.append(f"y{k}")
    used = set(re.findall(r"\b[xy]\d\b", "\n".join(line.split("=", 1)[1] for line in lines)))
    left = [good for good in raw if good not in used]
    if left:
        lines.append(f"y9 = {' + '.join(left)}")
    text = ['question = "?"', "[economy]", 'program = """', *lines, '"""']
    text.append(f'reuse = "{draw(st.sampled_from(("rival", "copy")))}"')
    for good in raw:
        text += [f"[supply.{good}]", f"quantity = {draw(extreme_numbers())}"]
        if draw(st.booleans()):
            text += [
                f"price = {draw(extreme_numbers())}",
                f"elasticity = {draw(extreme_numbers())}",
            ]
    final = [line.split(" =")[0] for line in lines if line.split(" =")[0] not in used]
    for good in final:
        if draw(st.booleans()):
            text += [f"[demand.{good}]", f"price = {draw(extreme_numbers())}"]
            if draw(st.booleans()):
                text.append(f"elasticity = {draw(extreme_numbers())}")
    if draw(st.booleans()):
        mechanism = draw(st.sampled_from(CHOICES[:4]))
        text += ["[market]", f'mechanism = "{mechanism}"']
    if draw(st.booleans()):
        text += ["[industries]", f"firms = {draw(st.integers(1, 3))}"]
        text.append(f"productivity_spread = {draw(st.sampled_from(('0', '0.3', '1e3')))}")
    return "\n".join(text) + "\n"
