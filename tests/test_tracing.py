"""Any Python function is a market: what is traced, its goods' names, its prices, and bad input."""

import functools
import json
import linecache
import math
import re
import sys
import textwrap
import types
from pathlib import Path

import autograd
import autograd.numpy as anp
import numpy as np
import pytest
from click.testing import CliRunner

from market_abm import MarketError, Supply, from_function, from_text, run
from market_abm.cli.commands import main
from market_abm.economy.families import family_and_indices
from market_abm.language import tracing, variables
from market_abm.simulation.record import Trajectory
from market_abm.views.words.experiment import experiment_lines
from market_abm.views.words.run import run_sentences

# Market and library multiply the same derivatives in another order: some hundred operations of
# rounding 1e-16 each.
GRADIENT = 1e-11


# --- functions ------------------------------------------------------------------------------------


def horner(x, a):
    """A polynomial by Horner's rule, which calls itself."""
    return a[0] if len(a) == 1 else a[0] + x * horner(x, a[1:])


def continued_fraction(b, a):
    """b0 + a0/(b1 + a1/(b2 + ...)), which calls itself."""
    return b[0] if len(a) == 0 else b[0] + a[0] / continued_fraction(b[1:], a[1:])


def newton(a, b):
    """The root of r³ + b r = a by Newton's iteration, ended by a traced value."""
    r = 1.0 + 0.0 * a
    while abs(r**3 + b * r - a) > 1e-9:
        r = r - (r**3 + b * r - a) / (3 * r**2 + b)
    return r


def nested(x, y):
    """A double loop whose inner length depends on the outer one."""
    total = x
    for i in range(4):
        for j in range(i + 1):
            total = total + np.sin(total * y) / (1 + i + 2 * j)
    return total


def perceptron(W, b, v, x):
    """Arrays: a product of matrices, broadcasting, a softmax and a mean."""
    hidden = np.tanh(x @ W + b)
    scores = hidden @ v
    parts = np.exp(scores - 1.0)
    return np.mean(np.log(parts[:, 0] / parts.sum(axis=1))) + 0.01 * np.sum(W**2)


def recurrent(w, u, b, x):
    """A recurrent network of one unit."""
    h, total = 0.0, 0.0
    for t in range(len(x)):
        h = np.tanh(w * h + u * x[t] + b)
        total = total + (h - 0.2) ** 2
    return total


def logistic_map(x, r, turns):
    """The logistic map, with the mean of its path."""
    path = []
    for _ in range(turns):
        x = r * x * (1 - x)
        path.append(x)
    return sum(path) / turns


RANDOM = np.random.default_rng(7)
SLOPE = 2.0
INDICES = np.array([3, 1])
ARGUMENTS = {
    horner: {"x": 0.7, "a": RANDOM.normal(size=9)},
    continued_fraction: {"b": RANDOM.uniform(1, 2, 12), "a": RANDOM.uniform(0.5, 1, 11)},
    newton: {"a": 5.0, "b": 0.8},
    nested: {"x": 0.4, "y": 1.3},
    perceptron: {
        "W": RANDOM.normal(size=(3, 4)),
        "b": RANDOM.normal(size=4),
        "v": RANDOM.normal(size=(4, 2)),
        "x": RANDOM.normal(size=(5, 3)),
    },
    recurrent: {"w": 0.9, "u": 0.4, "b": 0.05, "x": RANDOM.normal(size=1000)},
}


def gradient(function, arguments):
    """The gradient by an independent library, which differentiates the function itself."""
    around = {**function.__globals__, "np": anp}
    copy = types.FunctionType(function.__code__, around)
    around[function.__name__] = copy
    names = list(arguments)
    found = autograd.grad(lambda values: copy(**dict(zip(names, values, strict=True))))(
        list(arguments.values())
    )
    return dict(zip(names, map(np.asarray, found), strict=True))


def check_gradient(result, expected, tolerance):
    """Prices of raw goods are the elements of the expected gradient."""
    prices = dict(zip(result.goods, result.last.prices, strict=True))
    for good in result.economy.supply:
        name, place = family_and_indices(good)
        assert prices[good] == pytest.approx(expected[name][place], rel=tolerance), good


