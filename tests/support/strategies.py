"""Random programs, as data and as text, with a reference of their own.

A program is drawn as a small expression tree a line. ``RandomProgram.text`` writes it in the
market's language; everything that a test compares the market with is computed here, by HIPS
autograd from the tree, and never by ``market_abm``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import grad, jacobian
from hypothesis import assume
from hypothesis import strategies as st

# --- expressions -----------------------------------------------------------------------------
# ("read", good), ("num", value), ("+", a, b), ("ln", a), ("ces", sigma, weights, arguments), ...
# Inputs are the goods that a line reads, each once, in the order of their first reading.

INFIX = {"+", "-", "*", "/", "**"}


def as_text(node: tuple) -> str:
    """The expression in the market's language."""
    kind = node[0]
    if kind == "read":
        return node[1]
    if kind == "num":
        return repr(node[1]) if node[1] >= 0 else f"({node[1]!r})"
    if kind in INFIX:
        return f"({as_text(node[1])} {kind} {as_text(node[2])})"
    if kind == "ces":
        arguments = ", ".join(as_text(a) for a in node[3])
        weights = "" if node[2] is None else f", weights=({', '.join(map(repr, node[2]))})"
        return f"ces({arguments}, elasticity={node[1]!r}{weights})"
    if kind == "cobb_douglas":
        arguments = ", ".join(as_text(a) for a in node[2])
        return f"cobb_douglas({arguments}, exponents=({', '.join(map(repr, node[1]))}))"
    return f"{kind}({as_text(node[1])})"


def goods_read(node: tuple) -> list[str]:
    """The goods that the expression reads, each once, in the order of their first reading."""
    if node[0] == "read":
        return [node[1]]
    return list(dict.fromkeys(good for part in _children(node) for good in goods_read(part)))


def _children(node: tuple) -> tuple:
    if node[0] in ("read", "num"):
        return ()
    if node[0] == "ces":
        return node[3]
    if node[0] == "cobb_douglas":
        return node[2]
    return node[1:]


def compute(node: tuple, inputs: list) -> Any:
    """The expression's value; ``inputs`` has one entry a good (numbers, or arrays over firms)."""
    feed = dict(zip(goods_read(node), inputs, strict=True))

    def walk(part: tuple) -> Any:
        kind = part[0]
        if kind == "read":
            return feed[part[1]]
        if kind == "num":
            return part[1]
        values = [walk(child) for child in _children(part)]
        if kind == "ces":
            sigma = part[1]
            weights = part[2] or [1 / len(values)] * len(values)
            r = (sigma - 1) / sigma
            return sum(w * v**r for w, v in zip(weights, values, strict=True)) ** (1 / r)
        if kind == "cobb_douglas":
            out = 1.0
            for v, a in zip(values, part[1], strict=True):
                out = out * v**a
            return out
        if kind in INFIX:
            a, b = values
            match kind:
                case "+":
                    return a + b
                case "-":
                    return a - b
                case "*":
                    return a * b
                case "/":
                    return a / b
            return a**b
        functions = {
            "ln": anp.log,
            "sqrt": anp.sqrt,
            "tanh": anp.tanh,
            "exp": anp.exp,
        }
        return functions[kind](values[0])

    return walk(node)


# --- programs --------------------------------------------------------------------------------


