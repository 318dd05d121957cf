"""One line's arithmetic: values and derivatives against another library, printing, limits."""

import autograd
import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_abm import from_text, run
from market_abm.economy.program import read_program
from market_abm.economy.technology import Technology
from market_abm.language import expression as ex


def technology(line: str, **parameters: float) -> Technology:
    return read_program(f"y = {line}", parameters)[0].technology


def output(t, inputs):
    return t.production(np.asarray(inputs, float))[0]


def marginal_products(t, inputs):
    products = t.production(np.asarray(inputs, float))[1]
    return np.array([np.broadcast_to(p, np.shape(inputs)[1:]) for p in products])


# The same functions in autograd's NumPy, written by hand: an independent derivative.
FUNCTIONS = {
    "sqrt": anp.sqrt,
    "exp": anp.exp,
    "expm1": anp.expm1,
    "ln": anp.log,
    "log": anp.log,
    "log2": lambda u: anp.log(u) / np.log(2.0),
    "log10": lambda u: anp.log(u) / np.log(10.0),
    "log1p": anp.log1p,
    "sin": anp.sin,
    "cos": anp.cos,
    "tan": anp.tan,
    "atan": anp.arctan,
    "sinh": anp.sinh,
    "cosh": anp.cosh,
    "tanh": anp.tanh,
}


def test_every_function_is_covered():
    assert set(FUNCTIONS) == set(ex.FUNCTIONS)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("x", [0.3, 1.0, 2.7, 11.0])
def test_functions(name, x):
    # Both sides are a few roundings of the same closed form: 1e-14 is some fifty units in the last
    # place. cos and tan at 11 lose a digit to the size of tan.
    t = technology(f"{name}(x)")
    assert output(t, [x]) == pytest.approx(FUNCTIONS[name](x), rel=1e-14)
    expected = autograd.grad(FUNCTIONS[name])(x)
    assert marginal_products(t, [x])[0] == pytest.approx(expected, rel=1e-13)


LINES = {
    "x ** 0.5": lambda x, y: x**0.5,
    "1 - 1/(x + 1)": lambda x, y: 1 - 1 / (x + 1),
    "x*y - y/x + 3": lambda x, y: x * y - y / x + 3,
    "x ** y": lambda x, y: x**y,
    "-x ** 2 - -y": lambda x, y: -(x**2) + y,
    "2 * (x + y) ** 1.5 / (1 + x*y)": lambda x, y: 2 * (x + y) ** 1.5 / (1 + x * y),
    "ln(1 + sqrt(x*y)) * tanh(x - y)": lambda x, y: anp.log(1 + anp.sqrt(x * y)) * anp.tanh(x - y),
    "cobb_douglas(x, y, exponents=(0.3, 0.9))": lambda x, y: x**0.3 * y**0.9,
    "ces(x, y, elasticity=0.5, weights=(0.3, 0.7))": lambda x, y: 1 / (0.3 / x + 0.7 / y),
    "ces(x, y, elasticity=2)": lambda x, y: (0.5 * x**0.5 + 0.5 * y**0.5) ** 2,
    "ces(x, y, elasticity=1, weights=(0.3, 0.7))": lambda x, y: x**0.3 * y**0.7,
    "min(x/2, y/3) ** 0.5 + min(x, 1.2, y)": lambda x, y: (
        anp.minimum(x / 2, y / 3) ** 0.5 + anp.minimum(anp.minimum(x, 1.2), y)
    ),
    "max(x, y, 1) * max(x - y, 0)": lambda x, y: (
        anp.maximum(anp.maximum(x, y), 1.0) * anp.maximum(x - y, 0.0)
    ),
    "abs(x - y) * y - 2 * abs(x - 1)": lambda x, y: anp.abs(x - y) * y - 2 * anp.abs(x - 1),
    "where(x < y, x*y, x**2) + where(x*y >= 1, y, ln(x))": lambda x, y: (
        anp.where(x < y, x * y, x**2) + anp.where(x * y >= 1, y, anp.log(x))
    ),
    "ces(min(x, y), where(y <= 2, x, max(x, y)), elasticity=0.5)": lambda x, y: (
        2 / (1 / anp.minimum(x, y) + 1 / anp.where(y <= 2, x, anp.maximum(x, y)))
    ),
    "exp(ces(ln(x + 2), y, elasticity=0.25))": lambda x, y: anp.exp(
        (0.5 * anp.log(x + 2) ** -3.0 + 0.5 * y**-3.0) ** (-1 / 3)
    ),
}