# --- prices ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [horner, continued_fraction, newton, nested, perceptron])
def test_prices_are_the_gradient_of_the_function(function):
    """Loops, recursion, branches and arrays, against a library that shares no code with us."""
    arguments = ARGUMENTS[function]
    economy = from_function(function, arguments)
    result = run(economy, activation="sequential", engine="arrays")
    assert (result.status, result.steps) == ("converged", 1)
    check_gradient(result, gradient(function, arguments), GRADIENT)
    assert result.last.quantities[-1] == pytest.approx(function(**arguments), rel=1e-14)
    # Elements that the function does not read are no goods.
    assert sum(map(np.size, arguments.values())) - len(economy.supply) == 0


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["agents", "arrays"])
def test_a_thousand_turns_take_one_step_of_sequential_activation(engine):
    """The gradient goes through a thousand turns at once, and is exact to 1e-12."""
    arguments = ARGUMENTS[recurrent]
    result = run(from_function(recurrent, arguments), activation="sequential", engine=engine)
    assert (result.status, result.steps) == ("converged", 1)
    assert result.last_errors.max() <= 1e-12
    # Both add a thousand terms for each of three arguments, in another order.
    check_gradient(result, gradient(recurrent, arguments), GRADIENT)

    start = {"x": 0.3, "r": 3.4}  # a cycle of two; chaos begins at 3.57
    economy = from_function(logistic_map, start, parameters={"turns": 1000})
    result = run(economy, activation="sequential", engine=engine)
    assert (result.status, result.steps) == ("converged", 1)
    assert result.last_errors.max() <= 1e-12

    def mean(x, r):
        return logistic_map(x, r, 1000)

    check_gradient(result, gradient(mean, start), GRADIENT)


def test_traced_and_written_by_hand_are_the_same_economy():
    """Bit for bit, at every step and for every good, under every mechanism of money or bids."""

    def function(k=1.7, s=0.3, w=0.6):
        h = 0.0
        for _ in range(3):
            z = w * h + s * k
            h = np.tanh(z)
            k = k**0.4
        total = h + 2 * k - 1
        return total

    by_hand = """
        z[1] = w * 0 + s * k[0]
        k[1] = k[0] ** 0.4
        for t in 1..3:
            h[t] = tanh(z[t])
        for t in 2..3:
            z[t] = w * h[t-1] + s * k[t-1]
            k[t] = k[t-1] ** 0.4
        total = h[3] + 2 * k[3] - 1
    """
    traced = from_function(function)
    written = from_text(by_hand, {"w": 0.6, "s": 0.3, "k[0]": 1.7}, reuse="copy")
    lines = {each.text().replace("k[0]", "k") for each in written.industries}
    assert {each.text() for each in traced.industries} == lines
    for settings in ({"bid_rate": 0.7}, {"mechanism": "trading-post"}):
        one, other = (run(each, steps=20, **settings) for each in (traced, written))
        order = [other.goods.index("k[0]" if good == "k" else good) for good in one.goods]
        np.testing.assert_array_equal(one.prices, other.prices[:, order])
        np.testing.assert_array_equal(one.quantities, other.quantities[:, order])


def test_functions_of_assignments_are_read_as_before():
    """Their variables are divided; a function that is traced has all of a variable everywhere."""

    def read(x=2.0):
        a = 3 * x
        b = x**0.5
        c = a * b
        return c

    def traced(x=2.0):
        c = (3 * x) * x**0.5
        return c * 1

    def assigned_again(x=2.0):
        x = 3 * x
        y = x**2
        return y

    assert set(from_function(read).reuse.values()) == {"rival"}
    assert [each.text() for each in from_function(assigned_again).industries] == [
        "x[1] = 3*x",
        "y = x[1]**2",
    ]
    assert set(from_function(traced).reuse.values()) == {"copy"}
    assert set(from_function(traced, reuse="rival").reuse.values()) == {"rival"}


# --- goods ----------------------------------------------------------------------------------------


