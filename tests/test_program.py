"""The language: what it reads, and what it says of what it cannot read."""

import math
import pickle
import re
import threading

import numpy as np
import pytest

from market_abm import FirmPopulation, MarketError, from_function, from_text, run
from market_abm.economy.program import read_program
from market_abm.language.parser import translate_lines
from market_abm.language.patterns import Filled, pattern
from market_abm.language.printing import text
from market_abm.language.reader import MAX_PROGRAM_LENGTH, parse
from market_abm.language.syntax import syntax_tree
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


ALIKE = (
    "2 * {good} ** {number} + 1e-3 * {good}",
    "ces({good}, z, elasticity=s, weights=({number}, 0.75)) ** .5  # s is a parameter",
    "ces(z, {good}, elasticity={number}) - -3 * (+4 - {good} / -{number})",
    "cobb_douglas({good}, z, exponents=(s / {number}, 2e-1)) - s",
    "-{number} ** 2 * exp(-1/(z + 1)) - 0 * np.sqrt({good})",
    "{number}",
)


def test_lines_of_one_shape_are_what_each_is_alone():
    """Formulas, goods, kinds and the last bits of numbers: also of those known from another."""
    parameters = {"s": 0.5, "other": 2.0}
    others = [("b", "0.25"), ("c", ".25e0"), ("z", "0.25"), ("_b2", "0.250000000000001")]
    program = "\n".join(
        f"y{k}_{n} = " + line.format(good=good, number=number)
        for n, (good, number) in enumerate(others)
        for k, line in enumerate(ALIKE)
    )
    quick = parse(program + "\n\n# end", parameters)
    slow = translate_lines(syntax_tree(program).body, parameters)
    assert all(isinstance(line.formula, Filled) for line in quick)
    for one, other in zip(quick, slow, strict=True):
        assert (one.good, one.inputs, one.number) == (other.good, other.inputs, other.number)
        assert one.parameters == other.parameters
        (kind, constants), expected = pattern(one.formula), pattern(other.formula)
        assert (kind, list(constants)) == expected
        for formula in (pickle.loads(pickle.dumps(one.formula)), one.formula):
            assert pattern(formula) == (kind, constants)
            names = dict(enumerate(other.inputs))
            assert text(formula, names, exact=True) == text(other.formula, names, exact=True)


@pytest.mark.parametrize(
    "line", ["y = 10_0 * x", "y = 2 * np", "y = (x +\n z)", "y = é", "y = x\r"]
)
def test_what_is_not_plain_is_read_by_the_parser(line):
    (read,) = parse(line, {})
    assert not isinstance(read.formula, Filled)


LATER = {
    "ces(x, z, elasticity=0.0, weights=(0.5, 0.5))": "elasticity is 0",
    "ces(x, z, elasticity=0.5, weights=(0.5, 0.6))": "sum to 1.1",
    "ces(x, z, elasticity=0.5, weights=(0.6 * p, 0.5))": "sum to 1.1",
    "cobb_douglas(x, z, exponents=(0.5, 0.0))": "is 0",
    "1e999 * x": "too large",
}


@pytest.mark.parametrize("line", LATER)
def test_a_mistake_in_a_line_like_others_is_told_with_its_line(line):
    good = re.sub(r"0\.0", "0.5", line).replace("0.6", "0.5")
    program = f"a = {good.replace('1e999', '1e99')}\ny = {line}"
    with pytest.raises(MarketError, match=LATER[line]) as caught:
        parse(program, {"p": 1.0})
    assert caught.value.line == 2


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
    "a, b = x": (1, "has several goods on the left"),
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

    def nothing(x):
        a = x

    def both(x):
        a = 2 * x
        b = a + 1
        return a, b

    for function, message in (
        (scaled, "test_program.py:[0-9]+: NameError: name 'a_sold_twice' is not defined"),
        (unused, "'a' is assigned but never used"),
        (unknown, "'elsewhere' is neither"),
        (nothing, "returns nothing that depends on its arguments"),
        (both, "also used by another line"),
        (max, "max is no function that is written in Python"),
    ):
        with pytest.raises(MarketError, match=message):
            from_function(function, {"x": 1.0, "y": 1.0} if function is scaled else {"x": 1.0})
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
