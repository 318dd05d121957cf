"""The language: what it reads, and what it says of what it cannot read."""

import math
import threading

import numpy as np
import pytest

from market_abm import FirmPopulation, MarketError, from_function, from_text, run
from market_abm.economy.program import read_program
from market_abm.language.reader import MAX_PROGRAM_LENGTH
from market_abm.views.explain import explain

SCALE = 2.0


def test_comments_blank_lines_and_brackets():
    lines = read_program("# head\n\na = 2*(x +\n   1)  # tail\nb = -a + 1e-3\n", {})
    assert [line.good for line in lines] == ["a", "b"]
    assert [line.line for line in lines] == [3, 5]
    assert lines[0].technology.inputs == ("x",)


def test_a_program_may_be_indented_as_a_whole():
    lines = read_program(
        """
        a = x
        b = 2*a
    """,
        {},
    )
    assert [(line.good, line.line) for line in lines] == [("a", 2), ("b", 3)]


def test_lines_may_come_in_any_order():
    economy = from_text("c = b**2\nb = 3*a", {"a": 1})
    assert economy.goods == ("a", "b", "c")
    assert run(economy).table().price.to_dict() == {"a": 18.0, "b": 6.0, "c": 1.0}


def test_names_may_be_in_any_alphabet():
    economy = from_text("pão = farinha**0.5\n面包 = pão*2", {"farinha": 4})
    assert economy.goods == ("farinha", "pão", "面包")


BAD = {
    "y = x +": (1, "cannot read"),
    "a = x\ny = (a": (2, "cannot read"),
    "y = 2x": (1, "cannot read"),
    "y = x ^ 2": (1, "write \\*\\* for powers"),
    "y = 1 – x": (1, "write '-' for minus"),
    "y = foo(x)": (1, "unknown function 'foo'"),
    "y = sqr(x)": (1, "did you mean 'sqrt'"),
    "y = sqrt(x, x)": (1, "takes one argument"),
    "y = sqrt(x, base=2)": (1, "no 'base='"),
    "y = sqrt": (1, "'sqrt' is a function"),
    "sqrt = x": (1, "the name of a function"),
    "p = x": (1, "the name of a parameter"),
    "y = x\ny = 2*x": (2, "two lines produce 'y', the first is line 1"),
    "a, b = x": (1, "not a line of production"),
    "y += x": (1, "not a line of production"),
    "x": (1, "not a line of production"),
    "import os": (1, "not a line of production"),
    "def f(): pass": (1, "not a line of production"),
    "y = __import__('os').system('true')": (1, "unknown function"),
    "y = x.real": (1, "not arithmetic"),
    "y = os.system(x)": (1, "unknown function 'os.system'"),
    "y = (lambda: x)()": (1, "unknown function"),
    "y = [x]": (1, "not arithmetic"),
    "y = x if x else 1": (1, "not arithmetic"),
    "y = x < 1": (1, "not arithmetic"),
    "y = x // 2": (1, "not arithmetic"),
    "y = 'x'": (1, "not a number"),
    "y = True": (1, "not a number"),
    "y = 1j * x": (1, "not a number"),
    "y = f'{x}'": (1, "not arithmetic"),
    "y = x * 1e999": (1, "too large"),
    "y = x ** " + "9" * 400: (1, "too large"),
    "y = x ** " + "9" * 9000: (1, "thousands of digits"),
    "y = " + "(" * 5000 + "x" + ")" * 5000: (1, "nested too deeply"),
    "a = x\ny = " + "-" * 100_000 + "x": (2, "nested too deeply"),
    "y = " + "+".join(["x"] * 100_000): (1, "nested too deeply"),
    "y = ces(x, z)": (1, "needs its elasticity"),
    "y = ces(x, z, elasticity=-1)": (1, "elasticity is -1"),
    "y = ces(x, z, elasticity=0)": (1, "elasticity is 0"),
    "y = ces(x, z, elasticity=x)": (1, "'x' is not a parameter"),
    "y = ces(x, z, elasticity=2, weights=(1, 1))": (1, "sum to 2"),
    "y = ces(x, z, elasticity=2, weights=(1,))": (1, "2 inputs and 1 weights"),
    "y = ces(x, z, elasticity=2, wieghts=(0.5, 0.5))": (1, "did you mean 'weights'"),
    "y = ces(elasticity=2)": (1, "no inputs"),
    "y = cobb_douglas(x, z, exponents=(0.5, -0.5))": (1, "must be > 0"),
    "y = x\0": (1, "null"),
}