def test_goods_have_the_names_and_places_of_variables():
    """Elements, turns, what calls and statements make, containers, and what is left out."""

    def layer(h, w):
        mixed = h @ w
        return np.tanh(mixed) + 0.5

    def function(x, w, unused=3.0, n=2):
        h = x
        for _ in range(n):
            h = layer(h, w)
        never = h * 100
        k, out = np.zeros(3), []
        for t in range(n):
            k[t + 1] = k[t] * h[0] + h[1] ** 2
            out.append(math.exp(k[t + 1]))
        first, second = out
        return {"profit": first - second, "all": k[1:], "x": x[0]}

    economy = from_function(function, {"x": np.array([0.1, 0.2]), "w": np.eye(2)})
    assert list(economy.supply) == ["x[0]", "w[0,0]", "x[1]", "w[1,0]", "w[0,1]", "w[1,1]"]
    assert [industry.text() for industry in economy.industries] == [
        "mixed[1,0] = x[0]*w[0,0] + x[1]*w[1,0]",
        "mixed[1,1] = x[0]*w[0,1] + x[1]*w[1,1]",
        "layer_tanh[1,0] = tanh(mixed[1,0])",
        "layer_tanh[1,1] = tanh(mixed[1,1])",
        "h[1,0] = layer_tanh[1,0] + 0.5",
        "h[1,1] = layer_tanh[1,1] + 0.5",
        "mixed[2,0] = h[1,0]*w[0,0] + h[1,1]*w[1,0]",
        "mixed[2,1] = h[1,0]*w[0,1] + h[1,1]*w[1,1]",
        "layer_tanh[2,0] = tanh(mixed[2,0])",
        "layer_tanh[2,1] = tanh(mixed[2,1])",
        "h[2,0] = layer_tanh[2,0] + 0.5",
        "h[2,1] = layer_tanh[2,1] + 0.5",
        "k_power[1] = h[2,1]**2",
        "k[1] = 0*h[2,0] + k_power[1]",
        "out[0] = exp(k[1])",
        "k_power[2] = h[2,1]**2",
        "k[2] = k[1]*h[2,0] + k_power[2]",
        "out[1] = exp(k[2])",
        "profit = out[0] - out[1]",
        "k_sold[1] = k[1]",
        "k_sold[2] = k[2]",
        "x_sold[0] = x[0]",
    ]
    assert list(economy.demand) == ["profit", "k_sold[1]", "k_sold[2]", "x_sold[0]"]


def test_a_sum_is_one_line_however_it_is_written():
    """``sum``, ``@``, ``np.sum`` and a running sum; a product that is used again is a line."""

    def function(w, x):
        running = 0.0
        for a, b in zip(w, x, strict=True):
            running += a * b
        shared = w[0] * x[1]
        return (
            running,
            w @ x,
            np.sum(w * x),
            sum(a * b for a, b in zip(w, x, strict=True)) / 2 - w[1],
            np.einsum("i,i->", w, x),
            math.fsum([shared, shared**2]),
        )

    economy = from_function(function, {"w": np.ones(3), "x": np.ones(3)})
    lines = [each.text().partition(" = ") for each in economy.industries]
    dot = "w[0]*x[0] + w[1]*x[1] + w[2]*x[2]"
    assert [right for _, _, right in lines].count(dot) == 5
    assert [left for left, _, right in lines if right == "w[0]*x[1]"] == ["shared"]