@dataclass(frozen=True)
class RandomProgram:
    """Lines in flow order, endowments, prices of the final goods, and how goods are reused.

    ``order`` is the order in which the lines are written down. ``firms`` gives the weights and
    productivities of an industry's firms; one firm where it is silent.
    """

    lines: tuple[tuple[str, tuple], ...]
    supply: dict[str, float]
    demand: dict[str, float]
    reuse: str
    order: tuple[int, ...]
    firms: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = field(default_factory=dict)
    loop: bool = False

    @property
    def text(self) -> str:
        return "\n".join(f"{self.lines[i][0]} = {as_text(self.lines[i][1])}" for i in self.order)

    @property
    def goods(self) -> list[str]:
        return [*self.supply, *(name for name, _ in self.lines)]

    @property
    def depth(self) -> int:
        """The most industries on the way from a raw good to a final one (lines, with a loop)."""
        level = dict.fromkeys(self.supply, 0)
        if self.loop:
            return len(self.lines)
        for name, line in self.lines:
            level[name] = 1 + max(level[good] for good in goods_read(line))
        return max(level.values())

    @property
    def arguments(self) -> dict[str, Any]:
        """What ``market_abm.from_text`` takes."""
        return {
            "program": self.text,
            "supply": self.supply,
            "demand": self.demand,
            "reuse": self.reuse,
            "population_of": {
                name: {"firms": len(w), "weights": list(w), "productivity": list(z)}
                for name, (w, z) in self.firms.items()
            },
        }

    # The reference. ``shares[name][k]``, of shape (firms,): what part of the k-th good that the
    # line reads goes to each of its firms; without shares every line gets all of its goods.

    def output(self, name: str, line: tuple, quantity: dict, shares: Any = None) -> Any:
        weights, productivity = (np.array(part) for part in self.firms.get(name, ((1.0,), (1.0,))))
        inputs = [
            (weights if shares is None else shares[name][k]) * quantity[good] / weights
            for k, good in enumerate(goods_read(line))
        ]
        return anp.sum(productivity * weights * compute(line, inputs))

    def forward(self, injected: Any, shares: Any = None) -> dict[str, Any]:
        """Quantities, by one pass; ``injected`` (one a good) is added to each. No loops."""
        extra = dict(zip(self.goods, injected, strict=True))
        quantity = {good: self.supply[good] + extra[good] for good in self.supply}
        for name, line in self.lines:
            quantity[name] = self.output(name, line, quantity, shares) + extra[name]
        return quantity

    def value(self, injected: Any, shares: Any = None) -> Any:
        quantity = self.forward(injected, shares)
        return sum(price * quantity[good] for good, price in self.demand.items())

    def gradient(self, shares: Any = None) -> np.ndarray:
        """d value / d (a unit of each good), by autograd's reverse sweep over the program."""
        if self.loop:
            return self.loop_gradient(shares)[1]
        return grad(self.value)(np.zeros(len(self.goods)), shares)

    def quantities(self, shares: Any = None) -> np.ndarray:
        if self.loop:
            return self.loop_gradient(shares)[0]
        quantity = self.forward(np.zeros(len(self.goods)), shares)
        return np.array([quantity[good] for good in self.goods], dtype=float)

    def one_round(self, quantities: Any, shares: Any = None) -> Any:
        """Every industry once, on the goods of the round before: its fixed points are at rest."""
        before = dict(zip(self.goods, quantities, strict=True))
        made = [self.output(name, line, before, shares) for name, line in self.lines]
        return anp.array([*self.supply.values(), *made])

    def local_derivatives(self, quantities: np.ndarray, shares: Any = None) -> np.ndarray:
        return jacobian(self.one_round)(quantities, shares)

    def loop_gradient(self, shares: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """Quantities at rest, and the gradient there by the implicit function theorem."""
        quantities = np.array([*self.supply.values(), *[1.0 for _ in self.lines]])
        for _ in range(10_000):
            after = self.one_round(quantities, shares)
            moved = np.max(np.abs(after - quantities) / np.abs(after))
            quantities = after
            if moved < 1e-15:
                break
        priced = np.array([self.demand.get(good, 0.0) for good in self.goods])
        jac = self.local_derivatives(quantities, shares)
        return quantities, np.linalg.solve(np.eye(len(priced)) - jac.T, priced)

    def contributions(self, shares: Any = None) -> np.ndarray:
        """The gradient with every local derivative taken positive: what rounding is relative to."""
        jac = np.abs(self.local_derivatives(self.quantities(shares), shares))
        priced = np.array([abs(self.demand.get(good, 0.0)) for good in self.goods])
        return np.linalg.solve(np.eye(len(priced)) - jac.T, priced)


def market_shares(program: RandomProgram, economy: Any, shares: np.ndarray) -> dict:
    """One row of a market's shares over buyers, as ``RandomProgram.forward`` wants them."""
    goods = {good: k for k, good in enumerate(economy.goods)}
    out = {}
    for name, line in program.lines:
        places = economy.buyers.of_industry[name]
        read = [goods[good] for good in goods_read(line)]
        # The k-th input of an industry is the k-th good that its line reads.
        np.testing.assert_array_equal(economy.buyers.good[places[:, 0]], read)
        out[name] = shares[places]
    return out


def in_order(program: RandomProgram, goods: tuple[str, ...]) -> list[int]:
    """Where each of the market's goods is among the program's."""
    assert sorted(goods) == sorted(program.goods)
    return [program.goods.index(good) for good in goods]


# --- drawing ---------------------------------------------------------------------------------


def numbers(low: float, high: float) -> st.SearchStrategy[float]:
    """Two decimals: readable in a failing example, and the same number as text and as data."""
    return st.integers(round(low * 100), round(high * 100)).map(lambda n: n / 100)


def num(value: float) -> tuple:
    return ("num", value)


def read(good: str) -> tuple:
    return ("read", good)


@st.composite
def any_sign_term(draw: Any, good: str) -> tuple:
    """A function of one good that is smooth whatever the good's sign; may fall or rise."""
    x = read(good)
    c = draw(numbers(0.3, 1.5))
    slope = num(draw(st.sampled_from([1, -1])) * c)
    squared = ("**", x, num(2))
    return draw(
        st.sampled_from(
            [
                x,
                ("*", slope, x),
                ("-", num(c), x),
                ("tanh", ("*", num(0.3), x)),
                ("sqrt", ("+", num(1), squared)),
                ("ln", ("+", num(c), squared)),
                ("exp", ("*", num(-0.2), x)),
                ("/", num(c), ("+", num(2), squared)),
                ("-", num(1), ("/", num(1), ("+", ("exp", ("*", slope, x)), num(1)))),
            ]
        )
    )


@st.composite
def any_sign_line(draw: Any, goods: list[str]) -> tuple:
    """Reads each entry of ``goods`` once; any derivative may have any sign."""
    terms = [draw(any_sign_term(good)) for good in goods]
    if len(terms) > 1 and draw(st.booleans()):
        positive = tuple(("+", num(1.5), ("tanh", ("*", num(0.3), term))) for term in terms)
        if draw(st.booleans()):
            return ("ces", draw(st.sampled_from([0.5, 0.8, 1.5, 3.0])), None, positive)
        return ("cobb_douglas", tuple(draw(numbers(0.1, 1.5)) for _ in terms), positive)
    line = terms[0]
    for term in terms[1:]:
        op = draw(st.sampled_from(["+", "-", "*", "/"]))
        if op == "*":
            line = ("*", ("*", num(0.3), line), term)
        elif op == "/":
            line = ("/", line, ("+", num(1.5), ("tanh", ("*", num(0.3), term))))
        else:
            line = (op, line, term)
    return line


@st.composite
def one_good_line(draw: Any, good: str) -> tuple:
    """The essay's sort of line: of one positive good, with a positive output."""
    x = read(good)
    c, a = draw(numbers(0.5, 2.0)), draw(numbers(0.3, 1.6))
    return draw(
        st.sampled_from(
            [
                x,
                ("**", x, num(a)),
                ("*", num(c), ("sqrt", x)),
                ("-", num(1), ("/", num(1), ("+", x, num(1)))),
                ("ln", ("+", num(1), x)),
                ("tanh", ("*", num(0.3), x)),
                ("exp", ("*", num(0.2), ("tanh", x))),
            ]
        )
    )


def _finished(draw: Any, lines: list, supply: dict, reuse: str, **more: Any) -> RandomProgram:
    """Prices for the goods that no line reads, and the lines in an order of their own."""
    used = {good for _, line in lines for good in goods_read(line)}
    demand = {name: draw(numbers(0.5, 2.0)) for name, _ in lines if name not in used}
    order = tuple(draw(st.permutations(range(len(lines)))))
    return RandomProgram(tuple(lines), supply, demand, reuse, order, **more)


def _tame(program: RandomProgram) -> None:
    """Reject what would be a test of floating point: tanh saturates, differences lose digits."""
    quantities = program.quantities()
    assume(bool(np.all(np.isfinite(quantities)) and np.max(np.abs(quantities)) < 20))


@st.composite
def chains(draw: Any, longest: int = 8) -> RandomProgram:
    """The essay's: each line reads the one before; prices positive, or of any sign."""
    positive = draw(st.booleans())
    lines = []
    before = "raw"
    for k in range(draw(st.integers(1, longest))):
        line = draw(one_good_line(before) if positive else any_sign_line([before]))
        lines.append((f"good{k}", line))
        before = f"good{k}"
    reuse = draw(st.sampled_from(["rival", "copy"]))
    program = _finished(draw, lines, {"raw": draw(numbers(0.2, 4))}, reuse)
    _tame(program)
    return program


@st.composite
def trees(draw: Any) -> RandomProgram:
    """Every good is read at most once; several raw goods, several final goods."""
    supply = {f"raw{k}": draw(numbers(0.2, 4)) for k in range(draw(st.integers(2, 6)))}
    free = list(supply)
    lines = []
    for k in range(draw(st.integers(2, 8))):
        # As long as no raw good is left over: the last lines read what nobody has read.
        left = [good for good in free if good in supply]
        if not left and draw(st.booleans()):
            break
        count = min(len(free), draw(st.integers(1, 3)))
        chosen = draw(st.permutations(free))[:count]
        lines.append((f"good{k}", draw(any_sign_line(list(chosen)))))
        free = [good for good in free if good not in chosen] + [f"good{k}"]
    left = [good for good in free if good in supply]
    if left:
        lines.append(("rest", draw(any_sign_line(left))))
    reuse = draw(st.sampled_from(["rival", "copy"]))
    program = _finished(draw, lines, supply, reuse)
    _tame(program)
    return program


@st.composite
def copy_dags(draw: Any) -> RandomProgram:
    """Lines read any earlier goods, twice over if they like; all of it goes to each place."""
    supply = {f"raw{k}": draw(numbers(0.2, 3)) for k in range(draw(st.integers(1, 3)))}
    goods = list(supply)
    lines = []
    for k in range(draw(st.integers(1, 7))):
        chosen = draw(st.lists(st.sampled_from(goods), min_size=1, max_size=4))
        lines.append((f"good{k}", draw(any_sign_line(chosen))))
        goods.append(f"good{k}")
    _use_all_raw(draw, lines, supply, any_sign_line)
    program = _finished(draw, lines, supply, "copy", firms=draw(populations(lines, skill=False)))
    _tame(program)
    return program


def _use_all_raw(draw: Any, lines: list, supply: dict, line_of: Any) -> None:
    used = {good for _, line in lines for good in goods_read(line)}
    left = [good for good in supply if good not in used]
    if left:
        lines.append(("rest", draw(line_of(left))))


@st.composite
def concave_line(draw: Any, goods: list[str]) -> tuple:
    """Increasing and strictly concave, with infinite marginal products at zero.

    So the best split of a good among such lines gives something to each, and is unique: ``ces``
    below 1 needs the power around it for that, and the powers leave returns to scale decreasing.
    """
    if len(goods) > 1 and draw(st.booleans()):
        reads = tuple(read(good) for good in goods)
        if draw(st.booleans()):
            top = 90 // len(goods)
            exponents = tuple(draw(st.integers(15, max(15, top))) / 100 for _ in goods)
            return ("cobb_douglas", exponents, reads)
        parts = [draw(st.integers(1, 4)) for _ in goods]
        weights = tuple(part / sum(parts) for part in parts)
        sigma = draw(st.sampled_from([0.5, 0.7, 1.5, 2.0]))
        return ("**", ("ces", sigma, weights, reads), num(draw(numbers(0.5, 0.8))))
    line: tuple | None = None
    for good in goods:
        power = ("**", read(good), num(draw(numbers(0.3, 0.7))))
        term = draw(
            st.sampled_from(
                [
                    power,
                    ("*", num(draw(numbers(0.5, 2.0))), power),
                    ("sqrt", read(good)),
                    ("ln", ("+", num(1), power)),
                    ("tanh", ("*", num(0.3), power)),
                ]
            )
        )
        line = term if line is None else ("+", line, term)
    assert line is not None
    return line


@st.composite
def rival_dags(draw: Any, most_lines: int = 5) -> RandomProgram:
    """At least one good is split; firms of several sizes and skills in some industries."""
    supply = {f"raw{k}": draw(numbers(0.5, 4)) for k in range(draw(st.integers(1, 2)))}
    goods = list(supply)
    lines = []
    for k in range(draw(st.integers(1, most_lines))):
        chosen = draw(st.lists(st.sampled_from(goods), min_size=1, max_size=3))
        lines.append((f"good{k}", draw(concave_line(chosen))))
        goods.append(f"good{k}")
    _use_all_raw(draw, lines, supply, concave_line)
    reads = [good for _, line in lines for good in goods_read(line)]
    assume(len(set(reads)) < len(reads))
    return _finished(draw, lines, supply, "rival", firms=draw(populations(lines)))


@st.composite
def populations(draw: Any, lines: list, skill: bool = True) -> dict:
    """Unequal firms for at most one industry: in size, and with ``skill`` in productivity.

    Firms of unequal skill compete for what their industry gets, copy or not, and that takes time.
    """
    if not draw(st.booleans()):
        return {}
    name, _ = draw(st.sampled_from(lines))
    parts = draw(st.lists(st.integers(1, 4), min_size=2, max_size=3))
    productivity = tuple(draw(numbers(0.7, 1.3)) if skill else 1.0 for _ in parts)
    return {name: (tuple(part / sum(parts) for part in parts), productivity)}


@st.composite
def loops(draw: Any, reuse: str) -> RandomProgram:
    """A ring of goods that need each other, ore from outside, and a retailer.

    Powers below 0.6 make one round a contraction in logarithms, for quantities and for prices.
    """
    size = draw(st.integers(1, 3))
    names = [f"ring{k}" for k in range(size)]
    lines = []
    for k, name in enumerate(names):
        before = names[k - 1]
        fed = (
            "*",
            num(draw(numbers(0.1, 0.6))),
            ("**", read(before), num(draw(numbers(0.2, 0.6)))),
        )
        ore = ("**", read("ore"), num(draw(numbers(0.3, 0.7))))
        if k == 0:
            line = ("+", fed, ore)
        elif draw(st.booleans()):
            line = ("cobb_douglas", (draw(numbers(0.2, 0.6)), 0.3), (read(before), read("ore")))
        else:
            line = fed
        lines.append((name, line))
    for k in range(draw(st.integers(1, 2))):
        sold = draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True))
        lines.append((f"retail{k}", draw(concave_line(sold))))
    return _finished(draw, lines, {"ore": draw(numbers(0.5, 4))}, reuse, loop=True)