@pytest.mark.parametrize("program", BAD, ids=[p[:40] for p in BAD])
def test_mistakes_are_told_with_their_line(program):
    line, message = BAD[program]
    with pytest.raises(MarketError, match=message) as caught:
        from_text(program, {"x": 1.0}, parameters={"p": 1.0})
    assert caught.value.remedy
    if "null" not in message:
        assert caught.value.line == line
    assert len(str(caught.value)) < 300


def test_nothing_is_executed(tmp_path):
    target = tmp_path / "made"
    for program in (
        f"y = open({str(target)!r}, 'w')",
        f"open({str(target)!r}, 'w')",
        f"y = x + (lambda: open({str(target)!r}, 'w'))()",
    ):
        with pytest.raises(MarketError):
            from_text(program, {"x": 1.0})
    assert not target.exists()


def test_huge_programs_are_refused_at_once():
    with pytest.raises(MarketError, match="characters"):
        read_program("#" * (MAX_PROGRAM_LENGTH + 1), {})


def test_powers_of_powers_are_quick():
    """Giant exponents are numbers like any other: they overflow, and nothing hangs."""
    done = []

    def attempt() -> None:
        with pytest.raises(MarketError, match="at step 0"):
            run(from_text("y = x ** 9 ** 9 ** 9 ** 9", {"x": 2.0}))
        done.append(True)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(30)
    assert done


# --- Python functions ----------------------------------------------------------------------------


def essay(natgas=4.0):
    """The essay's program."""
    ethylene = natgas**0.5
    polyethylene = 1 - 1 / (ethylene + 1)
    tupperware = math.log(polyethylene)
    return tupperware


def scaled(x, y):
    a = SCALE * x * y
    b = np.tanh(a) + x
    return a_sold_twice(a, b)  # noqa: F821


def two_outputs(x, y=2.0):
    a = SCALE * x
    b = np.tanh(a) * y
    c = a + y * y
    return b, c


def test_a_function_becomes_an_economy():
    result = run(from_function(essay))
    assert result.table().price["natgas"] == pytest.approx(1 / 24, rel=1e-14)
    assert result.quantities[-1, -1] == essay()


def test_a_function_reads_variables_as_often_as_it_likes():
    """With copied goods prices are the derivatives of the function as Python computes it."""
    economy = from_function(two_outputs, {"x": 0.3}, {"b": 1.0, "c": 3.0}, reuse="copy")
    prices = run(economy).table().price

    def value(x, y):
        b, c = two_outputs(x, y)
        return b + 3 * c

    h = 1e-30  # complex step: exact to rounding
    assert prices["x"] == pytest.approx(value(0.3 + h * 1j, 2.0).imag / h, rel=1e-13)
    assert prices["y"] == pytest.approx(value(0.3, 2.0 + h * 1j).imag / h, rel=1e-13)


def test_functions_that_cannot_be_read():
    def unused(x):
        a = x + 1
        b = x + 2
        return b

    def unknown(x):
        a = x + elsewhere  # noqa: F821
        return a

    def loop(x):
        for _ in range(3):
            x = x + 1
        return x

    def nothing(x):
        a = x

    def expression(x):
        a = 2 * x
        return a + 1

    def both(x):
        a = 2 * x
        b = a + 1
        return a, b

    for function, message in (
        (scaled, "returns an expression"),
        (unused, "'a' is assigned but never used"),
        (unknown, "'elsewhere' is neither"),
        (loop, "not a line of production"),
        (nothing, "does not end in a return"),
        (expression, "returns an expression"),
        (both, "also used by another line"),
        (max, "cannot read the source"),
        (eval("lambda x: x"), "cannot read the source"),
    ):
        with pytest.raises(MarketError, match=message):
            from_function(function, {"x": 1.0})
    with pytest.raises(MarketError, match="'x'.*no endowment"):
        from_function(two_outputs)


def test_positional_arguments_and_populations_of_ones_own():
    def half(x, /):
        y = x / 2
        return y

    economy = from_function(half, {"x": 1.0}, population_of={"y": FirmPopulation(firms=3)})
    assert economy.industries[0].firms == 3


def test_long_lines_that_are_no_production_are_told():
    with pytest.raises(MarketError, match="not a line of production"):
        from_text("+".join(["x"] * 900), {"x": 1.0})


def test_a_formula_of_hundreds_of_operations_is_named_instead():
    economy = from_text("y = 1/" + "/".join(["x"] * 600), {"x": 1.0})
    sections = explain(run(economy, steps=2))
    assert "∂y/∂x" in sections[1].pairs[-1].condition