def test_endowments_demand_and_terms_of_families():
    """Arrays, terms with arrays, members and patterns; lists stay lists."""

    def function(w, x=(1.0, 2.0), b=0.5):
        assert isinstance(x, tuple)
        y = [wi * xi + b for wi, xi in zip(w, x, strict=True)]
        return y

    def chosen(x, rows=((1.0, 2.0), (3.0,)), which=INDICES):
        return x[which] @ x[which] + sum(map(sum, rows))

    economy = from_function(chosen, {"x": np.arange(4.0)})
    assert list(economy.supply) == ["x[3]", "x[1]", "rows[0,0]", "rows[0,1]", "rows[1,0]"]
    with pytest.raises(MarketError, match="give indices as constants: parameters="):
        from_function(chosen, {"x": np.arange(4.0), "which": INDICES})

    economy = from_function(
        function,
        {
            "w": {"quantity": np.array([3.0, 4.0]), "kind": "gradient"},
            "w[i]": {"rate": "scale + i / 10"},
            "b": 1,
        },
        {"y": np.array([1.0, 0.9]), "y[1]": {"price": 2.0}},
        parameters={"scale": 0.1},
    )
    assert economy.supply["w[1]"] == Supply(4.0, kind="gradient", rate=0.2)
    assert [economy.supply[good].quantity for good in ("x[0]", "x[1]", "b")] == [1.0, 2.0, 1.0]
    assert [terms.price for terms in economy.demand.values()] == [1.0, 2.0]


def test_functions_of_math_numpy_and_closures():
    """Values of each function that there is, against the function itself."""
    from math import hypot

    scale = 1.5

    def inner(x):
        return scale * math.sinh(x)

    def function(m, x=0.6, y=2.0):
        out = np.zeros(4)
        out[0] = hypot(x, y) + math.pow(x, 2) + math.log(y, 3) + math.prod([x, y])
        out[1] = inner(x) + np.square(x) + np.log10(y) + np.arctan(x) + math.fabs(-x)
        out[2:] = np.maximum(m, 2.5).mean(axis=0) + np.where(m[0] > 1.5, m[1], m[0] ** 2)
        rest = np.concatenate([m.T.reshape(-1)[::2], np.cumsum(m[0])]) / np.linalg.norm(m)
        return out, rest, np.var(m), np.outer(m[0], m[1]).trace(), max(x, y) * np.prod(m)

    matrix = np.array([[1.0, 2.0], [3.0, 5.0]])
    expected = np.concatenate([np.ravel(each) for each in function(matrix)])
    economy = from_function(function, {"m": matrix})
    result = run(economy, activation="sequential")
    made = [result.last.quantities[economy.index[good]] for good in economy.demand]
    assert sorted(made) == pytest.approx(sorted(expected), rel=1e-14)
    assert result.last_errors.max() <= 1e-14


# --- branches -------------------------------------------------------------------------------------


def test_a_mean_that_changes_nothing_is_worth_nothing():
    """The derivative of a variance by its mean is 0: the terms of that price cancel."""
    b = np.random.default_rng(0).normal(size=3)
    result = run(from_function(lambda b=b: np.var(b)), activation="sequential")
    assert result.status == "converged"
    prices = dict(zip(result.goods, result.last.prices, strict=True))
    for k, by_hand in enumerate(2 * (b - b.mean()) / 3):
        assert prices[f"b[{k}]"] == pytest.approx(by_hand, abs=1e-14)  # some ulps of its terms


def test_a_market_that_leaves_a_branch_says_so():
    """The lines are those of the starting branch; the gas supplier moves across the condition."""

    def function(x=1.0, n=3):
        y = x
        for _ in range(n):
            y = y**0.5 if y * y < 2.0 else 3 * y
        return y

    elastic = {"quantity": 1.0, "price": 0.02, "elasticity": 1.0}
    economy = from_function(function, {"x": elastic})
    assert [(each.text, each.holds) for each in economy.conditions] == [
        ("x*x < 2", True),
        ("y[1]*y[1] < 2", True),
        ("y[2]*y[2] < 2", True),
    ]
    assert "branches of the starting quantities: 3" in " ".join(
        experiment_lines(run(economy, steps=1).experiment)
    )
    result = run(economy, steps=40)
    crossing = result.crossings[0]
    x = result.goods.index("x")
    assert crossing.condition.text == "x*x < 2"
    assert crossing.step == np.argmax(result.quantities[:, x] ** 2 >= 2.0)
    assert crossing.lasting == (result.last.quantities[x] ** 2 >= 2.0)
    told = " ".join(run_sentences(result))
    assert f"'x*x < 2' (test_tracing.py:{crossing.condition.where[1]}) no longer holds" in told
    assert result.summary()["crossings"][0]["condition"] == "x*x < 2"
    assert result.status in ("converged", "max_steps")
    kept = run(from_function(function))
    assert kept.crossings == ()
    assert "crossings" not in kept.summary()