def read_in_order(line: str, t: Technology, x: float, y: float) -> list[float]:
    return [{"x": x, "y": y}[good] for good in t.inputs]


@pytest.mark.parametrize("line", LINES)
def test_lines_against_autograd(line):
    # Tolerance: the two sides order their operations differently; 1e-12 leaves room for some
    # thousand roundings and is far below any wrong formula.
    t = technology(line)
    rng = np.random.default_rng(5)
    for x, y in rng.uniform(0.2, 3.0, (20, 2)):
        inputs = np.array(read_in_order(line, t, x, y))
        assert output(t, inputs) == pytest.approx(LINES[line](x, y), rel=1e-12)
        by_good = dict.fromkeys("xy", 0.0)
        for good, product in zip(t.inputs, marginal_products(t, inputs), strict=True):
            by_good[good] += product
        for k, good in enumerate("xy"):
            if good in t.inputs:
                expected = autograd.grad(LINES[line], k)(x, y)
                assert by_good[good] == pytest.approx(expected, rel=1e-12, abs=1e-13)


@pytest.mark.parametrize("line", LINES)
def test_arrays_are_many_scalars(line):
    # NumPy may compute arrays with other instructions than scalars: a few units in the last place.
    t = technology(line)
    columns = np.random.default_rng(6).uniform(0.2, 3.0, (len(t.inputs), 7))
    outputs, products = output(t, columns), marginal_products(t, columns)
    for m in range(7):
        assert outputs[m] == pytest.approx(output(t, columns[:, m]), rel=1e-14)
        assert products[:, m] == pytest.approx(marginal_products(t, columns[:, m]), rel=1e-13)


@pytest.mark.parametrize("line", LINES)
def test_a_formula_says_what_is_computed(line):
    """The printed line and the printed derivatives, read again, give the same numbers."""
    t = technology(line)
    values = {good: 0.7 + 0.4 * k for k, good in enumerate(t.inputs)}
    inputs = np.array(list(values.values()))
    again = technology(t.text())
    assert again.inputs == t.inputs
    assert output(again, inputs) == output(t, inputs)
    made = float(output(t, inputs))
    for k, formula in enumerate(t.marginal_product_texts("made")):
        read = technology(formula) if any(c.isalpha() for c in formula) else None
        if read is None:
            number = float(eval(formula, {"__builtins__": {}}))
        else:
            number = output(read, np.array([{**values, "made": made}[g] for g in read.inputs]))
        # Simplifying reorders products; numbers are printed with 12 digits.
        assert number == pytest.approx(marginal_products(t, inputs)[k], rel=1e-10)


def test_the_essays_derivatives_read_as_in_the_essay():
    texts = [
        technology(line).marginal_product_texts("y")[0]
        for line in ("x ** 0.5", "1 - 1/(x + 1)", "ln(x)")
    ]
    assert texts == ["0.5*x**(-0.5)", "1/(x + 1)**2", "1/x"]


def test_ces_near_elasticity_one_is_smooth():
    """At σ = 1 the formula (Σ w x^r)^(1/r) is 0/0; the code must not lose its digits nearby.

    ces differs from its Cobb-Douglas limit by O(r): with r = 1e-9 by less than 1e-9, and the naive
    formula would be off by 1e-7 there.
    """
    x = np.array([0.4, 2.5])
    limit = x[0] ** 0.3 * x[1] ** 0.7
    for sigma in (1.0, 1 + 1e-9, 1 - 1e-9, 1 + 1e-13):
        t = technology("ces(a, b, elasticity=s, weights=(0.3, 0.7))", s=sigma)
        assert output(t, x) == pytest.approx(limit, rel=1e-9)
        shares = marginal_products(t, x) * x / output(t, x)
        assert shares == pytest.approx([0.3, 0.7], rel=1e-8)


