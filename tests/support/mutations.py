"""Experiment files as nobody should write them: mutations of the package's own, random programs."""

import re
from functools import cache
from typing import Any

from hypothesis import strategies as st

from market_abm.experiment.files import available
from support.strategies import RandomProgram, goods_read, num, read

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
    *(
        "run.engine",
        "run.tolerance",
        "run.seed",
        "run.steps",
        "run.observe_every",
        "record.every",
        "record.goods",
    ),
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
    """The package's experiments, but the one of thousands of lines."""
    return tuple(path.read_text("utf-8") for k, path in available().items() if k != "digits")


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


def extreme_numbers() -> st.SearchStrategy[float]:
    """A positive number, now and then near the end of what floating point can hold."""
    powers = (*[0] * 6, 1, -1, 3, -3, 9, -9, 16, -16, 100, -100, 307, -307)
    factors = st.sampled_from((1.0, 2.0, 5.0, 0.5, 0.3, 0.9))
    return st.tuples(factors, st.sampled_from(powers)).map(lambda pair: pair[0] * 10.0 ** pair[1])


@st.composite
def _expression(draw: Any, goods: list[str], depth: int = 0) -> tuple:
    """Any expression that the language has, of goods and extreme numbers."""
    if depth > 2 or draw(st.integers(0, 4)) == 0:
        good = draw(st.sampled_from([*goods, None]))
        return num(draw(extreme_numbers())) if good is None else read(good)
    a, b = (draw(_expression(goods, depth + 1)) for _ in range(2))
    kind = draw(st.sampled_from(("+", "-", "*", "/", "**", "call", "ces", "cobb_douglas")))
    if kind == "call":
        return (draw(st.sampled_from(("ln", "exp", "sqrt", "tanh"))), a)
    if kind == "ces":
        weights = draw(st.sampled_from((None, (0.3, 0.7), (1e-16, 1.0))))
        sigma = draw(extreme_numbers().filter(lambda each: each != 1.0))  # as the reference has it
        return ("ces", sigma, weights, (a, b))
    if kind == "cobb_douglas":
        return ("cobb_douglas", (draw(extreme_numbers()), 0.5), (a, b))
    return (kind, a, b)


@st.composite
def extreme_programs(draw: Any) -> RandomProgram:
    """A few lines of anything, with numbers of any size."""
    supply = {f"x{k}": draw(extreme_numbers()) for k in range(draw(st.integers(1, 2)))}
    goods, lines = list(supply), []
    for k in range(draw(st.integers(1, 4))):
        lines.append((f"y{k}", draw(_expression(goods))))
        goods.append(f"y{k}")
    used = {good for _, line in lines for good in goods_read(line)}
    lines += [(f"of_{good}", read(good)) for good in supply if good not in used]
    demand = {name: draw(extreme_numbers()) for name, _ in lines if name not in used}
    reuse = draw(st.sampled_from(("rival", "copy")))
    return RandomProgram(tuple(lines), supply, demand, reuse, tuple(range(len(lines))))


@st.composite
def extreme_texts(draw: Any) -> str:
    """An experiment file of such a program, with extreme numbers in its other tables, too."""
    program = draw(extreme_programs())
    text = ['question = "?"', "[economy]", 'program = """', program.text, '"""']
    text.append(f'reuse = "{program.reuse}"')
    for table, key, values in (
        ("supply", "quantity", program.supply),
        ("demand", "price", program.demand),
    ):
        for good, value in values.items():
            text += [f"[{table}.{good}]", f"{key} = {value!r}"]
            if draw(st.booleans()):
                text.append(f"elasticity = {draw(extreme_numbers())!r}")
    if draw(st.booleans()):
        text += ["[market]", f'mechanism = "{draw(st.sampled_from(CHOICES[:4]))}"']
    if draw(st.booleans()):
        text += ["[industries]", f"firms = {draw(st.integers(1, 3))}"]
        text.append(f"productivity_spread = {draw(st.sampled_from((0, 0.3, 1e3)))!r}")
    return "\n".join(text) + "\n"