def test_conditions_of_the_same_kind_are_known_together():
    """Of many comparisons, one of which is crossed: each by itself gives the same."""

    def function(x, y):
        larger = [a if a >= b else b for a, b in zip(x, y, strict=True)]
        return sum(larger) + (1.0 if x[0] + x[1] != y[0] else 2.0) * x[2]

    x, y = np.array([1.0, 2.0, 3.0, 4.0]), np.array([2.0, 2.5, 2.5, 3.5])
    supply = {"x": {"quantity": x, "elasticity": 1.0, "price": 2.0}, "y": y}
    economy = from_function(function, supply)
    result = run(economy, steps=3)
    left = {each.condition.text for each in result.crossings}
    quantity = dict(zip(result.goods, result.quantities.T, strict=True))
    for condition in economy.conditions:
        compare = tracing.COMPARISONS[condition.comparison]
        sides = [
            eval(side, {}, {"x": _Members("x", quantity), "y": _Members("y", quantity)})
            for side in condition.text.split(f" {condition.comparison} ")
        ]
        crossed = (compare(*sides) != condition.holds).any()
        assert (condition.text in left) == crossed, condition.text
    assert 0 < len(left) < len(economy.conditions)


class _Members:
    """The paths of a family, by index."""

    def __init__(self, name, quantity):
        self.name, self.quantity = name, quantity

    def __getitem__(self, index):
        return self.quantity[f"{self.name}[{index}]"]


# --- bad input ------------------------------------------------------------------------------------


TWO, SQUARE = np.ones(2), np.eye(2)


def _changes(x=TWO):
    x[0] = 2 * x[1]
    return x


def _changes_list(x=[1.0, 2.0]):  # noqa: B006
    x.append(2 * x[0])
    return sum(x)


def _rounds(x=2.5):
    return np.floor(x) * x


def _counts(x=2.5):
    return sum(x for _ in range(x))


def _for_ever(x=2.5):
    while x > 0:
        x = 1.001 * x
    return x


def _idles(x=2.5):
    while True:
        pass


def _idles_on_a_line(x=2.5):
    while True: pass  # fmt: skip  # noqa: E701


async def _waits(x=2.5):
    return x


def _yields(x=2.5):
    yield x


def _exits(x=2.5):
    sys.exit(3)


def _solves(m=SQUARE):
    return np.linalg.solve(m, np.ones(2))


def _recurses(x=2.5):
    return 1 + _recurses(x * x)


def _divides(x=2.5):
    return x * (1 / (0 * 1))


KEPT = []


def _keeps(x=2.5):
    KEPT.append(x)
    return KEPT[0] * 2


BAD = [
    (lambda x=1.0: x * RANDOM.random(), "does something else when it is called again.*random"),
    (lambda x=1.0: x * 1j, "complex number; goods come in real quantities"),
    (lambda x=1.0: np.arctan2(x, 2.0), r"np\.arctan2 cannot be traced"),
    (lambda x=1.0: math.gamma(x), r"math\.gamma cannot be traced"),
    (lambda x=1.0: np.float64(x) * 2, "taken for a plain number; write np.exp"),
    (lambda x=1.0: int(x) * x, "rounded, which has no derivative"),
    (lambda x=1.0: x % 2, "rounded, which has no derivative"),
    (lambda x=1.0: None, "returns nothing that depends on its arguments"),
    (lambda x=1.0: {"y": 2 * x, "z": "text"}, "returns 'text'; return numbers, or arrays"),
    (lambda x=1.0: (2 * x, x + "1"), "TypeError: unsupported operand"),
    (lambda x=TWO: 1 if 0 < x < 2 else x, "ValueError: The truth value of an array"),
    (_changes, r"test_tracing.py:\d+: the function changes one of its arguments; .*x.copy"),
    (_changes_list, "the function changes its argument 'x'"),
    (_rounds, r"test_tracing.py:\d+: a traced value is rounded"),
    (_counts, r"test_tracing.py:\d+: a traced value is used as an index or a count; .*parameters="),
    (_solves, r"np\.linalg\.solve cannot be traced"),
    (_recurses, "calls itself too deeply"),
    (_divides, r"test_tracing.py:\d+: ZeroDivisionError"),
    (_keeps, "does something else|value of an earlier call"),
    (_waits, "_waits is an 'async' function"),
    (_yields, "returns an object of type generator;"),
    (_exits, r"test_tracing.py:\d+: the function ends Python by sys.exit"),
    (math.sqrt, "sqrt is no function that is written in Python; define"),
    (np.sqrt, "sqrt is no function that is written in Python; define"),
    (Trajectory, "Trajectory is a class; define a function"),
    (functools.partial(max, 1.0), "max is no function that is written in Python"),
    (functools.partial(_rounds, y=1.0), "partial function do not fit .*; its function has x"),
    (lambda *a: sum(a), r"the argument '\*a' has no endowment"),
]


