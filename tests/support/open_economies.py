"""Random economies whose supply and demand respond, and a planner to compare them with.

The planner works on the program's trees, by HIPS autograd and SciPy, and never touches
``market_abm``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import grad, hessian
from hypothesis import strategies as st
from scipy.optimize import minimize

import market_abm
from support.strategies import RandomProgram, goods_read, rival_dags

INF = math.inf


def worth(c: Any, terms: dict, made_first: float) -> Any:
    """p0 c0 + the integral of P from c0 to c."""
    p0, eps = terms.get("price", 1.0), terms.get("elasticity", INF)
    c0 = terms.get("quantity", made_first)
    form = terms.get("form", "elastic" if eps == INF else "isoelastic" if c0 > 0 else "linear")
    if eps == INF:
        return p0 * c
    if form == "linear":
        return p0 * c - p0 * (c - c0) ** 2 / (2 * eps * abs(c0))
    if eps == 1:
        return p0 * c0 * (1 + anp.log(c / c0))
    power = 1 - 1 / eps
    return p0 * c0 * (1 + ((c / c0) ** power - 1) / power)


def cost(q: Any, terms: dict) -> Any:
    """The integral of MC from 0 to q, for q > 0; nothing for a fixed endowment."""
    eta = terms.get("elasticity", 0.0)
    if eta == 0:
        return 0.0
    q0, r0 = terms["quantity"], terms.get("price", 1.0)
    return r0 * q0 * (q / q0) ** (1 + 1 / eta) / (1 + 1 / eta)


@dataclass(frozen=True)
class Open:
    """A random program, and the terms of its suppliers and consumers."""

    program: RandomProgram
    supply: dict[str, dict]
    demand: dict[str, dict]

    def economy(self) -> market_abm.Economy:
        """With every number of the program as a parameter: structure and numbers apart."""
        parameters: dict[str, float] = {}
        lines = [f"{name} = {as_parametric(line, parameters)}" for name, line in self.program.lines]
        arguments = self.program.arguments | {
            "program": "\n".join(lines[k] for k in self.program.order),
            "supply": self.supply,
            "demand": self.demand,
            "parameters": parameters,
        }
        return market_abm.from_text(**arguments)

    # The planner's problem: ``free`` is the logarithm of each responding supplier's quantity, then
    # one number for each buyer of a divided good; a softmax makes them shares.

    def responding(self) -> list[str]:
        return [good for good, terms in self.supply.items() if terms.get("elasticity", 0) > 0]

    def pools(self) -> list[list[tuple[str, int, int]]]:
        """Who shares with whom: lists of (line, place, firms)."""
        by_good: dict[str, list] = {}
        for name, line in self.program.lines:
            weights, _ = self.program.firms.get(name, ((1.0,), (1.0,)))
            for k, good in enumerate(goods_read(line)):
                by_good.setdefault(good, []).append((name, k, len(weights)))
        if self.program.reuse == "rival":
            return list(by_good.values())
        return [[user] for users in by_good.values() for user in users]

    def equal_shares(self) -> dict:
        """What step 0 starts with: the same to each use, within a use by weight."""
        shares: dict = {}
        for pool in self.pools():
            for name, k, _ in pool:
                weights = np.array(self.program.firms.get(name, ((1.0,), ()))[0])
                shares.setdefault(name, {})[k] = weights / len(pool)
        return shares

    def made_first(self) -> dict[str, float]:
        start = self.program.forward(np.zeros(len(self.program.goods)), self.equal_shares())
        return {good: float(start[good]) for good in self.demand}

    def allocation(self, free: Any) -> tuple[dict, dict]:
        raw = {good: terms["quantity"] for good, terms in self.supply.items()}
        at = 0
        for good in self.responding():
            raw[good] = raw[good] * anp.exp(free[at])
            at += 1
        shares: dict = {}
        for pool in self.pools():
            size = sum(firms for *_, firms in pool)
            powers = anp.exp(free[at : at + size])
            split, start = powers / anp.sum(powers), 0
            for name, k, firms in pool:
                shares.setdefault(name, {})[k] = split[start : start + firms]
                start += firms
            at += size
        return raw, shares

    def welfare(self, raw: dict, shares: dict, injected: Any) -> Any:
        quantity = replace(self.program, supply=raw).forward(injected, shares)
        first = self.made_first()
        gain = sum(worth(quantity[good], self.demand[good], first[good]) for good in self.demand)
        return gain - sum(cost(raw[good], self.supply[good]) for good in self.supply)

    def best(self) -> tuple[np.ndarray, np.ndarray, float]:
        """Quantities and prices in the order of ``program.goods``, and welfare, at the optimum."""
        none = np.zeros(len(self.program.goods))

        def loss(free: Any) -> Any:
            return -self.welfare(*self.allocation(free), none)

        size = len(self.responding()) + sum(n for pool in self.pools() for *_, n in pool)
        slope, curvature = grad(loss), hessian(loss)
        # Each step within a region where it is trusted: Newton's alone may leave for infinity.
        near = {"initial_trust_radius": 0.2, "max_trust_radius": 0.5, "gtol": 1e-7}
        free = minimize(
            loss, np.zeros(size), jac=slope, hess=curvature, method="trust-exact", options=near
        ).x
        for _ in range(4):
            # Adding a constant to all of one pool's numbers changes nothing: skipped.
            free = free - np.linalg.lstsq(curvature(free), slope(free), rcond=1e-9)[0]
        # At rest, or this is no reference: the slope of a value of order 1 to 10, to rounding.
        assert np.max(np.abs(slope(free))) < 1e-11
        raw, shares = self.allocation(free)
        # The price of a good: what one more unit of it, from nowhere, adds to the best (envelope).
        prices = grad(lambda injected: self.welfare(raw, shares, injected))(none)
        quantity = replace(self.program, supply=raw).forward(none, shares)
        quantities = np.array([quantity[good] for good in self.program.goods], dtype=float)
        return quantities, prices, -float(loss(free))


def as_parametric(node: tuple, parameters: dict[str, float]) -> str:
    """The expression in the market's language, each number a parameter of its own.

    But for 2: a square is defined for numbers of any sign, as no power near it is.
    """

    def named(value: float) -> str:
        name = f"p{len(parameters)}"
        parameters[name] = value
        return name

    kind = node[0]
    if kind == "read":
        return node[1]
    if kind == "num":
        return "2" if node[1] == 2 else named(node[1])
    if kind == "ces":
        inputs = ", ".join(as_parametric(part, parameters) for part in node[3])
        options = f"elasticity={named(node[1])}"
        if node[2] is not None:
            options += f", weights=({', '.join(named(w) for w in node[2])})"
        return f"ces({inputs}, {options})"
    if kind == "cobb_douglas":
        exponents = ", ".join(named(a) for a in node[1])
        inputs = ", ".join(as_parametric(part, parameters) for part in node[2])
        return f"cobb_douglas({inputs}, exponents=({exponents}))"
    parts = [as_parametric(part, parameters) for part in node[1:]]
    return f"({parts[0]} {kind} {parts[1]})" if len(parts) == 2 else f"{kind}({parts[0]})"


def renumbered(node: tuple, rng: np.random.Generator) -> tuple:
    """The same tree with numbers 15 % up or down (but for 2), and as concave as it was."""

    def near(value: float) -> float:
        return value * math.exp(rng.uniform(-0.15, 0.15))

    kind = node[0]
    if kind == "read":
        return node
    if kind == "num":
        return node if node[1] == 2 else ("num", near(node[1]))
    if kind == "ces":
        weights = [near(w) for w in node[2] or ()]
        normal = tuple(w / sum(weights) for w in weights) or None
        return ("ces", near(node[1]), normal, tuple(renumbered(a, rng) for a in node[3]))
    if kind == "cobb_douglas":
        down = tuple(a * rng.uniform(0.8, 1.0) for a in node[1])
        return ("cobb_douglas", down, tuple(renumbered(a, rng) for a in node[2]))
    return (kind, *(renumbered(part, rng) for part in node[1:]))


def opened(program: RandomProgram, kinds: dict, forms: dict, rng: np.random.Generator) -> Open:
    """Numbers for the terms: suppliers' costs within a factor of two of what their goods earn."""
    lines = tuple((name, renumbered(line, rng)) for name, line in program.lines)
    supply = {good: q * math.exp(rng.uniform(-0.3, 0.3)) for good, q in program.supply.items()}
    program = replace(program, lines=lines, supply=supply)
    start = Open(
        program,
        {good: {"quantity": q} for good, q in supply.items()},
        dict.fromkeys(program.demand),
    )
    shares = start.equal_shares()
    earns = dict(zip(program.goods, program.gradient(shares), strict=True))
    made = start.made_first()
    sellers = {}
    for good, q in supply.items():
        eta = rng.uniform(0.2, 2.0)
        r0 = earns[good] * math.exp(rng.uniform(-0.7, 0.7))
        sellers[good] = {"quantity": q, "price": r0, "elasticity": eta}
        if kinds[good] == "fixed" or (kinds[good] == "curve" and rng.random() < 0.2):
            sellers[good]["elasticity"] = 0.0
        elif kinds[good] == "gradient":
            # A step of 0.1 in units of MC's own slope at the reference.
            sellers[good] |= {"kind": "gradient", "rate": 0.1 * eta * q / r0}
        else:
            sellers[good]["adjustment"] = 0.1
    buyers = {}
    for good, price in program.demand.items():
        buyers[good] = {"price": price * math.exp(rng.uniform(-0.3, 0.3))}
        if forms[good] == "elastic":
            continue
        buyers[good]["elasticity"] = rng.uniform(0.7, 4)
        if forms[good] == "linear":
            buyers[good]["form"] = "linear"
        if rng.random() < 0.5:
            buyers[good]["quantity"] = made[good] * rng.uniform(0.8, 1.3)
    return Open(program, sellers, buyers)


@st.composite
def open_economies(draw: Any, runs: int) -> list[Open]:
    """Several of one structure: rival goods (mostly) or copies, firms, suppliers, consumers."""
    program = draw(rival_dags(most_lines=3))
    if draw(st.integers(0, 3)) == 0:
        program = replace(program, reuse="copy")
    kinds = {
        g: draw(st.sampled_from(["curve", "curve", "gradient", "fixed"])) for g in program.supply
    }
    forms = {
        g: draw(st.sampled_from(["isoelastic", "isoelastic", "linear", "elastic"]))
        for g in program.demand
    }
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return [opened(program, kinds, forms, rng) for _ in range(runs)]