# --- decreasing returns, with plans that may leave out an input ----------------------------------


@st.composite
def decreasing_line(draw: Any, goods: list[str], joined: bool = False) -> tuple:
    """Strictly concave in what it reads, so that a price taker has one best plan.

    Of all or part of the inputs together, Cobb-Douglas and CES to a power below 1; of single ones
    powers, which are always worth a first unit, and ln(1 + c x) and 1 - 1/(1 + c x), which are not.
    If ``joined``, a power of all that, so that what one input is worth depends on all others.
    """
    terms: list[tuple] = []
    left = list(goods)
    if len(left) > 1 and draw(st.booleans()):
        count = draw(st.integers(2, len(left)))
        reads, left = tuple(read(good) for good in left[:count]), left[count:]
        if draw(st.booleans()):
            exponents = tuple(draw(st.integers(10, 85 // count)) / 100 for _ in reads)
            terms.append(("cobb_douglas", exponents, reads))
        else:
            parts = [draw(st.integers(1, 4)) for _ in reads]
            weights = tuple(part / sum(parts) for part in parts)
            inside = ("ces", draw(st.sampled_from([0.5, 0.8, 1.5, 2.5])), weights, reads)
            terms.append(("**", inside, num(draw(st.sampled_from([0.6, 0.75, 0.9])))))
    for good in left:
        scaled = ("*", num(draw(numbers(0.5, 2.0))), read(good))
        terms.append(
            draw(
                st.sampled_from(
                    [
                        ("**", scaled, num(draw(numbers(0.3, 0.8)))),
                        ("ln", ("+", num(1), scaled)),
                        ("-", num(1), ("/", num(1), ("+", num(1), scaled))),
                    ]
                )
            )
        )
    line = terms[0]
    for term in terms[1:]:
        line = ("+", line, term)
    if joined:
        line = ("**", line, num(draw(numbers(0.6, 0.9))))
    return line


@st.composite
def decreasing_dags(draw: Any, most_lines: int = 3) -> RandomProgram:
    """Programs of such lines, rival or copied; firms come with the numbers."""
    supply = {f"raw{k}": draw(numbers(0.5, 4)) for k in range(draw(st.integers(1, 2)))}
    goods = list(supply)
    lines = []
    for k in range(draw(st.integers(1, most_lines))):
        chosen = draw(st.lists(st.sampled_from(goods), min_size=1, max_size=3))
        lines.append((f"good{k}", draw(decreasing_line(chosen))))
        goods.append(f"good{k}")
    _use_all_raw(draw, lines, supply, decreasing_line)
    return _finished(draw, lines, supply, draw(st.sampled_from(["rival", "rival", "copy"])))