@pytest.mark.parametrize(("function", "message"), BAD)
def test_what_cannot_be_traced_is_told_in_one_sentence(function, message):
    with pytest.raises(MarketError, match=message) as error:
        from_function(function)
    assert "\n" not in str(error.value)


def test_endless_loops_are_ended_with_the_number_reached(monkeypatch):
    monkeypatch.setattr(tracing, "MAX_OPERATIONS", 1_000)
    with pytest.raises(MarketError, match="has made 1,000 operations and is not at its end"):
        from_function(_for_ever)
    monkeypatch.setattr(variables, "MAX_LINES", 1_000)
    with pytest.raises(MarketError, match="has run 1,000 lines and is not at its end"):
        from_function(_idles)
    with pytest.raises(MarketError, match="has run 1,000 lines and is not at its end"):
        from_function(_idles_on_a_line)


def test_arguments_and_endowments_that_do_not_fit():
    def function(x, y=1.0):
        return x * y + x

    for supply, message in (
        ({}, "the argument 'x' has no endowment"),
        ({"x": 1.0, "z": 2.0}, "supply.z: the function has no argument 'z'"),
        ({"x": {"elasticity": 1.0}}, "supply.x has no quantity"),
        ({"x": math.nan}, "supply.x"),
        ({"x": [1.0], "x[*,*]": {"price": 1.0}}, r"no raw good is named by 'x\[\*,\*\]'"),
    ):
        with pytest.raises(MarketError, match=message):
            from_function(function, supply)
    with pytest.raises(MarketError, match="demand.z: no line makes a final good 'z'"):
        from_function(function, {"x": 1.0}, {"z": 2.0})


def growth(k=1.0, saving=TWO / 2, alpha=0.3):
    c = np.zeros(2)
    for t in range(2):
        y = k**alpha
        c[t], k = (1 - saving[t]) * y, saving[t] * y
    return c


def test_parameters_that_nothing_reads_or_that_are_no_numbers():
    for parameters, message in (
        ({"aplha": 0.3}, "the function reads no 'aplha'; did you mean 'alpha'?"),
        ({"alpha": math.nan}, "parameters.alpha must be a finite number"),
        ({"alpha": "abc"}, "parameters.alpha must be a number, not 'abc'"),
        ({"k": 2.0}, "'k' is in supply, and is a constant, too"),
    ):
        with pytest.raises(MarketError, match=re.escape(message)):
            from_function(growth, {"k": 1.0}, parameters=parameters)
    for given, form in (([0.3], "an array of shape (1,)"), (0.3, "a single number")):
        told = re.escape(f"supply.saving is {form}, its default value an array of shape (2,)")
        with pytest.raises(MarketError, match=rf"test_tracing.py:\d+: .*Error: .*; {told}"):
            from_function(growth, {"saving": given})
    demand = {"c[t]": {"price": "beta ** t"}}  # what a formula reads
    economy = from_function(growth, demand=demand, parameters={"beta": 0.9})
    assert economy.demand["c[1]"].price == 0.9