@pytest.mark.parametrize("scale", [1e-12, 1e-3, 1.0, 1e6, 1e12])
@pytest.mark.parametrize("ratio", [1.0, 3.0, 1e9])
def test_ces_keeps_its_digits_at_every_scale(scale, ratio):
    """Against closed forms that do not cancel: σ = 1/2 is a harmonic mean, σ = 2 a squared sum.

    ln y is computed to an ulp of |ln y| < 60, so y to 60 * 2e-16 = 1e-14.
    """
    x = np.array([scale, scale * ratio])
    harmonic = technology("ces(a, b, elasticity=0.5, weights=(0.3, 0.7))")
    assert output(harmonic, x) == pytest.approx(1 / (0.3 / x[0] + 0.7 / x[1]), rel=2e-14)
    squares = technology("ces(a, b, elasticity=2, weights=(0.3, 0.7))")
    assert output(squares, x) == pytest.approx(
        (0.3 * x[0] ** 0.5 + 0.7 * x[1] ** 0.5) ** 2, rel=2e-14
    )


@pytest.mark.parametrize("sigma", [0.16, 0.5, 5.0])
@pytest.mark.parametrize("scarce", [1e-30, 1e-100, 1e-235])
def test_ces_with_next_to_nothing_of_one_input(sigma, scarce):
    """Then one term is all: y = w^(1/r) x of the scarce (σ < 1) or of the other input (σ > 1).

    The other term is x^r times less, r = (σ - 1)/σ: nothing, but for (1e-30)^0.8 and (1e-30)^1 of
    it; logarithms of 500, whose rounding of 1e-13 the exponential turns into one of 1e-12.
    """
    t = technology("ces(a, b, elasticity=s, weights=(0.3, 0.7))", s=sigma)
    r = (sigma - 1) / sigma
    x = np.array([scarce, 4.0])
    with np.errstate(all="ignore"):
        y, slopes = t.production(list(x))
    weight, k = (0.3, 0) if sigma < 1 else (0.7, 1)
    expected = weight ** (1 / r)
    assert y == pytest.approx(expected * x[k], rel=1e-12)
    assert slopes[k] == pytest.approx(expected, rel=1e-12)
    other = (0.7, 0.3)[k] * (y / x[1 - k]) ** (1 / sigma)
    assert slopes[1 - k] == pytest.approx(other, rel=1e-11, abs=1e-300)


@given(sigma=st.floats(0.1, 10), a=st.floats(0.01, 100), b=st.floats(0.01, 100))
def test_ces_from_logarithms_is_the_formula(sigma, a, b):
    """The derivative as the language writes it, w (y/x)^(1/σ), and as it is computed with y.

    Roundings of a few units in the last place, to the power of 1/σ <= 10: 1e-13.
    """
    y, slope = ex.OPERATIONS["ces"].with_derivatives(sigma, 0.3, 0.7, a, b)
    for k in (3, 4):
        formula = ex.OPERATIONS["ces"].derivative(k, y, sigma, 0.3, 0.7, a, b)
        assert slope(k) == pytest.approx(formula, rel=1e-13)


def test_ces_without_one_input():
    """Good substitutes can replace an input that is missing; poor ones make nothing."""
    x = np.array([0.0, 4.0])
    with np.errstate(all="ignore"):
        assert output(technology("ces(a, b, elasticity=2)"), x) == pytest.approx(1.0, rel=1e-14)
        assert output(technology("ces(a, b, elasticity=0.5)"), x) == 0.0
        assert output(technology("ces(a, b, elasticity=1)"), x) == 0.0


@pytest.mark.parametrize("engine", ["agents", "arrays"])
def test_ces_without_an_input_at_elasticity_one(engine):
    """A parameter is a plain float: 1/r at r = 0 must not raise."""
    economy = from_text("y = ces(a, b, elasticity=s)", {"a": 0.0, "b": 1.0}, parameters={"s": 1.0})
    result = run(economy, steps=2, engine=engine)
    assert result.quantities[0].tolist() == [0.0, 1.0, 0.0]


def test_parameters_may_be_arithmetic():
    t = technology("ces(x, y, elasticity=1/(1-r), weights=(a, 1-a)) ** b", r=0.5, a=0.25, b=0.5)
    assert output(t, [1.5, 2.0]) == pytest.approx((0.25 * 1.5**0.5 + 0.75 * 2**0.5), rel=1e-14)
    assert dict(t.parameters) == {"a": 0.25, "b": 0.5, "r": 0.5}


def test_long_sums_do_not_recurse():
    """Nine hundred terms are nested nine hundred deep in the syntax tree."""
    t = technology(" + ".join(f"x{k}" for k in range(900)))
    assert output(t, np.ones(900)) == 900
    assert np.array_equal(marginal_products(t, np.ones(900)), np.ones(900))
    assert t.text().count("+") == 899