def test_what_wraps_a_function():
    """A partial function's values are constants; a cache is left out; a decorator is run."""

    @functools.wraps(_plain)
    def twice(*args):
        return 2 * _plain(*args)

    for function, lines in (
        (functools.partial(growth, alpha=0.5), ["y[1] = k**0.5"]),
        (functools.lru_cache(_plain), ["y = 3*x"]),
        (twice, ["y = 3*x", "_plain = 2*y"]),
    ):
        texts = [each.text() for each in from_function(function).industries]
        assert texts[: len(lines)] == lines


def _plain(x=1.0):
    y = 3 * x
    return y


def test_arguments_may_be_functions_settings_and_dicts():
    """What is no number is handed over, and named numbers outside can be set."""

    def step(y):
        return math.tanh(SLOPE * y)

    class Model:
        """A model with a state of its own, which each call sets anew."""

        def __call__(self, params, x=0.5, rule=step, n=2, *more, name="none", **rest):
            assert (name, rest) == ("none", {})
            self.state = [x]
            for k in range(n):
                self.state.append(rule(self.state[k]) * params["w"] + more[0])
            return self.state[-1]

    supply = {"params": {"quantity": {"w": 3.0, "unused": 1.0}}, "more": (0.1,)}
    economy = from_function(Model(), supply, parameters={"SLOPE": 0.5})
    assert [each.text() for each in economy.industries] == [
        "step_product[1] = 0.5*x",
        "step[1] = tanh(step_product[1])",
        "state_sum = step[1]*params_w + more[0]",
        "step_product[2] = 0.5*state_sum",
        "step[2] = tanh(step_product[2])",
        "output = step[2]*params_w + more[0]",
    ]
    with pytest.raises(MarketError, match="SLOPE"):
        economy.with_values({"economy.parameters.SLOPE": 0.7})


# --- the command line -----------------------------------------------------------------------------

FILE = """
import pathlib
import numpy as np
pathlib.Path("was_run").touch()

def growth(k=1.0, saving=np.full(2, 0.3), alpha=0.3):
    c = np.zeros(2)
    for t in range(2):
        y = k**alpha
        c[t], k = (1 - saving[t]) * y, saving[t] * y
    return c

def noise(x=1.0):
    return x * np.random.default_rng().random()
"""


def test_a_users_file_is_run_by_an_explicit_option_only(tmp_path, monkeypatch):
    """Files, names and programs run nothing; ``--trace`` runs the file that it names."""
    monkeypatch.chdir(tmp_path)
    Path("my_model.py").write_text(FILE, encoding="utf-8")
    for name, program in (("a", "my_model:growth"), ("b", "c = my_model.growth(k)")):
        Path(f"{name}.toml").write_text(f'[economy]\nprogram = "{program}"', encoding="utf-8")
    for arguments in (
        ["run", "my_model.py"],
        ["run", "my_model:growth"],
        ["check", "a.toml"],
        ["check", "b.toml"],
        ["check", "a.toml", "--set", "trace=my_model:growth"],
        ["check", "a.toml", "--trace", "my_model.py:growth"],
        ["run"],
    ):
        assert CliRunner().invoke(main, arguments).exit_code == 2, arguments
        assert not Path("was_run").exists()

    traced = ["--trace", "my_model.py:growth", "--set", "economy.parameters.alpha=0.3"]
    done = CliRunner().invoke(main, ["check", *traced])
    assert done.exit_code == 0
    assert Path("was_run").exists()
    settings = ["--set", "supply.k=2", "--set", "demand.c[1].price=0.9", "--steps", "40"]
    done = CliRunner().invoke(main, ["run", *traced, *settings, "--no-figures", "--json"])
    assert done.exit_code == 0
    goods = json.loads(done.stdout)["goods"]
    assert goods["k"]["quantity"] == 2.0
    assert goods["c[1]"]["price"] == 0.9
    assert "c[0] = " in CliRunner().invoke(main, ["explain", *traced]).output
    for name, text in (("raises", "import no_model"), ("ends", "exit(7)"), ("wrong", "x = 1 +")):
        Path(f"{name}.py").write_text(f"\n{text}", encoding="utf-8")
    for option, message in (
        ("my_model.py:noise", "does something else when it is called again"),
        ("my_model.py:groth", "has no function 'groth'; did you mean 'growth'?"),
        ("no_model:growth", "cannot import no_model"),
        ("growth", "write module:function or file.py:function"),
        ("raises.py:f", "raises.py:2: cannot import raises.py (ModuleNotFoundError: No module"),
        ("ends:f", "ends.py:2: cannot import ends: it ends Python by sys.exit"),
        ("wrong.py:f", "wrong.py:2: cannot import wrong.py (SyntaxError: invalid syntax)"),
    ):
        done = CliRunner().invoke(main, ["check", "--trace", option])
        assert done.exit_code == 2
        assert message in " ".join(done.output.split())


# --- random functions -----------------------------------------------------------------------------

PIECES = (
    "for _ in range({count}):\n    h = np.tanh(W @ h + {other})",
    "total = total + np.sum(h * {other})",
    "v{k} = h[0] * s + h[1] / (2 + s * s)\nh = h * v{k} + x",
    "h = np.concatenate([h[1:], h[:1] * s])",
    "h = np.maximum(h, 0.1 * x) - s",
    "h = np.exp(-h * h) if np.sum(h) > {count} / 4 else h - W.T @ h",
    "L{k} = [h[j] ** 2 + s for j in range(3)]\ntotal = total + sum(L{k}) * h[2]",
    "def g{k}(u, n):\n    return u if n == 0 else np.sin(g{k}(u, n - 1)) * s\n"
    "total = total - g{k}(h[1], {count})",
    "M{k} = np.outer(h, x) + W\nh = M{k}[:, 1] + np.mean(M{k}, axis=1)",
)


def random_function(seed):
    """A function of an array, a matrix and a number, made of some of the pieces, and as text."""
    rng = np.random.default_rng(seed)
    body = ["h = x", "total = 0.0"]
    for k, piece in enumerate(rng.choice(PIECES, rng.integers(1, 6))):
        body.append(piece.format(k=k, count=rng.integers(1, 4), other=rng.choice(["x", "h", "s"])))
    body.append("out = total + np.dot(h, x) + np.sum(W) * s\nreturn out")
    source = "def function(x, W, s):\n" + textwrap.indent("\n".join(body), "    ")
    file = f"<random function {seed}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    found = {"np": np}
    exec(compile(source, file, "exec"), found)
    arguments = {"x": rng.normal(size=3), "W": rng.normal(size=(3, 3)) / 2, "s": rng.normal()}
    return found["function"], arguments


@pytest.mark.parametrize("seeds", [range(3), pytest.param(range(3, 200), marks=pytest.mark.slow)])
def test_random_functions(seeds):
    """Prices are the gradient; names are unique; the lines, read as text, are the same economy."""
    for seed in seeds:
        function, arguments = random_function(seed)
        economy = from_function(function, arguments)
        result = run(economy, activation="sequential", engine="arrays", steps=2)
        assert result.last.quantities[-1] == pytest.approx(function(**arguments), rel=1e-12)
        expected = gradient(function, arguments)
        size = max(np.abs(each).max() for each in expected.values())
        prices = dict(zip(result.goods, result.last.prices, strict=True))
        for good in economy.supply:
            name, place = family_and_indices(good)
            # Terms of both signs may cancel: relative to a thousandth of the largest element.
            assert prices[good] == pytest.approx(
                expected[name][place], rel=GRADIENT, abs=1e-3 * size * GRADIENT
            ), (seed, good)
        assert len(set(economy.goods)) == len(economy.goods)
        again = from_text(
            "\n".join(industry.text(exact=True) for industry in economy.industries),
            {good: terms.quantity for good, terms in economy.supply.items()},
            reuse="copy",
        )
        second = run(again, activation="sequential", engine="arrays", steps=2)
        order = [again.goods.index(good) for good in economy.goods]
        np.testing.assert_array_equal(result.prices, second.prices[:, order])
